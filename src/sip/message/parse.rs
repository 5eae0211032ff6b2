//! The reader: what a message must be before anybody sees it.

use super::error::BadRequest;
use super::field::Field;
use super::head::{self, Head};
use super::headers::{CSeq, Headers, Span, Tags};
use super::name_addr::NameAddrText;
use super::text;
use super::uri::{UriText, digits};
use super::via::ViaText;
use super::{Message, Method, ParseError, ParseErrorKind, Request, Response};
use bytes::Bytes;

/// The start line, taken apart.
enum Start {
    Request { method: Method, uri: Span },
    Response { status: u16, reason: Span },
}

pub(super) fn message(bytes: Bytes) -> Result<Message, ParseError> {
    let head = head::read(&bytes, head::leading_line_ends(&bytes))?;
    let checked = start_line(&head).and_then(|start| {
        let tags = check(&head.headers, &start)?;
        let body = body(&head, &bytes)?;
        Ok((start, tags, body))
    });
    let mut headers = head.headers;
    if let Ok((_, tags, _)) = checked {
        headers.tags = tags;
    }
    match checked {
        Ok((Start::Request { method, uri }, _, body)) => Ok(Message::Request(Request {
            headers,
            method,
            uri,
            body,
            source: None,
        })),
        Ok((Start::Response { status, reason }, _, body)) => Ok(Message::Response(Response {
            headers,
            status,
            reason,
            body,
        })),
        Err(mut error) => {
            if can_be_answered(&headers, head.start) {
                error.bad_request = Some(Box::new(BadRequest { headers }));
            }
            Err(error)
        }
    }
}

/// True for a request but ACK whose top Via names a sender; its parameters may be what is broken.
fn can_be_answered(headers: &Headers, start: Span) -> bool {
    let line = start.of(&headers.head);
    let sent_by = headers
        .first(Field::Via)
        .and_then(|line| line.split([';', ',']).next());
    !is_status_line(line)
        && line.split([' ', '\t']).next() != Some("ACK")
        && sent_by.and_then(ViaText::parse).is_some()
}

fn is_status_line(line: &str) -> bool {
    line.get(..4)
        .is_some_and(|name| name.eq_ignore_ascii_case("SIP/"))
}

fn start_line(head: &Head) -> Result<Start, ParseError> {
    let line = head.start.of(&head.headers.head);
    let at = |kind, part: &str| ParseError::new(kind, usize::from(span_of(head, part).start));
    if is_status_line(line) {
        return status_line(head, line);
    }
    // RFC 3261 §7.1: one space between the three parts and no other blank.
    let (method, rest) = line
        .split_once(' ')
        .ok_or_else(|| at(ParseErrorKind::StartLine, line))?;
    let (uri, version) = rest
        .rsplit_once(' ')
        .ok_or_else(|| at(ParseErrorKind::StartLine, line))?;
    let method = Method::parse(method).ok_or_else(|| at(ParseErrorKind::StartLine, method))?;
    check_version(version).map_err(|kind| at(kind, version))?;
    match UriText::parse(uri) {
        Some(parsed) if !parsed.has_headers() => Ok(Start::Request {
            method,
            uri: span_of(head, uri),
        }),
        _ => Err(at(ParseErrorKind::RequestUri, uri)),
    }
}

/// `SIP/2.0 200 OK`. The phrase may be empty, even without the space before it.
fn status_line(head: &Head, line: &str) -> Result<Start, ParseError> {
    let at = |kind, part: &str| ParseError::new(kind, usize::from(span_of(head, part).start));
    let (version, rest) = line
        .split_once(' ')
        .ok_or_else(|| at(ParseErrorKind::StartLine, line))?;
    check_version(version).map_err(|kind| at(kind, version))?;
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, &rest[rest.len()..]));
    let status = digits(code)
        .filter(|code| code.len() == 3)
        .and_then(|code| code.parse().ok());
    match status {
        Some(status @ 100..=699) => Ok(Start::Response {
            status,
            reason: span_of(head, reason),
        }),
        _ => Err(at(ParseErrorKind::StartLine, code)),
    }
}

fn check_version(text: &str) -> Result<(), ParseErrorKind> {
    if text.eq_ignore_ascii_case("SIP/2.0") {
        return Ok(());
    }
    let number = text
        .get(..4)
        .filter(|name| name.eq_ignore_ascii_case("SIP/"))
        .and_then(|_| text[4..].split_once('.'));
    match number {
        Some((major, minor)) if digits(major).is_some() && digits(minor).is_some() => {
            Err(ParseErrorKind::Version)
        }
        _ => Err(ParseErrorKind::StartLine),
    }
}

/// The place in the head of a part of it.
fn span_of(head: &Head, part: &str) -> Span {
    Span::find(part, &head.headers.head)
}

/// Checks the headers that every user of a message relies on (RFC 3261 §8.1.1, §20), and finds the tags.
fn check(headers: &Headers, start: &Start) -> Result<Tags, ParseError> {
    let mut seen = Seen::default();
    let mut tags = Tags::default();
    let mut tag = |place: fn(&mut Tags) -> &mut Option<Span>, value: &str, name| {
        let address = NameAddrText::parse(value).ok_or(ParseErrorKind::Invalid(name))?;
        let tag = text::param(address.params, "tag");
        *place(&mut tags) = tag.map(|tag| Span::find(tag, &headers.head));
        Ok(())
    };
    for line in &headers.lines {
        let value = line.value.of(&headers.head);
        let outcome = match line.field {
            Field::Via => seen.via(value),
            Field::From => once(&mut seen.from, "From")
                .and_then(|()| tag(|tags| &mut tags.from, value, "From")),
            Field::To => {
                once(&mut seen.to, "To").and_then(|()| tag(|tags| &mut tags.to, value, "To"))
            }
            Field::CallId => once(&mut seen.call_id, "Call-ID")
                .and_then(|()| valid(text::is_visible(value), "Call-ID")),
            Field::CSeq => once(&mut seen.cseq, "CSeq").and_then(|()| cseq(value, start)),
            Field::MaxForwards => once(&mut seen.max_forwards, "Max-Forwards").and_then(|()| {
                valid(
                    digits(value).is_some_and(|value| value.parse::<u8>().is_ok()),
                    "Max-Forwards",
                )
            }),
            Field::ContentLength => once(&mut seen.content_length, "Content-Length")
                .and_then(|()| valid(content_length(value).is_some(), "Content-Length")),
            Field::Contact if matches!(start, Start::Request { .. }) => {
                valid(is_contact(value), "Contact")
            }
            _ => Ok(()),
        };
        outcome.map_err(|kind| ParseError::new(kind, usize::from(line.value.start)))?;
    }
    seen.complete()
        .map(|()| tags)
        .map_err(|kind| ParseError::new(kind, headers.head.len()))
}

/// Which of the headers that stand once have been met.
#[derive(Default)]
struct Seen {
    via: bool,
    from: bool,
    to: bool,
    call_id: bool,
    cseq: bool,
    max_forwards: bool,
    content_length: bool,
}

impl Seen {
    /// The top Via is ours to read, and so must be valid; those below it are only copied, but no value on its line
    /// may be empty, or it is not certain where the top one ends.
    fn via(&mut self, value: &str) -> Result<(), ParseErrorKind> {
        if self.via {
            return Ok(());
        }
        self.via = true;
        let mut values = text::split(value, b',');
        let top = values.next().and_then(ViaText::parse);
        valid(
            top.is_some() && values.all(|value| !value.is_empty()),
            "Via",
        )
    }

    fn complete(&self) -> Result<(), ParseErrorKind> {
        for (seen, name) in [
            (self.via, "Via"),
            (self.from, "From"),
            (self.to, "To"),
            (self.call_id, "Call-ID"),
            (self.cseq, "CSeq"),
        ] {
            if !seen {
                return Err(ParseErrorKind::Missing(name));
            }
        }
        Ok(())
    }
}

fn once(seen: &mut bool, name: &'static str) -> Result<(), ParseErrorKind> {
    if std::mem::replace(seen, true) {
        Err(ParseErrorKind::Repeated(name))
    } else {
        Ok(())
    }
}

fn valid(valid: bool, name: &'static str) -> Result<(), ParseErrorKind> {
    if valid {
        Ok(())
    } else {
        Err(ParseErrorKind::Invalid(name))
    }
}

fn cseq(value: &str, start: &Start) -> Result<(), ParseErrorKind> {
    let (_, named) = CSeq::parts(value).ok_or(ParseErrorKind::Invalid("CSeq"))?;
    match start {
        Start::Request { method, .. } if method.as_str() != named => {
            Err(ParseErrorKind::MethodMismatch)
        }
        _ => Ok(()),
    }
}

/// `*` or addresses (RFC 3261 §20.10).
fn is_contact(value: &str) -> bool {
    value == "*" || text::split(value, b',').all(|value| NameAddrText::parse(value).is_some())
}

fn content_length(value: &str) -> Option<usize> {
    digits(value)?.parse().ok()
}

/// RFC 3261 §18.3: bytes beyond Content-Length are ignored, fewer are an error; without it, all the rest.
fn body(head: &Head, bytes: &Bytes) -> Result<Bytes, ParseError> {
    let rest = bytes.slice(head.body_start..);
    match head
        .headers
        .first(Field::ContentLength)
        .and_then(content_length)
    {
        Some(length) if length > rest.len() => {
            Err(ParseError::new(ParseErrorKind::BodyTooShort, bytes.len()))
        }
        Some(length) => Ok(rest.slice(..length)),
        None => Ok(rest),
    }
}

/// How long the first message in the buffer of a stream is, with any CR and LF before it. `Ok(None)`: more bytes are
/// needed (also where there is nothing but CR and LF; answering a keep-alive of RFC 5626 is the caller's).
/// Without a Content-Length, which a stream requires (RFC 3261 §18.3), there is taken to be no body.
///
/// # Errors
/// The framing is lost: Content-Length is not a number, or the head is longer than [`super::HEAD_LENGTH_MAX`].
pub fn frame_len(buffer: &[u8]) -> Result<Option<usize>, ParseError> {
    let start = head::leading_line_ends(buffer);
    let message = &buffer[start..];
    let window = &message[..message.len().min(super::HEAD_LENGTH_MAX + 2)];
    let Some((length, body_start)) = head::find_end(window) else {
        return match message.len() > super::HEAD_LENGTH_MAX {
            true => Err(ParseError::new(
                ParseErrorKind::HeadTooLong,
                start + super::HEAD_LENGTH_MAX,
            )),
            false => Ok(None),
        };
    };
    let body = stream_content_length(&message[..length]).map_err(|mut error| {
        error.offset += start;
        error
    })?;
    let total = start
        .checked_add(body_start)
        .and_then(|before| before.checked_add(body));
    match total {
        Some(total) if total <= buffer.len() => Ok(Some(total)),
        Some(_) => Ok(None),
        None => Err(ParseError::new(
            ParseErrorKind::Invalid("Content-Length"),
            start,
        )),
    }
}

/// The Content-Length of a head that may have folded lines. 0 if there is none.
fn stream_content_length(head: &[u8]) -> Result<usize, ParseError> {
    let mut at = 0;
    while let Some(line) = head.get(at..).filter(|rest| !rest.is_empty()) {
        let mut end = memchr::memchr(b'\n', line).map_or(line.len(), |newline| newline + 1);
        while let Some(b' ' | b'\t') = line.get(end) {
            end +=
                memchr::memchr(b'\n', &line[end..]).map_or(line.len() - end, |newline| newline + 1);
        }
        let colon = memchr::memchr(b':', &line[..end]).unwrap_or(0);
        if Field::of(line[..colon].trim_ascii_end()) == Field::ContentLength {
            let value = std::str::from_utf8(line[colon + 1..end].trim_ascii())
                .ok()
                .and_then(content_length);
            return value
                .ok_or_else(|| ParseError::new(ParseErrorKind::Invalid("Content-Length"), at));
        }
        at += end;
    }
    Ok(0)
}
