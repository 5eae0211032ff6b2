//! Tones: what a caller hears of the network (dial, ringing, busy, congestion; ITU-T E.180), Asterisk's tone strings, and
//! DTMF digits (ITU-T Q.23).
//!
//! A [`Tone`] is a list of steps, each of some frequencies for some time, which repeats from one of them on or
//! ends. A [`Generator`] plays it in blocks at either rate: one oscillator for each frequency of a step, which keeps its
//! phase when the frequency changes, and begins at zero after silence. Levels are in dBm0: a sine of +3.17 dBm0 is as loud as
//! G.711 can carry.
//!
//! Limits: [`STEPS_MAX`] steps, [`FREQUENCIES_MAX`] frequencies at a time, [`HZ_MAX`], [`DURATION_MAX_MS`]. Nothing fails once a
//! tone exists; a block costs no allocation.

mod countries;
mod render;

pub use countries::{COUNTRIES, Country, Indication, country};
pub use render::{RENDER_SECONDS_MAX, Rendered};

use super::dtmf::Digit;
use super::{Rate, to_sample};
use std::sync::Arc;

/// Steps of a tone.
pub const STEPS_MAX: usize = 64;
/// Frequencies that sound together. E.180 has three at most.
pub const FREQUENCIES_MAX: usize = 4;
/// Highest frequency of a tone in Hz: what a telephone can be relied on to pass.
pub const HZ_MAX: u16 = 3_800;
/// Longest step of a stated duration, one hour.
pub const DURATION_MAX_MS: u32 = 3_600_000;

/// Longest [`Tone::cycle`], one minute.
pub const CYCLE_MAX_MS: u32 = 60_000;

/// The level of a tone, all its frequencies together, unless told otherwise. E.180 recommends -10 ± 5 dBm0.
pub const LEVEL_DBM0: f32 = -13.0;
/// The level of a digit's lower frequency, unless told otherwise (ETSI ES 201 235-2: 2 dB below the upper one).
pub const DTMF_LOW_DBM0: f32 = -9.0;
/// The level of a digit's upper frequency, unless told otherwise.
pub const DTMF_HIGH_DBM0: f32 = -7.0;

/// The part of the carrier's amplitude that `f1*f2` modulates, as Asterisk has it.
const MODULATION_DEPTH: f64 = 0.9;

/// The loudest sine that µ-law can carry (G.711 §3; A-law's is 0.03 dB less), here the one of full scale.
const OVERLOAD_DBM0: f32 = 3.17;

/// The peak of a sine of that level, in 16-bit samples.
pub fn peak_of_dbm0(level: f32) -> f32 {
    32_768.0 * 10.0_f32.powf((level - OVERLOAD_DBM0) / 20.0)
}

/// A tone with its cadence. Clones share the steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Tone {
    steps: Arc<[Step]>,
    /// The step that follows the last one; none if the tone ends there.
    again: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    sound: Sound,
    /// At least 1; without it the step lasts for ever.
    duration_ms: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sound {
    Silence,
    /// Sines added up; unused places have no amplitude.
    Sum([Component; FREQUENCIES_MAX]),
    /// The amplitude of the first follows the second.
    Modulated {
        carrier: Component,
        hz: u16,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Component {
    hz: u16,
    /// Of full scale 32768.
    peak: f32,
}

/// Why a tone string is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ToneError {
    /// It has no step.
    #[error("a tone needs a step such as 440+480/2000")]
    Empty,
    /// It has more than [`STEPS_MAX`].
    #[error("a tone may have {STEPS_MAX} steps")]
    TooManySteps,
    /// What stands for the frequencies of a step.
    #[error(
        "`{0}`: a step is f, f1+f2 or f1*f2, in Hz up to {HZ_MAX}, or 0 for silence, and /ms behind it"
    )]
    Frequency(String),
    /// What stands for the duration of a step.
    #[error("`{0}` is no duration in milliseconds, 1 to {DURATION_MAX_MS}")]
    Duration(String),
}

impl Tone {
    /// Reads a tone as Asterisk writes it in indications.conf and for Playtones: steps between commas, each a frequency, a sum
    /// `f1+f2` or a modulation `f1*f2` (90 % deep), with `/milliseconds` unless it goes on for ever, and a `!` before it if it is not
    /// to be repeated. The tone repeats from the first step without `!`; without one it ends.
    ///
    /// # Errors
    /// A string that is not of that form, or beyond the limits.
    pub fn parse(text: &str, level_dbm0: f32) -> Result<Tone, ToneError> {
        let mut steps = Vec::new();
        let mut again = None;
        for part in text.split([',', '|']).map(str::trim) {
            if part.is_empty() {
                continue;
            }
            if steps.len() == STEPS_MAX {
                return Err(ToneError::TooManySteps);
            }
            let once = part.strip_prefix('!');
            if once.is_none() && again.is_none() {
                again = Some(steps.len());
            }
            steps.push(Step::parse(once.unwrap_or(part), level_dbm0)?);
        }
        if steps.is_empty() {
            return Err(ToneError::Empty);
        }
        Ok(Tone {
            steps: steps.into(),
            again,
        })
    }

    /// A DTMF digit once, with the levels of its two frequencies (Q.23), followed by a pause; either lasts 1 ms at least.
    pub fn dtmf(digit: Digit, low_dbm0: f32, high_dbm0: f32, on_ms: u32, off_ms: u32) -> Tone {
        let (low, high) = digit.frequencies();
        let component = |hz, level| Component {
            hz,
            peak: peak_of_dbm0(level),
        };
        let mut sum = [Component::default(); FREQUENCIES_MAX];
        sum[0] = component(low, low_dbm0);
        sum[1] = component(high, high_dbm0);
        let step = |sound, ms: u32| Step {
            sound,
            duration_ms: Some(ms.clamp(1, DURATION_MAX_MS)),
        };
        Tone {
            steps: [step(Sound::Sum(sum), on_ms), step(Sound::Silence, off_ms)].into(),
            again: None,
        }
    }

    /// The tone as samples, to be played over and over: the steps that repeat, once, each without a duration for a second, which
    /// every frequency fills with whole periods. Of a tone that ends, all of it, to be played once. At most [`CYCLE_MAX_MS`].
    pub fn cycle(&self, rate: Rate) -> Vec<i16> {
        let second = |step: &Step| Step {
            duration_ms: step.duration_ms.or(Some(1000)),
            ..*step
        };
        let steps: Arc<[Step]> = self.steps[self.again.unwrap_or(0)..]
            .iter()
            .map(second)
            .collect();
        let ms = steps
            .iter()
            .filter_map(|step| step.duration_ms)
            .fold(0, u32::saturating_add)
            .min(CYCLE_MAX_MS);
        let mut samples = vec![0; ms as usize * rate.block() / 10];
        let once = Tone { steps, again: None };
        Generator::new(once, rate).fill(&mut samples);
        samples
    }

    /// Whether it goes on until it is stopped.
    pub fn is_endless(&self) -> bool {
        self.again.is_some() || self.steps.iter().any(|step| step.duration_ms.is_none())
    }
}

impl Step {
    fn parse(text: &str, level_dbm0: f32) -> Result<Step, ToneError> {
        let (frequencies, duration) = match text.split_once('/') {
            Some((frequencies, duration)) => (frequencies.trim(), Some(duration.trim())),
            None => (text, None),
        };
        let duration_ms = match duration {
            None | Some("0") => None,
            Some(text) => {
                let wrong = || ToneError::Duration(text.to_owned());
                let ms: u32 = text.parse().map_err(|_| wrong())?;
                Some(ms)
                    .filter(|ms| (1..=DURATION_MAX_MS).contains(ms))
                    .map(Some)
                    .ok_or_else(wrong)?
            }
        };
        let sound = Sound::parse(frequencies, level_dbm0)
            .ok_or_else(|| ToneError::Frequency(frequencies.to_owned()))?;
        Ok(Step { sound, duration_ms })
    }
}

impl Sound {
    fn parse(text: &str, level_dbm0: f32) -> Option<Sound> {
        let hz = |text: &str| -> Option<u16> {
            let hz = text.trim().parse().ok()?;
            (1..=HZ_MAX).contains(&hz).then_some(hz)
        };
        if text == "0" {
            return Some(Sound::Silence);
        }
        if let Some((carrier, modulator)) = text.split_once('*') {
            let carrier = Component {
                hz: hz(carrier)?,
                peak: peak_of_dbm0(level_dbm0),
            };
            let hz = hz(modulator)?;
            return Some(Sound::Modulated { carrier, hz });
        }
        let count = text.split('+').count();
        if count > FREQUENCIES_MAX {
            return None;
        }
        // The level is that of the whole.
        let peak = peak_of_dbm0(level_dbm0) / (count as f32).sqrt();
        let mut sum = [Component::default(); FREQUENCIES_MAX];
        for (component, text) in sum.iter_mut().zip(text.split('+')) {
            *component = Component {
                hz: hz(text)?,
                peak,
            };
        }
        Some(Sound::Sum(sum))
    }
}

/// Plays a tone, block by block.
#[derive(Clone, Debug)]
pub struct Generator {
    tone: Tone,
    rate: Rate,
    /// The step that sounds; none after the end.
    step: Option<usize>,
    /// Samples of the step still to come; none if it goes on for ever.
    left: Option<usize>,
    oscillators: [Oscillator; FREQUENCIES_MAX],
}

impl Generator {
    /// Begins the tone.
    pub fn new(tone: Tone, rate: Rate) -> Generator {
        let mut generator = Generator {
            tone,
            rate,
            step: None,
            left: None,
            oscillators: [Oscillator::default(); FREQUENCIES_MAX],
        };
        generator.begin(0);
        generator
    }

    /// Whether the tone has ended.
    pub fn is_over(&self) -> bool {
        self.step.is_none()
    }

    /// The next samples, of any count; silence after the end of the tone.
    pub fn fill(&mut self, mut block: &mut [i16]) {
        while !block.is_empty() {
            let Some(step) = self.step else {
                block.fill(0);
                return;
            };
            let count = self.left.unwrap_or(usize::MAX).min(block.len());
            let (now, later) = block.split_at_mut(count);
            self.sound(self.tone.steps[step].sound, now);
            block = later;
            if let Some(left) = &mut self.left {
                *left -= count;
                if *left == 0 {
                    self.advance(step + 1);
                }
            }
        }
    }

    fn advance(&mut self, next: usize) {
        if next < self.tone.steps.len() {
            self.begin(next);
            return;
        }
        match self.tone.again {
            Some(again) => self.begin(again),
            None => self.step = None,
        }
    }

    fn begin(&mut self, step: usize) {
        let Step { sound, duration_ms } = self.tone.steps[step];
        self.step = Some(step);
        self.left = duration_ms.map(|ms| ms as usize * self.rate.block() / 10);
        let mut frequencies = [0; FREQUENCIES_MAX];
        match sound {
            Sound::Silence => {}
            Sound::Sum(sum) => frequencies = sum.map(|component| component.hz),
            Sound::Modulated { carrier, hz } => frequencies[..2].copy_from_slice(&[carrier.hz, hz]),
        }
        for (oscillator, hz) in self.oscillators.iter_mut().zip(frequencies) {
            oscillator.tune(hz, self.rate);
        }
    }

    fn sound(&mut self, sound: Sound, block: &mut [i16]) {
        match sound {
            Sound::Silence => block.fill(0),
            Sound::Sum(sum) => {
                let count = sum.iter().filter(|component| component.hz > 0).count();
                let peaks = sum.map(|component| f64::from(component.peak));
                for sample in block.iter_mut() {
                    let parts = self.oscillators[..count].iter_mut().zip(&peaks);
                    let value: f64 = parts
                        .map(|(oscillator, peak)| peak * oscillator.next())
                        .sum();
                    *sample = to_sample(value as f32);
                }
            }
            Sound::Modulated { carrier, .. } => {
                let [main, other, ..] = &mut self.oscillators;
                let peak = f64::from(carrier.peak) / (1.0 + MODULATION_DEPTH);
                for sample in block.iter_mut() {
                    let swell = 1.0 + MODULATION_DEPTH * other.next();
                    *sample = to_sample((peak * swell * main.next()) as f32);
                }
            }
        }
        for oscillator in &mut self.oscillators {
            oscillator.normalize();
        }
    }
}

/// A sine, made by turning a vector. In 64 bits its error stays below the 16th bit for days.
#[derive(Clone, Copy, Debug)]
struct Oscillator {
    /// 0 while it is not used.
    hz: u16,
    /// What each sample turns it by: cosine and sine.
    turn: (f64, f64),
    vector: (f64, f64),
}

impl Default for Oscillator {
    fn default() -> Oscillator {
        Oscillator {
            hz: 0,
            turn: (1.0, 0.0),
            vector: (1.0, 0.0),
        }
    }
}

impl Oscillator {
    /// Another frequency in the same phase, or silence, after which the phase is 0.
    fn tune(&mut self, hz: u16, rate: Rate) {
        if hz == 0 {
            *self = Oscillator::default();
            return;
        }
        let angle = std::f64::consts::TAU * f64::from(hz) / f64::from(rate.hz());
        self.hz = hz;
        self.turn = (angle.cos(), angle.sin());
    }

    fn next(&mut self) -> f64 {
        let ((x, y), (cos, sin)) = (self.vector, self.turn);
        self.vector = (x * cos - y * sin, x * sin + y * cos);
        y
    }

    /// Takes rounding out of the vector's length.
    fn normalize(&mut self) {
        let (x, y) = self.vector;
        let length = x.hypot(y);
        self.vector = (x / length, y / length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{amplitude, db, rms};

    const RATES: [Rate; 2] = [Rate::Narrow, Rate::Wide];

    fn play(tone: &Tone, rate: Rate, ms: usize) -> Vec<i16> {
        let mut generator = Generator::new(tone.clone(), rate);
        let mut sound = vec![0; ms * rate.block() / 10];
        // Blocks that do not divide the steps.
        sound.chunks_mut(77).for_each(|block| generator.fill(block));
        sound
    }

    fn parse(text: &str) -> Tone {
        Tone::parse(text, LEVEL_DBM0).expect(text)
    }

    #[test]
    fn a_tone_has_its_frequencies_at_its_level() {
        for rate in RATES {
            for (text, frequencies) in [("425", vec![425.0]), ("350+440", vec![350.0, 440.0])] {
                let sound = play(&parse(text), rate, 1000);
                let each = LEVEL_DBM0 - 10.0 * (frequencies.len() as f32).log10();
                for hz in &frequencies {
                    let off = db(amplitude(&sound, *hz, rate.hz()) / f64::from(peak_of_dbm0(each)));
                    assert!(
                        off.abs() < 0.05,
                        "{text} at {rate:?}: {hz} Hz off by {off} dB"
                    );
                }
                let whole = db(rms(&sound) * 2.0_f64.sqrt() / f64::from(peak_of_dbm0(LEVEL_DBM0)));
                assert!(whole.abs() < 0.05, "{text} at {rate:?}: {whole} dB");
            }
        }
        assert!((peak_of_dbm0(OVERLOAD_DBM0) - 32768.0).abs() < 1.0);
    }

    #[test]
    fn a_modulated_tone_has_its_side_bands() {
        let sound = play(&parse("400*25"), Rate::Narrow, 2000);
        let peak = f64::from(peak_of_dbm0(LEVEL_DBM0)) / 1.9;
        for (hz, part) in [(400.0, 1.0), (375.0, 0.45), (425.0, 0.45), (350.0, 0.0)] {
            let found = amplitude(&sound, hz, 8000) / peak;
            assert!((found - part).abs() < 0.01, "{hz}: {found} for {part}");
        }
    }

    #[test]
    fn the_cadence_is_kept_to_the_sample() {
        let us = parse("440+480/2000,0/4000");
        for rate in RATES {
            let sound = play(&us, rate, 9000);
            let second = rate.hz() as usize;
            assert!(rms(&sound[..2 * second]) > 1000.0);
            assert!(
                sound[2 * second..6 * second]
                    .iter()
                    .all(|sample| *sample == 0)
            );
            assert_eq!(sound[6 * second..8 * second], sound[..2 * second]);
            assert!(sound[8 * second..].iter().all(|sample| *sample == 0));
        }
        assert!(us.is_endless());
    }

    #[test]
    fn steps_once_come_once_and_a_tone_of_them_ends() {
        let tone = parse("!950/330,!1400/330,!1800/330");
        let mut generator = Generator::new(tone.clone(), Rate::Narrow);
        generator.fill(&mut [0; 3 * 330 * 8 - 1]);
        assert!(!generator.is_over());
        generator.fill(&mut [0; 1]);
        assert!(generator.is_over() && !tone.is_endless());
        let mut rest = [1; 100];
        generator.fill(&mut rest);
        assert_eq!(rest, [0; 100]);

        let recall = parse("!350+440/100,!0/100,425/50,0/50");
        let sound = play(&recall, Rate::Narrow, 500);
        assert_eq!(sound[300 * 8..400 * 8], sound[200 * 8..300 * 8]);
        assert_ne!(sound[..100 * 8], sound[200 * 8..300 * 8]);
        // A step without a duration is the last that is heard.
        let dial = parse("!425/100,!0/100,425");
        assert!(dial.is_endless());
        assert!(rms(&play(&dial, Rate::Narrow, 60_000)[59_000 * 8..]) > 1000.0);
    }

    #[test]
    fn a_cycle_is_the_tone_when_it_is_repeated() {
        for text in [
            "425",
            "440+480/2000,0/4000",
            "400*25/400,0/200",
            "950/330,1400/330,1800/330,0/1000",
        ] {
            for rate in RATES {
                let cycle = parse(text).cycle(rate);
                let sound = play(&parse(text), rate, 9000);
                for (n, (sample, repeated)) in sound.iter().zip(cycle.iter().cycle()).enumerate() {
                    assert!((sample - repeated).abs() <= 1, "{text} at {rate:?}, {n}");
                }
            }
        }
        // What comes once is left out, unless there is nothing else.
        assert_eq!(
            parse("!950/330,425/500,0/500").cycle(Rate::Narrow).len(),
            8000
        );
        assert_eq!(
            parse("!950/330,!1400/330").cycle(Rate::Narrow).len(),
            660 * 8
        );
        assert_eq!(parse("425/3600000").cycle(Rate::Narrow).len(), 60 * 8000);
    }

    #[test]
    fn a_change_of_frequency_does_not_click() {
        let sound = play(&parse("425/103,480/101,425/99"), Rate::Narrow, 3000);
        let step = |w: &[i16]| (i32::from(w[1]) - i32::from(w[0])).abs();
        let largest = sound.windows(2).map(step).max().expect("samples");
        let steepest = peak_of_dbm0(LEVEL_DBM0) * (std::f32::consts::TAU * 480.0 / 8000.0);
        assert!(largest as f32 <= steepest + 1.0, "{largest} {steepest}");
    }

    #[test]
    fn what_is_no_tone_is_refused() {
        use ToneError::{Duration, Empty, Frequency, TooManySteps};
        for (text, error) in [
            ("", Empty),
            (" , ", Empty),
            ("abc", Frequency("abc".into())),
            ("440+", Frequency("440+".into())),
            ("440*", Frequency("440*".into())),
            ("0*25", Frequency("0*25".into())),
            ("4000", Frequency("4000".into())),
            ("1+2+3+4+5", Frequency("1+2+3+4+5".into())),
            ("440/x", Duration("x".into())),
            ("440/-1", Duration("-1".into())),
            ("440/3600001", Duration("3600001".into())),
            (&"0/1,".repeat(65), TooManySteps),
        ] {
            assert_eq!(Tone::parse(text, 0.0), Err(error), "{text}");
        }
        assert_eq!(
            parse(" 440 + 480 / 2000 | 0 / 4000 "),
            parse("440+480/2000,0/4000")
        );
    }

    #[test]
    fn every_digit_has_its_two_frequencies_and_levels() {
        for rate in RATES {
            for digit in Digit::ALL {
                let tone = Tone::dtmf(digit, DTMF_LOW_DBM0, DTMF_HIGH_DBM0, 500, 100);
                let sound = play(&tone, rate, 600);
                let (low, high) = digit.frequencies();
                let on = &sound[..500 * rate.block() / 10];
                for (hz, level) in [(low, DTMF_LOW_DBM0), (high, DTMF_HIGH_DBM0)] {
                    let found = amplitude(on, f64::from(hz), rate.hz());
                    let off = db(found / f64::from(peak_of_dbm0(level)));
                    assert!(
                        off.abs() < 0.05,
                        "{digit:?} at {rate:?}: {hz} Hz off by {off} dB"
                    );
                }
                assert!(sound[on.len()..].iter().all(|sample| *sample == 0));
            }
        }
    }

    #[test]
    fn every_country_has_its_tones() {
        for place in COUNTRIES {
            for indication in Indication::ALL {
                let tone = place.tone(indication, LEVEL_DBM0);
                let sound = play(&tone, Rate::Narrow, 1000);
                assert!(rms(&sound) > 500.0, "{} {indication:?}", place.code);
            }
            assert!(country(&place.code.to_uppercase()).is_some());
            assert!(place.tone(Indication::Ring, LEVEL_DBM0).is_endless());
        }
        for code in [
            "us", "uk", "de", "fr", "it", "es", "nl", "be", "at", "ch", "pl", "se", "no", "dk",
            "fi", "pt", "ie", "au", "nz", "jp", "br", "in", "za", "ru", "cn", "mx",
        ] {
            assert!(country(code).is_some(), "{code}");
        }
        assert!(country("gb").is_some_and(|uk| uk.code == "uk"));
        assert_eq!(country("xx"), None);
        let codes: std::collections::BTreeSet<_> = COUNTRIES.iter().map(|c| c.code).collect();
        assert_eq!(codes.len(), COUNTRIES.len());
    }
}
