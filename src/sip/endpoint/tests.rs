//! Two endpoints, a network of its own between them, and a clock that belongs to the test.

mod calls;

use super::*;
use crate::sip::flow::{Protocol, TransportId};
use crate::sip::message::{Message, Response};
use std::collections::BTreeMap;
use std::net::SocketAddr;

const MS: Duration = Duration::from_millis(1);
/// One way through the network.
const DELAY: Duration = Duration::from_millis(10);

/// Which of the two endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// The caller.
    A,
    /// The callee.
    B,
}
use Side::{A, B};

impl Side {
    fn other(self) -> Side {
        match self {
            A => B,
            B => A,
        }
    }

    /// The address that this side is known by.
    fn address(self) -> SocketAddr {
        match self {
            A => "192.0.2.1:5060".parse().expect("it is an address"),
            B => "192.0.2.2:5060".parse().expect("it is an address"),
        }
    }
}

/// What is done with a message on its way: nothing for a loss, else when each copy arrives after its sending.
type Fate<'a> = Box<dyn FnMut(Side, &[u8]) -> Vec<Duration> + 'a>;

struct Pair<'a> {
    start: Instant,
    now: Instant,
    protocol: Protocol,
    endpoints: BTreeMap<Side, Endpoint>,
    /// By arrival, then by order of sending.
    in_flight: BTreeMap<(Instant, u64), (Side, Bytes)>,
    sent: u64,
    fate: Fate<'a>,
    /// What was sent: when, by whom, the first line.
    log: Vec<(u64, Side, String)>,
    events: BTreeMap<Side, Vec<Event>>,
}

impl<'a> Pair<'a> {
    fn new(protocol: Protocol) -> Self {
        Self::with_fate(protocol, |_, _| vec![DELAY])
    }

    fn with_fate(protocol: Protocol, fate: impl FnMut(Side, &[u8]) -> Vec<Duration> + 'a) -> Self {
        let now = Instant::now();
        let endpoint = |seed| Endpoint::new(EndpointSettings::default(), seed);
        Pair {
            start: now,
            now,
            protocol,
            endpoints: BTreeMap::from([(A, endpoint(1)), (B, endpoint(2))]),
            in_flight: BTreeMap::new(),
            sent: 0,
            fate: Box::new(fate),
            log: Vec::new(),
            events: BTreeMap::from([(A, Vec::new()), (B, Vec::new())]),
        }
    }

    /// The way from a side to the other one.
    fn flow(&self, from: Side) -> Flow {
        Flow {
            transport: TransportId(0),
            protocol: self.protocol,
            peer: from.other().address(),
        }
    }

    fn at(&mut self, side: Side) -> &mut Endpoint {
        self.endpoints.get_mut(&side).expect("both are there")
    }

    /// Takes what the endpoints have to send and to say.
    fn collect(&mut self) {
        for side in [A, B] {
            while let Some(transmit) = self.at(side).poll_transmit() {
                assert_eq!(transmit.flow, self.flow(side), "there is one peer only");
                let text = String::from_utf8_lossy(&transmit.bytes);
                let line = text.lines().next().unwrap_or_default().to_owned();
                let at = self.now.duration_since(self.start).as_millis() as u64;
                self.log.push((at, side, line));
                for delay in (self.fate)(side, &transmit.bytes) {
                    self.sent += 1;
                    let arrival = (self.now + delay, self.sent);
                    self.in_flight
                        .insert(arrival, (side.other(), transmit.bytes.clone()));
                }
            }
            while let Some(event) = self.at(side).poll_event() {
                self.events
                    .get_mut(&side)
                    .expect("both are there")
                    .push(event);
            }
        }
    }

    /// Goes to the next thing that happens, if that is by `end`. False if nothing does.
    fn turn(&mut self, end: Instant) -> bool {
        self.collect();
        let arrival = self.in_flight.keys().next().map(|key| key.0);
        let timer = self
            .endpoints
            .values()
            .filter_map(Endpoint::poll_timeout)
            .min();
        let Some(next) = arrival
            .into_iter()
            .chain(timer)
            .min()
            .filter(|next| *next <= end)
        else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(next);
        let now = self.now;
        if arrival.is_some_and(|at| at <= now)
            && let Some((_, (to, bytes))) = self.in_flight.pop_first()
        {
            let from = self.flow(to);
            match self.protocol {
                Protocol::Udp => self.at(to).handle_datagram(now, from, bytes),
                _ => assert_eq!(self.at(to).handle_stream(now, from, &bytes), Ok(())),
            }
        } else {
            for endpoint in self.endpoints.values_mut() {
                endpoint.handle_timeout(now);
            }
        }
        self.collect();
        true
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.turn(end) {}
    }

    /// The events of a side since it was asked last.
    fn events(&mut self, side: Side) -> Vec<Event> {
        self.collect();
        std::mem::take(self.events.get_mut(&side).expect("both are there"))
    }

    /// The one event of a side since it was asked last.
    fn event(&mut self, side: Side) -> Event {
        let mut events = self.events(side);
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// First lines that a side has sent, with the time in milliseconds.
    fn sent_by(&self, side: Side) -> Vec<(u64, &str)> {
        let of_side = self.log.iter().filter(|entry| entry.1 == side);
        of_side.map(|(at, _, line)| (*at, line.as_str())).collect()
    }

    /// How often a side has sent what begins so.
    fn count(&self, side: Side, start: &str) -> usize {
        let lines = self.sent_by(side);
        lines
            .iter()
            .filter(|(_, line)| line.starts_with(start))
            .count()
    }

    fn send(&mut self, side: Side, draft: RequestDraft) -> ClientTx {
        let (now, flow) = (self.now, self.flow(side));
        let sent_by = side.address().to_string();
        let tx = self.at(side).request(now, flow, &sent_by, draft);
        tx.expect("the table is not full")
    }

    fn answer(&mut self, side: Side, tx: ServerTx, status: u16) {
        let now = self.now;
        self.at(side).respond(now, tx, ResponseDraft::new(status));
    }

    /// The ACK of a 2xx, as a dialog makes it.
    fn ack(&mut self, side: Side, tx: ClientTx, response: &Response) {
        let (now, flow) = (self.now, self.flow(side));
        let headers = response.headers();
        let ack = RequestDraft::new(Method::Ack, "sip:b@192.0.2.2")
            .header("From", headers.get("From").expect("it parsed"))
            .header("To", headers.get("To").expect("it parsed"))
            .header("Call-ID", headers.call_id())
            .header("CSeq", format!("{} ACK", headers.cseq().number));
        let sent_by = side.address().to_string();
        self.at(side).ack(now, tx, flow, &sent_by, ack);
    }

    /// Nothing is left once every timer has had its time.
    fn assert_all_end(&mut self) {
        self.run_for(Duration::from_secs(200));
        for (side, endpoint) in &self.endpoints {
            assert_eq!(endpoint.transactions(), 0, "{side:?}");
            assert_eq!(endpoint.poll_timeout(), None, "{side:?}");
        }
    }
}

/// A request as a user writes it.
fn draft(method: Method) -> RequestDraft {
    let cseq = format!("1 {}", method.as_str());
    RequestDraft::new(method, "sip:b@192.0.2.2")
        .header("From", "<sip:a@192.0.2.1>;tag=from-a")
        .header("To", "<sip:b@192.0.2.2>")
        .header("Call-ID", "call-1")
        .header("CSeq", cseq)
        .header("Contact", "<sip:a@192.0.2.1>")
}

fn parse_request(bytes: &[u8]) -> Request {
    match Message::parse(Bytes::copy_from_slice(bytes)) {
        Ok(Message::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

fn server_of(event: &Event) -> ServerTx {
    match event {
        Event::Request { tx, .. } => *tx,
        other => panic!("no request: {other:?}"),
    }
}

fn response_of(event: Event) -> (ClientTx, Response) {
    match event {
        Event::Response { tx, response } => (tx, response),
        other => panic!("no response: {other:?}"),
    }
}
