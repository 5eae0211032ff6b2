//! The thread that writes recordings, so that no disk stalls a call.
//!
//! ```text
//!  control loop ──RecordingOrder──► queue ──► thread ──► files
//!  worker ──────── blocks ──────────────────────▲  └──► Input::Recorded ──► control loop
//! ```
//!
//! It looks at every recording that runs twenty times a second. A recording that cannot be written ends with one
//! warning and a count; the call goes on.

mod file;
mod unwritable;

pub use unwritable::unwritable_recordings;

use super::input::Input;
use crate::control::recordings::{Recorded, RecordingOrder};
use crate::metrics::{ControlMetrics, RecordingMetrics};
use file::WavFile;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Orders that wait; a further one is a recording that failed.
const QUEUE_MAX: usize = 1024;
/// Recordings at once; a further one fails.
const RUNNING_MAX: usize = 2048;
/// How often the queues are emptied: each holds 2.56 s.
const INTERVAL: Duration = Duration::from_millis(50);
/// Turns after which the header of a file is brought up to date, so that a crash loses a second at most.
const TURNS_BETWEEN_HEADERS: u32 = 20;
/// How long the end waits for what is not yet written.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// The way to the thread, held by the control thread.
pub(super) struct RecordingsHandle {
    queue: SyncSender<RecordingOrder>,
    thread: JoinHandle<()>,
    metrics: Arc<ControlMetrics>,
}

impl RecordingsHandle {
    /// Hands an order over. Never waits; without room the recording has failed.
    ///
    /// # Errors
    /// Who is to hear so.
    pub(super) fn record(&self, order: RecordingOrder) -> Result<(), Recorded> {
        let asker = order.asker;
        self.queue.try_send(order).map_err(|refused| {
            let (TrySendError::Full(order) | TrySendError::Disconnected(order)) = refused;
            let call = order.call;
            tracing::error!(
                call,
                "the disk of the recordings does not keep up: not recorded"
            );
            self.metrics.recordings.failed();
            Recorded { asker, path: None }
        })
    }

    /// Waits until everything is written, but not for long. The workers have ended.
    pub(super) fn finish(self) {
        drop(self.queue);
        let deadline = Instant::now() + FINISH_MAX;
        while !self.thread.is_finished() {
            if Instant::now() >= deadline {
                tracing::warn!("not every recording was completed in time");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts the thread; its answers go to the control loop.
///
/// # Errors
/// The system has no thread left.
pub(super) fn start(
    answers: mpsc::Sender<Input>,
    metrics: Arc<ControlMetrics>,
) -> io::Result<RecordingsHandle> {
    let (queue, orders) = sync_channel(QUEUE_MAX);
    let writer = Writer {
        running: Vec::new(),
        metrics: Arc::clone(&metrics),
    };
    let answer = move |recorded| {
        // Nobody listens at the gateway's end.
        let _ = answers.blocking_send(Input::Recorded(recorded));
    };
    let thread = std::thread::Builder::new()
        .name(String::from("recordings"))
        .spawn(move || writer.run(&orders, answer))?;
    Ok(RecordingsHandle {
        queue,
        thread,
        metrics,
    })
}

struct Writer {
    running: Vec<Running>,
    metrics: Arc<ControlMetrics>,
}

struct Running {
    order: RecordingOrder,
    file: WavFile,
    /// Since the header was written.
    turns: u32,
}

/// Where a recording stands after a turn.
enum Turn {
    GoesOn,
    Over,
    Failed(io::Error),
}

impl Writer {
    fn run(mut self, orders: &Receiver<RecordingOrder>, mut answer: impl FnMut(Recorded)) {
        let mut is_open = true;
        while is_open || !self.running.is_empty() {
            let next = match self.running.is_empty() {
                true => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false if is_open => orders.recv_timeout(INTERVAL),
                false => {
                    std::thread::sleep(INTERVAL);
                    Err(RecvTimeoutError::Timeout)
                }
            };
            match next {
                Ok(order) => {
                    self.begin(order, &mut answer);
                    is_open &= self.take_waiting(orders, &mut answer);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_open = false,
            }
            self.turn(&mut answer);
        }
    }

    /// False once nobody will order any more.
    fn take_waiting(
        &mut self,
        orders: &Receiver<RecordingOrder>,
        answer: &mut impl FnMut(Recorded),
    ) -> bool {
        loop {
            match orders.try_recv() {
                Ok(order) => self.begin(order, answer),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn begin(&mut self, order: RecordingOrder, answer: &mut impl FnMut(Recorded)) {
        if self.records_into(&order.path) {
            // It may be over by now.
            self.turn(answer);
        }
        let opened = match self.running.len() {
            RUNNING_MAX.. => Err(io::Error::other(format!("{RUNNING_MAX} recordings run"))),
            _ if self.records_into(&order.path) => {
                Err(io::Error::other("another recording goes into this file"))
            }
            _ => WavFile::create(&order),
        };
        match opened {
            Ok(file) => self.running.push(Running {
                order,
                file,
                turns: 0,
            }),
            Err(error) => {
                let file = order.path.display();
                tracing::error!(call = order.call, %file, %error, "not recorded");
                self.recordings().failed();
                answer(Recorded {
                    asker: order.asker,
                    path: None,
                });
            }
        }
    }

    fn records_into(&self, path: &Path) -> bool {
        self.running.iter().any(|running| running.file.is(path))
    }

    fn turn(&mut self, answer: &mut impl FnMut(Recorded)) {
        let metrics = Arc::clone(&self.metrics);
        self.running.retain_mut(|running| {
            let turn = running.turn();
            if let Turn::GoesOn = turn {
                return true;
            }
            metrics.recordings.dropped(running.order.source.dropped());
            let (call, file) = (&running.order.call, running.order.path.display());
            if let Turn::Failed(error) = &turn {
                tracing::error!(call, %file, %error, "the recording ends here");
                metrics.recordings.failed();
            }
            let path = match running.order.keep.is_kept() {
                true => running.file.finish(),
                false => running.file.discard().map(|()| None),
            };
            let path = path.unwrap_or_else(|error| {
                // One that has failed is told already.
                if !matches!(turn, Turn::Failed(_)) {
                    tracing::error!(call, %file, %error, "the recording could not be completed");
                    metrics.recordings.failed();
                }
                None
            });
            answer(Recorded {
                asker: running.order.asker,
                path,
            });
            false
        });
    }

    fn recordings(&self) -> &RecordingMetrics {
        &self.metrics.recordings
    }
}

impl Running {
    /// Writes what has come.
    fn turn(&mut self) -> Turn {
        let is_over = self.order.source.is_over();
        while let Some(block) = self.order.source.pop() {
            self.file.push(&block);
        }
        self.turns += 1;
        let is_due = self.turns >= TURNS_BETWEEN_HEADERS;
        let written = self.file.write();
        let written = match is_due {
            true => written.and_then(|()| self.file.refresh()),
            false => written,
        };
        if is_due {
            self.turns = 0;
        }
        match written {
            Err(error) => Turn::Failed(error),
            Ok(()) if is_over => Turn::Over,
            Ok(()) => Turn::GoesOn,
        }
    }
}

#[cfg(test)]
mod tests;
