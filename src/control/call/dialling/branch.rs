//! What a Dial rings: its branches, each with the candidates that are tried in turn.

use super::redirect::{Forward, Forwarded, Redirect};
use crate::config::settings::EndpointId;
use crate::control::call::LegNo;
use crate::control::dialplan::Execution;
use crate::control::outside::register_out::Registrations;
use crate::sip::flow::Flow;
use crate::sip::message::Uri;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// One target, or one of the contacts that are registered for it: those ring together.
pub(in crate::control::call) struct Branch {
    /// As the Dial names it: `${DIALEDPEERNUMBER}`.
    pub dialled: String,
    pub candidates: VecDeque<Candidate>,
    /// The one that is tried, at its other addresses: for a failure of the address, not of the callee.
    pub elsewhere: Option<Candidate>,
    pub failover: Failover,
    pub state: BranchState,
    /// What the candidate is told that was tried last, if the call was forwarded to it.
    pub forwarded: Option<Arc<Forwarded>>,
    /// Extensions that its callees have named, when no candidate is left.
    pub redirects: VecDeque<Redirect>,
    /// The branch whose forwarding it rings for.
    pub parent: Option<usize>,
}

pub(in crate::control::call) enum BranchState {
    /// Nothing tried yet, or the last one failed.
    Next,
    /// The candidate's host name is looked up.
    Resolving(Box<Candidate>),
    /// It rings.
    Ringing(LegNo),
    /// Its callee has named an extension, which runs.
    Forwarding(Box<Forward>),
    /// No candidate is left.
    Done,
}

/// One way to reach a target.
#[derive(Clone, Debug)]
pub(in crate::control::call) struct Candidate {
    pub endpoint: EndpointId,
    /// The Request-URI.
    pub uri: Uri,
    /// Where to: the flow that a phone registered over, where nothing else leads to it, or what its host name comes to,
    /// once it is looked up; those not tried yet.
    pub flows: Option<VecDeque<Flow>>,
    /// Its URI leads to it, rather than the flow of its registration alone.
    pub is_located: bool,
    /// The proxies that its registration came along (RFC 3327 §5.1), the nearest first.
    pub path: Vec<String>,
    /// The call was forwarded to it.
    pub forwarded: Option<Arc<Forwarded>>,
    /// What runs on its channel before it is called.
    pub before: Option<Arc<Execution>>,
}

impl Candidate {
    /// A URI and nothing else.
    pub fn new(endpoint: EndpointId, uri: Uri) -> Candidate {
        Candidate {
            endpoint,
            uri,
            flows: None,
            is_located: true,
            path: Vec::new(),
            forwarded: None,
            before: None,
        }
    }

    /// The proxies before it: those of its own registration with us, else those of ours with its endpoint (RFC 3608).
    pub fn route<'r>(&'r self, registrations: &'r Registrations, endpoint: &str) -> &'r [String] {
        if self.path.is_empty() {
            registrations.service_route(endpoint)
        } else {
            &self.path
        }
    }
}

/// When the next candidate of a target is tried.
#[derive(Clone, Debug)]
pub(in crate::control::call) enum Failover {
    /// The contacts of one endpoint: if there was no answer at all.
    Contacts,
    /// The members of a trunk group: if there was no answer at all, or one of these.
    Group(GroupFailover),
}

/// What lets a trunk group try its next member.
#[derive(Clone, Debug)]
pub(in crate::control::call) struct GroupFailover {
    /// These statuses.
    pub on: Vec<u16>,
    /// No response for so long; 0: as long as the INVITE lives.
    pub response_timeout: Duration,
}

impl Failover {
    /// Whether the next candidate may be tried after this outcome. 486 and 6xx are the callee's own word.
    fn allows(&self, outcome: Outcome) -> bool {
        match (outcome, self) {
            (Outcome::NotTried, _) | (Outcome::NoResponse, _) => true,
            (Outcome::Response(486 | 600..), _) => false,
            (Outcome::Response(status), Failover::Group(group)) => group.on.contains(&status),
            (Outcome::Response(_), Failover::Contacts) => false,
        }
    }
}

/// How a candidate failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control::call) enum Outcome {
    /// It could not even be asked: no route, no port, over its limits.
    NotTried,
    /// Nothing came back.
    NoResponse,
    /// This status.
    Response(u16),
}

impl Outcome {
    /// True if another address of the same host may do better (RFC 3263 §4.3).
    pub fn is_of_address(self) -> bool {
        matches!(self, Outcome::NoResponse | Outcome::Response(503))
    }
}

impl Branch {
    /// Whether the next candidate is tried: by its failover, and among the Contacts of a redirection in any case but
    /// the callee's own word (RFC 3261 §8.1.3.4).
    pub fn goes_on_after(&self, outcome: Outcome) -> bool {
        let next = self.candidates.front();
        let is_redirected = next.is_some_and(|next| next.forwarded.is_some())
            || next.is_none() && !self.redirects.is_empty();
        match outcome {
            Outcome::Response(status) if is_redirected => status != 486 && status < 600,
            _ => self.failover.allows(outcome),
        }
    }
}
