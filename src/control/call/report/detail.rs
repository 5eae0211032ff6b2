//! All that is known of one call, for an operator who wants to know why it hangs or is silent.

use super::media_row;
use crate::codec::Payload;
use crate::control::call::leg::{Leg, LegState};
use crate::control::call::media::LegMedia;
use crate::control::call::{Call, Phase};
use crate::control::meeting::rooms::Rooms;
use crate::link::WireFormat;
use crate::link::query::{CallDetail, LegMediaRow, LegRow, RoomRow};
use std::time::Instant;

impl Call {
    /// See the module's comment.
    pub fn detail(&self, now: Instant, rooms: &Rooms) -> CallDetail {
        let legs = self
            .legs()
            .filter(|leg| !matches!(leg.state, LegState::Gone));
        CallDetail {
            call: self.row(now),
            doing: self.doing().to_owned(),
            room: self.seat.map(|seat| rooms.name_of(seat.room).to_owned()),
            steps: self.steps.clone(),
            legs: legs.map(|leg| self.leg_row(leg)).collect(),
        }
    }

    /// Its caller in a room, if it is in one.
    pub fn room_row(&self, now: Instant, rooms: &Rooms) -> Option<RoomRow> {
        let seat = self.seat?;
        let age = now.saturating_duration_since(self.caller.began);
        Some(RoomRow {
            room: rooms.name_of(seat.room).to_owned(),
            number: seat.room.0,
            call: self.id.clone(),
            endpoint: self.name_of(self.caller.endpoint).to_owned(),
            caller: self.facts.caller.clone(),
            talks: seat.talks,
            age_s: age.as_secs(),
        })
    }

    fn doing(&self) -> &'static str {
        match &self.phase {
            Phase::Ready => "goes on in the dialplan",
            Phase::Paused { .. } => "waits as long as the dialplan says",
            Phase::AwaitingAck { .. } => "waits for the caller's ACK",
            Phase::Referring { .. } => "waits for the caller to call elsewhere",
            Phase::PickingUp => "looks for a call that rings",
            Phase::Echo => "the caller hears itself",
            Phase::Attending(_) if self.seat.is_some() => "in a room",
            Phase::Attending(_) => "the caller is played to, recorded or asked for digits",
            Phase::Dialling(_) => "waits for somebody to answer",
            Phase::Bridged { .. } => "the two sides talk",
            Phase::Lingering { .. } => "tells who transferred it how that went",
            Phase::Ending { .. } => "is over, and waits for the last answers",
        }
    }

    fn leg_row(&self, leg: &Leg) -> LegRow {
        let side = match leg.no == self.caller.no {
            true => "caller",
            false => "callee",
        };
        LegRow {
            endpoint: self.name_of(leg.endpoint).to_owned(),
            side: side.to_owned(),
            state: state_name(&leg.state).to_owned(),
            sip: leg.path.flow.peer.to_string(),
            media: leg.media().map(leg_media_row),
        }
    }
}

fn state_name(state: &LegState) -> &'static str {
    match state {
        LegState::Asked(_) => "asked",
        LegState::Unacked { .. } => "unacked",
        LegState::Calling(_) => "calling",
        LegState::Cancelled { .. } => "cancelled",
        LegState::Up => "up",
        LegState::Leaving => "leaving",
        LegState::Gone => "gone",
    }
}

fn leg_media_row(media: &LegMedia) -> LegMediaRow {
    let files = media.monitored.iter().map(|one| one.file());
    LegMediaRow {
        port: media.leg.port.rtp(),
        sdp: media.told.map(|remote| remote.rtp.to_string()),
        direction: media.peer_direction().name().to_owned(),
        encrypted: media.told_crypto.is_some(),
        formats: media.sent_formats(),
        recordings: files.collect(),
        strangers: media.reported.strangers,
        unauthentic: media.reported.unauthentic,
        not_agreed: media.reported.not_agreed,
        counts: media_row(media),
    }
}

impl LegMedia {
    /// The payload types that the peer may send, and what they stand for.
    pub(super) fn sent_formats(&self) -> Vec<String> {
        let formats = self.told_formats.iter();
        let formats = formats.flat_map(|formats| formats.receive.formats());
        formats.map(format_text).collect()
    }
}

fn format_text(format: &WireFormat) -> String {
    let name = match format.payload {
        Payload::Codec(codec) => codec.name(),
        Payload::TelephoneEvent { .. } => String::from("telephone-event"),
        Payload::ComfortNoise => String::from("CN"),
    };
    format!("{} {name}", format.payload_type)
}
