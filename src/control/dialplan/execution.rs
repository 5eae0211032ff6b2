//! One channel's way through the dialplan.

mod gosub;
mod run;

pub(super) use gosub::split_subroutine;
pub use gosub::{GOSUB_ARGUMENTS_MAX, GOSUB_DEPTH_MAX};

use super::context::{Dialplan, Found};
use super::target::{Priority, Target};
use super::variables::{VARIABLES_MAX, Variables};
use super::{Action, Channel, cause};
use gosub::Frame;
use run::Run;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most steps that run without a Wait between them; beyond it the call is hung up. A loop of Goto ends there, and so does one
/// of Dial that fails at once each time.
pub const STEPS_MAX: u32 = 10_000;

/// One channel's place in the dialplan and its variables.
#[derive(Clone, Debug)]
pub struct Execution {
    plan: Arc<Dialplan>,
    /// Where the channel is; a step may have been found in a context that this one includes.
    context: String,
    extension: String,
    place: Place,
    stage: Stage,
    variables: Variables,
    own_globals: BTreeMap<String, String>,
    random: fastrand::Rng,
    steps_left: u32,
    /// The subroutines that run, the innermost last.
    frames: Vec<Frame>,
    /// What a Dial is to run before it dials has run.
    has_prepared: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The step of this number, from 1; there may be none.
    Step { found: Found, priority: u32 },
    /// The extension does not exist.
    Missing,
    /// Hung up with this cause.
    Ended(Option<u8>),
}

/// Which part of the channel's life runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Call,
    /// A subroutine on the channel of a callee that is not called yet.
    BeforeDial,
    /// `h`: nothing is left to answer, dial or wait for.
    AfterHangup,
}

/// A step that ran, for the log and the dry run.
#[derive(Clone, Debug)]
pub struct StepTrace<'a> {
    /// The channel's context.
    pub context: &'a str,
    /// What was dialled or gone to.
    pub extension: &'a str,
    /// The extension of the configuration that matched, with the context that it stands in; None if none did.
    pub matched: Option<(&'a str, &'a str)>,
    /// The number of the step, from 1.
    pub priority: u32,
    /// Its label.
    pub label: Option<&'a str>,
    /// Its application, or what the dialplan did by itself.
    pub application: &'a str,
    /// Its arguments, expanded.
    pub arguments: &'a str,
    /// What was wrong and passed over.
    pub warnings: &'a [String],
}

/// How far digits lead that somebody presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// They are an extension.
    pub exists: bool,
    /// More digits could make another.
    pub goes_on: bool,
}

/// How a Dial ended: `${DIALSTATUS}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DialStatus {
    /// It was answered, and that call is over.
    Answer,
    /// Busy.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// The caller gave up.
    Cancel,
    /// The far side or the network was overloaded or refused.
    Congestion,
    /// There was nothing to dial: no such endpoint, no contact, no answer to the request.
    ChanUnavail,
}

impl DialStatus {
    /// As `${DIALSTATUS}` gives it.
    pub fn as_str(self) -> &'static str {
        match self {
            DialStatus::Answer => "ANSWER",
            DialStatus::Busy => "BUSY",
            DialStatus::NoAnswer => "NOANSWER",
            DialStatus::Cancel => "CANCEL",
            DialStatus::Congestion => "CONGESTION",
            DialStatus::ChanUnavail => "CHANUNAVAIL",
        }
    }
}

impl Execution {
    /// Places a channel at the first step of an extension. `variables` are what it begins with, names as in `Set`
    /// (`_NAME`, `__NAME` for inherited ones).
    pub fn start(
        plan: Arc<Dialplan>,
        context: &str,
        extension: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Execution {
        let mut execution = Execution {
            plan,
            context: context.to_owned(),
            extension: extension.to_owned(),
            place: Place::Missing,
            stage: Stage::Call,
            variables: Variables::default(),
            own_globals: BTreeMap::new(),
            random: fastrand::Rng::with_seed(0),
            steps_left: STEPS_MAX,
            frames: Vec::new(),
            has_prepared: false,
        };
        for (name, value) in variables {
            execution.set_variable(&name, value);
        }
        execution.enter(1);
        execution
    }

    /// Seeds RAND; without it every channel draws the same numbers.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Execution {
        self.random.seed(seed);
        self
    }

    /// Runs on to the next thing that the call has to do. After [`Action::Hangup`] it gives that again and again.
    pub fn advance(
        &mut self,
        channel: &mut dyn Channel,
        trace: &mut dyn FnMut(&StepTrace<'_>),
    ) -> Action {
        let plan = Arc::clone(&self.plan);
        loop {
            let (found, priority) = match self.place {
                Place::Ended(cause) => return Action::Hangup(cause),
                Place::Missing => {
                    self.enter_invalid(trace);
                    continue;
                }
                Place::Step { found, priority } => (found, priority),
            };
            let extension = plan.extension(found);
            let Some(step) = extension.steps.get(priority as usize - 1) else {
                self.fall_through(found, priority, trace);
                continue;
            };
            if self.steps_left == 0 {
                self.place = Place::Ended(None);
                let warning = format!("{STEPS_MAX} steps without a Wait: hung up");
                self.tell(Some(found), priority, "endless loop", "", &[warning], trace);
                continue;
            }
            self.steps_left -= 1;
            self.place = Place::Step {
                found,
                priority: priority + 1,
            };
            // Goto moves the channel; the trace tells where the step ran.
            let (context, dialled) = (self.context.clone(), self.extension.clone());
            let mut warnings = Vec::new();
            let mut run = Run {
                execution: self,
                plan: &plan,
                found,
                priority,
                channel,
                warnings: &mut warnings,
            };
            let outcome = run.step(step);
            trace(&StepTrace {
                context: &context,
                extension: &dialled,
                matched: Some((&plan.context(found.context).name, &extension.name)),
                priority,
                label: step.label.as_deref(),
                application: step.application.name(),
                arguments: &outcome.arguments,
                warnings: &warnings,
            });
            if let Some(action) = outcome.action {
                return self.stop_at(action);
            }
        }
    }

    /// Tells how the [`Action::Dial`] ended: sets DIALSTATUS and HANGUPCAUSE (a Q.850 cause).
    pub fn dial_finished(&mut self, status: DialStatus, cause: u8) {
        self.set_variable("DIALSTATUS", status.as_str().to_owned());
        self.set_variable("HANGUPCAUSE", cause.to_string());
    }

    /// Tells how a ConfBridge or Page ended: sets CONFBRIDGE_RESULT.
    pub fn conference_finished(&mut self, result: &str) {
        self.set_variable("CONFBRIDGE_RESULT", result.to_owned());
    }

    /// A channel without a dialplan of its own, that of somebody who is called and heard, and no more.
    #[must_use]
    pub fn without_steps(&self) -> Execution {
        let plan = Arc::clone(&self.plan);
        let mut execution = Execution::start(plan, &self.context, &self.extension, []);
        execution.place = Place::Ended(None);
        execution.stage = Stage::AfterHangup;
        execution
    }

    /// Whether digits that are pressed are an extension of this context (None: the channel's), and whether more could be.
    pub fn reach(&self, digits: &str, context: Option<&str>) -> Reach {
        let context = context.unwrap_or(&self.context);
        Reach {
            exists: self.plan.find(context, digits).is_some(),
            goes_on: self.plan.goes_on(context, digits),
        }
    }

    /// Goes to the extension of the digits that were pressed, in this context (None: the channel's); to `i` if there is none.
    pub fn enter_pressed(&mut self, digits: &str, context: Option<&str>) {
        if let Some(context) = context {
            context.clone_into(&mut self.context);
        }
        digits.clone_into(&mut self.extension);
        self.enter(1);
    }

    /// No digit was pressed: goes on with the next step, else to `t`, if there is one.
    pub fn none_pressed(&mut self) {
        let Place::Step { found, priority } = self.place else {
            return;
        };
        let has_next = (priority as usize) <= self.plan.extension(found).steps.len();
        if !has_next && self.plan.find(&self.context, "t").is_some() {
            self.extension = String::from("t");
            self.enter(1);
        }
    }

    /// The last action has taken its time: what ran before it is no endless loop.
    pub fn has_waited(&mut self) {
        self.steps_left = STEPS_MAX;
    }

    /// Sends the channel to another extension from outside of the dialplan, as a transfer does. Its variables stay.
    pub fn send_to(&mut self, context: &str, extension: &str) {
        context.clone_into(&mut self.context);
        extension.clone_into(&mut self.extension);
        self.steps_left = STEPS_MAX;
        self.frames.clear();
        self.enter(1);
    }

    /// Runs `h`, if the context has it, once the call is over: no media, no dialling, no waiting. True if there was one.
    pub fn hangup_handler(
        &mut self,
        channel: &mut dyn Channel,
        trace: &mut dyn FnMut(&StepTrace<'_>),
    ) -> bool {
        if self.stage == Stage::AfterHangup || self.plan.find(&self.context, "h").is_none() {
            return false;
        }
        self.stage = Stage::AfterHangup;
        self.steps_left = STEPS_MAX;
        self.frames.clear();
        self.extension = "h".to_owned();
        self.enter(1);
        self.advance(channel, trace);
        true
    }

    /// A channel variable. Variables of the channel itself (`EXTEN`, `EPOCH` …) and globals are not among them.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }

    /// Sets a channel variable, as `Set` does. False if there are [`VARIABLES_MAX`] already.
    pub fn set_variable(&mut self, name: &str, value: String) -> bool {
        self.variables.set(name, value)
    }

    /// What a channel that this one dials begins with: for [`Execution::start`].
    pub fn inherited_variables(&self) -> Vec<(String, String)> {
        self.variables.inherited()
    }

    /// The context that the channel is in.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The extension that it is at.
    pub fn extension(&self) -> &str {
        &self.extension
    }

    /// Goes to a step of the present context and extension.
    fn enter(&mut self, priority: u32) {
        self.place = match self.plan.find(&self.context, &self.extension) {
            Some(found) => Place::Step { found, priority },
            None => Place::Missing,
        };
    }

    /// Goes where this says; `from` is the step that says so.
    ///
    /// # Errors
    /// One sentence: why it cannot.
    fn go(&mut self, text: &str, from: u32) -> Result<(), String> {
        let target = Target::parse(text)?;
        if let Some(context) = target.context {
            self.context = context.to_owned();
        }
        if let Some(extension) = target.extension {
            self.extension = extension.to_owned();
        }
        self.enter(1);
        let Place::Step { found, .. } = self.place else {
            return Ok(());
        };
        let priority = match target.priority {
            Priority::Number(number) => Some(number),
            Priority::Relative(steps) => from.checked_add_signed(steps).filter(|to| *to > 0),
            Priority::Label(label) => self.plan.extension(found).labelled(label),
        };
        let priority = priority.ok_or_else(|| format!("nowhere to go: '{text}'"))?;
        self.place = Place::Step { found, priority };
        Ok(())
    }

    /// The extension does not exist: goes to `i`, or ends.
    fn enter_invalid(&mut self, trace: &mut dyn FnMut(&StepTrace<'_>)) {
        self.tell(None, 1, "no such extension", "", &[], trace);
        if self.plan.find(&self.context, "i").is_none() {
            self.place = Place::Ended(Some(cause::UNALLOCATED));
            return;
        }
        let invalid = std::mem::replace(&mut self.extension, "i".to_owned());
        self.set_variable("INVALID_EXTEN", invalid);
        self.enter(1);
    }

    /// After the last step: Asterisk's autofallthrough, but with the cause that the Dial left where it says more.
    fn fall_through(&mut self, found: Found, priority: u32, trace: &mut dyn FnMut(&StepTrace<'_>)) {
        let left = self.variable("HANGUPCAUSE").and_then(cause::parse);
        let left = left.filter(|cause| !matches!(*cause, 0 | cause::NORMAL_CLEARING));
        let cause = match self.variable("DIALSTATUS") {
            Some("BUSY") => Some(cause::USER_BUSY),
            Some("CONGESTION" | "CHANUNAVAIL") => Some(left.unwrap_or(cause::CONGESTION)),
            _ => None,
        };
        self.place = Place::Ended(cause);
        self.tell(
            Some(found),
            priority,
            "end of the extension",
            "",
            &[],
            trace,
        );
    }

    /// What an action means for what comes after it.
    fn stop_at(&mut self, action: Action) -> Action {
        match action {
            Action::Hangup(cause) => self.place = Place::Ended(cause),
            Action::Busy(_) => self.place = Place::Ended(Some(cause::USER_BUSY)),
            Action::Congestion(_) => self.place = Place::Ended(Some(cause::CONGESTION)),
            Action::Wait(time) if !time.is_zero() => self.steps_left = STEPS_MAX,
            _ => {}
        }
        action
    }

    /// Traces what the dialplan does by itself.
    fn tell(
        &self,
        found: Option<Found>,
        priority: u32,
        what: &str,
        arguments: &str,
        warnings: &[String],
        trace: &mut dyn FnMut(&StepTrace<'_>),
    ) {
        let matched = found.map(|found| {
            let context = &self.plan.context(found.context).name;
            (&context[..], &self.plan.extension(found).name[..])
        });
        trace(&StepTrace {
            context: &self.context,
            extension: &self.extension,
            matched,
            priority,
            label: None,
            application: what,
            arguments,
            warnings,
        });
    }
}

#[cfg(test)]
mod tests;
