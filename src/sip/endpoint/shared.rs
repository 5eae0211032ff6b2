//! What both sides of the endpoint share: timers, randomness, what is to be sent and said.

use super::{Counters, EndpointSettings, Event};
use crate::sip::flow::{Flow, Protocol, Transmit};
use crate::sip::random::Random;
use crate::sip::timer::{TimerId, TimerWheel};
use crate::sip::transaction::Timing;
use bytes::Bytes;
use std::collections::VecDeque;
use std::hash::{BuildHasher, DefaultHasher, Hasher};
use std::time::Instant;

/// Whose timer it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Due {
    Client(usize),
    Server(usize),
    Stream(Flow),
}

/// A timer that runs, and until when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Armed {
    at: Instant,
    id: TimerId,
}

impl Armed {
    pub(super) fn at(&self) -> Instant {
        self.at
    }
}

pub(super) struct Shared {
    pub(super) settings: EndpointSettings,
    pub(super) hash: SeededHash,
    pub(super) timers: TimerWheel<Due>,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
    /// New requests get a stateless 503.
    pub(super) refuses_new: bool,
    random: Random,
    generation: u32,
}

impl Shared {
    pub(super) fn new(settings: EndpointSettings, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Shared {
            settings,
            hash: SeededHash::new(random.next_u64()),
            timers: TimerWheel::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            refuses_new: false,
            random,
            generation: 0,
        }
    }

    pub(super) fn timing(&self, protocol: Protocol) -> Timing {
        Timing {
            t1: self.settings.t1,
            t2: self.settings.t2,
            t4: self.settings.t4,
            reliable: protocol.is_reliable(),
        }
    }

    pub(super) fn send(&mut self, flow: Flow, bytes: Bytes) {
        self.transmits.push_back(Transmit { flow, bytes });
    }

    /// Something for the user to hear.
    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Sends a kept message once more; only its handle is copied.
    pub(super) fn send_again(&mut self, flow: Flow, bytes: &Bytes) {
        if !bytes.is_empty() {
            self.counters.retransmissions += 1;
            self.send(flow, bytes.clone());
        }
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.random.next_u64()
    }

    /// 64 bits of randomness, twice what RFC 3261 §19.3 asks of a tag.
    pub(super) fn new_tag(&mut self) -> String {
        format!("{:016x}", self.random.next_u64())
    }

    /// Tells the uses of a place in a table apart.
    pub(super) fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1);
        self.generation
    }

    /// Makes the one timer of its owner run until `deadline`, or not at all.
    pub(super) fn arm(
        &mut self,
        now: Instant,
        armed: &mut Option<Armed>,
        deadline: Option<Instant>,
        due: Due,
    ) {
        if armed.map(|timer| timer.at) == deadline {
            return;
        }
        if let Some(timer) = armed.take() {
            self.timers.cancel(timer.id);
        }
        *armed = deadline.map(|at| Armed {
            at,
            id: self.timers.arm(now, at, due),
        });
    }
}

/// Hashes what peers choose (branches, Call-IDs) so that they cannot make it collide, and the same in each run of a
/// seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeededHash(u64);

impl SeededHash {
    pub(super) fn new(seed: u64) -> SeededHash {
        SeededHash(seed)
    }
}

impl BuildHasher for SeededHash {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}
