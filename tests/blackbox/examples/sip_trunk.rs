//! `sip-trunk.toml`: a trunk with several numbers and several calls at once, and another for calls abroad.

use super::{ALAW, Example, HOME, PROVIDER, Record, Running, SIP, ULAW, gateway};
use crate::gateway::Network;
use crate::peer::{Call, Login, Peer, Registered, converse};
use ringway::sip::message::ResponseDraft;
use std::net::SocketAddrV4;

const ACCOUNT: Login = Login {
    username: "43212345",
    password: "mysecret",
};
const WORLD: Login = Login {
    username: "my-account",
    password: "change-me",
};
const RECEPTION: Login = Login {
    username: "201",
    password: "change-me-201",
};
const WORKSHOP: Login = Login {
    username: "202",
    password: "change-me-202",
};

struct Office {
    network: Network,
    running: Running,
    mysipsp: Peer,
    trunk: Registered,
    world: Peer,
}

fn provider(network: Network, number: u8, realm: &str, login: Login) -> Peer {
    let address = SocketAddrV4::new(network.host(PROVIDER + number), SIP);
    let provider = Peer::on_udp(address, gateway(network)).with_formats(&[ALAW, ULAW]);
    provider.with_account(realm, login)
}

fn example(network: Network) -> Example {
    let (first, second) = (network.host(PROVIDER), network.host(PROVIDER + 1));
    let records = vec![
        Record::address("mysipsp.com", first),
        Record::address("sip.example.net", second),
    ];
    Example::new("sip-trunk.toml", network, records)
        .provider_network("203.0.113.0/24")
        .replace("198.51.100.0/24", second)
        .home_network("192.168.0.0/16")
}

impl Office {
    fn new() -> Office {
        let network = Network::new();
        let mysipsp = provider(network, 0, "mysipsp.com", ACCOUNT);
        let world = provider(network, 1, "sip.example.net", WORLD);
        let running = example(network).start();
        let trunk = mysipsp.registered();
        running.registered();
        Office {
            network,
            running,
            mysipsp,
            trunk,
            world,
        }
    }

    fn phone(&self, number: u8, login: Login) -> Peer {
        super::phone(self.network, number, login, &[ALAW, ULAW])
    }

    /// A call to one of the numbers: it stands in To, the Request-URI is what was registered.
    fn call_in(&self, ddi: &str) -> Call<'_> {
        let invite = self
            .mysipsp
            .invite(&self.trunk.contact(), "<sip:+441632960123@mysipsp.com>");
        let invite = invite.set_header("To", format_args!("<sip:{ddi}@mysipsp.com>"));
        self.mysipsp.call(Some(&self.trunk), invite)
    }
}

#[test]
fn each_number_rings_its_telephone_several_at_once() {
    let office = Office::new();
    let request = &office.trunk.request;
    assert_eq!(request.headers().get("Expires"), Some("1800"));
    let contact = format!("sip:1234@{}", gateway(office.network));
    assert_eq!(office.trunk.contact(), contact);
    let (reception, workshop) = (office.phone(1, RECEPTION), office.phone(2, WORKSHOP));
    let ddis = [
        ("+442079460001", &reception),
        ("+442079460002", &workshop),
        ("+442079460099", &reception),
    ];
    let mut calls = Vec::new();
    for (ddi, phone) in ddis {
        let mut caller = office.call_in(ddi);
        let mut at_phone = phone.called();
        assert_eq!(at_phone.from().1, "+441632960123");
        at_phone.ring();
        caller.hears(180);
        at_phone.answer();
        caller.answered();
        calls.push((caller, at_phone));
    }
    for (caller, at_phone) in &calls {
        converse(caller, at_phone);
    }
    for (caller, at_phone) in calls {
        caller.hang_up();
        at_phone.ended();
    }
    assert_eq!(office.call_in("+442079461234").refused(), 404, "not ours");
    let caller = office.call_in("+442079460002");
    workshop.called().refuse(486);
    assert_eq!(caller.refused(), 486);
    reception.assert_not_called();
    office.running.finish();
}

#[test]
fn the_country_goes_by_one_trunk_and_abroad_by_the_other() {
    let office = Office::new();
    let (reception, workshop) = (office.phone(1, RECEPTION), office.phone(2, WORKSHOP));
    let (country, world) = (&office.mysipsp, &office.world);
    let by_country = ("43212345", "mysipsp.com");
    let by_world = ("my-account", "sip.example.net");
    for (dialled, trunk, called, from) in [
        ("01632960123", country, "01632960123", by_country),
        ("999", country, "999", by_country),
        ("112", country, "112", by_country),
        ("0033123456789", world, "+33123456789", by_world),
    ] {
        let mut out = workshop.dial(WORKSHOP, dialled);
        let mut at_trunk = trunk.called();
        assert_eq!(at_trunk.number(), called, "for {dialled}");
        let (_, user, host) = at_trunk.from();
        assert_eq!((&*user, &*host), from);
        let asserted = at_trunk.header("P-Asserted-Identity");
        let own = format!("\"Workshop\" <sip:+442079460002@{host}>");
        assert_eq!(asserted, own);
        at_trunk.answer();
        out.answered();
        converse(&out, &at_trunk);
        out.hang_up();
        at_trunk.ended();
    }
    let mut out = workshop.dial(WORKSHOP, "201");
    let mut at_reception = reception.called();
    at_reception.answer();
    out.answered();
    converse(&out, &at_reception);
    out.hang_up();
    at_reception.ended();
    assert_eq!(reception.dial(RECEPTION, "01").refused(), 404);
    country.assert_not_called();
    world.assert_not_called();
    office.running.finish();
}

#[test]
fn two_calls_abroad_are_all_that_the_second_trunk_takes() {
    let office = Office::new();
    let reception = office.phone(1, RECEPTION);
    let mut calls = Vec::new();
    for number in ["0033123456789", "0049301234567"] {
        let mut out = reception.dial(RECEPTION, number);
        let mut at_world = office.world.called();
        at_world.answer();
        out.answered();
        calls.push((out, at_world));
    }
    let third = reception.dial(RECEPTION, "0043123456");
    assert_eq!(third.refused(), 503);
    for (out, at_world) in calls {
        out.hang_up();
        at_world.ended();
    }
    office.world.assert_not_called();
    office.running.finish();
}

#[test]
fn a_registration_that_is_refused_is_asked_for_again() {
    let network = Network::new();
    let mysipsp = provider(network, 0, "mysipsp.com", ACCOUNT);
    let refusals = [
        ResponseDraft::new(403),
        ResponseDraft::new(404),
        ResponseDraft::new(503).header("Retry-After", 1),
    ];
    let (running, registered) = example(network).start_refused(&mysipsp, &refusals);
    let to = registered.request.headers().to().uri.to_string();
    assert_eq!(to, "sip:43212345@mysipsp.com");
    running.finish();
}

#[test]
fn strangers_hear_nothing_and_only_the_provider_calls_without_a_password() {
    let office = Office::new();
    office
        .running
        .assert_strangers_hear_nothing("201", "0033123456789");
    // The account's user in From is no password, from the office as little as from a neighbour of the provider.
    for host in [HOME + 7, PROVIDER + 7] {
        let own = SocketAddrV4::new(office.network.host(host), SIP);
        let other = Peer::on_udp(own, gateway(office.network));
        let call = other.call(None, other.invitation("1234", ACCOUNT.username));
        assert_eq!(call.refused(), 401);
    }
    let users = ["201", "mysipsp", "world", "nobody"];
    office
        .running
        .assert_no_call_without_password(RECEPTION, &users, "0033123456789");
    office.mysipsp.assert_not_called();
    office.world.assert_not_called();
    office.running.finish();
}
