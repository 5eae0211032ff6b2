//! A media worker: legs, who may speak on them, and where each packet goes.
//!
//! The edge calls [`Worker::handle_command`] for each command, [`Worker::handle_packet`] for each packet, with the
//! packet's bytes where they lie in the receive buffer, and sends them on from there as the [`Verdict`] says. Now and
//! then (at least ten times a second) it calls [`Worker::handle_tick`], and [`Worker::handle_audio`] when
//! [`Worker::next_audio`] says. After each it drains [`Worker::poll_socket`], [`Worker::poll_transmit`], then
//! [`Worker::poll_event`].
//!
//! A leg's memory (about half a KiB) comes with its opening and goes with its closing; the range costs a pointer a pair.

pub use super::seam::{Component, Counters, DropReason, LegSlot, Nanos, SocketOrder, Verdict};

use super::audio::{Around, Audio};
use super::events::Events;
use super::in_stream::Counted;
use super::leg::{Leg, Role};
use super::legs::Legs;
use super::out_stream::Feed;
use super::outbox::Outbox;
use super::seam::Transmit;
use crate::link::{Command, Event, LegId, OpenError, PayloadMap, PortRange, Remote, WorkerId};
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// See the module's comment.
pub struct Worker {
    seed: u64,
    /// The RTP port of slot 0.
    first_port: u16,
    legs: Legs,
    audio: Audio,
    outbox: Outbox,
    /// The slots that hold a leg, in no order.
    open: Vec<LegSlot>,
    orders: VecDeque<SocketOrder>,
    events: Events,
    counters: Counters,
    rtcp: Rtcp,
    random: fastrand::Rng,
}

/// What is to be done with a packet, if it is not the usual.
pub(super) type Judged = Result<Verdict, Halt>;

/// See [`Judged`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Halt {
    /// It goes nowhere.
    Drop(DropReason),
    /// It is sealed, then sent as [`Verdict::Send`] has it.
    Seal {
        leg: LegSlot,
        component: Component,
        destination: SocketAddr,
        len: usize,
    },
}

impl From<DropReason> for Halt {
    fn from(reason: DropReason) -> Halt {
        Halt::Drop(reason)
    }
}

/// What becomes of RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rtcp {
    /// We report on each leg, and take what its peer reports.
    Own,
    /// What a peer reports is translated and relayed to the far side.
    Relayed,
}

impl Worker {
    /// A worker for its slice of the range. `seed` is random: it makes the legs' CNAMEs.
    pub fn new(id: WorkerId, range: PortRange, seed: u64) -> Self {
        let ports = range.ports_of(id);
        Worker {
            legs: Legs::new(ports.len()),
            audio: Audio::new(seed),
            outbox: Outbox::default(),
            seed,
            first_port: ports.into_iter().next().map_or(0, |port| port.rtp()),
            open: Vec::new(),
            orders: VecDeque::new(),
            events: Events::new(),
            counters: Counters::default(),
            rtcp: Rtcp::Own,
            random: fastrand::Rng::with_seed(seed ^ 0x5265_706f_7274),
        }
    }

    /// The same worker, which relays RTCP.
    pub fn relaying_rtcp(self) -> Worker {
        Worker {
            rtcp: Rtcp::Relayed,
            ..self
        }
    }

    /// Obeys a command. One about a leg that is not open, or another lease of its port, does nothing.
    pub fn handle_command(&mut self, now: Nanos, command: Command) {
        match command {
            Command::Open { leg, bind } => self.open(now, leg, bind),
            Command::SetRemote { leg, remote } => self.set_remote(now, leg, &remote),
            Command::Bridge {
                a,
                b,
                a_to_b,
                b_to_a,
            } => self.bridge((a, a_to_b), (b, b_to_a)),
            Command::Echo { leg } => self.set_alone(leg, Role::Echo),
            Command::Detach { leg } => self.set_alone(leg, Role::Alone),
            Command::Close { leg } => self.close(now, leg),
            Command::Stop => {
                while let Some(slot) = self.open.last() {
                    self.end(now, *slot);
                }
            }
            about_audio => self.handle_audio_command(now, about_audio),
        }
    }

    /// The edge could not open the leg's sockets.
    pub fn handle_open_failed(&mut self, _now: Nanos, leg: LegSlot, errno: i32) {
        if let Some(leg) = self.remove(leg) {
            self.events.tell_last(Event::OpenFailed {
                leg: leg.id,
                error: OpenError::System(errno),
            });
        }
    }

    /// Judges a packet and rewrites it in place. It is the first `len` bytes of `room`; what is behind it is room for
    /// what SRTP adds.
    #[inline]
    pub fn handle_packet(
        &mut self,
        now: Nanos,
        leg: LegSlot,
        component: Component,
        source: SocketAddr,
        room: &mut [u8],
        len: usize,
    ) -> Verdict {
        let judged = match room.get_mut(..len) {
            None => Err(Halt::Drop(DropReason::Malformed)),
            Some(packet) => match component {
                Component::Rtp if !packet::is_rtcp(packet) => self.rtp(now, leg, source, packet),
                _ => self.rtcp(now, leg, component, source, packet),
            },
        };
        judged.unwrap_or_else(|halt| self.halt(halt, room))
    }

    /// A packet that goes nowhere, or not as it is.
    #[cold]
    fn halt(&mut self, halt: Halt, room: &mut [u8]) -> Verdict {
        let reason = match halt {
            Halt::Drop(reason) => reason,
            Halt::Seal {
                leg,
                component,
                destination,
                len,
            } => {
                let crypto = self.legs.get_mut(leg).and_then(|leg| leg.crypto.as_mut());
                match crypto.and_then(|crypto| crypto.seal(room, len)) {
                    Some(len) => {
                        return Verdict::Send {
                            leg,
                            component,
                            destination,
                            len,
                        };
                    }
                    None => {
                        self.take_back(leg, packet::is_rtcp(room), len);
                        DropReason::Late
                    }
                }
            }
        };
        self.counters.dropped[reason as usize] += 1;
        Verdict::Drop(reason)
    }

    /// A packet that was counted as sent does not go after all: its number was sealed before.
    #[cold]
    fn take_back(&mut self, leg: LegSlot, is_rtcp: bool, len: usize) {
        let Some(leg) = self.legs.get_mut(leg) else {
            return;
        };
        match is_rtcp {
            true => leg.uncount_rtcp_out(&mut self.counters),
            false => leg.uncount_out(&mut self.counters, len),
        }
    }

    /// When [`Worker::handle_audio`] is to be called next; None while no audio is decoded or made.
    pub fn next_audio(&self) -> Option<Nanos> {
        self.audio.next_tick()
    }

    /// Does what is due of audio: every 10 ms. Cost grows with the legs whose audio is decoded or made.
    pub fn handle_audio(&mut self, now: Nanos) {
        self.audio.handle_time(Around {
            now,
            legs: &mut self.legs,
            events: &mut self.events,
            counters: &mut self.counters,
            outbox: &mut self.outbox,
        });
    }

    /// The next packet that the worker made.
    pub fn poll_transmit(&mut self) -> Option<Transmit<'_>> {
        self.outbox.pop()
    }

    /// Time passes: silence, connections, interim reports. Cost grows with open legs only.
    pub fn handle_tick(&mut self, now: Nanos) {
        for place in 0..self.open.len() {
            let slot = self.open[place];
            if let Some(leg) = self.legs.get_mut(slot) {
                if let Some(playout) = leg.audio.and_then(|index| self.audio.playout(index)) {
                    leg.playout = playout;
                }
                leg.tick(now, slot, &mut self.events, &mut self.orders);
                self.report(now, slot, false);
            }
        }
    }

    /// The next order about sockets.
    pub fn poll_socket(&mut self) -> Option<SocketOrder> {
        self.orders.pop_front()
    }

    /// The next event for control.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        Counters {
            reports_dropped: self.events.reports_dropped,
            ..self.counters
        }
    }

    /// How many legs are open.
    pub fn open_legs(&self) -> usize {
        self.open.len()
    }

    /// How many legs have audio that is decoded or made here.
    pub fn audio_legs(&self) -> usize {
        self.audio.active()
    }

    fn rtp(&mut self, now: Nanos, slot: LegSlot, source: SocketAddr, packet: &mut [u8]) -> Judged {
        let leg = self.legs.get_mut(slot).ok_or(DropReason::Unlatched)?;
        if leg.carries_datagrams {
            return Ok(self.datagram(now, slot, source, packet)?);
        }
        let packet = match &mut leg.crypto {
            None => packet,
            Some(crypto) => match crypto.opened(Component::Rtp, packet) {
                Ok(opened) => opened,
                Err(reason) => return Err(leg.unopened(reason, source, &mut self.events).into()),
            },
        };
        let Ok(mut header) = Header::parse(packet) else {
            return Err(leg.reject(source, &mut self.events).into());
        };
        leg.admit(now, source, &header, &mut self.events)?;
        leg.count_in(&mut self.counters, packet.len());

        let counted = leg.take(now, &header).ok_or(DropReason::Late)?;
        if !leg.receive {
            return Err(leg.unheard().into());
        }
        if leg.audio.is_some() {
            return self.hear(now, slot, counted, header, packet);
        }
        let to = match &leg.role {
            Role::Alone => return Err(DropReason::Unheard.into()),
            Role::Echo if leg.hears_as_said(header.payload_type) => slot,
            Role::Echo => return Err(leg.not_agreed(header.payload_type).into()),
            Role::Room => return self.hear(now, slot, counted, header, packet),
            Role::Bridged { to, map } => match map.get(header.payload_type) {
                Some(mapped) => {
                    header.payload_type = mapped;
                    *to
                }
                None => return self.hear(now, slot, counted, header, packet),
            },
        };
        let feed = leg.feed_of(slot, counted.epoch);
        self.relay(now, feed, to, counted, header, packet)
    }

    /// Sends a packet on as it is, but for its header, which has the payload type of the far side already.
    #[inline(always)]
    fn relay(
        &mut self,
        now: Nanos,
        feed: Feed,
        to: LegSlot,
        counted: Counted,
        mut header: Header,
        packet: &mut [u8],
    ) -> Judged {
        let len = packet.len();
        let far = self.legs.get_mut(to).ok_or(DropReason::Unheard)?;
        if far.taken {
            return Err(DropReason::Unheard.into());
        }
        let destination = far.rtp_destination().ok_or(DropReason::Unheard)?;
        if !far.forward(now, feed, counted, &mut header) {
            return Err(DropReason::Late.into());
        }
        header.write(packet);
        far.count_out(&mut self.counters, len);
        far.sent(to, Component::Rtp, destination, len)
    }

    /// RTCP, on its own port or beside RTP.
    fn rtcp(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        component: Component,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Judged {
        let leg = self.legs.get_mut(slot).ok_or(DropReason::Unlatched)?;
        if leg.carries_datagrams && component == Component::Rtp {
            return Ok(self.datagram(now, slot, source, packet)?);
        }
        let packet = match &mut leg.crypto {
            None => packet,
            Some(crypto) => crypto.opened(component, packet)?,
        };
        leg.admit_rtcp(now, component, source, rtcp::check(packet).is_ok())?;
        leg.count_rtcp_in(&mut self.counters);
        if self.rtcp == Rtcp::Own {
            leg.reports.take(now, packet, leg.output.ssrc());
            return Ok(Verdict::Taken);
        }
        let Role::Bridged { to, .. } = leg.role else {
            return Err(DropReason::Unheard.into());
        };

        let leg = self.legs.get(slot).ok_or(DropReason::Unheard)?;
        let far = self.legs.get(to).ok_or(DropReason::Unheard)?;
        let destination = far.rtcp_destination().ok_or(DropReason::Unheard)?;
        let out = far.rtcp_component();
        let len = leg
            .translation(slot, far, to)
            .and_then(|translation| rtcp::translate(packet, &translation))
            .ok_or(DropReason::Late)?;
        let far = self.legs.get_mut(to).ok_or(DropReason::Unheard)?;
        far.count_rtcp_out(&mut self.counters);
        far.sent(to, out, destination, len)
    }

    fn open(&mut self, now: Nanos, id: LegId, bind: IpAddr) {
        let slot = self.slot_of(id);
        let Some(slot) = slot.filter(|slot| self.legs.get(*slot).is_none()) else {
            if self.find(id).is_none() {
                self.events.tell_last(Event::OpenFailed {
                    leg: id,
                    error: OpenError::NotOurs,
                });
            }
            return;
        };
        let lease = u64::from(id.generation) << 16 | u64::from(id.port.rtp());
        let cname = fastrand::Rng::with_seed(self.seed ^ lease).u64(..);
        let leg = Leg::new(now, id, slot, self.open.len(), cname);
        self.legs.insert(slot, leg);
        self.open.push(slot);
        self.orders.push_back(SocketOrder::Open {
            leg: slot,
            id,
            bind,
        });
    }

    fn set_remote(&mut self, now: Nanos, id: LegId, remote: &Remote) {
        let Some(slot) = self.find(id) else { return };
        let Some(leg) = self.legs.get_mut(slot) else {
            return;
        };
        let resumes = remote.receive && !leg.receive;
        leg.set_remote(now, remote);
        leg.unwire(slot, &mut self.orders);
        let listener = match leg.role {
            Role::Bridged { to, .. } => self.legs.get_mut(to),
            _ => Some(leg),
        };
        if let Some(listener) = listener.filter(|_| resumes) {
            // What was not passed on left a gap.
            listener.output.interrupt();
        }
    }

    fn bridge(&mut self, a: (LegId, PayloadMap), b: (LegId, PayloadMap)) {
        let (Some(slot_a), Some(slot_b)) = (self.find(a.0), self.find(b.0)) else {
            return;
        };
        if slot_a == slot_b {
            return;
        }
        self.unbridge(slot_a);
        self.unbridge(slot_b);
        self.audio.part(&mut self.legs, slot_a);
        self.audio.part(&mut self.legs, slot_b);
        for (slot, to, map) in [(slot_a, slot_b, a.1), (slot_b, slot_a, b.1)] {
            if let Some(leg) = self.legs.get_mut(slot) {
                leg.role = Role::Bridged { to, map };
            }
        }
    }

    fn set_alone(&mut self, id: LegId, role: Role) {
        let Some(slot) = self.find(id) else { return };
        self.unbridge(slot);
        self.audio.part(&mut self.legs, slot);
        if let Some(leg) = self.legs.get_mut(slot) {
            leg.role = role;
        }
    }

    fn close(&mut self, now: Nanos, id: LegId) {
        if let Some(slot) = self.find(id) {
            self.end(now, slot);
        }
    }

    /// Closes a leg and tells so, its peer (BYE, RFC 3550 §6.6) and control.
    fn end(&mut self, now: Nanos, slot: LegSlot) {
        self.report(now, slot, true);
        if let Some(leg) = self.remove(slot) {
            self.orders.push_back(SocketOrder::Close { leg: slot });
            self.events.tell_last(Event::Closed {
                leg: leg.id,
                report: leg.report(),
            });
        }
    }

    /// Sends our report to the leg's peer if it is due; the last, with a BYE, in any case.
    fn report(&mut self, now: Nanos, slot: LegSlot, goodbye: bool) {
        if self.rtcp != Rtcp::Own {
            return;
        }
        let Some(leg) = self.legs.get_mut(slot) else {
            return;
        };
        let Some(destination) = leg.rtcp_destination() else {
            return;
        };
        let (component, random) = (leg.rtcp_component(), &mut self.random);
        let sent = self.outbox.push(slot, component, destination, |room| {
            leg.write_report(now, random.u32(..), goodbye, room)
        });
        if sent.is_some() {
            leg.count_rtcp_out(&mut self.counters);
        }
    }

    /// Forgets a leg; who was bridged to it stands alone.
    fn remove(&mut self, slot: LegSlot) -> Option<Box<Leg>> {
        self.unbridge(slot);
        self.audio.close(&mut self.legs, slot, &mut self.events);
        let leg = self.legs.take(slot)?;
        self.open.swap_remove(leg.place);
        if let Some(moved) = self.open.get(leg.place)
            && let Some(moved) = self.legs.get_mut(*moved)
        {
            moved.place = leg.place;
        }
        Some(leg)
    }

    /// If the leg is bridged to another, that one stands alone.
    fn unbridge(&mut self, slot: LegSlot) {
        if let Some(leg) = self.legs.get(slot)
            && let Role::Bridged { to, .. } = leg.role
            && let Some(far) = self.legs.get_mut(to)
        {
            far.role = Role::Alone;
            self.audio.part(&mut self.legs, to);
        }
    }

    /// The slot of this lease, if it is open.
    fn find(&self, id: LegId) -> Option<LegSlot> {
        let slot = self.slot_of(id)?;
        self.legs.get(slot).filter(|leg| leg.id == id)?;
        Some(slot)
    }

    /// The slot of its port, if it is one of ours.
    fn slot_of(&self, id: LegId) -> Option<LegSlot> {
        let slot = id.port.rtp().checked_sub(self.first_port)? / 2;
        (usize::from(slot) < self.legs.slots()).then_some(LegSlot(slot))
    }
}

mod datagrams;
mod hear;

#[cfg(test)]
mod audio_tests;
#[cfg(test)]
mod crypto_tests;
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod reports_tests;
#[cfg(test)]
mod rtcp_tests;
#[cfg(test)]
mod tests;
