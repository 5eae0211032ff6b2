//! Text with `${variables}`, `${FUNCTIONS(…)}` and `$[expressions]` in it, parsed once when the configuration is loaded.
//!
//! Parsing the structure first, and not the expanded text as Asterisk does, means that a value with a bracket in it
//! cannot move the end of the function that it stands in.

use super::function;

/// How deep `${…}` and `$[…]` may stand in each other.
pub(super) const DEPTH_MAX: usize = 32;

/// See the module's comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
}

/// One piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// As it stands.
    Text(String),
    /// `${…}`
    Reference(Reference),
    /// `$[…]`: the inside is expanded, then evaluated.
    Expression(Template),
}

/// What stands in `${…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reference {
    /// `NAME` or `NAME:offset:length`
    Variable { name: String, slice: Slice },
    /// `FUNC(args)` or `FUNC(args):offset:length`; the name in upper case.
    Function {
        name: String,
        args: Template,
        slice: Slice,
    },
    /// The name itself has references in it: expanded first, then read.
    Computed(Template),
}

/// `:offset:length` of a reference, counted in characters; negative ones from the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slice {
    offset: i64,
    length: Option<i64>,
}

impl Slice {
    /// Reads `offset` or `offset:length`; None if they are not whole numbers.
    pub(super) fn parse(text: &str) -> Option<Slice> {
        let (offset, length) = match text.split_once(':') {
            Some((offset, length)) => (offset, Some(length.trim().parse().ok()?)),
            None => (text, None),
        };
        let offset = match offset.trim() {
            "" => 0,
            number => number.parse().ok()?,
        };
        Some(Slice { offset, length })
    }

    /// That part of the value, by Asterisk's rules: an offset before the start is the start, a negative length
    /// leaves so many characters off the end.
    pub(super) fn of(self, value: &str) -> &str {
        if self == Slice::default() {
            return value;
        }
        let total = value.chars().count() as i64;
        let start = if self.offset < 0 {
            total.saturating_add(self.offset).max(0)
        } else {
            self.offset.min(total)
        };
        let end = match self.length {
            None => total,
            Some(length) if length >= 0 => start.saturating_add(length).min(total),
            Some(length) => total.saturating_add(length).max(start),
        };
        let byte = |count: i64| {
            let mut indices = value.char_indices().map(|(at, _)| at);
            indices.nth(count as usize).unwrap_or(value.len())
        };
        &value[byte(start)..byte(end)]
    }
}

impl Template {
    /// Parses a text.
    ///
    /// # Errors
    /// Each is one sentence: a `${` or `$[` that does not end, an empty `${}`, a `:offset:length` that is no number, a function that does
    /// not exist, or references nested deeper than [`DEPTH_MAX`].
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut parser = Parser { rest: text };
        parser.template(None, 0)
    }

    /// The whole text if nothing in it needs to be expanded.
    pub(super) fn literal(&self) -> Option<&str> {
        match &self.parts[..] {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Cuts at the first `separator` in the plain text, outside of references and round brackets; the separator goes.
    pub(super) fn split_once(&self, separator: char) -> Option<(Template, Template)> {
        let mut open = 0i32;
        self.split_at(|c| {
            let found = open <= 0 && c == separator;
            open += i32::from(c == '(') - i32::from(c == ')');
            found
        })
    }

    /// Cuts at the first character of the plain text that is found to be the place; that character goes.
    fn split_at(&self, mut is_place: impl FnMut(char) -> bool) -> Option<(Template, Template)> {
        for (index, part) in self.parts.iter().enumerate() {
            let Part::Text(text) = part else { continue };
            let Some((at, c)) = text.char_indices().find(|(_, c)| is_place(*c)) else {
                continue;
            };
            let mut before = Template {
                parts: self.parts[..index].to_vec(),
            };
            before.push_text(&text[..at]);
            let mut after = Template::default();
            after.push_text(&text[at + c.len_utf8()..]);
            after.parts.extend_from_slice(&self.parts[index + 1..]);
            return Some((before, after));
        }
        None
    }

    /// Leaves out blanks at both ends of the plain text.
    pub(super) fn trimmed(mut self) -> Template {
        if let Some(Part::Text(text)) = self.parts.first_mut() {
            *text = text.trim_start().to_owned();
        }
        if let Some(Part::Text(text)) = self.parts.last_mut() {
            *text = text.trim_end().to_owned();
        }
        self.parts.retain(|part| *part != Part::Text(String::new()));
        self
    }

    fn push_text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
}

impl Parser<'_> {
    /// Parses up to the bracket that closes this level and takes it; the whole rest at the outermost level.
    fn template(&mut self, closing: Option<char>, depth: usize) -> Result<Template, String> {
        if depth > DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        let opening = closing.map(|closing| if closing == '}' { '{' } else { '[' });
        let mut open_brackets = 0usize;
        let mut template = Template::default();
        loop {
            if let Some(inside) = self.rest.strip_prefix("${") {
                self.rest = inside;
                let inner = self.template(Some('}'), depth + 1)?;
                template
                    .parts
                    .push(Part::Reference(Reference::read(inner)?));
                continue;
            }
            if let Some(inside) = self.rest.strip_prefix("$[") {
                self.rest = inside;
                let inner = self.template(Some(']'), depth + 1)?;
                template.parts.push(Part::Expression(inner));
                continue;
            }
            let mut chars = self.rest.chars();
            let Some(c) = chars.next() else {
                return match closing {
                    None => Ok(template),
                    Some('}') => Err("'${' without its '}'".into()),
                    Some(_) => Err("'$[' without its ']'".into()),
                };
            };
            if Some(c) == closing && open_brackets == 0 {
                self.rest = chars.as_str();
                return Ok(template);
            }
            if Some(c) == closing {
                open_brackets -= 1;
            } else if Some(c) == opening {
                open_brackets += 1;
            }
            template.push_text(&self.rest[..c.len_utf8()]);
            self.rest = chars.as_str();
        }
    }
}

impl Reference {
    fn read(inner: Template) -> Result<Reference, String> {
        if let Some(text) = inner.literal() {
            return match text.find('(') {
                Some(_) => Reference::function(&inner),
                None => Reference::variable(text),
            };
        }
        // A function's name is plain text up to its bracket; else the name itself is computed.
        match inner.parts.first() {
            Some(Part::Text(text)) if text.contains('(') => Reference::function(&inner),
            _ => Ok(Reference::Computed(inner)),
        }
    }

    fn variable(text: &str) -> Result<Reference, String> {
        let (name, slice) = match text.split_once(':') {
            Some((name, slice)) => (name, parse_slice(slice)?),
            None => (text, Slice::default()),
        };
        if name.trim().is_empty() {
            return Err("'${}' names no variable".into());
        }
        Ok(Reference::Variable {
            name: name.trim().to_owned(),
            slice,
        })
    }

    fn function(inner: &Template) -> Result<Reference, String> {
        let (name, inside) = inner.split_once('(').expect("the caller saw a bracket");
        let name = name
            .literal()
            .unwrap_or_default()
            .trim()
            .to_ascii_uppercase();
        let (args, after) =
            split_at_closing(&inside).ok_or_else(|| format!("'{name}(' without its ')'"))?;
        function::check_readable(&name)?;
        let Some(after) = after.literal() else {
            return Ok(Reference::Computed(inner.clone()));
        };
        let slice = match after.strip_prefix(':') {
            Some(slice) => parse_slice(slice)?,
            None if after.trim().is_empty() => Slice::default(),
            None => return Err(format!("'{after}' after '{name}(…)'")),
        };
        Ok(Reference::Function { name, args, slice })
    }
}

fn parse_slice(text: &str) -> Result<Slice, String> {
    Slice::parse(text).ok_or_else(|| format!("':{text}' is not ':offset' or ':offset:length'"))
}

/// Cuts at the bracket that closes one that was open before: the inside, and what follows.
fn split_at_closing(template: &Template) -> Option<(Template, Template)> {
    let mut open = 1i32;
    template.split_at(|c| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slices_follow_asterisk() {
        for (slice, expected) in [
            ("0", "123456789"),
            ("3", "456789"),
            ("0:3", "123"),
            ("3:3", "456"),
            ("-4", "6789"),
            ("-4:2", "67"),
            ("-4:-1", "678"),
            ("2:-2", "34567"),
            ("-20", "123456789"),
            ("-20:2", "12"),
            ("20", ""),
            ("3:0", ""),
            ("5:-5", ""),
            ("0:-9", ""),
            ("0:-20", ""),
            (":3", "123"),
            ("9223372036854775807:9223372036854775807", ""),
            ("-9223372036854775808:-9223372036854775808", ""),
        ] {
            let slice_read = Slice::parse(slice).expect(slice);
            assert_eq!(slice_read.of("123456789"), expected, "{slice}");
        }
        assert_eq!(Slice::parse("1:1").expect("a slice").of("äöü"), "ö");
        assert_eq!(Slice::parse("x"), None);
        assert_eq!(Slice::parse("1:x"), None);
    }

    #[test]
    fn structure_is_read_to_any_depth() {
        let template = Template::parse("a${B:1}c${LEN(${D${E}})}$[1 + ${F}]{}").expect("good");
        assert_eq!(template.parts.len(), 6);
        assert!(
            matches!(&template.parts[1], Part::Reference(Reference::Variable { name, .. }) if name == "B")
        );
        assert!(
            matches!(&template.parts[3], Part::Reference(Reference::Function { name, .. }) if name == "LEN")
        );
        assert!(matches!(&template.parts[4], Part::Expression(_)));
        let deep = |n: usize| format!("{}X{}", "${".repeat(n), "}".repeat(n));
        assert!(Template::parse(&deep(DEPTH_MAX)).is_ok());
        assert!(Template::parse(&deep(DEPTH_MAX + 1)).is_err());
        assert!(Template::parse(&"$[".repeat(100_000)).is_err());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, expected) in [
            ("${A", "without its '}'"),
            ("$[1+${A}", "without its ']'"),
            ("${}", "names no variable"),
            ("${A:x}", "':offset'"),
            ("${LEN(a}", "without its ')'"),
            ("${NOSUCH(a)}", "NOSUCH"),
            ("${LEN(a)b}", "'b' after"),
        ] {
            let message = Template::parse(text).expect_err(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_an_error(text in "([${}\\[\\]():a1,]|\\PC){0,40}") {
            let _ = Template::parse(&text);
        }
    }
}
