//! A hierarchical timer wheel: arming and cancelling cost the same with ten timers as with a million.
//!
//! ```text
//!  level 0   64 slots of 1 ms      │▪│ │▪│…      the next 64 ms, exact
//!  level 1   64 slots of 64 ms     │ │▪│ │…      the next 4 s
//!  level 2   64 slots of 4.1 s     │▪│ │ │…      the next 4 min
//!   …                                            a slot that comes due is dealt out to the levels below
//!  level 6                                       139 years
//! ```
//!
//! A timer stands in the slot of the highest level whose digit (base 64) of its tick differs from the current tick.
//! Nodes live in one vector, linked by index, so nothing is allocated once the vector has grown. A timer never
//! fires early; it fires at most 1 ms late, because its deadline is rounded up to a tick.

use std::time::{Duration, Instant};

const LEVELS: usize = 7;
const SLOTS: usize = 64;
const BITS: u32 = 6;
/// The last tick that the levels can tell apart.
const TICK_MAX: u64 = (1 << (BITS * LEVELS as u32)) - 1;
/// No node.
const NONE: u32 = u32::MAX;
/// The list of the nodes that have come due and wait to be taken.
const DUE: usize = LEVELS * SLOTS;

/// An armed timer. It stays harmless when the timer has fired or was cancelled: the generation tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    index: u32,
    generation: u32,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List {
    first: NONE,
    last: NONE,
};

struct Node<K> {
    /// None while the node is free; `next` then links the free ones.
    key: Option<K>,
    tick: u64,
    generation: u32,
    list: u16,
    previous: u32,
    next: u32,
}

/// Timers that carry a key each. See the module's comment.
pub struct TimerWheel<K> {
    /// Tick 0: when the first timer was armed.
    origin: Option<Instant>,
    /// Every tick before this one is done.
    tick: u64,
    nodes: Vec<Node<K>>,
    free: u32,
    alive: usize,
    lists: Box<[List; DUE + 1]>,
    /// A bit for each slot that is not empty.
    occupied: [u64; LEVELS],
}

impl<K: Copy> Default for TimerWheel<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy> TimerWheel<K> {
    /// An empty wheel.
    pub fn new() -> Self {
        TimerWheel {
            origin: None,
            tick: 0,
            nodes: Vec::new(),
            free: NONE,
            alive: 0,
            lists: Box::new([EMPTY; DUE + 1]),
            occupied: [0; LEVELS],
        }
    }

    /// Timers armed and not fired.
    pub fn len(&self) -> usize {
        self.alive
    }

    /// True if no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.alive == 0
    }

    /// Arms a timer. One in the past fires at the next [`TimerWheel::expire`].
    pub fn arm(&mut self, now: Instant, at: Instant, key: K) -> TimerId {
        let origin = *self.origin.get_or_insert(now);
        let since = at.saturating_duration_since(origin);
        let part = u64::from(since.subsec_nanos().div_ceil(1_000_000));
        let tick = since.as_secs().saturating_mul(1_000).saturating_add(part);
        let index = self.allocate(key, tick.clamp(self.tick, TICK_MAX));
        self.place(index);
        TimerId {
            index,
            generation: self.nodes[index as usize].generation,
        }
    }

    /// Cancels a timer and gives its key back. None if it has fired or was cancelled already.
    pub fn cancel(&mut self, timer: TimerId) -> Option<K> {
        let node = self.nodes.get(timer.index as usize)?;
        if node.generation != timer.generation {
            return None;
        }
        self.unlink(timer.index);
        self.release(timer.index)
    }

    /// Takes the next timer that is due, in the order of their ticks. None if no further one is due by `now`.
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        let origin = self.origin?;
        let since = now.saturating_duration_since(origin);
        let part = u64::from(since.subsec_millis());
        let elapsed = since.as_secs().saturating_mul(1_000).saturating_add(part);
        let now_tick = elapsed.min(TICK_MAX);
        loop {
            let first = self.lists[DUE].first;
            if first != NONE {
                self.unlink(first);
                return self.release(first);
            }
            match self.next_slot() {
                Some((level, slot, start)) if start <= now_tick => {
                    self.tick = self.tick.max(start);
                    self.deal_out(level, slot);
                }
                _ => {
                    self.tick = self.tick.max(now_tick);
                    return None;
                }
            }
        }
    }

    /// When [`TimerWheel::expire`] is to be called next: never after the earliest timer, but perhaps before it, when
    /// a slot of a higher level is to be dealt out.
    pub fn next(&self) -> Option<Instant> {
        let tick = if self.lists[DUE].first != NONE {
            self.tick
        } else {
            self.next_slot()?.2
        };
        self.origin?.checked_add(Duration::from_millis(tick))
    }

    /// Level, slot and first tick of the next slot that is not empty. The lowest level is always the earliest: its
    /// slots lie within one slot of the level above.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|bits| *bits != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = BITS * level as u32;
        let above = self.tick >> (shift + BITS) << (shift + BITS);
        let start = above | u64::from(slot) << shift;
        Some((level, slot as usize, start.max(self.tick)))
    }

    /// Moves the nodes of a slot that has come due: down a level or more, or to the due ones.
    fn deal_out(&mut self, level: usize, slot: usize) {
        let list = level * SLOTS + slot;
        let mut index = self.lists[list].first;
        self.lists[list] = EMPTY;
        self.occupied[level] &= !(1 << slot);
        while index != NONE {
            let node = &self.nodes[index as usize];
            let (next, due) = (node.next, node.tick <= self.tick);
            if due {
                self.append(DUE, index);
            } else {
                self.place(index);
            }
            index = next;
        }
    }

    /// Puts a node into the slot that its tick asks for.
    fn place(&mut self, index: u32) {
        let tick = self.nodes[index as usize].tick;
        let differing = (tick ^ self.tick) | (SLOTS as u64 - 1);
        let level = ((63 - differing.leading_zeros()) / BITS) as usize;
        let slot = (tick >> (BITS * level as u32)) as usize & (SLOTS - 1);
        self.occupied[level] |= 1 << slot;
        self.append(level * SLOTS + slot, index);
    }

    fn append(&mut self, list: usize, index: u32) {
        let last = self.lists[list].last;
        let node = &mut self.nodes[index as usize];
        node.list = list as u16;
        node.previous = last;
        node.next = NONE;
        match last {
            NONE => self.lists[list].first = index,
            last => self.nodes[last as usize].next = index,
        }
        self.lists[list].last = index;
    }

    fn unlink(&mut self, index: u32) {
        let node = &self.nodes[index as usize];
        let (list, previous, next) = (usize::from(node.list), node.previous, node.next);
        match previous {
            NONE => self.lists[list].first = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[list].last = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        if list != DUE && self.lists[list].first == NONE {
            self.occupied[list / SLOTS] &= !(1 << (list % SLOTS));
        }
    }

    fn allocate(&mut self, key: K, tick: u64) -> u32 {
        self.alive += 1;
        if self.free == NONE {
            self.nodes.push(Node {
                key: Some(key),
                tick,
                generation: 0,
                list: 0,
                previous: NONE,
                next: NONE,
            });
            // The callers' tables are bounded far below 2^32 timers.
            return (self.nodes.len() - 1) as u32;
        }
        let index = self.free;
        let node = &mut self.nodes[index as usize];
        self.free = node.next;
        node.key = Some(key);
        node.tick = tick;
        index
    }

    fn release(&mut self, index: u32) -> Option<K> {
        let node = &mut self.nodes[index as usize];
        node.generation = node.generation.wrapping_add(1);
        node.next = self.free;
        self.free = index;
        self.alive -= 1;
        node.key.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const MS: Duration = Duration::from_millis(1);

    fn drain(wheel: &mut TimerWheel<u32>, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| wheel.expire(now)).collect()
    }

    #[test]
    fn fires_at_its_deadline_and_not_before() {
        for delay in [
            1,
            63,
            64,
            65,
            500,
            4_095,
            4_096,
            4_097,
            32_000,
            1_800_000,
            20_000_000_000,
        ] {
            for phase in [0, 1, 63, 64, 4_095, 1_000_000] {
                let mut wheel = TimerWheel::new();
                let start = Instant::now();
                wheel.arm(start, start, 0);
                let now = start + MS * phase;
                assert_eq!(drain(&mut wheel, now), [0]);
                let at = now + Duration::from_millis(delay);
                wheel.arm(now, at, 7);
                assert_eq!(
                    drain(&mut wheel, at - MS),
                    [0u32; 0],
                    "{delay} ms at {phase}"
                );
                assert_eq!(drain(&mut wheel, at), [7], "{delay} ms at {phase}");
                assert!(wheel.is_empty());
                assert_eq!(wheel.next(), None);
            }
        }
    }

    #[test]
    fn a_fraction_of_a_tick_is_late_not_early() {
        let mut wheel = TimerWheel::new();
        let start = Instant::now();
        wheel.arm(start, start + Duration::from_micros(1_500), 1);
        assert_eq!(
            drain(&mut wheel, start + Duration::from_micros(1_999)),
            [0u32; 0]
        );
        assert_eq!(drain(&mut wheel, start + 2 * MS), [1]);
    }

    #[test]
    fn one_in_the_past_fires_at_once_and_a_fired_one_cannot_be_cancelled() {
        let mut wheel = TimerWheel::new();
        let start = Instant::now();
        wheel.arm(start, start + 100 * MS, 1);
        assert_eq!(drain(&mut wheel, start + 200 * MS), [1]);
        let late = wheel.arm(start + 200 * MS, start + 50 * MS, 2);
        assert_eq!(drain(&mut wheel, start + 200 * MS), [2]);
        let other = wheel.arm(start + 200 * MS, start + 300 * MS, 3);
        assert_eq!(wheel.cancel(late), None, "its place is used by another");
        assert_eq!(wheel.cancel(other), Some(3));
        assert_eq!(wheel.cancel(other), None);
        assert_eq!(wheel.next(), None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm(u64),
        Cancel(usize),
        Advance(u64),
        /// To the instant that the wheel asks for.
        Next,
    }

    fn step() -> impl Strategy<Value = Step> {
        let delay = prop_oneof![0..70u64, 0..5_000u64, 0..400_000u64, 0..1u64 << 34];
        prop_oneof![
            4 => delay.clone().prop_map(Step::Arm),
            2 => (0..64usize).prop_map(Step::Cancel),
            1 => delay.prop_map(Step::Advance),
            2 => Just(Step::Next),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        /// The wheel against an ordered map.
        #[test]
        fn agrees_with_an_ordered_map(steps in prop::collection::vec(step(), 1..120)) {
            let start = Instant::now();
            let (mut wheel, mut model) = (TimerWheel::new(), BTreeMap::new());
            let (mut now, mut ids, mut serial) = (0u64, Vec::new(), 0u32);
            let instant = |ms| start + Duration::from_millis(ms);
            for step in steps {
                match step {
                    Step::Arm(delay) => {
                        ids.push((wheel.arm(instant(now), instant(now + delay), serial), now + delay, serial));
                        model.insert((now + delay, serial), ());
                        serial += 1;
                    }
                    Step::Cancel(which) if !ids.is_empty() => {
                        let (id, at, key) = ids[which % ids.len()];
                        let there = model.remove(&(at, key)).is_some();
                        prop_assert_eq!(wheel.cancel(id), there.then_some(key));
                    }
                    Step::Cancel(_) => {}
                    Step::Advance(by) => now += by,
                    Step::Next => if let Some(next) = wheel.next() {
                        let (earliest, _) = *model.keys().next().expect("the model has it too");
                        prop_assert!(next <= instant(earliest).max(instant(now)), "never after the earliest");
                        now = now.max(next.duration_since(start).as_millis() as u64);
                    }
                }
                let mut due = Vec::new();
                while let Some(entry) = model.first_entry().filter(|entry| entry.key().0 <= now) {
                    due.push(entry.key().1);
                    entry.remove();
                }
                let mut fired = drain(&mut wheel, instant(now));
                let at = |key: &u32| ids.iter().find(|id| id.2 == *key).map(|id| id.1);
                prop_assert!(fired.is_sorted_by_key(at), "in the order of their ticks");
                fired.sort_unstable();
                due.sort_unstable();
                prop_assert_eq!(fired, due);
                prop_assert_eq!(wheel.len(), model.len());
                prop_assert_eq!(wheel.next().is_none(), model.is_empty());
            }
        }
    }
}
