//! The legs of a worker by slot.

use super::audio::AudioIndex;
use super::leg::Leg;
use super::seam::LegSlot;

/// A pointer a slot; a leg's memory comes with its opening and goes with its closing.
pub(super) struct Legs(Vec<Option<Box<Leg>>>);

impl Legs {
    /// So many slots, all closed.
    pub(super) fn new(slots: usize) -> Legs {
        let mut legs = Vec::new();
        legs.resize_with(slots, || None);
        Legs(legs)
    }

    #[inline]
    pub(super) fn get(&self, slot: LegSlot) -> Option<&Leg> {
        self.0.get(usize::from(slot.0))?.as_deref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: LegSlot) -> Option<&mut Leg> {
        self.0.get_mut(usize::from(slot.0))?.as_deref_mut()
    }

    /// The place of the leg's audio, if it has any.
    #[inline]
    pub(super) fn audio(&self, slot: LegSlot) -> Option<AudioIndex> {
        self.get(slot)?.audio
    }

    /// Puts a leg into its slot.
    pub(super) fn insert(&mut self, slot: LegSlot, leg: Leg) {
        self.0[usize::from(slot.0)] = Some(Box::new(leg));
    }

    /// Takes a leg out of its slot.
    pub(super) fn take(&mut self, slot: LegSlot) -> Option<Box<Leg>> {
        self.0.get_mut(usize::from(slot.0))?.take()
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> usize {
        self.0.len()
    }
}
