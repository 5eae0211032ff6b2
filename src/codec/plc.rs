//! Concealing lost audio by going on with what was heard, one pitch period repeated: ITU-T G.711 Appendix I.
//!
//! ```text
//!  heard                     | lost, 1st 10 ms | 2nd 10 ms       | … 6th  | 7th …  | heard again
//!  ─────────────────┬────────┼─────────────────┼─────────────────┼────────┼────────┼──────────┬──────────
//!                   │ ¼ T    │ last period     │ last two periods│ three  │ silence│ overlap  │
//!                   │ overlap│ 100 %           │ 100 to 80 %     │ to 0 % │        │          │
//! ```
//!
//! - Heard audio is held back for 3.75 ms, so that its end can still be joined smoothly to what replaces the next block
//!   (§I.2.2, §I.2.4). That delay is there from the first block, lost or not.
//! - The pitch period T (5 to 15 ms) is where the last 20 ms resemble the audio before them most (§I.2.3).
//! - The first 10 ms repeat one period, the second 10 ms two, the rest three, or a long loss would hum (§I.2.5).
//! - From the second 10 ms on, the sound fades by a fifth of its first strength every 10 ms; after 60 ms it is silent (§I.2.6).
//! - The first block that arrives again is overlapped with the repetition, for T/4 and 4 ms for each further 10 ms lost, 10 ms at
//!   most (§I.2.7).
//!
//! **At 16 kHz** the same method runs with every length doubled, the pitch searched on a signal averaged down to 4 kHz. For G.722
//! that is the waveform repetition in the 16-kHz output domain with which Appendix III of G.722 begins, and the
//! cross-fade and muting of Appendix IV. It is simpler than either: no noise is mixed in, the received signal is not re-phased
//! nor time-warped (III), and there is no linear prediction and no separate high band (IV). As in both, the state of the
//! ADPCM decoder has to be carried through the gap by its owner: [`Concealer::estimate`] is what to encode for that.
//!
//! States: hearing, or concealing for so many blocks. Nothing fails; all memory is in the value.

use super::{Rate, to_sample};

/// 5 ms and 15 ms at 8 kHz: the shortest and longest pitch period (200 to 66 Hz).
const PERIOD_MIN: usize = 40;
const PERIOD_MAX: usize = 120;
/// Audio held back at 8 kHz: a quarter of the longest period.
const DELAY: usize = PERIOD_MAX / 4;
/// Audio remembered at 8 kHz, 48.75 ms: three of the longest periods and a quarter.
const HISTORY: usize = 3 * PERIOD_MAX + DELAY;
/// The audio that is compared with earlier audio at 8 kHz, 20 ms.
const COMPARED: usize = 160;
/// Blocks after which the sound is gone; all but the first take away an equal part of it, 20 %.
const AUDIBLE_BLOCKS: u32 = 6;
/// Least energy of a stretch of audio that the pitch search divides by: silence has no pitch.
const ENERGY_MIN: i32 = 250;

/// Lengths at 16 kHz against those at 8 kHz, which the constants above are.
const SCALE_MAX: usize = 2;

const fn scale(rate: Rate) -> usize {
    match rate {
        Rate::Narrow => 1,
        Rate::Wide => 2,
    }
}

/// Conceals the lost blocks of one stream.
#[derive(Clone, Debug)]
pub struct Concealer {
    rate: Rate,
    /// The last 48.75 ms, heard or put in place, the oldest first; at 8 kHz in the first half of the array.
    history: [i16; HISTORY * SCALE_MAX],
    /// Since when blocks are missing, if they are.
    erasure: Option<Erasure>,
}

impl Concealer {
    /// Begins in silence.
    pub fn new(rate: Rate) -> Concealer {
        Concealer {
            rate,
            history: [0; HISTORY * SCALE_MAX],
            erasure: None,
        }
    }

    /// How late the audio comes out, in samples: 3.75 ms.
    pub const fn delay(rate: Rate) -> usize {
        DELAY * scale(rate)
    }

    /// A block arrived: takes it, and gives in its place the 10 ms to be heard now.
    ///
    /// # Panics
    /// With a block that is not of 10 ms.
    pub fn good(&mut self, block: &mut [i16]) {
        if let Some(mut erasure) = self.erasure.take() {
            erasure.end(block);
        }
        self.pass(block);
    }

    /// A block is lost: gives the 10 ms to be heard now.
    ///
    /// # Panics
    /// With a block that is not of 10 ms.
    pub fn lost(&mut self, block: &mut [i16]) {
        let history = &mut self.history[..HISTORY * scale(self.rate)];
        self.erasure
            .get_or_insert_with(|| Erasure::begin(history, self.rate))
            .fill(block);
        self.pass(block);
    }

    /// The newest block, heard or put in place of a lost one, without the delay, and so many samples before it (at most
    /// 38.75 ms of them). Encoded after each [`Concealer::lost`], it carries the state of a codec with memory through the gap.
    pub fn estimate(&self, before: usize) -> &[i16] {
        let end = HISTORY * scale(self.rate);
        let begin = (end - self.rate.block()).saturating_sub(before);
        &self.history[begin..end]
    }

    /// Remembers the block, and puts in its place the one that is so much older.
    fn pass(&mut self, block: &mut [i16]) {
        let (end, length) = (HISTORY * scale(self.rate), self.rate.block());
        self.history.copy_within(length..end, 0);
        self.history[end - length..end].copy_from_slice(block);
        let heard = end - Concealer::delay(self.rate);
        block.copy_from_slice(&self.history[heard - length..heard]);
    }
}

/// A run of lost blocks: the repetition of what was heard before it.
#[derive(Clone, Debug)]
struct Erasure {
    /// Blocks concealed so far.
    blocks: u32,
    rate: Rate,
    /// The history when the first block was lost. Its end is repeated, and overlapped so that the repetition is seamless.
    source: [i16; HISTORY * SCALE_MAX],
    /// The last quarter of a period as it was heard.
    tail: [i16; DELAY * SCALE_MAX],
    /// The pitch period in samples.
    period: usize,
    /// Periods that are repeated, 1 to 3.
    periods: usize,
    /// Samples from the one to come to the end of the source.
    left: usize,
}

impl Erasure {
    /// Finds the pitch, and smooths the end of the history, not heard yet, towards the repetition (§I.2.3, §I.2.4).
    fn begin(history: &mut [i16], rate: Rate) -> Erasure {
        let period = pitch_period(history, rate);
        let quarter = period / 4;
        let end = history.len();
        let mut erasure = Erasure {
            blocks: 0,
            rate,
            source: [0; HISTORY * SCALE_MAX],
            tail: [0; DELAY * SCALE_MAX],
            period,
            periods: 1,
            left: period,
        };
        erasure.source[..end].copy_from_slice(history);
        erasure.tail[..quarter].copy_from_slice(&history[end - quarter..]);
        erasure.join();
        history[end - quarter..].copy_from_slice(&erasure.source[end - quarter..end]);
        erasure
    }

    fn end_of_source(&self) -> usize {
        HISTORY * scale(self.rate)
    }

    /// Overlaps the source's last quarter period with the one before the repeated stretch.
    fn join(&mut self) {
        let (quarter, end) = (self.period / 4, self.end_of_source());
        let begin = end - self.periods * self.period - quarter;
        for at in 0..quarter {
            let weight = fade_in(at, quarter);
            self.source[end - quarter + at] =
                mix(self.tail[at], 1.0 - weight, self.source[begin + at], weight);
        }
    }

    fn next(&mut self) -> i16 {
        let sample = self.source[self.end_of_source() - self.left];
        self.left -= 1;
        if self.left == 0 {
            self.left = self.periods * self.period;
        }
        sample
    }

    /// Repeats one period more, from the oldest on and in phase; gives how the shorter repetition would have gone on (§I.2.5).
    fn lengthen(&mut self) -> [i16; DELAY * SCALE_MAX] {
        let left = self.left;
        let mut ending = [0; DELAY * SCALE_MAX];
        ending[..self.period / 4].fill_with(|| self.next());
        self.left = (left - 1) % self.period + 1 + self.periods * self.period;
        self.periods += 1;
        self.join();
        ending
    }

    /// The next 10 ms in place of a lost block.
    fn fill(&mut self, block: &mut [i16]) {
        let ending = (1..3).contains(&self.blocks).then(|| self.lengthen());
        block.fill_with(|| self.next());
        if let Some(ending) = ending {
            let quarter = self.period / 4;
            for (at, sample) in block[..quarter].iter_mut().enumerate() {
                let weight = fade_in(at, quarter);
                *sample = mix(ending[at], 1.0 - weight, *sample, weight);
            }
        }
        let from = gain_after(self.blocks);
        self.blocks = self.blocks.saturating_add(1);
        let step = (gain_after(self.blocks) - from) / block.len() as f32;
        for (at, sample) in block.iter_mut().enumerate() {
            *sample = to_sample((from + step * at as f32) * f32::from(*sample));
        }
    }

    /// Overlaps the first block that arrived again with what would have been repeated (§I.2.7).
    fn end(&mut self, block: &mut [i16]) {
        let further = (self.blocks.min(AUDIBLE_BLOCKS) - 1) as usize * (block.len() * 4 / 10);
        let overlap = (self.period / 4 + further).min(block.len());
        let gain = gain_after(self.blocks);
        for (at, sample) in block[..overlap].iter_mut().enumerate() {
            let weight = fade_in(at, overlap);
            *sample = mix(self.next(), gain * (1.0 - weight), *sample, weight);
        }
    }
}

/// The strength of the repetition after so many blocks (§I.2.6).
fn gain_after(blocks: u32) -> f32 {
    let faded = blocks.min(AUDIBLE_BLOCKS).saturating_sub(1);
    1.0 - faded as f32 / (AUDIBLE_BLOCKS - 1) as f32
}

/// The weight of what begins, in a triangular overlap.
fn fade_in(at: usize, length: usize) -> f32 {
    (at as f32 + 0.5) / length as f32
}

fn mix(a: i16, weight_a: f32, b: i16, weight_b: f32) -> i16 {
    to_sample(f32::from(a) * weight_a + f32::from(b) * weight_b)
}

/// The pitch period in samples: at first on the signal at 4 kHz, then near the best one exactly (§I.2.3).
fn pitch_period(history: &[i16], rate: Rate) -> usize {
    let scale = scale(rate);
    let mut line = [0; HISTORY * SCALE_MAX];
    let line = &mut line[..history.len()];
    // Twelve bits, so that the energy of 20 ms at 16 kHz fits 32: 320 · 2^22 < 2^31.
    let peak = history.iter().fold(0, |peak, s| peak | s.unsigned_abs());
    let shift = (16 - peak.leading_zeros()).saturating_sub(11);
    for (short, sample) in line.iter_mut().zip(history) {
        *short = sample >> shift;
    }
    let mut coarse = [0; HISTORY / 2];
    for (sample, group) in coarse.iter_mut().zip(line.chunks_exact(2 * scale)) {
        let sum: i16 = group[..scale].iter().sum();
        *sample = sum / scale as i16;
    }
    let near = best_lag(&coarse, COMPARED / 2, PERIOD_MIN / 2..=PERIOD_MAX / 2) * 2 * scale;
    let reach = 2 * scale - 1;
    let from = (near - reach).max(PERIOD_MIN * scale);
    let to = (near + reach).min(PERIOD_MAX * scale);
    best_lag(line, COMPARED * scale, from..=to)
}

/// The lag at which the end of a line resembles what came before it most, by normalized cross-correlation.
fn best_lag(line: &[i16], compared: usize, lags: std::ops::RangeInclusive<usize>) -> usize {
    let dot = |a: &[i16], b: &[i16]| -> i32 {
        a.iter()
            .zip(b)
            .map(|(a, b)| i32::from(*a) * i32::from(*b))
            .sum()
    };
    let begin = line.len() - compared;
    let mut best = (*lags.start(), f32::MIN);
    for lag in lags {
        let earlier = &line[begin - lag..line.len() - lag];
        let energy = dot(earlier, earlier).max(ENERGY_MIN);
        let likeness = dot(&line[begin..], earlier) as f32 / (energy as f32).sqrt();
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{db, rms, sine, vowel};

    const RATES: [Rate; 2] = [Rate::Narrow, Rate::Wide];

    /// What is heard of a sound of which the blocks of `lost` do not arrive.
    fn through(sound: &[i16], rate: Rate, lost: impl Fn(usize) -> bool) -> Vec<i16> {
        let mut concealer = Concealer::new(rate);
        let mut heard = sound.to_vec();
        for (number, block) in heard.chunks_exact_mut(rate.block()).enumerate() {
            if lost(number) {
                // What stands in the block is not to be looked at.
                block.fill(i16::MIN);
                concealer.lost(block);
            } else {
                concealer.good(block);
            }
        }
        heard
    }

    fn largest_step(sound: &[i16]) -> i32 {
        let step = |pair: &[i16]| (i32::from(pair[1]) - i32::from(pair[0])).abs();
        sound.windows(2).map(step).max().expect("two samples")
    }

    #[test]
    fn without_loss_audio_is_only_late() {
        for rate in RATES {
            let sound = vowel(117.0, rate.hz(), 20 * rate.block());
            let heard = through(&sound, rate, |_| false);
            let delay = Concealer::delay(rate);
            assert_eq!(delay * 1000, rate.hz() as usize * 375 / 100);
            assert_eq!(heard[delay..], sound[..sound.len() - delay]);
        }
    }

    #[test]
    fn the_pitch_is_found_in_its_whole_range() {
        for rate in RATES {
            for period in (PERIOD_MIN + 1..=PERIOD_MAX).step_by(7) {
                let period = period * scale(rate);
                let hz = f64::from(rate.hz()) / period as f64;
                let sound = vowel(hz, rate.hz(), HISTORY * scale(rate));
                let found = pitch_period(&sound, rate);
                // A multiple of the period repeats as well.
                let off = (found % period).min(period - found % period);
                assert!(off <= 1, "{hz} Hz at {rate:?}: {found} for {period}");
            }
        }
    }

    #[test]
    fn a_steady_vowel_goes_on_through_10_ms() {
        for rate in RATES {
            let sound = vowel(125.0, rate.hz(), 40 * rate.block());
            let heard = through(&sound, rate, |number| number == 20);
            let delay = Concealer::delay(rate);
            let wrong: Vec<i16> = heard[delay..]
                .iter()
                .zip(&sound)
                .map(|(a, b)| a - b)
                .collect();
            let ratio = db(rms(&wrong) / rms(&sound));
            assert!(ratio < -40.0, "{rate:?}: error at {ratio} dB");
        }
    }

    #[test]
    fn no_loss_clicks() {
        for rate in RATES {
            for pitch in [83.0, 117.3, 151.7, 190.0] {
                for burst in 1..9 {
                    let sound = vowel(pitch, rate.hz(), 60 * rate.block());
                    let heard = through(&sound, rate, |number| (20..20 + burst).contains(&number));
                    let (most, usual) = (largest_step(&heard[200..]), largest_step(&sound));
                    assert!(
                        f64::from(most) < 1.15 * f64::from(usual),
                        "{rate:?} {pitch} Hz {burst} blocks: {most} against {usual}"
                    );
                }
            }
        }
    }

    /// A sound slower than any pitch cannot be repeated without a jump, which the overlaps make a slope.
    #[test]
    fn what_does_not_repeat_is_joined_by_slopes() {
        for rate in RATES {
            for hz in (20..50).map(f64::from) {
                let sound = sine(hz, 10000.0, rate.hz(), 60 * rate.block());
                let heard = through(&sound, rate, |number| (20..24).contains(&number));
                let most = largest_step(&heard);
                let slope = 18000.0 / (PERIOD_MIN / 4 * scale(rate)) as f64;
                assert!(f64::from(most) < slope, "{rate:?} {hz} Hz: {most}, {slope}");
            }
        }
    }

    /// In noise every place is known by its samples: where is it that each of the blocks begins to repeat?
    #[test]
    fn a_longer_loss_repeats_more_periods() {
        for rate in RATES {
            let mut random = fastrand::Rng::with_seed(3);
            let noise: Vec<i16> = (0..20 * rate.block()).map(|_| random.i16(..)).collect();
            let mut concealer = Concealer::new(rate);
            for block in noise.chunks_exact(rate.block()) {
                concealer.good(&mut block.to_vec());
            }
            let period = pitch_period(&noise[noise.len() - HISTORY * scale(rate)..], rate);
            for number in 0..3 {
                concealer.lost(&mut vec![0; rate.block()]);
                let (mut places, block) = (0, rate.block());
                // The second half of the block, after every overlap but the one where the repetition begins anew.
                for at in (block / 2..block - 8).step_by(4) {
                    let faded = 0.2 * (number as f32 - 1.0 + at as f32 / block as f32).max(0.0);
                    let stretch = &concealer.estimate(0)[at..][..8];
                    let like = |place: &usize| {
                        let pairs = noise[*place..].iter().zip(stretch);
                        let off =
                            |(a, b): (&i16, &i16)| f32::from(*a) * (1.0 - faded) - f32::from(*b);
                        pairs.map(off).all(|off| off.abs() < 600.0)
                    };
                    let Some(place) = (0..noise.len() - 8).find(like) else {
                        continue;
                    };
                    let back = noise.len() - place;
                    assert!(back <= (number + 1) * period, "{rate:?} {number}: {back}");
                    assert!(back + block > number * period, "{rate:?} {number}: {back}");
                    places += 1;
                }
                assert!(places > 0, "{rate:?} {number}: nothing is repeated");
            }
        }
    }

    #[test]
    fn a_long_loss_fades_by_a_fifth_in_10_ms_and_is_silent_after_60() {
        for rate in RATES {
            let block = rate.block();
            let sound = vowel(125.0, rate.hz(), 40 * block);
            let heard = through(&sound, rate, |number| number >= 20);
            let delay = Concealer::delay(rate);
            for (number, middle) in [1.0, 0.9, 0.7, 0.5, 0.3, 0.1].into_iter().enumerate() {
                let at = (20 + number) * block;
                let ratio = rms(&heard[delay + at..][..block]) / rms(&sound[at..][..block]);
                assert!((ratio - middle).abs() < 0.06, "{rate:?} {number}: {ratio}");
            }
            assert!(
                heard[delay + 26 * block..]
                    .iter()
                    .all(|sample| *sample == 0)
            );
        }
    }

    #[test]
    fn what_arrives_again_is_overlapped_for_as_long_as_the_loss_was() {
        let rate = Rate::Narrow;
        // 100 Hz: the period is 80 samples, its quarter 20.
        let sound = vowel(100.0, rate.hz(), 40 * 80);
        for (burst, overlap) in [(1, 20), (2, 52), (3, 80), (9, 80)] {
            // The other half of the sound has another pitch, so that what is repeated differs from it.
            let mut sound = sound.clone();
            let back = (20 + burst) * 80;
            let other = vowel(170.0, rate.hz(), sound.len() - back);
            sound[back..].copy_from_slice(&other);
            let heard = through(&sound, rate, |number| (20..20 + burst).contains(&number));
            let arrived = &heard[back + DELAY..];
            assert_eq!(
                arrived[overlap..],
                other[overlap..other.len() - DELAY],
                "{burst}"
            );
            assert_ne!(arrived[..overlap], other[..overlap]);
            assert_ne!(arrived[overlap - 8..overlap], other[overlap - 8..overlap]);
        }
    }

    #[test]
    fn the_estimate_is_the_lost_block_and_not_late() {
        for rate in RATES {
            let sound = vowel(125.0, rate.hz(), 21 * rate.block());
            let mut concealer = Concealer::new(rate);
            let (heard, lost) = sound.split_at(20 * rate.block());
            for block in heard.chunks_exact(rate.block()) {
                concealer.good(&mut block.to_vec());
                assert_eq!(concealer.estimate(0), block);
            }
            concealer.lost(&mut vec![0; rate.block()]);
            let wrong: Vec<i16> = lost
                .iter()
                .zip(concealer.estimate(0))
                .map(|(a, b)| a - b)
                .collect();
            assert!(db(rms(&wrong) / rms(lost)) < -40.0);
        }
    }

    #[test]
    fn any_pattern_of_loss_stays_within_the_sound() {
        let mut random = fastrand::Rng::with_seed(7);
        for rate in RATES {
            let noise: Vec<i16> = (0..200 * rate.block()).map(|_| random.i16(..)).collect();
            let square: Vec<i16> = (0..200 * rate.block())
                .map(|n| if n / 37 % 2 == 0 { i16::MAX } else { i16::MIN })
                .collect();
            let quiet = sine(150.0, 3.0, rate.hz(), 200 * rate.block());
            for sound in [noise, square, quiet, vec![0; 200 * rate.block()]] {
                let pattern: Vec<bool> = (0..200).map(|_| random.u8(..3) == 0).collect();
                let heard = through(&sound, rate, |number| pattern[number]);
                let peak = |s: &[i16]| s.iter().map(|s| s.unsigned_abs()).max().expect("samples");
                assert!(peak(&heard) <= peak(&sound));
            }
            assert!(through(&[0; 1600], rate, |_| true).iter().all(|s| *s == 0));
        }
    }
}
