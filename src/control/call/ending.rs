//! Hanging up: every leg is told, ports go back, and the call is forgotten when the last word has come.

use super::cause::{Cause, Failure};
use super::leg::{Leg, LegState, MediaState};
use super::{Call, LegNo, Phase};
use crate::control::context::{CallTimer, Context, Timer};
use crate::link::LegReport;
use crate::sip::message::Headers;
use std::time::{Duration, Instant};

/// How long an ended call waits for its workers to report its ports closed. The lease outlives it if they do not.
pub const CLOSING_MAX: Duration = Duration::from_secs(10);

/// Who ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// Who called.
    Caller,
    /// Who answered.
    Callee,
    /// The dialplan came to its end, or a Hangup.
    Dialplan,
    /// We: a limit, a failure, an operator.
    Gateway,
}

impl EndedBy {
    /// For logs.
    pub fn name(self) -> &'static str {
        match self {
            EndedBy::Caller => "caller",
            EndedBy::Callee => "callee",
            EndedBy::Dialplan => "dialplan",
            EndedBy::Gateway => "gateway",
        }
    }
}

/// Why a call ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Who.
    pub by: EndedBy,
    /// Whom the caller talked to then.
    pub with: Option<LegNo>,
    /// What the legs were told.
    pub cause: Cause,
    /// In words.
    pub why: &'static str,
    /// When.
    pub at: Instant,
}

impl Call {
    /// Ends the call: an unanswered caller is refused with `failure`, everybody else is hung up on with its cause.
    /// Nothing if it ends already.
    pub(super) fn end(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        by: EndedBy,
        failure: Failure,
        why: &'static str,
    ) {
        let cause = failure.cause;
        let with = self.partner();
        match self.phase {
            Phase::Ending { .. } => return,
            Phase::Dialling(_) => {
                let reason = cause.to_string();
                self.abandon_dial(ctx, now, Some(&reason));
            }
            Phase::Paused { timer, .. }
            | Phase::Lingering { timer }
            | Phase::Referring { timer } => {
                ctx.timers.cancel(timer);
            }
            Phase::Attending(_) => self.leave_application(ctx),
            Phase::Bridged { .. }
            | Phase::Ready
            | Phase::AwaitingAck { .. }
            | Phase::PickingUp
            | Phase::Echo => {}
        }
        self.leave_room(ctx, "HANGUP");
        self.stop_exchange(ctx, now);
        self.stop_provisionals(ctx);
        let timer = Timer::Call(self.key, CallTimer::Closing);
        let guard = ctx.timers.arm(now, now + CLOSING_MAX, timer);
        let end = End {
            by,
            with,
            cause,
            why,
            at: now,
        };
        self.phase = Phase::Ending { end, guard };
        self.note_talk(ctx, now, cause);
        self.run_hangup_handler(ctx);
        let failed = (!self.caller.is_gone()).then_some(failure.status);
        self.refuse_caller(ctx, now, failure);
        let setup = self.setup.clone();
        self.caller.count_end(ctx, &setup, now, failed);
        let key = self.key;
        for leg in self.legs_mut() {
            leg.session.stop(ctx);
            leg.hang_up(ctx, now, key, cause);
            leg.count_end(ctx, &setup, now, None);
            leg.close_media(ctx);
        }
    }

    /// What the `h` extension may want to know: how long others were dialled and talked to, and why it is over.
    pub(super) fn note_talk(&mut self, ctx: &mut Context, now: Instant, cause: Cause) {
        let cause = cause.0.to_string();
        self.execution.set_variable("HANGUPCAUSE", cause);
        self.end_talk(ctx, now);
    }

    /// The caller talks to the callee of its last Dial no longer: its limit is over with it.
    pub(super) fn end_talk(&mut self, ctx: &mut Context, now: Instant) {
        if let Some(talk) = self.talk.take() {
            if let Some(limit) = talk.limit {
                ctx.timers.cancel(limit);
            }
            for (name, since) in [
                ("DIALEDTIME", talk.dialled),
                ("ANSWEREDTIME", talk.answered),
            ] {
                let seconds = now.saturating_duration_since(since).as_secs();
                self.execution.set_variable(name, seconds.to_string());
            }
        }
    }

    /// The gateway's own doing.
    pub(super) fn end_by_us(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        cause: Cause,
        why: &'static str,
    ) {
        self.end(ctx, now, EndedBy::Gateway, Failure::of_cause(cause), why);
    }

    /// An operator's, or the shutdown's, hang-up.
    pub fn hang_up(&mut self, ctx: &mut Context, now: Instant, why: &'static str) {
        let failure = Failure {
            status: 503,
            ..Failure::of_cause(Cause::NORMAL)
        };
        self.end(ctx, now, EndedBy::Gateway, failure, why);
    }

    /// The caller's CANCEL; it has its 487 already.
    pub(super) fn end_by_caller_cancel(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        cancel: &Headers,
    ) {
        let reason = cancel.get("Reason").map(str::to_owned);
        if let Phase::Dialling(_) = self.phase {
            self.abandon_dial(ctx, now, reason.as_deref());
            self.phase = Phase::Ready;
        }
        let cause = Cause::of_reason(cancel).unwrap_or(Cause::NORMAL);
        let failure = Failure::of_cause(cause);
        self.end(ctx, now, EndedBy::Caller, failure, "CANCEL");
    }

    /// BYE on one of the legs; it has its 200 already, and is Gone.
    pub(super) fn end_by_bye(&mut self, ctx: &mut Context, now: Instant, no: LegNo, cause: Cause) {
        let by = if no == self.caller.no {
            EndedBy::Caller
        } else {
            EndedBy::Callee
        };
        self.end(ctx, now, by, Failure::of_cause(cause), "BYE");
    }

    /// The leg's peer sends no RTP.
    pub(super) fn on_silence(&mut self, ctx: &mut Context, now: Instant, no: LegNo) {
        if self.is_beside(no) {
            return;
        }
        let why = if no == self.caller.no {
            "no RTP from the caller"
        } else {
            "no RTP from the callee"
        };
        self.end_by_us(ctx, now, Cause::TIMER, why);
    }

    /// A leg's port could not be had after all.
    pub(super) fn on_media_lost(&mut self, ctx: &mut Context, now: Instant, no: LegNo) {
        if let Some(leg) = self.leg_mut(no) {
            leg.media = MediaState::None;
        }
        let is_needed = no == self.caller.no || self.joined() == Some(no);
        if is_needed {
            self.end_by_us(
                ctx,
                now,
                Cause::CONGESTION,
                "the RTP port could not be opened",
            );
        } else {
            self.cancel_callee(ctx, now, no, None, Some(503));
            let failure = Failure::of_cause(Cause::CONGESTION);
            self.on_callee_failed(
                ctx,
                now,
                no,
                super::dialling::branch::Outcome::NotTried,
                failure,
            );
        }
    }

    /// The worker has closed a leg's ports.
    pub(super) fn on_media_closed(&mut self, ctx: &mut Context, no: LegNo, report: LegReport) {
        let setup = self.setup.clone();
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        leg.media = MediaState::Closed(report);
        let jitter = Duration::from_micros(report.jitter_us.into());
        if report.packets_in > 0 {
            let name = &setup.endpoint(leg.endpoint).name;
            ctx.load
                .metrics(name, &ctx.metrics)
                .received(report.lost_in, jitter);
            let round_trip = report.round_trip_ms.map(u64::from);
            ctx.load
                .metrics(name, &ctx.metrics)
                .quality(report.mos, round_trip.map(Duration::from_millis));
        }
    }

    /// The workers have not reported: the call does not wait for them.
    pub(super) fn on_closing_overdue(&mut self) {
        for leg in self.legs_mut() {
            if matches!(leg.media, MediaState::Closing) {
                leg.media = MediaState::None;
            }
        }
    }

    /// Ends what waits for the call, when it is over.
    pub fn forget(&mut self, ctx: &mut Context) {
        if let Phase::Ending { guard, .. } = self.phase {
            ctx.timers.cancel(guard);
        }
        for invite in self.legs().filter_map(|leg| leg.invite) {
            ctx.clients.remove(invite);
        }
        if !ctx.moved_legs.is_empty() {
            for leg in self.legs() {
                ctx.moved_legs.remove(&leg.tag);
            }
        }
    }
}

impl Leg {
    /// Tells the peer that it is over, as its state asks.
    pub(super) fn hang_up(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        call: super::CallKey,
        cause: Cause,
    ) {
        match &mut self.state {
            LegState::Unacked { hang_up, .. } => *hang_up = Some(cause),
            LegState::Up => self.bye(ctx, now, call, cause),
            // An unanswered caller has been refused, an unanswered callee cancelled by now.
            LegState::Asked(_)
            | LegState::Calling(_)
            | LegState::Cancelled { .. }
            | LegState::Leaving
            | LegState::Gone => {}
        }
    }
}
