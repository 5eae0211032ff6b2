//! `make loadtest-calls`: new calls at a steady rate without media, beside telephones that register again and again
//! and reloads of the configuration; then the same calls through Kamailio. The gateway has one core, the load another.

use crate::gateway::{Gateway, GatewaySettings};
use crate::kamailio::Kamailio;
use crate::place::Place;
use crate::report;
use crate::sipp::{self, Calls, Phones, PhonesLoad, Signalling, SippResult};
use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const GATEWAY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5060);
const CALLED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 3), 5070);
const CALLER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 2), 5061);
const PHONES: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 6), 5062);
const GATEWAY_CORE: usize = 0;
const LOAD_CORE: usize = 1;

/// How long each call stays up.
const HOLD: Duration = Duration::from_secs(1);
/// A little longer than the longest transaction lives (64*T1), so that tables have their size when memory is compared.
const WARM_UP: Duration = Duration::from_secs(35);
/// Every phone registers again after so many seconds.
const REFRESH_S: u32 = 60;
/// The first registrations, a second.
const REGISTER_RATE: u32 = 300;
/// Seconds with phones and no calls, to know what phones cost.
const PHONES_ALONE: Duration = Duration::from_secs(15);

/// What to do.
#[derive(Clone, Debug)]
pub struct CallsTest {
    /// The `ringway` binary.
    pub gateway: PathBuf,
    /// New calls a second.
    pub cps: u32,
    /// For so long.
    pub length: Duration,
    /// Telephones that stay registered.
    pub phones: u32,
    /// Reloads of the configuration, evenly spread.
    pub reloads: u32,
    /// Whether Kamailio relays the same calls afterwards.
    pub beside_kamailio: bool,
}

/// What one contender took.
struct Cost {
    /// CPU seconds of the whole process or processes.
    cpu_s: f64,
    sipp: SippResult,
}

/// Runs it, prints the table; an error if any call or registration failed or any message was repeated.
pub fn run(test: &CallsTest) -> Result<()> {
    if std::thread::available_parallelism()?.get() < 2 {
        bail!("the load needs a core beside the gateway's");
    }
    let ours = ringway(test)?;
    if !test.beside_kamailio {
        return Ok(());
    }
    let theirs = kamailio(test)?;
    let a_call = |cost: &Cost| cost.cpu_s * 1e3 / cost.sipp.offered.max(1) as f64;
    println!("-- Kamailio, stateful relay of the same calls");
    println!("{}", report::signalling_rows(&theirs.sipp));
    println!("CPU per call                    {:.3} ms", a_call(&theirs));
    println!(
        "CPU per call, Ringway / Kamailio {:.2}",
        a_call(&ours) / a_call(&theirs)
    );
    Ok(())
}

fn ringway(test: &CallsTest) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let gateway = settings(test).start(folder.path())?;
    let phones = register_phones(test, folder.path(), &gateway)?;
    eprintln!("warming up for {} s …", WARM_UP.as_secs());
    load(test, WARM_UP)?.finish(Duration::from_secs(120))?;
    gateway.wait_for_no_calls()?;
    let (memory_before, phones_cpu) = (gateway.memory_mib()?, cost_of_phones(test, &gateway)?);
    let (cpu_before, control_before) = (gateway.cpu_s()?, gateway.control_cpu_s()?);
    eprintln!(
        "{} new calls a second for {} s …",
        test.cps,
        test.length.as_secs()
    );
    let start = Instant::now();
    let sipps = load(test, test.length)?;
    reload_now_and_then(test, &gateway, start)?;
    let sipp = sipps.finish(test.length + Duration::from_secs(90))?;
    let took = start.elapsed().as_secs_f64();
    let (cpu, control) = (
        gateway.cpu_s()? - cpu_before,
        gateway.control_cpu_s()? - control_before,
    );
    // What the phones cost in that time is not the calls' doing.
    let cost = Cost {
        cpu_s: cpu - phones_cpu * took,
        sipp,
    };
    let phones = phones.map(|phones| phones.stop()).transpose()?;
    let leftovers = gateway.wait_empty()?;
    let memory_after = gateway.memory_mib()?;
    let registered = gateway.registered_contacts()?;
    gateway.stop()?;

    println!("{}", report::signalling_rows(&cost.sipp));
    println!(
        "retransmissions                 caller {}, called {}",
        cost.sipp.retransmissions.0, cost.sipp.retransmissions.1
    );
    let a_call = 1e3 / cost.sipp.offered.max(1) as f64;
    println!(
        "CPU per call, both legs         {:.3} ms whole process, of it control thread {:.3} ms",
        cost.cpu_s * a_call,
        (control - phones_cpu * took) * a_call
    );
    if let Some(phones) = &phones {
        println!(
            "registrations                   {} phones, {} refreshes, {} failed, {} retransmissions; {:.3} ms CPU each",
            registered,
            phones.successful,
            phones.failed,
            phones.retransmissions.0,
            phones_cpu * 1e3 * f64::from(REFRESH_S) / f64::from(test.phones)
        );
    }
    println!("reloads in the middle           {}", test.reloads);
    println!(
        "memory                          {memory_before:.1} MiB before, {memory_after:.1} MiB after"
    );
    println!("left over after the last call   {leftovers}");
    judge(test, &cost.sipp, phones.as_ref(), registered, &leftovers)?;
    Ok(cost)
}

fn kamailio(test: &CallsTest) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let place = Place {
        namespace: None,
        core: Some(GATEWAY_CORE),
    };
    let kamailio = Kamailio::start(folder.path(), &place, GATEWAY, CALLED)?;
    eprintln!("Kamailio: warming up for {} s …", WARM_UP.as_secs());
    load(test, WARM_UP)?.finish(Duration::from_secs(120))?;
    let before = kamailio.cpu_s()?;
    eprintln!("Kamailio: {} s …", test.length.as_secs());
    let sipp = load(test, test.length)?.finish(test.length + Duration::from_secs(90))?;
    let cpu_s = kamailio.cpu_s()? - before;
    kamailio.stop()?;
    Ok(Cost { cpu_s, sipp })
}

/// Both SIPps at the rate for so long. Their files go with them.
fn load(test: &CallsTest, length: Duration) -> Result<Load> {
    let folder = tempfile::tempdir()?;
    let count = test.cps * length.as_secs() as u32;
    let calls = Calls {
        count,
        rate: test.cps,
        hold: HOLD,
    };
    let sipps = sipp::start(folder.path(), &signalling(), &calls)?;
    Ok(Load {
        sipps,
        _folder: folder,
    })
}

struct Load {
    sipps: sipp::Sipps,
    _folder: tempfile::TempDir,
}

impl Load {
    fn finish(self, longest: Duration) -> Result<SippResult> {
        self.sipps.finish(longest)
    }
}

/// All phones register once, then go on doing so in turn, until stopped.
fn register_phones(test: &CallsTest, folder: &Path, gateway: &Gateway) -> Result<Option<Phones>> {
    if test.phones == 0 {
        return Ok(None);
    }
    eprintln!("{} phones register …", test.phones);
    let folder = folder.join("phones");
    std::fs::create_dir(&folder)?;
    let all = |rate, count| {
        let load = PhonesLoad {
            phones: test.phones,
            rate,
            count,
        };
        Phones::start(&folder, &load_place(), PHONES, GATEWAY, load)
    };
    let first = all(REGISTER_RATE, Some(test.phones))?.finish(Duration::from_secs(
        u64::from(test.phones / REGISTER_RATE) + 60,
    ))?;
    let registered = gateway.registered_contacts()?;
    if first.failed > 0 || registered != u64::from(test.phones) {
        bail!(
            "{registered} of {} phones registered; SIPp says: {}",
            test.phones,
            first.errors
        );
    }
    all((test.phones / REFRESH_S).max(1), None).map(Some)
}

/// CPU seconds a second with phones and no calls.
fn cost_of_phones(test: &CallsTest, gateway: &Gateway) -> Result<f64> {
    if test.phones == 0 {
        return Ok(0.0);
    }
    let (start, before) = (Instant::now(), gateway.cpu_s()?);
    std::thread::sleep(PHONES_ALONE);
    Ok((gateway.cpu_s()? - before) / start.elapsed().as_secs_f64())
}

fn reload_now_and_then(test: &CallsTest, gateway: &Gateway, start: Instant) -> Result<()> {
    for number in 1..=test.reloads {
        let due = start + test.length * number / (test.reloads + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        gateway.reload()?;
    }
    Ok(())
}

fn settings(test: &CallsTest) -> GatewaySettings {
    GatewaySettings {
        binary: test.gateway.clone(),
        place: Place {
            namespace: None,
            core: Some(GATEWAY_CORE),
        },
        sip: GATEWAY,
        admin: SocketAddrV4::new(*GATEWAY.ip(), 18088),
        caller: *CALLER.ip(),
        called: CALLED,
        codecs: ("ulaw".to_owned(), "ulaw".to_owned()),
        rtp: format!("workers = 1\ncores = [{GATEWAY_CORE}]"),
        phones: test.phones,
    }
}

fn load_place() -> Place {
    Place {
        namespace: None,
        core: Some(LOAD_CORE),
    }
}

fn signalling() -> Signalling {
    Signalling {
        place: load_place(),
        caller: CALLER,
        called: CALLED,
        caller_rtp: Ipv4Addr::new(127, 0, 0, 4),
        called_rtp: Ipv4Addr::new(127, 0, 0, 5),
        gateway: GATEWAY,
        gateway_rtp: *GATEWAY.ip(),
        formats: (0, 0),
    }
}

fn judge(
    test: &CallsTest,
    calls: &SippResult,
    phones: Option<&SippResult>,
    registered: u64,
    leftovers: &str,
) -> Result<()> {
    if calls.retransmissions != (0, 0) {
        bail!("messages had to be sent again");
    }
    if let Some(phones) = phones
        && (phones.failed > 0 || registered != u64::from(test.phones))
    {
        bail!(
            "{registered} phones are registered, {} registrations failed; SIPp says: {}",
            phones.failed,
            phones.errors
        );
    }
    let count = test.cps * test.length.as_secs() as u32;
    report::judge(calls, None, count, leftovers)
}
