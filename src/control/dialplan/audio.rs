//! The applications that play and record, and take digits, with their arguments.

use super::arguments::split;
use super::dial::seconds;
use std::time::Duration;

/// The applications, as they are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudioApplication {
    MusicOnHold,
    Playback,
    Playtones,
    StartMusicOnHold,
    StopMusicOnHold,
    StopPlaytones,
}

/// What an application is to do with the caller's audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioAction {
    /// Play these, one after the other, then set PLAYBACKSTATUS and resume.
    Playback(PlaybackRequest),
    /// Play this class (None: the channel's) for so long (None: until the call ends), then resume.
    Music {
        /// The class.
        class: Option<String>,
        /// How long.
        time: Option<Duration>,
    },
    /// Play this class (None: the channel's) and resume at once.
    StartMusic(Option<String>),
    /// Play a tone, by its name or as written, and resume at once.
    StartTone(String),
    /// Play nothing, and resume at once.
    Stop,
}

/// The arguments of Playback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaybackRequest {
    /// The files, without endings.
    pub files: Vec<String>,
    /// Nothing is played to a caller that has no answer.
    pub skip: bool,
    /// A caller that has no answer is not answered: it hears this as early media.
    pub noanswer: bool,
}

impl AudioApplication {
    const ALL: [AudioApplication; 6] = [
        AudioApplication::MusicOnHold,
        AudioApplication::Playback,
        AudioApplication::Playtones,
        AudioApplication::StartMusicOnHold,
        AudioApplication::StopMusicOnHold,
        AudioApplication::StopPlaytones,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            AudioApplication::MusicOnHold => "MusicOnHold",
            AudioApplication::Playback => "Playback",
            AudioApplication::Playtones => "Playtones",
            AudioApplication::StartMusicOnHold => "StartMusicOnHold",
            AudioApplication::StopMusicOnHold => "StopMusicOnHold",
            AudioApplication::StopPlaytones => "StopPlaytones",
        }
    }

    /// By its name as it is spelled.
    pub(super) fn named(name: &str) -> Option<AudioApplication> {
        AudioApplication::ALL
            .into_iter()
            .find(|known| known.name() == name)
    }

    /// Reads its expanded arguments.
    ///
    /// # Errors
    /// One sentence: what is wrong and what is accepted.
    pub(super) fn parse(self, args: &str) -> Result<AudioAction, String> {
        match self {
            AudioApplication::Playback => playback(args).map(AudioAction::Playback),
            AudioApplication::MusicOnHold => {
                let args = split(args, ',', 2);
                let time =
                    match argument(&args, 1) {
                        "" => None,
                        text => Some(seconds(text).ok_or_else(|| {
                            format!("MusicOnHold: '{text}' is no number of seconds")
                        })?),
                    };
                let class = class(argument(&args, 0));
                Ok(AudioAction::Music { class, time })
            }
            AudioApplication::StartMusicOnHold => Ok(AudioAction::StartMusic(class(args))),
            AudioApplication::Playtones if args.trim().is_empty() => {
                Err("Playtones needs a tone, as in Playtones(busy)".into())
            }
            AudioApplication::Playtones => Ok(AudioAction::StartTone(args.trim().to_owned())),
            AudioApplication::StopMusicOnHold | AudioApplication::StopPlaytones => {
                Ok(AudioAction::Stop)
            }
        }
    }
}

fn playback(args: &str) -> Result<PlaybackRequest, String> {
    let args = split(args, ',', 2);
    let options = argument(&args, 1).to_ascii_lowercase();
    let has = |option: &str| options.split(['|', '&', ',', ' ']).any(|one| one == option);
    let files = files(argument(&args, 0));
    if files.is_empty() {
        return Err("Playback needs a file, as in Playback(hello-world)".into());
    }
    Ok(PlaybackRequest {
        files,
        skip: has("skip"),
        noanswer: has("noanswer"),
    })
}

/// `a&b&c`
pub(super) fn files(list: &str) -> Vec<String> {
    let names = list
        .split('&')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn class(name: &str) -> Option<String> {
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn argument(args: &[String], place: usize) -> &str {
    args.get(place).map_or("", |text| text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_options_are_read() {
        let request = AudioApplication::Playback.parse("hello-world & digits/1,skip");
        let expected = PlaybackRequest {
            files: vec!["hello-world".into(), "digits/1".into()],
            skip: true,
            noanswer: false,
        };
        assert_eq!(request, Ok(AudioAction::Playback(expected)));
        assert!(AudioApplication::Playback.parse("&,noanswer").is_err());
    }

    #[test]
    fn music_has_a_class_and_a_time_or_neither() {
        let parse = |args| AudioApplication::MusicOnHold.parse(args);
        let music = |class: Option<&str>, time: Option<u64>| AudioAction::Music {
            class: class.map(str::to_owned),
            time: time.map(Duration::from_secs),
        };
        assert_eq!(parse(""), Ok(music(None, None)));
        assert_eq!(parse("jazz,5"), Ok(music(Some("jazz"), Some(5))));
        assert!(parse("jazz,x").is_err());
    }
}
