//! `[aor.*]`, and `aor` in place of one.

use super::super::accept::Typed;
use super::super::fields::{Checker, Fields};
use super::super::settings::Aor;
use std::time::Duration;

/// Defaults of pjsip.conf, in seconds.
const MINIMUM_EXPIRATION: Duration = Duration::from_secs(60);
const MAXIMUM_EXPIRATION: Duration = Duration::from_secs(7200);
const DEFAULT_EXPIRATION: Duration = Duration::from_secs(3600);
const QUALIFY_TIMEOUT: Duration = Duration::from_secs(3);

/// All of them, in the order of their names.
pub(super) fn build(
    named: &[(String, Fields)],
    endpoints: &[(String, Fields)],
    checker: &mut Checker<'_>,
) -> Vec<Aor> {
    let mut aors: Vec<Aor> = named
        .iter()
        .map(|(name, fields)| aor(name, fields, checker))
        .collect();
    for (name, fields) in endpoints {
        if let Some(own) = fields.table("aor") {
            if named.iter().any(|(other, _)| other == name) {
                let message = format!(
                    "there is an [aor.{name}] too, and a phone that registers as {name} can mean one only"
                );
                let (location, path) = (fields.location_of("aor"), fields.path_of("aor"));
                checker.report.error(location, path, message);
            }
            aors.push(aor(name, own, checker));
        }
        warn_of_open_registration(named, fields, checker);
    }
    aors.sort_by(|a, b| a.name.cmp(&b.name));
    aors
}

/// Those that an endpoint names, in order, then its own.
pub(super) fn of_endpoint<'a>(name: &str, fields: &Fields, aors: &'a [Aor]) -> Vec<&'a Aor> {
    let named = fields.texts("aors").into_iter().flatten();
    let own = fields.table("aor").map(|_| name);
    // A name that is not there has been reported as a dangling reference.
    named
        .map(|(name, _)| name.as_str())
        .chain(own)
        .filter_map(|name| find(aors, name))
        .collect()
}

fn find<'a>(aors: &'a [Aor], name: &str) -> Option<&'a Aor> {
    let place = aors.binary_search_by(|aor| aor.name.as_str().cmp(name));
    place.ok().map(|place| &aors[place])
}

fn aor(name: &str, fields: &Fields, checker: &mut Checker<'_>) -> Aor {
    let contacts = match fields.get("contact") {
        Some(Typed::Uris(uris)) => uris.iter().map(|(uri, _)| uri.clone()).collect(),
        _ => Vec::new(),
    };
    let seconds = |key, default| {
        let seconds = fields.seconds(key, default).as_secs_f64().ceil();
        // Saturates.
        seconds as u32
    };
    let aor = Aor {
        name: name.to_owned(),
        contacts,
        max_contacts: fields.integer("max_contacts").unwrap_or(0),
        remove_existing: fields.boolean("remove_existing", false),
        minimum_expiration: seconds("minimum_expiration", MINIMUM_EXPIRATION),
        maximum_expiration: seconds("maximum_expiration", MAXIMUM_EXPIRATION),
        default_expiration: seconds("default_expiration", DEFAULT_EXPIRATION),
        qualify_frequency: fields.seconds("qualify_frequency", Duration::ZERO),
        qualify_timeout: fields.seconds("qualify_timeout", QUALIFY_TIMEOUT),
    };
    if aor.minimum_expiration > aor.maximum_expiration || aor.maximum_expiration == 0 {
        let message = format!(
            "no registration could last between {} and {} seconds; expected minimum_expiration up to maximum_expiration",
            aor.minimum_expiration, aor.maximum_expiration
        );
        let location = fields.location_of("maximum_expiration");
        checker
            .report
            .error(location, fields.path_of("maximum_expiration"), message);
    }
    aor
}

/// chan_sip's `host=dynamic` without a secret: an endpoint without `auth` is known by its address at best.
fn warn_of_open_registration(
    named: &[(String, Fields)],
    endpoint: &Fields,
    checker: &mut Checker<'_>,
) {
    if endpoint.has("auth") {
        return;
    }
    let names = endpoint.texts("aors").into_iter().flatten();
    let aors = names.filter_map(|(name, _)| named.iter().find(|(other, _)| other == name));
    for aor in aors.map(|(_, fields)| fields).chain(endpoint.table("aor")) {
        if aor.integer::<u32>("max_contacts").unwrap_or(0) > 0 {
            let message = format!(
                "max_contacts lets a phone register as {}, which has no auth: only what an [identify.*] of it matches \
                 can; expected auth = {{ … }}, or max_contacts = 0 beside a static contact",
                endpoint.path
            );
            let location = aor.location_of("max_contacts");
            checker.report.warning(location, &endpoint.path, message);
        }
    }
}
