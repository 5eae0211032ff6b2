//! Where Goto and GotoIf go: `[[context,]extension,]priority`, the priority a number, `+n`, `-n` or a label.

/// A parsed target. What is left out stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'t> {
    pub(super) context: Option<&'t str>,
    pub(super) extension: Option<&'t str>,
    pub(super) priority: Priority<'t>,
}

/// A step of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Priority<'t> {
    /// The place of the step, from 1.
    Number(u32),
    /// So many steps on from the one that goes.
    Relative(i32),
    Label(&'t str),
}

impl<'t> Target<'t> {
    /// Reads expanded text.
    ///
    /// # Errors
    /// One sentence: what is wrong and what is accepted.
    pub(super) fn parse(text: &'t str) -> Result<Target<'t>, String> {
        let pieces: Vec<&str> = text.split(',').map(str::trim).collect();
        let given = |piece: &'t str| (!piece.is_empty()).then_some(piece);
        let (context, extension, priority) = match pieces[..] {
            [priority] => (None, None, priority),
            [extension, priority] => (None, given(extension), priority),
            [context, extension, priority] => (given(context), given(extension), priority),
            _ => return Err(format!("'{text}' is not [[context,]extension,]priority")),
        };
        Ok(Target {
            context,
            extension,
            priority: Priority::parse(priority)?,
        })
    }
}

impl<'t> Priority<'t> {
    /// # Errors
    /// One sentence.
    pub(super) fn parse(text: &'t str) -> Result<Priority<'t>, String> {
        let wrong =
            || format!("'{text}' is no priority: expected a number from 1, +n, -n or a label");
        if text.is_empty() {
            return Err(wrong());
        }
        if text.starts_with(['+', '-']) {
            return text.parse().map(Priority::Relative).map_err(|_| wrong());
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| *number > 0);
            return number.map(Priority::Number).ok_or_else(wrong);
        }
        Ok(Priority::Label(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_are_read() {
        let target = |context, extension, priority| Target {
            context,
            extension,
            priority,
        };
        for (text, expected) in [
            ("1", target(None, None, Priority::Number(1))),
            ("+1", target(None, None, Priority::Relative(1))),
            ("-2", target(None, None, Priority::Relative(-2))),
            ("again", target(None, None, Priority::Label("again"))),
            ("100,1", target(None, Some("100"), Priority::Number(1))),
            (
                "100, again",
                target(None, Some("100"), Priority::Label("again")),
            ),
            (
                "ivr,s,1",
                target(Some("ivr"), Some("s"), Priority::Number(1)),
            ),
            ("ivr,,1", target(Some("ivr"), None, Priority::Number(1))),
        ] {
            assert_eq!(Target::parse(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "a,", "a,b,c,d", "+", "+x", "99999999999"] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }
}
