//! baresip as a telephone: a process with a folder of its own, driven over its control connection (`ctrl_tcp`, JSON in
//! netstrings), whose events are awaited and whose SIP trace is read.

use crate::gateway::{Network, PATIENCE, POLL};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The rate of what it hears, as it is written to a file: that of G.711.
const SAMPLE_RATE: f64 = 8000.0;

/// How it speaks SIP, and where from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From port 5060 of its host.
    Udp,
    /// Over a connection to port 5060.
    Tcp,
    /// Over a connection to port 5061, with the certificate `phone.pem` (key and certificate) of its folder if there is
    /// one. baresip 1.0 does not look at the gateway's certificate.
    Tls,
    /// The same, and its audio is encrypted or there is no call.
    Encrypted,
    /// UDP from behind a NAT: its audio does not come from the address in its SDP, which nobody can reach.
    Nat,
}

/// A running baresip.
pub struct Phone {
    process: Child,
    control: TcpStream,
    /// What came over the control connection and is no whole netstring yet.
    unread: Vec<u8>,
    /// Events that nobody has asked for yet.
    events: Vec<Value>,
    gateway: Ipv4Addr,
    way: Way,
    folder: tempfile::TempDir,
}

impl Phone {
    /// Starts it on a host of the network, with a tone of so many Hz in place of a microphone; nobody is registered.
    pub fn start(network: &Network, host: u8, way: Way, tone_hz: u32) -> Phone {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Phone::start_in(folder, network, host, way, tone_hz)
    }

    /// The same in a folder with its certificate.
    pub fn start_in(
        folder: tempfile::TempDir,
        network: &Network,
        host: u8,
        way: Way,
        tone_hz: u32,
    ) -> Phone {
        Phone::launch(folder, network, host, way, tone_hz, "g711")
    }

    /// One over UDP that speaks nothing but G.722.
    pub fn start_wide(network: &Network, host: u8, tone_hz: u32) -> Phone {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Phone::launch(folder, network, host, Way::Udp, tone_hz, "g722")
    }

    fn launch(
        folder: tempfile::TempDir,
        network: &Network,
        host: u8,
        way: Way,
        tone_hz: u32,
        codec: &str,
    ) -> Phone {
        let address = network.host(host);
        write_configuration(folder.path(), address, way, tone_hz, codec);
        let trace = std::fs::File::create(folder.path().join("trace")).expect("a file");
        // Its trace would come in blocks of the C library's buffer.
        let mut process = Command::new("stdbuf")
            .args(["-oL", "baresip", "-4", "-s", "-f"])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(trace.try_clone().expect("a second handle"))
            .stderr(trace)
            .spawn()
            .expect("baresip runs (Debian: baresip-core; `make test` installs it)");
        let control = connect(&mut process, address, folder.path());
        Phone {
            process,
            control,
            unread: Vec::new(),
            events: Vec::new(),
            gateway: network.gateway(),
            way,
            folder,
        }
    }

    /// Registers as this user for a minute, and waits until that has worked.
    pub fn register(&mut self, user: &str, password: &str) {
        self.add_account(user, password, "regint=60");
        self.expect("REGISTER_OK");
    }

    /// An account of this user with more parameters.
    pub fn add_account(&mut self, user: &str, password: &str, parameters: &str) {
        let gateway = self.gateway;
        let server = match self.way {
            Way::Udp | Way::Nat => format!("{gateway}"),
            Way::Tcp => format!("{gateway};transport=tcp"),
            Way::Tls | Way::Encrypted => format!("{gateway}:5061;transport=tls"),
        };
        let encryption = match self.way {
            Way::Encrypted => ";mediaenc=srtp-mand",
            _ => "",
        };
        let account =
            format!("<sip:{user}@{server}>;auth_pass={password};{parameters}{encryption}");
        self.command("uanew", &account);
    }

    /// Gives a command of baresip's menu, and what it says to it.
    #[track_caller]
    pub fn command(&mut self, command: &str, parameters: &str) -> String {
        let request = match parameters {
            "" => json!({ "command": command }),
            _ => json!({ "command": command, "params": parameters }),
        };
        let text = request.to_string();
        write!(self.control, "{}:{text},", text.len()).expect("baresip takes a command");
        let answer = self.wait(&format!("an answer to {command}"), |message| {
            message["response"] == true
        });
        assert_eq!(answer["ok"], true, "{command} {parameters}: {answer}");
        answer["data"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits for an event of this type, and takes it out of those that have come.
    #[track_caller]
    pub fn expect(&mut self, kind: &str) -> Value {
        self.wait(kind, |message| message["type"] == kind)
    }

    /// An event of this type has come that nobody has asked for.
    pub fn has(&self, kind: &str) -> bool {
        self.events.iter().any(|event| event["type"] == kind)
    }

    /// Waits for a call, answers it, and waits until it is up.
    #[track_caller]
    pub fn answer(&mut self) {
        self.expect("CALL_INCOMING");
        self.command("accept", "");
        self.expect("CALL_ESTABLISHED");
    }

    /// Ends the current call.
    #[track_caller]
    pub fn hang_up(&mut self) {
        self.command("hangup", "");
        self.expect("CALL_CLOSED");
    }

    /// Ends it as a user does, un-registering, and waits until its process has ended.
    pub fn quit(mut self) {
        self.command("quit", "");
        let status = self.process.wait().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.trace());
    }

    /// The SIP messages that it got from the gateway and of which the first line begins so, in order.
    pub fn received(&self, beginning: &str) -> Vec<String> {
        let from = format!(" {}:", self.gateway);
        let trace = self.trace();
        let messages = trace.split("\u{1b}[36;1m#").filter_map(|block| {
            let (first, rest) = block.trim_start().split_once('\n')?;
            let source = first.split(" -> ").next()?;
            // Without its end it is being written still.
            let (message, _) = rest.split_once("\u{1b}[;m")?;
            source.contains(&from).then_some(message)
        });
        let messages = messages.filter(|message| message.starts_with(beginning));
        messages.map(|message| message.replace('\r', "")).collect()
    }

    /// Waits until it has got so many of such messages, and gives them.
    #[track_caller]
    pub fn receives(&self, count: usize, beginning: &str) -> Vec<String> {
        let start = Instant::now();
        loop {
            let messages = self.received(beginning);
            if messages.len() >= count {
                return messages;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{} of {count} {beginning}\n{}",
                messages.len(),
                self.trace()
            );
            std::thread::park_timeout(POLL);
        }
    }

    /// How many RTP packets it has sent in the current call.
    pub fn packets_sent(&mut self) -> u64 {
        let said = self.command("audio_debug", "");
        let sent = said.split("TX: packets=").nth(1);
        let digits = sent.and_then(|rest| rest.split(',').next());
        digits.map_or(0, |digits| digits.parse().expect("a number"))
    }

    /// The samples that it heard in the call that has ended last.
    pub fn heard(&self) -> Vec<i16> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.folder.path())
            .expect("its folder")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        files.sort();
        let bytes = std::fs::read(files.last().expect("a recording")).expect("it is read");
        let samples = bytes.get(44..).expect("a WAV file has a header");
        let samples = samples.chunks_exact(2);
        samples
            .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
            .collect()
    }

    /// Everything that it printed.
    pub fn trace(&self) -> String {
        let bytes = std::fs::read(self.folder.path().join("trace")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[track_caller]
    fn wait(&mut self, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.events.iter().position(&is_wanted) {
                return self.events.remove(place);
            }
            let left = until.saturating_duration_since(Instant::now());
            let is_more = !left.is_zero() && self.read(left);
            assert!(
                is_more,
                "{what} never came, but {:?}\n{}",
                self.events,
                self.trace()
            );
        }
    }

    /// Reads what is there, or waits for something. False at the end of the connection or of the time.
    fn read(&mut self, time: std::time::Duration) -> bool {
        self.control
            .set_read_timeout(Some(time))
            .expect("a time-out is set");
        let mut buffer = [0; 4096];
        let Ok(length @ 1..) = self.control.read(&mut buffer) else {
            return false;
        };
        self.unread.extend_from_slice(&buffer[..length]);
        while let Some((message, rest)) = first_netstring(&self.unread) {
            let message = serde_json::from_slice(message).expect("baresip speaks JSON");
            self.unread = rest.to_vec();
            self.events.push(message);
        }
        true
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The first whole one, and what follows it (`5:hello,…`).
fn first_netstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.parse().ok()?;
    let (message, rest) = bytes[colon + 1..].split_at_checked(length)?;
    Some((message, rest.strip_prefix(b",")?))
}

fn connect(process: &mut Child, address: Ipv4Addr, folder: &Path) -> TcpStream {
    let start = Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(SocketAddrV4::new(address, 4444)) {
            return stream;
        }
        let ended = process.try_wait().expect("its state is known");
        assert!(
            ended.is_none() && start.elapsed() < PATIENCE,
            "baresip did not start: {ended:?}\n{}",
            std::fs::read_to_string(folder.join("trace")).unwrap_or_default()
        );
        std::thread::park_timeout(POLL);
    }
}

/// RTP is sent from 127.0.0.1 whatever is written here, for baresip binds its media to no address.
fn write_configuration(folder: &Path, host: Ipv4Addr, way: Way, tone_hz: u32, codec: &str) {
    let mut text = String::new();
    let (listen, media) = match way {
        Way::Nat => ("127.0.0.1:0".to_owned(), "192.0.2.77"),
        _ => (format!("{host}:5060"), "127.0.0.1"),
    };
    let folder_name = folder.display();
    let _ = write!(
        text,
        "poll_method epoll\nsip_listen {listen}\nnet_interface {media}\nmodule_path /usr/lib/baresip/modules\n\
         module {codec}.so\nmodule srtp.so\nmodule ausine.so\nmodule aubridge.so\nmodule sndfile.so\nmodule_app menu.so\n\
         module_app debug_cmd.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen {host}:4444\nsnd_path {folder_name}\n\
         audio_source ausine,{tone_hz}\naudio_player aubridge,ear\naudio_alert aubridge,bell\n\
         ausrc_srate 48000\nausrc_channels 2\nrtp_ports 40000-49999\ncall_max_calls 4\nringback_disabled yes\n"
    );
    if folder.join("phone.pem").exists() {
        let _ = writeln!(text, "sip_certificate {folder_name}/phone.pem");
    }
    std::fs::write(folder.join("config"), text).expect("its configuration is written");
}

/// Samples that are looked at for a tone at once, 50 ms: a skip of the audio, as on a busy machine, is felt in one of them alone.
const WINDOW: usize = 400;

/// Which part of the signal's energy is a tone of this frequency: 0 to 1.
pub fn tone_share(samples: &[i16], frequency_hz: u32) -> f64 {
    let windows = samples.chunks_exact(WINDOW);
    let (tone, all) = windows.fold((0.0, 0.0), |(tone, all), window| {
        let energy = energy(window);
        (tone + energy * share(window, frequency_hz), all + energy)
    });
    if all == 0.0 { 0.0 } else { tone / all }
}

/// For how many seconds a tone of this frequency, and little else, is heard.
pub fn tone_seconds(samples: &[i16], frequency_hz: u32) -> f64 {
    let windows = samples.chunks_exact(WINDOW);
    let sounding = windows.filter(|window| share(window, frequency_hz) > 0.8);
    (sounding.count() * WINDOW) as f64 / SAMPLE_RATE
}

fn energy(samples: &[i16]) -> f64 {
    samples
        .iter()
        .map(|sample| f64::from(*sample).powi(2))
        .sum()
}

/// Of a window's energy (Goertzel's filter).
fn share(window: &[i16], frequency_hz: u32) -> f64 {
    let coefficient = 2.0 * (std::f64::consts::TAU * f64::from(frequency_hz) / SAMPLE_RATE).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in window {
        (last, before) = (f64::from(*sample) + coefficient * last - before, last);
    }
    let tone = last * last + before * before - coefficient * last * before;
    match energy(window) {
        0.0 => 0.0,
        energy => 2.0 * tone / (window.len() as f64 * energy),
    }
}
