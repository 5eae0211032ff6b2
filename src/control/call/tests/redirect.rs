//! Callees that send the call elsewhere, and calls that go in circles.

use super::world::*;
use crate::link::Command;
use crate::sip::message::{Method, RequestDraft};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Bob's context has these extensions.
fn world(extensions: &str) -> World {
    world_with("", extensions)
}

fn world_with(bob: &str, extensions: &str) -> World {
    let text = CONFIG
        .replace("[endpoint.bob]\n", &format!("[endpoint.bob]\n{bob}\n"))
        .replace(
            "[context.from-bob.exten]\n\"_X.\" = [\"Dial(PJSIP/carol)\"]\n",
            &format!("[context.from-bob.exten]\n{extensions}\n"),
        );
    World::with_config(&text)
}

fn call(world: &mut World, extension: &str) {
    let offer = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite(ALICE, extension, Some(&offer));
    world.run(50 * MS);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
}

fn answer_of_carol() -> String {
    sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv")
}

fn hang_up(mut world: World, others: &[&str]) {
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    for phone in others {
        world.confirm(phone, 200);
    }
    world.assert_nothing_left();
}

#[test]
fn a_redirected_call_goes_to_the_extension_of_the_callees_context() {
    let mut world = world(r#""300" = ["Dial(PJSIP/carol)"]"#);
    call(&mut world, "100");
    world.redirect(BOB, 302, "<sip:300@elsewhere.example>");
    world.run(50 * MS);
    let invite = world.last_to(CAROL, "INVITE");
    assert!(
        invite.contains("\r\nDiversion: <sip:bob@192.0.2.1>;reason=unconditional;privacy=off\r\n"),
        "{invite}"
    );
    assert!(!invite.contains("elsewhere.example"), "{invite}");
    assert!(invite.contains("From: \"Alice A\" <sip:6001@"), "{invite}");
    world.answer(CAROL, 200, Some(&answer_of_carol()));
    world.run(50 * MS);
    world.ack(ALICE, None);
    let Some(Command::Bridge { .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    let row = &world.gateway.calls(world.now)[0];
    assert_eq!(row.to_endpoint.as_deref(), Some("carol"));
    hang_up(world, &[CAROL]);
}

#[test]
fn the_contacts_are_tried_in_the_order_of_their_q() {
    let mut world = world(
        r#""300" = ["Busy()"]
"301" = ["Dial(PJSIP/carol)"]"#,
    );
    call(&mut world, "100");
    world.redirect(
        BOB,
        300,
        "<sip:301@x>;q=0.1, <sip:300@x>;q=0.9, <sip:999@x>;q=0.5, <mailto:bob@x>",
    );
    world.run(50 * MS);
    assert_eq!(world.to(CAROL), ["INVITE"]);
    world.answer(CAROL, 486, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(486));
    world.assert_nothing_left();
}

#[test]
fn a_contact_itself_is_called_where_the_endpoint_may() {
    let mut world = world_with("redirect_method = \"uri_pjsip\"", "");
    call(&mut world, "100");
    world.redirect(BOB, 301, "<sip:carol@203.0.113.30:5080?X-Evil=1>");
    world.run(50 * MS);
    let invite = world.last_to(CAROL, "INVITE");
    assert!(
        invite.starts_with("INVITE sip:carol@203.0.113.30:5080 SIP/2.0\r\n"),
        "{invite}"
    );
    assert!(invite.contains("\r\nDiversion: <sip:bob@"), "{invite}");
    // Its own redirection is followed too, but not back to where the call has been.
    world.redirect(CAROL, 302, "<sip:carol@203.0.113.30:5080?X-Evil=1>");
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(482));
    world.assert_nothing_left();
}

#[test]
fn who_redirects_in_circles_is_not_followed() {
    let mut world = world(r#""300" = ["Dial(PJSIP/bob)"]"#);
    call(&mut world, "100");
    world.redirect(BOB, 302, "<sip:300@x>");
    world.run(50 * MS);
    assert_eq!(world.to(BOB), ["INVITE", "ACK", "INVITE"]);
    world.redirect(BOB, 302, "<sip:300@x>");
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(482));
    world.assert_nothing_left();
}

#[test]
fn a_call_is_redirected_five_times_in_a_row_at_most() {
    let mut world = world(r#""_3X" = ["Dial(PJSIP/bob)"]"#);
    call(&mut world, "100");
    for hop in 0..5 {
        world.redirect(BOB, 302, &format!("<sip:3{hop}@x>"));
        world.run(50 * MS);
    }
    let invites = world
        .to(BOB)
        .iter()
        .filter(|name| *name == "INVITE")
        .count();
    assert_eq!(invites, 6);
    assert_eq!(
        world
            .last_to(BOB, "INVITE")
            .matches("\r\nDiversion:")
            .count(),
        5
    );
    world.redirect(BOB, 302, "<sip:35@x>");
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(483));
    world.assert_nothing_left();
}

#[test]
fn the_extensions_own_dial_has_its_time_and_goes_on_after_it() {
    let mut world = world(
        r#""300" = ["Dial(PJSIP/carol,5)", "GotoIf($[\"${DIALSTATUS}\"=\"NOANSWER\"]?late)", "Hangup(1)", "late: Echo()"]"#,
    );
    call(&mut world, "100");
    world.redirect(BOB, 302, "<sip:300@x>");
    world.run(50 * MS);
    world.answer(CAROL, 180, None);
    world.run(Duration::from_secs(6));
    assert_eq!(world.to(CAROL).last().map(String::as_str), Some("CANCEL"));
    world.answer(CAROL, 487, None);
    world.run(50 * MS);
    // The extension has taken the caller over.
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.ack(ALICE, None);
    let echoes = |command: &(_, Command)| matches!(command.1, Command::Echo { .. });
    assert_eq!(world.commands.iter().filter(|c| echoes(c)).count(), 1);
    hang_up(world, &[]);
}

#[test]
fn who_rings_beside_a_redirected_callee_may_still_answer() {
    let mut world = world(r#""300" = ["Dial(PJSIP/bob)"]"#);
    call(&mut world, "103");
    world.redirect(BOB, 302, "<sip:300@x>");
    world.run(50 * MS);
    assert_eq!(world.to(BOB), ["INVITE", "ACK", "INVITE"]);
    world.answer(CAROL, 200, Some(&answer_of_carol()));
    world.run(50 * MS);
    world.ack(ALICE, None);
    assert_eq!(world.to(BOB).last().map(String::as_str), Some("INVITE"));
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    assert_eq!(world.to(BOB).last().map(String::as_str), Some("CANCEL"));
    world.answer(BOB, 487, None);
    hang_up(world, &[CAROL]);
}

#[test]
fn a_redirection_without_a_way_is_a_failure() {
    for (extension, status, contact) in [
        ("100", 302, "<mailto:x@y>"),
        ("100", 380, "<sip:300@x>"),
        ("201", 302, "<sip:300@x>"),
    ] {
        let text = CONFIG.replace("\"106\" =", "\"201\" = [\"Dial(PJSIP/bob,,i)\"]\n\"106\" =");
        let mut world = World::with_config(&text);
        call(&mut world, extension);
        world.redirect(BOB, status, contact);
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(480), "{contact}");
        assert_eq!(world.to(CAROL).len(), 0);
        world.assert_nothing_left();
    }
}

#[test]
fn a_caller_who_gives_up_ends_a_redirected_call() {
    let mut world = world(r#""300" = ["Dial(PJSIP/carol,20)"]"#);
    let offer = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    let tx = world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    world.redirect(BOB, 302, "<sip:300@x>");
    world.run(50 * MS);
    world.answer(CAROL, 180, None);
    world.run(50 * MS);
    world.cancel(ALICE, tx);
    world.run(50 * MS);
    assert_eq!(world.to(CAROL).last().map(String::as_str), Some("CANCEL"));
    world.answer(CAROL, 487, None);
    world.assert_nothing_left();
}

#[test]
fn an_invite_of_ours_that_comes_back_is_482() {
    for (number, is_circle) in [("bob", true), ("777", false)] {
        let mut world = World::new();
        let offer = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
        world.invite(ALICE, "100", Some(&offer));
        world.run(50 * MS);
        let (_, ours) = world.phone(BOB).invite.clone().expect("it came");
        let headers = ours.headers();
        let back = RequestDraft::new(Method::Invite, format!("sip:{number}@192.0.2.1"))
            .header("From", headers.get("From").expect("From"))
            .header("To", headers.get("To").expect("To"))
            .header("Call-ID", headers.call_id())
            .header("CSeq", "1 INVITE")
            .header("Contact", "<sip:bob@203.0.113.20:5070>");
        world.send(BOB, back);
        world.run(50 * MS);
        // With another number it was forwarded on its way: a call like any other.
        let answered = world.phone(BOB).final_status();
        assert_eq!(answered == Some(482), is_circle, "{answered:?}");
    }
}

#[test]
fn the_dialplan_learns_who_answered_and_for_how_long() {
    let text = CONFIG.replace(
        "[context.from-bob.exten]",
        "h = [\"NoOp(${DIALEDPEERNUMBER}/${DIALEDTIME}/${ANSWEREDTIME}/${HANGUPCAUSE})\"]\n[context.from-bob.exten]",
    );
    let lines = logged(|| {
        let mut world = World::with_config(&text);
        world.talk("100");
        world.run(Duration::from_secs(10));
        hang_up(world, &[BOB]);
    });
    assert!(lines.contains("NoOp(bob/10/10/16)"), "{lines}");
}
