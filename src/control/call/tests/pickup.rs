//! Call pickup: by Pickup of the dialplan, and by INVITE with Replaces of a dialog that rings.

use super::world::*;
use crate::link::Command;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Carol is told by her address and has these steps behind 77; lines for Bob's endpoint and hers.
fn world(steps: &str, bob: &str, carol: &str) -> World {
    let identify = "\n[identify.carol]\nendpoint = \"carol\"\nmatch = [\"203.0.113.30\"]\n";
    let text = format!("{CONFIG}{identify}")
        .replace(
            "\"_X.\" = [\"Dial(PJSIP/carol)\"]",
            &format!("\"77\" = [{steps}]\n\"_X.\" = [\"Dial(PJSIP/carol)\"]"),
        )
        .replace("[endpoint.bob]\n", &format!("[endpoint.bob]\n{bob}\n"))
        .replace(
            "[endpoint.carol]\n",
            &format!("[endpoint.carol]\n{carol}\n"),
        )
        .replace(
            "\"106\" =",
            "\"120\" = [\"Set(PICKUPMARK=lobby)\", \"Dial(PJSIP/bob)\"]\n\"106\" =",
        );
    World::with_config(&text)
}

const NAMED: &str = "\"Pickup(100@from-alice)\", \"Busy()\"";

fn alices() -> String {
    sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv")
}

fn carols(formats: &str) -> String {
    sdp("203.0.113.30", 7000, 1, formats, "sendrecv")
}

fn bobs() -> String {
    sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv")
}

/// Alice has called, and Bob rings.
fn ring(world: &mut World, extension: &str) {
    world.invite(ALICE, extension, Some(&alices()));
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
}

/// Alice and Carol talk, on two ports, and Bob has been told.
fn assert_picked_up(world: &mut World) {
    let cancel = world.last_to(BOB, "CANCEL");
    let reason = "\r\nReason: SIP;cause=200;text=\"Call completed elsewhere\"\r\n";
    assert!(cancel.contains(reason), "{cancel}");
    world.answer(BOB, 487, None);
    world.run(50 * MS);
    let rows = world.gateway.calls(world.now);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].state, "up");
    let ends = (
        rows[0].from_endpoint.as_str(),
        rows[0].to_endpoint.as_deref(),
    );
    assert_eq!(ends, ("alice", Some("carol")));
    assert_eq!(world.open_legs().len(), 2);
    let Some(Command::Bridge { a, b, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert!(world.open_legs().contains(&a) && world.open_legs().contains(&b));
}

fn finish(mut world: World, who: &str, other: &str) {
    world.request(who, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.phone(who).final_status(), Some(200));
    assert_eq!(world.to(other).last().map(String::as_str), Some("BYE"));
    world.confirm(other, 200);
    world.assert_nothing_left();
}

#[test]
fn a_call_that_rings_is_taken_over_by_its_extension() {
    for (who, other) in [(ALICE, CAROL), (CAROL, ALICE)] {
        let mut world = world(NAMED, "", "");
        ring(&mut world, "100");
        world.invite(CAROL, "77", Some(&carols("0 8 101")));
        world.run(50 * MS);
        // Each hears of what the other has, in its own numbers and order.
        assert!(world.last_to(CAROL, "200 INVITE").contains("m=audio "));
        assert!(
            world
                .last_to(ALICE, "200 INVITE")
                .contains("RTP/AVP 8 0 101")
        );
        world.ack(ALICE, None);
        world.ack(CAROL, None);
        world.run(50 * MS);
        assert_picked_up(&mut world);
        // Both know each other's codecs: nobody is asked again.
        assert_eq!(
            world.count_to(ALICE, "INVITE") + world.count_to(CAROL, "INVITE"),
            0
        );
        // In-dialog requests find their way: a hold of Carol's reaches Alice.
        let hold = sdp("203.0.113.30", 7000, 2, "0 8 101", "sendonly");
        world.request(CAROL, Method::Invite, Some(("application/sdp", &hold)));
        world.run(50 * MS);
        let answer = sdp("198.51.100.10", 4000, 2, "8 0 101", "recvonly");
        world.answer(ALICE, 200, Some(&answer));
        world.run(50 * MS);
        assert_eq!(world.phone(CAROL).final_status(), Some(200));
        world.ack(CAROL, None);
        world.run(50 * MS);
        finish(world, who, other);
    }
}

#[test]
fn a_group_picks_up_what_rings_in_it() {
    for (bob, carol, picked) in [
        ("call_group = [1, 5]", "pickup_group = [5]", true),
        (
            "named_call_group = [\"sales\"]",
            "named_pickup_group = [\"sales\"]",
            true,
        ),
        ("call_group = [1]", "pickup_group = [2]", false),
        ("pickup_group = [1]", "call_group = [1]", false),
        ("", "", false),
    ] {
        let mut world = world("\"Pickup()\", \"Busy()\"", bob, carol);
        ring(&mut world, "100");
        world.invite(CAROL, "77", Some(&carols("8 0 101")));
        world.run(50 * MS);
        if picked {
            world.ack(ALICE, None);
            world.ack(CAROL, None);
            world.run(50 * MS);
            assert_picked_up(&mut world);
            finish(world, ALICE, CAROL);
        } else {
            assert_eq!(
                world.phone(CAROL).final_status(),
                Some(486),
                "{bob} {carol}"
            );
            world.answer(BOB, 486, None);
            world.assert_nothing_left();
        }
    }
}

#[test]
fn a_mark_names_a_call() {
    let mut world = world("\"Pickup(1&lobby@PICKUPMARK)\", \"Busy()\"", "", "");
    ring(&mut world, "120");
    world.invite(CAROL, "77", Some(&carols("8 0 101")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.ack(CAROL, None);
    world.run(50 * MS);
    assert_picked_up(&mut world);
    finish(world, CAROL, ALICE);
}

#[test]
fn where_nothing_can_be_picked_up_the_dialplan_goes_on() {
    // Nothing rings.
    let mut quiet = world(NAMED, "", "");
    quiet.invite(CAROL, "77", Some(&carols("8 0 101")));
    quiet.run(50 * MS);
    assert_eq!(quiet.phone(CAROL).final_status(), Some(486));
    quiet.assert_nothing_left();
    // It is up by now.
    let mut up = world(NAMED, "", "");
    up.talk("100");
    up.invite(CAROL, "77", Some(&carols("8 0 101")));
    up.run(50 * MS);
    assert_eq!(up.phone(CAROL).final_status(), Some(486));
    finish(up, ALICE, BOB);
    // They have no codec in common, and one has none that we transcode.
    let mut deaf = world(NAMED, "", "");
    deaf.invite(
        ALICE,
        "100",
        Some(&sdp("198.51.100.10", 4000, 1, "8", "sendrecv")),
    );
    deaf.run(50 * MS);
    deaf.answer(BOB, 180, None);
    deaf.run(50 * MS);
    deaf.invite(CAROL, "77", Some(&carols("18")));
    deaf.run(50 * MS);
    assert_eq!(deaf.phone(CAROL).final_status(), Some(486));
    assert_eq!(deaf.count_to(BOB, "CANCEL"), 0);
    deaf.answer(BOB, 486, None);
    deaf.assert_nothing_left();
}

#[test]
fn who_made_no_offer_hears_ours() {
    let mut world = world(NAMED, "", "");
    ring(&mut world, "100");
    world.invite(CAROL, "77", None);
    world.run(50 * MS);
    assert!(world.last_to(CAROL, "200 INVITE").contains("m=audio "));
    world.ack(ALICE, None);
    world.run(50 * MS);
    world.ack(CAROL, Some(&carols("8 0 101")));
    world.run(50 * MS);
    assert_picked_up(&mut world);
    finish(world, CAROL, ALICE);
}

#[test]
fn a_caller_without_an_offer_is_answered_with_one() {
    let mut world = world(NAMED, "", "");
    world.invite(ALICE, "100", None);
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    world.invite(CAROL, "77", Some(&carols("8 0 101")));
    world.run(50 * MS);
    world.ack(CAROL, None);
    world.ack(ALICE, Some(&alices()));
    world.run(50 * MS);
    assert_picked_up(&mut world);
    finish(world, ALICE, CAROL);
}

#[test]
fn early_media_ends_with_the_pickup() {
    let mut world = world(NAMED, "", "");
    world.invite(ALICE, "100", Some(&alices()));
    world.run(50 * MS);
    world.answer(
        BOB,
        183,
        Some(&sdp("203.0.113.20", 6000, 1, "8", "sendrecv")),
    );
    world.run(50 * MS);
    let early = world.last_to(ALICE, "183 INVITE");
    world.invite(CAROL, "77", Some(&carols("8 0 101")));
    world.run(50 * MS);
    // Alice was told of Bob's codec before: that stands, and Carol gets no other.
    let body = |text: &str| text.split("\r\n\r\n").nth(1).map(str::to_owned);
    assert_eq!(body(&world.last_to(ALICE, "200 INVITE")), body(&early));
    let to_carol = world.last_to(CAROL, "200 INVITE");
    assert!(to_carol.contains("RTP/AVP 8 101\r\n"), "{to_carol}");
    world.ack(ALICE, None);
    world.ack(CAROL, None);
    world.run(50 * MS);
    assert_picked_up(&mut world);
    finish(world, ALICE, CAROL);
}

#[test]
fn who_is_answered_already_is_told_by_reinvite() {
    let mut world = world(
        "\"Answer()\", \"Wait(1)\", \"Pickup(100@from-alice)\"",
        "",
        "",
    );
    ring(&mut world, "100");
    world.invite(CAROL, "77", Some(&carols("8 0 101")));
    world.run(50 * MS);
    world.ack(CAROL, None);
    world.run(1100 * MS);
    world.answer(
        CAROL,
        200,
        Some(&sdp("203.0.113.30", 7000, 2, "8 0 101", "sendrecv")),
    );
    world.ack(ALICE, None);
    world.run(100 * MS);
    assert_eq!(world.distinct_to(CAROL, "INVITE"), 1);
    assert_picked_up(&mut world);
    finish(world, ALICE, CAROL);
}

#[test]
fn a_picker_whose_ack_never_comes_ends_the_call() {
    let mut world = world(NAMED, "", "");
    ring(&mut world, "100");
    world.invite(CAROL, "77", Some(&carols("8 0 101")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.answer(BOB, 487, None);
    world.run(33 * S);
    for phone in [ALICE, CAROL] {
        assert_eq!(world.distinct_to(phone, "BYE"), 1, "{phone}");
        world.confirm(phone, 200);
    }
    world.assert_nothing_left();
}

#[test]
fn of_two_that_ring_the_one_that_waits_longer_is_taken() {
    let mut world = world(NAMED, "", "");
    ring(&mut world, "100");
    world.run(S);
    world.invite_with(
        ALICE,
        "100",
        Some(&alices()),
        &[
            ("Call-ID", "second"),
            ("From", "<sip:6002@198.51.100.10>;tag=2"),
        ],
    );
    world.run(50 * MS);
    world.invite(CAROL, "77", Some(&carols("8 0 101")));
    world.run(50 * MS);
    let ok = world.last_to(ALICE, "200 INVITE");
    assert!(!ok.contains("Call-ID: second"), "{ok}");
    assert_eq!(world.gateway.calls(world.now).len(), 2);
    world.phones_answer = true;
    for row in world.gateway.calls(world.now) {
        assert!(world.gateway.hangup(world.now, &row.id));
    }
    world.assert_nothing_left();
}

/// The dialog of Bob's, who rings, as a Replaces for us names it.
fn ringing_dialog(world: &mut World) -> String {
    let tag = world.phone(BOB).tag.clone();
    let (_, invite) = world.phone(BOB).invite.clone().expect("it came");
    let headers = invite.headers();
    format!(
        "{};to-tag={};from-tag={tag}",
        headers.call_id(),
        headers.from_tag().expect("a tag")
    )
}

#[test]
fn an_invite_with_replaces_answers_for_who_rings() {
    for early in ["", ";early-only"] {
        let mut world = world(NAMED, "", "");
        ring(&mut world, "100");
        let replaces = ringing_dialog(&mut world) + early;
        world.invite_with(
            CAROL,
            "999",
            Some(&carols("8 0 101")),
            &[("Replaces", &replaces)],
        );
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.ack(CAROL, None);
        world.run(50 * MS);
        assert_picked_up(&mut world);
        finish(world, CAROL, ALICE);
    }
}

#[test]
fn a_dialog_that_does_not_ring_is_not_taken_over() {
    let mut world = world(NAMED, "", "");
    ring(&mut world, "100");
    let replaces = ringing_dialog(&mut world);
    let (call_id, tags) = replaces.split_once(';').expect("tags");
    let other_call = format!("x{call_id};{tags}");
    let other_tag = format!("{replaces}x");
    // Alice's own dialog with us was not begun by us (RFC 3891 §3).
    let (_, ringing) = world.phone(ALICE).response(180).expect("it rings");
    let headers = ringing.headers();
    let alices = format!(
        "{};to-tag={};from-tag={}",
        headers.call_id(),
        headers.to_tag().expect("ours"),
        headers.from_tag().expect("hers")
    );
    for (replaces, formats, status) in [
        (other_call.as_str(), "8 0", 481),
        (other_tag.as_str(), "8 0", 481),
        (alices.as_str(), "8 0", 481),
        (replaces.as_str(), "9", 488),
    ] {
        let headers = [("Replaces", replaces), ("Call-ID", replaces)];
        world.invite_with(CAROL, "999", Some(&carols(formats)), &headers);
        world.run(50 * MS);
        assert_eq!(
            world.phone(CAROL).final_status(),
            Some(status),
            "{replaces}"
        );
    }
    world.answer(BOB, 200, Some(&bobs()));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let early = format!("{replaces};early-only");
    let headers = [("Replaces", early.as_str()), ("Call-ID", "late")];
    world.invite_with(CAROL, "999", Some(&carols("8 0")), &headers);
    world.run(50 * MS);
    assert_eq!(world.phone(CAROL).final_status(), Some(486));
    finish(world, ALICE, BOB);
}
