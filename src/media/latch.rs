//! Who may speak on a leg's RTP port, and where we send.
//!
//! # States
//!
//! ```text
//!            SetRemote                 SDP's exact address: at once
//!   Unset ─────────────► Open ─────────────────────────────────────────► Locked
//!                         ▲ │  another port of an allowed IP:            │  ▲ │
//!                         │ └─ PROBATION_PACKETS in a row ───────────────┘  │ │
//!                         │                                                 │ │
//!                         │          the same stream from a new address,    │ │
//!                         │          or an allowed IP after a long silence  └─┤
//!                         └────── SetRemote with another address ─────────────┘
//! ```
//!
//! # Rules
//!
//! *Allowed* IPs are the SDP's and, on a symmetric leg, the one that SIP came from. Nobody else ever begins a stream, in
//! whatever state and however long the silence.
//!
//! 1. **Unset**: nothing passes.
//! 2. **Open**: the SDP's exact address locks with its first packet. Another port of an allowed IP (a NAT renumbered it,
//!    or a peer that sends from another port than it hears on) is a *candidate*: it locks with [`PROBATION_PACKETS`]
//!    packets of one SSRC whose numbers follow each other. A candidate's packets pass meanwhile, as an allowed IP is
//!    trusted and the first words of a call count; a second candidate waits until the first has been silent for
//!    [`CANDIDATE_SILENCE`], so that two streams never mix. What the leg sends still goes to the SDP's address.
//! 3. **Locked**: this one address and port passes, whatever its SSRC. All else is dropped.
//! 4. **A move** (symmetric legs): the locked source has been silent for [`MOVE_SILENCE`], and [`MOVE_PACKETS`] packets
//!    come in a row from one new address that go on with the very stream: its SSRC, a sequence number and a time stamp a
//!    little ahead, no further than the silence explains. Then the lock moves there, whatever the IP: who knows these 80
//!    bits is the phone, or sits on its path and could as well forge its address. The packets before the last of them do
//!    not pass. One packet from the old address and it begins again.
//! 5. **A new stream**: the locked source has been silent for [`RELATCH_SILENCE`]. An allowed IP may begin again as in
//!    Open.
//! 6. **SetRemote** with another SDP address: Open again, unless the lock is on that address already. For
//!    [`FORMER_GRACE`] the former source is no candidate, as its last packets are still on their way. The same address, or
//!    none (0.0.0.0, port 0), keeps the latch.
//!
//! A leg that is not symmetric always sends to the SDP's address and hears the SDP's IP only, from any port by rule 2; it
//! follows nobody (rule 4).
//!
//! # Limits
//!
//! One candidate or mover at a time, in place: an intruder's flood costs a comparison a packet. An intruder who shares
//! an allowed IP (behind one NAT with the phone) may take a leg that is open or has been silent for
//! [`RELATCH_SILENCE`]; only SRTP helps there. The call's other party hears the stream, so that it could imitate a move of
//! it in a pause; it would cut off none but its own call.

use super::peer::{Ip, Peer};
use super::seam::Nanos;
use crate::link::Remote;
use crate::rtp::packet::Header;
use std::net::SocketAddr;

/// Rule 2: packets in a row that lock a candidate.
pub(super) const PROBATION_PACKETS: u8 = 3;
/// Rule 2: silence after which a candidate gives way to another.
pub(super) const CANDIDATE_SILENCE: Nanos = Nanos::from_millis(200);
/// Rule 4: packets in a row that move a lock.
pub(super) const MOVE_PACKETS: u8 = 3;
/// Rule 4: how long the locked source must be silent before a move is believed. Longer than jitter and a burst of loss.
pub(super) const MOVE_SILENCE: Nanos = Nanos::from_millis(400);
/// Rule 5: how long the locked source must be silent before another stream may begin.
pub(super) const RELATCH_SILENCE: Nanos = Nanos::from_millis(2_000);
/// Rule 6: how long the source of before a new remote is no candidate.
pub(super) const FORMER_GRACE: Nanos = Nanos::from_millis(1_000);

/// Rule 4: a stream sends at most a packet each 5 ms, and a few may have been lost or held up besides.
const MOVE_PACKET_MS: u64 = 5;
const MOVE_PACKETS_SLACK: u64 = 20;
/// Rule 4: the fastest RTP clock of a codec that we know is Opus's 48 kHz; a second's slack for a phone's own buffers.
const MOVE_CLOCK_PER_MS: u64 = 48;
const MOVE_TIMESTAMP_SLACK: u64 = 48_000;
/// Rule 4: silence beyond this widens the windows no further.
const MOVE_WINDOW_MS_MAX: u64 = 30_000;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// No remote is known yet.
    Unset,
    /// It passes.
    Pass,
    /// It passes, and with it its source was locked.
    Latched,
    /// Dropped: not the peer, though from an IP or with a stream that may become it.
    Refused,
    /// Dropped: it comes from nowhere that we know.
    Stranger,
}

/// See the module's comment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latch {
    state: State,
    rules: Rules,
    /// The SDP's address, for sending.
    told: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Unset,
    Open {
        candidate: Option<Candidate>,
        /// Rule 6: the source of before, and until when it is no candidate.
        former: Option<(Peer, Nanos)>,
    },
    Locked {
        source: Peer,
        /// Where the stream stands, for rule 4.
        stream: Stream,
        address: SocketAddr,
        /// Who may follow, by rule 4 or 5.
        successor: Option<Candidate>,
    },
}

/// A stream's last packet.
#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    timestamp: u32,
    sequence: u16,
    at: Nanos,
}

/// Somebody who may become the peer.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: Peer,
    stream: Stream,
    /// Packets in a row so far.
    packets: u8,
}

/// Who is allowed.
#[derive(Clone, Copy, Debug)]
struct Rules {
    sdp: Option<Peer>,
    signalling: Ip,
    symmetric: bool,
}

impl Latch {
    /// Unset.
    pub(super) fn new() -> Self {
        Latch {
            state: State::Unset,
            rules: Rules {
                sdp: None,
                signalling: Ip::from(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
                symmetric: false,
            },
            told: None,
        }
    }

    /// Rule 6. True if a new latch begins.
    pub(super) fn set_remote(&mut self, now: Nanos, remote: &Remote) -> bool {
        self.rules.signalling = remote.signalling.into();
        self.rules.symmetric = remote.symmetric;
        let sdp = Peer::told(remote.rtp);
        let was_unset = matches!(self.state, State::Unset);
        if !was_unset && (sdp.is_none() || sdp == self.rules.sdp) {
            return false;
        }
        self.rules.sdp = sdp;
        self.told = sdp.map(|_| remote.rtp);
        let former = match self.state {
            State::Locked { source, .. } if sdp == Some(source) => return false,
            State::Locked { source, .. } => Some(source),
            State::Open { candidate, former } => candidate
                .map(|candidate| candidate.source)
                .or(former.map(|(source, _)| source)),
            State::Unset => None,
        };
        self.state = State::Open {
            candidate: None,
            former: former.map(|source| (source, Nanos(now.0 + FORMER_GRACE.0))),
        };
        true
    }

    /// Where the leg sends: None before any address is known.
    #[inline]
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        match self.state {
            State::Locked { address, .. } if self.rules.symmetric => Some(address),
            _ => self.told,
        }
    }

    /// The locked source, its address as it came.
    pub(super) fn locked(&self) -> Option<SocketAddr> {
        match self.state {
            State::Locked { address, .. } => Some(address),
            _ => None,
        }
    }

    /// True if a packet that cannot be judged by its stream (RTCP beside RTP on this port, or rubbish) comes from the
    /// peer, or before a lock from an allowed IP.
    pub(super) fn is_from_peer(&self, source: Peer) -> bool {
        match self.state {
            State::Unset => false,
            State::Open { .. } => self.rules.allow(source.ip),
            State::Locked { source: locked, .. } => locked == source,
        }
    }

    /// True if packets that are not RTP may come from this IP: the locked one's, before a lock an allowed one.
    pub(super) fn is_peer_ip(&self, ip: Ip) -> bool {
        match self.state {
            State::Unset => false,
            State::Open { .. } => self.rules.allow(ip),
            State::Locked { source, .. } => source.ip == ip,
        }
    }

    /// True before [`Latch::set_remote`].
    pub(super) fn is_unset(&self) -> bool {
        matches!(self.state, State::Unset)
    }

    /// Judges an RTP packet.
    #[inline]
    pub(super) fn admit(&mut self, now: Nanos, source: SocketAddr, header: &Header) -> Admission {
        let peer = Peer::from(source);
        match &mut self.state {
            State::Locked {
                source: locked,
                stream,
                successor,
                ..
            } if *locked == peer => {
                *stream = Stream::at(now, header);
                *successor = None;
                Admission::Pass
            }
            _ => self.admit_other(now, source, peer, header),
        }
    }

    #[cold]
    fn admit_other(
        &mut self,
        now: Nanos,
        address: SocketAddr,
        source: Peer,
        header: &Header,
    ) -> Admission {
        let rules = self.rules;
        let admission = match &mut self.state {
            State::Unset => Admission::Unset,
            State::Open { candidate, former } => {
                if former.is_some_and(|(former, until)| former == source && now < until)
                    && rules.sdp != Some(source)
                {
                    Admission::Refused
                } else {
                    rules.begin(candidate, now, source, header)
                }
            }
            State::Locked {
                stream, successor, ..
            } => {
                let silence = now.since(stream.at);
                if silence >= RELATCH_SILENCE && rules.allow(source.ip) {
                    rules.begin(successor, now, source, header)
                } else if rules.symmetric
                    && silence >= MOVE_SILENCE
                    && stream.goes_on_with(now, header)
                {
                    follow(successor, now, source, header)
                } else {
                    rules.refuse(source)
                }
            }
        };
        if admission == Admission::Latched {
            self.state = State::Locked {
                source,
                stream: Stream::at(now, header),
                address,
                successor: None,
            };
        }
        admission
    }
}

impl Rules {
    fn allow(&self, ip: Ip) -> bool {
        self.sdp.is_some_and(|sdp| sdp.ip == ip) || self.symmetric && self.signalling == ip
    }

    fn refuse(&self, source: Peer) -> Admission {
        if self.allow(source.ip) {
            Admission::Refused
        } else {
            Admission::Stranger
        }
    }

    /// Rule 2: a stream begins.
    fn begin(
        &self,
        candidate: &mut Option<Candidate>,
        now: Nanos,
        source: Peer,
        header: &Header,
    ) -> Admission {
        if self.sdp == Some(source) {
            return Admission::Latched;
        }
        if !self.allow(source.ip) {
            return Admission::Stranger;
        }
        let taken = candidate.is_some_and(|other| {
            other.source != source && now.since(other.stream.at) < CANDIDATE_SILENCE
        });
        if taken {
            Admission::Refused
        } else if count(candidate, now, source, header) >= PROBATION_PACKETS {
            Admission::Latched
        } else {
            Admission::Pass
        }
    }
}

/// Rule 4: the stream goes on from a new source.
fn follow(
    successor: &mut Option<Candidate>,
    now: Nanos,
    source: Peer,
    header: &Header,
) -> Admission {
    if count(successor, now, source, header) >= MOVE_PACKETS {
        Admission::Latched
    } else {
        Admission::Refused
    }
}

/// Takes the packet as the candidate's next and says how many came in a row.
fn count(slot: &mut Option<Candidate>, now: Nanos, source: Peer, header: &Header) -> u8 {
    let packets = match slot {
        Some(candidate) if candidate.source == source && candidate.stream.precedes(header) => {
            candidate.packets.saturating_add(1)
        }
        _ => 1,
    };
    *slot = Some(Candidate {
        source,
        stream: Stream::at(now, header),
        packets,
    });
    packets
}

impl Stream {
    #[inline]
    fn at(now: Nanos, header: &Header) -> Stream {
        Stream {
            ssrc: header.ssrc,
            timestamp: header.timestamp,
            sequence: header.sequence,
            at: now,
        }
    }

    /// The very next packet of the same SSRC.
    fn precedes(&self, header: &Header) -> bool {
        self.ssrc == header.ssrc && header.sequence == self.sequence.wrapping_add(1)
    }

    /// Rule 4: the packet is one that this stream would send now.
    fn goes_on_with(&self, now: Nanos, header: &Header) -> bool {
        let silence_ms = (now.since(self.at).0 / 1_000_000).min(MOVE_WINDOW_MS_MAX);
        let packets = u64::from(header.sequence.wrapping_sub(self.sequence));
        let clock = u64::from(header.timestamp.wrapping_sub(self.timestamp));
        self.ssrc == header.ssrc
            && (1..=silence_ms / MOVE_PACKET_MS + MOVE_PACKETS_SLACK).contains(&packets)
            && clock <= silence_ms * MOVE_CLOCK_PER_MS + MOVE_TIMESTAMP_SLACK
    }
}

#[cfg(test)]
mod tests;
