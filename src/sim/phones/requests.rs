//! What a telephone does with requests.

use super::phone::{Phone, Todo};
use super::session::{Session, Stage};
use crate::sdp::{Description, Direction};
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Method, Request, ResponseDraft};
use std::time::Instant;

const SDP: &str = "application/sdp";

impl Phone {
    pub(super) fn on_request(&mut self, now: Instant, tx: ServerTx, request: &Request) {
        if request.headers().to_tag().is_none() {
            return match request.method() {
                Method::Invite => self.on_invite(now, tx, request),
                _ => self.endpoint.respond(now, tx, ResponseDraft::new(200)),
            };
        }
        let is_its = |session: &Session| {
            let dialog = session.dialog.as_ref();
            let is_over = matches!(session.stage, Stage::Done | Stage::Leaving);
            !is_over && dialog.is_some_and(|dialog| dialog.matches(request))
        };
        let Some(place) = self.sessions.iter().position(is_its) else {
            return self.endpoint.respond(now, tx, ResponseDraft::new(481));
        };
        let dialog = self.sessions[place].dialog.as_mut();
        if dialog.is_none_or(|dialog| dialog.receive_request(request).is_err()) {
            return self.endpoint.respond(now, tx, ResponseDraft::new(500));
        }
        match request.method() {
            Method::Bye => {
                self.sessions[place].stage = Stage::Done;
                self.endpoint.respond(now, tx, ResponseDraft::new(200));
            }
            Method::Invite => self.on_reinvite(now, place, tx, request),
            Method::Update => self.on_update(now, place, tx, request),
            Method::Refer => self.on_refer(now, place, tx),
            Method::Prack => {
                let body = self.answer_to(place, request);
                let response = with_body(ResponseDraft::new(200), body);
                self.endpoint.respond(now, tx, response);
            }
            _ => {
                let status = if self.chance(0.1) { 415 } else { 200 };
                self.endpoint.respond(now, tx, ResponseDraft::new(status));
            }
        }
    }

    /// Asks for credentials, of each session once.
    fn challenge(&mut self, now: Instant, place: usize, tx: ServerTx) -> bool {
        if self.sessions[place].has_challenged || !self.chance(0.1) {
            return false;
        }
        self.sessions[place].has_challenged = true;
        let value = format!(
            "Digest realm=\"p{}\", nonce=\"{}\"",
            self.index,
            self.rng.u32(..)
        );
        let response = ResponseDraft::new(407).header("Proxy-Authenticate", value);
        self.respond(now, place, tx, response);
        true
    }

    fn on_invite(&mut self, now: Instant, tx: ServerTx, request: &Request) {
        let place = self.sessions.len();
        let tag = self.endpoint.new_tag();
        let call_id = request.headers().call_id().to_owned();
        let was_challenged = self.sessions.iter().any(|known| known.call_id == call_id);
        let mut session = self.new_session(call_id, tag.clone());
        session.dialog = Dialog::uas(request, &tag);
        session.stage = Stage::Called;
        session.has_challenged = was_challenged;
        self.sessions.push(session);
        if self.is_quiet {
            self.sessions[place].stage = Stage::Done;
            return self.respond(now, place, tx, ResponseDraft::new(486));
        }
        if self.challenge(now, place, tx) {
            self.sessions[place].stage = Stage::Done;
            return;
        }
        self.sessions[place].asked = Some((tx, request.clone()));
        for _ in 0..self.rng.u8(0..4) {
            self.later(now, 1_500, Todo::Ring(place));
        }
        if self.chance(0.9) {
            self.later(now, 4_000, Todo::Answer(place));
        }
    }

    fn on_reinvite(&mut self, now: Instant, place: usize, tx: ServerTx, request: &Request) {
        if self.sessions[place].asked.is_some() {
            let violation = format!("two INVITEs at once in {}", self.sessions[place].call_id);
            self.violations.push(violation);
        }
        if self.sessions[place].ours.is_some() {
            return self.respond(now, place, tx, ResponseDraft::new(491));
        }
        if self.challenge(now, place, tx) {
            return;
        }
        self.sessions[place].asked = Some((tx, request.clone()));
        self.later(now, 1_500, Todo::Answer(place));
    }

    /// The final response to an INVITE that waits, the first or a later one.
    pub(super) fn answer(&mut self, now: Instant, place: usize) {
        let Some((tx, invite)) = self.sessions[place].asked.take() else {
            return;
        };
        let is_first = matches!(self.sessions[place].stage, Stage::Called);
        let refusals: &[u16] = if is_first {
            &[302, 302, 486, 480, 503, 603]
        } else {
            &[488, 491, 500]
        };
        if self.is_quiet || self.chance(if is_first { 0.3 } else { 0.15 }) {
            let status = refusals[self.rng.usize(0..refusals.len())];
            let response = ResponseDraft::new(status);
            let response = match status {
                302 => response.header("Contact", "<sip:11@192.0.2.1>"),
                _ => response,
            };
            self.endpoint
                .respond(now, tx, response.to_tag(&self.sessions[place].tag.clone()));
            if is_first {
                self.sessions[place].stage = Stage::Done;
            }
            return;
        }
        let body = match invite.body().is_empty() {
            true => Some(self.sessions[place].offer(Direction::SendRecv)),
            false => self.answer_to(place, &invite),
        };
        let response = with_body(ResponseDraft::new(200), body);
        let response = match invite.headers().get("Session-Expires").is_some() {
            true => self.with_timer(response),
            false => response,
        };
        self.respond(now, place, tx, response);
        if is_first {
            self.sessions[place].stage = Stage::Answered;
            if let Some(dialog) = &mut self.sessions[place].dialog {
                dialog.confirm();
            }
        }
    }

    fn with_timer(&mut self, response: ResponseDraft) -> ResponseDraft {
        match self.rng.u8(0..3) {
            0 => response.header("Session-Expires", "90;refresher=uac"),
            1 => response.header("Session-Expires", "90;refresher=uas"),
            _ => response,
        }
    }

    fn on_update(&mut self, now: Instant, place: usize, tx: ServerTx, request: &Request) {
        let has_offer = !request.body().is_empty();
        let session = &self.sessions[place];
        if has_offer && session.asked.is_some() && session.is_up() {
            let violation = format!("an offer while another waits in {}", session.call_id);
            self.violations.push(violation);
        }
        if has_offer && session.ours.is_some() {
            return self.respond(now, place, tx, ResponseDraft::new(491));
        }
        if self.challenge(now, place, tx) {
            return;
        }
        let body = self.answer_to(place, request);
        let response = with_body(ResponseDraft::new(200), body);
        let response = match request.headers().get("Session-Expires") {
            Some(expires) => response.header("Session-Expires", expires),
            None => response,
        };
        self.respond(now, place, tx, response);
    }

    fn on_refer(&mut self, now: Instant, place: usize, tx: ServerTx) {
        let status = if self.chance(0.8) { 202 } else { 603 };
        self.respond(now, place, tx, ResponseDraft::new(status));
        if status == 202 && self.chance(0.8) {
            self.later(now, 2_000, Todo::Notify(place));
        }
    }

    pub(super) fn on_ack(&mut self, now: Instant, _tx: ServerTx, ack: &Request) {
        let is_its = |session: &Session| {
            let waits = matches!(session.stage, Stage::Answered);
            let dialog = session.dialog.as_ref();
            waits && dialog.is_some_and(|dialog| dialog.matches(ack))
        };
        if let Some(place) = self.sessions.iter().position(is_its) {
            self.come_up(now, place);
        }
    }

    pub(super) fn on_ack_timeout(&mut self, now: Instant, _tx: ServerTx) {
        for place in 0..self.sessions.len() {
            if matches!(self.sessions[place].stage, Stage::Answered) {
                self.hang_up(now, place);
            }
        }
    }

    /// Our answer to the offer in a request; None if it has none, or none that is to be answered.
    pub(super) fn answer_to(&mut self, place: usize, request: &Request) -> Option<String> {
        let body = request.body();
        if body.is_empty() {
            return None;
        }
        match Description::parse(&body) {
            Ok(offer) => self.sessions[place].answer(&offer),
            Err(error) => {
                self.violations
                    .push(format!("a description that does not parse: {error}"));
                None
            }
        }
    }
}

fn with_body(response: ResponseDraft, body: Option<String>) -> ResponseDraft {
    match body {
        Some(body) => response.body(SDP, body),
        None => response,
    }
}
