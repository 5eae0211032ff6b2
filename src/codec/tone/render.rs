//! A whole tone as samples: how it begins, and what is repeated then.

use super::{Generator, Rate, Tone};

/// The longest tone that is rendered, in seconds.
pub const RENDER_SECONDS_MAX: usize = 120;
/// A step without end is repeated after a second, which all its frequencies, whole numbers of Hz, come out even with.
const ENDLESS_MS: usize = 1000;

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Once.
    pub beginning: Vec<i16>,
    /// Over and over; empty for a tone that ends.
    pub cycle: Vec<i16>,
}

impl Tone {
    /// All of it at this rate. None if that is more than [`RENDER_SECONDS_MAX`].
    pub fn render(&self, rate: Rate) -> Option<Rendered> {
        let samples = |ms: usize| ms * rate.block() / 10;
        let mut lengths = Vec::new();
        let mut again = self.again;
        for (place, step) in self.steps.iter().enumerate() {
            match step.duration_ms {
                Some(ms) => lengths.push(samples(ms as usize)),
                None => {
                    lengths.push(samples(ENDLESS_MS));
                    again = Some(place);
                    break;
                }
            }
        }
        let whole: usize = lengths.iter().sum();
        let before = again.map_or(whole, |again| lengths[..again].iter().sum());
        if whole > RENDER_SECONDS_MAX * rate.hz() as usize {
            return None;
        }
        let mut beginning = vec![0; whole];
        Generator::new(self.clone(), rate).fill(&mut beginning);
        let cycle = beginning.split_off(before);
        Some(Rendered { beginning, cycle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> (usize, usize) {
        let tone = Tone::parse(text, -13.0).expect("a tone");
        let rendered = tone.render(Rate::Narrow).expect("it is short");
        (rendered.beginning.len(), rendered.cycle.len())
    }

    #[test]
    fn a_tone_has_a_beginning_and_a_cycle() {
        for (text, expected) in [
            ("440+480/2000,0/4000", (0, 48_000)),
            ("350+440", (0, 8_000)),
            ("!440/100,!0/100", (1_600, 0)),
            ("!350+440/100,!0/100,350+440", (1_600, 8_000)),
            ("!950/330,!1400/330,0/1000", (5_280, 8_000)),
            ("440/100,0", (800, 8_000)),
        ] {
            assert_eq!(render(text), expected, "{text}");
        }
    }

    #[test]
    fn a_tone_without_end_is_repeated_without_a_step() {
        let tone = Tone::parse("350+440", -13.0).expect("a tone");
        for rate in [Rate::Narrow, Rate::Wide] {
            let cycle = tone.render(rate).expect("it is short").cycle;
            let mut longer = vec![0; cycle.len() * 2];
            Generator::new(tone.clone(), rate).fill(&mut longer);
            let twice = cycle.iter().chain(&cycle);
            let worst = longer.iter().zip(twice).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(1), "{worst:?}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let tone = Tone::parse("440/121000", -13.0).expect("a tone");
        assert_eq!(tone.render(Rate::Wide), None);
    }
}
