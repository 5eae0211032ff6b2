//! G.722 against the ITU-T's sequences where they are at hand, and against digests taken when those had passed.

use super::*;
use crate::codec::Rate;
use crate::codec::plc::Concealer;
use crate::codec::tests::{digest, digest_of_samples, octets, prompts, words};

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

/// Random octets; the same for a seed.
fn octets_of(seed: u32, count: usize) -> Vec<u8> {
    let mut random = seed;
    let octet = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    };
    std::iter::repeat_with(octet).take(count).collect()
}

/// Lengths of blocks, and whether they go through the coder of one stream.
const BLOCKS: [(usize, bool); 20] = [
    (80, false),
    (80, false),
    (1, false),
    (80, true),
    (7, false),
    (16, false),
    (80, false),
    (81, false),
    (33, true),
    (80, false),
    (240, false),
    (5, true),
    (80, false),
    (80, false),
    (160, false),
    (15, false),
    (80, true),
    (17, false),
    (79, false),
    (80, false),
];

/// Batches of every size, mixed with the coder of one stream, give its bits and its states.
#[test]
fn a_batch_encodes_to_the_bit() {
    for size in 1..=20 {
        // Each stream begins in another part of the signal.
        let pcm: Vec<Vec<i16>> = (0..size)
            .map(|i| signal(size * 100 + i).split_off(i as usize * 700))
            .collect();
        let mut alone = vec![Encoder::default(); pcm.len()];
        let mut together = alone.clone();
        let mut at = 0;
        for (count, one_by_one) in BLOCKS {
            let mut expected = vec![vec![0; count]; pcm.len()];
            let mut codes = expected.clone();
            let block = |i: usize| &pcm[i][2 * at..][..2 * count];
            for (i, codes) in expected.iter_mut().enumerate() {
                alone[i].encode(block(i), codes);
            }
            let states = together.iter_mut().zip(&mut codes).enumerate();
            let mut jobs: Vec<EncodeJob> = states
                .map(|(i, (state, codes))| EncodeJob {
                    state,
                    pcm: block(i),
                    codes,
                })
                .collect();
            if one_by_one {
                jobs.iter_mut()
                    .for_each(|job| job.state.encode(job.pcm, job.codes));
            } else {
                encode_batch(&mut jobs);
            }
            assert!(
                codes == expected && together == alone,
                "batch of {size}, code {at}"
            );
            at += count;
        }
    }
}

#[test]
fn a_batch_decodes_to_the_bit() {
    for size in 1..=20 {
        // What an encoder makes of extremes, and octets that none makes.
        let source = |i: u32| match i % 2 {
            0 => encode(&signal(size * 100 + i)[i as usize * 700..][..4_000]),
            _ => octets_of(size * 100 + i, 2_000),
        };
        let codes: Vec<Vec<u8>> = (0..size).map(source).collect();
        let mut alone = vec![Decoder::default(); codes.len()];
        let mut together = alone.clone();
        let mut at = 0;
        for (count, one_by_one) in BLOCKS {
            let mut expected = vec![vec![0; 2 * count]; codes.len()];
            let mut pcm = expected.clone();
            let block = |i: usize| &codes[i][at..][..count];
            for (i, pcm) in expected.iter_mut().enumerate() {
                alone[i].decode(block(i), pcm);
            }
            let states = together.iter_mut().zip(&mut pcm).enumerate();
            let mut jobs: Vec<DecodeJob> = states
                .map(|(i, (state, pcm))| DecodeJob {
                    state,
                    codes: block(i),
                    pcm,
                })
                .collect();
            if one_by_one {
                jobs.iter_mut()
                    .for_each(|job| job.state.decode(job.codes, job.pcm));
            } else {
                decode_batch(&mut jobs);
            }
            assert!(
                pcm == expected && together == alone,
                "batch of {size}, code {at}"
            );
            at += count;
        }
    }
}

/// A state as no sequence of samples may ever leave it, within the bounds that the arithmetic keeps.
fn band_at_its_bounds(random: &mut impl FnMut() -> i16) -> Band {
    let any = |random: &mut dyn FnMut() -> i16| match random() & 3 {
        0 => i16::MIN,
        1 => i16::MAX,
        _ => random(),
    };
    let second = (any(random) / 2).clamp(-12_288, 12_288);
    let bound = 15_360 - second;
    Band {
        log_scale: any(random).clamp(0, 18_432),
        scale: (any(random) & 0x3FFC).max(8),
        predicted: any(random),
        zeros_predicted: any(random),
        poles: [any(random).clamp(-bound, bound), second],
        partial: std::array::from_fn(|_| any(random)),
        zeros: std::array::from_fn(|_| any(random)),
        reconstructed: std::array::from_fn(|_| any(random)),
        differences: std::array::from_fn(|_| any(random).clamp(-20_456, 20_456) & !1),
    }
}

#[test]
fn a_batch_goes_on_from_any_state_to_the_bit() {
    let mut seed = 7u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as i16
    };
    for _ in 0..100 {
        let encoder = |_| Encoder {
            low: band_at_its_bounds(&mut random),
            high: band_at_its_bounds(&mut random),
            filter: std::array::from_fn(|_| std::array::from_fn(|_| random())),
        };
        let mut encoders: [Encoder; 8] = std::array::from_fn(encoder);
        let mut decoders = encoders
            .clone()
            .map(|Encoder { low, high, filter }| Decoder {
                low,
                high,
                filter,
                mode: Mode::Kbps64,
            });
        let (mut encoders_alone, mut decoders_alone) = (encoders.clone(), decoders.clone());
        let pcm: [i16; 320] = std::array::from_fn(|_| random());
        let mut codes = [[0; 160]; 8];
        let mut jobs: Vec<EncodeJob> = encoders
            .iter_mut()
            .zip(&mut codes)
            .map(|(state, codes)| EncodeJob {
                state,
                pcm: &pcm,
                codes,
            })
            .collect();
        encode_batch(&mut jobs);
        let mut heard = [[0; 320]; 8];
        let mut jobs: Vec<DecodeJob> = decoders
            .iter_mut()
            .zip(&codes)
            .zip(&mut heard)
            .map(|((state, codes), pcm)| DecodeJob { state, codes, pcm })
            .collect();
        decode_batch(&mut jobs);
        for lane in 0..8 {
            let (mut alone, mut pcm_alone) = ([0; 160], [0; 320]);
            encoders_alone[lane].encode(&pcm, &mut alone);
            decoders_alone[lane].decode(&alone, &mut pcm_alone);
            assert!(alone == codes[lane] && pcm_alone == heard[lane]);
        }
        assert!(encoders == encoders_alone && decoders == decoders_alone);
    }
}

/// Streams that differ in length and mode are coded as far as each goes.
#[test]
fn a_batch_of_unequal_streams_is_coded_to_the_bit() {
    let pcm = signal(3);
    let lengths = [80, 0, 33, 80, 160, 7];
    let mut encoders = lengths.map(|_| Encoder::default());
    let mut codes = lengths.map(|length| vec![0; length]);
    let mut jobs: Vec<EncodeJob> = encoders
        .iter_mut()
        .zip(&mut codes)
        .map(|(state, codes)| EncodeJob {
            state,
            pcm: &pcm,
            codes,
        })
        .collect();
    encode_batch(&mut jobs);
    for codes in &codes {
        assert!(*codes == encode(&pcm[..2 * codes.len()]));
    }
    let codes = encode(&pcm[..320]);
    let mut decoders = MODES.map(|(mode, _)| Decoder::new(mode));
    let mut heard = [[0; 320]; 3];
    let mut jobs: Vec<DecodeJob> = decoders
        .iter_mut()
        .zip(&mut heard)
        .map(|(state, pcm)| DecodeJob {
            state,
            codes: &codes,
            pcm,
        })
        .collect();
    decode_batch(&mut jobs);
    for ((mode, _), heard) in MODES.into_iter().zip(&heard) {
        assert!(heard[..] == decode(mode, &codes));
    }
}

/// A decoder that is told the signal itself, in place of its octets, has heard the same.
#[test]
fn a_decoder_carried_by_the_true_signal_is_the_one_that_heard_it() {
    let pcm = signal(3);
    let codes = encode(&pcm[..1600]);
    for (mode, _) in MODES {
        let mut heard = Decoder::new(mode);
        heard.decode(&codes[..480], &mut [0; 960]);
        let mut carried = heard.clone();
        heard.decode(&codes[480..560], &mut [0; 160]);
        carried.carry(&pcm[960 - Decoder::CARRY_PAST..1120]);
        assert!(carried == heard);
    }
}

/// Speech of which two blocks in forty are lost: the powers, from 10 to 40 ms after each loss, of what the decoder makes wrong, and
/// of what it makes without a loss.
fn error_after_losses(codes: &[u8], is_carried: bool) -> (f64, f64) {
    let whole = decode(Mode::Kbps64, codes);
    let mut decoder = Decoder::default();
    let mut concealer = Concealer::new(Rate::Wide);
    let (mut error, mut power) = (0.0, 0.0);
    for (number, codes) in codes.chunks_exact(80).enumerate() {
        let mut block = [0; 160];
        match number % 40 {
            20 | 21 => {
                concealer.lost(&mut block);
                if is_carried {
                    decoder.carry(concealer.estimate(Decoder::CARRY_PAST));
                }
                continue;
            }
            place => {
                decoder.decode(codes, &mut block);
                for (heard, meant) in block.iter().zip(&whole[number * 160..]) {
                    if (23..26).contains(&place) {
                        error += (f64::from(*heard) - f64::from(*meant)).powi(2);
                        power += f64::from(*meant).powi(2);
                    }
                }
            }
        }
        concealer.good(&mut block);
    }
    (error, power)
}

#[test]
fn speech_recovers_sooner_if_the_decoder_is_carried_through_a_loss() {
    let mut prompts = prompts("g722");
    prompts.sort();
    let prompts: Vec<Vec<u8>> = prompts
        .iter()
        .take(100)
        .map(|path| std::fs::read(path).expect("a prompt"))
        .collect();
    if prompts.is_empty() {
        return;
    }
    let ratio = |is_carried| {
        let each = prompts
            .iter()
            .map(|codes| error_after_losses(codes, is_carried));
        let (error, power) = each.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        10.0 * f64::log10(error / power)
    };
    let (carried, left) = (ratio(true), ratio(false));
    eprintln!("{carried:.2} dB carried, {left:.2} dB left alone");
    assert!(
        carried < left - 0.5,
        "{carried} dB carried, {left} dB left alone"
    );
}
