//! Sending an event, a packet each packet time.

use super::{DURATION_MAX, EVENT_LEN, TelephoneEvent};

/// No event is shorter: what ITU-T Q.24 asks a receiver to recognise.
const DURATION_MIN_MS: u32 = 40;
/// None is longer, whatever is asked for.
const DURATION_MAX_MS: u32 = 60_000;
/// §2.5.1.4: the end is sent three times.
const ENDS: u8 = 3;

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sending {
    /// As in [`TelephoneEvent::code`].
    pub code: u8,
    /// As in [`TelephoneEvent::volume`].
    pub volume: u8,
    /// The RTP time stamp of its beginning.
    pub timestamp: u32,
    /// Clock units a second of the payload type, 1,000 to 192,000.
    pub clock_rate: u32,
    /// Milliseconds between two packets, 1 to 1,000.
    pub packet_ms: u32,
    /// How long it is, if [`EventSender::stop`] does not end it before: 40 ms at least, a minute at most.
    pub duration_ms: u32,
}

/// A packet of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// The RTP time stamp.
    pub timestamp: u32,
    /// The RTP marker: the event's first packet.
    pub marker: bool,
    /// The payload.
    pub payload: [u8; EVENT_LEN],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Beginning,
    Lasting,
    /// The end was sent and is still to be sent so many times.
    Ending {
        left: u8,
    },
}

/// One event on its way out.
#[derive(Clone, Copy, Debug)]
pub struct EventSender {
    code: u8,
    volume: u8,
    /// Of the segment.
    timestamp: u32,
    /// Clock units since the segment began.
    elapsed: u32,
    /// Those at which the event ends.
    stop: u32,
    /// Those at which it may end at the earliest.
    least: u32,
    /// Clock units between two packets.
    step: u32,
    state: State,
}

impl EventSender {
    /// An event of which nothing was sent yet.
    pub fn new(sending: &Sending) -> Self {
        let clock_rate = u64::from(sending.clock_rate.clamp(1000, 192_000));
        let units = |ms: u32| (u64::from(ms) * clock_rate / 1000) as u32;
        EventSender {
            code: sending.code,
            volume: sending.volume,
            timestamp: sending.timestamp,
            elapsed: 0,
            stop: units(sending.duration_ms.clamp(DURATION_MIN_MS, DURATION_MAX_MS)),
            least: units(DURATION_MIN_MS),
            step: units(sending.packet_ms.clamp(1, 1000)),
            state: State::Beginning,
        }
    }

    /// Ends it with the next packet, or as soon as it has its shortest duration.
    pub fn stop(&mut self) {
        let now = (self.elapsed + self.step).max(self.least);
        self.stop = self.stop.min(now);
    }

    /// The packet to send now; to be called once each packet time. None when the event is over and the third end was
    /// sent a packet time ago: another event may begin.
    pub fn step(&mut self) -> Option<EventPacket> {
        let marker = self.state == State::Beginning;
        self.state = match self.state {
            State::Ending { left: 0 } => return None,
            State::Ending { left } => State::Ending { left: left - 1 },
            State::Beginning | State::Lasting => {
                self.elapsed = self.stop.min(self.elapsed + self.step);
                if self.elapsed > DURATION_MAX {
                    return Some(self.close_segment());
                }
                match self.elapsed == self.stop {
                    true => State::Ending { left: ENDS - 1 },
                    false => State::Lasting,
                }
            }
        };
        let end = matches!(self.state, State::Ending { .. });
        Some(self.packet(marker, end, self.elapsed))
    }

    /// §2.5.1.3: the segment's last packet says the most, and the next one continues from there.
    fn close_segment(&mut self) -> EventPacket {
        let marker = self.state == State::Beginning;
        self.state = State::Lasting;
        let packet = self.packet(marker, false, DURATION_MAX);
        self.timestamp = self.timestamp.wrapping_add(DURATION_MAX);
        self.elapsed -= DURATION_MAX;
        self.stop -= DURATION_MAX;
        self.least = self.least.saturating_sub(DURATION_MAX);
        packet
    }

    fn packet(&self, marker: bool, end: bool, duration: u32) -> EventPacket {
        let event = TelephoneEvent {
            code: self.code,
            end,
            volume: self.volume,
            duration: duration as u16,
        };
        EventPacket {
            timestamp: self.timestamp,
            marker,
            payload: event.write(),
        }
    }
}
