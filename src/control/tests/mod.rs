//! What tests of control share, beside the world of calls.

pub(super) mod bench;
