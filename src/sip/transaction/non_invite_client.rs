//! The non-INVITE client transaction (RFC 3261 §17.1.2).
//!
//! ```text
//!  request E     E        E            E   then every T2          F (64*T1)
//!    ├─────┼─────┼────────┼────────────┼─ … ────────────────────────┤ Fail(Timeout)
//!    0    T1    3*T1     7*T1       +T2                     UDP only: E
//!
//!  Trying ──1xx──► Proceeding (E every T2) ──final──► Completed ──K (T4)──► Terminated
//! ```

use super::{Retransmit, StatusClass, Timing, earlier, is_due};
use crate::sip::endpoint::ClientFailure;
use std::time::{Duration, Instant};

/// The state of a non-INVITE client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteClient {
    /// Sent, nothing heard.
    Trying(Pending),
    /// A provisional response came.
    Proceeding(Pending),
    /// The final response came; later copies of it are absorbed.
    Completed {
        /// Timer K.
        timer_k: Instant,
    },
    /// Over.
    Terminated,
}

/// The timers of a request without a final response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    timer_e: Option<Retransmit>,
    timer_f: Instant,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteClientInput {
    /// A response came.
    Response(StatusClass),
    /// The deadline was reached.
    Timeout,
    /// The transport cannot deliver.
    TransportFailed,
}

/// What is to be done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteClientAction {
    /// Nothing.
    Nothing,
    /// Send the request again.
    Retransmit,
    /// Give the response to the user.
    Deliver,
    /// Tell the user that it failed.
    Fail(ClientFailure),
}

impl NonInviteClient {
    /// The state after the request has been sent.
    pub fn start(now: Instant, timing: &Timing) -> Self {
        NonInviteClient::Trying(Pending {
            timer_e: timing.retransmit(now, timing.t2),
            timer_f: now + timing.patience(),
        })
    }

    /// When it wants [`NonInviteClientInput::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::Trying(pending) | Self::Proceeding(pending) => {
                Some(earlier(pending.timer_e, pending.timer_f))
            }
            Self::Completed { timer_k } => Some(timer_k),
            Self::Terminated => None,
        }
    }

    /// Takes one step.
    pub fn handle(
        &mut self,
        now: Instant,
        timing: &Timing,
        input: NonInviteClientInput,
    ) -> NonInviteClientAction {
        use NonInviteClientAction as Action;
        use NonInviteClientInput as Input;
        match (*self, input) {
            (Self::Terminated, _) => Action::Nothing,
            (Self::Completed { timer_k }, Input::Timeout) if timer_k <= now => {
                *self = Self::Terminated;
                Action::Nothing
            }
            (Self::Completed { .. }, _) => Action::Nothing,
            (Self::Trying(pending), Input::Response(StatusClass::Provisional)) => {
                *self = Self::Proceeding(pending);
                Action::Deliver
            }
            (Self::Proceeding(_), Input::Response(StatusClass::Provisional)) => Action::Deliver,
            (_, Input::Response(_)) => {
                *self = match timing.timer_i_or_k() {
                    Duration::ZERO => Self::Terminated,
                    wait => Self::Completed {
                        timer_k: now + wait,
                    },
                };
                Action::Deliver
            }
            (_, Input::TransportFailed) => self.fail(ClientFailure::Transport),
            (_, Input::Timeout) => self.on_timeout(now, timing),
        }
    }

    fn on_timeout(&mut self, now: Instant, timing: &Timing) -> NonInviteClientAction {
        let in_proceeding = matches!(self, Self::Proceeding(_));
        match self {
            Self::Trying(pending) | Self::Proceeding(pending) => {
                if pending.timer_f <= now {
                    return self.fail(ClientFailure::Timeout);
                }
                if !is_due(pending.timer_e, now) {
                    return NonInviteClientAction::Nothing;
                }
                pending.timer_e = pending.timer_e.map(|timer| match in_proceeding {
                    // RFC 3261 §17.1.2.2: once it is known to be received, only every T2.
                    true => Retransmit::new(now, timing.t2, timing.t2),
                    false => timer.again(now),
                });
                NonInviteClientAction::Retransmit
            }
            _ => NonInviteClientAction::Nothing,
        }
    }

    fn fail(&mut self, failure: ClientFailure) -> NonInviteClientAction {
        *self = Self::Terminated;
        NonInviteClientAction::Fail(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{TCP, UDP, run_out};
    use super::*;
    use NonInviteClientAction as A;
    use NonInviteClientInput as I;

    const PROVISIONAL: I = I::Response(StatusClass::Provisional);
    const SUCCESS: I = I::Response(StatusClass::Success);
    const FAILURE: I = I::Response(StatusClass::Failure);

    #[test]
    fn timer_e_doubles_up_to_t2_until_timer_f_gives_up() {
        let start = Instant::now();
        let mut machine = NonInviteClient::start(start, &UDP);
        let log = run_out!(machine, start, UDP, I::Timeout);
        let times: Vec<u64> = log.iter().map(|(at, _)| *at).collect();
        assert_eq!(
            times,
            [
                500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000
            ]
        );
        let (last, retransmissions) = log.split_last().expect("it ran");
        assert!(
            retransmissions
                .iter()
                .all(|(_, action)| *action == A::Retransmit)
        );
        assert_eq!(last.1, A::Fail(ClientFailure::Timeout));
    }

    #[test]
    fn after_a_provisional_response_timer_e_is_t2() {
        let start = Instant::now();
        let mut machine = NonInviteClient::start(start, &UDP);
        assert_eq!(machine.handle(start, &UDP, PROVISIONAL), A::Deliver);
        let log = run_out!(machine, start, UDP, I::Timeout);
        let times: Vec<u64> = log.iter().map(|(at, _)| *at).collect();
        assert_eq!(
            times,
            [
                500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500, 32_000
            ]
        );
    }

    #[test]
    fn timer_k_and_a_reliable_transport() {
        let start = Instant::now();
        let mut machine = NonInviteClient::start(start, &UDP);
        assert_eq!(machine.handle(start, &UDP, SUCCESS), A::Deliver);
        assert_eq!(
            run_out!(machine, start, UDP, I::Timeout),
            [(5_000, A::Nothing)]
        );
        let mut machine = NonInviteClient::start(start, &TCP);
        assert_eq!(machine.deadline(), Some(start + TCP.patience()));
        assert_eq!(machine.handle(start, &TCP, SUCCESS), A::Deliver);
        assert_eq!(machine, NonInviteClient::Terminated);
    }

    #[test]
    fn every_transition() {
        let now = Instant::now();
        let trying = NonInviteClient::start(now, &UDP);
        let NonInviteClient::Trying(pending) = trying else {
            unreachable!("it starts in Trying")
        };
        let proceeding = NonInviteClient::Proceeding(pending);
        let completed = NonInviteClient::Completed {
            timer_k: now + UDP.t4,
        };
        let over = NonInviteClient::Terminated;
        let transport = A::Fail(ClientFailure::Transport);
        for (from, input, action, to) in [
            (trying, PROVISIONAL, A::Deliver, proceeding),
            (trying, SUCCESS, A::Deliver, completed),
            (trying, FAILURE, A::Deliver, completed),
            (trying, I::Timeout, A::Nothing, trying),
            (trying, I::TransportFailed, transport, over),
            (proceeding, PROVISIONAL, A::Deliver, proceeding),
            (proceeding, SUCCESS, A::Deliver, completed),
            (proceeding, FAILURE, A::Deliver, completed),
            (proceeding, I::TransportFailed, transport, over),
            (completed, PROVISIONAL, A::Nothing, completed),
            (completed, SUCCESS, A::Nothing, completed),
            (completed, I::Timeout, A::Nothing, completed),
            (completed, I::TransportFailed, A::Nothing, completed),
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
