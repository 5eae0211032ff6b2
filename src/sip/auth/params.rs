//! The grammar that challenges and credentials share: a scheme and `name=value` pairs (RFC 3261 §25.1).

/// Most pairs of one challenge or one set of credentials; one with more is not looked at.
const PARAMS_MAX: usize = 32;

/// Most challenges on one line; the rest is not looked at.
const CHALLENGES_MAX: usize = 8;

/// The pairs of one Digest challenge or credentials. Values are without their quotes, quoted pairs untouched: the
/// hash is made over them as they are (RFC 7616 §3.4 `unq`).
#[derive(Debug, Default)]
pub(super) struct DigestParams<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> DigestParams<'a> {
    /// Every well-formed `Digest` of a header line, in order; other schemes are skipped. RFC 3261 §20.44 gives each
    /// its own line; several on one line (RFC 9110 §11.6.1) are understood too.
    pub(super) fn parse_line(line: &'a str) -> Vec<DigestParams<'a>> {
        let mut found: Vec<Option<DigestParams<'a>>> = Vec::new();
        for piece in pieces(line) {
            let pair = match scheme_and_rest(piece) {
                Some((_, _)) if found.len() == CHALLENGES_MAX => break,
                Some((scheme, rest)) => {
                    found.push(
                        scheme
                            .eq_ignore_ascii_case("Digest")
                            .then(DigestParams::default),
                    );
                    rest
                }
                None => piece,
            };
            let Some(Some(current)) = found.last_mut() else {
                continue;
            };
            match pair_of(pair) {
                Some(pair) if current.pairs.len() < PARAMS_MAX => current.pairs.push(pair),
                _ => *found.last_mut().expect("it was just looked at") = None,
            }
        }
        found.into_iter().flatten().collect()
    }

    /// The value of a name that stands once; twice is an attempt to be read in two ways.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let mut values = self
            .pairs
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let (_, value) = values.next()?;
        values.next().is_none().then_some(*value)
    }
}

/// The text between commas that stand outside quotes, trimmed, without empty pieces.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' => return !quoted,
            _ => {}
        }
        false
    })
    .map(str::trim)
    .filter(|piece| !piece.is_empty())
}

/// `Digest realm="x"` begins a new challenge, `nonce="y"` or `nonce = "y"` does not.
fn scheme_and_rest(piece: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = piece.split_once([' ', '\t'])?;
    let rest = rest.trim();
    (!scheme.contains(['=', '"']) && !rest.starts_with('=')).then_some((scheme, rest))
}

fn pair_of(piece: &str) -> Option<(&str, &str)> {
    let (name, value) = piece.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let plain = match value.strip_prefix('"') {
        Some(inside) => inside
            .strip_suffix('"')
            .filter(|inside| !ends_in_escape(inside))?,
        None => value,
    };
    (!name.is_empty()).then_some((name, plain))
}

/// True if the quote behind the text is escaped, so that the string is not closed.
fn ends_in_escape(inside: &str) -> bool {
    inside
        .bytes()
        .rev()
        .take_while(|&byte| byte == b'\\')
        .count()
        % 2
        == 1
}

/// Text for between quotes: quotes and backslashes escaped.
pub(super) fn escape(plain: &str) -> String {
    let mut escaped = String::with_capacity(plain.len());
    for c in plain.chars() {
        if matches!(c, '"' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// The text behind its quoted pairs.
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
