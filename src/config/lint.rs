//! What is valid, but probably not meant, or not safe.

use super::diagnostic::Location;
use super::fields::Names;
use super::raw::{Kind, Table};
use super::report::Report;
use super::settings::{Endpoint, Identify, IdentifyBy, MediaEncryption, Settings};
use crate::sip::flow::Protocol;
use crate::sip::message::{Scheme, Uri};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Looks at settings that have no error.
pub(super) fn lint(settings: &Settings, document: &Table, report: &mut Report) {
    let lint = Lint { settings, document };
    lint.open_to_the_world(report);
    lint.unverified_servers(report);
    lint.acls(report);
    lint.strangers(report);
    lint.endpoints(report);
    lint.rules(report);
    lint.shared_user_names(report);
    lint.rtp_range(report);
    lint.missing_context(report);
}

struct Lint<'a> {
    settings: &'a Settings,
    document: &'a Table,
}

impl Lint<'_> {
    /// Where `[kind] key` or `[kind.name] key` stands, or what is nearest to it.
    fn find(&self, path: &[&str]) -> Location {
        let mut location = Location { line: 1, column: 1 };
        let mut table = self.document;
        for part in path {
            let Some(entry) = table.get(part) else { break };
            location = entry.location;
            match &entry.value.kind {
                Kind::Table(inner) => table = inner,
                _ => break,
            }
        }
        location
    }

    fn open_to_the_world(&self, report: &mut Report) {
        let settings = self.settings;
        let open = |bind: SocketAddr| !bind.ip().to_canonical().is_loopback();
        let denies = |all: &str| {
            let all = all.parse().ok();
            let mut acls = settings.acls.values();
            acls.any(|acl| acl.deny.iter().any(|network| Some(*network) == all))
        };
        for transport in settings.transports.iter().filter(|t| open(t.bind)) {
            let name = transport.name.as_str();
            let location = self.find(&["transport", name, "bind"]);
            let path = format!("transport.{name}.bind");
            if settings.acls.is_empty() {
                let message = format!(
                    "{} can be reached from other machines and there is no ACL; expected an [acl.NAME] that denies \
                     all and permits the networks of providers and phones",
                    transport.bind
                );
                report.warning(location, path, message);
            } else if transport.bind.is_ipv6() && denies("0.0.0.0/0") && !denies("::/0") {
                let message = "the ACLs deny all of IPv4 (0.0.0.0/0), but not of IPv6; expected \"::/0\" in deny as well";
                report.warning(location, path, message);
            }
        }
        for transport in settings.transports.iter().filter(|t| t.bind.port() == 0) {
            let name = transport.name.as_str();
            let location = self.find(&["transport", name, "bind"]);
            let message = "port 0 takes any free port, another one after each start";
            report.warning(location, format!("transport.{name}.bind"), message);
        }
    }

    fn unverified_servers(&self, report: &mut Report) {
        for transport in &self.settings.transports {
            if transport.tls.as_ref().is_some_and(|tls| !tls.verify_server) {
                let name = transport.name.as_str();
                let location = self.find(&["transport", name, "verify_server"]);
                let message = "whoever is in between can read and change calls to providers, passwords too; expected \
                               true, with ca_list_file where a provider has a CA of its own";
                report.warning(location, format!("transport.{name}.verify_server"), message);
            }
        }
    }

    fn acls(&self, report: &mut Report) {
        for (name, acl) in &self.settings.acls {
            if acl.deny.is_empty() {
                let message = "denies nobody, so everybody is permitted; to permit only some, add deny = [\"0.0.0.0/0\", \"::/0\"]";
                report.warning(self.find(&["acl", name]), path_of("acl", name), message);
            }
        }
    }

    fn strangers(&self, report: &mut Report) {
        let order = &self.settings.global.identifier_order;
        if !order.contains(&IdentifyBy::Anonymous) {
            return;
        }
        let location = self.find(&["global", "endpoint_identifier_order"]);
        let message = if self
            .settings
            .endpoints
            .iter()
            .any(|e| e.name == "anonymous")
        {
            "\"anonymous\" lets everybody in whom the ACLs permit; be sure that its context reaches no trunk"
        } else {
            "\"anonymous\" has no effect without an [endpoint.anonymous]"
        };
        report.warning(location, "global.endpoint_identifier_order", message);
    }

    /// Rules of a kind that is never asked for, and those that prove nothing: a header or a Request-URI is written by
    /// whoever sends the request.
    fn rules(&self, report: &mut Report) {
        let order = &self.settings.global.identifier_order;
        for identify in &self.settings.identifies {
            let endpoint = self.settings.endpoints.get(identify.endpoint.0 as usize);
            let is_open = endpoint.is_some_and(|one| one.auth.is_none() && one.acl.is_empty());
            for (key, method, by) in rules_of(identify) {
                let message = if !order.contains(&by) {
                    format!("no effect, for global.endpoint_identifier_order has no {method:?}")
                } else if is_open && by != IdentifyBy::Ip {
                    let name = endpoint.map_or("", |one| &one.name);
                    format!(
                        "whoever writes that is taken as endpoint {name}; expected an acl or auth in [endpoint.{name}]"
                    )
                } else {
                    continue;
                };
                let location = self.find(&["identify", &identify.name, key]);
                let path = format!("{}.{key}", path_of("identify", &identify.name));
                report.warning(location, path, message);
            }
        }
    }

    fn endpoints(&self, report: &mut Report) {
        let settings = self.settings;
        let identified: BTreeSet<u32> = settings.identifies.iter().map(|i| i.endpoint.0).collect();
        let called_by_registration = |name: &str| {
            let mut named = settings.registrations.iter().map(|r| r.endpoint.as_deref());
            named.any(|endpoint| endpoint == Some(name))
        };
        for (place, endpoint) in (0..).zip(&settings.endpoints) {
            let can_call = endpoint.auth.is_some()
                || identified.contains(&place)
                || called_by_registration(&endpoint.name)
                || endpoint.name == "anonymous";
            if !can_call && endpoint.contacts.is_empty() {
                let message = "nobody can call in as it, nor can it be called; expected auth, an [identify.*] for it, \
                               or an aor with a contact";
                report.warning(
                    endpoint.location,
                    path_of("endpoint", &endpoint.name),
                    message,
                );
            }
            if let Some(transport) = endpoint.transport {
                let transport = settings.transports.get(usize::from(transport.0));
                let protocol = transport.map_or("", |t| t.protocol.name());
                let other = endpoint.contacts.iter().find_map(|contact| {
                    let wanted = protocol_of(contact)?;
                    (!wanted.eq_ignore_ascii_case(protocol)).then(|| wanted.to_owned())
                });
                if let Some(wanted) = other {
                    let message = format!(
                        "a contact asks for transport={wanted}, but the endpoint's transport speaks {protocol}"
                    );
                    report.warning(
                        endpoint.location,
                        path_of("endpoint", &endpoint.name),
                        message,
                    );
                }
            }
            self.unreachable_contacts(endpoint, report);
            self.readable_keys(endpoint, report);
        }
    }

    /// Keys are told over TLS alone, and there is none.
    fn readable_keys(&self, endpoint: &Endpoint, report: &mut Report) {
        let tells_keys = |encryption: &MediaEncryption| !encryption.over_insecure_signalling;
        let Some(encryption) = endpoint.media_encryption.filter(tells_keys) else {
            return;
        };
        let mut transports = (0..).zip(&self.settings.transports);
        let is_its = |place: u16| endpoint.transport.is_none_or(|own| own.0 == place);
        let has_tls = transports.any(|(place, t)| is_its(place) && t.protocol == Protocol::Tls);
        if has_tls {
            return;
        }
        let effect = match encryption.optimistic {
            true => "its calls are not encrypted",
            false => "all its calls are refused",
        };
        let message = format!(
            "keys are told over TLS only, so {effect}; expected a transport with protocol = \"tls\", or \
             media_encryption_over_insecure_signalling = true where the way is safe by itself"
        );
        let location = self.find(&["endpoint", &endpoint.name, "media_encryption"]);
        let path = format!("{}.media_encryption", path_of("endpoint", &endpoint.name));
        report.warning(location, path, message);
    }

    fn unreachable_contacts(&self, endpoint: &Endpoint, report: &mut Report) {
        let has = |wanted: &str| {
            let mut transports = self.settings.transports.iter();
            transports.any(|transport| transport.protocol.name().eq_ignore_ascii_case(wanted))
        };
        let mut wanted = endpoint.contacts.iter().filter_map(protocol_of);
        if let Some(wanted) = wanted.find(|wanted| !has(wanted)) {
            let message = format!(
                "a contact asks for {wanted} and no transport speaks it, so it cannot be called; expected a \
                 [transport.*] with protocol = {wanted:?}"
            );
            let path = path_of("endpoint", &endpoint.name);
            report.warning(endpoint.location, path, message);
        }
    }

    /// Identification by user name finds one endpoint, so a name that two have is a trap.
    fn shared_user_names(&self, report: &mut Report) {
        let mut first: BTreeMap<&str, &str> = BTreeMap::new();
        for endpoint in &self.settings.endpoints {
            let Some(auth) = &endpoint.auth else { continue };
            match first.get(auth.username.as_str()) {
                Some(other) => {
                    let message = format!(
                        "its auth has the username of endpoint {other}, so calls with that username are taken as \
                         {other}'s; expected a username of its own"
                    );
                    report.warning(
                        endpoint.location,
                        path_of("endpoint", &endpoint.name),
                        message,
                    );
                }
                None => {
                    first.insert(&auth.username, &endpoint.name);
                }
            }
        }
    }

    fn rtp_range(&self, report: &mut Report) {
        let (first, last) = self.settings.rtp.ports;
        let transports = self.settings.transports.iter();
        let taken = transports
            .map(|t| (format!("transport.{}", t.name), t.bind.port()))
            .chain([(String::from("admin"), self.settings.admin.listen.port())]);
        for (who, port) in taken.filter(|(_, port)| (first..=last).contains(port)) {
            let message =
                format!("{first}-{last} holds port {port} of [{who}]; expected a range of its own");
            report.warning(self.find(&["rtp", "ports"]), "rtp.ports", message);
        }
    }

    /// Endpoints that can call in, with neither a context of their own nor a `[context.default]`.
    fn missing_context(&self, report: &mut Report) {
        let names = Names::new(self.document);
        if names.contains("context", "default") {
            return;
        }
        for identify in &self.settings.identifies {
            let endpoint = self.settings.endpoints.get(identify.endpoint.0 as usize);
            if let Some(endpoint) = endpoint.filter(|e| e.context == "default") {
                let message = "has no context and there is no [context.default], so its calls have nowhere to go; \
                               expected context = \"NAME\"";
                report.warning(
                    endpoint.location,
                    path_of("endpoint", &endpoint.name),
                    message,
                );
            }
        }
    }
}

/// The keys of its rules, and the way of `endpoint_identifier_order` that each is for.
fn rules_of(identify: &Identify) -> impl Iterator<Item = (&'static str, &'static str, IdentifyBy)> {
    let has_match = !identify.networks.is_empty() || !identify.hosts.is_empty();
    let address = has_match.then_some(("match", "ip", IdentifyBy::Ip));
    let header = identify.header.as_ref();
    let header = header.map(|_| ("match_header", "header", IdentifyBy::Header));
    let uri = identify.request_uri.as_ref();
    let uri = uri.map(|_| ("match_request_uri", "request_uri", IdentifyBy::RequestUri));
    address.into_iter().chain(header).chain(uri)
}

/// The protocol that a URI insists on.
fn protocol_of(uri: &Uri) -> Option<&str> {
    match uri.scheme {
        Scheme::Sips => Some("tls"),
        _ => uri.param("transport"),
    }
}

fn path_of(kind: &str, name: &str) -> String {
    super::raw::join(kind, name)
}
