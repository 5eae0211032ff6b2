//! What a multishot `recvmsg` leaves in a buffer, and where.
//!
//! ```text
//!  0        16            48                112
//! ┌────────┬─────────────┬─────────────────┬──────────────────────┐
//! │ header │ source      │ control         │ packet               │
//! │ 4×u32  │ 32 reserved │ 64 reserved     │                      │
//! └────────┴─────────────┴─────────────────┴──────────────────────┘
//! ```
//!
//! Name and control have fixed room, so the packet always begins at the same place. Once the source has been read its
//! room is free, and the destination's address is written there for the send: it lives exactly as long as the packet.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes of a buffer: an Ethernet frame's worth of packet and all that stands before it.
pub const BUFFER_LEN: usize = 2048;

/// Room for the source, a `sockaddr_in` or `sockaddr_in6`, rounded up to 8.
pub const NAME_ROOM: usize = 32;

/// Room for the control messages: a time stamp (32 bytes) and an overflow count (24), rounded up to 16.
pub const CONTROL_ROOM: usize = 64;

/// Where source and, later, destination lie.
pub const NAME_START: usize = HEADER_LEN;

/// Where the packet begins.
pub const PACKET_START: usize = CONTROL_START + CONTROL_ROOM;

const HEADER_LEN: usize = 16;
const CONTROL_START: usize = NAME_START + NAME_ROOM;

/// What the kernel says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    /// Who sent it.
    pub source: SocketAddr,
    /// Its bytes, from [`PACKET_START`].
    pub len: usize,
    /// The kernel's receive time stamp, nanoseconds since 1970; 0 if it gave none.
    pub received_ns: u64,
    /// Packets that this socket has dropped since it was opened, for want of room; None if none yet.
    pub overflows: Option<u32>,
}

/// Reads what stands before the packet. `filled` is the part of the buffer that the completion says was written. None
/// if the packet was longer than the buffer, or its source is no IP address.
#[inline]
pub fn read(filled: &[u8]) -> Option<Reception> {
    let header = filled.first_chunk::<HEADER_LEN>()?;
    let control_len = u32_at(header, 4)? as usize;
    let flags = u32_at(header, 12)?;
    if flags & libc::MSG_TRUNC as u32 != 0 {
        return None;
    }
    let source = read_address(filled.get(NAME_START..CONTROL_START)?)?;
    let control = filled.get(CONTROL_START..CONTROL_START + control_len.min(CONTROL_ROOM))?;
    let (received_ns, overflows) = read_control(control);
    Some(Reception {
        source,
        len: filled.len().checked_sub(PACKET_START)?,
        received_ns,
        overflows,
    })
}

/// `struct cmsghdr`: a length that counts itself, level, type, then the data; the next begins on a multiple of 8.
fn read_control(mut control: &[u8]) -> (u64, Option<u32>) {
    const DATA_START: usize = 16;
    let (mut received_ns, mut overflows) = (0, None);
    while let Some(len) = u64_at(control, 0) {
        let (Some(level), Some(kind)) = (u32_at(control, 8), u32_at(control, 12)) else {
            break;
        };
        match (level as i32, kind as i32) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                if let (Some(seconds), Some(nanos)) =
                    (u64_at(control, DATA_START), u64_at(control, DATA_START + 8))
                {
                    received_ns = seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
                }
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => overflows = u32_at(control, DATA_START),
            _ => {}
        }
        let step = (len as usize).max(DATA_START).next_multiple_of(8);
        match control.get(step..) {
            Some(rest) => control = rest,
            None => break,
        }
    }
    (received_ns, overflows)
}

#[inline]
fn read_address(name: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*name.first_chunk()?);
    let port = u16::from_be_bytes([*name.get(2)?, *name.get(3)?]);
    match i32::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = name.get(4..8)?.try_into().ok()?;
            Some(SocketAddr::new(Ipv4Addr::from(octets).into(), port))
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = name.get(8..24)?.try_into().ok()?;
            let scope = u32_at(name, 24)?;
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
        }
        _ => None,
    }
}

/// Writes a `sockaddr_in` or `sockaddr_in6` into the room for a name and returns its length.
#[inline]
pub fn write_address(address: SocketAddr, name: &mut [u8; NAME_ROOM]) -> usize {
    *name = [0; NAME_ROOM];
    name[2..4].copy_from_slice(&address.port().to_be_bytes());
    match address {
        SocketAddr::V4(v4) => {
            name[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
            name[4..8].copy_from_slice(&v4.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            name[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
            name[8..24].copy_from_slice(&v6.ip().octets());
            name[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
            size_of::<libc::sockaddr_in6>()
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::IpAddr;

    fn control_message(kind: i32, data: &[u8]) -> Vec<u8> {
        let mut message = (16 + data.len() as u64).to_ne_bytes().to_vec();
        message.extend(libc::SOL_SOCKET.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(data);
        message.resize(message.len().next_multiple_of(8), 0);
        message
    }

    fn filled(source: SocketAddr, control: &[u8], packet: &[u8], flags: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [16, control.len() as u32, packet.len() as u32, flags] {
            bytes.extend(field.to_ne_bytes());
        }
        let mut name = [0; NAME_ROOM];
        write_address(source, &mut name);
        bytes.extend(name);
        bytes.extend(control);
        bytes.resize(PACKET_START, 0);
        bytes.extend(packet);
        bytes
    }

    #[test]
    fn source_time_and_overflows_are_read() {
        let source: SocketAddr = "127.0.0.9:4000".parse().expect("an address");
        let mut stamp = 1_700_000_000u64.to_ne_bytes().to_vec();
        stamp.extend(5u64.to_ne_bytes());
        let mut control = control_message(libc::SCM_TIMESTAMPNS, &stamp);
        control.extend(control_message(libc::SO_RXQ_OVFL, &7u32.to_ne_bytes()));
        assert_eq!(
            read(&filled(source, &control, b"hello", 0)),
            Some(Reception {
                source,
                len: 5,
                received_ns: 1_700_000_000_000_000_005,
                overflows: Some(7),
            })
        );
    }

    #[test]
    fn a_truncated_packet_is_none() {
        let source: SocketAddr = "[::1]:4000".parse().expect("an address");
        assert!(read(&filled(source, &[], b"hello", 0)).is_some());
        assert_eq!(
            read(&filled(source, &[], b"hello", libc::MSG_TRUNC as u32)),
            None
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn addresses_come_back(ip: IpAddr, port: u16) {
            let address = SocketAddr::new(ip, port);
            let mut name = [0xff; NAME_ROOM];
            write_address(address, &mut name);
            prop_assert_eq!(read_address(&name), Some(address));
        }

        #[test]
        fn nothing_the_kernel_could_write_panics(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            let _ = read(&bytes);
        }
    }
}
