//! Which answers to a nonce have been taken: each nonce count once (RFC 7616 §3.4, §5.5).

/// Nonces remembered. At 10,000 phones that register every minute, each with a nonce of its own, a third are in use.
const SLOTS: usize = 1 << 15;

/// How far behind the highest count a late one may be: requests overtake one another on UDP.
const WINDOW: u32 = 64;

/// What is known of one nonce.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Its serial number; 0 is none's.
    serial: u64,
    highest: u32,
    /// Bit n: the count `highest - n` was taken.
    taken: u64,
}

/// Nonce counts by the serial number of the nonce: a table of fixed size, and nothing to clean up.
///
/// Two nonces whose numbers fall into one slot take it from each other, the newer from the older; what is forgotten so
/// counts as taken, and costs its owner one more challenge. Only an answer with the right password enters the table,
/// so a stranger cannot fill it.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    slots: Box<[Slot]>,
}

impl Replay {
    pub(super) fn new() -> Replay {
        Replay {
            slots: vec![Slot::default(); SLOTS].into(),
        }
    }

    /// Takes an answer. False if it was taken before, or may have been.
    pub(super) fn take(&mut self, serial: u64, count: u32) -> bool {
        // The remainder is below SLOTS.
        let slot = &mut self.slots[(serial % SLOTS as u64) as usize];
        if slot.serial > serial {
            return false;
        }
        if slot.serial < serial {
            *slot = Slot {
                serial,
                highest: count,
                taken: 1,
            };
            return true;
        }
        if count > slot.highest {
            slot.taken = slot.taken.checked_shl(count - slot.highest).unwrap_or(0) | 1;
            slot.highest = count;
            return true;
        }
        let behind = slot.highest - count;
        if behind >= WINDOW || slot.taken & (1 << behind) != 0 {
            return false;
        }
        slot.taken |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn each_count_is_taken_once_in_any_order() {
        let mut replay = Replay::new();
        for count in [1, 3, 2, 70, 7] {
            assert!(replay.take(9, count), "{count}");
            assert!(!replay.take(9, count), "{count} again");
        }
        assert!(!replay.take(9, 6), "too far behind");
        assert!(replay.take(9, u32::MAX));
        assert!(!replay.take(9, 8));
    }

    #[test]
    fn a_newer_nonce_takes_the_slot_of_an_older_one() {
        let (old, new) = (5, 5 + SLOTS as u64);
        let mut replay = Replay::new();
        assert!(replay.take(old, 1));
        assert!(replay.take(new, 1));
        assert!(!replay.take(old, 2), "it may have been taken");
        assert!(replay.take(new, 2));
    }

    proptest! {
        #[test]
        fn nothing_is_taken_twice(answers in proptest::collection::vec((1..4u64, 0..200u32), 0..300)) {
            let mut replay = Replay::new();
            let mut taken = HashSet::new();
            for (nonce, count) in answers {
                // Three nonces, two of them in one slot.
                let serial = if nonce == 3 { 1 + SLOTS as u64 } else { nonce };
                if replay.take(serial, count) {
                    prop_assert!(taken.insert((serial, count)));
                }
            }
        }
    }
}
