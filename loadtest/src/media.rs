//! The RTP side of the load: one thread that sends on every leg at its turn and takes what has come for it.
//!
//! A leg's turn comes once a packet time; the turns of all legs are spread evenly over it. Receive times are the
//! kernel's, so it does not matter that a packet is fetched only at its leg's next turn.

use crate::ledger::{Ledger, LegAddresses, MediaResult};
use anyhow::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// All legs.
pub struct Media<L> {
    legs: Vec<Leg>,
    /// Their streams.
    pub ledger: L,
    receive: ReceiveBuffers,
}

struct Leg {
    socket: Socket,
    gateway: SocketAddrV4,
}

impl<L: Ledger> Media<L> {
    /// Binds every leg's socket; the ledger has a stream for each.
    pub fn open(addresses: &[LegAddresses], ledger: L) -> Result<Media<L>> {
        let legs = addresses.iter().map(Leg::open).collect::<Result<_>>()?;
        Ok(Media {
            legs,
            ledger,
            receive: ReceiveBuffers::new(),
        })
    }

    /// Sends `rate` packets a second over all legs for so long, waits for the last ones, and tells what was seen.
    pub fn run(&mut self, rate: f64, duration: Duration) -> MediaResult {
        self.drain_all();
        self.ledger.begin();
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
        self.ledger.finish(seconds)
    }

    fn take_turn(&mut self, index: usize) {
        self.receive_on(index);
        let packet = self.ledger.next(index);
        let leg = &self.legs[index];
        match leg.socket.send_to(&packet, &leg.gateway.into()) {
            Ok(_) => self.ledger.result().sent += 1,
            Err(_) => self.ledger.result().send_failed += 1,
        }
    }

    fn receive_on(&mut self, index: usize) {
        loop {
            let count = self.receive.fetch(self.legs[index].socket.as_raw_fd());
            for place in 0..count {
                let (source, received_ns, bytes) = self.receive.get(place);
                self.ledger.receive(index, source, received_ns, bytes);
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

    fn is_incomplete(&mut self) -> bool {
        let result = self.ledger.result();
        result.received < result.sent
    }

    /// Until all came, or half a second after the last one that did.
    fn wait_for_the_last(&mut self) {
        let mut last = Instant::now();
        while self.is_incomplete() && last.elapsed() < Duration::from_millis(500) {
            let before = self.ledger.result().received;
            self.drain_all();
            if self.ledger.result().received > before {
                last = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.drain_all();
    }
}

impl Leg {
    fn open(addresses: &LegAddresses) -> Result<Leg> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        // Room for a second of packets, so that what is fetched late is not lost here.
        socket.set_recv_buffer_size(256 * 1024)?;
        enable_receive_time(&socket)?;
        socket
            .bind(&addresses.local.into())
            .with_context(|| format!("bind {}", addresses.local))?;
        Ok(Leg {
            socket,
            gateway: addresses.gateway,
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
