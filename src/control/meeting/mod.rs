//! What concerns two calls at once: an attended transfer.
//!
//! | file | concept |
//! |---|---|
//! | `replaces` | the Replaces header |
//! | `pickup` | calls that ring and are taken |
//! | `rooms` | whose audio is mixed with whose |

pub mod pickup;
pub mod replaces;
pub mod rooms;

use super::call::transfer::replace::Place;
use super::call::transfer::{Asked, Refer};
use super::call::{Call, CallKey, LegNo};
use super::context::Context;
use super::controller::Controller;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::ResponseDraft;
use replaces::Replaces;
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
        let asked = Asked {
            tx,
            subscription: refer.subscription,
        };
        // Where the REFER came from an application, its sender's other dialog has the far side that takes its place.
        let is_of_side = self.call(call).is_some_and(|call| call.is_side(by));
        let (from, to) = match is_of_side {
            true => ((call, by, Some(asked)), (other, replaced, None)),
            false => ((other, replaced, None), (call, by, Some(asked))),
        };
        if let Err(status) = self.judge((from.0, from.1), (to.0, to.1)) {
            return self.ctx.sip.respond(now, tx, ResponseDraft::new(status));
        }
        let mut adopted = None;
        self.with_call(now, from.0, |call, ctx| {
            adopted = call.hand_over(ctx, now, from.1, from.2);
        });
        if let Some(adopted) = adopted {
            self.with_call(now, to.0, |call, ctx| {
                call.adopt(ctx, now, (to.1, to.2), adopted);
            });
        }
    }

    fn call(&self, key: CallKey) -> Option<&Call> {
        let call = self.calls.get(key.index as usize);
        call.filter(|call| call.key() == key)
    }

    /// Whether the far side of the transferer may take that place.
    ///
    /// # Errors
    /// The status for the REFER.
    fn judge(
        &self,
        (from, by): (CallKey, LegNo),
        (other, replaced): (CallKey, LegNo),
    ) -> Result<(), u16> {
        let (Some(from), Some(other)) = (self.call(from), self.call(other)) else {
            return Err(481);
        };
        if from.key() == other.key() {
            return Err(400);
        }
        from.may_send_away(by)?;
        if !other.can_replace(replaced) {
            return Err(491);
        }
        if other.can_be_succeeded(replaced) && !from.has_audible_far_side(by) {
            return Err(488);
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
