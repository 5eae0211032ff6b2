//! Header names, known ones as one byte.

/// A header field by its name; both the long and the compact form give the same (RFC 3261 §7.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Via,
    From,
    To,
    CallId,
    CSeq,
    Contact,
    MaxForwards,
    ContentLength,
    ContentType,
    ContentEncoding,
    Route,
    RecordRoute,
    Subject,
    Supported,
    Event,
    AllowEvents,
    ReferTo,
    ReferredBy,
    SessionExpires,
    AcceptContact,
    RejectContact,
    RequestDisposition,
    Identity,
    IdentityInfo,
    Timestamp,
    /// Any other; compared by its text.
    Other,
}

impl Field {
    /// The field of a name in any case.
    pub(super) fn of(name: &[u8]) -> Field {
        if let [letter] = name {
            return Field::of_compact(letter.to_ascii_lowercase());
        }
        let candidate = match (name.len(), name.first().map(u8::to_ascii_lowercase)) {
            (3, Some(b'v')) => (Field::Via, "via"),
            (4, Some(b'f')) => (Field::From, "from"),
            (2, Some(b't')) => (Field::To, "to"),
            (7, Some(b'c')) if name[1] | 0x20 == b'a' => (Field::CallId, "call-id"),
            (7, Some(b'c')) => (Field::Contact, "contact"),
            (4, Some(b'c')) => (Field::CSeq, "cseq"),
            (12, Some(b'm')) => (Field::MaxForwards, "max-forwards"),
            (14, Some(b'c')) => (Field::ContentLength, "content-length"),
            (12, Some(b'c')) => (Field::ContentType, "content-type"),
            (16, Some(b'c')) => (Field::ContentEncoding, "content-encoding"),
            (5, Some(b'r')) => (Field::Route, "route"),
            (12, Some(b'r')) => (Field::RecordRoute, "record-route"),
            (7, Some(b's')) => (Field::Subject, "subject"),
            (9, Some(b's')) => (Field::Supported, "supported"),
            (5, Some(b'e')) => (Field::Event, "event"),
            (12, Some(b'a')) => (Field::AllowEvents, "allow-events"),
            (8, Some(b'r')) => (Field::ReferTo, "refer-to"),
            (11, Some(b'r')) => (Field::ReferredBy, "referred-by"),
            (15, Some(b's')) => (Field::SessionExpires, "session-expires"),
            (14, Some(b'a')) => (Field::AcceptContact, "accept-contact"),
            (14, Some(b'r')) => (Field::RejectContact, "reject-contact"),
            (19, Some(b'r')) => (Field::RequestDisposition, "request-disposition"),
            (8, Some(b'i')) => (Field::Identity, "identity"),
            (13, Some(b'i')) => (Field::IdentityInfo, "identity-info"),
            (9, Some(b't')) => (Field::Timestamp, "timestamp"),
            _ => return Field::Other,
        };
        if name.eq_ignore_ascii_case(candidate.1.as_bytes()) {
            candidate.0
        } else {
            Field::Other
        }
    }

    /// The compact forms of RFC 3261 and of its extensions, as IANA lists them.
    fn of_compact(letter: u8) -> Field {
        match letter {
            b'a' => Field::AcceptContact,
            b'b' => Field::ReferredBy,
            b'c' => Field::ContentType,
            b'd' => Field::RequestDisposition,
            b'e' => Field::ContentEncoding,
            b'f' => Field::From,
            b'i' => Field::CallId,
            b'j' => Field::RejectContact,
            b'k' => Field::Supported,
            b'l' => Field::ContentLength,
            b'm' => Field::Contact,
            b'n' => Field::IdentityInfo,
            b'o' => Field::Event,
            b'r' => Field::ReferTo,
            b's' => Field::Subject,
            b't' => Field::To,
            b'u' => Field::AllowEvents,
            b'v' => Field::Via,
            b'x' => Field::SessionExpires,
            b'y' => Field::Identity,
            _ => Field::Other,
        }
    }

    /// True if both names are of the same header.
    pub(super) fn same(one: &str, other: &str) -> bool {
        match Field::of(one.as_bytes()) {
            Field::Other => one.eq_ignore_ascii_case(other),
            known => known == Field::of(other.as_bytes()),
        }
    }
}
