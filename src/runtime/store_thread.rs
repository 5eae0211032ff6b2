//! The thread that writes to the store, so that nobody waits for a disk.

use super::state_directory;
use super::store_sqlite::SqliteStore;
use crate::metrics::ControlMetrics;
use crate::store::{Change, ContactRecord, Store, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Changes that wait to be written. With 10,000 phones that refresh every minute, three minutes' worth.
const QUEUE_MAX: usize = 32_768;
/// Most changes of one transaction.
const BATCH_MAX: usize = 1024;
/// How long a transaction gathers changes: one a tenth of a second at most, whatever the load.
const GATHER: Duration = Duration::from_millis(100);
/// How often a failing store is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// How long the end waits for what is not yet written.
const FINISH_MAX: Duration = Duration::from_secs(2);

/// The way to the thread, held by the control thread. Without a store every change is dropped, as the log has said.
pub struct StoreHandle {
    writer: Option<Writer>,
    metrics: Arc<ControlMetrics>,
}

struct Writer {
    queue: SyncSender<Change>,
    thread: JoinHandle<()>,
    quiet_until: Option<Instant>,
}

/// Opens the store in `configured`, or where the environment says, and reads what it holds. What goes wrong is said
/// once, and the gateway goes on with an empty memory.
pub fn open(
    configured: Option<&Path>,
    metrics: Arc<ControlMetrics>,
) -> (StoreHandle, Vec<ContactRecord>) {
    let Some(directory) = state_directory::choose(configured) else {
        eprintln!(
            "warning: no state directory: neither global.state_dir nor HOME is set; registrations will not outlive a restart"
        );
        return (
            StoreHandle {
                writer: None,
                metrics,
            },
            Vec::new(),
        );
    };
    match start(&directory, Arc::clone(&metrics)) {
        Ok((writer, records)) => {
            let handle = StoreHandle {
                writer: Some(writer),
                metrics,
            };
            (handle, records)
        }
        Err(error) => {
            eprintln!(
                "warning: {} cannot be used (global.state_dir): {error}; registrations will not outlive a restart",
                directory.display()
            );
            (
                StoreHandle {
                    writer: None,
                    metrics,
                },
                Vec::new(),
            )
        }
    }
}

fn start(
    directory: &Path,
    metrics: Arc<ControlMetrics>,
) -> Result<(Writer, Vec<ContactRecord>), StoreError> {
    let mut store = SqliteStore::open(directory)?;
    let records = store.load()?;
    let (queue, changes) = sync_channel(QUEUE_MAX);
    let thread = std::thread::Builder::new()
        .name(String::from("store"))
        .spawn(move || write_all(&mut store, &changes, &metrics))
        .map_err(|error| StoreError(error.to_string()))?;
    let writer = Writer {
        queue,
        thread,
        quiet_until: None,
    };
    Ok((writer, records))
}

impl StoreHandle {
    /// Hands a change over. Never waits.
    pub fn send(&mut self, change: Change) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        if writer.queue.try_send(change).is_ok() {
            return;
        }
        self.metrics.store_changes_lost(1);
        let now = Instant::now();
        if writer.quiet_until.is_none_or(|until| until <= now) {
            writer.quiet_until = Some(now + LOG_INTERVAL);
            tracing::error!(
                "the state directory's disk does not keep up: changes of registrations are not stored"
            );
        }
    }

    /// Waits until everything is written, but not for long.
    pub fn finish(self) {
        let Some(Writer { queue, thread, .. }) = self.writer else {
            return;
        };
        drop(queue);
        let deadline = Instant::now() + FINISH_MAX;
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                tracing::warn!("the last changes of registrations were not stored in time");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Writes until the queue's other end is gone and all is written.
fn write_all(store: &mut dyn Store, changes: &Receiver<Change>, metrics: &ControlMetrics) {
    let mut quiet_until: Option<Instant> = None;
    while let Ok(first) = changes.recv() {
        let batch = gather(first, changes);
        let Err(error) = store.apply(&batch) else {
            continue;
        };
        metrics.store_changes_lost(batch.len() as u64);
        let now = Instant::now();
        if quiet_until.is_none_or(|until| until <= now) {
            quiet_until = Some(now + LOG_INTERVAL);
            tracing::error!(%error, lost = batch.len(), "registrations are not stored");
        }
    }
}

/// What comes within a short time of the first change.
fn gather(first: Change, changes: &Receiver<Change>) -> Vec<Change> {
    let deadline = Instant::now() + GATHER;
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        match changes.recv_timeout(left) {
            Ok(change) => batch.push(change),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails as long as it is told to.
    struct Disk {
        fails: u32,
        written: Vec<Change>,
    }

    impl Store for Disk {
        fn load(&mut self) -> Result<Vec<ContactRecord>, StoreError> {
            Ok(Vec::new())
        }

        fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError> {
            if self.fails > 0 {
                self.fails -= 1;
                return Err(StoreError("disk full".into()));
            }
            self.written.extend_from_slice(changes);
            Ok(())
        }
    }

    #[test]
    fn all_is_written_in_order_and_in_few_transactions() {
        let metrics = ControlMetrics::new();
        let (queue, changes) = sync_channel(QUEUE_MAX);
        for id in 0..3000 {
            queue.send(Change::Remove(id)).expect("there is room");
        }
        drop(queue);
        let mut disk = Disk {
            fails: 1,
            written: Vec::new(),
        };
        write_all(&mut disk, &changes, &metrics);
        let first_kept = BATCH_MAX as u64;
        let expected: Vec<Change> = (first_kept..3000).map(Change::Remove).collect();
        assert_eq!(disk.written, expected, "a batch is lost, and it goes on");
        assert_eq!(metrics.store_lost(), first_kept);
    }

    #[test]
    fn a_full_queue_is_counted_and_nobody_waits() {
        let metrics = Arc::new(ControlMetrics::new());
        let (queue, changes) = sync_channel(1);
        let thread = std::thread::spawn(move || drop(changes.recv()));
        let mut handle = StoreHandle {
            writer: Some(Writer {
                queue,
                thread,
                quiet_until: None,
            }),
            metrics: Arc::clone(&metrics),
        };
        for id in 0..10 {
            handle.send(Change::Remove(id));
        }
        assert!(metrics.store_lost() >= 8, "one taken, one waits");
        handle.finish();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_reason_not_to_start() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let below = file.path().join("below");
        let (mut handle, records) = open(Some(&below), Arc::new(ControlMetrics::new()));
        assert!(records.is_empty());
        handle.send(Change::Remove(1));
        handle.finish();
    }
}
