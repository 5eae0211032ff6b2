//! How long packets were under way in the last seconds, and the delay that follows from it.
//!
//! A transit is the time of arrival less the time stamp, both in nanoseconds, from an origin that nobody knows: only
//! differences count (RFC 3550 §6.4.1). The seconds are cut into slots of which the least and the most transit are
//! kept. What nearly all packets keep is the second highest of the slots' maxima: one stall of the network makes no
//! more delay than it lasts, two within the time remembered do.

use super::DELAY_MAX_NS;

/// What playout allows beyond what was seen: the first packets of a call know nothing of its network, and senders' clocks and
/// threads are late by a few milliseconds now and then. Each time that is not allowed for is heard.
const RESERVE_NS: i64 = 5_000_000;
/// Slots remembered.
const SLOTS: usize = 16;
/// Nanoseconds a slot lasts. All of them are 8 s.
const SLOT_NS: u64 = 500_000_000;
/// After a pause of so long what was seen before it says nothing any more: clocks drift.
const STALE_NS: u64 = SLOTS as u64 * SLOT_NS;

#[derive(Clone, Copy)]
struct Slot {
    least: i64,
    most: i64,
}

pub(super) struct Transits {
    slots: [Slot; SLOTS],
    /// How many of the slots hold anything.
    used: usize,
    /// The one that is being filled.
    at: usize,
    slot_end: u64,
    stale_at: u64,
    /// What [`Transits::target`] says.
    target: i64,
    /// The quickest packet's and the slowest's of the last half to whole second.
    least: i64,
    most: i64,
}

impl Transits {
    pub(super) const fn new() -> Self {
        Transits {
            slots: [Slot { least: 0, most: 0 }; SLOTS],
            used: 0,
            at: 0,
            slot_end: 0,
            stale_at: 0,
            target: 0,
            least: 0,
            most: 0,
        }
    }

    /// A packet's transit.
    pub(super) fn take(&mut self, now: u64, transit: i64) {
        let alone = Slot {
            least: transit,
            most: transit,
        };
        if self.used == 0 || now >= self.stale_at {
            (self.used, self.at) = (1, 0);
            self.slots[0] = alone;
            self.slot_end = now + SLOT_NS;
        } else if now >= self.slot_end {
            self.at = (self.at + 1) % SLOTS;
            self.used = (self.used + 1).min(SLOTS);
            self.slots[self.at] = alone;
            self.slot_end = now + SLOT_NS;
        } else {
            let slot = &mut self.slots[self.at];
            if (slot.least..=slot.most).contains(&transit) {
                // Most packets: nothing to judge anew.
                self.stale_at = now + STALE_NS;
                return;
            }
            slot.least = slot.least.min(transit);
            slot.most = slot.most.max(transit);
        }
        self.stale_at = now + STALE_NS;
        self.judge();
    }

    fn judge(&mut self) {
        // Of the last half to whole second, so that a longer way is soon believed.
        let before = match self.used {
            1 => self.at,
            _ => (self.at + SLOTS - 1) % SLOTS,
        };
        self.least = self.slots[self.at].least.min(self.slots[before].least);
        self.most = self.slots[self.at].most.max(self.slots[before].most);
        let (mut highest, mut second) = (i64::MIN, i64::MIN);
        for slot in &self.slots[..self.used] {
            second = second.max(slot.most.min(highest));
            highest = highest.max(slot.most);
        }
        let reach = if self.used == 1 { highest } else { second };
        self.target = (reach + RESERVE_NS).min(self.least + DELAY_MAX_NS);
    }

    /// The transit that playout should allow: 5 to 200 ms more than the quickest packet's. None before the first packet.
    pub(super) fn target(&self) -> Option<i64> {
        (self.used > 0).then_some(self.target)
    }

    /// What all packets of the last half to whole second kept, and nearly all of the last 8 s.
    pub(super) fn settled(&self) -> Option<i64> {
        (self.used > 0).then_some(self.target.max(self.most))
    }

    /// The quickest packet's of the last half to whole second. None before the first.
    pub(super) fn least(&self) -> Option<i64> {
        (self.used > 0).then_some(self.least)
    }

    pub(super) fn forget(&mut self) {
        self.used = 0;
    }
}
