//! From, To, Contact, Route …: a name, a URI and parameters (RFC 3261 §20.10, §25.1 name-addr).

use super::Uri;
use super::text;
use super::uri::UriText;
use std::fmt;

/// `"Name" <uri>;params`, or `uri;params`, whose parameters are the header's (RFC 3261 §20.10). `Display` writes
/// the form with angle brackets, the name quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameAddr {
    /// The display name without quotes and escapes, if any.
    pub display_name: Option<String>,
    /// The address.
    pub uri: Uri,
    /// The parameters of the header, not of the URI.
    pub params: Params,
}

impl NameAddr {
    /// An address with no name and no parameters.
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr {
            display_name: None,
            uri,
            params: Params::default(),
        }
    }

    /// Parses one value.
    pub fn parse(text: &str) -> Option<NameAddr> {
        NameAddrText::parse(text).map(|parts| parts.to_name_addr())
    }

    /// The tag parameter.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag")
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.display_name {
            f.write_str("\"")?;
            for c in name.chars() {
                if matches!(c, '"' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
            f.write_str("\" ")?;
        }
        write!(f, "<{}>", self.uri)?;
        if !self.params.0.is_empty() {
            write!(f, ";{}", self.params.0)?;
        }
        Ok(())
    }
}

/// `;name=value` parameters, as written, without the first `;`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(pub String);

impl Params {
    /// A parameter's value (`Some("")` for one without a value), quotes removed; the name in any case. Quoted pairs
    /// in a quoted value stay as they are.
    pub fn get(&self, name: &str) -> Option<&str> {
        text::param(&self.0, name)
    }

    /// Name and value of each, in order, quotes removed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        text::params(&self.0).map(|(name, value)| (name, text::unquote(value)))
    }
}

/// The parts of a value that is known to be valid, not yet copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct NameAddrText<'a> {
    display: Display<'a>,
    uri: UriText<'a>,
    pub(super) params: &'a str,
}

#[derive(Clone, Copy, Debug)]
enum Display<'a> {
    None,
    /// Tokens as they stand.
    Plain(&'a str),
    /// The inside of a quoted string.
    Quoted(&'a str),
}

impl<'a> NameAddrText<'a> {
    pub(super) fn parse(text: &'a str) -> Option<NameAddrText<'a>> {
        let text = text::trim(text);
        let (display, rest) = if text.starts_with('"') {
            let end = text::closing_quote(text)?;
            let rest = text::trim(&text[end + 1..]);
            (Display::Quoted(&text[1..end]), rest.strip_prefix('<')?)
        } else if let Some((name, rest)) = text::cut(text, b'<') {
            let name = text::trim(name);
            match name {
                "" => (Display::None, rest),
                name if is_plain_display(name) => (Display::Plain(name), rest),
                _ => return None,
            }
        } else {
            return NameAddrText::parse_addr_spec(text);
        };
        let (uri, rest) = text::cut(rest, b'>')?;
        let uri = UriText::parse(uri)?;
        let params = match text::trim(rest) {
            "" => "",
            rest => text::trim(rest.strip_prefix(';')?),
        };
        let valid = text::trim(rest).is_empty() || text::are_params(params);
        valid.then_some(NameAddrText {
            display,
            uri,
            params,
        })
    }

    /// Without angle brackets, everything after the first `;` belongs to the header, and a URI with headers must
    /// not stand (RFC 3261 §20.10).
    fn parse_addr_spec(text: &'a str) -> Option<NameAddrText<'a>> {
        let (uri, params) = match text::cut(text, b';') {
            Some((uri, params)) if text::are_params(params) => (uri, text::trim(params)),
            Some(_) => return None,
            None => (text, ""),
        };
        let uri = text::trim(uri);
        if uri.contains(['?', ',']) {
            return None;
        }
        Some(NameAddrText {
            display: Display::None,
            uri: UriText::parse(uri)?,
            params,
        })
    }

    pub(super) fn to_name_addr(self) -> NameAddr {
        let display_name = match self.display {
            Display::None => None,
            Display::Plain(name) => Some(name.to_owned()),
            Display::Quoted(inside) => Some(text::unescape(inside)),
        };
        NameAddr {
            display_name,
            uri: self.uri.to_uri(),
            params: Params(self.params.to_owned()),
        }
    }
}

/// The grammar has tokens only. Phones send names like `Jürgen (Büro)` without quotes, and nothing is ambiguous
/// in them; a comma is, where the header is a list, so that stays an error, as do quotes and list separators.
fn is_plain_display(name: &str) -> bool {
    !name.contains(|c: char| {
        c.is_ascii_control() && c != '\t' || matches!(c, '"' | ',' | ';' | ':' | '>' | '@' | '\\')
    })
}
