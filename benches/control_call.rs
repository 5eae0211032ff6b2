//! What a whole call costs on the control plane: INVITE, 180, 200, ACK, BYE on both legs through the controller, without
//! sockets or workers. The peers copy text, so nearly all of the time is the gateway's.
//!
//! `cargo bench --bench control_call`; for instructions, the built binary under
//! `valgrind --tool=callgrind … --bench --profile-time 5`

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringway::config::{self, NoLookup};
use ringway::control::controller::{Output, Surroundings};
use ringway::control::{Controller, Setup};
use ringway::link::{Command, Event, LegReport, PortRange};
use ringway::sip::{Flow, Protocol, Transmit, TransportId};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
                   m=audio 20000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
                   a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";
const CALLER: u8 = 10;
const CALLED: u8 = 11;

/// As the binary does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Here;

impl Surroundings for Here {
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

/// Two trunks, and as many further endpoints with an address each that nobody calls from.
fn configuration(others: u32) -> String {
    let mut text = format!(
        r#"
[global]
max_calls = 100000
[rtp]
ports = "1024-65535"
[transport.udp]
protocol = "udp"
bind = "192.0.2.1:5060"
[endpoint.caller]
context = "in"
allow = ["alaw", "ulaw"]
[identify.caller]
endpoint = "caller"
match = ["192.0.2.{CALLER}"]
[endpoint.called]
context = "in"
allow = ["alaw", "ulaw"]
aor = {{ contact = ["sip:192.0.2.{CALLED}:5060"] }}
[identify.called]
endpoint = "called"
match = ["192.0.2.{CALLED}"]
[context.in.exten]
"_X." = ["Dial(PJSIP/${{EXTEN}}@called,20)", "Hangup()"]
"#
    );
    for other in 0..others {
        let address = Ipv4Addr::from(0x0a00_0000 + other);
        let _ = write!(
            text,
            "[endpoint.e{other}]\ncontext = \"in\"\n[identify.e{other}]\nendpoint = \"e{other}\"\nmatch = [\"{address}\"]\n"
        );
    }
    text
}

struct World {
    now: Instant,
    controller: Controller,
    calls: u64,
    /// Answered calls that are to end, the oldest first: what each side needs for that.
    up: std::collections::VecDeque<(u64, String)>,
    /// Port pairs closed by now.
    sent: Vec<Transmit>,
}

fn flow(peer: u8) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol: Protocol::Udp,
        peer: SocketAddr::from(([192, 0, 2, peer], 5060)),
        domain: None,
    }
}

/// The lines of a request that its response repeats.
fn repeated(request: &str) -> String {
    let is_repeated = |line: &&str| {
        ["Via:", "From:", "To:", "Call-ID:", "CSeq:"]
            .iter()
            .any(|name| line.starts_with(name))
    };
    let lines = request.split("\r\n").filter(is_repeated);
    lines.fold(String::new(), |all, line| all + line + "\r\n")
}

fn response(status: u16, request: &str, body: &str) -> String {
    let head = repeated(request);
    let head = if head.contains("To: <sip:192.0.2.11:5060>\r\n") || !head.contains(";tag=") {
        head
    } else {
        head.replacen(">\r\nCall-ID", ">;tag=called\r\nCall-ID", 1)
    };
    let content = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/sdp\r\n"
    };
    format!(
        "SIP/2.0 {status} X\r\n{head}Contact: <sip:called@192.0.2.{CALLED}:5060>\r\n{content}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl World {
    fn new(others: u32, running: u64) -> World {
        let now = Instant::now();
        let loaded = config::parse("bench", &configuration(others), &NoLookup).expect("valid");
        let (setup, _) = Setup::build(loaded.settings).expect("valid");
        let range = PortRange::new(1024, 65_535, 1).expect("a range");
        let mut world = World {
            now,
            controller: Controller::new(setup, range, 1, Box::new(Here), now),
            calls: 0,
            up: Default::default(),
            sent: Vec::new(),
        };
        for _ in 0..running {
            world.begin();
        }
        world
    }

    fn hear(&mut self, peer: u8, message: String) {
        self.controller
            .handle_datagram(self.now, flow(peer), Bytes::from(message));
        self.outputs();
    }

    fn outputs(&mut self) {
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sent.push(transmit),
                Output::Command(worker, Command::Close { leg }) => {
                    let report = LegReport::default();
                    self.controller
                        .handle_media(self.now, worker, Event::Closed { leg, report });
                }
                _ => {}
            }
        }
    }

    /// The last message that begins so.
    fn sent(&mut self, begin: &str) -> String {
        let found = self
            .sent
            .iter()
            .rev()
            .find(|sent| sent.bytes.starts_with(begin.as_bytes()));
        let bytes = &found.expect("it was sent").bytes;
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn caller_says(&self, method: &str, cseq: u32, call: u64, to_tag: &str, body: &str) -> String {
        let content = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} sip:4930123456@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.{CALLER}:5060;branch=z9hG4bK{call}-{cseq}-{method};rport\r\n\
             From: \"Caller\" <sip:49301@192.0.2.{CALLER}>;tag=a{call}\r\nTo: <sip:4930123456@192.0.2.1>{to_tag}\r\nCall-ID: {call}@example\r\n\
             CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContact: <sip:49301@192.0.2.{CALLER}:5060>\r\n{content}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// INVITE 180 200 ACK, on both legs.
    fn begin(&mut self) {
        self.sent.clear();
        self.calls += 1;
        let call = self.calls;
        self.hear(CALLER, self.caller_says("INVITE", 1, call, "", SDP));
        let invite = self.sent("INVITE ");
        self.hear(CALLED, response(180, &invite, ""));
        self.hear(CALLED, response(200, &invite, SDP));
        let ok = self.sent("SIP/2.0 200 ");
        let (_, tag) = ok
            .split_once("To: <sip:4930123456@192.0.2.1>")
            .expect("a To");
        let (tag, _) = tag.split_once("\r\n").expect("an end of line");
        let tag = tag.to_owned();
        self.hear(CALLER, self.caller_says("ACK", 1, call, &tag, ""));
        self.up.push_back((call, tag));
    }

    /// BYE 200, on both legs.
    fn end(&mut self) {
        self.sent.clear();
        let (call, tag) = self.up.pop_front().expect("one is up");
        self.hear(CALLER, self.caller_says("BYE", 2, call, &tag, ""));
        let bye = self.sent("BYE ");
        self.hear(CALLED, response(200, &bye, ""));
    }

    fn call(&mut self, interval: Duration) {
        self.begin();
        self.end();
        self.now += interval;
        self.controller.handle_timeout(self.now);
        self.outputs();
    }
}

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("controller call, both legs");
    group.throughput(Throughput::Elements(1));
    for (others, running) in [(0, 0), (0, 10_000), (100_000, 0)] {
        let interval = Duration::from_millis(1);
        let mut world = None;
        group.bench_function(
            format!("{} endpoints, {running} calls running", others + 2),
            |bench| {
                // Made for the cases that are asked for, so that instructions can be counted of one alone.
                let world = world.get_or_insert_with(|| {
                    let mut world = World::new(others, running);
                    // Until as many transactions die as are made.
                    for _ in 0..10_000 {
                        world.call(interval);
                    }
                    world
                });
                bench.iter(|| world.call(interval));
                assert_eq!(world.controller.calls_active() as u64, running);
                assert_eq!(world.controller.sip().counters().unmatched, 0);
            },
        );
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
