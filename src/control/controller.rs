//! The controller: everything that control does, as one value on virtual time.
//!
//! Inputs go into the `handle_*` methods; then [`Controller::poll_output`] is drained and
//! [`Controller::poll_timeout`] says when [`Controller::handle_timeout`] is due.

use super::admission::identify::Identifier;
use super::admission::load::Load;
use super::admission::neighbours;
use super::admission::refusals::Refusals;
use super::admission::strangers::Strangers;
use super::call::{Call, CallKey, LegNo};
use super::context::{CallClient, ClientOwner, ClientRole, Context, Timer};
use super::gate::bans::Bans;
use super::gate::{Offence, Pressure};
use super::locate::domains::Domains;
use super::locate::names::Names;
use super::locate::outages::Outages;
use super::locate::path::streams_beside;
use super::meeting::rooms::Rooms;
use super::outside::Outside;
use super::outside::qualify::Qualify;
use super::outside::register_out::Registrations;
use super::owners::Owners;
use super::ports::Ports;
use super::recordings::RecordingOrder;
use super::registrar::Registrar;
use super::setup::Setup;
use super::sounds::SoundQuestion;
pub use super::surroundings::Surroundings;
use crate::config::Settings;
use crate::config::settings::Transport;
use crate::link::{Command, Event, LegId, PortRange, RtpPort, WorkerId};
use crate::metrics::{ControlMetrics, Direction, RejectReason};
use crate::sip::auth::{AuthSettings, Authenticator};
use crate::sip::endpoint::{ClientFailure, ClientTx, Event as SipEvent, ServerTx};
use crate::sip::message::{Request, Response, ResponseDraft};
use crate::sip::resolve::Question;
use crate::sip::timer::TimerWheel;
use crate::sip::{Endpoint, EndpointSettings, Flow, Transmit};
use crate::store;
use bytes::Bytes;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the controller wants done. The order of transmits on one flow, and of commands to one worker, is kept.
#[derive(Debug)]
pub enum Output {
    /// Send on SIP; open a connection if the flow is a stream and none is there.
    Transmit(Transmit),
    /// Close this stream connection.
    CloseFlow(Flow),
    /// The peer of this stream connection is one that we know: it may stay. A stranger's is closed after a while.
    Known(Flow),
    /// Tell a worker. The runtime's queue to it may be full: see [`Controller::handle_command_refused`].
    Command(WorkerId, Command),
    /// Ask the DNS; answer with [`Controller::handle_resolved`].
    Resolve {
        /// What.
        question: Question,
    },
    /// Find and decode these sounds; answer with [`Controller::handle_sounds`].
    Sounds(SoundQuestion),
    /// Write this recording; answer with [`Controller::handle_recorded`].
    Record(RecordingOrder),
    /// Keep this over a restart. It may be lost.
    Store(store::Change),
    /// Draining is done: no call is left.
    Drained,
}

/// Whether new calls are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Yes.
    Serving,
    /// No; the running ones go on.
    Draining,
    /// No, and none is left.
    Drained,
}

/// How long a nonce is taken.
const NONCE_LIFETIME: Duration = Duration::from_secs(60);

/// See the module's comment.
pub struct Controller {
    pub(super) ctx: Context,
    pub(super) setup: Arc<Setup>,
    /// The sockets that there are, by their [`crate::sip::TransportId`].
    pub(super) listening: Vec<Transport>,
    pub(super) calls: Slab<Call>,
    pub(super) authenticator: Authenticator,
    pub(super) strangers: Strangers,
    pub(super) neighbours_told: Strangers,
    pub(super) refusals: Refusals,
    pub(super) pressure: Pressure,
    pub(super) service: Service,
    /// Its host names have the addresses of the last look-up.
    pub(super) identifier: Identifier,
    /// When the next of those is looked up again. None without any.
    pub(super) identify_due: Option<Instant>,
    /// Streams to be closed when nothing is left to be sent.
    closing: VecDeque<Flow>,
    malformed_counted: u64,
    overload_counted: u64,
    calls_begun: u32,
    calls_ending: usize,
}

impl Controller {
    /// A controller that serves at once. `range` is the RTP ports of the running workers; `seed` feeds tags, branches
    /// and nonces, so that a test can repeat a run.
    pub fn new(
        setup: Setup,
        range: PortRange,
        seed: u64,
        surroundings: Box<dyn Surroundings>,
        now: Instant,
    ) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let settings = EndpointSettings {
            user_agent: setup.settings().global.user_agent.clone(),
            ..EndpointSettings::default()
        };
        let mut key = [0; 32];
        rng.fill(&mut key);
        let mut sip = Endpoint::new(settings, rng.u64(..));
        sip.set_streams(streams_beside(setup.settings()));
        let ctx = Context {
            sip,
            ports: Ports::new(range),
            outputs: VecDeque::new(),
            timers: TimerWheel::new(),
            servers: Owners::default(),
            clients: Owners::default(),
            media_owners: FxHashMap::default(),
            moved_legs: FxHashMap::default(),
            moved_recordings: FxHashMap::default(),
            attended: VecDeque::new(),
            pickups: VecDeque::new(),
            monitors_begun: 0,
            rooms: Rooms::default(),
            names: Names::default(),
            outages: Outages::default(),
            domains: Domains::default(),
            registrar: Registrar::default(),
            outside: Outside::default(),
            registrations: Registrations::default(),
            bans: Bans::new(setup.settings().bans.clone()),
            qualify: Qualify::default(),
            load: Load::default(),
            surroundings,
            rng,
            metrics: Arc::new(ControlMetrics::new()),
        };
        let challenges = challenges(setup.settings());
        let identifier = setup.identifier().clone();
        let identify_due = identifier.hosts_due(now);
        let mut controller = Controller {
            ctx,
            identify_due,
            identifier,
            closing: VecDeque::new(),
            malformed_counted: 0,
            overload_counted: 0,
            listening: setup.settings().transports.clone(),
            setup: Arc::new(setup),
            calls: Slab::new(),
            authenticator: Authenticator::new(challenges, key, now),
            strangers: Strangers::default(),
            neighbours_told: Strangers::every(neighbours::QUIET),
            refusals: Refusals::default(),
            pressure: Pressure::default(),
            service: Service::Serving,
            calls_begun: 0,
            calls_ending: 0,
        };
        controller.configure_registrar();
        controller.take_registrations(now);
        controller.watch_fixed_contacts(now);
        controller
    }

    /// One datagram.
    pub fn handle_datagram(&mut self, now: Instant, flow: Flow, datagram: Bytes) {
        if self.hears(now, flow.peer) {
            let malformed = self.ctx.sip.counters().malformed;
            self.ctx.sip.handle_datagram(now, flow, datagram);
            self.note_malformed(now, flow, malformed);
            self.run(now);
        }
    }

    /// Something else on this machine has the pair: no call gets it for a while.
    pub fn set_port_aside(&mut self, now: Instant, port: RtpPort) {
        self.ctx.ports.set_aside(now, port);
    }

    /// Bytes of a stream connection; the answer may be [`Output::CloseFlow`].
    pub fn handle_stream(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        if !self.hears(now, flow.peer) {
            self.close_flow(now, flow);
            return self.run(now);
        }
        let malformed = self.ctx.sip.counters().malformed;
        if let Err(error) = self.ctx.sip.handle_stream(now, flow, bytes) {
            tracing::info!(peer = %flow.peer, %error, "stream closed: its framing is lost");
            self.close_flow(now, flow);
        }
        self.note_malformed(now, flow, malformed);
        self.run(now);
    }

    /// Closes a stream, behind what is still to be sent on it. All who use it learn of it as of one that the peer has
    /// closed.
    fn close_flow(&mut self, now: Instant, flow: Flow) {
        self.closing.push_back(flow);
        self.forget_flow(now, flow);
    }

    fn forget_flow(&mut self, now: Instant, flow: Flow) {
        self.ctx.sip.handle_flow_failed(now, flow);
        self.on_registered_flow_lost(flow);
        self.on_registration_flow_failed(now, flow);
    }

    /// Bans are for who sends rubbish again and again, too.
    fn note_malformed(&mut self, now: Instant, flow: Flow, before: u64) {
        if self.ctx.sip.counters().malformed > before {
            self.on_offence(now, flow, Offence::Malformed);
        }
    }

    /// A stream connection closed or could not be opened; a datagram's peer is unreachable.
    pub fn handle_flow_failed(&mut self, now: Instant, flow: Flow) {
        self.forget_flow(now, flow);
        self.run(now);
    }

    /// An event from a worker.
    pub fn handle_media(&mut self, now: Instant, _worker: WorkerId, event: Event) {
        let (leg, is_over) = match event {
            Event::Closed { leg, .. } => {
                self.ctx.ports.closed(now, leg);
                (leg, true)
            }
            Event::OpenFailed { leg, .. } => {
                self.ctx.ports.open_failed(now, leg);
                (leg, true)
            }
            Event::Latched { leg, .. }
            | Event::Stranger { leg, .. }
            | Event::Flooded { leg }
            | Event::Unusable { leg, .. }
            | Event::Silent { leg }
            | Event::Digit { leg, .. }
            | Event::Played { leg, .. }
            | Event::Hushed { leg }
            | Event::Report { leg, .. } => (leg, false),
        };
        if let Some((key, no)) = self.owner_of_media(leg, is_over) {
            self.with_call(now, key, |call, ctx| call.on_media(ctx, now, no, event));
        }
        self.run(now);
    }

    /// The worker's queue was full for an Open: the call is refused with 503, or the leg given up. Other commands the
    /// runtime keeps and sends later.
    pub fn handle_command_refused(&mut self, now: Instant, command: Command) {
        if let Command::Open { leg, .. } = command {
            self.ctx.ports.unused(leg);
            if let Some((key, no)) = self.owner_of_media(leg, true) {
                self.with_call(now, key, |call, ctx| call.on_open_refused(ctx, now, no));
            }
        }
        self.run(now);
    }

    pub(super) fn owner_of_media(&mut self, leg: LegId, is_over: bool) -> Option<(CallKey, LegNo)> {
        if is_over {
            self.ctx.media_owners.remove(&leg)
        } else {
            self.ctx.media_owners.get(&leg).copied()
        }
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ctx.sip.handle_timeout(now);
        while let Some(flow) = self.ctx.sip.poll_close() {
            tracing::info!(peer = %flow.peer, "stream closed: a message on it did not come to its end");
            self.close_flow(now, flow);
        }
        self.run(now);
        if self.identify_due.is_some_and(|due| due <= now) {
            self.look_up_identify_hosts(now);
        }
        while let Some(timer) = self.ctx.timers.expire(now) {
            match timer {
                Timer::Call(key, timer) => {
                    self.with_call(now, key, |call, ctx| call.on_timer(ctx, now, timer));
                }
                Timer::Binding(id) => self.on_binding_expired(id),
                Timer::Registration(key, timer) => self.on_registration_timer(now, key, timer),
                Timer::Qualify(id, timer) => self.on_qualify_timer(now, id, timer),
                Timer::UnregisterOverdue => self.on_unregister_overdue(),
            }
        }
        self.run(now);
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(output) = self.ctx.outputs.pop_front() {
            return Some(output);
        }
        if let Some(transmit) = self.ctx.sip.poll_transmit() {
            self.count_transmit(&transmit);
            return Some(Output::Transmit(transmit));
        }
        if let Some(flow) = self.closing.pop_front() {
            return Some(Output::CloseFlow(flow));
        }
        if self.service == Service::Draining
            && self.calls.is_empty()
            && self.ctx.registrations.is_empty()
        {
            self.service = Service::Drained;
            return Some(Output::Drained);
        }
        None
    }

    /// The domain that the peer of a flow must prove to be, if it is one that we connect to over TLS by a name.
    pub fn domain(&self, flow: Flow) -> Option<&str> {
        self.ctx.domains.of(flow.domain?)
    }

    /// When [`Controller::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let calls = self.ctx.timers.next();
        let sip = self.ctx.sip.poll_timeout();
        [calls, sip, self.identify_due].into_iter().flatten().min()
    }

    /// A request of a call that is gone by now has its final response (a call may end in the middle of a re-INVITE).
    /// If it was passed on for somebody, that one is still to be answered.
    fn answer_for_the_gone(&mut self, now: Instant, owner: CallClient) {
        if let ClientRole::Info(asked) = owner.role {
            self.ctx.sip.respond(now, asked, ResponseDraft::new(481));
        }
    }

    fn is_alive(&self, key: CallKey) -> bool {
        let call = self.calls.get(key.index as usize);
        call.is_some_and(|call| call.key() == key)
    }

    /// Does something to a call, and forgets it if it is over then.
    pub(super) fn with_call(
        &mut self,
        now: Instant,
        key: CallKey,
        act: impl FnOnce(&mut Call, &mut Context),
    ) {
        let index = key.index as usize;
        let Some(call) = self.calls.get_mut(index).filter(|call| call.key() == key) else {
            return;
        };
        let was_ending = call.is_ending();
        act(call, &mut self.ctx);
        if call.is_ending() && !was_ending {
            self.calls_ending += 1;
        }
        if call.is_over() {
            call.forget(&mut self.ctx);
            call.log_end(now);
            self.calls.remove(index);
            self.calls_ending -= 1;
        }
    }

    /// Deals out what the SIP endpoint has to say. Each event was caused by an input, so this ends.
    pub(super) fn run(&mut self, now: Instant) {
        while let Some(event) = self.ctx.sip.poll_event() {
            match event {
                SipEvent::Request { tx, flow, request } => {
                    self.count_request(flow, request.method().as_str(), Direction::In);
                    self.on_request(now, tx, flow, &request);
                }
                SipEvent::Ack { tx, request } => {
                    if let Some(owner) = self.ctx.servers.remove(tx) {
                        self.with_call(now, owner.call, |call, ctx| {
                            call.on_ack(ctx, now, owner, tx, &request);
                        });
                    }
                }
                SipEvent::AckTimeout { tx } => {
                    if let Some(owner) = self.ctx.servers.remove(tx) {
                        self.with_call(now, owner.call, |call, ctx| {
                            call.on_ack_timeout(ctx, now, owner);
                        });
                    }
                }
                SipEvent::Cancelled { tx, request } => self.on_cancelled(now, tx, &request),
                SipEvent::Response { tx, flow, response } => {
                    self.count_response(flow, response.status());
                    self.on_response(now, tx, &response);
                }
                SipEvent::Failed { tx, failure } => match self.ctx.clients.remove(tx) {
                    Some(ClientOwner::Call(owner)) => {
                        self.on_call_failed(now, tx, owner, failure);
                    }
                    Some(ClientOwner::Outside(key)) => self.on_outside_failed(now, key, failure),
                    None => {}
                },
            }
            self.join_calls(now);
        }
        self.join_calls(now);
        self.count_refused_below();
        if self.is_draining() && self.calls.is_empty() {
            self.leave_registrars(now);
        }
    }

    fn on_response(&mut self, now: Instant, tx: ClientTx, response: &Response) {
        match self.ctx.clients.get(tx) {
            Some(ClientOwner::Call(owner)) => self.on_call_response(now, tx, owner, response),
            Some(ClientOwner::Outside(key)) => self.on_outside_response(now, tx, key, response),
            None => {}
        }
    }

    /// A response to a call's request.
    fn on_call_response(
        &mut self,
        now: Instant,
        tx: ClientTx,
        owner: CallClient,
        response: &Response,
    ) {
        self.with_call(now, owner.call, |call, ctx| {
            call.on_response(ctx, now, tx, owner, response);
        });
        if response.status() >= 200 && !self.is_alive(owner.call) {
            self.ctx.clients.remove(tx);
            self.answer_for_the_gone(now, owner);
        }
    }

    /// No final response came to a call's request.
    fn on_call_failed(
        &mut self,
        now: Instant,
        tx: ClientTx,
        owner: CallClient,
        failure: ClientFailure,
    ) {
        if !self.is_alive(owner.call) {
            self.answer_for_the_gone(now, owner);
        }
        self.with_call(now, owner.call, |call, ctx| {
            call.on_failed(ctx, now, tx, owner, failure);
        });
    }

    /// What the SIP endpoint has refused by itself.
    fn count_refused_below(&mut self) {
        let counters = self.ctx.sip.counters();
        for (now, counted, reason) in [
            (
                counters.malformed,
                &mut self.malformed_counted,
                RejectReason::Malformed,
            ),
            (
                counters.overload,
                &mut self.overload_counted,
                RejectReason::Overload,
            ),
        ] {
            for _ in *counted..now {
                self.ctx.metrics.rejected(reason);
            }
            *counted = now;
        }
    }

    fn on_request(&mut self, now: Instant, tx: ServerTx, flow: Flow, request: &Request) {
        match self.call_of(request) {
            Some((key, leg)) => self.with_call(now, key, |call, ctx| {
                ctx.know(flow);
                call.follow_stream(leg, flow);
                call.on_request(ctx, now, leg, tx, request);
            }),
            None => self.on_new_request(now, tx, flow, request),
        }
    }

    /// The call and leg of a request in one of our dialogs.
    fn call_of(&self, request: &Request) -> Option<(CallKey, LegNo)> {
        let tag = request.headers().to_tag()?;
        let place = match self.ctx.moved_legs.get(tag) {
            Some((key, _)) => key.index as usize,
            None => Context::call_of_tag(tag)?,
        };
        let call = self.calls.get(place)?;
        Some((call.key(), call.leg_of(request)?))
    }

    fn on_cancelled(&mut self, now: Instant, tx: ServerTx, cancel: &Request) {
        let Some(owner) = self.ctx.servers.get(tx) else {
            let response = ResponseDraft::new(487);
            return self.ctx.sip.respond(now, tx, response);
        };
        self.with_call(now, owner.call, |call, ctx| {
            call.on_cancelled(ctx, now, tx, cancel.headers());
        });
    }

    /// The key that the next call will have.
    pub(super) fn next_key(&mut self) -> CallKey {
        CallKey {
            index: u32::try_from(self.calls.vacant_key()).expect("max_calls is a u32"),
            generation: self.calls_begun,
        }
    }

    /// Puts a call in its place, that of [`Controller::next_key`], and lets it begin.
    pub(super) fn start_call(
        &mut self,
        now: Instant,
        call: Call,
        act: impl FnOnce(&mut Call, &mut Context),
    ) {
        let key = call.key();
        self.calls_begun = self.calls_begun.wrapping_add(1);
        self.calls.insert(call);
        self.with_call(now, key, act);
    }

    /// Calls that have not begun to end.
    pub fn calls_active(&self) -> usize {
        self.calls.len() - self.calls_ending
    }

    fn count_request(&self, flow: Flow, method: &str, direction: Direction) {
        self.ctx
            .metrics
            .sip_request(self.transport_name(flow), method, direction);
    }

    fn count_response(&self, flow: Flow, status: u16) {
        self.ctx
            .metrics
            .sip_response(self.transport_name(flow), status, Direction::In);
    }

    /// Counts a message that goes out, by its first line.
    fn count_transmit(&self, transmit: &Transmit) {
        let name = self.transport_name(transmit.flow);
        let mut words = transmit.bytes.splitn(3, |byte| *byte == b' ');
        let mut word = || words.next().and_then(|word| std::str::from_utf8(word).ok());
        let metrics = &self.ctx.metrics;
        match (word(), word()) {
            (Some("SIP/2.0"), Some(code)) => {
                metrics.sip_response(name, code.parse().unwrap_or(0), Direction::Out);
            }
            (Some(method), Some(_)) => metrics.sip_request(name, method, Direction::Out),
            _ => {}
        }
    }

    fn transport_name(&self, flow: Flow) -> &str {
        let transports = &self.setup.settings().transports;
        transports
            .get(usize::from(flow.transport.0))
            .map_or("", |transport| &transport.name)
    }
}

/// How strangers and endpoints with credentials are challenged: all alike, so that no challenge tells who exists.
fn challenges(settings: &Settings) -> AuthSettings {
    AuthSettings {
        realm: String::from("ringway"),
        algorithms: settings.global.challenge_algorithms.clone(),
        nonce_lifetime: NONCE_LIFETIME,
    }
}
