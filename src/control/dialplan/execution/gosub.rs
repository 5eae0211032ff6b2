//! Subroutines: Gosub and Return, and those that Dial runs before it calls.
//!
//! ```text
//!   Gosub(context,extension,priority(a,b)) ──► ARG1=a, ARG2=b, ARGC=2 and LOCAL(…) are its own
//!        ◄── Return(value): the step behind the Gosub, variables as they were, GOSUB_RETVAL=value
//! ```

use super::super::arguments::split;
use super::super::variables::{Variable, Variables};
use super::super::{Action, Channel};
use super::{Execution, Place, Stage, StepTrace};
use std::sync::Arc;

/// Most Gosubs in each other; a further one hangs up.
pub const GOSUB_DEPTH_MAX: usize = 32;

/// Most arguments of a Gosub; the last one has the rest.
pub const GOSUB_ARGUMENTS_MAX: usize = 64;

/// Where a Return goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReturnTo {
    /// On behind the Gosub.
    Next,
    /// To the Dial that it was run before (option `B`).
    Dial,
    /// Nowhere: it is all that runs on this channel.
    End,
}

/// A subroutine that runs.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    context: String,
    extension: String,
    place: Place,
    returns_to: ReturnTo,
    arguments: usize,
    /// The variables that are the subroutine's own, as they were before.
    saved: Vec<(String, Option<Variable>)>,
}

impl Frame {
    fn own(&mut self, variables: &mut Variables, name: &str, value: String) -> bool {
        if !self.saved.iter().any(|(known, _)| known == name) {
            self.saved.push((name.to_owned(), variables.take(name)));
        }
        variables.set(name, value)
    }
}

impl Execution {
    /// Enters a subroutine from a step: `[[context,]extension,]priority[(arguments)]`.
    ///
    /// # Errors
    /// One sentence: why it cannot be entered.
    pub(super) fn gosub(
        &mut self,
        text: &str,
        priority: u32,
        place: Place,
        returns_to: ReturnTo,
    ) -> Result<(), String> {
        if self.frames.len() >= GOSUB_DEPTH_MAX {
            return Err(format!("more than {GOSUB_DEPTH_MAX} Gosubs in each other"));
        }
        let (target, arguments) = split_subroutine(text);
        let arguments = match arguments {
            Some(text) => split(text, ',', GOSUB_ARGUMENTS_MAX),
            None => Vec::new(),
        };
        let mut frame = Frame {
            context: self.context.clone(),
            extension: self.extension.clone(),
            place,
            returns_to,
            arguments: arguments.len(),
            saved: Vec::new(),
        };
        // Arguments of the outer one are none of this one's.
        let outer = self.frames.last().map_or(0, |frame| frame.arguments);
        for place in 0..outer.max(arguments.len()) {
            let value = arguments.get(place).cloned().unwrap_or_default();
            frame.own(&mut self.variables, &format!("ARG{}", place + 1), value);
        }
        let count = arguments.len().to_string();
        frame.own(&mut self.variables, "ARGC", count);
        self.frames.push(frame);
        self.go(target, priority)
    }

    /// Leaves the subroutine.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn return_from(&mut self, value: String) -> Result<(), String> {
        let frame = self.frames.pop().ok_or("Return outside of a Gosub")?;
        for (name, before) in frame.saved {
            self.variables.put(name, before);
        }
        self.context = frame.context;
        self.extension = frame.extension;
        self.place = frame.place;
        self.has_prepared = frame.returns_to == ReturnTo::Dial;
        self.variables.set("GOSUB_RETVAL", value);
        Ok(())
    }

    /// `Set(LOCAL(name)=value)`. False outside of a subroutine.
    pub(super) fn set_local(&mut self, name: &str, value: String) -> bool {
        match self.frames.last_mut() {
            Some(frame) if frame.saved.len() < super::VARIABLES_MAX => {
                frame.own(&mut self.variables, name, value)
            }
            _ => false,
        }
    }

    /// The channel of a callee that this one dials, with the subroutine that runs on it before it is called (option `b`).
    ///
    /// # Errors
    /// One sentence: why it cannot be entered.
    pub fn of_callee(&self, subroutine: &str) -> Result<Execution, String> {
        let plan = Arc::clone(&self.plan);
        let inherited = self.inherited_variables();
        let mut callee = Execution::start(plan, &self.context, &self.extension, inherited);
        callee.random = self.random.clone();
        callee.stage = Stage::BeforeDial;
        callee.gosub(subroutine, 1, Place::Ended(None), ReturnTo::End)?;
        Ok(callee)
    }

    /// Runs that subroutine to its end. Nothing in it answers, dials or waits.
    pub fn run_before_dial(
        &mut self,
        channel: &mut dyn Channel,
        trace: &mut dyn FnMut(&StepTrace<'_>),
    ) {
        let ended = self.advance(channel, trace);
        debug_assert!(matches!(ended, Action::Hangup(_)));
    }
}

/// `target(arguments)`: both, the arguments only if there are brackets.
pub(in super::super) fn split_subroutine(text: &str) -> (&str, Option<&str>) {
    let text = text.trim();
    match text.split_once('(') {
        Some((target, rest)) => (target.trim(), Some(rest.strip_suffix(')').unwrap_or(rest))),
        None => (text, None),
    }
}
