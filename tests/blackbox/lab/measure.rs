//! How alike two sounds are, piece by piece: where a piece of the one lies in the other, how well it fits there, how
//! loud it is beside it, and how much of it is not the other at all.

use super::Sound;
use std::fmt;
use std::ops::RangeInclusive;

/// Samples a second at which sounds are compared: the band that every codec here carries.
const RATE: u32 = 8_000;
/// Samples by which a piece has to lie elsewhere than its neighbour for what was heard to have moved: a millisecond.
const MOVE_MIN: u64 = 8;
/// Samples of a piece: half a second.
const PIECE: usize = 4_000;
/// Samples that a piece may lie later than the one before did, or earlier: a buffer may have adapted.
const DRIFT: i64 = 480;
/// Mean square below which a piece is a pause.
const PAUSE: f64 = 40_000.0;
/// Taps of the filter by which a piece may differ from what was said and still be it: delays of parts of a sample and
/// the codecs' bands are no noise.
const TAPS: usize = 33;

/// What was heard of one piece.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Where it begins in what was said, in samples at 8 kHz.
    pub at: usize,
    /// How many samples later it lies in what was heard.
    pub lag: i64,
    /// -1 to 1.
    pub correlation: f64,
    /// Level of what was heard above what was said.
    pub level_db: f64,
    /// What can be had from what was said by a filter, above the rest.
    pub snr_db: f64,
}

/// All pieces of a sound but the pauses.
#[derive(Clone, Debug)]
pub struct Report {
    pub pieces: Vec<Piece>,
}

/// Compares what was said with what was heard, which may begin up to so many seconds later and be longer.
pub fn report(said: &Sound, heard: &Sound, late_s: f64) -> Report {
    let (said, heard) = (floats(&said.at(RATE)), floats(&heard.at(RATE)));
    let mut pieces: Vec<Piece> = Vec::new();
    for at in (TAPS..said.len().saturating_sub(PIECE + TAPS)).step_by(PIECE) {
        let piece = &said[at..at + PIECE];
        if power(piece) < PAUSE {
            continue;
        }
        let around = |lag: i64, drift: i64| lag - drift..=lag + drift;
        let found = match pieces.last().map(|last| last.lag) {
            // Nearly always it lies where the one before did.
            Some(lag) => best(piece, at, &heard, around(lag, 4))
                .filter(|found| found.correlation > 0.98)
                .or_else(|| best(piece, at, &heard, around(lag, DRIFT))),
            None => best(
                piece,
                at,
                &heard,
                -DRIFT..=(late_s * f64::from(RATE)) as i64,
            ),
        };
        let Some(Place {
            lag,
            start,
            correlation,
        }) = found
        else {
            continue;
        };
        let there = &heard[start..start + PIECE];
        pieces.push(Piece {
            at,
            lag,
            correlation,
            level_db: 10.0 * (power(there).max(1e-9) / power(piece)).log10(),
            snr_db: snr_db(&said[at - TAPS / 2..at + PIECE + TAPS / 2], there),
        });
    }
    Report { pieces }
}

/// Where a piece was found.
struct Place {
    lag: i64,
    start: usize,
    correlation: f64,
}

/// The best of these lags for a piece that was said there.
fn best(piece: &[f64], at: usize, heard: &[f64], lags: RangeInclusive<i64>) -> Option<Place> {
    let own = dot(piece, piece);
    let places = lags.filter_map(|lag| {
        let start = usize::try_from(at as i64 + lag).ok()?;
        let there = heard.get(start..start + PIECE)?;
        let energy = dot(there, there);
        Some(Place {
            lag,
            start,
            correlation: dot(piece, there) / (own * energy).sqrt().max(1.0),
        })
    });
    places.max_by(|a, b| a.correlation.total_cmp(&b.correlation))
}

impl Report {
    /// The median of a measure.
    pub fn median(&self, measure: impl Fn(&Piece) -> f64) -> f64 {
        let mut values: Vec<f64> = self.pieces.iter().map(measure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Part of the pieces of which this is true.
    pub fn part(&self, is_so: impl Fn(&Piece) -> bool) -> f64 {
        let count = self.pieces.iter().filter(|piece| is_so(piece)).count();
        count as f64 / self.pieces.len().max(1) as f64
    }

    /// Part of the pieces of which this is true, or in which what was heard came to lie elsewhere: where a busy machine
    /// delays packets, a jitter buffer moves what follows, and such a piece is found at neither place whole.
    pub fn part_but_for_moves(&self, is_so: impl Fn(&Piece) -> bool) -> f64 {
        let moves = |pair: &[Piece]| pair[0].lag.abs_diff(pair[1].lag) > MOVE_MIN;
        let is_moved = |at: usize| {
            let around = &self.pieces[at.saturating_sub(1)..(at + 2).min(self.pieces.len())];
            around.windows(2).any(moves)
        };
        let pieces = self.pieces.iter().enumerate();
        let count = pieces
            .filter(|(at, piece)| is_so(piece) || is_moved(*at))
            .count();
        count as f64 / self.pieces.len().max(1) as f64
    }

    /// As good as the reference chain: noise within 1 dB, and most pieces in their place, but for moves.
    #[track_caller]
    pub fn assert_as_good_as(&self, chain: &Report, what: &str) {
        self.assert_nearly(chain, what, 1.0, 0.6);
    }

    /// Noise within so many dB of the reference chain's, such a part of the pieces in their place, and the level within
    /// 0.5 dB of the original and of the chain.
    #[track_caller]
    pub fn assert_nearly(&self, chain: &Report, what: &str, noise_db: f64, part: f64) {
        assert!(
            chain.pieces.len() >= 4,
            "{what}: the reference has too little speech: {chain}"
        );
        assert!(
            self.pieces.len() + 1 >= chain.pieces.len(),
            "{what}: pieces are missing: {self}"
        );
        let [ours, theirs] = [self, chain].map(|report| report.median(|piece| piece.snr_db));
        assert!(
            ours >= theirs - noise_db,
            "{what}: {ours:.1} dB, the reference {theirs:.1} dB\n{self}\n{chain}"
        );
        let [ours, theirs] = [self, chain].map(|report| report.median(|piece| piece.level_db));
        let is_level = ours.abs() <= 0.5 && (ours - theirs).abs() <= 0.5;
        assert!(
            is_level,
            "{what}: {ours:+.2} dB, the reference {theirs:+.2} dB\n{self}"
        );
        // The median of the noise says that half of them are good as they are.
        let good = self.part_but_for_moves(|piece| piece.correlation > 0.95);
        assert!(
            good >= part,
            "{what}: {:.0} % of the pieces are in place\n{self}",
            good * 100.0
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            writeln!(
                f,
                "  at {:6.2} s, {:4} samples late: correlation {:.4}, level {:+.2} dB, SNR {:.1} dB",
                piece.at as f64 / f64::from(RATE),
                piece.lag,
                piece.correlation,
                piece.level_db,
                piece.snr_db,
            )?;
        }
        Ok(())
    }
}

/// The energy above 4.4 kHz beside all of it: what a narrow-band sound must not have when it has become wide-band.
pub fn high_band_db(wide: &Sound) -> f64 {
    assert_eq!(wide.rate, 16_000);
    let samples = floats(wide);
    let cutoff = 4_400.0 / 16_000.0;
    // A windowed sinc (Blackman), turned to let high frequencies through.
    const HALF: i64 = 63;
    let low = |tap: i64| {
        let (x, window) = (
            tap as f64,
            (tap + HALF) as f64 / (2 * HALF) as f64 * std::f64::consts::TAU,
        );
        let sinc = match tap {
            0 => 2.0 * cutoff,
            _ => (std::f64::consts::TAU * cutoff * x).sin() / (std::f64::consts::PI * x),
        };
        sinc * (0.42 - 0.5 * window.cos() + 0.08 * (2.0 * window).cos())
    };
    let taps: Vec<f64> = (-HALF..=HALF)
        .map(|tap| f64::from(u8::from(tap == 0)) - low(tap))
        .collect();
    let high: Vec<f64> = samples
        .windows(taps.len())
        .map(|window| dot(window, &taps))
        .collect();
    10.0 * (power(&high).max(1e-9) / power(&samples)).log10()
}

fn floats(sound: &Sound) -> Vec<f64> {
    sound
        .samples
        .iter()
        .map(|sample| f64::from(*sample))
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (eights, more) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = eights
        .remainder()
        .iter()
        .zip(more.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in eights.zip(more) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    rest + sums.iter().sum::<f64>()
}

fn power(samples: &[f64]) -> f64 {
    dot(samples, samples) / samples.len().max(1) as f64
}

/// The best filter from what was said (half the taps longer at each end) to what was heard, and its output above what
/// it does not explain.
fn snr_db(said: &[f64], heard: &[f64]) -> f64 {
    let window = |tap: usize| &said[tap..tap + heard.len()];
    let mut matrix = [[0.0; TAPS]; TAPS];
    for (row, line) in matrix.iter_mut().enumerate() {
        for (column, value) in line.iter_mut().enumerate() {
            *value = dot(window(row), window(column));
        }
    }
    // A little white noise keeps the equations solvable where speech has an empty band.
    let floor = matrix[0][0] * 1e-6;
    (0..TAPS).for_each(|tap| matrix[tap][tap] += floor);
    let right: [f64; TAPS] = std::array::from_fn(|tap| dot(window(tap), heard));
    let taps = solve(matrix, right);
    let explained: Vec<f64> = (0..heard.len())
        .map(|place| (0..TAPS).map(|tap| taps[tap] * said[place + tap]).sum())
        .collect();
    let rest: Vec<f64> = heard
        .iter()
        .zip(&explained)
        .map(|(heard, explained)| heard - explained)
        .collect();
    10.0 * (power(&explained) / power(&rest).max(1e-9)).log10()
}

/// Gauss's elimination of a positive definite system.
fn solve(mut matrix: [[f64; TAPS]; TAPS], mut right: [f64; TAPS]) -> [f64; TAPS] {
    for pivot in 0..TAPS {
        for row in pivot + 1..TAPS {
            let factor = matrix[row][pivot] / matrix[pivot][pivot];
            let above = matrix[pivot];
            for (value, above) in matrix[row].iter_mut().zip(above) {
                *value -= factor * above;
            }
            right[row] -= factor * right[pivot];
        }
    }
    for row in (0..TAPS).rev() {
        let known: f64 = (row + 1..TAPS)
            .map(|column| matrix[row][column] * right[column])
            .sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}
