//! Reliable provisional responses (RFC 3262), on either leg and on both.

use super::world::*;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const REQUIRED: &[(&str, &str)] = &[("Require", "100rel")];
const SUPPORTED: &[(&str, &str)] = &[("Supported", "100rel")];

fn alice(version: u64, formats: &str) -> String {
    sdp("198.51.100.10", 4000, version, formats, "sendrecv")
}

fn bob(version: u64, formats: &str) -> String {
    sdp("203.0.113.20", 6000, version, formats, "sendrecv")
}

/// The configuration with this value for Alice and Bob.
fn config(rel100: &str) -> String {
    let line = format!("\n100rel = \"{rel100}\"\ncontext = ");
    CONFIG.replacen("\ncontext = ", &line, 2)
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn is_empty(message: &str) -> bool {
    header(message, "Content-Length") == Some("0")
}

#[test]
fn ringing_is_sent_again_until_its_prack_and_then_no_more() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    let ringing = world.last_to(ALICE, "180 INVITE");
    assert_eq!(header(&ringing, "Require"), Some("100rel"));
    assert!(header(&ringing, "RSeq").is_some_and(|rseq| rseq != "0"));
    for (until_ms, copies) in [(400, 1), (600, 2), (1_600, 3), (3_600, 4), (7_600, 5)] {
        world.run(until_ms * MS - (world.now - world.began));
        assert_eq!(world.count_to(ALICE, "180 INVITE"), copies, "{until_ms}");
    }
    assert_eq!(world.last_to(ALICE, "180 INVITE"), ringing);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.run(Duration::from_secs(40));
    assert_eq!(world.count_to(ALICE, "180 INVITE"), 5);
    world.answer(BOB, 200, Some(&bob(1, "8 0")));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "200 INVITE").contains("m=audio "));
    world.ack(ALICE, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn without_a_prack_the_call_is_given_up() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(Duration::from_secs(31));
    assert_eq!(world.phone(ALICE).final_status(), None);
    world.run(Duration::from_secs(2));
    assert_eq!(world.phone(ALICE).final_status(), Some(504));
    assert_eq!(world.count_to(BOB, "CANCEL"), 1);
    world.answer(BOB, 487, None);
    world.assert_nothing_left();
}

#[test]
fn one_response_at_a_time_and_the_answer_waits_for_its_prack() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob(1, "8")));
    world.run(50 * MS);
    assert_eq!(
        world.count_to(ALICE, "183 INVITE"),
        0,
        "the 180 has no PRACK"
    );
    let first = world.last_to(ALICE, "180 INVITE");
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    let second = world.last_to(ALICE, "183 INVITE");
    assert!(second.contains("RTP/AVP 8\r\n"), "{second}");
    let number = |text: &str| header(text, "RSeq").and_then(|rseq| rseq.parse::<u64>().ok());
    assert_eq!(number(&second), number(&first).map(|rseq| rseq + 1));
    world.answer(BOB, 200, Some(&bob(1, "8")));
    world.run(50 * MS);
    assert_eq!(
        world.count_to(ALICE, "200 INVITE"),
        0,
        "the 183 has no PRACK"
    );
    assert_eq!(world.count_to(BOB, "ACK"), 1);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    let ok = world.last_to(ALICE, "200 INVITE");
    assert!(is_empty(&ok), "the session is described: {ok}");
    let names = world.to(ALICE);
    let order = ["200 PRACK", "200 INVITE"].map(|name| names.iter().rposition(|sent| sent == name));
    assert!(order[0] < order[1], "{names:?}");
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    end(world);
}

#[test]
fn an_answer_whose_prack_never_comes_ends_the_call_on_both_sides() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob(1, "8")));
    world.run(50 * MS);
    world.answer(BOB, 200, Some(&bob(1, "8")));
    world.run(Duration::from_secs(33));
    assert_eq!(world.phone(ALICE).final_status(), Some(504));
    assert!(world.count_to(BOB, "BYE") > 0);
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn an_application_waits_for_the_prack_too() {
    let mut world = World::with_config(&CONFIG.replace(
        "\"106\" = [\"Busy()\"]",
        "\"106\" = [\"Progress()\", \"Answer()\", \"Echo()\"]",
    ));
    world.invite_with(ALICE, "106", Some(&alice(1, "8 0")), REQUIRED);
    world.run(200 * MS);
    assert_eq!(world.count_to(ALICE, "200 INVITE"), 0);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    assert!(is_empty(&world.last_to(ALICE, "200 INVITE")));
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn a_prack_that_matches_nothing_is_481_and_one_without_rack_400() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    let ringing = world.phone(ALICE).events.clone();
    world.prack(ALICE, 1, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(481));
    world.request(ALICE, Method::Prack, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(400));
    for status in [200, 481] {
        world.phone(ALICE).events = ringing.clone();
        world.prack(ALICE, 0, None);
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(status));
    }
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(486));
    world.assert_nothing_left();
}

#[test]
fn an_answer_does_not_wait_for_the_prack_of_ringing_which_is_taken_late() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    let ringing = world.phone(ALICE).events.clone();
    world.answer(BOB, 200, Some(&bob(1, "8")));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "200 INVITE").contains("m=audio "));
    world.ack(ALICE, None);
    world.run(Duration::from_secs(2));
    assert_eq!(
        world.count_to(ALICE, "180 INVITE"),
        1,
        "no longer sent again"
    );
    world.phone(ALICE).events = ringing;
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    end(world);
}

#[test]
fn a_caller_that_made_no_offer_answers_ours_in_its_prack() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", None, REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    let ringing = world.last_to(ALICE, "180 INVITE");
    assert!(ringing.contains("m=audio "), "{ringing}");
    world.answer(BOB, 200, Some(&bob(1, "8")));
    world.run(50 * MS);
    assert_eq!(
        world.count_to(ALICE, "200 INVITE"),
        0,
        "its answer is to come"
    );
    world.prack(ALICE, 0, Some(&alice(1, "8")));
    world.run(50 * MS);
    assert!(is_empty(&world.last_to(ALICE, "200 INVITE")));
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert!(world.last_bridge().is_some());
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    end(world);
}

#[test]
fn a_prack_without_the_answer_that_it_owes_ends_the_call() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", None, REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    assert!(world.to(ALICE).contains(&String::from("200 PRACK")));
    assert_eq!(world.phone(ALICE).final_status(), Some(488));
    world.answer(BOB, 487, None);
    world.assert_nothing_left();
}

#[test]
fn a_prack_may_bring_a_new_offer_once_the_first_is_answered() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob(1, "8 0")));
    world.run(50 * MS);
    let moved = sdp("198.51.100.77", 4400, 2, "0", "sendrecv");
    world.prack(ALICE, 0, Some(&moved));
    world.run(50 * MS);
    let answer = world.last_to(ALICE, "200 PRACK");
    assert!(answer.contains("RTP/AVP 0\r\n"), "{answer}");
    let told = |command: &_| {
        matches!(command, crate::link::Command::SetRemote { remote, .. }
            if remote.rtp.to_string() == "198.51.100.77:4400")
    };
    assert!(world.commands.iter().any(|(_, command)| told(command)));
    world.answer(BOB, 200, None);
    world.run(50 * MS);
    assert!(is_empty(&world.last_to(ALICE, "200 INVITE")));
    world.ack(ALICE, None);
    world.run(50 * MS);
    // Bob prefers what Alice no longer hears: he is asked to change.
    let asked = world.last_to(BOB, "INVITE");
    assert!(asked.contains("RTP/AVP 0 101\r\n"), "{asked}");
    world.answer(BOB, 200, Some(&bob(2, "0")));
    world.run(50 * MS);
    end(world);
}

#[test]
fn an_offer_in_a_prack_before_the_first_is_answered_is_refused() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.prack(ALICE, 0, Some(&alice(2, "0")));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(500));
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    world.assert_nothing_left();
}

#[test]
fn cancel_ends_the_wait_for_a_prack() {
    let mut world = World::new();
    let tx = world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.cancel(ALICE, tx);
    world.run(2_000 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(487));
    assert_eq!(world.count_to(ALICE, "180 INVITE"), 1);
    world.answer(BOB, 487, None);
    world.assert_nothing_left();
}

#[test]
fn the_key_decides_what_is_spoken_with_a_caller() {
    for (rel100, headers, reliable) in [
        ("yes", REQUIRED, true),
        ("yes", SUPPORTED, false),
        ("yes", &[][..], false),
        ("peer_supported", SUPPORTED, true),
        ("peer_supported", &[], false),
        ("required", SUPPORTED, true),
        ("no", SUPPORTED, false),
    ] {
        let mut world = World::with_config(&config(rel100));
        world.invite_with(ALICE, "107", Some(&alice(1, "8 0")), headers);
        world.run(50 * MS);
        let ringing = world.last_to(ALICE, "180 INVITE");
        assert_eq!(ringing.contains("RSeq"), reliable, "{rel100} {headers:?}");
        world.assert_nothing_left();
    }
}

#[test]
fn the_key_refuses_callers_that_require_it_or_do_not_speak_it() {
    let mut world = World::with_config(&config("no"));
    world.invite_with(ALICE, "107", Some(&alice(1, "8 0")), REQUIRED);
    world.run(50 * MS);
    let refused = world.last_to(ALICE, "420 INVITE");
    assert_eq!(header(&refused, "Unsupported"), Some("100rel"));
    let mut world = World::with_config(&config("required"));
    world.invite(ALICE, "107", Some(&alice(1, "8 0")));
    world.run(50 * MS);
    let refused = world.last_to(ALICE, "421 INVITE");
    assert_eq!(header(&refused, "Require"), Some("100rel"));
    world.assert_nothing_left();
}

#[test]
fn the_key_decides_what_a_callee_is_told() {
    for (rel100, supported, required) in [
        ("yes", true, None),
        ("peer_supported", true, None),
        ("required", true, Some("100rel")),
        ("no", false, None),
    ] {
        let mut world = World::with_config(&config(rel100));
        let headers: &[_] = if rel100 == "required" { SUPPORTED } else { &[] };
        world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), headers);
        world.run(50 * MS);
        let invite = world.last_to(BOB, "INVITE");
        let says = header(&invite, "Supported").is_some_and(|tags| tags.contains("100rel"));
        assert_eq!(
            (says, header(&invite, "Require")),
            (supported, required),
            "{rel100}"
        );
        world.answer(BOB, 486, None);
        world.run(50 * MS);
        world.assert_nothing_left();
    }
}

#[test]
fn a_callees_responses_are_acknowledged_in_order_and_once() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alice(1, "8 0")));
    world.run(50 * MS);
    let reliable = |rseq| [("Require", "100rel"), ("RSeq", rseq)];
    world.answer_with(BOB, 180, None, &reliable("10"));
    world.run(50 * MS);
    let prack = world.last_to(BOB, "PRACK");
    assert_eq!(header(&prack, "RAck"), Some("10 1 INVITE"));
    assert_eq!(header(&prack, "CSeq"), Some("2 PRACK"));
    world.confirm(BOB, 200);
    // A copy, one after a gap, one that is overtaken.
    for rseq in ["10", "12", "9"] {
        world.answer_with(BOB, 183, Some(&bob(1, "8 0")), &reliable(rseq));
        world.run(50 * MS);
    }
    assert_eq!(world.count_to(BOB, "PRACK"), 1);
    assert_eq!(world.count_to(ALICE, "183 INVITE"), 0);
    world.answer_with(BOB, 183, Some(&bob(1, "0")), &reliable("11"));
    world.run(50 * MS);
    let prack = world.last_to(BOB, "PRACK");
    assert_eq!(header(&prack, "RAck"), Some("11 1 INVITE"));
    world.confirm(BOB, 200);
    assert!(world.last_to(ALICE, "183 INVITE").contains("m=audio "));
    // What the 183 said stands, whatever the 200 says.
    world.answer(BOB, 200, Some(&bob(2, "8")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let Some(crate::link::Command::Bridge { a_to_b, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert_eq!(a_to_b.pairs(), [(0, 0)]);
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(header(&world.last_to(BOB, "BYE"), "CSeq"), Some("4 BYE"));
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn a_callee_that_must_not_speak_it_is_not_acknowledged() {
    let mut world = World::with_config(&config("no"));
    world.invite(ALICE, "100", Some(&alice(1, "8 0")));
    world.run(50 * MS);
    world.answer_with(BOB, 180, None, &[("Require", "100rel"), ("RSeq", "1")]);
    world.run(50 * MS);
    assert_eq!(world.count_to(BOB, "PRACK"), 0);
    assert_eq!(world.count_to(ALICE, "180 INVITE"), 1);
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    world.assert_nothing_left();
}

#[test]
fn both_legs_by_themselves() {
    let mut world = World::with_config(&config("peer_supported"));
    world.invite_with(ALICE, "100", Some(&alice(1, "8 0")), SUPPORTED);
    world.run(50 * MS);
    world.answer_with(
        BOB,
        183,
        Some(&bob(1, "8")),
        &[("Require", "100rel"), ("RSeq", "5")],
    );
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    world.answer(BOB, 200, None);
    world.run(50 * MS);
    assert!(is_empty(&world.last_to(ALICE, "200 INVITE")));
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    end(world);
}

#[test]
fn a_callees_bye_in_an_early_dialog_is_refused() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alice(1, "8 0")));
    world.run(50 * MS);
    world.answer_with(BOB, 180, None, &[("Require", "100rel"), ("RSeq", "1")]);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(481));
    world.answer(BOB, 200, Some(&bob(1, "8")));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "200 INVITE").contains("m=audio "));
    world.ack(ALICE, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn a_caller_without_an_offer_is_offered_what_the_callee_prefers() {
    let mut world = World::new();
    world.invite_with(ALICE, "100", None, REQUIRED);
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob(1, "0")));
    world.run(50 * MS);
    let offer = world.last_to(ALICE, "180 INVITE");
    assert!(offer.contains(" RTP/AVP 0 8 9 101\r\n"), "{offer}");
    world.prack(ALICE, 0, Some(&alice(1, "0")));
    world.run(50 * MS);
    world.answer(BOB, 200, None);
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    end(world);
}
