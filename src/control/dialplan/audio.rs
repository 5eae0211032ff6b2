//! The applications that play and record, and take digits, with their arguments.

use super::arguments::split;
use super::dial::{option, seconds};
use crate::link::Channels;
use std::time::Duration;

/// Most digits of one Read, and how many it takes where it does not say.
pub const READ_DIGITS_MAX: usize = 255;
/// Most digits of one SendDTMF; further ones are left out.
pub const SEND_DIGITS_MAX: usize = 255;
/// What a Record begins with.
pub const BEEP: &str = "beep";

/// The applications, as they are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AudioApplication {
    Background,
    MixMonitor,
    MusicOnHold,
    Playback,
    Playtones,
    Read,
    Record,
    SayDigits,
    SayNumber,
    SendDtmf,
    StartMusicOnHold,
    StopMixMonitor,
    StopMusicOnHold,
    StopPlaytones,
    WaitExten,
}

/// What an application is to do with the caller's audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioAction {
    /// Play these, one after the other, then set PLAYBACKSTATUS and resume.
    Playback(PlaybackRequest),
    /// Play these until a digit comes, which begins an extension to go to.
    Background(BackgroundRequest),
    /// Wait for digits, an extension to go to.
    WaitExten(WaitRequest),
    /// Take digits into a variable, then set READSTATUS and resume.
    Read(ReadRequest),
    /// Record what the caller says, then set RECORD_STATUS and RECORDED_FILE and resume.
    Record(RecordRequest),
    /// Record the call from now on and resume at once.
    StartMonitor(MonitorRequest),
    /// Record no longer, only this recording or (None) all, and resume at once.
    StopMonitor(Option<u32>),
    /// Send digits to the caller, then resume.
    SendDigits(DigitsRequest),
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

/// What an application does to a caller that has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It is answered.
    Answer,
    /// It hears early media.
    Early,
    /// The application is passed over.
    Skip,
}

/// The arguments of Playback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaybackRequest {
    /// The files, without endings.
    pub files: Vec<String>,
    /// Of a caller without an answer.
    pub unanswered: Unanswered,
}

/// The arguments of Background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackgroundRequest {
    /// The files, without endings.
    pub files: Vec<String>,
    /// Of a caller without an answer.
    pub unanswered: Unanswered,
    /// Which digits end it.
    pub interrupt: Interrupt,
    /// The language of the files; None for the channel's.
    pub language: Option<String>,
    /// The context of the extension; None for the channel's.
    pub context: Option<String>,
}

/// Which digits end what is played in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Any.
    Any,
    /// Those that are an extension by themselves (option `m`).
    Extension,
    /// None (option `p`).
    Never,
}

/// The arguments of WaitExten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitRequest {
    /// How long the first digit may take; None for as long as is usual.
    pub time: Option<Duration>,
    /// Music meanwhile: its class, empty for the channel's.
    pub music: Option<String>,
}

/// The arguments of Read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The variable.
    pub variable: String,
    /// What is played before, without endings; with option `i` these are tones.
    pub prompts: Vec<String>,
    /// The prompts are tones.
    pub tones: bool,
    /// Of a caller without an answer.
    pub unanswered: Unanswered,
    /// So many digits are enough; 1 to [`READ_DIGITS_MAX`].
    pub digits_max: usize,
    /// It is asked so often.
    pub attempts: u32,
    /// How long each digit may take; None for as long as is usual.
    pub time: Option<Duration>,
    /// The digit that ends it and does not count; none with `t()`.
    pub terminator: Option<char>,
}

/// The arguments of Record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordRequest {
    /// The file.
    pub file: String,
    /// Silence that ends it.
    pub silence: Option<Duration>,
    /// How long it may be.
    pub time: Option<Duration>,
    /// Of a caller without an answer.
    pub unanswered: Unanswered,
    /// No beep before it.
    pub quiet: bool,
    /// It stays when the caller hangs up meanwhile.
    pub keep: bool,
    /// The digits that end it.
    pub terminators: &'static str,
}

/// The arguments of MixMonitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorRequest {
    /// The file.
    pub file: String,
    /// What it has.
    pub channels: Channels,
    /// When.
    pub span: MonitorSpan,
    /// The variable that gets its number, for StopMixMonitor.
    pub number_to: Option<String>,
}

/// When MixMonitor records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MonitorSpan {
    /// From now on.
    Always,
    /// While the caller talks to somebody who has answered, or in a conference: each conversation in a file of its own.
    Conversations,
}

/// The arguments of SendDTMF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigitsRequest {
    /// Digits; `w` is a pause of half a second, `W` one of a second.
    pub digits: String,
    /// Between two digits.
    pub pause: Duration,
    /// Of each.
    pub duration_ms: u16,
}

impl AudioAction {
    /// The announcements that it plays, and their language; None for the channel's.
    pub(super) fn announcements(&self) -> (Vec<&str>, Option<&str>) {
        match self {
            AudioAction::Playback(request) => (texts(&request.files), None),
            AudioAction::Background(request) => {
                (texts(&request.files), request.language.as_deref())
            }
            AudioAction::Read(request) if !request.tones => (texts(&request.prompts), None),
            AudioAction::Record(request) if !request.quiet => (vec![BEEP], None),
            _ => (Vec::new(), None),
        }
    }
}

impl AudioApplication {
    const ALL: [AudioApplication; 15] = [
        AudioApplication::Background,
        AudioApplication::MixMonitor,
        AudioApplication::MusicOnHold,
        AudioApplication::Playback,
        AudioApplication::Playtones,
        AudioApplication::Read,
        AudioApplication::Record,
        AudioApplication::SayDigits,
        AudioApplication::SayNumber,
        AudioApplication::SendDtmf,
        AudioApplication::StartMusicOnHold,
        AudioApplication::StopMixMonitor,
        AudioApplication::StopMusicOnHold,
        AudioApplication::StopPlaytones,
        AudioApplication::WaitExten,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            AudioApplication::Background => "Background",
            AudioApplication::MixMonitor => "MixMonitor",
            AudioApplication::MusicOnHold => "MusicOnHold",
            AudioApplication::Playback => "Playback",
            AudioApplication::Playtones => "Playtones",
            AudioApplication::Read => "Read",
            AudioApplication::Record => "Record",
            AudioApplication::SayDigits => "SayDigits",
            AudioApplication::SayNumber => "SayNumber",
            AudioApplication::SendDtmf => "SendDTMF",
            AudioApplication::StartMusicOnHold => "StartMusicOnHold",
            AudioApplication::StopMixMonitor => "StopMixMonitor",
            AudioApplication::StopMusicOnHold => "StopMusicOnHold",
            AudioApplication::StopPlaytones => "StopPlaytones",
            AudioApplication::WaitExten => "WaitExten",
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
        let name = self.name();
        let parsed = match self {
            AudioApplication::Background => background(args).map(AudioAction::Background),
            AudioApplication::MixMonitor => monitor(args).map(AudioAction::StartMonitor),
            AudioApplication::MusicOnHold => music(args),
            AudioApplication::Playback => playback(args).map(AudioAction::Playback),
            AudioApplication::Playtones if args.trim().is_empty() => {
                Err("it needs a tone, as in Playtones(busy)".into())
            }
            AudioApplication::Playtones => Ok(AudioAction::StartTone(args.trim().to_owned())),
            AudioApplication::Read => read(args).map(AudioAction::Read),
            AudioApplication::Record => record(args).map(AudioAction::Record),
            AudioApplication::SayDigits => Ok(say(spoken_digits(args))),
            AudioApplication::SayNumber => spoken_number(args).map(say),
            AudioApplication::SendDtmf => send_digits(args).map(AudioAction::SendDigits),
            AudioApplication::StartMusicOnHold => Ok(AudioAction::StartMusic(named(args))),
            AudioApplication::StopMixMonitor => monitor_number(args).map(AudioAction::StopMonitor),
            AudioApplication::StopMusicOnHold | AudioApplication::StopPlaytones => {
                Ok(AudioAction::Stop)
            }
            AudioApplication::WaitExten => wait(args).map(AudioAction::WaitExten),
        };
        parsed.map_err(|error| format!("{name}: {error}"))
    }
}

fn texts(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn playback(args: &str) -> Result<PlaybackRequest, String> {
    let args = split(args, ',', 2);
    let options = argument(&args, 1).to_ascii_lowercase();
    let has = |option: &str| options.split(['|', '&', ',', ' ']).any(|one| one == option);
    Ok(PlaybackRequest {
        files: some_files(argument(&args, 0))?,
        unanswered: unanswered(has("skip"), has("noanswer")),
    })
}

fn background(args: &str) -> Result<BackgroundRequest, String> {
    let args = split(args, ',', 4);
    let has = |letter| argument(&args, 1).contains(letter);
    Ok(BackgroundRequest {
        files: some_files(argument(&args, 0))?,
        unanswered: unanswered(has('s'), has('n')),
        interrupt: match (has('p'), has('m')) {
            (true, _) => Interrupt::Never,
            (false, true) => Interrupt::Extension,
            (false, false) => Interrupt::Any,
        },
        language: named(argument(&args, 2)),
        context: named(argument(&args, 3)),
    })
}

fn wait(args: &str) -> Result<WaitRequest, String> {
    let args = split(args, ',', 2);
    Ok(WaitRequest {
        time: time(argument(&args, 0))?,
        music: option(argument(&args, 1), 'm').map(str::to_owned),
    })
}

fn read(args: &str) -> Result<ReadRequest, String> {
    let args = split(args, ',', 6);
    let options = argument(&args, 3);
    let has = |letter| option(options, letter).is_some();
    let variable = argument(&args, 0);
    if variable.is_empty() {
        return Err("it needs a variable, as in Read(PIN,enter-pin,4)".into());
    }
    let number = |place: usize, default: usize| match argument(&args, place) {
        "" => Ok(default),
        text => text
            .parse()
            .map_err(|_| format!("'{text}' is no whole number")),
    };
    Ok(ReadRequest {
        variable: variable.to_owned(),
        prompts: files(argument(&args, 1)),
        tones: has('i'),
        unanswered: unanswered(has('s'), has('n')),
        digits_max: match number(2, 0)? {
            0 => READ_DIGITS_MAX,
            digits => digits.min(READ_DIGITS_MAX),
        },
        attempts: u32::try_from(number(4, 1)?).unwrap_or(u32::MAX).max(1),
        time: time(argument(&args, 5))?.filter(|time| !time.is_zero()),
        terminator: match option(options, 't') {
            Some(digits) => digits.chars().next(),
            None => Some('#'),
        },
    })
}

fn record(args: &str) -> Result<RecordRequest, String> {
    let args = split(args, ',', 4);
    let file = argument(&args, 0);
    if file.is_empty() {
        return Err("it needs a file, as in Record(greeting.wav)".into());
    }
    let has = |letter| argument(&args, 3).contains(letter);
    let some = |place| time(argument(&args, place)).map(|time| time.filter(|t| !t.is_zero()));
    Ok(RecordRequest {
        file: file.to_owned(),
        silence: some(1)?,
        time: some(2)?,
        unanswered: unanswered(has('s'), has('n')),
        quiet: has('q'),
        keep: has('k'),
        terminators: match (has('x'), has('y'), has('t')) {
            (true, _, _) => "",
            (_, true, _) => "0123456789*#ABCD",
            (_, _, true) => "*",
            _ => "#",
        },
    })
}

fn monitor(args: &str) -> Result<MonitorRequest, String> {
    let args = split(args, ',', 3);
    let file = argument(&args, 0);
    if file.is_empty() {
        return Err("it needs a file, as in MixMonitor(${UNIQUEID}.wav)".into());
    }
    if !argument(&args, 2).is_empty() {
        return Err("a command after the recording is not supported".into());
    }
    let options = argument(&args, 1);
    let channels = match option(options, 'D') {
        Some(_) => Channels::Stereo,
        None => Channels::Mixed,
    };
    let span = match option(options, 'b') {
        Some(_) => MonitorSpan::Conversations,
        None => MonitorSpan::Always,
    };
    Ok(MonitorRequest {
        file: file.to_owned(),
        channels,
        span,
        number_to: option(options, 'i').and_then(named),
    })
}

/// The recording that StopMixMonitor names.
fn monitor_number(args: &str) -> Result<Option<u32>, String> {
    match args.trim() {
        "" => Ok(None),
        text => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!(
                "'{text}' is no recording: give it the variable that MixMonitor's option i(VARIABLE) has set"
            )),
        },
    }
}

fn send_digits(args: &str) -> Result<DigitsRequest, String> {
    let args = split(args, ',', 4);
    let digits: String = argument(&args, 0).chars().take(SEND_DIGITS_MAX).collect();
    let is_known = |c: char| "0123456789*#ABCDabcdwW".contains(c);
    if digits.is_empty() || !digits.chars().all(is_known) {
        return Err(format!(
            "'{digits}' is not made of the digits 0-9 * # A-D and of w for a pause"
        ));
    }
    if !argument(&args, 3).is_empty() {
        return Err("to send to another channel is not supported".into());
    }
    let ms = |place, default: u16| match argument(&args, place) {
        "" => Ok(default),
        text => text
            .parse()
            .map_err(|_| format!("'{text}' is no number of milliseconds")),
    };
    Ok(DigitsRequest {
        digits,
        pause: Duration::from_millis(ms(1, 250)?.into()),
        duration_ms: ms(2, 100)?.clamp(40, 6_000),
    })
}

fn music(args: &str) -> Result<AudioAction, String> {
    let args = split(args, ',', 2);
    Ok(AudioAction::Music {
        class: named(argument(&args, 0)),
        time: time(argument(&args, 1))?,
    })
}

fn say(files: Vec<String>) -> AudioAction {
    AudioAction::Playback(PlaybackRequest {
        files,
        unanswered: Unanswered::Early,
    })
}

/// The files that say these digits; what is none is left out.
fn spoken_digits(args: &str) -> Vec<String> {
    let digits = args.split(',').next().unwrap_or_default().chars();
    let files = digits.filter_map(|digit| match digit {
        '0'..='9' => Some(format!("digits/{digit}")),
        '*' => Some(String::from("digits/star")),
        '#' => Some(String::from("digits/pound")),
        '-' => Some(String::from("digits/minus")),
        _ => None,
    });
    files.collect()
}

/// The files that say a number as English does, up to 999,999,999.
fn spoken_number(args: &str) -> Result<Vec<String>, String> {
    let text = args.split(',').next().unwrap_or_default().trim();
    let wrong = || format!("'{text}' is no whole number of at most nine digits");
    let number: i64 = text.parse().map_err(|_| wrong())?;
    if number.abs() > 999_999_999 {
        return Err(wrong());
    }
    let mut files = Vec::new();
    if number < 0 {
        files.push(String::from("digits/minus"));
    }
    let mut rest = number.unsigned_abs();
    if rest == 0 {
        files.push(String::from("digits/0"));
    }
    for (unit, name) in [(1_000_000, "million"), (1_000, "thousand")] {
        if rest >= unit {
            below_thousand(rest / unit, &mut files);
            files.push(format!("digits/{name}"));
            rest %= unit;
        }
    }
    below_thousand(rest, &mut files);
    Ok(files)
}

fn below_thousand(number: u64, files: &mut Vec<String>) {
    let mut rest = number;
    if rest >= 100 {
        files.push(format!("digits/{}", rest / 100));
        files.push(String::from("digits/hundred"));
        rest %= 100;
    }
    if rest > 20 {
        files.push(format!("digits/{}", rest / 10 * 10));
        rest %= 10;
    }
    if rest > 0 {
        files.push(format!("digits/{rest}"));
    }
}

fn unanswered(skip: bool, noanswer: bool) -> Unanswered {
    match (skip, noanswer) {
        (true, _) => Unanswered::Skip,
        (false, true) => Unanswered::Early,
        (false, false) => Unanswered::Answer,
    }
}

fn some_files(list: &str) -> Result<Vec<String>, String> {
    let files = files(list);
    match files.is_empty() {
        true => Err("it needs a file, as in Playback(hello-world)".into()),
        false => Ok(files),
    }
}

/// `a&b&c`
pub(super) fn files(list: &str) -> Vec<String> {
    let names = list
        .split('&')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn time(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "" => Ok(None),
        text => match seconds(text) {
            Some(time) => Ok(Some(time)),
            None => Err(format!("'{text}' is no number of seconds")),
        },
    }
}

fn named(name: &str) -> Option<String> {
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
            unanswered: Unanswered::Skip,
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

    #[test]
    fn numbers_are_said_as_they_are_read() {
        for (number, words) in [
            ("0", "0"),
            ("7", "7"),
            ("20", "20"),
            ("21", "20 1"),
            ("115", "1 hundred 15"),
            ("-1300,f", "minus 1 thousand 3 hundred"),
            ("2000042", "2 million 40 2"),
        ] {
            let files = spoken_number(number).expect("a number");
            let expected: Vec<String> = words
                .split(' ')
                .map(|word| format!("digits/{word}"))
                .collect();
            assert_eq!(files, expected, "{number}");
        }
        assert!(spoken_number("1x").is_err() && spoken_number("1000000000").is_err());
    }

    #[test]
    fn reading_and_recording_have_asterisks_defaults() {
        let Ok(AudioAction::Read(read)) = AudioApplication::Read.parse("PIN,enter&pin,4,,3,7")
        else {
            panic!("Read");
        };
        assert_eq!((read.digits_max, read.attempts), (4, 3));
        assert_eq!(read.time, Some(Duration::from_secs(7)));
        assert_eq!((read.terminator, read.prompts.len()), (Some('#'), 2));
        let Ok(AudioAction::Record(record)) = AudioApplication::Record.parse("a.wav,3,0,ky") else {
            panic!("Record");
        };
        assert_eq!(
            (record.silence, record.time),
            (Some(Duration::from_secs(3)), None)
        );
        assert!(record.keep && record.terminators.contains('5'));
        let monitor = AudioApplication::MixMonitor.parse("a.wav,Dbi(b)");
        let request = MonitorRequest {
            file: "a.wav".into(),
            channels: Channels::Stereo,
            span: MonitorSpan::Conversations,
            number_to: Some("b".into()),
        };
        assert_eq!(monitor, Ok(AudioAction::StartMonitor(request)));
        for (args, number) in [("", None), (" 2 ", Some(2))] {
            let stop = AudioApplication::StopMixMonitor.parse(args);
            assert_eq!(stop, Ok(AudioAction::StopMonitor(number)));
        }
        for (application, args) in [
            (AudioApplication::Read, ""),
            (AudioApplication::Read, "A,,x"),
            (AudioApplication::Record, ",3"),
            (AudioApplication::MixMonitor, ""),
            (AudioApplication::MixMonitor, "a.wav,,rm -rf"),
            (AudioApplication::StopMixMonitor, "a.wav"),
            (AudioApplication::SendDtmf, "12z"),
            (AudioApplication::Background, ""),
        ] {
            assert!(
                application.parse(args).is_err(),
                "{}({args})",
                application.name()
            );
        }
    }
}
