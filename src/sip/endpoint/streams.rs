//! The streams: what came on each and is not yet a whole message.

use super::shared::{Armed, Due, SeededHash, Shared};
use crate::sip::flow::Flow;
use crate::sip::stream::{Frame, FramingError, StreamBuffer};
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

#[derive(Default)]
struct Stream {
    buffer: StreamBuffer,
    /// Runs while a message has begun and is not whole.
    armed: Option<Armed>,
}

pub(super) struct Streams {
    /// Only those with the beginning of a message or ping; so at most one a connection.
    partial: HashMap<Flow, Stream, SeededHash>,
    to_close: VecDeque<Flow>,
}

impl Streams {
    pub(super) fn new(hash: SeededHash) -> Self {
        Streams {
            partial: HashMap::with_hasher(hash),
            to_close: VecDeque::new(),
        }
    }

    /// Appends what came and cuts what is whole. After an error the stream is forgotten.
    pub(super) fn cut(
        &mut self,
        shared: &mut Shared,
        now: Instant,
        flow: Flow,
        bytes: &[u8],
    ) -> (Vec<Frame>, Result<(), FramingError>) {
        let mut stream = self.partial.remove(&flow).unwrap_or_default();
        stream.buffer.push(bytes);
        let mut frames = Vec::new();
        let result = loop {
            match stream.buffer.next_frame(shared.settings.stream_message_max) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let waits = result.is_ok() && stream.buffer.is_partial();
        let deadline = match stream.armed {
            // The message that had begun is still the same one.
            Some(armed) if waits && frames.is_empty() => Some(armed.at()),
            // As long as a transaction would wait for it.
            _ => waits.then(|| now + shared.settings.t1 * 64),
        };
        shared.arm(now, &mut stream.armed, deadline, Due::Stream(flow));
        if waits || (result.is_ok() && stream.buffer.is_after_crlf()) {
            self.partial.insert(flow, stream);
        }
        (frames, result)
    }

    /// A message that had begun did not come to its end in time.
    pub(super) fn timeout(&mut self, flow: Flow) {
        if self.partial.remove(&flow).is_some() {
            self.to_close.push_back(flow);
        }
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, shared: &mut Shared, now: Instant, flow: Flow) {
        if let Some(mut stream) = self.partial.remove(&flow) {
            shared.arm(now, &mut stream.armed, None, Due::Stream(flow));
        }
    }

    /// The next connection to be closed.
    pub(super) fn poll_close(&mut self) -> Option<Flow> {
        self.to_close.pop_front()
    }
}
