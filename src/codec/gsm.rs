//! GSM 06.10 full rate: its decoder, for sound files. Written from the Recommendation (3GPP TS 46.010 §5.3), to the bit.
//!
//! 20 ms of 8 kHz are 76 parameters in 260 bits: eight log area ratios of a lattice filter, and for each 5 ms a long-term
//! predictor's lag and gain and thirteen pulses. A decoder has no failures: every 260 bits decode.

/// Samples of a frame.
pub const FRAME_SAMPLES: usize = 160;
/// Octets of a frame as RTP and `.gsm` files have it: a signature of four bits before the 260 (RFC 3551 §4.5.8).
pub const FRAME_OCTETS: usize = 33;
/// Octets of two frames as WAV files have them, without a signature and the lowest bits first.
pub const PAIR_OCTETS: usize = 65;

const SIGNATURE: u8 = 0xD;
/// Samples of a sub-frame.
const SUB_FRAME: usize = 40;
/// Past samples that the long-term predictor reaches.
const LAG_MAX: usize = 120;
const LAG_MIN: usize = 40;

/// Bits of the log area ratios (table 1.1).
const RATIO_BITS: [u32; 8] = [6, 6, 5, 5, 4, 4, 3, 3];
/// Table 5.1, the decoder's columns: `B`, `MIC` and `INVA` of each ratio.
const RATIO_OFFSET: [i16; 8] = [0, 0, 2048, -2560, 94, -1792, -341, -1144];
const RATIO_LEAST: [i16; 8] = [-32, -32, -16, -16, -8, -8, -4, -4];
const RATIO_INVERSE: [i16; 8] = [13107, 13107, 13107, 13107, 19223, 17476, 31454, 29708];
/// Table 5.3b: the long-term predictor's gains.
const GAINS: [i16; 4] = [3277, 11469, 21299, 32767];
/// Table 5.6: the mantissas of the pulses' magnitude.
const MANTISSAS: [i16; 8] = [18431, 20479, 22527, 24575, 26623, 28671, 30719, 32767];

/// The parameters of 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    ratios: [i16; 8],
    parts: [SubFrame; 4],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct SubFrame {
    lag: usize,
    gain: usize,
    grid: usize,
    magnitude: i16,
    pulses: [i16; 13],
}

impl Frame {
    /// A frame of RTP or a `.gsm` file; none if its signature is wrong.
    pub fn parse(octets: &[u8; FRAME_OCTETS]) -> Option<Frame> {
        let mut at = 0;
        let mut take = |bits: u32| {
            let bit = |n: usize| u16::from(octets[n / 8] >> (7 - n % 8) & 1);
            let value = (at..at + bits as usize).fold(0, |value, n| value << 1 | bit(n));
            at += bits as usize;
            value
        };
        (take(4) == u16::from(SIGNATURE)).then(|| Frame::read(&mut take))
    }

    /// Two frames of a WAV file.
    pub fn parse_pair(octets: &[u8; PAIR_OCTETS]) -> [Frame; 2] {
        let mut at = 0;
        let mut take = |bits: u32| {
            let bit = |n: usize| u16::from(octets[n / 8] >> (n % 8) & 1);
            let value = (at..at + bits as usize)
                .rev()
                .fold(0, |value, n| value << 1 | bit(n));
            at += bits as usize;
            value
        };
        [Frame::read(&mut take), Frame::read(&mut take)]
    }

    /// The parameters in the order in which they are sent (§1.7).
    fn read(take: &mut impl FnMut(u32) -> u16) -> Frame {
        let ratios = RATIO_BITS.map(|bits| take(bits) as i16);
        let parts = [(); 4].map(|()| SubFrame {
            lag: usize::from(take(7)),
            gain: usize::from(take(2)),
            grid: usize::from(take(2)),
            magnitude: take(6) as i16,
            pulses: [(); 13].map(|()| take(3) as i16),
        });
        Frame { ratios, parts }
    }
}

/// A decoder of one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The last samples of the residual, the oldest first.
    residual: [i16; LAG_MAX],
    lag: usize,
    /// The log area ratios of the frame before.
    ratios: [i16; 8],
    /// The short-term filter's memory.
    lattice: [i16; 9],
    /// The de-emphasis filter's.
    emphasis: i16,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder {
            residual: [0; LAG_MAX],
            lag: LAG_MIN,
            ratios: [0; 8],
            lattice: [0; 9],
            emphasis: 0,
        }
    }
}

impl Decoder {
    /// Decodes 20 ms.
    pub fn decode(&mut self, frame: &Frame, samples: &mut [i16; FRAME_SAMPLES]) {
        for (part, samples) in frame.parts.iter().zip(samples.chunks_exact_mut(SUB_FRAME)) {
            self.predict(part, samples);
        }
        self.filter(&decoded_ratios(&frame.ratios), samples);
        for sample in samples {
            // §5.3.5: de-emphasis, one bit more, and the three lowest bits away.
            self.emphasis = sample.saturating_add(mult_r(self.emphasis, 28_180));
            *sample = self.emphasis.saturating_add(self.emphasis) & !7;
        }
    }

    /// The residual of 5 ms: pulses on their grid, and what the long-term predictor adds (§5.3.1, §5.3.2).
    fn predict(&mut self, part: &SubFrame, samples: &mut [i16]) {
        let mut pulses = [0; SUB_FRAME];
        for (place, pulse) in inverse_quantized(part).into_iter().enumerate() {
            pulses[part.grid + 3 * place] = pulse;
        }
        if (LAG_MIN..=LAG_MAX).contains(&part.lag) {
            self.lag = part.lag;
        }
        let past = LAG_MAX - self.lag;
        for (at, sample) in samples.iter_mut().enumerate() {
            let predicted = mult_r(GAINS[part.gain], self.residual[past + at]);
            *sample = pulses[at].saturating_add(predicted);
        }
        self.residual.copy_within(SUB_FRAME.., 0);
        self.residual[LAG_MAX - SUB_FRAME..].copy_from_slice(samples);
    }

    /// The short-term synthesis filter, whose coefficients go over from the frame before in three steps (§5.3.3, §5.3.4).
    fn filter(&mut self, ratios: &[i16; 8], samples: &mut [i16; FRAME_SAMPLES]) {
        let before = self.ratios;
        self.ratios = *ratios;
        let between = |step: usize| -> [i16; 8] {
            std::array::from_fn(|n| {
                let (old, new) = (before[n], ratios[n]);
                match step {
                    0 => (old >> 2).saturating_add(new >> 2).saturating_add(old >> 1),
                    1 => (old >> 1).saturating_add(new >> 1),
                    2 => (old >> 2).saturating_add(new >> 2).saturating_add(new >> 1),
                    _ => new,
                }
            })
        };
        let mut rest = samples.as_mut_slice();
        for (step, length) in [13, 14, 13, 120].into_iter().enumerate() {
            let (now, later) = rest.split_at_mut(length);
            self.synthesize(&between(step).map(reflection), now);
            rest = later;
        }
    }

    fn synthesize(&mut self, reflection: &[i16; 8], samples: &mut [i16]) {
        for sample in samples {
            let mut signal = *sample;
            for n in (0..8).rev() {
                signal = signal.saturating_sub(mult_r(reflection[n], self.lattice[n]));
                self.lattice[n + 1] = self.lattice[n].saturating_add(mult_r(reflection[n], signal));
            }
            self.lattice[0] = signal;
            *sample = signal;
        }
    }
}

/// The product of two fractions, rounded (§5.1).
fn mult_r(a: i16, b: i16) -> i16 {
    let product = (i32::from(a) * i32::from(b) + (1 << 14)) >> 15;
    product.min(i32::from(i16::MAX)) as i16
}

/// The pulses of 5 ms (§5.3.1, with the exponent and mantissa of §5.2.15).
fn inverse_quantized(part: &SubFrame) -> [i16; 13] {
    let mut exponent = match part.magnitude {
        magnitude @ 16.. => (magnitude >> 3) - 1,
        _ => 0,
    };
    let mut mantissa = part.magnitude - (exponent << 3);
    if mantissa == 0 {
        (exponent, mantissa) = (-4, 15);
    } else {
        while mantissa <= 7 {
            mantissa = mantissa << 1 | 1;
            exponent -= 1;
        }
    }
    let factor = MANTISSAS[usize::from(mantissa as u16 & 7)];
    let shift = 6 - exponent;
    // §5.1: a shift by -1 is one to the right.
    let half = (1_i16 << shift) >> 1;
    part.pulses.map(|pulse| {
        let scaled = mult_r(factor, ((pulse << 1) - 7) << 12);
        scaled.saturating_add(half) >> shift
    })
}

/// The log area ratios (§5.2.8).
fn decoded_ratios(codes: &[i16; 8]) -> [i16; 8] {
    std::array::from_fn(|n| {
        let level = (codes[n] + RATIO_LEAST[n]) << 10;
        let ratio = mult_r(RATIO_INVERSE[n], level.saturating_sub(RATIO_OFFSET[n] << 1));
        ratio.saturating_add(ratio)
    })
}

/// The reflection coefficient of a log area ratio (§5.2.9.2).
fn reflection(ratio: i16) -> i16 {
    let size = ratio.saturating_abs();
    let coefficient = match size {
        ..11_059 => size << 1,
        11_059..20_070 => size + 11_059,
        _ => (size >> 2).saturating_add(26_112),
    };
    if ratio < 0 { -coefficient } else { coefficient }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_its_signature_is_refused() {
        let mut octets = [0; FRAME_OCTETS];
        assert_eq!(Frame::parse(&octets), None);
        octets[0] = 0xD0;
        assert!(Frame::parse(&octets).is_some());
    }

    /// The same parameters, written in either order of bits.
    #[test]
    fn both_packings_mean_the_same() {
        let mut random = fastrand::Rng::with_seed(6);
        for _ in 0..100 {
            let widths = || {
                let part = [7, 2, 2, 6].into_iter().chain([3; 13]);
                RATIO_BITS
                    .into_iter()
                    .chain((0..4).flat_map(move |_| part.clone()))
            };
            let values: Vec<u16> = widths().map(|bits| random.u16(..1 << bits)).collect();
            let mut bits = vec![true, true, false, true];
            let mut swapped = Vec::new();
            for (value, width) in values.iter().zip(widths()) {
                bits.extend((0..width).rev().map(|n| value >> n & 1 == 1));
                swapped.extend((0..width).map(|n| value >> n & 1 == 1));
            }
            let high_first = |bits: &[bool]| {
                bits.iter()
                    .fold(0, |octet, bit| octet << 1 | u8::from(*bit))
            };
            let low_first = |bits: &[bool]| {
                bits.iter()
                    .rev()
                    .fold(0, |octet, bit| octet << 1 | u8::from(*bit))
            };
            let octets: Vec<u8> = bits.chunks(8).map(high_first).collect();
            swapped.extend_from_within(..);
            let pair: Vec<u8> = swapped.chunks(8).map(low_first).collect();
            let frame = Frame::parse(octets.first_chunk().expect("33 octets")).expect("a frame");
            let [one, two] = Frame::parse_pair(pair.first_chunk().expect("65 octets"));
            assert_eq!((one, two), (frame, frame));
        }
    }

    #[test]
    fn any_bits_decode() {
        let mut random = fastrand::Rng::with_seed(8);
        let mut decoder = Decoder::default();
        let mut samples = [0; FRAME_SAMPLES];
        for _ in 0..5_000 {
            let mut octets = [0; PAIR_OCTETS];
            octets.fill_with(|| random.u8(..));
            for frame in Frame::parse_pair(&octets) {
                decoder.decode(&frame, &mut samples);
            }
        }
        for octets in [[0; PAIR_OCTETS], [0xFF; PAIR_OCTETS]] {
            let [frame, _] = Frame::parse_pair(&octets);
            (0..50).for_each(|_| decoder.decode(&frame, &mut samples));
        }
    }
}
