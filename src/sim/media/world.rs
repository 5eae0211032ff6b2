//! Workers, their peers and the network between them, under one clock.

use super::history::MediaHistory;
use super::peer::Peer;
use super::watch::Way;
use crate::codec::{Payload, Rate};
use crate::link::{Command, Event, PortRange, RecordingSource, WorkerId};
use crate::media::{Component, DropReason, LegSlot, Nanos, Verdict, Worker};
use crate::rtp::packet::{self, Header};
use crate::rtp::rtcp::{Report, SenderInfo, ntp};
use crate::sim::network::{Network, Packet};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
const FIRST_PORT: u16 = 20_000;
/// What a buffer has behind a packet, for SRTP.
const SEAL_ROOM: usize = 64;
/// How often an edge calls a worker's tick.
const TICK: Duration = Duration::from_millis(100);
/// How often a peer reports.
const REPORT: Duration = Duration::from_millis(700);
/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MediaOutcome {
    /// What must not be; empty if all is well.
    pub violations: Vec<String>,
    /// RTP packets that were relayed, and that the workers made.
    pub relayed: u64,
    /// See above.
    pub made: u64,
    /// Packets that were decoded.
    pub taken: u64,
    /// Digits that were told.
    pub digits: u64,
    /// Blocks that were recorded.
    pub recorded: u64,
    /// Keys that were changed.
    pub rekeyed: u64,
    /// The steepest that anything recorded was, against the sine that it is of.
    pub roughness: f64,
}

/// A recording from its beginning on.
pub(super) struct Recording {
    pub(super) peer: usize,
    pub(super) source: RecordingSource,
    pub(super) rate: Rate,
    pub(super) channels: u16,
    /// The worker still has it.
    pub(super) is_running: bool,
    /// Ticks of it so far.
    pub(super) ticks: u32,
    next: u32,
    /// All of it, in a conversation.
    pub(super) pcm: Vec<i16>,
}

/// What was counted of one worker's work from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) packets_out: u64,
    pub(super) bytes_out: u64,
    pub(super) made_out: u64,
    pub(super) rtcp_out: u64,
    pub(super) taken: u64,
    pub(super) dropped: u64,
}

/// See the module's comment.
pub struct MediaWorld {
    start: Instant,
    pub(super) now: Instant,
    pub(super) history: MediaHistory,
    pub(super) network: Network,
    pub(super) range: PortRange,
    pub(super) workers: Vec<Worker>,
    pub(super) tallies: Vec<Tally>,
    pub(super) peers: Vec<Peer>,
    pub(super) random: fastrand::Rng,
    /// How often each was told to be over.
    pub(super) plays: BTreeMap<u32, u32>,
    pub(super) recordings: Vec<Recording>,
    pub(super) outcome: MediaOutcome,
    /// The peers say nothing more.
    pub(super) is_ending: bool,
}

impl MediaWorld {
    /// A world at the beginning of a history. `start` is any instant.
    pub fn new(start: Instant, history: MediaHistory) -> MediaWorld {
        let count = history.peers.len() as u16;
        let last = FIRST_PORT + count * 2 - 1;
        let range = PortRange::new(FIRST_PORT, last, history.workers).expect("a good range");
        let peers = history.peers.iter().enumerate();
        let workers = (0..history.workers)
            .map(|worker| Worker::new(WorkerId(worker), range, history.seed ^ u64::from(worker)));
        MediaWorld {
            start,
            now: start,
            network: Network::new(history.combination.loss.faults(), history.seed),
            range,
            workers: workers.collect(),
            tallies: vec![Tally::default(); usize::from(history.workers)],
            peers: peers
                .map(|(number, plan)| Peer::new(number, plan, Peer::port_of(&range, number)))
                .collect(),
            random: fastrand::Rng::with_seed(!history.seed),
            plays: BTreeMap::new(),
            recordings: Vec::new(),
            outcome: MediaOutcome::default(),
            is_ending: false,
            history,
        }
    }

    /// Plays the history to its end.
    pub fn run(mut self) -> MediaOutcome {
        let mut steps = std::mem::take(&mut self.history.steps)
            .into_iter()
            .peekable();
        let end = self.start + self.history.length;
        let mut tick = self.start + TICK;
        let mut report = self.start + REPORT;
        loop {
            let step = steps.peek().map(|(at, _)| self.start + *at);
            let next = self.next_of_all(tick, end).min(report);
            let next = step.map_or(next, |step| step.min(next));
            if next >= end {
                break;
            }
            self.now = next;
            if step == Some(next) {
                let (_, step) = steps.next().expect("peeked");
                self.act(step);
            } else if next == report {
                report += REPORT;
                (0..self.peers.len()).for_each(|peer| self.report(peer));
            } else {
                self.proceed(&mut tick);
            }
        }
        self.settle(tick);
        self.judge();
        self.outcome
    }

    /// When something happens that no step asked for, at the latest at `last`.
    pub(super) fn next_of_all(&self, tick: Instant, last: Instant) -> Instant {
        let mouths = self.peers.iter().filter_map(|peer| peer.lease.as_ref());
        let mouths = mouths
            .map(|lease| lease.mouth.next)
            .filter(|_| !self.is_ending);
        let audio = self.workers.iter().filter_map(Worker::next_audio);
        let audio = audio.map(|at| self.instant(at));
        let all = mouths.chain(audio).chain(self.network.next_arrival());
        all.chain([tick, last]).min().expect("two at least")
    }

    fn instant(&self, at: Nanos) -> Instant {
        self.start + Duration::from_nanos(at.0).saturating_sub(CLOCK)
    }

    pub(super) fn nanos(&self) -> Nanos {
        Nanos((CLOCK + (self.now - self.start)).as_nanos() as u64)
    }

    /// Does what is due.
    pub(super) fn proceed(&mut self, tick: &mut Instant) {
        while let Some(packet) = self.network.receive(self.now) {
            self.arrive(packet);
        }
        for peer in 0..self.peers.len() {
            let lease = self.peers[peer].lease.as_mut();
            if let Some(lease) = lease.filter(|lease| lease.mouth.next <= self.now) {
                if self.is_ending {
                    continue;
                }
                if let Some(plain) = lease.mouth.say(self.now) {
                    let bytes = lease.seal(plain, false);
                    let port = self.peers[peer].port.rtp();
                    self.send(self.peers[peer].rtp(), port, bytes);
                }
            }
        }
        let now = self.nanos();
        for worker in 0..self.workers.len() {
            if self.workers[worker]
                .next_audio()
                .is_some_and(|at| at <= now)
            {
                self.workers[worker].handle_audio(now);
                self.drain(worker);
                self.hear_recordings(worker);
            }
            if *tick <= self.now {
                self.workers[worker].handle_tick(now);
                self.drain(worker);
            }
        }
        if *tick <= self.now {
            *tick += TICK;
        }
    }

    fn send(&mut self, source: Option<SocketAddr>, port: u16, bytes: Vec<u8>) {
        let Some(source) = source else { return };
        let destination = SocketAddr::new(GATEWAY, port);
        let bytes = bytes.into();
        self.network.send(
            self.now,
            Packet {
                source,
                destination,
                bytes,
            },
        );
    }

    /// A peer reports what it sends.
    fn report(&mut self, peer: usize) {
        let now = self.nanos();
        let Some(source) = self.peers[peer].rtcp() else {
            return;
        };
        let port = match self.peers[peer].plan.mux {
            true => self.peers[peer].port.rtp(),
            false => self.peers[peer].port.rtcp(),
        };
        let Some(lease) = &mut self.peers[peer].lease else {
            return;
        };
        let report = Report {
            ssrc: lease.mouth.ssrc,
            cname: 7,
            sender: Some(SenderInfo {
                ntp: ntp(now.0),
                timestamp: 0,
                packets: 1,
                octets: 160,
            }),
            blocks: &[],
            goodbye: false,
        };
        let mut plain = vec![0; 200];
        let len = report.write(&mut plain).expect("long enough");
        plain.truncate(len);
        let bytes = lease.seal(plain, true);
        self.send(Some(source), port, bytes);
    }

    pub(super) fn violate(&mut self, what: String) {
        let at = (self.now - self.start).as_millis();
        if self.outcome.violations.len() < 5 {
            self.outcome.violations.push(format!("{at} ms: {what}"));
        }
    }

    pub(super) fn worker_of(&self, peer: usize) -> usize {
        let worker = self.range.worker_of(self.peers[peer].port);
        usize::from(worker.expect("within the range").0)
    }

    fn slot_of(&self, peer: usize) -> LegSlot {
        LegSlot((self.peers[peer].port.rtp() - self.first_port(self.worker_of(peer))) / 2)
    }

    fn first_port(&self, worker: usize) -> u16 {
        let ports = self.range.ports_of(WorkerId(worker as u16)).next();
        ports.expect("each has one").rtp()
    }

    /// Gives a command to the worker of a peer, and sees to what it says.
    pub(super) fn command(&mut self, peer: usize, command: Command) {
        let (now, worker) = (self.nanos(), self.worker_of(peer));
        self.workers[worker].handle_command(now, command);
        self.drain(worker);
    }

    fn arrive(&mut self, packet: Packet) {
        match packet.destination.ip() == GATEWAY {
            true => self.arrive_at_worker(packet),
            false => self.arrive_at_peer(&packet),
        }
    }

    /// A packet that was sent has to open at its peer; one that comes twice is refused.
    fn arrive_at_peer(&mut self, packet: &Packet) {
        let ip = packet.destination.ip();
        let leases = self.peers.iter_mut().filter_map(|peer| peer.lease.as_mut());
        let Some(lease) = leases.into_iter().find(|lease| lease.address == ip) else {
            return;
        };
        if let Err(error) = lease.open(&packet.bytes, packet::is_rtcp(&packet.bytes))
            && !(error.contains("replay") || error.contains("before"))
        {
            self.violate(format!("at the peer: {error}"));
        }
    }

    fn arrive_at_worker(&mut self, packet: Packet) {
        let port = packet.destination.port();
        let peer = usize::from((port - FIRST_PORT) / 2);
        if self.peers[peer].lease.is_none() {
            return;
        }
        let component = match port % 2 {
            0 => Component::Rtp,
            _ => Component::Rtcp,
        };
        self.note_delivered(peer, &packet);
        let (now, worker, slot) = (self.nanos(), self.worker_of(peer), self.slot_of(peer));
        let len = packet.bytes.len();
        let mut room = packet.bytes.to_vec();
        room.resize(len + SEAL_ROOM, 0);
        let source = packet.source;
        let verdict =
            self.workers[worker].handle_packet(now, slot, component, source, &mut room, len);
        let is_rtp = !packet::is_rtcp(&packet.bytes);
        match verdict {
            Verdict::Send {
                leg,
                component,
                destination,
                len,
            } => {
                room.truncate(len);
                self.emit(worker, leg, (component, destination), Way::Relayed, &room);
            }
            Verdict::Taken => {
                self.tallies[worker].taken += u64::from(is_rtp);
                self.outcome.taken += u64::from(is_rtp);
            }
            Verdict::Drop(reason) => {
                self.tallies[worker].dropped += 1;
                let is_genuine = self.peers[peer].rtp().map(|at| at.ip()) == Some(source.ip());
                if is_genuine && reason == DropReason::Malformed {
                    self.violate("a good packet is malformed".to_owned());
                }
            }
        }
        self.drain(worker);
    }

    /// Counts what comes of a peer's stream, as RFC 3550 appendix A.3 would.
    fn note_delivered(&mut self, peer: usize, packet: &Packet) {
        let is_its_own = self.peers[peer].rtp() == Some(packet.source);
        let Some(lease) = self.peers[peer].lease.as_mut().filter(|_| is_its_own) else {
            return;
        };
        if packet::is_rtcp(&packet.bytes) {
            return;
        }
        let sequence = u16::from_be_bytes([packet.bytes[2], packet.bytes[3]]);
        let is_again = !lease.numbers.insert(sequence);
        if is_again && lease.keys.is_some() {
            // Refused before it is counted.
            return;
        }
        let (_, highest, count) = lease.delivered.get_or_insert((sequence, sequence, 0));
        *count += 1;
        if (sequence.wrapping_sub(*highest) as i16) > 0 {
            *highest = sequence;
        }
    }

    /// Takes what a worker has to say.
    fn drain(&mut self, worker: usize) {
        while self.workers[worker].poll_socket().is_some() {}
        let mut made = Vec::new();
        while let Some(transmit) = self.workers[worker].poll_transmit() {
            let to = (transmit.component, transmit.destination);
            made.push((transmit.leg, to, transmit.packet.to_vec()));
        }
        for (leg, to, bytes) in made {
            self.emit(worker, leg, to, Way::Made, &bytes);
        }
        while let Some(event) = self.workers[worker].poll_event() {
            self.event(event);
        }
    }

    /// A packet leaves a worker: judged, then put on the network.
    fn emit(
        &mut self,
        worker: usize,
        leg: LegSlot,
        (component, destination): (Component, SocketAddr),
        way: Way,
        bytes: &[u8],
    ) {
        let port = self.first_port(worker) + leg.0 * 2;
        let peer = usize::from((port - FIRST_PORT) / 2);
        let is_rtcp = packet::is_rtcp(bytes);
        let expected = match (is_rtcp, self.peers[peer].plan.mux) {
            (false, _) => (self.peers[peer].rtp(), Component::Rtp),
            (true, true) => (self.peers[peer].rtcp(), Component::Rtp),
            (true, false) => (self.peers[peer].rtcp(), Component::Rtcp),
        };
        let tally = &mut self.tallies[worker];
        let judged = match &mut self.peers[peer].lease {
            None => Err("to a leg that is closed".to_owned()),
            Some(_) if expected != (Some(destination), component) => Err(format!(
                "to {destination} by {component:?}, not {expected:?}"
            )),
            Some(lease) if !lease.send => Err("to a peer on hold".to_owned()),
            Some(lease) => lease.tap(bytes, is_rtcp).and_then(|plain| {
                if is_rtcp {
                    tally.rtcp_out += 1;
                    return lease.watch.rtcp(&plain);
                }
                tally.packets_out += 1;
                tally.bytes_out += plain.len() as u64;
                tally.made_out += u64::from(way == Way::Made);
                lease.watch.rtp(way, &plain, &lease.formats)?;
                let header = Header::parse(&plain).map_err(|error| error.to_string())?;
                if let Some(Payload::Codec(codec)) = lease.formats.send.payload(header.payload_type)
                {
                    lease
                        .ear
                        .hear(codec, header.timestamp, packet::payload(&plain));
                }
                Ok(())
            }),
        };
        match way {
            Way::Relayed => self.outcome.relayed += u64::from(!is_rtcp),
            Way::Made => self.outcome.made += u64::from(!is_rtcp),
        }
        if let Err(error) = judged {
            self.violate(format!("{way:?} to peer {peer}: {error}"));
        }
        let source = SocketAddr::new(GATEWAY, port + u16::from(component == Component::Rtcp));
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        self.network.send(
            self.now,
            Packet {
                source,
                destination,
                bytes,
            },
        );
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Played { play, .. } => match self.plays.get_mut(&play.0) {
                Some(told) => *told += 1,
                None => self.violate(format!("{play:?} was never begun")),
            },
            Event::Digit { leg, .. } => {
                self.outcome.digits += 1;
                let leases = self.peers.iter_mut().filter_map(|peer| peer.lease.as_mut());
                let lease = leases.into_iter().find(|lease| lease.id == leg);
                match lease {
                    Some(lease) => lease.told += 1,
                    None => self.violate("a digit of nobody's".to_owned()),
                }
            }
            Event::Closed { leg, report } => {
                let lease = self.peers.iter().filter_map(|peer| peer.lease.as_ref());
                let watch = lease.into_iter().find(|lease| lease.id == leg);
                let watch = watch.map(|lease| &lease.watch);
                let counted = (report.packets_out, report.bytes_out, report.rtcp_out);
                let seen = watch.map(|w| (w.packets, w.payload_octets + 12 * w.packets, w.rtcp));
                if seen != Some(counted) {
                    self.violate(format!("closed with {counted:?}, {seen:?} were sent"));
                }
            }
            Event::Latched { leg, source } => {
                let lease = self.peers.iter().filter_map(|peer| peer.lease.as_ref());
                let lease = lease.into_iter().find(|lease| lease.id == leg);
                if lease.map(|lease| lease.address) != Some(source.ip()) {
                    self.violate(format!("{source} was latched"));
                }
            }
            Event::OpenFailed { .. } => self.violate("a leg could not be opened".to_owned()),
            Event::Stranger { .. }
            | Event::Flooded { .. }
            | Event::Unusable { .. }
            | Event::Silent { .. }
            | Event::Hushed { .. }
            | Event::Report { .. } => {}
        }
    }

    pub(super) fn begin_recording(
        &mut self,
        peer: usize,
        source: RecordingSource,
        (rate, channels): (Rate, u16),
    ) {
        self.recordings.push(Recording {
            peer,
            source,
            rate,
            channels,
            is_running: true,
            ticks: 0,
            next: 0,
            pcm: Vec::new(),
        });
    }

    /// A tick has gone by: each recording of the worker's is one block longer.
    fn hear_recordings(&mut self, worker: usize) {
        let mut wrong = Vec::new();
        let range = self.range;
        let peers = &self.peers;
        let worker = WorkerId(worker as u16);
        for recording in self.recordings.iter_mut().filter(|r| r.is_running) {
            if range.worker_of(peers[recording.peer].port) != Some(worker) {
                continue;
            }
            recording.ticks += 1;
            while let Some(block) = recording.source.pop() {
                let len = recording.rate.block() * usize::from(recording.channels);
                if block.number != recording.next || block.samples().len() != len {
                    wrong.push(format!("block {} after {}", block.number, recording.next));
                }
                recording.next = block.number + 1;
                self.outcome.recorded += 1;
                if self.history.is_conversation {
                    recording.pcm.extend_from_slice(block.samples());
                }
            }
            if recording.next != recording.ticks {
                wrong.push(format!(
                    "{} of {} ticks are recorded",
                    recording.next, recording.ticks
                ));
            }
        }
        wrong.into_iter().for_each(|what| self.violate(what));
    }
}

/// The clock does not begin at 0.
const CLOCK: Duration = Duration::from_secs(1_000);
