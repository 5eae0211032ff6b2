//! REGISTER on the wire: a controller, and phones that write their messages by hand.

use crate::control::call::tests::world::{Routes, World};
use crate::control::controller::{Controller, Output};
use crate::link::PortRange;
use crate::sip::auth::{Algorithm, Answer, Asker, Challenge, Password, challenges};
use crate::sip::flow::{Flow, Protocol, TransportId};
use crate::sip::message::{Message, Method, RequestDraft, Response};
use crate::store::{Change, ContactRecord};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) const CONFIG: &str = r#"
[transport.udp]
protocol = "udp"
bind = "192.0.2.1:5060"

[transport.tcp]
protocol = "tcp"
bind = "192.0.2.1:5060"

[endpoint.6001]
auth = { username = "6001", password = "s3cret" }
aor = { max_contacts = 2 }

[endpoint.6002]
auth = { username = "6002", password = "s3cret" }
aor = { max_contacts = 2, remove_existing = true, minimum_expiration = 0 }

[endpoint.nat]
auth = { username = "7001", password = "s3cret" }
aor = { max_contacts = 5 }
rewrite_contact = true

[endpoint.none]
auth = { username = "none", password = "s3cret" }
aor = { contact = ["sip:192.0.2.77"] }

[endpoint.open]
aor = { max_contacts = 1 }

[endpoint.near]
aor = { max_contacts = 1 }

[endpoint.trunk]

[identify.trunk]
endpoint = "trunk"
match = ["198.51.100.0/24"]

[identify.near]
endpoint = "near"
match = ["203.0.113.9"]

[context.default.exten]
"_X." = ["Dial(PJSIP/6001)"]
"#;

pub(super) struct Desk {
    pub now: Instant,
    pub gateway: Controller,
    pub closed: Vec<Flow>,
    /// What a store would hold, and what it was told to forget.
    pub stored: BTreeMap<u64, ContactRecord>,
    pub removed: Vec<u64>,
    sent: Vec<(Flow, Bytes)>,
    requests: u32,
}

/// One that registers: a series of REGISTERs over one flow.
#[derive(Clone)]
pub(super) struct Phone {
    pub user: &'static str,
    pub password: &'static str,
    pub flow: Flow,
    pub call_id: String,
    pub cseq: u32,
}

pub(super) fn udp(peer: &str) -> Flow {
    Flow {
        transport: TransportId(0),
        protocol: Protocol::Udp,
        peer: peer.parse().expect("an address"),
        domain: None,
    }
}

pub(super) fn tcp(peer: &str) -> Flow {
    Flow {
        transport: TransportId(1),
        protocol: Protocol::Tcp,
        peer: peer.parse().expect("an address"),
        domain: None,
    }
}

pub(super) fn phone(user: &'static str, flow: Flow) -> Phone {
    Phone {
        user,
        password: "s3cret",
        call_id: format!("{user}-{}", flow.peer),
        flow,
        cseq: 0,
    }
}

impl Desk {
    pub fn new() -> Desk {
        Desk::with_config(CONFIG)
    }

    pub fn with_config(text: &str) -> Desk {
        let now = Instant::now();
        let range = PortRange::new(20_000, 20_099, 1).expect("a range");
        Desk {
            now,
            gateway: Controller::new(
                World::setup(text),
                range,
                7,
                Box::new(Routes::default()),
                now,
            ),
            closed: Vec::new(),
            stored: BTreeMap::new(),
            removed: Vec::new(),
            sent: Vec::new(),
            requests: 0,
        }
    }

    pub fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.gateway.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.gateway.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
        self.gateway.handle_timeout(end);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sent.push((transmit.flow, transmit.bytes)),
                Output::CloseFlow(flow) => self.closed.push(flow),
                Output::Store(Change::Put(record)) => {
                    self.stored.insert(record.id, *record);
                }
                Output::Store(Change::Remove(id)) => {
                    self.stored.remove(&id);
                    self.removed.push(id);
                }
                _ => {}
            }
        }
    }

    /// Sends a request and gives its final response.
    fn ask(&mut self, flow: Flow, request: &RequestDraft) -> Response {
        self.requests += 1;
        let name = flow.protocol.via_name();
        let via = format!(
            "SIP/2.0/{name} {};branch=z9hG4bK{}",
            flow.peer, self.requests
        );
        let bytes = request.write(&via);
        match flow.protocol {
            Protocol::Udp => self.gateway.handle_datagram(self.now, flow, bytes),
            _ => self.gateway.handle_stream(self.now, flow, &bytes),
        }
        self.sent.clear();
        self.collect();
        let (to, bytes) = self.sent.pop().expect("an answer");
        assert_eq!(to, flow);
        match Message::parse(bytes) {
            Ok(Message::Response(response)) => response,
            other => panic!("no response: {other:?}"),
        }
    }

    /// A call from the trunk; what is sent because of it.
    fn call(&mut self, extension: &str) -> Vec<(Flow, String)> {
        self.requests += 1;
        let body = "v=0\r\no=- 1 1 IN IP4 198.51.100.10\r\ns=-\r\nc=IN IP4 198.51.100.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
        let request = RequestDraft::new(Method::Invite, format!("sip:{extension}@192.0.2.1"))
            .header("From", "<sip:123@198.51.100.10>;tag=t")
            .header("To", "<sip:1@192.0.2.1>")
            .header("Call-ID", format_args!("call-{}", self.requests))
            .header("CSeq", "1 INVITE")
            .header("Contact", "<sip:198.51.100.10>")
            .body("application/sdp", body);
        let via = format!(
            "SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bK{}",
            self.requests
        );
        let bytes = request.write(&via);
        self.sent.clear();
        self.gateway
            .handle_datagram(self.now, udp("198.51.100.10:5060"), bytes);
        self.collect();
        let text =
            |(flow, bytes): (Flow, Bytes)| (flow, String::from_utf8_lossy(&bytes).into_owned());
        self.sent.drain(..).map(text).collect()
    }

    /// A REGISTER with these headers; a challenge is answered.
    pub fn register(&mut self, phone: &mut Phone, headers: &[(&str, &str)]) -> Response {
        let to = format!("<sip:{}@example.com>", phone.user);
        self.register_as(phone, &to, headers)
    }

    pub fn register_as(
        &mut self,
        phone: &mut Phone,
        to: &str,
        headers: &[(&str, &str)],
    ) -> Response {
        let uri = "sip:example.com";
        // Else a late one would be taken for another branch of its original (RFC 3261 §8.2.2.2).
        let tag = self.requests;
        phone.cseq += 1;
        let mut request = RequestDraft::new(Method::Register, uri)
            .header(
                "From",
                format_args!("<sip:{}@example.com>;tag={tag}", phone.user),
            )
            .header("To", to)
            .header("Call-ID", &phone.call_id)
            .header("CSeq", format_args!("{} REGISTER", phone.cseq));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let first = self.ask(phone.flow, &request);
        if first.status() != 401 {
            return first;
        }
        phone.cseq += 1;
        let challenge = challenges(first.headers(), Asker::User).remove(0);
        let answer = challenge.answer(&Answer {
            username: phone.user,
            password: Password(phone.password),
            method: &Method::Register,
            uri,
            body: &[],
            cnonce: "abc",
            nonce_count: 1,
        });
        let request = request
            .set_header("CSeq", format_args!("{} REGISTER", phone.cseq))
            .header("Authorization", answer);
        self.ask(phone.flow, &request)
    }

    /// `uri expires` of each contact of an address of record, that refreshed last first.
    pub fn bound(&self, aor: &str) -> Vec<String> {
        let bindings = self.gateway.ctx.registrar.contacts(aor);
        let text = |one: &&super::binding::Binding| {
            format!("{} {}", one.contact.uri, one.expires_in_s(self.now))
        };
        bindings.iter().map(text).collect()
    }
}

fn status(response: &Response) -> u16 {
    response.status()
}

fn contacts(response: &Response) -> Vec<String> {
    response
        .headers()
        .values("Contact")
        .map(str::to_owned)
        .collect()
}

const HOME: &str = "192.0.2.10:5060";
const AWAY: &str = "192.0.2.20:5070";

#[test]
fn a_phone_registers_refreshes_asks_and_leaves() {
    let mut desk = Desk::new();
    let mut phone = phone("6001", udp(HOME));
    let contact = [
        ("Contact", "<sip:6001@192.0.2.10>;q=0.5"),
        ("Expires", "100"),
    ];
    let response = desk.register(&mut phone, &contact);
    assert_eq!(status(&response), 200);
    assert_eq!(
        contacts(&response),
        ["<sip:6001@192.0.2.10>;expires=100;q=0.5"]
    );
    desk.pass(60);
    assert_eq!(
        contacts(&desk.register(&mut phone, &[])),
        ["<sip:6001@192.0.2.10>;expires=40;q=0.5"],
        "a query changes nothing"
    );
    let response = desk.register(&mut phone, &contact);
    assert_eq!(
        contacts(&response).len(),
        1,
        "the same contact is refreshed"
    );
    desk.pass(99);
    assert_eq!(desk.bound("6001"), ["sip:6001@192.0.2.10 1"]);
    desk.pass(1);
    assert!(desk.bound("6001").is_empty(), "it is over");
    desk.register(&mut phone, &contact);
    let response = desk.register(
        &mut phone,
        &[("Contact", "<sip:6001@192.0.2.10>;expires=0")],
    );
    assert_eq!((status(&response), contacts(&response)), (200, vec![]));
    assert!(desk.bound("6001").is_empty());
    desk.pass(300);
    assert_eq!(
        desk.gateway.leftovers(),
        Default::default(),
        "no timer is left"
    );
}

#[test]
fn how_long_a_registration_lasts() {
    for (headers, expected) in [
        (vec![("Contact", "<sip:a@192.0.2.10>")], "3600"),
        (
            vec![("Contact", "<sip:a@192.0.2.10>"), ("Expires", "60")],
            "60",
        ),
        (
            vec![
                ("Contact", "<sip:a@192.0.2.10>;expires=90"),
                ("Expires", "60"),
            ],
            "90",
        ),
        (
            vec![
                ("Contact", "<sip:a@192.0.2.10>;expires=99999999999"),
                ("Expires", "60"),
            ],
            "7200",
        ),
        (
            vec![("Contact", "<sip:a@192.0.2.10>"), ("Expires", "soon")],
            "3600",
        ),
    ] {
        let mut desk = Desk::new();
        let response = desk.register(&mut phone("6001", udp(HOME)), &headers);
        assert_eq!(status(&response), 200, "{headers:?}");
        assert_eq!(
            desk.bound("6001"),
            [format!("sip:a@192.0.2.10 {expected}")],
            "{headers:?}"
        );
    }
    let mut desk = Desk::new();
    let headers = [("Contact", "<sip:a@192.0.2.10>;expires=59")];
    let response = desk.register(&mut phone("6001", udp(HOME)), &headers);
    assert_eq!(status(&response), 423);
    assert_eq!(response.headers().get("Min-Expires"), Some("60"));
}

#[test]
fn a_star_stands_alone_and_removes_all() {
    let mut desk = Desk::new();
    let mut phone = phone("6001", udp(HOME));
    desk.register(
        &mut phone,
        &[("Contact", "<sip:a@192.0.2.10>, <sip:b@192.0.2.10>")],
    );
    for headers in [
        vec![("Contact", "*")],
        vec![("Contact", "*"), ("Expires", "60")],
        vec![
            ("Contact", "*"),
            ("Contact", "<sip:a@192.0.2.10>"),
            ("Expires", "0"),
        ],
    ] {
        assert_eq!(
            status(&desk.register(&mut phone, &headers)),
            400,
            "{headers:?}"
        );
        assert_eq!(desk.bound("6001").len(), 2);
    }
    let response = desk.register(&mut phone, &[("Contact", "*"), ("Expires", "0")]);
    assert_eq!((status(&response), contacts(&response)), (200, vec![]));
    assert!(desk.bound("6001").is_empty());
}

#[test]
fn a_contact_that_could_not_be_called_is_refused() {
    let mut desk = Desk::new();
    let mut phone = phone("6001", udp(HOME));
    let long = format!("<sip:{}@192.0.2.10>", "x".repeat(2000));
    let many = vec!["<sip:a@192.0.2.10>"; 65].join(",");
    for contact in ["<tel:+123>", "<mailto:a@b>", &long, &many] {
        let response = desk.register(&mut phone, &[("Contact", contact)]);
        assert_eq!(status(&response), 400, "{contact}");
    }
    assert!(desk.bound("6001").is_empty());
}

#[test]
fn beyond_max_contacts_it_is_403_or_the_oldest_makes_room() {
    let mut desk = Desk::new();
    let (mut home, mut away) = (phone("6001", udp(HOME)), phone("6001", udp(AWAY)));
    let both = [("Contact", "<sip:a@192.0.2.10>, <sip:b@192.0.2.10>")];
    assert_eq!(status(&desk.register(&mut home, &both)), 200);
    let third = [("Contact", "<sip:c@192.0.2.20>")];
    assert_eq!(status(&desk.register(&mut away, &third)), 403);
    assert_eq!(desk.bound("6001").len(), 2);
    assert_eq!(
        status(&desk.register(&mut home, &both)),
        200,
        "a refresh has room"
    );

    let (mut home, mut away) = (phone("6002", udp(HOME)), phone("6002", udp(AWAY)));
    for contact in [
        "<sip:a@192.0.2.10>",
        "<sip:b@192.0.2.10>",
        "<sip:a@192.0.2.10>",
    ] {
        desk.register(&mut home, &[("Contact", contact)]);
    }
    let response = desk.register(&mut away, &third);
    assert_eq!(status(&response), 200);
    assert_eq!(
        desk.bound("6002"),
        ["sip:c@192.0.2.20 3600", "sip:a@192.0.2.10 3600"],
        "b was refreshed the longest ago"
    );
    let three = [(
        "Contact",
        "<sip:d@192.0.2.20>, <sip:e@192.0.2.20>, <sip:f@192.0.2.20>",
    )];
    assert_eq!(status(&desk.register(&mut away, &three)), 403);

    let mut none = phone("none", udp(HOME));
    assert_eq!(
        status(&desk.register(&mut none, &third)),
        403,
        "static contacts only"
    );
}

#[test]
fn what_is_late_does_not_undo_what_is_newer() {
    let mut desk = Desk::new();
    let mut phone = phone("6001", udp(HOME));
    let contact = [("Contact", "<sip:a@192.0.2.10>")];
    desk.register(&mut phone, &contact);
    let newest = phone.cseq;
    for headers in [
        vec![("Contact", "<sip:a@192.0.2.10>;expires=0")],
        vec![("Contact", "*"), ("Expires", "0")],
    ] {
        phone.cseq = newest - 2;
        assert_eq!(
            status(&desk.register(&mut phone, &headers)),
            500,
            "{headers:?}"
        );
        assert_eq!(desk.bound("6001").len(), 1);
    }
    phone.cseq = 0;
    phone.call_id = String::from("after-a-restart");
    assert_eq!(status(&desk.register(&mut phone, &contact)), 200);
    assert_eq!(desk.bound("6001").len(), 1);
}

#[test]
fn a_register_is_done_whole_or_not_at_all() {
    let mut desk = Desk::new();
    let mut phone = phone("6001", udp(HOME));
    desk.register(&mut phone, &[("Contact", "<sip:a@192.0.2.10>")]);
    let mixed = [(
        "Contact",
        "<sip:a@192.0.2.10>;expires=0, <sip:b@192.0.2.10>;expires=5",
    )];
    assert_eq!(status(&desk.register(&mut phone, &mixed)), 423);
    assert_eq!(desk.bound("6001"), ["sip:a@192.0.2.10 3600"]);
}

#[test]
fn who_may_register_as_whom() {
    let contact = [("Contact", "<sip:a@192.0.2.10>")];
    let mut desk = Desk::new();
    let mut wrong = phone("6001", udp(HOME));
    wrong.password = "guess";
    assert_eq!(status(&desk.register(&mut wrong, &contact)), 401);
    let mut nobody = phone("6009", udp(HOME));
    assert_eq!(status(&desk.register(&mut nobody, &contact)), 401);
    // No auth, and no [identify] of it: its name alone opens nothing.
    assert_eq!(
        status(&desk.register(&mut phone("open", udp(HOME)), &contact)),
        401
    );
    assert_eq!(
        status(&desk.register(&mut phone("near", udp(HOME)), &contact)),
        401
    );
    assert_eq!(
        status(&desk.register(&mut phone("near", udp("203.0.113.9:5060")), &contact)),
        200
    );
    // Another's address of record.
    let response = desk.register_as(&mut phone("6001", udp(HOME)), "<sip:6002@x>", &contact);
    assert_eq!(status(&response), 404);
    // A phone that knows its user name, and not how its section is called.
    assert_eq!(
        status(&desk.register(&mut phone("7001", udp(HOME)), &contact)),
        200
    );
    assert_eq!(desk.bound("nat").len(), 1);
    assert!(desk.bound("6001").is_empty() && desk.bound("6002").is_empty());
}

#[test]
fn a_phone_behind_the_address_of_a_trunk_is_known_by_its_user() {
    let mut desk = Desk::new();
    let mut phone = phone("6001", udp("198.51.100.10:5060"));
    let contact = [("Contact", "<sip:a@198.51.100.10>")];
    let response = desk.register(&mut phone, &contact);
    assert_eq!(status(&response), 200);
    assert_eq!(phone.cseq, 2, "it was challenged");
}

#[test]
fn path_is_kept_and_told() {
    let mut desk = Desk::new();
    let mut phone = phone("6001", udp(HOME));
    let response = desk.register(
        &mut phone,
        &[
            ("Contact", "<sip:a@10.0.0.1>"),
            ("Path", "<sip:p1.example.com;lr>, <sip:p2.example.com;lr>"),
            ("Require", "path"),
        ],
    );
    assert_eq!(status(&response), 200);
    let path: Vec<&str> = response.headers().values("Path").collect();
    assert_eq!(path, ["<sip:p1.example.com;lr>", "<sip:p2.example.com;lr>"]);
    let response = desk.register(&mut phone, &[("Require", "path, gruu")]);
    assert_eq!(status(&response), 420);
    assert_eq!(response.headers().get("Unsupported"), Some("gruu"));
}

#[test]
fn an_instance_and_its_flow_replace_themselves_wherever_they_come_from() {
    let mut desk = Desk::new();
    let contact = |port: u16, reg_id: u32| {
        format!("<sip:a@192.0.2.10:{port}>;+sip.instance=\"<urn:uuid:1>\";reg-id={reg_id}")
    };
    let (mut first, mut second) = (phone("6001", tcp(HOME)), phone("6001", udp(AWAY)));
    let supported = ("Supported", "path, outbound");
    let response = desk.register(&mut first, &[("Contact", &contact(1, 1)), supported]);
    assert_eq!(response.headers().get("Require"), Some("outbound"));
    assert_eq!(
        contacts(&response),
        ["<sip:a@192.0.2.10:1>;expires=3600;+sip.instance=\"<urn:uuid:1>\";reg-id=1"]
    );
    let response = desk.register(&mut second, &[("Contact", &contact(2, 1)), supported]);
    assert_eq!(
        response.headers().get("Require"),
        None,
        "no STUN is spoken on UDP"
    );
    assert_eq!(
        desk.bound("6001"),
        ["sip:a@192.0.2.10:2 3600"],
        "the same flow"
    );
    desk.register(&mut second, &[("Contact", &contact(3, 2)), supported]);
    assert_eq!(desk.bound("6001").len(), 2, "another flow of the phone");
    // RFC 5626 §6: without `outbound`, reg-id means nothing.
    desk.register(&mut second, &[("Contact", "*"), ("Expires", "0")]);
    desk.register(&mut first, &[("Contact", &contact(1, 1))]);
    desk.register(&mut first, &[("Contact", &contact(2, 1))]);
    assert_eq!(desk.bound("6001").len(), 2);
}

#[test]
fn phones_behind_nats_may_write_the_same_address() {
    let mut desk = Desk::new();
    let contact = [("Contact", "<sip:a@192.168.1.10:5060>")];
    let mut home = phone("7001", udp("203.0.113.50:1024"));
    let mut away = phone("7001", udp("203.0.113.60:1024"));
    desk.register(&mut home, &contact);
    desk.register(&mut away, &contact);
    assert_eq!(desk.bound("nat").len(), 2, "two phones");
    home.flow = udp("203.0.113.51:4711");
    desk.register(&mut home, &contact);
    assert_eq!(desk.bound("nat").len(), 2, "the NAT has moved one of them");
    let flows: Vec<_> = desk
        .gateway
        .ctx
        .registrar
        .contacts("nat")
        .iter()
        .map(|one| one.flow())
        .collect();
    assert_eq!(flows, [Some(home.flow), Some(away.flow)]);
    let gone = [("Contact", "<sip:a@192.168.1.10:5060>;expires=0")];
    desk.register(&mut away, &gone);
    assert_eq!(desk.bound("nat").len(), 1);
}

#[test]
fn a_closed_connection_takes_the_way_back_with_it() {
    let mut desk = Desk::new();
    let (near, behind) = (tcp("192.0.2.10:40000"), tcp("203.0.113.50:40000"));
    desk.register(
        &mut phone("6001", near),
        &[("Contact", "<sip:a@192.0.2.10;transport=tcp>")],
    );
    desk.register(
        &mut phone("7001", behind),
        &[("Contact", "<sip:a@192.168.1.10;transport=tcp>")],
    );
    let flow = |desk: &Desk| desk.gateway.ctx.registrar.contacts("6001")[0].flow();
    assert_eq!(
        flow(&desk),
        Some(near),
        "calls go over the connection that is there"
    );
    desk.gateway.handle_flow_failed(desk.now, near);
    desk.gateway.handle_flow_failed(desk.now, behind);
    assert_eq!(flow(&desk), None, "the contact itself is to be tried");
    assert!(desk.bound("nat").is_empty(), "nothing else leads there");
    let again = tcp("192.0.2.10:40001");
    desk.register(
        &mut phone("6001", again),
        &[("Contact", "<sip:a@192.0.2.10;transport=tcp>")],
    );
    assert_eq!(flow(&desk), Some(again));
    assert_eq!(desk.bound("6001").len(), 1);
    // What is no SIP: the gateway itself closes.
    desk.gateway.handle_stream(
        desk.now,
        again,
        b"INVITE x SIP/2.0\r\nContent-Length: x\r\n\r\n",
    );
    desk.pass(0);
    assert_eq!((desk.closed.clone(), flow(&desk)), (vec![again], None));
}

#[test]
fn a_message_that_never_ends_closes_its_connection_for_all_who_use_it() {
    let mut desk = Desk::new();
    let behind = tcp("203.0.113.50:40000");
    desk.register(
        &mut phone("7001", behind),
        &[("Contact", "<sip:a@192.168.1.10;transport=tcp>")],
    );
    desk.gateway
        .handle_stream(desk.now, behind, b"INVITE sip:1@192.0.2.1 SIP/2.0\r\n");
    desk.pass(31);
    assert_eq!((desk.closed.len(), desk.bound("nat").len()), (0, 1));
    desk.pass(1);
    assert_eq!(desk.closed, [behind]);
    assert!(desk.bound("nat").is_empty(), "nothing else leads there");
    // A call that rings over it fails at once, too.
    desk.register(
        &mut phone("6001", behind),
        &[("Contact", "<sip:a@192.0.2.10;transport=tcp>")],
    );
    let rings = desk.call("11");
    assert!(
        rings
            .iter()
            .any(|(flow, text)| *flow == behind && text.starts_with("INVITE "))
    );
    desk.gateway
        .handle_stream(desk.now, behind, b"SIP/2.0 180 Ringing\r\n");
    desk.sent.clear();
    desk.gateway
        .handle_stream(desk.now, behind, b"garbage\r\n\r\n");
    desk.collect();
    let told = desk
        .sent
        .iter()
        .map(|(flow, bytes)| (flow.peer.to_string(), bytes));
    let told = told.filter(|(_, bytes)| bytes.starts_with(b"SIP/2.0 503"));
    assert_eq!(
        told.map(|(peer, _)| peer).collect::<Vec<_>>(),
        ["198.51.100.10:5060"]
    );
}

#[test]
fn a_connection_is_closed_behind_the_answer_to_what_broke_it() {
    let mut desk = Desk::new();
    let flow = tcp("192.0.2.10:40000");
    let broken = "OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.10:40000;branch=z9hG4bK1\r\n\
                  From: <sip:a@192.0.2.10>;tag=1\r\nTo: <sip:192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n\
                  Content-Length: x\r\n\r\n";
    desk.gateway
        .handle_stream(desk.now, flow, broken.as_bytes());
    let outputs: Vec<_> = std::iter::from_fn(|| desk.gateway.poll_output()).collect();
    match outputs.as_slice() {
        [Output::Transmit(answer), Output::CloseFlow(closed)] => {
            assert!(answer.bytes.starts_with(b"SIP/2.0 400 "));
            assert_eq!((answer.flow, *closed), (flow, flow));
        }
        other => panic!("an answer, then the end: {other:?}"),
    }
}

#[test]
fn a_reload_keeps_who_is_registered_and_drops_who_may_no_longer_be() {
    let mut desk = Desk::new();
    for user in ["6001", "6002"] {
        desk.register(
            &mut phone(user, udp(HOME)),
            &[("Contact", "<sip:a@192.0.2.10>")],
        );
    }
    let without = CONFIG.replace("aor = { max_contacts = 2 }", "");
    desk.gateway.reload(desk.now, World::setup(&without));
    assert!(desk.bound("6001").is_empty());
    assert_eq!(desk.bound("6002").len(), 1);
    let metrics = || {
        let text = desk.gateway.metrics().registry().gather();
        let family = text
            .iter()
            .find(|family| family.name() == "ringway_contacts");
        let samples = family.expect("it is exported").get_metric();
        let label = |metric: &prometheus::proto::Metric| {
            format!(
                "{} {}",
                metric.get_label()[0].value(),
                metric.get_gauge().get_value()
            )
        };
        samples.iter().map(label).collect::<Vec<_>>()
    };
    assert_eq!(metrics(), ["6002 1", "nat 0", "near 0", "open 0"]);
}

#[test]
fn operators_see_static_and_registered_contacts() {
    let mut desk = Desk::new();
    let headers = [
        ("Contact", "<sip:a@192.0.2.10>"),
        ("User-Agent", "Desk Phone 1"),
    ];
    desk.register(&mut phone("6001", udp(HOME)), &headers);
    let rows = desk.gateway.contacts(desk.now);
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let source = row.source.as_deref().unwrap_or("-");
            format!(
                "{} {} {source} {} {:?} {}",
                row.aor, row.uri, row.user_agent, row.expires_in_s, row.status
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "6001 sip:a@192.0.2.10 192.0.2.10:5060 Desk Phone 1 Some(3600) registered",
            "none sip:192.0.2.77 -  None static",
        ]
    );
}

#[test]
fn a_call_goes_over_the_connection_that_the_phone_has_opened() {
    let mut desk = Desk::new();
    let flow = tcp("192.0.2.10:40000");
    desk.register(
        &mut phone("6001", flow),
        &[("Contact", "<sip:a@192.0.2.10:5060;transport=tcp>")],
    );
    let called = |sent: &[(Flow, String)]| {
        let invites = sent.iter().filter(|(_, text)| text.starts_with("INVITE "));
        invites.map(|(flow, _)| *flow).collect::<Vec<_>>()
    };
    assert_eq!(called(&desk.call("11")), [flow]);
    desk.gateway.handle_flow_failed(desk.now, flow);
    assert_eq!(
        called(&desk.call("12")),
        [tcp("192.0.2.10:5060")],
        "where the contact says"
    );
}

#[test]
fn credentials_that_were_overheard_open_nothing() {
    let mut desk = Desk::new();
    let flow = udp(HOME);
    let register = |cseq: u32| {
        RequestDraft::new(Method::Register, "sip:example.com")
            .header("From", format_args!("<sip:6001@example.com>;tag={cseq}"))
            .header("To", "<sip:6001@example.com>")
            .header("Call-ID", "x")
            .header("CSeq", format_args!("{cseq} REGISTER"))
    };
    let asked = desk.ask(flow, &register(1));
    let mut challenge = challenges(asked.headers(), Asker::User).remove(0);
    let answer = |challenge: &Challenge, nonce_count| {
        challenge.answer(&Answer {
            username: "6001",
            password: Password("s3cret"),
            method: &Method::Register,
            uri: "sip:example.com",
            body: &[],
            cnonce: "abc",
            nonce_count,
        })
    };
    let mut send = |cseq, authorization: &str| {
        desk.ask(flow, &register(cseq).header("Authorization", authorization))
    };
    assert_eq!(send(2, &answer(&challenge, 1)).status(), 200);
    assert_eq!(
        send(3, &answer(&challenge, 2)).status(),
        200,
        "the next count of the same nonce"
    );
    let again = send(4, &answer(&challenge, 1));
    assert_eq!(again.status(), 401);
    challenge = challenges(again.headers(), Asker::User).remove(0);
    assert!(
        challenge.stale,
        "whoever knows the password need not ask its user"
    );
    assert_eq!(send(5, &answer(&challenge, 1)).status(), 200);
}

#[test]
fn a_nonce_grows_old_and_either_algorithm_will_do() {
    let both = "[global]\ndefault_auth_algorithms_uas = [\"SHA-256\", \"MD5\"]\n";
    let mut desk = Desk::with_config(&format!("{CONFIG}{both}"));
    let flow = udp(HOME);
    for (index, algorithm) in [Algorithm::Sha256, Algorithm::Md5].into_iter().enumerate() {
        let register = |cseq: u32| {
            RequestDraft::new(Method::Register, "sip:example.com")
                .header("From", format_args!("<sip:6001@example.com>;tag={cseq}"))
                .header("To", "<sip:6001@example.com>")
                .header("Call-ID", format_args!("x{index}"))
                .header("CSeq", format_args!("{cseq} REGISTER"))
        };
        let asked = desk.ask(flow, &register(1));
        let all = challenges(asked.headers(), Asker::User);
        let offered: Vec<Algorithm> = all.iter().map(|challenge| challenge.algorithm).collect();
        assert_eq!(offered, [Algorithm::Sha256, Algorithm::Md5]);
        let chosen = all
            .iter()
            .find(|challenge| challenge.algorithm == algorithm);
        let answer = chosen.expect("it is offered").answer(&Answer {
            username: "6001",
            password: Password("s3cret"),
            method: &Method::Register,
            uri: "sip:example.com",
            body: &[],
            cnonce: "abc",
            nonce_count: 1,
        });
        // Another's credentials, for a proxy on the way, stand beside.
        let with = |request: RequestDraft| {
            let other = "Digest username=\"u\",realm=\"elsewhere\",nonce=\"n\",uri=\"sip:x\",response=\"00\"";
            request
                .header("Authorization", other)
                .header("Authorization", &answer)
        };
        assert_eq!(desk.ask(flow, &with(register(2))).status(), 200);
        desk.pass(60);
        let late = desk.ask(flow, &with(register(3)));
        let stale = challenges(late.headers(), Asker::User)
            .iter()
            .all(|challenge| challenge.stale);
        assert_eq!((late.status(), stale), (401, true));
    }
}

#[test]
fn who_is_registered_outlives_a_restart() {
    let mut desk = Desk::new();
    let instance = ("Supported", "outbound");
    let rich = "<sip:a@192.0.2.10>;q=0.5;+sip.instance=\"<urn:uuid:1>\";reg-id=1";
    let headers = [
        ("Contact", rich),
        instance,
        ("Path", "<sip:p;lr>"),
        ("User-Agent", "Desk"),
    ];
    desk.register(&mut phone("6001", udp(HOME)), &headers);
    desk.register(
        &mut phone("7001", udp("203.0.113.50:1024")),
        &[("Contact", "<sip:b@192.168.1.1>")],
    );
    desk.register(
        &mut phone("7001", tcp("203.0.113.60:1024")),
        &[("Contact", "<sip:c@192.168.1.1>")],
    );
    desk.register(
        &mut phone("6002", tcp("192.0.2.20:1024")),
        &[("Contact", "<sip:d@192.0.2.20>;expires=90")],
    );
    desk.register(
        &mut phone("near", udp("203.0.113.9:5060")),
        &[("Contact", "<sip:e@203.0.113.9>")],
    );
    let records = desk.stored.values().cloned().collect();

    let without = CONFIG.replace(
        "[endpoint.near]\naor = { max_contacts = 1 }",
        "[endpoint.near]",
    );
    let mut after = Desk::with_config(&without);
    after.gateway.restore_contacts(after.now, records);
    after.pass(0);
    assert_eq!(
        after.removed.len(),
        2,
        "the connection behind a NAT, and who may not register any more"
    );
    let row = |desk: &Desk, aor: &str| {
        let rows = desk.gateway.contacts(desk.now);
        rows.into_iter()
            .filter(|row| row.aor == aor)
            .collect::<Vec<_>>()
    };
    assert_eq!(row(&after, "6001"), row(&desk, "6001"));
    assert_eq!(row(&after, "6001").len(), 1);
    let flows = |desk: &Desk, aor: &str| {
        let bindings = desk.gateway.ctx.registrar.contacts(aor);
        bindings.iter().map(|one| one.flow()).collect::<Vec<_>>()
    };
    assert_eq!(flows(&after, "nat"), [Some(udp("203.0.113.50:1024"))]);
    assert_eq!(flows(&after, "6002"), [None], "where the contact says");
    after.pass(90);
    assert!(after.bound("6002").is_empty(), "its time goes on");
    // The series goes on too, and a new binding has a name of its own.
    let mut same = phone("6001", udp(HOME));
    assert_eq!(
        status(&after.register(&mut same, &headers)),
        500,
        "that CSeq was seen before the restart"
    );
    let response = after.register(&mut same, &headers);
    assert_eq!((status(&response), contacts(&response).len()), (200, 1));
    after.register(&mut same, &[("Contact", "<sip:other@192.0.2.10>")]);
    let ids: Vec<u64> = after.stored.keys().copied().collect();
    assert!(
        ids.iter().any(|id| !desk.stored.contains_key(id)),
        "{ids:?}"
    );
}

#[test]
fn what_is_stored_is_what_is_bound() {
    let mut desk = Desk::new();
    let mut phone = phone("6002", udp(HOME));
    for value in [
        "<sip:a@192.0.2.10>",
        "<sip:b@192.0.2.10>",
        "<sip:c@192.0.2.10>;expires=60",
        "<sip:b@192.0.2.10>",
    ] {
        desk.register(&mut phone, &[("Contact", value)]);
        assert_eq!(desk.stored.len(), desk.bound("6002").len());
    }
    let mut uris: Vec<&str> = desk
        .stored
        .values()
        .map(|record| record.uri.as_str())
        .collect();
    uris.sort_unstable();
    assert_eq!(
        uris,
        ["sip:b@192.0.2.10", "sip:c@192.0.2.10"],
        "a has made room"
    );
    desk.pass(60);
    assert_eq!(desk.stored.len(), 1, "c is over");
    desk.register(&mut phone, &[("Contact", "*"), ("Expires", "0")]);
    assert!(desk.stored.is_empty());
}
