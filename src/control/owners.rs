//! Who a transaction belongs to: a vector beside the endpoint's table, so finding an owner costs one look.

use crate::sip::endpoint::{ClientTx, ServerTx};

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

/// Owners by transaction. A later transaction in the same place takes the place over, so an owner that nobody removed
/// costs nothing for long.
#[derive(Debug)]
pub struct Owners<O> {
    places: Vec<Option<(u32, O)>>,
    len: usize,
}

impl<O> Default for Owners<O> {
    fn default() -> Self {
        Owners {
            places: Vec::new(),
            len: 0,
        }
    }
}

impl<O: Copy> Owners<O> {
    /// Names the owner of a transaction.
    pub fn insert(&mut self, tx: impl TxName, owner: O) {
        let (index, generation) = tx.parts();
        let index = index as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        if self.places[index].replace((generation, owner)).is_none() {
            self.len += 1;
        }
    }

    /// The owner, if the transaction has one.
    pub fn get(&self, tx: impl TxName) -> Option<O> {
        let (index, generation) = tx.parts();
        match self.places.get(index as usize) {
            Some(Some((of, owner))) if *of == generation => Some(*owner),
            _ => None,
        }
    }

    /// Takes the owner away.
    pub fn remove(&mut self, tx: impl TxName) -> Option<O> {
        let owner = self.get(tx)?;
        self.places[tx.parts().0 as usize] = None;
        self.len -= 1;
        Some(owner)
    }

    /// How many transactions have an owner.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if none has.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_transaction_in_the_same_place_has_no_owner() {
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
        assert_eq!((owners.get(old), owners.get(new)), (None, Some('n')));
        assert_eq!(owners.remove(old), None);
        assert_eq!(owners.remove(new), Some('n'));
        assert!(owners.is_empty());
    }
}
