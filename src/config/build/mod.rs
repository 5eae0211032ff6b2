//! Raw sections → [`Settings`]. Whatever is wrong goes into the report, and building goes on with a default, so
//! that one reading finds all errors; with an error in the report the settings are thrown away.

mod aors;
mod dialplan;
mod endpoints;
mod general;
mod guards;
mod identifies;
mod registrations;
mod sounds;
mod transports;
mod trunks;

use super::catalogue::{self, Row, SECTIONS};
use super::diagnostic::Location;
use super::fields::{Checker, Fields, Names, Tell};
use super::raw::{Entry, Kind, Table, join};
use super::report::Report;
use super::settings::Settings;
use super::suggest::did_you_mean;
use std::sync::Arc;

/// Checks the whole file.
pub(super) fn build(document: &Table, report: &mut Report) -> Settings {
    let names = Names::new(document);
    let mut checker = Checker {
        report,
        names: &names,
    };
    unknown_sections(document, &mut checker);
    unused_so_far(document, &mut checker);

    let (global, rtp, admin) = general::build(document, &mut checker);
    let bans = guards::bans(document, &mut checker);
    let sounds = sounds::build(document, &mut checker);
    let recording = sounds::recording(document, &mut checker);
    let transports = transports::build(document, &mut checker);
    let acls = guards::acls(document, &mut checker);
    let auths = endpoints::auths(document, &mut checker);
    let (aors, endpoints) = endpoints::build(document, &transports, &auths, &sounds, &mut checker);
    let identifies = identifies::build(document, &transports, &endpoints, &mut checker);
    let registrations = registrations::build(document, &transports, &auths, &mut checker);
    let trunk_groups = trunks::build(document, &endpoints, &mut checker);
    let dialplan = dialplan::build(document, &endpoints, &mut checker);
    Settings {
        global,
        rtp,
        admin,
        bans,
        sounds: Arc::new(sounds),
        recording,
        transports,
        acls,
        aors,
        endpoints,
        identifies,
        dialplan,
        registrations,
        trunk_groups,
    }
}

fn unknown_sections(document: &Table, checker: &mut Checker<'_>) {
    for entry in &document.entries {
        if !SECTIONS.contains(&entry.key.as_str()) {
            let hint = did_you_mean(&entry.key, SECTIONS.iter().copied());
            let what = match entry.value.kind {
                Kind::Table(_) => "section",
                _ => "key outside a section",
            };
            let message = format!(
                "unknown {what}; {hint}accepted sections: {}",
                SECTIONS.join(", ")
            );
            let path = join("", &entry.key);
            checker.report.error(entry.location, path, message);
        }
    }
}

/// The table of `[kind]`, empty if it is not there. Anything but a table is reported.
fn section<'d>(
    document: &'d Table,
    kind: &str,
    checker: &mut Checker<'_>,
) -> Option<(Location, &'d Table)> {
    let entry = document.get(kind)?;
    match &entry.value.kind {
        Kind::Table(table) => Some((entry.location, table)),
        other => {
            let found = other.name();
            let message = format!("found {found}, expected a section: [{kind}] or [{kind}.NAME]");
            checker.report.error(entry.value.location, kind, message);
            None
        }
    }
}

/// `[kind]`, checked; without keys if it is not there.
fn only(document: &Table, kind: &str, rows: &'static [Row], checker: &mut Checker<'_>) -> Fields {
    let empty = Table::default();
    let (location, table) =
        section(document, kind, checker).unwrap_or((Location { line: 1, column: 1 }, &empty));
    checker.section(table, rows, kind, (location, kind), Tell::EachKey)
}

/// Every `[kind.NAME]` in the order of the file, checked.
fn named(
    document: &Table,
    kind: &str,
    rows: &'static [Row],
    tell: Tell,
    checker: &mut Checker<'_>,
) -> Vec<(String, Fields)> {
    let Some((_, table)) = section(document, kind, checker) else {
        return Vec::new();
    };
    let checked = table.entries.iter().filter_map(|entry| {
        let table = sub_table(entry, kind, checker)?;
        let path = join(kind, &entry.key);
        let fields = checker.section(table, rows, kind, (entry.location, &path), tell);
        Some((entry.key.clone(), fields))
    });
    checked.collect()
}

/// The table of `[kind.NAME]`. Anything but a table is reported.
fn sub_table<'d>(entry: &'d Entry, kind: &str, checker: &mut Checker<'_>) -> Option<&'d Table> {
    match &entry.value.kind {
        Kind::Table(table) => Some(table),
        _ => {
            let message = format!("unknown key; sections of this kind have a name: [{kind}.NAME]");
            let path = join(kind, &entry.key);
            checker.report.error(entry.location, path, message);
            None
        }
    }
}

/// Sections of which nothing is used in this version: checked all the same, told once a kind.
fn unused_so_far(document: &Table, checker: &mut Checker<'_>) {
    if let Some((location, queue)) = section(document, "queue", checker) {
        checker.report.no_effect("queue", location, "queue");
        let (sections, general) = split(queue);
        let place = (location, "queue");
        checker.section(
            &general,
            catalogue::QUEUE_GENERAL,
            "queue",
            place,
            Tell::Nothing,
        );
        every(&sections, "queue", catalogue::QUEUE, checker);
    }
    if let Some((location, voicemail)) = section(document, "voicemail", checker) {
        checker.report.no_effect("voicemail", location, "voicemail");
        let (sections, mut general) = split(voicemail);
        for entry in sections.entries {
            match (entry.key.as_str(), &entry.value.kind) {
                ("box", Kind::Table(boxes)) => {
                    every(boxes, "voicemail.box", catalogue::VOICEMAIL_BOX, checker)
                }
                ("zonemessages", Kind::Table(_)) => {}
                _ => general.entries.push(entry),
            }
        }
        let place = (location, "voicemail");
        checker.section(
            &general,
            catalogue::VOICEMAIL,
            "voicemail",
            place,
            Tell::Nothing,
        );
    }
}

/// Tables apart from plain keys.
fn split(table: &Table) -> (Table, Table) {
    let is_table = |entry: &&Entry| matches!(entry.value.kind, Kind::Table(_));
    let (tables, plain) = table.entries.iter().partition::<Vec<_>, _>(is_table);
    let owned = |entries: Vec<&Entry>| Table {
        entries: entries.into_iter().cloned().collect(),
    };
    (owned(tables), owned(plain))
}

fn every(sections: &Table, kind: &str, rows: &'static [Row], checker: &mut Checker<'_>) {
    for entry in &sections.entries {
        if let Some(table) = sub_table(entry, kind, checker) {
            let path = join(kind, &entry.key);
            checker.section(table, rows, kind, (entry.location, &path), Tell::Nothing);
        }
    }
}
