//! Session timers (RFC 4028): both refreshers on both legs, over hours.

use super::world::*;
use crate::sip::message::{Method, ResponseDraft};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const SDP: &str = "application/sdp";
const HOURS: u64 = 3 * 3600;

fn alice(version: u64, direction: &str) -> String {
    sdp("198.51.100.10", 4000, version, "8 0", direction)
}

fn bob(version: u64, direction: &str) -> String {
    sdp("203.0.113.20", 6000, version, "8 0", direction)
}

/// The configuration with these lines for Alice and Bob.
fn config(lines: &str) -> String {
    CONFIG.replacen("\ncontext = ", &format!("\n{lines}\ncontext = "), 2)
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// An answered call; these are the headers of Alice's INVITE and of Bob's 200.
fn talking(config: &str, of_alice: &[(&str, &str)], of_bob: &[(&str, &str)]) -> World {
    let mut world = World::with_config(config);
    world.invite_with(ALICE, "100", Some(&alice(1, "sendrecv")), of_alice);
    world.run(50 * MS);
    world.answer_with(BOB, 200, Some(&bob(1, "sendrecv")), of_bob);
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    world
}

fn is_up(world: &World) -> bool {
    let calls = world.gateway.calls(world.now);
    calls.first().is_some_and(|call| call.state == "up")
}

fn end(mut world: World) {
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

fn ended_by_us(mut world: World) {
    assert!(!is_up(&world));
    for phone in [ALICE, BOB] {
        assert_eq!(world.distinct_to(phone, "BYE"), 1, "{phone}");
        world.confirm(phone, 200);
    }
    world.assert_nothing_left();
}

#[test]
fn a_callee_that_takes_update_is_refreshed_by_it_for_hours() {
    let expires = ("Session-Expires", "120;refresher=uac");
    let of_bob = [
        expires,
        ("Allow", "INVITE, BYE, UPDATE"),
        ("Require", "timer"),
    ];
    let mut world = talking(CONFIG, &[], &of_bob);
    let invite = world.last_to(BOB, "INVITE");
    assert_eq!(header(&invite, "Session-Expires"), Some("1800"));
    assert_eq!(header(&invite, "Min-SE"), Some("90"));
    assert!(header(&invite, "Supported").is_some_and(|tags| tags.contains("timer")));
    for count in 1..=HOURS / 60 {
        world.run(60 * S);
        assert_eq!(world.distinct_to(BOB, "UPDATE") as u64, count);
        let update = world.last_to(BOB, "UPDATE");
        assert_eq!(header(&update, "Session-Expires"), Some(expires.1));
        assert_eq!(body(&update), "");
        let response = ResponseDraft::new(200).header(expires.0, expires.1);
        world.confirm_by(BOB, &response);
        world.run(20 * MS);
    }
    assert!(is_up(&world));
    assert_eq!(
        world.distinct_to(ALICE, "UPDATE") + world.distinct_to(ALICE, "INVITE"),
        0
    );
    end(world);
}

#[test]
fn a_callee_that_takes_none_gets_the_same_description_again() {
    let expires = [("Session-Expires", "120;refresher=uac")];
    let mut world = talking(CONFIG, &[], &expires);
    let first = world.last_to(BOB, "INVITE");
    for count in 2..=HOURS as usize / 60 {
        world.run(60 * S);
        assert_eq!(world.distinct_to(BOB, "INVITE"), count);
        assert_eq!(body(&world.last_to(BOB, "INVITE")), body(&first));
        world.answer_with(BOB, 200, Some(&bob(1, "sendrecv")), &expires);
        world.run(20 * MS);
        assert_eq!(world.distinct_to(BOB, "ACK"), count);
    }
    assert!(is_up(&world));
    end(world);
}

#[test]
fn a_caller_that_refreshes_lives_until_it_no_longer_does() {
    for means in [Method::Update, Method::Invite] {
        let asked = [("Supported", "timer"), ("Session-Expires", "120")];
        let mut world = talking(CONFIG, &asked, &[]);
        let ok = world.last_to(ALICE, "200 INVITE");
        assert_eq!(header(&ok, "Session-Expires"), Some("120;refresher=uac"));
        assert_eq!(header(&ok, "Require"), Some("timer"));
        let asked = [
            ("Supported", "timer"),
            ("Session-Expires", "120;refresher=uac"),
        ];
        let same = alice(1, "sendrecv");
        for _ in 1..=HOURS / 60 {
            world.run(60 * S);
            let body = (means == Method::Invite).then_some((SDP, same.as_str()));
            world.request_with(ALICE, means.clone(), body, &asked);
            world.run(20 * MS);
            assert_eq!(world.phone(ALICE).final_status(), Some(200));
            let ok = world.last_to(ALICE, &format!("200 {means}"));
            assert_eq!(header(&ok, "Session-Expires"), Some("120;refresher=uac"));
            if means == Method::Invite {
                world.ack(ALICE, None);
            }
        }
        assert!(is_up(&world));
        assert_eq!(
            world.distinct_to(BOB, "INVITE"),
            1,
            "a refresh is no affair of Bob's"
        );
        world.run(87 * S);
        assert!(is_up(&world));
        world.run(2 * S);
        ended_by_us(world);
    }
}

#[test]
fn a_callee_that_refreshes_lives_until_it_no_longer_does() {
    let expires = [("Session-Expires", "90;refresher=uas")];
    let mut world = talking(CONFIG, &[], &expires);
    for _ in 1..=HOURS / 45 {
        world.run(45 * S);
        let asked = [
            ("Supported", "timer"),
            ("Session-Expires", "90;refresher=uac"),
        ];
        world.request_with(BOB, Method::Update, None, &asked);
        world.run(20 * MS);
        assert_eq!(world.phone(BOB).final_status(), Some(200));
    }
    assert!(is_up(&world));
    // A third of the interval is less than 32 s.
    world.run(59 * S);
    assert!(is_up(&world));
    world.run(2 * S);
    ended_by_us(world);
}

#[test]
fn an_interval_that_a_proxy_asked_for_is_refreshed_by_us() {
    let asked = [("Session-Expires", "200"), ("Allow", "UPDATE")];
    let mut world = talking(CONFIG, &asked, &[]);
    let ok = world.last_to(ALICE, "200 INVITE");
    assert_eq!(header(&ok, "Session-Expires"), Some("200;refresher=uas"));
    assert_eq!(header(&ok, "Require"), None);
    world.run(101 * S);
    assert_eq!(world.distinct_to(ALICE, "UPDATE"), 1);
    // Who knows nothing of session timers answers without, and they end.
    world.confirm(ALICE, 200);
    world.run(1_000 * S);
    assert!(is_up(&world));
    end(world);
}

#[test]
fn what_becomes_of_a_refresh_that_fails() {
    for (status, goes_on) in [(500, true), (491, true), (408, false), (481, false)] {
        let expires = ("Session-Expires", "120;refresher=uac");
        let mut world = talking(CONFIG, &[], &[expires, ("Allow", "UPDATE")]);
        world.run(61 * S);
        world.confirm(BOB, status);
        world.run(20 * MS);
        assert_eq!(is_up(&world), goes_on, "{status}");
        if !goes_on {
            ended_by_us(world);
            continue;
        }
        world.run(10 * S);
        assert_eq!(world.distinct_to(BOB, "UPDATE"), 2, "{status}: tried again");
        let response = ResponseDraft::new(200).header(expires.0, expires.1);
        world.confirm_by(BOB, &response);
        world.run(59 * S);
        assert!(is_up(&world));
        end(world);
    }
}

#[test]
fn a_refresh_that_is_always_refused_ends_the_call_at_its_time() {
    let of_bob = [
        ("Session-Expires", "120;refresher=uac"),
        ("Allow", "UPDATE"),
    ];
    let mut world = talking(CONFIG, &[], &of_bob);
    for _ in 0..87 {
        world.run(S);
        world.confirm(BOB, 500);
    }
    assert!(is_up(&world));
    world.run(2 * S);
    ended_by_us(world);
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_call() {
    let of_bob = [
        ("Session-Expires", "600;refresher=uac"),
        ("Allow", "UPDATE"),
    ];
    let mut world = talking(CONFIG, &[], &of_bob);
    world.network = Box::new(|_, sent| match sent.to.to_string().as_str() {
        BOB => Fate::Lose,
        _ => Fate::Deliver,
    });
    world.run(300 * S + 33 * S);
    assert!(world.distinct_to(ALICE, "BYE") > 0);
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

#[test]
fn a_refresh_finds_another_exchange_and_waits_for_it() {
    let expires = [("Session-Expires", "120;refresher=uac")];
    let mut world = talking(CONFIG, &[], &expires);
    world.run(59 * S);
    world.request(ALICE, Method::Invite, Some((SDP, &alice(2, "sendonly"))));
    world.run(2 * S);
    let passed = world.last_to(BOB, "INVITE");
    assert!(passed.contains("a=sendonly\r\n"));
    assert_eq!(
        header(&passed, "Session-Expires"),
        Some("120;refresher=uac")
    );
    assert_eq!(world.distinct_to(BOB, "INVITE"), 2, "not two at once");
    world.answer_with(BOB, 200, Some(&bob(2, "recvonly")), &expires);
    world.run(50 * MS);
    world.ack(ALICE, None);
    // Alice's hold was a refresh of Bob's session, too.
    world.run(59 * S);
    assert_eq!(world.distinct_to(BOB, "INVITE"), 2);
    world.run(2 * S);
    assert_eq!(world.distinct_to(BOB, "INVITE"), 3);
    assert!(world.last_to(BOB, "INVITE").contains("a=sendonly\r\n"));
    // While it runs, others get 491.
    world.request(ALICE, Method::Invite, Some((SDP, &alice(3, "sendrecv"))));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(491));
    world.answer_with(BOB, 200, Some(&bob(2, "recvonly")), &expires);
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "held");
    end(world);
}

#[test]
fn a_refresh_is_answered_in_the_middle_of_an_exchange() {
    let asked = [
        ("Supported", "timer"),
        ("Session-Expires", "90;refresher=uac"),
    ];
    let mut world = talking(CONFIG, &asked, &[]);
    world.run(50 * S);
    world.request(BOB, Method::Invite, Some((SDP, &bob(2, "sendonly"))));
    world.run(50 * MS);
    world.request_with(ALICE, Method::Update, None, &asked);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.answer_with(ALICE, 200, Some(&alice(2, "recvonly")), &[asked[1]]);
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    world.ack(BOB, None);
    world.run(40 * S);
    assert_eq!(world.gateway.calls(world.now)[0].state, "held");
    end(world);
}

#[test]
fn an_interval_that_is_too_small_is_422_either_way() {
    let config = config("timers_min_se = 300");
    let mut world = World::with_config(&config);
    let short = [("Supported", "timer"), ("Session-Expires", "299")];
    world.invite_with(ALICE, "100", Some(&alice(1, "sendrecv")), &short);
    world.run(50 * MS);
    assert_eq!(
        header(&world.last_to(ALICE, "422 INVITE"), "Min-SE"),
        Some("300")
    );
    assert_eq!(world.distinct_to(BOB, "INVITE"), 0);
    world.assert_nothing_left();
    // In the dialog.
    let enough = [("Supported", "timer"), ("Session-Expires", "300")];
    let mut world = talking(&config, &enough, &[]);
    for method in [Method::Update, Method::Invite] {
        let offer = alice(1, "sendrecv");
        let body = (method == Method::Invite).then_some((SDP, offer.as_str()));
        world.request_with(ALICE, method.clone(), body, &short);
        world.run(50 * MS);
        let refused = world.last_to(ALICE, &format!("422 {method}"));
        assert_eq!(header(&refused, "Min-SE"), Some("300"));
    }
    end(world);
}

#[test]
fn a_callee_may_raise_the_interval_but_not_for_ever() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alice(1, "sendrecv")));
    world.run(50 * MS);
    for (count, least) in [(2, "3600"), (3, "3601"), (4, "3602")] {
        world.answer_with(BOB, 422, None, &[("Min-SE", least)]);
        world.run(50 * MS);
        let again = world.last_to(BOB, "INVITE");
        assert_eq!(header(&again, "Session-Expires"), Some(least));
        assert_eq!(header(&again, "Min-SE"), Some(least));
        assert_eq!(
            header(&again, "CSeq"),
            Some(format!("{count} INVITE").as_str())
        );
        assert!(again.contains("m=audio "));
    }
    world.answer_with(BOB, 422, None, &[("Min-SE", "3603")]);
    world.run(50 * MS);
    assert_eq!(world.distinct_to(BOB, "INVITE"), 4);
    assert_eq!(world.phone(ALICE).final_status(), Some(500));
    world.assert_nothing_left();
}

#[test]
fn the_keys_say_with_whom_they_are_spoken() {
    // no: nothing is said, and nothing that is asked is heard.
    let asked = [("Supported", "timer"), ("Session-Expires", "90")];
    let mut world = talking(&config("timers = \"no\""), &asked, &[asked[1]]);
    assert_eq!(
        header(&world.last_to(ALICE, "200 INVITE"), "Session-Expires"),
        None
    );
    let invite = world.last_to(BOB, "INVITE");
    assert_eq!(header(&invite, "Session-Expires"), None);
    assert!(!invite.contains("timer"));
    world.run(1_000 * S);
    assert!(is_up(&world));
    end(world);
    // required: 421 to who does not speak them.
    let required = config("timers = \"required\"");
    let mut world = World::with_config(&required);
    world.invite(ALICE, "100", Some(&alice(1, "sendrecv")));
    world.run(50 * MS);
    assert_eq!(
        header(&world.last_to(ALICE, "421 INVITE"), "Require"),
        Some("timer")
    );
    let mut world = World::with_config(&required);
    world.invite_with(ALICE, "100", Some(&alice(1, "sendrecv")), &asked);
    world.run(50 * MS);
    assert_eq!(
        header(&world.last_to(BOB, "INVITE"), "Require"),
        Some("timer")
    );
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    world.assert_nothing_left();
}

#[test]
fn always_refreshes_even_those_that_know_nothing_of_it() {
    let always = config("timers = \"always\"\ntimers_sess_expires = 100");
    let mut world = talking(&always, &[("Allow", "UPDATE")], &[("Allow", "UPDATE")]);
    for count in 1..=20 {
        world.run(50 * S);
        for phone in [ALICE, BOB] {
            assert_eq!(world.distinct_to(phone, "UPDATE"), count, "{phone}");
            world.confirm(phone, 200);
        }
        world.run(20 * MS);
    }
    assert!(is_up(&world));
    end(world);
}
