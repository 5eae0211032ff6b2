//! Why a call ended: Q.850 causes, SIP status codes and Asterisk's DIALSTATUS, and what each becomes on the other side.
//!
//! The tables are those of Asterisk's chan_pjsip, so that HANGUPCAUSE says what its users know; where Asterisk says
//! nothing, RFC 3398 §7.2.4.1 and §8.2.6.1 do.

use crate::control::dialplan::DialStatus;
use crate::sip::message::Headers;
use std::fmt;

/// A Q.850 cause value, 1 to 127.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cause(pub u8);

impl Cause {
    /// Unallocated number.
    pub const UNALLOCATED: Cause = Cause(1);
    /// No route to destination.
    pub const NO_ROUTE: Cause = Cause(3);
    /// Normal call clearing.
    pub const NORMAL: Cause = Cause(16);
    /// User busy.
    pub const BUSY: Cause = Cause(17);
    /// No user responding.
    pub const NO_RESPONSE: Cause = Cause(18);
    /// No answer from the user.
    pub const NO_ANSWER: Cause = Cause(19);
    /// Subscriber absent: no contact, or not registered.
    pub const ABSENT: Cause = Cause(20);
    /// Call rejected.
    pub const REJECTED: Cause = Cause(21);
    /// Exchange routing error: the call goes in circles.
    pub const ROUTING_ERROR: Cause = Cause(25);
    /// No circuit available: limits and full tables.
    pub const CONGESTION: Cause = Cause(34);
    /// Temporary failure.
    pub const TEMPORARY: Cause = Cause(41);
    /// Bearer capability not available: no common codec.
    pub const NO_CODEC: Cause = Cause(58);
    /// Recovery on timer expiry: a peer has gone silent.
    pub const TIMER: Cause = Cause(102);
    /// Interworking, unspecified.
    pub const INTERWORKING: Cause = Cause(127);

    /// The cause of a failure response.
    pub fn of_status(status: u16) -> Cause {
        Cause(match status {
            401 | 403 | 407 | 603 => 21,
            404 | 485 | 604 => 1,
            408 => 18,
            409 => 41,
            410 => 22,
            420 => 3,
            480 | 483 => 19,
            484 => 28,
            486 | 600 => 17,
            488 | 606 => 58,
            500 => 38,
            501 => 29,
            502 => 27,
            503 => 34,
            504 => 102,
            400..=499 | 505 | 600..=699 => 127,
            506..=599 => 34,
            _ => 16,
        })
    }

    /// The final response to an INVITE that is not answered for this cause.
    pub fn status(self) -> u16 {
        match self.0 {
            1..=3 => 404,
            17 => 486,
            18 => 408,
            19 | 20 | 31 => 480,
            21 => 403,
            22 => 410,
            // RFC 3398 §8.2.6.1, the other way round.
            25 => 483,
            27 => 502,
            28 => 484,
            29 => 501,
            34 | 41 | 42 | 44 | 47 | 66 => 503,
            38 | 127 => 500,
            58 | 65 | 79 | 88 => 488,
            102 => 504,
            // Asterisk declines a call that the dialplan hangs up without another reason.
            _ => 603,
        }
    }

    /// A short text for logs and for the Reason header.
    pub fn text(self) -> &'static str {
        match self.0 {
            1 => "Unallocated number",
            2 | 3 => "No route to destination",
            16 => "Normal call clearing",
            17 => "User busy",
            18 => "No user responding",
            19 => "No answer",
            20 => "Subscriber absent",
            21 => "Call rejected",
            22 => "Number changed",
            25 => "Exchange routing error",
            27 => "Destination out of order",
            28 => "Invalid number format",
            29 => "Facility rejected",
            34 => "Congestion",
            38 => "Network out of order",
            41 => "Temporary failure",
            58 => "Bearer capability not available",
            102 => "Recovery on timer expiry",
            127 => "Interworking",
            _ => "Cause of Q.850",
        }
    }

    /// What a Reason header with a Q.850 cause says (RFC 3326 §2), if there is one.
    pub fn of_reason(headers: &Headers) -> Option<Cause> {
        headers.values("Reason").find_map(|value| {
            let mut parts = value.split(';').map(str::trim);
            let protocol = parts.next()?;
            let number = parts.find_map(|part| {
                let (name, number) = part.split_once('=')?;
                (name.trim().eq_ignore_ascii_case("cause")).then(|| number.trim().parse::<u8>())
            });
            match number {
                Some(Ok(cause @ 1..=127)) if protocol.eq_ignore_ascii_case("Q.850") => {
                    Some(Cause(cause))
                }
                _ => None,
            }
        })
    }
}

/// As the value of a Reason header (RFC 3326 §2).
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Q.850;cause={};text=\"{}\"", self.0, self.text())
    }
}

/// Reason value of the CANCEL to those who ring on when somebody else has answered (RFC 3326 §3.1).
pub const ANSWERED_ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// Why one callee, or a whole Dial, failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The status code that the caller gets if the dialplan does nothing else.
    pub status: u16,
    /// HANGUPCAUSE.
    pub cause: Cause,
    /// DIALSTATUS.
    pub dial_status: DialStatus,
}

impl Failure {
    /// The callee answered with this status (300 to 699). What concerns only our own request to it (its challenge,
    /// our headers) says nothing to the caller and becomes what the caller can use.
    pub fn of_response(status: u16, reason: Option<Cause>) -> Failure {
        let cause = reason.unwrap_or(Cause::of_status(status));
        let status = match status {
            401 | 407 => 403,
            300..=399 | 487 => 480,
            405 | 406 | 413..=423 | 481 | 482 | 489..=494 => 500,
            _ => status,
        };
        Failure {
            status,
            cause,
            dial_status: dial_status(cause),
        }
    }

    /// It failed for this cause, with no response of anybody's.
    pub fn of_cause(cause: Cause) -> Failure {
        Failure {
            status: cause.status(),
            cause,
            dial_status: dial_status(cause),
        }
    }

    /// The one that the caller is told of, of two callees that rang at the same time: a 6xx speaks for all
    /// (RFC 3261 §16.7 step 6), then app_dial's order: busy, congestion, unavailable, no answer; else the first.
    pub fn better(self, other: Failure) -> Failure {
        let rank = |failure: &Failure| match failure.dial_status {
            _ if failure.status >= 600 => 0,
            DialStatus::Busy => 1,
            DialStatus::Congestion => 2,
            DialStatus::ChanUnavail => 3,
            _ => 4,
        };
        if rank(&other) < rank(&self) {
            other
        } else {
            self
        }
    }
}

/// How app_dial counts a callee that failed for this cause.
fn dial_status(cause: Cause) -> DialStatus {
    match cause {
        Cause::BUSY => DialStatus::Busy,
        Cause::CONGESTION => DialStatus::Congestion,
        Cause::NO_ANSWER | Cause::NORMAL => DialStatus::NoAnswer,
        _ => DialStatus::ChanUnavail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_callee_answers_reaches_the_caller_where_it_concerns_it() {
        for (came, cause, goes, dial_status) in [
            (486, 17, 486, DialStatus::Busy),
            (600, 17, 600, DialStatus::Busy),
            (404, 1, 404, DialStatus::ChanUnavail),
            (480, 19, 480, DialStatus::NoAnswer),
            (503, 34, 503, DialStatus::Congestion),
            (407, 21, 403, DialStatus::ChanUnavail),
            (302, 16, 480, DialStatus::NoAnswer),
            (488, 58, 488, DialStatus::ChanUnavail),
            (420, 3, 500, DialStatus::ChanUnavail),
        ] {
            let failure = Failure::of_response(came, None);
            let expected = Failure {
                status: goes,
                cause: Cause(cause),
                dial_status,
            };
            assert_eq!(failure, expected, "{came}");
        }
    }

    #[test]
    fn every_cause_refuses_with_a_failure_and_every_failure_has_a_cause() {
        for cause in 0..=255 {
            assert!((400..=699).contains(&Cause(cause).status()), "{cause}");
        }
        for status in 300..=699 {
            let cause = Cause::of_status(status).0;
            assert!((1..=127).contains(&cause), "{status}");
        }
    }

    #[test]
    fn of_two_failures_the_weightier_is_told() {
        let [busy, absent, late, declined] =
            [486, 404, 480, 603].map(|status| Failure::of_response(status, None));
        assert_eq!(late.better(absent), absent);
        assert_eq!(absent.better(busy), busy);
        assert_eq!(busy.better(absent), busy);
        assert_eq!(busy.better(declined), declined);
    }
}
