//! Digits that a leg's peer sends as tones.

use super::block::{Block, RateChanger};
use crate::codec::Rate;
use crate::codec::dtmf::{Detector, Event};
use crate::link::Digit;

/// See the module's comment.
#[derive(Default)]
pub(super) struct ToneListener {
    rates: RateChanger,
    detector: Detector,
    is_sounding: bool,
}

impl ToneListener {
    pub(super) fn new() -> ToneListener {
        ToneListener::default()
    }

    /// Takes 10 ms; None if the peer said nothing. A digit that has ended, and its milliseconds.
    pub(super) fn hear(&mut self, block: Option<&Block>) -> Option<(Digit, u16)> {
        let silence = Block::silence(Rate::Narrow);
        let block = block.map_or(silence, |block| self.rates.run(block, Rate::Narrow));
        match self.detector.block(block.narrow())? {
            Event::Start(_) => {
                self.is_sounding = true;
                None
            }
            Event::End { digit, duration_ms } => {
                self.is_sounding = false;
                Some((digit, duration_ms.min(u16::MAX.into()) as u16))
            }
        }
    }

    /// A digit has begun and not ended.
    pub(super) fn is_sounding(&self) -> bool {
        self.is_sounding
    }
}
