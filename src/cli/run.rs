//! `ringway run`.

use super::configuration::Source;
use super::{Failure, RunArgs, output};
use crate::runtime::{self, Launch, Listening, logging};
use std::fmt::Write;
use std::sync::Arc;

/// Runs the gateway until it is told to end.
pub fn run(args: RunArgs) -> Result<(), Failure> {
    let source = Source::new(args.config);
    let reading = source.read().map_err(|lines| {
        let name = source.name();
        Failure::new(format!(
            "{name} has errors, nothing was started:\n{}",
            lines.join("\n")
        ))
    })?;
    for warning in &reading.warnings {
        output::error(warning);
    }
    let launch = Launch {
        reading,
        loader: Arc::new(move || source.read()),
        log_format: args.log_format,
        log_levels: std::env::var(logging::LEVEL_VARIABLE).ok(),
    };
    runtime::start::run(launch, |listening| output::print(&announcement(listening)))
        .map_err(|error| Failure::new(format!("not started: {error}")))
}

/// The addresses, and the line that says that it serves.
fn announcement(listening: &Listening) -> String {
    let mut text = format!("ringway {}\n", env!("CARGO_PKG_VERSION"));
    for (name, protocol, address) in &listening.sip {
        let _ = writeln!(
            text,
            "sip    {} {address} (transport.{name})",
            protocol.name()
        );
    }
    let cores: Vec<String> = listening
        .worker_cores
        .iter()
        .map(|core| core.map_or_else(|| "any".into(), |core| core.to_string()))
        .collect();
    let (first, last) = listening.rtp_ports;
    let _ = writeln!(
        text,
        "rtp    {first}-{last}, workers on cores {}",
        cores.join(", ")
    );
    let _ = writeln!(text, "admin  http://{}", listening.admin);
    text.push_str("ready\n");
    text
}
