//! Attended transfer: a leg goes from one call to another, where it takes somebody's place.
//!
//! ```text
//!  before   call 1:  Alice ═══ Bob            call 2:  Bob ═══ Carol
//!  REFER    Bob, in call 1: Refer-To names his dialog in call 2
//!  after    call 1:            Bob ◄── NOTIFY 200, BYE
//!           call 2:  Alice ═══ Carol          Bob ◄── BYE
//! ```
//!
//! Where Bob's call 2 is with an application of ours, Alice takes his place in it: see [`super::succession`].
//!
//! Nobody is called anew: the sides are told of each other by re-INVITEs of ours. A leg whose port belongs to another
//! worker than that of its new far side gets a new port there, and its re-INVITE tells it.

use super::Asked;
use crate::control::call::cause::{Cause, Failure};
use crate::control::call::digits::OwnInfo;
use crate::control::call::leg::{Leg, LegState, MediaState};
use crate::control::call::media::LegMedia;
use crate::control::call::{Call, Facts, LEGS_MAX, LegNo, Phase, Side};
use crate::control::context::{CallTimer, Context, ServerOwner, Timer};
use crate::control::meeting::replaces::Replaces;
use crate::control::setup::Setup;
use std::sync::Arc;
use std::time::Instant;

/// A leg between two calls.
pub struct Adopted {
    pub(super) leg: Leg,
    /// Whose it was: the INVITEs of its peer that wait for an ACK go with it.
    pub(super) owner: ServerOwner,
    /// The settings that its endpoint's number belongs to.
    pub(super) setup: Arc<Setup>,
    pub(super) facts: Facts,
}

impl Call {
    /// The leg whose dialog is named so.
    pub fn leg_named(&self, replaces: &Replaces) -> Option<LegNo> {
        let is_its = |leg: &&Leg| {
            let Some(dialog) = &leg.dialog else {
                return false;
            };
            let id = dialog.id();
            leg.tag == replaces.to_tag
                && id.call_id == replaces.call_id
                && id.remote_tag == replaces.from_tag
        };
        self.legs().find(is_its).map(|leg| leg.no)
    }

    /// True if somebody else can take the place of this leg: it talks to the other side, waits for one, or is in an application.
    pub fn can_replace(&self, no: LegNo) -> bool {
        let is_up = |no: LegNo| {
            let leg = self.leg(no);
            leg.is_some_and(|leg| matches!(leg.state, LegState::Up))
        };
        let has_room = self.legs_begun < LEGS_MAX;
        match (&self.phase, self.side_of(no)) {
            (Phase::Bridged { .. }, Some(side)) => {
                let far = self.number_of(side.other());
                has_room && is_up(no) && is_up(far) && self.is_settled()
            }
            (Phase::Dialling(_), _) => {
                let waits = matches!(self.caller.state, LegState::Asked(_) | LegState::Up);
                let is_free = has_room && !self.is_paging() && self.is_settled();
                is_free && no == self.caller.no && waits || self.can_be_succeeded(no)
            }
            _ => self.can_be_succeeded(no),
        }
    }

    /// True if the leg talks to somebody.
    pub fn is_side(&self, no: LegNo) -> bool {
        self.side_of(no).is_some()
    }

    /// True if the endpoint of that leg is known there too, under the same name.
    pub fn is_known_to(&self, by: LegNo, other: &Call) -> bool {
        let far = self.side_of(by).map(|side| self.number_of(side.other()));
        let leg = far.and_then(|far| self.leg(far));
        leg.is_some_and(|leg| {
            let name = &self.setup.endpoint(leg.endpoint).name;
            other.setup.endpoint_named(name).is_some()
        })
    }

    /// Lets the far side of the transferer go, who stays behind alone and is hung up on. `asked` is its REFER, if that came in
    /// this call. None if they are not joined.
    pub fn hand_over(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        by: LegNo,
        asked: Option<Asked>,
    ) -> Option<Adopted> {
        let Phase::Bridged { callee } = self.phase else {
            return None;
        };
        self.accept_refer(ctx, now, by, asked);
        self.part(ctx);
        let (facts, far) = if by == self.caller.no {
            (self.facts_of_callee(ctx, callee), callee)
        } else {
            (self.facts.clone(), self.caller.no)
        };
        if far == self.caller.no {
            // The one that stays is the call's caller from now on.
            self.swap_sides(by);
        }
        let place = self.callees.iter().position(|leg| leg.no == far)?;
        let leg = self.callees.remove(place);
        let call = self.key;
        self.phase = Phase::Ready;
        if self.notify_success(ctx, now, by, asked) {
            self.linger(ctx, now);
        } else {
            self.end_by_us(ctx, now, Cause::NORMAL, "transferred");
        }
        Some(Adopted {
            leg,
            owner: ServerOwner { call, leg: far },
            setup: self.setup.clone(),
            facts,
        })
    }

    /// Takes a leg of another call in the place of `replaced`, which is hung up on. `asked` is its REFER, if that came in this
    /// call.
    pub fn adopt(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        (replaced, asked): (LegNo, Option<Asked>),
        adopted: Adopted,
    ) {
        let Adopted {
            mut leg,
            owner,
            setup,
            facts,
        } = adopted;
        self.accept_refer(ctx, now, replaced, asked);
        let is_succeeded = self.can_be_succeeded(replaced);
        self.rename(ctx, now, &mut leg, &setup);
        let (call, no) = (self.key, leg.no);
        ctx.servers.hand_over(owner, ServerOwner { call, leg: no });
        let is_housed = self.house(ctx, now, &mut leg);
        self.refuse_replaced(ctx, now, replaced);
        if replaced == self.caller.no {
            self.facts.take_caller_of(facts);
        }
        if is_succeeded {
            self.succeed_caller(ctx, leg);
        } else {
            self.put_in_place_of(ctx, replaced, leg);
        }
        if !self.notify_success(ctx, now, replaced, asked) {
            self.leave_beside(ctx, now, replaced);
        }
        tracing::info!(
            call = self.id,
            leg = no.0,
            replaced = replaced.0,
            "leg taken over by transfer"
        );
        if !is_housed {
            return self.end_by_us(
                ctx,
                now,
                Cause::CONGESTION,
                "no RTP port for a transferred leg",
            );
        }
        if is_succeeded {
            self.go_on_with_successor(ctx);
        } else {
            self.join(ctx);
            self.settle(ctx, now, Side::Callee);
            if let Phase::Dialling(_) = self.phase {
                self.wait_in_place_of(ctx, now);
            }
        }
        self.advance(ctx, now);
    }

    /// Puts a leg in the place of one that talks to somebody, or waits for one who is called.
    fn put_in_place_of(&mut self, ctx: &mut Context, replaced: LegNo, mut leg: Leg) {
        self.part(ctx);
        if replaced == self.caller.no {
            leg.inherit_monitors(&mut self.caller);
            let old = std::mem::replace(&mut self.caller, leg);
            self.callees.push(old);
        } else {
            self.phase = Phase::Bridged { callee: leg.no };
            self.callees.push(leg);
        }
    }

    /// Whoever has taken the place of a caller that waits is told of its new port now, not when somebody answers, and hears
    /// that others ring.
    fn wait_in_place_of(&mut self, ctx: &mut Context, now: Instant) {
        self.recall_caller(ctx, now);
        if self.joined().is_none() {
            self.ring_caller(ctx, now);
        }
    }

    /// Makes a leg of another call, with these settings, one of this call's.
    pub(in crate::control::call) fn rename(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        leg: &mut Leg,
        setup: &Setup,
    ) {
        let endpoint = &setup.endpoint(leg.endpoint).name;
        if let Some(id) = self.setup.endpoint_named(endpoint) {
            leg.endpoint = id;
        }
        self.legs_begun += 1;
        leg.no = LegNo(self.legs_begun);
        if let Some(invite) = leg.invite.take() {
            ctx.clients.remove(invite);
        }
        leg.unanswered.clear();
        leg.own_info = OwnInfo::default();
        ctx.moved_legs.insert(leg.tag.clone(), (self.key, leg.no));
        let due = Timer::Call(self.key, CallTimer::Session(leg.no));
        leg.session.follow(ctx, now, due);
    }

    /// A caller that waits for its answer has been replaced before it came.
    fn refuse_replaced(&mut self, ctx: &mut Context, now: Instant, replaced: LegNo) {
        if replaced == self.caller.no && matches!(self.caller.state, LegState::Asked(_)) {
            let failure = Failure {
                status: 487,
                ..Failure::of_cause(Cause::NORMAL)
            };
            self.refuse_caller(ctx, now, failure);
        }
    }

    /// Makes the leg's media this call's: told by its number here, and on the worker of the others. False if there is
    /// no port for it.
    pub(super) fn house(&mut self, ctx: &mut Context, now: Instant, leg: &mut Leg) -> bool {
        let worker = self.legs().find_map(Leg::media).map(LegMedia::worker);
        let owner = (self.key, leg.no);
        let path = leg.path.clone();
        let (Some(media), Some(worker)) = (leg.media_mut(), worker) else {
            return false;
        };
        media.renew();
        if media.worker() == worker {
            ctx.media_owners.insert(media.leg, owner);
            return true;
        }
        match media.move_to(ctx, now, worker, owner, &path) {
            Ok(()) => {
                media.go_on_recording(ctx, &self.id, self.recording_max());
                true
            }
            Err(error) => {
                tracing::error!(call = self.id, %error, "no RTP port for a transferred leg");
                media.close(ctx);
                leg.media = MediaState::None;
                false
            }
        }
    }
}
