//! ConfBridge: the caller hears all others of a room, and they hear it, until it hangs up.
//!
//! ```text
//!  Ready ──► AwaitingAck, while it cannot be told of another port ──► Attending ──it hangs up──► Ending
//!    └── full, no port, no codec that is mixed: CONFBRIDGE_RESULT=FAILED, the dialplan goes on
//! ```
//!
//! All legs of a room are on one worker: that of the leg which it began with. A caller without a port gets one there. One
//! whose port is another worker's, since it was answered before, moves: it gets a new port, told by a re-INVITE. Its recording
//! goes on in a file of its own.

use super::{Application, Audible};
use crate::control::call::identity::cut;
use crate::control::call::leg::{LegState, MediaState};
use crate::control::call::media::LegMedia;
use crate::control::call::{Call, Phase};
use crate::control::context::Context;
use crate::control::dialplan::{Action, Unanswered};
use crate::control::meeting::rooms::{NAME_MAX, RoomNews};
use crate::control::ports::NoPorts;
use crate::link::{Command, RoomId, WorkerId};
use std::time::Instant;

/// A call's place in a room.
#[derive(Clone, Copy, Debug)]
pub(in crate::control::call) struct Seat {
    /// Which room.
    pub room: RoomId,
    /// The others hear it.
    pub talks: bool,
    /// The room is its own: a page.
    pub is_host: bool,
}

/// How the caller wants to be in a conference: `Set(CONFBRIDGE(user,…)=yes)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConferenceWish {
    /// It is not heard (`startmuted`).
    pub muted: bool,
    /// It hears music while nobody else is there (`music_on_hold_when_empty`).
    pub music_when_alone: bool,
}

impl Call {
    /// Brings the caller into the conference of that name.
    pub(in crate::control::call) fn confer(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        name: String,
    ) {
        let known = cut(&name, NAME_MAX);
        if let Err(error) = self.prepare_port(ctx, now, known) {
            return self.cannot_confer(&error.to_string());
        }
        match self.mixable(ctx, now) {
            Audible::Now if self.must_wait_to_move(ctx, known) => {
                let then = Some(Action::Confer(name));
                self.phase = Phase::AwaitingAck { then };
            }
            Audible::Now => {
                if let Err(error) = self.enter(ctx, now, known) {
                    self.cannot_confer(&error);
                }
            }
            Audible::Later => {
                let then = Some(Action::Confer(name));
                self.phase = Phase::AwaitingAck { then };
            }
            Audible::Never => self.cannot_confer("the caller has no audio that can be mixed"),
            Audible::Ended => {}
        }
    }

    /// A caller that has not been told of any port gets one of the conference's worker.
    fn prepare_port(&mut self, ctx: &mut Context, now: Instant, name: &str) -> Result<(), NoPorts> {
        let Some(worker) = ctx.rooms.worker_of(name) else {
            return Ok(());
        };
        match &self.caller.media {
            MediaState::None => self.lease_caller(ctx, now, worker),
            MediaState::Open(media) if media.is_untold() && media.worker() != worker => {
                self.move_caller(ctx, now, worker)
            }
            _ => Ok(()),
        }
    }

    /// Answers the caller, if that makes it one whose audio can be mixed.
    pub(super) fn mixable(&mut self, ctx: &mut Context, now: Instant) -> Audible {
        match self.audible(ctx, now, Unanswered::Answer) {
            Audible::Now if !self.caller.media().is_some_and(LegMedia::is_coded) => Audible::Never,
            audible => audible,
        }
    }

    /// True if the caller is to move to another worker, and cannot be told so yet.
    fn must_wait_to_move(&self, ctx: &Context, name: &str) -> bool {
        let worker = ctx.rooms.worker_of(name);
        let own = self.caller.media().map(LegMedia::worker);
        worker.is_some() && worker != own && !self.may_reinvite_caller()
    }

    fn may_reinvite_caller(&self) -> bool {
        matches!(self.caller.state, LegState::Up) && self.is_settled()
    }

    /// A caller that waits to move to its conference can be told of its new port now.
    pub(in crate::control::call) fn resume_conferring(&mut self, ctx: &mut Context, now: Instant) {
        let waits = matches!(
            self.phase,
            Phase::AwaitingAck {
                then: Some(Action::Confer(_))
            }
        );
        if waits && self.may_reinvite_caller() {
            self.resume_after_ack(ctx, now);
        }
    }

    /// Comes into the room.
    ///
    /// # Errors
    /// Why not; the caller stays where it was.
    fn enter(&mut self, ctx: &mut Context, now: Instant, name: &str) -> Result<(), String> {
        let own = self.caller.media().map(LegMedia::worker);
        let own = own.ok_or("the caller has no port")?;
        let worker = ctx.rooms.worker_of(name).unwrap_or(own);
        let room = ctx.rooms.enter(name, worker, self.key);
        let room = room.map_err(|error| error.to_string())?;
        if worker != own
            && let Err(error) = self.move_caller(ctx, now, worker)
        {
            ctx.rooms.leave(room, self.key);
            return Err(error.to_string());
        }
        let wish = self.facts.manner.conference;
        self.hush_caller(ctx);
        self.sit_down(
            ctx,
            Seat {
                room,
                talks: !wish.muted,
                is_host: false,
            },
        );
        tracing::info!(call = self.id, room = name, "conference entered");
        self.attend(ctx, now, Application::Conference, None);
        if wish.music_when_alone && ctx.rooms.is_alone(room) {
            self.play_music(ctx, None);
        }
        Ok(())
    }

    /// The caller's leg is in the room from now on.
    pub(in crate::control::call) fn sit_down(&mut self, ctx: &mut Context, seat: Seat) {
        let Some(media) = self.caller.media() else {
            return;
        };
        let join = Command::Join {
            leg: media.leg,
            room: seat.room,
            talks: seat.talks,
            hears: true,
        };
        ctx.command(media.worker(), join.clone());
        self.bridge = Some(join);
        self.seat = Some(seat);
    }

    /// Nobody hears the caller: the dialplan goes on.
    pub(super) fn cannot_confer(&mut self, why: &str) {
        tracing::warn!(call = self.id, why, "the caller comes into no room");
        self.execution.conference_finished("FAILED");
    }

    /// Moves the caller's leg to another worker. Its peer is still to be told, unless it knows of no port at all.
    fn move_caller(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        worker: WorkerId,
    ) -> Result<(), NoPorts> {
        let (path, owner) = (self.caller.path.clone(), (self.key, self.caller.no));
        let Some(media) = self.caller.media_mut() else {
            return Ok(());
        };
        let old = media.leg.port.rtp();
        media.move_to(ctx, now, worker, owner, &path)?;
        let new = media.leg.port.rtp();
        tracing::debug!(
            call = self.id,
            old,
            new,
            "leg moves to the worker of its room"
        );
        self.join(ctx);
        let (call, bytes_max) = (self.id.clone(), self.recording_max());
        if let Some(media) = self.caller.media_mut() {
            media.go_on_recording(ctx, &call, bytes_max);
        }
        Ok(())
    }

    /// True if the caller sits in a room that cannot hear it.
    pub(in crate::control::call) fn is_unmixable(&self) -> bool {
        self.seat.is_some() && !self.caller.media().is_some_and(LegMedia::is_coded)
    }

    /// Something has changed in the call's room.
    pub fn on_room_news(&mut self, ctx: &mut Context, now: Instant, news: RoomNews) {
        let Some(seat) = self.seat else {
            return;
        };
        let is_attending = matches!(self.phase, Phase::Attending(_));
        let hears_music = self.facts.manner.conference.music_when_alone && !seat.is_host;
        match news {
            RoomNews::Closed => {
                let cause = crate::control::call::cause::Cause::NORMAL;
                self.end_by_us(ctx, now, cause, "the page is over");
            }
            RoomNews::Alone if is_attending && ctx.rooms.is_alone(seat.room) => {
                if seat.is_host {
                    self.dismiss(ctx, now, "KICKED");
                } else if hears_music {
                    self.play_music(ctx, None);
                }
            }
            RoomNews::Company if hears_music => self.hush_caller(ctx),
            RoomNews::Alone | RoomNews::Company => {}
        }
        self.advance(ctx, now);
    }

    /// Takes the caller out of its room; the dialplan goes on.
    pub(super) fn dismiss(&mut self, ctx: &mut Context, now: Instant, result: &str) {
        // Of a page that still dials nothing is to be stopped.
        let _ = self.take_application(ctx, now);
        self.leave_room(ctx, result);
        self.hush_caller(ctx);
        if let Some(media) = self.caller.media() {
            let leg = media.leg;
            ctx.command(media.worker(), Command::Detach { leg });
        }
        self.bridge = None;
        self.phase = Phase::Ready;
    }

    /// The call is in no room any more, if it was in one.
    pub(in crate::control::call) fn leave_room(&mut self, ctx: &mut Context, result: &str) {
        if let Some(seat) = self.seat.take() {
            ctx.rooms.leave(seat.room, self.key);
            self.execution.conference_finished(result);
        }
    }
}
