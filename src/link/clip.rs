//! Audio that is played: decoded once outside the workers, shared by all who play it.

pub use crate::codec::Rate;
use std::sync::Arc;

/// A prompt, a tone or a piece of music: linear samples.
///
/// A worker only borrows it: whoever loaded it keeps a handle of its own while others exist, so that memory is never
/// given back on a worker's thread.
#[derive(Debug)]
pub struct Clip {
    /// Of the samples.
    pub rate: Rate,
    /// 16-bit linear samples of one channel.
    pub samples: Box<[i16]>,
}

/// A handle of a [`Clip`]. Two are equal if they are of one clip.
#[derive(Clone, Debug)]
pub struct ClipHandle(pub Arc<Clip>);

impl PartialEq for ClipHandle {
    fn eq(&self, other: &ClipHandle) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How a clip is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayMode {
    /// From its beginning to its end, then [`super::Event::Played`].
    Once,
    /// From its beginning, over and over, until it is stopped: a tone with its cadence.
    Loop,
    /// Over and over from where everybody else hears it: music on hold.
    Shared,
}

/// Names one playing, for [`super::Event::Played`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlayId(pub u32);
