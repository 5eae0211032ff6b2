//! The RTP side of the load straight on the network device: packets of all legs are written and read as Ethernet frames
//! (packet(7)), past the load's own IP stack. One thread then drives several times what a gateway on one core relays,
//! so that a comparison meets the gateway's limit and not the generator's.
//!
//! The media addresses belong to no host of the load's namespace: the tested side has a fixed neighbour entry for them
//! whose hardware address is not the device's, so the load's kernel drops those frames after we have our copy.
//!
//! The frames' last steps to us run on the tested core, for they are part of its send. So where a packet costs little,
//! the device's own counter says how many came, and only one in [`SAMPLE`], chosen by chance in the kernel, is copied to
//! us and checked; where it costs much ([`Look::All`]), every one is.

use crate::ledger::{Ledger, LegAddresses, MediaResult};
use crate::packet::PACKET;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Ethernet, IPv4 without options, UDP.
const HEADERS: usize = 14 + 20 + 8;
const FRAME: usize = HEADERS + PACKET;
/// Frames of one `sendmmsg`.
const BATCH: usize = 32;
/// One slot of the receive ring: its header, and a frame with room to spare.
const SLOT: usize = 512;
/// Slots: forty milliseconds at 100,000 packets a second, so that a hiccup of this thread loses nothing here; many more
/// would cost the tested core, whose writes they are, its cache.
const SLOTS: usize = 4_096;
const BLOCK: usize = 1 << 16;
/// One frame in so many is looked at.
const SAMPLE: u32 = 8;

/// A hardware address.
pub type Mac = [u8; 6];

/// Where and how frames travel.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The load's device.
    pub device: &'static str,
    /// Hardware address of the load.
    pub from: Mac,
    /// Hardware address of the tested side.
    pub to: Mac,
    /// Packets leave at multiples of this, as a network card's interrupt moderation hands them over; zero: one by one.
    pub grain: Duration,
    /// Which of the received frames are looked at.
    pub look: Look,
}

/// Which of the received frames are copied to us and checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// One in [`SAMPLE`]; the device's counter says how many came.
    Some,
    /// Every one, and they are counted as they come: what else the tested side sends counts for nothing.
    All,
}

/// The legs of one gateway.
pub struct Legs<L> {
    /// Their streams.
    pub ledger: L,
    headers: Vec<[u8; HEADERS]>,
    by_local: HashMap<SocketAddrV4, usize>,
}

impl<L> Legs<L> {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.headers.len()
    }
}

/// The device, for one gateway's legs at a time.
pub struct Wire {
    link: Link,
    sender: OwnedFd,
    ring: Ring,
    frames: Box<[[u8; FRAME]; BATCH]>,
}

impl Wire {
    /// Takes the device; call it in the load's namespace.
    pub fn open(link: Link) -> Result<Wire> {
        let index = nix::net::if_::if_nametoindex(link.device)?;
        Ok(Wire {
            link,
            sender: sender(index)?,
            ring: Ring::open(index, link.look)?,
            frames: Box::new([[0; FRAME]; BATCH]),
        })
    }

    /// Legs on this link; the ledger has a stream for each.
    pub fn legs<L>(&self, addresses: &[LegAddresses], ledger: L) -> Legs<L> {
        let Link { from, to, .. } = self.link;
        let locals = addresses.iter().enumerate();
        Legs {
            ledger,
            headers: addresses.iter().map(|leg| header(from, to, leg)).collect(),
            by_local: locals.map(|(index, leg)| (leg.local, index)).collect(),
        }
    }

    /// Sends `rate` packets a second over all legs for so long, waits for the last ones, and tells what was seen.
    pub fn run<L: Ledger>(
        &mut self,
        legs: &mut Legs<L>,
        rate: f64,
        duration: Duration,
    ) -> MediaResult {
        self.begin(legs);
        let arrived = self.arrived();
        let start = Instant::now();
        self.send_for(legs, rate, duration);
        let seconds = start.elapsed().as_secs_f64();
        self.wait_for_silence(legs, Duration::from_millis(300));
        if self.link.look == Look::Some {
            let result = legs.ledger.result();
            result.received = self.arrived() - arrived;
            for sampled in [
                &mut result.wrong_source,
                &mut result.rubbish,
                &mut result.broken_sequence,
            ] {
                *sampled *= u64::from(SAMPLE);
            }
        }
        legs.ledger.finish(seconds)
    }

    /// A new run: what came before it is counted nowhere.
    pub fn begin<L: Ledger>(&mut self, legs: &mut Legs<L>) {
        self.receive(legs);
        legs.ledger.begin();
    }

    /// Sends `rate` packets a second over all legs for so long, and takes what comes meanwhile.
    pub fn send_for<L: Ledger>(&mut self, legs: &mut Legs<L>, rate: f64, duration: Duration) {
        let start = Instant::now();
        let turns = (duration.as_secs_f64() * rate) as u64;
        let mut turn: u64 = 0;
        while turn < turns {
            let due = ((self.elapsed(start).as_secs_f64() * rate) as u64 + 1).min(turns);
            let count = (due - turn).min(BATCH as u64);
            self.send(legs, turn, count as usize);
            turn += count;
            self.receive(legs);
        }
    }

    /// Frames that the device has received so far, SIP's few among them.
    fn arrived(&self) -> u64 {
        let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
        let line = table
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(self.link.device));
        // After the colon: bytes, packets, ...
        line.and_then(|line| line.split_ascii_whitespace().nth(2)?.parse().ok())
            .unwrap_or(0)
    }

    /// Time since the start, in whole grains.
    fn elapsed(&self, start: Instant) -> Duration {
        let elapsed = start.elapsed().as_nanos() as u64;
        let grain = (self.link.grain.as_nanos() as u64).max(1);
        Duration::from_nanos(elapsed / grain * grain)
    }

    /// The packets of so many turns.
    fn send<L: Ledger>(&mut self, legs: &mut Legs<L>, first: u64, count: usize) {
        if count == 0 {
            return;
        }
        for (place, frame) in self.frames[..count].iter_mut().enumerate() {
            let leg = ((first + place as u64) % legs.headers.len() as u64) as usize;
            frame[..HEADERS].copy_from_slice(&legs.headers[leg]);
            frame[HEADERS..].copy_from_slice(&legs.ledger.next(leg));
        }
        let sent = send_all(&self.sender, &mut self.frames[..count]);
        legs.ledger.result().sent += sent as u64;
        legs.ledger.result().send_failed += (count - sent) as u64;
    }

    fn receive<L: Ledger>(&mut self, legs: &mut Legs<L>) {
        self.ring.drain(|received_ns, frame| {
            let Some((source, destination, payload)) = take_apart(frame) else {
                return;
            };
            if let Some(index) = legs.by_local.get(&destination) {
                legs.ledger.receive(*index, source, received_ns, payload);
            }
        });
    }

    /// Until nothing has come for so long: a gateway that was driven too hard has queues to empty.
    pub fn wait_for_silence<L: Ledger>(&mut self, legs: &mut Legs<L>, silence: Duration) {
        let mut last = (self.heard(legs), Instant::now());
        while last.1.elapsed() < silence {
            self.receive(legs);
            std::thread::sleep(Duration::from_millis(1));
            let heard = self.heard(legs);
            if heard != last.0 {
                last = (heard, Instant::now());
            }
        }
    }

    /// How many packets have come: RTP alone where every frame is looked at.
    fn heard<L: Ledger>(&self, legs: &mut Legs<L>) -> u64 {
        match self.link.look {
            Look::Some => self.arrived(),
            Look::All => legs.ledger.result().received,
        }
    }
}

/// What stands before a leg's packets. The UDP checksum is left out, as RFC 768 allows.
fn header(from: Mac, to: Mac, leg: &LegAddresses) -> [u8; HEADERS] {
    let mut header = [0; HEADERS];
    header[..6].copy_from_slice(&to);
    header[6..12].copy_from_slice(&from);
    header[12..14].copy_from_slice(&[0x08, 0x00]);
    let ip = &mut header[14..34];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((FRAME - 14) as u16).to_be_bytes());
    ip[6] = 0x40;
    ip[8] = 64;
    ip[9] = 17;
    ip[12..16].copy_from_slice(&leg.local.ip().octets());
    ip[16..20].copy_from_slice(&leg.gateway.ip().octets());
    let sum = checksum(ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = &mut header[34..42];
    udp[..2].copy_from_slice(&leg.local.port().to_be_bytes());
    udp[2..4].copy_from_slice(&leg.gateway.port().to_be_bytes());
    udp[4..6].copy_from_slice(&((8 + PACKET) as u16).to_be_bytes());
    header
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2);
    let mut sum: u32 = words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Source, destination and payload of a UDP frame.
fn take_apart(frame: &[u8]) -> Option<(SocketAddrV4, SocketAddrV4, &[u8])> {
    let is_udp = frame.len() >= HEADERS && frame[12..15] == [0x08, 0x00, 0x45] && frame[23] == 17;
    if !is_udp {
        return None;
    }
    let address = |ip: usize, port: usize| {
        let octets = [frame[ip], frame[ip + 1], frame[ip + 2], frame[ip + 3]];
        let port = u16::from_be_bytes([frame[port], frame[port + 1]]);
        SocketAddrV4::new(Ipv4Addr::from(octets), port)
    };
    let length = usize::from(u16::from_be_bytes([frame[38], frame[39]]));
    let payload = frame.get(HEADERS..34 + length)?;
    Some((address(26, 34), address(30, 36), payload))
}

/// A socket that sends frames on the device and receives none.
fn sender(device: u32) -> Result<OwnedFd> {
    let socket = packet_socket(0)?;
    set(&socket, libc::PACKET_QDISC_BYPASS, &1i32)?;
    bind(&socket, device, 0)?;
    Ok(socket)
}

fn packet_socket(protocol: u16) -> Result<OwnedFd> {
    let protocol = i32::from(protocol.to_be());
    // SAFETY: socket(2) takes no memory of ours.
    let fd = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_RAW | libc::SOCK_CLOEXEC,
            protocol,
        )
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error()).context("a packet socket (this needs root)");
    }
    // SAFETY: the descriptor is ours and open.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set<T>(socket: &OwnedFd, option: i32, value: &T) -> Result<()> {
    // SAFETY: the value's address and size are given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if done != 0 {
        let error = std::io::Error::last_os_error();
        return Err(error).with_context(|| format!("packet socket option {option}"));
    }
    Ok(())
}

fn bind(socket: &OwnedFd, device: u32, protocol: u16) -> Result<()> {
    // SAFETY: zero bytes are a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = device as i32;
    // SAFETY: the address outlives the call, and its size is given.
    let done = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            std::ptr::from_ref(&address).cast(),
            size_of::<libc::sockaddr_ll>() as libc::socklen_t,
        )
    };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("bind to the device");
    }
    Ok(())
}

/// Sends the frames; how many went.
fn send_all(socket: &OwnedFd, frames: &mut [[u8; FRAME]]) -> usize {
    // SAFETY: zero bytes are valid for these plain C structures.
    let (mut parts, mut messages): ([libc::iovec; BATCH], [libc::mmsghdr; BATCH]) =
        unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    for (place, frame) in frames.iter_mut().enumerate() {
        parts[place] = libc::iovec {
            iov_base: frame.as_mut_ptr().cast(),
            iov_len: FRAME,
        };
        messages[place].msg_hdr.msg_iov = &raw mut parts[place];
        messages[place].msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: the messages point to frames and parts that outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            frames.len() as u32,
            0,
        )
    };
    usize::try_from(sent).unwrap_or(0)
}

/// Lets one frame in [`SAMPLE`] through, by the kernel's random number (a classic BPF program).
fn attach_sampler(socket: &OwnedFd) -> Result<()> {
    let instruction = |code: u32, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let random = (libc::SKF_AD_OFF + libc::SKF_AD_RANDOM) as u32;
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, random),
        instruction(
            libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K,
            1,
            u32::MAX / SAMPLE,
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0),
        instruction(libc::BPF_RET | libc::BPF_K, 0, u32::MAX),
    ];
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the program outlives the call, which copies it; its length is given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("the sampling filter");
    }
    Ok(())
}

/// The kernel's ring of received frames (TPACKET_V2).
struct Ring {
    // Held for the mapping's life.
    _socket: OwnedFd,
    memory: *mut u8,
    next: usize,
}

impl Ring {
    fn open(device: u32, look: Look) -> Result<Ring> {
        let socket = packet_socket(libc::ETH_P_IP as u16)?;
        set(&socket, libc::PACKET_IGNORE_OUTGOING, &1i32)?;
        set(
            &socket,
            libc::PACKET_VERSION,
            &(libc::tpacket_versions::TPACKET_V2 as i32),
        )?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: (SLOT * SLOTS / BLOCK) as u32,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: SLOTS as u32,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        if look == Look::Some {
            attach_sampler(&socket)?;
        }
        // SAFETY: a fresh mapping of the ring just made, of its size.
        let memory = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLOT * SLOTS,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error()).context("mmap of the receive ring");
        }
        bind(&socket, device, libc::ETH_P_IP as u16)?;
        Ok(Ring {
            _socket: socket,
            memory: memory.cast(),
            next: 0,
        })
    }

    /// Hands over every frame that has come, with its time of CLOCK_REALTIME in nanoseconds.
    fn drain(&mut self, mut take: impl FnMut(u64, &[u8])) {
        loop {
            // SAFETY: `next` is below SLOTS, so the slot lies in the mapping; the kernel writes its header aligned.
            let slot = unsafe { self.memory.add(self.next * SLOT) };
            let header: *const libc::tpacket2_hdr = slot.cast();
            // SAFETY: the status is the header's first word, shared with the kernel and only touched atomically.
            let status = unsafe { AtomicU32::from_ptr(slot.cast()) };
            if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
                return;
            }
            // SAFETY: the slot is ours until its status is given back; the kernel keeps offset and length inside it.
            let (received_ns, frame) = unsafe {
                let header = &*header;
                let start = slot.add(usize::from(header.tp_mac));
                let length = (header.tp_snaplen as usize).min(SLOT - usize::from(header.tp_mac));
                let time = u64::from(header.tp_sec) * 1_000_000_000 + u64::from(header.tp_nsec);
                (time, std::slice::from_raw_parts(start, length))
            };
            take(received_ns, frame);
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.next = (self.next + 1) % SLOTS;
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this size, and nobody refers to it any more.
        unsafe {
            libc::munmap(self.memory.cast(), SLOT * SLOTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back() {
        let leg = LegAddresses {
            local: "198.18.0.4:30000".parse().expect("an address"),
            gateway: "198.18.0.1:10000".parse().expect("an address"),
        };
        let mut frame = [7; FRAME];
        frame[..HEADERS].copy_from_slice(&header([1; 6], [2; 6], &leg));
        let (source, destination, payload) = take_apart(&frame).expect("UDP");
        assert_eq!((source, destination), (leg.local, leg.gateway));
        assert_eq!(payload, [7; PACKET]);
        assert_eq!(checksum(&frame[14..34]), 0);
    }
}
