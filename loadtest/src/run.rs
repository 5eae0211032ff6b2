//! `make loadtest`: a gateway on loopback between two SIPps, with media on every call, and one table.

use crate::gateway::{Gateway, GatewaySettings};
use crate::ledger::MediaResult;
use crate::media::Media;
use crate::place::Place;
use crate::sipp::{self, Calls, Signalling, SippResult};
use anyhow::{Context, Result, bail};
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
    /// Seconds of media with all calls up; not used by [`calls_only`].
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
    let leftovers = wait_empty(&gateway)?;
    gateway.stop()?;
    println!("{}", signalling_rows(&sipp));
    println!("{}", media_rows(&result));
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
    judge(&sipp, Some(&result), test.calls, &leftovers)
}

/// A little longer than the longest transaction lives (64*T1), so that tables have their size when memory is compared.
const WARM_UP_S: u32 = 35;

/// Sets up and ends calls without media at a steady rate, prints the table; an error if any failed or was repeated.
pub fn calls_only(test: &LoadTest, length: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (settings, signalling) = on_loopback(test)?;
    let gateway = settings.start(folder.path())?;
    let count = test.cps * length.as_secs() as u32;
    let calls = Calls {
        count,
        rate: test.cps,
        hold: Duration::from_secs(1),
    };
    let warm = Calls {
        count: test.cps * WARM_UP_S,
        ..calls
    };
    eprintln!("warming up for {WARM_UP_S} s …");
    sipp::start(folder.path(), &signalling, &warm)?.finish(Duration::from_secs(120))?;
    wait_empty(&gateway)?;
    let (memory_before, cpu_before) = (gateway.memory_mib()?, gateway.cpu_s()?);
    eprintln!(
        "{} new calls a second for {} s …",
        test.cps,
        length.as_secs()
    );
    let second = tempfile::tempdir()?;
    let sipps = sipp::start(second.path(), &signalling, &calls)?;
    let sipp = sipps.finish(length + Duration::from_secs(90))?;
    let cpu = gateway.cpu_s()? - cpu_before;
    let leftovers = wait_empty(&gateway)?;
    let memory_after = gateway.memory_mib()?;
    gateway.stop()?;
    println!("{}", signalling_rows(&sipp));
    println!(
        "retransmissions                 caller {}, called {}",
        sipp.retransmissions.0, sipp.retransmissions.1
    );
    println!(
        "CPU per call                    {:.3} ms (whole process, both legs)",
        cpu * 1e3 / sipp.offered.max(1) as f64
    );
    println!(
        "memory                          {memory_before:.1} MiB before, {memory_after:.1} MiB after"
    );
    println!("left over after the last call   {leftovers}");
    if sipp.retransmissions != (0, 0) {
        bail!("messages had to be sent again");
    }
    judge(&sipp, None, count, &leftovers)
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

/// What is left once the calls are over: waits for their transactions' timers (64*T1, RFC 3261 §17) to run out.
fn wait_empty(gateway: &Gateway) -> Result<String> {
    let mut left = String::new();
    for _ in 0..80 {
        let status = gateway.status()?;
        let number = |name: &str| {
            status
                .get(name)
                .and_then(serde_json::Value::as_u64)
                .context(name.to_owned())
        };
        let ports = status
            .get("rtp_pairs")
            .and_then(|pairs| pairs.get(0)?.as_u64())
            .context("rtp_pairs")?;
        let (calls, transactions) = (number("calls_active")?, number("transactions")?);
        left = format!("{calls} calls, {transactions} transactions, {ports} port pairs");
        if calls + transactions + ports == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(left)
}

fn signalling_rows(sipp: &SippResult) -> String {
    format!(
        "calls                           offered {}   answered and ended {}   failed {}\n\
         call set-up (INVITE to 200)     p50 {:.0} ms   p99 {:.0} ms",
        sipp.offered,
        sipp.successful,
        sipp.failed,
        sipp.setup_quantile(0.5),
        sipp.setup_quantile(0.99),
    )
}

fn media_rows(result: &MediaResult) -> String {
    let [p50, p99, p999, highest] = result.latency_us;
    format!(
        "RTP packets                     sent {}   received {}   lost {}   wrong {}   ({:.0}/s)\n\
         latency (generator to generator) p50 {p50:.0} us   p99 {p99:.0} us   p99.9 {p999:.0} us   max {highest:.0} us",
        result.sent,
        result.received,
        result.lost,
        result.rubbish + result.wrong_source + result.broken_sequence + result.send_failed,
        result.rate,
    )
}

fn judge(
    sipp: &SippResult,
    media: Option<&MediaResult>,
    calls: u32,
    leftovers: &str,
) -> Result<()> {
    if sipp.successful != u64::from(calls) || sipp.failed != 0 {
        bail!(
            "{} of {calls} calls went well, {} failed; SIPp says: {}",
            sipp.successful,
            sipp.failed,
            sipp.errors
        );
    }
    if let Some(media) = media
        && (media.loss() > 0.0 || media.sent == 0)
    {
        bail!("RTP was lost or wrong: {media:?}");
    }
    if leftovers != "0 calls, 0 transactions, 0 port pairs" {
        bail!("left over: {leftovers}");
    }
    Ok(())
}
