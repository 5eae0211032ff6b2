//! The configurations of `config/examples`, as they stand, between a provider and telephones that the tests play.
//!
//! Only what users put their own in place of is replaced (addresses), and the times that nobody wants to wait for. Host
//! names are the providers' own: a name server of the test says where they are.

mod enterprise_trunk;
mod flowroute;
mod names;
mod sip_trunk;
mod telekom;
mod voipms_phones;

use crate::gateway::{Gateway, Network};
use crate::peer::{Login, Peer, Registered};
use names::{NameServer, Record};
use ringway::sip::message::ResponseDraft;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;

/// Payload types (RFC 3551 §6).
const ULAW: u8 = 0;
const ALAW: u8 = 8;
const G722: u8 = 9;
const G729: u8 = 18;

/// The first host of the provider's network, and the first of the one at home, each of 64; the latter are the
/// documentation's or the private addresses of the example.
const PROVIDER: u8 = 64;
const HOME: u8 = 128;
/// A host of no network that an example knows.
const STRANGER: u8 = 66 + 128;

/// The port of SIP.
const SIP: u16 = 5060;

/// An example, made ready for a test's own network.
struct Example {
    text: String,
    network: Network,
    names: NameServer,
}

impl Example {
    /// The file of that name. Its gateway will serve the network's host 1, and ask a name server with these records.
    fn new(name: &str, network: Network, records: Vec<Record>) -> Example {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
        let text = std::fs::read_to_string(path.join(name)).expect("an example");
        let names = NameServer::start(SocketAddrV4::new(network.host(53), 5353), records);
        let example = Example {
            text,
            network,
            names,
        };
        example.replace("0.0.0.0:5060", gateway(network))
    }

    /// Puts `new` in the place of every `old`, of which there must be one.
    fn replace(mut self, old: &str, new: impl Display) -> Example {
        assert!(self.text.contains(old), "the example does not hold {old}");
        self.text = self.text.replace(old, &new.to_string());
        self
    }

    /// Puts the test's own network in the place of that of the provider.
    fn provider_network(self, old: &str) -> Example {
        let new = self.network.host(PROVIDER);
        self.replace(old, format_args!("{new}/26"))
    }

    /// Puts the test's own network in the place of that of the telephones.
    fn home_network(self, old: &str) -> Example {
        let new = self.network.host(HOME);
        self.replace(old, format_args!("{new}/26"))
    }

    /// Runs it with a registrar that refuses, in so many ways, and then takes the registration, which is given back.
    /// The waits after refusals last a second.
    fn start_refused(
        mut self,
        registrar: &Peer,
        refusals: &[ResponseDraft],
    ) -> (Running, Registered) {
        for refusal in refusals {
            registrar.refuse_registration(refusal.clone());
        }
        let mut waits = 0;
        let sooner = |line: &str| match line.split_once(" = ") {
            Some((key, _)) if key.ends_with("retry_interval") => {
                waits += 1;
                format!("{key} = 1\n")
            }
            _ => format!("{line}\n"),
        };
        self.text = self.text.lines().map(sooner).collect();
        assert!(
            waits >= 2,
            "the example says how long it waits after refusals"
        );
        let running = self.start();
        let registered = registrar.registered();
        running.registered();
        for refusal in refusals.iter().filter(|refusal| refusal.status != 423) {
            let told = format!("{} {}", refusal.status, refusal.reason);
            running
                .gateway
                .eventually("it is told in the log", |gateway| {
                    gateway.log().contains(&told)
                });
        }
        (running, registered)
    }

    /// Runs it.
    fn start(self) -> Running {
        let nameservers = format!("[global]\nnameservers = [\"{}\"]\n", self.names.address);
        let text = match self.text.contains("\n[global]\n") {
            true => self.text.replacen("[global]\n", &nameservers, 1),
            false => format!("{nameservers}\n{}", self.text),
        };
        let admin = format!("\n[admin]\nlisten = \"{}:8088\"\n", self.network.gateway());
        let folder = tempfile::tempdir().expect("a temporary folder");
        Running {
            gateway: Gateway::run(self.network, folder, &(text + &admin)),
            _names: self.names,
        }
    }
}

/// The gateway's SIP address.
fn gateway(network: Network) -> SocketAddrV4 {
    SocketAddrV4::new(network.gateway(), SIP)
}

/// A telephone at home, registered over UDP.
fn phone(network: Network, number: u8, login: Login, formats: &[u8]) -> Peer {
    let own = SocketAddrV4::new(network.host(HOME + number), SIP);
    let phone = Peer::on_udp(own, gateway(network)).with_formats(formats);
    assert_eq!(phone.register(login).status(), 200);
    phone
}

/// A running example.
struct Running {
    gateway: Gateway,
    _names: NameServer,
}

impl Running {
    /// Waits until the registration stands, and with it who calls in by the trunk's host name.
    fn registered(&self) {
        self.gateway.eventually("it is registered", |gateway| {
            gateway.rows("registrations")[0]["state"] == "registered"
        });
    }

    /// A host outside of the ACL calls as one of the telephones: it hears nothing.
    fn assert_strangers_hear_nothing(&self, user: &str, number: &str) {
        let (network, to) = (self.gateway.network, gateway(self.gateway.network));
        let own: Ipv4Addr = network.host(STRANGER);
        let stranger = UdpSocket::bind((own, SIP)).expect("a free address");
        let call = format!(
            "INVITE sip:{number}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own}:{SIP};branch=z9hG4bK1\r\n\
             From: <sip:{user}@{to}>;tag=1\r\nTo: <sip:{number}@{to}>\r\nCall-ID: scan\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{own}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        );
        stranger.send_to(call.as_bytes(), to).expect("it is sent");
        self.gateway.eventually("it is refused", |gateway| {
            gateway.metric("ringway_sip_rejected_total{reason=\"acl\"}") >= 1.0
        });
        stranger.set_nonblocking(true).expect("a socket's mode");
        let heard = stranger.recv(&mut [0; 16]);
        assert!(heard.is_err(), "the stranger has an answer");
    }

    /// Somebody at home who has no password neither registers nor calls, whatever name he gives.
    fn assert_no_call_without_password(&self, login: Login, users: &[&str], number: &str) {
        let network = self.gateway.network;
        let own = SocketAddrV4::new(network.host(HOME + 40), SIP);
        let guest = Peer::on_udp(own, gateway(network));
        let wrong = Login {
            password: "guess",
            ..login
        };
        assert_eq!(guest.register(wrong).status(), 401);
        for user in users {
            let call = guest.call(None, guest.invitation(number, user));
            assert_eq!(call.refused(), 401, "{user}");
        }
    }

    /// Every call and port has come home, and the gateway ends well.
    fn finish(self) {
        self.gateway
            .eventually("every call and port comes home", Gateway::is_empty);
        self.gateway.stop();
    }
}
