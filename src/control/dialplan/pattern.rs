//! Extension patterns and their order of preference.
//!
//! As in Asterisk: a name that begins with `_` is a pattern, in which `X` is 0-9, `Z` 1-9, `N` 2-9 (in either case),
//! `[1-5a-c]` one character of a set, `.` one or more and `!` none or more of what is left; any other character is
//! itself, in its case. Hyphens are eye candy: in a pattern, in a plain extension and in what was dialled they do not
//! count (inside brackets a hyphen makes a range).
//!
//! One thing is stricter: `.` and `!` do not match what would be read as syntax once `${EXTEN}` stands in an
//! application's arguments (see [`is_dialable`]), so that nobody dials `1&PJSIP/carrier/900…` through `_X.`.

/// The longest extension or pattern, in characters. A longer one in the configuration is an error; a longer dialled
/// name matches nothing.
pub const EXTENSION_LENGTH_MAX: usize = 256;

/// One position of a pattern. The derived order is not the order of preference: see [`Element::rank`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Element {
    /// This character (a set of one is this too).
    One(char),
    /// One character of a set of ASCII characters, bit n for character n.
    Set(u128),
    /// `.`: one or more of anything.
    Many,
    /// `!`: none or more of anything.
    Rest,
}

impl Element {
    /// Whether this position takes the character; wildcards are judged by the table, not here.
    pub(super) fn takes(self, c: char) -> bool {
        match self {
            Element::One(own) => own == c,
            Element::Set(bits) => c.is_ascii() && bits & (1 << c as u32) != 0,
            Element::Many | Element::Rest => false,
        }
    }

    /// Asterisk's order: fewer choices first, then the lower first character, then the set with the lower characters;
    /// `.` then `!` last. The end of a pattern comes after them all.
    pub(super) fn rank(self) -> (u32, u128) {
        match self {
            Element::One(c) => (0x100 | (c as u32 & 0xff), u128::MAX - u128::from(c as u32)),
            Element::Set(bits) => (
                bits.count_ones() << 8 | bits.trailing_zeros(),
                u128::MAX - bits.reverse_bits(),
            ),
            Element::Many => (0x1_8000, 0),
            Element::Rest => (0x2_8000, 0),
        }
    }
}

/// What an extension's name in the configuration says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// Only this, hyphens left out.
    Exact(String),
    /// A pattern: at least one element, wildcards only at the end.
    Pattern(Vec<Element>),
}

impl Name {
    /// Reads an extension's name.
    ///
    /// # Errors
    /// What is wrong with it and what is accepted.
    pub(super) fn parse(text: &str) -> Result<Name, String> {
        if text.chars().count() > EXTENSION_LENGTH_MAX {
            return Err(format!(
                "an extension has at most {EXTENSION_LENGTH_MAX} characters"
            ));
        }
        if text.contains('/') {
            return Err(format!(
                "'{text}': matching on the caller's number (exten/number) is not supported"
            ));
        }
        match text.strip_prefix('_') {
            Some(pattern) => parse_pattern(pattern).map(Name::Pattern),
            None => {
                let name = canonical(text);
                if name.is_empty() {
                    return Err("the extension is empty".into());
                }
                Ok(Name::Exact(name.into_owned()))
            }
        }
    }
}

/// A dialled or configured name without its hyphens.
pub(super) fn canonical(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('-') {
        text.replace('-', "").into()
    } else {
        text.into()
    }
}

/// Whether `.` and `!` match this character: all but the separators of the dialplan's own language, blanks and
/// control characters. A dialled name is chosen by the caller; with a separator in it, `Dial(PJSIP/${EXTEN})` would
/// dial what the caller likes.
pub(super) fn is_dialable(c: char) -> bool {
    !matches!(
        c,
        ',' | '&'
            | '/'
            | '@'
            | '|'
            | '^'
            | '"'
            | '\\'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '$'
            | '<'
            | '>'
    ) && !c.is_whitespace()
        && !c.is_control()
}

fn parse_pattern(pattern: &str) -> Result<Vec<Element>, String> {
    let mut elements = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if matches!(elements.last(), Some(Element::Many | Element::Rest)) && c != '-' {
            return Err(format!(
                "'_{pattern}': nothing may follow '.' or '!', they match all that is left"
            ));
        }
        elements.push(match c {
            '-' => continue,
            'X' | 'x' => range_set('0', '9'),
            'Z' | 'z' => range_set('1', '9'),
            'N' | 'n' => range_set('2', '9'),
            '.' => Element::Many,
            '!' => Element::Rest,
            '[' => {
                let (set, after) = rest
                    .as_str()
                    .split_once(']')
                    .ok_or_else(|| format!("'_{pattern}': '[' without ']'"))?;
                rest = after.chars();
                parse_set(set).map_err(|what| format!("'_{pattern}': {what}"))?
            }
            ']' => return Err(format!("'_{pattern}': ']' without '['")),
            other => Element::One(other),
        });
    }
    if elements.is_empty() {
        return Err(format!("'_{pattern}': the pattern is empty"));
    }
    Ok(elements)
}

fn parse_set(set: &str) -> Result<Element, String> {
    let chars: Vec<char> = set.chars().collect();
    if let Some(c) = chars.iter().find(|c| !c.is_ascii()) {
        return Err(format!(
            "'{c}' in a set: only ASCII characters are accepted"
        ));
    }
    let mut bits = 0u128;
    let mut rest = &chars[..];
    loop {
        rest = match rest {
            [] => break,
            [first, '-', last, after @ ..] => {
                if first > last {
                    return Err(format!("the range '{first}-{last}' is the wrong way round"));
                }
                bits |= range_bits(*first, *last);
                after
            }
            [one, after @ ..] => {
                bits |= 1 << *one as u32;
                after
            }
        };
    }
    match bits.count_ones() {
        0 => Err("the set '[]' is empty".into()),
        1 => Ok(Element::One(char::from(bits.trailing_zeros() as u8))),
        _ => Ok(Element::Set(bits)),
    }
}

fn range_set(first: char, last: char) -> Element {
    Element::Set(range_bits(first, last))
}

fn range_bits(first: char, last: char) -> u128 {
    (first..=last).fold(0, |bits, c| bits | 1 << c as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Vec<Element> {
        match Name::parse(text) {
            Ok(Name::Pattern(elements)) => elements,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn hyphens_and_case_of_wildcards_do_not_count() {
        assert_eq!(pattern("_nxx-nxxxxxx"), pattern("_NXXNXXXXXX"));
        assert_eq!(Name::parse("555-1212"), Name::parse("5551212"));
        assert_ne!(pattern("_a."), pattern("_A."));
    }

    #[test]
    fn sets_are_equal_when_they_take_the_same() {
        assert_eq!(pattern("_[0-9]"), pattern("_X"));
        assert_eq!(pattern("_[1-9]."), pattern("_Z."));
        assert_eq!(pattern("_[7]"), pattern("_7"));
        assert_eq!(pattern("_[a-c1]"), pattern("_[1cba]"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, expected) in [
            ("_", "the pattern is empty"),
            ("_-", "the pattern is empty"),
            ("-", "the extension is empty"),
            ("", "the extension is empty"),
            ("_[12", "'[' without ']'"),
            ("_12]", "']' without '['"),
            ("_[]", "is empty"),
            ("_[9-1]", "wrong way round"),
            ("_[ä]", "only ASCII"),
            ("_X.1", "nothing may follow"),
            ("_X!.", "nothing may follow"),
            ("100/555", "not supported"),
        ] {
            let message = Name::parse(text).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
        assert!(Name::parse(&"1".repeat(EXTENSION_LENGTH_MAX + 1)).is_err());
        assert!(Name::parse(&"1".repeat(EXTENSION_LENGTH_MAX)).is_ok());
    }

    #[test]
    fn fewer_choices_rank_first() {
        let order = [
            "_1", "_2", "_[12]", "_[13]", "_[1-5]", "_N", "_Z", "_X", "_[0-9a]", "_.", "_!",
        ];
        for pair in order.windows(2) {
            assert!(
                pattern(pair[0])[0].rank() < pattern(pair[1])[0].rank(),
                "{pair:?}"
            );
        }
    }
}
