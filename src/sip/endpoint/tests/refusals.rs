//! What the endpoint answers or drops by itself.

use super::*;

const VIA: &str = "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK";

/// An endpoint that is handed datagrams from A's address.
struct Alone {
    endpoint: Endpoint,
    now: Instant,
}

impl Alone {
    fn new(settings: EndpointSettings) -> Self {
        Alone {
            endpoint: Endpoint::new(settings, 7),
            now: Instant::now(),
        }
    }

    fn take(&mut self, bytes: impl Into<Bytes>) {
        let flow = Flow {
            transport: TransportId(0),
            protocol: Protocol::Udp,
            peer: A.address(),
            domain: None,
        };
        self.endpoint.handle_datagram(self.now, flow, bytes.into());
    }

    fn answers(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.endpoint.poll_transmit())
            .map(|transmit| String::from_utf8_lossy(&transmit.bytes).into_owned())
            .collect()
    }

    /// The status of the one answer.
    fn status(&mut self) -> u16 {
        let answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers[0][8..11].parse().expect("it is a status line")
    }
}

fn with_branch(draft: RequestDraft, branch: &str) -> Bytes {
    draft.write(&format!("{VIA}{branch}"))
}

#[test]
fn a_malformed_request_gets_400_and_anything_else_malformed_nothing() {
    let mut alone = Alone::new(EndpointSettings::default());
    let good =
        String::from_utf8(with_branch(draft(Method::Invite), "x").to_vec()).expect("it is text");
    alone.take(good.replace("CSeq: 1 INVITE", "CSeq: x INVITE"));
    let first = alone.answers();
    assert!(first[0].starts_with("SIP/2.0 400 "), "{first:?}");
    alone.take(good.replace("CSeq: 1 INVITE", "CSeq: x INVITE"));
    assert_eq!(alone.answers(), first, "the same, tag and all");
    alone.take(good.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
    assert_eq!(alone.status(), 505);
    for silent in [
        good.replace("INVITE", "ACK").replace("CSeq: 1", "CSeq: x"),
        good.replace("INVITE sip:b@192.0.2.2 SIP/2.0", "SIP/2.0 200 OK")
            .replace("CSeq: 1", "CSeq: x"),
        good.replace("Via:", "X:"),
        "x".to_owned(),
    ] {
        alone.take(silent.clone());
        assert!(alone.answers().is_empty(), "{silent}");
    }
    assert_eq!(alone.endpoint.counters().malformed, 7);
    assert_eq!(alone.endpoint.transactions(), 0);
    assert!(alone.endpoint.poll_event().is_none());
}

#[test]
fn keep_alives_are_not_malformed() {
    let mut alone = Alone::new(EndpointSettings::default());
    for keep_alive in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0", b"\0\0\0\0"] {
        alone.take(Bytes::from_static(keep_alive));
    }
    assert!(alone.answers().is_empty());
    assert_eq!(alone.endpoint.counters(), Counters::default());
}

#[test]
fn a_merged_request_gets_482() {
    let mut alone = Alone::new(EndpointSettings::default());
    alone.take(with_branch(draft(Method::Invite), "x"));
    assert!(alone.endpoint.poll_event().is_some());
    alone.take(with_branch(draft(Method::Invite), "y"));
    assert_eq!(alone.status(), 482);
    assert!(alone.endpoint.poll_event().is_none());
    // Inside a dialog, and with another CSeq, it is another request.
    let inside = draft(Method::Invite).set_header("To", "<sip:b@192.0.2.2>;tag=t");
    alone.take(with_branch(inside, "z"));
    alone.take(with_branch(
        draft(Method::Invite).set_header("CSeq", "2 INVITE"),
        "w",
    ));
    assert!(alone.endpoint.poll_event().is_some());
    assert!(alone.endpoint.poll_event().is_some());
    // The ACK to the stateless answer is known by its tag.
    alone.take(with_branch(draft(Method::Invite), "y"));
    let answer = alone.answers().remove(0);
    let to = answer
        .lines()
        .find(|line| line.starts_with("To:"))
        .expect("it has one");
    alone.take(with_branch(
        draft(Method::Ack).set_header("To", &to[4..]),
        "y",
    ));
    assert_eq!(alone.endpoint.counters().unmatched, 0);
}

#[test]
fn max_forwards_zero_stops_what_would_be_passed_on() {
    let mut alone = Alone::new(EndpointSettings::default());
    alone.take(with_branch(
        draft(Method::Invite).header("Max-Forwards", 0),
        "x",
    ));
    assert_eq!(alone.status(), 483);
    assert!(alone.endpoint.poll_event().is_none());
    // RFC 4475 §3.1.1.11: an endpoint answers all the same what is for itself.
    alone.take(with_branch(
        draft(Method::Options).header("Max-Forwards", 0),
        "y",
    ));
    assert!(alone.endpoint.poll_event().is_some());
}

#[test]
fn an_unknown_method_gets_501() {
    let mut alone = Alone::new(EndpointSettings::default());
    alone.take(with_branch(draft(Method::Other("DANCE".into())), "x"));
    let answer = alone.answers().remove(0);
    assert!(
        answer.starts_with("SIP/2.0 501 ") && answer.contains("\r\nAllow: "),
        "{answer}"
    );
    assert!(!Endpoint::knows(&Method::Other("DANCE".into())) && Endpoint::knows(&Method::Refer));
}

#[test]
fn a_full_table_refuses_with_503_and_comes_back() {
    let settings = EndpointSettings {
        transactions_max: 3,
        ..EndpointSettings::default()
    };
    let mut alone = Alone::new(settings);
    let options = |n: u32| draft(Method::Options).set_header("CSeq", format!("{n} OPTIONS"));
    for n in 0..5 {
        alone.take(with_branch(options(n), &format!("x{n}")));
    }
    let answers = alone.answers();
    assert_eq!(answers.len(), 2);
    for answer in answers {
        assert!(
            answer.starts_with("SIP/2.0 503 ") && answer.contains("\r\nRetry-After: "),
            "{answer}"
        );
    }
    assert_eq!(alone.endpoint.counters().overload, 2);
    assert_eq!(alone.endpoint.transactions(), 3);
    let flow = Flow {
        transport: TransportId(0),
        protocol: Protocol::Udp,
        peer: A.address(),
        domain: None,
    };
    let now = alone.now;
    assert_eq!(
        alone
            .endpoint
            .request(now, flow, "h", draft(Method::Options)),
        None
    );
    // Copies of what was taken are still known, and the table empties.
    alone.take(with_branch(options(0), "x0"));
    assert_eq!(alone.endpoint.counters().overload, 2);
    alone.now += Duration::from_secs(33);
    let now = alone.now;
    alone.endpoint.handle_timeout(now);
    assert_eq!(alone.endpoint.transactions(), 0);
    assert!(
        alone
            .endpoint
            .request(now, flow, "h", draft(Method::Options))
            .is_some()
    );
}

#[test]
fn our_name_stands_in_requests_and_responses_once() {
    let mut pair = Pair::new(Protocol::Udp);
    pair.send(A, draft(Method::Options));
    pair.send(A, draft(Method::Info).header("User-Agent", "other"));
    pair.collect();
    let sent: Vec<Request> = pair
        .in_flight
        .values()
        .map(|(_, bytes)| parse_request(bytes))
        .collect();
    let names = |at: usize| sent[at].headers().lines("User-Agent").collect::<Vec<_>>();
    assert_eq!((names(0), names(1)), (vec!["ringway"], vec!["other"]));
    pair.run_for(50 * MS);
    let servers: Vec<ServerTx> = pair.events(B).iter().map(server_of).collect();
    for server in servers {
        pair.answer(B, server, 200);
    }
    pair.run_for(50 * MS);
    for event in pair.events(A) {
        let (_, response) = response_of(event);
        assert_eq!(response.headers().get("Server"), Some("ringway"));
    }
    pair.assert_all_end();
}

#[test]
fn a_repeated_run_of_a_seed_writes_the_same_bytes() {
    let run = |seed| {
        let mut alone = Alone::new(EndpointSettings::default());
        alone.endpoint = Endpoint::new(EndpointSettings::default(), seed);
        alone.take(with_branch(draft(Method::Invite), "x"));
        if let Some(event) = alone.endpoint.poll_event() {
            let (tx, now) = (server_of(&event), alone.now);
            alone.endpoint.respond(now, tx, ResponseDraft::new(404));
        }
        let names = (alone.endpoint.new_tag(), alone.endpoint.new_call_id());
        (alone.answers(), names)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

/// The messages of RFC 4475, if they are there: whatever comes, nothing panics and nothing stays.
#[test]
fn torture_messages_leave_nothing_behind() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors/rfc4475");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: the vectors of RFC 4475 are not there");
        return;
    };
    for file in files {
        let path = file.expect("it can be listed").path();
        let mut alone = Alone::new(EndpointSettings::default());
        alone.take(std::fs::read(&path).expect("it can be read"));
        while let Some(event) = alone.endpoint.poll_event() {
            let (tx, now) = (server_of(&event), alone.now);
            alone.endpoint.respond(now, tx, ResponseDraft::new(404));
        }
        while let Some(at) = alone.endpoint.poll_timeout() {
            alone.endpoint.handle_timeout(at);
        }
        assert_eq!(alone.endpoint.transactions(), 0, "{path:?}");
    }
}
