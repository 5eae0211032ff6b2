//! UPDATE (RFC 3311): a change of the session or its refresh, without a new INVITE.
//!
//! ```text
//!   no description                         200 at once
//!   early dialog, session described        answered at once; the far side hears of it when the call is answered
//!   early dialog, otherwise                500 with Retry-After, or 491 while our own offer waits for its answer
//!   call answered                          passed on as a re-INVITE is: by UPDATE if the far side takes it
//! ```

use super::Means;
use crate::control::call::leg::{Leg, LegState};
use crate::control::call::{Call, LegNo};
use crate::control::context::Context;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Headers, Request, ResponseDraft};
use std::time::Instant;

impl Call {
    /// An UPDATE in one of the leg's dialogs.
    pub(in crate::control::call) fn on_update(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        let key = self.key;
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        leg.note_allow(request.headers());
        let is_early = match leg.state {
            LegState::Asked(_) | LegState::Calling(_) => true,
            LegState::Up | LegState::Unacked { .. } => false,
            LegState::Cancelled { .. } | LegState::Leaving | LegState::Gone => {
                return ctx.sip.respond(now, tx, ResponseDraft::new(481));
            }
        };
        if !is_early && let Some(least) = leg.session.ask(request.headers()) {
            let response = ResponseDraft::new(422).header("Min-SE", least);
            return ctx.sip.respond(now, tx, response);
        }
        if request.body().is_empty() {
            let response = match leg.response(200) {
                response if is_early => response,
                response => leg.answer_session(ctx, now, key, response),
            };
            return ctx.sip.respond(now, tx, response);
        }
        if is_early {
            let response = self.answer_to_early_offer(ctx, no, request);
            return ctx.sip.respond(now, tx, response);
        }
        self.on_offer(ctx, now, no, tx, request, Means::Update);
    }
}

impl Leg {
    /// Takes note of the methods that the peer takes, if it says so.
    pub(in crate::control::call) fn note_allow(&mut self, headers: &Headers) {
        if headers.get("Allow").is_some() {
            self.takes_update = headers.lists("Allow", "UPDATE");
            self.refuses_info = !headers.lists("Allow", "INFO");
        }
    }
}
