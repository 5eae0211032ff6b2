//! UPDATE (RFC 3311) in early and answered calls, from either side.

use super::world::*;
use crate::link::Command;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SDP: &str = "application/sdp";
const TAKES_UPDATE: &[(&str, &str)] = &[("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE")];

fn alice(version: u64, direction: &str) -> String {
    sdp("198.51.100.10", 4000, version, "8 0", direction)
}

fn bob(version: u64, direction: &str) -> String {
    sdp("203.0.113.20", 6000, version, "8 0", direction)
}

/// An answered call of two sides with these headers.
fn talking(of_alice: &[(&str, &str)], of_bob: &[(&str, &str)]) -> World {
    let mut world = World::new();
    world.invite_with(ALICE, "100", Some(&alice(1, "sendrecv")), of_alice);
    world.run(50 * MS);
    world.answer_with(BOB, 200, Some(&bob(1, "sendrecv")), of_bob);
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    world
}

#[test]
fn hold_by_update_is_passed_on_as_the_far_side_takes_it() {
    for (of_bob, means) in [(TAKES_UPDATE, "UPDATE"), (&[], "INVITE")] {
        let mut world = talking(&[], of_bob);
        for (version, asked, answered, state) in [
            (2, "sendonly", "recvonly", "held"),
            (3, "sendrecv", "sendrecv", "up"),
        ] {
            world.request(ALICE, Method::Update, Some((SDP, &alice(version, asked))));
            world.run(50 * MS);
            let passed = world.last_to(BOB, means);
            assert!(passed.contains(&format!("a={asked}\r\n")), "{passed}");
            let body = bob(version, answered);
            match means {
                "UPDATE" => world.confirm_with(BOB, 200, &body),
                _ => world.answer(BOB, 200, Some(&body)),
            }
            world.run(50 * MS);
            let told = world.last_to(ALICE, "200 UPDATE");
            assert!(told.contains(&format!("a={answered}\r\n")), "{told}");
            assert!(told.contains("\r\nContact: "), "it may move the target");
            assert_eq!(world.gateway.calls(world.now)[0].state, state);
        }
        assert_eq!(
            world.count_to(BOB, "INVITE"),
            if means == "INVITE" { 3 } else { 1 }
        );
        end(world);
    }
}

#[test]
fn the_callee_may_ask_too() {
    let mut world = talking(TAKES_UPDATE, &[]);
    world.request(BOB, Method::Update, Some((SDP, &bob(2, "inactive"))));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "UPDATE").contains("a=sendonly\r\n"));
    world.confirm_with(ALICE, 200, &alice(2, "recvonly"));
    world.run(50 * MS);
    assert!(world.last_to(BOB, "200 UPDATE").contains("a=inactive\r\n"));
    assert_eq!(world.gateway.calls(world.now)[0].state, "held");
    end(world);
}

#[test]
fn without_a_description_it_is_answered_at_once_and_moves_the_target() {
    let mut world = talking(&[], TAKES_UPDATE);
    world.request(BOB, Method::Update, None);
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    assert_eq!(
        world.count_to(ALICE, "UPDATE") + world.count_to(ALICE, "INVITE"),
        0
    );
    // In the middle of an exchange too.
    world.request(ALICE, Method::Update, Some((SDP, &alice(2, "sendonly"))));
    world.run(50 * MS);
    let waiting = std::mem::take(&mut world.phone(BOB).events);
    world.request(BOB, Method::Update, None);
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    world.phone(BOB).events = waiting;
    world.confirm_with(BOB, 200, &bob(2, "recvonly"));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    end(world);
}

#[test]
fn overlapping_offers_get_500_from_the_same_side_and_491_from_the_other() {
    for (first, second) in [
        (Method::Update, Method::Update),
        (Method::Update, Method::Invite),
        (Method::Invite, Method::Update),
    ] {
        let mut world = talking(TAKES_UPDATE, TAKES_UPDATE);
        world.request(ALICE, first.clone(), Some((SDP, &alice(2, "sendonly"))));
        world.run(50 * MS);
        let waiting = std::mem::take(&mut world.phone(BOB).events);
        world.request(BOB, second.clone(), Some((SDP, &bob(2, "sendonly"))));
        world.run(50 * MS);
        assert_eq!(
            world.phone(BOB).final_status(),
            Some(491),
            "{first} {second}"
        );
        world.request(ALICE, second.clone(), Some((SDP, &alice(3, "inactive"))));
        world.run(50 * MS);
        let refused = world.last_to(ALICE, &format!("500 {second}"));
        assert!(refused.contains("\r\nRetry-After: "), "{refused}");
        world.phone(BOB).events = waiting;
        match first {
            Method::Update => world.confirm_with(BOB, 200, &bob(2, "recvonly")),
            _ => world.answer(BOB, 200, Some(&bob(2, "recvonly"))),
        }
        world.run(50 * MS);
        let answer = world.last_to(ALICE, &format!("200 {first}"));
        assert!(answer.contains("a=recvonly\r\n"), "{answer}");
        if first == Method::Invite {
            world.ack(ALICE, None);
        }
        world.run(50 * MS);
        end(world);
    }
}

#[test]
fn a_refused_update_leaves_all_as_it_was() {
    for (status, told) in [(488, 488), (491, 491), (500, 500), (405, 500)] {
        let mut world = talking(&[], TAKES_UPDATE);
        let commands = world.commands.len();
        world.request(ALICE, Method::Update, Some((SDP, &alice(2, "sendonly"))));
        world.run(50 * MS);
        world.confirm(BOB, status);
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(told));
        assert_eq!(world.commands.len(), commands);
        assert_eq!(world.gateway.calls(world.now)[0].state, "up");
        end(world);
    }
}

#[test]
fn an_update_that_nobody_answers_is_given_up_before_its_sender_does() {
    let mut world = talking(&[], TAKES_UPDATE);
    world.network = Box::new(|_, sent| match sent.to.to_string().as_str() {
        BOB => Fate::Lose,
        _ => Fate::Deliver,
    });
    world.request(ALICE, Method::Update, Some((SDP, &alice(2, "sendonly"))));
    world.run(Duration::from_secs(25));
    assert_eq!(world.phone(ALICE).final_status(), Some(408));
    assert_eq!(world.count_to(BOB, "CANCEL"), 0);
    world.run(Duration::from_secs(10));
    // Bob is dead: his dialog is over, and so the call.
    assert!(world.count_to(ALICE, "BYE") > 0);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn update_crossing_a_bye_ends_the_call() {
    let mut world = talking(&[], TAKES_UPDATE);
    world.request(ALICE, Method::Update, Some((SDP, &alice(2, "sendonly"))));
    world.run(15 * MS);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(487));
    world.confirm(ALICE, 200);
    world.confirm(BOB, 481);
    world.assert_nothing_left();
}

#[test]
fn in_the_callers_early_dialog_an_offer_waits_for_the_answer_to_the_first() {
    let mut world = World::new();
    let required = [("Require", "100rel")];
    world.invite_with(ALICE, "100", Some(&alice(1, "sendrecv")), &required);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    let moved = sdp("198.51.100.66", 4600, 2, "8 0", "sendrecv");
    world.request(ALICE, Method::Update, Some((SDP, &moved)));
    world.run(50 * MS);
    let refused = world.last_to(ALICE, "500 UPDATE");
    assert!(refused.contains("\r\nRetry-After: "), "{refused}");
    world.answer(BOB, 183, Some(&bob(1, "sendrecv")));
    world.run(50 * MS);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    world.request(ALICE, Method::Update, Some((SDP, &moved)));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "200 UPDATE").contains("m=audio "));
    assert!(told_remote(&world, "198.51.100.66:4600"));
    world.request(ALICE, Method::Update, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.answer(BOB, 200, None);
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn in_the_callees_early_dialog_an_offer_waits_for_its_answer_to_ours() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alice(1, "sendrecv")));
    world.run(50 * MS);
    let reliable = |rseq| [("Require", "100rel"), ("RSeq", rseq)];
    world.answer_with(BOB, 180, None, &reliable("1"));
    world.run(50 * MS);
    world.confirm(BOB, 200);
    let moved = sdp("203.0.113.66", 6600, 2, "8 0", "sendrecv");
    world.request(BOB, Method::Update, Some((SDP, &moved)));
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(491));
    world.answer_with(BOB, 183, Some(&bob(1, "sendrecv")), &reliable("2"));
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.request(BOB, Method::Update, Some((SDP, &moved)));
    world.run(50 * MS);
    assert!(world.last_to(BOB, "200 UPDATE").contains("m=audio "));
    assert!(told_remote(&world, "203.0.113.66:6600"));
    world.answer(BOB, 200, None);
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let is_back = told_remote_last(&world, "203.0.113.66:6600");
    assert!(is_back, "what the UPDATE said stands");
    end(world);
}

#[test]
fn after_the_callers_transfer_an_early_offer_is_answered_by_the_transferees_codecs() {
    let text = CONFIG.replace("\"106\" =", "\"300\" = [\"Dial(PJSIP/carol)\"]\n\"106\" =");
    let mut world = World::with_config(&text);
    let only = |address, port, formats| sdp(address, port, 1, formats, "sendrecv");
    world.invite(ALICE, "100", Some(&only("198.51.100.10", 4000, "8")));
    world.run(50 * MS);
    world.answer(BOB, 200, Some(&only("203.0.113.20", 6000, "0")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let to_carol = [("Refer-To", "<sip:300@192.0.2.1>")];
    world.request_with(ALICE, Method::Refer, None, &to_carol);
    world.run(50 * MS);
    world.confirm(ALICE, 200);
    let reliable = [("Require", "100rel"), ("RSeq", "1")];
    let answer = only("203.0.113.30", 7000, "0");
    world.answer_with(CAROL, 183, Some(&answer), &reliable);
    world.run(50 * MS);
    world.confirm(CAROL, 200);
    world.confirm(ALICE, 200);
    let moved = sdp("203.0.113.30", 7002, 2, "8 0", "sendrecv");
    world.request(CAROL, Method::Update, Some((SDP, &moved)));
    world.run(50 * MS);
    let answer = world.last_to(CAROL, "200 UPDATE");
    assert!(answer.contains(" RTP/AVP 0\r\n"), "{answer}");
    world.phones_answer = true;
    world.request(BOB, Method::Bye, None);
    world.assert_nothing_left();
}

fn remotes(world: &World) -> Vec<String> {
    let commands = world.commands.iter();
    commands
        .filter_map(|(_, command)| match command {
            Command::SetRemote { remote, .. } => Some(remote.rtp.to_string()),
            _ => None,
        })
        .collect()
}

fn told_remote(world: &World, address: &str) -> bool {
    remotes(world).iter().any(|remote| remote == address)
}

fn told_remote_last(world: &World, address: &str) -> bool {
    let mut of_bob = remotes(world)
        .into_iter()
        .filter(|remote| remote.starts_with("203."));
    of_bob.next_back().as_deref() == Some(address)
}
