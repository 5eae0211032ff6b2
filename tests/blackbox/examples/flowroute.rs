//! `flowroute.toml`: a number of Flowroute and one telephone, behind a NAT.

use super::{Example, G729, PROVIDER, Record, Running, SIP, ULAW, gateway};
use crate::gateway::Network;
use crate::peer::{Call, Login, Peer, Registered, converse};
use ringway::sip::message::ResponseDraft;
use std::net::{Ipv4Addr, SocketAddrV4};

const ACCOUNT: Login = Login {
    username: "12345678",
    password: "change-me",
};
const PHONE: Login = Login {
    username: "1000",
    password: "change-me-1000",
};
/// What the router has outside. It forwards the ports, so that what is sent there comes to the gateway.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);

struct House {
    network: Network,
    running: Running,
    flowroute: Peer,
    trunk: Registered,
}

fn example(network: Network) -> Example {
    let server = network.host(PROVIDER);
    let records = vec![Record::address("sip.flowroute.com", server)];
    Example::new("flowroute.toml", network, records)
        .provider_network("198.51.100.0/24")
        .home_network("192.168.0.0/24")
}

fn flowroute(network: Network) -> Peer {
    let address = SocketAddrV4::new(network.host(PROVIDER), SIP);
    let flowroute = Peer::on_udp(address, gateway(network)).with_formats(&[ULAW, G729]);
    flowroute.with_account("sip.flowroute.com", ACCOUNT)
}

impl House {
    fn new() -> House {
        let network = Network::new();
        let flowroute = flowroute(network);
        let running = example(network).start();
        let trunk = flowroute.registered();
        running.registered();
        House {
            network,
            running,
            flowroute,
            trunk,
        }
    }

    fn phone(&self, formats: &[u8]) -> Peer {
        super::phone(self.network, 1, PHONE, formats)
    }

    fn call_in(&self, number: &str) -> Call<'_> {
        let uri = format!("sip:{number}@{OUTSIDE}");
        let from = "<sip:12125550123@sip.flowroute.com>";
        self.flowroute
            .call(Some(&self.trunk), self.flowroute.invite(&uri, from))
    }
}

#[test]
fn eleven_digits_and_the_emergency_number_go_out() {
    let house = House::new();
    let phone = house.phone(&[G729, ULAW]);
    for number in ["18002223333", "911"] {
        let mut out = phone.dial(PHONE, number);
        let mut at_flowroute = house.flowroute.called();
        let uri = format!("sip:{number}@sip.flowroute.com");
        assert_eq!(at_flowroute.request().uri(), uri);
        let (_, user, host) = at_flowroute.from();
        assert_eq!((&*user, &*host), ("18182223333", "sip.flowroute.com"));
        assert_eq!(at_flowroute.media_address(), OUTSIDE);
        at_flowroute.ring();
        out.hears(180);
        at_flowroute.answer();
        out.answered();
        converse(&out, &at_flowroute);
        out.hang_up();
        at_flowroute.ended();
    }
    for barred in ["01144123456", "+18002223333", "8002223333", "1100"] {
        assert_eq!(phone.dial(PHONE, barred).refused(), 404, "{barred}");
    }
    house.flowroute.assert_not_called();
    house.running.finish();
}

#[test]
fn the_number_rings_the_telephone() {
    let house = House::new();
    assert_eq!(house.call_in("18182223333").refused(), 480, "no telephone");
    let phone = house.phone(&[G729]);
    let mut caller = house.call_in("18182223333");
    let mut at_phone = phone.called();
    assert_eq!(at_phone.from().1, "12125550123");
    assert_eq!(at_phone.media_address(), house.network.gateway());
    at_phone.ring();
    caller.hears(180);
    at_phone.answer();
    caller.answered();
    assert_eq!((caller.format(), at_phone.format()), (G729, G729));
    converse(&caller, &at_phone);
    at_phone.hang_up();
    caller.ended();
    // Busy; and a number that is not ours.
    let caller = house.call_in("18182223333");
    phone.called().refuse(486);
    assert_eq!(caller.refused(), 486);
    assert_eq!(house.call_in("18182224444").refused(), 404);
    phone.assert_not_called();
    house.running.finish();
}

#[test]
fn a_registration_that_is_refused_is_asked_for_again() {
    let network = Network::new();
    let flowroute = flowroute(network);
    let refusals = [
        ResponseDraft::new(403),
        ResponseDraft::new(404),
        ResponseDraft::new(503).header("Retry-After", 1),
    ];
    let (running, registered) = example(network).start_refused(&flowroute, &refusals);
    let contact = format!("sip:12345678@{OUTSIDE}:5060");
    assert_eq!(registered.contact(), contact);
    running.finish();
}

#[test]
fn strangers_hear_nothing_and_a_telephone_without_its_password_gets_nowhere() {
    let house = House::new();
    house
        .running
        .assert_strangers_hear_nothing("1000", "18002223333");
    // One in Flowroute's network that is not its server is nobody either.
    let own = SocketAddrV4::new(house.network.host(PROVIDER + 5), SIP);
    let neighbour = Peer::on_udp(own, gateway(house.network));
    let call = neighbour.call(None, neighbour.invitation("18182223333", "12125550123"));
    assert_eq!(call.refused(), 401);
    let users = ["1000", "flowroute", "nobody"];
    house
        .running
        .assert_no_call_without_password(PHONE, &users, "18002223333");
    house.flowroute.assert_not_called();
    house.running.finish();
}
