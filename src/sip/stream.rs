//! Framing of a byte stream into messages (RFC 3261 §7.5, §18.3) and keep-alives (RFC 5626 §3.5.1).
//!
//! ```text
//!   CRLF CRLF  INVITE … CRLF CRLF  body…  CRLF  BYE …
//!   └─ ping ─┘ └──── head ──────┘ └─ Content-Length ─┘
//! ```
//!
//! A head that came in many pieces is searched once: the search goes on where it stopped.

use bytes::{Buf, Bytes, BytesMut};

/// The end of a head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a stream carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Bytes),
    /// A double CRLF between messages: answered with a single one.
    Ping,
}

/// Why the next message cannot be cut; the stream is of no use then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// The head, or what its Content-Length announces, is over the limit. With the head, if it is whole.
    TooLong(Option<Bytes>),
    /// Content-Length is missing (RFC 3261 §20.14 demands it on a stream).
    NoContentLength(Bytes),
    /// Content-Length is not a number, or stands there twice with different values.
    BadContentLength(Bytes),
}

/// The bytes of a connection that are not yet a whole message.
#[derive(Debug, Default)]
pub struct StreamBuffer {
    buffer: BytesMut,
    /// No head ends before here.
    searched: usize,
    /// The length of the message at the start of the buffer, once its head is known.
    message: Option<usize>,
    /// A CRLF stood before the buffer: with a second one it is a ping.
    after_crlf: bool,
}

impl StreamBuffer {
    /// Appends what came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// True if a message has begun and is not whole.
    pub fn is_partial(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// True if a CRLF stood at the end: a second one makes it a ping.
    pub fn is_after_crlf(&self) -> bool {
        self.after_crlf
    }

    /// Cuts the next frame; None if more bytes are needed. `message_max` limits head and body together.
    ///
    /// # Errors
    /// [`FramingError`]: the connection is to be closed.
    pub fn next_frame(&mut self, message_max: usize) -> Result<Option<Frame>, FramingError> {
        if self.message.is_none() && self.searched == 0 && self.skip_line_ends() {
            return Ok(Some(Frame::Ping));
        }
        if self.buffer[..] == b"\r"[..] {
            return Ok(None); // half a line end
        }
        let length = match self.message {
            Some(length) => length,
            None => match self.find_message(message_max)? {
                Some(length) => *self.message.insert(length),
                None => return Ok(None),
            },
        };
        if self.buffer.len() < length {
            return Ok(None);
        }
        self.message = None;
        self.searched = 0;
        self.after_crlf = false;
        Ok(Some(Frame::Message(self.buffer.split_to(length).freeze())))
    }

    /// Takes the line ends between messages away. True at a ping; what follows it stays.
    fn skip_line_ends(&mut self) -> bool {
        while self.buffer.starts_with(b"\r\n") {
            self.buffer.advance(2);
            self.after_crlf = !self.after_crlf;
            if !self.after_crlf {
                return true;
            }
        }
        false
    }

    /// The length of the message at the start of the buffer; None if its head is not whole.
    fn find_message(&mut self, message_max: usize) -> Result<Option<usize>, FramingError> {
        let from = self.searched.saturating_sub(HEAD_END.len() - 1);
        let found = self.buffer[from..]
            .windows(HEAD_END.len())
            .position(|window| window == HEAD_END);
        let Some(end) = found.map(|position| from + position + HEAD_END.len()) else {
            self.searched = self.buffer.len();
            return match self.buffer.len() > message_max {
                true => Err(FramingError::TooLong(None)),
                false => Ok(None),
            };
        };
        let head = || Bytes::copy_from_slice(&self.buffer[..end]);
        let body = match content_length(&self.buffer[..end]) {
            ContentLength::Value(length) => length,
            ContentLength::Missing => return Err(FramingError::NoContentLength(head())),
            ContentLength::Invalid => return Err(FramingError::BadContentLength(head())),
        };
        match end
            .checked_add(body)
            .filter(|length| *length <= message_max)
        {
            Some(length) => Ok(Some(length)),
            None => Err(FramingError::TooLong(Some(head()))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ContentLength {
    Missing,
    Invalid,
    Value(usize),
}

/// Finds Content-Length (or `l`) in a head, folded or not. It looks at nothing else: the parser does.
fn content_length(head: &[u8]) -> ContentLength {
    let mut found = ContentLength::Missing;
    let mut lines = head.split(|byte| *byte == b'\n').skip(1).peekable();
    while let Some(line) = lines.next() {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (line[..colon].trim_ascii(), &line[colon + 1..]);
        let is_folded = line.first().is_some_and(u8::is_ascii_whitespace);
        if is_folded
            || !(name.eq_ignore_ascii_case(b"Content-Length") || name.eq_ignore_ascii_case(b"l"))
        {
            continue;
        }
        let mut value = value.trim_ascii();
        while let Some(more) = lines.next_if(|next| matches!(next.first(), Some(b' ' | b'\t'))) {
            // RFC 3261 §7.3.1: the value may stand on the folded line; a number cannot be split by one.
            value = match (value.is_empty(), more.trim_ascii()) {
                (true, more) => more,
                (false, b"") => value,
                (false, _) => return ContentLength::Invalid,
            };
        }
        let number = std::str::from_utf8(value)
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok());
        found = match (number, found) {
            (Some(number), ContentLength::Missing) => ContentLength::Value(number),
            (Some(number), ContentLength::Value(before)) if number == before => found,
            _ => return ContentLength::Invalid,
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 65_535;

    fn message(name: &str, body: &str) -> String {
        format!(
            "{name} sip:a@b SIP/2.0\r\nVia: x\r\nContent-Length: {}\r\nX: y\r\n\r\n{body}",
            body.len()
        )
    }

    fn frames(chunks: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Frame> {
        let (mut buffer, mut out) = (StreamBuffer::default(), Vec::new());
        for chunk in chunks {
            buffer.push(chunk.as_ref());
            while let Some(frame) = buffer.next_frame(MAX).expect("it frames") {
                out.push(frame);
            }
        }
        assert!(!buffer.is_partial(), "nothing is left");
        out
    }

    fn error(bytes: &str, max: usize) -> FramingError {
        let mut buffer = StreamBuffer::default();
        buffer.push(bytes.as_bytes());
        buffer.next_frame(max).expect_err("it does not frame")
    }

    #[test]
    fn byte_by_byte_and_all_at_once_are_the_same() {
        let (first, second) = (
            message("INVITE", "v=0\r\n\r\nnot the end"),
            message("BYE", ""),
        );
        let text = format!("\r\n{first}\r\n\r\n\r\n{second}\r\n\r\n\r\n\r\n");
        let expected = [
            Frame::Message(first.into()),
            Frame::Ping,
            Frame::Message(second.into()),
            Frame::Ping,
            Frame::Ping,
        ];
        assert_eq!(frames([&text]), expected);
        assert_eq!(frames(text.as_bytes().chunks(1)), expected);
    }

    #[test]
    fn many_messages_in_one_chunk() {
        let text: String = (0..200)
            .map(|n| message("OPTIONS", &"x".repeat(n)))
            .collect();
        assert_eq!(frames([text]).len(), 200);
    }

    #[test]
    fn content_length_in_all_its_forms() {
        for (line, expected) in [
            ("Content-Length: 5", ContentLength::Value(5)),
            ("content-length:5", ContentLength::Value(5)),
            ("l: 5", ContentLength::Value(5)),
            ("L\t :\t5 ", ContentLength::Value(5)),
            ("Content-Length:\r\n 5", ContentLength::Value(5)),
            ("Content-Length: 5\r\nl: 5", ContentLength::Value(5)),
            ("Content-Length: 5\r\nl: 6", ContentLength::Invalid),
            ("Content-Length: 5\r\n 6", ContentLength::Invalid),
            ("Content-Length: -1", ContentLength::Invalid),
            ("Content-Length: +1", ContentLength::Invalid),
            ("Content-Length:", ContentLength::Invalid),
            (
                "Content-Length: 99999999999999999999999",
                ContentLength::Invalid,
            ),
            ("X-Content-Length: 5", ContentLength::Missing),
            ("Subject: a\r\n Content-Length: 5", ContentLength::Missing),
        ] {
            let head = format!("BYE sip:a SIP/2.0\r\nVia: x\r\n{line}\r\nX: y\r\n\r\n");
            assert_eq!(content_length(head.as_bytes()), expected, "{line:?}");
        }
    }

    #[test]
    fn what_cannot_be_framed_is_an_error() {
        let head = "BYE sip:a SIP/2.0\r\nVia: x\r\n\r\n";
        assert_eq!(error(head, MAX), FramingError::NoContentLength(head.into()));
        let head = "BYE sip:a SIP/2.0\r\nl: x\r\n\r\n";
        assert_eq!(
            error(head, MAX),
            FramingError::BadContentLength(head.into())
        );
        let head = "BYE sip:a SIP/2.0\r\nl: 1000\r\n\r\n";
        assert_eq!(error(head, 1_000), FramingError::TooLong(Some(head.into())));
        let head = format!("BYE sip:a SIP/2.0\r\nl: {}\r\n\r\n", usize::MAX);
        assert_eq!(
            error(&head, MAX),
            FramingError::TooLong(Some(head.clone().into()))
        );
        assert_eq!(
            error(&"x".repeat(1_001), 1_000),
            FramingError::TooLong(None)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn any_cut_gives_the_same_frames(bodies in prop::collection::vec("[a-z\r\n]{0,40}", 1..6), cuts in prop::collection::vec(1..60usize, 1..40)) {
            let messages: Vec<String> = bodies.iter().map(|body| message("INFO", body)).collect();
            let text = messages.join("\r\n");
            let (mut rest, mut chunks, mut cuts) = (text.as_bytes(), Vec::new(), cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at(rest.len().min(*cuts.next().expect("it cycles")));
                chunks.push(chunk);
                rest = tail;
            }
            let expected: Vec<Frame> = messages.iter().map(|text| Frame::Message(text.clone().into())).collect();
            prop_assert_eq!(frames(chunks), expected);
        }
    }
}
