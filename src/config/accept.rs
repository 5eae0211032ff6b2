//! One value against what its key accepts.

use super::catalogue::Accepts;
use super::diagnostic::Location;
use super::fields::{Checker, Fields};
use super::network::{is_host_name, parse_address, parse_bind, parse_network};
use super::raw::{Kind, Text, Value};
use super::settings::CallerId;
use super::suggest::did_you_mean;
use super::text_match::{HeaderMatch, TextMatch};
use crate::codec::Codec;
use crate::sip::message::{Scheme, Uri};
use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Where name servers listen.
const DNS_PORT: u16 = 53;

/// A value whose type, and whose references, are right.
#[derive(Clone, Debug)]
pub(super) enum Typed {
    Text(String),
    Texts(Vec<(String, Location)>),
    Boolean(bool),
    Integer(i64),
    Integers(Vec<(i64, Location)>),
    /// `auto` of [`Accepts::AutoOr`].
    Auto,
    Seconds(Duration),
    Rate(f64),
    Codecs(Vec<Codec>),
    Networks(Vec<(IpNet, Location)>),
    Hosts(Vec<(HostMatch, Location)>),
    TextMatch(TextMatch),
    HeaderMatch(HeaderMatch),
    Address(IpAddr),
    Bind(IpAddr, Option<u16>),
    Listen(SocketAddr),
    Servers(Vec<(SocketAddr, Location)>),
    Ports(u16, u16),
    Uris(Vec<(Uri, Location)>),
    CallerId(CallerId),
    Table(Fields),
    Tables(Vec<Fields>),
}

/// One of `match`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostMatch {
    Network(IpNet),
    Name(String),
}

impl fmt::Display for HostMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostMatch::Network(network) => network.fmt(f),
            HostMatch::Name(name) => name.fmt(f),
        }
    }
}

impl Checker<'_> {
    /// The value, if it is what the key accepts. If not, that is reported.
    pub(super) fn accept(&mut self, value: &Value, accepts: Accepts, path: &str) -> Option<Typed> {
        match accepts {
            Accepts::Text | Accepts::Word | Accepts::Secret => self.text(value, accepts, path),
            Accepts::Boolean => self.boolean(value, path),
            Accepts::Integer(min, max) => self.integer(value, min, max, path).map(Typed::Integer),
            Accepts::AutoOr(min, max) => match &value.kind {
                Kind::Text(text) if text.value == "auto" => Some(Typed::Auto),
                Kind::Integer(_) => self.integer(value, min, max, path).map(Typed::Integer),
                _ => self.wrong(value, &format!("\"auto\" or {min} to {max}"), path),
            },
            Accepts::Seconds => {
                let seconds = self.number(value, "a number of seconds, 0 or more", path, |n| {
                    n >= 0.0 && n <= f64::from(u32::MAX)
                })?;
                Some(Typed::Seconds(Duration::from_secs_f64(seconds)))
            }
            Accepts::Rate => self
                .number(value, "a number above 0", path, |n| {
                    n > 0.0 && n.is_finite()
                })
                .map(Typed::Rate),
            Accepts::OneOf(names) => self.one_of(value, names, path).map(Typed::Text),
            Accepts::Address | Accepts::Bind | Accepts::Listen | Accepts::Ports => {
                self.socket(value, accepts, path)
            }
            Accepts::Uri => Some(Typed::Uris(vec![self.uri(value, path)?])),
            Accepts::TextMatch => self.text_match(value, path),
            Accepts::HeaderMatch => self.header_match(value, path),
            Accepts::CallerId => {
                let text = self.string(value, "a string: \"Name <number>\" or \"number\"", path)?;
                Some(Typed::CallerId(caller_id(&text.value)))
            }
            Accepts::Reference(kind) => self.reference(value, kind, path).map(Typed::Text),
            Accepts::OneOrMore(kind) if matches!(value.kind, Kind::Text(_)) => {
                let name = self.reference(value, kind, path)?;
                Some(Typed::Texts(vec![(name, value.location)]))
            }
            Accepts::Inline(rows) => self.inline(value, rows, "a table", path),
            Accepts::ReferenceOr(kind, rows) => match &value.kind {
                Kind::Text(_) => self.reference(value, kind, path).map(Typed::Text),
                _ => {
                    let what =
                        format!("the name of an [{kind}.*] section, or a table in its place");
                    self.inline(value, rows, &what, path)
                }
            },
            Accepts::Texts
            | Accepts::SomeOf(_)
            | Accepts::Integers(..)
            | Accepts::Codecs
            | Accepts::Networks
            | Accepts::Servers
            | Accepts::Hosts
            | Accepts::Uris
            | Accepts::References(_)
            | Accepts::OneOrMore(_)
            | Accepts::Tables(_) => self.list(value, accepts, path),
        }
    }

    /// A value that is an array. Each wrong item is reported.
    fn list(&mut self, value: &Value, accepts: Accepts, path: &str) -> Option<Typed> {
        let Kind::Array(items) = &value.kind else {
            let what = match accepts {
                Accepts::Integers(..) => "an array of integers: [1, 2]",
                Accepts::Tables(_) => "an array of tables: [{ … }, { … }]",
                Accepts::OneOrMore(_) => "a string or an array of strings: [\"a\", \"b\"]",
                _ => "an array of strings: [\"a\", \"b\"]",
            };
            return self.wrong(value, what, path);
        };
        match accepts {
            Accepts::SomeOf(names) => {
                let one = |this: &mut Self, item: &Value| this.one_of(item, names, path);
                let names = self.each(items, one)?;
                self.no_repetition(&names, path)?;
                Some(Typed::Texts(names))
            }
            Accepts::Integers(min, max) => self
                .each(items, |this, item| this.integer(item, min, max, path))
                .map(Typed::Integers),
            Accepts::Codecs => self.codecs(value, items, path),
            Accepts::Servers => self
                .each(items, |this, item| this.server(item, path))
                .map(Typed::Servers),
            Accepts::Networks => self
                .each(items, |this, item| this.network(item, path))
                .map(Typed::Networks),
            Accepts::Hosts => self
                .each(items, |this, item| this.host_match(item, path))
                .map(Typed::Hosts),
            Accepts::Uris => self
                .each(items, |this, item| Some(this.uri(item, path)?.0))
                .map(Typed::Uris),
            Accepts::References(kind) | Accepts::OneOrMore(kind) => {
                let names = self.each(items, |this, item| this.reference(item, kind, path))?;
                self.no_repetition(&names, path)?;
                Some(Typed::Texts(names))
            }
            Accepts::Tables(rows) => {
                let one = |this: &mut Self, item: &Value| match this
                    .inline(item, rows, "a table", path)?
                {
                    Typed::Table(fields) => Some(fields),
                    _ => None,
                };
                let tables = self.each(items, one)?;
                Some(Typed::Tables(tables.into_iter().map(|(t, _)| t).collect()))
            }
            _ => self
                .each(items, |this, item| {
                    Some(this.string(item, "a string", path)?.value.clone())
                })
                .map(Typed::Texts),
        }
    }

    /// Every item, with its place; None if one is wrong, but only after all were looked at.
    fn each<T>(
        &mut self,
        items: &[Value],
        mut one: impl FnMut(&mut Self, &Value) -> Option<T>,
    ) -> Option<Vec<(T, Location)>> {
        let read: Vec<_> = items
            .iter()
            .map(|item| Some((one(self, item)?, item.location)))
            .collect();
        read.into_iter().collect()
    }

    fn no_repetition(&mut self, names: &[(String, Location)], path: &str) -> Option<()> {
        for (place, (name, location)) in names.iter().enumerate() {
            if names[..place].iter().any(|(other, _)| other == name) {
                let message = format!("{name:?} stands twice; name each once");
                self.report.error(*location, path, message);
                return None;
            }
        }
        Some(())
    }

    /// Reports that the type or the value is wrong.
    pub(super) fn wrong<T>(&mut self, value: &Value, expected: &str, path: &str) -> Option<T> {
        let found = match &value.kind {
            Kind::Text(text) => format!("{:?}", text.written),
            Kind::Integer(integer) => integer.to_string(),
            Kind::Float(float) => float.to_string(),
            other => other.name().to_owned(),
        };
        let message = format!("found {found}, expected {expected}");
        self.report.error(value.location, path, message);
        None
    }

    pub(super) fn string<'v>(
        &mut self,
        value: &'v Value,
        expected: &str,
        path: &str,
    ) -> Option<&'v Text> {
        match &value.kind {
            Kind::Text(text) => Some(text),
            _ => self.wrong(value, expected, path),
        }
    }

    fn text(&mut self, value: &Value, accepts: Accepts, path: &str) -> Option<Typed> {
        let secret = matches!(accepts, Accepts::Secret);
        let Kind::Text(text) = &value.kind else {
            let found = value.kind.name();
            let message = format!("found {found}, expected a string: write it in quotes");
            self.report.error(value.location, path, message);
            return None;
        };
        let refused = if matches!(accepts, Accepts::Text) {
            None
        } else if text.value.is_empty() {
            Some("it is empty, expected a string that is not")
        } else if !secret && text.value.chars().any(char::is_control) {
            Some("it holds a control character or a line end, expected printable text")
        } else {
            None
        };
        if let Some(message) = refused {
            self.report.error(value.location, path, message);
            return None;
        }
        Some(Typed::Text(text.value.clone()))
    }

    fn boolean(&mut self, value: &Value, path: &str) -> Option<Typed> {
        match &value.kind {
            Kind::Boolean(boolean) => Some(Typed::Boolean(*boolean)),
            Kind::Text(text) if text.value == "yes" => self.wrong(value, "true (no quotes)", path),
            Kind::Text(text) if text.value == "no" => self.wrong(value, "false (no quotes)", path),
            _ => self.wrong(value, "true or false", path),
        }
    }

    fn integer(&mut self, value: &Value, min: i64, max: i64, path: &str) -> Option<i64> {
        match value.kind {
            Kind::Integer(integer) if (min..=max).contains(&integer) => Some(integer),
            _ => self.wrong(value, &format!("an integer, {min} to {max}"), path),
        }
    }

    fn number(
        &mut self,
        value: &Value,
        expected: &str,
        path: &str,
        fits: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let number = match value.kind {
            #[expect(clippy::cast_precision_loss, reason = "seconds and rates are small")]
            Kind::Integer(integer) => integer as f64,
            Kind::Float(float) => float,
            _ => f64::NAN,
        };
        if fits(number) {
            Some(number)
        } else {
            self.wrong(value, expected, path)
        }
    }

    fn one_of(&mut self, value: &Value, names: &[&str], path: &str) -> Option<String> {
        let written = match &value.kind {
            Kind::Text(text) => Some(text.value.as_str()),
            Kind::Boolean(true) => Some("yes"),
            Kind::Boolean(false) => Some("no"),
            _ => None,
        };
        if let Some(name) = names.iter().find(|name| Some(**name) == written) {
            return Some((*name).to_owned());
        }
        let hint = written.map_or_else(String::new, |w| did_you_mean(w, names.iter().copied()));
        let expected = format!("one of {}; {hint}", quoted(names));
        self.wrong(value, expected.trim_end_matches([';', ' ']), path)
    }

    fn codecs(&mut self, value: &Value, items: &[Value], path: &str) -> Option<Typed> {
        let names: Vec<&str> = Codec::names().collect();
        if items.is_empty() {
            return self.wrong(value, &format!("at least one of {}", quoted(&names)), path);
        }
        let read = self.each(items, |this, item| {
            let codec = match &item.kind {
                Kind::Text(text) => Codec::from_name(&text.value),
                _ => None,
            };
            match (&item.kind, codec) {
                (_, Some(codec)) => Some(codec),
                (Kind::Text(text), None) if text.value.starts_with('!') || text.value == "all" => {
                    let message =
                        "the list is taken as it stands, so \"!\" and \"all\" have no place in it";
                    this.report.error(item.location, path, message);
                    None
                }
                (Kind::Text(text), None) if text.value.contains('/') => {
                    let expected = "an rtpmap's name, clock rate and channels: \"AMR-WB/16000\"";
                    this.wrong(item, expected, path)
                }
                _ => this.one_of(item, &names, path).and(None),
            }
        })?;
        let listed: Vec<_> = read.iter().map(|(codec, at)| (codec.name(), *at)).collect();
        self.no_repetition(&listed, path)?;
        Some(Typed::Codecs(read.into_iter().map(|(c, _)| c).collect()))
    }

    /// A name server.
    fn server(&mut self, value: &Value, path: &str) -> Option<SocketAddr> {
        const EXPECTED: &str = "an IP address, with a port or without: \"192.0.2.53\"";
        let text = self.string(value, EXPECTED, path)?;
        match parse_bind(&text.value) {
            Some((address, port)) if !address.is_unspecified() && port != Some(0) => {
                Some(SocketAddr::new(address, port.unwrap_or(DNS_PORT)))
            }
            _ => self.wrong(value, EXPECTED, path),
        }
    }

    fn network(&mut self, value: &Value, path: &str) -> Option<IpNet> {
        const EXPECTED: &str =
            "an address or a network: \"192.0.2.1\", \"192.0.2.0/24\", \"2001:db8::/32\"";
        let text = self.string(value, EXPECTED, path)?;
        let Some(network) = parse_network(&text.value) else {
            return self.wrong(value, EXPECTED, path);
        };
        self.warn_of_host_bits(text, network, value.location, path);
        Some(network)
    }

    fn warn_of_host_bits(&mut self, text: &Text, network: IpNet, location: Location, path: &str) {
        let address = text.value.split('/').next().and_then(parse_address);
        if text.value.contains('/') && address.is_some_and(|a| a != network.addr()) {
            let written = &text.written;
            let message = format!("{written:?} has bits beyond its length; taken as {network}");
            self.report.warning(location, path, message);
        }
    }

    fn host_match(&mut self, value: &Value, path: &str) -> Option<HostMatch> {
        const EXPECTED: &str = "an address, a network or a host name: \"192.0.2.1\", \"192.0.2.0/24\", \"sip.example.com\"";
        let text = self.string(value, EXPECTED, path)?;
        if let Some(network) = parse_network(&text.value) {
            self.warn_of_host_bits(text, network, value.location, path);
            Some(HostMatch::Network(network))
        } else if is_host_name(&text.value) {
            Some(HostMatch::Name(text.value.to_ascii_lowercase()))
        } else {
            self.wrong(value, EXPECTED, path)
        }
    }

    fn socket(&mut self, value: &Value, accepts: Accepts, path: &str) -> Option<Typed> {
        let expected = match accepts {
            Accepts::Address => "an IP address: \"203.0.113.8\"",
            Accepts::Bind => {
                "an IP address, with a port or without: \"0.0.0.0:5060\", \"[::]:5060\""
            }
            Accepts::Listen => "an IP address and a port: \"127.0.0.1:8088\"",
            _ => "FIRST-LAST, ports from 1 to 65535: \"20000-20999\"",
        };
        let text = &self.string(value, expected, path)?.value;
        let typed = match accepts {
            Accepts::Address => parse_address(text).map(Typed::Address),
            Accepts::Bind => parse_bind(text).map(|(address, port)| Typed::Bind(address, port)),
            Accepts::Listen => text.parse().ok().map(Typed::Listen),
            _ => return self.ports(value, text, expected, path),
        };
        typed.or_else(|| self.wrong(value, expected, path))
    }

    fn ports(&mut self, value: &Value, text: &str, expected: &str, path: &str) -> Option<Typed> {
        let number = |part: &str| part.trim().parse::<u16>().ok().filter(|port| *port > 0);
        let range = text
            .split_once('-')
            .and_then(|(first, last)| Some((number(first)?, number(last)?)));
        let Some((first, last)) = range.filter(|(first, last)| first <= last) else {
            return self.wrong(value, expected, path);
        };
        if pairs(first, last) == 0 {
            let message =
                "there is no even port with the next one in the range, so no room for RTP and RTCP";
            return self.wrong(value, &format!("{expected}; {message}"), path);
        }
        Some(Typed::Ports(first, last))
    }

    fn uri(&mut self, value: &Value, path: &str) -> Option<(Uri, Location)> {
        const EXPECTED: &str = "a SIP URI with a host: \"sip:user@host:5060\"";
        let text = self.string(value, EXPECTED, path)?;
        match Uri::parse(&text.value) {
            Some(uri) if matches!(uri.scheme, Scheme::Sip | Scheme::Sips) && uri.host.is_some() => {
                Some((uri, value.location))
            }
            _ => self.wrong(value, EXPECTED, path),
        }
    }

    fn reference(&mut self, value: &Value, kind: &'static str, path: &str) -> Option<String> {
        let text = self.string(value, &format!("the name of a [{kind}.*] section"), path)?;
        if self.names.contains(kind, &text.value) {
            return Some(text.value.clone());
        }
        let hint = did_you_mean(&text.value, self.names.of(kind));
        let message = format!(
            "there is no section [{}]; {hint}{}",
            super::raw::join(kind, &text.written),
            self.names.listed(kind)
        );
        self.report.error(value.location, path, message.trim());
        None
    }
}

/// How many RTP/RTCP pairs (an even port and the next) lie in the range.
pub(super) fn pairs(first: u16, last: u16) -> u32 {
    let first_even = u32::from(first) + u32::from(first % 2);
    (u32::from(last) + 1).saturating_sub(first_even) / 2
}

/// `"a", "b", "c"`
fn quoted(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    quoted.join(", ")
}

/// `Name <number>`, `"Name" <number>`, `<number>`, or a bare number.
fn caller_id(text: &str) -> CallerId {
    let text = text.trim();
    match text
        .strip_suffix('>')
        .and_then(|rest| rest.rsplit_once('<'))
    {
        Some((name, number)) => CallerId {
            name: name.trim().trim_matches('"').to_owned(),
            number: number.trim().to_owned(),
        },
        None => CallerId {
            name: String::new(),
            number: text.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_begin_at_an_even_port_and_end_inside() {
        assert_eq!(pairs(20_000, 20_999), 500);
        assert_eq!(pairs(20_001, 20_002), 0);
        assert_eq!(pairs(20_001, 20_003), 1);
        assert_eq!(pairs(20_000, 20_000), 0);
        assert_eq!(pairs(1, 65_535), 32_767);
        assert_eq!(pairs(65_535, 65_535), 0);
    }

    #[test]
    fn caller_ids() {
        let id = |text: &str| {
            let CallerId { name, number } = caller_id(text);
            (name, number)
        };
        assert_eq!(
            id("Living Room <6001>"),
            ("Living Room".into(), "6001".into())
        );
        assert_eq!(id("\"A <b>\" <6001>"), ("A <b>".into(), "6001".into()));
        assert_eq!(id("<6001>"), (String::new(), "6001".into()));
        assert_eq!(id("030123456"), (String::new(), "030123456".into()));
    }
}
