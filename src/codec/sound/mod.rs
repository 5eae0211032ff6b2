//! Sound files: from the bytes of a file to linear samples at the rate of a call. What a file is, its ending says, as with
//! Asterisk; WAV files say it themselves.
//!
//! This is done once for a file, outside the workers. Malformed files give an error that says what is wrong; files that end
//! early give what there is. Memory is bounded by the seconds that are asked for: what is longer is cut off before it
//! is decoded.

mod wav;

use super::resample::{RATE_MAX, RATE_MIN, RateUnsupported, resample};
use super::{Rate, g711, g722, gsm};

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RIFF WAVE: PCM of 8 to 32 bits, floating point, A-law, µ-law, GSM; any rate, up to eight channels.
    Wav,
    /// Signed 16-bit samples, the low octet first, at that many Hz, and nothing else.
    Linear(u32),
    /// µ-law octets, 8 kHz.
    Ulaw,
    /// A-law octets, 8 kHz.
    Alaw,
    /// G.722 octets, 64 kbit/s.
    G722,
    /// GSM 06.10 frames of 33 octets.
    Gsm,
}

impl Format {
    /// The format of files with that ending (without its dot), as Asterisk names them. Endings differ by case: `WAV` and `wav49` are
    /// WAV files of GSM.
    pub fn of_ending(ending: &str) -> Option<Format> {
        let format = match ending {
            "wav" | "wav16" | "WAV" | "wav49" => Format::Wav,
            "sln" | "slin" | "raw" | "sln8" => Format::Linear(8_000),
            "sln12" => Format::Linear(12_000),
            "sln16" => Format::Linear(16_000),
            "sln24" => Format::Linear(24_000),
            "sln32" => Format::Linear(32_000),
            "sln44" => Format::Linear(44_100),
            "sln48" => Format::Linear(48_000),
            "sln96" => Format::Linear(96_000),
            "sln192" => Format::Linear(192_000),
            "ulaw" | "ul" | "mu" | "pcm" | "ulw" => Format::Ulaw,
            "alaw" | "al" | "alw" => Format::Alaw,
            "g722" => Format::G722,
            "gsm" => Format::Gsm,
            _ => return None,
        };
        Some(format)
    }
}

/// Why a file cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoundError {
    /// It does not begin as a WAV file does.
    #[error("this is no WAV file: it does not begin with RIFF and WAVE")]
    NotWav,
    /// A WAV file without one of its parts, or with one that is too short.
    #[error("this WAV file has no whole `{0}` chunk before its end")]
    Missing(&'static str),
    /// A kind of file that is not read.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
    /// A WAV file of another coding.
    #[error(
        "the coding of this WAV file (format tag {tag:#x}, {bits} bits) is not supported; PCM of 8, 16, 24 or 32 bits, \
         floating point, A-law, µ-law and GSM are"
    )]
    Coding {
        /// The format tag.
        tag: u16,
        /// Bits of a sample.
        bits: u16,
    },
    /// A WAV file of no channel, or of too many.
    #[error("a WAV file with {0} channels is not supported; 1 to 8 are (1 with GSM)")]
    Channels(u16),
    /// Another sampling rate.
    #[error(transparent)]
    Rate(#[from] RateUnsupported),
    /// A GSM file that has something else where a frame should begin.
    #[error("no GSM frame begins at octet {0}")]
    GsmFrame(usize),
}

/// What a file has, at its own rate.
struct Coded {
    rate: u32,
    samples: Vec<i16>,
}

/// The first seconds of a file as linear samples of one channel at that rate.
///
/// # Errors
/// The bytes are not of the format, or of a kind of it that is not supported.
pub fn decode(
    bytes: &[u8],
    format: Format,
    rate: Rate,
    seconds_max: usize,
) -> Result<Vec<i16>, SoundError> {
    let coded = match format {
        Format::Wav => wav::read(bytes, seconds_max)?,
        Format::Linear(hz) => Coded {
            rate: hz,
            samples: linear(first(bytes, seconds_max, 2 * hz as usize)),
        },
        Format::Ulaw => octets(first(bytes, seconds_max, 8_000), 8_000, g711::decode_ulaw),
        Format::Alaw => octets(first(bytes, seconds_max, 8_000), 8_000, g711::decode_alaw),
        Format::G722 => octets(first(bytes, seconds_max, 8_000), 16_000, |codes, pcm| {
            g722::Decoder::default().decode(codes, pcm);
        }),
        Format::Gsm => Coded {
            rate: 8_000,
            samples: gsm_frames(bytes, seconds_max.saturating_mul(8_000))?,
        },
    };
    if !(RATE_MIN..=RATE_MAX).contains(&coded.rate) {
        return Err(RateUnsupported(coded.rate).into());
    }
    if coded.rate == rate.hz() {
        return Ok(coded.samples);
    }
    Ok(resample(&coded.samples, coded.rate, rate.hz())?)
}

/// So many seconds of a file of so many octets a second.
fn first(bytes: &[u8], seconds: usize, octets: usize) -> &[u8] {
    &bytes[..seconds.saturating_mul(octets).min(bytes.len())]
}

fn linear(bytes: &[u8]) -> Vec<i16> {
    let samples = bytes.as_chunks().0.iter();
    samples.map(|two| i16::from_le_bytes(*two)).collect()
}

/// What a codec makes of octets, of which there are 8,000 a second.
fn octets(bytes: &[u8], rate: u32, decode: impl FnOnce(&[u8], &mut [i16])) -> Coded {
    let mut samples = vec![0; bytes.len() * rate as usize / 8_000];
    decode(bytes, &mut samples);
    Coded { rate, samples }
}

fn gsm_frames(bytes: &[u8], samples_max: usize) -> Result<Vec<i16>, SoundError> {
    let mut decoder = gsm::Decoder::default();
    let frames = bytes.as_chunks().0;
    let most = samples_max / gsm::FRAME_SAMPLES;
    let mut samples = Vec::with_capacity(frames.len().min(most) * gsm::FRAME_SAMPLES);
    for (number, octets) in frames.iter().enumerate().take(most) {
        let frame =
            gsm::Frame::parse(octets).ok_or(SoundError::GsmFrame(number * gsm::FRAME_OCTETS))?;
        let mut block = [0; gsm::FRAME_SAMPLES];
        decoder.decode(&frame, &mut block);
        samples.extend(block);
    }
    Ok(samples)
}

/// The frames of a WAV file, two by two.
fn gsm_pairs(bytes: &[u8], samples_max: usize) -> Vec<i16> {
    let mut decoder = gsm::Decoder::default();
    let pairs = bytes.as_chunks().0.iter();
    let frames = pairs.flat_map(gsm::Frame::parse_pair);
    let mut samples = Vec::new();
    for frame in frames.take(samples_max / gsm::FRAME_SAMPLES) {
        let mut block = [0; gsm::FRAME_SAMPLES];
        decoder.decode(&frame, &mut block);
        samples.extend(block);
    }
    samples
}

#[cfg(test)]
mod tests;
