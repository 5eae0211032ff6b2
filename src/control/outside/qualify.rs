//! Whether contacts answer: OPTIONS each `qualify_frequency` seconds, and any response will do.
//!
//! ```text
//!            first, spread over the interval            in time
//!   Unknown ─────────────────────────► OPTIONS ──────────────────────► Reachable
//!                                        │  ▲ each interval               │ │
//!                  none in qualify_timeout  └─────────────────────────────┘ │
//!                                        ▼                                  │
//!                                  Unreachable ◄────────── none in time ────┘
//!                                        └── in time ──► Reachable
//! ```
//!
//! One OPTIONS a contact is outstanding at most; it is retransmitted for 32 s (timer F), so a contact that comes back
//! is heard soon. An answer that comes too late does not count, but the next OPTIONS goes at once.
//!
//! A contact that is Unreachable is not dialled; one of which nothing is known is. Beside that, a target that has
//! answered a call with 503 and Retry-After is left alone for that long, [`REST_MAX`] at most.

use super::credentials::KnownChallenges;
use super::{Answer, Outcome, Question, Questioner, seconds};
use crate::config::settings::{Aor, EndpointId};
use crate::control::call::escape_user;
use crate::control::context::{Context, Timer};
use crate::control::controller::Controller;
use crate::control::locate::path::Path;
use crate::control::registrar::binding::BindingId;
use crate::control::setup::Setup;
use crate::link::query::ContactRow;
use crate::metrics::ReachGauges;
use crate::sip::flow::{Flow, TransportId};
use crate::sip::message::{Headers, Host, Method, NameAddr, RequestDraft, Uri};
use crate::sip::timer::TimerId;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::time::{Duration, Instant};

/// Longest time that a 503's Retry-After keeps a target from being dialled.
pub const REST_MAX: Duration = Duration::from_secs(60);
/// Most targets that rest; one more is dialled as if it had not said Retry-After.
pub const RESTS_MAX: usize = 4096;
/// The first OPTIONS comes within this time, or within the interval where that is shorter.
const FIRST_WITHIN: Duration = Duration::from_secs(60);
/// Shortest interval.
const FREQUENCY_MIN: Duration = Duration::from_secs(1);
/// The next OPTIONS after an answer that came too late comes within this time.
const SOON: Duration = Duration::from_secs(1);
/// Between the end of one OPTIONS and the next, whatever the interval.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// How long an OPTIONS that nobody answers is outstanding (64*T1, RFC 3261 §17.1.2.2).
const TIMER_F: Duration = Duration::from_secs(32);

/// A contact's name among all that may be watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ContactKey {
    /// A static one: its address of record, and its URI as it is written.
    Fixed(String, String),
    /// One that a phone has registered.
    Bound(BindingId),
}

impl ContactKey {
    /// The static contact `uri` of `aor`.
    pub fn fixed(aor: &str, uri: &Uri) -> ContactKey {
        ContactKey::Fixed(aor.to_owned(), uri.to_string())
    }
}

/// What is asked, of whom, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The address of record.
    pub aor: String,
    /// Where the contact is.
    pub uri: Uri,
    /// The flow that leads there, if it is not the URI that says it (a phone that registered).
    pub flow: Option<Flow>,
    /// By this transport, where it fits.
    pub transport: Option<TransportId>,
    /// The proxies before it, the nearest first (RFC 3327).
    pub path: Vec<String>,
    /// `qualify_frequency`; at least a second.
    pub frequency: Duration,
    /// `qualify_timeout`
    pub timeout: Duration,
}

/// A watched contact's place, and which of those that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchId {
    index: u32,
    generation: u32,
}

/// What a watch's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QualifyTimer {
    /// The next OPTIONS.
    Due,
    /// `qualify_timeout` is over.
    Late,
}

/// The contacts that are asked, and those that asked to be left alone.
#[derive(Default)]
pub struct Qualify {
    contacts: Slab<(u32, Contact)>,
    by_key: FxHashMap<ContactKey, WatchId>,
    by_aor: FxHashMap<String, OfAor>,
    begun: u32,
    rests: FxHashMap<Target, Instant>,
    /// Those that the configuration has.
    fixed: Vec<ContactKey>,
}

/// A host that an endpoint's calls go to, whatever number is called there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Target {
    endpoint: String,
    host: Option<Host>,
    port: Option<u16>,
}

impl Target {
    fn new(endpoint: &str, uri: &Uri) -> Target {
        Target {
            endpoint: endpoint.to_owned(),
            host: uri.host.clone(),
            port: uri.port,
        }
    }
}

/// The watched contacts of an address of record, and what they are counted by.
struct OfAor {
    contacts: Vec<WatchId>,
    gauges: ReachGauges,
}

struct Contact {
    watch: Watch,
    call_id: String,
    tag: String,
    cseq: u32,
    reach: Reach,
    state: State,
}

/// What is known of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It was not asked yet.
    Unknown,
    /// It has answered the last OPTIONS, after this time.
    Reachable {
        /// From the OPTIONS to its answer, retransmissions included.
        rtt: Duration,
    },
    /// It has not, in `qualify_timeout`.
    Unreachable,
}

enum State {
    Waiting {
        due: TimerId,
    },
    /// OPTIONS is outstanding, and there is still time.
    Asking {
        since: Instant,
        late: TimerId,
    },
    /// OPTIONS is outstanding, and the time is over.
    Overdue,
}

impl Qualify {
    /// False for a contact that did not answer its last OPTIONS. True for one of which nothing is known.
    pub fn is_reachable(&self, key: &ContactKey) -> bool {
        self.reach(key) != Some(Reach::Unreachable)
    }

    /// The static contacts of an endpoint that may be dialled now: not those that do not answer, nor those that have
    /// asked to be left alone.
    pub fn dialable(&self, now: Instant, setup: &Setup, endpoint: EndpointId) -> Vec<Uri> {
        let endpoint = setup.endpoint(endpoint);
        let aors = endpoint
            .aors
            .iter()
            .filter_map(|name| setup.aor_named(name));
        let contacts = aors.flat_map(|aor| aor.contacts.iter().map(move |uri| (aor, uri)));
        let may_be = |(aor, uri): &(&Aor, &Uri)| {
            self.is_reachable(&ContactKey::fixed(&aor.name, uri))
                && !self.rests(now, &endpoint.name, uri)
        };
        contacts
            .filter(may_be)
            .map(|(_, uri)| uri.clone())
            .collect()
    }

    /// Notes the Retry-After of a 503 to a call (RFC 3261 §21.5.4).
    pub fn on_unavailable(&mut self, now: Instant, endpoint: &str, uri: &Uri, headers: &Headers) {
        let retry_after = headers.get("Retry-After").and_then(seconds);
        let Some(rest) = retry_after.filter(|rest| !rest.is_zero()) else {
            return;
        };
        if self.rests.len() >= RESTS_MAX {
            self.rests.retain(|_, until| *until > now);
        }
        if self.rests.len() < RESTS_MAX {
            let rest = rest.min(REST_MAX);
            let rest_s = rest.as_secs();
            tracing::info!(endpoint, contact = %uri, rest_s, "target asks to be left alone");
            self.rests.insert(Target::new(endpoint, uri), now + rest);
        }
    }

    /// True if a target of the endpoint has asked to be left alone, and not long enough ago.
    pub fn rests(&self, now: Instant, endpoint: &str, uri: &Uri) -> bool {
        // Most of the time none does.
        !self.rests.is_empty()
            && self
                .rests
                .get(&Target::new(endpoint, uri))
                .is_some_and(|until| *until > now)
    }

    /// What is known of a contact: None if it is not watched.
    pub fn reach(&self, key: &ContactKey) -> Option<Reach> {
        Some(self.get(*self.by_key.get(key)?)?.reach)
    }

    /// The row with what is known of the contact.
    pub fn with_reach(&self, key: &ContactKey, row: ContactRow) -> ContactRow {
        let (status, rtt_ms) = match self.reach(key) {
            None => return row,
            Some(Reach::Unknown) => ("unknown", None),
            Some(Reach::Reachable { rtt }) => ("reachable", Some(rtt.as_secs_f64() * 1000.0)),
            Some(Reach::Unreachable) => ("unreachable", None),
        };
        ContactRow {
            status: status.to_owned(),
            rtt_ms,
            ..row
        }
    }

    /// Brings the gauges of an address of record up to date.
    fn count(&self, aor: &str) {
        let Some(of_aor) = self.by_aor.get(aor) else {
            return;
        };
        let contacts = of_aor.contacts.iter().filter_map(|id| self.get(*id));
        let rtts = contacts.filter_map(|contact| match contact.reach {
            Reach::Reachable { rtt } => Some(rtt),
            Reach::Unknown | Reach::Unreachable => None,
        });
        let rtts: Vec<Duration> = rtts.collect();
        of_aor.gauges.set(rtts.len(), rtts.iter().min().copied());
    }

    fn forget_of_aor(&mut self, aor: &str, id: WatchId) {
        let Some(of_aor) = self.by_aor.get_mut(aor) else {
            return;
        };
        of_aor.contacts.retain(|other| *other != id);
        if of_aor.contacts.is_empty() {
            self.by_aor.remove(aor);
        } else {
            self.count(aor);
        }
    }

    fn get(&self, id: WatchId) -> Option<&Contact> {
        let (generation, contact) = self.contacts.get(id.index as usize)?;
        (*generation == id.generation).then_some(contact)
    }

    fn get_mut(&mut self, id: WatchId) -> Option<&mut Contact> {
        let (generation, contact) = self.contacts.get_mut(id.index as usize)?;
        (*generation == id.generation).then_some(contact)
    }
}

impl Contact {
    /// Where it goes, if no flow leads there.
    fn next_hop(&self) -> Uri {
        let first = self
            .watch
            .path
            .first()
            .and_then(|route| NameAddr::parse(route));
        first.map_or_else(|| self.watch.uri.clone(), |route| route.uri)
    }

    /// The OPTIONS over a path, without Via and CSeq.
    fn write(&self, from_user: &str) -> impl Fn(&Path) -> RequestDraft + 'static {
        let uri = Uri {
            password: None,
            headers: String::new(),
            ..self.watch.uri.clone()
        }
        .to_string();
        let (tag, call_id) = (self.tag.clone(), self.call_id.clone());
        let (user, routes) = (escape_user(from_user), self.watch.path.clone());
        move |path| {
            let request = RequestDraft::new(Method::Options, uri.as_str())
                .header("From", format_args!("<sip:{user}@{}>;tag={tag}", path.host))
                .header("To", format_args!("<{uri}>"))
                .header("Call-ID", &call_id)
                .header("Contact", path.contact(&user))
                .header("Accept", "application/sdp");
            routes
                .iter()
                .fold(request, |request, route| request.header("Route", route))
        }
    }
}

impl Context {
    /// Watches a contact from now on. One that is watched already goes on as it is, unless the way to it has changed:
    /// then it is asked soon.
    pub fn watch(&mut self, now: Instant, key: ContactKey, watch: Watch) {
        let watch = Watch {
            frequency: watch.frequency.max(FREQUENCY_MIN),
            ..watch
        };
        if let Some(known) = self.qualify.by_key.get(&key).copied()
            && let Some(contact) = self.qualify.get_mut(known)
        {
            if contact.watch == watch {
                return;
            }
            self.unwatch(&key);
        }
        let qualify = &mut self.qualify;
        qualify.begun = qualify.begun.wrapping_add(1);
        let id = WatchId {
            index: qualify.contacts.vacant_key() as u32, // as many as contacts, which are bounded
            generation: qualify.begun,
        };
        let within = watch.frequency.min(FIRST_WITHIN).as_secs_f64() * self.rng.f64();
        let first = now + Duration::from_secs_f64(within);
        let due = self
            .timers
            .arm(now, first, Timer::Qualify(id, QualifyTimer::Due));
        qualify.by_key.insert(key, id);
        let metrics = &self.metrics;
        let aor = watch.aor.clone();
        let of_aor = qualify.by_aor.entry(aor.clone()).or_insert_with(|| OfAor {
            contacts: Vec::new(),
            gauges: metrics.reach(&aor),
        });
        of_aor.contacts.push(id);
        qualify.contacts.insert((
            id.generation,
            Contact {
                watch,
                call_id: self.sip.new_call_id(),
                tag: self.sip.new_tag(),
                cseq: 1,
                reach: Reach::Unknown,
                state: State::Waiting { due },
            },
        ));
        qualify.count(&aor);
    }

    /// Watches it no longer.
    pub fn unwatch(&mut self, key: &ContactKey) {
        let Some(id) = self.qualify.by_key.remove(key) else {
            return;
        };
        if self.qualify.get(id).is_none() {
            return;
        }
        let (_, contact) = self.qualify.contacts.remove(id.index as usize);
        match contact.state {
            State::Waiting { due: timer } | State::Asking { late: timer, .. } => {
                self.timers.cancel(timer);
            }
            State::Overdue => {}
        }
        self.qualify.forget_of_aor(&contact.watch.aor, id);
    }
}

impl Controller {
    /// Watches the static contacts of the setup whose address of record has a `qualify_frequency`, and no others.
    pub(in crate::control) fn watch_fixed_contacts(&mut self, now: Instant) {
        let setup = self.setup.clone();
        let settings = setup.settings();
        let mut transports: FxHashMap<&str, Option<TransportId>> = FxHashMap::default();
        for endpoint in &settings.endpoints {
            for aor in &endpoint.aors {
                transports.entry(aor).or_insert(endpoint.transport);
            }
        }
        let before = std::mem::take(&mut self.ctx.qualify.fixed);
        let qualified = settings
            .aors
            .iter()
            .filter(|aor| !aor.qualify_frequency.is_zero());
        for aor in qualified {
            for uri in &aor.contacts {
                let key = ContactKey::fixed(&aor.name, uri);
                let watch = Watch {
                    aor: aor.name.clone(),
                    uri: uri.clone(),
                    flow: None,
                    transport: transports.get(aor.name.as_str()).copied().flatten(),
                    path: Vec::new(),
                    frequency: aor.qualify_frequency,
                    timeout: aor.qualify_timeout,
                };
                self.ctx.qualify.fixed.push(key.clone());
                self.ctx.watch(now, key, watch);
            }
        }
        for key in before {
            if !self.ctx.qualify.fixed.contains(&key) {
                self.ctx.unwatch(&key);
            }
        }
    }

    /// Watches every registered contact whose address of record has a `qualify_frequency`, and no others: after a
    /// reload, and once what was stored is read.
    pub(in crate::control) fn watch_registered_contacts(&mut self, now: Instant) {
        let setup = self.setup.clone();
        for aor in &setup.settings().aors {
            self.watch_contacts_of(now, aor);
        }
    }

    /// Watches the contacts that phones have registered as this address of record, if it says so.
    pub(in crate::control) fn watch_contacts_of(&mut self, now: Instant, aor: &Aor) {
        let bindings = self.ctx.registrar.contacts(&aor.name).into_iter();
        if aor.qualify_frequency.is_zero() {
            let ids: Vec<BindingId> = bindings.map(|binding| binding.id).collect();
            for id in ids {
                self.ctx.unwatch(&ContactKey::Bound(id));
            }
            return;
        }
        let watches = bindings.map(|binding| {
            let watch = Watch {
                aor: aor.name.clone(),
                uri: binding.contact.uri.clone(),
                flow: binding.flow(),
                transport: Some(binding.origin.flow.transport),
                path: binding.origin.path.clone(),
                frequency: aor.qualify_frequency,
                timeout: aor.qualify_timeout,
            };
            (ContactKey::Bound(binding.id), watch)
        });
        let watches: Vec<(ContactKey, Watch)> = watches.collect();
        for (key, watch) in watches {
            self.ctx.watch(now, key, watch);
        }
    }

    /// A watch's timer is due.
    pub(in crate::control) fn on_qualify_timer(
        &mut self,
        now: Instant,
        id: WatchId,
        timer: QualifyTimer,
    ) {
        match timer {
            QualifyTimer::Due => self.send_options(now, id),
            QualifyTimer::Late => self.on_options_late(id),
        }
    }

    fn send_options(&mut self, now: Instant, id: WatchId) {
        let from_user = &self.setup.settings().global.default_from_user;
        let Context {
            qualify, timers, ..
        } = &mut self.ctx;
        let Some(contact) = qualify.get_mut(id) else {
            return;
        };
        let timeout = now + contact.watch.timeout;
        let late = timers.arm(now, timeout, Timer::Qualify(id, QualifyTimer::Late));
        contact.state = State::Asking { since: now, late };
        let question = Question {
            by: Questioner::Contact(id),
            next_hop: contact.next_hop(),
            flow: contact.watch.flow,
            transport: contact.watch.transport,
            auth: None,
            challenges: KnownChallenges::default(),
            cseq: contact.cseq,
            write: Box::new(contact.write(from_user)),
        };
        self.ask_outside(now, question);
    }

    fn on_options_late(&mut self, id: WatchId) {
        if let Some(contact) = self.ctx.qualify.get_mut(id) {
            contact.state = State::Overdue;
            self.set_reach(id, Reach::Unreachable);
        }
    }

    /// OPTIONS has its final response, or none.
    pub(super) fn on_options_outcome(&mut self, now: Instant, id: WatchId, outcome: Outcome) {
        let Context {
            qualify,
            timers,
            rng,
            ..
        } = &mut self.ctx;
        let Some(contact) = qualify.get_mut(id) else {
            return;
        };
        contact.cseq = outcome.cseq;
        let is_answer = matches!(outcome.answer, Answer::Response(_));
        let frequency = contact.watch.frequency;
        let (wait, reach) = match contact.state {
            State::Asking { since, late } => {
                timers.cancel(late);
                let rtt = now.saturating_duration_since(since);
                let wait = frequency.saturating_sub(rtt);
                match is_answer {
                    true => (wait, Some(Reach::Reachable { rtt })),
                    false => (wait, Some(Reach::Unreachable)),
                }
            }
            // It lives, but is slow, or has just come back: the next one tells.
            State::Overdue if is_answer => (SOON.mul_f64(rng.f64()), None),
            State::Overdue | State::Waiting { .. } => (frequency.saturating_sub(TIMER_F), None),
        };
        let next = now + wait.max(WAIT_MIN);
        let due = timers.arm(now, next, Timer::Qualify(id, QualifyTimer::Due));
        contact.state = State::Waiting { due };
        if let Some(reach) = reach {
            self.set_reach(id, reach);
        }
    }

    /// Notes it, and says it where it has changed.
    fn set_reach(&mut self, id: WatchId, reach: Reach) {
        let Some(contact) = self.ctx.qualify.get_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut contact.reach, reach);
        let Watch { aor, uri, .. } = &contact.watch;
        match (before, reach) {
            (Reach::Unknown | Reach::Unreachable, Reach::Reachable { rtt }) => {
                let rtt_ms = rtt.as_secs_f64() * 1000.0;
                tracing::info!(aor, contact = %uri, rtt_ms, "contact answers");
            }
            (Reach::Unknown | Reach::Reachable { .. }, Reach::Unreachable) => {
                tracing::warn!(
                    aor,
                    contact = %uri,
                    "contact does not answer, and is not dialled"
                );
            }
            _ => {}
        }
        let aor = aor.clone();
        self.ctx.qualify.count(&aor);
    }
}

#[cfg(test)]
mod tests;
