//! SIP, SIPS and TEL URIs (RFC 3261 §19.1, RFC 3966).

use super::text;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The scheme of a URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`; the number is in [`Uri::user`], there is no host.
    Tel,
    /// Any other, kept as text; the rest of the URI is in [`Uri::user`].
    Other(Box<str>),
}

impl Scheme {
    fn of(text: &str) -> Scheme {
        if text.eq_ignore_ascii_case("sip") {
            Scheme::Sip
        } else if text.eq_ignore_ascii_case("sips") {
            Scheme::Sips
        } else if text.eq_ignore_ascii_case("tel") {
            Scheme::Tel
        } else {
            Scheme::Other(text.to_ascii_lowercase().into())
        }
    }

    /// The name before the colon, in lower case.
    pub fn as_str(&self) -> &str {
        match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(name) => name,
        }
    }
}

/// The host of a URI or of a Via.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A domain name, lower case.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address (written in brackets).
    V6(Ipv6Addr),
}

impl Host {
    /// Parses a host, an IPv6 address in its brackets.
    pub fn parse(text: &str) -> Option<Host> {
        HostText::parse(text).map(HostText::to_host)
    }

    /// The address, if the host is one.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        match self {
            Host::Name(_) => None,
            Host::V4(address) => Some((*address).into()),
            Host::V6(address) => Some((*address).into()),
        }
    }
}

impl From<std::net::IpAddr> for Host {
    fn from(address: std::net::IpAddr) -> Host {
        match address {
            std::net::IpAddr::V4(address) => Host::V4(address),
            std::net::IpAddr::V6(address) => Host::V6(address),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => write_escaped(f, name, |byte| {
                byte.is_ascii_alphanumeric() || b"-._".contains(&byte)
            }),
            Host::V4(address) => address.fmt(f),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host that is known to be valid, not yet copied.
#[derive(Clone, Copy, Debug)]
pub(super) enum HostText<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'a> HostText<'a> {
    pub(super) fn parse(text: &'a str) -> Option<HostText<'a>> {
        if let Some(inside) = text.strip_prefix('[') {
            return inside.strip_suffix(']')?.parse().ok().map(HostText::V6);
        }
        if text.as_bytes().first()?.is_ascii_digit()
            && let Ok(address) = text.parse()
        {
            return Some(HostText::V4(address));
        }
        text::is_host_name(text).then_some(HostText::Name(text))
    }

    /// `host` or `host:port`; blanks around the colon as a Via may have them (RFC 3261 §25.1 COLON).
    pub(super) fn parse_with_port(text: &'a str) -> Option<(HostText<'a>, Option<u16>)> {
        let host_end = match text.as_bytes().first()? {
            b'[' => text.find(']')? + 1,
            _ => memchr::memchr(b':', text.as_bytes()).unwrap_or(text.len()),
        };
        let (host, rest) = text.split_at(host_end);
        let host = HostText::parse(text::trim(host))?;
        let rest = text::trim(rest);
        if rest.is_empty() {
            return Some((host, None));
        }
        let port = text::trim(rest.strip_prefix(':')?);
        Some((host, Some(digits(port)?.parse().ok()?)))
    }

    pub(super) fn to_host(self) -> Host {
        match self {
            HostText::Name(name) => Host::Name(name.to_ascii_lowercase()),
            HostText::V4(address) => Host::V4(address),
            HostText::V6(address) => Host::V6(address),
        }
    }
}

/// The text if it is digits only (`str::parse` would take a sign).
pub(super) fn digits(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// A URI, taken apart. `Display` writes it back; what a field must not hold there (blanks, quotes, angle brackets,
/// an `@` in the user) is %-escaped, so that no field can add a part of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Uri {
    /// The scheme.
    pub scheme: Scheme,
    /// The user part as it was written, escapes and all; see [`Uri::user_decoded`].
    pub user: Option<String>,
    /// The password, deprecated (RFC 3261 §19.1.1) and never logged.
    pub password: Option<String>,
    /// The host; None only for `tel:` and unknown schemes.
    pub host: Option<Host>,
    /// The port, if written.
    pub port: Option<u16>,
    /// The parameters as written, without the first `;` (`transport=tcp;lr`). Empty if none.
    pub params: String,
    /// The headers as written, without the `?`. Empty if none.
    pub headers: String,
}

impl Uri {
    /// Parses a URI without angle brackets.
    ///
    /// # Errors
    /// None if it is no valid URI.
    pub fn parse(text: &str) -> Option<Uri> {
        UriText::parse(text).map(|uri| uri.to_uri())
    }

    /// A SIP URI with nothing but these parts.
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Uri {
        Uri {
            scheme: Scheme::Sip,
            user: user.map(str::to_owned),
            password: None,
            host: Some(host),
            port,
            params: String::new(),
            headers: String::new(),
        }
    }

    /// A parameter's value (`Some("")` for one without a value); the name in any case.
    pub fn param(&self, name: &str) -> Option<&str> {
        text::param(&self.params, name)
    }

    /// A header that the URI carries (`?Replaces=…`), %-escapes decoded; the name in any case. Bytes that are not UTF-8
    /// when decoded are replaced by U+FFFD.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut headers = self
            .headers
            .split('&')
            .filter_map(|one| one.split_once('='));
        let (_, value) = headers.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(&percent_decode(value)).into_owned())
    }

    /// The user with its %-escapes decoded, without a phone number's visual separators where it is a number: in a
    /// `tel:` URI, with `user=phone`, or after a `+`. There the number's own parameters (`;npdi`, `;phone-context=`)
    /// are left out too. Bytes that are not UTF-8 when decoded are replaced by U+FFFD.
    pub fn user_decoded(&self) -> Option<String> {
        let user = self.user.as_deref()?;
        if matches!(self.scheme, Scheme::Other(_)) {
            return Some(user.to_owned());
        }
        let decoded = String::from_utf8_lossy(&percent_decode(user)).into_owned();
        let phone = self.scheme == Scheme::Tel
            || decoded.starts_with('+')
            || self
                .param("user")
                .is_some_and(|kind| kind.eq_ignore_ascii_case("phone"));
        if !phone {
            return Some(decoded);
        }
        let number = decoded.split(';').next().unwrap_or_default();
        if !number
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || b"+*#-.()".contains(&byte))
        {
            return Some(number.to_owned());
        }
        Some(
            number
                .chars()
                .filter(|c| !matches!(c, '-' | '.' | '(' | ')'))
                .collect(),
        )
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        if matches!(self.scheme, Scheme::Other(_)) {
            return write_escaped(
                f,
                self.user.as_deref().unwrap_or_default(),
                text::is_opaque_byte,
            );
        }
        if let Some(user) = &self.user {
            write_escaped(f, user, text::is_user_byte)?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                write_escaped(f, password, text::is_user_byte)?;
            }
        }
        if let Some(host) = &self.host {
            write!(f, "{}{host}", if self.user.is_some() { "@" } else { "" })?;
            if let Some(port) = self.port {
                write!(f, ":{port}")?;
            }
        }
        if !self.params.is_empty() {
            f.write_str(";")?;
            write_escaped(f, &self.params, |byte| {
                byte != b'?' && text::is_uri_tail_byte(byte)
            })?;
        }
        if !self.headers.is_empty() {
            f.write_str("?")?;
            write_escaped(f, &self.headers, text::is_uri_tail_byte)?;
        }
        Ok(())
    }
}

/// Writes the text with every byte that is not allowed as `%HH`. A `%` is taken to begin an escape.
fn write_escaped(
    f: &mut fmt::Formatter<'_>,
    text: &str,
    allowed: impl Fn(u8) -> bool,
) -> fmt::Result {
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        if !allowed(byte) {
            // A disallowed byte may lie inside a character, whose every byte is disallowed then.
            f.write_str(text.get(clean..at).unwrap_or_default())?;
            write!(f, "%{byte:02X}")?;
            clean = at + 1;
        }
    }
    f.write_str(text.get(clean..).unwrap_or_default())
}

/// Undoes `%HH`.
pub(super) fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let value = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match value {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// The parts of a URI that is known to be valid, not yet copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct UriText<'a> {
    scheme: &'a str,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Option<HostText<'a>>,
    port: Option<u16>,
    params: &'a str,
    headers: &'a str,
}

impl<'a> UriText<'a> {
    pub(super) fn parse(text: &'a str) -> Option<UriText<'a>> {
        let (scheme, rest) = text::cut(text, b':')?;
        if !is_scheme(scheme) {
            return None;
        }
        let uri = UriText {
            scheme,
            user: None,
            password: None,
            host: None,
            port: None,
            params: "",
            headers: "",
        };
        if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            uri.parse_sip(rest)
        } else if scheme.eq_ignore_ascii_case("tel") {
            uri.parse_tel(rest)
        } else {
            (!rest.is_empty() && text::is_opaque(rest)).then_some(UriText {
                user: Some(rest),
                ..uri
            })
        }
    }

    /// `[user[:password]@]host[:port][;params][?headers]` (RFC 3261 §25.1 SIP-URI).
    fn parse_sip(mut self, rest: &'a str) -> Option<Self> {
        let bytes = rest.as_bytes();
        let rest = match memchr::memchr(b'@', bytes) {
            Some(at) => {
                let userinfo = &rest[..at];
                let (user, password) = match text::cut(userinfo, b':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (userinfo, None),
                };
                if user.is_empty() || !text::is_user(user) || !password.is_none_or(text::is_user) {
                    return None;
                }
                self.user = Some(user);
                self.password = password;
                &rest[at + 1..]
            }
            None => rest,
        };
        let (rest, headers) = match text::cut(rest, b'?') {
            Some((rest, headers)) if !headers.is_empty() => (rest, headers),
            Some(_) => return None,
            None => (rest, ""),
        };
        let (host_port, params) = match text::cut(rest, b';') {
            Some((host_port, params)) if are_uri_params(params) => (host_port, params),
            Some(_) => return None,
            None => (rest, ""),
        };
        if host_port.contains([' ', '\t']) || !text::is_uri_tail(headers) {
            return None;
        }
        let (host, port) = HostText::parse_with_port(host_port)?;
        Some(UriText {
            host: Some(host),
            port,
            params,
            headers,
            ..self
        })
    }

    /// `number[;params]` (RFC 3966 §3).
    fn parse_tel(self, rest: &'a str) -> Option<Self> {
        let (number, params) = match text::cut(rest, b';') {
            Some((number, params)) if are_uri_params(params) => (number, params),
            Some(_) => return None,
            None => (rest, ""),
        };
        let valid =
            !number.is_empty() && !number.contains(['?', ',', '=']) && text::is_user(number);
        valid.then_some(UriText {
            user: Some(number),
            params,
            ..self
        })
    }

    /// True if the URI carries headers, which a Request-URI must not (RFC 3261 §19.1.1, table 1).
    pub(super) fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    pub(super) fn to_uri(self) -> Uri {
        Uri {
            scheme: Scheme::of(self.scheme),
            user: self.user.map(str::to_owned),
            password: self.password.map(str::to_owned),
            host: self.host.map(HostText::to_host),
            port: self.port,
            params: self.params.to_owned(),
            headers: self.headers.to_owned(),
        }
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

fn are_uri_params(params: &str) -> bool {
    let mut before = b';';
    let whole = params.bytes().fold(true, |whole, byte| {
        let fits = byte != b'?' && !(before == b';' && (byte == b';' || byte == b'='));
        before = byte;
        whole & fits
    });
    whole && before != b';' && text::is_uri_tail(params)
}
