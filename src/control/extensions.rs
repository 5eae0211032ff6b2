//! The extensions of SIP that have option tags (RFC 3261 §19.2): which of them we speak with an endpoint.

use crate::config::settings::{Endpoint, Rel100};
use crate::sip::message::{Request, RequestDraft, ResponseDraft};
use crate::sip::{Method, reliable};

/// Somebody may take the place of a dialog's peer (RFC 3891).
const REPLACES: &str = "replaces";

/// The option tags that we understand from this endpoint: the value of Supported.
pub fn supported(endpoint: &Endpoint) -> Vec<&'static str> {
    let rel100 = (endpoint.rel100 != Rel100::No).then_some(reliable::OPTION);
    rel100.into_iter().chain([REPLACES]).collect()
}

/// Whether a request asks for what we do not speak, or does not speak what its endpoint must.
///
/// # Errors
/// 420 with what is not supported (RFC 3261 §8.2.2.3), 421 with what is required (§21.4.15).
pub fn check(request: &Request, endpoint: &Endpoint) -> Result<(), ResponseDraft> {
    let ours = supported(endpoint);
    let is_ours = |tag: &&str| ours.iter().any(|own| own.eq_ignore_ascii_case(tag));
    let headers = request.headers();
    let unsupported: Vec<&str> = headers
        .values("Require")
        .filter(|tag| !is_ours(tag))
        .collect();
    if !unsupported.is_empty() {
        let tags = unsupported.join(", ");
        return Err(ResponseDraft::new(420).header("Unsupported", tags));
    }
    let is_call = *request.method() == Method::Invite && headers.to_tag().is_none();
    if is_call && endpoint.rel100 == Rel100::Required && !speaks(request, reliable::OPTION) {
        return Err(ResponseDraft::new(421).header("Require", reliable::OPTION));
    }
    Ok(())
}

/// A new INVITE to an endpoint, with what it is to know and to speak.
pub fn asked(invite: RequestDraft, endpoint: &Endpoint) -> RequestDraft {
    let tags = supported(endpoint);
    let invite = match tags.is_empty() {
        true => invite,
        false => invite.header("Supported", tags.join(", ")),
    };
    match endpoint.rel100 {
        Rel100::Required => invite.header("Require", reliable::OPTION),
        _ => invite,
    }
}

/// True if the sender of a request supports this extension, or requires it.
pub fn speaks(request: &Request, tag: &str) -> bool {
    let headers = request.headers();
    headers.lists("Supported", tag) || headers.lists("Require", tag)
}

/// True if our provisional responses to this INVITE are to be sent reliably.
pub fn wants_reliable(request: &Request, endpoint: &Endpoint) -> bool {
    match endpoint.rel100 {
        Rel100::No => false,
        Rel100::Yes => request.headers().lists("Require", reliable::OPTION),
        Rel100::PeerSupported | Rel100::Required => speaks(request, reliable::OPTION),
    }
}
