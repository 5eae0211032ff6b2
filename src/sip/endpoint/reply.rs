//! Answers: how they are written, where they go (RFC 3261 §18.2.2, RFC 3581), and those without a transaction.

use super::shared::Shared;
use crate::sip::flow::Flow;
use crate::sip::message::{Request, ResponseDraft};
use bytes::Bytes;
use std::hash::{BuildHasher, Hash, Hasher};
use std::net::SocketAddr;

/// Writes a response with our name in it.
pub(super) fn write(shared: &Shared, request: &Request, response: ResponseDraft) -> Bytes {
    let name = &shared.settings.user_agent;
    if name.is_empty() || response.get_header("Server").is_some() {
        return response.write(request);
    }
    response.header("Server", name).write(request)
}

/// Where the answers to a request go: on a stream the way it came; of a datagram to the address that it came from,
/// and there to the port that it came from if `rport` asks for it or is forced, else to the port of sent-by.
/// `maddr` is not followed: it would let a stranger aim our answers at anybody.
pub(super) fn flow(shared: &Shared, flow: Flow, request: &Request) -> Flow {
    let by_source = flow.protocol.is_reliable()
        || shared.settings.force_rport
        || request.headers().top_via().param("rport").is_some();
    if by_source {
        flow
    } else {
        to_sent_by(flow, request)
    }
}

/// The peer's address with the port of the request's sent-by.
pub(super) fn to_sent_by(flow: Flow, request: &Request) -> Flow {
    let port = request.headers().top_via().port;
    let port = port.unwrap_or(flow.protocol.default_port());
    Flow {
        peer: SocketAddr::new(flow.peer.ip(), port),
        ..flow
    }
}

/// Answers without a transaction (RFC 3261 §8.2.7): the same request gets the same answer, tag and all.
pub(super) fn stateless(
    shared: &mut Shared,
    came_on: Flow,
    request: &Request,
    response: ResponseDraft,
) {
    let tag = stateless_tag(shared, request);
    let bytes = write(shared, request, response.to_tag(&tag));
    let to = flow(shared, came_on, request);
    shared.send(to, bytes);
}

/// The tag of such an answer. It follows from the request and from its ACK alike.
pub(super) fn stateless_tag(shared: &Shared, request: &Request) -> String {
    let headers = request.headers();
    let mut hash = shared.hash.build_hasher();
    headers.call_id().hash(&mut hash);
    headers.from_tag().hash(&mut hash);
    headers.cseq().number.hash(&mut hash);
    format!("{:016x}", hash.finish())
}
