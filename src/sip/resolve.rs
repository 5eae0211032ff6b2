//! Where a SIP URI's requests go (RFC 3263 §4): from a host name to addresses, ports and protocols, in the order of
//! trying. It asks nobody: what is known goes in, and out come the targets or the questions whose answers are missing.
//!
//! ```text
//!  address ────────────────────────────────────────────► its port, or the protocol's own      (§4.2)
//!  name:port ──────────────────────────────► A, AAAA ──► that port
//!  name;transport=… ───────────────► SRV ──► A, AAAA ──► the record's port
//!  name ──────────────────► NAPTR ─► SRV ──► A, AAAA      by order and preference, priority and weight
//!                             └ none ─► SRV of each protocol that we have
//!                                        └ none ─► A, AAAA, the default protocol and port
//! ```

use super::flow::Protocol;
use super::message::Host;
use std::net::{IpAddr, SocketAddr};

/// Most targets of one URI; further ones are not tried.
pub const TARGETS_MAX: usize = 16;

/// Most records of one answer that are looked at.
pub const RECORDS_MAX: usize = 64;

/// A question to the DNS. Names are lower case, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The NAPTR records of a domain.
    Naptr(String),
    /// The SRV records of `_service._protocol.domain`.
    Srv(String),
    /// The A and AAAA records of a host.
    Address(String),
}

impl Question {
    /// The addresses of a host, however its name is written.
    pub fn address(host: &str) -> Question {
        Question::Address(plain(host))
    }

    /// The name that it is about.
    pub fn name(&self) -> &str {
        match self {
            Question::Naptr(name) | Question::Srv(name) | Question::Address(name) => name,
        }
    }
}

/// What the DNS says; empty if there is no such name or record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Address`].
    Addresses(Vec<IpAddr>),
}

impl Records {
    /// True if it says that there is nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Records::Naptr(records) => records.is_empty(),
            Records::Srv(records) => records.is_empty(),
            Records::Addresses(addresses) => addresses.is_empty(),
        }
    }

    /// The answer to a question that says that there is nothing.
    pub fn none(question: &Question) -> Records {
        match question {
            Question::Naptr(_) => Records::Naptr(Vec::new()),
            Question::Srv(_) => Records::Srv(Vec::new()),
            Question::Address(_) => Records::Addresses(Vec::new()),
        }
    }
}

/// A NAPTR record (RFC 3403 §4), as far as SIP uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower comes first.
    pub order: u16,
    /// Among one order, lower comes first.
    pub preference: u16,
    /// `s`: the replacement has SRV records.
    pub flags: String,
    /// `SIP+D2U` and the like.
    pub services: String,
    /// Empty for SIP.
    pub regexp: String,
    /// The name to ask for next.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower comes first.
    pub priority: u16,
    /// Share among those of one priority.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The host; empty (`.`) says that there is no such service.
    pub target: String,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The URI's host.
    pub host: &'a Host,
    /// The URI's port.
    pub port: Option<u16>,
    /// The protocol that the URI insists on.
    pub protocol: Option<Protocol>,
    /// The protocols that we have, best first. No other is chosen.
    pub available: &'a [Protocol],
}

/// A place to send to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// By this protocol.
    pub protocol: Protocol,
    /// To this address.
    pub address: SocketAddr,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The places, in the order of trying; none if there is no such host or no protocol that fits.
    Targets(Vec<Target>),
    /// Ask these, and resolve again.
    Missing(Vec<Question>),
}

/// Resolves by what `known` answers; None from it means that it has not been asked yet. `pick(n)` gives a random number
/// below `n`, for the weights of SRV records.
pub fn resolve<'k>(
    wanted: &Wanted<'_>,
    known: &dyn Fn(&Question) -> Option<&'k Records>,
    pick: &mut dyn FnMut(u32) -> u32,
) -> Resolved {
    let mut search = Search {
        known,
        pick,
        missing: Vec::new(),
        targets: Vec::new(),
    };
    search.run(wanted);
    match search.missing.is_empty() {
        true => Resolved::Targets(search.targets),
        false => Resolved::Missing(search.missing),
    }
}

struct Search<'s, 'k> {
    known: &'s dyn Fn(&Question) -> Option<&'k Records>,
    pick: &'s mut dyn FnMut(u32) -> u32,
    missing: Vec<Question>,
    targets: Vec<Target>,
}

impl<'k> Search<'_, 'k> {
    fn run(&mut self, wanted: &Wanted<'_>) {
        let is_ours = |protocol: &Protocol| wanted.available.contains(protocol);
        let protocol = match wanted.protocol {
            Some(protocol) => Some(protocol).filter(is_ours),
            // §4.1: UDP is the default where nothing else tells.
            None => [Protocol::Udp]
                .into_iter()
                .find(is_ours)
                .or_else(|| wanted.available.first().copied()),
        };
        let Some(protocol) = protocol else { return };
        let port = |protocol: Protocol| wanted.port.unwrap_or(protocol.default_port());
        let name = match wanted.host {
            Host::V4(address) => return self.add(protocol, (*address).into(), port(protocol)),
            Host::V6(address) => return self.add(protocol, (*address).into(), port(protocol)),
            Host::Name(name) => plain(name),
        };
        if wanted.port.is_none() {
            let services = match wanted.protocol {
                Some(protocol) => vec![(protocol, service(protocol, &name))],
                None => match self.services(&name, wanted.available) {
                    Some(services) => services,
                    None => return,
                },
            };
            if self.add_services(&services) != Found::None {
                return;
            }
        }
        self.add_host(protocol, &name, port(protocol));
    }

    /// The names with SRV records: those of the NAPTR records for protocols that we have, else one for each of them.
    fn services(&mut self, name: &str, available: &[Protocol]) -> Option<Vec<(Protocol, String)>> {
        let by_protocol = || available.iter().map(|one| (*one, service(*one, name)));
        let Some(records) = self.ask(Question::Naptr(name.to_owned())) else {
            // Most domains have none: what is asked then is asked at once.
            for (_, service) in by_protocol() {
                self.ask(Question::Srv(service));
            }
            return None;
        };
        let mut usable: Vec<(&Naptr, Protocol)> = match records {
            Records::Naptr(records) => records
                .iter()
                .take(RECORDS_MAX)
                .filter_map(|record| Some((record, record.protocol()?)))
                .filter(|(_, protocol)| available.contains(protocol))
                .collect(),
            _ => Vec::new(),
        };
        usable.sort_by_key(|(record, _)| (record.order, record.preference));
        if usable.is_empty() {
            return Some(by_protocol().collect());
        }
        let replaced = |(record, protocol): (&Naptr, _)| (protocol, plain(&record.replacement));
        Some(usable.into_iter().map(replaced).collect())
    }

    fn add_services(&mut self, services: &[(Protocol, String)]) -> Found {
        let mut found = Found::None;
        for (protocol, service) in services {
            match self.ask(Question::Srv(service.clone())) {
                None => found = Found::Some,
                Some(Records::Srv(records)) if !records.is_empty() => {
                    found = Found::Some;
                    let records: Vec<&Srv> = records.iter().take(RECORDS_MAX).collect();
                    for record in by_weight(records, self.pick) {
                        self.add_host(*protocol, &plain(&record.target), record.port);
                    }
                }
                Some(_) => {}
            }
        }
        found
    }

    fn add_host(&mut self, protocol: Protocol, host: &str, port: u16) {
        if host.is_empty() || self.targets.len() >= TARGETS_MAX {
            return; // RFC 2782: "." says that the service is decidedly not available
        }
        if let Some(Records::Addresses(addresses)) = self.ask(Question::Address(host.to_owned())) {
            for address in addresses.iter().take(RECORDS_MAX) {
                self.add(protocol, *address, port);
            }
        }
    }

    fn add(&mut self, protocol: Protocol, address: IpAddr, port: u16) {
        let target = Target {
            protocol,
            address: SocketAddr::new(address, port),
        };
        if self.targets.len() < TARGETS_MAX && !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    fn ask(&mut self, question: Question) -> Option<&'k Records> {
        let known = (self.known)(&question);
        let is_new = known.is_none() && !self.missing.contains(&question);
        if is_new && self.missing.len() < TARGETS_MAX {
            self.missing.push(question);
        }
        known
    }
}

/// Whether there are SRV records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// There are, or that is not known yet.
    Some,
    /// There are none.
    None,
}

impl Naptr {
    /// The protocol of a record of SIP (RFC 3263 §4.1).
    fn protocol(&self) -> Option<Protocol> {
        if !self.flags.eq_ignore_ascii_case("s") || !self.regexp.is_empty() {
            return None;
        }
        match self.services.to_ascii_uppercase().as_str() {
            "SIP+D2U" => Some(Protocol::Udp),
            "SIP+D2T" => Some(Protocol::Tcp),
            "SIPS+D2T" => Some(Protocol::Tls),
            _ => None,
        }
    }
}

/// RFC 2782: by priority, and among one priority by chance, each with its weight's share.
fn by_weight<'r>(mut records: Vec<&'r Srv>, pick: &mut dyn FnMut(u32) -> u32) -> Vec<&'r Srv> {
    // Those of weight 0 first: they are chosen only when the number drawn is 0.
    records.sort_by_key(|record| (record.priority, record.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let same = records.iter().take_while(|one| one.priority == priority);
        let total: u32 = same.clone().map(|one| u32::from(one.weight)).sum();
        let drawn = pick(total + 1);
        let mut sum = 0;
        let chosen = same
            .map(|one| {
                sum += u32::from(one.weight);
                sum
            })
            .position(|sum| sum >= drawn);
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

fn service(protocol: Protocol, name: &str) -> String {
    let prefix = match protocol {
        Protocol::Udp => "_sip._udp",
        Protocol::Tcp => "_sip._tcp",
        Protocol::Tls => "_sips._tcp",
    };
    format!("{prefix}.{name}")
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
