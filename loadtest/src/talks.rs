//! Legs that speak and hear real audio, each in its codec: what a gateway must decode and encode.
//!
//! Every packet is checked for its source, payload type, length, SSRC, sequence number and time stamp. Some legs, chosen
//! by chance, are *ears*: all that they hear is kept, and judged after the run ([`crate::hearing`]).

use crate::hearing::{Heard, Hearing, Judgement};
use crate::ledger::{Ledger, LegAddresses, MediaResult, realtime_ns};
use crate::packet::{self, HEADER, PACKET, PAYLOAD, Stream};
use crate::speech::{Codec, Speech};
use anyhow::{Result, bail};
use std::net::SocketAddrV4;

/// Most ears: their audio is decoded and compared after each run.
const EARS_MAX: usize = 32;
/// Legs begin the speech so many frames apart, so that one is told from another.
const APART: usize = 37;

/// What the stream that a leg hears looked like so far.
struct Stretch {
    ssrc: u32,
    /// Highest sequence number, counted on beyond 16 bits.
    highest: i64,
    /// Time stamp minus 160 times the sequence number, which must stay.
    offset: u32,
    /// Which of the 64 numbers up to the highest have come.
    seen: u64,
}

struct Leg {
    gateway: SocketAddrV4,
    codec: Codec,
    stream: Stream,
    sent: u32,
    stretch: Option<Stretch>,
    /// When it sent each packet of this run; kept if an ear hears it.
    sent_ns: Option<Vec<u64>>,
    /// What it heard in this run, if it is an ear.
    ear: Option<Vec<Heard>>,
}

/// See the module's comment.
pub struct Talks<'s> {
    speech: &'s Speech,
    legs: Vec<Leg>,
    result: MediaResult,
}

impl<'s> Talks<'s> {
    /// Callers first, then whom they called in the same order; each side with its codec.
    pub fn new(
        addresses: &[LegAddresses],
        codecs: [Codec; 2],
        speech: &'s Speech,
    ) -> Result<Talks<'s>> {
        if addresses.is_empty() || !addresses.len().is_multiple_of(2) {
            bail!("{} legs: not every call has two", addresses.len());
        }
        let calls = addresses.len() / 2;
        let leg = |(index, addresses): (usize, &LegAddresses)| Leg {
            gateway: addresses.gateway,
            codec: codecs[index / calls],
            stream: Stream {
                payload_type: codecs[index / calls].payload_type(),
                ssrc: fastrand::u32(..),
                first_sequence: fastrand::u16(..),
            },
            sent: 0,
            stretch: None,
            sent_ns: None,
            ear: None,
        };
        let mut talks = Talks {
            speech,
            legs: addresses.iter().enumerate().map(leg).collect(),
            result: MediaResult::default(),
        };
        for ear in fastrand::choose_multiple(0..calls * 2, EARS_MAX) {
            talks.legs[ear].ear = Some(Vec::new());
            let speaker = talks.partner(ear);
            talks.legs[speaker].sent_ns = Some(Vec::new());
        }
        Ok(talks)
    }

    /// The other leg of the same call.
    fn partner(&self, index: usize) -> usize {
        (index + self.legs.len() / 2) % self.legs.len()
    }

    /// The frame of the speech that a leg's first packet carries.
    fn first_frame(&self, index: usize) -> usize {
        index * APART % self.speech.frames()
    }

    /// Listens to what the ears heard in this run.
    pub fn judge(&self) -> Result<Judgement> {
        let mut judgement = Judgement::default();
        for (index, leg) in self.legs.iter().enumerate() {
            let Some(heard) = &leg.ear else { continue };
            let speaker = self.partner(index);
            let sent_ns = self.legs[speaker].sent_ns.as_deref().unwrap_or_default();
            let first_count = self.legs[speaker].sent as usize - sent_ns.len();
            judgement.listen(&Hearing {
                speech: self.speech,
                codec: leg.codec,
                heard,
                first_frame: self.first_frame(speaker) + first_count,
                sent_ns,
            })?;
        }
        Ok(judgement)
    }
}

impl Ledger for Talks<'_> {
    fn begin(&mut self) {
        self.result = MediaResult::default();
        for leg in &mut self.legs {
            leg.stretch = None;
            leg.sent_ns.iter_mut().for_each(Vec::clear);
            leg.ear.iter_mut().for_each(Vec::clear);
        }
    }

    fn next(&mut self, index: usize) -> [u8; PACKET] {
        let first = self.first_frame(index);
        let leg = &mut self.legs[index];
        let mut packet = [0; PACKET];
        packet::write_header(&mut packet, &leg.stream, leg.sent);
        let frame = self.speech.frame(leg.codec, first + leg.sent as usize);
        packet[HEADER..].copy_from_slice(frame);
        if let Some(sent_ns) = &mut leg.sent_ns {
            sent_ns.push(realtime_ns());
        }
        leg.sent = leg.sent.wrapping_add(1);
        packet
    }

    fn receive(&mut self, index: usize, source: SocketAddrV4, received_ns: u64, bytes: &[u8]) {
        let (leg, result) = (&mut self.legs[index], &mut self.result);
        if source != leg.gateway {
            result.wrong_source += 1;
            return;
        }
        let packet: Option<&[u8; PACKET]> = bytes.try_into().ok();
        let is_of_codec = |packet: &&[u8; PACKET]| {
            packet[0] == 0x80 && packet[1] & 0x7f == leg.codec.payload_type()
        };
        let Some(packet) = packet.filter(is_of_codec) else {
            result.rubbish += 1;
            return;
        };
        let stretch = leg.stretch.get_or_insert_with(|| Stretch::begin(packet));
        let number = stretch.place(packet);
        if !stretch.take(packet, number) {
            result.broken_sequence += 1;
            return;
        }
        result.received += 1;
        if let Some(ear) = &mut leg.ear {
            let mut octets = [0; PAYLOAD];
            octets.copy_from_slice(&packet[HEADER..]);
            ear.push(Heard {
                number,
                received_ns,
                octets,
            });
        }
    }

    fn result(&mut self) -> &mut MediaResult {
        &mut self.result
    }

    fn finish(&mut self, seconds: f64) -> MediaResult {
        self.result.conclude(seconds);
        self.result.clone()
    }
}

fn word(packet: &[u8; PACKET], at: usize) -> u32 {
    u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
}

fn sequence(packet: &[u8; PACKET]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

impl Stretch {
    fn begin(packet: &[u8; PACKET]) -> Stretch {
        let highest = i64::from(sequence(packet));
        Stretch {
            ssrc: word(packet, 8),
            highest,
            offset: offset(packet, highest),
            seen: 0,
        }
    }

    /// The packet's sequence number, counted on.
    fn place(&self, packet: &[u8; PACKET]) -> i64 {
        self.highest + i64::from(sequence(packet).wrapping_sub(self.highest as u16) as i16)
    }

    /// False if it has come before, or does not continue the stream; what follows may continue from it.
    fn take(&mut self, packet: &[u8; PACKET], number: i64) -> bool {
        let step = number - self.highest;
        let bit = match step {
            1.. => {
                self.seen = self.seen.checked_shl(step as u32).unwrap_or(0);
                self.highest = number;
                1
            }
            _ => 1u64.checked_shl(-step as u32).unwrap_or(0),
        };
        let is_new = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        let goes_on = self.ssrc == word(packet, 8) && self.offset == offset(packet, number);
        (self.ssrc, self.offset) = (word(packet, 8), offset(packet, number));
        is_new && goes_on
    }
}

fn offset(packet: &[u8; PACKET], number: i64) -> u32 {
    word(packet, 4).wrapping_sub((number as u32).wrapping_mul(PAYLOAD as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(stream: &Stream, count: u32) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        packet::write_header(&mut packet, stream, count);
        packet
    }

    #[test]
    fn repeats_and_jumps_are_seen_and_reordering_is_none() {
        let stream = Stream {
            payload_type: 9,
            ssrc: 5,
            first_sequence: 65_534,
        };
        let mut stretch = Stretch::begin(&packet(&stream, 0));
        let mut take = |packet: &[u8; PACKET]| {
            let number = stretch.place(packet);
            stretch.take(packet, number)
        };
        for (count, is_good) in [
            (0, true),
            (1, true),
            (3, true),
            (2, true),
            (2, false),
            (4, true),
        ] {
            assert_eq!(take(&packet(&stream, count)), is_good, "{count}");
        }
        let mut jumps = packet(&stream, 5);
        jumps[7] ^= 1;
        assert!(!take(&jumps));
    }
}
