//! Strangers next to a trunk: most likely the provider has moved, and every call from it fails until the configuration
//! follows. Nothing of this makes anybody trusted; it is said in the log, and counted apart from other strangers.

use super::refusals::Refused;
use crate::control::controller::Controller;
use crate::link::query::StrangerRow;
use crate::metrics::RejectReason;
use crate::sip::flow::Flow;
use crate::sip::message::Request;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a neighbour is not told of again.
pub(in crate::control) const QUIET: Duration = Duration::from_secs(3600);

impl Controller {
    /// What a request from an address that identifies nobody is counted as.
    pub(in crate::control) fn stranger(&self, source: IpAddr) -> RejectReason {
        match self.identifier.neighbour(source) {
            Some(_) => RejectReason::Neighbour,
            None => RejectReason::Unidentified,
        }
    }

    /// A neighbour's request is refused.
    pub(super) fn tell_neighbour(&mut self, now: Instant, flow: Flow, request: &Request) {
        let source = flow.peer.ip().to_canonical();
        if !self.neighbours_told.is_news(now, source) {
            return;
        }
        let Some((endpoint, section)) = self.beside(source) else {
            return;
        };
        let (method, from) = (request.method().as_str(), request.headers().get("From"));
        let from = from.unwrap_or("");
        if self.identifier.has_address(source) {
            tracing::warn!(
                source = %flow.peer, method, from, endpoint, section,
                "request refused: its address is this endpoint's, but not on this transport"
            );
        } else {
            tracing::warn!(
                source = %flow.peer, method, from, endpoint, section,
                add = %source,
                "request refused: its address is next to this endpoint's; if its provider has moved there, add it to \
                 match in the section and reload"
            );
        }
    }

    /// An ACL has denied a packet. One of a neighbour's is worth a line, for nothing else tells of it.
    pub(in crate::control) fn tell_denied_neighbour(&mut self, now: Instant, peer: SocketAddr) {
        let source = peer.ip().to_canonical();
        if self.identifier.neighbour(source).is_none() {
            return;
        }
        let refused = Refused {
            reason: RejectReason::Acl,
            method: "",
            from: "",
        };
        self.refusals.note(now, source, refused);
        if !self.neighbours_told.is_news(now, source) {
            return;
        }
        if let Some((endpoint, section)) = self.beside(source) {
            tracing::warn!(
                source = %peer, endpoint, section,
                add = %source,
                "denied by an [acl.*], but next to this endpoint's addresses; if its provider has moved there, add it \
                 to permit, and to match in the section, and reload"
            );
        }
    }

    /// The sources whose requests were refused lately.
    pub fn strangers(&self, now: Instant) -> Vec<StrangerRow> {
        let beside = |source| self.beside(source).map(|(endpoint, _)| endpoint);
        self.refusals.rows(now, beside)
    }

    /// The endpoint and the section that have an address next to this one.
    fn beside(&self, source: IpAddr) -> Option<(String, String)> {
        let place = self.identifier.neighbour(source)?;
        let identify = self.setup.settings().identifies.get(place)?;
        let endpoint = &self.setup.endpoint(identify.endpoint).name;
        Some((endpoint.clone(), format!("identify.{}", identify.name)))
    }
}
