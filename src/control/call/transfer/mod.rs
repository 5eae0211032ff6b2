//! REFER (RFC 3515, RFC 5589): one side of a call sends the other elsewhere.
//!
//! Blind: the transferee goes on in the dialplan, at the number of Refer-To in the transferer's context (or in
//! `TRANSFER_CONTEXT`). The transferer stays beside the call until it hangs up or the target has answered.
//!
//! ```text
//!  transferer            call                         transferee   target
//!    │ REFER ────────────►│ Bridged                        │          │
//!    │◄── 202, NOTIFY 100 │ Ready: the dialplan            │          │
//!    │                    │ INVITE ───────────────────────────────────►│
//!    │◄──────── NOTIFY 180│◄─────────────────────────────────── 180    │
//!    │◄──────── NOTIFY 200│◄─────────────────────────────────── 200    │
//!    │ 200 (NOTIFY) ─────►│ Bridged ◄─────────────────────►│◄────────►│
//!    │◄─────────────── BYE│                                            │
//! ```
//!
//! If the target cannot be had and the transferer is still there, both go on talking as before; if it has hung up, the
//! dialplan decides, as after any Dial. A transferer that hangs up in between ends nothing but its own leg.
//!
//! A target of our own has been reached when an application has the transferee, even if it plays to it as to a caller without
//! an answer (`Playback(…,noanswer)`): 200, as Asterisk tells who runs in the dialplan.
//!
//! Attended: Refer-To names another dialog of the transferer's with us in its Replaces; see [`adopt`].
//!
//! | file | concept |
//! |---|---|
//! | `adopt` | a leg goes from one call to another (attended transfer) |
//! | `succession` | somebody takes the caller's place in an application |
//! | `replace` | INVITE with Replaces: somebody takes a leg's place |
//! | `pickup` | a call that rings is answered by somebody else |
//! | `referral` | Transfer of the dialplan: the caller is sent elsewhere itself |

mod adopt;
pub mod pickup;
mod referral;
pub mod replace;
mod succession;

use super::cause::{Cause, Failure};
use super::exchange::Exchange;
use super::identity::headers::AddedHeaders;
use super::identity::{TEXT_MAX, cut};
use super::leg::{Leg, LegState};
use super::{Call, Facts, LegNo, Manner, Phase, Side};
use crate::config::settings::Presentation;
use crate::control::context::{CallTimer, ClientRole, Context, Timer};
use crate::control::dialplan::Execution;
use crate::control::meeting::Attended;
use crate::control::meeting::replaces::Replaces;
use crate::link::Command;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::message::{Headers, Method, NameAddr, Request, ResponseDraft};
use std::time::{Duration, Instant};

/// How long a transferer may listen for news of its transfer, in seconds: as long as a Dial may ring.
const SUBSCRIPTION_S: u64 = super::dialling::RING_MAX.as_secs();

/// How long a call waits for its transferer to take the last NOTIFY before it says BYE.
const LINGER: Duration = Duration::from_secs(2);

/// A blind transfer that runs.
pub(super) struct Transfer {
    /// Who has asked.
    by: LegNo,
    subscription: Option<Subscription>,
    before: Box<Before>,
}

/// The transferer wants to know how it goes (RFC 3515 §2.4.4; not with `Refer-Sub: false`, RFC 4488).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// CSeq number of the REFER, which tells its NOTIFYs from those of another.
    id: u32,
    /// The last status told.
    told: u16,
}

/// A REFER that is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Its transaction.
    pub tx: ServerTx,
    /// The transferer wants to hear how it goes.
    pub subscription: Option<Subscription>,
}

/// What the call was, should the transfer fail.
struct Before {
    callee: LegNo,
    /// The transferer was the caller.
    is_swapped: bool,
    execution: Execution,
    facts: Facts,
    invite: Option<Headers>,
    added: AddedHeaders,
}

/// A REFER, read and allowed.
#[derive(Clone, Debug)]
pub struct Refer {
    /// The number of Refer-To.
    pub extension: String,
    /// The dialog that Refer-To names.
    pub replaces: Option<Replaces>,
    /// The user of Referred-By (RFC 3892).
    pub referred_by: Option<String>,
    /// The transferer wants to hear how it goes.
    pub subscription: Option<Subscription>,
}

impl Call {
    /// REFER from one side of the call.
    pub(super) fn on_refer(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        let refer = match self.read_refer(no, request) {
            Ok(refer) => refer,
            Err(status) => return ctx.sip.respond(now, tx, ResponseDraft::new(status)),
        };
        tracing::info!(
            call = self.id,
            leg = no.0,
            to = refer.extension,
            attended = refer.replaces.is_some(),
            "transfer asked for"
        );
        if refer.replaces.is_some() {
            let call = self.key;
            ctx.attended.push_back(Attended {
                call,
                by: no,
                tx,
                refer,
            });
            return;
        }
        self.transfer_blind(ctx, now, no, tx, refer);
    }

    /// Sends the far side of this leg to the number of Refer-To. With a Replaces of a dialog that is none of ours, the
    /// INVITE carries it on.
    pub fn transfer_blind(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        refer: Refer,
    ) {
        if self.side_of(no).is_none() {
            return ctx.sip.respond(now, tx, ResponseDraft::new(403));
        }
        let context = self.transfer_context(no);
        let plan = self.setup.dialplan();
        if !plan.has_extension(&context, &refer.extension) {
            tracing::info!(
                call = self.id,
                context,
                extension = refer.extension,
                "no such extension"
            );
            return ctx.sip.respond(now, tx, ResponseDraft::new(404));
        }
        let asked = Asked {
            tx,
            subscription: refer.subscription,
        };
        self.accept_refer(ctx, now, no, Some(asked));
        self.send_away(ctx, no, &context, refer);
        self.tell_transferer(ctx, now, 100);
        self.advance(ctx, now);
    }

    /// 202; the NOTIFYs follow. Nothing without a REFER.
    pub(super) fn accept_refer(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        asked: Option<Asked>,
    ) {
        let (Some(leg), Some(Asked { tx, subscription })) = (self.leg(no), asked) else {
            return;
        };
        let response = leg.response(202);
        let response = match subscription {
            Some(_) => response,
            None => response.header("Refer-Sub", "false"),
        };
        ctx.sip.respond(now, tx, response);
    }

    /// 200 as the only news of a transfer that is done with its REFER. False if there was none, nobody wants to hear, or it
    /// could not be sent.
    pub(super) fn notify_success(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        asked: Option<Asked>,
    ) -> bool {
        let subscription = asked.and_then(|asked| asked.subscription);
        subscription.is_some_and(|subscription| self.notify(ctx, now, no, subscription, 200))
    }

    /// # Errors
    /// The status to refuse it with.
    fn read_refer(&self, no: LegNo, request: &Request) -> Result<Refer, u16> {
        let headers = request.headers();
        let mut values = headers.values("Refer-To");
        // RFC 3515 §2.4.2: exactly one.
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(400);
        };
        let target = NameAddr::parse(value).ok_or(400u16)?.uri;
        let extension = target.user_decoded().unwrap_or_default();
        let replaces = match target.header("Replaces") {
            Some(text) => Some(Replaces::parse(&text).ok_or(400u16)?),
            None => None,
        };
        let leg = self.leg(no).ok_or(481u16)?;
        if !self.setup.endpoint(leg.endpoint).allow_transfer {
            return Err(603);
        }
        if replaces.is_none() || !self.can_be_succeeded(no) {
            self.may_send_away(no)?;
        }
        let referred_by = headers.get("Referred-By").map(|value| {
            let user = NameAddr::parse(value).and_then(|by| by.uri.user_decoded());
            let user = user.unwrap_or_default();
            cut(&user, TEXT_MAX).to_owned()
        });
        let is_silent = headers
            .get("Refer-Sub")
            .is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
        Ok(Refer {
            extension,
            replaces,
            referred_by,
            subscription: (!is_silent).then(|| Subscription {
                id: headers.cseq().number,
                told: 0,
            }),
        })
    }

    /// Whether this leg may send its far side elsewhere.
    ///
    /// # Errors
    /// The status for the REFER. One in an application talks to nobody who could be sent anywhere, and so does one in a room,
    /// where Asterisk refuses a blind transfer as well (its channel is in no bridge of two): 403. Either may name another
    /// dialog of its own whose far side is to take its place.
    pub fn may_send_away(&self, no: LegNo) -> Result<(), u16> {
        let side = self.side_of(no).ok_or(403u16)?;
        let is_up = |no| {
            let leg = self.leg(no);
            leg.is_some_and(|leg| matches!(leg.state, LegState::Up))
        };
        let are_up = is_up(no) && is_up(self.number_of(side.other()));
        match are_up && self.transfer.is_none() && self.is_settled() {
            true => Ok(()),
            false => Err(491),
        }
    }

    /// No re-INVITE runs in either direction.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.exchange, Exchange::Idle)
    }

    /// Where a transferer's numbers are looked up.
    pub(super) fn transfer_context(&self, by: LegNo) -> String {
        let own = self.execution.variable("TRANSFER_CONTEXT");
        let own = own.filter(|context| !context.is_empty() && by == self.caller.no);
        let leg = self.leg(by).map(|leg| self.setup.endpoint(leg.endpoint));
        let context = own.or(leg.map(|endpoint| endpoint.context.as_str()));
        context.unwrap_or_default().to_owned()
    }

    /// Sends the far side of this leg to another number.
    fn send_away(&mut self, ctx: &mut Context, by: LegNo, context: &str, refer: Refer) {
        let Phase::Bridged { callee } = self.phase else {
            return;
        };
        self.part(ctx);
        let is_swapped = by == self.caller.no;
        let transferer = self.leg(by).map(|leg| leg.endpoint);
        let transferer = transferer.map(|id| self.setup.endpoint(id).name.clone());
        let before = Before {
            callee,
            is_swapped,
            execution: self.execution.clone(),
            facts: self.facts.clone(),
            invite: self.invite.clone(),
            added: self.added.clone(),
        };
        if is_swapped {
            self.facts = self.facts_of_callee(ctx, callee);
            self.swap_sides(callee);
            self.invite = None;
            self.added = AddedHeaders::default();
            let inherited = self.execution.inherited_variables();
            let plan = self.setup.dialplan().clone();
            self.execution = Execution::start(plan, context, &refer.extension, inherited)
                .with_seed(ctx.rng.u64(..));
        } else {
            self.execution.send_to(context, &refer.extension);
        }
        self.facts.called.clone_from(&refer.extension);
        context.clone_into(&mut self.facts.context);
        self.facts.referred_by = refer.referred_by;
        self.facts.replaces = refer.replaces.map(|replaces| replaces.to_string());
        let name = format!("PJSIP/{}", transferer.unwrap_or_default());
        self.execution.set_variable("BLINDTRANSFER", name);
        self.transfer = Some(Transfer {
            by,
            subscription: refer.subscription,
            before: Box::new(before),
        });
        self.failure = None;
        self.phase = Phase::Ready;
    }

    /// The two sides no longer hear each other, and what one of them asked of the other no longer holds: nor does the music
    /// that it heard meanwhile.
    pub(super) fn part(&mut self, ctx: &mut Context) {
        let (caller, callee) = (self.caller.no, self.joined());
        let joined = self
            .legs_mut()
            .filter(|leg| leg.no == caller || Some(leg.no) == callee);
        for media in joined.filter_map(Leg::media_mut) {
            media.part();
            media.stop_playing(ctx);
        }
        if let Some(media) = self.caller.media() {
            let leg = media.leg;
            ctx.command(media.worker(), Command::Detach { leg });
        }
        self.bridge = None;
    }

    /// The callee becomes the caller, and the caller one of the callees.
    pub(super) fn swap_sides(&mut self, callee: LegNo) {
        if let Some(leg) = self.callees.iter_mut().find(|leg| leg.no == callee) {
            std::mem::swap(&mut self.caller, leg);
        }
    }

    /// The callee as one who calls: its own name and number, or else the number that it was called by. The user part by which a
    /// telephone has registered is no number: the name of its endpoint stands for that.
    pub(super) fn facts_of_callee(&self, ctx: &Context, callee: LegNo) -> Facts {
        let mut facts = self.facts.clone();
        let Some(leg) = self.leg(callee) else {
            return facts;
        };
        let endpoint = self.setup.endpoint(leg.endpoint);
        let dialled = leg.dialog.as_ref().and_then(|dialog| {
            let to = NameAddr::parse(dialog.remote())?;
            to.uri.user_decoded()
        });
        let aors = endpoint.aors.iter();
        let mut bindings = aors.flat_map(|aor| ctx.registrar.contacts(aor));
        let is_of_phone = bindings.any(|binding| binding.contact.uri.user_decoded() == dialled);
        let own = endpoint.callerid.clone().unwrap_or_default();
        facts.caller = match own.number.is_empty() {
            true if is_of_phone => endpoint.name.clone(),
            true => dialled.unwrap_or_default(),
            false => own.number,
        };
        facts.caller_name = own.name;
        facts.presentation = match endpoint.callerid {
            Some(_) => endpoint.identity.callerid_privacy,
            None => Presentation::default(),
        };
        facts.ani.clone_from(&facts.caller);
        facts.diversions.clear();
        facts.source = leg.path.flow.peer;
        facts.identified = String::from("transfer");
        facts.manner = Manner::of(endpoint);
        facts
    }

    /// Tells the transferer how it goes, once for each status. Nothing without a transfer.
    pub(super) fn tell_transferer(&mut self, ctx: &mut Context, now: Instant, status: u16) {
        let Some(Transfer {
            by,
            subscription: Some(subscription),
            ..
        }) = &mut self.transfer
        else {
            return;
        };
        if subscription.told < status {
            subscription.told = status;
            let (by, subscription) = (*by, *subscription);
            self.notify(ctx, now, by, subscription, status);
        }
    }

    /// The transferee talks to somebody else now: the transferer is told, and hung up on. Nothing without a transfer.
    pub(super) fn transfer_succeeded(&mut self, ctx: &mut Context, now: Instant) {
        let Some(transfer) = self.transfer.take() else {
            return;
        };
        tracing::info!(call = self.id, "transferred");
        let told = transfer
            .subscription
            .is_some_and(|subscription| self.notify(ctx, now, transfer.by, subscription, 200));
        if !told {
            self.leave_beside(ctx, now, transfer.by);
        }
    }

    /// The transferee has come to an application, as early media or answered: that is where it was to go. Nothing without a
    /// transfer.
    pub(super) fn transferee_arrived(&mut self, ctx: &mut Context, now: Instant) {
        if self.transfer.is_some() {
            self.end_talk(ctx, now);
            self.transfer_succeeded(ctx, now);
        }
    }

    /// The target cannot be had. True if the transferer is still there, and talks to the transferee again.
    pub(super) fn transfer_failed(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        failure: Failure,
    ) -> bool {
        let Some(transfer) = self.transfer.take() else {
            return false;
        };
        let leg = self.leg(transfer.by);
        if !leg.is_some_and(|leg| matches!(leg.state, LegState::Up)) {
            return false;
        }
        tracing::info!(
            call = self.id,
            status = failure.status,
            "transfer failed, the call goes on"
        );
        if let Some(subscription) = transfer.subscription {
            self.notify(ctx, now, transfer.by, subscription, failure.status);
        }
        let before = transfer.before;
        if before.is_swapped {
            self.swap_sides(transfer.by);
        }
        self.execution = before.execution;
        self.facts = before.facts;
        self.invite = before.invite;
        self.added = before.added;
        self.failure = None;
        self.phase = Phase::Bridged {
            callee: before.callee,
        };
        self.join(ctx);
        self.settle(ctx, now, Side::Callee);
        true
    }

    /// NOTIFY with the status as a fragment (RFC 3515 §2.4.5); a final one ends the subscription. False if it could
    /// not be sent.
    pub(super) fn notify(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        subscription: Subscription,
        status: u16,
    ) -> bool {
        let key = self.key;
        let state = if status < 200 {
            format!("active;expires={SUBSCRIPTION_S}")
        } else {
            String::from("terminated;reason=noresource")
        };
        let is_last = status >= 200;
        let fragment = format!("SIP/2.0 {status} {}\r\n", ResponseDraft::new(status).reason);
        let Some(leg) = self
            .leg_mut(no)
            .filter(|leg| matches!(leg.state, LegState::Up))
        else {
            return false;
        };
        let contact = leg.contact();
        let Some(request) = leg.request(Method::Notify) else {
            return false;
        };
        let request = request
            .header("Contact", contact)
            .header("Event", format_args!("refer;id={}", subscription.id))
            .header("Subscription-State", state)
            .body("message/sipfrag;version=2.0", fragment);
        leg.send(ctx, now, key, ClientRole::Notify { is_last }, request)
            .is_some()
    }

    /// A NOTIFY of ours is answered, or never will be. After the last one nobody waits for the transferer any more.
    pub(super) fn on_notified(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ClientTx,
        is_last: bool,
    ) {
        ctx.clients.remove(tx);
        if !is_last {
            return;
        }
        if self.is_beside(no) {
            self.leave_beside(ctx, now, no);
        } else if let Phase::Lingering { .. } = self.phase {
            self.end_by_us(ctx, now, Cause::NORMAL, "transferred");
        }
    }

    /// True for a leg that is up but talks to nobody of this call: a transferer.
    pub(super) fn is_beside(&self, no: LegNo) -> bool {
        let is_up = |leg: &Leg| matches!(leg.state, LegState::Up);
        !matches!(self.phase, Phase::Ending { .. })
            && no != self.caller.no
            && self.joined() != Some(no)
            && self.leg(no).is_some_and(is_up)
    }

    /// Hangs up on a leg beside the call.
    pub(super) fn leave_beside(&mut self, ctx: &mut Context, now: Instant, no: LegNo) {
        let (key, setup) = (self.key, self.setup.clone());
        if let Some(leg) = self.leg_mut(no) {
            if matches!(leg.state, LegState::Up) {
                leg.bye(ctx, now, key, Cause::NORMAL);
            }
            leg.count_end(ctx, &setup, now, None);
            leg.close_media(ctx);
        }
    }

    /// Only the transferer is left: it hears how it went, then it is hung up on.
    pub(super) fn linger(&mut self, ctx: &mut Context, now: Instant) {
        let timer = Timer::Call(self.key, CallTimer::Pause);
        let timer = ctx.timers.arm(now, now + LINGER, timer);
        self.phase = Phase::Lingering { timer };
    }
}
