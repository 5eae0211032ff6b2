//! The RTP header (RFC 3550 §5.1), read after its lengths were checked and written back in place.

/// Version 2 in the two top bits of the first byte.
const VERSION: u8 = 2;
/// The fixed header.
pub const HEADER_LEN: usize = 12;
/// The first byte of a packet with no padding, extension or CSRC.
pub const FIRST_PLAIN: u8 = VERSION << 6;

/// What a relay reads and rewrites of an RTP header. CSRCs, extension, payload and padding pass as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The marker: in audio, the first packet of a talkspurt (RFC 3551 §4.1).
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    /// One up for each packet, modulo 2^16.
    pub sequence: u16,
    /// The sampling instant in clock units, modulo 2^32.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
}

/// What is wrong with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Ends within its header, CSRC list or extension, or says that it is longer than it is.
    #[error("shorter than its header says")]
    Short,
    /// Not version 2: STUN, DTLS, or no RTP at all (RFC 7983 §7).
    #[error("not RTP version 2")]
    Version,
    /// The padding count is 0 or more than what follows the header.
    #[error("impossible padding")]
    Padding,
    /// The packet type is none of RTCP's (RFC 5761 §4).
    #[error("not an RTCP packet type")]
    NotRtcp,
}

/// True if this is RTCP by its packet type, on whatever port it came (RFC 5761 §4: RTP payload types 64 to 95 are not
/// used, so that the second byte tells the two apart).
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [first, second, ..] if first >> 6 == VERSION && (64..=95).contains(&(second & 0x7f)))
}

impl Header {
    /// Checks the packet as RFC 3550 §5.1 and appendix A.1 say and reads its header.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(packet: &[u8]) -> Result<Header, Malformed> {
        let fixed = packet.first_chunk::<HEADER_LEN>().ok_or(Malformed::Short)?;
        if fixed[0] >> 6 != VERSION {
            return Err(Malformed::Version);
        }
        // Most packets have no padding, extension or CSRC.
        if fixed[0] & 0x3f != 0 {
            check_variable_part(packet, fixed[0])?;
        }
        Ok(Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        })
    }

    /// Writes the fields over those of a packet that was parsed. A payload type above 127 loses its top bit; a packet
    /// that is shorter than a header is left alone.
    pub fn write(&self, packet: &mut [u8]) {
        let Some(fixed) = packet.first_chunk_mut::<HEADER_LEN>() else {
            return;
        };
        fixed[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        fixed[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

/// Where the payload begins, behind CSRCs and extension. Padding is not looked at: in an SRTP packet it is encrypted.
///
/// # Errors
/// [`Malformed::Version`], or [`Malformed::Short`] if the packet ends before that.
pub fn payload_offset(packet: &[u8]) -> Result<usize, Malformed> {
    let fixed = packet.first_chunk::<HEADER_LEN>().ok_or(Malformed::Short)?;
    if fixed[0] >> 6 != VERSION {
        return Err(Malformed::Version);
    }
    let rest = after_header(&packet[HEADER_LEN..], fixed[0])?;
    Ok(packet.len() - rest.len())
}

/// What follows the CSRC list and the extension that begin `rest`.
fn after_header(rest: &[u8], first: u8) -> Result<&[u8], Malformed> {
    let csrcs = usize::from(first & 0x0f) * 4;
    let rest = rest.get(csrcs..).ok_or(Malformed::Short)?;
    if first & 0x10 == 0 {
        return Ok(rest);
    }
    // §5.3.1: 16 bits of the profile's, 16 bits of length in words, then the words.
    let (head, body) = rest.split_first_chunk::<4>().ok_or(Malformed::Short)?;
    let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
    body.get(words * 4..).ok_or(Malformed::Short)
}

/// The payload of a packet that [`Header::parse`] has taken: what follows CSRC list and extension, without the padding.
/// Empty for one that it refuses.
pub fn payload(packet: &[u8]) -> &[u8] {
    let Some((fixed, rest)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return &[];
    };
    match fixed[0] & 0x3f {
        0 => rest,
        first => variable_payload(rest, first).unwrap_or_default(),
    }
}

fn variable_payload(rest: &[u8], first: u8) -> Option<&[u8]> {
    let rest = after_header(rest, first).ok()?;
    if first & 0x20 == 0 {
        return Some(rest);
    }
    let padding = usize::from(*rest.last()?);
    rest.get(..rest.len().checked_sub(padding)?)
}

/// CSRC list, extension and padding lie within the packet.
fn check_variable_part(packet: &[u8], first: u8) -> Result<(), Malformed> {
    let rest = after_header(&packet[HEADER_LEN..], first)?;
    if first & 0x20 != 0 {
        let count = usize::from(*rest.last().ok_or(Malformed::Padding)?);
        if count == 0 || count > rest.len() {
            return Err(Malformed::Padding);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(first: u8, tail: &[u8]) -> Vec<u8> {
        let mut packet = vec![first, 0x88, 0x12, 0x34, 1, 2, 3, 4, 0xde, 0xad, 0xbe, 0xef];
        packet.extend_from_slice(tail);
        packet
    }

    #[test]
    fn the_fields_are_read() {
        assert_eq!(
            Header::parse(&packet(0x80, b"payload")),
            Ok(Header {
                marker: true,
                payload_type: 8,
                sequence: 0x1234,
                timestamp: 0x0102_0304,
                ssrc: 0xdead_beef,
            })
        );
    }

    #[test]
    fn lengths_and_version_are_checked() {
        let short_header = &packet(0x80, b"")[..11];
        assert_eq!(Header::parse(short_header), Err(Malformed::Short));
        for (first, tail, expected) in [
            (0x00, &b"x"[..], Some(Malformed::Version)), // STUN
            (0x16, b"x", Some(Malformed::Version)),      // DTLS
            (0xc0, b"x", Some(Malformed::Version)),
            (0x80, b"", None), // an empty payload is allowed
            (0x81, b"abc", Some(Malformed::Short)),
            (0x81, b"abcd", None),
            (0x90, b"\0\0\0", Some(Malformed::Short)),
            (0x90, b"\0\0\0\x01abc", Some(Malformed::Short)),
            (0x90, b"\0\0\0\x01abcd", None),
            (0x90, b"\0\0\xff\xffabcd", Some(Malformed::Short)),
            (0xa0, b"", Some(Malformed::Padding)),
            (0xa0, b"ab\0", Some(Malformed::Padding)),
            (0xa0, b"ab\x04", Some(Malformed::Padding)),
            (0xa0, b"ab\x03", None),
            (0xb1, b"csrc\0\0\0\x01ext.\x02", Some(Malformed::Padding)),
            (0xb1, b"csrc\0\0\0\x01ext.\0\x02", None),
        ] {
            let result = Header::parse(&packet(first, tail));
            assert_eq!(result.err(), expected, "{first:#x} {tail:?}");
        }
    }

    #[test]
    fn the_payload_begins_behind_csrcs_and_extension() {
        for (first, tail, expected) in [
            (0x80, &b"payload"[..], Ok(12)),
            (0xa0, b"\xff", Ok(12)), // padding is not looked at
            (0x82, b"csrccsrc", Ok(20)),
            (0x91, b"csrc\0\0\0\x01ext.payload", Ok(24)),
            (0x91, b"csrc\0\0\0\x02ext.", Err(Malformed::Short)),
            (0x40, b"", Err(Malformed::Version)),
        ] {
            assert_eq!(payload_offset(&packet(first, tail)), expected, "{first:#x}");
        }
        assert_eq!(payload_offset(&[0x80; 11]), Err(Malformed::Short));
    }

    #[test]
    fn the_payload_is_what_header_and_padding_leave() {
        for (first, tail, expected) in [
            (0x80, &b"audio"[..], &b"audio"[..]),
            (0x82, b"csrccsrcaudio", b"audio"),
            (0x90, b"\xbe\xde\0\x01ext.audio", b"audio"),
            (0xb1, b"csrc\0\0\0\x01ext.audio\0\x02", b"audio"),
            (0xa0, b"\x01", b""),
            (0x81, b"abc", b""),
            (0xa0, b"ab\x04", b""),
        ] {
            assert_eq!(payload(&packet(first, tail)), expected, "{first:#x}");
        }
    }

    #[test]
    fn rtcp_is_told_by_its_type() {
        for (second, expected) in [
            (200, true),
            (201, true),
            (192, true),
            (223, true),
            (72, true),
            (0, false),
            (8, false),
            (0x80 | 8, false),
            (96, false),
            (0x80 | 96, false),
            (101, false),
        ] {
            assert_eq!(is_rtcp(&[0x80, second, 0, 0]), expected, "{second}");
        }
        assert!(!is_rtcp(&[0x00, 200, 0, 0]));
        assert!(!is_rtcp(&[0x80]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_written_back_the_same(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
            version_two in any::<bool>(),
        ) {
            if let Some(first) = bytes.first_mut().filter(|_| version_two) {
                *first = *first & 0x3f | 0x80;
            }
            if let Ok(header) = Header::parse(&bytes) {
                let before = bytes.clone();
                header.write(&mut bytes);
                prop_assert_eq!(bytes, before);
            }
        }
    }
}
