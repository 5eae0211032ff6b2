//! SDP (RFC 8866) and offer/answer (RFC 3264) for audio.
//!
//! [`body`] reads what a peer describes, [`crypto`] the keys in it; [`offer_answer`] decides what both sides can do and
//! writes our side.

pub mod body;
pub mod crypto;
mod lines;
pub mod offer_answer;

pub use body::{Audio, Description, Direction, Fax, Format, Media, Payload, SdpError};
pub use crypto::{Crypto, OurKeys};
pub use offer_answer::{
    LocalMedia, OurOffer, answer, answered_formats, common_formats, formats_for, partner,
    payload_pairs,
};
