//! Audio that comes to a port and goes nowhere: a line in the log that says whose it is, and what to change. Each is told once a
//! leg, until its peer is told to be elsewhere or to speak otherwise, so that nobody fills the log.

use crate::control::call::{Call, LegNo};
use crate::link::{LegId, Remote, Unusable};
use std::net::SocketAddr;

impl Call {
    /// Somebody sends to a leg's port who is not let in.
    pub(in crate::control::call) fn on_stranger(
        &self,
        no: LegNo,
        lease: LegId,
        source: SocketAddr,
    ) {
        let told = self.leg(no).and_then(|leg| leg.media()?.told);
        tracing::warn!(
            call = self.id,
            endpoint = self.endpoint_of(no),
            port = lease.port.rtp(),
            %source,
            sdp = told.map(|remote| tracing::field::display(remote.rtp)),
            why = told.map(|remote| why_strange(&remote, source)),
            "RTP from a stranger is dropped"
        );
    }

    /// A leg's peer sends far too much.
    pub(in crate::control::call) fn on_flood(&self, no: LegNo, lease: LegId) {
        tracing::warn!(
            call = self.id,
            endpoint = self.endpoint_of(no),
            port = lease.port.rtp(),
            "too many RTP packets, or they go round: none passes until they are fewer"
        );
    }

    /// Most of what a leg's peer sends is of no use.
    pub(in crate::control::call) fn on_unusable(&self, no: LegNo, lease: LegId, cause: Unusable) {
        let (endpoint, port) = (self.endpoint_of(no), lease.port.rtp());
        match cause {
            Unusable::Unauthentic { source } => tracing::warn!(
                call = self.id,
                endpoint,
                port,
                %source,
                "SRTP does not open the audio: it is sealed by another key than the SDP says, or not at all"
            ),
            Unusable::PayloadType(payload_type) => {
                let media = self.leg(no).and_then(|leg| leg.media());
                tracing::warn!(
                    call = self.id,
                    endpoint,
                    port,
                    payload_type,
                    agreed = media.map(|media| media.sent_formats().join(", ")),
                    "RTP of a payload type that was not agreed is dropped"
                );
            }
        }
    }

    /// A callee has answered what cannot be agreed on, and is hung up on.
    pub(in crate::control::call) fn tell_refused_answer(&self, no: LegNo) {
        let endpoint = self.leg(no).map(|leg| self.setup.endpoint(leg.endpoint));
        let why = match endpoint.is_some_and(|endpoint| endpoint.media_encryption.is_some()) {
            true => {
                "it is not encrypted as media_encryption asks, or has no codec that was offered"
            }
            false => "it has no codec that was offered",
        };
        let endpoint = self.endpoint_of(no);
        tracing::warn!(
            call = self.id,
            endpoint,
            why,
            "the answer of a callee is refused"
        );
    }

    fn endpoint_of(&self, no: LegNo) -> Option<&str> {
        Some(self.name_of(self.leg(no)?.endpoint))
    }
}

fn why_strange(remote: &Remote, source: SocketAddr) -> &'static str {
    let ip = source.ip().to_canonical();
    match remote.symmetric {
        false if ip == remote.signalling.to_canonical() => {
            "its SDP tells another address: rtp_symmetric = true lets in what comes from where its SIP comes from"
        }
        false => "its SDP tells another address",
        true => "neither its SDP nor its SIP comes from this address",
    }
}
