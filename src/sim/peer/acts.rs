//! What a peer does of its own accord, as its plan says.

use super::{Act, CallMedia, PORTS_PER_CALL, Peer, Place, Stage};
use crate::sdp::{self, Description, Direction, LocalMedia, OurKeys, OurOffer};
use crate::sim::history::WithinPlan;
use crate::sim::speech::Talk;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::ResponseDraft;
use crate::sip::{Method, Request};
use std::time::Instant;

impl Peer {
    pub(super) fn come_up(&mut self, now: Instant, index: usize) {
        self.came_up += 1;
        let call = &mut self.calls[index];
        call.stage = Stage::Up;
        let WithinPlan {
            holds_after,
            moves_after,
            hangs_up_after,
            dies_after,
            ..
        } = call.within.clone();
        let plan = [
            holds_after.map(|after| (now + after, Act::Hold)),
            moves_after.map(|after| (now + after, Act::Move)),
            hangs_up_after.map(|after| (now + after, Act::HangUp)),
            dies_after.map(|after| (now + after, Act::Die)),
        ];
        call.agenda.retain(|(_, act)| !matches!(act, Act::Cancel));
        call.agenda.extend(plan.into_iter().flatten());
    }

    pub(super) fn act(&mut self, now: Instant, index: usize, act: Act) {
        let call = &mut self.calls[index];
        match (act, &mut call.stage) {
            (Act::Die, _) => call.is_dead = true,
            (Act::Cancel, Stage::Calling { tx, cancelled }) => {
                *cancelled = true;
                let tx = *tx;
                self.endpoint.cancel(now, tx, None);
            }
            (Act::Ring, Stage::Called { tx, .. }) => {
                let draft = ResponseDraft::new(180);
                let tx = *tx;
                self.respond_in_dialog(now, index, tx, draft);
            }
            (Act::Early, Stage::Called { .. }) => self.answer_invite(now, index, 183),
            (Act::Answer(200), Stage::Called { .. }) => self.answer_invite(now, index, 200),
            (Act::Answer(status), Stage::Called { tx, .. }) => {
                let tx = *tx;
                call.stage = Stage::Done;
                self.respond_in_dialog(now, index, tx, ResponseDraft::new(status));
            }
            (Act::Hold, Stage::Up) => self.reinvite(now, index, Direction::SendOnly),
            (Act::Move, Stage::Up) => {
                if call.media.port + 2 < call.media.ports_base + PORTS_PER_CALL {
                    call.media.port += 2;
                }
                self.reinvite(now, index, Direction::SendRecv);
            }
            (Act::HangUp, Stage::Up) => self.hang_up(now, index),
            (Act::AnswerReinvite(tx, request), Stage::Up) => {
                self.answer_reinvite(now, index, tx, &request)
            }
            (Act::AnswerReinvite(tx, _), _) => {
                self.endpoint.respond(now, tx, ResponseDraft::new(481))
            }
            _ => {}
        }
    }

    pub(super) fn respond_in_dialog(
        &mut self,
        now: Instant,
        index: usize,
        tx: ServerTx,
        draft: ResponseDraft,
    ) {
        let tag = self.calls[index]
            .dialog
            .as_ref()
            .map(|dialog| dialog.id().local_tag.clone());
        let draft = draft
            .to_tag(&tag.unwrap_or_default())
            .header("Contact", self.contact());
        self.endpoint.respond(now, tx, draft);
    }

    pub(super) fn answer_invite(&mut self, now: Instant, index: usize, status: u16) {
        let Stage::Called { tx, request } = &self.calls[index].stage else {
            return;
        };
        let (tx, offer) = (*tx, request.body());
        let body = match offer.is_empty() {
            true => Some(
                self.calls[index]
                    .media
                    .offer(&self.place, Direction::SendRecv),
            ),
            false => self.answer_to(index, &offer, Direction::SendRecv),
        };
        let Some(body) = body else {
            self.calls[index].stage = Stage::Done;
            self.respond_in_dialog(now, index, tx, ResponseDraft::new(488));
            return;
        };
        if !offer.is_empty() {
            self.learn_media(now, index, &offer);
        }
        if status == 200 {
            self.calls[index].stage = Stage::Answered { tx };
            if let Some(dialog) = self.calls[index].dialog.as_mut() {
                dialog.confirm();
            }
        }
        self.respond_in_dialog(
            now,
            index,
            tx,
            ResponseDraft::new(status).body("application/sdp", body),
        );
    }

    pub(super) fn answer_reinvite(
        &mut self,
        now: Instant,
        index: usize,
        tx: ServerTx,
        request: &Request,
    ) {
        if let Some(status) = self.calls[index].within.refuses_reinvite {
            self.endpoint.respond(now, tx, ResponseDraft::new(status));
            return;
        }
        let offer = request.body();
        let body = match offer.is_empty() {
            true => Some(
                self.calls[index]
                    .media
                    .offer(&self.place, Direction::SendRecv),
            ),
            false => self.answer_to(index, &offer, Direction::SendRecv),
        };
        let Some(body) = body else {
            self.endpoint.respond(now, tx, ResponseDraft::new(488));
            return;
        };
        if !offer.is_empty() {
            self.learn_media(now, index, &offer);
        }
        self.calls[index].answering = Some(tx);
        self.respond_in_dialog(
            now,
            index,
            tx,
            ResponseDraft::new(200).body("application/sdp", body),
        );
    }

    pub(super) fn reinvite(&mut self, now: Instant, index: usize, direction: Direction) {
        let (contact, flow, sent_by) = (self.contact(), self.flow(), self.place.sip.to_string());
        let call = &mut self.calls[index];
        let is_answering = call
            .agenda
            .iter()
            .any(|(_, act)| matches!(act, Act::AnswerReinvite(..)));
        if call.reinvite.is_some() || call.answering.is_some() || is_answering {
            return;
        }
        call.media.version += 1;
        let body = call.media.offer(&self.place, direction);
        let Some(dialog) = call.dialog.as_mut() else {
            return;
        };
        let draft = dialog
            .request(Method::Invite)
            .header("Contact", contact)
            .body("application/sdp", body);
        call.reinvite = self.endpoint.request(now, flow, &sent_by, draft);
    }

    pub(super) fn hang_up(&mut self, now: Instant, index: usize) {
        let (flow, sent_by) = (self.flow(), self.place.sip.to_string());
        let call = &mut self.calls[index];
        call.agenda
            .retain(|(_, act)| matches!(act, Act::AnswerReinvite(..)));
        let Some(dialog) = call.dialog.as_mut() else {
            return;
        };
        let draft = dialog.request(Method::Bye);
        call.stage = match self.endpoint.request(now, flow, &sent_by, draft) {
            Some(tx) => Stage::Leaving { tx },
            None => Stage::Done,
        };
    }

    /// Our answer to an offer; None if there is no common codec.
    pub(super) fn answer_to(
        &mut self,
        index: usize,
        offer: &[u8],
        direction: Direction,
    ) -> Option<String> {
        let offer = self.read(offer)?;
        let media = &self.calls[index].media;
        let formats = sdp::common_formats(&offer.audio()?.formats, &media.codecs, true);
        let ours = OurOffer {
            formats: &formats,
            direction,
            ptime_ms: None,
            rtcp_mux: false,
        };
        (!formats.is_empty()).then(|| sdp::answer(&media.local(&self.place), &offer, &ours))
    }

    /// Takes the gateway's address from its description, and begins to talk to it.
    pub(super) fn learn_media(&mut self, now: Instant, index: usize, body: &[u8]) {
        let Some(description) = self.read(body) else {
            return;
        };
        let call = &mut self.calls[index];
        let Some(audio) = description.audio() else {
            return;
        };
        if call.media.gateway.is_some_and(|known| known != audio.rtp) {
            self.violations.push(format!(
                "the gateway moved its port within call {}",
                call.number
            ));
        }
        call.media.gateway = Some(audio.rtp);
        let payload_type = audio
            .formats
            .first()
            .map_or(0, |format| format.payload_type);
        match &mut call.media.talk {
            Some(talk) => talk.payload_type = payload_type,
            None if audio.direction.receives() => {
                let (speaker, seed) = (
                    call.media.speaker,
                    call.media.speaker.wrapping_mul(0x9e37_79b9) | 1,
                );
                call.media.talk = Some(Talk::begin(now, audio.rtp, payload_type, speaker, seed));
            }
            None => {}
        }
    }

    pub(super) fn read(&mut self, body: &[u8]) -> Option<Description> {
        let read = Description::parse(body);
        if let Err(error) = &read {
            self.violations
                .push(format!("a description that does not parse: {error}"));
        }
        read.ok()
    }
}

impl CallMedia {
    pub(super) fn local(&self, place: &Place) -> LocalMedia {
        let session_id = u64::from(self.speaker) + 1;
        LocalMedia {
            session_id,
            version: self.version,
            address: place.rtp,
            port: self.port,
            keys: OurKeys::default(),
        }
    }

    pub(super) fn offer(&self, place: &Place, direction: Direction) -> String {
        let formats = sdp::formats_for(&self.codecs, true);
        self.local(place).offer(&OurOffer {
            formats: &formats,
            direction,
            ptime_ms: Some(20),
            rtcp_mux: false,
        })
    }
}
