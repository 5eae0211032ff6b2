//! The dry run: what a call would do, without making one.

use super::context::Dialplan;
use super::{Action, Channel, DialStatus, Execution, StepTrace, cause};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The most actions (Dial, Wait …) that a dry run follows, so that a loop through them ends.
const ACTIONS_MAX: usize = 100;
/// The most steps that a report shows.
const STEPS_SHOWN_MAX: usize = 500;

/// What [`route`] found. Its `Display` is readable text of several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteReport {
    /// Where the call came in.
    pub context: String,
    /// What was dialled.
    pub extension: String,
    /// The contexts searched for it, in order; the last one has the match.
    pub searched: Vec<String>,
    /// The extension or pattern that matched; `i` if none did.
    pub matched: String,
    /// The steps that ran, in order.
    pub steps: Vec<RouteStep>,
    /// How it ended.
    pub end: RouteEnd,
}

/// One step of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteStep {
    /// `context,extension,priority`
    pub place: String,
    /// Its label.
    pub label: Option<String>,
    /// The application with its arguments expanded, or what the dialplan did by itself.
    pub text: String,
    /// What was wrong and passed over.
    pub warnings: Vec<String>,
}

/// How a dry run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteEnd {
    /// Hung up with this Q.850 cause.
    Hangup(u8),
    /// It went on and on.
    Unfinished,
}

/// Follows a call of `extension` in `context` through the dialplan. Each Dial and Page is taken as not answered. `epoch` is the
/// time of the call in seconds since 1970 (UTC). None if nothing matches.
pub fn route(
    plan: &Arc<Dialplan>,
    context: &str,
    extension: &str,
    callerid: Option<&str>,
    epoch: u64,
) -> Option<RouteReport> {
    let found = plan
        .find(context, extension)
        .or_else(|| plan.find(context, "i"))?;
    let searched = &plan.context(*plan.by_name.get(context)?).searched;
    let last = searched
        .iter()
        .position(|context| *context == found.context);
    let mut report = RouteReport {
        context: context.to_owned(),
        extension: extension.to_owned(),
        searched: searched
            .iter()
            .take(last.map_or(searched.len(), |last| last + 1))
            .map(|context| plan.context(*context).name.clone())
            .collect(),
        matched: plan.extension(found).name.clone(),
        steps: Vec::new(),
        end: RouteEnd::Unfinished,
    };
    let mut channel = DryChannel::new(callerid.unwrap_or_default(), epoch);
    let mut execution = Execution::start(Arc::clone(plan), context, extension, []);
    for _ in 0..ACTIONS_MAX {
        let steps = &mut report.steps;
        let action = execution.advance(&mut channel, &mut |step| {
            if steps.len() < STEPS_SHOWN_MAX {
                steps.push(RouteStep::from(step));
            }
        });
        match action {
            Action::Dial(_) => execution.dial_finished(DialStatus::NoAnswer, cause::NO_ANSWER),
            Action::Page(_) => execution.conference_finished("FAILED"),
            Action::Hangup(cause) => {
                report.end = RouteEnd::Hangup(cause.unwrap_or(cause::NORMAL_CLEARING));
                break;
            }
            _ => {}
        }
    }
    Some(report)
}

impl From<&StepTrace<'_>> for RouteStep {
    fn from(step: &StepTrace<'_>) -> Self {
        let text = match step.matched {
            Some(_) if step.arguments.is_empty() => format!("{}()", step.application),
            Some(_) => format!("{}({})", step.application, step.arguments),
            None => step.application.to_owned(),
        };
        RouteStep {
            place: format!("{},{},{}", step.context, step.extension, step.priority),
            label: step.label.map(str::to_owned),
            text,
            warnings: step.warnings.to_vec(),
        }
    }
}

impl fmt::Display for RouteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "extension  {} in context {}",
            self.extension, self.context
        )?;
        writeln!(f, "searched   {}", self.searched.join(", "))?;
        let found_in = self.searched.last().map_or("", |context| context);
        writeln!(f, "matched    {} in context {found_in}", self.matched)?;
        let width = self
            .steps
            .iter()
            .map(|step| step.place.chars().count())
            .max()
            .unwrap_or(0);
        for step in &self.steps {
            let label = step
                .label
                .as_ref()
                .map(|label| format!("{label}: "))
                .unwrap_or_default();
            writeln!(f, "  {:width$}  {label}{}", step.place, step.text)?;
            for warning in &step.warnings {
                writeln!(f, "  {:width$}  warning: {warning}", "")?;
            }
        }
        match self.end {
            RouteEnd::Hangup(cause) => writeln!(f, "ends       hung up, cause {cause}"),
            RouteEnd::Unfinished => {
                writeln!(f, "ends       not within {ACTIONS_MAX} actions; a loop?")
            }
        }
    }
}

/// The channel of a call that is not made: it remembers what is set.
struct DryChannel {
    epoch: u64,
    functions: BTreeMap<(String, String), String>,
}

impl DryChannel {
    fn new(callerid: &str, epoch: u64) -> DryChannel {
        let mut channel = DryChannel {
            epoch,
            functions: BTreeMap::new(),
        };
        channel.set_callerid(callerid);
        channel.keep("CHANNEL", "name", "PJSIP/dry-run");
        channel.keep("CHANNEL", "uniqueid", "dry-run");
        channel
    }

    /// From `number` or `Name <number>`.
    fn set_callerid(&mut self, all: &str) {
        let (name, number) = match all.split_once('<') {
            Some((name, number)) => (
                name.trim().trim_matches('"'),
                number.trim().trim_end_matches('>'),
            ),
            None => ("", all.trim()),
        };
        self.keep("CALLERID", "name", name);
        self.keep("CALLERID", "num", number);
        self.keep("CALLERID", "all", all);
    }

    fn keep(&mut self, name: &str, args: &str, value: &str) {
        self.functions
            .insert((name.to_owned(), args.to_owned()), value.to_owned());
    }
}

impl Channel for DryChannel {
    fn function(&self, name: &str, args: &str) -> Option<String> {
        let key = (name.to_owned(), args.trim().to_ascii_lowercase());
        self.functions.get(&key).cloned()
    }

    fn set_function(&mut self, name: &str, args: &str, value: &str) -> bool {
        match (name, args) {
            // Left to the execution, which keeps it for this run.
            ("GLOBAL", _) => return false,
            ("CALLERID", "all") => self.set_callerid(value),
            _ => self.keep(name, &args.trim().to_ascii_lowercase(), value),
        }
        true
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::plan;
    use super::*;

    const PLAN: &str = "ME = 4930999
[from-home]
include local
include trunk
[local]
_6XXX => Dial(PJSIP/ep${EXTEN},20) | Hangup()
[trunk]
_0Z. => again: Set(CALLERID(all)=Me <${ME}>) | Verbose(${CALLERID(num)} dials) | Dial(PJSIP/ep-out/sip:49${EXTEN:1}@host,60) | GotoIf($[\"${DIALSTATUS}\" = \"BUSY\"]?again) | Hangup(${HANGUPCAUSE})
_00. => Wait(1) | Goto(1)
";

    #[test]
    fn the_report_reads_as_the_call_would_run() {
        let report = route(&plan(PLAN), "from-home", "03012345", Some("6001"), 0).expect("a match");
        let expected = "\
extension  03012345 in context from-home
searched   from-home, local, trunk
matched    _0Z. in context trunk
  from-home,03012345,1  again: Set(CALLERID(all)=Me <4930999>)
  from-home,03012345,2  Verbose(4930999 dials)
  from-home,03012345,3  Dial(PJSIP/ep-out/sip:493012345@host,60)
  from-home,03012345,4  GotoIf(0?)
  from-home,03012345,5  Hangup(19)
ends       hung up, cause 19
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn nothing_matches_nothing() {
        let plan = plan(PLAN);
        assert_eq!(route(&plan, "from-home", "112", None, 0), None);
        assert_eq!(route(&plan, "nowhere", "6001", None, 0), None);
        let local = route(&plan, "from-home", "6001", None, 0).expect("a match");
        assert_eq!(local.searched, ["from-home", "local"]);
    }

    #[test]
    fn the_callers_number_and_loops() {
        let plan = plan(
            "[c]\n1 => NoOp(${CALLERID(name)}/${CALLERID(num)}) | Wait(1) | Goto(1)\ni => NoOp(${INVALID_EXTEN})",
        );
        let report = route(&plan, "c", "1", Some("\"Ann B\" <77>"), 0).expect("a match");
        assert_eq!(report.steps[0].text, "NoOp(Ann B/77)");
        assert_eq!(report.end, RouteEnd::Unfinished);
        let report = route(&plan, "c", "2", None, 0).expect("i");
        assert_eq!(
            (&report.matched[..], &report.steps[1].text[..]),
            ("i", "NoOp(2)")
        );
    }
}
