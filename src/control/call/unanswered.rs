//! A leg's requests that wait for their final responses: each may have to be sent again, with credentials (401, 407) or
//! with a longer session interval (422).

use crate::sip::endpoint::ClientTx;
use crate::sip::message::{Method, RequestDraft};

/// Most requests of a leg that are kept at a time: its INVITE, and beside that a PRACK, an UPDATE, a few INFOs and a
/// BYE. A challenge of a further one is a refusal.
pub const UNANSWERED_MAX: usize = 8;

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Unanswered(Vec<Kept>);

/// A request as it was sent.
#[derive(Debug)]
pub struct Kept {
    tx: ClientTx,
    /// The request.
    pub request: RequestDraft,
    /// It carries the answer to a challenge already.
    pub is_second: bool,
}

impl Unanswered {
    /// Keeps a request until [`Unanswered::take`], if there is room.
    pub fn keep(&mut self, tx: ClientTx, request: RequestDraft) {
        if self.0.len() < UNANSWERED_MAX {
            self.0.push(Kept {
                tx,
                request,
                is_second: false,
            });
        }
    }

    /// This one carries the answer to a challenge.
    pub fn note_second(&mut self, tx: ClientTx) {
        if let Some(kept) = self.0.iter_mut().find(|kept| kept.tx == tx) {
            kept.is_second = true;
        }
    }

    /// The request of this transaction, which is kept no longer.
    pub fn take(&mut self, tx: ClientTx) -> Option<Kept> {
        let place = self.0.iter().position(|kept| kept.tx == tx)?;
        Some(self.0.swap_remove(place))
    }

    /// The INVITE that waits.
    pub fn invite(&self) -> Option<&RequestDraft> {
        let mut requests = self.0.iter().map(|kept| &kept.request);
        requests.find(|request| request.method == Method::Invite)
    }

    /// Forgets all: their answers are for somebody else.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
