//! What concerns two calls at once: an attended transfer.

use super::call::transfer::Refer;
use super::call::{CallKey, LegNo};
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
    /// Does the attended transfers that have been asked for. Each was caused by a REFER, so this ends.
    pub(super) fn join_calls(&mut self, now: Instant) {
        while let Some(attended) = self.ctx.attended.pop_front() {
            self.join_two(now, attended);
        }
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
    pub(super) fn dialog_of(&self, replaces: &Replaces) -> Option<(CallKey, LegNo)> {
        let moved = self.ctx.moved_legs.get(&replaces.to_tag);
        let place = match moved {
            Some((key, _)) => key.index as usize,
            None => Context::call_of_tag(&replaces.to_tag)?,
        };
        let call = self.calls.get(place)?;
        Some((call.key(), call.leg_named(replaces)?))
    }
}
