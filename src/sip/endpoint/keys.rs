//! What requests are matched by (RFC 3261 §17.2.3, §13.3.1.4, §8.2.2.2), written into one string each.

use super::shared::SeededHash;
use crate::sip::message::{Headers, Method, Request};
use std::fmt::Write;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

/// Branches of RFC 3261 begin with it; others come from peers of RFC 2543 and are not unique.
const MAGIC_COOKIE: &str = "z9hG4bK";
/// Stands in no header value.
const END: char = '\0';

/// What a transaction is found by: 128 bits of keyed hash over what RFC 3261 compares, instead of the text itself,
/// which a peer may make long and which would be kept for half a minute. Nobody can aim at a collision without the
/// key, and by chance one among a million transactions has a probability below 10^-26.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(u64, u64);

/// Takes the text of a key in.
struct KeyWriter(DefaultHasher, DefaultHasher);

impl KeyWriter {
    fn new(hash: SeededHash) -> KeyWriter {
        let mut second = hash.build_hasher();
        second.write_u8(1);
        KeyWriter(hash.build_hasher(), second)
    }

    fn key(self) -> Key {
        Key(self.0.finish(), self.1.finish())
    }
}

impl Write for KeyWriter {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        self.1.write(text.as_bytes());
        Ok(())
    }
}

/// The key of the server transaction that the request belongs to: the one of the INVITE for an ACK and a CANCEL.
pub(super) fn request_key(hash: SeededHash, request: &Request) -> Key {
    let method = match request.method() {
        Method::Ack | Method::Cancel => "INVITE",
        other => other.as_str(),
    };
    let headers = request.headers();
    let via = headers.top_via();
    let (host, port) = (&via.host, via.port.unwrap_or_default());
    let mut key = KeyWriter::new(hash);
    // Writing to a hash cannot fail.
    let _ = match via.branch().filter(|branch| has_magic_cookie(branch)) {
        Some(branch) => write!(key, "{branch}{END}{host}:{port}{END}{method}"),
        None => {
            // The To tag is left out: the INVITE has none, its ACK has ours.
            let _ = write!(key, "{END}{}{END}", request.uri());
            push_call(&mut key, headers);
            write!(key, "{host}:{port};{}{END}{method}", via.params)
        }
    };
    key.key()
}

/// The key of the ACK of a 2xx, which has a branch of its own: Call-ID, both tags and CSeq.
pub(super) fn ack_key(hash: SeededHash, request: &Request, to_tag: &str) -> Key {
    let mut key = KeyWriter::new(hash);
    push_call(&mut key, request.headers());
    let _ = key.write_str(to_tag);
    key.key()
}

/// The key by which the same request is known when it comes on another path (RFC 3261 §8.2.2.2). None inside a
/// dialog.
pub(super) fn merge_key(hash: SeededHash, request: &Request) -> Option<Key> {
    let headers = request.headers();
    if headers.to_tag().is_some() {
        return None;
    }
    let mut key = KeyWriter::new(hash);
    push_call(&mut key, headers);
    let _ = key.write_str(request.method().as_str());
    Some(key.key())
}

fn push_call(key: &mut KeyWriter, headers: &Headers) {
    let from_tag = headers.from_tag().unwrap_or_default();
    let (call_id, number) = (headers.call_id(), headers.cseq().number);
    let _ = write!(key, "{call_id}{END}{from_tag}{END}{number}{END}");
}

/// True for a branch that is unique. One that is nothing but the cookie is not (RFC 4475 §3.2.1).
fn has_magic_cookie(branch: &str) -> bool {
    branch.len() > MAGIC_COOKIE.len()
        && branch
            .get(..MAGIC_COOKIE.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
}

/// Writes one of our branches.
pub(super) fn write_branch(number: u64) -> String {
    format!("{MAGIC_COOKIE}{number:016x}")
}

/// Reads one of our branches.
pub(super) fn read_branch(branch: &str) -> Option<u64> {
    let number = branch.strip_prefix(MAGIC_COOKIE)?;
    let is_ours = number.len() == 16 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| u64::from_str_radix(number, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn key_of(request: &Request) -> Key {
        request_key(SeededHash::new(7), request)
    }

    fn request(method: &str, via: &str, to_tag: &str) -> Request {
        let text = format!(
            "{method} sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nFrom: <sip:a@h>;tag=f\r\n\
             To: <sip:b@h>{to_tag}\r\nCall-ID: c\r\nCSeq: 7 {method}\r\nMax-Forwards: 70\r\n\r\n"
        );
        match Message::parse(text.into_bytes().into()) {
            Ok(Message::Request(request)) => request,
            other => panic!("no request: {other:?}"),
        }
    }

    #[test]
    fn branch_sent_by_and_method_tell_transactions_apart() {
        let invite = key_of(&request("INVITE", "h:5070;branch=z9hG4bKx", ""));
        for (method, via, same) in [
            ("INVITE", "h:5070;branch=z9hG4bKx", true),
            ("INVITE", "h:5070;rport;branch=z9hG4bKx", true),
            ("ACK", "h:5070;branch=z9hG4bKx", true),
            ("CANCEL", "h:5070;branch=z9hG4bKx", true),
            ("BYE", "h:5070;branch=z9hG4bKx", false),
            ("INVITE", "h:5071;branch=z9hG4bKx", false),
            ("INVITE", "g:5070;branch=z9hG4bKx", false),
            ("INVITE", "h:5070;branch=z9hG4bKy", false),
        ] {
            let key = key_of(&request(method, via, ";tag=t"));
            assert_eq!(key == invite, same, "{method} {via}");
        }
    }

    #[test]
    fn without_the_magic_cookie_the_rules_of_rfc_2543_hold() {
        for via in ["h:5070", "h:5070;branch=1", "h:5070;branch=z9hG4bK"] {
            let invite = key_of(&request("INVITE", via, ""));
            assert_eq!(key_of(&request("INVITE", via, "")), invite);
            assert_eq!(key_of(&request("ACK", via, ";tag=t")), invite);
            assert_ne!(key_of(&request("BYE", via, ";tag=t")), invite);
            assert_ne!(key_of(&request("INVITE", "h:5071", "")), invite);
        }
    }

    #[test]
    fn our_branches_are_read_back_and_no_others() {
        let branch = write_branch(0x00ab_cdef_0123_4567);
        assert_eq!(read_branch(&branch), Some(0x00ab_cdef_0123_4567));
        for other in ["z9hG4bK", "z9hG4bK+0abcdef01234567", "z9hG4bKabc", "x"] {
            assert_eq!(read_branch(other), None, "{other}");
        }
    }
}
