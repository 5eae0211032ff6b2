//! The unit of all audio work: 10 ms.

use crate::codec::resample::{Downsampler, Upsampler};
use crate::link::Rate;

/// Samples of a block at 8 kHz.
pub(super) const NARROW: usize = 80;
/// Samples of a block at 16 kHz.
pub(super) const WIDE: usize = 160;
/// Octets of a block of PCMU, PCMA or G.722, and its units of the RTP clock: one each 1/8000 s.
pub(super) const OCTETS: usize = 80;

/// Linear samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) rate: Rate,
    samples: [i16; WIDE],
}

impl Block {
    pub(super) fn silence(rate: Rate) -> Block {
        Block {
            rate,
            samples: [0; WIDE],
        }
    }

    /// 80 or 160 of them.
    pub(super) fn samples(&self) -> &[i16] {
        &self.samples[..self.rate.block()]
    }

    pub(super) fn samples_mut(&mut self) -> &mut [i16] {
        &mut self.samples[..self.rate.block()]
    }

    pub(super) fn narrow(&self) -> &[i16; NARROW] {
        self.samples.first_chunk().expect("160 hold 80")
    }

    /// Mean of the samples' magnitudes.
    pub(super) fn level(&self) -> u32 {
        let sum: u32 = self
            .samples()
            .iter()
            .map(|s| u32::from(s.unsigned_abs()))
            .sum();
        sum / self.samples().len() as u32
    }

    /// Adds another of the same rate, limiting at full scale.
    pub(super) fn add(&mut self, other: &Block) {
        for (sample, added) in self.samples_mut().iter_mut().zip(other.samples()) {
            *sample = sample.saturating_add(*added);
        }
    }
}

/// Brings the blocks of one stream, whatever rates they come in, to another rate.
#[derive(Debug, Default)]
pub(super) struct RateChanger {
    up: Upsampler,
    down: Downsampler,
}

impl RateChanger {
    #[inline]
    pub(super) fn run(&mut self, block: &Block, to: Rate) -> Block {
        let mut changed = Block::silence(to);
        match (block.rate, to) {
            (Rate::Narrow, Rate::Wide) => self.up.run(block.narrow(), &mut changed.samples),
            (Rate::Wide, Rate::Narrow) => {
                let narrow = changed.samples.first_chunk_mut().expect("160 hold 80");
                self.down.run(&block.samples, narrow);
            }
            _ => changed = *block,
        }
        changed
    }
}
