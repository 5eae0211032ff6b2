//! What a peer's reports have said.

use super::{Packet, ReportBlock, ntp, ntp_middle, packets};

/// A round trip above this is some clock's mistake.
const ROUND_TRIP_MAX: u32 = 60 << 16;
/// A round trip may come out below nothing by so much, 50 ms, where clocks are coarse.
const BELOW_NOTHING_MAX: u32 = (1 << 16) / 20;

/// What is kept of a peer's reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Middle of its last sender report's NTP time, and when that came, in the same form.
    last_report: Option<(u32, u32)>,
    /// The last block about what we send.
    about_us: Option<ReportBlock>,
    round_trip_ns: Option<u64>,
    goodbye: bool,
}

impl Heard {
    /// Takes a compound packet that [`super::check`] found good. `ours` is the source of what we send to the peer. The
    /// clock is the one that our own sender reports tell.
    pub fn take(&mut self, now_ns: u64, compound: &[u8], ours: u32) {
        let now = ntp_middle(ntp(now_ns));
        for packet in packets(compound) {
            match packet {
                Packet::Report { sender, blocks, .. } => {
                    if let Some(info) = sender {
                        self.last_report = Some((ntp_middle(info.ntp), now));
                    }
                    if let Some(block) = blocks.iter().find(|block| block.ssrc == ours) {
                        self.round_trip_ns = round_trip_ns(now, &block).or(self.round_trip_ns);
                        self.about_us = Some(block);
                    }
                }
                Packet::Goodbye { .. } => self.goodbye = true,
                Packet::Description | Packet::Other(_) => {}
            }
        }
    }

    /// The last two fields of a block about what the peer sends, to be sent now (§6.4.1, LSR and DLSR).
    pub fn last_report(&self, now_ns: u64) -> (u32, u32) {
        self.last_report.map_or((0, 0), |(middle, came)| {
            (middle, ntp_middle(ntp(now_ns)).wrapping_sub(came))
        })
    }

    /// The last block about what we send.
    pub fn about_us(&self) -> Option<&ReportBlock> {
        self.about_us.as_ref()
    }

    /// The way to the peer and back, as its last block that tells it has it.
    pub fn round_trip_ns(&self) -> Option<u64> {
        self.round_trip_ns
    }

    /// The peer has said BYE.
    pub fn goodbye(&self) -> bool {
        self.goodbye
    }
}

/// §6.4.1: now less when our report was sent less how long the peer had it.
fn round_trip_ns(now: u32, block: &ReportBlock) -> Option<u64> {
    if block.last_report == 0 {
        return None;
    }
    let trip = now
        .wrapping_sub(block.last_report)
        .wrapping_sub(block.delay);
    if trip.wrapping_neg() <= BELOW_NOTHING_MAX {
        return Some(0);
    }
    (trip <= ROUND_TRIP_MAX).then(|| (u64::from(trip) * 1_000_000_000) >> 16)
}
