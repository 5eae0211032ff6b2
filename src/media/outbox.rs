//! Packets that the worker made and the edge has not sent yet.

use super::seam::{Component, LegSlot, TRANSMIT_LEN_MAX, Transmit};
use std::net::SocketAddr;

/// Filled by a command, a packet or a tick and drained after it, so that it holds a packet a leg at the most. Its
/// memory grows to that once and stays.
#[derive(Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    /// How many were taken.
    taken: usize,
}

#[derive(Clone, Copy)]
struct Packet {
    leg: LegSlot,
    component: Component,
    destination: SocketAddr,
    start: usize,
    len: usize,
}

impl Outbox {
    /// Room for a packet; `write` fills it and says how long it is, or that there is none.
    pub(super) fn push(
        &mut self,
        leg: LegSlot,
        component: Component,
        destination: SocketAddr,
        write: impl FnOnce(&mut [u8; TRANSMIT_LEN_MAX]) -> Option<usize>,
    ) -> Option<usize> {
        let start = self.bytes.len();
        self.bytes.resize(start + TRANSMIT_LEN_MAX, 0);
        let room = self.bytes[start..].first_chunk_mut().expect("just made");
        let len = write(room).map(|len| len.min(TRANSMIT_LEN_MAX));
        self.bytes.truncate(start + len.unwrap_or(0));
        let len = len?;
        self.packets.push(Packet {
            leg,
            component,
            destination,
            start,
            len,
        });
        Some(len)
    }

    /// The next packet to send.
    pub(super) fn pop(&mut self) -> Option<Transmit<'_>> {
        let Some(packet) = self.packets.get(self.taken) else {
            self.bytes.clear();
            self.packets.clear();
            self.taken = 0;
            return None;
        };
        self.taken += 1;
        Some(Transmit {
            leg: packet.leg,
            component: packet.component,
            destination: packet.destination,
            packet: &self.bytes[packet.start..packet.start + packet.len],
        })
    }
}
