//! What can be wrong with a message, and how a bad request is answered all the same.

use super::draft::write_response;
use super::{Headers, ResponseDraft, Source};
use bytes::Bytes;
use std::net::SocketAddr;

/// What is wrong with a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ParseError {
    /// What.
    pub kind: ParseErrorKind,
    /// Where, in bytes from the start of the message (of its tidy form, if it had folded lines).
    pub offset: usize,
    /// What was understood of a request that can be answered. None for a response, an ACK, or a request whose top
    /// Via does not name its sender: nothing is to be sent then (RFC 3261 §17.1.1.3, §18.1.2).
    pub bad_request: Option<Box<BadRequest>>,
}

impl ParseError {
    pub(super) fn new(kind: ParseErrorKind, offset: usize) -> Self {
        ParseError {
            kind,
            offset,
            bad_request: None,
        }
    }

    /// The status that a request with this error is answered with: 400, 505 or 513.
    pub fn status(&self) -> u16 {
        match self.kind {
            ParseErrorKind::Version => 505,
            ParseErrorKind::HeadTooLong => 513,
            _ => 400,
        }
    }

    /// The answer for the wire, to be sent statelessly to `source`, where the request came from. `to_tag` is put on
    /// To. The reason phrase names the error (RFC 3261 §21.4.1). None if there is nothing to answer.
    pub fn response(&self, source: SocketAddr, to_tag: &str) -> Option<Bytes> {
        let request = self.bad_request.as_deref()?;
        let mut draft = ResponseDraft::new(self.status()).to_tag(to_tag);
        if draft.status == 400 {
            draft.reason = format!("Bad Request: {}", self.kind);
        }
        let source = Source {
            address: source,
            force_rport: false,
        };
        Some(write_response(
            &draft,
            &request.headers,
            false,
            Some(source),
        ))
    }
}

/// The header fields of a request that is not valid; what could not be read is missing in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    pub(super) headers: Headers,
}

/// The kinds of [`ParseError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// Not a request line or status line.
    #[error("no SIP start line")]
    StartLine,
    /// A version other than SIP/2.0.
    #[error("not SIP/2.0")]
    Version,
    /// The Request-URI is not a URI, or carries headers.
    #[error("invalid Request-URI")]
    RequestUri,
    /// No empty line ends the head.
    #[error("no end of the header fields")]
    HeadUnterminated,
    /// The head is longer than [`super::HEAD_LENGTH_MAX`].
    #[error("header fields too long")]
    HeadTooLong,
    /// More lines than [`super::HEADER_LINES_MAX`].
    #[error("too many header fields")]
    HeadersTooMany,
    /// A line that is no header field.
    #[error("a line is not a header field")]
    HeaderLine,
    /// A mandatory header is not there.
    #[error("missing {0}")]
    Missing(&'static str),
    /// A header that may stand once stands twice.
    #[error("more than one {0}")]
    Repeated(&'static str),
    /// A header's value breaks its grammar or range.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// CSeq names another method than the request line (RFC 3261 §8.1.1.5).
    #[error("CSeq names another method")]
    MethodMismatch,
    /// Content-Length says more than the datagram holds (RFC 3261 §18.3).
    #[error("body shorter than Content-Length")]
    BodyTooShort,
}
