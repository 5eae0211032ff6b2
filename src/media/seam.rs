//! What the worker and the edge below it say to each other.

use crate::link::LegId;
use std::net::{IpAddr, SocketAddr};

/// Nanoseconds of a monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

impl Nanos {
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Nanos {
        Nanos(millis * 1_000_000)
    }

    /// The time since `earlier`; 0 if that is later.
    pub fn since(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A leg's place in its worker: its port's place in the worker's slice, so it is found without a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LegSlot(pub u16);

/// Which of a leg's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The even port.
    Rtp,
    /// The odd port.
    Rtcp,
}

/// What becomes of a packet. It has been rewritten in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send the first `len` bytes of the buffer from the leg's socket to the destination.
    Send {
        /// The leg whose socket sends.
        leg: LegSlot,
        /// Which socket.
        component: Component,
        /// Where to.
        destination: SocketAddr,
        /// How many bytes. Sealed for SRTP they may be more than came in.
        len: usize,
    },
    /// Forget it: the worker has what it needs of it, and will send audio of its own.
    Taken,
    /// Forget it; it has been counted.
    Drop(DropReason),
}

/// A packet that the worker made. Drained by `Worker::poll_transmit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// The leg whose socket sends.
    pub leg: LegSlot,
    /// Which socket.
    pub component: Component,
    /// Where to.
    pub destination: SocketAddr,
    /// The packet, at most [`TRANSMIT_LEN_MAX`] bytes.
    pub packet: &'a [u8],
}

/// Longest packet of our own: an RTP header, 60 ms of audio, and what SRTP adds (RFC 3711 §4.2, RFC 7714 §13.1: at most
/// 16 bytes of tag); a compound RTCP packet is shorter.
pub const TRANSMIT_LEN_MAX: usize = 12 + 480 + 20;

/// Why a packet was dropped: the `reason` label of `ringway_rtp_dropped_total`. The edge adds its own three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The leg has no remote yet, or is closed.
    Unlatched,
    /// The source is not the leg's peer.
    WrongSource,
    /// Neither RTP nor RTCP.
    Malformed,
    /// A payload type that was not agreed.
    PayloadType,
    /// From before a change of source, or far off the stream's sequence numbers; RTCP about a source that is gone.
    Late,
    /// Nobody is to hear it: no bridge, or one side is on hold. Not an error.
    Unheard,
    /// Not sealed by the key that was agreed (SRTP), or not sealed.
    Unauthentic,
    /// Of a peer that sends far more than anybody speaks.
    Flood,
}

impl DropReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [DropReason; 8] = [
        DropReason::Unlatched,
        DropReason::WrongSource,
        DropReason::Malformed,
        DropReason::PayloadType,
        DropReason::Late,
        DropReason::Unheard,
        DropReason::Unauthentic,
        DropReason::Flood,
    ];
}

/// What the edge is to do about sockets. Drained by `Worker::poll_socket` after each command, packet or tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SocketOrder {
    /// Bind the leg's two sockets and receive on them; answer with `Worker::handle_open_failed` if it cannot.
    Open {
        /// The leg.
        leg: LegSlot,
        /// Its name, for the generation.
        id: LegId,
        /// The address to bind.
        bind: IpAddr,
    },
    /// The component's peer is settled and steady, and packets go to where they come from: its socket may be
    /// connected, for speed. Optional for an edge. What strangers sent before it lies in the socket's queue still and
    /// must be judged by its own source, not taken for the peer's.
    Connect {
        /// The leg.
        leg: LegSlot,
        /// Which socket. Only RTP: RTCP is too rare to gain, and its pauses too long to notice a move by.
        component: Component,
        /// The peer.
        peer: SocketAddr,
    },
    /// A new source may come (silence, new remote): a connected socket is to hear everybody again.
    Disconnect {
        /// The leg.
        leg: LegSlot,
        /// Which socket.
        component: Component,
    },
    /// Close the leg's sockets.
    Close {
        /// The leg.
        leg: LegSlot,
    },
}

/// What a worker has counted since it began. The edge publishes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// RTP packets that passed the latch.
    pub packets_in: u64,
    /// Their bytes, header and payload.
    pub bytes_in: u64,
    /// RTP packets given to the edge to send.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Of the packets that came in, those that were decoded for another leg, or for a room.
    pub transcoded_in: u64,
    /// Of the packets sent, those of transcoded or mixed audio.
    pub transcoded_out: u64,
    /// Of the packets sent, those of audio that began here: prompts, music, digits.
    pub generated_out: u64,
    /// Bytes of these three.
    pub transcoded_in_bytes: u64,
    /// See above.
    pub transcoded_out_bytes: u64,
    /// See above.
    pub generated_out_bytes: u64,
    /// RTCP packets that passed their latch.
    pub rtcp_in: u64,
    /// RTCP packets given to the edge to send.
    pub rtcp_out: u64,
    /// Packets dropped, RTP and RTCP, by [`DropReason`] as a number.
    pub dropped: [u64; DropReason::ALL.len()],
    /// Interim reports that found the event queue full.
    pub reports_dropped: u64,
}
