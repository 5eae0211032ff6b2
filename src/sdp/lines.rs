//! The grammar of a session description (RFC 8866 §5, §9): sections of `x=value` lines, read in place.

/// A body, split into what describes the session and what describes each of its media.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
}

/// The lines of the session, or of one of its media from its `m=` line on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section<'a> {
    text: &'a str,
}

/// `m=audio 49170 RTP/AVP 8 0` (RFC 8866 §5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MediaLine<'a> {
    pub(super) kind: &'a str,
    pub(super) port: u16,
    pub(super) protocol: &'a str,
    pub(super) formats: &'a str,
}

impl<'a> Lines<'a> {
    /// A body that begins with `v=0` and has nothing but lines `x=value`, ended by CRLF or, as some write, LF alone.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(text: &'a str) -> Result<Lines<'a>, &'static str> {
        if section_lines(text).next() != Some(('v', "0")) {
            return Err("it does not begin with v=0");
        }
        let is_line = |line: &str| matches!(line.as_bytes(), [] | [b'a'..=b'z', b'=', ..]);
        match text.lines().all(is_line) {
            true => Ok(Lines { text }),
            false => Err("a line is not of the form x=value"),
        }
    }

    pub(super) fn session(self) -> Section<'a> {
        let end = next_media(self.text).unwrap_or(self.text.len());
        Section {
            text: &self.text[..end],
        }
    }

    pub(super) fn media(self) -> impl Iterator<Item = Section<'a>> {
        let first = next_media(self.text).unwrap_or(self.text.len());
        let mut rest = &self.text[first..];
        std::iter::from_fn(move || {
            let end = next_media(rest.get(1..)?).map_or(rest.len(), |at| at + 1);
            let text;
            (text, rest) = rest.split_at(end);
            Some(Section { text })
        })
    }
}

/// Where the next `m=` line begins.
fn next_media(text: &str) -> Option<usize> {
    let mut starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
    let is_media = |at: usize| text[at..].starts_with("m=");
    match is_media(0) {
        true => Some(0),
        false => starts.find(|&at| is_media(at)),
    }
}

fn section_lines(text: &str) -> impl Iterator<Item = (char, &str)> {
    text.lines()
        .filter_map(|line| Some((char::from(*line.as_bytes().first()?), line.get(2..)?)))
}

impl<'a> Section<'a> {
    /// The value of its first line of this type.
    pub(super) fn value(self, kind: char) -> Option<&'a str> {
        section_lines(self.text)
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }

    /// Its attributes in order: name, and value if it has one.
    pub(super) fn attributes(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        section_lines(self.text)
            .filter(|(kind, _)| *kind == 'a')
            .map(|(_, text)| match text.split_once(':') {
                Some((name, value)) => (name, Some(value)),
                None => (text, None),
            })
    }

    /// The value of its first attribute of this name, in any case.
    pub(super) fn attribute(self, name: &str) -> Option<&'a str> {
        let (_, value) = self
            .attributes()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        value
    }

    /// True if it has this attribute, in any case, with a value or without.
    pub(super) fn has(self, name: &str) -> bool {
        let mut attributes = self.attributes();
        attributes.any(|(found, _)| found.eq_ignore_ascii_case(name))
    }

    /// Its `m=` line, if it is whole.
    pub(super) fn media_line(self) -> Option<MediaLine<'a>> {
        let text = self.value('m')?.trim_end();
        let (kind, rest) = text.split_once(' ')?;
        let (port, rest) = rest.split_once(' ')?;
        let (protocol, formats) = rest.split_once(' ')?;
        // `49170/2` is two ports (RFC 8866 §5.14); the first is the one.
        let port = port.split_once('/').map_or(port, |(first, _)| first);
        Some(MediaLine {
            kind,
            port: port.parse().ok()?,
            protocol,
            formats,
        })
    }

    /// Session id and version of its `o=` line (RFC 8866 §5.2), if it is whole.
    pub(super) fn origin(self) -> Option<(&'a str, u64)> {
        let mut words = self.value('o')?.split_ascii_whitespace();
        let (id, version) = (words.nth(1)?, words.next()?);
        // Network type, address type, address.
        words.nth(2)?;
        Some((id, version.parse().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "v=0\r\no=- 3848 7 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\na=sendonly\r\n\
        m=audio 49170/2 RTP/AVP 8 0\r\na=ptime:20\r\na=RTCP:50001\r\nm=video 0 RTP/AVP 31\r\n";

    #[test]
    fn sections_have_their_own_lines() {
        let lines = Lines::read(BODY).expect("good");
        assert_eq!(lines.session().origin(), Some(("3848", 7)));
        assert_eq!(lines.session().value('c'), Some("IN IP4 198.51.100.7"));
        let attributes: Vec<_> = lines.session().attributes().collect();
        assert_eq!(attributes, [("sendonly", None)]);
        let media: Vec<_> = lines.media().collect();
        assert_eq!(media.len(), 2);
        assert_eq!(media[0].attribute("rtcp"), Some("50001"));
        assert_eq!(media[0].attribute("sendonly"), None);
        assert_eq!(media[1].attribute("ptime"), None);
        let audio = MediaLine {
            kind: "audio",
            port: 49170,
            protocol: "RTP/AVP",
            formats: "8 0",
        };
        assert_eq!(media[0].media_line(), Some(audio));
    }

    #[test]
    fn line_feeds_alone_end_lines_too() {
        let body = BODY.replace("\r\n", "\n");
        let lines = Lines::read(&body).expect("good");
        assert_eq!(lines.media().count(), 2);
    }

    #[test]
    fn what_is_no_description_is_refused() {
        for bad in [
            "",
            "hello",
            "o=- 1 1 IN IP4 h\r\n",
            "v=1\r\n",
            "v=0\r\nx\r\n",
            "v=0\r\n =\r\n",
        ] {
            assert!(Lines::read(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "v=0\r\no=- 1 x IN IP4 h\r\n",
            "v=0\r\no=- 1 1 IN IP4\r\n",
            "v=0\r\n",
        ] {
            let lines = Lines::read(bad).expect("lines");
            assert_eq!(lines.session().origin(), None, "{bad:?}");
        }
        for bad in [
            "m=audio 1 RTP/AVP\r\n",
            "m=audio x RTP/AVP 0\r\n",
            "m=audio 70000 RTP/AVP 0\r\n",
        ] {
            let body = format!("v=0\r\n{bad}");
            let lines = Lines::read(&body).expect("lines");
            let media = lines.media().next().expect("a section");
            assert_eq!(media.media_line(), None, "{bad:?}");
        }
    }
}
