//! SIPp on both sides of the gateway: the calling trunk and the called one.

use crate::child::Running;
use crate::ledger::LegAddresses;
use crate::place::Place;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const CALLER: &str = include_str!("../scenarios/uac.xml");
const CALLED: &str = include_str!("../scenarios/uas.xml");
const REGISTER: &str = include_str!("../scenarios/register.xml");
/// The first call's RTP port; each further call's is four higher (SIPp's `auto_media_port`).
const FIRST_RTP_PORT: u16 = 30_000;
/// SIPp begins again after so many ports, so this is four times the most calls at once.
const RTP_PORTS: u32 = 10_000;

/// The most calls that can be up at once.
pub const CALLS_MAX: u32 = RTP_PORTS / 4;

/// Who plays which part, and where.
#[derive(Clone, Debug)]
pub struct Signalling {
    /// Where the commands run.
    pub place: Place,
    /// The calling trunk's address for SIP.
    pub caller: SocketAddrV4,
    /// The called trunk's address for SIP.
    pub called: SocketAddrV4,
    /// The caller's address for RTP.
    pub caller_rtp: Ipv4Addr,
    /// The called's address for RTP.
    pub called_rtp: Ipv4Addr,
    /// The gateway's SIP address.
    pub gateway: SocketAddrV4,
    /// The gateway's RTP address.
    pub gateway_rtp: Ipv4Addr,
    /// RTP payload types of caller and called.
    pub formats: (u8, u8),
}

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// All calls.
    pub count: u32,
    /// New calls a second.
    pub rate: u32,
    /// How long each stays up after its answer.
    pub hold: Duration,
}

/// The two SIPp processes of one run.
pub struct Sipps {
    caller: Running,
    called: Running,
    folder: PathBuf,
    signalling: Signalling,
    calls: Calls,
}

/// What the two SIPps counted.
#[derive(Clone, Debug, Default)]
pub struct SippResult {
    /// Calls that the caller began.
    pub offered: u64,
    /// Calls that ran through to the end.
    pub successful: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Messages sent again, by caller and called.
    pub retransmissions: (u64, u64),
    /// INVITE to 200 in milliseconds, sorted.
    pub setup_ms: Vec<f64>,
    /// What they complained of.
    pub errors: String,
}

impl SippResult {
    /// A quantile of the set-up time, in milliseconds.
    pub fn setup_quantile(&self, quantile: f64) -> f64 {
        let place = (self.setup_ms.len() as f64 * quantile) as usize;
        self.setup_ms
            .get(place.min(self.setup_ms.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    }
}

/// Starts the called side, then the caller.
pub fn start(folder: &Path, signalling: &Signalling, calls: &Calls) -> Result<Sipps> {
    std::fs::write(folder.join("caller.xml"), CALLER)?;
    std::fs::write(folder.join("called.xml"), CALLED)?;
    let longest = calls.hold + Duration::from_secs(u64::from(calls.count / calls.rate.max(1)) + 60);
    let called = spawn(folder, "called", signalling, calls, longest)?;
    wait_until_bound(&called, folder, &signalling.called)?;
    let caller = spawn(folder, "caller", signalling, calls, longest)?;
    Ok(Sipps {
        caller,
        called,
        folder: folder.to_owned(),
        signalling: signalling.clone(),
        calls: *calls,
    })
}

fn spawn(
    folder: &Path,
    role: &str,
    signalling: &Signalling,
    calls: &Calls,
    longest: Duration,
) -> Result<Running> {
    let is_caller = role == "caller";
    let (local, rtp, format) = if is_caller {
        (
            signalling.caller,
            signalling.caller_rtp,
            signalling.formats.0,
        )
    } else {
        (
            signalling.called,
            signalling.called_rtp,
            signalling.formats.1,
        )
    };
    let mut command = signalling.place.command("sipp");
    command
        .current_dir(folder)
        .args(["-sf", &format!("{role}.xml")]);
    command.args([
        "-i",
        &local.ip().to_string(),
        "-p",
        &local.port().to_string(),
    ]);
    // SIPp opens media sockets of its own even when it plays none; keep them off the generator's ports.
    command.args([
        "-mi",
        &local.ip().to_string(),
        "-mp",
        &FIRST_RTP_PORT.to_string(),
    ]);
    command.args([
        "-key",
        "rtp_ip",
        &rtp.to_string(),
        "-key",
        "formats",
        &format.to_string(),
    ]);
    command.args([
        "-m",
        &calls.count.to_string(),
        "-l",
        &(calls.count + 1).to_string(),
    ]);
    command.args([
        "-trace_logs",
        "-log_file",
        &format!("{role}.log"),
        "-nostdin",
    ]);
    command.args(["-trace_stat", "-stf", &format!("{role}.csv"), "-fd", "1"]);
    command.args(["-trace_err", "-error_file", &format!("{role}.errors")]);
    command.args([
        "-timeout",
        &longest.as_secs().to_string(),
        "-buff_size",
        "4194304",
    ]);
    if is_caller {
        command.args([
            "-trace_rtt",
            "-rtt_freq",
            "1",
            "-s",
            "4930123456",
            "-r",
            &calls.rate.to_string(),
        ]);
        command.args([
            "-d",
            &calls.hold.as_millis().to_string(),
            &signalling.gateway.to_string(),
        ]);
    }
    let screen = std::fs::File::create(folder.join(format!("{role}.screen")))?;
    command
        .stdout(screen.try_clone()?)
        .stderr(screen)
        .stdin(std::process::Stdio::null());
    Running::start(&format!("sipp ({role})"), &mut command)
}

/// SIPp says nothing when it listens, so ask the kernel's table of UDP sockets in its network namespace.
fn wait_until_bound(called: &Running, folder: &Path, address: &SocketAddrV4) -> Result<()> {
    let wanted = format!(
        "{:08X}:{:04X}",
        u32::from_ne_bytes(address.ip().octets()),
        address.port()
    );
    let table = format!("/proc/{}/net/udp", called.id());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if std::fs::read_to_string(&table)
            .unwrap_or_default()
            .contains(&wanted)
        {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let screen = std::fs::read_to_string(folder.join("called.screen")).unwrap_or_default();
    bail!("the called SIPp does not listen on {address}: {screen}")
}

impl Sipps {
    /// Waits until every call is answered (or SIPp gave up), and tells the legs that are: the callers', then those of
    /// whom they called in the same order.
    pub fn wait_answered(&mut self) -> Result<Vec<LegAddresses>> {
        let ramp = Duration::from_secs(u64::from(self.calls.count / self.calls.rate.max(1)) + 20);
        let start = Instant::now();
        loop {
            let (caller, called) = (self.legs("caller")?, self.legs("called")?);
            let all = self.calls.count as usize;
            let is_over = self.caller.ended()?.is_some() || start.elapsed() > ramp;
            if (caller.len() >= all && called.len() >= all) || is_over {
                return Ok(caller.into_iter().chain(called).collect());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The legs that a SIPp has logged so far, in the order of the callers' numbers.
    fn legs(&self, role: &str) -> Result<Vec<LegAddresses>> {
        let address = if role == "caller" {
            self.signalling.caller_rtp
        } else {
            self.signalling.called_rtp
        };
        let text =
            std::fs::read_to_string(self.folder.join(format!("{role}.log"))).unwrap_or_default();
        let mut legs = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some("leg"), Some(number), Some(port)) =
                (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let (Ok(number), Ok(port)) = (number.parse::<u32>(), port.parse::<u16>()) else {
                continue;
            };
            // The called side names the caller of its call by the number in From.
            let call = words.next().and_then(|word| word.parse().ok());
            let local_port = u32::from(FIRST_RTP_PORT) + 4 * (number - 1) % RTP_PORTS;
            let local = SocketAddrV4::new(address, local_port as u16);
            legs.insert(
                call.unwrap_or(number),
                LegAddresses {
                    local,
                    gateway: SocketAddrV4::new(self.signalling.gateway_rtp, port),
                },
            );
        }
        Ok(legs.into_values().collect())
    }

    /// Waits for both to end and reads what they counted.
    pub fn finish(mut self, longest: Duration) -> Result<SippResult> {
        self.caller.wait(longest)?;
        // The called side has had its BYE when the caller has its answer; it only has to notice that it is done.
        let _ = self.called.terminate(Duration::from_secs(20));
        let caller = Statistics::read(&self.folder.join("caller.csv"))?;
        let called = Statistics::read(&self.folder.join("called.csv"))?;
        Ok(SippResult {
            offered: caller.last("OutgoingCall(C)"),
            successful: caller.last("SuccessfulCall(C)"),
            failed: caller.last("FailedCall(C)"),
            retransmissions: (
                caller.last("Retransmissions(C)"),
                called.last("Retransmissions(C)"),
            ),
            setup_ms: self.setup_times()?,
            errors: self.errors(),
        })
    }

    /// The beginning of what both SIPps complained of.
    fn errors(&self) -> String {
        let read = |role: &str| {
            let text = std::fs::read_to_string(self.folder.join(format!("{role}.errors")));
            text.unwrap_or_default()
                .chars()
                .take(1_000)
                .collect::<String>()
        };
        format!("caller: {}\ncalled: {}", read("caller"), read("called"))
    }

    fn setup_times(&self) -> Result<Vec<f64>> {
        let name = format!("caller_{}_rtt.csv", self.caller.id());
        let text = std::fs::read_to_string(self.folder.join(&name)).with_context(|| name)?;
        let mut times: Vec<f64> = text
            .lines()
            .filter_map(|line| line.split(';').nth(1)?.parse().ok())
            .collect();
        times.sort_by(f64::total_cmp);
        Ok(times)
    }
}

/// Telephones `p0`, `p1` … that register, each with digest.
pub struct Phones {
    sipp: Running,
    folder: PathBuf,
    name: &'static str,
}

/// How many phones, at which rate, and how many registrations in all (None: until stopped, but an hour at most).
#[derive(Clone, Copy, Debug)]
pub struct PhonesLoad {
    /// Telephones; they take turns.
    pub phones: u32,
    /// Registrations a second.
    pub rate: u32,
    /// Registrations in all.
    pub count: Option<u32>,
}

impl Phones {
    /// Starts them.
    pub fn start(
        folder: &Path,
        place: &Place,
        local: SocketAddrV4,
        registrar: SocketAddrV4,
        load: PhonesLoad,
    ) -> Result<Phones> {
        let name = if load.count.is_some() {
            "first"
        } else {
            "again"
        };
        std::fs::write(folder.join("register.xml"), REGISTER)?;
        let users = (0..load.phones).fold(String::from("SEQUENTIAL\n"), |text, phone| {
            text + &format!("p{phone};[authentication username=p{phone} password=p{phone}]\n")
        });
        std::fs::write(folder.join("phones.csv"), users)?;
        let count = load.count.unwrap_or(load.rate.saturating_mul(3_600));
        let mut command = place.command("sipp");
        command.current_dir(folder);
        command.args(["-sf", "register.xml", "-inf", "phones.csv", "-nostdin"]);
        command.args(["-i", &local.ip().to_string()]);
        command.args(["-p", &local.port().to_string()]);
        command.args(["-m", &count.to_string(), "-r", &load.rate.to_string()]);
        command.args(["-trace_stat", "-stf", &format!("{name}.csv"), "-fd", "1"]);
        command.args(["-trace_err", "-error_file", &format!("{name}.errors")]);
        command.args(["-timeout", "3600", "-buff_size", "4194304"]);
        command.arg(registrar.to_string());
        let screen = std::fs::File::create(folder.join(format!("{name}.screen")))?;
        command
            .stdout(screen.try_clone()?)
            .stderr(screen)
            .stdin(std::process::Stdio::null());
        Ok(Phones {
            sipp: Running::start("sipp (phones)", &mut command)?,
            folder: folder.to_owned(),
            name,
        })
    }

    /// Waits until all have registered.
    pub fn finish(mut self, longest: Duration) -> Result<SippResult> {
        self.sipp.wait(longest)?;
        self.counted()
    }

    /// Lets what has begun end, and begins no more.
    pub fn stop(mut self) -> Result<SippResult> {
        // SIPp takes SIGUSR1 as the key `q`.
        let id = nix::unistd::Pid::from_raw(self.sipp.id() as i32);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGUSR1)?;
        self.sipp.wait(Duration::from_secs(20))?;
        self.counted()
    }

    fn counted(&self) -> Result<SippResult> {
        let all = Statistics::read(&self.folder.join(format!("{}.csv", self.name)))?;
        let errors = std::fs::read_to_string(self.folder.join(format!("{}.errors", self.name)));
        Ok(SippResult {
            offered: all.last("OutgoingCall(C)"),
            successful: all.last("SuccessfulCall(C)"),
            failed: all.last("FailedCall(C)"),
            retransmissions: (all.last("Retransmissions(C)"), 0),
            setup_ms: Vec::new(),
            errors: errors.unwrap_or_default().chars().take(1_000).collect(),
        })
    }
}

/// A SIPp statistics file: a line of names, then lines of values.
struct Statistics {
    names: Vec<String>,
    last: Vec<String>,
}

impl Statistics {
    fn read(path: &Path) -> Result<Statistics> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let mut lines = text
            .lines()
            .map(|line| line.split(';').map(str::to_owned).collect::<Vec<_>>());
        let names = lines.next().context("SIPp wrote no statistics")?;
        let last = lines.next_back().context("SIPp wrote no statistics")?;
        Ok(Statistics { names, last })
    }

    fn last(&self, name: &str) -> u64 {
        let place = self.names.iter().position(|other| other == name);
        place
            .and_then(|place| self.last.get(place)?.parse().ok())
            .unwrap_or(0)
    }
}
