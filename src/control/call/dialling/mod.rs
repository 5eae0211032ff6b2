//! Dial: several targets ring at once, and all contacts registered for one; the first that answers wins. The static
//! contacts of a target, and the members of a trunk group, are tried in turn.
//!
//! | file | concept |
//! |---|---|
//! | `branch` | what rings: branches, each with the candidates that are tried in turn |
//! | `targets` | what the targets come to, in which order |
//! | `options` | what a Dial asks for beside its targets |
//! | `callee` | an outbound leg until it is up: INVITE, its responses, CANCEL |
//! | `redirect` | 302: a callee sends the call elsewhere |
//! | `silence` | a member of a trunk group that does not respond |

pub(super) mod branch;
mod callee;
pub(super) mod options;
mod redirect;
mod silence;
pub(super) mod targets;

use super::application::paging::Page;
use super::caller::{Far, REFRESH};
use super::cause::{ANSWERED_ELSEWHERE, Cause, Failure};
use super::leg::{Leg, LegState};
use super::{Call, LegNo, Phase, Side, Talk};
use crate::control::context::{CallTimer, Context, Timer};
use crate::control::dialplan::{DialRequest, DialStatus, DialTarget};
use crate::control::locate::{Located, Waiter};
use crate::sip::message::NameAddr;
use crate::sip::timer::TimerId;
use branch::{Branch, BranchState, Candidate, Outcome};
use options::DialOptions;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use targets::branches_of;

/// How long others ring at most where the Dial sets no time ("for ever" to Asterisk): a callee that has died while
/// ringing must not hold a call open for good.
pub const RING_MAX: Duration = Duration::from_secs(3600);

/// Most targets of one Dial; further ones are as if they were not reachable.
pub const TARGETS_MAX: usize = 16;

/// Most callees that a Dial rings at once: targets, and each contact registered for them. Further contacts, those that
/// were refreshed the longest ago, are left out.
pub const RINGING_MAX: usize = 32;

/// A Dial that runs.
pub(super) struct Dialling {
    pub branches: Vec<Branch>,
    /// When it began.
    began: Instant,
    /// What it asks for.
    pub options: DialOptions,
    /// Where callees have redirected it to.
    pub visited: Vec<String>,
    /// The time limit.
    timer: TimerId,
    /// When the caller is told again that it rings.
    pub refresh: TimerId,
    /// What is told if all fail.
    failure: Option<Failure>,
    /// The callee whose early media the caller hears.
    early: Option<LegNo>,
    /// It is a Page.
    pub page: Option<Page>,
}

impl Call {
    /// Begins a Dial. The phase is Dialling afterwards, or Ready if no target could be tried.
    pub(super) fn dial(&mut self, ctx: &mut Context, now: Instant, request: &DialRequest) {
        for name in ["DIALEDPEERNUMBER", "DIALEDTIME", "ANSWEREDTIME"] {
            self.execution.set_variable(name, String::new());
        }
        let targets: Vec<&DialTarget> = request.targets.iter().take(TARGETS_MAX).collect();
        let branches = self.branches(ctx, now, (request, &targets), RINGING_MAX);
        let options = DialOptions::of(request);
        if let Err(failure) = self.open_caller_media(ctx, now, 1 + branches.len()) {
            return self.dial_failed(ctx, now, failure);
        }
        self.begin_dialling(ctx, now, (branches, request.timeout), options, None);
        match request.option('m') {
            Some(class) => self.entertain(ctx, now, class),
            None if options.rings_at_once => self.ring_caller(ctx, now),
            None => {}
        }
        self.ring_all(ctx, now);
    }

    /// What these branches ring is waited for from now on.
    pub(super) fn begin_dialling(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        (branches, timeout): (Vec<Branch>, Option<Duration>),
        options: DialOptions,
        page: Option<Page>,
    ) {
        let limit = timeout.unwrap_or(RING_MAX).min(RING_MAX);
        let mut arm = |after, timer| {
            let timer = Timer::Call(self.key, timer);
            ctx.timers.arm(now, now + after, timer)
        };
        self.phase = Phase::Dialling(Dialling {
            branches,
            began: now,
            options,
            visited: Vec::new(),
            timer: arm(limit, CallTimer::Dial),
            refresh: arm(REFRESH, CallTimer::Refresh),
            failure: None,
            early: None,
            page,
        });
    }

    /// The branches of these targets, at most so many, with what runs before each is called.
    pub(super) fn branches(
        &self,
        ctx: &mut Context,
        now: Instant,
        (request, targets): (&DialRequest, &[&DialTarget]),
        branches_max: usize,
    ) -> Vec<Branch> {
        let mut branches = Vec::new();
        for target in targets {
            branches.extend(branches_of(&self.setup, ctx, now, target));
        }
        branches.truncate(branches_max);
        let before = self.before_dial(&self.execution, request);
        for branch in &mut branches {
            for candidate in &mut branch.candidates {
                candidate.before.clone_from(&before);
            }
        }
        branches
    }

    /// Rings what a Dial has begun with.
    pub(super) fn ring_all(&mut self, ctx: &mut Context, now: Instant) {
        let count = match &self.phase {
            Phase::Dialling(dialling) => dialling.branches.len(),
            _ => 0,
        };
        for index in 0..count {
            self.try_branch(ctx, now, index);
        }
        self.end_dial_if_all_failed(ctx, now);
    }

    /// Tries a target's candidates until one rings or waits for its address.
    pub(super) fn try_branch(&mut self, ctx: &mut Context, now: Instant, index: usize) {
        loop {
            let Phase::Dialling(dialling) = &mut self.phase else {
                return;
            };
            let branch = &mut dialling.branches[index];
            let Some(candidate) = branch.candidates.pop_front() else {
                branch.state = BranchState::Done;
                match branch.redirects.pop_front() {
                    Some(redirect) => self.begin_forward(ctx, now, index, redirect),
                    None => dialling.note(index, None),
                }
                return;
            };
            branch.forwarded.clone_from(&candidate.forwarded);
            let tried = match self.try_candidate(ctx, now, candidate) {
                Ok(tried) => tried,
                Err(failure) => {
                    self.note_failure(index, failure);
                    continue;
                }
            };
            if let Phase::Dialling(dialling) = &mut self.phase {
                let branch = &mut dialling.branches[index];
                (branch.state, branch.elsewhere) = tried;
            }
            return self.await_response(ctx, now, index);
        }
    }

    /// Asks a candidate at the first of its addresses. With it, the candidate at those that are left.
    fn try_candidate(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        mut candidate: Candidate,
    ) -> Result<(BranchState, Option<Candidate>), Failure> {
        let mut flows = match candidate.flows.take() {
            Some(flows) => flows,
            None => match self.locate(ctx, now, &candidate) {
                Located::Now(flows) => VecDeque::from(flows),
                Located::Later => {
                    return Ok((BranchState::Resolving(Box::new(candidate)), None));
                }
                Located::Nowhere => VecDeque::new(),
            },
        };
        let unreachable = Failure::of_cause(Cause::NO_ROUTE);
        let flow = flows.pop_front().ok_or(unreachable)?;
        let leg = self.invite(ctx, now, &candidate, flow)?;
        let elsewhere = (!flows.is_empty()).then_some(Candidate {
            flows: Some(flows),
            ..candidate
        });
        Ok((BranchState::Ringing(leg), elsewhere))
    }

    fn locate(&self, ctx: &mut Context, now: Instant, candidate: &Candidate) -> Located {
        let endpoint = self.setup.endpoint(candidate.endpoint);
        let route = candidate.route(&ctx.registrations, &endpoint.name).first();
        // RFC 3261 §8.1.2: the first route says where the request goes.
        let hop = route.and_then(|route| NameAddr::parse(route));
        let next_hop = hop.map_or_else(|| candidate.uri.clone(), |hop| hop.uri);
        let (settings, waiter) = (self.setup.settings(), Waiter::Call(self.key));
        ctx.locate(now, settings, &next_hop, endpoint.transport, waiter)
    }

    /// The callee has been heard of: another address would ring it again.
    pub(super) fn stay_with(&mut self, leg: LegNo) {
        if let Phase::Dialling(dialling) = &mut self.phase
            && let Some(index) = dialling.branch_of_leg(leg)
        {
            dialling.branches[index].elsewhere = None;
        }
    }

    /// An address that a target waits for is known, or known not to be.
    pub fn on_resolved(&mut self, ctx: &mut Context, now: Instant) {
        let Phase::Dialling(dialling) = &mut self.phase else {
            return;
        };
        let mut waiting = Vec::new();
        for (index, branch) in dialling.branches.iter_mut().enumerate() {
            match std::mem::replace(&mut branch.state, BranchState::Next) {
                BranchState::Resolving(candidate) => {
                    branch.candidates.push_front(*candidate);
                    waiting.push(index);
                }
                other => branch.state = other,
            }
        }
        for index in waiting {
            self.try_branch(ctx, now, index);
        }
        self.end_dial_if_all_failed(ctx, now);
        self.advance(ctx, now);
    }

    pub(super) fn note_failure(&mut self, index: usize, failure: Failure) {
        if let Phase::Dialling(dialling) = &mut self.phase {
            dialling.note(index, Some(failure));
        }
    }

    /// A callee's leg is over without an answer.
    pub(super) fn on_callee_failed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        leg: LegNo,
        outcome: Outcome,
        failure: Failure,
    ) {
        let Phase::Dialling(dialling) = &mut self.phase else {
            return;
        };
        if dialling.early == Some(leg) {
            dialling.early = None;
        }
        if let Some(index) = dialling.branch_of_leg(leg) {
            let branch = &mut dialling.branches[index];
            let elsewhere = branch.elsewhere.take();
            let elsewhere = elsewhere.filter(|_| outcome.is_of_address());
            if let Some(candidate) = elsewhere {
                // What the callee says there counts, not what became of this address.
                branch.candidates.push_front(candidate);
                self.try_branch(ctx, now, index);
                return self.end_dial_if_all_failed(ctx, now);
            }
            dialling.note(index, Some(failure));
            let branch = &mut dialling.branches[index];
            if branch.goes_on_after(outcome) {
                self.try_branch(ctx, now, index);
            } else {
                branch.state = BranchState::Done;
            }
        }
        self.end_dial_if_all_failed(ctx, now);
    }

    pub(super) fn end_dial_if_all_failed(&mut self, ctx: &mut Context, now: Instant) {
        self.resume_forwards(ctx, now);
        let Phase::Dialling(dialling) = &self.phase else {
            return;
        };
        let is_done = |branch: &Branch| matches!(branch.state, BranchState::Done);
        if dialling.branches.iter().all(is_done) {
            let failure = dialling.failure;
            self.cancel_dial_timers(ctx);
            let failure = failure.unwrap_or(Failure::of_cause(Cause::ABSENT));
            self.dial_failed(ctx, now, failure);
        }
    }

    fn cancel_dial_timers(&mut self, ctx: &mut Context) {
        if let Phase::Dialling(dialling) = &self.phase {
            ctx.timers.cancel(dialling.timer);
            ctx.timers.cancel(dialling.refresh);
            for branch in &dialling.branches {
                if let BranchState::Forwarding(forward) = &branch.state
                    && let Some(timer) = forward.timer
                {
                    ctx.timers.cancel(timer);
                }
            }
        }
    }

    /// Stops a Dial for the caller's sake, which somebody else has now.
    pub(super) fn stop_dialling(&mut self, ctx: &mut Context, now: Instant, reason: &str) {
        self.cancel_dial_timers(ctx);
        self.cancel_callees(ctx, now, None, Some(reason), None);
    }

    /// The Dial is over without an answer; the dialplan goes on.
    fn dial_failed(&mut self, ctx: &mut Context, now: Instant, failure: Failure) {
        if self.on_page_called(ctx, now) {
            return;
        }
        self.hush_caller(ctx);
        self.failure = Some(failure);
        self.set_dial_variables(failure.dial_status, failure.cause);
        self.phase = Phase::Ready;
    }

    /// The Dial's time is over.
    pub(super) fn on_dial_timeout(&mut self, ctx: &mut Context, now: Instant) {
        self.cancel_dial_timers(ctx);
        self.cancel_callees(ctx, now, None, None, Some(480));
        let failure = Failure {
            status: 480,
            cause: Cause::NO_ANSWER,
            dial_status: DialStatus::NoAnswer,
        };
        self.dial_failed(ctx, now, failure);
    }

    /// Stops a Dial for good: the caller has hung up, or the call ends.
    pub(super) fn abandon_dial(&mut self, ctx: &mut Context, now: Instant, reason: Option<&str>) {
        self.cancel_dial_timers(ctx);
        self.cancel_callees(ctx, now, None, reason, None);
        self.set_dial_variables(DialStatus::Cancel, Cause::NORMAL);
    }

    /// Cancels every callee that rings, but this one.
    fn cancel_callees(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        but: Option<LegNo>,
        reason: Option<&str>,
        told: Option<u16>,
    ) {
        let ringing: Vec<LegNo> = self
            .callees
            .iter()
            .filter(|leg| matches!(leg.state, LegState::Calling(_)) && Some(leg.no) != but)
            .map(|leg| leg.no)
            .collect();
        for leg in ringing {
            self.cancel_callee(ctx, now, leg, reason, told);
        }
    }

    /// A callee rings.
    pub(super) fn on_callee_rings(&mut self, ctx: &mut Context, now: Instant) {
        if matches!(self.phase, Phase::Dialling(_)) && !self.is_paging() {
            self.tell_transferer(ctx, now, 180);
            self.ring_caller(ctx, now);
        }
    }

    /// A callee has early media: the caller hears it, if it is the only one that is dialled.
    pub(super) fn on_callee_progress(&mut self, ctx: &mut Context, now: Instant, leg: LegNo) {
        let Phase::Dialling(dialling) = &mut self.phase else {
            return;
        };
        if dialling.is_parallel() || dialling.options.rings_at_once {
            return self.on_callee_rings(ctx, now);
        }
        dialling.early = Some(leg);
        let far = self.far(leg);
        self.tell_transferer(ctx, now, 183);
        self.progress_caller(ctx, now, far.as_ref());
        self.join(ctx);
    }

    /// A callee has answered first, or one of a Page.
    pub(super) fn on_callee_answered(&mut self, ctx: &mut Context, now: Instant, leg: LegNo) {
        if self.on_paged(ctx, now, leg) {
            return;
        }
        self.cancel_dial_timers(ctx);
        self.cancel_callees(ctx, now, Some(leg), Some(ANSWERED_ELSEWHERE), None);
        self.note_answer(ctx, now, leg);
        self.phase = Phase::Bridged { callee: leg };
        self.set_dial_variables(DialStatus::Answer, Cause::NORMAL);
        // Who picked the call up may have made no offer: its ACK tells.
        let far = self.far(leg).filter(|far| !far.formats.is_empty());
        if self.answer_caller(ctx, now, far.as_ref()).is_err() {
            return self.end_by_us(
                ctx,
                now,
                Cause::NO_CODEC,
                "the callee's answer leaves no common codec",
            );
        }
        self.join(ctx);
        self.settle(ctx, now, Side::Callee);
        self.transfer_succeeded(ctx, now);
    }

    /// Keeps who has answered, for the dialplan.
    fn note_answer(&mut self, ctx: &mut Context, now: Instant, leg: LegNo) {
        let Phase::Dialling(dialling) = &self.phase else {
            return;
        };
        let limit = dialling.options.limit.map(|limit| {
            let timer = Timer::Call(self.key, CallTimer::Limit);
            ctx.timers.arm(now, now + limit, timer)
        });
        let before = self.talk.replace(Talk {
            dialled: dialling.began,
            answered: now,
            goes_on: dialling.options.goes_on,
            limit,
        });
        if let Some(limit) = before.and_then(|talk| talk.limit) {
            ctx.timers.cancel(limit);
        }
        let branch = dialling.branch_of_leg(leg);
        let peer = branch.map(|branch| dialling.branches[branch].dialled.clone());
        let peer = peer.unwrap_or_default();
        self.execution.set_variable("DIALEDPEERNUMBER", peer);
    }

    /// What a callee can do, for the caller's answer.
    pub(super) fn far(&self, leg: LegNo) -> Option<Far> {
        let media = self.leg(leg).and_then(Leg::media)?;
        Some(Far {
            formats: media.formats().to_vec(),
            direction: media.peer_direction(),
            ptime_ms: media.ptime_ms(),
        })
    }

    /// The callee that the caller talks to.
    pub(super) fn partner(&self) -> Option<LegNo> {
        match self.phase {
            Phase::Bridged { callee } => Some(callee),
            _ => None,
        }
    }

    /// The callee whose media belongs to the caller's now.
    pub(super) fn joined(&self) -> Option<LegNo> {
        match &self.phase {
            Phase::Bridged { callee, .. } => Some(*callee),
            Phase::Dialling(dialling) => dialling.early,
            _ => None,
        }
    }
}

impl Dialling {
    /// Notes how a branch has failed, for the forwarding that it rings for or for the Dial.
    fn note(&mut self, index: usize, failure: Option<Failure>) {
        let parent = self.branches[index].parent;
        let noted = match parent.map(|parent| &mut self.branches[parent].state) {
            Some(BranchState::Forwarding(forward)) => &mut forward.failure,
            _ => &mut self.failure,
        };
        *noted = match (*noted, failure) {
            (Some(old), Some(new)) => Some(old.better(new)),
            (old, new) => new.or(old),
        };
    }

    /// The branch in which this leg rings.
    pub fn branch_of_leg(&self, leg: LegNo) -> Option<usize> {
        let is_its =
            |branch: &Branch| matches!(branch.state, BranchState::Ringing(no) if no == leg);
        self.branches.iter().position(is_its)
    }

    /// The branch is forwarded, and nothing rings for its forwarding.
    pub fn is_idle_forward(&self, index: usize) -> bool {
        let is_over = |branch: &Branch| {
            branch.parent != Some(index) || matches!(branch.state, BranchState::Done)
        };
        matches!(self.branches[index].state, BranchState::Forwarding(_))
            && self.branches.iter().all(is_over)
    }

    /// Several callees may ring at once, so that none is heard before it answers.
    fn is_parallel(&self) -> bool {
        let counts = |branch: &&Branch| match branch.state {
            BranchState::Forwarding(_) => false,
            BranchState::Done => branch.parent.is_none(),
            _ => true,
        };
        self.branches.iter().filter(counts).count() > 1
    }
}
