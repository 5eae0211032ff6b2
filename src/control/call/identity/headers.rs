//! Headers that the dialplan puts on the INVITEs that it sends: `Set(PJSIP_HEADER(add,Alert-Info)=…)`.

use crate::sip::message::RequestDraft;

/// Most headers that a call adds. A further one is refused.
pub const ADDED_MAX: usize = 32;
/// Longest name and value, in bytes. A longer one is refused.
pub const NAME_BYTES_MAX: usize = 64;
/// See [`NAME_BYTES_MAX`].
pub const VALUE_BYTES_MAX: usize = 1024;

/// What makes the dialog, the route, the session or the authentication is the gateway's own: a dialplan that changes it
/// would break the call, or another's.
const OWN: [&str; 33] = [
    "Accept",
    "Allow",
    "Authorization",
    "Call-ID",
    "Contact",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "CSeq",
    "Date",
    "Event",
    "Expires",
    "From",
    "Max-Forwards",
    "MIME-Version",
    "Min-SE",
    "Path",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Require",
    "RAck",
    "Record-Route",
    "Replaces",
    "Require",
    "Route",
    "RSeq",
    "Session-Expires",
    "Supported",
    "To",
    "Via",
    "WWW-Authenticate",
];

/// The headers that a call adds, in order.
#[derive(Clone, Debug, Default)]
pub struct AddedHeaders(Vec<(String, String)>);

impl AddedHeaders {
    /// Another header. False if it is refused: the gateway's own, a name that is none, or one too many.
    pub fn add(&mut self, name: &str, value: &str) -> bool {
        let is_fit = is_name(name) && value.len() <= VALUE_BYTES_MAX && self.0.len() < ADDED_MAX;
        if is_fit {
            self.0.push((name.to_owned(), value.to_owned()));
        }
        is_fit
    }

    /// Gives the `number`th header of that name, from 1, another value. False if there is none, or it is refused.
    pub fn update(&mut self, name: &str, number: usize, value: &str) -> bool {
        let mut named = self
            .0
            .iter_mut()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name));
        match named.nth(number.saturating_sub(1)) {
            Some((_, old)) if value.len() <= VALUE_BYTES_MAX => {
                *old = value.to_owned();
                true
            }
            _ => false,
        }
    }

    /// Takes the headers of that name away, or of all names that begin so if it ends with `*`. How many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.0.len();
        match name.strip_suffix('*') {
            Some(start) => self.0.retain(|(n, _)| {
                let head = n.get(..start.len());
                !head.is_some_and(|head| head.eq_ignore_ascii_case(start))
            }),
            None => self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name)),
        }
        before - self.0.len()
    }

    /// Puts them on a request. One that the gateway writes too (P-Asserted-Identity) stands in the place of ours.
    pub fn put_on(&self, request: RequestDraft) -> RequestDraft {
        let cleared = self.0.iter().fold(request, |request, (name, _)| {
            if request.get_header(name).is_some() {
                request.remove_header(name)
            } else {
                request
            }
        });
        let lines = self.0.iter();
        lines.fold(cleared, |request, (name, value)| {
            request.header(name, value)
        })
    }
}

/// A token (RFC 3261 §25.1) of more than one letter, as a single one may be the short form of a header of ours, and not
/// the gateway's own.
fn is_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    name.len() > 1
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(is_token)
        && !OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Method;

    fn written(added: &AddedHeaders) -> String {
        let draft =
            RequestDraft::new(Method::Invite, "sip:x@h").header("P-Asserted-Identity", "ours");
        let bytes = added.put_on(draft).write("SIP/2.0/UDP h");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn headers_are_added_changed_and_removed() {
        let mut added = AddedHeaders::default();
        for (name, value) in [
            ("X-A", "1"),
            ("X-A", "2"),
            ("X-B", "3"),
            ("Alert-Info", "<urn:x>"),
        ] {
            assert!(added.add(name, value));
        }
        assert!(added.update("x-a", 2, "two"));
        assert!(!added.update("X-A", 3, "three"));
        assert_eq!(added.remove("X-B"), 1);
        let text = written(&added);
        assert!(
            text.contains("X-A: 1\r\nX-A: two\r\nAlert-Info: <urn:x>\r\n"),
            "{text}"
        );
        assert_eq!(added.remove("x-*"), 2);
        assert!(!written(&added).contains("X-A"));
    }

    #[test]
    fn no_header_of_the_gateway_can_be_set_nor_a_line_smuggled_in() {
        let mut added = AddedHeaders::default();
        for name in [
            "Via",
            "call-id",
            "i",
            "X A",
            "X:",
            "X\r\nVia",
            "",
            "Route",
            "Proxy-Authorization",
        ] {
            assert!(!added.add(name, "x"), "{name}");
        }
        assert!(!added.add("X-Long", &"x".repeat(VALUE_BYTES_MAX + 1)));
        assert!(added.add("X-A", "1\r\nVia: evil"));
        assert!(added.add("P-Asserted-Identity", "<sip:1@h>"));
        let text = written(&added);
        assert_eq!(text.matches("\r\nVia:").count(), 1, "{text}");
        assert!(!text.contains("ours"), "{text}");
        for _ in 0..2 * ADDED_MAX {
            added.add("X-B", "1");
        }
        assert_eq!(written(&added).matches("X-B").count(), ADDED_MAX - 2);
    }
}
