//! `[acl.*]` and `[bans]`: who may speak.

use super::super::accept::Typed;
use super::super::catalogue;
use super::super::fields::{Checker, Tell};
use super::super::raw::Table;
use super::super::settings::{Acl, Bans};
use super::{named, only};
use ipnet::{Ipv4Net, Ipv6Net};
use std::collections::BTreeMap;
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
