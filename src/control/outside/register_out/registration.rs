//! One registration: its state, and what it makes of an answer.

use super::request::{self, Identity};
use crate::config::settings::Registration as Settings;
use crate::control::locate::path::Path;
use crate::control::outside::credentials::KnownChallenges;
use crate::control::outside::{Answer, seconds};
use crate::sip::message::{Response, Uri};
use crate::sip::timer::TimerId;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long before its end a binding is refreshed, as in Asterisk; half of a short one.
const REFRESH_LEAD: Duration = Duration::from_secs(10);
/// The part of a binding's time by which refreshes are spread, so that those which began together drift apart.
const SPREAD: u32 = 10;
/// Longest Retry-After that is honoured; a longer one is taken as this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// See the module's comment.
pub(super) struct Registration {
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    /// Taken along by a question that is outstanding.
    pub(super) challenges: KnownChallenges,
    /// CSeq number of the next REGISTER.
    pub(super) cseq: u32,
    /// What is asked for: `expiration`, or the registrar's Min-Expires.
    pub(super) expiration: Duration,
    /// Attempts in a row that failed.
    pub(super) failures: u32,
    /// How the last attempt failed; None after a success, or before the first.
    pub(super) trouble: Option<String>,
    /// The address that last granted a binding: calls by it come from there.
    pub(super) registrar: Option<IpAddr>,
    pub(super) state: State,
}

/// Where a registration stands; the module's comment has the diagram.
pub(super) enum State {
    /// The next attempt has its time.
    Waiting { timer: TimerId, until: Instant },
    /// A REGISTER is outstanding. `binding` is what stood before.
    Asking {
        binding: Option<Binding>,
        then: Then,
    },
    /// A binding stands.
    Registered {
        binding: Binding,
        refresh: TimerId,
        keep_alive: Option<TimerId>,
    },
    /// It has given up: nothing but a reload that changes it, or a restart, begins again.
    Stopped,
    /// The REGISTER that ends the binding is outstanding; then it is forgotten.
    Leaving,
}

/// What follows the outstanding REGISTER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// What its answer says.
    Go,
    /// The settings have changed: ask again with those.
    Again,
    /// The registration was removed, or the gateway ends.
    Leave,
}

/// What a registrar has granted.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// The way that it was registered over.
    pub(super) path: Path,
    pub(super) since: Instant,
    pub(super) until: Instant,
    pub(super) service_route: Vec<String>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A binding for so long, and the routes of calls.
    Granted(Duration, Vec<String>),
    /// The same at once with this expiration (423).
    Longer(Duration),
    /// Again after so long.
    Retry(Duration, String),
    /// It is of no use.
    GiveUp(String),
}

impl Registration {
    /// The binding that stands, if one does.
    pub(super) fn binding(&self) -> Option<&Binding> {
        match &self.state {
            State::Asking { binding, .. } => binding.as_ref(),
            State::Registered { binding, .. } => Some(binding),
            State::Waiting { .. } | State::Stopped | State::Leaving => None,
        }
    }

    /// True if it is on its way out, and no longer one of the configuration.
    pub(super) fn is_leaving(&self) -> bool {
        let Self { state, .. } = self;
        matches!(
            state,
            State::Leaving
                | State::Asking {
                    then: Then::Leave,
                    ..
                }
        )
    }

    /// True if the new settings are of the same binding: the same Contact for the same address of record at the same
    /// registrar.
    pub(super) fn is_of(&self, new: &Settings) -> bool {
        let what = |settings: &Settings| {
            let Settings {
                server_uri,
                client_uri,
                contact_user,
                transport,
                line,
                ..
            } = settings;
            let uris = (server_uri.clone(), client_uri.clone());
            (uris, contact_user.clone(), *transport, *line)
        };
        what(&self.settings) == what(new)
    }

    /// What the answer to our REGISTER means. `path` is the one that it went over.
    pub(super) fn judge(&self, answer: &Answer, path: Option<&Path>) -> Verdict {
        let retry = |what: &str| self.after(self.settings.retry_interval, what.to_owned());
        let response = match answer {
            Answer::Response(response) => response,
            Answer::Timeout => return retry("no answer"),
            Answer::Transport => return retry("could not be sent"),
            Answer::Nowhere => {
                return retry("the registrar has no address that a transport reaches");
            }
        };
        match (response.status(), path) {
            (200..=299, Some(path)) => self.grant(response, path),
            (423, _) => self.longer(response),
            _ => self.refusal(response),
        }
    }

    fn grant(&self, response: &Response, path: &Path) -> Verdict {
        let headers = response.headers();
        let contact = request::contact_uri(&self.settings, &self.identity, path);
        let granted = match Uri::parse(&contact) {
            Some(contact) => request::granted(headers, &contact, self.expiration),
            None => self.expiration,
        };
        if granted.is_zero() {
            let what = String::from("the registrar granted no time");
            return self.after(self.settings.retry_interval, what);
        }
        Verdict::Granted(granted, request::service_route(headers))
    }

    /// 423: the registrar's minimum is asked for, once.
    fn longer(&self, response: &Response) -> Verdict {
        let minimum = response.headers().get("Min-Expires");
        match minimum.and_then(seconds) {
            Some(minimum)
                if minimum > self.expiration && self.expiration == self.settings.expiration =>
            {
                Verdict::Longer(minimum)
            }
            _ => self.refusal(response),
        }
    }

    fn refusal(&self, response: &Response) -> Verdict {
        let settings = &self.settings;
        let what = format!("{} {}", response.status(), response.reason());
        let retry_after = response.headers().get("Retry-After");
        if let Some(wait) = retry_after.and_then(seconds) {
            return self.after(wait.clamp(Duration::from_secs(1), RETRY_AFTER_MAX), what);
        }
        let wait = match response.status() {
            401 | 407 if settings.auth_rejection_permanent => Duration::ZERO,
            401 | 407 | 408 | 423 => settings.retry_interval,
            403 if !settings.forbidden_retry_interval.is_zero() => {
                settings.forbidden_retry_interval
            }
            501 | 505 => settings.fatal_retry_interval,
            500..=699 => settings.retry_interval,
            _ => settings.fatal_retry_interval,
        };
        self.after(wait, what)
    }

    /// Again after a wait that is not 0, unless that would be one attempt too many.
    fn after(&self, wait: Duration, what: String) -> Verdict {
        let attempts = self.failures.saturating_add(1);
        match self.settings.max_retries {
            Some(max) if attempts >= max => Verdict::GiveUp(format!(
                "{what} (attempt {attempts} of max_retries = {max})"
            )),
            _ if wait.is_zero() => Verdict::GiveUp(what),
            _ => Verdict::Retry(wait, what),
        }
    }
}

/// When a binding is refreshed, from now: before its end, and never all of them at once.
pub(super) fn refresh_after(granted: Duration, rng: &mut fastrand::Rng) -> Duration {
    let latest = granted - REFRESH_LEAD.min(granted / 2);
    let spread = granted.as_secs_f64() / f64::from(SPREAD) * rng.f64();
    latest
        .saturating_sub(Duration::from_secs_f64(spread))
        .max(granted / 2)
}
