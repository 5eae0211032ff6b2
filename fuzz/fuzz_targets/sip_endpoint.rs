//! Arbitrary datagrams, stream pieces, answers and times into the SIP endpoint: it never panics, and when its user has
//! answered and cancelled everything and time has passed, no transaction and no timer is left.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::sip::endpoint::{ClientTx, Endpoint, EndpointSettings, Event, ServerTx};
use ringway::sip::message::{Message, Method, RequestDraft, ResponseDraft};
use ringway::sip::{Flow, Protocol, Request, TransportId};
use std::time::{Duration, Instant};

const METHODS: [Method; 6] = [
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Info,
];
const STATUSES: [u16; 6] = [100, 180, 200, 202, 302, 486];

struct User {
    now: Instant,
    endpoint: Endpoint,
    /// Requests that came and are perhaps not answered.
    servers: Vec<ServerTx>,
    clients: Vec<ClientTx>,
    /// What the endpoint has sent last that parses as a request.
    sent: Option<Request>,
}

/// Takes bytes off the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// One of these, as a byte says.
    fn one_of<T: Clone>(&mut self, choices: &[T]) -> Option<T> {
        let byte = usize::from(self.byte()?);
        Some(choices[byte % choices.len()].clone())
    }

    /// A piece with its length before it.
    fn piece(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?) << 4 | usize::from(self.byte()? & 15);
        let (piece, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Some(piece)
    }
}

fn flow(protocol: Protocol, peer: u8) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol,
        peer: ([192, 0, 2, peer % 4], 5060).into(),
        domain: None,
    }
}

/// A valid request of few possible identities, so that transactions, merges, copies and dialogs come about.
fn request(input: &mut Input<'_>) -> Option<RequestDraft> {
    let method = input.one_of(&METHODS)?;
    let (cseq, tags) = (input.byte()? % 4, input.byte()?);
    let to_tag = ["", ";tag=t", ";tag=u"][usize::from(tags % 3)];
    let cseq = format!("{cseq} {method}");
    let draft = RequestDraft::new(method, "sip:b@example.com")
        .header("From", format!("<sip:a@example.com>;tag=f{}", tags / 3 % 2))
        .header("To", format!("<sip:b@example.com>{to_tag}"))
        .header("Call-ID", "c")
        .header("CSeq", cseq);
    Some(draft)
}

impl User {
    /// One step; None when the input is used up.
    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let now = self.now;
        match input.byte()? % 9 {
            0 => {
                let (peer, bytes) = (input.byte()?, input.piece()?);
                let from = flow(Protocol::Udp, peer);
                self.endpoint
                    .handle_datagram(now, from, bytes.to_vec().into());
            }
            1 => {
                let (peer, bytes) = (input.byte()?, input.piece()?);
                // An error closes the connection, which the runtime then tells.
                let from = flow(Protocol::Tcp, peer);
                if self.endpoint.handle_stream(now, from, bytes).is_err() {
                    self.endpoint.handle_flow_failed(now, from);
                }
            }
            2 => {
                self.now += Duration::from_millis(u64::from(input.byte()?) * 50);
                self.endpoint.handle_timeout(self.now);
            }
            3 => {
                let protocol = input.one_of(&[Protocol::Udp, Protocol::Tcp])?;
                let to = flow(protocol, input.byte()?);
                let draft = request(input)?;
                if !matches!(draft.method, Method::Ack | Method::Cancel) {
                    let tx = self.endpoint.request(now, to, "192.0.2.9", draft);
                    self.clients.extend(tx);
                }
            }
            4 => {
                let (status, tag) = (input.one_of(&STATUSES)?, input.byte()? % 20);
                let draft = ResponseDraft::new(status).to_tag(&format!("r{tag}"));
                if let Some(answer) = self.sent.as_ref().map(|sent| draft.write(sent)) {
                    self.endpoint
                        .handle_datagram(now, flow(Protocol::Udp, 1), answer);
                }
            }
            5 => {
                let protocol = input.one_of(&[Protocol::Udp, Protocol::Tcp])?;
                let failed = flow(protocol, input.byte()?);
                self.endpoint.handle_flow_failed(now, failed);
            }
            6 => {
                let tx = self.clients.get(usize::from(input.byte()?)).copied();
                if let Some(tx) = tx {
                    self.endpoint.cancel(now, tx, Some("SIP;cause=487"));
                }
            }
            7 => {
                let (at, status) = (usize::from(input.byte()?), input.one_of(&STATUSES)?);
                if let Some(tx) = self.servers.get(at) {
                    let draft = ResponseDraft::new(status).to_tag("t");
                    self.endpoint.respond(now, *tx, draft);
                }
            }
            _ => {
                let via = ["", ";rport", ";branch=z9hG4bKx", ";branch=z9hG4bKy;rport"];
                let via = format!("SIP/2.0/UDP h{}", input.one_of(&via)?);
                let bytes = request(input)?.write(&via);
                self.endpoint
                    .handle_datagram(now, flow(Protocol::Udp, 1), bytes);
            }
        }
        self.listen();
        Some(())
    }

    fn listen(&mut self) {
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::Request { tx, .. } => self.servers.push(tx),
                Event::Response { tx, response, .. } if response.status() / 100 == 2 => {
                    let headers = response.headers();
                    let ack = RequestDraft::new(Method::Ack, "sip:b@example.com")
                        .header("From", headers.get("From").unwrap_or_default())
                        .header("To", headers.get("To").unwrap_or_default())
                        .header("Call-ID", headers.call_id())
                        .header("CSeq", "1 ACK");
                    let to = flow(Protocol::Udp, 1);
                    self.endpoint.ack(self.now, tx, to, "192.0.2.9", ack);
                }
                _ => {}
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            if let Ok(Message::Request(request)) = Message::parse(transmit.bytes) {
                self.sent = Some(request);
            }
        }
        while let Some(closed) = self.endpoint.poll_close() {
            self.endpoint.handle_flow_failed(self.now, closed);
        }
    }

    /// The user answers and cancels all that is left, and time passes.
    fn end(&mut self) {
        for tx in std::mem::take(&mut self.servers) {
            self.endpoint.respond(self.now, tx, ResponseDraft::new(500));
        }
        for tx in std::mem::take(&mut self.clients) {
            self.endpoint.cancel(self.now, tx, None);
        }
        let end = self.now + Duration::from_secs(300);
        while let Some(at) = self.endpoint.poll_timeout() {
            assert!(at < end, "a timer runs on");
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            self.listen();
        }
        assert_eq!(self.endpoint.transactions(), 0);
    }
}

fuzz_target!(|data: &[u8]| {
    let settings = EndpointSettings {
        transactions_max: 8,
        stream_message_max: 2_000,
        ..EndpointSettings::default()
    };
    let mut user = User {
        now: Instant::now(),
        endpoint: Endpoint::new(settings, 1),
        servers: Vec::new(),
        clients: Vec::new(),
        sent: None,
    };
    let mut input = Input(data);
    while user.step(&mut input).is_some() {}
    user.listen();
    user.end();
});
