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
        StreamLimits {
            connections_max: 4096,
            per_address_max: 256,
            time: TimeLimits::default(),
        }
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
            && self
                .per_address
                .get(&address)
                .is_none_or(|n| *n < self.limits.per_address_max)
    }

    /// Takes a connection that a peer opened. Its flow, if it replaces one of the same flow, which has thereby failed (the
    /// peer has restarted and chosen the same port).
    pub fn take(
        &mut self,
        transport: TransportId,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<Flow> {
        let flow = Flow {
            transport,
            protocol: Protocol::Tcp,
            peer,
        };
        let replaced = self.by_flow.remove(&flow).is_some();
        let id = self.start(flow, Origin::Taken(stream));
        self.opened(id);
        replaced.then_some(flow)
    }

    /// Sends a message, over a new connection if there is none.
    ///
    /// # Errors
    /// The connection's queue is full (it is cut off), or there may be no further connection.
    pub fn send(&mut self, flow: Flow, message: Bytes) -> Result<(), FlowFailed> {
        if !self.by_flow.contains_key(&flow) {
            let from = self
                .transports
                .get(&flow.transport)
                .ok_or(FlowFailed)?
                .local;
            if !self.has_room(flow.peer.ip()) {
                tracing::warn!(peer = %flow.peer, "too many connections, none opened");
                return Err(FlowFailed);
            }
            self.start(flow, Origin::Opened { from });
        }
        let Some((id, queue)) = self.by_flow.get(&flow) else {
            return Err(FlowFailed);
        };
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

    /// Closes every connection, when what waits for it has been written, and waits for that.
    pub async fn close_all(&mut self) {
        self.by_flow.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Whether what comes from this connection is still wanted: it is the one of its flow.
    pub fn is_current(&self, id: ConnectionId, flow: Flow) -> bool {
        self.by_flow
            .get(&flow)
            .is_some_and(|(current, _)| *current == id)
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
        self.live.insert(
            id,
            Live {
                flow,
                task,
                open: false,
            },
        );
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
            self.metrics
                .connection_ended(&transport.name, live.open, end);
        }
        Some(live)
    }
}

/// Takes connections for ever; the control loop decides whether they may stay.
pub async fn accept(transport: TransportId, listener: TcpListener, inputs: mpsc::Sender<Input>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if inputs
                    .send(Input::Accepted {
                        transport,
                        stream,
                        peer,
                    })
                    .await
                    .is_err()
                {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const TCP: TransportId = TransportId(1);

    /// Streams of one transport that listens on loopback, with a place for what they report.
    struct Bench {
        streams: Streams,
        inputs: mpsc::Receiver<Input>,
        metrics: Arc<ControlMetrics>,
        address: SocketAddr,
    }

    async fn bench(limits: StreamLimits) -> Bench {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let local = listener.local_addr().expect("bound");
        let (sender, inputs) = mpsc::channel(16);
        tokio::task::spawn_local(accept(TCP, listener, sender.clone()));
        let transport = StreamTransport {
            name: String::from("tcp"),
            local,
        };
        let metrics = Arc::new(ControlMetrics::new());
        let transports = [(TCP, transport)].into_iter().collect();
        let streams = Streams::new(transports, limits, sender, Arc::clone(&metrics));
        Bench {
            streams,
            inputs,
            metrics,
            address: local,
        }
    }

    impl Bench {
        async fn next(&mut self) -> Input {
            self.inputs.recv().await.expect("a sender is in `streams`")
        }

        /// A peer's connection, taken.
        async fn taken(&mut self) -> (TcpStream, Flow) {
            let peer = TcpStream::connect(self.address)
                .await
                .expect("somebody listens");
            let Input::Accepted {
                transport,
                stream,
                peer: address,
            } = self.next().await
            else {
                panic!("a connection")
            };
            assert_eq!(self.streams.take(transport, stream, address), None);
            (peer, flow(address))
        }

        /// The end that the next input tells, and the flow that fails by it.
        async fn ended(&mut self) -> (ConnectionEnd, Option<Flow>) {
            let Input::Ended { id, end } = self.next().await else {
                panic!("an end")
            };
            (end, self.streams.ended(id, end))
        }
    }

    fn flow(peer: SocketAddr) -> Flow {
        Flow {
            transport: TCP,
            protocol: Protocol::Tcp,
            peer,
        }
    }

    fn times(change: impl FnOnce(&mut TimeLimits)) -> StreamLimits {
        let mut limits = StreamLimits::default();
        change(&mut limits.time);
        limits
    }

    fn run(test: impl Future<Output = ()>) {
        tokio_uring::start(test);
    }

    #[test]
    fn bytes_go_both_ways_and_the_peers_close_fails_the_flow() {
        run(async {
            let mut bench = bench(StreamLimits::default()).await;
            let (mut peer, flow) = bench.taken().await;
            assert_eq!(bench.metrics.connections("tcp"), 1);
            peer.write_all(b"OPTIONS").await.expect("open");
            let Input::Received {
                id,
                flow: from,
                bytes,
            } = bench.next().await
            else {
                panic!("bytes")
            };
            assert_eq!((from, &bytes[..]), (flow, &b"OPTIONS"[..]));
            assert!(bench.streams.is_current(id, flow));
            assert_eq!(bench.streams.send(flow, Bytes::from_static(b"200")), Ok(()));
            let mut answer = [0; 3];
            peer.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, b"200");
            drop(peer);
            assert_eq!(bench.ended().await, (ConnectionEnd::Peer, Some(flow)));
            assert_eq!(bench.metrics.connections("tcp"), 0);
            assert!(bench.streams.live.is_empty() && bench.streams.per_address.is_empty());
        });
    }

    #[test]
    fn sending_opens_a_connection_and_keeps_the_order() {
        run(async {
            let mut bench = bench(StreamLimits::default()).await;
            let far = TcpListener::bind("127.0.0.2:0").await.expect("a free port");
            let flow = flow(far.local_addr().expect("bound"));
            for part in ["one ", "two ", "three"] {
                assert_eq!(
                    bench
                        .streams
                        .send(flow, Bytes::from_static(part.as_bytes())),
                    Ok(())
                );
            }
            let (mut peer, from) = far.accept().await.expect("a connection");
            assert_eq!(from.ip(), bench.address.ip());
            let mut all = [0; 13];
            peer.read_exact(&mut all).await.expect("three messages");
            assert_eq!(&all, b"one two three");
            let Input::Opened { id } = bench.next().await else {
                panic!("it stands")
            };
            bench.streams.opened(id);
            assert_eq!(bench.metrics.connections("tcp"), 1);
            bench.streams.close(flow);
            assert_eq!(peer.read(&mut all).await.expect("a clean close"), 0);
            assert_eq!(bench.ended().await, (ConnectionEnd::Framing, None));
        });
    }

    #[test]
    fn a_refused_connection_fails_the_flow() {
        run(async {
            let mut bench = bench(StreamLimits::default()).await;
            let far = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let flow = flow(far.local_addr().expect("bound"));
            drop(far);
            assert_eq!(bench.streams.send(flow, Bytes::from_static(b"x")), Ok(()));
            assert_eq!(
                bench.ended().await,
                (ConnectionEnd::Unreachable, Some(flow))
            );
        });
    }

    #[test]
    fn a_peer_that_says_nothing_that_we_answer_is_closed() {
        run(async {
            let limits = times(|time| time.first_answer = Duration::from_millis(50));
            let mut bench = bench(limits).await;
            let (mut peer, flow) = bench.taken().await;
            peer.write_all(b"INVI").await.expect("open");
            assert!(matches!(bench.next().await, Input::Received { .. }));
            assert_eq!(bench.ended().await, (ConnectionEnd::Idle, Some(flow)));
            let mut rest = Vec::new();
            // A reset or a clean close: either way it is over.
            let _ = peer.read_to_end(&mut rest).await;
            assert!(rest.is_empty());
        });
    }

    #[test]
    fn an_answered_peer_may_be_silent_until_the_idle_limit() {
        run(async {
            let limits = times(|time| {
                time.first_answer = Duration::from_millis(20);
                time.idle = Duration::from_millis(100);
            });
            let mut bench = bench(limits).await;
            let begun = std::time::Instant::now();
            let (_peer, flow) = bench.taken().await;
            assert_eq!(bench.streams.send(flow, Bytes::from_static(b"200")), Ok(()));
            assert_eq!(bench.ended().await, (ConnectionEnd::Idle, Some(flow)));
            assert!(begun.elapsed() >= Duration::from_millis(100));
        });
    }

    #[test]
    fn a_peer_that_does_not_read_is_cut_off() {
        run(async {
            let mut bench = bench(StreamLimits::default()).await;
            let (_peer, flow) = bench.taken().await;
            let message = Bytes::from(vec![b'x'; 60_000]);
            let mut sent = 0;
            while bench.streams.send(flow, message.clone()).is_ok() {
                sent += 1;
                assert!(sent < 1000, "the queue has no end");
                tokio::task::yield_now().await;
            }
            assert!(bench.streams.live.is_empty() && bench.streams.per_address.is_empty());
            assert_eq!(bench.metrics.connections("tcp"), 0);
        });
    }

    #[test]
    fn there_is_room_for_so_many_of_one_address_and_no_more() {
        run(async {
            let limits = StreamLimits {
                per_address_max: 2,
                ..StreamLimits::default()
            };
            let mut bench = bench(limits).await;
            let (_one, _) = bench.taken().await;
            let (_two, _) = bench.taken().await;
            let address = bench.address.ip();
            assert!(!bench.streams.has_room(address));
            assert!(bench.streams.has_room([127, 0, 0, 7].into()));
            let far = flow(([127, 0, 0, 1], 9).into());
            assert_eq!(bench.streams.send(far, Bytes::new()), Err(FlowFailed));
        });
    }

    #[test]
    fn a_panic_ends_one_connection_alone() {
        run(async {
            let mut bench = bench(StreamLimits::default()).await;
            let (_peer, other) = bench.taken().await;
            let broken = flow(([127, 0, 0, 1], 9).into());
            let (queue, _end) = WriteQueue::new();
            let task = bench
                .streams
                .tasks
                .spawn_local(async { panic!("a broken invariant") });
            let id = task.id();
            bench.streams.live.insert(
                id,
                Live {
                    flow: broken,
                    task,
                    open: false,
                },
            );
            bench.streams.by_flow.insert(broken, (id, queue));
            assert_eq!(bench.streams.panicked().await, Some(broken));
            assert_eq!(
                bench.streams.send(other, Bytes::from_static(b"still here")),
                Ok(())
            );
        });
    }
}
