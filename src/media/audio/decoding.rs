//! The decoder of one stream of PCMU, PCMA or G.722, through gaps.
//!
//! G.722 remembers what it decoded. When a block is missing, nobody knows yet whether it is lost or late:
//!
//! ```text
//!              heard    concealed          heard again
//!   lost:      1 2 3    (carried past 4)   5 6 7         by the state that was carried
//!   late:      1 2 3    (carried past 4)   4 5 6         by the state after 3: nothing of the stream is missing
//! ```

use super::block::Block;
use super::intake::rate_of;
use crate::codec::g722::{DecodeJob, Decoder};
use crate::codec::plc::Concealer;
use crate::codec::{Codec, g711};
use crate::rtp::jitter::BLOCK;

/// See the module's comment.
pub(super) struct StreamDecoder {
    codec: Codec,
    g722: Decoder,
    /// The state after the last block that was decoded, while what follows it is concealed.
    before_gap: Option<Decoder>,
    /// The time stamp that follows what was decoded.
    decoded_to: u32,
}

impl StreamDecoder {
    pub(super) fn new() -> StreamDecoder {
        StreamDecoder {
            codec: Codec::Ulaw,
            g722: Decoder::default(),
            before_gap: None,
            decoded_to: 0,
        }
    }

    /// What is decoded next is of this codec and has this time stamp. Another codec begins with a state of its own.
    #[inline]
    pub(super) fn go_on(&mut self, codec: Codec, timestamp: u32) {
        if self.codec != codec {
            self.codec = codec;
            self.g722 = Decoder::default();
            self.before_gap = None;
        }
        if let Some(before) = self.before_gap.take()
            && timestamp == self.decoded_to
        {
            self.g722 = before;
        }
        self.decoded_to = timestamp.wrapping_add(BLOCK as u32);
    }

    /// Its share of a batch, if it is G.722.
    #[inline]
    pub(super) fn job<'a>(
        &'a mut self,
        octets: &'a [u8; BLOCK],
        pcm: &'a mut [i16],
    ) -> Option<DecodeJob<'a>> {
        (self.codec == Codec::G722).then_some(DecodeJob {
            state: &mut self.g722,
            codes: octets,
            pcm,
        })
    }

    /// Decodes what is no matter for a batch.
    #[inline]
    pub(super) fn decode_g711(&self, octets: &[u8; BLOCK], pcm: &mut [i16]) {
        match self.codec {
            Codec::Ulaw => g711::decode_ulaw(octets, pcm),
            Codec::Alaw => g711::decode_alaw(octets, pcm),
            _ => {}
        }
    }

    /// Decodes a block at once, whatever its codec is.
    pub(super) fn decode_alone(&mut self, octets: &[u8; BLOCK]) -> Block {
        let mut block = Block::silence(rate_of(self.codec));
        match self.codec {
            Codec::G722 => self.g722.decode(octets, block.samples_mut()),
            _ => self.decode_g711(octets, block.samples_mut()),
        }
        block
    }

    /// A block was concealed.
    pub(super) fn carry(&mut self, concealer: &Concealer) {
        if self.codec == Codec::G722 {
            self.before_gap.get_or_insert_with(|| self.g722.clone());
            self.g722.carry(concealer.estimate(Decoder::CARRY_PAST));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Rate;
    use crate::codec::g722::Encoder;

    /// Blocks of a voiced sound (125 Hz and harmonics of it), coded by one encoder.
    fn coded(blocks: usize) -> Vec<[u8; BLOCK]> {
        let mut encoder = Encoder::default();
        let sample = |at: usize| {
            let time = at as f64 / 16_000.0;
            let tone = |hertz: f64| (time * hertz * std::f64::consts::TAU).sin();
            ((tone(125.0) + 0.6 * tone(1_375.0) + 0.3 * tone(5_125.0)) * 5_000.0) as i16
        };
        (0..blocks)
            .map(|block| {
                let pcm: Vec<i16> = (0..160).map(|at| sample(block * 160 + at)).collect();
                let mut codes = [0; BLOCK];
                encoder.encode(&pcm, &mut codes);
                codes
            })
            .collect()
    }

    fn hear(decoder: &mut StreamDecoder, n: u32, octets: &[u8; BLOCK]) -> Vec<i16> {
        decoder.go_on(Codec::G722, n * BLOCK as u32);
        let block = decoder.decode_alone(octets);
        block.samples().to_vec()
    }

    fn conceal(decoder: &mut StreamDecoder, concealer: &mut Concealer) {
        concealer.lost(&mut [0; 160]);
        decoder.carry(concealer);
    }

    /// The first block after a gap of two concealed ones, and what a decoder without a gap makes of it.
    fn after_gap(next: u32) -> (Vec<i16>, Vec<i16>) {
        let stream = coded(20);
        let (mut whole, mut broken) = (StreamDecoder::new(), StreamDecoder::new());
        let mut concealer = Concealer::new(Rate::Wide);
        let mut expected = Vec::new();
        for n in 0..=next {
            expected = hear(&mut whole, n, &stream[n as usize]);
        }
        for n in 0..10 {
            let mut block = hear(&mut broken, n, &stream[n as usize]);
            concealer.good(&mut block);
        }
        conceal(&mut broken, &mut concealer);
        conceal(&mut broken, &mut concealer);
        (hear(&mut broken, next, &stream[next as usize]), expected)
    }

    #[test]
    fn what_was_only_late_is_decoded_as_if_there_had_been_no_gap() {
        let (heard, expected) = after_gap(10);
        assert_eq!(heard, expected);
    }

    #[test]
    fn what_follows_a_loss_is_decoded_by_the_state_that_was_carried() {
        let (heard, expected) = after_gap(12);
        let power = |samples: &mut dyn Iterator<Item = i32>| -> i64 {
            samples.map(|sample| i64::from(sample).pow(2)).sum()
        };
        let pairs = || heard.iter().zip(&expected);
        let noise = power(&mut pairs().map(|(a, b)| i32::from(*a) - i32::from(*b)));
        let signal = power(&mut expected.iter().map(|b| i32::from(*b)));
        assert!(noise > 0, "the gap leaves its mark");
        assert!(noise * 10 < signal, "{noise} to {signal}");
    }
}
