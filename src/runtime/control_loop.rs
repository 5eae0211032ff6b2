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
use super::reload::{Loader, ReloadDone};
use super::resolver::Resolver;
use super::signals::{Signal, Signals};
use super::sip_streams::Streams;
use super::sip_udp::UdpTransport;
use super::start::Listening;
use super::store_thread::StoreHandle;
use super::topology::WorkerHandle;
use crate::admin::Asked;
use crate::control::Controller;
use crate::control::controller::Output;
use crate::control::names::Answer;
use crate::control::strangers::Strangers;
use crate::link::{Command, WorkerId};
use crate::metrics::{ControlMetrics, RejectReason};
use crate::sip::{Flow, Protocol, Transmit, TransportId};
use rustc_hash::FxHashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Inputs, events of one worker, and admin requests handled before the next thing has its turn.
const BATCH: usize = 64;
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
    pub streams: Streams,
    /// Peers whose failed TLS handshakes were logged lately.
    pub handshakes_told: Strangers,
    pub resolver: Resolver,
    pub store: StoreHandle,
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
        while self.phase != Phase::Over {
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
        }
        self.write_the_rest().await;
        self.stop_threads();
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

    /// One input at a time, so that its answers leave before the next one is judged.
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
                Output::Store(change) => self.store.send(change),
                Output::Drained => {
                    if self.phase != Phase::Serving {
                        tracing::info!("drained");
                        self.phase = Phase::Over;
                    }
                }
            }
        }
        for worker in &mut self.workers {
            worker.commands.flush();
        }
    }

    fn transmit(&mut self, Transmit { flow, bytes }: Transmit) {
        let sent = match flow.protocol {
            Protocol::Udp => self.send_datagram(flow, &bytes),
            Protocol::Tcp | Protocol::Tls => {
                let domain = self.controller.domain(flow);
                self.streams.send(flow, domain, bytes).is_ok()
            }
        };
        if !sent {
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

    /// False if the peer cannot be reached.
    fn send_datagram(&self, flow: Flow, bytes: &[u8]) -> bool {
        let Some(socket) = self.udp.get(&flow.transport) else {
            return false;
        };
        match socket.send(flow.peer, bytes) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.metrics.datagram_dropped();
                true
            }
            Err(error) => {
                tracing::info!(peer = %flow.peer, %error, "not sent");
                false
            }
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

    /// Stops the store and the workers and waits for them; each takes two seconds at most.
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
    }
}
