//! Ringway beside rtpengine: the same calls over the same veth pair, each on one core in turn, in one run.

use crate::gateway::GatewaySettings;
use crate::ledger::{LegAddresses, MediaResult};
use crate::netns::{self, CALLED, CALLED_RTP, CALLER, CALLER_RTP, Hosts, TESTED};
use crate::place::Place;
use crate::rtpengine;
use crate::sipp::{self, Calls, Signalling};
use crate::wire::Wire;
use anyhow::{Result, bail};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to do.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The `ringway` binary.
    pub gateway: PathBuf,
    /// Calls at once.
    pub calls: u32,
    /// Rounds; each measures both.
    pub rounds: u32,
    /// Packets a second of the fixed-rate part.
    pub rate: f64,
    /// Seconds of the fixed-rate part.
    pub seconds: u64,
    /// More lines for Ringway's `[rtp]`.
    pub rtp: String,
}

/// One system in one round.
#[derive(Clone, Debug)]
struct Figures {
    /// Busy nanoseconds of its core for each relayed packet at the fixed rate.
    ns_per_packet: f64,
    /// At the fixed rate.
    fixed: MediaResult,
    /// Highest rate with under 0.1 % lost, in packets a second.
    highest: MediaResult,
    /// The search ended because the generator could send no faster.
    generator_bound: bool,
}

/// Part of the packets that may be lost at "the highest rate without loss".
const LOSS_MAX: f64 = 0.001;

/// Runs it and prints the table.
pub fn run(comparison: &Comparison) -> Result<()> {
    let hosts = Hosts::make()?;
    let mut ringway = Vec::new();
    let mut rtpengine = Vec::new();
    for round in 0..comparison.rounds {
        for turn in 0..2 {
            // Who begins changes from round to round, so that a drift of the machine favours nobody.
            let figures = if (round + turn) % 2 == 0 {
                let figures = measure_ringway(comparison, &hosts)?;
                ringway.push(figures.clone());
                ("ringway", figures)
            } else {
                let figures = measure_rtpengine(comparison, &hosts)?;
                rtpengine.push(figures.clone());
                ("rtpengine", figures)
            };
            print_round(round, figures.0, &figures.1);
        }
    }
    print_ratios(&ringway, &rtpengine);
    Ok(())
}

fn measure_ringway(comparison: &Comparison, hosts: &Hosts) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let called = SocketAddrV4::new(CALLED, 5060);
    let settings = GatewaySettings {
        binary: comparison.gateway.clone(),
        place: Place {
            namespace: Some(hosts.tested.clone()),
            core: Some(0),
        },
        sip: SocketAddrV4::new(TESTED, 5060),
        admin: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8088),
        caller: CALLER,
        called,
        codecs: ("ulaw".to_owned(), "ulaw".to_owned()),
        rtp: format!("workers = 1\ncores = [0]\n{}", comparison.rtp),
    };
    let gateway = settings.start(folder.path())?;
    let signalling = Signalling {
        place: Place {
            namespace: Some(hosts.load.clone()),
            core: Some(1),
        },
        caller: SocketAddrV4::new(CALLER, 5060),
        called,
        caller_rtp: CALLER_RTP,
        called_rtp: CALLED_RTP,
        gateway: settings.sip,
        gateway_rtp: TESTED,
        formats: (0, 0),
    };
    // Calls outlive the measurement by far; SIPp ends them with its process, the gateway with its own.
    let calls = Calls {
        count: comparison.calls,
        rate: 200,
        hold: Duration::from_secs(900),
    };
    let mut sipps = sipp::start(folder.path(), &signalling, &calls)?;
    let legs = sipps.wait_answered()?;
    let figures = measure(comparison, hosts, &legs)?;
    drop(sipps);
    gateway.stop().ok();
    Ok(figures)
}

fn measure_rtpengine(comparison: &Comparison, hosts: &Hosts) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let place = Place {
        namespace: Some(hosts.tested.clone()),
        core: Some(0),
    };
    let mut daemon = rtpengine::start(folder.path(), &place)?;
    let legs = match netns::inside(&hosts.load, 1, || rtpengine::set_up(comparison.calls)) {
        Ok(legs) => legs,
        Err(error) => bail!(
            "{error}: {}",
            last_lines(&folder.path().join("rtpengine.log"))
        ),
    };
    let figures = measure(comparison, hosts, &legs)?;
    daemon.terminate(Duration::from_secs(10)).ok();
    Ok(figures)
}

fn measure(comparison: &Comparison, hosts: &Hosts, legs: &[LegAddresses]) -> Result<Figures> {
    if legs.len() != comparison.calls as usize * 2 {
        bail!(
            "only {} of {} legs are up",
            legs.len(),
            comparison.calls * 2
        );
    }
    netns::inside(&hosts.load, 1, || {
        let mut media = Wire::open(
            netns::LOAD_DEVICE,
            netns::MEDIA_MAC,
            netns::TESTED_MAC,
            legs,
        )?;
        // Two seconds for latches and caches, not counted.
        media.run(comparison.rate / 2.0, Duration::from_secs(2));
        let before = netns::core_busy_s(0)?;
        let fixed = media.run(comparison.rate, Duration::from_secs(comparison.seconds));
        let busy = netns::core_busy_s(0)? - before;
        let ns_per_packet = busy * 1e9 / fixed.received.max(1) as f64;
        let (highest, generator_bound) = search(&mut media, comparison.rate);
        Ok(Figures {
            ns_per_packet,
            fixed,
            highest,
            generator_bound,
        })
    })
}

/// Raises the rate by steps of 10 %, then of 2 % from the last that passed, until packets are lost twice at one rate.
/// True if the generator could not follow instead.
fn search(media: &mut Wire, from: f64) -> (MediaResult, bool) {
    let mut highest = MediaResult::default();
    let (mut step, mut rate) = (1.1, from);
    loop {
        let result = [(); 2]
            .into_iter()
            .map(|()| media.run(rate, Duration::from_secs(2)))
            .find(|result| result.loss() <= LOSS_MAX);
        match result {
            Some(result) if result.rate < rate * 0.97 => return (result, true),
            Some(result) => highest = result,
            None if step > 1.05 => {
                rate /= step;
                step = 1.02;
            }
            None => return (highest, false),
        }
        rate *= step;
    }
}

fn print_round(round: u32, name: &str, figures: &Figures) {
    let bound = if figures.generator_bound {
        " (the generator's limit)"
    } else {
        ""
    };
    let [p50, p99, ..] = figures.fixed.latency_us;
    println!(
        "round {:2}  {name:<9}  {:6.0} ns/packet at {:.0}/s, lost {:.3} %, p50 {p50:.0} us, p99 {p99:.0} us   highest {:.0}/s{bound}",
        round + 1,
        figures.ns_per_packet,
        figures.fixed.rate,
        figures.fixed.loss() * 100.0,
        figures.highest.rate,
    );
}

fn print_ratios(ringway: &[Figures], rtpengine: &[Figures]) {
    let pairs = ringway.iter().zip(rtpengine);
    let cpu: Vec<f64> = pairs
        .clone()
        .map(|(ours, theirs)| ours.ns_per_packet / theirs.ns_per_packet)
        .collect();
    let rate: Vec<f64> = pairs
        .map(|(ours, theirs)| ours.highest.rate / theirs.highest.rate)
        .collect();
    println!();
    println!("CPU a packet, Ringway / rtpengine:     {}", spread(&cpu));
    println!("highest rate, Ringway / rtpengine:     {}", spread(&rate));
}

/// Median, and minimum to maximum.
fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return "no rounds".to_owned();
    };
    format!(
        "{:.3}  ({first:.3} to {last:.3}, {} rounds)",
        sorted[sorted.len() / 2],
        sorted.len()
    )
}

fn last_lines(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
