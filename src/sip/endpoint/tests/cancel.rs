//! CANCEL at every moment of an INVITE (RFC 3261 §9).

use super::*;
use std::cell::RefCell;

/// A cancels its INVITE at this time; the users behave. The call is run to its end.
fn cancelled_at<'a>(
    after: Duration,
    protocol: Protocol,
    fate: impl FnMut(Side, &[u8]) -> Vec<Duration> + 'a,
) -> Pair<'a> {
    let mut pair = Pair::with_fate(protocol, fate);
    behave(&mut pair, 200);
    let tx = pair.send(A, draft(Method::Invite));
    pair.later(after, move |pair| pair.cancel(A, tx));
    pair.run_for(Duration::from_secs(120));
    pair
}

#[test]
fn at_every_moment_it_ends_in_487_or_in_a_call_that_was_ended() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        for after in (0..1_200).step_by(5) {
            let mut pair = cancelled_at(after * MS, protocol, |_, _| vec![DELAY]);
            let finals: Vec<Heard> = pair
                .heard_by(A)
                .into_iter()
                .filter(|heard| *heard != Heard::Response(180) && *heard != Heard::Response(100))
                .collect();
            // The 200 leaves at 1,010 ms; a CANCEL that comes later changes nothing (§9.2).
            if after <= 1_000 {
                assert_eq!(finals, [Heard::Response(487)], "after {after} ms");
                assert!(
                    pair.heard_by(B).contains(&Heard::Cancelled),
                    "after {after} ms"
                );
            } else {
                assert_eq!(
                    finals,
                    [Heard::Response(200), Heard::Response(200)],
                    "after {after} ms"
                );
                assert!(
                    !pair.heard_by(B).contains(&Heard::Cancelled),
                    "after {after} ms"
                );
            }
            assert_eq!(pair.at(A).counters().unmatched, 0);
            assert_eq!(pair.at(B).counters().unmatched, 0);
            pair.assert_all_end();
        }
    }
}

#[test]
fn it_waits_for_a_provisional_response() {
    // B's user rings after 100 ms, so at 120 ms.
    let pair = cancelled_at(Duration::ZERO, Protocol::Udp, |_, _| vec![DELAY]);
    let cancel = pair
        .sent_by(A)
        .into_iter()
        .find(|(_, line)| line.starts_with("CANCEL"));
    assert_eq!(cancel.map(|(at, _)| at), Some(120));
}

#[test]
fn without_any_response_it_is_never_sent() {
    let mut pair = cancelled_at(100 * MS, Protocol::Udp, |_, _| vec![]);
    assert_eq!(pair.count(A, "CANCEL"), 0);
    assert_eq!(
        pair.heard,
        [(32_000, A, Heard::Failed(ClientFailure::Timeout))]
    );
    pair.assert_all_end();
}

#[test]
fn it_is_a_copy_of_its_invite() {
    let mut pair = Pair::new(Protocol::Udp);
    let invite = draft(Method::Invite)
        .header("Route", "<sip:p1;lr>")
        .set_header("CSeq", "77 INVITE");
    let tx = pair.send(A, invite);
    pair.collect();
    let sent = parse_request(&pair.in_flight.values().next().expect("it was sent").1);
    pair.run_for(300 * MS);
    pair.cancel(A, tx);
    pair.collect();
    let cancel = parse_request(&pair.in_flight.values().next().expect("it was sent").1);
    assert_eq!(*cancel.method(), Method::Cancel);
    assert_eq!(cancel.uri(), sent.uri());
    for name in ["Via", "From", "To", "Call-ID", "Route"] {
        assert_eq!(
            cancel.headers().get(name),
            sent.headers().get(name),
            "{name}"
        );
    }
    assert_eq!(cancel.headers().get("CSeq"), Some("77 CANCEL"));
    assert_eq!(cancel.headers().get("Reason"), Some("SIP;cause=487"));
    // Twice is once.
    pair.cancel(A, tx);
    pair.run_for(100 * MS);
    assert_eq!(pair.count(A, "CANCEL"), 1);
    let events = pair.events(B);
    pair.answer(B, server_of(&events[0]), 487);
    pair.assert_all_end();
}

#[test]
fn the_server_answers_it_with_the_tag_of_the_invite_and_reports_it_once() {
    let answers = RefCell::new(Vec::new());
    // The first two answers to the CANCEL are lost.
    let mut pair = Pair::with_fate(Protocol::Udp, |side, bytes| {
        let text = String::from_utf8_lossy(bytes);
        if side == A || !text.contains("CSeq: 1 CANCEL") {
            return vec![DELAY];
        }
        answers.borrow_mut().push(text.into_owned());
        if answers.borrow().len() <= 2 {
            vec![]
        } else {
            vec![DELAY]
        }
    });
    let tx = pair.send(A, draft(Method::Invite));
    pair.run_for(50 * MS);
    let server = server_of(&pair.event(B));
    pair.answer(B, server, 180);
    pair.run_for(50 * MS);
    let ringing = response_of(pair.event(A)).1;
    pair.cancel(A, tx);
    pair.run_for(3_000 * MS);
    assert_eq!(
        pair.heard_by(B),
        [Heard::Request(Method::Invite), Heard::Cancelled]
    );
    let tag = format!(
        ";tag={}\r\n",
        ringing.headers().to_tag().expect("it has one")
    );
    assert_eq!(answers.borrow().len(), 3);
    assert!(answers.borrow().iter().all(|answer| answer.contains(&tag)));
    pair.answer(B, server, 487);
    pair.run_for(50 * MS);
    assert_eq!(response_of(pair.event(A)).1.status(), 487);
    pair.assert_all_end();
}

#[test]
fn a_server_that_ignores_it_is_given_up() {
    let mut pair = Pair::new(Protocol::Udp);
    let tx = pair.send(A, draft(Method::Invite));
    pair.run_for(300 * MS);
    pair.cancel(A, tx);
    pair.run_for(Duration::from_secs(60));
    let (at, side, heard) = pair.heard.last().cloned().expect("it heard");
    assert_eq!(
        (at, side, heard),
        (32_300, A, Heard::Failed(ClientFailure::Timeout))
    );
    let server = server_of(&pair.events(B)[0]);
    pair.answer(B, server, 487);
    pair.assert_all_end();
}

#[test]
fn what_matches_nothing_gets_481() {
    let mut pair = Pair::new(Protocol::Udp);
    let (flow, now) = (pair.flow(B), pair.now);
    let cancel = draft(Method::Cancel).write("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx");
    pair.at(B).handle_datagram(now, flow, cancel);
    pair.collect();
    assert_eq!(
        pair.sent_by(B),
        [(0, "SIP/2.0 481 Call/Transaction Does Not Exist")]
    );
    assert_eq!(pair.at(B).transactions(), 0);
    pair.in_flight.clear();
}
