use super::*;
use crate::codec::g711;
use crate::codec::resample::resample;
use crate::codec::testing::vowel;
use crate::codec::tests::prompts;
use std::process::Command;

/// A pair of sines between silence.
#[derive(Clone, Copy)]
struct Burst {
    low_hz: f32,
    high_hz: f32,
    low_dbm0: f32,
    high_dbm0: f32,
    samples: usize,
}

impl Burst {
    fn of(digit: Digit) -> Burst {
        let (low, high) = digit.frequencies();
        Burst {
            low_hz: f32::from(low),
            high_hz: f32::from(high),
            low_dbm0: -10.0,
            high_dbm0: -10.0,
            samples: 8 * 40,
        }
    }

    fn add_to(&self, sound: &mut [i16], phase: f32) {
        let (low, high) = (peak_of_dbm0(self.low_dbm0), peak_of_dbm0(self.high_dbm0));
        for (n, sample) in sound[..self.samples].iter_mut().enumerate() {
            let turn = |hz: f32| TAU * hz * n as f32 / 8000.0 + phase;
            let pair = low * turn(self.low_hz).sin() + high * turn(self.high_hz).sin();
            *sample = sample.saturating_add(pair.round() as i16);
        }
    }
}

fn detect(sound: &[i16]) -> Vec<Event> {
    let mut detector = Detector::default();
    sound
        .as_chunks()
        .0
        .iter()
        .filter_map(|block| detector.block(block))
        .collect()
}

/// What is found of one burst, wherever it begins in a block, and in whatever phase.
fn hear(burst: Burst) -> Vec<Vec<Event>> {
    let alone = |begin: usize| {
        let mut sound = vec![0; 8 * 300];
        burst.add_to(&mut sound[400 + begin..], begin as f32);
        detect(&sound)
    };
    (0..BLOCK).step_by(7).map(alone).collect()
}

#[track_caller]
fn assert_heard(burst: Burst, digit: Digit) {
    for events in hear(burst) {
        let [
            Event::Start(start),
            Event::End {
                digit: end,
                duration_ms,
            },
        ] = events[..]
        else {
            panic!("{digit:?}: {events:?}")
        };
        assert_eq!((start, end), (digit, digit));
        let ms = burst.samples as f32 / 8.0;
        assert!(
            (duration_ms as f32 - ms).abs() <= 5.0,
            "{digit:?} of {ms} ms: {duration_ms}"
        );
    }
}

#[track_caller]
fn assert_not_heard(burst: Burst, why: &str) {
    for events in hear(burst) {
        assert_eq!(events, [], "{why}");
    }
}

#[test]
fn a_digit_has_its_names() {
    assert_eq!(
        Digit::from_char('5').map(Digit::frequencies),
        Some((770, 1336))
    );
    assert_eq!(Digit::from_char('#').map(Digit::event), Some(11));
    assert_eq!(Digit::from_char('d').map(Digit::symbol), Some('D'));
    assert_eq!(Digit::from_char('E'), None);
    assert_eq!(Digit::from_event(16), None);
    let pairs: std::collections::BTreeSet<_> = Digit::ALL.iter().map(|d| d.frequencies()).collect();
    assert_eq!(pairs.len(), 16);
    for digit in Digit::ALL {
        assert_eq!(Digit::from_char(digit.symbol()), Some(digit));
        assert_eq!(Digit::from_event(digit.event()), Some(digit));
    }
}

/// Q.24 Table A-1: 40 ms are to be found.
#[test]
fn every_digit_of_40_ms_and_more_is_heard_once() {
    for digit in Digit::ALL {
        for ms in [40, 47, 70, 100, 150] {
            let samples = 8 * ms;
            assert_heard(
                Burst {
                    samples,
                    ..Burst::of(digit)
                },
                digit,
            );
        }
    }
}

#[test]
fn levels_and_twist_of_q24_are_accepted() {
    for digit in Digit::ALL {
        for (low_dbm0, high_dbm0) in [
            (-25.0, -25.0),
            (-25.0, -21.0),
            (-17.0, -25.0),
            (-4.0, 0.0),
            (0.0, -8.0),
            (0.0, 0.0),
        ] {
            assert_heard(
                Burst {
                    low_dbm0,
                    high_dbm0,
                    ..Burst::of(digit)
                },
                digit,
            );
        }
    }
}

#[test]
fn frequencies_off_by_1_5_percent_and_2_hz_are_accepted() {
    for digit in Digit::ALL {
        let burst = Burst::of(digit);
        for (low, high) in [
            (1.0, 1.0),
            (-1.0, 1.0),
            (1.0, -1.0),
            (-1.0, -1.0),
            (0.0, 1.0),
            (1.0, 0.0),
        ] {
            let low_hz = burst.low_hz + low * (burst.low_hz * 0.015 + 2.0);
            let high_hz = burst.high_hz + high * (burst.high_hz * 0.015 + 2.0);
            assert_heard(
                Burst {
                    low_hz,
                    high_hz,
                    ..burst
                },
                digit,
            );
        }
    }
}

#[test]
fn frequencies_off_by_3_5_percent_are_rejected() {
    for digit in Digit::ALL {
        let burst = Burst {
            samples: 800,
            ..Burst::of(digit)
        };
        for off in [0.035, 0.04, 0.0447, -0.035, -0.04, -0.0447] {
            let low_hz = burst.low_hz * (1.0 + off);
            assert_not_heard(Burst { low_hz, ..burst }, &format!("{digit:?} low {off}"));
            let high_hz = burst.high_hz * (1.0 + off);
            assert_not_heard(Burst { high_hz, ..burst }, &format!("{digit:?} high {off}"));
        }
    }
}

#[test]
fn what_is_short_soft_or_twisted_is_rejected() {
    for digit in Digit::ALL {
        let burst = Burst::of(digit);
        for ms in [5, 10, 15, 20, 23] {
            assert_not_heard(
                Burst {
                    samples: 8 * ms,
                    ..burst
                },
                &format!("{digit:?} of {ms} ms"),
            );
        }
        for (low_dbm0, high_dbm0) in [
            (-29.0, -29.0),
            (-10.0, -5.0),
            (-10.0, -19.0),
            (-10.0, -90.0),
            (-90.0, -10.0),
        ] {
            assert_not_heard(
                Burst {
                    low_dbm0,
                    high_dbm0,
                    ..burst
                },
                &format!("{digit:?} {low_dbm0} {high_dbm0}"),
            );
        }
    }
}

fn starts(events: &[Event]) -> String {
    let start = |event: &Event| match event {
        Event::Start(digit) => Some(digit.symbol()),
        Event::End { .. } => None,
    };
    events.iter().filter_map(start).collect()
}

#[test]
fn pauses_of_40_ms_part_digits_and_interruptions_of_10_ms_do_not() {
    for digit in Digit::ALL {
        for begin in (0..BLOCK).step_by(7) {
            let burst = Burst::of(digit);
            let mut sound = vec![0; 8 * 500];
            burst.add_to(&mut sound[begin..], 0.3);
            burst.add_to(&mut sound[begin + 8 * 80..], 1.3);
            burst.add_to(&mut sound[begin + 8 * 160..], 2.3);
            assert_eq!(starts(&detect(&sound)).len(), 3, "{digit:?} {begin}");

            let mut sound = vec![0; 8 * 500];
            Burst {
                samples: 8 * 150,
                ..burst
            }
            .add_to(&mut sound[begin..], 0.0);
            sound[begin + 8 * 70..][..8 * 10].fill(0);
            assert_eq!(starts(&detect(&sound)).len(), 1, "{digit:?} {begin}");
        }
    }
}

#[test]
fn a_number_dialled_as_fast_as_allowed_is_read() {
    let number = "0123456789*#ABCD";
    for begin in (0..BLOCK).step_by(11) {
        let mut sound = vec![0; 8 * 80 * 17];
        for (n, digit) in number.chars().filter_map(Digit::from_char).enumerate() {
            Burst::of(digit).add_to(&mut sound[begin + n * 8 * 80..], n as f32);
        }
        assert_eq!(starts(&detect(&sound)), number);
        // And what was coded on the way is the same.
        let mut codes = vec![0; sound.len()];
        g711::encode_ulaw(&sound, &mut codes);
        g711::decode_ulaw(&codes, &mut sound);
        assert_eq!(starts(&detect(&sound)), number);
    }
}

#[test]
fn digits_are_heard_in_noise_15_db_below() {
    let mut random = fastrand::Rng::with_seed(15);
    let mut missed = 0;
    for digit in Digit::ALL {
        for _ in 0..50 {
            let mut sound = vec![0; 8 * 200];
            let burst = Burst {
                samples: 8 * 50,
                ..Burst::of(digit)
            };
            burst.add_to(&mut sound[random.usize(0..800)..], random.f32() * 6.0);
            // Two sines of a peak of 1 have a power of 1; so have uniform samples up to √3.
            let peak = peak_of_dbm0(-10.0) * 10.0_f32.powf(-15.0 / 20.0) * 3.0_f32.sqrt();
            for sample in &mut sound {
                *sample += ((random.f32() * 2.0 - 1.0) * peak) as i16;
            }
            let heard = starts(&detect(&sound));
            if heard.is_empty() {
                missed += 1;
            } else {
                assert_eq!(heard, digit.symbol().to_string());
            }
        }
    }
    assert!(missed <= 2, "{missed} of 800 missed");
}

#[test]
fn a_digit_after_another_without_a_pause_is_heard() {
    let mut sound = vec![0; 8 * 300];
    let [one, two] = ['1', '9'].map(|c| Burst::of(Digit::from_char(c).expect("a digit")));
    Burst {
        samples: 8 * 80,
        ..one
    }
    .add_to(&mut sound[..], 0.0);
    Burst {
        samples: 8 * 80,
        ..two
    }
    .add_to(&mut sound[8 * 80..], 0.0);
    assert_eq!(starts(&detect(&sound)), "19");
}

#[test]
fn noise_tones_and_vowels_are_no_digits() {
    let mut random = fastrand::Rng::with_seed(4);
    let noise: Vec<i16> = (0..8000 * 60).map(|_| random.i16(-20000..20000)).collect();
    assert_eq!(detect(&noise), []);
    for pitch in 60..400 {
        assert_eq!(detect(&vowel(f64::from(pitch), 8000, 8000)), [], "{pitch}");
    }
    for (low, high) in [
        (350.0, 440.0),
        (480.0, 620.0),
        (440.0, 480.0),
        (1400.0, 1800.0),
        (697.0, 770.0),
    ] {
        let burst = Burst {
            low_hz: low,
            high_hz: high,
            samples: 8 * 100,
            ..Burst::of(Digit(1))
        };
        assert_not_heard(burst, "a tone of the network");
    }
}

/// Reads aloud what `docs/` and `src/` say. Without espeak-ng there is nothing to read with, and the test says so.
#[test]
fn minutes_of_speech_have_no_digit() {
    let text = concat!(include_str!("../../lib.rs"), include_str!("../dtmf.rs"));
    let text: String = text
        .chars()
        .filter(|c| c.is_alphanumeric() || " .,\n".contains(*c))
        .take(2_500)
        .collect();
    let (mut seconds, mut found) = (0, String::new());
    for voice in ["en-us", "en-gb+f2", "de+m3", "fr+f4", "es+m1", "it+f3"] {
        let made = Command::new("espeak-ng")
            .args(["--stdout", "-v", voice, "-a", "150", "--", &text])
            .output();
        let Ok(made) = made else {
            eprintln!("espeak-ng is not installed: talk-off was not tried on speech");
            return;
        };
        let samples = wav_samples(&made.stdout);
        let speech = resample(&samples, 22_050, 8_000).expect("a rate");
        seconds += speech.len() / 8000;
        found += &starts(&detect(&speech));
    }
    eprintln!("{seconds} s of speech: `{found}`");
    assert!(seconds > 600, "{seconds} s");
    assert_eq!(found, "");
}

#[test]
fn recorded_prompts_have_no_digit() {
    let (mut seconds, mut found) = (0, String::new());
    for path in prompts("wav") {
        let sound = wav_samples(&std::fs::read(&path).expect("a file"));
        seconds += sound.len() / 8000;
        found += &starts(&detect(&sound));
    }
    eprintln!("{seconds} s of prompts: `{found}`");
    assert_eq!(found, "");
}

/// The samples of a WAV file of 16 bits whose data begin at the usual place.
fn wav_samples(bytes: &[u8]) -> Vec<i16> {
    let data = bytes.get(44..).unwrap_or(&[]);
    data.as_chunks()
        .0
        .iter()
        .map(|two| i16::from_le_bytes(*two))
        .collect()
}
