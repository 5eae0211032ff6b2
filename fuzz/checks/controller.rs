//! Whatever peers, workers, the resolver and time may do to the controller, in any order. It never panics, it commands
//! no port that is not leased, and when all has ended nothing is left.

use bytes::Bytes;
use ringway::config::{self, NoLookup};
use ringway::control::Leftovers;
use ringway::control::controller::{Output, Surroundings};
use ringway::control::locate::names::Answer;
use ringway::control::{Controller, setup::Setup};
use ringway::link::{Command, Event, LegId, LegReport, OpenError, PortRange, WorkerId};
use ringway::sip::resolve::{Question, Records};
use ringway::sip::{Flow, Message, Method, Protocol, Request, TransportId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const CONFIGURATION: &str = r#"
[global]
max_calls = 6
[rtp]
ports = "20000-20019"
[transport.udp]
protocol = "udp"
bind = "192.0.2.1:5060"
[endpoint.a]
context = "in"
allow = ["ulaw", "alaw"]
aor = { contact = ["sip:192.0.2.10:5060"] }
[identify.a]
endpoint = "a"
match = ["192.0.2.10"]
[endpoint.b]
context = "in"
allow = ["alaw", "g722", "ulaw"]
aor = { contact = ["sip:192.0.2.11:5060", "sip:trunk.example.com"] }
[identify.b]
endpoint = "b"
match = ["192.0.2.11"]
[context.in.exten]
"1" = ["Dial(PJSIP/b,20)", "Hangup()"]
"2" = ["Answer()", "Wait(1)", "Dial(PJSIP/b&PJSIP/a,5)", "Hangup()"]
"3" = ["Answer()", "Echo()"]
"4" = ["Progress()", "Busy(3)"]
"#;

struct Nowhere;

impl Surroundings for Nowhere {
    fn source_address(&self, _: IpAddr) -> Option<IpAddr> {
        Some(Ipv4Addr::new(192, 0, 2, 1).into())
    }

    fn unix_time(&self) -> u64 {
        1_800_000_000
    }

    fn fill_secret(&self, bytes: &mut [u8]) {
        bytes.fill(0x5e);
    }
}

/// Takes bytes off the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn piece(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?) << 3;
        let (piece, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(piece)
    }
}

struct World {
    now: Instant,
    controller: Controller,
    /// Legs that a worker would have open.
    open: Vec<(WorkerId, LegId)>,
    /// Requests that the gateway has sent to each peer, the last few.
    asked: Vec<(Flow, Request)>,
    /// To tags that the gateway gave, and the Call-IDs of the peers' own calls that have them.
    answered: Vec<(u8, String)>,
    branches: u32,
}

fn flow(peer: u8, protocol: Protocol) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol,
        peer: SocketAddr::from(([192, 0, 2, 10 + peer % 3], 5060)),
        domain: None,
    }
}

fn sdp(kind: u8, extra: &[u8]) -> Vec<u8> {
    let direction = ["sendrecv", "sendonly", "inactive", "recvonly"][usize::from(kind >> 2 & 3)];
    let formats = ["0", "8 0 101", "9 8", "18"][usize::from(kind >> 4 & 3)];
    let mut body = format!(
        "v=0\r\no=- 1 {kind} IN IP4 192.0.2.20\r\ns=-\r\nc=IN IP4 192.0.2.20\r\nt=0 0\r\nm=audio 4000 RTP/AVP {formats}\r\na={direction}\r\n"
    )
    .into_bytes();
    match kind & 3 {
        0 => body.clear(),
        1 => body = extra.to_vec(),
        2 => body.extend_from_slice(extra),
        _ => {}
    }
    body
}

fn with_body(mut head: String, body: &[u8]) -> Bytes {
    if !body.is_empty() {
        head.push_str("Content-Type: application/sdp\r\n");
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut message = head.into_bytes();
    message.extend_from_slice(body);
    message.into()
}

impl World {
    fn new() -> World {
        let now = Instant::now();
        let settings = config::parse("fuzz", CONFIGURATION, &NoLookup)
            .expect("valid")
            .settings;
        let (setup, _) = Setup::build(settings).expect("valid");
        let range = PortRange::new(20_000, 20_019, 2).expect("a range");
        World {
            now,
            controller: Controller::new(setup, range, 1, Box::new(Nowhere), now),
            open: Vec::new(),
            asked: Vec::new(),
            answered: Vec::new(),
            branches: 0,
        }
    }

    /// One step; None when the input is used up.
    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (what, peer) = (input.byte()?, input.byte()?);
        let flow = flow(peer, Protocol::Udp);
        match what % 10 {
            0 => self.controller.handle_datagram(
                self.now,
                flow,
                Bytes::copy_from_slice(input.piece()?),
            ),
            1 => {
                let stream = self::flow(peer, Protocol::Tcp);
                self.controller
                    .handle_stream(self.now, stream, input.piece()?);
            }
            2 | 3 => self.request(flow, peer, input)?,
            4..=6 => self.respond(peer, input)?,
            7 => self.media(input)?,
            8 => self.now += Duration::from_millis(u64::from(input.byte()?) * 137),
            _ => match peer >> 4 {
                0 => self.controller.handle_flow_failed(self.now, flow),
                1 => {
                    let addresses = [IpAddr::from([192, 0, 2, 11])];
                    let some = usize::from(peer & 1);
                    let name = String::from("trunk.example.com");
                    let service = format!("_sip._udp.{name}");
                    let (question, records) = match (peer >> 1) % 3 {
                        0 => (Question::Naptr(name), Records::Naptr(Vec::new())),
                        1 => (Question::Srv(service), Records::Srv(Vec::new())),
                        _ => {
                            let some = addresses[..some].to_vec();
                            (Question::Address(name), Records::Addresses(some))
                        }
                    };
                    let answer = match peer & 8 {
                        0 => Answer::Records { records, ttl: None },
                        _ => Answer::Failed,
                    };
                    self.controller.handle_resolved(self.now, &question, answer);
                }
                2 => {
                    let rows = self.controller.calls(self.now);
                    if let Some(row) = rows.first() {
                        assert!(self.controller.hangup(self.now, &row.id));
                    }
                }
                _ => {}
            },
        }
        self.settle();
        Some(())
    }

    /// A request of a peer, new or in one of its calls.
    fn request(&mut self, flow: Flow, peer: u8, input: &mut Input<'_>) -> Option<()> {
        let (kind, sequence, body) = (input.byte()?, input.byte()?, input.byte()?);
        let extra = if body & 3 == 1 || body & 3 == 2 {
            input.piece()?
        } else {
            &[]
        };
        let method = ["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "INFO"][usize::from(kind % 6)];
        let call = kind >> 6;
        let tag = self
            .answered
            .iter()
            .rev()
            .find(|(of, _)| *of == call)
            .map(|(_, tag)| tag);
        let to_tag = match tag {
            Some(tag) if kind & 0x20 != 0 => format!(";tag={tag}"),
            _ => String::new(),
        };
        // CANCEL and ACK share a branch with the request before, as a peer's would.
        self.branches += u32::from(!matches!(method, "CANCEL" | "ACK"));
        let head = format!(
            "{method} sip:{}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{}\r\nFrom: <sip:x@a>;tag=f{call}\r\n\
             To: <sip:y@b>{to_tag}\r\nCall-ID: {call}\r\nCSeq: {} {method}\r\nMax-Forwards: 70\r\n\
             Contact: <sip:x@192.0.2.{}>\r\n",
            1 + sequence % 4,
            flow.peer,
            self.branches,
            sequence >> 2,
            10 + peer % 3,
        );
        let message = with_body(head, &sdp(body, extra));
        self.controller.handle_datagram(self.now, flow, message);
        Some(())
    }

    /// A response of a peer to something that the gateway asked it.
    fn respond(&mut self, which: u8, input: &mut Input<'_>) -> Option<()> {
        let (kind, body) = (input.byte()?, input.byte()?);
        let extra = if body & 3 == 1 || body & 3 == 2 {
            input.piece()?
        } else {
            &[]
        };
        if self.asked.is_empty() {
            return Some(());
        }
        let (flow, request) = &self.asked[usize::from(which) % self.asked.len()];
        let status = [
            100, 180, 183, 200, 200, 200, 302, 401, 407, 481, 486, 491, 503, 603,
        ][usize::from(kind % 14)];
        let headers = request.headers();
        let via: String = headers
            .lines("Via")
            .map(|via| format!("Via: {via}\r\n"))
            .collect();
        let to = headers.get("To").unwrap_or("");
        let tag = if to.contains(";tag=") {
            ""
        } else {
            [";tag=g0", ";tag=g1"][usize::from(kind >> 7)]
        };
        let head = format!(
            "SIP/2.0 {status} X\r\n{via}From: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
             Contact: <sip:y@192.0.2.11>\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n",
            headers.get("From").unwrap_or(""),
            headers.get("Call-ID").unwrap_or(""),
            headers.get("CSeq").unwrap_or(""),
        );
        let (flow, message) = (*flow, with_body(head, &sdp(body, extra)));
        self.controller.handle_datagram(self.now, flow, message);
        Some(())
    }

    /// A worker's word about one of its legs.
    fn media(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (kind, which) = (input.byte()?, usize::from(input.byte()?));
        if self.open.is_empty() {
            return Some(());
        }
        let place = which % self.open.len();
        let (worker, leg) = self.open[place];
        let source = SocketAddr::from(([192, 0, 2, 20], 4000));
        let event = match kind % 5 {
            0 => {
                self.open.swap_remove(place);
                Event::OpenFailed {
                    leg,
                    error: OpenError::System(98),
                }
            }
            1 => Event::Latched { leg, source },
            2 => Event::Stranger { leg, source },
            3 => Event::Silent { leg },
            _ => Event::Report {
                leg,
                report: LegReport::default(),
            },
        };
        self.controller.handle_media(self.now, worker, event);
        Some(())
    }

    /// Timers that are due, and what the controller wants done.
    fn settle(&mut self) {
        while self
            .controller
            .poll_timeout()
            .is_some_and(|at| at <= self.now)
        {
            self.controller.handle_timeout(self.now);
        }
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Transmit(transmit) => self.note(transmit.flow, &transmit.bytes),
                Output::Command(worker, Command::Open { leg, .. }) => self.open.push((worker, leg)),
                Output::Command(worker, Command::Close { leg }) => {
                    // A close may meet an open that has failed; then nobody answers.
                    if let Some(place) = self.open.iter().position(|open| *open == (worker, leg)) {
                        self.open.swap_remove(place);
                        let report = LegReport::default();
                        self.controller.handle_media(
                            self.now,
                            worker,
                            Event::Closed { leg, report },
                        );
                    }
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, flow: Flow, bytes: &Bytes) {
        match Message::parse(bytes.clone()) {
            Ok(Message::Request(request)) if *request.method() != Method::Ack => {
                self.asked.truncate(7);
                self.asked.insert(0, (flow, request));
            }
            Ok(Message::Response(response)) => {
                let headers = response.headers();
                let call = headers.get("Call-ID").and_then(|id| id.parse().ok());
                if let (Some(call), Some(tag)) = (call, headers.to_tag()) {
                    self.answered.push((call, tag.to_owned()));
                }
            }
            _ => {}
        }
    }

    fn run_until(&mut self, end: Instant) {
        while let Some(next) = self.controller.poll_timeout().filter(|at| *at < end) {
            self.now = self.now.max(next);
            self.settle();
        }
        self.now = end;
        self.settle();
    }
}

/// Checks one input.
pub fn controller(data: &[u8]) {
    let mut world = World::new();
    let mut input = Input(data);
    while world.step(&mut input).is_some() {}
    world.controller.stop(world.now);
    world.settle();
    // Longer than any transaction, wait, lease or quarantine.
    world.run_until(world.now + Duration::from_secs(600));
    assert!(world.open.is_empty(), "legs of nobody: {:?}", world.open);
    let left = world.controller.leftovers();
    assert_eq!(left, Leftovers::default());
}
