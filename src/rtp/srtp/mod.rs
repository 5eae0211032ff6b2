//! SRTP and SRTCP (RFC 3711): packets sealed and opened in place, one direction each.
//!
//! # States
//!
//! A [`Sealer`] and an [`Opener`] have session keys, and for each of a few synchronisation sources the highest index and
//! a replay window of 128 packets, for RTP and for RTCP. An `Opener` that was re-keyed has the keys before, too, until
//! 128 packets came under the new ones: a packet on its way is not lost.
//!
//! The rollover counter is nowhere in a packet. A source begins at 0 (RFC 4568 §6.4), or at 1 where its first packets
//! were lost about the end of the sequence numbers. Under a new key it goes on (RFC 3711 §3.3.1) or begins again
//! (RFC 4568 §7.1.4, where the peer has moved): peers do either, and both are tried until the first genuine packet. A
//! `Sealer` goes on.
//!
//! # Failures and limits
//!
//! - Nothing is remembered of a packet that is not genuine, so that a forger can exhaust nothing.
//! - An `Opener` remembers eight sources and forgets the one that was silent for longest; a recording of a source that
//!   was forgotten would be taken again. A `Sealer` never forgets, since an index that is used twice under one key gives
//!   the plain audio away: it refuses the ninth source, and any packet twice.
//! - 2^48 RTP packets and 2^31 RTCP packets are a key's most (RFC 3711 §9.2); the sealer then refuses.
//! - No master key identifiers, no key derivation rate, nothing unencrypted or unauthenticated: none is ever agreed on.
//!
//! No call allocates but the making of a sealer or opener and its re-keying.

mod counter_mode;
mod derive;
mod index;
mod opener;
mod sealer;
mod sources;
mod suite;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transform;

pub use opener::Opener;
pub use sealer::Sealer;
pub use suite::{MATERIAL_LEN_MAX, MasterKey, Suite};

use super::packet::{Malformed, payload_offset};
use transform::RTCP_CLEAR_LEN;

/// What a packet grows by at most: the tag of GCM, and the index of an RTCP packet.
pub const OVERHEAD_MAX: usize = 20;

/// Packet indices end here (RFC 3711 §3.3.1).
const INDEX_END: u64 = 1 << 48;
/// RTCP indices end here (RFC 3711 §3.4).
const RTCP_INDEX_END: u64 = 1 << 31;

/// Why a packet was not sealed or opened. The first four are the network's or the peer's doing, the others ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SrtpError {
    /// No RTP or RTCP packet, or too short for a tag.
    #[error("no SRTP packet: {0}")]
    Malformed(#[from] Malformed),
    /// Its tag is wrong: forged, damaged, or under another key.
    #[error("not authentic")]
    Authentication,
    /// It was seen before, or is older than the replay window.
    #[error("replayed, or too late to tell")]
    Replay,
    /// An RTCP packet whose E bit says that it is not encrypted.
    #[error("not encrypted")]
    Unencrypted,
    /// The buffer has no room for what sealing adds.
    #[error("no room for the tag")]
    NoRoom,
    /// More sources than are remembered.
    #[error("too many sources under one key")]
    TooManySources,
    /// As many packets as a key may seal.
    #[error("the key is used up")]
    Exhausted,
}

/// What is read of an RTP packet before it is opened: it stands in the clear and may be forged.
#[derive(Clone, Copy, Debug)]
struct RtpClear {
    /// Where the payload begins, behind CSRCs and extension.
    start: usize,
    sequence: u16,
    ssrc: u32,
}

impl RtpClear {
    fn read(packet: &[u8]) -> Result<RtpClear, Malformed> {
        let start = payload_offset(packet)?;
        Ok(RtpClear {
            start,
            sequence: u16::from_be_bytes([packet[2], packet[3]]),
            ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
        })
    }
}

/// The SSRC of who sends an RTCP packet.
fn rtcp_sender(packet: &[u8]) -> Result<u32, Malformed> {
    let clear = packet
        .first_chunk::<RTCP_CLEAR_LEN>()
        .ok_or(Malformed::Short)?;
    match clear[0] >> 6 {
        2 => Ok(u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]])),
        _ => Err(Malformed::Version),
    }
}
