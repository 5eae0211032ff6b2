//! The reader.

use crate::sip::message::*;
use bytes::Bytes;

pub(super) fn parse(text: &str) -> Result<Message, ParseError> {
    Message::parse(Bytes::from(text.replace('\n', "\r\n")))
}

pub(super) fn request(text: &str) -> Request {
    match parse(text) {
        Ok(Message::Request(request)) => request,
        other => panic!("not a request: {other:?}"),
    }
}

const INVITE: &str = "INVITE sip:+4930123456@192.0.2.1:5060;user=phone SIP/2.0
v: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK776;rport, SIP/2.0/TCP core.example.com
Max-Forwards: 69
f: \"Doe, \\\"J\\\"\" <sip:+49401@198.51.100.7>;tag=9fx
To: <tel:+49-30-123456>
i: a84b4c76e66710@198.51.100.7
CSeq: 314159 INVITE
m: <sip:+49401@198.51.100.7:5060;transport=udp>
X-Account: first
x-account: second
Subject: one
 and the same
Content-Type: application/sdp
l: 4

v=0
";

#[test]
fn an_invite_is_taken_apart() {
    let invite = request(INVITE);
    let headers = invite.headers();
    assert_eq!(invite.method(), &Method::Invite);
    assert_eq!(invite.uri(), "sip:+4930123456@192.0.2.1:5060;user=phone");
    assert_eq!(&invite.body()[..], b"v=0\r");
    assert_eq!(headers.call_id(), "a84b4c76e66710@198.51.100.7");
    assert_eq!(
        headers.cseq(),
        CSeq {
            number: 314_159,
            method: Method::Invite
        }
    );
    assert_eq!(headers.from().display_name.as_deref(), Some("Doe, \"J\""));
    assert_eq!(headers.from_tag(), Some("9fx"));
    assert_eq!(headers.to_tag(), None);
    assert_eq!(
        headers.to().uri.user_decoded().as_deref(),
        Some("+4930123456")
    );
    assert_eq!(headers.max_forwards(), Some(69));
    assert_eq!(headers.top_via().branch(), Some("z9hG4bK776"));
    assert_eq!(headers.top_via().param("rport"), Some(""));
    assert_eq!(headers.values("Via").count(), 2);
    assert_eq!(
        headers.lines("X-ACCOUNT").collect::<Vec<_>>(),
        ["first", "second"]
    );
    assert_eq!(headers.get("Subject"), Some("one  and the same"));
    assert_eq!(headers.get("s"), Some("one  and the same"));
    assert_eq!(
        headers
            .contact()
            .and_then(|contact| contact.uri.param("transport").map(str::to_owned))
            .as_deref(),
        Some("udp")
    );
    let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names[..4], ["v", "Max-Forwards", "f", "To"]);
}

#[test]
fn a_response_is_written_from_its_request() {
    let invite = request(INVITE).with_received("203.0.113.9:40000".parse().unwrap(), false);
    let bytes = ResponseDraft::new(180)
        .to_tag("b1")
        .header("X-Note", "a\r\nEvil: yes\0")
        .write(&invite);
    let text = std::str::from_utf8(&bytes).unwrap();
    assert_eq!(
        text,
        "SIP/2.0 180 Ringing\r\n\
         Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK776;received=203.0.113.9;rport=40000, SIP/2.0/TCP core.example.com\r\n\
         From: \"Doe, \\\"J\\\"\" <sip:+49401@198.51.100.7>;tag=9fx\r\n\
         To: <tel:+49-30-123456>;tag=b1\r\n\
         Call-ID: a84b4c76e66710@198.51.100.7\r\n\
         CSeq: 314159 INVITE\r\n\
         X-Note: a  Evil: yes \r\n\
         Content-Length: 0\r\n\r\n"
    );
    assert!(
        matches!(Message::parse(bytes), Ok(Message::Response(response)) if response.status() == 180)
    );
}
