//! Via (RFC 3261 §20.42, RFC 3581).

use super::Host;
use super::text;
use super::uri::HostText;

/// One Via value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// `UDP`, `TCP` …
    pub protocol: &'a str,
    /// The host of sent-by.
    pub host: Host,
    /// The port of sent-by.
    pub port: Option<u16>,
    /// The parameters as written, without the first `;`.
    pub params: &'a str,
}

impl<'a> Via<'a> {
    /// Parses one value.
    pub fn parse(text: &'a str) -> Option<Via<'a>> {
        ViaText::parse(text).map(|via| Via {
            protocol: via.protocol,
            host: via.host.to_host(),
            port: via.port,
            params: via.params,
        })
    }
    /// The branch parameter.
    pub fn branch(&self) -> Option<&'a str> {
        self.param("branch")
    }
    /// A parameter's value (`Some("")` for one without a value).
    pub fn param(&self, name: &str) -> Option<&'a str> {
        text::param(self.params, name)
    }
}

/// The parts of a Via that is known to be valid, not yet copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct ViaText<'a> {
    protocol: &'a str,
    pub(super) host: HostText<'a>,
    port: Option<u16>,
    /// Everything up to the parameters, as written.
    pub(super) before_params: &'a str,
    pub(super) params: &'a str,
}

impl<'a> ViaText<'a> {
    /// `SIP / 2.0 / UDP host[:port] *(;param)`, with blanks around the slashes and the colon. The version is not
    /// looked at: a request of another version is answered 505 with its Via (RFC 3261 §21.5.6).
    pub(super) fn parse(value: &'a str) -> Option<ViaText<'a>> {
        let (before_params, params) = match text::cut(value, b';') {
            Some((before, params)) if text::are_params(params) => (before, text::trim(params)),
            Some(_) => return None,
            None => (value, ""),
        };
        let (name, rest) = text::cut(before_params, b'/')?;
        let (version, rest) = text::cut(rest, b'/')?;
        if !text::trim(name).eq_ignore_ascii_case("SIP") || !text::is_token(text::trim(version)) {
            return None;
        }
        let (protocol, sent_by) = text::trim(rest).split_once([' ', '\t'])?;
        if !text::is_token(protocol) {
            return None;
        }
        let (host, port) = HostText::parse_with_port(text::trim(sent_by))?;
        Some(ViaText {
            protocol,
            host,
            port,
            before_params: text::trim(before_params),
            params,
        })
    }
}
