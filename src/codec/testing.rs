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

/// Root mean square of the samples.
pub(crate) fn rms(samples: &[i16]) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (energy / samples.len().max(1) as f64).sqrt()
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

/// Something like a vowel: harmonics of `pitch_hz` under three formants, at 1/8 of full scale rms or so.
pub(crate) fn vowel(pitch_hz: f64, rate: u32, count: usize) -> Vec<i16> {
    let formants = [
        (700.0, 110.0, 1.0),
        (1220.0, 130.0, 0.5),
        (2600.0, 170.0, 0.25),
    ];
    let gain = |hz: f64| -> f64 {
        let near = |(centre, width, gain): &(f64, f64, f64)| {
            gain / (1.0 + ((hz - centre) / width).powi(2)).sqrt()
        };
        formants.iter().map(near).sum()
    };
    let harmonics: Vec<(f64, f64)> = (1..)
        .map(|n| f64::from(n) * pitch_hz)
        .take_while(|hz| *hz < f64::from(rate) * 0.45)
        .map(|hz| (TAU * hz / f64::from(rate), gain(hz)))
        .collect();
    let sample = |n: usize| {
        let at = |(step, gain): &(f64, f64)| gain * (step * n as f64).cos();
        (2500.0 * harmonics.iter().map(at).sum::<f64>()).clamp(-32768.0, 32767.0) as i16
    };
    (0..count).map(sample).collect()
}
