//! What a leg's peer says, as blocks: its packets through the jitter buffer, decoded, what is lost concealed.
//!
//! ```text
//!  packets ──► jitter buffer ──pull, each 10 ms──► 80 octets ─► decoder ──► concealer ─► block
//!                                      lost, late ────────────────────────►     │
//!                                      comfort noise ─► generator ──────────────┼──────► block
//!                                      an event, or nothing ────────────────────┴──────► none
//! ```
//!
//! A tick is three steps, so that G.722 of all legs is decoded as a batch in between: [`Intake::pull`],
//! [`Intake::decode_job`] or [`Intake::decode`], [`Intake::finish`].
//!
//! Where the buffer leaves a block out to shorten the delay, what was heard goes on with that block and passes over to the next
//! where the two are most alike ([`Block::spliced`]).

use super::block::{Block, OCTETS};
use super::decoding::StreamDecoder;
use crate::codec::g722::DecodeJob;
use crate::codec::noise::{Generator, Payload};
use crate::codec::plc::Concealer;
use crate::codec::{Codec, Rate};
use crate::media::in_stream::Counted;
use crate::media::leg::Playout;
use crate::media::seam::Nanos;
use crate::rtp::jitter::{Arriving, JitterBuffer, LeftOut, Pulled};
use crate::rtp::packet::Header;

/// How long after its last packet an event is over, if its end is lost: three packets of 50 ms (RFC 4733 §2.5.2.2).
const EVENT_QUIET: Nanos = Nanos::from_millis(150);

/// A mean magnitude below which a block may be left out to shorten the delay: some -60 dBm0.
const QUIET_LEVEL: u32 = 30;

/// What the last tick brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The peer says nothing, and is not expected to.
    Nothing,
    /// Audio as it was sent, or comfort noise.
    Audio,
    /// What stands in for audio that was lost on its way, or comes too late.
    Concealed,
}

/// Where its audio goes, besides to recorders and detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Use {
    /// To the leg's bridge or room.
    Feed,
    /// Nowhere: the packets themselves are relayed.
    Tap,
}

/// What is to be done between pull and finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Nothing,
    Decode,
    Conceal,
    Noise,
}

/// See the module's comment.
pub(in crate::media) struct Intake {
    jitter: JitterBuffer,
    /// The source that is in the buffer.
    epoch: u32,
    pub(in crate::media) used: Use,
    octets: [u8; OCTETS],
    work: Work,
    decoder: StreamDecoder,
    /// What would have been heard now, had it not been left out.
    left_out: Option<Block>,
    concealer: Concealer,
    noise: Generator,
    /// Until then the peer sends an event, and no audio.
    event_until: Nanos,
    is_quiet: bool,
    pub(super) heard: Heard,
    pub(super) block: Block,
}

impl Intake {
    pub(super) fn new(used: Use, seed: u32) -> Intake {
        Intake {
            jitter: JitterBuffer::new(),
            epoch: 0,
            used,
            octets: [0; OCTETS],
            work: Work::Nothing,
            decoder: StreamDecoder::new(),
            left_out: None,
            concealer: Concealer::new(Rate::Narrow),
            noise: Generator::new(seed),
            event_until: Nanos(0),
            is_quiet: true,
            heard: Heard::Nothing,
            block: Block::silence(Rate::Narrow),
        }
    }

    /// Takes a packet of audio in a codec that we decode.
    pub(in crate::media) fn push(
        &mut self,
        now: Nanos,
        counted: Counted,
        header: &Header,
        codec: Codec,
        payload: &[u8],
    ) {
        self.follow(counted.epoch);
        self.event_until = Nanos(0);
        let packet = Arriving {
            extended: counted.extended,
            timestamp: header.timestamp,
            tag: tag_of(codec),
            marker: header.marker,
            payload,
        };
        // What comes late or twice is counted in there.
        let _ = self.jitter.push(now.0, packet);
    }

    /// Takes a packet of comfort noise.
    pub(in crate::media) fn push_noise(
        &mut self,
        now: Nanos,
        counted: Counted,
        header: &Header,
        payload: &[u8],
    ) {
        self.follow(counted.epoch);
        let Some(noise) = Payload::parse(payload) else {
            return self.jitter.skip(counted.extended);
        };
        self.noise.update(&noise);
        // What comes late is counted in there.
        let _ = self
            .jitter
            .push_noise(now.0, counted.extended, header.timestamp);
    }

    /// A packet of an event has come: until its end there is no audio to miss.
    pub(in crate::media) fn push_event(&mut self, now: Nanos, counted: Counted, is_end: bool) {
        self.follow(counted.epoch);
        self.jitter.skip(counted.extended);
        self.event_until = match is_end {
            true => now,
            false => Nanos(now.0 + EVENT_QUIET.0),
        };
    }

    /// Another source begins anew.
    fn follow(&mut self, epoch: u32) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.jitter.reset();
        }
    }

    /// Takes the next 10 ms out of the buffer.
    pub(super) fn pull(&mut self, now: Nanos) {
        let pulled = self.jitter.pull(now.0, self.is_quiet, &mut self.octets);
        let left_out = self.jitter.take_left_out();
        let in_event = now < self.event_until;
        self.work = match pulled {
            Pulled::Audio { tag } => {
                self.go_on(codec_of(tag), left_out);
                Work::Decode
            }
            Pulled::Lost | Pulled::Starved if !in_event => Work::Conceal,
            Pulled::Noise => Work::Noise,
            Pulled::Lost | Pulled::Starved | Pulled::Silent => Work::Nothing,
        };
    }

    /// Audio of this codec is to be decoded; before it, what was left out.
    #[inline]
    fn go_on(&mut self, codec: Codec, left_out: Option<LeftOut>) {
        let rate = rate_of(codec);
        if self.block.rate != rate {
            self.block = Block::silence(rate);
            self.concealer = Concealer::new(rate);
        }
        if let Some(left_out) = left_out.filter(|left_out| codec_of(left_out.tag) == codec) {
            self.decoder.go_on(codec, left_out.timestamp);
            self.left_out = Some(self.decoder.decode_alone(&left_out.block));
        }
        if let Some(timestamp) = self.jitter.timestamp() {
            self.decoder.go_on(codec, timestamp);
        }
    }

    /// This tick's share of a batch of G.722, if it is that.
    #[inline]
    pub(super) fn decode_job(&mut self) -> Option<DecodeJob<'_>> {
        match self.work {
            Work::Decode => self.decoder.job(&self.octets, self.block.samples_mut()),
            _ => None,
        }
    }

    /// Decodes what is no matter for a batch.
    #[inline]
    pub(super) fn decode(&mut self) {
        if self.work == Work::Decode {
            self.decoder
                .decode_g711(&self.octets, self.block.samples_mut());
        }
    }

    /// Conceals, makes noise, and says what was heard.
    pub(super) fn finish(&mut self) {
        self.heard = match self.work {
            Work::Nothing => Heard::Nothing,
            Work::Decode => {
                // After a gap the concealer joins what it made to what follows.
                if let Some(left_out) = self.left_out.take()
                    && self.heard == Heard::Audio
                {
                    self.block = left_out.spliced(&self.block);
                }
                self.concealer.good(self.block.samples_mut());
                Heard::Audio
            }
            Work::Conceal => {
                self.concealer.lost(self.block.samples_mut());
                self.decoder.carry(&self.concealer);
                Heard::Concealed
            }
            Work::Noise => {
                self.noise.fill(self.block.samples_mut());
                self.concealer.good(self.block.samples_mut());
                Heard::Audio
            }
        };
        self.is_quiet = self.heard == Heard::Nothing || self.block.level() < QUIET_LEVEL;
    }

    /// What was said in this tick.
    pub(super) fn said(&self) -> Option<&Block> {
        (self.heard != Heard::Nothing).then_some(&self.block)
    }

    /// Audio in place of the block that was heard.
    pub(super) fn mute(&mut self) {
        self.block = Block::silence(self.block.rate);
    }

    /// What the buffer does to the stream.
    pub(super) fn playout(&self) -> Playout {
        Playout {
            delay: Nanos(self.jitter.delay_ns()),
            late: self.jitter.counts().late,
        }
    }
}

/// The rate of a codec that we decode.
pub(super) fn rate_of(codec: Codec) -> Rate {
    match codec {
        Codec::G722 => Rate::Wide,
        _ => Rate::Narrow,
    }
}

fn tag_of(codec: Codec) -> u8 {
    match codec {
        Codec::Alaw => 1,
        Codec::G722 => 2,
        _ => 0,
    }
}

fn codec_of(tag: u8) -> Codec {
    match tag {
        1 => Codec::Alaw,
        2 => Codec::G722,
        _ => Codec::Ulaw,
    }
}
