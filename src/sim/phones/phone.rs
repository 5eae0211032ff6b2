//! A telephone: its sessions, what it has in mind, and its clock.

use super::session::{Session, Stage};
use super::{GATEWAY, KNOWN};
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Method, RequestDraft, ResponseDraft};
use crate::sip::{Endpoint, EndpointSettings, Event, Flow, Protocol, TransportId};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most calls that one phone begins.
const CALLS_MAX: u16 = 4;

/// See the module's comment.
pub(super) struct Phone {
    pub index: u8,
    pub address: SocketAddr,
    pub endpoint: Endpoint,
    pub rng: fastrand::Rng,
    pub sessions: Vec<Session>,
    /// What it will do, by when; the number keeps the order of equals.
    todo: Vec<(Instant, Todo)>,
    /// It hangs up and begins nothing any more.
    pub is_quiet: bool,
    dies: Option<Instant>,
    is_dead: bool,
    pub registered: u32,
    pub violations: Vec<String>,
}

/// What it has in mind.
#[derive(Clone)]
pub(super) enum Todo {
    Register,
    Call,
    Cancel(usize),
    /// Goes on with the INVITE of this session.
    Ring(usize),
    Answer(usize),
    /// Something of its own in a call that is up.
    Act(usize),
    /// Says how a transfer goes that the gateway has asked for.
    Notify(usize),
}

impl Phone {
    pub fn new(
        index: u8,
        address: SocketAddr,
        start: Instant,
        dies: Option<Instant>,
        seed: u64,
    ) -> Phone {
        let settings = EndpointSettings {
            user_agent: String::from("phone"),
            ..EndpointSettings::default()
        };
        let mut phone = Phone {
            index,
            address,
            endpoint: Endpoint::new(settings, seed),
            rng: fastrand::Rng::with_seed(seed),
            sessions: Vec::new(),
            todo: Vec::new(),
            is_quiet: false,
            dies,
            is_dead: false,
            registered: 0,
            violations: Vec::new(),
        };
        if index == KNOWN {
            phone.later(start, 500, Todo::Register);
        }
        for _ in 0..phone.rng.u16(0..=CALLS_MAX) {
            phone.later(start, 12_000, Todo::Call);
        }
        phone
    }

    /// Keeps this in mind for some time within so many milliseconds.
    pub fn later(&mut self, now: Instant, within_ms: u64, todo: Todo) {
        let wait = Duration::from_millis(self.rng.u64(0..=within_ms));
        self.todo.push((now + wait, todo));
    }

    pub fn chance(&mut self, part: f64) -> bool {
        self.rng.f64() < part
    }

    pub fn flow(&self) -> Flow {
        Flow {
            transport: TransportId(0),
            protocol: Protocol::Udp,
            peer: GATEWAY,
            domain: None,
        }
    }

    pub fn contact(&self) -> String {
        format!("<sip:p{}@{}>", self.index, self.address)
    }

    /// Everybody hangs up.
    pub fn quiet(&mut self, now: Instant) {
        self.is_quiet = true;
        self.todo
            .retain(|(_, todo)| matches!(todo, Todo::Answer(_)));
        for place in 0..self.sessions.len() {
            match &self.sessions[place].stage {
                Stage::Calling(tx) => {
                    let tx = *tx;
                    self.endpoint.cancel(now, tx, None);
                }
                Stage::Up => self.hang_up(now, place),
                Stage::Called => {
                    if let Some((tx, _)) = self.sessions[place].asked.take() {
                        self.respond(now, place, tx, ResponseDraft::new(486));
                        self.sessions[place].stage = Stage::Done;
                    }
                }
                Stage::Answered | Stage::Leaving | Stage::Done => {}
            }
        }
        if self.registered > 0 {
            self.register(now, 0, None);
        }
    }

    /// A datagram for it.
    pub fn receive(&mut self, now: Instant, bytes: Bytes) {
        if self.is_dead {
            return;
        }
        let malformed = self.endpoint.counters().malformed;
        let flow = self.flow();
        self.endpoint.handle_datagram(now, flow, bytes.clone());
        if self.endpoint.counters().malformed > malformed {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.violations.push(format!("malformed: {text}"));
        }
        self.run_events(now);
    }

    /// Runs what is due. `dialogs` names everybody's.
    pub fn handle_timeout(&mut self, now: Instant, dialogs: &[String]) {
        if self.dies.is_some_and(|at| at <= now) {
            self.is_dead = true;
        }
        if self.is_dead {
            return;
        }
        self.endpoint.handle_timeout(now);
        self.run_events(now);
        while let Some(place) = self.todo.iter().position(|(at, _)| *at <= now) {
            let (_, todo) = self.todo.swap_remove(place);
            self.act(now, todo, dialogs);
            self.run_events(now);
        }
    }

    /// True if it is about to call somebody.
    pub fn calls_now(&self, now: Instant) -> bool {
        let mut todo = self.todo.iter();
        todo.any(|(at, todo)| *at <= now && matches!(todo, Todo::Call))
    }

    /// When [`Phone::handle_timeout`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.is_dead {
            return None;
        }
        let todo = self.todo.iter().map(|(at, _)| *at);
        todo.chain(self.endpoint.poll_timeout())
            .chain(self.dies)
            .min()
    }

    /// The next datagram to the gateway.
    pub fn poll_send(&mut self) -> Option<Bytes> {
        let transmit = self.endpoint.poll_transmit()?;
        (!self.is_dead).then_some(transmit.bytes)
    }

    /// Its dialogs, as Replaces names them.
    pub fn dialogs(&self) -> Vec<String> {
        let over = |session: &&Session| !matches!(session.stage, Stage::Done);
        let sessions = self.sessions.iter().filter(over);
        sessions.filter_map(Session::name).collect()
    }

    fn run_events(&mut self, now: Instant) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { tx, request, .. } => self.on_request(now, tx, &request),
                Event::Ack { tx, request } => self.on_ack(now, tx, &request),
                Event::AckTimeout { tx } => self.on_ack_timeout(now, tx),
                Event::Cancelled { tx, .. } => self.on_cancelled(now, tx),
                Event::Response { tx, response, .. } => {
                    self.on_response(now, tx, &response);
                }
                Event::Failed { tx, .. } => self.on_failed(now, tx),
            }
        }
    }

    fn on_cancelled(&mut self, now: Instant, tx: ServerTx) {
        let is_its = |session: &Session| matches!(&session.asked, Some((asked, _)) if *asked == tx);
        let Some(place) = self.sessions.iter().position(is_its) else {
            return;
        };
        self.sessions[place].asked = None;
        self.respond(now, place, tx, ResponseDraft::new(487));
        if matches!(self.sessions[place].stage, Stage::Called) {
            self.sessions[place].stage = Stage::Done;
        }
    }

    /// Answers in a session's dialog.
    pub fn respond(&mut self, now: Instant, place: usize, tx: ServerTx, response: ResponseDraft) {
        let response = response
            .to_tag(&self.sessions[place].tag)
            .header("Contact", self.contact())
            .header(
                "Allow",
                "INVITE, ACK, BYE, CANCEL, INFO, UPDATE, PRACK, REFER, NOTIFY",
            );
        self.endpoint.respond(now, tx, response);
    }

    /// Sends a request in a session's dialog.
    pub fn send(
        &mut self,
        now: Instant,
        place: usize,
        method: Method,
        with: impl FnOnce(RequestDraft) -> RequestDraft,
    ) -> Option<crate::sip::endpoint::ClientTx> {
        let (flow, own, contact) = (self.flow(), self.address.to_string(), self.contact());
        let dialog = self.sessions[place].dialog.as_mut()?;
        let request = dialog.request(method).header("Contact", contact);
        self.endpoint.request(now, flow, &own, with(request))
    }

    pub fn hang_up(&mut self, now: Instant, place: usize) {
        let sent = self.send(now, place, Method::Bye, |bye| bye);
        self.sessions[place].stage = match sent {
            Some(_) => Stage::Leaving,
            None => Stage::Done,
        };
    }
}
