//! An outbound leg until it is up: its INVITE, what comes back, and its end.

use super::branch::{Candidate, Outcome};
use crate::control::call::cause::{Cause, Failure};
use crate::control::call::digits::OwnInfo;
use crate::control::call::exchange::reliable::{EARLY_DIALOGS_MAX, Provisions};
use crate::control::call::exchange::session::SessionTimer;
use crate::control::call::leg::{Calling, Leg, LegState, MediaState};
use crate::control::call::media::encryption::Secrecy;
use crate::control::call::media::negotiation;
use crate::control::call::media::{LegMedia, Offered};
use crate::control::call::unanswered::Unanswered;
use crate::control::call::{ALLOW, Call, LEGS_MAX, LegNo, Phase, SDP, identity};
use crate::control::context::{CallTimer, ClientRole, Context, Timer};
use crate::control::extensions;
use crate::control::locate::path::Path;
use crate::control::outside::credentials::KnownChallenges;
use crate::metrics::Direction;
use crate::sdp::Description;
use crate::sip::endpoint::{ClientFailure, ClientTx};
use crate::sip::flow::Flow;
use crate::sip::message::{Method, Request, RequestDraft, Response, Uri};
use std::time::{Duration, Instant};

/// How long a cancelled INVITE may go without a final response (64*T1, RFC 3261 §9.1), and a little more for the
/// endpoint's own timers to run first.
pub const CANCEL_WAIT: Duration = Duration::from_secs(34);

impl Call {
    /// Asks a callee.
    ///
    /// # Errors
    /// Why it could not be asked; nothing was sent and nothing is held.
    pub(super) fn invite(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        candidate: &Candidate,
        flow: Flow,
    ) -> Result<LegNo, Failure> {
        let endpoint = candidate.endpoint;
        let congestion = Failure::of_cause(Cause::CONGESTION);
        if self.legs_begun >= LEGS_MAX {
            tracing::warn!(call = self.id, "the call has begun too many legs");
            return Err(congestion);
        }
        let callee = self.setup.endpoint(endpoint);
        let formats = negotiation::first_offer(&self.caller_formats(), callee);
        let formats = self.mixed_alone(formats);
        if formats.is_empty() {
            return Err(Failure::of_cause(Cause::NO_CODEC));
        }
        let offered = Offered::audio(formats, self.caller_direction(), self.caller_ptime());
        let settings = self.setup.settings();
        let path = Path::new(settings, &*ctx.surroundings, flow)
            .ok_or(Failure::of_cause(Cause::NO_ROUTE))?;
        let secrecy = Secrecy::of(callee, &path);
        if secrecy == Secrecy::Impossible {
            tracing::warn!(call = self.id, endpoint = callee.name, peer = %flow.peer, "media is to be encrypted, and SIP is not");
            return Err(Failure::of_cause(Cause::NO_CODEC));
        }
        let worker = self
            .caller
            .media()
            .map(LegMedia::worker)
            .ok_or(congestion)?;
        if let Err(over) = ctx.load.admit(now, callee, &ctx.metrics) {
            tracing::info!(
                call = self.id,
                endpoint = callee.name,
                ?over,
                "endpoint is over its limit"
            );
            return Err(congestion);
        }
        self.legs_begun += 1;
        let no = LegNo(self.legs_begun);
        let media = match LegMedia::open(ctx, now, worker, (self.key, no), (&path, callee)) {
            Ok(media) => media,
            Err(error) => {
                tracing::error!(call = self.id, %error, "no RTP port for the callee");
                ctx.load.release(&self.setup.endpoint(endpoint).name);
                return Err(congestion);
            }
        };
        let leg = self.new_callee(ctx, now, no, candidate, path, media);
        leg.count_begin(ctx, &self.setup);
        self.callees.push(leg);
        self.send_invite(ctx, now, candidate, offered)
    }

    fn new_callee(
        &self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        candidate: &Candidate,
        path: Path,
        media: LegMedia,
    ) -> Leg {
        let endpoint = candidate.endpoint;
        let forwarded = candidate.forwarded.as_deref();
        let facts = forwarded.map_or(&self.facts, |forwarded| &forwarded.facts);
        Leg {
            no,
            endpoint,

            tag: ctx.tag(self.key, no),
            contact_user: identity::contact_user(&self.setup, endpoint, facts),
            path,
            dialog: None,
            media: MediaState::Open(Box::new(media)),
            monitors: Vec::new(),
            state: LegState::Gone,
            invite: None,
            reliable: None,
            early: Vec::new(),
            takes_update: false,
            refuses_info: false,
            own_info: OwnInfo::default(),
            session: SessionTimer::new(self.setup.endpoint(endpoint)),
            began: now,
            answered: None,
            is_located: candidate.is_located,
            follows_contact: !self.setup.endpoint(endpoint).rewrite_contact,
            unanswered: Unanswered::default(),
            challenges: KnownChallenges::default(),
            credentials: Vec::new(),
            is_counted: false,
            direction: Direction::Out,
        }
    }

    /// True if this INVITE from outside is one of ours that waits for its answer: somebody sends it back to us. With
    /// another number it has been forwarded, and may come (a spiral, RFC 3261 §6); with the same one it would go in
    /// circles.
    pub fn has_sent(&self, invite: &Request) -> bool {
        let headers = invite.headers();
        let number = |uri: &str| Uri::parse(uri).and_then(|uri| uri.user_decoded());
        let is_it = |leg: &Leg| {
            let Some(sent) = leg.unanswered.invite() else {
                return false;
            };
            headers.from_tag() == Some(&leg.tag)
                && sent.get_header("Call-ID") == Some(headers.call_id())
                && number(&sent.uri) == number(invite.uri())
        };
        self.callees.iter().any(is_it)
    }

    /// Sends the INVITE of the leg begun last.
    fn send_invite(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        candidate: &Candidate,
        offered: Offered,
    ) -> Result<LegNo, Failure> {
        let uri = &candidate.uri;
        let prepared = self.prepared(ctx, candidate);
        let (facts, added) = match (&prepared, candidate.forwarded.as_deref()) {
            (Some((facts, added)), _) => (facts, added),
            (None, Some(forwarded)) => (&forwarded.facts, &forwarded.added),
            (None, None) => (&self.facts, &self.added),
        };
        let call_id = ctx.sip.new_call_id();
        let max_forwards = self.max_forwards;
        let key = self.key;
        let leg = self.callees.last_mut().expect("pushed by the caller");
        let shown = identity::shown(&self.setup, leg.endpoint, facts, &leg.path, uri);
        let offer = |media: &mut LegMedia| media.offer(&offered);
        let body = leg.media_mut().map(offer).unwrap_or_default();
        let endpoint = self.setup.endpoint(leg.endpoint);
        let route = candidate.route(&ctx.registrations, &endpoint.name);
        let request_uri = identity::request_uri(uri);
        let request = RequestDraft::new(Method::Invite, request_uri.as_str());
        let request = route
            .iter()
            .fold(request, |request, route| request.header("Route", route))
            .header("Max-Forwards", max_forwards)
            .header("From", format_args!("{};tag={}", shown.from, leg.tag))
            .header("To", format_args!("<{request_uri}>"))
            .header("Call-ID", &call_id)
            .header("CSeq", "1 INVITE")
            .header("Contact", leg.contact())
            .header("Allow", ALLOW)
            .body(SDP, body);
        let request = added.put_on(shown.put_on(extensions::asked(request, endpoint)));
        match leg.send(ctx, now, key, ClientRole::Invite, request) {
            Some(invite) => {
                leg.invite = Some(invite);
                leg.state = LegState::Calling(Calling {
                    invite,
                    uri: uri.clone(),
                    offered,
                    heard: false,
                    tags: Vec::new(),
                });
                Ok(leg.no)
            }
            None => {
                let no = leg.no;
                self.callee_gone(ctx, no);
                self.callee_over(ctx, now, no, Some(503));
                Err(Failure::of_cause(Cause::CONGESTION))
            }
        }
    }

    pub(in crate::control::call) fn caller_ptime(&self) -> Option<u32> {
        let remote = match &self.caller.state {
            LegState::Asked(asked) => asked.offer.as_ref(),
            _ => self.caller.media().and_then(LegMedia::remote),
        };
        remote?.audio()?.ptime_ms
    }

    /// A response to a callee's INVITE.
    pub(in crate::control::call) fn on_invite_response(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ClientTx,
        response: &Response,
    ) {
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        ctx.outages.heard(now, leg.path.flow, response);
        match (response.status(), &mut leg.state) {
            (200..=299, LegState::Calling(_) | LegState::Cancelled { .. }) => {
                self.on_callee_2xx(ctx, now, no, tx, response);
            }
            (200..=299, _) => self.on_second_2xx(ctx, now, no, tx, response),
            (100..=199, LegState::Calling(calling)) => {
                calling.heard = true;
                self.on_callee_1xx(ctx, now, no, response);
            }
            (300..=699, LegState::Calling(calling)) => {
                let asked = calling.uri.clone();
                let reason = Cause::of_reason(response.headers());
                let failure = Failure::of_response(response.status(), reason);
                tracing::debug!(
                    call = self.id,
                    leg = no.0,
                    status = response.status(),
                    "callee refuses"
                );
                self.callee_gone(ctx, no);
                self.callee_over(ctx, now, no, Some(response.status()));
                ctx.clients.remove(tx);
                self.note_unavailable(ctx, now, no, &asked, response);
                let outcome = Outcome::Response(response.status());
                if let Err(circle) = self.follow(ctx, now, no, &asked, response) {
                    let failure = circle.unwrap_or(failure);
                    self.on_callee_failed(ctx, now, no, outcome, failure);
                }
            }
            (300..=699, LegState::Cancelled { guard, .. }) => {
                ctx.timers.cancel(*guard);
                ctx.clients.remove(tx);
                self.callee_gone(ctx, no);
            }
            _ => {}
        }
    }

    fn on_callee_1xx(&mut self, ctx: &mut Context, now: Instant, no: LegNo, response: &Response) {
        if response.status() == 100 {
            return;
        }
        self.stay_with(no);
        if let Some(LegState::Calling(calling)) = self.leg_mut(no).map(|leg| &mut leg.state) {
            calling.note_tag(response);
        }
        let provisions = self.acknowledge_provisional(ctx, now, no, response);
        let body = match provisions {
            Provisions::Known => return,
            Provisions::New { is_answered: true } => Default::default(),
            Provisions::New { is_answered: false } | Provisions::Plain => response.body(),
        };
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let LegState::Calling(Calling { offered, .. }) = &leg.state else {
            return;
        };
        let offered = offered.clone();
        let has_answer = match (Description::parse(&body), leg.media_mut()) {
            (Ok(answer), Some(media)) if !body.is_empty() => {
                media.accept_answer(&offered, answer).is_ok()
            }
            _ => false,
        };
        if has_answer && matches!(provisions, Provisions::New { .. }) {
            self.note_early_answer(no, response);
        }
        if has_answer {
            self.on_callee_progress(ctx, now, no);
        } else {
            self.on_callee_rings(ctx, now);
        }
    }

    /// The callee's 2xx: it is acknowledged whatever becomes of it.
    fn on_callee_2xx(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ClientTx,
        response: &Response,
    ) {
        let is_wanted = matches!(self.phase, Phase::Dialling(_));
        let key = self.key;
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let (calling, is_cancelled) = match std::mem::replace(&mut leg.state, LegState::Up) {
            LegState::Calling(calling) => (calling, false),
            LegState::Cancelled { guard, calling } => {
                ctx.timers.cancel(guard);
                (calling, true)
            }
            other => {
                leg.state = other;
                return;
            }
        };
        leg.note_allow(response.headers());
        let (dialog, answer) = leg.dialog_of_2xx(response, &calling.uri);
        leg.dialog = dialog;
        let answer_stands = leg.take_final_answer(&calling.offered, answer, response);
        leg.acknowledge(ctx, now, tx, response);
        if is_cancelled || !is_wanted {
            // RFC 3261 §9.1: the CANCEL came too late, so the dialog is ended.
            leg.bye(ctx, now, key, Cause::NORMAL);
            leg.close_media(ctx);
            return;
        }
        let took = now.saturating_duration_since(leg.began);
        if !answer_stands {
            leg.bye(ctx, now, key, Cause::NO_CODEC);
            self.tell_refused_answer(no);
            self.callee_over(ctx, now, no, Some(488));
            let failure = Failure::of_response(488, None);
            return self.on_callee_failed(ctx, now, no, Outcome::Response(488), failure);
        }
        leg.answered = Some(now);
        leg.refreshed(ctx, now, key, response);
        let endpoint = leg.endpoint;
        self.metrics_of(ctx, endpoint).setup(took);
        self.on_callee_answered(ctx, now, no);
    }

    /// A 2xx of another fork, after the first: acknowledged and ended at once (RFC 3261 §13.2.2.4).
    fn on_second_2xx(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ClientTx,
        response: &Response,
    ) {
        let key = self.key;
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let Some(own) = &leg.dialog else {
            return;
        };
        if own.id().remote_tag == response.headers().to_tag().unwrap_or_default() {
            return;
        }
        let target = own.remote_target().clone();
        let (Some(mut fork), _) = leg.dialog_of_2xx(response, &target) else {
            return;
        };
        let flow = leg.path.flow;
        let ack = fork.ack(response);
        let ack = KnownChallenges::put(ack, &leg.credentials);
        ctx.sip.ack(now, tx, flow, &leg.path.sent_by, ack);
        let bye = fork.request(Method::Bye).header("Reason", Cause::NORMAL);
        let role = ClientRole::ForkBye;
        // If the table is full, its session timer or its user ends it.
        let _ = leg.send_to(ctx, now, flow, (key, role), bye);
    }

    /// A target that says 503 and Retry-After is left alone for that long.
    fn note_unavailable(
        &self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        asked: &Uri,
        response: &Response,
    ) {
        if let (503, Some(leg)) = (response.status(), self.leg(no)) {
            let endpoint = &self.setup.endpoint(leg.endpoint).name;
            let headers = response.headers();
            ctx.qualify.on_unavailable(now, endpoint, asked, headers);
        }
    }

    /// The callee's INVITE got no final response.
    pub(in crate::control::call) fn on_invite_failed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        failure: ClientFailure,
    ) {
        let heard = match self.leg(no).map(|leg| (leg, &leg.state)) {
            Some((leg, LegState::Calling(calling))) => {
                if !calling.heard {
                    ctx.outages.failed(now, leg.path.flow, None);
                }
                calling.heard
            }
            Some((_, LegState::Cancelled { guard, .. })) => {
                ctx.timers.cancel(*guard);
                return self.callee_gone(ctx, no);
            }
            _ => return,
        };
        let status = match failure {
            ClientFailure::Timeout => 408,
            ClientFailure::Transport => 503,
        };
        tracing::debug!(
            call = self.id,
            leg = no.0,
            ?failure,
            "callee does not respond"
        );
        self.callee_gone(ctx, no);
        self.callee_over(ctx, now, no, Some(status));
        let outcome = if heard {
            Outcome::Response(status)
        } else {
            Outcome::NoResponse
        };
        self.on_callee_failed(ctx, now, no, outcome, Failure::of_response(status, None));
    }

    /// Cancels a callee that rings.
    pub(in crate::control::call) fn cancel_callee(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        reason: Option<&str>,
        told: Option<u16>,
    ) {
        let key = self.key;
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let LegState::Calling(_) = &leg.state else {
            return;
        };
        if let LegState::Calling(calling) = std::mem::replace(&mut leg.state, LegState::Gone) {
            ctx.sip.cancel(now, calling.invite, reason);
            let timer = CallTimer::Cancelled(no);
            let guard = ctx
                .timers
                .arm(now, now + CANCEL_WAIT, Timer::Call(key, timer));
            leg.state = LegState::Cancelled { calling, guard };
        }
        self.callee_over(ctx, now, no, told);
    }

    /// The cancelled INVITE never got its final response: it is taken as over (RFC 3261 §9.1).
    pub(in crate::control::call) fn on_cancel_unanswered(
        &mut self,
        ctx: &mut Context,
        _now: Instant,
        no: LegNo,
    ) {
        if let Some(LegState::Cancelled { calling, .. }) = self.leg(no).map(|leg| &leg.state) {
            ctx.clients.remove(calling.invite);
            self.callee_gone(ctx, no);
        }
    }

    /// No message of the leg is outstanding.
    fn callee_gone(&mut self, ctx: &mut Context, no: LegNo) {
        if let Some(leg) = self.leg_mut(no) {
            leg.state = LegState::Gone;
            leg.close_media(ctx);
        }
    }

    /// The leg is of no more use: its port goes back, its endpoint has a call less. `failed` is the status that it
    /// failed with; None if it was cancelled for another's sake.
    fn callee_over(&mut self, ctx: &mut Context, now: Instant, no: LegNo, failed: Option<u16>) {
        let setup = self.setup.clone();
        if let Some(leg) = self.leg_mut(no) {
            leg.close_media(ctx);
            leg.count_end(ctx, &setup, now, failed);
        }
    }
}

impl Leg {
    /// The answer in a 2xx, or what an earlier 183 said: that of a reliable one stands. False if there is none that
    /// can be used.
    fn take_final_answer(
        &mut self,
        offered: &Offered,
        early: Option<Description>,
        response: &Response,
    ) -> bool {
        let body = response.body();
        let has_forked = !self.early.is_empty();
        let Some(media) = self.media_mut() else {
            return false;
        };
        if let Some(answer) = early {
            // Another fork may have described itself since.
            return !has_forked || media.accept_answer(offered, answer).is_ok();
        }
        if body.is_empty() {
            return media.is_agreed();
        }
        match Description::parse(&body) {
            Ok(answer) if media.is_agreed() && is_same(media, &answer) => true,
            Ok(answer) => media.accept_answer(offered, answer).is_ok(),
            Err(_) => false,
        }
    }

    /// Sends the ACK of a 2xx.
    pub(in crate::control::call) fn acknowledge(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ClientTx,
        response: &Response,
    ) {
        if let Some(dialog) = &self.dialog {
            let ack = dialog.ack(response);
            // RFC 3261 §22.1: an ACK carries the credentials of its INVITE.
            let ack = KnownChallenges::put(ack, &self.credentials);
            ctx.sip
                .ack(now, tx, self.next_flow(), &self.path.sent_by, ack);
        }
    }
}

impl Calling {
    /// Keeps the name of the early dialog that a provisional response has made.
    fn note_tag(&mut self, response: &Response) {
        let tag = response.headers().to_tag().unwrap_or_default();
        if self.tags.len() < EARLY_DIALOGS_MAX && !self.tags.iter().any(|known| known == tag) {
            self.tags.push(tag.to_owned());
        }
    }
}

fn is_same(media: &LegMedia, answer: &Description) -> bool {
    media.remote() == Some(answer)
}
