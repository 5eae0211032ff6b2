//! Reading the configuration again: aside, on a thread that may block; the controller takes the result in one step, or
//! nothing changes.

use super::control_loop::ControlLoop;
use super::sockets::Sockets;
use super::tls::Contexts;
use crate::admin::AdminResponse;
use crate::control::setup::Setup;
use axum::http::StatusCode;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tokio::task::JoinError;

/// Reads the configuration from where it was read at the start. Err: what `check` prints, a line each.
pub type Loader = Arc<dyn Fn() -> Result<Reading, Vec<String>> + Send + Sync>;

/// A configuration without an error.
pub struct Reading {
    /// What it says.
    pub setup: Setup,
    /// What its TLS transports need, from the files that it names.
    pub tls: Contexts,
    /// What is worth a look, as `check` prints it, a line each.
    pub warnings: Vec<String>,
}

/// What a reload's thread brings back.
pub(super) struct ReloadDone {
    result: Result<Reading, Vec<String>>,
    /// Who asked, if it was not a signal.
    answer: Option<oneshot::Sender<AdminResponse>>,
}

impl ReloadDone {
    /// The loader panicked.
    pub fn panicked(error: JoinError) -> Box<ReloadDone> {
        Box::new(ReloadDone {
            result: Err(vec![format!("the configuration's reader failed: {error}")]),
            answer: None,
        })
    }
}

impl ControlLoop {
    /// Begins to read the configuration, unless that is being done already.
    pub(super) fn start_reload(&mut self, answer: Option<oneshot::Sender<AdminResponse>>) {
        if !self.reloading.is_empty() {
            tracing::warn!("a reload runs already, this one is not begun");
            if let Some(answer) = answer {
                let _ = answer.send(AdminResponse::error(
                    StatusCode::CONFLICT,
                    "a reload runs already",
                ));
            }
            return;
        }
        let loader = Arc::clone(&self.loader);
        self.reloading.spawn_blocking(move || {
            Box::new(ReloadDone {
                result: loader(),
                answer,
            })
        });
    }

    /// Binds the transports that are new, and tells them, a line each. One that cannot be bound waits for a restart.
    fn listen_on_new(&mut self, reading: &Reading) -> Vec<String> {
        let mut added = Vec::new();
        for transport in self.controller.new_transports(&reading.setup) {
            let (id, crypto) = (self.controller.next_transport(), &self.intake.crypto);
            let mut sockets = Sockets::default();
            if let Err(error) = sockets.bind(id, &transport, &reading.tls, crypto.as_ref()) {
                tracing::warn!(
                    transport = transport.name,
                    bind = %transport.bind,
                    %error,
                    "does not listen before a restart"
                );
                continue;
            }
            added.push(format!("transport.{}: added", transport.name));
            self.controller.listens(transport);
            sockets.receive(&self.intake);
            self.udp.extend(sockets.udp);
            self.streams.add(sockets.streams);
            self.listening.sip.extend(sockets.addresses);
        }
        added
    }

    /// Takes what was read, or says why not.
    pub(super) fn finish_reload(&mut self, now: Instant, done: ReloadDone) {
        self.metrics.set_reload_success(done.result.is_ok());
        let response = match done.result {
            Ok(reading) => {
                self.streams.set_tls(&reading.tls);
                let added = self.listen_on_new(&reading);
                let nameservers = &reading.setup.settings().global.nameservers;
                self.resolver.set_servers(nameservers);
                let mut report = self.controller.reload(now, reading.setup);
                report.changed.extend(added);
                self.config_loaded = now;
                tracing::info!(changed = ?report.changed, needs_restart = ?report.needs_restart, "reloaded");
                AdminResponse::ok(json!({
                    "changed": report.changed,
                    "needs_restart": report.needs_restart,
                    "warnings": reading.warnings,
                }))
            }
            Err(errors) => {
                for error in &errors {
                    tracing::error!(%error, "not reloaded");
                }
                AdminResponse::with(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    json!({ "error": "the configuration has errors, nothing was changed", "diagnostics": errors }),
                )
            }
        };
        if let Some(answer) = done.answer {
            // Whoever asked may have gone.
            let _ = answer.send(response);
        }
    }
}
