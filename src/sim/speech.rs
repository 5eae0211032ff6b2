//! What a peer says on RTP, and what it hears: every packet tells its speaker.

use super::network::Packet;
use crate::rtp::packet::{HEADER_LEN, Header};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Time between two packets.
pub(super) const PACKET_TIME: Duration = Duration::from_millis(20);
/// RTP clock units of a packet, at 8 kHz.
const PACKET_CLOCK: u32 = 160;
/// Packets of one talk at most: enough to latch, connect and be interrupted, and cheap.
const PACKETS_MAX: u16 = 150;
const MARK: [u8; 4] = *b"SPKR";

/// One talk.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    /// Where it goes.
    pub to: SocketAddr,
    pub payload_type: u8,
    speaker: u32,
    ssrc: u32,
    first: u16,
    said: u16,
    pub next: Instant,
}

impl Talk {
    pub(super) fn begin(
        now: Instant,
        to: SocketAddr,
        payload_type: u8,
        speaker: u32,
        seed: u32,
    ) -> Talk {
        Talk {
            to,
            payload_type,
            speaker,
            ssrc: seed,
            first: seed as u16,
            said: 0,
            next: now,
        }
    }

    /// The packet that is due; None when all is said.
    pub(super) fn say(&mut self, now: Instant) -> Option<Bytes> {
        let packet = say(
            self.speaker,
            self.ssrc,
            self.first.wrapping_add(self.said),
            self.payload_type,
        );
        self.said += 1;
        self.next = now + PACKET_TIME;
        (self.said <= PACKETS_MAX).then_some(packet)
    }
}

/// A packet of that speaker.
pub(super) fn say(speaker: u32, ssrc: u32, sequence: u16, payload_type: u8) -> Bytes {
    let timestamp = u32::from(sequence) * PACKET_CLOCK;
    let header = Header {
        marker: false,
        payload_type,
        sequence,
        timestamp,
        ssrc,
    };
    let mut packet = [0; HEADER_LEN + 20];
    packet[0] = 0x80;
    header.write(&mut packet);
    packet[HEADER_LEN..HEADER_LEN + 4].copy_from_slice(&MARK);
    packet[HEADER_LEN + 4..HEADER_LEN + 8].copy_from_slice(&speaker.to_be_bytes());
    Bytes::copy_from_slice(&packet)
}

/// Who says this packet; None if it is no packet of ours.
pub(super) fn speaker(packet: &[u8]) -> Option<u32> {
    let words: &[u8; 8] = packet.get(HEADER_LEN..HEADER_LEN + 8)?.try_into().ok()?;
    let [a, b, c, d, rest @ ..] = *words;
    ([a, b, c, d] == MARK).then(|| u32::from_be_bytes(rest))
}

/// A packet of somebody who has no call.
pub(super) fn intrusion(
    source: SocketAddr,
    destination: SocketAddr,
    random: &mut fastrand::Rng,
) -> Packet {
    let bytes: Bytes = say(u32::MAX, random.u32(..), random.u16(..), 0);
    Packet {
        source,
        destination,
        bytes,
    }
}
