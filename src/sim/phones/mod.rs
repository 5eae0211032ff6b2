//! Telephones that do what they like: every method that a call knows, in any order, over a bad network.
//!
//! Where the trunks of [`super::world`] follow a plan and listen to their media, these have no plan: each draws its next
//! act when something happens to it. They speak 100rel, UPDATE, session timers, REFER, Replaces, hold, redirection,
//! challenges and registration, properly for the most part; now and then one refuses, stays silent or dies. After a while
//! all hang up, and then nothing may be left.

mod acts;
mod phone;
mod requests;
mod responses;
mod session;
#[cfg(test)]
mod tests;

use super::bare;
use super::network::{Faults, Network, Packet};
use crate::config::{self, NoLookup};
use crate::control::controller::{Output, Surroundings};
use crate::control::{Controller, Leftovers, setup::Setup};
use crate::link::{Command, Event, LegId, LegReport, OpenError, PortRange, WorkerId};
use crate::sip::{Flow, Protocol, TransportId};
use phone::Phone;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);
const PORTS: (u16, u16) = (20_000, 20_119);
const WORKERS: u16 = 2;
/// Those known by their address; one more registers.
const KNOWN: u8 = 4;
/// When everybody hangs up.
const HORIZON: Duration = Duration::from_secs(15);
/// When the calls of phones that have died are hung up, since nobody else would.
const RESCUE: Duration = Duration::from_secs(120);
/// Everything is over by then, the binding of the phone that registers included.
const LONGEST: Duration = Duration::from_secs(600);

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What must not be; empty if all is well.
    pub violations: Vec<String>,
    /// How often the gateway sent what: `INVITE`, `200 PRACK` …
    pub seen: BTreeMap<String, u32>,
}

struct Somewhere;

impl Surroundings for Somewhere {
    fn source_address(&self, _peer: IpAddr) -> Option<IpAddr> {
        Some(GATEWAY.ip())
    }

    fn unix_time(&self) -> u64 {
        1_800_000_000
    }

    fn fill_secret(&self, bytes: &mut [u8]) {
        bytes.fill(0x5e);
    }
}

/// See the module's comment.
pub struct Phones {
    start: Instant,
    now: Instant,
    network: Network,
    controller: Controller,
    phones: Vec<Phone>,
    open: Vec<LegId>,
    /// The worker of each room.
    rooms: BTreeMap<u32, WorkerId>,
    /// What the workers have to say.
    media: BTreeMap<(Instant, u64), (WorkerId, Event)>,
    random: fastrand::Rng,
    /// Every so many ports cannot be opened.
    open_fails: f64,
    is_quiet: bool,
    is_rescued: bool,
    has_dead: bool,
    count: u64,
    outcome: Outcome,
}

fn address_of(index: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10 + index)), 5060)
}

fn configuration() -> String {
    let mut text = format!(
        r#"
[rtp]
ports = "{}-{}"
[transport.udp]
protocol = "udp"
bind = "{GATEWAY}"
[template.phone]
context = "phones"
allow = ["ulaw", "alaw"]
direct_media = true
call_group = [1]
pickup_group = [1]
100rel = "peer_supported"
outbound_auth = {{ username = "gw", password = "pw" }}
[endpoint.p{KNOWN}]
use = "phone"
auth = {{ username = "p{KNOWN}", password = "pw" }}
aor = {{ max_contacts = 2, minimum_expiration = 60, default_expiration = 60 }}
[context.phones.exten]
"_1X" = ["Dial(PJSIP/p${{EXTEN:1}},20)"]
"_2X" = ["Dial(PJSIP/p${{EXTEN:1}}&PJSIP/p0,8,g)", "Dial(PJSIP/p1,5)"]
"_3X" = ["Answer()", "Wait(1)", "Dial(PJSIP/p${{EXTEN:1}},20,r)"]
"40" = ["Answer()", "Echo()"]
"41" = ["Pickup()", "Busy()"]
"42" = ["Answer()", "Transfer(10)", "Hangup()"]
"43" = ["Transfer(11)"]
"44" = ["Progress()", "Wait(1)", "Dial(PJSIP/p1,20)"]
"_5X" = ["Dial(PJSIP/p${{EXTEN:1}},20,L(3000)b(sub^s^1(x))g)", "Dial(PJSIP/p2,5)"]
"60" = ["ConfBridge(team)", "Hangup()"]
"61" = ["Answer()", "ConfBridge(team)", "Hangup()"]
"62" = ["Page(PJSIP/p0&PJSIP/p1&PJSIP/p2&PJSIP/p3,db(sub^s^1(x)),6)", "Dial(PJSIP/p1,5)"]
"63" = ["Dial(PJSIP/p2,4)", "Page(PJSIP/p0&PJSIP/p1,,6)", "ConfBridge(team)"]
[context.sub.exten]
s = ["Set(PJSIP_HEADER(add,X-Sub)=${{ARG1}})", "Return()"]
"#,
        PORTS.0, PORTS.1
    );
    for index in 0..KNOWN {
        let address = address_of(index);
        // Digits by INFO pass between two that have them so.
        let digits = if index < 2 { "info" } else { "rfc4733" };
        text.push_str(&format!(
            "[endpoint.p{index}]\nuse = \"phone\"\ndtmf_mode = \"{digits}\"\naor = {{ contact = [\"sip:p{index}@{address}\"] }}\n\
             [identify.p{index}]\nendpoint = \"p{index}\"\nmatch = [\"{}\"]\n",
            address.ip()
        ));
    }
    text
}

impl Phones {
    /// A gateway and its telephones, with nothing going on yet.
    ///
    /// # Errors
    /// In words, if the world's own configuration is not valid.
    pub fn new(start: Instant, seed: u64) -> Result<Phones, String> {
        let loaded = config::parse("simulation", &configuration(), &NoLookup);
        let settings = loaded.map_err(|error| error.to_string())?.settings;
        let (setup, _) =
            Setup::build(settings).map_err(|errors| config::lines("simulation", &errors))?;
        let range =
            PortRange::new(PORTS.0, PORTS.1, WORKERS).ok_or("the port range is too small")?;
        let mut random = fastrand::Rng::with_seed(seed);
        let worst = random.f64();
        let faults = Faults {
            loss: 0.15 * worst * random.f64(),
            duplication: 0.15 * worst * random.f64(),
            delay: (
                Duration::from_millis(1),
                Duration::from_millis(2) + Duration::from_millis(150).mul_f64(worst),
            ),
        };
        let has_dead = random.f64() < 0.15;
        let dead = random.u8(0..KNOWN);
        let phones = (0..=KNOWN).map(|index| {
            let dies = (has_dead && index == dead).then(|| start + HORIZON.mul_f64(random.f64()));
            Phone::new(index, address_of(index), start, dies, random.u64(..))
        });
        let phones = phones.collect();
        Ok(Phones {
            start,
            now: start,
            network: Network::new(faults, random.u64(..)),
            controller: Controller::new(setup, range, seed, Box::new(Somewhere), start),
            phones,
            open: Vec::new(),
            rooms: BTreeMap::new(),
            media: BTreeMap::new(),
            open_fails: if random.f64() < 0.2 { 0.1 } else { 0.0 },
            random,
            is_quiet: false,
            is_rescued: false,
            has_dead,
            count: 0,
            outcome: Outcome::default(),
        })
    }

    /// Runs until nothing is left to happen, and checks what must hold then.
    pub fn run(mut self) -> Outcome {
        self.drain();
        while let Some(next) = self.next_event() {
            self.now = next.max(self.now);
            if self.now > self.start + LONGEST {
                break;
            }
            self.step();
        }
        self.check_the_end();
        self.outcome
    }

    fn next_event(&self) -> Option<Instant> {
        let phones = self.phones.iter().filter_map(Phone::next_deadline);
        let horizon = (!self.is_quiet).then_some(self.start + HORIZON);
        let rescue = (!self.is_rescued).then_some(self.start + RESCUE);
        let others = [
            self.network.next_arrival(),
            self.controller.poll_timeout(),
            self.media.keys().next().map(|(at, _)| *at),
            horizon,
            rescue,
        ];
        phones.chain(others.into_iter().flatten()).min()
    }

    fn step(&mut self) {
        let now = self.now;
        if !self.is_quiet && now >= self.start + HORIZON {
            self.is_quiet = true;
            self.phones.iter_mut().for_each(|phone| phone.quiet(now));
        }
        if !self.is_rescued && now >= self.start + RESCUE {
            self.rescue();
        }
        while let Some(packet) = self.network.receive(now) {
            self.deliver(packet);
            self.drain();
        }
        while let Some((key, _)) = self.media.first_key_value().filter(|(key, _)| key.0 <= now) {
            let key = *key;
            if let Some((worker, event)) = self.media.remove(&key) {
                self.controller.handle_media(now, worker, event);
            }
        }
        if self.controller.poll_timeout().is_some_and(|at| at <= now) {
            self.controller.handle_timeout(now);
        }
        let dialogs: Vec<String> = match self.phones.iter().any(|phone| phone.calls_now(now)) {
            true => self.phones.iter().flat_map(Phone::dialogs).collect(),
            false => Vec::new(),
        };
        for phone in &mut self.phones {
            if phone.next_deadline().is_some_and(|at| at <= now) {
                phone.handle_timeout(now, &dialogs);
            }
        }
        self.drain();
    }

    /// A call whose phones have died, both silent, ends by a session timer, if it has one, or by the silence of its media,
    /// which there is none of here: an operator ends it.
    fn rescue(&mut self) {
        self.is_rescued = true;
        let rows = self.controller.calls(self.now);
        if !self.has_dead && !rows.is_empty() {
            let left = rows
                .iter()
                .map(|row| format!("{row:?}"))
                .collect::<Vec<_>>();
            self.outcome
                .violations
                .push(format!("calls that go on: {}", left.join(", ")));
        }
        for row in rows {
            self.controller.hangup(self.now, &row.id);
        }
    }

    fn deliver(&mut self, packet: Packet) {
        let now = self.now;
        if packet.destination == GATEWAY {
            let flow = Flow {
                transport: TransportId(0),
                protocol: Protocol::Udp,
                peer: packet.source,
                domain: None,
            };
            self.controller.handle_datagram(now, flow, packet.bytes);
            return;
        }
        let phones = self.phones.iter_mut();
        match phones
            .into_iter()
            .find(|phone| phone.address == packet.destination)
        {
            Some(phone) => phone.receive(now, packet.bytes),
            None => {
                let violation = format!("a message to {}", packet.destination);
                self.outcome.violations.push(violation);
            }
        }
    }

    /// Does what the gateway and the phones want done.
    fn drain(&mut self) {
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.note(&transmit.bytes);
                    self.network.send(
                        self.now,
                        Packet {
                            source: GATEWAY,
                            destination: transmit.flow.peer,
                            bytes: transmit.bytes,
                        },
                    );
                }
                Output::Command(worker, command) => self.obey(worker, command),
                other => {
                    let violation = bare::answer(&mut self.controller, self.now, other);
                    self.outcome.violations.extend(violation);
                }
            }
        }
        for phone in &mut self.phones {
            while let Some(bytes) = phone.poll_send() {
                let packet = Packet {
                    source: phone.address,
                    destination: GATEWAY,
                    bytes,
                };
                self.network.send(self.now, packet);
            }
        }
    }

    /// Counts what the gateway sends.
    fn note(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let mut words = text.split(' ');
        let name = match (words.next(), words.next()) {
            (Some("SIP/2.0"), Some(code)) => {
                let cseq = text.lines().find_map(|line| line.strip_prefix("CSeq: "));
                let method = cseq.and_then(|cseq| cseq.split(' ').nth(1)).unwrap_or("?");
                format!("{code} {method}")
            }
            (Some(method), _) => method.to_owned(),
            _ => String::from("?"),
        };
        *self.outcome.seen.entry(name).or_default() += 1;
    }

    fn obey(&mut self, worker: WorkerId, command: Command) {
        self.count += 1;
        let due = (self.now + Duration::from_millis(1), self.count);
        let is_open = |open: &[LegId], leg: LegId| open.contains(&leg);
        if let Command::Join { room, .. } = command
            && *self.rooms.entry(room.0).or_insert(worker) != worker
        {
            let violation = format!("a room on two workers: {command:?}");
            self.outcome.violations.push(violation);
        }
        match command {
            Command::Open { leg, .. } if self.random.f64() < self.open_fails => {
                let error = OpenError::System(98);
                self.media
                    .insert(due, (worker, Event::OpenFailed { leg, error }));
            }
            Command::Open { leg, .. } => self.open.push(leg),
            Command::Close { leg } => {
                if let Some(place) = self.open.iter().position(|other| *other == leg) {
                    self.open.swap_remove(place);
                    let report = LegReport::default();
                    self.media
                        .insert(due, (worker, Event::Closed { leg, report }));
                } else if self.open_fails == 0.0 {
                    let violation = format!("closed, but not open: {leg:?}");
                    self.outcome.violations.push(violation);
                }
            }
            Command::Bridge { a, b, .. } => {
                let are_open = is_open(&self.open, a) && is_open(&self.open, b);
                if !are_open && self.open_fails == 0.0 {
                    let violation = format!("joined, but not open: {command:?}");
                    self.outcome.violations.push(violation);
                }
            }
            other => {
                let is_known = other.leg().is_none_or(|leg| is_open(&self.open, leg));
                if !is_known && self.open_fails == 0.0 {
                    let violation = format!("not open: {other:?}");
                    self.outcome.violations.push(violation);
                }
            }
        }
    }

    fn check_the_end(&mut self) {
        let left = self.controller.leftovers();
        let violations = &mut self.outcome.violations;
        if left != Leftovers::default() {
            violations.push(format!("left: {left:?}"));
        }
        if !self.open.is_empty() {
            violations.push(format!("open: {:?}", self.open));
        }
        for phone in &mut self.phones {
            violations.append(&mut phone.violations);
        }
    }
}
