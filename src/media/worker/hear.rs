//! Packets that are more than relayed: decoded for the far side or a room, listened to, recorded.

use super::{Component, DropReason, Judged, LegSlot, Nanos, Verdict, Worker};
use crate::codec::{Codec, Payload};
use crate::link::{Command, Listening, RoomId};
use crate::media::audio::Use;
use crate::media::in_stream::Counted;
use crate::media::leg::Role;
use crate::rtp::packet::{self, Header};
use crate::rtp::telephone_event::{EVENT_LEN, TelephoneEvent};

/// What becomes of a packet besides being heard here.
enum Way {
    /// Sent on as it is, under this payload type.
    Relay { to: LegSlot, payload_type: u8 },
    /// To a bridge whose far side does not know its payload type.
    Bridge { to: LegSlot },
    /// To a room.
    Room,
    /// Nowhere, and is counted so.
    Nowhere(DropReason),
}

impl Worker {
    /// A packet of a leg that has audio, or that does not pass as it is.
    #[inline(never)]
    pub(super) fn hear(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        counted: Counted,
        mut header: Header,
        packet: &mut [u8],
    ) -> Judged {
        let leg = self.legs.get(slot).ok_or(DropReason::Unlatched)?;
        let feed = leg.feed_of(slot, counted.epoch);
        let way = match &leg.role {
            Role::Alone => Way::Nowhere(DropReason::Unheard),
            Role::Room => Way::Room,
            Role::Echo if leg.hears_as_said(header.payload_type) => Way::Relay {
                to: slot,
                payload_type: header.payload_type,
            },
            Role::Echo => Way::Nowhere(DropReason::PayloadType),
            Role::Bridged { to, map } => match map.get(header.payload_type) {
                Some(payload_type) => Way::Relay {
                    to: *to,
                    payload_type,
                },
                None => Way::Bridge { to: *to },
            },
        };
        let payload = leg.formats().receive.payload(header.payload_type);
        if payload.is_none() && !matches!(way, Way::Relay { .. }) {
            let leg = self.legs.get_mut(slot).ok_or(DropReason::Unlatched)?;
            return Err(leg.not_agreed(header.payload_type).into());
        }
        let passes = match payload {
            Some(Payload::Codec(codec)) if codec.is_transcoded() => {
                let used = self.use_of(slot, &way);
                self.hear_audio(now, slot, counted, &header, (codec, used), packet);
                if let (Use::Feed, Way::Bridge { to } | Way::Relay { to, .. }) = (used, &way) {
                    self.audio.ready(now, &mut self.legs, *to);
                }
                used == Use::Tap
            }
            Some(Payload::TelephoneEvent { clock_rate }) => {
                self.hear_event(now, slot, counted, &header, clock_rate, packet);
                if let Some(verdict) = self.pass_event(now, slot, &header, clock_rate, &way, packet)
                {
                    return verdict;
                }
                // A digit that is told to control is no packet that went nowhere.
                !matches!(way, Way::Bridge { .. }) || self.listens_to(slot) != Listening::Events
            }
            Some(Payload::ComfortNoise) => self.hear_noise(now, slot, counted, &header, packet),
            _ => true,
        };
        match way {
            Way::Relay { to, payload_type } if passes => {
                header.payload_type = payload_type;
                self.relay(now, feed, to, counted, header, packet)
            }
            Way::Bridge { .. } if passes => Err(DropReason::PayloadType.into()),
            Way::Nowhere(reason) => Err(reason.into()),
            Way::Room if passes => Err(DropReason::Unheard.into()),
            _ => {
                self.counters.transcoded_in += 1;
                self.counters.transcoded_in_bytes += packet.len() as u64;
                Ok(Verdict::Taken)
            }
        }
    }

    /// Which digits of the leg's peer are told.
    fn listens_to(&self, slot: LegSlot) -> Listening {
        let index = self.legs.audio(slot);
        index.map_or(Listening::Off, |index| self.audio.listening(index))
    }

    /// Where audio that comes this way is needed.
    fn use_of(&self, slot: LegSlot, way: &Way) -> Use {
        let listens_to_tones = self.listens_to(slot) == Listening::Tones;
        let can_feed = |to: LegSlot| {
            let far = self.legs.get(to);
            far.is_some_and(|far| far.formats().send.encodable().is_some())
        };
        match way {
            Way::Room => Use::Feed,
            Way::Bridge { to } if can_feed(*to) => Use::Feed,
            // A tone that was heard as a digit goes no further, so the packets do not either.
            // An echo lets it back: it has no far side to be fed.
            Way::Relay { to, .. } if *to != slot && listens_to_tones && can_feed(*to) => Use::Feed,
            _ => Use::Tap,
        }
    }

    /// Takes audio to where it is decoded, if it is needed there.
    fn hear_audio(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        counted: Counted,
        header: &Header,
        (codec, used): (Codec, Use),
        packet: &[u8],
    ) {
        let came = self.audio.arrival(now);
        let index = self.legs.audio(slot);
        let is_wanted =
            used == Use::Feed || index.is_some_and(|index| self.audio.is_tapped(&self.legs, index));
        if is_wanted && let Some(intake) = self.audio.intake(now, &mut self.legs, slot, used) {
            intake.push(came, counted, header, codec, packet::payload(packet));
        } else if let Some(intake) = index.and_then(|index| self.audio.existing_intake(index)) {
            intake.used = Use::Tap;
        }
    }

    /// Takes comfort noise to where the audio is decoded, if it is. True if the packet is to pass as it is.
    fn hear_noise(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        counted: Counted,
        header: &Header,
        packet: &[u8],
    ) -> bool {
        let came = self.audio.arrival(now);
        let index = self.legs.audio(slot);
        match index.and_then(|index| self.audio.existing_intake(index)) {
            Some(intake) => {
                intake.push_noise(came, counted, header, packet::payload(packet));
                intake.used == Use::Tap
            }
            None => true,
        }
    }

    /// Notes an event, and tells a digit that has ended.
    fn hear_event(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        counted: Counted,
        header: &Header,
        clock_rate: u32,
        packet: &[u8],
    ) {
        let Some(leg) = self.legs.get(slot) else {
            return;
        };
        let (id, Some(index)) = (leg.id, leg.audio) else {
            return;
        };
        let payload = packet::payload(packet);
        let told = self
            .audio
            .hear_event(now, index, counted, header, clock_rate, payload);
        if let Some(digit) = told {
            self.events.tell_digit(id, digit);
        }
    }

    /// An event that goes to a stream of our own gets that stream's numbers, and one time stamp in all its packets (RFC
    /// 4733 §2.3.5). None if it does not go to one.
    fn pass_event(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        header: &Header,
        clock_rate: u32,
        way: &Way,
        packet: &mut [u8],
    ) -> Option<Judged> {
        let Way::Relay { to, payload_type } = *way else {
            return None;
        };
        let far = self.legs.get_mut(to).filter(|_| to != slot)?;
        if !far.output.is_own() {
            return None;
        }
        let Some(destination) = far.rtp_destination().filter(|_| !far.taken) else {
            return Some(Err(DropReason::Unheard.into()));
        };
        let far_rate = match far.formats().send.payload(payload_type) {
            Some(Payload::TelephoneEvent { clock_rate }) => clock_rate,
            _ => clock_rate,
        };
        let event = TelephoneEvent::parse(packet::payload(packet)).next()?;
        let rates = (clock_rate, far_rate);
        let (timestamp, event) = self.audio.pass_event(far.audio?, header, event, rates)?;
        let start = packet.len() - packet::payload(packet).len();
        packet[start..start + EVENT_LEN].copy_from_slice(&event.write());
        far.output
            .own(now, payload_type, timestamp, header.marker)
            .write(packet);
        let len = packet.len();
        far.count_out(&mut self.counters, len);
        Some(far.sent(to, Component::Rtp, destination, len))
    }

    /// Obeys a command about audio that is decoded or made here.
    pub(super) fn handle_audio_command(&mut self, now: Nanos, command: Command) {
        let Some(slot) = command.leg().and_then(|leg| self.find(leg)) else {
            return;
        };
        let (audio, legs) = (&mut self.audio, &mut self.legs);
        match command {
            Command::SetFormats { formats, .. } => {
                if let Some(leg) = legs.get_mut(slot) {
                    leg.set_formats(*formats);
                    audio.follow_formats(legs, slot);
                }
            }
            Command::SetCrypto { crypto, .. } => {
                if let Some(leg) = legs.get_mut(slot) {
                    leg.set_crypto(crypto);
                }
            }
            Command::Play {
                play, clip, mode, ..
            } => audio.play(now, legs, slot, (play, clip, mode), &mut self.events),
            Command::StopPlay { .. } => audio.stop_play(legs, slot, &mut self.events),
            Command::SendDigit {
                digit, duration_ms, ..
            } => audio.send_digit(now, legs, slot, digit, duration_ms),
            Command::Listen { listening, .. } => audio.listen_to(now, legs, slot, listening),
            Command::Record {
                record,
                sink,
                silence_ms,
                ..
            } => audio.record_leg(now, legs, slot, record, (sink, silence_ms)),
            Command::StopRecord { record, .. } => audio.stop_record(legs, slot, record),
            Command::Join {
                room, talks, hears, ..
            } => self.join(now, slot, room, (talks, hears)),
            Command::Open { .. }
            | Command::SetRemote { .. }
            | Command::Bridge { .. }
            | Command::Echo { .. }
            | Command::Detach { .. }
            | Command::Close { .. }
            | Command::Stop => {}
        }
    }

    fn join(&mut self, now: Nanos, slot: LegSlot, room: RoomId, part: (bool, bool)) {
        self.unbridge(slot);
        self.audio.part(&mut self.legs, slot);
        let is_in = self.audio.join(now, &mut self.legs, slot, room, part);
        if let Some(leg) = self.legs.get_mut(slot) {
            leg.role = match is_in {
                true => Role::Room,
                false => Role::Alone,
            };
        }
    }
}
