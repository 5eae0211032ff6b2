//! The configuration: TOML as written (`raw`) → checked types ([`settings`]). The raw form never leaves this module.

pub mod diagnostic;
pub mod settings;

pub use diagnostic::{Diagnostic, Location, Severity};
pub use settings::Settings;
