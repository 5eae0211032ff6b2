//! A member of a trunk group that does not respond at all: the next one is tried long before the INVITE's own time is
//! over (timer B, 32 s).
//!
//! ```text
//!  INVITE ──── nothing for response_timeout ────► given up, cancelled ──► its next address, or the next member
//!     └── any response: it is there, and its own time counts
//! ```
//!
//! The last one of all is waited for as long as its INVITE lives.

use super::branch::{BranchState, Failover, Outcome};
use crate::control::call::cause::Failure;
use crate::control::call::leg::LegState;
use crate::control::call::{Call, LegNo, Phase};
use crate::control::context::{CallTimer, Context, Timer};
use crate::sip::endpoint::ClientTx;
use std::time::{Duration, Instant};

impl Call {
    /// A branch rings: within its group's time something must come back.
    pub(super) fn await_response(&self, ctx: &mut Context, now: Instant, index: usize) {
        if let Phase::Dialling(dialling) = &self.phase
            && let Some(branch) = dialling.branches.get(index)
            && let (Failover::Group(group), BranchState::Ringing(leg)) =
                (&branch.failover, &branch.state)
            && let Some(LegState::Calling(calling)) = self.leg(*leg).map(|leg| &leg.state)
            && group.response_timeout > Duration::ZERO
        {
            // Never stopped: it fires a few seconds later and finds a response, or the call gone.
            let timer = Timer::Call(self.key, CallTimer::Silent(*leg, calling.invite));
            ctx.timers.arm(now, now + group.response_timeout, timer);
        }
    }

    /// A member's time for its first response is over. One that has had us send the INVITE once more, with credentials or
    /// other timers, has responded.
    pub(in crate::control::call) fn on_silent(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        invite: ClientTx,
    ) {
        let Some(leg) = self.leg(no) else { return };
        let flow = leg.path.flow;
        match &leg.state {
            LegState::Calling(calling) if !calling.heard && calling.invite == invite => {}
            _ => return,
        }
        let Phase::Dialling(dialling) = &self.phase else {
            return;
        };
        let branch = dialling.branch_of_leg(no).map(|at| &dialling.branches[at]);
        let has_another =
            branch.is_some_and(|one| one.elsewhere.is_some() || !one.candidates.is_empty());
        if !has_another {
            return;
        }
        tracing::info!(call = self.id, peer = %flow.peer, "trunk does not respond, another is tried");
        ctx.outages.failed(now, flow, None);
        self.cancel_callee(ctx, now, no, None, Some(408));
        let failure = Failure::of_response(408, None);
        self.on_callee_failed(ctx, now, no, Outcome::NoResponse, failure);
    }
}
