//! The thread that finds and decodes what callers hear, so that nobody waits for a disk.
//!
//! ```text
//!  control loop ──SoundQuestion──► queue ──► thread: library ──► Input::Sounds ──► control loop
//! ```

mod decode;
mod library;
mod missing;
mod search;

pub use missing::{missing_announcements, missing_music};

use super::input::Input;
use crate::control::sounds::{SoundAnswer, SoundQuestion};
use library::Library;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use tokio::sync::mpsc;

/// Questions that wait. Each call has one at most that matters; beyond this they are answered with nothing.
const QUEUE_MAX: usize = 1024;

/// The way to the thread, held by the control thread. It ends with its handle.
pub(super) struct SoundsHandle {
    queue: SyncSender<SoundQuestion>,
}

impl SoundsHandle {
    /// Asks. Never waits; the question comes back if the thread does not keep up.
    pub(super) fn ask(&self, question: SoundQuestion) -> Result<(), SoundAnswer> {
        let refused = |question: &SoundQuestion| {
            tracing::warn!("the disk of the sounds does not keep up: nothing is played");
            SoundAnswer::nothing(question)
        };
        let sent = self.queue.try_send(question);
        sent.map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full(question)
            | std::sync::mpsc::TrySendError::Disconnected(question) => refused(&question),
        })
    }
}

/// Starts the thread; its answers go to the control loop.
///
/// # Errors
/// The system has no thread left.
pub(super) fn start(answers: mpsc::Sender<Input>) -> io::Result<SoundsHandle> {
    let (queue, questions) = sync_channel(QUEUE_MAX);
    std::thread::Builder::new()
        .name(String::from("sounds"))
        .spawn(move || answer_all(&questions, &answers))?;
    Ok(SoundsHandle { queue })
}

fn answer_all(questions: &Receiver<SoundQuestion>, answers: &mpsc::Sender<Input>) {
    let mut library = Library::default();
    while let Ok(question) = questions.recv() {
        let answer = library.answer(&question);
        if answers.blocking_send(Input::Sounds(answer)).is_err() {
            return;
        }
    }
}
