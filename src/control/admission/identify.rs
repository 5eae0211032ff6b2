//! Which endpoint sent a request (`endpoint_identifier_order`).
//!
//! * `ip`: the source address against every `[identify.*] match`. An address beats a network, a longer prefix beats
//!   a shorter one; among names that resolve to the same address, the section that comes first wins.
//! * `username`: the user of From is an endpoint's name or, failing that, the username of its `auth`.
//! * `auth_username`: the same by the user name of the digest credentials, the username of `auth` first.
//! * `header`, `request_uri`: the rules `match_header` and `match_request_uri`, in the order of the file.
//! * `anonymous`: the endpoint of that name, whoever asks.
//!
//! A rule with a transport, its own or that of its endpoint, counts only for what came by that one.
//!
//! Before all of these, as in Asterisk, a call that comes by one of our registrations is told by that one, where it
//! names an endpoint ([`crate::control::outside::register_out`]).
//!
//! A name alone proves nothing, so only an endpoint with `auth` is found by one: it is challenged before it may do
//! anything. A From that carries the name of an endpoint without `auth` identifies nobody. A header or a Request-URI
//! proves as little; an endpoint with `auth` that is told by one is challenged, too.

mod hosts;
mod neighbours;
mod networks;

pub use hosts::{HostChange, KEPT};

use crate::config::settings::{EndpointId, HeaderMatch, IdentifyBy, Settings, TextMatch};
use crate::control::locate::names;
use crate::sip::auth::{Asker, Credentials};
use crate::sip::flow::{Flow, TransportId};
use crate::sip::message::Request;
use hosts::Hosts;
use ipnet::IpNet;
use neighbours::Neighbours;
use networks::Networks;
use rustc_hash::FxHashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The endpoint of [`IdentifyBy::Anonymous`].
const ANONYMOUS: &str = "anonymous";

/// Who it is, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Who.
    pub endpoint: EndpointId,
    /// How.
    pub by: Evidence,
}

/// What told an endpoint. `Display` is for the log: `ip 192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The source address lies in this network of an `[identify.*]`.
    Network(IpNet),
    /// The source address is one that a host name of an `[identify.*]` resolves to.
    Host(IpAddr),
    /// The user of From. It is to be proved by credentials.
    Username,
    /// The user name of the credentials. They are yet to be checked.
    AuthUsername,
    /// A header is as an `[identify.*]` says.
    Header,
    /// The Request-URI is as an `[identify.*]` says.
    RequestUri,
    /// The Request-URI has the `line` parameter of the Contact that we registered with the provider: no other knows it.
    Line,
    /// The Request-URI has the `contact_user` of a registration, and the source is its registrar's address.
    Registrar(IpAddr),
    /// Nothing: strangers are let in.
    Anonymous,
}

impl Evidence {
    /// True if the source address alone tells who it is.
    pub fn is_by_address(self) -> bool {
        matches!(
            self,
            Evidence::Network(_) | Evidence::Host(_) | Evidence::Registrar(_)
        )
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Network(network) => write!(f, "ip {network}"),
            Evidence::Host(address) => write!(f, "ip {address} of a host name"),
            Evidence::Username => f.write_str("username"),
            Evidence::AuthUsername => f.write_str("auth_username"),
            Evidence::Header => f.write_str("header"),
            Evidence::RequestUri => f.write_str("request_uri"),
            Evidence::Line => f.write_str("line of a registration"),
            Evidence::Registrar(address) => write!(f, "registration at {address}"),
            Evidence::Anonymous => f.write_str(ANONYMOUS),
        }
    }
}

/// A rule by text, and where it counts.
#[derive(Clone, Debug)]
struct TextRule<T> {
    wanted: T,
    endpoint: EndpointId,
    transport: Option<TransportId>,
}

impl<T> TextRule<T> {
    fn counts(&self, flow: Flow) -> bool {
        self.transport.is_none_or(|only| only == flow.transport)
    }
}

/// What does not change until the next reading of the configuration.
#[derive(Debug, Default)]
struct Fixed {
    order: Vec<IdentifyBy>,
    networks: Networks,
    /// Of the configured addresses; those of host names are beside.
    neighbours: Neighbours,
    /// In the order of the file, and few.
    headers: Vec<TextRule<HeaderMatch>>,
    request_uris: Vec<TextRule<TextMatch>>,
    names: FxHashMap<String, EndpointId>,
    auth_usernames: FxHashMap<String, EndpointId>,
    anonymous: Option<EndpointId>,
}

/// The tables, made once for each reading of the configuration. To clone them costs only what host names resolve to.
#[derive(Clone, Debug)]
pub struct Identifier {
    fixed: Arc<Fixed>,
    hosts: Hosts,
    /// Of the addresses of host names.
    host_neighbours: Neighbours,
}

impl Identifier {
    /// Builds the tables. Host names give nothing until [`Identifier::set_host_addresses`].
    pub fn new(settings: &Settings) -> Identifier {
        let mut fixed = Fixed {
            order: settings.global.identifier_order.clone(),
            ..Fixed::default()
        };
        let mut hosts = Hosts::default();
        for (rule, identify) in settings.identifies.iter().enumerate() {
            let (endpoint, transport) = (identify.endpoint, identify.transport);
            for network in &identify.networks {
                fixed.networks.add(*network, transport, endpoint);
                fixed.neighbours.add(*network, rule);
            }
            for name in &identify.hosts {
                hosts.add(name, transport, endpoint, rule);
            }
            fixed
                .headers
                .extend(identify.header.clone().map(|wanted| TextRule {
                    wanted,
                    endpoint,
                    transport,
                }));
            fixed
                .request_uris
                .extend(identify.request_uri.clone().map(|wanted| TextRule {
                    wanted,
                    endpoint,
                    transport,
                }));
        }
        fixed.take_names(settings);
        Identifier {
            fixed: Arc::new(fixed),
            hosts,
            host_neighbours: Neighbours::default(),
        }
    }

    /// Who sent `request`, which came over `flow`; None for a stranger. The ways of `endpoint_identifier_order` are tried
    /// in turn, and the first that gives an endpoint decides.
    pub fn identify(&self, flow: Flow, request: &Request) -> Option<Identified> {
        let mut ways = self.fixed.order.iter();
        ways.find_map(|by| self.by(*by, flow, request))
    }

    /// Who sent a REGISTER: its user, even where the source address is that of a trunk (a phone and a provider behind
    /// one address), and what else the order says only for a user whom nothing tells. Nobody registers as `anonymous`.
    pub fn identify_registrant(&self, flow: Flow, request: &Request) -> Option<Identified> {
        let order = &self.fixed.order;
        let tells_user =
            |by: &&IdentifyBy| matches!(by, IdentifyBy::Username | IdentifyBy::AuthUsername);
        let mut users = order.iter().filter(tells_user);
        let Some(named) = users.find_map(|by| self.by(*by, flow, request)) else {
            let is_anonymous = |by: &&IdentifyBy| **by == IdentifyBy::Anonymous;
            let mut others = order.iter().filter(|by| !is_anonymous(by));
            return others.find_map(|by| self.by(*by, flow, request));
        };
        // One that its address proves needs no password.
        let asks_address = order.contains(&IdentifyBy::Ip);
        let known = asks_address.then(|| self.by_address(flow.peer.ip(), flow.transport));
        let same = known
            .flatten()
            .filter(|known| known.endpoint == named.endpoint);
        Some(same.unwrap_or(named))
    }

    fn by(&self, by: IdentifyBy, flow: Flow, request: &Request) -> Option<Identified> {
        let found = |endpoint, by| Identified { endpoint, by };
        let fixed = &self.fixed;
        match by {
            IdentifyBy::Ip => self.by_address(flow.peer.ip(), flow.transport),
            IdentifyBy::Username => {
                let endpoint = fixed.by_username(request)?;
                Some(found(endpoint, Evidence::Username))
            }
            IdentifyBy::AuthUsername => {
                let endpoint = fixed.by_credentials(request)?;
                Some(found(endpoint, Evidence::AuthUsername))
            }
            IdentifyBy::Header => {
                let endpoint = fixed.by_header(flow, request)?;
                Some(found(endpoint, Evidence::Header))
            }
            IdentifyBy::RequestUri => {
                let endpoint = fixed.by_request_uri(flow, request)?;
                Some(found(endpoint, Evidence::RequestUri))
            }
            IdentifyBy::Anonymous => Some(found(fixed.anonymous?, Evidence::Anonymous)),
        }
    }

    /// Whose address it is on this transport; None if no `[identify.*]` covers it. One of IPv4 in IPv6 is taken as IPv4.
    pub fn by_address(&self, source: IpAddr, transport: TransportId) -> Option<Identified> {
        let source = source.to_canonical();
        let network = self.fixed.networks.find(source, transport);
        let is_address =
            |(network, _): &(IpNet, EndpointId)| network.prefix_len() == network.max_prefix_len();
        if !network.as_ref().is_some_and(is_address)
            && let Some(endpoint) = self.hosts.find(source, transport)
        {
            let by = Evidence::Host(source);
            return Some(Identified { endpoint, by });
        }
        let (network, endpoint) = network?;
        let by = Evidence::Network(network);
        Some(Identified { endpoint, by })
    }

    /// True if an `[identify.*]` covers this address, on whatever transport.
    pub fn has_address(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        self.fixed.networks.has(source) || self.hosts.has(source)
    }

    /// The `[identify.*]`, by its place, that has an address next to this one: in the same /24, or /64 of IPv6.
    pub fn neighbour(&self, source: IpAddr) -> Option<usize> {
        let source = source.to_canonical();
        let configured = self.fixed.neighbours.find(source);
        configured.or_else(|| self.host_neighbours.find(source))
    }

    /// The host names that are to be asked for now. They are due again when an answer tells, or after
    /// [`names::TTL_MAX`].
    pub fn take_due_hosts(&mut self, now: Instant) -> Vec<String> {
        self.hosts.take_due(now, names::TTL_MAX)
    }

    /// When the next host name is to be asked for; None without any.
    pub fn hosts_due(&self, now: Instant) -> Option<Instant> {
        self.hosts.due(now)
    }

    /// What `host` resolves to for the time of `holds`. No addresses at all (the name server may be down) keeps what was
    /// known for [`KEPT`], so that a trunk outlives a failure of DNS.
    pub fn set_host_addresses(
        &mut self,
        now: Instant,
        host: &str,
        addresses: &[IpAddr],
        holds: Duration,
    ) -> HostChange {
        let change = self.hosts.answer(now, host, addresses, now + holds);
        if change != HostChange::None {
            self.find_host_neighbours();
        }
        change
    }

    /// Takes over what host names resolved to in the configuration before, until they are resolved anew.
    pub fn keep_addresses_of(&mut self, previous: &Identifier) {
        self.hosts.keep(&previous.hosts);
        self.find_host_neighbours();
    }

    fn find_host_neighbours(&mut self) {
        let mut neighbours = Neighbours::default();
        for (address, rule) in self.hosts.addresses() {
            neighbours.add(address.into(), rule);
        }
        self.host_neighbours = neighbours;
    }
}

impl Fixed {
    fn take_names(&mut self, settings: &Settings) {
        for (place, endpoint) in (0..).zip(&settings.endpoints) {
            let id = EndpointId(place);
            if endpoint.name == ANONYMOUS {
                self.anonymous = Some(id);
            }
            if let Some(auth) = &endpoint.auth {
                self.names.insert(endpoint.name.clone(), id);
                // The first of several with one username, as `check` says.
                let usernames = &mut self.auth_usernames;
                usernames.entry(auth.username.clone()).or_insert(id);
            }
        }
    }

    fn by_username(&self, request: &Request) -> Option<EndpointId> {
        let user = request.headers().from().uri.user_decoded()?;
        let found = self.names.get(&user);
        found.or_else(|| self.auth_usernames.get(&user)).copied()
    }

    fn by_credentials(&self, request: &Request) -> Option<EndpointId> {
        let all = Credentials::all(request.headers(), Asker::User);
        all.iter().find_map(|credentials| {
            let user = credentials.username();
            let found = self.auth_usernames.get(&user);
            found.or_else(|| self.names.get(&user)).copied()
        })
    }

    fn by_header(&self, flow: Flow, request: &Request) -> Option<EndpointId> {
        let headers = request.headers();
        let mut rules = self.headers.iter().filter(|rule| rule.counts(flow));
        let found = rules.find(|rule| {
            let mut lines = headers.lines(&rule.wanted.name);
            lines.any(|line| rule.wanted.value.matches(line))
        });
        found.map(|rule| rule.endpoint)
    }

    fn by_request_uri(&self, flow: Flow, request: &Request) -> Option<EndpointId> {
        let mut rules = self.request_uris.iter().filter(|rule| rule.counts(flow));
        let found = rules.find(|rule| rule.wanted.matches(request.uri()));
        found.map(|rule| rule.endpoint)
    }
}

#[cfg(test)]
mod tests;
