//! A media worker: legs, who may speak on them, and where each packet goes.
//!
//! The edge calls [`Worker::handle_command`] for each command, [`Worker::handle_packet`] for each packet, with the
//! packet's bytes where they lie in the receive buffer, and sends them on from there as the [`Verdict`] says. Now and
//! then (at least ten times a second) it calls [`Worker::handle_tick`].

use crate::link::{Command, Event, LegId, PortRange, WorkerId};
use std::net::{IpAddr, SocketAddr};

/// Nanoseconds of a monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

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
        /// How many bytes (never more than came in).
        len: usize,
    },
    /// Forget it; it has been counted.
    Drop(DropReason),
}

/// Why a packet was dropped: the `reason` label of `ringway_rtp_dropped_total`. The edge adds its own three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The leg has no remote yet, or is closed.
    Unlatched,
    /// The source is not the leg's peer.
    WrongSource,
    /// Not RTP or RTCP, or a payload type that was not agreed.
    Malformed,
    /// Nobody is to hear it: no bridge, or the far side is on hold. Not an error, and no label of its own until asked.
    Unheard,
}

/// What the edge is to do about sockets. Drained by [`Worker::poll_socket`] after each command, packet or tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SocketOrder {
    /// Bind the leg's two sockets and receive on them; answer with [`Worker::handle_open_failed`] if it cannot.
    Open {
        /// The leg.
        leg: LegSlot,
        /// Its name, for the generation.
        id: LegId,
        /// The address to bind.
        bind: IpAddr,
    },
    /// The component's peer is settled: its socket may be connected to it, for speed. Optional for an edge.
    Connect {
        /// The leg.
        leg: LegSlot,
        /// Which socket.
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

/// See the module's comment.
pub struct Worker {
    _id: WorkerId,
}

#[allow(unused_variables)]
impl Worker {
    /// A worker for its slice of the range. All memory that it will ever use for legs is allocated here or when a
    /// leg opens, never for a packet. `seed` feeds SSRCs and first sequence numbers.
    pub fn new(id: WorkerId, range: PortRange, seed: u64) -> Self {
        Worker { _id: id }
    }

    /// Obeys a command.
    pub fn handle_command(&mut self, now: Nanos, command: Command) {
        todo!()
    }

    /// The edge could not open the leg's sockets.
    pub fn handle_open_failed(&mut self, now: Nanos, leg: LegSlot, errno: i32) {
        todo!()
    }

    /// Judges a packet and rewrites it in place.
    #[inline]
    pub fn handle_packet(
        &mut self,
        now: Nanos,
        leg: LegSlot,
        component: Component,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Verdict {
        todo!()
    }

    /// Time passes: silence, interim reports. Cost grows with open legs only.
    pub fn handle_tick(&mut self, now: Nanos) {
        todo!()
    }

    /// The next order about sockets.
    pub fn poll_socket(&mut self) -> Option<SocketOrder> {
        todo!()
    }

    /// The next event for control.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }
}
