//! What the events of a stream are: each told once when it starts and once when it ends.

use super::{Span, TelephoneEvent};

/// Without a packet for so long an event is over: its ends are lost. More than three packets of 60 ms.
const TIMEOUT_NS: u64 = 200_000_000;

/// What is told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has begun.
    Started {
        /// As in [`TelephoneEvent::code`].
        code: u8,
    },
    /// It is over. Always told of one that has begun.
    Ended {
        /// As in [`TelephoneEvent::code`].
        code: u8,
        /// How long it was, in clock units, over all its segments.
        duration: u32,
    },
}

/// The events of one source. See the module's text for what it makes of losses and disorder.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventReceiver {
    /// The latest event, ended or not.
    span: Option<Span>,
    /// The highest sequence number of an event's packet.
    highest: u32,
    seen_at: u64,
}

impl EventReceiver {
    /// Takes a packet: its sequence number extended, time stamp and marker, and its payload. Each change is told in
    /// its order.
    pub fn receive(
        &mut self,
        now_ns: u64,
        extended: u32,
        (timestamp, marker): (u32, bool),
        payload: &[u8],
        mut tell: impl FnMut(Change),
    ) {
        let (mut at, mut marker) = (timestamp, marker);
        for event in TelephoneEvent::parse(payload) {
            self.take(now_ns, extended, (at, marker), &event, &mut tell);
            // §2.5.1.5: each begins where the one before it ended.
            at = at.wrapping_add(u32::from(event.duration));
            marker = true;
        }
    }

    fn take(
        &mut self,
        now_ns: u64,
        extended: u32,
        (timestamp, marker): (u32, bool),
        event: &TelephoneEvent,
        tell: &mut impl FnMut(Change),
    ) {
        let code = event.code;
        match &mut self.span {
            Some(span) if span.covers(timestamp, marker, code) => {
                let ended_before = span.ended;
                span.take(timestamp, event);
                self.highest = self.highest.max(extended);
                self.seen_at = now_ns;
                if !ended_before && span.ended {
                    tell_end(span, tell);
                }
            }
            // Of an event before this one, overtaken.
            Some(_) if extended < self.highest => {}
            known => {
                if let Some(before) = known.take_if(|before| !before.ended) {
                    tell_end(&before, tell);
                }
                let span = known.insert(Span::begin(timestamp, event));
                self.highest = extended;
                self.seen_at = now_ns;
                tell(Change::Started { code });
                if span.ended {
                    tell_end(span, tell);
                }
            }
        }
    }

    /// Ends an event of which nothing has come for 200 ms. To be called now and then, at best each 10 ms.
    pub fn expire(&mut self, now_ns: u64) -> Option<Change> {
        let span = self.span.as_mut().filter(|span| !span.ended)?;
        if now_ns.saturating_sub(self.seen_at) < TIMEOUT_NS {
            return None;
        }
        span.ended = true;
        Some(ended(span))
    }

    /// True while an event lasts.
    pub fn is_active(&self) -> bool {
        self.span.is_some_and(|span| !span.ended)
    }

    /// The source has changed: nothing of what comes belongs to what came. Ends an event that lasts.
    pub fn reset(&mut self) -> Option<Change> {
        let span = std::mem::take(self).span;
        span.filter(|span| !span.ended).map(|span| ended(&span))
    }
}

fn ended(span: &Span) -> Change {
    Change::Ended {
        code: span.code,
        duration: span.total(),
    }
}

fn tell_end(span: &Span, tell: &mut impl FnMut(Change)) {
    tell(ended(span));
}
