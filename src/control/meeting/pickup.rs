//! Call pickup: what rings somewhere is taken over by another call's caller, or by the sender of an INVITE with Replaces
//! of a ringing dialog (RFC 3891).
//!
//! The calls are searched one by one, since nobody knows beforehand which will be picked up; it is a person who presses a
//! key, not a stream of calls.

use crate::control::call::transfer::pickup::Wanted;
use crate::control::call::{Call, CallKey};
use crate::control::controller::Controller;
use crate::control::dialplan::{PickupRequest, PickupTarget};
use std::time::Instant;

/// A Pickup of the dialplan.
#[derive(Clone, Debug)]
pub struct Pickup {
    /// Whose caller takes over.
    pub call: CallKey,
    /// What.
    pub request: PickupRequest,
}

impl Controller {
    /// Does the pickups that dialplans have asked for. Each ends the step that asked, so this ends.
    pub(super) fn pick_up_calls(&mut self, now: Instant) {
        while let Some(Pickup { call, request }) = self.ctx.pickups.pop_front() {
            let is_done = self
                .ringing(call, &request)
                .is_some_and(|ringing| self.pick_up(now, call, ringing));
            if !is_done {
                self.with_call(now, call, |call, ctx| call.has_nothing_to_pick_up(ctx, now));
            }
        }
    }

    /// The call that a Pickup takes over: of the first target that rings the one that has waited longest.
    fn ringing(&self, by: CallKey, request: &PickupRequest) -> Option<CallKey> {
        let picker = self.calls.get(by.index as usize)?;
        let groups = picker.pickup_groups();
        let oldest = |wanted: Wanted<'_>| {
            let calls = self.calls.iter().map(|(_, call)| call);
            let others = calls.filter(|call| call.key() != by);
            let ringing = others.filter(|call| call.rings_for(&wanted) && call.knows(picker));
            ringing.min_by_key(|call| call.began()).map(Call::key)
        };
        match request {
            PickupRequest::Group => oldest(Wanted::Group(groups)),
            PickupRequest::Named(targets) => targets.iter().find_map(|target| {
                oldest(match target {
                    PickupTarget::Extension { extension, context } => {
                        Wanted::Extension { extension, context }
                    }
                    PickupTarget::Mark(mark) => Wanted::Mark(mark),
                })
            }),
        }
    }

    /// Brings the caller of one call into another. False if they cannot talk to each other; both go on.
    fn pick_up(&mut self, now: Instant, by: CallKey, ringing: CallKey) -> bool {
        let of = |key: CallKey| self.calls.get(key.index as usize);
        let (Some(picker), Some(call)) = (of(by), of(ringing)) else {
            return false;
        };
        if !call.can_talk_to(picker) {
            return false;
        }
        let mut gone = None;
        self.with_call(now, by, |call, ctx| gone = call.leave_for_pickup(ctx, now));
        let Some(leg) = gone else {
            return false;
        };
        self.with_call(now, ringing, |call, ctx| call.pick_up(ctx, now, leg));
        true
    }
}
