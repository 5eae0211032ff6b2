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

    /// What begins as this block and ends as the other, of the same rate, which was to come 10 ms later: they pass into each
    /// other within 2.5 ms, where they are most alike.
    pub(super) fn spliced(&self, later: &Block) -> Block {
        let length = self.samples().len();
        let seam = length / 4;
        let unlike = |start: &usize| -> u64 {
            let pairs = self.samples().iter().zip(later.samples()).skip(*start);
            pairs
                .take(seam)
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum()
        };
        let start = (0..=length - seam).min_by_key(unlike).unwrap_or(0);
        let mut spliced = *later;
        spliced.samples_mut()[..start].copy_from_slice(&self.samples()[..start]);
        for at in 0..seam {
            let (from, to) = (self.samples()[start + at], later.samples()[start + at]);
            let share = (2 * at + 1) as i32;
            let mixed = i32::from(from) * (2 * seam as i32 - share) + i32::from(to) * share;
            // A mean of two samples is one.
            spliced.samples_mut()[start + at] = (mixed / (2 * seam as i32)) as i16;
        }
        spliced
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: Rate, from: usize) -> Block {
        let mut block = Block::silence(rate);
        for (at, sample) in block.samples_mut().iter_mut().enumerate() {
            let turns = (from + at) as f64 * 0.031;
            *sample = ((turns * std::f64::consts::TAU).sin() * 10_000.0) as i16;
        }
        block
    }

    #[test]
    fn a_splice_has_no_step_that_the_sound_has_not() {
        for rate in [Rate::Narrow, Rate::Wide] {
            for phase in 0..64 {
                let length = rate.block();
                let (before, left_out) = (sine(rate, phase), sine(rate, phase + length));
                let (later, after) = (
                    sine(rate, phase + 2 * length),
                    sine(rate, phase + 3 * length),
                );
                let spliced = left_out.spliced(&later);
                let heard = [before, spliced, after];
                let heard: Vec<i32> = heard
                    .iter()
                    .flat_map(|block| block.samples().iter().map(|s| i32::from(*s)))
                    .collect();
                let steps = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs());
                // The sine's own largest is 1,945.
                assert!(steps.max().expect("steps") < 2_700, "{rate:?} {phase}");
            }
        }
    }
}
