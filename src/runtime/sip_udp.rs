//! SIP over UDP: one socket a transport.

use super::input::Input;
use crate::sip::{Flow, Protocol, TransportId};
use bytes::Bytes;
use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmsg, sendmmsg, setsockopt,
    sockopt,
};
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Datagrams taken from a socket before other tasks have their turn.
const BATCH: usize = 32;
/// Datagrams sent by one system call.
const SEND_BATCH: usize = 64;
/// The kernel's receive buffer: a second of a busy trunk's signalling. The kernel may allow less (net.core.rmem_max).
const RECEIVE_BUFFER: usize = 4 << 20;
/// No UDP payload is longer.
const DATAGRAM_MAX: usize = 65_535;

/// A bound socket of one transport.
#[derive(Clone, Debug)]
pub struct UdpTransport {
    transport: TransportId,
    socket: Rc<UdpSocket>,
}

impl UdpTransport {
    /// Binds. Must be called inside the runtime.
    ///
    /// # Errors
    /// The operating system's.
    pub fn bind(transport: TransportId, address: SocketAddr) -> io::Result<UdpTransport> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            // An IPv4 peer never appears as ::ffff:a.b.c.d, which no ACL or identify would match.
            socket.set_only_v6(true)?;
        }
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        socket.set_nonblocking(true)?;
        // ICMP errors come with the peer that they are about (ip(7), IP_RECVERR).
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        }
        socket.bind(&address.into())?;
        let socket = Rc::new(UdpSocket::from_std(socket.into())?);
        Ok(UdpTransport { transport, socket })
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Sends one datagram at once. A full send buffer is an error too (`WouldBlock`): the datagram is lost, as it might
    /// be anywhere on its way, and a timer sends it again.
    ///
    /// # Errors
    /// The operating system's, about this datagram.
    pub fn send(&self, peer: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        // Straight to the system: tokio would say WouldBlock until it has seen the socket writable once.
        let socket = SockRef::from(&*self.socket);
        let peer = peer.into();
        // The first call may get the error of an earlier datagram to another peer (udp(7)); the error queue tells
        // whose, to the receiving task. Then this one is still to be sent.
        match socket.send_to(bytes, &peer) {
            Err(error) if is_unreachable(&error) => socket.send_to(bytes, &peer).map(drop),
            other => other.map(drop),
        }
    }

    /// Sends datagrams in order with as few system calls as the kernel allows; `failed` is told of each that was not
    /// sent, as by [`UdpTransport::send`].
    pub fn send_all(
        &self,
        datagrams: &[(SocketAddr, Bytes)],
        mut failed: impl FnMut(SocketAddr, io::Error),
    ) {
        let mut rest = datagrams;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(SEND_BATCH));
            let sent = self.send_some(now);
            rest = &rest[sent..];
            if sent < now.len() {
                // The kernel stops at the first that it cannot send: that one alone says why.
                let (peer, bytes) = &rest[0];
                if let Err(error) = self.send(*peer, bytes) {
                    failed(*peer, error);
                }
                rest = &rest[1..];
            } else {
                rest = later;
            }
        }
    }

    /// How many of these, from the first on, the kernel took at once.
    fn send_some(&self, datagrams: &[(SocketAddr, Bytes)]) -> usize {
        if datagrams.len() == 1 {
            return 0;
        }
        let slices: Vec<_> = datagrams
            .iter()
            .map(|(_, bytes)| [IoSlice::new(bytes)])
            .collect();
        let peers: Vec<_> = datagrams
            .iter()
            .map(|(peer, _)| Some(SockaddrStorage::from(*peer)))
            .collect();
        let mut headers = MultiHeaders::preallocate(datagrams.len(), None);
        let flags = MsgFlags::MSG_DONTWAIT;
        let descriptor = self.socket.as_raw_fd();
        sendmmsg(descriptor, &mut headers, &slices, &peers, [], flags).map_or(0, Iterator::count)
    }

    /// Receives for ever.
    pub async fn receive(self, inputs: mpsc::Sender<Input>) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_MAX];
        loop {
            self.socket
                .ready(Interest::READABLE | Interest::ERROR)
                .await?;
            for _ in 0..BATCH {
                match self.socket.try_recv_from(&mut buffer) {
                    Ok((length, peer)) => {
                        let bytes = Bytes::copy_from_slice(&buffer[..length]);
                        let flow = self.flow(peer);
                        if inputs.send(Input::Datagram { flow, bytes }).await.is_err() {
                            return Ok(());
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An ICMP error that waits; the error queue says more.
                    Err(_) => {}
                }
            }
            for _ in 0..BATCH {
                match self
                    .socket
                    .try_io(Interest::ERROR, || next_error(&self.socket))
                {
                    Ok(Some(peer)) => {
                        let flow = self.flow(peer);
                        if inputs.send(Input::Unreachable { flow }).await.is_err() {
                            return Ok(());
                        }
                    }
                    Ok(None) => {}
                    Err(_) => break,
                }
            }
        }
    }

    fn flow(&self, peer: SocketAddr) -> Flow {
        Flow {
            transport: self.transport,
            protocol: Protocol::Udp,
            peer,
            domain: None,
        }
    }
}

/// True for an error that says: this peer, or its network, cannot be reached.
pub fn is_unreachable(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(is_unreachable_errno)
}

fn is_unreachable_errno(errno: i32) -> bool {
    matches!(
        errno,
        libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH | libc::EHOSTDOWN
    )
}

/// The next entry of the socket's error queue: the peer that is unreachable, or None for an entry of another kind.
fn next_error(socket: &UdpSocket) -> io::Result<Option<SocketAddr>> {
    let mut payload = [0; 1];
    let mut parts = [IoSliceMut::new(&mut payload)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let unreachable = message.cmsgs()?.any(|control| match control {
        ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
            i32::try_from(error.ee_errno).is_ok_and(is_unreachable_errno)
        }
        _ => false,
    });
    // The name is where the datagram was sent to (recv(2), MSG_ERRQUEUE).
    Ok(message.address.filter(|_| unreachable).and_then(|address| {
        let v4 = address
            .as_sockaddr_in()
            .map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
        v4.or_else(|| {
            address
                .as_sockaddr_in6()
                .map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;

    /// Runs on a runtime like the control thread's.
    fn run(test: impl Future<Output = ()>) {
        tokio_uring::start(test);
    }

    fn bound(transport: u16, address: &str) -> UdpTransport {
        let address = address.parse().expect("an address");
        UdpTransport::bind(TransportId(transport), address).expect("a free port")
    }

    #[test]
    fn datagrams_come_with_their_source() {
        run(async {
            let (a, b) = (bound(0, "127.0.0.1:0"), bound(1, "127.0.0.1:0"));
            let (inputs, mut received) = mpsc::channel(4);
            tokio_uring::spawn(b.clone().receive(inputs));
            a.send(b.local_addr().expect("bound"), b"one")
                .expect("sent");
            a.send(b.local_addr().expect("bound"), b"two")
                .expect("sent");
            for wanted in ["one", "two"] {
                let Some(Input::Datagram { flow, bytes }) = received.recv().await else {
                    panic!("a datagram")
                };
                assert_eq!(bytes, wanted);
                assert_eq!(flow.transport, TransportId(1));
                assert_eq!(flow.peer, a.local_addr().expect("bound"));
            }
        });
    }

    #[test]
    fn many_leave_together_and_one_that_cannot_stops_no_other() {
        run(async {
            let (a, b) = (bound(0, "127.0.0.1:0"), bound(1, "127.0.0.1:0"));
            let (inputs, mut received) = mpsc::channel(256);
            tokio_uring::spawn(b.clone().receive(inputs));
            let to = b.local_addr().expect("bound");
            let elsewhere: SocketAddr = "[::1]:9".parse().expect("an address");
            let mut all: Vec<_> = (0..150)
                .map(|number: usize| (to, Bytes::from(number.to_string())))
                .collect();
            all.insert(100, (elsewhere, Bytes::from_static(b"not over IPv4")));
            let mut failed = Vec::new();
            a.send_all(&all, |peer, _| failed.push(peer));
            assert_eq!(failed, [elsewhere]);
            for number in 0..150 {
                let Some(Input::Datagram { bytes, .. }) = received.recv().await else {
                    panic!("a datagram")
                };
                assert_eq!(bytes, number.to_string());
            }
        });
    }

    #[test]
    fn an_icmp_error_names_the_peer_that_it_is_about() {
        for loopback in ["127.0.0.1:0", "[::1]:0"] {
            run(async {
                // Bound and closed again: nobody is there.
                let gone = bound(0, loopback).local_addr().expect("bound");
                let us = bound(3, loopback);
                let (inputs, mut received) = mpsc::channel(4);
                tokio_uring::spawn(us.clone().receive(inputs));
                us.send(gone, b"hello").expect("sent");
                let Some(Input::Unreachable { flow }) = received.recv().await else {
                    panic!("an ICMP error")
                };
                assert_eq!((flow.peer, flow.transport), (gone, TransportId(3)));
                // And the socket goes on: it does not spin, and it still receives.
                let other = bound(4, loopback);
                other
                    .send(us.local_addr().expect("bound"), b"still here")
                    .expect("sent");
                let Some(Input::Datagram { bytes, .. }) = received.recv().await else {
                    panic!("a datagram")
                };
                assert_eq!(bytes, "still here");
            });
        }
    }
}
