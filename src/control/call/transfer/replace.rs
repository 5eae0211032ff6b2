//! An INVITE that names one of our dialogs in Replaces (RFC 3891): its sender takes the place of that dialog's peer.
//!
//! ```text
//!  before   Alice ═══ Bob
//!           Carol: INVITE, Replaces: Bob's dialog with us
//!  after    Alice ═══ Carol      200 to Carol, BYE to Bob
//! ```
//!
//! A dialog in an application of ours is taken over as well: see [`super::succession`]. So is that of a callee that rings: see
//! [`super::pickup`]. That of a caller that waits is not, since
//! it was not begun by us (RFC 3891 §3).

use crate::control::call::caller::Far;
use crate::control::call::cause::Cause;
use crate::control::call::leg::{Leg, LegState, MediaState};
use crate::control::call::media::LegMedia;
use crate::control::call::media::negotiation;
use crate::control::call::{Call, Facts, Invited, LegNo, Phase, Side};
use crate::control::context::Context;
use crate::control::meeting::replaces::Replaces;
use crate::control::setup::Setup;
use crate::link::WorkerId;
use crate::sdp::Format;
use crate::sip::message::Headers;
use std::time::Instant;

/// Who comes into a call.
pub struct Newcomer {
    /// Its INVITE. The endpoint is one of the call's own settings.
    pub invited: Invited,
    /// The INVITE's headers.
    pub headers: Headers,
    /// Who it is.
    pub facts: Facts,
}

/// What an INVITE with Replaces names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This leg's dialog.
    Dialog(LegNo),
    /// The dialog of a callee that rings.
    Ringing,
}

impl Call {
    /// The place that is named so, if it is one of this call.
    pub fn place_named(&self, replaces: &Replaces) -> Option<Place> {
        let dialog = self.leg_named(replaces).map(Place::Dialog);
        let ringing = || self.rings_as(replaces).then_some(Place::Ringing);
        dialog.or_else(ringing)
    }

    /// The settings that the call began with.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The number of the leg that a newcomer gets.
    pub fn next_leg(&self) -> LegNo {
        LegNo(self.legs_begun + 1)
    }

    /// Whether an INVITE may take the place of this leg's peer.
    ///
    /// # Errors
    /// The status to refuse it with (RFC 3891 §3).
    pub fn may_be_replaced(&self, place: Place, early_only: bool) -> Result<(), u16> {
        let Place::Dialog(no) = place else {
            return Ok(());
        };
        match self.leg(no).map(|leg| &leg.state) {
            Some(LegState::Up) if early_only => Err(486),
            Some(LegState::Up | LegState::Unacked { .. }) => match self.phase {
                Phase::Bridged { .. } if self.can_replace(no) => Ok(()),
                _ if self.can_be_succeeded(no) => Ok(()),
                Phase::Ending { .. } => Err(603),
                _ => Err(491),
            },
            Some(LegState::Leaving | LegState::Gone) => Err(603),
            _ => Err(481),
        }
    }

    /// Puts a newcomer, whose endpoint has admitted it, in a place of the call.
    ///
    /// # Errors
    /// The status to refuse it with; the call goes on as it was.
    pub fn replace(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        place: Place,
        newcomer: Newcomer,
    ) -> Result<(), u16> {
        match place {
            Place::Dialog(replaced) if self.can_be_succeeded(replaced) => {
                self.succeed_by_invite(ctx, now, newcomer)
            }
            Place::Dialog(replaced) => self.replace_leg(ctx, now, replaced, newcomer),
            Place::Ringing => self.pick_up_by_invite(ctx, now, newcomer),
        }
    }

    /// Puts a newcomer in the place of a leg, which is hung up on.
    fn replace_leg(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        replaced: LegNo,
        newcomer: Newcomer,
    ) -> Result<(), u16> {
        let side = self.side_of(replaced).ok_or(481u16)?;
        let partner = self.number_of(side.other());
        let usable = self.usable_by(&newcomer.invited);
        let media = self.leg(partner).and_then(Leg::media).ok_or(491u16)?;
        if !negotiation::can_join(&usable, media.formats()) {
            return Err(488);
        }
        let (worker, invited) = (media.worker(), newcomer.invited);
        let leg = self.leg_of_newcomer(ctx, now, worker, (invited, &newcomer.headers))?;
        let no = leg.no;
        self.part(ctx);
        let far = self.leg(partner).and_then(Leg::media).map(|media| Far {
            formats: media.formats().to_vec(),
            direction: media.wanted_direction(),
            ptime_ms: media.ptime_ms(),
        });
        let old = std::mem::replace(&mut self.caller, leg);
        let is_answered = self.answer_caller(ctx, now, far.as_ref()).is_ok();
        let (other, callee) = match side {
            Side::Caller => {
                self.facts = newcomer.facts;
                self.invite = Some(newcomer.headers);
                (old, partner)
            }
            // The dialplan is that of the caller, who stays.
            Side::Callee => (std::mem::replace(&mut self.caller, old), no),
        };
        self.callees.push(other);
        self.phase = Phase::Bridged { callee };
        tracing::info!(
            call = self.id,
            leg = no.0,
            replaced = replaced.0,
            "leg taken over by INVITE"
        );
        self.leave_beside(ctx, now, replaced);
        if !is_answered {
            self.end_by_us(ctx, now, Cause::NO_CODEC, "no common codec with a newcomer");
            return Ok(());
        }
        self.join(ctx);
        self.settle(ctx, now, side.other());
        Ok(())
    }

    /// What a newcomer can use.
    pub(super) fn usable_by(&self, invited: &Invited) -> Vec<Format> {
        let endpoint = self.setup.endpoint(invited.endpoint);
        match invited.offer.as_ref().and_then(|offer| offer.audio()) {
            Some(audio) => negotiation::usable(&audio.formats, endpoint),
            None => negotiation::own(endpoint),
        }
    }

    /// The leg of a newcomer, one more of this call, with a port of that worker.
    ///
    /// # Errors
    /// 503 if no port is free; the call goes on as it was.
    pub(super) fn leg_of_newcomer(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        worker: WorkerId,
        (invited, headers): (Invited, &Headers),
    ) -> Result<Leg, u16> {
        let owner = (self.key, self.next_leg());
        let setup = self.setup.clone();
        let peer = (&invited.path, setup.endpoint(invited.endpoint));
        let media = LegMedia::open(ctx, now, worker, owner, peer).map_err(|_| 503u16)?;
        self.legs_begun += 1;
        let mut leg = Leg::asked(ctx, now, &setup, owner, invited);
        leg.note_invite(headers);
        leg.count_begin(ctx, &setup);
        leg.media = MediaState::Open(Box::new(media));
        Ok(leg)
    }
}
