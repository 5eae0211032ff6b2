//! The legs' sockets, by slot, and the life of each pair.
//!
//! ```text
//!            open                     close
//!  Closed ─────────► Open ────────────────────────► Closing ──► Closed
//!                     both sockets bound, in the     receives       or, if an open
//!                     ring's file table, receiving   cancelled      came meanwhile, Open
//! ```
//!
//! A pair is closed only when the last completion of both receives has come, so nothing late can meet the next pair
//! in the slot; should it, its generation tells.

use super::token::Arm;
use crate::media::{Component, LegSlot};
use socket2::Socket;
use std::net::{IpAddr, SocketAddr};

/// One socket of a leg.
pub struct Endpoint {
    /// It. The ring uses its place in the file table; this is for connect and disconnect.
    pub socket: Socket,
    /// The peer that it is connected to, if it is.
    pub peer: Option<SocketAddr>,
    /// A receive is armed: its last completion is still to come.
    pub armed: bool,
}

/// A leg's two sockets.
pub struct Pair {
    /// Which opening of the slot.
    pub generation: u32,
    endpoints: [Endpoint; 2],
}

impl Pair {
    /// The socket of a component.
    #[inline]
    pub fn endpoint(&mut self, component: Component) -> &mut Endpoint {
        &mut self.endpoints[place(component)]
    }

    fn is_armed(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.armed)
    }
}

enum Slot {
    Closed,
    Open(Pair),
    /// The receives are being cancelled. `reopen` is the address to bind afterwards.
    Closing {
        pair: Pair,
        reopen: Option<IpAddr>,
    },
}

/// What is to be done for an open.
#[derive(Debug, PartialEq, Eq)]
pub enum OpenStep {
    /// Open the sockets now.
    Now,
    /// Nothing: it is done when the slot's last pair is closed.
    Later,
    /// Refuse: the slot is open.
    Refuse,
}

/// What is to be done when a receive has ended for good.
#[derive(Debug, PartialEq, Eq)]
pub enum EndStep {
    /// Arm it again: the leg is open.
    Rearm,
    /// Nothing: the leg's other receive is still to end, or the completion is late.
    Nothing,
    /// Free the leg's places in the file table.
    Free,
}

/// All slots of a worker.
pub struct Legs {
    slots: Vec<Slot>,
    generation: u32,
    /// Slots that are not closed.
    used: usize,
}

impl Legs {
    /// `count` closed slots.
    pub fn new(count: u16) -> Legs {
        Legs {
            slots: (0..count).map(|_| Slot::Closed).collect(),
            generation: 0,
            used: 0,
        }
    }

    /// How many slots are open or closing.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The slots that are open or closing.
    pub fn used_slots(&self) -> impl Iterator<Item = LegSlot> {
        let used = |slot: &Slot| !matches!(slot, Slot::Closed);
        let numbered = self.slots.iter().zip(0..);
        numbered.filter_map(move |(slot, number)| used(slot).then_some(LegSlot(number)))
    }

    /// An open is wanted.
    pub fn begin_open(&mut self, leg: LegSlot, bind: IpAddr) -> OpenStep {
        match self.slots.get_mut(usize::from(leg.0)) {
            Some(Slot::Closed) => OpenStep::Now,
            Some(Slot::Closing { reopen, .. }) => {
                *reopen = Some(bind);
                OpenStep::Later
            }
            Some(Slot::Open(_)) | None => OpenStep::Refuse,
        }
    }

    /// The sockets are open; returns the generation to arm them with.
    ///
    /// # Panics
    /// If the slot is not closed: [`Legs::begin_open`] said that it was.
    pub fn open(&mut self, leg: LegSlot, rtp: Socket, rtcp: Socket) -> u32 {
        let slot = &mut self.slots[usize::from(leg.0)];
        assert!(matches!(slot, Slot::Closed), "a slot has one pair");
        self.generation = self.generation.wrapping_add(1);
        self.used += 1;
        *slot = Slot::Open(Pair {
            generation: self.generation,
            endpoints: [rtp, rtcp].map(|socket| Endpoint {
                socket,
                peer: None,
                armed: true,
            }),
        });
        self.generation
    }

    /// A leg that is open.
    #[inline]
    pub fn get(&mut self, leg: LegSlot) -> Option<&mut Pair> {
        match self.slots.get_mut(usize::from(leg.0)) {
            Some(Slot::Open(pair)) => Some(pair),
            _ => None,
        }
    }

    /// Whether a completion is of a leg that is open, and of this opening.
    #[inline]
    pub fn is_current(&self, arm: Arm) -> bool {
        match self.slots.get(usize::from(arm.leg.0)) {
            Some(Slot::Open(pair)) => pair.generation == arm.generation,
            _ => false,
        }
    }

    /// Begins to close a leg: returns the receives to cancel. Closing what is closing only forgets a wanted reopening.
    pub fn begin_close(&mut self, leg: LegSlot) -> Option<[Option<Arm>; 2]> {
        let slot = self.slots.get_mut(usize::from(leg.0))?;
        match std::mem::replace(slot, Slot::Closed) {
            Slot::Closed => None,
            Slot::Open(pair) => {
                let generation = pair.generation;
                let arms = [Component::Rtp, Component::Rtcp].map(|component| {
                    let armed = pair.endpoints[place(component)].armed;
                    armed.then_some(Arm {
                        leg,
                        component,
                        generation,
                    })
                });
                *slot = Slot::Closing { pair, reopen: None };
                Some(arms)
            }
            Slot::Closing { pair, .. } => {
                *slot = Slot::Closing { pair, reopen: None };
                None
            }
        }
    }

    /// The last completion of a receive has come.
    pub fn receive_ended(&mut self, arm: Arm) -> EndStep {
        match self.slots.get_mut(usize::from(arm.leg.0)) {
            Some(Slot::Open(pair)) if pair.generation == arm.generation => {
                pair.endpoint(arm.component).armed = false;
                EndStep::Rearm
            }
            Some(Slot::Closing { pair, .. }) if pair.generation == arm.generation => {
                pair.endpoint(arm.component).armed = false;
                match pair.is_armed() {
                    true => EndStep::Nothing,
                    false => EndStep::Free,
                }
            }
            _ => EndStep::Nothing,
        }
    }

    /// Whether a leg is closing and no receive of it is left.
    pub fn is_spent(&self, leg: LegSlot) -> bool {
        match self.slots.get(usize::from(leg.0)) {
            Some(Slot::Closing { pair, .. }) => !pair.is_armed(),
            _ => false,
        }
    }

    /// Closes a spent leg's sockets; returns the address to bind if it is wanted again.
    pub fn finish_close(&mut self, leg: LegSlot) -> Option<IpAddr> {
        if !self.is_spent(leg) {
            return None;
        }
        let slot = self.slots.get_mut(usize::from(leg.0))?;
        self.used -= 1;
        match std::mem::replace(slot, Slot::Closed) {
            Slot::Closing { reopen, .. } => reopen,
            Slot::Closed | Slot::Open(_) => None,
        }
    }
}

/// A component's place in a pair, and in the file table after twice its leg's number.
#[inline]
pub fn place(component: Component) -> usize {
    match component {
        Component::Rtp => 0,
        Component::Rtcp => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const LEG: LegSlot = LegSlot(1);
    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn opened(legs: &mut Legs) -> [Arm; 2] {
        let socket = || super::super::socket::open("127.0.0.1:0".parse().expect("address"), 0);
        assert_eq!(legs.begin_open(LEG, ANY), OpenStep::Now);
        let generation = legs.open(LEG, socket().expect("socket"), socket().expect("socket"));
        [Component::Rtp, Component::Rtcp].map(|component| Arm {
            leg: LEG,
            component,
            generation,
        })
    }

    #[test]
    fn a_slot_is_free_after_both_receives_have_ended() {
        let mut legs = Legs::new(2);
        let [rtp, rtcp] = opened(&mut legs);
        assert_eq!(legs.begin_close(LEG), Some([Some(rtp), Some(rtcp)]));
        assert!(!legs.is_current(rtp));
        assert_eq!(legs.receive_ended(rtcp), EndStep::Nothing);
        assert_eq!(legs.finish_close(LEG), None);
        assert_eq!(legs.used(), 1);
        assert_eq!(legs.receive_ended(rtp), EndStep::Free);
        assert_eq!(legs.finish_close(LEG), None);
        assert_eq!(legs.used(), 0);
    }

    #[test]
    fn an_open_while_closing_waits_and_a_late_completion_is_known() {
        let mut legs = Legs::new(2);
        let [rtp, rtcp] = opened(&mut legs);
        assert_eq!(legs.begin_open(LEG, ANY), OpenStep::Refuse);
        legs.begin_close(LEG);
        assert_eq!(legs.begin_open(LEG, ANY), OpenStep::Later);
        legs.receive_ended(rtp);
        assert_eq!(legs.receive_ended(rtcp), EndStep::Free);
        assert_eq!(legs.finish_close(LEG), Some(ANY));

        let [again, _] = opened(&mut legs);
        assert!(legs.is_current(again));
        assert!(!legs.is_current(rtp));
        assert_eq!(legs.receive_ended(rtp), EndStep::Nothing);
    }

    #[test]
    fn a_receive_that_has_ended_is_not_cancelled() {
        let mut legs = Legs::new(2);
        let [rtp, rtcp] = opened(&mut legs);
        assert_eq!(legs.receive_ended(rtp), EndStep::Rearm);
        assert_eq!(legs.begin_close(LEG), Some([None, Some(rtcp)]));
    }
}
