//! Legs that hear each other: each hears all but itself.

use super::block::{Block, RateChanger, WIDE};
use crate::codec::Rate;
use crate::link::RoomId;
use crate::media::seam::LegSlot;

/// Most legs of a room.
pub(super) const MEMBERS_MAX: usize = RoomId::LEGS_MAX;

/// See the module's comment.
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) members: Vec<Member>,
}

/// A leg in a room.
pub(super) struct Member {
    pub(super) slot: LegSlot,
    pub(super) talks: bool,
    pub(super) hears: bool,
    rates: RateChanger,
    /// What it says in this tick, at the room's rate.
    said: Option<Block>,
}

impl Room {
    pub(super) fn new(id: RoomId) -> Room {
        Room {
            id,
            members: Vec::new(),
        }
    }

    /// Takes a leg in. False if the room is full.
    pub(super) fn join(&mut self, slot: LegSlot, talks: bool, hears: bool) -> bool {
        self.leave(slot);
        let has_room = self.members.len() < MEMBERS_MAX;
        if has_room {
            self.members.push(Member {
                slot,
                talks,
                hears,
                rates: RateChanger::default(),
                said: None,
            });
        }
        has_room
    }

    /// Lets a leg go.
    pub(super) fn leave(&mut self, slot: LegSlot) {
        self.members.retain(|member| member.slot != slot);
    }

    /// Mixes a tick. `said` gives what a leg says, `hear` takes what it hears. Of those who only listen nothing is asked,
    /// so nothing of theirs is decoded.
    pub(super) fn mix(
        &mut self,
        rate: Rate,
        said: impl Fn(LegSlot) -> Option<Block>,
        mut hear: impl FnMut(LegSlot, &Block),
    ) {
        let mut sum = [0_i32; WIDE];
        for member in &mut self.members {
            let block = if member.talks {
                said(member.slot)
            } else {
                None
            };
            member.said = block.map(|block| member.rates.run(&block, rate));
            if let Some(block) = &member.said {
                for (sum, sample) in sum.iter_mut().zip(block.samples()) {
                    *sum += i32::from(*sample);
                }
            }
        }
        let everybody = limited(rate, &sum, None);
        for member in self.members.iter().filter(|member| member.hears) {
            match &member.said {
                Some(own) => hear(member.slot, &limited(rate, &sum, Some(own))),
                None => hear(member.slot, &everybody),
            }
        }
    }
}

/// The sum without one's own part, limited at full scale.
fn limited(rate: Rate, sum: &[i32; WIDE], own: Option<&Block>) -> Block {
    let mut block = Block::silence(rate);
    for (at, sample) in block.samples_mut().iter_mut().enumerate() {
        let own = own.map_or(0, |own| i32::from(own.samples()[at]));
        *sample = (sum[at] - own).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(value: i16) -> Block {
        let mut block = Block::silence(Rate::Narrow);
        block.samples_mut().fill(value);
        block
    }

    fn mixed(room: &mut Room, said: &[Option<i16>]) -> Vec<(u16, i16)> {
        let mut heard = Vec::new();
        room.mix(
            Rate::Narrow,
            |slot| said[usize::from(slot.0)].map(block),
            |slot, block| heard.push((slot.0, block.samples()[40])),
        );
        heard
    }

    #[test]
    fn each_hears_all_but_itself() {
        let mut room = Room::new(RoomId(1));
        for slot in 0..4 {
            assert!(room.join(LegSlot(slot), slot != 3, slot != 2));
        }
        let heard = mixed(&mut room, &[Some(100), Some(20), Some(3), Some(9_999)]);
        assert_eq!(heard, [(0, 23), (1, 103), (3, 123)]);
        let heard = mixed(&mut room, &[None, Some(20), None, None]);
        assert_eq!(heard, [(0, 20), (1, 0), (3, 20)]);
    }

    #[test]
    fn the_loud_are_limited_and_not_wrapped() {
        let mut room = Room::new(RoomId(1));
        for slot in 0..4 {
            room.join(LegSlot(slot), true, true);
        }
        let loud = [Some(30_000), Some(30_000), Some(30_000), Some(-5)];
        assert_eq!(mixed(&mut room, &loud)[3], (3, i16::MAX));
        // Taken out of the whole sum, not of the limited one.
        assert_eq!(
            mixed(&mut room, &[Some(30_000), Some(30_000), None, None])[0],
            (0, 30_000)
        );
    }

    #[test]
    fn a_full_room_takes_nobody_in() {
        let mut room = Room::new(RoomId(1));
        for slot in 0..64 {
            assert!(room.join(LegSlot(slot), true, true));
        }
        assert!(!room.join(LegSlot(64), true, true));
        assert!(room.join(LegSlot(3), true, false), "it is in there already");
        room.leave(LegSlot(9));
        assert!(room.join(LegSlot(64), true, true));
    }
}
