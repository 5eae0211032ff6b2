//! Messages that we write. The transaction layer puts the Via on a request; Content-Length is always written.
//!
//! Nothing that is handed in can break out of its place: a line end or NUL in a value becomes a space, in a
//! Request-URI or a method it is escaped or left out. A value may come from a peer or from a dialplan.

use super::field::Field;
use super::text;
use super::via::ViaText;
use super::{Headers, Method, Request, Source};
use bytes::Bytes;
use std::fmt::Write;

/// A request without its Via and Content-Length.
#[derive(Clone, Debug)]
pub struct RequestDraft {
    /// The method.
    pub method: Method,
    /// The Request-URI, as it is to stand on the line.
    pub uri: String,
    lines: Lines,
    body: Bytes,
}

impl RequestDraft {
    /// A request with no headers yet. Max-Forwards: 70 is written unless [`RequestDraft::header`] gives another.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        RequestDraft {
            method,
            uri: uri.into(),
            lines: Lines::default(),
            body: Bytes::new(),
        }
    }
    /// Appends a header line. CR, LF and NUL in the value are replaced by spaces: a value that came from a peer or
    /// a dialplan cannot add lines of its own. A Content-Length is ignored, we write our own; so is a name that is
    /// no token.
    pub fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.lines.append(name, value);
        self
    }
    /// Puts this header in the place of every line of that name.
    pub fn set_header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.lines.remove(name);
        self.lines.append(name, value);
        self
    }
    /// Takes every line of that name away.
    pub fn remove_header(mut self, name: &str) -> Self {
        self.lines.remove(name);
        self
    }
    /// The first line of that name, long or compact form.
    pub fn get_header(&self, name: &str) -> Option<&str> {
        self.lines.get(name)
    }
    /// The body, empty if none.
    pub fn get_body(&self) -> &[u8] {
        &self.body
    }
    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self = self.set_header("Content-Type", content_type);
        self.body = body.into();
        self
    }
    /// The whole message with the given Via value on top.
    pub fn write(&self, via: &str) -> Bytes {
        let size = 128 + self.uri.len() + via.len() + self.lines.text.len() + self.body.len();
        let mut out = String::with_capacity(size);
        out.extend(
            self.method
                .as_str()
                .chars()
                .filter(|&c| text::is_token_char(c)),
        );
        out.push(' ');
        push_request_uri(&mut out, &self.uri);
        out.push_str(" SIP/2.0\r\nVia: ");
        push_clean(&mut out, via);
        out.push_str("\r\n");
        if self.lines.get("Max-Forwards").is_none() {
            out.push_str("Max-Forwards: 70\r\n");
        }
        out.push_str(&self.lines.text);
        finish(out, &self.body)
    }
}

/// A response without what is copied from its request.
#[derive(Clone, Debug)]
pub struct ResponseDraft {
    /// 100 to 699.
    pub status: u16,
    /// The reason phrase; the RFC's own by [`ResponseDraft::new`].
    pub reason: String,
    /// The tag to put on To, if the request's To has none (never on a 100).
    pub to_tag: Option<String>,
    lines: Lines,
    body: Bytes,
}

impl ResponseDraft {
    /// With the standard phrase of the code.
    pub fn new(status: u16) -> Self {
        ResponseDraft {
            status,
            reason: super::reason::phrase(status).to_owned(),
            to_tag: None,
            lines: Lines::default(),
            body: Bytes::new(),
        }
    }
    /// Puts this tag on To.
    pub fn to_tag(mut self, tag: &str) -> Self {
        self.to_tag = Some(tag.to_owned());
        self
    }
    /// Appends a header line, with the care of [`RequestDraft::header`].
    pub fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.lines.append(name, value);
        self
    }
    /// Puts this header in the place of every line of that name.
    pub fn set_header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.lines.remove(name);
        self.lines.append(name, value);
        self
    }
    /// Takes every line of that name away.
    pub fn remove_header(mut self, name: &str) -> Self {
        self.lines.remove(name);
        self
    }
    /// The first line of that name, long or compact form.
    pub fn get_header(&self, name: &str) -> Option<&str> {
        self.lines.get(name)
    }
    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self = self.set_header("Content-Type", content_type);
        self.body = body.into();
        self
    }
    /// The whole message: Via lines (the top one with `received` and `rport`, if [`Request::with_received`] was
    /// told), From, To (with the tag), Call-ID and CSeq of the request, its Record-Route on a response that makes a
    /// dialog (101-299 to INVITE …, RFC 3261 §12.1.1), then our own headers.
    pub fn write(&self, request: &Request) -> Bytes {
        let makes_dialog = (101..300).contains(&self.status) && request.method().makes_dialog();
        write_response(self, request.headers(), makes_dialog, request.source)
    }
}

/// Writes a response to the request of these headers, of which any may be missing (RFC 3261 §8.2.6.2).
pub(super) fn write_response(
    draft: &ResponseDraft,
    request: &Headers,
    makes_dialog: bool,
    source: Option<Source>,
) -> Bytes {
    let mut out =
        String::with_capacity(256 + request.head.len() + draft.lines.text.len() + draft.body.len());
    let status = draft.status.clamp(100, 699);
    let _ = write!(out, "SIP/2.0 {status} "); // writing to a String cannot fail
    push_clean(&mut out, &draft.reason);
    out.push_str("\r\n");
    let mut source = source;
    for line in request.all(Field::Via) {
        out.push_str("Via: ");
        match source.take() {
            Some(source) => push_top_via_line(&mut out, line, source),
            None => out.push_str(line),
        }
        out.push_str("\r\n");
    }
    if makes_dialog {
        for line in request.all(Field::RecordRoute) {
            push_line(&mut out, "Record-Route", line);
        }
    }
    if let Some(from) = request.first(Field::From) {
        push_line(&mut out, "From", from);
    }
    if let Some(to) = request.first(Field::To) {
        push_to(
            &mut out,
            to,
            draft.to_tag.as_deref().filter(|_| status > 100),
        );
    }
    for (field, name) in [(Field::CallId, "Call-ID"), (Field::CSeq, "CSeq")] {
        if let Some(value) = request.first(field) {
            push_line(&mut out, name, value);
        }
    }
    // RFC 3261 §8.2.6.1: a 100 carries the request's Timestamp back.
    if let Some(value) = request.first(Field::Timestamp).filter(|_| status == 100) {
        push_line(&mut out, "Timestamp", value);
    }
    out.push_str(&draft.lines.text);
    finish(out, &draft.body)
}

/// Copies a Via line with `received` and `rport` in its first value (RFC 3261 §18.2.1, RFC 3581 §4). What the
/// peer itself wrote there is not believed.
fn push_top_via_line(out: &mut String, line: &str, source: Source) {
    let Some(top) = text::split(line, b',').next() else {
        return;
    };
    let Some(via) = ViaText::parse(top) else {
        out.push_str(line);
        return;
    };
    let (received, rport) = source.of_via(&via);
    out.push_str(via.before_params);
    for (name, value) in text::params(via.params) {
        if name.eq_ignore_ascii_case("received") || name.eq_ignore_ascii_case("rport") {
            continue;
        }
        push_param(out, name, value);
    }
    if let Some(address) = received {
        let _ = write!(out, ";received={address}");
    }
    if let Some(port) = rport {
        let _ = write!(out, ";rport={port}");
    }
    for value in text::split(line, b',').skip(1) {
        out.push_str(", ");
        out.push_str(value);
    }
}

fn push_param(out: &mut String, name: &str, value: &str) {
    out.push(';');
    out.push_str(name);
    if !value.is_empty() {
        out.push('=');
        out.push_str(value);
    }
}

fn push_line(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.push_str(value);
    out.push_str("\r\n");
}

/// Copies To, with the tag if it has none yet.
fn push_to(out: &mut String, to: &str, tag: Option<&str>) {
    out.push_str("To: ");
    out.push_str(to);
    let tagged = super::name_addr::NameAddrText::parse(to)
        .is_none_or(|to| text::param(to.params, "tag").is_some());
    if let Some(tag) = tag.filter(|_| !tagged) {
        out.push_str(";tag=");
        out.extend(tag.chars().filter(|&c| text::is_token_char(c)));
    }
    out.push_str("\r\n");
}

fn finish(mut out: String, body: &Bytes) -> Bytes {
    let _ = write!(out, "Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = out.into_bytes();
    bytes.extend_from_slice(body);
    Bytes::from(bytes)
}

/// Appends the text with CR, LF and NUL as spaces.
fn push_clean(out: &mut String, text: &str) {
    if memchr::memchr3(b'\r', b'\n', 0, text.as_bytes()).is_none() {
        out.push_str(text);
    } else {
        out.extend(text.chars().map(|c| {
            if matches!(c, '\r' | '\n' | '\0') {
                ' '
            } else {
                c
            }
        }));
    }
}

/// Appends a Request-URI with blanks and control characters escaped.
fn push_request_uri(out: &mut String, uri: &str) {
    for c in uri.chars() {
        if c.is_ascii_control() || c == ' ' {
            let _ = write!(out, "%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

/// What the lines of most drafts do not exceed, so that they are allocated once.
const USUAL_BYTES: usize = 768;

/// Header lines that are ready to be sent.
#[derive(Clone, Debug, Default)]
struct Lines {
    /// `Name: value` CRLF, again and again; no value holds a CR or LF.
    text: String,
}

impl Lines {
    fn append(&mut self, name: &str, value: impl std::fmt::Display) {
        if !text::is_token(name) || Field::of(name.as_bytes()) == Field::ContentLength {
            return;
        }
        if self.text.is_empty() {
            self.text.reserve(USUAL_BYTES);
        }
        self.text.push_str(name);
        self.text.push_str(": ");
        let _ = write!(Cleaner(&mut self.text), "{value}");
        self.text.push_str("\r\n");
    }

    fn remove(&mut self, name: &str) {
        if self.get(name).is_some() {
            let is_other = |line: &&str| value_of(line, Field::of(name.as_bytes()), name).is_none();
            self.text = self.iter().filter(is_other).collect();
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let field = Field::of(name.as_bytes());
        self.iter().find_map(|line| value_of(line, field, name))
    }

    /// Every line with its line end.
    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.text.as_str();
        std::iter::from_fn(move || {
            let end = memchr::memchr(b'\n', rest.as_bytes())? + 1;
            let line;
            (line, rest) = rest.split_at(end);
            Some(line)
        })
    }
}

/// The value of a line, if the line is of that field and has that name, in its long or compact form.
fn value_of<'a>(line: &'a str, field: Field, name: &str) -> Option<&'a str> {
    let (found, value) = text::cut(line, b':')?;
    let is_it = Field::of(found.as_bytes()) == field
        && (field != Field::Other || found.eq_ignore_ascii_case(name));
    is_it.then(|| value.strip_prefix(' ')?.strip_suffix("\r\n"))?
}

/// Writes through to the lines, without line ends.
struct Cleaner<'a>(&'a mut String);

impl Write for Cleaner<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        push_clean(self.0, text);
        Ok(())
    }
}
