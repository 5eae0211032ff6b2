use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn event(code: u8, end: bool, duration: u16) -> TelephoneEvent {
    TelephoneEvent {
        code,
        end,
        volume: 10,
        duration,
    }
}

fn sending(code: u8, timestamp: u32, duration_ms: u32) -> Sending {
    Sending {
        code,
        volume: 10,
        timestamp,
        clock_rate: 8000,
        packet_ms: 20,
        duration_ms,
    }
}

/// All packets of an event.
fn packets(sending: &Sending) -> Vec<EventPacket> {
    let mut sender = EventSender::new(sending);
    std::iter::from_fn(|| sender.step()).collect()
}

/// What is told of packets that come 20 ms apart, with their numbers.
fn told(packets: &[(u32, EventPacket)]) -> Vec<Change> {
    let mut receiver = EventReceiver::default();
    let mut changes = Vec::new();
    let mut now = 0;
    for (extended, packet) in packets {
        now += 20 * MS;
        let time = (packet.timestamp, packet.marker);
        receiver.receive(now, *extended, time, &packet.payload, |change| {
            changes.push(change);
        });
    }
    assert_eq!(receiver.expire(now + 199 * MS), None);
    changes.extend(receiver.expire(now + 200 * MS));
    assert!(!receiver.is_active());
    changes
}

fn numbered(packets: impl IntoIterator<Item = EventPacket>) -> Vec<(u32, EventPacket)> {
    (0x10000..).zip(packets).collect()
}

fn once(code: u8, duration: u32) -> [Change; 2] {
    [Change::Started { code }, Change::Ended { code, duration }]
}

#[test]
fn a_payload_is_read_and_written() {
    // RFC 4733 §5: digit 1, volume 10 (less 10 dBm0), the end after 1120 units.
    let octets = [1, 0x80 | 10, 0x04, 0x60];
    let parsed: Vec<_> = TelephoneEvent::parse(&octets).collect();
    assert_eq!(parsed, [event(1, true, 1120)]);
    assert_eq!(parsed[0].write(), octets);
    assert_eq!(TelephoneEvent::parse(&octets[..3]).count(), 0);
    assert_eq!(TelephoneEvent::parse(&[0x40; 7]).count(), 1);
    assert_eq!(TelephoneEvent::parse(&[0; 100]).count(), 4);
    // The reserved bit is ignored.
    let reserved = TelephoneEvent::parse(&[1, 0x40, 0, 0]).next();
    assert_eq!(
        reserved.map(|event| (event.end, event.volume)),
        Some((false, 0))
    );
}

#[test]
fn an_event_is_sent_with_one_time_stamp_and_three_ends() {
    let packets = packets(&sending(5, 1000, 70));
    let all = |n: usize, marker, end, duration| {
        let payload = event(5, end, duration).write();
        let expected = EventPacket {
            timestamp: 1000,
            marker,
            payload,
        };
        assert_eq!(packets[n], expected, "{n}");
    };
    all(0, true, false, 160);
    all(1, false, false, 320);
    all(2, false, false, 480);
    all(3, false, true, 560);
    all(4, false, true, 560);
    all(5, false, true, 560);
    assert_eq!(packets.len(), 6);
}

#[test]
fn no_event_is_too_short() {
    let durations = |packets: Vec<EventPacket>| -> Vec<u16> {
        let events = packets
            .iter()
            .flat_map(|packet| TelephoneEvent::parse(&packet.payload));
        events.map(|event| event.duration).collect()
    };
    assert_eq!(durations(packets(&sending(5, 0, 0))), [160, 320, 320, 320]);
    let mut sender = EventSender::new(&sending(5, 0, 10_000));
    let mut sent = Vec::from_iter(sender.step());
    sender.stop();
    sent.extend(std::iter::from_fn(|| sender.step()));
    assert_eq!(durations(sent), [160, 320, 320, 320]);
    let long_packets = Sending {
        packet_ms: 60,
        ..sending(5, 0, 50)
    };
    assert_eq!(durations(packets(&long_packets)), [400, 400, 400]);
}

#[test]
fn a_stopped_event_ends_with_the_next_packet() {
    let mut sender = EventSender::new(&sending(5, 0, 10_000));
    let before: Vec<_> = (0..5).filter_map(|_| sender.step()).collect();
    sender.stop();
    let after: Vec<_> = std::iter::from_fn(|| sender.step()).collect();
    assert_eq!((before.len(), after.len()), (5, 3));
    assert_eq!(after[0].payload, event(5, true, 960).write());
}

#[test]
fn what_was_sent_is_told_once() {
    assert_eq!(
        told(&numbered(packets(&sending(5, 1000, 100)))),
        once(5, 800)
    );
}

#[test]
fn a_long_event_goes_on_in_segments() {
    // 20 s are 160,000 units: two segments and a part.
    let sent = packets(&sending(5, 0xffff_ff00, 20_000));
    let full: Vec<_> = sent
        .iter()
        .filter(|packet| packet.payload == event(5, false, 0xffff).write())
        .collect();
    assert_eq!(full.len(), 2);
    assert_eq!(full[1].timestamp, full[0].timestamp.wrapping_add(0xffff));
    assert_eq!(sent.iter().filter(|packet| packet.marker).count(), 1);
    assert_eq!(
        sent.iter()
            .filter(|packet| packet.payload[1] & 0x80 != 0)
            .count(),
        3
    );
    assert_eq!(told(&numbered(sent.clone())), once(5, 160_000));
    // The same where the last packets of a segment are lost.
    let lossy = numbered(sent).into_iter().filter(|(n, _)| n % 410 > 8);
    assert_eq!(told(&lossy.collect::<Vec<_>>()), once(5, 160_000));
}

#[test]
fn a_start_or_all_ends_may_be_lost() {
    let sent = numbered(packets(&sending(5, 1000, 100)));
    assert_eq!(told(&sent[4..]), once(5, 800), "ends alone");
    assert_eq!(told(&sent[2..4]), once(5, 640), "updates alone");
    let other = packets(&sending(6, 3000, 60));
    let both: Vec<_> = sent[..3]
        .iter()
        .copied()
        .chain((0x10010..).zip(other))
        .collect();
    assert_eq!(told(&both), [once(5, 480), once(6, 480)].concat());
}

#[test]
fn the_same_digit_twice_is_two() {
    let mut both = packets(&sending(5, 1000, 60));
    both.extend(packets(&sending(5, 2000, 60)));
    assert_eq!(
        told(&numbered(both.clone())),
        [once(5, 480), once(5, 480)].concat()
    );
    // One right after the other, and the first's ends lost.
    let mut both = packets(&sending(5, 1000, 60))[..2].to_vec();
    both.extend(packets(&sending(5, 1480, 60)));
    assert_eq!(told(&numbered(both)), [once(5, 320), once(5, 480)].concat());
    // The same with its ends, and the second's marker lost.
    let mut both = packets(&sending(5, 1000, 60));
    both.extend(packets(&sending(5, 1480, 60)).into_iter().skip(1));
    assert_eq!(told(&numbered(both)), [once(5, 480), once(5, 480)].concat());
    // The second's marker lost.
    let mut both = packets(&sending(5, 1000, 60));
    both.extend(packets(&sending(5, 2000, 60)).into_iter().skip(1));
    assert_eq!(told(&numbered(both)), [once(5, 480), once(5, 480)].concat());
}

#[test]
fn a_time_stamp_that_runs_on_makes_no_second_digit() {
    let mut sent = packets(&sending(5, 1000, 100));
    for (n, packet) in (0..).zip(&mut sent) {
        packet.timestamp += n * 160;
    }
    // The last two are after its end, as that sender has it.
    sent.truncate(5);
    assert_eq!(told(&numbered(sent)), once(5, 800));
}

#[test]
fn an_event_that_was_overtaken_is_not_told_out_of_order() {
    let first = numbered(packets(&sending(5, 1000, 60)));
    let second: Vec<_> = (0x10010..).zip(packets(&sending(6, 2000, 60))).collect();
    let mixed = [&first[..2], &second[..2], &first[2..], &second[2..]].concat();
    assert_eq!(told(&mixed), [once(5, 320), once(6, 480)].concat());
}

#[test]
fn several_events_in_a_packet_follow_each_other() {
    let payload = [event(1, true, 400).write(), event(2, false, 160).write()].concat();
    let mut receiver = EventReceiver::default();
    let mut changes = Vec::new();
    receiver.receive(0, 1, (1000, true), &payload, |change| changes.push(change));
    let update = event(2, true, 320).write();
    receiver.receive(0, 2, (1400, false), &update, |change| changes.push(change));
    assert_eq!(changes, [once(1, 400), once(2, 320)].concat());
}

#[test]
fn a_reset_ends_what_lasts() {
    let mut receiver = EventReceiver::default();
    receiver.receive(0, 1, (0, true), &event(1, false, 160).write(), |_| {});
    assert!(receiver.is_active());
    let ended = Change::Ended {
        code: 1,
        duration: 160,
    };
    assert_eq!(receiver.reset(), Some(ended));
    assert_eq!(receiver.reset(), None);
}

/// Passes what is sent at one rate on to another.
fn retimed(from: u32, to: u32, duration_ms: u32) -> Vec<EventPacket> {
    let sent = packets(&Sending {
        clock_rate: from,
        ..sending(5, 1000, duration_ms)
    });
    let mut retiming = Retiming::new(from, to);
    let pass = |(n, packet): (u32, EventPacket)| {
        let event = TelephoneEvent::parse(&packet.payload).next().expect("one");
        let time = (packet.timestamp, packet.marker);
        let (timestamp, event) = retiming.translate(time, event, 70_000 + n);
        EventPacket {
            timestamp,
            payload: event.write(),
            ..packet
        }
    };
    (0..).zip(sent).map(pass).collect()
}

#[test]
fn durations_follow_the_clock_and_the_time_stamp_stays() {
    for (from, to) in [
        (8000, 8000),
        (8000, 16_000),
        (8000, 48_000),
        (48_000, 8000),
        (16_000, 8000),
    ] {
        let passed = retimed(from, to, 100);
        assert!(passed.iter().all(|packet| packet.timestamp == 70_000));
        assert_eq!(passed[6].payload, event(5, true, (to / 10) as u16).write());
        assert_eq!(passed[0].payload, event(5, false, (to / 50) as u16).write());
        assert_eq!(told(&numbered(passed)), once(5, to / 10));
    }
}

#[test]
fn an_event_that_becomes_too_long_goes_on_in_segments() {
    // 5 s at 48 kHz are 240,000 units.
    let passed = retimed(8000, 48_000, 5000);
    let full = event(5, false, 0xffff).write();
    assert_eq!(
        passed
            .iter()
            .filter(|packet| packet.payload == full)
            .count(),
        3
    );
    assert_eq!(told(&numbered(passed)), once(5, 240_000));
    // And segments become one again.
    let passed = retimed(48_000, 8000, 5000);
    assert!(passed.iter().all(|packet| packet.timestamp == 70_000));
    assert_eq!(told(&numbered(passed)), once(5, 40_000));
}

proptest! {
    #[test]
    fn digits_are_told_once_each_whatever_is_lost_or_comes_twice(
        digits in prop::collection::vec((0..16u8, 40..400u32), 1..12),
        seed in any::<u64>(),
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut arrivals = Vec::new();
        let (mut timestamp, mut extended) = (0xffff_f000u32, 0x10000);
        for (code, duration) in &digits {
            let mut of_event: Vec<_> = (extended..).zip(packets(&sending(*code, timestamp, *duration))).collect();
            extended += of_event.len() as u32;
            // Half is lost, but not all; in any order; some twice.
            let kept = of_event[rng.usize(..of_event.len())];
            of_event.retain(|_| rng.bool());
            of_event.push(kept);
            rng.shuffle(&mut of_event);
            arrivals.extend(of_event);
            timestamp = timestamp.wrapping_add(duration * 8 + 400);
        }
        let changes = told(&arrivals);
        let started: Vec<u8> = changes.iter().filter_map(|change| match change {
            Change::Started { code } => Some(*code),
            Change::Ended { .. } => None,
        }).collect();
        prop_assert_eq!(started, digits.iter().map(|digit| digit.0).collect::<Vec<_>>());
        for pair in changes.chunks(2) {
            let [Change::Started { code }, Change::Ended { code: ended, .. }] = pair else {
                panic!("{changes:?}");
            };
            prop_assert_eq!(code, ended);
        }
    }

    #[test]
    fn anything_starts_and_ends_in_turn(
        packets in prop::collection::vec((any::<u8>(), any::<u16>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..20)), 0..60),
    ) {
        let mut receiver = EventReceiver::default();
        let mut retiming = Retiming::new(8000, 48_000);
        let mut active = None;
        for (n, timestamp, marker, payload) in packets {
            let time = (u32::from(timestamp), marker);
            receiver.receive(u64::from(n) * MS, u32::from(n), time, &payload, |change| match change {
                Change::Started { code } => assert_eq!(active.replace(code), None),
                Change::Ended { code, .. } => assert_eq!(active.take(), Some(code)),
            });
            for event in TelephoneEvent::parse(&payload) {
                let (_, out) = retiming.translate(time, event, 0);
                assert_eq!(out.code, event.code);
            }
        }
        assert_eq!(receiver.is_active(), active.is_some());
    }
}
