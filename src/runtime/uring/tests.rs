//! The edge on real sockets. Every test has an address of 127/8 to itself, so ports never meet.

use super::*;
use crate::link::ring::Bell as _;
use crate::link::{LegId, RtpPort};
use crate::media::worker::SocketOrder;
use crate::media::{Component, DropReason, LegSlot, Verdict};
use crate::runtime::bell::Bell;
use crate::runtime::pace::Wait;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const FIRST_PORT: u16 = 30000;
const PATIENCE: Duration = Duration::from_secs(5);
const DROP: Verdict = Verdict::Drop(DropReason::Unlatched);

fn config(legs: u16, buffers: u16) -> EdgeConfig {
    EdgeConfig {
        first_port: FIRST_PORT,
        legs,
        dscp: 46,
        buffers,
    }
}

fn open(leg: u16, bind: IpAddr) -> SocketOrder {
    let port = RtpPort::new(FIRST_PORT + leg * 2).expect("an even port");
    SocketOrder::Open {
        leg: LegSlot(leg),
        id: LegId {
            port,
            generation: 1,
        },
        bind,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Where a leg's RTP is.
fn rtp(leg: u16, bind: IpAddr) -> SocketAddr {
    SocketAddr::new(bind, FIRST_PORT + leg * 2)
}

fn peer(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((ip(address), 0)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, source) = socket.recv_from(&mut buffer).expect("a packet in time");
    (buffer[..len].to_vec(), source)
}

fn send_to(leg: u16, destination: SocketAddr, len: usize) -> Verdict {
    Verdict::Send {
        leg: LegSlot(leg),
        component: Component::Rtp,
        destination,
        len,
    }
}

/// What came: on which leg, from whom, which bytes.
type Seen = (u16, SocketAddr, Vec<u8>);

/// One turn with this judge; returns what came in it.
fn turn(edge: &mut Edge<'_>, mut judge: impl FnMut(&Arrival, &mut [u8]) -> Verdict) -> Vec<Seen> {
    edge.enter(Wait::First, PATIENCE).expect("the ring works");
    let mut seen = Vec::new();
    while let Some(arrival) = edge.next_arrival().expect("the ring works") {
        let (room, len) = edge.packet(&arrival);
        let packet = &mut room[..len];
        seen.push((arrival.leg.0, arrival.source, packet.to_vec()));
        let verdict = judge(&arrival, packet);
        edge.dispatch(arrival, verdict).expect("the ring works");
    }
    seen
}

/// Turns until this many packets have come.
fn take(
    edge: &mut Edge<'_>,
    count: usize,
    mut judge: impl FnMut(&Arrival, &mut [u8]) -> Verdict,
) -> Vec<Seen> {
    let began = Instant::now();
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(turn(edge, &mut judge));
        assert!(began.elapsed() < PATIENCE, "packets in time");
    }
    flush(edge);
    seen
}

/// Has what is queued executed, without waiting.
fn flush(edge: &mut Edge<'_>) {
    edge.enter(Wait::No, PATIENCE).expect("the ring works");
}

macro_rules! edge {
    ($ring:ident, $legs:expr, $buffers:expr) => {{
        $ring = ring::build().expect("a ring");
        let bell = Bell::new().expect("a bell");
        Edge::new(&mut $ring, config($legs, $buffers), bell).expect("an edge")
    }};
}

#[test]
fn packets_are_relayed_both_ways_from_the_right_ports() {
    let mut ring;
    let mut edge = edge!(ring, 2, 64);
    let us = ip("127.0.71.1");
    let (alice, bob) = (peer("127.0.71.2"), peer("127.0.71.3"));
    edge.obey(open(0, us)).expect("the ring works");
    edge.obey(open(1, us)).expect("the ring works");
    flush(&mut edge);
    assert_eq!(edge.poll_open_failure(), None);

    for round in 0..20u8 {
        alice.send_to(&[round, 1], rtp(0, us)).expect("sent");
        bob.send_to(&[round, 2], rtp(1, us)).expect("sent");
        take(&mut edge, 2, |arrival, packet| {
            packet[0] ^= 0xff;
            match arrival.leg {
                LegSlot(0) => send_to(1, local(&bob), packet.len()),
                _ => send_to(0, local(&alice), packet.len()),
            }
        });
        assert_eq!(receive(&bob), (vec![round ^ 0xff, 1], rtp(1, us)));
        assert_eq!(receive(&alice), (vec![round ^ 0xff, 2], rtp(0, us)));
    }
    assert_eq!(edge.counts().received, 40);
    assert_eq!(edge.drain_latencies_ns().count(), 40);
}

#[test]
fn rtcp_has_the_next_port() {
    let mut ring;
    let mut edge = edge!(ring, 1, 64);
    let us = ip("127.0.72.1");
    let alice = peer("127.0.72.2");
    edge.obey(open(0, us)).expect("the ring works");
    flush(&mut edge);

    let rtcp = SocketAddr::new(us, FIRST_PORT + 1);
    alice.send_to(b"report", rtcp).expect("sent");
    take(&mut edge, 1, |arrival, packet| {
        assert_eq!(arrival.component, Component::Rtcp);
        Verdict::Send {
            leg: arrival.leg,
            component: arrival.component,
            destination: arrival.source,
            len: packet.len(),
        }
    });
    assert_eq!(receive(&alice), (b"report".to_vec(), rtcp));
}

#[test]
fn ipv6_is_like_ipv4() {
    let mut ring;
    let mut edge = edge!(ring, 1, 64);
    let us = ip("::1");
    let alice = peer("::1");
    edge.obey(open(0, us)).expect("the ring works");
    flush(&mut edge);
    alice.send_to(b"six", rtp(0, us)).expect("sent");
    take(&mut edge, 1, |arrival, packet| {
        send_to(0, arrival.source, packet.len())
    });
    assert_eq!(receive(&alice), (b"six".to_vec(), rtp(0, us)));
}

#[test]
fn a_connected_socket_hears_its_peer_alone_until_it_is_disconnected() {
    let mut ring;
    let mut edge = edge!(ring, 1, 64);
    let us = ip("127.0.73.1");
    let (alice, stranger) = (peer("127.0.73.2"), peer("127.0.73.3"));
    edge.obey(open(0, us)).expect("the ring works");
    flush(&mut edge);
    let (leg, component) = (LegSlot(0), Component::Rtp);

    edge.obey(SocketOrder::Connect {
        leg,
        component,
        peer: local(&alice),
    })
    .expect("the ring works");
    stranger.send_to(b"stranger", rtp(0, us)).expect("sent");
    alice.send_to(b"alice", rtp(0, us)).expect("sent");
    let seen = take(&mut edge, 1, |arrival, packet| {
        send_to(0, arrival.source, packet.len())
    });
    assert_eq!(seen, [(0, local(&alice), b"alice".to_vec())]);
    assert_eq!(receive(&alice), (b"alice".to_vec(), rtp(0, us)));

    edge.obey(SocketOrder::Disconnect { leg, component })
        .expect("the ring works");
    stranger.send_to(b"moved", rtp(0, us)).expect("sent");
    let seen = take(&mut edge, 1, |arrival, packet| {
        send_to(0, arrival.source, packet.len())
    });
    assert_eq!(seen, [(0, local(&stranger), b"moved".to_vec())]);
    assert_eq!(receive(&stranger), (b"moved".to_vec(), rtp(0, us)));
}

#[test]
fn a_connected_socket_still_sends_elsewhere_when_told() {
    let mut ring;
    let mut edge = edge!(ring, 1, 64);
    let us = ip("127.0.74.1");
    let (alice, bob) = (peer("127.0.74.2"), peer("127.0.74.3"));
    edge.obey(open(0, us)).expect("the ring works");
    edge.obey(SocketOrder::Connect {
        leg: LegSlot(0),
        component: Component::Rtp,
        peer: local(&alice),
    })
    .expect("the ring works");
    flush(&mut edge);
    alice.send_to(b"for bob", rtp(0, us)).expect("sent");
    take(&mut edge, 1, |_, packet| {
        send_to(0, local(&bob), packet.len())
    });
    assert_eq!(receive(&bob), (b"for bob".to_vec(), rtp(0, us)));
}

#[test]
fn a_dead_peer_does_not_stop_a_leg() {
    let mut ring;
    let mut edge = edge!(ring, 2, 64);
    let us = ip("127.0.75.1");
    let (alice, bob) = (peer("127.0.75.2"), peer("127.0.75.3"));
    let bob_was = local(&bob);
    edge.obey(open(0, us)).expect("the ring works");
    edge.obey(open(1, us)).expect("the ring works");
    edge.obey(SocketOrder::Connect {
        leg: LegSlot(1),
        component: Component::Rtp,
        peer: bob_was,
    })
    .expect("the ring works");
    flush(&mut edge);
    drop(bob);

    // Each packet draws an ICMP port unreachable, which ends the receive of leg 1; it is armed again.
    for round in 0..10u8 {
        alice.send_to(&[round], rtp(0, us)).expect("sent");
        take(&mut edge, 1, |_, packet| send_to(1, bob_was, packet.len()));
    }
    let counts = *edge.counts();
    assert!(counts.socket_errors + counts.send_failed > 0, "{counts:?}");

    let bob = UdpSocket::bind(bob_was).expect("bob is back");
    bob.send_to(b"back", rtp(1, us)).expect("sent");
    let seen = take(&mut edge, 1, |_, packet| {
        send_to(0, local(&alice), packet.len())
    });
    assert_eq!(seen, [(1, bob_was, b"back".to_vec())]);
    assert_eq!(receive(&alice), (b"back".to_vec(), rtp(0, us)));
}

#[test]
fn a_closed_leg_hears_nothing_more_and_its_port_can_be_had_again() {
    let mut ring;
    let mut edge = edge!(ring, 1, 64);
    let us = ip("127.0.76.1");
    let alice = peer("127.0.76.2");
    let close = SocketOrder::Close { leg: LegSlot(0) };
    for round in 0..10u8 {
        edge.obey(open(0, us)).expect("the ring works");
        flush(&mut edge);
        // The kernel completes these before it sees the cancel.
        alice.send_to(b"late", rtp(0, us)).expect("sent");
        alice.send_to(b"late", rtp(0, us)).expect("sent");
        flush(&mut edge);
        edge.obey(close).expect("the ring works");
        // Reopened at once: the open waits for the end of the close.
        edge.obey(open(0, us)).expect("the ring works");
        while edge.poll_open_failure().is_none() && turn(&mut edge, |_, _| DROP).is_empty() {
            alice.send_to(&[round], rtp(0, us)).expect("sent");
        }
        assert_eq!(edge.legs_used(), 1);
        edge.obey(close).expect("the ring works");
        while edge.legs_used() > 0 {
            turn(&mut edge, |_, _| DROP);
        }
    }
    assert!(edge.counts().late >= 20, "{:?}", edge.counts());
    UdpSocket::bind(rtp(0, us)).expect("the port is free");
}

#[test]
fn a_taken_port_is_told() {
    let mut ring;
    let mut edge = edge!(ring, 1, 64);
    let us = ip("127.0.77.1");
    let taker = UdpSocket::bind((us, FIRST_PORT + 1)).expect("the RTCP port");
    edge.obey(open(0, us)).expect("the ring works");
    let failure = Some((LegSlot(0), libc::EADDRINUSE));
    assert_eq!(edge.poll_open_failure(), failure);
    assert_eq!(edge.legs_used(), 0);
    drop(taker);
    edge.obey(open(0, us)).expect("the ring works");
    assert_eq!(edge.poll_open_failure(), None);
    // Opening what is open is refused, and leaves it open.
    edge.obey(open(0, us)).expect("the ring works");
    assert_eq!(edge.poll_open_failure(), failure);
    assert_eq!(edge.legs_used(), 1);
}

#[test]
fn two_hundred_legs_share_a_ring() {
    const LEGS: u16 = 200;
    let mut ring;
    let mut edge = edge!(ring, LEGS, 1024);
    let us = ip("127.0.78.1");
    let alice = peer("127.0.78.2");
    for leg in 0..LEGS {
        edge.obey(open(leg, us)).expect("the ring works");
    }
    flush(&mut edge);
    for leg in 0..LEGS {
        alice
            .send_to(&leg.to_be_bytes(), rtp(leg, us))
            .expect("sent");
    }
    let seen = take(&mut edge, LEGS.into(), |arrival, packet| {
        send_to(arrival.leg.0, arrival.source, packet.len())
    });
    for (leg, _, bytes) in &seen {
        assert_eq!(bytes, &leg.to_be_bytes());
    }
    let mut answered: Vec<u16> = (0..LEGS)
        .map(|_| {
            let (bytes, source) = receive(&alice);
            let leg = u16::from_be_bytes(bytes.try_into().expect("two bytes"));
            assert_eq!(source, rtp(leg, us));
            leg
        })
        .collect();
    answered.sort_unstable();
    assert!(answered.into_iter().eq(0..LEGS));
}

#[test]
fn running_out_of_buffers_loses_nothing_that_a_socket_can_hold() {
    const LEGS: u16 = 10;
    const EACH: usize = 20;
    let mut ring;
    let mut edge = edge!(ring, LEGS, 8);
    let us = ip("127.0.79.1");
    let alice = peer("127.0.79.2");
    for leg in 0..LEGS {
        edge.obey(open(leg, us)).expect("the ring works");
    }
    flush(&mut edge);
    for _ in 0..EACH {
        for leg in 0..LEGS {
            alice.send_to(b"a packet", rtp(leg, us)).expect("sent");
        }
    }
    let count = usize::from(LEGS) * EACH;
    let seen = take(&mut edge, count, |arrival, packet| {
        send_to(arrival.leg.0, arrival.source, packet.len())
    });
    assert_eq!(seen.len(), count);
    assert!(edge.counts().no_buffer > 0);
    assert_eq!(edge.counts().socket_overflow, 0);
    for _ in 0..count {
        receive(&alice);
    }
}

#[test]
fn a_full_socket_is_counted() {
    let mut ring;
    let mut edge = edge!(ring, 1, 64);
    let us = ip("127.0.80.1");
    let alice = peer("127.0.80.2");
    edge.obey(open(0, us)).expect("the ring works");
    flush(&mut edge);
    let packet = [0; 1024];
    const SENT: u64 = 2000;
    for _ in 0..SENT {
        alice.send_to(&packet, rtp(0, us)).expect("sent");
    }
    // The kernel tells the count with the next packet that it keeps.
    let mut last_seen = 0;
    while edge.counts().socket_overflow == 0 || last_seen > 0 {
        alice.send_to(b"next", rtp(0, us)).expect("sent");
        last_seen = turn(&mut edge, |_, _| DROP).len().saturating_sub(1);
    }
    let counts = edge.counts();
    assert!(counts.socket_overflow > 0 && counts.socket_overflow < SENT);
}

#[test]
fn more_packets_than_the_submission_queue_holds() {
    const LEGS: u16 = 30;
    const EACH: usize = 200;
    let mut ring;
    let mut edge = edge!(ring, LEGS, 8192);
    let us = ip("127.0.81.1");
    let alice = peer("127.0.81.2");
    let sink = peer("127.0.81.3");
    for leg in 0..LEGS {
        edge.obey(open(leg, us)).expect("the ring works");
    }
    flush(&mut edge);
    let count = usize::from(LEGS) * EACH;
    assert!(count > 4096);
    // The first round makes the ring of buffers deep enough for the second to come in one turn.
    for _ in 0..2 {
        for _ in 0..EACH {
            for leg in 0..LEGS {
                alice.send_to(b"x", rtp(leg, us)).expect("sent");
            }
        }
        take(&mut edge, count, |arrival, packet| {
            send_to(arrival.leg.0, local(&sink), packet.len())
        });
        assert_eq!(edge.drain_latencies_ns().count(), count);
    }
    assert_eq!(edge.counts().send_failed, 0);
    assert_eq!(edge.counts().no_buffer, 0);
}

#[test]
fn the_bell_wakes() {
    let mut ring = ring::build().expect("a ring");
    let bell = Bell::new().expect("a bell");
    let ours = bell.try_clone().expect("a handle");
    let mut edge = Edge::new(&mut ring, config(1, 8), ours).expect("an edge");
    for _ in 0..3 {
        bell.ring();
        let before = Instant::now();
        assert!(turn(&mut edge, |_, _| DROP).is_empty());
        assert!(before.elapsed() < PATIENCE);
        assert!(!bell.silence(), "the edge has heard it");
    }
}

#[test]
fn a_packet_too_long_is_counted() {
    let mut ring;
    let mut edge = edge!(ring, 1, 8);
    let us = ip("127.0.82.1");
    let alice = peer("127.0.82.2");
    edge.obey(open(0, us)).expect("the ring works");
    flush(&mut edge);
    alice.send_to(&[0; 4000], rtp(0, us)).expect("sent");
    alice.send_to(b"short", rtp(0, us)).expect("sent");
    let seen = take(&mut edge, 1, |_, _| DROP);
    assert_eq!(seen, [(0, local(&alice), b"short".to_vec())]);
    assert_eq!(edge.counts().oversize, 1);
}
