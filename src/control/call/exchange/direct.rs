//! Direct media (`direct_media`): the two sides of a call send to each other, and only the signalling goes through us.
//!
//! ```text
//!  caller                 call                  callee
//!    │ ACK ────────────────►│ relayed              │
//!    │                      │ INVITE (caller's) ──►│
//!    │                      │◄────── 200, ACK ────►│
//!    │◄── INVITE (callee's) │                      │
//!    │ 200, ACK ───────────►│ direct               │
//!    │ INVITE (hold) ──────►│ INVITE (ours) ──────►│    any re-INVITE of a side's brings both back to the relay
//! ```
//!
//! Only where nothing stands between the two: neither is behind a NAT as far as its endpoint says (`rtp_symmetric`,
//! `rewrite_contact`) or its packets show, both are on the same side of `local_net`, they use the same codecs by the same
//! numbers, and nothing of us is needed (DTMF conversion, a recording, a dialplan that goes on with the caller). A side that
//! refuses keeps the call on the relay for the rest of its life. The relay's ports are kept meanwhile, so that the way back
//! is there at once.

use super::Exchange;
use crate::control::call::leg::{Leg, LegState};
use crate::control::call::media::negotiation;
use crate::control::call::media::{LegMedia, Offered};
use crate::control::call::{Call, LegNo, Phase, Side};
use crate::control::context::Context;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Most re-INVITEs that one call spends on the way of its media: a side that moves with each answer must not keep us at it.
pub const REINVITES_MAX: u8 = 16;

/// What a way there and back takes at most.
const REINVITES_OF_A_WAY: u8 = 4;

/// Whether a call's media may leave the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control::call) enum DirectMedia {
    /// It may, after so many re-INVITEs.
    Open { reinvites: u8 },
    /// A side has refused it.
    Refused { reinvites: u8 },
}

impl DirectMedia {
    fn reinvites(&mut self) -> &mut u8 {
        match self {
            DirectMedia::Open { reinvites } | DirectMedia::Refused { reinvites } => reinvites,
        }
    }
}

impl Call {
    /// Sends both sides where their media is to go: to each other, or to us. One re-INVITE at a time; it is called again
    /// when that is over.
    pub(super) fn settle_direct(&mut self, ctx: &mut Context, now: Instant) {
        let (Phase::Bridged { callee }, Exchange::Idle) = (&self.phase, &self.exchange) else {
            return;
        };
        let callee = *callee;
        let is_up = |leg: Option<&Leg>| leg.is_some_and(|leg| matches!(leg.state, LegState::Up));
        if !is_up(Some(&self.caller)) || !is_up(self.leg(callee)) {
            return;
        }
        let wanted = self.direct_addresses(callee);
        let (of_caller, of_callee) = wanted.unzip();
        self.aim(Side::Caller, of_callee);
        self.aim(Side::Callee, of_caller);
        let sides = [Side::Callee, Side::Caller].into_iter();
        let Some(to) = sides.into_iter().find(|side| !self.is_aimed(*side)) else {
            return;
        };
        let spent = self.direct.reinvites();
        if *spent >= REINVITES_MAX {
            return self.keep_aims();
        }
        *spent += 1;
        let (no, far) = (self.number_of(to), self.number_of(to.other()));
        let (Some(asked), Some(far)) = (self.media_of(no), self.media_of(far)) else {
            return;
        };
        let offered = Offered::audio(
            self.formats_to_offer(no, asked, far.formats()),
            negotiation::told_direction(far.wanted_direction()),
            far.ptime_ms(),
        );
        match self.reinvite(ctx, now, to, offered) {
            Ok(passed) => {
                let is_direct = wanted.is_some();
                tracing::info!(call = self.id, ?to, is_direct, "way of the media changes");
                self.exchange = Exchange::Own { passed };
            }
            Err(_) => self.keep_aims(),
        }
    }

    /// A side has refused a re-INVITE of ours. If that was to change the way of its media, the call stays on the relay.
    pub(super) fn on_way_refused(&mut self, ctx: &mut Context, now: Instant, by: Side) {
        if by == Side::Caller && self.on_recall_refused(ctx, now) || self.is_aimed(by) {
            return;
        }
        tracing::info!(call = self.id, ?by, "direct media refused");
        self.keep_aims();
        let reinvites = *self.direct.reinvites();
        self.direct = DirectMedia::Refused { reinvites };
        self.settle_direct(ctx, now);
    }

    /// An offer of a side goes to the other: both come back to the relay if it is answered.
    pub(super) fn aim_at_relay(&mut self) {
        self.aim(Side::Caller, None);
        self.aim(Side::Callee, None);
    }

    /// Nothing has come of it: the media goes where it went.
    pub(super) fn keep_aims(&mut self) {
        for media in self.legs_mut().filter_map(Leg::media_mut) {
            media.keep_aim();
        }
    }

    fn aim(&mut self, side: Side, at: Option<SocketAddr>) {
        if let Some(media) = self.side(side).and_then(Leg::media_mut) {
            media.aim(at);
        }
    }

    fn is_aimed(&mut self, side: Side) -> bool {
        let media = self.side(side).and_then(Leg::media_mut);
        media.is_none_or(|media| media.is_aimed())
    }

    /// Where the two sides hear, if they may send there: the caller first.
    fn direct_addresses(&self, callee: LegNo) -> Option<(SocketAddr, SocketAddr)> {
        let callee = self.leg(callee)?;
        let (of_caller, of_callee) = (self.caller.media()?, callee.media()?);
        let is_possible = match self.direct {
            DirectMedia::Open { reinvites } => {
                reinvites <= REINVITES_MAX - REINVITES_OF_A_WAY || of_callee.is_direct()
            }
            DirectMedia::Refused { .. } => false,
        };
        let needs_us = self.transfer.is_some()
            || self.is_monitored()
            || self.talk.as_ref().is_none_or(|talk| talk.goes_on);
        if !is_possible || needs_us || !LegMedia::speak_alike(of_caller, of_callee) {
            return None;
        }
        let (caller_at, callee_at) = (self.open_address(&self.caller)?, self.open_address(callee)?);
        let endpoint = |leg: &Leg| self.setup.endpoint(leg.endpoint);
        let is_alike = caller_at.is_ipv4() == callee_at.is_ipv4()
            && endpoint(&self.caller).dtmf_mode == endpoint(callee).dtmf_mode
            && self.digits_pass(callee.no)
            && self.is_inside(&self.caller, caller_at.ip())
                == self.is_inside(callee, callee_at.ip());
        is_alike.then_some((caller_at, callee_at))
    }

    /// Where anybody may send media to this leg's peer.
    fn open_address(&self, leg: &Leg) -> Option<SocketAddr> {
        let endpoint = self.setup.endpoint(leg.endpoint);
        if !endpoint.direct_media || endpoint.rtp_symmetric || endpoint.rewrite_contact {
            return None;
        }
        let at = leg.media()?.open_address()?;
        let signalling = leg.path.flow.peer.ip();
        (self.is_inside(leg, signalling) == self.is_inside(leg, at.ip())).then_some(at)
    }

    fn is_inside(&self, leg: &Leg, ip: IpAddr) -> bool {
        let transports = &self.setup.settings().transports;
        let transport = transports.get(usize::from(leg.path.flow.transport.0));
        let ip = ip.to_canonical();
        transport.is_some_and(|transport| transport.local_net.iter().any(|net| net.contains(&ip)))
    }
}
