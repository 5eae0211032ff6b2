//! G.722 against the ITU-T's sequences where they are at hand, and against digests taken when those had passed.

use super::*;
use crate::codec::tests::{digest, digest_of_samples, octets, words};

const MODES: [(Mode, &str); 3] = [
    (Mode::Kbps64, "g722/outsp1.bin"),
    (Mode::Kbps56, "g722/outsp2.bin"),
    (Mode::Kbps48, "g722/outsp3.bin"),
];

/// Two seconds that take a coder to its limits: noise and tones from silence to full scale, square waves, jumps.
fn signal(seed: u32) -> Vec<i16> {
    let mut random = seed;
    let mut sample = |i: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (random >> 16) as i16;
        // A new character every 100 ms.
        match i / 1_600 % 8 {
            0 => noise >> 12,
            1 => noise,
            2 if i & 32 == 0 => i16::MIN,
            2 => i16::MAX,
            3 => 0,
            4 => triangle(i, 37, 20_000).saturating_add(noise >> 6),
            5 => triangle(i, 5, 32_767),
            6 => triangle(i, 160, 900) + (noise >> 9),
            _ => (noise >> 3).saturating_add(if i & 512 == 0 { -30_000 } else { 12_000 }),
        }
    };
    (0..32_000).map(&mut sample).collect()
}

fn triangle(i: u32, period: u32, peak: i32) -> i16 {
    let phase = (i % period) as i32 * 4 * peak / period as i32;
    let value = if phase > 2 * peak {
        3 * peak - phase
    } else {
        phase - peak
    };
    value as i16
}

fn encode(pcm: &[i16]) -> Vec<u8> {
    let mut codes = vec![0; pcm.len() / 2];
    Encoder::default().encode(pcm, &mut codes);
    codes
}

fn decode(mode: Mode, codes: &[u8]) -> Vec<i16> {
    let mut pcm = vec![0; codes.len() * 2];
    Decoder::new(mode).decode(codes, &mut pcm);
    pcm
}

#[test]
fn the_itu_s_speech_is_encoded_to_the_bit() {
    if let Some(speech) = words("g722/inpsp.bin") {
        assert!(Some(encode(&speech)) == octets("g722/codspw.cod"));
    }
}

#[test]
fn the_itu_s_codes_are_decoded_to_the_bit_in_every_mode() {
    if let Some(codes) = octets("g722/codspw.cod") {
        for (mode, file) in MODES {
            assert!(Some(decode(mode, &codes)) == words(file), "{file}");
        }
    }
}

#[test]
fn a_signal_of_extremes_is_coded_as_when_the_itu_s_sequences_passed() {
    let codes = encode(&signal(1));
    let decoded = MODES.map(|(mode, _)| digest_of_samples(&decode(mode, &codes)));
    let as_ever = [
        0x0d6f_dd17_350d_a6e4,
        0x6809_ac46_1a14_c0d6,
        0x148f_b9ed_a2ee_c6a2,
    ];
    assert_eq!(digest(codes), 0xbfde7bf7ec9e8406);
    assert_eq!(decoded, as_ever, "{decoded:#x?}");
}

#[test]
fn octets_that_no_encoder_sends_are_decoded_too() {
    let codes: Vec<u8> = (0..=255u8)
        .cycle()
        .take(4_096)
        .map(|code| code.wrapping_mul(167))
        .collect();
    let digests = MODES.map(|(mode, _)| digest_of_samples(&decode(mode, &codes)));
    let as_ever = [
        0xf355_4831_1ae9_6829,
        0x6fc8_5178_2ca4_3192,
        0x4ab7_a662_eb90_0875,
    ];
    assert_eq!(digests, as_ever, "{digests:#x?}");
}

#[test]
fn coding_in_pieces_gives_the_same_as_in_one() {
    let pcm = signal(2);
    let whole = encode(&pcm);
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::default();
    let mut codes = vec![0; whole.len()];
    let mut heard = vec![0; pcm.len()];
    for i in (0..codes.len()).step_by(80) {
        encoder.encode(&pcm[2 * i..], &mut codes[i..][..80]);
        decoder.decode(&codes[i..], &mut heard[2 * i..][..160]);
    }
    assert!(codes == whole);
    assert!(heard == decode(Mode::Kbps64, &whole));
}

#[test]
fn every_interval_has_a_code_of_its_own() {
    for negative in [false, true] {
        for number in 0..30 {
            let interval = Interval { negative, number };
            assert_eq!(low_interval(low_code(interval)), interval);
        }
        for number in 0..2 {
            let interval = Interval { negative, number };
            assert_eq!(high_interval(high_code(interval)), interval);
        }
    }
    for never_sent in 0..4 {
        let smallest = Interval {
            negative: true,
            number: 0,
        };
        assert_eq!(low_interval(never_sent), smallest);
    }
}

#[test]
fn slices_that_do_not_fit_are_coded_as_far_as_they_do() {
    let mut codes = [0x11; 4];
    Encoder::default().encode(&[0; 5], &mut codes);
    assert_eq!(codes[2..], [0x11; 2]);
    let mut pcm = [0x1111; 5];
    Decoder::default().decode(&[0; 8], &mut pcm);
    assert_eq!(pcm[4], 0x1111);
}
