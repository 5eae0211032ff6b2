//! Who may speak on a leg's RTCP port, and where we send RTCP.
//!
//! RTCP is believed from the SDP's RTCP address, and from any port of the IP that RTP is latched on (before that, of
//! those that RTP may begin from). The first valid packet teaches the port. Another port of that IP takes over after
//! [`RELEARN_SILENCE`], more than two reporting intervals (RFC 3550 §6.2: 5 s); the SDP's address at once. When RTP
//! latches on another IP, or the remote changes, all is forgotten.

use super::latch::Latch;
use super::peer::Peer;
use super::seam::Nanos;
use crate::link::Remote;
use std::net::SocketAddr;

/// Silence after which another port of the peer's IP is believed.
pub(super) const RELEARN_SILENCE: Nanos = Nanos::from_millis(12_000);

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RtcpLatch {
    sdp: Option<Peer>,
    told: Option<SocketAddr>,
    symmetric: bool,
    learned: Option<Learned>,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    source: Peer,
    address: SocketAddr,
    at: Nanos,
}

impl RtcpLatch {
    /// Takes what the SDP says of RTCP; an address that tells nobody (0.0.0.0, port 0) changes nothing.
    pub(super) fn set_remote(&mut self, remote: &Remote) {
        self.symmetric = remote.symmetric;
        let sdp = Peer::told(remote.rtcp);
        if sdp.is_some() && sdp != self.sdp {
            self.sdp = sdp;
            self.told = Some(remote.rtcp);
            self.learned = None;
        }
    }

    /// RTP has latched anew.
    pub(super) fn forget(&mut self) {
        self.learned = None;
    }

    /// Where RTCP goes.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        match self.learned {
            Some(learned) if self.symmetric => Some(learned.address),
            _ => self.told,
        }
    }

    /// True if RTCP from there is believed, beside the leg's RTP latch.
    pub(super) fn hears(&self, now: Nanos, source: Peer, rtp: &Latch) -> bool {
        if self.sdp == Some(source) {
            return !rtp.is_unset();
        }
        let kept = self.learned.is_some_and(|learned| {
            learned.source != source && now.since(learned.at) < RELEARN_SILENCE
        });
        rtp.is_peer_ip(source.ip) && !kept
    }

    /// A valid packet came from there, and was believed.
    pub(super) fn learn(&mut self, now: Nanos, address: SocketAddr) {
        self.learned = Some(Learned {
            source: Peer::from(address),
            address,
            at: now,
        });
    }
}
