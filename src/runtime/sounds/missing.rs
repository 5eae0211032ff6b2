//! Announcements that the dialplan names, and music, that are not there: told when a configuration is read, so that nobody finds
//! out by a silent call.

use super::library::music_files;
use super::search::announcement;
use crate::config::Diagnostic;
use crate::config::settings::{MUSIC_CLASS_DEFAULT, MusicSource, Sounds};
use crate::control::dialplan::Announcement;
use crate::control::setup::Setup;
use crate::link::Rate;
use std::collections::BTreeSet;
use std::path::Path;

/// A warning for each announcement that the dialplan names in plain text and that is there in no language of the
/// configuration, each name once; a single one if there is no directory of announcements at all.
pub fn missing_announcements(setup: &Setup) -> Vec<Diagnostic> {
    let settings = setup.settings();
    let spoken = settings.endpoints.iter().map(|one| &one.language[..]);
    let languages: BTreeSet<&str> = spoken.chain([&settings.sounds.language[..]]).collect();
    missing(
        &settings.sounds,
        &languages,
        setup.dialplan().announcements(),
    )
}

/// A warning for each configured music class of which nothing can be played, and for each endpoint that suggests one that
/// is not configured.
pub fn missing_music(setup: &Setup) -> Vec<Diagnostic> {
    let sounds = &setup.settings().sounds;
    let endpoints = setup.settings().endpoints.iter();
    let is_known = |class: &str| class == MUSIC_CLASS_DEFAULT || sounds.music.contains_key(class);
    let unknown = endpoints.filter(|endpoint| !is_known(&endpoint.moh_suggest));
    let unknown = unknown.map(|endpoint| {
        let class = &endpoint.moh_suggest;
        let message =
            format!("there is no [musiconhold.{class}], so whom it puts on hold hears silence");
        let key = format!("endpoint.{}.moh_suggest", endpoint.name);
        Diagnostic::warning(endpoint.location, key, message)
    });
    let classes = sounds.music.iter();
    let silent = classes.filter(|(_, class)| music_files(sounds, class, Rate::Narrow).is_empty());
    silent
        .map(|(name, class)| {
            let (key, whence) = match &class.source {
                MusicSource::Directory(directory) => ("directory", directory.display().to_string()),
                MusicSource::Files(names) => ("files", names.join(", ")),
            };
            let key = format!("musiconhold.{name}.{key}");
            let message = format!("nothing in {whence} can be played, so this class is silent");
            Diagnostic::warning(class.location, key, message)
        })
        .chain(unknown)
        .collect()
}

fn missing(sounds: &Sounds, languages: &BTreeSet<&str>, named: &[Announcement]) -> Vec<Diagnostic> {
    let directory = &sounds.directory;
    let has_directory = directory.is_dir();
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    let below = |one: &&Announcement| !Path::new(&one.name).is_absolute();
    if !has_directory && let Some(first) = named.iter().find(below) {
        let message = format!(
            "{} is no directory, so '{}' and all other announcements of the dialplan are left out; expected the \
             directory of the announcements (Debian: asterisk-core-sounds-en-wav)",
            directory.display(),
            first.name
        );
        found.push(Diagnostic::warning(
            first.location,
            "sounds.directory",
            message,
        ));
    }
    for one in named.iter().filter(|one| has_directory || !below(one)) {
        let own = one.language.as_deref();
        let is_there =
            |language| !announcement(directory, language, &one.name, Rate::Narrow).is_empty();
        let is_found = match own {
            Some(language) => is_there(language),
            None => languages.iter().any(|language| is_there(language)),
        };
        if !is_found && told.insert((&one.name, own)) {
            let spoken = own.map_or_else(
                || Vec::from_iter(languages.iter().copied()),
                |own| vec![own],
            );
            let message = format!(
                "no announcement '{}' below {} (language {}): it is left out of the call",
                one.name,
                directory.display(),
                spoken.join(", ")
            );
            found.push(Diagnostic::warning(one.location, &one.key[..], message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Location, NoLookup, parse};

    fn warnings(directory: &Path, steps: &str) -> Vec<String> {
        let text = format!(
            "[transport.udp]\nprotocol = \"udp\"\nbind = \"127.0.0.1:5060\"\n\n\
             [endpoint.a]\nlanguage = \"de\"\naor = {{ contact = [\"sip:192.0.2.1\"] }}\n\n\
             [sounds]\ndirectory = \"{}\"\n\n[context.default.exten]\n1 = [{steps}]\n",
            directory.display()
        );
        let loaded = parse("test", &text, &NoLookup).expect("a good configuration");
        let (setup, _) = Setup::build(loaded.settings).expect("a good dialplan");
        let found = missing_announcements(&setup);
        assert!(found.iter().all(|one| one.location > Location::default()));
        let texts = found.iter().map(|one| one.display("f").to_string());
        texts.collect()
    }

    fn shelf(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            std::fs::write(path, "x").expect("written");
        }
        root
    }

    #[test]
    fn each_name_that_is_nowhere_is_told_once() {
        let root = shelf(&[
            "en/there.wav",
            "de/german.gsm",
            "fr/french.wav",
            "bare.g722",
            "en/digits/1.wav",
        ]);
        let quiet = |steps: &str| {
            assert_eq!(
                warnings(root.path(), steps),
                Vec::<String>::new(),
                "{steps}"
            )
        };
        quiet(r#""Playback(there&german&bare)""#);
        quiet(
            r#""Background(french,,fr)", "Read(PIN,there,4)", "Read(PIN,dial,4,i)", "SayDigits(1)""#,
        );
        quiet(
            r#""Playback(${X}&pre${X})", "Background(nothing,,${X})", "Record(a.wav,,,q)", "SayDigits(${X})""#,
        );
        let found = warnings(
            root.path(),
            r#""Playback(gone&there)", "Background(french)", "Playback(gone)", "SayNumber(2)", "Record(a.wav)", "Playback(/no/such)""#,
        );
        let names = ["gone", "french", "digits/2", "beep", "/no/such"];
        assert_eq!(found.len(), names.len(), "{found:?}");
        for (line, name) in found.iter().zip(names) {
            assert!(
                line.contains(&format!("no announcement '{name}'")),
                "{line}"
            );
            assert!(
                line.contains(" warning: context.default.exten.1: "),
                "{line}"
            );
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told_once() {
        let root = shelf(&[]);
        let nowhere = root.path().join("none");
        let found = warnings(
            &nowhere,
            r#""Playback(one&two)", "Playback(three)", "Playback(/no/such)""#,
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains(" warning: sounds.directory: "),
            "{found:?}"
        );
        assert!(found[1].contains("/no/such"), "{found:?}");
        assert!(warnings(&nowhere, r#""Wait(1)""#).is_empty());
    }

    #[test]
    fn a_music_class_without_music_is_told_and_one_of_announcements_is_found_as_those_are() {
        let root = shelf(&["de/song.wav", "bare.wav", "moh/a.wav", "none/notes.txt"]);
        let root = root.path().display();
        let text = format!(
            "[transport.udp]\nprotocol = \"udp\"\nbind = \"127.0.0.1:5060\"\n\n\
             [sounds]\ndirectory = \"{root}\"\nlanguage = \"de\"\n\n\
             [musiconhold.default]\ndirectory = \"{root}/nowhere\"\n\
             [musiconhold.empty]\ndirectory = \"{root}/none\"\n\
             [musiconhold.gone]\nfiles = [\"gone\"]\n\
             [musiconhold.good]\ndirectory = \"{root}/moh\"\n\
             [musiconhold.spoken]\nfiles = [\"song\", \"bare\"]\n\
             [endpoint.a]\nmoh_suggest = \"jazz\"\n\
             [endpoint.b]\nmoh_suggest = \"good\"\n\
             [context.default.exten]\n1 = [\"Hangup()\"]\n"
        );
        let loaded = parse("test", &text, &NoLookup).expect("a good configuration");
        let (setup, _) = Setup::build(loaded.settings).expect("a good dialplan");
        let found = missing_music(&setup);
        let keys: Vec<&str> = found.iter().map(|one| &one.key[..]).collect();
        let expected = [
            "musiconhold.default.directory",
            "musiconhold.empty.directory",
            "musiconhold.gone.files",
            "endpoint.a.moh_suggest",
        ];
        assert_eq!(keys, expected);
        assert!(found.iter().all(|one| one.location > Location::default()));
        let sounds = &setup.settings().sounds;
        let spoken = music_files(sounds, &sounds.music["spoken"], Rate::Narrow);
        assert_eq!(spoken.len(), 2, "in its language, and outside any");
    }
}
