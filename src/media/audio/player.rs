//! A clip on its way to a leg's peer.

use super::block::Block;
use crate::link::{ClipHandle, PlayId, PlayMode};

/// See the module's comment.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) play: PlayId,
    clip: ClipHandle,
    mode: PlayMode,
    /// The sample that is heard next.
    position: usize,
}

impl Player {
    /// Begins to play. None if there is nothing to hear.
    pub(super) fn new(play: PlayId, clip: ClipHandle, mode: PlayMode) -> Option<Player> {
        (!clip.0.samples.is_empty()).then_some(Player {
            play,
            clip,
            mode,
            position: 0,
        })
    }

    /// The next 10 ms; None at the end. `tick` counts the ticks of the worker: by it all who share a clip hear it at
    /// one place.
    pub(super) fn next(&mut self, tick: u64) -> Option<Block> {
        let samples = &self.clip.0.samples;
        let mut block = Block::silence(self.clip.0.rate);
        let into = block.samples_mut();
        match self.mode {
            PlayMode::Once => {
                let rest = samples
                    .get(self.position..)
                    .filter(|rest| !rest.is_empty())?;
                let len = rest.len().min(into.len());
                into[..len].copy_from_slice(&rest[..len]);
                self.position += len;
            }
            PlayMode::Loop => self.position = copy_around(samples, self.position, into),
            PlayMode::Shared => {
                let played = tick.wrapping_mul(into.len() as u64);
                copy_around(samples, (played % samples.len() as u64) as usize, into);
            }
        }
        Some(block)
    }
}

/// Fills `into` from a place on, going back to the beginning at the end; where it goes on.
fn copy_around(samples: &[i16], from: usize, into: &mut [i16]) -> usize {
    let mut position = from;
    let mut filled = 0;
    while filled < into.len() {
        let len = (samples.len() - position).min(into.len() - filled);
        into[filled..filled + len].copy_from_slice(&samples[position..position + len]);
        filled += len;
        position = (position + len) % samples.len();
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Rate;
    use crate::link::Clip;
    use std::sync::Arc;

    fn clip(len: i16) -> ClipHandle {
        ClipHandle(Arc::new(Clip {
            rate: Rate::Narrow,
            samples: (0..len).collect(),
        }))
    }

    fn player(len: i16, mode: PlayMode) -> Player {
        Player::new(PlayId(1), clip(len), mode).expect("not empty")
    }

    #[test]
    fn once_ends_with_the_last_sample() {
        let mut player = player(100, PlayMode::Once);
        assert_eq!(player.next(0).expect("a block").samples()[79], 79);
        let last = player.next(1).expect("a block");
        assert_eq!((last.samples()[19], last.samples()[20]), (99, 0));
        assert!(player.next(2).is_none());
    }

    #[test]
    fn a_loop_has_no_seam() {
        let mut player = player(30, PlayMode::Loop);
        let mut expected = (0..30).cycle();
        for tick in 0..10 {
            for sample in player.next(tick).expect("a block").samples() {
                assert_eq!(Some(*sample), expected.next());
            }
        }
    }

    #[test]
    fn all_who_share_hear_the_same() {
        let mut early = player(1_000, PlayMode::Shared);
        for tick in 0..50 {
            early.next(tick);
        }
        let mut late = player(1_000, PlayMode::Shared);
        assert_eq!(
            early.next(50).expect("a block").samples(),
            late.next(50).expect("a block").samples()
        );
        assert_eq!(
            late.next(50).expect("a block").samples()[0],
            0,
            "50 blocks are 4,000 samples"
        );
    }

    #[test]
    fn an_empty_clip_is_not_played() {
        assert!(Player::new(PlayId(1), clip(0), PlayMode::Loop).is_none());
    }
}
