//! Where a message came from, and so where its answer goes.

use bytes::Bytes;
use std::net::SocketAddr;

/// The transport protocols of RFC 3261 §18.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// Datagrams; at most one message each.
    Udp,
    /// A stream, framed by Content-Length (RFC 3261 §18.3).
    Tcp,
    /// A stream over TLS.
    Tls,
}

impl Protocol {
    /// True where the transport retransmits by itself, so that transactions do not (RFC 3261 §17.1.1.2).
    pub fn is_reliable(self) -> bool {
        !matches!(self, Protocol::Udp)
    }

    /// Its port where none is written (RFC 3261 §19.1.2).
    pub fn default_port(self) -> u16 {
        match self {
            Protocol::Udp | Protocol::Tcp => 5060,
            Protocol::Tls => 5061,
        }
    }

    /// The name in a Via (`UDP`, `TCP`, `TLS`).
    pub fn via_name(self) -> &'static str {
        match self {
            Protocol::Udp => "UDP",
            Protocol::Tcp => "TCP",
            Protocol::Tls => "TLS",
        }
    }

    /// The name in a `transport=` parameter and in a configuration (`udp`, `tcp`, `tls`).
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
            Protocol::Tls => "tls",
        }
    }
}

/// One of the configured transports (listening sockets), by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransportId(pub u16);

/// A domain that a TLS peer must prove to be, as `control` numbers them (`control::domains`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainId(pub u16);

/// The way to a peer: one of our transports and the peer's address. On a stream there is at most one
/// connection a flow, so whatever is sent on it uses the connection that is there, and opens one if none is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Which of our transports.
    pub transport: TransportId,
    /// Its protocol.
    pub protocol: Protocol,
    /// The peer's address and port: the source of what came, the destination of what goes.
    pub peer: SocketAddr,
    /// On TLS, the domain that was asked for and that the peer's certificate must be of (RFC 5922): two domains at one
    /// address are two connections. None where the peer has connected to us, and where an address was asked for.
    pub domain: Option<DomainId>,
}

/// Bytes for the wire.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where to.
    pub flow: Flow,
    /// One whole message, or a keep-alive.
    pub bytes: Bytes,
}
