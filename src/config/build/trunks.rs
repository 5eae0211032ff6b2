//! `[trunk_group.*]`

use super::super::catalogue;
use super::super::fields::{Checker, Fields, Tell};
use super::super::raw::Table;
use super::super::settings::{Endpoint, TrunkGroup, TrunkMember};
use super::endpoints::id_of;
use super::named;
use std::collections::BTreeMap;
use std::time::Duration;

/// The answers that say that this trunk cannot take the call, while another might.
const FAILOVER_ON_DEFAULT: [u16; 6] = [408, 480, 500, 502, 503, 504];

/// On UDP an INVITE has gone out four times by then (RFC 3261 §17.1.1.2).
const RESPONSE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(4);

pub(super) fn build(
    document: &Table,
    endpoints: &[Endpoint],
    checker: &mut Checker<'_>,
) -> BTreeMap<String, TrunkGroup> {
    let sections = named(
        document,
        "trunk_group",
        catalogue::TRUNK_GROUP,
        Tell::EachKey,
        checker,
    );
    let groups = sections.into_iter().map(|(name, fields)| {
        if checker.names.contains("endpoint", &name) {
            let message = format!(
                "[endpoint.{name}] has the same name, so Dial(PJSIP/…@{name}) is ambiguous; expected another name"
            );
            checker.report.error(fields.location, &fields.path, message);
        }
        let group = TrunkGroup {
            members: members(&fields, endpoints, checker),
            failover_on: failover_on(&fields, checker),
            response_timeout: fields.seconds("response_timeout", RESPONSE_TIMEOUT_DEFAULT),
        };
        (name, group)
    });
    groups.collect()
}

fn members(fields: &Fields, endpoints: &[Endpoint], checker: &mut Checker<'_>) -> Vec<TrunkMember> {
    let path = fields.path_of("members");
    let Some(tables) = fields.tables("members") else {
        return Vec::new();
    };
    if tables.is_empty() {
        let message = "it is empty; expected at least one { endpoint = \"NAME\" }";
        let location = fields.location_of("members");
        checker.report.error(location, &path, message);
    }
    let mut members: Vec<TrunkMember> = Vec::with_capacity(tables.len());
    for table in tables {
        let name = table.text("endpoint").map_or("", String::as_str);
        let Some(endpoint) = id_of(endpoints, name) else {
            continue;
        };
        if members.iter().any(|member| member.endpoint == endpoint) {
            let message = format!("{name:?} stands twice; name each member once");
            let location = table.location_of("endpoint");
            checker.report.error(location, &path, message);
        }
        members.push(TrunkMember {
            endpoint,
            priority: table.integer("priority").unwrap_or(1),
            weight: table.integer("weight").unwrap_or(1),
        });
    }
    members
}

fn failover_on(fields: &Fields, checker: &mut Checker<'_>) -> Vec<u16> {
    let Some(codes) = fields.integers("failover_on") else {
        return FAILOVER_ON_DEFAULT.to_vec();
    };
    for (_, location) in codes.iter().filter(|(code, _)| *code == 486) {
        let message = "486 says that the callee is busy, and another trunk would only ring it again; expected codes \
                       that are the trunk's own, 408, 480, 500 to 504";
        checker
            .report
            .error(*location, fields.path_of("failover_on"), message);
    }
    let codes = codes.iter().map(|(code, _)| u16::try_from(*code));
    codes.filter_map(Result::ok).collect()
}
