//! A binding: one way to a user, as a phone registered it.

use crate::sip::flow::Flow;
use crate::sip::message::Uri;
use crate::sip::timer::TimerId;
use std::time::Instant;

/// What tells two phones, and two connections of one phone, apart (RFC 5626 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `+sip.instance`, with its angle brackets.
    pub id: String,
    /// `reg-id`: which of the phone's flows.
    pub reg_id: u32,
}

/// What a REGISTER says of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// As the phone wrote it, and as it gets it back.
    pub uri: Uri,
    /// `q`, as written.
    pub q: Option<String>,
    /// Told only by a phone that speaks RFC 5626.
    pub instance: Option<Instance>,
}

/// Where a REGISTER came from, and what holds for all of its contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The flow that it came over.
    pub flow: Flow,
    /// The contact is taken to be behind a NAT (`rewrite_contact`): the user is reached where the REGISTER came from.
    pub is_rewritten: bool,
    /// The proxies between us and the phone, the nearest first (RFC 3327).
    pub path: Vec<String>,
    /// Call-ID.
    pub call_id: String,
    /// CSeq number.
    pub cseq: u32,
    /// User-Agent, for operators.
    pub user_agent: String,
}

/// A binding's name: never used twice, so that a store can tell an old one from a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BindingId(pub u64);

/// See the module's comment.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Its name.
    pub id: BindingId,
    /// The address of record.
    pub aor: String,
    /// The contact.
    pub contact: Contact,
    /// Of the REGISTER that made or refreshed it last.
    pub origin: Origin,
    /// When it ends unless it is refreshed.
    pub expires: Instant,
    /// How many seconds it was given by that REGISTER.
    pub granted_s: u32,
    /// The connection that it came over has closed: new ones go where the contact says.
    pub is_flow_lost: bool,
    /// Counts the REGISTERs: the lowest of an address of record was refreshed the longest ago.
    pub(super) refreshed: u64,
    pub(super) timer: TimerId,
}

impl Binding {
    /// The flow that reaches the user; None if the contact itself says where to go.
    ///
    /// Behind a NAT, and over a connection that the phone has opened, only the way that the REGISTER came leads back
    /// (RFC 5626 §5.3).
    pub fn flow(&self) -> Option<Flow> {
        let flow = self.origin.flow;
        let is_the_way = self.origin.is_rewritten || flow.protocol.is_reliable();
        (is_the_way && !self.is_flow_lost).then_some(flow)
    }

    /// Whole seconds that it lasts on, rounded up.
    pub fn expires_in_s(&self, now: Instant) -> u64 {
        let left = self.expires.saturating_duration_since(now);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }

    /// True if a REGISTER means this binding by this contact.
    ///
    /// RFC 5626 §6: the same instance and flow number, whatever the URI; else by the URIs (RFC 3261 §10.3 step 7).
    /// Behind NATs two phones may write the same private address, so there it is to come from the same host too, or
    /// be a REGISTER of the same series, which the Call-ID tells when a NAT has moved the phone.
    pub(super) fn is_meant(&self, contact: &Contact, origin: &Origin) -> bool {
        match (&self.contact.instance, &contact.instance) {
            (Some(own), Some(other)) => own == other,
            _ => {
                let is_same_phone = || {
                    !origin.is_rewritten
                        || self.origin.call_id == origin.call_id
                        || self.origin.flow.peer.ip() == origin.flow.peer.ip()
                };
                self.contact.uri.is_equivalent(&contact.uri) && is_same_phone()
            }
        }
    }

    /// RFC 3261 §10.3 steps 6 and 7: inside one series, a REGISTER that is not newer than the one before came late,
    /// and must not undo it.
    pub(super) fn is_newer(&self, origin: &Origin) -> bool {
        self.origin.call_id != origin.call_id || origin.cseq > self.origin.cseq
    }

    /// The value of Contact in a 200: with the seconds that are left.
    pub(super) fn contact_value(&self, now: Instant) -> String {
        let mut value = format!("<{}>;expires={}", self.contact.uri, self.expires_in_s(now));
        if let Some(q) = &self.contact.q {
            value += &format!(";q={q}");
        }
        if let Some(Instance { id, reg_id }) = &self.contact.instance {
            value += &format!(";+sip.instance=\"{id}\";reg-id={reg_id}");
        }
        value
    }
}
