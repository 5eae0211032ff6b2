//! Applications that play something to the caller.

use super::world::*;
use crate::link::{Command, Rate};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn call(steps: &str) -> World {
    call_of(steps, "", "8 0 101")
}

fn answered(steps: &str) -> World {
    answered_call_of(steps, "")
}

#[test]
fn playback_answers_and_plays_one_file_after_the_other() {
    let mut world = answered(r#""Playback(hello-world&digits/1)", "Hangup(17)""#);
    assert_eq!(world.to(ALICE), ["200 INVITE"]);
    assert_eq!(world.asked_sounds(), ["hello-world digits/1"]);
    assert_eq!(world.questions[0].language, "en");
    assert_eq!(world.questions[0].rate, Rate::Narrow);
    assert_eq!(world.played(), ["once"]);
    world.run(2 * S);
    world.play_to_end();
    world.run(50 * MS);
    assert_eq!(world.played(), ["once", "once"]);
    assert_eq!(world.to(ALICE).last().expect("a 200"), "200 INVITE");
    world.play_to_end();
    ended_with(world, 17);
}

#[test]
fn the_end_of_one_that_was_replaced_means_nothing() {
    let mut world = answered(r#""Playback(one&two)", "Hangup()""#);
    let first = world
        .commands
        .iter()
        .find_map(|(_, command)| match command {
            Command::Play { leg, play, .. } => Some((*leg, *play)),
            _ => None,
        });
    let (leg, play) = first.expect("it is played");
    world.play_to_end();
    for _ in 0..3 {
        world.media(crate::link::Event::Played { leg, play });
    }
    world.run(50 * MS);
    assert_eq!(world.played(), ["once", "once"]);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    hang_up(world);
}

#[test]
fn a_file_that_is_not_there_is_passed_over_and_told() {
    for (files, status) in [
        ("missing", "FAILED"),
        ("missing&there", "FAILED"),
        ("there", "SUCCESS"),
    ] {
        let steps = format!(
            r#""Playback({files})", "GotoIf($[\"${{PLAYBACKSTATUS}}\" = \"{status}\"]?good)", "Hangup(1)", "good: Hangup(17)""#
        );
        let mut world = answered(&steps);
        if files != "missing" {
            assert_eq!(world.played(), ["once"], "{files}");
            world.play_to_end();
            world.run(50 * MS);
        }
        ended_with(world, 17);
    }
}

#[test]
fn before_the_answer_it_is_early_media_or_left_out() {
    let mut world = call(r#""Playback(hello,noanswer)", "Hangup(17)""#);
    assert_eq!(world.to(ALICE), ["183 INVITE"]);
    assert_eq!(world.played(), ["once"]);
    world.play_to_end();
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(486));
    world.assert_nothing_left();

    let mut world = call(r#""Playback(hello,skip)", "Hangup(17)""#);
    assert_eq!(world.to(ALICE), ["486 INVITE"]);
    assert!(world.questions.is_empty());
    world.assert_nothing_left();
}

#[test]
fn a_caller_that_offers_nothing_hears_it_when_its_ack_has_come() {
    let text = CONFIG.replace(
        "[context.from-bob.exten]\n",
        "\"300\" = [\"Playback(hello)\"]\n\n[context.from-bob.exten]\n",
    );
    let mut world = World::with_config(&text);
    world.invite(ALICE, "300", None);
    world.run(50 * MS);
    assert!(world.questions.is_empty());
    let answer = sdp("198.51.100.10", 4000, 1, "9", "sendrecv");
    world.ack(ALICE, Some(&answer));
    world.run(50 * MS);
    assert_eq!(world.asked_sounds(), ["hello"]);
    assert_eq!(world.questions[0].rate, Rate::Wide);
    hang_up(world);
}

#[test]
fn who_hangs_up_meanwhile_leaves_nothing_behind() {
    let world = answered(r#""Answer()", "MusicOnHold(jazz,60)", "Hangup()""#);
    assert_eq!(world.asked_sounds(), ["music jazz"]);
    hang_up(world);
    let world = answered(r#""Playback(hello)", "Hangup()""#);
    hang_up(world);
}

#[test]
fn music_plays_for_its_time() {
    let mut world =
        answered(r#""Answer()", "Set(CHANNEL(musicclass)=jazz)", "MusicOnHold(,3)", "Hangup()""#);
    assert_eq!(world.asked_sounds(), ["music jazz"]);
    world.run(2500 * MS);
    assert_eq!(world.played(), ["shared"]);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    world.run(S);
    assert_eq!(world.played(), ["shared", "stop"]);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn without_the_class_the_dialplan_goes_on() {
    let world = answered(r#""Answer()", "MusicOnHold(missing)", "Hangup(17)""#);
    ended_with(world, 17);
}

#[test]
fn music_and_tones_play_beside_the_dialplan() {
    let mut world = answered(
        r#""Answer()", "StartMusicOnHold(jazz)", "Wait(1)", "Playtones(busy)", "Wait(1)", "StopPlaytones()", "Wait(1)", "Playback(bye)""#,
    );
    assert_eq!(world.played(), ["shared"]);
    world.run(S);
    assert_eq!(world.asked_sounds(), ["music jazz", "tone busy us"]);
    assert_eq!(world.played(), ["shared", "stop", "loop"]);
    world.run(S);
    assert_eq!(world.played(), ["shared", "stop", "loop", "stop"]);
    world.run(S);
    assert_eq!(world.played().last(), Some(&"once"));
    hang_up(world);
}

#[test]
fn an_answered_caller_hears_busy_as_a_tone_of_its_zone() {
    let mut world = answered(
        r#""Answer()", "Set(CHANNEL(tonezone)=de)", "Ringing()", "Wait(1)", "Congestion(2)""#,
    );
    assert_eq!(world.asked_sounds(), ["tone ring de"]);
    world.run(S);
    assert_eq!(world.asked_sounds(), ["tone ring de", "tone congestion de"]);
    world.run(3 * S);
    assert_eq!(world.distinct_to(ALICE, "BYE"), 1);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn an_answered_caller_hears_that_others_ring_until_they_answer() {
    let mut world = answered(r#""Answer()", "Dial(PJSIP/bob)""#);
    assert!(world.questions.is_empty());
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    assert_eq!(world.asked_sounds(), ["tone ring us"]);
    let bob = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    world.answer(BOB, 200, Some(&bob));
    world.run(50 * MS);
    assert_eq!(world.played(), ["loop", "stop"]);
    end(world);
}

#[test]
fn nobody_answers_and_the_tone_ends_with_the_dial() {
    let mut world = answered(r#""Answer()", "Dial(PJSIP/bob,5)", "Wait(5)""#);
    world.answer(BOB, 180, None);
    world.run(6 * S);
    assert_eq!(world.played(), ["loop", "stop"]);
    world.answer(BOB, 487, None);
    hang_up(world);
}

#[test]
fn a_caller_hears_music_while_others_ring() {
    let mut world = call(r#""Dial(PJSIP/bob,20,m(jazz))""#);
    assert_eq!(world.to(ALICE), ["183 INVITE"]);
    assert_eq!(world.asked_sounds(), ["music jazz"]);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    assert_eq!(world.count_to(ALICE, "180 INVITE"), 0);
    let bob = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    world.answer(BOB, 200, Some(&bob));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert_eq!(world.played(), ["shared", "stop"]);
    end(world);
}

#[test]
fn a_loop_that_plays_nothing_ends() {
    let mut world = answered(r#""again: Playback(missing)", "Goto(again)""#);
    assert_eq!(world.count_to(ALICE, "BYE"), 1);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}
