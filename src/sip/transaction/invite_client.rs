//! The INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2), with the rules of CANCEL (RFC 3261 §9.1).
//!
//! ```text
//!  INVITE  A     A          A      …                             B (64*T1)
//!    ├─────┼─────┼──────────┼──────────────────────────────────────┤ Fail(Timeout)
//!    0    T1    3*T1       7*T1                             UDP only: A
//!
//!  Calling ──1xx──► Proceeding ──2xx──► Accepted ──M (64*T1)──► Terminated     further 2xx go to the user (forks)
//!     │                  └─────3xx-6xx─► Completed ─D (32 s)───► Terminated     each one seen again is ACKed again
//!     └──cancel──► CancelWanted ──1xx──► Cancelling ──64*T1 with no final──► Fail(Timeout)
//! ```

use super::{Retransmit, Timing, earlier, is_due};
use crate::sip::endpoint::ClientFailure;
use std::time::{Duration, Instant};

/// The state of an INVITE client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteClient {
    /// Sent, nothing heard.
    Calling(Calling),
    /// As Calling, and the user wants out; a CANCEL must wait for a provisional response.
    CancelWanted(Calling),
    /// A provisional response came; there is no limit to ringing here.
    Proceeding,
    /// A CANCEL was sent; the server has until then for its final response (RFC 3261 §9.1).
    Cancelling {
        /// 64*T1 after the CANCEL.
        give_up: Instant,
    },
    /// A final response other than 2xx came and was ACKed.
    Completed {
        /// Timer D.
        timer_d: Instant,
    },
    /// A 2xx came (RFC 6026 §7.2).
    Accepted {
        /// Timer M.
        timer_m: Instant,
    },
    /// Over.
    Terminated,
}

/// The timers of a request that nobody has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calling {
    timer_a: Option<Retransmit>,
    timer_b: Instant,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteClientInput {
    /// A 1xx came.
    Provisional,
    /// A 2xx came.
    Success,
    /// A 3xx to 6xx came.
    Failure,
    /// The user cancels.
    Cancel,
    /// The deadline was reached.
    Timeout,
    /// The transport cannot deliver.
    TransportFailed,
}

/// What is to be done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteClientAction {
    /// Nothing.
    Nothing,
    /// Send the INVITE again.
    Retransmit,
    /// Give the response to the user.
    Deliver,
    /// Give the response to the user and send the CANCEL that waited for it.
    DeliverAndCancel,
    /// Give the 2xx to the user if it is from a new fork; else send the ACK of its fork again.
    DeliverOrAckFork,
    /// Give the response to the user and send the ACK.
    DeliverAndAck,
    /// The final response came again: send the ACK again.
    Ack,
    /// Send the CANCEL.
    SendCancel,
    /// Tell the user that it failed.
    Fail(ClientFailure),
}

impl InviteClient {
    /// The state after the INVITE has been sent.
    pub fn start(now: Instant, timing: &Timing) -> Self {
        InviteClient::Calling(Calling {
            // Timer A doubles without a limit (RFC 3261 §17.1.1.2); B ends it.
            timer_a: timing.retransmit(now, Duration::MAX),
            timer_b: now + timing.patience(),
        })
    }

    /// When it wants [`InviteClientInput::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match *self {
            InviteClient::Calling(calling) | InviteClient::CancelWanted(calling) => {
                Some(earlier(calling.timer_a, calling.timer_b))
            }
            InviteClient::Cancelling { give_up: end }
            | InviteClient::Completed { timer_d: end }
            | InviteClient::Accepted { timer_m: end } => Some(end),
            InviteClient::Proceeding | InviteClient::Terminated => None,
        }
    }

    /// Takes one step.
    pub fn handle(
        &mut self,
        now: Instant,
        timing: &Timing,
        input: InviteClientInput,
    ) -> InviteClientAction {
        use InviteClientAction as Action;
        use InviteClientInput as Input;
        match (*self, input) {
            (Self::Terminated, _) => Action::Nothing,
            (_, Input::Timeout) => self.on_timeout(now),
            (Self::Completed { .. }, Input::Failure) => Action::Ack,
            // RFC 6026 §7.2: each 2xx goes up; the user knows its forks by their To tags.
            (Self::Accepted { .. }, Input::Success) => Action::DeliverOrAckFork,
            (Self::Completed { .. } | Self::Accepted { .. }, _) => Action::Nothing,
            (_, Input::TransportFailed) => self.fail(ClientFailure::Transport),
            (_, Input::Success) => {
                *self = Self::Accepted {
                    timer_m: now + timing.patience(),
                };
                Action::DeliverOrAckFork
            }
            (_, Input::Failure) => {
                *self = match timing.timer_d() {
                    Duration::ZERO => Self::Terminated,
                    wait => Self::Completed {
                        timer_d: now + wait,
                    },
                };
                Action::DeliverAndAck
            }
            (Self::Calling(_), Input::Provisional) => {
                *self = Self::Proceeding;
                Action::Deliver
            }
            (Self::CancelWanted(_), Input::Provisional) => {
                self.start_cancelling(now, timing);
                Action::DeliverAndCancel
            }
            (Self::Proceeding | Self::Cancelling { .. }, Input::Provisional) => Action::Deliver,
            (Self::Calling(calling), Input::Cancel) => {
                *self = Self::CancelWanted(calling);
                Action::Nothing
            }
            (Self::Proceeding, Input::Cancel) => {
                self.start_cancelling(now, timing);
                Action::SendCancel
            }
            (Self::CancelWanted(_) | Self::Cancelling { .. }, Input::Cancel) => Action::Nothing,
        }
    }

    fn on_timeout(&mut self, now: Instant) -> InviteClientAction {
        match self {
            Self::Calling(calling) | Self::CancelWanted(calling) => {
                if calling.timer_b <= now {
                    return self.fail(ClientFailure::Timeout);
                }
                if !is_due(calling.timer_a, now) {
                    return InviteClientAction::Nothing;
                }
                calling.timer_a = calling.timer_a.map(|timer| timer.again(now));
                InviteClientAction::Retransmit
            }
            Self::Cancelling { give_up } if *give_up <= now => self.fail(ClientFailure::Timeout),
            Self::Completed { timer_d: end } | Self::Accepted { timer_m: end } if *end <= now => {
                *self = Self::Terminated;
                InviteClientAction::Nothing
            }
            _ => InviteClientAction::Nothing,
        }
    }

    fn start_cancelling(&mut self, now: Instant, timing: &Timing) {
        *self = Self::Cancelling {
            give_up: now + timing.patience(),
        };
    }

    fn fail(&mut self, failure: ClientFailure) -> InviteClientAction {
        *self = Self::Terminated;
        InviteClientAction::Fail(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{TCP, UDP, run_out};
    use super::*;
    use InviteClientAction as A;
    use InviteClientInput as I;

    #[test]
    fn timer_a_doubles_until_timer_b_gives_up() {
        let start = Instant::now();
        let mut machine = InviteClient::start(start, &UDP);
        assert_eq!(
            run_out!(machine, start, UDP, I::Timeout),
            [
                (500, A::Retransmit),
                (1_500, A::Retransmit),
                (3_500, A::Retransmit),
                (7_500, A::Retransmit),
                (15_500, A::Retransmit),
                (31_500, A::Retransmit),
                (32_000, A::Fail(ClientFailure::Timeout)),
            ]
        );
        assert_eq!(machine, InviteClient::Terminated);
    }

    #[test]
    fn a_reliable_transport_has_no_timer_a_and_no_timer_d() {
        let start = Instant::now();
        let mut machine = InviteClient::start(start, &TCP);
        assert_eq!(
            run_out!(machine, start, TCP, I::Timeout),
            [(32_000, A::Fail(ClientFailure::Timeout))]
        );
        let mut machine = InviteClient::start(start, &TCP);
        assert_eq!(machine.handle(start, &TCP, I::Failure), A::DeliverAndAck);
        assert_eq!(machine, InviteClient::Terminated);
    }

    #[test]
    fn timers_d_m_and_the_wait_after_a_cancel() {
        let start = Instant::now();
        for (input, action, end, last) in [
            (I::Failure, A::DeliverAndAck, 32_000, A::Nothing),
            (I::Success, A::DeliverOrAckFork, 32_000, A::Nothing),
            (
                I::Cancel,
                A::SendCancel,
                32_000,
                A::Fail(ClientFailure::Timeout),
            ),
        ] {
            let mut machine = InviteClient::start(start, &UDP);
            assert_eq!(machine.handle(start, &UDP, I::Provisional), A::Deliver);
            assert_eq!(machine.deadline(), None, "ringing has no limit here");
            assert_eq!(machine.handle(start, &UDP, input), action);
            assert_eq!(run_out!(machine, start, UDP, I::Timeout), [(end, last)]);
            assert_eq!(machine, InviteClient::Terminated);
        }
    }

    #[test]
    fn every_transition() {
        let now = Instant::now();
        let calling = InviteClient::start(now, &UDP);
        let InviteClient::Calling(timers) = calling else {
            unreachable!("it starts in Calling")
        };
        let end = now + UDP.patience();
        let wanted = InviteClient::CancelWanted(timers);
        let proceeding = InviteClient::Proceeding;
        let cancelling = InviteClient::Cancelling { give_up: end };
        let completed = InviteClient::Completed { timer_d: end };
        let accepted = InviteClient::Accepted { timer_m: end };
        let over = InviteClient::Terminated;
        let transport = A::Fail(ClientFailure::Transport);
        for (from, input, action, to) in [
            (calling, I::Provisional, A::Deliver, proceeding),
            (calling, I::Success, A::DeliverOrAckFork, accepted),
            (calling, I::Failure, A::DeliverAndAck, completed),
            (calling, I::Cancel, A::Nothing, wanted),
            (calling, I::Timeout, A::Nothing, calling),
            (calling, I::TransportFailed, transport, over),
            (wanted, I::Provisional, A::DeliverAndCancel, cancelling),
            (wanted, I::Success, A::DeliverOrAckFork, accepted),
            (wanted, I::Failure, A::DeliverAndAck, completed),
            (wanted, I::Cancel, A::Nothing, wanted),
            (wanted, I::TransportFailed, transport, over),
            (proceeding, I::Provisional, A::Deliver, proceeding),
            (proceeding, I::Success, A::DeliverOrAckFork, accepted),
            (proceeding, I::Failure, A::DeliverAndAck, completed),
            (proceeding, I::Cancel, A::SendCancel, cancelling),
            (proceeding, I::Timeout, A::Nothing, proceeding),
            (proceeding, I::TransportFailed, transport, over),
            (cancelling, I::Provisional, A::Deliver, cancelling),
            (cancelling, I::Success, A::DeliverOrAckFork, accepted),
            (cancelling, I::Failure, A::DeliverAndAck, completed),
            (cancelling, I::Cancel, A::Nothing, cancelling),
            (cancelling, I::TransportFailed, transport, over),
            (completed, I::Failure, A::Ack, completed),
            (completed, I::Success, A::Nothing, completed),
            (completed, I::Provisional, A::Nothing, completed),
            (completed, I::Cancel, A::Nothing, completed),
            (completed, I::TransportFailed, A::Nothing, completed),
            (accepted, I::Success, A::DeliverOrAckFork, accepted),
            (accepted, I::Failure, A::Nothing, accepted),
            (accepted, I::Provisional, A::Nothing, accepted),
            (accepted, I::Cancel, A::Nothing, accepted),
            (accepted, I::TransportFailed, A::Nothing, accepted),
            (over, I::Success, A::Nothing, over),
            (over, I::Cancel, A::Nothing, over),
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
