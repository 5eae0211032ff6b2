//! `[global]`, `[rtp]` and `[admin]`.

use super::super::accept::{Typed, pairs};
use super::super::catalogue;
use super::super::fields::{Checker, Fields};
use super::super::raw::Table;
use super::super::settings::{Admin, Global, IdentifyBy, Rtp, Secret};
use super::only;
use crate::sip::auth::Algorithm;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// rtp.conf as Asterisk ships it.
const PORTS_DEFAULT: (u16, u16) = (10_000, 20_000);

pub(super) fn build(document: &Table, checker: &mut Checker<'_>) -> (Global, Rtp, Admin) {
    let global = only(document, "global", catalogue::GLOBAL, checker);
    let rtp = only(document, "rtp", catalogue::RTP, checker);
    let admin = only(document, "admin", catalogue::ADMIN, checker);
    (
        build_global(&global, checker),
        build_rtp(&rtp, checker),
        build_admin(&admin, checker),
    )
}

fn build_global(fields: &Fields, checker: &mut Checker<'_>) -> Global {
    let text = |key: &str| fields.text(key).cloned();
    let order = fields.texts("endpoint_identifier_order").map(|names| {
        let ways = names.iter().map(|(name, _)| match name.as_str() {
            "ip" => IdentifyBy::Ip,
            "username" => IdentifyBy::Username,
            "auth_username" => IdentifyBy::AuthUsername,
            "header" => IdentifyBy::Header,
            "request_uri" => IdentifyBy::RequestUri,
            _ => IdentifyBy::Anonymous,
        });
        ways.collect()
    });
    Global {
        user_agent: text("user_agent").unwrap_or_else(|| String::from("ringway")),
        // Asterisk's default lets `anonymous` in; here strangers must be asked in by name.
        identifier_order: order.unwrap_or_else(|| {
            vec![
                IdentifyBy::Ip,
                IdentifyBy::Username,
                IdentifyBy::AuthUsername,
                IdentifyBy::Header,
                IdentifyBy::RequestUri,
            ]
        }),
        default_from_user: text("default_from_user").unwrap_or_else(|| String::from("ringway")),
        max_calls: fields.integer("max_calls").unwrap_or(4000),
        keep_alive_interval: fields
            .has("keep_alive_interval")
            .then(|| fields.seconds("keep_alive_interval", Duration::ZERO)),
        state_dir: text("state_dir").map(PathBuf::from),
        nameservers: match fields.get("nameservers") {
            Some(Typed::Servers(servers)) => servers.iter().map(|(server, _)| *server).collect(),
            _ => Vec::new(),
        },
        challenge_algorithms: challenge_algorithms(fields, checker),
    }
}

/// MD5 alone where nothing is said, as in Asterisk: there are telephones that give up at a challenge by SHA-256, even if
/// one by MD5 stands before or behind it.
fn challenge_algorithms(fields: &Fields, checker: &mut Checker<'_>) -> Vec<Algorithm> {
    const KEY: &str = "default_auth_algorithms_uas";
    let Some(names) = fields.texts(KEY) else {
        return vec![Algorithm::Md5];
    };
    if names.is_empty() {
        let message = "it is empty, so nobody could show credentials; expected at least one of \"MD5\", \"SHA-256\"";
        let location = fields.location_of(KEY);
        checker.report.error(location, fields.path_of(KEY), message);
    }
    let names = names.iter();
    names
        .filter_map(|(name, _)| Algorithm::parse(name))
        .collect()
}

fn build_rtp(fields: &Fields, checker: &mut Checker<'_>) -> Rtp {
    let (first, last) = match fields.get("ports") {
        Some(Typed::Ports(first, last)) => (*first, *last),
        _ => PORTS_DEFAULT,
    };
    let workers: Option<u16> = fields.integer("workers");
    let pairs = pairs(first, last);
    if let Some(workers) = workers.filter(|workers| u32::from(*workers) > pairs) {
        let message = format!(
            "{workers} workers share {pairs} port pairs of {first}-{last}; expected at least one pair a worker"
        );
        let location = fields.location_of("workers");
        checker
            .report
            .error(location, fields.path_of("workers"), message);
    }
    Rtp {
        ports: (first, last),
        workers,
        cores: cores(fields, workers, checker),
        timeout: fields.seconds("timeout", Duration::from_secs(60)),
        // 46 is Expedited Forwarding (RFC 3246).
        dscp: fields.integer("dscp").unwrap_or(46),
        batch_wait_us: fields.integer("batch_wait_us").unwrap_or(200),
        relays_rtcp: fields.text("rtcp").is_some_and(|who| who == "relay"),
    }
}

fn cores(fields: &Fields, workers: Option<u16>, checker: &mut Checker<'_>) -> Vec<usize> {
    let Some(listed) = fields.integers("cores") else {
        return Vec::new();
    };
    let path = fields.path_of("cores");
    let mut seen = BTreeSet::new();
    for (core, location) in listed {
        if !seen.insert(*core) {
            let message = format!("core {core} stands twice; name each once");
            checker.report.error(*location, &path, message);
        }
    }
    if let Some(workers) = workers {
        let location = fields.location_of("cores");
        if usize::from(workers) > listed.len() {
            let message = format!(
                "{} cores for {workers} workers; expected one a worker",
                listed.len()
            );
            checker.report.error(location, &path, message);
        } else if usize::from(workers) < listed.len() {
            let message = format!(
                "{} cores for {workers} workers; the last ones stay unused",
                listed.len()
            );
            checker.report.warning(location, &path, message);
        }
    }
    let cores = listed.iter().map(|(core, _)| usize::try_from(*core));
    cores.filter_map(Result::ok).collect()
}

fn build_admin(fields: &Fields, checker: &mut Checker<'_>) -> Admin {
    let listen = match fields.get("listen") {
        Some(Typed::Listen(listen)) => *listen,
        _ => SocketAddr::from((Ipv4Addr::LOCALHOST, 8088)),
    };
    let token = fields.text("token").cloned().map(Secret);
    // A token that was refused has its own error.
    if !listen.ip().to_canonical().is_loopback() && token.is_none() {
        let message = format!(
            "{listen} is not a loopback address, so everybody who reaches it could end calls; expected a token \
             as well: token = \"${{env:RINGWAY_TOKEN}}\", or a loopback address"
        );
        checker
            .report
            .error(fields.location_of("listen"), "admin.listen", message);
    }
    Admin { listen, token }
}
