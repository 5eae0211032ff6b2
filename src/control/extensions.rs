//! The extensions of SIP that have option tags (RFC 3261 §19.2): which of them we speak with an endpoint.

use crate::config::settings::{Endpoint, Rel100, Timers};
use crate::sip::message::{Request, RequestDraft, ResponseDraft};
use crate::sip::session_timer::{Asked, Terms};
use crate::sip::{Method, reliable, session_timer};

/// Somebody may take the place of a dialog's peer (RFC 3891).
const REPLACES: &str = "replaces";

/// The option tags that we understand from this endpoint: the value of Supported.
pub fn supported(endpoint: &Endpoint) -> Vec<&'static str> {
    let rel100 = (endpoint.rel100 != Rel100::No).then_some(reliable::OPTION);
    let timers = (endpoint.timers != Timers::No).then_some(session_timer::OPTION);
    let tags = rel100.into_iter().chain(timers);
    tags.chain([REPLACES]).collect()
}

/// Whether a request asks for what we do not speak, or does not speak what its endpoint must.
///
/// # Errors
/// 420 with what is not supported (RFC 3261 §8.2.2.3), 421 with what is required (§21.4.15), 422 with the least session
/// interval that is taken (RFC 4028 §9).
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
    if !is_call {
        return Ok(());
    }
    if let Some(tag) = required(endpoint).find(|tag| !speaks(request, tag)) {
        return Err(ResponseDraft::new(421).header("Require", tag));
    }
    match terms(endpoint).and_then(|terms| Asked::of(headers).refusal(&terms)) {
        Some(least) => Err(ResponseDraft::new(422).header("Min-SE", least)),
        None => Ok(()),
    }
}

/// What an endpoint must speak.
fn required(endpoint: &Endpoint) -> impl Iterator<Item = &'static str> {
    let rel100 = (endpoint.rel100 == Rel100::Required).then_some(reliable::OPTION);
    let timers = (endpoint.timers == Timers::Required).then_some(session_timer::OPTION);
    rel100.into_iter().chain(timers)
}

/// What an endpoint's keys say of session timers. None: they are not spoken.
pub fn terms(endpoint: &Endpoint) -> Option<Terms> {
    (endpoint.timers != Timers::No).then_some(Terms {
        min_se: endpoint.timers_min_se,
        expires: endpoint.timers_sess_expires,
        always: endpoint.timers == Timers::Always,
    })
}

/// A new INVITE to an endpoint, with what it is to know and to speak.
pub fn asked(invite: RequestDraft, endpoint: &Endpoint) -> RequestDraft {
    let tags = supported(endpoint);
    let invite = match tags.is_empty() {
        true => invite,
        false => invite.header("Supported", tags.join(", ")),
    };
    let invite = required(endpoint).fold(invite, |invite, tag| invite.header("Require", tag));
    match terms(endpoint) {
        // RFC 4028 §7.1
        Some(terms) => invite
            .header("Session-Expires", terms.expires)
            .header("Min-SE", terms.min_se),
        None => invite,
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
