//! The torture messages of RFC 4475, each with the treatment that its section asks of the parser. Where a section
//! leaves the choice, the comment says what was chosen.

use crate::sip::message::*;
use bytes::Bytes;
use std::path::Path;

/// What becomes of a message.
#[derive(Debug, PartialEq)]
enum Treatment {
    /// Handed on.
    Request(&'static str),
    /// Handed on.
    Response(u16),
    /// Answered with this status by the parser's own means.
    Answered(u16),
    /// Dropped.
    Discarded,
}
use Treatment::{Answered, Discarded, Request, Response};

const TABLE: [(&str, Treatment); 49] = [
    // §3.1.1, valid
    ("wsinv", Request("INVITE")),
    (
        "intmeth",
        Request("!interesting-Method0123456789_*+`.%indeed'~"),
    ),
    ("esc01", Request("INVITE")),
    ("escnull", Request("REGISTER")),
    ("esc02", Request("RE%47IST%45R")),
    ("lwsdisp", Request("OPTIONS")),
    ("longreq", Request("INVITE")),
    ("dblreq", Request("REGISTER")),
    ("semiuri", Request("OPTIONS")),
    ("transports", Request("OPTIONS")),
    ("mpart01", Request("MESSAGE")),
    ("unreason", Response(200)),
    ("noreason", Response(100)),
    // §3.1.2, invalid
    ("badinv01", Answered(400)),
    ("clerr", Answered(400)),
    ("ncl", Answered(400)),
    ("scalar02", Answered(400)),
    ("scalarlg", Discarded),
    ("quotbal", Answered(400)),
    ("ltgtruri", Answered(400)),
    ("lwsruri", Answered(400)),
    ("lwsstart", Answered(400)),
    ("trws", Answered(400)),
    ("escruri", Answered(400)),
    ("baddate", Request("INVITE")), // may be ignored by an element that does not use Date
    ("regbadct", Answered(400)),
    ("badaspec", Answered(400)),
    ("baddn", Answered(400)),
    ("badvers", Answered(505)),
    ("mismatch01", Answered(400)),
    ("mismatch02", Answered(400)), // or 501
    ("bigcode", Discarded),
    // §3.2, the transaction layer's
    ("badbranch", Request("OPTIONS")),
    // §3.3, the user's, but for what lacks or repeats a mandatory header
    ("insuf", Answered(400)),
    ("unkscm", Request("OPTIONS")),
    ("novelsc", Request("OPTIONS")),
    ("unksm2", Request("REGISTER")),
    ("bext01", Request("OPTIONS")),
    ("invut", Request("INVITE")),
    ("regaut01", Request("REGISTER")),
    ("multi01", Answered(400)),
    ("mcl01", Answered(400)),
    ("bcast", Response(200)),
    ("zeromf", Request("OPTIONS")),
    ("cparam01", Request("REGISTER")),
    ("cparam02", Request("REGISTER")),
    ("regescrt", Request("REGISTER")),
    ("sdp01", Request("INVITE")),
    // §3.4
    ("inv2543", Request("INVITE")),
];

fn vector(name: &str) -> Option<Bytes> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/vectors/rfc4475")
        .join(format!("{name}.dat"));
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes.into()),
        Err(_) => {
            println!("skipped: no {name}.dat among the reference vectors");
            None
        }
    }
}

fn accepted(name: &str) -> Option<Message> {
    vector(name).map(|bytes| Message::parse(bytes).unwrap())
}

fn accepted_request(name: &str) -> Option<super::Request> {
    accepted(name).map(|message| match message {
        Message::Request(request) => request,
        Message::Response(_) => panic!("{name} is a request"),
    })
}

#[test]
fn every_torture_message_gets_its_treatment() {
    for (name, expected) in TABLE {
        let Some(bytes) = vector(name) else { return };
        let parsed = Message::parse(bytes);
        match (&parsed, &expected) {
            (Ok(Message::Request(request)), Request(method)) => {
                assert_eq!(request.method().as_str(), *method, "{name}")
            }
            (Ok(Message::Response(response)), Response(status)) => {
                assert_eq!(response.status(), *status, "{name}")
            }
            (Err(error), Answered(status)) => {
                let answer = error
                    .response("192.0.2.77:5060".parse().unwrap(), "t")
                    .unwrap_or_else(|| panic!("{name}: {error}"));
                let line = format!("SIP/2.0 {status} ");
                assert!(answer.starts_with(line.as_bytes()), "{name}: {answer:?}");
            }
            (Err(error), Discarded) => assert_eq!(
                error.response("192.0.2.77:5060".parse().unwrap(), "t"),
                None,
                "{name}"
            ),
            _ => panic!("{name}: expected {expected:?}, came to {parsed:?}"),
        }
    }
}

#[test]
fn the_tortuous_invite_is_read_right() {
    let Some(invite) = accepted_request("wsinv") else {
        return;
    };
    let headers = invite.headers();
    assert_eq!(headers.to().uri.user.as_deref(), Some("vivekg"));
    assert_eq!(headers.to_tag(), Some("1918181833n"));
    assert_eq!(
        headers.from().display_name.as_deref(),
        Some("J Rosenberg \\\"")
    );
    assert_eq!(headers.from_tag(), Some("98asjd8"));
    assert_eq!(headers.max_forwards(), Some(68));
    assert_eq!(headers.cseq().number, 9);
    assert_eq!(headers.top_via().branch(), Some("390skdjuw"));
    let branches: Vec<_> = headers
        .values("Via")
        .map(|via| Via::parse(via).unwrap().branch().unwrap())
        .collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    assert_eq!(headers.get("Subject"), Some(""));
    assert_eq!(
        headers.get("UnknownHeaderWithUnusualValue"),
        Some(";;,,;;,;")
    );
    assert_eq!(
        headers.contact().unwrap().display_name.as_deref(),
        Some("Quoted string \"\"")
    );
    assert_eq!(
        headers.contact().unwrap().params.get("secondparam"),
        Some("")
    );
    assert_eq!(headers.contact().unwrap().params.get("q"), Some("0.33"));
    assert_eq!(invite.body().len(), 150);
}

#[test]
fn a_datagram_ends_where_content_length_says() {
    let Some(register) = accepted_request("dblreq") else {
        return;
    };
    assert!(register.body().is_empty());
    let Some(bytes) = vector("dblreq") else {
        return;
    };
    let first = frame_len(&bytes).unwrap().unwrap();
    assert!(bytes[first..].starts_with(b"\r\nINVITE sip:joe@example.com"));
    let Message::Request(second) = Message::parse(bytes.slice(first..)).unwrap() else {
        panic!("the second is a request too");
    };
    assert_eq!(second.headers().cseq().method, Method::Invite);
}

#[test]
fn odd_users_hosts_and_reasons_are_read_right() {
    let Some(options) = accepted_request("semiuri") else {
        return;
    };
    let uri = Uri::parse(options.uri()).unwrap();
    assert_eq!(uri.user.as_deref(), Some("user;par=u%40example.net"));
    assert_eq!(
        uri.user_decoded().as_deref(),
        Some("user;par=u@example.net")
    );
    let Some(esc) = accepted_request("esc01") else {
        return;
    };
    assert_eq!(
        Uri::parse(esc.uri()).unwrap().user_decoded().as_deref(),
        Some("sips:user@example.com")
    );
    let Some(null) = accepted_request("escnull") else {
        return;
    };
    assert_eq!(
        null.headers().to().uri.user_decoded().as_deref(),
        Some("null-\0-null")
    );
    let Some(Message::Response(response)) = accepted("unreason") else {
        return;
    };
    assert!(
        response.reason().starts_with("= 2**3 * 5**2 "),
        "{}",
        response.reason()
    );
    assert!(
        response.reason().contains("девяносто девять - простое"),
        "{}",
        response.reason()
    );
    let Some(Message::Response(response)) = accepted("noreason") else {
        return;
    };
    assert_eq!(response.reason(), "");
    let Some(header_param) = accepted_request("cparam01") else {
        return;
    };
    let contact = header_param.headers().contact().unwrap();
    assert_eq!(
        (
            contact.params.get("unknownparam"),
            contact.uri.param("unknownparam")
        ),
        (Some(""), None)
    );
    let Some(uri_param) = accepted_request("cparam02") else {
        return;
    };
    let contact = uri_param.headers().contact().unwrap();
    assert_eq!(
        (
            contact.params.get("unknownparam"),
            contact.uri.param("unknownparam")
        ),
        (None, Some(""))
    );
    let Some(escaped) = accepted_request("regescrt") else {
        return;
    };
    assert_eq!(
        escaped.headers().contact().unwrap().uri.headers,
        "Route=%3Csip:sip.example.com%3E"
    );
    let Some(binary) = accepted_request("mpart01") else {
        return;
    };
    assert!(
        std::str::from_utf8(&binary.body()).is_err(),
        "a binary body is kept as it is"
    );
}
