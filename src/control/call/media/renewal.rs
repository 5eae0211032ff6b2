//! Whether what a leg has agreed is still to be offered anew, since it was agreed for another far side.
//!
//! ```text
//!  Settled ── another far side ──► Due ── refused ──► Refused ── another far side ──► Due
//!     ▲  └─── another port ──► Lost ── its own offer is answered ──► Due
//!     └───── its answer ─────── Due, Lost, Refused
//! ```

use super::LegMedia;

/// See the module's comment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control::call) enum Renewal {
    /// What is agreed holds.
    #[default]
    Settled,
    /// The peer is to be asked.
    Due,
    /// The same, and it sends to a port that is ours no more.
    Lost,
    /// It was asked, and goes on as it was.
    Refused,
}

impl Renewal {
    pub(super) fn request(&mut self) {
        if !matches!(self, Renewal::Lost) {
            *self = Renewal::Due;
        }
    }

    /// The peer has been told our port in an answer.
    pub(super) fn port_told(&mut self) {
        if let Renewal::Lost = self {
            *self = Renewal::Due;
        }
    }
}

impl LegMedia {
    /// There is a far side that the peer knows nothing of.
    pub fn renew(&mut self) {
        self.renewal.request();
    }

    /// True until the peer has answered an offer for its new far side.
    pub fn must_renew(&self) -> bool {
        self.renewal != Renewal::Settled
    }

    /// True if the peer is still to be asked.
    pub fn is_renewal_due(&self) -> bool {
        matches!(self.renewal, Renewal::Due | Renewal::Lost)
    }

    /// True if the peer knows no port of ours that it could send to.
    pub fn is_lost(&self) -> bool {
        self.renewal == Renewal::Lost
    }

    /// The peer has refused the offer. It is not asked again for this far side.
    pub fn renewal_refused(&mut self) {
        if let Renewal::Due = self.renewal {
            self.renewal = Renewal::Refused;
        }
    }
}
