//! How many contacts of an address of record answer, and how fast.

use prometheus::{GaugeVec, IntGaugeVec};
use std::time::Duration;

/// How the contacts of one address of record answer. They are no longer told of once it is dropped.
#[derive(Debug)]
pub struct ReachGauges {
    aor: String,
    all: (IntGaugeVec, GaugeVec),
}

impl ReachGauges {
    /// Those of `aor` among all.
    pub(super) fn new(aor: &str, reachable: &IntGaugeVec, rtt: &GaugeVec) -> ReachGauges {
        ReachGauges {
            aor: aor.to_owned(),
            all: (reachable.clone(), rtt.clone()),
        }
    }

    /// So many answer, the nearest after this time.
    pub fn set(&self, reachable: usize, rtt: Option<Duration>) {
        let (reachables, rtts) = &self.all;
        let count = i64::try_from(reachable).unwrap_or(i64::MAX);
        reachables.with_label_values(&[&self.aor]).set(count);
        match rtt {
            Some(rtt) => rtts.with_label_values(&[&self.aor]).set(rtt.as_secs_f64()),
            // A time of nobody is none; where there was none, nothing is to be removed.
            None => drop(rtts.remove_label_values(&[&self.aor])),
        }
    }
}

impl Drop for ReachGauges {
    fn drop(&mut self) {
        let (reachables, rtts) = &self.all;
        let _ = reachables.remove_label_values(&[&self.aor]);
        let _ = rtts.remove_label_values(&[&self.aor]);
    }
}
