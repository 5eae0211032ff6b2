//! Requests within a dialog that are not re-INVITEs: BYE, OPTIONS, and what is refused; and the end of ours.

use super::cause::Cause;
use super::leg::{Leg, LegState};
use super::{ALLOW, Call, LegNo, Phase, SDP, Side};
use crate::control::context::{CallClient, ClientRole, Context};
use crate::control::extensions;
use crate::sip::endpoint::{ClientFailure, ClientTx, ServerTx};
use crate::sip::flow::Flow;
use crate::sip::message::{Method, Request, Response, ResponseDraft};
use std::time::Instant;

impl Call {
    /// The leg's peer has opened another connection: our requests go over that from now on, since nobody may be
    /// behind the old one.
    pub fn follow_stream(&mut self, no: LegNo, flow: Flow) {
        if let Some(leg) = self.leg_mut(no)
            && flow.protocol.is_reliable()
            && flow.transport == leg.path.flow.transport
        {
            leg.path.flow = flow;
        }
    }

    /// A request in one of the call's dialogs. Never ACK or CANCEL.
    pub fn on_request(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        let in_order = match self.leg_mut(no).and_then(|leg| leg.dialog_of(request)) {
            Some(dialog) => dialog.receive_request(request).is_ok(),
            None => false,
        };
        if !in_order {
            // RFC 3261 §12.2.2: a lower CSeq than one seen before.
            return ctx.sip.respond(now, tx, ResponseDraft::new(500));
        }
        if let Err(refusal) = self.speaks_as_required(no, request) {
            return ctx.sip.respond(now, tx, refusal);
        }
        match request.method() {
            Method::Bye => self.on_bye(ctx, now, no, tx, request),
            Method::Invite => self.on_reinvite(ctx, now, no, tx, request),
            Method::Options => {
                let response = ResponseDraft::new(200)
                    .header("Allow", ALLOW)
                    .header("Accept", SDP);
                ctx.sip.respond(now, tx, response);
            }
            Method::Update => self.on_update(ctx, now, no, tx, request),
            Method::Prack => self.on_prack(ctx, now, no, tx, request),
            Method::Info => self.on_info(ctx, now, no, tx, request),
            Method::Refer => self.on_refer(ctx, now, no, tx, request),
            Method::Notify => self.on_notify(ctx, now, no, tx, request),
            _ => {
                let response = ResponseDraft::new(405).header("Allow", ALLOW);
                ctx.sip.respond(now, tx, response);
            }
        }
        self.advance(ctx, now);
    }

    /// Whether we speak all that a request in a dialog requires. A BYE ends the call whatever it requires.
    ///
    /// # Errors
    /// 420 (RFC 3261 §8.2.2.3).
    fn speaks_as_required(&self, no: LegNo, request: &Request) -> Result<(), ResponseDraft> {
        match self.leg(no) {
            Some(leg) if *request.method() != Method::Bye => {
                extensions::check(request, self.setup.endpoint(leg.endpoint))
            }
            _ => Ok(()),
        }
    }

    fn on_bye(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        let cause = Cause::of_reason(request.headers()).unwrap_or(Cause::NORMAL);
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        // RFC 3261 §15: a callee ends no early dialog by BYE.
        if matches!(leg.state, LegState::Calling(_) | LegState::Cancelled { .. }) {
            return ctx.sip.respond(now, tx, ResponseDraft::new(481));
        }
        ctx.sip.respond(now, tx, ResponseDraft::new(200));
        match &leg.state {
            // A caller may end an early dialog by BYE (RFC 3261 §15.1.2: the INVITE gets 487).
            LegState::Asked(asked) => {
                let invite = asked.invite;
                let response = ResponseDraft::new(487).to_tag(&leg.tag);
                ctx.sip.respond(now, invite, response);
                ctx.servers.remove(invite);
                leg.state = LegState::Gone;
                return self.end_by_caller_cancel(ctx, now, request.headers());
            }
            LegState::Unacked { invite, .. } => {
                ctx.servers.remove(*invite);
            }
            // Both hung up at once: our BYE's response is still to come.
            LegState::Leaving => return,
            _ => {}
        }
        let is_beside = self.is_beside(no);
        if let Some(leg) = self.leg_mut(no) {
            leg.state = LegState::Gone;
        }
        if is_beside {
            return self.leave_beside(ctx, now, no);
        }
        if self.outlives(no) {
            return self.go_on_without(ctx, now, no, cause);
        }
        self.end_by_bye(ctx, now, no, cause);
    }

    /// The leg of a side; there is a callee only in a joined call.
    pub(super) fn side(&mut self, side: Side) -> Option<&mut Leg> {
        match (side, &self.phase) {
            (Side::Caller, _) => Some(&mut self.caller),
            (Side::Callee, Phase::Bridged { callee }) => {
                let callee = *callee;
                self.leg_mut(callee)
            }
            (Side::Callee, _) => None,
        }
    }

    /// Which side of a joined call a leg is on.
    pub(super) fn side_of(&self, no: LegNo) -> Option<Side> {
        match self.phase {
            Phase::Bridged { .. } if no == self.caller.no => Some(Side::Caller),
            Phase::Bridged { callee, .. } if no == callee => Some(Side::Callee),
            _ => None,
        }
    }

    /// A response to a request of the call's.
    pub fn on_response(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ClientTx,
        owner: CallClient,
        response: &Response,
    ) {
        let status = response.status();
        if self.answer_challenge(ctx, now, tx, owner, response)
            || self.raise_interval(ctx, now, tx, owner, response)
        {
            return;
        }
        if let Some(leg) = self.leg_mut(owner.leg).filter(|_| status >= 200) {
            leg.unanswered.take(tx);
        }
        match owner.role {
            ClientRole::Invite => self.on_invite_response(ctx, now, owner.leg, tx, response),
            ClientRole::Reinvite => self.on_reinvite_response(ctx, now, owner.leg, tx, response),
            ClientRole::Notify { is_last } if status >= 200 => {
                self.on_notified(ctx, now, owner.leg, tx, is_last);
            }
            ClientRole::Refresh => self.on_refresh_response(ctx, now, owner.leg, tx, response),
            ClientRole::Bye if status >= 200 => self.on_bye_done(ctx, owner.leg, tx),
            ClientRole::Info(asked) if status >= 200 => {
                ctx.clients.remove(tx);
                // What concerns our own request stays here, as with an INVITE.
                let status = match status {
                    401 | 407 => 403,
                    300..=399 => 500,
                    status => status,
                };
                ctx.sip.respond(now, asked, ResponseDraft::new(status));
            }
            ClientRole::Digit if status >= 200 => {
                ctx.clients.remove(tx);
                self.on_digit_told(ctx, now, owner.leg);
            }
            ClientRole::Refer if status >= 200 => self.on_refer_response(ctx, tx, Some(status)),
            ClientRole::Prack if status >= 200 => {
                self.on_prack_done(ctx, owner.leg, tx, Some(status))
            }
            ClientRole::ForkBye if status >= 200 => {
                ctx.clients.remove(tx);
            }
            ClientRole::Bye
            | ClientRole::ForkBye
            | ClientRole::Info(_)
            | ClientRole::Digit
            | ClientRole::Prack
            | ClientRole::Refer
            | ClientRole::Notify { .. } => {}
        }
        self.advance(ctx, now);
    }

    /// A request of the call's got no final response.
    pub fn on_failed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ClientTx,
        owner: CallClient,
        failure: ClientFailure,
    ) {
        ctx.clients.remove(tx);
        if let Some(leg) = self.leg_mut(owner.leg) {
            leg.unanswered.take(tx);
        }
        match owner.role {
            ClientRole::ForkBye => {}
            ClientRole::Invite => self.on_invite_failed(ctx, now, owner.leg, failure),
            ClientRole::Reinvite => self.on_reinvite_failed(ctx, now, owner.leg),
            ClientRole::Refresh => self.on_refresh_failed(ctx, now, owner.leg, tx),
            ClientRole::Bye => self.on_bye_done(ctx, owner.leg, tx),
            ClientRole::Prack => self.on_prack_done(ctx, owner.leg, tx, None),
            ClientRole::Refer => self.on_refer_response(ctx, tx, None),
            ClientRole::Notify { is_last } => self.on_notified(ctx, now, owner.leg, tx, is_last),
            ClientRole::Info(asked) => ctx.sip.respond(now, asked, ResponseDraft::new(408)),
            ClientRole::Digit => self.on_digit_told(ctx, now, owner.leg),
        }
        self.advance(ctx, now);
    }

    /// A leg's dialog is dead. That ends the call if it is one of those who talk; what was asked of a leg that has hung up
    /// meanwhile, or that stands beside the call, concerns nobody else.
    pub(super) fn end_by_dead_dialog(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        why: &'static str,
    ) {
        if self.is_beside(no) {
            self.leave_beside(ctx, now, no);
        } else if self.leg(no).is_some_and(|leg| !leg.has_left()) {
            self.end_by_us(ctx, now, Cause::TIMER, why);
        }
    }

    /// The peer has confirmed our BYE, or never will.
    fn on_bye_done(&mut self, ctx: &mut Context, no: LegNo, tx: ClientTx) {
        ctx.clients.remove(tx);
        if let Some(leg) = self.leg_mut(no) {
            leg.state = LegState::Gone;
        }
    }
}
