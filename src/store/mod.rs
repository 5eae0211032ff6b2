//! What outlives a restart: who has registered, and from where.
//!
//! Records and changes are plain values; [`Store`] keeps them. Control says what has changed and waits for nothing: a
//! change may be lost (a full queue, a failing disk), and then the next refresh of the phone brings it again.
//!
//! ```text
//!  control ── Change ──► bounded queue ──► a thread of its own ── one transaction a batch ──► Store
//!     ▲                                                                                         │
//!     └───────────────────────── load, before the first message is read ────────────────────────┘
//! ```
//!
//! Time is stored as seconds since the epoch, since no other clock outlives a restart.

pub mod schema;

use std::net::SocketAddr;

/// One registered contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactRecord {
    /// Never used twice.
    pub id: u64,
    /// The address of record.
    pub aor: String,
    /// The contact's URI as the phone wrote it.
    pub uri: String,
    /// `q`, as written.
    pub q: Option<String>,
    /// `+sip.instance` and `reg-id` of a phone that speaks RFC 5626.
    pub instance: Option<(String, u32)>,
    /// The proxies before the phone (RFC 3327), the nearest first.
    pub path: Vec<String>,
    /// Call-ID of the last REGISTER.
    pub call_id: String,
    /// Its CSeq number.
    pub cseq: u32,
    /// Its User-Agent.
    pub user_agent: String,
    /// The name of the transport that it came over.
    pub transport: String,
    /// Where it came from.
    pub source: SocketAddr,
    /// The user is reached there, and not where the contact says.
    pub is_rewritten: bool,
    /// How many seconds it was given.
    pub granted_s: u32,
    /// When it ends, in seconds since the epoch.
    pub expires_unix: u64,
}

/// What is to be kept from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This contact, in the place of an older record of that id.
    Put(Box<ContactRecord>),
    /// No contact of that id.
    Remove(u64),
}

/// Why a store does not do what it should.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Keeps records.
pub trait Store {
    /// All records, in no order.
    ///
    /// # Errors
    /// They cannot be read.
    fn load(&mut self) -> Result<Vec<ContactRecord>, StoreError>;

    /// Does these changes in their order, all or none.
    ///
    /// # Errors
    /// They could not be written; none is.
    fn apply(&mut self, changes: &[Change]) -> Result<(), StoreError>;
}
