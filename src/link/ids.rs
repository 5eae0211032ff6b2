//! Names for ports, legs and workers. A port names its worker by arithmetic, so control leases ports without asking.

/// The even UDP port of a leg's RTP; its RTCP is on the next one (RFC 3550 §11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RtpPort(u16);

impl RtpPort {
    /// None if the port is odd or zero.
    pub const fn new(port: u16) -> Option<RtpPort> {
        if port != 0 && port.is_multiple_of(2) {
            Some(RtpPort(port))
        } else {
            None
        }
    }

    /// The port of RTP.
    pub fn rtp(self) -> u16 {
        self.0
    }

    /// The port of RTCP.
    pub fn rtcp(self) -> u16 {
        self.0 + 1
    }
}

/// A media worker, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// One leg of a call for as long as it holds its port pair. The generation tells two leases of one port apart, so
/// that a late command, event or completion of a closed leg is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LegId {
    /// Its port pair.
    pub port: RtpPort,
    /// Which lease of that pair, from 1.
    pub generation: u32,
}

/// The configured RTP ports, cut into one run of port pairs a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    pairs: u16,
    workers: u16,
}

impl PortRange {
    /// The pairs that lie whole within `first..=last`. None if there are fewer pairs than workers, or no worker.
    pub fn new(first: u16, last: u16, workers: u16) -> Option<PortRange> {
        let first = first.max(2).checked_next_multiple_of(2)?;
        let pairs = (u32::from(last) + 1).checked_sub(u32::from(first))? / 2;
        let pairs = u16::try_from(pairs).ok()?;
        (workers > 0 && pairs >= workers).then_some(PortRange {
            first,
            pairs,
            workers,
        })
    }

    /// How many workers share the range.
    pub fn workers(&self) -> u16 {
        self.workers
    }

    /// How many port pairs there are.
    pub fn pairs(&self) -> u16 {
        self.pairs
    }

    /// How many pairs each worker but the last has; the last has the rest too.
    fn pairs_each(&self) -> u16 {
        self.pairs / self.workers
    }

    /// The worker that owns the pair; None if it is outside the range.
    pub fn worker_of(&self, port: RtpPort) -> Option<WorkerId> {
        let place = port.rtp().checked_sub(self.first)? / 2;
        (place < self.pairs).then(|| WorkerId((place / self.pairs_each()).min(self.workers - 1)))
    }

    /// The pairs of one worker, in order.
    pub fn ports_of(&self, worker: WorkerId) -> impl ExactSizeIterator<Item = RtpPort> + use<> {
        let first = self.first;
        let start = worker.0 * self.pairs_each();
        let end = if worker.0 + 1 == self.workers {
            self.pairs
        } else {
            start + self.pairs_each()
        };
        (start..end).map(move |place| RtpPort(first + place * 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_has_one_worker_and_every_worker_its_ports() {
        for (first, last, workers) in [
            (20000, 20999, 1),
            (20000, 20999, 3),
            (10001, 20000, 7),
            (2, 65535, 8),
        ] {
            let range = PortRange::new(first, last, workers).expect("a good range");
            let mut seen = 0;
            for worker in (0..workers).map(WorkerId) {
                for port in range.ports_of(worker) {
                    assert_eq!(range.worker_of(port), Some(worker));
                    assert!(port.rtp() >= first && port.rtcp() <= last);
                    seen += 1;
                }
            }
            assert_eq!(seen, range.pairs());
        }
    }

    #[test]
    fn a_range_too_small_is_refused() {
        assert_eq!(PortRange::new(20001, 20002, 1), None);
        assert_eq!(PortRange::new(20000, 20003, 3), None);
        assert_eq!(PortRange::new(20000, 20999, 0), None);
        assert_eq!(PortRange::new(20999, 20000, 1), None);
    }
}
