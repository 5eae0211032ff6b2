//! What a REGISTER does to the bindings: planned first, so that it is done whole or not at all.

use super::binding::{Binding, BindingId, Origin};
use super::request::{Change, Registration, Wanted};
use super::{CONTACTS_MAX, Changed, Registrar, Removal};
use crate::config::settings;
use crate::control::context::Timer;
use crate::sip::timer::{TimerId, TimerWheel};
use std::time::{Duration, Instant};

/// Why a REGISTER changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// 423: it is to last less than `minimum_expiration`.
    TooBrief,
    /// 500: it came later than one that was sent after it.
    OutOfOrder,
    /// 403: there are as many contacts as there may be, or the address of record takes none.
    TooMany,
}

/// What is to be done.
#[derive(Default)]
struct Plan<'r> {
    remove: Vec<BindingId>,
    refresh: Vec<(BindingId, &'r Wanted, u32)>,
    add: Vec<(&'r Wanted, u32)>,
    replace: Vec<BindingId>,
}

/// How long a binding is to last from now, and the timer of its end.
struct Term {
    granted_s: u32,
    expires: Instant,
    timer: TimerId,
}

impl Term {
    fn new(timers: &mut TimerWheel<Timer>, now: Instant, granted_s: u32, id: BindingId) -> Term {
        let expires = now + Duration::from_secs(u64::from(granted_s));
        Term {
            granted_s,
            expires,
            timer: timers.arm(now, expires, Timer::Binding(id)),
        }
    }
}

impl Registrar {
    /// Does what a REGISTER asks.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub(super) fn update(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        now: Instant,
        aor: &settings::Aor,
        registration: &Registration,
    ) -> Result<Vec<Changed>, Refused> {
        if !self.aors.contains_key(&aor.name) {
            return Err(Refused::TooMany);
        }
        let plan = self.plan(aor, registration)?;
        Ok(self.carry_out(timers, now, aor, &registration.origin, plan))
    }

    fn plan<'r>(
        &self,
        aor: &settings::Aor,
        registration: &'r Registration,
    ) -> Result<Plan<'r>, Refused> {
        let Registration { origin, change } = registration;
        let present = self.contacts(&aor.name);
        let mut plan = Plan::default();
        match change {
            Change::Query => {}
            Change::RemoveAll => {
                if !present.iter().all(|binding| binding.is_newer(origin)) {
                    return Err(Refused::OutOfOrder);
                }
                plan.remove = present.iter().map(|binding| binding.id).collect();
            }
            Change::Contacts(contacts) => {
                for wanted in contacts {
                    plan.take(aor, &present, origin, wanted)?;
                }
                plan.make_room(aor, &present)?;
            }
        }
        Ok(plan)
    }

    fn carry_out(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        now: Instant,
        aor: &settings::Aor,
        origin: &Origin,
        plan: Plan<'_>,
    ) -> Vec<Changed> {
        self.refreshes += 1;
        let mut changed = Vec::new();
        for id in plan.remove {
            changed.extend(self.remove(timers, id, Removal::Unregistered));
        }
        for id in plan.replace {
            changed.extend(self.remove(timers, id, Removal::Replaced));
        }
        for (id, wanted, granted_s) in plan.refresh {
            let term = Term::new(timers, now, granted_s, id);
            self.refresh(timers, id, term, wanted, origin);
            changed.push(Changed::Refreshed(id));
        }
        for (wanted, granted_s) in plan.add {
            self.ids_given += 1;
            let id = BindingId(self.ids_given);
            let term = Term::new(timers, now, granted_s, id);
            self.put(Binding {
                id,
                aor: aor.name.clone(),
                contact: wanted.contact.clone(),
                origin: origin.clone(),
                expires: term.expires,
                granted_s,
                is_flow_lost: false,
                refreshed: self.refreshes,
                timer: term.timer,
            });
            changed.push(Changed::Added(id));
        }
        changed
    }

    fn refresh(
        &mut self,
        timers: &mut TimerWheel<Timer>,
        id: BindingId,
        term: Term,
        wanted: &Wanted,
        origin: &Origin,
    ) {
        let refreshed = self.refreshes;
        let Some(binding) = self.bindings.get_mut(&id) else {
            return;
        };
        timers.cancel(std::mem::replace(&mut binding.timer, term.timer));
        binding.contact = wanted.contact.clone();
        binding.expires = term.expires;
        binding.granted_s = term.granted_s;
        binding.is_flow_lost = false;
        binding.refreshed = refreshed;
        let before = std::mem::replace(&mut binding.origin, origin.clone());
        if before.flow != origin.flow {
            self.leave_flow(before.flow, id);
        }
        if !self.is_on_flow(origin.flow, id) {
            self.join_flow(origin.flow, id);
        }
    }

    fn is_on_flow(&self, flow: crate::sip::Flow, id: BindingId) -> bool {
        self.by_flow.get(&flow).is_some_and(|ids| ids.contains(&id))
    }

    /// Enters a binding into every table.
    pub(super) fn put(&mut self, binding: Binding) {
        let id = binding.id;
        if !binding.is_flow_lost {
            self.join_flow(binding.origin.flow, id);
        }
        if let Some(aor) = self.aors.get_mut(&binding.aor) {
            aor.bindings.push(id);
            aor.gauge.set(aor.bindings.len());
        }
        self.bindings.insert(id, binding);
    }
}

impl<'r> Plan<'r> {
    /// RFC 3261 §10.3 step 7, for one contact.
    fn take(
        &mut self,
        aor: &settings::Aor,
        present: &[&Binding],
        origin: &Origin,
        wanted: &'r Wanted,
    ) -> Result<(), Refused> {
        let own = present
            .iter()
            .find(|binding| binding.is_meant(&wanted.contact, origin));
        if own.is_some_and(|binding| !binding.is_newer(origin)) {
            return Err(Refused::OutOfOrder);
        }
        let lasts = lasts(aor, wanted.expires)?;
        match (own, lasts) {
            (Some(own), None) => self.remove.push(own.id),
            (None, None) => {}
            (Some(own), Some(lasts)) => self.refresh.push((own.id, wanted, lasts)),
            (None, Some(lasts)) => self.add.push((wanted, lasts)),
        }
        Ok(())
    }

    /// `max_contacts`: the contacts that were refreshed the longest ago make room, if they may.
    fn make_room(&mut self, aor: &settings::Aor, present: &[&Binding]) -> Result<(), Refused> {
        let room = usize::try_from(aor.max_contacts).map_or(CONTACTS_MAX, |n| n.min(CONTACTS_MAX));
        let wanted = self.add.len() + self.refresh.len();
        let is_touched = |id: BindingId| {
            self.remove.contains(&id) || self.refresh.iter().any(|(other, ..)| *other == id)
        };
        // `present` begins with those that were refreshed last.
        let others: Vec<BindingId> = present
            .iter()
            .map(|binding| binding.id)
            .filter(|id| !is_touched(*id))
            .collect();
        // A refresh is never refused, though a reload may have lowered the limit.
        if self.add.is_empty() || wanted + others.len() <= room {
            return Ok(());
        }
        if !aor.remove_existing || wanted > room {
            return Err(Refused::TooMany);
        }
        self.replace = others[room - wanted..].to_vec();
        Ok(())
    }
}

/// How many seconds a contact is to last; None: it is to go.
fn lasts(aor: &settings::Aor, asked: Option<u32>) -> Result<Option<u32>, Refused> {
    match asked {
        Some(0) => Ok(None),
        Some(asked) if asked < aor.minimum_expiration => Err(Refused::TooBrief),
        asked => {
            // What we choose ourselves keeps within the limits too.
            let chosen = asked
                .unwrap_or(aor.default_expiration)
                .clamp(aor.minimum_expiration.max(1), aor.maximum_expiration);
            Ok(Some(chosen))
        }
    }
}
