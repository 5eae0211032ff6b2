//! `ringway route CONTEXT EXTENSION`.

use super::configuration::Source;
use super::{Failure, output};
use crate::control::dialplan;
use clap::Args;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Exit status where nothing matches.
const NO_MATCH: u8 = 3;

/// Arguments of `route`.
#[derive(Debug, Args)]
pub struct RouteArgs {
    /// The configuration; without it the built-in one
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the call comes in
    context: String,
    /// What is dialled
    extension: String,
    /// The caller's number
    #[arg(long, value_name = "NUM")]
    callerid: Option<String>,
}

/// Prints what a call would do.
pub fn route(args: RouteArgs) -> Result<(), Failure> {
    let source = Source::new(args.config);
    let reading = source
        .read()
        .map_err(|lines| Failure::new(lines.join("\n")))?;
    let epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let plan = reading.setup.dialplan();
    let callerid = args.callerid.as_deref();
    let report = dialplan::route(plan, &args.context, &args.extension, callerid, epoch);
    match report {
        Some(report) => {
            output::print(&report.to_string());
            Ok(())
        }
        None => Err(Failure {
            message: no_match(&reading.setup, &args.context, &args.extension),
            status: NO_MATCH,
        }),
    }
}

fn no_match(setup: &crate::control::setup::Setup, context: &str, extension: &str) -> String {
    if setup.dialplan().has_context(context) {
        return format!("nothing in context {context} or what it includes matches {extension}");
    }
    let contexts: Vec<&str> = setup.dialplan().contexts().collect();
    format!(
        "no context {context}, so nothing matches {extension}; there are: {}",
        contexts.join(", ")
    )
}
