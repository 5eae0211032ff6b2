//! What a leg's peer hears of audio that is made here: blocks coded and put into packets.
//!
//! A tick is: [`Outlet::take`] a block from wherever it comes, [`Outlet::encode_job`] or [`Outlet::encode`] it, and
//! [`Outlet::packet`] once the packet is full. Time stamps go on by 80 a tick, whether anything was said or not.
//!
//! A packet of which all was lost on its way to us is not sent, and its number is left out: the far side sees the loss,
//! while the encoder has gone through it with what stands in. If only a part was lost the packet goes out, but for the one
//! with which as much as a packet holds was lost.

use super::block::{Block, OCTETS, RateChanger};
use super::intake::{Heard, rate_of};
use super::own_packet::{Origin, OwnPacket};
use crate::codec::g722::{EncodeJob, Encoder};
use crate::codec::{Codec, Rate, g711};
use crate::link::LegFormats;
use crate::link::formats::{PTIME_DEFAULT_MS, PTIME_MAX_MS, PTIME_MIN_MS};

/// Octets of the longest packet.
const CODES_MAX: usize = OCTETS * (PTIME_MAX_MS / PTIME_MIN_MS) as usize;

/// What becomes of a full packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Full<'a> {
    Send(OwnPacket<'a>),
    /// All of it was lost before it came to us.
    Skip,
}

/// See the module's comment.
pub(super) struct Outlet {
    payload_type: u8,
    codec: Codec,
    /// Octets of a full packet.
    codes_wanted: usize,
    encoder: Encoder,
    rates: RateChanger,
    block: Block,
    /// The tick has a block for us.
    has_block: bool,
    origin: Origin,
    codes: [u8; CODES_MAX],
    filled: usize,
    /// Octets of the packet that stand in for what was lost.
    lost: usize,
    /// Those of packets before it, in a row, that went out since only a part of them was lost.
    lost_before: usize,
    is_talking: bool,
    /// Of the next block.
    pub(super) timestamp: u32,
}

impl Outlet {
    /// An outlet whose first block has this time stamp. None if the peer hears no codec that we can code.
    pub(super) fn new(formats: &LegFormats, timestamp: u32) -> Option<Outlet> {
        let (payload_type, codec) = formats.send.encodable()?;
        Some(Outlet {
            payload_type,
            codec,
            codes_wanted: codes_wanted(formats),
            encoder: Encoder::default(),
            rates: RateChanger::default(),
            block: Block::silence(rate_of(codec)),
            has_block: false,
            origin: Origin::Legs,
            codes: [0; CODES_MAX],
            filled: 0,
            lost: 0,
            lost_before: 0,
            is_talking: false,
            timestamp,
        })
    }

    /// The peer hears other formats from now on. False if none of them is one that we can code.
    pub(super) fn follow(&mut self, formats: &LegFormats) -> bool {
        let Some((payload_type, codec)) = formats.send.encodable() else {
            return false;
        };
        if codec != self.codec {
            self.encoder = Encoder::default();
            self.filled = 0;
        }
        (self.payload_type, self.codec) = (payload_type, codec);
        self.codes_wanted = codes_wanted(formats);
        true
    }

    /// The stream is in our hands (again), and this is the time stamp of the next block: a talkspurt begins.
    pub(super) fn begin(&mut self, timestamp: u32) {
        self.timestamp = timestamp;
        // What was begun before belongs to another time.
        self.filled = 0;
        (self.lost, self.lost_before) = (0, 0);
        self.is_talking = false;
    }

    /// The rate that its codec has.
    pub(super) fn rate(&self) -> Rate {
        rate_of(self.codec)
    }

    /// Takes a tick's block.
    #[inline]
    pub(super) fn take(&mut self, block: &Block, heard: Heard, origin: Origin) {
        self.block = self.rates.run(block, self.rate());
        self.has_block = true;
        if heard == Heard::Concealed {
            self.lost += OCTETS;
        }
        self.origin = origin;
    }

    /// The block of this tick, if there is one, as it will be coded.
    pub(super) fn block(&self) -> Option<&Block> {
        self.has_block.then_some(&self.block)
    }

    /// This tick's share of a batch of G.722, if it is that.
    #[inline]
    pub(super) fn encode_job(&mut self) -> Option<EncodeJob<'_>> {
        (self.has_block && self.codec == Codec::G722).then(|| EncodeJob {
            state: &mut self.encoder,
            pcm: self.block.samples(),
            codes: &mut self.codes[self.filled..self.filled + OCTETS],
        })
    }

    /// Codes what is no matter for a batch.
    #[inline]
    pub(super) fn encode(&mut self) {
        if self.has_block {
            let codes = &mut self.codes[self.filled..self.filled + OCTETS];
            match self.codec {
                Codec::Ulaw => g711::encode_ulaw(self.block.samples(), codes),
                Codec::Alaw => g711::encode_alaw(self.block.samples(), codes),
                _ => {}
            }
        }
    }

    /// Ends the tick. What has become of the packet, if it is full, or was begun and nothing follows.
    pub(super) fn packet(&mut self) -> Option<Full<'_>> {
        let has_block = std::mem::take(&mut self.has_block);
        // Of the first octet in the packet.
        let timestamp = self.timestamp.wrapping_sub(self.filled as u32);
        self.timestamp = self.timestamp.wrapping_add(OCTETS as u32);
        if has_block {
            self.filled += OCTETS;
        }
        let is_due = match has_block {
            true => self.filled >= self.codes_wanted,
            false => self.filled > 0,
        };
        if !is_due {
            self.is_talking &= has_block || self.filled > 0;
            return None;
        }
        let filled = std::mem::take(&mut self.filled);
        let marker = !self.is_talking;
        let is_lost = self.is_lost(filled);
        // The marker waits for a packet that is sent.
        self.is_talking = has_block && (!is_lost || self.is_talking);
        match is_lost {
            false => Some(Full::Send(OwnPacket {
                payload_type: self.payload_type,
                timestamp,
                marker,
                origin: self.origin,
                payload: &self.codes[..filled],
            })),
            true => Some(Full::Skip),
        }
    }

    /// True if a packet's worth was lost with this one. Where packets that come in and go out do not begin together, a lost
    /// one takes a part of two: the second of them pays for both.
    fn is_lost(&mut self, filled: usize) -> bool {
        let lost = std::mem::take(&mut self.lost);
        if lost == 0 {
            self.lost_before = 0;
            return false;
        }
        self.lost_before += lost;
        let is_lost = self.lost_before >= filled;
        if is_lost {
            self.lost_before -= filled;
        }
        is_lost
    }
}

fn codes_wanted(formats: &LegFormats) -> usize {
    let ptime_ms = match formats.ptime_ms {
        0 => PTIME_DEFAULT_MS,
        ms => ms.clamp(PTIME_MIN_MS, PTIME_MAX_MS),
    };
    usize::from(ptime_ms / PTIME_MIN_MS) * OCTETS
}
