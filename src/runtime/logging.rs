//! Structured logs to standard error.
//!
//! A terminal or a pipe that is read slowly must not stop calls, so lines go through a bounded queue to a thread of
//! their own; what finds the queue full is given up and counted (`ringway_log_lines_dropped_total`).

use std::io::IsTerminal;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Most lines that wait for standard error.
const LINES_MAX: usize = 8192;

/// The environment variable with the levels: `debug`, or `info,ringway::sip=debug`.
pub const LEVEL_VARIABLE: &str = "RINGWAY_LOG";

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `TIME LEVEL module: message key=value …`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// The running logs. Dropping it writes what still waits.
pub struct Logging {
    _writes_the_rest: WorkerGuard,
    dropped: ErrorCounter,
}

impl Logging {
    /// Lines given up so far.
    pub fn lines_dropped(&self) -> u64 {
        self.dropped.dropped_lines() as u64
    }
}

/// The levels in [`LEVEL_VARIABLE`] are not understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "{LEVEL_VARIABLE}={given:?}: {reason}; accepted: error, warn, info, debug, trace, or module=level, with commas"
)]
pub struct BadLevels {
    given: String,
    reason: String,
}

/// Begins to log. Once a process. `levels` is the value of [`LEVEL_VARIABLE`], `info` if it is not set.
///
/// # Errors
/// The levels are not understood.
pub fn start(format: LogFormat, levels: Option<String>) -> Result<Logging, BadLevels> {
    let given = levels
        .filter(|levels| !levels.trim().is_empty())
        .unwrap_or_else(|| "info".into());
    let filter = EnvFilter::try_new(&given).map_err(|error| BadLevels {
        given,
        reason: error.to_string(),
    })?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX)
        .thread_name("log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(writer);
    // An error means that a subscriber is there already (in a test); its lines are as good.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .try_init(),
    };
    Ok(Logging {
        _writes_the_rest: guard,
        dropped,
    })
}
