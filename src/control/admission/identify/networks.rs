//! The addresses and networks of `[identify.*]`, for each transport.

use crate::config::settings::EndpointId;
use crate::sip::flow::TransportId;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// Whose each network is. What a look-up costs does not grow with their number.
#[derive(Debug, Default)]
pub(super) struct Networks {
    anywhere: Table,
    /// Of the rules that count on one transport only.
    by_transport: FxHashMap<TransportId, Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// Single addresses: most trunks, and no longer prefix is possible.
    addresses: FxHashMap<IpAddr, EndpointId>,
    v4: PrefixMap<Ipv4Net, EndpointId>,
    v6: PrefixMap<Ipv6Net, EndpointId>,
}

impl Networks {
    pub(super) fn add(
        &mut self,
        network: IpNet,
        transport: Option<TransportId>,
        endpoint: EndpointId,
    ) {
        let table = match transport {
            Some(transport) => self.by_transport.entry(transport).or_default(),
            None => &mut self.anywhere,
        };
        table.add(network, endpoint);
    }

    /// The longest prefix around the address; among equals that of the transport.
    pub(super) fn find(
        &self,
        source: IpAddr,
        transport: TransportId,
    ) -> Option<(IpNet, EndpointId)> {
        let anywhere = self.anywhere.find(source);
        // Nearly always empty, and then this costs nothing.
        let Some(table) = self.by_transport.get(&transport) else {
            return anywhere;
        };
        let own = table.find(source);
        let length = |found: &Option<(IpNet, EndpointId)>| {
            found.as_ref().map(|(network, _)| network.prefix_len())
        };
        if length(&own) >= length(&anywhere) {
            own
        } else {
            anywhere
        }
    }

    /// True if the address is in a network, on any transport.
    pub(super) fn has(&self, source: IpAddr) -> bool {
        let mut tables = self.by_transport.values();
        self.anywhere.find(source).is_some() || tables.any(|table| table.find(source).is_some())
    }
}

impl Table {
    fn add(&mut self, network: IpNet, endpoint: EndpointId) {
        match network {
            network if network.prefix_len() == network.max_prefix_len() => {
                self.addresses.insert(network.addr(), endpoint);
            }
            IpNet::V4(network) => {
                self.v4.insert(network, endpoint);
            }
            IpNet::V6(network) => {
                self.v6.insert(network, endpoint);
            }
        }
    }

    fn find(&self, source: IpAddr) -> Option<(IpNet, EndpointId)> {
        if let Some(endpoint) = self.addresses.get(&source) {
            return Some((IpNet::from(source), *endpoint));
        }
        match source {
            IpAddr::V4(source) => {
                let (network, endpoint) = self.v4.get_lpm(&Ipv4Net::from(source))?;
                Some((IpNet::V4(network), *endpoint))
            }
            IpAddr::V6(source) => {
                let (network, endpoint) = self.v6.get_lpm(&Ipv6Net::from(source))?;
                Some((IpNet::V6(network), *endpoint))
            }
        }
    }
}
