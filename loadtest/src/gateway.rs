//! The gateway under load: started with a configuration of two trunks, asked what it saw, and stopped.

use crate::child::Running;
use crate::place::Place;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Where it listens and whom it knows.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The `ringway` binary.
    pub binary: PathBuf,
    /// Where it runs.
    pub place: Place,
    /// Its SIP address.
    pub sip: SocketAddrV4,
    /// Its admin address.
    pub admin: SocketAddrV4,
    /// The calling trunk's address.
    pub caller: Ipv4Addr,
    /// The called trunk's SIP address.
    pub called: SocketAddrV4,
    /// Codecs of caller and called, by their configuration names.
    pub codecs: (String, String),
    /// More lines for `[rtp]`.
    pub rtp: String,
    /// Telephones that may register: `p0`, `p1` …, their passwords the same.
    pub phones: u32,
}

/// A running gateway.
pub struct Gateway {
    process: Running,
    admin: SocketAddrV4,
}

/// What a worker tells of itself (`GET /api/v1/workers`).
#[derive(Clone, Debug, Deserialize)]
pub struct WorkerRow {
    /// RTP packets in.
    pub packets_in: u64,
    /// RTP packets out.
    pub packets_out: u64,
    /// Packets dropped.
    pub dropped: u64,
    /// Relay latency in microseconds: p50, p99, p99.9.
    pub latency_us: (f64, f64, f64),
}

impl GatewaySettings {
    fn configuration(&self) -> String {
        let (sip, admin, caller, called) = (self.sip, self.admin, self.caller, self.called);
        let (caller_codec, called_codec) = (&self.codecs.0, &self.codecs.1);
        let rtp = &self.rtp;
        let trunks = format!(
            r#"# Two trunks of the load test: calls come in by one and go out by the other.
[global]
max_calls = 4000

[rtp]
ports = "20000-37999"
{rtp}

[admin]
listen = "{admin}"

[transport.udp]
protocol = "udp"
bind = "{sip}"

[endpoint.caller]
context = "from-caller"
allow = ["{caller_codec}"]

[identify.caller]
endpoint = "caller"
match = ["{caller}"]

[endpoint.called]
context = "from-called"
allow = ["{called_codec}"]
aor = {{ contact = ["sip:{called}"] }}

[context.from-caller.exten]
"_X." = ["Dial(PJSIP/${{EXTEN}}@called,60)", "Hangup()"]

[context.from-called.exten]
"_X." = ["Hangup()"]
"#
        );
        (0..self.phones).fold(trunks, |mut text, phone| {
            let _ = write!(
                text,
                "\n[endpoint.p{phone}]\ncontext = \"from-called\"\nallow = [\"{called_codec}\"]\n\
                 auth = {{ username = \"p{phone}\", password = \"p{phone}\" }}\naor = {{ max_contacts = 1 }}\n"
            );
            text
        })
    }

    /// Starts it and waits for its word `ready`.
    pub fn start(&self, folder: &Path) -> Result<Gateway> {
        if !self.binary.is_file() {
            bail!(
                "{} is not there: run `make build` first, or name another with --gateway",
                self.binary.display()
            );
        }
        let file = folder.join("ringway.toml");
        std::fs::write(&file, self.configuration())?;
        let log = std::fs::File::create(folder.join("ringway.log"))?;
        let binary = self.binary.canonicalize()?;
        let mut command = self.place.command(&binary.to_string_lossy());
        command
            .args(["run", "-c"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(log)
            .env("RINGWAY_LOG", "warn")
            .env("STATE_DIRECTORY", folder);
        let mut process = Running::start("ringway", &mut command)?;
        let output = process
            .child()
            .stdout
            .take()
            .context("its standard output")?;
        let is_ready = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .any(|line| line.trim() == "ready");
        if !is_ready {
            bail!(
                "ringway did not start: {}",
                std::fs::read_to_string(folder.join("ringway.log"))?
            );
        }
        Ok(Gateway {
            process,
            admin: self.admin,
        })
    }
}

impl Gateway {
    /// The rows of its workers.
    pub fn workers(&self) -> Result<Vec<WorkerRow>> {
        serde_json::from_str(&self.get("/api/v1/workers")?).context("GET /api/v1/workers")
    }

    /// The number of running calls, and what its status says of ports and transactions.
    pub fn status(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.get("/api/v1/status")?).context("GET /api/v1/status")
    }

    /// Waits until no call is up.
    pub fn wait_for_no_calls(&self) -> Result<()> {
        for _ in 0..100 {
            if self.number("calls_active")? == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("calls stay up")
    }

    /// What is left once the calls are over: waits for their transactions' timers (64*T1, RFC 3261 §17) to run out.
    pub fn wait_empty(&self) -> Result<String> {
        let mut left = String::new();
        for _ in 0..80 {
            let ports = self
                .status()?
                .get("rtp_pairs")
                .and_then(|pairs| pairs.get(0)?.as_u64())
                .context("rtp_pairs")?;
            let (calls, transactions) =
                (self.number("calls_active")?, self.number("transactions")?);
            left = format!("{calls} calls, {transactions} transactions, {ports} port pairs");
            if calls + transactions + ports == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(left)
    }

    /// Contacts that are registered with it.
    pub fn registered_contacts(&self) -> Result<u64> {
        self.number("contacts")
    }

    fn number(&self, name: &str) -> Result<u64> {
        let status = self.status()?;
        let value = status.get(name).and_then(serde_json::Value::as_u64);
        value.with_context(|| format!("{name} in the gateway's status"))
    }

    /// Has it read its configuration again; an error if it refuses.
    pub fn reload(&self) -> Result<()> {
        self.ask("POST", "/api/v1/reload").map(drop)
    }

    fn get(&self, path: &str) -> Result<String> {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin.into(), Duration::from_secs(5))
            .with_context(|| format!("the gateway's admin address {}", self.admin))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
            self.admin
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
        if !head.contains(" 200 ") {
            bail!(
                "{method} {path}: {}",
                head.lines().next().unwrap_or_default()
            );
        }
        Ok(body.to_owned())
    }

    /// Its process id.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// CPU seconds of its media worker threads so far, as the scheduler counts them.
    pub fn worker_cpu_s(&self) -> Result<f64> {
        thread_cpu_s(self.process.id(), "media")
    }

    /// CPU seconds of its control thread so far.
    pub fn control_cpu_s(&self) -> Result<f64> {
        thread_cpu_s(self.process.id(), "ringway")
    }

    /// CPU seconds of the whole process so far.
    pub fn cpu_s(&self) -> Result<f64> {
        thread_cpu_s(self.process.id(), "")
    }

    /// Resident memory in MiB.
    pub fn memory_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("VmRSS")?;
        let kib: f64 = line
            .split_ascii_whitespace()
            .next()
            .context("VmRSS")?
            .parse()?;
        Ok(kib / 1024.0)
    }

    /// Stops it; an error if it does not end well.
    pub fn stop(mut self) -> Result<()> {
        let status = self.process.terminate(Duration::from_secs(20))?;
        if !status.success() {
            bail!("ringway ended with {status}");
        }
        Ok(())
    }
}

/// CPU seconds of the threads of a process whose names begin so (`/proc/PID/task/TID/schedstat`, first number).
pub fn thread_cpu_s(process: u32, name: &str) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?.path();
        // A thread may end between the two reads; then it has nothing to add.
        let Ok(its_name) = std::fs::read_to_string(task.join("comm")) else {
            continue;
        };
        if its_name.starts_with(name) {
            let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            nanoseconds += text
                .split(' ')
                .next()
                .and_then(|word| word.parse::<f64>().ok())
                .unwrap_or(0.0);
        }
    }
    Ok(nanoseconds / 1e9)
}
