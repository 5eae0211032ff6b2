//! INVITE with Replaces: somebody takes the place of one side of a call.

use super::world::*;
use crate::link::Command;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// The world's Carol is told by her address.
fn world() -> World {
    let text =
        format!("{CONFIG}\n[identify.carol]\nendpoint = \"carol\"\nmatch = [\"203.0.113.30\"]\n");
    World::with_config(&text)
}

/// Names the dialog of this phone with us, as we are to read it.
fn dialog_of(world: &mut World, phone: &str) -> String {
    let dialog = world.phone(phone).dialog.as_ref().expect("a dialog");
    let id = dialog.id();
    format!(
        "{};to-tag={};from-tag={}",
        id.call_id, id.remote_tag, id.local_tag
    )
}

fn carols(formats: &str) -> String {
    sdp("203.0.113.30", 7000, 1, formats, "sendrecv")
}

#[test]
fn a_newcomer_takes_the_place_of_either_side() {
    for (replaced, stays) in [(BOB, ALICE), (ALICE, BOB)] {
        let mut world = world();
        world.talk("100");
        let dialog = dialog_of(&mut world, replaced);
        world.invite_with(
            CAROL,
            "999",
            Some(&carols("8 0 101")),
            &[("Replaces", &dialog)],
        );
        world.run(50 * MS);
        assert_eq!(world.to(CAROL), ["200 INVITE"]);
        assert!(world.last_to(CAROL, "200 INVITE").contains("m=audio "));
        assert_eq!(world.to(replaced).last().map(String::as_str), Some("BYE"));
        world.confirm(replaced, 200);
        world.ack(CAROL, None);
        world.run(50 * MS);
        let rows = world.gateway.calls(world.now);
        assert_eq!((rows.len(), rows[0].state.as_str()), (1, "up"));
        assert_eq!(world.open_legs().len(), 2);
        let Some(Command::Bridge { a, b, .. }) = world.last_bridge() else {
            panic!("not bridged");
        };
        assert!(world.open_legs().contains(&a) && world.open_legs().contains(&b));
        // Both use the same codecs: who stays is asked nothing.
        assert!(!world.to(stays).contains(&"BYE".to_owned()));
        world.request(CAROL, Method::Bye, None);
        world.run(50 * MS);
        assert_eq!(world.to(stays).last().map(String::as_str), Some("BYE"));
        world.confirm(stays, 200);
        world.assert_nothing_left();
    }
}

#[test]
fn who_stays_is_told_of_the_newcomers_codecs() {
    let mut world = world();
    world.talk("100");
    let dialog = dialog_of(&mut world, BOB);
    world.phones_answer = true;
    world.invite_with(CAROL, "999", Some(&carols("0")), &[("Replaces", &dialog)]);
    world.run(200 * MS);
    assert!(world.last_to(CAROL, "200 INVITE").contains("RTP/AVP 0\r\n"));
    let asked = world.last_to(ALICE, "INVITE");
    assert!(asked.contains("RTP/AVP 0 101\r\n"), "{asked}");
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn what_cannot_be_replaced_is_refused_and_the_call_goes_on() {
    let mut world = world();
    world.talk("100");
    let dialog = dialog_of(&mut world, BOB);
    let wrong = dialog.replace("from-tag=", "from-tag=x");
    let early = format!("{dialog};early-only");
    for (replaces, formats, status) in [
        (wrong.as_str(), "8 0", 481),
        ("a;to-tag=1;from-tag=2", "8 0", 481),
        ("a;to-tag=1", "8 0", 400),
        (early.as_str(), "8 0", 486),
        (dialog.as_str(), "18", 488),
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
    assert_eq!(world.gateway.calls(world.now).len(), 1);
    world.phones_answer = true;
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn who_may_not_transfer_may_not_take_over() {
    let text =
        format!("{CONFIG}\n[identify.carol]\nendpoint = \"carol\"\nmatch = [\"203.0.113.30\"]\n")
            .replace(
                "[endpoint.carol]\n",
                "[endpoint.carol]\nallow_transfer = false\n",
            );
    let mut world = World::with_config(&text);
    world.talk("100");
    let dialog = dialog_of(&mut world, BOB);
    world.invite_with(CAROL, "999", Some(&carols("8")), &[("Replaces", &dialog)]);
    world.run(50 * MS);
    assert_eq!(world.phone(CAROL).final_status(), Some(403));
    world.phones_answer = true;
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}
