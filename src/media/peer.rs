//! Addresses in a form that compares in a few instructions.

use std::net::{IpAddr, SocketAddr};

/// An IP address. IPv4 is kept as IPv4-mapped IPv6, so that a packet of a dual-stack socket compares equal to what the
/// SDP said. An IPv6 zone is not compared: no SDP tells one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ip([u64; 2]);

impl From<IpAddr> for Ip {
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Ip([0, 0xffff_0000_0000 | u64::from(v4.to_bits())]),
            IpAddr::V6(v6) => Ip([(v6.to_bits() >> 64) as u64, v6.to_bits() as u64]),
        }
    }
}

/// An IP address and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) ip: Ip,
    port: u16,
}

impl Peer {
    /// The peer that an SDP tells; None if nothing can come from or go to there: 0.0.0.0 or :: (RFC 3264 §8.4, the old
    /// hold), port 0 (a refused stream), or a multicast address.
    pub(super) fn told(address: SocketAddr) -> Option<Peer> {
        let ip = address.ip().to_canonical();
        let nobody = ip.is_unspecified() || ip.is_multicast() || address.port() == 0;
        (!nobody).then(|| Peer::from(address))
    }
}

impl From<SocketAddr> for Peer {
    #[inline]
    fn from(address: SocketAddr) -> Self {
        Peer {
            ip: address.ip().into(),
            port: address.port(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> Peer {
        Peer::from(text.parse::<SocketAddr>().expect("an address"))
    }

    #[test]
    fn mapped_and_plain_addresses_are_one() {
        assert_eq!(peer("[::ffff:192.0.2.1]:5004"), peer("192.0.2.1:5004"));
        assert_ne!(peer("192.0.2.1:5004"), peer("192.0.2.1:5005"));
        assert_ne!(peer("192.0.2.1:5004"), peer("192.0.2.2:5004"));
        assert_ne!(peer("[::c000:201]:5004"), peer("192.0.2.1:5004"));
        assert_ne!(peer("[2001:db8::1]:5004"), peer("[2001:db9::1]:5004"));
        assert_ne!(peer("[2001:db8::1]:5004"), peer("[2001:db8::2]:5004"));
    }

    #[test]
    fn nobody_is_told_of() {
        for text in [
            "0.0.0.0:5004",
            "[::]:5004",
            "[::ffff:0.0.0.0]:5004",
            "192.0.2.1:0",
            "224.0.0.1:5004",
        ] {
            assert_eq!(
                Peer::told(text.parse().expect("an address")),
                None,
                "{text}"
            );
        }
        assert!(Peer::told("192.0.2.1:1".parse().expect("an address")).is_some());
    }
}
