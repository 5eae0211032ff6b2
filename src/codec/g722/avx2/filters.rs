//! The quadrature mirror filters over a block of one stream, sixteen codes at a time, and the turning of streams into lanes.
//!
//! The two phases of the filter's input stand apart, each behind its last twelve values. A multiplication
//! of pairs weighs two neighbouring values of a phase, so one pass over the coefficients gives every other code and a second
//! one, a value later, those between.

use super::super::qmf::{Memory, PHASE_TAPS};
use super::super::tables::{QMF_EVEN, QMF_ODD};
use super::vector::*;
use super::{BLOCK, LANES, Rows};
use std::arch::x86_64::*;

/// The values of one phase: the filter's memory, those of a block, and what the last load reads beyond them.
type Phase = [i16; PHASE_TAPS + BLOCK + 4];

/// Both phases of a stream over a block.
pub struct Phases([Phase; 2]);

impl Phases {
    /// Those of a stream that is not there.
    pub const IDLE: Phases = Phases([[0; PHASE_TAPS + BLOCK + 4]; 2]);

    /// Puts the filter's memory before the block.
    pub fn resume(&mut self, memory: &Memory) {
        for (phase, past) in self.0.iter_mut().zip(memory) {
            phase[..PHASE_TAPS].copy_from_slice(past);
        }
    }

    /// The memory that `count` codes leave behind.
    pub fn memory(&self, count: usize) -> Memory {
        let mut memory = Memory::default();
        for (past, phase) in memory.iter_mut().zip(&self.0) {
            past.copy_from_slice(&phase[count..][..PHASE_TAPS]);
        }
        memory
    }

    /// Takes samples in: the first of each two into one phase, the second into the other.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn fill(&mut self, pcm: &[i16]) {
        let [even, odd] = &mut self.0;
        let slots = even[PHASE_TAPS..].iter_mut().zip(&mut odd[PHASE_TAPS..]);
        for ((even, odd), samples) in slots.zip(pcm.as_chunks().0) {
            [*even, *odd] = *samples;
        }
    }

    /// The sums of one phase for the sixteen codes from `at` on: for codes 0, 2, 4 … and for 1, 3, 5 ….
    #[inline]
    #[target_feature(enable = "avx2")]
    fn weigh(&self, phase: usize, taps: &[i16; PHASE_TAPS], at: usize) -> [Words; 2] {
        let values: &[i16; PHASE_TAPS + 16] = self.0[phase][at..]
            .first_chunk()
            .expect("sixteen codes from `at` on");
        let mut sums = [_mm256_setzero_si256(); 2];
        for (i, &[older, newer]) in taps.as_chunks().0.iter().enumerate() {
            let pair = (newer as u16 as u32) << 16 | older as u16 as u32;
            let pair = _mm256_set1_epi32(pair as i32);
            for (later, sum) in sums.iter_mut().enumerate() {
                let values = load_at(values, 1 + later + 2 * i);
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(values, pair));
            }
        }
        sums
    }

    /// The lower and the upper band's samples of sixteen codes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn bands(&self, at: usize) -> [Words; 2] {
        let even = self.weigh(0, &QMF_EVEN, at);
        let odd = self.weigh(1, &QMF_ODD, at);
        let join = |first, second| {
            let first = _mm256_srai_epi32(first, 14);
            let second = _mm256_slli_epi32(_mm256_srai_epi32(second, 14), 16);
            limit(_mm256_blend_epi16(first, second, 0xAA))
        };
        let add = |i: usize| _mm256_add_epi32(odd[i], even[i]);
        let sub = |i: usize| _mm256_sub_epi32(odd[i], even[i]);
        [join(add(0), add(1)), join(sub(0), sub(1))]
    }

    /// The 32 samples of sixteen codes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn samples(&self, at: usize) -> [Words; 2] {
        let pack = |[first, second]: [Words; 2]| {
            _mm256_packs_epi32(_mm256_srai_epi32(first, 11), _mm256_srai_epi32(second, 11))
        };
        let earlier = pack(self.weigh(1, &QMF_ODD, at));
        let later = pack(self.weigh(0, &QMF_EVEN, at));
        let even_codes = _mm256_unpacklo_epi16(earlier, later);
        let odd_codes = _mm256_unpackhi_epi16(earlier, later);
        let outer = _mm256_unpacklo_epi32(even_codes, odd_codes);
        let inner = _mm256_unpackhi_epi32(even_codes, odd_codes);
        [
            _mm256_permute2x128_si256(outer, inner, 0x20),
            _mm256_permute2x128_si256(outer, inner, 0x31),
        ]
    }
}

/// Parts the audio of eight streams into bands: a row for each code.
#[target_feature(enable = "avx2")]
pub fn analyse(streams: &[Phases; LANES], rows: &mut Rows, count: usize) {
    for at in (0..count).step_by(16) {
        let mut squares = [[_mm256_setzero_si256(); LANES]; 2];
        for (lane, stream) in streams.iter().enumerate() {
            let [low, high] = stream.bands(at);
            squares[0][lane] = _mm256_permute2x128_si256(low, high, 0x20);
            squares[1][lane] = _mm256_permute2x128_si256(low, high, 0x31);
        }
        for (square, rows) in squares.iter().zip(rows[at..].chunks_exact_mut(8)) {
            for (row, bands) in rows.iter_mut().zip(transpose_words(*square)) {
                store(row, bands);
            }
        }
    }
}

/// Joins the bands of eight streams, a row for each code, to audio: two phases of each stream.
#[target_feature(enable = "avx2")]
pub fn join(rows: &Rows, streams: &mut [Phases; LANES], count: usize) {
    for at in (0..count).step_by(8) {
        let mut square = [_mm256_setzero_si256(); 8];
        for (bands, row) in square.iter_mut().zip(&rows[at..]) {
            *bands = load(row);
        }
        for (stream, bands) in streams.iter_mut().zip(transpose_words(square)) {
            let (low, high) = halves(bands);
            let phases = [_mm_add_epi16(low, high), _mm_sub_epi16(low, high)];
            for (phase, values) in stream.0.iter_mut().zip(phases) {
                let place = phase[PHASE_TAPS + at..].first_chunk_mut();
                store_half(place.expect("a block is a multiple of eight"), values);
            }
        }
    }
}

/// The samples of a stream's joined bands, two for each code.
#[target_feature(enable = "avx2")]
pub fn synthesize(stream: &Phases, pcm: &mut [i16; 2 * BLOCK], count: usize) {
    for (at, samples) in (0..count).step_by(16).zip(pcm.as_chunks_mut::<32>().0) {
        let [first, second] = stream.samples(at);
        let (halves, _) = samples.as_chunks_mut();
        store(&mut halves[0], first);
        store(&mut halves[1], second);
    }
}
