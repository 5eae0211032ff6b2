//! Leases of RTP port pairs. A pair rests for a while after a call, so that late packets meet nobody.
//!
//! ```text
//!          lease            close             Closed            REST later
//!  free ──────────► leased ────────► closing ────────► resting ───────────► free
//!                     │                 │
//!                     └── OpenFailed ───┴────► quarantined ── QUARANTINE later ──► free
//! ```
//!
//! Every step costs O(1): each worker has one queue for each waiting state, in the order of their ends.

use crate::link::{LegId, PortRange, RtpPort, WorkerId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a pair rests after its sockets are closed: longer than the network and a peer's jitter buffer hold a
/// packet back, so that a late one of the old call never meets the new one.
pub const REST: Duration = Duration::from_secs(5);

/// How long a pair rests at least. Where no rested pair is free, the one that rested longest goes to a new call before
/// the call is refused: a thousand short calls a second need 12,000 pairs otherwise.
pub const REST_MIN: Duration = Duration::from_secs(1);

/// How long a pair is left alone that the system would not bind (somebody else has it).
pub const QUARANTINE: Duration = Duration::from_secs(60);

/// Why no pair could be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPorts {
    /// Every pair of every worker is in a call: the range is too small.
    #[error("every RTP port pair is in a call")]
    Full,
    /// Those that are in no call rest after their last one.
    #[error("every free RTP port pair still rests after its last call")]
    Resting,
    /// Those that are in no call could not be bound: something else on this machine uses the range.
    #[error("every free RTP port pair is quarantined, since it could not be bound")]
    Quarantined,
}

/// How many pairs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Leased to a leg, or closing after it.
    pub in_use: u64,
    /// Resting after a call.
    pub resting: u64,
    /// Could not be bound lately.
    pub quarantined: u64,
    /// In all.
    pub total: u64,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Ports {
    range: PortRange,
    slices: Vec<Slice>,
}

/// The pairs of one worker.
#[derive(Debug)]
struct Slice {
    first: u16,
    pairs: Vec<Pair>,
    /// First in, first out: the pair that was used the longest ago comes next.
    free: VecDeque<RtpPort>,
    /// Each with the end of its rest, in that order.
    resting: VecDeque<(Instant, RtpPort)>,
    quarantined: VecDeque<(Instant, RtpPort)>,
    in_use: usize,
}

#[derive(Clone, Copy, Debug)]
struct Pair {
    generation: u32,
    leased: bool,
}

impl Ports {
    /// All pairs of the range, free.
    pub fn new(range: PortRange) -> Self {
        let slices = (0..range.workers())
            .map(|worker| Slice::new(range.ports_of(WorkerId(worker)).collect()))
            .collect();
        Ports { range, slices }
    }

    /// The worker that has the fewest legs among those with `pairs` free ones: where the legs of a new call go.
    ///
    /// # Errors
    /// [`NoPorts`], if no worker has so many.
    pub fn choose_worker(&mut self, now: Instant, pairs: usize) -> Result<WorkerId, NoPorts> {
        for slice in &mut self.slices {
            slice.wake(now, pairs);
        }
        let best = (0..)
            .map(WorkerId)
            .zip(&self.slices)
            .filter(|(_, slice)| slice.free.len() >= pairs)
            .min_by_key(|(_, slice)| slice.in_use);
        best.map(|(worker, _)| worker).ok_or_else(|| self.lack())
    }

    /// Leases a pair of this worker.
    ///
    /// # Errors
    /// [`NoPorts`], if none of that worker's is free.
    pub fn lease(&mut self, now: Instant, worker: WorkerId) -> Result<LegId, NoPorts> {
        let Some(slice) = self.slices.get_mut(usize::from(worker.0)) else {
            return Err(NoPorts::Full);
        };
        slice.wake(now, 1);
        match slice.free.pop_front() {
            Some(port) => Ok(slice.take(port)),
            None => Err(slice.lack()),
        }
    }

    /// The worker says that the leg is closed: the pair rests. False if the lease is not a living one.
    pub fn closed(&mut self, now: Instant, leg: LegId) -> bool {
        self.end(leg, |slice| slice.resting.push_back((now + REST, leg.port)))
    }

    /// The leg could not be opened, so the pair is left alone for a longer time. False if the lease is not a living one.
    pub fn open_failed(&mut self, now: Instant, leg: LegId) -> bool {
        self.end(leg, |slice| {
            slice.quarantined.push_back((now + QUARANTINE, leg.port))
        })
    }

    /// Something else has the pair, as was found before it was ever leased: it is left alone as if a leg had failed to
    /// open on it. False if it is not a free one.
    pub fn set_aside(&mut self, now: Instant, port: RtpPort) -> bool {
        let Some(worker) = self.range.worker_of(port) else {
            return false;
        };
        let slice = &mut self.slices[usize::from(worker.0)];
        let Some(place) = slice.free.iter().position(|free| *free == port) else {
            return false;
        };
        slice.free.remove(place);
        slice.quarantined.push_back((now + QUARANTINE, port));
        true
    }

    /// The worker never heard of the leg (its queue was full): the pair is free at once.
    pub fn unused(&mut self, leg: LegId) -> bool {
        self.end(leg, |slice| slice.free.push_back(leg.port))
    }

    /// True while the lease lives.
    pub fn is_leased(&self, leg: LegId) -> bool {
        self.range
            .worker_of(leg.port)
            .map(|worker| &self.slices[usize::from(worker.0)])
            .map(|slice| slice.pairs[slice.place(leg.port)])
            .is_some_and(|pair| pair.leased && pair.generation == leg.generation)
    }

    /// The worker of a leg. None if its port is not in the range.
    pub fn worker_of(&self, leg: LegId) -> Option<WorkerId> {
        self.range.worker_of(leg.port)
    }

    /// How many are in which state, as of the last lease (a rest that has ended since counts as rest).
    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges::default();
        for slice in &self.slices {
            gauges.in_use += slice.in_use as u64;
            gauges.resting += slice.resting.len() as u64;
            gauges.quarantined += slice.quarantined.len() as u64;
            gauges.total += slice.pairs.len() as u64;
        }
        gauges
    }

    fn end(&mut self, leg: LegId, then: impl FnOnce(&mut Slice)) -> bool {
        if !self.is_leased(leg) {
            return false;
        }
        let Some(worker) = self.range.worker_of(leg.port) else {
            return false;
        };
        let slice = &mut self.slices[usize::from(worker.0)];
        let place = slice.place(leg.port);
        slice.pairs[place].leased = false;
        slice.in_use -= 1;
        then(slice);
        true
    }

    fn lack(&self) -> NoPorts {
        let of = |wanted| self.slices.iter().any(|slice| slice.lack() == wanted);
        if of(NoPorts::Resting) {
            NoPorts::Resting
        } else if of(NoPorts::Quarantined) {
            NoPorts::Quarantined
        } else {
            NoPorts::Full
        }
    }
}

impl Slice {
    fn new(free: VecDeque<RtpPort>) -> Self {
        let unused = Pair {
            generation: 0,
            leased: false,
        };
        Slice {
            first: free.front().map_or(0, |port| port.rtp()),
            pairs: vec![unused; free.len()],
            free,
            resting: VecDeque::new(),
            quarantined: VecDeque::new(),
            in_use: 0,
        }
    }

    fn place(&self, port: RtpPort) -> usize {
        usize::from(port.rtp() - self.first) / 2
    }

    /// Ends the rests that are over, and more of them early where fewer pairs than `wanted` are free. Each pair pays
    /// once for its own rest.
    fn wake(&mut self, now: Instant, wanted: usize) {
        for queue in [&mut self.resting, &mut self.quarantined] {
            while let Some((_, port)) = queue.front().filter(|(end, _)| *end <= now) {
                self.free.push_back(*port);
                queue.pop_front();
            }
        }
        let early = now + (REST - REST_MIN);
        while self.free.len() < wanted
            && let Some((_, port)) = self.resting.front().filter(|(end, _)| *end <= early)
        {
            self.free.push_back(*port);
            self.resting.pop_front();
        }
    }

    fn take(&mut self, port: RtpPort) -> LegId {
        let place = self.place(port);
        let pair = &mut self.pairs[place];
        pair.generation = pair.generation.wrapping_add(1);
        pair.leased = true;
        self.in_use += 1;
        LegId {
            port,
            generation: pair.generation,
        }
    }

    fn lack(&self) -> NoPorts {
        if !self.resting.is_empty() {
            NoPorts::Resting
        } else if !self.quarantined.is_empty() {
            NoPorts::Quarantined
        } else {
            NoPorts::Full
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(pairs: u16, workers: u16) -> Ports {
        Ports::new(PortRange::new(20000, 20000 + pairs * 2 - 1, workers).expect("a good range"))
    }

    #[test]
    fn a_pair_set_aside_is_not_leased_until_its_quarantine_ends() {
        let start = Instant::now();
        let mut ports = ports(2, 1);
        let range = PortRange::new(20000, 20003, 1).expect("a range");
        let taken = range.ports_of(WorkerId(0)).next().expect("a pair");
        let other = RtpPort::new(40000).expect("even");
        assert!(ports.set_aside(start, taken));
        assert!(!ports.set_aside(start, taken), "it is not free any more");
        assert!(!ports.set_aside(start, other), "it is not of the range");
        let leased = ports.lease(start, WorkerId(0)).expect("the other pair");
        assert_ne!(leased.port, taken);
        assert!(ports.lease(start, WorkerId(0)).is_err());
        let later = start + QUARANTINE;
        assert_eq!(
            ports.lease(later, WorkerId(0)).map(|leg| leg.port),
            Ok(taken)
        );
    }

    #[test]
    fn a_pair_rests_before_it_is_used_again_and_the_lack_says_why() {
        let start = Instant::now();
        let mut ports = ports(2, 1);
        let worker = ports.choose_worker(start, 2).expect("two are free");
        let first = ports.lease(start, worker).expect("free");
        let second = ports.lease(start, worker).expect("free");
        assert_ne!(first.port, second.port);
        assert_eq!(ports.lease(start, worker), Err(NoPorts::Full));

        assert!(ports.closed(start, first));
        assert!(!ports.closed(start, first), "a lease ends once");
        assert_eq!(ports.choose_worker(start, 1), Err(NoPorts::Resting));
        let early = start + REST_MIN;
        let nearly = ports.choose_worker(early - Duration::from_millis(1), 1);
        assert_eq!(nearly, Err(NoPorts::Resting));
        assert_eq!(ports.choose_worker(early, 2), Err(NoPorts::Full));
        let again = ports.lease(early, worker).expect("rested a little");
        assert_eq!(again.port, first.port);
        assert_ne!(again.generation, first.generation);
        assert!(!ports.closed(start, first), "a late word of the old lease");
        assert!(ports.is_leased(again));
    }

    #[test]
    fn a_pair_that_cannot_be_bound_is_left_alone_for_longer() {
        let start = Instant::now();
        let mut ports = ports(1, 1);
        let leg = ports.lease(start, WorkerId(0)).expect("free");
        assert!(ports.open_failed(start, leg));
        assert_eq!(
            ports.lease(start + REST, WorkerId(0)),
            Err(NoPorts::Quarantined)
        );
        assert!(ports.lease(start + QUARANTINE, WorkerId(0)).is_ok());
    }

    #[test]
    fn calls_go_to_the_worker_with_the_fewest_legs_and_gauges_add_up() {
        let start = Instant::now();
        let mut ports = ports(8, 2);
        let mut legs = Vec::new();
        for _ in 0..4 {
            let worker = ports.choose_worker(start, 2).expect("free");
            for _ in 0..2 {
                legs.push(ports.lease(start, worker).expect("chosen for two"));
            }
        }
        let workers: Vec<_> = legs.iter().map(|leg| ports.worker_of(*leg)).collect();
        assert_eq!(workers[0], workers[1]);
        assert_ne!(workers[0], workers[2]);
        assert_eq!(ports.gauges().in_use, 8);
        assert_eq!(ports.choose_worker(start, 1), Err(NoPorts::Full));
        for leg in legs {
            assert!(ports.closed(start, leg));
        }
        let gauges = ports.gauges();
        assert_eq!((gauges.in_use, gauges.resting, gauges.total), (0, 8, 8));
    }

    #[test]
    fn a_rest_is_whole_while_others_are_free() {
        let start = Instant::now();
        let mut ports = ports(3, 1);
        let first = ports.lease(start, WorkerId(0)).expect("free");
        assert!(ports.closed(start, first));
        let now = start + REST - Duration::from_millis(1);
        for _ in 0..2 {
            let other = ports.lease(now, WorkerId(0)).expect("free");
            assert_ne!(other.port, first.port);
        }
        assert_eq!(ports.gauges().resting, 1);
        let last = ports.lease(now, WorkerId(0)).expect("rested a little");
        assert_eq!(last.port, first.port);
    }

    #[test]
    fn pairs_are_used_in_turn() {
        let start = Instant::now();
        let mut ports = ports(3, 1);
        let mut seen = Vec::new();
        for turn in 0..6 {
            let now = start + REST * turn;
            let leg = ports.lease(now, WorkerId(0)).expect("free");
            seen.push(leg.port.rtp());
            assert!(ports.closed(now, leg));
        }
        assert_eq!(seen, [20000, 20002, 20004, 20000, 20002, 20004]);
    }
}
