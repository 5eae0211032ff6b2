use super::super::testing::*;
use super::*;
use crate::link::LegReport;

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
