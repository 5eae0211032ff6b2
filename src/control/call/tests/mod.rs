//! Calls on the wire: a controller and telephones of its kind on virtual time.

mod basic;
pub(crate) mod world;
