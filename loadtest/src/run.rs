//! `make loadtest`: a gateway on loopback between two SIPps, with media on every call, and one table.

use crate::gateway::GatewaySettings;
use crate::media::Media;
use crate::place::Place;
use crate::report;
use crate::sipp::{self, Calls, Signalling};
use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

const GATEWAY: Ipv4Addr = Ipv4Addr::LOCALHOST;
const CALLER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CALLED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// RTP packets of a call a second: 50 each way.
const PACKETS_PER_CALL: f64 = 100.0;

/// What to do.
#[derive(Clone, Debug)]
pub struct LoadTest {
    /// The `ringway` binary.
    pub gateway: PathBuf,
    /// Calls at once.
    pub calls: u32,
    /// Seconds of media with all calls up.
    pub seconds: u64,
    /// New calls a second.
    pub cps: u32,
    /// Caller's and called's codec.
    pub codecs: (String, String),
}

/// Runs calls with media, prints the table; an error if any call failed or any packet was lost or wrong.
pub fn with_media(test: &LoadTest) -> Result<()> {
    if test.calls > sipp::CALLS_MAX {
        bail!(
            "SIPp numbers its RTP ports so that {} calls can be up at once; ask for fewer",
            sipp::CALLS_MAX
        );
    }
    let folder = tempfile::tempdir()?;
    let (settings, signalling) = on_loopback(test)?;
    let gateway = settings.start(folder.path())?;
    let memory_before = gateway.memory_mib()?;
    let ramp = Duration::from_secs(u64::from(test.calls / test.cps.max(1)) + 1);
    let hold = ramp + Duration::from_secs(test.seconds + 4);
    let calls = Calls {
        count: test.calls,
        rate: test.cps,
        hold,
    };
    eprintln!("setting up {} calls at {} a second …", test.calls, test.cps);
    let mut sipps = sipp::start(folder.path(), &signalling, &calls)?;
    let legs = sipps.wait_answered()?;
    eprintln!("{} legs are up; {} s of RTP …", legs.len(), test.seconds);
    let mut media = Media::open(&legs, signalling.formats.0)?;
    let worker_before = gateway.worker_cpu_s()?;
    let result = media.run(
        PACKETS_PER_CALL * legs.len() as f64 / 2.0,
        Duration::from_secs(test.seconds),
    );
    let worker_cpu = gateway.worker_cpu_s()? - worker_before;
    let memory = (memory_before, gateway.memory_mib()?);
    let workers = gateway.workers()?;
    eprintln!("ending the calls …");
    let sipp = sipps.finish(hold + ramp + Duration::from_secs(60))?;
    let leftovers = gateway.wait_empty()?;
    gateway.stop()?;
    println!("{}", report::signalling_rows(&sipp));
    println!("{}", report::media_rows(&result));
    for worker in &workers {
        let (p50, p99, p999) = worker.latency_us;
        println!(
            "packets (in the gateway)        in {}   out {}   dropped {}",
            worker.packets_in, worker.packets_out, worker.dropped
        );
        println!(
            "relay latency (in the gateway)  p50 {p50:.0} us   p99 {p99:.0} us   p99.9 {p999:.0} us"
        );
    }
    println!(
        "CPU per relayed packet          {:.0} ns (worker thread)",
        worker_cpu * 1e9 / result.received.max(1) as f64
    );
    println!(
        "memory                          {:.1} MiB idle, {:.1} MiB under load",
        memory.0, memory.1
    );
    println!("left over after the last call   {leftovers}");
    report::judge(&sipp, Some(&result), test.calls, &leftovers)
}

fn on_loopback(test: &LoadTest) -> Result<(GatewaySettings, Signalling)> {
    let (a, b) = (payload_type(&test.codecs.0)?, payload_type(&test.codecs.1)?);
    if a != b {
        bail!(
            "CODECS={}:{}: the gateway does not transcode yet; give one codec twice",
            test.codecs.0,
            test.codecs.1
        );
    }
    let called = SocketAddrV4::new(CALLED, 5070);
    let settings = GatewaySettings {
        binary: test.gateway.clone(),
        place: Place::default(),
        sip: SocketAddrV4::new(GATEWAY, 5060),
        admin: SocketAddrV4::new(GATEWAY, 18088),
        caller: CALLER,
        called,
        codecs: test.codecs.clone(),
        rtp: String::new(),
        phones: 0,
    };
    let signalling = Signalling {
        place: Place::default(),
        caller: SocketAddrV4::new(CALLER, 5061),
        called,
        // Media from addresses of its own, told in SDP only, as media gateways of trunks do.
        caller_rtp: Ipv4Addr::new(127, 0, 0, 4),
        called_rtp: Ipv4Addr::new(127, 0, 0, 5),
        gateway: settings.sip,
        gateway_rtp: GATEWAY,
        formats: (a, b),
    };
    Ok((settings, signalling))
}

/// The static payload type of a codec (RFC 3551 table 4).
fn payload_type(codec: &str) -> Result<u8> {
    match codec {
        "ulaw" => Ok(0),
        "alaw" => Ok(8),
        "g722" => Ok(9),
        other => bail!("CODECS: {other} is none of ulaw, alaw, g722"),
    }
}
