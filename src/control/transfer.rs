//! What concerns two calls at once: an attended transfer.

use super::call::replace::Place;
use super::call::transfer::Refer;
use super::call::{Call, CallKey, LegNo};
use super::context::Context;
use super::controller::Controller;
use super::replaces::Replaces;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::ResponseDraft;
use std::time::Instant;

/// A REFER that names another dialog.
#[derive(Clone, Debug)]
pub struct Attended {
    /// The call that it came in.
    pub call: CallKey,
    /// The transferer's leg there.
    pub by: LegNo,
    /// The REFER's transaction.
    pub tx: ServerTx,
    /// What it says.
    pub refer: Refer,
}

impl Controller {
    /// Does what concerns two calls and has been asked for: attended transfers, each caused by a REFER, so that this
    /// ends, pickups, and who comes into rooms and leaves them.
    pub(super) fn join_calls(&mut self, now: Instant) {
        while let Some(attended) = self.ctx.attended.pop_front() {
            self.join_two(now, attended);
        }
        self.pick_up_calls(now);
        self.settle_rooms(now);
    }

    fn join_two(&mut self, now: Instant, attended: Attended) {
        let Attended {
            call,
            by,
            tx,
            refer,
        } = attended;
        let named = refer.replaces.as_ref().and_then(|it| self.dialog_of(it));
        let Some((other, replaced)) = named else {
            return self.with_call(now, call, |call, ctx| {
                call.transfer_blind(ctx, now, by, tx, refer);
            });
        };
        if let Err(status) = self.judge(call, by, other, replaced) {
            return self.ctx.sip.respond(now, tx, ResponseDraft::new(status));
        }
        let mut adopted = None;
        self.with_call(now, call, |call, ctx| {
            adopted = call.hand_over(ctx, now, by, tx, refer.subscription);
        });
        if let Some(adopted) = adopted {
            self.with_call(now, other, |call, ctx| {
                call.adopt(ctx, now, replaced, adopted);
            });
        }
    }

    /// Whether the far side of the transferer may take that place.
    ///
    /// # Errors
    /// The status for the REFER.
    fn judge(&self, from: CallKey, by: LegNo, other: CallKey, replaced: LegNo) -> Result<(), u16> {
        let call = |key: CallKey| self.calls.get(key.index as usize);
        let (Some(from), Some(other)) = (call(from), call(other)) else {
            return Err(481);
        };
        if from.key() == other.key() {
            return Err(400);
        }
        if !other.can_replace(replaced) {
            return Err(491);
        }
        if !from.is_known_to(by, other) {
            return Err(503);
        }
        Ok(())
    }

    /// The call and leg of a dialog of ours.
    fn dialog_of(&self, replaces: &Replaces) -> Option<(CallKey, LegNo)> {
        let call = self.call_named(replaces)?;
        Some((call.key(), call.leg_named(replaces)?))
    }

    /// The call and place that an INVITE with Replaces names.
    pub(super) fn place_of(&self, replaces: &Replaces) -> Option<(CallKey, Place)> {
        let call = self.call_named(replaces)?;
        Some((call.key(), call.place_named(replaces)?))
    }

    fn call_named(&self, replaces: &Replaces) -> Option<&Call> {
        let moved = self.ctx.moved_legs.get(&replaces.to_tag);
        let place = match moved {
            Some((key, _)) => key.index as usize,
            None => Context::call_of_tag(&replaces.to_tag)?,
        };
        self.calls.get(place)
    }
}
