//! The words and operators of an expression.

use std::fmt;

/// The most tokens of one expression.
const TOKENS_MAX: usize = 1024;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A number, a name or a text in double quotes (which stay with it).
    Word(&'t str),
    Operator(Operator),
    Open,
    Close,
    Comma,
}

/// An operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
    Not,
    /// `:`
    Colon,
    /// `=~`
    Matches,
    /// `~~`
    Concat,
    /// `?`
    Condition,
    /// `::`
    Otherwise,
}

impl Operator {
    /// How tightly a unary operator binds.
    pub(super) const UNARY_POWER: u8 = 7;

    /// How tightly it binds between two operands, None if it does not stand there.
    pub(super) fn power(self) -> Option<u8> {
        Some(match self {
            Operator::Condition => 1,
            Operator::Or => 2,
            Operator::And => 3,
            Operator::Equal
            | Operator::NotEqual
            | Operator::Less
            | Operator::Greater
            | Operator::LessOrEqual
            | Operator::GreaterOrEqual => 4,
            Operator::Plus | Operator::Minus => 5,
            Operator::Times | Operator::Divide | Operator::Remainder => 6,
            Operator::Colon | Operator::Matches | Operator::Concat => 8,
            Operator::Not | Operator::Otherwise => return None,
        })
    }

    fn symbol(self) -> &'static str {
        SYMBOLS
            .iter()
            .find(|(_, operator)| *operator == self)
            .map_or("", |(symbol, _)| symbol)
    }
}

/// Longer ones first, so that the first that fits is the one meant.
const SYMBOLS: [(&str, Operator); 22] = [
    ("||", Operator::Or),
    ("&&", Operator::And),
    ("==", Operator::Equal),
    ("=~", Operator::Matches),
    ("~~", Operator::Concat),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("!=", Operator::NotEqual),
    ("::", Operator::Otherwise),
    ("|", Operator::Or),
    ("&", Operator::And),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("+", Operator::Plus),
    ("-", Operator::Minus),
    ("*", Operator::Times),
    ("/", Operator::Divide),
    ("%", Operator::Remainder),
    ("?", Operator::Condition),
    ("!", Operator::Not),
    (":", Operator::Colon),
];

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Token::Word(word) => word,
            Token::Operator(operator) => operator.symbol(),
            Token::Open => "(",
            Token::Close => ")",
            Token::Comma => ",",
        };
        write!(f, "'{text}'")
    }
}

/// All tokens of the text.
///
/// # Errors
/// A quote that does not end, or more than [`TOKENS_MAX`] tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if tokens.len() == TOKENS_MAX {
            return Err(format!("more than {TOKENS_MAX} operands and operators"));
        }
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '"' => {
                let end = rest[1..].find('"').ok_or("a quote without its end")?;
                (Token::Word(&rest[..end + 2]), end + 2)
            }
            _ => match SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
                Some((symbol, operator)) => (Token::Operator(*operator), symbol.len()),
                None => {
                    let end = rest.find(ends_word).unwrap_or(rest.len()).max(1);
                    (Token::Word(&rest[..end]), end)
                }
            },
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || "()\",|&=<>+-*/%?!:".contains(c)
}
