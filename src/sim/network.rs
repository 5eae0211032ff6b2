//! The network between the gateway and its peers: seeded loss, duplication, delay and, by uneven delay, reordering.

use bytes::Bytes;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What the network does to packets.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Part of the packets that are lost, 0 to 1.
    pub loss: f64,
    /// Part that arrives twice.
    pub duplication: f64,
    /// Shortest and longest way; the difference is what reorders.
    pub delay: (Duration, Duration),
}

impl Faults {
    /// Nothing is lost or repeated, everything takes a millisecond.
    pub const NONE: Faults = Faults {
        loss: 0.0,
        duplication: 0.0,
        delay: (Duration::from_millis(1), Duration::from_millis(1)),
    };
}

/// A datagram on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Who sent it.
    pub source: SocketAddr,
    /// Who is to get it.
    pub destination: SocketAddr,
    /// What.
    pub bytes: Bytes,
}

/// See the module's comment.
#[derive(Debug)]
pub struct Network {
    faults: Faults,
    random: fastrand::Rng,
    /// By arrival time; the number keeps the order of equals, so that a run can be repeated.
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    packets: rustc_hash::FxHashMap<u64, Packet>,
    next: u64,
}

impl Network {
    /// An empty one.
    pub fn new(faults: Faults, seed: u64) -> Network {
        Network {
            faults,
            random: fastrand::Rng::with_seed(seed),
            queue: BinaryHeap::new(),
            packets: rustc_hash::FxHashMap::default(),
            next: 0,
        }
    }

    /// Takes a packet.
    pub fn send(&mut self, now: Instant, packet: Packet) {
        if self.random.f64() < self.faults.loss {
            return;
        }
        if self.random.f64() < self.faults.duplication {
            self.put(now, packet.clone());
        }
        self.put(now, packet);
    }

    fn put(&mut self, now: Instant, packet: Packet) {
        let (shortest, longest) = self.faults.delay;
        let delay = shortest + (longest - shortest).mul_f64(self.random.f64());
        self.queue.push(Reverse((now + delay, self.next)));
        self.packets.insert(self.next, packet);
        self.next += 1;
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// The next packet that has arrived.
    pub fn receive(&mut self, now: Instant) -> Option<Packet> {
        self.next_arrival().filter(|at| *at <= now)?;
        let Reverse((_, number)) = self.queue.pop()?;
        self.packets.remove(&number)
    }
}
