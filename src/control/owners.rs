//! Who a transaction belongs to.
//!
//! By index and generation, not by index alone: what the endpoint says of a transaction that is over may still wait to be
//! heard when another transaction has taken its place.

use crate::sip::endpoint::{ClientTx, ServerTx};
use rustc_hash::FxHashMap;

/// A place and its generation, as the endpoint names transactions.
pub trait TxName: Copy {
    /// Index and generation.
    fn parts(self) -> (u32, u32);
}

impl TxName for ServerTx {
    fn parts(self) -> (u32, u32) {
        (self.index, self.generation)
    }
}

impl TxName for ClientTx {
    fn parts(self) -> (u32, u32) {
        (self.index, self.generation)
    }
}

/// Owners by transaction. Who names one takes it away when the transaction's last word has come.
#[derive(Debug)]
pub struct Owners<O> {
    owners: FxHashMap<(u32, u32), O>,
}

impl<O> Default for Owners<O> {
    fn default() -> Self {
        Owners {
            owners: FxHashMap::default(),
        }
    }
}

impl<O: Copy> Owners<O> {
    /// Names the owner of a transaction.
    pub fn insert(&mut self, tx: impl TxName, owner: O) {
        self.owners.insert(tx.parts(), owner);
    }

    /// The owner, if the transaction has one.
    pub fn get(&self, tx: impl TxName) -> Option<O> {
        self.owners.get(&tx.parts()).copied()
    }

    /// Takes the owner away.
    pub fn remove(&mut self, tx: impl TxName) -> Option<O> {
        self.owners.remove(&tx.parts())
    }

    /// How many transactions have an owner.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// True if none has.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}

impl<O: Copy + PartialEq> Owners<O> {
    /// All that one owner has is another's from now on.
    pub fn hand_over(&mut self, from: O, to: O) {
        for owner in self.owners.values_mut().filter(|owner| **owner == from) {
            *owner = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_transactions_in_one_place_have_an_owner_each() {
        let old = ClientTx {
            index: 3,
            generation: 1,
        };
        let new = ClientTx {
            index: 3,
            generation: 2,
        };
        let mut owners = Owners::default();
        owners.insert(old, 'o');
        owners.insert(new, 'n');
        assert_eq!((owners.get(old), owners.get(new)), (Some('o'), Some('n')));
        assert_eq!(owners.remove(old), Some('o'));
        assert_eq!(owners.remove(old), None);
        assert_eq!(owners.remove(new), Some('n'));
        assert!(owners.is_empty());
        owners.insert(old, 'a');
        owners.insert(new, 'b');
        owners.hand_over('a', 'c');
        assert_eq!((owners.get(old), owners.get(new)), (Some('c'), Some('b')));
    }
}
