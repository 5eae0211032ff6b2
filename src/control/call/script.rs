//! The dialplan's actions, done on the call.

use super::cause::{Cause, Failure};
use super::channel::CallChannel;
use super::ending::EndedBy;
use super::identity::cut;
use super::leg::LegState;
use super::{Call, Phase};
use crate::control::context::{CallTimer, Context, Timer};
use crate::control::dialplan::{Action, DialStatus, StepTrace};
use crate::link::Command;
use std::time::{Duration, Instant};

/// Most steps that the line at a call's end tells; the rest is counted in.
pub const STEPS_LOGGED_MAX: usize = 32;

/// Most bytes of one step in that line.
const STEP_BYTES_MAX: usize = 120;

/// How long Busy and Congestion keep an answered caller where the dialplan sets no time: for ever, in Asterisk, so as
/// long as a caller listens to a tone.
const TONE: Duration = Duration::from_secs(30);

impl Call {
    /// Goes on in the dialplan until something has to be waited for.
    pub(super) fn advance(&mut self, ctx: &mut Context, now: Instant) {
        self.resume_conferring(ctx, now);
        while let Phase::Ready = self.phase {
            let mut channel = CallChannel {
                facts: &mut self.facts,
                invite: self.invite.as_ref(),
                added: &mut self.added,
                epoch: ctx.surroundings.unix_time(),
            };
            let mut trace = Trace::of(&self.id, &mut self.steps);
            let action = self
                .execution
                .advance(&mut channel, &mut |step| trace.note(step));
            self.perform(ctx, now, action);
        }
        self.settle_monitors(ctx);
        if self.joined().is_none() {
            self.settle_digits(ctx);
        }
        if self.is_with_us() {
            self.recall_caller(ctx, now);
        }
    }

    /// Runs the `h` extension of a call that has ended.
    pub(super) fn run_hangup_handler(&mut self, ctx: &Context) {
        let mut channel = CallChannel {
            facts: &mut self.facts,
            invite: self.invite.as_ref(),
            added: &mut self.added,
            epoch: ctx.surroundings.unix_time(),
        };
        let mut trace = Trace::of(&self.id, &mut self.steps);
        self.execution
            .hangup_handler(&mut channel, &mut |step| trace.note(step));
    }

    pub(super) fn perform(&mut self, ctx: &mut Context, now: Instant, action: Action) {
        match action {
            Action::Answer { delay } => self.answer_then_wait(ctx, now, delay),
            Action::Dial(request) => self.dial(ctx, now, &request),
            Action::Wait(time) => self.pause(ctx, now, time, None),
            Action::Echo => self.echo(ctx, now),
            Action::Confer(name) => self.confer(ctx, now, name),
            Action::Page(request) => self.page(ctx, now, request),
            Action::Audio(action) => self.audio(ctx, now, action),
            Action::Transfer(destination) => self.send_caller_away(ctx, now, destination),
            Action::Pickup(request) => self.ask_for_pickup(ctx, request),
            Action::Ringing => self.ring_caller(ctx, now),
            Action::Progress => {
                if self.open_caller_media(ctx, now, 2).is_ok() {
                    self.progress_caller(ctx, now, None);
                    self.join(ctx);
                }
            }
            Action::Busy(time) => self.tone(ctx, now, ("busy", Cause::BUSY), time),
            Action::Congestion(time) => {
                self.tone(ctx, now, ("congestion", Cause::CONGESTION), time);
            }
            Action::Hangup(cause) => {
                let failure = match (cause, self.failure) {
                    (Some(cause), _) => Failure::of_cause(Cause(cause)),
                    (None, Some(failure)) => failure,
                    (None, None) => Failure::of_cause(Cause::NORMAL),
                };
                if !self.transfer_failed(ctx, now, failure) {
                    self.end(ctx, now, EndedBy::Dialplan, failure, "Hangup");
                }
            }
        }
    }

    fn pause(&mut self, ctx: &mut Context, now: Instant, time: Duration, then: Option<Cause>) {
        if time.is_zero() && then.is_none() {
            return;
        }
        let timer = Timer::Call(self.key, CallTimer::Pause);
        let timer = ctx.timers.arm(now, now + time.min(PAUSE_MAX), timer);
        self.phase = Phase::Paused { timer, then };
    }

    pub(super) fn on_pause_over(&mut self, ctx: &mut Context, now: Instant) {
        let then = match self.phase {
            Phase::Paused { then, .. } => then,
            Phase::Referring { .. } => return self.on_referral_quiet(ctx),
            Phase::Lingering { .. } => {
                return self.end_by_us(ctx, now, Cause::NORMAL, "transferred");
            }
            Phase::Attending(_) => return self.on_application_due(ctx, now),
            _ => return,
        };
        self.phase = Phase::Ready;
        if let Some(cause) = then {
            let failure = Failure::of_cause(cause);
            self.end(ctx, now, EndedBy::Dialplan, failure, "end of the tone");
        }
    }

    /// Answers the caller for an application of our own. False if the call has ended for want of a port or a codec.
    pub(super) fn answer_alone_now(&mut self, ctx: &mut Context, now: Instant) -> bool {
        if let Err(failure) = self.open_caller_media(ctx, now, 2) {
            self.end(ctx, now, EndedBy::Gateway, failure, "no RTP port");
            return false;
        }
        if self.answer_caller(ctx, now, None).is_err() {
            self.end_by_us(ctx, now, Cause::NO_CODEC, "no common codec");
            return false;
        }
        self.join(ctx);
        self.transferee_arrived(ctx, now);
        true
    }

    fn answer_then_wait(&mut self, ctx: &mut Context, now: Instant, delay: Duration) {
        if !self.answer_alone_now(ctx, now) {
            return;
        }
        match &self.caller.state {
            // What can be offered to anybody else is known only when the caller has answered our offer; and our 200
            // may wait for a PRACK.
            LegState::Unacked {
                offered: Some(_), ..
            }
            | LegState::Asked(_) => self.phase = Phase::AwaitingAck { then: None },
            _ => self.pause(ctx, now, delay, None),
        }
    }

    /// Echo answers by itself, as every application does that needs the caller's audio.
    fn echo(&mut self, ctx: &mut Context, now: Instant) {
        if !self.answer_alone_now(ctx, now) {
            return;
        }
        self.echo_caller(ctx);
        self.phase = Phase::Echo;
    }

    /// The caller hears itself.
    pub(super) fn echo_caller(&mut self, ctx: &mut Context) {
        if let Some(media) = self.caller.media() {
            let echo = Command::Echo { leg: media.leg };
            ctx.command(media.worker(), echo.clone());
            self.bridge = Some(echo);
        }
    }

    /// Busy and Congestion: a failure to a caller that has no answer, else a while of its tone, then the end.
    fn tone(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        (name, cause): (&str, Cause),
        time: Option<Duration>,
    ) {
        let failure = Failure::of_cause(cause);
        if self.transfer_failed(ctx, now, failure) {
            return;
        }
        if let LegState::Asked(_) = self.caller.state {
            self.end(ctx, now, EndedBy::Dialplan, failure, "Busy or Congestion");
        } else {
            self.sound_tone(ctx, name);
            self.pause(ctx, now, time.unwrap_or(TONE), Some(cause));
        }
    }

    /// The caller's ACK, or the PRACK that our 200 waited for, has come.
    pub(super) fn resume_after_ack(&mut self, ctx: &mut Context, now: Instant) {
        if let Phase::AwaitingAck { then } = &mut self.phase {
            let then = then.take();
            self.phase = Phase::Ready;
            if let Some(action) = then {
                self.perform(ctx, now, action);
            }
        }
    }

    /// What a Dial leaves for the dialplan to read.
    pub(super) fn set_dial_variables(&mut self, status: DialStatus, cause: Cause) {
        self.execution.dial_finished(status, cause.0);
    }
}

/// Longest wait of a dialplan.
const PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Keeps the steps that ran, for the log.
pub(super) struct Trace<'a> {
    call: &'a str,
    steps: &'a mut Vec<String>,
}

impl Trace<'_> {
    pub(super) fn of<'a>(call: &'a str, steps: &'a mut Vec<String>) -> Trace<'a> {
        Trace { call, steps }
    }

    pub(super) fn note(&mut self, step: &StepTrace<'_>) {
        let (application, arguments) = (step.application, step.arguments);
        tracing::debug!(
            call = self.call,
            context = step.context,
            extension = step.extension,
            priority = step.priority,
            application,
            arguments,
            "dialplan step"
        );
        for warning in step.warnings {
            tracing::warn!(call = self.call, application, warning, "dialplan");
        }
        if self.steps.len() < STEPS_LOGGED_MAX {
            let text = format!(
                "{},{},{} {application}({arguments})",
                step.context, step.extension, step.priority
            );
            self.steps.push(cut(&text, STEP_BYTES_MAX).to_owned());
        }
    }
}
