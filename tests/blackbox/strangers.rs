//! Whoever was not invited: SIP from unknown addresses, RTP into running calls.

use crate::gateway::{Gateway, Options};
use crate::media::{self, Peer};
use crate::scenario::{AUDIO, Role, Scenario};
use std::net::{SocketAddrV4, UdpSocket};

fn ask(gateway: &Gateway, from: &UdpSocket, user: &str) -> String {
    let (local, target) = (
        from.local_addr().expect("it is bound"),
        gateway.network.gateway(),
    );
    let request = format!(
        "INVITE sip:00441234567@{target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{user}\r\n\
         From: <sip:{user}@{target}>;tag=1\r\nTo: <sip:00441234567@{target}>\r\nCall-ID: {user}@scan\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:{user}@{local}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    from.send_to(request.as_bytes(), (target, 5060))
        .expect("loopback takes it");
    let mut answer = [0; 4096];
    let length = from.recv(&mut answer).expect("an answer comes");
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn a_stranger_is_challenged_and_learns_nothing() {
    let known = "auth = { username = \"called\", password = \"a secret\" }";
    let gateway = Gateway::start(&Options {
        called: known,
        ..Options::default()
    });
    let socket = UdpSocket::bind((gateway.network.host(66), 5060)).expect("a free address");
    socket
        .set_read_timeout(Some(crate::gateway::PATIENCE))
        .expect("a time-out is set");
    let shapes = ["called", "nobody"].map(|user| {
        let answer = ask(&gateway, &socket, user);
        assert!(answer.starts_with("SIP/2.0 401 "), "{answer}");
        assert!(answer.contains("WWW-Authenticate: Digest "), "{answer}");
        // What differs from request to request, whoever asks: our tag, the nonce, and what was asked.
        let lines = answer
            .lines()
            .filter(|line| !line.starts_with("Call-ID") && !line.starts_with("Via"));
        lines
            .map(|line| line.split(['=', ':']).next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        shapes[0], shapes[1],
        "a known name and an unknown one get the same answer"
    );
    assert_eq!(gateway.rows("calls").as_array().map(Vec::len), Some(0));
    let strangers = gateway.rows("strangers");
    assert_eq!(strangers[0]["source"], gateway.network.host(66).to_string());
    assert_eq!(
        strangers[0]["requests"], 1,
        "a name that exists is challenged as any"
    );
    // All of the test is in one /24.
    assert!(gateway.metric("ringway_sip_rejected_total{reason=\"neighbour\"}") >= 1.0);
    gateway.stop();
}

#[test]
fn what_is_no_sip_is_counted_and_does_no_harm() {
    let gateway = Gateway::start(&Options::default());
    let socket = UdpSocket::bind((gateway.network.caller(), 5099)).expect("a free address");
    let target = (gateway.network.gateway(), 5060);
    for garbage in [
        &b"\x00\x01\x02"[..],
        b"INVITE",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 1400],
        b"SIP/2.0 200 OK\r\n\r\n",
    ] {
        socket.send_to(garbage, target).expect("loopback takes it");
    }
    gateway.eventually("it is counted", |gateway| {
        gateway.metric("ringway_sip_rejected_total{reason=\"malformed\"}") >= 4.0
    });
    gateway.stop();
}

/// The issue of RTP bleed: whoever knows the port sends to it, before, during and in a pause of the call.
#[test]
fn an_intruder_gets_no_packet_in_and_none_back() {
    let gateway = Gateway::start(&Options::default());
    let (caller, called) = (Role::caller(&gateway), Role::called(&gateway));
    let (a, b) = (Peer::bind(caller.rtp), Peer::bind(called.rtp));
    let intruder = Peer::bind(SocketAddrV4::new(gateway.network.host(66), 6000));
    let rings = Scenario::new()
        .expect_offer()
        .respond("180 Ringing", None)
        .respond("200 OK", Some(AUDIO));
    let answers = rings
        .expect_request("ACK")
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let called = called.start(&gateway, &answers);
    let calls = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .perhaps(180)
        .expect_audio(200)
        .request("ACK", None);
    let caller = caller.start(
        &gateway,
        &calls.pause_ms(2500).request("BYE", None).expect(200),
    );
    let (to_a, to_b) = (
        SocketAddrV4::new(gateway.network.gateway(), caller.port()),
        SocketAddrV4::new(gateway.network.gateway(), called.port()),
    );
    let intrude = |first: u16| {
        for number in 0..50 {
            intruder.send(to_a, &media::packet(0xbad, first + number));
            intruder.send(to_b, &media::packet(0xbad, first + number));
        }
    };
    let talk = |first: u16| {
        for number in first..first + 10 {
            a.send(to_a, &media::packet(1, number));
            assert_eq!(media::ssrc(&b.receive().0), 1);
            b.send(to_b, &media::packet(2, number));
            assert_eq!(media::ssrc(&a.receive().0), 2);
        }
    };
    intrude(0);
    talk(0);
    intrude(100);
    talk(10);
    intrude(200);
    talk(20);
    assert_eq!(
        a.pending().len() + b.pending().len(),
        0,
        "nobody hears the intruder"
    );
    assert_eq!(intruder.pending().len(), 0, "and the intruder hears nobody");
    caller.finish();
    called.finish();
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.stop();
}
