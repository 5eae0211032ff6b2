//! The SIP endpoint: bytes in, transactions and their events out.
//!
//! It owns the transactions of RFC 3261 §17 (with RFC 6026), the stream framing of §18.3 and the duties of the
//! UAS and UAC core that are the same for every user: a 2xx to an INVITE is retransmitted until its ACK comes
//! (§13.3.1.4), an ACK to a 2xx is sent again when the 2xx is (§13.2.2.4), a CANCEL is answered and reported,
//! a malformed or unmatched message is answered or dropped as the RFC asks, and counted.

mod ask;
mod clients;
mod keys;
mod large;
mod receive;
mod reply;
mod servers;
mod shared;
mod streams;

#[cfg(test)]
mod tests;

use super::flow::{Flow, Transmit, TransportId};
use super::message::{Method, Request, RequestDraft, Response, ResponseDraft};
use bytes::Bytes;
use clients::{Clients, Way};
pub use large::{DATAGRAM_REQUEST_MAX, StreamBeside};
use rustc_hash::FxHashMap;
use servers::Servers;
use shared::{Due, Shared};
use std::time::{Duration, Instant};
use streams::Streams;

/// Timers and limits of the endpoint.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// RFC 3261 timer T1, an estimate of the round trip. 500 ms.
    pub t1: Duration,
    /// RFC 3261 timer T2, the longest retransmission interval of a non-INVITE request. 4 s.
    pub t2: Duration,
    /// RFC 3261 timer T4, how long a message stays in the network. 5 s.
    pub t4: Duration,
    /// Most transactions at once, client and server; a call has four, of which three live for 32 s after it, so that
    /// 1,000 new calls a second have some 100,000. Beyond it a new request gets a stateless 503 (Retry-After).
    pub transactions_max: usize,
    /// Most bytes of one message on a stream, head and body. 65,535 on UDP by nature.
    pub stream_message_max: usize,
    /// Answer a datagram to the port that it came from even where its Via does not ask for it with `rport`
    /// (RFC 3581). On a stream answers always go the way that the request came.
    pub force_rport: bool,
    /// Value of the `Server` / `User-Agent` header; empty for none.
    pub user_agent: String,
}

impl Default for EndpointSettings {
    fn default() -> Self {
        EndpointSettings {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            transactions_max: 262_144,
            stream_message_max: 65_535,
            force_rport: true,
            user_agent: String::from("ringway"),
        }
    }
}

/// A server transaction (we were asked). The generation makes a late use of a dead one harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServerTx {
    /// Place in the table.
    pub index: u32,
    /// Counts the uses of that place.
    pub generation: u32,
}

/// A client transaction (we asked).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientTx {
    /// Place in the table.
    pub index: u32,
    /// Counts the uses of that place.
    pub generation: u32,
}

/// What the endpoint has to say to its user. Drained by [`Endpoint::poll_event`].
#[derive(Clone, Debug)]
pub enum Event {
    /// A new request, not a retransmission. Never ACK or CANCEL. For an INVITE, the user may answer after any
    /// time; 100 Trying is sent by the endpoint if none is given within 200 ms (RFC 3261 §17.2.1).
    Request {
        /// Answer with [`Endpoint::respond`].
        tx: ServerTx,
        /// Where it came from.
        flow: Flow,
        /// The request, with `received` and `rport` filled into its top Via.
        request: Request,
    },
    /// The ACK of our 2xx to the INVITE `tx` (with the SDP answer of a delayed offer, perhaps).
    Ack {
        /// The INVITE's transaction.
        tx: ServerTx,
        /// The ACK.
        request: Request,
    },
    /// No ACK came to our 2xx within 64*T1; the user ends the dialog with BYE (RFC 3261 §13.3.1.4).
    AckTimeout {
        /// The INVITE's transaction.
        tx: ServerTx,
    },
    /// A CANCEL came for the INVITE `tx`, which has no final answer yet. The endpoint has answered the CANCEL
    /// with 200; the user answers the INVITE with 487 (RFC 3261 §9.2).
    Cancelled {
        /// The INVITE's transaction.
        tx: ServerTx,
        /// The CANCEL (its Reason header is of use).
        request: Request,
    },
    /// A response to our request: every provisional one but retransmissions, the final one once; for INVITE also
    /// each further 2xx from another fork (another To tag).
    Response {
        /// Our request's transaction.
        tx: ClientTx,
        /// The way that the request went.
        flow: Flow,
        /// The response.
        response: Response,
    },
    /// No final answer: timer B or F ran out (treat as 408), or the transport failed (treat as 503).
    Failed {
        /// Our request's transaction.
        tx: ClientTx,
        /// Which of the two.
        failure: ClientFailure,
    },
}

/// Why a client transaction ended without a final response (RFC 3261 §8.1.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFailure {
    /// Timer B or F.
    Timeout,
    /// The transport said that it cannot be sent (ICMP, connection refused, connection closed).
    Transport,
}

/// Plain counters, read by the control plane at a scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests and responses sent again by a timer.
    pub retransmissions: u64,
    /// Requests that could not be parsed or failed the checks of RFC 3261 §8.2 and §16.3, answered 400 or dropped.
    pub malformed: u64,
    /// Responses and ACKs that match nothing.
    pub unmatched: u64,
    /// Requests refused with 503 because the transaction table is full or nothing new is taken.
    pub overload: u64,
}

/// See the module's comment.
pub struct Endpoint {
    shared: Shared,
    servers: Servers,
    clients: Clients,
    streams: Streams,
}

impl Endpoint {
    /// `seed` feeds branches and tags, so that a test can repeat a run; at run time it comes from the kernel.
    pub fn new(settings: EndpointSettings, seed: u64) -> Self {
        let shared = Shared::new(settings, seed);
        Endpoint {
            servers: Servers::default(),
            clients: Clients::default(),
            streams: Streams::new(shared.hash),
            shared,
        }
    }

    /// Which stream transport stands beside a datagram transport, for requests over [`DATAGRAM_REQUEST_MAX`] bytes.
    pub fn set_streams(&mut self, streams: FxHashMap<TransportId, StreamBeside>) {
        self.clients.set_streams(streams);
    }

    /// One UDP datagram. One of nothing but line ends and NULs is a keep-alive and ignored (RFC 5626 §3.5.1).
    pub fn handle_datagram(&mut self, now: Instant, flow: Flow, datagram: Bytes) {
        if datagram
            .iter()
            .all(|byte| matches!(byte, b'\r' | b'\n' | 0))
        {
            return;
        }
        self.on_message(now, flow, datagram);
    }

    /// Bytes of a stream.
    ///
    /// # Errors
    /// Close the connection: framing is lost, or a message is over the limit. It was answered if that was possible,
    /// so send what is to be sent before.
    pub fn handle_stream(
        &mut self,
        now: Instant,
        flow: Flow,
        bytes: &[u8],
    ) -> Result<(), super::message::ParseError> {
        let (frames, framing) = self.streams.cut(&mut self.shared, now, flow, bytes);
        for frame in frames {
            self.on_frame(now, flow, frame);
        }
        framing.map_err(|error| self.on_framing_lost(flow, error))
    }

    /// The connection of a stream flow has closed or could not be opened, or the kernel reported that a datagram
    /// peer is unreachable: client transactions on it fail at once (RFC 3261 §18.4).
    pub fn handle_flow_failed(&mut self, now: Instant, flow: Flow) {
        self.streams.forget(&mut self.shared, now, flow);
        self.servers.flow_failed(flow);
        self.clients.flow_failed(&mut self.shared, now, flow);
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(due) = self.shared.timers.expire(now) {
            match due {
                Due::Client(index) => self.clients.timeout(&mut self.shared, now, index),
                Due::Server(index) => self.servers.timeout(&mut self.shared, now, index),
                Due::Stream(flow) => self.streams.timeout(flow),
            }
        }
    }

    /// Answers. Provisional answers may be given many times, the final one once; a later one is ignored. A tag is
    /// put on To if the draft has none, the same on all answers to one request.
    pub fn respond(&mut self, now: Instant, tx: ServerTx, response: ResponseDraft) {
        self.servers.respond(&mut self.shared, now, tx, response);
    }

    /// Sends a request in a new client transaction. `sent_by` (host, or host:port) goes into the Via.
    /// Never for ACK (see [`Endpoint::ack`]) or CANCEL (see [`Endpoint::cancel`]). None if the table is full.
    pub fn request(
        &mut self,
        now: Instant,
        flow: Flow,
        sent_by: &str,
        request: RequestDraft,
    ) -> Option<ClientTx> {
        self.request_by(now, flow, sent_by, request, Way::FlowAlone)
    }

    /// As [`Endpoint::request`], to a peer that a URI has led to: one that is too large for a datagram goes over the
    /// stream transport beside it, and as a datagram if that fails (RFC 3261 §18.1.1).
    pub fn request_located(
        &mut self,
        now: Instant,
        flow: Flow,
        sent_by: &str,
        request: RequestDraft,
    ) -> Option<ClientTx> {
        self.request_by(now, flow, sent_by, request, Way::StreamIfLarge)
    }

    fn request_by(
        &mut self,
        now: Instant,
        flow: Flow,
        sent_by: &str,
        request: RequestDraft,
        by: Way,
    ) -> Option<ClientTx> {
        if self.transactions() >= self.shared.settings.transactions_max {
            return None;
        }
        let shared = &mut self.shared;
        let clients = &mut self.clients;
        Some(clients.request(shared, now, flow, sent_by, request, by))
    }

    /// Sends the ACK of a 2xx (made by the dialog) and keeps it, to send it again each time that 2xx comes again.
    /// The tag of its To tells which fork's 2xx it is for.
    pub fn ack(
        &mut self,
        _now: Instant,
        tx: ClientTx,
        flow: Flow,
        sent_by: &str,
        ack: RequestDraft,
    ) {
        self.clients.ack(&mut self.shared, tx, flow, sent_by, ack);
    }

    /// Cancels our INVITE: at once if a provisional response came, else when the first one comes
    /// (RFC 3261 §9.1). `reason` is the value of a Reason header (RFC 3326), if any. If no final response comes
    /// within 64*T1 of the CANCEL, the INVITE fails by [`ClientFailure::Timeout`].
    pub fn cancel(&mut self, now: Instant, tx: ClientTx, reason: Option<&str>) {
        self.clients.cancel(&mut self.shared, now, tx, reason);
    }

    /// Whether new requests outside of dialogs get a stateless 503 with Retry-After. True if that is a change.
    pub fn refuse_new(&mut self, refuses: bool) -> bool {
        std::mem::replace(&mut self.shared.refuses_new, refuses) != refuses
    }

    /// The next bytes for the wire.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.shared.transmits.pop_front()
    }

    /// The next event for the user.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.events.pop_front()
    }

    /// The next stream to close: a message on it had begun and did not end within 64*T1.
    pub fn poll_close(&mut self) -> Option<Flow> {
        self.streams.poll_close()
    }

    /// When [`Endpoint::handle_timeout`] wants to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.shared.timers.next()
    }

    /// Transactions alive now.
    pub fn transactions(&self) -> usize {
        self.servers.len() + self.clients.len()
    }

    /// The counters so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters
    }

    /// A fresh tag, of 64 bits of randomness (RFC 3261 §19.3 asks for 32).
    pub fn new_tag(&mut self) -> String {
        self.shared.new_tag()
    }

    /// A fresh Call-ID, of 128 bits of randomness; tells nothing about this host.
    pub fn new_call_id(&mut self) -> String {
        let (high, low) = (self.shared.next_u64(), self.shared.next_u64());
        format!("{high:016x}{low:016x}")
    }

    /// RFC 3261 timer T1.
    pub fn t1(&self) -> Duration {
        self.shared.settings.t1
    }

    /// True if the method is one that this endpoint lets through to its user. Others are answered 501.
    pub fn knows(method: &Method) -> bool {
        !matches!(method, Method::Ack | Method::Cancel | Method::Other(_))
    }
}
