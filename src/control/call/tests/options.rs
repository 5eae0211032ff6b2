//! Options of Dial: subroutines before it, limits, what the caller hears, what comes after.

use super::world::*;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Alice's 300 does these steps; there is a context `sub`.
fn world(steps: &str) -> World {
    let text = CONFIG.replace(
        "[context.from-bob.exten]\n",
        &format!(
            "\"300\" = [{steps}]\n\n[context.sub.exten]\n\
             s = [\"Set(PJSIP_HEADER(add,Alert-Info)=${{ARG1}}${{KIND}})\", \"Set(PJSIP_HEADER(add,X-Own)=${{ARG2}})\", \"Return()\"]\n\
             caller = [\"Set(_KIND=${{ARG1}})\", \"Return()\"]\n\n\
             [context.from-bob.exten]\n"
        ),
    );
    World::with_config(&text)
}

fn alices() -> String {
    sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv")
}

fn bobs(port: u16) -> String {
    sdp("203.0.113.20", port, 1, "8 0 101", "sendrecv")
}

fn call(steps: &str) -> World {
    let mut world = world(steps);
    world.invite(ALICE, "300", Some(&alices()));
    world.run(50 * MS);
    world
}

fn answered(steps: &str) -> World {
    let mut world = call(steps);
    world.answer(BOB, 200, Some(&bobs(6000)));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    world
}

#[test]
fn each_callee_is_prepared_by_itself() {
    let mut world =
        call(r#""Dial(PJSIP/bob&PJSIP/carol,20,b(sub^s^1(info=^own))B(sub^caller^1(door)))""#);
    for phone in [BOB, CAROL] {
        let invite = world.last_to(phone, "INVITE");
        assert_eq!(
            invite.matches("\r\nAlert-Info: info=door\r\n").count(),
            1,
            "{invite}"
        );
        assert_eq!(invite.matches("\r\nX-Own: own\r\n").count(), 1, "{invite}");
    }
    world.answer(BOB, 486, None);
    world.answer(CAROL, 486, None);
    world.assert_nothing_left();
}

#[test]
fn what_one_dial_adds_is_not_said_by_the_next() {
    let mut world = call(r#""Dial(PJSIP/bob,20,b(sub^s^1(a)))", "Dial(PJSIP/carol,20)""#);
    assert!(
        world
            .last_to(BOB, "INVITE")
            .contains("\r\nAlert-Info: a\r\n")
    );
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    assert!(!world.last_to(CAROL, "INVITE").contains("Alert-Info"));
    world.answer(CAROL, 486, None);
    world.assert_nothing_left();
}

#[test]
fn the_dialplan_goes_on_when_the_callee_hangs_up() {
    let mut world = answered(
        r#""Dial(PJSIP/bob,20,g)", "GotoIf($[${ANSWEREDTIME} > 0]?more)", "Hangup()", "more: Dial(PJSIP/carol,20)""#,
    );
    world.run(2 * S);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    assert_eq!(world.count_to(ALICE, "BYE"), 0);
    let answer = sdp("203.0.113.30", 7000, 1, "8 0 101", "sendrecv");
    world.answer(CAROL, 200, Some(&answer));
    world.run(50 * MS);
    let rows = world.gateway.calls(world.now);
    assert_eq!(rows[0].to_endpoint.as_deref(), Some("carol"));
    assert_eq!((rows[0].state.as_str(), world.open_legs().len()), ("up", 2));
    // Without the option the call is over with its callee.
    world.request(CAROL, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.distinct_to(ALICE, "BYE"), 1);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn a_caller_that_hangs_up_ends_it_whatever_the_option_says() {
    let mut world = answered(r#""Dial(PJSIP/bob,20,g)", "Dial(PJSIP/carol,20)""#);
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.distinct_to(BOB, "BYE"), 1);
    assert_eq!(world.count_to(CAROL, "INVITE"), 0);
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn the_call_ends_when_its_time_is_over() {
    for option in ["L(5000)", "L(5000:2000:1000)", "S(5)"] {
        let mut world = answered(&format!("\"Dial(PJSIP/bob,20,{option})\""));
        world.run(4800 * MS);
        assert_eq!(world.count_to(ALICE, "BYE"), 0, "{option}");
        world.run(200 * MS);
        for phone in [ALICE, BOB] {
            assert_eq!(world.distinct_to(phone, "BYE"), 1, "{option}");
            world.confirm(phone, 200);
        }
        world.assert_nothing_left();
    }
    // A call that ends before takes its timer with it.
    let world = answered("\"Dial(PJSIP/bob,20,L(500000))\"");
    end(world);
}

#[test]
fn a_caller_may_hear_ringing_from_the_beginning() {
    // Music is early media, too.
    for (option, ringing, early) in [("r", 2, 0), ("m", 0, 1), ("", 0, 1)] {
        let mut world = call(&format!("\"Dial(PJSIP/bob,20,{option})\""));
        assert_eq!(world.count_to(ALICE, "180 INVITE"), ringing / 2, "{option}");
        world.answer(BOB, 183, Some(&bobs(6000)));
        world.run(50 * MS);
        assert_eq!(world.count_to(ALICE, "180 INVITE"), ringing, "{option}");
        assert_eq!(world.count_to(ALICE, "183 INVITE"), early, "{option}");
        world.answer(BOB, 486, None);
        world.assert_nothing_left();
    }
}
