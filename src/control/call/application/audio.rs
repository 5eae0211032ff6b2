//! What a leg hears of our own, whichever application plays it: sounds, tones, ringing of an answered caller, music of who
//! is on hold.

use super::Audible;
use super::player::{Played, Programme};
use crate::config::settings::MUSIC_CLASS_DEFAULT;
use crate::control::call::leg::Leg;
use crate::control::call::media::LegMedia;
use crate::control::call::{Call, LegNo, Phase, Side};
use crate::control::context::Context;
use crate::control::sounds::{Sound, SoundAnswer};
use crate::link::PlayId;
use std::time::Instant;

impl Call {
    /// Sounds that were asked for have been found, or not.
    pub fn on_sounds(&mut self, ctx: &mut Context, now: Instant, no: LegNo, answer: SoundAnswer) {
        if let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) {
            let played = media.on_sounds(ctx, answer);
            self.on_progress(ctx, now, no, played);
        }
        self.advance(ctx, now);
    }

    /// A clip is over.
    pub(in crate::control::call) fn on_played(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        no: LegNo,
        play: PlayId,
    ) {
        if let Some(media) = self.leg_mut(no).and_then(Leg::media_mut) {
            let played = media.on_played(ctx, play);
            self.on_progress(ctx, now, no, played);
        }
    }

    fn on_progress(&mut self, ctx: &mut Context, now: Instant, no: LegNo, played: Played) {
        if let Played::Over { missing } = played
            && no == self.caller.no
        {
            self.on_programme_over(ctx, now, missing);
        }
    }

    pub(super) fn set_playback_status(&mut self, is_good: bool) {
        let status = if is_good { "SUCCESS" } else { "FAILED" };
        self.execution
            .set_variable("PLAYBACKSTATUS", String::from(status));
    }

    /// The caller hears a tone of its zone, or one as written, until something else is played or it is joined.
    pub(in crate::control::call) fn sound_tone(&mut self, ctx: &mut Context, tone: &str) {
        let tone = Sound::Tone {
            zone: self.facts.manner.tone_zone.clone(),
            tone: tone.to_owned(),
        };
        self.play_to_caller(ctx, vec![tone], None);
    }

    /// An answered caller hears that others ring.
    pub(in crate::control::call) fn sound_ringing(&mut self, ctx: &mut Context) {
        let is_idle = |media: &LegMedia| media.is_agreed() && !media.is_playing();
        if self.caller.media().is_some_and(is_idle) {
            self.sound_tone(ctx, "ring");
        }
    }

    /// The caller hears music while others ring: early media, if it has no answer.
    pub(in crate::control::call) fn entertain(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        class: &str,
    ) {
        match self.audible_early(ctx, now) {
            Audible::Now => {
                let class = (!class.is_empty()).then(|| class.to_owned());
                self.play_music(ctx, class);
            }
            _ => self.ring_caller(ctx, now),
        }
    }

    pub(super) fn play_music(&mut self, ctx: &mut Context, class: Option<String>) {
        let class = class.or_else(|| self.facts.manner.music_class.clone());
        let class = class.unwrap_or_else(|| MUSIC_CLASS_DEFAULT.to_owned());
        self.play_to_caller(ctx, vec![Sound::Music(class)], None);
    }

    /// Plays sounds to the caller, in a language if not in its own.
    pub(super) fn play_to_caller(
        &mut self,
        ctx: &mut Context,
        sounds: Vec<Sound>,
        language: Option<&str>,
    ) {
        let mut programme = self.programme(sounds);
        if let Some(language) = language {
            language.clone_into(&mut programme.language);
        }
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
    pub(in crate::control::call) fn hush_caller(&mut self, ctx: &mut Context) {
        if let Some(media) = self.caller.media_mut() {
            media.stop_playing(ctx);
        }
    }

    /// Of two that are joined, who is on hold hears music, and nobody else is played anything.
    pub(in crate::control::call) fn settle_music(&mut self, ctx: &mut Context) {
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
        // A fax has no sound to be played.
        let hears = held.fax().is_none() && held.peer_direction().receives();
        let suggested = || self.setup.endpoint(holder.endpoint).moh_suggest.clone();
        (is_held && hears).then(|| own.unwrap_or_else(suggested))
    }
}
