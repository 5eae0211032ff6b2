//! From intakes, clips and rooms into outlets, recorders and packets.

use super::block::Block;
use super::intake::{Heard, Use};
use super::outlet::{Full, Origin, Outlet};
use super::{Around, Audio, AudioIndex, AudioLeg};
use crate::codec::Rate;
use crate::link::Event;
use crate::media::leg::{Events, Leg, Role};
use crate::media::legs::Legs;
use crate::media::outbox::Outbox;
use crate::media::seam::{Component, Counters, LegSlot, Nanos};
use crate::rtp::packet::{self, HEADER_LEN};

impl Audio {
    /// A block for each outlet, but those of rooms: what is made for it, else what its bridge feeds.
    pub(super) fn route(&mut self, around: &mut Around<'_>) {
        for index in 0..self.legs.len() {
            let slot = self.legs[index].slot;
            let Some(leg) = around.legs.get(slot) else {
                continue;
            };
            let id = leg.id;
            let fed_by = match leg.role {
                Role::Bridged { to, .. } => around.legs.get(to).and_then(|far| far.audio),
                _ => None,
            };
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
            if let Some((block, heard)) = fed_by.and_then(|far| self.fed(far)) {
                self.put(around, index, &block, heard, Origin::Legs);
            }
        }
    }

    /// What a leg says to its bridge, if it goes that way.
    fn fed(&self, far: AudioIndex) -> Option<(Block, Heard)> {
        let intake = self.legs.get(far.at())?.intake.as_deref()?;
        let is_fed = intake.used == Use::Feed && intake.heard != Heard::Nothing;
        is_fed.then_some((intake.block, intake.heard))
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
            let index = |slot: LegSlot| Some(legs.get(slot)?.audio?.at());
            // Both sides of the mix work on different fields of one leg, one after the other.
            let cells = std::cell::RefCell::new(&mut self.legs);
            room.mix(
                rate,
                |slot| {
                    let legs = cells.borrow();
                    let intake = legs.get(index(slot)?)?.intake.as_deref()?;
                    (intake.heard != Heard::Nothing).then_some(intake.block)
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
        let outlets = members.filter_map(|slot| {
            let index = legs.get(slot)?.audio?;
            self.legs.get(index.at())?.outlet.as_deref()
        });
        match outlets
            .into_iter()
            .any(|outlet| outlet.rate() == Rate::Wide)
        {
            true => Rate::Wide,
            false => Rate::Narrow,
        }
    }

    /// Recorders take what was said and what is heard.
    pub(super) fn record(&mut self, now: Nanos, legs: &mut Legs, events: &mut Events) {
        for index in 0..self.legs.len() {
            let audio = &self.legs[index];
            let (Some(recorder), Some(leg)) = (&audio.recorder, legs.get(audio.slot)) else {
                continue;
            };
            let id = leg.id;
            let heard = match (recorder.needs_far_side(), leg.role) {
                (true, Role::Bridged { to, .. }) => {
                    self.ready(now, legs, to);
                    self.heard_by(legs, index)
                }
                (true, _) => self.heard_by(legs, index),
                (false, _) => None,
            };
            let audio = &mut self.legs[index];
            let said = said_by(audio);
            if let Some(recorder) = &mut audio.recorder
                && recorder.take(said.as_ref(), heard.as_ref())
            {
                events.tell_last(Event::Hushed { leg: id });
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
            Role::Bridged { to, .. } => said_by(self.legs.get(legs.get(to)?.audio?.at())?),
            Role::Echo => said_by(audio),
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
                Some(Full::Send {
                    payload_type,
                    timestamp,
                    marker,
                    origin,
                    codes,
                }) => {
                    let packet = OwnPacket {
                        payload_type,
                        timestamp,
                        marker,
                        payload: codes,
                    };
                    let sent = send_own(around.now, leg, slot, &packet, around.outbox);
                    count(around.counters, origin, sent);
                }
                Some(Full::Skip) => leg.output.skip_own(),
                None => {}
            }
        }
    }
}

/// A packet of our own.
pub(super) struct OwnPacket<'a> {
    pub(super) payload_type: u8,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) payload: &'a [u8],
}

/// Sends a packet of our own to the leg's peer, if it may hear any. Its length in the clear.
pub(super) fn send_own(
    now: Nanos,
    leg: &mut Leg,
    slot: LegSlot,
    packet: &OwnPacket<'_>,
    outbox: &mut Outbox,
) -> Option<usize> {
    let destination = leg.rtp_destination()?;
    let header = leg
        .output
        .own(now, packet.payload_type, packet.timestamp, packet.marker);
    let crypto = &mut leg.crypto;
    outbox.push(slot, Component::Rtp, destination, |room| {
        let len = HEADER_LEN + packet.payload.len();
        let (head, payload) = room.split_at_mut_checked(HEADER_LEN)?;
        head[0] = packet::FIRST_PLAIN;
        header.write(head);
        let payload = payload.get_mut(..packet.payload.len())?;
        payload.copy_from_slice(packet.payload);
        match crypto {
            Some(crypto) => crypto.seal(room, len),
            None => Some(len),
        }
    })?;
    // As relayed packets are counted: without what SRTP adds.
    let len = HEADER_LEN + packet.payload.len();
    leg.counts.packets_out += 1;
    leg.counts.bytes_out += len as u64;
    Some(len)
}

/// Counts a packet of our own that was sent.
pub(super) fn count(counters: &mut Counters, origin: Origin, sent: Option<usize>) {
    let Some(len) = sent else { return };
    counters.packets_out += 1;
    counters.bytes_out += len as u64;
    let (packets, bytes) = match origin {
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

/// What a leg's peer said in this tick.
fn said_by(audio: &AudioLeg) -> Option<Block> {
    let intake = audio.intake.as_deref()?;
    (intake.heard != Heard::Nothing).then_some(intake.block)
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
