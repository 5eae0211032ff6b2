//! What control asks of the thread that writes recordings: by [`Output::Record`](super::controller::Output::Record),
//! answered by [`Controller::handle_recorded`] when the file is complete. The audio goes from the worker to the thread past
//! control.

use super::controller::Controller;
use super::sounds::Asker;
use crate::link::recording::recording;
use crate::link::{Channels, Rate, RecordingSink, RecordingSource};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Stands in the name of a file for the first number that is free.
pub const NUMBER_MARK: &str = "%d";

/// A recording to be written.
#[derive(Debug)]
pub struct RecordingOrder {
    /// Who asks.
    pub asker: Asker,
    /// The id of the call whose dialplan has asked for it.
    pub call: String,
    /// The file, with its ending; [`NUMBER_MARK`] may stand in its name.
    pub path: PathBuf,
    /// Its audio.
    pub source: RecordingSource,
    /// Samples a second.
    pub rate: Rate,
    /// What of the call it has.
    pub channels: Channels,
    /// Its largest size; then it ends.
    pub bytes_max: u64,
    /// Whether it stays.
    pub keep: Keep,
}

/// Whether a recording stays when its audio is over: settled by who has asked for it, at any time before. One that is not
/// kept goes with the call.
#[derive(Clone, Debug, Default)]
pub struct Keep(Arc<AtomicBool>);

impl Keep {
    /// It stays.
    pub fn keep(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True if it stays.
    pub fn is_kept(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A recording is complete, or has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Who has asked.
    pub asker: Asker,
    /// The file; None if there is none: it could not be written, or was not kept.
    pub path: Option<PathBuf>,
}

impl RecordingOrder {
    /// A recording into this file, and the worker's end of it.
    pub fn new(
        asker: Asker,
        (call, path): (String, PathBuf),
        (rate, channels): (Rate, Channels),
        bytes_max: u64,
    ) -> (RecordingSink, RecordingOrder) {
        let (sink, source) = recording(rate, channels);
        let order = RecordingOrder {
            asker,
            call,
            path,
            source,
            rate,
            channels,
            bytes_max,
            keep: Keep::default(),
        };
        (sink, order)
    }
}

/// The file of a recording of that name, in the directory; whatever its ending, it is a WAV file. None if the name leads
/// out of the directory, or names nothing.
pub fn file_in(directory: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name.trim());
    let below = match name.is_absolute() {
        true => name.strip_prefix(directory).ok()?,
        false => name,
    };
    let is_safe = below
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let bytes = below.as_os_str().as_encoded_bytes();
    let has_name = below.file_stem().is_some() && !bytes.contains(&0);
    (is_safe && has_name).then(|| directory.join(below).with_extension("wav"))
}

impl Controller {
    /// A recording is complete, or has failed. Who has asked may be gone by now.
    pub fn handle_recorded(&mut self, now: Instant, mut recorded: Recorded) {
        if let Some(moved) = self.ctx.moved_recordings.remove(&recorded.asker) {
            recorded.asker = moved;
        }
        if let Some((key, no)) = self.owner_of_media(recorded.asker.leg, false) {
            self.with_call(now, key, |call, ctx| {
                call.on_recorded(ctx, now, no, recorded)
            });
        }
        self.run(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_directory() {
        let file = |name| file_in(Path::new("/spool"), name);
        for (name, expected) in [
            ("a", "/spool/a.wav"),
            ("a.wav", "/spool/a.wav"),
            ("a.gsm", "/spool/a.wav"),
            ("2026/11/a-%d.wav", "/spool/2026/11/a-%d.wav"),
            ("/spool/a.wav", "/spool/a.wav"),
        ] {
            assert_eq!(file(name), Some(PathBuf::from(expected)), "{name}");
        }
        for name in [
            "",
            "/",
            "..",
            "../a.wav",
            "x/../../a",
            "/etc/passwd",
            "/spool/../a",
            "a\0b",
        ] {
            assert_eq!(file(name), None, "{name}");
        }
    }
}
