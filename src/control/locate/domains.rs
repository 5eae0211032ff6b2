//! The domains that TLS peers must prove to be (RFC 5922), numbered, so that a flow can name one.

use crate::sip::flow::{DomainId, Flow, Protocol};
use crate::sip::message::Host;
use rustc_hash::FxHashMap;

/// Most domains. They are those of configured contacts and servers and of URIs that the dialplan dials; one more is as
/// if it could not be reached.
pub const DOMAINS_MAX: usize = 4096;

/// See the module's comment. A number stands for its domain as long as the gateway runs.
#[derive(Debug, Default)]
pub struct Domains {
    names: Vec<String>,
    numbers: FxHashMap<String, DomainId>,
}

impl Domains {
    /// The flow, naming the host that was asked for if it is TLS and the host is a name. None if there are too many.
    pub fn name(&mut self, flow: Flow, host: &Host) -> Option<Flow> {
        match (flow.protocol, host) {
            (Protocol::Tls, Host::Name(name)) => Some(Flow {
                domain: Some(self.number(name)?),
                ..flow
            }),
            _ => Some(flow),
        }
    }

    fn number(&mut self, name: &str) -> Option<DomainId> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(number) = self.numbers.get(&name) {
            return Some(*number);
        }
        if self.names.len() >= DOMAINS_MAX {
            tracing::warn!(
                domain = name,
                "too many domains are called over TLS, this one is not"
            );
            return None;
        }
        let number = DomainId(u16::try_from(self.names.len()).ok()?);
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        Some(number)
    }

    /// The name of a domain.
    pub fn of(&self, number: DomainId) -> Option<&str> {
        self.names.get(usize::from(number.0)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::TransportId;

    fn flow(protocol: Protocol) -> Flow {
        Flow {
            transport: TransportId(0),
            protocol,
            peer: ([192, 0, 2, 1], 5061).into(),
            domain: None,
        }
    }

    fn host(name: &str) -> Host {
        Host::Name(name.to_owned())
    }

    #[test]
    fn a_domain_keeps_its_number_however_it_is_written_and_only_tls_has_one() {
        let mut domains = Domains::default();
        let mut name = |text: &str| domains.name(flow(Protocol::Tls), &host(text));
        let one = name("sip.example.com").and_then(|flow| flow.domain);
        assert_eq!(name("SIP.Example.COM.").and_then(|flow| flow.domain), one);
        assert_ne!(name("sip.example.net").and_then(|flow| flow.domain), one);
        let one = one.expect("room for it");
        assert_eq!(domains.of(one), Some("sip.example.com"));
        let tcp = flow(Protocol::Tcp);
        assert_eq!(domains.name(tcp, &host("sip.example.com")), Some(tcp));
        let address = Host::V4([192, 0, 2, 1].into());
        let tls = flow(Protocol::Tls);
        assert_eq!(domains.name(tls, &address), Some(tls));
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let mut domains = Domains::default();
        for number in 0..DOMAINS_MAX {
            let name = host(&format!("d{number}.example.com"));
            assert!(domains.name(flow(Protocol::Tls), &name).is_some());
        }
        let one_more = host("more.example.com");
        assert_eq!(domains.name(flow(Protocol::Tls), &one_more), None);
        let known = host("d7.example.com");
        assert!(domains.name(flow(Protocol::Tls), &known).is_some());
    }
}
