//! What a worker has to tell control, until the edge takes it.

use crate::link::{Digit, Event, LegId};
use std::collections::VecDeque;

/// Events on their way to control.
pub(super) struct Events {
    queue: VecDeque<Event>,
    /// Reports that found it full.
    pub(super) reports_dropped: u64,
}

/// Most events that wait, besides the last event of each leg.
pub(super) const EVENTS_MAX: usize = 1_024;

impl Events {
    pub(super) fn new() -> Events {
        Events {
            queue: VecDeque::with_capacity(EVENTS_MAX),
            reports_dropped: 0,
        }
    }

    /// False if there is no room; the teller keeps it and tries again at a tick.
    pub(super) fn tell(&mut self, event: Event) -> bool {
        let room = self.queue.len() < EVENTS_MAX;
        if room {
            self.queue.push_back(event);
        }
        room
    }

    /// A digit of a leg's peer has ended, with its milliseconds. One that finds the queue full is lost, as a digit in a
    /// full exchange is.
    pub(super) fn tell_digit(&mut self, leg: LegId, (digit, duration_ms): (Digit, u16)) {
        self.tell(Event::Digit {
            leg,
            digit,
            duration_ms,
        });
    }

    /// Dropped and counted if there is no room.
    pub(super) fn tell_report(&mut self, event: Event) {
        if !self.tell(event) {
            self.reports_dropped += 1;
        }
    }

    /// The last event of a leg, which is never lost: one a lease, and only commands bring it, so that this may grow.
    pub(super) fn tell_last(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }
}
