//! What a leg sends to its peer: one SSRC for the leg's life, with sequence numbers and time stamps that go on
//! whatever happens behind it.
//!
//! The first source passes with its own numbers, so that a capture of both sides needs no explaining. When another
//! takes over (a new SSRC, another leg, a return from hold), it is shifted: its first packet follows the last that was
//! sent, its time stamp is as far ahead as time went by, and it carries the marker. From then on its packets keep the
//! shift, so that lost, late and reordered ones stay what they are. What a source sent before it took over would fall on
//! numbers already used, and is dropped.
//!
//! Packets that are made here (transcoded, played, mixed) take over in the same way, and then have their numbers from
//! [`OutStream::own`], one after the other.

use super::clock::RtpClock;
use super::in_stream::Counted;
use super::seam::{LegSlot, Nanos};
use crate::link::FormatList;
use crate::rtp::packet::Header;

/// The least step of the time stamp at a change of source: one packet of most senders.
const FRAME: Nanos = Nanos::from_millis(20);

/// The upper half of the sequence numbers begins here.
const UPPER_HALF: u16 = 0x8000;

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OutStream {
    /// Who feeds it; None before the first, and when the next packet is to begin anew.
    feed: Option<Feed>,
    /// True once anything was sent.
    started: bool,
    /// The first number is to be in the lower half.
    begins_low: bool,
    ssrc: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    /// The feed's numbers that may pass begin here.
    first: u32,
    /// The feed's highest number that passed, and what was sent for it.
    highest: u32,
    sequence: u16,
    timestamp: u32,
    at: Nanos,
    clock: RtpClock,
}

/// A source of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feed {
    /// The leg that it comes in on.
    pub(super) leg: LegSlot,
    /// The lease of that leg.
    pub(super) generation: u32,
    /// Which of the leg's sources.
    pub(super) epoch: u32,
}

impl Feed {
    /// What is made here. No leg has this slot: a slot is half a port.
    const OWN: Feed = Feed {
        leg: LegSlot(u16::MAX),
        generation: 0,
        epoch: 0,
    };
}

/// How a feed's packets are shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) ssrc: u32,
    pub(super) sequence_offset: u16,
    pub(super) timestamp_offset: u32,
}

impl OutStream {
    /// Makes the header, whose payload type is one of these formats already, the stream's next. False if the packet must
    /// not pass.
    #[inline]
    pub(super) fn forward(
        &mut self,
        now: Nanos,
        feed: Feed,
        counted: Counted,
        header: &mut Header,
        formats: &FormatList,
    ) -> bool {
        if self.feed != Some(feed) {
            self.take_over(now, feed, counted, header);
            self.clock = RtpClock::of(formats.payload(header.payload_type));
        } else if counted.extended < self.first {
            return false;
        }
        header.ssrc = self.ssrc;
        header.sequence = header.sequence.wrapping_add(self.sequence_offset);
        header.timestamp = header.timestamp.wrapping_add(self.timestamp_offset);
        if counted.extended >= self.highest {
            self.highest = counted.extended;
            self.sequence = header.sequence;
            self.timestamp = header.timestamp;
            self.at = now;
        }
        true
    }

    #[cold]
    fn take_over(&mut self, now: Nanos, feed: Feed, counted: Counted, header: &mut Header) {
        self.feed = Some(feed);
        self.highest = counted.extended;
        if !self.started {
            self.started = true;
            self.ssrc = header.ssrc;
            if self.begins_low && header.sequence >= UPPER_HALF {
                self.sequence_offset = UPPER_HALF;
                self.first = counted.extended;
            }
            return;
        }
        let timestamp = self.timestamp.wrapping_add(self.pause(now));
        self.timestamp_offset = timestamp.wrapping_sub(header.timestamp);
        self.sequence_offset = self.sequence.wrapping_add(1).wrapping_sub(header.sequence);
        self.first = counted.extended;
        header.marker = true;
    }

    /// What the clock has gone on by since the last packet: one packet at least.
    fn pause(&self, now: Nanos) -> u32 {
        self.clock.units(now.since(self.at).max(FRAME))
    }

    /// The stream is to be sealed. If it has not begun its numbers begin in the lower half, whatever its source has: a peer
    /// that misses the first packets of SRTP then still knows how often they have wrapped (RFC 3711 §3.3.1).
    pub(super) fn begin_low(&mut self) {
        self.begins_low = true;
    }

    /// True while the stream is made of packets of our own.
    pub(super) fn is_own(&self) -> bool {
        self.feed == Some(Feed::OWN)
    }

    /// Packets of our own take over, if they have not yet. The time stamp of this moment: their first.
    #[cold]
    pub(super) fn begin_own(&mut self, now: Nanos, random: &mut fastrand::Rng) -> u32 {
        self.feed = Some(Feed::OWN);
        if !self.started {
            // RFC 3550 §5.1: all three begin at random. The number in its lower half, so that a peer that misses the
            // first packets of SRTP still knows how often it has wrapped (RFC 4568 §6.4).
            self.started = true;
            self.ssrc = random.u32(..);
            self.sequence = random.u16(..UPPER_HALF);
            self.timestamp = random.u32(..);
            self.at = now;
            return self.timestamp;
        }
        self.timestamp = self.timestamp.wrapping_add(self.pause(now));
        self.at = now;
        // All that is coded here has this one.
        self.clock = RtpClock::default();
        self.timestamp
    }

    /// The header of the next packet of our own. The stream's clock goes on by itself: a packet says what began some time
    /// ago, and who takes over begins where the packet ends.
    pub(super) fn own(
        &mut self,
        now: Nanos,
        payload_type: u8,
        timestamp: u32,
        marker: bool,
    ) -> Header {
        self.sequence = self.sequence.wrapping_add(1);
        if let Some((_, clock)) = self.position(now) {
            self.timestamp = clock;
            self.at = now;
        }
        Header {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        }
    }

    /// A packet of our own that is not sent, since what it would say was lost on its way to us: the far side is to see
    /// the gap.
    pub(super) fn skip_own(&mut self) {
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Its SSRC; None before the first packet.
    pub(super) fn ssrc(&self) -> Option<u32> {
        self.started.then_some(self.ssrc)
    }

    /// Its SSRC, and this moment on its clock. None before the first packet.
    pub(super) fn position(&self, now: Nanos) -> Option<(u32, u32)> {
        let elapsed = self.clock.units(now.since(self.at));
        Some((self.ssrc()?, self.timestamp.wrapping_add(elapsed)))
    }

    /// So many units of its clock in microseconds.
    pub(super) fn micros(&self, units: u32) -> u32 {
        self.clock.micros(units)
    }

    /// The next packet begins anew, even if it is of the same source: something was left out.
    pub(super) fn interrupt(&mut self) {
        self.feed = None;
    }

    /// How the feed's packets are shifted, if it is the one.
    pub(super) fn shift_of(&self, feed: Feed) -> Option<Shift> {
        (self.feed == Some(feed)).then_some(Shift {
            ssrc: self.ssrc,
            sequence_offset: self.sequence_offset,
            timestamp_offset: self.timestamp_offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a packet of a source at a time in ms.
    fn send(
        out: &mut OutStream,
        ms: u64,
        epoch: u32,
        extended: u32,
        timestamp: u32,
    ) -> Option<Header> {
        let feed = Feed {
            leg: LegSlot(0),
            generation: 1,
            epoch,
        };
        let mut header = Header {
            marker: false,
            payload_type: 0,
            sequence: extended as u16,
            timestamp,
            ssrc: 0x1000 + epoch,
        };
        let counted = Counted { epoch, extended };
        let formats = FormatList::default();
        out.forward(Nanos::from_millis(ms), feed, counted, &mut header, &formats)
            .then_some(header)
    }

    #[test]
    fn the_first_source_keeps_its_numbers() {
        let mut out = OutStream::default();
        for (extended, timestamp) in [(0x1_fffe, 5), (0x1_ffff, 165), (0x2_0000, 325)] {
            let header = send(&mut out, 0, 1, extended, timestamp).expect("passes");
            assert_eq!(header.ssrc, 0x1001);
            assert_eq!(header.sequence, extended as u16);
            assert_eq!(header.timestamp, timestamp);
            assert!(!header.marker);
        }
        let late = send(&mut out, 0, 1, 0x1_fff0, 0).expect("passes too");
        assert_eq!(late.sequence, 0xfff0);
    }

    #[test]
    fn three_changes_go_on_over_both_wraps() {
        let mut out = OutStream::default();
        send(&mut out, 0, 1, 0x1_fffd, u32::MAX - 200).expect("passes");
        let mut expected = (0xfffd_u16, u32::MAX - 200);
        // Each new source comes 40 ms after the last packet, and brings two packets.
        for (epoch, sequence, timestamp) in [(2, 77, 1_000_000), (3, 65_535, u32::MAX), (4, 9, 0)] {
            let ms = u64::from(epoch - 1) * 60;
            let first = send(&mut out, ms, epoch, 0x1_0000 + sequence, timestamp).expect("passes");
            let since_last = if epoch == 2 { 60 } else { 40 };
            expected = (
                expected.0.wrapping_add(1),
                expected.1.wrapping_add(since_last * 8),
            );
            assert_eq!((first.sequence, first.timestamp), expected);
            assert!(first.marker, "a talkspurt begins");
            assert_eq!(first.ssrc, 0x1001);

            let after = timestamp.wrapping_add(160);
            let next = send(&mut out, ms + 20, epoch, 0x1_0001 + sequence, after).expect("passes");
            expected = (expected.0.wrapping_add(1), expected.1.wrapping_add(160));
            assert_eq!((next.sequence, next.timestamp), expected);
            assert!(!next.marker);
        }
        assert!(expected.0 < 10, "the sequence number wrapped");
    }

    #[test]
    fn order_is_kept_and_what_came_before_the_change_is_dropped() {
        let mut out = OutStream::default();
        send(&mut out, 0, 1, 0x1_0064, 0).expect("passes");
        let first = send(&mut out, 20, 2, 0x1_0200, 0).expect("passes");
        let third = send(&mut out, 40, 2, 0x1_0202, 320).expect("passes");
        let second = send(&mut out, 41, 2, 0x1_0201, 160).expect("passes");
        assert_eq!(third.sequence, first.sequence + 2);
        assert_eq!(second.sequence, first.sequence + 1);
        assert_eq!(send(&mut out, 42, 2, 0x1_01ff, 0), None);
        let next = send(&mut out, 60, 3, 0x1_0000, 0).expect("passes");
        assert_eq!(
            next.sequence,
            third.sequence + 1,
            "after the highest, not the last"
        );
    }

    #[test]
    fn an_interruption_leaves_no_gap() {
        let mut out = OutStream::default();
        send(&mut out, 0, 1, 0x1_0064, 0).expect("passes");
        out.interrupt();
        let header = send(&mut out, 1_000, 1, 0x1_0096, 8_000).expect("passes");
        assert_eq!(header.sequence, 0x65);
        assert_eq!(header.timestamp, 8_000);
        assert!(header.marker);
    }

    #[test]
    fn a_change_within_a_moment_still_steps_the_time_stamp() {
        let mut out = OutStream::default();
        send(&mut out, 0, 1, 0x1_0000, 100).expect("passes");
        let header = send(&mut out, 0, 2, 0x1_0000, 0).expect("passes");
        assert_eq!(header.timestamp, 260);
    }

    #[test]
    fn what_follows_packets_of_our_own_begins_behind_their_end() {
        let (mut out, mut random) = (OutStream::default(), fastrand::Rng::with_seed(1));
        let at = Nanos::from_millis;
        let first = out.begin_own(at(0), &mut random);
        // 60 ms, full with the tick at 50 ms.
        let header = out.own(at(50), 0, first, true);
        assert_eq!(header.timestamp, first);
        out.interrupt();
        let again = out.begin_own(at(60), &mut random);
        assert!((480..=640).contains(&again.wrapping_sub(first)), "{again}");
        out.own(at(70), 0, again, true);
        let relayed = send(&mut out, 90, 1, 0x1_0000, 0).expect("passes");
        let ahead = relayed.timestamp.wrapping_sub(again);
        assert!((160..=320).contains(&ahead), "{ahead}");
    }
}
