//! One gateway, its two trunks and an intruder, under one clock.

use super::bare;
use super::history::History;
use super::network::{Network, Packet};
use super::peer::{Peer, Place};
use super::speech::intrusion;
use crate::config::{self, NoLookup};
use crate::control::controller::{Output, Surroundings};
use crate::control::{Controller, setup::Setup};
use crate::link::{Command, PortRange, RtpPort, WorkerId};
use crate::media::{Component, LegSlot, Nanos, SocketOrder, Verdict, Worker};
use crate::sip::{Flow, Protocol, TransportId};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const CALLER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const CALLED: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
const CALLER_MEDIA: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 11));
const CALLED_MEDIA: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 12));
const INTRUDER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 66));
const SIP_PORT: u16 = 5060;
/// Few, so that a history can run out of them.
const PORTS: (u16, u16) = (20_000, 20_019);
const WORKERS: u16 = 2;
/// How often an edge calls a worker's tick.
/// What a buffer has behind a packet, for SRTP.
const SEAL_ROOM: usize = 64;

const TICK: Duration = Duration::from_millis(100);
/// Everything has to be over by then: the longest timer is the media time-out beside 64*T1 of a BYE.
const LONGEST: Duration = Duration::from_secs(600);

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What must not be; empty if all is well.
    pub violations: Vec<String>,
    /// Calls that came up on either trunk.
    pub came_up: u32,
    /// RTP packets that the trunks heard.
    pub heard: u64,
    /// Datagrams that were sent, and a sum over their bytes: the same seed gives the same.
    pub sent: (u64, u64),
}

/// A leg's sockets, as the operating system would have them.
struct Socket {
    worker: WorkerId,
    slot: LegSlot,
    /// Set while connected: the kernel lets nobody else through.
    connected: Option<SocketAddr>,
}

struct Somewhere;

impl Surroundings for Somewhere {
    fn source_address(&self, _peer: IpAddr) -> Option<IpAddr> {
        Some(GATEWAY)
    }

    fn unix_time(&self) -> u64 {
        1_800_000_000
    }

    fn fill_secret(&self, bytes: &mut [u8]) {
        bytes.fill(0x5e);
    }
}

/// See the module's comment.
pub struct World {
    start: Instant,
    now: Instant,
    network: Network,
    controller: Controller,
    workers: Vec<Worker>,
    /// By RTP port.
    sockets: BTreeMap<u16, Socket>,
    peers: [Peer; 2],
    /// When each call of the history begins, soonest last.
    beginnings: Vec<(Instant, u32)>,
    next_tick: Instant,
    intruder: Option<(Duration, Instant)>,
    random: fastrand::Rng,
    outcome: Outcome,
}

fn configuration(calls_max: u32) -> String {
    format!(
        r#"
[global]
max_calls = {calls_max}
[rtp]
ports = "{}-{}"
timeout = 60
[transport.udp]
protocol = "udp"
bind = "{GATEWAY}:{SIP_PORT}"
[acl.sip]
deny = ["0.0.0.0/0"]
permit = ["{CALLER}", "{CALLED}"]
[endpoint.caller]
context = "in"
allow = ["ulaw", "alaw", "g722"]
aor = {{ contact = ["sip:{CALLER}:{SIP_PORT}"] }}
[identify.caller]
endpoint = "caller"
match = ["{CALLER}"]
[endpoint.called]
context = "in"
allow = ["alaw", "g722", "ulaw"]
aor = {{ contact = ["sip:{CALLED}:{SIP_PORT}"] }}
[identify.called]
endpoint = "called"
match = ["{CALLED}"]
[context.in.exten]
"_555X." = ["Dial(PJSIP/${{EXTEN}}@called,20)", "Hangup()"]
"_556X." = ["Answer()", "Wait(0.2)", "Dial(PJSIP/${{EXTEN}}@called,20)", "Hangup()"]
"_557X." = ["Answer()", "Echo()", "Hangup()"]
"_558X." = ["Ringing()", "Dial(PJSIP/${{EXTEN}}@called&PJSIP/${{EXTEN}}@caller,20)", "Hangup()"]
"#,
        PORTS.0, PORTS.1
    )
}

impl World {
    /// A gateway with nothing going on yet. `start` is the clock's beginning; it is never read again.
    ///
    /// # Errors
    /// In words, if the world's own configuration is not valid.
    pub fn new(start: Instant, history: &History) -> Result<World, String> {
        let loaded = config::parse("simulation", &configuration(history.calls_max), &NoLookup);
        let settings = loaded.map_err(|error| error.to_string())?.settings;
        let (setup, _) =
            Setup::build(settings).map_err(|errors| config::lines("simulation", &errors))?;
        let range =
            PortRange::new(PORTS.0, PORTS.1, WORKERS).ok_or("the port range is too small")?;
        let controller = Controller::new(setup, range, history.seed, Box::new(Somewhere), start);
        let workers = (0..WORKERS)
            .map(|id| Worker::new(WorkerId(id), range, history.seed))
            .collect();
        let gateway = SocketAddr::new(GATEWAY, SIP_PORT);
        let peer = |index: u32, sip, rtp| {
            let place = Place {
                index,
                sip: SocketAddr::new(sip, SIP_PORT),
                rtp,
                gateway,
            };
            Peer::new(place, &history.calls, history.seed ^ u64::from(index + 1))
        };
        let mut beginnings: Vec<(Instant, u32)> = (0..)
            .zip(&history.calls)
            .map(|(number, plan)| (start + plan.begins, number))
            .collect();
        beginnings.sort_by(|a, b| b.cmp(a));
        Ok(World {
            start,
            now: start,
            network: Network::new(history.faults, history.seed),
            controller,
            workers,
            sockets: BTreeMap::new(),
            peers: [peer(0, CALLER, CALLER_MEDIA), peer(1, CALLED, CALLED_MEDIA)],
            beginnings,
            next_tick: start + TICK,
            intruder: history.intruder.map(|interval| (interval, start)),
            random: fastrand::Rng::with_seed(history.seed),
            outcome: Outcome::default(),
        })
    }

    /// Runs until nothing is left to happen, and checks what must hold then.
    pub fn run(mut self) -> Outcome {
        while let Some(next) = self.next_event() {
            self.now = next.max(self.now);
            if self.now > self.start + LONGEST {
                self.outcome.violations.push("it never ends".to_owned());
                break;
            }
            self.step();
        }
        self.check_the_end();
        self.outcome
    }

    fn is_over(&self) -> bool {
        self.beginnings.is_empty()
            && self.network.next_arrival().is_none()
            && self.sockets.is_empty()
            && self.controller.calls(self.now).is_empty()
            && self.controller.sip().transactions() == 0
            && self.peers.iter().all(|peer| peer.next_deadline().is_none())
    }

    fn next_event(&self) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let ticks = (!self.sockets.is_empty()).then_some(self.next_tick);
        let intrusions = self
            .intruder
            .filter(|_| !self.sockets.is_empty())
            .map(|(_, at)| at);
        let peers = self.peers.iter().filter_map(Peer::next_deadline);
        let audio = self.workers.iter().filter_map(Worker::next_audio).min();
        let others = [
            self.network.next_arrival(),
            self.controller.poll_timeout(),
            ticks,
            audio.map(|due| self.start + Duration::from_nanos(due.0)),
            intrusions,
        ];
        peers
            .chain(others.into_iter().flatten())
            .chain(self.beginnings.last().map(|(at, _)| *at))
            .min()
    }

    fn step(&mut self) {
        while self
            .beginnings
            .last()
            .is_some_and(|(at, _)| *at <= self.now)
        {
            if let Some((_, number)) = self.beginnings.pop() {
                self.peers[0].call(self.now, number);
            }
        }
        while let Some(packet) = self.network.receive(self.now) {
            self.deliver(packet);
        }
        for peer in &mut self.peers {
            if peer.next_deadline().is_some_and(|at| at <= self.now) {
                peer.handle_timeout(self.now);
            }
        }
        if self
            .controller
            .poll_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.controller.handle_timeout(self.now);
        }
        self.tick();
        self.intrude();
        self.drain();
    }

    fn deliver(&mut self, packet: Packet) {
        match packet.destination.ip() {
            GATEWAY if packet.destination.port() == SIP_PORT => {
                let (transport, protocol) = (TransportId(0), Protocol::Udp);
                let flow = Flow {
                    transport,
                    protocol,
                    peer: packet.source,
                    domain: None,
                };
                self.controller
                    .handle_datagram(self.now, flow, packet.bytes);
            }
            GATEWAY => self.relay(&packet),
            CALLER | CALLER_MEDIA => self.peers[0].receive(self.now, packet),
            CALLED | CALLED_MEDIA => self.peers[1].receive(self.now, packet),
            other => self.outcome.violations.push(format!("a packet to {other}")),
        }
        self.drain();
    }

    fn nanos(&self) -> Nanos {
        Nanos((self.now - self.start).as_nanos() as u64)
    }

    /// What the edge does with a packet: the kernel finds the socket, the worker judges, the edge sends.
    fn relay(&mut self, packet: &Packet) {
        let port = packet.destination.port();
        let component = if port.is_multiple_of(2) {
            Component::Rtp
        } else {
            Component::Rtcp
        };
        let Some(socket) = self.sockets.get(&(port & !1)) else {
            return;
        };
        let is_refused = socket.connected.is_some_and(|peer| peer != packet.source);
        if component == Component::Rtp && is_refused {
            return;
        }
        let (worker, slot, now) = (usize::from(socket.worker.0), socket.slot, self.nanos());
        let mut bytes = packet.bytes.to_vec();
        let len = bytes.len();
        bytes.resize(len + SEAL_ROOM, 0);
        let of = &mut self.workers[worker];
        let verdict = of.handle_packet(now, slot, component, packet.source, &mut bytes, len);
        if let Verdict::Send {
            leg,
            component,
            destination,
            len,
        } = verdict
        {
            bytes.truncate(len);
            self.send_from(worker, leg, component, destination, bytes);
        }
    }

    /// Sends what a worker made.
    fn transmit(&mut self, worker: usize) {
        while let Some(made) = self.workers[worker].poll_transmit() {
            let (leg, component, destination) = (made.leg, made.component, made.destination);
            let bytes = made.packet.to_vec();
            self.send_from(worker, leg, component, destination, bytes);
        }
    }

    fn send_from(
        &mut self,
        worker: usize,
        leg: LegSlot,
        component: Component,
        destination: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let Some(out) = self.port_of(socket_worker(worker), leg) else {
            let violation = "a packet is sent from a leg without sockets".to_owned();
            return self.outcome.violations.push(violation);
        };
        let port = match component {
            Component::Rtp => out,
            Component::Rtcp => out + 1,
        };
        self.send(Packet {
            source: SocketAddr::new(GATEWAY, port),
            destination,
            bytes: bytes.into(),
        });
    }

    fn port_of(&self, worker: WorkerId, slot: LegSlot) -> Option<u16> {
        let found = self
            .sockets
            .iter()
            .find(|(_, socket)| socket.worker == worker && socket.slot == slot);
        found.map(|(port, _)| *port)
    }

    fn tick(&mut self) {
        let now = self.nanos();
        for worker in 0..self.workers.len() {
            if self.workers[worker]
                .next_audio()
                .is_some_and(|due| due <= now)
            {
                self.workers[worker].handle_audio(now);
                self.transmit(worker);
            }
        }
        if self.next_tick > self.now {
            return;
        }
        self.next_tick = self.now + TICK;
        let now = self.nanos();
        self.workers
            .iter_mut()
            .for_each(|worker| worker.handle_tick(now));
    }

    fn intrude(&mut self) {
        let Some((interval, next)) = self.intruder.filter(|(_, next)| *next <= self.now) else {
            return;
        };
        self.intruder = Some((interval, next.max(self.now) + interval));
        let Some(port) = self
            .random
            .choice(self.sockets.keys().copied().collect::<Vec<_>>())
        else {
            return;
        };
        let source = SocketAddr::new(INTRUDER, 6_000);
        let packet = intrusion(source, SocketAddr::new(GATEWAY, port), &mut self.random);
        self.send(packet);
    }

    fn send(&mut self, packet: Packet) {
        let (count, sum) = &mut self.outcome.sent;
        *count += 1;
        let bytes = packet.bytes.iter().fold(*sum, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
        *sum = bytes.wrapping_add(u64::from(packet.destination.port()));
        self.network.send(self.now, packet);
    }

    /// Does what both planes and the peers want done.
    fn drain(&mut self) {
        loop {
            let mut is_idle = true;
            while let Some(output) = self.controller.poll_output() {
                is_idle = false;
                self.obey(output);
            }
            for worker in 0..self.workers.len() {
                while let Some(order) = self.workers[worker].poll_socket() {
                    self.order(socket_worker(worker), order);
                }
                while let Some(event) = self.workers[worker].poll_event() {
                    is_idle = false;
                    self.controller
                        .handle_media(self.now, socket_worker(worker), event);
                }
            }
            for peer in 0..self.peers.len() {
                while let Some(packet) = self.peers[peer].poll_send() {
                    self.send(packet);
                }
            }
            if is_idle {
                return;
            }
        }
    }

    fn obey(&mut self, output: Output) {
        match output {
            Output::Transmit(transmit) => {
                let source = SocketAddr::new(GATEWAY, SIP_PORT);
                self.send(Packet {
                    source,
                    destination: transmit.flow.peer,
                    bytes: transmit.bytes,
                });
            }
            Output::Command(worker, command) => self.command(worker, command),
            other => {
                let violation = bare::answer(&mut self.controller, self.now, other);
                self.outcome.violations.extend(violation);
            }
        }
    }

    fn command(&mut self, worker: WorkerId, command: Command) {
        let now = self.nanos();
        match self.workers.get_mut(usize::from(worker.0)) {
            Some(of) => {
                of.handle_command(now, command);
                self.transmit(usize::from(worker.0));
            }
            None => self
                .outcome
                .violations
                .push(format!("a command to {worker:?}")),
        }
    }

    fn order(&mut self, worker: WorkerId, order: SocketOrder) {
        match order {
            SocketOrder::Open { leg, id, bind } => {
                let port: RtpPort = id.port;
                let socket = Socket {
                    worker,
                    slot: leg,
                    connected: None,
                };
                let is_taken = self.sockets.insert(port.rtp(), socket).is_some();
                if is_taken || bind != GATEWAY {
                    self.outcome
                        .violations
                        .push(format!("{id:?} binds {bind}, taken: {is_taken}"));
                }
            }
            SocketOrder::Connect {
                leg,
                component: Component::Rtp,
                peer,
            } => {
                self.with_socket(worker, leg, |socket| socket.connected = Some(peer));
            }
            SocketOrder::Disconnect {
                leg,
                component: Component::Rtp,
            } => {
                self.with_socket(worker, leg, |socket| socket.connected = None);
            }
            SocketOrder::Close { leg } => {
                if let Some(port) = self.port_of(worker, leg) {
                    self.sockets.remove(&port);
                }
            }
            SocketOrder::Connect { .. } | SocketOrder::Disconnect { .. } => {}
        }
    }

    fn with_socket(&mut self, worker: WorkerId, slot: LegSlot, change: impl FnOnce(&mut Socket)) {
        let sockets = self.sockets.values_mut();
        if let Some(socket) = sockets
            .into_iter()
            .find(|socket| socket.worker == worker && socket.slot == slot)
        {
            change(socket);
        }
    }

    fn check_the_end(&mut self) {
        let mut left = Vec::new();
        let mut count = |what: &str, number: u64| {
            if number != 0 {
                left.push(format!("{number} {what} left"));
            }
        };
        count("calls", self.controller.calls(self.now).len() as u64);
        count(
            "transactions of the gateway",
            self.controller.sip().transactions() as u64,
        );
        count("port pairs in use", self.controller.ports().in_use);
        count(
            "port pairs quarantined",
            self.controller.ports().quarantined,
        );
        count("sockets", self.sockets.len() as u64);
        count(
            "legs of workers",
            self.workers
                .iter()
                .map(|worker| worker.open_legs() as u64)
                .sum(),
        );
        for peer in &mut self.peers {
            left.append(&mut peer.unfinished());
            left.append(&mut peer.violations);
            self.outcome.came_up += peer.came_up;
            self.outcome.heard += peer.heard;
        }
        self.outcome.violations.append(&mut left);
    }
}

fn socket_worker(place: usize) -> WorkerId {
    WorkerId(place as u16)
}
