//! From the configuration to a [`Dialplan`], with all that is wrong told at once.

use super::Channel;
use super::application::{Notes, Step};
use super::check::{Announcement, announcements, check_step};
use super::context::{Context, ContextIndex, Dialplan, Extension, Found};
use super::expand::Scope;
use super::pattern::Name;
use super::table::ExtensionTable;
use super::template::{Part, Reference, Template};
use super::variables::Variables;
use crate::config::settings::{ContextSource, DialplanSource, ExtensionSource};
use crate::config::{Diagnostic, Location, Severity};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

impl Dialplan {
    /// Compiles a dialplan. `is_dialable` tells whether there is an endpoint or trunk group of that name.
    ///
    /// # Errors
    /// All errors and warnings, each with its place; beside a good dialplan stand the warnings.
    pub fn compile(
        source: &DialplanSource,
        is_dialable: &dyn Fn(&str) -> bool,
    ) -> Result<(Dialplan, Vec<Diagnostic>), Vec<Diagnostic>> {
        let mut compiler = Compiler {
            source,
            plan: Dialplan::default(),
            places: FxHashMap::default(),
            diagnostics: Vec::new(),
        };
        compiler.globals();
        for (index, context) in (0..).zip(&source.contexts) {
            compiler.plan.by_name.insert(context.name.clone(), index);
        }
        for (index, context) in (0..).zip(&source.contexts) {
            compiler.context(index, context);
        }
        compiler.includes();
        compiler.steps(is_dialable);
        let Compiler {
            plan,
            mut diagnostics,
            ..
        } = compiler;
        diagnostics.sort_by_key(|diagnostic| diagnostic.location);
        if diagnostics
            .iter()
            .any(|one| one.severity == Severity::Error)
        {
            Err(diagnostics)
        } else {
            Ok((plan, diagnostics))
        }
    }
}

struct Compiler<'s> {
    source: &'s DialplanSource,
    plan: Dialplan,
    /// Where each extension and its steps stand: the source of what was compiled.
    places: FxHashMap<(ContextIndex, u32), Places>,
    diagnostics: Vec<Diagnostic>,
}

/// Where an extension's steps stand, and its key in messages.
struct Places {
    key: String,
    steps: Vec<Location>,
}

impl Compiler<'_> {
    fn error(&mut self, location: Location, key: &str, message: impl Into<String>) {
        let diagnostic = Diagnostic::error(location, key, message);
        self.diagnostics.push(diagnostic);
    }

    /// Each global may use those before it.
    fn globals(&mut self) {
        for (name, value) in &self.source.globals {
            match Template::parse(value) {
                Ok(template) => {
                    let value = expand_at_load(&template, &self.plan.globals);
                    self.plan.globals.insert(name.clone(), value);
                }
                Err(error) => {
                    self.error(Location::default(), &format!("globals.{name}"), error);
                    // What uses it is not to be told as missing too.
                    self.plan.globals.insert(name.clone(), String::new());
                }
            }
        }
    }

    fn context(&mut self, index: ContextIndex, source: &ContextSource) {
        let mut table = ExtensionTable::default();
        let mut extensions: Vec<Extension> = Vec::with_capacity(source.extensions.len());
        let mut locations: Vec<Location> = Vec::with_capacity(source.extensions.len());
        for extension in &source.extensions {
            let key = format!("context.{}.exten.{}", source.name, extension.pattern);
            let steps = self.parse_steps(&key, extension);
            let Some((text, name)) =
                self.extension_name(&key, &extension.pattern, extension.location)
            else {
                continue;
            };
            let place = extensions.len() as u32;
            if let Some(first) = table.insert(&name, place) {
                let line = locations[first as usize].line;
                let message = format!("'{text}' matches the same as the extension in line {line}");
                self.error(extension.location, &key, message);
                continue;
            }
            let places = Places {
                key,
                steps: steps.iter().map(|(_, location)| *location).collect(),
            };
            self.places.insert((index, place), places);
            locations.push(extension.location);
            extensions.push(Extension {
                name: text,
                steps: steps.into_iter().map(|(step, _)| step).collect(),
            });
        }
        for (pattern, _, location) in &source.hints {
            let key = format!("context.{}.hint.{pattern}", source.name);
            self.extension_name(&key, pattern, *location);
        }
        self.plan.contexts.push(Context {
            name: source.name.clone(),
            searched: Vec::new(),
            extensions,
            table,
        });
    }

    /// Expands the globals in an extension's name and reads it.
    fn extension_name(
        &mut self,
        key: &str,
        pattern: &str,
        location: Location,
    ) -> Option<(String, Name)> {
        let name = Template::parse(pattern).and_then(|template| {
            if let Some(unknown) = unknown_variable(&template, &self.plan.globals) {
                return Err(format!("no global variable '{unknown}' in [globals]"));
            }
            let text = expand_at_load(&template, &self.plan.globals);
            Name::parse(&text).map(|name| (text, name))
        });
        name.map_err(|error| self.error(location, key, error)).ok()
    }

    fn parse_steps(&mut self, key: &str, source: &ExtensionSource) -> Vec<(Step, Location)> {
        if source.steps.is_empty() {
            self.error(source.location, key, "the extension has no steps");
        }
        let mut steps: Vec<(Step, Location)> = Vec::with_capacity(source.steps.len());
        for (text, location) in &source.steps {
            let mut notes = Notes::default();
            let step = Step::parse(text, &mut notes).unwrap_or_else(|error| {
                self.error(*location, key, error);
                Step::unreadable(text)
            });
            let same =
                |(other, _): &&(Step, Location)| step.label.is_some() && other.label == step.label;
            if let (Some((_, first)), Some(label)) = (steps.iter().find(same), &step.label) {
                let message = format!("the label '{label}' is already in line {}", first.line);
                self.error(*location, key, message);
            }
            steps.push((step, *location));
            for warning in notes.warnings {
                self.diagnostics
                    .push(Diagnostic::warning(*location, key, warning));
            }
        }
        steps
    }

    /// Checks the includes and puts each context's search in order.
    fn includes(&mut self) {
        let mut included: Vec<Vec<ContextIndex>> = Vec::new();
        for context in &self.source.contexts {
            let mut indices = Vec::new();
            for (name, location) in &context.include {
                match self.plan.by_name.get(name) {
                    Some(index) => indices.push(*index),
                    None => {
                        let key = format!("context.{}.include", context.name);
                        let message = format!("no context '{name}'");
                        self.diagnostics
                            .push(Diagnostic::error(*location, key, message));
                    }
                }
            }
            included.push(indices);
        }
        let searched: Vec<_> = (0..included.len())
            .map(|start| search_order(start, &included))
            .collect();
        for (index, context) in self.source.contexts.iter().enumerate() {
            let own = index as ContextIndex;
            for (name, location) in &context.include {
                let target = self.plan.by_name.get(name);
                if target.is_some_and(|target| searched[*target as usize].contains(&own)) {
                    let key = format!("context.{}.include", context.name);
                    let message = format!(
                        "a loop of includes: '{name}' leads back to '{}'",
                        context.name
                    );
                    self.diagnostics
                        .push(Diagnostic::error(*location, key, message));
                }
            }
        }
        for (context, searched) in self.plan.contexts.iter_mut().zip(searched) {
            context.searched = searched;
        }
    }

    /// Checks what steps name in plain text: where they go and whom they dial. What they play is noted.
    fn steps(&mut self, is_dialable: &dyn Fn(&str) -> bool) {
        let mut found = Vec::new();
        let mut played = Vec::new();
        for (context, compiled) in (0..).zip(&self.plan.contexts) {
            for (extension, steps) in (0..).zip(&compiled.extensions) {
                let here = Found { context, extension };
                let places = &self.places[&(context, extension)];
                for (step, location) in steps.steps.iter().zip(&places.steps) {
                    for message in check_step(&self.plan, here, &step.application, is_dialable) {
                        found.push(Diagnostic::error(*location, &places.key[..], message));
                    }
                    let (names, language) = announcements(&step.application);
                    played.extend(names.into_iter().map(|name| Announcement {
                        name,
                        language: language.clone(),
                        location: *location,
                        key: places.key.clone(),
                    }));
                }
            }
        }
        self.diagnostics.extend(found);
        self.plan.announcements = played;
    }
}

/// This context, then its includes depth first, each once.
fn search_order(start: usize, included: &[Vec<ContextIndex>]) -> Vec<ContextIndex> {
    let mut order = Vec::new();
    let mut seen = vec![false; included.len()];
    let mut next = vec![start as ContextIndex];
    while let Some(context) = next.pop() {
        if std::mem::replace(&mut seen[context as usize], true) {
            continue;
        }
        order.push(context);
        next.extend(included[context as usize].iter().rev());
    }
    order
}

/// A variable that the text names and that is not among the globals.
fn unknown_variable<'t>(
    template: &'t Template,
    globals: &BTreeMap<String, String>,
) -> Option<&'t str> {
    template.parts.iter().find_map(|part| match part {
        Part::Reference(Reference::Variable { name, .. }) => {
            (!globals.contains_key(name)).then_some(&name[..])
        }
        _ => None,
    })
}

fn expand_at_load(template: &Template, globals: &BTreeMap<String, String>) -> String {
    let mut scope = Scope {
        context: "",
        extension: "",
        priority: 1,
        variables: &Variables::default(),
        own_globals: &BTreeMap::new(),
        globals,
        channel: &NoChannel,
        random: &mut fastrand::Rng::with_seed(0),
        warnings: &mut Vec::new(),
    };
    scope.expand(template)
}

/// There is no call while the configuration is loaded.
struct NoChannel;

impl Channel for NoChannel {
    fn function(&self, _name: &str, _args: &str) -> Option<String> {
        None
    }

    fn set_function(&mut self, _name: &str, _args: &str, _value: &str) -> bool {
        false
    }

    fn epoch(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
