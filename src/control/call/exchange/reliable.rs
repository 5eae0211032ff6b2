//! Provisional responses that are sent until the peer says that it has them (RFC 3262).
//!
//! Towards a caller, one at a time; a later one waits (one for each status):
//!
//! ```text
//!           180, 183 with RSeq
//!   Free ─────────────────────► Sent ── PRACK ──► Free
//!                                │ T1, 2*T1, 4*T1 …: the same again
//!                                ├── 64*T1: the INVITE gets 504
//!                                └── our final response: not sent again, its PRACK still gets 200
//! ```
//!
//! A 200 waits for the PRACK of a response that had a session description (§3), and has none itself then (§5). A caller
//! that made no offer gets ours in the first reliable response and answers it in the PRACK.
//!
//! Towards a callee, each is acknowledged in the order of its RSeq; copies, and those that come before their turn, are
//! dropped. All our INVITEs offer, so a description in one is an answer, and it stands whatever later ones say.

use crate::config::settings::Rel100;
use crate::control::call::caller::Far;
use crate::control::call::cause::{Cause, Failure};
use crate::control::call::ending::EndedBy;
use crate::control::call::leg::{Leg, LegState};
use crate::control::call::media::Offered;
use crate::control::call::media::negotiation;
use crate::control::call::{Call, LegNo, RETRY_AFTER_S, SDP};
use crate::control::context::{CallTimer, ClientRole, Context, Timer};
use crate::sdp::{Description, Direction};
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::message::{Method, Request, Response, ResponseDraft, Uri};
use crate::sip::reliable::{self, FIRST_RSEQ_MAX, RAck};
use crate::sip::timer::TimerId;
use std::time::{Duration, Instant};

/// Most early dialogs that the reliable provisional responses to one INVITE may make (forks of a proxy behind); those
/// of a further one are taken as if they were not reliable.
pub const EARLY_DIALOGS_MAX: usize = 16;

/// How often T1 goes into the wait for a PRACK (RFC 3262 §3).
const PRACK_WAIT_T1: u32 = 64;

/// Our reliable provisional responses to a caller's INVITE.
pub struct Reliable {
    /// CSeq number of the INVITE.
    cseq: u32,
    /// RSeq of the last one.
    rseq: u32,
    sent: Option<Sent>,
    /// At most one of each status.
    waiting: Vec<Provisional>,
    session: Session,
    /// Our 200 waits for the PRACK.
    holds_answer: bool,
}

/// A response that waits for its PRACK.
struct Sent {
    status: u16,
    carries: Carries,
    response: ResponseDraft,
    interval: Duration,
    gives_up: Instant,
    /// None once it is not sent again.
    timer: Option<TimerId>,
}

/// A response that waits for its turn.
struct Provisional {
    status: u16,
    body: Option<String>,
}

/// What a response says of the session.
#[derive(Clone, Debug)]
enum Carries {
    Nothing,
    Answer,
    Offer(Offered),
}

/// Whether the session was described in reliable messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Session {
    Open,
    /// Offer and answer are out; the last of them may wait for its PRACK.
    Described,
}

/// When and how the caller may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control::call) enum MayAnswer {
    /// As without reliable responses.
    Now,
    /// The session is described: the 200 says nothing of it.
    WithoutSession,
    /// A PRACK is to come first; the 200 goes out then by itself.
    AfterPrack,
}

impl Reliable {
    /// None sent yet. `cseq` is the INVITE's number.
    pub fn new(rng: &mut fastrand::Rng, cseq: u32) -> Reliable {
        Reliable {
            cseq,
            // So that the first is at most 2^31 - 1, and all that follow have room.
            rseq: rng.u32(0..FIRST_RSEQ_MAX),
            sent: None,
            waiting: Vec::new(),
            session: Session::Open,
            holds_answer: false,
        }
    }

    /// Asked once, when there is something to answer with: AfterPrack is remembered.
    pub(in crate::control::call) fn may_answer(&mut self) -> MayAnswer {
        match &self.sent {
            Some(Sent {
                carries: Carries::Answer | Carries::Offer(_),
                ..
            }) => {
                self.holds_answer = true;
                MayAnswer::AfterPrack
            }
            _ if self.session == Session::Described => MayAnswer::WithoutSession,
            _ => MayAnswer::Now,
        }
    }

    /// True once the caller's offer has its answer in a reliable message: another offer may follow.
    pub(super) fn is_described(&self) -> bool {
        self.session == Session::Described
    }

    /// True while our own offer has no answer.
    fn has_offered(&self) -> bool {
        matches!(&self.sent, Some(sent) if matches!(sent.carries, Carries::Offer(_)))
    }

    fn wait(&mut self, status: u16, body: Option<String>) {
        match self.waiting.iter_mut().find(|other| other.status == status) {
            Some(other) => other.body = body.or(other.body.take()),
            None => self.waiting.push(Provisional { status, body }),
        }
    }

    fn stop(&mut self, ctx: &mut Context) {
        self.waiting.clear();
        self.holds_answer = false;
        if let Some(timer) = self.sent.as_mut().and_then(|sent| sent.timer.take()) {
            ctx.timers.cancel(timer);
        }
    }

    /// The response that a PRACK acknowledges.
    fn acknowledge(&mut self, ctx: &mut Context, rack: &RAck) -> Option<Sent> {
        let is_its =
            rack.rseq == self.rseq && rack.cseq == self.cseq && rack.method == Method::Invite;
        let sent = self.sent.take_if(|_| is_its)?;
        if let Some(timer) = sent.timer {
            ctx.timers.cancel(timer);
        }
        Some(sent)
    }
}

/// An early dialog of an INVITE of ours.
pub struct Early {
    dialog: Dialog,
    /// RSeq of the last response that was acknowledged.
    rseq: u32,
    /// The answer to our offer.
    answer: Option<Description>,
}

impl Early {
    /// The dialog.
    pub fn dialog(&self) -> &Dialog {
        &self.dialog
    }

    /// The dialog.
    pub fn dialog_mut(&mut self) -> &mut Dialog {
        &mut self.dialog
    }
}

/// What a provisional response is to a callee's leg.
pub(in crate::control::call) enum Provisions {
    /// Not reliable.
    Plain,
    /// Reliable and new. `is_answered`: its description says nothing any more, the session was described before.
    New {
        /// See above.
        is_answered: bool,
    },
    /// A copy, or one before its turn.
    Known,
}

impl Call {
    /// A provisional response to the caller, with our answer or without: reliably if it takes it so.
    pub(in crate::control::call) fn tell_caller(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        status: u16,
        body: Option<String>,
    ) {
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let invite = asked.invite;
        match &mut self.caller.reliable {
            None => {
                let response = with_body(self.caller.response(status), body);
                ctx.sip.respond(now, invite, response);
            }
            Some(reliable) if reliable.holds_answer => {}
            Some(reliable) if reliable.sent.is_some() => reliable.wait(status, body),
            Some(_) => self.send_reliably(ctx, now, status, body),
        }
    }

    fn send_reliably(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        status: u16,
        body: Option<String>,
    ) {
        let Some((body, carries)) = self.provisional_session(ctx, now, body) else {
            return;
        };
        let response = with_body(self.caller.response(status), body);
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let Some(reliable) = &mut self.caller.reliable else {
            return;
        };
        reliable.rseq += 1;
        if !matches!(carries, Carries::Nothing) {
            reliable.session = Session::Described;
        }
        let response = response
            .header("Require", reliable::OPTION)
            .header("RSeq", reliable.rseq);
        ctx.sip.respond(now, asked.invite, response.clone());
        let interval = ctx.sip.t1();
        let timer = Timer::Call(self.key, CallTimer::Prack);
        reliable.sent = Some(Sent {
            status,
            carries,
            response,
            interval,
            gives_up: now + interval * PRACK_WAIT_T1,
            timer: Some(ctx.timers.arm(now, now + interval, timer)),
        });
    }

    /// What a reliable response says of the session: our answer, once; to a caller that made no offer ours, in the first
    /// (RFC 3261 §13.2.1: the first reliable message has it). None if there is no port for it.
    fn provisional_session(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        body: Option<String>,
    ) -> Option<(Option<String>, Carries)> {
        let is_described = self
            .caller
            .reliable
            .as_ref()
            .is_some_and(|reliable| reliable.is_described());
        let has_offer = match &self.caller.state {
            LegState::Asked(asked) => asked.offer.is_some(),
            _ => true,
        };
        match body {
            _ if is_described => Some((None, Carries::Nothing)),
            Some(answer) => Some((Some(answer), Carries::Answer)),
            None if has_offer => Some((None, Carries::Nothing)),
            None => {
                self.open_caller_media(ctx, now, 2).ok()?;
                // The callee's order, if it has early media: so it has what the caller is to choose from.
                let far = self.joined().and_then(|callee| self.far(callee));
                let far = far.filter(|far| !far.formats.is_empty());
                let (offer, offered) = self.caller_offer(far.as_ref()).ok()?;
                Some((Some(offer), Carries::Offer(offered)))
            }
        }
    }

    /// The response is sent again, or has been for too long.
    pub(in crate::control::call) fn on_prack_missing(&mut self, ctx: &mut Context, now: Instant) {
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let reliable = self.caller.reliable.as_deref_mut();
        let Some(sent) = reliable.and_then(|reliable| reliable.sent.as_mut()) else {
            return;
        };
        sent.timer = None;
        if now >= sent.gives_up {
            // RFC 3262 §3: the INVITE gets a 5xx.
            tracing::info!(call = self.id, status = sent.status, "no PRACK came");
            return self.end_by_us(ctx, now, Cause::TIMER, "no PRACK");
        }
        ctx.sip.respond(now, asked.invite, sent.response.clone());
        sent.interval *= 2;
        let due = (now + sent.interval).min(sent.gives_up);
        let timer = Timer::Call(self.key, CallTimer::Prack);
        sent.timer = Some(ctx.timers.arm(now, due, timer));
    }

    /// Nothing provisional is sent any more: the caller has its final response.
    pub(in crate::control::call) fn stop_provisionals(&mut self, ctx: &mut Context) {
        if let Some(reliable) = &mut self.caller.reliable {
            reliable.stop(ctx);
        }
    }

    /// A PRACK.
    pub(in crate::control::call) fn on_prack(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        let Some(rack) = RAck::of(request.headers()) else {
            return ctx.sip.respond(now, tx, ResponseDraft::new(400));
        };
        let reliable = self.caller.reliable.as_deref_mut();
        let sent = reliable
            .filter(|_| no == self.caller.no)
            .and_then(|reliable| reliable.acknowledge(ctx, &rack));
        let Some(sent) = sent else {
            return ctx.sip.respond(now, tx, ResponseDraft::new(481));
        };
        let is_usable = self.take_session_of_prack(ctx, now, tx, &sent, request);
        if !matches!(self.caller.state, LegState::Asked(_)) {
            return;
        }
        if !is_usable {
            let failure = Failure::of_cause(Cause::NO_CODEC);
            let why = "the caller's PRACK brought no usable answer";
            return self.end(ctx, now, EndedBy::Gateway, failure, why);
        }
        self.go_on_after_prack(ctx, now);
    }

    /// Answers a PRACK. False if it was to bring an answer and did not.
    fn take_session_of_prack(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        tx: ServerTx,
        sent: &Sent,
        request: &Request,
    ) -> bool {
        let body = request.body();
        if let Carries::Offer(offered) = &sent.carries {
            ctx.sip.respond(now, tx, ResponseDraft::new(200));
            let media = self.caller.media_mut();
            let accepted = Description::parse(&body)
                .ok()
                .zip(media)
                .and_then(|(answer, media)| media.accept_answer(offered, answer).ok());
            self.join(ctx);
            return accepted.is_some();
        }
        let response = if body.is_empty() {
            ResponseDraft::new(200)
        } else {
            self.answer_to_early_offer(ctx, self.caller.no, request)
        };
        ctx.sip.respond(now, tx, response);
        true
    }

    /// The response to an offer in the early dialog of a leg whose session is described: it is answered at once, with
    /// the codecs that the far side has, if there is one. What else it asks reaches the far side when the call is
    /// answered.
    pub(super) fn answer_to_early_offer(
        &mut self,
        ctx: &mut Context,
        no: LegNo,
        request: &Request,
    ) -> ResponseDraft {
        // RFC 3311 §5.2: 491 while an offer of ours waits for its answer, 500 while one of theirs does.
        let theirs_waits = || ResponseDraft::new(500).header("Retry-After", RETRY_AFTER_S);
        let early = |leg: &Leg| {
            let early = leg.early.iter();
            let mut answered = early.filter(|early| early.answer.is_some());
            answered.any(|early| early.dialog.matches(request))
        };
        match self.leg(no) {
            Some(leg) if no == self.caller.no => match leg.reliable.as_deref() {
                Some(reliable) if reliable.has_offered() => return ResponseDraft::new(491),
                Some(reliable) if reliable.is_described() => {}
                _ => return theirs_waits(),
            },
            Some(leg) if early(leg) => {}
            _ => return ResponseDraft::new(491),
        }
        let media = self.leg(no).and_then(Leg::media);
        let Some(offer) = super::reoffer::offer_of(request, media) else {
            return ResponseDraft::new(488);
        };
        let usable = self.usable(no, &offer);
        let far = self.early_partner(no);
        let setup = self.setup.clone();
        let answered = self.leg_mut(no).and_then(|leg| {
            let endpoint = setup.endpoint(leg.endpoint);
            let far_formats = far.as_ref().map(|far| &far.formats[..]);
            let terms = Offered::audio(
                negotiation::answer(&usable, far_formats, endpoint),
                Direction::SendRecv,
                far.as_ref().and_then(|far| far.ptime_ms),
            );
            let body = leg.media_mut()?.answer(&offer, terms).ok()?;
            Some(leg.response(200).body(SDP, body))
        });
        self.join(ctx);
        answered.unwrap_or_else(|| ResponseDraft::new(488))
    }

    /// What the other one of two legs with early media can do.
    fn early_partner(&self, no: LegNo) -> Option<Far> {
        let joined = self.joined()?;
        let caller = self.caller.no;
        let far = match no {
            no if no == caller => joined,
            no if no == joined => caller,
            _ => return None,
        };
        self.far(far).filter(|far| !far.formats.is_empty())
    }

    /// The next response of those that wait, or the 200.
    fn go_on_after_prack(&mut self, ctx: &mut Context, now: Instant) {
        let Some(reliable) = &mut self.caller.reliable else {
            return;
        };
        if reliable.holds_answer {
            self.accept_caller(ctx, now, None, None);
            self.join(ctx);
            self.resume_after_ack(ctx, now);
        } else if !reliable.waiting.is_empty() {
            let next = reliable.waiting.remove(0);
            self.send_reliably(ctx, now, next.status, next.body);
        }
    }

    /// Acknowledges a callee's provisional response if that wants it.
    pub(in crate::control::call) fn acknowledge_provisional(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        response: &Response,
    ) -> Provisions {
        let key = self.key;
        let setup = self.setup.clone();
        let Some(leg) = self.leg_mut(no) else {
            return Provisions::Plain;
        };
        let speaks = setup.endpoint(leg.endpoint).rel100 != Rel100::No;
        let Some(rseq) = reliable::rseq(response).filter(|_| speaks) else {
            return Provisions::Plain;
        };
        let tag = response.headers().to_tag().unwrap_or_default();
        let place = leg.early_with(tag);
        let place = match place {
            // RFC 3262 §4: the first may have any number, each other follows the one before it.
            Some(place) if Some(rseq) != leg.early[place].rseq.checked_add(1) => {
                return Provisions::Known;
            }
            Some(place) => place,
            None if leg.early.len() >= EARLY_DIALOGS_MAX => return Provisions::Plain,
            None => match leg.begin_early(response) {
                Some(place) => place,
                None => return Provisions::Plain,
            },
        };
        let early = &mut leg.early[place];
        early.rseq = rseq;
        let is_answered = early.answer.is_some();
        let rack = RAck {
            rseq,
            cseq: response.headers().cseq().number,
            method: Method::Invite,
        };
        let prack = early.dialog.request(Method::Prack).header("RAck", rack);
        let flow = leg.flow_of(Some(&leg.early[place].dialog));
        // If the table is full, the response comes again.
        let _ = leg.send_to(ctx, now, flow, (key, ClientRole::Prack), prack);
        Provisions::New { is_answered }
    }

    /// The answer that a reliable response brought stands.
    pub(in crate::control::call) fn note_early_answer(&mut self, no: LegNo, response: &Response) {
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        let answer = leg.media().and_then(|media| media.remote().cloned());
        let tag = response.headers().to_tag().unwrap_or_default();
        if let Some(place) = leg.early_with(tag) {
            leg.early[place].answer = answer;
        }
    }

    /// A PRACK of ours has its final response, or will have none. Either way the INVITE goes its way.
    pub(in crate::control::call) fn on_prack_done(
        &mut self,
        ctx: &mut Context,
        no: LegNo,
        tx: ClientTx,
        status: Option<u16>,
    ) {
        ctx.clients.remove(tx);
        if status.is_none_or(|status| status >= 300) {
            tracing::info!(call = self.id, leg = no.0, status, "PRACK not accepted");
        }
    }
}

impl Leg {
    fn early_with(&self, remote_tag: &str) -> Option<usize> {
        self.early
            .iter()
            .position(|early| early.dialog.id().remote_tag == remote_tag)
    }

    fn begin_early(&mut self, response: &Response) -> Option<usize> {
        let LegState::Calling(calling) = &self.state else {
            return None;
        };
        let dialog = Dialog::uac(response, &calling.uri)?;
        self.early.push(Early {
            dialog,
            rseq: 0,
            answer: None,
        });
        Some(self.early.len() - 1)
    }

    /// True while a provisional response of ours has no PRACK.
    pub(in crate::control::call) fn waits_for_prack(&self) -> bool {
        let reliable = self.reliable.as_deref();
        reliable.is_some_and(|reliable| reliable.sent.is_some())
    }

    /// The dialog of a 2xx to our INVITE, which goes on from its early one, and the answer that this has.
    pub(in crate::control::call) fn dialog_of_2xx(
        &mut self,
        response: &Response,
        uri: &Uri,
    ) -> (Option<Dialog>, Option<Description>) {
        let tag = response.headers().to_tag().unwrap_or_default();
        match self.early_with(tag) {
            Some(place) => {
                let mut early = self.early.swap_remove(place);
                early.dialog.receive_response(response);
                (Some(early.dialog), early.answer)
            }
            None => (Dialog::uac(response, uri), None),
        }
    }
}

fn with_body(response: ResponseDraft, body: Option<String>) -> ResponseDraft {
    match body {
        Some(body) => response.body(SDP, body),
        None => response,
    }
}
