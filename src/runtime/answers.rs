//! What the control thread answers to the admin address.

use super::control_loop::{ControlLoop, Phase};
use super::topology::WorkerHandle;
use crate::admin::rows;
use crate::admin::{AdminRequest, AdminResponse, Asked};
use crate::link::PortRange;
use crate::link::query::{StatusRow, TransportRow, WorkerRow};
use crate::metrics::{Direction, Format, Path, RtpDrop};
use crate::sip::Protocol;
use axum::http::StatusCode;
use serde_json::json;
use std::time::Instant;

impl ControlLoop {
    /// Answers, at once or (a reload) when it is done.
    pub(super) fn answer(&mut self, now: Instant, asked: Asked) {
        let response = match asked.request {
            AdminRequest::Reload => return self.start_reload(Some(asked.answer)),
            AdminRequest::Metrics(format) => self.metrics_text(format),
            AdminRequest::Readiness => self.readiness(),
            AdminRequest::Status => AdminResponse::ok(self.status(now)),
            AdminRequest::Calls => AdminResponse::ok(self.controller.calls(now)),
            AdminRequest::Call { id } => self.call(now, &id),
            AdminRequest::Rooms => AdminResponse::ok(self.controller.rooms(now)),
            AdminRequest::Endpoints => AdminResponse::ok(self.controller.endpoints()),
            AdminRequest::Contacts => AdminResponse::ok(self.controller.contacts(now)),
            AdminRequest::Registrations => AdminResponse::ok(self.controller.registrations(now)),
            AdminRequest::Bans => AdminResponse::ok(self.controller.bans(now)),
            AdminRequest::Strangers => AdminResponse::ok(self.controller.strangers(now)),
            AdminRequest::Unban { address } => self.unban(&address),
            AdminRequest::Workers => AdminResponse::ok(self.worker_rows()),
            AdminRequest::Transports => AdminResponse::ok(self.transport_rows()),
            AdminRequest::Dialplan { context } => self.dialplan(context.as_deref()),
            AdminRequest::Drain => {
                tracing::info!("draining: no new calls");
                self.drain(now);
                AdminResponse::with(StatusCode::ACCEPTED, json!({ "state": self.phase.name() }))
            }
            AdminRequest::Hangup { id } => self.hangup(now, &id),
        };
        // Whoever asked may have gone.
        let _ = asked.answer.send(response);
    }

    fn readiness(&self) -> AdminResponse {
        let status = match self.phase {
            Phase::Serving => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        AdminResponse::with(status, json!({ "state": self.phase.name() }))
    }

    fn call(&self, now: Instant, id: &str) -> AdminResponse {
        match self.controller.call_detail(now, id) {
            Some(detail) => AdminResponse::ok(detail),
            None => AdminResponse::error(StatusCode::NOT_FOUND, format!("no call {id}")),
        }
    }

    fn hangup(&mut self, now: Instant, id: &str) -> AdminResponse {
        if self.controller.hangup(now, id) {
            tracing::info!(call = id, "hung up from the admin address");
            AdminResponse::ok(json!({ "hung_up": id }))
        } else {
            AdminResponse::error(StatusCode::NOT_FOUND, format!("no call {id}"))
        }
    }

    fn unban(&mut self, address: &str) -> AdminResponse {
        let Ok(ip) = address.parse() else {
            let message = format!("{address} is no IP address");
            return AdminResponse::error(StatusCode::BAD_REQUEST, message);
        };
        let lifted = self.controller.lift_ban(ip);
        if lifted {
            tracing::info!(address, "ban lifted from the admin address");
        }
        AdminResponse::ok(json!({ "lifted": lifted }))
    }

    fn dialplan(&self, context: Option<&str>) -> AdminResponse {
        let rows = rows::dialplan(&self.controller.setup().settings().dialplan, context);
        match context {
            Some(context) if rows.is_empty() => AdminResponse::error(
                StatusCode::NOT_FOUND,
                format!("no context {context}, or it is empty"),
            ),
            _ => AdminResponse::ok(rows),
        }
    }

    fn metrics_text(&self, format: Format) -> AdminResponse {
        self.controller.refresh_metrics();
        self.metrics
            .set_log_lines_dropped((self.log_lines_dropped)());
        AdminResponse::Metrics(format, format.encode(&self.metrics.registry().gather()))
    }

    fn status(&self, now: Instant) -> StatusRow {
        let ports = self.controller.ports();
        let dropped = |reason| {
            self.workers
                .iter()
                .map(|worker| worker.cells.drops(reason))
                .sum()
        };
        StatusRow {
            version: env!("CARGO_PKG_VERSION").into(),
            state: self.phase.name().into(),
            uptime_s: now.duration_since(self.started).as_secs(),
            calls_active: self.controller.calls_active() as u64,
            calls_total: self.metrics.calls_received(),
            registrations: {
                let rows = self.controller.registrations(now);
                let stand = rows.iter().filter(|row| row.registered_s.is_some());
                (stand.count() as u64, rows.len() as u64)
            },
            contacts: self.controller.contacts_registered() as u64,
            transactions: self.controller.sip().transactions() as u64,
            rtp_pairs: (ports.in_use, ports.resting, ports.total),
            rejected: self
                .metrics
                .rejections()
                .map(|(reason, count)| (reason.label().into(), count))
                .collect(),
            rtp_dropped: RtpDrop::ALL
                .map(|reason| (reason.label().into(), dropped(reason)))
                .into(),
            recordings_lost: (
                self.metrics.recordings.total_failed(),
                self.metrics.recordings.total_dropped(),
            ),
            workers: self.worker_rows(),
            config_loaded_s_ago: now.duration_since(self.config_loaded).as_secs(),
            config_ok: self.metrics.reload_success(),
        }
    }

    fn worker_rows(&self) -> Vec<WorkerRow> {
        self.workers
            .iter()
            .map(|worker| worker_row(worker, self.listening.rtp))
            .collect()
    }

    fn transport_rows(&self) -> Vec<TransportRow> {
        let row =
            |(name, protocol, address): &(String, Protocol, std::net::SocketAddr)| TransportRow {
                name: name.clone(),
                protocol: protocol.name().into(),
                listen: address.to_string(),
                connections: match protocol {
                    Protocol::Udp => 0,
                    Protocol::Tcp | Protocol::Tls => self.metrics.connections(name),
                },
            };
        self.listening.sip.iter().map(row).collect()
    }
}

impl Phase {
    /// The word of `/readyz` and `status`.
    fn name(self) -> &'static str {
        match self {
            Phase::Serving => "serving",
            Phase::Draining => "draining",
            Phase::Stopping(_) | Phase::Over => "stopping",
        }
    }
}

fn worker_row(worker: &WorkerHandle, range: PortRange) -> WorkerRow {
    let cells = &worker.cells;
    let latencies = cells.latencies();
    let mut ports = range.ports_of(worker.id);
    let first = ports.next();
    let last = ports.last().or(first);
    let packets = |direction| {
        Path::ALL
            .iter()
            .map(|path| cells.packets(direction, *path))
            .sum()
    };
    WorkerRow {
        worker: worker.id.0,
        core: worker.core,
        ports: (
            first.map_or(0, |pair| pair.rtp()),
            last.map_or(0, |pair| pair.rtcp()),
        ),
        legs: Path::ALL.iter().map(|path| cells.sessions(*path)).sum(),
        packets_in: packets(Direction::In),
        packets_out: packets(Direction::Out),
        dropped: cells.drops_all(),
        latency_us: (
            latencies.quantile_us(0.5),
            latencies.quantile_us(0.99),
            latencies.quantile_us(0.999),
        ),
        busy: cells.busy_ratio(),
    }
}
