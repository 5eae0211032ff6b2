//! The seam between the two planes: what control tells a worker, what a worker tells control, and the rows that
//! both show to an operator. Commands and events are `Copy` and hold no lock and no `Arc`.

pub mod command;
pub mod event;
pub mod ids;
pub mod query;
pub mod ring;

pub use command::{Command, PayloadMap, Remote};
pub use event::{Event, LegReport, OpenError};
pub use ids::{LegId, PortRange, RtpPort, WorkerId};
