//! What control asks of the thread that reads sound files: by [`Output::Sounds`](super::controller::Output::Sounds),
//! answered by [`Controller::handle_sounds`](super::Controller::handle_sounds). Nobody waits for a disk.

use super::controller::Controller;
use crate::config::settings::Sounds;
use crate::link::{ClipHandle, LegId, PlayMode, Rate};
use std::sync::Arc;
use std::time::Instant;

/// Most sounds of one question; a longer list is cut.
pub const SOUNDS_MAX: usize = 128;

/// A sound by its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sound {
    /// An announcement, by its name without an ending (`digits/1`), or by an absolute path.
    File(String),
    /// A tone: one of the zone (`busy`), or as written (`440+480/2000,0/4000`).
    Tone {
        /// Whose tones they are.
        zone: String,
        /// Which, or how it sounds.
        tone: String,
    },
    /// What all listeners of this music class hear.
    Music(String),
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asker {
    /// For this leg.
    pub leg: LegId,
    /// Counts its questions.
    pub number: u32,
}

/// A list of sounds, to be played one after the other.
#[derive(Clone, Debug)]
pub struct SoundQuestion {
    /// Who asks.
    pub asker: Asker,
    /// What, at most [`SOUNDS_MAX`].
    pub sounds: Vec<Sound>,
    /// The language of announcements (`en_US`).
    pub language: String,
    /// Samples a second of the answer.
    pub rate: Rate,
    /// Where sounds are.
    pub library: Arc<Sounds>,
}

/// A sound, ready to be played.
#[derive(Clone, Debug, PartialEq)]
pub struct Track {
    /// Its samples.
    pub clip: ClipHandle,
    /// How it is played.
    pub mode: PlayMode,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct SoundAnswer {
    /// Who has asked.
    pub asker: Asker,
    /// What was found, in order. A tone that begins in another way than it goes on is two.
    pub tracks: Vec<Track>,
    /// How many could not be had; why is in the log.
    pub missing: usize,
}

impl SoundAnswer {
    /// None of it could be had.
    pub fn nothing(question: &SoundQuestion) -> SoundAnswer {
        SoundAnswer {
            asker: question.asker,
            tracks: Vec::new(),
            missing: question.sounds.len(),
        }
    }
}

impl Controller {
    /// The answer to a question. Who has asked may be gone by now, or want something else.
    pub fn handle_sounds(&mut self, now: Instant, answer: SoundAnswer) {
        if let Some((key, no)) = self.owner_of_media(answer.asker.leg, false) {
            self.with_call(now, key, |call, ctx| call.on_sounds(ctx, now, no, answer));
        }
        self.run(now);
    }
}
