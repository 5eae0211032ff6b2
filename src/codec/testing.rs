//! Signals and measurements for the tests of this layer.

use std::f64::consts::TAU;

/// `count` samples of a sine of `hz` and `peak` at `rate`, beginning at phase 0.
pub(crate) fn sine(hz: f64, peak: f64, rate: u32, count: usize) -> Vec<i16> {
    let step = TAU * hz / f64::from(rate);
    (0..count)
        .map(|n| (peak * (step * n as f64).sin()).round() as i16)
        .collect()
}

/// The sample by sample sum of two signals, clipped; the longer one's end is left out.
pub(crate) fn sum(a: &[i16], b: &[i16]) -> Vec<i16> {
    a.iter().zip(b).map(|(a, b)| a.saturating_add(*b)).collect()
}

/// A ratio of amplitudes in dB.
pub(crate) fn db(ratio: f64) -> f64 {
    20.0 * ratio.max(1e-12).log10()
}

/// Peak amplitude of the component of `hz`, under a Hann window, so that other components do not leak in.
pub(crate) fn amplitude(samples: &[i16], hz: f64, rate: u32) -> f64 {
    let step = TAU * hz / f64::from(rate);
    let (mut real, mut imaginary, mut weight) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * (n as f64 + 0.5) / samples.len() as f64).cos();
        real += window * f64::from(*sample) * (step * n as f64).cos();
        imaginary += window * f64::from(*sample) * (step * n as f64).sin();
        weight += window;
    }
    2.0 * real.hypot(imaginary) / weight
}
