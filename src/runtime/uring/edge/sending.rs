//! The way out: packets from where they lie to the kernel, and their memory back.

use super::super::buffers::BufferId;
use super::super::layout::{self, BUFFER_LEN, NAME_ROOM, NAME_START, PACKET_START};
use super::super::made::MadeId;
use super::super::token::{Arm, Token};
use super::{Arrival, Edge, file};
use crate::media::{Component, LegSlot, Transmit, Verdict};
use io_uring::{opcode, squeue};
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::net::SocketAddr;

/// A packet whose send has been queued: its memory is given back when the kernel has consumed the submission.
pub(super) struct Outgoing {
    pub(super) memory: Memory,
    pub(super) submission: u32,
    pub(super) received_ns: u64,
}

/// Where a packet lies.
pub(super) enum Memory {
    /// Where it was received.
    Received(BufferId),
    /// The worker made it.
    Made(MadeId),
}

/// What one send has: where the packet lies, and where it goes unless the socket is connected to there.
struct Sending {
    arm: Arm,
    packet: (*const u8, u32),
    name: Option<(*const u8, u32)>,
}

impl Edge<'_> {
    /// Sends the packet on or forgets it, as the verdict says.
    #[inline]
    pub fn dispatch(&mut self, arrival: Arrival, verdict: Verdict) -> io::Result<()> {
        let Verdict::Send {
            leg,
            component,
            destination,
            len,
        } = verdict
        else {
            self.buffers.give_back(arrival.buffer);
            return Ok(());
        };
        let Some((arm, connected)) = self.socket(leg, component, destination) else {
            self.buffers.give_back(arrival.buffer);
            return Ok(());
        };
        let len = len.min(BUFFER_LEN - PACKET_START);
        let packet = self
            .buffers
            .bytes(&arrival.buffer, PACKET_START..PACKET_START + len);
        let packet = (packet.as_ptr(), len as u32);
        let name = (!connected).then(|| {
            let name = self
                .buffers
                .bytes(&arrival.buffer, NAME_START..NAME_START + NAME_ROOM);
            let name: &mut [u8; NAME_ROOM] = name.try_into().expect("a range of this length");
            let name_len = layout::write_address(destination, name);
            (name.as_ptr(), name_len as u32)
        });
        let memory = Memory::Received(arrival.buffer);
        self.send(Sending { arm, packet, name }, memory, arrival.received_ns)
    }

    /// Sends a packet that the worker made.
    pub fn transmit(&mut self, transmit: Transmit<'_>) -> io::Result<()> {
        let destination = transmit.destination;
        let socket = self.socket(transmit.leg, transmit.component, destination);
        let Some((arm, connected)) = socket else {
            return Ok(());
        };
        let mut made = self.made.take(transmit.packet, destination);
        if made.is_none() {
            self.submit()?;
            made = self.made.take(transmit.packet, destination);
        }
        let Some(made) = made else {
            self.counts.send_failed += 1;
            return Ok(());
        };
        let sending = Sending {
            arm,
            packet: (made.bytes, made.len),
            name: (!connected).then_some(made.name),
        };
        self.send(sending, Memory::Made(made.id), 0)
    }

    /// The socket that sends, and whether it is connected to the destination. None, counted, if it is closed.
    #[inline]
    fn socket(
        &mut self,
        leg: LegSlot,
        component: Component,
        destination: SocketAddr,
    ) -> Option<(Arm, bool)> {
        let Some(pair) = self.legs.get(leg) else {
            self.counts.send_failed += 1;
            return None;
        };
        let arm = Arm {
            leg,
            component,
            generation: pair.generation,
        };
        let connected = pair.endpoint(component).peer == Some(destination);
        Some((arm, connected))
    }

    /// Queues a send, and keeps the packet's memory until the kernel has consumed it.
    #[inline]
    fn send(&mut self, sending: Sending, memory: Memory, received_ns: u64) -> io::Result<()> {
        self.queue(sending.entry())?;
        self.outgoing.push_back(Outgoing {
            memory,
            submission: self.queued,
            received_ns,
        });
        Ok(())
    }

    /// Gives back the buffers of the sends that the kernel has executed.
    pub(super) fn after_submit(&mut self) {
        self.submissions.sync();
        self.completions.sync();
        let consumed = self.queued.wrapping_sub(self.submissions.len() as u32);
        while let Some(outgoing) = self.outgoing.front() {
            // Submissions are numbered from 1, wrapping: this one is consumed if it is not after the last consumed.
            if consumed.wrapping_sub(outgoing.submission) > u32::MAX / 2 {
                break;
            }
            match self.outgoing.pop_front().map(|outgoing| outgoing.memory) {
                Some(Memory::Received(buffer)) => self.buffers.give_back(buffer),
                Some(Memory::Made(id)) => self.made.give_back(id),
                None => {}
            }
        }
        self.buffers.publish();
    }

    /// One look at the clock a batch: the sends are executed right after.
    pub(super) fn note_latencies(&mut self) {
        if self.outgoing.is_empty() {
            return;
        }
        let Ok(now) = clock_gettime(ClockId::CLOCK_REALTIME) else {
            return;
        };
        let now_ns = (now.tv_sec() as u64).wrapping_mul(1_000_000_000) + now.tv_nsec() as u64;
        for outgoing in &mut self.outgoing {
            // A clock that was set back in between gives no latency, and a packet is noted once.
            let received_ns = std::mem::take(&mut outgoing.received_ns);
            if (1..=now_ns).contains(&received_ns)
                && self.latencies_ns.len() < self.latencies_ns.capacity()
            {
                self.latencies_ns.push(now_ns - received_ns);
            }
        }
    }
}

impl Sending {
    /// A send that is heard of only if it fails.
    #[inline]
    fn entry(&self) -> squeue::Entry {
        let (packet, len) = self.packet;
        let mut send = opcode::Send::new(file(self.arm.leg, self.arm.component), packet, len)
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
        if let Some((name, name_len)) = self.name {
            send = send.dest_addr(name.cast()).dest_addr_len(name_len);
        }
        send.build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(Token::Send(self.arm).pack())
    }
}
