//! Audio that is decoded or made here: transcoding, prompts and music, digits, rooms, recordings.
//!
//! A leg has an [`AudioLeg`] only while it needs one; a leg whose packets are relayed costs nothing here. Ten
//! milliseconds are the unit of all, and a tick does, for all legs at a time:
//!
//! ```text
//!   pull ──► decode ──► finish ──► listen ──► route ──────────────────► encode ──► send
//!   jitter   G.722 in   conceal    digits     from bridges, rooms,      G.722 in   packets
//!   buffers  batches               in it      clips into outlets;       batches    that are full
//!                                             recorders get theirs
//! ```

mod block;
mod decoding;
mod digits;
mod intake;
mod outlet;
mod own_packet;
mod player;
mod recorder;
mod requests;
mod room;
mod route;
mod tones;

pub(super) use self::intake::Use;

use self::block::Block;
use self::digits::DigitSender;
use self::intake::Intake;
use self::outlet::Outlet;
use self::player::Player;
use self::recorder::Recorder;
use self::requests::digit_of;
use self::room::Room;
use self::tones::ToneListener;
use super::events::Events;
use super::legs::Legs;
use super::outbox::Outbox;
use super::seam::{Counters, LegSlot, Nanos};
use crate::codec::g722;
use crate::link::recording::RECORDINGS_MAX;
use crate::link::{Listening, RoomId};
use crate::rtp::telephone_event::{EventReceiver, Retiming};
use arrayvec::ArrayVec;

/// Between two ticks.
pub(super) const TICK: Nanos = Nanos::from_millis(10);

/// Ticks that are made up for after a pause of the thread; what is older is gone.
const TICKS_BEHIND_MAX: u64 = 10;

/// Streams of G.722 that are coded in one go.
const BATCH: usize = 8;

/// The place of an [`AudioLeg`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AudioIndex(u32);

impl AudioIndex {
    fn at(self) -> usize {
        self.0 as usize
    }
}

/// What a leg has beyond a relayed one.
pub(super) struct AudioLeg {
    slot: LegSlot,
    intake: Option<Box<Intake>>,
    outlet: Option<Box<Outlet>>,
    player: Option<Player>,
    digits: DigitSender,
    recorders: ArrayVec<Box<Recorder>, RECORDINGS_MAX>,
    listening: Listening,
    tones: Option<Box<ToneListener>>,
    events: EventReceiver,
    /// Clock of the events that its peer sends.
    events_rate: u32,
    /// Events that pass to its peer.
    passing: Option<Retiming>,
    room: Option<RoomId>,
    /// Something has ended: to be settled at the tick's end.
    is_changed: bool,
}

impl AudioLeg {
    fn new(slot: LegSlot) -> AudioLeg {
        AudioLeg {
            slot,
            intake: None,
            outlet: None,
            player: None,
            digits: DigitSender::default(),
            recorders: ArrayVec::new(),
            listening: Listening::Off,
            tones: None,
            events: EventReceiver::default(),
            events_rate: 8_000,
            passing: None,
            room: None,
            is_changed: false,
        }
    }

    /// What its peer said in this tick.
    fn said(&self) -> Option<&Block> {
        self.intake.as_deref()?.said()
    }

    /// Its peer hears what is made here, and nothing that comes for it.
    fn is_taken(&self) -> bool {
        self.player.is_some() || self.digits.is_busy() || self.room.is_some()
    }

    /// It is recorded beside what its peer hears.
    fn records_both_sides(&self) -> bool {
        self.recorders
            .iter()
            .any(|recorder| recorder.needs_far_side())
    }

    /// Nothing needs it any longer.
    fn is_idle(&self) -> bool {
        let feeds = |intake: &Intake| intake.used == Use::Feed;
        !self.is_taken()
            && self.recorders.is_empty()
            && self.listening == Listening::Off
            && !self.intake.as_deref().is_some_and(feeds)
    }
}

/// See the module's comment.
pub(super) struct Audio {
    legs: Vec<AudioLeg>,
    rooms: Vec<Room>,
    /// Ticks so far.
    tick: u64,
    /// When the next is due, while there are legs.
    next: Nanos,
    random: fastrand::Rng,
}

/// What a tick works on besides.
pub(super) struct Around<'a> {
    pub(super) now: Nanos,
    pub(super) legs: &'a mut Legs,
    pub(super) events: &'a mut Events,
    pub(super) counters: &'a mut Counters,
    pub(super) outbox: &'a mut Outbox,
}

impl Audio {
    pub(super) fn new(seed: u64) -> Audio {
        Audio {
            legs: Vec::new(),
            rooms: Vec::new(),
            tick: 0,
            next: Nanos(0),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// When the next tick is due; None while no leg needs any.
    pub(super) fn next_tick(&self) -> Option<Nanos> {
        (!self.legs.is_empty()).then_some(self.next)
    }

    /// When a packet came, as its jitter buffer is to count it: whatever is here before a tick is done is in time for
    /// it, be the thread as late as it may. So a pause of the thread is no jitter of the network's.
    pub(super) fn arrival(&self, now: Nanos) -> Nanos {
        match self.next_tick() {
            Some(due) => now.min(due),
            None => now,
        }
    }

    /// Legs that have audio of their own.
    pub(super) fn active(&self) -> usize {
        self.legs.len()
    }

    /// Does the ticks that are due.
    pub(super) fn handle_time(&mut self, mut around: Around<'_>) {
        let now = around.now;
        let behind = now.since(self.next).0 / TICK.0;
        if behind > TICKS_BEHIND_MAX {
            self.next = Nanos(self.next.0 + (behind - TICKS_BEHIND_MAX) * TICK.0);
        }
        while self.next <= now && !self.legs.is_empty() {
            around.now = self.next;
            self.tick(&mut around);
            self.next = Nanos(self.next.0 + TICK.0);
        }
    }

    fn tick(&mut self, around: &mut Around<'_>) {
        self.hear(around.now);
        self.listen(around.now, around.legs, around.events);
        self.route(around);
        self.mix(around);
        self.record(around.now, around.legs, around.events);
        self.encode();
        self.send(around);
        self.send_digits(around);
        self.settle_changed(around.legs);
        self.tick += 1;
    }

    /// Sees to the legs for which something has ended in this tick.
    fn settle_changed(&mut self, legs: &mut Legs) {
        // From the end, since one that goes is replaced by the last.
        for index in (0..self.legs.len()).rev() {
            if std::mem::take(&mut self.legs[index].is_changed) {
                self.settle(legs, AudioIndex(index as u32));
            }
        }
    }

    /// A block out of each intake.
    fn hear(&mut self, now: Nanos) {
        for intake in intakes(&mut self.legs) {
            intake.pull(now);
            intake.decode();
        }
        let jobs = intakes(&mut self.legs).filter_map(Intake::decode_job);
        in_batches(jobs, g722::decode_batch);
        intakes(&mut self.legs).for_each(Intake::finish);
    }

    /// Digits: tones in the audio, which go no further than here, and events whose end was lost.
    fn listen(&mut self, now: Nanos, legs: &Legs, events: &mut Events) {
        for audio in &mut self.legs {
            let expired = audio.events.expire(now.0);
            let mut told = expired.and_then(|change| digit_of(change, audio.events_rate));
            if let (Some(tones), Some(intake)) = (&mut audio.tones, &mut audio.intake) {
                told = tones.hear(intake.said()).or(told);
                if tones.is_sounding() {
                    intake.mute();
                }
            }
            if let Some(digit) = told
                && let Some(leg) = legs.get(audio.slot)
            {
                events.tell_digit(leg.id, digit);
            }
        }
    }

    fn encode(&mut self) {
        outlets(&mut self.legs).for_each(Outlet::encode);
        let jobs = outlets(&mut self.legs).filter_map(Outlet::encode_job);
        in_batches(jobs, g722::encode_batch);
    }
}

/// Codes what there is to code, [`BATCH`] at a time.
fn in_batches<J>(jobs: impl Iterator<Item = J>, code: impl Fn(&mut [J])) {
    let mut batch: ArrayVec<J, BATCH> = ArrayVec::new();
    for job in jobs {
        batch.push(job);
        if batch.is_full() {
            code(&mut batch);
            batch.clear();
        }
    }
    code(&mut batch);
}

fn intakes(legs: &mut [AudioLeg]) -> impl Iterator<Item = &mut Intake> {
    legs.iter_mut().filter_map(|leg| leg.intake.as_deref_mut())
}

fn outlets(legs: &mut [AudioLeg]) -> impl Iterator<Item = &mut Outlet> {
    legs.iter_mut().filter_map(|leg| leg.outlet.as_deref_mut())
}
