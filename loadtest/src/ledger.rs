//! What every leg sends, and what it should hear: a book for every way to the wire.

use crate::packet::PACKET;
use serde::{Deserialize, Serialize};
use std::net::SocketAddrV4;

/// The streams of all legs, and what has been counted in this run.
pub trait Ledger {
    /// A new run: counts from nought, streams that go on.
    fn begin(&mut self);
    /// The next packet of a leg. Its number is used up, whether it is sent or not.
    fn next(&mut self, index: usize) -> [u8; PACKET];
    /// A packet came to a leg, at that time of CLOCK_REALTIME.
    fn receive(&mut self, index: usize, source: SocketAddrV4, received_ns: u64, bytes: &[u8]);
    /// The counts so far; what follows from them is in [`Ledger::finish`]'s.
    fn result(&mut self) -> &mut MediaResult;
    /// What the run amounts to.
    fn finish(&mut self, seconds: f64) -> MediaResult;
}

/// One leg: our address, and the gateway's port that its SDP gave us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegAddresses {
    /// Ours; it stood in our SDP.
    pub local: SocketAddrV4,
    /// The gateway's.
    pub gateway: SocketAddrV4,
}

/// What one run of the media saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MediaResult {
    /// Packets sent, all legs.
    pub sent: u64,
    /// Packets received whole, from the right source, in any order.
    pub received: u64,
    /// Sent but not received, or received twice (then below zero).
    pub lost: i64,
    /// From an address that the SDP did not tell.
    pub wrong_source: u64,
    /// Not a packet that a leg of ours sent, harmed, or with another payload type.
    pub rubbish: u64,
    /// Whose SSRC, sender or sequence number did not continue.
    pub broken_sequence: u64,
    /// Sends that the kernel refused.
    pub send_failed: u64,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Packets a second that were really sent.
    pub rate: f64,
    /// From our send to our receive, in microseconds: p50, p99, p99.9, max; noughts where packets do not tell.
    pub latency_us: [f64; 4],
}

impl MediaResult {
    /// Packets that came as they should not have, or could not be sent.
    pub fn wrong(&self) -> u64 {
        self.rubbish + self.wrong_source + self.broken_sequence + self.send_failed
    }

    /// Part of what was sent that did not come, or came wrong.
    pub fn loss(&self) -> f64 {
        let bad = self.lost.unsigned_abs() + self.wrong();
        bad as f64 / self.sent.max(1) as f64
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &MediaResult) {
        self.sent += other.sent;
        self.received += other.received;
        self.wrong_source += other.wrong_source;
        self.rubbish += other.rubbish;
        self.broken_sequence += other.broken_sequence;
        self.send_failed += other.send_failed;
        self.conclude(self.seconds + other.seconds);
    }

    /// Works out what follows from the counts.
    pub fn conclude(&mut self, seconds: f64) {
        self.lost = self.sent as i64 - self.received as i64;
        self.seconds = seconds;
        self.rate = self.sent as f64 / seconds;
    }
}

/// CLOCK_REALTIME in nanoseconds.
pub fn realtime_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
