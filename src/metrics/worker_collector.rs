//! Turns the workers' cells into metric families at a scrape.

use super::catalogue::{self, Metric};
use super::control_metrics::Direction;
use super::worker_cells::{Path, RtpDrop, WorkerCells};
use prometheus::core::{Collector, Desc};
use prometheus::proto;
use std::sync::Arc;

/// The cells of every worker, by the worker's number.
pub struct WorkerCollector {
    workers: Vec<Arc<WorkerCells>>,
    descs: Vec<Desc>,
}

const METRICS: [Metric; 6] = [
    catalogue::RTP_PACKETS_TOTAL,
    catalogue::RTP_BYTES_TOTAL,
    catalogue::RTP_DROPPED_TOTAL,
    catalogue::RTP_RELAY_LATENCY_SECONDS,
    catalogue::RTP_SESSIONS_ACTIVE,
    catalogue::WORKER_BUSY_RATIO,
];

impl WorkerCollector {
    /// A collector of these workers' cells.
    pub fn new(workers: Vec<Arc<WorkerCells>>) -> WorkerCollector {
        let descs = METRICS.iter().map(|metric| {
            let labels = metric.labels.iter().map(|l| String::from(*l)).collect();
            Desc::new(
                metric.name.into(),
                metric.help.into(),
                labels,
                Default::default(),
            )
            .expect("the catalogue's names and labels are well formed")
        });
        WorkerCollector {
            descs: descs.collect(),
            workers,
        }
    }

    /// One family: what `samples` gives for each worker, the worker's label put first.
    fn family(
        &self,
        metric: &Metric,
        mut samples: impl FnMut(&WorkerCells, &mut Vec<(Vec<&'static str>, Value)>),
    ) -> proto::MetricFamily {
        let mut rows = Vec::new();
        for (number, cells) in self.workers.iter().enumerate() {
            let number = number.to_string();
            let mut values = Vec::new();
            samples(cells, &mut values);
            for (labels, value) in values {
                let labels = std::iter::once(number.as_str()).chain(labels);
                rows.push(row(metric.labels.iter().copied().zip(labels), value));
            }
        }
        let mut family = proto::MetricFamily::default();
        family.set_name(metric.name.into());
        family.set_help(metric.help.into());
        family.set_field_type(match metric.kind {
            catalogue::Kind::Counter => proto::MetricType::COUNTER,
            catalogue::Kind::Gauge => proto::MetricType::GAUGE,
            catalogue::Kind::Histogram => proto::MetricType::HISTOGRAM,
        });
        family.set_metric(rows);
        family
    }
}

enum Value {
    Counter(u64),
    Gauge(f64),
    Histogram(proto::Histogram),
}

fn row<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>, value: Value) -> proto::Metric {
    let mut row = proto::Metric::default();
    row.set_label(
        labels
            .map(|(name, value)| {
                let mut pair = proto::LabelPair::default();
                pair.set_name(name.into());
                pair.set_value(value.into());
                pair
            })
            .collect(),
    );
    match value {
        Value::Counter(n) => {
            let mut counter = proto::Counter::default();
            counter.set_value(n as f64);
            row.set_counter(counter);
        }
        Value::Gauge(n) => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(n);
            row.set_gauge(gauge);
        }
        Value::Histogram(histogram) => row.set_histogram(histogram),
    }
    row
}

fn latency_histogram(cells: &WorkerCells) -> proto::Histogram {
    let latency = cells.latencies();
    let mut histogram = proto::Histogram::default();
    histogram.set_sample_count(latency.count());
    histogram.set_sample_sum(latency.sum_ns as f64 / 1e9);
    histogram.set_bucket(
        latency
            .cumulative()
            .into_iter()
            .map(|(bound, count)| {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(bound);
                bucket.set_cumulative_count(count);
                bucket
            })
            .collect(),
    );
    histogram
}

impl Collector for WorkerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let traffic = |read: fn(&WorkerCells, Direction, Path) -> u64| {
            move |cells: &WorkerCells, rows: &mut Vec<(Vec<&'static str>, Value)>| {
                for direction in Direction::ALL {
                    for path in Path::ALL {
                        let labels = vec![direction.label(), path.label()];
                        rows.push((labels, Value::Counter(read(cells, direction, path))));
                    }
                }
            }
        };
        vec![
            self.family(&catalogue::RTP_PACKETS_TOTAL, traffic(WorkerCells::packets)),
            self.family(&catalogue::RTP_BYTES_TOTAL, traffic(WorkerCells::bytes)),
            self.family(&catalogue::RTP_DROPPED_TOTAL, |cells, rows| {
                for reason in RtpDrop::ALL {
                    rows.push((vec![reason.label()], Value::Counter(cells.drops(reason))));
                }
            }),
            self.family(&catalogue::RTP_RELAY_LATENCY_SECONDS, |cells, rows| {
                rows.push((vec![], Value::Histogram(latency_histogram(cells))));
            }),
            self.family(&catalogue::RTP_SESSIONS_ACTIVE, |cells, rows| {
                for path in Path::ALL {
                    let legs = cells.sessions(path) as f64;
                    rows.push((vec![path.label()], Value::Gauge(legs)));
                }
            }),
            self.family(&catalogue::WORKER_BUSY_RATIO, |cells, rows| {
                rows.push((vec![], Value::Gauge(cells.busy_ratio())));
            }),
        ]
    }
}
