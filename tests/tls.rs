//! SIP over TLS with a peer that is not ours: OpenSSL's own client and server, against the binary that users run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take that should happen at once; a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A gateway with a TLS transport, and a folder of certificates.
struct Bench {
    folder: tempfile::TempDir,
    host: Ipv4Addr,
    peer: Ipv4Addr,
    far: Ipv4Addr,
    gateway: Option<Process>,
}

impl Bench {
    fn new() -> Bench {
        static NEXT: AtomicU8 = AtomicU8::new(200);
        let second = 10 + (std::process::id() % 240) as u8;
        let third = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = |last| Ipv4Addr::new(127, second, third, last);
        let bench = Bench {
            folder: tempfile::tempdir().expect("a temporary folder"),
            host: address(1),
            peer: address(2),
            far: address(3),
            gateway: None,
        };
        bench.certify("own", bench.host);
        bench.certify("far", bench.far);
        bench.write(&bench.configuration());
        bench
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path().join("ringway.toml"), text).expect("written");
    }

    /// `NAME.pem` and `NAME.key` for an address, vouched for by itself.
    fn certify(&self, name: &str, address: Ipv4Addr) {
        let made = Command::new("openssl")
            .current_dir(self.path())
            .args(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
                    .split(' '),
            )
            .args(["-subj", &format!("/CN={name}")])
            .args(["-addext", &format!("subjectAltName=IP:{address}")])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args([
                "-keyout",
                &format!("{name}.key"),
                "-out",
                &format!("{name}.pem"),
            ])
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{made:?}");
    }

    fn configuration(&self) -> String {
        let Bench {
            host, peer, far, ..
        } = self;
        format!(
            "[rtp]\nports = \"20000-20099\"\nworkers = 1\n[admin]\nlisten = \"{host}:8088\"\n\
             [transport.tls]\nprotocol = \"tls\"\nbind = \"{host}\"\ncert_file = \"own.pem\"\n\
             priv_key_file = \"own.key\"\nca_list_file = \"far.pem\"\n\
             [endpoint.phone]\ncontext = \"in\"\nallow = [\"ulaw\"]\n\
             [identify.phone]\nendpoint = \"phone\"\nmatch = [\"{peer}\"]\n\
             [endpoint.far]\ncontext = \"none\"\nallow = [\"ulaw\"]\n\
             aor = {{ contact = [\"sip:far@{far}:5061;transport=tls\"] }}\n\
             [context.none]\n[context.in.exten]\n\"600\" = [\"Answer()\", \"Echo()\"]\n\
             \"700\" = [\"Dial(PJSIP/far,20)\", \"Hangup()\"]\n"
        )
    }

    fn serve(&mut self) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["run", "-c"])
            .arg(self.path().join("ringway.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let output = process.stdout.take().expect("its output is piped");
        self.gateway = Some(Process(process));
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "ready"), "it did not start");
    }

    /// A telephone: what it says goes to the gateway over TLS.
    fn telephone(&self, more: &[&str]) -> Talker {
        let to = format!("{}:5061", self.host);
        let from = format!("{}:0", self.peer);
        let arguments = ["s_client", "-quiet", "-connect", &to, "-bind", &from];
        let verify = ["-CAfile", "own.pem", "-verify_return_error"];
        Talker::start(self.path(), &[&arguments[..], &verify, more].concat())
    }

    fn request(&self, method: &str, number: &str, body: &str) -> String {
        let Bench { host, peer, .. } = self;
        let content_type = match body {
            "" => "",
            _ => "Content-Type: application/sdp\r\n",
        };
        format!(
            "{method} sip:{number}@{host}:5061;transport=tls SIP/2.0\r\n\
             Via: SIP/2.0/TLS {peer}:5061;branch=z9hG4bK{method}{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@{peer}>;tag=a{number}\r\nTo: <sip:{number}@{host}>\r\nCall-ID: {method}{number}\r\n\
             CSeq: 1 {method}\r\nContact: <sip:1001@{peer}:5061;transport=tls>\r\n{content_type}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn invite(&self, number: &str) -> String {
        let peer = self.peer;
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {peer}\r\ns=-\r\nc=IN IP4 {peer}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
        );
        self.request("INVITE", number, &body)
    }
}

/// An `openssl` that encrypts what it is given and gives what it decrypts.
struct Talker {
    process: Process,
    heard: Receiver<Vec<u8>>,
    text: String,
}

impl Talker {
    fn start(folder: &Path, arguments: &[&str]) -> Talker {
        let mut process = Command::new("openssl")
            .current_dir(folder)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl runs");
        let mut output = process.stdout.take().expect("its output is piped");
        let (sender, heard) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Talker {
            process: Process(process),
            heard,
            text: String::new(),
        }
    }

    fn say(&mut self, text: &str) {
        let input = self.process.0.stdin.as_mut().expect("its input is piped");
        input.write_all(text.as_bytes()).expect("it reads");
        input.flush().expect("it reads");
    }

    /// Waits until it has heard all of this, and gives everything heard.
    #[track_caller]
    fn hears(&mut self, parts: &[&str]) -> &str {
        let until = Instant::now() + PATIENCE;
        while !parts.iter().all(|part| self.text.contains(part)) {
            let left = until.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(error) => panic!("{error}, heard only:\n{}", self.text),
            }
        }
        &self.text
    }
}

#[test]
fn a_call_comes_in_over_tls_1_2_and_1_3() {
    let mut bench = Bench::new();
    bench.serve();
    for version in ["-tls1_2", "-tls1_3"] {
        let mut phone = bench.telephone(&[version]);
        // A transaction of its own each.
        phone.say(&bench.invite("600").replace("INVITE600", version));
        let heard = phone.hears(&["SIP/2.0 200 OK", "m=audio"]);
        assert!(heard.contains("Via: SIP/2.0/TLS "), "{heard}");
        assert!(heard.contains(":5061;transport=tls>"), "{heard}");
    }
}

#[test]
fn a_call_goes_out_over_tls_to_whom_we_trust_and_to_nobody_else() {
    let mut bench = Bench::new();
    bench.serve();
    let at = format!("{}:5061", bench.far);
    let server = ["s_server", "-quiet", "-accept", &at];
    for (certificate, is_trusted) in [("far", true), ("own", false)] {
        let (own, key) = (format!("{certificate}.pem"), format!("{certificate}.key"));
        let files = ["-cert", &own, "-key", &key];
        let mut far = Talker::start(bench.path(), &[&server[..], &files].concat());
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((bench.far, 5061)).is_err() {
            assert!(Instant::now() < until, "openssl does not listen");
        }
        let mut phone = bench.telephone(&[]);
        phone.say(&bench.invite("700").replace("INVITE700", certificate));
        if is_trusted {
            let invite = far.hears(&["INVITE sip:far@", "m=audio"]);
            assert!(invite.contains("Via: SIP/2.0/TLS "), "{invite}");
            assert!(invite.contains(":5061;transport=tls>"), "{invite}");
        } else {
            phone.hears(&["SIP/2.0 503"]);
        }
    }
}

#[test]
fn check_reads_the_files_that_are_named() {
    let bench = Bench::new();
    let check = || {
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .arg("check")
            .arg(bench.path().join("ringway.toml"))
            .output()
            .expect("the binary runs")
    };
    assert!(check().status.success());
    let wrong = bench.configuration().replace("own.key", "far.key");
    bench.write(&wrong);
    let output = check();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = "error: transport.tls.priv_key_file: far.key: the key is not the one of the certificate in own.pem";
    assert!(said.contains(expected), "{said}");
}
