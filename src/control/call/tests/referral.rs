//! Transfer of the dialplan: 302 before the answer, REFER after it.

use super::world::*;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Alice's 300 does these steps.
fn call(steps: &str) -> World {
    let text = CONFIG.replace("\"106\" =", &format!("\"300\" = [{steps}]\n\"106\" ="));
    let mut world = World::with_config(&text);
    let offer = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite(ALICE, "300", Some(&offer));
    world.run(50 * MS);
    world
}

/// Alice is answered, and asked to call elsewhere; what she says to it decides who is called next.
fn referred() -> World {
    let mut world = call(
        r#""Answer()", "Transfer(PJSIP/sip:55@far.example)", "GotoIf($[\"${TRANSFERSTATUS}\" = \"SUCCESS\"]?done)", "Dial(PJSIP/${TRANSFERSTATUS}@out)", "done: Hangup()""#,
    );
    assert_eq!(world.count_to(ALICE, "REFER"), 0, "before her ACK");
    world.ack(ALICE, None);
    world.run(50 * MS);
    world
}

fn notify(world: &mut World, status: &str, state: &str) {
    let body = format!("SIP/2.0 {status}\r\n");
    let headers = [("Event", "refer"), ("Subscription-State", state)];
    let body = Some(("message/sipfrag", body.as_str()));
    world.request_with(ALICE, Method::Notify, body, &headers);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
}

fn hung_up(mut world: World) {
    assert_eq!(world.distinct_to(ALICE, "BYE"), 1);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn a_caller_that_waits_is_redirected() {
    for (destination, contact) in [
        ("sip:55@far.example", "<sip:55@far.example>"),
        ("PJSIP/sip:55@far.example:5080", "<sip:55@far.example:5080>"),
        ("77", "<sip:77@192.0.2.1:5060>"),
    ] {
        let mut world = call(&format!(
            "\"Ringing()\", \"Transfer({destination})\", \"Answer()\""
        ));
        let moved = world.last_to(ALICE, "302 INVITE");
        assert!(
            moved.contains(&format!("\r\nContact: {contact}\r\n")),
            "{moved}"
        );
        assert_eq!(moved.matches("\r\nContact: ").count(), 1);
        assert_eq!(world.count_to(ALICE, "200 INVITE"), 0);
        world.assert_nothing_left();
    }
}

#[test]
fn a_caller_that_is_answered_is_referred() {
    let mut world = referred();
    let refer = world.last_to(ALICE, "REFER");
    assert!(
        refer.contains("\r\nRefer-To: <sip:55@far.example>\r\n"),
        "{refer}"
    );
    assert!(
        refer.contains("\r\nReferred-By: <sip:300@192.0.2.1:5060>\r\n"),
        "{refer}"
    );
    world.confirm(ALICE, 202);
    notify(&mut world, "100 Trying", "active;expires=60");
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    notify(&mut world, "200 OK", "terminated;reason=noresource");
    hung_up(world);
}

#[test]
fn a_caller_that_says_nothing_more_is_taken_to_have_gone() {
    let mut world = referred();
    world.confirm(ALICE, 202);
    world.run(29 * S);
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    world.run(2 * S);
    hung_up(world);
}

#[test]
fn what_goes_wrong_is_told_to_the_dialplan() {
    for (answered, told, status) in [
        (202, Some("486 Busy Here"), "FAILURE"),
        (603, None, "FAILURE"),
        (405, None, "UNSUPPORTED"),
        (501, None, "UNSUPPORTED"),
    ] {
        let mut world = referred();
        world.confirm(ALICE, answered);
        if let Some(told) = told {
            notify(&mut world, told, "terminated;reason=noresource");
        }
        world.run(50 * MS);
        let invite = world.last_to(BOB, "INVITE");
        assert!(
            invite.starts_with(&format!("INVITE sip:{status}@")),
            "{invite}"
        );
        world.answer(BOB, 486, None);
        world.run(50 * MS);
        hung_up(world);
    }
    // No URI, and nothing that could be one.
    let mut wrong = call("\"Transfer(sip:)\", \"Transfer(mailto:x@y)\", \"Busy()\"");
    assert_eq!(wrong.phone(ALICE).final_status(), Some(486));
    wrong.assert_nothing_left();
}

#[test]
fn a_referred_caller_may_hang_up() {
    let mut world = referred();
    world.confirm(ALICE, 202);
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.assert_nothing_left();
}

#[test]
fn a_notify_that_nobody_asked_for_is_481() {
    let mut world = World::new();
    world.talk("100");
    let headers = [("Event", "refer"), ("Subscription-State", "active")];
    world.request_with(ALICE, Method::Notify, None, &headers);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(481));
    end(world);
}
