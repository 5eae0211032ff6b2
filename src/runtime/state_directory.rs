//! Where what outlives a restart is kept.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The configured directory; else that of the environment: `$STATE_DIRECTORY` (systemd's `StateDirectory=`),
/// `$XDG_STATE_HOME/ringway`, `~/.local/state/ringway`, and in place of that last one `/var/lib/ringway` for root. None if nothing tells.
pub fn choose(configured: Option<&Path>) -> Option<PathBuf> {
    let is_root = nix::unistd::geteuid().is_root();
    choose_from(configured, is_root, |name| std::env::var_os(name))
}

fn choose_from(
    configured: Option<&Path>,
    is_root: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    if let Some(directory) = configured {
        return Some(directory.to_owned());
    }
    if let Some(directories) = variable("STATE_DIRECTORY") {
        // systemd gives a list with colons where the unit names several.
        return std::env::split_paths(&directories).next();
    }
    if let Some(home) = variable("XDG_STATE_HOME") {
        return Some(PathBuf::from(home).join("ringway"));
    }
    if is_root {
        return Some(PathBuf::from("/var/lib/ringway"));
    }
    variable("HOME").map(|home| PathBuf::from(home).join(".local/state/ringway"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_counts() {
        let all = [
            ("STATE_DIRECTORY", "/var/lib/ringway:/var/lib/other"),
            ("XDG_STATE_HOME", "/state"),
            ("HOME", "/home/me"),
        ];
        let choose = |configured: Option<&str>, known: &[(&str, &str)], is_root| {
            let variable = |name: &str| {
                let found = known.iter().find(|(other, _)| *other == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let chosen = choose_from(configured.map(Path::new), is_root, variable);
            chosen.map(|path| path.to_string_lossy().into_owned())
        };
        assert_eq!(choose(Some("/here"), &all, true).as_deref(), Some("/here"));
        assert_eq!(
            choose(None, &all, false).as_deref(),
            Some("/var/lib/ringway")
        );
        assert_eq!(
            choose(None, &all[1..], true).as_deref(),
            Some("/state/ringway")
        );
        assert_eq!(
            choose(None, &all[2..], true).as_deref(),
            Some("/var/lib/ringway")
        );
        assert_eq!(
            choose(None, &all[2..], false).as_deref(),
            Some("/home/me/.local/state/ringway")
        );
        assert_eq!(choose(None, &[("HOME", "")], false), None);
    }
}
