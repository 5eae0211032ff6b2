//! The lexical ground of RFC 3261 §25.1: character classes, quoted strings, lists and parameters in a header value.

/// A byte of `token`.
const TOKEN: u8 = 1;
/// A byte that may stand unescaped in the user part of a URI.
const USER: u8 = 2;
/// A byte that may stand unescaped in the parameters or headers of a URI.
const URI_TAIL: u8 = 4;
/// A byte of a host name (with the underscore that container networks use).
const HOST: u8 = 8;
/// A byte of a parameter's value that is not quoted.
const PARAM_VALUE: u8 = 32;
/// The percent sign, which begins an escape.
const PERCENT: u8 = 64;
/// A byte that may stand in a URI of a scheme that we do not know.
const OPAQUE: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut byte = 0x21;
    while byte < 0x7F {
        let b = byte as u8;
        let alnum = b.is_ascii_alphanumeric();
        let mark = matches!(
            b,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
        );
        if alnum
            || matches!(
                b,
                b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
            )
        {
            table[byte] |= TOKEN;
        }
        // `#` is not in the grammar, but phones send it unescaped in feature codes.
        if alnum
            || mark
            || matches!(
                b,
                b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/' | b'#' | b'%'
            )
        {
            table[byte] |= USER;
        }
        if alnum
            || mark
            || matches!(
                b,
                b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$' | b';' | b'=' | b'?' | b'%'
            )
        {
            table[byte] |= URI_TAIL;
        }
        if alnum || matches!(b, b'-' | b'.' | b'_') {
            table[byte] |= HOST;
        }
        if !matches!(
            b,
            b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
        ) {
            table[byte] |= OPAQUE;
        }
        if !matches!(b, b'"' | b',' | b'<' | b'>') {
            table[byte] |= PARAM_VALUE;
        }
        byte += 1;
    }
    table[b'%' as usize] |= PERCENT;
    table
};

/// Without an early end, which keeps the loop free of branches: the texts are short and nearly always right.
fn all(text: &str, class: u8) -> bool {
    let common = text
        .bytes()
        .fold(u8::MAX, |common, byte| common & CLASSES[usize::from(byte)]);
    common & class != 0
}

/// As [`all`], and every `%` is followed by two hexadecimal digits (RFC 3261 §25.1 escaped).
fn all_and_escapes_whole(text: &str, class: u8) -> bool {
    let (common, any) = text.bytes().fold((u8::MAX, 0), |(common, any), byte| {
        let class = CLASSES[usize::from(byte)];
        (common & class, any | class)
    });
    common & class != 0 && (any & PERCENT == 0 || escapes_are_whole(text))
}

fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    is(byte, TOKEN)
}

pub(super) fn is_token_char(c: char) -> bool {
    u8::try_from(c).is_ok_and(is_token_byte)
}

pub(super) fn is_user_byte(byte: u8) -> bool {
    is(byte, USER)
}

pub(super) fn is_uri_tail_byte(byte: u8) -> bool {
    is(byte, URI_TAIL)
}

pub(super) fn is_opaque_byte(byte: u8) -> bool {
    is(byte, OPAQUE)
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && all(text, TOKEN)
}

pub(super) fn is_host_name(text: &str) -> bool {
    !text.is_empty() && all(text, HOST)
}

/// Visible bytes with no blank: a Call-ID, an opaque value.
pub(super) fn is_visible(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .fold(true, |all, byte| all & byte.is_ascii_graphic())
}

pub(super) fn is_user(text: &str) -> bool {
    all_and_escapes_whole(text, USER)
}

pub(super) fn is_uri_tail(text: &str) -> bool {
    all_and_escapes_whole(text, URI_TAIL)
}

pub(super) fn is_opaque(text: &str) -> bool {
    all(text, OPAQUE)
}

fn escapes_are_whole(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'%', bytes).all(|at| {
        bytes
            .get(at + 1..at + 3)
            .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Without the blanks of a tidy head, space and tab, around it.
pub(super) fn trim(text: &str) -> &str {
    let bytes = text.as_bytes();
    match bytes {
        [] => return text,
        [first, .., last] if *first > b' ' && *last > b' ' => return text,
        _ => {}
    }
    let blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().take_while(blank).count();
    let end = bytes.len() - bytes[start..].iter().rev().take_while(blank).count();
    &text[start..end]
}

/// The text before and behind the first such byte, which must be ASCII.
pub(super) fn cut(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(byte, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// The end of a quoted string that begins at byte 0: the place of its closing quote.
pub(super) fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// The inside of a quoted string, its quoted pairs undone.
pub(super) fn unescape(inside: &str) -> String {
    let mut plain = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            c
        });
    }
    plain
}

/// The pieces between separators that stand outside quotes and angle brackets, blanks around them removed.
#[derive(Clone, Debug)]
pub(super) struct Split<'a> {
    rest: Option<&'a str>,
    separator: u8,
}

pub(super) fn split(text: &str, separator: u8) -> Split<'_> {
    Split {
        rest: Some(text),
        separator,
    }
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        match self.end_of_piece(rest) {
            Some(at) => {
                self.rest = Some(&rest[at + 1..]);
                Some(trim(&rest[..at]))
            }
            None => {
                self.rest = None;
                Some(trim(rest))
            }
        }
    }
}

impl Split<'_> {
    /// The place of the next separator. What opens a quote or bracket and never closes it reaches to the end.
    fn end_of_piece(&self, rest: &str) -> Option<usize> {
        let bytes = rest.as_bytes();
        let mut from = 0;
        loop {
            let at = from + memchr::memchr3(self.separator, b'"', b'<', &bytes[from..])?;
            match bytes[at] {
                b'"' => from = at + closing_quote(&rest[at..])? + 1,
                b'<' => from = at + memchr::memchr(b'>', &bytes[at..])? + 1,
                _ => return Some(at),
            }
        }
    }
}

/// Name and value of each `;` parameter; the value as written, quotes and all, empty if there is none.
pub(super) fn params(text: &str) -> impl Iterator<Item = (&str, &str)> {
    split(text, b';')
        .filter(|piece| !piece.is_empty())
        .map(|piece| match cut(piece, b'=') {
            Some((name, value)) => (trim(name), trim(value)),
            None => (piece, ""),
        })
}

/// The value of one parameter, by its name in any case, without its quotes.
pub(super) fn param<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    params(text)
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| unquote(value))
}

/// A value without the quotes around it, if it has them. Quoted pairs stay as they are.
pub(super) fn unquote(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value)
}

/// True if the text after the first `;` is `name[=value]` pieces (RFC 3261 §25.1 generic-param). More liberal than
/// the grammar in the bytes of an unquoted value, which base64 tags and host names need.
pub(super) fn are_params(text: &str) -> bool {
    split(text, b';').all(is_param)
}

fn is_param(piece: &str) -> bool {
    let bytes = piece.as_bytes();
    let name_length = bytes
        .iter()
        .take_while(|&&byte| is_token_byte(byte))
        .count();
    if name_length == 0 {
        return false;
    }
    let rest = trim(&piece[name_length..]);
    rest.is_empty()
        || rest
            .strip_prefix('=')
            .is_some_and(|value| is_param_value(trim(value)))
}

fn is_param_value(value: &str) -> bool {
    if value.starts_with('"') {
        return closing_quote(value) == Some(value.len() - 1);
    }
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'<' | b'>'))
}
