//! A callee answers 300, 301 or 302: the call goes where its Contacts say (RFC 3261 §8.1.3.4).
//!
//! What that means is the callee's `redirect_method`:
//!
//! * `user` (the default): the user of the Contact is an extension of the context of the callee's endpoint, so that a
//!   telephone can forward its calls only to where it may call itself. The extension runs beside the caller's dialplan,
//!   which stays in its Dial: what it dials rings as a branch of that Dial; where it ends, the branch has failed. An
//!   extension that does anything else with the caller (it answers, plays, waits) takes the caller over, and every
//!   other branch is cancelled.
//! * `uri_pjsip`: the Contact itself is asked, in the name of the same endpoint.
//!
//! ```text
//!  branch  Ringing ──302──► Forwarding ──Dial──► children ring ──one answers──► the Dial is answered
//!                            ▲     │                  │
//!                            └─────│── all failed ────┘
//!                                  └── Hangup: Done
//! ```
//!
//! Each forwarding adds a Diversion. A call that comes to the same place twice goes in circles: 482; after
//! [`HOPS_MAX`] forwardings in a row: 483.

use super::Dialling;
use super::branch::{Branch, BranchState, Candidate};
use super::targets::branches_of;
use crate::config::settings::{Endpoint, EndpointId, RedirectMethod};
use crate::control::call::cause::{ANSWERED_ELSEWHERE, Cause, Failure};
use crate::control::call::channel::CallChannel;
use crate::control::call::identity::diversion::{DIVERSIONS_MAX, Diversion, Reason, diversions_of};
use crate::control::call::identity::headers::AddedHeaders;
use crate::control::call::script::Trace;
use crate::control::call::{Call, Facts, LegNo, Phase};
use crate::control::context::{CallTimer, Context, Timer};
use crate::control::dialplan::{Action, DialRequest, DialStatus, Execution};
use crate::sip::message::{Headers, NameAddr, Response, Scheme, Uri};
use crate::sip::timer::TimerId;
use std::sync::Arc;
use std::time::Instant;

/// Most forwardings in a row.
pub const HOPS_MAX: u8 = 5;

/// Most Contacts of one redirection that are tried; further ones are left out.
pub const CONTACTS_MAX: usize = 8;

/// Most branches that one Dial has, those of forwardings among them. Beyond it a forwarded Dial fails.
pub const BRANCHES_MAX: usize = 64;

/// What the INVITEs of a forwarded call say: who calls and who forwarded, and what the dialplan added.
#[derive(Clone, Debug)]
pub(in crate::control::call) struct Forwarded {
    /// Who calls, whom, and who forwarded.
    pub facts: Facts,
    /// Headers of the dialplan.
    pub added: AddedHeaders,
    /// Forwardings so far.
    hops: u8,
}

/// An extension that a callee has named.
#[derive(Debug)]
pub(in crate::control::call) struct Redirect {
    context: String,
    extension: String,
    forwarded: Forwarded,
}

/// A branch whose callee has named an extension, which runs.
#[derive(Debug)]
pub(in crate::control::call) struct Forward {
    execution: Execution,
    forwarded: Forwarded,
    /// Limits its Dial.
    pub timer: Option<TimerId>,
    /// Of its last Dial.
    pub failure: Option<Failure>,
}

impl Call {
    /// Goes where a callee redirects the call that was sent to `asked`.
    ///
    /// # Errors
    /// It does not; with the failure if the call would go in circles, without if this is no redirection to follow.
    pub(super) fn follow(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        asked: &Uri,
        response: &Response,
    ) -> Result<(), Option<Failure>> {
        let endpoint = self.leg(no).map(|leg| leg.endpoint).ok_or(None)?;
        let contacts = contacts_of(response.headers());
        let Phase::Dialling(dialling) = &self.phase else {
            return Err(None);
        };
        let is_followed = matches!(response.status(), 300..=302) && dialling.options.follows;
        if !is_followed || contacts.is_empty() {
            return Err(None);
        }
        let index = dialling.branch_of_leg(no).ok_or(None)?;
        let before = dialling.branches[index].forwarded.clone();
        let forwarded = self.forwarded_by(endpoint, asked, before.as_deref(), response);
        let callee = self.setup.endpoint(endpoint);
        tracing::info!(
            call = self.id,
            endpoint = callee.name,
            status = response.status(),
            contacts = contacts.len(),
            hops = forwarded.hops,
            "callee redirects the call"
        );
        if forwarded.hops > HOPS_MAX {
            return Err(Some(circle(483)));
        }
        let Phase::Dialling(dialling) = &mut self.phase else {
            return Err(None);
        };
        let news = dialling.not_visited(callee, contacts);
        if news.is_empty() {
            return Err(Some(circle(482)));
        }
        dialling.branches[index].redirect(endpoint, callee, news, forwarded);
        self.try_branch(ctx, now, index);
        self.end_dial_if_all_failed(ctx, now);
        Ok(())
    }

    /// What is told of the call when the callee of this leg has forwarded it.
    fn forwarded_by(
        &self,
        endpoint: EndpointId,
        asked: &Uri,
        before: Option<&Forwarded>,
        response: &Response,
    ) -> Forwarded {
        let own = self.setup.endpoint(endpoint).callerid.as_ref();
        let uri = asked.user_decoded().filter(|user| !user.is_empty());
        let number = own.map(|own| own.number.clone()).filter(|n| !n.is_empty());
        let told = diversions_of(response.headers()).into_iter().next();
        let diversion = Diversion {
            number: number.or(uri).unwrap_or_else(|| self.facts.called.clone()),
            name: own.map(|own| own.name.clone()).unwrap_or_default(),
            reason: told
                .as_ref()
                .map_or(Reason::Unconditional, |told| told.reason),
            is_private: told.is_some_and(|told| told.is_private),
        };
        let mut forwarded = before.cloned().unwrap_or_else(|| Forwarded {
            facts: self.facts.clone(),
            added: self.added.clone(),
            hops: 0,
        });
        forwarded.hops += 1;
        let diversions = &mut forwarded.facts.diversions;
        diversions.insert(0, diversion);
        diversions.truncate(DIVERSIONS_MAX);
        forwarded
    }

    /// Enters the extension that a branch is forwarded to.
    pub(super) fn begin_forward(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        index: usize,
        redirect: Redirect,
    ) {
        let Redirect {
            context,
            extension,
            mut forwarded,
        } = redirect;
        let plan = self.setup.dialplan().clone();
        if !plan.has_extension(&context, &extension) {
            tracing::warn!(
                call = self.id,
                context,
                extension,
                "redirected to no such extension"
            );
        }
        forwarded.facts.called.clone_from(&extension);
        forwarded.facts.context.clone_from(&context);
        let inherited = self.execution.inherited_variables();
        let execution =
            Execution::start(plan, &context, &extension, inherited).with_seed(ctx.rng.u64(..));
        let forward = Box::new(Forward {
            execution,
            forwarded,
            timer: None,
            failure: None,
        });
        self.run_forward(ctx, now, index, forward);
    }

    /// Goes on in a forwarding's extension until something rings, or it ends.
    pub(super) fn run_forward(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        index: usize,
        mut forward: Box<Forward>,
    ) {
        loop {
            let action = self.next_action(ctx, &mut forward);
            match action {
                Action::Dial(request) => match self.dial_for(ctx, now, index, forward, &request) {
                    Some(failed) => forward = failed,
                    None => return,
                },
                Action::Ringing | Action::Progress => self.ring_caller(ctx, now),
                Action::Wait(_) if self.others_ring(index) => {}
                Action::Hangup(_) | Action::Busy(_) | Action::Congestion(_) => {
                    let cause = match action {
                        Action::Busy(_) => Some(Cause::BUSY),
                        Action::Congestion(_) => Some(Cause::CONGESTION),
                        Action::Hangup(cause) => cause.map(Cause),
                        _ => None,
                    };
                    let failure = match (cause, forward.failure) {
                        (Some(cause), Some(failure)) if failure.cause == cause => failure,
                        (Some(cause), _) => Failure::of_cause(cause),
                        (None, Some(failure)) => failure,
                        (None, None) => Failure::of_cause(Cause::NO_ANSWER),
                    };
                    return self.forward_failed(ctx, now, index, failure);
                }
                action => return self.take_over(ctx, now, *forward, action),
            }
        }
    }

    fn next_action(&mut self, ctx: &Context, forward: &mut Forward) -> Action {
        let mut channel = CallChannel {
            facts: &mut forward.forwarded.facts,
            invite: self.invite.as_ref(),
            added: &mut forward.forwarded.added,
            epoch: ctx.surroundings.unix_time(),
        };
        let mut trace = Trace::of(&self.id, &mut self.steps);
        forward
            .execution
            .advance(&mut channel, &mut |step| trace.note(step))
    }

    /// Rings what a forwarding's extension dials. Gives the forwarding back if nothing rings.
    fn dial_for(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        index: usize,
        mut forward: Box<Forward>,
        request: &DialRequest,
    ) -> Option<Box<Forward>> {
        let before = self.before_dial(&forward.execution, request);
        let Phase::Dialling(dialling) = &mut self.phase else {
            return None;
        };
        let room = BRANCHES_MAX.saturating_sub(dialling.branches.len());
        if request.targets.len() > room {
            tracing::warn!(call = self.id, "a redirected call dials too many targets");
            let failure = Failure::of_cause(Cause::CONGESTION);
            forward
                .execution
                .dial_finished(failure.dial_status, failure.cause.0);
            forward.failure = Some(failure);
            return Some(forward);
        }
        let first = dialling.branches.len();
        let forwarded = Arc::new(forward.forwarded.clone());
        let targets = request.targets.iter();
        let branches = targets.flat_map(|target| branches_of(&self.setup, ctx, now, target));
        for mut branch in branches.take(room) {
            branch.parent = Some(index);
            for candidate in &mut branch.candidates {
                candidate.forwarded = Some(Arc::clone(&forwarded));
                candidate.before.clone_from(&before);
            }
            dialling.branches.push(branch);
        }
        forward.failure = None;
        forward.timer = request.timeout.map(|timeout| {
            let place = u16::try_from(index).expect("fewer than BRANCHES_MAX");
            let timer = Timer::Call(self.key, CallTimer::Forward(place));
            ctx.timers.arm(now, now + timeout, timer)
        });
        let last = dialling.branches.len();
        dialling.branches[index].state = BranchState::Forwarding(forward);
        for child in first..last {
            self.try_branch(ctx, now, child);
        }
        self.take_idle_forward(ctx, index)
    }

    /// The forwarding of a branch, if nothing rings for it any more; it is told how its Dial ended.
    fn take_idle_forward(&mut self, ctx: &mut Context, index: usize) -> Option<Box<Forward>> {
        let Phase::Dialling(dialling) = &mut self.phase else {
            return None;
        };
        if !dialling.is_idle_forward(index) {
            return None;
        }
        let state = std::mem::replace(&mut dialling.branches[index].state, BranchState::Next);
        let BranchState::Forwarding(mut forward) = state else {
            return None;
        };
        if let Some(timer) = forward.timer.take() {
            ctx.timers.cancel(timer);
        }
        let failure = forward.failure.unwrap_or(Failure::of_cause(Cause::ABSENT));
        forward.failure = Some(failure);
        forward
            .execution
            .dial_finished(failure.dial_status, failure.cause.0);
        Some(forward)
    }

    /// Lets every forwarding go on whose Dial has failed.
    pub(super) fn resume_forwards(&mut self, ctx: &mut Context, now: Instant) {
        loop {
            let Phase::Dialling(dialling) = &self.phase else {
                return;
            };
            let mut all = 0..dialling.branches.len();
            let Some(index) = all.find(|index| dialling.is_idle_forward(*index)) else {
                return;
            };
            if let Some(forward) = self.take_idle_forward(ctx, index) {
                self.run_forward(ctx, now, index, forward);
            }
        }
    }

    /// The time of a forwarding's Dial is over.
    pub(in crate::control::call) fn on_forward_timeout(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        index: u16,
    ) {
        let index = usize::from(index);
        let Phase::Dialling(dialling) = &mut self.phase else {
            return;
        };
        let Some(BranchState::Forwarding(forward)) = dialling
            .branches
            .get_mut(index)
            .map(|branch| &mut branch.state)
        else {
            return;
        };
        forward.timer = None;
        forward.failure = Some(Failure {
            status: 480,
            cause: Cause::NO_ANSWER,
            dial_status: DialStatus::NoAnswer,
        });
        let ringing = dialling.close_below(ctx, index);
        for leg in ringing {
            self.cancel_callee(ctx, now, leg, None, Some(480));
        }
        self.end_dial_if_all_failed(ctx, now);
    }

    /// The extension has ended: the branch goes to its next Contact, or has failed.
    fn forward_failed(&mut self, ctx: &mut Context, now: Instant, index: usize, failure: Failure) {
        self.note_failure(index, failure);
        if let Phase::Dialling(dialling) = &mut self.phase {
            dialling.branches[index].state = BranchState::Next;
        }
        self.try_branch(ctx, now, index);
    }

    fn others_ring(&self, index: usize) -> bool {
        let Phase::Dialling(dialling) = &self.phase else {
            return false;
        };
        let mut others = dialling.branches.iter().enumerate();
        others.any(|(other, branch)| other != index && !matches!(branch.state, BranchState::Done))
    }

    /// The extension wants the caller for itself: the caller's dialplan goes on there, and nobody rings any more.
    fn take_over(&mut self, ctx: &mut Context, now: Instant, forward: Forward, action: Action) {
        self.stop_dialling(ctx, now, ANSWERED_ELSEWHERE);
        self.execution = forward.execution;
        self.facts = forward.forwarded.facts;
        self.added = forward.forwarded.added;
        self.phase = Phase::Ready;
        self.perform(ctx, now, action);
    }
}

impl Dialling {
    /// Closes every branch that rings for a forwarding, and those that ring for theirs. Their legs are to be cancelled.
    fn close_below(&mut self, ctx: &mut Context, index: usize) -> Vec<LegNo> {
        let mut closed = vec![index];
        let mut ringing = Vec::new();
        // A branch stands behind the one that it rings for.
        for (at, branch) in self.branches.iter_mut().enumerate() {
            if !branch.parent.is_some_and(|parent| closed.contains(&parent)) {
                continue;
            }
            closed.push(at);
            branch.candidates.clear();
            branch.redirects.clear();
            match std::mem::replace(&mut branch.state, BranchState::Done) {
                BranchState::Ringing(leg) => ringing.push(leg),
                BranchState::Forwarding(forward) => {
                    if let Some(timer) = forward.timer {
                        ctx.timers.cancel(timer);
                    }
                }
                _ => {}
            }
        }
        ringing
    }

    /// Those of a redirection's Contacts that the Dial has not been sent to before.
    fn not_visited(&mut self, callee: &Endpoint, contacts: Vec<Uri>) -> Vec<Uri> {
        let visited = &mut self.visited;
        let is_news = |contact: &Uri| {
            let place = match callee.redirect_method {
                RedirectMethod::User => {
                    let user = contact.user_decoded().unwrap_or_default();
                    format!("{user}@{}", callee.context)
                }
                RedirectMethod::UriPjsip => contact.to_string(),
            };
            let is_news = !visited.contains(&place);
            if is_news {
                visited.push(place);
            }
            is_news
        };
        contacts.into_iter().filter(is_news).collect()
    }
}

impl Branch {
    /// What it tries next.
    fn redirect(
        &mut self,
        endpoint: EndpointId,
        callee: &Endpoint,
        contacts: Vec<Uri>,
        forwarded: Forwarded,
    ) {
        match callee.redirect_method {
            RedirectMethod::User => {
                let redirects = contacts.iter().map(|contact| Redirect {
                    context: callee.context.clone(),
                    extension: contact.user_decoded().unwrap_or_default(),
                    forwarded: forwarded.clone(),
                });
                self.redirects.extend(redirects);
            }
            RedirectMethod::UriPjsip => {
                let forwarded = Some(Arc::new(forwarded));
                for uri in contacts.into_iter().rev() {
                    let forwarded = forwarded.clone();
                    self.candidates.push_front(Candidate {
                        forwarded,
                        ..Candidate::new(endpoint, uri)
                    });
                }
            }
        }
    }
}

/// A redirection that leads nowhere.
fn circle(status: u16) -> Failure {
    Failure {
        status,
        cause: Cause::ROUTING_ERROR,
        dial_status: DialStatus::Congestion,
    }
}

/// The Contacts of a redirection, the best first (RFC 3261 §20.10: q, 1 where it is left out).
fn contacts_of(headers: &Headers) -> Vec<Uri> {
    let contacts = headers.values("Contact").filter_map(NameAddr::parse);
    let mut ranked: Vec<(u16, Uri)> = contacts
        .map(|contact| {
            let q = contact.params.get("q").and_then(|q| q.parse::<f32>().ok());
            let q = (q.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u16;
            (q, contact.uri)
        })
        .filter(|(_, uri)| {
            let is_callable = matches!(uri.scheme, Scheme::Sip | Scheme::Sips | Scheme::Tel);
            is_callable && uri.user.as_deref().is_some_and(|user| !user.is_empty())
        })
        .take(CONTACTS_MAX)
        .collect();
    ranked.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    ranked.into_iter().map(|(_, uri)| uri).collect()
}
