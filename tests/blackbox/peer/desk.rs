//! What a peer's thread does by itself, and what it keeps for the test.

use super::call::{describe, formats_of};
use super::wire::Wire;
use crate::gateway::PATIENCE;
use ringway::sip::auth::{
    Algorithm, Answer, Asker, AuthSettings, Authenticator, Credentials, Password, Verdict,
    challenges,
};
use ringway::sip::endpoint::ServerTx;
use ringway::sip::message::{RequestDraft, ResponseDraft};
use ringway::sip::{Endpoint, EndpointSettings, Event, Flow, Method, Request, Response};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddrV4;
use std::time::Instant;

/// A user's name and password.
#[derive(Clone, Copy)]
pub struct Login {
    pub username: &'static str,
    pub password: &'static str,
}

/// Whom a provider lets in.
pub(super) struct Account {
    login: Login,
    authenticator: Authenticator,
    /// What the next registrations get.
    pub(super) refusals: VecDeque<ResponseDraft>,
}

impl Account {
    pub(super) fn new(realm: &str, login: Login) -> Account {
        let settings = AuthSettings {
            realm: realm.to_owned(),
            algorithms: vec![Algorithm::Md5],
            nonce_lifetime: PATIENCE * 10,
        };
        Account {
            login,
            authenticator: Authenticator::new(settings, [7; 32], Instant::now()),
            refusals: VecDeque::new(),
        }
    }

    /// The challenge for a request without the password: 401 for a REGISTER, 407 for others.
    fn challenge(&mut self, flow: Flow, request: &Request) -> Option<ResponseDraft> {
        let (now, source) = (Instant::now(), flow.peer.ip());
        let asker = match request.method() {
            Method::Register => Asker::User,
            _ => Asker::Proxy,
        };
        let shown = Credentials::all(request.headers(), asker);
        let user = (self.login.username, Password(self.login.password));
        let (method, body) = (request.method(), request.body());
        let verdict = shown.first().map(|shown| {
            let authenticator = &mut self.authenticator;
            authenticator.verify(now, source, shown, method, &body, Some(user))
        });
        if verdict == Some(Verdict::Valid) {
            return None;
        }
        let stale = verdict == Some(Verdict::Stale);
        let challenge = self.authenticator.challenge(now, source, stale).remove(0);
        Some(ResponseDraft::new(asker.status()).header(asker.challenge_header(), challenge))
    }
}

/// A registration that a provider has granted.
pub struct Registered {
    /// The REGISTER.
    pub request: Request,
    /// The way that it came, and that calls go.
    pub(super) flow: Flow,
}

impl Registered {
    /// What calls to it have as Request-URI.
    pub fn contact(&self) -> String {
        let contact = self.request.headers().contact().expect("a Contact");
        contact.uri.to_string()
    }
}

/// See the module's comment.
pub(super) struct Desk {
    pub(super) endpoint: Endpoint,
    pub(super) wire: Wire,
    pub(super) account: Option<Account>,
    pub(super) registered: VecDeque<Registered>,
    /// What nobody has asked for yet.
    events: VecDeque<Event>,
    /// Where the audio of each call is and its payload types, by Call-ID.
    sessions: HashMap<String, (SocketAddrV4, Vec<u8>)>,
    rtp_ports: u16,
}

/// For the message of a test that waited in vain.
impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.events).finish()
    }
}

impl Desk {
    pub(super) fn new(seed: u64, wire: Wire) -> Desk {
        Desk {
            endpoint: Endpoint::new(EndpointSettings::default(), seed),
            wire,
            account: None,
            registered: VecDeque::new(),
            events: VecDeque::new(),
            sessions: HashMap::new(),
            rtp_ports: 0,
        }
    }

    /// The RTP port of a new call.
    pub(super) fn new_rtp_port(&mut self) -> u16 {
        self.rtp_ports += 2;
        6000 + self.rtp_ports
    }

    /// The session description that a call begins with.
    pub(super) fn begin(&mut self, call_id: &str, audio: SocketAddrV4, formats: &[u8]) -> String {
        let session = (audio, formats.to_vec());
        self.sessions.insert(call_id.to_owned(), session);
        describe(audio, 1, formats)
    }

    /// The answer to a re-INVITE: the audio stays where it is, with those payload types that both have.
    fn answer_again(&self, request: &Request) -> ResponseDraft {
        let Some((audio, own)) = self.sessions.get(request.headers().call_id()) else {
            return ResponseDraft::new(481);
        };
        let body = request.body();
        let mut formats = formats_of(&String::from_utf8_lossy(&body));
        formats.retain(|format| own.contains(format));
        ResponseDraft::new(200)
            .header("Contact", format_args!("<{}>", request.uri()))
            .body("application/sdp", describe(*audio, 2, &formats))
    }

    /// Runs timers, deals with what has come and sends what is to be sent.
    pub(super) fn turn(&mut self) {
        let now = Instant::now();
        self.endpoint.handle_timeout(now);
        while let Some(event) = self.endpoint.poll_event() {
            self.on_event(now, event);
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.wire.send(&transmit);
        }
    }

    fn on_event(&mut self, now: Instant, event: Event) {
        match &event {
            Event::Request { tx, flow, request } => {
                if let Some(response) = self.answer(*flow, request) {
                    let is_bye = *request.method() == Method::Bye && response.status == 200;
                    self.endpoint.respond(now, *tx, response);
                    if !is_bye {
                        return;
                    }
                }
            }
            Event::Cancelled { tx, .. } => {
                self.endpoint.respond(now, *tx, ResponseDraft::new(487));
            }
            _ => {}
        }
        self.events.push_back(event);
    }

    /// What a request gets without the test's doing.
    fn answer(&mut self, flow: Flow, request: &Request) -> Option<ResponseDraft> {
        let asks = matches!(
            request.method(),
            Method::Register | Method::Invite | Method::Bye
        );
        if let Some(account) = self.account.as_mut().filter(|_| asks)
            && let Some(challenge) = account.challenge(flow, request)
        {
            return Some(challenge);
        }
        match request.method() {
            Method::Options | Method::Bye => Some(ResponseDraft::new(200)),
            Method::Register => Some(self.grant(flow, request)),
            Method::Invite if request.headers().to_tag().is_some() => {
                Some(self.answer_again(request))
            }
            _ => None,
        }
    }

    fn grant(&mut self, flow: Flow, request: &Request) -> ResponseDraft {
        let Some(account) = &mut self.account else {
            return ResponseDraft::new(405);
        };
        if let Some(refusal) = account.refusals.pop_front() {
            return refusal;
        }
        let headers = request.headers();
        let contact = headers.get("Contact").unwrap_or("*").to_owned();
        let expires = headers.get("Expires").unwrap_or("0").to_owned();
        if expires != "0" {
            self.registered.push_back(Registered {
                request: request.clone(),
                flow,
            });
        }
        ResponseDraft::new(200)
            .header("Contact", contact)
            .header("Expires", expires)
    }

    /// What the first event that is picked says; the event goes, the others stay in their places.
    pub(super) fn take<T>(&mut self, pick: impl FnMut(&Event) -> Option<T>) -> Option<T> {
        let mut picked = self.events.iter().map(pick).enumerate();
        let (place, found) = picked.find_map(|(place, found)| Some((place, found?)))?;
        self.events.remove(place);
        Some(found)
    }

    /// The first INVITE that begins a call.
    pub(super) fn take_invite(&mut self) -> Option<(ServerTx, Flow, Request)> {
        self.take(|event| match event {
            Event::Request { tx, flow, request }
                if *request.method() == Method::Invite && request.headers().to_tag().is_none() =>
            {
                Some((*tx, *flow, request.clone()))
            }
            _ => None,
        })
    }
}

/// The request again, with the password; None if the response does not ask for one.
pub(super) fn with_credentials(
    draft: &RequestDraft,
    response: &Response,
    login: Login,
) -> Option<RequestDraft> {
    let asker = Asker::of_status(response.status())?;
    let all = challenges(response.headers(), asker);
    let answer = all.first()?.answer(&Answer {
        username: login.username,
        password: Password(login.password),
        method: &draft.method,
        uri: &draft.uri,
        body: draft.get_body(),
        cnonce: "abc",
        nonce_count: 1,
    });
    let cseq = response.headers().cseq().number + 1;
    let draft = draft.clone();
    let method = draft.method.clone();
    let draft = draft.set_header("CSeq", format_args!("{cseq} {method}"));
    Some(draft.header(asker.credentials_header(), answer))
}
