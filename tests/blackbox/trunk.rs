//! Kamailio as a trunk: a proxy that challenges, stays in the path of every call, is busy, dies and comes back.

use crate::gateway::{Gateway, Network, Options};
use crate::kamailio::Kamailio;
use crate::media::{self, Peer};
use crate::scenario::{AUDIO, Role, Scenario, Sdp, Sipp};
use std::net::SocketAddrV4;

const SECTIONS: &str = r#"
[auth.provider]
username = "030123456"
password = "a:b@c"

[template.trunk]
context = "from-called"
allow = ["ulaw"]
outbound_auth = "provider"
from_user = "030123456"
from_domain = "tel.example.com"

[endpoint.first]
use = "trunk"
aor = { contact = ["sip:HOST4"], qualify_frequency = 1, qualify_timeout = 0.5 }

[endpoint.second]
use = "trunk"
aor = { contact = ["sip:HOST5"] }

[endpoint.stream]
use = "trunk"
aor = { contact = ["sip:HOST4;transport=tcp"] }

[trunk_group.either]
members = [{ endpoint = "first", priority = 1 }, { endpoint = "second", priority = 2 }]

[identify.first]
endpoint = "first"
match = ["HOST4"]

[registration.number]
server_uri = "sip:HOST4"
client_uri = "sip:+49301@tel.example.com"
contact_user = "49301"
outbound_auth = "provider"
"#;

/// Both providers in turn.
const EITHER: &str =
    r#""Dial(PJSIP/${EXTEN}@first,20)", "Dial(PJSIP/${EXTEN}@second,20)", "Hangup()""#;

fn gateway(network: Network, steps: &'static str) -> Gateway {
    let options = Options {
        sections: SECTIONS.into(),
        steps,
        ..Options::default()
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    Gateway::start_at(network, folder, &options)
}

/// The telephone network behind the providers.
fn behind(gateway: &Gateway, name: &'static str) -> Role {
    Role::at(name, gateway.network.host(6), false)
}

fn answers() -> Scenario {
    let rings = Scenario::new().expect_offer().respond("180 Ringing", None);
    rings.respond("200 OK", Some(AUDIO)).expect_request("ACK")
}

fn calls() -> Scenario {
    Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .perhaps(180)
        .expect_audio(200)
        .request("ACK", None)
}

/// Twenty packets each way between the two who talk.
fn speak(gateway: &Gateway, sides: [(&Peer, &Sipp); 2]) {
    let ports = sides.map(|(_, sipp)| SocketAddrV4::new(gateway.network.gateway(), sipp.port()));
    let [(a, _), (b, _)] = sides;
    for number in 0..20 {
        let (from_a, from_b) = (media::packet(1, number), media::packet(2, number));
        a.send(ports[0], &from_a);
        b.send(ports[1], &from_b);
        assert_eq!(media::payload(&b.receive().0), media::payload(&from_a));
        assert_eq!(media::payload(&a.receive().0), media::payload(&from_b));
    }
}

fn finish(gateway: Gateway) {
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    assert!(!gateway.log().contains("a:b@c"), "a password in the log");
    gateway.stop();
}

/// What the network behind got came through this provider, and shows nothing of the customer's password.
#[track_caller]
fn came_through(messages: &[String], provider: std::net::Ipv4Addr) {
    assert!(!messages.is_empty());
    for message in messages {
        let mut via = message.lines().filter(|line| line.starts_with("Via:"));
        let first = via.next().expect("a request has a Via");
        assert!(first.contains(&provider.to_string()), "{message}");
        assert!(!message.contains("Authorization:"), "{message}");
    }
}

/// One call out: held and resumed by the caller, who ends it if `caller_ends`.
fn calls_out(steps: &'static str, caller_ends: bool) {
    let network = Network::new();
    let provider = Kamailio::start(network.host(4), network.host(6));
    let gateway = gateway(network, steps);
    let (hold, held) = (
        Sdp {
            direction: "sendonly",
            version: 2,
            ..AUDIO
        },
        Sdp {
            direction: "recvonly",
            version: 2,
            ..AUDIO
        },
    );
    let resumed = Sdp {
        version: 3,
        ..AUDIO
    };
    let mut far = answers();
    let mut near = calls().pause_ms(1000);
    for (offer, answer) in [(hold, held), (resumed, resumed)] {
        far = far.expect_request("INVITE");
        far = far.respond_in_dialog("200 OK", Some(answer));
        far = far.expect_request("ACK");
        near = near.request("INVITE", Some(offer)).perhaps(100).expect(200);
        near = near.request("ACK", None);
    }
    if caller_ends {
        far = far.expect_request("BYE").respond_in_dialog("200 OK", None);
        near = near.request("BYE", None).expect(200);
    } else {
        far = far.bye_from_called().expect(200);
        near = near.expect_request("BYE").respond_in_dialog("200 OK", None);
    }
    let (caller, called) = (Role::caller(&gateway), behind(&gateway, "far"));
    let (a, b) = (Peer::bind(caller.rtp), Peer::bind(called.rtp));
    let called = called.start(&gateway, &far);
    let caller = caller.start(&gateway, &near);
    speak(&gateway, [(&a, &caller), (&b, &called)]);
    caller.finish();
    let requests = called.finish().into_iter();
    let requests: Vec<String> = requests
        .filter(|message| !message.starts_with("SIP/2.0"))
        .collect();
    came_through(&requests, provider.host());
    let invites = requests
        .iter()
        .filter(|request| request.starts_with("INVITE "));
    assert_eq!(invites.count(), 3);
    finish(gateway);
}

#[test]
fn a_call_goes_out_with_digest_and_is_ended_by_the_caller() {
    calls_out(r#""Dial(PJSIP/${EXTEN}@first,20)", "Hangup()""#, true);
}

#[test]
fn a_call_goes_out_over_tcp_and_is_ended_from_behind_the_proxy() {
    calls_out(r#""Dial(PJSIP/${EXTEN}@stream,20)", "Hangup()""#, false);
}

#[test]
fn a_call_comes_in_by_the_registration() {
    let network = Network::new();
    let provider = Kamailio::start(network.host(4), network.host(6));
    let gateway = gateway(network, "");
    gateway.eventually("registered", |gateway| {
        gateway.rows("registrations")[0]["state"] == "registered"
    });
    let far = Role {
        begins: true,
        target: Some(SocketAddrV4::new(provider.host(), 5060)),
        number: "+49301",
        ..behind(&gateway, "far")
    };
    // The trunk `caller` is dialled for what comes in.
    let near = Role::at("near", gateway.network.caller(), false);
    let (a, b) = (Peer::bind(far.rtp), Peer::bind(near.rtp));
    let near = near.start(
        &gateway,
        &answers().pause_ms(1000).bye_from_called().expect(200),
    );
    let ends = calls()
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let far = far.start(&gateway, &ends);
    speak(&gateway, [(&a, &far), (&b, &near)]);
    near.finish();
    let bye = far.finish().into_iter();
    let bye: Vec<String> = bye.filter(|message| message.starts_with("BYE ")).collect();
    came_through(&bye, provider.host());
    finish(gateway);
}

/// A call from the caller to the network behind; gives what it got there.
fn calls_once(gateway: &Gateway, name: &'static str) -> Vec<String> {
    let far = answers()
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let far = behind(gateway, name).start(gateway, &far);
    let near = calls().request("BYE", None).expect(200);
    Role::caller(gateway).start(gateway, &near).finish();
    let requests = far.finish().into_iter();
    requests
        .filter(|message| !message.starts_with("SIP/2.0"))
        .collect()
}

fn status_of(gateway: &Gateway, aor: &str) -> String {
    let rows = gateway.rows("contacts");
    let rows = rows.as_array().expect("rows");
    let row = rows.iter().find(|row| row["aor"] == aor);
    row.expect("its row")["status"]
        .as_str()
        .expect("a status")
        .to_owned()
}

#[test]
fn a_dead_provider_gives_way_to_the_second_until_it_is_back() {
    let network = Network::new();
    let (hosts, far) = ([network.host(4), network.host(5)], network.host(6));
    let first = Kamailio::start(hosts[0], far);
    let _second = Kamailio::start(hosts[1], far);
    let gateway = gateway(network, EITHER);
    gateway.eventually("the first is there", |gateway| {
        status_of(gateway, "first") == "reachable"
    });
    came_through(&calls_once(&gateway, "far1"), hosts[0]);
    drop(first);
    // Not even asked for yet: the call itself finds out.
    came_through(&calls_once(&gateway, "far2"), hosts[1]);
    gateway.eventually("it is missed", |gateway| {
        status_of(gateway, "first") == "unreachable"
    });
    came_through(&calls_once(&gateway, "far3"), hosts[1]);
    let _first = Kamailio::start(hosts[0], far);
    gateway.eventually("it is back", |gateway| {
        status_of(gateway, "first") == "reachable"
    });
    came_through(&calls_once(&gateway, "far4"), hosts[0]);
    finish(gateway);
}

#[test]
fn a_provider_that_falls_silent_gives_way_to_the_second() {
    let network = Network::new();
    let (hosts, far) = ([network.host(4), network.host(5)], network.host(6));
    let first = Kamailio::start(hosts[0], far);
    let _second = Kamailio::start(hosts[1], far);
    let gateway = gateway(network, EITHER);
    gateway.eventually("the first is there", |gateway| {
        status_of(gateway, "first") == "reachable"
    });
    first.freeze();
    gateway.eventually("it is missed", |gateway| {
        status_of(gateway, "first") == "unreachable"
    });
    came_through(&calls_once(&gateway, "far1"), hosts[1]);
    drop(first);
    finish(gateway);
}

#[test]
fn a_provider_with_no_line_free_is_not_asked_before_it_says() {
    let network = Network::new();
    let (hosts, far) = ([network.host(4), network.host(5)], network.host(6));
    let _full = Kamailio::start_with(hosts[0], far, &["-A", "FULL"]);
    let _second = Kamailio::start(hosts[1], far);
    let gateway = gateway(network, EITHER);
    let refused = "ringway_sip_responses_total{code=\"503\",direction=\"in\"";
    came_through(&calls_once(&gateway, "far1"), hosts[1]);
    assert_eq!(gateway.metric(refused), 1.0, "{}", gateway.log());
    came_through(&calls_once(&gateway, "far2"), hosts[1]);
    assert_eq!(gateway.metric(refused), 1.0, "{}", gateway.log());
    finish(gateway);
}
