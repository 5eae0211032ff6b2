//! The configurations that come with Ringway, and the one of its documentation, from text to compiled dialplan.

use ringway::config::settings::Settings;
use ringway::config::{DEFAULT_NAME, DEFAULT_TEXT, Loaded, Lookup, NoLookup, lines, parse};
use ringway::control::dialplan::Dialplan;
use std::path::Path;

/// The configuration, which must have no error.
fn load(name: &str, text: &str, lookup: &dyn Lookup) -> Loaded {
    match parse(name, text, lookup) {
        Ok(loaded) => loaded,
        Err(error) => panic!("{error}"),
    }
}

/// The findings of the dialplan's compiler, warnings as well.
fn dialplan_findings(name: &str, settings: &Settings) -> String {
    let is_dialable = |target: &str| {
        settings.endpoints.iter().any(|e| e.name == target)
            || settings.trunk_groups.contains_key(target)
    };
    match Dialplan::compile(&settings.dialplan, &is_dialable) {
        Ok((_, found)) | Err(found) => lines(name, &found),
    }
}

#[test]
fn what_ringway_ships_passes_without_a_warning() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut texts = vec![(DEFAULT_NAME.to_owned(), DEFAULT_TEXT.to_owned())];
    for entry in std::fs::read_dir(&examples).expect("config/examples") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("an example");
        texts.push((path.display().to_string(), text));
    }
    assert!(texts.len() > 1, "there are examples");
    for (name, text) in texts {
        let loaded = load(&name, &text, &NoLookup);
        assert_eq!(lines(&name, &loaded.warnings), "");
        assert_eq!(dialplan_findings(&name, &loaded.settings), "");
    }
}

/// The secrets that the documented configuration names.
struct Secrets;

impl Lookup for Secrets {
    fn env(&self, _name: &str) -> Option<String> {
        None
    }

    fn file_first_line(&self, path: &str) -> Result<String, String> {
        match path {
            "telekom.secret" => Ok(String::from("a:b@c")),
            _ => Err(String::from("no such file")),
        }
    }
}

#[test]
fn the_documented_configuration_loads_with_warnings_only() {
    let text = include_str!("configurations/documented.toml");
    let loaded = load("documented.toml", text, &Secrets);
    let settings = loaded.settings;

    let told: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| format!("{}: {}", warning.key, warning.message))
        .collect();
    let no_effect = [
        "endpoint.6001.mailboxes",
        "context.from-home.hint",
        "queue",
        "voicemail",
    ];
    for key in no_effect {
        let expected = format!("{key}: accepted, no effect in this version");
        assert!(
            told.iter().any(|line| line.starts_with(&expected)),
            "{key} in {told:#?}"
        );
    }

    let endpoint = |name: &str| {
        let found = settings.endpoints.iter().find(|e| e.name == name);
        found.expect("the endpoint")
    };
    let phone = endpoint("6001");
    assert_eq!(phone.context, "from-home", "from its template");
    assert_eq!(
        phone.auth.as_ref().map(|auth| auth.username.as_str()),
        Some("6001")
    );
    let trunk = endpoint("telekom_out");
    assert_eq!(trunk.contacts.len(), 1);
    let password = trunk
        .outbound_auth
        .as_ref()
        .map(|auth| auth.password.0.as_str());
    assert_eq!(password, Some("a:b@c"), "from its file");
    assert_eq!(settings.trunk_groups["out"].members.len(), 3);
    assert_eq!(settings.trunk_groups["out"].members[1].weight, 30);
    assert_eq!(settings.rtp.cores, [1]);
    let home = settings
        .dialplan
        .contexts
        .iter()
        .find(|c| c.name == "from-home");
    let patterns = home.map(|c| {
        c.extensions
            .iter()
            .map(|e| e.pattern.as_str())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        patterns,
        Some(vec!["${LOCAL_EXTS}", "*99", "_NXXNXXXXXX"]),
        "in the order of the file"
    );
}
