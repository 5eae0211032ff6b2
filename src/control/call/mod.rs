//! The B2BUA: a call and its legs.

pub mod cause;
