//! Messages lost, late and doubled at every place, peers that die at every moment: nothing is left, whatever happens.

use super::world::*;
use crate::link::Event as MediaEvent;
use crate::sip::message::Method;
use std::time::Duration;

const ALICE_SDP: (&str, u16) = ("198.51.100.10", 4000);
const MS: Duration = Duration::from_millis(1);

/// More datagrams than a plain call has.
const DATAGRAMS: usize = 16;

fn offer() -> String {
    sdp(ALICE_SDP.0, ALICE_SDP.1, 1, "8 0 101", "sendrecv")
}

/// A call that is answered at once and ended by `by` ten seconds later, on a network that treats one datagram so.
fn call(by: &str, fate: impl FnMut(usize, &Sent) -> Fate + 'static) -> World {
    let mut world = World::new();
    world.phones_answer = true;
    world.network = Box::new(fate);
    world.invite(ALICE, "100", Some(&offer()));
    world.run(Duration::from_secs(10));
    if world.phone(by).dialog.is_some() {
        world.request(by, Method::Bye, None);
    }
    world.run(Duration::from_secs(40));
    world
}

#[test]
fn any_one_datagram_may_be_lost_doubled_or_late() {
    for by in [ALICE, BOB] {
        for number in 0..DATAGRAMS {
            for fate in [Fate::Lose, Fate::Twice, Fate::Late(700 * MS)] {
                let chosen =
                    move |at: usize, _: &Sent| if at == number { fate } else { Fate::Deliver };
                let mut world = call(by, chosen);
                let answered = world.phone(ALICE).statuses.contains(&200);
                assert!(answered, "{fate:?} of datagram {number}");
                assert_eq!(world.open_legs().len(), 0, "{fate:?} of datagram {number}");
                world.assert_nothing_left();
            }
        }
    }
}

#[test]
fn every_second_datagram_may_be_lost() {
    for parity in [0, 1] {
        let mut world = call(ALICE, move |at, _| {
            if at % 2 == parity {
                Fate::Lose
            } else {
                Fate::Deliver
            }
        });
        world.assert_nothing_left();
    }
}

#[test]
fn a_peer_may_die_at_every_moment() {
    for dead in [ALICE, BOB] {
        for last in 0..DATAGRAMS {
            let mut world = call(ALICE, move |at, sent| {
                let is_dead = sent.from.to_string() == dead || sent.to.to_string() == dead;
                if at >= last && is_dead {
                    Fate::Lose
                } else {
                    Fate::Deliver
                }
            });
            // A dead peer's media is silent, and nobody answers a ringing caller that is gone for ever.
            for leg in world.open_legs().to_vec() {
                world.media(MediaEvent::Silent { leg });
            }
            world.run(Duration::from_secs(3700));
            world.assert_nothing_left();
        }
    }
}

#[test]
fn a_caller_may_cancel_at_every_moment() {
    for after in 0..60 {
        let mut world = World::new();
        world.phones_answer = true;
        let tx = world.invite(ALICE, "100", Some(&offer()));
        world.run(after * MS);
        world.cancel(ALICE, tx);
        world.run(100 * MS);
        if world.phone(ALICE).dialog.is_some() {
            world.request(ALICE, Method::Bye, None);
        }
        let last = world.phone(ALICE).statuses.last().copied();
        assert!(matches!(last, Some(200 | 487)), "{last:?} after {after} ms");
        world.assert_nothing_left();
    }
}

#[test]
fn both_hang_up_at_once() {
    let mut world = World::new();
    world.talk("100");
    world.request(ALICE, Method::Bye, None);
    world.request(BOB, Method::Bye, None);
    world.run(50 * MS);
    world.confirm(ALICE, 200);
    world.confirm(BOB, 200);
    world.run(50 * MS);
    world.assert_nothing_left();
}

#[test]
fn workers_that_never_report_hold_no_call() {
    let mut world = World::new();
    world.workers_work = false;
    world.talk("100");
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.run(Duration::from_secs(60));
    let left = world.gateway.leftovers();
    assert_eq!((left.calls, left.owners, left.timers), (0, 0, 0));
    assert_eq!(left.leased, 2, "the ports are not given to anybody else");
}
