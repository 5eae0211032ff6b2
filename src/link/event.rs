//! What a worker tells control.

use super::clip::PlayId;
use super::command::Digit;
use super::ids::LegId;
use std::net::SocketAddr;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The leg's sockets could not be had. The leg is closed; control ends or refuses the call.
    OpenFailed {
        /// The leg.
        leg: LegId,
        /// Why.
        error: OpenError,
    },
    /// The leg now sends to and hears this source (the first time, or after a move).
    Latched {
        /// The leg.
        leg: LegId,
        /// The peer's RTP address.
        source: SocketAddr,
    },
    /// Somebody else sends to the leg's port; told once a latch, the rest is counted.
    Stranger {
        /// The leg.
        leg: LegId,
        /// The stranger.
        source: SocketAddr,
    },
    /// The leg's peer sends far more packets than anybody speaks, or they go round; none passes until they are fewer.
    Flooded {
        /// The leg.
        leg: LegId,
    },
    /// Most of what the leg's peer sends cannot be used. Told once a cause, until control tells the leg something else of it.
    Unusable {
        /// The leg.
        leg: LegId,
        /// Why.
        cause: Unusable,
    },
    /// No RTP for the remote's `timeout_s`. Told once; control ends the call.
    Silent {
        /// The leg.
        leg: LegId,
    },
    /// The leg's peer has pressed a digit; told at its end, once, if [`super::Command::Listen`] asks for it.
    Digit {
        /// The leg.
        leg: LegId,
        /// Which.
        digit: Digit,
        /// How long it was pressed, in milliseconds.
        duration_ms: u16,
    },
    /// A clip has been played to its end, or was stopped or replaced.
    Played {
        /// The leg.
        leg: LegId,
        /// Which playing.
        play: PlayId,
    },
    /// The leg's peer has been silent for as long as [`super::Command::Record`] asks. Told once a recording.
    Hushed {
        /// The leg.
        leg: LegId,
    },
    /// An interim report; dropped when the queue is full.
    Report {
        /// The leg.
        leg: LegId,
        /// Its counts so far.
        report: LegReport,
    },
    /// The leg is closed and its ports are free. Never lost.
    Closed {
        /// The leg.
        leg: LegId,
        /// Its final counts.
        report: LegReport,
    },
}

/// Why packets that come from the right address are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// SRTP does not open them: they are sealed by another key, or not at all.
    Unauthentic {
        /// Where the last one came from.
        source: SocketAddr,
    },
    /// The last one has this payload type, and it was not agreed.
    PayloadType(u8),
}

/// Why a leg's sockets could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// The leg's port is not this worker's, or its pair is still open.
    NotOurs,
    /// The operating system said no: this errno, to `socket`, `bind` or the ring.
    System(i32),
}

/// What a leg has seen. All counts are since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegReport {
    /// RTP packets from the peer that passed the latch.
    pub packets_in: u64,
    /// Their bytes, RTP header and payload.
    pub bytes_in: u64,
    /// RTP packets sent to the peer.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Packets from anybody else, dropped.
    pub strangers: u64,
    /// Packets from an address that may be the peer's that SRTP did not open.
    pub unauthentic: u64,
    /// Packets of a payload type that was not agreed.
    pub not_agreed: u64,
    /// Packets lost on the way to us, by RFC 3550 appendix A.3; negative if duplicates outnumber losses.
    pub lost_in: i64,
    /// Interarrival jitter in microseconds (RFC 3550 §6.4.1), as of the last packet.
    pub jitter_us: u32,
    /// RTCP packets in, out.
    pub rtcp_in: u64,
    /// See above.
    pub rtcp_out: u64,
    /// The way to the peer and back in milliseconds, once both sides' reports have told it (RFC 3550 §6.4.1).
    pub round_trip_ms: Option<u32>,
    /// Packets lost on the way to the peer, as it last reported.
    pub lost_out: Option<i32>,
    /// Jitter there in microseconds, as it last reported.
    pub jitter_out_us: Option<u32>,
    /// Mean opinion score of what the peer says, as it comes to us: 1 to 4.5 (ITU-T G.107). None before anything came, and
    /// for codecs that the model has no figures of.
    pub mos: Option<f32>,
}
