//! The server transactions: requests that came and their answers.

use super::keys;
use super::keys::Key;
use super::shared::{Armed, Due, Shared};
use super::{Event, ServerTx};
use crate::sip::flow::Flow;
use crate::sip::message::{Method, Request, ResponseDraft};
use crate::sip::transaction::{
    InviteServer, InviteServerAction, InviteServerInput, NonInviteServer, NonInviteServerAction,
    NonInviteServerInput, StatusClass,
};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::BTreeSet;
use std::time::Instant;

type Index = FxHashMap<Key, usize>;

struct Server {
    generation: u32,
    /// Where the answers go.
    flow: Flow,
    /// Until its final response has gone out; on a stream to the end, for the address of another connection.
    request: Option<Request>,
    machine: Machine,
    /// The tag that we put on To.
    tag: Option<String>,
    /// The last response, to be sent again.
    response: Bytes,
    armed: Option<Armed>,
    request_key: Key,
    merge_key: Option<Key>,
    ack_key: Option<Key>,
}

enum Machine {
    Invite(InviteServer),
    /// An INVITE whose CANCEL was reported.
    CancelledInvite(InviteServer),
    Other(NonInviteServer),
}

#[derive(Default)]
pub(super) struct Servers {
    table: Slab<Server>,
    by_request: Index,
    by_merge: Index,
    by_ack: Index,
    /// Those on streams, by flow.
    on_streams: BTreeSet<(Flow, usize)>,
}

impl Servers {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The transaction that a request belongs to, by [`keys::request_key`].
    pub(super) fn find(&self, request_key: Key) -> Option<usize> {
        self.by_request.get(&request_key).copied()
    }

    /// The transaction whose 2xx an ACK acknowledges, by [`keys::ack_key`].
    pub(super) fn find_by_ack(&self, ack_key: Key) -> Option<usize> {
        self.by_ack.get(&ack_key).copied()
    }

    /// True if the same request is here, come on another path (RFC 3261 §8.2.2.2).
    pub(super) fn has_merged(&self, merge_key: Key) -> bool {
        self.by_merge.contains_key(&merge_key)
    }

    /// A new request.
    pub(super) fn start(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        flow: Flow,
        request: Request,
        request_key: Key,
    ) -> ServerTx {
        let timing = shared.timing(flow.protocol);
        let machine = match request.method() {
            Method::Invite => Machine::Invite(InviteServer::start(now)),
            _ => Machine::Other(NonInviteServer::start(now, &timing)),
        };
        let generation = shared.next_generation();
        let merge_key = keys::merge_key(shared.hash, &request);
        let index = self.table.insert(Server {
            generation,
            flow,
            request: Some(request),
            machine,
            tag: None,
            response: Bytes::new(),
            armed: None,
            request_key,
            merge_key,
            ack_key: None,
        });
        self.by_request.insert(request_key, index);
        if let Some(key) = merge_key {
            self.by_merge.insert(key, index);
        }
        if flow.protocol.is_reliable() {
            self.on_streams.insert((flow, index));
        }
        self.settle(shared, now, index);
        tx(index, generation)
    }

    /// The request came again.
    pub(super) fn repeated(&mut self, shared: &mut Shared, now: Instant, index: usize) {
        self.step(
            shared,
            now,
            index,
            InviteServerInput::Request,
            NonInviteServerInput::Request,
        );
    }

    /// Its timer fired.
    pub(super) fn timeout(&mut self, shared: &mut Shared, now: Instant, index: usize) {
        if let Some(server) = self.table.get_mut(index) {
            server.armed = None;
        }
        self.step(
            shared,
            now,
            index,
            InviteServerInput::Timeout,
            NonInviteServerInput::Timeout,
        );
    }

    /// An ACK came for this INVITE.
    pub(super) fn acknowledge(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        index: usize,
        ack: Request,
    ) {
        let Some(server) = self.table.get_mut(index) else {
            return;
        };
        let timing = shared.timing(server.flow.protocol);
        if let Machine::Invite(machine) | Machine::CancelledInvite(machine) = &mut server.machine {
            let action = machine.handle(now, &timing, InviteServerInput::Ack);
            if action == InviteServerAction::DeliverAck {
                let tx = tx(index, server.generation);
                shared.tell(Event::Ack { tx, request: ack });
            }
            // The response is not sent again; its memory is of better use while it is warm.
            if let InviteServer::Acknowledged { .. } | InviteServer::Confirmed { .. } = machine {
                server.response = Bytes::new();
            }
        }
        self.settle(shared, now, index);
    }

    /// A CANCEL came for this INVITE. It is reported once, and only while there is no final answer (RFC 3261 §9.2).
    /// Gives the tag that the answer to the CANCEL is to carry, the same as that of the INVITE's answers.
    pub(super) fn cancel(
        &mut self,
        shared: &mut Shared,
        index: usize,
        cancel: &Request,
    ) -> Option<String> {
        let server = self.table.get_mut(index)?;
        if let Machine::Invite(machine) = server.machine
            && machine.is_pending()
        {
            server.machine = Machine::CancelledInvite(machine);
            let tx = tx(index, server.generation);
            let request = cancel.clone();
            shared.tell(Event::Cancelled { tx, request });
        }
        Some(server.tag.get_or_insert_with(|| shared.new_tag()).clone())
    }

    /// The user answers.
    pub(super) fn respond(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        tx: ServerTx,
        response: ResponseDraft,
    ) {
        let index = tx.index as usize;
        let Some(server) = self.table.get_mut(index) else {
            return;
        };
        if server.generation != tx.generation {
            return;
        }
        let timing = shared.timing(server.flow.protocol);
        let class = StatusClass::of(response.status);
        let is_sent = match &mut server.machine {
            Machine::Invite(machine) | Machine::CancelledInvite(machine) => {
                let input = match response.status {
                    ..=100 => InviteServerInput::RespondTrying,
                    _ => InviteServerInput::Respond(class),
                };
                machine.handle(now, &timing, input) == InviteServerAction::Send
            }
            Machine::Other(machine) => {
                let input = match class {
                    StatusClass::Provisional => NonInviteServerInput::RespondProvisional,
                    _ => NonInviteServerInput::RespondFinal,
                };
                machine.handle(now, &timing, input) == NonInviteServerAction::Send
            }
        };
        if !is_sent {
            return;
        }
        server.answer(shared, response);
        if class == StatusClass::Success
            && let Some(request) = &server.request
            && matches!(request.method(), Method::Invite)
        {
            let tag = request.headers().to_tag();
            let tag = tag.or(server.tag.as_deref()).unwrap_or_default();
            let key = keys::ack_key(shared.hash, request, tag);
            server.ack_key = Some(key);
            self.by_ack.insert(key, index);
        }
        if class != StatusClass::Provisional && !server.flow.protocol.is_reliable() {
            server.request = None;
        }
        self.settle(shared, now, index);
    }

    /// RFC 3261 §18.2.2: when the connection that a request came on is gone, its answers go to a new one, to the
    /// port of sent-by.
    pub(super) fn flow_failed(&mut self, flow: Flow) {
        let of_flow: Vec<usize> = self
            .on_streams
            .range((flow, 0)..=(flow, usize::MAX))
            .map(|(_, index)| *index)
            .collect();
        for index in of_flow {
            let Some(server) = self.table.get_mut(index) else {
                continue;
            };
            let Some(request) = &server.request else {
                continue;
            };
            let listening = super::reply::to_sent_by(flow, request);
            self.on_streams.remove(&(flow, index));
            self.on_streams.insert((listening, index));
            server.flow = listening;
        }
    }

    fn step(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        index: usize,
        invite: InviteServerInput,
        other: NonInviteServerInput,
    ) {
        let Some(server) = self.table.get_mut(index) else {
            return;
        };
        let timing = shared.timing(server.flow.protocol);
        match &mut server.machine {
            Machine::Invite(machine) | Machine::CancelledInvite(machine) => {
                match machine.handle(now, &timing, invite) {
                    InviteServerAction::SendTrying => {
                        server.answer(shared, ResponseDraft::new(100))
                    }
                    InviteServerAction::Resend => shared.send_again(server.flow, &server.response),
                    InviteServerAction::NoAck => {
                        let tx = tx(index, server.generation);
                        shared.tell(Event::AckTimeout { tx });
                    }
                    InviteServerAction::Nothing
                    | InviteServerAction::Send
                    | InviteServerAction::DeliverAck => {}
                }
            }
            Machine::Other(machine) => {
                if machine.handle(now, &timing, other) == NonInviteServerAction::Resend {
                    shared.send_again(server.flow, &server.response);
                }
            }
        }
        self.settle(shared, now, index);
    }

    /// After a step: the timer follows the machine, and a machine that is over leaves the tables.
    fn settle(&mut self, shared: &mut Shared, now: Instant, index: usize) {
        let Some(server) = self.table.get_mut(index) else {
            return;
        };
        let (deadline, is_over) = match &server.machine {
            Machine::Invite(machine) | Machine::CancelledInvite(machine) => {
                (machine.deadline(), *machine == InviteServer::Terminated)
            }
            Machine::Other(machine) => {
                (machine.deadline(), *machine == NonInviteServer::Terminated)
            }
        };
        shared.arm(now, &mut server.armed, deadline, Due::Server(index));
        if is_over {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) {
        let server = self.table.remove(index);
        self.by_request.remove(&server.request_key);
        if let Some(key) = server.merge_key {
            self.by_merge.remove(&key);
        }
        if let Some(key) = server.ack_key
            && self.by_ack.get(&key) == Some(&index)
        {
            self.by_ack.remove(&key);
        }
        self.on_streams.remove(&(server.flow, index));
    }
}

impl Server {
    /// Writes a response, sends it and keeps it.
    fn answer(&mut self, shared: &mut Shared, mut response: ResponseDraft) {
        let Some(request) = &self.request else {
            return;
        };
        if response.status > 100 && request.headers().to_tag().is_none() {
            // RFC 3261 §8.2.6.2: all answers to one request carry the same tag, but for a 100.
            let tag = response.to_tag.take().or_else(|| self.tag.take());
            let tag = tag.unwrap_or_else(|| shared.new_tag());
            response.to_tag = Some(tag.clone());
            self.tag = Some(tag);
        }
        self.response = super::reply::write(shared, request, response);
        shared.send(self.flow, self.response.clone());
    }
}

fn tx(index: usize, generation: u32) -> ServerTx {
    ServerTx {
        index: index as u32, // the table is bounded by transactions_max
        generation,
    }
}
