//! Ringway beside rtpengine: the same calls over the same veth pair, each on one core in turn, in one run.

use crate::bench::Bench;
use crate::ledger::{LegAddresses, MediaResult};
use crate::netns::{self, Hosts};
use crate::probes::Probes;
use crate::processor;
use crate::report;
use crate::speech::Codec;
use crate::wire::{Legs, Link, Look, Wire};
use anyhow::Result;
use std::path::PathBuf;
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

/// A system under test, with all its calls up, and what it showed. It idles while the other one is measured.
struct Contender {
    name: &'static str,
    legs: Legs<Probes>,
    /// Busy nanoseconds of the core for each relayed packet at the fixed rate, round by round.
    ns_per_packet: Vec<f64>,
    /// Highest rate with under 0.1 % lost, in packets a second.
    highest: Vec<f64>,
}

/// Seconds of one turn at the fixed rate.
const TURN_S: u64 = 4;

/// Part of the packets that may be lost at "the highest rate without loss".
const LOSS_MAX: f64 = 0.001;

/// Runs it and prints the table.
pub fn run(comparison: &Comparison) -> Result<()> {
    let hosts = Hosts::make()?;
    let folder = tempfile::tempdir()?;
    // rtpengine reports nothing by itself, and what the device counts is taken for RTP.
    let rtp = format!("rtcp = \"relay\"\n{}", comparison.rtp);
    let bench = Bench {
        gateway: &comparison.gateway,
        calls: comparison.calls,
        codecs: [Codec::Ulaw; 2],
        rtp: &rtp,
        hosts: &hosts,
        folder: folder.path(),
    };
    let ringway = bench.start_ringway()?;
    netns::inside(&hosts.load, 1, || {
        let mut rtpengine = bench.start_rtpengine()?;
        let mut wire = Wire::open(Link {
            device: netns::LOAD_DEVICE,
            from: netns::MEDIA_MAC,
            to: netns::TESTED_MAC,
            grain: comparison.grain,
            look: Look::Some,
        })?;
        let probes = |legs: &[LegAddresses]| Probes::new(legs, Codec::Ulaw.payload_type());
        let mut ours = Contender::new("ringway", wire.legs(&ringway.legs, probes(&ringway.legs)?));
        let mut theirs = Contender::new(
            "rtpengine",
            wire.legs(&rtpengine.legs, probes(&rtpengine.legs)?),
        );
        println!("at {:.0} packets a second:", comparison.rate);
        for _ in 0..comparison.rounds {
            fixed_round(comparison, &mut wire, [&mut ours, &mut theirs])?;
        }
        println!("the highest rate with under 0.1 % lost:");
        for _ in 0..comparison.rounds {
            search(&mut wire, &mut ours, comparison.rate);
            // Once driven too hard, rtpengine 10.5 discards all further packets of a stream ("UDP receive queue
            // exceeded 5 times"), so each of its searches has a fresh one.
            drop(rtpengine);
            rtpengine = bench.start_rtpengine()?;
            theirs.legs = wire.legs(&rtpengine.legs, probes(&rtpengine.legs)?);
            search(&mut wire, &mut theirs, comparison.rate);
        }
        print_ratios(&ours, &theirs);
        Ok(())
    })
}

/// The fixed rate in short turns, so that both meet the same machine.
fn fixed_round(
    comparison: &Comparison,
    wire: &mut Wire,
    mut contenders: [&mut Contender; 2],
) -> Result<()> {
    let mut totals = [(); 2].map(|()| (0.0, 0, Vec::new()));
    for turn in 0..comparison.seconds / TURN_S * 2 {
        // ABBA: a drift of the machine favours nobody.
        let which = usize::from(matches!(turn % 4, 1 | 2));
        let (contender, total) = (&mut contenders[which], &mut totals[which]);
        // Latches and caches first, not counted.
        wire.run(&mut contender.legs, comparison.rate, Duration::from_secs(1));
        let before = processor::core_busy_s(0)?;
        let result = wire.run(
            &mut contender.legs,
            comparison.rate,
            Duration::from_secs(TURN_S),
        );
        total.0 += processor::core_busy_s(0)? - before;
        total.1 += result.received;
        total.2.push(result);
    }
    for (contender, (busy_s, received, turns)) in contenders.iter_mut().zip(totals) {
        let ns_per_packet = busy_s * 1e9 / received.max(1) as f64;
        print_fixed(contender.name, ns_per_packet, &turns);
        contender.ns_per_packet.push(ns_per_packet);
    }
    Ok(())
}

impl Contender {
    fn new(name: &'static str, legs: Legs<Probes>) -> Contender {
        Contender {
            name,
            legs,
            ns_per_packet: Vec::new(),
            highest: Vec::new(),
        }
    }
}

/// Raises the rate by steps of 20 %, then of 3 % from the last that passed, until packets are lost three times at one
/// rate, or the generator cannot follow.
fn search(wire: &mut Wire, contender: &mut Contender, from: f64) {
    let mut highest = 0.0;
    let (mut step, mut rate) = (1.2, from);
    let is_bound = loop {
        let result = [(); 3]
            .into_iter()
            .map(|()| wire.run(&mut contender.legs, rate, Duration::from_secs(2)))
            .find(|result| result.loss() <= LOSS_MAX);
        match result {
            Some(result) => {
                highest = result.rate;
                if result.rate < rate * 0.97 {
                    break true;
                }
            }
            None if step > 1.1 => {
                rate /= step;
                step = 1.03;
            }
            None => break false,
        }
        rate *= step;
    };
    wire.wait_for_silence(&mut contender.legs, Duration::from_secs(1));
    let bound = if is_bound {
        " or more (the generator's limit)"
    } else {
        ""
    };
    println!("  {:<9}  {highest:.0}/s{bound}", contender.name);
    contender.highest.push(highest);
}

fn print_fixed(name: &str, ns_per_packet: f64, turns: &[MediaResult]) {
    let sent: u64 = turns.iter().map(|turn| turn.sent).sum();
    // Stragglers of the turn before are counted with the next: the sum can be a few below zero.
    let lost = turns.iter().map(|turn| turn.lost).sum::<i64>().max(0);
    let median = |place: usize| {
        let mut values: Vec<f64> = turns.iter().map(|turn| turn.latency_us[place]).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "  {name:<9}  {ns_per_packet:6.0} ns/packet, lost {:.3} %, p50 {:.0} us, p99 {:.0} us",
        lost as f64 * 100.0 / sent.max(1) as f64,
        median(0),
        median(1),
    );
}

fn print_ratios(ours: &Contender, theirs: &Contender) {
    let ratios = |ours: &[f64], theirs: &[f64]| -> Vec<f64> {
        ours.iter().zip(theirs).map(|(a, b)| a / b).collect()
    };
    let cpu = ratios(&ours.ns_per_packet, &theirs.ns_per_packet);
    let rate = ratios(&ours.highest, &theirs.highest);
    println!(
        "CPU a packet, Ringway / rtpengine:     {}",
        report::spread(&cpu)
    );
    println!(
        "highest rate, Ringway / rtpengine:     {}",
        report::spread(&rate)
    );
}
