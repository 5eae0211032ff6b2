//! Every metric's name, type, labels and help, once. `docs/metrics.md` is the same table for operators; a test holds
//! the two together, and another holds that what is exported is what stands here.

use prometheus::Opts;

/// What kind of metric it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

impl Kind {
    /// The word of the exposition formats.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name; a counter's ends in `_total`.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// One sentence for the operator.
    pub help: &'static str,
}

impl Metric {
    /// The same for the `prometheus` crate.
    pub fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }
}

macro_rules! catalogue {
    ($($konst:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $konst: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order of the documentation.
        pub const ALL: &[Metric] = &[$($konst),*];
    };
}

catalogue! {
    CALLS_ACTIVE: Gauge "ringway_calls_active" ["endpoint", "direction"]
        "Calls now, by endpoint; in: the endpoint called us, out: we called it.";
    CALLS_TOTAL: Counter "ringway_calls_total" ["endpoint", "direction", "result"]
        "Calls that have ended, by how their setup ended.";
    CALL_SETUP_SECONDS: Histogram "ringway_call_setup_seconds" ["endpoint"]
        "Time from INVITE to its first final answer.";
    CALL_POST_DIAL_DELAY_SECONDS: Histogram "ringway_call_post_dial_delay_seconds" ["endpoint"]
        "Time from INVITE to the first ringing (180 or 183).";
    CALL_DURATION_SECONDS: Histogram "ringway_call_duration_seconds" ["endpoint"]
        "Time from answer to the end of the call.";
    CONTACTS: Gauge "ringway_contacts" ["aor"]
        "Registered contacts now, by address of record.";
    CONTACT_REACHABLE: Gauge "ringway_contact_reachable" ["aor"]
        "Contacts that have answered their last OPTIONS (qualify_frequency), by address of record.";
    CONTACT_RTT_SECONDS: Gauge "ringway_contact_rtt_seconds" ["aor"]
        "Time from the last OPTIONS to its answer, of the nearest contact that answers.";
    SIP_REQUESTS_TOTAL: Counter "ringway_sip_requests_total" ["transport", "method", "direction"]
        "SIP requests received (in, each once) and sent (out, with retransmissions).";
    SIP_RESPONSES_TOTAL: Counter "ringway_sip_responses_total" ["transport", "code", "direction"]
        "SIP responses received (in, each once) and sent (out, with retransmissions).";
    SIP_REJECTED_TOTAL: Counter "ringway_sip_rejected_total" ["reason"]
        "SIP messages, connections and calls turned away.";
    SIP_RETRANSMISSIONS_TOTAL: Counter "ringway_sip_retransmissions_total" []
        "SIP messages sent again because no answer came in time.";
    SIP_TRANSACTIONS_ACTIVE: Gauge "ringway_sip_transactions_active" []
        "SIP transactions now, client and server.";
    SIP_DATAGRAMS_DROPPED_TOTAL: Counter "ringway_sip_datagrams_dropped_total" []
        "SIP datagrams given up because a socket's send buffer was full.";
    SIP_CONNECTIONS_ACTIVE: Gauge "ringway_sip_connections_active" ["transport"]
        "Open stream connections now.";
    SIP_CONNECTIONS_ENDED_TOTAL: Counter "ringway_sip_connections_ended_total" ["reason"]
        "Stream connections that have ended, by why.";
    REGISTRATION_STATE: Gauge "ringway_registration_state" ["registration"]
        "1 while our registration stands, else 0.";
    RTP_PORTS_IN_USE: Gauge "ringway_rtp_ports_in_use" []
        "RTP/RTCP port pairs leased to calls now.";
    RTP_PORTS_TOTAL: Gauge "ringway_rtp_ports_total" []
        "RTP/RTCP port pairs in the configured range.";
    RTP_LOST_PACKETS_TOTAL: Counter "ringway_rtp_lost_packets_total" ["endpoint"]
        "RTP packets lost on the way to us (RFC 3550 appendix A.3), added when a call ends.";
    RTP_JITTER_SECONDS: Histogram "ringway_rtp_jitter_seconds" ["endpoint"]
        "Interarrival jitter of received RTP (RFC 3550 section 6.4.1), one sample a leg when it ends.";
    RTP_MOS: Histogram "ringway_rtp_mos" ["endpoint"]
        "Mean opinion score (ITU-T G.107) of received audio, one sample a leg when it ends.";
    RTP_ROUND_TRIP_SECONDS: Histogram "ringway_rtp_round_trip_seconds" ["endpoint"]
        "Round trip to the endpoint's media by RTCP (RFC 3550 section 6.4.1), one sample a leg when it ends.";
    RTP_PACKETS_TOTAL: Counter "ringway_rtp_packets_total" ["worker", "direction", "path"]
        "RTP packets accepted (in) and sent (out) by a worker.";
    RTP_BYTES_TOTAL: Counter "ringway_rtp_bytes_total" ["worker", "direction", "path"]
        "Their bytes, RTP header and payload.";
    RTP_DROPPED_TOTAL: Counter "ringway_rtp_dropped_total" ["worker", "reason"]
        "Packets that reached a media port and went nowhere.";
    RTP_RELAY_LATENCY_SECONDS: Histogram "ringway_rtp_relay_latency_seconds" ["worker"]
        "Time from the kernel's receive time stamp of a packet to its send; bounds hold within 3 percent. A worker with more than 64 legs measures one leg in eight of those above.";
    RTP_SESSIONS_ACTIVE: Gauge "ringway_rtp_sessions_active" ["worker", "path"]
        "Open media legs now.";
    WORKER_BUSY_RATIO: Gauge "ringway_worker_busy_ratio" ["worker"]
        "Part of the last second that the worker's thread was busy, 0 to 1.";
    MEDIA_COMMANDS_REFUSED_TOTAL: Counter "ringway_media_commands_refused_total" ["worker"]
        "Commands that found the queue to a worker full; the call is refused with 503.";
    TASK_PANICS_TOTAL: Counter "ringway_task_panics_total" []
        "Panics caught in a connection's task; the task ended, the gateway went on.";
    LOG_LINES_DROPPED_TOTAL: Counter "ringway_log_lines_dropped_total" []
        "Log lines given up because standard error could not take them fast enough.";
    STORE_CHANGES_LOST_TOTAL: Counter "ringway_store_changes_lost_total" []
        "Changes of registrations that could not be stored; those contacts may be missing after a restart.";
    RECORDINGS_FAILED_TOTAL: Counter "ringway_recordings_failed_total" []
        "Recordings that could not be written, or not to their end: the disk, recording.max_mib.";
    RECORDING_BLOCKS_DROPPED_TOTAL: Counter "ringway_recording_blocks_dropped_total" []
        "Blocks of 10 ms that the disk was too slow for; the recording has silence in their place.";
    CONFIG_LAST_RELOAD_SUCCESS: Gauge "ringway_config_last_reload_success" []
        "1 if the configuration was read without error the last time, else 0.";
    BUILD_INFO: Gauge "ringway_build_info" ["version"]
        "Always 1; the label tells the version.";
}

#[cfg(test)]
mod tests {
    use super::super::{CallResult, ConnectionEnd, RejectReason, RtpDrop};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_name_stands_once_and_is_well_formed() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} stands twice", metric.name);
            assert!(metric.name.starts_with("ringway_"), "{}", metric.name);
            assert_eq!(
                metric.kind == Kind::Counter,
                metric.name.ends_with("_total") && metric.name != RTP_PORTS_TOTAL.name,
                "{}: a counter, and only a counter, ends in _total",
                metric.name
            );
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    /// The documentation is a table, a row a metric: `| name | type | labels | meaning |`.
    #[test]
    fn the_documentation_lists_exactly_the_catalogue() {
        let page = include_str!("../../docs/metrics.md");
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| `ringway_"))
            .collect();
        let wanted: Vec<String> = ALL
            .iter()
            .map(|metric| {
                let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
                format!(
                    "| `{}` | {} | {} | {} |",
                    metric.name,
                    metric.kind.name(),
                    labels.join(", "),
                    metric.help
                )
            })
            .collect();
        assert_eq!(rows, wanted);
    }

    #[test]
    fn the_documentation_lists_every_value_of_a_label() {
        let page = include_str!("../../docs/metrics.md");
        let values = [
            CallResult::ALL.map(CallResult::label).to_vec(),
            RejectReason::ALL.map(RejectReason::label).to_vec(),
            ConnectionEnd::ALL.map(ConnectionEnd::label).to_vec(),
            RtpDrop::ALL.map(RtpDrop::label).to_vec(),
        ];
        for values in values {
            let row = values.iter().map(|value| format!("`{value}`"));
            let row = row.collect::<Vec<_>>().join(", ") + " |";
            assert!(page.contains(&row), "no row ends in {row}");
        }
    }
}
