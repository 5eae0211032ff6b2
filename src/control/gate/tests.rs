//! Guessers, offices and floods, on the wire.

use crate::control::call::tests::world::*;
use crate::control::gate::bans;
use crate::metrics::RejectReason;
use crate::sip::auth::{Answer, Asker, Password, challenges};
use crate::sip::flow::{Flow, Protocol, TransportId};
use crate::sip::message::{Message, Method, RequestDraft};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const STRANGER: &str = "192.0.2.200:40000";
const QUEUE: usize = 1024;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Hands a datagram of this source to the gateway; the status of its answer, if it gets one.
fn knock(world: &mut World, source: &str, bytes: Bytes) -> Option<u16> {
    let before = world.wire.len();
    let flow = Flow {
        transport: TransportId(0),
        protocol: Protocol::Udp,
        peer: address(source),
        domain: None,
    };
    world.gateway.handle_datagram(world.now, flow, bytes);
    world.collect();
    let sent = world.wire[before..].iter();
    let answer = sent.rev().find(|sent| sent.to == address(source))?;
    match Message::parse(answer.bytes.clone()) {
        Ok(Message::Response(response)) => Some(response.status()),
        _ => None,
    }
}

fn draft(method: Method, source: &str, user: &str, number: u32) -> RequestDraft {
    let cseq = format!("1 {method}");
    RequestDraft::new(method, "sip:100@192.0.2.1")
        .header("From", format_args!("<sip:{user}@192.0.2.1>;tag=t{number}"))
        .header("To", "<sip:100@192.0.2.1>")
        .header("Call-ID", format_args!("{number}@{source}"))
        .header("CSeq", cseq)
        .header("Contact", format_args!("<sip:{user}@192.0.2.200>"))
}

fn write(draft: &RequestDraft, source: &str, branch: u32) -> Bytes {
    draft.write(&format!(
        "SIP/2.0/UDP {source};branch=z9hG4bKx{branch};rport"
    ))
}

fn options(source: &str, user: &str, number: u32) -> Bytes {
    write(
        &draft(Method::Options, source, user, number),
        source,
        number,
    )
}

/// A request with credentials for a challenge that this source was given.
fn with_password(world: &mut World, source: &str, number: u32, password: &str) -> Bytes {
    let before = world.wire.len();
    assert_eq!(
        knock(world, source, options(source, "phone", number)),
        Some(401)
    );
    let Ok(Message::Response(response)) = Message::parse(world.wire[before].bytes.clone()) else {
        panic!("a challenge")
    };
    let challenge = challenges(response.headers(), Asker::User).remove(0);
    let answer = challenge.answer(&Answer {
        username: "phone",
        password: Password(password),
        method: &Method::Options,
        uri: "sip:100@192.0.2.1",
        body: &[],
        cnonce: "abcdef",
        nonce_count: 1,
    });
    let request = draft(Method::Options, source, "phone", number)
        .set_header("CSeq", "2 OPTIONS")
        .header("Authorization", answer);
    write(&request, source, 100_000 + number)
}

/// Guesses until nothing is answered any more; how many guesses were.
fn guess_until_banned(world: &mut World, source: &str) -> u32 {
    for number in 0..100 {
        let guess = with_password(world, source, number, "guess");
        assert_eq!(knock(world, source, guess), Some(401));
        if knock(world, source, options(source, "phone", 1_000 + number)).is_none() {
            return number + 1;
        }
    }
    panic!("never banned")
}

fn rejected(world: &World, reason: RejectReason) -> u64 {
    let mut all = world.gateway.metrics().rejections();
    all.find(|(other, _)| *other == reason)
        .map_or(0, |(_, count)| count)
}

#[test]
fn a_guesser_is_not_heard_for_a_while_and_heard_again_when_the_ban_is_lifted() {
    let mut world = World::new();
    assert!(guess_until_banned(&mut world, STRANGER) <= 10);
    assert_eq!(rejected(&world, RejectReason::Banned), 1);
    let rows = world.gateway.bans(world.now);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].source.as_str(), rows[0].left_s),
        ("192.0.2.200", 300)
    );
    // From no port of it, with whatever it says, and with the right password neither.
    assert_eq!(
        knock(&mut world, "192.0.2.200:1", Bytes::from_static(b"hello")),
        None
    );
    assert!(world.gateway.lift_ban(IpAddr::from([192, 0, 2, 200])));
    let good = with_password(&mut world, STRANGER, 500, "s3cret");
    assert_eq!(knock(&mut world, STRANGER, good), Some(200));
    world.assert_nothing_left();
}

#[test]
fn whether_a_name_exists_makes_no_difference() {
    let mut world = World::new();
    for source in ["192.0.2.201:5060", "192.0.2.202:5060"] {
        let user = if source.contains("201") {
            "phone"
        } else {
            "nobody"
        };
        let answered = (0..2_000)
            .take_while(|n| knock(&mut world, source, options(source, user, *n)).is_some())
            .count();
        assert_eq!(answered, 500, "{user}");
    }
    world.assert_nothing_left();
}

#[test]
fn an_office_with_one_wrong_phone_goes_on() {
    let mut world = World::new();
    let (good, wrong) = ("192.0.2.210:1001", "192.0.2.210:1002");
    let request = with_password(&mut world, good, 1, "s3cret");
    assert_eq!(knock(&mut world, good, request), Some(200));
    guess_until_banned(&mut world, wrong);
    let request = with_password(&mut world, good, 2, "s3cret");
    assert_eq!(knock(&mut world, good, request), Some(200));
    assert_eq!(world.gateway.bans(world.now)[0].source, wrong);
    world.assert_nothing_left();
}

#[test]
fn rubbish_bans_a_stranger_and_never_a_trunk() {
    let mut world = World::new();
    let rubbish = Bytes::from_static(b"\x16\x03\x01 no SIP at all");
    for _ in 0..50 {
        knock(&mut world, STRANGER, rubbish.clone());
        knock(&mut world, ALICE, rubbish.clone());
    }
    assert_eq!(rejected(&world, RejectReason::Malformed), 10 + 50);
    assert_eq!(rejected(&world, RejectReason::Banned), 40);
    assert_eq!(
        knock(&mut world, ALICE, options(ALICE, "alice", 1)),
        Some(200)
    );
    world.assert_nothing_left();
}

#[test]
fn a_flood_of_strangers_leaves_trunks_and_running_calls_alone() {
    let mut world = World::new();
    world.talk("100");
    let now = world.now;
    world.gateway.handle_backlog(now, QUEUE / 2, QUEUE);
    world.now += Duration::from_secs(1);
    let heard = (0..1_000_u32)
        .filter(|n| {
            let source = format!("192.0.{}.{}:5060", 3 + n / 250, 1 + n % 250);
            knock(&mut world, &source, options(&source, "nobody", *n)).is_some()
        })
        .count();
    assert_eq!(heard, 100);
    assert_eq!(rejected(&world, RejectReason::Overload), 900);
    assert_eq!(
        knock(&mut world, ALICE, options(ALICE, "alice", 1)),
        Some(200)
    );
    // The called side is no trunk of ours by its address, but we have called it.
    world.request(BOB, Method::Bye, None);
    world.run(100 * MS);
    assert!(world.to(BOB).contains(&String::from("200 BYE")));
    world.run(100 * MS);
    assert!(world.to(ALICE).contains(&String::from("BYE")));
}

#[test]
fn what_lasts_is_answered_503_but_for_running_calls() {
    let mut world = World::new();
    world.talk("100");
    world.phones_answer = true;
    for _ in 0..3 {
        let now = world.now;
        world.gateway.handle_backlog(now, QUEUE, QUEUE);
        world.now += 100 * MS;
    }
    let transactions = world.gateway.sip().transactions();
    assert_eq!(
        knock(&mut world, ALICE, options(ALICE, "alice", 1)),
        Some(503)
    );
    assert_eq!(world.gateway.sip().transactions(), transactions);
    world.request(ALICE, Method::Bye, None);
    world.run(100 * MS);
    assert!(world.to(ALICE).contains(&String::from("200 BYE")));
    let now = world.now;
    world.gateway.handle_backlog(now, QUEUE / 8 - 1, QUEUE);
    assert_eq!(
        knock(&mut world, ALICE, options(ALICE, "alice", 2)),
        Some(200)
    );
    world.run(bans::VOUCHED);
    world.assert_nothing_left();
}
