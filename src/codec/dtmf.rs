//! DTMF digits (ITU-T Q.23) and their detection in audio (ITU-T Q.24), at 8 kHz.
//!
//! Every 10 ms the last 20 ms are looked at under a Hann window, by a Goertzel filter for each of the eight frequencies. Such
//! a window *has* a digit if one frequency of either group
//!
//! - is loud enough, [`LEVEL_MIN_DBM0`] (Q.24: 0 to -25 dBm are to be accepted);
//! - is not too different in level from the other, the twist: the high one 4 dB above to 8 dB below the low one (and half a dB more);
//! - is where it should be: 1.5 % and 2 Hz off are to be accepted, 3.5 % to be rejected. The phase from one window to the next tells the
//!   frequency to a fraction of a hertz; the limit is 2.4 %. What is lost of its level by being off is added again;
//! - and the two are nearly all that is heard, [`PURITY_MIN`] of the energy, which is what tells digits from speech.
//!
//! ```text
//!          two windows in a row have the digit,            no window has a quarter of
//!          30 ms of it were heard                          its level, two in a row
//!  Nothing ───────────────────────────────────► Digit ───────────────────────────────► Nothing
//!                      Start                                        End
//! ```
//!
//! So a digit of 40 ms is always found and one of 23 ms never; a pause of 40 ms always ends a digit and an interruption of
//! 10 ms never does. A digit is told 30 to 50 ms after its beginning, its end 30 to 40 ms after it. How long a digit was is the energy
//! heard over that of its level, so it is not bound to the blocks.
//!
//! Nothing fails; there is no allocation.

use super::tone::peak_of_dbm0;
use std::f32::consts::TAU;

/// One of the sixteen digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digit(u8);

const LOW_HZ: [u16; 4] = [697, 770, 852, 941];
const HIGH_HZ: [u16; 4] = [1209, 1336, 1477, 1633];
/// The digits by event code.
const SYMBOLS: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D',
];
/// Event codes by row and column of the keypad.
const KEYPAD: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

impl Digit {
    /// Every digit, by event code.
    pub const ALL: [Digit; 16] = {
        let mut all = [Digit(0); 16];
        let mut code = 0;
        while code < 16 {
            all[code] = Digit(code as u8);
            code += 1;
        }
        all
    };

    /// The digit with that event code (RFC 4733 §3.2: 0 to 9, 10 is *, 11 is #, 12 to 15 are A to D).
    pub fn from_event(code: u8) -> Option<Digit> {
        (code < 16).then_some(Digit(code))
    }

    /// Its event code, 0 to 15 (RFC 4733 §3.2).
    pub fn event(self) -> u8 {
        self.0
    }

    /// The digit that is written so: `0` to `9`, `*`, `#`, `A` to `D` in either case.
    pub fn from_char(symbol: char) -> Option<Digit> {
        let symbol = symbol.to_ascii_uppercase();
        let code = SYMBOLS.iter().position(|other| *other == symbol)?;
        Some(Digit(code as u8))
    }

    /// How it is written.
    pub fn symbol(self) -> char {
        SYMBOLS[usize::from(self.0)]
    }

    /// Its lower and its upper frequency in Hz (Q.23 §1).
    pub fn frequencies(self) -> (u16, u16) {
        let place = (0..16).find(|place| KEYPAD[place / 4][place % 4] == self.0);
        let place = place.expect("the keypad has every event code");
        (LOW_HZ[place / 4], HIGH_HZ[place % 4])
    }
}

impl std::fmt::Debug for Digit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digit({})", self.symbol())
    }
}

/// What the detector found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A digit is heard.
    Start(Digit),
    /// It is heard no more.
    End {
        /// Which one.
        digit: Digit,
        /// How long it was heard, in milliseconds.
        duration_ms: u32,
    },
}

/// Samples of a block, 10 ms.
const BLOCK: usize = 80;
/// Samples of a window.
const WINDOW: usize = 2 * BLOCK;
/// The least level of either frequency.
pub const LEVEL_MIN_DBM0: f32 = -27.0;
/// The part of the energy that the two frequencies must have.
pub const PURITY_MIN: f32 = 0.82;
/// How much louder, in dB, the high frequency may be than the low one, and how much softer.
const TWIST_DB: (f32, f32) = (4.5, 8.5);
/// How far off a frequency may be, of its own.
const OFF_MAX: f32 = 0.024;
/// What must have been heard of a digit, in blocks.
const HEARD_MIN: f32 = 2.9;
/// The part of a digit's amplitude under which a window does not have it any more.
const GONE: f32 = 0.25;
/// The amplitude of a sine over the magnitude of its Goertzel filter: the window's sum is half its length.
const AMPLITUDE: f32 = 2.0 / (WINDOW as f32 / 2.0);
/// The sum of the window's squares: three eighths of its length.
const WINDOW_ENERGY: f32 = WINDOW as f32 * 3.0 / 8.0;

/// Finds the digits in a stream of audio.
#[derive(Clone, Debug)]
pub struct Detector {
    /// The Hann window.
    taper: [f32; WINDOW],
    /// `2 cos ω`, `cos ω` and `sin ω` of the eight frequencies, the low ones first.
    twice_cos: [f32; 8],
    cos_sin: [(f32, f32); 8],
    /// The block before.
    last: [i16; BLOCK],
    /// The mean power of the last blocks, the newest first: as many as may belong to a digit that is found now.
    power: [f32; 4],
    /// The window before.
    before: Spectrum,
    /// Whether the window before had a digit, and which.
    had: Option<Digit>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Nothing,
    Digit {
        digit: Digit,
        /// The amplitudes of its frequencies when it was found.
        amplitudes: (f32, f32),
        /// What was heard of it, in blocks.
        heard: f32,
        /// Windows in a row that did not have it.
        missed: u8,
    },
}

/// A window at the eight frequencies.
#[derive(Clone, Copy, Debug)]
struct Spectrum {
    real: [f32; 8],
    imaginary: [f32; 8],
}

const SILENCE: Spectrum = Spectrum {
    real: [0.0; 8],
    imaginary: [0.0; 8],
};

/// A digit that a window has.
#[derive(Clone, Copy, Debug)]
struct Found {
    digit: Digit,
    amplitudes: (f32, f32),
}

impl Default for Detector {
    fn default() -> Detector {
        let mut taper = [0.0; WINDOW];
        for (at, weight) in taper.iter_mut().enumerate() {
            *weight = 0.5 - 0.5 * (TAU * (at as f32 + 0.5) / WINDOW as f32).cos();
        }
        let angles: [f32; 8] = std::array::from_fn(|at| TAU * hz_at(at) / 8000.0);
        Detector {
            taper,
            twice_cos: angles.map(|angle| 2.0 * angle.cos()),
            cos_sin: angles.map(|angle| (angle.cos(), angle.sin())),
            last: [0; BLOCK],
            power: [0.0; 4],
            before: SILENCE,
            had: None,
            state: State::Nothing,
        }
    }
}

/// The frequency at one of the eight places.
fn hz_at(place: usize) -> f32 {
    f32::from(if place < 4 {
        LOW_HZ[place]
    } else {
        HIGH_HZ[place - 4]
    })
}

impl Detector {
    /// Hears the next 10 ms at 8 kHz.
    pub fn block(&mut self, block: &[i16; BLOCK]) -> Option<Event> {
        let mut window = [0.0; WINDOW];
        let samples = self.last.iter().chain(block);
        for ((place, sample), weight) in window.iter_mut().zip(samples).zip(&self.taper) {
            *place = f32::from(*sample) * weight;
        }
        self.last = *block;
        self.power.rotate_right(1);
        self.power[0] = power(block);
        // Nothing can be found in a window that is too soft, and the filters are the cost of it all.
        let energy: f32 = window.iter().map(|sample| sample * sample).sum();
        let least = peak_of_dbm0(LEVEL_MIN_DBM0).powi(2) * WINDOW_ENERGY / 2.0;
        let spectrum = if energy < least {
            SILENCE
        } else {
            self.transform(&window)
        };
        let found = self.judge(&spectrum, energy);
        self.before = spectrum;
        let event = self.advance(&spectrum, found);
        self.had = found.map(|found| found.digit);
        event
    }

    /// Goertzel's filter at all eight frequencies side by side.
    fn transform(&self, window: &[f32; WINDOW]) -> Spectrum {
        let (mut one, mut two) = ([0.0_f32; 8], [0.0_f32; 8]);
        for sample in window {
            let mut next = [0.0; 8];
            for (place, next) in next.iter_mut().enumerate() {
                *next = sample + self.twice_cos[place] * one[place] - two[place];
            }
            (two, one) = (one, next);
        }
        let mut spectrum = SILENCE;
        for (place, (cos, sin)) in self.cos_sin.iter().enumerate() {
            spectrum.real[place] = one[place] - two[place] * cos;
            spectrum.imaginary[place] = two[place] * sin;
        }
        spectrum
    }

    /// The digit that the window has.
    fn judge(&self, spectrum: &Spectrum, energy: f32) -> Option<Found> {
        let (low, high) = (spectrum.strongest(0..4), spectrum.strongest(4..8));
        let amplitudes = (
            self.amplitude_near(spectrum, low)?,
            self.amplitude_near(spectrum, high)?,
        );
        let least = peak_of_dbm0(LEVEL_MIN_DBM0);
        if amplitudes.0 < least || amplitudes.1 < least {
            return None;
        }
        let twist = 20.0 * (amplitudes.1 / amplitudes.0).log10();
        if twist > TWIST_DB.0 || twist < -TWIST_DB.1 {
            return None;
        }
        let pair = pair_power(amplitudes) * WINDOW_ENERGY;
        (pair >= PURITY_MIN * energy).then_some(Found {
            digit: Digit(KEYPAD[low][high - 4]),
            amplitudes,
        })
    }

    /// The amplitude of a sine near one of the frequencies, if it is near enough.
    fn amplitude_near(&self, spectrum: &Spectrum, place: usize) -> Option<f32> {
        let (now, before) = (spectrum.at(place), self.before.at(place));
        if before == (0.0, 0.0) {
            return None;
        }
        // How much further the phase went from window to window than at the nominal frequency.
        let real = now.0 * before.0 + now.1 * before.1;
        let imaginary = now.1 * before.0 - now.0 * before.1;
        let turns = (imaginary.atan2(real)) / TAU - hz_at(place) * BLOCK as f32 / 8000.0;
        let off = (turns - turns.round()) * 8000.0 / BLOCK as f32;
        if off.abs() > OFF_MAX * hz_at(place) {
            return None;
        }
        Some(spectrum.amplitude(place) / response(off))
    }

    fn advance(&mut self, spectrum: &Spectrum, found: Option<Found>) -> Option<Event> {
        match &mut self.state {
            State::Nothing => {
                let Found { digit, amplitudes } = found?;
                let heard: f32 = self
                    .power
                    .iter()
                    .map(|power| part_of(*power, amplitudes))
                    .sum();
                if self.had != Some(digit) || heard < HEARD_MIN {
                    return None;
                }
                self.state = State::Digit {
                    digit,
                    amplitudes,
                    heard,
                    missed: 0,
                };
                Some(Event::Start(digit))
            }
            State::Digit {
                digit,
                amplitudes,
                heard,
                missed,
            } => {
                let another = found.is_some_and(|found| found.digit != *digit);
                if !another && spectrum.still_has(*digit, *amplitudes) {
                    *missed = 0;
                    *heard += part_of(self.power[0], *amplitudes);
                    return None;
                }
                *missed += 1;
                if *missed < 2 && !another {
                    return None;
                }
                let event = Event::End {
                    digit: *digit,
                    duration_ms: (*heard * 10.0).round() as u32,
                };
                self.state = State::Nothing;
                Some(event)
            }
        }
    }
}

impl Spectrum {
    fn at(&self, place: usize) -> (f32, f32) {
        (self.real[place], self.imaginary[place])
    }

    /// The amplitude of a sine at the frequency of that place.
    fn amplitude(&self, place: usize) -> f32 {
        self.real[place].hypot(self.imaginary[place]) * AMPLITUDE
    }

    fn strongest(&self, places: std::ops::Range<usize>) -> usize {
        let square = |place: &usize| self.real[*place].powi(2) + self.imaginary[*place].powi(2);
        places
            .max_by(|a, b| square(a).total_cmp(&square(b)))
            .expect("a group has four frequencies")
    }

    fn still_has(&self, digit: Digit, amplitudes: (f32, f32)) -> bool {
        let (low, high) = digit.frequencies();
        let place = |hz: u16, group: &[u16; 4]| group.iter().position(|other| *other == hz);
        let low = place(low, &LOW_HZ).unwrap_or(0);
        let high = place(high, &HIGH_HZ).unwrap_or(0) + 4;
        self.amplitude(low) >= GONE * amplitudes.0 && self.amplitude(high) >= GONE * amplitudes.1
    }
}

/// What a Hann window of 20 ms leaves of a sine that is so many Hz beside its frequency.
fn response(off: f32) -> f32 {
    let bins = off * WINDOW as f32 / 8000.0;
    let angle = std::f32::consts::PI * bins;
    let sinc = if angle.abs() < 1e-3 {
        1.0
    } else {
        angle.sin() / angle
    };
    sinc / (1.0 - bins * bins)
}

/// The mean power of two sines.
fn pair_power((low, high): (f32, f32)) -> f32 {
    (low * low + high * high) / 2.0
}

fn power(block: &[i16; BLOCK]) -> f32 {
    let energy: f32 = block.iter().map(|sample| f32::from(*sample).powi(2)).sum();
    energy / BLOCK as f32
}

/// How much of a block two sines of those amplitudes were heard, if nothing else was.
fn part_of(power: f32, amplitudes: (f32, f32)) -> f32 {
    (power / pair_power(amplitudes)).min(1.0)
}

#[cfg(test)]
mod tests;
