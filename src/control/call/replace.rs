//! An INVITE that names one of our dialogs in Replaces (RFC 3891): its sender takes the place of that dialog's peer.
//!
//! ```text
//!  before   Alice ═══ Bob
//!           Carol: INVITE, Replaces: Bob's dialog with us
//!  after    Alice ═══ Carol      200 to Carol, BYE to Bob
//! ```
//!
//! Only a dialog that is up can be replaced: one that rings is not ours to give away before it is answered.

use super::caller::{Far, passes_events};
use super::cause::Cause;
use super::leg::{Leg, LegState, MediaState};
use super::media::{LegMedia, answered_by};
use super::{Call, Facts, Invited, LegNo, Phase, Side};
use crate::control::context::Context;
use crate::control::setup::Setup;
use crate::sdp::{common_formats, formats_for};
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

impl Call {
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
    pub fn may_be_replaced(&self, no: LegNo, early_only: bool) -> Result<(), u16> {
        match self.leg(no).map(|leg| &leg.state) {
            Some(LegState::Up) if early_only => Err(486),
            Some(LegState::Up | LegState::Unacked { .. }) => match self.phase {
                Phase::Bridged { .. } if self.can_replace(no) => Ok(()),
                Phase::Ending { .. } => Err(603),
                _ => Err(491),
            },
            Some(LegState::Leaving | LegState::Gone) => Err(603),
            _ => Err(481),
        }
    }

    /// Puts a newcomer, whose endpoint has admitted it, in the place of `replaced`, which is hung up on.
    ///
    /// # Errors
    /// The status to refuse it with; the call goes on as it was.
    pub fn replace(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        replaced: LegNo,
        newcomer: Newcomer,
    ) -> Result<(), u16> {
        let side = self.side_of(replaced).ok_or(481u16)?;
        let partner = self.number_of(side.other());
        let no = self.next_leg();
        let media = self.media_for(ctx, now, partner, no, &newcomer.invited)?;
        self.legs_begun += 1;
        self.part(ctx);
        let setup = self.setup.clone();
        let mut leg = Leg::asked(ctx, now, &setup, (self.key, no), newcomer.invited);
        leg.note_invite(&newcomer.headers);
        leg.count_begin(ctx, &setup);
        leg.media = MediaState::Open(Box::new(media));
        // Whichever the old caller is, the one that stays or the one that goes.
        let old = std::mem::replace(&mut self.caller, leg);
        self.callees.push(old);
        self.phase = Phase::Bridged { callee: partner };
        self.facts = newcomer.facts;
        self.invite = Some(newcomer.headers);
        tracing::info!(
            call = self.id,
            leg = no.0,
            replaced = replaced.0,
            "leg taken over by INVITE"
        );
        self.leave_beside(ctx, now, replaced);
        let far = self.leg(partner).and_then(Leg::media).map(|media| Far {
            formats: media.formats().to_vec(),
            direction: media.wanted_direction(),
        });
        if self.answer_caller(ctx, now, far.as_ref()).is_err() {
            self.end_by_us(ctx, now, Cause::NO_CODEC, "no common codec with a newcomer");
            return Ok(());
        }
        self.join(ctx);
        self.settle(ctx, now, Side::Callee);
        Ok(())
    }

    /// A port for a newcomer on its partner's worker, if the two have a codec in common.
    fn media_for(
        &self,
        ctx: &mut Context,
        now: Instant,
        partner: LegNo,
        no: LegNo,
        invited: &Invited,
    ) -> Result<LegMedia, u16> {
        let endpoint = self.setup.endpoint(invited.endpoint);
        let events = passes_events(endpoint);
        let offered = invited.offer.as_ref().and_then(|offer| offer.audio());
        let usable = match offered {
            Some(audio) => common_formats(&audio.formats, &endpoint.allow, events),
            None => formats_for(&endpoint.allow, events),
        };
        let media = self.leg(partner).and_then(Leg::media).ok_or(491u16)?;
        if answered_by(&usable, media.formats()).is_empty() {
            return Err(488);
        }
        let owner = (self.key, no);
        LegMedia::open(ctx, now, media.worker(), owner, &invited.path).map_err(|_| 503)
    }
}
