//! MixMonitor and Record.

use super::world::*;
use crate::link::{Channels, Command, RecordId};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Whether each recording began or was stopped, and the silence that ends it.
fn recorded(world: &World) -> Vec<Option<u32>> {
    let commands = world
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::Record { silence_ms, .. } => Some(Some(*silence_ms)),
            Command::StopRecord { .. } => Some(None),
            _ => None,
        });
    commands.collect()
}

/// Which recording each of these commands is about.
fn record_ids(world: &World) -> Vec<RecordId> {
    let commands = world
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::Record { record, .. } | Command::StopRecord { record, .. } => Some(*record),
            _ => None,
        });
    commands.collect()
}

fn record(arguments: &str, status: &str) -> World {
    let steps = format!(
        r#""Record({arguments})", "GotoIf($[\"${{RECORD_STATUS}}\" = \"{status}\"]?good)", "Hangup(1)", "good: Playback(at${{RECORDED_FILE}})""#
    );
    answered_call_of(&steps, "")
}

#[test]
fn a_call_is_recorded_once_its_audio_is_there() {
    let mut world = call_of(
        r#""MixMonitor(calls/${EXTEN}.wav,D)", "Dial(PJSIP/bob)""#,
        "",
        "8 0 101",
    );
    assert!(world.orders.is_empty(), "the caller has no audio yet");
    let bob = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    world.answer(BOB, 200, Some(&bob));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let [order] = &world.orders[..] else {
        panic!("one recording");
    };
    assert_eq!(order.path.to_str(), Some("/spool/calls/300.wav"));
    assert_eq!(order.channels, Channels::Stereo);
    assert!(order.keep.is_kept());
    assert_eq!(recorded(&world), [Some(0)]);
    end(world);
}

#[test]
fn no_recording_leaves_its_directory() {
    let world = answered_call_of(
        r#""Answer()", "MixMonitor(../../etc/passwd)", "Wait(1)""#,
        "",
    );
    assert!(world.orders.is_empty());
    hang_up(world);
}

#[test]
fn recording_stops_when_it_is_told_to() {
    let world = answered_call_of(
        r#""Answer()", "MixMonitor(a.wav)", "StopMixMonitor()", "Wait(1)""#,
        "",
    );
    assert_eq!(recorded(&world), [Some(0), None]);
    assert_eq!(world.orders[0].channels, Channels::Mixed);
    hang_up(world);
}

#[test]
fn a_message_ends_with_the_hash_key_and_can_be_played() {
    let mut world = record("messages/%d.wav,3,60", "DTMF");
    assert_eq!(world.asked_sounds(), ["beep"]);
    assert!(world.orders.is_empty());
    world.play_to_end();
    assert_eq!(
        world.orders[0].path.to_str(),
        Some("/spool/messages/%d.wav")
    );
    assert_eq!(world.orders[0].channels, Channels::Heard);
    assert_eq!(recorded(&world), [Some(3000)]);
    world.run(5 * S);
    world.press("5");
    assert_eq!(recorded(&world), [Some(3000)]);
    assert!(!world.orders[0].keep.is_kept());
    world.press("#");
    assert_eq!(recorded(&world), [Some(3000), None]);
    assert!(world.orders[0].keep.is_kept());
    assert_eq!(
        world.asked_sounds(),
        ["beep"],
        "the file is not complete yet"
    );
    world.complete(Some("/spool/messages/7.wav"));
    assert_eq!(world.asked_sounds(), ["beep", "at/spool/messages/7"]);
    hang_up(world);
}

#[test]
fn a_message_ends_with_silence_or_its_time() {
    let mut world = record("a.wav,3,60,q", "SILENCE");
    world.run(S);
    world.hush();
    world.hush();
    world.complete(Some("/spool/a.wav"));
    assert_eq!(world.asked_sounds(), ["at/spool/a"]);
    hang_up(world);

    let mut world = record("a.wav,0,10,q", "TIMEOUT");
    assert_eq!(recorded(&world), [Some(0)]);
    world.run(9900 * MS);
    assert!(!world.orders[0].keep.is_kept());
    world.run(200 * MS);
    world.complete(Some("/spool/a.wav"));
    assert_eq!(world.asked_sounds(), ["at/spool/a"]);
    hang_up(world);
}

#[test]
fn who_hangs_up_leaves_its_message_only_where_it_is_to_stay() {
    for (options, stays) in [("q", false), ("qk", true)] {
        let mut world = record(&format!("a.wav,,,{options}"), "HANGUP");
        world.run(S);
        world.request(ALICE, crate::sip::message::Method::Bye, None);
        world.run(50 * MS);
        assert_eq!(world.orders[0].keep.is_kept(), stays);
        world.assert_nothing_left();
    }
}

#[test]
fn a_disk_that_fails_ends_the_message() {
    let mut world = record("a.wav,,,q", "ERROR");
    world.complete(None);
    world.run(50 * MS);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    assert_eq!(world.questions.len(), 1);
    hang_up(world);
}

#[test]
fn a_file_that_never_completes_is_not_waited_for_long() {
    let mut world = record("a.wav,,,q", "DTMF");
    world.press("#");
    world.run(6 * S);
    assert_eq!(world.questions.len(), 1);
    hang_up(world);
}

#[test]
fn a_message_is_taken_beside_a_recording_of_the_call() {
    let mut world = answered_call_of(
        r#""Answer()", "MixMonitor(call.wav)", "Record(message.wav,3,60,q)", "Wait(9)""#,
        "",
    );
    assert_eq!(recorded(&world), [Some(0), Some(3000)]);
    world.press("#");
    assert_eq!(recorded(&world), [Some(0), Some(3000), None]);
    let ids = record_ids(&world);
    assert_eq!(ids[1], ids[2], "the message ends");
    assert_ne!(ids[0], ids[1], "the recording of the call goes on");
    world.complete(Some("/spool/message.wav"));
    hang_up(world);
}

#[test]
fn a_call_has_three_recordings_at_most_and_all_end_together() {
    let mut world = answered_call_of(
        r#""Answer()", "MixMonitor(a.wav)", "MixMonitor(b.wav,D)", "MixMonitor(c.wav)", "MixMonitor(d.wav)", "Wait(1)", "StopMixMonitor()", "MixMonitor(e.wav)", "Wait(9)""#,
        "",
    );
    let begun = [Some(0); 3];
    assert_eq!(recorded(&world), begun);
    assert_eq!(
        paths(&world),
        ["/spool/a.wav", "/spool/b.wav", "/spool/c.wav"]
    );
    world.run(S);
    assert_eq!(recorded(&world)[3..], [None, None, None, Some(0)]);
    let ids = record_ids(&world);
    assert_eq!(ids[..3], ids[3..6]);
    assert_eq!(paths(&world)[3], "/spool/e.wav");
    hang_up(world);
}

fn paths(world: &World) -> Vec<String> {
    let paths = world.orders.iter().map(|order| order.path.display());
    paths.map(|path| path.to_string()).collect()
}

#[test]
fn one_recording_of_several_ends_by_its_number() {
    let mut world = answered_call_of(
        r#""Answer()", "MixMonitor(a.wav,i(A))", "MixMonitor(b.wav,i(B))", "StopMixMonitor(${A})", "MixMonitor(c.wav,i(C))", "StopMixMonitor(${A})", "Wait(1)", "StopMixMonitor(${B})", "StopMixMonitor(${C})", "Wait(9)""#,
        "",
    );
    assert_eq!(recorded(&world), [Some(0), Some(0), None, Some(0)]);
    world.run(2 * S);
    let ids = record_ids(&world);
    assert_eq!([ids[0], ids[1], ids[3]], [ids[2], ids[4], ids[5]]);
    hang_up(world);
}

#[test]
fn what_is_asked_for_conversations_has_neither_ringing_nor_what_comes_between() {
    let mut world = call_of(
        r#""Answer()", "MixMonitor(a.wav,b)", "Dial(PJSIP/bob,20,g)", "Wait(5)", "Dial(PJSIP/carol,20)""#,
        "",
        "8 0 101",
    );
    world.ack(ALICE, None);
    world.run(50 * MS);
    let bobs = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    world.answer(BOB, 183, Some(&bobs));
    world.run(S);
    assert_eq!(recorded(&world), [], "he rings");
    world.answer(BOB, 200, Some(&bobs));
    world.run(S);
    assert_eq!(recorded(&world), [Some(0)]);
    world.request(BOB, crate::sip::message::Method::Bye, None);
    world.run(S);
    assert_eq!(recorded(&world), [Some(0), None]);
    world.run(5 * S);
    let carols = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
    world.answer(CAROL, 200, Some(&carols));
    world.run(50 * MS);
    assert_eq!(recorded(&world), [Some(0), None, Some(0)]);
    assert_eq!(paths(&world), ["/spool/a.wav", "/spool/a-2.wav"]);
    world.request(ALICE, crate::sip::message::Method::Bye, None);
    world.run(50 * MS);
    world.confirm(CAROL, 200);
    world.assert_nothing_left();
}

#[test]
fn a_recording_that_has_failed_leaves_its_place() {
    let mut world = answered_call_of(
        r#""Answer()", "MixMonitor(a.wav)", "MixMonitor(b.wav)", "MixMonitor(c.wav)", "Wait(1)", "MixMonitor(d.wav)", "Wait(9)""#,
        "",
    );
    assert_eq!(world.orders.len(), 3);
    world.complete(None);
    world.run(S);
    assert_eq!(world.orders.len(), 4);
    hang_up(world);
}
