//! What a receiver keeps of one source: extended sequence numbers, loss and its bursts, and jitter (RFC 3550 §6.4.1, A.1,
//! A.3, A.8), and what a report block says of them.

use super::packet::Header;
use super::rtcp::ReportBlock;

/// A jump ahead up to here is a gap; beyond it the source may have restarted (A.1).
const DROPOUT_MAX: u16 = 3000;
/// A packet that is up to this late is late; beyond it the source may have restarted (A.1).
const MISORDER_MAX: u16 = 100;
/// Extended numbers begin one cycle up, so that what is late at the very start has one too.
const FIRST_CYCLE: u32 = 1 << 16;

/// One source from its first packet on.
#[derive(Clone, Copy, Debug)]
pub struct SourceStatistics {
    /// The sequence number cycles so far, in the upper 16 bits.
    cycles: u32,
    /// The first packet's extended number.
    base: u32,
    received: u32,
    /// Gaps in the numbers, whether or not something came to fill them later.
    gaps: u32,
    /// What was expected and received at the last report.
    reported: (u32, u32),
    /// Of the last packet.
    timestamp: u32,
    /// Arrival less timestamp of the last packet that had a time stamp of its own, in clock units.
    transit: u32,
    /// Sixteen times the jitter (A.8).
    jitter_16: u64,
    highest: u16,
    /// The next number of what may be a restarted source.
    restart: Option<u16>,
}

/// How a packet's number stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It counts, late or not: its number extended beyond 16 bits, larger for a later packet, at most 100 lower than
    /// the highest before.
    Extended(u32),
    /// Its number is far from the last. Counted as nothing; if the next follows it, the source restarted.
    Jump,
    /// The second packet after a jump: forget this source, it goes on as a new one.
    Restart,
}

impl SourceStatistics {
    /// A source and its first packet, that arrived at `arrival` in clock units.
    pub fn new(header: &Header, arrival: u32) -> Self {
        SourceStatistics {
            cycles: FIRST_CYCLE,
            base: FIRST_CYCLE | u32::from(header.sequence),
            received: 1,
            gaps: 0,
            reported: (0, 0),
            timestamp: header.timestamp,
            transit: arrival.wrapping_sub(header.timestamp),
            jitter_16: 0,
            highest: header.sequence,
            restart: None,
        }
    }

    /// Takes a further packet.
    pub fn receive(&mut self, header: &Header, arrival: u32) -> Arrival {
        let sequence = header.sequence;
        let ahead = sequence.wrapping_sub(self.highest);
        let extended = if ahead < DROPOUT_MAX {
            if sequence < self.highest {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.highest = sequence;
            self.gaps = self.gaps.wrapping_add(u32::from(ahead > 1));
            self.cycles | u32::from(sequence)
        } else if ahead > u16::MAX - MISORDER_MAX {
            self.highest().wrapping_sub(u32::from(ahead.wrapping_neg()))
        } else if self.restart == Some(sequence) {
            return Arrival::Restart;
        } else {
            self.restart = Some(sequence.wrapping_add(1));
            return Arrival::Jump;
        };
        self.restart = None;
        self.received = self.received.wrapping_add(1);
        // The packets of a telephone event have one time stamp, and say nothing of how long they were under way.
        if header.timestamp != self.timestamp {
            self.timestamp = header.timestamp;
            self.take_transit(arrival.wrapping_sub(header.timestamp));
        }
        Arrival::Extended(extended)
    }

    /// A.8: J += (|D| - J) / 16, in integers.
    fn take_transit(&mut self, transit: u32) {
        let difference = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        self.jitter_16 = self.jitter_16 + u64::from(difference) - ((self.jitter_16 + 8) >> 4);
    }

    /// The highest number so far, extended as in [`Arrival::Extended`].
    pub fn highest(&self) -> u32 {
        self.cycles | u32::from(self.highest)
    }

    /// The extended highest sequence number of a report block, whose cycles count from 0 (§6.4.1).
    pub fn reported_highest(&self) -> u32 {
        self.highest().wrapping_sub(FIRST_CYCLE)
    }

    /// Packets expected less packets received (A.3); negative if duplicates outnumber losses.
    pub fn lost(&self) -> i64 {
        i64::from(self.expected()) - i64::from(self.received)
    }

    /// Packets from the first to the highest, modulo 2^32.
    pub fn expected(&self) -> u32 {
        self.highest().wrapping_sub(self.base).wrapping_add(1)
    }

    /// Gaps in the numbers of what came, each of one packet or more: lost in a row, or overtaken.
    pub fn gaps(&self) -> u32 {
        self.gaps
    }

    /// The block to report now (§6.4.1) of this source, which is `ssrc`; the fraction lost counts from the last such
    /// call. `last_report` is as [`super::rtcp::Heard::last_report`] has it.
    pub fn report(&mut self, ssrc: u32, last_report: (u32, u32)) -> ReportBlock {
        let (expected, received) = (self.expected(), self.received);
        let (expected_before, received_before) =
            std::mem::replace(&mut self.reported, (expected, received));
        // A.3: lost in this interval, by what was expected in it; none where more came than was expected.
        let expected_now = expected.wrapping_sub(expected_before);
        let lost_now = expected_now.wrapping_sub(received.wrapping_sub(received_before)) as i32;
        let fraction_lost = match u64::try_from(lost_now) {
            Ok(lost) if expected_now > 0 => (lost * 256 / u64::from(expected_now)).min(255),
            _ => 0,
        };
        let most = (1 << 23) - 1;
        ReportBlock {
            ssrc,
            fraction_lost: fraction_lost as u8,
            lost: self.lost().clamp(-most - 1, most) as i32,
            highest: self.reported_highest(),
            jitter: self.jitter(),
            last_report: last_report.0,
            delay: last_report.1,
        }
    }

    /// Interarrival jitter in clock units.
    pub fn jitter(&self) -> u32 {
        u32::try_from(self.jitter_16 >> 4).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32) -> Header {
        Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp,
            ssrc: 1,
        }
    }

    /// Feeds these numbers, 20 ms apart.
    fn fed(sequences: &[u16]) -> (SourceStatistics, Vec<Arrival>) {
        let mut source = SourceStatistics::new(&packet(sequences[0], 0), 0);
        let arrivals = sequences[1..]
            .iter()
            .zip(1..)
            .map(|(sequence, i)| source.receive(&packet(*sequence, i * 160), i * 160))
            .collect();
        (source, arrivals)
    }

    #[test]
    fn numbers_extend_over_a_wrap() {
        let (source, arrivals) = fed(&[65534, 65535, 0, 65533, 2, 1]);
        let extended = [0x1ffff, 0x20000, 0x1fffd, 0x20002, 0x20001];
        assert_eq!(arrivals, extended.map(Arrival::Extended));
        assert_eq!(source.highest(), 0x20002);
        assert_eq!(source.reported_highest(), 0x10002);
        assert_eq!(source.lost(), -1, "65533 came before the first");
    }

    #[test]
    fn what_comes_before_the_first_is_lower() {
        let (_, arrivals) = fed(&[0, 65535]);
        assert_eq!(arrivals, [Arrival::Extended(0xffff)]);
    }

    #[test]
    fn loss_is_expected_less_received() {
        assert_eq!(fed(&[10, 11, 14, 15]).0.lost(), 2);
        assert_eq!(fed(&[10, 11, 14, 13, 12]).0.lost(), 0);
        assert_eq!(fed(&[10, 10, 10]).0.lost(), -2);
        assert_eq!(fed(&[65000, 10]).0.lost(), 545);
    }

    #[test]
    fn a_jump_is_believed_when_the_next_follows_it() {
        let (source, arrivals) = fed(&[10, 11, 30000, 12, 30001, 50000, 50001]);
        use Arrival::{Extended, Jump, Restart};
        assert_eq!(
            arrivals,
            [
                Extended(0x1000b),
                Jump,
                Extended(0x1000c),
                Jump,
                Jump,
                Restart
            ]
        );
        assert_eq!(source.lost(), 0);
        let (_, arrivals) = fed(&[5000, 4899]);
        assert_eq!(arrivals, [Jump]);
        let (_, arrivals) = fed(&[5000, 4901]);
        assert_eq!(arrivals, [Extended(0x10000 + 4901)]);
    }

    #[test]
    fn a_report_tells_the_fraction_lost_since_the_last() {
        let mut source = SourceStatistics::new(&packet(10, 0), 0);
        for sequence in [11, 12, 14] {
            source.receive(&packet(sequence, 0), 0);
        }
        let block = source.report(7, (5, 6));
        assert_eq!((block.ssrc, block.last_report, block.delay), (7, 5, 6));
        assert_eq!((block.fraction_lost, block.lost), (51, 1), "1 of 5");
        assert_eq!(block.highest, 14);
        let block = source.report(7, (0, 0));
        assert_eq!((block.fraction_lost, block.lost), (0, 1), "nothing came");
        for sequence in [15, 15, 15] {
            source.receive(&packet(sequence, 0), 0);
        }
        let block = source.report(7, (0, 0));
        assert_eq!(
            (block.fraction_lost, block.lost),
            (0, -1),
            "more than expected"
        );
        source.receive(&packet(2000, 0), 0);
        let block = source.report(7, (0, 0));
        assert_eq!((block.fraction_lost, block.lost), (255, 1983));
    }

    #[test]
    fn losses_in_a_row_are_one_gap() {
        assert_eq!(fed(&[10, 11, 14, 15, 17]).0.gaps(), 2);
        assert_eq!(fed(&[10, 11, 13, 12, 14]).0.gaps(), 1);
        assert_eq!(fed(&[65535, 0, 1]).0.gaps(), 0);
    }

    #[test]
    fn packets_of_one_time_stamp_tell_no_jitter() {
        let mut source = SourceStatistics::new(&packet(0, 160), 0);
        for i in 1..50u16 {
            source.receive(&packet(i, 160), u32::from(i) * 160);
        }
        assert_eq!(source.jitter(), 0);
    }

    #[test]
    fn jitter_follows_rfc_3550_appendix_a8() {
        let mut source = SourceStatistics::new(&packet(0, 1000), 50);
        assert_eq!(source.jitter(), 0);
        // Each packet is late or early by 160 in turn: D is 160 each time and the jitter tends to 160.
        for i in 1..200u16 {
            let due = u32::from(i) * 160;
            let late = if i % 2 == 1 { 160 } else { 0 };
            source.receive(&packet(i, 1000 + due), 50 + due + late);
        }
        assert!((155..=160).contains(&source.jitter()), "{source:?}");
        // The first of them by hand: J = 160 / 16.
        let mut source = SourceStatistics::new(&packet(0, 0), 0);
        source.receive(&packet(1, 160), 320);
        assert_eq!(source.jitter(), 10);
    }

    #[test]
    fn the_widest_jitter_does_not_overflow() {
        let mut source = SourceStatistics::new(&packet(0, 0), 0);
        for i in 1..1000 {
            source.receive(&packet(i, u32::from(i) << 31), 0);
        }
        assert!(source.jitter() > 1 << 30);
    }
}
