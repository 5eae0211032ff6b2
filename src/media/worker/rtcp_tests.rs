//! RTCP through the worker: who may send it, where it goes and what it then says.

use super::super::testing::*;
use super::*;
use crate::link::Remote;

const AT_A: &str = "192.0.2.1:4000";
const AT_B: &str = "198.51.100.1:6000";
const RTCP_A: &str = "192.0.2.1:4001";
const RTCP_B: &str = "198.51.100.1:6001";

/// A receiver report of `sender` about `heard` with this extended highest sequence number.
fn report(sender: u32, heard: u32, highest: u32) -> Vec<u8> {
    let mut bytes = vec![0x81, 201, 0, 7];
    bytes.extend(sender.to_be_bytes());
    bytes.extend(heard.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(highest.to_be_bytes());
    bytes.extend([0; 12]);
    bytes
}

fn sender_report(sender: u32, timestamp: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, 200, 0, 6];
    bytes.extend(sender.to_be_bytes());
    bytes.extend(*b"ntp time");
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(*b"packoctt");
    bytes
}

fn rtcp(bed: &mut Bed, leg: LegId, from: &str, bytes: Vec<u8>) -> Result<Sent, DropReason> {
    bed.bytes(leg, Component::Rtcp, from, bytes)
}

/// A's source has changed from 7 to 17, so that B hears 7 with shifted numbers; B speaks as 8.
fn changed() -> (Bed, Packet) {
    let mut bed = Bed::bridged();
    bed.talk(A, AT_A, &mut stream(7), 5);
    let mut talk = Packet {
        sequence: 40_000,
        ..stream(17)
    };
    bed.talk(A, AT_A, &mut talk, 5);
    bed.talk(B, AT_B, &mut stream(8), 5);
    (bed, talk)
}

#[test]
fn reports_say_what_each_side_knows() {
    let (mut bed, talk) = changed();
    let sent = rtcp(&mut bed, A, RTCP_A, report(17, 8, 104)).expect("passes");
    assert_eq!((sent.leg, sent.component), (SLOT_B, Component::Rtcp));
    assert_eq!(sent.to, addr(RTCP_B));
    assert_eq!(sent.bytes, report(7, 8, 104));

    // B has heard 10 packets of "7", up to 109; that is 40004 of the source behind it.
    let sent = rtcp(&mut bed, B, RTCP_B, report(8, 7, 109)).expect("passes");
    assert_eq!((sent.leg, sent.to), (SLOT_A, addr(RTCP_A)));
    assert_eq!(sent.bytes, report(8, 17, 40_004));

    // The sender report's time stamp is shifted as the next packet's.
    let there = rtcp(&mut bed, A, RTCP_A, sender_report(17, talk.timestamp)).expect("passes");
    let packet = bed.packet(A, AT_A, talk).expect("passes");
    assert_eq!(there.bytes[16..20], packet.bytes[4..8]);
    assert_eq!(there.bytes[4..8], 7u32.to_be_bytes());

    bed.command(Command::Close { leg: A });
    let events = bed.events();
    let Some(Event::Closed { report, .. }) = events.last() else {
        panic!("closed")
    };
    assert_eq!((report.rtcp_in, report.rtcp_out), (2, 1));
}

#[test]
fn what_is_about_a_former_source_does_not_pass() {
    let (mut bed, _) = changed();
    assert_eq!(
        rtcp(&mut bed, A, RTCP_A, report(7, 8, 104)),
        Err(DropReason::Late)
    );
    let sent = rtcp(&mut bed, B, RTCP_B, report(8, 17, 109)).expect("the block is left out");
    assert_eq!(sent.bytes, [0x80, 201, 0, 1, 0, 0, 0, 8]);
}

#[test]
fn one_who_only_listens_still_reports() {
    let mut bed = Bed::bridged();
    bed.talk(A, AT_A, &mut stream(7), 5);
    let sent = rtcp(&mut bed, B, RTCP_B, report(99, 7, 104)).expect("passes");
    assert_eq!(sent.bytes, report(99, 7, 104));
}

#[test]
fn rtcp_beside_rtp_goes_out_on_the_rtcp_port() {
    let (mut bed, _) = changed();
    let muxed = bed.bytes(A, Component::Rtp, AT_A, report(17, 8, 104));
    let sent = muxed.expect("passes");
    assert_eq!((sent.component, sent.to), (Component::Rtcp, addr(RTCP_B)));
    let elsewhere = bed.bytes(A, Component::Rtp, RTCP_A, report(17, 8, 104));
    assert_eq!(elsewhere, Err(DropReason::WrongSource));
    // It is no RTP: it latches nothing.
    let mut bed = Bed::bridged();
    bed.bytes(A, Component::Rtp, AT_A, report(17, 8, 104))
        .expect("an allowed host");
    assert_eq!(bed.events(), []);
}

#[test]
fn the_port_is_learned_from_the_latched_host_alone() {
    let (mut bed, _) = changed();
    for stranger in ["203.0.113.66:4001", "192.0.2.200:4001"] {
        assert_eq!(
            rtcp(&mut bed, A, stranger, report(17, 8, 104)),
            Err(DropReason::WrongSource),
            "the signalling host is one no more once RTP has latched"
        );
    }
    let back = |bed: &mut Bed| {
        let sent = rtcp(bed, B, RTCP_B, report(8, 7, 109)).expect("passes");
        sent.to.to_string()
    };
    assert!(rtcp(&mut bed, A, "192.0.2.1:32001", report(17, 8, 104)).is_ok());
    assert_eq!(back(&mut bed), "192.0.2.1:32001");
    bed.pass_ms(11_999);
    assert_eq!(
        rtcp(&mut bed, A, "192.0.2.1:32003", report(17, 8, 104)),
        Err(DropReason::WrongSource)
    );
    bed.pass_ms(1);
    assert!(rtcp(&mut bed, A, "192.0.2.1:32003", report(17, 8, 104)).is_ok());
    assert_eq!(back(&mut bed), "192.0.2.1:32003");
    assert!(rtcp(&mut bed, A, RTCP_A, report(17, 8, 104)).is_ok());
    assert_eq!(back(&mut bed), RTCP_A, "the SDP's at once");
    let rubbish = rtcp(&mut bed, A, "192.0.2.1:32003", b"rubbish".to_vec());
    assert_eq!(rubbish, Err(DropReason::WrongSource));
    let rubbish = rtcp(&mut bed, A, RTCP_A, b"rubbish".to_vec());
    assert_eq!(rubbish, Err(DropReason::Malformed));
}

#[test]
fn before_rtp_the_signalling_host_may_report_and_a_move_forgets_it() {
    let mut bed = Bed::bridged();
    bed.talk(B, AT_B, &mut stream(8), 5);
    let from_proxy = rtcp(&mut bed, A, "192.0.2.200:9001", report(5, 8, 104));
    assert_eq!(from_proxy.expect("passes").bytes, report(5, 8, 104));
    bed.talk(A, AT_A, &mut stream(7), 1);
    let back = rtcp(&mut bed, B, RTCP_B, report(8, 7, 100)).expect("passes");
    assert_eq!(back.to, addr(RTCP_A));
}

#[test]
fn a_leg_that_is_not_symmetric_gets_rtcp_where_its_sdp_says() {
    let (mut bed, _) = changed();
    bed.command(Command::SetRemote {
        leg: A,
        remote: Remote {
            symmetric: false,
            rtcp: addr("192.0.2.7:5555"), // a=rtcp, RFC 3605
            ..remote(AT_A)
        },
    });
    for from in ["192.0.2.1:32001", "192.0.2.7:5555"] {
        assert!(
            rtcp(&mut bed, A, from, report(17, 8, 104)).is_ok(),
            "{from}"
        );
        let back = rtcp(&mut bed, B, RTCP_B, report(8, 7, 109)).expect("passes");
        assert_eq!(back.to, addr("192.0.2.7:5555"));
    }
}

#[test]
fn on_hold_alone_and_in_the_echo_no_rtcp_is_sent() {
    let (mut bed, _) = changed();
    bed.command(Command::SetRemote {
        leg: B,
        remote: Remote {
            send: false,
            ..remote(AT_B)
        },
    });
    let held = rtcp(&mut bed, A, RTCP_A, report(17, 8, 104));
    assert_eq!(held, Err(DropReason::Unheard));
    for command in [Command::Echo { leg: A }, Command::Detach { leg: A }] {
        bed.command(command);
        let nobody = rtcp(&mut bed, A, RTCP_A, report(17, 8, 104));
        assert_eq!(nobody, Err(DropReason::Unheard));
    }
}
