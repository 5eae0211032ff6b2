//! Digest challenges to our requests inside dialogs: each answered once, whatever else waits beside it.

use super::world::*;
use crate::sip::endpoint::Event;
use crate::sip::message::{Method, RequestDraft, ResponseDraft};
use std::collections::BTreeSet;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const SDP: &str = "application/sdp";

/// Bob asks for credentials, which we have.
fn config() -> String {
    let auth = "\n[auth.bob]\nusername = \"us\"\npassword = \"pw\"\n";
    format!("{CONFIG}{auth}").replace(
        "aors = [\"bob\"]",
        "aors = [\"bob\"]\noutbound_auth = \"bob\"",
    )
}

/// Bob answers the last request of this method that came to him with a challenge. His other requests wait on.
fn challenge(world: &mut World, status: u16, method: &Method, nonce: &str) {
    let now = world.now;
    let phone = world.phone(BOB);
    let tx = phone.events.iter().rev().find_map(|event| match event {
        Event::Request { tx, request, .. } if request.method() == method => Some(*tx),
        _ => None,
    });
    let name = match status {
        401 => "WWW-Authenticate",
        _ => "Proxy-Authenticate",
    };
    let value = format!("Digest realm=\"bob\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"");
    let response = ResponseDraft::new(status).to_tag("b").header(name, value);
    phone
        .sip
        .respond(now, tx.expect("such a request came"), response);
    world.collect();
    world.run(30 * MS);
}

/// The requests of this method that went to Bob, each once, in order.
fn sent(world: &World, method: &Method) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let to_bob = world.wire.iter().filter(|sent| sent.to == address(BOB));
    let named = to_bob.filter(|sent| sent.name() == method.as_str());
    let news = named.filter(|sent| seen.insert(sent.bytes.clone()));
    news.map(Sent::text).collect()
}

fn cseq(message: &str) -> u32 {
    let line = message.lines().find_map(|line| line.strip_prefix("CSeq: "));
    let number = line.and_then(|line| line.split(' ').next());
    number.expect("a CSeq").parse().expect("a number")
}

/// The second of two requests answers the challenge of the first; both in one dialog.
fn assert_answered(first: &str, second: &str, header: &str, nonce: &str) {
    assert!(!first.contains("uthorization: "), "{first}");
    let credentials = second
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{header}: ")))
        .unwrap_or_else(|| panic!("no {header}: {second}"));
    assert!(
        credentials.contains(&format!("nonce=\"{nonce}\"")),
        "{second}"
    );
    assert!(credentials.contains("username=\"us\""), "{second}");
    assert!(cseq(second) > cseq(first), "{first}{second}");
    let body = |text: &str| text.split("\r\n\r\n").nth(1).map(str::to_owned);
    assert_eq!(body(first), body(second));
}

#[test]
fn two_requests_on_one_leg_are_challenged_at_the_same_time() {
    for order in [
        [Method::Invite, Method::Info],
        [Method::Info, Method::Invite],
    ] {
        let by_info = config()
            .replace(
                "[endpoint.alice]\n",
                "[endpoint.alice]\ndtmf_mode = \"info\"\n",
            )
            .replace("[endpoint.bob]\n", "[endpoint.bob]\ndtmf_mode = \"info\"\n");
        let mut world = World::with_config(&by_info);
        world.talk("100");
        let hold = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendonly");
        world.request(ALICE, Method::Invite, Some((SDP, &hold)));
        world.run(30 * MS);
        let digit = "Signal=5\r\nDuration=160\r\n";
        world.request(ALICE, Method::Info, Some(("application/dtmf-relay", digit)));
        world.run(30 * MS);
        for (method, nonce) in order.iter().zip(["one", "two"]) {
            challenge(&mut world, 407, method, nonce);
        }
        let invites = sent(&world, &Method::Invite);
        let infos = sent(&world, &Method::Info);
        assert_eq!((invites.len(), infos.len()), (3, 2), "{order:?}");
        let nonce_of = |method: &Method| if order[0] == *method { "one" } else { "two" };
        let header = "Proxy-Authorization";
        assert_answered(&invites[1], &invites[2], header, nonce_of(&Method::Invite));
        assert_answered(&infos[0], &infos[1], header, nonce_of(&Method::Info));
        let answer = sdp("203.0.113.20", 6000, 2, "8 0 101", "recvonly");
        world.confirm(BOB, 200);
        world.answer(BOB, 200, Some(&answer));
        world.run(50 * MS);
        assert!(world.to(ALICE).contains(&String::from("200 INFO")));
        assert_eq!(world.phone(ALICE).final_status(), Some(200));
        world.ack(ALICE, None);
        world.run(50 * MS);
        // RFC 3261 §22.1: the ACK has the credentials of its INVITE.
        assert!(world.last_to(BOB, "ACK").contains("Proxy-Authorization: "));
        end(world);
    }
}

#[test]
fn every_request_of_ours_is_sent_again_once() {
    let timer = "Session-Expires: 90;refresher=uac";
    let (name, value) = timer.split_once(": ").expect("a header");
    for (method, allow) in [
        (Method::Update, "INVITE, BYE, INFO, UPDATE"),
        (Method::Invite, "INVITE, BYE, INFO"),
        (Method::Info, "INVITE, BYE, INFO"),
        (Method::Notify, "INVITE, BYE, INFO"),
        (Method::Bye, "INVITE, BYE, INFO"),
    ] {
        let mut world = World::with_config(&config());
        let offer = sdp("198.51.100.10", 4000, 1, "8 0", "sendrecv");
        world.invite(ALICE, "100", Some(&offer));
        world.run(50 * MS);
        let answer = sdp("203.0.113.20", 6000, 1, "8 0", "sendrecv");
        let headers = [(name, value), ("Require", "timer"), ("Allow", allow)];
        world.answer_with(BOB, 200, Some(&answer), &headers);
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(50 * MS);
        match method {
            Method::Update | Method::Invite => world.run(45 * S),
            Method::Info => {
                let digit = ("application/dtmf-relay", "Signal=5\r\n");
                world.request(ALICE, Method::Info, Some(digit));
            }
            Method::Notify => {
                let to = [("Refer-To", "<sip:100@192.0.2.1>")];
                world.request_with(BOB, Method::Refer, None, &to);
            }
            _ => {
                world.request(ALICE, Method::Bye, None);
            }
        }
        world.run(50 * MS);
        let before = sent(&world, &method).len();
        challenge(&mut world, 401, &method, "n1");
        let all = sent(&world, &method);
        assert_eq!(all.len(), before + 1, "{method}");
        assert_answered(&all[before - 1], &all[before], "Authorization", "n1");
        challenge(&mut world, 401, &method, "n2");
        assert_eq!(sent(&world, &method).len(), before + 1, "{method}");
        world.phones_answer = true;
        world.request(ALICE, Method::Bye, None);
        world.assert_nothing_left();
    }
}

#[test]
fn a_challenged_prack_keeps_the_order_of_its_early_dialog() {
    let mut world = World::with_config(&config());
    let offer = sdp("198.51.100.10", 4000, 1, "8 0", "sendrecv");
    world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    world.answer_with(BOB, 180, None, &[("Require", "100rel"), ("RSeq", "7")]);
    world.run(50 * MS);
    challenge(&mut world, 407, &Method::Prack, "n1");
    let pracks = sent(&world, &Method::Prack);
    assert_eq!(pracks.len(), 2);
    assert_answered(&pracks[0], &pracks[1], "Proxy-Authorization", "n1");
    assert!(
        pracks[1].contains("\r\nRAck: 7 1 INVITE\r\n"),
        "{}",
        pracks[1]
    );
    challenge(&mut world, 407, &Method::Prack, "n2");
    assert_eq!(sent(&world, &Method::Prack).len(), 2);
    // The next one goes on in the same order, and the call goes its way.
    world.answer_with(BOB, 183, None, &[("Require", "100rel"), ("RSeq", "8")]);
    world.run(50 * MS);
    let pracks = sent(&world, &Method::Prack);
    assert_eq!(cseq(&pracks[2]), cseq(&pracks[1]) + 1);
    world.confirm(BOB, 200);
    let answer = sdp("203.0.113.20", 6000, 1, "8 0", "sendrecv");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.ack(ALICE, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn what_was_cancelled_is_not_sent_again() {
    let mut world = World::with_config(&config());
    world.talk("100");
    let hold = sdp("198.51.100.10", 4000, 2, "8 0 101", "sendonly");
    let reinvite = world.request(ALICE, Method::Invite, Some((SDP, &hold)));
    world.run(30 * MS);
    // CANCEL waits for a provisional response (RFC 3261 §9.1).
    world.run(300 * MS);
    world.cancel(ALICE, reinvite);
    world.run(30 * MS);
    challenge(&mut world, 401, &Method::Invite, "n");
    assert_eq!(sent(&world, &Method::Invite).len(), 2);
    assert_eq!(sent(&world, &Method::Cancel).len(), 1);
    end(world);
}

#[test]
fn the_bye_to_a_second_fork_is_answered_for_too() {
    let mut world = World::with_config(&config());
    let offer = sdp("198.51.100.10", 4000, 1, "8 0", "sendrecv");
    world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    let answer = sdp("203.0.113.20", 6000, 1, "8 0", "sendrecv");
    world.answer(BOB, 200, Some(&answer));
    let (from, tag) = (address(BOB), world.phone(BOB).tag.clone());
    let ok = world.wire.iter().rfind(|sent| sent.from == from);
    let other = ok.expect("just sent").text().replace(&tag, "two");
    world.run(50 * MS);
    let now = world.now;
    world
        .gateway
        .handle_datagram(now, flow(from), other.into_bytes().into());
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    challenge(&mut world, 401, &Method::Bye, "n");
    let byes = sent(&world, &Method::Bye);
    assert_eq!(byes.len(), 2);
    assert!(byes.iter().all(|bye| bye.contains(";tag=two\r\n")));
    assert_answered(&byes[0], &byes[1], "Authorization", "n");
    world.confirm(BOB, 200);
    end(world);
}

#[test]
fn a_message_outside_of_a_call_runs_no_dialplan() {
    // Bob is known by his address; nobody knows Carol.
    for (phone, status) in [(BOB, 405), (ALICE, 405), (CAROL, 401)] {
        let mut world = World::new();
        let request = RequestDraft::new(Method::Message, "sip:100@192.0.2.1")
            .header("From", format_args!("<sip:x@{phone}>;tag=1"))
            .header("To", "<sip:100@192.0.2.1>")
            .header("Call-ID", "message")
            .header("CSeq", "1 MESSAGE")
            .body("text/plain", String::from("hello"));
        world.send(phone, request);
        world.run(50 * MS);
        assert_eq!(world.phone(phone).final_status(), Some(status), "{phone}");
        if status == 405 {
            let refused = world.last_to(phone, "405 MESSAGE");
            assert!(refused.contains("\r\nAllow: INVITE, "), "{refused}");
        }
        assert!(world.gateway.calls(world.now).is_empty());
        assert!(world.commands.is_empty());
        let invites = world.wire.iter().filter(|sent| sent.name() == "INVITE");
        assert_eq!(invites.count(), 0);
        world.assert_nothing_left();
    }
}
