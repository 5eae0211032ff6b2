//! Trunk groups: which member a call goes to, and when the next one is tried.

use super::world::*;
use crate::metrics::Format;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn alice() -> String {
    sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv")
}

/// A call to the group; who is asked within 50 ms.
fn call(world: &mut World, extension: &str) -> Vec<&'static str> {
    let before = [BOB, CAROL].map(|phone| world.distinct_to(phone, "INVITE"));
    world.invite(ALICE, extension, Some(&alice()));
    world.run(50 * MS);
    let phones = [BOB, CAROL].into_iter().zip(before);
    phones
        .filter(|(phone, before)| world.distinct_to(phone, "INVITE") > *before)
        .map(|(phone, _)| phone)
        .collect()
}

#[test]
fn a_silent_member_is_given_up_in_seconds_and_cancelled_when_it_comes_back() {
    let mut world = World::new();
    let mut lost = 0;
    world.network = Box::new(move |_, sent| {
        let is_lost = sent.to == address(BOB) && sent.name() == "INVITE" && lost < 4;
        lost += u32::from(is_lost);
        if is_lost { Fate::Lose } else { Fate::Deliver }
    });
    assert_eq!(call(&mut world, "8123"), [BOB]);
    world.run(3900 * MS);
    assert_eq!(world.to(CAROL).len(), 0);
    world.run(100 * MS);
    assert_eq!(world.to(CAROL), ["INVITE"]);
    // Its fifth copy arrives, and it rings.
    world.run(4 * SECOND);
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    assert_eq!(world.count_to(BOB, "CANCEL"), 1);
    assert_eq!(
        world.count_to(ALICE, "180 INVITE"),
        0,
        "it rings for nobody"
    );
    world.answer(BOB, 487, None);
    world.answer(CAROL, 486, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(486));
    let text = Format::Text.encode(&world.gateway.metrics().registry().gather());
    let counted = "ringway_calls_total{direction=\"out\",endpoint=\"bob\",result=\"no_answer\"} 1";
    assert!(text.contains(counted), "{text}");
    world.assert_nothing_left();
}

#[test]
fn a_member_that_has_said_anything_keeps_its_time_and_so_does_the_last() {
    let mut world = World::new();
    assert_eq!(call(&mut world, "8123"), [BOB]);
    // Its stack has answered 100 by itself.
    world.run(20 * SECOND);
    assert_eq!(world.to(CAROL).len(), 0);
    world.answer(BOB, 503, None);
    world.run(50 * MS);
    assert_eq!(world.to(CAROL), ["INVITE"]);
    world.answer(CAROL, 486, None);
    world.assert_nothing_left();

    let mut world = World::new();
    world.network = Box::new(|_, sent| match sent.to.to_string().as_str() {
        BOB | CAROL => Fate::Lose,
        _ => Fate::Deliver,
    });
    assert_eq!(call(&mut world, "8123"), [BOB]);
    world.run(35 * SECOND);
    assert_eq!(world.phone(ALICE).final_status(), None);
    world.run(2 * SECOND);
    assert_eq!(world.phone(ALICE).final_status(), Some(408));
    world.assert_nothing_left();
}

#[test]
fn a_member_that_asks_for_a_password_is_not_silent() {
    let auth = "aors = [\"bob\"]\noutbound_auth = { username = \"us\", password = \"p\" }";
    let mut world = World::with_config(&CONFIG.replace("aors = [\"bob\"]", auth));
    let mut seen = 0;
    // Its stack's own 100 is lost, and so are the first copies of the second INVITE.
    world.network = Box::new(move |_, sent| {
        let is_second = sent.to == address(BOB) && sent.text().contains("CSeq: 2 INVITE");
        seen += u32::from(is_second);
        match sent.name().as_str() {
            "100 INVITE" => Fate::Lose,
            _ if is_second && seen < 3 => Fate::Lose,
            _ => Fate::Deliver,
        }
    });
    assert_eq!(call(&mut world, "8123"), [BOB]);
    world.run(3500 * MS);
    let challenge = "Digest realm=\"trunk\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
    world.answer_with(BOB, 401, None, &[("WWW-Authenticate", challenge)]);
    world.run(2 * SECOND);
    assert_eq!(world.to(CAROL).len(), 0);
    world.run(SECOND);
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(486));
    world.assert_nothing_left();
}

#[test]
fn the_time_of_a_silent_member_is_configured() {
    let with = |timeout: &str| {
        let key = format!("failover_on = [503]\nresponse_timeout = {timeout}");
        let mut world = World::with_config(&CONFIG.replace("failover_on = [503]", &key));
        world.network = Box::new(|_, sent| match sent.to == address(BOB) {
            true => Fate::Lose,
            false => Fate::Deliver,
        });
        assert_eq!(call(&mut world, "8123"), [BOB]);
        world
    };
    let mut world = with("1.5");
    world.run(1500 * MS);
    assert_eq!(world.to(CAROL), ["INVITE"]);
    let mut world = with("0");
    world.run(31 * SECOND);
    assert_eq!(world.to(CAROL).len(), 0);
    world.run(SECOND);
    assert_eq!(world.to(CAROL), ["INVITE"]);
}

#[test]
fn a_full_member_is_passed_over() {
    for limit in ["max_calls = 1", "cps = 0.1"] {
        let mut world = World::with_config(&CONFIG.replace("max_calls = 50", limit));
        assert_eq!(call(&mut world, "8123"), [BOB], "{limit}");
        assert_eq!(call(&mut world, "8124"), [CAROL], "{limit}");
    }
    let mut world = World::with_config(&CONFIG.replace("max_calls = 50", "cps = 0.1"));
    call(&mut world, "8123");
    world.run(10 * SECOND);
    assert_eq!(call(&mut world, "8124"), [BOB], "its time has come again");
}

#[test]
fn a_member_that_asks_to_be_left_alone_is_passed_over_for_so_long() {
    let mut world = World::new();
    assert_eq!(call(&mut world, "8123"), [BOB]);
    world.answer_with(BOB, 503, None, &[("Retry-After", "30")]);
    world.run(50 * MS);
    assert_eq!(world.to(CAROL), ["INVITE"]);
    assert_eq!(call(&mut world, "8124"), [CAROL]);
    world.run(30 * SECOND);
    assert_eq!(call(&mut world, "8125"), [BOB]);
}

#[test]
fn a_member_that_does_not_answer_options_is_passed_over() {
    let config = CONFIG.replace(
        "contact = [\"sip:bob@203.0.113.20:5070\"]",
        "contact = [\"sip:bob@203.0.113.20:5070\"]\nqualify_frequency = 10",
    );
    let mut world = World::with_config(&config);
    world.network = Box::new(|_, sent| match sent.to == address(BOB) {
        true => Fate::Lose,
        false => Fate::Deliver,
    });
    world.run(20 * SECOND);
    assert_eq!(call(&mut world, "8123"), [CAROL]);
    world.network = Box::new(|_, _| Fate::Deliver);
    for _ in 0..30 {
        world.run(SECOND);
        let phone = world.phone(BOB);
        let asks = |event: &crate::sip::endpoint::Event| matches!(event, crate::sip::endpoint::Event::Request { request, .. } if *request.method() == Method::Options);
        if phone.events.iter().any(asks) {
            world.confirm(BOB, 200);
        }
    }
    assert_eq!(call(&mut world, "8124"), [BOB]);
}
