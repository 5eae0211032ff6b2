//! The hash itself (RFC 7616 §3.4, RFC 8760 §2).

use super::super::message::Method;
use md5::Md5;
use sha2::{Digest, Sha256};

/// A password in the clear. It has neither `Debug` nor `Display`, so that it cannot reach a log.
#[derive(Clone, Copy)]
pub struct Password<'a>(pub &'a str);

/// The algorithms that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RFC 3261's own, and what is meant where none is named.
    Md5,
    /// MD5 with the nonces hashed into the secret.
    Md5Sess,
    /// RFC 8760.
    Sha256,
    /// RFC 8760, with the nonces hashed into the secret.
    Sha256Sess,
}

impl Algorithm {
    /// The algorithm of a name in any case; None for one that we do not speak.
    pub fn parse(name: &str) -> Option<Algorithm> {
        [
            Algorithm::Md5,
            Algorithm::Md5Sess,
            Algorithm::Sha256,
            Algorithm::Sha256Sess,
        ]
        .into_iter()
        .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Md5Sess => "MD5-sess",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha256Sess => "SHA-256-sess",
        }
    }

    fn is_session(self) -> bool {
        matches!(self, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }

    /// Hash of the parts with colons between them, in lower-case hexadecimal.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Algorithm::Md5 | Algorithm::Md5Sess => hash_parts::<Md5>(parts),
            Algorithm::Sha256 | Algorithm::Sha256Sess => hash_parts::<Sha256>(parts),
        }
    }
}

fn hash_parts<D: Digest>(parts: &[&[u8]]) -> String {
    let mut hasher = D::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hasher.update(b":");
        }
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Quality of protection: what the hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qop {
    /// The method and the URI.
    Auth,
    /// The body too.
    AuthInt,
}

impl Qop {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }

    /// The quality of a name in any case; None for one that we do not speak.
    pub fn parse(name: &str) -> Option<Qop> {
        [Qop::Auth, Qop::AuthInt]
            .into_iter()
            .find(|qop| qop.name().eq_ignore_ascii_case(name))
    }
}

/// The part of the answer that qop adds: absent in the form of RFC 2069, which RFC 3261 §22.4 still takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protection<'a> {
    pub(super) qop: Qop,
    /// Eight hexadecimal digits, as written.
    pub(super) nc: &'a str,
}

/// What a response hash is made of.
pub(super) struct Inputs<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) username: &'a str,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    pub(super) cnonce: &'a str,
    pub(super) protection: Option<Protection<'a>>,
    pub(super) method: &'a Method,
    pub(super) uri: &'a str,
    pub(super) body: &'a [u8],
}

/// The `response` parameter (RFC 7616 §3.4.1 to §3.4.3).
pub(super) fn response(inputs: &Inputs<'_>, password: Password<'_>) -> String {
    let Inputs {
        algorithm,
        nonce,
        cnonce,
        ..
    } = *inputs;
    let secret = algorithm.hash(&[
        inputs.username.as_bytes(),
        inputs.realm.as_bytes(),
        password.0.as_bytes(),
    ]);
    let a1 = match algorithm.is_session() {
        true => algorithm.hash(&[secret.as_bytes(), nonce.as_bytes(), cnonce.as_bytes()]),
        false => secret,
    };
    let method = inputs.method.as_str().as_bytes();
    let a2 = match inputs.protection {
        Some(Protection {
            qop: Qop::AuthInt, ..
        }) => {
            let body = algorithm.hash(&[inputs.body]);
            algorithm.hash(&[method, inputs.uri.as_bytes(), body.as_bytes()])
        }
        _ => algorithm.hash(&[method, inputs.uri.as_bytes()]),
    };
    match inputs.protection {
        Some(Protection { qop, nc }) => algorithm.hash(&[
            a1.as_bytes(),
            nonce.as_bytes(),
            nc.as_bytes(),
            cnonce.as_bytes(),
            qop.name().as_bytes(),
            a2.as_bytes(),
        ]),
        None => algorithm.hash(&[a1.as_bytes(), nonce.as_bytes(), a2.as_bytes()]),
    }
}
