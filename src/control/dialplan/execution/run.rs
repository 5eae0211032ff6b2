//! What each application does.

use super::super::application::{Application, Assignment, Branch, Step, milliseconds};
use super::super::audio::AudioApplication;
use super::super::context::{Dialplan, Found};
use super::super::expand::Scope;
use super::super::template::Template;
use super::super::variables::VARIABLES_MAX;
use super::super::{Action, Channel, DialRequest, cause, dial, expression, pickup, rooms};
use super::gosub::ReturnTo;
use super::{DialStatus, Execution, Place, Stage};
use std::time::Duration;

/// What a step comes to: its expanded arguments, and an action if it stops there.
pub(super) struct Outcome {
    pub(super) arguments: String,
    pub(super) action: Option<Action>,
}

/// One step while it runs.
pub(super) struct Run<'a> {
    pub(super) execution: &'a mut Execution,
    pub(super) plan: &'a Dialplan,
    pub(super) found: Found,
    pub(super) priority: u32,
    pub(super) channel: &'a mut dyn Channel,
    pub(super) warnings: &'a mut Vec<String>,
}

impl Run<'_> {
    pub(super) fn step(&mut self, step: &Step) -> Outcome {
        let (arguments, action) = self.application(&step.application);
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

    fn application(&mut self, application: &Application) -> (String, Option<Action>) {
        match application {
            Application::NoOp(args) | Application::Verbose(args) => (self.expand(args), None),
            Application::Set(assignment) => (self.set(assignment), None),
            Application::Goto(target) => (self.goto(target), None),
            Application::GotoIf(branch) => (self.goto_if(branch), None),
            Application::Gosub(target) => (self.gosub(target), None),
            Application::GosubIf(branch) => (self.gosub_if(branch), None),
            Application::Return(value) => (self.return_value(value), None),
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
            Application::Audio(audio, args) => self.audio(*audio, args),
            Application::Dial(args) => self.dial(args),
            Application::Page(args) => self.page(args),
            Application::ConfBridge(args) => {
                let text = self.expand(args);
                match rooms::conference(&text) {
                    Ok(name) => (text, Some(Action::Confer(name))),
                    Err(warning) => self.fail_to_confer(text, warning),
                }
            }
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
        }
    }

    /// Arguments that cannot be read let the dialplan go on, with a warning.
    fn audio(&mut self, audio: AudioApplication, args: &Template) -> (String, Option<Action>) {
        let text = self.expand(args);
        match audio.parse(&text) {
            Ok(action) => (text, Some(Action::Audio(action))),
            Err(warning) => {
                self.warnings.push(warning);
                (text, None)
            }
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
            Ok(request) => (
                text,
                self.after_preparing(has_prepared, request, Action::Dial),
            ),
            Err(error) => {
                self.warnings.push(error);
                self.execution
                    .dial_finished(DialStatus::ChanUnavail, cause::UNALLOCATED);
                (text, None)
            }
        }
    }

    fn page(&mut self, args: &Template) -> (String, Option<Action>) {
        let text = self.expand(args);
        let has_prepared = std::mem::take(&mut self.execution.has_prepared);
        match rooms::page(&text) {
            Ok(request) => (
                text,
                self.after_preparing(has_prepared, request, Action::Page),
            ),
            Err(warning) => self.fail_to_confer(text, warning),
        }
    }

    fn fail_to_confer(&mut self, text: String, warning: String) -> (String, Option<Action>) {
        self.warnings.push(warning);
        self.execution.conference_finished("FAILED");
        (text, None)
    }

    /// What dials, once the subroutine of its option `B` has run: the step runs again then.
    fn after_preparing(
        &mut self,
        has_prepared: bool,
        request: DialRequest,
        action: fn(DialRequest) -> Action,
    ) -> Option<Action> {
        let Some(subroutine) = request.subroutine('B').filter(|_| !has_prepared) else {
            return Some(action(request));
        };
        let place = Place::Step {
            found: self.found,
            priority: self.priority,
        };
        self.enter_subroutine(&subroutine, place, ReturnTo::Dial);
        None
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

    fn goto(&mut self, target: &Template) -> String {
        let target = self.expand(target);
        self.go(&target);
        target
    }

    fn goto_if(&mut self, branch: &Branch) -> String {
        let (arguments, target) = self.chosen(branch);
        if let Some(target) = target {
            self.go(&target);
        }
        arguments
    }

    /// Moves the channel; ends it, with a warning, where there is nothing to go to.
    fn go(&mut self, text: &str) {
        if let Err(warning) = self.execution.go(text, self.priority) {
            self.give_up(warning);
        }
    }

    fn gosub(&mut self, target: &Template) -> String {
        let target = self.expand(target);
        let place = self.execution.place;
        self.enter_subroutine(&target, place, ReturnTo::Next);
        target
    }

    fn gosub_if(&mut self, branch: &Branch) -> String {
        let (arguments, target) = self.chosen(branch);
        if let Some(target) = target {
            let place = self.execution.place;
            self.enter_subroutine(&target, place, ReturnTo::Next);
        }
        arguments
    }

    fn return_value(&mut self, value: &Template) -> String {
        let value = self.expand(value);
        if let Err(warning) = self.execution.return_from(value.clone()) {
            self.give_up(warning);
        }
        value
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
