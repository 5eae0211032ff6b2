//! The tables of ITU-T G.722, clause 6: quantizers, their adaptation and the filter bank.
//!
//! Signs stand apart from magnitudes wherever the Recommendation's tables are symmetrical: a quantizer gives the
//! sign of the difference and the number of its interval, and one table of magnitudes serves both signs.

/// Half of the impulse response of the quadrature mirror filters, h(0) to h(11) (table 11); h(23-i) = h(i).
pub const QMF_HALF: [i16; 12] = [3, -11, -11, 53, 12, -156, 32, 362, -210, -805, 951, 3876];

/// Coefficients of the filters that meet the even samples, h(0), h(2) … h(22), and the odd ones, h(1), h(3) … h(23).
pub const QMF_EVEN: [i16; 12] = qmf_phase(0);
/// See [`QMF_EVEN`].
pub const QMF_ODD: [i16; 12] = qmf_phase(1);

const fn qmf_phase(phase: usize) -> [i16; 12] {
    let mut half = [0; 12];
    let mut i = 0;
    while i < 12 {
        let tap = 2 * i + phase;
        half[i] = QMF_HALF[if tap < 12 { tap } else { 23 - tap }];
        i += 1;
    }
    half
}

/// Decision levels of the lower band's 60-level quantizer, Q6(1) to Q6(29) (table 14), times 8.
pub const LOW_LEVELS: [i16; 29] = scaled_by_8([
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
]);

/// The decision level of the upper band's quantizer, Q2 (table 14), times 8.
pub const HIGH_LEVEL: i16 = 564 << 3;

/// Quantized magnitudes of the lower band in mode 1, by interval 0 to 29 (OQ6, table 15), times 8.
pub const LOW_MAGNITUDES_6: [i16; 30] = scaled_by_8([
    17, 54, 91, 130, 170, 211, 254, 300, 347, 396, 447, 501, 558, 618, 682, 750, 822, 899, 982,
    1072, 1170, 1279, 1399, 1535, 1689, 1873, 2088, 2376, 2738, 3101,
]);

/// The same in mode 2, by interval 0 to 14 (OQ5).
pub const LOW_MAGNITUDES_5: [i16; 15] = scaled_by_8([
    35, 110, 190, 276, 370, 473, 587, 714, 858, 1023, 1219, 1458, 1765, 2195, 2919,
]);

/// The same in mode 3, by interval 0 to 7 (OQ4); the predictor of the lower band always hears these.
pub const LOW_MAGNITUDES_4: [i16; 8] = scaled_by_8([0, 150, 323, 530, 786, 1121, 1612, 2557]);

/// Quantized magnitudes of the upper band, by interval 0 and 1 (OQ2), times 8.
pub const HIGH_MAGNITUDES: [i16; 2] = scaled_by_8([202, 926]);

/// Logarithmic scale factor multipliers of the lower band by the interval of 4 bits (WL, table 16).
pub const LOW_LOG_STEPS: [i16; 8] = [-60, -30, 58, 172, 334, 538, 1198, 3042];
/// Those of the upper band, by its interval (WH).
pub const HIGH_LOG_STEPS: [i16; 2] = [-214, 798];

/// Limits of the logarithmic scale factor, lower and upper band (blocks 3L and 3H, LOGSCL and LOGSCH).
pub const LOW_LOG_MAX: i16 = 18_432;
/// See [`LOW_LOG_MAX`].
pub const HIGH_LOG_MAX: i16 = 22_528;

/// 2048 times two to the power of i/32: the antilogarithm of the scale factors (ILB, table 16).
pub const ANTILOG: [i16; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

const fn scaled_by_8<const N: usize>(mut values: [i16; N]) -> [i16; N] {
    let mut i = 0;
    while i < N {
        values[i] <<= 3;
        i += 1;
    }
    values
}
