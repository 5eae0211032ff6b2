//! Splitting expanded text into arguments, by Asterisk's rules.

/// Splits at the separator, outside of round and square brackets and of double quotes, into at most `max` arguments (the
/// last keeps the rest). A backslash protects the next character. Quotes and backslashes are left out.
pub(super) fn split(text: &str, separator: char, max: usize) -> Vec<String> {
    let pieces = split_raw(text, separator, max);
    pieces.into_iter().map(without_marks).collect()
}

/// As [`split`], but quotes and backslashes stay.
pub(super) fn split_raw(text: &str, separator: char, max: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let (mut round, mut square, mut in_quotes, mut escaped) = (0i32, 0i32, false, false);
    for (at, c) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match c {
            '\\' => escaped = true,
            '"' => in_quotes = !in_quotes,
            _ if in_quotes => {}
            _ if c == separator && round <= 0 && square <= 0 && pieces.len() + 1 < max => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            '(' => round += 1,
            ')' => round -= 1,
            '[' => square += 1,
            ']' => square -= 1,
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// The text without the pair of double quotes around it, if there is one.
pub(super) fn unquoted(text: &str) -> &str {
    let inside = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inside.unwrap_or(text)
}

fn without_marks(piece: &str) -> String {
    if !piece.contains(['"', '\\']) {
        return piece.to_owned();
    }
    let mut out = String::with_capacity(piece.len());
    let mut chars = piece.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '"' => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_count_outside_of_brackets_and_quotes() {
        for (text, expected) in [
            ("a,b,c", &["a", "b", "c"][..]),
            ("", &[""]),
            ("a,,", &["a", "", ""]),
            ("f(a,b),c", &["f(a,b)", "c"]),
            ("\"a,b\",c", &["a,b", "c"]),
            ("a\\,b,c", &["a,b", "c"]),
            ("[a,b],c", &["[a,b]", "c"]),
            ("a,b,c,d,e", &["a", "b", "c", "d,e"]),
            ("a),b", &["a)", "b"]),
            ("\"open,b", &["open,b"]),
        ] {
            assert_eq!(split(text, ',', 4), expected, "{text}");
        }
    }
}
