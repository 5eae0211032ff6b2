//! Our requests: how they are written, and those that follow from an INVITE.

use super::keys;
use super::shared::Shared;
use crate::sip::flow::Protocol;
use crate::sip::message::{Message, Method, RequestDraft};
use bytes::Bytes;

/// The ACK of a final response other than 2xx (RFC 3261 §17.1.1.3), with the To of that response, or the CANCEL
/// (§9.1), with the To of the INVITE: the rest is the INVITE's own.
pub(super) fn follow_up(
    invite: &Bytes,
    method: Method,
    to: &str,
    reason: Option<&str>,
) -> Option<RequestDraft> {
    // What we have written ourselves parses, unless the user put in what is no SIP; then there is nothing to send.
    let Ok(Message::Request(invite)) = Message::parse(invite.clone()) else {
        return None;
    };
    let headers = invite.headers();
    let to = match to {
        "" => headers.get("To")?,
        to => to,
    };
    let cseq = format!("{} {method}", headers.cseq().number);
    let mut draft = RequestDraft::new(method, invite.uri());
    for route in headers.lines("Route") {
        draft = draft.header("Route", route);
    }
    draft = draft
        .header("From", headers.get("From")?)
        .header("To", to)
        .header("Call-ID", headers.call_id())
        .header("CSeq", cseq);
    Some(match reason {
        Some(reason) => draft.header("Reason", reason),
        None => draft,
    })
}

/// Writes a request with our name in it.
pub(super) fn write(shared: &Shared, request: RequestDraft, via: &str) -> Bytes {
    let name = &shared.settings.user_agent;
    if name.is_empty() || request.get_header("User-Agent").is_some() {
        return request.write(via);
    }
    request.header("User-Agent", name).write(via)
}

/// Our Via. `rport` (RFC 3581) lets the answer come back through a NAT; a stream does that by itself.
pub(super) fn write_via(protocol: Protocol, sent_by: &str, branch: u64) -> String {
    let rport = if protocol.is_reliable() { "" } else { ";rport" };
    let (name, branch) = (protocol.via_name(), keys::write_branch(branch));
    format!("SIP/2.0/{name} {sent_by};branch={branch}{rport}")
}
