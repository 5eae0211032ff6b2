//! The gateway registers at Kamailio, whose nonces are short-lived, and is called and forgotten by it.

use crate::gateway::{Gateway, Network, Options, PATIENCE, POLL};
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A running Kamailio of the test's own.
struct Kamailio {
    process: Child,
    folder: tempfile::TempDir,
    host: Ipv4Addr,
}

impl Kamailio {
    /// Starts it and waits until it answers.
    fn start(host: Ipv4Addr) -> Kamailio {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let text = include_str!("kamailio.cfg").replace("HOST", &host.to_string());
        std::fs::write(path("kamailio.cfg"), text).expect("its configuration is written");
        let log = std::fs::File::create(path("kamailio.log")).expect("a log file");
        let process = Command::new("/usr/sbin/kamailio")
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f"])
            .arg(path("kamailio.cfg"))
            .arg("-Y")
            .arg(folder.path())
            .arg("-P")
            .arg(path("kamailio.pid"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("kamailio runs (Debian: kamailio; `make test` installs it)");
        let kamailio = Kamailio {
            process,
            folder,
            host,
        };
        let start = Instant::now();
        while kamailio.options("nobody") != Some(404) {
            let log = std::fs::read_to_string(kamailio.folder.path().join("kamailio.log"));
            assert!(start.elapsed() < PATIENCE, "it did not start: {log:?}");
            std::thread::park_timeout(POLL);
        }
        kamailio
    }

    /// What comes back to an OPTIONS for this user, who may have registered. Kamailio itself has nothing to say but 404.
    fn options(&self, user: &str) -> Option<u16> {
        let socket = UdpSocket::bind((self.host, 0)).expect("a free port");
        let timeout = std::time::Duration::from_secs(1);
        socket.set_read_timeout(Some(timeout)).expect("a time-out");
        let own = socket.local_addr().expect("bound");
        let uri = format!("sip:{user}@{}", self.host);
        let request = format!(
            "OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{port};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:caller@tel.example.com>;tag=1\r\nTo: <{uri}>\r\nCall-ID: {port}-{user}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n",
            port = own.port(),
        );
        socket.send_to(request.as_bytes(), (self.host, 5060)).ok()?;
        let mut buffer = [0; 4096];
        loop {
            let length = socket.recv(&mut buffer).ok()?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let status: u16 = text.split(' ').nth(1)?.parse().ok()?;
            if status >= 200 {
                return Some(status);
            }
        }
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Its main process ends its children when it is asked to end, not when it is killed.
        let id = nix::unistd::Pid::from_raw(self.process.id() as i32);
        let _ = nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

const SECTIONS: &str = r#"
[auth.good]
username = "030123456"
password = "a:b@c"

[auth.bad]
username = "030123456"
password = "abc"

[endpoint.provider]
context = "from-called"

[registration.udp]
server_uri = "sip:HOST4"
client_uri = "sip:+49301@tel.example.com"
contact_user = "49301"
outbound_auth = "good"
expiration = 4
endpoint = "provider"

[registration.tcp]
server_uri = "sip:HOST4;transport=tcp"
client_uri = "sip:+49302@tel.example.com"
outbound_auth = "good"
endpoint = "provider"
line = true

[registration.wrong]
server_uri = "sip:HOST4"
client_uri = "sip:+49303@tel.example.com"
outbound_auth = "bad"

[registration.barred]
server_uri = "sip:HOST4"
client_uri = "sip:barred@tel.example.com"
outbound_auth = "good"
forbidden_retry_interval = 1
max_retries = 4294967295
"#;

/// State and last error of a registration.
fn state(gateway: &Gateway, name: &str) -> (String, String) {
    let rows = gateway.rows("registrations");
    let rows = rows.as_array().expect("rows");
    let row = rows
        .iter()
        .find(|row| row["name"] == name)
        .expect("its row");
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("last_error"))
}

fn is_registered(gateway: &Gateway, name: &str) -> bool {
    state(gateway, name).0 == "registered"
}

#[test]
fn registers_at_kamailio_is_called_by_it_and_unregisters() {
    let network = Network::new();
    let kamailio = Kamailio::start(network.host(4));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        sections: SECTIONS,
        ..Options::default()
    };
    let gateway = Gateway::start_at(network, folder, &options);
    for name in ["udp", "tcp"] {
        gateway.eventually("registered", |gateway| is_registered(gateway, name));
    }
    gateway.eventually("a wrong password is refused", |gateway| {
        let (state, error) = state(gateway, "wrong");
        state == "stopped" && error.starts_with("401 ")
    });
    gateway.eventually("a barred number is tried again", |gateway| {
        let (state, error) = state(gateway, "barred");
        let attempts = gateway.log().matches("registration=\"barred\"").count();
        state == "rejected" && error == "403 Forbidden" && attempts >= 2
    });
    // Whoever calls is told by the registration: its endpoint has no [identify.*], and a stranger would get 401.
    for user in ["+49301", "+49302"] {
        assert_eq!(
            kamailio.options(user),
            Some(200),
            "{user}\n{}",
            gateway.log()
        );
    }
    // The nonce lives 3 s, the binding 4: some refreshes get by with it, others are challenged again.
    let registers =
        "ringway_sip_requests_total{direction=\"out\",method=\"REGISTER\",transport=\"udp\"";
    let before = gateway.metric(registers);
    gateway.eventually("refreshed", |gateway| {
        gateway.metric(registers) > before + 10.0
    });
    assert!(is_registered(&gateway, "udp"), "{}", gateway.log());
    assert!(!gateway.log().contains("a:b@c"), "a password in the log");
    gateway.stop();
    for user in ["+49301", "+49302"] {
        assert_eq!(
            kamailio.options(user),
            Some(404),
            "{user} is still registered"
        );
    }
}
