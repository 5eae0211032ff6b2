//! Kamailio as a provider (`kamailio.cfg`): a process with a folder of its own.

use crate::gateway::{PATIENCE, POLL};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A running Kamailio of the test's own.
pub struct Kamailio {
    process: Child,
    folder: tempfile::TempDir,
    host: Ipv4Addr,
}

impl Kamailio {
    /// Starts it between its customers and the network behind it, and waits until it answers.
    pub fn start(host: Ipv4Addr, behind: Ipv4Addr) -> Kamailio {
        Kamailio::start_with(host, behind, &[])
    }

    /// The same with more options of Kamailio.
    pub fn start_with(host: Ipv4Addr, behind: Ipv4Addr, more: &[&str]) -> Kamailio {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let text = include_str!("kamailio.cfg").replace("HOST", &host.to_string());
        let text = text.replace("BEHIND", &behind.to_string());
        std::fs::write(path("kamailio.cfg"), text).expect("its configuration is written");
        let log = std::fs::File::create(path("kamailio.log")).expect("a log file");
        let process = Command::new("/usr/sbin/kamailio")
            .args(["-DD", "-E", "-m", "32", "-M", "4"])
            .args(more)
            .arg("-f")
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

    /// Keeps all its processes from running: it is there, and says nothing any more.
    pub fn freeze(&self) {
        for process in self.processes() {
            kill(process, Signal::SIGSTOP).expect("it runs");
        }
    }

    /// Its main process and the children of that.
    fn processes(&self) -> Vec<Pid> {
        let main = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"))
            .unwrap_or_default();
        let children = children
            .split_ascii_whitespace()
            .filter_map(|id| id.parse().ok());
        let all = std::iter::once(main as i32).chain(children);
        all.map(Pid::from_raw).collect()
    }

    /// Where it is.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// What comes back to an OPTIONS for this user, who may have registered. Kamailio itself has nothing to say but 404.
    pub fn options(&self, user: &str) -> Option<u16> {
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
        // Its main process ends its children when it is asked to end, not when it is killed. A signal that comes while
        // it looks at another one (a child that goes on is one) is lost on it, so it is asked until it ends.
        let processes = self.processes();
        for process in &processes {
            let _ = kill(*process, Signal::SIGCONT);
        }
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if start.elapsed() < PATIENCE / 3 {
                let _ = kill(processes[0], Signal::SIGTERM);
            } else {
                for process in &processes {
                    let _ = kill(*process, Signal::SIGKILL);
                }
            }
            std::thread::park_timeout(POLL * 10);
        }
        let _ = self.process.wait();
    }
}
