//! From bytes to a head: finds its end and its lines, and tidies it where it must be copied.

use super::field::Field;
use super::headers::{Line, Span, Tags};
use super::text;
use super::{HEAD_LENGTH_MAX, HEADER_LINES_MAX, Headers, ParseError, ParseErrorKind};
use bytes::Bytes;
use bytestring::ByteString;

/// Lines that most messages do not exceed, so that the index is allocated once.
const USUAL_LINES: usize = 24;

/// A head and where the rest of the message begins.
pub(super) struct Head {
    pub(super) headers: Headers,
    /// The start line.
    pub(super) start: Span,
    /// In bytes from the start of the message as it came.
    pub(super) body_start: usize,
}

/// Bytes of leading CR and LF, which a receiver skips (RFC 3261 §7.5).
pub(super) fn leading_line_ends(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count()
}

/// The end of the head: behind its last line's end, and behind the empty line. Lines may end with LF alone, as some
/// phones send them. None if the empty line is not there.
pub(super) fn find_end(bytes: &[u8]) -> Option<(usize, usize)> {
    memchr::memchr_iter(b'\n', bytes).find_map(|at| match bytes.get(at + 1..) {
        Some([b'\n', ..]) => Some((at + 1, at + 2)),
        Some([b'\r', b'\n', ..]) => Some((at + 1, at + 3)),
        _ => None,
    })
}

/// Reads the head that begins at `start`.
pub(super) fn read(bytes: &Bytes, start: usize) -> Result<Head, ParseError> {
    let scan = scan(&bytes[start..])?;
    let body_start = start + scan.body_start;
    let raw = bytes.slice(start..start + scan.length);
    match ByteString::try_from(raw.clone()) {
        Ok(head) if scan.tidy => Ok(scan.into_head(head, body_start)),
        _ => {
            let mut head = tidy(&raw);
            let length = head.len();
            head.push_str("\r\n");
            let scan = self::scan(head.as_bytes())?;
            head.truncate(length);
            Ok(scan.into_head(ByteString::from(head), body_start))
        }
    }
}

/// What one pass over the lines of a head finds.
struct Scan {
    start: Span,
    lines: Vec<Line>,
    length: usize,
    body_start: usize,
    /// No line is folded and no CR stands but before an LF.
    tidy: bool,
}

impl Scan {
    fn into_head(self, head: ByteString, body_start: usize) -> Head {
        let headers = Headers {
            head,
            lines: self.lines,
            tags: Tags::default(),
        };
        Head {
            headers,
            start: self.start,
            body_start,
        }
    }
}

/// Finds the start line, the header lines and the empty line. In a head that is not tidy, what it takes for a line
/// may not be one, so that errors count only in a tidy one.
fn scan(bytes: &[u8]) -> Result<Scan, ParseError> {
    let mut scan = Scan {
        start: Span { start: 0, end: 0 },
        lines: Vec::with_capacity(USUAL_LINES),
        length: 0,
        body_start: 0,
        tidy: true,
    };
    let window = &bytes[..bytes.len().min(HEAD_LENGTH_MAX)];
    let mut problem = None;
    let (mut begin, mut crlf_lines) = (0, 0);
    for newline in memchr::memchr_iter(b'\n', window) {
        let crlf = newline > begin && bytes[newline - 1] == b'\r';
        crlf_lines += usize::from(crlf);
        let end = newline - usize::from(crlf);
        if begin == 0 {
            scan.start = span(0, end);
        } else if scan.lines.len() == HEADER_LINES_MAX {
            problem = problem.or(Some((ParseErrorKind::HeadersTooMany, begin)));
        } else if let Some(line) = header_line(bytes, begin, end) {
            scan.lines.push(line);
        } else {
            problem = problem.or(Some((ParseErrorKind::HeaderLine, begin)));
        }
        begin = newline + 1;
        match bytes[begin..] {
            [b' ' | b'\t', ..] => scan.tidy = false,
            [b'\n', ..] => scan.body_start = begin + 1,
            [b'\r', b'\n', ..] => scan.body_start = begin + 2,
            _ => continue,
        }
        if scan.body_start > 0 {
            break;
        }
    }
    if scan.body_start == 0 {
        return Err(match bytes.len() > HEAD_LENGTH_MAX {
            true => ParseError::new(ParseErrorKind::HeadTooLong, HEAD_LENGTH_MAX),
            false => ParseError::new(ParseErrorKind::HeadUnterminated, bytes.len()),
        });
    }
    scan.length = begin;
    scan.tidy &= memchr::memchr_iter(b'\r', &bytes[..begin]).count() == crlf_lines;
    match problem.filter(|_| scan.tidy) {
        Some((kind, offset)) => Err(ParseError::new(kind, offset)),
        None => Ok(scan),
    }
}

/// The head with each fold and each stray CR made a space, and each byte that is not UTF-8 taken as Latin-1.
fn tidy(head: &[u8]) -> String {
    let mut plain = String::with_capacity(head.len() + 64);
    for chunk in head.utf8_chunks() {
        plain.push_str(chunk.valid());
        plain.extend(chunk.invalid().iter().map(|&byte| char::from(byte)));
    }
    let mut tidy = String::with_capacity(plain.len());
    for line in plain.split_inclusive('\n') {
        if line.starts_with([' ', '\t']) && tidy.ends_with('\n') {
            tidy.truncate(tidy.trim_end_matches(['\r', '\n']).len());
            tidy.push(' ');
        }
        let content = line.trim_end_matches(['\r', '\n']);
        tidy.extend(content.chars().map(|c| if c == '\r' { ' ' } else { c }));
        tidy.push_str("\r\n");
    }
    tidy
}

fn span(start: usize, end: usize) -> Span {
    let narrow = |at| u16::try_from(at).expect("a head is no longer than HEAD_LENGTH_MAX");
    Span {
        start: narrow(start),
        end: narrow(end),
    }
}

/// `name *( SP / HTAB ) ":" value` (RFC 3261 §25.1 HCOLON).
fn header_line(bytes: &[u8], begin: usize, end: usize) -> Option<Line> {
    let line = &bytes[begin..end];
    let name_length = line
        .iter()
        .take_while(|&&byte| text::is_token_byte(byte))
        .count();
    let name = &line[..name_length];
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let colon = name_length + line[name_length..].iter().take_while(blank).count();
    if name.is_empty() || line.get(colon) != Some(&b':') {
        return None;
    }
    let value = &line[colon + 1..];
    let value_start = begin + colon + 1 + value.iter().take_while(blank).count();
    let value_end = end - value.iter().rev().take_while(blank).count();
    Some(Line {
        field: Field::of(name),
        name: span(begin, begin + name_length),
        value: span(value_start, value_end.max(value_start)),
    })
}
