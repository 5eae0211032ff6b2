//! A leg's UDP socket.

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::io;
use std::net::SocketAddr;

/// Bytes of packets that the kernel holds for us while the worker is busy elsewhere: seconds of one audio stream. It
/// may give less, down to `net.core.rmem_max`.
const RECEIVE_BUFFER_LEN: usize = 256 * 1024;

/// Opens and binds a socket that counts what it drops. `dscp` marks what it sends
/// (RFC 2474, 0 to 63). Errors: the address is not ours, the port is taken, no file descriptor left.
pub fn open(bind: SocketAddr, dscp: u8) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(bind),
        Type::DGRAM.cloexec(),
        Some(Protocol::UDP),
    )?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER_LEN)?;
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    // The six bits of DSCP stand above the two of ECN (RFC 3168).
    let traffic_class = i32::from(dscp) << 2;
    if bind.is_ipv6() {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6TClass, &traffic_class)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4Tos, &traffic_class)?;
    }
    socket.bind(&bind.into())?;
    Ok(socket)
}

/// Has the kernel note when each packet came, which the packet then brings along.
pub fn stamp_receives(socket: &Socket) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::ReceiveTimestampns, &true)?)
}

/// Connects to a peer: the kernel then keeps the route, finds the socket sooner and drops all others' packets. What was
/// received before stays in the queue, from whomever. Errors: no route to it.
pub fn connect(socket: &Socket, peer: SocketAddr) -> io::Result<()> {
    socket.connect(&peer.into())
}

/// Hears everybody again. The bound address and port stay, for `bind` was told both: the kernel forgets only a port that
/// it chose itself.
pub fn disconnect(socket: &Socket) -> io::Result<()> {
    let storage = SockAddrStorage::zeroed();
    let len = storage.size_of();
    // SAFETY: a zeroed storage of its full length is an address of family AF_UNSPEC (0), valid for any reader.
    let nobody = unsafe { SockAddr::new(storage, len) };
    socket.connect(&nobody)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn a_disconnect_keeps_address_and_port_and_loses_nothing() {
        let peer = UdpSocket::bind("127.0.70.2:0").expect("a peer");
        let other = UdpSocket::bind("127.0.70.3:0").expect("another");
        let ours = "127.0.70.1:30000".parse().expect("an address");
        let socket = open(ours, 46).expect("a socket");

        // A stream from the peer goes on through forty connects and disconnects, read only after.
        let mut sent = Vec::new();
        for round in 0..40u8 {
            connect(&socket, peer.local_addr().expect("bound")).expect("connected");
            peer.send_to(&[round, 0], ours).expect("sent");
            other.send_to(b"stranger", ours).expect("sent");
            disconnect(&socket).expect("disconnected");
            peer.send_to(&[round, 1], ours).expect("sent");
            other.send_to(&[round, 2], ours).expect("sent");
            sent.extend([[round, 0], [round, 1], [round, 2]]);
            assert_eq!(socket.local_addr().expect("bound").as_socket(), Some(ours));
        }

        let socket = UdpSocket::from(socket);
        let mut received = Vec::new();
        let mut buffer = [0; 16];
        while received.len() < sent.len() {
            let (len, _) = socket.recv_from(&mut buffer).expect("a packet");
            received.push(<[u8; 2]>::try_from(&buffer[..len]).expect("no stranger"));
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn the_mark_is_set() {
        let v4 = open("127.0.70.1:0".parse().expect("an address"), 46).expect("a socket");
        assert_eq!(v4.tos_v4().expect("tos"), 46 << 2);
        let v6 = open("[::1]:0".parse().expect("an address"), 46).expect("a socket");
        let class = nix::sys::socket::getsockopt(&v6, sockopt::Ipv6TClass).expect("class");
        assert_eq!(class, 46 << 2);
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let first = open("127.0.70.1:0".parse().expect("an address"), 0).expect("a socket");
        let bound = first.local_addr().expect("bound").as_socket().expect("ip");
        let error = open(bound, 0).expect_err("taken");
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    }
}
