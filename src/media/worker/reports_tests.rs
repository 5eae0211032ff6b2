//! RTCP of our own: what each leg's peer is told, and what its reports tell us.

use crate::codec::{Codec, Payload};
use crate::link::{Command, Event, FormatList, LegFormats, LegReport, WireFormat};
use crate::media::testing::{A, B, Bed, Sent, remote, slot_of, stream};
use crate::media::{Component, Nanos};
use crate::rtp::rtcp::{self, Heard, Packet, Report, SenderInfo};

const FROM_A: &str = "192.0.2.1:4000";
const FROM_B: &str = "198.51.100.1:6000";

fn bridged() -> Bed {
    let mut bed = Bed::reporting();
    for (leg, from) in [(A, FROM_A), (B, FROM_B)] {
        bed.open(leg, remote(from));
        let list = FormatList::new([WireFormat {
            payload_type: 0,
            payload: Payload::Codec(Codec::Ulaw),
        }]);
        let formats = LegFormats {
            receive: list,
            send: list,
            ptime_ms: 20,
        };
        bed.formats(leg, formats);
    }
    bed.bridge(A, B);
    bed
}

/// A talks for so long, each tenth packet lost; RTCP that was sent, with its time.
fn talk(bed: &mut Bed, seconds: u64) -> Vec<(Nanos, Sent)> {
    let mut packet = stream(0xaaaa);
    let mut sent = Vec::new();
    for number in 0..seconds * 50 {
        if number % 10 != 9 {
            bed.packet(A, FROM_A, packet).expect("passes");
        }
        packet = packet.next();
        bed.pass_ms(20);
        bed.tick();
        sent.extend(bed.made().into_iter().map(|made| (bed.now, made)));
    }
    sent
}

fn to(leg: crate::link::LegId, sent: &[(Nanos, Sent)]) -> Vec<&Sent> {
    let of = sent.iter().filter(|(_, sent)| sent.leg == slot_of(leg));
    of.map(|(_, sent)| sent).collect()
}

fn final_report(bed: &mut Bed, leg: crate::link::LegId) -> LegReport {
    bed.command(Command::Close { leg });
    let found = bed.events().into_iter().find_map(|event| match event {
        Event::Closed {
            leg: closed,
            report,
        } if closed == leg => Some(report),
        _ => None,
    });
    found.expect("it is closed")
}

#[test]
fn each_side_is_told_what_we_receive_and_send() {
    let mut bed = bridged();
    let sent = talk(&mut bed, 20);
    let (to_a, to_b) = (to(A, &sent), to(B, &sent));
    assert!(
        (3..=9).contains(&to_a.len()),
        "one each five seconds or so: {}",
        to_a.len()
    );
    assert!((3..=9).contains(&to_b.len()), "{}", to_b.len());
    let last = to_a.last().expect("a report");
    assert_eq!(
        (last.component, last.to.to_string().as_str()),
        (Component::Rtcp, "192.0.2.1:4001")
    );
    assert_eq!(rtcp::check(&last.bytes), Ok(()));
    let first = rtcp::packets(&last.bytes).next();
    let Some(Packet::Report {
        sender: None,
        blocks,
        ..
    }) = first
    else {
        panic!("we send A nothing: {first:?}");
    };
    let block = blocks.iter().next().expect("about A");
    assert_eq!(block.ssrc, 0xaaaa);
    // Each tenth of 256.
    assert!((20..=31).contains(&block.fraction_lost), "{block:?}");
    assert!((60..=100).contains(&block.lost), "{block:?}");
    let last = to_b.last().expect("a report");
    let first = rtcp::packets(&last.bytes).next();
    let Some(Packet::Report {
        sender: Some(info),
        blocks,
        ..
    }) = first
    else {
        panic!("we send to B: {first:?}");
    };
    assert_eq!(blocks.iter().count(), 0, "B has sent nothing");
    assert_eq!(info.octets, info.packets * 160);
    assert!(info.packets >= 600, "{info:?}");
}

#[test]
fn the_peers_reports_end_here_and_tell_the_round_trip() {
    let mut bed = bridged();
    let sent = talk(&mut bed, 20);
    let (at, report) = sent
        .iter()
        .rfind(|(_, sent)| sent.leg == slot_of(B))
        .expect("one");
    // B answers 30 ms after it got it, each way being 35 ms.
    let mut theirs = Heard::default();
    theirs.take(at.0 + 35_000_000, &report.bytes, 0);
    bed.now = Nanos(at.0 + 100_000_000);
    let last_report = theirs.last_report(at.0 + 65_000_000);
    let ours = rtcp::packets(&report.bytes).find_map(|packet| match packet {
        Packet::Report { ssrc, .. } => Some(ssrc),
        _ => None,
    });
    let block = crate::rtp::rtcp::ReportBlock {
        ssrc: ours.expect("it has a source"),
        fraction_lost: 3,
        lost: 17,
        highest: 0,
        jitter: 40,
        last_report: last_report.0,
        delay: last_report.1,
    };
    let mut bytes = vec![0; 200];
    let report = Report {
        ssrc: 0xbbbb,
        cname: 1,
        sender: Some(SenderInfo {
            ntp: 1,
            timestamp: 2,
            packets: 3,
            octets: 4,
        }),
        blocks: &[block],
        goodbye: false,
    };
    let len = report.write(&mut bytes).expect("fits");
    bytes.truncate(len);
    assert!(
        bed.bytes(B, Component::Rtcp, "198.51.100.1:6001", bytes)
            .is_err()
    );
    assert_eq!(bed.taken, 1, "it does not go to A");
    let report = final_report(&mut bed, B);
    let lost_and_jitter = (report.lost_out, report.jitter_out_us);
    assert_eq!(
        lost_and_jitter,
        (Some(17), Some(5_000)),
        "40 of 8 kHz are 5 ms"
    );
    let round_trip = report.round_trip_ms.expect("told");
    assert!((69..=71).contains(&round_trip), "{round_trip} ms");
    assert_eq!(report.mos, None, "B has said nothing");
    let of_a = final_report(&mut bed, A);
    let mos = of_a.mos.expect("A has talked");
    assert!((2.0..3.9).contains(&mos), "a tenth is lost: {mos}");
}

#[test]
fn a_closed_leg_says_goodbye() {
    let mut bed = bridged();
    talk(&mut bed, 1);
    bed.command(Command::Close { leg: B });
    let sent = bed.made();
    let [last] = &sent[..] else {
        panic!("one packet: {sent:?}");
    };
    assert!(rtcp::packets(&last.bytes).any(|packet| matches!(packet, Packet::Goodbye { .. })));
    assert_eq!(rtcp::check(&last.bytes), Ok(()));
}

#[test]
fn a_leg_that_nobody_used_says_nothing() {
    let mut bed = bridged();
    for _ in 0..400 {
        bed.pass_ms(50);
        bed.tick();
    }
    bed.command(Command::Close { leg: A });
    assert_eq!(bed.made(), []);
}
