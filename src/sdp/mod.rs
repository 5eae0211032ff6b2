//! SDP (RFC 8866) and offer/answer (RFC 3264) for audio.

pub mod body;
pub mod offer_answer;
