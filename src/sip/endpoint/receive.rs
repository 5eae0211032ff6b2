//! What happens to a message that came: the checks that are the same for every user, then its transaction.

use super::shared::Shared;
use super::{Endpoint, Event, keys, reply};
use crate::sip::flow::Flow;
use crate::sip::message::{Message, Method, ParseError, ParseErrorKind, Request, ResponseDraft};
use crate::sip::stream::{Frame, FramingError};
use bytes::Bytes;
use std::hash::BuildHasher;
use std::time::Instant;

/// What a refused client is asked to wait, seconds.
const RETRY_AFTER_S: u32 = 5;
/// The methods that the users of this endpoint may know, for the Allow of a 501.
const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, INFO, UPDATE, PRACK, REFER, NOTIFY, SUBSCRIBE, \
                     MESSAGE, PUBLISH";

impl Endpoint {
    /// A frame of a stream.
    pub(super) fn on_frame(&mut self, now: Instant, flow: Flow, frame: Frame) {
        match frame {
            Frame::Message(bytes) => self.on_message(now, flow, bytes),
            // RFC 5626 §3.5.1: a double CRLF asks for a single one.
            Frame::Ping => self.shared.send(flow, Bytes::from_static(b"\r\n")),
        }
    }

    /// One whole message.
    pub(super) fn on_message(&mut self, now: Instant, flow: Flow, bytes: Bytes) {
        match Message::parse(bytes.clone()) {
            Ok(Message::Response(response)) => {
                self.clients
                    .response(&mut self.shared, now, response, &bytes);
            }
            Ok(Message::Request(request)) => {
                let force_rport = self.shared.settings.force_rport;
                let request = request.with_received(flow.peer, force_rport);
                self.on_request(now, flow, request);
            }
            Err(error) => {
                self.shared.counters.malformed += 1;
                // The same bytes get the same tag.
                let tag = format!("{:016x}", self.shared.hash.hash_one(&bytes));
                if let Some(answer) = error.response(flow.peer, &tag) {
                    self.shared.send(flow, answer);
                }
            }
        }
    }

    fn on_request(&mut self, now: Instant, flow: Flow, request: Request) {
        let key = keys::request_key(self.shared.hash, &request);
        let found = self.servers.find(key);
        match (request.method(), found) {
            (Method::Ack, found) => self.on_ack(now, found, request),
            (Method::Cancel, found) => self.on_cancel(flow, found, &request),
            (_, Some(index)) => self.servers.repeated(&mut self.shared, now, index),
            (_, None) => match self.refusal(&request) {
                Some(refusal) => reply::stateless(&mut self.shared, flow, &request, refusal),
                None => {
                    let to = reply::flow(&self.shared, flow, &request);
                    let shown = request.clone();
                    let tx = self.servers.start(&mut self.shared, now, to, request, key);
                    let request = shown;
                    self.shared.tell(Event::Request { tx, flow, request });
                }
            },
        }
    }

    /// The checks of RFC 3261 §8.2 and §16.3 that do not depend on the user, and the table's limit.
    fn refusal(&mut self, request: &Request) -> Option<ResponseDraft> {
        let headers = request.headers();
        let counters = &mut self.shared.counters;
        if !Endpoint::knows(request.method()) {
            counters.malformed += 1;
            return Some(ResponseDraft::new(501).header("Allow", ALLOW));
        }
        if keys::merge_key(self.shared.hash, request)
            .is_some_and(|key| self.servers.has_merged(key))
        {
            counters.malformed += 1;
            return Some(ResponseDraft::new(482));
        }
        // Only what would be passed on can loop; an OPTIONS to us is answered whatever its Max-Forwards.
        let is_passed_on = matches!(request.method(), Method::Invite) && headers.to_tag().is_none();
        if is_passed_on && headers.max_forwards() == Some(0) {
            counters.malformed += 1;
            return Some(ResponseDraft::new(483));
        }
        let is_new = headers.to_tag().is_none();
        let is_full = self.transactions() >= self.shared.settings.transactions_max;
        if is_full || (is_new && self.shared.refuses_new) {
            self.shared.counters.overload += 1;
            return Some(ResponseDraft::new(503).header("Retry-After", RETRY_AFTER_S));
        }
        None
    }

    fn on_ack(&mut self, now: Instant, found: Option<usize>, ack: Request) {
        let to_tag = ack.headers().to_tag().unwrap_or_default();
        let found = found.or_else(|| {
            let key = keys::ack_key(self.shared.hash, &ack, to_tag);
            self.servers.find_by_ack(key)
        });
        match found {
            Some(index) => self.servers.acknowledge(&mut self.shared, now, index, ack),
            None if is_of_stateless_answer(&self.shared, &ack) => {}
            None => self.shared.counters.unmatched += 1,
        }
    }

    /// RFC 3261 §9.2. It needs no transaction of its own: a copy of it gets the same answer and is not reported.
    fn on_cancel(&mut self, flow: Flow, found: Option<usize>, cancel: &Request) {
        let tag = found.and_then(|index| self.servers.cancel(&mut self.shared, index, cancel));
        let Some(tag) = tag else {
            let refusal = ResponseDraft::new(481);
            reply::stateless(&mut self.shared, flow, cancel, refusal);
            return;
        };
        let answer = reply::write(&self.shared, cancel, ResponseDraft::new(200).to_tag(&tag));
        let to = reply::flow(&self.shared, flow, cancel);
        self.shared.send(to, answer);
    }

    /// The framing of a stream is lost. The message that broke it is answered if its head came.
    pub(super) fn on_framing_lost(&mut self, flow: Flow, error: FramingError) -> ParseError {
        let (kind, head) = match error {
            FramingError::TooLong(head) => (ParseErrorKind::HeadTooLong, head),
            FramingError::NoContentLength(head) => {
                (ParseErrorKind::Missing("Content-Length"), Some(head))
            }
            FramingError::BadContentLength(head) => {
                (ParseErrorKind::Invalid("Content-Length"), Some(head))
            }
        };
        self.shared.counters.malformed += 1;
        match head.map(Message::parse) {
            Some(Ok(Message::Request(request))) if *request.method() != Method::Ack => {
                let request = request.with_received(flow.peer, true);
                let mut refusal = ResponseDraft::new(400);
                refusal.reason = format!("Bad Request: {kind}");
                reply::stateless(&mut self.shared, flow, &request, refusal);
            }
            Some(Err(mut error)) => {
                error.kind = kind;
                let tag = self.shared.new_tag();
                if let Some(answer) = error.response(flow.peer, &tag) {
                    self.shared.send(flow, answer);
                }
            }
            _ => {}
        }
        ParseError {
            kind,
            offset: 0,
            bad_request: None,
        }
    }
}

/// True if the ACK is of an answer that we gave without a transaction.
fn is_of_stateless_answer(shared: &Shared, ack: &Request) -> bool {
    ack.headers().to_tag() == Some(&reply::stateless_tag(shared, ack))
}
