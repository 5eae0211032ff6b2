//! Many streams coded in one go.

use super::{Decoder, Encoder};

/// One stream's share of a batch to encode.
pub struct EncodeJob<'a> {
    /// The stream's encoder.
    pub state: &'a mut Encoder,
    /// 16 kHz samples, two for each code.
    pub pcm: &'a [i16],
    /// Where the octets go.
    pub codes: &'a mut [u8],
}

/// One stream's share of a batch to decode.
pub struct DecodeJob<'a> {
    /// The stream's decoder.
    pub state: &'a mut Decoder,
    /// The octets.
    pub codes: &'a [u8],
    /// Where the 16 kHz samples go, two for each code.
    pub pcm: &'a mut [i16],
}

/// Encodes any number of streams, each as [`Encoder::encode`] does.
pub fn encode_batch(jobs: &mut [EncodeJob<'_>]) {
    for job in jobs {
        job.state.encode(job.pcm, job.codes);
    }
}

/// Decodes any number of streams, each as [`Decoder::decode`] does.
pub fn decode_batch(jobs: &mut [DecodeJob<'_>]) {
    for job in jobs {
        job.state.decode(job.codes, job.pcm);
    }
}
