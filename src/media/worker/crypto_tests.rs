//! SRTP on one leg, plain RTP on the other.

use crate::link::{Command, Event, LegCrypto, Unusable};
use crate::media::testing::{A, B, Bed, Packet, Sent, remote, stream};
use crate::media::{Component, DropReason};
use crate::rtp::srtp::{MasterKey, OVERHEAD_MAX, Opener, Sealer, Suite};

const FROM_A: &str = "192.0.2.1:4000";
const FROM_B: &str = "198.51.100.1:6000";

fn key(suite: Suite, byte: u8) -> MasterKey {
    MasterKey::new(suite, &vec![byte; suite.material_len()]).expect("of the right length")
}

fn keys(suite: Suite, byte: u8) -> LegCrypto {
    LegCrypto {
        receive: key(suite, byte),
        send: key(suite, byte + 1),
    }
}

fn sealed(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut room = plain.to_vec();
    room.resize(plain.len() + OVERHEAD_MAX, 0);
    let len = sealer.seal(&mut room, plain.len()).expect("seals");
    room.truncate(len);
    room
}

/// A has SRTP, B has not.
fn half_sealed(keys: LegCrypto) -> Bed {
    let mut bed = Bed::new();
    bed.open(A, remote(FROM_A));
    bed.open(B, remote(FROM_B));
    let crypto = Some(keys);
    bed.command(Command::SetCrypto { leg: A, crypto });
    bed.bridge(A, B);
    bed
}

#[test]
fn each_suite_is_opened_on_one_side_and_sealed_on_the_other_way() {
    for suite in Suite::ALL {
        let mut bed = half_sealed(keys(suite, 3));
        let mut peer = Sealer::new(&key(suite, 3));
        let mut ears = Opener::new(&key(suite, 4));
        let (mut of_a, mut of_b) = (stream(1), stream(2));
        for _ in 0..5 {
            let packet = sealed(&mut peer, &of_a.bytes());
            let sent = bed.bytes(A, Component::Rtp, FROM_A, packet);
            assert_eq!(
                sent.expect("passes").bytes,
                of_a.bytes(),
                "{suite:?}: plain to B"
            );
            let sent: Sent = bed.packet(B, FROM_B, of_b).expect("passes");
            assert_eq!(sent.bytes.len(), 172 + suite.rtp_tag_len());
            assert_ne!(sent.bytes[12..172], of_b.bytes()[12..172], "{suite:?}");
            let mut bytes = sent.bytes;
            let len = ears.open(&mut bytes).expect("opens");
            assert_eq!(bytes[..len], of_b.bytes(), "{suite:?}: A hears B");
            (of_a, of_b) = (of_a.next(), of_b.next());
            bed.pass_ms(20);
        }
    }
}

#[test]
fn what_is_not_sealed_forged_or_said_twice_is_dropped() {
    let suite = Suite::AesCm128HmacSha1_80;
    let mut bed = half_sealed(keys(suite, 3));
    let mut peer = Sealer::new(&key(suite, 3));
    let packet = stream(1);
    let genuine = sealed(&mut peer, &packet.bytes());
    let mut forged = genuine.clone();
    forged[40] ^= 1;
    for (bytes, reason) in [
        (packet.bytes(), DropReason::Unauthentic),
        (forged, DropReason::Unauthentic),
        (genuine[..14].to_vec(), DropReason::Malformed),
    ] {
        let judged = bed.bytes(A, Component::Rtp, FROM_A, bytes);
        assert_eq!(judged.err(), Some(reason));
    }
    assert!(
        bed.bytes(A, Component::Rtp, FROM_A, genuine.clone())
            .is_ok()
    );
    let again = bed.bytes(A, Component::Rtp, FROM_A, genuine);
    assert_eq!(again.err(), Some(DropReason::Late));
}

/// Sends for three seconds, under this key; what of it is told to control.
fn told_of(bed: &mut Bed, from: &str, byte: u8) -> Vec<Event> {
    let suite = Suite::AesCm128HmacSha1_80;
    let mut sealer = Sealer::new(&key(suite, byte));
    let mut packet = stream(u32::from(byte));
    for _ in 0..150 {
        let bytes = sealed(&mut sealer, &packet.bytes());
        let judged = bed.bytes(A, Component::Rtp, from, bytes);
        assert_eq!(judged.err(), Some(DropReason::Unauthentic));
        packet = packet.next();
        bed.pass_ms(20);
        bed.tick();
    }
    let events = bed.events().into_iter();
    events
        .filter(|event| matches!(event, Event::Unusable { .. } | Event::Stranger { .. }))
        .collect()
}

#[test]
fn a_call_whose_peer_seals_by_another_key_is_told_once() {
    let suite = Suite::AesCm128HmacSha1_80;
    let mut bed = half_sealed(keys(suite, 3));
    let source = FROM_A.parse().expect("an address");
    let told = Event::Unusable {
        leg: A,
        cause: Unusable::Unauthentic { source },
    };
    assert_eq!(told_of(&mut bed, FROM_A, 7), [told]);
    assert_eq!(told_of(&mut bed, FROM_A, 7), []);
    let crypto = Some(keys(suite, 13));
    bed.command(Command::SetCrypto { leg: A, crypto });
    assert_eq!(told_of(&mut bed, FROM_A, 7), [told], "after other keys");
    let source = "192.0.2.66:4000".parse().expect("an address");
    let strange = Event::Stranger { leg: A, source };
    assert_eq!(told_of(&mut bed, "192.0.2.66:4000", 7), [strange]);
}

#[test]
fn new_keys_take_over_while_the_old_ones_are_still_on_their_way() {
    let suite = Suite::AeadAes256Gcm;
    let mut bed = half_sealed(keys(suite, 3));
    let (mut old, mut new) = (Sealer::new(&key(suite, 3)), Sealer::new(&key(suite, 13)));
    let mut packet = stream(1);
    let mut judge = |bed: &mut Bed, sealer: &mut Sealer| {
        packet = packet.next();
        let bytes = sealed(sealer, &packet.bytes());
        bed.bytes(A, Component::Rtp, FROM_A, bytes).is_ok()
    };
    assert!(judge(&mut bed, &mut old));
    let crypto = Some(keys(suite, 13));
    bed.command(Command::SetCrypto { leg: A, crypto });
    assert!(judge(&mut bed, &mut old));
    assert!(judge(&mut bed, &mut new));
    assert!(judge(&mut bed, &mut old));
}

#[test]
fn a_sealed_stream_begins_in_the_lower_half_and_a_plain_one_with_its_own_numbers() {
    let mut bed = half_sealed(keys(Suite::AesCm128HmacSha1_80, 3));
    let late_numbers = |ssrc| Packet {
        sequence: 0xfffe,
        ..stream(ssrc)
    };
    let mut packet = late_numbers(2);
    let mut sent = Vec::new();
    for _ in 0..4 {
        sent.push(bed.packet(B, FROM_B, packet).expect("passes"));
        packet = packet.next();
        bed.pass_ms(20);
    }
    let numbers = sent.iter().map(Sent::sequence);
    assert!(numbers.eq([0x7ffe, 0x7fff, 0x8000, 0x8001]));
    // One that misses the packets before the source's numbers wrapped counts the wraps as we do.
    let mut ears = Opener::new(&key(Suite::AesCm128HmacSha1_80, 4));
    for mut sent in sent.split_off(2) {
        assert!(ears.open(&mut sent.bytes).is_ok());
    }
    // What was overtaken by the first packet would wrap the wrong way.
    let before = Packet {
        sequence: 0xfffd,
        ..stream(2)
    };
    assert_eq!(bed.packet(B, FROM_B, before).err(), Some(DropReason::Late));

    let mut bed = Bed::bridged();
    let sent = bed.packet(B, FROM_B, late_numbers(2)).expect("passes");
    assert_eq!(sent.sequence(), 0xfffe);
}

#[test]
fn what_came_twice_is_sealed_once_and_counted_once() {
    let mut bed = half_sealed(keys(Suite::AesCm128HmacSha1_80, 3));
    let packet = stream(2);
    assert!(bed.packet(B, FROM_B, packet).is_ok());
    let again = bed.packet(B, FROM_B, packet);
    assert_eq!(again.err(), Some(DropReason::Late));
    let counters = bed.worker.counters();
    assert_eq!((counters.packets_out, counters.bytes_out), (1, 172));
    bed.events();
    bed.command(Command::Close { leg: A });
    let events = bed.events();
    let [Event::Closed { report, .. }] = events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((report.packets_out, report.bytes_out), (1, 172));
}
