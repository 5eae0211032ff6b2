//! Who a request is taken for, on the wire.

use super::world::*;
use crate::control::locate::names::Answer;
use crate::metrics::RejectReason;
use crate::sip::auth::{self, Asker, Password, challenges};
use crate::sip::message::{Method, RequestDraft};
use crate::sip::resolve::{Question, Records};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn options(phone: &str, user: &str, number: u32) -> RequestDraft {
    RequestDraft::new(Method::Options, "sip:100@192.0.2.1")
        .header("From", format_args!("<sip:{user}@{phone}>;tag={number}"))
        .header("To", "<sip:100@192.0.2.1>")
        .header("Call-ID", format_args!("{phone}-{user}-{number}"))
        .header("CSeq", "1 OPTIONS")
}

/// The status of the answer to an OPTIONS of a user whom nothing tells.
fn status(world: &mut World, phone: &str, number: u32) -> Option<u16> {
    ask(world, phone, options(phone, "x", number))
}

fn ask(world: &mut World, phone: &str, request: RequestDraft) -> Option<u16> {
    world.send(phone, request);
    world.run(100 * MS);
    world.phone(phone).final_status()
}

fn rejected(world: &World, reason: RejectReason) -> u64 {
    let mut all = world.gateway.metrics().rejections();
    all.find(|(other, _)| *other == reason)
        .map_or(0, |(_, count)| count)
}

fn resolve(world: &mut World, addresses: &[&str], ttl: u64) {
    let addresses = addresses.iter().map(|text| text.parse().expect("one"));
    let answer = Answer::Records {
        records: Records::Addresses(addresses.collect()),
        ttl: Some(Duration::from_secs(ttl)),
    };
    let question = Question::address("sip.carrier.example");
    world.gateway.handle_resolved(world.now, &question, answer);
    world.collect();
}

const HOST: &str = "[endpoint.carrier]\ncontext = \"from-bob\"\n[identify.carrier]\nendpoint = \"carrier\"\n\
                    match = [\"sip.carrier.example\"]\n";

#[test]
fn a_host_name_is_followed_within_its_time_to_live_and_old_addresses_are_nobodys() {
    let mut world = World::with_config(&format!("{CONFIG}{HOST}"));
    world.run(MS);
    let question = Question::address("sip.carrier.example");
    assert_eq!(world.resolves.as_slice(), std::slice::from_ref(&question));
    assert_eq!(status(&mut world, CAROL, 1), Some(401));
    resolve(&mut world, &["203.0.113.30"], 60);
    assert_eq!(status(&mut world, CAROL, 2), Some(200));
    world.run(59 * SECOND);
    assert_eq!(world.resolves.len(), 1);
    world.run(SECOND);
    assert_eq!(world.resolves.len(), 2, "asked again when its time is over");
    assert_eq!(status(&mut world, CAROL, 3), Some(200), "until the answer");
    resolve(&mut world, &["203.0.113.31"], 60);
    assert_eq!(status(&mut world, CAROL, 4), Some(401));
    // A failure keeps what was known, and is tried again soon.
    resolve(&mut world, &["203.0.113.30"], 60);
    world.run(61 * SECOND);
    world.resolves.clear();
    world
        .gateway
        .handle_resolved(world.now, &question, Answer::Failed);
    world.run(10 * SECOND);
    assert_eq!(world.resolves, [question]);
    assert_eq!(status(&mut world, CAROL, 5), Some(200));
}

#[test]
fn a_header_tells_a_trunk_that_no_address_does() {
    let rule = "[endpoint.blue]\ncontext = \"from-bob\"\nacl = [\"only\"]\n[acl.only]\ndeny = [\"198.51.100.99\"]\n\
                [identify.blue]\nendpoint = \"blue\"\nmatch_header = \"X-Trunk: blue\"\n";
    let mut world = World::with_config(&format!("{CONFIG}{rule}"));
    assert_eq!(status(&mut world, CAROL, 1), Some(401));
    let with = options(CAROL, "x", 2).header("X-Trunk", "blue");
    assert_eq!(ask(&mut world, CAROL, with), Some(200));
}

#[test]
fn a_header_opens_no_endpoint_that_has_a_password() {
    let rule = "[identify.phone]\nendpoint = \"phone\"\nmatch_header = \"X-Trunk: blue\"\n";
    let mut world = World::with_config(&format!("{CONFIG}{rule}"));
    let with = options(CAROL, "x", 2).header("X-Trunk", "blue");
    assert_eq!(ask(&mut world, CAROL, with), Some(401));
}

/// A phone calls from the address of a trunk.
fn call_from_the_address_of_a_trunk(order: &str) -> World {
    let order = format!("[global]\nendpoint_identifier_order = [{order}]\n");
    let mut world = World::with_config(&format!("{CONFIG}{order}"));
    let from = [("From", "<sip:phone@198.51.100.10>;tag=f")];
    let body = sdp("198.51.100.10", 4000, 1, "0", "sendrecv");
    world.invite_with(ALICE, "105", Some(&body), &from);
    world.run(100 * MS);
    world
}

#[test]
fn a_phone_at_the_address_of_a_trunk_is_what_the_order_says() {
    let world = call_from_the_address_of_a_trunk("\"ip\", \"username\"");
    let row = &world.gateway.calls(world.now)[0];
    assert_eq!(row.from_endpoint, "alice");

    let mut world = call_from_the_address_of_a_trunk("\"username\", \"ip\"");
    assert_eq!(world.phone(ALICE).final_status(), Some(401));
    let (_, asked) = world.phone(ALICE).response(401).expect("a challenge");
    let challenge = challenges(asked.headers(), Asker::User).remove(0);
    let answer = challenge.answer(&auth::Answer {
        username: "phone",
        password: Password("s3cret"),
        method: &Method::Invite,
        uri: "sip:105@192.0.2.1",
        body: &[],
        cnonce: "abcdef",
        nonce_count: 1,
    });
    let headers = [
        ("From", "<sip:phone@198.51.100.10>;tag=f"),
        ("CSeq", "2 INVITE"),
        ("Authorization", answer.as_str()),
    ];
    let body = sdp("198.51.100.10", 4000, 1, "0", "sendrecv");
    world.invite_with(ALICE, "105", Some(&body), &headers);
    world.run(100 * MS);
    let row = &world.gateway.calls(world.now)[0];
    assert_eq!(row.from_endpoint, "phone");
}

#[test]
fn a_stranger_next_to_a_trunk_is_told_once_an_hour_and_trusted_no_more() {
    let mut world = World::new();
    let lines = logged(|| {
        assert_eq!(status(&mut world, CAROL, 1), Some(401));
        assert_eq!(status(&mut world, CAROL, 2), Some(401));
        world.run(3500 * SECOND);
        assert_eq!(status(&mut world, CAROL, 3), Some(401));
    });
    let told = |lines: &str| lines.matches("is next to this endpoint's").count();
    assert_eq!(told(&lines), 1, "{lines}");
    let line = lines.lines().find(|line| line.contains("is next to"));
    let line = line.expect("just counted");
    for field in [
        "endpoint=\"bob\"",
        "section=\"identify.bob\"",
        "add=203.0.113.30",
        "source=203.0.113.30:5080",
    ] {
        assert!(line.contains(field), "{field} in {line}");
    }
    assert_eq!(rejected(&world, RejectReason::Neighbour), 3);
    assert_eq!(rejected(&world, RejectReason::Unidentified), 0);
    let rows = world.gateway.strangers(world.now);
    let row = &rows[0];
    assert_eq!((rows.len(), row.requests), (1, 3));
    assert_eq!(
        (row.source.as_str(), row.reason.as_str()),
        ("203.0.113.30", "neighbour")
    );
    assert_eq!(
        (row.method.as_str(), row.beside.as_deref()),
        ("OPTIONS", Some("bob"))
    );
    let lines = logged(|| {
        world.run(100 * SECOND);
        assert_eq!(status(&mut world, CAROL, 4), Some(401));
    });
    assert_eq!(told(&lines), 1, "an hour later: {lines}");
}

#[test]
fn a_neighbour_whom_an_acl_denies_is_told_and_gets_no_answer() {
    let acl = "[acl.sip]\ndeny = [\"0.0.0.0/0\"]\npermit = [\"203.0.113.20\"]\n";
    let mut world = World::with_config(&format!("{CONFIG}{acl}"));
    let lines = logged(|| {
        assert_eq!(status(&mut world, CAROL, 1), None);
        world.run(40 * SECOND);
    });
    let told = lines.lines().filter(|line| line.contains("denied by an"));
    let told: Vec<&str> = told.collect();
    assert_eq!(told.len(), 1, "{lines}");
    assert!(told[0].contains("section=\"identify.bob\""));
    assert_eq!(world.to(CAROL).len(), 0);
    let row = &world.gateway.strangers(world.now)[0];
    assert_eq!(
        (row.reason.as_str(), row.beside.as_deref()),
        ("acl", Some("bob"))
    );
}

#[test]
fn who_is_challenged_and_answers_is_no_stranger() {
    let mut world = World::new();
    assert_eq!(
        ask(&mut world, CAROL, options(CAROL, "phone", 1)),
        Some(401)
    );
    assert!(world.gateway.strangers(world.now).is_empty());
}

#[test]
fn an_address_counts_only_on_the_transport_of_its_rule() {
    let config = CONFIG.replace(
        "match = [\"203.0.113.20\"]",
        "match = [\"203.0.113.20\"]\ntransport = \"tcp\"",
    );
    let mut world = World::with_config(&config);
    let lines = logged(|| assert_eq!(status(&mut world, BOB, 1), Some(401)));
    assert!(lines.contains("but not on this transport"), "{lines}");
}
