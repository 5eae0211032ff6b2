//! Rows that are made from the configuration rather than from running state.

use crate::config::settings::DialplanSource;
use serde::{Deserialize, Serialize};

/// One extension of the dialplan (`show dialplan`, `GET /api/v1/dialplan`), or one `include` of a context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialplanRow {
    /// The context.
    pub context: String,
    /// The extension or pattern as written; None for an include.
    pub extension: Option<String>,
    /// Its steps in order; for an include, the one context that is searched next.
    pub steps: Vec<String>,
}

/// The dialplan as written, or one context of it: extensions in their order, then the includes.
pub fn dialplan(source: &DialplanSource, context: Option<&str>) -> Vec<DialplanRow> {
    let wanted = |name: &str| context.is_none_or(|context| context == name);
    let mut rows = Vec::new();
    for context in source
        .contexts
        .iter()
        .filter(|context| wanted(&context.name))
    {
        rows.extend(context.extensions.iter().map(|extension| {
            DialplanRow {
                context: context.name.clone(),
                extension: Some(extension.pattern.clone()),
                steps: extension
                    .steps
                    .iter()
                    .map(|(step, _)| step.clone())
                    .collect(),
            }
        }));
        rows.extend(context.include.iter().map(|(name, _)| DialplanRow {
            context: context.name.clone(),
            extension: None,
            steps: vec![name.clone()],
        }));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Location;
    use crate::config::settings::{ContextSource, ExtensionSource};

    fn context(name: &str, include: &[&str]) -> ContextSource {
        let at = Location::default();
        ContextSource {
            name: name.into(),
            location: at,
            include: include
                .iter()
                .map(|name| (String::from(*name), at))
                .collect(),
            hints: vec![],
            extensions: vec![ExtensionSource {
                pattern: "_X.".into(),
                location: at,
                steps: vec![("Answer()".into(), at), ("Echo()".into(), at)],
            }],
        }
    }

    #[test]
    fn one_context_or_all_with_their_includes() {
        let source = DialplanSource {
            globals: vec![],
            contexts: vec![context("a", &["b"]), context("b", &[])],
        };
        let rows = dialplan(&source, Some("a"));
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].extension.as_deref(), Some("_X."));
        assert_eq!(rows[0].steps, ["Answer()", "Echo()"]);
        assert_eq!(
            (&rows[1].extension, &rows[1].steps[..]),
            (&None, &[String::from("b")][..])
        );
        assert_eq!(dialplan(&source, None).len(), 3);
        assert!(dialplan(&source, Some("c")).is_empty());
    }
}
