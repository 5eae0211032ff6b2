//! All stream connections: who is connected, how many may be, and what is sent to whom.

use super::input::{ConnectionId, Input};
use super::sip_connection::{Connection, Origin, TimeLimits, WriteQueue};
use crate::metrics::{ConnectionEnd, ControlMetrics};
use crate::sip::{Flow, Protocol, TransportId};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// How many connections there may be. One more is refused, and counted.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// In all, those that are being opened or closed too.
    pub connections_max: usize,
    /// From or to one address.
    pub per_address_max: usize,
    /// Time limits of each.
    pub time: TimeLimits,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits { connections_max: 4096, per_address_max: 256, time: TimeLimits::default() }
    }
}

/// A transport that has streams: its name for the metrics, and where it listens.
#[derive(Clone, Debug)]
pub struct StreamTransport {
    /// The section's name.
    pub name: String,
    /// The address that it is bound to.
    pub local: SocketAddr,
}

/// Why a message could not be sent: its flow has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowFailed;

/// See the module's comment.
#[derive(Debug)]
pub struct Streams {
    transports: FxHashMap<TransportId, StreamTransport>,
    limits: StreamLimits,
    inputs: mpsc::Sender<Input>,
    metrics: Arc<ControlMetrics>,
    tasks: JoinSet<()>,
    /// The connection that a flow uses now.
    by_flow: FxHashMap<Flow, (ConnectionId, WriteQueue)>,
    /// Every connection whose task has not ended.
    live: FxHashMap<ConnectionId, Live>,
    per_address: FxHashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Live {
    flow: Flow,
    task: AbortHandle,
    /// It stands, rather than being opened.
    open: bool,
}

impl Streams {
    /// None yet. `inputs` is where its tasks report.
    pub fn new(
        transports: FxHashMap<TransportId, StreamTransport>,
        limits: StreamLimits,
        inputs: mpsc::Sender<Input>,
        metrics: Arc<ControlMetrics>,
    ) -> Streams {
        Streams {
            transports,
            limits,
            inputs,
            metrics,
            tasks: JoinSet::new(),
            by_flow: FxHashMap::default(),
            live: FxHashMap::default(),
            per_address: FxHashMap::default(),
        }
    }

    /// True if one more from or to this address is within the limits.
    pub fn has_room(&self, address: IpAddr) -> bool {
        self.live.len() < self.limits.connections_max
            && self.per_address.get(&address).is_none_or(|n| *n < self.limits.per_address_max)
    }

    /// Takes a connection that a peer opened. True if it replaces one of the same flow, which has thereby failed (the
    /// peer has restarted and chosen the same port).
    pub fn take(&mut self, transport: TransportId, stream: TcpStream, peer: SocketAddr) -> bool {
        let flow = Flow { transport, protocol: Protocol::Tcp, peer };
        let replaced = self.by_flow.remove(&flow).is_some();
        let id = self.start(flow, Origin::Taken(stream));
        self.opened(id);
        replaced
    }

    /// Sends a message, over a new connection if there is none.
    ///
    /// # Errors
    /// The connection's queue is full (it is cut off), or there may be no further connection.
    pub fn send(&mut self, flow: Flow, message: Bytes) -> Result<(), FlowFailed> {
        if !self.by_flow.contains_key(&flow) {
            let from = self.transports.get(&flow.transport).ok_or(FlowFailed)?.local;
            if !self.has_room(flow.peer.ip()) {
                tracing::warn!(peer = %flow.peer, "too many connections, none opened");
                return Err(FlowFailed);
            }
            self.start(flow, Origin::Opened { from });
        }
        let Some((id, queue)) = self.by_flow.get(&flow) else { return Err(FlowFailed) };
        if queue.push(message) {
            return Ok(());
        }
        let id = *id;
        tracing::warn!(peer = %flow.peer, "peer does not take what is sent to it, cut off");
        self.by_flow.remove(&flow);
        if let Some(cut_off) = self.forget(id, ConnectionEnd::Slow) {
            cut_off.task.abort();
        }
        Err(FlowFailed)
    }

    /// Closes a flow's connection, when what waits for it has been written.
    pub fn close(&mut self, flow: Flow) {
        self.by_flow.remove(&flow);
    }

    /// Whether what comes from this connection is still wanted: it is the one of its flow.
    pub fn is_current(&self, id: ConnectionId, flow: Flow) -> bool {
        self.by_flow.get(&flow).is_some_and(|(current, _)| *current == id)
    }

    /// A connection that we opened stands.
    pub fn opened(&mut self, id: ConnectionId) {
        if let Some(live) = self.live.get_mut(&id) {
            live.open = true;
            if let Some(transport) = self.transports.get(&live.flow.transport) {
                self.metrics.connection_opened(&transport.name);
            }
        }
    }

    /// A connection's task has ended. The flow that has thereby failed, if it was in use.
    pub fn ended(&mut self, id: ConnectionId, end: ConnectionEnd) -> Option<Flow> {
        let live = self.forget(id, end)?;
        let failed = self.is_current(id, live.flow);
        if failed {
            self.by_flow.remove(&live.flow);
        }
        failed.then_some(live.flow)
    }

    /// Waits for a task that panicked. The flow that has thereby failed, if it was in use.
    pub async fn panicked(&mut self) -> Option<Flow> {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) if error.is_panic() => {
                    self.metrics.task_panicked();
                    tracing::error!(%error, "a connection's task panicked");
                    return self.ended(error.id(), ConnectionEnd::Error);
                }
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn start(&mut self, flow: Flow, origin: Origin) -> ConnectionId {
        let (queue, end) = WriteQueue::new();
        let connection = Connection {
            flow,
            origin,
            queue: end,
            inputs: self.inputs.clone(),
            limits: self.limits.time,
        };
        let task = self.tasks.spawn_local(connection.run());
        let id = task.id();
        self.live.insert(id, Live { flow, task, open: false });
        *self.per_address.entry(flow.peer.ip()).or_default() += 1;
        self.by_flow.insert(flow, (id, queue));
        id
    }

    fn forget(&mut self, id: ConnectionId, end: ConnectionEnd) -> Option<Live> {
        let live = self.live.remove(&id)?;
        let address = live.flow.peer.ip();
        if let Some(count) = self.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
        if let Some(transport) = self.transports.get(&live.flow.transport) {
            self.metrics.connection_ended(&transport.name, live.open, end);
        }
        Some(live)
    }
}

/// Takes connections for ever; the control loop decides whether they may stay.
pub async fn accept(transport: TransportId, listener: TcpListener, inputs: mpsc::Sender<Input>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if inputs.send(Input::Accepted { transport, stream, peer }).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Out of file descriptors, mostly: the peer waits in the backlog meanwhile.
                tracing::warn!(%error, "connection not taken");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}
