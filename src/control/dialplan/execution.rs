//! One channel's way through the dialplan.

mod gosub;

pub(super) use gosub::split_subroutine;
pub use gosub::{GOSUB_ARGUMENTS_MAX, GOSUB_DEPTH_MAX};

use super::application::{Application, Assignment, Branch, Step, milliseconds};
use super::context::{Dialplan, Found};
use super::expand::Scope;
use super::target::{Priority, Target};
use super::template::Template;
use super::variables::{VARIABLES_MAX, Variables};
use super::{Action, Channel, cause, dial, expression, pickup};
use gosub::{Frame, ReturnTo};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

/// What a step comes to: its expanded arguments, and an action if it stops there.
struct Outcome {
    arguments: String,
    action: Option<Action>,
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

/// One step while it runs.
struct Run<'a> {
    execution: &'a mut Execution,
    plan: &'a Dialplan,
    found: Found,
    priority: u32,
    channel: &'a mut dyn Channel,
    warnings: &'a mut Vec<String>,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Outcome {
        let (arguments, action) = match &step.application {
            Application::NoOp(args) | Application::Verbose(args) => (self.expand(args), None),
            Application::Set(assignment) => (self.set(assignment), None),
            Application::Goto(target) => {
                let target = self.expand(target);
                self.goto(&target);
                (target, None)
            }
            Application::GotoIf(branch) => {
                let (arguments, target) = self.chosen(branch);
                if let Some(target) = target {
                    self.goto(&target);
                }
                (arguments, None)
            }
            Application::Gosub(target) => {
                let target = self.expand(target);
                self.gosub(&target);
                (target, None)
            }
            Application::GosubIf(branch) => {
                let (arguments, target) = self.chosen(branch);
                if let Some(target) = target {
                    self.gosub(&target);
                }
                (arguments, None)
            }
            Application::Return(value) => {
                let value = self.expand(value);
                if let Err(warning) = self.execution.return_from(value.clone()) {
                    self.give_up(warning);
                }
                (value, None)
            }
            Application::Hangup(args) => {
                let text = self.expand(args);
                let cause = self.read(&text, cause::parse, "a hangup cause");
                (text, Some(Action::Hangup(cause)))
            }
            Application::Answer(args) => {
                let text = self.expand(args);
                let delay = self.read(&text, milliseconds, "a number of milliseconds");
                let delay = Duration::from_millis(delay.unwrap_or(0));
                (text, Some(Action::Answer { delay }))
            }
            Application::Wait(args) => {
                let (text, time) = self.seconds(args);
                (text, Some(Action::Wait(time.unwrap_or_default())))
            }
            Application::Busy(args) => {
                let (text, time) = self.seconds(args);
                (text, Some(Action::Busy(time)))
            }
            Application::Congestion(args) => {
                let (text, time) = self.seconds(args);
                (text, Some(Action::Congestion(time)))
            }
            Application::Dial(args) => self.dial(args),
            Application::Echo => (String::new(), Some(Action::Echo)),
            Application::Pickup(args) => {
                let text = self.expand(args);
                let request = pickup::parse(&text, &self.execution.context);
                (text, Some(Action::Pickup(request)))
            }
            Application::Transfer(args) => {
                let text = self.expand(args);
                (text.clone(), Some(Action::Transfer(text)))
            }
            Application::Ringing => (String::new(), Some(Action::Ringing)),
            Application::Progress => (String::new(), Some(Action::Progress)),
        };
        let is_end = matches!(action, None | Some(Action::Hangup(_)));
        let why_not = match self.execution.stage {
            Stage::AfterHangup if !is_end => "not done: the call is over",
            Stage::BeforeDial if !is_end => "not done: the callee is not called yet",
            _ => return Outcome { arguments, action },
        };
        self.warnings.push(why_not.into());
        Outcome {
            arguments,
            action: None,
        }
    }

    fn expand(&mut self, template: &Template) -> String {
        let execution = &mut *self.execution;
        let mut scope = Scope {
            context: &execution.context,
            extension: &execution.extension,
            priority: self.priority,
            variables: &execution.variables,
            own_globals: &execution.own_globals,
            globals: &self.plan.globals,
            channel: &*self.channel,
            random: &mut execution.random,
            warnings: self.warnings,
        };
        scope.expand(template)
    }

    /// Reads an argument that may be left out; what cannot be read is passed over with a warning.
    fn read<T>(
        &mut self,
        text: &str,
        parse: impl Fn(&str) -> Option<T>,
        expected: &str,
    ) -> Option<T> {
        if text.trim().is_empty() {
            return None;
        }
        let value = parse(text);
        if value.is_none() {
            self.warnings.push(format!("'{text}' is not {expected}"));
        }
        value
    }

    fn seconds(&mut self, args: &Template) -> (String, Option<Duration>) {
        let text = self.expand(args);
        let time = self.read(&text, dial::seconds, "a number of seconds");
        (text, time)
    }

    fn dial(&mut self, args: &Template) -> (String, Option<Action>) {
        let text = self.expand(args);
        let has_prepared = std::mem::take(&mut self.execution.has_prepared);
        match dial::parse(&text) {
            Ok(request) => match request.subroutine('B').filter(|_| !has_prepared) {
                None => (text, Some(Action::Dial(request))),
                Some(subroutine) => {
                    let place = Place::Step {
                        found: self.found,
                        priority: self.priority,
                    };
                    self.enter_subroutine(&subroutine, place, ReturnTo::Dial);
                    (text, None)
                }
            },
            Err(error) => {
                self.warnings.push(error);
                self.execution
                    .dial_finished(DialStatus::ChanUnavail, cause::UNALLOCATED);
                (text, None)
            }
        }
    }

    fn set(&mut self, assignment: &Assignment) -> String {
        let name = self.expand(&assignment.name);
        let value = self.expand(&assignment.value);
        let is_set = match name.split_once('(') {
            Some((function, args)) => {
                let args = args.rsplit_once(')').map_or(args, |(args, _)| args);
                self.set_function(&function.trim().to_ascii_uppercase(), args, &value)
            }
            None => self.execution.set_variable(&name, value.clone()),
        };
        if !is_set {
            self.warnings.push(format!("'{name}' was not set"));
        }
        format!("{name}={value}")
    }

    fn set_function(&mut self, function: &str, args: &str, value: &str) -> bool {
        if function == "LOCAL" {
            return self.execution.set_local(args, value.to_owned());
        }
        if self.channel.set_function(function, args, value) {
            return true;
        }
        // Where nobody keeps globals for all calls, they last as long as this one.
        let own = &mut self.execution.own_globals;
        let is_kept = function == "GLOBAL" && (own.len() < VARIABLES_MAX || own.contains_key(args));
        if is_kept {
            own.insert(args.to_owned(), value.to_owned());
        }
        is_kept
    }

    /// What a branch comes to, and where it goes: None for on.
    fn chosen(&mut self, branch: &Branch) -> (String, Option<String>) {
        let condition = self.expand(&branch.condition);
        let target = if expression::is_true(&condition) {
            &branch.yes
        } else {
            &branch.no
        };
        let target = self.expand(target);
        let arguments = format!("{condition}?{target}");
        (arguments, (!target.trim().is_empty()).then_some(target))
    }

    /// Moves the channel; ends it, with a warning, where there is nothing to go to.
    fn goto(&mut self, text: &str) {
        if let Err(warning) = self.execution.go(text, self.priority) {
            self.give_up(warning);
        }
    }

    fn gosub(&mut self, text: &str) {
        let place = self.execution.place;
        self.enter_subroutine(text, place, ReturnTo::Next);
    }

    fn enter_subroutine(&mut self, text: &str, place: Place, returns_to: ReturnTo) {
        let entered = self.execution.gosub(text, self.priority, place, returns_to);
        if let Err(warning) = entered {
            self.give_up(warning);
        }
    }

    fn give_up(&mut self, warning: String) {
        self.warnings.push(warning);
        self.execution.place = Place::Ended(None);
    }
}

#[cfg(test)]
mod tests;
