//! The sockets of a peer and the threads that read them.

use super::desk::Desk;
use super::flow;
use crate::gateway::{PATIENCE, POLL};
use bytes::Bytes;
use ringway::sip::{Protocol, Transmit};
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Longest datagram, and piece of a stream that is read at once.
const READ_MAX: usize = 65_536;

/// Where messages go out.
pub(super) enum Wire {
    /// UDP.
    Datagrams(UdpSocket),
    /// TCP, by the far end.
    Streams(HashMap<SocketAddr, TcpStream>),
}

impl Wire {
    pub(super) fn send(&mut self, transmit: &Transmit) {
        let (peer, bytes) = (transmit.flow.peer, &transmit.bytes);
        // What cannot be sent is missed by whoever waits for it.
        let _ = match self {
            Wire::Datagrams(socket) => socket.send_to(bytes, peer).map(|_| ()),
            Wire::Streams(streams) => match streams.get_mut(&peer) {
                Some(stream) => stream.write_all(bytes),
                None => Ok(()),
            },
        };
    }
}

/// A peer's desk, and the threads that fill it until the peer is gone.
pub(super) struct Line {
    desk: Mutex<Desk>,
    news: Condvar,
    is_over: AtomicBool,
}

impl Line {
    fn new(address: SocketAddrV4, wire: Wire) -> Arc<Line> {
        let seed = u64::from(u32::from(*address.ip())) << 16 | u64::from(address.port());
        Arc::new(Line {
            desk: Mutex::new(Desk::new(seed, wire)),
            news: Condvar::new(),
            is_over: AtomicBool::new(false),
        })
    }

    pub(super) fn on_udp(address: SocketAddrV4) -> Arc<Line> {
        let socket = UdpSocket::bind(address).expect("a test's own address is free");
        socket.set_read_timeout(Some(POLL)).expect("a time-out");
        let sender = socket.try_clone().expect("a second handle");
        let line = Line::new(address, Wire::Datagrams(sender));
        let reader = line.clone();
        std::thread::spawn(move || reader.read_datagrams(&socket));
        line
    }

    /// The line, and the address that it is connected from.
    pub(super) fn connected(host: Ipv4Addr, gateway: SocketAddrV4) -> (Arc<Line>, SocketAddrV4) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any_port = SocketAddrV4::new(host, 0);
        socket.bind(&any_port.into()).expect("a free port");
        socket
            .connect(&gateway.into())
            .expect("the gateway takes connections");
        let stream = TcpStream::from(socket);
        let Ok(SocketAddr::V4(address)) = stream.local_addr() else {
            unreachable!("it is bound to an IPv4 address")
        };
        let line = Line::new(address, Wire::Streams(HashMap::new()));
        line.take_stream(stream, gateway.into());
        (line, address)
    }

    pub(super) fn listening(address: SocketAddrV4) -> Arc<Line> {
        let listener = TcpListener::bind(address).expect("a test's own address is free");
        listener.set_nonblocking(true).expect("a socket's mode");
        let line = Line::new(address, Wire::Streams(HashMap::new()));
        let accepting = line.clone();
        std::thread::spawn(move || {
            while !accepting.is_over() {
                match listener.accept() {
                    Ok((stream, peer)) => accepting.take_stream(stream, peer),
                    Err(_) => std::thread::park_timeout(POLL),
                }
            }
        });
        line
    }

    fn take_stream(self: &Arc<Line>, stream: TcpStream, peer: SocketAddr) {
        stream.set_nonblocking(false).expect("a socket's mode");
        stream.set_read_timeout(Some(POLL)).expect("a time-out");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a time-out");
        let sender = stream.try_clone().expect("a second handle");
        if let Wire::Streams(streams) = &mut self.desk().wire {
            streams.insert(peer, sender);
        }
        let reader = self.clone();
        std::thread::spawn(move || reader.read_stream(stream, peer));
    }

    fn read_datagrams(&self, socket: &UdpSocket) {
        let mut buffer = vec![0; READ_MAX];
        while !self.is_over() {
            let read = socket.recv_from(&mut buffer);
            let mut desk = self.desk();
            if let Ok((length, peer)) = read {
                let datagram = Bytes::copy_from_slice(&buffer[..length]);
                let now = std::time::Instant::now();
                let flow = flow(Protocol::Udp, peer);
                desk.endpoint.handle_datagram(now, flow, datagram);
            }
            desk.turn();
            self.news.notify_all();
        }
    }

    fn read_stream(&self, mut stream: TcpStream, peer: SocketAddr) {
        let mut buffer = vec![0; READ_MAX];
        while !self.is_over() {
            let read = stream.read(&mut buffer);
            let mut desk = self.desk();
            let now = std::time::Instant::now();
            let flow = flow(Protocol::Tcp, peer);
            match read {
                Ok(0) => return desk.endpoint.handle_flow_failed(now, flow),
                Ok(length) => {
                    let framed = desk.endpoint.handle_stream(now, flow, &buffer[..length]);
                    framed.expect("the gateway keeps to the framing of a stream");
                }
                Err(_) => {}
            }
            desk.turn();
            self.news.notify_all();
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no thread of the peer has failed")
    }

    /// Waits for news, a while at most.
    pub(super) fn wait<'d>(
        &self,
        desk: MutexGuard<'d, Desk>,
        time: Duration,
    ) -> MutexGuard<'d, Desk> {
        let waited = self.news.wait_timeout(desk, time);
        waited.expect("no thread of the peer has failed").0
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
