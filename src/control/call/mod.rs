//! The B2BUA: a call and its legs.
//!
//! A [`Call`] begins with an INVITE, walks the dialplan ([`script`]), dials ([`dialling`]) and joins the caller's leg
//! with the leg of the one who answers. Each leg is a dialog of its own ([`leg`]); nothing of one leg's addresses,
//! tags or Call-ID appears on the other. What happens reaches the call through the `on_…` methods, always with the
//! [`Context`] that all calls share.
//!
//! | file, folder | concept |
//! |---|---|
//! | `leg` | a dialog with one peer |
//! | `caller` | the inbound leg until it is up: 180, 183, 200, failure |
//! | `dialling` | Dial: targets, failover, time limits; the outbound legs until they are up |
//! | `identity` | who calls, as a callee is told: From, Request-URI, P-Asserted-Identity, Diversion |
//! | `media` | a leg's port and session descriptions; codecs and keys |
//! | `exchange` | offers and answers in a dialog: re-INVITE, UPDATE, PRACK; session timers; who hears whom |
//! | `transfer` | REFER, Replaces, pickup: legs that go elsewhere |
//! | `script`, `channel` | the dialplan's actions and functions |
//! | `application` | applications that have the caller's audio: prompts, digits, recordings, conferences, pages |
//! | `digits` | INFO; DTMF between sides that have it in different ways |
//! | `in_dialog` | BYE, OPTIONS |
//! | `challenge`, `unanswered` | our own requests that wait for a response; digest challenges to them |
//! | `ending` | hanging up, and what is left to wait for |
//! | `cause` | Q.850, SIP status, DIALSTATUS |
//! | `report` | what operators see of a call: rows, log, metrics |

pub mod application;
mod caller;
pub mod cause;
mod challenge;
mod channel;
mod dialling;
mod digits;
mod ending;
mod exchange;
pub mod identity;
mod in_dialog;
pub mod leg;
pub mod media;
mod report;
mod script;
#[cfg(test)]
pub(in crate::control) mod tests;
pub mod transfer;
mod unanswered;

pub(super) use dialling::targets::escape_user;

use crate::config::settings::{Endpoint, EndpointId, Presentation};
use crate::control::context::{CallTimer, Context};
use crate::control::dialplan::{Action, Execution};
use crate::control::locate::path::Path;
use crate::control::setup::Setup;
use crate::link::{Command, Event, LegId, LegReport};
use crate::sdp::Description;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Headers, Request};
use crate::sip::timer::TimerId;
use application::Attending;
use application::conferring::{ConferenceWish, Seat};
use cause::{Cause, Failure};
use dialling::Dialling;
use ending::End;
use exchange::Exchange;
use exchange::direct::DirectMedia;
use exchange::reliable::Early;
use identity::diversion::Diversion;
use identity::headers::AddedHeaders;
use leg::{Leg, MediaState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use transfer::Transfer;

/// The methods that a call's dialogs take.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, OPTIONS, BYE, INFO, PRACK, UPDATE, REFER, NOTIFY";

/// Content-Type of a session description.
pub const SDP: &str = "application/sdp";

/// Retry-After of a refusal that is to pass, in seconds.
pub const RETRY_AFTER_S: u32 = 5;

/// Most legs that one call may begin in its life: targets, failover and every further Dial together.
pub const LEGS_MAX: u16 = 64;

/// A call's place in the controller's table. The generation tells two calls in one place apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// Place.
    pub index: u32,
    /// Counts the calls.
    pub generation: u32,
}

/// A leg's number in its call: 0 is the one that began it, the others count up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LegNo(pub u16);

impl LegNo {
    /// The leg that began the call. It is the caller's until a transfer.
    pub const CALLER: LegNo = LegNo(0);
}

/// One of the two joined legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who called.
    Caller,
    /// Who answered.
    Callee,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Side {
        match self {
            Side::Caller => Side::Callee,
            Side::Callee => Side::Caller,
        }
    }
}

/// What is known of a call from its beginning, for logs and rows.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the INVITE came from.
    pub source: SocketAddr,
    /// How its endpoint was identified (`ip 192.0.2.0/24`).
    pub identified: String,
    /// The caller's number.
    pub caller: String,
    /// The caller's name.
    pub caller_name: String,
    /// Whether a callee may learn who calls.
    pub presentation: Presentation,
    /// The number that pays for the call: the caller's, as it came.
    pub ani: String,
    /// Who transferred the call, as the transferer itself says; may be empty.
    pub referred_by: Option<String>,
    /// The dialog of somebody else's that the callee is to take the call in place of (RFC 3891).
    pub replaces: Option<String>,
    /// Who forwarded the call, the last one first.
    pub diversions: Vec<Diversion>,
    /// The number dialled.
    pub called: String,
    /// The dialplan context it came into.
    pub context: String,
    /// How the gateway speaks to the caller.
    pub manner: Manner,
}

impl Facts {
    /// Somebody else is the caller: its name and number, and who may learn them.
    fn take_caller_of(&mut self, newcomer: Facts) {
        self.caller = newcomer.caller;
        self.caller_name = newcomer.caller_name;
        self.presentation = newcomer.presentation;
        self.ani = newcomer.ani;
    }
}

/// How the gateway speaks to a party.
#[derive(Clone, Debug)]
pub struct Manner {
    /// Of announcements: `CHANNEL(language)`.
    pub language: String,
    /// Of tones: `CHANNEL(tonezone)`.
    pub tone_zone: String,
    /// The music that it wants to hear on hold; None for what the other side suggests: `CHANNEL(musicclass)`.
    pub music_class: Option<String>,
    /// In conferences: `CONFBRIDGE(user,…)`.
    pub conference: ConferenceWish,
}

impl Manner {
    /// As an endpoint's settings say.
    pub fn of(endpoint: &Endpoint) -> Manner {
        Manner {
            language: endpoint.language.clone(),
            tone_zone: endpoint.tone_zone.clone(),
            music_class: None,
            conference: ConferenceWish::default(),
        }
    }
}

/// See the module's comment.
pub struct Call {
    key: CallKey,
    id: String,
    setup: Arc<Setup>,
    facts: Facts,
    /// Hops left for the legs that we begin (RFC 3261 §16.3 step 3, so that two gateways cannot call in circles).
    max_forwards: u8,
    caller: Leg,
    callees: Vec<Leg>,
    legs_begun: u16,
    execution: Execution,
    /// The headers of the caller's INVITE.
    invite: Option<Headers>,
    /// What the dialplan puts on ours.
    added: AddedHeaders,
    phase: Phase,
    exchange: Exchange,
    /// Whether the media may leave the relay.
    direct: DirectMedia,
    /// What joins the media now, as the worker was told.
    bridge: Option<Command>,
    /// What the last Dial left, for the caller if the dialplan says nothing else.
    failure: Option<Failure>,
    /// One side is sent elsewhere.
    transfer: Option<Transfer>,
    /// Since when the caller talks to a callee.
    talk: Option<Talk>,
    /// The room that its caller is in.
    seat: Option<Seat>,
    /// Steps of the dialplan that ran.
    steps: Vec<String>,
}

/// What a call is doing.
enum Phase {
    /// The dialplan goes on at once.
    Ready,
    /// The dialplan waits; then it goes on, or the call ends.
    Paused { timer: TimerId, then: Option<Cause> },
    /// The dialplan waits for the caller's ACK, which may bring the answer to our offer; then it does this, if anything.
    AwaitingAck { then: Option<Action> },
    /// The caller was asked to call elsewhere, and tells how it goes.
    Referring { timer: TimerId },
    /// The controller looks for a call that rings.
    PickingUp,
    /// The caller hears itself until it hangs up.
    Echo,
    /// An application has the caller's audio.
    Attending(Attending),
    /// Others ring.
    Dialling(Dialling),
    /// The caller talks to this callee.
    Bridged { callee: LegNo },
    /// The other side was transferred to another call; this one has only to hear so.
    Lingering { timer: TimerId },
    /// Everything is told to stop; what is outstanding comes in.
    Ending { end: End, guard: TimerId },
}

/// When the callee was dialled that the caller talks to, and when it answered.
struct Talk {
    dialled: Instant,
    answered: Instant,
    /// The dialplan goes on when the callee has hung up.
    goes_on: bool,
    /// Ends the call.
    limit: Option<TimerId>,
}

/// An INVITE that has come.
pub struct Invited {
    /// Whose.
    pub endpoint: EndpointId,
    /// The way to it.
    pub path: Path,
    /// Its transaction.
    pub tx: ServerTx,
    /// The number that it asks for.
    pub called: String,
    /// Its offer.
    pub offer: Option<Description>,
    /// Its provisional responses are to be sent reliably.
    pub reliable: bool,
    /// The dialog that our answer with `tag` makes.
    pub dialog: Dialog,
    /// Our tag.
    pub tag: String,
}

/// What a call begins with.
pub struct Begin {
    /// The INVITE.
    pub invited: Invited,
    /// Its headers.
    pub headers: Headers,
    /// What is known of it.
    pub facts: Facts,
    /// Its place in the dialplan.
    pub execution: Execution,
    /// Hops left.
    pub max_forwards: u8,
}

impl Call {
    /// A call whose endpoint has admitted it ([`Context::load`]).
    pub fn begin(
        ctx: &mut Context,
        now: Instant,
        key: CallKey,
        setup: Arc<Setup>,
        begin: Begin,
    ) -> Call {
        let mut caller = Leg::asked(ctx, now, &setup, (key, LegNo::CALLER), begin.invited);
        caller.note_invite(&begin.headers);
        caller.count_begin(ctx, &setup);
        Call {
            max_forwards: begin.max_forwards,
            invite: Some(begin.headers),
            ..Call::new(ctx, key, setup, begin.facts, caller, begin.execution)
        }
    }

    /// A call of that leg, which does nothing yet.
    fn new(
        ctx: &mut Context,
        key: CallKey,
        setup: Arc<Setup>,
        facts: Facts,
        caller: Leg,
        execution: Execution,
    ) -> Call {
        Call {
            key,
            id: format!("{:016x}", ctx.rng.u64(..)),
            setup,
            facts,
            max_forwards: 0,
            caller,
            callees: Vec::new(),
            legs_begun: 0,
            execution,
            invite: None,
            added: AddedHeaders::default(),
            phase: Phase::Ready,
            exchange: Exchange::Idle,
            direct: DirectMedia::Open { reinvites: 0 },
            bridge: None,
            failure: None,
            transfer: None,
            talk: None,
            seat: None,
            steps: Vec::new(),
        }
    }

    /// Enters the dialplan.
    pub fn run(&mut self, ctx: &mut Context, now: Instant) {
        self.advance(ctx, now);
    }

    /// The call's place.
    pub fn key(&self) -> CallKey {
        self.key
    }

    /// The name for operators.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// True when nothing of the call is outstanding and it can be forgotten.
    pub fn is_over(&self) -> bool {
        let legs_gone = self.legs().all(Leg::is_gone);
        let media_closed = self
            .legs()
            .all(|leg| matches!(leg.media, MediaState::None | MediaState::Closed(_)));
        matches!(self.phase, Phase::Ending { .. }) && legs_gone && media_closed
    }

    /// True once the call has begun to end.
    pub fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }

    fn legs(&self) -> impl Iterator<Item = &Leg> {
        std::iter::once(&self.caller).chain(&self.callees)
    }

    fn legs_mut(&mut self) -> impl Iterator<Item = &mut Leg> {
        std::iter::once(&mut self.caller).chain(&mut self.callees)
    }

    fn leg(&self, no: LegNo) -> Option<&Leg> {
        self.legs().find(|leg| leg.no == no)
    }

    fn leg_mut(&mut self, no: LegNo) -> Option<&mut Leg> {
        self.legs_mut().find(|leg| leg.no == no)
    }

    /// The leg that this in-dialog request belongs to: our tag, and the dialog's other two names with it
    /// (RFC 3261 §12.2.2).
    pub fn leg_of(&self, request: &Request) -> Option<LegNo> {
        let tag = request.headers().to_tag()?;
        let leg = self.legs().find(|leg| leg.tag == tag)?;
        let mut dialogs = leg.dialog.iter().chain(leg.early.iter().map(Early::dialog));
        dialogs
            .any(|dialog| dialog.matches(request))
            .then_some(leg.no)
    }

    /// A timer of the call is due.
    pub fn on_timer(&mut self, ctx: &mut Context, now: Instant, timer: CallTimer) {
        match timer {
            CallTimer::Pause => self.on_pause_over(ctx, now),
            CallTimer::Dial => self.on_dial_timeout(ctx, now),
            CallTimer::Forward(branch) => self.on_forward_timeout(ctx, now, branch),
            CallTimer::Refresh => self.refresh_caller(ctx, now),
            CallTimer::Prack => self.on_prack_missing(ctx, now),
            CallTimer::Limit => self.on_limit(ctx, now),
            CallTimer::Session(leg) => self.on_session_due(ctx, now, leg),
            CallTimer::Reoffer => self.on_reoffer_due(ctx, now),
            CallTimer::ReinviteOverdue => self.on_reinvite_overdue(ctx, now),
            CallTimer::Silent(leg, invite) => self.on_silent(ctx, now, leg, invite),
            CallTimer::Cancelled(leg) => self.on_cancel_unanswered(ctx, now, leg),
            CallTimer::Closing => self.on_closing_overdue(),
        }
        self.advance(ctx, now);
    }

    /// A worker's event about one of the call's legs. Its lease is settled already.
    pub fn on_media(&mut self, ctx: &mut Context, now: Instant, no: LegNo, event: Event) {
        match event {
            Event::Closed { report, .. } => self.on_media_closed(ctx, no, report),
            Event::OpenFailed { leg, error } => {
                tracing::warn!(
                    call = self.id,
                    port = leg.port.rtp(),
                    ?error,
                    "RTP port could not be opened"
                );
                self.on_media_lost(ctx, now, no);
            }
            Event::Silent { .. } => self.on_silence(ctx, now, no),
            Event::Latched { leg, source } => self.on_latched(no, leg, source),
            Event::Stranger { leg, source } => self.on_stranger(no, leg, source),
            Event::Flooded { leg } => self.on_flood(no, leg),
            Event::Unusable { leg, cause } => self.on_unusable(no, leg, cause),
            Event::Played { play, .. } => self.on_played(ctx, now, no, play),
            Event::Digit {
                digit, duration_ms, ..
            } => self.on_digit(ctx, now, no, (digit, duration_ms)),
            Event::Hushed { .. } => self.on_hushed(ctx, now, no),
            Event::Report { report, .. } => self.on_reported(no, report),
        }
        self.advance(ctx, now);
    }

    /// The worker's queue was full: the leg's port was never opened.
    pub fn on_open_refused(&mut self, ctx: &mut Context, now: Instant, no: LegNo) {
        self.on_media_lost(ctx, now, no);
        self.advance(ctx, now);
    }

    fn on_reported(&mut self, no: LegNo, report: LegReport) {
        if let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) {
            media.reported = report;
        }
    }

    fn on_latched(&mut self, no: LegNo, lease: LegId, source: SocketAddr) {
        tracing::debug!(call = self.id, leg = no.0, port = lease.port.rtp(), %source, "RTP source latched");
        if let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) {
            media.latched = Some(source);
        }
    }
}
