//! `enterprise-trunk.toml`: a trunk that is known by its addresses, and two telephones that are as well.

use super::{ALAW, Example, HOME, PROVIDER, Running, SIP, ULAW, gateway};
use crate::gateway::Network;
use crate::peer::{Peer, converse};
use std::net::SocketAddrV4;

/// The last bytes of addresses in the example: where the provider takes calls, and one of those that it sends from.
const TAKES: u8 = 10;
const SENDS: u8 = 17;
const RECEPTION: u8 = 50;
const SUPPORT: u8 = 51;

fn start(network: Network) -> Running {
    let provider = |number: u8| network.host(PROVIDER + number);
    let phone = |number: u8| network.host(HOME + number);
    Example::new("enterprise-trunk.toml", network, Vec::new())
        .provider_network("203.0.113.0/24")
        .home_network("198.51.100.0/24")
        .replace("203.0.113.16/28", format_args!("{}/28", provider(16)))
        .replace("203.0.113.10", provider(TAKES))
        .replace("198.51.100.50", phone(RECEPTION))
        .replace("198.51.100.51", phone(SUPPORT))
        .start()
}

fn peer(network: Network, host: u8) -> Peer {
    let address = SocketAddrV4::new(network.host(host), SIP);
    Peer::on_udp(address, gateway(network)).with_formats(&[ULAW, ALAW])
}

#[test]
fn each_number_rings_its_telephone_whichever_address_the_provider_calls_from() {
    let network = Network::new();
    let running = start(network);
    let (reception, support) = (
        peer(network, HOME + RECEPTION),
        peer(network, HOME + SUPPORT),
    );
    let (takes, sends) = (
        peer(network, PROVIDER + TAKES),
        peer(network, PROVIDER + SENDS),
    );
    for (provider, number, phone) in [
        (&sends, "1800123456", &reception),
        (&takes, "1800654321", &support),
    ] {
        let mut caller = provider.call(None, provider.invitation(number, "+4917612345678"));
        let mut at_phone = phone.called();
        assert_eq!(at_phone.from().1, "+4917612345678");
        at_phone.answer();
        caller.answered();
        converse(&caller, &at_phone);
        caller.hang_up();
        at_phone.ended();
    }
    let unknown = sends.call(None, sends.invitation("1800999999", "+4917612345678"));
    assert_eq!(unknown.refused(), 404);
    running.finish();
}

#[test]
fn the_office_calls_out_by_the_provider() {
    let network = Network::new();
    let running = start(network);
    let reception = peer(network, HOME + RECEPTION);
    let provider = peer(network, PROVIDER + TAKES);
    let mut out = reception.call(None, reception.invitation("4930123456", "reception"));
    let mut at_provider = provider.called();
    assert_eq!(at_provider.number(), "4930123456");
    let (name, user, _) = at_provider.from();
    assert_eq!((&*name, &*user), ("Reception", "1800123456"));
    at_provider.ring();
    out.hears(180);
    at_provider.answer();
    out.answered();
    converse(&out, &at_provider);
    at_provider.hang_up();
    out.ended();
    running.finish();
}

#[test]
fn an_address_that_was_not_named_is_refused_and_told_in_the_log() {
    let network = Network::new();
    let running = start(network);
    running.assert_strangers_hear_nothing("reception", "4930123456");
    // The provider has a new address that the ACL permits, and that no [identify.*] names.
    let moved = peer(network, PROVIDER + 40);
    let call = moved.call(None, moved.invitation("1800123456", "+4917612345678"));
    assert_eq!(call.refused(), 401);
    let neighbour = "ringway_sip_rejected_total{reason=\"neighbour\"}";
    assert_eq!(running.gateway.metric(neighbour), 1.0);
    // It is next to the addresses that are named, so the log says what to add, and where.
    let add = format!("add={}", moved.address.ip());
    running
        .gateway
        .eventually("the log says what to add", |gateway| {
            let log = gateway.log();
            let mut lines = log.lines().filter(|line| line.contains(&add));
            lines.any(|line| line.contains("section=\"identify."))
        });
    running.finish();
}
