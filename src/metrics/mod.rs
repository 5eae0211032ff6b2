//! Metrics: the catalogue has every name once; control keeps `prometheus` counters, each worker plain cells of its own
//! that are collected at a scrape.
//!
//! Labels are bounded: endpoints and transports are configured names, methods are known ones or `other`, codes are
//! three digits, reasons are enums. Nothing that a stranger sends becomes a label.

pub mod catalogue;
pub mod control_metrics;
pub mod exposition;
pub mod latency;
mod reach;
mod recording_metrics;
mod register;
pub mod worker_cells;
pub mod worker_collector;

pub use control_metrics::{
    CallResult, ConnectionEnd, ContactsGauge, ControlMetrics, Direction, EndpointMetrics,
    RejectReason,
};
pub use exposition::Format;
pub use latency::Latency;
pub use reach::ReachGauges;
pub use recording_metrics::RecordingMetrics;
pub use worker_cells::{Path, RtpDrop, WorkerCells};
pub use worker_collector::WorkerCollector;
