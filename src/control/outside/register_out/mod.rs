//! Our registrations at other registrars (`[registration.*]`, RFC 3261 §10.2), each by itself.
//!
//! ```text
//!                     ┌────────────────── refresh due, flow lost ──────────────────┐
//!                     ▼                                                            │
//!   start ──► Waiting ──due──► Asking ──2xx──────────────────────────────────► Registered
//!                ▲               │ │ └─ 423: asks again with Min-Expires, once     │
//!                └─ retry later ─┘ └─ of no use, or too often ──► Stopped          │
//!   removed, or the gateway ends:                                                  │
//!     Waiting, Stopped ──► gone      Asking ── its answer ──┐                      │
//!                                    Leaving (Expires: 0) ◄─┴──────────────────────┘
//!                                       └── any answer, or none ──► gone
//! ```
//!
//! One REGISTER of a registration is outstanding at most (RFC 3261 §10.2); a dead registrar holds up nobody else's.
//! Many that begin at once are paced, [`PACE`] apart, and their refreshes drift apart by chance.

mod registration;
mod request;
mod table;

#[cfg(test)]
mod tests;

pub use table::{RegistrationKey, Registrations};

use super::{Outcome, Question, Questioner};
use crate::config::settings::Registration as Settings;
use crate::control::admission::identify::Identified;
use crate::control::context::{Context, Timer};
use crate::control::controller::{Controller, Output};
use crate::sip::flow::{Flow, Transmit};
use crate::sip::message::{Request, Uri};
use bytes::Bytes;
use registration::{Binding, Registration, State, Then, Verdict, refresh_after};
use request::Identity;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Between the beginnings of registrations that begin together: 1,000 of them take 20 s.
pub const PACE: Duration = Duration::from_millis(20);
/// A binding whose flow was lost sooner than this is not asked for again at once, but after `retry_interval`.
const STOOD_MIN: Duration = Duration::from_secs(30);
/// How long the end waits for registrars to take our un-registrations.
const UNREGISTER_WAIT: Duration = Duration::from_secs(4);
/// How often a stream is kept open where `keep_alive_interval` is left out.
const KEEP_ALIVE_DEFAULT: Duration = Duration::from_secs(90);
/// RFC 5626 §3.5.1
const KEEP_ALIVE: &[u8] = b"\r\n\r\n";

/// What a registration's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationTimer {
    /// The next REGISTER.
    Due,
    /// The next keep-alive.
    KeepAlive,
}

impl Controller {
    /// Takes the registrations of the present setup: those that are new begin, those that are gone end, those that
    /// are the same go on untouched.
    pub(in crate::control) fn take_registrations(&mut self, now: Instant) {
        if self.ctx.registrations.is_leaving() {
            return;
        }
        let setup = self.setup.clone();
        let wanted = &setup.settings().registrations;
        for key in self.ctx.registrations.keys() {
            let Some(registration) = self.ctx.registrations.get_mut(key) else {
                continue;
            };
            if registration.is_leaving() {
                continue;
            }
            let name = &registration.settings.name;
            match wanted.iter().find(|other| other.name == *name) {
                Some(same) if *same == registration.settings => {}
                Some(changed) if registration.is_of(changed) => {
                    registration.settings = changed.clone();
                    registration.expiration = changed.expiration;
                    self.ask_again(now, key);
                }
                _ => self.leave_registrar(now, key),
            }
        }
        for settings in wanted {
            if self.ctx.registrations.named(&settings.name).is_none() {
                self.begin_registration(now, settings.clone());
            }
        }
        self.ctx.registrations.index(setup.settings());
    }

    fn begin_registration(&mut self, now: Instant, settings: Settings) {
        let Context {
            registrations,
            sip,
            timers,
            rng,
            metrics,
            ..
        } = &mut self.ctx;
        let identity = Identity {
            call_id: sip.new_call_id(),
            tag: sip.new_tag(),
            line: settings.line.then(|| format!("{:016x}", rng.u64(..))),
        };
        metrics.set_registration(&settings.name, false);
        let until = registrations.turn(now);
        let key = registrations.next_key();
        let timer = timers.arm(now, until, Timer::Registration(key, RegistrationTimer::Due));
        registrations.insert(Registration {
            expiration: settings.expiration,
            settings,
            identity,
            challenges: Default::default(),
            cseq: 1,
            failures: 0,
            trouble: None,
            registrar: None,
            state: State::Waiting { timer, until },
        });
    }

    /// The settings have changed: asks at once, or once the outstanding REGISTER is answered.
    fn ask_again(&mut self, now: Instant, key: RegistrationKey) {
        let Context {
            registrations,
            timers,
            ..
        } = &mut self.ctx;
        let Some(registration) = registrations.get_mut(key) else {
            return;
        };
        registration.failures = 0;
        match &mut registration.state {
            State::Asking { then, .. } => *then = Then::Again,
            State::Waiting { timer, .. } => {
                timers.cancel(*timer);
                self.register(now, key);
            }
            State::Registered { .. } | State::Stopped => self.register(now, key),
            State::Leaving => {}
        }
    }

    /// A timer of a registration is due.
    pub(in crate::control) fn on_registration_timer(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        timer: RegistrationTimer,
    ) {
        match timer {
            RegistrationTimer::Due => self.register(now, key),
            RegistrationTimer::KeepAlive => self.keep_alive(now, key),
        }
    }

    /// Sends a REGISTER, unless one is outstanding.
    fn register(&mut self, now: Instant, key: RegistrationKey) {
        let Context {
            registrations,
            timers,
            ..
        } = &mut self.ctx;
        let Some(registration) = registrations.get_mut(key) else {
            return;
        };
        let binding = match std::mem::replace(&mut registration.state, State::Stopped) {
            State::Waiting { .. } | State::Stopped => None,
            State::Registered {
                binding,
                refresh,
                keep_alive,
            } => {
                timers.cancel(refresh);
                keep_alive.map(|timer| timers.cancel(timer));
                Some(binding)
            }
            busy @ (State::Asking { .. } | State::Leaving) => {
                registration.state = busy;
                return;
            }
        };
        let then = Then::Go;
        registration.state = State::Asking { binding, then };
        let expires = registration.expiration;
        self.send_register(now, key, expires);
    }

    fn send_register(&mut self, now: Instant, key: RegistrationKey, expires: Duration) {
        let Some(registration) = self.ctx.registrations.get_mut(key) else {
            return;
        };
        let settings = registration.settings.clone();
        let identity = registration.identity.clone();
        let proxy = settings.outbound_proxy.as_ref();
        let question = Question {
            by: Questioner::Registration(key),
            next_hop: proxy.unwrap_or(&settings.server_uri).clone(),
            flow: None,
            transport: settings.transport,
            auth: settings.outbound_auth.clone(),
            challenges: std::mem::take(&mut registration.challenges),
            cseq: registration.cseq,
            write: Box::new(move |path| request::write(&settings, &identity, expires, path)),
        };
        self.ask_outside(now, question);
    }

    /// The answer to a REGISTER.
    pub(super) fn on_registration_outcome(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        outcome: Outcome,
    ) {
        let Some(registration) = self.ctx.registrations.get_mut(key) else {
            return;
        };
        registration.challenges = outcome.challenges;
        registration.cseq = outcome.cseq;
        let (binding, then) = match std::mem::replace(&mut registration.state, State::Stopped) {
            State::Asking { binding, then } => (binding, then),
            _ => return self.ctx.registrations.remove(key),
        };
        let verdict = registration.judge(&outcome.answer, outcome.path.as_ref());
        let path = outcome.path;
        match (verdict, path) {
            (Verdict::Granted(..), Some(path)) if then == Then::Leave => {
                registration.registrar = Some(path.flow.peer.ip());
                registration.state = State::Leaving;
                return self.send_register(now, key, Duration::ZERO);
            }
            (_, _) if then == Then::Leave => return self.ctx.registrations.remove(key),
            (Verdict::Granted(granted, service_route), Some(path)) => {
                let binding = Binding {
                    since: binding.map_or(now, |before| before.since),
                    until: now + granted,
                    path,
                    service_route,
                };
                self.on_registered(now, key, binding, granted);
            }
            (Verdict::Granted(..), None) => {}
            (Verdict::Longer(minimum), _) => {
                registration.expiration = minimum;
                let then = Then::Go;
                registration.state = State::Asking { binding, then };
                self.send_register(now, key, minimum);
            }
            (Verdict::Retry(wait, what), _) => self.on_refused(now, key, Some(wait), what),
            (Verdict::GiveUp(what), _) => self.on_refused(now, key, None, what),
        }
        if then == Then::Again {
            self.ask_again(now, key);
        }
    }

    fn on_registered(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        binding: Binding,
        granted: Duration,
    ) {
        let keep_alive = self.keep_alive_interval(binding.path.flow);
        let Context {
            registrations,
            timers,
            rng,
            metrics,
            ..
        } = &mut self.ctx;
        let Some(registration) = registrations.get_mut(key) else {
            return;
        };
        let name = &registration.settings.name;
        if binding.since == now {
            tracing::info!(
                registration = name,
                registrar = %binding.path.flow.peer,
                expires_s = granted.as_secs(),
                "registered"
            );
        }
        metrics.set_registration(name, true);
        registration.failures = 0;
        registration.trouble = None;
        registration.registrar = Some(binding.path.flow.peer.ip().to_canonical());
        let mut arm = |after, timer| timers.arm(now, now + after, Timer::Registration(key, timer));
        registration.state = State::Registered {
            refresh: arm(refresh_after(granted, rng), RegistrationTimer::Due),
            keep_alive: keep_alive.map(|interval| arm(interval, RegistrationTimer::KeepAlive)),
            binding,
        };
    }

    /// The registration does not stand. It is tried again after `wait`, or never.
    fn on_refused(
        &mut self,
        now: Instant,
        key: RegistrationKey,
        wait: Option<Duration>,
        what: String,
    ) {
        let Context {
            registrations,
            timers,
            metrics,
            ..
        } = &mut self.ctx;
        let Some(registration) = registrations.get_mut(key) else {
            return;
        };
        let settings = &registration.settings;
        let (name, server) = (&settings.name, &settings.server_uri);
        metrics.set_registration(name, false);
        registration.failures = registration.failures.saturating_add(1);
        registration.state = match wait {
            Some(wait) => {
                tracing::warn!(
                    registration = name,
                    %server,
                    reason = what,
                    retry_in_s = wait.as_secs(),
                    "not registered"
                );
                let until = now + wait;
                let due = Timer::Registration(key, RegistrationTimer::Due);
                let timer = timers.arm(now, until, due);
                State::Waiting { timer, until }
            }
            None => {
                tracing::error!(
                    registration = name,
                    %server,
                    reason = what,
                    "not registered, and given up; a reload that changes it, or a restart, tries again"
                );
                State::Stopped
            }
        };
        registration.trouble = Some(what);
    }

    /// Who sends a request that comes by one of our registrations.
    pub(in crate::control) fn by_registration(
        &self,
        source: IpAddr,
        request: &Request,
    ) -> Option<Identified> {
        if !self.ctx.registrations.tell_calls() {
            return None;
        }
        let uri = Uri::parse(request.uri())?;
        let (endpoint, by) = self.ctx.registrations.endpoint_of(source, &uri)?;
        let endpoint = self.setup.endpoint_named(endpoint)?;
        Some(Identified { endpoint, by })
    }

    /// A flow has failed: every binding over it is asked for again, at once if it had stood for a while.
    pub(in crate::control) fn on_registration_flow_failed(&mut self, now: Instant, flow: Flow) {
        for key in self.ctx.registrations.over(flow) {
            let Context {
                registrations,
                timers,
                metrics,
                ..
            } = &mut self.ctx;
            let turn = registrations.turn(now);
            let Some(registration) = registrations.get_mut(key) else {
                continue;
            };
            let State::Registered {
                binding,
                refresh,
                keep_alive,
            } = std::mem::replace(&mut registration.state, State::Stopped)
            else {
                continue;
            };
            timers.cancel(refresh);
            keep_alive.map(|timer| timers.cancel(timer));
            let stood = now.saturating_duration_since(binding.since);
            let wait = registration.settings.retry_interval.max(STOOD_MIN);
            let until = if stood < STOOD_MIN { now + wait } else { turn };
            tracing::warn!(
                registration = registration.settings.name,
                registrar = %flow.peer,
                "registration lost: the way to the registrar has failed"
            );
            metrics.set_registration(&registration.settings.name, false);
            let due = Timer::Registration(key, RegistrationTimer::Due);
            let timer = timers.arm(now, until, due);
            registration.state = State::Waiting { timer, until };
            registration.trouble = Some(String::from("the way to the registrar has failed"));
        }
    }

    fn keep_alive_interval(&self, flow: Flow) -> Option<Duration> {
        let set = self.setup.settings().global.keep_alive_interval;
        let default = flow.protocol.is_reliable().then_some(KEEP_ALIVE_DEFAULT);
        set.or(default).filter(|interval| !interval.is_zero())
    }

    fn keep_alive(&mut self, now: Instant, key: RegistrationKey) {
        let Some(State::Registered { binding, .. }) =
            self.ctx.registrations.get_mut(key).map(|r| &r.state)
        else {
            return;
        };
        let flow = binding.path.flow;
        let interval = self.keep_alive_interval(flow);
        let Context {
            registrations,
            timers,
            outputs,
            ..
        } = &mut self.ctx;
        outputs.push_back(Output::Transmit(Transmit {
            flow,
            bytes: Bytes::from_static(KEEP_ALIVE),
        }));
        let next = interval.map(|interval| {
            let timer = Timer::Registration(key, RegistrationTimer::KeepAlive);
            timers.arm(now, now + interval, timer)
        });
        if let Some(State::Registered { keep_alive, .. }) =
            registrations.get_mut(key).map(|r| &mut r.state)
        {
            *keep_alive = next;
        }
    }

    /// Ends one registration, with a REGISTER if a binding stands or may come to stand.
    fn leave_registrar(&mut self, now: Instant, key: RegistrationKey) {
        let Context {
            registrations,
            timers,
            metrics,
            ..
        } = &mut self.ctx;
        let Some(registration) = registrations.get_mut(key) else {
            return;
        };
        metrics.remove_registration(&registration.settings.name);
        match std::mem::replace(&mut registration.state, State::Leaving) {
            State::Waiting { timer, .. } => {
                timers.cancel(timer);
                registrations.remove(key);
            }
            State::Stopped => registrations.remove(key),
            State::Asking { binding, .. } => {
                let then = Then::Leave;
                registration.state = State::Asking { binding, then };
            }
            State::Registered {
                refresh,
                keep_alive,
                ..
            } => {
                timers.cancel(refresh);
                keep_alive.map(|timer| timers.cancel(timer));
                self.send_register(now, key, Duration::ZERO);
            }
            State::Leaving => {}
        }
    }

    /// Ends every registration, once; the end waits for it, but not for long.
    pub(in crate::control) fn leave_registrars(&mut self, now: Instant) {
        if !self.ctx.registrations.begin_to_leave() {
            return;
        }
        for key in self.ctx.registrations.keys() {
            self.leave_registrar(now, key);
        }
        if !self.ctx.registrations.is_empty() {
            let at = now + UNREGISTER_WAIT;
            self.ctx.timers.arm(now, at, Timer::UnregisterOverdue);
        }
    }

    /// Whoever has not answered our un-registration by now is not waited for.
    pub(in crate::control) fn on_unregister_overdue(&mut self) {
        self.ctx.registrations.clear();
    }
}
