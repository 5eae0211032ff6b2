//! A section's keys, checked against the catalogue.

use super::accept::Typed;
use super::catalogue::{Effect, INSTEAD, Row};
use super::diagnostic::Location;
use super::raw::{Entry, Kind, Table, Value, join};
use super::report::Report;
use super::settings::CallerId;
use super::suggest::did_you_mean;
use crate::codec::Codec;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The names of all sections, by kind: what a reference may name.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, BTreeSet<String>>);

impl Names {
    pub(super) fn new(document: &Table) -> Names {
        let tables = document
            .entries
            .iter()
            .filter_map(|entry| match &entry.value.kind {
                Kind::Table(table) => Some((entry.key.clone(), table)),
                _ => None,
            });
        let named = tables.map(|(kind, table)| {
            let names = table.entries.iter().map(|entry| entry.key.clone());
            (kind, names.collect())
        });
        Names(named.collect())
    }

    pub(super) fn contains(&self, kind: &str, name: &str) -> bool {
        self.0.get(kind).is_some_and(|names| names.contains(name))
    }

    pub(super) fn of(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.0.get(kind).into_iter().flatten().map(String::as_str)
    }

    /// For a message: the first few.
    pub(super) fn listed(&self, kind: &str) -> String {
        const SHOWN_MAX: usize = 8;
        let mut shown: Vec<&str> = self.of(kind).take(SHOWN_MAX + 1).collect();
        if shown.is_empty() {
            return format!("no [{kind}.*] is there");
        }
        if shown.len() > SHOWN_MAX {
            shown.truncate(SHOWN_MAX);
            shown.push("…");
        }
        format!("there are: {}", shown.join(", "))
    }
}

/// What every check needs at hand.
pub(super) struct Checker<'a> {
    pub(super) report: &'a mut Report,
    pub(super) names: &'a Names,
}

/// The keys of a section that were right.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    rows: &'static [Row],
    /// Where the section stands.
    pub(super) location: Location,
    /// `endpoint.6001`
    pub(super) path: String,
    /// All keys that are known, right or not.
    written: Vec<&'static str>,
    fields: Vec<Field>,
}

/// A key and its value. After templates are applied it still knows where it was written.
#[derive(Clone, Debug)]
struct Field {
    key: &'static str,
    location: Location,
    typed: Typed,
}

/// Whether the keys that have no effect yet are told one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tell {
    EachKey,
    /// The whole section has been told.
    Nothing,
}

impl Checker<'_> {
    /// Checks every key of a section. `kind` is what the rows are of: `endpoint`.
    pub(super) fn section(
        &mut self,
        table: &Table,
        rows: &'static [Row],
        kind: &str,
        (location, path): (Location, &str),
        tell: Tell,
    ) -> Fields {
        let (mut fields, mut written) = (Vec::new(), Vec::new());
        for entry in &table.entries {
            let Some(row) = rows.iter().find(|row| row.key == entry.key) else {
                self.unknown_key(entry, rows, kind, path);
                continue;
            };
            written.push(row.key);
            let key_path = join(path, row.key);
            let Some(typed) = self.accept(&entry.value, row.accepts, &key_path) else {
                continue;
            };
            self.judge_effect(row, &typed, kind, entry, &key_path, tell);
            fields.push(Field {
                key: row.key,
                location: entry.value.location,
                typed,
            });
        }
        for row in rows.iter().filter(|row| row.required) {
            if table.get(row.key).is_none() {
                let message = format!("{} is missing, it must be set", row.key);
                self.report.error(location, path, message);
            }
        }
        Fields {
            rows,
            location,
            path: path.to_owned(),
            written,
            fields,
        }
    }

    fn judge_effect(
        &mut self,
        row: &Row,
        typed: &Typed,
        kind: &str,
        entry: &Entry,
        path: &str,
        tell: Tell,
    ) {
        match row.effect {
            Effect::Acts => {}
            Effect::Later => {
                if tell == Tell::EachKey {
                    self.report
                        .no_effect(&join(kind, row.key), entry.location, path);
                }
            }
            Effect::RefusedUnless(value) if typed.is(value) => {}
            Effect::RefusedUnless(value) => {
                let message = format!(
                    "not available in this version, and ignoring it would be unsafe; expected {value}, or leave it out"
                );
                self.report.error(entry.value.location, path, message);
            }
        }
    }

    fn unknown_key(&mut self, entry: &Entry, rows: &[Row], kind: &str, path: &str) {
        let keys = rows.iter().map(|row| row.key);
        let instead = INSTEAD
            .iter()
            .find(|(section, key, _)| *section == kind && *key == entry.key);
        let hint = match instead {
            Some((_, _, advice)) => format!("{advice}; "),
            None => did_you_mean(&entry.key, keys.clone()),
        };
        let accepted: Vec<&str> = keys.collect();
        let message = format!("unknown key; {hint}accepted: {}", accepted.join(", "));
        self.report
            .error(entry.location, join(path, &entry.key), message);
    }

    /// A table that stands as a value.
    pub(super) fn inline(
        &mut self,
        value: &Value,
        rows: &'static [Row],
        expected: &str,
        path: &str,
    ) -> Option<Typed> {
        let Kind::Table(table) = &value.kind else {
            let found = value.kind.name();
            let message = format!("found {found}, expected {expected}");
            self.report.error(value.location, path, message);
            return None;
        };
        // `endpoint.6001.aor.max_contacts` is told as one with `aor.mobile.max_contacts`.
        let kind = path.rsplit('.').next().unwrap_or(path);
        let kind = if kind == "outbound_auth" {
            "auth"
        } else {
            kind
        };
        let place = (value.location, path);
        Some(Typed::Table(self.section(
            table,
            rows,
            kind,
            place,
            Tell::EachKey,
        )))
    }
}

impl Typed {
    /// True if the value is the one that the catalogue writes like this.
    fn is(&self, written: &str) -> bool {
        match self {
            Typed::Text(text) => text == written,
            Typed::Boolean(boolean) => boolean.to_string() == written,
            Typed::Integer(integer) => integer.to_string() == written,
            Typed::Seconds(seconds) => seconds.as_secs_f64().to_string() == written,
            _ => false,
        }
    }
}

/// An accessor for one variant of [`Typed`].
macro_rules! typed {
    ($name:ident, $variant:ident, $type:ty) => {
        pub(super) fn $name(&self, key: &str) -> Option<$type> {
            match self.get(key)? {
                Typed::$variant(value) => Some(value),
                _ => None,
            }
        }
    };
}

impl Fields {
    typed!(text, Text, &String);
    typed!(texts, Texts, &Vec<(String, Location)>);
    typed!(integers, Integers, &Vec<(i64, Location)>);
    typed!(codecs, Codecs, &Vec<Codec>);
    typed!(table, Table, &Fields);
    typed!(tables, Tables, &Vec<Fields>);
    typed!(caller_id, CallerId, &CallerId);

    pub(super) fn get(&self, key: &str) -> Option<&Typed> {
        self.field(key).map(|field| &field.typed)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.field(key).is_some()
    }

    /// True if the key stands there, whether its value was right or not.
    pub(super) fn was_written(&self, key: &str) -> bool {
        self.written.contains(&key)
    }

    /// Where the value stands, or the section if it is left out.
    pub(super) fn location_of(&self, key: &str) -> Location {
        self.field(key)
            .map_or(self.location, |field| field.location)
    }

    fn field(&self, key: &str) -> Option<&Field> {
        debug_assert!(
            self.rows.iter().any(|row| row.key == key),
            "{key} is in the catalogue"
        );
        self.fields.iter().find(|field| field.key == key)
    }

    pub(super) fn boolean(&self, key: &str, default: bool) -> bool {
        match self.get(key) {
            Some(Typed::Boolean(value)) => *value,
            _ => default,
        }
    }

    pub(super) fn seconds(&self, key: &str, default: Duration) -> Duration {
        match self.get(key) {
            Some(Typed::Seconds(value)) => *value,
            _ => default,
        }
    }

    /// An integer that the catalogue's range keeps within `T`.
    pub(super) fn integer<T: TryFrom<i64>>(&self, key: &str) -> Option<T> {
        match self.get(key) {
            Some(Typed::Integer(value)) => T::try_from(*value).ok(),
            _ => None,
        }
    }

    /// `section.key`
    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Takes from `other` every key that is not set here.
    pub(super) fn fill_from(&mut self, other: &Fields) {
        for field in &other.fields {
            if !self.has(field.key) {
                self.fields.push(field.clone());
            }
        }
    }
}

/// The catalogue must not name a key twice, or refer to a kind of section that is none.
#[cfg(test)]
mod tests {
    use super::super::catalogue::{self as c, Accepts};
    use super::*;

    #[test]
    fn the_catalogue_is_sound() {
        let all = [
            c::GLOBAL,
            c::RTP,
            c::ADMIN,
            c::SOUNDS,
            c::MUSIC_ON_HOLD,
            c::RECORDING,
            c::TRANSPORT,
            c::ACL,
            c::AUTH,
            c::AOR,
            c::ENDPOINT,
            c::IDENTIFY,
            c::REGISTRATION,
            c::TRUNK_GROUP,
            c::TRUNK_MEMBER,
            c::QUEUE_GENERAL,
            c::QUEUE,
            c::VOICEMAIL,
            c::VOICEMAIL_BOX,
        ];
        for rows in all {
            let keys: BTreeSet<&str> = rows.iter().map(|row| row.key).collect();
            assert_eq!(keys.len(), rows.len(), "{keys:?}");
            for row in rows {
                if let Accepts::Reference(kind)
                | Accepts::References(kind)
                | Accepts::OneOrMore(kind)
                | Accepts::ReferenceOr(kind, _) = row.accepts
                {
                    assert!(c::SECTIONS.contains(&kind), "{kind}");
                }
            }
        }
    }
}
