//! The state of eight streams' sixteen sub-bands, a lane for each: what [`Band`] does, sixteen times at once.
//!
//! The Recommendation's arithmetic is of 16 bits throughout, so a lane is 16 bits wide, and both bands go through the same
//! instructions: where they differ, the two halves of a vector hold different constants and tables.

use super::super::band::Band;
use super::super::tables::{
    ANTILOG, HIGH_LEVEL, HIGH_LOG_MAX, HIGH_LOG_STEPS, HIGH_MAGNITUDES, LOW_LEVELS, LOW_LOG_MAX,
    LOW_LOG_STEPS, LOW_MAGNITUDES_4, LOW_MAGNITUDES_6,
};
use super::LANES;
use super::vector::*;
use std::arch::x86_64::*;

/// Sixteen [`Band`]s, field by field.
pub struct Bands {
    log_scale: Words,
    scale: Words,
    predicted: Words,
    zeros_predicted: Words,
    poles: [Words; 2],
    partial: [Words; 2],
    zeros: [Words; 6],
    reconstructed: [Words; 2],
    differences: [Words; 6],
}

/// A table of eight for the upper band, whose intervals are 0 and any other.
const fn first_and_others([first, other]: [i16; 2]) -> [i16; 8] {
    [first, other, other, other, other, other, other, other]
}

/// Quantized magnitudes by interval of the predictor, lower and upper band.
const MAGNITUDES: [[i16; 8]; 2] = [LOW_MAGNITUDES_4, first_and_others(HIGH_MAGNITUDES)];
/// What the scale's logarithm rises by, likewise.
const LOG_STEPS: [[i16; 8]; 2] = [LOW_LOG_STEPS, first_and_others(HIGH_LOG_STEPS)];

/// Where the predictor's intervals of the lower band begin, 1 to 7.
const COARSE_LEVELS: [i16; 7] = {
    let mut levels = [0; 7];
    let mut i = 0;
    while i < 7 {
        levels[i] = LOW_LEVELS[4 * i + 1];
        i += 1;
    }
    levels
};

/// By interval of the predictor, the three levels within it. The first one has but one; two of 0, which every magnitude
/// reaches, fill its place.
const FINE_LEVELS: [[i16; 8]; 3] = {
    let mut levels = [[0; 8]; 3];
    levels[2][0] = LOW_LEVELS[0];
    let mut i = 4;
    while i < 32 {
        levels[0][i / 4] = LOW_LEVELS[i - 2];
        levels[1][i / 4] = LOW_LEVELS[i - 1];
        levels[2][i / 4] = LOW_LEVELS[i];
        i += 4;
    }
    levels
};

/// By interval of the predictor, the code of its end, from which the levels not reached are counted off: positive and
/// negative differences of the lower band, then of the upper one.
const ENDS: [[i16; 8]; 4] = [
    [60, 56, 52, 48, 44, 40, 36, 32],
    [62, 28, 24, 20, 16, 12, 8, 4],
    first_and_others([3 << 6, 2 << 6]),
    first_and_others([1 << 6, 0]),
];

/// The antilogarithms, times 16 to fill the word, in tables of eight; a table of the unsigned.
const ANTILOGS: [[i16; 8]; 4] = {
    let mut tables = [[0; 8]; 4];
    let mut i = 0;
    while i < 32 {
        tables[i / 8][i % 8] = (ANTILOG[i] as u16 * 16) as i16;
        i += 1;
    }
    tables
};

/// The powers of two that one octet holds. In pairs of octets, the second looked up 8 before the first, all that a word holds.
const POWERS: [i16; 8] = [0x0201, 0x0804, 0x2010, 0x8040_u16 as i16, 0, 0, 0, 0];

/// Quantized magnitudes of mode 1 by interval, in tables of eight.
const HEARD: [[i16; 8]; 4] = {
    let mut tables = [[0; 8]; 4];
    let mut i = 0;
    while i < 30 {
        tables[i / 8][i % 8] = LOW_MAGNITUDES_6[i];
        i += 1;
    }
    tables
};

/// The upper band's magnitudes where its intervals are called 0 and 2.
const HEARD_HIGH: [i16; 8] = [HIGH_MAGNITUDES[0], 0, HIGH_MAGNITUDES[1], 0, 0, 0, 0, 0];

impl Band {
    /// The state as rows that fill half a vector, in the order of the fields.
    fn rows(&self) -> [[i16; 8]; 3] {
        let ([a1, a2], [p1, p2], [r1, r2]) = (self.poles, self.partial, self.reconstructed);
        let ([b1, b2, b3, b4, b5, b6], [d1, d2, d3, d4, d5, d6]) = (self.zeros, self.differences);
        let (log, scale) = (self.log_scale, self.scale);
        let (s, sz) = (self.predicted, self.zeros_predicted);
        [
            [log, scale, s, sz, a1, a2, p1, p2],
            [b1, b2, b3, b4, b5, b6, r1, r2],
            [d1, d2, d3, d4, d5, d6, 0, 0],
        ]
    }

    /// The state that [`Band::rows`] gave.
    fn from_rows(rows: [[i16; 8]; 3]) -> Band {
        let [
            first,
            [b1, b2, b3, b4, b5, b6, r1, r2],
            [d1, d2, d3, d4, d5, d6, ..],
        ] = rows;
        let [log_scale, scale, predicted, zeros_predicted, a1, a2, p1, p2] = first;
        Band {
            log_scale,
            scale,
            predicted,
            zeros_predicted,
            poles: [a1, a2],
            partial: [p1, p2],
            zeros: [b1, b2, b3, b4, b5, b6],
            reconstructed: [r1, r2],
            differences: [d1, d2, d3, d4, d5, d6],
        }
    }
}

impl Bands {
    /// Takes the lower and upper bands of eight streams apart.
    #[target_feature(enable = "avx2")]
    pub fn gather(low: &[Band; LANES], high: &[Band; LANES]) -> Bands {
        let mut thirds = [[_mm256_setzero_si256(); LANES]; 3];
        for lane in 0..LANES {
            let halves = low[lane].rows().into_iter().zip(high[lane].rows());
            for (third, (low, high)) in thirds.iter_mut().zip(halves) {
                third[lane] = table_by_band(&low, &high);
            }
        }
        let [log_scale, scale, predicted, zeros_predicted, a1, a2, p1, p2] =
            transpose_words(thirds[0]);
        let [b1, b2, b3, b4, b5, b6, r1, r2] = transpose_words(thirds[1]);
        let [d1, d2, d3, d4, d5, d6, _, _] = transpose_words(thirds[2]);
        Bands {
            log_scale,
            scale,
            predicted,
            zeros_predicted,
            poles: [a1, a2],
            partial: [p1, p2],
            zeros: [b1, b2, b3, b4, b5, b6],
            reconstructed: [r1, r2],
            differences: [d1, d2, d3, d4, d5, d6],
        }
    }

    /// Puts them together again.
    #[target_feature(enable = "avx2")]
    pub fn scatter(&self, low: &mut [Band; LANES], high: &mut [Band; LANES]) {
        let none = _mm256_setzero_si256();
        let ([a1, a2], [p1, p2], [r1, r2]) = (self.poles, self.partial, self.reconstructed);
        let ([b1, b2, b3, b4, b5, b6], [d1, d2, d3, d4, d5, d6]) = (self.zeros, self.differences);
        let (log, scale) = (self.log_scale, self.scale);
        let (s, sz) = (self.predicted, self.zeros_predicted);
        let thirds = [
            transpose_words([log, scale, s, sz, a1, a2, p1, p2]),
            transpose_words([b1, b2, b3, b4, b5, b6, r1, r2]),
            transpose_words([d1, d2, d3, d4, d5, d6, none, none]),
        ];
        for lane in 0..LANES {
            let mut rows = [[[0; 8]; 3]; 2];
            for (third, lanes) in thirds.iter().enumerate() {
                let (lower, upper) = halves(lanes[lane]);
                store_half(&mut rows[0][third], lower);
                store_half(&mut rows[1][third], upper);
            }
            low[lane] = Band::from_rows(rows[0]);
            high[lane] = Band::from_rows(rows[1]);
        }
    }

    /// Quantizes a sample of each band and carries the bands past it. Gives the codes, those of the upper bands six
    /// bits up.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn encode(&mut self, samples: Words) -> Words {
        let difference = _mm256_subs_epi16(samples, self.predicted);
        let sign = negative(difference);
        let magnitude = _mm256_xor_si256(difference, sign);
        // Twice the scale is 32,768 at most, so the upper half of its unsigned product with a level is the level scaled.
        let doubled = _mm256_add_epi16(self.scale, self.scale);
        let beyond = |level| _mm256_cmpgt_epi16(_mm256_mulhi_epu16(level, doubled), magnitude);
        let coarse = |i: usize| beyond(by_band(COARSE_LEVELS[i], HIGH_LEVEL));
        // A level beyond the magnitude is -1 in both octets of its lane. 7 less those is the interval, whose word in a table
        // are the octets at twice that, and the next.
        let add = |a, b| _mm256_add_epi8(a, b);
        let missed = add(
            add(add(coarse(0), coarse(1)), add(coarse(2), coarse(3))),
            add(add(coarse(4), coarse(5)), coarse(6)),
        );
        let interval = add(_mm256_set1_epi16(0x0F0E), add(missed, missed));
        let table = |low, high| _mm256_shuffle_epi8(table_by_band(low, high), interval);
        let fine = |i: usize| beyond(table(&FINE_LEVELS[i], &[0; 8]));
        let missed = _mm256_add_epi16(_mm256_add_epi16(fine(0), fine(1)), fine(2));
        let [above, below] = [table(&ENDS[0], &ENDS[2]), table(&ENDS[1], &ENDS[3])];
        let end = _mm256_blendv_epi8(above, below, sign);
        self.adapt(interval, difference);
        _mm256_sub_epi16(end, missed)
    }

    /// What each band says (mode 1), from a word whose sign is that of the difference and whose lowest five bits are the
    /// number of its interval, 0 to 29 in the lower band and 0 or 2 in the upper one. Carries the bands past it.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn decode(&mut self, differences: Words) -> Words {
        let number = _mm256_and_si256(differences, _mm256_set1_epi16(0x1F));
        let within = lookup(_mm256_add_epi16(number, number));
        let table = |i: usize| {
            let high = if i == 0 { &HEARD_HIGH } else { &[0; 8] };
            _mm256_shuffle_epi8(table_by_band(&HEARD[i], high), within)
        };
        let magnitude = select_by_bits::<3>(number, [table(0), table(1), table(2), table(3)]);
        let heard = _mm256_sign_epi16(magnitude, sign_of(differences));
        let heard = _mm256_adds_epi16(self.predicted, scaled(self.scale, heard));
        let heard = limit(heard);
        let interval = _mm256_srli_epi16(_mm256_add_epi16(number, _mm256_set1_epi16(2)), 1);
        self.adapt(lookup(interval), differences);
        heard
    }

    /// Carries the bands past a difference: its interval as octets that look it up, and its sign.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn adapt(&mut self, interval: Words, sign: Words) {
        let table =
            |[low, high]: &[[i16; 8]; 2]| _mm256_shuffle_epi8(table_by_band(low, high), interval);
        let magnitude = _mm256_sign_epi16(table(&MAGNITUDES), sign_of(sign));
        let difference = scaled(self.scale, magnitude);
        self.adapt_scale(table(&LOG_STEPS));
        let partial = _mm256_adds_epi16(difference, self.zeros_predicted);
        let reconstructed = _mm256_adds_epi16(difference, self.predicted);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        self.partial = [partial, self.partial[0]];
        let doubled = _mm256_adds_epi16(reconstructed, reconstructed);
        self.reconstructed = [doubled, self.reconstructed[0]];
        let [d1, d2, d3, d4, d5, _] = self.differences;
        self.differences = [
            _mm256_adds_epi16(difference, difference),
            d1,
            d2,
            d3,
            d4,
            d5,
        ];
        self.predict();
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn adapt_scale(&mut self, step: Words) {
        let log = _mm256_add_epi16(leak(self.log_scale, -512), step);
        let log = _mm256_max_epi16(log, _mm256_setzero_si256());
        let log = _mm256_min_epi16(log, by_band(LOW_LOG_MAX, HIGH_LOG_MAX));
        self.log_scale = log;
        let within = lookup(_mm256_srli_epi16(log, 5));
        let table =
            |i: usize| _mm256_shuffle_epi8(table_by_band(&ANTILOGS[i], &ANTILOGS[i]), within);
        let fraction = select_by_bits::<9>(log, [table(0), table(1), table(2), table(3)]);
        // A shift down by 8 (10 in the upper band) less the exponent and up by 2, of a fraction 4 bits up: the upper half of
        // its product with 2 to the power of the exponent and 6 (4). The two bits that come up from below are cleared.
        // The second octet of that power is looked up 8 before the first; 0xFE is 6 - 8.
        let exponent = _mm256_srli_epi16(log, 11);
        let exponent = _mm256_or_si256(exponent, _mm256_slli_epi16(exponent, 8));
        let octets = _mm256_add_epi8(exponent, by_band(0xFE06_u16 as i16, 0xFC04_u16 as i16));
        let power = _mm256_shuffle_epi8(table_by_band(&POWERS, &POWERS), octets);
        let scale = _mm256_mulhi_epu16(fraction, power);
        self.scale = _mm256_and_si256(scale, _mm256_set1_epi16(!3));
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn adapt_poles(&mut self, partial: Words) {
        let [first, second] = self.poles;
        // Positive where the signs are the same.
        let same = [
            sign_of(_mm256_xor_si256(partial, self.partial[0])),
            sign_of(_mm256_xor_si256(partial, self.partial[1])),
        ];
        // The negative of the first pole times four. Its last value is spared, since it has no negative; a seventh
        // shift makes the two one.
        let towards = _mm256_sub_epi16(_mm256_setzero_si256(), first);
        let towards = _mm256_adds_epi16(towards, towards);
        let towards = _mm256_adds_epi16(towards, towards);
        let towards = _mm256_max_epi16(towards, _mm256_set1_epi16(-i16::MAX));
        let towards = _mm256_srai_epi16(_mm256_sign_epi16(towards, same[0]), 7);
        let step = _mm256_sign_epi16(_mm256_set1_epi16(128), same[1]);
        let second = _mm256_add_epi16(_mm256_add_epi16(leak(second, -512), step), towards);
        let second = _mm256_max_epi16(second, _mm256_set1_epi16(-12_288));
        let second = _mm256_min_epi16(second, _mm256_set1_epi16(12_288));
        let step = _mm256_sign_epi16(_mm256_set1_epi16(192), same[0]);
        let first = _mm256_add_epi16(leak(first, -256), step);
        let bound = _mm256_set1_epi16(15_360);
        let first = _mm256_max_epi16(first, _mm256_sub_epi16(second, bound));
        let first = _mm256_min_epi16(first, _mm256_sub_epi16(bound, second));
        self.poles = [first, second];
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn adapt_zeros(&mut self, difference: Words) {
        let none = _mm256_cmpeq_epi16(difference, _mm256_setzero_si256());
        let gain = _mm256_andnot_si256(none, _mm256_set1_epi16(128));
        for (zero, past) in self.zeros.iter_mut().zip(self.differences) {
            let same = sign_of(_mm256_xor_si256(difference, past));
            *zero = _mm256_add_epi16(leak(*zero, -256), _mm256_sign_epi16(gain, same));
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn predict(&mut self) {
        let by_poles = _mm256_adds_epi16(
            scaled(self.poles[0], self.reconstructed[0]),
            scaled(self.poles[1], self.reconstructed[1]),
        );
        let mut sum = _mm256_setzero_si256();
        for i in (0..6).rev() {
            sum = _mm256_adds_epi16(sum, scaled(self.zeros[i], self.differences[i]));
        }
        self.zeros_predicted = sum;
        self.predicted = _mm256_adds_epi16(by_poles, self.zeros_predicted);
    }
}

/// A value less its 65,536th times `-rate`, rounded down: 512 makes 127/128 of it, 256 makes 255/256.
#[inline]
#[target_feature(enable = "avx2")]
fn leak(value: Words, rate: i16) -> Words {
    _mm256_add_epi16(value, _mm256_mulhi_epi16(value, _mm256_set1_epi16(rate)))
}

/// The same sign, and never zero.
#[inline]
#[target_feature(enable = "avx2")]
fn sign_of(value: Words) -> Words {
    _mm256_or_si256(value, _mm256_set1_epi16(1))
}

/// The pairs of octets that look words up in a table of eight; bits 1 to 3 are the number of the word.
#[inline]
#[target_feature(enable = "avx2")]
fn lookup(number: Words) -> Words {
    let octet = _mm256_and_si256(number, _mm256_set1_epi16(0x0E));
    let octets = _mm256_or_si256(octet, _mm256_slli_epi16(octet, 8));
    _mm256_or_si256(octets, _mm256_set1_epi16(0x0100))
}

/// One of four, by bits `BIT` and `BIT` + 1 of each lane.
#[inline]
#[target_feature(enable = "avx2")]
fn select_by_bits<const BIT: i32>(bits: Words, [a, b, c, d]: [Words; 4]) -> Words {
    let mask = |left| negative(_mm256_sll_epi16(bits, _mm_cvtsi32_si128(left)));
    let (lower, upper) = (mask(15 - BIT), mask(14 - BIT));
    let [first, second] = [
        _mm256_blendv_epi8(a, b, lower),
        _mm256_blendv_epi8(c, d, lower),
    ];
    _mm256_blendv_epi8(first, second, upper)
}
