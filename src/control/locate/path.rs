//! The path of a leg's messages, and which addresses of ours its peer sees.

use crate::config::Settings;
use crate::config::settings::Transport;
use crate::control::controller::Surroundings;
use crate::sip::endpoint::StreamBeside;
use crate::sip::flow::{Flow, Protocol, TransportId};
use crate::sip::message::{Host, Scheme, Uri};
use rustc_hash::FxHashMap;
use std::net::{IpAddr, SocketAddr};

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

/// Where a URI asks a request to be sent (RFC 3263 §4.1); [`crate::control::locate`] finds the addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// An address, or a name to look up.
    pub host: Host,
    /// The port written.
    pub port: Option<u16>,
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
        Some(Destination {
            host: uri.host.clone()?,
            port: uri.port,
            protocol,
        })
    }
}

/// The TCP transport beside each UDP transport, for requests too large for a datagram (RFC 3261 §18.1.1): the first on
/// the same address, else the first of the same family.
pub fn streams_beside(settings: &Settings) -> FxHashMap<TransportId, StreamBeside> {
    let all = || (0..).map(TransportId).zip(&settings.transports);
    let beside = |udp: &Transport| {
        let tcp = || {
            all().filter(|(_, one)| {
                one.protocol == Protocol::Tcp && one.bind.is_ipv4() == udp.bind.is_ipv4()
            })
        };
        let (transport, tcp) = tcp()
            .find(|(_, one)| one.bind.ip() == udp.bind.ip())
            .or_else(|| tcp().next())?;
        Some(StreamBeside {
            transport,
            port: tcp.bind.port(),
        })
    };
    all()
        .filter(|(_, transport)| transport.protocol == Protocol::Udp)
        .filter_map(|(id, udp)| Some((id, beside(udp)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{NoLookup, parse};

    struct Routes;

    impl Surroundings for Routes {
        fn source_address(&self, peer: IpAddr) -> Option<IpAddr> {
            match peer {
                IpAddr::V4(_) => Some([10, 0, 0, 1].into()),
                IpAddr::V6(_) => Some("2001:db8::1".parse().ok()?),
            }
        }

        fn unix_time(&self) -> u64 {
            0
        }

        fn fill_secret(&self, bytes: &mut [u8]) {
            bytes.fill(0x5e);
        }
    }

    fn settings() -> Settings {
        let text = r#"
            [transport.a-udp]
            bind = "0.0.0.0"
            local_net = ["10.0.0.0/8"]
            external_signaling_address = "203.0.113.8"
            external_media_address = "203.0.113.9"
            [transport.b-tcp]
            protocol = "tcp"
            bind = "192.0.2.1:5070"
            [transport.c-tcp]
            protocol = "tcp"
            bind = "0.0.0.0:5080"
            [transport.d-udp]
            bind = "[::]:5062"
            [transport.e-udp]
            bind = "192.0.2.1:5064"
            [transport.f-tls]
            protocol = "tls"
            bind = "[::]"
            cert_file = "own.pem"
            [admin]
            listen = "127.0.0.1:8088"
        "#;
        parse("test", text, &NoLookup).expect("valid").settings
    }

    fn path(transport: u16, peer: &str) -> Path {
        let settings = settings();
        let flow = Flow {
            transport: TransportId(transport),
            protocol: settings.transports[usize::from(transport)].protocol,
            peer: peer.parse().expect("an address"),
            domain: None,
        };
        Path::new(&settings, &Routes, flow).expect("a route")
    }

    #[test]
    fn each_peer_sees_the_address_that_it_can_reach() {
        let inside = path(0, "10.9.9.9:5060");
        assert_eq!(inside.sent_by, "10.0.0.1:5060");
        assert_eq!(inside.media_address, IpAddr::from([10, 0, 0, 1]));
        let outside = path(0, "198.51.100.7:5060");
        assert_eq!(outside.sent_by, "203.0.113.8:5060");
        assert_eq!(outside.media_address, IpAddr::from([203, 0, 113, 9]));
        assert_eq!(outside.media_bind, IpAddr::from([10, 0, 0, 1]));
        // Another transport has addresses of its own.
        let bound = path(1, "198.51.100.7:5060");
        assert_eq!(bound.sent_by, "192.0.2.1:5070");
        assert_eq!(
            bound.contact("600"),
            "<sip:600@192.0.2.1:5070;transport=tcp>"
        );
        let six = path(3, "[2001:db8::7]:5060");
        assert_eq!(
            (six.sent_by.as_str(), six.host.as_str()),
            ("[2001:db8::1]:5062", "[2001:db8::1]")
        );
        let tls = path(5, "[2001:db8::7]:5061");
        assert_eq!(tls.contact(""), "<sip:[2001:db8::1]:5061;transport=tls>");
    }

    #[test]
    fn large_requests_have_the_tcp_transport_on_the_same_address() {
        let beside = streams_beside(&settings());
        let of = |id| {
            beside
                .get(&TransportId(id))
                .map(|one| (one.transport.0, one.port))
        };
        assert_eq!(of(0), Some((2, 5080)));
        assert_eq!(of(4), Some((1, 5070)));
        assert_eq!(of(3), None, "no TCP over IPv6");
    }
}
