//! What a peer does with responses to its requests.

use super::{Call, Peer, Stage};
use crate::sdp::Direction;
use crate::sip::Response;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::ClientTx;
use crate::sip::message::Uri;
use std::time::Instant;

impl Peer {
    pub(super) fn on_response(&mut self, now: Instant, tx: ClientTx, response: &Response) {
        let is_calling =
            |call: &Call| matches!(call.stage, Stage::Calling { tx: ours, .. } if ours == tx);
        let is_leaving =
            |call: &Call| matches!(call.stage, Stage::Leaving { tx: ours } if ours == tx);
        if let Some(index) = self.find(is_calling) {
            self.on_invite_response(now, index, tx, response);
        } else if let Some(index) = self.find(|call| call.reinvite == Some(tx)) {
            self.on_reinvite_response(now, index, tx, response);
        } else if response.status() >= 200
            && let Some(index) = self.find(is_leaving)
        {
            self.calls[index].stage = Stage::Done;
        }
    }

    pub(super) fn on_invite_response(
        &mut self,
        now: Instant,
        index: usize,
        tx: ClientTx,
        response: &Response,
    ) {
        match response.status() {
            100..200 => {
                if !response.body().is_empty() {
                    self.learn_media(now, index, &response.body());
                }
            }
            200..300 => self.on_answered(now, index, tx, response),
            _ => {
                self.calls[index].stage = Stage::Done;
                self.calls[index].agenda.clear();
            }
        }
    }

    pub(super) fn on_answered(
        &mut self,
        now: Instant,
        index: usize,
        tx: ClientTx,
        response: &Response,
    ) {
        let gateway = Uri::parse(&format!("sip:{}", self.place.gateway));
        let Some(dialog) = gateway.and_then(|uri| Dialog::uac(response, &uri)) else {
            return;
        };
        let mut ack = dialog.ack(response);
        let had_offered = !response.body().is_empty()
            && self.plans[self.calls[index].number as usize].caller.offers;
        if response.body().is_empty() {
            self.violations
                .push("a 200 to INVITE without a description".to_owned());
        } else if had_offered {
            self.learn_media(now, index, &response.body());
        } else {
            // The gateway offers; the answer goes with the ACK. No common codec: a last word, then BYE.
            match self.answer_to(index, &response.body(), Direction::SendRecv) {
                Some(answer) => ack = ack.body("application/sdp", answer),
                None => self.calls[index].within.hangs_up_after = Some(std::time::Duration::ZERO),
            }
            self.learn_media(now, index, &response.body());
        }
        let sent_by = self.place.sip.to_string();
        self.endpoint.ack(now, tx, self.flow(), &sent_by, ack);
        let was_cancelled = matches!(
            self.calls[index].stage,
            Stage::Calling {
                cancelled: true,
                ..
            }
        );
        self.calls[index].dialog = Some(dialog);
        if was_cancelled {
            self.hang_up(now, index);
        } else {
            self.come_up(now, index);
        }
    }

    pub(super) fn on_reinvite_response(
        &mut self,
        now: Instant,
        index: usize,
        tx: ClientTx,
        response: &Response,
    ) {
        if response.status() < 200 {
            return;
        }
        self.calls[index].reinvite = None;
        if response.status() < 300 {
            let flow = self.flow();
            let sent_by = self.place.sip.to_string();
            if let Some(dialog) = self.calls[index].dialog.as_ref() {
                self.endpoint
                    .ack(now, tx, flow, &sent_by, dialog.ack(response));
            }
            self.learn_media(now, index, &response.body());
        } else if matches!(response.status(), 408 | 481)
            && matches!(self.calls[index].stage, Stage::Up)
        {
            self.hang_up(now, index);
        }
    }

    pub(super) fn on_failed(&mut self, now: Instant, tx: ClientTx) {
        for index in 0..self.calls.len() {
            let call = &mut self.calls[index];
            match call.stage {
                Stage::Calling { tx: ours, .. } | Stage::Leaving { tx: ours } if ours == tx => {
                    call.stage = Stage::Done
                }
                Stage::Up if call.reinvite == Some(tx) => {
                    call.reinvite = None;
                    self.hang_up(now, index);
                }
                _ => {}
            }
        }
    }
}
