//! `[sounds]`, `[musiconhold.*]` and `[recording]`.

use super::super::catalogue;
use super::super::fields::{Checker, Fields, Tell};
use super::super::raw::Table;
use super::super::settings::{MusicClass, MusicSort, MusicSource, Recording, Sounds};
use super::{named, only};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where Debian's `asterisk-core-sounds-*` are.
const DIRECTORY_DEFAULT: &str = "/usr/share/asterisk/sounds";

pub(super) fn build(document: &Table, checker: &mut Checker<'_>) -> Sounds {
    let fields = only(document, "sounds", catalogue::SOUNDS, checker);
    let text = |key: &str, default: &str| {
        let written = fields.text(key).map(String::as_str);
        written.unwrap_or(default).to_owned()
    };
    Sounds {
        directory: PathBuf::from(text("directory", DIRECTORY_DEFAULT)),
        language: text("language", "en"),
        tone_zone: text("tone_zone", "us"),
        cache_mib: fields.integer("cache_mib").unwrap_or(128),
        music: music(document, checker),
    }
}

pub(super) fn recording(document: &Table, checker: &mut Checker<'_>) -> Recording {
    let fields = only(document, "recording", catalogue::RECORDING, checker);
    Recording {
        location: fields.location_of("directory"),
        directory: fields.text("directory").map(PathBuf::from),
        max_mib: fields.integer("max_mib").unwrap_or(1024),
    }
}

fn music(document: &Table, checker: &mut Checker<'_>) -> BTreeMap<String, MusicClass> {
    let sections = named(
        document,
        "musiconhold",
        catalogue::MUSIC_ON_HOLD,
        Tell::EachKey,
        checker,
    );
    let classes = sections.into_iter().filter_map(|(name, fields)| {
        let source = source(&fields, checker)?;
        let sort = match fields.text("sort").map(String::as_str) {
            Some("random" | "randstart") => MusicSort::Random,
            _ => MusicSort::Alphabetical,
        };
        let class = MusicClass {
            location: fields.location,
            source,
            sort,
        };
        Some((name, class))
    });
    classes.collect()
}

fn source(fields: &Fields, checker: &mut Checker<'_>) -> Option<MusicSource> {
    match (fields.text("directory"), fields.texts("files")) {
        (Some(directory), None) => Some(MusicSource::Directory(PathBuf::from(directory))),
        (None, Some(files)) if !files.is_empty() => {
            let files = files.iter().map(|(name, _)| name.clone());
            Some(MusicSource::Files(files.collect()))
        }
        // One that is wrong has its own error.
        _ if ["directory", "files"]
            .iter()
            .any(|key| fields.was_written(key) && !fields.has(key)) =>
        {
            None
        }
        _ => {
            let message = "expected either directory = \"…\" or files = [\"…\"]";
            checker.report.error(fields.location, &fields.path, message);
            None
        }
    }
}
