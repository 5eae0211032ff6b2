//! `telekom.toml`: a landline of Deutsche Telekom and two telephones.

use super::{ALAW, Example, G722, PROVIDER, Record, Running, SIP, gateway};
use crate::gateway::Network;
use crate::peer::{Call, Login, Peer, converse};
use ringway::sip::message::ResponseDraft;
use std::net::SocketAddrV4;

const LINE: Login = Login {
    username: "030123456",
    password: "12345678:551234567890-0001@t-online.de",
};
const DOWNSTAIRS: Login = Login {
    username: "downstairs",
    password: "change-me-1",
};
const UPSTAIRS: Login = Login {
    username: "upstairs",
    password: "change-me-2",
};

/// The example, Telekom's registrar, and another server of Telekom's that calls come from.
struct House {
    network: Network,
    running: Running,
    registrar: Peer,
    other_server: Peer,
}

fn example(network: Network) -> Example {
    let records = vec![
        Record::service("_sip._udp.tel.t-online.de", 5070, "epp-1.edns.t-ipnet.de"),
        Record::address("epp-1.edns.t-ipnet.de", network.host(PROVIDER)),
        // Where nobody is: the service goes before.
        Record::address("tel.t-online.de", network.host(250)),
    ];
    Example::new("telekom.toml", network, records)
        .provider_network("217.0.0.0/13")
        .home_network("192.168.0.0/16")
}

fn telekom(network: Network, number: u8, port: u16) -> Peer {
    let address = SocketAddrV4::new(network.host(PROVIDER + number), port);
    let telekom = Peer::on_udp(address, gateway(network)).with_formats(&[ALAW, G722]);
    telekom.with_account("tel.t-online.de", LINE)
}

impl House {
    fn new() -> House {
        let network = Network::new();
        House::of(example(network))
    }

    fn of(example: Example) -> House {
        let network = example.network;
        House {
            network,
            registrar: telekom(network, 0, 5070),
            other_server: telekom(network, 1, SIP),
            running: example.start(),
        }
    }

    fn phone(&self, number: u8, login: Login) -> Peer {
        super::phone(self.network, number, login, &[ALAW, G722])
    }

    /// A call from a mobile to what the line has registered.
    fn call_in(&self, contact: &str) -> Call<'_> {
        let server = &self.other_server;
        let mobile = "<sip:+4917612345678@tel.t-online.de;user=phone>";
        server.call(None, server.invite(contact, mobile))
    }
}

#[test]
fn numbers_go_out_as_telekom_wants_them_and_abroad_is_barred() {
    let house = House::new();
    let phone = house.phone(1, DOWNSTAIRS);
    for (dialled, called) in [
        ("+4989123456", "089123456"),
        ("089123456", "089123456"),
        ("7654321", "0307654321"),
        ("110", "110"),
        ("112", "112"),
    ] {
        let mut out = phone.dial(DOWNSTAIRS, dialled);
        let mut at_telekom = house.registrar.called();
        let uri = format!("sip:{called}@tel.t-online.de");
        assert_eq!(at_telekom.request().uri(), uri, "for {dialled}");
        let (_, user, host) = at_telekom.from();
        assert_eq!((&*user, &*host), ("030123456", "tel.t-online.de"));
        assert_eq!(at_telekom.header("Session-Expires"), "", "timers = no");
        at_telekom.ring();
        out.hears(180);
        at_telekom.answer();
        out.answered();
        assert_eq!(at_telekom.format(), ALAW);
        converse(&out, &at_telekom);
        out.hang_up();
        at_telekom.ended();
    }
    for abroad in ["+33123456789", "+1900", "0033123456789", "0049891234"] {
        let status = phone.dial(DOWNSTAIRS, abroad).refused();
        assert_eq!(status, 403, "{abroad}");
    }
    house.registrar.assert_not_called();
    house.running.finish();
}

#[test]
fn a_call_in_rings_both_telephones_and_the_first_that_answers_has_it() {
    let house = House::new();
    let contact = house.registrar.registered().contact();
    assert!(contact.starts_with("sip:030123456@"), "{contact}");
    let (down, up) = (house.phone(1, DOWNSTAIRS), house.phone(2, UPSTAIRS));
    let mut caller = house.call_in(&contact);
    let (at_down, mut at_up) = (down.called(), up.called());
    assert_eq!(at_up.from().1, "+4917612345678");
    at_down.ring();
    caller.hears(180);
    at_up.answer();
    caller.answered();
    at_down.cancelled();
    converse(&caller, &at_up);
    // Telekom wants the password for this BYE, in a call that it has begun.
    at_up.hang_up();
    caller.ended();
    house.running.finish();
}

#[test]
fn a_caller_whom_nobody_answers_hears_busy() {
    let ring_time = "PJSIP/downstairs&PJSIP/upstairs,30";
    let shorter = example(Network::new()).replace(ring_time, "PJSIP/downstairs&PJSIP/upstairs,1");
    let house = House::of(shorter);
    let contact = house.registrar.registered().contact();
    // No telephone is there.
    assert_eq!(house.call_in(&contact).refused(), 486);
    // One is, and nobody takes the call.
    let down = house.phone(1, DOWNSTAIRS);
    let caller = house.call_in(&contact);
    let at_down = down.called();
    at_down.ring();
    at_down.cancelled();
    assert_eq!(caller.refused(), 486);
    // It is busy.
    let caller = house.call_in(&contact);
    down.called().refuse(486);
    assert_eq!(caller.refused(), 486);
    house.running.finish();
}

#[test]
fn the_telephones_call_one_another_by_name() {
    let house = House::new();
    let (down, up) = (house.phone(1, DOWNSTAIRS), house.phone(2, UPSTAIRS));
    let mut out = down.dial(DOWNSTAIRS, "upstairs");
    let mut at_up = up.called();
    let (name, user, _) = at_up.from();
    assert_eq!((&*name, &*user), ("Downstairs", "downstairs"));
    at_up.answer();
    out.answered();
    converse(&out, &at_up);
    at_up.hang_up();
    out.ended();
    house.registrar.assert_not_called();
    house.running.finish();
}

#[test]
fn a_registration_that_is_refused_is_asked_for_again_and_for_longer_where_telekom_wants_that() {
    let network = Network::new();
    let telekom = telekom(network, 0, 5070);
    let refusals = [
        ResponseDraft::new(403),
        ResponseDraft::new(404),
        ResponseDraft::new(401),
        ResponseDraft::new(503).header("Retry-After", 1),
        ResponseDraft::new(423).header("Min-Expires", 660),
    ];
    let (running, registered) = example(network).start_refused(&telekom, &refusals);
    let headers = registered.request.headers();
    assert_eq!(headers.get("Expires"), Some("660"));
    assert_eq!(registered.request.uri(), "sip:tel.t-online.de");
    let to = headers.to().uri.to_string();
    assert_eq!(to, "sip:+4930123456@tel.t-online.de");
    let log = running.gateway.log();
    assert!(!log.contains(LINE.password), "a password in the log");
    running.finish();
}

#[test]
fn strangers_hear_nothing_and_a_telephone_without_its_password_gets_nowhere() {
    let house = House::new();
    house
        .running
        .assert_strangers_hear_nothing("downstairs", "0900123");
    let users = ["downstairs", "telekom_out", "telekom_in", "nobody"];
    house
        .running
        .assert_no_call_without_password(DOWNSTAIRS, &users, "112");
    house.registrar.assert_not_called();
    house.running.finish();
}
