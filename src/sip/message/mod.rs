//! SIP messages (RFC 3261 §7, §20, §25): a zero-copy reader and a writer.
//!
//! A [`Message`] keeps the bytes that came and an index into them; values are parsed when asked for. A head with
//! folded lines or with bytes that are not UTF-8 (old PBXs send Latin-1 names) is copied once into a tidy form, so
//! that every accessor gives a plain `&str`.

mod draft;
mod method;
mod name_addr;
mod uri;
mod via;

pub use draft::{RequestDraft, ResponseDraft};
pub use method::Method;
pub use name_addr::{NameAddr, Params};
pub use uri::{Host, Scheme, Uri};
pub use via::Via;

use bytes::Bytes;

/// What came: a request or a response.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

impl Message {
    /// Parses one whole message (a datagram, or what the stream framer cut).
    ///
    /// # Errors
    /// [`ParseError`] says what is wrong; where enough was understood to answer 400, it carries the request.
    pub fn parse(bytes: Bytes) -> Result<Message, ParseError> {
        let _ = bytes;
        todo!()
    }
}

/// A request (RFC 3261 §7.1).
#[derive(Clone, Debug)]
pub struct Request {
    headers: Headers,
}

#[allow(unused_variables)]
impl Request {
    /// The method.
    pub fn method(&self) -> &Method {
        todo!()
    }
    /// The Request-URI as it stands on the line.
    pub fn uri(&self) -> &str {
        todo!()
    }
    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
    /// The body, empty if none.
    pub fn body(&self) -> Bytes {
        todo!()
    }
}

/// A response (RFC 3261 §7.2).
#[derive(Clone, Debug)]
pub struct Response {
    headers: Headers,
}

impl Response {
    /// The status code, 100 to 699.
    pub fn status(&self) -> u16 {
        todo!()
    }
    /// The reason phrase.
    pub fn reason(&self) -> &str {
        todo!()
    }
    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
    /// The body, empty if none.
    pub fn body(&self) -> Bytes {
        todo!()
    }
}

/// The header fields of a message, in their order.
#[derive(Clone, Debug)]
pub struct Headers {}

/// The value of a CSeq header (RFC 3261 §20.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method,
}

#[allow(unused_variables)]
impl Headers {
    /// The first value of the header: its whole line. `name` is the long form in any case (`"Call-ID"`); a compact
    /// form in the message (`i`) is found by it.
    pub fn get(&self, name: &str) -> Option<&str> {
        todo!()
    }
    /// Every line of that header, in order.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::empty()
    }
    /// Every value of a list header, in order, whether on one line with commas or on several lines.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        std::iter::empty()
    }
    /// Every header line in order: name as written, value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        std::iter::empty()
    }
    /// Call-ID. Always there in a message that parsed.
    pub fn call_id(&self) -> &str {
        todo!()
    }
    /// CSeq. Always there in a message that parsed.
    pub fn cseq(&self) -> CSeq {
        todo!()
    }
    /// From. Always there and valid in a message that parsed.
    pub fn from(&self) -> NameAddr {
        todo!()
    }
    /// To. Always there and valid in a message that parsed.
    pub fn to(&self) -> NameAddr {
        todo!()
    }
    /// The tag of From.
    pub fn from_tag(&self) -> Option<&str> {
        todo!()
    }
    /// The tag of To.
    pub fn to_tag(&self) -> Option<&str> {
        todo!()
    }
    /// The top Via.
    pub fn top_via(&self) -> Via<'_> {
        todo!()
    }
    /// The first Contact that is an address.
    pub fn contact(&self) -> Option<NameAddr> {
        todo!()
    }
    /// Max-Forwards, if there and a number.
    pub fn max_forwards(&self) -> Option<u8> {
        todo!()
    }
}

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ParseError {
    /// What.
    pub kind: ParseErrorKind,
    /// Where, in bytes from the start of the message.
    pub offset: usize,
}

/// The kinds of [`ParseError`]. (The owner of this file completes them.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// Not a request line or status line.
    #[error("no SIP start line")]
    StartLine,
}
