//! The command line as its users meet it: the real binary, its exit status, what it prints, and what stands on the wire
//! when it says that it serves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// How long anything may take that should happen at once; a slow machine is no failure.
const PATIENCE: Duration = Duration::from_secs(30);

fn ringway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(arguments)
        .env_remove("RINGWAY_ADMIN")
        .env_remove("RINGWAY_ADMIN_TOKEN")
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Exit status and both outputs, for a message.
#[track_caller]
fn assert_exit(output: &Output, status: i32) {
    let (out, err) = (stdout(output), stderr(output));
    assert_eq!(
        output.status.code(),
        Some(status),
        "stdout:\n{out}\nstderr:\n{err}"
    );
}

/// A folder with a configuration on a loopback address that no other test has.
struct Bench {
    folder: tempfile::TempDir,
    host: Ipv4Addr,
    peer: Ipv4Addr,
}

impl Bench {
    fn new() -> Bench {
        static NEXT: AtomicU8 = AtomicU8::new(128);
        let second = 10 + (std::process::id() % 240) as u8;
        let third = NEXT.fetch_add(1, Ordering::Relaxed);
        let bench = Bench {
            folder: tempfile::tempdir().expect("a temporary folder"),
            host: Ipv4Addr::new(127, second, third, 1),
            peer: Ipv4Addr::new(127, second, third, 2),
        };
        bench.write(&bench.configuration(""));
        bench
    }

    fn configuration(&self, more: &str) -> String {
        let (host, peer) = (self.host, self.peer);
        format!(
            "[rtp]\nports = \"20000-20099\"\nworkers = 1\n\
             [admin]\nlisten = \"{host}:8088\"\n\
             [transport.udp]\nprotocol = \"udp\"\nbind = \"{host}:5060\"\n\
             [transport.tcp]\nprotocol = \"tcp\"\nbind = \"{host}:5060\"\n\
             [endpoint.phone]\ncontext = \"in\"\nallow = [\"ulaw\"]\n\
             [identify.phone]\nendpoint = \"phone\"\nmatch = [\"{peer}\"]\n\
             [context.in.exten]\n\"600\" = [\"Answer()\", \"Echo()\"]\n\
             \"_7XX\" = [\"NoOp(${{EXTEN}} by ${{CALLERID(num)}})\", \"Hangup(21)\"]\n{more}"
        )
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ringway.toml")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.file(), text).expect("the configuration is written");
    }

    fn admin(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.host, 8088)
    }

    /// A command about the gateway of this bench.
    fn operate(&self, arguments: &[&str]) -> Output {
        let url = format!("http://{}", self.admin());
        let mut all = arguments.to_vec();
        all.extend(["--admin", &url]);
        ringway(&all)
    }

    /// The gateway, serving.
    fn serve(&self, arguments: &[&str]) -> Gateway {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log file");
        let mut process = Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["run", "-c"])
            .arg(self.file())
            .args(arguments)
            .env("STATE_DIRECTORY", self.folder.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let mut output = BufReader::new(process.stdout.take().expect("its output is piped"));
        let mut printed = String::new();
        while !printed.ends_with("ready\n") {
            let length = output.read_line(&mut printed).expect("its output is read");
            assert!(length > 0, "it did not start:\n{printed}\n{}", self.log());
        }
        Gateway {
            process,
            printed,
            _output: output,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Status line, headers and body of an answer of the admin address.
    fn http(&self, method: &str, path: &str, host: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.admin()).expect("the admin address answers");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out is set");
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .expect("a request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer comes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        (head.to_owned(), body.to_owned())
    }

    fn phone(&self) -> Phone {
        let socket = UdpSocket::bind((self.peer, 0)).expect("a free port");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out is set");
        socket.connect((self.host, 5060)).expect("an address");
        let address = match socket.local_addr().expect("bound") {
            std::net::SocketAddr::V4(address) => address,
            std::net::SocketAddr::V6(address) => panic!("{address} was not asked for"),
        };
        Phone {
            socket,
            address,
            host: self.host,
        }
    }
}

/// A running gateway; killed when the test ends before it.
struct Gateway {
    process: Child,
    printed: String,
    /// Kept open, or it would write into a closed pipe.
    _output: BufReader<ChildStdout>,
}

impl Gateway {
    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.process.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success());
    }

    /// Waits for its end.
    fn exit_status(mut self) -> Option<i32> {
        self.process.wait().expect("it is our child").code()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A phone that says what the test tells it to.
struct Phone {
    socket: UdpSocket,
    address: SocketAddrV4,
    host: Ipv4Addr,
}

impl Phone {
    fn request(&self, method: &str, to: &str, cseq: u32, branch: &str, body: &str) -> String {
        let (address, host) = (self.address, self.host);
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/sdp\r\n"
        };
        format!(
            "{method} sip:600@{host} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bK{branch};rport\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:100@{address}>;tag=phone\r\n\
             To: {to}\r\n\
             Call-ID: call@{address}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:100@{address}>\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn send(&self, message: &str) {
        self.socket.send(message.as_bytes()).expect("sent");
    }

    /// The next message whose first line begins so; others on the way (100 Trying, retransmissions) are passed over.
    fn expect(&self, first_line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).expect("a message comes");
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.starts_with(first_line) {
                return message;
            }
        }
    }

    /// A call to the echo, answered; the To header of its dialog.
    fn call(&self) -> String {
        let to = format!("<sip:600@{}>", self.host);
        let address = self.address;
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n",
            address.ip()
        );
        self.send(&self.request("INVITE", &to, 1, "invite", &body));
        let answer = self.expect("SIP/2.0 200");
        assert!(
            answer.contains("m=audio 200"),
            "an RTP port of ours:\n{answer}"
        );
        let to = header(&answer, "To");
        self.send(&self.request("ACK", &to, 1, "ack", ""));
        to
    }

    /// Answers a request of the gateway with 200.
    fn accept(&self, request: &str) {
        let mut answer = String::from("SIP/2.0 200 OK\r\n");
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            answer.push_str(&format!("{name}: {}\r\n", header(request, name)));
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        self.send(&answer);
    }
}

/// The value of a header that stands once.
fn header(message: &str, name: &str) -> String {
    let line = message.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    });
    line.unwrap_or_else(|| panic!("no {name} in\n{message}"))
}

#[test]
fn help_is_there_for_every_command() {
    let output = ringway(&["--help"]);
    assert_exit(&output, 0);
    let help = stdout(&output);
    for command in [
        "run", "check", "route", "status", "show", "reload", "hangup", "drain",
    ] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command} is not in\n{help}"
        );
        let output = ringway(&[command, "--help"]);
        assert_exit(&output, 0);
        assert!(
            stdout(&output).contains("Usage: ringway"),
            "{}",
            stdout(&output)
        );
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &[][..],
        &["fly"],
        &["check"],
        &["show"],
        &["show", "queues"],
        &["run", "--port", "1"],
    ] {
        let output = ringway(arguments);
        assert_exit(&output, 2);
        assert!(
            stdout(&output).is_empty() && !stderr(&output).is_empty(),
            "{arguments:?}"
        );
    }
}

#[test]
fn the_default_configuration_is_ok() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/ringway.toml");
    let output = ringway(&["check", file.to_str().expect("a UTF-8 path")]);
    assert_exit(&output, 0);
    assert!(stdout(&output).ends_with("ok\n"), "{}", stdout(&output));
}

#[test]
fn check_tells_line_and_column_of_settings_and_of_dialplan_steps() {
    let bench = Bench::new();
    let file = bench.file();
    let file = file.to_str().expect("a UTF-8 path");
    bench.write(&bench.configuration("[global]\nuser_agnet = \"x\"\n"));
    let output = ringway(&["check", file]);
    assert_exit(&output, 1);
    let found = stderr(&output);
    assert!(
        found.starts_with(&format!("{file}:22:1: error: global.user_agnet: ")),
        "{found}"
    );
    assert_eq!(stdout(&output), "");

    bench.write(&bench.configuration("\"8\" = [\"Answer()\", \"Fly(high)\"]\n"));
    let output = ringway(&["check", file]);
    assert_exit(&output, 1);
    let found = stderr(&output);
    assert!(
        found.starts_with(&format!("{file}:21:20: error: context.in.exten.8: ")),
        "{found}"
    );
    assert!(found.contains("Fly"), "{found}");
}

#[test]
fn a_file_that_is_not_there_is_one_clear_line() {
    let output = ringway(&["check", "/nowhere/ringway.toml"]);
    assert_exit(&output, 1);
    assert!(
        stderr(&output).starts_with("/nowhere/ringway.toml: cannot be read: "),
        "{}",
        stderr(&output)
    );
    let output = ringway(&["run", "-c", "/nowhere/ringway.toml"]);
    assert_exit(&output, 1);
    assert!(
        stderr(&output).contains("/nowhere/ringway.toml: cannot be read: "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn route_shows_the_steps_and_exits_with_3_without_a_match() {
    let bench = Bench::new();
    let file = bench.file();
    let file = file.to_str().expect("a UTF-8 path");
    let output = ringway(&["route", "-c", file, "in", "712", "--callerid", "4930"]);
    assert_exit(&output, 0);
    let report = stdout(&output);
    assert!(report.contains("_7XX"), "{report}");
    assert!(report.contains("NoOp(712 by 4930)"), "{report}");
    for (context, extension) in [("in", "99"), ("nowhere", "712")] {
        let output = ringway(&["route", "-c", file, context, extension]);
        assert_exit(&output, 3);
        assert!(stderr(&output).contains(extension) && stdout(&output).is_empty());
    }
}

#[test]
fn without_a_gateway_the_line_says_where_it_was_looked_for() {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port");
    let url = format!("http://{port}");
    for command in [
        &["status"][..],
        &["show", "calls"],
        &["reload"],
        &["hangup", "x"],
        &["drain"],
    ] {
        let mut arguments = command.to_vec();
        arguments.extend(["--admin", &url]);
        let output = ringway(&arguments);
        assert_exit(&output, 1);
        let line = stderr(&output);
        assert!(
            line.starts_with(&format!("no gateway answers at {url}: ")),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    assert_exit(&ringway(&["status", "--admin", "here"]), 1);
}

#[test]
fn it_serves_sip_on_udp_and_tcp_and_ends_on_sigterm() {
    let bench = Bench::new();
    let gateway = bench.serve(&[]);
    let host = bench.host;
    for line in [
        format!("udp {host}:5060"),
        format!("tcp {host}:5060"),
        "20000-20099".into(),
        format!("http://{host}:8088"),
    ] {
        assert!(
            gateway.printed.contains(&line),
            "{line} is not in\n{}",
            gateway.printed
        );
    }
    let phone = bench.phone();
    let to = format!("<sip:{host}>");
    phone.send(&phone.request("OPTIONS", &to, 1, "options", ""));
    let answer = phone.expect("SIP/2.0 200");
    assert_eq!(header(&answer, "CSeq"), "1 OPTIONS");
    assert!(
        header(&answer, "Via").contains(&format!("rport={}", phone.address.port())),
        "{answer}"
    );

    let mut tcp = socket2_from(bench.peer, host);
    tcp.set_read_timeout(Some(PATIENCE))
        .expect("a time-out is set");
    let request = phone
        .request("OPTIONS", &to, 2, "stream", "")
        .replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    // In two parts: a stream has no messages.
    let (one, two) = request.split_at(40);
    tcp.write_all(one.as_bytes()).expect("sent");
    tcp.write_all(two.as_bytes()).expect("sent");
    let mut answer = [0; 12];
    tcp.read_exact(&mut answer).expect("an answer comes");
    assert_eq!(&answer, b"SIP/2.0 200 ");
    let rows = stdout(&bench.operate(&["show", "transports"]));
    let tcp_row = rows
        .lines()
        .find(|row| row.starts_with("tcp"))
        .expect("the transport");
    assert!(tcp_row.ends_with(" 1"), "one connection:\n{rows}");
    let rows = stdout(&bench.operate(&["show", "strangers"]));
    assert!(
        rows.starts_with("SOURCE") && rows.lines().count() == 1,
        "nobody was refused:\n{rows}"
    );

    gateway.signal("TERM");
    assert_eq!(gateway.exit_status(), Some(0));
}

/// A TCP connection from one address to port 5060 of another.
fn socket2_from(from: Ipv4Addr, to: Ipv4Addr) -> TcpStream {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddrV4::new(from, 0).into())
        .expect("a free port");
    socket
        .connect(&SocketAddrV4::new(to, 5060).into())
        .expect("somebody listens");
    socket.into()
}

#[test]
fn health_metrics_and_errors_over_http() {
    let bench = Bench::new();
    let _gateway = bench.serve(&[]);
    let host = bench.admin().to_string();
    let phone = bench.phone();
    phone.send(&phone.request(
        "OPTIONS",
        &format!("<sip:{}>", bench.host),
        1,
        "options",
        "",
    ));
    phone.expect("SIP/2.0 200");
    for path in ["/healthz", "/readyz"] {
        let (head, _) = bench.http("GET", path, &host);
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    }
    let (head, body) = bench.http("GET", "/metrics", &host);
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    for line in [
        "ringway_sip_requests_total{direction=\"in\",method=\"OPTIONS\",transport=\"udp\"} 1",
        "ringway_sip_responses_total{code=\"200\",direction=\"out\",transport=\"udp\"} 1",
        "ringway_config_last_reload_success 1",
        "ringway_rtp_ports_total 50",
        "ringway_rtp_ports_in_use 0",
        "ringway_rtp_sessions_active{worker=\"0\",path=\"relay\"} 0",
    ] {
        assert!(
            body.lines().any(|have| have == line),
            "{line} is not in\n{body}"
        );
    }
    assert!(body.contains("\nprocess_resident_memory_bytes "), "{body}");
    for (method, path, host, status) in [
        ("GET", "/api/v1/queues", host.as_str(), "404"),
        ("GET", "/api/v1/reload", &host, "405"),
        ("DELETE", "/api/v1/calls/none", &host, "404"),
        ("GET", "/api/v1/calls", "rebound.example", "421"),
    ] {
        let (head, body) = bench.http(method, path, host);
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{method} {path}: {head}"
        );
        assert!(body.starts_with("{\"error\":"), "{body}");
    }
}

#[test]
fn a_call_is_shown_and_hung_up() {
    let bench = Bench::new();
    let gateway = bench.serve(&[]);
    let phone = bench.phone();
    phone.call();
    let output = bench.operate(&["show", "calls", "--json"]);
    assert_exit(&output, 0);
    let rows: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(
        (&rows[0]["from_endpoint"], &rows[0]["called"]),
        (&"phone".into(), &"600".into())
    );
    let id = rows[0]["id"].as_str().expect("an id");
    assert!(stdout(&bench.operate(&["show", "calls"])).contains(id));
    assert!(
        stdout(&bench.operate(&["status"])).contains("calls          1 now, 1 since the start")
    );
    assert!(
        stdout(&bench.operate(&["show", "endpoints"]))
            .lines()
            .any(|row| row.starts_with("phone"))
    );
    assert_exit(&bench.operate(&["hangup", id]), 0);
    let bye = phone.expect("BYE ");
    phone.accept(&bye);
    let output = bench.operate(&["hangup", "no-such-call"]);
    assert_exit(&output, 1);
    assert!(
        stderr(&output).contains("no call no-such-call"),
        "{}",
        stderr(&output)
    );
    // Its last call is over, so draining ends it.
    assert_exit(&bench.operate(&["drain"]), 0);
    assert_eq!(gateway.exit_status(), Some(0));
}

#[test]
fn draining_waits_for_the_last_call_and_a_second_signal_ends_it() {
    let bench = Bench::new();
    let gateway = bench.serve(&[]);
    let phone = bench.phone();
    phone.call();
    gateway.signal("TERM");
    let host = bench.admin().to_string();
    // The signal has been seen when the gateway says so.
    while bench
        .http("GET", "/readyz", &host)
        .0
        .starts_with("HTTP/1.1 200 ")
    {}
    let other = bench.phone();
    let body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    other.send(&other.request(
        "INVITE",
        &format!("<sip:600@{}>", bench.host),
        1,
        "late",
        body,
    ));
    assert!(other.expect("SIP/2.0 503").contains("Retry-After:"));
    gateway.signal("INT");
    let bye = phone.expect("BYE ");
    phone.accept(&bye);
    assert_eq!(gateway.exit_status(), Some(0));
}

#[test]
fn a_reload_is_all_or_nothing() {
    let bench = Bench::new();
    let gateway = bench.serve(&[]);
    let output = bench.operate(&["reload"]);
    assert_exit(&output, 0);
    assert_eq!(stdout(&output), "nothing changed\n");

    bench.write(&bench.configuration("\"601\" = [\"Fly()\"]\n"));
    let output = bench.operate(&["reload"]);
    assert_exit(&output, 1);
    let lines = stderr(&output);
    assert!(lines.starts_with("not reloaded: "), "{lines}");
    assert!(lines.contains("ringway.toml:21:10: error: "), "{lines}");
    assert!(!stdout(&bench.operate(&["show", "dialplan"])).contains("601"));
    assert!(stdout(&bench.operate(&["status"])).contains("LAST RELOAD FAILED"));

    bench.write(&bench.configuration("\"602\" = [\"Echo()\"]\n"));
    gateway.signal("HUP");
    let shows_602 = || stdout(&bench.operate(&["show", "dialplan", "in"])).contains("602");
    // A signal has no answer; the dialplan shows when it was obeyed.
    while !shows_602() {}
    assert!(stdout(&bench.operate(&["status"])).contains("configuration  read "));
    assert_exit(&bench.operate(&["show", "dialplan", "nowhere"]), 1);
}

#[test]
fn a_transport_that_a_reload_adds_listens_at_once() {
    let bench = Bench::new();
    let _gateway = bench.serve(&[]);
    let host = bench.host;
    let taken = UdpSocket::bind((host, 5064)).expect("a free port");
    let mut configuration = bench.configuration("");
    for (name, protocol, port) in [
        ("u2", "udp", 5062),
        ("t2", "tcp", 5062),
        ("no", "udp", 5064),
    ] {
        configuration +=
            &format!("\n[transport.{name}]\nprotocol = \"{protocol}\"\nbind = \"{host}:{port}\"\n");
    }
    bench.write(&configuration);
    let output = bench.operate(&["reload"]);
    assert_exit(&output, 0);
    let lines = stdout(&output);
    assert!(
        lines.contains("transport.u2: added\n") && lines.contains("transport.t2: added\n"),
        "{lines}"
    );
    assert!(lines.contains("transport.no: added"), "{lines}");
    let rows = stdout(&bench.operate(&["show", "transports"]));
    assert!(
        rows.contains("u2") && rows.contains("t2") && !rows.contains("no "),
        "{rows}"
    );

    let phone = bench.phone();
    let to = format!("<sip:{host}>");
    phone
        .socket
        .connect((host, 5062))
        .expect("a UDP socket is connected at once");
    phone.send(&phone.request("OPTIONS", &to, 1, "added", ""));
    phone.expect("SIP/2.0 200");
    // Those that listened before go on.
    phone.socket.connect((host, 5060)).expect("as above");
    phone.send(&phone.request("OPTIONS", &to, 2, "first", ""));
    phone.expect("SIP/2.0 200");
    drop(taken);
    let output = bench.operate(&["reload"]);
    assert!(
        stdout(&output).contains("transport.no: added"),
        "its port is free now"
    );
    let rows = stdout(&bench.operate(&["show", "transports"]));
    assert!(rows.contains("no "), "{rows}");
}

#[test]
fn a_port_that_is_taken_is_named_with_what_to_change() {
    let bench = Bench::new();
    let (host, file) = (bench.host, bench.file());
    let file = file.to_str().expect("a UTF-8 path");
    let udp = UdpSocket::bind((host, 5060)).expect("a free port");
    let output = ringway(&["run", "-c", file]);
    assert_exit(&output, 1);
    let line = stderr(&output);
    assert!(
        line.contains(&format!(
            "{host}:5060 udp is in use: change transport.udp.bind, or stop "
        )),
        "{line}"
    );
    drop(udp);
    let tcp = TcpListener::bind((host, 5060)).expect("a free port");
    let line = stderr(&ringway(&["run", "-c", file]));
    assert!(
        line.contains(&format!(
            "{host}:5060 tcp is in use: change transport.tcp.bind, or stop "
        )),
        "{line}"
    );
    drop(tcp);
    let admin = TcpListener::bind((host, 8088)).expect("a free port");
    let line = stderr(&ringway(&["run", "-c", file]));
    assert!(
        line.contains(&format!(
            "{host}:8088 tcp, the admin address, cannot be bound (admin.listen)"
        )),
        "{line}"
    );
    drop(admin);
}

#[test]
fn a_configuration_with_errors_starts_nothing() {
    let bench = Bench::new();
    let file = bench.file();
    bench.write(&bench.configuration("[rtp2]\n"));
    let output = ringway(&["run", "-c", file.to_str().expect("a UTF-8 path")]);
    assert_exit(&output, 1);
    let lines = stderr(&output);
    assert!(
        lines
            .lines()
            .next()
            .is_some_and(|line| line.contains("nothing was started")),
        "{lines}"
    );
    assert!(lines.contains("ringway.toml:21:2: error: rtp2"), "{lines}");
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_token_guards_the_admin_address() {
    let bench = Bench::new();
    let text = bench.configuration("");
    bench.write(&text.replace("[admin]\n", "[admin]\ntoken = \"t0ken\"\n"));
    let _gateway = bench.serve(&[]);
    let url = format!("http://{}", bench.admin());
    let output = ringway(&["status", "--admin", &url]);
    assert_exit(&output, 1);
    assert!(
        stderr(&output).contains("set RINGWAY_ADMIN_TOKEN"),
        "{}",
        stderr(&output)
    );
    let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["status", "--admin", &url])
        .env("RINGWAY_ADMIN_TOKEN", "t0ken")
        .output()
        .expect("the binary runs");
    assert_exit(&output, 0);
    assert!(!bench.log().contains("t0ken"), "a secret in the log");
}

#[test]
fn log_lines_can_be_json() {
    let bench = Bench::new();
    let gateway = bench.serve(&["--log-format", "json"]);
    gateway.signal("TERM");
    assert_eq!(gateway.exit_status(), Some(0));
    let log = bench.log();
    assert!(log.lines().any(|line| line.contains("draining")), "{log}");
    for line in log.lines().filter(|line| !line.starts_with("warning: ")) {
        let event: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            event["level"].is_string() && event["timestamp"].is_string(),
            "{line}"
        );
    }
}

#[test]
fn log_levels_that_are_not_understood_are_said() {
    let bench = Bench::new();
    let output = Command::new(env!("CARGO_BIN_EXE_ringway"))
        .args(["run", "-c"])
        .arg(bench.file())
        .env("RINGWAY_LOG", "ringway=loud")
        .output()
        .expect("the binary runs");
    assert_exit(&output, 1);
    assert!(
        stderr(&output).contains("RINGWAY_LOG=\"ringway=loud\""),
        "{}",
        stderr(&output)
    );
}

/// Makes the executable `file` by a shell `command` that knows it as `$0`. A file that this process itself
/// had open for writing could be inherited by a child of another test and then not be run: `ETXTBSY`.
fn place(command: &str, file: &Path) {
    let script = format!("{command} && chmod 755 \"$0\"");
    let status = Command::new("/bin/sh")
        .arg("-c")
        .arg(script)
        .arg(file)
        .status();
    assert!(status.expect("a shell").success(), "{command}");
}

#[test]
fn the_load_generator_is_found_or_its_absence_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let gateway = folder.path().join("ringway");
    place(
        &format!("cp '{}' \"$0\"", env!("CARGO_BIN_EXE_ringway")),
        &gateway,
    );
    let run = || {
        Command::new(&gateway)
            .args(["loadtest", "run", "--calls", "7", "--help"])
            .env("PATH", "/nowhere")
            .output()
            .expect("the binary runs")
    };
    let output = run();
    assert_exit(&output, 1);
    assert!(stderr(&output).contains("make build"));

    let generator = folder.path().join("ringway-loadtest");
    let script = r#"#!/bin/sh
echo "$RINGWAY_BINARY" "$@"
"#;
    place(&format!("echo '{script}' > \"$0\""), &generator);
    let output = run();
    assert_exit(&output, 0);
    let expected = format!("{} run --calls 7 --help\n", gateway.display());
    assert_eq!(stdout(&output), expected);
}
