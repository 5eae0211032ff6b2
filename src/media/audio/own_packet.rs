//! Packets of our own, on their way out.

use crate::media::leg::Leg;
use crate::media::outbox::Outbox;
use crate::media::seam::{Component, Counters, LegSlot, Nanos};
use crate::rtp::packet::{self, HEADER_LEN};

/// Where what a packet says came from: the `path` that it is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Another leg, or a room.
    Legs,
    /// Prompts, music, digits.
    Made,
}

/// A packet of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnPacket<'a> {
    pub(super) payload_type: u8,
    pub(super) timestamp: u32,
    /// A talkspurt begins.
    pub(super) marker: bool,
    pub(super) origin: Origin,
    pub(super) payload: &'a [u8],
}

impl OwnPacket<'_> {
    /// Sends it to the leg's peer, if that may hear any, and counts it.
    pub(super) fn send(
        &self,
        now: Nanos,
        leg: &mut Leg,
        slot: LegSlot,
        counters: &mut Counters,
        outbox: &mut Outbox,
    ) {
        // A fax machine's port takes no RTP.
        let is_audio = !leg.carries_datagrams;
        let Some(destination) = leg.rtp_destination().filter(|_| is_audio) else {
            return;
        };
        let header = leg
            .output
            .own(now, self.payload_type, self.timestamp, self.marker);
        let len = HEADER_LEN + self.payload.len();
        let crypto = &mut leg.crypto;
        let sent = outbox.push(slot, Component::Rtp, destination, |room| {
            let (head, payload) = room.split_at_mut_checked(HEADER_LEN)?;
            head[0] = packet::FIRST_PLAIN;
            header.write(head);
            let payload = payload.get_mut(..self.payload.len())?;
            payload.copy_from_slice(self.payload);
            match crypto {
                Some(crypto) => crypto.seal(room, len),
                None => Some(len),
            }
        });
        if sent.is_some() {
            leg.count_out(counters, len);
            self.origin.count_out(counters, len);
        }
    }
}

impl Origin {
    fn count_out(self, counters: &mut Counters, len: usize) {
        let (packets, bytes) = match self {
            Origin::Legs => (
                &mut counters.transcoded_out,
                &mut counters.transcoded_out_bytes,
            ),
            Origin::Made => (
                &mut counters.generated_out,
                &mut counters.generated_out_bytes,
            ),
        };
        *packets += 1;
        *bytes += len as u64;
    }
}
