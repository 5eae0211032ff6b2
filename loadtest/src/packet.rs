//! The packets that the generator sends, and the check of those that come back.
//!
//! The payload says who sent it, as its how many-th packet and when, and fills the rest with a pattern of both, so a
//! gateway that mixes, repeats, cuts or invents packets is found out. Written apart from the gateway's own RTP code.

/// RTP header without extensions (RFC 3550 §5.1).
pub const HEADER: usize = 12;
/// 20 ms of G.711, and of G.722, whose RTP clock counts 8,000 a second as well (RFC 3551 §4.5.2).
pub const PAYLOAD: usize = 160;
/// A whole packet.
pub const PACKET: usize = HEADER + PAYLOAD;
const MARK: [u8; 4] = *b"RWLT";

/// One packet's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The leg that sent it.
    pub sender: u32,
    /// Its count, from 0.
    pub count: u32,
    /// CLOCK_REALTIME in nanoseconds when it was sent.
    pub sent_ns: u64,
}

/// The stream's RTP identity.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// RTP payload type.
    pub payload_type: u8,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Sequence number of packet 0.
    pub first_sequence: u16,
}

/// Writes the header of a stream's packet with this count.
pub fn write_header(packet: &mut [u8; PACKET], stream: &Stream, count: u32) {
    let sequence = stream.first_sequence.wrapping_add(count as u16);
    packet[0] = 0x80;
    packet[1] = stream.payload_type;
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    packet[4..8].copy_from_slice(&count.wrapping_mul(PAYLOAD as u32).to_be_bytes());
    packet[8..12].copy_from_slice(&stream.ssrc.to_be_bytes());
}

/// Writes a packet.
pub fn write(packet: &mut [u8; PACKET], stream: &Stream, probe: &Probe) {
    write_header(packet, stream, probe.count);
    packet[12..16].copy_from_slice(&MARK);
    packet[16..20].copy_from_slice(&probe.sender.to_be_bytes());
    packet[20..24].copy_from_slice(&probe.count.to_be_bytes());
    packet[24..32].copy_from_slice(&probe.sent_ns.to_be_bytes());
    packet[32..].fill(pattern(probe));
}

/// What came back, taken apart; None if it is not a packet of ours, whole and unharmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// RTP payload type.
    pub payload_type: u8,
    /// RTP sequence number.
    pub sequence: u16,
    /// Synchronisation source.
    pub ssrc: u32,
    /// The payload.
    pub probe: Probe,
}

/// Reads a packet.
pub fn read(packet: &[u8]) -> Option<Received> {
    let packet: &[u8; PACKET] = packet.try_into().ok()?;
    let word = |at: usize| {
        u32::from_be_bytes([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]])
    };
    let sent_ns = u64::from(word(24)) << 32 | u64::from(word(28));
    let probe = Probe {
        sender: word(16),
        count: word(20),
        sent_ns,
    };
    let is_whole = packet[0] == 0x80
        && packet[12..16] == MARK
        && packet[32..].iter().all(|byte| *byte == pattern(&probe));
    is_whole.then_some(Received {
        payload_type: packet[1] & 0x7f,
        sequence: u16::from_be_bytes([packet[2], packet[3]]),
        ssrc: word(8),
        probe,
    })
}

fn pattern(probe: &Probe) -> u8 {
    (probe.sender.wrapping_mul(31).wrapping_add(probe.count) % 251) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_harm_is_seen() {
        let stream = Stream {
            payload_type: 8,
            ssrc: 7,
            first_sequence: 65_535,
        };
        let probe = Probe {
            sender: 3,
            count: 1,
            sent_ns: 1 << 40,
        };
        let mut packet = [0; PACKET];
        write(&mut packet, &stream, &probe);
        let read_back = Received {
            payload_type: 8,
            sequence: 0,
            ssrc: 7,
            probe,
        };
        assert_eq!(read(&packet), Some(read_back));
        for at in [0, 12, 40, PACKET - 1] {
            let mut harmed = packet;
            harmed[at] ^= 1;
            assert_eq!(read(&harmed), None, "byte {at}");
        }
        assert_eq!(read(&packet[..PACKET - 1]), None);
    }
}
