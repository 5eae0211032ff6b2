//! Every rule of the latch, through the worker: what passes, and where the leg then sends.

use super::super::testing::*;
use super::super::{Component, DropReason};
use crate::link::{Command, Event, LegId, Remote};

const SDP: &str = "192.0.2.1:4000";
/// The SDP's IP behind a NAT that renumbers.
const RENUMBERED: &str = "192.0.2.1:31000";
/// Where SIP comes from.
const SIGNALLING: &str = "192.0.2.200:7000";
const INTRUDER: &str = "203.0.113.66:9999";
/// The intruder who thinks that the port matters.
const INTRUDER_SAME_PORT: &str = "203.0.113.66:4000";
const ELSEWHERE: &str = "198.51.100.77:50000";
const AT_B: &str = "198.51.100.1:6000";

const WRONG: DropReason = DropReason::WrongSource;

fn set_remote(bed: &mut Bed, leg: LegId, remote: Remote) {
    bed.command(Command::SetRemote { leg, remote });
}

/// Where leg A sends at the moment.
fn a_sends_to(bed: &mut Bed) -> String {
    // SSRCs of B's peer that have not been used, so that the packet is never late.
    let ssrc = bed.now.0 as u32;
    let sent = bed.packet(B, AT_B, stream(ssrc)).expect("relayed to A");
    assert_eq!(sent.leg, SLOT_A);
    sent.to.to_string()
}

/// Intruders send all that they can think of; nothing passes and nothing is sent to them.
fn intrude(bed: &mut Bed, knows: Packet) {
    let mut attempts = vec![knows, stream(0xbad), stream(knows.ssrc)];
    for ahead in [1, 2, 50, 2_999, 30_000] {
        attempts.push(Packet {
            ssrc: knows.ssrc ^ 1,
            sequence: knows.sequence.wrapping_add(ahead),
            timestamp: knows.timestamp.wrapping_add(u32::from(ahead) * 160),
            ..knows
        });
    }
    for from in [INTRUDER, INTRUDER_SAME_PORT] {
        for packet in &attempts {
            let mut packet = *packet;
            for _ in 0..10 {
                let result = bed.packet(A, from, packet);
                assert_eq!(result, Err(WRONG), "{from} {packet:?}");
                packet = Packet {
                    // Not the stream going on: that is the phone itself (rule 4).
                    ssrc: packet.ssrc.wrapping_add(0x100),
                    ..packet.next()
                };
            }
        }
        let rubbish = bed.bytes(A, Component::Rtp, from, b"\0\x01\0\0stun".to_vec());
        assert_eq!(rubbish, Err(WRONG));
        let rtcp = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        for component in [Component::Rtp, Component::Rtcp] {
            assert_eq!(bed.bytes(A, component, from, rtcp.clone()), Err(WRONG));
        }
    }
    assert!(!a_sends_to(bed).starts_with("203.0.113.66"));
}

#[test]
fn an_intruder_gets_nothing_before_during_and_after_the_latch_and_in_pauses() {
    for phone in [SDP, RENUMBERED, SIGNALLING] {
        let mut bed = Bed::bridged();
        let mut talk = stream(7);
        intrude(&mut bed, talk);
        for _ in 0..4 {
            assert_eq!(bed.talk(A, phone, &mut talk, 1), 1, "during the latch");
            intrude(&mut bed, talk);
        }
        assert_eq!(a_sends_to(&mut bed), phone);
        for pause_ms in [100, 399, 400, 1_000, 2_000, 10_000, 59_000, 3_600_000] {
            bed.pass_ms(pause_ms);
            intrude(&mut bed, talk);
            assert_eq!(a_sends_to(&mut bed), phone, "after {pause_ms} ms");
            assert_eq!(bed.talk(A, phone, &mut talk, 3), 3);
            intrude(&mut bed, talk);
        }
        // On hold and back.
        let held = Remote {
            send: false,
            receive: false,
            ..remote(SDP)
        };
        set_remote(&mut bed, A, held);
        assert_eq!(bed.packet(A, INTRUDER, talk), Err(WRONG));
        set_remote(&mut bed, A, remote(SDP));
        intrude(&mut bed, talk);
        assert_eq!(a_sends_to(&mut bed), phone);
        // Between a re-INVITE and the first packet from the new address.
        set_remote(&mut bed, A, remote("192.0.2.9:4400"));
        intrude(&mut bed, talk);
        assert_eq!(bed.talk(A, "192.0.2.9:4400", &mut talk, 5), 5);
    }
}

#[test]
fn an_intruder_who_knows_ssrc_and_numbers_must_wait_for_a_silence_that_the_phone_does_not_leave() {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, SDP, &mut talk, 10);
    for _ in 0..500 {
        for _ in 0..5 {
            assert_eq!(bed.packet(A, INTRUDER, talk), Err(WRONG));
        }
        assert_eq!(bed.talk(A, SDP, &mut talk, 1), 1);
    }
    assert_eq!(a_sends_to(&mut bed), SDP);
}

#[test]
fn nothing_passes_before_the_remote_is_known() {
    let mut bed = Bed::new();
    let bind = addr("203.0.113.1:0").ip();
    bed.command(Command::Open { leg: A, bind });
    for bytes in [stream(7).bytes(), b"rubbish".to_vec()] {
        let result = bed.bytes(A, Component::Rtp, SDP, bytes);
        assert_eq!(result, Err(DropReason::Unlatched));
    }
    let rtcp = bed.bytes(A, Component::Rtcp, SDP, stream(7).bytes());
    assert_eq!(rtcp, Err(DropReason::Unlatched));
}

#[test]
fn the_sdps_address_locks_with_one_packet() {
    let mut bed = Bed::bridged();
    assert!(bed.packet(A, SDP, stream(7)).is_ok());
    let source = addr(SDP);
    assert_eq!(bed.events(), [Event::Latched { leg: A, source }]);
    for other in [RENUMBERED, SIGNALLING] {
        let mut packet = stream(8);
        assert_eq!(bed.talk(A, other, &mut packet, 50), 0, "{other}");
    }
    assert_eq!(a_sends_to(&mut bed), SDP);
    let mut other_ssrc = stream(9);
    assert_eq!(bed.talk(A, SDP, &mut other_ssrc, 5), 5);
}

#[test]
fn behind_a_nat_three_packets_in_a_row_lock_and_all_pass() {
    for phone in [RENUMBERED, SIGNALLING] {
        let mut bed = Bed::bridged();
        let mut talk = stream(7);
        for _ in 0..2 {
            assert_eq!(bed.talk(A, phone, &mut talk, 1), 1);
            assert_eq!(a_sends_to(&mut bed), SDP, "not yet");
        }
        talk = talk.next(); // lost
        for _ in 0..2 {
            assert_eq!(bed.talk(A, phone, &mut talk, 1), 1);
            assert_eq!(a_sends_to(&mut bed), SDP, "not in a row");
        }
        assert_eq!(bed.talk(A, phone, &mut talk, 1), 1);
        assert_eq!(a_sends_to(&mut bed), phone);
        assert_eq!(
            bed.packet(A, SDP, stream(8)),
            Err(WRONG),
            "locked is locked"
        );
    }
}

#[test]
fn the_sdps_address_wins_over_a_candidate() {
    let mut bed = Bed::bridged();
    assert_eq!(bed.talk(A, RENUMBERED, &mut stream(7), 2), 2);
    assert!(bed.packet(A, SDP, stream(8)).is_ok());
    assert_eq!(bed.packet(A, RENUMBERED, stream(7)), Err(WRONG));
    assert_eq!(a_sends_to(&mut bed), SDP);
}

#[test]
fn a_second_candidate_waits_until_the_first_is_silent() {
    let mut bed = Bed::bridged();
    assert!(bed.packet(A, RENUMBERED, stream(7)).is_ok());
    bed.pass_ms(199);
    assert_eq!(bed.packet(A, SIGNALLING, stream(8)), Err(WRONG));
    bed.pass_ms(1);
    assert_eq!(bed.talk(A, SIGNALLING, &mut stream(8), 3), 3);
    assert_eq!(a_sends_to(&mut bed), SIGNALLING);
}

#[test]
fn a_leg_that_is_not_symmetric_sends_by_the_sdp_and_hears_its_host_only() {
    let mut bed = Bed::bridged();
    let fixed = Remote {
        symmetric: false,
        ..remote(SDP)
    };
    set_remote(&mut bed, A, fixed);
    assert_eq!(bed.packet(A, SIGNALLING, stream(7)), Err(WRONG));
    let mut talk = stream(8);
    assert_eq!(bed.talk(A, RENUMBERED, &mut talk, 5), 5);
    assert_eq!(a_sends_to(&mut bed), SDP);
    assert_eq!(bed.packet(A, "192.0.2.1:31002", stream(9)), Err(WRONG));
    // It follows nobody.
    bed.pass_ms(500);
    assert_eq!(bed.talk(A, ELSEWHERE, &mut talk, 10), 0);
}

/// A stream of 10 packets from the SDP's address, then silence, then `packets` from elsewhere, the first so far ahead;
/// how many of them pass.
fn moved(silence_ms: u64, ssrc: u32, ahead: u16, clock_ahead: u32, packets: u32) -> u32 {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, SDP, &mut talk, 10);
    // `talk` leaves 20 ms and one packet behind the last.
    bed.pass_ms(silence_ms - 20);
    let mut from_there = Packet {
        ssrc,
        sequence: talk.sequence.wrapping_add(ahead).wrapping_sub(1),
        timestamp: talk.timestamp.wrapping_add(clock_ahead).wrapping_sub(160),
        ..talk
    };
    let passed = bed.talk(A, ELSEWHERE, &mut from_there, packets);
    let follows = a_sends_to(&mut bed) == ELSEWHERE;
    assert_eq!(follows, passed > 0);
    passed
}

#[test]
fn a_phone_that_moves_is_followed_and_nobody_else() {
    for (silence_ms, ssrc, ahead, clock_ahead, passed, why) in [
        (400, 7, 1, 160, 8, "the stream goes on where it stopped"),
        (400, 7, 20, 3_200, 8, "it lost what it sent on the way"),
        (400, 7, 1, 3_200, 8, "silence was suppressed"),
        (5_000, 7, 250, 40_000, 8, "a longer way"),
        (5_000, 7, 250, 240_000, 8, "a 48 kHz clock"),
        (
            360,
            7,
            18,
            2_880,
            6,
            "not yet silent enough for the first two",
        ),
        (400, 8, 20, 3_200, 0, "another stream"),
        (400, 7, 0, 0, 7, "a packet again counts as nothing"),
        (400, 7, 150, 3_200, 0, "numbers further than 400 ms explain"),
        (400, 7, 60_000, 3_200, 0, "numbers behind"),
        (400, 7, 20, 400_000, 0, "a clock too fast"),
        (400, 7, 20, u32::MAX - 3_200, 0, "a clock that runs back"),
        (
            3_600_000,
            7,
            60_000,
            480_000,
            0,
            "an hour explains no more than 30 s",
        ),
    ] {
        assert_eq!(
            moved(silence_ms, ssrc, ahead, clock_ahead, 10),
            passed,
            "{why}"
        );
    }
}

#[test]
fn one_packet_from_the_old_address_stops_a_move() {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, SDP, &mut talk, 10);
    bed.pass_ms(400);
    let mut copy = talk;
    assert_eq!(bed.talk(A, ELSEWHERE, &mut copy, 2), 0);
    assert_eq!(bed.talk(A, SDP, &mut talk, 1), 1);
    assert_eq!(bed.talk(A, ELSEWHERE, &mut copy, 10), 0);
    assert_eq!(a_sends_to(&mut bed), SDP);
}

#[test]
fn after_a_move_the_old_address_is_a_stranger_and_the_phone_may_come_back() {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, SDP, &mut talk, 10);
    bed.pass_ms(400);
    assert_eq!(bed.talk(A, ELSEWHERE, &mut talk, 10), 8);
    assert_eq!(bed.packet(A, SDP, talk), Err(WRONG));
    let latched = |source| Event::Latched {
        leg: A,
        source: addr(source),
    };
    assert_eq!(bed.events(), [latched(SDP), latched(ELSEWHERE)]);
    bed.pass_ms(400);
    assert_eq!(bed.talk(A, SDP, &mut talk, 10), 8);
    assert_eq!(a_sends_to(&mut bed), SDP);
}

#[test]
fn after_two_seconds_of_silence_an_allowed_host_may_begin_again() {
    for (from, passed) in [
        (RENUMBERED, 5),
        (SIGNALLING, 5),
        (ELSEWHERE, 0),
        (INTRUDER, 0),
    ] {
        let mut bed = Bed::bridged();
        bed.talk(A, SDP, &mut stream(7), 10);
        bed.pass_ms(1_979);
        assert_eq!(bed.packet(A, from, stream(8)), Err(WRONG));
        bed.pass_ms(1);
        assert_eq!(bed.talk(A, from, &mut stream(8), 5), passed, "{from}");
        let now_at = if passed > 0 { from } else { SDP };
        assert_eq!(a_sends_to(&mut bed), now_at);
    }
    // The SDP's own address takes it back with one packet.
    let mut bed = Bed::bridged();
    bed.talk(A, RENUMBERED, &mut stream(7), 10);
    bed.pass_ms(1_979);
    assert_eq!(bed.packet(A, SDP, stream(8)), Err(WRONG));
    bed.pass_ms(1);
    assert!(bed.packet(A, SDP, stream(8)).is_ok());
    assert_eq!(a_sends_to(&mut bed), SDP);
}

#[test]
fn a_new_remote_begins_a_new_latch() {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, SDP, &mut talk, 10);
    set_remote(&mut bed, A, remote("192.0.2.9:4400"));
    assert_eq!(a_sends_to(&mut bed), "192.0.2.9:4400");
    assert_eq!(bed.packet(A, SDP, talk), Err(WRONG));
    assert!(bed.packet(A, "192.0.2.9:4400", stream(8)).is_ok());
}

#[test]
fn the_last_packets_of_the_former_source_do_not_take_a_new_latch() {
    // One host before and after: the former port is on an allowed IP.
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, SDP, &mut talk, 10);
    set_remote(&mut bed, A, remote("192.0.2.1:4002"));
    assert_eq!(bed.talk(A, SDP, &mut talk, 50), 0, "for a second");
    assert_eq!(a_sends_to(&mut bed), "192.0.2.1:4002");
    // A peer that says a new port and goes on from the old one.
    assert_eq!(bed.talk(A, SDP, &mut talk, 5), 5);
    assert_eq!(a_sends_to(&mut bed), SDP);
}

#[test]
fn the_same_remote_or_none_keeps_the_latch() {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, RENUMBERED, &mut talk, 10);
    for again in [SDP, "0.0.0.0:4000", "192.0.2.1:0", "[::]:4000", SDP] {
        set_remote(&mut bed, A, remote(again));
        assert_eq!(a_sends_to(&mut bed), RENUMBERED);
        assert_eq!(bed.talk(A, RENUMBERED, &mut talk, 1), 1);
        assert_eq!(bed.packet(A, SDP, stream(8)), Err(WRONG));
    }
    // The phone found out its outside address and says it.
    set_remote(&mut bed, A, remote(RENUMBERED));
    assert_eq!(bed.talk(A, RENUMBERED, &mut talk, 1), 1);
    assert_eq!(bed.packet(A, SDP, stream(8)), Err(WRONG));
}

#[test]
fn a_remote_that_tells_no_address_is_heard_from_its_signalling_host_only() {
    let mut bed = Bed::new();
    bed.open(A, remote("0.0.0.0:4000"));
    bed.open(B, remote(AT_B));
    bed.bridge(A, B);
    assert_eq!(
        bed.packet(B, AT_B, stream(1)),
        Err(DropReason::Unheard),
        "nowhere to send to"
    );
    assert_eq!(bed.talk(A, SDP, &mut stream(7), 5), 0);
    assert_eq!(bed.talk(A, SIGNALLING, &mut stream(7), 5), 5);
    assert_eq!(a_sends_to(&mut bed), SIGNALLING);
    bed.pass_ms(1_000);
    set_remote(&mut bed, A, remote(SDP));
    assert!(bed.packet(A, SDP, stream(8)).is_ok());
    assert_eq!(a_sends_to(&mut bed), SDP);
}

#[test]
fn strangers_are_told_once_a_latch_and_all_counted() {
    let mut bed = Bed::bridged();
    let stranger = |source| Event::Stranger {
        leg: A,
        source: addr(source),
    };
    for _ in 0..10 {
        assert_eq!(bed.packet(A, INTRUDER, stream(66)), Err(WRONG));
        assert_eq!(bed.packet(A, ELSEWHERE, stream(66)), Err(WRONG));
    }
    assert_eq!(bed.events(), [stranger(INTRUDER)]);
    assert!(bed.packet(A, SDP, stream(7)).is_ok());
    bed.events();
    for _ in 0..10 {
        assert_eq!(bed.packet(A, ELSEWHERE, stream(66)), Err(WRONG));
        assert_eq!(bed.packet(A, RENUMBERED, stream(66)), Err(WRONG));
    }
    assert_eq!(bed.events(), [stranger(ELSEWHERE)]);
    set_remote(&mut bed, A, remote("192.0.2.9:4400"));
    assert_eq!(bed.packet(A, INTRUDER, stream(66)), Err(WRONG));
    assert_eq!(bed.events(), [stranger(INTRUDER)]);

    bed.command(Command::Close { leg: A });
    let [Event::Closed { report, .. }] = bed.events()[..] else {
        panic!("closed")
    };
    assert_eq!((report.strangers, report.packets_in), (41, 1));
    let dropped = bed.worker.counters().dropped;
    assert_eq!(dropped[WRONG as usize], 41);
}

#[test]
fn ipv4_mapped_sources_of_a_dual_stack_socket_are_the_sdps() {
    let mut bed = Bed::bridged();
    assert!(bed.packet(A, "[::ffff:192.0.2.1]:4000", stream(7)).is_ok());
    assert_eq!(a_sends_to(&mut bed), "[::ffff:192.0.2.1]:4000");
}
