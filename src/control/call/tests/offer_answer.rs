//! Offer and answer by RFC 6337: every pattern of its table 1, on both legs, reliable or not; what is refused leaves all as
//! it was; and nowhere a description where none may be.

use super::world::*;
use crate::sip::endpoint::Event;
use crate::sip::message::Method;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SDP: &str = "application/sdp";

/// How Alice calls.
#[derive(Clone, Copy, Debug)]
struct Caller {
    offers: bool,
    reliable: bool,
}

/// How Bob answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callee {
    /// 180, then 200 with the answer.
    Plain,
    /// 183 with what the 200 says again.
    Early,
    /// A reliable 183 with the answer, then 200 without.
    ReliableAnswer,
    /// A reliable 180 without, then 200 with the answer.
    ReliableRinging,
}

/// A change of the session by one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Invite,
    InviteWithoutOffer,
    Update,
}

fn body_of(phone: &str, version: u64, direction: &str) -> String {
    match phone {
        ALICE => sdp("198.51.100.10", 4000, version, "8 0 101", direction),
        _ => sdp("203.0.113.20", 6000, version, "8 0 101", direction),
    }
}

/// One message of a leg.
struct Message {
    from: SocketAddr,
    /// `INVITE`, `200 INVITE` …
    name: String,
    /// Who sent its request, and the number of that.
    request: (SocketAddr, String),
    is_reliable: bool,
    has_body: bool,
}

/// What passed between the gateway and this phone, each message once, in order.
fn messages(world: &World, phone: &str) -> Vec<Message> {
    let mut seen = BTreeSet::new();
    let phone = address(phone);
    let between = world
        .wire
        .iter()
        .filter(|sent| sent.from == phone || sent.to == phone);
    let news = between.filter(|sent| seen.insert((sent.from, sent.bytes.clone())));
    let all: Vec<Message> = news
        .map(|sent| {
            let (text, name) = (sent.text(), sent.name());
            let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq: "));
            let by = if name.contains(' ') {
                sent.to
            } else {
                sent.from
            };
            Message {
                from: sent.from,
                request: (by, cseq.expect("it has one").to_owned()),
                is_reliable: text.contains("\r\nRSeq: "),
                has_body: text.contains("\r\n\r\nv=0"),
                name,
            }
        })
        .collect();
    // What a refused request offered never was.
    let is_refusal = |message: &&Message| matches!(message.name.as_bytes(), [b'3'..=b'6', ..]);
    let refusals = all.iter().filter(is_refusal);
    let refused: BTreeSet<_> = refusals.map(|message| message.request.clone()).collect();
    let stands = |message: &Message| !refused.contains(&message.request);
    all.into_iter().filter(stands).collect()
}

/// Where the answer to an offer may be (RFC 6337 table 1).
fn answers(offer: &str, message: &Message) -> bool {
    let is_1xx_rel = message.is_reliable && message.name.ends_with(" INVITE");
    match offer {
        "INVITE" => message.name == "200 INVITE" || is_1xx_rel,
        "200 INVITE" => message.name == "ACK",
        "1xx-rel" => message.name == "PRACK",
        "PRACK" => message.name == "200 PRACK",
        "UPDATE" => message.name == "200 UPDATE",
        _ => false,
    }
}

/// Demands that each description between the gateway and the phone is an offer where one may be, or its answer.
fn assert_in_order(world: &World, phone: &str, what: &str) {
    let mut waiting: Option<(SocketAddr, String)> = None;
    let mut exchanges = 0;
    for message in messages(world, phone) {
        let Message {
            from,
            name,
            is_reliable,
            has_body,
            ..
        } = &message;
        let is_preview = name.starts_with("18") && !is_reliable;
        if !has_body || is_preview {
            continue;
        }
        match waiting.take() {
            Some((by, offer)) => {
                assert!(
                    by != *from,
                    "{what}: {phone}: two offers of one side: {name}"
                );
                assert!(
                    answers(&offer, &message),
                    "{what}: {phone}: {offer} answered by {name}"
                );
                exchanges += 1;
            }
            None => {
                let container = if *is_reliable {
                    "1xx-rel"
                } else {
                    name.as_str()
                };
                let may_offer = ["INVITE", "200 INVITE", "1xx-rel", "PRACK", "UPDATE"];
                assert!(
                    may_offer.contains(&container),
                    "{what}: {phone}: an offer in {name}"
                );
                waiting = Some((*from, container.to_owned()));
            }
        }
    }
    assert!(
        waiting.is_none(),
        "{what}: {phone}: without an answer: {waiting:?}"
    );
    assert!(exchanges > 0, "{what}");
}

/// Alice acknowledges what is reliable and new, with the answer that she owes.
fn prack_all(world: &mut World, caller: Caller, owes: &mut bool) {
    if !caller.reliable {
        return;
    }
    for _ in 0..4 {
        let mut events = world.phone(ALICE).events.iter().rev();
        let last = events.find_map(|event| match event {
            Event::Response { response, .. } if response.headers().get("RSeq").is_some() => {
                Some(response.clone())
            }
            _ => None,
        });
        let Some(last) = last else {
            return;
        };
        let answer = body_of(ALICE, 1, "sendrecv");
        let is_owed = *owes && !last.body().is_empty();
        *owes &= !is_owed;
        world.prack(ALICE, 0, is_owed.then_some(&answer));
        world.run(50 * MS);
    }
}

/// A call from Alice to Bob, up.
fn talking(caller: Caller, callee: Callee) -> World {
    let mut world = World::new();
    let offer = body_of(ALICE, 1, "sendrecv");
    let require: &[(&str, &str)] = if caller.reliable {
        &[("Require", "100rel")]
    } else {
        &[]
    };
    world.invite_with(ALICE, "100", caller.offers.then_some(&offer), require);
    world.run(50 * MS);
    let mut owes = !caller.offers;
    let answer = body_of(BOB, 1, "sendrecv");
    let reliable = [("Require", "100rel"), ("RSeq", "9")];
    match callee {
        Callee::Plain => world.answer(BOB, 180, None),
        Callee::Early => world.answer(BOB, 183, Some(&answer)),
        Callee::ReliableAnswer => world.answer_with(BOB, 183, Some(&answer), &reliable),
        Callee::ReliableRinging => world.answer_with(BOB, 180, None, &reliable),
    }
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.run(50 * MS);
    prack_all(&mut world, caller, &mut owes);
    let has_answered = callee == Callee::ReliableAnswer;
    world.answer(BOB, 200, (!has_answered).then_some(&answer));
    world.run(50 * MS);
    prack_all(&mut world, caller, &mut owes);
    let late = body_of(ALICE, 1, "sendrecv");
    world.ack(ALICE, owes.then_some(&late));
    world.run(50 * MS);
    world
}

const CALLERS: [Caller; 4] = [
    Caller {
        offers: true,
        reliable: false,
    },
    Caller {
        offers: false,
        reliable: false,
    },
    Caller {
        offers: true,
        reliable: true,
    },
    Caller {
        offers: false,
        reliable: true,
    },
];

const CALLEES: [Callee; 4] = [
    Callee::Plain,
    Callee::Early,
    Callee::ReliableAnswer,
    Callee::ReliableRinging,
];

/// One side changes the session; the other takes it, or refuses.
fn change(world: &mut World, who: &str, change: Change, version: u64, is_refused: bool) {
    let far = if who == ALICE { BOB } else { ALICE };
    let body = body_of(who, version, "sendonly");
    let offer = Some((SDP, body.as_str()));
    match change {
        Change::Invite => world.request(who, Method::Invite, offer),
        Change::InviteWithoutOffer => world.request(who, Method::Invite, None),
        Change::Update => world.request(who, Method::Update, offer),
    };
    world.run(50 * MS);
    if change != Change::InviteWithoutOffer {
        answer_far(world, far, version, is_refused);
    }
    let expected = if is_refused { 488 } else { 200 };
    assert_eq!(world.phone(who).final_status(), Some(expected));
    match change {
        Change::Invite if !is_refused => world.ack(who, None),
        Change::InviteWithoutOffer => {
            // Its answer puts the other on hold, who is told.
            world.ack(who, Some(&body));
            world.run(50 * MS);
            answer_far(world, far, version, is_refused);
        }
        _ => {}
    }
    world.run(50 * MS);
}

fn answer_far(world: &mut World, far: &str, version: u64, is_refused: bool) {
    match is_refused {
        true => world.answer(far, 488, None),
        false => world.answer(far, 200, Some(&body_of(far, version, "recvonly"))),
    }
    world.run(50 * MS);
}

#[test]
fn every_way_to_set_up_a_call_has_one_offer_and_one_answer_on_each_leg() {
    for caller in CALLERS {
        for callee in CALLEES {
            let what = format!("{caller:?} {callee:?}");
            let world = talking(caller, callee);
            let rows = world.gateway.calls(world.now);
            assert_eq!(rows.len(), 1, "{what}");
            assert_eq!(rows[0].state, "up", "{what}");
            assert!(world.last_bridge().is_some(), "{what}");
            for phone in [ALICE, BOB] {
                assert_in_order(&world, phone, &what);
                assert_eq!(
                    world.count_to(phone, "INVITE"),
                    usize::from(phone == BOB),
                    "{what}"
                );
            }
            end(world);
        }
    }
}

#[test]
fn every_change_of_a_session_is_an_exchange_on_each_leg_or_changes_nothing() {
    let changes = [Change::Invite, Change::InviteWithoutOffer, Change::Update];
    for caller in [CALLERS[0], CALLERS[3]] {
        for callee in [Callee::Plain, Callee::ReliableAnswer] {
            for who in [ALICE, BOB] {
                for by in changes {
                    let what = format!("{caller:?} {callee:?} {who} {by:?}");
                    let mut world = talking(caller, callee);
                    change(&mut world, who, by, 2, false);
                    assert_eq!(world.gateway.calls(world.now)[0].state, "held", "{what}");
                    for phone in [ALICE, BOB] {
                        assert_in_order(&world, phone, &what);
                    }
                    end(world);
                }
            }
        }
    }
}

#[test]
fn a_refused_change_leaves_the_session_as_it_was() {
    for who in [ALICE, BOB] {
        for by in [Change::Invite, Change::Update] {
            let what = format!("{who} {by:?}");
            let mut world = talking(CALLERS[0], Callee::Plain);
            let (bridge, commands) = (world.last_bridge(), world.commands.len());
            change(&mut world, who, by, 2, true);
            assert_eq!(world.last_bridge(), bridge, "{what}");
            assert_eq!(
                world.commands.len(),
                commands,
                "the workers hear nothing: {what}"
            );
            assert_eq!(world.gateway.calls(world.now)[0].state, "up", "{what}");
            // What held before is still what is known: the same again is no news to the far side.
            let far = if who == ALICE { BOB } else { ALICE };
            let before = world.distinct_to(far, "INVITE");
            let same = body_of(who, 1, "sendrecv");
            world.request(who, Method::Invite, Some((SDP, &same)));
            world.run(50 * MS);
            assert_eq!(world.phone(who).final_status(), Some(200), "{what}");
            world.ack(who, None);
            world.run(50 * MS);
            assert_eq!(world.distinct_to(far, "INVITE"), before, "{what}");
            for phone in [ALICE, BOB] {
                assert_in_order(&world, phone, &what);
            }
            end(world);
        }
    }
}

#[test]
fn in_an_early_dialog_both_sides_may_offer_again_once_the_first_is_answered() {
    // PRACK and UPDATE of the caller's (patterns 5 and 6), UPDATE of the callee's.
    let mut world = World::new();
    let offer = body_of(ALICE, 1, "sendrecv");
    world.invite_with(ALICE, "100", Some(&offer), &[("Require", "100rel")]);
    world.run(50 * MS);
    // RFC 3311 §5.2: nobody may before: Alice gets 500, as her own offer waits, Bob 491, as ours does.
    let reliable = |rseq| [("Require", "100rel"), ("RSeq", rseq)];
    world.answer_with(BOB, 180, None, &reliable("1"));
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.prack(ALICE, 0, None);
    world.run(50 * MS);
    let second = body_of(ALICE, 2, "sendrecv");
    world.request(ALICE, Method::Update, Some((SDP, &second)));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(500));
    assert!(
        world
            .last_to(ALICE, "500 UPDATE")
            .contains("\r\nRetry-After: ")
    );
    let bobs = body_of(BOB, 2, "sendrecv");
    world.request(BOB, Method::Update, Some((SDP, &bobs)));
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(491));
    // Now the first is answered on both legs.
    world.answer_with(BOB, 183, Some(&body_of(BOB, 1, "sendrecv")), &reliable("2"));
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.prack(ALICE, 0, Some(&second));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "200 PRACK").contains("\r\n\r\nv=0"));
    let third = body_of(ALICE, 3, "sendrecv");
    world.request(ALICE, Method::Update, Some((SDP, &third)));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.request(BOB, Method::Update, Some((SDP, &bobs)));
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(200));
    world.answer(BOB, 200, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.ack(ALICE, None);
    world.run(50 * MS);
    for phone in [ALICE, BOB] {
        assert_in_order(&world, phone, "early");
    }
    end(world);
}

#[test]
fn an_offer_that_meets_another_is_refused() {
    // RFC 3261 §14.2, RFC 3311 §5.2: 500 to who asks twice, 491 to who crosses.
    for method in [Method::Invite, Method::Update] {
        let mut world = talking(CALLERS[0], Callee::Plain);
        let first = body_of(ALICE, 2, "sendonly");
        world.request(ALICE, Method::Invite, Some((SDP, &first)));
        world.run(50 * MS);
        let again = body_of(ALICE, 3, "sendrecv");
        world.request(ALICE, method.clone(), Some((SDP, &again)));
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(500), "{method}");
        let crossing = body_of(BOB, 2, "sendonly");
        let theirs = world.phone(BOB).invite.clone();
        world.request(BOB, method.clone(), Some((SDP, &crossing)));
        world.run(50 * MS);
        assert_eq!(world.phone(BOB).final_status(), Some(491), "{method}");
        world.phone(BOB).invite = theirs;
        world.answer(BOB, 200, Some(&body_of(BOB, 3, "recvonly")));
        world.run(50 * MS);
        assert!(
            world
                .to(ALICE)
                .iter()
                .filter(|name| *name == "200 INVITE")
                .count()
                >= 2
        );
        world.ack(ALICE, None);
        world.run(50 * MS);
        end(world);
    }
}

#[test]
fn what_we_do_not_speak_is_refused_inside_a_call_too() {
    // RFC 3261 §8.2.2.3
    let mut world = talking(CALLERS[0], Callee::Plain);
    for method in [Method::Invite, Method::Update, Method::Info, Method::Refer] {
        let body = body_of(ALICE, 2, "sendonly");
        let headers = [
            ("Require", "precondition"),
            ("Refer-To", "<sip:100@192.0.2.1>"),
        ];
        world.request_with(ALICE, method.clone(), Some((SDP, &body)), &headers);
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(420), "{method}");
        let refused = world.last_to(ALICE, &format!("420 {method}"));
        assert!(
            refused.contains("\r\nUnsupported: precondition\r\n"),
            "{refused}"
        );
    }
    assert_eq!(world.distinct_to(BOB, "INVITE"), 1);
    end(world);
}
