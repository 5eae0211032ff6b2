//! Memory of the packets that a worker made, until the kernel has sent them.

use super::layout::{self, NAME_ROOM};
use crate::media::TRANSMIT_LEN_MAX;
use std::net::SocketAddr;

/// Packets that wait for the next enter. A tick that makes more has the kernel send what there is.
const PACKETS: usize = 1024;

/// A destination's address, then the packet.
const SLOT_LEN: usize = NAME_ROOM + TRANSMIT_LEN_MAX;

/// A place in [`Made`] that is in use.
#[derive(Debug)]
pub struct MadeId(u16);

/// What the kernel is to send from one.
pub struct MadePacket {
    /// Its place.
    pub id: MadeId,
    /// The packet's first byte.
    pub bytes: *const u8,
    /// Its length.
    pub len: u32,
    /// The destination's first byte, and its length.
    pub name: (*const u8, u32),
}

/// See the module's comment. The memory is touched, and so had, only as far as it was ever used at one time.
pub struct Made {
    memory: Box<[u8]>,
    free: Vec<u16>,
}

impl Made {
    /// All free.
    pub fn new() -> Made {
        Made {
            memory: vec![0; PACKETS * SLOT_LEN].into_boxed_slice(),
            // The first to be taken is the one last given back: it is warm.
            free: (0..PACKETS as u16).rev().collect(),
        }
    }

    /// Takes a copy of a packet of at most [`TRANSMIT_LEN_MAX`] bytes. None if all places are in use.
    pub fn take(&mut self, packet: &[u8], destination: SocketAddr) -> Option<MadePacket> {
        let len = packet.len().min(TRANSMIT_LEN_MAX);
        let id = self.free.pop()?;
        let start = usize::from(id) * SLOT_LEN;
        let slot = &mut self.memory[start..start + SLOT_LEN];
        let (name, bytes) = slot.split_first_chunk_mut().expect("longer than a name");
        let name_len = layout::write_address(destination, name);
        bytes[..len].copy_from_slice(&packet[..len]);
        Some(MadePacket {
            id: MadeId(id),
            bytes: bytes.as_ptr(),
            len: len as u32,
            name: (name.as_ptr(), name_len as u32),
        })
    }

    /// The kernel has sent it.
    pub fn give_back(&mut self, id: MadeId) {
        self.free.push(id.0);
    }
}
