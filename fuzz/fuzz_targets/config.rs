//! Any text as a configuration. It must give settings or at least one error, in bounded time, and every place that a
//! finding names must lie in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::config::{LoadError, Lookup, Severity, parse};

struct Echo;

impl Lookup for Echo {
    fn env(&self, name: &str) -> Option<String> {
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn file_first_line(&self, path: &str) -> Result<String, String> {
        self.env(path).ok_or_else(|| String::from("no name"))
    }
}

fuzz_target!(|text: &str| {
    let lines = text.split('\n').count();
    let found = match parse("fuzz", text, &Echo) {
        Ok(loaded) => {
            let warnings = loaded.warnings.iter();
            assert!(
                warnings
                    .clone()
                    .all(|one| one.severity == Severity::Warning)
            );
            loaded.warnings
        }
        Err(LoadError::Invalid { diagnostics, .. }) => {
            assert!(
                diagnostics
                    .iter()
                    .any(|one| one.severity == Severity::Error)
            );
            diagnostics
        }
        Err(LoadError::Read { .. }) => unreachable!("nothing is read"),
    };
    assert!(
        found
            .iter()
            .all(|one| (1..=lines).contains(&(one.location.line as usize)))
    );
});
