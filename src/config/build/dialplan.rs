//! `[globals]` and `[context.*]`: carried with their places; `control::dialplan` compiles the text.

use super::super::accept::Typed;
use super::super::catalogue::Accepts;
use super::super::diagnostic::Location;
use super::super::fields::Checker;
use super::super::raw::{Entry, Kind, Table, Value, join};
use super::super::settings::{ContextSource, DialplanSource, Endpoint, ExtensionSource};
use super::super::suggest::did_you_mean;
use super::{section, sub_table};

const CONTEXT_KEYS: [&str; 3] = ["include", "hint", "exten"];

/// Where an endpoint without `context` enters, as in Asterisk.
pub(super) const CONTEXT_DEFAULT: &str = "default";

pub(super) fn build(
    document: &Table,
    endpoints: &[Endpoint],
    checker: &mut Checker<'_>,
) -> DialplanSource {
    let globals = section(document, "globals", checker).map_or_else(Vec::new, |(_, table)| {
        let globals = table.entries.iter().filter_map(|entry| {
            let path = join("globals", &entry.key);
            Some((entry.key.clone(), string(&entry.value, &path, checker)?.0))
        });
        globals.collect()
    });
    let mut contexts = section(document, "context", checker).map_or_else(Vec::new, |(_, table)| {
        let contexts = table.entries.iter().filter_map(|entry| {
            let table = sub_table(entry, "context", checker)?;
            Some(context(entry, table, checker))
        });
        contexts.collect()
    });
    let has_default =
        |contexts: &[ContextSource]| contexts.iter().any(|c| c.name == CONTEXT_DEFAULT);
    let needed = endpoints.iter().find(|e| e.context == CONTEXT_DEFAULT);
    if let Some(endpoint) = needed.filter(|_| !has_default(&contexts)) {
        contexts.push(ContextSource {
            name: CONTEXT_DEFAULT.to_owned(),
            location: endpoint.location,
            include: Vec::new(),
            hints: Vec::new(),
            extensions: Vec::new(),
        });
    }
    DialplanSource { globals, contexts }
}

fn context(entry: &Entry, table: &Table, checker: &mut Checker<'_>) -> ContextSource {
    let path = join("context", &entry.key);
    let mut context = ContextSource {
        name: entry.key.clone(),
        location: entry.location,
        include: Vec::new(),
        hints: Vec::new(),
        extensions: Vec::new(),
    };
    for entry in &table.entries {
        let path = join(&path, &entry.key);
        match entry.key.as_str() {
            "include" => context.include = includes(&entry.value, &path, checker),
            "hint" => context.hints = hints(entry, &path, checker),
            "exten" => context.extensions = extensions(&entry.value, &path, checker),
            _ => unknown_key(entry, &path, &context.name, checker),
        }
    }
    if context.extensions.is_empty() && context.include.is_empty() {
        let message = "has no extension, so every call that enters it is refused";
        checker.report.warning(context.location, path, message);
    }
    context
}

fn unknown_key(entry: &Entry, path: &str, context: &str, checker: &mut Checker<'_>) {
    let hint = match entry.value.kind {
        Kind::Array(_) => format!(
            "extensions stand under [{}.exten]; ",
            join("context", context)
        ),
        _ => did_you_mean(&entry.key, CONTEXT_KEYS),
    };
    let message = format!("unknown key; {hint}accepted: {}", CONTEXT_KEYS.join(", "));
    checker.report.error(entry.location, path, message);
}

fn includes(value: &Value, path: &str, checker: &mut Checker<'_>) -> Vec<(String, Location)> {
    match checker.accept(value, Accepts::References("context"), path) {
        Some(Typed::Texts(names)) => names,
        _ => Vec::new(),
    }
}

fn hints(entry: &Entry, path: &str, checker: &mut Checker<'_>) -> Vec<(String, String, Location)> {
    let Some(table) = table(
        &entry.value,
        "a table: { \"_6XXX\" = \"PJSIP/${EXTEN}\" }",
        path,
        checker,
    ) else {
        return Vec::new();
    };
    checker
        .report
        .no_effect("context.hint", entry.location, path);
    let hints = table.entries.iter().filter_map(|entry| {
        let (device, location) = string(&entry.value, &join(path, &entry.key), checker)?;
        Some((entry.key.clone(), device, location))
    });
    hints.collect()
}

fn extensions(value: &Value, path: &str, checker: &mut Checker<'_>) -> Vec<ExtensionSource> {
    const EXPECTED: &str = "a table: \"600\" = [\"Answer()\", \"Echo()\"]";
    let Some(table) = table(value, EXPECTED, path, checker) else {
        return Vec::new();
    };
    let extensions = table.entries.iter().map(|entry| {
        let path = join(path, &entry.key);
        let steps = strings(&entry.value, &path, checker);
        if matches!(&entry.value.kind, Kind::Array(items) if items.is_empty()) {
            let message = "has no steps; expected at least one: [\"Hangup()\"]";
            checker.report.error(entry.value.location, &path, message);
        }
        if entry.key.is_empty() {
            let message =
                "an extension must not be empty; expected a number, a name or a pattern (_X.)";
            checker.report.error(entry.location, &path, message);
        }
        ExtensionSource {
            pattern: entry.key.clone(),
            location: entry.location,
            steps,
        }
    });
    extensions.collect()
}

fn table<'v>(
    value: &'v Value,
    expected: &str,
    path: &str,
    checker: &mut Checker<'_>,
) -> Option<&'v Table> {
    if let Kind::Table(table) = &value.kind {
        return Some(table);
    }
    let message = format!("found {}, expected {expected}", value.kind.name());
    checker.report.error(value.location, path, message);
    None
}

fn strings(value: &Value, path: &str, checker: &mut Checker<'_>) -> Vec<(String, Location)> {
    let Kind::Array(items) = &value.kind else {
        let found = value.kind.name();
        let message = format!("found {found}, expected an array of strings: [\"a\", \"b\"]");
        checker.report.error(value.location, path, message);
        return Vec::new();
    };
    let strings = items.iter().filter_map(|item| string(item, path, checker));
    strings.collect()
}

fn string(value: &Value, path: &str, checker: &mut Checker<'_>) -> Option<(String, Location)> {
    match &value.kind {
        Kind::Text(text) => Some((text.value.clone(), value.location)),
        other => {
            let found = other.name();
            let message = format!("found {found}, expected a string: write it in quotes");
            checker.report.error(value.location, path, message);
            None
        }
    }
}
