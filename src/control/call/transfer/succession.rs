//! Somebody takes the caller's place in an application of ours, which goes on where it is: an attended transfer to it, or an
//! INVITE with Replaces of a dialog that is in it.
//!
//! ```text
//!  before   call 1:  Alice ═══ Bob             call 2:  Bob ── Background, Record, Echo, a room …
//!  REFER    Bob, in either call: Refer-To names his dialog in the other one
//!  after    call 1:            Bob ◄── BYE     call 2:  Alice ── the same       Bob ◄── BYE
//! ```
//!
//! | what there is | what becomes of it |
//! |---|---|
//! | step of the dialplan, variables, time limits, digits so far | stay; `CALLERID(num)` and `CALLERID(name)` are Alice's |
//! | a sound | begins again as soon as Alice hears us: when she has answered the re-INVITE that takes her off hold, brings codecs that we code, and tells a new port if hers is another worker's |
//! | Record, and MixMonitor of Bob's leg | go on with Alice in the same file |
//! | MixMonitor of Alice's leg | goes on with her, in another file if her port changes |
//! | a place in a room | is hers, muted if he was; a page stays hers to end |
//!
//! 491 while the caller is not up, a re-INVITE or another transfer runs, or it is between two steps (a Transfer or Pickup of the dialplan); 488 where
//! she may use no codec that we code; 403 where both dialogs are in applications, so that nobody is there to be transferred. If
//! she refuses her new port, her call ends.

use super::replace::Newcomer;
use crate::control::call::application::{Application, Attending};
use crate::control::call::cause::Cause;
use crate::control::call::leg::{Leg, LegState};
use crate::control::call::media::LegMedia;
use crate::control::call::media::negotiation;
use crate::control::call::{Call, LEGS_MAX, LegNo, Phase};
use crate::control::context::Context;
use std::time::Instant;

impl Call {
    /// True if this leg is the caller's, and somebody else can take its place in an application of ours.
    pub fn can_be_succeeded(&self, no: LegNo) -> bool {
        let is_in_one = match &self.phase {
            Phase::Attending(_) | Phase::Echo | Phase::Paused { .. } => true,
            Phase::Dialling(_) => self.is_paging(),
            _ => false,
        };
        is_in_one
            && no == self.caller.no
            && matches!(self.caller.state, LegState::Up)
            && self.caller.media().is_some_and(LegMedia::is_agreed)
            && self.legs_begun < LEGS_MAX
            && self.transfer.is_none()
            && self.is_settled()
    }

    /// True if the far side of this leg can be heard by an application of ours, if need be with other codecs than now.
    pub fn has_audible_far_side(&self, by: LegNo) -> bool {
        let far = self.side_of(by).map(|side| self.number_of(side.other()));
        far.and_then(|far| self.leg(far)).is_some_and(|leg| {
            let is_coded = leg.media().is_some_and(LegMedia::is_coded);
            is_coded || negotiation::may_be_coded(self.setup.endpoint(leg.endpoint))
        })
    }

    /// Puts a leg of this call's, whose port is open on the caller's worker, in the caller's place.
    pub(super) fn succeed_caller(&mut self, ctx: &mut Context, mut leg: Leg) {
        let kept = self
            .caller
            .media_mut()
            .and_then(|media| media.take_playing(ctx));
        if let (Some(kept), Some(media)) = (kept, leg.media_mut()) {
            media.keep_playing(kept);
        }
        if let Phase::Attending(Attending {
            application: Application::Record(taking),
            ..
        }) = &mut self.phase
            && let (Some(media), Some(old)) = (leg.media_mut(), self.caller.media())
        {
            taking.go_on_with(ctx, media, old);
        }
        leg.inherit_recordings(ctx, &mut self.caller);
        self.part(ctx);
        let old = std::mem::replace(&mut self.caller, leg);
        self.callees.push(old);
    }

    /// The application has whoever is the caller now.
    pub(super) fn go_on_with_successor(&mut self, ctx: &mut Context) {
        self.join(ctx);
        if let Some(seat) = self.seat {
            return self.sit_down(ctx, seat);
        }
        if let Phase::Echo = self.phase {
            self.echo_caller(ctx);
        }
    }

    /// Puts a newcomer, whose endpoint has admitted it, in the place of a caller in an application.
    ///
    /// # Errors
    /// The status to refuse it with; the call goes on as it was.
    pub(super) fn succeed_by_invite(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        newcomer: Newcomer,
    ) -> Result<(), u16> {
        if !negotiation::has_transcoded(&self.usable_by(&newcomer.invited)) {
            return Err(488);
        }
        let replaced = self.caller.no;
        let worker = self.caller.media().map(LegMedia::worker).ok_or(491u16)?;
        let invited = (newcomer.invited, &newcomer.headers);
        let leg = self.leg_of_newcomer(ctx, now, worker, invited)?;
        let no = leg.no;
        self.facts.take_caller_of(newcomer.facts);
        self.succeed_caller(ctx, leg);
        let is_answered = self.answer_caller(ctx, now, None).is_ok();
        self.leave_beside(ctx, now, replaced);
        tracing::info!(
            call = self.id,
            leg = no.0,
            replaced = replaced.0,
            "leg in an application taken over by INVITE"
        );
        match is_answered {
            true => self.go_on_with_successor(ctx),
            false => {
                self.end_by_us(ctx, now, Cause::NO_CODEC, "no common codec with a newcomer");
            }
        }
        self.advance(ctx, now);
        Ok(())
    }
}
