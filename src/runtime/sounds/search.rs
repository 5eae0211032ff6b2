//! Where the file of a sound is: by its name and language, as Asterisk looks for it, in the best format for a rate.

use crate::link::Rate;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

/// The endings of files that can be read, the best first for 8 kHz. Those of 16 kHz lose nothing that is heard, but have
/// to be resampled; GSM is the worst to hear.
const NARROW: [&str; 13] = [
    "wav", "sln", "ulaw", "ul", "pcm", "alaw", "al", "sln16", "wav16", "g722", "WAV", "wav49",
    "gsm",
];
/// The same for 16 kHz.
const WIDE: [&str; 13] = [
    "sln16", "wav16", "g722", "wav", "sln", "ulaw", "ul", "pcm", "alaw", "al", "WAV", "wav49",
    "gsm",
];

/// Most files of a music class; further ones are left out.
pub(super) const MUSIC_FILES_MAX: usize = 1000;

/// A file as it was when it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) path: PathBuf,
    modified: Option<SystemTime>,
    pub(super) bytes: u64,
}

impl Stamp {
    /// None if it is no file.
    fn of(path: PathBuf) -> Option<Stamp> {
        let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some(Stamp {
            modified: found.modified().ok(),
            bytes: found.len(),
            path,
        })
    }
}

/// The endings to look for.
fn endings(rate: Rate) -> &'static [&'static str] {
    match rate {
        Rate::Narrow => &NARROW,
        Rate::Wide => &WIDE,
    }
}

/// The files that may be meant by a name, the best first. A name that leads upwards means none.
pub(super) fn announcement(root: &Path, language: &str, name: &str, rate: Rate) -> Vec<Stamp> {
    if !is_safe(name) || !is_safe(language) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for stem in stems(root, language, name) {
        found.extend(formats(&stem, rate));
        if !found.is_empty() {
            break;
        }
    }
    found
}

/// The formats that a file is there in.
fn formats(stem: &Path, rate: Rate) -> impl Iterator<Item = Stamp> {
    endings(rate).iter().filter_map(move |ending| {
        let mut path = stem.as_os_str().to_owned();
        path.push(".");
        path.push(ending);
        Stamp::of(PathBuf::from(path))
    })
}

/// A name has folders and no way up; `language` is one of those.
fn is_safe(name: &str) -> bool {
    !name.contains('\0')
        && Path::new(name)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::RootDir))
}

/// Where the name may stand, without its ending: in the folder of the language (`en_US`, then `en`), then outside any.
/// One with a whole path has the folder of its language beside it.
fn stems(root: &Path, language: &str, name: &str) -> Vec<PathBuf> {
    let mut languages: Vec<&str> = Vec::new();
    let mut shorter = Some(language);
    while let Some(one) = shorter.filter(|one| !one.is_empty()) {
        languages.push(one);
        shorter = one.rsplit_once('_').map(|(front, _)| front);
    }
    let whole = Path::new(name);
    let (folder, file) = match (whole.is_absolute(), whole.parent(), whole.file_name()) {
        (true, Some(parent), Some(file)) => (parent, Path::new(file)),
        _ => (root, whole),
    };
    let spoken = languages.iter().map(|one| folder.join(one).join(file));
    spoken.chain([folder.join(file)]).collect()
}

/// What can be played in a directory, by name, each piece in its best format only.
pub(super) fn music_in(directory: &Path, rate: Rate) -> Vec<Stamp> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut stems: Vec<PathBuf> = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let ending = path.extension().and_then(|ending| ending.to_str());
        let is_hidden = path.file_name().is_none_or(|name| {
            let name = name.as_encoded_bytes();
            name.starts_with(b".")
        });
        if !is_hidden && ending.is_some_and(|ending| NARROW.contains(&ending)) {
            stems.push(path.with_extension(""));
        }
    }
    stems.sort();
    stems.dedup();
    stems.truncate(MUSIC_FILES_MAX);
    stems
        .iter()
        .filter_map(|stem| formats(stem, rate).next())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], language: &str, name: &str, rate: Rate) -> Vec<String> {
        let root = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, "x").expect("written");
        }
        let below = |stamp: Stamp| {
            let path = stamp.path.strip_prefix(root.path()).expect("below");
            path.to_string_lossy().into_owned()
        };
        let name = name.replace("ROOT", &root.path().to_string_lossy());
        let stamps = announcement(root.path(), language, &name, rate);
        stamps.into_iter().map(below).collect()
    }

    #[test]
    fn the_best_format_for_the_rate_comes_first() {
        let files = ["en/hello.gsm", "en/hello.wav", "en/hello.g722"];
        let narrow = found(&files, "en", "hello", Rate::Narrow);
        assert_eq!(narrow, ["en/hello.wav", "en/hello.g722", "en/hello.gsm"]);
        let wide = found(&files, "en", "hello", Rate::Wide);
        assert_eq!(wide[0], "en/hello.g722");
    }

    #[test]
    fn languages_get_shorter_and_end_with_none() {
        let files = ["en/digits/1.wav", "de/digits/1.wav", "digits/1.wav"];
        for (language, expected) in [
            ("en_US_f_Allison", "en/digits/1.wav"),
            ("de", "de/digits/1.wav"),
            ("fr_CA", "digits/1.wav"),
        ] {
            assert_eq!(
                found(&files, language, "digits/1", Rate::Narrow),
                [expected]
            );
        }
    }

    #[test]
    fn a_whole_path_is_taken_and_a_way_up_is_not() {
        let files = ["in/own.wav", "in/de/own.wav", "secret.wav"];
        let own = found(&files, "de", "ROOT/in/own", Rate::Narrow);
        assert_eq!(own, ["in/de/own.wav"]);
        let own = found(&files, "en", "ROOT/in/own", Rate::Narrow);
        assert_eq!(own, ["in/own.wav"]);
        for name in ["in/../secret", "../secret", "ROOT/in/../secret", "a\0b"] {
            assert_eq!(found(&files, "en", name, Rate::Narrow).len(), 0, "{name}");
        }
        assert_eq!(found(&files, "../in", "own", Rate::Narrow).len(), 0);
    }

    #[test]
    fn music_is_sorted_and_each_piece_is_there_once() {
        let root = tempfile::tempdir().expect("a directory");
        for file in ["b.wav", "a.gsm", "a.wav", "LICENSE", ".hidden.wav"] {
            fs::write(root.path().join(file), "x").expect("written");
        }
        let found = music_in(root.path(), Rate::Narrow);
        let names = found
            .iter()
            .map(|stamp| stamp.path.file_name().expect("a name"));
        assert_eq!(names.collect::<Vec<_>>(), ["a.wav", "b.wav"]);
        assert_eq!(music_in(&root.path().join("none"), Rate::Wide).len(), 0);
    }
}
