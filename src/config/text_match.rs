//! Text that a part of a message must be, or a regular expression that it must match: `value` or `/regex/`.

use super::accept::Typed;
use super::fields::Checker;
use super::raw::Value;
use regex::{Regex, RegexBuilder};
use std::fmt;

/// Bytes of a compiled expression, so that no rule costs much at each request. Matching is linear in the text.
const REGEX_SIZE_MAX: usize = 256 * 1024;

/// What a text must be.
#[derive(Clone, Debug)]
pub enum TextMatch {
    /// This, byte for byte.
    Exact(String),
    /// This is found in it; `^` and `$` tie it to its ends.
    Pattern(Regex),
}

impl TextMatch {
    /// True if `text` is what it must be.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            TextMatch::Exact(wanted) => wanted == text,
            TextMatch::Pattern(regex) => regex.is_match(text),
        }
    }

    /// # Errors
    /// What is wrong with it.
    fn parse(text: &str) -> Result<TextMatch, String> {
        let pattern = text
            .strip_prefix('/')
            .and_then(|rest| rest.strip_suffix('/'));
        match pattern {
            _ if text.is_empty() => Err(String::from("there is nothing to match")),
            Some("") => Err(String::from("the expression between the slashes is empty")),
            Some(pattern) => RegexBuilder::new(pattern)
                .size_limit(REGEX_SIZE_MAX)
                .build()
                .map(TextMatch::Pattern)
                .map_err(|error| match error {
                    regex::Error::CompiledTooBig(_) => {
                        String::from("the regular expression is too large")
                    }
                    // The last line says what is wrong; those before draw where.
                    other => other
                        .to_string()
                        .lines()
                        .last()
                        .unwrap_or("no regular expression")
                        .to_owned(),
                }),
            None => Ok(TextMatch::Exact(text.to_owned())),
        }
    }
}

impl fmt::Display for TextMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextMatch::Exact(text) => f.write_str(text),
            TextMatch::Pattern(regex) => write!(f, "/{regex}/"),
        }
    }
}

/// `match_header`: a header that a request must have, and what its value must be.
#[derive(Clone, Debug)]
pub struct HeaderMatch {
    /// The header's name, as written.
    pub name: String,
    /// Of one of its lines.
    pub value: TextMatch,
}

impl fmt::Display for HeaderMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

impl Checker<'_> {
    /// `value` or `/regex/`.
    pub(super) fn text_match(&mut self, value: &Value, path: &str) -> Option<Typed> {
        const EXPECTED: &str = "a string: \"sip:100@example.com\", or \"/regex/\"";
        let text = self.string(value, EXPECTED, path)?;
        match TextMatch::parse(&text.value) {
            Ok(wanted) => Some(Typed::TextMatch(wanted)),
            Err(why) => self.wrong(value, &format!("{EXPECTED}; {why}"), path),
        }
    }

    /// `NAME: value` or `NAME: /regex/`.
    pub(super) fn header_match(&mut self, value: &Value, path: &str) -> Option<Typed> {
        const EXPECTED: &str = "a header and its value: \"X-Trunk: blue\", \"X-Trunk: /^blue/\"";
        let text = self.string(value, EXPECTED, path)?;
        let parsed = text
            .value
            .split_once(':')
            .map(|(name, rest)| (name.trim(), rest.trim()));
        let Some((name, rest)) = parsed.filter(|(name, _)| is_header_name(name)) else {
            return self.wrong(value, EXPECTED, path);
        };
        match TextMatch::parse(rest) {
            Ok(wanted) => Some(Typed::HeaderMatch(HeaderMatch {
                name: name.to_owned(),
                value: wanted,
            })),
            Err(why) => self.wrong(value, &format!("{EXPECTED}; {why}"), path),
        }
    }
}

/// RFC 3261 §25.1: a token.
fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_itself_or_a_regular_expression() {
        let matches = |wanted: &str, text: &str| TextMatch::parse(wanted).map(|w| w.matches(text));
        assert_eq!(matches("blue", "blue"), Ok(true));
        assert_eq!(matches("blue", "Blue"), Ok(false));
        assert_eq!(matches("blue", "blues"), Ok(false));
        assert_eq!(matches("/blue/", "light blue"), Ok(true));
        assert_eq!(matches("/^blue$/", "light blue"), Ok(false));
        assert_eq!(matches("/(?i)^blue$/", "BLUE"), Ok(true));
        assert_eq!(matches("/", "/"), Ok(true), "one slash is a text");
        assert_eq!(matches("sip:1@a/b", "sip:1@a/b"), Ok(true));
    }

    #[test]
    fn what_is_no_expression_is_told() {
        let error = |wanted: &str| TextMatch::parse(wanted).expect_err("wrong");
        assert_eq!(error("/(/"), "error: unclosed group");
        assert_eq!(error("//"), "the expression between the slashes is empty");
        assert_eq!(error(""), "there is nothing to match");
        let large = error(&format!("/{}/", "(\\w{100}){100}"));
        assert_eq!(large, "the regular expression is too large");
    }

    #[test]
    fn an_expression_that_would_take_others_for_ever_is_quick() {
        let evil = TextMatch::parse("/^(a+)+$/").expect("an expression");
        assert!(!evil.matches(&format!("{}b", "a".repeat(50_000))));
    }
}
