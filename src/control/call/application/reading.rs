//! Read: digits into a variable.
//!
//! ```text
//!  prompt ──its end──► first digit ──a digit──► next digit ──enough, the terminator, or none in time──► READSTATUS
//!     └─────── a digit ─────────────────────────────▲
//!               none in time: the prompt again, as often as Read says
//! ```

use super::Application;
use super::pressing::{FIRST_DIGIT, NEXT_DIGIT};
use crate::control::call::{Call, Phase};
use crate::control::context::Context;
use crate::control::dialplan::ReadRequest;
use crate::control::sounds::Sound;
use crate::link::Digit;
use std::time::Instant;

/// A Read that runs.
pub(in crate::control::call) struct Reading {
    request: ReadRequest,
    typed: String,
    attempts_left: u32,
}

impl Reading {
    pub(super) fn new(request: ReadRequest) -> Reading {
        Reading {
            typed: String::new(),
            attempts_left: request.attempts,
            request,
        }
    }

    pub(super) fn variable(&self) -> &str {
        &self.request.variable
    }

    pub(super) fn typed(&self) -> &str {
        &self.typed
    }
}

impl Call {
    /// Asks for digits.
    pub(super) fn read(&mut self, ctx: &mut Context, now: Instant, reading: Reading) {
        let request = &reading.request;
        let zone = &self.facts.manner.tone_zone;
        let sounds = request.prompts.iter().map(|prompt| match request.tones {
            true => Sound::Tone {
                zone: zone.clone(),
                tone: prompt.clone(),
            },
            false => Sound::File(prompt.clone()),
        });
        let sounds: Vec<Sound> = sounds.collect();
        // A tone has no end to wait for.
        let is_timed = sounds.is_empty() || request.tones;
        let time = is_timed.then(|| request.time.unwrap_or(FIRST_DIGIT));
        if !sounds.is_empty() {
            self.play_to_caller(ctx, sounds, None);
        }
        self.attend(ctx, now, Application::Read(Box::new(reading)), time);
    }

    /// The prompt is over.
    pub(super) fn on_prompt_over(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        reading: Box<Reading>,
    ) {
        let time = reading
            .request
            .time
            .unwrap_or(match reading.typed.is_empty() {
                true => FIRST_DIGIT,
                false => NEXT_DIGIT,
            });
        self.attend(ctx, now, Application::Read(reading), Some(time));
    }

    pub(super) fn digit_for_read(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        mut reading: Box<Reading>,
        digit: Digit,
    ) {
        self.hush_caller(ctx);
        let is_end = reading.request.terminator == Some(digit.symbol());
        if !is_end {
            reading.typed.push(digit.symbol());
        }
        if is_end || reading.typed.len() >= reading.request.digits_max {
            self.set_read(&reading.request.variable, &reading.typed, "OK");
            self.phase = Phase::Ready;
        } else {
            let time = reading.request.time.unwrap_or(NEXT_DIGIT);
            self.attend(ctx, now, Application::Read(reading), Some(time));
        }
    }

    /// No digit has come in time.
    pub(super) fn on_read_due(&mut self, ctx: &mut Context, now: Instant, reading: Reading) {
        self.hush_caller(ctx);
        if reading.typed.is_empty() && reading.attempts_left > 1 {
            let again = Reading {
                attempts_left: reading.attempts_left - 1,
                ..reading
            };
            return self.read(ctx, now, again);
        }
        self.set_read(&reading.request.variable, &reading.typed, "TIMEOUT");
    }

    pub(super) fn set_read(&mut self, variable: &str, typed: &str, status: &str) {
        self.execution.set_variable(variable, typed.to_owned());
        self.execution.set_variable("READSTATUS", status.to_owned());
    }
}
