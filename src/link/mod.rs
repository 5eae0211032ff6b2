//! The seam between the two planes: what control tells a worker, what a worker tells control, and the rows that
//! both show to an operator. No message holds a lock. Audio that is played or recorded goes by reference: a clip that
//! nobody changes, a queue that never waits.

pub mod clip;
pub mod command;
pub mod event;
pub mod formats;
pub mod ids;
pub mod query;
pub mod recording;
pub mod ring;

pub use clip::{Clip, ClipHandle, PlayId, PlayMode, Rate};
pub use command::{Carries, Command, Digit, LegCrypto, Listening, PayloadMap, Remote, RoomId};
pub use event::{Event, LegReport, OpenError, Unusable};
pub use formats::{FormatList, LegFormats, WireFormat};
pub use ids::{LegId, PortRange, RtpPort, WorkerId};
pub use recording::{Channels, RecordId, RecordingSink, RecordingSource, RunningRecording};
