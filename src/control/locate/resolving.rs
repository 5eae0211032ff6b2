//! What the DNS has answered goes to those who wait for it, and to the host names that identify endpoints.

use super::Waiter;
use super::names;
use super::names::Answer;
use crate::control::admission::identify::{HostChange, KEPT};
use crate::control::controller::{Controller, Output};
use crate::sip::resolve::{Question, Records};
use std::time::Instant;

impl Controller {
    /// The answer to [`Output::Resolve`].
    pub fn handle_resolved(&mut self, now: Instant, question: &Question, answer: Answer) {
        self.note_identify_host(now, question, &answer);
        for waiter in self.ctx.names.answer(now, question, answer) {
            match waiter {
                Waiter::Call(key) => {
                    self.with_call(now, key, |call, ctx| call.on_resolved(ctx, now));
                }
                Waiter::Outside(key) => self.locate_outside(now, key),
            }
        }
        self.run(now);
    }

    /// Takes the addresses of a host name that identifies an endpoint, and asks again when their time is over.
    fn note_identify_host(&mut self, now: Instant, question: &Question, answer: &Answer) {
        if self.identify_due.is_none() || *question != Question::address(question.name()) {
            return;
        }
        let addresses: &[_] = match answer {
            Answer::Records {
                records: Records::Addresses(addresses),
                ..
            } => addresses,
            _ => &[],
        };
        let (host, holds) = (question.name(), names::holds(answer));
        let change = self
            .identifier
            .set_host_addresses(now, host, addresses, holds);
        self.identify_due = self.identifier.hosts_due(now);
        match change {
            HostChange::None => {}
            HostChange::Moved => {
                tracing::info!(host, ?addresses, "addresses of an identify host name");
            }
            HostChange::Failing => tracing::warn!(
                host,
                hours = KEPT.as_secs() / 3600,
                "no address for an identify host name; its last ones hold for so long"
            ),
            HostChange::Lost => tracing::warn!(
                host,
                "no address for an identify host name for so long that it identifies nobody now"
            ),
        }
    }

    /// Asks for the addresses of the host names that identify endpoints, and again after a while.
    pub(in crate::control) fn look_up_identify_hosts(&mut self, now: Instant) {
        for host in self.identifier.take_due_hosts(now) {
            let question = Question::address(&host);
            self.ctx.outputs.push_back(Output::Resolve { question });
        }
        self.identify_due = self.identifier.hosts_due(now);
    }
}
