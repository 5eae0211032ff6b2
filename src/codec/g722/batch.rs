//! Many streams coded in one go: eight at a time where the processor has AVX2, one after the other elsewhere. The bits are the
//! same either way, and a stream may change between the two from block to block.

#[cfg(target_arch = "x86_64")]
use super::Mode;
#[cfg(target_arch = "x86_64")]
use super::avx2::{Avx2, BLOCK};
use super::{Decoder, Encoder};

/// Streams that are coded together. Fewer cost as much as eight, and one still less than in the coder of one stream.
const LANES: usize = 8;

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

impl EncodeJob<'_> {
    fn count(&self) -> usize {
        self.codes.len().min(self.pcm.len() / 2)
    }

    fn encode_from(&mut self, at: usize) {
        self.state
            .encode(&self.pcm[2 * at..], &mut self.codes[at..]);
    }
}

impl DecodeJob<'_> {
    fn count(&self) -> usize {
        self.codes.len().min(self.pcm.len() / 2)
    }

    fn decode_from(&mut self, at: usize) {
        self.state
            .decode(&self.codes[at..], &mut self.pcm[2 * at..]);
    }
}

/// Encodes any number of streams, each as [`Encoder::encode`] does. Streams of one length are fastest.
pub fn encode_batch(jobs: &mut [EncodeJob<'_>]) {
    for jobs in jobs.chunks_mut(LANES) {
        let done = encode_together(jobs);
        jobs.iter_mut().for_each(|job| job.encode_from(done));
    }
}

/// Decodes any number of streams, each as [`Decoder::decode`] does. Streams of one length, all in mode 1, are fastest.
pub fn decode_batch(jobs: &mut [DecodeJob<'_>]) {
    for jobs in jobs.chunks_mut(LANES) {
        let done = decode_together(jobs);
        jobs.iter_mut().for_each(|job| job.decode_from(done));
    }
}

/// Encodes as many codes of all these streams as the vector unit can, and says how many.
#[cfg(target_arch = "x86_64")]
fn encode_together(jobs: &mut [EncodeJob<'_>]) -> usize {
    let Some(avx2) = Avx2::detect() else {
        return 0;
    };
    let count = jobs.iter().map(EncodeJob::count).min().unwrap_or(0);
    for at in (0..count).step_by(BLOCK) {
        avx2.encode(jobs, at, BLOCK.min(count - at));
    }
    count
}

/// Decodes as many codes of all these streams as the vector unit can, and says how many.
#[cfg(target_arch = "x86_64")]
fn decode_together(jobs: &mut [DecodeJob<'_>]) -> usize {
    let Some(avx2) = Avx2::detect() else {
        return 0;
    };
    if jobs.iter().any(|job| job.state.mode != Mode::Kbps64) {
        return 0;
    }
    let count = jobs.iter().map(DecodeJob::count).min().unwrap_or(0);
    for at in (0..count).step_by(BLOCK) {
        avx2.decode(jobs, at, BLOCK.min(count - at));
    }
    count
}

#[cfg(not(target_arch = "x86_64"))]
fn encode_together(_jobs: &mut [EncodeJob<'_>]) -> usize {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn decode_together(_jobs: &mut [DecodeJob<'_>]) -> usize {
    0
}
