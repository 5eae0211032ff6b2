//! How many calls each endpoint has, and how fast they come: `max_calls` and `cps`.

use crate::config::settings::Endpoint;
use crate::control::gate::token_bucket::{Rate, TokenBucket};
use crate::metrics::{ControlMetrics, EndpointMetrics};
use rustc_hash::FxHashMap;
use std::time::Instant;

/// Which limit a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// `max_calls`
    Calls,
    /// `cps`
    Rate,
}

#[derive(Debug)]
struct Entry {
    calls: u32,
    /// Calls that may come now, by `cps`.
    bucket: TokenBucket,
    metrics: EndpointMetrics,
}

/// By endpoint name, so that it outlives a reload.
#[derive(Debug, Default)]
pub struct Load {
    endpoints: FxHashMap<String, Entry>,
}

impl Load {
    /// Counts a call of this endpoint, in or out, if its limits allow it. Every `Ok` is followed by one
    /// [`Load::release`].
    ///
    /// # Errors
    /// Which limit it is over.
    pub fn admit(
        &mut self,
        now: Instant,
        endpoint: &Endpoint,
        metrics: &ControlMetrics,
    ) -> Result<(), Over> {
        let entry = self.entry(&endpoint.name, metrics);
        if endpoint.max_calls.is_some_and(|max| entry.calls >= max) {
            return Err(Over::Calls);
        }
        let is_within = |cps| entry.bucket.take(now, Rate::per_second(cps));
        if !endpoint.cps.is_none_or(is_within) {
            return Err(Over::Rate);
        }
        entry.calls += 1;
        Ok(())
    }

    /// A call that was admitted is over.
    pub fn release(&mut self, endpoint: &str) {
        if let Some(entry) = self.endpoints.get_mut(endpoint) {
            entry.calls = entry.calls.saturating_sub(1);
        }
    }

    /// Calls of this endpoint now.
    pub fn calls(&self, endpoint: &str) -> u32 {
        self.endpoints.get(endpoint).map_or(0, |entry| entry.calls)
    }

    /// Calls of all endpoints now; one through the gateway counts on both sides.
    pub fn calls_in_all(&self) -> u32 {
        self.endpoints.values().map(|entry| entry.calls).sum()
    }

    /// The metrics of an endpoint.
    pub fn metrics(&mut self, endpoint: &str, metrics: &ControlMetrics) -> &EndpointMetrics {
        &self.entry(endpoint, metrics).metrics
    }

    fn entry(&mut self, endpoint: &str, metrics: &ControlMetrics) -> &mut Entry {
        if !self.endpoints.contains_key(endpoint) {
            let entry = Entry {
                calls: 0,
                bucket: TokenBucket::default(),
                metrics: metrics.endpoint(endpoint),
            };
            self.endpoints.insert(endpoint.to_owned(), entry);
        }
        self.endpoints
            .get_mut(endpoint)
            .expect("inserted if it was not there")
    }
}
