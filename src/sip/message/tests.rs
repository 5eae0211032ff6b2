//! Whole messages, read and written.

mod addresses;
mod read;
mod torture;

pub(in crate::sip::message) use super::Request;
