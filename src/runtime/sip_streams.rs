//! All stream connections: who is connected, how many may be, and what is sent to whom.

use super::input::{ConnectionId, Input};
use super::sip_connection::{Connection, Origin, TimeLimits, WriteQueue};
use super::tls;
use crate::metrics::{ConnectionEnd, ControlMetrics};
use crate::sip::{Flow, Protocol, TransportId};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// How many connections there may be. One more is refused, and counted.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// In all, those that are being opened or closed too.
    pub connections_max: usize,
    /// From or to one address.
    pub per_address_max: usize,
    /// Taken ones in all that have not agreed on TLS keys yet. Each costs some 1 ms of CPU and 30 KiB.
    pub handshakes_max: usize,
    /// Of them, from one address, so that one cannot keep everybody out.
    pub handshakes_per_address_max: usize,
    /// Time limits of each.
    pub time: TimeLimits,
}

impl Default for StreamLimits {
    fn default() -> Self {
        StreamLimits {
            connections_max: 4096,
            per_address_max: 256,
            handshakes_max: 512,
            handshakes_per_address_max: 64,
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
    /// What its connections need, if it speaks TLS.
    pub tls: Option<tls::Context>,
}

impl StreamTransport {
    fn protocol(&self) -> Protocol {
        match self.tls {
            Some(_) => Protocol::Tls,
            None => Protocol::Tcp,
        }
    }
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
    /// Where connections over TLS run. None without a transport that speaks it.
    crypto: Option<Handle>,
    /// The connection that a flow uses now.
    by_flow: FxHashMap<Flow, (ConnectionId, WriteQueue)>,
    /// Every connection whose task has not ended.
    live: FxHashMap<ConnectionId, Live>,
    per_address: FxHashMap<IpAddr, Count>,
    /// Taken ones that have not agreed on TLS keys.
    handshakes: usize,
}

/// The connections of one address.
#[derive(Debug, Default)]
struct Count {
    all: usize,
    handshakes: usize,
}

#[derive(Debug)]
struct Live {
    flow: Flow,
    task: AbortHandle,
    stage: Stage,
    is_known: Arc<AtomicBool>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// We open it, or have taken it without TLS and its task has not begun.
    Opening,
    /// The peer has opened it and is to agree on TLS keys.
    Handshake,
    /// It stands.
    Open,
}

impl Streams {
    /// None yet. `inputs` is where its tasks report, `crypto` where those of TLS run.
    pub fn new(
        transports: FxHashMap<TransportId, StreamTransport>,
        limits: StreamLimits,
        inputs: mpsc::Sender<Input>,
        metrics: Arc<ControlMetrics>,
        crypto: Option<Handle>,
    ) -> Streams {
        Streams {
            transports,
            limits,
            inputs,
            metrics,
            tasks: JoinSet::new(),
            crypto,
            by_flow: FxHashMap::default(),
            live: FxHashMap::default(),
            per_address: FxHashMap::default(),
            handshakes: 0,
        }
    }

    /// Takes what was read anew from the files of TLS transports, for new connections. Those that stand go on.
    pub fn set_tls(&mut self, contexts: &tls::Contexts) {
        for transport in self.transports.values_mut() {
            if let (Some(tls), Some(new)) = (&mut transport.tls, contexts.of(&transport.name)) {
                *tls = new.clone();
            }
        }
    }

    /// Takes transports that are new.
    pub fn add(&mut self, transports: FxHashMap<TransportId, StreamTransport>) {
        self.transports.extend(transports);
    }

    /// True if one more from or to this address is within the limits.
    fn has_room(&self, address: IpAddr) -> bool {
        let count = self.per_address.get(&address);
        self.live.len() < self.limits.connections_max
            && count.is_none_or(|count| count.all < self.limits.per_address_max)
    }

    /// True if one more from this address on this transport may be taken.
    pub fn may_take(&self, transport: TransportId, address: IpAddr) -> bool {
        let is_tls = |transport: &StreamTransport| transport.tls.is_some();
        let needs_handshake = self.transports.get(&transport).is_some_and(is_tls);
        let count = self.per_address.get(&address);
        let limits = &self.limits;
        let has_handshake = self.handshakes < limits.handshakes_max
            && count.is_none_or(|count| count.handshakes < limits.handshakes_per_address_max);
        self.has_room(address) && (has_handshake || !needs_handshake)
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
            protocol: self.transports.get(&transport)?.protocol(),
            peer,
            domain: None,
        };
        let replaced = self.by_flow.remove(&flow).is_some();
        self.start(flow, Origin::Taken(stream), None);
        replaced.then_some(flow)
    }

    /// Sends a message, over a new connection if there is none. `domain` is the name of the flow's.
    ///
    /// # Errors
    /// The connection's queue is full (it is cut off), or there may be no further connection.
    pub fn send(
        &mut self,
        flow: Flow,
        domain: Option<&str>,
        message: Bytes,
    ) -> Result<(), FlowFailed> {
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
            self.start(flow, Origin::Opened { from }, domain);
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

    /// The peer of a flow has shown that we know it: its connection may stay.
    pub fn know(&mut self, flow: Flow) {
        let connection = self.by_flow.get(&flow);
        if let Some(live) = connection.and_then(|(id, _)| self.live.get(id)) {
            live.is_known.store(true, Ordering::Relaxed);
        }
    }

    /// A connection stands.
    pub fn opened(&mut self, id: ConnectionId) {
        if let Some(live) = self.live.get_mut(&id) {
            if live.stage == Stage::Handshake {
                self.handshakes -= 1;
                if let Some(count) = self.per_address.get_mut(&live.flow.peer.ip()) {
                    count.handshakes -= 1;
                }
            }
            live.stage = Stage::Open;
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

    fn start(&mut self, flow: Flow, origin: Origin, domain: Option<&str>) {
        let (queue, end) = WriteQueue::new();
        let transport = self.transports.get(&flow.transport);
        let tls = transport.and_then(|transport| transport.tls.clone());
        let stage = match (&origin, &tls) {
            (Origin::Taken(_), Some(_)) => Stage::Handshake,
            _ => Stage::Opening,
        };
        let is_known = Arc::new(AtomicBool::new(false));
        let connection = Connection {
            flow,
            is_known: Arc::clone(&is_known),
            origin,
            tls: tls.map(|tls| (tls, domain.map(str::to_owned))),
            queue: end,
            inputs: self.inputs.clone(),
            limits: self.limits.time,
        };
        let task = match &self.crypto {
            Some(crypto) if flow.protocol == Protocol::Tls => {
                self.tasks.spawn_on(connection.run(), crypto)
            }
            _ => self.tasks.spawn_local(connection.run()),
        };
        let id = task.id();
        let count = self.per_address.entry(flow.peer.ip()).or_default();
        count.all += 1;
        if stage == Stage::Handshake {
            count.handshakes += 1;
            self.handshakes += 1;
        }
        let live = Live {
            flow,
            task,
            stage,
            is_known,
        };
        self.live.insert(id, live);
        self.by_flow.insert(flow, (id, queue));
    }

    fn forget(&mut self, id: ConnectionId, end: ConnectionEnd) -> Option<Live> {
        let live = self.live.remove(&id)?;
        let address = live.flow.peer.ip();
        let was_in_handshake = usize::from(live.stage == Stage::Handshake);
        self.handshakes -= was_in_handshake;
        if let Some(count) = self.per_address.get_mut(&address) {
            count.all -= 1;
            count.handshakes -= was_in_handshake;
            if count.all == 0 {
                self.per_address.remove(&address);
            }
        }
        if let Some(transport) = self.transports.get(&live.flow.transport) {
            let was_open = live.stage == Stage::Open;
            self.metrics
                .connection_ended(&transport.name, was_open, end);
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
    use super::super::tls::Crypto;
    use super::super::tls::testing::Authority;
    use super::*;
    use crate::sip::DomainId;
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
            tls: None,
        };
        let metrics = Arc::new(ControlMetrics::new());
        let transports = [(TCP, transport)].into_iter().collect();
        let streams = Streams::new(transports, limits, sender, Arc::clone(&metrics), None);
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
            let Input::Opened { id } = self.next().await else {
                panic!("it stands")
            };
            self.streams.opened(id);
            (peer, flow(address))
        }

        /// The end that the next input tells, and the flow that fails by it.
        async fn ended(&mut self) -> (ConnectionEnd, Option<Flow>) {
            let Input::Ended { id, end, .. } = self.next().await else {
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
            domain: None,
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
            assert_eq!(
                bench.streams.send(flow, None, Bytes::from_static(b"200")),
                Ok(())
            );
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
                        .send(flow, None, Bytes::from_static(part.as_bytes())),
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
            assert_eq!(
                bench.streams.send(flow, None, Bytes::from_static(b"x")),
                Ok(())
            );
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
            assert_eq!(
                bench.streams.send(flow, None, Bytes::from_static(b"200")),
                Ok(())
            );
            assert_eq!(bench.ended().await, (ConnectionEnd::Idle, Some(flow)));
            assert!(begun.elapsed() >= Duration::from_millis(100));
        });
    }

    #[test]
    fn a_peer_that_we_know_may_stay_and_a_stranger_may_not() {
        run(async {
            let limits = times(|time| {
                time.first_answer = Duration::from_millis(20);
                time.stranger = Duration::from_millis(60);
                time.idle = Duration::from_millis(300);
            });
            let mut bench = bench(limits).await;
            let begun = std::time::Instant::now();
            let (_friend, known) = bench.taken().await;
            let (_stranger, unknown) = bench.taken().await;
            for flow in [known, unknown] {
                let answer = Bytes::from_static(b"401");
                assert_eq!(bench.streams.send(flow, None, answer), Ok(()));
            }
            bench.streams.know(known);
            assert_eq!(
                bench.ended().await,
                (ConnectionEnd::Stranger, Some(unknown))
            );
            assert_eq!(bench.ended().await, (ConnectionEnd::Idle, Some(known)));
            assert!(begun.elapsed() >= Duration::from_millis(300));
        });
    }

    #[test]
    fn a_peer_that_does_not_read_is_cut_off() {
        run(async {
            let mut bench = bench(StreamLimits::default()).await;
            let (_peer, flow) = bench.taken().await;
            let message = Bytes::from(vec![b'x'; 60_000]);
            let mut sent = 0;
            while bench.streams.send(flow, None, message.clone()).is_ok() {
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
            assert_eq!(bench.streams.send(far, None, Bytes::new()), Err(FlowFailed));
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
            bench
                .streams
                .per_address
                .entry(broken.peer.ip())
                .or_default()
                .all += 1;
            bench.streams.live.insert(
                id,
                Live {
                    flow: broken,
                    task,
                    stage: Stage::Opening,
                    is_known: Arc::default(),
                },
            );
            bench.streams.by_flow.insert(broken, (id, queue));
            assert_eq!(bench.streams.panicked().await, Some(broken));
            assert_eq!(
                bench
                    .streams
                    .send(other, None, Bytes::from_static(b"still here")),
                Ok(())
            );
        });
    }

    /// The same over TLS, with the gateway's thread for it.
    struct TlsBench {
        bench: Bench,
        authority: Authority,
        crypto: Crypto,
    }

    const KEYS: &str =
        "cert_file = \"own.pem\"\npriv_key_file = \"own.key\"\nca_list_file = \"ca.pem\"";

    async fn tls_bench(limits: StreamLimits) -> TlsBench {
        let authority = Authority::new();
        authority.sign("own", &["127.0.0.1", "sip.example.com"]);
        let text = "[transport.a]\nprotocol = \"tls\"\nbind = \"127.0.0.1\"\ncert_file = \"x\"\n";
        let settings = crate::config::parse("test", text, &crate::config::NoLookup);
        let crypto = Crypto::start(&settings.expect("a configuration").settings);
        let crypto = crypto.expect("a thread").expect("a TLS transport");
        let mut bench = bench(limits).await;
        let transport = StreamTransport {
            name: String::from("tls"),
            local: bench.address,
            tls: Some(authority.context(KEYS)),
        };
        bench.streams.transports.insert(TCP, transport);
        bench.streams.crypto = Some(crypto.handle());
        TlsBench {
            bench,
            authority,
            crypto,
        }
    }

    impl TlsBench {
        /// The next input, which must be a peer's connection, is taken.
        async fn take(&mut self) -> Flow {
            let Input::Accepted {
                transport,
                stream,
                peer,
            } = self.bench.next().await
            else {
                panic!("a connection")
            };
            // The accepting task is control's here, not the TLS thread's: the stream must change over.
            let stream = stream.into_std().expect("a stream");
            let on_its_thread = self.crypto.handle();
            let _on_its_thread = on_its_thread.enter();
            let stream = TcpStream::from_std(stream).expect("a stream");
            assert!(self.bench.streams.may_take(transport, peer.ip()));
            self.bench.streams.take(transport, stream, peer);
            tls_flow(peer, None)
        }

        async fn opened(&mut self) {
            let Input::Opened { id } = self.bench.next().await else {
                panic!("it stands")
            };
            self.bench.streams.opened(id);
        }
    }

    fn tls_flow(peer: SocketAddr, domain: Option<DomainId>) -> Flow {
        Flow {
            protocol: Protocol::Tls,
            domain,
            ..flow(peer)
        }
    }

    #[test]
    fn over_tls_bytes_go_both_ways_once_keys_are_agreed_on() {
        run(async {
            let mut tls = tls_bench(StreamLimits::default()).await;
            let client = tls.authority.context(KEYS);
            let address = tls.bench.address;
            let peer = tokio::task::spawn_local(async move {
                let stream = TcpStream::connect(address).await.expect("it listens");
                let domain = Some("sip.example.com");
                let mut peer = client
                    .connect(stream, domain, address.ip())
                    .await
                    .expect("TLS");
                peer.write_all(b"OPTIONS").await.expect("open");
                let mut answer = [0; 3];
                peer.read_exact(&mut answer).await.expect("an answer");
                answer
            });
            let flow = tls.take().await;
            assert_eq!(tls.bench.metrics.connections("tls"), 0);
            assert_eq!(tls.bench.streams.handshakes, 1);
            tls.opened().await;
            assert_eq!(tls.bench.metrics.connections("tls"), 1);
            assert_eq!(tls.bench.streams.handshakes, 0);
            let Input::Received {
                flow: from, bytes, ..
            } = tls.bench.next().await
            else {
                panic!("bytes")
            };
            assert_eq!((from, &bytes[..]), (flow, &b"OPTIONS"[..]));
            let answer = Bytes::from_static(b"200");
            assert_eq!(tls.bench.streams.send(flow, None, answer), Ok(()));
            assert_eq!(&peer.await.expect("no panic"), b"200");
            assert_eq!(tls.bench.ended().await, (ConnectionEnd::Peer, Some(flow)));
            tls.crypto.stop();
        });
    }

    #[test]
    fn what_is_sent_over_tls_goes_to_the_domain_asked_for_or_nowhere() {
        run(async {
            let mut tls = tls_bench(StreamLimits::default()).await;
            let server = tls.authority.context(KEYS);
            let far = TcpListener::bind("127.0.0.2:0").await.expect("a free port");
            let peer = far.local_addr().expect("bound");
            let good = tls_flow(peer, Some(DomainId(0)));
            let message = Bytes::from_static(b"INVITE");
            let sent = tls
                .bench
                .streams
                .send(good, Some("sip.example.com"), message.clone());
            assert_eq!(sent, Ok(()));
            let (stream, _) = far.accept().await.expect("a connection");
            let mut stream = server.accept(stream).await.expect("TLS");
            let mut read = [0; 6];
            stream.read_exact(&mut read).await.expect("a message");
            assert_eq!(&read, b"INVITE");
            tls.opened().await;
            // Another domain at the same address is another connection, and this one is not that domain.
            let bad = tls_flow(peer, Some(DomainId(1)));
            let sent = tls
                .bench
                .streams
                .send(bad, Some("sip.example.net"), message);
            assert_eq!(sent, Ok(()));
            let (stream, _) = far.accept().await.expect("a connection");
            assert!(server.accept(stream).await.is_err());
            let Input::Ended { id, end, why } = tls.bench.next().await else {
                panic!("an end")
            };
            assert_eq!(end, ConnectionEnd::Handshake);
            let why = why.expect("a reason");
            assert!(why.contains("not valid for name"), "{why}");
            assert_eq!(tls.bench.streams.ended(id, end), Some(bad));
            assert_eq!(tls.bench.metrics.connections("tls"), 1);
            tls.crypto.stop();
        });
    }

    #[test]
    fn half_open_tls_connections_are_few_and_short() {
        run(async {
            let mut limits = times(|time| time.handshake = Duration::from_millis(100));
            limits.handshakes_per_address_max = 2;
            let mut tls = tls_bench(limits).await;
            let address = tls.bench.address;
            let _one = TcpStream::connect(address).await.expect("it listens");
            let first = tls.take().await;
            let mut slow = TcpStream::connect(address).await.expect("it listens");
            // The first bytes of a ClientHello, and no more.
            slow.write_all(&[22, 3, 1, 1, 0]).await.expect("open");
            let second = tls.take().await;
            assert!(!tls.bench.streams.may_take(TCP, address.ip()));
            assert!(tls.bench.streams.may_take(TCP, [127, 0, 0, 7].into()));
            let mut waiting = vec![first, second];
            while !waiting.is_empty() {
                let (end, flow) = tls.bench.ended().await;
                assert_eq!(end, ConnectionEnd::Handshake);
                let ended = waiting.iter().position(|one| Some(*one) == flow);
                waiting.remove(ended.expect("one of the two"));
                assert!(tls.bench.streams.may_take(TCP, address.ip()));
            }
            assert_eq!(tls.bench.streams.handshakes, 0);
            assert!(tls.bench.streams.per_address.is_empty());
            tls.crypto.stop();
        });
    }

    #[test]
    fn a_reload_changes_the_certificate_of_new_connections_alone() {
        run(async {
            let mut tls = tls_bench(StreamLimits::default()).await;
            let client = tls.authority.context(KEYS);
            let address = tls.bench.address;
            let connect = |domain: &'static str| {
                let client = client.clone();
                tokio::task::spawn_local(async move {
                    let stream = TcpStream::connect(address).await.expect("it listens");
                    client.connect(stream, Some(domain), address.ip()).await
                })
            };
            let old = connect("sip.example.com");
            let flow = tls.take().await;
            tls.opened().await;
            let mut old = old.await.expect("no panic").expect("TLS");
            tls.authority.sign("own", &["new.example.com"]);
            let (contexts, _) = tls.authority.read(KEYS).expect("good files");
            tls.bench.streams.set_tls(&contexts);
            let new = connect("new.example.com");
            tls.take().await;
            tls.opened().await;
            assert!(new.await.expect("no panic").is_ok());
            let message = Bytes::from_static(b"still");
            assert_eq!(tls.bench.streams.send(flow, None, message), Ok(()));
            let mut read = [0; 5];
            old.read_exact(&mut read).await.expect("a message");
            assert_eq!(&read, b"still");
            tls.crypto.stop();
        });
    }
}
