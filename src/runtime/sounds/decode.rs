//! A sound file as linear samples.

use super::search::Stamp;
use crate::codec::resample::resample;
use crate::link::Rate;
use std::fs;

/// Largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The first `seconds` of a file at this rate.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn decode(stamp: &Stamp, rate: Rate, seconds: usize) -> Result<Vec<i16>, String> {
    if stamp.bytes > FILE_BYTES_MAX {
        return Err(format!("{} bytes are too many", stamp.bytes));
    }
    let bytes = fs::read(&stamp.path).map_err(|error| error.to_string())?;
    let ending = stamp.path.extension().and_then(|ending| ending.to_str());
    let (own_rate, samples) = match ending.unwrap_or_default() {
        "sln" => (8_000, linear(&bytes)),
        "sln16" => (16_000, linear(&bytes)),
        "wav" | "wav16" => wav(&bytes)?,
        other => return Err(format!("files of kind .{other} cannot be read")),
    };
    let mut samples = resample(&samples, own_rate, rate.hz()).map_err(|error| error.to_string())?;
    samples.truncate(seconds * rate.hz() as usize);
    Ok(samples)
}

fn linear(bytes: &[u8]) -> Vec<i16> {
    let samples = bytes.chunks_exact(2);
    samples
        .map(|two| i16::from_le_bytes([two[0], two[1]]))
        .collect()
}

/// 16-bit PCM of one channel.
fn wav(bytes: &[u8]) -> Result<(u32, Vec<i16>), String> {
    let bad = || String::from("this is no WAV file of one channel with 16 bits");
    let mut chunks = bytes.get(12..).ok_or_else(bad)?;
    let mut rate = None;
    while chunks.len() >= 8 {
        let len = u32::from_le_bytes([chunks[4], chunks[5], chunks[6], chunks[7]]) as usize;
        let body = &chunks[8..chunks.len().min(8 + len)];
        match (&chunks[..4], rate) {
            (b"fmt ", _) if body.len() >= 16 && body[..4] == [1, 0, 1, 0] && body[14] == 16 => {
                rate = Some(u32::from_le_bytes([body[4], body[5], body[6], body[7]]));
            }
            (b"data", Some(rate)) => return Ok((rate, linear(body))),
            _ => {}
        }
        chunks = chunks.get(8 + len + len % 2..).unwrap_or_default();
    }
    Err(bad())
}
