//! `voipms-phones.toml`: a number of VOIP.ms, over TCP and a NAT, and a house full of telephones.

use super::{ALAW, Example, G722, HOME, PROVIDER, Record, Running, SIP, ULAW, gateway};
use crate::gateway::Network;
use crate::peer::{Call, Login, Peer, Registered, converse};
use ringway::sip::message::ResponseDraft;
use std::net::{Ipv4Addr, SocketAddrV4};

const ACCOUNT: Login = Login {
    username: "555555",
    password: "change-me",
};
const LIVING_ROOM: Login = Login {
    username: "6001",
    password: "change-me-6001",
};
const KITCHEN: Login = Login {
    username: "6002",
    password: "change-me-6002",
};
const SMARTPHONE: Login = Login {
    username: "6003",
    password: "change-me-6003",
};
/// What the router has outside. It forwards the ports, so that what is sent there comes to the gateway.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 8);

/// The example and VOIP.ms.
struct House {
    network: Network,
    running: Running,
    voipms: Peer,
    trunk: Registered,
}

fn example(network: Network) -> Example {
    let server = network.host(PROVIDER);
    let records = vec![Record::address("atlanta2.voip.ms", server)];
    let permit = "\"198.51.100.10\"]";
    let local = "\"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\"";
    let home = format!("\"{}/26\"", network.host(HOME));
    Example::new("voipms-phones.toml", network, records)
        .replace(permit, format_args!("\"{server}\"]"))
        .replace(local, home)
}

fn voipms(network: Network) -> Peer {
    let address = SocketAddrV4::new(network.host(PROVIDER), SIP);
    let voipms = Peer::listening(address, gateway(network)).with_formats(&[ULAW, ALAW]);
    voipms.with_account("voip.ms", ACCOUNT)
}

impl House {
    fn new() -> House {
        House::of(example(Network::new()))
    }

    fn of(example: Example) -> House {
        let network = example.network;
        let voipms = voipms(network);
        let running = example.start();
        let trunk = voipms.registered();
        running.registered();
        House {
            network,
            running,
            voipms,
            trunk,
        }
    }

    fn living_room(&self) -> Peer {
        super::phone(self.network, 1, LIVING_ROOM, &[G722, ULAW])
    }

    fn kitchen(&self) -> Peer {
        super::phone(self.network, 2, KITCHEN, &[G722, ULAW])
    }

    /// It registers over a TCP connection that it keeps.
    fn smartphone(&self) -> Peer {
        let own = self.network.host(HOME + 3);
        let phone = Peer::connected(own, gateway(self.network)).with_formats(&[ULAW, G722]);
        assert_eq!(phone.register(SMARTPHONE).status(), 200);
        phone
    }

    /// A call from the telephone network to our number, over the connection of the registration.
    fn call_in(&self) -> Call<'_> {
        let uri = self.trunk.contact().replace("555555@", "5555555555@");
        let from = "\"Jane Roe\" <sip:2125550123@atlanta2.voip.ms>";
        self.voipms
            .call(Some(&self.trunk), self.voipms.invite(&uri, from))
    }
}

#[test]
fn numbers_go_out_with_plus_one_and_area_code_and_nothing_goes_abroad() {
    let house = House::new();
    let phone = house.living_room();
    for (dialled, called) in [
        ("+12125550123", "+12125550123"),
        ("12125550123", "+12125550123"),
        ("2125550123", "+12125550123"),
        ("2670123", "+15552670123"),
        ("411", "411"),
        ("911", "911"),
    ] {
        let mut out = phone.dial(LIVING_ROOM, dialled);
        let mut at_voipms = house.voipms.called();
        assert_eq!(at_voipms.number(), called, "for {dialled}");
        let (name, user, _) = at_voipms.from();
        assert_eq!((&*name, &*user), ("John Doe", "+15555555555"));
        let party = at_voipms.header("Remote-Party-ID");
        assert!(
            party.starts_with("\"John Doe\" <sip:+15555555555@"),
            "{party}"
        );
        assert_eq!(at_voipms.media_address(), OUTSIDE);
        at_voipms.ring();
        out.hears(180);
        at_voipms.answer();
        out.answered();
        // The telephone would rather have G.722, which VOIP.ms does not have.
        assert_eq!((out.format(), at_voipms.format()), (ULAW, ULAW));
        assert_eq!(out.media_address(), house.network.gateway());
        converse(&out, &at_voipms);
        at_voipms.hang_up();
        out.ended();
    }
    for barred in ["+4930123456", "0114930123456", "011", "1900", "*99"] {
        let status = phone.dial(LIVING_ROOM, barred).refused();
        assert_eq!(status, 404, "{barred}");
    }
    house.voipms.assert_not_called();
    house.running.finish();
}

#[test]
fn a_call_in_rings_the_whole_house() {
    let house = House::new();
    let contact = house.trunk.contact();
    let expected = format!("sip:555555@{OUTSIDE}:5060;transport=tcp");
    assert_eq!(contact, expected, "the NAT's outside");
    let (living_room, kitchen, mobile) = (house.living_room(), house.kitchen(), house.smartphone());
    let mut caller = house.call_in();
    let (first, second, mut third) = (living_room.called(), kitchen.called(), mobile.called());
    let (name, user, _) = third.from();
    assert_eq!((&*name, &*user), ("Jane Roe", "2125550123"));
    first.ring();
    caller.hears(180);
    third.answer();
    caller.answered();
    first.cancelled();
    second.cancelled();
    converse(&caller, &third);
    third.hang_up();
    caller.ended();
    house.running.finish();
}

#[test]
fn a_caller_whom_nobody_answers_hears_busy() {
    let ring_time = "RING_TIME = \"25\"";
    let house = House::of(example(Network::new()).replace(ring_time, "RING_TIME = \"1\""));
    assert_eq!(house.call_in().refused(), 486, "no telephone is there");
    let kitchen = house.kitchen();
    let caller = house.call_in();
    let at_kitchen = kitchen.called();
    at_kitchen.ring();
    at_kitchen.cancelled();
    assert_eq!(caller.refused(), 486, "nobody takes the call");
    house.running.finish();
}

#[test]
fn telephones_call_one_another_with_the_better_codec() {
    let house = House::new();
    let (living_room, mobile) = (house.living_room(), house.smartphone());
    let mut out = living_room.dial(LIVING_ROOM, "6003");
    let mut at_mobile = mobile.called();
    let (name, user, _) = at_mobile.from();
    assert_eq!((&*name, &*user), ("Living Room", "6001"));
    at_mobile.answer();
    out.answered();
    assert_eq!((out.format(), at_mobile.format()), (G722, G722));
    converse(&out, &at_mobile);
    out.hang_up();
    at_mobile.ended();
    // The caller gives up.
    let out = mobile.dial(SMARTPHONE, "6001");
    let at_living_room = living_room.called();
    at_living_room.ring();
    out.hears(180);
    out.cancel();
    at_living_room.cancelled();
    // Neither registered nor there at all.
    for absent in ["6002", "6000"] {
        assert_eq!(mobile.dial(SMARTPHONE, absent).refused(), 480, "{absent}");
    }
    house.running.finish();
}

#[test]
fn a_telephone_that_logs_in_elsewhere_is_called_there() {
    let house = House::new();
    let (_old, mobile) = (house.living_room(), house.smartphone());
    let new = super::phone(house.network, 9, LIVING_ROOM, &[G722]);
    let mut out = mobile.dial(SMARTPHONE, "6001");
    let mut at_new = new.called();
    at_new.answer();
    out.answered();
    out.hang_up();
    at_new.ended();
    house.running.finish();
}

#[test]
fn a_registration_that_is_refused_is_asked_for_again() {
    let network = Network::new();
    let voipms = voipms(network);
    let refusals = [
        ResponseDraft::new(403),
        ResponseDraft::new(404),
        ResponseDraft::new(503).header("Retry-After", 1),
    ];
    let (running, _) = example(network).start_refused(&voipms, &refusals);
    running.finish();
}

#[test]
fn strangers_hear_nothing_and_a_telephone_without_its_password_gets_nowhere() {
    let house = House::new();
    house
        .running
        .assert_strangers_hear_nothing("6001", "2125550123");
    let users = ["6001", "voipms", "555555", "nobody"];
    house
        .running
        .assert_no_call_without_password(LIVING_ROOM, &users, "2125550123");
    house.voipms.assert_not_called();
    house.running.finish();
}
