//! What holds for every input of the SIP parser. The fuzz target and `tests/fuzz_seeds.rs` both call it.

use bytes::Bytes;
use ringway::sip::auth::{Asker, Credentials, challenges};
use ringway::sip::message::{
    Headers, Message, NameAddr, ParseError, Request, RequestDraft, ResponseDraft, Uri, Via,
    frame_len,
};
use std::net::SocketAddr;

/// Parses, reads all that can be read, and writes what must parse again.
pub fn sip_message(data: &[u8]) {
    let framed = frame_len(data);
    if let Ok(Some(length)) = framed {
        assert!(length <= data.len(), "a frame ends in the buffer");
    }
    match Message::parse(Bytes::copy_from_slice(data)) {
        Ok(Message::Request(request)) => {
            read(request.headers());
            assert!(
                Uri::parse(request.uri()).is_some(),
                "a Request-URI is a URI"
            );
            assert_eq!(request.headers().cseq().method, *request.method());
            answer(request.clone());
            write_again(&request);
        }
        Ok(Message::Response(response)) => {
            read(response.headers());
            assert!((100..700).contains(&response.status()));
            let _ = response.reason();
        }
        Err(error) => answer_error(&error),
    }
}

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 77], 40_000))
}

/// Calls every accessor.
fn read(headers: &Headers) {
    for address in [headers.from(), headers.to()]
        .into_iter()
        .chain(headers.contact())
    {
        round_trip(&address);
    }
    let _ = (
        headers.from_tag(),
        headers.to_tag(),
        headers.max_forwards(),
        headers.call_id(),
    );
    let via = headers.top_via();
    let _ = (via.branch(), via.param("rport"), via.host.to_string());
    for (name, value) in headers.iter() {
        assert!(!value.contains(['\r', '\n']), "a value is one line");
        assert!(
            headers.lines(name).any(|line| line == value),
            "{name} is found by its name"
        );
        for value in headers.values(name) {
            let _ = Via::parse(value);
            if let Some(address) = NameAddr::parse(value) {
                round_trip(&address);
            }
        }
    }
    for asker in [Asker::User, Asker::Proxy] {
        for challenge in challenges(headers, asker) {
            let _ = challenge.to_string();
        }
        for credentials in Credentials::all(headers, asker) {
            let _ = credentials.username();
        }
    }
}

fn round_trip(address: &NameAddr) {
    assert_eq!(
        NameAddr::parse(&address.to_string()).as_ref(),
        Some(address)
    );
    assert!(address.uri.is_equivalent(&address.uri));
    let _ = (
        address.uri.user_decoded(),
        address.uri.param("transport"),
        address.params.get("q"),
    );
}

/// A response to the request parses, and is for the same dialog.
fn answer(request: Request) {
    let request = request.with_received(source(), true);
    let written = ResponseDraft::new(200)
        .to_tag("mine")
        .body("application/sdp", "v=0")
        .write(&request);
    assert_eq!(frame_len(&written), Ok(Some(written.len())));
    let response = match Message::parse(written.clone()) {
        Ok(Message::Response(response)) => response,
        other => panic!("{other:?} from {written:?}"),
    };
    let (asked, answered) = (request.headers(), response.headers());
    assert_eq!(asked.call_id(), answered.call_id());
    assert_eq!(asked.cseq(), answered.cseq());
    assert_eq!(asked.from(), answered.from());
    assert_eq!(answered.to_tag(), asked.to_tag().or(Some("mine")));
    assert_eq!(asked.top_via().branch(), answered.top_via().branch());
    assert_eq!(answered.top_via().param("rport"), Some("40000"));
    assert_eq!(answered.top_via().param("received"), Some("192.0.2.77"));
    assert_eq!(asked.values("Via").count(), answered.values("Via").count());
    assert_eq!(&response.body()[..], b"v=0");
}

/// The request written again from its parts has the same parts.
fn write_again(request: &Request) {
    let own = |name: &str| {
        ["via", "v", "content-length", "l"].contains(&name.to_ascii_lowercase().as_str())
    };
    let mut draft = RequestDraft::new(request.method().clone(), request.uri());
    for (name, value) in request.headers().iter().filter(|(name, _)| !own(name)) {
        draft = draft.header(name, value);
    }
    let via = request
        .headers()
        .values("Via")
        .next()
        .expect("a request has a Via");
    let written = draft.write(via);
    assert_eq!(frame_len(&written), Ok(Some(written.len())));
    let again = match Message::parse(written.clone()) {
        Ok(Message::Request(again)) => again,
        other => panic!("{other:?} from {written:?}"),
    };
    assert_eq!(again.method(), request.method());
    assert_eq!(again.uri(), request.uri());
    let lines = |headers: &Headers| -> Vec<(String, String)> {
        let kept = headers.iter().filter(|(name, _)| !own(name));
        // A NUL is written as a space.
        kept.map(|(name, value)| (name.to_owned(), value.replace('\0', " ").trim().to_owned()))
            .collect()
    };
    let mut expected = lines(request.headers());
    if request.headers().max_forwards().is_none() {
        expected.insert(0, ("Max-Forwards".to_owned(), "70".to_owned()));
    }
    assert_eq!(lines(again.headers()), expected);
}

/// What answers a bad request is one whole message.
fn answer_error(error: &ParseError) {
    if let Some(answer) = error.response(source(), "mine") {
        assert!(answer.starts_with(b"SIP/2.0 "));
        assert_eq!(frame_len(&answer), Ok(Some(answer.len())));
    }
}
