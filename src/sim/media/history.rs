//! A history: who the peers are, and what is done with their legs and when.

use super::combination::{Combination, any_ptime_ms};
use crate::codec::dtmf::Digit;
use crate::codec::{Codec, Rate};
use crate::link::{Channels, Listening, PlayMode};
use crate::rtp::srtp::Suite;
use std::time::Duration;

/// The first steps of all: legs are opened, two are bridged.
const BEGINNING: Duration = Duration::from_millis(5);
/// How long a conversation lasts.
const CONVERSATION: Duration = Duration::from_millis(1_600);
/// How long another history lasts, before its end is waited for.
const LENGTH_MS: (u64, u64) = (500, 3_000);

/// A peer: a telephone or a trunk on one leg.
#[derive(Clone, Debug)]
pub struct PeerPlan {
    /// What it speaks, and hears at first.
    pub codec: Codec,
    /// It hears the other codecs that we can code, too.
    pub hears_all: bool,
    /// Milliseconds in its packets, and in those that it wants.
    pub ptime_ms: u8,
    /// What it is sealed with.
    pub suite: Option<Suite>,
    /// RTCP comes to the port of RTP.
    pub mux: bool,
    /// It knows comfort noise.
    pub noise: bool,
    /// It knows telephone events: by this number to it, and 101 from it.
    pub events: Option<u8>,
    /// The sine that it says.
    pub hertz: f64,
}

/// What control does with the legs, or a peer of its own will. Peers by their numbers.
#[derive(Clone, Debug)]
pub enum Step {
    /// A leg is opened (again), with its formats, keys and remote.
    Open(usize),
    /// A leg is closed.
    Close(usize),
    /// Two legs are joined.
    Bridge(usize, usize),
    /// A leg hears itself.
    Echo(usize),
    /// A leg stands alone.
    Detach(usize),
    /// A new description: who may send (we to it, it to us).
    Direction(usize, bool, bool),
    /// A new description: other formats.
    Formats(usize, Codec, u8),
    /// A new description: other keys.
    Rekey(usize),
    /// Something is played.
    Play(usize, PlayMode, Rate, u32),
    /// Nothing is.
    StopPlay(usize),
    /// A digit is sent to the peer.
    SendDigit(usize, Digit, u16),
    /// The peer's digits are told, or not.
    Listen(usize, Listening),
    /// The leg is recorded.
    Record(usize, Channels, Rate),
    /// It no longer is.
    StopRecord(usize),
    /// The leg goes into a room: whether it talks and hears.
    Join(usize, u32, bool, bool),
    /// The peer speaks another codec.
    Speak(usize, Codec),
    /// The peer says nothing for so many milliseconds, with comfort noise if it knows it.
    Pause(usize, u64),
    /// The peer presses a digit.
    Press(usize, Digit, u16),
    /// The peer's stream goes on as another source.
    ChangeSource(usize),
}

/// See the module's comment.
#[derive(Clone, Debug)]
pub struct MediaHistory {
    /// What it was made of.
    pub seed: u64,
    /// See there.
    pub combination: Combination,
    /// Two to four; those of one worker are neighbours.
    pub peers: Vec<PeerPlan>,
    /// How many workers share the peers.
    pub workers: u16,
    /// What is done, in the order of time.
    pub steps: Vec<(Duration, Step)>,
    /// When it ends.
    pub length: Duration,
    /// Nothing is done but to bridge two peers, and what they hear is measured.
    pub is_conversation: bool,
}

impl MediaHistory {
    /// Two peers that talk, and press a digit each way.
    pub fn conversation(seed: u64) -> MediaHistory {
        let mut random = fastrand::Rng::with_seed(seed ^ 0xc0_5e);
        let combination = Combination::of(seed);
        let peers = (0..2)
            .map(|peer| plan(peer, &combination, &mut random))
            .collect();
        let mut steps = beginning(2);
        let at = Duration::from_millis(1_150);
        if combination.codecs.0 != Codec::G729 {
            steps.push((BEGINNING, Step::Listen(0, Listening::Events)));
            steps.push((BEGINNING, Step::Record(1, Channels::Heard, Rate::Wide)));
            steps.push((at, Step::Press(0, any_digit(&mut random), 100)));
            steps.push((at, Step::SendDigit(0, any_digit(&mut random), 80)));
        }
        MediaHistory {
            seed,
            combination,
            peers,
            workers: 1,
            steps,
            length: CONVERSATION,
            is_conversation: true,
        }
    }

    /// Whatever control and peers may do, in any order.
    pub fn random(seed: u64) -> MediaHistory {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x4157);
        let combination = Combination::of(seed);
        let workers = random.u16(1..=2);
        let count = random.usize(2..=4);
        let peers: Vec<PeerPlan> = (0..count)
            .map(|peer| plan(peer, &combination, &mut random))
            .collect();
        let length = Duration::from_millis(random.u64(LENGTH_MS.0..LENGTH_MS.1));
        let mut steps = beginning(count);
        for _ in 0..random.usize(4..50) {
            let at = BEGINNING + (length - BEGINNING).mul_f64(random.f64());
            steps.push((at, any_step(count, &mut random)));
        }
        // Stable, so that the beginning is first.
        steps.sort_by_key(|(at, _)| *at);
        MediaHistory {
            seed,
            combination,
            peers,
            workers,
            steps,
            length,
            is_conversation: false,
        }
    }
}

fn beginning(count: usize) -> Vec<(Duration, Step)> {
    let mut steps: Vec<_> = (0..count)
        .map(|peer| (BEGINNING, Step::Open(peer)))
        .collect();
    steps.push((BEGINNING, Step::Bridge(0, 1)));
    steps
}

fn plan(peer: usize, combination: &Combination, random: &mut fastrand::Rng) -> PeerPlan {
    let codecs = combination.codecs;
    let suite = Suite::ALL[random.usize(..Suite::ALL.len())];
    let is_sealed = match peer {
        0 | 1 => combination.sealed.has(peer),
        _ => random.bool(),
    };
    PeerPlan {
        codec: match peer {
            0 => codecs.0,
            1 => codecs.1,
            _ => any_codec(random),
        },
        hears_all: peer > 1 && random.bool(),
        ptime_ms: match peer {
            0 => combination.ptime_ms,
            _ => any_ptime_ms(random),
        },
        suite: is_sealed.then_some(suite),
        mux: random.bool(),
        noise: random.bool(),
        events: match random.u8(..4) {
            0 => None,
            1 => Some(97),
            _ => Some(101),
        },
        hertz: 300.0 + 2_400.0 * random.f64(),
    }
}

fn any_codec(random: &mut fastrand::Rng) -> Codec {
    [Codec::Ulaw, Codec::Alaw, Codec::G722, Codec::G729][random.usize(..4)]
}

fn any_digit(random: &mut fastrand::Rng) -> Digit {
    let symbols = b"0123456789*#ABCD";
    Digit::from_char(symbols[random.usize(..symbols.len())].into()).expect("a digit")
}

fn any_step(count: usize, random: &mut fastrand::Rng) -> Step {
    let peer = random.usize(..count);
    let other = random.usize(..count);
    let rate = [Rate::Narrow, Rate::Wide][random.usize(..2)];
    match random.u8(..30) {
        0 => Step::Close(peer),
        1 | 2 => Step::Open(peer),
        3..=6 => Step::Bridge(peer, other),
        7 => Step::Echo(peer),
        8 => Step::Detach(peer),
        9 => Step::Direction(peer, random.bool(), random.bool()),
        10 => Step::Direction(peer, true, true),
        11 | 12 => Step::Formats(peer, any_codec(random), any_ptime_ms(random)),
        13 => Step::Rekey(peer),
        14 | 15 => {
            let modes = [PlayMode::Once, PlayMode::Loop, PlayMode::Shared];
            Step::Play(peer, modes[random.usize(..3)], rate, random.u32(0..700))
        }
        16 => Step::StopPlay(peer),
        17 | 18 => Step::SendDigit(peer, any_digit(random), random.u16(0..300)),
        19 => {
            let kinds = [Listening::Off, Listening::Events, Listening::Tones];
            Step::Listen(peer, kinds[random.usize(..3)])
        }
        20 | 21 => {
            let layouts = [Channels::Heard, Channels::Mixed, Channels::Stereo];
            Step::Record(peer, layouts[random.usize(..3)], rate)
        }
        22 => Step::StopRecord(peer),
        23 | 24 => Step::Join(
            peer,
            random.u32(..2),
            random.u8(..4) > 0,
            random.u8(..4) > 0,
        ),
        25 => Step::Speak(peer, any_codec(random)),
        26 => Step::Pause(peer, random.u64(20..600)),
        27 | 28 => Step::Press(peer, any_digit(random), random.u16(40..250)),
        _ => Step::ChangeSource(peer),
    }
}
