//! The host names of `[identify.*]`, and what they resolve to at present.
//!
//! ```text
//!             addresses                      no answer, or no address
//!  unknown ──────────────► known ◄────────────────────────────────────┐
//!     ▲                      │  └─────────────────────────────────────┘ the last ones hold on
//!     └──────────────────────┘ no addresses for KEPT
//! ```

use crate::config::settings::EndpointId;
use crate::sip::flow::TransportId;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Most addresses that one host name gives; more are left out.
const ADDRESSES_MAX: usize = 64;

/// How long the last addresses of a name hold while the DNS gives none (RFC 8767 §4): a trunk outlives a failure of DNS,
/// but an address that somebody else may have by then is not trusted for good.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A host name of one `[identify.*]`.
#[derive(Clone, Debug)]
struct Host {
    name: String,
    endpoint: EndpointId,
    transport: Option<TransportId>,
    /// The section's place.
    rule: usize,
    addresses: Vec<IpAddr>,
    /// When the DNS last gave them.
    answered: Option<Instant>,
    /// The last answer had none.
    is_failing: bool,
    /// When it is to be asked for; None: now.
    due: Option<Instant>,
}

/// What has become of a name by an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostChange {
    /// Nothing.
    None,
    /// It has other addresses.
    Moved,
    /// It had some, or was never asked for, and now the DNS gives none.
    Failing,
    /// It has none any more for so long that its last ones do not count.
    Lost,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// In the order of the file.
    hosts: Vec<Host>,
    /// Resolved address → places in `hosts`, ascending.
    resolved: FxHashMap<IpAddr, Vec<usize>>,
}

impl Hosts {
    pub(super) fn add(
        &mut self,
        name: &str,
        transport: Option<TransportId>,
        endpoint: EndpointId,
        rule: usize,
    ) {
        self.hosts.push(Host {
            name: name.to_owned(),
            endpoint,
            transport,
            rule,
            addresses: Vec::new(),
            answered: None,
            is_failing: false,
            due: None,
        });
    }

    /// The names that are to be asked for now, each once. They are due again after `again` at the latest.
    pub(super) fn take_due(&mut self, now: Instant, again: Duration) -> Vec<String> {
        let mut names = Vec::new();
        for host in &mut self.hosts {
            if host.due.is_none_or(|due| due <= now) {
                host.due = Some(now + again);
                names.push(host.name.clone());
            }
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    /// When the next one is to be asked for.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.hosts.iter().map(|host| host.due.unwrap_or(now)).min()
    }

    /// Whose address it is: of the section that comes first.
    pub(super) fn find(&self, source: IpAddr, transport: TransportId) -> Option<EndpointId> {
        let places = self.resolved.get(&source)?.iter();
        let mut hosts = places.filter_map(|place| self.hosts.get(*place));
        let host = hosts.find(|host| host.transport.is_none_or(|only| only == transport))?;
        Some(host.endpoint)
    }

    /// True if a name has this address.
    pub(super) fn has(&self, source: IpAddr) -> bool {
        self.resolved.contains_key(&source)
    }

    /// Every address at present, with the place of its section.
    pub(super) fn addresses(&self) -> impl Iterator<Item = (IpAddr, usize)> {
        let hosts = self.hosts.iter();
        hosts.flat_map(|host| host.addresses.iter().map(|address| (*address, host.rule)))
    }

    /// What the DNS has said of `name`, until `due`; no addresses, if it has not answered or knows none.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        name: &str,
        addresses: &[IpAddr],
        due: Instant,
    ) -> HostChange {
        let mut new: Vec<IpAddr> = addresses
            .iter()
            .take(ADDRESSES_MAX)
            .map(IpAddr::to_canonical)
            .collect();
        new.sort_unstable();
        new.dedup();
        let mut change = HostChange::None;
        for place in 0..self.hosts.len() {
            if is_same_name(&self.hosts[place].name, name) {
                self.hosts[place].due = Some(due);
                match self.judge(now, place, &new) {
                    HostChange::None => {}
                    other => change = other,
                }
            }
        }
        change
    }

    fn judge(&mut self, now: Instant, place: usize, new: &[IpAddr]) -> HostChange {
        let host = &mut self.hosts[place];
        let is_spent = |answered: &mut Instant| now.saturating_duration_since(*answered) >= KEPT;
        if !new.is_empty() {
            host.answered = Some(now);
            host.is_failing = false;
            if host.addresses == new {
                return HostChange::None;
            }
            self.set(place, new.to_vec());
            HostChange::Moved
        } else if host.answered.take_if(is_spent).is_some() {
            self.set(place, Vec::new());
            HostChange::Lost
        } else if !std::mem::replace(&mut host.is_failing, true) {
            HostChange::Failing
        } else {
            HostChange::None
        }
    }

    fn set(&mut self, place: usize, addresses: Vec<IpAddr>) {
        for old in std::mem::take(&mut self.hosts[place].addresses) {
            if let Some(places) = self.resolved.get_mut(&old) {
                places.retain(|other| *other != place);
                if places.is_empty() {
                    self.resolved.remove(&old);
                }
            }
        }
        for address in &addresses {
            let places = self.resolved.entry(*address).or_default();
            let at = places.partition_point(|other| *other < place);
            places.insert(at, place);
        }
        self.hosts[place].addresses = addresses;
    }

    /// Takes over what the names had resolved to before a reload.
    pub(super) fn keep(&mut self, previous: &Hosts) {
        for old in &previous.hosts {
            if let Some(answered) = old.answered {
                self.answer(answered, &old.name, &old.addresses, answered);
            }
        }
    }
}

fn is_same_name(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim_end_matches('.'), other.trim_end_matches('.'));
    one.eq_ignore_ascii_case(other)
}
