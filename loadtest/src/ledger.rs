//! What every leg sends, and what it should hear: the same book for every way to the wire.

use crate::packet::{self, PACKET, Probe, Stream};
use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::net::SocketAddrV4;

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
    /// From our send to our receive, in microseconds: p50, p99, p99.9, max.
    pub latency_us: [f64; 4],
}

impl MediaResult {
    /// Part of what was sent that did not come, or came wrong.
    pub fn loss(&self) -> f64 {
        let bad =
            self.lost.unsigned_abs() + self.rubbish + self.wrong_source + self.broken_sequence;
        bad as f64 / self.sent.max(1) as f64
    }
}

/// What the far leg's stream looked like so far.
struct Heard {
    ssrc: u32,
    sender: u32,
    /// Sequence number minus count, which must stay.
    offset: u16,
}

struct Leg {
    gateway: SocketAddrV4,
    stream: Stream,
    sent: u32,
    heard: Option<Heard>,
}

/// All legs' streams, and what has been counted in this run.
pub struct Ledger {
    legs: Vec<Leg>,
    latency: Histogram<u64>,
    /// The counts so far; what follows from them is in [`Ledger::finish`]'s.
    pub result: MediaResult,
}

impl Ledger {
    /// A stream for each leg.
    pub fn new(addresses: &[LegAddresses], payload_type: u8) -> Result<Ledger> {
        if addresses.is_empty() {
            bail!("no legs: no call was answered");
        }
        let legs = addresses.iter().map(|leg| Leg {
            gateway: leg.gateway,
            stream: Stream {
                payload_type,
                ssrc: fastrand::u32(..),
                first_sequence: fastrand::u16(..),
            },
            sent: 0,
            heard: None,
        });
        Ok(Ledger {
            legs: legs.collect(),
            latency: Histogram::new_with_bounds(1, 10_000_000_000, 3)?,
            result: MediaResult::default(),
        })
    }

    /// A new run: counts from nought, streams that go on.
    pub fn begin(&mut self) {
        self.latency.reset();
        self.result = MediaResult::default();
    }

    /// The next packet of a leg. Its number is used up, whether it is sent or not.
    pub fn next(&mut self, index: usize) -> [u8; PACKET] {
        let leg = &mut self.legs[index];
        let probe = Probe {
            sender: index as u32,
            count: leg.sent,
            sent_ns: realtime_ns(),
        };
        leg.sent = leg.sent.wrapping_add(1);
        let mut packet = [0; PACKET];
        packet::write(&mut packet, &leg.stream, &probe);
        packet
    }

    /// A packet came to a leg, at that time of CLOCK_REALTIME.
    pub fn receive(&mut self, index: usize, source: SocketAddrV4, received_ns: u64, bytes: &[u8]) {
        let leg = &mut self.legs[index];
        if source != leg.gateway {
            self.result.wrong_source += 1;
            return;
        }
        let Some(received) =
            packet::read(bytes).filter(|r| r.payload_type == leg.stream.payload_type)
        else {
            self.result.rubbish += 1;
            return;
        };
        let offset = received.sequence.wrapping_sub(received.probe.count as u16);
        let heard = leg.heard.get_or_insert(Heard {
            ssrc: received.ssrc,
            sender: received.probe.sender,
            offset,
        });
        if heard.ssrc != received.ssrc
            || heard.sender != received.probe.sender
            || heard.offset != offset
        {
            self.result.broken_sequence += 1;
        }
        self.result.received += 1;
        let latency = received_ns.saturating_sub(received.probe.sent_ns).max(1);
        self.latency.saturating_record(latency);
    }

    /// What the run amounts to.
    pub fn finish(&mut self, seconds: f64) -> MediaResult {
        let microseconds = |quantile: f64| self.latency.value_at_quantile(quantile) as f64 / 1000.0;
        self.result.lost = self.result.sent as i64 - self.result.received as i64;
        self.result.seconds = seconds;
        self.result.rate = self.result.sent as f64 / seconds;
        self.result.latency_us = [
            microseconds(0.5),
            microseconds(0.99),
            microseconds(0.999),
            self.latency.max() as f64 / 1000.0,
        ];
        self.result.clone()
    }
}

fn realtime_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}
