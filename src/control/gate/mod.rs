//! Who is heard at all: what is asked of a message before anything of it is read.
//!
//! First the ACLs, then the bans, and when more comes than control can take, known peers before strangers: those whom
//! `[identify.*]` knows by their address, or who are vouched for ([`bans`]). Calls that run go on whatever comes: a
//! request or response in one of them is from a peer that is known or vouched for.
//!
//! | file | concept |
//! |---|---|
//! | `acl` | access control lists |
//! | `bans` | sources that are refused too often |
//! | `token_bucket` | how much may come within a time |

pub mod acl;
pub mod bans;
pub mod token_bucket;

use super::controller::Controller;
use crate::metrics::RejectReason;
use crate::sip::flow::Flow;
use bans::Ban;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use token_bucket::{Rate, TokenBucket};

/// Messages of strangers that are read in a second while more comes than control can take.
const STRANGERS: Rate = Rate {
    per_s: 100.0,
    burst: 100.0,
};
/// New requests are refused once the queue has been half full for so long.
const REFUSING_AFTER: Duration = Duration::from_millis(200);

/// How an offence weighs. A phone is challenged before it shows its credentials, and a whole office may do so at once, so
/// a challenge alone is hardly one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Offence {
    /// It was challenged.
    Challenged,
    /// Its credentials are wrong.
    Guessed,
    /// What it sends is no SIP.
    Malformed,
}

impl Offence {
    fn weight(self) -> f64 {
        match self {
            Offence::Challenged => 0.02,
            Offence::Guessed | Offence::Malformed => 1.0,
        }
    }
}

/// How far control is behind with what comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Pressure {
    /// It keeps up.
    #[default]
    None,
    /// It is behind: strangers get only so many messages a second.
    High {
        /// Since when.
        since: Instant,
        /// What strangers may still send.
        bucket: TokenBucket,
    },
}

impl Controller {
    /// True if this peer is heard: asked before anything of what it sends is read.
    pub fn hears(&mut self, now: Instant, peer: SocketAddr) -> bool {
        let ip = peer.ip().to_canonical();
        let refused = if !self.setup.permits(ip) {
            self.tell_denied_neighbour(now, peer);
            Some(RejectReason::Acl)
        } else if self.ctx.bans.is_banned(now, peer) {
            Some(RejectReason::Banned)
        } else if !self.has_room_for(now, ip) {
            Some(RejectReason::Overload)
        } else {
            None
        };
        if let Some(reason) = refused {
            self.ctx.metrics.rejected(reason);
        }
        refused.is_none()
    }

    fn has_room_for(&mut self, now: Instant, ip: IpAddr) -> bool {
        if self.pressure == Pressure::None || self.is_known(now, ip) {
            return true;
        }
        match &mut self.pressure {
            Pressure::High { bucket, .. } => bucket.take(now, STRANGERS),
            Pressure::None => true,
        }
    }

    fn is_known(&self, now: Instant, ip: IpAddr) -> bool {
        self.ctx.bans.is_vouched(now, ip) || self.identifier.has_address(ip)
    }

    /// Tells how many of the inputs that may wait for control do wait. From one half on strangers have to stand back;
    /// if that does not help, new requests of everybody are refused with 503, before a transaction is made for them,
    /// until less than an eighth waits.
    pub fn handle_backlog(&mut self, now: Instant, waiting: usize, most: usize) {
        match self.pressure {
            Pressure::None if waiting >= most / 2 => {
                tracing::warn!(
                    waiting,
                    "more comes than can be taken: strangers stand back"
                );
                self.pressure = Pressure::High {
                    since: now,
                    bucket: TokenBucket::empty(now),
                };
            }
            Pressure::High { .. } if waiting < most / 8 => {
                tracing::info!("what comes can be taken again");
                self.pressure = Pressure::None;
                self.ctx.sip.refuse_new(false);
            }
            Pressure::High { since, .. } if waiting >= most / 2 => {
                let is_long = now.saturating_duration_since(since) >= REFUSING_AFTER;
                if is_long && self.ctx.sip.refuse_new(true) {
                    tracing::warn!("still more comes than can be taken: new requests get 503");
                }
            }
            Pressure::None | Pressure::High { .. } => {}
        }
    }

    /// Notes that a peer was refused for what it is. Those whom their address identifies are never banned, whoever writes
    /// their address on a packet.
    pub(super) fn on_offence(&mut self, now: Instant, flow: Flow, offence: Offence) {
        let ip = flow.peer.ip().to_canonical();
        if self.identifier.has_address(ip) {
            return;
        }
        let ban = self.ctx.bans.offend(now, flow.peer, offence.weight());
        if let Some(Ban {
            suspect,
            left,
            times,
            ..
        }) = ban
        {
            tracing::warn!(
                source = %suspect,
                last = ?offence,
                seconds = left.as_secs(),
                times,
                "banned; 'ringway unban ADDRESS' lifts it"
            );
        }
    }
}

#[cfg(test)]
mod tests;
