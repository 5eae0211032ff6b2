//! The RTP side of the load: one thread that sends on every leg at its turn and takes what has come for it.
//!
//! A leg's turn comes once a packet time; the turns of all legs are spread evenly over it. Receive times are the
//! kernel's, so it does not matter that a packet is fetched only at its leg's next turn.

use crate::packet::{self, PACKET, Probe, Stream};
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// One leg: our address, and the gateway's port that its SDP gave us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LegAddresses {
    /// Ours; it stood in our SDP.
    pub local: SocketAddrV4,
    /// The gateway's.
    pub gateway: SocketAddrV4,
}

/// What one run of the media saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MediaResult {
    /// Packets sent, all legs.
    pub sent: u64,
    /// Packets received whole, from the right source, in any order.
    pub received: u64,
    /// Sent but not received, or received twice (then below zero).
    pub lost: i64,
    /// From an address that the SDP did not tell.
    pub wrong_source: u64,
    /// Not a packet that a leg of ours sent, harmed, or with another payload type.
    pub rubbish: u64,
    /// Whose SSRC, sender or sequence number did not continue.
    pub broken_sequence: u64,
    /// Sends that the kernel refused.
    pub send_failed: u64,
    /// Seconds that were measured.
    pub seconds: f64,
    /// Packets a second that were really sent.
    pub rate: f64,
    /// From our send to our receive, in microseconds: p50, p99, p99.9, max.
    pub latency_us: [f64; 4],
}

impl MediaResult {
    /// Part of what was sent that did not come, or came wrong.
    pub fn loss(&self) -> f64 {
        let bad =
            self.lost.unsigned_abs() + self.rubbish + self.wrong_source + self.broken_sequence;
        bad as f64 / self.sent.max(1) as f64
    }
}

/// What the far leg's stream looked like so far.
struct Heard {
    ssrc: u32,
    sender: u32,
    /// Sequence number minus count, which must stay.
    offset: u16,
}

struct Leg {
    socket: Socket,
    gateway: SocketAddrV4,
    stream: Stream,
    sent: u32,
    heard: Option<Heard>,
}

/// All legs.
pub struct Media {
    legs: Vec<Leg>,
    latency: Histogram<u64>,
    result: MediaResult,
    receive: ReceiveBuffers,
}

impl Media {
    /// Binds every leg's socket.
    pub fn open(addresses: &[LegAddresses], payload_type: u8) -> Result<Media> {
        if addresses.is_empty() {
            bail!("no legs: no call was answered");
        }
        let legs = addresses
            .iter()
            .map(|leg| Leg::open(leg, payload_type))
            .collect::<Result<_>>()?;
        let latency = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
        Ok(Media {
            legs,
            latency,
            result: MediaResult::default(),
            receive: ReceiveBuffers::new(),
        })
    }

    /// Sends `rate` packets a second over all legs for so long, waits for the last ones, and tells what was seen.
    pub fn run(&mut self, rate: f64, duration: Duration) -> MediaResult {
        self.drain_all();
        self.latency.reset();
        self.result = MediaResult::default();
        let gap = Duration::from_secs_f64(1.0 / rate);
        let start = Instant::now();
        let mut turn: u64 = 0;
        let turns = (duration.as_secs_f64() * rate) as u64;
        while turn < turns {
            let due = (start.elapsed().as_secs_f64() * rate) as u64 + 1;
            while turn < due.min(turns) {
                let leg = (turn % self.legs.len() as u64) as usize;
                self.take_turn(leg);
                turn += 1;
            }
            // Short naps: packets leave a few at a time, as they come from many phones.
            let next = start + gap.mul_f64(turn as f64);
            std::thread::sleep(
                next.saturating_duration_since(Instant::now())
                    .min(Duration::from_millis(1)),
            );
        }
        let seconds = start.elapsed().as_secs_f64();
        self.wait_for_the_last();
        self.finish(seconds)
    }

    fn take_turn(&mut self, index: usize) {
        self.receive_on(index);
        let leg = &mut self.legs[index];
        let probe = Probe {
            sender: index as u32,
            count: leg.sent,
            sent_ns: realtime_ns(),
        };
        let mut packet = [0; PACKET];
        packet::write(&mut packet, &leg.stream, &probe);
        match leg.socket.send_to(&packet, &leg.gateway.into()) {
            Ok(_) => self.result.sent += 1,
            Err(_) => self.result.send_failed += 1,
        }
        leg.sent = leg.sent.wrapping_add(1);
    }

    fn receive_on(&mut self, index: usize) {
        loop {
            let count = self.receive.fetch(self.legs[index].socket.as_raw_fd());
            for place in 0..count {
                let (source, received_ns, bytes) = self.receive.get(place);
                let leg = &mut self.legs[index];
                if source != leg.gateway {
                    self.result.wrong_source += 1;
                    continue;
                }
                let Some(received) =
                    packet::read(bytes).filter(|r| r.payload_type == leg.stream.payload_type)
                else {
                    self.result.rubbish += 1;
                    continue;
                };
                let offset = received.sequence.wrapping_sub(received.probe.count as u16);
                let heard = leg.heard.get_or_insert(Heard {
                    ssrc: received.ssrc,
                    sender: received.probe.sender,
                    offset,
                });
                if heard.ssrc != received.ssrc
                    || heard.sender != received.probe.sender
                    || heard.offset != offset
                {
                    self.result.broken_sequence += 1;
                }
                self.result.received += 1;
                let latency = received_ns.saturating_sub(received.probe.sent_ns).max(1);
                self.latency.saturating_record(latency);
            }
            if count < ReceiveBuffers::DEPTH {
                return;
            }
        }
    }

    fn drain_all(&mut self) {
        for index in 0..self.legs.len() {
            self.receive_on(index);
        }
    }

    /// Until all came, or half a second after the last one that did.
    fn wait_for_the_last(&mut self) {
        let mut last = Instant::now();
        while self.result.received < self.result.sent && last.elapsed() < Duration::from_millis(500)
        {
            let before = self.result.received;
            self.drain_all();
            if self.result.received > before {
                last = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.drain_all();
    }

    fn finish(&mut self, seconds: f64) -> MediaResult {
        let microseconds = |quantile: f64| self.latency.value_at_quantile(quantile) as f64 / 1000.0;
        self.result.lost = self.result.sent as i64 - self.result.received as i64;
        self.result.seconds = seconds;
        self.result.rate = self.result.sent as f64 / seconds;
        self.result.latency_us = [
            microseconds(0.5),
            microseconds(0.99),
            microseconds(0.999),
            self.latency.max() as f64 / 1000.0,
        ];
        self.result.clone()
    }
}

impl Leg {
    fn open(addresses: &LegAddresses, payload_type: u8) -> Result<Leg> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Room for a second of packets, so that what is fetched late is not lost here.
        socket.set_recv_buffer_size(256 * 1024)?;
        enable_receive_time(&socket)?;
        socket
            .bind(&addresses.local.into())
            .with_context(|| format!("bind {}", addresses.local))?;
        let stream = Stream {
            payload_type,
            ssrc: fastrand::u32(..),
            first_sequence: fastrand::u16(..),
        };
        Ok(Leg {
            socket,
            gateway: addresses.gateway,
            stream,
            sent: 0,
            heard: None,
        })
    }
}

fn enable_receive_time(socket: &Socket) -> Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option takes a c_int, whose address and size are given.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            std::ptr::from_ref(&on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if done != 0 {
        return Err(std::io::Error::last_os_error()).context("SO_TIMESTAMPNS");
    }
    Ok(())
}

fn realtime_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Room for one `recvmmsg`.
struct ReceiveBuffers {
    packets: Box<[[u8; 2048]; Self::DEPTH]>,
    names: Box<[libc::sockaddr_in; Self::DEPTH]>,
    controls: Box<[[u64; 8]; Self::DEPTH]>,
    iovecs: Box<[libc::iovec; Self::DEPTH]>,
    headers: Box<[libc::mmsghdr; Self::DEPTH]>,
}

impl ReceiveBuffers {
    const DEPTH: usize = 4;

    fn new() -> ReceiveBuffers {
        // SAFETY: all of these are plain C structures for which zero bytes are valid.
        let (names, iovecs, headers) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        ReceiveBuffers {
            packets: Box::new([[0; 2048]; Self::DEPTH]),
            names: Box::new(names),
            controls: Box::new([[0; 8]; Self::DEPTH]),
            iovecs: Box::new(iovecs),
            headers: Box::new(headers),
        }
    }

    /// Takes what has come on a socket, at most [`Self::DEPTH`] packets; their number.
    fn fetch(&mut self, socket: i32) -> usize {
        for place in 0..Self::DEPTH {
            self.iovecs[place] = libc::iovec {
                iov_base: self.packets[place].as_mut_ptr().cast(),
                iov_len: 2048,
            };
            let header = &mut self.headers[place].msg_hdr;
            header.msg_name = std::ptr::from_mut(&mut self.names[place]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_iov = &mut self.iovecs[place];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[place].as_mut_ptr().cast();
            header.msg_controllen = size_of::<[u64; 8]>() as _;
        }
        // SAFETY: every header points at buffers of this value with their true sizes, which outlive the call.
        let count = unsafe {
            let headers = self.headers.as_mut_ptr();
            libc::recvmmsg(
                socket,
                headers,
                Self::DEPTH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).unwrap_or(0)
    }

    /// Source, the kernel's receive time in nanoseconds, and bytes of a fetched packet.
    fn get(&self, place: usize) -> (SocketAddrV4, u64, &[u8]) {
        let name = &self.names[place];
        let source = SocketAddrV4::new(
            u32::from_be(name.sin_addr.s_addr).into(),
            u16::from_be(name.sin_port),
        );
        let length = (self.headers[place].msg_len as usize).min(2048);
        (
            source,
            self.receive_time(place),
            &self.packets[place][..length],
        )
    }

    fn receive_time(&self, place: usize) -> u64 {
        let header = &self.headers[place].msg_hdr;
        // SAFETY: the kernel filled the control buffer and its length; CMSG_* walk within them.
        unsafe {
            let mut control = libc::CMSG_FIRSTHDR(header);
            while !control.is_null() {
                if (*control).cmsg_level == libc::SOL_SOCKET
                    && (*control).cmsg_type == libc::SO_TIMESTAMPNS
                {
                    let time: libc::timespec =
                        std::ptr::read_unaligned(libc::CMSG_DATA(control).cast());
                    return time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
                }
                control = libc::CMSG_NXTHDR(header, control);
            }
        }
        0
    }
}
