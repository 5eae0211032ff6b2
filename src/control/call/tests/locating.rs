//! Where calls to a host name go: the DNS decides, and what fails is tried last.

use super::world::*;
use crate::control::locate::names::Answer;
use crate::control::locate::outages::DEAD_TIME;
use crate::sip::resolve::{Question, Records, Srv};
use std::net::SocketAddr;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn named() -> World {
    named_over(|_| Fate::Deliver)
}

/// A call to a host with two addresses, BOB's first and CAROL's second, on a network with this fate for datagrams.
fn named_over(fate: fn(&Sent) -> Fate) -> World {
    let mut world = World::with_config(&CONFIG.replace(
        "sip:pbx.example.com:5070",
        "sip:pbx.example.com;transport=udp",
    ));
    world.network = Box::new(move |_, sent| fate(sent));
    call(&mut world);
    let service = Question::Srv(String::from("_sip._udp.pbx.example.com"));
    assert_eq!(world.resolves, std::slice::from_ref(&service));
    let record = |priority, phone: &str, target: &str| Srv {
        priority,
        weight: 0,
        port: phone.parse::<SocketAddr>().expect("an address").port(),
        target: target.to_owned(),
    };
    let records = vec![
        record(2, CAROL, "two.example.com"),
        record(1, BOB, "one.example.com"),
    ];
    answer(&mut world, &service, Records::Srv(records));
    for (phone, host) in [(BOB, "one.example.com"), (CAROL, "two.example.com")] {
        let address = phone.parse::<SocketAddr>().expect("an address").ip();
        let question = Question::address(host);
        assert!(world.resolves.contains(&question));
        answer(&mut world, &question, Records::Addresses(vec![address]));
    }
    world
}

fn call(world: &mut World) {
    let body = sdp("198.51.100.10", 4000, 1, "0", "sendrecv");
    world.invite(ALICE, "109", Some(&body));
    world.run(50 * MS);
}

fn answer(world: &mut World, question: &Question, records: Records) {
    let ttl = Some(Duration::from_secs(3600));
    let answer = Answer::Records { records, ttl };
    world.gateway.handle_resolved(world.now, question, answer);
    world.run(50 * MS);
}

fn asked(world: &World) -> (usize, usize) {
    let invites = |phone| {
        let names = world.to(phone).into_iter();
        names.filter(|name| name == "INVITE").count()
    };
    (invites(BOB), invites(CAROL))
}

fn unreachable(world: &mut World, phone: &str) {
    let flow = flow(phone.parse().expect("an address"));
    world.gateway.handle_flow_failed(world.now, flow);
    world.run(50 * MS);
}

#[test]
fn an_address_that_cannot_be_reached_gives_way_to_the_next_and_is_tried_last_for_a_while() {
    let mut world = named();
    assert_eq!(asked(&world), (1, 0));
    unreachable(&mut world, BOB);
    assert_eq!(asked(&world), (1, 1));
    world.answer(CAROL, 486, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(486));
    world.run(Duration::from_secs(40));
    call(&mut world);
    assert_eq!(asked(&world), (1, 2));
    world.answer(CAROL, 486, None);
    world.run(DEAD_TIME);
    call(&mut world);
    assert_eq!(asked(&world), (2, 2));
    world.answer(BOB, 486, None);
    world.run(Duration::from_secs(40));
    world.assert_nothing_left();
}

#[test]
fn an_overloaded_address_gives_way_and_one_that_refuses_does_not() {
    let mut world = named();
    world.answer(BOB, 503, None);
    world.run(50 * MS);
    assert_eq!(asked(&world), (1, 1));
    world.answer(CAROL, 480, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(480));
    world.run(Duration::from_secs(40));
    world.assert_nothing_left();
}

#[test]
fn silence_gives_way_too() {
    let mut world = named_over(|sent| match sent.to == address(BOB) {
        true => Fate::Lose,
        false => Fate::Deliver,
    });
    // Timer B.
    world.run(Duration::from_secs(32));
    assert_eq!(asked(&world).1, 1);
    world.answer(CAROL, 486, None);
    world.run(Duration::from_secs(40));
    world.assert_nothing_left();
}

#[test]
fn a_callee_that_rang_is_not_rung_again_elsewhere() {
    let mut world = named();
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    unreachable(&mut world, BOB);
    assert_eq!(asked(&world), (1, 0));
    assert_eq!(world.phone(ALICE).final_status(), Some(503));
    world.run(Duration::from_secs(40));
    world.assert_nothing_left();
}

#[test]
fn a_name_that_nobody_knows_is_nowhere() {
    let mut world = World::new();
    call(&mut world);
    let question = Question::address("pbx.example.com");
    assert_eq!(world.resolves, std::slice::from_ref(&question));
    world
        .gateway
        .handle_resolved(world.now, &question, Answer::Failed);
    world.run(50 * MS);
    let status = world.phone(ALICE).final_status();
    assert!(status.is_some_and(|status| status >= 400));
    world.run(Duration::from_secs(40));
    world.assert_nothing_left();
}

#[test]
fn host_names_that_identify_are_asked_for_again_when_their_time_is_over() {
    let identify = "[identify.named]\nendpoint = \"named\"\nmatch = [\"Trunk.example.com\"]\n";
    let mut world = World::with_config(&format!("{CONFIG}\n{identify}"));
    world.run(50 * MS);
    let question = Question::address("trunk.example.com");
    assert_eq!(world.resolves, std::slice::from_ref(&question));
    let answer = Answer::Records {
        records: Records::Addresses(vec![[198, 18, 0, 1].into()]),
        ttl: Some(Duration::from_secs(20)),
    };
    world.gateway.handle_resolved(world.now, &question, answer);
    world.run(Duration::from_secs(19));
    assert_eq!(world.resolves.len(), 1);
    world.run(Duration::from_secs(2));
    assert_eq!(world.resolves.len(), 2);
    // Nobody answers: it is asked again soon.
    world
        .gateway
        .handle_resolved(world.now, &question, Answer::Failed);
    world.run(Duration::from_secs(11));
    assert_eq!(world.resolves.len(), 3);
}
