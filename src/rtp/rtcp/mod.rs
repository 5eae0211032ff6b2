//! RTCP (RFC 3550 §6): checked, read, translated from one side's sources to the other's, and written of our own.
//!
//! | part | does |
//! |---|---|
//! | [`check`] | lengths, counts, padding and packet types of a compound packet: before anything else |
//! | [`packets`] | what a checked one says |
//! | [`translate`] | a checked one for the other side of a relay, in place |
//! | [`Report`] | writes a sender or receiver report with SDES and BYE |
//! | [`Heard`] | keeps what the peer's reports say of us and to us: loss, jitter, round trip |
//! | [`interval_ns`] | when the next report is due |
//!
//! A compound packet begins with a report (§6.1). One that does not is a reduced-size packet (RFC 5506), which some send
//! without having agreed it, a lone APP above all: it is read, and does not pass to the other side, which may not have
//! agreed it either.

mod heard;
mod interval;
mod read;
mod translate;
mod write;

pub use heard::Heard;
pub use interval::{Minimum, Session, interval_ns};
pub use read::{Blocks, Packet, packets};
pub use translate::{ReportedMap, SenderMap, Translation, translate};
pub use write::{Report, report_len_max};

use super::packet::Malformed;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const APPLICATION: u8 = 204;
/// RFC 4585 §6.1: feedback of the transport and of the payload.
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;
/// RFC 3611 §2.
const EXTENDED_REPORT: u8 = 207;
/// What RTCP packet types are in, so that RTP can be told from it (RFC 5761 §4).
const TYPES: std::ops::RangeInclusive<u8> = 192..=223;

const HEADER_LEN: usize = 4;
const BLOCK_LEN: usize = 24;
/// NTP and RTP time stamps, packet and octet counts (§6.4.1).
const SENDER_INFO_LEN: usize = 20;
const ITEM_END: u8 = 0;
const ITEM_CNAME: u8 = 1;
/// Report blocks that a report's count can say.
const BLOCKS_MAX: usize = 31;

/// What a sender report tells of its stream (§6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// When it was sent, in seconds and their 2^-32 of the sender's own clock.
    pub ntp: u64,
    /// The same instant on the stream's RTP clock.
    pub timestamp: u32,
    /// Packets sent.
    pub packets: u32,
    /// Octets of payload sent.
    pub octets: u32,
}

/// A report block: how a stream arrives (§6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream's source.
    pub ssrc: u32,
    /// Lost of 256 expected since the block before.
    pub fraction_lost: u8,
    /// Lost since the beginning, at least -2^23, at most 2^23 - 1; below 0 where packets came twice.
    pub lost: i32,
    /// The highest sequence number, with its cycles in the upper 16 bits.
    pub highest: u32,
    /// Interarrival jitter in the stream's clock units.
    pub jitter: u32,
    /// The middle 32 bits of the last sender report's NTP time; 0 if there was none.
    pub last_report: u32,
    /// How long before this one that came, in 2^-16 s.
    pub delay: u32,
}

/// Nanoseconds of any clock as an NTP time stamp (§4): seconds in the upper 32 bits, modulo 2^32, and their fraction.
pub fn ntp(now_ns: u64) -> u64 {
    let (seconds, rest) = (now_ns / 1_000_000_000, now_ns % 1_000_000_000);
    (seconds << 32) | ((rest << 32) / 1_000_000_000)
}

/// The middle 32 bits of an NTP time stamp: seconds and their 2^-16 (§4).
pub fn ntp_middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// Checks a compound or reduced-size packet by RFC 3550 appendix A.2, and that every part holds what its counts say.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(compound: &[u8]) -> Result<(), Malformed> {
    let mut rest = compound;
    loop {
        let (part, len) = Part::split(rest)?;
        rest = &rest[len..];
        if rest.is_empty() {
            return Ok(());
        }
        if part.padding > 0 {
            return Err(Malformed::Padding);
        }
    }
}

/// One packet of a compound.
struct Part {
    kind: u8,
    /// Report blocks, chunks or sources.
    count: u8,
    /// Octets of padding at its end.
    padding: usize,
}

impl Part {
    /// The first packet of these octets and its length with padding.
    fn split(bytes: &[u8]) -> Result<(Part, usize), Malformed> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(Malformed::Short)?;
        if header[0] >> 6 != 2 {
            return Err(Malformed::Version);
        }
        if !TYPES.contains(&header[1]) {
            return Err(Malformed::NotRtcp);
        }
        let words = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let len = HEADER_LEN + words * 4;
        let whole = bytes.get(..len).ok_or(Malformed::Short)?;
        let padding = match header[0] & 0x20 {
            0 => 0,
            _ => usize::from(whole[len - 1]),
        };
        // A.2: a multiple of four; all of it behind the header.
        let padded = header[0] & 0x20 != 0;
        if padded && (padding == 0 || !padding.is_multiple_of(4) || padding > words * 4) {
            return Err(Malformed::Padding);
        }
        let part = Part {
            kind: header[1],
            count: header[0] & 0x1f,
            padding,
        };
        if words * 4 - padding < part.fixed_len() {
            return Err(Malformed::Short);
        }
        Ok((part, len))
    }

    /// The least that must follow the header.
    fn fixed_len(&self) -> usize {
        let count = usize::from(self.count);
        match self.kind {
            SENDER_REPORT => 4 + SENDER_INFO_LEN + count * BLOCK_LEN,
            RECEIVER_REPORT => 4 + count * BLOCK_LEN,
            GOODBYE => count * 4,
            // Whose it is, and a name or the source that it is about.
            APPLICATION | TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK => 8,
            EXTENDED_REPORT => 4,
            _ => 0,
        }
    }

    fn is_report(&self) -> bool {
        matches!(self.kind, SENDER_REPORT | RECEIVER_REPORT)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Writes a word that lies within the packet; does nothing otherwise.
fn put_word(bytes: &mut [u8], at: usize, word: u32) {
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&word.to_be_bytes());
    }
}

/// The octet of a CNAME at this place: `cname` in hexadecimal, over and over.
fn cname_octet(cname: u64, at: usize) -> u8 {
    let nibble = cname >> (60 - at % 16 * 4) & 0xf;
    b"0123456789abcdef"[nibble as usize]
}

#[cfg(test)]
mod tests;
