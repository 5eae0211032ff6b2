//! What operators see and do: rows, hang-up, reload, drain, stop.

use super::controller::{Controller, Service};
use super::locate::path::streams_beside;
use super::ports::Gauges;
use super::setup::Setup;
use crate::config::Settings;
use crate::config::settings::Global;
use crate::link::query::{BanRow, CallDetail, CallRow, EndpointRow, RegistrationRow, RoomRow};
use crate::metrics::ControlMetrics;
use crate::sip::Endpoint;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// What changed and holds from now on, a line each (`endpoint.6001: changed`).
    pub changed: Vec<String>,
    /// What changed but holds only after a restart (listening addresses, the port range, workers).
    pub needs_restart: Vec<String>,
}

impl Controller {
    /// The running calls, in the order of their beginning.
    pub fn calls(&self, now: Instant) -> Vec<CallRow> {
        let mut calls: Vec<_> = self.calls.iter().map(|(_, call)| call).collect();
        calls.sort_by_key(|call| call.key().generation);
        calls.into_iter().map(|call| call.row(now)).collect()
    }

    /// All that is known of the call of that id ([`CallRow::id`]).
    pub fn call_detail(&self, now: Instant, id: &str) -> Option<CallDetail> {
        let mut calls = self.calls.iter().map(|(_, call)| call);
        let call = calls.find(|call| call.id() == id)?;
        Some(call.detail(now, &self.ctx.rooms))
    }

    /// Who is in a room, room by room.
    pub fn rooms(&self, now: Instant) -> Vec<RoomRow> {
        let mut calls: Vec<_> = self.calls.iter().map(|(_, call)| call).collect();
        calls.sort_by_key(|call| call.key().generation);
        let rows = calls.into_iter();
        let mut rows: Vec<_> = rows
            .filter_map(|call| call.room_row(now, &self.ctx.rooms))
            .collect();
        rows.sort_by_key(|row| row.number);
        rows
    }

    /// Our registrations, in the order of their names.
    pub fn registrations(&self, now: Instant) -> Vec<RegistrationRow> {
        self.ctx.registrations.rows(now)
    }

    /// The endpoints, in the order of their names.
    pub fn endpoints(&self) -> Vec<EndpointRow> {
        let settings = self.setup.settings();
        let row = |(place, endpoint): (u32, &crate::config::settings::Endpoint)| {
            let transport = endpoint
                .transport
                .and_then(|id| settings.transports.get(usize::from(id.0)));
            let identifies = settings
                .identifies
                .iter()
                .filter(|identify| identify.endpoint.0 == place);
            let networks = identifies.flat_map(|identify| {
                let networks = identify.networks.iter().map(ToString::to_string);
                let header = identify.header.iter().map(ToString::to_string);
                let uri = identify.request_uri.iter().map(ToString::to_string);
                let hosts = identify.hosts.iter().cloned();
                networks.chain(hosts).chain(header).chain(uri)
            });
            let mut identified_by: Vec<String> = networks.collect();
            if identified_by.is_empty() {
                identified_by.push(String::from("username"));
            }
            EndpointRow {
                name: endpoint.name.clone(),
                context: endpoint.context.clone(),
                transport: transport.map(|transport| transport.name.clone()),
                allow: endpoint.allow.iter().map(|c| c.name().to_owned()).collect(),
                contacts: endpoint.contacts.iter().map(ToString::to_string).collect(),
                identified_by,
                calls: u64::from(self.ctx.load.calls(&endpoint.name)),
            }
        };
        (0..).zip(&settings.endpoints).map(row).collect()
    }

    /// Ends the call of that id ([`CallRow::id`]). False if there is none.
    pub fn hangup(&mut self, now: Instant, id: &str) -> bool {
        let found = self.calls.iter().find(|(_, call)| call.id() == id);
        let Some(key) = found.map(|(_, call)| call.key()) else {
            return false;
        };
        self.with_call(now, key, |call, ctx| call.hang_up(ctx, now, "operator"));
        self.run(now);
        true
    }

    /// Takes new settings: all of them, at once. Running calls keep theirs.
    pub fn reload(&mut self, now: Instant, setup: Setup) -> ReloadReport {
        let (setup, needs_restart) = setup.with_transports_of(&self.listening);
        let mut report = compare(self.setup.settings(), setup.settings());
        report.needs_restart.extend(needs_restart);
        let transports = |setup: &Setup| setup.settings().transports.clone();
        let both = transports(&self.setup).into_iter().zip(transports(&setup));
        for (old, new) in both.take(self.listening.len()) {
            if said(&old) != said(&new) {
                report
                    .changed
                    .push(format!("transport.{}: changed", new.name));
            }
        }
        let mut identifier = setup.identifier().clone();
        identifier.keep_addresses_of(&self.identifier);
        self.identify_due = identifier.hosts_due(now).map(|_| now);
        self.identifier = identifier;
        let algorithms = setup.settings().global.challenge_algorithms.clone();
        self.authenticator.set_algorithms(algorithms);
        self.ctx.bans.reload(setup.settings().bans.clone());
        self.ctx.sip.set_streams(streams_beside(setup.settings()));
        self.setup = Arc::new(setup);
        self.configure_registrar();
        self.take_registrations(now);
        self.watch_fixed_contacts(now);
        self.watch_registered_contacts(now);
        report
    }

    /// The running bans.
    pub fn bans(&self, now: Instant) -> Vec<BanRow> {
        let rows = self.ctx.bans.rows(now).into_iter();
        rows.map(|ban| BanRow {
            source: ban.suspect.to_string(),
            age_s: ban.age.as_secs(),
            left_s: ban.left.as_secs(),
            times: ban.times,
        })
        .collect()
    }

    /// Lifts the bans of an address. False if there is none.
    pub fn lift_ban(&mut self, address: IpAddr) -> bool {
        self.ctx.bans.lift(address)
    }

    /// Takes no new call from now on (503 with Retry-After); [`super::Output::Drained`] comes when the last one has
    /// ended and our registrations too.
    pub fn drain(&mut self, now: Instant) {
        if self.service == Service::Serving {
            self.service = Service::Draining;
            self.run(now);
        }
    }

    /// Ends every call now; [`super::Output::Drained`] comes when they have ended.
    pub fn stop(&mut self, now: Instant) {
        self.drain(now);
        self.leave_registrars(now);
        let keys: Vec<_> = self.calls.iter().map(|(_, call)| call.key()).collect();
        for key in keys {
            self.with_call(now, key, |call, ctx| call.hang_up(ctx, now, "shutdown"));
        }
        self.run(now);
    }

    /// Whether new calls are taken.
    pub fn service(&self) -> Service {
        self.service
    }

    /// True when no new call is taken.
    pub(super) fn is_draining(&self) -> bool {
        self.service != Service::Serving
    }

    /// The setup that new calls get.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// What control counts; shared with those who serve a scrape.
    pub fn metrics(&self) -> &Arc<ControlMetrics> {
        &self.ctx.metrics
    }

    /// Brings the metrics up to date that are told and not counted. Called at a scrape.
    pub fn refresh_metrics(&self) {
        let gauges = self.ctx.ports.gauges();
        let metrics = &self.ctx.metrics;
        metrics.set_ports(gauges.in_use, gauges.total);
        metrics.set_transactions(self.ctx.sip.transactions());
        metrics.set_retransmissions(self.ctx.sip.counters().retransmissions);
    }

    /// The port pairs.
    pub fn ports(&self) -> Gauges {
        self.ctx.ports.gauges()
    }

    /// The SIP side: its counters and transactions.
    pub fn sip(&self) -> &Endpoint {
        &self.ctx.sip
    }
}

/// What of `[global]` holds at once.
fn live(global: &Global) -> String {
    let Global {
        identifier_order,
        default_from_user,
        max_calls,
        keep_alive_interval,
        nameservers,
        challenge_algorithms,
        ..
    } = global;
    format!(
        "{identifier_order:?} {default_from_user} {max_calls} {keep_alive_interval:?} {nameservers:?} {challenge_algorithms:?}"
    )
}

/// What a section says, whatever line it says it on.
fn said(section: &dyn Debug) -> String {
    let text = format!("{section:?}");
    let (first, others) = text.split_once("Location {").unwrap_or((&text, ""));
    let others = others.split("Location {");
    let others = others.map(|part| part.split_once('}').map_or("", |(_, rest)| rest));
    std::iter::once(first).chain(others).collect()
}

/// What differs between two settings.
fn compare(old: &Settings, new: &Settings) -> ReloadReport {
    let mut report = ReloadReport::default();
    let differ = |a: &dyn Debug, b: &dyn Debug| said(a) != said(b);
    if old.global.user_agent != new.global.user_agent {
        let what = String::from("global.user_agent: changed");
        report.needs_restart.push(what);
    }
    if old.global.state_dir != new.global.state_dir {
        let what = String::from("global.state_dir: changed");
        report.needs_restart.push(what);
    }
    if live(&old.global) != live(&new.global) {
        report.changed.push(String::from("global: changed"));
    }
    if differ(&old.rtp.timeout, &new.rtp.timeout) {
        report.changed.push(String::from("rtp.timeout: changed"));
    }
    let fixed = |rtp: &crate::config::settings::Rtp| {
        format!(
            "{:?}",
            (
                rtp.ports,
                rtp.workers,
                &rtp.cores,
                rtp.dscp,
                rtp.batch_wait_us,
                rtp.relays_rtcp
            )
        )
    };
    if fixed(&old.rtp) != fixed(&new.rtp) {
        report.needs_restart.push(String::from("rtp: changed"));
    }
    if differ(&old.bans, &new.bans) {
        report.changed.push(String::from("bans: changed"));
    }
    if differ(&old.admin, &new.admin) {
        report.needs_restart.push(String::from("admin: changed"));
    }
    compare_sections(&sections(old), &sections(new), &mut report.changed);
    if differ(&old.identifies, &new.identifies) {
        report.changed.push(String::from("identify: changed"));
    }
    if old.dialplan.globals != new.dialplan.globals {
        report.changed.push(String::from("globals: changed"));
    }
    report
}

/// The sections that have names, each with its text. A password shows only as `***` in it, so a change of nothing but
/// a password is not named, though it holds.
fn sections(settings: &Settings) -> BTreeMap<String, String> {
    let endpoints = settings.endpoints.iter();
    let endpoints = endpoints.map(|one| (format!("endpoint.{}", one.name), said(one)));
    let aors = settings.aors.iter();
    let aors = aors.map(|one| (format!("aor.{}", one.name), said(one)));
    let contexts = settings.dialplan.contexts.iter();
    let contexts = contexts.map(|one| (format!("context.{}", one.name), said(one)));
    let groups = settings.trunk_groups.iter();
    let groups = groups.map(|(name, one)| (format!("trunk_group.{name}"), said(one)));
    let registrations = settings.registrations.iter();
    let registrations = registrations.map(|one| (format!("registration.{}", one.name), said(one)));
    let acls = settings.acls.iter();
    let acls = acls.map(|(name, one)| (format!("acl.{name}"), said(one)));
    endpoints
        .chain(aors)
        .chain(contexts)
        .chain(groups)
        .chain(registrations)
        .chain(acls)
        .collect()
}

fn compare_sections(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    changed: &mut Vec<String>,
) {
    for (name, text) in new {
        match old.get(name) {
            None => changed.push(format!("{name}: added")),
            Some(other) if other != text => changed.push(format!("{name}: changed")),
            Some(_) => {}
        }
    }
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    changed.extend(removed.map(|name| format!("{name}: removed")));
}
