//! Digits that the caller presses for an application: the extension that they make; and those that are sent to it.

use super::{Application, Pressing, Sending};
use crate::control::call::Call;
use crate::control::call::Phase;
use crate::control::context::Context;
use crate::control::dialplan::{BackgroundRequest, Interrupt};
use crate::link::Digit;
use std::time::{Duration, Instant};

/// How long the first digit may take where the dialplan does not say, as in Asterisk (`TIMEOUT(response)`).
pub(super) const FIRST_DIGIT: Duration = Duration::from_secs(10);
/// How long each further one may take (`TIMEOUT(digit)`).
pub(super) const NEXT_DIGIT: Duration = Duration::from_secs(5);
/// Most digits of an extension that is pressed; with so many it is complete.
const PRESSED_MAX: usize = 80;
/// What `w` of SendDTMF waits for; `W` waits for twice as long.
const SHORT_PAUSE: Duration = Duration::from_millis(500);

impl Call {
    /// True if this digit ends what is played.
    pub(super) fn interrupts(&self, request: &BackgroundRequest, digit: Digit) -> bool {
        match request.interrupt {
            Interrupt::Any => true,
            Interrupt::Never => false,
            Interrupt::Extension => {
                let digits = digit.symbol().to_string();
                let reach = self.execution.reach(&digits, request.context.as_deref());
                reach.exists
            }
        }
    }

    /// One more digit of an extension: it is gone to as soon as no further one could make another.
    pub(super) fn press(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        mut pressing: Pressing,
        digit: Digit,
    ) {
        self.hush_caller(ctx);
        pressing.digits.push(digit.symbol());
        let context = pressing.context.as_deref();
        let reach = self.execution.reach(&pressing.digits, context);
        if reach.goes_on && pressing.digits.len() < PRESSED_MAX {
            self.attend(ctx, now, Application::Pressing(pressing), Some(NEXT_DIGIT));
        } else {
            self.enter_pressed(&pressing);
        }
    }

    pub(super) fn enter_pressed(&mut self, pressing: &Pressing) {
        let context = pressing.context.as_deref();
        self.execution.enter_pressed(&pressing.digits, context);
    }

    /// Sends the next digit of SendDTMF, and waits until it has sounded.
    pub(super) fn send_digits(&mut self, ctx: &mut Context, now: Instant, mut sending: Sending) {
        let request = &sending.request;
        let Some(next) = request.digits.chars().nth(sending.sent) else {
            self.phase = Phase::Ready;
            return;
        };
        let time = match Digit::from_char(next) {
            Some(digit) => {
                let duration_ms = request.duration_ms;
                self.give_digit(ctx, now, self.caller.no, (digit, duration_ms));
                request.pause + Duration::from_millis(duration_ms.into())
            }
            None if next == 'w' => SHORT_PAUSE,
            None => SHORT_PAUSE * 2,
        };
        sending.sent += 1;
        self.attend(ctx, now, Application::Sending(sending), Some(time));
    }
}
