//! SRTP of a leg: what its peer sends is opened before anything looks at it, what goes to the peer is sealed last of all.

use super::seam::{Component, DropReason};
use crate::link::LegCrypto;
use crate::rtp::packet;
use crate::rtp::srtp::{Opener, Sealer, SrtpError};

/// See the module's comment.
pub(super) struct Crypto {
    opener: Opener,
    sealer: Sealer,
}

impl Crypto {
    pub(super) fn new(keys: &LegCrypto) -> Crypto {
        Crypto {
            opener: Opener::new(&keys.receive),
            sealer: Sealer::new(&keys.send),
        }
    }

    /// Takes the keys of a new exchange.
    pub(super) fn rekey(&mut self, keys: &LegCrypto) {
        self.opener.rekey(&keys.receive);
        self.sealer.rekey(&keys.send);
    }

    /// Opens a packet in place; its new length.
    pub(super) fn open(
        &mut self,
        component: Component,
        packet: &mut [u8],
    ) -> Result<usize, DropReason> {
        let opened = match component {
            Component::Rtp if !packet::is_rtcp(packet) => self.opener.open(packet),
            _ => self.opener.open_rtcp(packet),
        };
        opened.map_err(|error| match error {
            SrtpError::Replay => DropReason::Late,
            SrtpError::Malformed(_) => DropReason::Malformed,
            _ => DropReason::Unauthentic,
        })
    }

    /// Seals the first `len` bytes of the room in place; their new length. None for a packet that must not go: sent
    /// before, or without room for what it grows by.
    pub(super) fn seal(&mut self, room: &mut [u8], len: usize) -> Option<usize> {
        let sealed = match packet::is_rtcp(room) {
            true => self.sealer.seal_rtcp(room, len),
            false => self.sealer.seal(room, len),
        };
        sealed.ok()
    }
}
