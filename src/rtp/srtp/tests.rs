//! A sealer and an opener against each other, with a network between them that loses, repeats, reorders and forges.

use super::sources::SOURCES_MAX;
use super::*;
use proptest::prelude::*;

fn key(suite: Suite, seed: u8) -> MasterKey {
    let material: Vec<u8> = (0..suite.material_len())
        .map(|at| seed ^ (at as u8).wrapping_mul(31))
        .collect();
    MasterKey::new(suite, &material).expect("the right length")
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend(u32::from(sequence).wrapping_mul(160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(b"\x81\xca\0\x02....\0\0\0\0");
    packet
}

fn sealed(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + OVERHEAD_MAX, 0);
    let len = sealer.seal(&mut packet, plain.len()).expect("seals");
    packet.truncate(len);
    packet
}

fn sealed_rtcp(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + OVERHEAD_MAX, 0);
    let len = sealer.seal_rtcp(&mut packet, plain.len()).expect("seals");
    packet.truncate(len);
    packet
}

fn opened(opener: &mut Opener, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = packet.to_vec();
    let len = opener.open(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

fn opened_rtcp(opener: &mut Opener, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut packet = packet.to_vec();
    let len = opener.open_rtcp(&mut packet)?;
    packet.truncate(len);
    Ok(packet)
}

fn pair(suite: Suite) -> (Sealer, Opener) {
    (Sealer::new(&key(suite, 1)), Opener::new(&key(suite, 1)))
}

#[test]
fn what_is_sealed_is_opened_once_and_grows_as_the_suite_says() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        for plain in [rtp(7, 100, &[0xd5; 160]), rtp(7, 101, b"")] {
            let packet = sealed(&mut sealer, &plain);
            assert_eq!(packet.len(), plain.len() + suite.rtp_tag_len());
            assert_eq!(packet[..12], plain[..12]);
            assert!(plain.len() < 20 || packet[12..172] != plain[12..]);
            assert_eq!(opened(&mut opener, &packet), Ok(plain));
            assert_eq!(opened(&mut opener, &packet), Err(SrtpError::Replay));
        }
        let plain = rtcp(7);
        let packet = sealed_rtcp(&mut sealer, &plain);
        assert_eq!(packet.len(), plain.len() + suite.rtcp_tag_len() + 4);
        assert_eq!(opened_rtcp(&mut opener, &packet), Ok(plain));
        assert_eq!(opened_rtcp(&mut opener, &packet), Err(SrtpError::Replay));
    }
}

#[test]
fn csrcs_and_extension_stay_in_the_clear() {
    let (mut sealer, mut opener) = pair(Suite::AeadAes128Gcm);
    let mut plain = rtp(7, 1, b"csrc\xbe\xde\0\x01ext.payload");
    plain[0] = 0x91;
    let packet = sealed(&mut sealer, &plain);
    assert_eq!(packet[..24], plain[..24]);
    assert_ne!(packet[24..31], plain[24..]);
    assert_eq!(opened(&mut opener, &packet), Ok(plain));
}

#[test]
fn every_bit_is_authentic() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let first = sealed(&mut sealer, &rtp(7, 9, b"first"));
        assert!(opened(&mut opener, &first).is_ok());
        let packet = sealed(&mut sealer, &rtp(7, 10, b"speech"));
        let report = sealed_rtcp(&mut sealer, &rtcp(7));
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(&mut opener, &forged).is_err(), "{suite:?} bit {bit}");
        }
        for bit in 0..report.len() * 8 {
            let mut forged = report.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let result = opened_rtcp(&mut opener, &forged);
            assert!(result.is_err(), "{suite:?} bit {bit}");
        }
        // None of it moved a window.
        assert!(opened(&mut opener, &packet).is_ok());
        assert!(opened_rtcp(&mut opener, &report).is_ok());
    }
}

#[test]
fn what_is_no_packet_is_refused_and_left_alone() {
    let (mut sealer, mut opener) = pair(Suite::AesCm128HmacSha1_80);
    let short = SrtpError::Malformed(Malformed::Short);
    for len in 0..22 {
        let packet = &rtp(7, 1, &[0; 10])[..len];
        assert_eq!(opened(&mut opener, packet), Err(short), "{len}");
        assert_eq!(opened_rtcp(&mut opener, packet), Err(short), "{len}");
    }
    let mut stun = vec![0; 40];
    let version = Err(SrtpError::Malformed(Malformed::Version));
    assert_eq!(opened(&mut opener, &stun), version);
    assert_eq!(opened_rtcp(&mut opener, &stun), version);
    assert_eq!(
        sealer.seal(&mut stun, 20),
        Err(SrtpError::Malformed(Malformed::Version))
    );
    let mut tight = rtp(7, 1, b"x");
    let len = tight.len();
    assert_eq!(sealer.seal(&mut tight, len), Err(SrtpError::NoRoom));
    assert_eq!(sealer.seal(&mut tight, len + 1), Err(SrtpError::NoRoom));
    assert_eq!(tight, rtp(7, 1, b"x"));
}

#[test]
fn an_unencrypted_report_is_refused() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let mut packet = sealed_rtcp(&mut sealer, &rtcp(7));
        let e_bit = match suite {
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => packet.len() - 4,
            _ => packet.len() - 14,
        };
        assert_eq!(packet[e_bit], 0x80);
        packet[e_bit] = 0;
        let result = opened_rtcp(&mut opener, &packet);
        assert_eq!(result, Err(SrtpError::Unencrypted), "{suite:?}");
    }
}

#[test]
fn a_sealer_seals_no_index_twice() {
    let (mut sealer, _) = pair(Suite::AeadAes256Gcm);
    sealed(&mut sealer, &rtp(7, 500, b"one"));
    sealed(&mut sealer, &rtp(7, 498, b"late"));
    for sequence in [500, 498, 300] {
        let mut again = rtp(7, sequence, b"another");
        let before = again.len();
        again.resize(before + OVERHEAD_MAX, 0);
        assert_eq!(sealer.seal(&mut again, before), Err(SrtpError::Replay));
        assert_eq!(again[..before], rtp(7, sequence, b"another"));
    }
}

#[test]
fn a_sealer_forgets_no_source_and_an_opener_the_oldest() {
    let suite = Suite::AesCm128HmacSha1_80;
    let (mut sealer, mut opener) = pair(suite);
    for ssrc in 0..SOURCES_MAX as u32 {
        let packet = sealed(&mut sealer, &rtp(ssrc, 1, b"x"));
        assert!(opened(&mut opener, &packet).is_ok());
    }
    let mut ninth = rtp(99, 1, b"x");
    ninth.resize(60, 0);
    assert_eq!(sealer.seal(&mut ninth, 13), Err(SrtpError::TooManySources));
    let ninth = sealed(&mut Sealer::new(&key(suite, 1)), &rtp(99, 1, b"x"));
    assert!(opened(&mut opener, &ninth).is_ok());
    let second = sealed(&mut sealer, &rtp(1, 2, b"x"));
    assert!(opened(&mut opener, &second).is_ok());
}

#[test]
fn forged_sources_push_none_out() {
    let (mut sealer, mut opener) = pair(Suite::AesCm128HmacSha1_80);
    for sequence in [65_535, 20_000] {
        let packet = sealed(&mut sealer, &rtp(7, sequence, b"x"));
        assert!(opened(&mut opener, &packet).is_ok());
    }
    for ssrc in 1000..2000 {
        let forged = rtp(ssrc, 1, &[0; 40]);
        assert!(opened(&mut opener, &forged).is_err());
        assert!(opened_rtcp(&mut opener, &forged).is_err());
    }
    // It is still known that source 7 has rolled over once.
    let packet = sealed(&mut sealer, &rtp(7, 40_000, b"x"));
    assert!(opened(&mut opener, &packet).is_ok());
}

#[test]
fn first_packets_may_be_lost_about_the_rollover() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        for sequence in 65_500..=65_535 {
            sealed(&mut sealer, &rtp(7, sequence, b"never heard"));
        }
        for sequence in 0..3 {
            let packet = sealed(&mut sealer, &rtp(7, sequence, b"heard"));
            assert!(opened(&mut opener, &packet).is_ok(), "{suite:?}");
        }
    }
}

/// A stream that has rolled over twice.
fn old_pair(suite: Suite) -> (Sealer, Opener) {
    let (mut sealer, mut opener) = pair(suite);
    for step in 0..(3 << 16) / 30_000 {
        let packet = sealed(&mut sealer, &rtp(7, (step * 30_000) as u16, b"x"));
        assert!(opened(&mut opener, &packet).is_ok());
    }
    (sealer, opener)
}

#[test]
fn a_new_key_is_heard_and_the_old_one_for_a_while() {
    for suite in Suite::ALL {
        for (new, goes_on) in [(suite, true), (suite, false), (Suite::AeadAes256Gcm, false)] {
            let (mut sealer, mut opener) = old_pair(suite);
            let on_its_way = sealed(&mut sealer, &rtp(7, 50_001, b"on its way"));
            let report = sealed_rtcp(&mut sealer, &rtcp(7));
            let lost = sealed(&mut sealer, &rtp(7, 50_002, b"too late"));
            opener.rekey(&key(new, 2));
            let last = sealed(&mut sealer, &rtp(7, 50_003, b"before the change"));
            assert!(opened(&mut opener, &last).is_ok());
            if goes_on {
                sealer.rekey(&key(new, 2));
            } else {
                sealer = Sealer::new(&key(new, 2));
            }
            let first = sealed(&mut sealer, &rtp(7, 50_004, b"after it"));
            assert!(opened(&mut opener, &first).is_ok(), "{suite:?} {goes_on}");
            assert_eq!(opened(&mut opener, &first), Err(SrtpError::Replay));
            assert!(opened(&mut opener, &on_its_way).is_ok());
            assert!(opened(&mut opener, &on_its_way).is_err());
            assert!(opened_rtcp(&mut opener, &report).is_ok());
            let report = sealed_rtcp(&mut sealer, &rtcp(7));
            assert!(opened_rtcp(&mut opener, &report).is_ok());
            for sequence in 50_005..50_200 {
                let packet = sealed(&mut sealer, &rtp(7, sequence, b"x"));
                assert!(opened(&mut opener, &packet).is_ok());
            }
            assert!(opener.previous_is_gone());
            assert!(opened(&mut opener, &lost).is_err());
        }
    }
}

#[test]
fn the_same_key_changes_nothing_and_the_one_before_comes_back() {
    let suite = Suite::AesCm128HmacSha1_32;
    let (mut sealer, mut opener) = old_pair(suite);
    opener.rekey(&key(suite, 1));
    sealer.rekey(&key(suite, 1));
    assert!(opener.previous_is_gone());
    // Two changes that the peer never took up, and back.
    for seed in [2, 3, 1] {
        opener.rekey(&key(suite, seed));
        let sequence = 50_000 + u16::from(seed);
        let packet = sealed(&mut sealer, &rtp(7, sequence, b"under the first key"));
        assert!(opened(&mut opener, &packet).is_ok(), "{seed}");
        assert!(opened(&mut opener, &packet).is_err(), "{seed}");
    }
}

#[test]
fn indices_end() {
    let (mut sealer, _) = pair(Suite::AesCm128HmacSha1_80);
    sealer.start_at(7, INDEX_END - 1);
    let mut packet = rtp(7, 0, b"x");
    packet.resize(60, 0);
    assert_eq!(sealer.seal(&mut packet, 13), Err(SrtpError::Exhausted));
    sealer.start_rtcp_at(RTCP_INDEX_END - 1);
    sealed_rtcp(&mut sealer, &rtcp(7));
    let mut packet = rtcp(7);
    packet.resize(60, 0);
    assert_eq!(sealer.seal_rtcp(&mut packet, 20), Err(SrtpError::Exhausted));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Loss in long runs, repetition and reordering within the window, over several rollovers: each packet that comes
    /// is opened exactly once, as what it was.
    #[test]
    fn a_bad_network_changes_nothing(
        suite in prop::sample::select(&Suite::ALL[..]),
        first in 0u16..=u16::MAX,
        steps in proptest::collection::vec((prop_oneof![8 => Just(1u16), 1 => 1u16..100, 1 => 20_000u16..26_000], 0usize..60, any::<bool>()), 1..200),
    ) {
        let (mut sealer, mut opener) = pair(suite);
        let mut sequence = first;
        let mut in_flight: Vec<(usize, Vec<u8>, Vec<u8>)> = Vec::new();
        for (at, (step, delay, twice)) in steps.iter().enumerate() {
            let plain = rtp(7, sequence, &at.to_be_bytes());
            // The first packet comes at once: what is before it has no place.
            let due = if at == 0 { 0 } else { at + delay };
            in_flight.push((due, sealed(&mut sealer, &plain), plain.clone()));
            // Before a long silence all that is on its way arrives.
            let (now, later): (Vec<_>, Vec<_>) = in_flight
                .drain(..)
                .partition(|(due, ..)| *due <= at || *step > 100);
            in_flight = later;
            for (_, packet, plain) in now {
                let result = opened(&mut opener, &packet);
                let age = sequence.wrapping_sub(u16::from_be_bytes([plain[2], plain[3]]));
                // Who comes later than the window is refused; nobody else is.
                match age < 128 {
                    true => prop_assert_eq!(result, Ok(plain)),
                    false => prop_assert!(result == Ok(plain) || result.is_err()),
                }
                if *twice {
                    prop_assert!(opened(&mut opener, &packet).is_err());
                }
            }
            sequence = sequence.wrapping_add(*step);
        }
    }

    #[test]
    fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), suite in prop::sample::select(&Suite::ALL[..]), len in 0usize..140) {
        if let Some(first) = bytes.first_mut() {
            *first = *first & 0x3f | 0x80;
        }
        let (mut sealer, mut opener) = pair(suite);
        prop_assert!(opened(&mut opener, &bytes).is_err());
        prop_assert!(opened_rtcp(&mut opener, &bytes).is_err());
        opener.rekey(&key(suite, 2));
        prop_assert!(opened(&mut opener, &bytes).is_err());
        let _ = sealer.seal(&mut bytes.clone(), len);
        let _ = sealer.seal_rtcp(&mut bytes, len);
    }
}
