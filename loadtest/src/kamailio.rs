//! Kamailio as the peer to compare with: Debian's, one worker process, relaying the calls statefully. It is a proxy:
//! it keeps transactions, but neither dialogs nor ports, and changes nothing in SDP, so it does less for a call.

use crate::child::Running;
use crate::gateway::thread_cpu_s;
use crate::place::Place;
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::net::{SocketAddrV4, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// A running Kamailio.
pub struct Kamailio {
    process: Running,
}

/// Where it listens and where it relays to.
fn configuration(listen: SocketAddrV4, called: SocketAddrV4) -> String {
    let mut text = format!(
        "#!KAMAILIO\ndebug=0\nlog_stderror=yes\nchildren=1\ndisable_tcp=yes\nauto_aliases=no\nlisten=udp:{listen}\n"
    );
    for module in ["tm", "sl", "rr", "pv", "siputils", "textops"] {
        let _ = writeln!(text, "loadmodule \"{module}.so\"");
    }
    let _ = write!(
        text,
        r#"
request_route {{
    if (has_totag()) {{
        loose_route();
        t_relay();
        exit;
    }}
    if (is_method("OPTIONS")) {{
        sl_send_reply("200", "OK");
        exit;
    }}
    record_route();
    $du = "sip:{called}";
    t_relay();
}}
"#
    );
    text
}

impl Kamailio {
    /// Starts it and waits until it answers.
    pub fn start(
        folder: &Path,
        place: &Place,
        listen: SocketAddrV4,
        called: SocketAddrV4,
    ) -> Result<Kamailio> {
        let file = folder.join("kamailio.cfg");
        std::fs::write(&file, configuration(listen, called))?;
        let log = std::fs::File::create(folder.join("kamailio.log"))?;
        let mut command = place.command("kamailio");
        // In the foreground; the fast memory manager, not the debugging one that Debian has by default (it costs twice as
        // much); shared memory as large as the transactions of half a minute need.
        command.args([
            "-DD", "-E", "-x", "fm", "-X", "fm", "-m", "1024", "-M", "16", "-f",
        ]);
        command
            .arg(&file)
            .arg("-P")
            .arg(folder.join("kamailio.pid"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let process = Running::start("kamailio", &mut command)?;
        wait_for_answer(listen).with_context(|| {
            std::fs::read_to_string(folder.join("kamailio.log")).unwrap_or_default()
        })?;
        Ok(Kamailio { process })
    }

    /// CPU seconds of all its processes so far.
    pub fn cpu_s(&self) -> Result<f64> {
        let main = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"))?;
        let mut total = thread_cpu_s(main, "")?;
        for child in children.split_ascii_whitespace() {
            total += thread_cpu_s(child.parse()?, "")?;
        }
        Ok(total)
    }

    /// Stops it.
    pub fn stop(mut self) -> Result<()> {
        self.process.terminate(Duration::from_secs(20)).map(drop)
    }
}

fn wait_for_answer(listen: SocketAddrV4) -> Result<()> {
    let socket = UdpSocket::bind((*listen.ip(), 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let from = socket.local_addr()?;
    let options = format!(
        "OPTIONS sip:{listen} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKready\r\nFrom: <sip:{from}>;tag=1\r\n\
         To: <sip:{listen}>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    let mut answer = [0; 2048];
    for _ in 0..50 {
        // Refused until it listens, which the next attempt mends.
        if socket.send_to(options.as_bytes(), listen).is_ok() && socket.recv(&mut answer).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("kamailio does not answer on {listen}")
}
