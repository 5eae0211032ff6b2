//! The four transaction machines of RFC 3261 §17, with the Accepted states of RFC 6026.
//!
//! Each is a plain value: a state with its deadlines. `handle(now, timing, input)` takes one step and names the one
//! action that follows; `deadline()` says when the machine wants its `Timeout`. They know no message and no wire,
//! so the tables in their tests are the tables of the RFC.

mod invite_client;
mod invite_server;
mod non_invite_client;
mod non_invite_server;

pub use invite_client::{InviteClient, InviteClientAction, InviteClientInput};
pub use invite_server::{InviteServer, InviteServerAction, InviteServerInput};
pub use non_invite_client::{NonInviteClient, NonInviteClientAction, NonInviteClientInput};
pub use non_invite_server::{NonInviteServer, NonInviteServerAction, NonInviteServerInput};

use std::time::{Duration, Instant};

/// What the lengths of all timers follow from (RFC 3261 §17, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// T1, an estimate of the round trip.
    pub t1: Duration,
    /// T2, the longest interval between retransmissions of a non-INVITE request and of a response to INVITE.
    pub t2: Duration,
    /// T4, how long a message stays in the network.
    pub t4: Duration,
    /// True on a transport that retransmits by itself: timers A, E and G are not set, and D, I, J and K are zero.
    pub reliable: bool,
}

impl Timing {
    /// 64*T1: timers B, F, H, L and M.
    fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: 64*T1, at least 32 s; zero on a reliable transport.
    fn timer_d(&self) -> Duration {
        self.unless_reliable(self.patience().max(Duration::from_secs(32)))
    }

    /// Timer J.
    fn timer_j(&self) -> Duration {
        self.unless_reliable(self.patience())
    }

    /// Timers I and K.
    fn timer_i_or_k(&self) -> Duration {
        self.unless_reliable(self.t4)
    }

    fn unless_reliable(&self, wait: Duration) -> Duration {
        if self.reliable { Duration::ZERO } else { wait }
    }

    /// Retransmissions from T1 on, doubled each time up to `longest`; none on a reliable transport.
    fn retransmit(&self, now: Instant, longest: Duration) -> Option<Retransmit> {
        (!self.reliable).then(|| Retransmit::new(now, self.t1, longest))
    }
}

/// The three classes of responses that the client machines tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// 1xx.
    Provisional,
    /// 2xx.
    Success,
    /// 3xx to 6xx.
    Failure,
}

impl StatusClass {
    /// The class of a status code.
    pub fn of(status: u16) -> Self {
        match status {
            ..200 => StatusClass::Provisional,
            200..300 => StatusClass::Success,
            300.. => StatusClass::Failure,
        }
    }
}

/// A retransmission timer that backs off: A, E, G, and the one of a 2xx to INVITE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmit {
    at: Instant,
    interval: Duration,
    longest: Duration,
}

impl Retransmit {
    fn new(now: Instant, first: Duration, longest: Duration) -> Self {
        Retransmit {
            at: now + first,
            interval: first,
            longest,
        }
    }

    /// After it fired: the next one, twice as far away. It counts from `now`, so that a late turn of the loop does
    /// not send a burst.
    fn again(self, now: Instant) -> Self {
        Retransmit::new(now, (self.interval * 2).min(self.longest), self.longest)
    }
}

/// True if the timer runs and is due.
fn is_due(retransmit: Option<Retransmit>, now: Instant) -> bool {
    retransmit.is_some_and(|timer| timer.at <= now)
}

/// The earlier of a retransmission timer, if it runs, and an end.
fn earlier(retransmit: Option<Retransmit>, end: Instant) -> Instant {
    retransmit.map_or(end, |timer| timer.at.min(end))
}

#[cfg(test)]
mod test_support {
    use super::Timing;
    use std::time::Duration;

    pub const UDP: Timing = Timing {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        reliable: false,
    };
    pub const TCP: Timing = Timing {
        reliable: true,
        ..UDP
    };

    /// Lets a machine run on its deadlines alone; gives (milliseconds since `start`, action) for each.
    macro_rules! run_out {
        ($machine:expr, $start:expr, $timing:expr, $input:expr) => {{
            let mut log = Vec::new();
            while let Some(at) = $machine.deadline() {
                let action = $machine.handle(at, &$timing, $input);
                log.push((at.duration_since($start).as_millis() as u64, action));
                assert!(log.len() < 100, "a machine must end");
            }
            log
        }};
    }
    pub(super) use run_out;
}
