//! What control tells a worker.

use super::ids::LegId;
use std::net::{IpAddr, SocketAddr};

/// One command. Commands for one leg are obeyed in their order; one for a leg that is closed, or of an older
/// generation, is ignored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Bind the leg's two sockets and receive. Nothing passes before [`Command::SetRemote`].
    Open {
        /// The leg.
        leg: LegId,
        /// The local address to bind, the one that the SDP tells (or its inside, behind a NAT).
        bind: IpAddr,
    },
    /// Tells, or changes, where the leg's peer is. A change of address begins a new latch; our own port stays.
    SetRemote {
        /// The leg.
        leg: LegId,
        /// The peer.
        remote: Remote,
    },
    /// Relays between two legs of one worker: what comes in on one goes out on the other. Replaces whatever either
    /// was doing before.
    Bridge {
        /// One leg.
        a: LegId,
        /// The other.
        b: LegId,
        /// Payload types of packets from `a` to `b`.
        a_to_b: PayloadMap,
        /// Payload types of packets from `b` to `a`.
        b_to_a: PayloadMap,
    },
    /// Sends what the leg's peer sends back to it (the Echo application).
    Echo {
        /// The leg.
        leg: LegId,
    },
    /// The leg stands alone: what comes is counted and goes nowhere. A bridge that it was in ends for both.
    Detach {
        /// The leg.
        leg: LegId,
    },
    /// Close the sockets, free everything, answer with [`super::Event::Closed`].
    Close {
        /// The leg.
        leg: LegId,
    },
    /// Close all legs and end the worker's thread.
    Stop,
}

/// The far side of a leg, as its SDP and its signalling tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where the SDP wants RTP.
    pub rtp: SocketAddr,
    /// Where it wants RTCP: the next port, or what a=rtcp says (RFC 3605).
    pub rtcp: SocketAddr,
    /// Where the leg's SIP came from: besides the SDP's, the only address that may begin a stream.
    pub signalling: IpAddr,
    /// Send to where the peer's packets come from, not to where its SDP says (`rtp_symmetric`).
    pub symmetric: bool,
    /// We may send to it (its direction is sendrecv or recvonly, and its address is not 0.0.0.0).
    pub send: bool,
    /// It may send to us. False on hold; then no silence is held against it.
    pub receive: bool,
    /// Seconds without RTP from the peer before [`super::Event::Silent`]; 0 for never.
    pub timeout_s: u16,
}

/// Payload types that pass, and what they become. The two sides may number one codec differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadMap {
    pairs: [(u8, u8); PayloadMap::PAIRS_MAX],
    len: u8,
}

impl PayloadMap {
    /// Most payload types of one leg that pass: every codec we know and the telephone events beside them.
    pub const PAIRS_MAX: usize = 12;

    /// The map of these (from, to) pairs. None if there are too many, or one is above 127.
    pub fn new(pairs: &[(u8, u8)]) -> Option<PayloadMap> {
        if pairs.len() > Self::PAIRS_MAX || pairs.iter().any(|(from, to)| *from > 127 || *to > 127)
        {
            return None;
        }
        let mut map = PayloadMap {
            pairs: [(0, 0); Self::PAIRS_MAX],
            len: pairs.len() as u8,
        };
        map.pairs[..pairs.len()].copy_from_slice(pairs);
        Some(map)
    }

    /// What a payload type becomes; None if it does not pass.
    #[inline]
    pub fn get(&self, from: u8) -> Option<u8> {
        let pair = self.pairs().iter().find(|pair| pair.0 == from)?;
        Some(pair.1)
    }

    /// The pairs.
    pub fn pairs(&self) -> &[(u8, u8)] {
        &self.pairs[..usize::from(self.len)]
    }
}
