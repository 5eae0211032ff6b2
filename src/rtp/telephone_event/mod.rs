//! Telephone events (RFC 4733): DTMF digits as RTP payloads, read, told once each, sent, and re-timed.
//!
//! ```text
//!  time stamp T, T, T …                                          T, T, T
//!  │ start: M=1 │ update │ update │ … each packet time │ … end: E=1, three times │
//!     duration d    2d       3d                            the same duration
//! ```
//!
//! All packets of an event have the time stamp of its beginning (§2.1). One that outlasts what its duration field can
//! say goes on in segments: the last packet of a segment says 0xFFFF, the next one has a time stamp 0xFFFF later and no
//! marker (§2.5.1.3).
//!
//! # What may go wrong
//!
//! Packets come in any order, twice, or not at all. A start that is lost is told by an update; an event whose ends are
//! lost ends when another begins, or when none of its packets has come for 200 ms. What belongs to an event that was
//! told already is ignored. Some senders let the time stamp run on through an event: packets of the same code without a
//! marker, within the time that the event is known to last, are of that event.

mod receive;
mod retime;
mod send;

pub use receive::{Change, EventReceiver};
pub use retime::Retiming;
pub use send::{EventPacket, EventSender, Sending};

/// Octets of an event in a payload (§2.3).
pub const EVENT_LEN: usize = 4;
/// The longest duration that a packet can say.
const DURATION_MAX: u32 = 0xffff;
/// Events taken of one packet (§2.5.1.5 allows several that follow each other).
const EVENTS_MAX: usize = 4;

/// One report of an event, as a payload has it (§2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// What it is: 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for `A` to `D`; others are no DTMF (§3.2, RFC 4734).
    pub code: u8,
    /// It is over: the duration is final.
    pub end: bool,
    /// Its power in -dBm0, 0 to 63; less is louder.
    pub volume: u8,
    /// How long it lasts so far, in clock units.
    pub duration: u16,
}

impl TelephoneEvent {
    /// The events of a payload, at most four. What is left over at its end is ignored.
    pub fn parse(payload: &[u8]) -> impl Iterator<Item = TelephoneEvent> + '_ {
        payload
            .as_chunks::<EVENT_LEN>()
            .0
            .iter()
            .take(EVENTS_MAX)
            .map(|octets| TelephoneEvent {
                code: octets[0],
                end: octets[1] & 0x80 != 0,
                volume: octets[1] & 0x3f,
                duration: u16::from_be_bytes([octets[2], octets[3]]),
            })
    }

    /// The payload. A volume above 63 loses its upper bits.
    pub fn write(&self) -> [u8; EVENT_LEN] {
        let [high, low] = self.duration.to_be_bytes();
        let flags = u8::from(self.end) << 7 | self.volume & 0x3f;
        [self.code, flags, high, low]
    }
}

/// The time that an event is known to cover.
#[derive(Clone, Copy, Debug)]
struct Span {
    code: u8,
    /// Its time stamp.
    first: u32,
    /// That of its last segment.
    segment: u32,
    /// The longest duration reported of that.
    duration: u16,
    ended: bool,
}

impl Span {
    fn begin(timestamp: u32, event: &TelephoneEvent) -> Self {
        Span {
            code: event.code,
            first: timestamp,
            segment: timestamp,
            duration: event.duration,
            ended: event.end,
        }
    }

    /// Clock units from its beginning to the end that is known.
    fn total(&self) -> u32 {
        self.before().wrapping_add(u32::from(self.duration))
    }

    /// Clock units of all segments but the last.
    fn before(&self) -> u32 {
        self.segment.wrapping_sub(self.first)
    }

    /// True if a packet is of this event.
    fn covers(&self, timestamp: u32, marker: bool, code: u8) -> bool {
        let offset = timestamp.wrapping_sub(self.first);
        if code != self.code || offset == 0 || marker {
            return code == self.code && offset == 0;
        }
        match self.ended {
            // The next one of the same code may follow at once.
            true => offset < self.total(),
            false => offset <= self.total() || offset == self.before().wrapping_add(DURATION_MAX),
        }
    }

    /// Takes what a packet of this event reports. The event's duration as that packet has it.
    fn take(&mut self, timestamp: u32, event: &TelephoneEvent) -> u32 {
        if timestamp == self.segment.wrapping_add(DURATION_MAX) && !self.ended {
            self.segment = timestamp;
            self.duration = 0;
        }
        self.ended |= event.end;
        let offset = timestamp.wrapping_sub(self.first);
        if offset.is_multiple_of(DURATION_MAX) && offset < self.before() {
            // An earlier segment's, overtaken.
            return offset.wrapping_add(u32::from(event.duration));
        }
        self.duration = self.duration.max(event.duration);
        self.before().wrapping_add(u32::from(event.duration))
    }
}

#[cfg(test)]
mod tests;
