//! What happens within a call: re-INVITE from either side, INFO, OPTIONS.

use super::world::*;
use crate::link::Command;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SDP: &str = "application/sdp";

fn alice(version: u64, formats: &str, direction: &str) -> String {
    sdp("198.51.100.10", 4000, version, formats, direction)
}

fn bob(version: u64, formats: &str, direction: &str) -> String {
    sdp("203.0.113.20", 6000, version, formats, direction)
}

#[test]
fn hold_and_resume_pass_through() {
    let mut world = World::new();
    world.talk("100");
    for (version, asked, answered, state) in [
        (2, "sendonly", "recvonly", "held"),
        (3, "sendrecv", "sendrecv", "up"),
    ] {
        world.request(
            ALICE,
            Method::Invite,
            Some((SDP, &alice(version, "8 0 101", asked))),
        );
        world.run(50 * MS);
        let passed = world.last_to(BOB, "INVITE");
        assert!(passed.contains(&format!("a={asked}\r\n")), "{passed}");
        world.answer(BOB, 200, Some(&bob(version, "8 0 101", answered)));
        world.run(50 * MS);
        let told = world.last_to(ALICE, "200 INVITE");
        assert!(told.contains(&format!("a={answered}\r\n")), "{told}");
        world.ack(ALICE, None);
        world.run(50 * MS);
        assert_eq!(world.gateway.calls(world.now)[0].state, state);
        let remotes = world
            .commands
            .iter()
            .rev()
            .filter_map(|(_, command)| match command {
                Command::SetRemote { remote, .. } => Some(remote.timeout_s > 0),
                _ => None,
            });
        let counted: Vec<bool> = remotes.take(2).collect();
        assert_eq!(
            counted,
            [state == "up"; 2],
            "silence counts only when nobody is on hold"
        );
    }
    end(world);
}

#[test]
fn a_new_address_is_told_to_the_worker_and_our_port_stays() {
    let mut world = World::new();
    world.talk("100");
    let before = world.gateway.calls(world.now)[0].rtp_ports.clone();
    let moved = sdp("203.0.113.99", 7000, 2, "8 0 101", "sendrecv");
    world.request(BOB, Method::Invite, Some((SDP, &moved)));
    world.run(50 * MS);
    world.answer(ALICE, 200, Some(&alice(2, "8 0 101", "sendrecv")));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    let told = world.commands.iter().any(|(_, command)| {
        matches!(command, Command::SetRemote { remote, .. } if remote.rtp.to_string() == "203.0.113.99:7000")
    });
    assert!(told);
    assert_eq!(world.gateway.calls(world.now)[0].rtp_ports, before);
    end(world);
}

#[test]
fn a_refused_re_invite_leaves_all_as_it_was() {
    let mut world = World::new();
    world.talk("100");
    let commands = world.commands.len();
    world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "0 101", "sendonly"))),
    );
    world.run(50 * MS);
    world.answer(BOB, 488, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(488));
    assert_eq!(world.commands.len(), commands);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    end(world);
}

#[test]
fn a_codec_that_neither_the_other_side_has_nor_we_is_488() {
    let allows_g729 = CONFIG.replace(
        "allow = [\"alaw\", \"ulaw\", \"g722\"]",
        "allow = [\"alaw\", \"ulaw\", \"g729\"]",
    );
    let mut world = World::with_config(&allows_g729);
    world.talk("100");
    world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "18", "sendrecv"))),
    );
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(488));
    end(world);
}

#[test]
fn crossing_re_invites_meet_491_on_both_sides() {
    let mut world = World::new();
    world.talk("100");
    world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "8 0 101", "sendrecv"))),
    );
    world.run(15 * MS);
    world.request(
        BOB,
        Method::Invite,
        Some((SDP, &bob(2, "8 0 101", "sendrecv"))),
    );
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(491));
    world.answer(BOB, 491, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(491));
    end(world);
}

#[test]
fn a_re_invite_without_an_offer_gets_ours_and_its_answer_is_passed_on() {
    let mut world = World::new();
    world.talk("100");
    world.request(ALICE, Method::Invite, None);
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "200 INVITE").contains("m=audio "));
    world.ack(ALICE, Some(&alice(2, "8 0 101", "sendonly")));
    world.run(50 * MS);
    let passed = world.last_to(BOB, "INVITE");
    assert!(passed.contains("a=sendonly\r\n"), "{passed}");
    world.answer(BOB, 200, Some(&bob(2, "8 0 101", "recvonly")));
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "held");
    end(world);
}

#[test]
fn a_caller_answered_before_is_narrowed_to_what_the_callee_takes() {
    let mut world = World::new();
    world.invite(ALICE, "102", Some(&alice(1, "8 0 101", "sendrecv")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    world.answer(BOB, 200, Some(&bob(1, "0", "sendrecv")));
    world.run(50 * MS);
    let narrowed = world.last_to(ALICE, "INVITE");
    assert!(narrowed.contains(" RTP/AVP 0 101\r\n"), "{narrowed}");
    // The caller is busy with a re-INVITE of its own; ours is tried again.
    world.answer(ALICE, 491, None);
    world.run(Duration::from_secs(3));
    assert_eq!(
        world
            .to(ALICE)
            .iter()
            .filter(|name| *name == "INVITE")
            .count(),
        2
    );
    world.answer(ALICE, 200, Some(&alice(2, "0", "sendrecv")));
    world.run(50 * MS);
    let Some(Command::Bridge { a_to_b, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert_eq!(a_to_b.pairs(), [(0, 0)]);
    end(world);
}

#[test]
fn a_re_invite_that_nobody_answers_ends_the_call() {
    let mut world = World::new();
    world.talk("100");
    world.network = Box::new(|_, sent| match sent.to.to_string().as_str() {
        BOB => Fate::Lose,
        _ => Fate::Deliver,
    });
    world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "8 0 101", "sendonly"))),
    );
    world.run(Duration::from_secs(33));
    assert_eq!(world.phone(ALICE).final_status(), Some(487));
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn a_re_invite_that_is_only_tried_is_cancelled_and_the_call_goes_on() {
    let mut world = World::new();
    world.talk("100");
    world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "8 0 101", "sendonly"))),
    );
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(Duration::from_secs(33));
    assert_eq!(world.phone(ALICE).final_status(), Some(408));
    assert!(world.to(BOB).iter().any(|name| name == "CANCEL"));
    world.answer(BOB, 487, None);
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    world.request(
        BOB,
        Method::Invite,
        Some((SDP, &bob(2, "8 0 101", "sendonly"))),
    );
    world.run(50 * MS);
    world.answer(ALICE, 200, Some(&alice(3, "8 0 101", "recvonly")));
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    world.ack(BOB, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn a_cancelled_re_invite_is_undone() {
    let mut world = World::new();
    world.talk("100");
    let tx = world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "8 0 101", "sendonly"))),
    );
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(300 * MS);
    world.cancel(ALICE, tx);
    world.answer(BOB, 200, Some(&bob(2, "8 0 101", "recvonly")));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(487));
    let back = world.last_to(BOB, "INVITE");
    assert!(back.contains("a=sendrecv\r\n"), "{back}");
    world.answer(BOB, 200, Some(&bob(3, "8 0 101", "sendrecv")));
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    end(world);
}

#[test]
fn bye_in_the_middle_of_a_re_invite_ends_all() {
    let mut world = World::new();
    world.talk("100");
    world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "8 0 101", "sendonly"))),
    );
    world.run(50 * MS);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(487));
    world.confirm(ALICE, 200);
    assert!(world.to(BOB).iter().all(|name| name != "CANCEL"));
    world.answer(BOB, 487, None);
    world.assert_nothing_left();
}

#[test]
fn bye_while_a_re_invite_is_tried_cancels_that() {
    let mut world = World::new();
    world.talk("100");
    world.request(
        ALICE,
        Method::Invite,
        Some((SDP, &alice(2, "8 0 101", "sendonly"))),
    );
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.run(50 * MS);
    // Bob never answers the re-INVITE, in spite of the BYE and the CANCEL.
    assert!(world.to(BOB).iter().any(|name| name == "CANCEL"));
    world.assert_nothing_left();
}

#[test]
fn dtmf_in_info_passes_and_the_rest_is_answered() {
    let by_info = CONFIG
        .replace(
            "[endpoint.alice]\n",
            "[endpoint.alice]\ndtmf_mode = \"info\"\n",
        )
        .replace("[endpoint.bob]\n", "[endpoint.bob]\ndtmf_mode = \"info\"\n");
    let mut world = World::with_config(&by_info);
    world.talk("100");
    let dtmf = ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    world.request(ALICE, Method::Info, Some(dtmf));
    world.run(50 * MS);
    assert!(world.last_to(BOB, "INFO").ends_with(dtmf.1));
    world.confirm(BOB, 200);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    for (method, body, status) in [
        (Method::Info, Some(("text/plain", "hello")), 415),
        (Method::Options, None, 200),
        (Method::Message, None, 405),
        (Method::Update, None, 200),
    ] {
        world.request(BOB, method, body);
        world.run(50 * MS);
        assert_eq!(world.phone(BOB).final_status(), Some(status));
    }
    end(world);
}
