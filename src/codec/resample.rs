//! Changing the sampling rate: 8 <-> 16 kHz block by block in a call, and any rate of a sound file at once.
//!
//! **In a call** ([`Upsampler`], [`Downsampler`]) a half-band filter of 63 taps is used in its two phases. One phase of a
//! half-band filter is a single tap, so half of the samples pass as they are; the others cost 16 multiplications, many side by
//! side. The filter is the Kaiser-windowed one (β = 7), symmetric around 4 kHz: flat within
//! 0.01 dB to 3.4 kHz and 70 dB down from 4.6 kHz, whether as image or as alias. What lies between is attenuated by 6 dB at
//! 4 kHz. There is no state but the last samples, no failure, and no allocation.
//!
//! **Of a file** ([`resample`]) the same filter shape is computed for the ratio of the rates, in floating point.

use super::to_sample;
use std::f64::consts::PI;

/// Samples of 10 ms at 8 kHz.
pub const NARROW: usize = 80;
/// Samples of 10 ms at 16 kHz.
pub const WIDE: usize = 160;

/// Zero crossings of the sinc on either side of its middle.
const CROSSINGS: usize = 16;
/// The window's shape: stopband 70 dB down.
const KAISER_BETA: f64 = 7.0;
/// Samples that the phase with taps looks back.
const BACK: usize = 2 * CROSSINGS - 1;

/// The taps at odd distances 1, 3 … 31 from the middle, twice the filter's own, so that the sum of both sides is 1:
/// `sin(πk/2)/(πk/2)` under the Kaiser window.
const SIDE: [f32; CROSSINGS] = [
    0.6346717, -0.2062587, 0.1176014, -0.0777592, 0.0544885, -0.0390418, 0.0280722, -0.0200138,
    0.0140186, -0.0095675, 0.0063065, -0.0039719, 0.0023547, -0.0012833, 0.000615, -0.0002324,
];

/// Outputs that are computed side by side, for the sake of SIMD.
const STRIDE: usize = 16;

/// The phase with taps: for each place of the line, the samples 31 before to 0 before it, weighted. Sums go on in the same
/// order on every machine, so the bits are the same.
fn tapped(line: &[f32; BACK + NARROW]) -> [f32; NARROW] {
    let mut output = [0.0; NARROW];
    for (number, sums) in output.as_chunks_mut::<STRIDE>().0.iter_mut().enumerate() {
        for (distance, tap) in SIDE.iter().enumerate() {
            let older = &line[number * STRIDE + CROSSINGS - 1 - distance..][..STRIDE];
            let newer = &line[number * STRIDE + CROSSINGS + distance..][..STRIDE];
            for ((sum, a), b) in sums.iter_mut().zip(older).zip(newer) {
                *sum += tap * (a + b);
            }
        }
    }
    output
}

/// From 8 kHz to 16 kHz, 10 ms at a time; 2 ms late.
#[derive(Clone, Debug)]
pub struct Upsampler {
    /// The last samples.
    back: [f32; BACK],
}

impl Default for Upsampler {
    fn default() -> Upsampler {
        Upsampler { back: [0.0; BACK] }
    }
}

impl Upsampler {
    /// How late a sound comes out, in samples of 16 kHz.
    pub const DELAY: usize = 2 * CROSSINGS;

    /// Takes 10 ms at 8 kHz and gives 10 ms at 16 kHz.
    pub fn run(&mut self, input: &[i16; NARROW], output: &mut [i16; WIDE]) {
        let mut line = [0.0; BACK + NARROW];
        line[..BACK].copy_from_slice(&self.back);
        for (place, sample) in line[BACK..].iter_mut().zip(input) {
            *place = f32::from(*sample);
        }
        let between = tapped(&line);
        let pairs = output.as_chunks_mut::<2>().0;
        for ((pair, middle), between) in pairs.iter_mut().zip(&line[CROSSINGS - 1..]).zip(&between)
        {
            *pair = [to_sample(*middle), to_sample(*between)];
        }
        self.back.copy_from_slice(&line[NARROW..]);
    }
}

/// From 16 kHz to 8 kHz, 10 ms at a time; 1.875 ms late.
#[derive(Clone, Debug)]
pub struct Downsampler {
    /// The last samples at odd places, and at even ones.
    odd: [f32; BACK],
    even: [f32; CROSSINGS - 1],
}

impl Default for Downsampler {
    fn default() -> Downsampler {
        Downsampler {
            odd: [0.0; BACK],
            even: [0.0; CROSSINGS - 1],
        }
    }
}

impl Downsampler {
    /// How late a sound comes out, in samples of 16 kHz.
    pub const DELAY: usize = 2 * (CROSSINGS - 1);

    /// Takes 10 ms at 16 kHz and gives 10 ms at 8 kHz.
    pub fn run(&mut self, input: &[i16; WIDE], output: &mut [i16; NARROW]) {
        let mut odd = [0.0; BACK + NARROW];
        let mut even = [0.0; CROSSINGS - 1 + NARROW];
        odd[..BACK].copy_from_slice(&self.odd);
        even[..CROSSINGS - 1].copy_from_slice(&self.even);
        for (at, pair) in input.as_chunks::<2>().0.iter().enumerate() {
            even[CROSSINGS - 1 + at] = f32::from(pair[0]);
            odd[BACK + at] = f32::from(pair[1]);
        }
        // The middle tap is half, as is the sum of the others.
        for ((sample, middle), beside) in output.iter_mut().zip(&even).zip(&tapped(&odd)) {
            *sample = to_sample(0.5 * (middle + beside));
        }
        self.odd.copy_from_slice(&odd[NARROW..]);
        self.even.copy_from_slice(&even[NARROW..]);
    }
}

/// Why a file's rate cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sampling rate of {0} Hz is not supported; {RATE_MIN} to {RATE_MAX} Hz are")]
pub struct RateUnsupported(pub u32);

/// Lowest sampling rate of a sound file, Hz.
pub const RATE_MIN: u32 = 4_000;
/// Highest sampling rate of a sound file, Hz.
pub const RATE_MAX: u32 = 192_000;

/// Positions between two samples for which the filter is computed. All the usual rates need no more (11.025 to 16 kHz needs
/// 640) and are exact; with any other the position is rounded, which is a noise 60 dB down.
const PHASES_MAX: u64 = 1024;

/// Converts a whole sound, for files, outside the workers. The result begins where the sound begins (no delay) and has
/// `⌈count · to / from⌉` samples.
///
/// # Errors
/// A rate outside of [`RATE_MIN`] to [`RATE_MAX`].
pub fn resample(samples: &[i16], from: u32, to: u32) -> Result<Vec<i16>, RateUnsupported> {
    for rate in [from, to] {
        if !(RATE_MIN..=RATE_MAX).contains(&rate) {
            return Err(RateUnsupported(rate));
        }
    }
    if from == to {
        return Ok(samples.to_vec());
    }
    let (from, to) = (u64::from(from), u64::from(to));
    let phases = (to / gcd(from, to)).min(PHASES_MAX);
    let bank = FilterBank::new(phases as usize, (to as f64 / from as f64).min(1.0));
    let half = bank.taps / 2;
    // Silence on both sides, so that no position needs a check.
    let mut line = vec![0; samples.len() + bank.taps + 1];
    line[half - 1..][..samples.len()].copy_from_slice(samples);
    let count = (samples.len() as u64 * to).div_ceil(from);
    let at = |n: u64| {
        let position = (n * from * phases + to / 2) / to;
        let (whole, phase) = ((position / phases) as usize, (position % phases) as usize);
        let sum = bank.apply(phase, &line[whole..whole + bank.taps]);
        to_sample(sum)
    };
    Ok((0..count).map(at).collect())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The filter at each of the positions between two samples of the source.
struct FilterBank {
    /// Taps of a phase, a multiple of [`LANES`].
    taps: usize,
    coefficients: Vec<f32>,
}

/// Sums kept side by side, for the sake of SIMD.
const LANES: usize = 8;

impl FilterBank {
    /// A filter that ends at `cutoff` of the source's half rate.
    fn new(phases: usize, cutoff: f64) -> FilterBank {
        let reach = CROSSINGS as f64 / cutoff;
        let taps = (2 * reach.ceil() as usize).next_multiple_of(LANES);
        let mut coefficients = Vec::with_capacity(phases * taps);
        for phase in 0..phases {
            let middle = (taps / 2 - 1) as f64 + phase as f64 / phases as f64;
            let one = |tap: usize| windowed_sinc((tap as f64 - middle) * cutoff);
            let row: Vec<f64> = (0..taps).map(one).collect();
            // Every phase passes a constant unchanged, or it would be heard as a tone of the phases' rate.
            let total: f64 = row.iter().sum();
            coefficients.extend(row.iter().map(|tap| (tap / total) as f32));
        }
        FilterBank { taps, coefficients }
    }

    fn apply(&self, phase: usize, window: &[i16]) -> f32 {
        let row = &self.coefficients[phase * self.taps..][..self.taps];
        let mut sums = [0.0; LANES];
        for (taps, samples) in row.chunks_exact(LANES).zip(window.chunks_exact(LANES)) {
            for ((sum, tap), sample) in sums.iter_mut().zip(taps).zip(samples) {
                *sum += tap * f32::from(*sample);
            }
        }
        sums.iter().sum()
    }
}

/// The sinc under the Kaiser window, `x` in zero crossings.
fn windowed_sinc(x: f64) -> f64 {
    let edge = x / CROSSINGS as f64;
    if edge.abs() >= 1.0 {
        return 0.0;
    }
    let window = bessel_i0(KAISER_BETA * (1.0 - edge * edge).sqrt()) / bessel_i0(KAISER_BETA);
    let sinc = if x == 0.0 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    };
    sinc * window
}

/// The modified Bessel function of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-12 {
        term *= (x / 2.0 / k).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{amplitude, db, sine, sum};

    fn up(samples: &[i16]) -> Vec<i16> {
        let mut upsampler = Upsampler::default();
        let block = |block: &[i16; NARROW]| {
            let mut output = [0; WIDE];
            upsampler.run(block, &mut output);
            output
        };
        samples.as_chunks().0.iter().flat_map(block).collect()
    }

    fn down(samples: &[i16]) -> Vec<i16> {
        let mut downsampler = Downsampler::default();
        let block = |block: &[i16; WIDE]| {
            let mut output = [0; NARROW];
            downsampler.run(block, &mut output);
            output
        };
        samples.as_chunks().0.iter().flat_map(block).collect()
    }

    /// The filter's own taps, computed.
    #[test]
    fn the_taps_are_those_of_the_window() {
        let one = |n: usize| windowed_sinc(n as f64 + 0.5);
        let total: f64 = 2.0 * (0..CROSSINGS).map(one).sum::<f64>();
        for (n, tap) in SIDE.iter().enumerate() {
            let exact = one(n) / total;
            assert!((f64::from(*tap) - exact).abs() < 1e-7, "{n}: {tap} {exact}");
        }
    }

    #[test]
    fn upwards_the_band_is_flat_and_images_are_gone() {
        for hz in (100..=3400).step_by(100).map(f64::from) {
            let out = up(&sine(hz, 16000.0, 8000, 4000));
            let level = db(amplitude(&out[400..], hz, 16000) / 16000.0);
            assert!(level.abs() < 0.1, "{hz} Hz: {level} dB");
            let image = db(amplitude(&out[400..], 8000.0 - hz, 16000) / 16000.0);
            assert!(image < -60.0, "{hz} Hz: image at {image} dB");
        }
    }

    #[test]
    fn downwards_the_band_is_flat_and_aliases_are_gone() {
        for hz in (100..=3400).step_by(100).map(f64::from) {
            let out = down(&sine(hz, 16000.0, 16000, 8000));
            let level = db(amplitude(&out[400..], hz, 8000) / 16000.0);
            assert!(level.abs() < 0.1, "{hz} Hz: {level} dB");
        }
        for hz in (4600..8000).step_by(100).map(f64::from) {
            let out = down(&sine(hz, 16000.0, 16000, 8000));
            let alias = db(amplitude(&out[400..], 8000.0 - hz, 8000) / 16000.0);
            assert!(alias < -60.0, "{hz} Hz: alias at {alias} dB");
        }
    }

    #[test]
    fn the_delay_is_what_is_said() {
        let mut click = [0; 4 * WIDE];
        click[WIDE] = 16000;
        let peak = |samples: &[i16]| {
            (0..samples.len())
                .max_by_key(|n| samples[*n].unsigned_abs())
                .expect("samples")
        };
        assert_eq!(peak(&down(&click)) * 2, WIDE + Downsampler::DELAY);
        assert_eq!(peak(&up(&click)), 2 * WIDE + Upsampler::DELAY);
    }

    #[test]
    fn the_loudest_square_wave_saturates_and_does_not_wrap() {
        let loud: Vec<i16> = (0..1600)
            .map(|n| if n % 32 < 16 { i16::MAX } else { i16::MIN })
            .collect();
        for (n, sample) in up(&loud).iter().enumerate().skip(Upsampler::DELAY) {
            // A period is 64 samples now, and the delay half of one.
            match (n + Upsampler::DELAY) % 64 {
                4..28 => assert!(*sample > 0, "{n}: {sample}"),
                36..60 => assert!(*sample < 0, "{n}: {sample}"),
                _ => {}
            }
        }
        for out in [
            up(&loud),
            down(&loud),
            resample(&loud, 8000, 16000).expect("rates"),
        ] {
            assert!(out.contains(&i16::MAX) && out.contains(&i16::MIN));
        }
    }

    #[test]
    fn there_and_back_a_sound_is_the_same() {
        let source = sum(
            &sine(440.0, 9000.0, 8000, 8000),
            &sine(2900.0, 9000.0, 8000, 8000),
        );
        let back = down(&up(&source));
        let delay = (Upsampler::DELAY + Downsampler::DELAY) / 2;
        let worst = back[delay..]
            .iter()
            .zip(&source)
            .skip(200)
            .map(|(a, b)| (a - b).abs())
            .max();
        assert!(worst.expect("samples") < 20, "{worst:?}");
    }

    #[test]
    fn files_of_the_usual_rates_come_out_level_and_clean() {
        for from in [8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 12345] {
            for to in [8000, 16000] {
                let narrow = f64::from(from.min(to));
                let count = from as usize / 2;
                for hz in [300.0, 1000.0, narrow * 0.42] {
                    let out = resample(&sine(hz, 16000.0, from, count), from, to).expect("a rate");
                    assert_eq!(out.len(), (count * to as usize).div_ceil(from as usize));
                    let level = db(amplitude(&out[400..], hz, to) / 16000.0);
                    assert!(level.abs() < 0.1, "{from} to {to}, {hz} Hz: {level} dB");
                }
                // What is above the narrower band neither folds nor images back.
                let (stray, heard) = if from > to {
                    (f64::from(to) * 0.6, f64::from(to) * 0.4)
                } else {
                    (f64::from(from) * 0.4, f64::from(from) * 0.6)
                };
                if from != to && heard < f64::from(to) / 2.0 {
                    let out =
                        resample(&sine(stray, 16000.0, from, count), from, to).expect("a rate");
                    let level = db(amplitude(&out[400..], heard, to) / 16000.0);
                    assert!(level < -55.0, "{from} to {to}: {level} dB at {heard} Hz");
                }
            }
        }
    }

    #[test]
    fn a_file_begins_where_it_began() {
        let mut click = vec![0; 4410];
        click[441] = 20000;
        let out = resample(&click, 44100, 8000).expect("rates");
        let peak = (0..out.len()).max_by_key(|n| out[*n]).expect("samples");
        assert_eq!(peak, 80);
        assert!(resample(&[], 44100, 8000).expect("rates").is_empty());
        assert_eq!(resample(&[1], 3999, 8000), Err(RateUnsupported(3999)));
        assert_eq!(
            resample(&[1], 8000, u32::MAX),
            Err(RateUnsupported(u32::MAX))
        );
    }
}
