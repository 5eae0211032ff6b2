//! Reading a configuration, from a file or the built-in one, with everything that `check` has to say about it.

use crate::config::{self, Diagnostic, LoadError};
use crate::control::setup::Setup;
use crate::runtime::tls::Contexts;
use crate::runtime::{
    Reading, config_file, missing_announcements, missing_music, unwritable_recordings,
};
use std::path::{Path, PathBuf};

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
        let tls = take(
            &mut found,
            Contexts::read(&loaded.settings, self.directory()),
        );
        let setup = take(&mut found, Setup::build(loaded.settings));
        if let Some(setup) = &setup {
            found.extend(missing_announcements(setup));
            found.extend(missing_music(setup));
            found.extend(unwritable_recordings(setup));
        }
        found.sort_by_key(|diagnostic| diagnostic.location);
        let lines = self.lines(&found);
        match (setup, tls) {
            (Some(setup), Some(tls)) => Ok(Reading {
                setup,
                tls,
                warnings: lines,
            }),
            _ => Err(lines),
        }
    }

    /// Where paths of the configuration that are not absolute start.
    fn directory(&self) -> &Path {
        match self {
            Source::File(path) => path.parent().unwrap_or(Path::new("")),
            Source::BuiltIn => Path::new(""),
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

/// What was made, beside what was found to be worth a look; None if an error was found.
fn take<T>(
    found: &mut Vec<Diagnostic>,
    made: Result<(T, Vec<Diagnostic>), Vec<Diagnostic>>,
) -> Option<T> {
    match made {
        Ok((made, warnings)) => {
            found.extend(warnings);
            Some(made)
        }
        Err(errors) => {
            found.extend(errors);
            None
        }
    }
}
