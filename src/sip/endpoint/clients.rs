//! The client transactions: our requests and their answers.

use super::ask::{follow_up, write, write_via};
use super::keys;
use super::large::{Large, StreamBeside};
use super::shared::{Armed, Due, Shared};
use super::{ClientTx, Event};
use crate::sip::flow::{Flow, TransportId};
use crate::sip::message::{Method, NameAddr, RequestDraft, Response};
use crate::sip::transaction::{
    InviteClient, InviteClientAction, InviteClientInput, NonInviteClient, NonInviteClientAction,
    NonInviteClientInput, StatusClass,
};
use bytes::Bytes;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::BTreeSet;
use std::time::Instant;

/// Most forks of one INVITE whose 2xx are taken; a further one is dropped and counted as unmatched.
const FORKS_MAX: usize = 16;

struct Client {
    generation: u32,
    flow: Flow,
    /// The number in our branch.
    branch: u64,
    via: String,
    /// As it was sent.
    request: Bytes,
    machine: Machine,
    armed: Option<Armed>,
    /// The same as a datagram, for a peer that takes no connection (RFC 3261 §18.1.1).
    fallback: Option<Box<Sending>>,
}

/// How a request may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// On its flow, whatever its size.
    FlowAlone,
    /// Over a stream, if it is too large for a datagram.
    StreamIfLarge,
}

/// A request on its way.
struct Sending {
    flow: Flow,
    via: String,
    request: Bytes,
}

impl Sending {
    /// The same request with another Via, which stands first in it.
    fn over(&self, flow: Flow, via: String) -> Sending {
        let at = memchr::memmem::find(&self.request, self.via.as_bytes());
        let (before, rest) = self.request.split_at(at.unwrap_or(0));
        let after = &rest[self.via.len().min(rest.len())..];
        let request = [before, via.as_bytes(), after].concat().into();
        Sending { flow, via, request }
    }
}

enum Machine {
    Invite(Box<Invite>),
    /// The CANCEL of an INVITE; its user hears nothing of it.
    Cancel(NonInviteClient),
    Other(NonInviteClient, Method),
}

impl Machine {
    /// A final response came: nothing of the request is sent again, nor made from it.
    fn is_answered(&self) -> bool {
        match self {
            Machine::Invite(invite) => matches!(
                invite.machine,
                InviteClient::Accepted { .. } | InviteClient::Completed { .. }
            ),
            Machine::Cancel(machine) | Machine::Other(machine, _) => {
                matches!(machine, NonInviteClient::Completed { .. })
            }
        }
    }
}

impl Client {
    /// Half a minute is left to such a transaction; the memory is of better use while it is warm.
    fn forget_request(&mut self) {
        self.request = Bytes::new();
        self.via = String::new();
        self.fallback = None;
        if let Machine::Invite(invite) = &mut self.machine {
            invite.provisional = Bytes::new();
        }
    }
}

struct Invite {
    machine: InviteClient,
    /// The last provisional response, to know its copies.
    provisional: Bytes,
    /// The ACK of a final response other than 2xx.
    ack: Bytes,
    forks: Vec<Fork>,
    /// The Reason for the CANCEL.
    reason: Option<String>,
}

/// A 2xx that came.
struct Fork {
    to_tag: String,
    /// Its ACK, if the user has sent it.
    ack: Option<(Flow, Bytes)>,
}

#[derive(Default)]
pub(super) struct Clients {
    table: Slab<Client>,
    /// By the number in the branch, and whether it is the CANCEL with the branch of its INVITE (RFC 3261 §9.1). The
    /// numbers are ours and random, so a peer cannot make them collide.
    by_branch: FxHashMap<(u64, bool), usize>,
    by_flow: BTreeSet<(Flow, usize)>,
    large: Large,
}

impl Clients {
    pub(super) fn set_streams(&mut self, streams: FxHashMap<TransportId, StreamBeside>) {
        self.large.streams = streams;
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Sends a request in a new transaction.
    pub(super) fn request(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        flow: Flow,
        sent_by: &str,
        request: RequestDraft,
        by: Way,
    ) -> ClientTx {
        let method = request.method.clone();
        let branch = shared.next_u64();
        let via = write_via(flow.protocol, sent_by, branch);
        let request = write(shared, request, &via);
        let mut sending = Sending { flow, via, request };
        let size = sending.request.len();
        let stream = match by {
            Way::FlowAlone => None,
            Way::StreamIfLarge => self.large.way(now, flow, sent_by, size),
        };
        let fallback = stream.map(|(flow, sent_by)| {
            let over = sending.over(flow, write_via(flow.protocol, &sent_by, branch));
            Box::new(std::mem::replace(&mut sending, over))
        });
        let Sending { flow, via, request } = sending;
        let timing = shared.timing(flow.protocol);
        let machine = match method {
            Method::Invite => Machine::Invite(Box::new(Invite {
                machine: InviteClient::start(now, &timing),
                provisional: Bytes::new(),
                ack: Bytes::new(),
                forks: Vec::new(),
                reason: None,
            })),
            method => Machine::Other(NonInviteClient::start(now, &timing), method),
        };
        shared.send(flow, request.clone());
        let client = Client {
            generation: shared.next_generation(),
            flow,
            branch,
            via,
            request,
            machine,
            armed: None,
            fallback,
        };
        self.insert(shared, now, client)
    }

    /// The stream that a large request went on has failed before anything came back: it goes as a datagram, in the same
    /// transaction. False if it is not such a request.
    fn fall_back(&mut self, shared: &mut Shared, now: Instant, index: usize) -> bool {
        let Some(client) = self.table.get_mut(index) else {
            return false;
        };
        let is_unheard = match &client.machine {
            Machine::Invite(invite) => matches!(invite.machine, InviteClient::Calling(_)),
            Machine::Other(machine, _) => matches!(machine, NonInviteClient::Trying(_)),
            Machine::Cancel(_) => false,
        };
        let Some(datagram) = client.fallback.take().filter(|_| is_unheard) else {
            return false;
        };
        let timing = shared.timing(datagram.flow.protocol);
        match &mut client.machine {
            Machine::Invite(invite) => invite.machine = InviteClient::start(now, &timing),
            Machine::Other(machine, _) | Machine::Cancel(machine) => {
                *machine = NonInviteClient::start(now, &timing);
            }
        }
        let failed = std::mem::replace(&mut client.flow, datagram.flow);
        client.via = datagram.via;
        client.request = datagram.request;
        self.large.refused(now, client.flow.peer);
        shared.send(client.flow, client.request.clone());
        self.by_flow.remove(&(failed, index));
        self.by_flow.insert((client.flow, index));
        self.settle(shared, now, index);
        true
    }

    fn insert(&mut self, shared: &mut Shared, now: Instant, client: Client) -> ClientTx {
        let is_cancel = matches!(client.machine, Machine::Cancel(_));
        let (branch, flow, generation) = (client.branch, client.flow, client.generation);
        let index = self.table.insert(client);
        self.by_branch.insert((branch, is_cancel), index);
        self.by_flow.insert((flow, index));
        self.settle(shared, now, index);
        tx(index, generation)
    }

    /// A response came; `bytes` is the whole of it.
    pub(super) fn response(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        response: Response,
        bytes: &Bytes,
    ) {
        let Some(index) = self.find(&response) else {
            shared.counters.unmatched += 1;
            return;
        };
        let class = StatusClass::of(response.status());
        match &mut self.table[index].machine {
            Machine::Invite(invite) => {
                if class == StatusClass::Provisional {
                    // A copy, or a 100 that was overtaken, says nothing new.
                    let is_late = response.status() == 100 && !invite.provisional.is_empty();
                    if is_late || invite.provisional == *bytes {
                        return;
                    }
                    invite.provisional = bytes.clone();
                }
                self.step_invite(shared, now, index, input_of(class), Some(response));
            }
            Machine::Cancel(_) | Machine::Other(..) => {
                let input = NonInviteClientInput::Response(class);
                self.step_other(shared, now, index, input, Some(response));
            }
        }
    }

    /// RFC 3261 §17.1.3: the branch of the top Via and the method of CSeq; §8.1.3.3: one Via only, ours.
    fn find(&self, response: &Response) -> Option<usize> {
        let headers = response.headers();
        if headers.values("Via").nth(1).is_some() {
            return None;
        }
        let branch = keys::read_branch(headers.top_via().branch()?)?;
        let method = headers.cseq().method;
        let index = *self.by_branch.get(&(branch, method == Method::Cancel))?;
        let is_its_method = match &self.table.get(index)?.machine {
            Machine::Invite(_) => method == Method::Invite,
            Machine::Cancel(_) => true, // by its place in the index
            Machine::Other(_, of_request) => method == *of_request,
        };
        is_its_method.then_some(index)
    }

    /// Its timer fired.
    pub(super) fn timeout(&mut self, shared: &mut Shared, now: Instant, index: usize) {
        if let Some(client) = self.table.get_mut(index) {
            client.armed = None;
        }
        self.step(
            shared,
            now,
            index,
            InviteClientInput::Timeout,
            NonInviteClientInput::Timeout,
        );
    }

    /// Nothing can be sent on this flow.
    pub(super) fn flow_failed(&mut self, shared: &mut Shared, now: Instant, flow: Flow) {
        let of_flow: Vec<usize> = self
            .by_flow
            .range((flow, 0)..=(flow, usize::MAX))
            .map(|(_, index)| *index)
            .collect();
        for index in of_flow {
            if self.fall_back(shared, now, index) {
                continue;
            }
            self.step(
                shared,
                now,
                index,
                InviteClientInput::TransportFailed,
                NonInviteClientInput::TransportFailed,
            );
        }
    }

    /// The user cancels its INVITE.
    pub(super) fn cancel(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        tx: ClientTx,
        reason: Option<&str>,
    ) {
        let index = tx.index as usize;
        let client = self.table.get_mut(index);
        if let Some(client) = client.filter(|client| client.generation == tx.generation)
            && let Machine::Invite(invite) = &mut client.machine
        {
            invite.reason = reason.map(str::to_owned);
            self.step_invite(shared, now, index, InviteClientInput::Cancel, None);
        }
    }

    /// Sends the ACK of a 2xx and keeps it for the copies of that 2xx. It is sent even if the transaction is over.
    pub(super) fn ack(
        &mut self,
        shared: &mut Shared,
        tx: ClientTx,
        flow: Flow,
        sent_by: &str,
        ack: RequestDraft,
    ) {
        let to = ack.get_header("To").and_then(NameAddr::parse);
        let via = write_via(flow.protocol, sent_by, shared.next_u64());
        let bytes = write(shared, ack, &via);
        shared.send(flow, bytes.clone());
        let client = self.table.get_mut(tx.index as usize);
        if let Some(client) = client.filter(|client| client.generation == tx.generation)
            && let Machine::Invite(invite) = &mut client.machine
        {
            let tag = to.as_ref().and_then(NameAddr::tag).unwrap_or_default();
            if let Some(fork) = invite.forks.iter_mut().find(|fork| fork.to_tag == tag) {
                fork.ack = Some((flow, bytes));
            }
        }
    }

    fn step(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        index: usize,
        invite: InviteClientInput,
        other: NonInviteClientInput,
    ) {
        match self.table.get(index).map(|client| &client.machine) {
            Some(Machine::Invite(_)) => self.step_invite(shared, now, index, invite, None),
            Some(_) => self.step_other(shared, now, index, other, None),
            None => {}
        }
    }

    fn step_other(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        index: usize,
        input: NonInviteClientInput,
        response: Option<Response>,
    ) {
        let client = &mut self.table[index];
        let timing = shared.timing(client.flow.protocol);
        let (tx, flow) = (tx(index, client.generation), client.flow);
        let (machine, is_heard) = match &mut client.machine {
            Machine::Cancel(machine) => (machine, false),
            Machine::Other(machine, _) => (machine, true),
            Machine::Invite(_) => return,
        };
        match (machine.handle(now, &timing, input), response) {
            (NonInviteClientAction::Retransmit, _) => {
                shared.send_again(client.flow, &client.request);
            }
            (NonInviteClientAction::Deliver, Some(response)) if is_heard => {
                shared.tell(Event::Response { tx, flow, response });
            }
            (NonInviteClientAction::Fail(failure), _) if is_heard => {
                shared.tell(Event::Failed { tx, failure });
            }
            _ => {}
        }
        self.settle(shared, now, index);
    }

    fn step_invite(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        index: usize,
        input: InviteClientInput,
        response: Option<Response>,
    ) {
        let client = &mut self.table[index];
        let timing = shared.timing(client.flow.protocol);
        let (tx, flow) = (tx(index, client.generation), client.flow);
        let Machine::Invite(invite) = &mut client.machine else {
            return;
        };
        let mut cancels = false;
        match (invite.machine.handle(now, &timing, input), response) {
            (InviteClientAction::Retransmit, _) => {
                shared.send_again(client.flow, &client.request);
            }
            (InviteClientAction::Deliver, Some(response)) => {
                shared.tell(Event::Response { tx, flow, response });
            }
            (InviteClientAction::DeliverAndCancel, Some(response)) => {
                shared.tell(Event::Response { tx, flow, response });
                cancels = true;
            }
            (InviteClientAction::SendCancel, _) => cancels = true,
            (InviteClientAction::DeliverOrAckFork, Some(response)) => {
                invite.success(shared, (tx, flow), response);
            }
            (InviteClientAction::DeliverAndAck, Some(response)) => {
                let to = response.headers().get("To").unwrap_or_default();
                invite.ack = follow_up(&client.request, Method::Ack, to, None)
                    .map(|ack| write(shared, ack, &client.via))
                    .unwrap_or_default();
                shared.send(client.flow, invite.ack.clone());
                shared.tell(Event::Response { tx, flow, response });
            }
            (InviteClientAction::Ack, _) => shared.send_again(client.flow, &invite.ack),
            (InviteClientAction::Fail(failure), _) => {
                shared.tell(Event::Failed { tx, failure });
            }
            _ => {}
        }
        if cancels {
            self.send_cancel(shared, now, index);
        }
        self.settle(shared, now, index);
    }

    /// Sends the CANCEL in a transaction of its own. The table's limit does not hold for it: there is one for an
    /// INVITE at most, and without it a call rings on.
    fn send_cancel(&mut self, shared: &mut Shared, now: Instant, index: usize) {
        let client = &self.table[index];
        let Machine::Invite(invite) = &client.machine else {
            return;
        };
        let reason = invite.reason.as_deref();
        let Some(cancel) = follow_up(&client.request, Method::Cancel, "", reason) else {
            return;
        };
        let (flow, branch, via) = (client.flow, client.branch, client.via.clone());
        let request = write(shared, cancel, &via);
        shared.send(flow, request.clone());
        let timing = shared.timing(flow.protocol);
        let client = Client {
            generation: shared.next_generation(),
            flow,
            branch,
            via,
            request,
            machine: Machine::Cancel(NonInviteClient::start(now, &timing)),
            armed: None,
            fallback: None,
        };
        self.insert(shared, now, client);
    }

    /// After a step: the timer follows the machine, and a machine that is over leaves the tables.
    fn settle(&mut self, shared: &mut Shared, now: Instant, index: usize) {
        let Some(client) = self.table.get_mut(index) else {
            return;
        };
        let (deadline, is_over, is_cancel) = match &client.machine {
            Machine::Invite(invite) => (
                invite.machine.deadline(),
                invite.machine == InviteClient::Terminated,
                false,
            ),
            Machine::Cancel(machine) => (
                machine.deadline(),
                *machine == NonInviteClient::Terminated,
                true,
            ),
            Machine::Other(machine, _) => (
                machine.deadline(),
                *machine == NonInviteClient::Terminated,
                false,
            ),
        };
        shared.arm(now, &mut client.armed, deadline, Due::Client(index));
        if client.machine.is_answered() {
            client.forget_request();
        }
        if is_over {
            let client = self.table.remove(index);
            self.by_branch.remove(&(client.branch, is_cancel));
            self.by_flow.remove(&(client.flow, index));
        }
    }
}

impl Invite {
    /// A 2xx: of a new fork it goes to the user; of one that is known its ACK is sent again (RFC 3261 §13.2.2.4).
    fn success(&mut self, shared: &mut Shared, (tx, flow): (ClientTx, Flow), response: Response) {
        let to_tag = response.headers().to_tag().unwrap_or_default();
        match self.forks.iter().find(|fork| fork.to_tag == to_tag) {
            Some(fork) => {
                if let Some((flow, ack)) = &fork.ack {
                    shared.send_again(*flow, ack);
                }
            }
            None if self.forks.len() < FORKS_MAX => {
                self.forks.push(Fork {
                    to_tag: to_tag.to_owned(),
                    ack: None,
                });
                shared.tell(Event::Response { tx, flow, response });
            }
            None => shared.counters.unmatched += 1,
        }
    }
}

fn input_of(class: StatusClass) -> InviteClientInput {
    match class {
        StatusClass::Provisional => InviteClientInput::Provisional,
        StatusClass::Success => InviteClientInput::Success,
        StatusClass::Failure => InviteClientInput::Failure,
    }
}

fn tx(index: usize, generation: u32) -> ClientTx {
    ClientTx {
        index: index as u32, // the table is bounded by transactions_max
        generation,
    }
}
