//! A gateway on virtual time whose requests a test answers by hand, one after the other.

use crate::control::call::tests::world::World;
use crate::control::controller::{Controller, Output, Surroundings};
use crate::control::locate::names::Answer;
use crate::link::PortRange;
use crate::sip::flow::{Flow, Protocol, Transmit, TransportId};
use crate::sip::message::{Message, Method, Request, RequestDraft, ResponseDraft};
use crate::sip::resolve::{Question, Records};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

struct Routes;

impl Surroundings for Routes {
    fn source_address(&self, _peer: IpAddr) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, 1]))
    }

    fn unix_time(&self) -> u64 {
        0
    }

    fn fill_secret(&self, bytes: &mut [u8]) {
        bytes.fill(0x5e);
    }
}

/// A request of the gateway's.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    pub flow: Flow,
    pub request: Request,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        let value = self.request.headers().get(name);
        value.unwrap_or_else(|| panic!("no {name} in {:?}", self.request))
    }

    pub fn cseq(&self) -> u32 {
        self.request.headers().cseq().number
    }

    /// A 200 that repeats the Contact with this `expires`.
    pub fn granted(&self, seconds: u32) -> ResponseDraft {
        let contact = format!("{};expires={seconds}", self.header("Contact"));
        ResponseDraft::new(200).header("Contact", contact)
    }
}

/// A gateway, and what it has sent.
pub struct Bench {
    pub begin: Instant,
    pub now: Instant,
    pub gateway: Controller,
    /// Requests, each once.
    pub asked: Vec<Asked>,
    /// Their branches, by which a retransmission is known.
    pub branches: BTreeSet<String>,
    pub pings: Vec<(Instant, Flow)>,
    pub looked_up: Vec<Question>,
    pub responses: Vec<u16>,
    pub drained: bool,
    pub invites: usize,
}

impl Bench {
    /// The DNS says that every name has these addresses, and no other record.
    pub fn resolve(&mut self, addresses: &[IpAddr]) {
        while let Some(question) = self.looked_up.pop() {
            let records = match question {
                Question::Address(_) => Records::Addresses(addresses.to_vec()),
                _ => Records::none(&question),
            };
            let answer = Answer::Records { records, ttl: None };
            self.gateway.handle_resolved(self.now, &question, answer);
            self.collect();
        }
    }

    /// With this configuration; what is to be sent at once is sent.
    pub fn with(config: &str) -> Bench {
        let now = Instant::now();
        let setup = World::setup(config);
        let range = PortRange::new(20_000, 20_099, 1).expect("a range");
        let mut bench = Bench {
            begin: now,
            now,
            gateway: Controller::new(setup, range, 7, Box::new(Routes), now),
            asked: Vec::new(),
            branches: BTreeSet::new(),
            pings: Vec::new(),
            looked_up: Vec::new(),
            responses: Vec::new(),
            drained: false,
            invites: 0,
        };
        bench.run(Duration::ZERO);
        bench
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.collect();
        while let Some(next) = self.gateway.poll_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.gateway.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
    }

    /// Runs until the next request, which must come within this time.
    pub fn until_asked(&mut self, within: Duration) {
        let end = self.now + within;
        while self.asked.is_empty() {
            let next = self.gateway.poll_timeout().expect("something to wait for");
            assert!(next <= end, "nothing was asked");
            self.run(next - self.now);
        }
    }

    pub fn collect(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Transmit(transmit) => self.take(transmit),
                Output::Resolve { question } => self.looked_up.push(question),
                Output::Drained => self.drained = true,
                Output::Command(..)
                | Output::CloseFlow(_)
                | Output::Known(_)
                | Output::Sounds(_)
                | Output::Record(_)
                | Output::Store(_) => {}
            }
        }
    }

    fn take(&mut self, Transmit { flow, bytes }: Transmit) {
        let at = self.now;
        if bytes == "\r\n\r\n" {
            return self.pings.push((at, flow));
        }
        match Message::parse(bytes).expect("what we send is SIP") {
            Message::Response(response) => self.responses.push(response.status()),
            Message::Request(request) => {
                let branch = request.headers().top_via().branch().map(str::to_owned);
                if self.branches.insert(branch.expect("a branch")) {
                    self.asked.push(Asked { at, flow, request });
                }
            }
        }
    }

    /// The request that came last; the only one since this was asked last.
    pub fn next(&mut self) -> Asked {
        assert_eq!(self.asked.len(), 1, "{:#?}", self.asked);
        self.asked.remove(0)
    }

    pub fn answer(&mut self, asked: &Asked, response: ResponseDraft) {
        let bytes = response.to_tag("registrar").write(&asked.request);
        match asked.flow.protocol {
            Protocol::Udp => self.gateway.handle_datagram(self.now, asked.flow, bytes),
            _ => self.gateway.handle_stream(self.now, asked.flow, &bytes),
        }
        self.collect();
    }

    /// The request that came last is answered so.
    pub fn answers(&mut self, response: impl FnOnce(&Asked) -> ResponseDraft) -> Asked {
        let asked = self.next();
        self.answer(&asked, response(&asked));
        asked
    }

    pub fn state(&self) -> String {
        self.gateway.registrations(self.now)[0].state.clone()
    }

    pub fn gauge(&self) -> f64 {
        let families = self.gateway.metrics().registry().gather();
        let family = families
            .iter()
            .find(|f| f.name() == "ringway_registration_state");
        family.map_or(-1.0, |family| {
            family.get_metric()[0].get_gauge().get_value()
        })
    }

    pub fn since_begin(&self, asked: &Asked) -> f64 {
        (asked.at - self.begin).as_secs_f64()
    }
}

pub fn udp(peer: &str) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol: Protocol::Udp,
        peer: peer.parse::<SocketAddr>().expect("an address"),
        domain: None,
    }
}

/// An INVITE to this URI, from this address.
pub fn invite(bench: &mut Bench, source: &str, uri: &str) -> Option<u16> {
    let flow = udp(source);
    bench.invites += 1;
    let call_id = format!("call-{}", bench.invites);
    let request = RequestDraft::new(Method::Invite, uri)
        .header("From", "<sip:+49301@tel.example.com>;tag=x")
        .header("To", format_args!("<{uri}>"))
        .header("Call-ID", &call_id)
        .header("CSeq", "1 INVITE")
        .header("Contact", "<sip:x@203.0.113.20>");
    let via = format!("SIP/2.0/UDP {source};branch=z9hG4bK{call_id}");
    bench.responses.clear();
    bench
        .gateway
        .handle_datagram(bench.now, flow, request.write(&via));
    bench.collect();
    bench.responses.last().copied()
}
