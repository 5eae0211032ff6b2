//! `ringway loadtest …`: becomes the load generator, a program of its own beside this one.

use super::Failure;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// Name of the load generator's binary.
const PROGRAM: &str = "ringway-loadtest";

/// Runs the load generator against this very binary. Returns only if it cannot be started.
pub fn loadtest(arguments: &[OsString]) -> Result<(), Failure> {
    let gateway = std::env::current_exe().map_err(Failure::new)?;
    let beside = gateway.with_file_name(PROGRAM);
    let program = match beside.is_file() {
        true => beside,
        false => PathBuf::from(PROGRAM),
    };
    let error = Command::new(&program)
        .env("RINGWAY_BINARY", &gateway)
        .args(arguments)
        .exec();
    Err(Failure::new(format!(
        "cannot start {}: {error}; build it with `make build`, or put it beside {}",
        program.display(),
        gateway.display()
    )))
}
