//! Digits between peers that have them in different ways: telephone events (RFC 4733), SIP INFO, tones in the audio. What
//! is pressed on one side arrives on the other in its way, once, in order, for as long as it was pressed.

use crate::gateway::{Gateway, Options};
use crate::lab::{Call, Codec, Pressed, Recording, Side, Solo, Sound, Talk, with_tones};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Events,
    Tones,
    Info,
}

const WAYS: [Way; 3] = [Way::Events, Way::Tones, Way::Info];
/// When, which, for how long.
const PRESSED: [(usize, char, usize); 3] =
    [(1_500, '1', 120), (2_100, '5', 200), (2_800, '#', 300)];
const TALK_MS: usize = 4_500;
/// A tone's end is known to a block of 10 ms, a detector's to one or two more. Where a busy machine holds an event's sender up for
/// longer than its peer waits, what was told of it last counts, and that is 20 ms less.
const TOLERANCE_MS: f64 = 52.0;

impl Way {
    fn key(self) -> &'static str {
        match self {
            Way::Events => "",
            Way::Tones => "dtmf_mode = \"inband\"",
            Way::Info => "dtmf_mode = \"info\"",
        }
    }

    fn side(self, codec: Codec) -> Side {
        match self {
            Way::Events => Side::with_events(codec),
            Way::Tones | Way::Info => Side::of(codec, 20),
        }
    }

    fn talk(self, codec: Codec) -> Talk {
        match self {
            Way::Events => PRESSED
                .iter()
                .fold(silence(codec), |talk, (at_ms, key, ms)| {
                    talk.press(*at_ms, *key, *ms)
                }),
            Way::Tones => Talk::new(codec, &with_tones(TALK_MS, &PRESSED), 20),
            Way::Info => silence(codec),
        }
    }
}

fn silence(codec: Codec) -> Talk {
    let samples = vec![0; TALK_MS * 8];
    Talk::new(
        codec,
        &Sound {
            rate: 8_000,
            samples,
        },
        20,
    )
}

/// The digits of INFO requests among SIP messages.
fn infos(messages: &[String]) -> Vec<Pressed> {
    let requests = messages
        .iter()
        .filter(|message| message.starts_with("INFO "));
    let value = |message: &str, name: &str| {
        let mut lines = message.lines().filter_map(|line| line.strip_prefix(name));
        lines
            .next()
            .unwrap_or_else(|| panic!("no {name}: {message}"))
            .trim()
            .to_owned()
    };
    let digits = requests.map(|message| {
        let digit = value(message, "Signal=").chars().next().expect("a digit");
        (
            digit,
            value(message, "Duration=").parse().expect("milliseconds"),
        )
    });
    digits.collect()
}

#[track_caller]
fn assert_pressed(heard: &[Pressed], expected: &[(char, usize)], what: &str) {
    let digits: String = heard.iter().map(|(digit, _)| *digit).collect();
    let wanted: String = expected.iter().map(|(digit, _)| *digit).collect();
    assert_eq!(digits, wanted, "{what}: {heard:?}");
    for ((_, ms), (_, wanted)) in heard.iter().zip(expected) {
        let off = ms - *wanted as f64;
        assert!(off.abs() <= TOLERANCE_MS, "{what}: {heard:?}, {expected:?}");
    }
}

/// What came, each in its way, and nothing in another.
#[track_caller]
fn assert_came(
    way: Way,
    expected: &[(char, usize)],
    codec: Codec,
    heard: &Recording,
    messages: &[String],
    what: &str,
) {
    let came = [heard.events(), heard.tones(codec), infos(messages)];
    for (other, came) in WAYS.into_iter().zip(came) {
        let expected = if other == way { expected } else { &[] };
        assert_pressed(&came, expected, &format!("{what}, as {other:?}"));
    }
}

fn press(from: Way, to: Way, codecs: [Codec; 2]) {
    let what = format!("{from:?} to {to:?}");
    let options = Options {
        caller: from.key(),
        called: to.key(),
        ..Options::default()
    };
    let [a, b] = codecs;
    let talks = [from.talk(a), silence(b)];
    let call = Call::set_up(
        [from.side(a), to.side(b)],
        &options,
        |mut caller, mut called| {
            let mut now = 0;
            for (at_ms, key, ms) in PRESSED {
                if from == Way::Info {
                    caller = caller.pause_ms((at_ms - now) as u32).press(key, ms as u32);
                    now = at_ms;
                }
                if to == Way::Info {
                    called = called
                        .expect_request("INFO")
                        .respond_in_dialog("200 OK", None);
                }
            }
            (caller, called)
        },
    );
    let [by_caller, by_called] = call.talk([&talks[0], &talks[1]]);
    let [to_caller, to_called] = call.end();
    let pressed = PRESSED.map(|(_, key, ms)| (key, ms));
    assert_came(to, &pressed, b, &by_called, &to_called, &what);
    // Nothing comes back.
    assert_came(from, &[], a, &by_caller, &to_caller, &what);
}

#[test]
fn events_arrive_in_each_way() {
    for to in WAYS {
        press(Way::Events, to, [Codec::Ulaw, Codec::Ulaw]);
    }
}

#[test]
fn tones_arrive_in_each_way() {
    for to in WAYS {
        press(Way::Tones, to, [Codec::Ulaw, Codec::Ulaw]);
    }
}

#[test]
fn info_arrives_in_each_way() {
    for to in WAYS {
        press(Way::Info, to, [Codec::Ulaw, Codec::Ulaw]);
    }
}

#[test]
fn between_different_codecs_as_well() {
    press(Way::Events, Way::Tones, [Codec::Alaw, Codec::G722]);
    press(Way::Tones, Way::Events, [Codec::G722, Codec::Ulaw]);
    press(Way::Events, Way::Events, [Codec::G722, Codec::Ulaw]);
}

#[test]
fn the_dialplan_sends_digits_in_each_way() {
    let nothing = silence(Codec::Ulaw);
    for way in WAYS {
        let gateway = Gateway::start(&Options {
            caller: way.key(),
            steps: r##""Answer()", "Wait(1)", "SendDTMF(15#,250,200)", "Wait(1)", "Hangup()""##,
            ..Options::default()
        });
        let caller = Solo::call_and(
            &gateway,
            "100",
            way.side(Codec::Ulaw),
            |scenario| match way {
                Way::Info => (0..3).fold(scenario, |scenario, _| {
                    scenario
                        .expect_request("INFO")
                        .respond_in_dialog("200 OK", None)
                }),
                Way::Events | Way::Tones => scenario,
            },
        );
        let heard = caller.talk(&nothing);
        let messages = caller.end();
        let sent = ['1', '5', '#'].map(|digit| (digit, 200));
        assert_came(
            way,
            &sent,
            Codec::Ulaw,
            &heard,
            &messages,
            &format!("SendDTMF by {way:?}"),
        );
        gateway.stop();
    }
}
