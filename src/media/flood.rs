//! More packets than anybody speaks in: a peer that floods, or one whose SDP leads its audio back to a port of ours, so that
//! each packet goes round for ever, as fast as a core can turn it.
//!
//! A leg that has brought more than [`PACKETS_MAX`] in [`WINDOW`] passes nothing on until it has brought less for [`HELD`]: what
//! goes round is gone then. Looked at now and then, so that a packet costs nothing more.

use super::seam::Nanos;

/// Packets are counted for so long.
const WINDOW: Nanos = Nanos::from_millis(1_000);
/// Ten times what a peer sends in packets of 10 ms; less than what many seconds of them bring when a network held them up.
const PACKETS_MAX: u64 = 1_000;
/// How long a leg is held after the last window with too many: one that goes round anew costs a window in so many.
const HELD: Nanos = Nanos::from_millis(10_000);

/// What a look says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// From now on nothing is to pass.
    Begins,
    /// It is over.
    Ends,
}

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flood {
    since: Nanos,
    counted: u64,
    until: Option<Nanos>,
}

impl Flood {
    /// True while nothing is to pass.
    pub(super) fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// Looks at how many packets the leg has brought since it was opened.
    pub(super) fn look(&mut self, now: Nanos, packets: u64) -> Option<Change> {
        if now.since(self.since) < WINDOW {
            return None;
        }
        let is_too_much = packets - self.counted > PACKETS_MAX;
        (self.since, self.counted) = (now, packets);
        match self.until {
            until if is_too_much => {
                self.until = Some(Nanos(now.0 + HELD.0));
                until.is_none().then_some(Change::Begins)
            }
            Some(until) if now >= until => {
                self.until = None;
                Some(Change::Ends)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_held_until_it_has_been_over_for_a_while() {
        let mut flood = Flood::default();
        let mut packets = 0;
        let mut changes = Vec::new();
        for second in 1..30 {
            packets += match second {
                5..=8 => PACKETS_MAX + 1,
                _ => PACKETS_MAX,
            };
            let change = flood.look(Nanos::from_millis(second * 1_000), packets);
            changes.extend(change.map(|change| (second, change)));
        }
        assert_eq!(changes, [(5, Change::Begins), (18, Change::Ends)]);
    }

    #[test]
    fn a_window_is_waited_for() {
        let mut flood = Flood::default();
        assert_eq!(flood.look(Nanos::from_millis(999), u64::MAX), None);
        assert!(!flood.is_on());
    }
}
