//! A dialplan of any text: it compiles or its errors are told, and whatever is dialled in it comes to an end.
//! Lines of the input: a global's value, what is dialled, then in turn an extension and its step.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::config::Location;
use ringway::config::settings::{ContextSource, DialplanSource, ExtensionSource};
use ringway::control::dialplan::{Dialplan, EXPANSION_LENGTH_MAX, route};
use std::sync::Arc;

/// A step's arguments are a name, a value and marks around text that was expanded; beyond this a bound was missed.
const ARGUMENTS_MAX: usize = 3 * EXPANSION_LENGTH_MAX;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let global = lines.next().unwrap_or_default();
    let dialled = lines.next().unwrap_or_default();
    let mut extensions = Vec::new();
    while let (Some(pattern), Some(steps)) = (lines.next(), lines.next()) {
        let steps = steps
            .split('\t')
            .map(|step| (step.to_owned(), Location::default()));
        extensions.push(ExtensionSource {
            pattern: pattern.to_owned(),
            location: Location::default(),
            steps: steps.collect(),
        });
    }
    let source = DialplanSource {
        globals: vec![("A".to_owned(), global.to_owned())],
        contexts: vec![ContextSource {
            name: "c".to_owned(),
            location: Location::default(),
            include: Vec::new(),
            hints: Vec::new(),
            extensions,
        }],
    };
    let Ok((plan, _)) = Dialplan::compile(&source, &|_| true) else {
        return;
    };
    if let Some(report) = route(&Arc::new(plan), "c", dialled, Some(global), 1_700_000_000) {
        for step in &report.steps {
            assert!(step.text.len() <= ARGUMENTS_MAX + 16);
        }
    }
});
