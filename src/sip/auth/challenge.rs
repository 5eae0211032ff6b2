//! WWW-Authenticate and Proxy-Authenticate: what is asked, and how we answer it.

use super::super::message::{Headers, Method};
use super::digest::{Inputs, Protection, response};
use super::params::{DigestParams, escape};
use super::{Algorithm, Asker, Password, Qop};
use std::fmt;

/// A Digest challenge (RFC 3261 §20.44, RFC 7616 §3.3). `Display` writes the header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Whose users are asked for, as written between the quotes (with its quoted pairs).
    pub realm: String,
    /// The server's number, as written.
    pub nonce: String,
    /// To be sent back as it came, if there.
    pub opaque: Option<String>,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The qualities on offer that we speak; empty for the form of RFC 2069.
    pub qop: Vec<Qop>,
    /// The answer was right but its nonce too old: try again with the same password.
    pub stale: bool,
}

/// The challenges in a response that we can answer, in the order of the sender's preference: the first of each realm
/// is the one to answer (RFC 8760 §2.4). Unknown schemes, algorithms and qualities are skipped.
pub fn challenges(headers: &Headers, asker: Asker) -> Vec<Challenge> {
    let lines = headers.lines(asker.challenge_header());
    lines
        .flat_map(DigestParams::parse_line)
        .filter_map(|params| Challenge::from_params(&params))
        .collect()
}

/// What [`Challenge::answer`] needs besides the challenge.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// Our name.
    pub username: &'a str,
    /// Our password.
    pub password: Password<'a>,
    /// The method of the request.
    pub method: &'a Method,
    /// The Request-URI as it stands on the line.
    pub uri: &'a str,
    /// The body, for `auth-int`.
    pub body: &'a [u8],
    /// Our own number: random, and free of quotes and backslashes.
    pub cnonce: &'a str,
    /// How often this nonce has been answered, this time included: from 1.
    pub nonce_count: u32,
}

impl Challenge {
    /// The first challenge of a header line that we can answer.
    pub fn parse(line: &str) -> Option<Challenge> {
        DigestParams::parse_line(line)
            .iter()
            .find_map(Challenge::from_params)
    }

    fn from_params(params: &DigestParams<'_>) -> Option<Challenge> {
        let algorithm = params
            .get("algorithm")
            .map_or(Some(Algorithm::Md5), Algorithm::parse)?;
        let offered = params.get("qop").unwrap_or_default();
        let qop: Vec<Qop> = offered
            .split(',')
            .filter_map(|name| Qop::parse(name.trim()))
            .collect();
        if qop.is_empty() && !offered.trim().is_empty() {
            return None;
        }
        Some(Challenge {
            realm: params.get("realm")?.to_owned(),
            nonce: params.get("nonce")?.to_owned(),
            opaque: params.get("opaque").map(str::to_owned),
            algorithm,
            qop,
            stale: params
                .get("stale")
                .is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// The value of the Authorization or Proxy-Authorization header. `auth` is used where both are on offer: what a
    /// border element does to a body would break `auth-int`.
    pub fn answer(&self, answer: &Answer<'_>) -> String {
        let username = escape(answer.username);
        let nc = format!("{:08x}", answer.nonce_count);
        let qop = if self.qop.contains(&Qop::Auth) {
            Some(Qop::Auth)
        } else {
            self.qop.first().copied()
        };
        let inputs = Inputs {
            algorithm: self.algorithm,
            username: &username,
            realm: &self.realm,
            nonce: &self.nonce,
            cnonce: answer.cnonce,
            protection: qop.map(|qop| Protection { qop, nc: &nc }),
            method: answer.method,
            uri: answer.uri,
            body: answer.body,
        };
        let mut value = format!(
            r#"Digest username="{username}", realm="{}", nonce="{}", uri="{}", response="{}", algorithm={}"#,
            self.realm,
            self.nonce,
            answer.uri,
            response(&inputs, answer.password),
            self.algorithm.name(),
        );
        if let Some(qop) = qop {
            value += &format!(
                r#", cnonce="{}", qop={}, nc={nc}"#,
                answer.cnonce,
                qop.name()
            );
        } else if matches!(self.algorithm, Algorithm::Md5Sess | Algorithm::Sha256Sess) {
            value += &format!(r#", cnonce="{}""#, answer.cnonce);
        }
        if let Some(opaque) = &self.opaque {
            value += &format!(r#", opaque="{opaque}""#);
        }
        value
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"Digest realm="{}", nonce="{}", algorithm={}"#,
            self.realm,
            self.nonce,
            self.algorithm.name()
        )?;
        if !self.qop.is_empty() {
            let names: Vec<_> = self.qop.iter().map(|qop| qop.name()).collect();
            write!(f, r#", qop="{}""#, names.join(","))?;
        }
        if let Some(opaque) = &self.opaque {
            write!(f, r#", opaque="{opaque}""#)?;
        }
        if self.stale {
            f.write_str(", stale=true")
        } else {
            Ok(())
        }
    }
}
