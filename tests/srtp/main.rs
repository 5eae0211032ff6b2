//! SRTP against libsrtp: the same packets from the same keys, byte for byte, and the same verdicts about what a bad
//! network makes of them. Where the library is missing, the tests say so and compare nothing.

mod libsrtp;

use libsrtp::{Direction, Session};
use proptest::prelude::*;
use ringway::rtp::srtp::{MasterKey, Opener, Sealer, Suite};

/// Room behind a packet: libsrtp's `SRTP_MAX_TRAILER_LEN`.
const ROOM: usize = 160;

fn master() -> impl Strategy<Value = MasterKey> {
    let key = |suite: Suite| {
        proptest::collection::vec(any::<u8>(), suite.material_len())
            .prop_map(move |bytes| MasterKey::new(suite, &bytes).expect("the right length"))
    };
    prop::sample::select(&Suite::ALL[..]).prop_flat_map(key)
}

/// What follows the fixed header, with its first byte: CSRCs, extension, payload and padding.
fn tail() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let csrcs = proptest::collection::vec(any::<u32>(), 0..4);
    let extension = proptest::option::of(proptest::collection::vec(any::<u32>(), 0..4));
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    (csrcs, extension, payload, 0u8..5).prop_map(|(csrcs, extension, payload, padding)| {
        let mut first = 0x80 | csrcs.len() as u8;
        let mut tail: Vec<u8> = csrcs.iter().flat_map(|csrc| csrc.to_be_bytes()).collect();
        if let Some(words) = extension {
            first |= 0x10;
            tail.extend([0xbe, 0xde, 0, words.len() as u8]);
            tail.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        }
        tail.extend(payload);
        if padding > 0 {
            first |= 0x20;
            tail.extend(vec![0; usize::from(padding) - 1]);
            tail.push(padding);
        }
        (first, tail)
    })
}

fn rtp(sequence: u16, (first, tail): &(u8, Vec<u8>)) -> Vec<u8> {
    let mut packet = vec![*first, 9];
    packet.extend(sequence.to_be_bytes());
    packet.extend(u32::from(sequence).to_be_bytes());
    packet.extend(0x5eed_cafe_u32.to_be_bytes());
    packet.extend(tail);
    packet
}

/// A report, and behind it what fills whole words.
fn rtcp(words: &[u32]) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(0x5eed_cafe_u32.to_be_bytes());
    packet.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    packet
}

/// Seals with one of the two.
fn sealed<E: std::fmt::Debug>(
    plain: &[u8],
    seal: impl FnOnce(&mut [u8], usize) -> Result<usize, E>,
) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + ROOM, 0);
    let len = seal(&mut packet, plain.len()).expect("seals");
    packet.truncate(len);
    packet
}

/// Opens with one of the two.
fn opened<E>(packet: &[u8], open: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Option<Vec<u8>> {
    let mut packet = packet.to_vec();
    let len = open(&mut packet).ok()?;
    packet.truncate(len);
    Some(packet)
}

#[test]
fn libsrtp_has_every_suite_or_says_that_it_has_not() {
    for suite in Suite::ALL {
        let master = MasterKey::new(suite, &vec![7; suite.material_len()]).expect("a key");
        let theirs = Session::new(&master, Direction::Outbound);
        println!("{}: compared: {}", suite.name(), theirs.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Both write the same bytes, over loss and the wrap of the sequence numbers, and read the other's.
    #[test]
    fn both_seal_the_same(
        master in master(),
        first: u16,
        steps in proptest::collection::vec((prop_oneof![6 => Just(1u16), 1 => 2u16..50, 1 => 20_000u16..32_000], tail()), 1..40),
    ) {
        let Some(mut their_sealer) = Session::new(&master, Direction::Outbound) else { return Ok(()) };
        let Some(mut their_opener) = Session::new(&master, Direction::Inbound) else { return Ok(()) };
        let (mut sealer, mut opener) = (Sealer::new(&master), Opener::new(&master));
        let mut sequence = first;
        for (step, tail) in &steps {
            let plain = rtp(sequence, tail);
            let ours = sealed(&plain, |packet, len| sealer.seal(packet, len));
            let theirs = sealed(&plain, |packet, len| their_sealer.seal(packet, len));
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(opened(&theirs, |packet| opener.open(packet)), Some(plain.clone()));
            prop_assert_eq!(opened(&ours, |packet| their_opener.open(packet)), Some(plain));
            sequence = sequence.wrapping_add(*step);
        }
    }

    #[test]
    fn both_seal_the_same_reports(
        master in master(),
        reports in proptest::collection::vec(proptest::collection::vec(any::<u32>(), 0..20), 1..40),
    ) {
        let Some(mut their_sealer) = Session::new(&master, Direction::Outbound) else { return Ok(()) };
        let Some(mut their_opener) = Session::new(&master, Direction::Inbound) else { return Ok(()) };
        let (mut sealer, mut opener) = (Sealer::new(&master), Opener::new(&master));
        // libsrtp counts from 1, RFC 3711 §3.4 from 0.
        let first = sealed(&rtcp(&[]), |packet, len| sealer.seal_rtcp(packet, len));
        prop_assert!(opened(&first, |packet| their_opener.open_rtcp(packet)).is_some());
        for words in &reports {
            let plain = rtcp(words);
            let ours = sealed(&plain, |packet, len| sealer.seal_rtcp(packet, len));
            let theirs = sealed(&plain, |packet, len| their_sealer.seal_rtcp(packet, len));
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(opened(&theirs, |packet| opener.open_rtcp(packet)), Some(plain.clone()));
            prop_assert_eq!(opened(&ours, |packet| their_opener.open_rtcp(packet)), Some(plain));
        }
    }

    /// Reordered, repeated and damaged packets: both take the same ones.
    #[test]
    fn both_judge_the_same(
        master in master(),
        first: u16,
        deliveries in proptest::collection::vec((0usize..400, proptest::option::weighted(0.1, 0usize..4000)), 1..300),
    ) {
        let Some(mut theirs) = Session::new(&master, Direction::Inbound) else { return Ok(()) };
        let (mut sealer, mut ours) = (Sealer::new(&master), Opener::new(&master));
        let packets: Vec<Vec<u8>> = (0..400u16)
            .map(|at| rtp(first.wrapping_add(at), &(0x80, vec![at as u8; 20])))
            .map(|plain| sealed(&plain, |packet, len| sealer.seal(packet, len)))
            .collect();
        let start = opened(&packets[0], |packet| theirs.open(packet));
        prop_assert_eq!(opened(&packets[0], |packet| ours.open(packet)), start);
        for (at, bit) in deliveries {
            let mut packet = packets[at].clone();
            if let Some(bit) = bit {
                let bit = bit % (packet.len() * 8);
                packet[bit / 8] ^= 1 << (bit % 8);
            }
            let verdict = opened(&packet, |packet| theirs.open(packet));
            prop_assert_eq!(opened(&packet, |packet| ours.open(packet)), verdict);
        }
    }
}
