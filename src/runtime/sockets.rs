//! The sockets of the SIP transports: bound at the start, and at a reload that adds one.

use super::input::Input;
use super::sip_streams::{StreamTransport, accept};
use super::sip_udp::UdpTransport;
use super::tls::{self, Contexts};
use crate::config::settings::Transport;
use crate::sip::{Protocol, TransportId};
use rustc_hash::FxHashMap;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Connections that wait in the kernel to be taken.
const BACKLOG: i32 = 1024;

/// Where what comes goes.
pub(super) struct Intake {
    pub inputs: mpsc::Sender<Input>,
    /// The thread of TLS, if a transport needed it at the start.
    pub crypto: Option<Handle>,
}

impl Intake {
    pub fn new(inputs: mpsc::Sender<Input>, crypto: Option<Handle>) -> Intake {
        Intake { inputs, crypto }
    }
}

/// Bound sockets.
#[derive(Default)]
pub(super) struct Sockets {
    pub udp: FxHashMap<TransportId, UdpTransport>,
    listeners: Vec<(TransportId, TcpListener)>,
    /// Watched by the thread of TLS, and so are their connections.
    tls_listeners: Vec<(TransportId, TcpListener)>,
    pub streams: FxHashMap<TransportId, StreamTransport>,
    /// Name, protocol and address of each.
    pub addresses: Vec<(String, Protocol, SocketAddr)>,
}

impl Sockets {
    /// Takes connections and datagrams from now on.
    pub fn receive(&mut self, intake: &Intake) {
        for (transport, listener) in self.listeners.drain(..) {
            tokio_uring::spawn(accept(transport, listener, intake.inputs.clone()));
        }
        if let Some(crypto) = &intake.crypto {
            for (transport, listener) in self.tls_listeners.drain(..) {
                crypto.spawn(accept(transport, listener, intake.inputs.clone()));
            }
        }
        for socket in self.udp.values() {
            tokio_uring::spawn(socket.clone().receive(intake.inputs.clone()));
        }
    }

    /// Binds one more. `crypto` is the thread of TLS.
    ///
    /// # Errors
    /// The operating system's; or it is of TLS and there is no thread for that.
    pub fn bind(
        &mut self,
        id: TransportId,
        transport: &Transport,
        tls: &Contexts,
        crypto: Option<&Handle>,
    ) -> io::Result<()> {
        let local = match transport.protocol {
            Protocol::Udp => self.bind_udp(id, transport.bind)?,
            Protocol::Tcp => self.bind_tcp(id, transport)?,
            Protocol::Tls => {
                let crypto = crypto.ok_or_else(|| {
                    io::Error::other("the thread for TLS starts only with the gateway")
                })?;
                self.bind_tls(id, transport, tls, crypto)?
            }
        };
        self.addresses
            .push((transport.name.clone(), transport.protocol, local));
        Ok(())
    }

    fn bind_udp(&mut self, id: TransportId, address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = UdpTransport::bind(id, address)?;
        let local = socket.local_addr()?;
        self.udp.insert(id, socket);
        Ok(local)
    }

    fn bind_tcp(&mut self, id: TransportId, transport: &Transport) -> io::Result<SocketAddr> {
        let listener = listen(transport.bind)?;
        let local = listener.local_addr()?;
        self.listeners.push((id, listener));
        self.add_stream(id, transport, local, None);
        Ok(local)
    }

    fn bind_tls(
        &mut self,
        id: TransportId,
        transport: &Transport,
        tls: &Contexts,
        crypto: &Handle,
    ) -> io::Result<SocketAddr> {
        let _on_its_thread = crypto.enter();
        let listener = listen(transport.bind)?;
        let local = listener.local_addr()?;
        self.tls_listeners.push((id, listener));
        self.add_stream(id, transport, local, tls.of(&transport.name).cloned());
        Ok(local)
    }

    fn add_stream(
        &mut self,
        id: TransportId,
        transport: &Transport,
        local: SocketAddr,
        tls: Option<tls::Context>,
    ) {
        let name = transport.name.clone();
        let stream = StreamTransport { name, local, tls };
        self.streams.insert(id, stream);
    }
}

/// A listening socket of TCP. Must be called inside the runtime that is to watch it.
///
/// # Errors
/// The operating system's.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart need not wait for the last connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
