//! ITU-T G.722: 7 kHz audio in 64 kbit/s, as RTP carries it (mode 1; the decoder knows modes 2 and 3 too).
//!
//! An octet holds two samples of 16 kHz: two bits of the upper band above six of the lower one. Written from the
//! Recommendation (11/1988 with its corrigenda); every value is that of its clause 6, to the bit.
//!
//! Coders have no failures: every octet decodes, every sample encodes. Their state is a few words, copied freely, and
//! there is no heap. Where slices do not fit each other, what all of them have room for is coded.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod band;
mod batch;
mod qmf;
mod tables;
#[cfg(test)]
mod tests;

pub use batch::{DecodeJob, EncodeJob, decode_batch, encode_batch};

use band::{Band, Interval};

/// How many bits of an octet's lower band the decoder listens to (table 1 of the Recommendation).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Mode 1, all six: 64 kbit/s. The only one in RTP (RFC 3551 §4.5.2).
    #[default]
    Kbps64,
    /// Mode 2, the upper five: 56 kbit/s, with a data channel in bit 0.
    Kbps56,
    /// Mode 3, the upper four: 48 kbit/s, with a data channel in bits 0 and 1.
    Kbps48,
}

/// A G.722 encoder of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoder {
    low: Band,
    high: Band,
    filter: qmf::Memory,
}

/// A G.722 decoder of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoder {
    low: Band,
    high: Band,
    filter: qmf::Memory,
    mode: Mode,
}

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder {
            low: Band::LOW,
            high: Band::HIGH,
            filter: Default::default(),
        }
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new(Mode::default())
    }
}

impl Encoder {
    /// Encodes 16 kHz samples, two to an octet.
    pub fn encode(&mut self, pcm: &[i16], codes: &mut [u8]) {
        for (code, samples) in codes.iter_mut().zip(pcm.chunks_exact(2)) {
            let (low, high) = qmf::analyse(&mut self.filter, samples[0], samples[1]);
            let low = self.low.quantize_low(low);
            let high = self.high.quantize_high(high);
            *code = high_code(high) << 6 | low_code(low);
            self.low.adapt_low(low.of_four_bits());
            self.high.adapt_high(high);
        }
    }
}

impl Decoder {
    /// A decoder of that mode, after a reset.
    pub fn new(mode: Mode) -> Decoder {
        Decoder {
            low: Band::LOW,
            high: Band::HIGH,
            filter: Default::default(),
            mode,
        }
    }

    /// Decodes octets to 16 kHz samples, two from each.
    pub fn decode(&mut self, codes: &[u8], pcm: &mut [i16]) {
        for (samples, &code) in pcm.chunks_exact_mut(2).zip(codes) {
            let low = low_interval(code & 0x3F);
            let high = high_interval(code >> 6);
            let magnitude = match (self.mode, usize::from(low.number)) {
                (Mode::Kbps64, number) => tables::LOW_MAGNITUDES_6[number],
                (Mode::Kbps56, number) => tables::LOW_MAGNITUDES_5[number / 2],
                (Mode::Kbps48, number) => tables::LOW_MAGNITUDES_4[(number + 2) / 4],
            };
            let heard = [
                heard(&self.low, low.negative, magnitude),
                heard(
                    &self.high,
                    high.negative,
                    tables::HIGH_MAGNITUDES[usize::from(high.number)],
                ),
            ];
            samples.copy_from_slice(&qmf::synthesize(&mut self.filter, heard[0], heard[1]));
            self.low.adapt_low(low.of_four_bits());
            self.high.adapt_high(high);
        }
    }

    /// Samples before a lost stretch that [`Decoder::carry`] wants: what the encoder's filter looks back.
    pub const CARRY_PAST: usize = 2 * qmf::PHASE_TAPS;

    /// Goes on through a loss as if the octets had arrived that code the signal put in its place: the bands adapt to it as its
    /// encoder's would (G.722 Appendices III and IV carry their states in this way too). The signal begins with
    /// [`Decoder::CARRY_PAST`] samples of before the loss.
    pub fn carry(&mut self, signal: &[i16]) {
        let mut encoder = Encoder {
            low: self.low.clone(),
            high: self.high.clone(),
            filter: Default::default(),
        };
        let (past, lost) = signal.split_at(Decoder::CARRY_PAST.min(signal.len()));
        for pair in past.chunks_exact(2) {
            qmf::analyse(&mut encoder.filter, pair[0], pair[1]);
        }
        let (mut code, mut heard) = ([0], [0; 2]);
        for pair in lost.chunks_exact(2) {
            encoder.encode(pair, &mut code);
            self.decode(&code, &mut heard);
        }
    }
}

/// A sub-band's output (RECONS and LIMIT).
fn heard(band: &Band, negative: bool, magnitude: i16) -> i16 {
    let difference = band.difference(negative, magnitude);
    let sample = i32::from(band.predicted.saturating_add(difference));
    sample.clamp(qmf::BAND_MIN, qmf::BAND_MAX) as i16
}

/// The six bits of a lower band's interval (table 17): positive ones count down from 61, negative ones
/// from 63 and, past the two that would look like positive ones, from 31.
fn low_code(interval: Interval) -> u8 {
    match interval {
        Interval {
            negative: false,
            number,
        } => 61 - number,
        Interval {
            negative: true,
            number: number @ 0..=1,
        } => 63 - number,
        Interval {
            negative: true,
            number,
        } => 33 - number,
    }
}

/// The interval of six bits (table 18). 0 to 3 are never sent; they stand for the smallest negative value.
fn low_interval(code: u8) -> Interval {
    let (negative, number) = match code {
        0..=3 => (true, 0),
        4..=31 => (true, 33 - code),
        32..=61 => (false, 61 - code),
        _ => (true, 63 - code),
    };
    Interval { negative, number }
}

/// The two bits of an upper band's interval (table 17).
fn high_code(interval: Interval) -> u8 {
    let sign = if interval.negative { 0 } else { 2 };
    sign | (1 - interval.number)
}

/// The interval of two bits (table 18).
fn high_interval(code: u8) -> Interval {
    Interval {
        negative: code & 2 == 0,
        number: 1 - (code & 1),
    }
}
