//! Somebody takes the caller's place in an application: attended transfers to it, and INVITE with Replaces.

use super::transfer::{invites, naming, refer, told};
use super::world::*;
use crate::link::{Command, Event, LegId, RecordingSink};
use crate::sip::dialog::Dialog;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Where Bob's 8000 leads has these steps, in a context with more lines.
fn config(steps: &str, lines: &str) -> String {
    let own = format!("[context.from-bob.exten]\n\"8000\" = [{steps}]\n{lines}\n");
    let identify = "\n[identify.carol]\nendpoint = \"carol\"\nmatch = [\"203.0.113.30\"]\n";
    format!("{CONFIG}{identify}").replace("[context.from-bob.exten]\n", &own)
}

/// Alice talks to Bob, who has called 8000. Bob's dialogs in the first call and the second.
fn consulting(steps: &str) -> (World, Dialog, Dialog) {
    consulting_in(World::with_config(&config(steps, "")), "8 0 101")
}

fn consulting_in(mut world: World, formats: &str) -> (World, Dialog, Dialog) {
    let offer = sdp("198.51.100.10", 4000, 1, formats, "sendrecv");
    world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    let answer = sdp("203.0.113.20", 6000, 1, formats, "sendrecv");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let first = world.phone(BOB).dialog.take().expect("a dialog");
    let offer = sdp("203.0.113.20", 6002, 1, "8 0 101", "sendrecv");
    world.invite(BOB, "8000", Some(&offer));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    let second = world.phone(BOB).dialog.take().expect("a dialog");
    (world, first, second)
}

/// Bob completes the transfer; every phone answers by itself from now on.
fn transfer(world: &mut World, first: Dialog, second: &Dialog) {
    world.phones_answer = true;
    world.phone(BOB).dialog = Some(first);
    refer(world, BOB, &[("Refer-To", &naming(second))]);
    world.run(200 * MS);
}

fn transferred(steps: &str) -> World {
    let (mut world, first, second) = consulting(steps);
    transfer(&mut world, first, &second);
    assert_taken_over(&world);
    world
}

/// Alice is alone in the one call that is left; Bob is told so, and hung up on in both.
#[track_caller]
fn assert_taken_over(world: &World) {
    assert_eq!(told(world, BOB), ["SIP/2.0 200 OK end"]);
    assert_eq!(world.distinct_to(BOB, "BYE"), 2);
    let rows = world.gateway.calls(world.now);
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (row.from_endpoint.as_str(), row.caller.as_str()),
        ("alice", "6001")
    );
    assert_eq!(world.open_legs().len(), 1);
}

/// Alice's leg: the only one.
fn alices(world: &World) -> LegId {
    let [only] = world.open_legs() else {
        panic!("one leg: {:?}", world.open_legs());
    };
    *only
}

fn alice_hangs_up(mut world: World) {
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    world.assert_nothing_left();
}

/// The gateway hangs up on Alice with this cause.
fn ends_with(mut world: World, cause: u8) {
    world.run(50 * MS);
    let bye = world.last_to(ALICE, "BYE");
    assert!(bye.contains(&format!("cause={cause}")), "{bye}");
    world.assert_nothing_left();
}

#[test]
fn whoever_is_transferred_to_an_application_takes_the_transferers_place_in_it() {
    for steps in [
        r#""Answer()", "Wait(3600)", "Hangup(17)""#,
        r#""Playback(hello)", "Hangup(17)""#,
        r#""Background(hello)", "WaitExten(10)""#,
        r#""Answer()", "WaitExten(1000)""#,
        r#""Read(X,hello)""#,
        r#""Record(a.wav)""#,
        r#""Answer()", "MusicOnHold()""#,
        r#""Echo()""#,
        r#""ConfBridge(sales)""#,
        r#""Answer()", "Busy(1000)""#,
    ] {
        let world = transferred(steps);
        // She learns of her new port, if it is one, in her dialog, and is not asked twice.
        assert_eq!(invites(&world, ALICE), 1, "{steps}");
        let reinvite = world.last_to(ALICE, "INVITE");
        let port = alices(&world).port.rtp();
        assert!(
            reinvite.contains(&format!("m=audio {port} RTP/AVP 8 0 101\r\n")),
            "{reinvite}"
        );
        alice_hangs_up(world);
    }
}

#[test]
fn the_refer_may_come_in_the_dialog_with_the_application() {
    let (mut world, first, second) = consulting(r#""ConfBridge(sales)""#);
    transfer(&mut world, second, &first);
    assert_taken_over(&world);
    alice_hangs_up(world);
}

#[test]
fn a_menu_goes_on_with_the_digits_of_whoever_was_transferred_to_it() {
    let lines = "\"42\" = [\"Hangup(17)\"]";
    let steps = r#""Background(menu)", "WaitExten(60)""#;
    let world = World::with_config(&config(steps, lines));
    let (mut world, first, second) = consulting_in(world, "8 0 101");
    world.press("4");
    transfer(&mut world, first, &second);
    assert_taken_over(&world);
    let leg = alices(&world);
    let listens = |command: &Command| matches!(command, Command::Listen { .. });
    assert_eq!(world.last_command(listens).leg(), Some(leg));
    world.press("2");
    world.run(6_000 * MS);
    ends_with(world, 17);
}

#[test]
fn a_sound_begins_again_when_whoever_is_transferred_to_it_hears_us() {
    let (mut world, first, second) = consulting(r#""Playback(one&two)", "Hangup(17)""#);
    world.play_to_end();
    assert_eq!(world.played(), ["once", "once"]);
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.confirm(BOB, 200);
    world.run(50 * MS);
    assert_eq!(world.played(), ["once", "once", "stop"]);
    world.phones_answer = true;
    let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendrecv");
    world.answer(ALICE, 200, Some(&answer));
    world.run(50 * MS);
    assert_eq!(world.played(), ["once", "once", "stop", "once"]);
    let plays = |command: &Command| matches!(command, Command::Play { .. });
    let (before, leg) = (world.commands.len(), alices(&world));
    assert_eq!(world.last_command(plays).leg(), Some(leg));
    assert_eq!(world.asked_sounds(), ["one two"], "they were found before");
    // The end of what Bob heard, should it come late, is not hers.
    assert_eq!(world.commands.len(), before);
    world.play_to_end();
    ends_with(world, 17);
}

#[test]
fn who_was_on_hold_hears_the_music_that_the_transferer_heard() {
    let (mut world, first, second) = consulting(r#""Answer()", "MusicOnHold()""#);
    let hold = sdp("203.0.113.20", 6000, 2, "8 0 101", "sendonly");
    world.phones_answer = true;
    world.phone(BOB).dialog = Some(first.clone());
    world.request(BOB, Method::Invite, Some(("application/sdp", &hold)));
    world.run(100 * MS);
    let first = world.phone(BOB).dialog.take().expect("a dialog");
    transfer(&mut world, first, &second);
    assert_taken_over(&world);
    // Bob put her on hold; the last re-INVITE takes her off it.
    assert!(world.last_to(ALICE, "INVITE").contains("a=sendrecv"));
    assert_eq!(world.played().last(), Some(&"shared"));
    alice_hangs_up(world);
}

fn sinks(world: &World) -> Vec<(LegId, RecordingSink)> {
    let commands = world.commands.iter();
    let records = commands.filter_map(|(_, command)| match command {
        Command::Record { leg, sink, .. } => Some((*leg, sink.clone())),
        _ => None,
    });
    records.collect()
}

#[test]
fn a_message_goes_on_in_its_file_with_the_voice_of_whoever_is_transferred_to_it() {
    let steps = r##""Record(a.wav,0,60,q)", "GotoIf($[\"${RECORD_STATUS}/${RECORDED_FILE}\" = \"DTMF//spool/a\"]?good)", "Hangup(1)", "good: Hangup(17)""##;
    let mut world = transferred(steps);
    let sinks = sinks(&world);
    let [(bobs, before), (alices_leg, after)] = &sinks[..] else {
        panic!("two: {sinks:?}");
    };
    assert_ne!(bobs, alices_leg);
    assert_eq!(alices(&world), *alices_leg);
    assert_eq!(before, after, "one file");
    assert_eq!(world.orders.len(), 1);
    let is_end = |command: &Command| matches!(command, Command::StopRecord { .. });
    assert_eq!(world.last_command(is_end).leg(), Some(*bobs));
    drop(sinks);
    world.run(5_000 * MS);
    world.press("#");
    assert_eq!(world.last_command(is_end).leg(), Some(alices(&world)));
    assert!(world.orders[0].keep.is_kept());
    world.complete(Some("/spool/a.wav"));
    ends_with(world, 17);
}

#[test]
fn a_message_that_was_over_just_before_is_waited_for() {
    let steps = r##""Record(a.wav,0,60,q)", "GotoIf($[\"${RECORDED_FILE}\" = \"/spool/a\"]?good)", "Hangup(1)", "good: Hangup(17)""##;
    let (mut world, first, second) = consulting(steps);
    world.press("#");
    transfer(&mut world, first, &second);
    assert_taken_over(&world);
    world.complete(Some("/spool/a.wav"));
    ends_with(world, 17);
}

#[test]
fn what_is_recorded_of_the_transferers_place_goes_on_in_its_file() {
    let mut world = transferred(r#""Answer()", "MixMonitor(a.wav)", "ConfBridge(sales)""#);
    let sinks = sinks(&world);
    assert_eq!(sinks.len(), 2);
    assert_eq!(sinks[0].1, sinks[1].1);
    assert_eq!(sinks[1].0, alices(&world));
    drop(sinks);
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    world.complete(Some("/spool/a.wav"));
    world.assert_nothing_left();
}

#[test]
fn a_room_hears_whoever_is_transferred_to_it() {
    let steps = r#""ConfBridge(sales)", "Hangup()""#;
    let (mut world, first, second) = consulting(steps);
    let offer = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
    world.invite(CAROL, "8000", Some(&offer));
    world.run(50 * MS);
    world.ack(CAROL, None);
    world.run(50 * MS);
    let seats = |world: &World| {
        let commands = world.commands.iter();
        let joins = commands.filter_map(|(worker, command)| match command {
            Command::Join { leg, room, .. } => Some((*worker, *leg, *room)),
            _ => None,
        });
        joins.collect::<Vec<_>>()
    };
    transfer(&mut world, first, &second);
    let seats = seats(&world);
    let [bobs, carols, alices] = &seats[..] else {
        panic!("three came: {seats:?}");
    };
    assert_eq!((alices.0, alices.2), (bobs.0, bobs.2));
    assert!(world.open_legs().contains(&alices.1) && world.open_legs().contains(&carols.1));
    assert_eq!(world.open_legs().len(), 2, "Bob's are closed");
    let left = |command: &Command| matches!(command, Command::Detach { .. });
    assert_eq!(world.last_command(left).leg(), Some(bobs.1));
    assert_eq!(told(&world, BOB), ["SIP/2.0 200 OK end"]);
    world.request(CAROL, Method::Bye, None);
    world.run(50 * MS);
    alice_hangs_up(world);
}

#[test]
fn a_page_goes_on_with_whoever_is_transferred_to_it() {
    for answers_before in [true, false] {
        let (mut world, first, second) = consulting(r#""Page(PJSIP/carol,,20)""#);
        let body = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
        if answers_before {
            world.answer(CAROL, 200, Some(&body));
            world.run(50 * MS);
        }
        world.phone(BOB).dialog = Some(first);
        refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
        world.confirm(BOB, 200);
        let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendrecv");
        world.answer(ALICE, 200, Some(&answer));
        world.run(50 * MS);
        if !answers_before {
            world.answer(CAROL, 200, Some(&body));
            world.run(50 * MS);
        }
        world.phones_answer = true;
        world.run(100 * MS);
        world.confirm(BOB, 200);
        assert_eq!(world.open_legs().len(), 2);
        assert_eq!(world.count_to(CAROL, "BYE"), 0);
        world.request(ALICE, Method::Bye, None);
        world.run(50 * MS);
        assert_eq!(world.distinct_to(CAROL, "BYE"), 1, "it was hers to end");
        world.assert_nothing_left();
    }
}

#[test]
fn whoever_has_no_codec_that_we_code_is_offered_some() {
    let allow = |text: String| text.replace("\"ulaw\"", "\"ulaw\", \"g729\"");
    let world = World::with_config(&allow(config(r#""Playback(hello)", "Hangup(17)""#, "")));
    let (mut world, first, second) = consulting_in(world, "18");
    transfer(&mut world, first, &second);
    assert_taken_over(&world);
    let reinvite = world.last_to(ALICE, "INVITE");
    assert!(
        reinvite.contains(" RTP/AVP 8 0 9 101 18\r\n")
            || reinvite.contains(" RTP/AVP 8 0 9 18 101\r\n"),
        "{reinvite}"
    );
    world.play_to_end();
    ends_with(world, 17);
}

#[test]
fn whoever_cannot_be_heard_is_not_transferred_there() {
    let text = config(r#""Playback(hello)", "Hangup(17)""#, "")
        .replace("[\"alaw\", \"ulaw\", \"g722\"]", "[\"g729\"]")
        .replace(
            "context = \"from-bob\"\nallow = [\"ulaw\", \"alaw\"]\naors = [\"bob\"]",
            "context = \"from-bob\"\nallow = [\"ulaw\", \"alaw\", \"g729\"]\naors = [\"bob\"]",
        );
    let (mut world, first, second) = consulting_in(World::with_config(&text), "18");
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    assert_eq!(world.phone(BOB).final_status(), Some(488));
    assert_eq!(world.gateway.calls(world.now).len(), 2);
    world.phones_answer = true;
    world.request(ALICE, Method::Bye, None);
    world.phone(BOB).dialog = Some(second);
    world.request(BOB, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn whoever_refuses_its_new_port_is_hung_up_on() {
    let (mut world, first, second) = consulting(r#""Answer()", "WaitExten(1000)""#);
    let ports = |world: &World| -> Vec<u16> {
        let legs = world.open_legs().iter();
        legs.map(|leg| leg.port.rtp()).collect()
    };
    let before = ports(&world);
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.confirm(BOB, 200);
    let port = ports(&world)
        .into_iter()
        .find(|port| !before.contains(port));
    assert!(port.is_some(), "hers was on another worker");
    world.answer(ALICE, 488, None);
    world.run(50 * MS);
    world.phones_answer = true;
    world.run(50 * MS);
    world.confirm(ALICE, 200);
    world.confirm(BOB, 200);
    ends_with(world, 58);
}

#[test]
fn in_a_room_or_an_application_nobody_is_there_to_be_sent_elsewhere() {
    let steps = r#""ConfBridge(sales)""#;
    let (mut world, first, second) = consulting(steps);
    // Not blind,
    world.phone(BOB).dialog = Some(second);
    refer(&mut world, BOB, &[("Refer-To", "<sip:300@192.0.2.1>")]);
    assert_eq!(world.phone(BOB).final_status(), Some(403));
    // nor with a dialog of somebody else's,
    let to = "<sip:300@192.0.2.1?Replaces=far%40away%3Bto-tag%3D1%3Bfrom-tag%3D2>";
    refer(&mut world, BOB, &[("Refer-To", to)]);
    assert_eq!(world.phone(BOB).final_status(), Some(403));
    // nor to another application.
    let second = world.phone(BOB).dialog.take().expect("a dialog");
    let offer = sdp("203.0.113.20", 6004, 1, "8 0 101", "sendrecv");
    let headers = [("Call-ID", "another")];
    world.invite_with(BOB, "8000", Some(&offer), &headers);
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    assert_eq!(world.phone(BOB).final_status(), Some(403));
    assert_eq!(world.gateway.calls(world.now).len(), 3);
    world.phones_answer = true;
    world.request(BOB, Method::Bye, None);
    for dialog in [first, second] {
        world.phone(BOB).dialog = Some(dialog);
        world.request(BOB, Method::Bye, None);
    }
    world.assert_nothing_left();
}

#[test]
fn a_newcomer_takes_a_place_in_an_application_by_invite() {
    for (steps, offers) in [
        (r#""Playback(hello)", "Hangup(17)""#, true),
        (r#""Playback(hello)", "Hangup(17)""#, false),
        (r#""ConfBridge(sales)""#, true),
    ] {
        let mut world = World::with_config(&config(steps, ""));
        let offer = sdp("203.0.113.20", 6002, 1, "8 0 101", "sendrecv");
        world.invite(BOB, "8000", Some(&offer));
        world.run(50 * MS);
        world.ack(BOB, None);
        world.run(50 * MS);
        let dialog = world.phone(BOB).dialog.as_ref().expect("a dialog");
        let id = dialog.id();
        let named = format!(
            "{};to-tag={};from-tag={}",
            id.call_id, id.remote_tag, id.local_tag
        );
        let body = sdp("203.0.113.30", 7000, 1, "0 101", "sendrecv");
        let g729 = sdp("203.0.113.30", 7000, 1, "18", "sendrecv");
        let headers = [("Replaces", named.as_str())];
        world.invite_with(CAROL, "999", Some(&g729), &headers);
        world.run(50 * MS);
        assert_eq!(world.phone(CAROL).final_status(), Some(488));
        let headers = [("Replaces", named.as_str()), ("Call-ID", "again")];
        world.invite_with(CAROL, "999", offers.then_some(&body[..]), &headers);
        world.run(50 * MS);
        assert_eq!(world.to(CAROL), ["488 INVITE", "200 INVITE"]);
        assert_eq!(world.distinct_to(BOB, "BYE"), 1);
        world.confirm(BOB, 200);
        world.ack(CAROL, (!offers).then_some(&body[..]));
        world.run(50 * MS);
        let rows = world.gateway.calls(world.now);
        assert_eq!((rows.len(), rows[0].from_endpoint.as_str()), (1, "carol"));
        let leg = alices(&world);
        if steps.contains("Playback") {
            assert_eq!(world.played(), ["once", "stop", "once"]);
            let plays = |command: &Command| matches!(command, Command::Play { .. });
            assert_eq!(world.last_command(plays).leg(), Some(leg));
        }
        world.request(CAROL, Method::Bye, None);
        world.assert_nothing_left();
    }
}

#[test]
fn the_silence_of_who_was_replaced_ends_nothing() {
    let (mut world, first, second) = consulting(r#""Record(a.wav,3,60,q)", "Hangup(17)""#);
    let bobs = world.last_command(|command| matches!(command, Command::Record { .. }));
    let leg = bobs.leg().expect("a leg");
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.media(Event::Hushed { leg });
    world.media(Event::Silent { leg });
    world.phones_answer = true;
    let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendrecv");
    world.answer(ALICE, 200, Some(&answer));
    world.confirm(BOB, 200);
    world.run(100 * MS);
    world.hush();
    world.complete(Some("/spool/a.wav"));
    ends_with(world, 17);
}

#[test]
fn who_is_called_on_learns_of_whoever_was_transferred_no_more_than_it_may() {
    let text = config(r#""WaitExten(60)""#, "\"42\" = [\"Dial(PJSIP/carol)\"]")
        .replace(
            "[endpoint.alice]\n",
            "[endpoint.alice]\ncallerid = \"Alice <100>\"\ncallerid_privacy = \"prohib\"\n",
        )
        .replace("WaitExten", "Answer()\", \"WaitExten");
    let (mut world, first, second) = consulting_in(World::with_config(&text), "8 0 101");
    transfer(&mut world, first, &second);
    world.press("42");
    world.run(6_000 * MS);
    let invite = world.last_to(CAROL, "INVITE");
    let from = "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>";
    assert!(invite.contains(from), "{invite}");
    alice_hangs_up(world);
}
