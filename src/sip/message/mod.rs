//! SIP messages (RFC 3261 §7, §20, §25): a zero-copy reader and a writer.
//!
//! A [`Message`] keeps the bytes that came and an index into them; values are parsed when asked for. A head with
//! folded lines or with bytes that are not UTF-8 (old PBXs send Latin-1 names) is copied once into a tidy form, so
//! that every accessor gives a plain `&str`.

mod draft;
mod error;
mod field;
mod head;
mod headers;
mod method;
mod name_addr;
mod parse;
mod reason;
mod text;
mod uri;
mod uri_equality;
mod via;

#[cfg(test)]
mod tests;

pub use draft::{RequestDraft, ResponseDraft};
pub use error::{BadRequest, ParseError, ParseErrorKind};
pub use headers::{CSeq, Headers};
pub use method::{Method, NotAMethod};
pub use name_addr::{NameAddr, Params};
pub use parse::frame_len;
pub use uri::{Host, Scheme, Uri};
pub use via::Via;

use bytes::Bytes;
use headers::Span;
use std::net::{IpAddr, SocketAddr};

/// Most bytes of a head (start line and header fields). A longer one is answered 513 if it can be.
pub const HEAD_LENGTH_MAX: usize = 65_535;

/// Most header lines of a message. More are answered 400.
pub const HEADER_LINES_MAX: usize = 256;

/// What came: a request or a response.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Parses one whole message (a datagram, or what the stream framer cut with [`frame_len`]).
    ///
    /// What parsed has exactly one valid From, To, Call-ID and CSeq (in a request, of its own method) and a valid
    /// top Via; at most one Max-Forwards and Content-Length, in range; in a request, only valid Contacts.
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong; where enough was understood to answer 400, [`ParseError::response`] does.
    pub fn parse(bytes: Bytes) -> Result<Message, ParseError> {
        parse::message(bytes)
    }
}

/// A request (RFC 3261 §7.1).
#[derive(Clone, Debug)]
pub struct Request {
    headers: Headers,
    method: Method,
    uri: Span,
    body: Bytes,
    source: Option<Source>,
}

impl Request {
    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }
    /// The Request-URI as it stands on the line. It is a valid URI without headers; its scheme may be any.
    pub fn uri(&self) -> &str {
        self.uri.of(&self.headers.head)
    }
    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
    /// The body, empty if none.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }
    /// Notes where the request came from, so that every response carries `received` and `rport` in its top Via as
    /// RFC 3261 §18.2.1 and RFC 3581 §4 ask: `received` where sent-by is another address or `rport` was asked for,
    /// `rport` where it was asked for or is forced.
    pub fn with_received(mut self, address: SocketAddr, force_rport: bool) -> Self {
        self.source = Some(Source {
            address,
            force_rport,
        });
        self
    }
    /// Where the request came from, if that was noted.
    pub fn received_from(&self) -> Option<SocketAddr> {
        self.source.map(|source| source.address)
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
struct Source {
    address: SocketAddr,
    force_rport: bool,
}

impl Source {
    /// The values of `received` and `rport` for this Via.
    fn of_via(self, via: &via::ViaText<'_>) -> (Option<IpAddr>, Option<u16>) {
        let ip = self.address.ip().to_canonical();
        let rport = self.force_rport || text::param(via.params, "rport").is_some();
        let received = rport || via.host.to_host().ip() != Some(ip);
        (received.then_some(ip), rport.then_some(self.address.port()))
    }
}

/// A response (RFC 3261 §7.2).
#[derive(Clone, Debug)]
pub struct Response {
    headers: Headers,
    status: u16,
    reason: Span,
    body: Bytes,
}

impl Response {
    /// The status code, 100 to 699.
    pub fn status(&self) -> u16 {
        self.status
    }
    /// The reason phrase.
    pub fn reason(&self) -> &str {
        self.reason.of(&self.headers.head)
    }
    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
    /// The body, empty if none.
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }
}
