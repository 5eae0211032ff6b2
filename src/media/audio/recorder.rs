//! A leg's audio on its way to a file.

use super::block::{Block, RateChanger};
use crate::link::recording::{RECORDING_BLOCK_SAMPLES_MAX, RecordingBlock};
use crate::link::{Channels, RecordId, RecordingSink};

/// A mean magnitude below which the peer says nothing: some -42 dBm0, as Asterisk's `silencethreshold` of 128.
const SILENCE_LEVEL: u32 = 128;

/// See the module's comment.
pub(super) struct Recorder {
    pub(super) id: RecordId,
    sink: RecordingSink,
    /// Of the next block.
    number: u32,
    said_rates: RateChanger,
    heard_rates: RateChanger,
    silence: Silence,
}

enum Silence {
    Unwatched,
    Watched { limit_ms: u32, lasted_ms: u32 },
}

impl Recorder {
    pub(super) fn new(id: RecordId, sink: RecordingSink, silence_ms: u32) -> Recorder {
        let silence = match silence_ms {
            0 => Silence::Unwatched,
            limit_ms => Silence::Watched {
                limit_ms,
                lasted_ms: 0,
            },
        };
        Recorder {
            id,
            sink,
            number: 0,
            said_rates: RateChanger::default(),
            heard_rates: RateChanger::default(),
            silence,
        }
    }

    /// Takes a tick: what the peer said and what it heard, as far as they are something. True, once, if it has been
    /// silent for as long as is asked.
    pub(super) fn take(&mut self, said: Option<&Block>, heard: Option<&Block>) -> bool {
        let rate = self.sink.rate;
        let silence = Block::silence(rate);
        let mut left = said.map_or(silence, |block| self.said_rates.run(block, rate));
        let is_hushed = self.watch(left.level());
        let mut heard = || heard.map_or(silence, |block| self.heard_rates.run(block, rate));
        let block = match self.sink.channels {
            Channels::Heard => RecordingBlock::new(self.number, left.samples()),
            Channels::Mixed => {
                left.add(&heard());
                RecordingBlock::new(self.number, left.samples())
            }
            Channels::Stereo => {
                let mut both = [0; RECORDING_BLOCK_SAMPLES_MAX];
                let right = heard();
                let pairs = left.samples().iter().zip(right.samples());
                for (place, (said, heard)) in both.chunks_exact_mut(2).zip(pairs) {
                    place.copy_from_slice(&[*said, *heard]);
                }
                RecordingBlock::new(self.number, &both[..left.samples().len() * 2])
            }
        };
        self.sink.push(block);
        self.number = self.number.wrapping_add(1);
        is_hushed
    }

    fn watch(&mut self, level: u32) -> bool {
        let Silence::Watched {
            limit_ms,
            lasted_ms,
        } = &mut self.silence
        else {
            return false;
        };
        *lasted_ms = if level < SILENCE_LEVEL {
            *lasted_ms + 10
        } else {
            0
        };
        let is_over = *lasted_ms >= *limit_ms;
        if is_over {
            self.silence = Silence::Unwatched;
        }
        is_over
    }

    /// Both sides are recorded.
    pub(super) fn needs_far_side(&self) -> bool {
        self.sink.channels != Channels::Heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Rate;
    use crate::link::recording::recording;

    fn block(value: i16) -> Block {
        let mut block = Block::silence(Rate::Narrow);
        block.samples_mut().fill(value);
        block
    }

    #[test]
    fn each_layout_has_what_it_says() {
        for (channels, expected) in [
            (Channels::Heard, vec![1_000; 80]),
            (Channels::Mixed, vec![800; 80]),
            (Channels::Stereo, [1_000, -200].repeat(80)),
        ] {
            let (sink, source) = recording(Rate::Narrow, channels);
            let mut recorder = Recorder::new(RecordId(0), sink, 0);
            recorder.take(Some(&block(1_000)), Some(&block(-200)));
            recorder.take(None, None);
            let first = source.pop().expect("a block");
            assert_eq!((first.number, first.samples()), (0, &expected[..]));
            let second = source.pop().expect("silence too");
            assert_eq!(second.number, 1);
            assert!(second.samples().iter().all(|sample| *sample == 0));
            assert_eq!(second.samples().len(), expected.len());
        }
    }

    #[test]
    fn silence_is_told_once_and_speech_begins_it_anew() {
        let (sink, _source) = recording(Rate::Narrow, Channels::Heard);
        let mut recorder = Recorder::new(RecordId(0), sink, 50);
        let mut ticks = |said: &[Option<i16>]| {
            let blocks = said.iter().map(|value| value.map(block));
            blocks
                .map(|said| recorder.take(said.as_ref(), None))
                .collect::<Vec<_>>()
        };
        assert_eq!(ticks(&[None, Some(5), None, None]), [false; 4]);
        assert_eq!(
            ticks(&[Some(3_000), None, None, None, Some(100)]),
            [false; 5]
        );
        assert_eq!(ticks(&[None, None, None]), [true, false, false]);
    }
}
