//! `$[…]`: Asterisk's expressions, evaluated over the expanded text.
//!
//! Operators, from the loosest: `? ::` · `|` · `&` · `= == != < > <= >=` · `+ -` · `* / %` · unary `- !` ·
//! `: =~ ~~`, all from the left, and round brackets. Two operands that are numbers compare as numbers, others as
//! text; the quotes of a quoted operand are part of it, so both sides want them (`"${X}" = ""`), but `:`, `=~` and
//! `~~` leave them out. `:` matches a regular expression at the start, `=~` anywhere; both give the first group, or
//! else the length of the match.
//!
//! Unlike Asterisk: a single `:` will do in a condition (`a ? b : c`) when there is no `::`; lengths count characters;
//! the first alternative of a regular expression that matches wins, not the longest; and it is matched in linear time.

use super::token::{Operator, Token, tokens};
use super::value::Value;
use regex::{Regex, RegexBuilder};

/// How deep brackets and unary operators may stand in each other.
const DEPTH_MAX: usize = 64;
/// The most memory that a compiled regular expression takes, in bytes.
const REGEX_SIZE_MAX: usize = 1 << 18;

/// The result of an expression, as text.
///
/// # Errors
/// One sentence, if it is none.
pub(super) fn evaluate(text: &str) -> Result<String, String> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Ok(String::new());
    }
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        depth: 0,
        colon_separates: false,
    };
    let value = parser.expression(1)?;
    match parser.peek() {
        None => Ok(value.text()),
        Some(token) => Err(format!("an operator is missing before {token}")),
    }
}

/// What a condition holds for: Asterisk's rule for GotoIf and IF. Not for the empty text, nor where a number of zero
/// stands at the start.
pub(super) fn is_true(condition: &str) -> bool {
    let condition = condition.trim_start();
    let unsigned = condition.strip_prefix(['-', '+']).unwrap_or(condition);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    match digits {
        0 => !condition.is_empty(),
        _ => unsigned[..digits].bytes().any(|digit| digit != b'0'),
    }
}

/// Compiles a regular expression within bounds.
///
/// # Errors
/// One sentence: what is wrong with it, or that it is too large.
pub(super) fn compile_regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(REGEX_SIZE_MAX)
        .nest_limit(DEPTH_MAX as u32)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
            other => format!("not a regular expression ({other})").replace('\n', " "),
        })
}

struct Parser<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
    depth: usize,
    /// Within the middle of a condition that has no `::`.
    colon_separates: bool,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).copied()
    }

    /// An operand and all operators after it that bind at least so tightly.
    fn expression(&mut self, least: u8) -> Result<Value, String> {
        let mut left = self.operand()?;
        while let Some(Token::Operator(operator)) = self.peek() {
            let Some(power) = operator.power() else { break };
            if power < least || (operator == Operator::Colon && self.colon_separates) {
                break;
            }
            self.at += 1;
            left = if operator == Operator::Condition {
                self.condition(left, power)?
            } else {
                let right = self.expression(power + 1)?;
                left.binary(operator, right)?
            };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Value, String> {
        let Some(token) = self.peek() else {
            return Err("an operand is missing at the end".into());
        };
        self.at += 1;
        match token {
            Token::Word(word) => {
                if self.peek() == Some(Token::Open) {
                    self.at += 1;
                    return self.nested(|parser| parser.call(word));
                }
                Ok(Value::word(word))
            }
            Token::Open => self.nested(|parser| {
                let value = parser.expression(1)?;
                parser.close()?;
                Ok(value)
            }),
            Token::Operator(Operator::Minus) => self.unary(Value::negated),
            Token::Operator(Operator::Not) => self.unary(Value::inverted),
            other => Err(format!("an operand is missing before {other}")),
        }
    }

    fn unary(&mut self, apply: fn(Value) -> Value) -> Result<Value, String> {
        let separates = self.colon_separates;
        self.nested(|parser| {
            parser.colon_separates = separates;
            parser.expression(Operator::UNARY_POWER)
        })
        .map(apply)
    }

    /// One level deeper, where a colon is an operator again.
    fn nested(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Value, String>,
    ) -> Result<Value, String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX}"));
        }
        self.depth += 1;
        let separates = std::mem::take(&mut self.colon_separates);
        let value = parse(self);
        self.colon_separates = separates;
        self.depth -= 1;
        value
    }

    fn close(&mut self) -> Result<(), String> {
        if self.peek() != Some(Token::Close) {
            return Err("'(' without its ')'".into());
        }
        self.at += 1;
        Ok(())
    }

    /// After `?`.
    fn condition(&mut self, condition: Value, power: u8) -> Result<Value, String> {
        let separator = self.separator();
        let colon_separates = separator == Operator::Colon;
        let yes = self.nested(|parser| {
            parser.colon_separates = colon_separates;
            parser.expression(1)
        })?;
        if self.peek() != Some(Token::Operator(separator)) {
            return Err("'?' without its '::'".into());
        }
        self.at += 1;
        let no = self.expression(power + 1)?;
        Ok(if condition.chooses() { yes } else { no })
    }

    /// What separates the two sides of the condition whose `?` was just taken.
    fn separator(&self) -> Operator {
        let (mut open, mut conditions) = (0usize, 0usize);
        for token in &self.tokens[self.at..] {
            match token {
                Token::Open => open += 1,
                Token::Close if open == 0 => break,
                Token::Close => open -= 1,
                _ if open > 0 => {}
                Token::Operator(Operator::Condition) => conditions += 1,
                Token::Operator(Operator::Otherwise) if conditions == 0 => {
                    return Operator::Otherwise;
                }
                Token::Operator(Operator::Otherwise) => conditions -= 1,
                _ => {}
            }
        }
        Operator::Colon
    }

    /// `NAME(` was taken: the arithmetic functions that expressions know.
    fn call(&mut self, name: &str) -> Result<Value, String> {
        let mut args = vec![self.expression(1)?];
        while self.peek() == Some(Token::Comma) {
            self.at += 1;
            args.push(self.expression(1)?);
        }
        self.close()?;
        let numbers: Vec<f64> = args.iter().map(|arg| arg.number().unwrap_or(0.0)).collect();
        let result = match (name.to_ascii_uppercase().as_str(), &numbers[..]) {
            ("ABS", [x]) => x.abs(),
            ("CEIL", [x]) => x.ceil(),
            ("FLOOR", [x]) => x.floor(),
            ("ROUND", [x]) => x.round(),
            ("TRUNC", [x]) => x.trunc(),
            ("SQRT", [x]) => x.sqrt(),
            ("POW", [x, y]) => x.powf(*y),
            ("REMAINDER", [x, y]) => x - y * (x / y).round_ties_even(),
            _ => {
                return Err(format!(
                    "no function {name}({})",
                    ",".repeat(numbers.len() - 1)
                ));
            }
        };
        Ok(Value::Number(result))
    }
}

#[cfg(test)]
mod tests;
