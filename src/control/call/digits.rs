//! DTMF between two sides that have it in different ways.
//!
//! A side's digits come and go in one way only, so that none is told twice (many telephones send telephone events and INFO
//! for the same key, or leave the tone in the audio):
//!
//! | `dtmf_mode` | where telephone events (RFC 4733) are agreed | elsewhere |
//! |---|---|---|
//! | `rfc4733` | events | open: INFO if it sends any; it hears tones |
//! | `inband` | none are | tones |
//! | `info` | none are | INFO |
//! | `auto` | events | tones |
//! | `auto_info` | events | INFO |
//!
//! | from, to | events | tones or open | INFO |
//! |---|---|---|---|
//! | events | relayed; heard and sent where the clocks differ | heard and sent | heard, and told by INFO |
//! | tones | heard and sent, and gone from the audio | relayed | heard, and told by INFO |
//! | INFO or open | sent | sent; to one that is open passed on, if it takes INFO | passed on as it is |
//!
//! INFO with a digit of a side whose digits are events or tones gets 200 and goes nowhere. INFO of our own goes out one
//! at a time, so that digits keep their order; [`DIGITS_MAX`] wait at most, further ones are dropped.

use super::leg::{Leg, LegState};
use super::media::LegMedia;
use super::{Call, LegNo};
use crate::codec::Payload;
use crate::config::settings::{DtmfMode, Endpoint};
use crate::control::context::{ClientRole, Context};
use crate::link::{Command, Digit, Listening};
use crate::sdp::Format;
use crate::sip::endpoint::ServerTx;
use crate::sip::message::{Method, Request, ResponseDraft};
use std::collections::VecDeque;
use std::time::Instant;

/// Most digits of a leg that wait for the INFO before them.
pub const DIGITS_MAX: usize = 32;

/// How long a digit lasts that says nothing, in milliseconds.
const DURATION_MS: u16 = 160;
/// What a worker sends at least and at most.
const DURATIONS_MS: std::ops::RangeInclusive<u16> = 40..=6_000;

/// `Signal=5`, `Duration=160`, a line each: what telephones send most.
const RELAY: &str = "application/dtmf-relay";
/// The digit alone.
const PLAIN: &str = "application/dtmf";

/// A digit, and how long it lasts in milliseconds.
pub(super) type Pressed = (Digit, u16);

/// How a side's digits come and go. See the module's comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Events,
    Tones,
    Info,
    Open,
}

/// The INFO of our own to a leg's peer.
#[derive(Debug, Default)]
pub struct OwnInfo {
    /// One has no final response yet.
    is_asked: bool,
    waiting: VecDeque<Pressed>,
}

impl Call {
    /// Has the workers listen for the digits that are to go another way to the far side, or that an application takes.
    pub(super) fn settle_digits(&mut self, ctx: &mut Context) {
        let caller = self.caller.no;
        let Some(callee) = self.joined() else {
            let listening = self.listening_for_application(caller);
            if let Some(media) = self.caller.media_mut() {
                media.listen(ctx, listening);
            }
            return;
        };
        for (no, far) in [(caller, callee), (callee, caller)] {
            let listening = self.listening(no, far).unwrap_or(Listening::Off);
            if let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) {
                media.listen(ctx, listening);
            }
        }
    }

    /// True if both have their digits in the same way, so that nothing is to be done about them.
    pub(super) fn digits_pass(&self, callee: LegNo) -> bool {
        let caller = self.caller.no;
        self.way(caller) == self.way(callee)
            && self.listening(caller, callee) == Some(Listening::Off)
    }

    /// What the worker has to hear of a leg's digits for the far one.
    fn listening(&self, no: LegNo, far: LegNo) -> Option<Listening> {
        let listening = match (self.way(no)?, self.way(far)?) {
            (Way::Events, Way::Events) if self.relays_events(no, far) => Listening::Off,
            (Way::Events, _) => Listening::Events,
            (Way::Tones, Way::Events | Way::Info) => Listening::Tones,
            (Way::Tones | Way::Info | Way::Open, _) => Listening::Off,
        };
        Some(listening)
    }

    /// What the worker has to hear of a leg's digits for an application of ours.
    fn listening_for_application(&self, no: LegNo) -> Listening {
        match self.way(no).filter(|_| self.takes_digits(no)) {
            Some(Way::Events) => Listening::Events,
            Some(Way::Tones) => Listening::Tones,
            Some(Way::Info | Way::Open) | None => Listening::Off,
        }
    }

    fn way(&self, no: LegNo) -> Option<Way> {
        let leg = self.leg(no)?;
        let endpoint = self.setup.endpoint(leg.endpoint);
        Some(way_of(endpoint, leg.media()?.formats()))
    }

    fn relays_events(&self, no: LegNo, far: LegNo) -> bool {
        let (Some(of), Some(far)) = (self.media_of(no), self.media_of(far)) else {
            return false;
        };
        let is_common = |event: &Format| far.formats().iter().any(|f| f.payload == event.payload);
        of.formats()
            .iter()
            .filter(|format| is_event(format))
            .any(is_common)
    }

    /// A worker has heard a digit of the leg's peer.
    pub(super) fn on_digit(&mut self, ctx: &mut Context, now: Instant, no: LegNo, heard: Pressed) {
        if self.takes_digits(no) {
            return self.digit_for_application(ctx, now, heard.0);
        }
        if let Some(far) = self.opposite(no).map(|leg| leg.no) {
            self.give_digit(ctx, now, far, heard);
        }
    }

    /// Lets a leg's peer have a digit in its way.
    pub(super) fn give_digit(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        pressed: Pressed,
    ) {
        let key = self.key;
        let is_info = self.way(no) == Some(Way::Info);
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        match is_info {
            true => leg.tell_digit(ctx, now, key, pressed),
            false => leg.send_digit(ctx, pressed),
        }
    }

    /// An INFO.
    pub(super) fn on_info(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        request: &Request,
    ) {
        let body = request.body();
        let content_type = request.headers().get("Content-Type").unwrap_or("");
        let essence = content_type.split(';').next().unwrap_or("").trim();
        if body.is_empty() {
            return ctx.sip.respond(now, tx, ResponseDraft::new(200));
        }
        let mut types = [RELAY, PLAIN].into_iter();
        let Some(known) = types.find(|known| known.eq_ignore_ascii_case(essence)) else {
            let accept = format!("{RELAY}, {PLAIN}");
            let response = ResponseDraft::new(415).header("Accept", accept);
            return ctx.sip.respond(now, tx, response);
        };
        if !self.pass_info(ctx, now, no, tx, (known, &body)) {
            ctx.sip.respond(now, tx, ResponseDraft::new(200));
        }
    }

    /// Takes a digit in an INFO to the far side. True if that is to answer it.
    fn pass_info(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        tx: ServerTx,
        (content_type, body): (&'static str, &[u8]),
    ) -> bool {
        let key = self.key;
        let way = self.way(no);
        if self.takes_digits(no)
            && let Some(Way::Info | Way::Open) = way
            && let Some((digit, _)) = pressed(content_type, body)
        {
            self.digit_for_application(ctx, now, digit);
            return false;
        }
        let Some(far) = self.opposite(no).map(|leg| leg.no) else {
            return false;
        };
        if let Some(Way::Events | Way::Tones) = way {
            tracing::debug!(call = self.id, leg = no.0, ?way, "digit by INFO is no news");
            return false;
        }
        let far_way = self.way(far);
        let Some(leg) = self.leg_mut(far) else {
            return false;
        };
        let passes = match far_way {
            Some(Way::Info) | None => true,
            Some(Way::Open) => !leg.refuses_info,
            Some(Way::Events | Way::Tones) => false,
        };
        if passes && let Some(info) = leg.request(Method::Info) {
            let info = info.body(content_type, body.to_vec());
            return leg
                .send(ctx, now, key, ClientRole::Info(tx), info)
                .is_some();
        }
        match pressed(content_type, body) {
            Some(pressed) => leg.send_digit(ctx, pressed),
            None => tracing::info!(call = self.id, leg = no.0, "INFO without a digit dropped"),
        }
        false
    }

    /// The leg joined with this one, if it is up.
    fn opposite(&mut self, no: LegNo) -> Option<&mut Leg> {
        // Who has transferred the call stands beside it, on neither side.
        let other = self.side_of(no)?.other();
        self.side(other)
            .filter(|leg| matches!(leg.state, LegState::Up))
    }

    /// An INFO of our own has its final response, or will have none: the next digit may go.
    pub(super) fn on_digit_told(&mut self, ctx: &mut Context, now: Instant, no: LegNo) {
        let key = self.key;
        let Some(leg) = self.leg_mut(no) else {
            return;
        };
        leg.own_info.is_asked = false;
        if let Some(next) = leg.own_info.waiting.pop_front() {
            leg.tell_digit(ctx, now, key, next);
        }
    }
}

impl Leg {
    /// Has the worker send a digit to the peer.
    fn send_digit(&mut self, ctx: &mut Context, (digit, duration_ms): Pressed) {
        if let Some(media) = self.media() {
            let send = Command::SendDigit {
                leg: media.leg,
                digit,
                duration_ms,
            };
            ctx.command(media.worker(), send);
        }
    }

    /// Tells the peer a digit by INFO.
    fn tell_digit(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        call: super::CallKey,
        (digit, duration_ms): Pressed,
    ) {
        if self.own_info.is_asked {
            if self.own_info.waiting.len() < DIGITS_MAX {
                self.own_info.waiting.push_back((digit, duration_ms));
            }
            return;
        }
        let body = format!("Signal={}\r\nDuration={duration_ms}\r\n", digit.symbol());
        let Some(info) = self.request(Method::Info) else {
            return;
        };
        let sent = self.send(ctx, now, call, ClientRole::Digit, info.body(RELAY, body));
        self.own_info.is_asked = sent.is_some();
    }
}

impl LegMedia {
    /// Tells the worker which digits of the peer are to be heard, if that has changed.
    fn listen(&mut self, ctx: &mut Context, listening: Listening) {
        if self.told_listening != listening {
            self.told_listening = listening;
            let leg = self.leg;
            ctx.command(self.worker(), Command::Listen { leg, listening });
        }
    }
}

fn way_of(endpoint: &Endpoint, formats: &[Format]) -> Way {
    let has_events = formats.iter().any(is_event);
    match endpoint.dtmf_mode {
        DtmfMode::Inband => Way::Tones,
        DtmfMode::Info => Way::Info,
        DtmfMode::Rfc4733 | DtmfMode::Auto | DtmfMode::AutoInfo if has_events => Way::Events,
        DtmfMode::Rfc4733 => Way::Open,
        DtmfMode::Auto => Way::Tones,
        DtmfMode::AutoInfo => Way::Info,
    }
}

fn is_event(format: &Format) -> bool {
    matches!(format.payload, Payload::TelephoneEvent { .. })
}

/// The digit of an INFO's body. None if it has none (a flash of the hook, rubbish).
fn pressed(content_type: &str, body: &[u8]) -> Option<Pressed> {
    let text = std::str::from_utf8(body).ok()?;
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let signal = match value("Signal") {
        Some(signal) => signal,
        None if content_type == PLAIN => text.trim(),
        None => return None,
    };
    let duration = value("Duration").and_then(|text| text.parse::<u16>().ok());
    let duration = duration.unwrap_or(DURATION_MS);
    let duration_ms = duration.clamp(*DURATIONS_MS.start(), *DURATIONS_MS.end());
    Some((digit_of(signal)?, duration_ms))
}

/// A character, or the number of a telephone event from 10 on (`10` is the star).
fn digit_of(signal: &str) -> Option<Digit> {
    let mut characters = signal.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => Digit::from_char(only),
        _ => Digit::from_event(signal.parse().ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, body: &str) -> Option<(char, u16)> {
        pressed(content_type, body.as_bytes()).map(|(digit, duration)| (digit.symbol(), duration))
    }

    #[test]
    fn digits_are_read_as_telephones_write_them() {
        for (body, expected) in [
            ("Signal=5\r\nDuration=160\r\n", ('5', 160)),
            ("Signal= 5\nDuration= 250", ('5', 250)),
            ("signal=*\r\nduration=10\r\n", ('*', 40)),
            ("Signal=11\r\n", ('#', 160)),
            ("Signal=d\r\nDuration=60000\r\n", ('D', 6_000)),
            ("Duration=99999999\r\nSignal=0", ('0', 160)),
        ] {
            assert_eq!(read(RELAY, body), Some(expected), "{body:?}");
        }
        for (body, expected) in [("7", '7'), (" # \r\n", '#'), ("10", '*'), ("Signal=3", '3')] {
            assert_eq!(read(PLAIN, body), Some((expected, 160)), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_digit_is_none() {
        for body in [
            "",
            "Signal=",
            "Signal=16",
            "Signal=!",
            "Signal=x",
            "5",
            "Signal=55",
            "=5",
            "Signal=-1",
        ] {
            assert_eq!(read(RELAY, body), None, "{body:?}");
        }
        assert_eq!(read(PLAIN, "hello"), None);
        assert_eq!(pressed(RELAY, b"Signal=\xff"), None);
    }
}
