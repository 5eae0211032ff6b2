//! The path of a leg's messages, and which addresses of ours its peer sees.

use crate::config::Settings;
use crate::config::settings::Transport;
use crate::control::controller::Surroundings;
use crate::sip::flow::{Flow, Protocol, TransportId};
use crate::sip::message::{Host, Scheme, Uri};
use std::net::{IpAddr, SocketAddr};

/// Port of SIP over UDP and TCP (RFC 3261 §19.1.2).
const SIP_PORT: u16 = 5060;
/// Port of SIP over TLS.
const SIPS_PORT: u16 = 5061;

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Where messages go, and by which transport.
    pub flow: Flow,
    /// Our host and port as the peer is to see them in Via, From and Contact.
    pub sent_by: String,
    /// Our host alone, as it stands in a URI.
    pub host: String,
    /// The address in our session descriptions.
    pub media_address: IpAddr,
    /// The address that the media sockets are bound to: the same, or its inside behind a NAT.
    pub media_bind: IpAddr,
}

impl Path {
    /// The path over a flow. None if the transport is not configured (any more), or there is no route to the peer.
    pub fn new(settings: &Settings, surroundings: &dyn Surroundings, flow: Flow) -> Option<Path> {
        let transport = settings.transports.get(usize::from(flow.transport.0))?;
        let peer = flow.peer.ip().to_canonical();
        let bind = transport.bind.ip();
        let inside = if bind.is_unspecified() {
            surroundings.source_address(peer)?
        } else {
            bind
        };
        // As in pjsip.conf: peers in local_net see the inside, everybody else the external addresses.
        let is_outside = !transport.local_net.iter().any(|net| net.contains(&peer));
        let external = |address: Option<IpAddr>| address.filter(|_| is_outside).unwrap_or(inside);
        let signalling = external(transport.external_signaling_address);
        Some(Path {
            flow,
            sent_by: SocketAddr::new(signalling, transport.bind.port()).to_string(),
            host: uri_host(signalling),
            media_address: external(transport.external_media_address),
            media_bind: inside,
        })
    }

    /// The value of our Contact header, with this user.
    pub fn contact(&self, user: &str) -> String {
        format!("<{}>", self.contact_uri(user))
    }

    /// The URI in it.
    pub fn contact_uri(&self, user: &str) -> String {
        let at = if user.is_empty() { "" } else { "@" };
        let parameter = match self.flow.protocol {
            Protocol::Udp => "",
            Protocol::Tcp => ";transport=tcp",
            Protocol::Tls => ";transport=tls",
        };
        format!("sip:{user}{at}{}{parameter}", self.sent_by)
    }
}

/// An address as the host of a URI: IPv6 in brackets.
pub fn uri_host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Where a URI asks a request to be sent (RFC 3263 §4, without DNS service records).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// An address, or a name to look up.
    pub host: Host,
    /// The port written, or the protocol's own.
    pub port: u16,
    /// The protocol that the URI insists on.
    pub protocol: Option<Protocol>,
}

impl Destination {
    /// None for a URI without a host (`tel:`), or with a transport that we do not speak.
    pub fn of(uri: &Uri) -> Option<Destination> {
        let wanted = uri.param("transport").map(str::to_ascii_lowercase);
        let protocol = match (&uri.scheme, wanted.as_deref()) {
            (Scheme::Sips, _) | (Scheme::Sip, Some("tls")) => Some(Protocol::Tls),
            (Scheme::Sip, Some("tcp")) => Some(Protocol::Tcp),
            (Scheme::Sip, Some("udp")) => Some(Protocol::Udp),
            (Scheme::Sip, None) => None,
            _ => return None,
        };
        let default_port = if protocol == Some(Protocol::Tls) {
            SIPS_PORT
        } else {
            SIP_PORT
        };
        Some(Destination {
            host: uri.host.clone()?,
            port: uri.port.unwrap_or(default_port),
            protocol,
        })
    }

    /// The flow to one of the destination's addresses: over `own` transport (of an endpoint or registration) where its
    /// protocol fits, else over the first that fits. None if no transport does. It names no domain yet: see
    /// [`Domains::name`](super::domains::Domains::name).
    pub fn flow(
        &self,
        settings: &Settings,
        own: Option<TransportId>,
        address: IpAddr,
    ) -> Option<Flow> {
        let own_protocol = own
            .and_then(|id| settings.transports.get(usize::from(id.0)))
            .map(|transport| transport.protocol);
        let protocol = self.protocol.or(own_protocol).unwrap_or(Protocol::Udp);
        let fits = |transport: &Transport| {
            transport.protocol == protocol && transport.bind.is_ipv4() == address.is_ipv4()
        };
        let all = || (0..).map(TransportId).zip(&settings.transports);
        let (transport, _) = all()
            .find(|(id, transport)| Some(*id) == own && fits(transport))
            .or_else(|| all().find(|(_, transport)| fits(transport)))?;
        Some(Flow {
            transport,
            protocol,
            peer: SocketAddr::new(address, self.port),
            domain: None,
        })
    }
}

/// The same peer by TCP, for a request too large for a datagram (RFC 3261 §18.1.1). None without a TCP transport.
pub fn by_tcp(settings: &Settings, flow: Flow) -> Option<Flow> {
    let tcp = |transport: &Transport| {
        transport.protocol == Protocol::Tcp && transport.bind.is_ipv4() == flow.peer.is_ipv4()
    };
    let (transport, _) = (0..)
        .map(TransportId)
        .zip(&settings.transports)
        .find(|(_, transport)| tcp(transport))?;
    Some(Flow {
        transport,
        protocol: Protocol::Tcp,
        peer: flow.peer,
        domain: None,
    })
}
