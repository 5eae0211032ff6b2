//! The call as the dialplan's functions see it: CALLERID, CHANNEL, CONFBRIDGE, PJSIP_HEADER.

use super::Facts;
use super::identity::diversion::Diversion;
use super::identity::headers::AddedHeaders;
use crate::config::settings::Presentation;
use crate::control::dialplan::Channel;
use crate::sip::message::Headers;

/// See the module's comment.
pub(super) struct CallChannel<'a> {
    /// Who calls, and whom.
    pub facts: &'a mut Facts,
    /// The headers of the caller's INVITE. None if it sent none.
    pub invite: Option<&'a Headers>,
    /// What it puts on the INVITEs that it sends.
    pub added: &'a mut AddedHeaders,
    /// Seconds since 1970.
    pub epoch: u64,
}

impl Channel for CallChannel<'_> {
    fn function(&self, name: &str, args: &str) -> Option<String> {
        match name {
            "CALLERID" => Some(self.caller_id(args)),
            "CHANNEL" => self.own(args),
            "PJSIP_HEADER" => Some(self.header(args)),
            _ => None,
        }
    }

    fn set_function(&mut self, name: &str, args: &str, value: &str) -> bool {
        match name {
            "CALLERID" => self.set_caller_id(args, value),
            "CHANNEL" => self.set_own(args, value),
            "CONFBRIDGE" => self.set_wish(args, value),
            "PJSIP_HEADER" => self.set_header(args, value),
            _ => false,
        }
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl CallChannel<'_> {
    fn caller_id(&self, part: &str) -> String {
        let facts = &self.facts;
        match part.trim().to_ascii_lowercase().as_str() {
            "num" | "number" => facts.caller.clone(),
            "name" => facts.caller_name.clone(),
            "all" => format!("\"{}\" <{}>", facts.caller_name, facts.caller),
            "ani" | "ani-num" => facts.ani.clone(),
            "dnid" | "dnid-num" => facts.called.clone(),
            "rdnis" => {
                let last = facts.diversions.first();
                last.map(|last| last.number.clone()).unwrap_or_default()
            }
            "pres" | "num-pres" | "name-pres" => facts.presentation.as_str().to_owned(),
            _ => String::new(),
        }
    }

    fn set_caller_id(&mut self, part: &str, value: &str) -> bool {
        let facts = &mut *self.facts;
        match part.trim().to_ascii_lowercase().as_str() {
            "num" | "number" => facts.caller = value.to_owned(),
            "name" => facts.caller_name = value.to_owned(),
            "all" => (facts.caller_name, facts.caller) = split_caller_id(value),
            "ani" | "ani-num" => facts.ani = value.to_owned(),
            "dnid" | "dnid-num" => facts.called = value.to_owned(),
            "rdnis" => match facts.diversions.first_mut() {
                _ if value.is_empty() => facts.diversions.clear(),
                Some(last) => last.number = value.to_owned(),
                None => facts.diversions.push(Diversion::by(value)),
            },
            "pres" | "num-pres" | "name-pres" => match Presentation::of_name(value) {
                Some(presentation) => facts.presentation = presentation,
                None => return false,
            },
            _ => return false,
        }
        true
    }

    fn own(&self, item: &str) -> Option<String> {
        let manner = &self.facts.manner;
        match item.trim().to_ascii_lowercase().as_str() {
            "language" => Some(manner.language.clone()),
            "tonezone" => Some(manner.tone_zone.clone()),
            "musicclass" => Some(manner.music_class.clone().unwrap_or_default()),
            _ => None,
        }
    }

    fn set_own(&mut self, item: &str, value: &str) -> bool {
        let manner = &mut self.facts.manner;
        match item.trim().to_ascii_lowercase().as_str() {
            "language" => value.clone_into(&mut manner.language),
            "tonezone" => value.clone_into(&mut manner.tone_zone),
            "musicclass" => {
                manner.music_class = (!value.is_empty()).then(|| value.to_owned());
            }
            _ => return false,
        }
        true
    }

    /// `Set(CONFBRIDGE(user,OPTION)=yes)`: how the caller wants to be in a conference.
    fn set_wish(&mut self, args: &str, value: &str) -> bool {
        let wish = &mut self.facts.manner.conference;
        let Some((_, option)) = args
            .split_once(',')
            .filter(|(kind, _)| kind.trim() == "user")
        else {
            return false;
        };
        let is_on = matches!(
            value.trim().to_ascii_lowercase().as_str(),
            "yes" | "true" | "y" | "t" | "1" | "on"
        );
        match option.trim() {
            "startmuted" => wish.muted = is_on,
            "music_on_hold_when_empty" => wish.music_when_alone = is_on,
            _ => return false,
        }
        true
    }

    /// `PJSIP_HEADER(read,NAME[,NUMBER])`: of the INVITE that came. Empty if it has none.
    fn header(&self, args: &str) -> String {
        let args = HeaderArgs::parse(args);
        if !args.action.eq_ignore_ascii_case("read") {
            return String::new();
        }
        let Some(invite) = self.invite else {
            return String::new();
        };
        let mut lines = invite.lines(args.name);
        let line = lines.nth(args.number.saturating_sub(1));
        line.unwrap_or_default().to_owned()
    }

    /// `Set(PJSIP_HEADER(add|update|remove,NAME[,NUMBER])=VALUE)`: on the INVITEs that go out.
    fn set_header(&mut self, args: &str, value: &str) -> bool {
        let args = HeaderArgs::parse(args);
        match args.action.to_ascii_lowercase().as_str() {
            "add" => self.added.add(args.name, value),
            "update" => self.added.update(args.name, args.number, value),
            "remove" => self.added.remove(args.name) > 0,
            _ => false,
        }
    }
}

/// `ACTION,NAME[,NUMBER]`
struct HeaderArgs<'a> {
    action: &'a str,
    name: &'a str,
    /// From 1.
    number: usize,
}

impl HeaderArgs<'_> {
    fn parse(args: &str) -> HeaderArgs<'_> {
        let mut parts = args.split(',').map(str::trim);
        HeaderArgs {
            action: parts.next().unwrap_or(""),
            name: parts.next().unwrap_or(""),
            number: parts.next().and_then(|n| n.parse().ok()).unwrap_or(1),
        }
    }
}

/// `"Name" <number>`, `Name <number>`, `<number>` or `number`.
fn split_caller_id(text: &str) -> (String, String) {
    match text.split_once('<') {
        Some((name, number)) => {
            let name = name.trim().trim_matches('"');
            let number = number.trim().trim_end_matches('>');
            (name.to_owned(), number.to_owned())
        }
        None => (String::new(), text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_id_is_a_name_and_a_number() {
        for (text, name, number) in [
            ("\"Living Room\" <6001>", "Living Room", "6001"),
            ("Intercom <5>", "Intercom", "5"),
            ("<5>", "", "5"),
            ("4930123456", "", "4930123456"),
            ("Broken <5", "Broken", "5"),
        ] {
            assert_eq!(split_caller_id(text), (name.to_owned(), number.to_owned()));
        }
    }
}
