//! The INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1), with the retransmission of a 2xx until its ACK,
//! which the RFC gives to the UAS core (§13.3.1.4) and which runs beside timer L.
//!
//! ```text
//!  INVITE           200 ms      1 min             1 min
//!    ├─────────────────┼ 100       ┼ 180 again       ┼ …          Waiting, then Proceeding
//!
//!  3xx-6xx   G     G        G       then every T2       H (64*T1)
//!    ├───────┼─────┼────────┼── … ───────────────────────┤        Completed: the response again (UDP only)
//!            └─ ACK ─► Confirmed ── I (T4, UDP only) ─────┤
//!
//!  2xx       T1    3*T1     7*T1    then every T2       L (64*T1)
//!    ├───────┼─────┼────────┼── … ───────────────────────┤ NoAck  Accepted: the 2xx again, on any transport
//!            └─ ACK ─► Acknowledged ──────────────────────┤        copies of INVITE and ACK are absorbed
//! ```

use super::{Retransmit, StatusClass, Timing, earlier, is_due};
use std::time::{Duration, Instant};

/// How long the user may think before 100 Trying is sent for it (RFC 3261 §17.2.1).
const TRYING_AFTER: Duration = Duration::from_millis(200);
/// How often a provisional response is repeated, so that no proxy's timer C gives up (RFC 3261 §13.3.1.1).
const PROVISIONAL_EVERY: Duration = Duration::from_secs(60);

/// The state of an INVITE server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteServer {
    /// No response yet.
    Waiting {
        /// When 100 Trying is due.
        trying: Instant,
    },
    /// A provisional response was sent.
    Proceeding {
        /// When it is to be repeated; None for a 100, which needs no repetition.
        repeat: Option<Instant>,
    },
    /// A final response other than 2xx was sent.
    Completed {
        /// Timer G.
        timer_g: Option<Retransmit>,
        /// Timer H.
        timer_h: Instant,
    },
    /// The ACK of that final response came.
    Confirmed {
        /// Timer I.
        timer_i: Instant,
    },
    /// A 2xx was sent; its ACK has not come.
    Accepted {
        /// When the 2xx is sent again.
        retransmit: Retransmit,
        /// Timer L.
        timer_l: Instant,
    },
    /// The ACK of the 2xx came.
    Acknowledged {
        /// Timer L.
        timer_l: Instant,
    },
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteServerInput {
    /// The INVITE came again.
    Request,
    /// An ACK came.
    Ack,
    /// The user answers 100.
    RespondTrying,
    /// The user answers, with anything but 100.
    Respond(StatusClass),
    /// The deadline was reached.
    Timeout,
}

/// What is to be done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteServerAction {
    /// Nothing.
    Nothing,
    /// Send 100 Trying for the user.
    SendTrying,
    /// Send the user's response and keep it.
    Send,
    /// Send the kept response again.
    Resend,
    /// Give the ACK to the user.
    DeliverAck,
    /// Tell the user that no ACK came to its 2xx.
    NoAck,
}

impl InviteServer {
    /// The state after the INVITE has come.
    pub fn start(now: Instant) -> Self {
        InviteServer::Waiting {
            trying: now + TRYING_AFTER,
        }
    }

    /// True until a final response was given.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Waiting { .. } | Self::Proceeding { .. })
    }

    /// When it wants [`InviteServerInput::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::Waiting { trying } => Some(trying),
            Self::Proceeding { repeat } => repeat,
            Self::Completed { timer_g, timer_h } => Some(earlier(timer_g, timer_h)),
            Self::Confirmed { timer_i } => Some(timer_i),
            Self::Accepted {
                retransmit,
                timer_l,
            } => Some(earlier(Some(retransmit), timer_l)),
            Self::Acknowledged { timer_l } => Some(timer_l),
            Self::Terminated => None,
        }
    }

    /// Takes one step.
    pub fn handle(
        &mut self,
        now: Instant,
        timing: &Timing,
        input: InviteServerInput,
    ) -> InviteServerAction {
        use InviteServerAction as Action;
        use InviteServerInput as Input;
        match (*self, input) {
            (_, Input::Timeout) => self.on_timeout(now),
            (Self::Waiting { .. }, Input::Request) => {
                *self = Self::Proceeding { repeat: None };
                Action::SendTrying
            }
            (Self::Proceeding { .. } | Self::Completed { .. }, Input::Request) => Action::Resend,
            (Self::Waiting { .. }, Input::RespondTrying) => {
                *self = Self::Proceeding { repeat: None };
                Action::Send
            }
            (Self::Waiting { .. } | Self::Proceeding { .. }, Input::Respond(class)) => {
                *self = Self::answered(now, timing, class);
                Action::Send
            }
            (Self::Completed { .. }, Input::Ack) => {
                *self = match timing.timer_i_or_k() {
                    Duration::ZERO => Self::Terminated,
                    wait => Self::Confirmed {
                        timer_i: now + wait,
                    },
                };
                Action::Nothing
            }
            (Self::Accepted { timer_l, .. }, Input::Ack) => {
                *self = Self::Acknowledged { timer_l };
                Action::DeliverAck
            }
            // A 100 after another provisional, a second final response, an ACK to nothing, and all that comes
            // again once it is settled (RFC 6026 §7.1: INVITEs are absorbed in Accepted).
            _ => Action::Nothing,
        }
    }

    fn answered(now: Instant, timing: &Timing, class: StatusClass) -> Self {
        match class {
            StatusClass::Provisional => Self::Proceeding {
                repeat: Some(now + PROVISIONAL_EVERY),
            },
            // RFC 3261 §13.3.1.4: even on a reliable transport, for there may be an unreliable one behind it.
            StatusClass::Success => Self::Accepted {
                retransmit: Retransmit::new(now, timing.t1, timing.t2),
                timer_l: now + timing.patience(),
            },
            StatusClass::Failure => Self::Completed {
                timer_g: timing.retransmit(now, timing.t2),
                timer_h: now + timing.patience(),
            },
        }
    }

    fn on_timeout(&mut self, now: Instant) -> InviteServerAction {
        use InviteServerAction as Action;
        match self {
            Self::Waiting { trying } if *trying <= now => {
                *self = Self::Proceeding { repeat: None };
                Action::SendTrying
            }
            Self::Proceeding { repeat: Some(at) } if *at <= now => {
                *at = now + PROVISIONAL_EVERY;
                Action::Resend
            }
            Self::Accepted { timer_l, .. } if *timer_l <= now => {
                *self = Self::Terminated;
                Action::NoAck
            }
            Self::Accepted { retransmit, .. } if retransmit.at <= now => {
                *retransmit = retransmit.again(now);
                Action::Resend
            }
            Self::Completed { timer_h: end, .. }
            | Self::Confirmed { timer_i: end }
            | Self::Acknowledged { timer_l: end }
                if *end <= now =>
            {
                *self = Self::Terminated;
                Action::Nothing
            }
            Self::Completed { timer_g, .. } if is_due(*timer_g, now) => {
                *timer_g = timer_g.map(|timer| timer.again(now));
                Action::Resend
            }
            _ => Action::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{TCP, UDP, run_out};
    use super::*;
    use InviteServerAction as A;
    use InviteServerInput as I;

    const RINGING: I = I::Respond(StatusClass::Provisional);
    const SUCCESS: I = I::Respond(StatusClass::Success);
    const FAILURE: I = I::Respond(StatusClass::Failure);
    const BACKOFF: [u64; 10] = [
        500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
    ];

    #[test]
    fn trying_is_sent_after_200_ms() {
        let start = Instant::now();
        let mut machine = InviteServer::start(start);
        assert_eq!(
            run_out!(machine, start, UDP, I::Timeout),
            [(200, A::SendTrying)]
        );
        assert!(machine.is_pending());
    }

    #[test]
    fn ringing_is_repeated_every_minute() {
        let start = Instant::now();
        let mut machine = InviteServer::start(start);
        assert_eq!(machine.handle(start, &UDP, RINGING), A::Send);
        for minute in 1..=3 {
            let at = start + Duration::from_secs(60 * minute);
            assert_eq!(machine.deadline(), Some(at));
            assert_eq!(machine.handle(at, &UDP, I::Timeout), A::Resend);
        }
    }

    #[test]
    fn timer_g_backs_off_until_timer_h() {
        let start = Instant::now();
        let mut machine = InviteServer::start(start);
        assert_eq!(machine.handle(start, &UDP, FAILURE), A::Send);
        let mut expected: Vec<_> = BACKOFF.iter().map(|at| (*at, A::Resend)).collect();
        expected.push((32_000, A::Nothing));
        assert_eq!(run_out!(machine, start, UDP, I::Timeout), expected);
        assert_eq!(machine, InviteServer::Terminated);
        let mut machine = InviteServer::start(start);
        assert_eq!(machine.handle(start, &TCP, FAILURE), A::Send);
        assert_eq!(
            run_out!(machine, start, TCP, I::Timeout),
            [(32_000, A::Nothing)]
        );
    }

    #[test]
    fn timer_i_absorbs_further_acks() {
        let start = Instant::now();
        for (timing, log) in [(UDP, vec![(5_000, A::Nothing)]), (TCP, vec![])] {
            let mut machine = InviteServer::start(start);
            assert_eq!(machine.handle(start, &timing, FAILURE), A::Send);
            assert_eq!(machine.handle(start, &timing, I::Ack), A::Nothing);
            assert_eq!(run_out!(machine, start, timing, I::Timeout), log);
        }
    }

    #[test]
    fn a_2xx_is_sent_again_until_its_ack_on_any_transport() {
        let start = Instant::now();
        for timing in [UDP, TCP] {
            let mut machine = InviteServer::start(start);
            assert_eq!(machine.handle(start, &timing, SUCCESS), A::Send);
            let mut expected: Vec<_> = BACKOFF.iter().map(|at| (*at, A::Resend)).collect();
            expected.push((32_000, A::NoAck));
            assert_eq!(run_out!(machine, start, timing, I::Timeout), expected);

            let mut machine = InviteServer::start(start);
            assert_eq!(machine.handle(start, &timing, SUCCESS), A::Send);
            assert_eq!(machine.handle(start, &timing, I::Ack), A::DeliverAck);
            assert_eq!(
                run_out!(machine, start, timing, I::Timeout),
                [(32_000, A::Nothing)]
            );
        }
    }

    #[test]
    fn every_transition() {
        let now = Instant::now();
        let end = now + UDP.patience();
        let retransmit = Retransmit::new(now, UDP.t1, UDP.t2);
        let waiting = InviteServer::start(now);
        let trying = InviteServer::Proceeding { repeat: None };
        let ringing = InviteServer::Proceeding {
            repeat: Some(now + PROVISIONAL_EVERY),
        };
        let completed = InviteServer::Completed {
            timer_g: Some(retransmit),
            timer_h: end,
        };
        let confirmed = InviteServer::Confirmed {
            timer_i: now + UDP.t4,
        };
        let accepted = InviteServer::Accepted {
            retransmit,
            timer_l: end,
        };
        let acknowledged = InviteServer::Acknowledged { timer_l: end };
        let over = InviteServer::Terminated;
        for (from, input, action, to) in [
            (waiting, I::Request, A::SendTrying, trying),
            (waiting, I::RespondTrying, A::Send, trying),
            (waiting, RINGING, A::Send, ringing),
            (waiting, SUCCESS, A::Send, accepted),
            (waiting, FAILURE, A::Send, completed),
            (waiting, I::Ack, A::Nothing, waiting),
            (waiting, I::Timeout, A::Nothing, waiting),
            (trying, I::Request, A::Resend, trying),
            (trying, I::RespondTrying, A::Nothing, trying),
            (trying, RINGING, A::Send, ringing),
            (ringing, I::Request, A::Resend, ringing),
            (ringing, I::RespondTrying, A::Nothing, ringing),
            (ringing, RINGING, A::Send, ringing),
            (ringing, SUCCESS, A::Send, accepted),
            (ringing, FAILURE, A::Send, completed),
            (ringing, I::Ack, A::Nothing, ringing),
            (completed, I::Request, A::Resend, completed),
            (completed, I::Ack, A::Nothing, confirmed),
            (completed, SUCCESS, A::Nothing, completed),
            (completed, FAILURE, A::Nothing, completed),
            (confirmed, I::Request, A::Nothing, confirmed),
            (confirmed, I::Ack, A::Nothing, confirmed),
            (confirmed, FAILURE, A::Nothing, confirmed),
            (accepted, I::Request, A::Nothing, accepted),
            (accepted, I::Ack, A::DeliverAck, acknowledged),
            (accepted, SUCCESS, A::Nothing, accepted),
            (accepted, FAILURE, A::Nothing, accepted),
            (acknowledged, I::Request, A::Nothing, acknowledged),
            (acknowledged, I::Ack, A::Nothing, acknowledged),
            (acknowledged, SUCCESS, A::Nothing, acknowledged),
            (over, I::Request, A::Nothing, over),
            (over, SUCCESS, A::Nothing, over),
        ] {
            let mut machine = from;
            assert_eq!(
                machine.handle(now, &UDP, input),
                action,
                "{from:?} {input:?}"
            );
            assert_eq!(machine, to, "{from:?} {input:?}");
        }
    }
}
