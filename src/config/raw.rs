//! The file as written: TOML values, each with its place, in the order of the file.
//!
//! `toml`'s spanned tree is kept rather than types derived by `serde`, because a derived type stops at the first
//! error, and `check` reports them all.

use super::diagnostic::{Diagnostic, Location};
use super::expand::{Lookup, expand};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table and its entries, in the order of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

impl Table {
    /// The entry of that key.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// `key = value`, or a `[section]`.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands; for a section, in its first header.
    pub(super) location: Location,
    pub(super) value: Value,
}

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) location: Location,
    pub(super) kind: Kind,
}

/// What TOML knows.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Text(Text),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime,
    Array(Vec<Value>),
    Table(Table),
}

impl Kind {
    /// The name of the type, for messages.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Kind::Text(_) => "a string",
            Kind::Integer(_) => "an integer",
            Kind::Float(_) => "a decimal number",
            Kind::Boolean(_) => "a boolean",
            Kind::Datetime => "a date or time",
            Kind::Array(_) => "an array",
            Kind::Table(_) => "a table",
        }
    }
}

/// A string with `${env:…}` and `${file:…}` replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// What it means.
    pub(super) value: String,
    /// As it stands in the file, which is what a message may show: what came from outside may be a secret.
    pub(super) written: String,
}

/// Reads TOML. With a syntax error the tree is incomplete and must not be judged further.
///
/// # Errors
/// Every syntax error, or every `${env:…}` and `${file:…}` that gives nothing.
pub(super) fn read(text: &str, lookup: &dyn Lookup) -> Result<Table, Vec<Diagnostic>> {
    let lines = Lines::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let told = errors.iter().map(|error| {
            let start = error.span().map_or(0, |span| span.start);
            Diagnostic::error(lines.locate(start), "toml", error.message().trim())
        });
        let mut told: Vec<Diagnostic> = told.collect();
        told.sort_by_key(|diagnostic| diagnostic.location);
        return Err(told);
    }
    let mut reader = Reader {
        lines,
        lookup,
        diagnostics: Vec::new(),
    };
    let table = reader.table(document.get_ref(), "");
    if reader.diagnostics.is_empty() {
        Ok(table)
    } else {
        Err(reader.diagnostics)
    }
}

struct Reader<'a> {
    lines: Lines<'a>,
    lookup: &'a dyn Lookup,
    diagnostics: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, path: &str) -> Table {
        let mut entries: Vec<(Range<usize>, Entry)> = Vec::with_capacity(table.len());
        for (key, value) in table {
            let path = join(path, key.get_ref());
            let entry = Entry {
                key: key.get_ref().to_string(),
                location: self.lines.locate(key.span().start),
                value: self.value(value, &path),
            };
            entries.push((key.span(), entry));
        }
        // `toml` sorts by name; the file's order matters to a dialplan.
        entries.sort_by_key(|(span, _)| span.start);
        Table {
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
        }
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Value {
        let location = self.lines.locate(value.span().start);
        let kind = match value.get_ref() {
            DeValue::String(text) => match expand(text, self.lookup) {
                Ok(expanded) => Kind::Text(Text {
                    value: expanded,
                    written: text.to_string(),
                }),
                Err(message) => {
                    self.diagnostics
                        .push(Diagnostic::error(location, path, message));
                    Kind::Text(Text {
                        value: String::new(),
                        written: text.to_string(),
                    })
                }
            },
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(integer) => Kind::Integer(integer),
                    Err(_) => {
                        let message = "the integer does not fit in 64 bits";
                        self.diagnostics
                            .push(Diagnostic::error(location, path, message));
                        Kind::Integer(0)
                    }
                }
            }
            DeValue::Float(float) => Kind::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(boolean) => Kind::Boolean(*boolean),
            DeValue::Datetime(_) => Kind::Datetime,
            DeValue::Array(array) => {
                Kind::Array(array.iter().map(|item| self.value(item, path)).collect())
            }
            DeValue::Table(table) => Kind::Table(self.table(table, path)),
        };
        Value { location, kind }
    }
}

/// `section.key`, the key in quotes where TOML needs them.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    let dot = if path.is_empty() { "" } else { "." };
    if bare {
        format!("{path}{dot}{key}")
    } else {
        format!("{path}{dot}{key:?}")
    }
}

/// Byte offset → line and column.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(newlines.map(|(offset, _)| offset + 1));
        Lines {
            text,
            starts: starts.collect(),
        }
    }

    fn locate(&self, offset: usize) -> Location {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied();
        let before = self.text.get(start.unwrap_or(0)..offset).unwrap_or("");
        Location {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::expand::NoLookup;

    #[test]
    fn the_order_and_the_places_of_the_file_are_kept() {
        let text = "[zeta]\nb = 1\nä = [\"x\",\n  \"y\"]\n[alpha.\"b c\"]\na = 0x10\n";
        let Err(diagnostics) = read(text, &NoLookup) else {
            panic!("a bare ä is no TOML key");
        };
        assert_eq!(diagnostics[0].location, Location { line: 3, column: 1 });

        let text = text.replace('ä', "\"ä\"");
        let table = read(&text, &NoLookup).expect("valid TOML");
        let names: Vec<&str> = table.entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(names, ["zeta", "alpha"]);
        let Kind::Table(zeta) = &table.entries[0].value.kind else {
            panic!("zeta is a table");
        };
        assert_eq!(zeta.entries[1].location, Location { line: 3, column: 1 });
        let Kind::Array(items) = &zeta.entries[1].value.kind else {
            panic!("an array");
        };
        assert_eq!(items[0].location, Location { line: 3, column: 8 });
        assert_eq!(items[1].location, Location { line: 4, column: 3 });
        let Kind::Table(alpha) = &table.entries[1].value.kind else {
            panic!("alpha is a table");
        };
        assert_eq!(alpha.entries[0].location, Location { line: 5, column: 8 });
    }

    #[test]
    fn every_syntax_error_is_told() {
        let errors = read("a = \nb = 1\nb = 2\n[c\n", &NoLookup).expect_err("no TOML");
        let lines: Vec<u32> = errors.iter().map(|e| e.location.line).collect();
        assert_eq!(lines, [1, 3, 4]);
    }

    #[test]
    fn a_key_that_needs_quotes_gets_them_in_a_path() {
        assert_eq!(join("", "rtp"), "rtp");
        assert_eq!(join("context.a", "_X."), "context.a.\"_X.\"");
    }
}
