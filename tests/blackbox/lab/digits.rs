//! Digits as they are on the wire: telephone events, and tones in the audio, made and heard by arithmetic of the test's own.

use super::{Codec, Recording, Sound};
use std::f64::consts::TAU;

/// The payload type of telephone events in every session description of a test.
pub const EVENT_TYPE: u8 = 101;
/// Level of an event, in -dBm0.
pub const EVENT_VOLUME: u8 = 10;

const KEYS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];
const PAD: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];
/// ITU-T Q.23.
const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// Each frequency of a tone that is sent: some -12 dBm0.
const AMPLITUDE: f64 = 4_000.0;

const RATE: usize = 8_000;
/// What is looked at, and how often: 20 ms each 5 ms.
const WINDOW: usize = 160;
const HOP: usize = 40;
/// Part of a window's energy that is in the two frequencies of a digit.
const SHARE: f64 = 0.85;
/// Shorter ones are no digit (ITU-T Q.24: most receivers take 40 ms).
const SHORTEST_MS: f64 = 35.0;

/// A digit that was heard, and how long it lasted in milliseconds.
pub type Pressed = (char, f64);

/// The number of a digit's event.
pub fn event_of(key: char) -> u8 {
    let place = KEYS.iter().position(|known| *known == key);
    place.expect("a digit") as u8
}

/// Silence of so long at 8 kHz, with these digits in it as tones: when, which, for how long.
pub fn with_tones(ms: usize, digits: &[(usize, char, usize)]) -> Sound {
    let mut samples = vec![0; ms * RATE / 1_000];
    for (at_ms, key, ms) in digits {
        let [low, high] = frequencies(*key);
        let from = at_ms * RATE / 1_000;
        for (place, sample) in samples[from..from + ms * RATE / 1_000]
            .iter_mut()
            .enumerate()
        {
            let time = place as f64 / RATE as f64;
            let value = (TAU * low * time).sin() + (TAU * high * time).sin();
            *sample = (value * AMPLITUDE) as i16;
        }
    }
    Sound {
        rate: RATE as u32,
        samples,
    }
}

fn frequencies(key: char) -> [f64; 2] {
    let mut rows = PAD.iter().zip(LOW);
    let (row, low) = rows.find(|(row, _)| row.contains(&key)).expect("a digit");
    let mut columns = row.iter().zip(HIGH);
    let (_, high) = columns.find(|(known, _)| **known == key).expect("in it");
    [low, high]
}

/// The digits that sound in it as tones.
pub fn tones(sound: &Sound) -> Vec<Pressed> {
    let samples: Vec<f64> = sound
        .at(RATE as u32)
        .samples
        .iter()
        .map(|sample| f64::from(*sample))
        .collect();
    let windows: Vec<(Option<char>, f64)> = samples
        .windows(WINDOW)
        .step_by(HOP)
        .map(|window| (digit_in(window), energy(window)))
        .collect();
    let mut found: Vec<Pressed> = Vec::new();
    for run in windows.chunk_by(|a, b| a.0 == b.0) {
        let Some(key) = run[0].0 else { continue };
        let full = run.iter().map(|(_, energy)| *energy).fold(0.0, f64::max);
        // Those at both ends have half of it at least.
        let count = run
            .iter()
            .filter(|(_, energy)| *energy > full / 2.0)
            .count();
        let ms = (count * HOP * 1_000 / RATE) as f64;
        if ms >= SHORTEST_MS {
            found.push((key, ms));
        }
    }
    found
}

fn digit_in(window: &[f64]) -> Option<char> {
    let all = energy(window);
    if all / (window.len() as f64) < 10_000.0 {
        return None;
    }
    let strongest = |group: &[f64; 4]| {
        let powers = group.map(|frequency| power_at(window, frequency));
        let place = (0..4).max_by(|a, b| powers[*a].total_cmp(&powers[*b]));
        let place = place.expect("four");
        (place, powers[place])
    };
    let ((row, low), (column, high)) = (strongest(&LOW), strongest(&HIGH));
    // The energy of a sine of this power at its frequency.
    let share = (low + high) * 2.0 / window.len() as f64 / all;
    let is_twisted = low > 8.0 * high || high > 8.0 * low;
    (share > SHARE && !is_twisted).then_some(PAD[row][column])
}

fn energy(window: &[f64]) -> f64 {
    window.iter().map(|sample| sample * sample).sum()
}

/// Goertzel's filter.
fn power_at(window: &[f64], frequency: f64) -> f64 {
    let coefficient = 2.0 * (TAU * frequency / RATE as f64).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in window {
        (last, before) = (sample + coefficient * last - before, last);
    }
    last * last + before * before - coefficient * last * before
}

impl Recording {
    /// The digits that came as telephone events, each with the duration of its last packet. Fails where one has no end, or
    /// more than one digit under one time stamp.
    pub fn events(&self) -> Vec<Pressed> {
        let mut found: Vec<(u32, char, u16, bool)> = Vec::new();
        for packet in &self.packets {
            if packet[1] & 0x7f != EVENT_TYPE {
                continue;
            }
            let stamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
            let [event, flags, high, low] = packet[12..16] else {
                unreachable!("four octets")
            };
            let key = KEYS[usize::from(event)];
            let (duration, is_end) = (u16::from_be_bytes([high, low]), flags & 0x80 != 0);
            match found.iter_mut().find(|(known, ..)| *known == stamp) {
                Some((_, known, longest, has_end)) => {
                    assert_eq!(*known, key, "one digit has one time stamp");
                    *longest = duration.max(*longest);
                    *has_end |= is_end;
                }
                None => found.push((stamp, key, duration, is_end)),
            }
        }
        assert!(found.iter().all(|(.., has_end)| *has_end), "{found:?}");
        let pressed = found.into_iter();
        pressed
            .map(|(_, key, duration, _)| (key, f64::from(duration) / 8.0))
            .collect()
    }

    /// The digits that came as tones; none where no audio came.
    pub fn tones(&self, codec: Codec) -> Vec<Pressed> {
        match self.of(codec.payload_type()).is_empty() {
            true => Vec::new(),
            false => tones(&self.sound(codec)),
        }
    }
}
