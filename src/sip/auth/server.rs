//! The asked side: challenges, and the check of what comes back.

use super::digest::hex;
use super::replay::Replay;
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
    /// another address, or has given this very answer before: challenge again with `stale=true`, and its user is not
    /// asked.
    Stale,
    /// Wrong.
    Invalid,
}

/// Writes challenges and checks answers. A challenge is not remembered: a nonce holds the time it was made and its
/// serial number, sealed with a secret key together with the realm and the address that it was given to (RFC 7616
/// §3.3, §5.4). Of a nonce that was answered rightly its counts are kept in a table of fixed size, so that credentials
/// that were overheard cannot be sent again.
#[derive(Clone)]
pub struct Authenticator {
    pub(super) settings: AuthSettings,
    key: [u8; 32],
    epoch: Instant,
    /// Of the last challenge.
    serial: u64,
    replay: Replay,
}

impl Authenticator {
    /// `key` is secret and random; with a new one every nonce given before is stale. `now` is the time from which
    /// the authenticator counts.
    pub fn new(settings: AuthSettings, key: [u8; 32], now: Instant) -> Self {
        Authenticator {
            settings,
            key,
            epoch: now,
            serial: 0,
            replay: Replay::new(),
        }
    }

    /// Challenges by these from now on. Answers to a challenge by another one are no longer taken.
    pub fn set_algorithms(&mut self, algorithms: Vec<Algorithm>) {
        self.settings.algorithms = algorithms;
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.settings.realm
    }

    /// The challenges for a 401 or 407 to `peer`, each for a header line of its own, in this order.
    pub fn challenge(&mut self, now: Instant, peer: IpAddr, stale: bool) -> Vec<Challenge> {
        self.serial += 1;
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

    /// Those of several credentials that answer a challenge of ours.
    pub fn own<'c>(&self, shown: &'c [Credentials]) -> Option<&'c Credentials> {
        shown.iter().find(|credentials| self.has_asked(credentials))
    }

    fn has_asked(&self, credentials: &Credentials) -> bool {
        self.settings.algorithms.contains(&credentials.algorithm)
            && credentials.realm == super::params::escape(&self.settings.realm)
    }

    /// Checks credentials that came from `peer` on a request of this method and body against a user's name and
    /// password. For a user that does not exist, pass None: the same work is done, so that the time it takes tells a
    /// scanner nothing.
    pub fn verify(
        &mut self,
        now: Instant,
        peer: IpAddr,
        credentials: &Credentials,
        method: &Method,
        body: &[u8],
        user: Option<(&str, Password<'_>)>,
    ) -> Verdict {
        let (name, password) = user.unwrap_or(("", Password("")));
        let is_right = credentials.matches(method, body, password);
        let is_users = user.is_some() && credentials.username() == name;
        if !is_right || !is_users || !self.has_asked(credentials) {
            return Verdict::Invalid;
        }
        match self.fresh(now, peer, &credentials.nonce) {
            Some(serial) if self.replay.take(serial, credentials.nonce_count()) => Verdict::Valid,
            _ => Verdict::Stale,
        }
    }

    /// Milliseconds since the epoch, the serial number and their seal, in hexadecimal.
    fn nonce(&self, now: Instant, peer: IpAddr) -> String {
        let time = u64::try_from(now.saturating_duration_since(self.epoch).as_millis())
            .unwrap_or(u64::MAX);
        let serial = self.serial;
        format!("{time:016x}{serial:016x}{}", self.seal(time, serial, peer))
    }

    /// The serial number of a nonce that is ours and not too old.
    fn fresh(&self, now: Instant, peer: IpAddr, nonce: &str) -> Option<u64> {
        let (time, rest) = nonce.split_at_checked(16)?;
        let (serial, seal) = rest.split_at_checked(16)?;
        let time = u64::from_str_radix(time, 16).ok()?;
        let serial = u64::from_str_radix(serial, 16).ok()?;
        let is_ours = self
            .seal(time, serial, peer)
            .as_bytes()
            .ct_eq(seal.as_bytes());
        if !bool::from(is_ours) {
            return None;
        }
        let made = self.epoch.checked_add(Duration::from_millis(time))?;
        let age = now.saturating_duration_since(made);
        (age < self.settings.nonce_lifetime).then_some(serial)
    }

    fn seal(&self, time: u64, serial: u64, peer: IpAddr) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(&time.to_be_bytes());
        mac.update(&serial.to_be_bytes());
        mac.update(peer.to_canonical().to_string().as_bytes());
        mac.update(b"\0");
        mac.update(self.settings.realm.as_bytes());
        hex(&mac.finalize().into_bytes()[..SEAL_LENGTH])
    }
}
