//! Where a packet that comes has its place, and whether it still has one.

use super::order::{Entry, Kind};
use super::ring::CAPACITY;
use super::{
    BLOCK_UNITS, DELAY_MAX_NS, FIRST_EPOCH, JitterBuffer, Order, Playout, Pushed, UNIT_NS,
};

/// A gap in time that no missing number explains, and that took so much less time than it says, is a jump of the
/// source's clock.
const JUMP_NS: i64 = 100_000_000;
/// A transit that is longer by this than any is another clock's.
const FAR_LATE_NS: i64 = 1_000_000_000;
/// Comfort noise may carry a time stamp that is so much older than the audio before it.
const NOISE_SLACK: u64 = CAPACITY as u64;

impl JitterBuffer {
    /// Judges and notes a packet. Its place is another one after a restart.
    pub(super) fn admit(&mut self, now_ns: u64, entry: Entry) -> (Pushed, Entry) {
        if self.order.get(entry.extended).is_some() {
            self.counts.duplicates += 1;
            return (Pushed::Duplicate, entry);
        }
        let newest = self.order.is_newest(entry.extended);
        if newest && self.playout != Playout::Idle && self.jumped(now_ns, &entry) {
            return (Pushed::TooFar, self.restart(now_ns, entry));
        }
        self.make_place(now_ns, &entry, newest);
        self.note(now_ns, entry);
        // Comfort noise has no end that could be late. An old number beyond the ring is a stranger's.
        let late = entry.len > 0 && entry.end() <= self.next;
        if late || self.playout == Playout::Idle || entry.end() > self.next + CAPACITY as u64 {
            self.counts.late += 1;
            return (Pushed::Late, entry);
        }
        self.newest_end = self.newest_end.max(entry.end());
        self.counts.kept += 1;
        (Pushed::Kept, entry)
    }

    /// Says of the time between a packet and its neighbours whether it was a pause: what is longer than the packets
    /// that are missing. A marker says that they are missing before the pause, not after it.
    pub(super) fn explain_gaps(&mut self, entry: Entry, marker: bool) {
        if let Some((before, missing)) = self.order.before(entry.extended) {
            self.explain_gap(&before, &entry, missing, marker);
        }
        if let Some((after, missing)) = self.order.after(entry.extended) {
            self.explain_gap(&entry, &after, missing, false);
        }
    }

    fn explain_gap(&mut self, before: &Entry, after: &Entry, missing: u32, marker: bool) {
        let lost = u64::from(missing) * self.packet_len;
        let (from, to) = match marker {
            true => (before.end() + lost, after.start),
            false => (before.end(), after.start.saturating_sub(lost)),
        };
        let to = to.min(self.newest_end);
        self.ring
            .mark_pause(from.max(self.next), to, before.kind == Kind::Noise);
    }

    /// True if the newest packet's time does not follow from what came before.
    fn jumped(&self, now_ns: u64, entry: &Entry) -> bool {
        if entry.end() > self.next + CAPACITY as u64
            && entry.start > self.newest_end + CAPACITY as u64 / 2
        {
            return true;
        }
        let Some((before, missing)) = self.order.before(entry.extended) else {
            return entry.start + CAPACITY as u64 / 2 < self.next;
        };
        let slack = match entry.kind {
            Kind::Noise => NOISE_SLACK,
            Kind::Audio | Kind::Other => 0,
        };
        if entry.start + slack < before.start {
            return true;
        }
        if let Playout::Pausing { .. } = self.playout
            && entry.kind == Kind::Audio
            && entry.start + ((DELAY_MAX_NS / UNIT_NS) as u64) < self.next
        {
            return true;
        }
        let unexplained = before.end() + u64::from(missing) * self.packet_len < entry.start;
        let least = self.transits.least();
        unexplained && least.is_some_and(|least| self.transit(now_ns, entry) + JUMP_NS < least)
    }

    /// Drops what was and begins with this packet.
    fn restart(&mut self, now_ns: u64, entry: Entry) -> Entry {
        self.counts.restarts += 1;
        self.order = Order::new();
        self.transits.forget();
        let entry = Entry {
            start: FIRST_EPOCH | u64::from(entry.start as u32),
            ..entry
        };
        self.begin(&entry);
        self.note(now_ns, entry);
        self.newest_end = entry.end();
        entry
    }

    /// An empty ring that begins with this packet.
    fn begin(&mut self, entry: &Entry) {
        self.ring.clear_all();
        self.playout = Playout::Primed;
        self.next = entry.start;
        self.newest_end = entry.start;
        self.excess = 0;
        // Nothing that was heard goes on in it.
        self.pulled_to = u64::MAX;
        self.left_out = None;
    }

    /// Moves what is played next to where the packet has a place, if it may have one.
    fn make_place(&mut self, now_ns: u64, entry: &Entry, newest: bool) {
        match self.playout {
            // One that was overtaken before all went quiet stays away.
            Playout::Idle if newest || entry.start >= self.next => {
                self.begin(entry);
                let transit = self.transit(now_ns, entry);
                let likely = |least| (least - JUMP_NS..least + FAR_LATE_NS).contains(&transit);
                if !self.transits.least().is_some_and(likely) {
                    self.transits.forget();
                }
            }
            Playout::Primed
                if entry.start < self.next && self.newest_end - entry.start <= CAPACITY as u64 =>
            {
                self.next = entry.start;
            }
            // It comes later than the pause let it: the pause was longer.
            Playout::Pausing { since }
                if newest
                    && entry.kind == Kind::Audio
                    && (since..self.next).contains(&entry.start)
                    && self.newest_end <= self.next =>
            {
                self.next = entry.start;
            }
            _ => {}
        }
        let end = self.next + CAPACITY as u64;
        if newest && entry.end() > end {
            // A burst: the oldest goes.
            self.drop_blocks((entry.end() - end).div_ceil(BLOCK_UNITS));
        }
    }

    fn note(&mut self, now_ns: u64, entry: Entry) {
        self.order.note(entry);
        if entry.kind == Kind::Audio {
            // It is needed when the block is played in which it begins.
            let into_block = (entry.start as i64 - self.next as i64).rem_euclid(BLOCK_UNITS as i64);
            let transit = self.transit(now_ns, &entry) + into_block * UNIT_NS;
            self.transits.take(now_ns, transit);
        }
    }

    fn transit(&self, now_ns: u64, entry: &Entry) -> i64 {
        now_ns as i64 - entry.start as i64 * UNIT_NS
    }
}
