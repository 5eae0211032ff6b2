//! Each packet is counted twice: for its leg, whose report tells of it, and for its worker, whose metrics do.

use super::leg::Leg;
use super::seam::Counters;

impl Leg {
    /// An RTP packet of so many bytes has passed the latch.
    #[inline]
    pub(super) fn count_in(&mut self, worker: &mut Counters, len: usize) {
        self.counts.packets_in += 1;
        self.counts.bytes_in += len as u64;
        worker.packets_in += 1;
        worker.bytes_in += len as u64;
    }

    /// An RTP packet goes to the peer. `len` is its bytes in the clear: what SRTP adds is not counted.
    #[inline]
    pub(super) fn count_out(&mut self, worker: &mut Counters, len: usize) {
        self.counts.packets_out += 1;
        self.counts.bytes_out += len as u64;
        worker.packets_out += 1;
        worker.bytes_out += len as u64;
    }

    /// An RTP packet that was counted does not go after all.
    pub(super) fn uncount_out(&mut self, worker: &mut Counters, len: usize) {
        self.counts.packets_out -= 1;
        self.counts.bytes_out -= len as u64;
        worker.packets_out -= 1;
        worker.bytes_out -= len as u64;
    }

    /// An RTCP packet has passed its latch.
    pub(super) fn count_rtcp_in(&mut self, worker: &mut Counters) {
        self.counts.rtcp_in += 1;
        worker.rtcp_in += 1;
    }

    /// An RTCP packet goes to the peer.
    pub(super) fn count_rtcp_out(&mut self, worker: &mut Counters) {
        self.counts.rtcp_out += 1;
        worker.rtcp_out += 1;
    }

    /// An RTCP packet that was counted does not go after all.
    pub(super) fn uncount_rtcp_out(&mut self, worker: &mut Counters) {
        self.counts.rtcp_out -= 1;
        worker.rtcp_out -= 1;
    }
}
