//! What commands and packets ask of the audio plane.

use super::intake::{Intake, Use};
use super::player::Player;
use super::recorder::Recorder;
use super::room::Room;
use super::tones::ToneListener;
use super::{Audio, AudioIndex, AudioLeg, TICK};
use crate::link::{
    ClipHandle, Digit, Event, Listening, PlayId, PlayMode, RecordId, RecordingSink, RoomId,
};
use crate::media::events::Events;
use crate::media::in_stream::Counted;
use crate::media::leg::{Playout, Role};
use crate::media::legs::Legs;
use crate::media::seam::{LegSlot, Nanos};
use crate::rtp::packet::Header;
use crate::rtp::telephone_event::{Change, Retiming, TelephoneEvent};

impl Audio {
    /// The leg's audio, made if there is none. None if there is no such leg.
    fn of(&mut self, now: Nanos, legs: &mut Legs, slot: LegSlot) -> Option<&mut AudioLeg> {
        let leg = legs.get_mut(slot)?;
        let index = match leg.audio {
            Some(index) => index,
            None => {
                if self.legs.is_empty() {
                    // On a grid, so that workers and tests tick alike.
                    self.next = Nanos((now.0 / TICK.0 + 1) * TICK.0);
                }
                let index = AudioIndex(self.legs.len() as u32);
                self.legs.push(AudioLeg::new(slot));
                leg.audio = Some(index);
                index
            }
        };
        self.legs.get_mut(index.at())
    }

    /// The leg's audio, if it has any.
    pub(super) fn existing(&self, legs: &Legs, slot: LegSlot) -> Option<&AudioLeg> {
        self.legs.get(legs.audio(slot)?.at())
    }

    /// Sees that the leg has audio, since another is to be fed or tapped into it.
    #[inline]
    pub(in crate::media) fn ready(&mut self, now: Nanos, legs: &mut Legs, slot: LegSlot) {
        if legs.get(slot).is_some_and(|leg| leg.audio.is_none()) {
            self.of(now, legs, slot);
        }
    }

    /// The leg's intake, made if there is none.
    pub(in crate::media) fn intake(
        &mut self,
        now: Nanos,
        legs: &mut Legs,
        slot: LegSlot,
        used: Use,
    ) -> Option<&mut Intake> {
        let seed = self.random.u32(..);
        let audio = self.of(now, legs, slot)?;
        let intake = audio
            .intake
            .get_or_insert_with(|| Box::new(Intake::new(used, seed)));
        intake.used = used;
        Some(intake)
    }

    /// The leg's intake, if it has one.
    pub(in crate::media) fn existing_intake(&mut self, index: AudioIndex) -> Option<&mut Intake> {
        self.legs.get_mut(index.at())?.intake.as_deref_mut()
    }

    /// What the leg's jitter buffer does, if it has one.
    pub(in crate::media) fn playout(&self, index: AudioIndex) -> Option<Playout> {
        Some(self.legs.get(index.at())?.intake.as_deref()?.playout())
    }

    /// Which digits of the leg's peer are told.
    pub(in crate::media) fn listening(&self, index: AudioIndex) -> Listening {
        self.legs
            .get(index.at())
            .map_or(Listening::Off, |leg| leg.listening)
    }

    /// Notes a packet of an event of the leg's peer. A digit that has ended, and its milliseconds, if it is to be told.
    pub(in crate::media) fn hear_event(
        &mut self,
        now: Nanos,
        index: AudioIndex,
        counted: Counted,
        header: &Header,
        clock_rate: u32,
        payload: &[u8],
    ) -> Option<(Digit, u16)> {
        let audio = self.legs.get_mut(index.at())?;
        if let Some(intake) = &mut audio.intake {
            let is_end = TelephoneEvent::parse(payload).all(|event| event.end);
            intake.push_event(now, counted, is_end);
        }
        if audio.listening != Listening::Events {
            return None;
        }
        audio.events_rate = clock_rate;
        let (at, mut told) = ((header.timestamp, header.marker), None);
        audio
            .events
            .receive(now.0, counted.extended, at, payload, |change| {
                told = digit_of(change, clock_rate).or(told);
            });
        told
    }

    /// An event as it goes on in the stream of the leg that it passes to: with that stream's time, at that side's clock.
    pub(in crate::media) fn pass_event(
        &mut self,
        index: AudioIndex,
        header: &Header,
        event: TelephoneEvent,
        (from_rate, to_rate): (u32, u32),
    ) -> Option<(u32, TelephoneEvent)> {
        let audio = self.legs.get_mut(index.at())?;
        let now = audio.outlet.as_deref()?.timestamp;
        let passing = &mut audio.passing;
        let retiming = passing.get_or_insert_with(|| Retiming::new(from_rate, to_rate));
        Some(retiming.translate((header.timestamp, header.marker), event, now))
    }

    /// Somebody wants to hear the leg's audio though its packets are relayed.
    pub(in crate::media) fn is_tapped(&self, legs: &Legs, index: AudioIndex) -> bool {
        let Some(audio) = self.legs.get(index.at()) else {
            return false;
        };
        let far = || match legs.get(audio.slot)?.role {
            Role::Bridged { to, .. } => self.existing(legs, to),
            _ => None,
        };
        !audio.recorders.is_empty()
            || audio.tones.is_some()
            || far().is_some_and(AudioLeg::records_both_sides)
    }

    /// Plays a clip to the leg's peer.
    pub(in crate::media) fn play(
        &mut self,
        now: Nanos,
        legs: &mut Legs,
        slot: LegSlot,
        (play, clip, mode): (PlayId, ClipHandle, PlayMode),
        events: &mut Events,
    ) {
        self.stop_play(legs, slot, events);
        let Some(leg) = legs.get(slot) else { return };
        let id = leg.id;
        let hears = !leg.carries_datagrams && leg.formats().send.encodable().is_some();
        let player = hears.then(|| Player::new(play, clip, mode)).flatten();
        match player {
            Some(player) => {
                if let Some(audio) = self.of(now, legs, slot) {
                    audio.player = Some(player);
                }
                self.settle_slot(legs, slot);
            }
            None => events.tell_last(Event::Played { leg: id, play }),
        }
    }

    /// Stops what is played to the leg's peer.
    pub(in crate::media) fn stop_play(
        &mut self,
        legs: &mut Legs,
        slot: LegSlot,
        events: &mut Events,
    ) {
        let Some(leg) = legs.get(slot) else { return };
        let id = leg.id;
        if let Some(index) = leg.audio
            && let Some(player) = self.legs[index.at()].player.take()
        {
            let play = player.play;
            events.tell_last(Event::Played { leg: id, play });
            self.settle(legs, index);
        }
    }

    /// Sends a digit to the leg's peer, after those that wait.
    pub(in crate::media) fn send_digit(
        &mut self,
        now: Nanos,
        legs: &mut Legs,
        slot: LegSlot,
        digit: Digit,
        duration_ms: u16,
    ) {
        if let Some(audio) = self.of(now, legs, slot) {
            audio.digits.push(digit, duration_ms);
            self.settle_slot(legs, slot);
        }
    }

    /// Whether digits of the leg's peer are told.
    pub(in crate::media) fn listen_to(
        &mut self,
        now: Nanos,
        legs: &mut Legs,
        slot: LegSlot,
        listening: Listening,
    ) {
        let Some(leg) = legs.get(slot) else { return };
        if listening == Listening::Off && leg.audio.is_none() {
            return;
        }
        if let Some(audio) = self.of(now, legs, slot)
            && audio.listening != listening
        {
            audio.listening = listening;
            audio.events = Default::default();
            audio.tones = match listening {
                Listening::Tones => Some(Box::new(ToneListener::new())),
                Listening::Off | Listening::Events => None,
            };
            self.settle_slot(legs, slot);
        }
    }

    /// Records the leg, in place of its recording of that number. One too many ends at once.
    pub(in crate::media) fn record_leg(
        &mut self,
        now: Nanos,
        legs: &mut Legs,
        slot: LegSlot,
        id: RecordId,
        (sink, silence_ms): (RecordingSink, u32),
    ) {
        if let Some(audio) = self.of(now, legs, slot) {
            audio.recorders.retain(|recorder| recorder.id != id);
            let recorder = Box::new(Recorder::new(id, sink, silence_ms));
            let _ = audio.recorders.try_push(recorder);
        }
    }

    /// Ends a recording of the leg.
    pub(in crate::media) fn stop_record(&mut self, legs: &mut Legs, slot: LegSlot, id: RecordId) {
        if let Some(index) = legs.audio(slot) {
            let audio = &mut self.legs[index.at()];
            audio.recorders.retain(|recorder| recorder.id != id);
            self.settle(legs, index);
            if let Some(Role::Bridged { to, .. }) = legs.get(slot).map(|leg| leg.role) {
                self.settle_slot(legs, to);
            }
        }
    }

    /// Puts the leg, which stands alone, into a room. False if that is full.
    pub(in crate::media) fn join(
        &mut self,
        now: Nanos,
        legs: &mut Legs,
        slot: LegSlot,
        id: RoomId,
        (talks, hears): (bool, bool),
    ) -> bool {
        let place = self.rooms.iter().position(|room| room.id == id);
        let place = place.unwrap_or_else(|| {
            self.rooms.push(Room::new(id));
            self.rooms.len() - 1
        });
        let is_in = self.rooms[place].join(slot, talks, hears);
        if let Some(audio) = self.of(now, legs, slot)
            && is_in
        {
            audio.room = Some(id);
        }
        self.settle_slot(legs, slot);
        is_in
    }

    /// Takes the leg out of whatever it was in: its room, or what it fed.
    pub(in crate::media) fn part(&mut self, legs: &mut Legs, slot: LegSlot) {
        let Some(index) = legs.audio(slot) else {
            return;
        };
        let audio = &mut self.legs[index.at()];
        if let Some(intake) = &mut audio.intake {
            intake.used = Use::Tap;
        }
        if let Some(id) = audio.room.take()
            && let Some(place) = self.rooms.iter().position(|room| room.id == id)
        {
            self.rooms[place].leave(slot);
            if self.rooms[place].members.is_empty() {
                self.rooms.swap_remove(place);
            }
        }
        self.settle(legs, index);
    }

    /// The leg's formats have changed.
    pub(in crate::media) fn follow_formats(&mut self, legs: &Legs, slot: LegSlot) {
        if let Some(leg) = legs.get(slot)
            && let Some(index) = leg.audio
        {
            let audio = &mut self.legs[index.at()];
            if let Some(outlet) = &mut audio.outlet
                && !outlet.follow(leg.formats())
            {
                audio.outlet = None;
            }
        }
    }

    /// The leg is closed.
    pub(in crate::media) fn close(&mut self, legs: &mut Legs, slot: LegSlot, events: &mut Events) {
        self.stop_play(legs, slot, events);
        self.part(legs, slot);
        if let Some(index) = legs.audio(slot) {
            self.remove(legs, index);
        }
    }

    fn settle_slot(&mut self, legs: &mut Legs, slot: LegSlot) {
        if let Some(index) = legs.audio(slot) {
            self.settle(legs, index);
        }
    }

    /// After a change: whether the leg's peer hears what comes for it, or what is made here; and whether there is
    /// anything left to do.
    pub(super) fn settle(&mut self, legs: &mut Legs, index: AudioIndex) {
        let Some(audio) = self.legs.get_mut(index.at()) else {
            return;
        };
        let (is_taken, is_idle) = (audio.is_taken(), audio.is_idle());
        if let Some(leg) = legs.get_mut(audio.slot) {
            leg.taken = is_taken;
        }
        let slot = audio.slot;
        if is_idle && self.feeder(legs, slot).is_none() {
            self.remove(legs, index);
        }
    }

    fn remove(&mut self, legs: &mut Legs, index: AudioIndex) {
        let gone = self.legs.swap_remove(index.at());
        if let Some(leg) = legs.get_mut(gone.slot) {
            leg.audio = None;
            leg.taken = false;
        }
        if let Some(moved) = self.legs.get(index.at())
            && let Some(leg) = legs.get_mut(moved.slot)
        {
            leg.audio = Some(index);
        }
    }
}

/// The digit that has ended, and its milliseconds.
pub(super) fn digit_of(change: Change, clock_rate: u32) -> Option<(Digit, u16)> {
    let Change::Ended { code, duration } = change else {
        return None;
    };
    let millis = u64::from(duration) * 1_000 / u64::from(clock_rate.max(1));
    Some((Digit::from_event(code)?, millis.min(u16::MAX.into()) as u16))
}
