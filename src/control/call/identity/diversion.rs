//! Who forwarded a call on its way: Diversion (RFC 5806) and History-Info (RFC 7044), read and written.
//!
//! A call keeps the numbers that it was forwarded by, the last one first, as Diversion has them; both headers are
//! written from that list, with our host in place of everybody else's.

use super::{TEXT_MAX, cut, quoted};
use crate::control::call::dialling::targets::escape_user;
use crate::sip::message::{Headers, NameAddr};
use std::fmt::Write as _;

/// Most forwarders that a call keeps: the last ones. A call that was forwarded more often goes in circles.
pub const DIVERSIONS_MAX: usize = 5;

/// One forwarding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diversion {
    /// Whose call it was.
    pub number: String,
    /// The name with it; may be empty.
    pub name: String,
    /// Why.
    pub reason: Reason,
    /// Who it was is not to be shown.
    pub is_private: bool,
}

impl Diversion {
    /// Of this number, and nothing else is known.
    pub fn by(number: &str) -> Diversion {
        Diversion {
            number: number.to_owned(),
            name: String::new(),
            reason: Reason::Unknown,
            is_private: false,
        }
    }
}

/// Why a call was forwarded (RFC 5806 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// Not known, or a word of the peer's own.
    #[default]
    Unknown,
    /// The line was busy.
    UserBusy,
    /// Nobody answered.
    NoAnswer,
    /// It could not be reached.
    Unavailable,
    /// Always.
    Unconditional,
    /// At this time of the day.
    TimeOfDay,
    /// It is not to be disturbed.
    DoNotDisturb,
    /// The callee has sent this one call elsewhere.
    Deflection,
    /// To where the callee is.
    FollowMe,
    /// Out of service.
    OutOfService,
    /// Away.
    Away,
}

/// Name in Diversion, and the cause that stands for it in History-Info (RFC 7544 §7.3).
const REASONS: [(Reason, &str, u16); 11] = [
    (Reason::Unknown, "unknown", 404),
    (Reason::UserBusy, "user-busy", 486),
    (Reason::NoAnswer, "no-answer", 408),
    (Reason::Unavailable, "unavailable", 503),
    (Reason::Unconditional, "unconditional", 302),
    (Reason::TimeOfDay, "time-of-day", 404),
    (Reason::DoNotDisturb, "do-not-disturb", 404),
    (Reason::Deflection, "deflection", 480),
    (Reason::FollowMe, "follow-me", 404),
    (Reason::OutOfService, "out-of-service", 404),
    (Reason::Away, "away", 404),
];

impl Reason {
    /// As Diversion writes it.
    pub fn as_str(self) -> &'static str {
        REASONS[self as usize].1
    }

    fn of_name(name: &str) -> Reason {
        let mut all = REASONS.iter();
        let found = all.find(|(_, known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Reason::Unknown, |(reason, _, _)| *reason)
    }

    fn cause(self) -> u16 {
        REASONS[self as usize].2
    }

    fn of_cause(cause: u16) -> Reason {
        let mut all = REASONS.iter();
        let found = all.find(|(_, _, known)| *known == cause);
        found.map_or(Reason::Unknown, |(reason, _, _)| *reason)
    }
}

/// Who forwarded an INVITE before it came to us, the last one first: its Diversion, or else its History-Info.
pub fn diversions_of(headers: &Headers) -> Vec<Diversion> {
    let diversions: Vec<Diversion> = headers
        .values("Diversion")
        .filter_map(diversion)
        .take(DIVERSIONS_MAX)
        .collect();
    if diversions.is_empty() {
        history_of(headers)
    } else {
        diversions
    }
}

fn diversion(value: &str) -> Option<Diversion> {
    let address = NameAddr::parse(value)?;
    let privacy = address.params.get("privacy").unwrap_or("off");
    Some(Diversion {
        number: user_of(&address)?,
        name: address.display_name.clone().unwrap_or_default(),
        reason: Reason::of_name(address.params.get("reason").unwrap_or("")),
        is_private: !privacy.eq_ignore_ascii_case("off"),
    })
}

/// An entry was forwarded if it says why in a Reason of its URI, or the entry after it does in its `cause` parameter
/// (RFC 7044 §9.2, RFC 4458 §2).
fn history_of(headers: &Headers) -> Vec<Diversion> {
    let entries: Vec<NameAddr> = headers
        .values("History-Info")
        .filter_map(NameAddr::parse)
        .collect();
    let pairs = entries.iter().zip(entries.iter().skip(1)).rev();
    let forwarded = pairs.filter_map(|(entry, next)| {
        let own = entry.uri.header("Reason").and_then(|reason| cause(&reason));
        let cause = own.or_else(|| next.uri.param("cause")?.parse().ok())?;
        let privacy = entry.uri.header("Privacy").unwrap_or_default();
        Some(Diversion {
            number: user_of(entry)?,
            name: entry.display_name.clone().unwrap_or_default(),
            reason: Reason::of_cause(cause),
            is_private: privacy.eq_ignore_ascii_case("history"),
        })
    });
    forwarded.take(DIVERSIONS_MAX).collect()
}

/// The SIP cause of a Reason (`SIP;cause=302;text="…"`).
fn cause(reason: &str) -> Option<u16> {
    let mut parts = reason.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("SIP") {
        return None;
    }
    parts.find_map(|part| part.strip_prefix("cause=")?.parse().ok())
}

fn user_of(address: &NameAddr) -> Option<String> {
    let user = address.uri.user_decoded()?;
    (!user.is_empty()).then(|| cut(&user, TEXT_MAX).to_owned())
}

/// The values of Diversion, the last forwarder first, each for a line of its own.
pub(super) fn diversion_values(diversions: &[&Diversion], host: &str) -> Vec<String> {
    let value = |diversion: &&Diversion| {
        let name = quoted(cut(&diversion.name, TEXT_MAX));
        let user = escape_user(cut(&diversion.number, TEXT_MAX));
        let privacy = if diversion.is_private { "full" } else { "off" };
        let reason = diversion.reason.as_str();
        format!("{name}<sip:{user}@{host}>;reason={reason};privacy={privacy}")
    };
    diversions.iter().map(value).collect()
}

/// The value of History-Info: each forwarder, the first one first, and `target`, which the call goes to now. Each entry
/// hangs below the one that forwarded it (RFC 7044 §10.3).
pub(super) fn history_value(diversions: &[&Diversion], host: &str, target: &str) -> String {
    let mut value = String::new();
    let mut index = String::from("1");
    for (at, diversion) in diversions.iter().rev().enumerate() {
        let user = escape_user(cut(&diversion.number, TEXT_MAX));
        let cause = diversion.reason.cause();
        let privacy = if diversion.is_private {
            "&Privacy=history"
        } else {
            ""
        };
        let uri = format!("<sip:{user}@{host}?Reason=SIP%3Bcause%3D{cause}{privacy}>");
        push_entry(&mut value, &uri, &mut index, at == 0);
    }
    let uri = format!("<sip:{}@{host}>", escape_user(cut(target, TEXT_MAX)));
    push_entry(&mut value, &uri, &mut index, diversions.is_empty());
    value
}

fn push_entry(value: &mut String, uri: &str, index: &mut String, is_first: bool) {
    // Writing to a String cannot fail.
    if is_first {
        let _ = write!(value, "{uri};index={index}");
    } else {
        let parent = index.clone();
        index.push_str(".1");
        let _ = write!(value, ", {uri};index={index};mp={parent}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn headers(lines: &str) -> Headers {
        let text = format!(
            "INVITE sip:x@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:x@h>\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\n{lines}\r\n"
        );
        match Message::parse(text.into_bytes().into()).expect("it parses") {
            Message::Request(request) => request.headers().clone(),
            Message::Response(_) => panic!("a request"),
        }
    }

    #[test]
    fn the_last_forwarder_comes_first() {
        let found = diversions_of(&headers(
            "Diversion: \"Bob\" <sip:200@b>;reason=no-answer, <tel:+1-555-1>;reason=user-busy;privacy=full\r\n\
             Diversion: <sip:100@a>;reason=strange\r\n",
        ));
        let told: Vec<_> = found
            .iter()
            .map(|one| (&one.number[..], &one.name[..], one.reason, one.is_private))
            .collect();
        assert_eq!(
            told,
            [
                ("200", "Bob", Reason::NoAnswer, false),
                ("+15551", "", Reason::UserBusy, true),
                ("100", "", Reason::Unknown, false),
            ]
        );
    }

    #[test]
    fn history_tells_who_forwarded() {
        let found = diversions_of(&headers(
            "History-Info: <sip:100@a?Reason=SIP%3Bcause%3D486>;index=1, <sip:200@a>;index=1.1;mp=1,\
             <sip:300@a;cause=408>;index=1.1.1\r\n",
        ));
        let told = found.iter().map(|one| (&one.number[..], one.reason));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [("200", Reason::NoAnswer), ("100", Reason::UserBusy)]
        );
        assert!(diversions_of(&headers("History-Info: <sip:1@a>;index=1\r\n")).is_empty());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let written = ["200", "100"].map(|number| Diversion {
            number: number.to_owned(),
            name: String::new(),
            reason: Reason::UserBusy,
            is_private: false,
        });
        let all: Vec<&Diversion> = written.iter().collect();
        let history = history_value(&all, "gw", "300");
        assert_eq!(
            history,
            "<sip:100@gw?Reason=SIP%3Bcause%3D486>;index=1, <sip:200@gw?Reason=SIP%3Bcause%3D486>;index=1.1;mp=1, \
             <sip:300@gw>;index=1.1.1;mp=1.1"
        );
        let read = diversions_of(&headers(&format!("History-Info: {history}\r\n")));
        assert_eq!(read, written);
        let diversion = diversion_values(&all, "gw").join(", ");
        let read = diversions_of(&headers(&format!("Diversion: {diversion}\r\n")));
        assert_eq!(read, written);
    }

    #[test]
    fn a_call_keeps_a_few_forwarders() {
        let line = "Diversion: <sip:1@a>\r\n".repeat(20);
        assert_eq!(diversions_of(&headers(&line)).len(), DIVERSIONS_MAX);
    }
}
