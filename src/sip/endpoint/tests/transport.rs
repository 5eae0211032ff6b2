//! Where answers go, streams, and flows that fail.

use super::*;

fn flow(protocol: Protocol, peer: &str) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol,
        peer: peer.parse().expect("it is an address"),
        domain: None,
    }
}

/// The answer to an OPTIONS that came from this address with this Via, and the answer's text.
fn answer(settings: EndpointSettings, from: Flow, via: &str) -> (Flow, String) {
    let now = Instant::now();
    let mut endpoint = Endpoint::new(settings, 1);
    endpoint.handle_datagram(now, from, draft(Method::Options).write(via));
    let tx = server_of(&endpoint.poll_event().expect("it is a request"));
    endpoint.respond(now, tx, ResponseDraft::new(200));
    let transmit = endpoint.poll_transmit().expect("it is answered");
    (
        transmit.flow,
        String::from_utf8_lossy(&transmit.bytes).into_owned(),
    )
}

#[test]
fn an_answer_goes_where_rport_or_sent_by_say() {
    let came_from = flow(Protocol::Udp, "198.51.100.9:40000");
    for (force_rport, via, peer, top_via) in [
        (
            false,
            "10.0.0.1:5070;branch=z9hG4bKx;rport",
            "198.51.100.9:40000",
            ";received=198.51.100.9;rport=40000",
        ),
        (
            false,
            "10.0.0.1:5070;branch=z9hG4bKx",
            "198.51.100.9:5070",
            ";received=198.51.100.9\r\n",
        ),
        (
            false,
            "phone.example;branch=z9hG4bKx",
            "198.51.100.9:5060",
            ";received=198.51.100.9\r\n",
        ),
        (
            false,
            "198.51.100.9;branch=z9hG4bKx",
            "198.51.100.9:5060",
            "branch=z9hG4bKx\r\n",
        ),
        (
            true,
            "10.0.0.1:5070;branch=z9hG4bKx",
            "198.51.100.9:40000",
            ";received=198.51.100.9;rport=40000",
        ),
        // RFC 3261 §18.2.2 would follow maddr; a stranger could aim our answers with it.
        (
            true,
            "10.0.0.1;branch=z9hG4bKx;maddr=203.0.113.1",
            "198.51.100.9:40000",
            ";received=198.51.100.9;rport=40000",
        ),
    ] {
        let settings = EndpointSettings {
            force_rport,
            ..EndpointSettings::default()
        };
        let (to, text) = answer(settings, came_from, &format!("SIP/2.0/UDP {via}"));
        assert_eq!(to, flow(Protocol::Udp, peer), "{via}");
        assert!(text.contains(top_via), "{via}: {text}");
    }
}

fn stream_of(drafts: &[RequestDraft]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (n, draft) in drafts.iter().enumerate() {
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&draft.write(&format!("SIP/2.0/TCP h;branch=z9hG4bKs{n}")));
    }
    bytes
}

#[test]
fn a_stream_is_the_same_in_any_pieces() {
    let drafts: Vec<RequestDraft> = (0..9)
        .map(|n| {
            let cseq = format!("{n} INFO");
            draft(Method::Info)
                .set_header("CSeq", cseq)
                .body("text/plain", "x\r\n\r\n".repeat(n))
        })
        .collect();
    let bytes = stream_of(&drafts);
    let from = flow(Protocol::Tcp, "198.51.100.9:40000");
    let mut runs = Vec::new();
    for piece in [1, 2, 3, 7, 100, bytes.len()] {
        let now = Instant::now();
        let mut endpoint = Endpoint::new(EndpointSettings::default(), 1);
        for piece in bytes.chunks(piece) {
            assert_eq!(endpoint.handle_stream(now, from, piece), Ok(()));
        }
        let bodies: Vec<Bytes> = std::iter::from_fn(|| endpoint.poll_event())
            .map(|event| match event {
                Event::Request { request, .. } => request.body(),
                other => panic!("no request: {other:?}"),
            })
            .collect();
        let pongs: Vec<Bytes> = std::iter::from_fn(|| endpoint.poll_transmit())
            .map(|transmit| transmit.bytes)
            .collect();
        assert_eq!(
            pongs,
            vec![Bytes::from_static(b"\r\n"); 9],
            "a ping before each"
        );
        runs.push(bodies);
    }
    assert_eq!(runs[0].len(), 9);
    assert!(runs.iter().all(|run| *run == runs[0]));
}

#[test]
fn a_stream_that_cannot_be_framed_is_answered_and_closed() {
    let from = flow(Protocol::Tcp, "198.51.100.9:40000");
    let good = String::from_utf8(stream_of(&[draft(Method::Info)])).expect("it is text");
    for (length, status) in [
        ("Content-Length: 70000", Some("SIP/2.0 513 ")),
        (
            "X: y",
            Some("SIP/2.0 400 Bad Request: missing Content-Length"),
        ),
        (
            "Content-Length: x",
            Some("SIP/2.0 400 Bad Request: invalid Content-Length"),
        ),
    ] {
        let now = Instant::now();
        let mut endpoint = Endpoint::new(EndpointSettings::default(), 1);
        let text = good.trim_start().replace("Content-Length: 0", length);
        assert!(
            endpoint.handle_stream(now, from, text.as_bytes()).is_err(),
            "{length}"
        );
        let answer = endpoint
            .poll_transmit()
            .map(|it| String::from_utf8_lossy(&it.bytes).into_owned());
        let is_right = answer
            .as_deref()
            .unwrap_or("")
            .starts_with(status.unwrap_or("none"));
        assert!(is_right, "{length}: {answer:?}");
        assert_eq!(endpoint.counters().malformed, 1);
        assert_eq!(
            endpoint.handle_stream(now, from, good.as_bytes()),
            Ok(()),
            "a new connection"
        );
        assert!(endpoint.poll_event().is_some());
    }
}

#[test]
fn a_message_that_does_not_end_closes_its_stream() {
    let from = flow(Protocol::Tcp, "198.51.100.9:40000");
    let start = Instant::now();
    let mut endpoint = Endpoint::new(EndpointSettings::default(), 1);
    let bytes = stream_of(&[
        draft(Method::Info),
        draft(Method::Info).set_header("CSeq", "2 INFO"),
    ]);
    // A byte a second keeps nobody: the time counts from the first one.
    let (whole, rest) = bytes.split_at(bytes.len() - 60);
    assert_eq!(endpoint.handle_stream(start, from, whole), Ok(()));
    for second in 1..=31 {
        let now = start + Duration::from_secs(second as u64);
        assert_eq!(
            endpoint.handle_stream(now, from, &rest[second..=second]),
            Ok(())
        );
        endpoint.handle_timeout(now);
        assert_eq!(endpoint.poll_close(), None);
    }
    endpoint.handle_timeout(start + Duration::from_secs(32));
    assert_eq!(endpoint.poll_close(), Some(from));
    // One that closed before has no timer left.
    assert_eq!(endpoint.handle_stream(start, from, b"INVITE"), Ok(()));
    endpoint.handle_flow_failed(start, from);
    endpoint.handle_timeout(start + Duration::from_secs(64));
    assert_eq!(endpoint.poll_close(), None);
}

#[test]
fn a_failed_flow_ends_its_client_transactions_at_once() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = Pair::new(protocol);
        let flow = pair.flow(A);
        let other = Flow {
            peer: "203.0.113.3:5060".parse().expect("it is an address"),
            ..flow
        };
        let now = pair.now;
        let invite = pair.send(A, draft(Method::Invite));
        let options = pair.send(A, draft(Method::Options));
        let spared = pair.at(A).request(now, other, "h", draft(Method::Options));
        while pair.at(A).poll_transmit().is_some() {}
        pair.at(A).handle_flow_failed(now, flow);
        let failed: Vec<ClientTx> = pair
            .events(A)
            .into_iter()
            .map(|event| match event {
                Event::Failed {
                    tx,
                    failure: ClientFailure::Transport,
                } => tx,
                other => panic!("not failed: {other:?}"),
            })
            .collect();
        assert_eq!(failed, [invite, options]);
        assert_eq!(pair.at(A).transactions(), 1, "{spared:?} goes another way");
    }
}

#[test]
fn answers_to_a_closed_connection_go_to_sent_by() {
    let now = Instant::now();
    let from = flow(Protocol::Tcp, "198.51.100.9:40000");
    let mut endpoint = Endpoint::new(EndpointSettings::default(), 1);
    let bytes = draft(Method::Options).write("SIP/2.0/TCP 10.0.0.1:5070;branch=z9hG4bKx");
    assert_eq!(endpoint.handle_stream(now, from, &bytes), Ok(()));
    let tx = server_of(&endpoint.poll_event().expect("it is a request"));
    endpoint.handle_flow_failed(now, from);
    endpoint.respond(now, tx, ResponseDraft::new(200));
    let transmit = endpoint.poll_transmit().expect("it is answered");
    assert_eq!(transmit.flow, flow(Protocol::Tcp, "198.51.100.9:5070"));
    assert_eq!(endpoint.transactions(), 0);
}

/// An endpoint with a stream transport beside its datagram transport, and a request of this size to a peer.
fn large(now: Instant, method: Method, size: usize) -> (Endpoint, ClientTx, Transmit) {
    let mut endpoint = Endpoint::new(EndpointSettings::default(), 1);
    let beside = StreamBeside {
        transport: TransportId(7),
        port: 5070,
    };
    endpoint.set_streams([(TransportId(0), beside)].into_iter().collect());
    let (tx, transmit) = ask(&mut endpoint, now, method, size);
    (endpoint, tx, transmit)
}

fn ask(endpoint: &mut Endpoint, now: Instant, method: Method, size: usize) -> (ClientTx, Transmit) {
    let peer = flow(Protocol::Udp, "198.51.100.9:5080");
    let request = draft(method).header("Subject", "x".repeat(size));
    let tx = endpoint.request_located(now, peer, "192.0.2.1:5060", request);
    let transmit = endpoint.poll_transmit().expect("it is sent");
    assert!(endpoint.poll_transmit().is_none());
    (tx.expect("there is room"), transmit)
}

fn text(transmit: &Transmit) -> String {
    String::from_utf8_lossy(&transmit.bytes).into_owned()
}

#[test]
fn a_large_request_of_any_kind_goes_over_tcp() {
    let now = Instant::now();
    for method in [Method::Invite, Method::Bye, Method::Register] {
        let (mut endpoint, tx, transmit) = large(now, method.clone(), 1300);
        let tcp = Flow {
            transport: TransportId(7),
            ..flow(Protocol::Tcp, "198.51.100.9:5080")
        };
        assert_eq!(transmit.flow, tcp);
        let sent = text(&transmit);
        assert!(
            sent.contains("\r\nVia: SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bK"),
            "{sent}"
        );
        assert_eq!(sent.matches("Via: ").count(), 1);
        let Ok(Message::Request(request)) = Message::parse(transmit.bytes.clone()) else {
            panic!("it parses: {sent}")
        };
        let answer = ResponseDraft::new(200).to_tag("t").write(&request);
        assert_eq!(endpoint.handle_stream(now, tcp, &answer), Ok(()));
        let Some(Event::Response { tx: of, .. }) = endpoint.poll_event() else {
            panic!("a response")
        };
        assert_eq!(of, tx);
        let (_, small) = ask(&mut endpoint, now, method, 100);
        assert_eq!(small.flow.protocol, Protocol::Udp);
    }
}

#[test]
fn a_large_request_is_a_datagram_after_all_where_the_peer_takes_no_connection() {
    let now = Instant::now();
    for method in [Method::Invite, Method::Bye] {
        let (mut endpoint, tx, over_tcp) = large(now, method.clone(), 1300);
        endpoint.handle_flow_failed(now, over_tcp.flow);
        let transmit = endpoint.poll_transmit().expect("it is sent again");
        let peer = flow(Protocol::Udp, "198.51.100.9:5080");
        assert_eq!(transmit.flow, peer);
        let sent = text(&transmit);
        assert!(
            sent.contains("\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK"),
            "{sent}"
        );
        assert!(endpoint.poll_event().is_none());
        // It is sent again by timer A or E, as any datagram.
        let t1 = now + Duration::from_millis(500);
        endpoint.handle_timeout(t1);
        assert_eq!(
            endpoint.poll_transmit().map(|one| one.bytes),
            Some(transmit.bytes.clone())
        );
        // The next one does not try a connection, for a while.
        let (_, next) = ask(&mut endpoint, t1, method.clone(), 1300);
        assert_eq!(next.flow, peer);
        let (_, later) = ask(&mut endpoint, now + Duration::from_secs(700), method, 1300);
        assert_eq!(later.flow.protocol, Protocol::Tcp);
        // A failure of the datagram is one of the transaction.
        endpoint.handle_flow_failed(t1, peer);
        let mut failed = std::iter::from_fn(|| endpoint.poll_event());
        let is_its = |event: Event| matches!(event, Event::Failed { tx: of, failure: ClientFailure::Transport } if of == tx);
        assert!(failed.any(is_its));
    }
}

#[test]
fn a_large_request_that_was_heard_does_not_go_twice() {
    let now = Instant::now();
    let (mut endpoint, tx, over_tcp) = large(now, Method::Invite, 1300);
    let Ok(Message::Request(request)) = Message::parse(over_tcp.bytes.clone()) else {
        panic!("it parses")
    };
    let ringing = ResponseDraft::new(180).to_tag("t").write(&request);
    assert_eq!(endpoint.handle_stream(now, over_tcp.flow, &ringing), Ok(()));
    assert!(matches!(
        endpoint.poll_event(),
        Some(Event::Response { .. })
    ));
    endpoint.handle_flow_failed(now, over_tcp.flow);
    assert!(endpoint.poll_transmit().is_none());
    let Some(Event::Failed { tx: of, .. }) = endpoint.poll_event() else {
        panic!("a failure")
    };
    assert_eq!(of, tx);
}

#[test]
fn a_failed_flow_ends_a_cancel_too() {
    let now = Instant::now();
    let mut endpoint = Endpoint::new(EndpointSettings::default(), 1);
    let (invite, sent) = ask(&mut endpoint, now, Method::Invite, 10);
    let Ok(Message::Request(request)) = Message::parse(sent.bytes.clone()) else {
        panic!("it parses")
    };
    let ringing = ResponseDraft::new(180).to_tag("t").write(&request);
    endpoint.handle_datagram(now, sent.flow, ringing);
    endpoint.cancel(now, invite, None);
    assert_eq!(endpoint.transactions(), 2, "the INVITE and its CANCEL");
    endpoint.handle_flow_failed(now, sent.flow);
    assert_eq!(endpoint.transactions(), 0);
}
