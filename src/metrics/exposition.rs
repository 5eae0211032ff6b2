//! Metric families as text: the Prometheus format, and OpenMetrics 1.0 for a scraper that asks for it.

use prometheus::TextEncoder;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::fmt::Write;

/// The two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What the Accept header prefers; text if it says nothing of OpenMetrics (RFC 9110 §12.5.1).
    pub fn negotiate(accept: Option<&str>) -> Format {
        let mut open = 0.0;
        let mut text = 0.0;
        for range in accept.unwrap_or("text/plain").split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |q| q.parse().unwrap_or(0.0));
            match kind.to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => open = f64::max(open, quality),
                "text/plain" | "text/*" | "*/*" => text = f64::max(text, quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= text {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }

    /// The Content-Type of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The families in this format.
    pub fn encode(self, families: &[MetricFamily]) -> String {
        match self {
            Format::Text => TextEncoder::new()
                .encode_to_string(families)
                .expect("a family that was gathered has a name and a sample"),
            Format::OpenMetrics => open_metrics(families),
        }
    }
}

fn open_metrics(families: &[MetricFamily]) -> String {
    let mut out = String::new();
    for family in families {
        let kind = family.get_field_type();
        // OpenMetrics 1.0, "Counter": the family has no suffix, its sample has _total.
        let name = match kind {
            MetricType::COUNTER => family
                .name()
                .strip_suffix("_total")
                .unwrap_or(family.name()),
            _ => family.name(),
        };
        let kind_name = match kind {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        let _ = writeln!(out, "# TYPE {name} {kind_name}");
        let _ = writeln!(out, "# HELP {name} {}", escaped(family.help()));
        for metric in family.get_metric() {
            match kind {
                MetricType::COUNTER => {
                    sample(
                        &mut out,
                        name,
                        "_total",
                        metric,
                        None,
                        metric.get_counter().get_value(),
                    );
                }
                MetricType::GAUGE => {
                    sample(
                        &mut out,
                        name,
                        "",
                        metric,
                        None,
                        metric.get_gauge().get_value(),
                    );
                }
                _ => histogram(&mut out, name, metric),
            }
        }
    }
    out.push_str("# EOF\n");
    out
}

fn histogram(out: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count() as f64;
    for bucket in histogram.get_bucket() {
        let bound = bucket.upper_bound();
        if bound.is_finite() {
            let below = bucket.cumulative_count() as f64;
            // `{:?}` writes 1.0 where `{}` writes 1: OpenMetrics wants a float in `le`.
            sample(
                out,
                name,
                "_bucket",
                metric,
                Some(&format!("{bound:?}")),
                below,
            );
        }
    }
    sample(out, name, "_bucket", metric, Some("+Inf"), count);
    sample(out, name, "_sum", metric, None, histogram.get_sample_sum());
    sample(out, name, "_count", metric, None, count);
}

fn sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    metric: &Metric,
    le: Option<&str>,
    value: f64,
) {
    out.push_str(name);
    out.push_str(suffix);
    let labels = metric
        .get_label()
        .iter()
        .map(|pair| (pair.name(), pair.value()));
    let mut separator = '{';
    for (label, value) in labels.chain(le.map(|bound| ("le", bound))) {
        let _ = write!(out, "{separator}{label}=\"{}\"", escaped(value));
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scraper_gets_the_format_that_it_prefers() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        assert_eq!(Format::negotiate(Some(prometheus)), Format::OpenMetrics);
        for accept in [
            None,
            Some("*/*"),
            Some("text/plain"),
            Some("text/html"),
            Some("text/plain, application/openmetrics-text;q=0.1"),
            Some("application/openmetrics-text;q=0"),
            Some("application/openmetrics-text;q=x"),
        ] {
            assert_eq!(Format::negotiate(accept), Format::Text, "{accept:?}");
        }
    }

    #[test]
    fn open_metrics_names_counters_without_suffix_and_ends_with_eof() {
        let registry = prometheus::Registry::new();
        let counter = prometheus::IntCounterVec::new(
            prometheus::Opts::new("ringway_tests_total", "Tests \"run\"."),
            &["name"],
        )
        .expect("a good name");
        let histogram = prometheus::Histogram::with_opts(
            prometheus::HistogramOpts::new("ringway_test_seconds", "Time.").buckets(vec![0.5, 1.0]),
        )
        .expect("a good name");
        registry.register(Box::new(counter.clone())).expect("once");
        registry
            .register(Box::new(histogram.clone()))
            .expect("once");
        counter.with_label_values(&["a\"b\\c"]).inc_by(2);
        histogram.observe(0.75);
        assert_eq!(
            Format::OpenMetrics.encode(&registry.gather()),
            "# TYPE ringway_test_seconds histogram\n\
             # HELP ringway_test_seconds Time.\n\
             ringway_test_seconds_bucket{le=\"0.5\"} 0\n\
             ringway_test_seconds_bucket{le=\"1.0\"} 1\n\
             ringway_test_seconds_bucket{le=\"+Inf\"} 1\n\
             ringway_test_seconds_sum 0.75\n\
             ringway_test_seconds_count 1\n\
             # TYPE ringway_tests counter\n\
             # HELP ringway_tests Tests \\\"run\\\".\n\
             ringway_tests_total{name=\"a\\\"b\\\\c\"} 2\n\
             # EOF\n"
        );
    }
}
