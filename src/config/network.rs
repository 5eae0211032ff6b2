//! Addresses as a configuration writes them.

use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// `ADDRESS`, `ADDRESS/LENGTH` or, as in Asterisk, `ADDRESS/NETMASK`. Bits beyond the length are cleared.
pub(super) fn parse_network(text: &str) -> Option<IpNet> {
    let Some((address, length)) = text.split_once('/') else {
        return parse_address(text).map(IpNet::from);
    };
    let address = parse_address(address)?;
    if let (IpAddr::V4(address), Ok(mask)) = (address, length.parse::<Ipv4Addr>()) {
        return Ipv4Net::with_netmask(address, mask)
            .ok()
            .map(|network| IpNet::V4(network.trunc()));
    }
    // `parse` alone would take "+8".
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    IpNet::new(address, length.parse().ok()?)
        .ok()
        .map(|network| network.trunc())
}

/// An IP address, an IPv6 one with or without brackets; an IPv4 address in IPv6 (`::ffff:a.b.c.d`) becomes plain.
pub(super) fn parse_address(text: &str) -> Option<IpAddr> {
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) => inner.parse().ok().map(IpAddr::V6),
        None => text.parse::<IpAddr>().ok(),
    }
    .map(|address: IpAddr| address.to_canonical())
}

/// `ADDRESS:PORT`, or `ADDRESS` alone with no port.
pub(super) fn parse_bind(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some((socket.ip(), Some(socket.port())));
    }
    parse_address(text).map(|address| (address, None))
}

/// A host name of RFC 1123 §2.1, with at least one letter so that a mistyped address is none.
pub(super) fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253
        && name.split('.').all(label_ok)
        && name
            .rsplit('.')
            .next()
            .is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let cases = [
            ("10.0.0.1", Some("10.0.0.1/32")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("192.168.0.0/255.255.0.0", Some("192.168.0.0/16")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("[2001:db8::1]", Some("2001:db8::1/128")),
            ("::ffff:10.0.0.1", Some("10.0.0.1/32")),
            ("0.0.0.0/0", Some("0.0.0.0/0")),
            ("10.0.0.0/33", None),
            ("10.0.0.0/+8", None),
            ("10.0.0/8", None),
            ("10.0.0.0/255.0.255.0", None),
            ("10.0.0.0/", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let network = parse_network(text).map(|network| network.to_string());
            assert_eq!(network.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn host_names() {
        for good in ["sip.example.com", "trunk-1", "a.b.", "tel.t-online.de"] {
            assert!(is_host_name(good), "{good:?}");
        }
        for bad in ["", "10.0.0.256", "a..b", "-a", "a b", "a:5060", "a/24", "."] {
            assert!(!is_host_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn binds() {
        let v4 = |text: &str| parse_bind(text).map(|(ip, port)| (ip.to_string(), port));
        assert_eq!(v4("0.0.0.0"), Some(("0.0.0.0".into(), None)));
        assert_eq!(v4("0.0.0.0:5062"), Some(("0.0.0.0".into(), Some(5062))));
        assert_eq!(v4("[::]:5060"), Some(("::".into(), Some(5060))));
        assert_eq!(v4("::1"), Some(("::1".into(), None)));
        assert_eq!(v4("sip.example.com:5060"), None);
        assert_eq!(v4("0.0.0.0:65536"), None);
    }
}
