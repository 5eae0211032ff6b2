//! Which endpoint sent a request (`endpoint_identifier_order`).
//!
//! * `ip`: the source address against every `[identify.*] match`. An address beats a network, a longer prefix beats
//!   a shorter one; among names that resolve to the same address, the section that comes first wins.
//! * `username`: the user of From is an endpoint's name or, failing that, the username of its `auth`.
//! * `auth_username`: the same by the user name of the digest credentials, the username of `auth` first.
//! * `anonymous`: the endpoint of that name, whoever asks.
//!
//! Before all of these, as in Asterisk, a call that comes by one of our registrations is told by that one, where it
//! names an endpoint ([`super::register_out`]).
//!
//! A name alone proves nothing, so only an endpoint with `auth` is found by one: it is challenged before it may do
//! anything. A From that carries the name of an endpoint without `auth` identifies nobody.

use crate::config::settings::{EndpointId, IdentifyBy, Settings};
use crate::sip::auth::{Asker, Credentials};
use crate::sip::message::Request;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use rustc_hash::FxHashMap;
use std::fmt;
use std::net::IpAddr;

/// The endpoint of [`IdentifyBy::Anonymous`].
const ANONYMOUS: &str = "anonymous";

/// Most addresses that one host name gives; more are left out.
const HOST_ADDRESSES_MAX: usize = 64;

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
            Evidence::Line => f.write_str("line of a registration"),
            Evidence::Registrar(address) => write!(f, "registration at {address}"),
            Evidence::Anonymous => f.write_str(ANONYMOUS),
        }
    }
}

/// A host name of an `[identify.*]`, and what it resolves to at present.
#[derive(Clone, Debug)]
struct HostMatch {
    name: String,
    endpoint: EndpointId,
    addresses: Vec<IpAddr>,
}

/// The tables, made once for each reading of the configuration.
#[derive(Clone, Debug)]
pub struct Identifier {
    order: Vec<IdentifyBy>,
    /// Configured addresses: most trunks, and no longer prefix is possible.
    addresses: FxHashMap<IpAddr, EndpointId>,
    v4: PrefixMap<Ipv4Net, EndpointId>,
    v6: PrefixMap<Ipv6Net, EndpointId>,
    /// In the order of the file.
    hosts: Vec<HostMatch>,
    /// Resolved address → places in `hosts`, ascending.
    resolved: FxHashMap<IpAddr, Vec<usize>>,
    names: FxHashMap<String, EndpointId>,
    auth_usernames: FxHashMap<String, EndpointId>,
    anonymous: Option<EndpointId>,
}

impl Identifier {
    /// Builds the tables. Host names give nothing until [`Identifier::set_host_addresses`].
    pub fn new(settings: &Settings) -> Identifier {
        let mut identifier = Identifier {
            order: settings.global.identifier_order.clone(),
            addresses: FxHashMap::default(),
            v4: PrefixMap::new(),
            v6: PrefixMap::new(),
            hosts: Vec::new(),
            resolved: FxHashMap::default(),
            names: FxHashMap::default(),
            auth_usernames: FxHashMap::default(),
            anonymous: None,
        };
        for identify in &settings.identifies {
            for network in &identify.networks {
                identifier.add_network(*network, identify.endpoint);
            }
            let hosts = identify.hosts.iter().map(|name| HostMatch {
                name: name.clone(),
                endpoint: identify.endpoint,
                addresses: Vec::new(),
            });
            identifier.hosts.extend(hosts);
        }
        for (place, endpoint) in (0..).zip(&settings.endpoints) {
            let id = EndpointId(place);
            if endpoint.name == ANONYMOUS {
                identifier.anonymous = Some(id);
            }
            if let Some(auth) = &endpoint.auth {
                identifier.names.insert(endpoint.name.clone(), id);
                // The first of several with one username, as `check` says.
                let usernames = &mut identifier.auth_usernames;
                usernames.entry(auth.username.clone()).or_insert(id);
            }
        }
        identifier
    }

    fn add_network(&mut self, network: IpNet, endpoint: EndpointId) {
        match network {
            network if network.prefix_len() == network.max_prefix_len() => {
                self.addresses.insert(network.addr(), endpoint);
            }
            IpNet::V4(network) => {
                self.v4.insert(network, endpoint);
            }
            IpNet::V6(network) => {
                self.v6.insert(network, endpoint);
            }
        }
    }

    /// Who sent `request` from `source`; None for a stranger. The ways of `endpoint_identifier_order` are tried in
    /// turn, and the first that gives an endpoint decides.
    pub fn identify(&self, source: IpAddr, request: &Request) -> Option<Identified> {
        self.order.iter().find_map(|by| match by {
            IdentifyBy::Ip => self.by_address(source),
            IdentifyBy::Username => self.by_username(request),
            IdentifyBy::AuthUsername => self.by_credentials(request),
            IdentifyBy::Anonymous => self.anonymous.map(|endpoint| Identified {
                endpoint,
                by: Evidence::Anonymous,
            }),
        })
    }

    /// Who sent a REGISTER: its user, even where the source address is that of a trunk (a phone and a provider behind
    /// one address), and the address only for a user whom nothing else tells. Nobody registers as `anonymous`.
    pub fn identify_registrant(&self, source: IpAddr, request: &Request) -> Option<Identified> {
        let named = self.order.iter().find_map(|by| match by {
            IdentifyBy::Username => self.by_username(request),
            IdentifyBy::AuthUsername => self.by_credentials(request),
            IdentifyBy::Ip | IdentifyBy::Anonymous => None,
        });
        let by_address = self.order.contains(&IdentifyBy::Ip);
        let by_address = by_address.then(|| self.by_address(source)).flatten();
        match (named, by_address) {
            (Some(named), Some(known)) if named.endpoint == known.endpoint => Some(known),
            (Some(named), _) => Some(named),
            (None, known) => known,
        }
    }

    fn by_username(&self, request: &Request) -> Option<Identified> {
        let user = request.headers().from().uri.user_decoded()?;
        let found = self
            .names
            .get(&user)
            .or_else(|| self.auth_usernames.get(&user));
        found.map(|endpoint| Identified {
            endpoint: *endpoint,
            by: Evidence::Username,
        })
    }

    /// Whose address it is; None if no `[identify.*]` covers it. One of IPv4 in IPv6 is taken as IPv4.
    pub fn by_address(&self, source: IpAddr) -> Option<Identified> {
        let source = source.to_canonical();
        if let Some(endpoint) = self.addresses.get(&source) {
            return Some(Identified {
                endpoint: *endpoint,
                by: Evidence::Network(IpNet::from(source)),
            });
        }
        let places = self.resolved.get(&source);
        if let Some(host) = places.and_then(|places| self.hosts.get(*places.first()?)) {
            return Some(Identified {
                endpoint: host.endpoint,
                by: Evidence::Host(source),
            });
        }
        let (network, endpoint) = match source {
            IpAddr::V4(source) => {
                let (network, endpoint) = self.v4.get_lpm(&Ipv4Net::from(source))?;
                (IpNet::V4(network), endpoint)
            }
            IpAddr::V6(source) => {
                let (network, endpoint) = self.v6.get_lpm(&Ipv6Net::from(source))?;
                (IpNet::V6(network), endpoint)
            }
        };
        Some(Identified {
            endpoint: *endpoint,
            by: Evidence::Network(network),
        })
    }

    fn by_credentials(&self, request: &Request) -> Option<Identified> {
        let all = Credentials::all(request.headers(), Asker::User);
        all.iter().find_map(|credentials| {
            let user = credentials.username();
            let found = self
                .auth_usernames
                .get(&user)
                .or_else(|| self.names.get(&user));
            found.map(|endpoint| Identified {
                endpoint: *endpoint,
                by: Evidence::AuthUsername,
            })
        })
    }

    /// The host names to resolve, in the order of the file; one that several sections name comes several times.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| host.name.as_str())
    }

    /// What `host` resolves to from now on. No addresses at all (the name server may be down) keeps what was known,
    /// so that a trunk outlives a failure of DNS.
    pub fn set_host_addresses(&mut self, host: &str, addresses: &[IpAddr]) {
        if addresses.is_empty() {
            return;
        }
        let mut new: Vec<IpAddr> = addresses
            .iter()
            .take(HOST_ADDRESSES_MAX)
            .map(IpAddr::to_canonical)
            .collect();
        new.sort_unstable();
        new.dedup();
        for (place, entry) in self.hosts.iter_mut().enumerate() {
            let name = entry.name.trim_end_matches('.');
            if !name.eq_ignore_ascii_case(host) {
                continue;
            }
            for old in std::mem::replace(&mut entry.addresses, new.clone()) {
                if let Some(places) = self.resolved.get_mut(&old) {
                    places.retain(|other| *other != place);
                    if places.is_empty() {
                        self.resolved.remove(&old);
                    }
                }
            }
            for address in &new {
                let places = self.resolved.entry(*address).or_default();
                let at = places.partition_point(|other| *other < place);
                places.insert(at, place);
            }
        }
    }

    /// Takes over what host names resolved to in the configuration before, until they are resolved anew.
    pub fn keep_addresses_of(&mut self, previous: &Identifier) {
        for host in &previous.hosts {
            self.set_host_addresses(&host.name, &host.addresses);
        }
    }
}

#[cfg(test)]
mod tests;
