//! Features that meet each other in one call.

use super::world::*;
use crate::link::{Command, LegId};
use crate::sip::dialog::Dialog;
use crate::sip::message::{Method, ResponseDraft, Uri};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const SDP: &str = "application/sdp";

fn bobs(version: u64, direction: &str) -> String {
    sdp("203.0.113.20", 6000, version, "8 0 101", direction)
}

/// Alice's 300 does these steps, Bob's numbers are these; each has its own address.
fn world_of(steps: &str, bobs_numbers: &str) -> World {
    let text = CONFIG
        .replace(
            "[context.from-bob.exten]\n",
            &format!("\"300\" = [{steps}]\n\n[context.from-bob.exten]\n{bobs_numbers}\n"),
        )
        .replace(
            "[trunk_group.out]",
            "[identify.carol]\nendpoint = \"carol\"\nmatch = [\"203.0.113.30\"]\n\n[trunk_group.out]",
        );
    World::with_config(&text)
}

/// The same, and Alice talks to Bob.
fn talking(steps: &str, bobs_numbers: &str) -> World {
    let mut world = world_of(steps, bobs_numbers);
    world.talk("300");
    world
}

fn refer(world: &mut World, phone: &str, target: &str) {
    world.request_with(phone, Method::Refer, None, &[("Refer-To", target)]);
    world.run(50 * MS);
}

fn names(dialog: &Dialog) -> String {
    let id = dialog.id();
    format!(
        "{};to-tag={};from-tag={}",
        id.call_id, id.remote_tag, id.local_tag
    )
}

fn is_up(world: &World) -> bool {
    let calls = world.gateway.calls(world.now);
    calls.first().is_some_and(|call| call.state == "up")
}

/// Bob puts Alice on hold.
fn hold(world: &mut World) {
    let held = bobs(2, "sendonly");
    world.request(BOB, Method::Invite, Some((SDP, &held)));
    world.run(50 * MS);
    let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "recvonly");
    world.answer(ALICE, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    assert_eq!(world.played(), ["shared"]);
}

fn alice_hangs_up(mut world: World) {
    world.phones_answer = true;
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn the_time_of_a_talk_is_not_that_of_what_comes_after_a_transfer() {
    let mut world = talking(
        r#""Dial(PJSIP/bob,20,L(5000))""#,
        r#""300" = ["Answer()", "Echo()"]"#,
    );
    world.run(2 * S);
    refer(&mut world, BOB, "<sip:300@192.0.2.1>");
    world.confirm(BOB, 200);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.run(10 * S);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    alice_hangs_up(world);
}

#[test]
fn music_on_hold_ends_with_the_talk_that_was_held() {
    // By a transfer.
    let mut world = talking(
        r#""Dial(PJSIP/bob,20)""#,
        r#""300" = ["Answer()", "Echo()"]"#,
    );
    hold(&mut world);
    refer(&mut world, BOB, "<sip:300@192.0.2.1>");
    world.confirm(BOB, 200);
    assert_eq!(world.played(), ["shared", "stop"]);
    world.phones_answer = true;
    world.run(S);
    alice_hangs_up(world);
    // By a callee that hangs up.
    let mut world = talking(r#""Dial(PJSIP/bob,20,g)", "Wait(60)""#, "");
    hold(&mut world);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.played(), ["shared", "stop"]);
    alice_hangs_up(world);
}

#[test]
fn who_is_transferred_to_one_that_rings_hears_it_ring() {
    for is_held in [false, true] {
        let mut world = talking(r#""Dial(PJSIP/bob,20)""#, "");
        if is_held {
            hold(&mut world);
        }
        let first = world.phone(BOB).dialog.take().expect("a dialog");
        let offer = sdp("203.0.113.20", 6002, 1, "8 0 101", "sendrecv");
        world.invite(BOB, "555", Some(&offer));
        world.run(50 * MS);
        world.answer(CAROL, 180, None);
        world.run(50 * MS);
        let (_, ringing) = world.phone(BOB).response(180).expect("it rings");
        let uri = Uri::parse("sip:192.0.2.1").expect("a URI");
        let second = Dialog::uac(&ringing, &uri).expect("an early dialog");
        world.phone(BOB).dialog = Some(first);
        let asked = world.distinct_to(ALICE, "INVITE");
        let named = names(&second).replace('@', "%40").replace(';', "%3B");
        let named = named.replace('=', "%3D");
        let target = format!("<sip:555@192.0.2.1?Replaces={named}>");
        refer(&mut world, BOB, &target);
        world.confirm(BOB, 200);
        world.run(50 * MS);
        // She is told at once where her new port is, and that she is not on hold.
        assert_eq!(world.distinct_to(ALICE, "INVITE"), asked + 1);
        let reinvite = world.last_to(ALICE, "INVITE");
        let is_ours = |leg: &LegId| reinvite.contains(&format!("m=audio {} ", leg.port.rtp()));
        assert!(world.open_legs().iter().any(is_ours), "{reinvite}");
        assert!(!reinvite.contains("a=sendonly"));
        let answer = sdp("198.51.100.10", 4000, 3, "8 0 101", "sendrecv");
        world.answer(ALICE, 200, Some(&answer));
        world.run(50 * MS);
        let sounds = world.asked_sounds();
        assert_eq!(sounds.last().map(String::as_str), Some("tone ring us"));
        assert_eq!(world.played().last(), Some(&"loop"));
        let carols = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
        world.answer(CAROL, 200, Some(&carols));
        world.run(50 * MS);
        assert_eq!(world.played().last(), Some(&"stop"));
        assert_eq!(world.distinct_to(ALICE, "INVITE"), asked + 1);
        alice_hangs_up(world);
    }
}

#[test]
fn what_a_leg_that_has_gone_says_ends_no_call() {
    // A refresh that meets its BYE.
    let text = r#""Dial(PJSIP/bob,20,g)", "Wait(600)""#;
    let mut world = world_of(text, "");
    let alices = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite(ALICE, "300", Some(&alices));
    world.run(50 * MS);
    let of_bob = [
        ("Session-Expires", "120;refresher=uac"),
        ("Allow", "INVITE, BYE, UPDATE"),
        ("Require", "timer"),
    ];
    world.answer_with(BOB, 200, Some(&bobs(1, "sendrecv")), &of_bob);
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(60 * S);
    assert_eq!(world.distinct_to(BOB, "UPDATE"), 1);
    let events = std::mem::take(&mut world.phone(BOB).events);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    world.phone(BOB).events = events;
    world.confirm_by(BOB, &ResponseDraft::new(481));
    world.run(S);
    assert_eq!(world.count_to(ALICE, "BYE"), 0, "refresh");
    alice_hangs_up(world);

    // A re-INVITE whose ACK never comes.
    let mut world = talking(text, "");
    world.request(BOB, Method::Invite, Some((SDP, &bobs(2, "sendonly"))));
    world.run(50 * MS);
    let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "recvonly");
    world.answer(ALICE, 200, Some(&answer));
    world.run(50 * MS);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    world.phones_answer = true;
    world.run(60 * S);
    assert_eq!(world.count_to(ALICE, "BYE"), 0, "no ACK");
    alice_hangs_up(world);

    // A re-INVITE to one that hangs up in place of an answer.
    let mut world = talking(text, "");
    let held = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendonly");
    world.request(ALICE, Method::Invite, Some((SDP, &held)));
    world.run(50 * MS);
    world.request(BOB, Method::Bye, None);
    world.run(100 * S);
    assert_eq!(world.count_to(ALICE, "BYE"), 0, "no answer");
    alice_hangs_up(world);
}

#[test]
fn who_takes_the_callees_place_is_not_the_caller() {
    let mut world = talking(
        r#""MixMonitor(a.wav,b)", "Dial(PJSIP/bob,20,g)", "Playback(bye-${CALLERID(num)})""#,
        "",
    );
    let dialog = names(world.phone(BOB).dialog.as_ref().expect("a dialog"));
    let carols = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
    world.invite_with(CAROL, "999", Some(&carols), &[("Replaces", &dialog)]);
    world.run(50 * MS);
    world.ack(CAROL, None);
    world.confirm(BOB, 200);
    world.run(S);
    let rows = world.gateway.calls(world.now);
    assert_eq!(rows[0].to_endpoint.as_deref(), Some("carol"));
    assert_eq!(world.orders.len(), 1);
    world.request(CAROL, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    assert_eq!(world.asked_sounds(), ["bye-6001"]);
    let stopped = |(_, command): &(_, Command)| matches!(command, Command::StopRecord { .. });
    assert_eq!(world.commands.iter().filter(|one| stopped(one)).count(), 1);
    alice_hangs_up(world);
}

#[test]
fn a_transferer_beside_the_call_presses_nothing_in_it() {
    let text = "dtmf_mode = \"info\"\n";
    let config = CONFIG
        .replace("[endpoint.alice]\n", &format!("[endpoint.alice]\n{text}"))
        .replace("[endpoint.bob]\n", &format!("[endpoint.bob]\n{text}"));
    let mut world = World::with_config(&config);
    world.talk("100");
    refer(&mut world, BOB, "<sip:300@192.0.2.1>");
    world.confirm(BOB, 200);
    let carols = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
    world.answer(CAROL, 200, Some(&carols));
    world.run(50 * MS);
    assert!(is_up(&world));
    let digit = ("application/dtmf-relay", "Signal=5\r\n");
    world.request(BOB, Method::Info, Some(digit));
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    assert_eq!(world.count_to(ALICE, "INFO"), 0);
    alice_hangs_up(world);
}

/// How long each leg that the workers know of may be silent, in seconds, as they were told last.
fn silences(world: &World) -> Vec<u16> {
    let remotes = world.remotes().into_iter();
    remotes.map(|remote| remote.timeout_s).collect()
}

#[test]
fn who_hears_early_media_of_ours_need_not_send_any() {
    let mut world = call_of(r#""MusicOnHold()""#, "", "8 0 101");
    assert_eq!(world.count_to(ALICE, "183 INVITE"), 1);
    assert_eq!(silences(&world), [0]);
    let id = world.gateway.calls(world.now)[0].id.clone();
    assert!(world.gateway.hangup(world.now, &id));
    world.assert_nothing_left();
    let mut world = call_of(
        r#""MusicOnHold(,2)", "Answer()", "MusicOnHold()""#,
        "",
        "8 0 101",
    );
    world.run(3 * S);
    assert_eq!(silences(&world), [60]);
    world.ack(ALICE, None);
    hang_up(world);
}

#[test]
fn who_was_on_hold_is_taken_back_when_its_callee_hangs_up() {
    let mut world = talking(r#""Dial(PJSIP/bob,20,g)", "WaitExten(20)""#, "");
    hold(&mut world);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 2);
    assert!(!world.last_to(ALICE, "INVITE").contains("a=sendonly"));
    alice_hangs_up(world);
}

#[test]
fn who_was_on_hold_and_is_sent_to_an_application_is_taken_back() {
    let mut world = talking(r#""Dial(PJSIP/bob,20)""#, r#""300" = ["MusicOnHold()"]"#);
    hold(&mut world);
    refer(&mut world, BOB, "<sip:300@192.0.2.1>");
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 2);
    assert!(!world.last_to(ALICE, "INVITE").contains("a=sendonly"));
    alice_hangs_up(world);
}

#[test]
fn who_picks_up_is_recorded_as_was_asked() {
    let mut world = world_of(
        r#""Dial(PJSIP/bob,20)""#,
        r#""_*X" = ["MixMonitor(p.wav)", "Pickup(300@from-alice)"]"#,
    );
    let alices = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite(ALICE, "300", Some(&alices));
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    let carols = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
    world.invite(CAROL, "*1", Some(&carols));
    world.run(50 * MS);
    world.ack(CAROL, None);
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert!(is_up(&world));
    assert_eq!(world.orders.len(), 1);
    alice_hangs_up(world);
}

#[test]
fn the_last_line_of_a_call_tells_whom_it_talked_to() {
    // Who was transferred, and who has taken over.
    for by in [ALICE, BOB] {
        let text = logged(|| {
            let mut world = World::with_config(&CONFIG.replace(
                "\"106\" =",
                "\"300\" = [\"Dial(PJSIP/carol,20)\", \"Hangup()\"]\n\"106\" =",
            ));
            world.talk("100");
            world.phones_answer = true;
            refer(&mut world, by, "<sip:300@192.0.2.1>");
            world.run(S);
            assert!(is_up(&world));
            world.request(CAROL, Method::Bye, None);
            world.assert_nothing_left();
        });
        let line = text.lines().find(|line| line.contains("call ended"));
        let line = line.expect("a line");
        assert!(line.contains(" to=\"carol\""), "{line}");
    }
}

#[test]
fn a_conversation_ends_with_its_transferer() {
    let mut world = talking(r#""MixMonitor(a.wav,b)", "Dial(PJSIP/bob,20)""#, "");
    assert_eq!(world.orders.len(), 1);
    refer(&mut world, ALICE, "<sip:103@192.0.2.1>");
    let last = world.last_command(|command| {
        matches!(command, Command::Record { .. } | Command::StopRecord { .. })
    });
    assert!(
        matches!(last, Command::StopRecord { .. }),
        "she is beside it"
    );
    world.phones_answer = true;
    world.request(ALICE, Method::Bye, None);
    world.run(S);
    world.request(BOB, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn an_application_is_heard_by_what_we_code() {
    let config = CONFIG.replace(
        "allow = [\"alaw\", \"ulaw\", \"g722\"]",
        "allow = [\"g729\", \"alaw\"]",
    );
    let config = config.replace("\"106\" =", "\"300\" = [\"Playback(hello)\"]\n\"106\" =");
    let offer = sdp("198.51.100.10", 4000, 1, "18 8 101", "sendrecv");
    let mut world = World::with_config(&config);
    world.invite(ALICE, "300", Some(&offer));
    world.run(50 * MS);
    let ours = world.last_to(ALICE, "200 INVITE");
    assert!(ours.contains("RTP/AVP 8 18 101"), "{ours}");
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert_eq!(world.asked_sounds(), ["hello"]);
    alice_hangs_up(world);
}

#[test]
fn who_agrees_to_be_held_by_a_callee_that_has_hung_up_is_taken_back() {
    let mut world = talking(r#""Dial(PJSIP/bob,20,g)", "WaitExten(20)""#, "");
    let hold = sdp("203.0.113.20", 6000, 2, "8 0 101", "sendonly");
    world.request(BOB, Method::Invite, Some(("application/sdp", &hold)));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "INVITE").contains("a=sendonly"));
    world.request(BOB, Method::Bye, None);
    world.run(15 * MS);
    let agreed = sdp("198.51.100.10", 4000, 2, "8 0 101", "recvonly");
    world.answer(ALICE, 200, Some(&agreed));
    world.run(50 * MS);
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 2);
    assert!(world.last_to(ALICE, "INVITE").contains("a=sendrecv"));
    let back = sdp("198.51.100.10", 4000, 3, "8 0 101", "sendrecv");
    world.answer(ALICE, 200, Some(&back));
    world.run(50 * MS);
    assert!(is_up(&world));
    alice_hangs_up(world);
}

#[test]
fn who_was_on_hold_and_refuses_to_be_taken_back_is_asked_once() {
    let mut world = talking(r#""Dial(PJSIP/bob,20,g)", "WaitExten(200)""#, "");
    hold(&mut world);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    world.answer(ALICE, 488, None);
    world.run(60 * S);
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 2);
    assert!(is_up(&world));
    alice_hangs_up(world);
}
