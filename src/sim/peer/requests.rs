//! What a peer does with requests.

use super::{Act, Call, Peer, Stage};
use crate::sim::history::CalledPlan;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{ResponseDraft, Uri};
use crate::sip::{Method, Request};
use std::time::Instant;

impl Peer {
    pub(super) fn on_request(&mut self, now: Instant, tx: ServerTx, request: Request) {
        if request.headers().to_tag().is_none() {
            match request.method() {
                Method::Invite => self.on_invite(now, tx, request),
                Method::Options => self.endpoint.respond(now, tx, ResponseDraft::new(200)),
                _ => self.endpoint.respond(now, tx, ResponseDraft::new(481)),
            }
            return;
        }
        let found = self.find(|call| {
            call.dialog
                .as_ref()
                .is_some_and(|dialog| dialog.matches(&request))
        });
        let Some(index) = found else {
            self.endpoint.respond(now, tx, ResponseDraft::new(481));
            return;
        };
        let in_order = self.calls[index]
            .dialog
            .as_mut()
            .is_some_and(|dialog| dialog.receive_request(&request).is_ok());
        match request.method() {
            _ if !in_order => self.endpoint.respond(now, tx, ResponseDraft::new(500)),
            Method::Bye => {
                self.endpoint.respond(now, tx, ResponseDraft::new(200));
                self.calls[index].stage = Stage::Done;
                self.calls[index].agenda.clear();
            }
            Method::Invite => self.on_reinvite(now, index, tx, request),
            _ => self.endpoint.respond(now, tx, ResponseDraft::new(200)),
        }
    }

    pub(super) fn on_invite(&mut self, now: Instant, tx: ServerTx, request: Request) {
        let user = Uri::parse(request.uri())
            .and_then(|uri| uri.user)
            .unwrap_or_default();
        let number = user.get(3..).and_then(|digits| digits.parse::<u32>().ok());
        let Some((number, plan)) =
            number.and_then(|number| Some((number, self.plans.get(number as usize)?.clone())))
        else {
            self.violations.push(format!("an INVITE for {user}"));
            self.endpoint.respond(now, tx, ResponseDraft::new(404));
            return;
        };
        let CalledPlan {
            rings_after,
            early_after,
            answers,
            codecs,
            within,
        } = plan.called;
        let tag = self.endpoint.new_tag();
        let acts = [
            rings_after.map(|after| (now + after, Act::Ring)),
            early_after.map(|after| (now + after, Act::Early)),
            answers.map(|(after, status)| (now + after, Act::Answer(status))),
        ];
        let media = self.new_media(number, codecs);
        self.calls.push(Call {
            number,
            call_id: request.headers().call_id().to_owned(),
            dialog: Dialog::uas(&request, &tag),
            stage: Stage::Called { tx, request },
            media,
            within,
            agenda: acts.into_iter().flatten().collect(),
            reinvite: None,
            answering: None,
            is_dead: false,
        });
    }

    pub(super) fn on_reinvite(
        &mut self,
        now: Instant,
        index: usize,
        tx: ServerTx,
        request: Request,
    ) {
        let call = &mut self.calls[index];
        if call.reinvite.is_some() {
            self.endpoint.respond(now, tx, ResponseDraft::new(491));
            return;
        }
        let due = now + call.within.reinvite_takes;
        call.agenda
            .push((due, Act::AnswerReinvite(tx, Box::new(request))));
    }

    pub(super) fn on_ack(&mut self, now: Instant, tx: ServerTx, ack: &Request) {
        let Some(index) = self.find(|call| match &call.stage {
            Stage::Answered { tx: ours } => *ours == tx || call.answering == Some(tx),
            _ => call.answering == Some(tx),
        }) else {
            return;
        };
        if !ack.body().is_empty() {
            self.learn_media(now, index, &ack.body());
        }
        let call = &mut self.calls[index];
        call.answering = None;
        if matches!(call.stage, Stage::Answered { .. }) {
            self.come_up(now, index);
        }
    }

    pub(super) fn on_cancelled(&mut self, now: Instant, tx: ServerTx) {
        self.endpoint.respond(now, tx, ResponseDraft::new(487));
        for call in &mut self.calls {
            if matches!(&call.stage, Stage::Called { tx: ours, .. } if *ours == tx) {
                call.stage = Stage::Done;
                call.agenda.clear();
            }
            // A re-INVITE may be cancelled too; then only its answer is off.
            call.agenda
                .retain(|(_, act)| !matches!(act, Act::AnswerReinvite(ours, _) if *ours == tx));
        }
    }
}
