//! The command line: arguments → what to do. Results go to standard output, errors to standard error with the most
//! important line first; exit status 1 for an error, 2 for wrong usage, 3 where `route` finds nothing.

mod check;
mod client;
mod configuration;
mod loadtest;
mod operate;
mod output;
mod route;
mod run;
mod show;
mod status;

use crate::runtime::logging::LogFormat;
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// A SIP media gateway: one control thread for calls, pinned io_uring workers for their audio.
#[derive(Debug, Parser)]
#[command(name = "ringway", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ringway run                          serve with the built-in configuration, on loopback
  ringway run -c /etc/ringway/ringway.toml
  ringway check /etc/ringway/ringway.toml
  ringway route from-trunk 4930123456  what a call would do, without making it
  ringway status                       one screen about the running gateway
  ringway show calls --json";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in the foreground
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Check a configuration: `ok`, or every error and warning with line and column
    #[command(after_help = "Exit status: 0 with warnings only, 1 with an error.\n\n\
        Example:\n  ringway check /etc/ringway/ringway.toml")]
    Check {
        /// The configuration
        file: PathBuf,
    },
    /// Show what a call would do, without making it: contexts searched, match, steps
    #[command(
        after_help = "Exit status: 3 if nothing matches.\n\nExample:\n  ringway route -c ringway.toml from-trunk 4930123456 --callerid 4940999"
    )]
    Route(route::RouteArgs),
    /// One screen about the running gateway
    Status {
        #[command(flatten)]
        gateway: Gateway,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// A table of what the running gateway has
    #[command(
        after_help = "Examples:\n  ringway show calls\n  ringway show dialplan from-trunk --json"
    )]
    Show(show::ShowArgs),
    /// Read the configuration of the running gateway again: all or nothing, calls go on
    Reload {
        #[command(flatten)]
        gateway: Gateway,
    },
    /// End a call of the running gateway
    #[command(after_help = "Example:\n  ringway show calls\n  ringway hangup CALL-ID")]
    Hangup {
        /// Its id, as `ringway show calls` prints it
        call_id: String,
        #[command(flatten)]
        gateway: Gateway,
    },
    /// Lift the ban of a source, as `ringway show bans` prints it
    #[command(after_help = "Example:\n  ringway show bans\n  ringway unban 203.0.113.66")]
    Unban {
        /// Its address
        address: String,
        #[command(flatten)]
        gateway: Gateway,
    },
    /// Let the running gateway take no new call, wait for the running ones, and end
    Drain {
        #[command(flatten)]
        gateway: Gateway,
    },
    /// Put this binary under load: `ringway loadtest --help` has the kinds
    #[command(disable_help_flag = true)]
    Loadtest {
        /// Handed on to ringway-loadtest
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "ARGUMENTS"
        )]
        arguments: Vec<OsString>,
    },
}

const RUN_HELP: &str = "\
Signals: SIGTERM or SIGINT takes no new call and ends with the last one, a second one ends the calls;
SIGHUP reads the configuration again.
Environment: RINGWAY_LOG sets the log levels: error, warn, info (default), debug, trace, or module=level.

Examples:
  ringway run
  ringway run -c /etc/ringway/ringway.toml --log-format json";

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration; without it the built-in one, on loopback
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
    /// How log lines look
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// Where the running gateway is.
#[derive(Clone, Debug, Args)]
struct Gateway {
    /// Admin address of the running gateway. Its token, if it has one, is read from RINGWAY_ADMIN_TOKEN
    #[arg(
        long,
        env = "RINGWAY_ADMIN",
        default_value = "http://127.0.0.1:8088",
        value_name = "URL",
        global = true
    )]
    admin: String,
}

/// What goes wrong: what standard error is told, and the exit status.
#[derive(Debug)]
struct Failure {
    message: String,
    status: u8,
}

impl Failure {
    fn new(message: impl ToString) -> Failure {
        Failure {
            message: message.to_string(),
            status: 1,
        }
    }
}

/// Runs the command that the process's arguments name. Clap itself answers wrong usage, with exit status 2.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Check { file } => check::check(&file),
        Command::Route(args) => route::route(args),
        Command::Status { gateway, json } => status::status(&gateway, json),
        Command::Show(args) => show::show(&args),
        Command::Reload { gateway } => operate::reload(&gateway),
        Command::Hangup { call_id, gateway } => operate::hangup(&gateway, &call_id),
        Command::Unban { address, gateway } => operate::unban(&gateway, &address),
        Command::Drain { gateway } => operate::drain(&gateway),
        Command::Loadtest { arguments } => loadtest::loadtest(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure.message);
            ExitCode::from(failure.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
