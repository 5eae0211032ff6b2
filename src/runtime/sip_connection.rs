//! One stream connection: its task reads, writes, and ends for one of the reasons of [`ConnectionEnd`].

use super::input::{ConnectionId, Input};
use super::tls;
use crate::metrics::ConnectionEnd;
use crate::sip::Flow;
use bytes::Bytes;
use socket2::{Domain, SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// To open one that we asked for; shorter than timer B, so that the next target still has its turn.
    pub connect: Duration,
    /// For a TLS peer to agree on keys, once the connection stands. Half-open ones end here.
    pub handshake: Duration,
    /// For one that was taken to have said something that we answer. Silent ones and slow senders end here.
    pub first_answer: Duration,
    /// For one that was taken to have sent a request of a peer that we know (by its address or its credentials), after
    /// which it may stay. Longer than `first_answer`.
    pub stranger: Duration,
    /// For the peer to take one message.
    pub write: Duration,
    /// Without a byte from the peer. Dead peers are found by TCP keep-alives long before.
    pub idle: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        TimeLimits {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(5),
            first_answer: Duration::from_secs(32),
            stranger: Duration::from_secs(120),
            write: Duration::from_secs(10),
            idle: Duration::from_secs(2 * 3600),
        }
    }
}

/// Bytes read at once; a connection holds one such buffer.
const READ_SIZE: usize = 4096;
/// TCP keep-alive: first probe after this, then one each [`KEEP_ALIVE_INTERVAL`]; holds NAT bindings open too.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The messages that wait to be written to one connection.
#[derive(Debug)]
pub struct WriteQueue {
    messages: mpsc::Sender<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// Most messages that wait for one connection, and most bytes. Beyond either the peer is too slow, and is cut off.
const WAITING_MESSAGES_MAX: usize = 256;
const WAITING_BYTES_MAX: usize = 1 << 20;

impl WriteQueue {
    /// A queue and what the connection's task takes from it.
    pub fn new() -> (WriteQueue, WriteQueueEnd) {
        let (sender, receiver) = mpsc::channel(WAITING_MESSAGES_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let end = WriteQueueEnd {
            messages: receiver,
            waiting_bytes: Arc::clone(&waiting_bytes),
        };
        (
            WriteQueue {
                messages: sender,
                waiting_bytes,
            },
            end,
        )
    }

    /// Puts a message in. False if it is full.
    pub fn push(&self, message: Bytes) -> bool {
        let length = message.len();
        // Counted before it can be taken out. This side alone adds, so the limit holds.
        let waiting = self.waiting_bytes.fetch_add(length, Ordering::Relaxed) + length;
        let is_in = waiting <= WAITING_BYTES_MAX && self.messages.try_send(message).is_ok();
        if !is_in {
            self.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
        }
        is_in
    }
}

/// The task's end of a [`WriteQueue`].
#[derive(Debug)]
pub struct WriteQueueEnd {
    messages: mpsc::Receiver<Bytes>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// Who opened the connection.
#[derive(Debug)]
pub enum Origin {
    /// The peer; here it is.
    Taken(TcpStream),
    /// We do, from this address (port 0 for any).
    Opened {
        /// The address to bind.
        from: SocketAddr,
    },
}

/// All that a connection's task needs.
#[derive(Debug)]
pub struct Connection {
    /// Its flow.
    pub flow: Flow,
    /// Who opens it.
    pub origin: Origin,
    /// For TLS, what it needs for the handshake, and the name of the flow's domain.
    pub tls: Option<(tls::Context, Option<String>)>,
    /// What is to be written. When its other side is dropped, the rest is written and the connection closed.
    pub queue: WriteQueueEnd,
    /// Set when the peer has shown that we know it.
    pub is_known: Arc<AtomicBool>,
    /// Where what comes goes.
    pub inputs: mpsc::Sender<Input>,
    /// Its limits.
    pub limits: TimeLimits,
}

impl Connection {
    /// Runs it to its end and says so. Must be a task of its own.
    pub async fn run(self) {
        let id = tokio::task::id();
        let inputs = self.inputs.clone();
        let (end, why) = match self.run_to_end(id).await {
            Ok(end) => (end, None),
            Err(NoHandshake(why)) => (ConnectionEnd::Handshake, Some(why)),
        };
        let _ = inputs.send(Input::Ended { id, end, why }).await;
    }

    async fn run_to_end(mut self, id: ConnectionId) -> Result<ConnectionEnd, NoHandshake> {
        let (peer, limits) = (self.flow.peer, self.limits);
        let (stream, is_ours) = match self.origin {
            Origin::Taken(stream) => (stream, false),
            Origin::Opened { from } => match open(from, peer, limits.connect).await {
                Some(stream) => (stream, true),
                None => return Ok(ConnectionEnd::Unreachable),
            },
        };
        configure(&stream);
        let talk = Talk {
            id,
            flow: self.flow,
            inputs: self.inputs,
            limits,
            is_ours,
            is_known: self.is_known,
        };
        match self.tls.take() {
            None => {
                let (reading, writing) = stream.into_split();
                Ok(talk.run(reading, writing, self.queue).await)
            }
            Some((context, _)) if !is_ours => {
                let stream = in_time(limits.handshake, context.accept(stream)).await?;
                let (reading, writing) = tokio::io::split(stream);
                Ok(talk.run(reading, writing, self.queue).await)
            }
            Some((context, domain)) => {
                let handshake = context.connect(stream, domain.as_deref(), peer.ip());
                let stream = in_time(limits.handshake, handshake).await?;
                let (reading, writing) = tokio::io::split(stream);
                Ok(talk.run(reading, writing, self.queue).await)
            }
        }
    }
}

/// Why there was no handshake.
struct NoHandshake(String);

async fn in_time<S>(
    limit: Duration,
    handshake: impl Future<Output = io::Result<S>>,
) -> Result<S, NoHandshake> {
    match timeout(limit, handshake).await {
        Ok(stream) => stream.map_err(|error| NoHandshake(error.to_string())),
        Err(_) => Err(NoHandshake(String::from("it took too long"))),
    }
}

/// A connection that stands, with TLS or without.
struct Talk {
    id: ConnectionId,
    flow: Flow,
    inputs: mpsc::Sender<Input>,
    limits: TimeLimits,
    is_ours: bool,
    is_known: Arc<AtomicBool>,
}

impl Talk {
    async fn run(
        self,
        reading: impl AsyncRead + Unpin,
        writing: impl AsyncWrite + Unpin,
        mut queue: WriteQueueEnd,
    ) -> ConnectionEnd {
        if self
            .inputs
            .send(Input::Opened { id: self.id })
            .await
            .is_err()
        {
            return ConnectionEnd::Shutdown;
        }
        let answered = AtomicBool::new(false);
        tokio::select! {
            end = self.read(reading) => end,
            end = write(writing, &mut queue, &answered, self.limits) => end,
            end = self.stranger(&answered) => end,
        }
    }

    /// Ends one that was taken if its peer says nothing that we answer, or does not show in time that we know it: silent
    /// ones, slow senders and those that keep us busy with what anybody may ask.
    async fn stranger(&self, answered: &AtomicBool) -> ConnectionEnd {
        if !self.is_ours {
            let TimeLimits {
                first_answer,
                stranger,
                ..
            } = self.limits;
            tokio::time::sleep(first_answer).await;
            if !answered.load(Ordering::Relaxed) {
                return ConnectionEnd::Idle;
            }
            tokio::time::sleep(stranger.saturating_sub(first_answer)).await;
            if !self.is_known.load(Ordering::Relaxed) {
                return ConnectionEnd::Stranger;
            }
        }
        std::future::pending().await
    }

    async fn read(&self, mut half: impl AsyncRead + Unpin) -> ConnectionEnd {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let length = match timeout(self.limits.idle, half.read(&mut buffer)).await {
                Err(_) => return ConnectionEnd::Idle,
                // Over TLS too the length of a message stands in it, so an end without close_notify cuts nothing off
                // unseen (RFC 8446 §6.1).
                Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return ConnectionEnd::Peer;
                }
                Ok(Err(_)) => return ConnectionEnd::Error,
                Ok(Ok(0)) => return ConnectionEnd::Peer,
                Ok(Ok(length)) => length,
            };
            let received = Input::Received {
                id: self.id,
                flow: self.flow,
                bytes: Bytes::copy_from_slice(&buffer[..length]),
            };
            if self.inputs.send(received).await.is_err() {
                return ConnectionEnd::Shutdown;
            }
        }
    }
}

/// None if it cannot be opened, or not in time.
async fn open(from: SocketAddr, to: SocketAddr, limit: Duration) -> Option<TcpStream> {
    let socket = match Domain::for_address(to) {
        Domain::IPV4 => TcpSocket::new_v4(),
        _ => TcpSocket::new_v6(),
    };
    let opening = async {
        let socket = socket?;
        if !from.ip().is_unspecified() {
            // The peer knows us by this address, perhaps.
            socket.bind(SocketAddr::new(from.ip(), 0))?;
        }
        socket.connect(to).await
    };
    match timeout(limit, opening).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::info!(peer = %to, %error, "connection not opened");
            None
        }
        Err(_) => {
            tracing::info!(peer = %to, "connection not opened in time");
            None
        }
    }
}

/// Neither is needed for the connection to work, so an error is no more than a loss of comfort.
fn configure(stream: &TcpStream) {
    let keep_alive = TcpKeepalive::new()
        .with_time(KEEP_ALIVE_IDLE)
        .with_interval(KEEP_ALIVE_INTERVAL);
    let _ = SockRef::from(stream).set_tcp_keepalive(&keep_alive);
    let _ = stream.set_nodelay(true);
}

async fn write(
    mut half: impl AsyncWrite + Unpin,
    queue: &mut WriteQueueEnd,
    answered: &AtomicBool,
    limits: TimeLimits,
) -> ConnectionEnd {
    while let Some(message) = queue.messages.recv().await {
        answered.store(true, Ordering::Relaxed);
        let writing = async {
            half.write_all(&message).await?;
            // What TLS has encrypted waits in it till then.
            half.flush().await
        };
        match timeout(limits.write, writing).await {
            Err(_) => return ConnectionEnd::Slow,
            Ok(Err(_)) => return ConnectionEnd::Error,
            Ok(Ok(())) => {}
        }
        let length = message.len();
        queue.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
    }
    // A peer that does not take our last bytes is not waited for.
    let _ = timeout(limits.write, half.shutdown()).await;
    ConnectionEnd::Framing
}
