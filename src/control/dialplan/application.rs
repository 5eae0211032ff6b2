//! A step as written, `label: App(args)`, and as compiled.

use super::audio::AudioApplication;
use super::template::Template;
use super::{cause, dial, function, rooms};

/// The applications of this version, as they are spelled.
pub const APPLICATIONS: [&str; 36] = [
    "Answer",
    "Background",
    "Busy",
    "ConfBridge",
    "Congestion",
    "Dial",
    "Echo",
    "Gosub",
    "GosubIf",
    "Goto",
    "GotoIf",
    "Hangup",
    "MixMonitor",
    "MusicOnHold",
    "NoOp",
    "Page",
    "Pickup",
    "Playback",
    "Playtones",
    "Progress",
    "Read",
    "Record",
    "Return",
    "Ringing",
    "SayDigits",
    "SayNumber",
    "SendDTMF",
    "Set",
    "StartMusicOnHold",
    "StopMixMonitor",
    "StopMusicOnHold",
    "StopPlaytones",
    "Transfer",
    "Verbose",
    "Wait",
    "WaitExten",
];

/// A compiled step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) label: Option<String>,
    pub(super) application: Application,
}

/// An application with its arguments, parsed as far as they are plain text.
#[derive(Debug)]
pub(super) enum Application {
    Answer(Template),
    Audio(AudioApplication, Template),
    Busy(Template),
    ConfBridge(Template),
    Congestion(Template),
    Dial(Template),
    Echo,
    Gosub(Template),
    GosubIf(Branch),
    Goto(Template),
    GotoIf(Branch),
    Hangup(Template),
    NoOp(Template),
    Page(Template),
    Pickup(Template),
    Progress,
    Return(Template),
    Ringing,
    Set(Assignment),
    Transfer(Template),
    Verbose(Template),
    Wait(Template),
}

/// `GotoIf(condition?yes:no)`, `GosubIf` likewise; a side left out goes on with the next step.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) condition: Template,
    pub(super) yes: Template,
    pub(super) no: Template,
}

/// `Set(name=value)`
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) name: Template,
    pub(super) value: Template,
}

/// What reading a step tells beside the step.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) warnings: Vec<String>,
}

impl Step {
    /// Reads a step.
    ///
    /// # Errors
    /// One sentence: what is wrong and what is accepted.
    pub(super) fn parse(text: &str, notes: &mut Notes) -> Result<Step, String> {
        let (label, text) = split_label(text.trim());
        let (name, args) = split_call(text, notes)?;
        let application = Application::parse(name, args)?;
        Ok(Step {
            label: label.map(str::to_owned),
            application,
        })
    }

    /// Keeps the place and the label of a step that cannot be read, so that what goes there is not told as well.
    pub(super) fn unreadable(text: &str) -> Step {
        let (label, _) = split_label(text.trim());
        Step {
            label: label.map(str::to_owned),
            application: Application::NoOp(Template::default()),
        }
    }
}

impl Application {
    fn parse(name: &str, args: &str) -> Result<Application, String> {
        let known = APPLICATIONS
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        let Some(known) = known else {
            let known = APPLICATIONS.join(", ");
            return Err(format!("no application '{name}'; there are {known}"));
        };
        let args = Template::parse(args).map_err(|error| format!("{known}: {error}"))?;
        let application = match AudioApplication::named(known) {
            Some(audio) => Application::Audio(audio, args),
            None => Application::named(known, args)?,
        };
        application.check()?;
        Ok(application)
    }

    /// One that is no [`AudioApplication`].
    fn named(known: &str, args: Template) -> Result<Application, String> {
        Ok(match known {
            "Answer" => Application::Answer(args),
            "Busy" => Application::Busy(args),
            "ConfBridge" => Application::ConfBridge(args),
            "Congestion" => Application::Congestion(args),
            "Dial" => Application::Dial(args),
            "Echo" => Application::Echo,
            "Gosub" => Application::Gosub(args),
            "GosubIf" => Application::GosubIf(Branch::parse(known, &args)?),
            "Goto" => Application::Goto(args),
            "GotoIf" => Application::GotoIf(Branch::parse(known, &args)?),
            "Hangup" => Application::Hangup(args),
            "NoOp" => Application::NoOp(args),
            "Page" => Application::Page(args),
            "Pickup" => Application::Pickup(args),
            "Progress" => Application::Progress,
            "Return" => Application::Return(args),
            "Ringing" => Application::Ringing,
            "Set" => Application::Set(Assignment::parse(args)?),
            "Transfer" => Application::Transfer(args),
            "Verbose" => Application::Verbose(args),
            _ => Application::Wait(args),
        })
    }

    /// The name as it is spelled.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Application::Answer(_) => "Answer",
            Application::Audio(audio, _) => audio.name(),
            Application::Busy(_) => "Busy",
            Application::ConfBridge(_) => "ConfBridge",
            Application::Congestion(_) => "Congestion",
            Application::Dial(_) => "Dial",
            Application::Echo => "Echo",
            Application::Gosub(_) => "Gosub",
            Application::GosubIf(_) => "GosubIf",
            Application::Goto(_) => "Goto",
            Application::GotoIf(_) => "GotoIf",
            Application::Hangup(_) => "Hangup",
            Application::NoOp(_) => "NoOp",
            Application::Page(_) => "Page",
            Application::Pickup(_) => "Pickup",
            Application::Progress => "Progress",
            Application::Return(_) => "Return",
            Application::Ringing => "Ringing",
            Application::Set(_) => "Set",
            Application::Transfer(_) => "Transfer",
            Application::Verbose(_) => "Verbose",
            Application::Wait(_) => "Wait",
        }
    }

    /// Checks what can be checked before a call: arguments with nothing to expand.
    fn check(&self) -> Result<(), String> {
        match self {
            Application::Answer(args) => check_literal(args, "Answer", "milliseconds", |text| {
                milliseconds(text).is_some()
            }),
            Application::Busy(args) => check_literal(args, "Busy", "seconds", is_seconds),
            Application::Congestion(args) => {
                check_literal(args, "Congestion", "seconds", is_seconds)
            }
            Application::Wait(args) if args.literal() == Some("") => {
                Err("Wait needs a number of seconds, as in Wait(1.5)".into())
            }
            Application::Wait(args) => check_literal(args, "Wait", "seconds", is_seconds),
            Application::Hangup(args) => check_literal(
                args,
                "Hangup",
                "a Q.850 cause (0 to 127 or its name)",
                |text| cause::parse(text).is_some(),
            ),
            Application::Transfer(args)
                if args.literal().is_some_and(|to| to.trim().is_empty()) =>
            {
                Err("Transfer needs where to, as in Transfer(sip:123@host)".into())
            }
            Application::Dial(args) => parsed(args, dial::parse),
            Application::Page(args) => parsed(args, rooms::page),
            Application::ConfBridge(args) => parsed(args, rooms::conference),
            Application::Audio(audio, args) => parsed(args, |text| audio.parse(text)),
            _ => Ok(()),
        }
    }
}

impl Branch {
    /// Both sides, but those left out.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Template> {
        let sides = [&self.yes, &self.no].into_iter();
        sides.filter(|target| !target.parts.is_empty())
    }

    fn parse(application: &str, args: &Template) -> Result<Branch, String> {
        let shape =
            || format!("{application} needs (condition?target) or (condition?target:target)");
        let (condition, targets) = args.split_once('?').ok_or_else(shape)?;
        let (yes, no) = match targets.split_once(':') {
            Some((yes, no)) => (yes.trimmed(), no.trimmed()),
            None => (targets.trimmed(), Template::default()),
        };
        if yes.parts.is_empty() && no.parts.is_empty() {
            return Err(shape());
        }
        Ok(Branch { condition, yes, no })
    }
}

impl Assignment {
    fn parse(args: Template) -> Result<Assignment, String> {
        let shape = "Set needs name=value or FUNCTION(args)=value";
        let (name, value) = args.split_once('=').ok_or(shape)?;
        let name = name.trimmed();
        match name.parts.first() {
            None => return Err(shape.into()),
            Some(super::template::Part::Text(text)) if text.contains('(') => {
                let function = text.split('(').next().unwrap_or_default();
                function::check_writable(&function.trim().to_ascii_uppercase())?;
            }
            Some(_) => {}
        }
        Ok(Assignment { name, value })
    }
}

/// Whole milliseconds from 0 to a day; empty is 0. What follows a comma (`nocdr`) does not matter here.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let text = text.split(',').next().unwrap_or_default();
    match text.trim() {
        "" => Some(0),
        number => number.parse::<u64>().ok().map(|ms| ms.min(86_400_000)),
    }
}

/// Reads arguments, if there is nothing to expand in them.
fn parsed<T>(args: &Template, parse: impl Fn(&str) -> Result<T, String>) -> Result<(), String> {
    match args.literal() {
        Some(text) => parse(text).map(|_| ()),
        None => Ok(()),
    }
}

fn is_seconds(text: &str) -> bool {
    dial::seconds(text).is_some()
}

fn check_literal(
    args: &Template,
    application: &str,
    unit: &str,
    is_good: impl Fn(&str) -> bool,
) -> Result<(), String> {
    match args.literal() {
        Some(text) if !text.trim().is_empty() && !is_good(text) => {
            Err(format!("{application}({text}): expected {unit}"))
        }
        _ => Ok(()),
    }
}

/// `label: App(…)`; a label has letters, digits, `_` and `-`.
fn split_label(text: &str) -> (Option<&str>, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
    match end.map(|end| text.split_at(end)) {
        Some((label, rest)) if !label.is_empty() && rest.trim_start().starts_with(':') => {
            let rest = rest.trim_start();
            (Some(label), rest[1..].trim_start())
        }
        _ => (None, text),
    }
}

/// `App(args)` or `App`.
fn split_call<'t>(text: &'t str, notes: &mut Notes) -> Result<(&'t str, &'t str), String> {
    let Some((name, inside)) = text.split_once('(') else {
        return match text {
            "" => Err("an empty step; expected App(arguments)".into()),
            name => Ok((name, "")),
        };
    };
    let name = name.trim();
    // A quote that does not end is an ordinary character (`5" pipe`).
    let closing =
        closing_bracket(inside, true).unwrap_or_else(|| closing_bracket(inside, false).flatten());
    match closing {
        Some(at) if inside[at + 1..].trim().is_empty() => Ok((name, &inside[..at])),
        Some(at) => Err(format!(
            "'{}' after the ')' that closes '{name}('",
            inside[at + 1..].trim()
        )),
        None if name.eq_ignore_ascii_case("Set") => {
            notes
                .warnings
                .push("'Set(' without its ')'; read as if it stood at the end".into());
            Ok((name, inside))
        }
        None => Err(format!("'{name}(' without its ')'")),
    }
}

/// Where the bracket closes that was open before the text: `Some(None)` if nowhere. None if quotes count and one does not end.
fn closing_bracket(text: &str, quotes_count: bool) -> Option<Option<usize>> {
    let (mut open, mut in_quotes, mut escaped) = (1usize, false, false);
    for (at, c) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' => escaped = true,
            '"' if quotes_count => in_quotes = !in_quotes,
            _ if in_quotes => {}
            '(' => open += 1,
            ')' => {
                open -= 1;
                if open == 0 {
                    return Some(Some(at));
                }
            }
            _ => {}
        }
    }
    (!in_quotes).then_some(None)
}
