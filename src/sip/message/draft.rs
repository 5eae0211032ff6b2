//! Messages that we write. The transaction layer puts the Via on a request; Content-Length is always written.

use super::{Method, Request};
use bytes::Bytes;

/// A request without its Via and Content-Length.
#[derive(Clone, Debug)]
pub struct RequestDraft {
    /// The method.
    pub method: Method,
    /// The Request-URI, as it is to stand on the line.
    pub uri: String,
    headers: String,
    body: Bytes,
}

#[allow(unused_variables)]
impl RequestDraft {
    /// A request with no headers yet. Max-Forwards: 70 is written unless [`RequestDraft::header`] gives another.
    pub fn new(method: Method, uri: impl Into<String>) -> Self {
        RequestDraft {
            method,
            uri: uri.into(),
            headers: String::new(),
            body: Bytes::new(),
        }
    }
    /// Appends a header line. CR, LF and NUL in the value are replaced by spaces: a value that came from a peer or
    /// a dialplan cannot add lines of its own.
    pub fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        todo!()
    }
    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        todo!()
    }
    /// The whole message with the given Via value on top.
    pub fn write(&self, via: &str) -> Bytes {
        todo!()
    }
}

/// A response without what is copied from its request.
#[derive(Clone, Debug)]
pub struct ResponseDraft {
    /// 100 to 699.
    pub status: u16,
    /// The reason phrase; the RFC's own by [`ResponseDraft::new`].
    pub reason: String,
    /// The tag to put on To, if the request's To has none (never on a 100).
    pub to_tag: Option<String>,
    headers: String,
    body: Bytes,
}

#[allow(unused_variables)]
impl ResponseDraft {
    /// With the standard phrase of the code.
    pub fn new(status: u16) -> Self {
        todo!()
    }
    /// Puts this tag on To.
    pub fn to_tag(mut self, tag: &str) -> Self {
        self.to_tag = Some(tag.to_owned());
        self
    }
    /// Appends a header line, with the care of [`RequestDraft::header`].
    pub fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        todo!()
    }
    /// Sets the body and its Content-Type.
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        todo!()
    }
    /// The whole message: Via lines, From, To (with the tag), Call-ID and CSeq of the request, its Record-Route on a
    /// response that makes a dialog (101-299 to INVITE …, RFC 3261 §12.1.1), then our own headers.
    pub fn write(&self, request: &Request) -> Bytes {
        todo!()
    }
}
