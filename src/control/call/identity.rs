//! Who a callee is told is calling, and the URIs of its INVITE: all our own words. Of the caller only number and name
//! go on, never its host.

use super::Facts;
use super::dialling::escape_user;
use crate::config::settings::EndpointId;
use crate::control::path::Path;
use crate::control::setup::Setup;
use crate::sip::message::Uri;

/// Longest number and name that go on, in bytes. Longer ones are cut: no telephone shows them.
const TEXT_MAX: usize = 128;

/// The user part of From and Contact on a call to this endpoint: `from_user`, else the caller's number, else
/// `default_from_user`.
pub(super) fn from_user(setup: &Setup, callee: EndpointId, facts: &Facts) -> String {
    let own = setup.endpoint(callee).from_user.as_deref();
    let number = Some(facts.caller.as_str()).filter(|number| !number.is_empty());
    let default = setup.settings().global.default_from_user.as_str();
    escape_user(cut(own.or(number).unwrap_or(default), TEXT_MAX))
}

/// A number as the user of our Contact.
pub(super) fn user_of(number: &str) -> String {
    escape_user(cut(number, TEXT_MAX))
}

/// The value of From, without its tag.
pub(super) fn from(setup: &Setup, callee: EndpointId, facts: &Facts, path: &Path) -> String {
    let user = from_user(setup, callee, facts);
    let domain = setup.endpoint(callee).from_domain.as_deref();
    let host = domain.unwrap_or(&path.host);
    let at = if user.is_empty() { "" } else { "@" };
    let name = quoted(cut(&facts.caller_name, TEXT_MAX));
    format!("{name}<sip:{user}{at}{host}>")
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
fn quoted(name: &str) -> String {
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
