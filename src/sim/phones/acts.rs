//! What a telephone does of its own accord.

use super::phone::{Phone, Todo};
use super::session::{Session, Stage};
use super::{GATEWAY, KNOWN};
use crate::sdp::Direction;
use crate::sip::auth::{Answer, Asker, Password, challenges};
use crate::sip::message::{Method, RequestDraft, Response, ResponseDraft};
use std::time::Instant;

const SDP: &str = "application/sdp";
/// Longest time to the next act in a call that is up, in milliseconds.
const PAUSE_MS: u64 = 3_000;
/// Numbers that are called; `#` is a phone.
const NUMBERS: [&str; 20] = [
    "1#", "1#", "1#", "1#", "1#", "1#", "1#", "1#", "2#", "3#", "40", "41", "42", "43", "44", "5#",
    "60", "61", "62", "63",
];

impl Phone {
    pub(super) fn act(&mut self, now: Instant, todo: Todo, dialogs: &[String]) {
        match todo {
            Todo::Register => self.register(now, 60, None),
            Todo::Call => self.call(now, dialogs),
            Todo::Cancel(place) => {
                if let Stage::Calling(tx) = self.sessions[place].stage {
                    self.endpoint.cancel(now, tx, None);
                }
            }
            Todo::Ring(place) => self.ring(now, place),
            Todo::Answer(place) => self.answer(now, place),
            Todo::Act(place) if self.sessions[place].is_up() => {
                self.act_in_call(now, place);
                self.later(now, PAUSE_MS, Todo::Act(place));
            }
            Todo::Act(_) => {}
            Todo::Notify(place) => {
                let status =
                    ["SIP/2.0 200 OK\r\n", "SIP/2.0 486 Busy Here\r\n"][self.rng.usize(0..2)];
                self.send(now, place, Method::Notify, |notify| {
                    notify
                        .header("Event", "refer")
                        .header("Subscription-State", "terminated;reason=noresource")
                        .body("message/sipfrag", status.to_owned())
                });
            }
        }
    }

    /// Has come up: it will do something.
    pub(super) fn come_up(&mut self, now: Instant, place: usize) {
        self.sessions[place].stage = Stage::Up;
        if self.is_quiet {
            return self.hang_up(now, place);
        }
        self.later(now, PAUSE_MS, Todo::Act(place));
    }

    fn number(&mut self) -> String {
        let phone = self.rng.u8(0..=KNOWN).to_string();
        NUMBERS[self.rng.usize(0..NUMBERS.len())].replace('#', &phone)
    }

    fn call(&mut self, now: Instant, dialogs: &[String]) {
        let place = self.sessions.len();
        let (call_id, tag) = (self.endpoint.new_call_id(), self.endpoint.new_tag());
        let number = self.number();
        let mut session = self.new_session(call_id, tag);
        let request = self.invite(&session, &number);
        let request = self.with_wishes(request);
        let request = match self.rng.choice(dialogs).cloned() {
            Some(dialog) if self.chance(0.2) => request.header("Replaces", dialog),
            _ => request,
        };
        session.owes_answer = self.chance(0.2);
        let request = match session.owes_answer {
            false => request.body(SDP, session.offer(Direction::SendRecv)),
            true => request,
        };
        if self.send_invite(now, session, request) && self.chance(0.2) {
            self.later(now, 4_000, Todo::Cancel(place));
        }
    }

    pub(super) fn new_session(&mut self, call_id: String, tag: String) -> Session {
        let number = u16::from(self.index) * 100 + self.sessions.len() as u16;
        Session::new(number, self.address.ip(), call_id, tag, Stage::Done)
    }

    fn invite(&self, session: &Session, number: &str) -> RequestDraft {
        let Session { call_id, tag, .. } = session;
        RequestDraft::new(Method::Invite, format!("sip:{number}@{GATEWAY}"))
            .header(
                "From",
                format_args!("<sip:p{}@{}>;tag={tag}", self.index, GATEWAY.ip()),
            )
            .header("To", format_args!("<sip:{number}@{GATEWAY}>"))
            .header("Call-ID", call_id)
            .header("CSeq", "1 INVITE")
            .header("Contact", self.contact())
            .header(
                "Allow",
                "INVITE, ACK, BYE, CANCEL, INFO, UPDATE, PRACK, REFER, NOTIFY",
            )
    }

    /// Extensions of an INVITE.
    fn with_wishes(&mut self, request: RequestDraft) -> RequestDraft {
        let request = match self.rng.u8(0..4) {
            0 => request.header("Supported", "100rel, timer"),
            1 => request
                .header("Supported", "timer")
                .header("Require", "100rel"),
            2 => request.header("Supported", "replaces"),
            _ => request,
        };
        match self.rng.u8(0..4) {
            0 => request.header("Session-Expires", "90;refresher=uac"),
            1 => request.header("Session-Expires", "90;refresher=uas"),
            2 => request.header("Session-Expires", "60"),
            _ => request,
        }
    }

    fn send_invite(&mut self, now: Instant, mut session: Session, request: RequestDraft) -> bool {
        let (flow, own) = (self.flow(), self.address.to_string());
        let sent = self.endpoint.request(now, flow, &own, request);
        session.stage = sent.map_or(Stage::Done, Stage::Calling);
        self.sessions.push(session);
        sent.is_some()
    }

    /// An INVITE of ours was asked for credentials: it is a new session, with the same names.
    pub(super) fn call_again(&mut self, now: Instant, place: usize, asked: &Response) {
        let old = &self.sessions[place];
        let (call_id, tag) = (old.call_id.clone(), old.tag.clone());
        let mut session = self.new_session(call_id, tag);
        session.has_authorized = true;
        let number = self.number();
        let request = self
            .invite(&session, &number)
            .set_header(
                "CSeq",
                format!("{} INVITE", asked.headers().cseq().number + 1),
            )
            .body(SDP, session.offer(Direction::SendRecv));
        if let Some(request) = self.authorized(request, asked) {
            self.send_invite(now, session, request);
        }
    }

    pub(super) fn register(&mut self, now: Instant, expires: u32, asked: Option<&Response>) {
        self.registered += 1;
        let (flow, own) = (self.flow(), self.address.to_string());
        let aor = format!("<sip:p{}@{}>", self.index, GATEWAY.ip());
        let request = RequestDraft::new(Method::Register, format!("sip:{}", GATEWAY.ip()))
            .header("From", format_args!("{aor};tag=r"))
            .header("To", &aor)
            .header("Call-ID", "registration")
            .header("CSeq", format_args!("{} REGISTER", self.registered))
            .header("Contact", self.contact())
            .header("Expires", expires);
        let request = match asked {
            Some(asked) => self.authorized(request, asked),
            None => Some(request),
        };
        if let Some(request) = request {
            self.endpoint.request(now, flow, &own, request);
        }
    }

    /// The request with an answer to the challenge; a wrong one now and then.
    fn authorized(&mut self, request: RequestDraft, asked: &Response) -> Option<RequestDraft> {
        let challenge = challenges(asked.headers(), Asker::User)
            .into_iter()
            .next()?;
        let password = if self.chance(0.1) { "guess" } else { "pw" };
        let answer = challenge.answer(&Answer {
            username: &format!("p{}", self.index),
            password: Password(password),
            method: &request.method,
            uri: &request.uri,
            body: request.get_body(),
            cnonce: &format!("{:08x}", self.rng.u32(..)),
            nonce_count: 1,
        });
        Some(request.header("Authorization", answer))
    }

    fn act_in_call(&mut self, now: Instant, place: usize) {
        let is_busy = self.sessions[place].ours.is_some() || self.sessions[place].asked.is_some();
        match self.rng.u8(0..14) {
            0 | 1 if !is_busy => self.offer(now, place, Method::Invite, Direction::SendOnly),
            2 | 3 if !is_busy => self.offer(now, place, Method::Invite, Direction::SendRecv),
            4 if !is_busy => self.offer(now, place, Method::Update, Direction::SendRecv),
            5 if !is_busy => {
                let ours = self.send(now, place, Method::Invite, |invite| invite);
                let session = &mut self.sessions[place];
                (session.ours, session.owes_answer) = (ours, true);
            }
            6 => {
                self.send(now, place, Method::Update, |update| {
                    update
                        .header("Supported", "timer")
                        .header("Session-Expires", "90;refresher=uac")
                });
            }
            7 | 8 => {
                self.send(now, place, Method::Info, |info| {
                    info.body(
                        "application/dtmf-relay",
                        String::from("Signal=5\r\nDuration=100\r\n"),
                    )
                });
            }
            9 | 10 => self.refer(now, place),
            11 => {
                self.send(now, place, Method::Options, |options| options);
            }
            _ => self.hang_up(now, place),
        }
    }

    fn offer(&mut self, now: Instant, place: usize, method: Method, direction: Direction) {
        let body = self.sessions[place].offer(direction);
        let ours = self.send(now, place, method, |request| request.body(SDP, body));
        let session = &mut self.sessions[place];
        (session.ours, session.owes_answer) = (ours, false);
    }

    fn refer(&mut self, now: Instant, place: usize) {
        let other = self.rng.usize(0..self.sessions.len());
        let name = self.sessions[other].name().filter(|_| other != place);
        let number = self.number();
        let target = match name {
            Some(name) => {
                let name = name
                    .replace('@', "%40")
                    .replace(';', "%3B")
                    .replace('=', "%3D");
                format!("<sip:{number}@{GATEWAY}?Replaces={name}>")
            }
            None => format!("<sip:{number}@{GATEWAY}>"),
        };
        self.send(now, place, Method::Refer, |refer| {
            refer.header("Refer-To", target)
        });
    }

    /// Something provisional: plain or reliable, with a description or without.
    fn ring(&mut self, now: Instant, place: usize) {
        let Some((tx, invite)) = self.sessions[place].asked.clone() else {
            return;
        };
        if !matches!(self.sessions[place].stage, Stage::Called) {
            return;
        }
        let is_early = self.chance(0.4) && !invite.body().is_empty();
        let response = ResponseDraft::new(if is_early { 183 } else { 180 });
        let response = match is_early.then(|| self.answer_to(place, &invite)).flatten() {
            Some(body) => response.body(SDP, body),
            None => response,
        };
        let speaks = invite.headers().lists("Supported", "100rel");
        let response = if speaks && self.chance(0.5) {
            let rseq = self.sessions[place].rseq.map_or(100, |rseq| rseq + 1);
            self.sessions[place].rseq = Some(rseq);
            response.header("Require", "100rel").header("RSeq", rseq)
        } else {
            response
        };
        self.respond(now, place, tx, response);
    }
}
