//! From bytes to a head: finds its end and its lines, and tidies it where it must be copied.

use super::field::Field;
use super::headers::{Line, Span};
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
    let (length, body) = find_end(&bytes[start..])
        .ok_or_else(|| ParseError::new(ParseErrorKind::HeadUnterminated, bytes.len()))?;
    if length > HEAD_LENGTH_MAX {
        return Err(ParseError::new(
            ParseErrorKind::HeadTooLong,
            HEAD_LENGTH_MAX,
        ));
    }
    let raw = bytes.slice(start..start + length);
    let head = match ByteString::try_from(raw.clone()) {
        Ok(head) if is_tidy(head.as_bytes()) => head,
        _ => ByteString::from(tidy(&raw)),
    };
    if head.len() > HEAD_LENGTH_MAX {
        // Latin-1 bytes take two in UTF-8.
        return Err(ParseError::new(
            ParseErrorKind::HeadTooLong,
            HEAD_LENGTH_MAX,
        ));
    }
    let (start_line, lines) = index(&head)?;
    Ok(Head {
        headers: Headers { head, lines },
        start: start_line,
        body_start: start + body,
    })
}

/// True if no line is folded and no CR stands but before an LF.
fn is_tidy(head: &[u8]) -> bool {
    memchr::memchr2_iter(b'\r', b'\n', head).all(|at| match head[at] {
        b'\r' => head.get(at + 1) == Some(&b'\n'),
        _ => !matches!(head.get(at + 1), Some(b' ' | b'\t')),
    })
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

/// The start line and the header lines of a tidy head.
fn index(head: &str) -> Result<(Span, Vec<Line>), ParseError> {
    let bytes = head.as_bytes();
    let mut lines = Vec::with_capacity(USUAL_LINES);
    let mut start_line = None;
    let mut begin = 0;
    for newline in memchr::memchr_iter(b'\n', bytes) {
        let end = if newline > begin && bytes[newline - 1] == b'\r' {
            newline - 1
        } else {
            newline
        };
        if start_line.is_none() {
            start_line = Some(span(begin, end));
        } else if lines.len() == HEADER_LINES_MAX {
            return Err(ParseError::new(ParseErrorKind::HeadersTooMany, begin));
        } else {
            let line = header_line(bytes, begin, end);
            lines.push(line.ok_or_else(|| ParseError::new(ParseErrorKind::HeaderLine, begin))?);
        }
        begin = newline + 1;
    }
    let start_line = start_line.ok_or_else(|| ParseError::new(ParseErrorKind::StartLine, 0))?;
    Ok((start_line, lines))
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
