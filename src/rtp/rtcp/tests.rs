use super::*;
use proptest::prelude::*;

const THEIRS: u32 = 0x1111_1111;
const OURS: u32 = 0x2222_2222;
const HEARD: u32 = 0x3333_3333;
const FAR: u32 = 0x4444_4444;

const TRANSLATION: Translation = Translation {
    sender: Some(SenderMap {
        from: THEIRS,
        to: OURS,
        timestamp_offset: 0xffff_ff00,
    }),
    reported: Some(ReportedMap {
        from: HEARD,
        to: FAR,
        sequence_offset: 10,
        highest: 0x0003_0005,
    }),
    cname: 0x0123_4567_89ab_cdef,
};

fn packet(kind: u8, count: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    assert_eq!(body.len() % 4, 0);
    let mut packet = vec![0x80 | count, kind];
    packet.extend(((body.len() / 4) as u16).to_be_bytes());
    packet.extend(body);
    packet
}

fn block(ssrc: u32, highest: u32) -> Vec<u8> {
    let mut block = ssrc.to_be_bytes().to_vec();
    block.extend([1, 0, 0, 2]);
    block.extend(highest.to_be_bytes());
    block.extend(*b"jittlsr.dlsr");
    block
}

fn sender_report(ssrc: u32, timestamp: u32, blocks: &[Vec<u8>]) -> Vec<u8> {
    let (ssrc, timestamp) = (ssrc.to_be_bytes(), timestamp.to_be_bytes());
    let count = blocks.len() as u8;
    packet(
        SENDER_REPORT,
        count,
        &[
            &ssrc,
            b"ntp time",
            &timestamp,
            b"packoctt",
            &blocks.concat(),
        ],
    )
}

fn receiver_report(ssrc: u32, blocks: &[Vec<u8>]) -> Vec<u8> {
    let ssrc = ssrc.to_be_bytes();
    packet(
        RECEIVER_REPORT,
        blocks.len() as u8,
        &[&ssrc, &blocks.concat()],
    )
}

fn cname(ssrc: u32) -> Vec<u8> {
    let items = b"\x06\x04tool\x01\x11bob@192.168.1.201\x02\x03Bob\0\0";
    packet(SOURCE_DESCRIPTION, 1, &[&ssrc.to_be_bytes(), items])
}

fn bye(sources: &[u32], reason: &[u8]) -> Vec<u8> {
    let list: Vec<u8> = sources.iter().flat_map(|ssrc| ssrc.to_be_bytes()).collect();
    packet(GOODBYE, sources.len() as u8, &[&list, reason])
}

fn translated(parts: &[Vec<u8>], translation: &Translation) -> Option<Vec<u8>> {
    let mut compound = parts.concat();
    check(&compound).expect("a good compound packet");
    let len = translate(&mut compound, translation)?;
    compound.truncate(len);
    check(&compound).expect("still one");
    Some(compound)
}

#[test]
fn a_sender_report_with_its_description_is_translated() {
    let compound = [
        sender_report(THEIRS, 0x0000_0180, &[block(HEARD, 0x0001_0008)]),
        cname(THEIRS),
    ];
    let ours = b"\x01\x110123456789abcdef0\0";
    let expected = [
        // 8 less 10 is 0xfffe of the cycle before the highest.
        sender_report(OURS, 0x0000_0080, &[block(FAR, 0x0002_fffe)]),
        packet(SOURCE_DESCRIPTION, 1, &[&OURS.to_be_bytes(), ours]),
    ];
    assert_eq!(translated(&compound, &TRANSLATION), Some(expected.concat()));
}

#[test]
fn what_cannot_be_mapped_is_left_out() {
    let compound = [
        receiver_report(THEIRS, &[block(FAR, 9), block(HEARD, 15), block(7, 9)]),
        receiver_report(7, &[block(HEARD, 15)]),
        packet(204, 0, &[&THEIRS.to_be_bytes(), b"APPx"]),
        packet(
            SOURCE_DESCRIPTION,
            1,
            &[&7u32.to_be_bytes(), b"\x01\x01x\0"],
        ),
        packet(
            SOURCE_DESCRIPTION,
            1,
            &[&THEIRS.to_be_bytes(), b"\x02\x01x\0"],
        ),
        packet(207, 0, &[&THEIRS.to_be_bytes()]),
        bye(&[7], b""),
        bye(&[7, THEIRS], b"\x0bfrom bob's "),
    ];
    let expected = [
        receiver_report(OURS, &[block(FAR, 0x0003_0005)]),
        bye(&[OURS], b""),
    ];
    assert_eq!(translated(&compound, &TRANSLATION), Some(expected.concat()));
}

#[test]
fn a_report_of_another_sender_takes_the_whole_with_it() {
    let compound = [receiver_report(7, &[]), bye(&[THEIRS], b"")];
    assert_eq!(translated(&compound, &TRANSLATION), None);
}

#[test]
fn one_who_only_listens_reports_under_its_own_ssrc() {
    let listener = Translation {
        sender: None,
        ..TRANSLATION
    };
    let report = |ssrc, heard| receiver_report(ssrc, &[block(heard, 0x0003_0005)]);
    let there = [receiver_report(7, &[block(HEARD, 15)])];
    assert_eq!(translated(&there, &listener), Some(report(7, FAR)));
    let speaker = [sender_report(7, 0, &[])];
    assert_eq!(translated(&speaker, &listener), None);
}

#[test]
fn padding_and_a_profiles_own_end_do_not_pass() {
    let mut padded = receiver_report(THEIRS, &[]);
    padded.extend(*b"\0\0\0\x04");
    padded[0] |= 0x20;
    padded[3] += 1;
    let expected = Some(receiver_report(OURS, &[]));
    assert_eq!(translated(&[padded], &TRANSLATION), expected);
    let longer = packet(
        RECEIVER_REPORT,
        0,
        &[&THEIRS.to_be_bytes(), b"extension..."],
    );
    assert_eq!(translated(&[longer], &TRANSLATION), expected);
}

#[test]
fn malformed_compounds_are_found() {
    let good = receiver_report(1, &[block(2, 3)]);
    let with = |at: usize, byte: u8| {
        let mut packet = good.clone();
        packet[at] = byte;
        packet
    };
    let mut padded_first = with(0, 0xa1);
    padded_first[31] = 4;
    padded_first.extend(&good);
    for (compound, expected) in [
        (vec![], Malformed::Short),
        (good[..3].to_vec(), Malformed::Short),
        (good[..31].to_vec(), Malformed::Short),
        (with(0, 0x82), Malformed::Short), // two blocks promised
        (with(3, 8), Malformed::Short),
        (with(3, 6), Malformed::Short),
        (with(0, 0x41), Malformed::Version),
        (with(1, 72), Malformed::NotRtcp),
        (with(1, 191), Malformed::NotRtcp),
        (with(1, 224), Malformed::NotRtcp),
        (
            [&[0x81], &sender_report(1, 0, &[])[1..]].concat(),
            Malformed::Short,
        ), // a block promised
        (vec![0x80, 204, 0, 1, 0, 0, 0, 1], Malformed::Short), // no name
        (with(0, 0xa1), Malformed::Padding),                   // "dlsr" is no count
        (padded_first, Malformed::Short),                      // padding where the block should be
        ([good.clone(), vec![0x80, 203]].concat(), Malformed::Short),
        (
            [good.clone(), vec![0x81, 203, 0, 0]].concat(),
            Malformed::Short,
        ),
    ] {
        assert_eq!(check(&compound), Err(expected), "{compound:x?}");
    }
    assert_eq!(check(&good), Ok(()));
    let mut padded = receiver_report(1, &[]);
    padded.extend(*b"\0\0\0\x04");
    padded[0] |= 0x20;
    padded[3] += 1;
    assert_eq!(check(&padded), Ok(()));
    padded.extend(&good);
    assert_eq!(check(&padded), Err(Malformed::Padding), "only the last may");
}

#[test]
fn what_begins_with_no_report_is_read_and_does_not_pass() {
    for mut lone in [
        packet(204, 0, &[&THEIRS.to_be_bytes(), b"APPx"]),
        packet(205, 1, &[&THEIRS.to_be_bytes(), b"them", b"nack"]),
        cname(THEIRS),
        bye(&[THEIRS], b""),
        bye(&[], b""),
        [cname(THEIRS), receiver_report(THEIRS, &[])].concat(),
    ] {
        assert_eq!(check(&lone), Ok(()), "{lone:x?}");
        assert_eq!(translate(&mut lone, &TRANSLATION), None);
    }
    let kinds: Vec<_> = packets(&packet(204, 0, &[b"ssrcname"]))
        .map(|packet| matches!(packet, Packet::Other(204)))
        .collect();
    assert_eq!(kinds, [true]);
}

fn report_block(ssrc: u32, lost: i32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 12,
        lost,
        highest: 0x0001_ffff,
        jitter: 77,
        last_report: 0x1234_5678,
        delay: 0x0001_0000,
    }
}

const INFO: SenderInfo = SenderInfo {
    ntp: 0x0123_4567_89ab_cdef,
    timestamp: 160,
    packets: 50,
    octets: 8000,
};

#[test]
fn a_report_is_written_as_it_is_read() {
    let blocks = [
        report_block(1, 0),
        report_block(2, -5),
        report_block(3, 0x7f_ffff),
    ];
    for (sender, count, goodbye) in [
        (Some(INFO), 1, false),
        (Some(INFO), 3, true),
        (None, 0, false),
        (None, 1, true),
    ] {
        let report = Report {
            ssrc: OURS,
            cname: 0x0123_4567_89ab_cdef,
            sender,
            blocks: &blocks[..count],
            goodbye,
        };
        let mut buffer = vec![0xaa; report_len_max(count)];
        let len = report.write(&mut buffer).expect("it fits");
        assert!(len.is_multiple_of(4));
        let compound = &buffer[..len];
        assert_eq!(check(compound), Ok(()));
        let read: Vec<_> = packets(compound).collect();
        let Packet::Report {
            ssrc,
            sender: told,
            blocks: heard,
        } = read[0]
        else {
            panic!("{read:?}");
        };
        assert_eq!((ssrc, told), (OURS, sender));
        assert!(heard.iter().eq(blocks[..count].iter().copied()));
        assert_eq!(read[1], Packet::Description);
        let cname = b"\x01\x100123456789abcdef\0\0";
        assert!(compound.windows(cname.len()).any(|part| part == cname));
        let sources = [OURS.to_be_bytes()];
        let left = Packet::Goodbye { sources: &sources };
        assert_eq!(read.get(2), goodbye.then_some(&left));
        for short in 0..len {
            assert_eq!(report.write(&mut vec![0; short]), None, "{short}");
        }
    }
}

#[test]
fn loss_has_24_bits_and_a_report_31_blocks() {
    let blocks = [report_block(1, i32::MIN); 40];
    let report = Report {
        ssrc: OURS,
        cname: 0,
        sender: None,
        blocks: &blocks,
        goodbye: false,
    };
    let mut buffer = vec![0; report_len_max(31)];
    let len = report.write(&mut buffer).expect("it fits");
    assert_eq!(check(&buffer[..len]), Ok(()));
    let Some(Packet::Report { blocks, .. }) = packets(&buffer[..len]).next() else {
        panic!("no report");
    };
    assert_eq!(blocks.iter().count(), 31);
    assert_eq!(
        blocks.iter().next().map(|block| block.lost),
        Some(-(1 << 23))
    );
}

#[test]
fn ntp_time_has_seconds_and_their_fraction() {
    assert_eq!(ntp(0), 0);
    assert_eq!(ntp(1_500_000_000), 0x0000_0001_8000_0000);
    assert_eq!(ntp_middle(ntp(1_500_000_000)), 0x0001_8000);
    assert_eq!(ntp(999_999_999) >> 32, 0);
    assert_eq!(
        ntp(u64::MAX) >> 32,
        (u64::MAX / 1_000_000_000) & 0xffff_ffff
    );
}

/// A compound of one report.
fn written(ssrc: u32, sender: Option<SenderInfo>, blocks: &[ReportBlock]) -> Vec<u8> {
    let mut buffer = vec![0; report_len_max(blocks.len())];
    let report = Report {
        ssrc,
        cname: 0,
        sender,
        blocks,
        goodbye: false,
    };
    let len = report.write(&mut buffer).expect("it fits");
    buffer.truncate(len);
    buffer
}

#[test]
fn the_round_trip_is_that_of_rfc_3550() {
    // §6.4.1, figure 2: the report of 0xb705:2000 was had for 5.250 s and is answered at 0xb710:8000: 6.125 s.
    let now_ns = 0xb710 * 1_000_000_000 + 500_000_000;
    let mut heard = Heard::default();
    assert_eq!(heard.round_trip_ns(), None);
    let block = ReportBlock {
        last_report: 0xb705_2000,
        delay: 0x0005_4000,
        ..report_block(OURS, 3)
    };
    heard.take(
        now_ns,
        &written(THEIRS, None, &[report_block(7, 9), block]),
        OURS,
    );
    assert_eq!(heard.round_trip_ns(), Some(6_125_000_000));
    assert_eq!(heard.about_us(), Some(&block));
    // Without a report of ours, or with a clock's mistake, nothing is learnt.
    for (last_report, delay) in [(0, 0), (0x1705_2000, 0), (0xb705_2000, 0x0100_0000)] {
        let block = ReportBlock {
            last_report,
            delay,
            ..block
        };
        heard.take(now_ns, &written(THEIRS, None, &[block]), OURS);
        assert_eq!(heard.round_trip_ns(), Some(6_125_000_000));
    }
    // A coarse clock of the peer may have it that the way took less than no time.
    let block = ReportBlock {
        last_report: 0xb710_8000,
        delay: 100,
        ..block
    };
    heard.take(now_ns, &written(THEIRS, None, &[block]), OURS);
    assert_eq!(heard.round_trip_ns(), Some(0));
}

#[test]
fn what_a_peer_sent_is_answered_with_when_it_came() {
    let mut heard = Heard::default();
    assert_eq!(heard.last_report(9), (0, 0));
    heard.take(10_000_000_000, &written(THEIRS, Some(INFO), &[]), OURS);
    assert_eq!(
        heard.last_report(12_500_000_000),
        (0x4567_89ab, 0x0002_8000)
    );
    assert!(!heard.goodbye());
    heard.take(13_000_000_000, &bye(&[THEIRS], b""), OURS);
    assert!(heard.goodbye());
}

#[test]
fn reports_are_five_seconds_apart_about() {
    let session = Session {
        kbit_s: 80,
        packet_len: 120,
        minimum: Minimum::Fixed,
        initial: false,
    };
    let near = |interval: u64, seconds: f64| {
        let off = (interval as f64 / 1e9 - seconds).abs();
        assert!(off < 0.001, "{interval} {seconds}");
    };
    // 0.5 to 1.5 of it, by 1.21828.
    near(interval_ns(&session, 0), 2.5 / 1.21828);
    near(interval_ns(&session, u32::MAX), 7.5 / 1.21828);
    let initial = Session {
        initial: true,
        ..session
    };
    near(interval_ns(&initial, 1 << 31), 2.5 / 1.21828);
    // 360 / 180 kbit/s = 2 s.
    let reduced = Session {
        kbit_s: 180,
        minimum: Minimum::Reduced,
        ..session
    };
    near(interval_ns(&reduced, 1 << 31), 2.0 / 1.21828);
    // Never longer than the fixed one; never so often that it takes more than its twentieth.
    let slow = Session {
        kbit_s: 10,
        minimum: Minimum::Reduced,
        ..session
    };
    near(interval_ns(&slow, 1 << 31), 5.0 / 1.21828);
    let crawling = Session {
        kbit_s: 4,
        ..session
    };
    near(interval_ns(&crawling, 1 << 31), 9.6 / 1.21828);
    let zero = Session {
        kbit_s: 0,
        packet_len: u32::MAX,
        ..session
    };
    assert!(interval_ns(&zero, u32::MAX) > 1_000_000_000);
}

proptest! {
    #[test]
    fn any_bytes_stay_within_themselves_and_come_out_good(
        kinds in proptest::collection::vec((0u8..32, 199u8..206, any::<bool>()), 1..5),
        filler in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut compound = Vec::new();
        for (place, (count, kind, known)) in kinds.iter().enumerate() {
            let mut body = filler.clone();
            body.resize(filler.len() / 4 * 4, 0);
            if let Some(first) = body.first_chunk_mut::<4>().filter(|_| *known) {
                *first = THEIRS.to_be_bytes();
            }
            let kind = (*kind).max(RECEIVER_REPORT - u8::from(place > 0));
            let most = (body.len() / 4).saturating_sub(1) / 6;
            compound.extend(packet(kind, (*count).min(most as u8), &[&body]));
        }
        if check(&compound).is_ok() {
            let before = compound.len();
            if let Some(len) = translate(&mut compound, &TRANSLATION) {
                prop_assert!(len <= before);
                prop_assert_eq!(check(&compound[..len]), Ok(()));
            }
        }
    }
}
