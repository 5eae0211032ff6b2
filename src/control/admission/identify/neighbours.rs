//! Addresses next to those of trunks. A provider that moves mostly stays in its network, and then its calls fail with no
//! more than a stranger's log line: what comes from the neighbourhood is told as such. It is trusted no more for it.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// The neighbourhood of an IPv4 address: what a provider's machines in one place mostly share.
const V4_LENGTH: u8 = 24;
/// That of an IPv6 address: one link.
const V6_LENGTH: u8 = 64;

/// Neighbourhood → the section that has an address in it, the first of several. At most one entry a rule; a network
/// larger than a neighbourhood has none.
#[derive(Clone, Debug, Default)]
pub(super) struct Neighbours(FxHashMap<IpNet, usize>);

impl Neighbours {
    /// `rule` is the place of the section.
    pub(super) fn add(&mut self, network: IpNet, rule: usize) {
        let around = around(network.network());
        if network.prefix_len() >= around.prefix_len() {
            self.0.entry(around).or_insert(rule);
        }
    }

    /// The section whose neighbour this is.
    pub(super) fn find(&self, source: IpAddr) -> Option<usize> {
        self.0.get(&around(source)).copied()
    }
}

fn around(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => Ipv4Net::new_assert(address, V4_LENGTH).trunc().into(),
        IpAddr::V6(address) => Ipv6Net::new_assert(address, V6_LENGTH).trunc().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_shares_the_24_or_the_64() {
        let mut neighbours = Neighbours::default();
        let networks = [
            "203.0.113.7/32",
            "198.51.100.128/25",
            "203.0.113.64/26",
            "10.0.0.0/8",
            "2001:db8:1:2::5/128",
        ];
        for (rule, network) in networks.iter().enumerate() {
            neighbours.add(network.parse().expect("a network"), rule);
        }
        let find = |text: &str| neighbours.find(text.parse().expect("an address"));
        assert_eq!(find("203.0.113.200"), Some(0), "the first of two");
        assert_eq!(find("198.51.100.1"), Some(1));
        assert_eq!(find("203.0.114.7"), None);
        assert_eq!(find("10.0.0.1"), None, "inside of a larger one");
        assert_eq!(find("2001:db8:1:2:ffff::"), Some(4));
        assert_eq!(find("2001:db8:1:3::5"), None);
    }
}
