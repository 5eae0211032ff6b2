//! Legs whose packets say who sent them and when: what a gateway must give on unchanged.

use crate::ledger::{Ledger, LegAddresses, MediaResult, realtime_ns};
use crate::packet::{self, PACKET, Probe, Stream};
use anyhow::{Result, bail};
use hdrhistogram::Histogram;
use std::net::SocketAddrV4;

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

/// See the module's comment.
pub struct Probes {
    legs: Vec<Leg>,
    latency: Histogram<u64>,
    result: MediaResult,
}

impl Probes {
    /// A stream for each leg.
    pub fn new(addresses: &[LegAddresses], payload_type: u8) -> Result<Probes> {
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
        Ok(Probes {
            legs: legs.collect(),
            latency: Histogram::new_with_bounds(1, 10_000_000_000, 3)?,
            result: MediaResult::default(),
        })
    }
}

impl Ledger for Probes {
    fn begin(&mut self) {
        self.latency.reset();
        self.result = MediaResult::default();
    }

    fn next(&mut self, index: usize) -> [u8; PACKET] {
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

    fn receive(&mut self, index: usize, source: SocketAddrV4, received_ns: u64, bytes: &[u8]) {
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

    fn result(&mut self) -> &mut MediaResult {
        &mut self.result
    }

    fn finish(&mut self, seconds: f64) -> MediaResult {
        let microseconds = |quantile: f64| self.latency.value_at_quantile(quantile) as f64 / 1000.0;
        self.result.conclude(seconds);
        self.result.latency_us = [
            microseconds(0.5),
            microseconds(0.99),
            microseconds(0.999),
            self.latency.max() as f64 / 1000.0,
        ];
        self.result.clone()
    }
}
