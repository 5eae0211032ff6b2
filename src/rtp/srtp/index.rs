//! Which packet a sequence number means, and which packets were seen.

use super::SrtpError;

/// Packets that a replay window remembers; RFC 3711 §3.3.2 asks for 64 at least. 128 are 2.5 s of audio.
const WINDOW: u64 = 128;
/// Half of the sequence numbers.
const HALF: u16 = 1 << 15;

/// The index of a packet: rollover counter and sequence number, 48 bits together (RFC 3711 §3.3.1).
///
/// `highest` is the highest index that was seen. The nearest index with this sequence number is meant, as in appendix A,
/// but that nothing comes before rollover counter 0: its lower half is read as it stands.
pub(super) fn estimate(highest: u64, sequence: u16) -> u64 {
    let (rollovers, last) = (highest >> 16, highest as u16);
    let nearest = if last < HALF {
        match sequence > last + HALF {
            true => rollovers.saturating_sub(1),
            false => rollovers,
        }
    } else {
        match sequence < last - HALF {
            true => rollovers + 1,
            false => rollovers,
        }
    };
    nearest << 16 | u64::from(sequence)
}

/// The packets that were seen: the highest index, and which of the 127 below it (RFC 3711 §3.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u128,
}

impl Window {
    /// After the first packet.
    pub(super) fn new(first: u64) -> Window {
        Window {
            highest: first,
            seen: 1,
        }
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether a packet may be taken: it was not seen, and is not too old to tell.
    ///
    /// # Errors
    /// [`SrtpError::Replay`].
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        match self.highest.checked_sub(index) {
            None => Ok(()),
            Some(age) if age < WINDOW && self.seen >> age & 1 == 0 => Ok(()),
            Some(_) => Err(SrtpError::Replay),
        }
    }

    /// Takes a packet that was checked and is genuine.
    pub(super) fn note(&mut self, index: u64) {
        match index.checked_sub(self.highest) {
            Some(ahead) => {
                self.seen = u32::try_from(ahead)
                    .ok()
                    .and_then(|ahead| self.seen.checked_shl(ahead))
                    .unwrap_or(0)
                    | 1;
                self.highest = index;
            }
            None => self.seen |= 1 << (self.highest - index).min(WINDOW - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn the_nearest_index_is_meant() {
        for (highest, sequence, expected) in [
            (0x0_0000, 0x0001, 0x0_0001),
            (0x0_fffe, 0x0001, 0x1_0001),
            (0x1_0001, 0xfffe, 0x0_fffe),
            (0x1_0001, 0x8001, 0x1_8001),
            (0x1_0001, 0x8002, 0x0_8002),
            (0x1_8000, 0x0000, 0x1_0000),
            (0x1_8001, 0x0000, 0x2_0000),
            (0x1_ffff, 0x7ffe, 0x2_7ffe),
            (0x1_ffff, 0x7fff, 0x1_7fff),
            // Nothing comes before rollover counter 0.
            (0x0_0001, 0xfffe, 0x0_fffe),
        ] {
            assert_eq!(
                estimate(highest, sequence),
                expected,
                "{sequence:#x} after {highest:#x}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_index_within_half_a_turn_is_found(
            highest in (1u64 << 16)..(1 << 40), offset in -32_767i64..=32_767,
        ) {
            let index = highest.wrapping_add_signed(offset);
            prop_assert_eq!(estimate(highest, index as u16), index);
        }

        /// Beside a set of all that was seen: what is near enough is taken exactly once, what is older never.
        #[test]
        fn a_window_takes_each_packet_once(
            first in 0u64..200_000,
            steps in proptest::collection::vec(prop_oneof![-140i64..140, -5i64..5, Just(100_000)], 1..300),
        ) {
            let mut window = Window::new(first);
            let mut seen = HashSet::from([first]);
            for step in steps {
                let index = window.highest().saturating_add_signed(step);
                let is_near = index + WINDOW > window.highest();
                let is_new = is_near && !seen.contains(&index);
                prop_assert_eq!(window.check(index).is_ok(), is_new);
                if is_new {
                    window.note(index);
                    seen.insert(index);
                }
                prop_assert_eq!(Some(&window.highest()), seen.iter().max());
            }
        }
    }
}
