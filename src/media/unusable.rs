//! Packets that come from where they should and cannot be used: an operator is to hear why a call has audio one way only.
//!
//! A packet in passing (a forged one, one of an old key, comfort noise that was not agreed) is counted and no more. Where most of
//! what comes within [`WINDOW`] is of no use, control is told, once for each cause. Looked at now and then, so that a packet
//! that passes costs nothing more.

use super::seam::Nanos;
use crate::link::{LegReport, Unusable};
use std::net::SocketAddr;

/// Packets are compared for so long.
const WINDOW: Nanos = Nanos::from_millis(2_000);
/// Fewer within a window are no talk, not even in packets of 60 ms.
const PACKETS_MIN: u64 = 25;

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    since: Nanos,
    /// Packets that passed the latch, as of then.
    packets_in: u64,
    unauthentic: Cause<SocketAddr>,
    not_agreed: Cause<u8>,
}

/// One cause, and what the last packet of it says.
#[derive(Clone, Copy, Debug)]
struct Cause<T> {
    last: Option<T>,
    counted: u64,
    told: bool,
}

impl<T> Default for Cause<T> {
    fn default() -> Self {
        Cause::after(0)
    }
}

impl<T> Cause<T> {
    /// Nothing is told yet, and what comes counts from here.
    fn after(counted: u64) -> Cause<T> {
        Cause {
            last: None,
            counted,
            told: false,
        }
    }
}

impl<T: Copy> Cause<T> {
    /// How many more there were in the window that ends now.
    fn advance(&mut self, count: u64) -> u64 {
        count - std::mem::replace(&mut self.counted, count)
    }

    /// What there is to tell of so many, if they are most of what came.
    fn due(&self, packets: u64, others: u64) -> Option<T> {
        let is_most = packets >= PACKETS_MIN && packets > others;
        self.last.filter(|_| is_most && !self.told)
    }
}

impl Watch {
    /// A packet did not open.
    pub(super) fn unauthentic(&mut self, source: SocketAddr) {
        self.unauthentic.last = Some(source);
    }

    /// A packet has this payload type.
    pub(super) fn not_agreed(&mut self, payload_type: u8) {
        self.not_agreed.last = Some(payload_type);
    }

    /// The keys have changed: what came under those of before is forgotten.
    pub(super) fn has_keys(&mut self, counts: &LegReport) {
        self.unauthentic = Cause::after(counts.unauthentic);
    }

    /// What was agreed has changed: what came before is forgotten.
    pub(super) fn has_formats(&mut self, counts: &LegReport) {
        self.not_agreed = Cause::after(counts.not_agreed);
    }

    /// Looks at what the leg has counted since it was opened. What is told is given to `tell`, which says whether there was
    /// room for it.
    pub(super) fn look(
        &mut self,
        now: Nanos,
        counts: &LegReport,
        mut tell: impl FnMut(Unusable) -> bool,
    ) {
        if now.since(self.since) < WINDOW {
            return;
        }
        self.since = now;
        let came = counts.packets_in - std::mem::replace(&mut self.packets_in, counts.packets_in);
        let unauthentic = self.unauthentic.advance(counts.unauthentic);
        let not_agreed = self.not_agreed.advance(counts.not_agreed);
        if let Some(source) = self.unauthentic.due(unauthentic, came) {
            self.unauthentic.told = tell(Unusable::Unauthentic { source });
        }
        // These have passed the latch.
        let others = came.saturating_sub(not_agreed);
        if let Some(payload_type) = self.not_agreed.due(not_agreed, others) {
            self.not_agreed.told = tell(Unusable::PayloadType(payload_type));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(packets_in: u64, unauthentic: u64, not_agreed: u64) -> LegReport {
        LegReport {
            packets_in,
            unauthentic,
            not_agreed,
            ..LegReport::default()
        }
    }

    fn look(watch: &mut Watch, at_s: u64, counted: (u64, u64, u64)) -> Vec<Unusable> {
        let (packets_in, unauthentic, not_agreed) = counted;
        let counts = counts(packets_in, unauthentic, not_agreed);
        let mut told = Vec::new();
        watch.look(Nanos::from_millis(at_s * 1_000), &counts, |cause| {
            told.push(cause);
            true
        });
        told
    }

    #[test]
    fn what_is_most_of_what_comes_is_told_once_and_again_after_a_change() {
        let mut watch = Watch::default();
        watch.not_agreed(13);
        let mut looks = (10..).step_by(2);
        let mut look = |watch: &mut Watch, counts| {
            let at_s = looks.next().expect("time goes on");
            look(watch, at_s, counts)
        };
        assert_eq!(look(&mut watch, (100, 0, 30)), [], "noise beside talk");
        assert_eq!(look(&mut watch, (120, 0, 50)), [], "noise alone is no talk");
        watch.not_agreed(8);
        let told = [Unusable::PayloadType(8)];
        assert_eq!(look(&mut watch, (220, 0, 150)), told);
        assert_eq!(look(&mut watch, (320, 0, 250)), []);
        watch.has_formats(&counts(400, 0, 330));
        watch.not_agreed(8);
        assert_eq!(look(&mut watch, (420, 0, 350)), [], "it has stopped");
        assert_eq!(look(&mut watch, (520, 0, 450)), told);
        let source: SocketAddr = ([192, 0, 2, 1], 4000).into();
        watch.unauthentic(source);
        assert_eq!(look(&mut watch, (620, 90, 450)), [], "beside what opens");
        let told = [Unusable::Unauthentic { source }];
        assert_eq!(look(&mut watch, (620, 190, 450)), told);
        assert_eq!(look(&mut watch, (620, 290, 450)), []);
        watch.has_keys(&counts(620, 380, 450));
        watch.unauthentic(source);
        assert_eq!(
            look(&mut watch, (700, 390, 450)),
            [],
            "old ones on their way"
        );
        assert_eq!(look(&mut watch, (700, 490, 450)), told);
    }

    #[test]
    fn what_found_no_room_is_told_in_the_next_window() {
        let mut watch = Watch::default();
        watch.not_agreed(8);
        watch.look(Nanos::from_millis(2_000), &counts(100, 0, 100), |_| false);
        let told = look(&mut watch, 4, (200, 0, 200));
        assert_eq!(told, [Unusable::PayloadType(8)]);
    }
}
