//! The way out: packets from where they lie to the kernel, and their memory back.

use super::super::buffers::BufferId;
use super::super::layout::{self, BUFFER_LEN, NAME_ROOM, NAME_START, PACKET_START};
use super::super::made::MadeId;
use super::super::token::{Arm, Token};
use super::{Arrival, Edge, file};
use crate::media::{Transmit, Verdict};
use io_uring::{opcode, squeue};
use nix::time::{ClockId, clock_gettime};
use std::io;

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
        let Some(pair) = self.legs.get(leg) else {
            self.counts.send_failed += 1;
            self.buffers.give_back(arrival.buffer);
            return Ok(());
        };
        let arm = Arm {
            leg,
            component,
            generation: pair.generation,
        };
        let connected = pair.endpoint(component).peer == Some(destination);
        let len = len.min(BUFFER_LEN - PACKET_START);
        let packet = self
            .buffers
            .bytes(&arrival.buffer, PACKET_START..PACKET_START + len);
        let mut send = opcode::Send::new(file(leg, component), packet.as_ptr(), len as u32)
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
        if !connected {
            let name = self
                .buffers
                .bytes(&arrival.buffer, NAME_START..NAME_START + NAME_ROOM);
            let name: &mut [u8; NAME_ROOM] = name.try_into().expect("a range of this length");
            let name_len = layout::write_address(destination, name);
            send = send
                .dest_addr(name.as_ptr().cast())
                .dest_addr_len(name_len as u32);
        }
        self.queue(sending(send, arm))?;
        self.outgoing.push_back(Outgoing {
            memory: Memory::Received(arrival.buffer),
            submission: self.queued,
            received_ns: arrival.received_ns,
        });
        Ok(())
    }

    /// Sends a packet that the worker made.
    pub fn transmit(&mut self, transmit: Transmit<'_>) -> io::Result<()> {
        let (leg, component) = (transmit.leg, transmit.component);
        let Some(pair) = self.legs.get(leg) else {
            self.counts.send_failed += 1;
            return Ok(());
        };
        let arm = Arm {
            leg,
            component,
            generation: pair.generation,
        };
        let connected = pair.endpoint(component).peer == Some(transmit.destination);
        let mut made = self.made.take(transmit.packet, transmit.destination);
        if made.is_none() {
            self.submit()?;
            made = self.made.take(transmit.packet, transmit.destination);
        }
        let Some(made) = made else {
            self.counts.send_failed += 1;
            return Ok(());
        };
        let mut send = opcode::Send::new(file(leg, component), made.bytes, made.len)
            .flags(libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
        if !connected {
            let (name, len) = made.name;
            send = send.dest_addr(name.cast()).dest_addr_len(len);
        }
        self.queue(sending(send, arm))?;
        self.outgoing.push_back(Outgoing {
            memory: Memory::Made(made.id),
            submission: self.queued,
            received_ns: 0,
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

/// A send that is heard of only if it fails.
#[inline]
fn sending(send: opcode::Send, arm: Arm) -> squeue::Entry {
    send.build()
        .flags(squeue::Flags::SKIP_SUCCESS)
        .user_data(Token::Send(arm).pack())
}
