//! RTCP packets of any bytes: what is checked good is read, kept and translated without a panic, the translation is good
//! and no longer; and a report written from what was read is read as the same.

use ringway::rtp::rtcp::{
    Heard, Packet, Report, ReportBlock, ReportedMap, SenderMap, Translation, check, packets,
    report_len_max, translate,
};

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |word| {
        u32::from_be_bytes([word[0], word[1], word[2], word[3]])
    })
}

fn written_again(packet: &Packet<'_>) {
    let Packet::Report {
        ssrc,
        sender,
        blocks,
    } = *packet
    else {
        return;
    };
    let list: Vec<ReportBlock> = blocks.iter().collect();
    let report = Report {
        ssrc,
        cname: u64::from(ssrc),
        sender,
        blocks: &list,
        goodbye: ssrc & 1 != 0,
    };
    let mut buffer = vec![0; report_len_max(list.len())];
    let len = report
        .write(&mut buffer)
        .expect("it has the length that it needs");
    assert_eq!(check(&buffer[..len]), Ok(()));
    let Some(Packet::Report {
        ssrc: again,
        sender: told,
        blocks,
    }) = packets(&buffer[..len]).next()
    else {
        panic!("not read as a report");
    };
    assert_eq!((again, told), (ssrc, sender));
    assert!(blocks.iter().eq(list.iter().copied()));
}

/// Checks one input.
pub fn rtcp(data: &[u8]) {
    let good = check(data).is_ok();
    let read = packets(data).inspect(written_again).count();
    if !good {
        return;
    }
    assert!(read > 0);
    // The sources that a translation is about are those that the packet has where reports have them, or others.
    let (sender, reported) = (word(data, 4), word(data, 8).max(word(data, 28)));
    let mut heard = Heard::default();
    heard.take(u64::from(word(data, 12)) << 20, data, reported);
    let _ = (
        heard.last_report(7),
        heard.about_us(),
        heard.round_trip_ns(),
        heard.goodbye(),
    );
    for (is_sender, is_reported) in [(true, true), (true, false), (false, true)] {
        let translation = Translation {
            sender: is_sender.then_some(SenderMap {
                from: sender,
                to: 0x0102_0304,
                timestamp_offset: 0xffff_ff00,
            }),
            reported: is_reported.then_some(ReportedMap {
                from: reported,
                to: 0x0506_0708,
                sequence_offset: 9,
                highest: 0x0001_0002,
            }),
            cname: 0x0123_4567_89ab_cdef,
        };
        let mut compound = data.to_vec();
        if let Some(len) = translate(&mut compound, &translation) {
            assert!(len <= data.len());
            assert_eq!(check(&compound[..len]), Ok(()));
            assert!(matches!(
                packets(&compound[..len]).next(),
                Some(Packet::Report { .. })
            ));
        }
    }
}
