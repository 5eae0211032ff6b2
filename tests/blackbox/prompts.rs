//! Announcements of Debian's asterisk-core-sounds-*, in each of their formats, as callers hear them in each codec; digits
//! that end them.

use crate::gateway::{Gateway, Options};
use crate::lab::{Codec, Recording, Side, Solo, Sound, Talk, report};
use std::path::{Path, PathBuf};

/// Where Debian has them.
const DEBIAN: &str = "/usr/share/asterisk/sounds/en";
const FORMATS: [&str; 3] = ["wav", "gsm", "g722"];

/// A directory of announcements: each in one format alone, under names that can be dialled.
struct Shelf {
    folder: tempfile::TempDir,
}

impl Shelf {
    fn new(files: &[(&str, &str, &str)]) -> Shelf {
        let shelf = Shelf {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        std::fs::create_dir(shelf.path().join("en")).expect("a folder for the language");
        for (name, stock, format) in files {
            let stock = stocked(stock, format);
            let to = shelf.path().join("en").join(name).with_extension(format);
            std::fs::copy(&stock, to).unwrap_or_else(|error| {
                panic!("{}: {error} (`make test` installs it)", stock.display())
            });
        }
        shelf
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn gateway(&self, codec: Codec, steps: &'static str, more: &str) -> Gateway {
        let codecs = match codec {
            Codec::Ulaw => "\"ulaw\"",
            Codec::Alaw => "\"alaw\"",
            Codec::G722 => "\"g722\"",
        };
        let directory = self.path().display();
        Gateway::start(&Options {
            codecs: [codecs, codecs],
            steps,
            sections: format!("[sounds]\ndirectory = \"{directory}\"\n{more}").into(),
            ..Options::default()
        })
    }
}

fn stocked(name: &str, format: &str) -> PathBuf {
    Path::new(DEBIAN).join(name).with_extension(format)
}

/// A file of Debian's as ffmpeg decodes it.
fn original(name: &str, format: &str) -> Sound {
    Sound::read(&stocked(name, format), 16_000)
}

fn seconds(sound: &Sound) -> f64 {
    sound.samples.len() as f64 / f64::from(sound.rate)
}

/// Nothing said for so long.
fn silent(codec: Codec, ms: usize) -> Talk {
    let silence = Sound {
        rate: 8_000,
        samples: vec![0; ms * 8],
    };
    Talk::new(codec, &silence, 20)
}

/// The announcement is heard as the codec lets it be heard.
#[track_caller]
fn assert_played(original: &Sound, codec: Codec, heard: &Recording, what: &str) {
    heard.assert_sound_stream(codec, 20);
    let chain = report(original, &codec.decode(&codec.encode(original)), 0.1);
    let ours = report(original, &heard.sound(codec), 1.0);
    ours.assert_as_good_as(&chain, what);
    let least = chain.median(|piece| piece.correlation).min(0.97) - 0.005;
    let correlation = ours.median(|piece| piece.correlation);
    assert!(
        correlation > least,
        "{what}: {correlation:.4}\n{ours}\n{chain}"
    );
}

fn each_format_in(codec: Codec) {
    let shelf = Shelf::new(&[
        ("101", "vm-intro", FORMATS[0]),
        ("102", "vm-intro", FORMATS[1]),
        ("103", "vm-intro", FORMATS[2]),
    ]);
    let steps = r#""Answer()", "Wait(0.3)", "Playback(${EXTEN})", "Hangup()""#;
    let gateway = shelf.gateway(codec, steps, "");
    for (number, format) in ["101", "102", "103"].into_iter().zip(FORMATS) {
        let original = original("vm-intro", format);
        let talk = silent(codec, (seconds(&original) * 1e3) as usize + 600);
        let caller = Solo::call(&gateway, number, Side::of(codec, 20));
        let heard = caller.talk(&talk);
        caller.end();
        let what = format!("{format} in {}", codec.name());
        assert_played(&original, codec, &heard, &what);
    }
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.stop();
}

#[test]
fn each_format_is_heard_in_ulaw() {
    each_format_in(Codec::Ulaw);
}

#[test]
fn each_format_is_heard_in_alaw() {
    each_format_in(Codec::Alaw);
}

#[test]
fn each_format_is_heard_in_g722() {
    each_format_in(Codec::G722);
}

#[test]
fn one_that_is_missing_is_passed_over_with_a_warning() {
    let shelf = Shelf::new(&[("there", "vm-intro", "wav")]);
    let steps = r#""Playback(gone&there)", "GotoIf($[\"${PLAYBACKSTATUS}\" = \"FAILED\"]?ok)", "Wait(9)", "ok: Hangup()""#;
    let gateway = shelf.gateway(Codec::Ulaw, steps, "");
    let talk = silent(Codec::Ulaw, 6_500);
    let caller = Solo::call(&gateway, "100", Side::of(Codec::Ulaw, 20));
    let heard = caller.talk(&talk);
    caller.end();
    assert_played(
        &original("vm-intro", "wav"),
        Codec::Ulaw,
        &heard,
        "the other one",
    );
    let log = gateway.log();
    let told: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("not played"))
        .collect();
    assert!(
        told.len() == 1 && told[0].contains("WARN") && told[0].contains("gone"),
        "{told:?}"
    );
    gateway.stop();
}

const MENU: &str = r#"
[context.menu.exten]
s = ["Background(long)", "WaitExten(4)"]
"1" = ["Playback(one)", "Hangup()"]
"22" = ["Playback(two)", "Hangup()"]
t = ["Playback(two)", "Hangup()"]
"#;

/// What is heard of an announcement after this many seconds at most, as correlation.
fn found(original: &Sound, heard: &Recording, late_s: f64) -> (f64, f64) {
    let report = report(original, &heard.sound(Codec::Ulaw), late_s);
    let correlation = report.median(|piece| piece.correlation);
    (correlation, report.pieces[0].lag as f64 / 8_000.0)
}

#[test]
fn a_digit_ends_what_is_played_in_the_background_and_leads_to_its_extension() {
    let shelf = Shelf::new(&[
        ("long", "demo-moreinfo", "wav"),
        ("one", "vm-intro", "wav"),
        ("two", "privacy-prompt", "wav"),
    ]);
    let gateway = shelf.gateway(Codec::Ulaw, r#""Goto(menu,s,1)""#, MENU);
    let side = Side::with_events(Codec::Ulaw);
    let (long, one, two) = (
        original("demo-moreinfo", "wav"),
        original("vm-intro", "wav"),
        original("privacy-prompt", "wav"),
    );

    let talk = silent(Codec::Ulaw, 8_700).press(2_000, '1', 100);
    let caller = Solo::call(&gateway, "100", side);
    let heard = caller.talk(&talk);
    caller.end();
    let (correlation, at_s) = found(&one, &heard, 4.0);
    assert!(correlation > 0.97, "{correlation}\n{}", gateway.log());
    assert!((1.9..2.6).contains(&at_s), "it begins at {at_s:.2} s");
    let beginning = Sound {
        rate: 16_000,
        samples: long.samples[..28_000].to_vec(),
    };
    let (correlation, at_s) = found(&beginning, &heard, 1.0);
    assert!(
        correlation > 0.97 && at_s < 0.4,
        "{correlation} at {at_s:.2} s"
    );

    // Two digits make an extension of two.
    let talk = silent(Codec::Ulaw, 7_000)
        .press(1_000, '2', 100)
        .press(1_600, '2', 100);
    let caller = Solo::call(&gateway, "100", side);
    let heard = caller.talk(&talk);
    caller.end();
    let (correlation, at_s) = found(&two, &heard, 4.0);
    assert!(
        correlation > 0.97 && (1.5..2.2).contains(&at_s),
        "{correlation} at {at_s:.2} s\n{}",
        gateway.log()
    );
    gateway.stop();
}

#[test]
fn who_presses_nothing_is_told_so_when_its_time_is_over() {
    let shelf = Shelf::new(&[
        ("long", "vm-goodbye", "wav"),
        ("two", "privacy-prompt", "wav"),
    ]);
    let gateway = shelf.gateway(
        Codec::Ulaw,
        r#""Goto(menu,s,1)""#,
        &MENU.replace("WaitExten(4)", "WaitExten(2)"),
    );
    let talk = silent(Codec::Ulaw, 7_000);
    let caller = Solo::call(&gateway, "100", Side::with_events(Codec::Ulaw));
    let heard = caller.talk(&talk);
    caller.end();
    let (correlation, at_s) = found(&original("privacy-prompt", "wav"), &heard, 5.0);
    let expected = seconds(&original("vm-goodbye", "wav")) + 2.0;
    assert!(correlation > 0.97, "{correlation}\n{}", gateway.log());
    assert!(
        (at_s - expected).abs() < 0.3,
        "at {at_s:.2} s, not {expected:.2} s"
    );
    gateway.stop();
}

#[test]
fn digits_are_read_into_a_variable() {
    let shelf = Shelf::new(&[
        ("enter", "demo-moreinfo", "wav"),
        ("1234", "vm-intro", "wav"),
    ]);
    let steps = r#""Read(PIN,enter,4)", "GotoIf($[\"${READSTATUS}\" = \"OK\"]?ok)", "Wait(30)", "ok: Playback(${PIN})", "Hangup()""#;
    let gateway = shelf.gateway(Codec::Ulaw, steps, "");
    let mut talk = silent(Codec::Ulaw, 9_700);
    for (place, digit) in "1234".chars().enumerate() {
        talk = talk.press(1_000 + 500 * place, digit, 100);
    }
    let caller = Solo::call(&gateway, "100", Side::with_events(Codec::Ulaw));
    let heard = caller.talk(&talk);
    caller.end();
    let (correlation, at_s) = found(&original("vm-intro", "wav"), &heard, 5.0);
    assert!(correlation > 0.97, "{correlation}\n{}", gateway.log());
    assert!((2.4..3.2).contains(&at_s), "it begins at {at_s:.2} s");
    gateway.stop();
}
