//! What the control thread counts.

use super::catalogue;
use super::reach::ReachGauges;
use super::recording_metrics::RecordingMetrics;
use super::register::{counter, counters, float_gauges, gauge, gauges, histograms};
use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
};
use std::time::Duration;

/// The `direction` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards us.
    In,
    /// From us.
    Out,
}

impl Direction {
    /// Both, in the order of their numbers.
    pub const ALL: [Direction; 2] = [Direction::In, Direction::Out];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            Direction::In => "in",
            Direction::Out => "out",
        }
    }
}

/// How a call's setup ended: the `result` label of `ringway_calls_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallResult {
    /// 2xx.
    Answered,
    /// 486, 600.
    Busy,
    /// Rang until the time was over, or 408, 480.
    NoAnswer,
    /// Any other failure on the way.
    Failed,
    /// Refused by us or by the far side for policy: 401, 403, 603, a limit, no extension.
    Rejected,
    /// The caller gave up.
    Cancelled,
}

impl CallResult {
    /// All of them, in the order of their numbers.
    pub const ALL: [CallResult; 6] = [
        CallResult::Answered,
        CallResult::Busy,
        CallResult::NoAnswer,
        CallResult::Failed,
        CallResult::Rejected,
        CallResult::Cancelled,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            CallResult::Answered => "answered",
            CallResult::Busy => "busy",
            CallResult::NoAnswer => "no_answer",
            CallResult::Failed => "failed",
            CallResult::Rejected => "rejected",
            CallResult::Cancelled => "cancelled",
        }
    }
}

/// Why something was turned away: the `reason` label of `ringway_sip_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// An ACL denies the source.
    Acl,
    /// No endpoint matches.
    Unidentified,
    /// No endpoint matches, but one has an address next to it.
    Neighbour,
    /// Wrong or missing credentials.
    Auth,
    /// Not SIP, or not good SIP.
    Malformed,
    /// More new calls a second than the endpoint may make (`cps`).
    Rate,
    /// A table or queue of ours is full.
    Overload,
    /// `max_calls` of an endpoint or of the gateway, or too many connections.
    Limit,
    /// The source is banned.
    Banned,
}

impl RejectReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [RejectReason; 9] = [
        RejectReason::Acl,
        RejectReason::Unidentified,
        RejectReason::Neighbour,
        RejectReason::Auth,
        RejectReason::Malformed,
        RejectReason::Rate,
        RejectReason::Overload,
        RejectReason::Limit,
        RejectReason::Banned,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            RejectReason::Acl => "acl",
            RejectReason::Unidentified => "unidentified",
            RejectReason::Neighbour => "neighbour",
            RejectReason::Auth => "auth",
            RejectReason::Malformed => "malformed",
            RejectReason::Rate => "rate",
            RejectReason::Overload => "overload",
            RejectReason::Limit => "limit",
            RejectReason::Banned => "banned",
        }
    }
}

/// Why a stream connection ended: the `reason` label of `ringway_sip_connections_ended_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionEnd {
    /// The peer closed it.
    Peer,
    /// An error of the operating system.
    Error,
    /// It could not be opened, or not in time.
    Unreachable,
    /// TLS was not agreed on, or not in time.
    Handshake,
    /// Nothing came for too long.
    Idle,
    /// The peer did not show in time that we know it.
    Stranger,
    /// The peer did not take what we sent, and the queue to it is full.
    Slow,
    /// We closed it: its framing was lost, or its message was over the limit.
    Framing,
    /// The gateway stopped.
    Shutdown,
}

impl ConnectionEnd {
    /// All of them, in the order of their numbers.
    pub const ALL: [ConnectionEnd; 9] = [
        ConnectionEnd::Peer,
        ConnectionEnd::Error,
        ConnectionEnd::Unreachable,
        ConnectionEnd::Handshake,
        ConnectionEnd::Idle,
        ConnectionEnd::Stranger,
        ConnectionEnd::Slow,
        ConnectionEnd::Framing,
        ConnectionEnd::Shutdown,
    ];

    /// The label's value.
    pub fn label(self) -> &'static str {
        match self {
            ConnectionEnd::Peer => "peer",
            ConnectionEnd::Error => "error",
            ConnectionEnd::Unreachable => "unreachable",
            ConnectionEnd::Handshake => "handshake",
            ConnectionEnd::Idle => "idle",
            ConnectionEnd::Stranger => "stranger",
            ConnectionEnd::Slow => "slow",
            ConnectionEnd::Framing => "framing",
            ConnectionEnd::Shutdown => "shutdown",
        }
    }
}

/// The methods that have a label of their own (RFC 3261 and its extensions); every other name is `other`, so that a
/// stranger cannot grow the set.
const METHODS: [&str; 14] = [
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "INFO",
    "UPDATE",
    "PRACK",
    "REFER",
    "NOTIFY",
    "SUBSCRIBE",
    "MESSAGE",
    "PUBLISH",
];

/// Seconds; a call is set up in milliseconds to a minute or two.
const SETUP_BOUNDS_S: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0,
];
/// Seconds; a call lasts from a second to hours.
const DURATION_BOUNDS_S: &[f64] = &[
    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0,
];
/// Seconds; one packet lasts 0.02.
/// G.107 annex B calls 4.34 very satisfied, 4.03 satisfied, 3.60 some dissatisfied, 3.10 many, 2.58 nearly all.
const MOS_BOUNDS: &[f64] = &[1.5, 2.0, 2.58, 3.1, 3.6, 4.03, 4.2, 4.34, 4.5];

const JITTER_BOUNDS_S: &[f64] = &[
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5,
];

/// All that control counts, with the registry that a scrape gathers. One a gateway.
#[derive(Debug)]
pub struct ControlMetrics {
    registry: Registry,
    calls_active: IntGaugeVec,
    calls_total: IntCounterVec,
    call_setup: HistogramVec,
    call_post_dial_delay: HistogramVec,
    call_duration: HistogramVec,
    rtp_lost: IntCounterVec,
    rtp_jitter: HistogramVec,
    rtp_mos: HistogramVec,
    rtp_round_trip: HistogramVec,
    contacts: IntGaugeVec,
    reachable: IntGaugeVec,
    rtt: GaugeVec,
    sip_requests: IntCounterVec,
    sip_responses: IntCounterVec,
    rejected: [IntCounter; RejectReason::ALL.len()],
    retransmissions: IntCounter,
    transactions: IntGauge,
    datagrams_dropped: IntCounter,
    connections: IntGaugeVec,
    connections_ended: [IntCounter; ConnectionEnd::ALL.len()],
    registrations: IntGaugeVec,
    ports_in_use: IntGauge,
    ports_total: IntGauge,
    commands_refused: IntCounterVec,
    task_panics: IntCounter,
    log_lines_dropped: IntCounter,
    reload_success: IntGauge,
    store_lost: IntCounter,
    /// What is recorded.
    pub recordings: RecordingMetrics,
}

impl Default for ControlMetrics {
    fn default() -> Self {
        ControlMetrics::new()
    }
}

impl ControlMetrics {
    /// All zero.
    pub fn new() -> ControlMetrics {
        let registry = Registry::new();
        let r = &registry;
        let rejected = counters(r, &catalogue::SIP_REJECTED_TOTAL);
        let ended = counters(r, &catalogue::SIP_CONNECTIONS_ENDED_TOTAL);
        gauges(r, &catalogue::BUILD_INFO)
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        ControlMetrics {
            calls_active: gauges(r, &catalogue::CALLS_ACTIVE),
            calls_total: counters(r, &catalogue::CALLS_TOTAL),
            call_setup: histograms(r, &catalogue::CALL_SETUP_SECONDS, SETUP_BOUNDS_S),
            call_post_dial_delay: histograms(
                r,
                &catalogue::CALL_POST_DIAL_DELAY_SECONDS,
                SETUP_BOUNDS_S,
            ),
            call_duration: histograms(r, &catalogue::CALL_DURATION_SECONDS, DURATION_BOUNDS_S),
            rtp_lost: counters(r, &catalogue::RTP_LOST_PACKETS_TOTAL),
            rtp_jitter: histograms(r, &catalogue::RTP_JITTER_SECONDS, JITTER_BOUNDS_S),
            rtp_mos: histograms(r, &catalogue::RTP_MOS, MOS_BOUNDS),
            rtp_round_trip: histograms(r, &catalogue::RTP_ROUND_TRIP_SECONDS, JITTER_BOUNDS_S),
            contacts: gauges(r, &catalogue::CONTACTS),
            reachable: gauges(r, &catalogue::CONTACT_REACHABLE),
            rtt: float_gauges(r, &catalogue::CONTACT_RTT_SECONDS),
            sip_requests: counters(r, &catalogue::SIP_REQUESTS_TOTAL),
            sip_responses: counters(r, &catalogue::SIP_RESPONSES_TOTAL),
            rejected: RejectReason::ALL.map(|reason| rejected.with_label_values(&[reason.label()])),
            retransmissions: counter(r, &catalogue::SIP_RETRANSMISSIONS_TOTAL),
            transactions: gauge(r, &catalogue::SIP_TRANSACTIONS_ACTIVE),
            datagrams_dropped: counter(r, &catalogue::SIP_DATAGRAMS_DROPPED_TOTAL),
            connections: gauges(r, &catalogue::SIP_CONNECTIONS_ACTIVE),
            connections_ended: ConnectionEnd::ALL
                .map(|end| ended.with_label_values(&[end.label()])),
            registrations: gauges(r, &catalogue::REGISTRATION_STATE),
            ports_in_use: gauge(r, &catalogue::RTP_PORTS_IN_USE),
            ports_total: gauge(r, &catalogue::RTP_PORTS_TOTAL),
            commands_refused: counters(r, &catalogue::MEDIA_COMMANDS_REFUSED_TOTAL),
            task_panics: counter(r, &catalogue::TASK_PANICS_TOTAL),
            log_lines_dropped: counter(r, &catalogue::LOG_LINES_DROPPED_TOTAL),
            reload_success: gauge(r, &catalogue::CONFIG_LAST_RELOAD_SUCCESS),
            store_lost: counter(r, &catalogue::STORE_CHANGES_LOST_TOTAL),
            recordings: RecordingMetrics::new(r),
            registry,
        }
    }

    /// Where a collector of the workers' cells or of the process is added.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The handles of one endpoint. `name` must be a configured one. Keep them: this looks them up.
    pub fn endpoint(&self, name: &str) -> EndpointMetrics {
        EndpointMetrics {
            active: Direction::ALL.map(|d| self.calls_active.with_label_values(&[name, d.label()])),
            ended: Direction::ALL.map(|d| {
                CallResult::ALL.map(|result| {
                    self.calls_total
                        .with_label_values(&[name, d.label(), result.label()])
                })
            }),
            setup: self.call_setup.with_label_values(&[name]),
            post_dial_delay: self.call_post_dial_delay.with_label_values(&[name]),
            duration: self.call_duration.with_label_values(&[name]),
            rtp_lost: self.rtp_lost.with_label_values(&[name]),
            rtp_jitter: self.rtp_jitter.with_label_values(&[name]),
            rtp_mos: self.rtp_mos.with_label_values(&[name]),
            rtp_round_trip: self.rtp_round_trip.with_label_values(&[name]),
        }
    }

    /// The handle of one address of record. `aor` must be a configured one. Keep it: this looks it up.
    pub fn contacts(&self, aor: &str) -> ContactsGauge {
        ContactsGauge(self.contacts.with_label_values(&[aor]))
    }

    /// An address of record is no longer configured.
    pub fn forget_contacts(&self, aor: &str) {
        // It was there unless somebody has forgotten it before.
        let _ = self.contacts.remove_label_values(&[aor]);
    }

    /// Calls that endpoints have made to us since the start, those that run included.
    pub fn calls_received(&self) -> u64 {
        let towards_us = |metric: &&prometheus::proto::Metric| {
            let mut labels = metric.get_label().iter();
            labels
                .any(|label| label.name() == "direction" && label.value() == Direction::In.label())
        };
        let sum = |families: Vec<prometheus::proto::MetricFamily>,
                   value: fn(&prometheus::proto::Metric) -> f64| {
            let metrics = families.iter().flat_map(|family| family.get_metric());
            metrics.filter(towards_us).map(value).sum::<f64>()
        };
        let ended = sum(self.calls_total.collect(), |metric| {
            metric.get_counter().get_value()
        });
        let running = sum(self.calls_active.collect(), |metric| {
            metric.get_gauge().get_value()
        });
        (ended + running).max(0.0) as u64
    }

    /// Counts one request. `transport` must be a configured name; any `method` will do.
    pub fn sip_request(&self, transport: &str, method: &str, direction: Direction) {
        let method = METHODS
            .into_iter()
            .find(|known| *known == method)
            .unwrap_or("other");
        self.sip_requests
            .with_label_values(&[transport, method, direction.label()])
            .inc();
    }

    /// Counts one response. `transport` must be a configured name.
    pub fn sip_response(&self, transport: &str, code: u16, direction: Direction) {
        let digits = code.to_string();
        let code = if (100..=699).contains(&code) {
            digits.as_str()
        } else {
            "other"
        };
        self.sip_responses
            .with_label_values(&[transport, code, direction.label()])
            .inc();
    }

    /// Counts something turned away.
    pub fn rejected(&self, reason: RejectReason) {
        self.rejected[reason as usize].inc();
    }

    /// How much was turned away so far, by reason.
    pub fn rejections(&self) -> impl Iterator<Item = (RejectReason, u64)> {
        RejectReason::ALL
            .into_iter()
            .map(|reason| (reason, self.rejected[reason as usize].get()))
    }

    /// Tells how many SIP messages were sent again since the start; never fewer than last time.
    pub fn set_retransmissions(&self, total: u64) {
        self.retransmissions
            .inc_by(total.saturating_sub(self.retransmissions.get()));
    }

    /// Tells how many SIP transactions there are.
    pub fn set_transactions(&self, now: usize) {
        self.transactions.set(now as i64);
    }

    /// A SIP datagram found the socket's send buffer full.
    pub fn datagram_dropped(&self) {
        self.datagrams_dropped.inc();
    }

    /// A stream connection has opened. `transport` must be a configured name.
    pub fn connection_opened(&self, transport: &str) {
        self.connections.with_label_values(&[transport]).inc();
    }

    /// One that had opened has ended, or one could not be opened (`opened` false).
    pub fn connection_ended(&self, transport: &str, opened: bool, why: ConnectionEnd) {
        if opened {
            self.connections.with_label_values(&[transport]).dec();
        }
        self.connections_ended[why as usize].inc();
    }

    /// Stream connections open now on this transport.
    pub fn connections(&self, transport: &str) -> u64 {
        self.connections
            .with_label_values(&[transport])
            .get()
            .max(0) as u64
    }

    /// The handles of the contacts of one address of record that are asked whether they are there.
    pub fn reach(&self, aor: &str) -> ReachGauges {
        ReachGauges::new(aor, &self.reachable, &self.rtt)
    }

    /// Tells whether a registration of ours stands. `name` must be a configured one.
    pub fn set_registration(&self, name: &str, stands: bool) {
        let gauge = self.registrations.with_label_values(&[name]);
        gauge.set(i64::from(stands));
    }

    /// A registration is no longer configured.
    pub fn remove_registration(&self, name: &str) {
        // One that was never told has nothing to remove.
        let _ = self.registrations.remove_label_values(&[name]);
    }

    /// Tells how many RTP port pairs are leased, of how many.
    pub fn set_ports(&self, in_use: u64, total: u64) {
        self.ports_in_use.set(in_use as i64);
        self.ports_total.set(total as i64);
    }

    /// The queue to this worker was full.
    pub fn command_refused(&self, worker: u16) {
        self.commands_refused
            .with_label_values(&[&worker.to_string()])
            .inc();
    }

    /// A task panicked, and the gateway went on.
    pub fn task_panicked(&self) {
        self.task_panics.inc();
    }

    /// Tells how many log lines were given up since the start; never fewer than last time.
    pub fn set_log_lines_dropped(&self, total: u64) {
        self.log_lines_dropped
            .inc_by(total.saturating_sub(self.log_lines_dropped.get()));
    }

    /// Tells how the last reading of the configuration went.
    pub fn set_reload_success(&self, success: bool) {
        self.reload_success.set(i64::from(success));
    }

    /// So many changes were not stored.
    pub fn store_changes_lost(&self, count: u64) {
        self.store_lost.inc_by(count);
    }

    /// Changes that were not stored, so far.
    pub fn store_lost(&self) -> u64 {
        self.store_lost.get()
    }

    /// How the last reading of the configuration went.
    pub fn reload_success(&self) -> bool {
        self.reload_success.get() == 1
    }
}

/// How many contacts are registered as one address of record.
#[derive(Clone, Debug)]
pub struct ContactsGauge(IntGauge);

impl ContactsGauge {
    /// So many now.
    pub fn set(&self, count: usize) {
        self.0.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// The handles of one endpoint, cheap to keep and to clone.
#[derive(Clone, Debug)]
pub struct EndpointMetrics {
    active: [IntGauge; 2],
    ended: [[IntCounter; CallResult::ALL.len()]; 2],
    setup: Histogram,
    post_dial_delay: Histogram,
    duration: Histogram,
    rtp_lost: IntCounter,
    rtp_jitter: Histogram,
    rtp_mos: Histogram,
    rtp_round_trip: Histogram,
}

impl EndpointMetrics {
    /// A call begins (in: the endpoint called us; out: we call it).
    pub fn call_started(&self, direction: Direction) {
        self.active[direction as usize].inc();
    }

    /// A call that had begun is over; this is how its setup ended.
    pub fn call_ended(&self, direction: Direction, result: CallResult) {
        self.active[direction as usize].dec();
        self.ended[direction as usize][result as usize].inc();
    }

    /// Calls now.
    pub fn calls_active(&self, direction: Direction) -> u64 {
        self.active[direction as usize].get().max(0) as u64
    }

    /// Calls that have ended.
    pub fn calls_ended(&self, direction: Direction, result: CallResult) -> u64 {
        self.ended[direction as usize][result as usize].get()
    }

    /// From INVITE to the first final answer.
    pub fn setup(&self, took: Duration) {
        self.setup.observe(took.as_secs_f64());
    }

    /// From INVITE to the first ringing.
    pub fn post_dial_delay(&self, took: Duration) {
        self.post_dial_delay.observe(took.as_secs_f64());
    }

    /// From the answer to the end.
    pub fn duration(&self, took: Duration) {
        self.duration.observe(took.as_secs_f64());
    }

    /// What a leg of the endpoint received, when it is over: packets lost (duplicates may make it negative: none
    /// lost), and the jitter.
    pub fn received(&self, lost: i64, jitter: Duration) {
        self.rtp_lost.inc_by(u64::try_from(lost).unwrap_or(0));
        self.rtp_jitter.observe(jitter.as_secs_f64());
    }

    /// How good that was, 1 to 4.5 (ITU-T G.107), and the way there and back; of a leg that is over, as far as known.
    pub fn quality(&self, mos: Option<f32>, round_trip: Option<Duration>) {
        if let Some(mos) = mos {
            self.rtp_mos.observe(mos.into());
        }
        if let Some(round_trip) = round_trip {
            self.rtp_round_trip.observe(round_trip.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Path, RtpDrop, WorkerCells, WorkerCollector};
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    /// A gateway's metrics with something counted in each.
    fn busy_gateway() -> ControlMetrics {
        let metrics = ControlMetrics::new();
        let trunk = metrics.endpoint("trunk");
        trunk.call_started(Direction::In);
        trunk.call_started(Direction::In);
        trunk.call_ended(Direction::In, CallResult::Answered);
        trunk.setup(Duration::from_millis(30));
        trunk.post_dial_delay(Duration::from_millis(20));
        trunk.duration(Duration::from_secs(3));
        trunk.received(-2, Duration::from_millis(1));
        metrics.contacts("6001").set(2);
        let reach = metrics.reach("trunk");
        reach.set(1, Some(Duration::from_millis(20)));
        // Kept for the time that the metrics are looked at.
        std::mem::forget(reach);
        metrics.sip_request("udp", "INVITE", Direction::In);
        metrics.sip_request("udp", "HACK", Direction::In);
        metrics.sip_response("udp", 200, Direction::Out);
        metrics.rejected(RejectReason::Acl);
        metrics.set_retransmissions(7);
        metrics.set_retransmissions(5);
        metrics.connection_opened("tcp");
        metrics.set_registration("provider", true);
        metrics.command_refused(0);
        let cells = WorkerCells::new();
        cells.count(Direction::In, Path::Relay, 5, 860);
        cells.dropped(RtpDrop::WrongSource, 2);
        cells.latency(150_000);
        cells.set_sessions(Path::Relay, 4);
        cells.set_busy_ratio(0.5);
        let collector = WorkerCollector::new(vec![Arc::new(cells)]);
        metrics
            .registry()
            .register(Box::new(collector))
            .expect("registered once");
        metrics
    }

    #[test]
    fn what_is_exported_is_what_the_catalogue_lists() {
        let families = busy_gateway().registry().gather();
        let exported: Vec<&str> = families.iter().map(|family| family.name()).collect();
        let mut listed: Vec<&str> = catalogue::ALL.iter().map(|metric| metric.name).collect();
        listed.sort_unstable();
        assert_eq!(exported, listed);
        for family in &families {
            let metric = catalogue::ALL
                .iter()
                .find(|m| m.name == family.name())
                .expect("listed");
            let kind = format!("{:?}", family.get_field_type()).to_lowercase();
            assert_eq!(kind, metric.kind.name(), "{}", metric.name);
            for sample in family.get_metric() {
                let mut labels: Vec<&str> = sample.get_label().iter().map(|l| l.name()).collect();
                let mut wanted = metric.labels.to_vec();
                labels.sort_unstable();
                wanted.sort_unstable();
                assert_eq!(labels, wanted, "{}", metric.name);
            }
        }
    }

    #[test]
    fn samples_read_as_they_were_counted() {
        let text = Format::Text.encode(&busy_gateway().registry().gather());
        for line in [
            "ringway_calls_active{direction=\"in\",endpoint=\"trunk\"} 1",
            "ringway_calls_total{direction=\"in\",endpoint=\"trunk\",result=\"answered\"} 1",
            "ringway_call_setup_seconds_bucket{endpoint=\"trunk\",le=\"0.025\"} 0",
            "ringway_call_setup_seconds_bucket{endpoint=\"trunk\",le=\"0.05\"} 1",
            "ringway_contact_reachable{aor=\"trunk\"} 1",
            "ringway_contact_rtt_seconds{aor=\"trunk\"} 0.02",
            "ringway_sip_requests_total{direction=\"in\",method=\"INVITE\",transport=\"udp\"} 1",
            "ringway_sip_requests_total{direction=\"in\",method=\"other\",transport=\"udp\"} 1",
            "ringway_sip_responses_total{code=\"200\",direction=\"out\",transport=\"udp\"} 1",
            "ringway_sip_rejected_total{reason=\"acl\"} 1",
            "ringway_sip_rejected_total{reason=\"limit\"} 0",
            "ringway_sip_retransmissions_total 7",
            "ringway_sip_connections_active{transport=\"tcp\"} 1",
            "ringway_registration_state{registration=\"provider\"} 1",
            "ringway_rtp_lost_packets_total{endpoint=\"trunk\"} 0",
            "ringway_rtp_packets_total{worker=\"0\",direction=\"in\",path=\"relay\"} 5",
            "ringway_rtp_bytes_total{worker=\"0\",direction=\"in\",path=\"relay\"} 860",
            "ringway_rtp_dropped_total{worker=\"0\",reason=\"wrong_source\"} 2",
            "ringway_rtp_relay_latency_seconds_bucket{worker=\"0\",le=\"0.0001\"} 0",
            "ringway_rtp_relay_latency_seconds_bucket{worker=\"0\",le=\"0.0002\"} 1",
            "ringway_rtp_relay_latency_seconds_sum{worker=\"0\"} 0.00015",
            "ringway_rtp_relay_latency_seconds_count{worker=\"0\"} 1",
            "ringway_rtp_sessions_active{worker=\"0\",path=\"relay\"} 4",
            "ringway_worker_busy_ratio{worker=\"0\"} 0.5",
        ] {
            assert!(
                text.lines().any(|have| have == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
