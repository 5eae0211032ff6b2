//! Calls between two trunks, played by SIPp.

use crate::gateway::{Gateway, Options};
use crate::media::{self, Peer};
use crate::scenario::{AUDIO, Role, Scenario, Sdp};
use std::net::SocketAddrV4;

fn caller_answered() -> Scenario {
    Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .perhaps(180)
        .perhaps(183)
        .expect_audio(200)
        .request("ACK", None)
}

fn called_answers() -> Scenario {
    let rings = Scenario::new().expect_offer().respond("180 Ringing", None);
    rings.respond("200 OK", Some(AUDIO)).expect_request("ACK")
}

fn port_of(gateway: &Gateway, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(gateway.network.gateway(), port)
}

fn finish(gateway: Gateway) {
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.stop();
}

#[test]
fn a_capture_played_by_the_caller_reaches_the_called_byte_for_byte() {
    let gateway = Gateway::start(&Options::default());
    let packets: Vec<Vec<u8>> = (0..50)
        .map(|number| media::packet(0xfeed, 100 + number))
        .collect();
    media::write_capture(&gateway.folder.path().join("speech.pcap"), &packets);
    let called = Role::called(&gateway);
    let ear = Peer::bind(called.rtp);
    let called = called.start(
        &gateway,
        &called_answers()
            .expect_request("BYE")
            .respond_in_dialog("200 OK", None),
    );
    // SIPp sends the capture from its own media port, the one that its SDP has to tell.
    let mut role = Role::caller(&gateway);
    role.rtp.set_port(7000);
    let plays = "<nop><action><exec play_pcap_audio=\"speech.pcap\"/></action></nop>\n";
    let scenario = caller_answered()
        .raw(plays)
        .pause_ms(1500)
        .request("BYE", None)
        .expect(200);
    let caller = role.start(&gateway, &scenario);
    for sent in &packets {
        let (received, source) = ear.receive();
        assert_eq!(media::payload(&received), media::payload(sent));
        assert_eq!(media::sequence(&received), media::sequence(sent));
        assert_eq!(
            source,
            port_of(&gateway, called.port()),
            "media comes from the port that the offer told"
        );
    }
    caller.finish();
    called.finish();
    finish(gateway);
}

#[test]
fn audio_passes_both_ways_and_the_called_side_hangs_up() {
    let gateway = Gateway::start(&Options::default());
    let (caller, called) = (Role::caller(&gateway), Role::called(&gateway));
    let (a, b) = (Peer::bind(caller.rtp), Peer::bind(called.rtp));
    let answers = called_answers()
        .pause_ms(1000)
        .bye_from_called()
        .expect(200);
    let called = called.start(&gateway, &answers);
    let ends = caller_answered()
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let caller = caller.start(&gateway, &ends);
    let (to_a, to_b) = (
        port_of(&gateway, caller.port()),
        port_of(&gateway, called.port()),
    );
    for number in 0..20 {
        let (from_a, from_b) = (media::packet(1, number), media::packet(2, number));
        a.send(to_a, &from_a);
        b.send(to_b, &from_b);
        assert_eq!(media::payload(&b.receive().0), media::payload(&from_a));
        assert_eq!(media::payload(&a.receive().0), media::payload(&from_b));
    }
    caller.finish();
    called.finish();
    finish(gateway);
}

#[test]
fn nothing_of_one_side_shows_on_the_other() {
    let gateway = Gateway::start(&Options::default());
    let called = Role::called(&gateway);
    let called = called.start(
        &gateway,
        &called_answers()
            .expect_request("BYE")
            .respond_in_dialog("200 OK", None),
    );
    let caller = Role::caller(&gateway).start(
        &gateway,
        &caller_answered().request("BYE", None).expect(200),
    );
    let (seen_by_caller, seen_by_called) = (caller.finish(), called.finish());
    assert!(
        seen_by_caller.len() >= 3 && seen_by_called.len() >= 3,
        "the messages were read"
    );
    let (a, b) = (
        gateway.network.caller().to_string(),
        gateway.network.called().to_string(),
    );
    for message in &seen_by_called {
        assert!(!message.contains(&a), "the caller's address:\n{message}");
    }
    for message in seen_by_caller {
        assert!(!message.contains(&b), "the called's address:\n{message}");
    }
    finish(gateway);
}

#[test]
fn a_refusal_is_passed_on() {
    for (answer, status) in [
        ("486 Busy Here", 486),
        ("404 Not Found", 404),
        ("603 Decline", 603),
        ("500 Error", 500),
    ] {
        let gateway = Gateway::start(&Options::default());
        let refuses = Scenario::new()
            .expect_offer()
            .respond(answer, None)
            .expect_request("ACK");
        let called = Role::called(&gateway).start(&gateway, &refuses);
        let refused = Scenario::new()
            .invite(Some(AUDIO))
            .perhaps(100)
            .expect(status)
            .ack_failure();
        Role::caller(&gateway).start(&gateway, &refused).finish();
        called.finish();
        finish(gateway);
    }
}

#[test]
fn a_cancelled_call_stops_ringing() {
    let gateway = Gateway::start(&Options::default());
    let rings = Scenario::new().expect_offer().respond("180 Ringing", None);
    let stops = rings
        .expect_request("CANCEL")
        .respond_in_dialog("200 OK", None);
    // The 487 answers the INVITE, whose CSeq and branch SIPp no longer has as the last message.
    let called = Role::called(&gateway).start(&gateway, &stops);
    let cancels = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .expect(180)
        .cancel()
        .expect(200)
        .expect(487);
    Role::caller(&gateway)
        .start(&gateway, &cancels.ack_failure())
        .finish();
    called.finish();
    gateway.eventually("the call is gone", |gateway| {
        gateway.rows("status")["calls_active"] == 0
    });
    gateway.stop();
}

#[test]
fn early_media_passes_before_the_answer() {
    let gateway = Gateway::start(&Options::default());
    let (caller, called) = (Role::caller(&gateway), Role::called(&gateway));
    let (a, b) = (Peer::bind(caller.rtp), Peer::bind(called.rtp));
    let early = Scenario::new()
        .expect_offer()
        .respond("183 Session Progress", Some(AUDIO))
        .pause_ms(800);
    let answers = early
        .respond("200 OK", Some(AUDIO))
        .expect_request("ACK")
        .expect_request("BYE");
    let called = called.start(&gateway, &answers.respond_in_dialog("200 OK", None));
    let hears = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .expect_audio(183)
        .expect(200)
        .request("ACK", None);
    let caller = caller.start(&gateway, &hears.request("BYE", None).expect(200));
    let (to_a, to_b) = (
        port_of(&gateway, caller.port()),
        port_of(&gateway, called.port()),
    );
    let announcement = media::packet(2, 1);
    b.send(to_b, &announcement);
    let (heard, source) = a.receive();
    assert_eq!(media::payload(&heard), media::payload(&announcement));
    assert_eq!(source, to_a);
    caller.finish();
    called.finish();
    finish(gateway);
}

#[test]
fn hold_is_passed_on_and_resume_brings_the_audio_back() {
    let gateway = Gateway::start(&Options::default());
    let (caller, called) = (Role::caller(&gateway), Role::called(&gateway));
    let (a, b) = (Peer::bind(caller.rtp), Peer::bind(called.rtp));
    let hold = Sdp {
        direction: "sendonly",
        version: 2,
        ..AUDIO
    };
    let held = Sdp {
        direction: "recvonly",
        version: 2,
        ..AUDIO
    };
    let resume = Sdp {
        version: 3,
        ..AUDIO
    };
    let answers = called_answers()
        .expect_request("INVITE")
        .respond_in_dialog("200 OK", Some(held))
        .expect_request("ACK");
    let answers = answers
        .expect_request("INVITE")
        .respond_in_dialog("200 OK", Some(resume))
        .expect_request("ACK");
    let answers = answers
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let called = called.start(&gateway, &answers);
    let holds = caller_answered()
        .request("INVITE", Some(hold))
        .perhaps(100)
        .expect(200)
        .request("ACK", None);
    let resumes = holds
        .request("INVITE", Some(resume))
        .perhaps(100)
        .expect(200)
        .request("ACK", None);
    let ends = resumes
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let caller = caller.start(&gateway, &ends);
    let (to_a, to_b) = (
        port_of(&gateway, caller.port()),
        port_of(&gateway, called.port()),
    );
    gateway.eventually("both re-INVITEs are through", |_| {
        let offers = called
            .received()
            .into_iter()
            .filter(|message| message.starts_with("INVITE"))
            .count();
        let acks = called
            .received()
            .into_iter()
            .filter(|message| message.starts_with("ACK"))
            .count();
        offers == 3 && acks == 3
    });
    let offers: Vec<String> = called
        .received()
        .into_iter()
        .filter(|message| message.starts_with("INVITE"))
        .collect();
    assert!(
        offers[1].contains("a=sendonly"),
        "the hold reaches the other side:\n{}",
        offers[1]
    );
    assert!(
        offers[2].contains("a=sendrecv"),
        "and so does its end:\n{}",
        offers[2]
    );
    for number in 0..5 {
        a.send(to_a, &media::packet(1, number));
        b.send(to_b, &media::packet(2, number));
        assert_eq!(
            media::payload(&b.receive().0),
            media::payload(&media::packet(1, number))
        );
        assert_eq!(
            media::payload(&a.receive().0),
            media::payload(&media::packet(2, number))
        );
    }
    gateway.hang_up();
    caller.finish();
    called.finish();
    finish(gateway);
}

#[test]
fn no_common_codec_is_refused_before_anybody_rings() {
    let gateway = Gateway::start(&Options {
        called: "dtmf_mode = \"rfc4733\"",
        ..Options::default()
    });
    let offers = Scenario::new()
        .invite(Some(Sdp {
            formats: "18",
            ..AUDIO
        }))
        .perhaps(100)
        .expect(488)
        .ack_failure();
    Role::caller(&gateway).start(&gateway, &offers).finish();
    finish(gateway);
}

#[test]
fn a_full_gateway_says_when_to_come_back() {
    let gateway = Gateway::start(&Options {
        global: "max_calls = 1",
        ..Options::default()
    });
    let called = Role::called(&gateway);
    let called = called.start(
        &gateway,
        &called_answers()
            .expect_request("BYE")
            .respond_in_dialog("200 OK", None),
    );
    let ends = caller_answered()
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let caller = Role::caller(&gateway).start(&gateway, &ends);
    gateway.eventually("the first call is up", |gateway| {
        gateway.rows("calls")[0]["state"] == "up"
    });
    let second = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .expect(503)
        .ack_failure();
    let mut role = Role::at("second", gateway.network.caller(), true);
    role.address.set_port(5062);
    let seen = role.start(&gateway, &second).finish();
    assert!(
        seen.iter()
            .any(|message| message.contains("\r\nRetry-After:")
                || message.contains("\nRetry-After:"))
    );
    gateway.hang_up();
    caller.finish();
    called.finish();
    finish(gateway);
}

#[test]
fn calls_get_through_a_lossy_network_and_leave_nothing_behind() {
    let gateway = Gateway::start(&Options::default());
    let called = called_answers()
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let called = Role::called(&gateway)
        .calls(100)
        .with(&["-lost", "5"])
        .start(&gateway, &called);
    let caller = caller_answered().request("BYE", None).expect(200);
    let caller = Role::caller(&gateway)
        .calls(100)
        .with(&["-lost", "5", "-r", "50"])
        .start(&gateway, &caller);
    // SIPp's own scenarios are no full SIP stack: what counts is that the gateway ends every call.
    caller.wait();
    called.wait();
    finish(gateway);
}
