//! The dialplan's functions. Those of the channel itself (CALLERID, CHANNEL, PJSIP_HEADER) are the call's: see
//! [`Channel`](super::Channel).

use super::arguments::{split, split_raw, unquoted};
use super::expand::{EXPANSION_LENGTH_MAX, Scope};
use super::{expression, time};

/// Functions that can be read.
const READABLE: [&str; 17] = [
    "CALLERID",
    "CHANNEL",
    "CUT",
    "EXISTS",
    "FILTER",
    "GLOBAL",
    "IF",
    "ISNULL",
    "LEN",
    "LOCAL",
    "PJSIP_HEADER",
    "RAND",
    "REGEX",
    "STRFTIME",
    "STRREPLACE",
    "TOLOWER",
    "TOUPPER",
];

/// Functions that `Set` can set.
const WRITABLE: [&str; 6] = [
    "CALLERID",
    "CHANNEL",
    "CONFBRIDGE",
    "GLOBAL",
    "LOCAL",
    "PJSIP_HEADER",
];

/// # Errors
/// If there is no such function; the message lists those that there are.
pub(super) fn check_readable(name: &str) -> Result<(), String> {
    check(name, &READABLE, "read")
}

/// # Errors
/// If this function cannot be set; the message lists those that can.
pub(super) fn check_writable(name: &str) -> Result<(), String> {
    check(name, &WRITABLE, "set")
}

fn check(name: &str, known: &[&str], verb: &str) -> Result<(), String> {
    if known.contains(&name) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(format!(
        "no function {name} that can be {verb}; there are {known}"
    ))
}

/// The value of a function, its name in upper case and its arguments expanded. Empty, with a warning, for one that
/// there is not.
pub(super) fn read(scope: &mut Scope<'_>, name: &str, args: &str) -> String {
    match name {
        "LOCAL" => scope.named(args.trim()),
        "LEN" => args.chars().count().to_string(),
        "TOUPPER" => args.to_uppercase(),
        "TOLOWER" => args.to_lowercase(),
        "ISNULL" => truth(args.is_empty()),
        "EXISTS" => truth(!args.is_empty()),
        "IF" => conditional(args),
        "GLOBAL" => scope.global(args.trim()),
        "CUT" => cut(scope, args),
        "FILTER" => filter(args),
        "REGEX" => regex(scope, args),
        "STRREPLACE" => replace(scope, args),
        "RAND" => random(scope, args),
        "STRFTIME" => strftime(scope, args),
        _ => channel_function(scope, name, args),
    }
}

fn channel_function(scope: &mut Scope<'_>, name: &str, args: &str) -> String {
    if let Some(value) = scope.channel.function(name, args) {
        return value;
    }
    if check_readable(name).is_err() {
        scope.warn(format!("no function {name}"));
    }
    String::new()
}

fn truth(holds: bool) -> String {
    if holds { "1" } else { "0" }.into()
}

/// `IF(condition?yes:no)`
fn conditional(args: &str) -> String {
    let (condition, branches) = args.split_once('?').unwrap_or((args, ""));
    let branches = split_raw(branches, ':', 2);
    let chosen = if expression::is_true(condition) { 0 } else { 1 };
    let value = branches.get(chosen).map_or("", |branch| branch.trim());
    unquoted(value).to_owned()
}

/// `CUT(variable,delimiter,fields)`: fields as in `1`, `2-3`, `-2`, `4-`, several joined by `&`.
fn cut(scope: &mut Scope<'_>, args: &str) -> String {
    let args = split(args, ',', 3);
    let [name, delimiter, ranges] = [0, 1, 2].map(|n| args.get(n).map_or("", |arg| &arg[..]));
    let value = scope.named(name);
    let delimiter = delimiter.chars().next().unwrap_or('-');
    let fields: Vec<&str> = value.split(delimiter).collect();
    let mut chosen = Vec::new();
    for range in ranges.split('&') {
        let parse = |text: &str, default: usize| match text.trim() {
            "" => Some(default),
            number => number.parse().ok(),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Some(first), Some(last)) = (parse(first, 1), parse(last, fields.len())) else {
            scope.warn(format!("CUT: '{range}' is no field number or range"));
            continue;
        };
        let (first, last) = (first.max(1), last.min(fields.len()));
        // Ranges may repeat fields; the text still stays within its bound.
        if first <= last && chosen.len() + last < EXPANSION_LENGTH_MAX {
            chosen.extend_from_slice(&fields[first - 1..last]);
        }
    }
    chosen.join(delimiter.encode_utf8(&mut [0; 4]))
}

/// `FILTER(allowed,text)`: only the allowed characters of the text; ranges `0-9`, escapes `\n \r \t \xHH \\ \-`.
fn filter(args: &str) -> String {
    let (allowed, text) = args.split_once(',').unwrap_or((args, ""));
    let mut ranges = Vec::new();
    let mut rest = allowed.chars();
    while let Some(first) = filter_character(&mut rest) {
        let mut ahead = rest.clone();
        let last = (ahead.next() == Some('-'))
            .then(|| filter_character(&mut ahead))
            .flatten();
        if last.is_some() {
            rest = ahead;
        }
        ranges.push((first, last.unwrap_or(first)));
    }
    let is_allowed = |c: &char| {
        ranges
            .iter()
            .any(|(first, last)| (first..=last).contains(&c))
    };
    text.chars().filter(is_allowed).collect()
}

fn filter_character(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '\\' => Some(match rest.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'x' => {
                let digits: String = rest.by_ref().take(2).collect();
                char::from(u8::from_str_radix(&digits, 16).unwrap_or(0))
            }
            other => other,
        }),
        other => Some(other),
    }
}

/// `REGEX("expression" text)`: 1 if the expression is found in the text.
fn regex(scope: &mut Scope<'_>, args: &str) -> String {
    let quoted = args.trim_start().strip_prefix('"');
    let Some((pattern, text)) = quoted.and_then(|inside| inside.split_once('"')) else {
        scope.warn(format!(
            "REGEX({args}): the expression must stand in quotes"
        ));
        return String::new();
    };
    match expression::compile_regex(pattern) {
        Ok(regex) => truth(regex.is_match(text.strip_prefix(' ').unwrap_or(text))),
        Err(error) => {
            scope.warn(format!("REGEX({args}): {error}"));
            String::new()
        }
    }
}

/// `STRREPLACE(variable,find[,replacement[,times]])`
fn replace(scope: &mut Scope<'_>, args: &str) -> String {
    let args = split(args, ',', 4);
    let [name, find, with, times] = [0, 1, 2, 3].map(|n| args.get(n).map_or("", |arg| &arg[..]));
    let value = scope.named(name);
    if find.is_empty() {
        scope.warn("STRREPLACE: nothing to find".into());
        return value;
    }
    // At the bound of the result's length replacing ends; it cannot grow by more than that at a time.
    let growth = with.len().saturating_sub(find.len()).max(1);
    let times = times.trim().parse().unwrap_or(usize::MAX);
    value.replacen(find, with, times.min(EXPANSION_LENGTH_MAX / growth))
}

/// `RAND([least[,most]])`: a whole number in that range, both inclusive; by default 0 to 2147483647.
fn random(scope: &mut Scope<'_>, args: &str) -> String {
    let (least, most) = args.split_once(',').unwrap_or((args, ""));
    let least: i64 = least.trim().parse().unwrap_or(0);
    let most: i64 = most.trim().parse().unwrap_or(i64::from(i32::MAX));
    if least > most {
        scope.warn(format!(
            "RAND({args}): the first number is above the second"
        ));
        return least.to_string();
    }
    scope.random.i64(least..=most).to_string()
}

/// `STRFTIME([epoch[,timezone[,format]]])`
fn strftime(scope: &mut Scope<'_>, args: &str) -> String {
    let args = split(args, ',', 3);
    let [epoch, zone, format] = [0, 1, 2].map(|n| args.get(n).map_or("", |arg| &arg[..]));
    let epoch = match epoch.trim() {
        "" => Some(scope.channel.epoch() as i64),
        // Seconds; a fraction is left off.
        text => text.parse::<f64>().ok().map(|seconds| seconds as i64),
    };
    let formatted = epoch
        .ok_or_else(|| "the time is no number of seconds".to_owned())
        .and_then(|epoch| time::format(epoch, zone.trim(), format));
    formatted.unwrap_or_else(|error| {
        scope.warn(format!("STRFTIME: {error}"));
        String::new()
    })
}
