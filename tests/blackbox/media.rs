//! RTP peers of a test, and the capture file that SIPp plays.

use crate::gateway::PATIENCE;
use std::net::{SocketAddrV4, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// RTP header bytes.
const HEADER: usize = 12;

/// A G.711 packet: 20 ms whose bytes are made of the sequence number, so that each is told from its neighbours.
pub fn packet(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend((0..160u16).map(|place| (place.wrapping_mul(7) ^ sequence) as u8));
    packet
}

/// The payload of a packet.
pub fn payload(packet: &[u8]) -> &[u8] {
    &packet[HEADER..]
}

/// The sequence number of a packet.
pub fn sequence(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[2], packet[3]])
}

/// The synchronisation source of a packet.
pub fn ssrc(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]])
}

/// A UDP socket that speaks and hears RTP.
pub struct Peer {
    socket: UdpSocket,
}

impl Peer {
    /// Bound to the address that an SDP tells.
    pub fn bind(address: SocketAddrV4) -> Peer {
        let socket = UdpSocket::bind(address).expect("a test's own address is free");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out is set");
        Peer { socket }
    }

    /// Sends one packet.
    pub fn send(&self, to: SocketAddrV4, packet: &[u8]) {
        self.socket.send_to(packet, to).expect("loopback takes it");
    }

    /// Gives back to each sender what it sends until this is set and nothing is left; gives how many packets that were.
    pub fn echo(&self, is_over: &AtomicBool) -> u64 {
        self.socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a time-out is set");
        let mut buffer = [0; 2048];
        let mut packets = 0;
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, source)) => {
                    self.socket
                        .send_to(&buffer[..length], source)
                        .expect("loopback takes it");
                    packets += 1;
                }
                Err(_) if is_over.load(Ordering::Acquire) => return packets,
                Err(_) => {}
            }
        }
    }

    /// How many packets the kernel has dropped because nobody read them in time (the last column of its table).
    pub fn overflowed(&self) -> u64 {
        let std::net::SocketAddr::V4(own) = self.socket.local_addr().expect("bound") else {
            unreachable!("the socket is IPv4")
        };
        let place = format!(
            " {:08X}:{:04X} ",
            u32::from_ne_bytes(own.ip().octets()),
            own.port()
        );
        // The table is read in pieces, and what moves from one to another meanwhile is missed.
        let start = Instant::now();
        loop {
            let table = std::fs::read_to_string("/proc/net/udp").expect("Linux has it");
            let line = table.lines().find(|line| line.contains(&place));
            if let Some(line) = line {
                let drops = line.split_ascii_whitespace().last().expect("its columns");
                return drops.parse().expect("a number");
            }
            assert!(start.elapsed() < PATIENCE, "{place} is not in\n{table}");
        }
    }

    /// The next packet and its source; fails after a long while.
    pub fn receive(&self) -> (Vec<u8>, SocketAddrV4) {
        let mut buffer = [0; 2048];
        let (length, source) = self.socket.recv_from(&mut buffer).expect("a packet comes");
        let std::net::SocketAddr::V4(source) = source else {
            unreachable!("the socket is IPv4")
        };
        (buffer[..length].to_vec(), source)
    }

    /// Everything that has come by now.
    pub fn pending(&self) -> Vec<Vec<u8>> {
        self.socket
            .set_nonblocking(true)
            .expect("a socket's mode is set");
        let mut buffer = [0; 2048];
        let mut packets = Vec::new();
        while let Ok((length, _)) = self.socket.recv_from(&mut buffer) {
            packets.push(buffer[..length].to_vec());
        }
        self.socket
            .set_nonblocking(false)
            .expect("a socket's mode is set");
        packets
    }
}

/// Writes a capture of one RTP stream, a packet each 20 ms (libpcap's classic format, raw IPv4 in Ethernet).
pub fn write_capture(file: &Path, packets: &[Vec<u8>]) {
    let mut bytes = Vec::new();
    // Magic, version 2.4, zone, accuracy, longest packet, link type Ethernet.
    bytes.extend(0xa1b2_c3d4u32.to_le_bytes());
    bytes.extend([2u8, 0, 4, 0]);
    bytes.extend([0; 8]);
    bytes.extend(65_535u32.to_le_bytes());
    bytes.extend(1u32.to_le_bytes());
    for (number, packet) in packets.iter().enumerate() {
        let time = Duration::from_millis(20 * number as u64);
        let frame = ethernet_frame(packet);
        bytes.extend((time.as_secs() as u32 + 1).to_le_bytes());
        bytes.extend(time.subsec_micros().to_le_bytes());
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.extend((frame.len() as u32).to_le_bytes());
        bytes.extend(frame);
    }
    std::fs::write(file, bytes).expect("the capture is written");
}

/// SIPp puts its own addresses and ports in, so these are of no account.
fn ethernet_frame(rtp: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 12];
    frame.extend([0x08, 0x00]);
    let udp_length = 8 + rtp.len() as u16;
    let ip_length = 20 + udp_length;
    frame.extend([0x45, 0]);
    frame.extend(ip_length.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    frame.extend(6000u16.to_be_bytes());
    frame.extend(6000u16.to_be_bytes());
    frame.extend(udp_length.to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(rtp);
    frame
}
