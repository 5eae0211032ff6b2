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

use super::block::{Block, OCTETS};
use crate::codec::g722::{DecodeJob, Decoder};
use crate::codec::noise::{Generator, Payload};
use crate::codec::plc::Concealer;
use crate::codec::{Codec, Rate, g711};
use crate::media::in_stream::Counted;
use crate::media::leg::Playout;
use crate::media::seam::Nanos;
use crate::rtp::jitter::{Arriving, JitterBuffer, Pulled};
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
    codec: Codec,
    octets: [u8; OCTETS],
    work: Work,
    decoder: Decoder,
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
            codec: Codec::Ulaw,
            octets: [0; OCTETS],
            work: Work::Nothing,
            decoder: Decoder::default(),
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
        let in_event = now < self.event_until;
        self.work = match pulled {
            Pulled::Audio { tag } => {
                self.speak(codec_of(tag));
                Work::Decode
            }
            Pulled::Lost | Pulled::Starved if !in_event => Work::Conceal,
            Pulled::Noise => Work::Noise,
            Pulled::Lost | Pulled::Starved | Pulled::Silent => Work::Nothing,
        };
    }

    /// The audio is of this codec from now on; another begins with a state of its own.
    #[inline]
    fn speak(&mut self, codec: Codec) {
        if self.codec == codec {
            return;
        }
        self.codec = codec;
        self.decoder = Decoder::default();
        let rate = rate_of(codec);
        if self.block.rate != rate {
            self.block = Block::silence(rate);
            self.concealer = Concealer::new(rate);
        }
    }

    /// This tick's share of a batch of G.722, if it is that.
    #[inline]
    pub(super) fn decode_job(&mut self) -> Option<DecodeJob<'_>> {
        (self.work == Work::Decode && self.codec == Codec::G722).then(|| DecodeJob {
            state: &mut self.decoder,
            codes: &self.octets,
            pcm: self.block.samples_mut(),
        })
    }

    /// Decodes what is no matter for a batch.
    #[inline]
    pub(super) fn decode(&mut self) {
        if self.work == Work::Decode {
            match self.codec {
                Codec::Ulaw => g711::decode_ulaw(&self.octets, self.block.samples_mut()),
                Codec::Alaw => g711::decode_alaw(&self.octets, self.block.samples_mut()),
                _ => {}
            }
        }
    }

    /// Conceals, makes noise, and says what was heard.
    pub(super) fn finish(&mut self) {
        self.heard = match self.work {
            Work::Nothing => Heard::Nothing,
            Work::Decode => {
                self.concealer.good(self.block.samples_mut());
                Heard::Audio
            }
            Work::Conceal => {
                self.concealer.lost(self.block.samples_mut());
                if self.codec == Codec::G722 {
                    let signal = self.concealer.estimate(Decoder::CARRY_PAST);
                    self.decoder.carry(signal);
                }
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
