//! The receiving direction.

use super::derive::{Purpose, SessionKeys};
use super::index::{Window, estimate};
use super::sources::{Sources, note};
use super::transform::{Nonces, RTCP_CLEAR_LEN, Transform, rtcp_index};
use super::{INDEX_END, MasterKey, RtpClear, SrtpError, rtcp_sender};
use crate::rtp::packet::Malformed;

/// Packets under new keys after which the old ones are forgotten: 2.5 s of audio.
const OLD_KEY_PACKETS: u32 = 128;
/// Longest packet that more than one key or rollover counter is tried on where the first attempt spoils it (GCM). No
/// audio packet of 60 ms is longer.
const SPARE_LEN: usize = 2048;

/// Opens what a peer sends.
pub struct Opener {
    current: Box<Keyed>,
    /// The keys before, and under how many more packets of the current ones they are good.
    previous: Option<(Box<Keyed>, u32)>,
    /// Where a packet is kept while several keys or rollover counters are tried on it.
    spare: Box<[u8; SPARE_LEN]>,
}

/// A key and what came under it.
struct Keyed {
    master: MasterKey,
    rtp: Transform,
    rtcp: Transform,
    sources: Sources,
}

/// Which of an opener's keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    Current,
    Previous,
}

impl Opener {
    /// An opener that has heard nothing.
    pub fn new(master: &MasterKey) -> Opener {
        Opener {
            current: Box::new(Keyed::new(master)),
            previous: None,
            spare: Box::new([0; SPARE_LEN]),
        }
    }

    /// Opens under another key from now on, and under the old one until 128 packets came under the new. The same key
    /// changes nothing; the key before comes back with all that it knew.
    pub fn rekey(&mut self, master: &MasterKey) {
        if *master == self.current.master {
            return;
        }
        let (fresh, before) = match self.previous.take() {
            Some((previous, _)) if previous.master == *master => (previous, None),
            before => (Box::new(Keyed::new(master)), before),
        };
        let last = std::mem::replace(&mut self.current, fresh);
        // A key that nothing came under is not worth keeping in place of one that was in use.
        let kept = match before {
            Some((before, _)) if last.sources.is_empty() => before,
            _ => last,
        };
        self.previous = Some((kept, OLD_KEY_PACKETS));
    }

    /// The key that it opens with, the newest.
    pub fn master(&self) -> &MasterKey {
        &self.current.master
    }

    /// Opens an RTP packet in place. Returns the length of the plain packet. Its padding was not checked; nothing else
    /// of its contents was, either.
    ///
    /// # Errors
    /// [`SrtpError::Malformed`], [`SrtpError::Authentication`], [`SrtpError::Replay`]. The bytes are then of no use.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let clear = RtpClear::read(packet)?;
        let RtpClear { start, ssrc, .. } = clear;
        let known = self.current.rtp_window(ssrc);
        let (Some(window), None) = (known, &self.previous) else {
            return self.try_rtp(packet, clear);
        };
        let index = estimate(window.highest(), clear.sequence);
        let len = self
            .current
            .open_rtp(packet, start, Nonces { ssrc, index })?;
        Ok(len)
    }

    /// Opens a compound RTCP packet in place. Returns the length of the plain packet.
    ///
    /// # Errors
    /// As [`Opener::open`], and [`SrtpError::Unencrypted`].
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = rtcp_sender(packet)?;
        let may_retry = self.previous.is_some() && self.save(packet);
        let first = self.current.open_rtcp(packet, ssrc);
        if first.is_ok() || !may_retry {
            self.count(first.is_ok());
            return first;
        }
        self.restore(packet);
        let previous = self
            .keyed(Age::Previous)
            .map(|keyed| keyed.open_rtcp(packet, ssrc));
        previous.filter(Result::is_ok).unwrap_or(first)
    }

    /// Opens a packet of a source that is new under the current key, or while two keys are good.
    #[cold]
    fn try_rtp(&mut self, packet: &mut [u8], clear: RtpClear) -> Result<usize, SrtpError> {
        let RtpClear { start, ssrc, .. } = clear;
        let may_retry = self.save(packet);
        let mut refusal = None;
        for (age, index) in self.guesses(clear).into_iter().flatten() {
            let Some(keyed) = self.keyed(age) else {
                continue;
            };
            match keyed.open_rtp(packet, start, Nonces { ssrc, index }) {
                Ok(len) => {
                    self.count(age == Age::Current);
                    return Ok(len);
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
            if !may_retry {
                break;
            }
            self.restore(packet);
        }
        Err(refusal.unwrap_or(SrtpError::Authentication))
    }

    /// Under which keys, and as which index, a packet is tried.
    fn guesses(&self, clear: RtpClear) -> [Option<(Age, u64)>; 4] {
        let RtpClear { sequence, ssrc, .. } = clear;
        let after = |window: Window| estimate(window.highest(), sequence);
        let before = self.previous.as_ref();
        let before =
            before.map(|(keyed, _)| keyed.rtp_window(ssrc).map_or(u64::from(sequence), after));
        let current = |index| Some((Age::Current, index));
        let previous = before.map(|index| (Age::Previous, index));
        if let Some(window) = self.current.rtp_window(ssrc) {
            return [current(after(window)), previous, None, None];
        }
        // The rollover counter goes on under a new key, or begins at 0; or its first packets were lost.
        let may_have_rolled = sequence < 1 << 15;
        let is_another = |index: &u64| *index >> 16 > u64::from(may_have_rolled);
        [
            before.filter(is_another).and_then(current),
            current(u64::from(sequence)),
            may_have_rolled.then_some((Age::Current, 1 << 16 | u64::from(sequence))),
            previous,
        ]
    }

    fn keyed(&mut self, age: Age) -> Option<&mut Keyed> {
        match age {
            Age::Current => Some(&mut self.current),
            Age::Previous => self.previous.as_mut().map(|(keyed, _)| &mut **keyed),
        }
    }

    /// Counts a packet that was opened under the current key: after enough of them the old one goes.
    fn count(&mut self, is_current: bool) {
        if let Some((_, left)) = self.previous.as_mut().filter(|_| is_current) {
            *left -= 1;
            if *left == 0 {
                self.previous = None;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn previous_is_gone(&self) -> bool {
        self.previous.is_none()
    }

    /// Keeps the packet. False if it is too long.
    fn save(&mut self, packet: &[u8]) -> bool {
        let Some(spare) = self.spare.get_mut(..packet.len()) else {
            return false;
        };
        spare.copy_from_slice(packet);
        true
    }

    /// Makes the packet what it was when it was kept.
    fn restore(&self, packet: &mut [u8]) {
        let len = packet.len();
        packet.copy_from_slice(&self.spare[..len]);
    }
}

impl Keyed {
    fn new(master: &MasterKey) -> Keyed {
        Keyed {
            master: *master,
            rtp: Transform::new(&SessionKeys::derive(master, Purpose::Rtp)),
            rtcp: Transform::new(&SessionKeys::derive(master, Purpose::Rtcp)),
            sources: Sources::default(),
        }
    }

    fn rtp_window(&self, ssrc: u32) -> Option<Window> {
        self.sources.find(ssrc)?.rtp
    }

    /// Checks before it decrypts, and remembers nothing before it has checked (RFC 3711 §3.3).
    fn open_rtp(
        &mut self,
        packet: &mut [u8],
        start: usize,
        nonces: Nonces,
    ) -> Result<usize, SrtpError> {
        if packet.len() < start + self.rtp.overhead() {
            return Err(Malformed::Short.into());
        }
        if nonces.index >= INDEX_END {
            return Err(SrtpError::Exhausted);
        }
        if let Some(window) = self.rtp_window(nonces.ssrc) {
            window.check(nonces.index)?;
        }
        let len = self.rtp.open(packet, start, nonces)?;
        note(&mut self.sources.hear(nonces.ssrc).rtp, nonces.index);
        Ok(len)
    }

    fn open_rtcp(&mut self, packet: &mut [u8], ssrc: u32) -> Result<usize, SrtpError> {
        if packet.len() < RTCP_CLEAR_LEN + self.rtcp.overhead() {
            return Err(Malformed::Short.into());
        }
        let (is_encrypted, index) = rtcp_index(packet, &self.rtcp);
        if !is_encrypted {
            return Err(SrtpError::Unencrypted);
        }
        if let Some(window) = self.sources.find(ssrc).and_then(|source| source.rtcp) {
            window.check(index)?;
        }
        let len = self
            .rtcp
            .open(packet, RTCP_CLEAR_LEN, Nonces { ssrc, index })?;
        note(&mut self.sources.hear(ssrc).rtcp, index);
        Ok(len)
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("master", self.master())
            .field("is_changing", &self.previous.is_some())
            .finish_non_exhaustive()
    }
}
