//! What is played when the next block is not there, and how the delay is kept.

use super::order::Kind;
use super::ring::{Found, Mark};
use super::{
    BLOCK, BLOCK_NS, BLOCK_UNITS, DELAY_MAX_NS, JitterBuffer, LeftOut, Playout, Pulled, UNIT_NS,
};

/// Units held beyond the newest packet's own: the most delay and two blocks.
const DEPTH_MAX: u64 = (DELAY_MAX_NS / UNIT_NS) as u64 + 2 * BLOCK_UNITS;
/// Blocks concealed in a row while nothing comes; then the talkspurt is over.
const STARVED_MAX: u32 = 20;
/// Delay is too much when it is more than a block and this over the one decided: ticks are not exact either.
const MARGIN_NS: i64 = 2_000_000;
/// Pulls in a row with too much delay after which a block is left out: the last one was quiet, or not.
const SHRINK_QUIET: u32 = 10;
const SHRINK_LOUD: u32 = 100;

impl JitterBuffer {
    /// Nothing later than what was played is here.
    pub(super) fn open_end(&mut self, now_ns: u64) -> Pulled {
        let last = self.order.last().map(|entry| entry.kind);
        if last == Some(Kind::Noise) {
            let units = self.pause_units(now_ns);
            return self.say_pause(units, Pulled::Noise);
        }
        let waited = self.waited() + 1;
        if waited > STARVED_MAX {
            self.ring.clear_all();
            self.playout = Playout::Idle;
            return Pulled::Silent;
        }
        self.playout = Playout::Playing { waited };
        match last {
            // Audio rests while an event is sent.
            Some(Kind::Other) => Pulled::Silent,
            _ => self.starve(),
        }
    }

    /// Blocks that were concealed while waiting stand for those that turn out to be missing up to `later`. True if
    /// that moved what is played next.
    pub(super) fn spend_waiting(&mut self, now_ns: u64, later: u64, hole: Mark) -> bool {
        let waited = self.waited();
        if waited == 0 || hole == Mark::Nothing && self.may_come(now_ns) {
            return false;
        }
        let units = (later - self.next).min(u64::from(waited) * BLOCK_UNITS);
        if matches!(hole, Mark::Nothing | Mark::Audio) {
            self.counts.lost += units / BLOCK_UNITS;
        }
        self.advance(units);
        self.playout = Playout::Playing { waited: 0 };
        true
    }

    /// The block is missing, or not whole, and a later packet is here.
    pub(super) fn lost(&mut self, now_ns: u64, hole: Mark) -> Pulled {
        if hole == Mark::Nothing && self.may_come(now_ns) {
            self.playout = Playout::Playing {
                waited: self.waited() + 1,
            };
            return self.starve();
        }
        self.counts.lost += 1;
        self.playout = Playout::Playing { waited: 0 };
        self.say(BLOCK_UNITS, Pulled::Lost)
    }

    /// A pause from `hole` on, before audio that is here.
    pub(super) fn pause(&mut self, now_ns: u64, hole: u64, said: Pulled) -> Pulled {
        let units = self.pause_units(now_ns);
        // Not a unit of the audio after it is left out.
        let pause = hole - self.next + self.ring.pause_len(hole, 2 * BLOCK_UNITS);
        self.say_pause(units.min(pause), said)
    }

    /// How far a block of a pause goes in the source's time, so that the delay becomes the one decided.
    fn pause_units(&self, now_ns: u64) -> u64 {
        let Some(target) = self.transits.target() else {
            return BLOCK_UNITS;
        };
        match self.lag_at(now_ns) - target {
            ..0 => 0,
            over if over >= BLOCK_NS + MARGIN_NS => 2 * BLOCK_UNITS,
            _ => BLOCK_UNITS,
        }
    }

    fn say_pause(&mut self, units: u64, said: Pulled) -> Pulled {
        if !matches!(self.playout, Playout::Pausing { .. }) {
            self.playout = Playout::Pausing { since: self.next };
        }
        self.say(units, said)
    }

    /// What is said for so many units of the source's time, which are over then.
    pub(super) fn say(&mut self, units: u64, said: Pulled) -> Pulled {
        self.pulled = (units > 0).then_some(self.next as u32);
        self.advance(units);
        said
    }

    fn starve(&mut self) -> Pulled {
        self.counts.starved += 1;
        Pulled::Starved
    }

    fn advance(&mut self, units: u64) {
        self.ring.clear(self.next, self.next + units);
        self.next += units;
    }

    pub(super) fn drop_blocks(&mut self, blocks: u64) {
        let mut block = [0; BLOCK];
        if self.next == self.pulled_to
            && let Found::Whole { tag } = self.ring.read(self.next, &mut block)
        {
            self.left_out = Some(LeftOut {
                tag,
                timestamp: self.next as u32,
                block,
            });
        }
        self.counts.dropped += blocks;
        self.advance(blocks * BLOCK_UNITS);
    }

    fn waited(&self) -> u32 {
        match self.playout {
            Playout::Playing { waited } => waited,
            Playout::Idle | Playout::Primed | Playout::Pausing { .. } => 0,
        }
    }

    /// Before what is played next should be, by the delay decided.
    pub(super) fn is_early(&self, now_ns: u64) -> bool {
        let target = self.transits.target();
        target.is_some_and(|target| self.lag_at(now_ns) < target)
    }

    /// A missing block may still come within the delay decided.
    fn may_come(&self, now_ns: u64) -> bool {
        self.is_early(now_ns) && self.waited() < STARVED_MAX
    }

    /// After a stall all that was held up comes at once.
    pub(super) fn bound_depth(&mut self) {
        let depth = self.newest_end.saturating_sub(self.next);
        let too_much = depth.saturating_sub(DEPTH_MAX + self.packet_len);
        if too_much > 0 {
            self.drop_blocks(too_much.div_ceil(BLOCK_UNITS));
        }
    }

    /// Leaves a block of audio out where there has been too much delay for long enough.
    pub(super) fn shrink(&mut self, now_ns: u64, quiet: bool) {
        // A delay that packets needed a moment ago is not too much, be it the first time.
        let settled = self.transits.settled().unwrap_or(i64::MAX);
        let over = self.lag_at(now_ns).saturating_sub(settled);
        if self.playout != (Playout::Playing { waited: 0 }) || over < BLOCK_NS + MARGIN_NS {
            self.excess = 0;
            return;
        }
        self.excess += 1;
        let enough = if quiet { SHRINK_QUIET } else { SHRINK_LOUD };
        if self.excess >= enough
            && self.ring.is_whole(self.next)
            && self.ring.is_whole(self.next + BLOCK_UNITS)
        {
            self.drop_blocks(1);
            self.excess = 0;
        }
    }
}
