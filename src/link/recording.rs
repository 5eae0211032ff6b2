//! Audio on its way out of a worker to whoever writes it down: a bounded queue a recording, so that no disk ever stalls
//! a call, and no recording the next.
//!
//! The worker holds the [`RecordingSink`], a thread that may wait for a disk the [`RecordingSource`]. When the worker
//! has dropped its end and the queue is empty, the recording is over.

use super::clip::Rate;
use crossbeam_queue::ArrayQueue;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// Blocks that wait for the disk: 2.56 s. Beyond it blocks are dropped and counted; the file gets silence in their place.
pub const RECORDING_BLOCKS_MAX: usize = 256;

/// Most samples of a block: 10 ms of two channels at 16 kHz.
pub const RECORDING_BLOCK_SAMPLES_MAX: usize = 320;

/// Recordings of a leg at a time.
pub const RECORDINGS_MAX: usize = 4;

/// Which recording of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RecordId(pub u32);

/// What of a call is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// What the leg's peer says alone (voicemail).
    Heard,
    /// What it says and what it hears, mixed into one channel.
    Mixed,
    /// What it says on the left, what it hears on the right.
    Stereo,
}

impl Channels {
    /// Channels of the file.
    pub fn count(self) -> u16 {
        match self {
            Channels::Heard | Channels::Mixed => 1,
            Channels::Stereo => 2,
        }
    }
}

/// 10 ms of a recording; the samples of two channels take turns.
#[derive(Clone, Copy, Debug)]
pub struct RecordingBlock {
    /// Which block of the recording this is, from 0: a gap is a block that was dropped.
    pub number: u32,
    samples: [i16; RECORDING_BLOCK_SAMPLES_MAX],
    len: u16,
}

impl RecordingBlock {
    /// A block of these samples; what is over [`RECORDING_BLOCK_SAMPLES_MAX`] is cut off.
    pub fn new(number: u32, samples: &[i16]) -> RecordingBlock {
        let len = samples.len().min(RECORDING_BLOCK_SAMPLES_MAX);
        let mut block = RecordingBlock {
            number,
            samples: [0; RECORDING_BLOCK_SAMPLES_MAX],
            len: len as u16,
        };
        block.samples[..len].copy_from_slice(&samples[..len]);
        block
    }

    /// Its samples.
    pub fn samples(&self) -> &[i16] {
        &self.samples[..usize::from(self.len)]
    }
}

#[derive(Debug)]
struct Shared {
    queue: ArrayQueue<RecordingBlock>,
    dropped: AtomicU64,
}

/// The worker's end of a recording. Two are equal if they are of one recording.
#[derive(Clone, Debug)]
pub struct RecordingSink {
    shared: Arc<Shared>,
    /// Samples a second.
    pub rate: Rate,
    /// What is recorded.
    pub channels: Channels,
}

impl PartialEq for RecordingSink {
    fn eq(&self, other: &RecordingSink) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl RecordingSink {
    /// Hands a block over; one that finds the queue full is dropped and counted.
    pub fn push(&self, block: RecordingBlock) {
        if self.shared.queue.push(block).is_err() {
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Its recording, for who may have to go on with it elsewhere.
    pub fn running(&self) -> RunningRecording {
        RunningRecording {
            shared: Arc::downgrade(&self.shared),
            rate: self.rate,
            channels: self.channels,
        }
    }
}

/// A recording that somebody else's sink keeps going.
#[derive(Clone, Debug)]
pub struct RunningRecording {
    shared: Weak<Shared>,
    rate: Rate,
    channels: Channels,
}

impl RunningRecording {
    /// One more sink of it; None once it is over.
    pub fn sink(&self) -> Option<RecordingSink> {
        Some(RecordingSink {
            shared: self.shared.upgrade()?,
            rate: self.rate,
            channels: self.channels,
        })
    }
}

/// The writer's end of a recording.
#[derive(Debug)]
pub struct RecordingSource {
    shared: Arc<Shared>,
}

impl RecordingSource {
    /// The oldest block.
    pub fn pop(&self) -> Option<RecordingBlock> {
        self.shared.queue.pop()
    }

    /// True once no more will come: every sink is gone. To be asked before [`RecordingSource::pop`] says None for the
    /// last time.
    pub fn is_over(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// Blocks dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }
}

/// A new recording's two ends.
pub fn recording(rate: Rate, channels: Channels) -> (RecordingSink, RecordingSource) {
    let shared = Arc::new(Shared {
        queue: ArrayQueue::new(RECORDING_BLOCKS_MAX),
        dropped: AtomicU64::new(0),
    });
    let sink = RecordingSink {
        shared: Arc::clone(&shared),
        rate,
        channels,
    };
    (sink, RecordingSource { shared })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts_and_the_numbers_tell() {
        let (sink, source) = recording(Rate::Narrow, Channels::Stereo);
        for number in 0..300 {
            sink.push(RecordingBlock::new(number, &[number as i16; 160]));
        }
        assert_eq!(source.dropped(), 300 - RECORDING_BLOCKS_MAX as u64);
        let first = source.pop().expect("a block");
        assert_eq!((first.number, first.samples()), (0, &[0_i16; 160][..]));
        sink.push(RecordingBlock::new(300, &[0; 160]));
        let running = sink.running();
        assert!(running.sink().is_some());
        assert!(!source.is_over());
        drop(sink);
        assert!(source.is_over());
        let rest: Vec<u32> = std::iter::from_fn(|| source.pop())
            .map(|block| block.number)
            .collect();
        assert_eq!(rest.len(), RECORDING_BLOCKS_MAX);
        assert_eq!(rest.last(), Some(&300));
    }
}
