//! Transfers: REFER, blind and attended, by either side.

use super::world::*;
use crate::link::{Command, LegId, RecordId};
use crate::sip::dialog::Dialog;
use crate::sip::message::{Method, RequestDraft, ResponseDraft};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn carols_sdp() -> String {
    sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv")
}

/// Alice and Bob talk; 300 is Carol in both contexts, and 301 leads nowhere.
fn talking() -> World {
    talking_with("")
}

fn talking_with(bob: &str) -> World {
    let text = CONFIG
        .replace("[endpoint.bob]\n", &format!("[endpoint.bob]\n{bob}\n"))
        .replace(
            "\"106\" =",
            "\"300\" = [\"Dial(PJSIP/carol,20)\", \"Hangup()\"]\n\"106\" =",
        );
    let mut world = World::with_config(&text);
    world.talk("100");
    world
}

/// A REFER in a phone's dialog with these headers.
pub(super) fn refer(world: &mut World, phone: &str, headers: &[(&str, &str)]) {
    let dialog = world.phone(phone).dialog.as_mut().expect("a dialog");
    let request = dialog.request(Method::Refer);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, value)
    });
    world.send(phone, request);
    world.run(50 * MS);
}

const TO_CAROL: (&str, &str) = ("Refer-To", "<sip:300@192.0.2.1>");

/// The fragments of all NOTIFYs to this phone, each once.
pub(super) fn told(world: &World, phone: &str) -> Vec<String> {
    let to = phone.parse().expect("an address");
    let notifies = world
        .wire
        .iter()
        .filter(|sent| sent.to == to && sent.name() == "NOTIFY");
    let mut told: Vec<String> = notifies
        .map(|sent| {
            let text = sent.text();
            let state = if text.contains("\r\nSubscription-State: terminated") {
                " end"
            } else {
                ""
            };
            let fragment = text.split("\r\n\r\n").nth(1).unwrap_or_default();
            format!("{}{state}", fragment.trim())
        })
        .collect();
    told.dedup();
    told
}

pub(super) fn invites(world: &World, phone: &str) -> usize {
    let all = world.to(phone);
    all.iter().filter(|name| *name == "INVITE").count()
}

/// Ends everything that is left, with phones that answer by themselves.
fn finish(mut world: World, who: &str) {
    world.phones_answer = true;
    world.request(who, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn a_callee_sends_the_caller_elsewhere() {
    let mut world = talking();
    refer(
        &mut world,
        BOB,
        &[TO_CAROL, ("Referred-By", "<sip:bob@inside.example>")],
    );
    assert_eq!(world.phone(BOB).final_status(), Some(202));
    assert_eq!(told(&world, BOB), ["SIP/2.0 100 Trying"]);
    world.confirm(BOB, 200);
    let invite = world.last_to(CAROL, "INVITE");
    assert!(
        invite.contains("From: \"Alice A\" <sip:6001@192.0.2.1>"),
        "{invite}"
    );
    assert!(
        invite.contains("\r\nReferred-By: <sip:bob@192.0.2.1>\r\n"),
        "{invite}"
    );
    world.answer(CAROL, 180, None);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.answer(CAROL, 200, Some(&carols_sdp()));
    world.run(50 * MS);
    assert_eq!(
        told(&world, BOB),
        [
            "SIP/2.0 100 Trying",
            "SIP/2.0 180 Ringing",
            "SIP/2.0 200 OK end"
        ]
    );
    assert!(
        !world.to(BOB).contains(&"BYE".to_owned()),
        "{:?}",
        world.to(BOB)
    );
    world.confirm(BOB, 200);
    world.run(50 * MS);
    assert_eq!(world.to(BOB).last().map(String::as_str), Some("BYE"));
    let row = &world.gateway.calls(world.now)[0];
    assert_eq!(
        (row.state.as_str(), row.to_endpoint.as_deref()),
        ("up", Some("carol"))
    );
    // Nobody was on hold, and the codecs fit: Alice is asked nothing.
    assert_eq!(invites(&world, ALICE), 0);
    finish(world, ALICE);
}

#[test]
fn a_caller_sends_the_callee_elsewhere() {
    let mut world = talking();
    refer(&mut world, ALICE, &[TO_CAROL]);
    assert_eq!(world.phone(ALICE).final_status(), Some(202));
    world.phones_answer = true;
    world.run(100 * MS);
    let invite = world.last_to(CAROL, "INVITE");
    assert!(invite.contains("From: <sip:bob@192.0.2.1>"), "{invite}");
    assert_eq!(world.to(ALICE).last().map(String::as_str), Some("BYE"));
    assert_eq!(
        told(&world, ALICE).last().map(String::as_str),
        Some("SIP/2.0 200 OK end")
    );
    let Some(Command::Bridge { a, b, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert!(world.open_legs().contains(&a) && world.open_legs().contains(&b));
    assert_eq!(world.open_legs().len(), 2);
    let row = &world.gateway.calls(world.now)[0];
    assert_eq!((row.caller.as_str(), row.called.as_str()), ("bob", "300"));
    finish(world, BOB);
}

#[test]
fn a_transfer_that_fails_leaves_the_call_as_it_was() {
    for who in [ALICE, BOB] {
        let mut world = talking();
        let bridge = world.last_bridge();
        refer(&mut world, who, &[TO_CAROL]);
        world.confirm(who, 200);
        world.answer(CAROL, 486, None);
        world.run(50 * MS);
        world.confirm(who, 200);
        world.run(50 * MS);
        assert_eq!(
            told(&world, who).last().map(String::as_str),
            Some("SIP/2.0 486 Busy Here end")
        );
        let detached = world
            .commands
            .iter()
            .filter(|(_, command)| matches!(command, Command::Detach { .. }));
        assert_eq!(detached.count(), 1);
        let last = world.last_command(|command| {
            matches!(command, Command::Detach { .. } | Command::Bridge { .. })
        });
        assert_eq!(Some(last), bridge.as_ref());
        let row = &world.gateway.calls(world.now)[0];
        assert_eq!(
            (row.state.as_str(), row.to_endpoint.as_deref()),
            ("up", Some("bob"))
        );
        for phone in [ALICE, BOB] {
            assert!(!world.to(phone).contains(&"BYE".to_owned()));
        }
        finish(world, ALICE);
    }
}

#[test]
fn a_transferer_may_hang_up_at_once() {
    for (answered, goes_on) in [(200, true), (486, false)] {
        let mut world = talking();
        refer(&mut world, BOB, &[TO_CAROL]);
        world.confirm(BOB, 200);
        world.request(BOB, Method::Bye, None);
        world.run(50 * MS);
        assert_eq!(world.phone(BOB).final_status(), Some(200));
        assert!(!world.to(ALICE).contains(&"BYE".to_owned()));
        let body = carols_sdp();
        world.answer(CAROL, answered, (answered == 200).then_some(&body));
        world.run(50 * MS);
        assert_eq!(told(&world, BOB), ["SIP/2.0 100 Trying"]);
        assert_eq!(world.to(ALICE).contains(&"BYE".to_owned()), !goes_on);
        if goes_on {
            finish(world, ALICE);
        } else {
            world.confirm(ALICE, 200);
            world.assert_nothing_left();
        }
    }
}

#[test]
fn a_transferee_may_hang_up_in_between() {
    let mut world = talking();
    refer(&mut world, BOB, &[TO_CAROL]);
    world.phones_answer = false;
    world.confirm(BOB, 200);
    world.answer(CAROL, 180, None);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.to(CAROL).last().map(String::as_str), Some("CANCEL"));
    assert_eq!(world.to(BOB).last().map(String::as_str), Some("BYE"));
    world.answer(CAROL, 487, None);
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn who_was_on_hold_for_the_transfer_is_asked_back() {
    let mut world = talking();
    world.phones_answer = true;
    let hold = sdp("203.0.113.20", 6000, 2, "8 0 101", "sendonly");
    world.request(BOB, Method::Invite, Some(("application/sdp", &hold)));
    world.run(100 * MS);
    assert!(world.last_to(ALICE, "INVITE").contains("a=sendonly"));
    refer(&mut world, BOB, &[TO_CAROL]);
    world.run(200 * MS);
    assert!(!world.last_to(CAROL, "INVITE").contains("a=sendonly"));
    assert_eq!(invites(&world, ALICE), 2);
    assert!(!world.last_to(ALICE, "INVITE").contains("a=sendonly"));
    let row = &world.gateway.calls(world.now)[0];
    assert_eq!(
        (row.state.as_str(), row.to_endpoint.as_deref()),
        ("up", Some("carol"))
    );
    finish(world, ALICE);
}

#[test]
fn a_transferer_that_wants_no_news_gets_none() {
    let mut world = talking();
    refer(&mut world, BOB, &[TO_CAROL, ("Refer-Sub", "false")]);
    assert!(
        world
            .last_to(BOB, "202 REFER")
            .contains("\r\nRefer-Sub: false\r\n")
    );
    world.answer(CAROL, 200, Some(&carols_sdp()));
    world.run(50 * MS);
    assert_eq!(told(&world, BOB).len(), 0);
    assert_eq!(world.to(BOB).last().map(String::as_str), Some("BYE"));
    world.confirm(BOB, 200);
    finish(world, CAROL);
}

#[test]
fn a_refer_that_cannot_be_done_is_refused_and_the_call_goes_on() {
    for (headers, status) in [
        (&[][..], 400),
        (&[TO_CAROL, TO_CAROL], 400),
        (&[("Refer-To", "not a URI")], 400),
        (&[("Refer-To", "<sip:none@192.0.2.1>")], 404),
        (&[("Refer-To", "<sip:300@192.0.2.1?Replaces=x>")], 400),
    ] {
        let mut world = talking();
        refer(&mut world, BOB, headers);
        assert_eq!(world.phone(BOB).final_status(), Some(status), "{headers:?}");
        assert_eq!((told(&world, BOB).len(), invites(&world, CAROL)), (0, 0));
        finish(world, ALICE);
    }
    let mut world = talking_with("allow_transfer = false");
    refer(&mut world, BOB, &[TO_CAROL]);
    assert_eq!(world.phone(BOB).final_status(), Some(603));
    finish(world, ALICE);
}

#[test]
fn a_transfer_to_early_media_has_worked_when_it_is_heard() {
    let text = CONFIG.replace(
        "\"106\" =",
        "\"302\" = [\"Progress()\", \"Playback(hello,noanswer)\", \"Hangup(17)\"]\n\"106\" =",
    );
    let mut world = World::with_config(&text);
    world.talk("100");
    refer(&mut world, ALICE, &[("Refer-To", "<sip:302@192.0.2.1>")]);
    assert_eq!(
        told(&world, ALICE),
        ["SIP/2.0 100 Trying", "SIP/2.0 200 OK end"]
    );
    world.confirm(ALICE, 200);
    world.run(50 * MS);
    assert_eq!(world.distinct_to(ALICE, "BYE"), 1);
    world.confirm(ALICE, 200);
    assert_eq!(world.played(), ["once"]);
    world.play_to_end();
    world.run(50 * MS);
    assert_eq!(world.distinct_to(BOB, "BYE"), 1);
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn a_refer_outside_of_a_call_is_403() {
    let mut world = World::new();
    let request = RequestDraft::new(Method::Refer, "sip:192.0.2.1")
        .header("From", "<sip:bob@203.0.113.20>;tag=1")
        .header("To", "<sip:192.0.2.1>")
        .header("Call-ID", "refer")
        .header("CSeq", "1 REFER")
        .header("Contact", "<sip:bob@203.0.113.20:5070>")
        .header("Refer-To", "<sip:300@192.0.2.1>");
    world.send(BOB, request);
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(403));
    world.assert_nothing_left();
}

#[test]
fn the_dialplan_says_where_a_callers_transfers_go() {
    let text = CONFIG.replace(
        "\"106\" =",
        "\"201\" = [\"Set(TRANSFER_CONTEXT=from-bob)\", \"Dial(PJSIP/bob)\"]\n\"106\" =",
    );
    let mut world = World::with_config(&text);
    world.talk("201");
    // Only in Bob's context.
    refer(&mut world, ALICE, &[("Refer-To", "<sip:777@192.0.2.1>")]);
    assert_eq!(world.phone(ALICE).final_status(), Some(202));
    assert_eq!(invites(&world, CAROL), 1);
    world.phones_answer = true;
    world.run(100 * MS);
    finish(world, BOB);
}

/// Alice talks to Bob, who asks Carol; Bob's dialogs with the first call and the second.
fn consulting(answered: bool) -> (World, Dialog, Dialog) {
    consulting_in(talking(), answered)
}

fn consulting_in(mut world: World, answered: bool) -> (World, Dialog, Dialog) {
    let first = world.phone(BOB).dialog.take().expect("a dialog");
    let offer = sdp("203.0.113.20", 6002, 1, "8 0 101", "sendrecv");
    world.invite(BOB, "555", Some(&offer));
    world.run(50 * MS);
    world.answer(CAROL, 180, None);
    world.run(50 * MS);
    if answered {
        world.answer(CAROL, 200, Some(&carols_sdp()));
        world.run(50 * MS);
        world.ack(BOB, None);
        world.run(50 * MS);
        let second = world.phone(BOB).dialog.take().expect("a dialog");
        return (world, first, second);
    }
    let (_, ringing) = world.phone(BOB).response(180).expect("it rings");
    let uri = crate::sip::message::Uri::parse("sip:192.0.2.1").expect("a URI");
    let second = Dialog::uac(&ringing, &uri).expect("an early dialog");
    (world, first, second)
}

pub(super) fn naming(dialog: &Dialog) -> String {
    let id = dialog.id();
    let call_id = id.call_id.replace('@', "%40");
    format!(
        "<sip:555@192.0.2.1?Replaces={call_id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>",
        id.remote_tag, id.local_tag
    )
}

#[test]
fn an_attended_transfer_joins_the_far_sides() {
    let (mut world, first, second) = consulting(true);
    world.phones_answer = true;
    world.phone(BOB).dialog = Some(first);
    let asked = invites(&world, CAROL);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.run(200 * MS);
    assert!(world.to(BOB).contains(&"202 REFER".to_owned()));
    assert_eq!(told(&world, BOB), ["SIP/2.0 200 OK end"]);
    let byes = world.to(BOB).iter().filter(|name| *name == "BYE").count();
    assert_eq!(byes, 2);
    let rows = world.gateway.calls(world.now);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].caller, "6001");
    assert_eq!(world.open_legs().len(), 2);
    let Some(Command::Bridge { a, b, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert!(world.open_legs().contains(&a) && world.open_legs().contains(&b));
    // Alice learns of her new far side in her dialog, and nobody is called anew.
    assert_eq!(invites(&world, ALICE), 1);
    let reinvite = world.last_to(ALICE, "INVITE");
    let ports = [a.port.rtp(), b.port.rtp()];
    assert!(
        ports
            .iter()
            .any(|port| reinvite.contains(&format!("m=audio {port} "))),
        "{ports:?} {reinvite}"
    );
    assert_eq!(invites(&world, CAROL), asked);
    // Alice's dialog is now the other call's.
    world.request(ALICE, Method::Bye, None);
    world.run(100 * MS);
    assert_eq!(world.to(CAROL).last().map(String::as_str), Some("BYE"));
    world.assert_nothing_left();
}

#[test]
fn what_is_recorded_of_a_leg_goes_on_when_it_moves_to_another_worker() {
    let text = CONFIG.replace("\"100\" = [", "\"100\" = [\"MixMonitor(a.wav)\", ");
    let mut world = World::with_config(&text);
    world.talk("100");
    let (mut world, first, second) = consulting_in(world, true);
    world.phones_answer = true;
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.run(200 * MS);
    let [old, new] = &world.orders[..] else {
        panic!("two files");
    };
    assert_eq!(old.path.to_str(), Some("/spool/a.wav"));
    assert_eq!(new.path.to_str(), Some("/spool/a-2.wav"));
    assert!(new.keep.is_kept());
    assert!(!world.open_legs().contains(&old.asker.leg));
    assert!(world.open_legs().contains(&new.asker.leg));
    world.request(ALICE, Method::Bye, None);
    world.run(100 * MS);
    world.assert_nothing_left();
}

#[test]
fn recordings_of_two_calls_that_were_joined_have_numbers_of_their_own() {
    let consulted =
        r#""MixMonitor(b.wav,i(B))", "Dial(PJSIP/carol,20,g)", "StopMixMonitor(${B})", "Wait(60)""#;
    let text = CONFIG
        .replace("\"100\" = [", "\"100\" = [\"MixMonitor(a.wav,i(A))\", ")
        .replace(
            "[context.from-bob.exten]\n",
            &format!("[context.from-bob.exten]\n\"555\" = [{consulted}]\n"),
        );
    let mut world = World::with_config(&text);
    world.talk("100");
    let (mut world, first, second) = consulting_in(world, true);
    world.phones_answer = true;
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.run(200 * MS);
    world.request(CAROL, Method::Bye, None);
    world.run(200 * MS);
    // Alice goes on in the dialplan of Bob's call, which ends its own recording.
    let mut running: Vec<(LegId, RecordId)> = Vec::new();
    for (_, command) in &world.commands {
        match command {
            Command::Record { leg, record, .. } => running.push((*leg, *record)),
            Command::StopRecord { leg, record } => running.retain(|one| *one != (*leg, *record)),
            Command::Close { leg } => running.retain(|(of, _)| of != leg),
            _ => {}
        }
    }
    let goes_on = |file: &str| {
        let mut orders = world.orders.iter();
        let order = orders.rfind(|order| order.path.to_string_lossy().starts_with(file));
        let asker = order.expect("it was begun").asker;
        running.contains(&(asker.leg, RecordId(asker.number)))
    };
    assert!(goes_on("/spool/a"), "hers");
    assert!(!goes_on("/spool/b"));
    world.request(ALICE, Method::Bye, None);
    world.run(100 * MS);
    world.assert_nothing_left();
}

#[test]
fn an_attended_transfer_may_come_in_either_dialog() {
    let (mut world, first, second) = consulting(true);
    world.phones_answer = true;
    world.phone(BOB).dialog = Some(second);
    refer(&mut world, BOB, &[("Refer-To", &naming(&first))]);
    world.run(200 * MS);
    let rows = world.gateway.calls(world.now);
    assert_eq!((rows.len(), world.open_legs().len()), (1, 2), "{rows:?}");
    world.request(CAROL, Method::Bye, None);
    world.run(100 * MS);
    assert_eq!(world.to(ALICE).last().map(String::as_str), Some("BYE"));
    world.assert_nothing_left();
}

#[test]
fn an_attended_transfer_may_come_while_the_target_rings() {
    let (mut world, first, second) = consulting(false);
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    assert!(
        world.to(BOB).contains(&"487 INVITE".to_owned()),
        "{:?}",
        world.to(BOB)
    );
    world.confirm(BOB, 200);
    world.run(50 * MS);
    world.phones_answer = true;
    world.answer(CAROL, 200, Some(&carols_sdp()));
    world.run(200 * MS);
    let rows = world.gateway.calls(world.now);
    assert_eq!((rows.len(), world.open_legs().len()), (1, 2), "{rows:?}");
    assert_eq!(invites(&world, ALICE), 1);
    finish(world, ALICE);
}

#[test]
fn a_dialog_of_somebody_else_is_named_to_the_target() {
    let mut world = talking();
    let to = "<sip:300@192.0.2.1?Replaces=far%40away%3Bto-tag%3D1%3Bfrom-tag%3D2>";
    refer(&mut world, BOB, &[("Refer-To", to)]);
    let invite = world.last_to(CAROL, "INVITE");
    assert!(
        invite.contains("\r\nReplaces: far@away;to-tag=1;from-tag=2\r\n"),
        "{invite}"
    );
    world.phones_answer = true;
    world.run(100 * MS);
    finish(world, ALICE);
}

/// As [`consulting`], where Alice's session of 90 s is refreshed by her, or by us.
fn consulting_with_timer(refresher: &str) -> (World, Dialog, Dialog) {
    let text = CONFIG.replace(
        "\"106\" =",
        "\"300\" = [\"Dial(PJSIP/carol,20)\", \"Hangup()\"]\n\"106\" =",
    );
    let mut world = World::with_config(&text);
    let expires = format!("90;refresher={refresher}");
    let headers = [
        ("Supported", "timer"),
        ("Session-Expires", expires.as_str()),
        ("Allow", "INVITE, ACK, BYE, UPDATE"),
    ];
    let offer = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite_with(ALICE, "100", Some(&offer), &headers);
    world.run(50 * MS);
    let answer = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let first = world.phone(BOB).dialog.take().expect("a dialog");
    let offer = sdp("203.0.113.20", 6002, 1, "8 0 101", "sendrecv");
    world.invite(BOB, "555", Some(&offer));
    world.run(50 * MS);
    world.answer(CAROL, 200, Some(&carols_sdp()));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    let second = world.phone(BOB).dialog.take().expect("a dialog");
    (world, first, second)
}

/// Alice's leg goes to the call with Carol; she answers the re-INVITE that tells her, and keeps her timer.
fn joined_with_timer(refresher: &str) -> World {
    let (mut world, first, second) = consulting_with_timer(refresher);
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.confirm(BOB, 200);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendrecv");
    // In our re-INVITE we are the client.
    let refresher = if refresher == "uac" { "uas" } else { "uac" };
    let expires = format!("90;refresher={refresher}");
    world.answer_with(ALICE, 200, Some(&answer), &[("Session-Expires", &expires)]);
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now).len(), 1);
    assert_eq!(world.open_legs().len(), 2);
    world
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn a_leg_that_moves_is_refreshed_in_its_new_call() {
    let mut world = joined_with_timer("uas");
    for count in 1..=20 {
        world.run(seconds(45));
        assert_eq!(world.distinct_to(ALICE, "UPDATE"), count);
        let expires = ResponseDraft::new(200).header("Session-Expires", "90;refresher=uac");
        world.confirm_by(ALICE, &expires);
        world.run(50 * MS);
    }
    let row = &world.gateway.calls(world.now)[0];
    assert_eq!(
        (row.state.as_str(), row.from_endpoint.as_str()),
        ("up", "alice")
    );
    // No answer at all: that call ends, on both legs.
    world.run(seconds(90));
    assert_eq!(world.distinct_to(CAROL, "BYE"), 1);
    assert_eq!(world.distinct_to(ALICE, "BYE"), 1);
    world.confirm(CAROL, 200);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn a_leg_that_moves_may_refresh_itself_in_its_new_call() {
    let mut world = joined_with_timer("uac");
    let headers = [
        ("Supported", "timer"),
        ("Session-Expires", "90;refresher=uac"),
    ];
    for _ in 1..=20 {
        world.run(seconds(45));
        world.request_with(ALICE, Method::Update, None, &headers);
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(200));
    }
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    world.run(seconds(90));
    assert_eq!(world.distinct_to(CAROL, "BYE"), 1);
    assert_eq!(world.distinct_to(ALICE, "BYE"), 1);
    world.confirm(CAROL, 200);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn a_leg_that_moves_in_the_middle_of_its_refresh_is_refreshed_again() {
    let (mut world, first, second) = consulting_with_timer("uas");
    world.run(seconds(45));
    assert_eq!(world.distinct_to(ALICE, "UPDATE"), 1);
    // Before Alice has answered it, Bob sends her to Carol.
    world.phone(BOB).dialog = Some(first);
    refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
    world.confirm(BOB, 200);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    let expires = ResponseDraft::new(200).header("Session-Expires", "90;refresher=uac");
    world.confirm_by(ALICE, &expires);
    let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendrecv");
    let headers = [("Session-Expires", "90;refresher=uac")];
    world.answer_with(ALICE, 200, Some(&answer), &headers);
    for count in 2..=10 {
        world.run(seconds(46));
        assert_eq!(world.distinct_to(ALICE, "UPDATE"), count);
        world.confirm_by(ALICE, &expires);
        world.run(50 * MS);
    }
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    finish(world, CAROL);
}

#[test]
fn the_ack_of_a_leg_that_moves_is_waited_for_in_its_new_call() {
    for comes in [true, false] {
        let (mut world, first, second) = consulting(true);
        // Alice says again what she said, and is slow with her ACK.
        let same = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
        world.request(ALICE, Method::Invite, Some(("application/sdp", &same)));
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(200));
        let accepted = world.phone(ALICE).events.clone();
        world.phone(BOB).dialog = Some(first);
        refer(&mut world, BOB, &[("Refer-To", &naming(&second))]);
        world.confirm(BOB, 200);
        world.run(50 * MS);
        world.confirm(BOB, 200);
        let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendrecv");
        world.answer(ALICE, 200, Some(&answer));
        world.run(50 * MS);
        if comes {
            world.phone(ALICE).events = accepted;
            world.ack(ALICE, None);
        }
        world.run(seconds(40));
        let byes = world.distinct_to(CAROL, "BYE");
        assert_eq!(byes, usize::from(!comes), "RFC 3261 §13.3.1.4");
        if comes {
            finish(world, ALICE);
        } else {
            world.confirm(ALICE, 200);
            world.confirm(CAROL, 200);
            world.assert_nothing_left();
        }
    }
}
