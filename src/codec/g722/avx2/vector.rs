//! What the kernels share: vectors from and to memory, products, transpositions.

use super::super::qmf::{BAND_MAX, BAND_MIN};
use std::arch::x86_64::*;

/// Sixteen words: eight streams' lower bands in the lower half, their upper bands in the upper one. Or 32 octets.
pub type Words = __m256i;

#[inline]
#[target_feature(enable = "avx2")]
pub fn load(words: &[i16; 16]) -> Words {
    // SAFETY: the array has the 32 octets that an unaligned load reads.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn store(words: &mut [i16; 16], value: Words) {
    // SAFETY: the array has the 32 octets that an unaligned store writes.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn load_half(words: &[i16; 8]) -> __m128i {
    // SAFETY: the array has the 16 octets that an unaligned load reads.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub fn store_half(words: &mut [i16; 8], value: __m128i) {
    // SAFETY: the array has the 16 octets that an unaligned store writes.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), value) }
}

/// Sixteen words that begin at `at`.
#[inline]
#[target_feature(enable = "avx2")]
pub fn load_at(words: &[i16], at: usize) -> Words {
    load(
        words[at..]
            .first_chunk()
            .expect("sixteen words behind `at`"),
    )
}

/// One word in all lanes of the lower band, another in those of the upper one.
#[inline]
#[target_feature(enable = "avx2")]
pub fn by_band(low: i16, high: i16) -> Words {
    _mm256_set_m128i(_mm_set1_epi16(high), _mm_set1_epi16(low))
}

/// A table of eight words for each band.
#[inline]
#[target_feature(enable = "avx2")]
pub fn table_by_band(low: &[i16; 8], high: &[i16; 8]) -> Words {
    _mm256_set_m128i(load_half(high), load_half(low))
}

/// The lower and the upper half.
#[inline]
#[target_feature(enable = "avx2")]
pub fn halves(words: Words) -> (__m128i, __m128i) {
    (
        _mm256_castsi256_si128(words),
        _mm256_extracti128_si256(words, 1),
    )
}

/// A sub-band's samples within their limits.
#[inline]
#[target_feature(enable = "avx2")]
pub fn limit(samples: Words) -> Words {
    let (min, max) = (
        _mm256_set1_epi16(BAND_MIN as i16),
        _mm256_set1_epi16(BAND_MAX as i16),
    );
    _mm256_min_epi16(_mm256_max_epi16(samples, min), max)
}

/// Products without their lower 15 bits: rounded to the nearest by an instruction, then down. (The upper half doubled, with a bit of
/// the lower one, would do too, but compilers make one long multiplication of those two.)
#[inline]
#[target_feature(enable = "avx2")]
pub fn scaled(a: Words, b: Words) -> Words {
    let rounded = _mm256_mulhrs_epi16(a, b);
    let low = _mm256_mullo_epi16(a, b);
    let rounded_up = negative(_mm256_add_epi16(low, low));
    _mm256_add_epi16(rounded, rounded_up)
}

/// All ones where the lane is negative.
#[inline]
#[target_feature(enable = "avx2")]
pub fn negative(value: Words) -> Words {
    _mm256_srai_epi16(value, 15)
}

/// Swaps rows and columns of two squares of 8 by 8 words, one in each half.
#[inline]
#[target_feature(enable = "avx2")]
pub fn transpose_words(rows: [Words; 8]) -> [Words; 8] {
    let [a, b, c, d, e, f, g, h] = rows;
    let pairs = |x, y| (_mm256_unpacklo_epi16(x, y), _mm256_unpackhi_epi16(x, y));
    let [(ab_l, ab_h), (cd_l, cd_h), (ef_l, ef_h), (gh_l, gh_h)] =
        [pairs(a, b), pairs(c, d), pairs(e, f), pairs(g, h)];
    let fours = |x, y| (_mm256_unpacklo_epi32(x, y), _mm256_unpackhi_epi32(x, y));
    let [(a_01, a_23), (a_45, a_67)] = [fours(ab_l, cd_l), fours(ab_h, cd_h)];
    let [(e_01, e_23), (e_45, e_67)] = [fours(ef_l, gh_l), fours(ef_h, gh_h)];
    let eights = |x, y| [_mm256_unpacklo_epi64(x, y), _mm256_unpackhi_epi64(x, y)];
    let ([r0, r1], [r2, r3]) = (eights(a_01, e_01), eights(a_23, e_23));
    let ([r4, r5], [r6, r7]) = (eights(a_45, e_45), eights(a_67, e_67));
    [r0, r1, r2, r3, r4, r5, r6, r7]
}

/// Swaps rows and columns of a square of 8 by 8 octets.
#[inline]
#[target_feature(enable = "avx2")]
pub fn transpose_octets(rows: [u64; 8]) -> [u64; 8] {
    let pairs = |x: u64, y: u64| {
        _mm_unpacklo_epi8(_mm_cvtsi64_si128(x as i64), _mm_cvtsi64_si128(y as i64))
    };
    let [a, b, c, d, e, f, g, h] = rows;
    let fours = |x, y| (_mm_unpacklo_epi16(x, y), _mm_unpackhi_epi16(x, y));
    let (upper_0, upper_4) = fours(pairs(a, b), pairs(c, d));
    let (lower_0, lower_4) = fours(pairs(e, f), pairs(g, h));
    let eights = |x, y| [_mm_unpacklo_epi32(x, y), _mm_unpackhi_epi32(x, y)];
    let both = |x| {
        [
            _mm_cvtsi128_si64(x) as u64,
            _mm_extract_epi64::<1>(x) as u64,
        ]
    };
    let ([c01, c23], [c45, c67]) = (eights(upper_0, lower_0), eights(upper_4, lower_4));
    let ([c0, c1], [c2, c3]) = (both(c01), both(c23));
    let ([c4, c5], [c6, c7]) = (both(c45), both(c67));
    [c0, c1, c2, c3, c4, c5, c6, c7]
}
