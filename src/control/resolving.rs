//! What the DNS has answered goes to those who wait for it, and to the host names that identify endpoints.

use super::controller::{Controller, Output};
use super::locate::Waiter;
use super::names::{self, Answer};
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
        let is_its = |host| Question::address(host) == *question;
        let Some(due) = self
            .identify_due
            .filter(|_| self.identifier.hosts().any(is_its))
        else {
            return;
        };
        self.identify_due = Some(due.min(now + names::holds(answer)));
        if let Answer::Records {
            records: Records::Addresses(addresses),
            ..
        } = answer
        {
            self.identifier
                .set_host_addresses(question.name(), addresses);
        }
    }

    /// Asks for the addresses of the host names that identify endpoints, and again after a while.
    pub(super) fn look_up_identify_hosts(&mut self, now: Instant) {
        let mut hosts: Vec<&str> = self.identifier.hosts().collect();
        hosts.sort_unstable();
        hosts.dedup();
        for host in hosts {
            let question = Question::address(host);
            self.ctx.outputs.push_back(Output::Resolve { question });
        }
        self.identify_due = Some(now + names::TTL_MAX);
    }
}
