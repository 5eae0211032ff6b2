//! `ringway check FILE`.

use super::Failure;
use super::configuration::Source;
use super::output;
use std::path::Path;

/// Prints `ok`, after the warnings if there are any.
pub fn check(file: &Path) -> Result<(), Failure> {
    let reading = Source::File(file.to_owned())
        .read()
        .map_err(|lines| Failure::new(lines.join("\n")))?;
    for warning in &reading.warnings {
        output::error(warning);
    }
    output::print("ok\n");
    Ok(())
}
