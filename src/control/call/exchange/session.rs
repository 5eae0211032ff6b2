//! Session timers (RFC 4028): each leg by itself is refreshed by its peer or by us, or its call ends.
//!
//! ```text
//!              2xx with Session-Expires, either way
//!    Off ◄───────────────────────────────────────────► Running ── ends_after ──► the call ends
//!         2xx without                                     │ half, if we are the refresher
//!                                                         ├── UPDATE, if the peer takes it
//!                                                         └── re-INVITE with what we said last, its version unchanged
//!    a refresh that meets 408, 481 or nothing ends the call; after any other refusal it is tried again.
//! ```

use super::{Exchange, REINVITE_MAX};
use crate::config::settings::Endpoint;
use crate::control::call::cause::Cause;
use crate::control::call::leg::{Leg, LegState};
use crate::control::call::media::{LegMedia, Offered};
use crate::control::call::{Call, CallKey, LegNo, Side};
use crate::control::context::{CallClient, CallTimer, ClientRole, Context, Timer};
use crate::control::extensions::terms;
use crate::sdp::Description;
use crate::sip::endpoint::ClientTx;
use crate::sip::message::{Headers, Method, RequestDraft, Response, ResponseDraft};
use crate::sip::session_timer::{
    self, Asked, INTERVAL_MAX, Interval, MIN_SE, OPTION, Refresher, SessionExpires, Terms,
};
use crate::sip::timer::TimerId;
use std::time::{Duration, Instant};

/// How long after a refused refresh, or while something else is asked, it is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// How often a leg may raise our interval by 422: who does it more often means something else.
const RAISES_MAX: u8 = 3;

/// A leg's session timer.
pub struct SessionTimer {
    /// What its endpoint's configuration says; None if it is not to be spoken.
    terms: Option<Terms>,
    /// What the peer's last INVITE or UPDATE asked for.
    asked: Option<Asked>,
    /// How often the peer has raised our interval.
    raises: u8,
    /// Our refresh waits for its final response.
    is_refreshing: bool,
    running: Option<Running>,
}

struct Running {
    interval: Interval,
    /// Without a refresh the call ends then.
    ends: Instant,
    timer: TimerId,
}

impl SessionTimer {
    /// Off.
    pub fn new(endpoint: &Endpoint) -> SessionTimer {
        SessionTimer {
            terms: terms(endpoint),
            asked: None,
            raises: 0,
            is_refreshing: false,
            running: None,
        }
    }

    /// Takes note of what an INVITE or UPDATE of the peer asks. The Min-SE of a 422 if it asks for too little.
    pub(super) fn ask(&mut self, headers: &Headers) -> Option<u32> {
        let asked = Asked::of(headers);
        let refusal = self.terms.and_then(|terms| asked.refusal(&terms));
        if refusal.is_none() {
            self.asked = Some(asked);
        }
        refusal
    }

    fn run(&mut self, ctx: &mut Context, now: Instant, interval: Interval, due: Timer) {
        self.stop(ctx);
        let ends = now + interval.ends_after();
        let at = match interval.is_ours {
            true => now + interval.refresh_after(),
            false => ends,
        };
        self.running = Some(Running {
            interval,
            ends,
            timer: ctx.timers.arm(now, at, due),
        });
    }

    /// The leg belongs to another call, which is woken from now on; a refresh that is on its way is nobody's.
    pub(in crate::control::call) fn follow(&mut self, ctx: &mut Context, now: Instant, due: Timer) {
        self.is_refreshing = false;
        if let Some(running) = &mut self.running {
            ctx.timers.cancel(running.timer);
            let at = match running.interval.is_ours {
                true => (now + RETRY).min(running.ends),
                false => running.ends,
            };
            running.timer = ctx.timers.arm(now, at.max(now), due);
        }
    }

    /// Switches it off.
    pub(in crate::control::call) fn stop(&mut self, ctx: &mut Context) {
        if let Some(running) = self.running.take() {
            ctx.timers.cancel(running.timer);
        }
    }
}

impl Leg {
    /// Takes note of what the INVITE that began the leg says of its sender. Too small an interval was refused before.
    pub(in crate::control::call) fn note_invite(&mut self, headers: &Headers) {
        self.note_allow(headers);
        self.session.asked = Some(Asked::of(headers));
    }

    /// An INVITE or UPDATE of ours in the dialog, with what keeps its session timer going (RFC 4028 §7.4).
    pub(super) fn with_session(&self, request: RequestDraft) -> RequestDraft {
        let Some(terms) = self.session.terms else {
            return request;
        };
        let request = request.header("Supported", OPTION);
        let Some(running) = &self.session.running else {
            return request;
        };
        let refresher = match running.interval.is_ours {
            true => Refresher::Uac,
            false => Refresher::Uas,
        };
        let expires = SessionExpires {
            seconds: running.interval.seconds,
            refresher: Some(refresher),
        };
        request
            .header("Session-Expires", expires)
            .header("Min-SE", terms.min_se)
    }

    /// Our 2xx to an INVITE or UPDATE, with what was asked of the session timer answered, which runs from now.
    pub(in crate::control::call) fn answer_session(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        call: CallKey,
        response: ResponseDraft,
    ) -> ResponseDraft {
        let (Some(terms), Some(asked)) = (self.session.terms, self.session.asked) else {
            return response;
        };
        let Some(interval) = asked.answer(&terms) else {
            self.session.stop(ctx);
            return response;
        };
        let due = Timer::Call(call, CallTimer::Session(self.no));
        self.session.run(ctx, now, interval, due);
        let refresher = match interval.is_ours {
            true => Refresher::Uas,
            false => Refresher::Uac,
        };
        let expires = SessionExpires {
            seconds: interval.seconds,
            refresher: Some(refresher),
        };
        let response = response.header("Session-Expires", expires);
        match refresher {
            // RFC 4028 §9: who has to refresh has to know.
            Refresher::Uac => response.header("Require", OPTION),
            Refresher::Uas => response,
        }
    }

    /// A 2xx to an INVITE or UPDATE of ours: the session timer runs from now as it says (RFC 4028 §7.2).
    pub(in crate::control::call) fn refreshed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        call: CallKey,
        response: &Response,
    ) {
        let Some(terms) = self.session.terms else {
            return;
        };
        if !matches!(self.state, LegState::Up) {
            return;
        }
        let interval = match SessionExpires::of(response.headers()) {
            Some(expires) => {
                let is_ours = expires.refresher != Some(Refresher::Uas);
                Interval::new(expires.seconds, is_ours)
            }
            None if terms.always => Interval::new(terms.expires, true),
            None => return self.session.stop(ctx),
        };
        let due = Timer::Call(call, CallTimer::Session(self.no));
        self.session.run(ctx, now, interval, due);
    }
}

impl Call {
    /// A leg's refresh is due, or it has not come.
    pub(in crate::control::call) fn on_session_due(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
    ) {
        let key = self.key;
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let is_up = matches!(leg.state, LegState::Up);
        let Some(running) = &mut leg.session.running else {
            return;
        };
        if now >= running.ends {
            let why = match running.interval.is_ours {
                true => "the session could not be refreshed",
                false => "the peer did not refresh the session",
            };
            leg.session.running = None;
            return self.end_by_dead_dialog(ctx, now, no, why);
        }
        // The next look: at the refresh's failure, or when the time is over.
        let next = (now + RETRY).min(running.ends);
        running.timer = ctx
            .timers
            .arm(now, next, Timer::Call(key, CallTimer::Session(no)));
        if is_up && !leg.session.is_refreshing {
            self.refresh_session(ctx, now, no);
        }
    }

    fn refresh_session(&mut self, ctx: &mut Context, now: Instant, no: LegNo) {
        let key = self.key;
        let is_idle = matches!(self.exchange, Exchange::Idle);
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let (method, session) = if leg.takes_update {
            (Method::Update, None)
        } else if is_idle && let Some(again) = leg.media_mut().and_then(LegMedia::offer_again) {
            (Method::Invite, Some(again))
        } else {
            return;
        };
        let contact = leg.contact();
        let Some(request) = leg.request(method) else {
            return;
        };
        let request = request
            .header("Contact", contact)
            .header("Allow", crate::control::call::ALLOW);
        let request = leg.with_session(request);
        let (request, offered) = match session {
            Some((body, offered)) => (request.body(crate::control::call::SDP, body), Some(offered)),
            None => (request, None),
        };
        let Some(tx) = leg.send(ctx, now, key, ClientRole::Refresh, request) else {
            return;
        };
        leg.session.is_refreshing = true;
        if let Some(offered) = offered {
            let timer = Timer::Call(key, CallTimer::ReinviteOverdue);
            let guard = ctx.timers.arm(now, now + REINVITE_MAX, timer);
            self.exchange = Exchange::Refreshing { tx, offered, guard };
        }
    }

    /// A response to our refresh.
    pub(in crate::control::call) fn on_refresh_response(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ClientTx,
        response: &Response,
    ) {
        let status = response.status();
        if status < 200 {
            return;
        }
        ctx.clients.remove(tx);
        let key = self.key;
        let method = response.headers().cseq().method;
        if let Some(leg) = self.leg_mut(no) {
            leg.session.is_refreshing = false;
        }
        if let Some(leg) = self.leg_mut(no).filter(|_| status < 300) {
            leg.note_allow(response.headers());
            if let Some(dialog) = &mut leg.dialog {
                dialog.receive_response(response);
            }
            if method == Method::Invite {
                leg.acknowledge(ctx, now, tx, response);
            }
            leg.refreshed(ctx, now, key, response);
        }
        match (status, self.end_refresh(ctx, tx)) {
            (200..=299, Some(offered)) => {
                let accepted = self.leg_mut(no).and_then(|leg| {
                    let answer = Description::parse(&response.body()).ok()?;
                    leg.media_mut()?.accept_answer(&offered, answer).ok()
                });
                if accepted.is_none() {
                    let why = "the answer to a refresh is of no use";
                    return self.end_by_us(ctx, now, Cause::NO_CODEC, why);
                }
                self.join(ctx);
                self.settle(ctx, now, self.side_of(no).unwrap_or(Side::Caller));
            }
            (408 | 481, _) => self.end_by_dead_dialog(ctx, now, no, "a refresh found no dialog"),
            (405 | 501, _) if method == Method::Update => {
                if let Some(leg) = self.leg_mut(no) {
                    leg.takes_update = false;
                }
            }
            // Tried again after a while, until the interval is over.
            _ => {}
        }
    }

    /// Our refresh got no answer at all (RFC 4028 §10).
    pub(in crate::control::call) fn on_refresh_failed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ClientTx,
    ) {
        self.end_refresh(ctx, tx);
        self.end_by_dead_dialog(ctx, now, no, "a refresh was not answered");
    }

    /// A refresh is over. What it offered, if it was a re-INVITE that still runs.
    fn end_refresh(&mut self, ctx: &mut Context, tx: ClientTx) -> Option<Offered> {
        match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Refreshing {
                tx: own,
                offered,
                guard,
            } if own == tx => {
                ctx.timers.cancel(guard);
                Some(offered)
            }
            other => {
                self.exchange = other;
                None
            }
        }
    }

    /// 422: the interval was too small, so a larger one is asked for (RFC 4028 §7.3). False if it is no 422, or one
    /// that makes no sense: a failure then like any other.
    pub(in crate::control::call) fn raise_interval(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ClientTx,
        owner: CallClient,
        response: &Response,
    ) -> bool {
        let Some(asked_min) = session_timer::min_se(response.headers()) else {
            return false;
        };
        let key = self.key;
        if response.status() != 422
            || !(MIN_SE..=INTERVAL_MAX).contains(&asked_min)
            || !self.is_awaited(owner, tx, &response.headers().cseq().method)
        {
            return false;
        }
        let Some(leg) = self.leg_mut(owner.leg) else {
            return false;
        };
        let Some(terms) = leg.session.terms.as_mut() else {
            return false;
        };
        if leg.session.raises >= RAISES_MAX {
            return false;
        }
        let Some(asked) = leg.unanswered.take(tx) else {
            return false;
        };
        leg.session.raises += 1;
        terms.min_se = terms.min_se.max(asked_min);
        terms.expires = terms.expires.max(terms.min_se);
        let (min_se, seconds) = (terms.min_se, terms.expires);
        let refresher = asked
            .request
            .get_header("Session-Expires")
            .and_then(|value| value.split_once(';'))
            .map(|(_, refresher)| format!(";{refresher}"));
        let expires = format!("{seconds}{}", refresher.unwrap_or_default());
        let (cseq, flow) = leg.next_place(&asked.request.method, response);
        let request = asked
            .request
            .set_header("Session-Expires", expires)
            .set_header("Min-SE", min_se)
            .set_header("CSeq", cseq);
        let Some(again) = leg.send_to(ctx, now, flow, (key, owner.role), request) else {
            return false;
        };
        ctx.clients.remove(tx);
        self.replace_transaction(owner, tx, again);
        true
    }
}
