//! Where a URI's requests go: the flows to try, in order (RFC 3263 §4). The one place that calls, registrations and
//! pings ask.
//!
//! | file | concept |
//! |---|---|
//! | `names` | what the DNS has said |
//! | `resolving` | who waits for the DNS |
//! | `outages` | addresses that failed lately |
//! | `domains` | what TLS peers must prove to be |
//! | `path` | our addresses, as a peer sees them |

pub mod domains;
pub mod names;
pub mod outages;
pub mod path;
mod resolving;

use super::call::CallKey;
use super::context::Context;
use super::controller::Output;
use super::outside::OutsideKey;
use crate::config::Settings;
use crate::sip::flow::{Flow, Protocol, TransportId};
use crate::sip::message::Uri;
use crate::sip::resolve::{Question, Resolved, Target, Wanted, resolve};
use names::Asking;
use path::Destination;
use std::time::Instant;

/// Who waits for what the DNS says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiter {
    /// A call that dials.
    Call(CallKey),
    /// A request outside a dialog.
    Outside(OutsideKey),
}

/// What is known of a URI's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Located {
    /// The flows to try, best first, those that failed lately last; at least one.
    Now(Vec<Flow>),
    /// Its host name is looked up: the waiter is told, and asks again.
    Later,
    /// It has no address, or none that a transport of ours reaches.
    Nowhere,
}

impl Context {
    /// Where a request to `uri` goes: over `transport` where that fits, else over the first transport that does. The
    /// protocol is the URI's, else that of `transport`, else what the DNS says.
    pub fn locate(
        &mut self,
        now: Instant,
        settings: &Settings,
        uri: &Uri,
        transport: Option<TransportId>,
        waiter: Waiter,
    ) -> Located {
        let Some(destination) = Destination::of(uri) else {
            return Located::Nowhere;
        };
        let available = destination.protocols(settings, transport);
        let wanted = Wanted {
            host: &destination.host,
            port: destination.port,
            protocol: destination.protocol,
            available: &available,
        };
        let Context { names, rng, .. } = self;
        let known = |question: &Question| names.known(now, question);
        match resolve(&wanted, &known, &mut |n| rng.u32(0..n.max(1))) {
            Resolved::Targets(targets) => {
                self.flows(now, settings, &destination, transport, &targets)
            }
            Resolved::Missing(questions) => self.look_up(now, questions, waiter),
        }
    }

    fn flows(
        &mut self,
        now: Instant,
        settings: &Settings,
        destination: &Destination,
        transport: Option<TransportId>,
        targets: &[Target],
    ) -> Located {
        let mut flows: Vec<Flow> = targets
            .iter()
            .filter_map(|target| flow(settings, transport, target))
            .filter_map(|flow| self.domains.name(flow, &destination.host))
            .collect();
        self.outages.sort(now, &mut flows);
        match flows.is_empty() {
            true => Located::Nowhere,
            false => Located::Now(flows),
        }
    }

    fn look_up(&mut self, now: Instant, questions: Vec<Question>, waiter: Waiter) -> Located {
        let mut located = Located::Nowhere;
        for question in questions {
            match self.names.wait(now, &question, waiter) {
                Asking::Ask => {
                    self.outputs.push_back(Output::Resolve { question });
                    located = Located::Later;
                }
                Asking::Asked => located = Located::Later,
                Asking::Full => tracing::warn!(?question, "too many names, this one is not asked"),
            }
        }
        located
    }
}

impl Destination {
    /// The protocols that may be chosen from, best first.
    fn protocols(&self, settings: &Settings, own: Option<TransportId>) -> Vec<Protocol> {
        let own = own.and_then(|id| settings.transports.get(usize::from(id.0)));
        match (self.protocol, own) {
            (None, Some(own)) => vec![own.protocol],
            _ => [Protocol::Udp, Protocol::Tcp, Protocol::Tls]
                .into_iter()
                .filter(|one| settings.transports.iter().any(|t| t.protocol == *one))
                .collect(),
        }
    }
}

/// The flow to a target: over `own` transport (of an endpoint or registration) where it fits, else over the first that
/// does. None if none does. It names no domain yet.
fn flow(settings: &Settings, own: Option<TransportId>, target: &Target) -> Option<Flow> {
    let fits = |id: &TransportId| {
        let transport = settings.transports.get(usize::from(id.0));
        transport.is_some_and(|transport| {
            transport.protocol == target.protocol
                && transport.bind.is_ipv4() == target.address.is_ipv4()
        })
    };
    let all = (0..).map(TransportId).take(settings.transports.len());
    let transport = own.into_iter().chain(all).find(fits)?;
    Some(Flow {
        transport,
        protocol: target.protocol,
        peer: target.address,
        domain: None,
    })
}
