//! What a Dial's targets come to: the URIs that are tried, and in which order.

use super::branch::{Branch, BranchState, Candidate, Failover, GroupFailover};
use crate::config::settings::{EndpointId, TrunkGroup};
use crate::control::context::Context;
use crate::control::dialplan::DialTarget;
use crate::control::outside::qualify::ContactKey;
use crate::control::setup::Setup;
use crate::sip::message::Uri;
use std::collections::VecDeque;
use std::time::Instant;

/// The branches of a target, at least one: its static contacts in turn, and beside them each contact that is
/// registered. The members of a trunk group are tried in turn, with all of their contacts. A contact that is known not
/// to be there is none.
pub(super) fn branches_of(
    setup: &Setup,
    ctx: &mut Context,
    now: Instant,
    target: &DialTarget,
) -> Vec<Branch> {
    let (name, to) = match target {
        DialTarget::Endpoint { name } => (name, To::Contact),
        DialTarget::Number { name, number } => (name, To::Number(number)),
        DialTarget::Uri { name, uri } => (name, To::Uri(uri)),
    };
    let branch = |candidates: Vec<Candidate>, failover| Branch {
        dialled: target.resource(),
        candidates: candidates.into(),
        elsewhere: None,
        failover,
        state: BranchState::Next,
        forwarded: None,
        redirects: VecDeque::new(),
        parent: None,
    };
    match (setup.endpoint_named(name), setup.trunk_group(name)) {
        (Some(endpoint), _) => {
            let fixed = to.fixed(setup, ctx, now, endpoint);
            let registered = to.registered(setup, ctx, endpoint);
            let has_fixed = !fixed.is_empty() || registered.is_empty();
            let fixed = has_fixed.then(|| branch(fixed, Failover::Contacts));
            let each = registered.into_iter();
            let each = each.map(|candidate| branch(vec![candidate], Failover::Contacts));
            fixed.into_iter().chain(each).collect()
        }
        (None, Some(group)) => {
            let members = order(&mut ctx.rng, group).into_iter();
            let candidates = members.flat_map(|endpoint| {
                let mut all = to.fixed(setup, ctx, now, endpoint);
                all.extend(to.registered(setup, ctx, endpoint));
                all
            });
            let failover = Failover::Group(GroupFailover {
                on: group.failover_on.clone(),
                response_timeout: group.response_timeout,
            });
            vec![branch(candidates.collect(), failover)]
        }
        (None, None) => vec![branch(Vec::new(), Failover::Contacts)],
    }
}

/// What of a target is dialled.
enum To<'a> {
    Contact,
    Number(&'a str),
    Uri(&'a str),
}

impl To<'_> {
    /// By the static contacts of the endpoint, or the URI that the Dial gives.
    fn fixed(
        &self,
        setup: &Setup,
        ctx: &Context,
        now: Instant,
        endpoint: EndpointId,
    ) -> Vec<Candidate> {
        let uris: Vec<Uri> = match self {
            To::Uri(uri) => Uri::parse(uri).into_iter().collect(),
            To::Contact | To::Number(_) => {
                let contacts = ctx.qualify.dialable(now, setup, endpoint);
                contacts.iter().map(|contact| self.at(contact)).collect()
            }
        };
        let uris = uris.into_iter();
        uris.map(|uri| Candidate::new(endpoint, uri)).collect()
    }

    /// By what is registered for the endpoint, that refreshed last first.
    fn registered(&self, setup: &Setup, ctx: &Context, endpoint: EndpointId) -> Vec<Candidate> {
        if matches!(self, To::Uri(_)) {
            return Vec::new();
        }
        let aors = setup.endpoint(endpoint).aors.iter();
        let bindings = aors.flat_map(|aor| ctx.registrar.contacts(aor));
        let bindings =
            bindings.filter(|binding| ctx.qualify.is_reachable(&ContactKey::Bound(binding.id)));
        let candidates = bindings.map(|binding| Candidate {
            flows: binding.flow().map(|flow| [flow].into()),
            is_located: binding.flow().is_none(),
            path: binding.origin.path.clone(),
            ..Candidate::new(endpoint, self.at(&binding.contact.uri))
        });
        candidates.collect()
    }

    /// The URI at this contact: another user there, if the Dial names one.
    fn at(&self, contact: &Uri) -> Uri {
        match self {
            To::Number(number) => Uri {
                user: Some(escape_user(number)),
                ..contact.clone()
            },
            To::Contact | To::Uri(_) => contact.clone(),
        }
    }
}

/// A number as the user part of a URI: what is not allowed there is escaped (RFC 3261 §25.1), so that a dialled
/// string cannot change the rest of the URI.
pub(in crate::control) fn escape_user(user: &str) -> String {
    let mut escaped = String::with_capacity(user.len());
    for byte in user.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// A group's members in the order of trying: by priority, and by chance and weight among those of one priority.
fn order(rng: &mut fastrand::Rng, group: &TrunkGroup) -> Vec<EndpointId> {
    let mut members: Vec<_> = group.members.iter().collect();
    members.sort_by_key(|member| member.priority);
    let mut ordered = Vec::with_capacity(members.len());
    while let Some(priority) = members.first().map(|member| member.priority) {
        let same = members.iter().take_while(|m| m.priority == priority);
        // A weight of 0 is still a small chance, as in RFC 2782.
        let weights: Vec<u32> = same.map(|m| u32::from(m.weight).max(1)).collect();
        let mut pick = rng.u32(0..weights.iter().sum());
        let mut chosen = 0;
        for (index, weight) in weights.iter().enumerate() {
            chosen = index;
            match pick.checked_sub(*weight) {
                Some(rest) => pick = rest,
                None => break,
            }
        }
        ordered.push(members.remove(chosen).endpoint);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::TrunkMember;
    use std::time::Duration;

    #[test]
    fn members_of_one_priority_have_their_share_and_the_next_priority_comes_after() {
        let member = |endpoint, priority, weight| TrunkMember {
            endpoint: EndpointId(endpoint),
            priority,
            weight,
        };
        let group = TrunkGroup {
            members: vec![member(3, 2, 1), member(1, 1, 70), member(2, 1, 30)],
            failover_on: vec![503],
            response_timeout: Duration::ZERO,
        };
        let mut rng = fastrand::Rng::with_seed(7);
        let mut firsts = [0; 4];
        for _ in 0..10_000 {
            let order = order(&mut rng, &group);
            assert_eq!((order.len(), order[2]), (3, EndpointId(3)));
            firsts[order[0].0 as usize] += 1;
        }
        assert!((6_800..=7_200).contains(&firsts[1]), "{firsts:?}");
        assert_eq!(firsts[1] + firsts[2], 10_000);
    }
}
