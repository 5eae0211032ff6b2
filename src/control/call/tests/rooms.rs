//! Page and ConfBridge: who is called into which room, who hears whom, and what is left.

use super::world::*;
use crate::control::call::CallKey;
use crate::link::{Command, LegId, RoomId, WorkerId};
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Alice calls 300, which has these steps; Bob and Carol call 77 for theirs.
fn world(steps: &str, theirs: &str) -> World {
    let identify = "\n[identify.carol]\nendpoint = \"carol\"\nmatch = [\"203.0.113.30\"]\n";
    let intercom = "\n[context.intercom.exten]\n\"s\" = [\"Set(PJSIP_HEADER(add,Alert-Info)=intercom)\", \"Return()\"]\n";
    let text = format!("{CONFIG}{identify}{intercom}")
        .replace(
            "[context.from-bob.exten]\n\"_X.\" = [\"Dial(PJSIP/carol)\"]\n",
            &format!(
                "\"300\" = [{steps}]\n\n[context.from-bob.exten]\n\"77\" = [{theirs}]\n\"_X.\" = [\"Dial(PJSIP/carol)\"]\n"
            ),
        );
    World::with_config(&text)
}

fn described(phone: &str, formats: &str) -> String {
    let at = address(phone);
    sdp(&at.ip().to_string(), 6000, 1, formats, "sendrecv")
}

/// Alice calls 300, and acknowledges its 200.
fn call(world: &mut World) {
    world.invite(ALICE, "300", Some(&described(ALICE, "8 0 101")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
}

fn answers(world: &mut World, phone: &str) {
    world.answer(phone, 200, Some(&described(phone, "8 0 101")));
    world.run(50 * MS);
}

/// Who came into a room, in order: worker, leg, room, whether the others hear it.
fn joined(world: &World) -> Vec<(WorkerId, LegId, RoomId, bool)> {
    let commands = world.commands.iter();
    let joins = commands.filter_map(|(worker, command)| match command {
        Command::Join {
            leg,
            room,
            talks,
            hears: true,
        } => Some((*worker, *leg, *room, *talks)),
        _ => None,
    });
    joins.collect()
}

fn talks(world: &World) -> Vec<bool> {
    joined(world).iter().map(|join| join.3).collect()
}

fn assert_one_room(world: &World, members: usize) {
    let joined = joined(world);
    assert_eq!(joined.len(), members, "{joined:?}");
    let place = |join: &(WorkerId, LegId, RoomId, bool)| (join.0, join.2);
    assert!(
        joined.iter().all(|join| place(join) == place(&joined[0])),
        "{joined:?}"
    );
}

const HANGS_UP: &str = "\"Hangup()\"";
const PAGE: &str = r#""Page(PJSIP/bob&PJSIP/carol,b(intercom^s^1),10)", "Hangup(17)""#;

#[test]
fn a_page_calls_all_at_once_and_each_that_answers_hears_the_caller() {
    for (steps, duplex) in [
        (PAGE.to_owned(), false),
        (PAGE.replace(",b(", ",db("), true),
    ] {
        let mut world = world(&steps, HANGS_UP);
        call(&mut world);
        for phone in [BOB, CAROL] {
            let invite = world.last_to(phone, "INVITE");
            assert!(invite.contains("\r\nAlert-Info: intercom\r\n"), "{invite}");
        }
        assert_eq!(world.asked_sounds(), ["beep"]);
        assert_eq!(talks(&world), [true], "the caller waits in the room");
        answers(&mut world, CAROL);
        assert_eq!(world.count_to(BOB, "CANCEL"), 0, "he rings on");
        answers(&mut world, BOB);
        assert_eq!(talks(&world), [true, duplex, duplex]);
        assert_one_room(&world, 3);
        let rows = world.gateway.calls(world.now);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row.from_endpoint.as_str(), row.state.as_str()))
            .collect();
        assert_eq!(rows, [("alice", "up"), ("carol", "up"), ("bob", "up")]);
        let there = world.gateway.rooms(world.now);
        let there: Vec<_> = there
            .iter()
            .map(|row| (&row.room[..], &row.endpoint[..], row.talks))
            .collect();
        let expected = [
            ("page", "alice", true),
            ("page", "carol", duplex),
            ("page", "bob", duplex),
        ];
        assert_eq!(there, expected);
        world.run(20 * S);
        world.request(ALICE, Method::Bye, None);
        world.run(50 * MS);
        for phone in [BOB, CAROL] {
            assert_eq!(world.count_to(phone, "BYE"), 1);
            world.confirm(phone, 200);
        }
        world.assert_nothing_left();
    }
}

#[test]
fn a_phone_that_was_paged_holds_and_hangs_up_by_itself_and_the_last_one_ends_the_page() {
    let mut world = world(PAGE, HANGS_UP);
    call(&mut world);
    answers(&mut world, BOB);
    answers(&mut world, CAROL);
    let hold = sdp("203.0.113.20", 6000, 2, "8 0 101", "sendonly");
    world.request(BOB, Method::Invite, Some(("application/sdp", &hold)));
    world.run(50 * MS);
    let answer = world.last_to(BOB, "200 INVITE");
    assert!(answer.contains("a=recvonly"), "{answer}");
    world.ack(BOB, None);
    world.run(50 * MS);
    world.request(BOB, Method::Bye, None);
    world.run(S);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    assert_eq!(
        world.count_to(ALICE, "BYE") + world.count_to(CAROL, "BYE"),
        0
    );
    world.request(CAROL, Method::Bye, None);
    ended_with(world, 17);
}

#[test]
fn whoever_does_not_answer_in_time_is_not_waited_for() {
    let steps = r#""Page(PJSIP/bob&PJSIP/carol,q,10)", "GotoIf($[\"${CONFBRIDGE_RESULT}\" = \"FAILED\"]?none)", "Hangup(1)", "none: Hangup(17)""#;
    let mut some = world(steps, HANGS_UP);
    call(&mut some);
    assert!(some.asked_sounds().is_empty(), "quiet");
    answers(&mut some, BOB);
    some.answer(CAROL, 180, None);
    some.run(11 * S);
    assert_eq!(some.count_to(CAROL, "CANCEL"), 1);
    some.answer(CAROL, 487, None);
    some.run(S);
    assert_eq!(some.count_to(ALICE, "BYE"), 0, "Bob hears her");
    some.request(ALICE, Method::Bye, None);
    some.run(50 * MS);
    some.confirm(BOB, 200);
    some.assert_nothing_left();

    let mut none = world(steps, HANGS_UP);
    call(&mut none);
    none.answer(BOB, 486, None);
    none.run(11 * S);
    none.answer(CAROL, 487, None);
    ended_with(none, 17);
}

#[test]
fn a_caller_that_hangs_up_takes_back_what_rings_and_dismisses_who_answers_too_late() {
    let mut world = world(PAGE, HANGS_UP);
    call(&mut world);
    world.answer(BOB, 180, None);
    world.answer(CAROL, 180, None);
    world.run(50 * MS);
    world.request(ALICE, Method::Bye, None);
    // Carol's 200 and the CANCEL cross.
    world.answer(CAROL, 200, Some(&described(CAROL, "8 0 101")));
    world.run(50 * MS);
    assert_eq!(world.count_to(BOB, "CANCEL"), 1);
    world.answer(BOB, 487, None);
    world.run(50 * MS);
    assert_eq!(world.count_to(CAROL, "BYE"), 1);
    world.confirm(CAROL, 200);
    assert_eq!(talks(&world), [true]);
    world.assert_nothing_left();
}

#[test]
fn neither_the_callers_own_phone_nor_with_s_one_in_a_call_is_paged() {
    let steps = r#""Page(PJSIP/alice&PJSIP/bob&PJSIP/carol,s,10)", "Hangup(17)""#;
    let mut world = world(steps, r#""Answer()", "Echo()""#);
    world.invite(BOB, "77", Some(&described(BOB, "8 0 101")));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    call(&mut world);
    assert_eq!(world.count_to(BOB, "INVITE"), 0);
    assert_eq!(world.count_to(CAROL, "INVITE"), 1);
    answers(&mut world, CAROL);
    assert_one_room(&world, 2);
    world.request(CAROL, Method::Bye, None);
    world.run(50 * MS);
    world.request(BOB, Method::Bye, None);
    ended_with(world, 17);
}

#[test]
fn a_page_offers_only_what_can_be_mixed() {
    let text = CONFIG
        .replace(
            "allow = [\"ulaw\", \"alaw\"]",
            "allow = [\"g729\", \"ulaw\"]",
        )
        .replace(
            "allow = [\"alaw\", \"ulaw\", \"g722\"]",
            "allow = [\"alaw\", \"g729\"]",
        )
        .replace(
            "[context.from-bob.exten]\n",
            "\"300\" = [\"Page(PJSIP/bob,,10)\", \"Hangup(17)\"]\n\n[context.from-bob.exten]\n",
        );
    let mut world = World::with_config(&text);
    world.invite(ALICE, "300", Some(&described(ALICE, "8 18 101")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let invite = world.last_to(BOB, "INVITE");
    assert!(invite.contains("RTP/AVP 0 101\r\n"), "{invite}");
    world.answer(BOB, 486, None);
    ended_with(world, 17);
}

#[test]
fn a_page_with_an_announcement_plays_it_to_all() {
    let steps = r#""Page(PJSIP/bob,A(fire),10)", "Hangup(17)""#;
    let mut world = world(steps, HANGS_UP);
    call(&mut world);
    answers(&mut world, BOB);
    assert_eq!(world.asked_sounds(), ["beep fire", "fire"]);
    world.request(BOB, Method::Bye, None);
    ended_with(world, 17);
}

const TEAM: &str = r#""ConfBridge(team)", "Hangup(17)""#;
const ANSWERED: &str = r#""Answer()", "Wait(1)", "ConfBridge(team)", "Hangup(17)""#;

/// Bob is in the conference that he calls by 77, and Alice in hers.
fn meet(world: &mut World) {
    world.invite(BOB, "77", Some(&described(BOB, "8 0 101")));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(2 * S);
    call(world);
    world.run(2 * S);
}

fn part(mut world: World) {
    world.request(BOB, Method::Bye, None);
    world.run(S);
    assert_eq!(world.count_to(ALICE, "BYE"), 0, "she waits for others");
    hang_up(world);
}

#[test]
fn who_comes_by_one_name_is_mixed_on_one_worker() {
    let mut world = world(TEAM, TEAM);
    meet(&mut world);
    assert_one_room(&world, 2);
    assert_eq!(talks(&world), [true, true]);
    assert_eq!(world.count_to(ALICE, "INVITE"), 0, "placed at once");
    part(world);
}

#[test]
fn names_are_rooms_of_their_own() {
    let mut world = world(TEAM, r#""ConfBridge(other)""#);
    meet(&mut world);
    let joined = joined(&world);
    assert_ne!(joined[0].2, joined[1].2);
    part(world);
}

#[test]
fn a_caller_that_was_answered_before_moves_to_the_rooms_worker_and_is_told() {
    let steps = ANSWERED.replace("\"Wait(1)\"", "\"MixMonitor(calls/a.wav)\"");
    let mut world = world(&steps, ANSWERED);
    meet(&mut world);
    assert_one_room(&world, 2);
    let [(_, bob, ..), (_, alice, ..)] = joined(&world)[..] else {
        panic!("two are in it");
    };
    let asked = world.last_to(ALICE, "INVITE");
    let told = format!("m=audio {} ", alice.port.rtp());
    assert!(asked.contains(&told), "{asked}");
    assert_eq!(world.count_to(BOB, "INVITE"), 0);
    // Her recording began on the port that she has left.
    let files: Vec<_> = world
        .orders
        .iter()
        .map(|order| (order.asker.leg, order.path.to_str().unwrap_or_default()))
        .collect();
    assert_eq!(files[0].1, "/spool/calls/a.wav");
    assert_eq!(files[1..], [(alice, "/spool/calls/a-2.wav")]);
    let answer = sdp("198.51.100.10", 6000, 2, "8 0 101", "sendrecv");
    world.answer(ALICE, 200, Some(&answer));
    world.run(S);
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 1);
    assert_eq!(world.open_legs(), [bob, alice]);
    part(world);
}

#[test]
fn a_member_that_refuses_its_new_port_is_hung_up_on() {
    let mut world = world(ANSWERED, ANSWERED);
    meet(&mut world);
    world.answer(ALICE, 488, None);
    world.run(50 * MS);
    assert_eq!(world.count_to(ALICE, "BYE"), 1);
    world.confirm(ALICE, 200);
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 1);
    world.request(BOB, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn a_member_that_asks_at_the_same_time_is_asked_again() {
    let mut world = world(ANSWERED, ANSWERED);
    meet(&mut world);
    world.answer(ALICE, 491, None);
    world.run(5 * S);
    let answer = sdp("198.51.100.10", 6000, 2, "8 0 101", "sendrecv");
    world.answer(ALICE, 200, Some(&answer));
    world.run(S);
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 2);
    part(world);
}

#[test]
fn a_full_conference_and_a_full_table_let_the_dialplan_go_on() {
    let steps = r#""ConfBridge(team)", "GotoIf($[\"${CONFBRIDGE_RESULT}\" = \"FAILED\"]?full)", "Hangup(1)", "full: Hangup(17)""#;
    for is_table in [false, true] {
        let mut world = world(steps, HANGS_UP);
        let count = if is_table { 1_024 } else { 64 };
        let lines = logged(|| {
            for index in 0..count {
                let name = if is_table {
                    format!("room {index}")
                } else {
                    String::from("team")
                };
                let other = CallKey {
                    index: 9_000 + index,
                    generation: 0,
                };
                let rooms = &mut world.gateway.ctx.rooms;
                rooms.enter(&name, WorkerId(1), other).expect("room");
            }
            world.invite(ALICE, "300", Some(&described(ALICE, "8 0 101")));
            world.run(50 * MS);
            world.ack(ALICE, None);
            world.run(50 * MS);
        });
        let why = if is_table {
            "there are 1024 rooms already"
        } else {
            "the room is full: 64 are in it"
        };
        assert!(lines.contains(why), "{lines}");
        assert!(lines.contains("WARN"), "{lines}");
        assert!(joined(&world).is_empty());
        let bye = world.last_to(ALICE, "BYE");
        assert!(bye.contains("cause=17"), "{bye}");
    }
}

#[test]
fn who_is_alone_hears_music_and_who_is_muted_is_not_heard() {
    let steps = r#""Set(CONFBRIDGE(user,startmuted)=yes)", "ConfBridge(team)""#;
    let theirs = r#""Set(CONFBRIDGE(user,music_on_hold_when_empty)=yes)", "ConfBridge(team)""#;
    let mut world = world(steps, theirs);
    meet(&mut world);
    assert_eq!(world.asked_sounds(), ["music default"]);
    assert_eq!(world.played(), ["shared", "stop"]);
    assert_eq!(talks(&world), [true, false]);
    world.request(ALICE, Method::Bye, None);
    world.run(S);
    assert_eq!(world.played(), ["shared", "stop", "shared"]);
    world.request(BOB, Method::Bye, None);
    world.run(S);
    world.assert_nothing_left();
}

#[test]
fn an_operator_ends_a_page_with_all_who_hear_it() {
    let mut world = world(PAGE, HANGS_UP);
    call(&mut world);
    answers(&mut world, BOB);
    answers(&mut world, CAROL);
    let id = world.gateway.calls(world.now)[0].id.clone();
    assert!(world.gateway.hangup(world.now, &id));
    world.run(50 * MS);
    for phone in [ALICE, BOB, CAROL] {
        assert_eq!(world.count_to(phone, "BYE"), 1, "{phone}");
        world.confirm(phone, 200);
    }
    world.assert_nothing_left();
}
