//! A side's offer in an answered call goes to the other side, and the answer back.
//!
//! Not where it changes the codecs alone: to such as the other side may not use, or does not take. Then that side hears
//! nothing of it, or has refused it and goes on as it was, and its audio is transcoded. What moves the media, puts on hold or
//! resumes needs the other side's consent.
//!
//! A fax by T.38 (`t38_udptl` of both endpoints) begins with such an offer, of either side, and ends with one of audio. The
//! two ends agree by their attributes, which pass as they are; where either side takes none, the call goes on with audio. An
//! offer of both is one of a fax.

use super::{Asking, Exchange, Means, OurAsk};
use crate::control::call::cause::{Cause, Failure};
use crate::control::call::leg::Leg;
use crate::control::call::media::negotiation;
use crate::control::call::media::{LegMedia, Offered};
use crate::control::call::{Call, SDP};
use crate::control::context::{Context, ServerOwner};
use crate::sdp::{Description, Direction, Fax};
use crate::sip::message::{Response, ResponseDraft};
use std::time::Instant;

impl Call {
    /// Asks the other side for what one side asks.
    pub(super) fn pass_offer(&mut self, ctx: &mut Context, now: Instant, asking: Asking) {
        let (from, tx) = (asking.from, asking.invite);
        let no = self.number_of(from);
        let Some(offered) = self.passed_on(&asking) else {
            return self.answer_from_what_stands(ctx, now, &asking);
        };
        self.aim_at_relay();
        let far_updates = self.side(from.other()).is_some_and(|far| far.takes_update);
        let means = match asking.means {
            Means::Update if far_updates => Means::Update,
            Means::Update | Means::Invite => Means::Invite,
        };
        let asked = OurAsk {
            to: from.other(),
            means,
            patience: asking.means.patience(),
        };
        match self.ask(ctx, now, &asked, offered) {
            Ok(passed) => {
                if asking.means == Means::Invite {
                    let call = self.key;
                    ctx.servers.insert(tx, ServerOwner { call, leg: no });
                }
                self.exchange = Exchange::Passing { asking, passed };
            }
            Err(status) => {
                self.keep_aims();
                ctx.sip.respond(now, tx, ResponseDraft::new(status));
            }
        }
    }

    /// What the other side is offered. None if it need not hear of it.
    fn passed_on(&self, asking: &Asking) -> Option<Offered> {
        if let Some(fax) = self.fax_asked(asking) {
            return Some(Offered::Fax(fax.attributes.clone()));
        }
        let no = self.number_of(asking.from.other());
        let far = self.leg(no)?;
        let usable = self.usable(self.number_of(asking.from), &asking.offer);
        let endpoint = self.setup.endpoint(far.endpoint);
        if !negotiation::may_share(&usable, endpoint) && self.may_stand(asking) {
            return None;
        }
        let audio = asking.offer.audio();
        Some(Offered::audio(
            self.formats_to_offer(no, far.media()?, &usable),
            audio.map_or(Direction::SendRecv, |audio| {
                negotiation::told_direction(audio.direction)
            }),
            audio.and_then(|audio| audio.ptime_ms),
        ))
    }

    /// The fax that a side asks for, if both may have one.
    fn fax_asked<'a>(&self, asking: &'a Asking) -> Option<&'a Fax> {
        let takes_fax = |side| {
            let leg = self.leg(self.number_of(side));
            leg.is_some_and(|leg| {
                self.setup.endpoint(leg.endpoint).t38_udptl
                    && leg.media().is_some_and(LegMedia::may_fax)
            })
        };
        let is_for_both = takes_fax(asking.from) && takes_fax(asking.from.other());
        asking.offer.fax().filter(|_| is_for_both)
    }

    /// What a side's offer is answered with, by what the other side has agreed.
    fn terms_for(&self, asking: &Asking) -> Option<Offered> {
        let far = self.media_of(self.number_of(asking.from.other()))?;
        if let Some(fax) = far.fax() {
            return Some(Offered::Fax(fax.attributes.clone()));
        }
        let no = self.number_of(asking.from);
        let formats = self.formats_to_answer(no, &asking.offer, Some(far.formats()));
        Some(Offered::audio(
            formats,
            negotiation::told_direction(far.peer_direction()),
            far.ptime_ms(),
        ))
    }

    /// True if one side's offer can be answered while the other goes on as it is: it changes codecs, not the direction,
    /// and we stand between the two.
    fn may_stand(&self, asking: &Asking) -> bool {
        let media = |side| self.media_of(self.number_of(side));
        let (Some(near), Some(far)) = (media(asking.from), media(asking.from.other())) else {
            return false;
        };
        let direction =
            |description: &Description| description.audio().map(|audio| audio.direction);
        let usable = self.usable(self.number_of(asking.from), &asking.offer);
        near.remote().and_then(direction) == direction(&asking.offer)
            && !near.is_direct()
            && !far.is_direct()
            && negotiation::can_join(&usable, far.formats())
    }

    fn answer_from_what_stands(&mut self, ctx: &mut Context, now: Instant, asking: &Asking) {
        let leg = self.number_of(asking.from);
        if asking.means == Means::Invite {
            let call = self.key;
            ctx.servers.insert(asking.invite, ServerOwner { call, leg });
        }
        if !self.answer_asking(ctx, now, asking) {
            ctx.sip.respond(now, asking.invite, ResponseDraft::new(488));
            ctx.servers.remove(asking.invite);
        }
    }

    /// Answers a side's offer with what the far side can do. False if nothing is left of it; nothing is sent then.
    fn answer_asking(&mut self, ctx: &mut Context, now: Instant, asking: &Asking) -> bool {
        let key = self.key;
        let Some(terms) = self.terms_for(asking) else {
            return false;
        };
        let Some(near) = self.side(asking.from) else {
            return false;
        };
        let answer = |media: &mut LegMedia| media.answer(&asking.offer, terms).ok();
        let Some(body) = near.media_mut().and_then(answer) else {
            return false;
        };
        let response = near.response(200).body(SDP, body);
        let response = near.answer_session(ctx, now, key, response);
        ctx.sip.respond(now, asking.invite, response);
        self.join(ctx);
        true
    }

    /// The other side's final response to a passed offer.
    pub(super) fn on_passed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        asked: Asking,
        offered: &Offered,
        response: &Response,
    ) {
        let status = response.status();
        if status >= 300 {
            return self.on_passed_refused(ctx, now, &asked, status);
        }
        let side = asked.from.other();
        let accepted = self.side(side).and_then(|far| {
            let answer = Description::parse(&response.body()).ok()?;
            far.media_mut()?.accept_answer(offered, answer).ok()
        });
        let is_answered = accepted.is_some() && self.answer_asking(ctx, now, &asked);
        if is_answered {
            return;
        }
        if let Offered::Fax(_) = offered {
            return self.on_fax_refused(ctx, now, &asked);
        }
        ctx.sip.respond(now, asked.invite, ResponseDraft::new(488));
        ctx.servers.remove(asked.invite);
        let why = "the answer to a re-INVITE is of no use";
        self.end_by_us(ctx, now, Cause::NO_CODEC, why);
    }

    /// The other side's 200 has no fax, or none that can be used: it is asked back to audio.
    fn on_fax_refused(&mut self, ctx: &mut Context, now: Instant, asked: &Asking) {
        self.keep_aims();
        ctx.sip.respond(now, asked.invite, ResponseDraft::new(488));
        ctx.servers.remove(asked.invite);
        if let Some(media) = self.side(asked.from.other()).and_then(Leg::media_mut) {
            media.renew();
        }
        self.settle(ctx, now, asked.from);
    }

    /// RFC 3261 §14.1: the session goes on as it was, unless the far dialog is gone.
    fn on_passed_refused(&mut self, ctx: &mut Context, now: Instant, asked: &Asking, status: u16) {
        self.keep_aims();
        if matches!(status, 488 | 606) && self.may_stand(asked) {
            tracing::info!(call = self.id, status, "new codecs refused, transcoding");
            return self.answer_from_what_stands(ctx, now, asked);
        }
        let told = match status {
            491 => 491,
            _ => Failure::of_response(status, None).status,
        };
        ctx.sip.respond(now, asked.invite, ResponseDraft::new(told));
        ctx.servers.remove(asked.invite);
        if matches!(status, 408 | 481) {
            self.end_by_us(ctx, now, Cause::TIMER, "a re-INVITE found no dialog");
        }
    }
}
