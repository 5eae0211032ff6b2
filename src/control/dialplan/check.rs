//! Checking what a step names in plain text: where it goes, and whom it dials.

use super::application::Application;
use super::arguments::split;
use super::context::{Dialplan, Extension, Found};
use super::dial;
use super::execution::split_subroutine;
use super::target::{Priority, Target};
use super::template::{Part, Template};
use crate::config::Location;

/// Stands for what is known only in a call.
const UNKNOWN: char = '\u{1}';

/// What is wrong with a step, in sentences.
pub(super) fn check_step(
    plan: &Dialplan,
    here: Found,
    application: &Application,
    is_dialable: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let checked = match application {
        Application::Goto(target) => vec![check_target(plan, here, &known_text(target))],
        Application::Gosub(target) => vec![check_subroutine(plan, here, &known_text(target))],
        Application::GotoIf(branch) => branch
            .targets()
            .map(|target| check_target(plan, here, &known_text(target)))
            .collect(),
        Application::GosubIf(branch) => branch
            .targets()
            .map(|target| check_subroutine(plan, here, &known_text(target)))
            .collect(),
        Application::Dial(args) => {
            let args = split(&known_text(args), ',', 3);
            return check_dial(plan, here, ("Dial", args.first(), args.get(2)), is_dialable);
        }
        Application::Page(args) => {
            let args = split(&known_text(args), ',', 3);
            return check_dial(plan, here, ("Page", args.first(), args.get(1)), is_dialable);
        }
        _ => return Vec::new(),
    };
    let errors = checked.into_iter().filter_map(Result::err);
    errors
        .map(|error| format!("{}: {error}", application.name()))
        .collect()
}

/// An announcement that a step names in plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The file, without its ending.
    pub name: String,
    /// Its language; None for the channel's.
    pub language: Option<String>,
    /// Where the step stands.
    pub location: Location,
    /// The section and key of the step.
    pub key: String,
}

/// The announcements that an application names in plain text, and their language.
pub(super) fn announcements(application: &Application) -> (Vec<String>, Option<String>) {
    let Application::Audio(audio, args) = application else {
        return (Vec::new(), None);
    };
    // What cannot be read before the call has told why, or is whole only then.
    let Ok(action) = audio.parse(&known_text(args)) else {
        return (Vec::new(), None);
    };
    let (names, language) = action.announcements();
    let is_known = |text: &&str| !text.contains(UNKNOWN);
    let names = names.into_iter().filter(is_known).map(str::to_owned);
    let is_spoken = language.is_none_or(|language| !language.contains(UNKNOWN));
    match is_spoken {
        true => (names.collect(), language.map(str::to_owned)),
        false => (Vec::new(), None),
    }
}

/// The text with [`UNKNOWN`] for all that is known only in a call.
pub(super) fn known_text(template: &Template) -> String {
    let parts = template.parts.iter().map(|part| match part {
        Part::Text(text) => text.clone(),
        Part::Reference(_) | Part::Expression(_) => UNKNOWN.to_string(),
    });
    parts.collect()
}

/// Whom an application dials, and the subroutines that run before: its name, its list, its options.
fn check_dial(
    plan: &Dialplan,
    here: Found,
    (application, list, options): (&str, Option<&String>, Option<&String>),
    is_dialable: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let list = list.map_or("", String::as_str);
    let options = options.map_or("", String::as_str);
    let targets = check_targets(list, is_dialable).into_iter();
    let targets = targets.map(|error| format!("{application}: {error}"));
    let subroutines = ['b', 'B'].into_iter().filter_map(|letter| {
        let subroutine = dial::subroutine(options, letter)?;
        let error = check_subroutine(plan, here, &subroutine).err()?;
        Some(format!("{application}: option {letter}: {error}"))
    });
    targets.chain(subroutines).collect()
}

/// `target` or `target(arguments)`.
fn check_subroutine(plan: &Dialplan, here: Found, text: &str) -> Result<(), String> {
    let (target, _) = split_subroutine(text);
    check_target(plan, here, target)
}

fn check_target(plan: &Dialplan, here: Found, text: &str) -> Result<(), String> {
    // The whole target may come out of one variable.
    if text.trim().chars().all(|c| c == UNKNOWN) && !text.trim().is_empty() {
        return Ok(());
    }
    let target = match Target::parse(text) {
        Err(_) if text.contains(UNKNOWN) => return Ok(()),
        parsed => parsed?,
    };
    let Some(extensions) = extensions_of(plan, here, &target)? else {
        return Ok(());
    };
    let (is_there, what) = match target.priority {
        Priority::Label(label) if label.contains(UNKNOWN) => return Ok(()),
        Priority::Relative(_) => return Ok(()),
        Priority::Label(label) => (
            extensions
                .iter()
                .any(|extension| extension.labelled(label).is_some()),
            format!("label '{label}'"),
        ),
        Priority::Number(number) => (
            extensions
                .iter()
                .any(|extension| number as usize <= extension.steps.len()),
            format!("priority {number}"),
        ),
    };
    if is_there {
        return Ok(());
    }
    Err(format!("no {what} in extension '{}'", extensions[0].name))
}

/// Those that the target may mean, at least one; None if only a call can tell.
fn extensions_of<'p>(
    plan: &'p Dialplan,
    here: Found,
    target: &Target<'_>,
) -> Result<Option<Vec<&'p Extension>>, String> {
    if target
        .context
        .is_some_and(|context| context.contains(UNKNOWN))
    {
        return Ok(None);
    }
    if let Some(missing) = target.context.filter(|context| !plan.has_context(context)) {
        return Err(format!("no context '{missing}'"));
    }
    let extension = match target.extension {
        Some(extension) if extension.contains(UNKNOWN) => return Ok(None),
        Some(extension) => extension,
        // With another context the extension is known only in a call.
        None if target.context.is_some() => return Ok(None),
        None => return Ok(Some(vec![plan.extension(here)])),
    };
    // A context's steps also run in the contexts that include it.
    let including = plan
        .contexts
        .iter()
        .filter(|context| context.searched.contains(&here.context))
        .map(|context| &context.name[..]);
    let contexts: Vec<&str> = match target.context {
        Some(context) => vec![context],
        None => including.collect(),
    };
    let found = contexts
        .iter()
        .filter_map(|context| plan.find(context, extension));
    let found: Vec<&Extension> = found.map(|found| plan.extension(found)).collect();
    if found.is_empty() {
        let contexts = contexts.join("', '");
        return Err(format!(
            "no extension '{extension}' in context '{contexts}'"
        ));
    }
    Ok(Some(found))
}

fn check_targets(list: &str, is_dialable: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut errors = Vec::new();
    for one in list.split('&').map(str::trim).filter(|one| !one.is_empty()) {
        match dial::target(one) {
            Ok(target) if target.name().contains(UNKNOWN) || is_dialable(target.name()) => {}
            Ok(target) => errors.push(format!("no endpoint or trunk group '{}'", target.name())),
            // What comes out of a variable may be whole only in a call.
            Err(_) if one.contains(UNKNOWN) => {}
            Err(error) => errors.push(error),
        }
    }
    errors
}
