//! Eight streams at once in AVX2, to the bit of the scalar coders.
//!
//! A block of up to 80 codes goes through three steps, whose intermediate results stand on the stack: the filters, which work
//! along the time of one stream; a transposition, after which a row holds one code's samples of all streams; and the
//! sub-bands, which step from row to row with a stream in each lane (see [`bands`]). Decoding goes the other way.

mod bands;
mod filters;
mod vector;

use super::band::Band;
use super::batch::{DecodeJob, EncodeJob};
use bands::Bands;
use filters::Phases;
use std::arch::x86_64::*;
use vector::{halves, load, store, transpose_octets};

/// Streams in a vector.
pub const LANES: usize = 8;

/// Codes in a block: 10 ms.
pub const BLOCK: usize = 80;

/// The proof that this processor has AVX2.
#[derive(Clone, Copy)]
pub struct Avx2(());

impl Avx2 {
    /// Asks the processor, the first time.
    pub fn detect() -> Option<Avx2> {
        is_x86_feature_detected!("avx2").then_some(Avx2(()))
    }

    /// Encodes `count` codes, at most [`BLOCK`], of up to [`LANES`] streams, from the code `at` on.
    pub fn encode(self, jobs: &mut [EncodeJob<'_>], at: usize, count: usize) {
        // SAFETY: there is an `Avx2` only where the processor has AVX2.
        unsafe { encode(jobs, at, count) }
    }

    /// Decodes `count` codes, at most [`BLOCK`], of up to [`LANES`] streams in mode 1, from the code `at` on.
    pub fn decode(self, jobs: &mut [DecodeJob<'_>], at: usize, count: usize) {
        // SAFETY: there is an `Avx2` only where the processor has AVX2.
        unsafe { decode(jobs, at, count) }
    }
}

/// For each code of a block, the lower bands of eight streams and then their upper ones.
type Rows = [[i16; 2 * LANES]; BLOCK];

#[target_feature(enable = "avx2")]
fn encode(jobs: &mut [EncodeJob<'_>], at: usize, count: usize) {
    let (mut low, mut high) = ([Band::LOW; LANES], [Band::HIGH; LANES]);
    let mut streams = [Phases::IDLE; LANES];
    for (lane, job) in jobs.iter().enumerate() {
        low[lane] = job.state.low.clone();
        high[lane] = job.state.high.clone();
        streams[lane].resume(&job.state.filter);
        streams[lane].fill(&job.pcm[2 * at..][..2 * count]);
    }
    let mut rows: Rows = [[0; 16]; BLOCK];
    filters::analyse(&streams, &mut rows, count);
    let mut bands = Bands::gather(&low, &high);
    let mut octets = [0; BLOCK];
    for (octets, row) in octets.iter_mut().zip(&rows[..count]) {
        let (low, high) = halves(bands.encode(load(row)));
        let codes = _mm_or_si128(low, high);
        *octets = _mm_cvtsi128_si64(_mm_packus_epi16(codes, codes)) as u64;
    }
    bands.scatter(&mut low, &mut high);
    let codes = streams_of_octets(&octets);
    for (lane, job) in jobs.iter_mut().enumerate() {
        job.codes[at..][..count].copy_from_slice(&codes[lane][..count]);
        job.state.low = low[lane].clone();
        job.state.high = high[lane].clone();
        job.state.filter = streams[lane].memory(count);
    }
}

#[target_feature(enable = "avx2")]
fn decode(jobs: &mut [DecodeJob<'_>], at: usize, count: usize) {
    let (mut low, mut high) = ([Band::LOW; LANES], [Band::HIGH; LANES]);
    let mut streams = [Phases::IDLE; LANES];
    let mut codes = [[0; BLOCK]; LANES];
    for (lane, job) in jobs.iter().enumerate() {
        low[lane] = job.state.low.clone();
        high[lane] = job.state.high.clone();
        streams[lane].resume(&job.state.filter);
        codes[lane][..count].copy_from_slice(&job.codes[at..][..count]);
    }
    let mut bands = Bands::gather(&low, &high);
    let mut rows = rows_of_intervals(&codes);
    for row in &mut rows[..count] {
        let heard = bands.decode(load(row));
        store(row, heard);
    }
    bands.scatter(&mut low, &mut high);
    filters::join(&rows, &mut streams, count);
    for (lane, job) in jobs.iter_mut().enumerate() {
        let mut pcm = [0; 2 * BLOCK];
        filters::synthesize(&streams[lane], &mut pcm, count);
        job.pcm[2 * at..][..2 * count].copy_from_slice(&pcm[..2 * count]);
        job.state.low = low[lane].clone();
        job.state.high = high[lane].clone();
        job.state.filter = streams[lane].memory(count);
    }
}

/// Turns eight streams' codes into rows of intervals, as [`Bands::decode`] takes them.
#[target_feature(enable = "avx2")]
fn rows_of_intervals(codes: &[[u8; BLOCK]; LANES]) -> Rows {
    let mut rows = [[0; 16]; BLOCK];
    for (i, rows) in rows.chunks_exact_mut(8).enumerate() {
        let mut columns = [0; LANES];
        for (column, codes) in columns.iter_mut().zip(codes) {
            *column = u64::from_le_bytes(codes.as_chunks().0[i]);
        }
        let octets = transpose_octets(columns);
        for (four, rows) in octets.as_chunks().0.iter().zip(rows.chunks_exact_mut(4)) {
            for (row, intervals) in rows.iter_mut().zip(intervals(four)) {
                store(row, intervals);
            }
        }
    }
    rows
}

/// The sign and the number of the interval of four rows' codes: octets of the lower bands beside those of the upper ones,
/// each widened to a word.
#[inline]
#[target_feature(enable = "avx2")]
fn intervals(octets: &[u64; 4]) -> [__m256i; 4] {
    let all = |value: u8| _mm256_set1_epi8(value as i8);
    let [r0, r1, r2, r3] = *octets;
    let codes = _mm256_set_epi64x(r3 as i64, r2 as i64, r1 as i64, r0 as i64);
    let low = _mm256_and_si256(codes, all(0x3F));
    let above = |value| _mm256_cmpgt_epi8(low, all(value));
    // As in `low_interval`: positive ones count down from 61, negative ones from 33 or, where they are beyond 61, from 63.
    let positive = _mm256_andnot_si256(above(61), above(31));
    let end = _mm256_add_epi8(all(33), _mm256_and_si256(above(31), all(28)));
    let end = _mm256_add_epi8(end, _mm256_and_si256(above(61), all(2)));
    let number = _mm256_and_si256(_mm256_sub_epi8(end, low), above(3));
    let low = _mm256_or_si256(number, _mm256_andnot_si256(positive, all(0x80)));
    // Two bits, both inverted: the sign stays where it is, the interval becomes 0 or 2.
    let sign = _mm256_andnot_si256(codes, all(0x80));
    let number = _mm256_srli_epi16(_mm256_andnot_si256(codes, all(0x40)), 5);
    let high = _mm256_or_si256(sign, number);
    let (r0, r2) = halves(_mm256_unpacklo_epi64(low, high));
    let (r1, r3) = halves(_mm256_unpackhi_epi64(low, high));
    let words = |row| _mm256_cvtepi8_epi16(row);
    [words(r0), words(r1), words(r2), words(r3)]
}

/// Turns rows of eight streams' octets into eight streams.
#[target_feature(enable = "avx2")]
fn streams_of_octets(rows: &[u64; BLOCK]) -> [[u8; BLOCK]; LANES] {
    let mut streams = [[0; BLOCK]; LANES];
    for (i, rows) in rows.as_chunks().0.iter().enumerate() {
        for (stream, octets) in streams.iter_mut().zip(transpose_octets(*rows)) {
            stream.as_chunks_mut().0[i] = octets.to_le_bytes();
        }
    }
    streams
}
