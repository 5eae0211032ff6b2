//! The arguments of Dial: `technology/resource[&…][,timeout[,options]]`.
//!
//! Resources: `PJSIP/endpoint`, `PJSIP/number@endpoint`, `PJSIP/endpoint/number`, `PJSIP/endpoint/sip:number@host`;
//! `SIP/` is read as `PJSIP/`, and so is `number@endpoint` with no technology. Technology names are case-insensitive.

use super::arguments::split;
use super::{DialRequest, DialTarget};
use std::time::Duration;

/// The most targets of one Dial; a longer list is an error.
pub const TARGETS_MAX: usize = 64;
/// The longest timeout and wait, in seconds: what is longer is taken as this.
pub(super) const SECONDS_MAX: f64 = 86_400.0 * 365.0;

impl DialTarget {
    /// The endpoint or trunk group that it goes to.
    pub fn name(&self) -> &str {
        match self {
            DialTarget::Endpoint { name }
            | DialTarget::Number { name, .. }
            | DialTarget::Uri { name, .. } => name,
        }
    }
}

impl DialTarget {
    /// What stands behind the technology: `6001`, `123@trunk`.
    pub fn resource(&self) -> String {
        match self {
            DialTarget::Endpoint { name } => name.clone(),
            DialTarget::Number { name, number } => format!("{number}@{name}"),
            DialTarget::Uri { name, uri } => format!("{name}/{uri}"),
        }
    }
}

impl DialRequest {
    /// Whether the options have this letter, outside of the arguments of others (`m(class)`).
    pub fn has_option(&self, letter: char) -> bool {
        option(&self.options, letter).is_some()
    }

    /// The argument of this option; None without the option, empty without an argument.
    pub fn option(&self, letter: char) -> Option<&str> {
        option(&self.options, letter)
    }

    /// The Gosub that this option names (`b`, `B`), whose arguments stand between `^`.
    pub fn subroutine(&self, letter: char) -> Option<String> {
        subroutine(&self.options, letter)
    }

    /// How long the call may last once it is answered: `L(milliseconds[:…])`, or `S(seconds)`. The warnings of `L` need
    /// audio that is not there yet.
    pub fn limit(&self) -> Option<Duration> {
        let limit = self.option('L').and_then(|limit| {
            let milliseconds = limit.split(':').next().unwrap_or_default();
            milliseconds.trim().parse().ok().map(Duration::from_millis)
        });
        let limit = limit.or_else(|| seconds(self.option('S')?));
        limit.filter(|limit| !limit.is_zero())
    }
}

/// The argument of an option, as in [`DialRequest::option`].
pub(super) fn option(options: &str, letter: char) -> Option<&str> {
    let mut open = 0u32;
    let at = options.char_indices().find_map(|(at, c)| {
        match c {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => return (open == 0 && c == letter).then_some(at + c.len_utf8()),
        }
        None
    })?;
    let Some(rest) = options[at..].strip_prefix('(') else {
        return Some("");
    };
    let mut open = 1u32;
    let end = rest.find(|c| {
        open = match c {
            '(' => open + 1,
            ')' => open - 1,
            _ => open,
        };
        open == 0
    });
    Some(end.map_or(rest, |end| &rest[..end]))
}

/// As [`DialRequest::subroutine`].
pub(super) fn subroutine(options: &str, letter: char) -> Option<String> {
    let text = option(options, letter)?;
    (!text.trim().is_empty()).then(|| text.replace('^', ","))
}

/// Reads Dial's expanded arguments.
///
/// # Errors
/// One sentence: what is wrong and what is accepted.
pub(super) fn parse(args: &str) -> Result<DialRequest, String> {
    let args = split(args, ',', 3);
    let argument = |place: usize| args.get(place).map_or("", String::as_str);
    Ok(DialRequest {
        targets: targets("Dial", argument(0), TARGETS_MAX)?,
        timeout: timeout(argument(1))?,
        options: argument(2).to_owned(),
    })
}

/// The targets of a list, at most so many.
///
/// # Errors
/// One sentence: what is wrong and what is accepted.
pub(super) fn targets(
    application: &str,
    list: &str,
    targets_max: usize,
) -> Result<Vec<DialTarget>, String> {
    if list.trim().is_empty() {
        return Err(format!(
            "{application} needs something to dial, as in {application}(PJSIP/endpoint)"
        ));
    }
    let targets = list.split('&').map(str::trim).filter(|one| !one.is_empty());
    let targets = targets.map(target).collect::<Result<Vec<_>, _>>()?;
    if targets.is_empty() || targets.len() > targets_max {
        return Err(format!("{application} takes 1 to {targets_max} targets"));
    }
    Ok(targets)
}

/// A time limit; None for none, which 0 is to Asterisk, too.
///
/// # Errors
/// One sentence: it is no number.
pub(super) fn timeout(text: &str) -> Result<Option<Duration>, String> {
    let timeout = match text.trim() {
        "" => None,
        text => Some(
            seconds(text).ok_or_else(|| format!("the timeout '{text}' is no number of seconds"))?,
        ),
    };
    Ok(timeout.filter(|timeout| !timeout.is_zero()))
}

/// A time in seconds, decimals allowed, from 0.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}

/// Reads one resource.
///
/// # Errors
/// One sentence: what is wrong and what is accepted.
pub(super) fn target(text: &str) -> Result<DialTarget, String> {
    let resource = match text.split_once('/') {
        Some((technology, resource)) if is_technology(technology) => resource,
        None if text.contains('@') => text,
        _ => {
            return Err(format!(
                "'{text}' is not PJSIP/endpoint, PJSIP/number@endpoint, PJSIP/endpoint/number or PJSIP/endpoint/sip:number@host"
            ));
        }
    };
    let target = match resource.split_once('/') {
        Some((name, uri)) if is_uri(uri) => DialTarget::Uri {
            name: name.to_owned(),
            uri: uri.to_owned(),
        },
        Some((name, number)) => DialTarget::Number {
            name: name.to_owned(),
            number: number.to_owned(),
        },
        None => match resource.rsplit_once('@') {
            Some((number, name)) => DialTarget::Number {
                name: name.to_owned(),
                number: number.to_owned(),
            },
            None => DialTarget::Endpoint {
                name: resource.to_owned(),
            },
        },
    };
    let is_whole = match &target {
        DialTarget::Endpoint { name } => !name.is_empty(),
        DialTarget::Number { name, number } => !name.is_empty() && !number.is_empty(),
        DialTarget::Uri { name, .. } => !name.is_empty(),
    };
    if is_whole {
        Ok(target)
    } else {
        Err(format!("'{text}' leaves out the endpoint or the number"))
    }
}

fn is_technology(text: &str) -> bool {
    text.eq_ignore_ascii_case("PJSIP") || text.eq_ignore_ascii_case("SIP")
}

fn is_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    ["sip", "sips", "tel"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> DialTarget {
        DialTarget::Endpoint { name: name.into() }
    }

    fn number(number: &str, name: &str) -> DialTarget {
        DialTarget::Number {
            name: name.into(),
            number: number.into(),
        }
    }

    fn uri(name: &str, uri: &str) -> DialTarget {
        DialTarget::Uri {
            name: name.into(),
            uri: uri.into(),
        }
    }

    #[test]
    fn all_forms_are_read() {
        let seconds = |n| Some(Duration::from_secs_f64(n));
        for (args, targets, timeout, options) in [
            ("PJSIP/6001", vec![endpoint("6001")], None, ""),
            ("PJSIP/6001,30", vec![endpoint("6001")], seconds(30.0), ""),
            (
                "pjsip/6001,2.5,tT",
                vec![endpoint("6001")],
                seconds(2.5),
                "tT",
            ),
            ("PJSIP/6001,,m(a,b)", vec![endpoint("6001")], None, "m(a,b)"),
            ("PJSIP/6001,0", vec![endpoint("6001")], None, ""),
            (
                "PJSIP/telekom_out/sip:030123@tel.t-online.de,60",
                vec![uri("telekom_out", "sip:030123@tel.t-online.de")],
                seconds(60.0),
                "",
            ),
            (
                "PJSIP/+12025550123@voipms",
                vec![number("+12025550123", "voipms")],
                None,
                "",
            ),
            (
                "PJSIP/provider/1800,60",
                vec![number("1800", "provider")],
                seconds(60.0),
                "",
            ),
            ("SIP/1800@trunk", vec![number("1800", "trunk")], None, ""),
            ("SIP/1000", vec![endpoint("1000")], None, ""),
            (
                "18002223333@flowroute",
                vec![number("18002223333", "flowroute")],
                None,
                "",
            ),
            (
                "PJSIP/a&SIP/b & PJSIP/1@c&,20",
                vec![endpoint("a"), endpoint("b"), number("1", "c")],
                seconds(20.0),
                "",
            ),
        ] {
            let expected = DialRequest {
                targets,
                timeout,
                options: options.into(),
            };
            assert_eq!(parse(args), Ok(expected), "{args}");
        }
    }

    #[test]
    fn options_are_letters_with_arguments() {
        let request = parse("PJSIP/a,,m(it)b(c^i)T").expect("it is well formed");
        assert!(request.has_option('m') && request.has_option('T'));
        assert!(!request.has_option('i') && !request.has_option('t'));
    }

    #[test]
    fn what_cannot_be_dialled_is_told() {
        for args in [
            "",
            ",30",
            "&",
            "6001",
            "DAHDI/1",
            "PJSIP/",
            "PJSIP/@a",
            "PJSIP/1@",
            "PJSIP//1",
            "PJSIP/a/",
            "PJSIP/a,x",
            "PJSIP/a,-1",
            "PJSIP/a,nan",
        ] {
            assert!(parse(args).is_err(), "{args}");
        }
        assert!(parse(&vec!["PJSIP/a"; TARGETS_MAX + 1].join("&")).is_err());
    }
}
