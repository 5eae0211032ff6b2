//! Call pickup: somebody else answers a call that rings.
//!
//! ```text
//!  before   call 1:  Alice ──► Bob rings          call 2:  Carol ──► the dialplan: Pickup(…)
//!  after    call 1:  Alice ═══ Carol              call 2:  over
//!           Alice: 200     Bob: CANCEL, Reason: SIP;cause=200     Carol: 200
//! ```
//!
//! Carol's leg moves to the call that rings, as if it were the callee that has answered. A Pickup that finds nothing, or
//! nothing that its caller has a codec in common with, leaves the call to the next step. An INVITE with Replaces of a
//! ringing callee's dialog (RFC 3891) comes to the same, with no call 2.

use super::adopt::Adopted;
use super::replace::Newcomer;
use crate::config::settings::PickupGroups;
use crate::control::call::caller::Far;
use crate::control::call::cause::{Cause, Failure};
use crate::control::call::dialling::branch::{Branch, BranchState};
use crate::control::call::ending::EndedBy;
use crate::control::call::leg::{Leg, LegState, MediaState};
use crate::control::call::media::LegMedia;
use crate::control::call::media::negotiation;
use crate::control::call::{Call, LEGS_MAX, Phase};
use crate::control::context::{Context, ServerOwner};
use crate::control::dialplan::PickupRequest;
use crate::control::meeting::pickup::Pickup;
use crate::control::meeting::replaces::Replaces;
use std::time::Instant;

/// What a ringing call is looked for by.
pub enum Wanted<'a> {
    /// It has dialled this.
    Extension {
        /// The extension.
        extension: &'a str,
        /// Its context.
        context: &'a str,
    },
    /// The value of its variable PICKUPMARK.
    Mark(&'a str),
    /// It rings an endpoint of one of these groups.
    Group(&'a PickupGroups),
}

impl Call {
    /// The caller wants what rings elsewhere: the controller looks for it.
    pub(in crate::control::call) fn ask_for_pickup(
        &mut self,
        ctx: &mut Context,
        request: PickupRequest,
    ) {
        let call = self.key;
        ctx.pickups.push_back(Pickup { call, request });
        self.phase = Phase::PickingUp;
    }

    /// There is nothing for it: the dialplan goes on.
    pub fn has_nothing_to_pick_up(&mut self, ctx: &mut Context, now: Instant) {
        if let Phase::PickingUp = self.phase {
            tracing::info!(call = self.id, "nothing rings that could be picked up");
            self.phase = Phase::Ready;
            self.advance(ctx, now);
        }
    }

    /// When it came.
    pub fn began(&self) -> Instant {
        self.caller.began
    }

    /// The groups whose calls the caller's endpoint may pick up.
    pub fn pickup_groups(&self) -> &PickupGroups {
        &self.setup.endpoint(self.caller.endpoint).pickup_group
    }

    /// Whether the endpoint of that call's caller is one of this call's settings.
    pub fn knows(&self, picker: &Call) -> bool {
        let name = &picker.setup.endpoint(picker.caller.endpoint).name;
        self.setup.endpoint_named(name).is_some()
    }

    /// Whether somebody is rung who can be answered for.
    pub fn rings_for(&self, wanted: &Wanted<'_>) -> bool {
        if !self.can_be_picked_up() {
            return false;
        }
        match wanted {
            Wanted::Extension { extension, context } => {
                self.execution.extension() == *extension && self.execution.context() == *context
            }
            Wanted::Mark(mark) => self.execution.variable("PICKUPMARK") == Some(mark),
            Wanted::Group(groups) => self.ringing_legs().any(|leg| {
                let endpoint = self.setup.endpoint(leg.endpoint);
                endpoint.call_group.meets(groups)
            }),
        }
    }

    fn ringing_legs(&self) -> impl Iterator<Item = &Leg> {
        let legs = self.callees.iter();
        legs.filter(|leg| matches!(leg.state, LegState::Calling(_)))
    }

    /// Somebody rings, the caller waits, and there is room for a leg.
    fn can_be_picked_up(&self) -> bool {
        let Phase::Dialling(dialling) = &self.phase else {
            return false;
        };
        let rings = |branch: &Branch| matches!(branch.state, BranchState::Ringing(_));
        let waits = matches!(
            self.caller.state,
            LegState::Asked(_) | LegState::Unacked { .. } | LegState::Up
        );
        let has_room = self.legs_begun < LEGS_MAX && !self.is_paging();
        waits && has_room && dialling.branches.iter().any(rings)
    }

    /// Whether the callers of the two calls can be joined.
    pub fn can_talk_to(&self, picker: &Call) -> bool {
        negotiation::can_join(&picker.caller_formats(), &self.caller_formats())
    }

    /// Lets the caller go to another call. None, and the caller stays, if a PRACK of it or the end of
    /// a re-INVITE is still to come.
    pub fn leave_for_pickup(&mut self, ctx: &mut Context, now: Instant) -> Option<Adopted> {
        if !matches!(self.phase, Phase::PickingUp)
            || self.caller.waits_for_prack()
            || !self.is_settled()
        {
            return None;
        }
        self.part(ctx);
        self.transferee_arrived(ctx, now);
        let departed = self.caller.departed(&self.setup);
        let leg = std::mem::replace(&mut self.caller, departed);
        let (call, no) = (self.key, leg.no);
        let adopted = Adopted {
            leg,
            owner: ServerOwner { call, leg: no },
            setup: self.setup.clone(),
            facts: self.facts.clone(),
        };
        let failure = Failure::of_cause(Cause::NORMAL);
        self.end(
            ctx,
            now,
            EndedBy::Dialplan,
            failure,
            "has picked up another call",
        );
        Some(adopted)
    }

    /// Somebody else's caller answers for those that ring.
    pub fn pick_up(&mut self, ctx: &mut Context, now: Instant, adopted: Adopted) {
        let leg = self.take_in(ctx, now, adopted);
        self.answer_for_callees(ctx, now, leg);
    }

    /// Makes a leg of another call one of this one's. It may not have been answered yet.
    fn take_in(&mut self, ctx: &mut Context, now: Instant, adopted: Adopted) -> Leg {
        let Adopted {
            mut leg,
            owner,
            setup,
            ..
        } = adopted;
        self.rename(ctx, now, &mut leg, &setup);
        let (call, no) = (self.key, leg.no);
        ctx.servers.hand_over(owner, ServerOwner { call, leg: no });
        if let MediaState::None = leg.media {
            leg.media = self.open_beside(ctx, now, &leg);
        } else if !self.house(ctx, now, &mut leg) {
            leg.media = MediaState::None;
        }
        leg
    }

    /// A port on the worker of the caller's.
    fn open_beside(&self, ctx: &mut Context, now: Instant, leg: &Leg) -> MediaState {
        let worker = self.caller.media().map(LegMedia::worker);
        let owner = (self.key, leg.no);
        let peer = (&leg.path, self.setup.endpoint(leg.endpoint));
        let opened = worker.map(|worker| LegMedia::open(ctx, now, worker, owner, peer));
        match opened {
            Some(Ok(media)) => MediaState::Open(Box::new(media)),
            _ => MediaState::None,
        }
    }

    /// The leg is answered, then the caller; whoever rings is told that somebody else has answered.
    fn answer_for_callees(&mut self, ctx: &mut Context, now: Instant, leg: Leg) {
        let no = leg.no;
        let endpoint = &self.setup.endpoint(leg.endpoint).name;
        tracing::info!(
            call = self.id,
            leg = no.0,
            endpoint,
            "ringing call picked up"
        );
        let far = Far {
            formats: self.caller_formats(),
            direction: self.caller_direction(),
            ptime_ms: self.caller_ptime(),
        };
        let caller = std::mem::replace(&mut self.caller, leg);
        let is_answered =
            self.caller.media().is_some() && self.answer_caller(ctx, now, Some(&far)).is_ok();
        let leg = std::mem::replace(&mut self.caller, caller);
        self.callees.push(leg);
        if is_answered {
            return self.on_callee_answered(ctx, now, no);
        }
        // There is no port for it: it is hung up on, and whoever rings rings on.
        self.refuse_newcomer(ctx, now);
    }

    /// Hangs up on the leg that came in last.
    fn refuse_newcomer(&mut self, ctx: &mut Context, now: Instant) {
        let (key, setup) = (self.key, self.setup.clone());
        let Some(leg) = self.callees.pop() else {
            return;
        };
        let caller = std::mem::replace(&mut self.caller, leg);
        self.refuse_caller(ctx, now, Failure::of_cause(Cause::CONGESTION));
        let mut leg = std::mem::replace(&mut self.caller, caller);
        leg.hang_up(ctx, now, key, Cause::CONGESTION);
        leg.count_end(ctx, &setup, now, Some(503));
        leg.close_media(ctx);
        self.callees.push(leg);
    }

    /// Whether a callee rings whose dialog with us is named so.
    pub(super) fn rings_as(&self, replaces: &Replaces) -> bool {
        self.ringing_legs().any(|leg| {
            let LegState::Calling(calling) = &leg.state else {
                return false;
            };
            let invite = leg.unanswered.invite();
            let call_id = invite.and_then(|invite| invite.get_header("Call-ID"));
            leg.tag == replaces.to_tag
                && call_id == Some(&replaces.call_id)
                && calling.tags.contains(&replaces.from_tag)
        })
    }

    /// Lets a newcomer, whose endpoint has admitted it, answer for those that ring.
    ///
    /// # Errors
    /// The status to refuse it with; the call goes on as it was.
    pub(super) fn pick_up_by_invite(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        newcomer: Newcomer,
    ) -> Result<(), u16> {
        if !self.can_be_picked_up() {
            return Err(481);
        }
        let usable = self.usable_by(&newcomer.invited);
        if !negotiation::can_join(&usable, &self.caller_formats()) {
            return Err(488);
        }
        let worker = self.caller.media().map(LegMedia::worker).ok_or(481u16)?;
        let invited = (newcomer.invited, &newcomer.headers);
        let leg = self.leg_of_newcomer(ctx, now, worker, invited)?;
        self.answer_for_callees(ctx, now, leg);
        Ok(())
    }
}
