//! The Replaces header (RFC 3891): a dialog of ours, named by somebody else.

use std::fmt;

/// The dialog that is to be taken over, seen from the side that is asked: from ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: String,
    /// Our tag.
    pub to_tag: String,
    /// The peer's tag.
    pub from_tag: String,
    /// Only if it is not answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// Parses the value of a header, or of a URI's header with its escapes decoded. None if a part is missing.
    pub fn parse(value: &str) -> Option<Replaces> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|call_id| !call_id.is_empty())?;
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "to-tag" => to_tag = Some(value.trim().to_owned()),
                "from-tag" => from_tag = Some(value.trim().to_owned()),
                "early-only" => early_only = true,
                _ => {}
            }
        }
        Some(Replaces {
            call_id: call_id.to_owned(),
            to_tag: to_tag?,
            from_tag: from_tag?,
            early_only,
        })
    }
}

/// As the value of a header.
impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replaces {
            call_id,
            to_tag,
            from_tag,
            early_only,
        } = self;
        write!(f, "{call_id};to-tag={to_tag};from-tag={from_tag}")?;
        f.write_str(if *early_only { ";early-only" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_names_are_needed() {
        let whole = Replaces {
            call_id: String::from("a@b"),
            to_tag: String::from("1"),
            from_tag: String::from("2"),
            early_only: true,
        };
        let text = "a@b;from-tag=2;To-Tag=1;early-only;x=y";
        assert_eq!(Replaces::parse(text), Some(whole.clone()));
        assert_eq!(Replaces::parse(&whole.to_string()), Some(whole));
        for text in ["", ";to-tag=1;from-tag=2", "a;to-tag=1", "a;from-tag=1"] {
            assert_eq!(Replaces::parse(text), None, "{text}");
        }
    }
}
