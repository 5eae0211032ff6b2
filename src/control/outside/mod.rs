//! Client requests outside any dialog: REGISTER and OPTIONS are located, sent, sent again with credentials, and tried
//! on the next address; whoever asked hears one final word.
//!
//! ```text
//!            ┌─ addresses ──┐        ┌── 401/407 that we can answer: same flow, next CSeq
//!  ask ──► Locating ──► Sent(flow) ──┤
//!            └─ none ─► Nowhere      ├── timeout, transport failure, 503: the next flow, if there is one
//!                                    └── any other final response, or no flow left ──► Outcome
//! ```
//!
//! Each owner has one question outstanding at most, so there are no more of them than registrations and contacts.
//!
//! | file | concept |
//! |---|---|
//! | `register_out` | registrations at providers |
//! | `qualify` | whether contacts answer |
//! | `credentials` | challenges of a far side, answered |

pub mod credentials;
pub mod qualify;
pub mod register_out;

use super::context::{ClientOwner, Context};
use super::controller::Controller;
use super::locate::path::Path;
use super::locate::{Located, Waiter};
use crate::config::settings::Auth;
use crate::sip::endpoint::{ClientFailure, ClientTx};
use crate::sip::flow::{Flow, TransportId};
use crate::sip::message::{RequestDraft, Response, Uri};
use credentials::KnownChallenges;
use qualify::WatchId;
use register_out::RegistrationKey;
use slab::Slab;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A question's place, and which of those that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideKey {
    index: u32,
    generation: u32,
}

/// Who asks, and hears the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questioner {
    /// One of our registrations.
    Registration(RegistrationKey),
    /// One of the contacts that are asked whether they are there.
    Contact(WatchId),
}

/// What is asked.
pub struct Question {
    /// Who asks.
    pub by: Questioner,
    /// Where it goes: the Request-URI, or the first proxy.
    pub next_hop: Uri,
    /// This way, wherever the URI leads.
    pub flow: Option<Flow>,
    /// By this transport, where it fits.
    pub transport: Option<TransportId>,
    /// Our credentials, if we have any for it.
    pub auth: Option<Auth>,
    /// The far side's challenges so far.
    pub challenges: KnownChallenges,
    /// CSeq number of the first request; each further one has the next.
    pub cseq: u32,
    /// Writes the request for the path that it takes: all but Via, CSeq and credentials.
    pub write: Box<dyn Fn(&Path) -> RequestDraft>,
}

/// How it ended.
pub struct Outcome {
    /// The final word.
    pub answer: Answer,
    /// The challenges, for the next question.
    pub challenges: KnownChallenges,
    /// CSeq number for the next question.
    pub cseq: u32,
    /// The path of the last request; None if nothing was sent.
    pub path: Option<Path>,
}

/// The final word on a question.
pub enum Answer {
    /// The far side's, of the last flow tried. A 401 or 407 is one that we cannot answer.
    Response(Response),
    /// Nothing came in time.
    Timeout,
    /// It could not be sent, or its connection failed.
    Transport,
    /// Its host has no address that we reach.
    Nowhere,
}

/// The questions that wait for their answers.
#[derive(Default)]
pub struct Outside {
    questions: Slab<Asked>,
    begun: u32,
}

struct Asked {
    generation: u32,
    question: Question,
    /// Still to be tried.
    flows: VecDeque<Flow>,
    sent: Option<Path>,
}

impl Outside {
    /// Questions that wait.
    pub fn len(&self) -> usize {
        self.questions.len()
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    fn get_mut(&mut self, key: OutsideKey) -> Option<&mut Asked> {
        let asked = self.questions.get_mut(key.index as usize)?;
        (asked.generation == key.generation).then_some(asked)
    }
}

impl Controller {
    /// Asks. The outcome may come before this returns.
    pub(super) fn ask_outside(&mut self, now: Instant, question: Question) {
        let flow = question.flow;
        let outside = &mut self.ctx.outside;
        outside.begun = outside.begun.wrapping_add(1);
        let mut asked = Asked {
            generation: outside.begun,
            question,
            flows: VecDeque::new(),
            sent: None,
        };
        asked.question.challenges.begin();
        let key = OutsideKey {
            generation: asked.generation,
            index: outside.questions.insert(asked) as u32, // as many as owners, which the configuration bounds
        };
        match flow {
            Some(flow) => self.take_flows(now, key, vec![flow]),
            None => self.locate_outside(now, key),
        }
    }

    fn take_flows(&mut self, now: Instant, key: OutsideKey, flows: Vec<Flow>) {
        if let Some(asked) = self.ctx.outside.get_mut(key) {
            asked.flows = flows.into();
        }
        self.try_next_flow(now, key, Answer::Transport);
    }

    /// Its host name has been looked up, or it is new.
    pub(super) fn locate_outside(&mut self, now: Instant, key: OutsideKey) {
        let Context { outside, .. } = &mut self.ctx;
        let Some(Asked { question, .. }) = outside.get_mut(key) else {
            return;
        };
        let (next_hop, transport) = (question.next_hop.clone(), question.transport);
        let settings = self.setup.settings();
        let waiter = Waiter::Outside(key);
        match self.ctx.locate(now, settings, &next_hop, transport, waiter) {
            Located::Now(flows) => self.take_flows(now, key, flows),
            Located::Later => {}
            Located::Nowhere => self.finish_outside(now, key, Answer::Nowhere),
        }
    }

    /// Sends it to the next address; `answer` stands if there is none.
    fn try_next_flow(&mut self, now: Instant, key: OutsideKey, answer: Answer) {
        let setup = self.setup.clone();
        let ctx = &mut self.ctx;
        while let Some(asked) = ctx.outside.get_mut(key) {
            let Some(flow) = asked.flows.pop_front() else {
                break;
            };
            if let Some(path) = Path::new(setup.settings(), &*ctx.surroundings, flow)
                && send(ctx, now, key, path)
            {
                return;
            }
        }
        self.finish_outside(now, key, answer);
    }

    /// A response to a question.
    pub(super) fn on_outside_response(
        &mut self,
        now: Instant,
        tx: ClientTx,
        key: OutsideKey,
        response: &Response,
    ) {
        if response.status() < 200 {
            return;
        }
        self.ctx.clients.remove(tx);
        let Some(asked) = self.ctx.outside.get_mut(key) else {
            return;
        };
        if let Some(path) = &asked.sent {
            self.ctx.outages.heard(now, path.flow, response);
        }
        let has_more = !asked.flows.is_empty();
        let question = &mut asked.question;
        let is_answerable = matches!(response.status(), 401 | 407)
            && (question.auth.as_ref())
                .is_some_and(|auth| question.challenges.learn(auth, response).is_ok());
        let answer = Answer::Response(response.clone());
        if is_answerable {
            let path = asked.sent.take();
            if !path.is_some_and(|path| send(&mut self.ctx, now, key, path)) {
                self.finish_outside(now, key, Answer::Transport);
            }
        } else if response.status() == 503 && has_more {
            // RFC 3263 §4.3: a server that says 503 has failed as one that says nothing.
            self.try_next_flow(now, key, answer);
        } else {
            self.finish_outside(now, key, answer);
        }
    }

    /// No final response came on this flow.
    pub(super) fn on_outside_failed(
        &mut self,
        now: Instant,
        key: OutsideKey,
        failure: ClientFailure,
    ) {
        let answer = match failure {
            ClientFailure::Timeout => Answer::Timeout,
            ClientFailure::Transport => Answer::Transport,
        };
        let asked = self.ctx.outside.get_mut(key);
        if let Some(path) = asked.and_then(|asked| asked.sent.as_ref()) {
            self.ctx.outages.failed(now, path.flow, None);
        }
        self.try_next_flow(now, key, answer);
    }

    fn finish_outside(&mut self, now: Instant, key: OutsideKey, answer: Answer) {
        if self.ctx.outside.get_mut(key).is_none() {
            return;
        }
        let asked = self.ctx.outside.questions.remove(key.index as usize);
        let Question {
            by,
            challenges,
            cseq,
            ..
        } = asked.question;
        let outcome = Outcome {
            answer,
            challenges,
            cseq,
            path: asked.sent,
        };
        match by {
            Questioner::Registration(key) => self.on_registration_outcome(now, key, outcome),
            Questioner::Contact(id) => self.on_options_outcome(now, id, outcome),
        }
    }
}

/// Sends a question over a path. False if the transaction table is full.
fn send(ctx: &mut Context, now: Instant, key: OutsideKey, path: Path) -> bool {
    let Context {
        outside,
        sip,
        rng,
        bans,
        ..
    } = ctx;
    let Some(asked) = outside.get_mut(key) else {
        return false;
    };
    bans.vouch(now, path.flow.peer.ip());
    let question = &mut asked.question;
    let mut request = (question.write)(&path);
    let cseq = format!("{} {}", question.cseq, request.method);
    request = request.set_header("CSeq", cseq);
    question.cseq += 1;
    if let Some(auth) = &question.auth {
        let answers = question.challenges.answers(rng, auth, &request);
        request = KnownChallenges::put(request, &answers);
    }
    let sent = sip.request_located(now, path.flow, &path.sent_by, request);
    asked.sent = Some(path);
    match sent {
        Some(tx) => {
            ctx.clients.insert(tx, ClientOwner::Outside(key));
            true
        }
        None => false,
    }
}

/// The delta-seconds of a header's value; what follows them (a comment, parameters) says nothing.
pub(super) fn seconds(value: &str) -> Option<Duration> {
    let end = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let seconds = value[..end].parse::<u32>().ok()?;
    Some(Duration::from_secs(seconds.into()))
}
