//! `[identify.*]`: who is who.

use super::super::accept::{HostMatch, Typed};
use super::super::catalogue;
use super::super::diagnostic::Location;
use super::super::fields::{Checker, Fields, Tell};
use super::super::raw::{Table, join};
use super::super::settings::{Endpoint, HeaderMatch, Identify, TextMatch, Transport};
use super::endpoints::{id_of, transport};
use super::named;
use crate::sip::flow::TransportId;
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};

/// Most `match_header` and `match_request_uri` together: each is tried at every request that nothing before has told.
const TEXT_RULES_MAX: usize = 64;

/// The keys that tell an endpoint. One of them must be there.
const RULES: [&str; 3] = ["match", "match_header", "match_request_uri"];

/// A network or a host name of an `[identify.*]`, with what a message needs.
#[derive(Clone, Copy)]
struct Claim<'a> {
    what: &'a HostMatch,
    transport: Option<TransportId>,
    section: &'a str,
    endpoint: &'a str,
    location: Location,
}

/// In the order of the file.
pub(super) fn build(
    document: &Table,
    transports: &[Transport],
    endpoints: &[Endpoint],
    checker: &mut Checker<'_>,
) -> Vec<Identify> {
    let rows = catalogue::IDENTIFY;
    let sections = named(document, "identify", rows, Tell::EachKey, checker);
    let mut identifies = Vec::with_capacity(sections.len());
    let mut claims = Vec::new();
    for (name, fields) in &sections {
        demand_rules(fields, checker);
        let Some(endpoint) = fields.text("endpoint") else {
            continue;
        };
        let Some(id) = id_of(endpoints, endpoint) else {
            continue;
        };
        let of_endpoint = endpoints.get(id.0 as usize).and_then(|one| one.transport);
        let own = transport(fields, transports);
        demand_one_transport(fields, endpoint, own, of_endpoint, checker);
        let mut identify = Identify {
            name: name.clone(),
            endpoint: id,
            transport: own.or(of_endpoint),
            networks: Vec::new(),
            hosts: Vec::new(),
            header: header(fields).cloned(),
            request_uri: request_uri(fields).cloned(),
        };
        for (host, location) in matches(fields) {
            claims.push(Claim {
                what: host,
                transport: identify.transport,
                section: name,
                endpoint,
                location: *location,
            });
            match host {
                HostMatch::Name(host) => identify.hosts.push(host.clone()),
                HostMatch::Network(network) => identify.networks.push(*network),
            }
        }
        identifies.push(identify);
    }
    let first = judge_claims(&claims, checker);
    warn_of_overlaps(&first, checker);
    judge_texts(&sections, checker);
    identifies
}

fn matches(fields: &Fields) -> &[(HostMatch, Location)] {
    match fields.get("match") {
        Some(Typed::Hosts(hosts)) => hosts,
        _ => &[],
    }
}

fn header(fields: &Fields) -> Option<&HeaderMatch> {
    match fields.get("match_header") {
        Some(Typed::HeaderMatch(header)) => Some(header),
        _ => None,
    }
}

fn request_uri(fields: &Fields) -> Option<&TextMatch> {
    match fields.get("match_request_uri") {
        Some(Typed::TextMatch(uri)) => Some(uri),
        _ => None,
    }
}

fn demand_rules(fields: &Fields, checker: &mut Checker<'_>) {
    if fields.has("match") && matches(fields).is_empty() {
        let message =
            "it is empty, so it matches nobody; expected addresses, networks or host names";
        let (location, path) = (fields.location_of("match"), fields.path_of("match"));
        checker.report.error(location, path, message);
    }
    if !RULES.iter().any(|key| fields.was_written(key)) {
        let message = "match is missing, it must be set, or match_header or match_request_uri";
        checker.report.error(fields.location, &fields.path, message);
    }
}

/// An endpoint with a transport is known by what comes over that one only.
fn demand_one_transport(
    fields: &Fields,
    endpoint: &str,
    own: Option<TransportId>,
    of_endpoint: Option<TransportId>,
    checker: &mut Checker<'_>,
) {
    if let (Some(own), Some(other)) = (own, of_endpoint)
        && own != other
    {
        let message = format!(
            "[endpoint.{endpoint}] has another transport, so this would never count; expected the same one, or none \
             in one of the two"
        );
        let (location, path) = (fields.location_of("transport"), fields.path_of("transport"));
        checker.report.error(location, path, message);
    }
}

/// The same for two endpoints cannot be decided: an error. Gives the first claim of each.
fn judge_claims<'c, 'a>(claims: &'c [Claim<'a>], checker: &mut Checker<'_>) -> Vec<&'c Claim<'a>> {
    let mut first: HashMap<(&HostMatch, Option<TransportId>), &Claim<'_>> =
        HashMap::with_capacity(claims.len());
    let mut firsts = Vec::with_capacity(claims.len());
    for claim in claims {
        let path = join(&join("identify", claim.section), "match");
        match first.get(&(claim.what, claim.transport)) {
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
                first.insert((claim.what, claim.transport), claim);
                firsts.push(claim);
            }
        }
    }
    firsts
}

/// One network inside another is decided by the longest prefix, but may not be meant: a warning, one for each outer
/// network. Rules of different transports are apart.
fn warn_of_overlaps(claims: &[&Claim<'_>], checker: &mut Checker<'_>) {
    let networks = claims.iter().filter_map(|claim| match claim.what {
        HostMatch::Network(network) => Some((*network, *claim)),
        HostMatch::Name(_) => None,
    });
    let mut networks: Vec<_> = networks.collect();
    // Outer networks come before what lies in them.
    networks
        .sort_by_key(|(network, claim)| (claim.transport, network.network(), network.prefix_len()));
    let mut outer: Vec<(IpNet, &Claim<'_>)> = Vec::new();
    let mut inside: BTreeMap<(Location, String), (IpNet, &Claim<'_>, usize)> = BTreeMap::new();
    for (network, claim) in networks {
        while outer.last().is_some_and(|(around, other)| {
            other.transport != claim.transport || !around.contains(&network)
        }) {
            outer.pop();
        }
        let around = outer.last().map(|(_, claim)| *claim);
        if let Some(around) = around.filter(|around| around.endpoint != claim.endpoint) {
            let path = join(&join("identify", around.section), "match");
            inside
                .entry((around.location, path))
                .and_modify(|(.., count)| *count += 1)
                .or_insert((network, claim, 1));
        }
        outer.push((network, claim));
    }
    for ((location, path), (network, claim, count)) in inside {
        let more = match count {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message = format!(
            "also covers {network} of endpoint {} (line {}){more}; the longest prefix wins",
            claim.endpoint, claim.location.line
        );
        checker.report.warning(location, path, message);
    }
}

/// A `match_header` or `match_request_uri`, with what a message needs.
struct TextRule<'a> {
    key: &'static str,
    /// The header's name in lower case; empty for the Request-URI.
    part: String,
    wanted: &'a TextMatch,
    fields: &'a Fields,
}

impl TextRule<'_> {
    fn endpoint(&self) -> &str {
        self.fields.text("endpoint").map_or("", String::as_str)
    }

    fn transport(&self) -> Option<&String> {
        self.fields.text("transport")
    }

    fn is_of_the_same_part(&self, other: &TextRule<'_>) -> bool {
        self.key == other.key && self.part == other.part && self.transport() == other.transport()
    }
}

/// The first that matches decides: what stands behind one that matches the same is a mistake.
fn judge_texts(sections: &[(String, Fields)], checker: &mut Checker<'_>) {
    let rules: Vec<TextRule<'_>> = sections
        .iter()
        .flat_map(|(_, fields)| text_rules(fields))
        .collect();
    if let Some(rule) = rules.get(TEXT_RULES_MAX) {
        let message = format!(
            "one match_header or match_request_uri too many; expected {TEXT_RULES_MAX} in all: a regular expression \
             can stand for several"
        );
        let (location, path) = (
            rule.fields.location_of(rule.key),
            rule.fields.path_of(rule.key),
        );
        checker.report.error(location, path, message);
    }
    for (place, rule) in rules.iter().enumerate().take(TEXT_RULES_MAX) {
        let mut before = rules[..place].iter();
        if let Some(other) = before
            .find(|other| rule.is_of_the_same_part(other) && covers(other.wanted, rule.wanted))
        {
            tell_covered(rule, other, checker);
        }
    }
}

fn text_rules(fields: &Fields) -> impl Iterator<Item = TextRule<'_>> {
    let header = header(fields).map(|header| TextRule {
        key: "match_header",
        part: header.name.to_ascii_lowercase(),
        wanted: &header.value,
        fields,
    });
    let uri = request_uri(fields).map(|wanted| TextRule {
        key: "match_request_uri",
        part: String::new(),
        wanted,
        fields,
    });
    header.into_iter().chain(uri)
}

/// True if all that `inner` matches is known to be matched by `outer`, too.
fn covers(outer: &TextMatch, inner: &TextMatch) -> bool {
    match inner {
        TextMatch::Exact(text) => outer.matches(text),
        TextMatch::Pattern(_) => outer.to_string() == inner.to_string(),
    }
}

fn tell_covered(rule: &TextRule<'_>, other: &TextRule<'_>, checker: &mut Checker<'_>) {
    let (location, path) = (
        rule.fields.location_of(rule.key),
        rule.fields.path_of(rule.key),
    );
    let line = other.fields.location_of(other.key).line;
    let (wanted, section) = (rule.wanted, &other.fields.path);
    if rule.endpoint() == other.endpoint() {
        let message = format!("{wanted} is matched by [{section}] already (line {line})");
        checker.report.warning(location, path, message);
    } else if rule.wanted.to_string() == other.wanted.to_string() {
        let message = format!(
            "{wanted} is claimed by [{section}] for endpoint {} (line {line}) and here for {}; a request can be only \
             one's",
            other.endpoint(),
            rule.endpoint()
        );
        checker.report.error(location, path, message);
    } else {
        let message = format!(
            "{wanted} is matched by [{section}] for endpoint {} first (line {line}), so this never counts; expected it \
             before that one",
            other.endpoint()
        );
        checker.report.warning(location, path, message);
    }
}
