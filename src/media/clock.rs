//! The clock of an RTP stream.

use super::seam::Nanos;
use crate::codec::Payload;

/// How fast a stream's time stamps run (RFC 3550 §5.1). A stream keeps the clock that it began with: who changes it changes
/// the source, too (RFC 7160 §4.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct RtpClock {
    /// In Hz.
    rate: u32,
    /// Units of a nanosecond, in 2^-64: a multiplication in place of a division.
    per_ns: u64,
}

impl RtpClock {
    const fn new(rate: u32) -> RtpClock {
        // Rounded up, so that a whole number of units is not just missed. No rate that we know is 1 GHz.
        let per_ns = ((rate as u128) << 64) / 1_000_000_000 + 1;
        RtpClock {
            rate,
            per_ns: per_ns as u64,
        }
    }

    /// The clock of what a payload type carries; 8 kHz where that is not known.
    pub(super) fn of(payload: Option<Payload>) -> RtpClock {
        match payload {
            Some(Payload::Codec(codec)) => RtpClock::new(codec.clock_rate()),
            Some(Payload::TelephoneEvent { clock_rate }) => RtpClock::new(clock_rate),
            Some(Payload::ComfortNoise) | None => RtpClock::default(),
        }
    }

    /// A time, or a moment of our clock, in units; modulo 2^32, as time stamps are.
    #[inline]
    pub(super) fn units(self, time: Nanos) -> u32 {
        ((u128::from(time.0) * u128::from(self.per_ns)) >> 64) as u32
    }

    /// So many units in microseconds.
    pub(super) fn micros(self, units: u32) -> u32 {
        let micros = u64::from(units) * 1_000_000 / u64::from(self.rate.max(1));
        u32::try_from(micros).unwrap_or(u32::MAX)
    }
}

impl Default for RtpClock {
    /// 8 kHz: the clock of all that is decoded here, and of most that is not.
    fn default() -> RtpClock {
        const NARROW: RtpClock = RtpClock::new(8_000);
        NARROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;

    #[test]
    fn a_packet_time_is_a_whole_number_of_units_however_long_we_run() {
        for (codec, units) in [(Codec::Ulaw, 160), (Codec::G722, 160), (Codec::Opus, 960)] {
            let clock = RtpClock::of(Some(Payload::Codec(codec)));
            assert_eq!(clock.units(Nanos::from_millis(20)), units);
            assert_eq!(clock.micros(units), 20_000);
            let year = Nanos::from_millis(365 * 86_400 * 1_000);
            let later = Nanos(year.0 + 20_000_000);
            let step = clock.units(later).wrapping_sub(clock.units(year));
            assert!(step.abs_diff(units) <= 1, "{codec:?}: {step}");
        }
    }
}
