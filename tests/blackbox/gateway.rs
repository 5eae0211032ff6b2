//! A gateway of a test's own.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that should happen at once; a slow machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often something that announces itself nowhere is asked for.
pub const POLL: Duration = Duration::from_millis(10);

/// The loopback network of one test.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    second: u8,
    third: u8,
}

impl Network {
    /// One that no other test has, in this process or in another that runs at the same time.
    pub fn new() -> Network {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let second = 10 + (std::process::id() % 240) as u8;
        Network {
            second,
            third: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Its host with this number.
    pub fn host(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.second, self.third, number)
    }

    /// The gateway's address.
    pub fn gateway(&self) -> Ipv4Addr {
        self.host(1)
    }

    /// The calling trunk's address.
    pub fn caller(&self) -> Ipv4Addr {
        self.host(2)
    }

    /// The called trunk's address.
    pub fn called(&self) -> Ipv4Addr {
        self.host(3)
    }
}

/// A running gateway between two trunks, `caller` and `called`.
pub struct Gateway {
    /// Where it and its peers are.
    pub network: Network,
    process: Child,
    /// Holds its configuration and its log.
    pub folder: tempfile::TempDir,
}

/// What a test may want otherwise.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// More lines of `[global]`.
    pub global: &'static str,
    /// The codecs of `caller` and `called`, as TOML writes an array's elements; µ-law and A-law if empty.
    pub codecs: [&'static str; 2],
    /// More keys of `[endpoint.caller]`.
    pub caller: &'static str,
    /// More keys of `[endpoint.called]`.
    pub called: &'static str,
    /// Steps for any number that comes in from `caller`; a Dial of `called` if empty.
    pub steps: &'static str,
    /// More lines of `[rtp]`.
    pub rtp: &'static str,
    /// More sections; HOST1 to HOST9 stand for the addresses of the network's hosts.
    pub sections: Cow<'static, str>,
}

impl Gateway {
    /// Starts it and waits until it says that it serves.
    pub fn start(options: &Options) -> Gateway {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Gateway::start_at(Network::new(), folder, options)
    }

    /// The same in the network and the folder of an earlier one.
    pub fn start_at(network: Network, folder: tempfile::TempDir, options: &Options) -> Gateway {
        Gateway::run(network, folder, &configuration(&network, options))
    }

    /// Any other configuration, with its admin address on port 8088 of the gateway's host.
    pub fn run(network: Network, folder: tempfile::TempDir, configuration: &str) -> Gateway {
        let file = folder.path().join("ringway.toml");
        std::fs::write(&file, configuration).expect("the configuration is written");
        let log = std::fs::File::create(folder.path().join("ringway.log")).expect("a log file");
        let mut process = Command::new(env!("CARGO_BIN_EXE_ringway"))
            .args(["run", "-c"])
            .arg(&file)
            .env("RINGWAY_LOG", "debug")
            .env("STATE_DIRECTORY", folder.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the gateway's binary runs");
        let output = process.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let gateway = Gateway {
            network,
            process,
            folder,
        };
        assert!(
            lines.any(|line| line.trim() == "ready"),
            "it did not start:\n{}",
            gateway.log()
        );
        gateway
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("ringway.log")).unwrap_or_default()
    }

    /// Its admin address.
    pub fn admin(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.network.gateway(), 8088)
    }

    /// The body of an answer of its admin interface.
    pub fn get(&self, path: &str) -> String {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin()).expect("the admin address answers");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out is set");
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n\r\n",
            self.admin()
        )
        .expect("a request is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer comes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        let is_done = head.contains(" 200 ") || head.contains(" 204 ");
        assert!(is_done, "{method} {path}: {head}");
        body.to_owned()
    }

    /// Ends the only call by the admin interface.
    pub fn hang_up(&self) {
        let calls = self.rows("calls");
        let id = calls[0]["id"].as_str().expect("a call is up");
        self.ask("DELETE", &format!("/api/v1/calls/{id}"));
    }

    /// The rows of `show WHAT`.
    pub fn rows(&self, what: &str) -> serde_json::Value {
        serde_json::from_str(&self.get(&format!("/api/v1/{what}"))).expect("rows are JSON")
    }

    /// The value of the metric line that begins so; 0 if there is none.
    pub fn metric(&self, beginning: &str) -> f64 {
        let page = self.get("/metrics");
        let values = page.lines().filter(|line| line.starts_with(beginning));
        values
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Waits until the question is answered yes; fails with the words if it never is.
    pub fn eventually(&self, what: &str, mut question: impl FnMut(&Gateway) -> bool) {
        let start = Instant::now();
        while !question(self) {
            assert!(
                start.elapsed() < PATIENCE,
                "never happened: {what}\n{}",
                self.log()
            );
            std::thread::park_timeout(POLL);
        }
    }

    /// Nothing of any call is left: no call, no leased port.
    pub fn is_empty(&self) -> bool {
        let status = self.rows("status");
        status["calls_active"] == 0 && status["rtp_pairs"][0] == 0
    }

    /// Writes another configuration, and gives what `ringway reload` says to it.
    pub fn reload(&self, options: &Options) -> Output {
        let file = self.folder.path().join("ringway.toml");
        std::fs::write(file, configuration(&self.network, options))
            .expect("the configuration is written");
        Command::new(env!("CARGO_BIN_EXE_ringway"))
            .arg("reload")
            .env("RINGWAY_ADMIN", format!("http://{}", self.admin()))
            .output()
            .expect("the binary runs")
    }

    /// No file of its own may grow beyond so many bytes from now on.
    pub fn limit_files(&self, bytes: u64) {
        let done = Command::new("prlimit")
            .arg(format!("--pid={}", self.process.id()))
            .arg(format!("--fsize={bytes}:{bytes}"))
            .status()
            .expect("prlimit runs (Debian: util-linux)");
        assert!(done.success(), "{done}");
    }

    /// Asks it to end: it takes no more calls.
    pub fn terminate(&self) {
        let id = nix::unistd::Pid::from_raw(self.process.id() as i32);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        self.eventually("it drains", |gateway| gateway.log().contains("drain"));
    }

    /// Kills it at once; its files stay as long as what is returned.
    pub fn kill_and_keep_folder(mut self) -> tempfile::TempDir {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        let other = tempfile::tempdir().expect("a temporary folder");
        std::mem::replace(&mut self.folder, other)
    }

    /// Asks it to end, as a service manager does, and checks that it ends well.
    pub fn stop(self) {
        self.stop_and_keep_folder();
    }

    /// The same; its files stay as long as what is returned.
    pub fn stop_and_keep_folder(mut self) -> tempfile::TempDir {
        let id = nix::unistd::Pid::from_raw(self.process.id() as i32);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        let status = self.process.wait().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.log());
        let other = tempfile::tempdir().expect("a temporary folder");
        std::mem::replace(&mut self.folder, other)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(network: &Network, options: &Options) -> String {
    let (gateway, caller, called) = (network.gateway(), network.caller(), network.called());
    let steps = match options.steps {
        "" => r#""Dial(PJSIP/${EXTEN}@called,30)", "Hangup()""#,
        steps => steps,
    };
    let Options {
        global,
        rtp,
        sections,
        caller: caller_keys,
        called: called_keys,
        ..
    } = options;
    let codecs = options.codecs.map(|codecs| match codecs {
        "" => r#""ulaw", "alaw""#,
        codecs => codecs,
    });
    let [caller_codecs, called_codecs] = codecs;
    let mut sections = sections.to_string();
    for number in 1..=9 {
        let host = network.host(number).to_string();
        sections = sections.replace(&format!("HOST{number}"), &host);
    }
    format!(
        r#"[global]
{global}

[rtp]
ports = "20000-20999"
workers = 1
{rtp}

[admin]
listen = "{gateway}:8088"

[transport.udp]
protocol = "udp"
bind = "{gateway}:5060"

[transport.tcp]
protocol = "tcp"
bind = "{gateway}:5060"

[endpoint.caller]
context = "from-caller"
allow = [{caller_codecs}]
aor = {{ contact = ["sip:{caller}"] }}
{caller_keys}

[identify.caller]
endpoint = "caller"
match = ["{caller}"]

[endpoint.called]
context = "from-called"
allow = [{called_codecs}]
aor = {{ contact = ["sip:{called}"] }}
{called_keys}

[identify.called]
endpoint = "called"
match = ["{called}"]

[context.from-caller.exten]
"_X." = [{steps}]

[context.from-called.exten]
"_X." = ["Dial(PJSIP/${{EXTEN}}@caller,30)", "Hangup()"]

{sections}
"#
    )
}
