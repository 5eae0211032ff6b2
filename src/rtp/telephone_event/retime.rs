//! Events passed on to a payload type of another clock rate.

use super::{DURATION_MAX, Span, TelephoneEvent};

/// The events of one direction. Durations are scaled; an event keeps the time stamp that its first packet was given,
/// and one that becomes too long for its field goes on in segments (§2.5.1.3).
#[derive(Clone, Copy, Debug)]
pub struct Retiming {
    from: u32,
    to: u32,
    passing: Option<Passing>,
}

/// The latest event.
#[derive(Clone, Copy, Debug)]
struct Passing {
    /// As it comes.
    span: Span,
    /// The time stamp of the segment as it goes.
    segment: u32,
    /// Clock units of the segments before it.
    before: u32,
}

impl Retiming {
    /// From one clock rate to another, in clock units a second; a rate of 0 is taken as 1.
    pub fn new(from: u32, to: u32) -> Self {
        Retiming {
            from: from.max(1),
            to: to.max(1),
            passing: None,
        }
    }

    /// Translates a packet's event. `mapped` is what its time stamp would be on the other side if it began a new
    /// event. Returns the time stamp and the event to send in its place.
    pub fn translate(
        &mut self,
        (timestamp, marker): (u32, bool),
        event: TelephoneEvent,
        mapped: u32,
    ) -> (u32, TelephoneEvent) {
        let (from, to) = (u64::from(self.from), u64::from(self.to));
        let fresh = Passing {
            span: Span::begin(timestamp, &event),
            segment: mapped,
            before: 0,
        };
        let known = self.passing.as_mut();
        let passing = match known.filter(|at| at.span.covers(timestamp, marker, event.code)) {
            Some(passing) => passing,
            None => self.passing.insert(fresh),
        };
        let elapsed = u64::from(passing.span.take(timestamp, &event)) * to / from;
        let in_segment = elapsed.saturating_sub(u64::from(passing.before));
        let here = passing.segment;
        if in_segment > u64::from(DURATION_MAX) {
            passing.segment = here.wrapping_add(DURATION_MAX);
            passing.before = passing.before.wrapping_add(DURATION_MAX);
        }
        let event = TelephoneEvent {
            end: event.end && in_segment <= u64::from(DURATION_MAX),
            duration: in_segment.min(u64::from(DURATION_MAX)) as u16,
            ..event
        };
        (here, event)
    }
}
