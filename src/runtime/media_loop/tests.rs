//! A worker's thread on real sockets, driven as control drives it.

use crate::codec::{Codec, Payload};
use crate::config::settings::Rtp;
use crate::link::{
    Command, Event, FormatList, LegFormats, LegId, PayloadMap, PortRange, Remote, RtpPort,
    WireFormat, WorkerId,
};
use crate::metrics::{Direction, Path, RtpDrop};
use crate::runtime::bell::Bell;
use crate::runtime::topology::{self, Topology, WorkerHandle};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PORT: u16 = 30000;

/// Control's side: one worker, its bell, and the address that its legs are bound to.
struct Bench {
    worker: WorkerHandle,
    bell: Bell,
    us: IpAddr,
    heard: Vec<Event>,
}

impl Bench {
    fn new(us: &str, batch_wait_us: u32) -> Bench {
        let rtp = Rtp {
            ports: (FIRST_PORT, FIRST_PORT + 999),
            workers: Some(1),
            cores: Vec::new(),
            timeout: Duration::from_secs(60),
            dscp: 46,
            batch_wait_us,
            relays_rtcp: true,
        };
        let allowed = topology::allowed_cores().expect("cores");
        let topology = Topology::plan(&rtp, &allowed).expect("a topology");
        let bell = Bell::new().expect("a bell");
        let died = |_: WorkerId, reason: &str| eprintln!("the worker died: {reason}");
        let mut workers = topology::start(&topology, &rtp, &bell, 1, died).expect("a worker");
        Bench {
            worker: workers.remove(0),
            bell,
            us: us.parse().expect("an address"),
            heard: Vec::new(),
        }
    }

    fn send(&mut self, command: Command) {
        self.worker.commands.send(command).expect("room");
    }

    /// A leg with this peer, opened.
    fn open(&mut self, place: u16, generation: u32, peer: &UdpSocket) -> Leg {
        let port = RtpPort::new(FIRST_PORT + place * 2).expect("even");
        let leg = LegId { port, generation };
        let bind = self.us;
        self.send(Command::Open { leg, bind });
        let rtp = local(peer);
        self.send(Command::SetRemote {
            leg,
            remote: Remote {
                rtp,
                rtcp: SocketAddr::new(rtp.ip(), rtp.port().wrapping_add(1)),
                signalling: rtp.ip(),
                carries: crate::link::Carries::Rtp,
                symmetric: true,
                send: true,
                receive: true,
                timeout_s: 0,
            },
        });
        Leg {
            id: leg,
            at: SocketAddr::new(bind, port.rtp()),
        }
    }

    fn bridge(&mut self, a: &Leg, b: &Leg) {
        let map = PayloadMap::new(&[(0, 0)]).expect("a map");
        self.send(Command::Bridge {
            a: a.id,
            b: b.id,
            a_to_b: map,
            b_to_a: map,
        });
    }

    /// Waits for an event that this accepts; the others are kept.
    fn hear<T>(&mut self, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            while let Some(event) = self.worker.events.receive() {
                self.heard.push(event);
            }
            let found = self.heard.iter().enumerate();
            let found = found.filter_map(|(at, event)| Some((at, wanted(event)?)));
            if let Some((at, value)) = found.last() {
                self.heard.remove(at);
                return value;
            }
            assert!(began.elapsed() < PATIENCE, "heard {:?}", self.heard);
            if self.worker.events.may_sleep() {
                let mut bells = [PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
                let timeout = PollTimeout::try_from(PATIENCE).expect("short");
                poll(&mut bells, timeout).expect("a bell");
                self.worker.events.awake();
                self.bell.silence();
            }
        }
    }

    fn stop(mut self) {
        self.send(Command::Stop);
        self.worker.thread.join().expect("it ends well");
    }
}

struct Leg {
    id: LegId,
    at: SocketAddr,
}

fn peer(address: &str) -> UdpSocket {
    let address: IpAddr = address.parse().expect("an address");
    let socket = UdpSocket::bind((address, 0)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket
}

fn local(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

/// A PCMU packet of 20 ms.
fn packet(ssrc: u8, sequence: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend([0, 0, 0, ssrc]);
    packet.resize(172, ssrc);
    packet
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, source) = socket.recv_from(&mut buffer).expect("a packet in time");
    (buffer[..len].to_vec(), source)
}

/// Sends packets one by one, waiting for each at the other end, where its payload must come unchanged.
fn talk(
    from: &UdpSocket,
    to: &Leg,
    at: &UdpSocket,
    via: &Leg,
    ssrc: u8,
    sequences: std::ops::Range<u16>,
) {
    for sequence in sequences {
        let sent = packet(ssrc, sequence);
        from.send_to(&sent, to.at).expect("sent");
        let (received, source) = receive(at);
        assert_eq!(source, via.at);
        assert_eq!(received[12..], sent[12..]);
    }
}

#[test]
fn a_call_is_relayed_both_ways_counted_and_closed() {
    let mut bench = Bench::new("127.0.91.1", 0);
    let (alice, bob, stranger) = (peer("127.0.91.2"), peer("127.0.91.3"), peer("127.0.91.4"));
    let a = bench.open(0, 1, &alice);
    let b = bench.open(1, 1, &bob);
    bench.bridge(&a, &b);
    // Sockets exist once an order after theirs has had its answer.
    warm_up(&mut bench, 2);

    talk(&alice, &a, &bob, &b, 1, 0..100);
    talk(&bob, &b, &alice, &a, 2, 0..100);
    stranger.send_to(&packet(3, 0), a.at).expect("sent");
    let source = bench.hear(|event| match event {
        Event::Stranger { leg, source } if *leg == a.id => Some(*source),
        _ => None,
    });
    assert_eq!(source, local(&stranger));
    talk(&alice, &a, &bob, &b, 1, 100..110);

    for leg in [&a, &b] {
        bench.send(Command::Close { leg: leg.id });
        let report = bench.hear(|event| match event {
            Event::Closed {
                leg: closed,
                report,
            } if *closed == leg.id => Some(*report),
            _ => None,
        });
        let (there, back) = if leg.id == a.id {
            (110, 100)
        } else {
            (100, 110)
        };
        assert_eq!((report.packets_in, report.packets_out), (there, back));
    }
    let cells = std::sync::Arc::clone(&bench.worker.cells);
    bench.stop();
    assert_eq!(cells.packets(Direction::In, Path::Relay), 210);
    assert_eq!(cells.packets(Direction::Out, Path::Relay), 210);
    assert_eq!(cells.bytes(Direction::Out, Path::Relay), 210 * 172);
    assert_eq!(cells.drops(RtpDrop::WrongSource), 1);
    assert_eq!(cells.sessions(Path::Relay), 0);
    assert_eq!(cells.latencies().count(), 210);
}

/// Waits until the commands before it have been obeyed: opens a leg whose port is taken, and hears that.
fn warm_up(bench: &mut Bench, place: u16) {
    let taken = UdpSocket::bind((bench.us, FIRST_PORT + place * 2)).expect("the port");
    let nobody = peer("127.0.0.1");
    let leg = bench.open(place, 1, &nobody);
    bench.hear(|event| match event {
        Event::OpenFailed { leg: failed, .. } if *failed == leg.id => Some(()),
        _ => None,
    });
    drop(taken);
}

#[test]
fn the_echo_comes_back_and_a_port_serves_again() {
    let mut bench = Bench::new("127.0.92.1", 0);
    let alice = peer("127.0.92.2");
    for generation in 1..=20 {
        let leg = bench.open(0, generation, &alice);
        let heard = FormatList::new([WireFormat {
            payload_type: 0,
            payload: Payload::Codec(Codec::Ulaw),
        }]);
        let formats = Box::new(LegFormats {
            receive: heard,
            send: heard,
            ptime_ms: 20,
        });
        bench.send(Command::SetFormats {
            leg: leg.id,
            formats,
        });
        bench.send(Command::Echo { leg: leg.id });
        warm_up(&mut bench, 1);
        talk(&alice, &leg, &alice, &leg, 1, 0..3);
        // In flight while it is closed.
        alice.send_to(&packet(1, 3), leg.at).expect("sent");
        bench.send(Command::Close { leg: leg.id });
        bench.hear(|event| match event {
            Event::Closed { leg: closed, .. } if *closed == leg.id => Some(()),
            _ => None,
        });
        // What had come before the close is echoed still, what comes after is not.
        alice.set_nonblocking(true).expect("set");
        while alice.recv(&mut [0; 2048]).is_ok() {}
        alice.set_nonblocking(false).expect("set");
    }
    bench.stop();
}

#[test]
fn a_peer_that_moves_is_followed_by_a_new_remote() {
    let mut bench = Bench::new("127.0.93.1", 200);
    let (alice, moved, bob) = (peer("127.0.93.2"), peer("127.0.93.4"), peer("127.0.93.3"));
    let a = bench.open(0, 1, &alice);
    let b = bench.open(1, 1, &bob);
    bench.bridge(&a, &b);
    warm_up(&mut bench, 2);
    // Long enough for the worker to settle on the source and connect the socket to it.
    talk(&alice, &a, &bob, &b, 1, 0..300);
    assert_eq!(bench.open(0, 1, &moved).id, a.id);
    warm_up(&mut bench, 2);
    talk(&moved, &a, &bob, &b, 1, 300..600);
    talk(&bob, &b, &moved, &a, 2, 0..10);
    bench.stop();
}

#[test]
fn hundreds_of_legs_under_a_waiting_worker_lose_nothing() {
    const CALLS: u16 = 100;
    let mut bench = Bench::new("127.0.94.1", 200);
    let (alice, bob) = (peer("127.0.94.2"), peer("127.0.94.3"));
    let legs: Vec<(Leg, Leg)> = (0..CALLS)
        .map(|call| {
            let a = bench.open(call * 2, 1, &alice);
            let b = bench.open(call * 2 + 1, 1, &bob);
            bench.bridge(&a, &b);
            (a, b)
        })
        .collect();
    warm_up(&mut bench, CALLS * 2);
    for sequence in 0..20 {
        for (a, _) in &legs {
            alice.send_to(&packet(1, sequence), a.at).expect("sent");
        }
        let mut sources: Vec<SocketAddr> = legs.iter().map(|_| receive(&bob).1).collect();
        sources.sort_unstable();
        assert!(sources.into_iter().eq(legs.iter().map(|(_, b)| b.at)));
    }
    let cells = std::sync::Arc::clone(&bench.worker.cells);
    bench.stop();
    assert_eq!(cells.drops_all(), 0);
}

#[test]
fn a_port_outside_the_range_is_refused_and_stop_ends_the_thread() {
    let mut bench = Bench::new("127.0.95.1", 0);
    let range = PortRange::new(FIRST_PORT, FIRST_PORT + 999, 1).expect("a range");
    let outside = LegId {
        port: RtpPort::new(FIRST_PORT + 1000).expect("even"),
        generation: 1,
    };
    assert_eq!(range.worker_of(outside.port), None);
    let bind = bench.us;
    bench.send(Command::Open { leg: outside, bind });
    bench.hear(|event| match event {
        Event::OpenFailed { leg, .. } if *leg == outside => Some(()),
        _ => None,
    });
    bench.stop();
}
