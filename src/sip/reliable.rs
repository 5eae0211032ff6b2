//! The headers of reliable provisional responses (RFC 3262 §7).

use super::message::{Headers, Method, Response};
use std::fmt;

/// The option tag (RFC 3262 §8.1).
pub const OPTION: &str = "100rel";

/// The highest RSeq that a first response may carry (RFC 3262 §3).
pub const FIRST_RSEQ_MAX: u32 = (1 << 31) - 1;

/// The RSeq of a provisional response that its sender wants acknowledged. None for any other response.
pub fn rseq(response: &Response) -> Option<u32> {
    let headers = response.headers();
    let is_reliable = (101..200).contains(&response.status())
        && headers.lists("Require", OPTION)
        && headers.to_tag().is_some();
    let number = headers.get("RSeq").filter(|_| is_reliable)?;
    number.trim().parse().ok().filter(|number| *number > 0)
}

/// The value of a RAck header: which response a PRACK acknowledges (RFC 3262 §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// Its RSeq.
    pub rseq: u32,
    /// The number of its CSeq.
    pub cseq: u32,
    /// The method of its CSeq: always INVITE so far.
    pub method: Method,
}

impl RAck {
    /// Of a PRACK. None if it is missing or not valid: answer 400.
    pub fn of(headers: &Headers) -> Option<RAck> {
        let mut words = headers.get("RAck")?.split_ascii_whitespace();
        let mut number = || words.next()?.parse().ok();
        let (rseq, cseq) = (number()?, number()?);
        let method = Method::parse(words.next()?)?;
        words
            .next()
            .is_none()
            .then_some(RAck { rseq, cseq, method })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.rseq, self.cseq, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn message(start: &str, method: &str, extra: &str) -> Message {
        let text = format!(
            "{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=a\r\nTo: <sip:b@h>;tag=b\r\n\
             Call-ID: c\r\nCSeq: 2 {method}\r\nMax-Forwards: 70\r\n{extra}\r\n"
        );
        Message::parse(text.into_bytes().into()).expect("it parses")
    }

    #[test]
    fn a_response_is_reliable_if_it_requires_it_and_is_numbered() {
        for (status, extra, expected) in [
            (180, "Require: 100rel\r\nRSeq: 17\r\n", Some(17)),
            (
                183,
                "Require: timer, 100REL\r\nRSeq: 4294967295\r\n",
                Some(u32::MAX),
            ),
            (183, "RSeq: 17\r\n", None),
            (183, "Require: 100rel\r\n", None),
            (183, "Require: 100rel\r\nRSeq: 0\r\n", None),
            (183, "Require: 100rel\r\nRSeq: -1\r\n", None),
            (100, "Require: 100rel\r\nRSeq: 17\r\n", None),
            (200, "Require: 100rel\r\nRSeq: 17\r\n", None),
        ] {
            let Message::Response(response) =
                message(&format!("SIP/2.0 {status} X"), "INVITE", extra)
            else {
                panic!("a response");
            };
            assert_eq!(rseq(&response), expected, "{status} {extra}");
        }
    }

    #[test]
    fn a_rack_names_a_response() {
        for (value, expected) in [
            ("776656 1 INVITE", Some((776_656, 1, Method::Invite))),
            (" 1   2\tINVITE ", Some((1, 2, Method::Invite))),
            ("1 2", None),
            ("1 2 INVITE 3", None),
            ("1 x INVITE", None),
            ("4294967296 1 INVITE", None),
        ] {
            let Message::Request(prack) = message(
                "PRACK sip:h SIP/2.0",
                "PRACK",
                &format!("RAck: {value}\r\n"),
            ) else {
                panic!("a request");
            };
            let rack = expected.map(|(rseq, cseq, method)| RAck { rseq, cseq, method });
            assert_eq!(RAck::of(prack.headers()), rack, "{value}");
        }
    }

    #[test]
    fn a_rack_is_written_as_it_is_read() {
        let rack = RAck {
            rseq: 5,
            cseq: 1,
            method: Method::Invite,
        };
        assert_eq!(rack.to_string(), "5 1 INVITE");
    }
}
