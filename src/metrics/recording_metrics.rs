//! Counters of what is recorded.

use super::catalogue;
use super::register::counter;
use prometheus::{IntCounter, Registry};

/// See the module's comment.
#[derive(Debug)]
pub struct RecordingMetrics {
    failed: IntCounter,
    blocks_dropped: IntCounter,
}

impl RecordingMetrics {
    pub(super) fn new(registry: &Registry) -> RecordingMetrics {
        RecordingMetrics {
            failed: counter(registry, &catalogue::RECORDINGS_FAILED_TOTAL),
            blocks_dropped: counter(registry, &catalogue::RECORDING_BLOCKS_DROPPED_TOTAL),
        }
    }

    /// A recording could not be written, or not to its end.
    pub fn failed(&self) {
        self.failed.inc();
    }

    /// So many blocks of 10 ms found the queue to the disk full.
    pub fn dropped(&self, blocks: u64) {
        self.blocks_dropped.inc_by(blocks);
    }

    /// Blocks of 10 ms that were dropped, so far.
    pub fn total_dropped(&self) -> u64 {
        self.blocks_dropped.get()
    }

    /// Recordings that could not be written to their end, so far.
    pub fn total_failed(&self) -> u64 {
        self.failed.get()
    }
}
