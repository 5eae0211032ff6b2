//! What both sides have agreed, told to the workers, and the call's own re-INVITEs that bring two sides together again.

use super::Exchange;
use crate::control::call::cause::Cause;
use crate::control::call::leg::Leg;
use crate::control::call::media::negotiation;
use crate::control::call::media::{LegMedia, Offered};
use crate::control::call::{Call, Phase, Side};
use crate::control::context::{CallTimer, Context, Timer};
use crate::sdp::{Direction, Format};
use std::time::{Duration, Instant};

/// Longest wait for another try after 491, in tens of milliseconds, and the least of the side that owns the Call-ID
/// (RFC 3261 §14.1).
const RETRY_OWNER_10MS: std::ops::RangeInclusive<u64> = 210..=400;
const RETRY_OTHER_10MS: std::ops::RangeInclusive<u64> = 0..=200;

impl Call {
    /// Our own re-INVITE met another: it is tried again.
    pub(super) fn retry_later(&mut self, ctx: &mut Context, now: Instant, to: Side) {
        let range = match to {
            // The Call-ID of a callee's leg is ours.
            Side::Callee => RETRY_OWNER_10MS,
            Side::Caller => RETRY_OTHER_10MS,
        };
        let wait = Duration::from_millis(ctx.rng.u64(range) * 10);
        let timer = Timer::Call(self.key, CallTimer::Reoffer);
        let timer = ctx.timers.arm(now, now + wait, timer);
        self.exchange = Exchange::Waiting { timer };
    }

    /// Our own re-INVITE is tried again.
    pub(in crate::control::call) fn on_reoffer_due(&mut self, ctx: &mut Context, now: Instant) {
        if let Exchange::Waiting { .. } = self.exchange {
            self.exchange = Exchange::Idle;
            self.settle(ctx, now, Side::Caller);
        }
    }

    /// Tells the workers what is agreed: where the peers are, and who hears whom.
    pub(in crate::control::call) fn join(&mut self, ctx: &mut Context) {
        let is_answered = self.caller.answered.is_some();
        let terms = self.remote_terms(&self.caller, is_answered);
        if let Some(media) = self.caller.media_mut() {
            media.tell(ctx, terms);
            media.resume_playing(ctx);
        }
        self.settle_monitors(ctx);
        let Some(callee) = self.joined() else {
            return;
        };
        let Some(index) = self.callees.iter().position(|leg| leg.no == callee) else {
            return;
        };
        let is_answered = matches!(self.phase, Phase::Bridged { .. });
        let terms = self.remote_terms(&self.callees[index], is_answered);
        if let Some(media) = self.callees[index].media_mut() {
            media.tell(ctx, terms);
        }
        if let (Some(a), Some(b)) = (self.caller.media(), self.callees[index].media()) {
            let bridge = LegMedia::bridge(a, b);
            if bridge.is_some() && self.bridge != bridge {
                self.bridge.clone_from(&bridge);
                bridge
                    .into_iter()
                    .for_each(|bridge| ctx.command(a.worker(), bridge));
            }
        }
        self.settle_digits(ctx);
        self.settle_music(ctx);
    }

    /// True if an application of ours has the caller, or is about to: it hears nobody else.
    pub(in crate::control::call) fn is_with_us(&self) -> bool {
        match self.phase {
            Phase::Paused { .. }
            | Phase::AwaitingAck { .. }
            | Phase::Referring { .. }
            | Phase::Echo
            | Phase::Attending(_) => true,
            Phase::Dialling(_) => self.is_paging(),
            Phase::Ready
            | Phase::PickingUp
            | Phase::Bridged { .. }
            | Phase::Lingering { .. }
            | Phase::Ending { .. } => false,
        }
    }

    /// A caller whose far side has gone, and who was on hold, sent its media past us or to another port of ours, is told to
    /// send it here.
    pub(in crate::control::call) fn recall_caller(&mut self, ctx: &mut Context, now: Instant) {
        let is_due = self.caller.media().is_some_and(LegMedia::is_renewal_due);
        if !is_due || !matches!(self.exchange, Exchange::Idle) {
            return;
        }
        let offered = Offered::audio(self.formats_for_us(), Direction::SendRecv, None);
        if let Ok(passed) = self.reinvite(ctx, now, Side::Caller, offered) {
            self.exchange = Exchange::Own { passed };
        }
    }

    /// The caller refuses to hear of its new far side, which is an application of ours. False if there is somebody else.
    pub(super) fn on_recall_refused(&mut self, ctx: &mut Context, now: Instant) -> bool {
        if !self.is_with_us() {
            return false;
        }
        let Some(media) = self.caller.media_mut() else {
            return false;
        };
        if media.is_lost() {
            let why = "its new port is refused";
            self.end_by_us(ctx, now, Cause::NO_CODEC, why);
        } else if media.must_renew() {
            media.renewal_refused();
            media.resume_playing(ctx);
        }
        true
    }

    /// What a caller is offered that hears nobody but us: what it has agreed if we code any of that, else all that it may use.
    fn formats_for_us(&self) -> Vec<Format> {
        let endpoint = self.setup.endpoint(self.caller.endpoint);
        let formats = match self.caller.media() {
            Some(media) if !media.is_coded() => negotiation::own(endpoint),
            _ => self.caller_formats(),
        };
        negotiation::for_us(formats)
    }

    /// One side has learnt of its new far side; the other one may still have to.
    pub(super) fn settle_renewed(&mut self, ctx: &mut Context, now: Instant) {
        if self.legs().filter_map(Leg::media).any(LegMedia::must_renew) {
            self.settle(ctx, now, Side::Caller);
        }
        self.settle_direct(ctx, now);
    }

    /// Brings two joined sides together again that have come apart: one prefers a codec that the other does not have,
    /// though they have one in common, or one is on hold and the other does not know. `newest` is the side that has spoken last.
    pub(in crate::control::call) fn settle(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        newest: Side,
    ) {
        let (Phase::Bridged { callee }, Exchange::Idle) = (&self.phase, &self.exchange) else {
            return;
        };
        let far = self.leg(*callee).and_then(Leg::media);
        let (Some(a), Some(b)) = (self.caller.media(), far) else {
            return;
        };
        if !a.is_agreed() || !b.is_agreed() {
            return;
        }
        let Some(to) = who_is_apart(a, b, newest) else {
            return self.settle_direct(ctx, now);
        };
        let (asked, far) = match to {
            Side::Caller => (a, b),
            Side::Callee => (b, a),
        };
        let no = self.number_of(to);
        let offered = Offered::audio(
            self.formats_to_offer(no, asked, far.formats()),
            negotiation::told_direction(far.wanted_direction()),
            far.ptime_ms(),
        );
        match self.reinvite(ctx, now, to, offered) {
            Ok(passed) => self.exchange = Exchange::Own { passed },
            // Its ACK is still to come; `settle` is called again then.
            Err(491) => {}
            Err(status) => {
                tracing::warn!(
                    call = self.id,
                    status,
                    "the sides cannot be brought together"
                );
            }
        }
    }
}

/// The one of two sides, the caller and the callee, that has to hear of the other. `newest` has spoken last.
fn who_is_apart(a: &LegMedia, b: &LegMedia, newest: Side) -> Option<Side> {
    match (a.fax().is_some(), b.fax().is_some()) {
        (true, true) => return None,
        (true, false) => return Some(Side::Caller),
        (false, true) => return Some(Side::Callee),
        (false, false) => {}
    }
    if a.must_renew() {
        Some(Side::Caller)
    } else if b.must_renew() {
        Some(Side::Callee)
    } else if negotiation::is_apart(a.formats(), b.formats()) {
        Some(Side::Caller)
    } else if negotiation::is_apart(b.formats(), a.formats()) {
        Some(Side::Callee)
    } else if !negotiation::directions_agree(a.peer_direction(), b.peer_direction()) {
        Some(newest.other())
    } else {
        None
    }
}
