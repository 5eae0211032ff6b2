//! The REGISTER on the wire, and what its 200 grants (RFC 3261 §10.2).

use crate::config::settings::Registration as Settings;
use crate::control::locate::path::Path;
use crate::control::outside::seconds;
use crate::sip::message::{Headers, Method, NameAddr, RequestDraft, Uri};
use std::time::Duration;

/// Most routes of a Service-Route that are kept; a longer one is as if there were none.
const ROUTES_MAX: usize = 16;

/// What every REGISTER of one registration has in common (RFC 3261 §10.2: one Call-ID for all).
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) call_id: String,
    pub(super) tag: String,
    /// The parameter by which calls are told, if `line` is on.
    pub(super) line: Option<String>,
}

/// The URI of our Contact over a path.
pub(super) fn contact_uri(settings: &Settings, identity: &Identity, path: &Path) -> String {
    let uri = path.contact_uri(&settings.contact_user);
    match &identity.line {
        Some(line) => format!("{uri};line={line}"),
        None => uri,
    }
}

/// The REGISTER for this path, without Via, CSeq and credentials. Zero seconds end the binding.
pub(super) fn write(
    settings: &Settings,
    identity: &Identity,
    expires: Duration,
    path: &Path,
) -> RequestDraft {
    let registrar = Uri {
        // RFC 3261 §10.2: the Request-URI has no user.
        user: None,
        ..bare(&settings.server_uri)
    };
    let client = bare(&settings.client_uri);
    let seconds = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
    let contact = contact_uri(settings, identity, path);
    let params = match settings.contact_header_params.as_str() {
        "" => String::new(),
        params => format!(";{params}"),
    };
    let request = RequestDraft::new(Method::Register, registrar.to_string())
        .header("From", format_args!("<{client}>;tag={}", identity.tag))
        .header("To", format_args!("<{client}>"))
        .header("Call-ID", &identity.call_id)
        .header("Contact", format_args!("<{contact}>{params}"))
        .header("Expires", seconds);
    let request = match &settings.outbound_proxy {
        Some(proxy) => request.header("Route", route(proxy)),
        None => request,
    };
    match settings.support_path {
        true => request.header("Supported", "path"),
        false => request,
    }
}

/// What a URI may have in a header of ours: no password, no headers.
fn bare(uri: &Uri) -> Uri {
    Uri {
        password: None,
        headers: String::new(),
        ..uri.clone()
    }
}

/// A proxy as a loose route (RFC 3261 §16.12), whether it was written with `lr` or not.
fn route(proxy: &Uri) -> String {
    let proxy = bare(proxy);
    match proxy.param("lr") {
        Some(_) => format!("<{proxy}>"),
        None => format!("<{proxy};lr>"),
    }
}

/// How long the binding lasts by a 200: by our own Contact in it, else by Expires, else as asked (RFC 3261 §10.2.4).
/// A registrar that has put another host into our Contact is known by its user and `line`.
pub(super) fn granted(headers: &Headers, contact: &Uri, asked: Duration) -> Duration {
    let contacts: Vec<NameAddr> = headers
        .values("Contact")
        .filter_map(NameAddr::parse)
        .collect();
    let is_like = |other: &&NameAddr| {
        other.uri.user == contact.user && other.uri.param("line") == contact.param("line")
    };
    let own = contacts
        .iter()
        .find(|other| other.uri.is_equivalent(contact))
        .or_else(|| contacts.iter().find(is_like));
    own.and_then(|own| own.params.get("expires"))
        .or_else(|| headers.get("Expires"))
        .and_then(seconds)
        .unwrap_or(asked)
}

/// The route of requests to come, of a 200 (RFC 3608 §6.1).
pub(super) fn service_route(headers: &Headers) -> Vec<String> {
    let routes: Vec<String> = headers.values("Service-Route").map(str::to_owned).collect();
    let is_good = |route: &String| NameAddr::parse(route).is_some();
    if routes.len() <= ROUTES_MAX && routes.iter().all(is_good) {
        routes
    } else {
        Vec::new()
    }
}
