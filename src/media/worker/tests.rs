use super::super::testing::*;
use super::*;
use crate::codec::Codec;
use crate::link::{LegFormats, LegReport, Listening, RoomId, Unusable};

const AT_A: &str = "192.0.2.1:4000";
const AT_B: &str = "198.51.100.1:6000";

fn map(pairs: &[(u8, u8)]) -> PayloadMap {
    PayloadMap::new(pairs).expect("a map")
}

#[test]
fn a_call_is_opened_relayed_and_closed() {
    let mut bed = Bed::bridged();
    let bind = addr("203.0.113.1:0").ip();
    assert_eq!(
        bed.orders(),
        [(SLOT_A, A), (SLOT_B, B)].map(|(leg, id)| SocketOrder::Open { leg, id, bind })
    );

    let packet = stream(7);
    let there = bed.packet(A, AT_A, packet).expect("relayed");
    assert_eq!(there.leg, SLOT_B);
    assert_eq!(there.component, Component::Rtp);
    assert_eq!(there.to, addr(AT_B));
    assert_eq!(there.bytes, packet.bytes(), "the first stream is untouched");
    let back = bed.packet(B, AT_B, stream(8)).expect("relayed");
    assert_eq!((back.leg, back.to), (SLOT_A, addr(AT_A)));
    assert_eq!(
        bed.events(),
        [(A, AT_A), (B, AT_B)].map(|(leg, source)| Event::Latched {
            leg,
            source: addr(source)
        })
    );

    bed.command(Command::Close { leg: A });
    assert_eq!(bed.orders(), [SocketOrder::Close { leg: SLOT_A }]);
    let report = LegReport {
        packets_in: 1,
        bytes_in: 172,
        packets_out: 1,
        bytes_out: 172,
        ..LegReport::default()
    };
    assert_eq!(bed.events(), [Event::Closed { leg: A, report }]);
    assert_eq!(bed.worker.open_legs(), 1);
    let alone = bed.packet(B, AT_B, stream(8).next());
    assert_eq!(alone, Err(DropReason::Unheard));
    let closed = bed.packet(A, AT_A, packet.next());
    assert_eq!(closed, Err(DropReason::Unlatched));
}

#[test]
fn a_late_command_of_an_older_lease_does_nothing() {
    let mut bed = Bed::bridged();
    bed.command(Command::Close { leg: A });
    let again = leg_id(20_000, 2);
    bed.open(again, remote(AT_A));
    bed.bridge(again, B);
    bed.events();
    bed.orders();
    for command in [
        Command::Close { leg: A },
        Command::Detach { leg: A },
        Command::Echo { leg: A },
        Command::SetRemote {
            leg: A,
            remote: remote("203.0.113.9:1"),
        },
        Command::Bridge {
            a: A,
            b: C,
            a_to_b: map(&[]),
            b_to_a: map(&[]),
        },
    ] {
        bed.command(command);
    }
    assert_eq!(bed.orders(), []);
    assert_eq!(bed.events(), []);
    assert!(bed.packet(again, AT_A, stream(1)).is_ok());
}

#[test]
fn a_port_that_is_taken_or_not_ours_is_refused() {
    let mut bed = Bed::bridged();
    bed.orders();
    let bind = addr("203.0.113.1:0").ip();
    for leg in [leg_id(20_000, 2), leg_id(20_020, 1), leg_id(19_998, 1)] {
        bed.command(Command::Open { leg, bind });
        let error = OpenError::NotOurs;
        assert_eq!(bed.events(), [Event::OpenFailed { leg, error }]);
    }
    bed.command(Command::Open { leg: A, bind });
    assert_eq!(bed.events(), [], "told twice, it is open already");
    assert_eq!(bed.orders(), []);
    assert!(bed.packet(A, AT_A, stream(1)).is_ok());
}

#[test]
fn a_leg_that_could_not_be_opened_is_gone_and_its_partner_alone() {
    let mut bed = Bed::bridged();
    bed.worker.handle_open_failed(bed.now, SLOT_A, 98);
    bed.worker.handle_open_failed(bed.now, SLOT_A, 98);
    let error = OpenError::System(98);
    assert_eq!(bed.events(), [Event::OpenFailed { leg: A, error }]);
    assert_eq!(bed.worker.open_legs(), 1);
    assert_eq!(bed.packet(B, AT_B, stream(1)), Err(DropReason::Unheard));
}

#[test]
fn stop_closes_every_leg() {
    let mut bed = Bed::bridged();
    bed.open(C, remote("192.0.2.3:4000"));
    bed.orders();
    bed.command(Command::Stop);
    assert_eq!(bed.worker.open_legs(), 0);
    let closes = bed.orders();
    assert_eq!(closes.len(), 3);
    let closed = bed.events();
    assert!(
        closed
            .iter()
            .all(|event| matches!(event, Event::Closed { .. }))
    );
    assert_eq!(closed.len(), 3);
}

/// A at 192.0.2.1:4000, B at 198.51.100.1:6000, with 96 for telephone events on A's side and 101 on B's.
fn bridged_with_events() -> Bed {
    let mut bed = Bed::bridged();
    bed.command(Command::Bridge {
        a: A,
        b: B,
        a_to_b: map(&[(0, 0), (96, 101)]),
        b_to_a: map(&[(0, 0), (101, 96)]),
    });
    bed
}

#[test]
fn payload_types_are_renumbered_and_only_agreed_ones_pass() {
    let mut bed = bridged_with_events();
    let event = |payload_type| Packet {
        payload_type,
        ..stream(7)
    };
    let sent = bed.packet(A, AT_A, event(0x80 | 96)).expect("passes");
    assert_eq!(sent.bytes[1], 0x80 | 101, "the marker stays");
    let sent = bed.packet(B, AT_B, event(101)).expect("passes");
    assert_eq!(sent.bytes[1], 96);
    for (leg, from, wrong) in [(A, AT_A, 101), (B, AT_B, 96), (A, AT_A, 8), (A, AT_A, 127)] {
        assert_eq!(
            bed.packet(leg, from, event(wrong).next()),
            Err(DropReason::PayloadType)
        );
    }
}

#[test]
fn extensions_sources_and_padding_pass_as_they_are() {
    let mut bed = Bed::bridged();
    let mut bytes = stream(7).bytes();
    bytes[0] = 0xb1;
    bytes[12..24].copy_from_slice(b"csrc\xbe\xde\0\x01ext.");
    bytes[171] = 3;
    let sent = bed.bytes(A, Component::Rtp, AT_A, bytes.clone());
    assert_eq!(sent.expect("passes").bytes, bytes);
    bytes[171] = 149;
    let sent = bed.bytes(A, Component::Rtp, AT_A, bytes);
    assert_eq!(sent, Err(DropReason::Malformed));
}

#[test]
fn what_is_no_rtp_is_malformed() {
    let mut bed = Bed::bridged();
    for bytes in [
        &b""[..],
        b"\x80",
        b"\0\x01\0\x08\x21\x12\xa4\x42stun message",
        b"\x16\xfe\xff dtls hello",
        b"\r\n\r\n",
    ] {
        for component in [Component::Rtp, Component::Rtcp] {
            let judged = bed.bytes(A, component, AT_A, bytes.to_vec());
            assert_eq!(judged, Err(DropReason::Malformed), "{bytes:?}");
        }
    }
    assert_eq!(bed.events(), [], "nothing latched");
}

#[test]
fn the_far_side_hears_one_stream_over_three_changes_of_source() {
    let mut bed = Bed::bridged();
    bed.open(C, remote("192.0.2.3:4000"));
    let mut last: Option<Sent> = None;
    let mut hear = |bed: &mut Bed, leg, from, packet, change: bool| {
        let sent = bed.packet(leg, from, packet).expect("passes");
        assert_eq!(sent.leg, SLOT_B);
        if let Some(last) = &last {
            assert_eq!(sent.ssrc(), last.ssrc());
            assert_eq!(sent.sequence(), last.sequence().wrapping_add(1));
            assert_eq!(sent.timestamp(), last.timestamp().wrapping_add(160));
            assert_eq!(sent.marker(), change);
        }
        last = Some(sent);
        bed.pass_ms(20);
    };
    let at_the_end = |ssrc| Packet {
        sequence: 65_533,
        timestamp: u32::MAX - 400,
        ..stream(ssrc)
    };
    let mut speak = |bed: &mut Bed, leg, from, mut packet: Packet| {
        for place in 0..6 {
            hear(bed, leg, from, packet, place == 0);
            packet = packet.next();
        }
    };
    speak(&mut bed, A, AT_A, at_the_end(7));
    speak(&mut bed, A, AT_A, at_the_end(8)); // the peer's SSRC changes
    bed.bridge(C, B); // a transfer
    speak(&mut bed, C, "192.0.2.3:4000", at_the_end(9));
    bed.bridge(A, B); // and back
    speak(
        &mut bed,
        A,
        AT_A,
        at_the_end(8).next().next().next().next().next().next(),
    );
    bed.bridge(A, B); // a re-INVITE that changes nothing
    assert_eq!(
        bed.packet(C, "192.0.2.3:4000", stream(9)),
        Err(DropReason::Unheard)
    );
}

#[test]
fn a_bridge_again_of_the_same_legs_is_no_change() {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, AT_A, &mut talk, 3);
    bed.bridge(B, A);
    let sent = bed.packet(A, AT_A, talk).expect("passes");
    assert_eq!(sent.bytes, talk.bytes());
    assert!(bed.packet(B, AT_B, stream(8)).is_ok(), "both ways");
}

#[test]
fn late_packets_pass_but_not_those_of_before_a_change() {
    let mut bed = Bed::bridged();
    let first = stream(7);
    let mut talk = first.next();
    bed.talk(A, AT_A, &mut talk, 3);
    assert!(bed.packet(A, AT_A, first).is_ok(), "late, in its place");
    assert!(bed.packet(A, AT_A, stream(8)).is_ok());
    assert_eq!(bed.packet(A, AT_A, talk), Err(DropReason::Late));
    let before = Packet {
        sequence: 99,
        ..stream(8)
    };
    assert_eq!(bed.packet(A, AT_A, before), Err(DropReason::Late));
    let far_off = Packet {
        sequence: 40_000,
        ..stream(8)
    };
    assert_eq!(bed.packet(A, AT_A, far_off), Err(DropReason::Late));
    let restarted = bed
        .packet(A, AT_A, far_off.next())
        .expect("it goes on from there");
    assert_eq!(restarted.sequence(), 105);
    assert!(restarted.marker());
}

#[test]
fn echo_sends_back_to_the_peer_alone() {
    let mut bed = Bed::bridged();
    bed.formats(A, says_and_hears(111, Codec::Opus));
    bed.command(Command::Echo { leg: A });
    let packet = Packet {
        payload_type: 111,
        ..stream(7)
    };
    let sent = bed.packet(A, AT_A, packet).expect("back");
    assert_eq!((sent.leg, sent.to), (SLOT_A, addr(AT_A)));
    assert_eq!(sent.bytes, packet.bytes());
    assert_eq!(
        bed.packet(A, "203.0.113.66:1", packet.next()),
        Err(DropReason::WrongSource)
    );
    assert_eq!(
        bed.packet(B, AT_B, stream(8)),
        Err(DropReason::Unheard),
        "the bridge ended for both"
    );
    bed.command(Command::Detach { leg: A });
    assert_eq!(bed.packet(A, AT_A, packet.next()), Err(DropReason::Unheard));
}

#[test]
fn what_was_not_agreed_is_not_echoed_whether_or_not_it_is_listened_to() {
    let mut bed = Bed::bridged();
    let formats = says_and_hears(0, Codec::Ulaw);
    bed.formats(A, formats);
    bed.command(Command::Echo { leg: A });
    let refused = Err(DropReason::PayloadType);
    for listening in [Listening::Off, Listening::Events, Listening::Tones] {
        bed.command(Command::Listen { leg: A, listening });
        let mut packet = stream(7);
        for (payload_type, is_back) in [(0, true), (8, false), (0, true)] {
            packet = Packet {
                payload_type,
                ..packet.next()
            };
            let judged = bed.packet(A, AT_A, packet);
            assert_eq!(judged.is_ok(), is_back, "{listening:?}: {judged:?}");
            assert!(is_back || judged == refused, "{listening:?}: {judged:?}");
        }
    }
    // One that it may send, and does not hear by this number.
    let formats = LegFormats {
        send: says_and_hears(96, Codec::Ulaw).send,
        ..formats
    };
    bed.formats(A, formats);
    assert_eq!(bed.packet(A, AT_A, stream(8)), refused);
}

#[test]
fn a_steady_stream_of_a_fast_clock_has_no_jitter() {
    let mut bed = Bed::bridged();
    bed.formats(A, says_and_hears(0, Codec::Opus));
    let mut packet = stream(7);
    for _ in 0..50 {
        bed.packet(A, AT_A, packet).expect("passes");
        packet = packet.next();
        // 20 ms of a clock of 48 kHz.
        packet.timestamp = packet.timestamp.wrapping_add(960 - 160);
        bed.pass_ms(20);
    }
    let jitter_us = |bed: &mut Bed| {
        bed.pass_ms(5_000);
        bed.tick();
        let events = bed.events();
        let mut reports = events.into_iter().filter_map(|event| match event {
            Event::Report { leg: A, report } => Some(report.jitter_us),
            _ => None,
        });
        reports.next_back().expect("told every five seconds")
    };
    assert!(jitter_us(&mut bed) < 50);
    // One that is 16 ms late by that clock: a sixteenth of it (RFC 3550 §A.8).
    packet.timestamp = packet.timestamp.wrapping_add((5_000 - 16) * 48);
    bed.packet(A, AT_A, packet).expect("passes");
    let jitter_us = jitter_us(&mut bed);
    assert!((950..=1_050).contains(&jitter_us), "{jitter_us} us");
}

#[test]
fn a_bridge_takes_both_from_whom_they_were_with() {
    let mut bed = Bed::bridged();
    let d = leg_id(20_006, 1);
    bed.open(C, remote("192.0.2.3:4000"));
    bed.open(d, remote("192.0.2.4:4000"));
    bed.bridge(C, d);
    bed.bridge(A, C);
    for (leg, from) in [(B, AT_B), (d, "192.0.2.4:4000")] {
        assert_eq!(bed.packet(leg, from, stream(1)), Err(DropReason::Unheard));
    }
    assert_eq!(
        bed.packet(A, AT_A, stream(7)).expect("passes").leg,
        slot_of(C)
    );
    bed.bridge(A, A);
    assert_eq!(
        bed.packet(A, AT_A, stream(7).next()).expect("passes").leg,
        slot_of(C),
        "not with itself"
    );
}

#[test]
fn on_hold_nothing_is_sent_and_what_comes_is_counted_only() {
    let mut bed = Bed::bridged();
    let (mut there, mut back) = (stream(7), stream(8));
    bed.talk(A, AT_A, &mut there, 2);
    bed.talk(B, AT_B, &mut back, 2);
    let hold = |send, receive| Command::SetRemote {
        leg: A,
        remote: Remote {
            send,
            receive,
            ..remote(AT_A)
        },
    };
    bed.command(hold(false, false));
    bed.events();
    for _ in 0..200 {
        assert_eq!(bed.packet(A, AT_A, there), Err(DropReason::Unheard));
        assert_eq!(bed.packet(B, AT_B, back), Err(DropReason::Unheard));
        (there, back) = (there.next(), back.next());
        bed.pass_ms(1_000);
        bed.packet(B, AT_B, back).expect_err("held");
        bed.tick();
    }
    let silent = |event: &Event| matches!(event, Event::Silent { leg: A });
    assert!(!bed.events().iter().any(silent));

    bed.command(hold(true, true));
    let to_b = bed.packet(A, AT_A, there).expect("passes");
    assert_eq!(to_b.sequence(), 102, "no gap");
    assert!(to_b.marker());
    let to_a = bed.packet(B, AT_B, back).expect("passes");
    assert_eq!(to_a.sequence(), 102, "no gap");

    // Music on hold: it hears, and does not speak.
    bed.command(hold(true, false));
    assert_eq!(bed.packet(A, AT_A, there.next()), Err(DropReason::Unheard));
    assert!(bed.packet(B, AT_B, back.next()).is_ok());

    bed.command(Command::Close { leg: A });
    let closed = bed.events();
    let Some(Event::Closed { report, .. }) = closed.last() else {
        panic!("closed last")
    };
    assert_eq!(report.packets_in, 2 + 200 + 2);
    assert_eq!(report.packets_out, 2 + 2);
}

#[test]
fn silence_is_told_once_from_the_last_packet_or_the_last_remote() {
    let mut bed = Bed::bridged();
    bed.events();
    let silent = Event::Silent { leg: A };
    let set = |timeout_s| Command::SetRemote {
        leg: A,
        remote: Remote {
            timeout_s,
            ..remote(AT_A)
        },
    };
    let told = |bed: &mut Bed, ms| {
        bed.pass_ms(ms);
        bed.tick();
        let events = bed.events();
        events.iter().filter(|event| **event == silent).count()
    };
    bed.command(set(10));
    assert_eq!(told(&mut bed, 9_999), 0);
    // A stranger is no life sign.
    bed.packet(A, "203.0.113.66:1", stream(1))
        .expect_err("dropped");
    assert_eq!(told(&mut bed, 1), 1);
    assert_eq!(told(&mut bed, 10_000), 0);
    bed.command(set(10));
    assert_eq!(told(&mut bed, 9_000), 0);
    bed.packet(A, AT_A, stream(7)).expect("passes");
    assert_eq!(told(&mut bed, 9_999), 0);
    assert_eq!(told(&mut bed, 1), 1);
    bed.command(set(0));
    assert_eq!(told(&mut bed, 3_600_000), 0);
}

#[test]
fn a_steady_socket_is_connected_and_a_silent_one_hears_everybody() {
    let mut bed = Bed::bridged();
    bed.orders();
    let connect = SocketOrder::Connect {
        leg: SLOT_A,
        component: Component::Rtp,
        peer: addr(AT_A),
    };
    let disconnect = SocketOrder::Disconnect {
        leg: SLOT_A,
        component: Component::Rtp,
    };
    let mut talk = stream(7);
    let mut talk_for = |bed: &mut Bed, ticks| {
        for _ in 0..ticks {
            bed.talk(A, AT_A, &mut talk, 5);
            bed.tick();
        }
        bed.orders()
    };
    assert_eq!(talk_for(&mut bed, 10), []);
    assert_eq!(talk_for(&mut bed, 1), [connect]);
    assert_eq!(talk_for(&mut bed, 20), []);
    bed.pass_ms(200);
    bed.tick();
    assert_eq!(bed.orders(), []);
    bed.pass_ms(50);
    bed.tick();
    bed.tick();
    assert_eq!(bed.orders(), [disconnect]);
    assert_eq!(talk_for(&mut bed, 11), [connect]);
    bed.command(Command::SetRemote {
        leg: A,
        remote: remote("192.0.2.9:4400"),
    });
    assert_eq!(bed.orders(), [disconnect]);
    assert_eq!(talk_for(&mut bed, 30), [], "not the new peer");
}

#[test]
fn a_leg_that_sends_elsewhere_than_it_hears_is_never_connected() {
    let mut bed = Bed::bridged();
    bed.command(Command::SetRemote {
        leg: A,
        remote: Remote {
            symmetric: false,
            ..remote(AT_A)
        },
    });
    bed.orders();
    let mut talk = stream(7);
    for _ in 0..50 {
        assert_eq!(bed.talk(A, "192.0.2.1:31000", &mut talk, 5), 5);
        bed.tick();
    }
    assert_eq!(bed.orders(), []);
}

#[test]
fn reports_tell_loss_and_jitter_and_are_dropped_when_nobody_listens() {
    let mut bed = Bed::bridged();
    let mut talk = stream(7);
    bed.talk(A, AT_A, &mut talk, 10);
    talk = talk.next().next();
    bed.talk(A, AT_A, &mut talk, 1);
    bed.events();
    bed.pass_ms(5_000);
    bed.tick();
    let events = bed.events();
    let report = events.iter().find_map(|event| match event {
        Event::Report { leg: A, report } => Some(report),
        _ => None,
    });
    let report = report.expect("told every five seconds");
    assert_eq!((report.packets_in, report.lost_in), (11, 2));
    assert!(
        report.jitter_us > 0,
        "the last came 40 ms early by its clock"
    );

    for _ in 0..1_000 {
        bed.pass_ms(5_000);
        bed.tick();
    }
    let dropped = bed.worker.counters().reports_dropped;
    assert!(dropped > 0);
    bed.packet(A, AT_A, stream(8)).expect("passes");
    bed.command(Command::SetRemote {
        leg: B,
        remote: remote("198.51.100.2:6000"),
    });
    bed.packet(B, "198.51.100.2:6000", stream(9))
        .expect("passes");
    bed.command(Command::Close { leg: A });
    let events = bed.events();
    assert_eq!(events.len(), 1_025, "1,024 and the last of A");
    assert!(matches!(events[1_024], Event::Closed { leg: A, .. }));
    // What found no room is told at the next tick.
    bed.tick();
    let source = addr("198.51.100.2:6000");
    assert_eq!(bed.events(), [Event::Latched { leg: B, source }]);
}

/// Two peers whose SDPs lead back to the legs' own ports: what goes round once goes round for ever, as fast as the sockets can.
#[test]
fn what_goes_round_between_ports_of_ours_is_stopped() {
    const OWN_A: &str = "203.0.113.1:20000";
    const OWN_B: &str = "203.0.113.1:20002";
    let mut bed = Bed::bridged();
    for (leg, at) in [(A, OWN_A), (B, OWN_B)] {
        let remote = remote(at);
        bed.command(Command::SetRemote { leg, remote });
    }
    let mut round = Ok(Sent {
        leg: SLOT_A,
        component: Component::Rtp,
        to: addr(OWN_A),
        bytes: stream(7).bytes(),
    });
    let mut hops = 0;
    while let Ok(sent) = &round
        && hops < 1_000_000
    {
        let (leg, own) = match sent.leg {
            SLOT_A => (A, OWN_A),
            _ => (B, OWN_B),
        };
        assert_eq!(sent.to, addr(own));
        round = bed.bytes(leg, Component::Rtp, own, sent.bytes.clone());
        hops += 1;
        bed.now.0 += 20_000;
        if hops % 2_500 == 0 {
            bed.tick();
        }
    }
    assert_eq!(round, Err(DropReason::Flood), "after {hops} hops");
    assert!(hops < 60_000, "{hops} hops");
    let events = bed.events();
    assert!(events.contains(&Event::Flooded { leg: A }), "{events:?}");

    // Who speaks as people do is heard again after a while.
    for (leg, at) in [(A, AT_A), (B, AT_B)] {
        let remote = remote(at);
        bed.command(Command::SetRemote { leg, remote });
    }
    let mut packet = stream(8);
    for _ in 0..12 {
        bed.talk(A, AT_A, &mut packet, 50);
        bed.tick();
    }
    assert_eq!(bed.talk(A, AT_A, &mut packet, 50), 50);
}

#[test]
fn a_peer_that_speaks_what_was_not_agreed_is_told_wherever_its_audio_would_go() {
    let told = Event::Unusable {
        leg: A,
        cause: Unusable::PayloadType(8),
    };
    let join = Command::Join {
        leg: A,
        room: RoomId(1),
        talks: true,
        hears: true,
    };
    for way in [None, Some(Command::Echo { leg: A }), Some(join)] {
        let mut bed = Bed::bridged();
        bed.formats(A, says_and_hears(0, Codec::Ulaw));
        if let Some(command) = way {
            bed.command(command);
        }
        let mut packet = Packet {
            payload_type: 8,
            ..stream(7)
        };
        for _ in 0..150 {
            let judged = bed.packet(A, AT_A, packet);
            assert_eq!(judged, Err(DropReason::PayloadType));
            packet = packet.next();
            bed.pass_ms(20);
            bed.tick();
        }
        let events = bed.events().into_iter();
        let told_so = events.filter(|event| *event == told);
        assert_eq!(told_so.count(), 1);
    }
}
