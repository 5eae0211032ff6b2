//! Reading WAV files (RIFF): PCM of 8 to 32 bits, floating point, A-law, µ-law and GSM 06.10, of any rate and up to eight
//! channels, which are mixed into one.
//!
//! A file that a program is still writing, or has written to a pipe, says nothing true about its length: what there is, is
//! read.

use super::{Coded, SoundError};
use crate::codec::g711;

/// Channels of a file.
const CHANNELS_MAX: u16 = 8;

/// Format tags (mmreg.h; RFC 2361).
const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
const GSM: u16 = 0x31;
/// The tag stands in the extension, at the beginning of a GUID.
const EXTENSIBLE: u16 = 0xFFFE;

/// How a file is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    /// Sample by sample.
    Samples(Sample),
    /// In pairs of frames, one channel.
    Gsm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sample {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    Alaw,
    Ulaw,
}

impl Sample {
    fn octets(self) -> usize {
        match self {
            Sample::Unsigned8 | Sample::Alaw | Sample::Ulaw => 1,
            Sample::Signed16 => 2,
            Sample::Signed24 => 3,
            Sample::Signed32 | Sample::Float32 => 4,
            Sample::Float64 => 8,
        }
    }

    /// One sample as 16 bits.
    fn linear(self, octets: &[u8]) -> i16 {
        let from_float = |value: f64| (value * 32_768.0).round() as i16;
        let mut sample = [0];
        match self {
            Sample::Unsigned8 => sample[0] = (i16::from(octets[0]) - 128) << 8,
            Sample::Signed16 => sample[0] = u16_at(octets, 0) as i16,
            Sample::Signed24 => sample[0] = u16_at(octets, 1) as i16,
            Sample::Signed32 => sample[0] = u16_at(octets, 2) as i16,
            Sample::Float32 => {
                sample[0] = from_float(f64::from(f32::from_bits(u32_at(octets, 0))));
            }
            Sample::Float64 => {
                let bits = u64::from(u32_at(octets, 0)) | u64::from(u32_at(octets, 4)) << 32;
                sample[0] = from_float(f64::from_bits(bits));
            }
            Sample::Alaw => g711::decode_alaw(octets, &mut sample),
            Sample::Ulaw => g711::decode_ulaw(octets, &mut sample),
        }
        sample[0]
    }
}

/// What the `fmt ` chunk says.
#[derive(Clone, Copy, Debug)]
struct Layout {
    coding: Coding,
    channels: usize,
    rate: u32,
}

/// The samples of a file, at most so many seconds, mixed into one channel, at the file's rate.
pub(super) fn read(bytes: &[u8], seconds_max: usize) -> Result<Coded, SoundError> {
    let (layout, data) = chunks(bytes)?;
    let frames_max = seconds_max.saturating_mul(layout.rate as usize);
    let samples = match layout.coding {
        Coding::Gsm => super::gsm_pairs(data, frames_max),
        Coding::Samples(sample) => {
            let frame = sample.octets() * layout.channels;
            let frames = (data.len() / frame).min(frames_max);
            mixed(sample, layout.channels, &data[..frames * frame])
        }
    };
    Ok(Coded {
        rate: layout.rate,
        samples,
    })
}

/// The layout and the data of a file.
fn chunks(bytes: &[u8]) -> Result<(Layout, &[u8]), SoundError> {
    match (bytes.get(..4), bytes.get(8..12)) {
        (Some(b"RIFF"), Some(b"WAVE")) => {}
        (Some(b"RF64" | b"RIFX"), _) => return Err(SoundError::Unsupported("RF64 and RIFX files")),
        _ => return Err(SoundError::NotWav),
    }
    let mut rest = &bytes[12..];
    let mut layout = None;
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let length = u32_at(head, 4) as usize;
        let chunk = &body[..length.min(body.len())];
        match &head[..4] {
            b"fmt " => layout = Some(read_layout(chunk)?),
            b"data" => {
                let layout = layout.ok_or(SoundError::Missing("fmt "))?;
                // 0 is what a header says that has not been completed.
                return Ok((layout, if length == 0 { body } else { chunk }));
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = body.get(length.saturating_add(length % 2)..).unwrap_or(&[]);
    }
    Err(SoundError::Missing(match layout {
        None => "fmt ",
        Some(_) => "data",
    }))
}

fn read_layout(chunk: &[u8]) -> Result<Layout, SoundError> {
    if chunk.len() < 16 {
        return Err(SoundError::Missing("fmt "));
    }
    let (channels, rate, bits) = (u16_at(chunk, 2), u32_at(chunk, 4), u16_at(chunk, 14));
    let tag = match u16_at(chunk, 0) {
        EXTENSIBLE if chunk.len() >= 26 => u16_at(chunk, 24),
        tag => tag,
    };
    let coding = match (tag, bits) {
        (PCM, 8) => Coding::Samples(Sample::Unsigned8),
        (PCM, 16) => Coding::Samples(Sample::Signed16),
        (PCM, 24) => Coding::Samples(Sample::Signed24),
        (PCM, 32) => Coding::Samples(Sample::Signed32),
        (FLOAT, 32) => Coding::Samples(Sample::Float32),
        (FLOAT, 64) => Coding::Samples(Sample::Float64),
        (ALAW, 8) => Coding::Samples(Sample::Alaw),
        (ULAW, 8) => Coding::Samples(Sample::Ulaw),
        (GSM, _) => Coding::Gsm,
        _ => return Err(SoundError::Coding { tag, bits }),
    };
    let most = if coding == Coding::Gsm {
        1
    } else {
        CHANNELS_MAX
    };
    if channels == 0 || channels > most {
        return Err(SoundError::Channels(channels));
    }
    Ok(Layout {
        coding,
        channels: usize::from(channels),
        rate,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

/// The mean of the channels of each frame.
fn mixed(sample: Sample, channels: usize, data: &[u8]) -> Vec<i16> {
    data.chunks_exact(sample.octets() * channels)
        .map(|frame| {
            let samples = frame.chunks_exact(sample.octets());
            let sum: i32 = samples.map(|octets| i32::from(sample.linear(octets))).sum();
            (sum / channels as i32) as i16
        })
        .collect()
}
