//! What a telephone does with responses.

use super::phone::Phone;
use super::session::{Session, Stage};
use super::{GATEWAY, KNOWN};
use crate::sdp::Description;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::ClientTx;
use crate::sip::message::{Method, Response, Uri};
use std::time::Instant;

const SDP: &str = "application/sdp";

impl Phone {
    pub(super) fn on_response(&mut self, now: Instant, tx: ClientTx, response: &Response) {
        let status = response.status();
        let method = response.headers().cseq().method;
        if method == Method::Register {
            if status == 401 && self.registered < 20 {
                let expires = if self.is_quiet { 0 } else { 60 };
                self.register(now, expires, Some(response));
            }
            return;
        }
        let calling = |session: &Session| matches!(session.stage, Stage::Calling(own) if own == tx);
        if let Some(place) = self.sessions.iter().position(calling) {
            return self.on_invite_response(now, place, tx, response);
        }
        let id = crate::sip::dialog::DialogId::of_response(response);
        let is_its = |session: &Session| {
            let dialog = session.dialog.as_ref();
            dialog.is_some_and(|dialog| *dialog.id() == id)
        };
        let Some(place) = self.sessions.iter().position(is_its) else {
            return;
        };
        if status < 200 {
            return;
        }
        if self.sessions[place].ours == Some(tx) {
            self.sessions[place].ours = None;
        }
        match (&method, status) {
            (Method::Bye, _) => self.sessions[place].stage = Stage::Done,
            (Method::Invite, 200..=299) => self.acknowledge(now, place, tx, response),
            (_, 408 | 481) if self.sessions[place].is_up() => self.hang_up(now, place),
            _ => {}
        }
    }

    fn on_invite_response(
        &mut self,
        now: Instant,
        place: usize,
        tx: ClientTx,
        response: &Response,
    ) {
        let status = response.status();
        match status {
            101..=199 => self.on_provisional(now, place, response),
            200..=299 => {
                self.learn_dialog(place, response);
                self.acknowledge(now, place, tx, response);
                self.come_up(now, place);
            }
            300.. => {
                let session = &mut self.sessions[place];
                session.stage = Stage::Done;
                let may_try = status == 401 && !session.has_authorized && self.index == KNOWN;
                if may_try && !self.is_quiet {
                    self.call_again(now, place, response);
                }
            }
            _ => {}
        }
    }

    fn learn_dialog(&mut self, place: usize, response: &Response) {
        let Some(uri) = Uri::parse(&format!("sip:{GATEWAY}")) else {
            return;
        };
        match &mut self.sessions[place].dialog {
            Some(dialog) => dialog.receive_response(response),
            none => *none = Dialog::uac(response, &uri),
        }
    }

    /// PRACK for those that want it; an answer in it if the response has the offer.
    fn on_provisional(&mut self, now: Instant, place: usize, response: &Response) {
        let headers = response.headers();
        let rseq = headers
            .get("RSeq")
            .and_then(|rseq| rseq.trim().parse::<u32>().ok());
        let Some(rseq) = rseq.filter(|_| headers.lists("Require", "100rel")) else {
            return;
        };
        if self.sessions[place]
            .rseq
            .is_some_and(|last| rseq != last + 1)
        {
            return;
        }
        if self.sessions[place].dialog.is_none() {
            self.learn_dialog(place, response);
        }
        self.sessions[place].rseq = Some(rseq);
        if self.chance(0.05) {
            return;
        }
        let body = self.late_answer(place, response);
        let rack = format!("{rseq} {} INVITE", headers.cseq().number);
        self.send(now, place, Method::Prack, |prack| {
            let prack = prack.header("RAck", rack);
            match body {
                Some(body) => prack.body(SDP, body),
                None => prack,
            }
        });
    }

    /// The answer that we owe, if the response to an INVITE without an offer brings one.
    fn late_answer(&mut self, place: usize, response: &Response) -> Option<String> {
        let body = response.body();
        if body.is_empty() {
            return None;
        }
        let parsed = Description::parse(&body);
        if let Err(error) = &parsed {
            let violation = format!("a description that does not parse: {error}");
            self.violations.push(violation);
        }
        if !std::mem::take(&mut self.sessions[place].owes_answer) {
            return None;
        }
        self.sessions[place].answer(&parsed.ok()?)
    }

    fn acknowledge(&mut self, now: Instant, place: usize, tx: ClientTx, response: &Response) {
        let is_first = matches!(self.sessions[place].stage, Stage::Calling(_));
        if !is_first {
            self.learn_dialog(place, response);
        }
        let body = self.late_answer(place, response);
        let (flow, own) = (self.flow(), self.address.to_string());
        let Some(dialog) = &self.sessions[place].dialog else {
            return;
        };
        let ack = dialog.ack(response);
        let ack = match body {
            Some(body) => ack.body(SDP, body),
            None => ack,
        };
        self.endpoint.ack(now, tx, flow, &own, ack);
    }

    pub(super) fn on_failed(&mut self, now: Instant, tx: ClientTx) {
        for place in 0..self.sessions.len() {
            let session = &mut self.sessions[place];
            match session.stage {
                Stage::Calling(own) if own == tx => session.stage = Stage::Done,
                Stage::Leaving => session.stage = Stage::Done,
                Stage::Up if session.ours == Some(tx) => {
                    session.ours = None;
                    self.hang_up(now, place);
                }
                _ => {}
            }
        }
    }
}
