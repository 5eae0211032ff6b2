//! The controller: everything that control does, as one value on virtual time.
//!
//! Inputs go into the `handle_*` methods; then [`Controller::poll_output`] is drained and
//! [`Controller::poll_timeout`] says when [`Controller::handle_timeout`] is due.

use super::ports::{Gauges, Ports};
use super::setup::Setup;
use crate::link::query::{CallRow, EndpointRow};
use crate::link::{Command, Event, PortRange, WorkerId};
use crate::metrics::ControlMetrics;
use crate::sip::{Endpoint, EndpointSettings, Flow, Transmit};
use bytes::Bytes;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// What the controller wants done. The order of transmits on one flow, and of commands to one worker, is kept.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send on SIP; open a connection if the flow is a stream and none is there.
    Transmit(Transmit),
    /// Close this stream connection.
    CloseFlow(Flow),
    /// Tell a worker. The runtime's queue to it may be full: see [`Controller::handle_command_refused`].
    Command(WorkerId, Command),
    /// Look a host name up (A and AAAA); answer with [`Controller::handle_resolved`].
    Resolve {
        /// The name.
        host: String,
    },
    /// Draining is done: no call is left.
    Drained,
}

/// What the controller asks of its surroundings at once, without waiting.
pub trait Surroundings {
    /// The local address that a packet to `peer` would leave from, for transports bound to any address.
    /// None if there is no route.
    fn source_address(&self, peer: IpAddr) -> Option<IpAddr>;

    /// Seconds since the epoch, for `${EPOCH}`, STRFTIME and the nonces of challenges.
    fn unix_time(&self) -> u64;
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadReport {
    /// What changed and holds from now on, a line each (`endpoint.6001: changed`).
    pub changed: Vec<String>,
    /// What changed but holds only after a restart (listening addresses, the port range, workers).
    pub needs_restart: Vec<String>,
}

/// See the module's comment.
pub struct Controller {
    setup: Arc<Setup>,
    sip: Endpoint,
    ports: Ports,
    surroundings: Box<dyn Surroundings>,
    metrics: Arc<ControlMetrics>,
}

#[allow(unused_variables)]
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
        Controller {
            sip: Endpoint::new(EndpointSettings::default(), seed),
            setup: Arc::new(setup),
            ports: Ports::new(range),
            surroundings,
            metrics: Arc::new(ControlMetrics::new()),
        }
    }
    /// One datagram or, on a stream, bytes in order.
    pub fn handle_datagram(&mut self, now: Instant, flow: Flow, datagram: Bytes) {
        todo!()
    }
    /// Bytes of a stream connection; the answer may be [`Output::CloseFlow`].
    pub fn handle_stream(&mut self, now: Instant, flow: Flow, bytes: &[u8]) {
        todo!()
    }
    /// True if a connection from this address may be taken (ACL), asked before it is read.
    pub fn admits(&mut self, peer: IpAddr) -> bool {
        todo!()
    }
    /// A stream connection closed or could not be opened; a datagram's peer is unreachable.
    pub fn handle_flow_failed(&mut self, now: Instant, flow: Flow) {
        todo!()
    }
    /// An event from a worker.
    pub fn handle_media(&mut self, now: Instant, worker: WorkerId, event: Event) {
        todo!()
    }
    /// The worker's queue was full for an Open; the call is refused with 503. Others the runtime keeps.
    pub fn handle_command_refused(&mut self, now: Instant, command: Command) {
        todo!()
    }
    /// The answer to [`Output::Resolve`]; empty if the name is not known.
    pub fn handle_resolved(&mut self, now: Instant, host: &str, addresses: &[IpAddr]) {
        todo!()
    }
    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        todo!()
    }
    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }
    /// When [`Controller::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }

    /// The running calls, oldest first.
    pub fn calls(&self, now: Instant) -> Vec<CallRow> {
        todo!()
    }
    /// The endpoints, in the order of their names.
    pub fn endpoints(&self) -> Vec<EndpointRow> {
        todo!()
    }
    /// Ends the call of that id ([`CallRow::id`]). False if there is none.
    pub fn hangup(&mut self, now: Instant, id: &str) -> bool {
        todo!()
    }
    /// Takes new settings: all of them, at once. Running calls keep theirs.
    pub fn reload(&mut self, now: Instant, setup: Setup) -> ReloadReport {
        todo!()
    }
    /// Takes no new call from now on (503 with Retry-After); [`Output::Drained`] comes when the last one has ended.
    pub fn drain(&mut self, now: Instant) {
        todo!()
    }
    /// Ends every call now; [`Output::Drained`] comes when they have ended.
    pub fn stop(&mut self, now: Instant) {
        todo!()
    }
    /// The setup that new calls get.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }
    /// What control counts; shared with those who serve a scrape.
    pub fn metrics(&self) -> &Arc<ControlMetrics> {
        &self.metrics
    }
    /// The port pairs.
    pub fn ports(&self) -> Gauges {
        self.ports.gauges()
    }
    /// The SIP side: its counters and transactions.
    pub fn sip(&self) -> &Endpoint {
        &self.sip
    }
}
