//! Who a callee is told is calling, and the URIs of its INVITE: all our own words. Of the caller only number and name
//! go on, never its host.
//!
//! A caller who is to stay private shows as `anonymous@anonymous.invalid` (RFC 3323 §4.1.1.3), but for a `from_user` and
//! `from_domain` that a trunk knows us by. Where the callee is trusted (`trust_id_outbound`) it learns who calls all the
//! same, from P-Asserted-Identity or Remote-Party-ID if it takes them, and `Privacy: id` says that it may not tell.
//!
//! | file | concept |
//! |---|---|
//! | `party` | who an INVITE says is calling, and whom |
//! | `diversion` | who forwarded a call: Diversion, History-Info |
//! | `headers` | headers that the dialplan adds |

pub mod diversion;
pub mod headers;
pub mod party;

use super::Facts;
use super::dialling::targets::escape_user;
use crate::config::settings::{Endpoint, EndpointId, Identity};
use crate::control::locate::path::Path;
use crate::control::setup::Setup;
use crate::sip::message::{RequestDraft, Uri};
use diversion::{Diversion, diversion_values, history_value};
use party::{ANONYMOUS, ANONYMOUS_HOST};

/// Longest number and name that go on, in bytes. Longer ones are cut: no telephone shows them.
pub(super) const TEXT_MAX: usize = 128;

/// What a callee's INVITE says of who calls.
#[derive(Debug)]
pub(super) struct Shown {
    /// The value of From, without its tag.
    pub from: String,
    /// Further headers, in order.
    headers: Vec<(&'static str, String)>,
}

impl Shown {
    /// Puts the headers besides From on an INVITE.
    pub fn put_on(&self, invite: RequestDraft) -> RequestDraft {
        let lines = self.headers.iter();
        lines.fold(invite, |invite, (name, value)| invite.header(name, value))
    }
}

/// The user part of our Contact on a call to this endpoint: `contact_user`, else the user of From.
pub(super) fn contact_user(setup: &Setup, callee: EndpointId, facts: &Facts) -> String {
    match &setup.endpoint(callee).identity.contact_user {
        Some(user) => user_of(user),
        None => from_user(setup, setup.endpoint(callee), facts),
    }
}

/// The user part of From: `from_user`, else the caller's number, else `default_from_user`.
fn from_user(setup: &Setup, callee: &Endpoint, facts: &Facts) -> String {
    let number = match facts.caller.as_str() {
        _ if is_hidden(&callee.identity, facts) => ANONYMOUS,
        "" => setup.settings().global.default_from_user.as_str(),
        number => number,
    };
    user_of(callee.from_user.as_deref().unwrap_or(number))
}

/// From shows nothing of the caller.
fn is_hidden(identity: &Identity, facts: &Facts) -> bool {
    let is_told_elsewhere = identity.send_pai || identity.send_rpid;
    facts.presentation.is_private() && (!identity.trust_id_outbound || is_told_elsewhere)
}

/// A number as the user of a URI.
pub(super) fn user_of(number: &str) -> String {
    escape_user(cut(number, TEXT_MAX))
}

/// What the INVITE to `target` says of who calls.
pub(super) fn shown(
    setup: &Setup,
    callee: EndpointId,
    facts: &Facts,
    path: &Path,
    target: &Uri,
) -> Shown {
    let callee = setup.endpoint(callee);
    let identity = &callee.identity;
    let host = callee.from_domain.as_deref().unwrap_or(&path.host);
    let user = from_user(setup, callee, facts);
    let from = if is_hidden(identity, facts) {
        let host = callee.from_domain.as_deref().unwrap_or(ANONYMOUS_HOST);
        format!("\"Anonymous\" <sip:{user}@{host}>")
    } else {
        let at = if user.is_empty() { "" } else { "@" };
        let name = quoted(cut(&facts.caller_name, TEXT_MAX));
        format!("{name}<sip:{user}{at}{host}>")
    };
    let mut headers = Vec::new();
    push_caller(&mut headers, identity, facts, host);
    push_forwarders(&mut headers, identity, facts, host, target);
    if let Some(replaces) = &facts.replaces {
        headers.push(("Replaces", replaces.clone()));
    }
    if let Some(by) = &facts.referred_by {
        let user = user_of(by);
        let at = if user.is_empty() { "" } else { "@" };
        headers.push(("Referred-By", format!("<sip:{user}{at}{host}>")));
    }
    Shown { from, headers }
}

/// P-Asserted-Identity (RFC 3325), Remote-Party-ID (draft-ietf-sip-privacy-04) and Privacy (RFC 3323).
fn push_caller(
    headers: &mut Vec<(&'static str, String)>,
    identity: &Identity,
    facts: &Facts,
    host: &str,
) {
    let is_private = facts.presentation.is_private();
    if is_private && !identity.trust_id_outbound {
        return;
    }
    let is_known = !facts.caller.is_empty() && !facts.caller.eq_ignore_ascii_case(ANONYMOUS);
    if is_known && (identity.send_pai || identity.send_rpid) {
        let name = quoted(cut(&facts.caller_name, TEXT_MAX));
        let address = format!("{name}<sip:{}@{host}>", user_of(&facts.caller));
        if identity.send_pai {
            headers.push(("P-Asserted-Identity", address.clone()));
        }
        if identity.send_rpid {
            let privacy = if is_private { "full" } else { "off" };
            let is_screened = facts.presentation.is_screened();
            let screen = if is_screened { "yes" } else { "no" };
            let value = format!("{address};party=calling;privacy={privacy};screen={screen}");
            headers.push(("Remote-Party-ID", value));
        }
    }
    if is_private {
        headers.push(("Privacy", String::from("id")));
    }
}

/// Diversion and History-Info, if the call was forwarded. A forwarder who is to stay private is told of only to those
/// who are trusted.
fn push_forwarders(
    headers: &mut Vec<(&'static str, String)>,
    identity: &Identity,
    facts: &Facts,
    host: &str,
    target: &Uri,
) {
    let is_told = |one: &&Diversion| !one.is_private || identity.trust_id_outbound;
    let told: Vec<&Diversion> = facts.diversions.iter().filter(is_told).collect();
    if told.is_empty() {
        return;
    }
    if identity.send_diversion {
        let values = diversion_values(&told, host);
        headers.extend(values.into_iter().map(|value| ("Diversion", value)));
    }
    if identity.send_history_info {
        let target = target.user_decoded().unwrap_or_default();
        headers.push(("History-Info", history_value(&told, host, &target)));
    }
}

/// The Request-URI of a contact: what a URI may have there (RFC 3261 §19.1.1 table 1: no headers; a password is
/// nobody's business).
pub(super) fn request_uri(contact: &Uri) -> String {
    let uri = Uri {
        password: None,
        headers: String::new(),
        ..contact.clone()
    };
    uri.to_string()
}

/// A display name as a quoted string with its space, or nothing.
pub(super) fn quoted(name: &str) -> String {
    if name.is_empty() {
        return String::new();
    }
    let mut quoted = String::with_capacity(name.len() + 4);
    quoted.push('"');
    for character in name.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => quoted.push(' '),
            _ => quoted.push(character),
        }
    }
    quoted.push_str("\" ");
    quoted
}

/// The text, shortened to so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes_nor_a_number_its_place() {
        assert_eq!(quoted(r#"a" <sip:x@y>;\"#), r#""a\" <sip:x@y>;\\" "#);
        assert_eq!(quoted("a\r\nVia: x"), "\"a  Via: x\" ");
        assert_eq!(
            escape_user("+49 30@evil>;x"),
            "+4930%40evil%3E;x".replace("+4930", "+49%2030")
        );
        assert_eq!(cut(&"ü".repeat(100), TEXT_MAX).len(), TEXT_MAX);
    }
}
