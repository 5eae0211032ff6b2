//! What must hold of every packet that goes to a peer, judged where it is sent, in the order of sending.

use crate::codec::Payload;
use crate::link::{LegFormats, PayloadMap};
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::{self, Packet, ReportBlock};
use crate::rtp::telephone_event::TelephoneEvent;
use std::collections::BTreeMap;

/// Numbers that are remembered.
const WINDOW: i64 = 1_000;
/// Octets of 10 ms.
const BLOCK: usize = 80;

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Rewritten in place.
    Relayed,
    /// The worker made it.
    Made,
}

/// One lease of a leg, from its peer's side. Nothing here shares a rule with the worker.
#[derive(Default)]
pub(super) struct Watch {
    ssrc: Option<u32>,
    /// The highest number so far, extended.
    highest: i64,
    /// What was sent under each number: its time stamp and payload.
    numbers: BTreeMap<i64, (u32, Vec<u8>)>,
    /// Where the last audio that was made ends, and whether it was a part of a packet alone.
    made_until: Option<(u32, bool)>,
    /// The longest packet that may come: the packet time before counts for what was begun.
    ptimes_ms: (u8, u8),
    /// Events that were made here: their time stamps and codes.
    pub(super) events: Vec<(u32, u8)>,
    /// Events that passed: in order, but each once.
    pub(super) passed: Vec<(u32, u8)>,
    pub(super) packets: u64,
    pub(super) payload_octets: u64,
    pub(super) rtcp: u64,
    pub(super) said_goodbye: bool,
    /// What the last report said of the peer's stream.
    pub(super) block: Option<ReportBlock>,
}

impl Watch {
    /// Of a lease whose peer wants this packet time.
    pub(super) fn new(ptime_ms: u8) -> Watch {
        Watch {
            ptimes_ms: (ptime_ms, ptime_ms),
            ..Watch::default()
        }
    }

    /// Judges an RTP packet in the clear. What is wrong with it.
    pub(super) fn rtp(&mut self, way: Way, plain: &[u8], told: &LegFormats) -> Result<(), String> {
        let header = Header::parse(plain).map_err(|error| format!("no RTP: {error}"))?;
        let payload = packet::payload(plain);
        if *self.ssrc.get_or_insert(header.ssrc) != header.ssrc {
            return Err("a second SSRC".to_owned());
        }
        let Some(format) = told.send.payload(header.payload_type) else {
            return Err(format!(
                "a payload type it knows not: {}",
                header.payload_type
            ));
        };
        self.number(way, &header, payload)?;
        match format {
            Payload::TelephoneEvent { .. } => self.event(way, &header, payload)?,
            Payload::Codec(_) if way == Way::Made => self.audio(&header, payload)?,
            Payload::Codec(_) | Payload::ComfortNoise => {}
        }
        self.packets += 1;
        self.payload_octets += payload.len() as u64;
        Ok(())
    }

    fn number(&mut self, way: Way, header: &Header, payload: &[u8]) -> Result<(), String> {
        if self.packets == 0 {
            self.highest = i64::from(header.sequence);
        }
        let step = header.sequence.wrapping_sub(self.highest as u16) as i16;
        let number = self.highest + i64::from(step);
        if way == Way::Made && step <= 0 && self.packets > 0 {
            return Err(format!("made out of order: {step}"));
        }
        if let Some(before) = self.numbers.get(&number)
            && (before.0 != header.timestamp || before.1 != payload)
        {
            return Err(format!("a number twice: {}", header.sequence));
        }
        self.highest = self.highest.max(number);
        self.numbers
            .insert(number, (header.timestamp, payload.to_vec()));
        self.numbers = self.numbers.split_off(&(self.highest - WINDOW));
        Ok(())
    }

    fn audio(&mut self, header: &Header, payload: &[u8]) -> Result<(), String> {
        let longest = usize::from(self.ptimes_ms.0.max(self.ptimes_ms.1)) * BLOCK / 10;
        if payload.is_empty() || !payload.len().is_multiple_of(BLOCK) || payload.len() > longest {
            return Err(format!("a packet of {} octets", payload.len()));
        }
        if let Some((end, was_part)) = self.made_until {
            let ahead = header.timestamp.wrapping_sub(end) as i32;
            if ahead < 0 {
                return Err(format!("time stamps go back by {}", -ahead));
            }
            if was_part && !header.marker {
                return Err("a part of a packet within a talkspurt".to_owned());
            }
        }
        let shortest = usize::from(self.ptimes_ms.0.min(self.ptimes_ms.1)) * BLOCK / 10;
        let end = header.timestamp.wrapping_add(payload.len() as u32);
        self.made_until = Some((end, payload.len() < shortest));
        Ok(())
    }

    fn event(&mut self, way: Way, header: &Header, payload: &[u8]) -> Result<(), String> {
        let Some(event) = TelephoneEvent::parse(payload).next() else {
            return Err("an empty event".to_owned());
        };
        let key = (header.timestamp, event.code);
        let known = match way {
            Way::Made => &mut self.events,
            Way::Relayed => &mut self.passed,
        };
        if known.contains(&key) {
            return match way == Way::Made && known.last() != Some(&key) {
                true => Err("an event begins again".to_owned()),
                false => Ok(()),
            };
        }
        if known.iter().any(|(timestamp, _)| *timestamp == key.0) {
            return Err("two events with one time stamp".to_owned());
        }
        known.push(key);
        Ok(())
    }

    /// Another packet time is asked for.
    pub(super) fn follow_ptime(&mut self, ptime_ms: u8) {
        self.ptimes_ms = (self.ptimes_ms.1, ptime_ms);
    }

    /// Judges an RTCP packet in the clear that the worker made.
    pub(super) fn rtcp(&mut self, plain: &[u8]) -> Result<(), String> {
        rtcp::check(plain).map_err(|error| format!("no RTCP: {error}"))?;
        self.rtcp += 1;
        if self.said_goodbye {
            return Err("RTCP after a goodbye".to_owned());
        }
        for packet in rtcp::packets(plain) {
            match packet {
                Packet::Report {
                    ssrc,
                    sender,
                    blocks,
                } => {
                    if self.ssrc.is_some_and(|ours| ours != ssrc) {
                        return Err("a report of another SSRC".to_owned());
                    }
                    if let Some(info) = sender {
                        let counts = (u64::from(info.packets), u64::from(info.octets));
                        if counts != (self.packets, self.payload_octets) {
                            return Err(format!(
                                "a report of {counts:?}, sent were {:?}",
                                (self.packets, self.payload_octets)
                            ));
                        }
                    }
                    self.block = blocks.iter().next().or(self.block);
                }
                Packet::Goodbye { .. } => self.said_goodbye = true,
                Packet::Description | Packet::Other(_) => {}
            }
        }
        Ok(())
    }
}

/// The payload types that pass from one leg to another: what both know, as control maps them.
pub(super) fn payload_map(from: &LegFormats, to: &LegFormats) -> PayloadMap {
    let pairs: Vec<(u8, u8)> = from
        .receive
        .formats()
        .iter()
        .filter_map(|format| {
            let there = to.send.formats().iter();
            let same = there
                .copied()
                .find(|there| there.payload == format.payload)?;
            Some((format.payload_type, same.payload_type))
        })
        .collect();
    PayloadMap::new(&pairs).expect("few")
}
