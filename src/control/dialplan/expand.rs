//! Expanding a [`Template`] for one channel.

use super::template::{Part, Reference, Slice, Template};
use super::variables::Variables;
use super::{Channel, expression, function};
use std::collections::BTreeMap;

/// The longest text that an expansion gives, in bytes. What is beyond is cut, with a warning.
pub const EXPANSION_LENGTH_MAX: usize = 8192;

/// Cuts a text at [`EXPANSION_LENGTH_MAX`], or a little before where that would split a character.
pub(super) fn cut(text: &mut String) {
    let mut end = text.len().min(EXPANSION_LENGTH_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// All that a name can mean at one step of one channel.
pub(super) struct Scope<'a> {
    /// `${CONTEXT}`, `${EXTEN}`, `${PRIORITY}`
    pub(super) context: &'a str,
    pub(super) extension: &'a str,
    pub(super) priority: u32,
    pub(super) variables: &'a Variables,
    /// Global variables that this channel set where nobody else keeps them.
    pub(super) own_globals: &'a BTreeMap<String, String>,
    /// `[globals]`
    pub(super) globals: &'a BTreeMap<String, String>,
    pub(super) channel: &'a dyn Channel,
    /// For RAND.
    pub(super) random: &'a mut fastrand::Rng,
    /// What went wrong and was passed over.
    pub(super) warnings: &'a mut Vec<String>,
}

impl Scope<'_> {
    /// The text with all references and expressions replaced. A variable that is not set is empty.
    pub(super) fn expand(&mut self, template: &Template) -> String {
        let mut out = String::new();
        for part in &template.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Reference(reference) => {
                    let value = self.reference(reference);
                    out.push_str(&value);
                }
                Part::Expression(inside) => {
                    let text = self.expand(inside);
                    let value = expression::evaluate(&text).unwrap_or_else(|error| {
                        // Asterisk too goes on with 0.
                        self.warn(format!("$[{text}]: {error}; taken as 0"));
                        "0".into()
                    });
                    out.push_str(&value);
                }
            }
            if out.len() > EXPANSION_LENGTH_MAX {
                self.warn(format!("text cut after {EXPANSION_LENGTH_MAX} bytes"));
                cut(&mut out);
                break;
            }
        }
        out
    }

    /// The value of `NAME` or `FUNC(args)`, as the functions take the name of a variable for an argument.
    pub(super) fn named(&mut self, text: &str) -> String {
        match text.split_once('(') {
            Some((name, args)) => {
                let args = args.rsplit_once(')').map_or(args, |(args, _)| args);
                function::read(self, &name.trim().to_ascii_uppercase(), args)
            }
            None => self.variable(text.trim()),
        }
    }

    /// The value of a global variable: as set at run time, or as configured.
    pub(super) fn global(&self, name: &str) -> String {
        self.channel
            .function("GLOBAL", name)
            .or_else(|| self.own_globals.get(name).cloned())
            .or_else(|| self.globals.get(name).cloned())
            .unwrap_or_default()
    }

    pub(super) fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }

    fn reference(&mut self, reference: &Reference) -> String {
        let (value, slice) = match reference {
            Reference::Variable { name, slice } => (self.variable(name), *slice),
            Reference::Function { name, args, slice } => {
                let args = self.expand(args);
                (function::read(self, name, &args), *slice)
            }
            Reference::Computed(inside) => {
                let text = self.expand(inside);
                self.computed(&text)
            }
        };
        if slice == Slice::default() {
            return value;
        }
        slice.of(&value).to_owned()
    }

    /// `NAME`, `NAME:offset:length`, `FUNC(args)` … after expansion.
    fn computed(&mut self, text: &str) -> (String, Slice) {
        let mut open = 0i32;
        let colon = text.find(|c| {
            open += i32::from(c == '(') - i32::from(c == ')');
            c == ':' && open == 0
        });
        let (name, slice) = match colon {
            None => (text, Slice::default()),
            Some(at) => {
                let slice = Slice::parse(&text[at + 1..]).unwrap_or_else(|| {
                    self.warn(format!("'{text}': the offset or length is no number"));
                    Slice::default()
                });
                (&text[..at], slice)
            }
        };
        (self.named(name), slice)
    }

    fn variable(&mut self, name: &str) -> String {
        match name {
            "EXTEN" => self.extension.to_owned(),
            "CONTEXT" => self.context.to_owned(),
            "PRIORITY" => self.priority.to_string(),
            "EPOCH" => self.channel.epoch().to_string(),
            "CHANNEL" => self.channel.function("CHANNEL", "name").unwrap_or_default(),
            "UNIQUEID" => {
                let id = self.channel.function("CHANNEL", "uniqueid");
                id.unwrap_or_default()
            }
            _ => match self.variables.get(name) {
                Some(value) => value.to_owned(),
                None => self.global(name),
            },
        }
    }
}

#[cfg(test)]
mod tests;
