//! The options of Dial that concern the call: what the caller hears meanwhile, what runs before a callee is called, how long
//! they may talk, and what comes after.
//!
//! | option | |
//! |---|---|
//! | `b(context^exten^priority(a^b))` | a Gosub on the channel of each callee, before it is called |
//! | `B(…)` | the same on the caller's, before anybody is (done by the dialplan itself) |
//! | `g` | when the callee has hung up, the dialplan goes on |
//! | `i` | a callee's redirection (302) is not followed |
//! | `r` | the caller hears that it rings at once, and nothing of a callee's early media |
//! | `m(class)` | the caller hears music meanwhile, and nothing of a callee's early media |
//! | `L(ms)`, `S(s)` | the call ends so long after the answer |
//!
//! Others (`t`, `T`, `w` …) are of features that no call has yet; they are read and change nothing.

use super::branch::Candidate;
use crate::control::call::cause::Cause;
use crate::control::call::channel::CallChannel;
use crate::control::call::identity::headers::AddedHeaders;
use crate::control::call::leg::LegState;
use crate::control::call::script::Trace;
use crate::control::call::{Call, Facts, LegNo, Phase};
use crate::control::context::Context;
use crate::control::dialplan::{DialRequest, Execution};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a Dial's options ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::control::call) struct DialOptions {
    /// Redirections of callees are followed.
    pub follows: bool,
    /// The caller hears ringing from the beginning, and no early media.
    pub rings_at_once: bool,
    /// The dialplan goes on when the callee has hung up.
    pub goes_on: bool,
    /// How long the call may last once it is answered.
    pub limit: Option<Duration>,
}

impl DialOptions {
    pub(super) fn of(request: &DialRequest) -> DialOptions {
        DialOptions {
            follows: !request.has_option('i'),
            rings_at_once: request.has_option('r') || request.has_option('m'),
            goes_on: request.has_option('g'),
            limit: request.limit(),
        }
    }
}

impl Call {
    /// What runs on the channel of each callee of this Dial before it is called.
    pub(super) fn before_dial(
        &self,
        dialler: &Execution,
        request: &DialRequest,
    ) -> Option<Arc<Execution>> {
        let subroutine = request.subroutine('b')?;
        match dialler.of_callee(&subroutine) {
            Ok(execution) => Some(Arc::new(execution)),
            Err(warning) => {
                tracing::warn!(call = self.id, subroutine, warning, "Dial: option b");
                None
            }
        }
    }

    /// What the INVITE to a candidate says of the call, once its own subroutine has run. None without one.
    pub(super) fn prepared(
        &mut self,
        ctx: &Context,
        candidate: &Candidate,
    ) -> Option<(Facts, AddedHeaders)> {
        let mut execution = Execution::clone(candidate.before.as_ref()?);
        let (mut facts, mut added) = match candidate.forwarded.as_deref() {
            Some(forwarded) => (forwarded.facts.clone(), forwarded.added.clone()),
            None => (self.facts.clone(), self.added.clone()),
        };
        let mut channel = CallChannel {
            facts: &mut facts,
            invite: self.invite.as_ref(),
            added: &mut added,
            epoch: ctx.surroundings.unix_time(),
        };
        let mut trace = Trace::of(&self.id, &mut self.steps);
        execution.run_before_dial(&mut channel, &mut |step| trace.note(step));
        Some((facts, added))
    }

    /// Whether the caller stays when this callee has hung up.
    pub(in crate::control::call) fn outlives(&self, callee: LegNo) -> bool {
        let is_its = self.partner() == Some(callee);
        is_its
            && self.talk.as_ref().is_some_and(|talk| talk.goes_on)
            && matches!(
                self.caller.state,
                LegState::Up | LegState::Unacked { hang_up: None, .. }
            )
    }

    /// The callee has hung up; the dialplan goes on with the caller.
    pub(in crate::control::call) fn go_on_without(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        callee: LegNo,
        cause: Cause,
    ) {
        let setup = self.setup.clone();
        self.stop_exchange_of_callee(ctx, now);
        self.part(ctx);
        if let Some(leg) = self.leg_mut(callee) {
            leg.session.stop(ctx);
            leg.count_end(ctx, &setup, now, None);
            leg.close_media(ctx);
        }
        self.note_talk(ctx, now, cause);
        self.phase = Phase::Ready;
    }

    /// The time that the Dial allows is over.
    pub(in crate::control::call) fn on_limit(&mut self, ctx: &mut Context, now: Instant) {
        if let Some(talk) = &mut self.talk {
            talk.limit = None;
            self.end_by_us(ctx, now, Cause::NORMAL, "the time of the call is over");
        }
    }
}
