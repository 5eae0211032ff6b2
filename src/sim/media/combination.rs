//! What the histories have to have been tried with, all of it with all of it.

use crate::codec::Codec;
use crate::sim::network::Faults;
use std::time::Duration;

/// What the network does to packets, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Nothing: each takes a millisecond.
    Nothing,
    /// They overtake each other by up to 30 ms, and one in 50 comes twice; none is lost.
    Disorder,
    /// One in 20 is lost.
    Lost,
}

impl Loss {
    /// What that is for a [`crate::sim::network::Network`].
    pub fn faults(self) -> Faults {
        match self {
            Loss::Nothing => Faults::NONE,
            Loss::Disorder => Faults {
                loss: 0.0,
                duplication: 0.02,
                delay: (Duration::from_millis(1), Duration::from_millis(31)),
            },
            Loss::Lost => Faults {
                loss: 0.05,
                ..Faults::NONE
            },
        }
    }
}

/// Which of the two legs have SRTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sealed {
    /// None.
    Neither,
    /// The first.
    First,
    /// The second.
    Second,
    /// Both.
    Both,
}

impl Sealed {
    /// Whether the first or the second has it.
    pub fn has(self, peer: usize) -> bool {
        match self {
            Sealed::Neither => false,
            Sealed::First => peer == 0,
            Sealed::Second => peer == 1,
            Sealed::Both => true,
        }
    }
}

const PAIRS: [(Codec, Codec); 10] = [
    (Codec::Ulaw, Codec::Ulaw),
    (Codec::Ulaw, Codec::Alaw),
    (Codec::Ulaw, Codec::G722),
    (Codec::Alaw, Codec::Ulaw),
    (Codec::Alaw, Codec::Alaw),
    (Codec::Alaw, Codec::G722),
    (Codec::G722, Codec::Ulaw),
    (Codec::G722, Codec::Alaw),
    (Codec::G722, Codec::G722),
    (Codec::G729, Codec::G729),
];
const PTIMES_MS: [u8; 6] = [10, 20, 30, 40, 50, 60];
const SEALED: [Sealed; 4] = [Sealed::Neither, Sealed::First, Sealed::Second, Sealed::Both];
const LOSSES: [Loss; 3] = [Loss::Nothing, Loss::Disorder, Loss::Lost];

/// See the module's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Combination {
    /// What the first peer and the second speak. Without one in common they are transcoded.
    pub codecs: (Codec, Codec),
    /// Milliseconds of a packet of the first peer's, and of one to it. The second's follow from the seed.
    pub ptime_ms: u8,
    /// Who has SRTP.
    pub sealed: Sealed,
    /// What the network does.
    pub loss: Loss,
}

impl Combination {
    /// How many there are.
    pub const COUNT: u64 = (PAIRS.len() * PTIMES_MS.len() * SEALED.len() * LOSSES.len()) as u64;

    /// That of a seed; any [`Combination::COUNT`] seeds in a row have all of them.
    pub fn of(seed: u64) -> Combination {
        let mut rest = seed % Combination::COUNT;
        let mut pick = |of: usize| {
            let place = rest % of as u64;
            rest /= of as u64;
            place as usize
        };
        Combination {
            codecs: PAIRS[pick(PAIRS.len())],
            ptime_ms: PTIMES_MS[pick(PTIMES_MS.len())],
            sealed: SEALED[pick(SEALED.len())],
            loss: LOSSES[pick(LOSSES.len())],
        }
    }
}

/// Any packet time.
pub(super) fn any_ptime_ms(random: &mut fastrand::Rng) -> u8 {
    PTIMES_MS[random.usize(..PTIMES_MS.len())]
}
