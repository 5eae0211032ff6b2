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

use super::answers::ReloadDone;
use super::bell::Bell;
use super::input::Input;
use super::resolver::Resolver;
use super::signals::{Signal, Signals};
use super::sip_streams::Streams;
use super::sip_udp::{UdpTransport, is_unreachable};
use super::topology::WorkerHandle;
use super::{Loader, TransportInfo};
use crate::admin::Asked;
use crate::control::Controller;
use crate::control::controller::Output;
use crate::link::{Command, WorkerId};
use crate::metrics::{ControlMetrics, RejectReason};
use crate::sip::{Flow, Protocol, Transmit, TransportId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Inputs, events of one worker, and admin requests handled before the next thing has its turn.
const BATCH: usize = 64;
/// How long a stop waits for the answers to our BYEs.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
/// Where no timer runs, the loop sleeps at most this long; nothing depends on it.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Where the gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes calls.
    Serving,
    /// It takes none, and ends with the last one.
    Draining,
    /// It ends them all, and itself at this time at the latest.
    Stopping(Instant),
}

/// All that the loop owns. Made by `start`.
pub struct ControlLoop {
    /// See `control`.
    pub controller: Controller,
    /// What it counts, shared with the controller.
    pub metrics: Arc<ControlMetrics>,
    /// The UDP sockets by their transport.
    pub udp: FxHashMap<TransportId, UdpTransport>,
    /// The stream connections.
    pub streams: Streams,
    /// Host names.
    pub resolver: Resolver,
    /// The media workers, by their number.
    pub workers: Vec<WorkerHandle>,
    /// Rung for the workers' events.
    pub bell: AsyncFd<Bell>,
    /// What happened on the network.
    pub inputs: mpsc::Receiver<Input>,
    /// What the admin address is asked.
    pub asked: mpsc::Receiver<Asked>,
    /// SIGTERM and the like.
    pub signals: Signals,
    /// Reads the configuration again.
    pub loader: Loader,
    /// The reload that runs now, if any.
    pub reloading: JoinSet<ReloadDone>,
    /// Listening addresses, for `show transports`.
    pub transports: Vec<TransportInfo>,
    /// Log lines that were given up.
    pub log_lines_dropped: Box<dyn Fn() -> u64>,
    /// Where it stands.
    pub phase: Phase,
    /// When it began to serve.
    pub started: Instant,
    /// When the configuration was last read without error.
    pub config_loaded: Instant,
    /// Flows that failed while outputs were being done; told to the controller next.
    pub failed: VecDeque<Flow>,
}

/// What woke the loop.
enum Wake {
    Inputs,
    Workers,
    Asked,
    Signal(Signal),
    Reloaded(ReloadDone),
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
        loop {
            if self.do_outputs() || self.is_over() {
                break;
            }
            let now = Instant::now();
            let due = self.controller.poll_timeout().unwrap_or(now + SLEEP_MAX);
            let due = due.min(self.phase.deadline().unwrap_or(due));
            if due <= now {
                self.controller.handle_timeout(now);
            }
            if timer.deadline().into_std() != due {
                timer.as_mut().reset(due.into());
            }
            let may_sleep = self.workers.iter_mut().fold(true, |all, w| w.events.may_sleep() && all);
            let wake = tokio::select! {
                n = self.inputs.recv_many(&mut inputs, BATCH), if inputs.is_empty() => {
                    debug_assert!(n > 0, "the loop holds a sender through its streams");
                    Wake::Inputs
                }
                () = std::future::ready(()), if !may_sleep => Wake::Workers,
                ready = self.bell.readable() => {
                    if let Ok(mut ready) = ready {
                        ready.get_inner().silence();
                        ready.clear_ready();
                    }
                    Wake::Workers
                }
                n = self.asked.recv_many(&mut asked, BATCH), if asked.is_empty() && !self.asked.is_closed() => {
                    debug_assert!(n > 0 || self.asked.is_closed());
                    Wake::Asked
                }
                signal = self.signals.next() => Wake::Signal(signal),
                Some(done) = self.reloading.join_next() => match done {
                    Ok(done) => Wake::Reloaded(done),
                    Err(error) => Wake::Reloaded(ReloadDone::panicked(error)),
                },
                flow = self.streams.panicked() => flow.map_or(Wake::Timer, Wake::FlowFailed),
                () = self.resolver.turn() => Wake::Timer,
                () = &mut timer => Wake::Timer,
            };
            self.handle(wake, &mut inputs, &mut asked);
        }
        self.stop_workers();
    }

    fn handle(&mut self, wake: Wake, inputs: &mut Vec<Input>, asked: &mut Vec<Asked>) {
        let now = Instant::now();
        match wake {
            Wake::Inputs => {
                for input in inputs.drain(..) {
                    self.handle_input(now, input);
                    // One input at a time, so that its answers leave before the next is judged.
                    self.do_outputs_but_end();
                }
            }
            Wake::Workers => self.handle_events(now),
            Wake::Asked => {
                for asked in asked.drain(..) {
                    self.answer(now, asked);
                }
            }
            Wake::Signal(signal) => self.handle_signal(now, signal),
            Wake::Reloaded(done) => self.finish_reload(now, done),
            Wake::FlowFailed(flow) => self.controller.handle_flow_failed(now, flow),
            Wake::Timer => self.controller.handle_timeout(now),
        }
    }
}
