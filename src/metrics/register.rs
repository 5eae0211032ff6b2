//! Collectors made of the catalogue's rows and registered, each once.

use super::catalogue::Metric;
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry,
};

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = made.expect("the catalogue's names and labels are well formed");
    registry
        .register(Box::new(collector.clone()))
        .expect("the catalogue has each name once, and each is registered once");
    collector
}

pub(super) fn counter(registry: &Registry, metric: &Metric) -> IntCounter {
    registered(registry, IntCounter::with_opts(metric.opts()))
}

pub(super) fn gauge(registry: &Registry, metric: &Metric) -> IntGauge {
    registered(registry, IntGauge::with_opts(metric.opts()))
}

pub(super) fn counters(registry: &Registry, metric: &Metric) -> IntCounterVec {
    registered(registry, IntCounterVec::new(metric.opts(), metric.labels))
}

pub(super) fn gauges(registry: &Registry, metric: &Metric) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(metric.opts(), metric.labels))
}

pub(super) fn float_gauges(registry: &Registry, metric: &Metric) -> GaugeVec {
    registered(registry, GaugeVec::new(metric.opts(), metric.labels))
}

pub(super) fn histograms(registry: &Registry, metric: &Metric, bounds: &[f64]) -> HistogramVec {
    let opts = HistogramOpts::from(metric.opts()).buckets(bounds.to_vec());
    registered(registry, HistogramVec::new(opts, metric.labels))
}
