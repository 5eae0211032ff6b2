//! Unguessable numbers from one seed.

use sha2::{Digest, Sha256};

/// SHA-256 in counter mode. A peer that has seen any number of our branches, tags and Call-IDs can tell nothing of
/// the others, as it could with an ordinary generator; and a test can repeat a run.
#[derive(Debug)]
pub struct Random {
    seed: u64,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Random {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        Random {
            seed,
            counter: 0,
            block: [0; 32],
            used: 32,
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        if self.used == self.block.len() {
            let mut hash = Sha256::new();
            hash.update(b"ringway");
            hash.update(self.seed.to_be_bytes());
            hash.update(self.counter.to_be_bytes());
            self.block = hash.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let mut number = [0; 8];
        number.copy_from_slice(&self.block[self.used..self.used + 8]);
        self.used += 8;
        u64::from_be_bytes(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn sequence(seed: u64) -> Vec<u64> {
        let mut random = Random::new(seed);
        (0..1_000).map(|_| random.next_u64()).collect()
    }

    #[test]
    fn the_same_seed_repeats_and_another_differs() {
        assert_eq!(sequence(7), sequence(7));
        let all: HashSet<u64> = sequence(7).into_iter().chain(sequence(8)).collect();
        assert_eq!(all.len(), 2_000);
    }
}
