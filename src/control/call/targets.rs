//! What a Dial's targets come to: the URIs that are tried, and in which order.

use super::dialling::{Branch, BranchState, Candidate, Failover};
use crate::config::settings::{EndpointId, TrunkGroup};
use crate::control::dialplan::DialTarget;
use crate::control::setup::Setup;
use crate::sip::message::Uri;
use std::collections::VecDeque;

/// The candidates of a target.
pub(super) fn branch_of(setup: &Setup, rng: &mut fastrand::Rng, target: &DialTarget) -> Branch {
    let (name, to) = match target {
        DialTarget::Endpoint { name } => (name, To::Contact),
        DialTarget::Number { name, number } => (name, To::Number(number)),
        DialTarget::Uri { name, uri } => (name, To::Uri(uri)),
    };
    let (members, failover) = match (setup.endpoint_named(name), setup.trunk_group(name)) {
        (Some(endpoint), _) => (vec![endpoint], Failover::Contacts),
        (None, Some(group)) => (
            order(rng, group),
            Failover::Group(group.failover_on.clone()),
        ),
        (None, None) => (Vec::new(), Failover::Contacts),
    };
    let candidates = members
        .into_iter()
        .flat_map(|endpoint| {
            let uris = to.uris(&setup.endpoint(endpoint).contacts);
            uris.into_iter().map(move |uri| Candidate {
                endpoint,
                uri,
                forwarded: None,
            })
        })
        .collect();
    Branch {
        dialled: target.resource(),
        candidates,
        failover,
        state: BranchState::Next,
        forwarded: None,
        redirects: VecDeque::new(),
        parent: None,
    }
}

enum To<'a> {
    Contact,
    Number(&'a str),
    Uri(&'a str),
}

impl To<'_> {
    fn uris(&self, contacts: &[Uri]) -> Vec<Uri> {
        match self {
            To::Contact => contacts.to_vec(),
            To::Number(number) => {
                let with_number = |contact: &Uri| Uri {
                    user: Some(escape_user(number)),
                    ..contact.clone()
                };
                contacts.iter().map(with_number).collect()
            }
            To::Uri(uri) => Uri::parse(uri).into_iter().collect(),
        }
    }
}

/// A number as the user part of a URI: what is not allowed there is escaped (RFC 3261 §25.1), so that a dialled
/// string cannot change the rest of the URI.
pub(super) fn escape_user(user: &str) -> String {
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
