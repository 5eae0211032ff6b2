//! When the next report is due (RFC 3550 §6.2, §6.3.1), for the two members that a call's session has.

/// §6.2: five seconds.
const MINIMUM_NS: u64 = 5_000_000_000;
/// §6.2: the reduced minimum in seconds is this by the session's kbit/s.
const REDUCED_S_KBIT: u64 = 360;
/// A call's two ends, which both send, so that they share all of the bandwidth (§6.3.1).
const MEMBERS: u64 = 2;

/// The least interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minimum {
    /// Five seconds.
    Fixed,
    /// 360 seconds by the session's bandwidth in kbit/s, where that is less.
    Reduced,
}

/// What the interval depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// kbit/s of one stream with its headers, 1 at least; RTCP has a twentieth of it (§6.2).
    pub kbit_s: u32,
    /// Octets of an average RTCP packet, with IP and UDP headers.
    pub packet_len: u32,
    /// The least interval.
    pub minimum: Minimum,
    /// No report was sent yet: half the minimum does (§6.2).
    pub initial: bool,
}

/// Nanoseconds to the next report: the interval times 0.5 to 1.5, so that reports do not come in step, and by e - 3/2
/// as timer reconsideration asks (§6.3.1). `random` is any number, all equally likely.
pub fn interval_ns(session: &Session, random: u32) -> u64 {
    let kbit_s = u64::from(session.kbit_s.max(1));
    let minimum = match session.minimum {
        Minimum::Fixed => MINIMUM_NS,
        Minimum::Reduced => MINIMUM_NS.min(REDUCED_S_KBIT * 1_000_000_000 / kbit_s),
    };
    let minimum = if session.initial {
        minimum / 2
    } else {
        minimum
    };
    // A twentieth of kbit/s, in octets a second.
    let octets_s = kbit_s * 1000 / 8 / 20;
    let share = MEMBERS * u64::from(session.packet_len) * 1_000_000_000 / octets_s.max(1);
    let interval = minimum.max(share);
    // Half of it, and up to as much again; 1 / 1.21828 is 0.82083.
    let randomised = interval / 2 + ((u128::from(interval) * u128::from(random)) >> 32) as u64;
    (u128::from(randomised) * 82_083 / 100_000) as u64
}
