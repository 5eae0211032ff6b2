//! What `check` says: `FILE:LINE:COLUMN: error: section.key: what is wrong, what is accepted`.

use std::fmt;

/// Error or warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing starts with it.
    Error,
    /// Worth a look; it starts.
    Warning,
}

/// A place in the configuration file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Where.
    pub location: Location,
    /// The section and key (`endpoint.6001.allow`).
    pub key: String,
    /// What is wrong, what is accepted.
    pub message: String,
}

impl Diagnostic {
    /// An error.
    pub fn error(location: Location, key: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            location,
            key: key.into(),
            message: message.into(),
        }
    }

    /// A warning.
    pub fn warning(location: Location, key: impl Into<String>, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Warning,
            location,
            key: key.into(),
            message: message.into(),
        }
    }

    /// The whole line, for a file of that name.
    pub fn display(&self, file: &str) -> impl fmt::Display {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        format!(
            "{file}:{}:{}: {severity}: {}: {}",
            self.location.line, self.location.column, self.key, self.message
        )
    }
}
