//! The sending direction.

use super::derive::{Purpose, SessionKeys};
use super::index::estimate;
use super::sources::{Sources, note};
use super::transform::{Nonces, RTCP_CLEAR_LEN, Transform};
use super::{INDEX_END, MasterKey, RTCP_INDEX_END, RtpClear, SrtpError, rtcp_sender};

/// Seals what a leg sends.
///
/// Its sources should begin in the lower half of the sequence numbers, so that a peer that misses the first packets still
/// knows their rollover counter (RFC 4568 §6.4).
pub struct Sealer {
    master: MasterKey,
    rtp: Transform,
    rtcp: Transform,
    sources: Sources,
    /// Index of the next RTCP packet, whoever sends it (RFC 3711 §3.4).
    rtcp_index: u64,
}

impl Sealer {
    /// A sealer that has sent nothing.
    pub fn new(master: &MasterKey) -> Sealer {
        Sealer {
            master: *master,
            rtp: Transform::new(&SessionKeys::derive(master, Purpose::Rtp)),
            rtcp: Transform::new(&SessionKeys::derive(master, Purpose::Rtcp)),
            sources: Sources::default(),
            rtcp_index: 0,
        }
    }

    /// Changes to another key at once; the same key changes nothing. Rollover counters and the RTCP index go on
    /// (RFC 3711 §3.3.1, §3.4).
    pub fn rekey(&mut self, master: &MasterKey) {
        if *master != self.master {
            let Sealer {
                sources,
                rtcp_index,
                ..
            } = std::mem::replace(self, Sealer::new(master));
            self.sources = sources;
            self.rtcp_index = rtcp_index;
        }
    }

    /// The key that it seals with.
    pub fn master(&self) -> &MasterKey {
        &self.master
    }

    /// Seals the RTP packet that is the first `len` bytes of `buffer`, in place. Returns the length to send, at most
    /// [`super::OVERHEAD_MAX`] more.
    ///
    /// # Errors
    /// [`SrtpError::Malformed`], [`SrtpError::NoRoom`]; [`SrtpError::Replay`] if this sequence number was sealed before;
    /// [`SrtpError::TooManySources`]; [`SrtpError::Exhausted`]. The packet is then as it was, and must not be sent.
    pub fn seal(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::NoRoom)?;
        let RtpClear {
            start,
            sequence,
            ssrc,
        } = RtpClear::read(packet)?;
        if buffer.len() < len + self.rtp.overhead() {
            return Err(SrtpError::NoRoom);
        }
        let index = match self.sources.find(ssrc).map(|source| source.rtp) {
            Some(Some(window)) => {
                let index = estimate(window.highest(), sequence);
                window.check(index)?;
                index
            }
            Some(None) => u64::from(sequence),
            None if self.sources.is_full() => return Err(SrtpError::TooManySources),
            None => u64::from(sequence),
        };
        if index >= INDEX_END {
            return Err(SrtpError::Exhausted);
        }
        note(&mut self.sources.hear(ssrc).rtp, index);
        Ok(self.rtp.seal(buffer, start, len, Nonces { ssrc, index }))
    }

    /// Seals the compound RTCP packet that is the first `len` bytes of `buffer`, in place. Returns the length to send,
    /// at most [`super::OVERHEAD_MAX`] more.
    ///
    /// # Errors
    /// [`SrtpError::Malformed`], [`SrtpError::NoRoom`], [`SrtpError::Exhausted`]. The packet is then as it was, and
    /// must not be sent.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        let packet = buffer.get(..len).ok_or(SrtpError::NoRoom)?;
        let ssrc = rtcp_sender(packet)?;
        if buffer.len() < len + self.rtcp.overhead() {
            return Err(SrtpError::NoRoom);
        }
        let index = self.rtcp_index;
        if index >= RTCP_INDEX_END {
            return Err(SrtpError::Exhausted);
        }
        self.rtcp_index += 1;
        let nonces = Nonces { ssrc, index };
        Ok(self.rtcp.seal(buffer, RTCP_CLEAR_LEN, len, nonces))
    }

    #[cfg(test)]
    pub(super) fn start_at(&mut self, ssrc: u32, highest: u64) {
        note(&mut self.sources.hear(ssrc).rtp, highest);
    }

    #[cfg(test)]
    pub(super) fn start_rtcp_at(&mut self, index: u64) {
        self.rtcp_index = index;
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}
