//! Comfort noise (RFC 3389): its payload, and the noise that it describes.
//!
//! Whoever suppresses silence sends, now and then, how loud the noise around the speaker is and, if they like, how it sounds: the
//! reflection coefficients of an all-pole filter. [`Generator`] makes such noise: white noise, always the same one for
//! a seed, through the lattice of that filter. What a payload changes is not changed at once but in some 100 ms, as steps
//! in noise are heard. Before the first payload there is silence.
//!
//! The coefficients are those of `A(z) = 1 + Σ a z^-i` with `a = k` for the newest (so `k₁ < 0` where low frequencies prevail);
//! the RFC leaves the sign open, and this is what is in use. They belong to the rate of the stream, 8 or 16 kHz.
//!
//! Nothing fails but the reading of a payload; there is no allocation.

use super::to_sample;

/// Reflection coefficients that are used; further ones are left out, as RFC 3389 §3 allows.
pub const ORDER_MAX: usize = 10;
/// Octets of the longest payload that is written.
pub const PAYLOAD_MAX: usize = 1 + ORDER_MAX;

/// The softest level, in -dBov.
const LEVEL_MAX: u8 = 127;
/// 0 dBov: a square wave of full scale (RFC 3389 §3.1).
const OVERLOAD: f32 = 32_767.0;
/// A coefficient of no effect (§3.2).
const FLAT: u8 = 127;
/// Beyond it a filter would ring for seconds.
const REFLECTION_MAX: f32 = 0.995;
/// The part of a change that each block makes: nine tenths in 60 to 70 ms.
const CHANGE: f32 = 0.3;

/// What one packet of comfort noise says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The level below the overload point in dB, 0 to 127.
    level: u8,
    /// As they are sent; those beyond the order have no effect.
    reflection: [u8; ORDER_MAX],
    order: usize,
}

impl Payload {
    /// Noise that is so many dB below the overload point, without a shape. Beyond 127 is 127.
    pub fn of_level(level: u8) -> Payload {
        Payload {
            level: level.min(LEVEL_MAX),
            reflection: [FLAT; ORDER_MAX],
            order: 0,
        }
    }

    /// Noise that is as loud as those samples.
    pub fn of_samples(samples: &[i16]) -> Payload {
        let energy: f32 = samples.iter().map(|s| f32::from(*s).powi(2)).sum();
        let rms = (energy / samples.len().max(1) as f32).sqrt();
        let below = -20.0 * (rms / OVERLOAD).max(1e-7).log10();
        // A cast saturates; silence is far beyond the softest level.
        Payload::of_level(below.round() as u8)
    }

    /// Reads a payload; none if it is empty. The bit above the level means nothing (§3.1).
    pub fn parse(payload: &[u8]) -> Option<Payload> {
        let (level, coefficients) = payload.split_first()?;
        let mut reflection = [FLAT; ORDER_MAX];
        let order = coefficients.len().min(ORDER_MAX);
        reflection[..order].copy_from_slice(&coefficients[..order]);
        Some(Payload {
            level: level & LEVEL_MAX,
            reflection,
            order,
        })
    }

    /// Writes it to the beginning of a buffer; how many octets it took.
    pub fn write(&self, buffer: &mut [u8; PAYLOAD_MAX]) -> usize {
        buffer[0] = self.level;
        buffer[1..].copy_from_slice(&self.reflection);
        1 + self.order
    }

    /// The level in dB below the overload point, 0 to 127.
    pub fn level(&self) -> u8 {
        self.level
    }

    fn reflection(&self) -> [f32; ORDER_MAX] {
        self.reflection.map(|octet| {
            let k = 258.0 * (f32::from(octet) - 127.0) / 32_768.0;
            k.clamp(-REFLECTION_MAX, REFLECTION_MAX)
        })
    }
}

/// What noise is at a time, or shall be.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// Root mean square in samples.
    level: f32,
    reflection: [f32; ORDER_MAX],
}

impl Shape {
    fn of(payload: &Payload) -> Shape {
        let level = match payload.level {
            LEVEL_MAX => 0.0,
            level => OVERLOAD * 10.0_f32.powf(-f32::from(level) / 20.0),
        };
        Shape {
            level,
            reflection: payload.reflection(),
        }
    }

    fn approach(&mut self, goal: &Shape) {
        self.level += CHANGE * (goal.level - self.level);
        for (k, goal) in self.reflection.iter_mut().zip(goal.reflection) {
            *k += CHANGE * (goal - *k);
        }
    }

    /// What white noise of power 1 is multiplied with, for the filter to give that level: an all-pole lattice multiplies the
    /// power by `Π 1/(1-k²)`.
    fn gain(&self) -> f32 {
        let filter: f32 = self.reflection.iter().map(|k| 1.0 - k * k).product();
        self.level * filter.sqrt()
    }
}

/// Makes the noise of one stream.
#[derive(Clone, Debug)]
pub struct Generator {
    random: u32,
    /// None until the first payload.
    shapes: Option<Shapes>,
    /// The lattice's backward signals, one sample old.
    lattice: [f32; ORDER_MAX],
}

#[derive(Clone, Copy, Debug)]
struct Shapes {
    now: Shape,
    goal: Shape,
}

impl Generator {
    /// Silence at first; the same noise for the same seed.
    pub fn new(seed: u32) -> Generator {
        Generator {
            random: seed,
            shapes: None,
            lattice: [0.0; ORDER_MAX],
        }
    }

    /// From here on the noise becomes what a payload says.
    pub fn update(&mut self, payload: &Payload) {
        let goal = Shape::of(payload);
        let now = self.shapes.map_or(goal, |shapes| shapes.now);
        self.shapes = Some(Shapes { now, goal });
    }

    /// The next 10 ms, or any other time in which the noise may change a little.
    pub fn fill(&mut self, block: &mut [i16]) {
        let Some(shapes) = &mut self.shapes else {
            block.fill(0);
            return;
        };
        let mut gain = shapes.now.gain();
        shapes.now.approach(&shapes.goal);
        let step = (shapes.now.gain() - gain) / block.len().max(1) as f32;
        let reflection = shapes.now.reflection;
        for sample in block {
            gain += step;
            let white = gain * self.white();
            *sample = to_sample(self.filter(white, &reflection));
        }
    }

    /// White noise of power 1, evenly spread.
    fn white(&mut self) -> f32 {
        // The multiplier and increment of a congruential generator of full period (Numerical Recipes).
        self.random = self
            .random
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        let even = self.random as i32 as f32 / 2_147_483_648.0;
        even * 3.0_f32.sqrt()
    }

    /// One sample through the all-pole lattice.
    fn filter(&mut self, input: f32, reflection: &[f32; ORDER_MAX]) -> f32 {
        let mut forward = input;
        for place in (0..ORDER_MAX).rev() {
            forward -= reflection[place] * self.lattice[place];
            if place + 1 < ORDER_MAX {
                self.lattice[place + 1] = reflection[place] * forward + self.lattice[place];
            }
        }
        self.lattice[0] = forward;
        forward
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{db, rms, sine};

    fn dbov(samples: &[i16]) -> f64 {
        db(rms(samples) / f64::from(OVERLOAD))
    }

    fn play(generator: &mut Generator, blocks: usize) -> Vec<i16> {
        let mut noise = vec![0; 80 * blocks];
        noise.chunks_mut(80).for_each(|block| generator.fill(block));
        noise
    }

    /// The part of the power that is below 1/4 of the rate: a sum of neighbours passes it, a difference what is above.
    fn low_part(noise: &[i16]) -> f64 {
        let pairs = |sign: i32| -> f64 {
            let power = |w: &[i16]| f64::from(i32::from(w[0]) + sign * i32::from(w[1])).powi(2);
            noise.windows(2).map(power).sum()
        };
        pairs(1) / (pairs(1) + pairs(-1))
    }

    #[test]
    fn a_payload_is_read_and_written() {
        let octets = [0x21, 9, 0xe6, 0x32];
        let payload = Payload::parse(&octets).expect("a payload");
        assert_eq!(payload.level(), 33);
        let mut buffer = [0; PAYLOAD_MAX];
        let length = payload.write(&mut buffer);
        assert_eq!(buffer[..length], octets);
        assert_eq!(Payload::parse(&[]), None);
        assert_eq!(Payload::parse(&[0x80 | 70]), Some(Payload::of_level(70)));
        let long = Payload::parse(&[7; 40]).expect("a payload");
        assert_eq!(long.write(&mut buffer), PAYLOAD_MAX);
        // RFC 3389 §3.2: 127 is 0, one step is 258/32768.
        let k = Payload::parse(&[0, 127, 128, 0, 254, 255])
            .expect("a payload")
            .reflection();
        assert_eq!(k[..2], [0.0, 258.0 / 32768.0]);
        assert_eq!(k[2..5], [-REFLECTION_MAX, REFLECTION_MAX, REFLECTION_MAX]);
    }

    #[test]
    fn the_noise_has_its_level() {
        for level in [20, 40, 60, 75] {
            let mut generator = Generator::new(1);
            generator.update(&Payload::of_level(level));
            let noise = play(&mut generator, 200);
            let off = dbov(&noise) + f64::from(level);
            assert!(off.abs() < 0.5, "-{level} dBov: off by {off}");
            assert!((0.48..0.52).contains(&low_part(&noise)));
        }
        let mut generator = Generator::new(1);
        assert_eq!(play(&mut generator, 2), [0; 160]);
        generator.update(&Payload::of_level(127));
        assert_eq!(play(&mut generator, 2), [0; 160]);
    }

    /// What libavcodec's encoder sends for noise below 600 Hz, and for noise above 3 kHz.
    #[test]
    fn the_noise_has_its_shape() {
        let low = [
            0x21, 0x09, 0xe6, 0x32, 0xb8, 0x5a, 0xa9, 0x53, 0x97, 0x63, 0x9c,
        ];
        let high = [
            0x20, 0xe9, 0xdf, 0xc0, 0xba, 0x9e, 0xb1, 0xa7, 0x9f, 0x97, 0x94,
        ];
        for (octets, level, part) in [(low, -33.0, 0.9..1.0), (high, -32.0, 0.0..0.2)] {
            let mut generator = Generator::new(5);
            generator.update(&Payload::parse(&octets).expect("a payload"));
            let noise = play(&mut generator, 400);
            let found = low_part(&noise);
            assert!(part.contains(&found), "{found}");
            assert!(
                (dbov(&noise[800..]) - level).abs() < 1.0,
                "{}",
                dbov(&noise)
            );
        }
    }

    #[test]
    fn a_change_is_gradual_and_complete() {
        let mut generator = Generator::new(9);
        generator.update(&Payload::of_level(30));
        play(&mut generator, 10);
        generator.update(&Payload::of_level(60));
        let noise = play(&mut generator, 60);
        let blocks: Vec<f64> = noise.chunks(80).map(dbov).collect();
        assert!(blocks[0] > -35.0 && blocks[4] > -50.0, "{blocks:?}");
        assert!((dbov(&noise[80 * 30..]) + 60.0).abs() < 0.6, "{blocks:?}");
    }

    #[test]
    fn a_seed_gives_the_same_noise() {
        let noise = |seed| {
            let mut generator = Generator::new(seed);
            generator.update(&Payload::of_level(40));
            play(&mut generator, 10)
        };
        assert_eq!(noise(3), noise(3));
        assert_ne!(noise(3), noise(4));
    }

    #[test]
    fn no_payload_makes_it_ring_or_burst() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut generator = Generator::new(2);
        for _ in 0..2000 {
            let mut octets = [0; PAYLOAD_MAX];
            octets.fill_with(|| random.u8(..));
            octets[0] = random.u8(30..128);
            generator.update(&Payload::parse(&octets).expect("a payload"));
            assert!(dbov(&play(&mut generator, 5)) < -15.0, "{octets:?}");
        }
        generator.update(&Payload::of_level(127));
        assert_eq!(rms(&play(&mut generator, 400)[31_000..]), 0.0);
    }

    #[test]
    fn samples_are_measured() {
        assert_eq!(Payload::of_samples(&[0; 80]).level(), 127);
        assert_eq!(Payload::of_samples(&[i16::MIN; 80]).level(), 0);
        assert_eq!(Payload::of_samples(&[]).level(), 127);
        // A sine is 3 dB below its peak.
        assert_eq!(
            Payload::of_samples(&sine(1000.0, 327.67, 8000, 80)).level(),
            43
        );
    }
}
