//! One stream connection: its task reads, writes, and ends for one of the reasons of [`ConnectionEnd`].

use super::input::{ConnectionId, Input};
use crate::metrics::ConnectionEnd;
use crate::sip::Flow;
use bytes::Bytes;
use socket2::{Domain, SockRef, TcpKeepalive};
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimits {
    /// To open one that we asked for; shorter than timer B, so that the next target still has its turn.
    pub connect: Duration,
    /// For one that was taken to have said something that we answer. Half-open ones and slow senders end here.
    pub first_answer: Duration,
    /// For the peer to take one message.
    pub write: Duration,
    /// Without a byte from the peer. Dead peers are found by TCP keep-alives long before.
    pub idle: Duration,
}

impl Default for TimeLimits {
    fn default() -> Self {
        TimeLimits {
            connect: Duration::from_secs(5),
            first_answer: Duration::from_secs(32),
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
    waiting_bytes: Rc<Cell<usize>>,
}

/// Most messages that wait for one connection, and most bytes. Beyond either the peer is too slow, and is cut off.
const WAITING_MESSAGES_MAX: usize = 256;
const WAITING_BYTES_MAX: usize = 1 << 20;

impl WriteQueue {
    /// A queue and what the connection's task takes from it.
    pub fn new() -> (WriteQueue, WriteQueueEnd) {
        let (sender, receiver) = mpsc::channel(WAITING_MESSAGES_MAX);
        let waiting_bytes = Rc::new(Cell::new(0));
        let end = WriteQueueEnd {
            messages: receiver,
            waiting_bytes: Rc::clone(&waiting_bytes),
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
        let waiting = self.waiting_bytes.get() + message.len();
        if waiting > WAITING_BYTES_MAX || self.messages.try_send(message).is_err() {
            return false;
        }
        self.waiting_bytes.set(waiting);
        true
    }
}

/// The task's end of a [`WriteQueue`].
#[derive(Debug)]
pub struct WriteQueueEnd {
    messages: mpsc::Receiver<Bytes>,
    waiting_bytes: Rc<Cell<usize>>,
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
    /// What is to be written. When its other side is dropped, the rest is written and the connection closed.
    pub queue: WriteQueueEnd,
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
        let end = self.run_to_end(id).await;
        let _ = inputs.send(Input::Ended { id, end }).await;
    }

    async fn run_to_end(mut self, id: ConnectionId) -> ConnectionEnd {
        let (mut stream, first_answer) = match self.origin {
            Origin::Taken(stream) => (stream, Some(self.limits.first_answer)),
            Origin::Opened { from } => {
                let Some(stream) = open(from, self.flow.peer, self.limits.connect).await else {
                    return ConnectionEnd::Unreachable;
                };
                if self.inputs.send(Input::Opened { id }).await.is_err() {
                    return ConnectionEnd::Shutdown;
                }
                (stream, None)
            }
        };
        configure(&stream);
        let (read_half, write_half) = stream.split();
        let answered = Rc::new(Cell::new(false));
        tokio::select! {
            end = read(read_half, id, self.flow, &self.inputs, self.limits) => end,
            end = write(write_half, &mut self.queue, &answered, self.limits) => end,
            end = unanswered(first_answer, &answered) => end,
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

async fn read(
    mut half: ReadHalf<'_>,
    id: ConnectionId,
    flow: Flow,
    inputs: &mpsc::Sender<Input>,
    limits: TimeLimits,
) -> ConnectionEnd {
    let mut buffer = vec![0; READ_SIZE];
    loop {
        let length = match timeout(limits.idle, half.read(&mut buffer)).await {
            Err(_) => return ConnectionEnd::Idle,
            Ok(Err(_)) => return ConnectionEnd::Error,
            Ok(Ok(0)) => return ConnectionEnd::Peer,
            Ok(Ok(length)) => length,
        };
        let bytes = Bytes::copy_from_slice(&buffer[..length]);
        if inputs
            .send(Input::Received { id, flow, bytes })
            .await
            .is_err()
        {
            return ConnectionEnd::Shutdown;
        }
    }
}

async fn write(
    mut half: WriteHalf<'_>,
    queue: &mut WriteQueueEnd,
    answered: &Cell<bool>,
    limits: TimeLimits,
) -> ConnectionEnd {
    while let Some(message) = queue.messages.recv().await {
        answered.set(true);
        match timeout(limits.write, half.write_all(&message)).await {
            Err(_) => return ConnectionEnd::Slow,
            Ok(Err(_)) => return ConnectionEnd::Error,
            Ok(Ok(())) => {}
        }
        let waiting = queue.waiting_bytes.get();
        queue
            .waiting_bytes
            .set(waiting.saturating_sub(message.len()));
    }
    let _ = half.shutdown().await;
    ConnectionEnd::Framing
}

/// Ends when nothing was answered within the limit; never, if there is none.
async fn unanswered(limit: Option<Duration>, answered: &Cell<bool>) -> ConnectionEnd {
    if let Some(limit) = limit {
        tokio::time::sleep(limit).await;
        if !answered.get() {
            return ConnectionEnd::Idle;
        }
    }
    std::future::pending().await
}
