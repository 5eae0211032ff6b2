//! One sub-band of G.722: its adaptive quantizer step and adaptive predictor (clauses 3.4 to 3.6 and 6.2).
//!
//! The lower and the upper band differ only in their quantizers; the rest is one and the same. Blocks are named as in clause 6.2,
//! without the L or H of the band. All values are 16 bits wide, sums saturate, and products lose
//! their lower 15 bits by rounding down.

use super::tables::{
    ANTILOG, HIGH_LEVEL, HIGH_LOG_MAX, HIGH_LOG_STEPS, HIGH_MAGNITUDES, LOW_LEVELS, LOW_LOG_MAX,
    LOW_LOG_STEPS, LOW_MAGNITUDES_4,
};

/// The state of one sub-band, the same in encoder and decoder. Laid out in the order in which the SIMD kernels read it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Band {
    /// Logarithm of the quantizer's scale factor (NB), 0 to the band's maximum.
    pub log_scale: i16,
    /// The quantizer's scale factor (DET), 8 to 16,384.
    pub scale: i16,
    /// What the predictor expects of the next sample (S).
    pub predicted: i16,
    /// The share of the zeros in it (SZ).
    pub zeros_predicted: i16,
    /// Coefficients of the two poles (A1, A2).
    pub poles: [i16; 2],
    /// The last two partial reconstructions, zeros only (P1, P2), newest first.
    pub partial: [i16; 2],
    /// Coefficients of the six zeros (B1 to B6).
    pub zeros: [i16; 6],
    /// The last two reconstructed samples (R1, R2), doubled as the filter needs them, newest first.
    pub reconstructed: [i16; 2],
    /// The last six quantized differences (D1 to D6), doubled likewise, newest first.
    pub differences: [i16; 6],
}

/// A difference as a quantizer sees it: its sign, and the number of the interval that its magnitude falls into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Whether the difference is below zero.
    pub negative: bool,
    /// The interval of the magnitude, from 0.
    pub number: u8,
}

impl Interval {
    /// The interval of the predictor's four bits that holds this one of the lower band's six.
    pub fn of_four_bits(self) -> Interval {
        Interval {
            number: (self.number + 2) >> 2,
            ..self
        }
    }
}

impl Band {
    /// The state after a reset of the lower band.
    pub const LOW: Band = Band::reset(32);
    /// The state after a reset of the upper band.
    pub const HIGH: Band = Band::reset(8);

    const fn reset(scale: i16) -> Band {
        Band {
            log_scale: 0,
            scale,
            predicted: 0,
            zeros_predicted: 0,
            poles: [0; 2],
            partial: [0; 2],
            zeros: [0; 6],
            reconstructed: [0; 2],
            differences: [0; 6],
        }
    }

    /// Quantizes a sample of the lower band (SUBTRA and QUANTL).
    pub fn quantize_low(&self, sample: i16) -> Interval {
        self.quantize(sample, &LOW_LEVELS)
    }

    /// Quantizes a sample of the upper band (SUBTRA and QUANTH).
    pub fn quantize_high(&self, sample: i16) -> Interval {
        self.quantize(sample, &[HIGH_LEVEL])
    }

    fn quantize(&self, sample: i16, levels: &[i16]) -> Interval {
        let difference = sample.saturating_sub(self.predicted);
        let magnitude = difference ^ (difference >> 15);
        let number = levels.partition_point(|&level| magnitude >= scaled(self.scale, level));
        Interval {
            negative: difference < 0,
            number: number as u8,
        }
    }

    /// The quantized difference of a magnitude in this band's present scale (INVQ).
    pub fn difference(&self, negative: bool, magnitude: i16) -> i16 {
        scaled(self.scale, if negative { -magnitude } else { magnitude })
    }

    /// Carries the lower band past a sample, of which it hears four bits.
    pub fn adapt_low(&mut self, interval: Interval) {
        let number = usize::from(interval.number);
        let difference = self.difference(interval.negative, LOW_MAGNITUDES_4[number]);
        self.adapt_scale(LOW_LOG_STEPS[number], LOW_LOG_MAX, 8);
        self.adapt_predictor(difference);
    }

    /// Carries the upper band past a sample.
    pub fn adapt_high(&mut self, interval: Interval) {
        let number = usize::from(interval.number);
        let difference = self.difference(interval.negative, HIGH_MAGNITUDES[number]);
        self.adapt_scale(HIGH_LOG_STEPS[number], HIGH_LOG_MAX, 10);
        self.adapt_predictor(difference);
    }

    /// LOGSC and SCALE: a leaky logarithm, and its antilogarithm by a table for the fraction and a shift for the rest.
    fn adapt_scale(&mut self, step: i16, log_max: i16, exponent: i32) {
        let log = scaled(self.log_scale, 32_512) + step;
        self.log_scale = log.clamp(0, log_max);
        let fraction = ANTILOG[usize::from((self.log_scale >> 6) as u16 & 31)];
        let shift = exponent - i32::from(self.log_scale >> 11);
        let scale = if shift < 0 {
            fraction << -shift
        } else {
            fraction >> shift
        };
        self.scale = scale << 2;
    }

    /// The predictor of two poles and six zeros (clause 6.2, block 4).
    fn adapt_predictor(&mut self, difference: i16) {
        // PARREC and RECONS.
        let partial = difference.saturating_add(self.zeros_predicted);
        let reconstructed = difference.saturating_add(self.predicted);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        self.partial = [partial, self.partial[0]];
        let doubled = reconstructed.saturating_add(reconstructed);
        self.reconstructed = [doubled, self.reconstructed[0]];
        self.differences.rotate_right(1);
        self.differences[0] = difference.saturating_add(difference);
        self.predict();
    }

    /// UPPOL2 and UPPOL1: the poles follow the signs of the partial reconstructions, within the bounds of stability.
    fn adapt_poles(&mut self, partial: i16) {
        let [first, second] = self.poles;
        let same = |other: i16| (partial ^ other) >= 0;
        let quadrupled = first.saturating_add(first);
        let quadrupled = quadrupled.saturating_add(quadrupled);
        let towards = if same(self.partial[0]) {
            0i16.saturating_sub(quadrupled)
        } else {
            quadrupled
        };
        let step = (towards >> 7) + if same(self.partial[1]) { 128 } else { -128 };
        let second = (step + scaled(second, 32_512)).clamp(-12_288, 12_288);
        let step = if same(self.partial[0]) { 192 } else { -192 };
        let bound = 15_360 - second;
        let first = (step + scaled(first, 32_640)).clamp(-bound, bound);
        self.poles = [first, second];
    }

    /// UPZERO: each zero follows the sign of the difference that it weighs, and leaks.
    fn adapt_zeros(&mut self, difference: i16) {
        let gain = if difference == 0 { 0 } else { 128 };
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let step = if (difference ^ past) >= 0 {
                gain
            } else {
                -gain
            };
            *zero = step + scaled(*zero, 32_640);
        }
    }

    /// FILTEP, FILTEZ and PREDIC.
    fn predict(&mut self) {
        let [first, second] = self.reconstructed;
        let by_poles = scaled(self.poles[0], first).saturating_add(scaled(self.poles[1], second));
        let terms = self.differences.iter().zip(self.zeros);
        // The Recommendation adds from the sixth to the first; where sums saturate the order tells.
        self.zeros_predicted = terms.rev().fold(0, |sum: i16, (&difference, zero)| {
            sum.saturating_add(scaled(zero, difference))
        });
        self.predicted = by_poles.saturating_add(self.zeros_predicted);
    }
}

/// A product of two 16-bit values without its lower 15 bits. It fits: a zero's coefficient can be -32,768, but its difference
/// is 20,456 at most; a doubled sample can be, but its pole is 27,648 at most.
#[inline(always)]
fn scaled(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 15) as i16
}
