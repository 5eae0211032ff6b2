//! The arguments of the applications that mix: `ConfBridge(name)` and `Page(list[,options[,timeout]])`.

use super::DialRequest;
use super::arguments::split;
use super::dial::{targets, timeout};

/// Most targets of one Page: with the caller, as many as a room holds.
pub const PAGED_MAX: usize = 63;

/// The options of Page that are known: letters that stand alone, and those with an argument.
const PAGE_OPTIONS: &str = "bBdinqsA";

/// Reads ConfBridge's expanded arguments.
///
/// # Errors
/// One sentence: what is wrong and what is accepted.
pub(super) fn conference(args: &str) -> Result<String, String> {
    let args = split(args, ',', 4);
    let name = args.first().map_or("", |name| name.trim());
    if name.is_empty() {
        return Err("ConfBridge needs a name, as in ConfBridge(team)".into());
    }
    let has_profiles = args.iter().skip(1).any(|one| !one.trim().is_empty());
    if has_profiles {
        return Err(
            "ConfBridge takes a name alone: profiles and menus are not supported, but Set(CONFBRIDGE(user,startmuted)=yes) is"
                .into(),
        );
    }
    Ok(name.to_owned())
}

/// Reads Page's expanded arguments.
///
/// # Errors
/// One sentence: what is wrong and what is accepted.
pub(super) fn page(args: &str) -> Result<DialRequest, String> {
    let args = split(args, ',', 3);
    let argument = |place: usize| args.get(place).map_or("", String::as_str);
    let options = argument(1).trim();
    if let Some(unknown) = unknown_option(options) {
        return Err(format!(
            "Page: no option '{unknown}'; there are A(x), b(…), B(…), d, i, n, q, s"
        ));
    }
    Ok(DialRequest {
        targets: targets("Page", argument(0), PAGED_MAX)?,
        timeout: timeout(argument(2))?,
        options: options.to_owned(),
    })
}

/// The first letter outside of brackets that is none of Page's.
fn unknown_option(options: &str) -> Option<char> {
    let mut open = 0u32;
    options.chars().find(|c| {
        match c {
            '(' => open += 1,
            ')' => open = open.saturating_sub(1),
            _ => return open == 0 && !PAGE_OPTIONS.contains(*c),
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::dialplan::DialTarget;
    use std::time::Duration;

    #[test]
    fn a_page_has_its_options_before_its_timeout() {
        let request = page("PJSIP/a&PJSIP/b,db(intercom^s^1),10").expect("well formed");
        let names: Vec<&str> = request.targets.iter().map(DialTarget::name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(request.timeout, Some(Duration::from_secs(10)));
        assert!(request.has_option('d') && !request.has_option('q'));
        assert_eq!(request.subroutine('b').as_deref(), Some("intercom,s,1"));
        assert_eq!(page("PJSIP/a,qA(beep),0").map(|it| it.timeout), Ok(None));
    }

    #[test]
    fn what_is_no_page_and_no_conference_is_told() {
        let many = vec!["PJSIP/a"; PAGED_MAX + 1].join("&");
        for args in [
            "",
            "&",
            "6001",
            "PJSIP/a,r",
            "PJSIP/a,d(",
            "PJSIP/a,,x",
            &many,
        ] {
            assert_eq!(page(args).is_err(), args != "PJSIP/a,d(", "{args}");
        }
        assert!(page(&vec!["PJSIP/a"; PAGED_MAX].join("&")).is_ok());
        assert_eq!(conference(" team ,,,"), Ok("team".into()));
        for args in ["", ",", "team,default_bridge", "team,,admin_user"] {
            assert!(conference(args).is_err(), "{args}");
        }
    }
}
