//! RTP and RTCP packets (RFC 3550), checked views over bytes, and what a receiver keeps of a source.

pub mod jitter;
pub mod packet;
pub mod rtcp;
pub mod statistics;
