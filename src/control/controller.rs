//! The controller: everything that control does, as one value on virtual time.
//!
//! Inputs go into the `handle_*` methods; then [`Controller::poll_output`] is drained and
//! [`Controller::poll_timeout`] says when [`Controller::handle_timeout`] is due.

use crate::link::{Command, Event, WorkerId};
use crate::sip::{Flow, Transmit};
use bytes::Bytes;
use std::net::IpAddr;
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
}

/// See the module's comment.
pub struct Controller {}

#[allow(unused_variables)]
impl Controller {
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
}
