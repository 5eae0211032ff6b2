//! The caller's leg until it is up: what it is told, and its answer.

use super::cause::{Cause, Failure};
use super::exchange::reliable::{MayAnswer, Reliable};
use super::leg::{Asked, Confirmed, LegState, MediaState, Said};
use super::media::negotiation;
use super::media::{LegMedia, NotAcceptable, Offered, RemoteTerms};
use super::{Call, Leg, LegNo, Phase, RETRY_AFTER_S, SDP, Side};
use crate::control::context::{CallTimer, Context, ServerOwner, Timer};
use crate::control::ports::NoPorts;
use crate::link::WorkerId;
use crate::sdp::{Description, Direction, Format};
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Headers, Request, ResponseDraft};
use std::time::{Duration, Instant};

/// How often a caller that rings is told so again: proxies on its way give up after three minutes without
/// (RFC 3261 §13.3.1.1, §16.6 timer C).
pub const REFRESH: Duration = Duration::from_secs(60);

/// What the far side of the call can do, as the caller's answer is to say.
pub(super) struct Far {
    /// Its formats.
    pub formats: Vec<Format>,
    /// Its direction, as it wrote it.
    pub direction: Direction,
    /// Packet time that it would like to receive, in milliseconds.
    pub ptime_ms: Option<u32>,
}

impl Call {
    /// The formats that the caller can use, in its own order and numbers: what it offered or agreed, else all that its
    /// endpoint may use.
    pub(super) fn caller_formats(&self) -> Vec<Format> {
        let endpoint = self.setup.endpoint(self.caller.endpoint);
        let agreed = self.caller.media();
        let agreed = agreed.filter(|media| !media.formats().is_empty());
        if let Some(media) = agreed {
            return media.formats().to_vec();
        }
        match &self.caller.state {
            LegState::Asked(Asked {
                offer: Some(offer), ..
            }) => {
                let offered = offer.audio().map_or(&[][..], |audio| &audio.formats);
                negotiation::usable(offered, endpoint)
            }
            _ => negotiation::own(endpoint),
        }
    }

    /// The direction that the caller is in, as it wrote it.
    pub(super) fn caller_direction(&self) -> Direction {
        match &self.caller.state {
            LegState::Asked(Asked {
                offer: Some(offer), ..
            }) => offer
                .audio()
                .map_or(Direction::SendRecv, |audio| audio.direction),
            _ => match self.caller.media() {
                Some(media) => media.wanted_direction(),
                None => Direction::SendRecv,
            },
        }
    }

    /// Leases the caller's port, on a worker that has `pairs` free ones.
    pub(super) fn open_caller_media(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        pairs: usize,
    ) -> Result<(), Failure> {
        match self.caller.media {
            MediaState::Open(_) => Ok(()),
            MediaState::Closing | MediaState::Closed(_) => {
                Err(Failure::of_cause(Cause::CONGESTION))
            }
            MediaState::None => {
                let worker = ctx.ports.choose_worker(now, pairs);
                let leased = worker.and_then(|worker| self.lease_caller(ctx, now, worker));
                leased.map_err(|error| {
                    tracing::error!(call = self.id, %error, "no RTP port for the caller");
                    Failure::of_cause(Cause::CONGESTION)
                })
            }
        }
    }

    /// Leases the port of a caller that has none, on this worker.
    pub(super) fn lease_caller(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        worker: WorkerId,
    ) -> Result<(), NoPorts> {
        let endpoint = self.setup.endpoint(self.caller.endpoint);
        let (owner, peer) = ((self.key, self.caller.no), (&self.caller.path, endpoint));
        let media = LegMedia::open(ctx, now, worker, owner, peer)?;
        self.caller.media = MediaState::Open(Box::new(media));
        Ok(())
    }

    /// 180, if the caller waits and hears nothing better; one that is answered hears the tone.
    pub(super) fn ring_caller(&mut self, ctx: &mut Context, now: Instant) {
        if self.caller.media().is_some_and(LegMedia::is_playing) {
            return;
        }
        let LegState::Asked(asked) = &mut self.caller.state else {
            return self.sound_ringing(ctx);
        };
        let first = asked.said == Said::Nothing;
        if first {
            asked.said = Said::Ringing;
        }
        self.tell_caller(ctx, now, 180, None);
        self.caller_hears_ringing(ctx, now, first);
    }

    /// 183 with our answer: media before the call is answered. Without an offer of the caller's there is nothing to
    /// answer, so it is told that it rings.
    pub(super) fn progress_caller(&mut self, ctx: &mut Context, now: Instant, far: Option<&Far>) {
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let first = asked.said == Said::Nothing;
        let Some(offer) = asked.offer.clone() else {
            return self.ring_caller(ctx, now);
        };
        let Ok(body) = self.caller_answer(&offer, far) else {
            return self.ring_caller(ctx, now);
        };
        if let LegState::Asked(asked) = &mut self.caller.state {
            asked.said = Said::Progress;
        }
        self.tell_caller(ctx, now, 183, Some(body));
        self.caller_hears_ringing(ctx, now, first);
    }

    fn caller_hears_ringing(&mut self, ctx: &mut Context, now: Instant, first: bool) {
        if first {
            let took = now.saturating_duration_since(self.caller.began);
            self.metrics_of(ctx, self.caller.endpoint)
                .post_dial_delay(took);
        }
    }

    /// The last provisional response again.
    pub(super) fn refresh_caller(&mut self, ctx: &mut Context, now: Instant) {
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let (invite, said) = (asked.invite, asked.said);
        let standing = self.caller.media().and_then(LegMedia::standing_answer);
        let standing = standing.map(str::to_owned);
        match said {
            Said::Nothing => ctx.sip.respond(now, invite, ResponseDraft::new(100)),
            Said::Progress if standing.is_some() => self.tell_caller(ctx, now, 183, standing),
            Said::Ringing | Said::Progress => self.tell_caller(ctx, now, 180, None),
        }
        if let Phase::Dialling(dialling) = &mut self.phase {
            dialling.refresh = ctx.timers.arm(
                now,
                now + REFRESH,
                Timer::Call(self.key, CallTimer::Refresh),
            );
        }
    }

    /// Our answer to the caller's offer, limited to what the far side has.
    fn caller_answer(
        &mut self,
        offer: &Description,
        far: Option<&Far>,
    ) -> Result<String, NotAcceptable> {
        let media = self.caller.media().ok_or(NotAcceptable)?;
        // What was said in a 183 stands (RFC 3261 §13.2.1): the caller ignores any other answer.
        if let Some(body) = media.standing_answer() {
            return Ok(body.to_owned());
        }
        let own = self.caller_formats();
        let endpoint = self.setup.endpoint(self.caller.endpoint);
        let far_formats = far.map(|far| &far.formats[..]);
        let terms = Offered::audio(
            negotiation::answer(&own, far_formats, endpoint),
            far.map_or(Direction::SendRecv, |far| far.direction),
            far.and_then(|far| far.ptime_ms),
        );
        let media = self.caller.media_mut().ok_or(NotAcceptable)?;
        media.answer(offer, terms)
    }

    /// 200 to the caller, if it has no final response; it waits for a PRACK that is to come (RFC 3262 §3). Its port
    /// must be open.
    ///
    /// # Errors
    /// There is no common codec; the caller has not been told anything.
    pub(super) fn answer_caller(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        far: Option<&Far>,
    ) -> Result<(), NotAcceptable> {
        let LegState::Asked(asked) = &self.caller.state else {
            return Ok(());
        };
        let offer = asked.offer.clone();
        match self
            .caller
            .reliable
            .as_deref_mut()
            .map(Reliable::may_answer)
        {
            Some(MayAnswer::AfterPrack) => return Ok(()),
            Some(MayAnswer::WithoutSession) => {
                self.accept_caller(ctx, now, None, None);
                return Ok(());
            }
            Some(MayAnswer::Now) | None => {}
        }
        let (body, offered) = match offer {
            Some(offer) => (self.caller_answer(&offer, far)?, None),
            None => {
                let (body, offered) = self.caller_offer(far)?;
                (body, Some(offered))
            }
        };
        self.accept_caller(ctx, now, Some(body), offered);
        Ok(())
    }

    /// Sends the 200, without a description if that was exchanged before (RFC 3262 §5).
    pub(super) fn accept_caller(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        body: Option<String>,
        offered: Option<Offered>,
    ) {
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let invite = asked.invite;
        let response = self.caller.response(200);
        let response = match body {
            Some(body) => response.body(SDP, body),
            None => response,
        };
        let response = self.caller.answer_session(ctx, now, self.key, response);
        self.stop_provisionals(ctx);
        ctx.sip.respond(now, invite, response);
        self.caller.answered = Some(now);
        self.caller.state = LegState::Unacked {
            invite,
            offered,
            hang_up: None,
        };
        self.failure = None;
        let took = now.saturating_duration_since(self.caller.began);
        self.metrics_of(ctx, self.caller.endpoint).setup(took);
    }

    /// Our offer to a caller that made none.
    pub(super) fn caller_offer(
        &mut self,
        far: Option<&Far>,
    ) -> Result<(String, Offered), NotAcceptable> {
        let own = self.caller_formats();
        let endpoint = self.setup.endpoint(self.caller.endpoint);
        let formats = match far {
            Some(far) => negotiation::first_offer(&far.formats, endpoint),
            None => own,
        };
        if formats.is_empty() {
            return Err(NotAcceptable);
        }
        let offered = Offered::audio(
            formats,
            far.map_or(Direction::SendRecv, |far| far.direction),
            far.and_then(|far| far.ptime_ms),
        );
        let media = self.caller.media_mut().ok_or(NotAcceptable)?;
        let body = media.offer(&offered);
        Ok((body, offered))
    }

    /// A failure to the caller, if it has no final response.
    pub(super) fn refuse_caller(&mut self, ctx: &mut Context, now: Instant, failure: Failure) {
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let response = ResponseDraft::new(failure.status)
            .to_tag(&self.caller.tag)
            .header("Allow", super::ALLOW)
            .header("Reason", failure.cause);
        let response = if failure.status == 503 {
            response.header("Retry-After", RETRY_AFTER_S)
        } else {
            response
        };
        let invite = asked.invite;
        ctx.sip.respond(now, invite, response);
        ctx.servers.remove(invite);
        self.caller.state = LegState::Gone;
        let took = now.saturating_duration_since(self.caller.began);
        self.metrics_of(ctx, self.caller.endpoint).setup(took);
    }

    /// The ACK of our 2xx, to the first INVITE or a later one.
    pub fn on_ack(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        owner: ServerOwner,
        tx: ServerTx,
        ack: &Request,
    ) {
        let (key, no) = (self.key, owner.leg);
        let leg = self.leg_mut(no);
        match leg.and_then(|leg| Some((leg.confirm(tx)?, leg))) {
            Some((Confirmed::HangUp(cause), leg)) => leg.bye(ctx, now, key, cause),
            Some((Confirmed::Offered(offered), _)) => {
                self.on_late_answer(ctx, now, no, &offered, ack);
            }
            Some((Confirmed::Agreed, _)) => {
                let side = self.side_of(no).unwrap_or(Side::Caller);
                self.settle(ctx, now, side.other());
            }
            None => self.on_reoffer_ack(ctx, now, no, tx, ack),
        }
        if no == self.caller.no && matches!(self.caller.state, LegState::Up) {
            self.resume_after_ack(ctx, now);
        }
        self.advance(ctx, now);
    }

    /// The answer to the offer in our 2xx.
    fn on_late_answer(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        offered: &Offered,
        ack: &Request,
    ) {
        let answer = Description::parse(&ack.body()).ok();
        let media = self.leg_mut(no).and_then(Leg::media_mut);
        let accepted = match (answer, media) {
            (Some(answer), Some(media)) => media.accept_answer(offered, answer).is_ok(),
            _ => false,
        };
        if !accepted {
            return self.end_by_us(ctx, now, Cause::NO_CODEC, "an ACK brought no usable answer");
        }
        self.join(ctx);
        self.settle(ctx, now, self.side_of(no).unwrap_or(Side::Caller));
    }

    /// No ACK came: the leg's peer is gone.
    pub fn on_ack_timeout(&mut self, ctx: &mut Context, now: Instant, owner: ServerOwner) {
        let key = self.key;
        let leg = self.leg_mut(owner.leg);
        let is_new = leg.is_some_and(|leg| match leg.state {
            LegState::Unacked { hang_up, .. } => {
                // RFC 3261 §13.3.1.4: the session is to be ended with BYE.
                leg.bye(ctx, now, key, hang_up.unwrap_or(Cause::TIMER));
                true
            }
            _ => false,
        });
        match is_new {
            true => self.end_by_us(ctx, now, Cause::TIMER, "no ACK"),
            false => self.end_by_dead_dialog(ctx, now, owner.leg, "no ACK to a re-INVITE"),
        }
        self.advance(ctx, now);
    }

    /// The caller's CANCEL, or that of a re-INVITE.
    pub fn on_cancelled(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ServerTx,
        cancel: &Headers,
    ) {
        match &self.caller.state {
            LegState::Asked(asked) if asked.invite == tx => {
                let response = ResponseDraft::new(487).to_tag(&self.caller.tag);
                ctx.sip.respond(now, tx, response);
                ctx.servers.remove(tx);
                self.caller.state = LegState::Gone;
                self.end_by_caller_cancel(ctx, now, cancel);
            }
            _ => self.on_reoffer_cancelled(ctx, now, tx),
        }
        self.advance(ctx, now);
    }

    /// What the worker has to know of a leg's peer, besides its description.
    pub(super) fn remote_terms(&self, leg: &Leg, is_answered: bool) -> RemoteTerms {
        let settings = self.setup.settings();
        RemoteTerms {
            signalling: leg.path.flow.peer.ip().to_canonical(),
            symmetric: self.setup.endpoint(leg.endpoint).rtp_symmetric,
            // Before the answer a caller may have nothing to send.
            timeout: if is_answered {
                settings.rtp.timeout
            } else {
                Duration::ZERO
            },
        }
    }
}
