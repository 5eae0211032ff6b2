//! A WAV file that grows: 16-bit samples behind a header that is brought up to date now and then. It has the name
//! `….part` until it is complete.

use crate::control::recordings::{NUMBER_MARK, RecordingOrder};
use crate::link::recording::RecordingBlock;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes before the first sample.
const HEADER_BYTES: usize = 44;
/// Most numbers that are tried for [`NUMBER_MARK`].
const NUMBERS_MAX: u32 = 100_000;

/// See the module's comment.
pub(super) struct WavFile {
    file: File,
    path: PathBuf,
    rate: u32,
    channels: u16,
    /// Samples of a block, of all channels.
    block: usize,
    /// The number of the next block.
    next: u32,
    /// Bytes of samples in the file.
    written: u64,
    bytes_max: u64,
    /// What is not in the file yet.
    pending: Vec<u8>,
}

impl WavFile {
    /// Begins the file of an order, and the folders that it is in.
    pub(super) fn create(order: &RecordingOrder) -> io::Result<WavFile> {
        if let Some(folder) = order.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let (path, file) = create_numbered(&order.path)?;
        let channels = order.channels.count();
        let mut created = WavFile {
            file,
            path,
            rate: order.rate.hz(),
            channels,
            block: order.rate.block() * usize::from(channels),
            next: 0,
            written: 0,
            bytes_max: order.bytes_max.min(u64::from(u32::MAX)),
            pending: Vec::new(),
        };
        match created.write_header() {
            Ok(()) => Ok(created),
            Err(error) => {
                // A full disk takes the name and nothing more. That it keeps the name is no other error.
                let _ = created.discard();
                Err(error)
            }
        }
    }

    /// True if it will have this name.
    pub(super) fn is(&self, path: &Path) -> bool {
        self.path == path
    }

    /// Adds a block; silence for those before it that were dropped.
    pub(super) fn push(&mut self, block: &RecordingBlock) {
        let lost = block.number.saturating_sub(self.next) as usize;
        let silence = (lost as u64 * self.block as u64 * 2).min(self.room());
        let len = self.pending.len() + silence as usize;
        self.pending.resize(len, 0);
        for sample in block.samples() {
            self.pending.extend(sample.to_le_bytes());
        }
        self.next = block.number.wrapping_add(1);
    }

    fn room(&self) -> u64 {
        let used = HEADER_BYTES as u64 + self.written + self.pending.len() as u64;
        self.bytes_max.saturating_sub(used)
    }

    /// Writes what was added.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let is_full = self.room() == 0;
        let frame = u64::from(self.channels) * 2;
        let room = self
            .bytes_max
            .saturating_sub(HEADER_BYTES as u64 + self.written);
        let len = (room / frame * frame).min(self.pending.len() as u64) as usize;
        self.file.write_all(&self.pending[..len])?;
        self.written += len as u64;
        self.pending.clear();
        match is_full {
            true => Err(io::Error::other("it has the size of recording.max_mib")),
            false => Ok(()),
        }
    }

    /// Tells in the header how much there is.
    fn write_header(&mut self) -> io::Result<()> {
        let header = header(self.rate, self.channels, self.written);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Brings the header up to date, so that a crash loses little.
    ///
    /// # Errors
    /// It cannot be written, or somebody has taken the file away: nobody would ever find what is written into it.
    pub(super) fn refresh(&mut self) -> io::Result<()> {
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the file has been removed"));
        }
        self.write_header()
    }

    /// Gives the file its name. With it, that name.
    pub(super) fn finish(&mut self) -> io::Result<Option<PathBuf>> {
        // A disk that is full has taken a part of the last blocks.
        self.file.set_len(HEADER_BYTES as u64 + self.written)?;
        self.write_header()?;
        fs::rename(partial(&self.path), &self.path)?;
        Ok(Some(self.path.clone()))
    }

    /// Takes the file away.
    pub(super) fn discard(&mut self) -> io::Result<()> {
        fs::remove_file(partial(&self.path))
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".part");
    PathBuf::from(name)
}

/// Opens the file that a path means: with the first number that is free, where it has a mark for one.
fn create_numbered(path: &Path) -> io::Result<(PathBuf, File)> {
    let text = path.to_string_lossy();
    if !text.contains(NUMBER_MARK) {
        let file = File::create(partial(path))?;
        return Ok((path.to_owned(), file));
    }
    for number in 0..NUMBERS_MAX {
        let path = PathBuf::from(text.replace(NUMBER_MARK, &number.to_string()));
        if path.exists() {
            continue;
        }
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).open(partial(&path)) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{NUMBERS_MAX} numbers are taken")))
}

/// The header of a WAV file of 16-bit PCM (RIFF, `fmt ` of 16 bytes, `data`).
fn header(rate: u32, channels: u16, bytes: u64) -> [u8; HEADER_BYTES] {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let frame = channels * 2;
    let mut header = [0; HEADER_BYTES];
    let mut put = |at: usize, field: &[u8]| header[at..at + field.len()].copy_from_slice(field);
    put(0, b"RIFF");
    put(
        4,
        &bytes.saturating_add(HEADER_BYTES as u32 - 8).to_le_bytes(),
    );
    put(8, b"WAVEfmt ");
    put(16, &16_u32.to_le_bytes());
    put(20, &1_u16.to_le_bytes());
    put(22, &channels.to_le_bytes());
    put(24, &rate.to_le_bytes());
    put(28, &(rate * u32::from(frame)).to_le_bytes());
    put(32, &frame.to_le_bytes());
    put(34, &16_u16.to_le_bytes());
    put(36, b"data");
    put(40, &bytes.to_le_bytes());
    header
}
