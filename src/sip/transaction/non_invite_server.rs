//! The non-INVITE server transaction (RFC 3261 §17.2.2, RFC 4320).
//!
//! ```text
//!  request                                    64*T1: the client has given up, an answer is of no use (RFC 4320 §3.2)
//!    ├──────────────────────────────────────────┤
//!    Trying ──1xx──► Proceeding ──final──► Completed ──J (64*T1, UDP only)──► Terminated
//!    copies dropped  1xx again             final again
//! ```

use super::Timing;
use std::time::{Duration, Instant};

/// The state of a non-INVITE server transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteServer {
    /// No response yet.
    Trying {
        /// When the client's timer F has run out.
        end: Instant,
    },
    /// A provisional response was sent.
    Proceeding {
        /// When the client's timer F has run out.
        end: Instant,
    },
    /// The final response was sent.
    Completed {
        /// Timer J.
        timer_j: Instant,
    },
    /// Over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteServerInput {
    /// The request came again.
    Request,
    /// The user gives a provisional response.
    RespondProvisional,
    /// The user gives the final response.
    RespondFinal,
    /// The deadline was reached.
    Timeout,
}

/// What is to be done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonInviteServerAction {
    /// Nothing.
    Nothing,
    /// Send the user's response and keep it.
    Send,
    /// Send the kept response again.
    Resend,
}

impl NonInviteServer {
    /// The state after the request has come.
    pub fn start(now: Instant, timing: &Timing) -> Self {
        NonInviteServer::Trying {
            end: now + timing.patience(),
        }
    }

    /// When it wants [`NonInviteServerInput::Timeout`].
    pub fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::Trying { end } | Self::Proceeding { end } | Self::Completed { timer_j: end } => {
                Some(end)
            }
            Self::Terminated => None,
        }
    }

    /// Takes one step.
    pub fn handle(
        &mut self,
        now: Instant,
        timing: &Timing,
        input: NonInviteServerInput,
    ) -> NonInviteServerAction {
        use NonInviteServerAction as Action;
        use NonInviteServerInput as Input;
        match (*self, input) {
            (Self::Proceeding { .. } | Self::Completed { .. }, Input::Request) => Action::Resend,
            (Self::Trying { end } | Self::Proceeding { end }, Input::RespondProvisional) => {
                *self = Self::Proceeding { end };
                Action::Send
            }
            (Self::Trying { .. } | Self::Proceeding { .. }, Input::RespondFinal) => {
                *self = match timing.timer_j() {
                    Duration::ZERO => Self::Terminated,
                    wait => Self::Completed {
                        timer_j: now + wait,
                    },
                };
                Action::Send
            }
            (_, Input::Timeout) if self.deadline().is_some_and(|end| end <= now) => {
                *self = Self::Terminated;
                Action::Nothing
            }
            _ => Action::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{TCP, UDP, run_out};
    use super::*;
    use NonInviteServerAction as A;
    use NonInviteServerInput as I;

    #[test]
    fn timer_j_keeps_the_answer_for_copies() {
        let start = Instant::now();
        let mut machine = NonInviteServer::start(start, &UDP);
        assert_eq!(machine.handle(start, &UDP, I::RespondFinal), A::Send);
        assert_eq!(machine.handle(start, &UDP, I::Request), A::Resend);
        assert_eq!(
            run_out!(machine, start, UDP, I::Timeout),
            [(32_000, A::Nothing)]
        );
        let mut machine = NonInviteServer::start(start, &TCP);
        assert_eq!(machine.handle(start, &TCP, I::RespondFinal), A::Send);
        assert_eq!(machine, NonInviteServer::Terminated);
    }

    #[test]
    fn an_unanswered_request_dies_with_its_client() {
        let start = Instant::now();
        let mut machine = NonInviteServer::start(start, &UDP);
        assert_eq!(
            run_out!(machine, start, UDP, I::Timeout),
            [(32_000, A::Nothing)]
        );
        assert_eq!(machine, NonInviteServer::Terminated);
    }

    #[test]
    fn every_transition() {
        let now = Instant::now();
        let end = now + UDP.patience();
        let trying = NonInviteServer::start(now, &UDP);
        let proceeding = NonInviteServer::Proceeding { end };
        let completed = NonInviteServer::Completed { timer_j: end };
        let over = NonInviteServer::Terminated;
        for (from, input, action, to) in [
            (trying, I::Request, A::Nothing, trying),
            (trying, I::RespondProvisional, A::Send, proceeding),
            (trying, I::RespondFinal, A::Send, completed),
            (trying, I::Timeout, A::Nothing, trying),
            (proceeding, I::Request, A::Resend, proceeding),
            (proceeding, I::RespondProvisional, A::Send, proceeding),
            (proceeding, I::RespondFinal, A::Send, completed),
            (completed, I::Request, A::Resend, completed),
            (completed, I::RespondProvisional, A::Nothing, completed),
            (completed, I::RespondFinal, A::Nothing, completed),
            (completed, I::Timeout, A::Nothing, completed),
            (over, I::Request, A::Nothing, over),
            (over, I::RespondFinal, A::Nothing, over),
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
