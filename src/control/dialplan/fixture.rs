//! Dialplans and a channel for tests.

use super::{Action, Channel, Dialplan, Execution, StepTrace};
use crate::config::settings::{ContextSource, DialplanSource, ExtensionSource};
use crate::config::{Diagnostic, Location};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A dialplan as lines: `NAME = value` is a global, `[context]` opens one, `include NAME`, `EXTEN => step | step`.
/// A location's line is the place of the line, from 1; a step's column its number.
pub(super) fn source(text: &str) -> DialplanSource {
    let mut source = DialplanSource::default();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        let at = |column| Location { line, column };
        if let Some(name) = text.strip_prefix('[') {
            source.contexts.push(ContextSource {
                name: name.trim_end_matches(']').to_owned(),
                location: at(1),
                include: Vec::new(),
                hints: Vec::new(),
                extensions: Vec::new(),
            });
        } else if let Some(name) = text.strip_prefix("include ") {
            let context = source.contexts.last_mut().expect("a context");
            context.include.push((name.to_owned(), at(1)));
        } else if let Some((pattern, steps)) = text.split_once(" =>") {
            let context = source.contexts.last_mut().expect("a context");
            let steps = steps.trim().split(" | ").filter(|step| !step.is_empty());
            context.extensions.push(ExtensionSource {
                pattern: pattern.to_owned(),
                location: at(0),
                steps: (1..)
                    .zip(steps)
                    .map(|(n, step)| (step.to_owned(), at(n)))
                    .collect(),
            });
        } else if let Some((name, value)) = text.split_once(" = ") {
            source.globals.push((name.to_owned(), value.to_owned()));
        }
    }
    source
}

/// Compiles it; the endpoints are those whose names begin with `ep`.
pub(super) fn compile(text: &str) -> Result<(Dialplan, Vec<Diagnostic>), Vec<Diagnostic>> {
    Dialplan::compile(&source(text), &|name| name.starts_with("ep"))
}

pub(super) fn plan(text: &str) -> Arc<Dialplan> {
    match compile(text) {
        Ok((plan, _)) => Arc::new(plan),
        Err(errors) => panic!("{text}: {errors:?}"),
    }
}

/// A channel that keeps what is set.
pub(super) struct TestChannel {
    pub(super) functions: BTreeMap<(String, String), String>,
}

impl TestChannel {
    pub(super) fn new() -> TestChannel {
        let known = [
            ("CALLERID", "num", "4930123"),
            ("CALLERID", "name", "Ann"),
            ("CALLERID", "all", "Ann <4930123>"),
            ("CHANNEL", "name", "PJSIP/ep-1"),
            ("CHANNEL", "uniqueid", "17.1"),
            ("PJSIP_HEADER", "read,X-Tag", "blue"),
        ];
        let known = known.map(|(name, args, value)| ((name.into(), args.into()), value.into()));
        TestChannel {
            functions: known.into(),
        }
    }
}

impl Channel for TestChannel {
    fn function(&self, name: &str, args: &str) -> Option<String> {
        self.functions
            .get(&(name.to_owned(), args.to_owned()))
            .cloned()
    }

    fn set_function(&mut self, name: &str, args: &str, value: &str) -> bool {
        if name == "CHANNEL" {
            return false;
        }
        self.functions
            .insert((name.into(), args.into()), value.into());
        true
    }

    fn epoch(&self) -> u64 {
        1_700_000_000
    }
}

/// An execution with its channel and what it traced.
pub(super) struct Walk {
    pub(super) execution: Execution,
    pub(super) channel: TestChannel,
    /// `context,extension,priority App(args)`
    pub(super) trace: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Walk {
    pub(super) fn new(text: &str, context: &str, extension: &str) -> Walk {
        Walk {
            execution: Execution::start(plan(text), context, extension, []),
            channel: TestChannel::new(),
            trace: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn advance(&mut self) -> Action {
        let (trace, warnings) = (&mut self.trace, &mut self.warnings);
        self.execution
            .advance(&mut self.channel, &mut |step| note(step, trace, warnings))
    }

    pub(super) fn hangup_handler(&mut self) -> bool {
        let (trace, warnings) = (&mut self.trace, &mut self.warnings);
        let mut note = |step: &StepTrace<'_>| note(step, trace, warnings);
        self.execution.hangup_handler(&mut self.channel, &mut note)
    }
}

fn note(step: &StepTrace<'_>, trace: &mut Vec<String>, warnings: &mut Vec<String>) {
    let place = format!("{},{},{}", step.context, step.extension, step.priority);
    trace.push(format!("{place} {}({})", step.application, step.arguments));
    warnings.extend_from_slice(step.warnings);
}
