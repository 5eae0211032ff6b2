//! Where a URI's requests go: the flows to try, in order. The one place that calls, registrations and pings ask.

use super::call::CallKey;
use super::context::Context;
use super::controller::Output;
use super::hosts::Lookup;
use super::outside::OutsideKey;
use super::path::Destination;
use crate::config::Settings;
use crate::sip::flow::{Flow, TransportId};
use crate::sip::message::{Host, Uri};
use std::net::IpAddr;
use std::time::Instant;

/// Who waits for a host name's addresses.
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
    /// The flows to try, best first; at least one.
    Now(Vec<Flow>),
    /// Its host name is looked up: the waiter is told, and asks again.
    Later,
    /// It has no address, or none that a transport of ours reaches.
    Nowhere,
}

impl Context {
    /// Where a request to `uri` goes: over `transport` where that fits, else over the first transport that does.
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
        let addresses = match &destination.host {
            Host::V4(address) => vec![IpAddr::V4(*address)],
            Host::V6(address) => vec![IpAddr::V6(*address)],
            Host::Name(name) => match self.hosts.look_up(now, name, waiter) {
                Lookup::Known(addresses) => addresses,
                Lookup::Pending { ask } => {
                    if ask {
                        let host = name.clone();
                        self.outputs.push_back(Output::Resolve { host });
                    }
                    return Located::Later;
                }
                Lookup::Unknown => return Located::Nowhere,
            },
        };
        let domains = &mut self.domains;
        let flow = |address: &IpAddr| {
            let flow = destination.flow(settings, transport, *address)?;
            domains.name(flow, &destination.host)
        };
        let flows: Vec<Flow> = addresses.iter().filter_map(flow).collect();
        if flows.is_empty() {
            Located::Nowhere
        } else {
            Located::Now(flows)
        }
    }
}
