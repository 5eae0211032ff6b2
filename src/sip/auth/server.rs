//! The asked side: challenges, and the check of what comes back.

use super::digest::hex;
use super::{Algorithm, Challenge, Credentials, Password, Qop};
use crate::sip::message::Method;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Bytes of the seal in a nonce.
const SEAL_LENGTH: usize = 16;

/// How an [`Authenticator`] asks.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// The realm that is asked for.
    pub realm: String,
    /// One challenge each, the preferred first (RFC 8760 §2.3).
    pub algorithms: Vec<Algorithm>,
    /// How long a nonce is taken.
    pub nonce_lifetime: Duration,
}

/// What credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The peer knows the password.
    Valid,
    /// The peer knows the password, but answered a nonce that is too old, or from before a restart, or given to
    /// another address: challenge again with `stale=true`, and its user is not asked.
    Stale,
    /// Wrong.
    Invalid,
}

/// Writes challenges and checks answers. It remembers nothing of either: a nonce holds the time it was made, sealed
/// with a secret key together with the realm and the address that it was given to (RFC 7616 §3.3, §5.4).
///
/// Within the nonce's lifetime credentials that were overheard can be sent again from the same address for the same
/// method and URI; nonce counts are not tracked. Inside one transaction a repetition is absorbed as a retransmission.
pub struct Authenticator {
    pub(super) settings: AuthSettings,
    key: [u8; 32],
    epoch: Instant,
}

impl Authenticator {
    /// `key` is secret and random; with a new one every nonce given before is stale. `now` is the time from which
    /// the authenticator counts.
    pub fn new(settings: AuthSettings, key: [u8; 32], now: Instant) -> Self {
        Authenticator {
            settings,
            key,
            epoch: now,
        }
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.settings.realm
    }

    /// The challenges for a 401 or 407 to `peer`, each for a header line of its own, in this order.
    pub fn challenge(&self, now: Instant, peer: IpAddr, stale: bool) -> Vec<Challenge> {
        let nonce = self.nonce(now, peer);
        let realm = super::params::escape(&self.settings.realm);
        let challenges = self.settings.algorithms.iter().map(|&algorithm| Challenge {
            realm: realm.clone(),
            nonce: nonce.clone(),
            opaque: None,
            algorithm,
            qop: vec![Qop::Auth],
            stale,
        });
        challenges.collect()
    }

    /// Checks credentials that came from `peer` on a request of this method and body. For a user that does not exist,
    /// call it with any password and drop the verdict: the time it takes then tells a scanner nothing.
    pub fn verify(
        &self,
        now: Instant,
        peer: IpAddr,
        credentials: &Credentials,
        method: &Method,
        body: &[u8],
        password: Password<'_>,
    ) -> Verdict {
        let offered = self.settings.algorithms.contains(&credentials.algorithm)
            && credentials.realm == super::params::escape(&self.settings.realm);
        if !credentials.matches(method, body, password) || !offered {
            return Verdict::Invalid;
        }
        if self.is_fresh(now, peer, &credentials.nonce) {
            Verdict::Valid
        } else {
            Verdict::Stale
        }
    }

    /// Milliseconds since the epoch and their seal, in hexadecimal.
    fn nonce(&self, now: Instant, peer: IpAddr) -> String {
        let time = u64::try_from(now.saturating_duration_since(self.epoch).as_millis())
            .unwrap_or(u64::MAX);
        format!("{time:016x}{}", self.seal(time, peer))
    }

    fn is_fresh(&self, now: Instant, peer: IpAddr, nonce: &str) -> bool {
        let Some((time_text, seal)) = nonce.split_at_checked(16) else {
            return false;
        };
        let Ok(time) = u64::from_str_radix(time_text, 16) else {
            return false;
        };
        if !bool::from(self.seal(time, peer).as_bytes().ct_eq(seal.as_bytes())) {
            return false;
        }
        let made = self.epoch.checked_add(Duration::from_millis(time));
        made.is_some_and(|made| now.saturating_duration_since(made) < self.settings.nonce_lifetime)
    }

    fn seal(&self, time: u64, peer: IpAddr) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(&time.to_be_bytes());
        mac.update(peer.to_canonical().to_string().as_bytes());
        mac.update(b"\0");
        mac.update(self.settings.realm.as_bytes());
        hex(&mac.finalize().into_bytes()[..SEAL_LENGTH])
    }
}
