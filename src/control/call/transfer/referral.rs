//! Transfer of the dialplan: the caller itself is sent elsewhere, and leaves us.
//!
//! ```text
//!  not answered    302 with Contact                                                   SUCCESS, the call is over
//!  answered        REFER ──► 2xx ──► NOTIFY 200, or nothing for REFERRED_MAX          SUCCESS
//!                              └───► NOTIFY 3xx-6xx                                   FAILURE
//!                        ──► 405, 501                                                 UNSUPPORTED
//!                        ──► 3xx-6xx, no answer                                       FAILURE
//! ```
//!
//! TRANSFERSTATUS says how it went; after a REFER the dialplan goes on.

use crate::control::call::cause::{Cause, Failure};
use crate::control::call::dialling::targets::escape_user;
use crate::control::call::ending::EndedBy;
use crate::control::call::leg::LegState;
use crate::control::call::{ALLOW, Call, LegNo, Phase};
use crate::control::context::{CallTimer, ClientRole, Context, Timer};
use crate::control::dialplan::Action;
use crate::sip::endpoint::{ClientTx, ServerTx};
use crate::sip::message::{Method, Request, ResponseDraft, Uri};
use std::time::{Duration, Instant};

/// How long a caller that has taken our REFER may keep to itself how it goes: then it is taken to have gone well.
pub const REFERRED_MAX: Duration = Duration::from_secs(30);

/// How a Transfer went: `${TRANSFERSTATUS}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransferStatus {
    Success,
    Failure,
    Unsupported,
}

impl TransferStatus {
    fn as_str(self) -> &'static str {
        match self {
            TransferStatus::Success => "SUCCESS",
            TransferStatus::Failure => "FAILURE",
            TransferStatus::Unsupported => "UNSUPPORTED",
        }
    }

    /// By the final response to our REFER, or the one that a NOTIFY tells of.
    fn of(status: u16) -> TransferStatus {
        match status {
            200..=299 => TransferStatus::Success,
            405 | 501 => TransferStatus::Unsupported,
            _ => TransferStatus::Failure,
        }
    }
}

impl Call {
    /// Sends the caller to `[PJSIP/]sip:user@host`, or to a number of ours.
    pub(in crate::control::call) fn send_caller_away(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        destination: String,
    ) {
        let Some(uri) = self.uri_of(&destination) else {
            tracing::warn!(
                call = self.id,
                destination,
                "Transfer: this is no SIP URI or number"
            );
            return self.finish_referral(ctx, TransferStatus::Failure);
        };
        match self.caller.state {
            LegState::Asked(_) => self.redirect_caller(ctx, now, &uri),
            LegState::Unacked { .. } => {
                self.phase = Phase::AwaitingAck {
                    then: Some(Action::Transfer(destination)),
                };
            }
            LegState::Up => self.refer_caller(ctx, now, &uri),
            _ => self.finish_referral(ctx, TransferStatus::Failure),
        }
    }

    fn uri_of(&self, destination: &str) -> Option<String> {
        let text = destination.trim();
        let head = text.get(..6).unwrap_or_default();
        let text = match head.eq_ignore_ascii_case("PJSIP/") {
            true => &text[6..],
            false => text,
        };
        let is_uri = text.split_once(':').is_some();
        match is_uri {
            true => {
                let uri = Uri::parse(text)?;
                // What has a '>' or a line's end in it would say something else on the wire.
                let is_plain = !text.contains(['<', '>', '"', '\r', '\n', ' ']);
                (uri.host.is_some() && is_plain).then(|| text.to_owned())
            }
            false if text.is_empty() => None,
            false => {
                let contact = self.caller.path.contact(&escape_user(text));
                Some(contact.trim_matches(['<', '>']).to_owned())
            }
        }
    }

    fn redirect_caller(&mut self, ctx: &mut Context, now: Instant, uri: &str) {
        let LegState::Asked(asked) = &self.caller.state else {
            return;
        };
        let invite = asked.invite;
        tracing::info!(call = self.id, to = uri, "caller redirected");
        let response = ResponseDraft::new(302)
            .to_tag(&self.caller.tag)
            .header("Contact", format_args!("<{uri}>"));
        self.stop_provisionals(ctx);
        ctx.sip.respond(now, invite, response);
        ctx.servers.remove(invite);
        self.caller.state = LegState::Gone;
        let setup = self.setup.clone();
        self.caller.count_end(ctx, &setup, now, Some(302));
        let status = TransferStatus::Success.as_str().to_owned();
        self.execution.set_variable("TRANSFERSTATUS", status);
        let failure = Failure::of_cause(Cause::NORMAL);
        self.end(ctx, now, EndedBy::Dialplan, failure, "Transfer");
    }

    fn refer_caller(&mut self, ctx: &mut Context, now: Instant, uri: &str) {
        let key = self.key;
        let leg = &mut self.caller;
        let contact = leg.contact();
        let sent = leg.request(Method::Refer).and_then(|request| {
            let request = request
                .header("Contact", &contact)
                .header("Allow", ALLOW)
                .header("Refer-To", format_args!("<{uri}>"))
                .header("Referred-By", &contact);
            leg.send(ctx, now, key, ClientRole::Refer, request)
        });
        if sent.is_none() {
            return self.finish_referral(ctx, TransferStatus::Failure);
        }
        tracing::info!(
            call = self.id,
            to = uri,
            "caller is asked to call elsewhere"
        );
        self.execution.set_variable("TRANSFERSTATUS", String::new());
        let timer = Timer::Call(key, CallTimer::Pause);
        let timer = ctx.timers.arm(now, now + REFERRED_MAX, timer);
        self.phase = Phase::Referring { timer };
    }

    /// The final response to our REFER; None if there was none.
    pub(in crate::control::call) fn on_refer_response(
        &mut self,
        ctx: &mut Context,
        tx: ClientTx,
        status: Option<u16>,
    ) {
        ctx.clients.remove(tx);
        let status = status.unwrap_or(408);
        if status >= 300 {
            self.finish_referral(ctx, TransferStatus::of(status));
        }
    }

    /// Nothing was heard of how it goes.
    pub(in crate::control::call) fn on_referral_quiet(&mut self, ctx: &mut Context) {
        self.finish_referral(ctx, TransferStatus::Success);
    }

    /// The caller tells how our REFER goes (RFC 3515 §2.4.4).
    pub(in crate::control::call) fn on_notify(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        let event = request.headers().get("Event").unwrap_or("");
        let event = event.split(';').next().unwrap_or("").trim();
        let is_of_referral = event.eq_ignore_ascii_case("refer")
            && no == self.caller.no
            && self.execution.variable("TRANSFERSTATUS").is_some();
        if !is_of_referral {
            // RFC 6665 §4.1.3: there is no such subscription.
            return ctx.sip.respond(now, tx, ResponseDraft::new(481));
        }
        ctx.sip.respond(now, tx, ResponseDraft::new(200));
        if let Some(status) = status_of_fragment(&request.body()).filter(|status| *status >= 200)
            && let Phase::Referring { .. } = self.phase
        {
            self.finish_referral(ctx, TransferStatus::of(status));
        }
    }

    fn finish_referral(&mut self, ctx: &mut Context, status: TransferStatus) {
        if let Phase::Referring { timer } = self.phase {
            ctx.timers.cancel(timer);
            self.phase = Phase::Ready;
        }
        tracing::info!(call = self.id, status = status.as_str(), "Transfer");
        let status = status.as_str().to_owned();
        self.execution.set_variable("TRANSFERSTATUS", status);
    }
}

/// The status of a `message/sipfrag` (RFC 3420).
fn status_of_fragment(body: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(body).ok()?.lines().next()?;
    let mut words = line.split(' ');
    words.next().filter(|word| *word == "SIP/2.0")?;
    words.next()?.parse().ok()
}
