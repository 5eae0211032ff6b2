//! What a leg's peer sends: which source it is at the moment, and what RFC 3550 has a receiver count of it.
//!
//! A peer changes its source when a call is forwarded behind it, or music replaces a voice: another SSRC from the same
//! address. The new one takes over at once, and what is still on its way from the old one is late.

use super::clock::RtpClock;
use super::seam::Nanos;
use crate::link::FormatList;
use crate::rtp::packet::Header;
use crate::rtp::rtcp::ReportBlock;
use crate::rtp::statistics::{Arrival, SourceStatistics};

/// How long after a change of source packets of the former one are late. After it they are a change back.
pub(super) const FORMER_SSRC_GRACE: Nanos = Nanos::from_millis(500);

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InStream {
    source: Option<Source>,
    /// Of the source that is.
    clock: RtpClock,
    /// Which source this is, from 1; two sources of one leg never share it.
    epoch: u32,
    former_ssrc: Option<u32>,
    /// Loss of former sources.
    lost_before: i64,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    ssrc: u32,
    statistics: SourceStatistics,
    since: Nanos,
}

/// A packet that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Its source.
    pub(super) epoch: u32,
    /// Its number in that source's, beyond 16 bits.
    pub(super) extended: u32,
}

impl InStream {
    /// Takes a packet of the peer's, which may send these formats. None if it is late or far off, and must not pass.
    #[inline]
    pub(super) fn receive(
        &mut self,
        now: Nanos,
        header: &Header,
        formats: &FormatList,
    ) -> Option<Counted> {
        let arrival = self.clock.units(now);
        if let Some(source) = self
            .source
            .as_mut()
            .filter(|source| source.ssrc == header.ssrc)
        {
            match source.statistics.receive(header, arrival) {
                Arrival::Extended(extended) => {
                    return Some(Counted {
                        epoch: self.epoch,
                        extended,
                    });
                }
                Arrival::Jump => return None,
                Arrival::Restart => {}
            }
        }
        self.change(now, header, formats)
    }

    #[cold]
    fn change(&mut self, now: Nanos, header: &Header, formats: &FormatList) -> Option<Counted> {
        if let Some(old) = &self.source {
            if self.former_ssrc == Some(header.ssrc) && now.since(old.since) < FORMER_SSRC_GRACE {
                return None;
            }
            self.lost_before += old.statistics.lost();
            if old.ssrc != header.ssrc {
                self.former_ssrc = Some(old.ssrc);
            }
        }
        self.clock = RtpClock::of(formats.payload(header.payload_type));
        let statistics = SourceStatistics::new(header, self.clock.units(now));
        self.source = Some(Source {
            ssrc: header.ssrc,
            statistics,
            since: now,
        });
        self.epoch = self.epoch.wrapping_add(1);
        Some(Counted {
            epoch: self.epoch,
            extended: statistics.highest(),
        })
    }

    /// The source's SSRC and epoch.
    pub(super) fn source(&self) -> Option<(u32, u32)> {
        self.source.map(|source| (source.ssrc, self.epoch))
    }

    /// The highest sequence number so far, extended as a report block has it; 0 before the first packet.
    pub(super) fn highest(&self) -> u32 {
        self.source
            .map_or(0, |source| source.statistics.reported_highest())
    }

    /// The block to report now of the source that is. None before the first packet.
    pub(super) fn report(&mut self, last_report: (u32, u32)) -> Option<ReportBlock> {
        let source = self.source.as_mut()?;
        Some(source.statistics.report(source.ssrc, last_report))
    }

    /// Packets lost, over all sources.
    pub(super) fn lost(&self) -> i64 {
        self.lost_before + self.source.map_or(0, |source| source.statistics.lost())
    }

    /// Packets expected of the source that is, those lost, and the gaps they left. None before the first packet.
    pub(super) fn losses(&self) -> Option<(u32, u32, u32)> {
        let statistics = &self.source.as_ref()?.statistics;
        let lost = u32::try_from(statistics.lost()).unwrap_or(0);
        Some((statistics.expected(), lost, statistics.gaps()))
    }

    /// Jitter of the source that is, in microseconds.
    pub(super) fn jitter_us(&self) -> u32 {
        let jitter = self.source.map_or(0, |source| source.statistics.jitter());
        self.clock.micros(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(stream: &mut InStream, at: Nanos, ssrc: u32, sequence: u16) -> Option<Counted> {
        stream.receive(at, &packet(ssrc, sequence), &FormatList::default())
    }

    fn packet(ssrc: u32, sequence: u16) -> Header {
        Header {
            marker: false,
            payload_type: 0,
            sequence,
            timestamp: 0,
            ssrc,
        }
    }

    #[test]
    fn the_former_source_is_late_for_a_while_then_comes_back() {
        let mut stream = InStream::default();
        let at = Nanos::from_millis;
        let epoch = |counted: Option<Counted>| counted.map(|counted| counted.epoch);
        assert_eq!(epoch(receive(&mut stream, at(0), 1, 10)), Some(1));
        assert_eq!(epoch(receive(&mut stream, at(20), 2, 900)), Some(2));
        assert_eq!(epoch(receive(&mut stream, at(21), 1, 11)), None);
        assert_eq!(epoch(receive(&mut stream, at(40), 2, 901)), Some(2));
        assert_eq!(epoch(receive(&mut stream, at(519), 1, 12)), None);
        assert_eq!(epoch(receive(&mut stream, at(520), 1, 13)), Some(3));
        assert_eq!(stream.source(), Some((1, 3)));
    }

    #[test]
    fn a_third_source_needs_no_grace() {
        let mut stream = InStream::default();
        for ssrc in 1..5 {
            assert!(receive(&mut stream, Nanos(u64::from(ssrc)), ssrc, 7).is_some());
        }
    }

    #[test]
    fn loss_adds_up_over_sources() {
        let mut stream = InStream::default();
        for (ssrc, sequence) in [(1, 10), (1, 13), (2, 0), (2, 2), (2, 40_000), (2, 40_001)] {
            receive(&mut stream, Nanos(0), ssrc, sequence);
        }
        assert_eq!(stream.lost(), 2 + 1);
        assert_eq!(stream.source(), Some((2, 3)), "a restart is a new source");
    }
}
