//! Whole messages, read and written.

mod read;
mod torture;

pub(in crate::sip::message) use super::Request;
