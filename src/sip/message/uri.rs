//! SIP, SIPS and TEL URIs (RFC 3261 §19.1, RFC 3966).

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

/// A URI, taken apart. `Display` writes it back.
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

#[allow(unused_variables)]
impl Uri {
    /// Parses a URI without angle brackets.
    ///
    /// # Errors
    /// None if it is no valid URI.
    pub fn parse(text: &str) -> Option<Uri> {
        todo!()
    }
    /// A parameter's value (`Some("")` for one without a value); the name in any case.
    pub fn param(&self, name: &str) -> Option<&str> {
        todo!()
    }
    /// The user with its %-escapes decoded, without a phone number's visual separators where it is a number.
    pub fn user_decoded(&self) -> Option<String> {
        todo!()
    }
}
