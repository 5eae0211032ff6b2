//! DTMF between sides that have it in different ways: every pair of ways, and no digit twice.

use super::world::*;
use crate::link::{Command, Digit, Event, LegId, Listening};
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const INFO: (&str, &str) = ("application/dtmf-relay", "Signal=5\r\nDuration=100\r\n");

/// A call of Alice's to Bob, with these modes; whose telephone knows events.
fn talking(alice: (&str, bool), bob: (&str, bool)) -> World {
    let mode = |name: &str, mode: &str| {
        (
            format!("[endpoint.{name}]\n"),
            format!("[endpoint.{name}]\ndtmf_mode = \"{mode}\"\n"),
        )
    };
    let (a, b) = (mode("alice", alice.0), mode("bob", bob.0));
    let config = CONFIG.replace(&a.0, &a.1).replace(&b.0, &b.1);
    let mut world = World::with_config(&config);
    let formats = |events| if events { "8 0 101" } else { "8 0" };
    let offer = sdp("198.51.100.10", 4000, 1, formats(alice.1), "sendrecv");
    world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    let answer = sdp("203.0.113.20", 6000, 1, formats(bob.1), "sendrecv");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    world
}

fn legs(world: &World) -> (LegId, LegId) {
    match world.last_bridge() {
        Some(Command::Bridge { a, b, .. }) => (a, b),
        other => panic!("not bridged: {other:?}"),
    }
}

/// What the worker was told last to hear of a leg.
fn listening(world: &World, wanted: LegId) -> Listening {
    let mut commands = world.commands.iter().rev();
    let told = commands.find_map(|(_, command)| match command {
        Command::Listen { leg, listening } if *leg == wanted => Some(*listening),
        _ => None,
    });
    told.unwrap_or(Listening::Off)
}

/// The digits that the worker was told to send to a leg's peer.
fn sent(world: &World, wanted: LegId) -> Vec<(char, u16)> {
    let commands = world.commands.iter();
    let sent = commands.filter_map(|(_, command)| match command {
        Command::SendDigit {
            leg,
            digit,
            duration_ms,
        } if *leg == wanted => Some((digit.symbol(), *duration_ms)),
        _ => None,
    });
    sent.collect()
}

fn hear(world: &mut World, leg: LegId, digit: char) {
    let digit = Digit::from_char(digit).expect("a digit");
    world.media(Event::Digit {
        leg,
        digit,
        duration_ms: 120,
    });
    world.run(50 * MS);
}

#[test]
fn only_what_is_to_be_converted_is_listened_to() {
    use Listening::{Events, Off, Tones};
    for (alice, bob, expected) in [
        (("rfc4733", true), ("rfc4733", true), (Off, Off)),
        (("rfc4733", true), ("rfc4733", false), (Events, Off)),
        (("rfc4733", false), ("rfc4733", false), (Off, Off)),
        (("rfc4733", true), ("inband", true), (Events, Tones)),
        (("rfc4733", true), ("info", true), (Events, Off)),
        (("inband", true), ("inband", true), (Off, Off)),
        (("inband", true), ("info", true), (Tones, Off)),
        (("info", true), ("info", true), (Off, Off)),
        (("auto", true), ("rfc4733", true), (Off, Off)),
        (("auto", false), ("rfc4733", true), (Tones, Events)),
        (("auto_info", true), ("rfc4733", true), (Off, Off)),
        (("auto_info", false), ("rfc4733", true), (Off, Events)),
        (("auto_info", false), ("auto", false), (Off, Tones)),
    ] {
        let world = talking(alice, bob);
        let (a, b) = legs(&world);
        let told = (listening(&world, a), listening(&world, b));
        assert_eq!(told, expected, "{alice:?} {bob:?}");
        end(world);
    }
}

#[test]
fn a_digit_that_is_heard_is_sent_or_told_by_info() {
    // Events to a side that has tones, tones to one that has events.
    let mut world = talking(("rfc4733", true), ("inband", false));
    let (a, b) = legs(&world);
    hear(&mut world, a, '5');
    hear(&mut world, b, '#');
    assert_eq!(sent(&world, b), [('5', 120)]);
    assert_eq!(sent(&world, a), [('#', 120)]);
    assert_eq!(
        world.count_to(BOB, "INFO") + world.count_to(ALICE, "INFO"),
        0
    );
    end(world);
    // Either to a side that has INFO.
    for alice in [("rfc4733", true), ("inband", false)] {
        let mut world = talking(alice, ("info", false));
        let (a, b) = legs(&world);
        hear(&mut world, a, '*');
        let info = world.last_to(BOB, "INFO");
        assert!(
            info.contains("Content-Type: application/dtmf-relay\r\n"),
            "{info}"
        );
        assert!(
            info.ends_with("\r\n\r\nSignal=*\r\nDuration=120\r\n"),
            "{info}"
        );
        assert_eq!(sent(&world, b), []);
        world.confirm(BOB, 200);
        world.run(50 * MS);
        end(world);
    }
}

#[test]
fn a_digit_by_info_is_sent_to_a_side_that_has_it_otherwise() {
    for bob in [("rfc4733", true), ("inband", false), ("auto", false)] {
        let mut world = talking(("info", false), bob);
        let (_, b) = legs(&world);
        world.request(ALICE, Method::Info, Some(INFO));
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(200), "{bob:?}");
        assert_eq!(sent(&world, b), [('5', 100)], "{bob:?}");
        assert_eq!(world.count_to(BOB, "INFO"), 0, "{bob:?}");
        // What is no digit is none to anybody.
        world.request(
            ALICE,
            Method::Info,
            Some(("application/dtmf-relay", "Signal=16\r\n")),
        );
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(200), "{bob:?}");
        assert_eq!(sent(&world, b).len(), 1, "{bob:?}");
        end(world);
    }
}

#[test]
fn info_beside_events_or_tones_is_not_a_second_digit() {
    for alice in [
        ("rfc4733", true),
        ("inband", false),
        ("auto", false),
        ("auto_info", true),
    ] {
        for bob in [("rfc4733", true), ("inband", false), ("info", false)] {
            let mut world = talking(alice, bob);
            let (_, b) = legs(&world);
            world.request(ALICE, Method::Info, Some(INFO));
            world.run(50 * MS);
            let what = format!("{alice:?} {bob:?}");
            assert_eq!(world.phone(ALICE).final_status(), Some(200), "{what}");
            assert_eq!(world.count_to(BOB, "INFO"), 0, "{what}");
            assert_eq!(sent(&world, b), [], "{what}");
            end(world);
        }
    }
}

#[test]
fn info_of_our_own_keeps_its_order_one_at_a_time() {
    let mut world = talking(("rfc4733", true), ("info", false));
    let (a, _) = legs(&world);
    for digit in "123".chars() {
        hear(&mut world, a, digit);
    }
    let mut told = String::new();
    for _ in 0..3 {
        let infos = world.wire.iter().filter(|sent| sent.to == address(BOB));
        let last = infos.filter(|sent| sent.name() == "INFO").last();
        let text = last.expect("an INFO").text();
        told.extend(
            text.split("Signal=")
                .nth(1)
                .and_then(|rest| rest.chars().next()),
        );
        // A refusal is no reason to keep the others.
        world.confirm(BOB, 415);
        world.run(50 * MS);
    }
    assert_eq!(told, "123");
    assert_eq!(world.distinct_to(BOB, "INFO"), 3);
    end(world);
}

#[test]
fn digits_that_nobody_takes_are_bounded_and_the_call_goes_on() {
    let mut world = talking(("rfc4733", true), ("info", false));
    let (a, _) = legs(&world);
    for _ in 0..1000 {
        world.media(Event::Digit {
            leg: a,
            digit: Digit::from_char('7').expect("a digit"),
            duration_ms: 40,
        });
    }
    for _ in 0..100 {
        world.run(20 * MS);
        world.confirm(BOB, 200);
    }
    world.run(Duration::from_secs(1));
    let told = world.distinct_to(BOB, "INFO");
    assert_eq!(told, super::super::digits::DIGITS_MAX + 1);
    end(world);
}

#[test]
fn a_change_of_formats_changes_what_is_listened_to() {
    let mut world = talking(("rfc4733", true), ("rfc4733", true));
    let (a, b) = legs(&world);
    let without = sdp("203.0.113.20", 6000, 2, "8 0", "sendrecv");
    world.request(BOB, Method::Invite, Some(("application/sdp", &without)));
    world.run(50 * MS);
    let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendrecv");
    world.answer(ALICE, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    assert_eq!(listening(&world, a), Listening::Events);
    assert_eq!(listening(&world, b), Listening::Off);
    hear(&mut world, a, '1');
    assert_eq!(sent(&world, b), [('1', 120)]);
    end(world);
}
