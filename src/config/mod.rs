//! The configuration: TOML as written (`raw`) → keys checked against the `catalogue` (`fields`) → checked types
//! ([`settings`], made by `build`) → a look for what is valid but not safe (`lint`). The raw form never leaves this
//! module, and every error of a file is reported, not only the first.

mod accept;
mod build;
mod catalogue;
pub mod diagnostic;
mod expand;
mod fields;
mod identity;
mod lint;
mod network;
mod raw;
mod report;
pub mod settings;
mod sound;
mod suggest;
#[cfg(test)]
mod tests;
mod text_match;

pub use diagnostic::{Diagnostic, Location, Severity};
pub use expand::{Lookup, NoLookup};
pub use settings::Settings;

use std::fmt::Write as _;

/// The embedded default configuration, `config/ringway.toml`.
pub const DEFAULT_TEXT: &str = include_str!("../../config/ringway.toml");

/// What [`DEFAULT_TEXT`] is called in messages.
pub const DEFAULT_NAME: &str = "(default configuration)";

/// A configuration without an error.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked settings.
    pub settings: Settings,
    /// What is worth a look, in the order of the file.
    pub warnings: Vec<Diagnostic>,
}

/// Why nothing starts.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// The file's name.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file has errors. Displayed as `check` prints them, one a line, warnings as well.
    #[error("{}", lines(.file, .diagnostics))]
    Invalid {
        /// The file's name.
        file: String,
        /// Errors and warnings, in the order of the file.
        diagnostics: Vec<Diagnostic>,
    },
}

/// Checks a configuration. `name` is what messages call the file.
///
/// # Errors
/// [`LoadError::Invalid`] with everything found, if at least one is an error.
pub fn parse(name: &str, text: &str, lookup: &dyn Lookup) -> Result<Loaded, LoadError> {
    let invalid = |diagnostics| LoadError::Invalid {
        file: name.to_owned(),
        diagnostics,
    };
    let document = raw::read(text, lookup).map_err(invalid)?;
    let mut report = report::Report::default();
    let settings = build::build(&document, &mut report);
    if !report.has_error() {
        lint::lint(&settings, &document, &mut report);
    }
    let diagnostics = report.finish();
    if diagnostics.iter().any(|d| d.severity == Severity::Error) {
        return Err(invalid(diagnostics));
    }
    Ok(Loaded {
        settings,
        warnings: diagnostics,
    })
}

/// The embedded default configuration, checked. A test holds that it is valid.
///
/// # Errors
/// None in a released build.
pub fn load_default() -> Result<Loaded, LoadError> {
    parse(DEFAULT_NAME, DEFAULT_TEXT, &NoLookup)
}

/// Every finding as `FILE:LINE:COLUMN: error|warning: section.key: message`, one a line.
pub fn lines(file: &str, diagnostics: &[Diagnostic]) -> String {
    let mut lines = String::new();
    for (place, diagnostic) in diagnostics.iter().enumerate() {
        let end = if place == 0 { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(lines, "{end}{}", diagnostic.display(file));
    }
    lines
}
