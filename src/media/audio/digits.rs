//! Digits to a leg's peer: telephone events if it hears any, else tones in its audio.
//!
//! ```text
//!  idle ──push──► sounding (events or a tone) ──duration──► pause ──50 ms──► the next, or idle
//! ```

use super::block::Block;
use super::own_packet::{Origin, OwnPacket};
use super::route::open_outlet;
use super::{Around, Audio};
use crate::codec::Rate;
use crate::codec::tone::{Generator, Tone};
use crate::link::Digit;
use crate::rtp::telephone_event::{EventSender, Sending};
use arrayvec::ArrayVec;

/// Most digits that wait. More than any dialplan sends in one go.
const DIGITS_MAX: usize = 32;

/// Shortest and longest digit in milliseconds: what a detector must take (ITU-T Q.24), and a limit against mistakes.
const DURATION_MS: (u16, u16) = (40, 6_000);

/// Between two digits (Q.24: at least 40 ms).
const PAUSE_MS: u16 = 50;

/// Ticks between two packets of an event.
const EVENT_TICKS: u8 = 2;

/// Levels of the two frequencies of a tone (Q.23: the high one is the louder).
const TONE_DBM0: (f32, f32) = (-9.0, -7.0);

/// Level of telephone events, in -dBm0 (RFC 4733 §2.3.3).
const EVENT_VOLUME: u8 = 10;

/// See the module's comment.
#[derive(Default)]
pub(super) struct DigitSender {
    waiting: ArrayVec<(Digit, u16), DIGITS_MAX>,
    state: State,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Event {
        sender: EventSender,
        payload_type: u8,
        /// Ticks until its next packet.
        wait: u8,
    },
    Tone {
        tone: Box<Generator>,
        rate: Rate,
        left_ms: u16,
    },
    Pause {
        left_ms: u16,
    },
}

impl DigitSender {
    /// Sends a digit after those that wait; one too many is dropped.
    pub(super) fn push(&mut self, digit: Digit, duration_ms: u16) {
        let duration_ms = duration_ms.clamp(DURATION_MS.0, DURATION_MS.1);
        let _ = self.waiting.try_push((digit, duration_ms));
    }

    /// The next 10 ms of a digit that is a tone.
    pub(super) fn tone(&mut self) -> Option<Block> {
        let State::Tone {
            tone,
            rate,
            left_ms,
        } = &mut self.state
        else {
            return None;
        };
        let mut block = Block::silence(*rate);
        tone.fill(block.samples_mut());
        *left_ms = left_ms.saturating_sub(10);
        if *left_ms == 0 {
            self.state = State::Pause { left_ms: PAUSE_MS };
        }
        Some(block)
    }

    /// A digit is being sent, or is to be.
    pub(super) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || !matches!(self.state, State::Idle)
    }
}

impl Audio {
    /// A tick of every leg that has digits to send.
    pub(super) fn send_digits(&mut self, around: &mut Around<'_>) {
        for index in 0..self.legs.len() {
            if self.legs[index].digits.is_busy() {
                self.step_digit(around, index);
                self.legs[index].is_changed = !self.legs[index].digits.is_busy();
            }
        }
    }

    fn step_digit(&mut self, around: &mut Around<'_>, index: usize) {
        let audio = &mut self.legs[index];
        let Some(leg) = around.legs.get_mut(audio.slot) else {
            return;
        };
        let Some(outlet) = open_outlet(around.now, leg, audio, &mut self.random) else {
            // The peer hears nothing that we can make.
            return audio.digits = DigitSender::default();
        };
        let (timestamp, rate) = (outlet.timestamp, outlet.rate());
        let digits = &mut audio.digits;
        match &mut digits.state {
            State::Idle => {
                let Some((digit, duration_ms)) = digits.waiting.pop_at(0) else {
                    return;
                };
                digits.state = match leg.formats().send.telephone_event() {
                    Some((payload_type, clock_rate)) => State::Event {
                        sender: EventSender::new(&Sending {
                            code: digit.event(),
                            volume: EVENT_VOLUME,
                            timestamp,
                            clock_rate,
                            packet_ms: u32::from(EVENT_TICKS) * 10,
                            duration_ms: duration_ms.into(),
                        }),
                        payload_type,
                        wait: 0,
                    },
                    None => State::Tone {
                        tone: Box::new(Generator::new(tone_of(digit, duration_ms), rate)),
                        rate,
                        left_ms: duration_ms,
                    },
                };
            }
            State::Tone { .. } => {}
            State::Event {
                wait: wait @ 1.., ..
            } => *wait -= 1,
            State::Event {
                sender,
                payload_type,
                wait,
            } => match sender.step() {
                Some(event) => {
                    *wait = EVENT_TICKS - 1;
                    let packet = OwnPacket {
                        payload_type: *payload_type,
                        timestamp: event.timestamp,
                        marker: event.marker,
                        origin: Origin::Made,
                        payload: &event.payload,
                    };
                    let (counters, outbox) = (&mut *around.counters, &mut *around.outbox);
                    packet.send(around.now, leg, audio.slot, counters, outbox);
                }
                None => digits.state = State::Pause { left_ms: PAUSE_MS },
            },
            State::Pause { left_ms } if *left_ms > 10 => *left_ms -= 10,
            State::Pause { .. } => digits.state = State::Idle,
        }
    }
}

fn tone_of(digit: Digit, duration_ms: u16) -> Tone {
    let (low, high) = TONE_DBM0;
    Tone::dtmf(digit, low, high, duration_ms.into(), 1)
}
