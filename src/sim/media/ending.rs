//! What must hold at the end of a history.

use super::Loss;
use super::ear::{level_in_parts, roughness};
use super::peer::{Lease, Peer};
use super::world::{MediaWorld, Recording, Tally};
use crate::codec::Codec;
use crate::media::Worker;
use std::time::{Duration, Instant};

/// All that was asked for is over by then, after the last step.
const ENDING_MAX: Duration = Duration::from_secs(30);
/// How far what was heard may be from what was said, in dB.
const LEVEL_DB_MAX: f64 = 0.5;
/// How much steeper than the sine itself what was heard may be where audio was lost, late, stretched or left out.
const ROUGHNESS_MAX: f64 = 1.6;

impl MediaWorld {
    /// Nothing more is asked: what is under way comes to its end, and the legs need no audio. Then they are closed.
    pub(super) fn settle(&mut self, mut tick: Instant) {
        self.is_ending = true;
        if self.history.is_conversation {
            self.judge_conversation();
        }
        self.ask_nothing();
        let last = self.now + ENDING_MAX;
        while self.audio_legs() > 0 || self.network.next_arrival().is_some() {
            let next = self.next_of_all(tick, last);
            if next >= last {
                break;
            }
            self.now = next;
            self.proceed(&mut tick);
        }
        let left = self.audio_legs();
        if left > 0 {
            self.violate(format!("{left} legs have audio that nobody needs"));
        }
        for peer in 0..self.peers.len() {
            self.judge_digits(peer);
            self.close(peer);
        }
        let open: usize = self.workers.iter().map(Worker::open_legs).sum();
        if open > 0 {
            self.violate(format!("{open} legs are open"));
        }
    }

    fn audio_legs(&self) -> usize {
        self.workers.iter().map(Worker::audio_legs).sum()
    }

    /// Every playing was told once to be over, and the workers have counted what they did.
    pub(super) fn judge(&mut self) {
        let told = self.plays.iter().find(|(_, told)| **told != 1);
        if let Some((play, told)) = told {
            self.violate(format!("playing {play} was told {told} times"));
        }
        for worker in 0..self.workers.len() {
            let counters = self.workers[worker].counters();
            let counted = Tally {
                packets_out: counters.packets_out,
                bytes_out: counters.bytes_out,
                made_out: counters.transcoded_out + counters.generated_out,
                rtcp_out: counters.rtcp_out,
                taken: counters.transcoded_in,
                dropped: counters.dropped.iter().sum(),
            };
            let seen = self.tallies[worker];
            if counted != seen {
                self.violate(format!("counted {counted:?}, seen {seen:?}"));
            }
        }
    }

    /// A leg is closed.
    pub(super) fn judge_lease(&mut self, peer: usize, lease: &Lease) {
        let watch = &lease.watch;
        if watch.events.len() > lease.digits_sent {
            let counts = (watch.events.len(), lease.digits_sent);
            self.violate(format!("peer {peer} heard {counts:?} of the digits"));
        }
        if lease.told > lease.pressed {
            let counts = (lease.told, lease.pressed);
            self.violate(format!("peer {peer} was told {counts:?} of its digits"));
        }
        if self.history.is_conversation
            && let (Some(block), Some((first, highest, count))) = (&watch.block, lease.delivered)
        {
            let expected = u64::from(highest.wrapping_sub(first)) + 1;
            let lost = expected as i64 - count as i64;
            if (block.highest as u16, i64::from(block.lost)) != (highest, lost) {
                self.violate(format!("reported {block:?}, came {highest} {lost}"));
            }
        }
    }

    /// Digits to a leg of which nothing was changed have all been sent.
    fn judge_digits(&mut self, peer: usize) {
        let Some(lease) = &self.peers[peer].lease else {
            return;
        };
        let hears =
            lease.formats.send.encodable().is_some() && self.peers[peer].plan.events.is_some();
        let counts = (lease.watch.events.len(), lease.digits_sent);
        if hears && !lease.is_disturbed && counts.0 != counts.1 {
            self.violate(format!("peer {peer} has heard {counts:?} of its digits"));
        }
    }

    fn judge_conversation(&mut self) {
        let combination = self.history.combination;
        if combination.codecs.0 == Codec::G729 {
            return;
        }
        let mut wrong = Vec::new();
        if combination.loss == Loss::Nothing {
            for (near, far) in [(0, 1), (1, 0)] {
                wrong.extend(unlike(&self.peers[near], &self.peers[far]));
            }
            wrong.extend(miscounted(&self.peers));
        }
        for recording in &self.recordings {
            let hertz = self.peers[recording.peer].plan.hertz;
            let steepest = steepest(recording, hertz);
            self.outcome.roughness = self.outcome.roughness.max(steepest);
            if steepest > ROUGHNESS_MAX {
                wrong.push(format!("a step of {steepest:.2} at {hertz:.0} Hz"));
            }
        }
        wrong.into_iter().for_each(|what| self.violate(what));
    }
}

/// What a peer hears is not what the other says.
fn unlike(near: &Peer, far: &Peer) -> Option<String> {
    let lease = near.lease.as_ref()?;
    let heard = lease.ear.level(near.plan.codec, far.plan.hertz);
    match heard {
        Some(heard) if heard.abs() <= LEVEL_DB_MAX => None,
        heard => Some(format!(
            "peer {} hears {heard:.2?} dB at {:.0} Hz",
            near.number, far.plan.hertz
        )),
    }
}

/// A digit that was pressed is told once, and passes once if the far side hears any.
fn miscounted(peers: &[Peer]) -> Option<String> {
    let (first, second) = (peers[0].lease.as_ref()?, peers[1].lease.as_ref()?);
    let both = peers[0].plan.events.is_some() && peers[1].plan.events.is_some();
    let passed = second.watch.passed.len();
    let is_right = first.told == first.pressed && (!both || passed == first.pressed);
    (!is_right).then(|| {
        format!(
            "{} pressed, {} told, {passed} passed",
            first.pressed, first.told
        )
    })
}

/// The steepest step of a recording before any digit, against its sine.
fn steepest(recording: &Recording, hertz: f64) -> f64 {
    let samples = |ms: usize| recording.rate.block() * ms / 10;
    let pcm = recording.pcm.get(samples(300)..samples(1_000));
    let pcm = pcm.unwrap_or_default();
    // Silence would be smooth.
    match level_in_parts(pcm, recording.rate, hertz) > -3.0 {
        true => roughness(pcm, recording.rate, hertz),
        false => f64::INFINITY,
    }
}
