//! A worker under test: two legs, a clock, and packets made by hand.

use super::*;
use crate::codec::{Codec, Payload};
use crate::link::{
    Command, Event, FormatList, LegFormats, LegId, PayloadMap, PortRange, Remote, RtpPort,
    WireFormat, WorkerId,
};
use std::net::SocketAddr;

pub(super) const A: LegId = leg_id(20_000, 1);
pub(super) const B: LegId = leg_id(20_002, 1);
pub(super) const C: LegId = leg_id(20_004, 1);
pub(super) const SLOT_A: LegSlot = LegSlot(0);
pub(super) const SLOT_B: LegSlot = LegSlot(1);

pub(super) const fn leg_id(port: u16, generation: u32) -> LegId {
    LegId {
        port: match RtpPort::new(port) {
            Some(port) => port,
            None => panic!("an even port"),
        },
        generation,
    }
}

pub(super) fn slot_of(leg: LegId) -> LegSlot {
    LegSlot((leg.port.rtp() - 20_000) / 2)
}

pub(super) fn addr(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// A trunk that is where its SDP says, and whose SIP comes from another host.
pub(super) fn remote(rtp: &str) -> Remote {
    let rtp = addr(rtp);
    Remote {
        rtp,
        rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1),
        signalling: addr("192.0.2.200:5060").ip(),
        carries: crate::link::Carries::Rtp,
        symmetric: true,
        send: true,
        receive: true,
        timeout_s: 60,
    }
}

/// One payload type both ways.
pub(super) fn says_and_hears(payload_type: u8, codec: Codec) -> LegFormats {
    let list = FormatList::new([WireFormat {
        payload_type,
        payload: Payload::Codec(codec),
    }]);
    LegFormats {
        receive: list,
        send: list,
        ptime_ms: 20,
    }
}

/// An RTP packet, 20 ms of µ-law.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) payload_type: u8,
}

impl Packet {
    pub(super) fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0x80, self.payload_type];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend([0x55; 160]);
        bytes
    }

    pub(super) fn next(self) -> Packet {
        Packet {
            sequence: self.sequence.wrapping_add(1),
            timestamp: self.timestamp.wrapping_add(160),
            ..self
        }
    }
}

/// The first packet of a stream.
pub(super) fn stream(ssrc: u32) -> Packet {
    Packet {
        ssrc,
        sequence: 100,
        timestamp: 5_000,
        payload_type: 0,
    }
}

/// What was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    pub(super) leg: LegSlot,
    pub(super) component: Component,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

impl Sent {
    pub(super) fn ssrc(&self) -> u32 {
        u32::from_be_bytes(self.bytes[8..12].try_into().expect("four bytes"))
    }

    pub(super) fn sequence(&self) -> u16 {
        u16::from_be_bytes(self.bytes[2..4].try_into().expect("two bytes"))
    }

    pub(super) fn timestamp(&self) -> u32 {
        u32::from_be_bytes(self.bytes[4..8].try_into().expect("four bytes"))
    }

    pub(super) fn marker(&self) -> bool {
        self.bytes[1] & 0x80 != 0
    }
}

pub(super) struct Bed {
    pub(super) worker: Worker,
    pub(super) now: Nanos,
    /// Packets that the worker took to decode.
    pub(super) taken: u64,
}

impl Bed {
    pub(super) fn new() -> Bed {
        let range = PortRange::new(20_000, 20_019, 1).expect("a range");
        Bed {
            worker: Worker::new(WorkerId(0), range, 1).relaying_rtcp(),
            now: Nanos::from_millis(1_000_000),
            taken: 0,
        }
    }

    /// A worker that reports on its own.
    pub(super) fn reporting() -> Bed {
        let range = PortRange::new(20_000, 20_019, 1).expect("a range");
        Bed {
            worker: Worker::new(WorkerId(0), range, 1),
            ..Bed::new()
        }
    }

    /// A at 192.0.2.1:4000 and B at 198.51.100.1:6000, bridged with payload type 0.
    pub(super) fn bridged() -> Bed {
        let mut bed = Bed::new();
        bed.open(A, remote("192.0.2.1:4000"));
        bed.open(B, remote("198.51.100.1:6000"));
        bed.bridge(A, B);
        bed
    }

    pub(super) fn command(&mut self, command: Command) {
        self.worker.handle_command(self.now, command);
    }

    pub(super) fn open(&mut self, leg: LegId, remote: Remote) {
        let bind = addr("203.0.113.1:0").ip();
        self.command(Command::Open { leg, bind });
        self.command(Command::SetRemote { leg, remote });
    }

    pub(super) fn formats(&mut self, leg: LegId, formats: LegFormats) {
        let formats = Box::new(formats);
        self.command(Command::SetFormats { leg, formats });
    }

    pub(super) fn bridge(&mut self, a: LegId, b: LegId) {
        self.bridge_passing(a, b, 0);
    }

    /// A bridge that packets of this payload type pass as they are.
    pub(super) fn bridge_passing(&mut self, a: LegId, b: LegId, payload_type: u8) {
        let map = PayloadMap::new(&[(payload_type, payload_type)]).expect("a map");
        self.command(Command::Bridge {
            a,
            b,
            a_to_b: map,
            b_to_a: map,
        });
    }

    pub(super) fn pass_ms(&mut self, millis: u64) {
        self.now.0 += millis * 1_000_000;
    }

    pub(super) fn bytes(
        &mut self,
        leg: LegId,
        component: Component,
        from: &str,
        mut bytes: Vec<u8>,
    ) -> Result<Sent, DropReason> {
        let len = bytes.len();
        bytes.resize(len + 64, 0);
        match self.worker.handle_packet(
            self.now,
            slot_of(leg),
            component,
            addr(from),
            &mut bytes,
            len,
        ) {
            Verdict::Drop(reason) => Err(reason),
            Verdict::Taken => {
                self.taken += 1;
                Err(DropReason::Unheard)
            }
            Verdict::Send {
                leg,
                component,
                destination,
                len,
            } => {
                bytes.truncate(len);
                Ok(Sent {
                    leg,
                    component,
                    to: destination,
                    bytes,
                })
            }
        }
    }

    /// Gives the worker one RTP packet.
    pub(super) fn packet(
        &mut self,
        leg: LegId,
        from: &str,
        packet: Packet,
    ) -> Result<Sent, DropReason> {
        self.bytes(leg, Component::Rtp, from, packet.bytes())
    }

    /// Gives it `count` packets of a stream, 20 ms apart; how many passed. `packet` is then the next one.
    pub(super) fn talk(&mut self, leg: LegId, from: &str, packet: &mut Packet, count: u32) -> u32 {
        let mut passed = 0;
        for _ in 0..count {
            passed += u32::from(self.packet(leg, from, *packet).is_ok());
            *packet = packet.next();
            self.pass_ms(20);
        }
        passed
    }

    pub(super) fn tick(&mut self) {
        self.worker.handle_tick(self.now);
    }

    /// Lets time pass; what the worker makes meanwhile.
    pub(super) fn audio_ms(&mut self, millis: u64) -> Vec<Sent> {
        let end = Nanos(self.now.0 + millis * 1_000_000);
        let mut made = Vec::new();
        while let Some(due) = self.worker.next_audio().filter(|due| *due <= end) {
            self.now = due;
            self.worker.handle_audio(due);
            made.append(&mut self.made());
        }
        self.now = end;
        made
    }

    /// What the worker has made.
    pub(super) fn made(&mut self) -> Vec<Sent> {
        let mut made = Vec::new();
        while let Some(transmit) = self.worker.poll_transmit() {
            made.push(Sent {
                leg: transmit.leg,
                component: transmit.component,
                to: transmit.destination,
                bytes: transmit.packet.to_vec(),
            });
        }
        made
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.worker.poll_event()).collect()
    }

    pub(super) fn orders(&mut self) -> Vec<SocketOrder> {
        std::iter::from_fn(|| self.worker.poll_socket()).collect()
    }
}
