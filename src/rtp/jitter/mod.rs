//! An adaptive jitter buffer for streams of one octet per RTP clock unit at 8 kHz: PCMU, PCMA and G.722 (RFC 3551).
//!
//! Octets lie in a ring by their time stamps, so that reordering, duplicates and any packet time fall out by
//! construction. Each 10 ms a block of 80 octets is pulled.
//!
//! ```text
//!            play (next)                        newest
//!               │◄────────── depth ───────────────►│
//!  ···─played───┼──audio──┬─nothing─┬─audio─┬─silence─┬─audio─┤
//!               │         │ a number│       │ no number│       │
//!               │         │ is missing: Lost│ is missing: Silent, or Noise after comfort noise
//! ```
//!
//! # States
//!
//! | state | a pull says | goes on when |
//! |---|---|---|
//! | idle | Silent | a packet comes: primed |
//! | primed | Silent | the delay decided is over: playing |
//! | playing, the block is here | Audio | |
//! | playing, it is missing, a later packet is here | Lost; or Starved while it may still come within the delay decided | |
//! | playing, nothing later is here | Starved, at most 20 times: `next` stands still, playout stretches | a packet comes; else idle |
//! | pausing: comfort noise, or a gap that no missing number explains | Noise, Silent | audio comes |
//!
//! What was concealed as Starved counts for what turns out to be lost or silence afterwards: a lost packet is concealed
//! for as long as it was, no longer.
//!
//! # Delay
//!
//! The delay decided is what nearly all packets of the last 8 s kept and 5 ms (see `transit.rs`), at most 200 ms over the
//! quickest. It grows by concealing where a block is missing anyway, or for nothing in a pause. It shrinks by a block left
//! out: in a pause whenever there is too much, after 100 ms of more than any packet needed of late where the last block was
//! quiet, after 1 s where it was not. More than 220 ms and a packet are never held: the oldest goes. A sender's clock drift is
//! followed in the same way. What is left out is told ([`JitterBuffer::take_left_out`]), so that the two sides of it can be
//! joined without a click.
//!
//! # What may go wrong
//!
//! A time stamp that jumps (back with a newer number; ahead beyond the ring, or with no time having passed) begins anew
//! with its packet. A block that is there in part, or of two codecs, is Lost as a whole. Memory is fixed; nothing here
//! allocates.

mod arrive;
mod order;
mod play;
mod ring;
mod transit;

use order::{Entry, Kind, Order};
use ring::{Found, Mark, Ring};
use transit::Transits;

/// Octets, and RTP clock units, of a block of 10 ms.
pub const BLOCK: usize = 80;

const BLOCK_UNITS: u64 = BLOCK as u64;
const UNIT_NS: i64 = 125_000;
const BLOCK_NS: i64 = BLOCK as i64 * UNIT_NS;
/// Delay decided for jitter is at most this.
const DELAY_MAX_NS: i64 = 200_000_000;
/// Octets taken of one packet, 250 ms; no datagram of an Ethernet holds as many.
const PACKET_MAX: usize = 2000;
/// Time stamps are extended to 64 bits; the first one stands here, so that none is below 0.
const FIRST_EPOCH: u64 = 1 << 40;

/// A packet of audio.
#[derive(Clone, Copy, Debug)]
pub struct Arriving<'a> {
    /// Its sequence number extended, as [`super::statistics::Arrival::Extended`] has it.
    pub extended: u32,
    /// Of its first octet.
    pub timestamp: u32,
    /// The codec, for the caller to know again: 0 to 127; the top bit is lost.
    pub tag: u8,
    /// The first of a talkspurt, it says (RFC 3551 §4.1).
    pub marker: bool,
    /// Its octets, without padding. What is beyond 2,000 is left out.
    pub payload: &'a [u8],
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It will be played, or what of it is not too late.
    Kept,
    /// All of it is before what is played next.
    Late,
    /// Its number has come before.
    Duplicate,
    /// Its time is far from what is here: all that was is dropped, and the buffer begins anew with it.
    TooFar,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Eighty octets of this codec.
    Audio {
        /// As it was pushed.
        tag: u8,
    },
    /// Lost, or too late: conceal. A later packet is here.
    Lost,
    /// Nothing newer is here, or the block may still come: conceal. Playout has stretched.
    Starved,
    /// Comfort noise as the last packet of it said (RFC 3389).
    Noise,
    /// The source says nothing.
    Silent,
}

/// What happened since the buffer is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets kept.
    pub kept: u64,
    /// Packets too late.
    pub late: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Times the buffer began anew with a packet far from the others.
    pub restarts: u64,
    /// Blocks pulled as Lost, and those lost ones that were concealed as Starved before it was known.
    pub lost: u64,
    /// Blocks pulled as Starved.
    pub starved: u64,
    /// Blocks of audio left out to shorten the delay.
    pub dropped: u64,
}

/// Audio that is here and is not played, to shorten the delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// As it was pushed.
    pub tag: u8,
    /// Of its first octet.
    pub timestamp: u32,
    /// The first block of it: what would have been played.
    pub block: [u8; BLOCK],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Playout {
    Idle,
    /// Packets are here, `next` is the oldest; none is played yet.
    Primed,
    Playing {
        /// Blocks concealed since `next` stands still.
        waited: u32,
    },
    Pausing {
        /// Where the pause began.
        since: u64,
    },
}

/// The buffer of one source. See the module's text.
pub struct JitterBuffer {
    ring: Ring,
    order: Order,
    transits: Transits,
    playout: Playout,
    /// The time stamp, extended, of the block that is played next; when idle, of the one that was waited for.
    next: u64,
    /// Where the latest packet ends.
    newest_end: u64,
    /// Octets of the last packet.
    packet_len: u64,
    /// Pulls in a row with too much delay.
    excess: u32,
    /// Of the block last pulled.
    pulled: Option<u32>,
    /// Where the last pull left off: only what stands there follows what was heard.
    pulled_to: u64,
    left_out: Option<LeftOut>,
    /// Now less the time stamp when last played: on the scale of transits.
    lag: i64,
    counts: Counts,
}

impl Default for JitterBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl JitterBuffer {
    /// An empty buffer: 12 KiB, all that it will ever need.
    pub const fn new() -> Self {
        JitterBuffer {
            ring: Ring::new(),
            order: Order::new(),
            transits: Transits::new(),
            playout: Playout::Idle,
            next: FIRST_EPOCH,
            newest_end: FIRST_EPOCH,
            packet_len: 0,
            excess: 0,
            pulled: None,
            pulled_to: FIRST_EPOCH,
            left_out: None,
            lag: 0,
            counts: Counts {
                kept: 0,
                late: 0,
                duplicates: 0,
                restarts: 0,
                lost: 0,
                starved: 0,
                dropped: 0,
            },
        }
    }

    /// Takes a packet of audio.
    pub fn push(&mut self, now_ns: u64, packet: Arriving<'_>) -> Pushed {
        let payload = &packet.payload[..packet.payload.len().min(PACKET_MAX)];
        let entry = Entry {
            extended: packet.extended,
            kind: Kind::Audio,
            len: payload.len() as u16,
            start: self.extend(packet.timestamp),
        };
        let (pushed, entry) = self.admit(now_ns, entry);
        if matches!(pushed, Pushed::Kept | Pushed::TooFar) {
            // What is too late of it stays out.
            let late = self.next.saturating_sub(entry.start) as usize;
            let rest = payload.get(late..).unwrap_or_default();
            self.ring
                .write(entry.start + late as u64, rest, packet.tag & 0x7f);
            self.packet_len = u64::from(entry.len);
        }
        self.explain_gaps(entry, packet.marker);
        pushed
    }

    /// Takes a comfort noise packet (RFC 3389): from its time stamp on there is noise until audio comes.
    pub fn push_noise(&mut self, now_ns: u64, extended: u32, timestamp: u32) -> Pushed {
        let entry = Entry {
            extended,
            kind: Kind::Noise,
            len: 0,
            start: self.extend(timestamp),
        };
        let (pushed, entry) = self.admit(now_ns, entry);
        self.explain_gaps(entry, false);
        pushed
    }

    /// Notes that a packet which is no audio had this number, so that it does not count as lost: a telephone event, an
    /// unknown payload type. While the highest number is such a one, a gap is silence.
    pub fn skip(&mut self, extended: u32) {
        if self.order.get(extended).is_none() {
            self.order.note(Entry {
                extended,
                kind: Kind::Other,
                len: 0,
                start: self.next,
            });
        }
    }

    /// The next block: to be called each 10 ms. `quiet` says that the block pulled before was, so that leaving one out
    /// is not heard. `block` is written where audio is pulled.
    pub fn pull(&mut self, now_ns: u64, quiet: bool, block: &mut [u8; BLOCK]) -> Pulled {
        self.pulled = None;
        let pulled = self.pull_next(now_ns, quiet, block);
        self.pulled_to = self.next;
        pulled
    }

    fn pull_next(&mut self, now_ns: u64, quiet: bool, block: &mut [u8; BLOCK]) -> Pulled {
        match self.playout {
            Playout::Idle => return Pulled::Silent,
            Playout::Primed if self.is_early(now_ns) => return Pulled::Silent,
            Playout::Primed => self.playout = Playout::Playing { waited: 0 },
            Playout::Playing { .. } | Playout::Pausing { .. } => {}
        }
        self.bound_depth();
        self.shrink(now_ns, quiet);
        loop {
            return match self.ring.read(self.next, block) {
                Found::Whole { tag } => {
                    self.lag = self.lag_at(now_ns);
                    self.playout = Playout::Playing { waited: 0 };
                    self.say(BLOCK_UNITS, Pulled::Audio { tag })
                }
                Found::Hole { at, .. } if self.newest_end <= at => self.open_end(now_ns),
                Found::Hole { at, mark } => {
                    let later = self.ring.next_audio(at, self.newest_end);
                    let later = later.unwrap_or(self.newest_end);
                    if self.spend_waiting(now_ns, later, mark) {
                        continue;
                    }
                    match mark {
                        Mark::Silence => self.pause(now_ns, at, Pulled::Silent),
                        Mark::Noise => self.pause(now_ns, at, Pulled::Noise),
                        Mark::Nothing | Mark::Audio => self.lost(now_ns, mark),
                    }
                }
            };
        }
    }

    /// The time stamp of the block last pulled. None if it stood for none of the source's time: after Starved, and
    /// Silent while nothing is here.
    pub fn timestamp(&self) -> Option<u32> {
        self.pulled
    }

    /// What was left out between the block last pulled and the one pulled before it, whose audio goes on in it: to be
    /// asked after each pull.
    pub fn take_left_out(&mut self) -> Option<LeftOut> {
        self.left_out.take()
    }

    /// How much longer than the quickest packet of the last second the audio last pulled was under way, in nanoseconds:
    /// the delay that this buffer adds.
    pub fn delay_ns(&self) -> u64 {
        let least = self.transits.least().unwrap_or(self.lag);
        u64::try_from(self.lag - least).unwrap_or(0)
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Forgets all but the counts: the source has changed.
    pub fn reset(&mut self) {
        self.ring.clear_all();
        self.order = Order::new();
        self.transits.forget();
        self.playout = Playout::Idle;
        self.next = FIRST_EPOCH;
        self.newest_end = FIRST_EPOCH;
        self.excess = 0;
        self.pulled = None;
        self.left_out = None;
    }

    /// The time stamp in 64 bits: the nearest to what is played.
    fn extend(&self, timestamp: u32) -> u64 {
        let ahead = timestamp.wrapping_sub(self.next as u32) as i32;
        self.next.wrapping_add_signed(i64::from(ahead))
    }

    fn lag_at(&self, now_ns: u64) -> i64 {
        now_ns as i64 - self.next as i64 * UNIT_NS
    }
}

#[cfg(test)]
mod tests;
