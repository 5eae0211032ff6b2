//! From intakes, clips and rooms into outlets, recorders and packets.

use super::block::Block;
use super::intake::{Heard, Intake, Use};
use super::outlet::{Full, Outlet};
use super::own_packet::Origin;
use super::{Around, Audio, AudioLeg};
use crate::codec::Rate;
use crate::link::Event;
use crate::media::events::Events;
use crate::media::leg::{Leg, Role};
use crate::media::legs::Legs;
use crate::media::seam::{LegSlot, Nanos};

impl Audio {
    /// A block for each outlet, but those of rooms: what is made for it, else what its bridge feeds.
    pub(super) fn route(&mut self, around: &mut Around<'_>) {
        for index in 0..self.legs.len() {
            let slot = self.legs[index].slot;
            let Some(leg) = around.legs.get(slot) else {
                continue;
            };
            let id = leg.id;
            let audio = &mut self.legs[index];
            if audio.digits.is_busy() {
                if let Some(block) = audio.digits.tone() {
                    self.put(around, index, &block, Heard::Audio, Origin::Made);
                }
                continue;
            }
            if let Some(player) = &mut audio.player {
                match player.next(self.tick) {
                    Some(block) => {
                        self.put(around, index, &block, Heard::Audio, Origin::Made);
                        continue;
                    }
                    None => {
                        let play = player.play;
                        audio.player = None;
                        audio.is_changed = true;
                        around.events.tell_last(Event::Played { leg: id, play });
                    }
                }
            }
            if let Some(feeder) = self.feeder(around.legs, slot)
                && let Some(block) = feeder.said().copied()
            {
                let heard = feeder.heard;
                self.put(around, index, &block, heard, Origin::Legs);
            }
        }
    }

    /// The intake of the far side, if the leg is bridged and audio goes that way.
    pub(super) fn feeder(&self, legs: &Legs, slot: LegSlot) -> Option<&Intake> {
        let Role::Bridged { to, .. } = legs.get(slot)?.role else {
            return None;
        };
        let intake = self.existing(legs, to)?.intake.as_deref()?;
        (intake.used == Use::Feed).then_some(intake)
    }

    /// Gives a leg's outlet its block, making the outlet if there is none.
    fn put(
        &mut self,
        around: &mut Around<'_>,
        index: usize,
        block: &Block,
        heard: Heard,
        origin: Origin,
    ) {
        let audio = &mut self.legs[index];
        let Some(leg) = around.legs.get_mut(audio.slot) else {
            return;
        };
        if let Some(outlet) = open_outlet(around.now, leg, audio, &mut self.random) {
            outlet.take(block, heard, origin);
        }
    }

    /// The rooms' blocks.
    pub(super) fn mix(&mut self, around: &mut Around<'_>) {
        let mut rooms = std::mem::take(&mut self.rooms);
        for room in &mut rooms {
            for member in room.members.iter().filter(|member| member.hears) {
                self.ready_outlet(around, member.slot);
            }
            let rate = self.rate_of(around.legs, room.members.iter().map(|member| member.slot));
            let legs = &*around.legs;
            let index = |slot: LegSlot| Some(legs.audio(slot)?.at());
            // Both sides of the mix work on different fields of one leg, one after the other.
            let cells = std::cell::RefCell::new(&mut self.legs);
            room.mix(
                rate,
                |slot| {
                    let legs = cells.borrow();
                    legs.get(index(slot)?)?.said().copied()
                },
                |slot, block| {
                    let mut legs = cells.borrow_mut();
                    let audio = index(slot).and_then(|index| legs.get_mut(index));
                    // What is played to one alone goes first.
                    if let Some(audio) =
                        audio.filter(|audio| audio.player.is_none() && !audio.digits.is_busy())
                        && let Some(outlet) = &mut audio.outlet
                    {
                        outlet.take(block, Heard::Audio, Origin::Legs);
                    }
                },
            );
        }
        self.rooms = rooms;
    }

    fn ready_outlet(&mut self, around: &mut Around<'_>, slot: LegSlot) {
        if let Some(leg) = around.legs.get_mut(slot)
            && let Some(index) = leg.audio
        {
            let audio = &mut self.legs[index.at()];
            open_outlet(around.now, leg, audio, &mut self.random);
        }
    }

    /// The rate that a room is mixed at: the highest that one of its legs hears.
    fn rate_of(&self, legs: &Legs, members: impl Iterator<Item = LegSlot>) -> Rate {
        let mut outlets = members.filter_map(|slot| self.existing(legs, slot)?.outlet.as_deref());
        match outlets.any(|outlet| outlet.rate() == Rate::Wide) {
            true => Rate::Wide,
            false => Rate::Narrow,
        }
    }

    /// Recorders take what was said and what is heard.
    pub(super) fn record(&mut self, now: Nanos, legs: &mut Legs, events: &mut Events) {
        for index in 0..self.legs.len() {
            let audio = &self.legs[index];
            let Some(leg) = legs.get(audio.slot).filter(|_| !audio.recorders.is_empty()) else {
                continue;
            };
            let id = leg.id;
            let needs_far_side = audio.records_both_sides();
            if let (true, Role::Bridged { to, .. }) = (needs_far_side, leg.role) {
                self.ready(now, legs, to);
            }
            let heard = needs_far_side.then(|| self.heard_by(legs, index)).flatten();
            let audio = &mut self.legs[index];
            let said = audio.said().copied();
            for recorder in &mut audio.recorders {
                if recorder.take(said.as_ref(), heard.as_ref()) {
                    events.tell_last(Event::Hushed { leg: id });
                }
            }
        }
    }

    /// What a leg's peer hears in this tick: what is made for it, else what is relayed to it.
    fn heard_by(&self, legs: &Legs, index: usize) -> Option<Block> {
        let audio = &self.legs[index];
        let made = audio.outlet.as_deref().and_then(Outlet::block);
        if made.is_some() || audio.is_taken() {
            return made.copied();
        }
        match legs.get(audio.slot)?.role {
            Role::Bridged { to, .. } => self.existing(legs, to)?.said().copied(),
            Role::Echo => audio.said().copied(),
            Role::Alone | Role::Room => None,
        }
    }

    /// Packets that are full.
    pub(super) fn send(&mut self, around: &mut Around<'_>) {
        for index in 0..self.legs.len() {
            let audio = &mut self.legs[index];
            let Some(leg) = around.legs.get_mut(audio.slot) else {
                continue;
            };
            let slot = audio.slot;
            let Some(outlet) = &mut audio.outlet else {
                continue;
            };
            if !leg.output.is_own() {
                // A relayed packet has taken the stream over.
                continue;
            }
            match outlet.packet() {
                Some(Full::Send(packet)) => {
                    packet.send(around.now, leg, slot, around.counters, around.outbox);
                }
                Some(Full::Skip) => leg.output.skip_own(),
                None => {}
            }
        }
    }
}

/// The leg's outlet, with its stream in our hands. None if the peer hears no codec that we can code.
pub(super) fn open_outlet<'a>(
    now: Nanos,
    leg: &mut Leg,
    audio: &'a mut AudioLeg,
    random: &mut fastrand::Rng,
) -> Option<&'a mut Outlet> {
    if audio.outlet.is_none() {
        audio.outlet = Some(Box::new(Outlet::new(leg.formats(), 0)?));
        leg.output.interrupt();
    }
    let outlet = audio.outlet.as_deref_mut()?;
    if !leg.output.is_own() {
        outlet.begin(leg.output.begin_own(now, random));
    }
    Some(outlet)
}
