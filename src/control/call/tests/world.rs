//! A controller, telephones made of [`Endpoint`], and a network between them that a test can spoil.

use crate::config::Settings;
use crate::control::Leftovers;
use crate::control::controller::{Controller, Output, Surroundings};
use crate::control::recordings::{Recorded, RecordingOrder};
use crate::control::setup::Setup;
use crate::control::sounds::{Sound, SoundAnswer, SoundQuestion, Track};
use crate::link::{
    Clip, ClipHandle, Command, Digit, Event as MediaEvent, LegId, LegReport, Listening, PlayMode,
    PortRange, Remote, WorkerId,
};
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::{ClientTx, Event, ServerTx};
use crate::sip::flow::{Flow, Protocol, TransportId};
use crate::sip::message::{Method, Request, RequestDraft, Response, ResponseDraft, Uri};
use crate::sip::resolve::Question;
use crate::sip::{Endpoint, EndpointSettings};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const GATEWAY: &str = "192.0.2.1:5060";
pub const ALICE: &str = "198.51.100.10:5060";
pub const BOB: &str = "203.0.113.20:5070";
pub const CAROL: &str = "203.0.113.30:5080";

pub const CONFIG: &str = r#"
[transport.udp]
protocol = "udp"
bind = "192.0.2.1:5060"

[transport.tcp]
protocol = "tcp"
bind = "192.0.2.1:5060"

[rtp]
ports = "20000-20099"
workers = 2

[aor.bob]
contact = ["sip:bob@203.0.113.20:5070"]

[aor.carol]
contact = ["sip:203.0.113.30:5080"]

[aor.named]
contact = ["sip:pbx.example.com:5070"]

[endpoint.alice]
context = "from-alice"
allow = ["alaw", "ulaw", "g722"]

[endpoint.bob]
context = "from-bob"
allow = ["ulaw", "alaw"]
aors = ["bob"]
max_calls = 50

[endpoint.carol]
context = "from-bob"
allow = ["ulaw", "alaw"]
aors = ["carol"]

[endpoint.named]
context = "from-bob"
allow = ["ulaw"]
aors = ["named"]

[endpoint.phone]
context = "from-alice"
allow = ["ulaw"]
auth = { username = "phone", password = "s3cret" }

[identify.alice]
endpoint = "alice"
match = ["198.51.100.0/24"]

[identify.bob]
endpoint = "bob"
match = ["203.0.113.20"]

[trunk_group.out]
members = [{ endpoint = "bob", priority = 1 }, { endpoint = "carol", priority = 2 }]
failover_on = [503]

[context.from-alice.exten]
"100" = ["Dial(PJSIP/bob)", "Hangup()"]
"101" = ["Dial(PJSIP/bob,20)", "Hangup()"]
"102" = ["Answer()", "Dial(PJSIP/bob)"]
"103" = ["Dial(PJSIP/bob&PJSIP/carol,20)"]
"104" = ["Dial(PJSIP/bob,5)", "Dial(PJSIP/carol,5)"]
"105" = ["Answer()", "Echo()"]
"106" = ["Busy()"]
"107" = ["Ringing()", "Wait(3)", "Congestion()"]
"108" = ["Progress()", "Wait(2)", "Hangup(21)"]
"109" = ["Dial(PJSIP/named)"]
"110" = ["Dial(PJSIP/bob)", "Set(X=${DIALSTATUS}/${HANGUPCAUSE})", "Hangup(17)"]
"111" = ["again: Dial(PJSIP/nobody-there)", "Goto(again)"]
"_8X." = ["Dial(PJSIP/${EXTEN:1}@out)"]

[context.from-bob.exten]
"_X." = ["Dial(PJSIP/carol)"]

[endpoint.nobody-there]
context = "from-bob"
allow = ["ulaw"]
"#;

/// A session description with these formats (`"0 8"`) and direction.
pub fn sdp(address: &str, port: u16, version: u64, formats: &str, direction: &str) -> String {
    let events = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n";
    let events = if formats.contains("101") { events } else { "" };
    format!(
        "v=0\r\no=- 77 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\n{events}a={direction}\r\n"
    )
}

#[derive(Default)]
pub struct Routes {
    secrets: RefCell<fastrand::Rng>,
}

impl Surroundings for Routes {
    fn source_address(&self, _peer: IpAddr) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 1]))
    }

    fn unix_time(&self) -> u64 {
        1_700_000_000
    }

    fn recording_directory(&self, _settings: &Settings) -> Option<PathBuf> {
        Some(PathBuf::from("/spool"))
    }

    fn fill_secret(&self, bytes: &mut [u8]) {
        let mut secrets = self.secrets.borrow_mut();
        secrets.fill(bytes);
    }
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Deliver,
    Lose,
    Twice,
    Late(Duration),
}

/// A datagram that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Bytes,
}

impl Sent {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// `INVITE`, or `200 INVITE`.
    pub fn name(&self) -> String {
        let text = self.text();
        let mut words = text.split(' ');
        match (words.next(), words.next()) {
            (Some("SIP/2.0"), Some(code)) => {
                let cseq = text.lines().find(|line| line.starts_with("CSeq: "));
                let method = cseq.and_then(|line| line.rsplit(' ').next()).unwrap_or("?");
                format!("{code} {method}")
            }
            (Some(method), _) => method.to_owned(),
            _ => String::from("?"),
        }
    }
}

/// A telephone.
pub struct Phone {
    pub sip: Endpoint,
    pub address: SocketAddr,
    pub events: Vec<Event>,
    /// The last INVITE that came, and its transaction.
    pub invite: Option<(ServerTx, Request)>,
    pub dialog: Option<Dialog>,
    pub tag: String,
    /// Of the responses to its INVITEs, if it answers by itself.
    pub statuses: Vec<u16>,
}

/// Decides a datagram's fate by its number and content.
type Network = Box<dyn FnMut(usize, &Sent) -> Fate>;

pub struct World {
    pub began: Instant,
    pub now: Instant,
    pub gateway: Controller,
    pub phones: BTreeMap<SocketAddr, Phone>,
    pub wire: Vec<Sent>,
    pub commands: Vec<(WorkerId, Command)>,
    pub resolves: Vec<Question>,
    pub questions: Vec<SoundQuestion>,
    pub orders: Vec<RecordingOrder>,
    pub drained: bool,
    pub network: Network,
    /// Workers answer Close.
    pub workers_work: bool,
    /// Phones answer by themselves: callees ring and answer, callers acknowledge, everybody says 200.
    pub phones_answer: bool,
    /// Every Open is refused.
    pub open_fails: bool,
    in_flight: BTreeMap<(Instant, usize), Sent>,
    media_due: BTreeMap<(Instant, usize), (WorkerId, MediaEvent)>,
    open: Vec<LegId>,
    count: usize,
}

const HOP: Duration = Duration::from_millis(10);

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

pub fn flow(peer: SocketAddr) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol: Protocol::Udp,
        peer,
        domain: None,
    }
}

impl World {
    pub fn new() -> World {
        World::with_config(CONFIG)
    }

    pub fn with_config(text: &str) -> World {
        World::seeded(text, 7)
    }

    pub fn setup(text: &str) -> Setup {
        let loaded = crate::config::parse("test", text, &crate::config::NoLookup);
        let settings = match loaded {
            Ok(loaded) => loaded.settings,
            Err(error) => panic!("the test's configuration: {error}"),
        };
        let (setup, _) = Setup::build(settings).expect("the test's dialplan");
        setup
    }

    pub fn seeded(text: &str, seed: u64) -> World {
        let now = Instant::now();
        let setup = World::setup(text);
        let (first, last) = setup.settings().rtp.ports;
        let range = PortRange::new(first, last, 2).expect("a range");
        let phones = [ALICE, BOB, CAROL].into_iter().enumerate();
        let phones = phones.map(|(index, text)| {
            let settings = EndpointSettings {
                user_agent: String::from("phone"),
                ..EndpointSettings::default()
            };
            let mut sip = Endpoint::new(settings, seed + 100 + index as u64);
            let tag = sip.new_tag();
            let phone = Phone {
                sip,
                address: address(text),
                events: Vec::new(),
                invite: None,
                dialog: None,
                tag,
                statuses: Vec::new(),
            };
            (phone.address, phone)
        });
        World {
            began: now,
            now,
            gateway: Controller::new(setup, range, seed, Box::new(Routes::default()), now),
            phones: phones.collect(),
            wire: Vec::new(),
            commands: Vec::new(),
            resolves: Vec::new(),
            questions: Vec::new(),
            orders: Vec::new(),
            drained: false,
            network: Box::new(|_, _| Fate::Deliver),
            workers_work: true,
            phones_answer: false,
            open_fails: false,
            in_flight: BTreeMap::new(),
            media_due: BTreeMap::new(),
            open: Vec::new(),
            count: 0,
        }
    }

    pub fn phone(&mut self, name: &str) -> &mut Phone {
        self.phones.get_mut(&address(name)).expect("a phone")
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.collect();
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step();
            self.collect();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let timers = self.phones.values().filter_map(|p| p.sip.poll_timeout());
        let datagram = self.in_flight.keys().next().map(|key| key.0);
        let media = self.media_due.keys().next().map(|key| key.0);
        timers
            .chain(self.gateway.poll_timeout())
            .chain(datagram)
            .chain(media)
            .min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(key) = self.in_flight.keys().next().copied().filter(|k| k.0 <= now) {
            let sent = self.in_flight.remove(&key).expect("just seen");
            if sent.to == address(GATEWAY) {
                self.gateway
                    .handle_datagram(now, flow(sent.from), sent.bytes);
            } else if let Some(phone) = self.phones.get_mut(&sent.to) {
                phone.sip.handle_datagram(now, flow(sent.from), sent.bytes);
            }
        }
        while let Some(key) = self.media_due.keys().next().copied().filter(|k| k.0 <= now) {
            let (worker, event) = self.media_due.remove(&key).expect("just seen");
            self.gateway.handle_media(now, worker, event);
        }
        self.gateway.handle_timeout(now);
        for phone in self.phones.values_mut() {
            phone.sip.handle_timeout(now);
        }
    }

    /// Takes what everybody has to send and to say.
    pub fn collect(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.post(address(GATEWAY), transmit.flow.peer, transmit.bytes);
                }
                Output::Command(worker, command) => self.obey(worker, command),
                Output::Resolve { question } => self.resolves.push(question),
                Output::Drained => self.drained = true,
                Output::Sounds(question) => {
                    self.questions.push(question.clone());
                    self.gateway.handle_sounds(self.now, found(&question));
                }
                Output::Record(order) => self.orders.push(order),
                Output::CloseFlow(_) | Output::Known(_) | Output::Store(_) => {}
            }
        }
        let mut posts = Vec::new();
        for phone in self.phones.values_mut() {
            while let Some(transmit) = phone.sip.poll_transmit() {
                posts.push((phone.address, transmit.flow.peer, transmit.bytes));
            }
            while let Some(event) = phone.sip.poll_event() {
                phone.note(event);
            }
        }
        for (from, to, bytes) in posts {
            self.post(from, to, bytes);
        }
        if self.phones_answer && self.react() {
            self.collect();
        }
    }

    /// Phones answer what has come. True if any did.
    fn react(&mut self) -> bool {
        let now = self.now;
        let mut any = false;
        for phone in self.phones.values_mut() {
            for event in std::mem::take(&mut phone.events) {
                any |= phone.react(now, event);
            }
        }
        any
    }

    fn post(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let sent = Sent { from, to, bytes };
        self.wire.push(sent.clone());
        let number = self.count;
        self.count += 2;
        match (self.network)(number / 2, &sent) {
            Fate::Lose => {}
            Fate::Deliver => {
                self.in_flight.insert((self.now + HOP, number), sent);
            }
            Fate::Twice => {
                self.in_flight
                    .insert((self.now + HOP, number), sent.clone());
                self.in_flight
                    .insert((self.now + HOP * 3, number + 1), sent);
            }
            Fate::Late(time) => {
                self.in_flight.insert((self.now + HOP + time, number), sent);
            }
        }
    }

    fn obey(&mut self, worker: WorkerId, command: Command) {
        let due = (self.now + Duration::from_millis(1), self.count);
        self.count += 1;
        match command {
            Command::Open { leg, .. } if self.open_fails => {
                let error = crate::link::OpenError::System(98);
                self.media_due
                    .insert(due, (worker, MediaEvent::OpenFailed { leg, error }));
            }
            Command::Open { leg, .. } => {
                assert!(!self.open.contains(&leg), "opened twice");
                self.open.push(leg);
            }
            Command::Close { leg } => {
                if let Some(place) = self.open.iter().position(|other| *other == leg) {
                    self.open.remove(place);
                    let report = LegReport::default();
                    if self.workers_work {
                        let event = MediaEvent::Closed { leg, report };
                        self.media_due.insert(due, (worker, event));
                    }
                } else {
                    assert!(self.open_fails, "closed but not open");
                }
            }
            Command::Bridge { a, b, .. } => {
                assert!(
                    self.open.contains(&a) && self.open.contains(&b),
                    "{command:?}"
                );
            }
            ref other => {
                let is_open = other.leg().is_none_or(|leg| self.open.contains(&leg));
                assert!(is_open || self.open_fails, "not open: {command:?}");
            }
        }
        self.commands.push((worker, command));
    }

    pub fn media(&mut self, event: MediaEvent) {
        self.gateway.handle_media(self.now, WorkerId(0), event);
        self.collect();
    }

    /// What was played to legs, and when it was stopped, in order.
    pub fn played(&self) -> Vec<&'static str> {
        let commands = self.commands.iter();
        let names = commands.filter_map(|(_, command)| match command {
            Command::Play { mode, .. } => Some(match mode {
                PlayMode::Once => "once",
                PlayMode::Loop => "loop",
                PlayMode::Shared => "shared",
            }),
            Command::StopPlay { .. } => Some("stop"),
            _ => None,
        });
        names.collect()
    }

    /// The names of the sounds that were asked for, each list in one.
    pub fn asked_sounds(&self) -> Vec<String> {
        let name = |sound: &Sound| match sound {
            Sound::File(name) => name.clone(),
            Sound::Tone { zone, tone } => format!("tone {tone} {zone}"),
            Sound::Music(class) => format!("music {class}"),
        };
        let lists = self.questions.iter();
        lists
            .map(|question| {
                let names: Vec<String> = question.sounds.iter().map(name).collect();
                names.join(" ")
            })
            .collect()
    }

    /// The leg that a command was last about which this picks.
    fn last_leg(&self, pick: impl Fn(&Command) -> Option<LegId>) -> LegId {
        let mut commands = self.commands.iter().rev();
        let found = commands.find_map(|(_, command)| pick(command));
        found.expect("there was such a command")
    }

    /// The last command that is wanted.
    pub fn last_command(&self, is_wanted: impl Fn(&Command) -> bool) -> &Command {
        let mut commands = self.commands.iter();
        let found = commands.rfind(|(_, command)| is_wanted(command));
        &found.expect("there was such a command").1
    }

    /// What the workers know last of the peers of the open legs.
    pub fn remotes(&self) -> Vec<Remote> {
        let last = |wanted: &LegId| {
            let mut commands = self.commands.iter().rev();
            commands.find_map(|(_, command)| match command {
                Command::SetRemote { leg, remote } if leg == wanted => Some(*remote),
                _ => None,
            })
        };
        self.open_legs().iter().filter_map(last).collect()
    }

    /// The worker hears these digits on the leg that it listens to.
    pub fn press(&mut self, digits: &str) {
        let leg = self.last_leg(|command| match command {
            Command::Listen { leg, .. } => Some(*leg),
            _ => None,
        });
        for digit in digits.chars() {
            self.media(MediaEvent::Digit {
                leg,
                digit: Digit::from_char(digit).expect("a digit"),
                duration_ms: 100,
            });
        }
    }

    /// What the worker was last told to listen to.
    pub fn listening(&self) -> Option<Listening> {
        let mut commands = self.commands.iter().rev();
        commands.find_map(|(_, command)| match command {
            Command::Listen { listening, .. } => Some(*listening),
            _ => None,
        })
    }

    /// The peer of the leg that is recorded is silent for as long as was asked.
    pub fn hush(&mut self) {
        let leg = self.last_leg(|command| match command {
            Command::Record { leg, .. } => Some(*leg),
            _ => None,
        });
        self.media(MediaEvent::Hushed { leg });
    }

    /// The last recording is complete, or has failed.
    pub fn complete(&mut self, path: Option<&str>) {
        let recorded = Recorded {
            asker: self.orders.last().expect("an order").asker,
            path: path.map(PathBuf::from),
        };
        self.gateway.handle_recorded(self.now, recorded);
        self.collect();
    }

    /// What is played now comes to its end.
    pub fn play_to_end(&mut self) {
        let mut commands = self.commands.iter().rev();
        let event = commands.find_map(|(_, command)| match command {
            Command::Play { leg, play, .. } => Some(MediaEvent::Played {
                leg: *leg,
                play: *play,
            }),
            _ => None,
        });
        self.media(event.expect("something is played"));
    }

    pub fn open_legs(&self) -> &[LegId] {
        &self.open
    }

    pub fn last_bridge(&self) -> Option<Command> {
        let mut commands = self.commands.iter().rev();
        commands.find_map(|(_, command)| match command {
            Command::Bridge { .. } => Some(command.clone()),
            _ => None,
        })
    }

    /// Names of the messages that the gateway sent to this phone, retransmissions and all.
    pub fn to(&self, phone: &str) -> Vec<String> {
        let sent = self.wire.iter().filter(|sent| sent.to == address(phone));
        sent.map(Sent::name).collect()
    }

    /// The last message of that name to this phone.
    pub fn last_to(&self, phone: &str, name: &str) -> String {
        let mut sent = self.wire.iter().rev();
        let found = sent.find(|sent| sent.to == address(phone) && sent.name() == name);
        found.map_or_else(
            || panic!("no {name} to {phone}: {:?}", self.to(phone)),
            Sent::text,
        )
    }

    /// How many messages of that name went to this phone, retransmissions and all.
    pub fn count_to(&self, phone: &str, name: &str) -> usize {
        self.to(phone).iter().filter(|sent| *sent == name).count()
    }

    /// How many messages of that name went to this phone, each counted once.
    pub fn distinct_to(&self, phone: &str, name: &str) -> usize {
        let sent = self.wire.iter();
        let sent = sent.filter(|sent| sent.to == address(phone) && sent.name() == name);
        let texts: std::collections::BTreeSet<&Bytes> = sent.map(|sent| &sent.bytes).collect();
        texts.len()
    }

    /// Lets all timers run out, then demands that nothing is left.
    pub fn assert_nothing_left(&mut self) {
        self.run(Duration::from_secs(200));
        assert_eq!(self.gateway.leftovers(), Leftovers::default());
        assert!(self.open.is_empty(), "open legs: {:?}", self.open);
    }

    pub fn invite(&mut self, phone: &str, extension: &str, body: Option<&str>) -> ClientTx {
        self.invite_with(phone, extension, body, &[])
    }

    /// An INVITE with these headers, in place of its own of the same names.
    pub fn invite_with(
        &mut self,
        phone: &str,
        extension: &str,
        body: Option<&str>,
        headers: &[(&str, &str)],
    ) -> ClientTx {
        let now = self.now;
        let call_id = format!("call-of-{phone}-{extension}");
        let phone = self.phone(phone);
        let request = RequestDraft::new(Method::Invite, format!("sip:{extension}@192.0.2.1"))
            .header(
                "From",
                format_args!("\"Alice A\" <sip:6001@{}>;tag={}", phone.address, phone.tag),
            )
            .header("To", format_args!("<sip:{extension}@192.0.2.1>"))
            .header("Call-ID", call_id)
            .header("CSeq", "1 INVITE")
            .header("X-Secret", "inside")
            .header("Contact", format_args!("<sip:alice@{}>", phone.address));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.set_header(name, value)
        });
        let request = match body {
            Some(body) => request.body("application/sdp", body.to_owned()),
            None => request,
        };
        let tx = phone.send(now, request);
        self.collect();
        tx
    }

    pub fn send(&mut self, phone: &str, request: RequestDraft) {
        let now = self.now;
        let phone = self.phone(phone);
        phone.events.clear();
        phone.send(now, request);
        self.collect();
    }

    pub fn cancel(&mut self, phone: &str, tx: ClientTx) {
        let now = self.now;
        self.phone(phone).sip.cancel(now, tx, None);
        self.collect();
    }

    /// A phone answers the last INVITE that came to it.
    pub fn answer(&mut self, phone: &str, status: u16, body: Option<&str>) {
        self.answer_with(phone, status, body, &[]);
    }

    /// The same with more headers.
    pub fn answer_with(
        &mut self,
        phone: &str,
        status: u16,
        body: Option<&str>,
        headers: &[(&str, &str)],
    ) {
        let now = self.now;
        let phone = self.phone(phone);
        let (tx, request) = phone.invite.clone().expect("an INVITE came");
        if status < 300 && phone.dialog.is_none() {
            phone.dialog = Dialog::uas(&request, &phone.tag);
        }
        let response = ResponseDraft::new(status)
            .to_tag(&phone.tag)
            .header("Contact", format_args!("<sip:me@{}>", phone.address));
        let lines = headers.iter();
        let response = lines.fold(response, |response, (name, value)| {
            response.header(name, value)
        });
        let response = match body {
            Some(body) => response.body("application/sdp", body.to_owned()),
            None => response,
        };
        phone.sip.respond(now, tx, response);
        self.collect();
    }

    /// A phone sends the call elsewhere.
    pub fn redirect(&mut self, phone: &str, status: u16, contact: &str) {
        let now = self.now;
        let phone = self.phone(phone);
        let (tx, _) = phone.invite.clone().expect("an INVITE came");
        let response = ResponseDraft::new(status)
            .to_tag(&phone.tag)
            .header("Contact", contact);
        phone.sip.respond(now, tx, response);
        self.collect();
    }

    /// A phone acknowledges the 200 that it has.
    pub fn ack(&mut self, phone: &str, body: Option<&str>) {
        let now = self.now;
        let phone = self.phone(phone);
        let (tx, response) = phone.response(200).expect("a 200 came");
        let uri = Uri::parse("sip:192.0.2.1").expect("a URI");
        match &mut phone.dialog {
            Some(dialog) => dialog.receive_response(&response),
            None => phone.dialog = Dialog::uac(&response, &uri),
        }
        let dialog = phone.dialog.as_ref().expect("made by the 200");
        let ack = dialog.ack(&response);
        let ack = match body {
            Some(body) => ack.body("application/sdp", body.to_owned()),
            None => ack,
        };
        let own = phone.address.to_string();
        phone.sip.ack(now, tx, flow(address(GATEWAY)), &own, ack);
        phone.events.clear();
        self.collect();
    }

    /// A phone sends a request in its dialog.
    pub fn request(&mut self, phone: &str, method: Method, body: Option<(&str, &str)>) -> ClientTx {
        self.request_with(phone, method, body, &[])
    }

    /// The same with more headers.
    pub fn request_with(
        &mut self,
        phone: &str,
        method: Method,
        body: Option<(&str, &str)>,
        headers: &[(&str, &str)],
    ) -> ClientTx {
        let now = self.now;
        let phone = self.phone(phone);
        phone.events.clear();
        let request = phone.dialog.as_mut().expect("a dialog").request(method);
        let request = request.header("Contact", format_args!("<sip:me@{}>", phone.address));
        let lines = headers.iter();
        let request = lines.fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        let request = match body {
            Some((content, body)) => request.body(content, body.to_owned()),
            None => request,
        };
        let tx = phone.send(now, request);
        self.collect();
        tx
    }

    /// A phone acknowledges the last provisional response that it has, in the early dialog that this makes. `skew` is
    /// added to the number that it acknowledges.
    pub fn prack(&mut self, phone: &str, skew: u32, body: Option<&str>) -> ClientTx {
        let events = &self.phone(phone).events;
        let last = events.iter().rev().find_map(|event| match event {
            Event::Response { response, .. } if (101..200).contains(&response.status()) => {
                Some(response.clone())
            }
            _ => None,
        });
        let last = last.expect("a provisional response came");
        let uri = Uri::parse("sip:192.0.2.1").expect("a URI");
        let phone_ = self.phone(phone);
        if phone_.dialog.is_none() {
            phone_.dialog = Dialog::uac(&last, &uri);
        }
        let rseq: u32 = last
            .headers()
            .get("RSeq")
            .expect("reliable")
            .parse()
            .expect("a number");
        let rack = format!("{} {} INVITE", rseq + skew, last.headers().cseq().number);
        let body = body.map(|body| ("application/sdp", body));
        self.request_with(phone, Method::Prack, body, &[("RAck", &rack)])
    }

    /// A phone answers any request but INVITE that waits.
    pub fn confirm(&mut self, phone: &str, status: u16) {
        self.confirm_by(phone, &ResponseDraft::new(status));
    }

    /// The same with a description.
    pub fn confirm_with(&mut self, phone: &str, status: u16, body: &str) {
        let response = ResponseDraft::new(status).body("application/sdp", body.to_owned());
        self.confirm_by(phone, &response);
    }

    /// The same with this response.
    pub fn confirm_by(&mut self, phone: &str, response: &ResponseDraft) {
        let now = self.now;
        let phone = self.phone(phone);
        let events = std::mem::take(&mut phone.events);
        for event in &events {
            if let Event::Request { tx, request, .. } = event
                && *request.method() != Method::Invite
            {
                phone.sip.respond(now, *tx, response.clone());
            }
        }
        self.collect();
    }

    /// A call from Alice to Bob, answered.
    pub fn talk(&mut self, extension: &str) {
        self.invite(
            ALICE,
            extension,
            Some(&sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv")),
        );
        self.run(Duration::from_millis(100));
        self.answer(BOB, 180, None);
        self.run(Duration::from_millis(100));
        self.answer(
            BOB,
            200,
            Some(&sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv")),
        );
        self.run(Duration::from_millis(100));
        self.ack(ALICE, None);
        self.run(Duration::from_millis(100));
    }
}

impl Phone {
    fn send(&mut self, now: Instant, request: RequestDraft) -> ClientTx {
        let own = self.address.to_string();
        let to = flow(address(GATEWAY));
        self.sip.request(now, to, &own, request).expect("room")
    }

    fn react(&mut self, now: Instant, event: Event) -> bool {
        let own = self.address;
        let body = sdp(&own.ip().to_string(), 6000, 1, "8 0 101", "sendrecv");
        match event {
            Event::Request { tx, request, .. } if *request.method() == Method::Invite => {
                if self.dialog.is_none() {
                    self.dialog = Dialog::uas(&request, &self.tag);
                }
                let contact = format!("<sip:me@{own}>");
                for status in [180, 200] {
                    let response = ResponseDraft::new(status)
                        .to_tag(&self.tag)
                        .header("Contact", &contact);
                    let response = if status == 200 {
                        response.body("application/sdp", body.clone())
                    } else {
                        response
                    };
                    self.sip.respond(now, tx, response);
                }
            }
            Event::Request { tx, .. } => self.sip.respond(now, tx, ResponseDraft::new(200)),
            Event::Cancelled { tx, .. } => {
                self.sip
                    .respond(now, tx, ResponseDraft::new(487).to_tag(&self.tag));
            }
            Event::Response { tx, response, .. }
                if response.headers().cseq().method == Method::Invite =>
            {
                self.statuses.push(response.status());
                if response.status() / 100 != 2 {
                    return false;
                }
                let uri = Uri::parse("sip:192.0.2.1").expect("a URI");
                let dialog = Dialog::uac(&response, &uri).expect("a 2xx makes a dialog");
                let ack = dialog.ack(&response);
                self.dialog.get_or_insert(dialog);
                let to = flow(address(GATEWAY));
                self.sip.ack(now, tx, to, &own.to_string(), ack);
            }
            _ => return false,
        }
        true
    }

    fn note(&mut self, event: Event) {
        if let Event::Request { tx, request, .. } = &event
            && *request.method() == Method::Invite
        {
            self.invite = Some((*tx, request.clone()));
        }
        self.events.push(event);
    }

    /// The last response of that status.
    pub fn response(&self, status: u16) -> Option<(ClientTx, Response)> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Response { tx, response, .. } if response.status() == status => {
                Some((*tx, response.clone()))
            }
            _ => None,
        })
    }

    /// The status of the last final response.
    pub fn final_status(&self) -> Option<u16> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Response { response, .. } if response.status() >= 200 => Some(response.status()),
            _ => None,
        })
    }
}

/// Alice calls an extension with these steps, in a context with more lines.
pub fn call_of(steps: &str, lines: &str, formats: &str) -> World {
    let text = CONFIG.replace(
        "[context.from-bob.exten]\n",
        &format!("\"300\" = [{steps}]\n{lines}\n\n[context.from-bob.exten]\n"),
    );
    let mut world = World::with_config(&text);
    let offer = sdp("198.51.100.10", 4000, 1, formats, "sendrecv");
    world.invite(ALICE, "300", Some(&offer));
    world.run(Duration::from_millis(50));
    world
}

/// The same, and she acknowledges.
pub fn answered_call_of(steps: &str, lines: &str) -> World {
    let mut world = call_of(steps, lines, "8 0 101");
    world.ack(ALICE, None);
    world.run(Duration::from_millis(50));
    world
}

/// The gateway has hung up with this cause, and nothing is left.
pub fn ended_with(mut world: World, cause: u8) {
    world.run(Duration::from_millis(50));
    let bye = world.last_to(ALICE, "BYE");
    assert!(bye.contains(&format!("cause={cause}")), "{bye}");
    world.confirm(ALICE, 200);
    world.assert_nothing_left();
}

/// Alice hangs up, and nothing is left.
pub fn hang_up(mut world: World) {
    world.request(ALICE, Method::Bye, None);
    world.run(Duration::from_millis(50));
    world.assert_nothing_left();
}

/// What the library of sounds has: everything but what is called `missing`.
fn found(question: &SoundQuestion) -> SoundAnswer {
    let mut answer = SoundAnswer::nothing(question);
    answer.missing = 0;
    for sound in &question.sounds {
        let mode = match sound {
            Sound::File(name) | Sound::Music(name) if name == "missing" => {
                answer.missing += 1;
                continue;
            }
            Sound::File(_) => PlayMode::Once,
            Sound::Tone { .. } => PlayMode::Loop,
            Sound::Music(_) => PlayMode::Shared,
        };
        let clip = ClipHandle(Arc::new(Clip {
            rate: question.rate,
            samples: Box::new([0; 80]),
        }));
        answer.tracks.push(Track { clip, mode });
    }
    answer
}

/// Alice hangs up on Bob properly, and nothing is left.
pub fn end(mut world: World) {
    world.request(ALICE, Method::Bye, None);
    world.run(Duration::from_millis(50));
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

thread_local! {
    static LOGGED: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Writes to its own thread's lines.
struct Lines;

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|lines| lines.extend(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What this thread logs while this runs. One subscriber serves all tests: one for each would depend on which thread
/// comes first to a line that logs (tracing remembers whether anybody wants it).
pub fn logged(act: impl FnOnce()) -> String {
    static SUBSCRIBER: std::sync::Once = std::sync::Once::new();
    SUBSCRIBER.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(|| Lines);
        subscriber.init();
    });
    LOGGED.with_borrow_mut(Vec::clear);
    act();
    LOGGED.with_borrow(|lines| String::from_utf8_lossy(lines).into_owned())
}
