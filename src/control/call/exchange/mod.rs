//! An offer/answer exchange in an answered call: who asks whom, and by which request.
//!
//! | file | concept |
//! |---|---|
//! | `reoffer` | re-INVITE, and UPDATE with an offer, from either side |
//! | `passing` | what one side asks is asked of the other, or answered from what stands |
//! | `joining` | who hears whom, and our own re-INVITEs |
//! | `direct` | the two sides send their media to each other |
//! | `update` | UPDATE from either side |
//! | `reliable` | provisional responses that wait for PRACK, on both sides |
//! | `session` | session timers, each leg by itself |

pub(super) mod direct;
mod joining;
mod passing;
pub(super) mod reliable;
mod reoffer;
pub(super) mod session;
mod update;

use super::Side;
use super::media::Offered;
use crate::control::context::Context;
use crate::sdp::Description;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::message::Method;
use crate::sip::timer::TimerId;
use std::time::{Duration, Instant};

/// How long a side may take for its final response to a re-INVITE: as long as without any response (64*T1).
pub(super) const REINVITE_MAX: Duration = Duration::from_secs(32);

/// How long it may take where the other side asked by UPDATE, which gives up after 64*T1 by itself.
const UPDATE_MAX: Duration = Duration::from_secs(24);

/// An offer/answer exchange after the first.
pub(super) enum Exchange {
    /// None runs.
    Idle,
    /// A side's offer waits for the other side's answer.
    Passing {
        /// What it asks.
        asking: Asking,
        /// Our question to the other side.
        passed: Reinvite,
    },
    /// Cancelled, by the one who asked or for want of an answer; the final response is still to come.
    Withdrawn {
        /// Our re-INVITE.
        passed: Reinvite,
    },
    /// A side asked without an offer: ours is in our 200, and its ACK brings the answer.
    Offering {
        /// The re-INVITE.
        invite: ServerTx,
        /// Our offer.
        offered: Offered,
    },
    /// We ask on our own account.
    Own {
        /// Our re-INVITE.
        passed: Reinvite,
    },
    /// A leg's session is refreshed by re-INVITE.
    Refreshing {
        /// Our re-INVITE.
        tx: ClientTx,
        /// What it repeats.
        offered: Offered,
        /// Ends the wait.
        guard: TimerId,
    },
    /// Ours met 491, and is tried again.
    Waiting {
        /// Until then.
        timer: TimerId,
    },
}

/// How an offer is made in an answered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    /// By re-INVITE.
    Invite,
    /// By UPDATE (RFC 3311).
    Update,
}

impl Means {
    pub(super) fn method(self) -> Method {
        match self {
            Means::Invite => Method::Invite,
            Means::Update => Method::Update,
        }
    }

    /// How long whoever asked so waits for the answer of the other side.
    pub(super) fn patience(self) -> Duration {
        match self {
            Means::Invite => REINVITE_MAX,
            Means::Update => UPDATE_MAX,
        }
    }
}

/// A re-INVITE or UPDATE of ours that waits for its final response.
pub(super) struct Reinvite {
    /// How it asks.
    pub(super) means: Means,
    /// Whom it asks.
    pub to: Side,
    /// Its transaction.
    pub tx: ClientTx,
    /// What it offers.
    pub offered: Offered,
    /// Ends the wait: a 100 and then nothing would block every later exchange of the call.
    pub(super) guard: TimerId,
}

impl Reinvite {
    /// Takes it back; its final response is still to come.
    pub(super) fn cancel(self, ctx: &mut Context, now: Instant) -> Exchange {
        ctx.timers.cancel(self.guard);
        if self.means == Means::Invite {
            ctx.sip.cancel(now, self.tx, None);
        }
        Exchange::Withdrawn { passed: self }
    }
}

/// An offer of a side that waits for its answer.
pub(super) struct Asking {
    pub(super) from: Side,
    /// The re-INVITE, or UPDATE.
    pub(super) invite: ServerTx,
    pub(super) means: Means,
    pub(super) offer: Description,
}

/// An offer of ours to a side.
pub(super) struct OurAsk {
    pub(super) to: Side,
    pub(super) means: Means,
    /// How long its final response may take.
    pub(super) patience: Duration,
}
