//! What callers hear of the gateway's own: announcements, tones and music on hold.

use super::diagnostic::Location;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Whose tones there are: those of Asterisk's indications.conf that are in wide use.
pub(super) const TONE_ZONES: &[&str] = &[
    "at", "au", "be", "br", "ch", "cn", "de", "dk", "es", "fi", "fr", "ie", "in", "it", "jp", "mx",
    "nl", "no", "nz", "pl", "pt", "ru", "se", "uk", "us", "za",
];

/// The music class of those who name none.
pub const MUSIC_CLASS_DEFAULT: &str = "default";

/// `[sounds]` and `[musiconhold.*]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sounds {
    /// `directory`: where the announcements are, each language in a folder of its own. Default that of Debian's
    /// `asterisk-core-sounds-*`.
    pub directory: PathBuf,
    /// `language`: of those who set none. Default `en`.
    pub language: String,
    /// `tone_zone`: whose busy and ringing tones sound (`us`, `uk`, `de` …). Default `us`.
    pub tone_zone: String,
    /// `cache_mib`: decoded sound that is kept, in MiB; 1 to 65,536. Default 128.
    pub cache_mib: u32,
    /// `[musiconhold.*]` by name.
    pub music: BTreeMap<String, MusicClass>,
}

/// `[recording]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Where `[recording]` names the directory, if it does.
    pub location: Location,
    /// `directory`: every recording is in it. None for `monitor` in the state directory.
    pub directory: Option<PathBuf>,
    /// `max_mib`: the largest file, in MiB; 1 to 4,095, as WAV allows. Default 1,024.
    pub max_mib: u32,
}

/// `[musiconhold.*]`: what is played to who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MusicClass {
    /// Where its section is.
    pub location: Location,
    /// Where it comes from.
    pub source: MusicSource,
    /// `sort`: in which order its files are played.
    pub sort: MusicSort,
}

/// The files of a music class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MusicSource {
    /// `directory`: all that can be played in there.
    Directory(PathBuf),
    /// `files`: these, without an ending as those of [`Sounds::directory`], or as they are.
    Files(Vec<String>),
}

/// `sort`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MusicSort {
    /// By name.
    #[default]
    Alphabetical,
    /// In another order after each start.
    Random,
}

#[cfg(test)]
mod tests {
    use super::TONE_ZONES;
    use crate::codec::tone::country;

    #[test]
    fn every_zone_has_tones() {
        for zone in TONE_ZONES {
            assert!(country(zone).is_some(), "{zone}");
        }
    }
}
