//! A call of a peer, and its audio.

use super::Peer;
use crate::gateway::{PATIENCE, POLL};
use crate::media;
use ringway::sip::dialog::Dialog;
use ringway::sip::endpoint::{ClientTx, ServerTx};
use ringway::sip::message::{NameAddr, ResponseDraft, Uri};
use ringway::sip::{Event, Flow, Method, Request, Response};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// Packets that [`converse`] sends each way.
const PACKETS: u16 = 10;

/// The number of the packet that is said until it is heard.
const HELLO: u16 = 0;

/// The audio of one call.
pub(super) struct Audio {
    socket: media::Peer,
    pub(super) own: SocketAddrV4,
    /// The gateway's own address. What it tells may be the outside of a NAT, which forwards to the same ports here.
    gateway: Ipv4Addr,
    agreed: Option<Agreed>,
}

/// What the two sides have settled.
#[derive(Clone, Copy)]
struct Agreed {
    /// The address that the gateway told.
    told: Ipv4Addr,
    port: u16,
    format: u8,
}

/// A session description of audio there, with these payload types.
pub(super) fn describe(own: SocketAddrV4, version: u32, formats: &[u8]) -> String {
    let formats: Vec<String> = formats.iter().map(u8::to_string).collect();
    format!(
        "v=0\r\no=- 1 {version} IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {}\r\na=sendrecv\r\n",
        formats.join(" "),
        ip = own.ip(),
        port = own.port(),
    )
}

/// The payload types of a session description.
pub(super) fn formats_of(text: &str) -> Vec<u8> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("m=audio "));
    let formats = lines.next().unwrap_or_default().split(' ').skip(2);
    formats.filter_map(|format| format.parse().ok()).collect()
}

impl Audio {
    pub(super) fn bind(own: SocketAddrV4, gateway: IpAddr) -> Audio {
        let IpAddr::V4(gateway) = gateway else {
            unreachable!("the gateway of a test is on IPv4")
        };
        Audio {
            socket: media::Peer::bind(own),
            own,
            gateway,
            agreed: None,
        }
    }

    /// Takes the gateway's offer or answer: the first of its payload types that we speak as well.
    fn agree(&mut self, body: &[u8], own: &[u8]) {
        let text = std::str::from_utf8(body).expect("a session description");
        let line = |start: &str| {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(start));
            lines.next().unwrap_or_else(|| panic!("no {start}: {text}"))
        };
        let mut audio = line("m=audio ").split(' ');
        let port = audio.next().and_then(|port| port.parse().ok());
        let mut formats = formats_of(text).into_iter();
        let format = formats.find(|format| own.contains(format));
        self.agreed = Some(Agreed {
            told: line("c=IN IP4 ").parse().expect("an address"),
            port: port.expect("a port"),
            format: format.unwrap_or_else(|| panic!("no codec in common: {text}")),
        });
    }

    fn agreed(&self) -> Agreed {
        self.agreed.expect("the audio is settled")
    }
}

enum Side {
    /// We call.
    Calling(ClientTx),
    /// We are called.
    Called(ServerTx, Request),
}

/// See the module's comment.
pub struct Call<'p> {
    peer: &'p Peer,
    flow: Flow,
    audio: Audio,
    side: Side,
    dialog: Option<Dialog>,
}

impl<'p> Call<'p> {
    pub(super) fn outgoing(peer: &'p Peer, flow: Flow, audio: Audio, tx: ClientTx) -> Call<'p> {
        Call {
            peer,
            flow,
            audio,
            side: Side::Calling(tx),
            dialog: None,
        }
    }

    pub(super) fn incoming(
        peer: &'p Peer,
        flow: Flow,
        mut audio: Audio,
        tx: ServerTx,
        request: Request,
    ) -> Call<'p> {
        audio.agree(&request.body(), &peer.formats);
        let tag = peer.line.desk().endpoint.new_tag();
        Call {
            peer,
            flow,
            audio,
            dialog: Dialog::uas(&request, &tag),
            side: Side::Called(tx, request),
        }
    }

    // ---- of a call out ----

    fn invite(&self) -> ClientTx {
        match &self.side {
            Side::Calling(tx) => *tx,
            Side::Called(..) => panic!("this call came in"),
        }
    }

    /// Waits for a provisional response of this status.
    pub fn hears(&self, status: u16) -> Response {
        let response = self.peer.response(self.invite());
        assert_eq!(response.status(), status, "{}", response.reason());
        response
    }

    /// Waits for the final response, which must be a failure.
    pub fn refused(self) -> u16 {
        loop {
            let response = self.peer.response(self.invite());
            match response.status() {
                101..200 => {}
                200..300 => panic!("the call is answered"),
                status => return status,
            }
        }
    }

    /// Waits for the answer, and acknowledges it.
    pub fn answered(&mut self) {
        let tx = self.invite();
        let response = loop {
            let response = self.peer.response(tx);
            match response.status() {
                101..200 => {}
                200..300 => break response,
                status => panic!("the call is refused: {status} {}", response.reason()),
            }
        };
        self.audio.agree(&response.body(), &self.peer.formats);
        let gateway = Uri::parse(&format!("sip:{}", self.flow.peer)).expect("a URI");
        let dialog = Dialog::uac(&response, &gateway).expect("an answer makes a dialog");
        let (ack, sent_by) = (dialog.ack(&response), self.peer.address.to_string());
        self.peer
            .with_endpoint(|endpoint, now| endpoint.ack(now, tx, self.flow, &sent_by, ack));
        self.dialog = Some(dialog);
    }

    /// Gives up before the answer.
    pub fn cancel(self) {
        let tx = self.invite();
        self.peer
            .with_endpoint(|endpoint, now| endpoint.cancel(now, tx, None));
        assert_eq!(self.refused(), 487);
    }

    // ---- of a call in ----

    /// The INVITE that came.
    pub fn request(&self) -> &Request {
        match &self.side {
            Side::Called(_, request) => request,
            Side::Calling(_) => panic!("this call goes out"),
        }
    }

    /// The number called: the user of the Request-URI.
    pub fn number(&self) -> String {
        let uri = Uri::parse(self.request().uri()).expect("a URI");
        uri.user_decoded().unwrap_or_default()
    }

    /// The value of a header of the INVITE, "" if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.request().headers().get(name).unwrap_or_default()
    }

    /// Name, user and host of From.
    pub fn from(&self) -> (String, String, String) {
        let NameAddr {
            display_name, uri, ..
        } = self.request().headers().from();
        let host = uri.host.as_ref().map(ToString::to_string);
        (
            display_name.unwrap_or_default(),
            uri.user_decoded().unwrap_or_default(),
            host.unwrap_or_default(),
        )
    }

    fn respond(&self, response: ResponseDraft) {
        let Side::Called(tx, _) = &self.side else {
            panic!("this call goes out")
        };
        let id = self.dialog.as_ref().expect("the INVITE has a Contact").id();
        let response = response.to_tag(&id.local_tag);
        let response = response.header("Contact", self.peer.contact("peer"));
        self.peer
            .with_endpoint(|endpoint, now| endpoint.respond(now, *tx, response));
    }

    /// 180.
    pub fn ring(&self) {
        self.respond(ResponseDraft::new(180));
    }

    /// A failure, with no more to come.
    pub fn refuse(self, status: u16) {
        self.respond(ResponseDraft::new(status));
    }

    /// 200, and waits for its acknowledgement.
    pub fn answer(&mut self) {
        let (own, formats) = (self.audio.own, [self.audio.agreed().format]);
        let call_id = self.request().headers().call_id();
        let answer = self.peer.line.desk().begin(call_id, own, &formats);
        self.respond(ResponseDraft::new(200).body("application/sdp", answer));
        if let Some(dialog) = &mut self.dialog {
            dialog.confirm();
        }
        let Side::Called(tx, _) = &self.side else {
            panic!("this call goes out")
        };
        self.peer.wait("ACK", |desk| {
            desk.take(|event| match event {
                Event::Ack { tx: of, .. } if of == tx => Some(()),
                _ => None,
            })
        });
    }

    /// Waits until the caller, or who rings the telephones, gives up.
    pub fn cancelled(self) {
        let Side::Called(tx, _) = &self.side else {
            panic!("this call goes out")
        };
        self.peer.wait("CANCEL", |desk| {
            desk.take(|event| match event {
                Event::Cancelled { tx: of, .. } if of == tx => Some(()),
                _ => None,
            })
        });
    }

    // ---- of a call that is up, either way ----

    /// The address that the gateway tells for its audio.
    pub fn media_address(&self) -> Ipv4Addr {
        self.audio.agreed().told
    }

    /// The payload type.
    pub fn format(&self) -> u8 {
        self.audio.agreed().format
    }

    /// Hangs up.
    pub fn hang_up(mut self) {
        let dialog = self.dialog.as_mut().expect("the call is up");
        let bye = dialog.request(Method::Bye);
        let tx = self.peer.send(self.flow, bye);
        assert_eq!(self.peer.response(tx).status(), 200);
    }

    /// Waits for the other side to hang up.
    pub fn ended(self) {
        let dialog = self.dialog.as_ref().expect("the call is up");
        self.peer.wait("BYE", |desk| {
            desk.take(|event| match event {
                Event::Request { request, .. }
                    if *request.method() == Method::Bye && dialog.matches(request) =>
                {
                    Some(())
                }
                _ => None,
            })
        });
    }

    fn speak(&self, number: u16) -> Vec<u8> {
        let Agreed { port, format, .. } = self.audio.agreed();
        let speaker = u32::from(*self.audio.own.ip()) ^ u32::from(self.audio.own.port());
        let mut packet = media::packet(speaker, number);
        packet[1] = format;
        let to = SocketAddrV4::new(self.audio.gateway, port);
        self.audio.socket.send(to, &packet);
        packet
    }

    /// Speaks until the other side hears it: whoever answers within a millisecond may be faster than the gateway's
    /// sockets open.
    fn reach(&self, other: &Call<'_>) {
        let start = Instant::now();
        loop {
            self.speak(HELLO);
            std::thread::park_timeout(POLL);
            if !other.audio.socket.pending().is_empty() {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{} is not heard",
                self.audio.own
            );
        }
    }

    /// The next packet after the hello must be this one, in all that its speaker made.
    fn hear(&self, sent: &[u8]) {
        let (packet, source) = loop {
            let received = self.audio.socket.receive();
            let hello = media::packet(0, HELLO);
            if media::payload(&received.0) != media::payload(&hello) {
                break received;
            }
        };
        let Agreed { port, format, .. } = self.audio.agreed();
        assert_eq!(media::payload(&packet), media::payload(sent));
        assert_eq!(packet[1] & 0x7f, format, "the payload type");
        assert_eq!(source, SocketAddrV4::new(self.audio.gateway, port));
    }
}

/// Audio passes both ways between two calls that the gateway has joined, byte for byte.
pub fn converse(a: &Call<'_>, b: &Call<'_>) {
    a.reach(b);
    b.reach(a);
    for number in HELLO + 1..HELLO + PACKETS {
        b.hear(&a.speak(number));
        a.hear(&b.speak(number));
    }
}
