//! When two URIs are the same (RFC 3261 §19.1.4, RFC 3966 §4).

use super::text;
use super::{Scheme, Uri};

/// Parameters that, in one URI only, make it another (RFC 3261 §19.1.4; transport by its examples).
const TELLING: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

impl Uri {
    /// True if both name the same resource by the rules of RFC 3261 §19.1.4: case and order do not count where they
    /// carry no meaning, `sip` is not `sips`, and a port that is written is not one left out. (`==` compares what
    /// is written.)
    pub fn is_equivalent(&self, other: &Uri) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        match self.scheme {
            Scheme::Other(_) => self.user == other.user,
            Scheme::Tel => {
                number(self) == number(other)
                    && every_param_is_in(&self.params, &other.params)
                    && every_param_is_in(&other.params, &self.params)
            }
            Scheme::Sip | Scheme::Sips => {
                plain(self.user.as_deref()) == plain(other.user.as_deref())
                    && plain(self.password.as_deref()) == plain(other.password.as_deref())
                    && self.host == other.host
                    && self.port == other.port
                    && params_agree(&self.params, &other.params)
                    && params_agree(&other.params, &self.params)
                    && headers(&self.headers) == headers(&other.headers)
            }
        }
    }
}

/// The text with each escape undone that stands for a byte outside the reserved set; the others in upper case.
fn plain(text: Option<&str>) -> Option<String> {
    let text = text?;
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        plain.push_str(&rest[..at]);
        let escape = rest.get(at..at + 3).unwrap_or(&rest[at..]);
        let byte = escape
            .get(1..)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) if is_unreserved(byte) => plain.push(char::from(byte)),
            _ => plain.push_str(&escape.to_ascii_uppercase()),
        }
        rest = &rest[at + escape.len()..];
    }
    plain.push_str(rest);
    Some(plain)
}

/// RFC 3261 §25.1 unreserved.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

/// A parameter in both must have the same value; some may not be in one only. Of one that is repeated, which no URI may
/// do (RFC 3261 §19.1.1), the first counts.
fn params_agree(one: &str, other: &str) -> bool {
    text::params(one).all(
        |(name, _)| match (raw_param(one, name), raw_param(other, name)) {
            (Some(ours), Some(theirs)) => same_value(ours, theirs),
            _ => !TELLING
                .iter()
                .any(|telling| telling.eq_ignore_ascii_case(name)),
        },
    )
}

fn every_param_is_in(one: &str, other: &str) -> bool {
    text::params(one).all(
        |(name, _)| match (raw_param(one, name), raw_param(other, name)) {
            (Some(ours), Some(theirs)) => same_value(ours, theirs),
            _ => false,
        },
    )
}

fn raw_param<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    text::params(params)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn same_value(one: &str, other: &str) -> bool {
    match (plain(Some(one)), plain(Some(other))) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(&other),
        _ => false,
    }
}

/// The headers of the URI in one order, names in lower case.
fn headers(text: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = text
        .split('&')
        .filter_map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Some((plain(Some(name))?.to_ascii_lowercase(), plain(Some(value))?))
        })
        .collect();
    pairs.sort();
    pairs
}

/// The number without its visual separators, in one case.
fn number(uri: &Uri) -> String {
    let number = plain(uri.user.as_deref()).unwrap_or_default();
    number
        .chars()
        .filter(|c| !matches!(c, '-' | '.' | '(' | ')'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}
