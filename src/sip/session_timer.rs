//! Session timers (RFC 4028): the headers, and what a UAS makes of a request.
//!
//! ```text
//!   refresher       0 ─────────── half: UPDATE or re-INVITE ─ 2xx: from 0 again
//!   the other one   0 ──────────────────────────────────── interval - min(32 s, a third): BYE
//! ```

use super::message::Headers;
use std::fmt;
use std::time::Duration;

/// The option tag (RFC 4028 §6).
pub const OPTION: &str = "timer";

/// The least interval that anybody may ask for, in seconds (RFC 4028 §4).
pub const MIN_SE: u32 = 90;

/// The longest that we run, in seconds: a longer one is refreshed as if it were this.
pub const INTERVAL_MAX: u32 = 86_400;

/// Who refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

/// The value of a Session-Expires header (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// The interval in seconds.
    pub seconds: u32,
    /// Who refreshes, if it is said.
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    /// Of a message. None if there is none that makes sense.
    pub fn of(headers: &Headers) -> Option<SessionExpires> {
        let mut parts = headers.get("Session-Expires")?.split(';').map(str::trim);
        let seconds = parts.next()?.parse().ok()?;
        let refresher = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            let is = |text: &str| value.trim().eq_ignore_ascii_case(text);
            match name.trim().eq_ignore_ascii_case("refresher") {
                true if is("uac") => Some(Refresher::Uac),
                true if is("uas") => Some(Refresher::Uas),
                _ => None,
            }
        });
        Some(SessionExpires { seconds, refresher })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seconds)?;
        match self.refresher {
            Some(Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(Refresher::Uas) => f.write_str(";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// The Min-SE of a message, in seconds.
pub fn min_se(headers: &Headers) -> Option<u32> {
    let value = headers.get("Min-SE")?.split(';').next()?;
    value.trim().parse().ok()
}

/// What we would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The least interval that we take, in seconds.
    pub min_se: u32,
    /// The interval that we ask for, in seconds.
    pub expires: u32,
    /// We run one even if the peer does not ask for any.
    pub always: bool,
}

/// What an INVITE or UPDATE of the peer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    expires: Option<SessionExpires>,
    min_se: u32,
    is_supported: bool,
}

impl Asked {
    /// Of a request.
    pub fn of(headers: &Headers) -> Asked {
        Asked {
            expires: SessionExpires::of(headers),
            min_se: min_se(headers).unwrap_or(MIN_SE),
            is_supported: headers.lists("Supported", OPTION) || headers.lists("Require", OPTION),
        }
    }

    /// The Min-SE of a 422, if the interval is too small. Who does not speak session timers did not choose it, and
    /// could make nothing of a 422 (RFC 4028 §9).
    pub fn refusal(&self, terms: &Terms) -> Option<u32> {
        let asked = self.expires.filter(|_| self.is_supported)?;
        (asked.seconds < terms.min_se).then_some(terms.min_se)
    }

    /// What the 2xx says (RFC 4028 §9, table 2). None: no session timer.
    pub fn answer(&self, terms: &Terms) -> Option<Interval> {
        let longest = terms.expires.max(self.min_se);
        let (seconds, stated) = match self.expires {
            Some(asked) => (asked.seconds.min(longest), asked.refresher),
            None if terms.always => (longest, Some(Refresher::Uas)),
            None => return None,
        };
        let refresher = match stated {
            _ if !self.is_supported => Refresher::Uas,
            Some(stated) => stated,
            None => Refresher::Uac,
        };
        Some(Interval::new(seconds, refresher == Refresher::Uas))
    }
}

/// A session timer that runs, from one refresh to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// In seconds, at least [`MIN_SE`], at most [`INTERVAL_MAX`].
    pub seconds: u32,
    /// We refresh, not the peer.
    pub is_ours: bool,
}

impl Interval {
    /// With the limits.
    pub fn new(seconds: u32, is_ours: bool) -> Interval {
        Interval {
            seconds: seconds.clamp(MIN_SE, INTERVAL_MAX),
            is_ours,
        }
    }

    /// When the refresher sends its refresh (RFC 4028 §7.2).
    pub fn refresh_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.seconds)) / 2
    }

    /// When the session is given up without a refresh (RFC 4028 §10).
    pub fn ends_after(&self) -> Duration {
        let interval = Duration::from_secs(u64::from(self.seconds));
        interval - (interval / 3).min(Duration::from_secs(32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Message;

    fn headers(extra: &str) -> Headers {
        let text = format!(
            "INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=a\r\n\
             To: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 2 INVITE\r\nMax-Forwards: 70\r\n{extra}\r\n"
        );
        match Message::parse(text.into_bytes().into()).expect("it parses") {
            Message::Request(request) => request.headers().clone(),
            Message::Response(_) => panic!("a request"),
        }
    }

    #[test]
    fn the_header_is_read_in_each_of_its_forms() {
        for (line, expected) in [
            ("Session-Expires: 1800", Some((1800, None))),
            ("x: 90;refresher=UAC", Some((90, Some(Refresher::Uac)))),
            (
                "Session-Expires: 4000 ; refresher = uas;x=y",
                Some((4000, Some(Refresher::Uas))),
            ),
            ("Session-Expires: 4000;refresher=proxy", Some((4000, None))),
            ("Session-Expires: soon", None),
            ("X-Else: 1", None),
        ] {
            let expires = SessionExpires::of(&headers(&format!("{line}\r\n")));
            let expected =
                expected.map(|(seconds, refresher)| SessionExpires { seconds, refresher });
            assert_eq!(expires, expected, "{line}");
        }
        assert_eq!(min_se(&headers("Min-SE: 120;x\r\n")), Some(120));
    }

    const TERMS: Terms = Terms {
        min_se: 100,
        expires: 1800,
        always: false,
    };

    #[test]
    fn a_uas_answers_by_the_table() {
        let ours = |seconds| Some((seconds, true));
        let theirs = |seconds| Some((seconds, false));
        for (lines, expected) in [
            ("Supported: timer\r\nSession-Expires: 600\r\n", theirs(600)),
            (
                "Supported: timer\r\nSession-Expires: 600;refresher=uac\r\n",
                theirs(600),
            ),
            (
                "Supported: timer\r\nSession-Expires: 600;refresher=uas\r\n",
                ours(600),
            ),
            // Put in by a proxy: who sent it knows nothing of it.
            ("Session-Expires: 600\r\n", ours(600)),
            ("Session-Expires: 600;refresher=uac\r\n", ours(600)),
            (
                "Supported: timer\r\nSession-Expires: 7200\r\n",
                theirs(1800),
            ),
            (
                "Supported: timer\r\nSession-Expires: 7200\r\nMin-SE: 3600\r\n",
                theirs(3600),
            ),
            ("Supported: timer\r\n", None),
            ("", None),
        ] {
            let answer = Asked::of(&headers(lines)).answer(&TERMS);
            let answer = answer.map(|interval| (interval.seconds, interval.is_ours));
            assert_eq!(answer, expected, "{lines}");
        }
        let always = Terms {
            always: true,
            ..TERMS
        };
        let answer = Asked::of(&headers("")).answer(&always);
        assert_eq!(answer, Some(Interval::new(1800, true)));
    }

    #[test]
    fn only_who_speaks_it_is_refused() {
        for (lines, refused) in [
            ("Supported: timer\r\nSession-Expires: 99\r\n", Some(100)),
            ("Require: timer\r\nSession-Expires: 99\r\n", Some(100)),
            ("Supported: timer\r\nSession-Expires: 100\r\n", None),
            ("Session-Expires: 99\r\n", None),
            ("Supported: timer\r\n", None),
        ] {
            assert_eq!(
                Asked::of(&headers(lines)).refusal(&TERMS),
                refused,
                "{lines}"
            );
        }
    }

    #[test]
    fn the_times_of_an_interval() {
        for (seconds, refresh, end) in [(90, 45, 60), (1800, 900, 1768), (10, 45, 60)] {
            let interval = Interval::new(seconds, true);
            assert_eq!(interval.refresh_after().as_secs(), refresh);
            assert_eq!(interval.ends_after().as_secs(), end);
        }
    }
}
