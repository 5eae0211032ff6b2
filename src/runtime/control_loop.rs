//! The control thread: one loop that owns the controller. Everything that happens comes here one thing at a time, a
//! bounded batch a turn; everything that the controller wants done is done before the next thing is looked at.
//!
//! ```text
//!  UDP sockets ─┐ Input                                ┌─► UDP sockets, stream connections
//!  streams ─────┼───────► ┌───────────────────────┐    │
//!  resolver ────┘         │ control::Controller   ├────┼─► link to each worker
//!  workers' bell ───────► │ handle_* … poll_output│    │
//!  admin requests ──────► └──────────▲────────────┘    └─► resolver
//!  signals, timer ───────────────────┘
//! ```

use super::bell::Bell;
use super::input::{INPUTS_MAX, Input};
use super::pace::{Pace, Wait};
use super::recordings::RecordingsHandle;
use super::reload::{Loader, ReloadDone};
use super::resolver::Resolver;
use super::signals::{Signal, Signals};
use super::sip_streams::Streams;
use super::sip_udp::UdpTransport;
use super::sockets::Intake;
use super::sounds::SoundsHandle;
use super::start::Listening;
use super::store_thread::StoreHandle;
use super::topology::WorkerHandle;
use crate::admin::Asked;
use crate::control::Controller;
use crate::control::admission::strangers::Strangers;
use crate::control::controller::Output;
use crate::control::locate::names::Answer;
use crate::link::{Command, WorkerId};
use crate::media::Nanos;
use crate::metrics::{ControlMetrics, RejectReason};
use crate::sip::{Flow, Protocol, Transmit, TransportId};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Inputs, events of one worker, and admin requests handled before the next thing has its turn. The workers hear of
/// what a turn decided at its end, some milliseconds after its beginning at most.
const BATCH: usize = 32;
/// Under load, messages may gather for so long before they are handled: little beside T1 (500 ms, RFC 3261 §17.1.1.1),
/// and a wake-up for each costs as much as the message itself.
pub(super) const GATHER_US: u32 = 1_000;
/// How long a stop waits for the answers to our BYEs.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the end waits for the last answers to be written, to SIP streams and admin connections.
const FINISH_TIME_MAX: Duration = Duration::from_secs(1);
/// How soon a command that waits for room in a worker's queue is tried again.
const FLUSH_INTERVAL: Duration = Duration::from_millis(5);
/// Where no timer runs, the loop sleeps at most this long; nothing depends on it.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Where the gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes calls.
    Serving,
    /// It takes none, and ends with the last one.
    Draining,
    /// It ends them all, and itself at this time at the latest.
    Stopping(Instant),
    /// Nothing is left to do.
    Over,
}

/// All that the control thread owns. Made by `start`.
pub(super) struct ControlLoop {
    pub controller: Controller,
    /// Shared with the controller.
    pub metrics: Arc<ControlMetrics>,
    pub udp: FxHashMap<TransportId, UdpTransport>,
    /// Datagrams that leave at the end of the turn, in their order.
    pub outbox: FxHashMap<TransportId, Vec<(SocketAddr, Bytes)>>,
    pub streams: Streams,
    /// Of these sockets and of those that a reload adds.
    pub intake: Intake,
    /// Peers whose failed TLS handshakes were logged lately.
    pub handshakes_told: Strangers,
    pub resolver: Resolver,
    pub store: StoreHandle,
    pub sounds: SoundsHandle,
    pub recordings: RecordingsHandle,
    /// By their number.
    pub workers: Vec<WorkerHandle>,
    /// Rung for the workers' events.
    pub bell: AsyncFd<Bell>,
    pub inputs: mpsc::Receiver<Input>,
    pub asked: mpsc::Receiver<Asked>,
    /// Stops the admin address.
    pub stop_admin: watch::Sender<()>,
    pub signals: Signals,
    pub loader: Loader,
    /// The reload that runs now, if any.
    pub reloading: JoinSet<Box<ReloadDone>>,
    pub listening: Listening,
    /// Log lines that were given up.
    pub log_lines_dropped: Box<dyn Fn() -> u64>,
    pub phase: Phase,
    /// How busy it is.
    pub pace: Pace,
    /// When it began to serve.
    pub started: Instant,
    /// When the configuration was last read without error.
    pub config_loaded: Instant,
}

/// What woke the loop.
enum Wake {
    Inputs,
    Workers,
    Asked,
    Signal(Signal),
    Reloaded(Box<ReloadDone>),
    FlowFailed(Flow),
    Timer,
}

impl ControlLoop {
    /// Runs until the gateway is to end.
    pub async fn run(mut self) {
        let mut inputs = Vec::with_capacity(BATCH);
        let mut asked = Vec::with_capacity(BATCH);
        let timer = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(timer);
        self.do_outputs();
        self.end_turn();
        while self.phase != Phase::Over {
            self.gather();
            timer.as_mut().reset(self.due().into());
            let quiet = self
                .workers
                .iter_mut()
                .all(|worker| worker.events.may_sleep());
            let wake = tokio::select! {
                _ = self.inputs.recv_many(&mut inputs, BATCH) => Wake::Inputs,
                _ = self.asked.recv_many(&mut asked, BATCH), if !self.asked.is_closed() => Wake::Asked,
                () = std::future::ready(()), if !quiet => Wake::Workers,
                rung = self.bell.readable() => {
                    if let Ok(mut rung) = rung {
                        rung.get_inner().silence();
                        rung.clear_ready();
                    }
                    Wake::Workers
                }
                signal = self.signals.next() => Wake::Signal(signal),
                Some(done) = self.reloading.join_next() => Wake::Reloaded(done.unwrap_or_else(ReloadDone::panicked)),
                failed = self.streams.panicked() => failed.map_or(Wake::Timer, Wake::FlowFailed),
                () = self.resolver.turn() => Wake::Timer,
                () = &mut timer => Wake::Timer,
            };
            let now = Instant::now();
            let since_start = now.duration_since(self.started).as_nanos();
            self.pace
                .count(Nanos(since_start as u64), inputs.len() as u64);
            match wake {
                Wake::Inputs => {
                    self.controller
                        .handle_backlog(now, self.inputs.len(), INPUTS_MAX);
                    self.handle_inputs(now, &mut inputs);
                }
                Wake::Workers => self.handle_events(now),
                Wake::Asked => asked.drain(..).for_each(|asked| self.answer(now, asked)),
                Wake::Signal(signal) => self.handle_signal(now, signal),
                Wake::Reloaded(done) => self.finish_reload(now, *done),
                Wake::FlowFailed(flow) => self.controller.handle_flow_failed(now, flow),
                Wake::Timer => self.handle_time(now),
            }
            self.do_outputs();
            self.end_turn();
        }
        self.write_the_rest().await;
        self.stop_threads();
    }

    /// Lets messages gather under load. The thread sleeps, and with it all that it runs, which has the same to gain.
    fn gather(&self) {
        if let Wait::Batch { longest_us, .. } = self.pace.wait()
            && self.inputs.is_empty()
        {
            std::thread::sleep(Duration::from_micros(longest_us.into()));
        }
    }

    /// Nothing new is heard; what was answered last is still written, if the peers take it in time.
    async fn write_the_rest(&mut self) {
        self.inputs.close();
        self.asked.close();
        // Whoever still waits for an answer is told that the gateway stops.
        while self.asked.try_recv().is_ok() {}
        self.stop_admin.send_replace(());
        let rest = async { tokio::join!(self.streams.close_all(), self.stop_admin.closed()) };
        if tokio::time::timeout(FINISH_TIME_MAX, rest).await.is_err() {
            tracing::info!("not every peer took its last message");
        }
    }

    /// When the loop must turn, whatever happens.
    fn due(&self) -> Instant {
        let now = Instant::now();
        let mut due = self.controller.poll_timeout().unwrap_or(now + SLEEP_MAX);
        if let Phase::Stopping(deadline) = self.phase {
            due = due.min(deadline);
        }
        if self
            .workers
            .iter()
            .any(|worker| worker.commands.backlog() > 0)
        {
            due = due.min(now + FLUSH_INTERVAL);
        }
        due
    }

    fn handle_time(&mut self, now: Instant) {
        self.controller.handle_timeout(now);
        if matches!(self.phase, Phase::Stopping(deadline) if deadline <= now) {
            tracing::warn!("not every peer has answered our BYE, ending anyway");
            self.phase = Phase::Over;
        }
    }

    /// One input at a time, so that what it leads to is done before the next one is judged.
    fn handle_inputs(&mut self, now: Instant, inputs: &mut Vec<Input>) {
        for input in inputs.drain(..) {
            match input {
                Input::Datagram { flow, bytes } => {
                    self.controller.handle_datagram(now, flow, bytes)
                }
                Input::Unreachable { flow } => self.controller.handle_flow_failed(now, flow),
                Input::Accepted {
                    transport,
                    stream,
                    peer,
                } => {
                    if !self.controller.hears(now, peer) {
                        // Closed unread; the controller has counted it.
                    } else if !self.streams.may_take(transport, peer.ip()) {
                        self.metrics.rejected(RejectReason::Limit);
                        tracing::warn!(%peer, "too many connections, one more refused");
                    } else if let Some(flow) = self.streams.take(transport, stream, peer) {
                        self.controller.handle_flow_failed(now, flow);
                    }
                }
                Input::Opened { id } => self.streams.opened(id),
                Input::Received { id, flow, bytes } => {
                    if self.streams.is_current(id, flow) {
                        self.controller.handle_stream(now, flow, &bytes);
                    }
                }
                Input::Ended { id, end, why } => {
                    if let Some(flow) = self.streams.ended(id, end) {
                        if let Some(why) = why {
                            self.tell_no_handshake(now, flow, &why);
                        }
                        self.controller.handle_flow_failed(now, flow);
                    }
                }
                Input::Sounds(answer) => self.controller.handle_sounds(now, answer),
                Input::Recorded(recorded) => self.controller.handle_recorded(now, recorded),
                Input::Resolved { question, answer } => {
                    self.controller.handle_resolved(now, &question, answer);
                }
            }
            self.do_outputs();
        }
    }

    fn handle_events(&mut self, now: Instant) {
        for worker in &mut self.workers {
            worker.events.awake();
            for _ in 0..BATCH {
                let Some(event) = worker.events.receive() else {
                    break;
                };
                self.controller.handle_media(now, worker.id, event);
            }
        }
    }

    fn handle_signal(&mut self, now: Instant, signal: Signal) {
        match (signal, self.phase) {
            (Signal::Reload, _) => self.start_reload(None),
            (Signal::Terminate, Phase::Serving) => {
                tracing::info!("draining: no new calls; the next signal ends the running ones");
                self.drain(now);
            }
            (Signal::Terminate, Phase::Draining) => {
                tracing::info!("stopping: ending every call");
                self.controller.stop(now);
                self.phase = Phase::Stopping(now + STOP_TIME_MAX);
            }
            (Signal::Terminate, Phase::Stopping(_) | Phase::Over) => self.phase = Phase::Over,
        }
    }

    /// Takes no new call from now on, and ends with the last one.
    pub(super) fn drain(&mut self, now: Instant) {
        if self.phase == Phase::Serving {
            self.phase = Phase::Draining;
            self.controller.drain(now);
        }
    }

    /// Does all that the controller wants. What one input leads to is bounded by the controller.
    fn do_outputs(&mut self) {
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::CloseFlow(flow) => self.streams.close(flow),
                Output::Known(flow) => self.streams.know(flow),
                Output::Command(worker, command) => self.command(worker, command),
                Output::Resolve { question } => {
                    if !self.resolver.resolve(question.clone()) {
                        tracing::warn!(?question, "too many names wait to be resolved");
                        let now = Instant::now();
                        self.controller
                            .handle_resolved(now, &question, Answer::Failed);
                    }
                }
                Output::Sounds(question) => {
                    if let Err(nothing) = self.sounds.ask(question) {
                        self.controller.handle_sounds(Instant::now(), nothing);
                    }
                }
                Output::Record(order) => {
                    if let Err(failed) = self.recordings.record(order) {
                        self.controller.handle_recorded(Instant::now(), failed);
                    }
                }
                Output::Store(change) => self.store.send(change),
                Output::Drained => {
                    if self.phase != Phase::Serving {
                        tracing::info!("drained");
                        self.phase = Phase::Over;
                    }
                }
            }
        }
    }

    /// One bell for all that a turn had to tell a worker, then one system call for the datagrams of the turn: a port
    /// that is offered to a peer is opened first, and a peer is woken once.
    fn end_turn(&mut self) {
        // What fails leads to more commands and may be sent again elsewhere; the controller tries each target once.
        loop {
            for worker in &mut self.workers {
                worker.commands.flush();
            }
            if self.outbox.is_empty() {
                return;
            }
            for (transport, datagrams) in std::mem::take(&mut self.outbox) {
                self.send_datagrams(transport, &datagrams);
            }
            self.do_outputs();
        }
    }

    fn transmit(&mut self, Transmit { flow, bytes }: Transmit) {
        if flow.protocol == Protocol::Udp {
            let datagrams = self.outbox.entry(flow.transport).or_default();
            return datagrams.push((flow.peer, bytes));
        }
        let domain = self.controller.domain(flow);
        if self.streams.send(flow, domain, bytes).is_err() {
            self.controller.handle_flow_failed(Instant::now(), flow);
        }
    }

    /// Logs why TLS was not agreed on: each time with a peer that we call, now and then with one that knocks.
    fn tell_no_handshake(&mut self, now: Instant, flow: Flow, why: &str) {
        let (peer, domain) = (flow.peer, self.controller.domain(flow));
        if domain.is_some() || self.handshakes_told.is_news(now, peer.ip()) {
            tracing::warn!(%peer, domain, why, "no TLS connection");
        }
    }

    fn send_datagrams(&mut self, transport: TransportId, datagrams: &[(SocketAddr, Bytes)]) {
        let (controller, metrics) = (&mut self.controller, &self.metrics);
        let mut failed = |peer, error: io::Error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                return metrics.datagram_dropped();
            }
            tracing::info!(%peer, %error, "not sent");
            let flow = Flow {
                transport,
                protocol: Protocol::Udp,
                peer,
                domain: None,
            };
            controller.handle_flow_failed(Instant::now(), flow);
        };
        match self.udp.get(&transport) {
            Some(socket) => socket.send_all(datagrams, failed),
            None => datagrams
                .iter()
                .map(|(peer, _)| (*peer, io::ErrorKind::AddrNotAvailable.into()))
                .for_each(|(peer, error)| failed(peer, error)),
        }
    }

    fn command(&mut self, id: WorkerId, command: Command) {
        let sent = match self.workers.get_mut(usize::from(id.0)) {
            Some(worker) => worker.commands.send(command),
            None => Err(command),
        };
        if let Err(refused) = sent {
            self.metrics.command_refused(id.0);
            tracing::warn!(
                worker = id.0,
                ?refused,
                "command refused: the worker does not keep up"
            );
            self.controller
                .handle_command_refused(Instant::now(), refused);
        }
    }

    /// Stops the store, the workers and their recordings and waits for them; each takes two seconds at most.
    fn stop_threads(self) {
        self.store.finish();
        let threads: Vec<_> = self
            .workers
            .into_iter()
            .map(|mut worker| {
                // Never refused.
                let _ = worker.commands.send(Command::Stop);
                (worker.thread, worker.commands, worker.events)
            })
            .collect();
        for (thread, mut commands, mut events) in threads {
            while !thread.is_finished() {
                commands.flush();
                while events.receive().is_some() {}
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ = thread.join();
        }
        self.recordings.finish();
    }
}
