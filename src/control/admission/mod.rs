//! Requests outside a dialog: who sends them, whether it may, and what is answered; an INVITE becomes a call.
//!
//! | file | concept |
//! |---|---|
//! | `identify` | which endpoint sent a request |
//! | `load` | how many calls an endpoint has, and how fast they come |
//! | `neighbours` | strangers next to a trunk |
//! | `refusals` | who was refused lately, for operators |
//! | `strangers` | which refused sources were logged lately |

pub mod identify;
pub mod load;
pub(super) mod neighbours;
pub mod refusals;
pub mod strangers;

use super::call::cause::Cause;
use super::call::identity::diversion::diversions_of;
use super::call::identity::party;
use super::call::identity::party::Caller;
use super::call::media::encryption::Secrecy;
use super::call::transfer::replace::Newcomer;
use super::call::{ALLOW, Begin, Call, Facts, Invited, LegNo, Manner, RETRY_AFTER_S, SDP};
use super::context::Context;
use super::controller::Controller;
use super::dialplan::Execution;
use super::extensions;
use super::gate::Offence;
use super::locate::path::Path;
use super::meeting::replaces::Replaces;
use super::setup::Setup;
use crate::config::settings::{Auth, Endpoint, EndpointId};
use crate::metrics::{CallResult, Direction, RejectReason};
use crate::sdp::Description;
use crate::sip::auth::{Asker, Authenticator, Credentials, Password, Verdict};
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::ServerTx;
use crate::sip::flow::Flow;
use crate::sip::message::{Method, Request, ResponseDraft};
use identify::Identified;
use load::Over;
use refusals::Refused;
use std::time::Instant;

/// A response that says no, and what it is counted as.
struct Refusal {
    response: ResponseDraft,
    counted: Option<RejectReason>,
}

impl Refusal {
    fn new(response: ResponseDraft) -> Refusal {
        Refusal {
            response,
            counted: None,
        }
    }

    fn counted(response: ResponseDraft, reason: RejectReason) -> Refusal {
        Refusal {
            response,
            counted: Some(reason),
        }
    }

    fn limit(reason: RejectReason) -> Refusal {
        let response = ResponseDraft::new(503).header("Retry-After", RETRY_AFTER_S);
        Refusal::counted(response, reason)
    }
}

impl Controller {
    /// A request without a To tag, or of no dialog of ours.
    pub(super) fn on_new_request(
        &mut self,
        now: Instant,
        tx: ServerTx,
        flow: Flow,
        request: &Request,
    ) {
        let refused = if request.headers().to_tag().is_some() {
            Some(Refusal::new(ResponseDraft::new(481)))
        } else {
            match self.authenticated(now, flow, request) {
                Err(refusal) => Some(refusal),
                Ok(who) => {
                    self.ctx.know(flow);
                    let refused = self.serve(now, tx, flow, request, who).err();
                    if refused.is_some() && *request.method() == Method::Invite {
                        self.count_rejected_call(who.endpoint);
                    }
                    refused
                }
            }
        };
        if let Some(Refusal { response, counted }) = refused {
            if let Some(reason) = counted {
                self.ctx.metrics.rejected(reason);
            }
            let tag = self.ctx.sip.new_tag();
            self.ctx.sip.respond(now, tx, response.to_tag(&tag));
        }
    }

    /// A call that did not come into the dialplan is one with the result `rejected`.
    fn count_rejected_call(&mut self, endpoint: EndpointId) {
        let name = &self.setup.endpoint(endpoint).name;
        let Context { load, metrics, .. } = &mut self.ctx;
        let metrics = load.metrics(name, metrics);
        metrics.call_started(Direction::In);
        metrics.call_ended(Direction::In, CallResult::Rejected);
    }

    /// Who sends it. An endpoint with credentials must show them unless its address identifies it.
    fn authenticated(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
    ) -> Result<Identified, Refusal> {
        let source = flow.peer.ip().to_canonical();
        let setup = self.setup().clone();
        let identified = match request.method() {
            Method::Register => self.identifier.identify_registrant(flow, request),
            _ => self
                .by_registration(source, request)
                .or_else(|| self.identifier.identify(flow, request)),
        };
        let endpoint = identified.as_ref().map(|who| setup.endpoint(who.endpoint));
        let needed = match (&identified, endpoint) {
            (Some(who), _) if who.by.is_by_address() => None,
            (_, Some(endpoint)) => endpoint.auth.as_ref(),
            (_, None) => None,
        };
        let (needed, reason) = match (&identified, needed) {
            (Some(_), None) => (None, None),
            (Some(_), Some(auth)) => (Some(auth), Some(RejectReason::Auth)),
            (None, _) => (None, Some(self.stranger(source))),
        };
        if let Some(reason) = reason {
            let checked = check(&mut self.authenticator, now, source, request, needed);
            if checked != Verdict::Valid {
                return Err(self.challenge(now, flow, request, checked, reason));
            }
            self.ctx.bans.vouch(now, source);
        }
        match identified {
            Some(who) if setup.permits_for(who.endpoint, source) => Ok(who),
            // The endpoint's own ACL: as a stranger, who is told nothing.
            _ => Err(self.challenge(now, flow, request, Verdict::Invalid, RejectReason::Acl)),
        }
    }

    /// 401, the same for everybody who is not let in: nothing tells a scanner which names exist.
    fn challenge(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
        verdict: Verdict,
        reason: RejectReason,
    ) -> Refusal {
        let has_credentials = request.headers().get("Authorization").is_some();
        // A first request without credentials is the way it goes, not a rejection.
        let is_first = reason == RejectReason::Auth && !has_credentials;
        if !is_first && verdict != Verdict::Stale {
            let refused = Refused {
                reason,
                method: request.method().as_str(),
                from: request.headers().get("From").unwrap_or(""),
            };
            self.refusals
                .note(now, flow.peer.ip().to_canonical(), refused);
        }
        if reason == RejectReason::Neighbour {
            self.tell_neighbour(now, flow, request);
        } else if self.strangers.is_news(now, flow.peer.ip()) {
            tracing::warn!(
                source = %flow.peer,
                method = request.method().as_str(),
                from = request.headers().get("From").unwrap_or(""),
                uri = request.uri(),
                reason = reason.label(),
                "request refused with 401"
            );
        }
        match verdict {
            Verdict::Invalid if has_credentials => self.on_offence(now, flow, Offence::Guessed),
            Verdict::Invalid => self.on_offence(now, flow, Offence::Challenged),
            Verdict::Stale | Verdict::Valid => {}
        }
        let source = flow.peer.ip().to_canonical();
        let stale = verdict == Verdict::Stale;
        let challenges = self.authenticator.challenge(now, source, stale);
        let response = challenges
            .iter()
            .fold(ResponseDraft::new(401), |response, challenge| {
                response.header(Asker::User.challenge_header(), challenge)
            });
        if is_first {
            Refusal::new(response)
        } else {
            Refusal::counted(response, reason)
        }
    }

    fn serve(
        &mut self,
        now: Instant,
        tx: ServerTx,
        flow: Flow,
        request: &Request,
        who: Identified,
    ) -> Result<(), Refusal> {
        if *request.method() == Method::Register {
            let registered = self.on_register(now, tx, flow, request, who);
            return registered.map_err(Refusal::new);
        }
        let setup = self.setup().clone();
        let endpoint = setup.endpoint(who.endpoint);
        extensions::check(request, endpoint).map_err(Refusal::new)?;
        match request.method() {
            Method::Invite => self.begin_call(now, tx, flow, request, who),
            Method::Options => {
                let tag = self.ctx.sip.new_tag();
                let response = ResponseDraft::new(200)
                    .to_tag(&tag)
                    .header("Allow", ALLOW)
                    .header("Accept", SDP)
                    .header("Supported", extensions::supported(endpoint).join(", "));
                self.ctx.sip.respond(now, tx, response);
                Ok(())
            }
            Method::Bye | Method::Notify => Err(Refusal::new(ResponseDraft::new(481))),
            // Nobody sends others anywhere but in a call of its own.
            Method::Refer => Err(Refusal::new(ResponseDraft::new(403))),
            Method::Other(_) => Err(Refusal::new(ResponseDraft::new(501).header("Allow", ALLOW))),
            _ => Err(Refusal::new(ResponseDraft::new(405).header("Allow", ALLOW))),
        }
    }

    fn begin_call(
        &mut self,
        now: Instant,
        tx: ServerTx,
        flow: Flow,
        request: &Request,
        who: Identified,
    ) -> Result<(), Refusal> {
        let setup = self.setup().clone();
        if self.is_draining() {
            return Err(Refusal::limit(RejectReason::Overload));
        }
        let max_forwards = request.headers().max_forwards().unwrap_or(70);
        if max_forwards == 0 {
            return Err(Refusal::new(ResponseDraft::new(483)));
        }
        self.refuse_own(flow, request)?;
        if request.headers().get("Replaces").is_some() {
            return self.replace(now, tx, flow, request, who);
        }
        let endpoint = setup.endpoint(who.endpoint);
        let path = Path::new(setup.settings(), &*self.ctx.surroundings, flow)
            .ok_or_else(|| Refusal::new(ResponseDraft::new(500)))?;
        let offer = secure_offer_of(request, endpoint, &path)?;
        let facts = facts_of(&setup, &who, flow, request);
        let plan = setup.dialplan();
        let has = |extension| plan.has_extension(&endpoint.context, extension);
        if !has(&facts.called) && !has("i") {
            tracing::info!(
                source = %flow.peer,
                endpoint = endpoint.name,
                context = endpoint.context,
                extension = facts.called,
                "no such extension"
            );
            return Err(Refusal::new(ResponseDraft::new(404)));
        }
        self.admit(now, endpoint)?;
        let key = self.next_key();
        let tag = self.ctx.tag(key, LegNo::CALLER);
        let Some(dialog) = Dialog::uas(request, &tag) else {
            // RFC 3261 §8.1.1.8: an INVITE has a Contact.
            self.ctx.load.release(&endpoint.name);
            return Err(Refusal::new(ResponseDraft::new(400)));
        };
        let execution = Execution::start(plan.clone(), &endpoint.context, &facts.called, [])
            .with_seed(self.ctx.rng.u64(..));
        let invited = Invited {
            endpoint: who.endpoint,
            path,
            tx,
            called: facts.called.clone(),
            offer,
            reliable: extensions::wants_reliable(request, endpoint),
            dialog,
            tag,
        };
        let begin = Begin {
            invited,
            headers: request.headers().clone(),
            facts,
            execution,
            max_forwards: max_forwards - 1,
        };
        let call = Call::begin(&mut self.ctx, now, key, setup, begin);
        self.start_call(now, call, |call, ctx| call.run(ctx, now));
        Ok(())
    }

    /// INVITE with Replaces (RFC 3891).
    fn replace(
        &mut self,
        now: Instant,
        tx: ServerTx,
        flow: Flow,
        request: &Request,
        who: Identified,
    ) -> Result<(), Refusal> {
        let refusal = |status: u16| Refusal::new(ResponseDraft::new(status));
        let setup = self.setup().clone();
        let mut values = request.headers().lines("Replaces");
        // RFC 3891 §3: two of them are an error.
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refusal(400));
        };
        let replaces = Replaces::parse(value).ok_or_else(|| refusal(400))?;
        let (key, replaced) = self.place_of(&replaces).ok_or_else(|| refusal(481))?;
        let call = &self.calls[key.index as usize];
        call.may_be_replaced(replaced, replaces.early_only)
            .map_err(refusal)?;
        let own = setup.endpoint(who.endpoint);
        // The call has the settings that it began with.
        let endpoint = call.setup().endpoint_named(&own.name);
        let (true, Some(endpoint)) = (own.allow_transfer, endpoint) else {
            return Err(refusal(403));
        };
        let no = call.next_leg();
        let facts = facts_of(&setup, &who, flow, request);
        let path = Path::new(setup.settings(), &*self.ctx.surroundings, flow)
            .ok_or_else(|| refusal(500))?;
        let offer = secure_offer_of(request, own, &path)?;
        let tag = self.ctx.tag(key, no);
        let dialog = Dialog::uas(request, &tag).ok_or_else(|| refusal(400))?;
        self.admit(now, own)?;
        let invited = Invited {
            endpoint,
            path,
            tx,
            called: facts.called.clone(),
            offer,
            reliable: false,
            dialog,
            tag,
        };
        let newcomer = Newcomer {
            invited,
            headers: request.headers().clone(),
            facts,
        };
        let mut replaced_it = Err(481);
        self.with_call(now, key, |call, ctx| {
            replaced_it = call.replace(ctx, now, replaced, newcomer);
        });
        replaced_it.map_err(|status| {
            self.ctx.load.release(&own.name);
            refusal(status)
        })
    }

    /// An INVITE of ours, sent back to us as it is, would go in circles.
    fn refuse_own(&self, flow: Flow, request: &Request) -> Result<(), Refusal> {
        let place = request.headers().from_tag().and_then(Context::call_of_tag);
        let call = place.and_then(|place| self.calls.get(place));
        if !call.is_some_and(|call| call.has_sent(request)) {
            return Ok(());
        }
        tracing::warn!(source = %flow.peer, uri = request.uri(), "an INVITE of our own comes back");
        Err(Refusal::new(ResponseDraft::new(482)))
    }

    fn admit(&mut self, now: Instant, endpoint: &Endpoint) -> Result<(), Refusal> {
        if self.calls_active() >= self.setup().settings().global.max_calls as usize {
            return Err(Refusal::limit(RejectReason::Limit));
        }
        let Context { load, metrics, .. } = &mut self.ctx;
        load.admit(now, endpoint, metrics).map_err(|over| {
            Refusal::limit(match over {
                Over::Calls => RejectReason::Limit,
                Over::Rate => RejectReason::Rate,
            })
        })
    }
}

/// Checks the credentials of a request. Without any to check against it does the same work in vain.
fn check(
    authenticator: &mut Authenticator,
    now: Instant,
    source: std::net::IpAddr,
    request: &Request,
    auth: Option<&Auth>,
) -> Verdict {
    let shown = Credentials::all(request.headers(), Asker::User);
    let Some(shown) = authenticator.own(&shown).or(shown.first()) else {
        return Verdict::Invalid;
    };
    let user = auth.map(|auth| (auth.username.as_str(), Password(&auth.password.0)));
    authenticator.verify(now, source, shown, request.method(), &request.body(), user)
}

/// The offer of an INVITE, if it has one, as far as it is encrypted as the endpoint asks.
fn secure_offer_of(
    request: &Request,
    endpoint: &Endpoint,
    path: &Path,
) -> Result<Option<Description>, Refusal> {
    let secrecy = Secrecy::of(endpoint, path);
    let mut offer = offer_of(request)?;
    let is_taken = match &mut offer {
        Some(offer) => {
            offer.keep_audio(|audio| secrecy.takes(audio));
            offer.audio().is_some()
        }
        None => secrecy != Secrecy::Impossible,
    };
    if is_taken {
        return Ok(offer);
    }
    let name = &endpoint.name;
    let why = secrecy.refusal(endpoint);
    tracing::info!(source = %path.flow.peer, endpoint = name, why, "488: its media is not encrypted as it has to be, or is so and may not");
    Err(not_acceptable())
}

/// There is nothing in an offer that we could agree on.
fn not_acceptable() -> Refusal {
    Refusal::new(ResponseDraft::new(488).header("Reason", Cause::NO_CODEC))
}

/// The offer of an INVITE, if it has one.
fn offer_of(request: &Request) -> Result<Option<Description>, Refusal> {
    let body = request.body();
    if body.is_empty() {
        return Ok(None);
    }
    let headers = request.headers();
    let content = headers.get("Content-Type").unwrap_or(SDP);
    let essence = content.split(';').next().unwrap_or("").trim();
    let encoding = headers.get("Content-Encoding").unwrap_or("identity");
    if !essence.eq_ignore_ascii_case(SDP) || !encoding.eq_ignore_ascii_case("identity") {
        // RFC 3261 §8.2.3
        let response = ResponseDraft::new(415)
            .header("Accept", SDP)
            .header("Accept-Encoding", "identity");
        return Err(Refusal::new(response));
    }
    match Description::parse(&body) {
        Ok(offer) if offer.audio().is_some() => Ok(Some(offer)),
        Ok(_) | Err(crate::sdp::SdpError::Address) => Err(not_acceptable()),
        Err(_) => Err(Refusal::new(ResponseDraft::new(400))),
    }
}

fn facts_of(setup: &Setup, who: &Identified, flow: Flow, request: &Request) -> Facts {
    let endpoint = setup.endpoint(who.endpoint);
    let caller = Caller::of(endpoint, request.headers());
    Facts {
        source: flow.peer,
        identified: who.by.to_string(),
        ani: caller.number.clone(),
        caller: caller.number,
        caller_name: caller.name,
        presentation: caller.presentation,
        referred_by: None,
        replaces: None,
        diversions: diversions_of(request.headers()),
        called: party::called(endpoint, request),
        context: endpoint.context.clone(),
        manner: Manner::of(endpoint),
    }
}
