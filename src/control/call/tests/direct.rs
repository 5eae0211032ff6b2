//! Direct media: when the two sides send to each other, and when they come back.

use super::world::*;
use crate::link::{Command, Event as MediaEvent};
use crate::sip::message::{Method, ResponseDraft};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const SDP: &str = "application/sdp";

fn alices(version: u64, direction: &str) -> String {
    sdp("198.51.100.10", 4000, version, "8 0 101", direction)
}

fn bobs(version: u64, direction: &str) -> String {
    sdp("203.0.113.20", 6000, version, "8 0 101", direction)
}

/// Alice and Bob may send to each other; Carol may not. More lines for the two.
fn config(alice: &str, bob: &str) -> String {
    CONFIG
        .replace(
            "[endpoint.alice]\n",
            &format!("[endpoint.alice]\ndirect_media = true\n{alice}\n"),
        )
        .replace(
            "[endpoint.bob]\n",
            &format!("[endpoint.bob]\ndirect_media = true\n{bob}\n"),
        )
        .replace(
            "\"106\" =",
            "\"300\" = [\"Dial(PJSIP/carol,20)\"]\n\"301\" = [\"Answer()\", \"Echo()\"]\n\"106\" =",
        )
        .replace(
            "\"_X.\" = [\"Dial(PJSIP/carol)\"]",
            "\"301\" = [\"Answer()\", \"Echo()\"]\n\"_X.\" = [\"Dial(PJSIP/carol)\"]",
        )
}

fn talking(alice: &str, bob: &str) -> World {
    let mut world = World::with_config(&config(alice, bob));
    world.talk("100");
    world
}

/// Where the last INVITE, or 200, to this phone says that media goes.
fn told(world: &World, phone: &str, name: &str) -> String {
    let message = world.last_to(phone, name);
    let line = |start: &str| {
        let found = message.lines().find_map(|line| line.strip_prefix(start));
        found
            .unwrap_or_else(|| panic!("no {start}: {message}"))
            .to_owned()
    };
    let port = line("m=audio ");
    let port = port.split(' ').next().expect("a port");
    format!("{}:{port}", line("c=IN IP4 "))
}

const OF_ALICE: &str = "198.51.100.10:4000";
const OF_BOB: &str = "203.0.113.20:6000";

fn is_ours(place: &str) -> bool {
    place.starts_with("192.0.2.1:20")
}

/// Both answer what they are asked, and send to each other.
fn direct(alice: &str, bob: &str) -> World {
    let mut world = talking(alice, bob);
    assert_eq!(world.distinct_to(BOB, "INVITE"), 2);
    assert_eq!(told(&world, BOB, "INVITE"), OF_ALICE);
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 0, "one after the other");
    world.answer(BOB, 200, Some(&bobs(2, "sendrecv")));
    world.run(50 * MS);
    assert_eq!(told(&world, ALICE, "INVITE"), OF_BOB);
    world.answer(ALICE, 200, Some(&alices(2, "sendrecv")));
    world.run(50 * MS);
    world
}

fn invites(world: &World) -> (usize, usize) {
    (
        world.distinct_to(ALICE, "INVITE"),
        world.distinct_to(BOB, "INVITE"),
    )
}

#[test]
fn who_is_recorded_stays_on_the_relay() {
    for recording in ["MixMonitor(a.wav)", "MixMonitor(a.wav,b)"] {
        let config =
            config("", "").replace(r#""100" = ["#, &format!(r#""100" = ["{recording}", "#));
        let mut world = World::with_config(&config);
        world.talk("100");
        world.run(10 * S);
        assert_eq!(invites(&world), (0, 1));
        assert_eq!(world.orders.len(), 1, "it is recorded");
    }
}

#[test]
fn the_two_sides_send_to_each_other_once_the_call_is_up() {
    let mut world = direct("", "");
    world.run(10 * S);
    assert_eq!(invites(&world), (1, 2), "and that is all");
    // The relay is kept, and nobody waits for media there.
    assert_eq!(world.open_legs().len(), 2);
    let remotes = world.remotes();
    assert_eq!(remotes.len(), 2);
    assert!(
        remotes.iter().all(|remote| remote.timeout_s == 0),
        "{remotes:?}"
    );
    // Their digits are telephone events, which go past us; INFO with one is no news.
    let digit = ("application/dtmf-relay", "Signal=5\r\n");
    world.request(ALICE, Method::Info, Some(digit));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    assert_eq!(world.distinct_to(BOB, "INFO"), 0);
    end(world);
}

#[test]
fn without_the_key_or_where_something_stands_between_the_relay_stays() {
    let nat = CONFIG.replace(
        "bind = \"192.0.2.1:5060\"\n\n[transport.tcp]",
        "bind = \"192.0.2.1:5060\"\nlocal_net = [\"198.51.100.0/24\"]\n\n[transport.tcp]",
    );
    for (config, why) in [
        (CONFIG.to_owned(), "no key"),
        (
            config("rtp_symmetric = true", ""),
            "the caller is behind a NAT",
        ),
        (
            config("", "rtp_symmetric = true"),
            "the callee is behind a NAT",
        ),
        (
            config("", "rewrite_contact = true"),
            "its Contact is not to be believed",
        ),
        (config("dtmf_mode = \"info\"", ""), "DTMF is not the same"),
        (
            config("", "").replacen("direct_media = true", "direct_media = false", 1),
            "one may not",
        ),
        (
            nat.replace(
                "[endpoint.alice]\n",
                "[endpoint.alice]\ndirect_media = true\n",
            )
            .replace("[endpoint.bob]\n", "[endpoint.bob]\ndirect_media = true\n"),
            "one is in local_net",
        ),
    ] {
        let mut world = World::with_config(&config);
        world.talk("100");
        world.run(S);
        assert_eq!(invites(&world), (0, 1), "{why}");
        end(world);
    }
}

#[test]
fn what_the_media_shows_counts() {
    // Alice's packets come from elsewhere than she says.
    let mut world = World::with_config(&config("", ""));
    world.invite(ALICE, "100", Some(&alices(1, "sendrecv")));
    world.run(50 * MS);
    world.answer(BOB, 200, Some(&bobs(1, "sendrecv")));
    world.run(50 * MS);
    let leg = world.open_legs()[0];
    world.media(MediaEvent::Latched {
        leg,
        source: address("198.51.100.99:4000"),
    });
    world.ack(ALICE, None);
    world.run(S);
    assert_eq!(invites(&world), (0, 1));
    end(world);
    // Telephone events by other numbers, which only the relay translates.
    let mut world = World::with_config(&config("", ""));
    let offer = alices(1, "sendrecv").replace("101", "96");
    world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    let answer = bobs(1, "sendrecv").replace("101", "97");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(S);
    assert_eq!(invites(&world), (0, 1));
    end(world);
}

#[test]
fn who_refuses_keeps_the_call_on_the_relay_for_good() {
    let mut world = talking("", "");
    world.answer(BOB, 488, None);
    world.run(50 * MS);
    assert_eq!(invites(&world), (0, 2), "Alice hears nothing of it");
    // A hold and its end try it no more.
    for (version, direction, answered) in [(2, "sendonly", "recvonly"), (3, "sendrecv", "sendrecv")]
    {
        world.request(
            ALICE,
            Method::Invite,
            Some((SDP, &alices(version, direction))),
        );
        world.run(50 * MS);
        world.answer(BOB, 200, Some(&bobs(version, answered)));
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(S);
    }
    assert_eq!(invites(&world), (0, 4));
    assert!(is_ours(&told(&world, BOB, "INVITE")));
    end(world);
}

#[test]
fn where_the_second_refuses_the_first_comes_back() {
    let mut world = talking("", "");
    world.answer(BOB, 200, Some(&bobs(2, "sendrecv")));
    world.run(50 * MS);
    world.answer(ALICE, 488, None);
    world.run(50 * MS);
    assert_eq!(invites(&world), (1, 3));
    assert!(is_ours(&told(&world, BOB, "INVITE")));
    world.answer(BOB, 200, Some(&bobs(3, "sendrecv")));
    world.run(S);
    assert_eq!(invites(&world), (1, 3));
    assert!(world.remotes().iter().all(|remote| remote.timeout_s > 0));
    end(world);
}

#[test]
fn a_hold_comes_back_to_the_relay_and_its_end_goes_direct_again() {
    for (who, other) in [(ALICE, BOB), (BOB, ALICE)] {
        let mut world = direct("", "");
        let body = |phone: &str, version: u64, direction: &str| match phone {
            ALICE => alices(version, direction),
            _ => bobs(version, direction),
        };
        world.request(who, Method::Invite, Some((SDP, &body(who, 3, "sendonly"))));
        world.run(50 * MS);
        assert!(is_ours(&told(&world, other, "INVITE")));
        world.answer(other, 200, Some(&body(other, 3, "recvonly")));
        world.run(50 * MS);
        assert!(is_ours(&told(&world, who, "200 INVITE")));
        world.ack(who, None);
        world.run(S);
        let before = invites(&world);
        assert_eq!(world.gateway.calls(world.now)[0].state, "held");
        world.request(who, Method::Invite, Some((SDP, &body(who, 4, "sendrecv"))));
        world.run(50 * MS);
        world.answer(other, 200, Some(&body(other, 4, "sendrecv")));
        world.run(50 * MS);
        world.ack(who, None);
        world.run(50 * MS);
        assert_eq!(told(&world, BOB, "INVITE"), OF_ALICE, "{before:?}");
        world.answer(BOB, 200, Some(&bobs(5, "sendrecv")));
        world.run(50 * MS);
        assert_eq!(told(&world, ALICE, "INVITE"), OF_BOB);
        world.answer(ALICE, 200, Some(&alices(5, "sendrecv")));
        world.run(50 * MS);
        end(world);
    }
}

#[test]
fn a_hold_that_is_refused_leaves_the_media_where_it_was() {
    let mut world = direct("", "");
    world.request(ALICE, Method::Invite, Some((SDP, &alices(3, "sendonly"))));
    world.run(50 * MS);
    world.answer(BOB, 488, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(488));
    let before = invites(&world);
    // What Alice says again is answered with what she knows: Bob's address.
    world.request(ALICE, Method::Invite, Some((SDP, &alices(2, "sendrecv"))));
    world.run(50 * MS);
    assert_eq!(told(&world, ALICE, "200 INVITE"), OF_BOB);
    world.ack(ALICE, None);
    world.run(S);
    assert_eq!(invites(&world), before);
    end(world);
}

#[test]
fn ours_that_crosses_theirs_is_tried_again() {
    let mut world = talking("", "");
    world.answer(BOB, 491, None);
    world.run(50 * MS);
    assert_eq!(invites(&world), (0, 2));
    world.run(5 * S);
    assert_eq!(invites(&world), (0, 3));
    assert_eq!(told(&world, BOB, "INVITE"), OF_ALICE);
    // A re-INVITE of Alice's in the middle of it gets 491 herself.
    world.request(ALICE, Method::Invite, Some((SDP, &alices(2, "sendonly"))));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(491));
    world.answer(BOB, 488, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn a_refresh_says_again_what_was_said() {
    let timer = "timers_min_se = 90\ntimers_sess_expires = 90";
    let mut world = World::with_config(&config("", timer));
    world.invite(ALICE, "100", Some(&alices(1, "sendrecv")));
    world.run(50 * MS);
    let expires = [("Session-Expires", "90;refresher=uac")];
    world.answer_with(BOB, 200, Some(&bobs(1, "sendrecv")), &expires);
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    world.answer_with(BOB, 200, Some(&bobs(2, "sendrecv")), &expires);
    world.run(50 * MS);
    world.answer(ALICE, 200, Some(&alices(2, "sendrecv")));
    world.run(50 * MS);
    let before = invites(&world);
    world.run(46 * S);
    assert_eq!(invites(&world), (before.0, before.1 + 1));
    assert_eq!(told(&world, BOB, "INVITE"), OF_ALICE);
    world.answer_with(BOB, 200, Some(&bobs(2, "sendrecv")), &expires);
    world.run(S);
    assert_eq!(invites(&world), (before.0, before.1 + 1));
    end(world);
}

#[test]
fn who_is_transferred_comes_back_to_the_relay() {
    let mut world = direct("", "");
    let to = [("Refer-To", "<sip:300@192.0.2.1>")];
    world.request_with(BOB, Method::Refer, None, &to);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.answer(
        CAROL,
        200,
        Some(&sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv")),
    );
    world.run(50 * MS);
    assert!(
        is_ours(&told(&world, ALICE, "INVITE")),
        "Carol sends to us only"
    );
    world.phones_answer = true;
    world.answer(ALICE, 200, Some(&alices(3, "sendrecv")));
    world.run(S);
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn who_is_transferred_to_an_application_comes_back_to_the_relay() {
    let mut world = direct("", "");
    let to = [("Refer-To", "<sip:301@192.0.2.1>")];
    world.request_with(BOB, Method::Refer, None, &to);
    world.run(50 * MS);
    assert!(is_ours(&told(&world, ALICE, "INVITE")));
    world.answer(ALICE, 200, Some(&alices(3, "sendrecv")));
    world.run(50 * MS);
    let is_echo = |(_, command): &(_, Command)| matches!(command, Command::Echo { .. });
    assert!(world.commands.iter().any(is_echo));
    world.phones_answer = true;
    world.confirm_by(BOB, &ResponseDraft::new(200));
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn a_side_that_moves_with_every_answer_does_not_keep_us_busy() {
    let mut world = talking("", "");
    for round in 0..30u16 {
        let (who, body) = match round % 2 {
            0 => (
                BOB,
                sdp("203.0.113.20", 6000 + 2 * round, 9, "8 0 101", "sendrecv"),
            ),
            _ => (
                ALICE,
                sdp("198.51.100.10", 4000 + 2 * round, 9, "8 0 101", "sendrecv"),
            ),
        };
        if world.phone(who).invite.is_some() {
            world.answer(who, 200, Some(&body));
        }
        world.run(50 * MS);
    }
    let (alice, bob) = invites(&world);
    assert!((4..=20).contains(&(alice + bob)), "{alice} {bob}");
    world.phones_answer = true;
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}
