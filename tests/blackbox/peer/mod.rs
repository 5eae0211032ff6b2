//! SIP peers on real sockets that a test plays step by step: telephones and providers.
//!
//! A thread of its own keeps each peer's transactions going and does what needs no test to say it: OPTIONS and BYE are
//! answered 200, so is a re-INVITE, a cancelled INVITE 487, and a provider asks for the password. All else waits until the test wants it.

mod call;
mod desk;
mod wire;

pub use call::{Call, converse};
pub use desk::{Login, Registered};

use crate::gateway::PATIENCE;
use call::Audio;
use desk::{Account, Desk, with_credentials};
use ringway::sip::endpoint::ClientTx;
use ringway::sip::message::{RequestDraft, ResponseDraft};
use ringway::sip::{Endpoint, Event, Flow, Method, Protocol, Response, TransportId};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Instant;
use wire::Line;

/// See the module's comment.
pub struct Peer {
    /// Its SIP address.
    pub address: SocketAddrV4,
    /// The payload types that it speaks, the preferred first.
    pub formats: Vec<u8>,
    gateway: Flow,
    line: Arc<Line>,
}

impl Peer {
    /// A peer on UDP.
    pub fn on_udp(address: SocketAddrV4, gateway: SocketAddrV4) -> Peer {
        Peer::new(address, gateway, Protocol::Udp, Line::on_udp(address))
    }

    /// A peer that connects to the gateway from a port of this host, as a telephone on TCP does.
    pub fn connected(host: Ipv4Addr, gateway: SocketAddrV4) -> Peer {
        let (line, address) = Line::connected(host, gateway);
        Peer::new(address, gateway, Protocol::Tcp, line)
    }

    /// A peer that waits for connections, as a provider on TCP does.
    pub fn listening(address: SocketAddrV4, gateway: SocketAddrV4) -> Peer {
        Peer::new(address, gateway, Protocol::Tcp, Line::listening(address))
    }

    fn new(
        address: SocketAddrV4,
        gateway: SocketAddrV4,
        protocol: Protocol,
        line: Arc<Line>,
    ) -> Peer {
        Peer {
            address,
            formats: vec![0, 8],
            gateway: flow(protocol, gateway.into()),
            line,
        }
    }

    /// The same with these payload types.
    pub fn with_formats(mut self, formats: &[u8]) -> Peer {
        self.formats = formats.to_vec();
        self
    }

    /// A provider: whoever knows the password may register, call, and end calls.
    pub fn with_account(self, realm: &str, login: Login) -> Peer {
        self.line.desk().account = Some(Account::new(realm, login));
        self
    }

    /// What the next registration gets, right password or not; several are used up in turn.
    pub fn refuse_registration(&self, response: ResponseDraft) {
        let mut desk = self.line.desk();
        let account = desk.account.as_mut().expect("a provider");
        account.refusals.push_back(response);
    }

    /// Waits for the next registration that is granted.
    pub fn registered(&self) -> Registered {
        self.wait("registration", |desk| desk.registered.pop_front())
    }

    /// Registers as this user, with the password when asked, and gives the last response.
    pub fn register(&self, login: Login) -> Response {
        let host = self.gateway.peer.ip();
        let aor = format!("<sip:{}@{host}>", login.username);
        let draft = RequestDraft::new(Method::Register, format!("sip:{host}"))
            .header("From", format_args!("{aor};tag=r"))
            .header("To", &aor)
            .header("Call-ID", self.line.desk().endpoint.new_call_id())
            .header("CSeq", "1 REGISTER")
            .header("Contact", self.contact(login.username))
            .header("Expires", 600);
        let tx = self.send(self.gateway, draft.clone());
        let response = self.response(tx);
        match with_credentials(&draft, &response, login) {
            Some(again) => self.response(self.send(self.gateway, again)),
            None => response,
        }
    }

    /// Calls a number at the gateway, which must ask for the password.
    pub fn dial(&self, login: Login, number: &str) -> Call<'_> {
        let user = login.username;
        let (draft, audio) = self.offer(self.invitation(number, user));
        let tx = self.send(self.gateway, draft.clone());
        let asked = self.response(tx);
        assert_eq!(asked.status(), 401, "a telephone is asked for its password");
        let again = with_credentials(&draft, &asked, login).expect("it can be answered");
        let tx = self.send(self.gateway, again);
        Call::outgoing(self, self.gateway, audio, tx)
    }

    /// The INVITE of a call to a number at the gateway by a user of it.
    pub fn invitation(&self, number: &str, user: &str) -> RequestDraft {
        let host = self.gateway.peer.ip();
        self.invite(
            &format!("sip:{number}@{host}"),
            &format!("<sip:{user}@{host}>"),
        )
    }

    /// The INVITE of a call to any URI.
    pub fn invite(&self, uri: &str, from: &str) -> RequestDraft {
        let mut desk = self.line.desk();
        let tag = desk.endpoint.new_tag();
        RequestDraft::new(Method::Invite, uri)
            .header("From", format_args!("{from};tag={tag}"))
            .header("To", format_args!("<{uri}>"))
            .header("Call-ID", desk.endpoint.new_call_id())
            .header("CSeq", "1 INVITE")
            .header("Contact", self.contact("peer"))
    }

    /// Calls with no password: by the way of a registration, or straight to the gateway.
    pub fn call(&self, way: Option<&Registered>, draft: RequestDraft) -> Call<'_> {
        let flow = way.map_or(self.gateway, |registered| registered.flow);
        let (draft, audio) = self.offer(draft);
        let tx = self.send(flow, draft);
        Call::outgoing(self, flow, audio, tx)
    }

    /// The INVITE with an offer.
    fn offer(&self, draft: RequestDraft) -> (RequestDraft, Audio) {
        let audio = self.audio();
        let call_id = draft.get_header("Call-ID").expect("an INVITE of ours");
        let offer = (self.line.desk()).begin(call_id, audio.own, &self.formats);
        (draft.body("application/sdp", offer), audio)
    }

    /// Waits for a call to come in.
    pub fn called(&self) -> Call<'_> {
        let (tx, flow, request) = self.wait("INVITE", Desk::take_invite);
        Call::incoming(self, flow, self.audio(), tx, request)
    }

    /// Checks that no call has come in but those that were asked for.
    pub fn assert_not_called(&self) {
        if let Some((_, _, request)) = self.line.desk().take_invite() {
            panic!("{} was called: {}", self.address, request.uri());
        }
    }

    /// The value of its Contact.
    fn contact(&self, user: &str) -> String {
        let transport = match self.gateway.protocol {
            Protocol::Tcp => ";transport=tcp",
            _ => "",
        };
        format!("<sip:{user}@{}{transport}>", self.address)
    }

    fn audio(&self) -> Audio {
        let port = self.line.desk().new_rtp_port();
        Audio::bind(
            SocketAddrV4::new(*self.address.ip(), port),
            self.gateway.peer.ip(),
        )
    }

    /// Sends a request in a transaction of its own.
    fn send(&self, flow: Flow, draft: RequestDraft) -> ClientTx {
        let sent_by = self.address.to_string();
        let sent = self.with_endpoint(|endpoint, now| endpoint.request(now, flow, &sent_by, draft));
        sent.expect("there is room for a transaction")
    }

    /// Does something with the endpoint, and sends what comes of it.
    fn with_endpoint<T>(&self, act: impl FnOnce(&mut Endpoint, Instant) -> T) -> T {
        let mut desk = self.line.desk();
        let done = act(&mut desk.endpoint, Instant::now());
        desk.turn();
        done
    }

    /// Waits for the next response of a transaction but 100.
    fn response(&self, tx: ClientTx) -> Response {
        self.wait("response", |desk| {
            desk.take(|event| match event {
                Event::Response {
                    tx: of, response, ..
                } if *of == tx && response.status() > 100 => Some(response.clone()),
                Event::Failed { tx: of, failure } if *of == tx => panic!("{failure:?}"),
                _ => None,
            })
        })
    }

    /// Waits until there is what is asked for.
    fn wait<T>(&self, what: &str, mut pick: impl FnMut(&mut Desk) -> Option<T>) -> T {
        let start = Instant::now();
        let mut desk = self.line.desk();
        loop {
            if let Some(found) = pick(&mut desk) {
                return found;
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() {
                let there = format!("{desk:#?}");
                drop(desk);
                panic!("{}: no {what}; there is {there}", self.address);
            }
            desk = self.line.wait(desk, left);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.line.end();
    }
}

/// A flow to an address.
fn flow(protocol: Protocol, peer: SocketAddr) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol,
        peer,
        domain: None,
    }
}
