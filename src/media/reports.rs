//! RTCP of our own on a leg: what we tell its peer, and what the peer's reports tell us (RFC 3550 §6).
//!
//! Each leg is a session of its own with two members, so a report goes every five seconds or so, spread at random, and a
//! BYE when the leg closes. What the peer reports ends here: it is about our stream, not about the far side's.

use super::leg::Leg;
use super::seam::{Component, Nanos};
use crate::rtp::rtcp::{self, Heard, Minimum, Report, SenderInfo, Session, interval_ns};

/// Bytes of a report with its IP and UDP headers, on which the interval depends little (§6.2).
const PACKET_LEN: u32 = 130;
/// kbit/s of G.711 or G.722 with its headers.
const KBIT_S: u32 = 80;
/// Octets of an RTP header, which a sender report does not count.
const HEADER_LEN: u64 = 12;

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reports {
    /// None before the leg has somebody to report to.
    due: Option<Nanos>,
    pub(super) heard: Heard,
    /// Packets that were sent when the last report went.
    sent_before: u64,
    has_reported: bool,
}

impl Reports {
    /// Takes a compound packet of the peer's that was found good.
    pub(super) fn take(&mut self, now: Nanos, compound: &[u8], ours: Option<u32>) {
        // Of a source that is not there nobody reports.
        self.heard.take(now.0, compound, ours.unwrap_or(0));
    }

    /// True if a report is due now; when the next one is.
    fn is_due(&mut self, now: Nanos, random: u32) -> bool {
        let session = Session {
            kbit_s: KBIT_S,
            packet_len: PACKET_LEN,
            minimum: Minimum::Fixed,
            initial: !self.has_reported,
        };
        let next = Nanos(now.0 + interval_ns(&session, random));
        match self.due {
            None => {
                self.due = Some(next);
                false
            }
            Some(due) if now >= due => {
                self.due = Some(next);
                self.has_reported = true;
                true
            }
            Some(_) => false,
        }
    }
}

impl Leg {
    /// The component that RTCP to the peer goes out of: with RTP if it wants both on one port (RFC 5761).
    pub(super) fn rtcp_component(&self) -> Component {
        match self.rtcp_destination() {
            Some(destination) if self.rtp_destination() == Some(destination) => Component::Rtp,
            _ => Component::Rtcp,
        }
    }

    /// Writes the report that is due, if one is, and seals it if the leg is. Its length.
    pub(super) fn write_report(
        &mut self,
        now: Nanos,
        random: u32,
        goodbye: bool,
        room: &mut [u8],
    ) -> Option<usize> {
        if !goodbye && !self.reports.is_due(now, random) {
            return None;
        }
        let ours = self.output.position(now);
        let has_sent = self.counts.packets_out != self.reports.sent_before;
        self.reports.sent_before = self.counts.packets_out;
        let last_report = self.reports.heard.last_report(now.0);
        let block = self.input.report(last_report);
        if ours.is_none() && block.is_none() {
            // Nothing was said either way.
            return None;
        }
        let sender = ours.filter(|_| has_sent).map(|(_, timestamp)| SenderInfo {
            ntp: rtcp::ntp(now.0),
            timestamp,
            packets: self.counts.packets_out as u32,
            // Of a leg that has had a fax, whose datagrams may be shorter than a header, this is too few.
            octets: (self.counts.bytes_out).saturating_sub(HEADER_LEN * self.counts.packets_out)
                as u32,
        });
        let report = Report {
            // One who never sent has a source all the same: any number that stays.
            ssrc: ours.map_or(self.cname as u32, |(ssrc, _)| ssrc),
            cname: self.cname,
            sender,
            blocks: block.as_slice(),
            goodbye,
        };
        let len = report.write(room)?;
        match &mut self.crypto {
            Some(crypto) => crypto.seal(room, len),
            None => Some(len),
        }
    }
}
