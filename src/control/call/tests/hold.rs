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

/// One side offers a direction, the other answers with its mirror.
fn change(world: &mut World, by: &str, version: u64, direction: &str) {
    let (own, other, answer) = match by {
        ALICE => (
            alices(version, direction),
            BOB,
            bobs(version, mirror(direction)),
        ),
        _ => (
            bobs(version, direction),
            ALICE,
            alices(version, mirror(direction)),
        ),
    };
    world.request(by, Method::Invite, Some(("application/sdp", &own)));
    world.run(50 * MS);
    world.answer(other, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(by, None);
    world.run(50 * MS);
}

fn mirror(direction: &str) -> &'static str {
    match direction {
        "sendonly" => "recvonly",
        "inactive" => "inactive",
        _ => "sendrecv",
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
