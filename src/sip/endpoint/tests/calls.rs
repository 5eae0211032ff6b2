//! Whole calls: what goes over the wire when, and what the users hear.

use super::*;

#[test]
fn invite_ringing_answer_ack_bye() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = Pair::new(protocol);
        let client = pair.send(A, draft(Method::Invite));
        pair.run_for(50 * MS);
        let server = server_of(&pair.event(B));
        pair.answer(B, server, 180);
        pair.run_for(50 * MS);
        let (tx, ringing) = response_of(pair.event(A));
        assert_eq!((tx, ringing.status()), (client, 180));
        pair.answer(B, server, 200);
        pair.run_for(50 * MS);
        let (_, answer) = response_of(pair.event(A));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers().to_tag(), ringing.headers().to_tag());
        pair.ack(A, client, &answer);
        pair.run_for(50 * MS);
        let event = pair.event(B);
        assert!(
            matches!(event, Event::Ack { tx, .. } if tx == server),
            "{event:?}"
        );

        let bye = draft(Method::Bye).set_header("CSeq", "2 BYE");
        pair.send(A, bye);
        pair.run_for(50 * MS);
        let server = server_of(&pair.event(B));
        pair.answer(B, server, 200);
        pair.run_for(50 * MS);
        assert_eq!(response_of(pair.event(A)).1.status(), 200);
        pair.assert_all_end();
        let lines: Vec<&str> = pair.log.iter().map(|(_, _, line)| line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "INVITE sip:b@192.0.2.2 SIP/2.0",
                "SIP/2.0 180 Ringing",
                "SIP/2.0 200 OK",
                "ACK sip:b@192.0.2.2 SIP/2.0",
                "BYE sip:b@192.0.2.2 SIP/2.0",
                "SIP/2.0 200 OK",
            ],
            "{protocol:?}"
        );
    }
}

/// A call of well-behaved users, with this fate for each message.
fn call<'a>(status: u16, fate: impl FnMut(Side, &[u8]) -> Vec<Duration> + 'a) -> Pair<'a> {
    let mut pair = Pair::with_fate(Protocol::Udp, fate);
    behave(&mut pair, status);
    pair.send(A, draft(Method::Invite));
    pair.run_for(Duration::from_secs(60));
    pair
}

#[test]
fn any_one_message_may_be_lost() {
    for status in [200, 486] {
        let mut messages = 0;
        call(status, |_, _| {
            messages += 1;
            vec![DELAY]
        });
        for lost in 0..messages {
            let mut n = 0;
            let mut pair = call(status, |_, _| {
                n += 1;
                if n == lost + 1 { vec![] } else { vec![DELAY] }
            });
            let callers: Vec<Heard> = pair.heard_by(A);
            let finals: Vec<&Heard> = callers
                .iter()
                .filter(|heard| !matches!(heard, Heard::Response(..200)))
                .collect();
            let callees = pair.heard_by(B);
            if status == 200 {
                assert_eq!(
                    finals,
                    [&Heard::Response(200), &Heard::Response(200)],
                    "{lost}"
                );
                let expected = [
                    Heard::Request(Method::Invite),
                    Heard::Ack,
                    Heard::Request(Method::Bye),
                ];
                assert_eq!(callees, expected, "message {lost} lost");
            } else {
                assert_eq!(finals, [&Heard::Response(486)], "message {lost} lost");
                assert_eq!(
                    callees,
                    [Heard::Request(Method::Invite)],
                    "message {lost} lost"
                );
            }
            pair.assert_all_end();
        }
    }
}

#[test]
fn every_message_may_come_three_times() {
    for status in [200, 486] {
        let mut pair = call(status, |_, _| vec![DELAY, DELAY * 2, DELAY * 30]);
        let once = call(status, |_, _| vec![DELAY]);
        assert_eq!(pair.heard_by(B), once.heard_by(B));
        // A copy of the INVITE is answered 100 at once.
        let mut expected = once.heard_by(A);
        expected.insert(0, Heard::Response(100));
        assert_eq!(pair.heard_by(A), expected);
        pair.assert_all_end();
    }
}

#[test]
fn an_invite_without_any_answer_fails_after_64_t1() {
    let mut pair = call(200, |_, _| vec![]);
    let times: Vec<u64> = pair.sent_by(A).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(
        pair.heard,
        [(32_000, A, Heard::Failed(ClientFailure::Timeout))]
    );
    assert_eq!(pair.at(A).counters().retransmissions, 6);
    pair.assert_all_end();
}

#[test]
fn a_request_without_any_answer_fails_after_64_t1() {
    let mut pair = Pair::with_fate(Protocol::Udp, |_, _| vec![]);
    pair.send(A, draft(Method::Options));
    pair.run_for(Duration::from_secs(60));
    let times: Vec<u64> = pair.sent_by(A).iter().map(|(at, _)| *at).collect();
    let expected = [
        0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];
    assert_eq!(times, expected);
    assert_eq!(
        pair.heard,
        [(32_000, A, Heard::Failed(ClientFailure::Timeout))]
    );
    pair.assert_all_end();
}

#[test]
fn trying_is_sent_for_a_user_that_takes_its_time() {
    let mut pair = Pair::new(Protocol::Udp);
    pair.send(A, draft(Method::Invite));
    pair.run_for(Duration::from_secs(5));
    assert_eq!(pair.sent_by(A).len(), 1, "the 100 stops timer A");
    assert_eq!(pair.sent_by(B), [(210, "SIP/2.0 100 Trying")]);
    assert_eq!(pair.heard[1], (220, A, Heard::Response(100)));
    // Ringing is repeated each minute, and the caller hears of it once.
    let server = server_of(&pair.event(B));
    pair.answer(B, server, 180);
    pair.run_for(Duration::from_secs(150));
    assert_eq!(pair.count(B, "SIP/2.0 180"), 3);
    assert_eq!(
        pair.heard_by(A),
        [Heard::Response(100), Heard::Response(180)]
    );
    pair.answer(B, server, 486);
    pair.assert_all_end();
}

#[test]
fn a_2xx_is_sent_until_its_ack_and_then_given_up() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = Pair::new(protocol);
        pair.send(A, draft(Method::Invite));
        pair.run_for(50 * MS);
        let server = server_of(&pair.event(B));
        pair.answer(B, server, 200);
        pair.run_for(Duration::from_secs(60));
        let times: Vec<u64> = pair.sent_by(B).iter().map(|(at, _)| at - 50).collect();
        let expected = [
            0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
        ];
        assert_eq!(times, expected, "{protocol:?}");
        let (at, side, heard) = pair.heard.last().cloned().expect("it heard");
        assert_eq!((at, side, heard), (32_050, B, Heard::AckTimeout));
        assert_eq!(
            pair.heard_by(A),
            [Heard::Response(200)],
            "its copies are absorbed"
        );
        pair.assert_all_end();
    }
}

#[test]
fn each_copy_of_a_2xx_gets_its_ack_again() {
    let mut acks = 0;
    // The first three ACKs are lost.
    let mut pair = call(200, |_, bytes| {
        acks += usize::from(bytes.starts_with(b"ACK"));
        if bytes.starts_with(b"ACK") && acks <= 3 {
            vec![]
        } else {
            vec![DELAY]
        }
    });
    assert_eq!(pair.count(B, "SIP/2.0 200") - 1, 4, "one for the BYE");
    assert_eq!(pair.count(A, "ACK"), 4);
    assert_eq!(
        pair.heard_by(B)
            .iter()
            .filter(|heard| **heard == Heard::Ack)
            .count(),
        1
    );
    pair.assert_all_end();
}

#[test]
fn a_failure_is_acked_by_the_endpoint_with_the_branch_of_its_invite() {
    let mut pair = Pair::new(Protocol::Udp);
    let invite = draft(Method::Invite)
        .header("Route", "<sip:p1;lr>")
        .header("Route", "<sip:p2;lr>")
        .set_header("CSeq", "77 INVITE");
    pair.send(A, invite);
    pair.collect();
    let sent = pair
        .in_flight
        .values()
        .next()
        .expect("it was sent")
        .1
        .clone();
    pair.run_for(50 * MS);
    let server = server_of(&pair.event(B));
    pair.answer(B, server, 404);
    pair.collect();
    pair.turn(pair.now + DELAY);
    let ack = pair
        .in_flight
        .values()
        .next()
        .expect("it was sent")
        .1
        .clone();
    let (sent, ack) = (parse_request(&sent), parse_request(&ack));
    assert_eq!(*ack.method(), Method::Ack);
    assert_eq!(ack.uri(), sent.uri());
    for name in ["Via", "From", "Call-ID"] {
        assert_eq!(ack.headers().get(name), sent.headers().get(name));
    }
    let routes: Vec<&str> = ack.headers().lines("Route").collect();
    assert_eq!(routes, ["<sip:p1;lr>", "<sip:p2;lr>"]);
    assert_eq!(ack.headers().get("CSeq"), Some("77 ACK"));
    assert!(ack.headers().to_tag().is_some(), "the To of the response");
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.count(B, "SIP/2.0 404"), 1, "the ACK stops timer G");
    pair.assert_all_end();
}

#[test]
fn a_2xx_of_another_fork_goes_up_and_has_an_ack_of_its_own() {
    let mut pair = Pair::new(Protocol::Udp);
    let client = pair.send(A, draft(Method::Invite));
    pair.collect();
    let invite = parse_request(&pair.in_flight.values().next().expect("it was sent").1);
    let flow = pair.flow(A);
    for (tag, copies) in [("one", 1), ("two", 1), ("one", 0), ("two", 0)] {
        let answer = ResponseDraft::new(200).to_tag(tag).write(&invite);
        let now = pair.now;
        pair.at(A).handle_datagram(now, flow, answer);
        let events = pair.events(A);
        assert_eq!(events.len(), copies, "{tag}");
        for event in events {
            let (tx, response) = response_of(event);
            assert_eq!(tx, client);
            assert_eq!(response.headers().to_tag(), Some(tag));
            pair.ack(A, client, &response);
        }
    }
    pair.collect();
    let acks: Vec<Request> = pair
        .in_flight
        .values()
        .map(|(_, bytes)| parse_request(bytes))
        .collect();
    let tags: Vec<Option<&str>> = acks
        .iter()
        .skip(1)
        .map(|ack| ack.headers().to_tag())
        .collect();
    assert_eq!(tags, [Some("one"), Some("two"), Some("one"), Some("two")]);
    assert_eq!(
        acks[1].headers().get("Via"),
        acks[3].headers().get("Via"),
        "it is the same ACK that is sent again"
    );
    // Forks beyond the limit are dropped.
    for n in 0..20 {
        let answer = ResponseDraft::new(200)
            .to_tag(&format!("fork{n}"))
            .write(&invite);
        let now = pair.now;
        pair.at(A).handle_datagram(now, flow, answer);
    }
    assert_eq!(pair.events(A).len(), 14);
    assert_eq!(pair.at(A).counters().unmatched, 6);
    pair.in_flight.clear();
    pair.assert_all_end();
}

#[test]
fn late_and_foreign_messages_are_dropped_and_counted() {
    let mut pair = call(200, |_, _| vec![DELAY]);
    let answered = pair.at(A).counters();
    assert_eq!(answered, Counters::default());
    let (flow, now) = (pair.flow(A), pair.now);
    let invite =
        parse_request(&draft(Method::Invite).write("SIP/2.0/UDP h;branch=z9hG4bK0123456789abcdef"));
    let answer = ResponseDraft::new(200).to_tag("x").write(&invite);
    pair.at(A).handle_datagram(now, flow, answer);
    let ack = draft(Method::Ack).write("SIP/2.0/UDP h;branch=z9hG4bKx");
    pair.at(A).handle_datagram(now, flow, ack);
    assert_eq!(pair.at(A).counters().unmatched, 2);
    // A response through a proxy that is not ours (RFC 3261 §8.1.3.3), and one of another method.
    let tx = pair.send(A, draft(Method::Options));
    pair.collect();
    let sent = pair
        .in_flight
        .values()
        .next()
        .expect("it was sent")
        .1
        .clone();
    let text = String::from_utf8(sent.to_vec()).expect("it is text");
    for broken in [
        text.replacen(
            "Via: ",
            "Via: SIP/2.0/UDP other;branch=z9hG4bKo\r\nVia: ",
            1,
        ),
        text.replacen(
            "Max-Forwards",
            "Via: SIP/2.0/UDP other;branch=z9hG4bKo\r\nMax-Forwards",
            1,
        ),
        text.replace("OPTIONS", "INFO"),
    ] {
        let answer = ResponseDraft::new(200)
            .to_tag("x")
            .write(&parse_request(broken.as_bytes()));
        pair.at(A).handle_datagram(now, flow, answer);
    }
    assert_eq!(pair.at(A).counters().unmatched, 5);
    assert!(pair.events(A).is_empty());
    let answer = ResponseDraft::new(200)
        .to_tag("x")
        .write(&parse_request(&sent));
    pair.at(A).handle_datagram(now, flow, answer);
    pair.assert_all_end();
    assert_eq!(pair.heard_by(A).last(), Some(&Heard::Response(200)));
    // The user may come late, too.
    let now = pair.now;
    pair.at(A).cancel(now, tx, None);
    let stale = ServerTx {
        index: 0,
        generation: 1,
    };
    pair.at(B).respond(now, stale, ResponseDraft::new(200));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.count(A, "CANCEL"), 0);
}

#[test]
fn the_user_answers_finally_only_once_and_always_with_one_tag() {
    let mut pair = Pair::new(Protocol::Udp);
    pair.send(A, draft(Method::Invite));
    pair.run_for(50 * MS);
    let server = server_of(&pair.event(B));
    for status in [180, 183, 486, 200, 180, 500] {
        pair.answer(B, server, status);
    }
    pair.run_for(Duration::from_secs(1));
    let lines: Vec<&str> = pair.sent_by(B).iter().map(|(_, line)| *line).collect();
    assert_eq!(
        lines,
        [
            "SIP/2.0 180 Ringing",
            "SIP/2.0 183 Session Progress",
            "SIP/2.0 486 Busy Here"
        ]
    );
    let tags: Vec<Option<String>> = pair
        .events(A)
        .into_iter()
        .map(|event| response_of(event).1.headers().to_tag().map(str::to_owned))
        .collect();
    assert!(
        tags[0].is_some() && tags.iter().all(|tag| *tag == tags[0]),
        "{tags:?}"
    );
    pair.assert_all_end();
}
