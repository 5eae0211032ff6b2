//! Ringway beside rtpengine: the same calls over the same veth pair, each on one core in turn, in one run.

use crate::child::Running;
use crate::gateway::{Gateway, GatewaySettings};
use crate::ledger::{LegAddresses, MediaResult};
use crate::netns::{self, CALLED, CALLED_RTP, CALLER, CALLER_RTP, Hosts, TESTED};
use crate::place::Place;
use crate::rtpengine;
use crate::sipp::{self, Calls, Signalling, Sipps};
use crate::wire::{Legs, Link, Wire};
use anyhow::{Context, Result, bail};
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
    /// Packets leave at multiples of this.
    pub grain: Duration,
    /// More lines for Ringway's `[rtp]`.
    pub rtp: String,
}

/// What one system showed in all rounds.
#[derive(Default)]
struct Figures {
    /// Busy nanoseconds of the core for each relayed packet at the fixed rate.
    ns_per_packet: Vec<f64>,
    /// Highest rate with under 0.1 % lost, in packets a second.
    highest: Vec<f64>,
}

/// A system under test, with all its calls up. It idles while the other one is measured.
struct Contender {
    name: &'static str,
    legs: Legs,
    figures: Figures,
}

/// Seconds of one turn at the fixed rate.
const TURN_S: u64 = 4;

/// Part of the packets that may be lost at "the highest rate without loss".
const LOSS_MAX: f64 = 0.001;

/// Runs it and prints the table.
pub fn run(comparison: &Comparison) -> Result<()> {
    let hosts = Hosts::make()?;
    let folder = tempfile::tempdir()?;
    let ringway = start_ringway(comparison, &hosts, folder.path())?;
    let rtpengine = start_rtpengine(comparison, &hosts, folder.path())?;
    netns::inside(&hosts.load, 1, || {
        let mut wire = Wire::open(Link {
            device: netns::LOAD_DEVICE,
            from: netns::MEDIA_MAC,
            to: netns::TESTED_MAC,
            grain: comparison.grain,
        })?;
        let mut contenders = [("ringway", &ringway.legs), ("rtpengine", &rtpengine.legs)]
            .into_iter()
            .map(|(name, legs)| Contender::new(name, comparison, wire.legs(legs)?))
            .collect::<Result<Vec<_>>>()?;
        for round in 1..=comparison.rounds {
            play_round(comparison, &mut wire, &mut contenders, round)?;
            // Who begins changes from round to round, so that a drift of the machine favours nobody.
            contenders.reverse();
        }
        contenders.sort_by_key(|contender| contender.name);
        print_ratios(&contenders[0].figures, &contenders[1].figures);
        Ok(())
    })
}

/// The fixed rate in short turns, so that both meet the same machine; then the highest rate of each.
fn play_round(
    comparison: &Comparison,
    wire: &mut Wire,
    contenders: &mut [Contender],
    round: u32,
) -> Result<()> {
    let mut totals = vec![(0.0, 0, Vec::new()); contenders.len()];
    for _ in 0..comparison.seconds / TURN_S {
        for (contender, total) in contenders.iter_mut().zip(&mut totals) {
            // Latches and caches first, not counted.
            wire.run(&mut contender.legs, comparison.rate, Duration::from_secs(1));
            let before = netns::core_busy_s(0)?;
            let turn = Duration::from_secs(TURN_S);
            let result = wire.run(&mut contender.legs, comparison.rate, turn);
            total.0 += netns::core_busy_s(0)? - before;
            total.1 += result.received;
            total.2.push(result);
        }
    }
    for (contender, (busy_s, received, turns)) in contenders.iter_mut().zip(totals) {
        let ns_per_packet = busy_s * 1e9 / received.max(1) as f64;
        let (highest, is_bound) = search(wire, &mut contender.legs, comparison.rate);
        print_round(
            round,
            contender.name,
            ns_per_packet,
            &turns,
            highest,
            is_bound,
        );
        contender.figures.ns_per_packet.push(ns_per_packet);
        contender.figures.highest.push(highest);
    }
    Ok(())
}

impl Contender {
    fn new(name: &'static str, comparison: &Comparison, legs: Legs) -> Result<Contender> {
        if legs.count() != comparison.calls as usize * 2 {
            bail!(
                "{name}: only {} of {} legs are up",
                legs.count(),
                comparison.calls * 2
            );
        }
        Ok(Contender {
            name,
            legs,
            figures: Figures::default(),
        })
    }
}

/// Ringway with its calls: what keeps them up, and their legs.
struct Ringway {
    legs: Vec<LegAddresses>,
    _sipps: Sipps,
    _gateway: Gateway,
}

/// rtpengine with its calls.
struct Rtpengine {
    legs: Vec<LegAddresses>,
    _daemon: Running,
}

fn start_ringway(comparison: &Comparison, hosts: &Hosts, folder: &Path) -> Result<Ringway> {
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
        rtp: format!("workers = 1\ncores = [0]\ntimeout = 7200\n{}", comparison.rtp),
    };
    let gateway = settings.start(folder)?;
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
        hold: Duration::from_secs(7_200),
    };
    let mut sipps = sipp::start(folder, &signalling, &calls)?;
    Ok(Ringway {
        legs: sipps.wait_answered()?,
        _sipps: sipps,
        _gateway: gateway,
    })
}

fn start_rtpengine(comparison: &Comparison, hosts: &Hosts, folder: &Path) -> Result<Rtpengine> {
    let place = Place {
        namespace: Some(hosts.tested.clone()),
        core: Some(0),
    };
    let daemon = rtpengine::start(folder, &place)?;
    let legs = netns::inside(&hosts.load, 1, || rtpengine::set_up(comparison.calls))
        .with_context(|| last_lines(&folder.join("rtpengine.log")))?;
    Ok(Rtpengine {
        legs,
        _daemon: daemon,
    })
}

/// Raises the rate by steps of 20 %, then of 3 % from the last that passed, until packets are lost twice at one rate.
/// True if the generator could not follow instead.
fn search(wire: &mut Wire, legs: &mut Legs, from: f64) -> (f64, bool) {
    let mut highest = 0.0;
    let (mut step, mut rate) = (1.2, from);
    loop {
        let result = [(); 2]
            .into_iter()
            .map(|()| wire.run(legs, rate, Duration::from_secs(2)))
            .find(|result| result.loss() <= LOSS_MAX);
        match result {
            Some(result) if result.rate < rate * 0.97 => return (result.rate, true),
            Some(result) => highest = result.rate,
            None if step > 1.1 => {
                rate /= step;
                step = 1.03;
            }
            None => return (highest, false),
        }
        rate *= step;
    }
}

fn print_round(
    round: u32,
    name: &str,
    ns_per_packet: f64,
    turns: &[MediaResult],
    highest: f64,
    is_bound: bool,
) {
    let sent: u64 = turns.iter().map(|turn| turn.sent).sum();
    let lost: i64 = turns.iter().map(|turn| turn.lost).sum();
    let median = |place: usize| {
        let mut values: Vec<f64> = turns.iter().map(|turn| turn.latency_us[place]).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "round {round:2}  {name:<9}  {ns_per_packet:6.0} ns/packet, lost {:.3} %, p50 {:.0} us, p99 {:.0} us   highest {highest:.0}/s{}",
        lost as f64 * 100.0 / sent.max(1) as f64,
        median(0),
        median(1),
        if is_bound {
            " or more (the generator's limit)"
        } else {
            ""
        },
    );
}

fn print_ratios(ringway: &Figures, rtpengine: &Figures) {
    let ratios = |ours: &[f64], theirs: &[f64]| -> Vec<f64> {
        ours.iter().zip(theirs).map(|(a, b)| a / b).collect()
    };
    let cpu = ratios(&ringway.ns_per_packet, &rtpengine.ns_per_packet);
    let rate = ratios(&ringway.highest, &rtpengine.highest);
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
