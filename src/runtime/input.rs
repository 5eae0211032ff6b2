//! What the tasks around the sockets tell the control loop, in one bounded queue: who fills it waits, and with it the
//! kernel's buffer and in the end the peer.

use crate::control::locate::names::Answer;
use crate::control::recordings::Recorded;
use crate::control::sounds::SoundAnswer;
use crate::metrics::ConnectionEnd;
use crate::sip::resolve::Question;
use crate::sip::{Flow, TransportId};
use bytes::Bytes;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tokio::task;

/// Most inputs that wait for the control loop.
pub const INPUTS_MAX: usize = 1024;

/// Names a stream connection: its task's id, unique while the process lives.
pub type ConnectionId = task::Id;

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// A UDP datagram.
    Datagram {
        /// Where it came from.
        flow: Flow,
        /// Its payload.
        bytes: Bytes,
    },
    /// ICMP says that a UDP peer cannot be reached.
    Unreachable {
        /// The way to it.
        flow: Flow,
    },
    /// A peer has connected to one of our listeners.
    Accepted {
        /// The listener's transport.
        transport: TransportId,
        /// The connection.
        stream: TcpStream,
        /// Who.
        peer: SocketAddr,
    },
    /// A connection stands: one that we asked for, or that was taken; on TLS, keys are agreed on.
    Opened {
        /// Which.
        id: ConnectionId,
    },
    /// Bytes of a connection, in order.
    Received {
        /// Which.
        id: ConnectionId,
        /// Its flow.
        flow: Flow,
        /// What came.
        bytes: Bytes,
    },
    /// A connection is over; the last input of its task.
    Ended {
        /// Which.
        id: ConnectionId,
        /// Why.
        end: ConnectionEnd,
        /// For [`ConnectionEnd::Handshake`], what TLS says.
        why: Option<String>,
    },
    /// Sounds have been looked for.
    Sounds(SoundAnswer),
    /// A recording is complete, or has failed.
    Recorded(Recorded),
    /// A question to the DNS has its answer.
    Resolved {
        /// The question.
        question: Question,
        /// The answer.
        answer: Answer,
    },
}
