//! Requests too large for a datagram go over a stream to the same peer (RFC 3261 §18.1.1), and as a datagram after all
//! where the peer takes no connection.
//!
//! ```text
//!   over 1,300 bytes ──► TCP ──► answered
//!                         └─ refused, or not opened in time ──► UDP, and no TCP to that peer for ten minutes
//! ```

use crate::sip::flow::{Flow, Protocol, TransportId};
use rustc_hash::FxHashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most bytes of a request in a datagram, where the path's MTU is not known (RFC 3261 §18.1.1).
pub const DATAGRAM_REQUEST_MAX: usize = 1300;
/// How long a peer that takes no connection is sent datagrams, whatever their size.
const REFUSED_TIME: Duration = Duration::from_secs(600);
/// Most such peers remembered; one more is not.
const REFUSED_MAX: usize = 1024;

/// The stream transport beside a datagram transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamBeside {
    /// Which.
    pub transport: TransportId,
    /// Our port on it, for Via.
    pub port: u16,
}

/// See the module's comment.
#[derive(Default)]
pub(super) struct Large {
    pub(super) streams: FxHashMap<TransportId, StreamBeside>,
    refused: FxHashMap<SocketAddr, Instant>,
}

impl Large {
    /// The flow, and our sent-by on it, for a request of this size on `flow`. None if it stays there.
    pub(super) fn way(
        &self,
        now: Instant,
        flow: Flow,
        sent_by: &str,
        size: usize,
    ) -> Option<(Flow, String)> {
        if flow.protocol != Protocol::Udp || size <= DATAGRAM_REQUEST_MAX {
            return None;
        }
        let stream = self.streams.get(&flow.transport)?;
        let refused = self.refused.get(&flow.peer);
        if refused.is_some_and(|until| *until > now) {
            return None;
        }
        let host = sent_by.rsplit_once(':').map_or(sent_by, |(host, _)| host);
        let flow = Flow {
            transport: stream.transport,
            protocol: Protocol::Tcp,
            ..flow
        };
        Some((flow, format!("{host}:{}", stream.port)))
    }

    /// The peer has taken no connection.
    pub(super) fn refused(&mut self, now: Instant, peer: SocketAddr) {
        if self.refused.len() >= REFUSED_MAX {
            self.refused.retain(|_, until| *until > now);
        }
        if self.refused.len() < REFUSED_MAX || self.refused.contains_key(&peer) {
            self.refused.insert(peer, now + REFUSED_TIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_refusals_is_bounded() {
        let now = Instant::now();
        let mut large = Large::default();
        let peer = |port: u16| SocketAddr::from(([192, 0, 2, 1], port));
        for port in 0..2 * REFUSED_MAX as u16 {
            large.refused(now, peer(port));
        }
        assert_eq!(large.refused.len(), REFUSED_MAX);
        large.refused(now + REFUSED_TIME, peer(9999));
        assert_eq!(large.refused.len(), 1);
    }
}
