//! The dialplan: contexts, patterns, variables, expressions and applications, in Asterisk's language.
//!
//! [`Dialplan`] is compiled once from the configuration and shared by all calls. An [`Execution`] is one channel's
//! place in it. It runs what concerns only itself (Set, Goto, NoOp …) and stops at each [`Action`] that the call must do.
//!
//! ```text
//!  settings::DialplanSource ──compile──► Dialplan ──start──► Execution ──advance──► Action … Hangup
//!    pattern  table                        context               ▲  expand  expression  function
//!    template application                                        └── dial_finished, set_variable
//! ```
//!
//! Where Asterisk leaves room or surprises, this is decided: an extension is its own list of steps (one that ends does not go
//! on in a worse match's higher priorities); `.` and `!` match no separators (see [`pattern`]); positions and lengths
//! count characters, not bytes; what the arguments name in plain text is checked when the configuration is loaded.

mod application;
mod arguments;
mod audio;
mod cause;
mod check;
mod compile;
mod context;
mod dial;
mod execution;
mod expand;
mod expression;
mod function;
pub mod pattern;
mod pickup;
mod rooms;
mod route;
mod table;
mod target;
mod template;
mod time;
mod token;
mod value;
mod variables;

pub use application::APPLICATIONS;
pub use audio::{
    AudioAction, BEEP, BackgroundRequest, DigitsRequest, Interrupt, MonitorRequest, MonitorSpan,
    PlaybackRequest, ReadRequest, RecordRequest, Unanswered, WaitRequest,
};
pub use check::Announcement;
pub use context::Dialplan;
pub use dial::TARGETS_MAX;
pub use execution::{
    DialStatus, Execution, GOSUB_ARGUMENTS_MAX, GOSUB_DEPTH_MAX, Reach, STEPS_MAX, StepTrace,
};
pub use expand::EXPANSION_LENGTH_MAX;
pub use pickup::{PICKUPS_MAX, PickupRequest, PickupTarget};
pub use rooms::PAGED_MAX;
pub use route::{RouteEnd, RouteReport, RouteStep, route};
pub use variables::VARIABLES_MAX;

use std::time::Duration;

/// What the call is to do before the dialplan goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Answer, then wait this long.
    Answer {
        /// Delay after the answer.
        delay: Duration,
    },
    /// Dial, then set DIALSTATUS, HANGUPCAUSE, and resume.
    Dial(DialRequest),
    /// Do nothing for so long.
    Wait(Duration),
    /// Do something with the caller's audio.
    Audio(AudioAction),
    /// Send the caller's audio back until it hangs up.
    Echo,
    /// Bring the caller into the room of that name until it hangs up; if it cannot come in, set CONFBRIDGE_RESULT and
    /// resume.
    Confer(String),
    /// Call these, and let all who answer hear the caller until it hangs up; when nobody is left, set CONFBRIDGE_RESULT and
    /// resume.
    Page(DialRequest),
    /// Bring the caller into a call that rings; if there is none, go on.
    Pickup(PickupRequest),
    /// Send the caller itself elsewhere (302, or REFER once it is answered); then set TRANSFERSTATUS and resume.
    Transfer(String),
    /// Tell the caller that it rings (180), without media.
    Ringing,
    /// Tell the caller that there is early media (183 with SDP).
    Progress,
    /// Answer 486 unless answered, and hang up (after so long).
    Busy(Option<Duration>),
    /// Answer 503 unless answered, and hang up (after so long).
    Congestion(Option<Duration>),
    /// Hang up with this Q.850 cause; None: normal clearing, or the cause that a Dial left.
    Hangup(Option<u8>),
}

/// The arguments of Dial, and of Page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialRequest {
    /// The technology/resource parts, split at `&`.
    pub targets: Vec<DialTarget>,
    /// None: ring for ever.
    pub timeout: Option<Duration>,
    /// The option letters with their arguments, as written.
    pub options: String,
}

/// One thing to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialTarget {
    /// `PJSIP/endpoint`: its contacts.
    Endpoint {
        /// The endpoint's or trunk group's name.
        name: String,
    },
    /// `PJSIP/number@endpoint` or `PJSIP/endpoint/number`: its contact with this user.
    Number {
        /// The endpoint's or trunk group's name.
        name: String,
        /// The number.
        number: String,
    },
    /// `PJSIP/endpoint/sip:user@host`: this URI, as that endpoint.
    Uri {
        /// The endpoint's name.
        name: String,
        /// The URI.
        uri: String,
    },
}

/// What a channel knows of itself, for `${CALLERID(num)}`, `${CHANNEL}`, `PJSIP_HEADER(read,…)` and the like.
/// The call implements it.
pub trait Channel {
    /// The value of a dialplan function, None if this channel does not have it.
    fn function(&self, name: &str, args: &str) -> Option<String>;
    /// `Set(FUNC(args)=value)`; false if this function cannot be set.
    fn set_function(&mut self, name: &str, args: &str, value: &str) -> bool;
    /// Seconds since the epoch, for `${EPOCH}` and STRFTIME.
    fn epoch(&self) -> u64;
}

#[cfg(test)]
mod fixture;
