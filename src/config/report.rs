//! Gathers what is found while a configuration is checked.

use super::diagnostic::{Diagnostic, Location, Severity};
use std::collections::BTreeMap;

/// Every finding so far. What this version does not act on is told once a key, not once for each of a hundred
/// phones.
#[derive(Debug, Default)]
pub(super) struct Report {
    diagnostics: Vec<Diagnostic>,
    no_effect: BTreeMap<String, NoEffect>,
}

#[derive(Debug)]
struct NoEffect {
    first: Location,
    path: String,
    others: usize,
}

impl Report {
    pub(super) fn error(
        &mut self,
        location: Location,
        key: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.diagnostics
            .push(Diagnostic::error(location, key, message));
    }

    pub(super) fn warning(
        &mut self,
        location: Location,
        key: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.diagnostics
            .push(Diagnostic::warning(location, key, message));
    }

    /// `what` (a kind of section, or one of its keys) stands at `path` and does nothing yet.
    pub(super) fn no_effect(&mut self, what: &str, location: Location, path: &str) {
        self.no_effect
            .entry(what.to_owned())
            .and_modify(|seen| seen.others += 1)
            .or_insert_with(|| NoEffect {
                first: location,
                path: path.to_owned(),
                others: 0,
            });
    }

    pub(super) fn has_error(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// All of it in the order of the file, nothing twice.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for seen in self.no_effect.into_values() {
            let others = match seen.others {
                0 => String::new(),
                1 => String::from(" (nor does it in 1 more place)"),
                others => format!(" (nor does it in {others} more places)"),
            };
            let message = format!("accepted, no effect in this version{others}");
            self.diagnostics
                .push(Diagnostic::warning(seen.first, seen.path, message));
        }
        // Stable, so that findings at one place keep the order in which they were made.
        self.diagnostics.sort_by_key(|diagnostic| {
            (
                diagnostic.location,
                diagnostic.severity == Severity::Warning,
            )
        });
        self.diagnostics.dedup();
        self.diagnostics
    }
}
