//! The registrar (RFC 3261 §10.3): which contacts each address of record has now.
//!
//! ```text
//!             REGISTER, Contact, expires > 0            REGISTER again: refreshed, from where it comes now
//!   (none) ──────────────────────────────────► bound ─┐
//!      ▲                                        │  ▲  │
//!      │  expires = 0, or Contact: *            │  └──┘
//!      ├────────────────────────────────────────┤
//!      │  not refreshed in time                 │
//!      ├────────────────────────────────────────┤
//!      │  a newer contact takes its place       │      (max_contacts with remove_existing)
//!      ├────────────────────────────────────────┤
//!      │  its connection has closed             │      (behind a NAT, where nothing else leads to the phone)
//!      └────────────────────────────────────────┘
//! ```
//!
//! A REGISTER is done whole or not at all: whatever of it is refused, no binding has changed.
//!
//! | limit | at it |
//! |---|---|
//! | `max_contacts` of an address of record | 403, or the oldest make room (`remove_existing`) |
//! | [`CONTACTS_MAX`], whatever `max_contacts` says | the same |
//! | contacts in one REGISTER: [`CONTACTS_MAX`] | 400 |
//! | length of what is kept of a REGISTER | 400 |
//!
//! Addresses of record are those of the configuration. A refresh costs the same with ten bindings as with a hundred
//! thousand: a look into a table, a walk over the few contacts of one address of record, a timer moved.

pub mod binding;
mod persist;
mod request;
mod serve;
mod update;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use super::context::Timer;
use crate::config::settings;
use crate::metrics::{ContactsGauge, ControlMetrics};
use crate::sip::flow::Flow;
use crate::sip::timer::TimerWheel;
use binding::{Binding, BindingId};
use rustc_hash::FxHashMap;

/// Most contacts of one address of record, and of one REGISTER.
pub const CONTACTS_MAX: usize = 64;

/// Why a binding is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// The phone said so.
    Unregistered,
    /// It was not refreshed in time.
    Expired,
    /// A newer contact took its place.
    Replaced,
    /// The connection that led to the phone has closed.
    FlowLost,
    /// Its address of record is no longer configured.
    Unconfigured,
}

/// What happened to a binding.
#[derive(Clone, Debug)]
pub(super) enum Changed {
    /// New.
    Added(BindingId),
    /// Registered again.
    Refreshed(BindingId),
    /// Gone.
    Removed(Box<Binding>, Removal),
}

/// An address of record: its bindings, in no order.
#[derive(Debug)]
struct Aor {
    bindings: Vec<BindingId>,
    gauge: ContactsGauge,
}

/// See the module's comment.
#[derive(Debug, Default)]
pub struct Registrar {
    /// Those that phones may register as.
    aors: FxHashMap<String, Aor>,
    bindings: FxHashMap<BindingId, Binding>,
    /// Bindings by the stream connection that they came over.
    by_flow: FxHashMap<Flow, Vec<BindingId>>,
    ids_given: u64,
    refreshes: u64,
}

impl Registrar {
    /// Takes the addresses of record of a configuration. Bindings of those that are gone go.
    pub(super) fn configure(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        metrics: &ControlMetrics,
        aors: &[settings::Aor],
    ) -> Vec<Changed> {
        let mut old = std::mem::take(&mut self.aors);
        for aor in aors.iter().filter(|aor| aor.max_contacts > 0) {
            let entry = old.remove(&aor.name).unwrap_or_else(|| Aor {
                bindings: Vec::new(),
                gauge: metrics.contacts(&aor.name),
            });
            self.aors.insert(aor.name.clone(), entry);
        }
        let mut changed = Vec::new();
        for (name, aor) in old {
            for id in aor.bindings {
                changed.extend(self.remove(timers, id, Removal::Unconfigured));
            }
            metrics.forget_contacts(&name);
        }
        changed
    }

    /// The bindings of an address of record, that refreshed last first.
    pub fn contacts(&self, aor: &str) -> Vec<&Binding> {
        let ids = self.aors.get(aor).into_iter().flat_map(|aor| &aor.bindings);
        let mut bindings: Vec<&Binding> = ids.filter_map(|id| self.bindings.get(id)).collect();
        bindings.sort_by_key(|binding| std::cmp::Reverse(binding.refreshed));
        bindings
    }

    /// The binding of that name.
    pub fn binding(&self, id: BindingId) -> Option<&Binding> {
        self.bindings.get(&id)
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// True if nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// A binding's time is over.
    pub(super) fn expire(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        id: BindingId,
    ) -> Option<Changed> {
        self.remove(timers, id, Removal::Expired)
    }

    /// A stream connection is no more. What can be reached in no other way goes.
    pub(super) fn flow_lost(&mut self, timers: &mut TimerWheel<Timer>, flow: Flow) -> Vec<Changed> {
        let mut changed = Vec::new();
        for id in self.by_flow.remove(&flow).unwrap_or_default() {
            match self.bindings.get_mut(&id) {
                Some(binding) if !binding.origin.is_rewritten => binding.is_flow_lost = true,
                _ => changed.extend(self.remove(timers, id, Removal::FlowLost)),
            }
        }
        changed
    }

    fn remove(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        id: BindingId,
        why: Removal,
    ) -> Option<Changed> {
        let binding = self.bindings.remove(&id)?;
        timers.cancel(binding.timer);
        self.leave_flow(binding.origin.flow, id);
        if let Some(aor) = self.aors.get_mut(&binding.aor) {
            aor.bindings.retain(|other| *other != id);
            aor.gauge.set(aor.bindings.len());
        }
        Some(Changed::Removed(Box::new(binding), why))
    }

    fn join_flow(&mut self, flow: Flow, id: BindingId) {
        if flow.protocol.is_reliable() {
            self.by_flow.entry(flow).or_default().push(id);
        }
    }

    fn leave_flow(&mut self, flow: Flow, id: BindingId) {
        if let Some(ids) = self.by_flow.get_mut(&flow) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_flow.remove(&flow);
            }
        }
    }
}
