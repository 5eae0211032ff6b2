//! REGISTER answered, and what else reaches the registrar: time, closed connections, a reload, operators.

use super::binding::{Binding, BindingId, Origin};
use super::request::Registration;
use super::update::Refused;
use super::{Changed, Removal, persist};
use crate::config::settings::{Aor, Endpoint};
use crate::control::admission::identify::Identified;
use crate::control::context::Context;
use crate::control::controller::{Controller, Output};
use crate::control::outside::qualify::ContactKey;
use crate::control::setup::Setup;
use crate::link::query::ContactRow;
use crate::sip::endpoint::ServerTx;
use crate::sip::flow::Flow;
use crate::sip::message::{Request, ResponseDraft};
use crate::store::{Change, ContactRecord};
use std::time::Instant;

/// The extensions that a REGISTER may require of us.
const EXTENSIONS: [&str; 2] = ["path", "outbound"];

impl Controller {
    /// A REGISTER of an endpoint that has shown who it is.
    ///
    /// # Errors
    /// The response that says no.
    pub(in crate::control) fn on_register(
        &mut self,
        now: Instant,
        tx: ServerTx,
        flow: Flow,
        request: &Request,
        who: Identified,
    ) -> Result<(), ResponseDraft> {
        check_extensions(request)?;
        let setup = self.setup().clone();
        let endpoint = setup.endpoint(who.endpoint);
        let Some(aor) = aor_of(&setup, endpoint, request) else {
            tracing::warn!(
                source = %flow.peer,
                endpoint = endpoint.name,
                to = request.headers().get("To").unwrap_or(""),
                "REGISTER refused with 404: the user of To is no aor of the endpoint"
            );
            return Err(ResponseDraft::new(404));
        };
        let registration = Registration::read(request, flow, endpoint.rewrite_contact)
            .map_err(|error| bad(flow, endpoint, &error.to_string()))?;
        let Context {
            registrar, timers, ..
        } = &mut self.ctx;
        let changed = registrar
            .update(timers, now, aor, &registration)
            .map_err(|refused| refusal(aor, flow, refused))?;
        self.note_changes(changed);
        self.watch_contacts_of(now, aor);
        let bindings = self.ctx.registrar.contacts(&aor.name);
        let response = listed(now, &registration, &bindings);
        let tag = self.ctx.sip.new_tag();
        self.ctx.sip.respond(now, tx, response.to_tag(&tag));
        Ok(())
    }

    /// A binding was not refreshed in time.
    pub(in crate::control) fn on_binding_expired(&mut self, id: BindingId) {
        let Context {
            registrar, timers, ..
        } = &mut self.ctx;
        let changed = registrar.expire(timers, id);
        self.note_changes(changed);
    }

    /// A flow is no more: those who registered over it are no longer reached by it.
    pub(in crate::control) fn on_registered_flow_lost(&mut self, flow: Flow) {
        let Context {
            registrar, timers, ..
        } = &mut self.ctx;
        let changed = registrar.flow_lost(timers, flow);
        self.note_changes(changed);
    }

    /// Takes the addresses of record of the setup, at the start and at a reload.
    pub(in crate::control) fn configure_registrar(&mut self) {
        let setup = self.setup().clone();
        let Context {
            registrar,
            timers,
            metrics,
            ..
        } = &mut self.ctx;
        let changed = registrar.configure(timers, metrics, &setup.settings().aors);
        self.note_changes(changed);
    }

    fn note_changes(&mut self, changed: impl IntoIterator<Item = Changed>) {
        let setup = self.setup().clone();
        let transports = &setup.settings().transports;
        let unix_now = self.ctx.surroundings.unix_time();
        for change in changed {
            let to_store = match &change {
                Changed::Added(id) | Changed::Refreshed(id) => {
                    let Some(binding) = self.ctx.registrar.binding(*id) else {
                        continue;
                    };
                    log_bound(binding, matches!(change, Changed::Added(_)));
                    Change::Put(Box::new(persist::record(binding, transports, unix_now)))
                }
                Changed::Removed(binding, why) => {
                    log_removed(binding, *why);
                    self.ctx.unwatch(&ContactKey::Bound(binding.id));
                    Change::Remove(binding.id.0)
                }
            };
            self.ctx.outputs.push_back(Output::Store(to_store));
        }
    }

    /// Takes those who had registered before a restart. To be called once, before the first message.
    pub fn restore_contacts(&mut self, now: Instant, records: Vec<ContactRecord>) {
        let setup = self.setup().clone();
        let transports = &setup.settings().transports;
        let unix_now = self.ctx.surroundings.unix_time();
        let Context {
            registrar, timers, ..
        } = &mut self.ctx;
        let useless = registrar.restore(timers, now, unix_now, transports, records);
        let restored = registrar.len();
        if restored + useless.len() > 0 {
            tracing::info!(restored, over = useless.len(), "contacts of the run before");
        }
        let removals = useless.into_iter().map(Output::Store);
        self.ctx.outputs.extend(removals);
        self.watch_registered_contacts(now);
    }

    /// How many contacts are registered.
    pub fn contacts_registered(&self) -> usize {
        self.ctx.registrar.len()
    }

    /// The contacts of every address of record, static ones first, in the order of the names.
    pub fn contacts(&self, now: Instant) -> Vec<ContactRow> {
        let aors = self.setup().settings().aors.iter();
        let rows = aors.flat_map(|aor| {
            let qualify = &self.ctx.qualify;
            let fixed = aor.contacts.iter().map(|uri| {
                (
                    ContactKey::fixed(&aor.name, uri),
                    ContactRow {
                        aor: aor.name.clone(),
                        uri: uri.to_string(),
                        source: None,
                        user_agent: String::new(),
                        expires_in_s: None,
                        status: String::from("static"),
                        rtt_ms: None,
                    },
                )
            });
            let bindings = self.ctx.registrar.contacts(&aor.name);
            let registered = bindings
                .into_iter()
                .map(move |binding| (ContactKey::Bound(binding.id), row(now, binding)));
            let all = fixed.chain(registered);
            all.map(|(key, row)| qualify.with_reach(&key, row))
        });
        rows.collect()
    }
}

fn row(now: Instant, binding: &Binding) -> ContactRow {
    ContactRow {
        aor: binding.aor.clone(),
        uri: binding.contact.uri.to_string(),
        source: Some(binding.origin.flow.peer.to_string()),
        user_agent: binding.origin.user_agent.clone(),
        expires_in_s: Some(binding.expires_in_s(now)),
        status: String::from("registered"),
        rtt_ms: None,
    }
}

/// RFC 3261 §8.2.2.3.
fn check_extensions(request: &Request) -> Result<(), ResponseDraft> {
    let is_known = |option: &&str| {
        EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(option))
    };
    let required = request.headers().values("Require");
    let unknown: Vec<&str> = required.filter(|option| !is_known(option)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(ResponseDraft::new(420).header("Unsupported", unknown.join(", ")))
}

/// The address of record that To names (RFC 3261 §10.3 step 5), if it is one of the endpoint's. A phone knows its user
/// name and not how its section is called, so where there is one address of record the endpoint's name and the
/// username of its `auth` mean it too.
fn aor_of<'s>(setup: &'s Setup, endpoint: &Endpoint, request: &Request) -> Option<&'s Aor> {
    let user = request.headers().to().uri.user_decoded()?;
    if endpoint.aors.contains(&user) {
        return setup.aor_named(&user);
    }
    let auth = endpoint.auth.as_ref();
    let is_its = user == endpoint.name || auth.is_some_and(|auth| auth.username == user);
    match &endpoint.aors[..] {
        [only] if is_its => setup.aor_named(only),
        _ => None,
    }
}

fn bad(flow: Flow, endpoint: &Endpoint, what: &str) -> ResponseDraft {
    tracing::warn!(source = %flow.peer, endpoint = endpoint.name, what, "REGISTER refused with 400");
    let mut response = ResponseDraft::new(400);
    response.reason = what.to_owned();
    response
}

fn refusal(aor: &Aor, flow: Flow, refused: Refused) -> ResponseDraft {
    let response = match refused {
        // RFC 3261 §21.4.17
        Refused::TooBrief => {
            ResponseDraft::new(423).header("Min-Expires", aor.minimum_expiration.max(1))
        }
        Refused::OutOfOrder => ResponseDraft::new(500),
        Refused::TooMany => ResponseDraft::new(403),
    };
    let status = response.status;
    match refused {
        // The phone asks again with what we tell it.
        Refused::TooBrief => {
            tracing::debug!(source = %flow.peer, aor = aor.name, status, "REGISTER refused: too brief");
        }
        Refused::OutOfOrder => {
            tracing::info!(source = %flow.peer, aor = aor.name, status, "REGISTER refused: a newer one came before");
        }
        Refused::TooMany => {
            tracing::warn!(
                source = %flow.peer,
                aor = aor.name,
                max_contacts = aor.max_contacts,
                status,
                "REGISTER refused: there are as many contacts as there may be"
            );
        }
    }
    response
}

/// 200 with all bindings (RFC 3261 §10.3 step 8), the Path as it came (RFC 3327 §5.3), and whether RFC 5626 was applied
/// (its §6). A phone that reads so checks its flow: on a stream we answer its keep-alives, as a proxy does for it; the
/// STUN of its §4.4.2 over UDP we do not speak.
fn listed(now: Instant, registration: &Registration, bindings: &[&Binding]) -> ResponseDraft {
    let mut response = ResponseDraft::new(200);
    for binding in bindings {
        response = response.header("Contact", binding.contact_value(now));
    }
    for proxy in &registration.origin.path {
        response = response.header("Path", proxy);
    }
    let Origin { flow, path, .. } = &registration.origin;
    let is_kept = flow.protocol.is_reliable() || !path.is_empty();
    if registration.speaks_outbound() && is_kept {
        response = response.header("Require", "outbound");
    }
    response.header("Supported", EXTENSIONS.join(", "))
}

fn log_bound(binding: &Binding, is_new: bool) {
    let (aor, source) = (&binding.aor, binding.origin.flow.peer);
    let (contact, expires_s) = (&binding.contact.uri, binding.granted_s);
    if is_new {
        let user_agent = &binding.origin.user_agent;
        tracing::info!(aor, %contact, %source, expires_s, user_agent, "contact registered");
    } else {
        tracing::debug!(aor, %contact, %source, expires_s, "contact registered again");
    }
}

fn log_removed(binding: &Binding, why: Removal) {
    let (aor, contact, source) = (&binding.aor, &binding.contact.uri, binding.origin.flow.peer);
    tracing::info!(aor, %contact, %source, ?why, "contact gone");
}
