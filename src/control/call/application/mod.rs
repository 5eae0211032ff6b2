//! An application that has the caller's audio, while the dialplan waits for it.
//!
//! ```text
//!  Ready ──► Attending ──its sounds, digits, time or recording are over──► Ready
//!                └── the caller hangs up ──► Ending
//! ```
//!
//! A caller without an answer is answered first, unless the application says otherwise; then it hears early media (183).
//! Where there is nothing to hear it by (no offer to answer, no codec that we code), the dialplan goes on at once.
//!
//! | file | concept |
//! |---|---|
//! | `audio` | announcements, tones and music that a leg hears |
//! | `player` | what is played to a leg now |
//! | `pressing` | digits that the caller presses, and those that are sent to it |
//! | `reading` | Read: digits into a variable |
//! | `recording` | MixMonitor, Record |
//! | `conferring` | ConfBridge |
//! | `paging` | Page |

mod audio;
pub(super) mod conferring;
pub mod paging;
pub(super) mod player;
mod pressing;
mod reading;
pub(super) mod recording;

use super::leg::LegState;
use super::media::LegMedia;
use super::{Call, LegNo, Phase};
use crate::control::context::{CallTimer, Context, Timer};
use crate::control::dialplan::{
    Action, AudioAction, BackgroundRequest, DigitsRequest, Unanswered, WaitRequest,
};
use crate::control::sounds::Sound;
use crate::link::Digit;
use crate::sip::timer::TimerId;
use reading::Reading;
use recording::Taking;
use std::time::{Duration, Instant};

/// An application that took less than this has not waited: a loop of such ends at
/// [`STEPS_MAX`](crate::control::dialplan::STEPS_MAX).
const WAIT_MIN: Duration = Duration::from_millis(100);

/// See the module's comment.
pub(super) struct Attending {
    pub(super) application: Application,
    since: Instant,
    /// Ends it, or its next part.
    timer: Option<TimerId>,
}

/// Which one it is.
pub(super) enum Application {
    /// It ends with what is played.
    Playback,
    /// It ends with its time, or the call.
    Music,
    /// It ends with what is played, or with a digit.
    Background(BackgroundRequest),
    /// An extension is pressed.
    Pressing(Pressing),
    /// Digits are read into a variable.
    Read(Box<Reading>),
    /// The caller is recorded.
    Record(Box<Taking>),
    /// Digits are sent.
    Sending(Sending),
    /// It is in a room.
    Conference,
}

/// An extension, as far as it was pressed.
pub(super) struct Pressing {
    pub(super) digits: String,
    /// Where it is one; None for the channel's context.
    pub(super) context: Option<String>,
}

/// Digits on their way to the caller.
pub(super) struct Sending {
    pub(super) request: DigitsRequest,
    /// So many have gone.
    pub(super) sent: usize,
}

/// Whether a caller can be played something.
pub(super) enum Audible {
    Now,
    /// When its ACK or PRACK has come.
    Later,
    Never,
    /// The call has ended over it.
    Ended,
}

impl Attending {
    /// Nothing is left to wait for.
    pub(super) fn stop(&self, ctx: &mut Context) {
        if let Some(timer) = self.timer {
            ctx.timers.cancel(timer);
        }
    }
}

impl Call {
    /// Does what an application asks.
    pub(super) fn audio(&mut self, ctx: &mut Context, now: Instant, action: AudioAction) {
        let audible = match need_of(&action) {
            Need::Nothing => Audible::Now,
            Need::Audio => self.audible_as_is(),
            Need::Caller(unanswered) => self.audible(ctx, now, unanswered),
        };
        match audible {
            Audible::Now => self.begin_audio(ctx, now, action),
            Audible::Later => {
                let then = Some(Action::Audio(action));
                self.phase = Phase::AwaitingAck { then };
            }
            Audible::Never => self.skip_audio(&action),
            Audible::Ended => {}
        }
    }

    fn begin_audio(&mut self, ctx: &mut Context, now: Instant, action: AudioAction) {
        match action {
            AudioAction::Playback(request) => {
                let files = request.files.into_iter().map(Sound::File);
                self.play_to_caller(ctx, files.collect(), None);
                self.attend(ctx, now, Application::Playback, None);
            }
            AudioAction::Background(request) => {
                let files = request.files.iter().cloned().map(Sound::File);
                self.play_to_caller(ctx, files.collect(), request.language.as_deref());
                self.attend(ctx, now, Application::Background(request), None);
            }
            AudioAction::WaitExten(request) => self.wait_for_extension(ctx, now, request),
            AudioAction::Read(request) => self.read(ctx, now, Reading::new(request)),
            AudioAction::Record(request) => self.record(ctx, now, request),
            AudioAction::StartMonitor(request) => self.start_monitor(ctx, &request),
            AudioAction::StopMonitor(number) => self.caller.stop_monitors(ctx, number),
            AudioAction::SendDigits(request) => {
                self.send_digits(ctx, now, Sending { request, sent: 0 });
            }
            AudioAction::Music { class, time } => {
                self.play_music(ctx, class);
                self.attend(ctx, now, Application::Music, time);
            }
            AudioAction::StartMusic(class) => self.play_music(ctx, class),
            AudioAction::StartTone(tone) => self.sound_tone(ctx, &tone),
            AudioAction::Stop => self.hush_caller(ctx),
        }
    }

    fn wait_for_extension(&mut self, ctx: &mut Context, now: Instant, request: WaitRequest) {
        if let Some(class) = request.music {
            self.play_music(ctx, Some(class).filter(|class| !class.is_empty()));
        }
        let pressing = Pressing {
            digits: String::new(),
            context: None,
        };
        let time = request.time.unwrap_or(pressing::FIRST_DIGIT);
        self.attend(ctx, now, Application::Pressing(pressing), Some(time));
    }

    /// What an application leaves that cannot be heard.
    fn skip_audio(&mut self, action: &AudioAction) {
        let was_asked = matches!(need_of(action), Need::Caller(Unanswered::Skip));
        match action {
            AudioAction::Playback(_) | AudioAction::Background(_) => {
                self.set_playback_status(was_asked);
            }
            AudioAction::Read(request) => {
                let status = if was_asked { "SKIPPED" } else { "ERROR" };
                self.set_read(&request.variable, "", status);
            }
            AudioAction::Record(_) => {
                self.set_record_status(if was_asked { "SKIP" } else { "ERROR" });
            }
            _ => tracing::info!(call = self.id, "nothing is played: the caller has no audio"),
        }
    }

    pub(super) fn audible(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        unanswered: Unanswered,
    ) -> Audible {
        match (unanswered, &self.caller.state) {
            (Unanswered::Skip, LegState::Asked(_)) => Audible::Never,
            (Unanswered::Early, _) => self.audible_early(ctx, now),
            (Unanswered::Skip | Unanswered::Answer, _) => self.audible_answered(ctx, now),
        }
    }

    /// Answers the caller.
    fn audible_answered(&mut self, ctx: &mut Context, now: Instant) -> Audible {
        if !self.answer_alone_now(ctx, now) {
            return Audible::Ended;
        }
        match &self.caller.state {
            LegState::Unacked {
                offered: Some(_), ..
            }
            | LegState::Asked(_) => Audible::Later,
            _ => self.audible_as_is(),
        }
    }

    /// Gives a caller without an answer early media.
    pub(super) fn audible_early(&mut self, ctx: &mut Context, now: Instant) -> Audible {
        if let LegState::Asked(_) = self.caller.state {
            if self.open_caller_media(ctx, now, 2).is_err() {
                return Audible::Never;
            }
            self.progress_caller(ctx, now, None);
            self.join(ctx);
        }
        self.audible_as_is()
    }

    fn audible_as_is(&self) -> Audible {
        match self.caller.media().is_some_and(LegMedia::is_agreed) {
            true => Audible::Now,
            false => Audible::Never,
        }
    }

    /// The dialplan waits for this, and for so long.
    pub(super) fn attend(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        application: Application,
        time: Option<Duration>,
    ) {
        let timer = time.map(|time| {
            let timer = Timer::Call(self.key, CallTimer::Pause);
            ctx.timers.arm(now, now + time, timer)
        });
        self.phase = Phase::Attending(Attending {
            application,
            since: now,
            timer,
        });
        self.transferee_arrived(ctx, now);
    }

    /// Takes the application away, whose timer has stopped; the dialplan goes on unless it is put back.
    pub(super) fn take_application(
        &mut self,
        ctx: &mut Context,
        now: Instant,
    ) -> Option<Application> {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Attending(attending) => {
                attending.stop(ctx);
                if now.saturating_duration_since(attending.since) >= WAIT_MIN {
                    self.execution.has_waited();
                }
                Some(attending.application)
            }
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// The time of an application is over.
    pub(super) fn on_application_due(&mut self, ctx: &mut Context, now: Instant) {
        let Some(application) = self.take_application(ctx, now) else {
            return;
        };
        match application {
            Application::Music => self.hush_caller(ctx),
            Application::Pressing(pressing) => {
                self.hush_caller(ctx);
                if pressing.digits.is_empty() {
                    self.execution.none_pressed();
                } else {
                    self.enter_pressed(&pressing);
                }
            }
            Application::Read(reading) => self.on_read_due(ctx, now, *reading),
            Application::Record(taking) => self.on_record_due(ctx, now, taking),
            Application::Sending(sending) => self.send_digits(ctx, now, sending),
            Application::Playback | Application::Background(_) | Application::Conference => {}
        }
    }

    /// What an application plays to the caller has come to its end; so many sounds were missing.
    pub(super) fn on_programme_over(&mut self, ctx: &mut Context, now: Instant, missing: usize) {
        // Music beside the others is nothing that they wait for.
        let is_awaited = match &self.phase {
            Phase::Attending(attending) => match &attending.application {
                Application::Pressing(_) | Application::Sending(_) | Application::Conference => {
                    false
                }
                Application::Record(taking) => taking.is_beeping(),
                _ => true,
            },
            _ => false,
        };
        if !is_awaited {
            return;
        }
        match self.take_application(ctx, now) {
            Some(Application::Playback | Application::Background(_)) => {
                self.set_playback_status(missing == 0);
            }
            Some(Application::Read(reading)) => self.on_prompt_over(ctx, now, reading),
            Some(Application::Record(taking)) => self.take_down(ctx, now, taking),
            _ => {}
        }
    }

    /// A digit of the caller's.
    pub(super) fn digit_for_application(&mut self, ctx: &mut Context, now: Instant, digit: Digit) {
        let Phase::Attending(attending) = &self.phase else {
            return;
        };
        let is_meant = match &attending.application {
            Application::Background(request) => self.interrupts(request, digit),
            Application::Record(taking) => taking.ends_with(digit),
            Application::Pressing(_) | Application::Read(_) => true,
            Application::Playback
            | Application::Music
            | Application::Sending(_)
            | Application::Conference => false,
        };
        if !is_meant {
            return;
        }
        match self.take_application(ctx, now) {
            Some(Application::Background(request)) => {
                let pressing = Pressing {
                    digits: String::new(),
                    context: request.context,
                };
                self.press(ctx, now, pressing, digit);
            }
            Some(Application::Pressing(pressing)) => self.press(ctx, now, pressing, digit),
            Some(Application::Read(reading)) => self.digit_for_read(ctx, now, reading, digit),
            Some(Application::Record(taking)) => self.end_record(ctx, now, taking, "DTMF"),
            _ => {}
        }
    }

    /// The caller's leg is no longer the application's: the call ends.
    pub(super) fn leave_application(&mut self, ctx: &mut Context) {
        let Phase::Attending(attending) = &self.phase else {
            return;
        };
        attending.stop(ctx);
        match &attending.application {
            Application::Read(reading) => {
                let (variable, typed) = (reading.variable().to_owned(), reading.typed().to_owned());
                self.set_read(&variable, &typed, "HANGUP");
            }
            Application::Record(taking) => {
                taking.hung_up();
                self.set_record_status("HANGUP");
            }
            _ => {}
        }
    }

    /// Whether this leg's digits are an application's.
    pub(super) fn takes_digits(&self, no: LegNo) -> bool {
        let Phase::Attending(attending) = &self.phase else {
            return false;
        };
        no == self.caller.no
            && match &attending.application {
                Application::Background(_)
                | Application::Pressing(_)
                | Application::Read(_)
                | Application::Record(_) => true,
                Application::Playback
                | Application::Music
                | Application::Sending(_)
                | Application::Conference => false,
            }
    }
}

/// What an application needs of the caller.
enum Need {
    Nothing,
    /// That it has audio, if it has.
    Audio,
    /// That it has audio, whatever has to be done to one without an answer.
    Caller(Unanswered),
}

fn need_of(action: &AudioAction) -> Need {
    match action {
        AudioAction::Playback(request) => Need::Caller(request.unanswered),
        AudioAction::Background(request) => Need::Caller(request.unanswered),
        AudioAction::Read(request) => Need::Caller(request.unanswered),
        AudioAction::Record(request) => Need::Caller(request.unanswered),
        AudioAction::Music { .. } => Need::Caller(Unanswered::Early),
        AudioAction::WaitExten(_)
        | AudioAction::SendDigits(_)
        | AudioAction::StartMusic(_)
        | AudioAction::StartTone(_) => Need::Audio,
        AudioAction::StartMonitor(_) | AudioAction::StopMonitor(_) | AudioAction::Stop => {
            Need::Nothing
        }
    }
}
