//! What a leg's peer is played of our own: announcements, tones, music.
//!
//! ```text
//!  Silent ──play──► Asked ──answer──► Playing ──the last track's Played──► Silent
//!    ▲                └── nothing found ──────────────────────────────────────┤
//!    └───────── stop, another play, another port ─────────────────────────────┘
//! ```
//!
//! What a leg was played can be taken from it and given to one that comes in its place (`Kept`, until its peer hears us): the
//! sound that ran begins again there.
//!
//! Tracks follow each other at the worker's word; a loop ends only by [`LegMedia::stop_playing`] or by something else.

use crate::config::settings::Sounds;
use crate::control::call::media::LegMedia;
use crate::control::context::Context;
use crate::control::controller::Output;
use crate::control::sounds::{Asker, SOUNDS_MAX, Sound, SoundAnswer, SoundQuestion, Track};
use crate::link::{Command, PlayId};
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Player {
    state: State,
    /// Counts questions, playings and recordings.
    number: u32,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Silent,
    /// The sounds are looked for.
    Asked { number: u32, programme: Programme },
    /// They are played.
    Playing {
        play: PlayId,
        current: Track,
        rest: VecDeque<Track>,
        missing: usize,
    },
    /// They are to be played, when the peer hears us.
    Kept(Kept),
}

/// What a leg was played that is no more.
#[derive(Debug)]
pub(in crate::control::call) enum Kept {
    /// It was still looked for.
    Programme(Programme),
    /// What was left of it.
    Tracks {
        /// The first one ran.
        tracks: VecDeque<Track>,
        /// How many sounds were not found.
        missing: usize,
    },
}

/// What sounds to look for, and how.
#[derive(Clone, Debug)]
pub(in crate::control::call) struct Programme {
    /// One after the other.
    pub sounds: Vec<Sound>,
    /// Of announcements.
    pub language: String,
    /// Where they are.
    pub library: Arc<Sounds>,
}

/// What a playing comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Played {
    /// It goes on; or the word was about another one, long replaced.
    GoesOn,
    /// It is over; so many sounds were not found.
    Over {
        /// How many.
        missing: usize,
    },
}

impl Player {
    /// One more number, that nothing else of the leg has.
    pub(super) fn count(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }
}

impl LegMedia {
    /// Plays sounds to the peer, in place of what it is played.
    pub(super) fn play(&mut self, ctx: &mut Context, programme: Programme) {
        self.stop_playing(ctx);
        let rate = self.rate();
        let number = self.player.count();
        let mut sounds = programme.sounds.clone();
        sounds.truncate(SOUNDS_MAX);
        let question = SoundQuestion {
            asker: Asker {
                leg: self.leg,
                number,
            },
            sounds,
            language: programme.language.clone(),
            rate,
            library: programme.library.clone(),
        };
        self.player.state = State::Asked { number, programme };
        ctx.outputs.push_back(Output::Sounds(question));
    }

    /// The peer hears again what it would.
    pub(in crate::control::call) fn stop_playing(&mut self, ctx: &mut Context) {
        if let State::Playing { .. } = std::mem::take(&mut self.player.state) {
            let leg = self.leg;
            ctx.command(self.worker(), Command::StopPlay { leg });
        }
    }

    /// The peer is played nothing any more. With it, what it was played: for [`LegMedia::keep_playing`] of another leg.
    pub(in crate::control::call) fn take_playing(&mut self, ctx: &mut Context) -> Option<Kept> {
        match std::mem::take(&mut self.player.state) {
            State::Silent => None,
            State::Asked { programme, .. } => Some(Kept::Programme(programme)),
            State::Playing {
                current,
                mut rest,
                missing,
                ..
            } => {
                let leg = self.leg;
                ctx.command(self.worker(), Command::StopPlay { leg });
                rest.push_front(current);
                let tracks = rest;
                Some(Kept::Tracks { tracks, missing })
            }
            State::Kept(kept) => Some(kept),
        }
    }

    /// The peer is to be played what another leg was, by the next [`LegMedia::resume_playing`] that finds it able to hear.
    pub(in crate::control::call) fn keep_playing(&mut self, kept: Kept) {
        self.player.state = State::Kept(kept);
    }

    /// Plays what was kept for the peer, if it knows where we are.
    pub(in crate::control::call) fn resume_playing(&mut self, ctx: &mut Context) {
        if !self.is_agreed() || self.is_renewal_due() {
            return;
        }
        match std::mem::take(&mut self.player.state) {
            State::Kept(Kept::Programme(programme)) => self.play(ctx, programme),
            State::Kept(Kept::Tracks {
                mut tracks,
                missing,
            }) => {
                if let Some(first) = tracks.pop_front() {
                    self.begin(ctx, first, tracks, missing);
                }
            }
            other => self.player.state = other,
        }
    }

    /// True if something is played, or will be as soon as it is found.
    pub(in crate::control::call) fn is_playing(&self) -> bool {
        !matches!(self.player.state, State::Silent)
    }

    /// Sounds were found, or not.
    pub(super) fn on_sounds(&mut self, ctx: &mut Context, answer: SoundAnswer) -> Played {
        match &self.player.state {
            State::Asked { number, .. } if *number == answer.asker.number => {}
            _ => return Played::GoesOn,
        }
        let mut rest = VecDeque::from(answer.tracks);
        match rest.pop_front() {
            Some(first) => {
                self.begin(ctx, first, rest, answer.missing);
                Played::GoesOn
            }
            None => {
                self.player.state = State::Silent;
                Played::Over {
                    missing: answer.missing,
                }
            }
        }
    }

    /// A track is over.
    pub(super) fn on_played(&mut self, ctx: &mut Context, id: PlayId) -> Played {
        match std::mem::take(&mut self.player.state) {
            State::Playing {
                play,
                mut rest,
                missing,
                ..
            } if play == id => match rest.pop_front() {
                Some(next) => {
                    self.begin(ctx, next, rest, missing);
                    Played::GoesOn
                }
                None => Played::Over { missing },
            },
            other => {
                self.player.state = other;
                Played::GoesOn
            }
        }
    }

    fn begin(&mut self, ctx: &mut Context, track: Track, rest: VecDeque<Track>, missing: usize) {
        let play = PlayId(self.player.count());
        let command = Command::Play {
            leg: self.leg,
            play,
            clip: track.clip.clone(),
            mode: track.mode,
        };
        ctx.command(self.worker(), command);
        self.player.state = State::Playing {
            play,
            current: track,
            rest,
            missing,
        };
    }
}
