//! The registrations by place, by name and by what calls that come by them carry.

use super::PACE;
use super::registration::{Registration, State};
use crate::config::Settings;
use crate::config::settings::Auth;
use crate::control::admission::identify::Evidence;
use crate::link::query::RegistrationRow;
use crate::sip::flow::Flow;
use crate::sip::message::{Host, Uri};
use rustc_hash::FxHashMap;
use slab::Slab;
use std::net::IpAddr;
use std::time::Instant;

/// A registration's place, and which of those that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RegistrationKey {
    index: u32,
    generation: u32,
}

/// All of them: as many as the configuration has, and those that it had and that are being ended.
#[derive(Default)]
pub struct Registrations {
    places: Slab<(u32, Registration)>,
    begun: u32,
    /// When the next one that begins may begin.
    next_turn: Option<Instant>,
    is_leaving: bool,
    by_line: FxHashMap<String, RegistrationKey>,
    by_contact_user: FxHashMap<String, Vec<RegistrationKey>>,
    /// Those that an endpoint's calls go out by.
    by_endpoint: FxHashMap<String, Vec<RegistrationKey>>,
}

impl Registrations {
    pub(super) fn next_key(&self) -> RegistrationKey {
        RegistrationKey {
            index: self.places.vacant_key() as u32, // as many as sections of a file
            generation: self.begun,
        }
    }

    /// Puts one in the place of [`Registrations::next_key`].
    pub(super) fn insert(&mut self, registration: Registration) {
        self.places.insert((self.begun, registration));
        self.begun = self.begun.wrapping_add(1);
    }

    pub(super) fn get_mut(&mut self, key: RegistrationKey) -> Option<&mut Registration> {
        let (generation, registration) = self.places.get_mut(key.index as usize)?;
        (*generation == key.generation).then_some(registration)
    }

    fn get(&self, key: RegistrationKey) -> Option<&Registration> {
        let (generation, registration) = self.places.get(key.index as usize)?;
        (*generation == key.generation).then_some(registration)
    }

    pub(super) fn remove(&mut self, key: RegistrationKey) {
        if self.get(key).is_some() {
            self.places.remove(key.index as usize);
        }
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
    }

    fn iter(&self) -> impl Iterator<Item = (RegistrationKey, &Registration)> {
        self.places.iter().map(|(index, (generation, it))| {
            let (index, generation) = (index as u32, *generation);
            (RegistrationKey { index, generation }, it)
        })
    }

    pub(super) fn keys(&self) -> Vec<RegistrationKey> {
        self.iter().map(|(key, _)| key).collect()
    }

    /// The one of that name that the configuration has.
    pub(super) fn named(&self, name: &str) -> Option<RegistrationKey> {
        let is_its = |it: &Registration| it.settings.name == name && !it.is_leaving();
        self.iter().find(|(_, it)| is_its(it)).map(|(key, _)| key)
    }

    /// Those whose binding stands over this flow.
    pub(super) fn over(&self, flow: Flow) -> Vec<RegistrationKey> {
        let is_over = |it: &Registration| matches!(&it.state, State::Registered { binding, .. } if binding.path.flow == flow);
        let found = self.iter().filter(|(_, it)| is_over(it));
        found.map(|(key, _)| key).collect()
    }

    /// When one that begins now may begin.
    pub(super) fn turn(&mut self, now: Instant) -> Instant {
        let turn = self.next_turn.map_or(now, |next| next.max(now));
        self.next_turn = Some(turn + PACE);
        turn
    }

    /// True once the gateway ends.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// True the first time.
    pub(super) fn begin_to_leave(&mut self) -> bool {
        !std::mem::replace(&mut self.is_leaving, true)
    }

    /// True if there is none, not even one that is being ended.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Makes the tables by which calls are told.
    pub(super) fn index(&mut self, settings: &Settings) {
        let (mut by_line, mut by_user) = (FxHashMap::default(), FxHashMap::default());
        let mut by_endpoint: FxHashMap<String, Vec<RegistrationKey>> = FxHashMap::default();
        let mut by_account: FxHashMap<Account<'_>, Vec<RegistrationKey>> = FxHashMap::default();
        for (key, it) in self.iter().filter(|(_, it)| !it.is_leaving()) {
            let Some(endpoint) = &it.settings.endpoint else {
                let account = account(it.settings.outbound_auth.as_ref(), &it.settings.server_uri);
                by_account
                    .entry(account)
                    .or_default()
                    .extend(account.0.map(|_| key));
                continue;
            };
            by_endpoint.entry(endpoint.clone()).or_default().push(key);
            if let Some(line) = &it.identity.line {
                by_line.insert(line.clone(), key);
            }
            let user = it.settings.contact_user.clone();
            by_user.entry(user).or_insert_with(Vec::new).push(key);
        }
        for endpoint in &settings.endpoints {
            let auth = endpoint.outbound_auth.as_ref();
            let accounts = endpoint.contacts.iter().map(|uri| account(auth, uri));
            let keys = accounts.filter_map(|account| by_account.get(&account));
            let keys: Vec<RegistrationKey> = keys.flatten().copied().collect();
            let of_endpoint = by_endpoint.entry(endpoint.name.clone()).or_default();
            of_endpoint.extend(keys);
        }
        by_endpoint.retain(|_, keys| !keys.is_empty());
        self.by_endpoint = by_endpoint;
        self.by_line = by_line;
        self.by_contact_user = by_user;
    }

    /// True if any of them tells whose a call is.
    pub fn tell_calls(&self) -> bool {
        !self.by_contact_user.is_empty()
    }

    /// The endpoint of a request that comes by one of them, told by the `line` that only its registrar knows, or by its
    /// `contact_user` from the registrar's own address.
    pub fn endpoint_of(&self, source: IpAddr, uri: &Uri) -> Option<(&str, Evidence)> {
        let endpoint = |key: &RegistrationKey| self.get(*key)?.settings.endpoint.as_deref();
        let line = uri.param("line").and_then(|line| self.by_line.get(line));
        if let Some(endpoint) = line.and_then(endpoint) {
            return Some((endpoint, Evidence::Line));
        }
        let keys = self.by_contact_user.get(uri.user.as_deref()?)?;
        let is_from = |key: &&RegistrationKey| {
            let registration = self.get(**key);
            registration.is_some_and(|it| it.registrar == Some(source))
        };
        let endpoint = keys.iter().find(is_from).and_then(endpoint)?;
        Some((endpoint, Evidence::Registrar(source)))
    }

    /// The route that a registrar wants the endpoint's calls to take (RFC 3608 §5.1): of the first registration that
    /// stands and has one, of those that name the endpoint, or have its credentials at the host of its contacts.
    pub fn service_route(&self, endpoint: &str) -> &[String] {
        let keys = self.by_endpoint.get(endpoint).into_iter().flatten();
        keys.filter_map(|key| self.get(*key)?.binding())
            .map(|binding| binding.service_route.as_slice())
            .find(|route| !route.is_empty())
            .unwrap_or_default()
    }

    /// The rows of `show registrations`, by name.
    pub fn rows(&self, now: Instant) -> Vec<RegistrationRow> {
        let present = self.iter().filter(|(_, it)| !it.is_leaving());
        let mut rows: Vec<RegistrationRow> = present.map(|(_, it)| row(it, now)).collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        rows
    }
}

/// A user name at a host: whose calls go out by a registration that names no endpoint.
type Account<'a> = (Option<&'a str>, Option<&'a Host>);

fn account<'a>(auth: Option<&'a Auth>, uri: &'a Uri) -> Account<'a> {
    let username = auth.map(|auth| auth.username.as_str());
    (username, uri.host.as_ref())
}

fn row(registration: &Registration, now: Instant) -> RegistrationRow {
    let left = |until: Instant| until.saturating_duration_since(now).as_secs();
    let (state, next) = match &registration.state {
        State::Registered { .. } => ("registered", None),
        State::Asking {
            binding: Some(_), ..
        } => ("registered", None),
        State::Asking { .. } => ("registering", None),
        State::Waiting { until, .. } if registration.trouble.is_none() => ("waiting", Some(*until)),
        State::Waiting { until, .. } => ("rejected", Some(*until)),
        State::Stopped | State::Leaving => ("stopped", None),
    };
    let binding = registration.binding();
    RegistrationRow {
        name: registration.settings.name.clone(),
        server_uri: registration.settings.server_uri.to_string(),
        client_uri: registration.settings.client_uri.to_string(),
        state: state.to_owned(),
        registrar: binding.map(|binding| binding.path.flow.peer.to_string()),
        registered_s: binding.map(|it| now.saturating_duration_since(it.since).as_secs()),
        expires_in_s: binding.map(|it| left(it.until)),
        retry_in_s: next.map(left),
        last_error: registration.trouble.clone(),
    }
}
