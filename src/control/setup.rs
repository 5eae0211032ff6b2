//! All that follows from one reading of the configuration, swapped whole at a reload. A running call keeps the one
//! that it began with.

use super::listening::Arranged;
use crate::config::settings::{Aor, Endpoint, EndpointId, Transport, TrunkGroup};
use crate::config::{Diagnostic, Settings};
use crate::control::admission::identify::Identifier;
use crate::control::dialplan::Dialplan;
use crate::control::gate::acl::AccessControl;
use rustc_hash::FxHashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The checked settings and the tables made from them.
#[derive(Debug)]
pub struct Setup {
    settings: Settings,
    endpoints_by_name: FxHashMap<String, EndpointId>,
    aors_by_name: FxHashMap<String, usize>,
    dialplan: Arc<Dialplan>,
    access: AccessControl,
    identifier: Identifier,
}

impl Setup {
    /// Compiles the dialplan and the tables for ACLs and identification.
    ///
    /// # Errors
    /// What is wrong, each with its place in the file; the warnings come along. Without an error the warnings come
    /// beside the setup.
    pub fn build(settings: Settings) -> Result<(Setup, Vec<Diagnostic>), Vec<Diagnostic>> {
        let endpoints_by_name: FxHashMap<String, EndpointId> = (0..)
            .zip(&settings.endpoints)
            .map(|(place, endpoint)| (endpoint.name.clone(), EndpointId(place)))
            .collect();
        let aors = settings.aors.iter().enumerate();
        let aors_by_name = aors.map(|(place, aor)| (aor.name.clone(), place)).collect();
        let is_dialable = |name: &str| {
            endpoints_by_name.contains_key(name) || settings.trunk_groups.contains_key(name)
        };
        let (dialplan, warnings) = Dialplan::compile(&settings.dialplan, &is_dialable)?;
        let setup = Setup {
            access: AccessControl::new(&settings.acls),
            identifier: Identifier::new(&settings),
            settings,
            endpoints_by_name,
            aors_by_name,
            dialplan: Arc::new(dialplan),
        };
        Ok((setup, warnings))
    }

    /// The same with its transports in the places of those that listen since the start, and what of them waits for a
    /// restart, a line each.
    pub fn with_transports_of(mut self, listening: &[Transport]) -> (Setup, Vec<String>) {
        let mut arranged = Arranged::new(listening, &self.settings.transports);
        let needs_restart = std::mem::take(&mut arranged.needs_restart);
        let moves = arranged.moves();
        arranged.apply(&mut self.settings);
        if moves {
            self.identifier = Identifier::new(&self.settings);
        }
        (self, needs_restart)
    }

    /// The compiled dialplan.
    pub fn dialplan(&self) -> &Arc<Dialplan> {
        &self.dialplan
    }

    /// The tables that tell an endpoint. Host names in them have no addresses yet.
    pub fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// True if this address may send SIP at all.
    pub fn permits(&self, source: IpAddr) -> bool {
        self.access.permits(source)
    }

    /// True if the endpoint's own ACLs let this address speak for it.
    pub fn permits_for(&self, endpoint: EndpointId, source: IpAddr) -> bool {
        self.access.permits_by(&self.endpoint(endpoint).acl, source)
    }

    /// The settings as checked.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The endpoint of that section name.
    pub fn endpoint_named(&self, name: &str) -> Option<EndpointId> {
        self.endpoints_by_name.get(name).copied()
    }

    /// The settings of an endpoint.
    pub fn endpoint(&self, id: EndpointId) -> &Endpoint {
        &self.settings.endpoints[id.0 as usize]
    }

    /// The address of record of that name.
    pub fn aor_named(&self, name: &str) -> Option<&Aor> {
        let place = self.aors_by_name.get(name)?;
        self.settings.aors.get(*place)
    }

    /// The trunk group of that section name.
    pub fn trunk_group(&self, name: &str) -> Option<&TrunkGroup> {
        self.settings.trunk_groups.get(name)
    }
}
