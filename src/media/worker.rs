//! A media worker: legs, who may speak on them, and where each packet goes.
//!
//! The edge calls [`Worker::handle_command`] for each command, [`Worker::handle_packet`] for each packet, with the
//! packet's bytes where they lie in the receive buffer, and sends them on from there as the [`Verdict`] says. Now and
//! then (at least ten times a second) it calls [`Worker::handle_tick`]. After each it drains [`Worker::poll_socket`],
//! then [`Worker::poll_event`].
//!
//! A leg's memory (about half a KiB) comes with its opening and goes with its closing; the range costs a pointer a pair.

pub use super::seam::{Component, Counters, DropReason, LegSlot, Nanos, SocketOrder, Verdict};

use super::leg::{Events, Leg, Role};
use super::out_stream::Feed;
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
    legs: Vec<Option<Box<Leg>>>,
    /// The slots that hold a leg, in no order.
    open: Vec<LegSlot>,
    orders: VecDeque<SocketOrder>,
    events: Events,
    counters: Counters,
}

impl Worker {
    /// A worker for its slice of the range. `seed` is random: it makes the legs' CNAMEs.
    pub fn new(id: WorkerId, range: PortRange, seed: u64) -> Self {
        let ports = range.ports_of(id);
        let mut legs = Vec::new();
        legs.resize_with(ports.len(), || None);
        Worker {
            seed,
            first_port: ports.into_iter().next().map_or(0, |port| port.rtp()),
            legs,
            open: Vec::new(),
            orders: VecDeque::new(),
            events: Events::new(),
            counters: Counters::default(),
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
            Command::SetFormats { .. }
            | Command::Play { .. }
            | Command::StopPlay { .. }
            | Command::SendDigit { .. }
            | Command::Listen { .. }
            | Command::Record { .. }
            | Command::StopRecord { .. }
            | Command::Join { .. } => {}
            Command::Echo { leg } => self.set_alone(leg, Role::Echo),
            Command::Detach { leg } => self.set_alone(leg, Role::Alone),
            Command::Close { leg } => self.close(leg),
            Command::Stop => {
                while let Some(slot) = self.open.last() {
                    self.end(*slot);
                }
            }
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

    /// Judges a packet and rewrites it in place.
    #[inline]
    pub fn handle_packet(
        &mut self,
        now: Nanos,
        leg: LegSlot,
        component: Component,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Verdict {
        let judged = match component {
            Component::Rtp if !packet::is_rtcp(packet) => self.rtp(now, leg, source, packet),
            _ => self.rtcp(now, leg, component, source, packet),
        };
        judged.unwrap_or_else(|reason| {
            self.counters.dropped[reason as usize] += 1;
            Verdict::Drop(reason)
        })
    }

    /// Time passes: silence, connections, interim reports. Cost grows with open legs only.
    pub fn handle_tick(&mut self, now: Nanos) {
        for slot in &self.open {
            if let Some(leg) = &mut self.legs[usize::from(slot.0)] {
                leg.tick(now, *slot, &mut self.events, &mut self.orders);
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

    fn rtp(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Result<Verdict, DropReason> {
        let leg = leg_mut(&mut self.legs, slot).ok_or(DropReason::Unlatched)?;
        let Ok(mut header) = Header::parse(packet) else {
            return Err(leg.reject(source, &mut self.events));
        };
        leg.admit(now, source, &header, &mut self.events)?;
        let len = packet.len();
        leg.counts.packets_in += 1;
        leg.counts.bytes_in += len as u64;
        self.counters.packets_in += 1;
        self.counters.bytes_in += len as u64;

        let counted = leg.input.receive(now, &header).ok_or(DropReason::Late)?;
        if !leg.receive {
            return Err(DropReason::Unheard);
        }
        let to = match &leg.role {
            Role::Alone => return Err(DropReason::Unheard),
            Role::Echo => slot,
            Role::Bridged { to, map } => {
                header.payload_type = map
                    .get(header.payload_type)
                    .ok_or(DropReason::PayloadType)?;
                *to
            }
        };
        let feed = Feed {
            leg: slot,
            generation: leg.id.generation,
            epoch: counted.epoch,
        };

        let far = leg_mut(&mut self.legs, to).ok_or(DropReason::Unheard)?;
        let destination = far.rtp_destination().ok_or(DropReason::Unheard)?;
        if !far.output.forward(now, feed, counted, &mut header) {
            return Err(DropReason::Late);
        }
        header.write(packet);
        far.counts.packets_out += 1;
        far.counts.bytes_out += len as u64;
        self.counters.packets_out += 1;
        self.counters.bytes_out += len as u64;
        Ok(Verdict::Send {
            leg: to,
            component: Component::Rtp,
            destination,
            len,
        })
    }

    /// RTCP, on its own port or beside RTP.
    fn rtcp(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        component: Component,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Result<Verdict, DropReason> {
        let leg = leg_mut(&mut self.legs, slot).ok_or(DropReason::Unlatched)?;
        leg.admit_rtcp(now, component, source, rtcp::check(packet).is_ok())?;
        leg.counts.rtcp_in += 1;
        self.counters.rtcp_in += 1;
        let Role::Bridged { to, .. } = leg.role else {
            return Err(DropReason::Unheard);
        };

        let leg = leg_ref(&self.legs, slot).ok_or(DropReason::Unheard)?;
        let far = leg_ref(&self.legs, to).ok_or(DropReason::Unheard)?;
        let destination = far.rtcp_destination().ok_or(DropReason::Unheard)?;
        let len = leg
            .translation(slot, far, to)
            .and_then(|translation| rtcp::translate(packet, &translation))
            .ok_or(DropReason::Late)?;
        if let Some(far) = leg_mut(&mut self.legs, to) {
            far.counts.rtcp_out += 1;
            self.counters.rtcp_out += 1;
        }
        Ok(Verdict::Send {
            leg: to,
            component: Component::Rtcp,
            destination,
            len,
        })
    }

    fn open(&mut self, now: Nanos, id: LegId, bind: IpAddr) {
        let slot = self.slot_of(id);
        let Some(slot) = slot.filter(|slot| leg_ref(&self.legs, *slot).is_none()) else {
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
        self.legs[usize::from(slot.0)] = Some(Box::new(leg));
        self.open.push(slot);
        self.orders.push_back(SocketOrder::Open {
            leg: slot,
            id,
            bind,
        });
    }

    fn set_remote(&mut self, now: Nanos, id: LegId, remote: &Remote) {
        let Some(slot) = self.find(id) else { return };
        let Some(leg) = leg_mut(&mut self.legs, slot) else {
            return;
        };
        let resumes = remote.receive && !leg.receive;
        leg.set_remote(now, remote);
        leg.unwire(slot, &mut self.orders);
        let listener = match leg.role {
            Role::Bridged { to, .. } => leg_mut(&mut self.legs, to),
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
        for (slot, to, map) in [(slot_a, slot_b, a.1), (slot_b, slot_a, b.1)] {
            if let Some(leg) = leg_mut(&mut self.legs, slot) {
                leg.role = Role::Bridged { to, map };
            }
        }
    }

    fn set_alone(&mut self, id: LegId, role: Role) {
        let Some(slot) = self.find(id) else { return };
        self.unbridge(slot);
        if let Some(leg) = leg_mut(&mut self.legs, slot) {
            leg.role = role;
        }
    }

    fn close(&mut self, id: LegId) {
        if let Some(slot) = self.find(id) {
            self.end(slot);
        }
    }

    /// Closes a leg and tells so.
    fn end(&mut self, slot: LegSlot) {
        if let Some(leg) = self.remove(slot) {
            self.orders.push_back(SocketOrder::Close { leg: slot });
            self.events.tell_last(Event::Closed {
                leg: leg.id,
                report: leg.report(),
            });
        }
    }

    /// Forgets a leg; who was bridged to it stands alone.
    fn remove(&mut self, slot: LegSlot) -> Option<Box<Leg>> {
        self.unbridge(slot);
        let leg = self.legs.get_mut(usize::from(slot.0))?.take()?;
        self.open.swap_remove(leg.place);
        if let Some(moved) = self.open.get(leg.place)
            && let Some(moved) = leg_mut(&mut self.legs, *moved)
        {
            moved.place = leg.place;
        }
        Some(leg)
    }

    /// If the leg is bridged to another, that one stands alone.
    fn unbridge(&mut self, slot: LegSlot) {
        if let Some(leg) = leg_ref(&self.legs, slot)
            && let Role::Bridged { to, .. } = leg.role
            && let Some(far) = leg_mut(&mut self.legs, to)
        {
            far.role = Role::Alone;
        }
    }

    /// The slot of this lease, if it is open.
    fn find(&self, id: LegId) -> Option<LegSlot> {
        let slot = self.slot_of(id)?;
        leg_ref(&self.legs, slot).filter(|leg| leg.id == id)?;
        Some(slot)
    }

    /// The slot of its port, if it is one of ours.
    fn slot_of(&self, id: LegId) -> Option<LegSlot> {
        let slot = id.port.rtp().checked_sub(self.first_port)? / 2;
        (usize::from(slot) < self.legs.len()).then_some(LegSlot(slot))
    }
}

#[inline]
fn leg_ref(legs: &[Option<Box<Leg>>], slot: LegSlot) -> Option<&Leg> {
    legs.get(usize::from(slot.0))?.as_deref()
}

#[inline]
fn leg_mut(legs: &mut [Option<Box<Leg>>], slot: LegSlot) -> Option<&mut Leg> {
    legs.get_mut(usize::from(slot.0))?.as_deref_mut()
}

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod rtcp_tests;
#[cfg(test)]
mod tests;
