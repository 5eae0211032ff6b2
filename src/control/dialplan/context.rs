//! The compiled dialplan and how an extension is found in it.

use super::application::Step;
use super::check::Announcement;
use super::table::{ExtensionIndex, ExtensionTable};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// A compiled dialplan. Never changes; a reload makes another.
#[derive(Debug, Default)]
pub struct Dialplan {
    pub(super) contexts: Vec<Context>,
    pub(super) by_name: FxHashMap<String, ContextIndex>,
    /// `[globals]`, expanded.
    pub(super) globals: BTreeMap<String, String>,
    pub(super) announcements: Vec<Announcement>,
}

/// The place of a context in [`Dialplan::contexts`].
pub(super) type ContextIndex = u32;

/// `[context.NAME]`
#[derive(Debug)]
pub(super) struct Context {
    pub(super) name: String,
    /// This context, then those that it includes, in the order in which they are searched.
    pub(super) searched: Vec<ContextIndex>,
    pub(super) extensions: Vec<Extension>,
    pub(super) table: ExtensionTable,
}

/// An extension or pattern and its steps.
#[derive(Debug)]
pub(super) struct Extension {
    /// As in the configuration, its variables expanded.
    pub(super) name: String,
    pub(super) steps: Vec<Step>,
}

/// Where an extension was found: the context may be an included one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) context: ContextIndex,
    pub(super) extension: ExtensionIndex,
}

impl Dialplan {
    /// Whether there is a context of that name.
    pub fn has_context(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether that extension is found in that context or one that it includes.
    pub fn has_extension(&self, context: &str, extension: &str) -> bool {
        self.find(context, extension).is_some()
    }

    /// The announcements that steps name in plain text, in the order of the steps.
    pub fn announcements(&self) -> &[Announcement] {
        &self.announcements
    }

    /// The names of all contexts, in the order of the configuration.
    pub fn contexts(&self) -> impl Iterator<Item = &str> {
        self.contexts.iter().map(|context| &context.name[..])
    }

    /// The best match in the context itself, or else in the included ones, in their order and depth first.
    pub(super) fn find(&self, context: &str, extension: &str) -> Option<Found> {
        let searched = &self.context(*self.by_name.get(context)?).searched;
        searched.iter().find_map(|&context| {
            let extension = self.context(context).table.find(extension)?;
            Some(Found { context, extension })
        })
    }

    /// Whether more digits behind these could be an extension of the context or of one that it includes.
    pub(super) fn goes_on(&self, context: &str, digits: &str) -> bool {
        let index = self.by_name.get(context);
        let mut searched = index
            .into_iter()
            .flat_map(|index| &self.context(*index).searched);
        searched.any(|context| self.context(*context).table.goes_on(digits))
    }

    pub(super) fn context(&self, index: ContextIndex) -> &Context {
        &self.contexts[index as usize]
    }

    pub(super) fn extension(&self, found: Found) -> &Extension {
        &self.context(found.context).extensions[found.extension as usize]
    }
}

impl Extension {
    /// The place of the step with this label, from 1.
    pub(super) fn labelled(&self, label: &str) -> Option<u32> {
        let mut labels = (1..).zip(&self.steps);
        labels
            .find(|(_, step)| step.label.as_deref() == Some(label))
            .map(|(priority, _)| priority)
    }
}
