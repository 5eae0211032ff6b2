//! `[endpoint.*]` with its `[template.*]`, `[auth.*]` and `[aor.*]` resolved.

use super::super::accept::Typed;
use super::super::catalogue;
use super::super::fields::{Checker, Fields, Tell};
use super::super::raw::Table;
use super::super::settings::{
    Aor, Auth, CalledParty, DtmfMode, Endpoint, EndpointId, Identity, MUSIC_CLASS_DEFAULT,
    MediaEncryption, PickupGroups, Presentation, RedirectMethod, Rel100, Secret, Sounds, Timers,
    Transport,
};
use super::dialplan::CONTEXT_DEFAULT;
use super::{aors, named};
use crate::codec::Codec;
use crate::sip::flow::TransportId;
use crate::sip::session_timer::MIN_SE;
use std::collections::BTreeMap;

/// The endpoint of that name. [`build`] has them in the order of their names.
pub(super) fn id_of(endpoints: &[Endpoint], name: &str) -> Option<EndpointId> {
    let place = endpoints
        .binary_search_by(|e| e.name.as_str().cmp(name))
        .ok()?;
    u32::try_from(place).ok().map(EndpointId)
}

/// `timers_sess_expires` where it is not set, as in pjsip.conf, in seconds.
const SESSION_EXPIRES: u32 = 1800;

/// What an endpoint may refer to.
struct Parts<'a> {
    transports: &'a [Transport],
    auths: &'a BTreeMap<String, Fields>,
    aors: &'a [Aor],
    sounds: &'a Sounds,
}

/// `[auth.*]` by name.
pub(super) fn auths(document: &Table, checker: &mut Checker<'_>) -> BTreeMap<String, Fields> {
    let sections = named(document, "auth", catalogue::AUTH, Tell::EachKey, checker);
    sections.into_iter().collect()
}

/// In the order of their names.
pub(super) fn build(
    document: &Table,
    transports: &[Transport],
    auths: &BTreeMap<String, Fields>,
    sounds: &Sounds,
    checker: &mut Checker<'_>,
) -> (Vec<Aor>, Vec<Endpoint>) {
    let mut read = |kind, rows| named(document, kind, rows, Tell::EachKey, checker);
    let named_aors = read("aor", catalogue::AOR);
    let templates: BTreeMap<String, Fields> =
        read("template", catalogue::ENDPOINT).into_iter().collect();
    let mut sections = read("endpoint", catalogue::ENDPOINT);
    sections.sort_by(|(a, _), (b, _)| a.cmp(b));

    let sections: Vec<(String, Fields)> = sections
        .into_iter()
        .map(|(name, fields)| {
            judge_name(&name, &fields, checker);
            let fields = apply_templates(&fields, &templates, &mut Vec::new(), checker);
            (name, fields)
        })
        .collect();
    let aors = aors::build(&named_aors, &sections, checker);
    let parts = Parts {
        transports,
        auths,
        aors: &aors,
        sounds,
    };
    let endpoints = sections
        .into_iter()
        .map(|(name, fields)| endpoint(name, &fields, &parts))
        .collect();
    (aors, endpoints)
}

/// A name that `Dial(PJSIP/…)` cannot hold could never be called.
fn judge_name(name: &str, fields: &Fields, checker: &mut Checker<'_>) {
    let bad = |c: char| "/@&,()<>\"'\\$".contains(c) || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.contains(bad) {
        let message = "this name cannot be dialled; expected one without / @ & , ( ) < > quotes, $ and spaces";
        checker.report.error(fields.location, &fields.path, message);
    }
}

/// Own keys, then those of the templates in `use`, the last one first, each with its own templates behind it.
fn apply_templates(
    fields: &Fields,
    templates: &BTreeMap<String, Fields>,
    inside: &mut Vec<String>,
    checker: &mut Checker<'_>,
) -> Fields {
    let mut merged = fields.clone();
    let Some(names) = fields.texts("use") else {
        return merged;
    };
    for (name, location) in names.iter().rev() {
        // A template that is not there has been reported as a dangling reference.
        let Some(template) = templates.get(name) else {
            continue;
        };
        if inside.contains(name) {
            let message = format!("template {name} uses itself: {}", inside.join(" uses "));
            checker
                .report
                .error(*location, fields.path_of("use"), message);
            continue;
        }
        inside.push(name.clone());
        merged.fill_from(&apply_templates(template, templates, inside, checker));
        inside.pop();
    }
    merged
}

fn endpoint(name: String, fields: &Fields, parts: &Parts<'_>) -> Endpoint {
    let text = |key: &str| fields.text(key).cloned();
    let transport = transport(fields, parts.transports);
    let acl = fields
        .texts("acl")
        .map(|names| names.iter().map(|(name, _)| name.clone()).collect());
    let aors = aors::of_endpoint(&name, fields, parts.aors);
    let timers_min_se = fields.integer("timers_min_se").unwrap_or(MIN_SE);
    Endpoint {
        location: fields.location,
        context: text("context").unwrap_or_else(|| CONTEXT_DEFAULT.to_owned()),
        transport,
        allow: fields
            .codecs("allow")
            .cloned()
            .unwrap_or_else(|| vec![Codec::Ulaw, Codec::Alaw]),
        auth: auth(fields, "auth", parts.auths),
        outbound_auth: auth(fields, "outbound_auth", parts.auths),
        contacts: aors.iter().flat_map(|aor| aor.contacts.clone()).collect(),
        aors: aors.iter().map(|aor| aor.name.clone()).collect(),
        acl: acl.unwrap_or_default(),
        callerid: fields.caller_id("callerid").cloned(),
        from_user: text("from_user"),
        from_domain: text("from_domain"),
        identity: identity(fields),
        rtp_symmetric: fields.boolean("rtp_symmetric", false),
        direct_media: fields.boolean("direct_media", false),
        force_rport: fields.boolean("force_rport", true),
        rewrite_contact: fields.boolean("rewrite_contact", false),
        rel100: match fields.text("100rel").map(String::as_str) {
            Some("no") => Rel100::No,
            Some("required") => Rel100::Required,
            Some("peer_supported") => Rel100::PeerSupported,
            _ => Rel100::Yes,
        },
        allow_transfer: fields.boolean("allow_transfer", true),
        call_group: groups(fields, "call_group", "named_call_group"),
        pickup_group: groups(fields, "pickup_group", "named_pickup_group"),
        redirect_method: match fields.text("redirect_method").map(String::as_str) {
            Some("uri_pjsip") => RedirectMethod::UriPjsip,
            _ => RedirectMethod::User,
        },
        timers: timers(fields),
        timers_min_se,
        timers_sess_expires: fields
            .integer("timers_sess_expires")
            .unwrap_or(SESSION_EXPIRES)
            .max(timers_min_se),
        dtmf_mode: dtmf_mode(fields),
        language: text("language").unwrap_or_else(|| parts.sounds.language.clone()),
        tone_zone: text("tone_zone").unwrap_or_else(|| parts.sounds.tone_zone.clone()),
        moh_suggest: text("moh_suggest").unwrap_or_else(|| MUSIC_CLASS_DEFAULT.to_owned()),
        comfort_noise: fields.boolean("comfort_noise", false),
        rtcp_mux: fields.boolean("rtcp_mux", false),
        use_ptime: fields.boolean("use_ptime", false),
        t38_udptl: fields.boolean("t38_udptl", false),
        media_encryption: media_encryption(fields),
        max_calls: fields.integer("max_calls"),
        cps: match fields.get("cps") {
            Some(Typed::Rate(rate)) => Some(*rate),
            _ => None,
        },
        name,
    }
}

fn timers(fields: &Fields) -> Timers {
    match fields.text("timers").map(String::as_str) {
        Some("no") => Timers::No,
        Some("required") => Timers::Required,
        Some("always" | "forced") => Timers::Always,
        _ => Timers::Yes,
    }
}

fn media_encryption(fields: &Fields) -> Option<MediaEncryption> {
    let is_sdes = fields
        .text("media_encryption")
        .is_some_and(|way| way == "sdes");
    is_sdes.then(|| MediaEncryption {
        optimistic: fields.boolean("media_encryption_optimistic", false),
        over_insecure_signalling: fields
            .boolean("media_encryption_over_insecure_signalling", false),
    })
}

fn groups(fields: &Fields, numbered: &str, named: &str) -> PickupGroups {
    let numbers = fields.integers(numbered).into_iter().flatten();
    let names = fields.texts(named).into_iter().flatten();
    PickupGroups {
        numbers: numbers.fold(0, |groups, (number, _)| groups | 1 << number),
        names: names.map(|(name, _)| name.clone()).collect(),
    }
}

fn identity(fields: &Fields) -> Identity {
    let privacy = fields.text("callerid_privacy");
    let called_party = fields.texts("called_party").map(|places| {
        let places = places.iter().map(|(name, _)| CalledParty::of_name(name));
        places.collect()
    });
    Identity {
        trust_id_inbound: fields.boolean("trust_id_inbound", false),
        trust_id_outbound: fields.boolean("trust_id_outbound", false),
        send_pai: fields.boolean("send_pai", false),
        send_rpid: fields.boolean("send_rpid", false),
        send_diversion: fields.boolean("send_diversion", true),
        send_history_info: fields.boolean("send_history_info", false),
        callerid_privacy: privacy
            .and_then(|name| Presentation::of_name(name))
            .unwrap_or_default(),
        contact_user: fields.text("contact_user").cloned(),
        called_party: called_party.unwrap_or_default(),
    }
}

fn dtmf_mode(fields: &Fields) -> DtmfMode {
    match fields.text("dtmf_mode").map(String::as_str) {
        Some("inband") => DtmfMode::Inband,
        Some("info") => DtmfMode::Info,
        Some("auto") => DtmfMode::Auto,
        Some("auto_info") => DtmfMode::AutoInfo,
        _ => DtmfMode::Rfc4733,
    }
}

/// The transport that a section names.
pub(super) fn transport(fields: &Fields, transports: &[Transport]) -> Option<TransportId> {
    let name = fields.text("transport")?;
    let place = transports.iter().position(|t| t.name == *name)?;
    u16::try_from(place).ok().map(TransportId)
}

/// The credentials that a key names, or has in place.
pub(super) fn auth(fields: &Fields, key: &str, auths: &BTreeMap<String, Fields>) -> Option<Auth> {
    let auth = match fields.text(key) {
        Some(name) => auths.get(name)?,
        None => fields.table(key)?,
    };
    Some(Auth {
        username: auth.text("username")?.clone(),
        password: Secret(auth.text("password")?.clone()),
        realm: auth.text("realm").cloned(),
    })
}
