//! Bindings as records that outlive a restart, and back.

use super::Registrar;
use super::binding::{Binding, BindingId, Contact, Instance, Origin};
use crate::config::settings::Transport;
use crate::control::context::Timer;
use crate::sip::flow::{Flow, TransportId};
use crate::sip::message::Uri;
use crate::sip::timer::TimerWheel;
use crate::store::{Change, ContactRecord};
use std::time::{Duration, Instant};

/// The record of a binding that was registered just now.
pub(super) fn record(binding: &Binding, transports: &[Transport], unix_now: u64) -> ContactRecord {
    let Binding {
        contact, origin, ..
    } = binding;
    let transport = transports.get(usize::from(origin.flow.transport.0));
    ContactRecord {
        id: binding.id.0,
        aor: binding.aor.clone(),
        uri: contact.uri.to_string(),
        q: contact.q.clone(),
        instance: contact
            .instance
            .as_ref()
            .map(|instance| (instance.id.clone(), instance.reg_id)),
        path: origin.path.clone(),
        call_id: origin.call_id.clone(),
        cseq: origin.cseq,
        user_agent: origin.user_agent.clone(),
        transport: transport.map_or_else(String::new, |transport| transport.name.clone()),
        source: origin.flow.peer,
        is_rewritten: origin.is_rewritten,
        granted_s: binding.granted_s,
        expires_unix: unix_now.saturating_add(u64::from(binding.granted_s)),
    }
}

/// The flow of a record, if its transport is still configured.
fn flow_of(record: &ContactRecord, transports: &[Transport]) -> Option<Flow> {
    let mut all = (0..).map(TransportId).zip(transports);
    let (id, transport) = all.find(|(_, transport)| transport.name == record.transport)?;
    Some(Flow {
        transport: id,
        protocol: transport.protocol,
        peer: record.source,
        domain: None,
    })
}

fn contact_of(record: &ContactRecord) -> Option<Contact> {
    let instance = record.instance.clone();
    Some(Contact {
        uri: Uri::parse(&record.uri)?,
        q: record.q.clone(),
        instance: instance.map(|(id, reg_id)| Instance { id, reg_id }),
    })
}

impl Registrar {
    /// Takes the records of an earlier run. Those that are over, that nobody may register as any more, or that lead
    /// nowhere (a connection behind a NAT does not outlive us) are given back, to be removed from the store.
    pub(super) fn restore(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        now: Instant,
        unix_now: u64,
        transports: &[Transport],
        mut records: Vec<ContactRecord>,
    ) -> Vec<Change> {
        // In the order of their last refresh.
        records.sort_by_key(|one| {
            (
                one.expires_unix.saturating_sub(one.granted_s.into()),
                one.id,
            )
        });
        let mut useless = Vec::new();
        for record in records {
            let id = record.id;
            self.ids_given = self.ids_given.max(id);
            if !self.restore_one(timers, now, unix_now, transports, record) {
                useless.push(Change::Remove(id));
            }
        }
        useless
    }

    fn restore_one(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        now: Instant,
        unix_now: u64,
        transports: &[Transport],
        record: ContactRecord,
    ) -> bool {
        let left_s = record.expires_unix.saturating_sub(unix_now);
        // The clock may have been set back.
        let left_s = left_s.min(record.granted_s.into());
        let (flow, contact) = (flow_of(&record, transports), contact_of(&record));
        let (Some(flow), Some(contact), 1..) = (flow, contact, left_s) else {
            return false;
        };
        let is_flow_lost = flow.protocol.is_reliable();
        if is_flow_lost && record.is_rewritten || !self.aors.contains_key(&record.aor) {
            return false;
        }
        self.refreshes += 1;
        let id = BindingId(record.id);
        let expires = now + Duration::from_secs(left_s);
        self.put(Binding {
            id,
            aor: record.aor,
            contact,
            origin: Origin {
                flow,
                is_rewritten: record.is_rewritten,
                path: record.path,
                call_id: record.call_id,
                cseq: record.cseq,
                user_agent: record.user_agent,
            },
            expires,
            granted_s: record.granted_s,
            is_flow_lost,
            refreshed: self.refreshes,
            timer: timers.arm(now, expires, Timer::Binding(id)),
        });
        true
    }
}
