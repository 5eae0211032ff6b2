//! ITU-T G.711: the logarithmic codes of telephony, to and from 16-bit linear samples and each other.
//!
//! Linear samples are 16 bits wide. The µ law looks at the upper 14 of them, the A law at the upper 13 (tables 1 and 2
//! of the Recommendation, with the two's complement rounding of ITU-T G.191), so their quantized values come out
//! shifted up by two and three bits. A-law codes have their even bits inverted, as on the wire.
//!
//! No state, no failure: any octet is a code, any sample has one. Where two slices differ in length the shorter one counts.
//! Encoders are plain loops over 16-bit lanes without branches or look-ups, which the compiler turns into SIMD; decoders
//! and conversions between the laws look up tables of 256 entries.

/// The µ-law code of silence, the lower of its two zeros.
pub const ULAW_SILENCE: u8 = 0xFF;
/// The A-law code of the smallest positive value.
pub const ALAW_SILENCE: u8 = 0xD5;

/// Every other bit of an A-law code is sent inverted (G.711 table 1, note 2), beside the sign.
const ALAW_EVEN_BITS: u8 = 0x55;
/// The µ law's chords begin at powers of two once this is added to a 14-bit magnitude.
const ULAW_BIAS: u16 = 33;
/// Beyond it a biased 14-bit magnitude is of the last step (virtual decision value 8159, G.711 table 2).
const ULAW_BIASED_MAX: u16 = 8191;

static ULAW_TO_LINEAR: [i16; 256] = ulaw_values();
static ALAW_TO_LINEAR: [i16; 256] = alaw_values();
static ULAW_TO_ALAW: [u8; 256] = ulaw_to_alaw_table();
static ALAW_TO_ULAW: [u8; 256] = alaw_to_ulaw_table();

/// Encodes linear samples to µ law (PCMU).
pub fn encode_ulaw(pcm: &[i16], codes: &mut [u8]) {
    for (code, &sample) in codes.iter_mut().zip(pcm) {
        *code = ulaw_code(sample);
    }
}

/// Encodes linear samples to A law (PCMA).
pub fn encode_alaw(pcm: &[i16], codes: &mut [u8]) {
    for (code, &sample) in codes.iter_mut().zip(pcm) {
        *code = alaw_code(sample);
    }
}

/// Decodes µ law (PCMU) to linear samples.
pub fn decode_ulaw(codes: &[u8], pcm: &mut [i16]) {
    for (sample, &code) in pcm.iter_mut().zip(codes) {
        *sample = ULAW_TO_LINEAR[usize::from(code)];
    }
}

/// Decodes A law (PCMA) to linear samples.
pub fn decode_alaw(codes: &[u8], pcm: &mut [i16]) {
    for (sample, &code) in pcm.iter_mut().zip(codes) {
        *sample = ALAW_TO_LINEAR[usize::from(code)];
    }
}

/// Turns µ-law codes into A-law ones in place, by G.711 table 3.
pub fn ulaw_to_alaw(codes: &mut [u8]) {
    for code in codes {
        *code = ULAW_TO_ALAW[usize::from(*code)];
    }
}

/// Turns A-law codes into µ-law ones in place, by G.711 table 4.
pub fn alaw_to_ulaw(codes: &mut [u8]) {
    for code in codes {
        *code = ALAW_TO_ULAW[usize::from(*code)];
    }
}

/// One sample to µ law. The chord is counted by comparisons, and the shift by it is a multiplication: 16-bit SIMD has no
/// shift by a different count in each lane.
#[inline(always)]
fn ulaw_code(sample: i16) -> u8 {
    let sign = sample >> 15;
    let magnitude = (sample ^ sign) as u16 >> 2;
    let biased = (magnitude + ULAW_BIAS).min(ULAW_BIASED_MAX);
    let mut chord = 0;
    let mut power = 1 << 15;
    for first in [64, 128, 256, 512, 1024, 2048, 4096] {
        let beyond = biased >= first;
        chord += u16::from(beyond);
        power = if beyond { power >> 1 } else { power };
    }
    let step = high_half(biased, power) & 0x0F;
    // µ-law codes are sent with all bits inverted, so a positive value has the sign bit set.
    let code = (chord << 4) | step;
    !(code as u8) ^ (sign as u8 & 0x80)
}

/// One sample to A law; see [`ulaw_code`].
#[inline(always)]
fn alaw_code(sample: i16) -> u8 {
    let sign = sample >> 15;
    let magnitude = (sample ^ sign) as u16 >> 4;
    let mut chord = 0;
    let mut power = 1 << 15;
    for first in [16, 32, 64, 128, 256, 512, 1024] {
        let beyond = magnitude >= first;
        chord += u16::from(beyond);
        // Chords 0 and 1 have steps of one size.
        power = if beyond && first > 16 {
            power >> 1
        } else {
            power
        };
    }
    let step = high_half(magnitude << 1, power) & 0x0F;
    let code = (chord << 4) | step;
    (code as u8) ^ ALAW_EVEN_BITS ^ (!sign as u8 & 0x80)
}

#[inline(always)]
fn high_half(a: u16, b: u16) -> u16 {
    ((u32::from(a) * u32::from(b)) >> 16) as u16
}

/// The quantized value of a µ-law code (G.711 table 2), in the upper 14 of 16 bits.
const fn ulaw_value(code: u8) -> i16 {
    let inverted = !code;
    let (chord, step) = ((inverted >> 4) & 7, (inverted & 0x0F) as i16);
    let magnitude = (((2 * step + 33) << chord) - 33) << 2;
    if inverted & 0x80 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// The quantized value of an A-law code (G.711 table 1), in the upper 13 of 16 bits.
const fn alaw_value(code: u8) -> i16 {
    let plain = code ^ ALAW_EVEN_BITS;
    let (chord, step) = ((plain >> 4) & 7, (plain & 0x0F) as i16);
    let magnitude = match chord {
        0 => (2 * step + 1) << 3,
        chord => ((2 * step + 33) << (chord - 1)) << 3,
    };
    if plain & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

/// G.711 table 3: for the µ-law decoder output value `number` (0 to 127) the A-law one (1 to 128).
const fn alaw_number(number: u8) -> u8 {
    match number {
        0..=15 => number / 2 + 1,
        16..=32 => number - 7,
        33..=35 => 2 * number - 39,
        36..=47 => number - 3,
        48 => 46,
        49..=63 => number - 1,
        64..=79 => number,
        // 80 goes to 81, not to the nearer 80, for the sake of transparency (note 3).
        _ => number + 1,
    }
}

/// G.711 table 4: for the A-law decoder output value `number` (1 to 128) the µ-law one (0 to 127).
const fn ulaw_number(number: u8) -> u8 {
    match number {
        1..=8 => 2 * number - 1,
        9..=24 => number + 7,
        25..=32 => 32 + (number - 25) / 2,
        33..=44 => number + 3,
        45..=48 => 48 + (number - 45) / 2,
        49..=62 => number + 1,
        63 => 64,
        64..=79 => number,
        // 80 goes to 79, not to the nearer 80, for the sake of transparency (note 3).
        _ => number - 1,
    }
}

const fn ulaw_values() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = ulaw_value(code as u8);
        code += 1;
    }
    table
}

const fn alaw_values() -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = alaw_value(code as u8);
        code += 1;
    }
    table
}

const fn ulaw_to_alaw_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let inverted = !(code as u8);
        let sign = !inverted & 0x80;
        table[code] = (sign | (alaw_number(inverted & 0x7F) - 1)) ^ ALAW_EVEN_BITS;
        code += 1;
    }
    table
}

const fn alaw_to_ulaw_table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let plain = code as u8 ^ ALAW_EVEN_BITS;
        let sign = !plain & 0x80;
        table[code] = !(sign | ulaw_number((plain & 0x7F) + 1));
        code += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::{digest, digest_of_samples, octets, words};

    fn every_sample() -> Vec<i16> {
        (i16::MIN..=i16::MAX).collect()
    }

    fn every_code() -> Vec<u8> {
        (0..=255).collect()
    }

    fn encoded(encode: fn(&[i16], &mut [u8])) -> Vec<u8> {
        let mut codes = vec![0; 65_536];
        encode(&every_sample(), &mut codes);
        codes
    }

    fn decoded(decode: fn(&[u8], &mut [i16]), codes: &[u8]) -> Vec<i16> {
        let mut pcm = vec![0; codes.len()];
        decode(codes, &mut pcm);
        pcm
    }

    #[test]
    fn all_65_536_samples_are_coded_as_the_itu_codes_them() {
        let laws = [
            (
                encode_ulaw as fn(&[i16], &mut [u8]),
                decode_ulaw as fn(&[u8], &mut [i16]),
                "u",
            ),
            (encode_alaw, decode_alaw, "a"),
        ];
        for (encode, decode, law) in laws {
            let Some(source) = words("g711/sweep.src") else {
                return;
            };
            let mut codes = vec![0; source.len()];
            encode(&source, &mut codes);
            assert!(Some(&codes) == octets(&format!("g711/sweep-r.{law}")).as_ref());
            let expanded = decoded(decode, &codes);
            assert!(Some(&expanded) == words(&format!("g711/sweep-r.re{law}")).as_ref());
            assert!(Some(&expanded) == words(&format!("g711/sweep-r.{law}-{law}")).as_ref());
        }
    }

    /// The digests were taken when the test above passed.
    #[test]
    fn all_65_536_samples_are_coded_as_ever() {
        let ulaw = encoded(encode_ulaw);
        let alaw = encoded(encode_alaw);
        let digests = [
            digest_of_samples(&decoded(decode_ulaw, &ulaw)),
            digest_of_samples(&decoded(decode_alaw, &alaw)),
            digest(ulaw),
            digest(alaw),
        ];
        let as_ever = [
            0xef15_83b4_0170_0e25,
            0xe032_751e_d97c_f125,
            0x04ec_1f08_3fd7_8c2d,
            0xf030_666e_b780_cf25,
        ];
        assert_eq!(digests, as_ever, "{digests:#x?}");
    }

    #[test]
    fn the_codes_of_the_recommendation_s_tables_have_their_values() {
        // G.711 tables 1a and 2a: the ends of the chords, in units of 13 and 14 bits.
        let alaw: [(u8, i16); 5] = [
            (0x80, 1),
            (0x9F, 63),
            (0xAF, 126),
            (0xFF, 4032),
            (0x7F, -4032),
        ];
        for (code, value) in alaw {
            assert_eq!(decoded(decode_alaw, &[code ^ 0x55]), [value << 3]);
        }
        let ulaw: [(u8, i16); 5] = [
            (0xFF, 0),
            (0xFE, 2),
            (0xEF, 33),
            (0x80, 8031),
            (0x00, -8031),
        ];
        for (code, value) in ulaw {
            assert_eq!(decoded(decode_ulaw, &[code]), [value << 2]);
        }
        assert_eq!(decoded(decode_ulaw, &[ULAW_SILENCE]), [0]);
        assert_eq!(decoded(decode_alaw, &[ALAW_SILENCE]), [8]);
    }

    #[test]
    fn a_quantized_value_is_coded_as_itself() {
        let mut codes = every_code();
        encode_alaw(&decoded(decode_alaw, &every_code()), &mut codes);
        assert_eq!(codes, every_code());
        encode_ulaw(&decoded(decode_ulaw, &every_code()), &mut codes);
        // Both zeros of the µ law decode to 0.
        let mut once = every_code();
        once[0x7F] = ULAW_SILENCE;
        assert_eq!(codes, once);
    }

    /// G.711 tables 3 and 4, note 3: over the µ law, bits 1 to 7 of A-law codes survive (the eighth is the lowest).
    #[test]
    fn alaw_survives_ulaw_but_for_the_last_bit() {
        let mut codes = every_code();
        alaw_to_ulaw(&mut codes);
        ulaw_to_alaw(&mut codes);
        for (code, back) in every_code().into_iter().zip(codes) {
            assert_eq!(code >> 1, back >> 1, "{code:#x} came back as {back:#x}");
        }
    }

    #[test]
    fn a_code_of_the_other_law_has_nearly_the_same_value() {
        for code in every_code() {
            let value = decoded(decode_ulaw, &[code])[0];
            let mut other = [code];
            ulaw_to_alaw(&mut other);
            near(value, decoded(decode_alaw, &other)[0]);
            let value = decoded(decode_alaw, &[code])[0];
            let mut other = [code];
            alaw_to_ulaw(&mut other);
            near(value, decoded(decode_ulaw, &other)[0]);
        }
    }

    /// Within a step of the coarser law: a sixteenth of the value, or the smallest step of the A law.
    fn near(value: i16, other: i16) {
        let apart = (i32::from(value) - i32::from(other)).abs();
        let step = (i32::from(value).abs() / 16).max(16);
        assert!(apart <= step, "{value} became {other}");
    }

    #[test]
    fn the_shorter_slice_counts() {
        let mut codes = [1; 4];
        encode_ulaw(&[0; 2], &mut codes);
        assert_eq!(codes, [0xFF, 0xFF, 1, 1]);
        let mut pcm = [7; 1];
        decode_alaw(&[ALAW_SILENCE; 9], &mut pcm);
        assert_eq!(pcm, [8]);
    }
}
