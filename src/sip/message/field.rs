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
            (3, Some(b'v')) => (Field::Via, "Via"),
            (4, Some(b'f')) => (Field::From, "From"),
            (2, Some(b't')) => (Field::To, "To"),
            (7, Some(b'c')) if name[1] | 0x20 == b'a' => (Field::CallId, "Call-ID"),
            (7, Some(b'c')) => (Field::Contact, "Contact"),
            (4, Some(b'c')) => (Field::CSeq, "CSeq"),
            (12, Some(b'm')) => (Field::MaxForwards, "Max-Forwards"),
            (14, Some(b'c')) => (Field::ContentLength, "Content-Length"),
            (12, Some(b'c')) => (Field::ContentType, "Content-Type"),
            (16, Some(b'c')) => (Field::ContentEncoding, "Content-Encoding"),
            (5, Some(b'r')) => (Field::Route, "Route"),
            (12, Some(b'r')) => (Field::RecordRoute, "Record-Route"),
            (7, Some(b's')) => (Field::Subject, "Subject"),
            (9, Some(b's')) => (Field::Supported, "Supported"),
            (5, Some(b'e')) => (Field::Event, "Event"),
            (12, Some(b'a')) => (Field::AllowEvents, "Allow-Events"),
            (8, Some(b'r')) => (Field::ReferTo, "Refer-To"),
            (11, Some(b'r')) => (Field::ReferredBy, "Referred-By"),
            (15, Some(b's')) => (Field::SessionExpires, "Session-Expires"),
            (14, Some(b'a')) => (Field::AcceptContact, "Accept-Contact"),
            (14, Some(b'r')) => (Field::RejectContact, "Reject-Contact"),
            (19, Some(b'r')) => (Field::RequestDisposition, "Request-Disposition"),
            (8, Some(b'i')) => (Field::Identity, "Identity"),
            (13, Some(b'i')) => (Field::IdentityInfo, "Identity-Info"),
            (9, Some(b't')) => (Field::Timestamp, "Timestamp"),
            _ => return Field::Other,
        };
        let long = candidate.1.as_bytes();
        if name == long || name.eq_ignore_ascii_case(long) {
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
}
