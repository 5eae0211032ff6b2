//! What somebody hears, measured: samples at their places in time, the level of a sine in them, and how smooth they are.

use super::mouth::AMPLITUDE;
use crate::codec::{Codec, Rate, g711, g722};
use std::f64::consts::TAU;

/// Samples a second of what a codec says.
fn rate_of(codec: Codec) -> Rate {
    match codec {
        Codec::G722 => Rate::Wide,
        _ => Rate::Narrow,
    }
}

/// Decodes one stream, packet by packet, in the order of its time stamps.
#[derive(Default)]
pub(super) struct Ear {
    decoder: g722::Decoder,
    /// Where the last packet ended.
    due: Option<u32>,
    pub(super) pcm: Vec<i16>,
    /// Gaps in the time stamps.
    pub(super) gaps: u32,
}

impl Ear {
    /// Hears a packet of a codec that it knows. One that comes late is not heard.
    pub(super) fn hear(&mut self, codec: Codec, timestamp: u32, codes: &[u8]) {
        let scale = if codec == Codec::G722 { 2 } else { 1 };
        if let Some(due) = self.due {
            let gap = timestamp.wrapping_sub(due) as i32;
            if !(0..80_000).contains(&gap) {
                return;
            }
            self.gaps += u32::from(gap > 0);
            self.pcm.resize(self.pcm.len() + gap as usize * scale, 0);
        }
        self.due = Some(timestamp.wrapping_add(codes.len() as u32));
        let from = self.pcm.len();
        self.pcm.resize(from + codes.len() * scale, 0);
        match codec {
            Codec::Ulaw => g711::decode_ulaw(codes, &mut self.pcm[from..]),
            Codec::Alaw => g711::decode_alaw(codes, &mut self.pcm[from..]),
            Codec::G722 => self.decoder.decode(codes, &mut self.pcm[from..]),
            _ => {}
        }
    }

    /// What it heard of a sine, from 300 ms after its beginning to before any digit.
    pub(super) fn level(&self, codec: Codec, hertz: f64) -> Option<f64> {
        let rate = rate_of(codec);
        let samples = |ms: usize| rate.block() * ms / 10;
        let pcm = self.pcm.get(samples(300)..samples(1_000))?;
        Some(level(pcm, rate, hertz))
    }
}

/// The level of a sine in it against the one that peers say, in dB.
pub(super) fn level(pcm: &[i16], rate: Rate, hertz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in pcm.iter().enumerate() {
        let phase = TAU * hertz * at as f64 / f64::from(rate.hz());
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
    }
    let amplitude = 2.0 * (re * re + im * im).sqrt() / pcm.len().max(1) as f64;
    20.0 * (amplitude.max(1.0) / AMPLITUDE).log10()
}

/// The same, part by part of 50 ms: whatever is left out or stretched between them.
pub(super) fn level_in_parts(pcm: &[i16], rate: Rate, hertz: f64) -> f64 {
    let parts = pcm.chunks_exact(5 * rate.block());
    let count = parts.len().max(1) as f64;
    let power: f64 = parts
        .map(|part| 10f64.powf(level(part, rate, hertz) / 10.0))
        .sum();
    10.0 * (power / count).max(f64::MIN_POSITIVE).log10()
}

/// The largest step from a sample to the next, in parts of what the sine itself has.
pub(super) fn roughness(pcm: &[i16], rate: Rate, hertz: f64) -> f64 {
    let own = 2.0 * AMPLITUDE * (TAU / 2.0 * hertz / f64::from(rate.hz())).sin();
    let steps = pcm.windows(2);
    let largest = steps.map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).unsigned_abs());
    f64::from(largest.max().unwrap_or(0)) / own
}
