//! Reading a configuration, from a file or the built-in one, with everything that `check` has to say about it.

use crate::config::{self, Diagnostic, LoadError, Severity};
use crate::control::setup::Setup;
use crate::runtime::{Reading, config_file};
use std::path::PathBuf;

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The one compiled in.
    BuiltIn,
}

impl Source {
    /// The file, or the built-in one without.
    pub fn new(file: Option<PathBuf>) -> Source {
        file.map_or(Source::BuiltIn, Source::File)
    }

    /// What messages call it.
    pub fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::BuiltIn => config::DEFAULT_NAME.to_owned(),
        }
    }

    /// Reads and checks it, dialplan and all.
    ///
    /// # Errors
    /// Lines for the user: that it cannot be read, or everything that `check` finds.
    pub fn read(&self) -> Result<Reading, Vec<String>> {
        let loaded = match self {
            Source::File(path) => config_file::load(path),
            Source::BuiltIn => config::load_default(),
        };
        let loaded = loaded.map_err(|error| match error {
            LoadError::Invalid { diagnostics, .. } => self.lines(&diagnostics),
            LoadError::Read { .. } => vec![error.to_string()],
        })?;
        let mut found = loaded.warnings;
        let (setup, errors) = match Setup::build(loaded.settings) {
            Ok((setup, warnings)) => {
                found.extend(warnings);
                (Some(setup), vec![])
            }
            Err(errors) => (None, errors),
        };
        found.extend(errors);
        found.sort_by_key(|diagnostic| diagnostic.location);
        let lines = self.lines(&found);
        match setup {
            Some(setup) if found.iter().all(|one| one.severity == Severity::Warning) => {
                Ok(Reading {
                    setup,
                    warnings: lines,
                })
            }
            _ => Err(lines),
        }
    }

    fn lines(&self, diagnostics: &[Diagnostic]) -> Vec<String> {
        let name = self.name();
        diagnostics
            .iter()
            .map(|diagnostic| diagnostic.display(&name).to_string())
            .collect()
    }
}
