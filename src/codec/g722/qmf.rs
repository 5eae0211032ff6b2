//! The quadrature mirror filters that part 16 kHz audio into two bands of 8 kHz, and join them (G.722 clauses 3.1, 4.4
//! and 6.2.1).

use super::tables::{QMF_EVEN, QMF_ODD};

/// Samples of each of the two phases that a filter looks at.
pub const PHASE_TAPS: usize = 12;

/// The limits of a sub-band's sample (LIMIT): 15 bits.
pub const BAND_MIN: i32 = -16_384;
/// See [`BAND_MIN`].
pub const BAND_MAX: i32 = 16_383;

/// The filter's memory: for both phases, the values that it still weighs, oldest first.
pub type Memory = [[i16; PHASE_TAPS]; 2];

/// Takes two samples in, gives one of the lower and one of the upper band.
pub fn analyse(memory: &mut Memory, even: i16, odd: i16) -> (i16, i16) {
    push(memory, even, odd);
    let (even, odd) = weigh(memory);
    let limited = |sum: i32| (sum >> 14).clamp(BAND_MIN, BAND_MAX) as i16;
    (limited(odd + even), limited(odd - even))
}

/// Takes one sample of the lower and one of the upper band in, gives two samples. With the newest value last, the
/// difference of the bands is the one that meets the odd coefficients, and gives the earlier sample.
pub fn synthesize(memory: &mut Memory, low: i16, high: i16) -> [i16; 2] {
    push(memory, low + high, low - high);
    let (even, odd) = weigh(memory);
    [odd, even].map(|sum| (sum >> 11).clamp(i16::MIN.into(), i16::MAX.into()) as i16)
}

fn push(memory: &mut Memory, even: i16, odd: i16) {
    for (phase, newest) in memory.iter_mut().zip([even, odd]) {
        phase.rotate_left(1);
        phase[PHASE_TAPS - 1] = newest;
    }
}

/// The two sums. The even coefficients meet the older sample of each pair.
fn weigh(memory: &Memory) -> (i32, i32) {
    let sum = |values: &[i16; PHASE_TAPS], taps: &[i16; PHASE_TAPS]| {
        let products = values.iter().zip(taps);
        products.map(|(&v, &t)| i32::from(v) * i32::from(t)).sum()
    };
    (sum(&memory[0], &QMF_EVEN), sum(&memory[1], &QMF_ODD))
}
