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

    /// Opens a packet in place: what it holds in the clear.
    #[cold]
    pub(super) fn opened<'a>(
        &mut self,
        component: Component,
        packet: &'a mut [u8],
    ) -> Result<&'a mut [u8], DropReason> {
        let opened = match component {
            Component::Rtp if !packet::is_rtcp(packet) => self.opener.open(packet),
            _ => self.opener.open_rtcp(packet),
        };
        match opened {
            Ok(len) => packet.get_mut(..len).ok_or(DropReason::Malformed),
            Err(SrtpError::Replay) => Err(DropReason::Late),
            Err(SrtpError::Malformed(_)) => Err(DropReason::Malformed),
            Err(_) => Err(DropReason::Unauthentic),
        }
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
