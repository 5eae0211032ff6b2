//! A side's offer in an answered call goes to the other side, and the answer back.
//!
//! Not where it changes the codecs alone: to such as the other side may not use, or does not take. Then that side hears
//! nothing of it, or has refused it and goes on as it was, and its audio is transcoded. What moves the media, puts on hold or
//! resumes needs the other side's consent.

use super::caller::Far;
use super::cause::{Cause, Failure};
use super::exchange::{Asking, Exchange, Means, OurAsk};
use super::media::{LegMedia, Offered};
use super::{Call, SDP, negotiation};
use crate::control::context::{Context, ServerOwner};
use crate::sdp::{Description, Direction};
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
        let no = self.number_of(asking.from.other());
        let far = self.leg(no)?;
        let usable = self.usable(self.number_of(asking.from), &asking.offer);
        let endpoint = self.setup.endpoint(far.endpoint);
        if !negotiation::may_share(&usable, endpoint) && self.may_stand(asking) {
            return None;
        }
        let audio = asking.offer.audio();
        Some(Offered {
            formats: self.formats_to_offer(no, far.media()?, &usable),
            direction: audio.map_or(Direction::SendRecv, |audio| audio.direction),
            ptime_ms: audio.and_then(|audio| audio.ptime_ms),
        })
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
        let far = self.far(self.number_of(asking.from.other()));
        if asking.means == Means::Invite {
            let call = self.key;
            ctx.servers.insert(asking.invite, ServerOwner { call, leg });
        }
        if !far.is_some_and(|far| self.answer_asking(ctx, now, asking, far)) {
            ctx.sip.respond(now, asking.invite, ResponseDraft::new(488));
            ctx.servers.remove(asking.invite);
        }
    }

    /// Answers a side's offer with what the far side can do. False if nothing is left of it; nothing is sent then.
    fn answer_asking(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        asking: &Asking,
        far: Far,
    ) -> bool {
        let key = self.key;
        let no = self.number_of(asking.from);
        let terms = Offered {
            formats: self.formats_to_answer(no, &asking.offer, Some(&far.formats)),
            direction: far.direction,
            ptime_ms: far.ptime_ms,
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
        let far = accepted.and_then(|()| self.far(self.number_of(side)));
        if !far.is_some_and(|far| self.answer_asking(ctx, now, &asked, far)) {
            ctx.sip.respond(now, asked.invite, ResponseDraft::new(488));
            ctx.servers.remove(asked.invite);
            let why = "the answer to a re-INVITE is of no use";
            self.end_by_us(ctx, now, Cause::NO_CODEC, why);
        }
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
