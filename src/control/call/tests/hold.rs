//! Music on hold.

use super::world::*;
use crate::link::Command;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn bobs(version: u64, direction: &str) -> String {
    sdp("203.0.113.20", 6000, version, "8 0 101", direction)
}

fn alices(version: u64, direction: &str) -> String {
    sdp("198.51.100.10", 4000, version, "8 0 101", direction)
}

/// One side offers a direction; the other is asked, and answers with the mirror of what it is offered.
fn change(world: &mut World, by: &str, version: u64, direction: &str) {
    let own = match by {
        ALICE => alices(version, direction),
        _ => bobs(version, direction),
    };
    offer(world, by, version, &own);
}

/// The same with any offer.
fn offer(world: &mut World, by: &str, version: u64, own: &str) {
    let other = if by == ALICE { BOB } else { ALICE };
    world.request(by, Method::Invite, Some(("application/sdp", own)));
    world.run(50 * MS);
    let asked = world.last_to(other, "INVITE");
    let answer = mirror(direction_of(&asked));
    let answer = match other {
        ALICE => alices(version, answer),
        _ => bobs(version, answer),
    };
    world.answer(other, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(by, None);
    world.run(50 * MS);
}

fn direction_of(message: &str) -> &str {
    let attributes = message.lines().filter_map(|line| line.strip_prefix("a="));
    let mut directions = attributes.filter(|name| !mirror(name).is_empty());
    directions.next().unwrap_or("sendrecv")
}

fn mirror(direction: &str) -> &'static str {
    match direction {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        "inactive" => "inactive",
        "sendrecv" => "sendrecv",
        _ => "",
    }
}

/// The remote that the leg of the last Play has.
fn held_port(world: &World) -> u16 {
    let mut commands = world.commands.iter().rev();
    let held = commands.find_map(|(_, command)| match command {
        Command::Play { leg, .. } => Some(*leg),
        _ => None,
    });
    let held = held.expect("music");
    let mut commands = world.commands.iter().rev();
    let port = commands.find_map(|(_, command)| match command {
        Command::SetRemote { leg, remote } if *leg == held => Some(remote.rtp.port()),
        _ => None,
    });
    port.expect("a remote")
}

#[test]
fn who_is_put_on_hold_hears_music_until_it_is_taken_back() {
    for (by, held) in [(ALICE, 6000), (BOB, 4000)] {
        let mut world = World::new();
        world.talk("100");
        change(&mut world, by, 2, "sendonly");
        assert_eq!(world.asked_sounds(), ["music default"]);
        assert_eq!(world.played(), ["shared"]);
        assert_eq!(held_port(&world), held);
        change(&mut world, by, 3, "sendrecv");
        assert_eq!(world.played(), ["shared", "stop"]);
        end(world);
    }
}

/// Hold of RFC 2543: there is nowhere to send to.
fn nowhere(description: &str) -> String {
    let is_connection = |line: &&str| line.starts_with("c=");
    let connection = description.lines().find(is_connection).expect("c=");
    description.replace(connection, "c=IN IP4 0.0.0.0")
}

#[test]
fn each_form_of_hold_has_music() {
    for by in [ALICE, BOB] {
        for (direction, is_nowhere) in [
            ("sendonly", false),
            ("inactive", false),
            ("sendrecv", true),
            ("sendonly", true),
            ("inactive", true),
        ] {
            let mut world = World::new();
            world.talk("100");
            let own = if by == ALICE {
                alices(2, direction)
            } else {
                bobs(2, direction)
            };
            let own = if is_nowhere { nowhere(&own) } else { own };
            offer(&mut world, by, 2, &own);
            let (what, other) = (
                format!("{by} {direction} {is_nowhere}"),
                if by == ALICE { BOB } else { ALICE },
            );
            assert_eq!(
                direction_of(&world.last_to(other, "INVITE")),
                "sendonly",
                "{what}"
            );
            let answered = world.last_to(by, "200 INVITE");
            let answer = direction_of(&answered);
            assert_eq!(
                answer == "inactive",
                direction == "inactive",
                "{what}: {answer}"
            );
            assert_eq!(world.played(), ["shared"], "{what}");
            assert_eq!(
                held_port(&world),
                if by == ALICE { 6000 } else { 4000 },
                "{what}"
            );
            // Nobody is asked anything more.
            let asked = [ALICE, BOB].map(|phone| world.distinct_to(phone, "INVITE"));
            world.run(Duration::from_secs(5));
            assert_eq!(
                [ALICE, BOB].map(|phone| world.distinct_to(phone, "INVITE")),
                asked,
                "{what}"
            );
            change(&mut world, by, 3, "sendrecv");
            assert_eq!(
                direction_of(&world.last_to(other, "INVITE")),
                "sendrecv",
                "{what}"
            );
            assert_eq!(world.played(), ["shared", "stop"], "{what}");
            end(world);
        }
    }
}

#[test]
fn who_is_held_may_hold_as_well_and_both_come_back() {
    for direction in ["sendonly", "inactive"] {
        let mut world = World::new();
        world.talk("100");
        change(&mut world, ALICE, 2, direction);
        assert_eq!(world.played(), ["shared"], "{direction}");
        change(&mut world, BOB, 3, direction);
        change(&mut world, ALICE, 4, "sendrecv");
        change(&mut world, BOB, 5, "sendrecv");
        assert_eq!(world.played().last(), Some(&"stop"), "{direction}");
        let asked = [ALICE, BOB].map(|phone| world.distinct_to(phone, "INVITE"));
        world.run(Duration::from_secs(5));
        assert_eq!(
            [ALICE, BOB].map(|phone| world.distinct_to(phone, "INVITE")),
            asked
        );
        end(world);
    }
}

#[test]
fn a_fax_is_played_no_music() {
    let fax = |address: &str, port: u16, version: u64, direction: &str| {
        format!(
            "v=0\r\no=- 77 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
             m=image {port} udptl t38\r\na=T38FaxVersion:0\r\na={direction}\r\n"
        )
    };
    let config = CONFIG
        .replace("[endpoint.alice]\n", "[endpoint.alice]\nt38_udptl = true\n")
        .replace("[endpoint.bob]\n", "[endpoint.bob]\nt38_udptl = true\n");
    let mut world = World::with_config(&config);
    world.talk("100");
    let bobs = fax("203.0.113.20", 6010, 2, "sendonly");
    world.request(BOB, Method::Invite, Some(("application/sdp", &bobs)));
    world.run(50 * MS);
    world.answer(ALICE, 200, Some(&fax("198.51.100.10", 4010, 2, "recvonly")));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    assert!(world.last_to(BOB, "200 INVITE").contains("m=image"));
    assert!(world.asked_sounds().is_empty());
    end(world);
}

#[test]
fn the_held_ones_class_comes_before_the_one_that_the_holder_suggests() {
    let text = CONFIG
        .replace(
            "[endpoint.bob]\n",
            "[endpoint.bob]\nmoh_suggest = \"jazz\"\n",
        )
        .replace(
            "\"100\" = [",
            "\"99\" = [\"Set(CHANNEL(musicclass)=own)\", \"Dial(PJSIP/bob)\"]\n\"100\" = [",
        );
    for (extension, class) in [("100", "music jazz"), ("99", "music own")] {
        let mut world = World::with_config(&text);
        world.talk(extension);
        change(&mut world, BOB, 2, "sendonly");
        assert_eq!(world.asked_sounds(), [class]);
        end(world);
    }
}

#[test]
fn a_held_call_that_ends_leaves_nothing() {
    let mut world = World::new();
    world.talk("100");
    change(&mut world, BOB, 2, "sendonly");
    end(world);
}
