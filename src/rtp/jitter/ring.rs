//! The octets of the last half second by their time stamps, and what is known of each.

use super::BLOCK;

/// Octets held: 512 ms. A power of two, so that a time stamp's place is its low bits.
pub(super) const CAPACITY: usize = 4096;

/// What is known of one unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// No packet told of it.
    Nothing,
    /// The source sent nothing for it: no sequence number is missing around it.
    Silence,
    /// The same, after a comfort noise packet.
    Noise,
    /// An octet of a codec.
    Audio,
}

const NOTHING: u8 = 0;
const SILENCE: u8 = 1;
const NOISE: u8 = 2;
/// With the tag in the seven bits below.
const AUDIO: u8 = 0x80;
const AUDIO_OF_EIGHT: u64 = 0x8080_8080_8080_8080;

/// What stands at the place of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All of it, of one codec.
    Whole { tag: u8 },
    /// Not all of it: the first unit that is missing or of another codec.
    Hole { at: u64, mark: Mark },
}

pub(super) struct Ring {
    octets: [u8; CAPACITY],
    marks: [u8; CAPACITY],
}

fn place(at: u64) -> usize {
    at as usize % CAPACITY
}

/// The part of a range up to the end of the memory, and the rest of it from the beginning.
fn parts(from: u64, len: usize) -> [std::ops::Range<usize>; 2] {
    let start = place(from);
    let first = len.min(CAPACITY - start);
    [start..start + first, 0..len - first]
}

impl Ring {
    pub(super) const fn new() -> Self {
        Ring {
            octets: [0; CAPACITY],
            marks: [NOTHING; CAPACITY],
        }
    }

    pub(super) fn clear_all(&mut self) {
        self.marks.fill(NOTHING);
    }

    /// Forgets what is from here to there; all of it if that is more than is held.
    pub(super) fn clear(&mut self, from: u64, to: u64) {
        match usize::try_from(to.saturating_sub(from)) {
            Ok(len) if len < CAPACITY => {
                for part in parts(from, len) {
                    self.marks[part].fill(NOTHING);
                }
            }
            _ => self.clear_all(),
        }
    }

    /// Writes at most [`CAPACITY`] octets.
    pub(super) fn write(&mut self, at: u64, octets: &[u8], tag: u8) {
        let octets = &octets[..octets.len().min(CAPACITY)];
        let [first, second] = parts(at, octets.len());
        let (head, tail) = octets.split_at(first.len());
        self.octets[first.clone()].copy_from_slice(head);
        self.octets[second.clone()].copy_from_slice(tail);
        for part in [first, second] {
            self.marks[part].fill(AUDIO | tag);
        }
    }

    /// Marks what nothing is known of, from here to there, as a pause.
    pub(super) fn mark_pause(&mut self, from: u64, to: u64, noise: bool) {
        let Some(len) = usize::try_from(to.saturating_sub(from))
            .ok()
            .filter(|len| *len <= CAPACITY)
        else {
            return;
        };
        let pause = if noise { NOISE } else { SILENCE };
        for part in parts(from, len) {
            for mark in &mut self.marks[part] {
                *mark = if *mark == NOTHING { pause } else { *mark };
            }
        }
    }

    /// Reads a block, whole or not; what is not there is left as it was.
    pub(super) fn read(&self, at: u64, block: &mut [u8; BLOCK]) -> Found {
        let parts = parts(at, BLOCK);
        let first = self.marks[place(at)];
        let same = |part: &std::ops::Range<usize>| {
            let marks = &self.marks[part.clone()];
            marks.iter().fold(0, |seen, mark| seen | (mark ^ first)) == 0
        };
        if first & AUDIO == 0 || !parts.iter().all(same) {
            return self.hole(at, first);
        }
        let [head, tail] = parts;
        let (block_head, block_tail) = block.split_at_mut(head.len());
        block_head.copy_from_slice(&self.octets[head]);
        block_tail.copy_from_slice(&self.octets[tail]);
        Found::Whole {
            tag: first & !AUDIO,
        }
    }

    /// True if a whole block is here.
    pub(super) fn is_whole(&self, at: u64) -> bool {
        matches!(self.read(at, &mut [0; BLOCK]), Found::Whole { .. })
    }

    fn hole(&self, at: u64, first: u8) -> Found {
        let mut units = at..at + BLOCK as u64;
        let differs = |unit: &u64| {
            let mark = self.marks[place(*unit)];
            mark & AUDIO == 0 || mark != first
        };
        let at = units.find(differs).unwrap_or(at);
        Found::Hole {
            at,
            mark: self.mark(at),
        }
    }

    fn mark(&self, at: u64) -> Mark {
        match self.marks[place(at)] {
            NOTHING => Mark::Nothing,
            SILENCE => Mark::Silence,
            NOISE => Mark::Noise,
            _ => Mark::Audio,
        }
    }

    /// The first octet of audio from here on, before `end`.
    pub(super) fn next_audio(&self, from: u64, end: u64) -> Option<u64> {
        let mut at = from;
        while at < end {
            let here = place(at);
            // Eight at once where no octet among them is audio.
            if let Some(eight) = self.marks[here..].first_chunk::<8>()
                && u64::from_ne_bytes(*eight) & AUDIO_OF_EIGHT == 0
            {
                at += 8;
            } else if self.marks[here] & AUDIO != 0 {
                return Some(at);
            } else {
                at += 1;
            }
        }
        None
    }

    /// How many units from here on are a pause, at most `most`.
    pub(super) fn pause_len(&self, from: u64, most: u64) -> u64 {
        let pause = |at: &u64| matches!(self.mark(*at), Mark::Silence | Mark::Noise);
        (from..from + most).take_while(pause).count() as u64
    }
}
