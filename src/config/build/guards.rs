//! `[acl.*]` and `[identify.*]`: who may speak, and who is who.

use super::super::accept::{HostMatch, Typed};
use super::super::catalogue;
use super::super::diagnostic::Location;
use super::super::fields::{Checker, Tell};
use super::super::raw::{Table, join};
use super::super::settings::{Acl, Bans, Endpoint, Identify};
use super::endpoints::id_of;
use super::{named, only};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

pub(super) fn acls(document: &Table, checker: &mut Checker<'_>) -> BTreeMap<String, Acl> {
    let sections = named(document, "acl", catalogue::ACL, Tell::EachKey, checker);
    let acls = sections.into_iter().map(|(name, fields)| {
        let networks = |key: &str| match fields.get(key) {
            Some(Typed::Networks(networks)) => networks.iter().map(|(n, _)| *n).collect(),
            _ => Vec::new(),
        };
        let acl = Acl {
            deny: networks("deny"),
            permit: networks("permit"),
        };
        (name, acl)
    });
    acls.collect()
}

pub(super) fn bans(document: &Table, checker: &mut Checker<'_>) -> Bans {
    let fields = only(document, "bans", catalogue::BANS, checker);
    let exempt = match fields.get("exempt") {
        Some(Typed::Networks(networks)) => networks.iter().map(|(n, _)| *n).collect(),
        // Who is on this machine needs no SIP to harm it.
        _ => vec![
            Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
            Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        ],
    };
    Bans {
        after: fields.integer("after").unwrap_or(10),
        time: fields.seconds("time", Duration::from_secs(300)),
        exempt,
    }
}

/// A network or a host name of an `[identify.*]`, with what a message needs.
#[derive(Clone, Copy)]
struct Claim<'a> {
    what: &'a HostMatch,
    section: &'a str,
    endpoint: &'a str,
    location: Location,
}

pub(super) fn identifies(
    document: &Table,
    endpoints: &[Endpoint],
    checker: &mut Checker<'_>,
) -> Vec<Identify> {
    let sections = named(
        document,
        "identify",
        catalogue::IDENTIFY,
        Tell::EachKey,
        checker,
    );
    let mut identifies = Vec::with_capacity(sections.len());
    let mut claims = Vec::new();
    for (name, fields) in &sections {
        let matches: &[_] = match fields.get("match") {
            Some(Typed::Hosts(hosts)) => hosts,
            _ => continue,
        };
        if matches.is_empty() {
            let message =
                "it is empty, so it matches nobody; expected addresses, networks or host names";
            let location = fields.location_of("match");
            checker
                .report
                .error(location, fields.path_of("match"), message);
        }
        let Some(endpoint_name) = fields.text("endpoint") else {
            continue;
        };
        let Some(endpoint) = id_of(endpoints, endpoint_name) else {
            continue;
        };
        let mut identify = Identify {
            name: name.clone(),
            endpoint,
            networks: Vec::new(),
            hosts: Vec::new(),
        };
        for (host, location) in matches {
            let claim = |what| Claim {
                what,
                section: name,
                endpoint: endpoint_name,
                location: *location,
            };
            claims.push(claim(host));
            match host {
                HostMatch::Name(host) => identify.hosts.push(host.clone()),
                HostMatch::Network(network) => identify.networks.push(*network),
            }
        }
        identifies.push(identify);
    }
    let first = judge_claims(&claims, checker);
    warn_of_overlaps(&first, checker);
    identifies
}

/// The same for two endpoints cannot be decided: an error. Gives the first claim of each.
fn judge_claims<'c, 'a>(claims: &'c [Claim<'a>], checker: &mut Checker<'_>) -> Vec<&'c Claim<'a>> {
    let mut first: HashMap<&HostMatch, &Claim<'_>> = HashMap::with_capacity(claims.len());
    let mut firsts = Vec::with_capacity(claims.len());
    for claim in claims {
        let path = join(&join("identify", claim.section), "match");
        match first.get(claim.what) {
            Some(other) if other.endpoint != claim.endpoint => {
                let message = format!(
                    "{} is claimed by [identify.{}] for endpoint {} (line {}) and here for {}; a source can be only one",
                    claim.what, other.section, other.endpoint, other.location.line, claim.endpoint
                );
                checker.report.error(claim.location, path, message);
            }
            Some(other) => {
                let line = other.location.line;
                let message = format!("{} stands twice, first on line {line}", claim.what);
                checker.report.warning(claim.location, path, message);
            }
            None => {
                first.insert(claim.what, claim);
                firsts.push(claim);
            }
        }
    }
    firsts
}

/// One network inside another is decided by the longest prefix, but may not be meant: a warning, one for each outer
/// network.
fn warn_of_overlaps(claims: &[&Claim<'_>], checker: &mut Checker<'_>) {
    let networks = claims.iter().filter_map(|claim| match claim.what {
        HostMatch::Network(network) => Some((*network, *claim)),
        HostMatch::Name(_) => None,
    });
    let mut networks: Vec<_> = networks.collect();
    // Outer networks come before what lies in them.
    networks.sort_by_key(|(network, _)| (network.network(), network.prefix_len()));
    let mut outer: Vec<(IpNet, &Claim<'_>)> = Vec::new();
    let mut inside: BTreeMap<(Location, String), (IpNet, &str, usize)> = BTreeMap::new();
    for (network, claim) in networks {
        while outer
            .last()
            .is_some_and(|(around, _)| !around.contains(&network))
        {
            outer.pop();
        }
        let around = outer.last().map(|(_, claim)| *claim);
        if let Some(around) = around.filter(|around| around.endpoint != claim.endpoint) {
            let path = join(&join("identify", around.section), "match");
            inside
                .entry((around.location, path))
                .and_modify(|(.., count)| *count += 1)
                .or_insert((network, claim.endpoint, 1));
        }
        outer.push((network, claim));
    }
    for ((location, path), (network, endpoint, count)) in inside {
        let more = match count {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message =
            format!("also covers {network} of endpoint {endpoint}{more}; the longest prefix wins");
        checker.report.warning(location, path, message);
    }
}
