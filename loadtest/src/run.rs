//! `make loadtest`: a gateway on loopback between two SIPps, with media on every call, and one table.

use crate::gateway::{GatewaySettings, WorkerRow};
use crate::ledger::{Ledger, LegAddresses, MediaResult};
use crate::media::Media;
use crate::place::Place;
use crate::probes::Probes;
use crate::processor;
use crate::report;
use crate::sipp::{self, Calls, Signalling, SippResult};
use crate::speech::{Codec, Speech};
use crate::talks::Talks;
use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
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
    pub codecs: [Codec; 2],
}

/// Part of the packets that may be lost where audio is decoded: a buffer drops what a busy machine delivers too late.
const LOSS_MAX: f64 = 0.001;

/// Runs calls with media, prints the table; an error if any call failed, or if packets were lost or wrong or the audio
/// was not what was said.
pub fn with_media(test: &LoadTest) -> Result<()> {
    if test.calls > sipp::CALLS_MAX {
        bail!(
            "SIPp numbers its RTP ports so that {} calls can be up at once; ask for fewer",
            sipp::CALLS_MAX
        );
    }
    let folder = tempfile::tempdir()?;
    let [a, b] = test.codecs;
    if a == b {
        let end = through(test, folder.path(), |legs| {
            Probes::new(legs, a.payload_type())
        })?;
        println!("{}", report::latency_row(&end.result));
        end.print("relayed");
        return report::judge(
            &end.sipp,
            Some((&end.result, 0.0)),
            test.calls,
            &end.leftovers,
        );
    }
    let speech = Speech::make(folder.path(), test.codecs)?;
    let end = through(test, folder.path(), |legs| {
        Talks::new(legs, test.codecs, &speech)
    })?;
    let audio = end.ledger.judge()?;
    println!("{}", report::audio_rows(&audio));
    end.print("transcoded");
    report::judge(
        &end.sipp,
        Some((&end.result, LOSS_MAX)),
        test.calls,
        &end.leftovers,
    )?;
    report::judge_audio(&audio)
}

/// What a whole run showed.
struct End<L> {
    ledger: L,
    result: MediaResult,
    sipp: SippResult,
    workers: Vec<WorkerRow>,
    /// CPU seconds of the worker threads, and of the whole process.
    cpu_s: (f64, f64),
    /// CPU seconds that the machine's host took away meanwhile.
    stolen_s: f64,
    /// MiB idle and under load.
    memory: (f64, f64),
    leftovers: String,
}

/// The calls, and the media that the ledger says, through a gateway of their own.
fn through<L: Ledger>(
    test: &LoadTest,
    folder: &Path,
    ledger: impl FnOnce(&[LegAddresses]) -> Result<L>,
) -> Result<End<L>> {
    let (settings, signalling) = on_loopback(test);
    let gateway = settings.start(folder)?;
    let memory_before = gateway.memory_mib()?;
    let ramp = Duration::from_secs(u64::from(test.calls / test.cps.max(1)) + 1);
    let hold = ramp + Duration::from_secs(test.seconds + 4);
    let calls = Calls {
        count: test.calls,
        rate: test.cps,
        hold,
    };
    eprintln!("setting up {} calls at {} a second …", test.calls, test.cps);
    let mut sipps = sipp::start(folder, &signalling, &calls)?;
    let legs = sipps.wait_answered()?;
    eprintln!("{} legs are up; {} s of RTP …", legs.len(), test.seconds);
    let mut media = Media::open(&legs, ledger(&legs)?)?;
    let before = (gateway.worker_cpu_s()?, gateway.cpu_s()?);
    let stolen_before = processor::stolen_s()?;
    let result = media.run(
        PACKETS_PER_CALL * legs.len() as f64 / 2.0,
        Duration::from_secs(test.seconds),
    );
    let cpu_s = (
        gateway.worker_cpu_s()? - before.0,
        gateway.cpu_s()? - before.1,
    );
    let stolen_s = processor::stolen_s()? - stolen_before;
    let memory = (memory_before, gateway.memory_mib()?);
    let workers = gateway.workers()?;
    eprintln!("ending the calls …");
    let sipp = sipps.finish(hold + ramp + Duration::from_secs(60))?;
    let leftovers = gateway.wait_empty()?;
    gateway.stop()?;
    println!("{}", report::signalling_rows(&sipp));
    println!("{}", report::media_row(&result));
    Ok(End {
        ledger: media.ledger,
        result,
        sipp,
        workers,
        cpu_s,
        stolen_s,
        memory,
        leftovers,
    })
}

impl<L> End<L> {
    /// The rows of the gateway itself, whose packets were treated so.
    fn print(&self, treated: &str) {
        for worker in &self.workers {
            let (p50, p99, p999) = worker.latency_us;
            println!(
                "packets (in the gateway)        in {}   out {}   dropped {}",
                worker.packets_in, worker.packets_out, worker.dropped
            );
            if treated == "relayed" {
                println!(
                    "relay latency (in the gateway)  p50 {p50:.0} us   p99 {p99:.0} us   p99.9 {p999:.0} us"
                );
            }
        }
        let ns_per_packet = |cpu_s: f64| cpu_s * 1e9 / self.result.received.max(1) as f64;
        println!(
            "{:<31} {:.0} ns (worker threads), {:.0} ns (whole process)",
            format!("CPU per {treated} packet"),
            ns_per_packet(self.cpu_s.0),
            ns_per_packet(self.cpu_s.1),
        );
        println!(
            "taken by this machine's host    {:.1} s of CPU time while RTP ran",
            self.stolen_s
        );
        println!(
            "memory                          {:.1} MiB idle, {:.1} MiB under load",
            self.memory.0, self.memory.1
        );
        println!("left over after the last call   {}", self.leftovers);
    }
}

fn on_loopback(test: &LoadTest) -> (GatewaySettings, Signalling) {
    let [a, b] = test.codecs;
    let called = SocketAddrV4::new(CALLED, 5070);
    let settings = GatewaySettings {
        binary: test.gateway.clone(),
        place: Place::default(),
        sip: SocketAddrV4::new(GATEWAY, 5060),
        admin: SocketAddrV4::new(GATEWAY, 18088),
        caller: CALLER,
        called,
        codecs: (a.name().to_owned(), b.name().to_owned()),
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
        formats: (a.payload_type(), b.payload_type()),
    };
    (settings, signalling)
}
