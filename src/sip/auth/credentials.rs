//! Authorization and Proxy-Authorization: what a peer answered.

use super::super::message::{Headers, Method};
use super::digest::{Inputs, Protection, response};
use super::params::{DigestParams, unescape};
use super::{Algorithm, Asker, Password, Qop};
use subtle::ConstantTimeEq;

/// Digest credentials (RFC 3261 §20.7, RFC 7616 §3.4). They prove nothing until they are checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The realm that is answered, as written between the quotes.
    pub realm: String,
    /// The nonce that is answered.
    pub nonce: String,
    /// The URI that was hashed. It may differ from the Request-URI where a proxy changed that (RFC 3261 §22.4); for
    /// whom it matters compares them.
    pub uri: String,
    /// The algorithm.
    pub algorithm: Algorithm,
    raw_username: String,
    response: String,
    cnonce: String,
    /// The quality and the nonce count as written.
    protection: Option<(Qop, String)>,
}

impl Credentials {
    /// Every set of Digest credentials in a request, in order. Those that lack a part or use what we do not speak
    /// are skipped.
    pub fn all(headers: &Headers, asker: Asker) -> Vec<Credentials> {
        let lines = headers.lines(asker.credentials_header());
        lines
            .flat_map(DigestParams::parse_line)
            .filter_map(|params| Credentials::from_params(&params))
            .collect()
    }

    /// Parses the value of one header line.
    pub fn parse(line: &str) -> Option<Credentials> {
        DigestParams::parse_line(line)
            .iter()
            .find_map(Credentials::from_params)
    }

    fn from_params(params: &DigestParams<'_>) -> Option<Credentials> {
        let cnonce = params.get("cnonce").unwrap_or_default().to_owned();
        let protection = match params.get("qop") {
            Some(name) => Some((Qop::parse(name)?, nonce_count(params.get("nc")?)?)),
            None => None,
        };
        if protection.is_some() && cnonce.is_empty() {
            return None;
        }
        Some(Credentials {
            realm: params.get("realm")?.to_owned(),
            nonce: params.get("nonce")?.to_owned(),
            uri: params.get("uri")?.to_owned(),
            algorithm: params
                .get("algorithm")
                .map_or(Some(Algorithm::Md5), Algorithm::parse)?,
            raw_username: params.get("username")?.to_owned(),
            response: params.get("response")?.to_ascii_lowercase(),
            cnonce,
            protection,
        })
    }

    /// The user's name, its quoted pairs undone.
    pub fn username(&self) -> String {
        unescape(&self.raw_username)
    }

    /// How often the nonce has been answered, this time included. In the form of RFC 2069, which has no count, 0: such
    /// a nonce is good for one answer.
    pub(super) fn nonce_count(&self) -> u32 {
        let count = self.protection.as_ref().map(|(_, nc)| nc.as_str());
        count
            .and_then(|nc| u32::from_str_radix(nc, 16).ok())
            .unwrap_or(0)
    }

    /// True if the response was made with this password. The comparison takes the same time wherever they differ.
    pub(super) fn matches(&self, method: &Method, body: &[u8], password: Password<'_>) -> bool {
        let inputs = Inputs {
            algorithm: self.algorithm,
            username: &self.raw_username,
            realm: &self.realm,
            nonce: &self.nonce,
            cnonce: &self.cnonce,
            protection: self
                .protection
                .as_ref()
                .map(|(qop, nc)| Protection { qop: *qop, nc }),
            method,
            uri: &self.uri,
            body,
        };
        response(&inputs, password)
            .as_bytes()
            .ct_eq(self.response.as_bytes())
            .into()
    }
}

/// `nc`: eight hexadecimal digits.
fn nonce_count(text: &str) -> Option<String> {
    (text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}
