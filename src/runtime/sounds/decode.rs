//! A sound file as linear samples.

use super::search::Stamp;
use crate::codec::sound::{self, Format};
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
    let ending = stamp.path.extension().and_then(|ending| ending.to_str());
    let format = ending.and_then(Format::of_ending);
    let format = format.ok_or("files of this kind cannot be read")?;
    let bytes = fs::read(&stamp.path).map_err(|error| error.to_string())?;
    sound::decode(&bytes, format, rate, seconds).map_err(|error| error.to_string())
}
