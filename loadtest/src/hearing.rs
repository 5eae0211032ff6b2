//! Is what an ear heard the speech that its partner said: like it, as loud as it, and how long after?

use crate::packet::PAYLOAD;
use crate::speech::{Codec, Speech};
use anyhow::Result;
use std::ops::RangeInclusive;

/// Packets that are compared at once: a second.
const PIECE: usize = 50;
/// Packets at the start that are not judged: an ADPCM decoder that begins in the middle of a stream needs a while.
const SETTLING: usize = 50;
/// Samples that the audio may be late by: 600 ms.
const LAGS: usize = 4_800;
/// Samples around the place that is expected which are tried first: packets leave at most so much early or late.
const NEAR: usize = 240;
/// Mean square below which a piece is a pause that tells nothing.
const PAUSE: f64 = 10_000.0;
/// The least correlation with what was said. A codec's own is above 0.97, that of other speech below 0.6.
const CORRELATION_MIN: f64 = 0.9;
/// How far the level may be off, in dB.
const LEVEL_DB_MAX: f64 = 1.0;
/// Part of the pieces that may be bad: a buffer that adapts to a busy machine skips or stretches a little.
const BAD_MAX: f64 = 0.05;

/// A packet that an ear kept.
pub struct Heard {
    /// Its sequence number, counted on.
    pub number: i64,
    /// CLOCK_REALTIME in nanoseconds.
    pub received_ns: u64,
    /// Its payload.
    pub octets: [u8; PAYLOAD],
}

/// What one ear heard, and what its partner said.
pub struct Hearing<'a> {
    /// What everybody says.
    pub speech: &'a Speech,
    /// The ear's codec.
    pub codec: Codec,
    /// What came, in the order that it did.
    pub heard: &'a [Heard],
    /// The frame of the speech that the partner's first packet carried.
    pub first_frame: usize,
    /// When the partner sent each packet.
    pub sent_ns: &'a [u64],
}

/// Where a second of audio was found in what was said.
#[derive(Clone, Debug)]
struct Found {
    correlation: f64,
    level_db: f64,
    /// From the send of a sample to its arrival; None if it was said before the run began.
    latency_us: Option<f64>,
    /// Its place in the part of the speech that was searched.
    start: usize,
}

/// What all ears heard.
#[derive(Clone, Debug, Default)]
pub struct Judgement {
    found: Vec<Found>,
}

impl Judgement {
    /// Takes in what one ear heard.
    pub fn listen(&mut self, hearing: &Hearing<'_>) -> Result<()> {
        let mut packets: Vec<&Heard> = hearing.heard.iter().collect();
        packets.sort_by_key(|packet| packet.number);
        if packets.len() < SETTLING + PIECE {
            return Ok(());
        }
        let octets: Vec<u8> = packets.iter().flat_map(|packet| packet.octets).collect();
        let samples = hearing.speech.decode(hearing.codec, &octets)?;
        let samples = samples.chunks_exact(PIECE * PAYLOAD);
        let mut expected = None;
        for (packets, samples) in packets
            .chunks_exact(PIECE)
            .zip(samples)
            .skip(SETTLING / PIECE)
        {
            let is_whole = packets[PIECE - 1].number - packets[0].number == PIECE as i64 - 1;
            if let Some(found) = is_whole
                .then(|| hearing.find(packets[0].received_ns, samples, expected))
                .flatten()
            {
                expected = Some(found.start);
                self.found.push(found);
            }
        }
        Ok(())
    }

    /// Adds another judgement.
    pub fn add(&mut self, other: Judgement) {
        self.found.extend(other.found);
    }

    /// Seconds of audio that were compared.
    pub fn pieces(&self) -> usize {
        self.found.len()
    }

    /// Those that were not what was said, or not as loud.
    pub fn bad(&self) -> usize {
        self.found.iter().filter(|found| found.is_bad()).count()
    }

    /// What came is what was said.
    pub fn is_good(&self) -> bool {
        self.pieces() > 0 && self.bad() as f64 <= self.pieces() as f64 * BAD_MAX
    }

    /// A quantile of the correlation with what was said.
    pub fn correlation(&self, part: f64) -> f64 {
        quantile(self.found.iter().map(|found| found.correlation), part)
    }

    /// A quantile of the level beside what was said, in dB.
    pub fn level_db(&self, part: f64) -> f64 {
        quantile(self.found.iter().map(|found| found.level_db), part)
    }

    /// A quantile of the audio's latency, in milliseconds.
    pub fn latency_ms(&self, part: f64) -> f64 {
        quantile(self.found.iter().filter_map(|found| found.latency_us), part) / 1_000.0
    }
}

impl Found {
    fn is_bad(&self) -> bool {
        self.correlation < CORRELATION_MIN || self.level_db.abs() > LEVEL_DB_MAX
    }
}

fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * part) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}

impl Hearing<'_> {
    /// Finds a piece whose first packet came then, where the one before it makes us look first; None for a pause.
    fn find(&self, received_ns: u64, samples: &[i16], expected: Option<usize>) -> Option<Found> {
        let said = self
            .sent_ns
            .partition_point(|sent_ns| *sent_ns <= received_ns);
        // Sample counts of the partner's stream from the start of the run; the piece cannot begin later than this.
        let latest = (said * PAYLOAD) as i64;
        let speech = &self.speech.samples;
        let whole = speech.len() as i64;
        let first = (self.first_frame * PAYLOAD) as i64;
        let reference: Vec<f32> = (latest - LAGS as i64..latest + samples.len() as i64)
            .map(|place| f32::from(speech[(first + place).rem_euclid(whole) as usize]))
            .collect();
        let samples: Vec<f32> = samples.iter().map(|sample| f32::from(*sample)).collect();
        let (start, correlation) = best_match(&samples, &reference, expected);
        let (heard, was_said) = (
            power(&samples),
            power(&reference[start..start + samples.len()]),
        );
        if was_said < PAUSE {
            return None;
        }
        let place = latest - LAGS as i64 + start as i64;
        let frame = usize::try_from(place.div_euclid(PAYLOAD as i64)).ok();
        let sent_ns = frame.and_then(|frame| self.sent_ns.get(frame));
        let into_frame_us = place.rem_euclid(PAYLOAD as i64) as f64 * 125.0;
        Some(Found {
            correlation,
            level_db: 10.0 * (heard / was_said).log10(),
            start,
            latency_us: sent_ns
                .map(|sent_ns| (received_ns - sent_ns) as f64 / 1_000.0 - into_frame_us),
        })
    }
}

/// Where in the reference the samples lie, and their correlation (-1 to 1) there. A good match at the place that is
/// expected is taken at once.
fn best_match(samples: &[f32], reference: &[f32], expected: Option<usize>) -> (usize, f64) {
    let last = reference.len() - samples.len();
    let near = expected.map(|at| {
        best_of(
            samples,
            reference,
            at.saturating_sub(NEAR)..=(at + NEAR).min(last),
        )
    });
    near.filter(|(_, correlation)| *correlation > CORRELATION_MIN)
        .unwrap_or_else(|| best_of(samples, reference, 0..=last))
}

fn best_of(samples: &[f32], reference: &[f32], starts: RangeInclusive<usize>) -> (usize, f64) {
    let own = dot(samples, samples);
    let candidates = starts.map(|start| {
        let window = &reference[start..start + samples.len()];
        let both = (own * dot(window, window)).sqrt().max(1.0);
        (start, dot(samples, window) / both)
    });
    let best = candidates.max_by(|a, b| a.1.total_cmp(&b.1));
    best.unwrap_or((0, 0.0))
}

/// In eight sums, which the compiler keeps in vectors.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().map(|sum| f64::from(*sum)).sum()
}

fn power(samples: &[f32]) -> f64 {
    dot(samples, samples) / samples.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of two seconds: the partner speaks, and the ear hears it 45 ms later, changed by what is given.
    fn judge(change: impl Fn(i16) -> i16, from: usize) -> Judgement {
        let folder = tempfile::tempdir().expect("a folder");
        let speech =
            Speech::make(folder.path(), [Codec::Ulaw, Codec::Alaw]).expect("espeak-ng and ffmpeg");
        let sent_ns: Vec<u64> = (0..200)
            .map(|number| 1_000_000_000 + number * 20_000_000)
            .collect();
        let heard_samples: Vec<i16> = speech.samples[from * PAYLOAD..]
            .iter()
            .map(|sample| change(*sample))
            .collect();
        let raw: Vec<u8> = heard_samples
            .iter()
            .flat_map(|sample| [alaw_of(*sample)])
            .collect();
        let heard: Vec<Heard> = (0..150)
            .map(|number| Heard {
                number: number as i64,
                received_ns: sent_ns[number] + 45_000_000,
                octets: raw[number * PAYLOAD..(number + 1) * PAYLOAD]
                    .try_into()
                    .expect("a packet"),
            })
            .collect();
        let mut judgement = Judgement::default();
        let hearing = Hearing {
            speech: &speech,
            codec: Codec::Alaw,
            heard: &heard,
            first_frame: 10,
            sent_ns: &sent_ns,
        };
        judgement.listen(&hearing).expect("it is decoded");
        judgement
    }

    /// A-law by its definition: the code word whose value is nearest (G.711 table 1a).
    fn alaw_of(sample: i16) -> u8 {
        let value = |code: u8| {
            let (code, sign) = (code ^ 0x55, if code & 0x80 == 0 { -1 } else { 1 });
            let (segment, step) = (i32::from(code >> 4 & 7), i32::from(code & 15));
            sign * match segment {
                0 => step * 16 + 8,
                _ => (step * 16 + 264) << (segment - 1),
            }
        };
        (0..=255)
            .min_by_key(|code| (value(*code) - i32::from(sample)).abs())
            .expect("256 codes")
    }

    #[test]
    fn the_same_speech_is_good_and_its_latency_is_told() {
        let judgement = judge(|sample| sample, 10);
        assert!(
            judgement.is_good() && judgement.pieces() == 2,
            "{judgement:?}"
        );
        assert!(
            (judgement.latency_ms(0.5) - 45.0).abs() < 0.3,
            "{judgement:?}"
        );
    }

    #[test]
    fn another_level_other_speech_and_noise_are_bad() {
        assert!(!judge(|sample| sample / 2, 10).is_good());
        assert!(!judge(|sample| sample, 200).is_good());
        assert!(!judge(|_| fastrand::i16(-9_000..9_000), 10).is_good());
    }
}
