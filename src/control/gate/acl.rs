//! Access control lists: who may send SIP at all, asked before anything is parsed.
//!
//! Within a list the most specific network that covers an address decides; where the same network is denied and
//! permitted, permit wins; an address that nothing covers is permitted. Every list must permit. The order of the
//! lines has no part in it, so the answer is one lookup in a trie for each list, however long the lists are.

use crate::config::settings::Acl;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use std::collections::BTreeMap;
use std::net::IpAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Deny,
    Permit,
}

/// The networks of one list.
#[derive(Clone, Debug, Default)]
struct List {
    v4: PrefixMap<Ipv4Net, Rule>,
    v6: PrefixMap<Ipv6Net, Rule>,
}

impl List {
    fn new(acl: &Acl) -> List {
        let mut list = List::default();
        let denied = acl.deny.iter().map(|network| (network, Rule::Deny));
        // After the denied ones, to win where both name a network.
        let permitted = acl.permit.iter().map(|network| (network, Rule::Permit));
        for (network, rule) in denied.chain(permitted) {
            match network {
                IpNet::V4(network) => list.v4.insert(*network, rule),
                IpNet::V6(network) => list.v6.insert(*network, rule),
            };
        }
        list
    }

    fn permits(&self, address: IpAddr) -> bool {
        let rule = match address {
            IpAddr::V4(address) => {
                let found = self.v4.get_lpm(&Ipv4Net::from(address));
                found.map(|(_, rule)| *rule)
            }
            IpAddr::V6(address) => {
                let found = self.v6.get_lpm(&Ipv6Net::from(address));
                found.map(|(_, rule)| *rule)
            }
        };
        rule != Some(Rule::Deny)
    }
}

/// Every `[acl.*]`, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct AccessControl {
    lists: BTreeMap<String, List>,
}

impl AccessControl {
    /// Builds the tries of all lists.
    pub fn new(acls: &BTreeMap<String, Acl>) -> AccessControl {
        let lists = acls
            .iter()
            .map(|(name, acl)| (name.clone(), List::new(acl)));
        AccessControl {
            lists: lists.collect(),
        }
    }

    /// True if every list permits the address. An IPv4 address in IPv6 (`::ffff:a.b.c.d`) is taken as IPv4.
    pub fn permits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.lists.values().all(|list| list.permits(address))
    }

    /// True if these lists permit the address: what an endpoint's `acl` names. A name of no list, which the
    /// configuration's check excludes, denies.
    pub fn permits_by(&self, names: &[String], address: IpAddr) -> bool {
        let address = address.to_canonical();
        names.iter().all(|name| {
            self.lists
                .get(name)
                .is_some_and(|list| list.permits(address))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn acl(deny: &[&str], permit: &[&str]) -> Acl {
        let networks = |texts: &[&str]| {
            let networks = texts.iter().map(|text| text.parse().expect("a network"));
            networks.collect()
        };
        Acl {
            deny: networks(deny),
            permit: networks(permit),
        }
    }

    fn control(acls: Vec<Acl>) -> AccessControl {
        let named = (0..)
            .zip(acls)
            .map(|(place, acl): (u32, Acl)| (format!("acl{place}"), acl));
        AccessControl::new(&named.collect())
    }

    fn permits(control: &AccessControl, address: &str) -> bool {
        control.permits(address.parse().expect("an address"))
    }

    #[test]
    fn without_lists_everybody_is_permitted() {
        assert!(permits(&control(vec![]), "192.0.2.1"));
        assert!(permits(&control(vec![acl(&[], &[])]), "2001:db8::1"));
    }

    #[test]
    fn the_most_specific_network_decides() {
        let control = control(vec![acl(
            &["0.0.0.0/0", "10.1.0.0/16", "192.0.2.0/24"],
            &["10.0.0.0/8", "10.1.2.3/32", "192.0.2.0/24"],
        )]);
        let cases = [
            ("203.0.113.1", false),
            ("10.9.9.9", true),
            ("10.1.9.9", false),
            ("10.1.2.3", true),
            // Denied and permitted alike.
            ("192.0.2.7", true),
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.1.2.4", false),
            // 0.0.0.0/0 is all of IPv4 only.
            ("2001:db8::1", true),
        ];
        for (address, expected) in cases {
            assert_eq!(permits(&control, address), expected, "{address}");
        }
    }

    #[test]
    fn every_list_must_permit() {
        let control = control(vec![
            acl(&["0.0.0.0/0", "::/0"], &["10.0.0.0/8", "2001:db8::/32"]),
            acl(&["10.5.0.0/16"], &[]),
        ]);
        assert!(permits(&control, "10.4.0.1"));
        assert!(!permits(&control, "10.5.0.1"));
        assert!(!permits(&control, "192.0.2.1"));
        assert!(permits(&control, "2001:db8::5"));
        assert!(!permits(&control, "2001:db9::5"));
    }

    #[test]
    fn an_endpoint_asks_the_lists_that_it_names() {
        let control = control(vec![
            acl(&["0.0.0.0/0"], &["10.0.0.0/8"]),
            acl(&["10.5.0.0/16"], &[]),
        ]);
        let by = |names: &[&str], address: &str| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            control.permits_by(&names, address.parse().expect("an address"))
        };
        assert!(by(&[], "192.0.2.1"));
        assert!(by(&["acl0"], "10.5.0.1"));
        assert!(!by(&["acl0", "acl1"], "10.5.0.1"));
        assert!(!by(&["none"], "10.5.0.1"));
    }

    proptest! {
        /// Against the rule as written: among all networks that cover the address, the longest; permit on a tie.
        #[test]
        fn the_trie_agrees_with_a_scan(
            rules in proptest::collection::vec((any::<bool>(), any::<[u8; 4]>(), 0u8..=32), 0..20),
            address: [u8; 4],
        ) {
            // Few distinct octets, so that networks lie in each other.
            let thin = |octets: [u8; 4]| IpAddr::from(octets.map(|octet| octet & 0x81));
            let rules: Vec<(bool, IpNet)> = rules
                .into_iter()
                .map(|(permit, octets, length)| (permit, IpNet::new(thin(octets), length).expect("a length").trunc()))
                .collect();
            let of = |permit: bool| rules.iter().filter(|rule| rule.0 == permit).map(|rule| rule.1).collect();
            let control = control(vec![Acl { deny: of(false), permit: of(true) }]);
            let address = thin(address);
            let covering = rules.iter().filter(|(_, network)| network.contains(&address));
            let expected = covering.max_by_key(|(permit, network)| (network.prefix_len(), *permit));
            prop_assert_eq!(control.permits(address), expected.is_none_or(|(permit, _)| *permit));
        }
    }
}
