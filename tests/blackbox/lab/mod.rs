//! An audio laboratory: speech to send, other programs' codecs to send it in, and measures of what came of it.
//!
//! espeak-ng speaks, ffmpeg encodes, decodes and resamples; no codec of the gateway is used, so none judges itself. What
//! a chain of codecs may do to speech is measured on ffmpeg's own chain of the same speech in the same test.

mod call;
mod digits;
mod measure;
mod solo;
mod sound;
mod talk;

pub use call::{Call, Side};
pub use digits::{Pressed, with_tones};
pub use measure::{Piece, Report, high_band_db, report};
pub use solo::Solo;
pub use sound::{Codec, Sound};
pub use talk::{Recording, Talk, exchange};
