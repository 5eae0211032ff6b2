//! Transcoding by Ringway and by rtpengine: the same calls over the same veth pair, each on one core in turn, in one run.
//!
//! Real audio cannot be sent faster than it is spoken, so the load is the number of calls. Whoever is not measured is
//! stopped (SIGSTOP), and holds up nobody. The cost is what the scheduler counts for the threads of each. The core's own
//! figure (`/proc/stat`) is taken at the kernel's ticks, every 4 ms; work that is done every 10 ms is not hit by chance.

use crate::bench::Bench;
use crate::gateway::thread_cpu_s;
use crate::hearing::Judgement;
use crate::ledger::{Ledger, MediaResult};
use crate::netns::{self, Hosts};
use crate::report;
use crate::speech::{Codec, Speech};
use crate::talks::Talks;
use crate::wire::{Legs, Link, Look, Wire};
use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;

/// RTP packets of a leg a second.
const PACKETS_PER_LEG: f64 = 50.0;
/// Packets leave at multiples of this, as a network card's interrupt moderation hands them over.
const GRAIN: Duration = Duration::from_micros(100);
/// What comes first in a turn and is not measured: latches, jitter buffers, caches.
const WARM_UP: Duration = Duration::from_secs(2);
/// What is measured in a turn.
const TURN: Duration = Duration::from_secs(6);
/// Part of the packets that may be lost: at the end of a turn a transcoder may keep one back for each leg.
const LOSS_MAX: f64 = 0.005;

/// What to do.
#[derive(Clone, Debug)]
pub struct Beside {
    /// The `ringway` binary.
    pub gateway: PathBuf,
    /// Calls at once.
    pub calls: u32,
    /// Caller's and called's codec.
    pub codecs: [Codec; 2],
    /// Rounds of both; each has four turns.
    pub rounds: u32,
}

/// One of the two, with all its calls up.
struct Contender<'s> {
    name: &'static str,
    legs: Legs<Talks<'s>>,
    process: u32,
    /// CPU nanoseconds for each packet sent to it, by round.
    rounds: Vec<f64>,
    media: MediaResult,
    audio: Judgement,
}

/// What some turns amount to.
#[derive(Default)]
struct Sum {
    packets: u64,
    cpu_s: f64,
    media: MediaResult,
    audio: Judgement,
}

/// Runs it and prints the table; an error if either loses packets or does not give the audio that it should.
pub fn run(beside: &Beside) -> Result<()> {
    let hosts = Hosts::make()?;
    let folder = tempfile::tempdir()?;
    let speech = Speech::make(folder.path(), beside.codecs)?;
    let bench = Bench {
        gateway: &beside.gateway,
        calls: beside.calls,
        codecs: beside.codecs,
        rtp: "",
        hosts: &hosts,
        folder: folder.path(),
    };
    let ringway = bench.start_ringway()?;
    netns::inside(&hosts.load, 1, || {
        let rtpengine = bench.start_rtpengine()?;
        let mut wire = Wire::open(Link {
            device: netns::LOAD_DEVICE,
            from: netns::MEDIA_MAC,
            to: netns::TESTED_MAC,
            grain: GRAIN,
            look: Look::All,
        })?;
        let contender = |name, process, legs: &[_]| -> Result<Contender<'_>> {
            Ok(Contender {
                name,
                legs: wire.legs(legs, Talks::new(legs, beside.codecs, &speech)?),
                process,
                rounds: Vec::new(),
                media: MediaResult::default(),
                audio: Judgement::default(),
            })
        };
        let mut both = [
            contender("ringway", ringway.gateway.process_id(), &ringway.legs)?,
            contender("rtpengine", rtpengine.daemon.id(), &rtpengine.legs)?,
        ];
        println!(
            "{} calls, {} to {}, {:.0} packets a second:",
            beside.calls,
            beside.codecs[0].name(),
            beside.codecs[1].name(),
            PACKETS_PER_LEG * f64::from(beside.calls) * 2.0
        );
        both.iter()
            .try_for_each(|contender| contender.signal(Signal::SIGSTOP))?;
        for _ in 0..beside.rounds {
            round(&mut wire, &mut both)?;
        }
        // Nobody is left stopped, or it could not end.
        both.iter()
            .try_for_each(|contender| contender.signal(Signal::SIGCONT))?;
        print_ratios(&both);
        judge(&both)
    })
}

/// Turns in the order ABBA: a drift of the machine favours nobody.
fn round(wire: &mut Wire, both: &mut [Contender<'_>; 2]) -> Result<()> {
    let mut sums = [Sum::default(), Sum::default()];
    for which in [0, 1, 1, 0] {
        both[which].take_turn(wire, &mut sums[which])?;
    }
    for (contender, sum) in both.iter_mut().zip(sums) {
        contender.close_round(sum);
    }
    Ok(())
}

impl Contender<'_> {
    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.process as i32), signal)?)
    }

    fn take_turn(&mut self, wire: &mut Wire, sum: &mut Sum) -> Result<()> {
        self.signal(Signal::SIGCONT)?;
        let legs = &mut self.legs;
        let rate = PACKETS_PER_LEG * legs.count() as f64;
        wire.begin(legs);
        wire.send_for(legs, rate, WARM_UP);
        let before = thread_cpu_s(self.process, "")?;
        let sent = legs.ledger.result().sent;
        wire.send_for(legs, rate, TURN);
        sum.packets += legs.ledger.result().sent - sent;
        sum.cpu_s += thread_cpu_s(self.process, "")? - before;
        wire.wait_for_silence(legs, Duration::from_millis(300));
        let result = legs.ledger.finish((WARM_UP + TURN).as_secs_f64());
        self.signal(Signal::SIGSTOP)?;
        sum.media.add(&result);
        sum.audio.add(self.legs.ledger.judge()?);
        Ok(())
    }

    fn close_round(&mut self, sum: Sum) {
        let cost = sum.cpu_s * 1e9 / sum.packets.max(1) as f64;
        println!(
            "  {:<9}  {cost:6.0} ns/packet; lost {:.3} %, wrong {}; {}",
            self.name,
            sum.media.lost as f64 * 100.0 / sum.media.sent.max(1) as f64,
            sum.media.wrong(),
            report::audio_words(&sum.audio),
        );
        self.rounds.push(cost);
        self.audio.add(sum.audio);
        self.media.add(&sum.media);
    }
}

fn print_ratios([ours, theirs]: &[Contender<'_>; 2]) {
    let rounds = ours.rounds.iter().zip(&theirs.rounds);
    let ratios: Vec<f64> = rounds.map(|(ours, theirs)| ours / theirs).collect();
    println!(
        "CPU a packet, Ringway / rtpengine: {}",
        report::spread(&ratios)
    );
}

fn judge(both: &[Contender<'_>; 2]) -> Result<()> {
    for contender in both {
        let (media, audio) = (&contender.media, &contender.audio);
        if media.loss() > LOSS_MAX {
            bail!("{}: RTP was lost or wrong: {media:?}", contender.name);
        }
        if !audio.is_good() {
            bail!("{}: {}", contender.name, report::audio_words(audio));
        }
    }
    Ok(())
}
