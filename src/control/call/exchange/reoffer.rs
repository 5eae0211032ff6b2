//! re-INVITE, and UPDATE with an offer: what one side asks for is asked of the other, and its answer goes back (hold, codecs, a new address).
//!
//! ```text
//!  caller                 call                  callee
//!    │ INVITE (offer) ─────►│ Passing              │
//!    │                      │ INVITE (offer) ─────►│
//!    │                      │◄───── 200 (answer)   │    a failure is passed back, and all stays as it was
//!    │◄────── 200 (answer)  │ ACK ────────────────►│
//!    │ ACK ────────────────►│ Idle                 │
//! ```
//!
//! One exchange runs at a time; a re-INVITE that meets another gets 491 (RFC 3261 §14.2), and so do both sides when
//! theirs cross. The call itself asks again only where the two sides have come apart (`settle`).

use super::{Asking, Exchange, Means, OurAsk, REINVITE_MAX, Reinvite};
use crate::control::call::cause::Cause;
use crate::control::call::leg::{Leg, LegState};
use crate::control::call::media::negotiation;
use crate::control::call::media::{AudioTerms, LegMedia, Offered, renumbered};
use crate::control::call::{Call, LegNo, Phase, RETRY_AFTER_S, SDP, Side};
use crate::control::context::{CallTimer, ClientRole, Context, ServerOwner, Timer};
use crate::sdp::{Description, Direction, Format};
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::message::{Method, Request, Response, ResponseDraft};
use std::time::Instant;

impl Call {
    /// A re-INVITE.
    pub(in crate::control::call) fn on_reinvite(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        if let Some(leg) = self.leg_mut(no) {
            leg.note_allow(request.headers());
            if let Some(least) = leg.session.ask(request.headers()) {
                let response = ResponseDraft::new(422).header("Min-SE", least);
                return ctx.sip.respond(now, tx, response);
            }
        }
        self.on_offer(ctx, now, no, tx, request, Means::Invite);
    }

    /// A re-INVITE, or an UPDATE with a body, in an answered call.
    pub(super) fn on_offer(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
        means: Means,
    ) {
        if let Some(refusal) = self.refusal_of_reinvite(no, request) {
            return ctx.sip.respond(now, tx, refusal);
        }
        if let Exchange::Waiting { timer } = self.exchange {
            ctx.timers.cancel(timer);
            self.exchange = Exchange::Idle;
        }
        if request.body().is_empty() {
            return self.offer_in_200(ctx, now, no, tx);
        }
        let media = self.leg(no).and_then(Leg::media);
        let Some(offer) = offer_of(request, media) else {
            return ctx.sip.respond(now, tx, ResponseDraft::new(488));
        };
        let is_known = media.is_some_and(|media| media.remote() == Some(&offer));
        if is_known {
            // RFC 3264 §8: nothing has changed, as in a refresh (RFC 4028 §7.4). The far side need not hear of it.
            return self.answer_alone(ctx, now, no, (tx, means), &offer);
        }
        let asking = |from| Asking {
            from,
            invite: tx,
            means,
            offer: offer.clone(),
        };
        match self.side_of(no).map(asking) {
            Some(asking) => self.pass_offer(ctx, now, asking),
            None => self.answer_alone(ctx, now, no, (tx, means), &offer),
        }
    }

    fn refusal_of_reinvite(&self, no: LegNo, request: &Request) -> Option<ResponseDraft> {
        let state = self.leg(no).map(|leg| &leg.state);
        let later = || ResponseDraft::new(500).header("Retry-After", RETRY_AFTER_S);
        match (state, &self.exchange) {
            (Some(LegState::Up), Exchange::Idle | Exchange::Waiting { .. }) => {}
            // RFC 3261 §14.2: a second INVITE before the first has its final response.
            (Some(LegState::Asked(_)), _) => return Some(later()),
            (Some(LegState::Up), Exchange::Passing { asking, .. })
                if self.side_of(no) == Some(asking.from) =>
            {
                return Some(later());
            }
            (Some(LegState::Up | LegState::Unacked { .. }), _) => {
                return Some(ResponseDraft::new(491));
            }
            _ => return Some(ResponseDraft::new(481)),
        }
        let content = request.headers().get("Content-Type").unwrap_or(SDP);
        let essence = content.split(';').next().unwrap_or("").trim();
        if !request.body().is_empty() && !essence.eq_ignore_ascii_case(SDP) {
            return Some(ResponseDraft::new(415).header("Accept", SDP));
        }
        None
    }

    /// The answer to a side that is joined with nobody (it hears an echo, or waits).
    fn answer_alone(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        (tx, means): (ServerTx, Means),
        offer: &Description,
    ) {
        let key = self.key;
        let formats = self.formats_to_answer(no, offer, None);
        let alone = Offered::audio(formats, Direction::SendRecv, None);
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let answered = leg.media_mut().and_then(|media| {
            let terms = match media.our_terms() {
                Some(ours) if media.remote() == Some(offer) => ours,
                _ => {
                    media.aim(None);
                    alone
                }
            };
            media.answer(offer, terms).ok()
        });
        let Some(body) = answered else {
            return ctx.sip.respond(now, tx, ResponseDraft::new(488));
        };
        let response = leg.response(200).body(SDP, body);
        let response = leg.answer_session(ctx, now, key, response);
        match means {
            Means::Invite => self.accept_reinvite(ctx, now, no, tx, response),
            Means::Update => ctx.sip.respond(now, tx, response),
        }
        self.join(ctx);
    }

    pub(super) fn accept_reinvite(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        leg: LegNo,
        tx: ServerTx,
        response: ResponseDraft,
    ) {
        let call = self.key;
        ctx.servers.insert(tx, ServerOwner { call, leg });
        ctx.sip.respond(now, tx, response);
    }

    /// Formats of a peer's offer that its endpoint may use.
    pub(super) fn usable(&self, no: LegNo, offer: &Description) -> Vec<Format> {
        let (Some(leg), Some(audio)) = (self.leg(no), offer.audio()) else {
            return Vec::new();
        };
        let endpoint = self.setup.endpoint(leg.endpoint);
        negotiation::usable(&audio.formats, endpoint)
    }

    /// What is answered to a leg's offer, where its far side can use this.
    pub(super) fn formats_to_answer(
        &self,
        no: LegNo,
        offer: &Description,
        far: Option<&[Format]>,
    ) -> Vec<Format> {
        let Some(leg) = self.leg(no) else {
            return Vec::new();
        };
        let endpoint = self.setup.endpoint(leg.endpoint);
        negotiation::answer(&self.usable(no, offer), far, endpoint)
    }

    /// What an answered leg is offered, where its far side can use this.
    pub(super) fn formats_to_offer(
        &self,
        no: LegNo,
        media: &LegMedia,
        far: &[Format],
    ) -> Vec<Format> {
        let Some(leg) = self.leg(no) else {
            return Vec::new();
        };
        let endpoint = self.setup.endpoint(leg.endpoint);
        negotiation::later_offer(far, endpoint, media.formats())
    }

    pub(in crate::control::call) fn media_of(&self, no: LegNo) -> Option<&LegMedia> {
        self.leg(no).and_then(Leg::media)
    }

    /// 200 with what is agreed already as our offer.
    fn offer_in_200(&mut self, ctx: &mut Context, now: Instant, no: LegNo, tx: ServerTx) {
        let key = self.key;
        let direction = self
            .side_of(no)
            .and_then(|side| self.side(side.other()))
            .and_then(|far| far.media().map(LegMedia::peer_direction))
            .map_or(Direction::SendRecv, negotiation::told_direction);
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let Some(media) = leg.media_mut() else {
            return ctx.sip.respond(now, tx, ResponseDraft::new(488));
        };
        if media.formats().is_empty() {
            // A fax goes on.
            return ctx.sip.respond(now, tx, ResponseDraft::new(488));
        }
        let offered = Offered::audio(media.formats().to_vec(), direction, None);
        media.aim(None);
        let body = media.offer(&offered);
        let response = leg.response(200).body(SDP, body);
        let response = leg.answer_session(ctx, now, key, response);
        self.accept_reinvite(ctx, now, no, tx, response);
        self.exchange = Exchange::Offering {
            invite: tx,
            offered,
        };
    }

    pub(in crate::control::call) fn number_of(&self, side: Side) -> LegNo {
        match (side, &self.phase) {
            (Side::Callee, Phase::Bridged { callee }) => *callee,
            _ => self.caller.no,
        }
    }

    /// Sends a re-INVITE. The error is the status for whoever asked for it.
    pub(super) fn reinvite(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        to: Side,
        offered: Offered,
    ) -> Result<Reinvite, u16> {
        let asked = OurAsk {
            to,
            means: Means::Invite,
            patience: REINVITE_MAX,
        };
        self.ask(ctx, now, &asked, offered)
    }

    /// Makes an offer to one side. The error is the status for whoever asked for it.
    pub(super) fn ask(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        asked: &OurAsk,
        offered: Offered,
    ) -> Result<Reinvite, u16> {
        let OurAsk {
            to,
            means,
            patience,
        } = *asked;
        let key = self.key;
        let leg = self.side(to).ok_or(481u16)?;
        match leg.state {
            LegState::Up => {}
            // Its ACK, or the PRACK that our 200 waits for, is still to come.
            LegState::Unacked { .. } | LegState::Asked(_) => return Err(491),
            _ => return Err(481),
        }
        let media = leg.media_mut().ok_or(488u16)?;
        let offered = match offered {
            Offered::Audio(terms) if terms.formats.is_empty() => return Err(488),
            Offered::Audio(terms) => Offered::Audio(AudioTerms {
                formats: renumbered(terms.formats, media),
                ..terms
            }),
            fax => fax,
        };
        let body = media.offer(&offered);
        let contact = leg.contact();
        let request = leg
            .request(means.method())
            .ok_or(481u16)?
            .header("Contact", contact)
            .header("Allow", crate::control::call::ALLOW);
        let request = leg.with_session(request).body(SDP, body);
        let tx = leg
            .send(ctx, now, key, ClientRole::Reinvite, request)
            .ok_or(500u16)?;
        let timer = Timer::Call(key, CallTimer::ReinviteOverdue);
        Ok(Reinvite {
            means,
            to,
            tx,
            offered,
            guard: ctx.timers.arm(now, now + patience, timer),
        })
    }

    /// A response to a re-INVITE of ours.
    pub(in crate::control::call) fn on_reinvite_response(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ClientTx,
        response: &Response,
    ) {
        let key = self.key;
        let status = response.status();
        if status < 200 {
            return;
        }
        if status < 300
            && let Some(leg) = self.leg_mut(no)
        {
            if let Some(dialog) = &mut leg.dialog {
                dialog.receive_response(response);
            }
            leg.note_allow(response.headers());
            leg.refreshed(ctx, now, key, response);
            if response.headers().cseq().method == Method::Invite {
                leg.acknowledge(ctx, now, tx, response);
            }
        }
        ctx.clients.remove(tx);
        match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Passing { asking, passed } if passed.tx == tx => {
                ctx.timers.cancel(passed.guard);
                self.on_passed(ctx, now, asking, &passed.offered, response);
            }
            Exchange::Withdrawn { passed } if passed.tx == tx => {
                if status < 300 {
                    // Its session has changed for somebody who no longer wants it: it is asked back.
                    self.accept_own(ctx, now, &passed, response);
                    if let (None, Some(media)) = (self.partner(), self.caller.media_mut()) {
                        media.part();
                    }
                    self.settle(ctx, now, passed.to.other());
                }
            }
            Exchange::Own { passed } if passed.tx == tx => {
                ctx.timers.cancel(passed.guard);
                match status {
                    200..=299 => {
                        self.accept_own(ctx, now, &passed, response);
                        self.settle_renewed(ctx, now);
                    }
                    491 => self.retry_later(ctx, now, passed.to),
                    408 | 481 => {
                        self.end_by_us(ctx, now, Cause::TIMER, "a re-INVITE found no dialog")
                    }
                    _ => {
                        tracing::warn!(
                            call = self.id,
                            status,
                            "a side refuses to change its session"
                        );
                        self.on_way_refused(ctx, now, passed.to);
                    }
                }
            }
            other => self.exchange = other,
        }
    }

    /// The answer to our own re-INVITE.
    fn accept_own(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        passed: &Reinvite,
        response: &Response,
    ) {
        let accepted = self.side(passed.to).and_then(|leg| {
            let answer = Description::parse(&response.body()).ok()?;
            leg.media_mut()?.accept_answer(&passed.offered, answer).ok()
        });
        match accepted {
            Some(()) if self.is_unmixable() => {
                let why = "a member of a room has no codec that is mixed";
                self.end_by_us(ctx, now, Cause::NO_CODEC, why);
            }
            Some(()) => self.join(ctx),
            None => self.end_by_us(
                ctx,
                now,
                Cause::NO_CODEC,
                "the answer to a re-INVITE is of no use",
            ),
        }
    }

    /// A re-INVITE of ours got no answer at all: that dialog is dead (RFC 3261 §14.1).
    pub(in crate::control::call) fn on_reinvite_failed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
    ) {
        self.end_by_dead_dialog(ctx, now, no, "a re-INVITE was not answered");
    }

    /// The ACK of our 200 to a re-INVITE.
    pub(in crate::control::call) fn on_reoffer_ack(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        ack: &Request,
    ) {
        let offered = match &self.exchange {
            Exchange::Offering { invite, offered } if *invite == tx => offered.clone(),
            _ => return self.settle_direct(ctx, now),
        };
        self.exchange = Exchange::Idle;
        let accepted = self.leg_mut(no).and_then(|leg| {
            let answer = Description::parse(&ack.body()).ok()?;
            leg.media_mut()?.accept_answer(&offered, answer).ok()
        });
        if accepted.is_none() {
            return self.end_by_us(ctx, now, Cause::NO_CODEC, "an ACK brought no usable answer");
        }
        self.join(ctx);
        if let Some(side) = self.side_of(no) {
            self.settle(ctx, now, side);
        }
    }

    /// A re-INVITE is cancelled.
    pub(in crate::control::call) fn on_reoffer_cancelled(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ServerTx,
    ) {
        if matches!(&self.exchange, Exchange::Passing { asking, .. } if asking.invite == tx) {
            self.withdraw(ctx, now, 487);
        }
    }

    /// A side takes too long over our re-INVITE.
    pub(in crate::control::call) fn on_reinvite_overdue(
        &mut self,
        ctx: &mut Context,
        now: Instant,
    ) {
        tracing::warn!(
            call = self.id,
            "a re-INVITE has no final response and is cancelled"
        );
        self.withdraw(ctx, now, 408);
    }

    /// Cancels our re-INVITE; who waits for its answer is told `status`. The final response, or its absence, comes
    /// through [`Call::on_reinvite_response`] and [`Call::on_reinvite_failed`].
    fn withdraw(&mut self, ctx: &mut Context, now: Instant, status: u16) {
        self.exchange = match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Passing { asking, passed } => {
                ctx.sip
                    .respond(now, asking.invite, ResponseDraft::new(status));
                ctx.servers.remove(asking.invite);
                self.keep_aims();
                passed.cancel(ctx, now)
            }
            Exchange::Own { passed } => passed.cancel(ctx, now),
            Exchange::Refreshing { tx, guard, .. } => {
                ctx.timers.cancel(guard);
                ctx.sip.cancel(now, tx, None);
                Exchange::Idle
            }
            other => other,
        };
    }

    /// The call ends: whoever waits for an answer gets 487 (RFC 3261 §15.1.2), and our own question is withdrawn.
    pub(in crate::control::call) fn stop_exchange(&mut self, ctx: &mut Context, now: Instant) {
        if let Exchange::Waiting { timer } = self.exchange {
            ctx.timers.cancel(timer);
        }
        self.withdraw(ctx, now, 487);
        self.exchange = Exchange::Idle;
    }

    /// The callee has hung up, and the caller stays: what the callee was asked or has asked is over. The caller may have agreed
    /// to a question of ours before it hears that we withdraw it, or may still be to answer one in its ACK.
    pub(in crate::control::call) fn stop_exchange_of_callee(
        &mut self,
        ctx: &mut Context,
        now: Instant,
    ) {
        if let Exchange::Waiting { timer } = self.exchange {
            ctx.timers.cancel(timer);
        }
        self.withdraw(ctx, now, 487);
        let is_callers = match &self.exchange {
            Exchange::Withdrawn { passed } => passed.to == Side::Caller,
            Exchange::Offering { invite, .. } => {
                let owner = ctx.servers.get(*invite);
                owner.is_some_and(|owner| owner.leg == self.caller.no)
            }
            _ => false,
        };
        if !is_callers {
            self.exchange = Exchange::Idle;
        }
    }
}

/// The offer in a request for this media. None if its body is none that can be used.
pub(super) fn offer_of(request: &Request, media: Option<&LegMedia>) -> Option<Description> {
    let mut offer = Description::parse(&request.body()).ok()?;
    if let Some(media) = media {
        media.keep_audio_of(&mut offer);
    }
    (offer.audio().is_some() || offer.fax().is_some()).then_some(offer)
}
