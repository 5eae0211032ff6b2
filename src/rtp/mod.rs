//! RTP and RTCP packets (RFC 3550), checked views over bytes, what a receiver keeps of a source, and their secure form
//! (RFC 3711).

pub mod jitter;
pub mod packet;
pub mod quality;
pub mod rtcp;
pub mod srtp;
pub mod statistics;
pub mod telephone_event;
