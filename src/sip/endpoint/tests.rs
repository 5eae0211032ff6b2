//! Two endpoints with a user each, a network between them, and a clock that belongs to the test.

mod calls;
mod cancel;
mod histories;
mod refusals;
mod transport;

use super::*;
use crate::sip::flow::{Protocol, TransportId};
use crate::sip::message::{Message, Response};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

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

/// What a user does at some time.
type Plan<'a> = Box<dyn FnOnce(&mut Pair<'a>) + 'a>;

/// What a user does about an event.
type Reaction<'a> = Rc<dyn Fn(&mut Pair<'a>, Side, Event) + 'a>;

/// An event, without what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Heard {
    Request(Method),
    Ack,
    AckTimeout,
    Cancelled,
    Response(u16),
    Failed(ClientFailure),
}

impl Heard {
    fn of(event: &Event) -> Heard {
        match event {
            Event::Request { request, .. } => Heard::Request(request.method().clone()),
            Event::Ack { .. } => Heard::Ack,
            Event::AckTimeout { .. } => Heard::AckTimeout,
            Event::Cancelled { .. } => Heard::Cancelled,
            Event::Response { response, .. } => Heard::Response(response.status()),
            Event::Failed { failure, .. } => Heard::Failed(*failure),
        }
    }
}

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
    /// Everything that the users heard: when, who, what.
    heard: Vec<(u64, Side, Heard)>,
    /// How many final responses or failures each client transaction had, by its generation.
    ends: BTreeMap<(Side, u32), usize>,
    plans: BTreeMap<(Instant, u64), Plan<'a>>,
    reaction: Option<Reaction<'a>>,
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
            heard: Vec::new(),
            ends: BTreeMap::new(),
            plans: BTreeMap::new(),
            reaction: None,
        }
    }

    /// Milliseconds since the start.
    fn millis(&self) -> u64 {
        self.now.duration_since(self.start).as_millis() as u64
    }

    /// Lets a user do something later.
    fn later(&mut self, after: Duration, plan: impl FnOnce(&mut Pair<'a>) + 'a) {
        self.sent += 1;
        self.plans
            .insert((self.now + after, self.sent), Box::new(plan));
    }

    /// Lets the users react to each event from now on.
    fn react(&mut self, reaction: impl Fn(&mut Pair<'a>, Side, Event) + 'a) {
        self.reaction = Some(Rc::new(reaction));
    }

    /// The way from a side to the other one.
    fn flow(&self, from: Side) -> Flow {
        Flow {
            transport: TransportId(0),
            protocol: self.protocol,
            peer: from.other().address(),
            domain: None,
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
                let at = self.millis();
                self.log.push((at, side, line));
                for delay in (self.fate)(side, &transmit.bytes) {
                    self.sent += 1;
                    let arrival = (self.now + delay, self.sent);
                    self.in_flight
                        .insert(arrival, (side.other(), transmit.bytes.clone()));
                }
            }
            while let Some(event) = self.at(side).poll_event() {
                self.note(side, &event);
                match self.reaction.clone() {
                    Some(reaction) => reaction(self, side, event),
                    None => self.events.entry(side).or_default().push(event),
                }
            }
        }
    }

    fn note(&mut self, side: Side, event: &Event) {
        let ended = match event {
            Event::Response { tx, response, .. } if response.status() >= 200 => Some(tx),
            Event::Failed { tx, .. } => Some(tx),
            _ => None,
        };
        if let Some(tx) = ended {
            *self.ends.entry((side, tx.generation)).or_default() += 1;
        }
        self.heard.push((self.millis(), side, Heard::of(event)));
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
        loop {
            let planned = self.plans.keys().next().map_or(end, |key| key.0.min(end));
            if self.turn(planned) {
                continue;
            }
            match self.plans.first_entry().filter(|plan| plan.key().0 <= end) {
                Some(plan) => plan.remove()(self),
                None => break,
            }
        }
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
        let tx = tx.expect("the table is not full");
        self.ends.insert((side, tx.generation), 0);
        tx
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

    /// What a side heard, in order.
    fn heard_by(&self, side: Side) -> Vec<Heard> {
        let of_side = self.heard.iter().filter(|entry| entry.1 == side);
        of_side.map(|(_, _, heard)| heard.clone()).collect()
    }

    fn cancel(&mut self, side: Side, tx: ClientTx) {
        let now = self.now;
        self.at(side).cancel(now, tx, Some("SIP;cause=487"));
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
        Event::Response { tx, response, .. } => (tx, response),
        other => panic!("no response: {other:?}"),
    }
}

/// What well-behaved users do: B rings after 100 ms and answers its INVITE with `status` after 1 s, all else with 200
/// at once, and a cancelled INVITE with 487; A acknowledges each 2xx and ends its call half a second later.
fn behave(pair: &mut Pair<'_>, status: u16) {
    pair.react(move |pair, side, event| match event {
        Event::Request { tx, request, .. } if *request.method() == Method::Invite => {
            pair.later(100 * MS, move |pair| pair.answer(side, tx, 180));
            pair.later(1_000 * MS, move |pair| pair.answer(side, tx, status));
        }
        Event::Request { tx, .. } => pair.answer(side, tx, 200),
        Event::Cancelled { tx, .. } => pair.answer(side, tx, 487),
        Event::Response { tx, response, .. } => acknowledge(pair, side, tx, response),
        Event::Ack { .. } | Event::AckTimeout { .. } | Event::Failed { .. } => {}
    });
}

/// A's part of it.
fn acknowledge(pair: &mut Pair<'_>, side: Side, tx: ClientTx, response: Response) {
    let is_answer = (200..300).contains(&response.status())
        && response.headers().cseq().method == Method::Invite;
    if !is_answer {
        return;
    }
    pair.ack(side, tx, &response);
    pair.later(500 * MS, move |pair| {
        let headers = response.headers();
        let bye = draft(Method::Bye)
            .set_header("To", headers.get("To").expect("it parsed"))
            .set_header("Call-ID", headers.call_id())
            .set_header("CSeq", "2 BYE");
        pair.send(side, bye);
    });
}
