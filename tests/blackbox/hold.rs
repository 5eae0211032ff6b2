//! Music on hold, in each form of hold, as the held telephone hears it.

use crate::gateway::{Gateway, Options};
use crate::lab::{Call, Codec, Recording, Side, Sound, Talk, report};
use crate::scenario::{AUDIO, Scenario, Sdp};
use std::path::Path;

const CODEC: Codec = Codec::Ulaw;
const MUSIC_SAYS: &str = "The birch canoe slid on the smooth planks.";
/// When it is put on hold, and for how long, in milliseconds.
const HOLD_AT: u32 = 1_000;
const HOLD_FOR: u32 = 6_000;

/// Nothing said, all the time.
fn silence() -> Talk {
    let samples = vec![0; 9_000 * 8];
    Talk::new(
        CODEC,
        &Sound {
            rate: 8_000,
            samples,
        },
        20,
    )
}

/// The asking side's part: hold, and back.
fn hold(scenario: Scenario, form: Sdp) -> Scenario {
    let ask = |scenario: Scenario, sdp| {
        let asked = scenario.request("INVITE", Some(sdp)).perhaps(100);
        asked.expect(200).request("ACK", None)
    };
    let held = ask(scenario.pause_ms(HOLD_AT), Sdp { version: 2, ..form });
    ask(
        held.pause_ms(HOLD_FOR),
        Sdp {
            version: 3,
            ..AUDIO
        },
    )
}

/// The held side's part.
fn held(scenario: Scenario) -> Scenario {
    let answer = |scenario: Scenario, sdp| {
        let asked = scenario.expect_request("INVITE");
        asked
            .respond_in_dialog("200 OK", Some(sdp))
            .expect_request("ACK")
    };
    let held = answer(
        scenario,
        Sdp {
            version: 2,
            direction: "recvonly",
            ..AUDIO
        },
    );
    answer(
        held,
        Sdp {
            version: 3,
            ..AUDIO
        },
    )
}

fn music_in(folder: &Path) -> Sound {
    let mut music = Sound::speech(MUSIC_SAYS).at(8_000);
    // Two seconds, so that it is heard from its beginning to its end at least once.
    music.samples.resize(16_000, 0);
    music.write(&folder.join("one.wav"));
    music
}

fn loudest(heard: &Recording, from_s: f64, to_s: f64) -> u16 {
    let sound = heard.sound(CODEC);
    let place = |seconds: f64| ((seconds * 8_000.0) as usize).min(sound.samples.len());
    let part = &sound.samples[place(from_s)..place(to_s)];
    part.iter()
        .map(|sample| sample.unsigned_abs())
        .max()
        .unwrap_or(0)
}

fn hears_music(form: Sdp) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let music = music_in(folder.path());
    let class = format!(
        "[musiconhold.default]\ndirectory = \"{}\"\n",
        folder.path().display()
    );
    let options = Options {
        sections: class.into(),
        ..Options::default()
    };
    let sides = [Side::of(CODEC, 20), Side::of(CODEC, 20)];
    let nothing = silence();
    let call = Call::set_up(sides, &options, |caller, called| {
        (hold(caller, form), held(called))
    });
    let [by_holder, by_held] = call.talk([&nothing, &nothing]);
    call.gateway
        .eventually("it is taken back", |gateway: &Gateway| {
            gateway.rows("calls")[0]["state"] == "up"
        });
    let [_, messages] = call.end();
    let asked = messages
        .iter()
        .filter(|message| message.starts_with("INVITE "));
    let offers: Vec<bool> = asked.map(|offer| offer.contains("a=sendonly")).collect();
    assert_eq!(offers, [false, true, false], "what the held one is offered");
    let heard = report(&music, &by_held.sound(CODEC), 4.5);
    assert!(heard.pieces.len() >= 3, "{heard}");
    assert!(
        heard.part(|piece| piece.correlation > 0.97) > 0.99,
        "{heard}"
    );
    assert!(heard.median(|piece| piece.level_db).abs() < 0.5, "{heard}");
    let all = by_held.sound(CODEC).samples.len() as f64 / 8_000.0;
    assert!(loudest(&by_held, 0.0, 0.7) < 100, "silence before");
    assert!(loudest(&by_held, all - 0.7, all) < 100, "silence after");
    assert!(loudest(&by_holder, 0.0, all) < 100, "the holder hears none");
}

#[test]
fn of_one_that_sends_only() {
    hears_music(Sdp {
        direction: "sendonly",
        ..AUDIO
    });
}

#[test]
fn of_one_that_neither_sends_nor_receives() {
    hears_music(Sdp {
        direction: "inactive",
        ..AUDIO
    });
}

#[test]
fn of_one_that_is_nowhere() {
    hears_music(Sdp {
        at: "0.0.0.0",
        ..AUDIO
    });
}
