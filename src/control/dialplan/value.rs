//! The values of an expression and what its operators do to them.

use super::arguments::unquoted;
use super::expand;
use super::expression::compile_regex;
use super::token::Operator;
use std::cmp::Ordering;

/// What Asterisk gives for a division by zero: the largest C int.
const DIVIDED_BY_ZERO: f64 = i32::MAX as f64;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Computed.
    Number(f64),
    /// Written as a number: it counts as one, but keeps its spelling (`007`).
    Numeral(String),
    /// Any other text, with its quotes.
    Text(String),
}

impl Value {
    /// As it was written.
    pub(super) fn word(word: &str) -> Value {
        let (whole, fraction) = word.split_once('.').unwrap_or((word, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if is_digits(whole) && is_digits(fraction) {
            Value::Numeral(word.to_owned())
        } else {
            Value::Text(word.to_owned())
        }
    }

    /// As text.
    pub(super) fn text(self) -> String {
        match self {
            Value::Number(number) => format_number(number),
            Value::Numeral(text) | Value::Text(text) => text,
        }
    }

    /// As a number, if it is one.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Numeral(text) => text.parse().ok(),
            Value::Text(_) => None,
        }
    }

    /// `-x`; 0 for what is no number.
    pub(super) fn negated(self) -> Value {
        Value::Number(-self.number().unwrap_or(0.0))
    }

    /// `!x`: 1 for 0, for the empty text and for text that begins with no number or with zero, as Asterisk has it.
    pub(super) fn inverted(self) -> Value {
        let holds = match &self {
            Value::Number(number) => *number != 0.0,
            Value::Numeral(text) | Value::Text(text) => {
                let digits = text.bytes().take_while(u8::is_ascii_digit);
                digits.into_iter().any(|digit| digit != b'0')
            }
        };
        truth(!holds)
    }

    /// Which side of `? ::` this condition takes.
    pub(super) fn chooses(&self) -> bool {
        match self {
            Value::Text(text) => !matches!(&text[..], "" | "\"\"" | "0"),
            number => number.number() != Some(0.0),
        }
    }

    /// Applies an operator that stands between two operands.
    ///
    /// # Errors
    /// A regular expression that is none.
    pub(super) fn binary(self, operator: Operator, right: Value) -> Result<Value, String> {
        Ok(match operator {
            Operator::Or => {
                if self.is_zero_or_null() {
                    right
                } else {
                    self
                }
            }
            Operator::And if self.is_zero_or_null() || right.is_zero_or_null() => {
                Value::Number(0.0)
            }
            Operator::And => self,
            Operator::Equal => truth(self.compare(right).is_some_and(Ordering::is_eq)),
            Operator::NotEqual => truth(!self.compare(right).is_some_and(Ordering::is_eq)),
            Operator::Less => truth(self.compare(right).is_some_and(Ordering::is_lt)),
            Operator::Greater => truth(self.compare(right).is_some_and(Ordering::is_gt)),
            Operator::LessOrEqual => truth(self.compare(right).is_some_and(Ordering::is_le)),
            Operator::GreaterOrEqual => truth(self.compare(right).is_some_and(Ordering::is_ge)),
            Operator::Plus
            | Operator::Minus
            | Operator::Times
            | Operator::Divide
            | Operator::Remainder => {
                Value::Number(arithmetic(operator, self.number(), right.number()))
            }
            Operator::Colon => self.matched(right, true)?,
            Operator::Matches => self.matched(right, false)?,
            Operator::Concat => self.joined(right),
            Operator::Not | Operator::Condition | Operator::Otherwise => {
                unreachable!("the parser takes these as no binary operator")
            }
        })
    }

    fn is_zero_or_null(&self) -> bool {
        match self {
            Value::Text(text) => text.is_empty(),
            number => number.number() == Some(0.0),
        }
    }

    /// As numbers if both are, else as text. None beside what is not a number (NaN).
    fn compare(self, right: Value) -> Option<Ordering> {
        match (self.number(), right.number()) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => Some(self.text().cmp(&right.text())),
        }
    }

    fn matched(self, pattern: Value, from_start: bool) -> Result<Value, String> {
        let (text, pattern) = (self.text(), pattern.text());
        let (text, pattern) = (unquoted(&text), unquoted(&pattern));
        let regex = compile_regex(pattern)?;
        let found = regex
            .captures(text)
            .filter(|found| !from_start || found.get(0).is_some_and(|all| all.start() == 0));
        let groups = regex.captures_len() > 1;
        Ok(match found {
            None if groups => Value::Text(String::new()),
            None => Value::Number(0.0),
            Some(found) => match found.get(1) {
                Some(group) => Value::word(group.as_str()),
                None => Value::Number(found[0].chars().count() as f64),
            },
        })
    }

    fn joined(self, right: Value) -> Value {
        let (left, right) = (self.text(), right.text());
        let mut joined = [unquoted(&left), unquoted(&right)].concat();
        expand::cut(&mut joined);
        Value::word(&joined)
    }
}

fn truth(holds: bool) -> Value {
    Value::Number(if holds { 1.0 } else { 0.0 })
}

/// What is no number counts as Asterisk counts it: left out of a sum or difference, 0 in a product or remainder; dividing by it is
/// dividing by zero.
fn arithmetic(operator: Operator, left: Option<f64>, right: Option<f64>) -> f64 {
    match (operator, left, right) {
        (Operator::Plus, left, right) => left.unwrap_or(0.0) + right.unwrap_or(0.0),
        (Operator::Minus, left, right) => left.unwrap_or(0.0) - right.unwrap_or(0.0),
        (_, None, _) => 0.0,
        (Operator::Divide, _, None | Some(0.0)) => DIVIDED_BY_ZERO,
        (Operator::Divide, Some(left), Some(right)) => left / right,
        (_, _, None) => 0.0,
        (Operator::Times, Some(left), Some(right)) => left * right,
        // The remainder by zero is the zero.
        (_, Some(_), Some(0.0)) => 0.0,
        (_, Some(left), Some(right)) => left % right,
    }
}

/// Whole numbers without a point; others with as many digits as tell them apart.
fn format_number(number: f64) -> String {
    const WHOLE_MAX: f64 = 1e15;
    if number.fract() == 0.0 && number.abs() < WHOLE_MAX {
        return (number as i64).to_string();
    }
    if (1e-4..WHOLE_MAX).contains(&number.abs()) {
        return number.to_string();
    }
    format!("{number:e}")
}
