//! Who may ask: the bearer token, and on loopback the protection against web pages that an operator's browser shows.

use crate::config::settings::Admin;
use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, SocketAddr};

/// Most bytes of a request's body. No request has one today, so this is room for a polite client's empty object.
const BODY_MAX: u64 = 4096;

/// Paths that need no token: what a scraper and an orchestrator ask for.
const OPEN_PATHS: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// The rules of one admin address.
#[derive(Clone, Debug)]
pub struct Guard {
    listen: SocketAddr,
    /// SHA-256 of the token, so that a comparison tells nothing of it, not even its length.
    token: Option<[u8; 32]>,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, or a wrong one.
    #[error(
        "a bearer token is needed: Authorization: Bearer TOKEN, the token of [admin] in the configuration"
    )]
    Unauthorized,
    /// Its Host is not this machine: a page in a browser found its way here (DNS rebinding).
    #[error(
        "this address answers only to localhost, 127.0.0.1, [::1] and its configured address as Host"
    )]
    StrangeHost,
    /// Its Origin is another page than ours.
    #[error("requests from other web pages are refused")]
    StrangeOrigin,
    /// Its body is over the limit.
    #[error("the request's body is too large")]
    BodyTooLarge,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
            Refusal::StrangeHost => StatusCode::MISDIRECTED_REQUEST,
            Refusal::StrangeOrigin => StatusCode::FORBIDDEN,
            Refusal::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
}

impl Guard {
    /// The rules for these settings.
    pub fn new(settings: &Admin) -> Guard {
        let token = settings
            .token
            .as_ref()
            .map(|token| Sha256::digest(token.0.as_bytes()).into());
        Guard {
            listen: settings.listen,
            token,
        }
    }

    /// Whether a request with this path and these headers may pass.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, path: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = text(headers, header::HOST);
        if self.listen.ip().is_loopback() && !host.is_some_and(|host| self.is_ours(host)) {
            return Err(Refusal::StrangeHost);
        }
        // A page of another site can make a browser send a POST here without asking (no CORS preflight), but not
        // without its Origin.
        if let Some(origin) = text(headers, header::ORIGIN) {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            if authority.is_none() || authority != host {
                return Err(Refusal::StrangeOrigin);
            }
        }
        let length = text(headers, header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
        if length.is_some_and(|length: u64| length > BODY_MAX) {
            return Err(Refusal::BodyTooLarge);
        }
        if OPEN_PATHS.contains(&path) {
            Ok(())
        } else {
            self.check_token(headers)
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(wanted) = &self.token else {
            return Ok(());
        };
        let given = text(headers, header::AUTHORIZATION)
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| Sha256::digest(token.trim().as_bytes()))
            .ok_or(Refusal::Unauthorized)?;
        // Every byte is looked at, whatever the first difference.
        let difference = wanted
            .iter()
            .zip(given)
            .fold(0, |all, (a, b)| all | (a ^ b));
        if difference == 0 {
            Ok(())
        } else {
            Err(Refusal::Unauthorized)
        }
    }

    /// True if this Host header names the machine itself, as only a user of it would.
    fn is_ours(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => host,
        };
        let bare = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| {
                address == self.listen.ip()
                    || address == IpAddr::from([127, 0, 0, 1])
                    || address == IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1])
            })
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Secret;
    use axum::http::HeaderValue;

    fn guard(listen: &str, token: Option<&str>) -> Guard {
        Guard::new(&Admin {
            listen: listen.parse().expect("an address"),
            token: token.map(|token| Secret(token.into())),
        })
    }

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_str(text).expect("a header value");
        pairs
            .iter()
            .map(|(name, text)| (name.clone(), value(text)))
            .collect()
    }

    #[test]
    fn on_loopback_only_this_machine_is_a_host() {
        let guard = guard("127.0.0.2:8088", None);
        for host in [
            "localhost",
            "LocalHost:8088",
            "127.0.0.1:8088",
            "127.0.0.2:8088",
            "[::1]:8088",
            "[::1]",
        ] {
            assert_eq!(
                guard.check("/metrics", &headers(&[(header::HOST, host)])),
                Ok(()),
                "{host}"
            );
        }
        for host in [
            "evil.example",
            "evil.example:8088",
            "127.0.0.1.evil.example",
            "127.0.0.3",
            "",
            "[::1",
        ] {
            assert_eq!(
                guard.check("/metrics", &headers(&[(header::HOST, host)])),
                Err(Refusal::StrangeHost),
                "{host}"
            );
        }
        assert_eq!(
            guard.check("/metrics", &headers(&[])),
            Err(Refusal::StrangeHost)
        );
    }

    #[test]
    fn a_web_page_of_another_origin_is_refused() {
        let guard = guard("127.0.0.1:8088", None);
        let check = |origin| {
            let given = headers(&[(header::HOST, "localhost:8088"), (header::ORIGIN, origin)]);
            guard.check("/api/v1/drain", &given)
        };
        assert_eq!(check("http://localhost:8088"), Ok(()));
        assert_eq!(check("https://evil.example"), Err(Refusal::StrangeOrigin));
        assert_eq!(check("http://localhost:80"), Err(Refusal::StrangeOrigin));
        assert_eq!(check("null"), Err(Refusal::StrangeOrigin));
    }

    #[test]
    fn the_token_guards_all_but_the_open_paths() {
        let guard = guard("192.0.2.1:8088", Some("s3cret"));
        let check = |path, authorization: Option<&str>| {
            let mut given = vec![(header::HOST, "gateway.example:8088")];
            given.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
            guard.check(path, &headers(&given))
        };
        for path in OPEN_PATHS {
            assert_eq!(check(path, None), Ok(()));
        }
        assert_eq!(check("/api/v1/calls", Some("Bearer s3cret")), Ok(()));
        assert_eq!(check("/api/v1/calls", Some("bearer  s3cret ")), Ok(()));
        for wrong in [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer s3cre"),
            Some("Bearer s3crett"),
            Some("Basic s3cret"),
        ] {
            assert_eq!(
                check("/api/v1/calls", wrong),
                Err(Refusal::Unauthorized),
                "{wrong:?}"
            );
            assert_eq!(
                check("/metrics/", wrong),
                Err(Refusal::Unauthorized),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_large_body_is_refused() {
        let guard = guard("127.0.0.1:8088", None);
        let check = |length| {
            let given = headers(&[
                (header::HOST, "localhost"),
                (header::CONTENT_LENGTH, length),
            ]);
            guard.check("/api/v1/reload", &given)
        };
        assert_eq!(check("4096"), Ok(()));
        assert_eq!(check("4097"), Err(Refusal::BodyTooLarge));
    }
}
