//! How long to wait for a batch. A packet alone costs a wake-up; packets together share one. So a loaded thread lets
//! some gather before it wakes, an idle one takes each as it comes. Media workers count RTP packets so, the control
//! thread SIP messages.
//!
//! ```text
//!  gather
//!  longest ┤            ┌──────────────
//!          │          ╱
//!          │        ╱
//!        0 ┼───────┘
//!          └───────┬────┬──────────────► packets expected within the longest wait
//!                 IDLE  FULL
//! ```

use crate::media::Nanos;

/// Fewer packets than this within the longest wait, and there is nothing to gather.
const IDLE: u64 = 2;

/// As many as this, and the whole wait is used.
const FULL: u64 = 6;

/// Packets are counted over this long, and the rate of one stretch rules the next.
const STRETCH_NS: u64 = 5_000_000;

/// A batch of this many is enough, however short the wait was.
const BATCH: u32 = 64;

/// How to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// For the first completion.
    First,
    /// For `completions`, or for `longest_us` if there is one by then, or for the first.
    Batch {
        /// How many are enough.
        completions: u32,
        /// How long, in microseconds.
        longest_us: u32,
    },
}

/// Sees how many packets come and says how to wait for the next.
#[derive(Debug)]
pub struct Pace {
    longest_us: u32,
    stretch_began: Nanos,
    stretch_packets: u64,
    next: Wait,
}

impl Pace {
    /// `longest_us`: the longest wait, in microseconds; 0 to always wake for the first packet.
    pub fn new(longest_us: u32) -> Pace {
        Pace {
            longest_us,
            stretch_began: Nanos(0),
            stretch_packets: 0,
            next: Wait::First,
        }
    }

    /// A turn that began at `now` took in this many packets.
    pub fn count(&mut self, now: Nanos, packets: u64) {
        self.stretch_packets += packets;
        let stretch_ns = now.0.saturating_sub(self.stretch_began.0);
        if stretch_ns >= STRETCH_NS {
            self.next = self.wait_at(self.stretch_packets, stretch_ns);
            self.stretch_began = now;
            self.stretch_packets = 0;
        }
    }

    /// How to wait now.
    pub fn wait(&self) -> Wait {
        self.next
    }

    fn wait_at(&self, packets: u64, in_ns: u64) -> Wait {
        // Thousandths of a packet, so that a slow stream does not round to none.
        let longest_ns = u64::from(self.longest_us) * 1000;
        let expected_milli = packets.saturating_mul(longest_ns).saturating_mul(1000) / in_ns;
        let above_idle = expected_milli.saturating_sub(IDLE * 1000);
        let full = (FULL - IDLE) * 1000;
        let wait_us = u64::from(self.longest_us) * above_idle.min(full) / full;
        match u32::try_from(wait_us) {
            Ok(0) | Err(_) => Wait::First,
            Ok(longest_us) => Wait::Batch {
                completions: BATCH,
                longest_us,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_at_rate(longest_us: u32, packets_a_second: u64) -> Wait {
        let mut pace = Pace::new(longest_us);
        for millisecond in 1..=20 {
            pace.count(Nanos(millisecond * 1_000_000), packets_a_second / 1000);
        }
        pace.wait()
    }

    #[test]
    fn an_idle_worker_wakes_for_the_first_packet() {
        assert_eq!(Pace::new(200).wait(), Wait::First);
        assert_eq!(wait_at_rate(200, 0), Wait::First);
        assert_eq!(wait_at_rate(200, 5_000), Wait::First);
    }

    #[test]
    fn a_loaded_one_waits_as_long_as_it_may() {
        for rate in [50_000, 100_000, 1_000_000] {
            assert_eq!(
                wait_at_rate(200, rate),
                Wait::Batch {
                    completions: BATCH,
                    longest_us: 200
                }
            );
        }
    }

    #[test]
    fn between_them_the_wait_grows_with_the_load() {
        let waits: Vec<u32> = (5..=40)
            .map(|thousands| match wait_at_rate(200, thousands * 1000) {
                Wait::No | Wait::First => 0,
                Wait::Batch { longest_us, .. } => longest_us,
            })
            .collect();
        assert!(waits.is_sorted());
        assert!(waits.iter().any(|wait| (1..200).contains(wait)));
    }

    #[test]
    fn never_is_never() {
        assert_eq!(wait_at_rate(0, 1_000_000), Wait::First);
    }

    #[test]
    fn a_load_that_ends_is_forgotten() {
        let mut pace = Pace::new(200);
        for millisecond in 1..=20 {
            pace.count(Nanos(millisecond * 1_000_000), 100);
        }
        assert_ne!(pace.wait(), Wait::First);
        pace.count(Nanos(40_000_000), 1);
        assert_eq!(pace.wait(), Wait::First);
    }
}
