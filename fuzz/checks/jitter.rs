//! Packets, comfort noise, other numbers and pulls in any order into a jitter buffer, beside a model that knows each
//! octet by its time stamp: what is played was kept, is the right octet of the right codec, and is played once, in order.

use ringway::rtp::jitter::{Arriving, BLOCK, JitterBuffer, Pulled, Pushed};

const TICK_NS: u64 = 10_000_000;
const PAYLOAD_MAX: usize = 600;
/// Starved at most for 20 blocks while nothing comes, and while waiting within the 51 blocks that the ring has.
const STARVED_MAX: u32 = 20 + 52;

/// The octet that stands at a time stamp.
fn octet(timestamp: u32) -> u8 {
    (timestamp.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

/// Places of the model: more than the buffer's, so that no two octets in it share one.
const PLACES: usize = 8192;

struct Model {
    buffer: JitterBuffer,
    now: u64,
    /// The codec of each octet kept.
    kept: Vec<Option<(u32, u8)>>,
    pushes: u64,
    /// The last block played, until the source may have begun anew.
    played: Option<u32>,
    starved: u32,
    /// Where the pull before left off, if it was audio.
    heard_to: Option<u32>,
}

impl Model {
    fn push(&mut self, extended: u32, timestamp: u32, tag: u8, marker: bool, len: usize) {
        let payload: Vec<u8> = (0..len as u32)
            .map(|at| octet(timestamp.wrapping_add(at)))
            .collect();
        let packet = Arriving {
            extended,
            timestamp,
            tag,
            marker,
            payload: &payload,
        };
        self.pushes += 1;
        match self.buffer.push(self.now, packet) {
            Pushed::Late | Pushed::Duplicate => return,
            Pushed::TooFar => self.begin_anew(),
            Pushed::Kept => {}
        }
        for at in 0..len as u32 {
            let at = timestamp.wrapping_add(at);
            self.kept[at as usize % PLACES] = Some((at, tag));
        }
    }

    fn push_noise(&mut self, extended: u32, timestamp: u32) {
        self.pushes += 1;
        if self.buffer.push_noise(self.now, extended, timestamp) == Pushed::TooFar {
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.kept.fill(None);
        self.played = None;
    }

    fn pull(&mut self, quiet: bool) -> Pulled {
        let mut block = [0; BLOCK];
        let pulled = self.buffer.pull(self.now, quiet, &mut block);
        let timestamp = self.buffer.timestamp();
        self.starved = if pulled == Pulled::Starved {
            self.starved + 1
        } else {
            0
        };
        assert!(self.starved <= STARVED_MAX);
        match pulled {
            Pulled::Audio { tag } => {
                let first = timestamp.expect("audio has a time stamp");
                for (at, played) in (0..).zip(block) {
                    let at = first.wrapping_add(at);
                    assert_eq!(played, octet(at));
                    assert_eq!(self.kept[at as usize % PLACES], Some((at, tag)));
                }
                if let Some(before) = self.played {
                    let ahead = first.wrapping_sub(before) as i32;
                    assert!(
                        ahead >= BLOCK as i32,
                        "played again, {ahead} after the last"
                    );
                }
                self.played = Some(first);
            }
            // Idle: whatever comes next begins anew.
            Pulled::Silent if timestamp.is_none() => self.played = None,
            Pulled::Lost => assert!(timestamp.is_some()),
            Pulled::Starved => assert!(timestamp.is_none()),
            Pulled::Silent | Pulled::Noise => {}
        }
        self.see_left_out(pulled, timestamp);
        self.heard_to = timestamp
            .filter(|_| matches!(pulled, Pulled::Audio { .. }))
            .map(|timestamp| timestamp.wrapping_add(BLOCK as u32));
        self.now += TICK_NS;
        pulled
    }

    /// What was left out goes on where the audio before it ended, and is over where audio goes on.
    fn see_left_out(&mut self, pulled: Pulled, timestamp: Option<u32>) {
        let Some(left_out) = self.buffer.take_left_out() else {
            return;
        };
        for (at, octet_left_out) in (0..).zip(left_out.block) {
            assert_eq!(octet_left_out, octet(left_out.timestamp.wrapping_add(at)));
        }
        if let Some(heard_to) = self.heard_to {
            assert_eq!(left_out.timestamp, heard_to);
        }
        if let (Pulled::Audio { .. }, Some(timestamp)) = (pulled, timestamp) {
            assert!(timestamp.wrapping_sub(left_out.timestamp) as i32 >= BLOCK as i32);
        }
    }
}

/// Checks one input: four bytes a step.
pub fn jitter(data: &[u8]) {
    let mut model = Model {
        buffer: JitterBuffer::new(),
        now: 0,
        kept: vec![None; PLACES],
        pushes: 0,
        played: None,
        starved: 0,
        heard_to: None,
    };
    let (mut extended, mut timestamp) = (0x10000u32, 0xffff_f000u32);
    for &[what, a, b, c] in data.as_chunks::<4>().0 {
        let len = (usize::from(c) * 8).min(PAYLOAD_MAX) + usize::from(b >> 7);
        let (marker, tag) = (what & 0x10 != 0, what >> 5);
        // Sequence numbers and times near the stream's, or by a jump of it.
        let near = extended.wrapping_add_signed(i32::from(a as i8));
        let around = timestamp.wrapping_add_signed(i32::from(a as i8) * 160);
        match what & 0x0f {
            0..=5 => {
                model.push(extended, timestamp, tag, marker, len);
                extended += 1;
                timestamp = timestamp.wrapping_add(len as u32);
            }
            6 => model.push(near, around, tag, marker, len),
            7 => {
                extended += u32::from(a);
                timestamp = timestamp.wrapping_add(u32::from(b) << (c % 24));
            }
            8 => model.push_noise(near, timestamp),
            9 => model.buffer.skip(near),
            10 => model.now += u64::from(b) * 1_000_000,
            11 if a == 0xff => {
                model.buffer.reset();
                model.begin_anew();
            }
            _ => {
                for _ in 0..=a % 32 {
                    model.pull(b & 1 != 0);
                }
            }
        }
    }
    let counts = *model.buffer.counts();
    let told = counts.kept + counts.late + counts.duplicates + counts.restarts;
    assert_eq!(told, model.pushes);
    // Left alone, it comes to rest.
    let last = (0..200).map(|_| model.pull(false)).last();
    assert!(
        matches!(last, Some(Pulled::Silent | Pulled::Noise)),
        "{last:?}"
    );
}
