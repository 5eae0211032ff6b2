//! The applications that need the caller's audio, and what a leg hears of our own besides them: ringing of an answered
//! caller, music of who is on hold.
//!
//! ```text
//!  Ready ──Playback──► Attending ──the last Played──► Ready
//!                          └── the caller hangs up ──► Ending
//! ```
//!
//! A caller without an answer is answered first, unless the application says otherwise; then it hears early media (183).
//! Where there is nothing to hear it by (no offer to answer, no codec that we code), the dialplan goes on at once.

use super::leg::{Leg, LegState};
use super::media::LegMedia;
use super::player::{Played, Programme};
use super::{Call, LegNo, Phase, Side};
use crate::config::settings::MUSIC_CLASS_DEFAULT;
use crate::control::context::{CallTimer, Context, Timer};
use crate::control::dialplan::{Action, AudioAction, PlaybackRequest};
use crate::control::sounds::{Sound, SoundAnswer};
use crate::link::PlayId;
use crate::sip::timer::TimerId;
use std::time::{Duration, Instant};

/// An application that took less than this has not waited: a loop of such ends at
/// [`STEPS_MAX`](crate::control::dialplan::STEPS_MAX).
const WAIT_MIN: Duration = Duration::from_millis(100);

/// An application that the dialplan waits for.
pub(super) struct Attending {
    application: Application,
    since: Instant,
    /// Ends it, or its next part.
    timer: Option<TimerId>,
}

/// Which one it is.
enum Application {
    /// It ends with what is played.
    Playback,
    /// It ends with its time, or the call.
    Music,
}

/// Whether a caller can be played something.
enum Audible {
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
        let audible = match &action {
            AudioAction::Playback(request) => self.audible_for_playback(ctx, now, request),
            AudioAction::Music { .. } => self.audible_early(ctx, now),
            AudioAction::StartMusic(_) | AudioAction::StartTone(_) | AudioAction::Stop => {
                self.audible_as_is()
            }
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
                self.play_to_caller(ctx, files.collect());
                self.attend(ctx, now, Application::Playback, None);
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

    /// What an application leaves that cannot be heard.
    fn skip_audio(&mut self, action: &AudioAction) {
        match action {
            AudioAction::Playback(request) => self.set_playback_status(request.skip),
            AudioAction::Music { .. } | AudioAction::StartMusic(_) | AudioAction::StartTone(_) => {
                tracing::info!(
                    call = self.id,
                    "nothing is played: the caller has no audio yet"
                );
            }
            AudioAction::Stop => {}
        }
    }

    fn audible_for_playback(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        request: &PlaybackRequest,
    ) -> Audible {
        let is_answered = !matches!(self.caller.state, LegState::Asked(_));
        if request.skip && !is_answered {
            Audible::Never
        } else if request.noanswer {
            self.audible_early(ctx, now)
        } else {
            self.audible_answered(ctx, now)
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
    fn audible_early(&mut self, ctx: &mut Context, now: Instant) -> Audible {
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

    fn attend(
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
    }

    /// The time of an application is over.
    pub(super) fn on_application_due(&mut self, ctx: &mut Context) {
        if let Phase::Attending(Attending {
            application: Application::Music,
            ..
        }) = self.phase
        {
            self.hush_caller(ctx);
            self.execution.has_waited();
            self.phase = Phase::Ready;
        }
    }

    /// Sounds that were asked for have been found, or not.
    pub fn on_sounds(&mut self, ctx: &mut Context, now: Instant, no: LegNo, answer: SoundAnswer) {
        if let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) {
            let played = media.on_sounds(ctx, answer);
            self.on_progress(ctx, now, no, played);
        }
        self.advance(ctx, now);
    }

    /// A clip is over.
    pub(super) fn on_played(&mut self, ctx: &mut Context, now: Instant, no: LegNo, play: PlayId) {
        if let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) {
            let played = media.on_played(ctx, play);
            self.on_progress(ctx, now, no, played);
        }
    }

    fn on_progress(&mut self, ctx: &mut Context, now: Instant, no: LegNo, played: Played) {
        let (Played::Over { missing, .. }, Phase::Attending(attending)) = (played, &self.phase)
        else {
            return;
        };
        if no != self.caller.no {
            return;
        }
        if now.saturating_duration_since(attending.since) >= WAIT_MIN {
            self.execution.has_waited();
        }
        attending.stop(ctx);
        if let Application::Playback = attending.application {
            self.set_playback_status(missing == 0);
        }
        self.phase = Phase::Ready;
    }

    fn set_playback_status(&mut self, is_good: bool) {
        let status = if is_good { "SUCCESS" } else { "FAILED" };
        self.execution
            .set_variable("PLAYBACKSTATUS", String::from(status));
    }

    /// The caller hears a tone of its zone, or one as written, until something else is played or it is joined.
    pub(super) fn sound_tone(&mut self, ctx: &mut Context, tone: &str) {
        let tone = Sound::Tone {
            zone: self.facts.manner.tone_zone.clone(),
            tone: tone.to_owned(),
        };
        self.play_to_caller(ctx, vec![tone]);
    }

    /// An answered caller hears that others ring.
    pub(super) fn sound_ringing(&mut self, ctx: &mut Context) {
        let is_idle = |media: &LegMedia| media.is_agreed() && !media.is_playing();
        if self.caller.media().is_some_and(is_idle) {
            self.sound_tone(ctx, "ring");
        }
    }

    /// The caller hears music while others ring: early media, if it has no answer.
    pub(super) fn entertain(&mut self, ctx: &mut Context, now: Instant, class: &str) {
        match self.audible_early(ctx, now) {
            Audible::Now => {
                let class = (!class.is_empty()).then(|| class.to_owned());
                self.play_music(ctx, class);
            }
            _ => self.ring_caller(ctx, now),
        }
    }

    fn play_music(&mut self, ctx: &mut Context, class: Option<String>) {
        let class = class.or_else(|| self.facts.manner.music_class.clone());
        let class = class.unwrap_or_else(|| MUSIC_CLASS_DEFAULT.to_owned());
        self.play_to_caller(ctx, vec![Sound::Music(class)]);
    }

    fn play_to_caller(&mut self, ctx: &mut Context, sounds: Vec<Sound>) {
        let programme = self.programme(sounds);
        if let Some(media) = self.caller.media_mut().filter(|media| media.is_agreed()) {
            media.play(ctx, programme);
        }
    }

    fn programme(&self, sounds: Vec<Sound>) -> Programme {
        Programme {
            sounds,
            language: self.facts.manner.language.clone(),
            library: self.setup.settings().sounds.clone(),
        }
    }

    /// The caller is played nothing.
    pub(super) fn hush_caller(&mut self, ctx: &mut Context) {
        if let Some(media) = self.caller.media_mut() {
            media.stop_playing(ctx);
        }
    }

    /// Of two that are joined, who is on hold hears music, and nobody else is played anything.
    pub(super) fn settle_music(&mut self, ctx: &mut Context) {
        let sides = match self.phase {
            Phase::Bridged { .. } => &[Side::Caller, Side::Callee][..],
            _ => &[Side::Caller],
        };
        for side in sides.iter().copied() {
            let class = self.music_on_hold(side);
            let programme = class.map(|class| self.programme(vec![Sound::Music(class)]));
            let no = self.number_of(side);
            let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) else {
                continue;
            };
            match programme {
                Some(programme) if !media.is_playing() => media.play(ctx, programme),
                Some(_) => {}
                None => media.stop_playing(ctx),
            }
        }
    }

    /// The music of a side that the other one has put on hold: it sends only or not at all, as Asterisk reads it.
    fn music_on_hold(&self, side: Side) -> Option<String> {
        if !matches!(self.phase, Phase::Bridged { .. }) {
            return None;
        }
        let own = match side {
            Side::Caller => self.facts.manner.music_class.clone(),
            Side::Callee => None,
        };
        let held = self.leg(self.number_of(side))?.media()?;
        let holder = self.leg(self.number_of(side.other()))?;
        let is_held = !holder.media()?.peer_direction().receives();
        let suggested = || self.setup.endpoint(holder.endpoint).moh_suggest.clone();
        (is_held && held.peer_direction().receives()).then(|| own.unwrap_or_else(suggested))
    }
}
