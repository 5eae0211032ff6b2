//! A call's plain course: ringing, answer, end; and its failures.

use super::world::*;
use crate::link::{Command, Event as MediaEvent, LegReport};
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const ALICE_SDP: (&str, u16, u64, &str, &str) = ("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
const BOB_SDP: (&str, u16, u64, &str, &str) = ("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");

fn alice() -> String {
    sdp(
        ALICE_SDP.0,
        ALICE_SDP.1,
        ALICE_SDP.2,
        ALICE_SDP.3,
        ALICE_SDP.4,
    )
}

fn bob() -> String {
    sdp(BOB_SDP.0, BOB_SDP.1, BOB_SDP.2, BOB_SDP.3, BOB_SDP.4)
}

#[test]
fn a_call_rings_talks_and_ends() {
    let mut world = World::new();
    world.talk("100");
    assert_eq!(world.to(BOB), ["INVITE", "ACK"]);
    assert_eq!(world.to(ALICE), ["180 INVITE", "200 INVITE"]);
    let rows = world.gateway.calls(world.now);
    assert_eq!((rows[0].state.as_str(), rows[0].rtp_ports.len()), ("up", 2));
    let Some(Command::Bridge { a_to_b, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert_eq!(a_to_b.pairs(), [(8, 8), (0, 0), (101, 101)]);

    world.request(ALICE, Method::Bye, None);
    world.run(100 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    assert_eq!(world.to(BOB).last().map(String::as_str), Some("BYE"));
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn the_callee_hangs_up() {
    let mut world = World::new();
    world.talk("100");
    world.request(BOB, Method::Bye, None);
    world.run(100 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    assert!(
        world
            .last_to(ALICE, "BYE")
            .contains("Reason: Q.850;cause=16")
    );
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn nothing_of_one_leg_shows_on_the_other() {
    let mut world = World::new();
    world.talk("100");
    world.request(ALICE, Method::Bye, None);
    world.run(100 * MS);
    world.confirm(BOB, 200);
    world.run(100 * MS);
    for (to, hidden) in [
        (
            BOB,
            ["198.51.100.10", "call-of-", "X-Secret", "4000", "alice@"],
        ),
        (ALICE, ["203.0.113.20", "5070", "6000", "bob@", "me@"]),
    ] {
        for sent in world.wire.iter().filter(|sent| sent.to.to_string() == to) {
            for word in hidden {
                assert!(!sent.text().contains(word), "{word} in {}", sent.text());
            }
        }
    }
    let invite = world.last_to(BOB, "INVITE");
    assert!(
        invite.contains("From: \"Alice A\" <sip:6001@192.0.2.1>;tag="),
        "{invite}"
    );
    assert!(
        invite.starts_with("INVITE sip:bob@203.0.113.20:5070 SIP/2.0\r\n"),
        "{invite}"
    );
    world.assert_nothing_left();
}

#[test]
fn a_failure_reaches_the_caller() {
    for (answered, told) in [(486, 486), (404, 404), (603, 603), (407, 403), (503, 503)] {
        let mut world = World::new();
        world.invite(ALICE, "100", Some(&alice()));
        world.run(100 * MS);
        world.answer(BOB, answered, None);
        world.run(100 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(told));
        world.assert_nothing_left();
    }
}

#[test]
fn a_caller_gives_up() {
    for wait in [0, 5, 15, 25, 50, 300] {
        let mut world = World::new();
        let tx = world.invite(ALICE, "100", Some(&alice()));
        world.run(12 * MS);
        if wait >= 15 {
            world.run(15 * MS);
            world.answer(BOB, 180, None);
        }
        world.run(wait * MS);
        world.cancel(ALICE, tx);
        world.run(600 * MS);
        if wait < 15 {
            world.answer(BOB, 180, None);
            world.run(100 * MS);
        }
        assert_eq!(
            world.phone(ALICE).final_status(),
            Some(487),
            "after {wait} ms"
        );
        assert!(
            world.to(BOB).contains(&"CANCEL".to_owned()),
            "after {wait} ms"
        );
        world.answer(BOB, 487, None);
        world.assert_nothing_left();
    }
}

#[test]
fn an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut world = World::new();
    let tx = world.invite(ALICE, "100", Some(&alice()));
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.cancel(ALICE, tx);
    world.answer(BOB, 200, Some(&bob()));
    world.run(100 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(487));
    world.confirm(BOB, 200);
    let to_bob = world.to(BOB);
    assert!(
        to_bob.ends_with(&["ACK".into(), "BYE".into()]),
        "{to_bob:?}"
    );
    world.assert_nothing_left();
}

#[test]
fn a_dial_that_nobody_answers_times_out() {
    let mut world = World::new();
    world.invite(ALICE, "101", Some(&alice()));
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(Duration::from_secs(19));
    assert_eq!(world.phone(ALICE).final_status(), None);
    world.run(Duration::from_secs(2));
    assert_eq!(world.phone(ALICE).final_status(), Some(480));
    world.answer(BOB, 487, None);
    world.assert_nothing_left();
}

#[test]
fn early_media_is_heard_and_the_answer_stays_the_same() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alice()));
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob()));
    world.run(50 * MS);
    assert!(world.last_bridge().is_some());
    let early = world.last_to(ALICE, "183 INVITE");
    world.answer(BOB, 200, Some(&bob()));
    world.run(50 * MS);
    let last = world.last_to(ALICE, "200 INVITE");
    let body = |text: &str| text.split_once("\r\n\r\n").expect("a body").1.to_owned();
    assert_eq!(body(&early), body(&last));
    world.ack(ALICE, None);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn a_call_without_an_offer_gets_ours_and_answers_in_its_ack() {
    let mut world = World::new();
    world.invite(ALICE, "100", None);
    world.run(50 * MS);
    let invite = world.last_to(BOB, "INVITE");
    assert!(
        invite.contains("m=audio ") && invite.contains("PCMA/8000"),
        "{invite}"
    );
    world.answer(
        BOB,
        200,
        Some(&sdp("203.0.113.20", 6000, 1, "8", "sendrecv")),
    );
    world.run(50 * MS);
    let answer = world.last_to(ALICE, "200 INVITE");
    // What both have, then what we would transcode.
    assert!(answer.contains(" RTP/AVP 8 0 9 101\r\n"), "{answer}");
    assert!(world.last_bridge().is_none());
    world.ack(ALICE, Some(&sdp("198.51.100.10", 4000, 1, "8", "sendrecv")));
    world.run(50 * MS);
    assert!(world.last_bridge().is_some());
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn no_common_codec_and_none_that_we_transcode_is_488() {
    let allows_g729 = CONFIG.replace(
        "allow = [\"alaw\", \"ulaw\", \"g722\"]",
        "allow = [\"g729\"]",
    );
    let mut world = World::with_config(&allows_g729);
    world.invite(
        ALICE,
        "100",
        Some(&sdp("198.51.100.10", 4000, 1, "18", "sendrecv")),
    );
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(488));
    assert_eq!(world.to(BOB).len(), 0);
    world.assert_nothing_left();
}

#[test]
fn the_first_of_two_that_answers_wins() {
    let mut world = World::new();
    world.invite(ALICE, "103", Some(&alice()));
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.answer(CAROL, 180, None);
    world.run(50 * MS);
    world.answer(
        CAROL,
        200,
        Some(&sdp("203.0.113.30", 7000, 1, "8", "sendrecv")),
    );
    world.answer(BOB, 200, Some(&bob()));
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let winner = world.gateway.calls(world.now)[0].to_endpoint.clone();
    assert_eq!(winner.as_deref(), Some("carol"));
    assert!(
        world
            .to(BOB)
            .ends_with(&["CANCEL".into(), "ACK".into(), "BYE".into()])
    );
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.confirm(CAROL, 200);
    world.assert_nothing_left();
}

#[test]
fn the_dialplan_goes_on_after_a_dial_that_failed() {
    let mut world = World::new();
    world.invite(ALICE, "104", Some(&alice()));
    world.run(50 * MS);
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    assert_eq!(world.to(CAROL), ["INVITE"]);
    world.answer(CAROL, 480, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(480));
    world.assert_nothing_left();
}

#[test]
fn a_trunk_group_fails_over_but_not_on_busy() {
    for (answered, goes_on) in [(503, true), (486, false), (603, false), (404, false)] {
        let mut world = World::new();
        world.invite(ALICE, "8123", Some(&alice()));
        world.run(50 * MS);
        assert!(
            world
                .last_to(BOB, "INVITE")
                .starts_with("INVITE sip:123@203.0.113.20:5070 ")
        );
        world.answer(BOB, answered, None);
        world.run(50 * MS);
        assert_eq!(world.to(CAROL) == ["INVITE"], goes_on, "{answered}");
        if goes_on {
            world.answer(CAROL, 486, None);
        }
        world.assert_nothing_left();
    }
}

#[test]
fn a_dead_callee_is_408_and_a_group_tries_the_next() {
    let mut world = World::new();
    world.network = Box::new(|_, sent| match sent.to.to_string().as_str() {
        BOB => Fate::Lose,
        _ => Fate::Deliver,
    });
    world.invite(ALICE, "8123", Some(&alice()));
    world.run(Duration::from_secs(33));
    assert_eq!(world.to(CAROL), ["INVITE"]);
    world.answer(CAROL, 486, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(486));
    world.assert_nothing_left();
}

#[test]
fn an_echo_answers_and_ends_with_the_caller() {
    let mut world = World::new();
    world.invite(ALICE, "105", Some(&alice()));
    world.run(50 * MS);
    world.ack(ALICE, None);
    let echoes = |command: &(_, Command)| matches!(command.1, Command::Echo { .. });
    assert_eq!(world.commands.iter().filter(|c| echoes(c)).count(), 1);
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn the_dialplan_refuses() {
    for (extension, status, after) in [
        ("106", 486, 0),
        ("107", 503, 3),
        ("108", 403, 2),
        ("999", 404, 0),
    ] {
        let mut world = World::new();
        world.invite(ALICE, extension, Some(&alice()));
        world.run(Duration::from_secs(after) + 50 * MS);
        assert_eq!(
            world.phone(ALICE).final_status(),
            Some(status),
            "{extension}"
        );
        world.assert_nothing_left();
    }
}

#[test]
fn a_dialplan_that_dials_nobody_for_ever_ends() {
    let mut world = World::new();
    world.invite(ALICE, "111", Some(&alice()));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(480));
    world.assert_nothing_left();
}

#[test]
fn silence_ends_a_call() {
    let mut world = World::new();
    world.talk("100");
    let leg = world.open_legs()[0];
    world.media(MediaEvent::Silent { leg });
    world.run(50 * MS);
    world.confirm(ALICE, 200);
    world.confirm(BOB, 200);
    assert_eq!(world.to(ALICE).last().map(String::as_str), Some("BYE"));
    world.assert_nothing_left();
}

#[test]
fn a_port_that_cannot_be_opened_is_503() {
    let mut world = World::new();
    world.open_fails = true;
    world.invite(ALICE, "100", Some(&alice()));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(503));
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.answer(BOB, 487, None);
    assert_eq!(world.gateway.ports().quarantined, 2);
    world.assert_nothing_left();
}

#[test]
fn an_operator_sees_what_a_call_waits_for_and_where_its_audio_is_to_come_from() {
    let mut world = World::new();
    let offer = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite(ALICE, "100", Some(&offer));
    world.run(100 * MS);
    let id = world.gateway.calls(world.now)[0].id.clone();
    assert!(world.gateway.call_detail(world.now, "another").is_none());
    let states = |world: &World| {
        let detail = world.gateway.call_detail(world.now, &id).expect("it runs");
        let legs = detail.legs.iter();
        let legs: Vec<String> = legs
            .map(|leg| format!("{} {} {}", leg.side, leg.endpoint, leg.state))
            .collect();
        (detail.doing, legs.join(", "))
    };
    let waits = "waits for somebody to answer".to_owned();
    let rings = "caller alice asked, callee bob calling".to_owned();
    assert_eq!(states(&world), (waits, rings));
    let answer = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    world.answer(BOB, 200, Some(&answer));
    world.run(100 * MS);
    assert_eq!(states(&world).1, "caller alice unacked, callee bob up");
    world.ack(ALICE, None);
    let leg = world.open_legs()[1];
    let report = LegReport {
        strangers: 7,
        ..LegReport::default()
    };
    world.media(MediaEvent::Report { leg, report });
    let detail = world.gateway.call_detail(world.now, &id).expect("it runs");
    let bobs = detail.legs[1].media.as_ref().expect("a port");
    assert_eq!(bobs.port, leg.port.rtp());
    assert_eq!(bobs.sdp.as_deref(), Some("203.0.113.20:6000"));
    assert_eq!(bobs.counts.source, None, "nothing has come");
    assert_eq!(bobs.strangers, 7);
    assert!(bobs.formats.contains(&"8 alaw".to_owned()), "{bobs:?}");
    assert_eq!(detail.steps.len(), 1);
    world.phones_answer = true;
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}
