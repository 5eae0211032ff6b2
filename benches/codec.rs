//! Transcoding: what a packet of 20 ms costs by each pair of codecs, eight streams at a time and one by one, beside
//! libspandsp and FFmpeg (libavcodec, libswresample) in the same run.
//!
//! Every candidate codes a packet of each of 64 streams in turn with the others, round after round, so that all of them
//! meet the same machine. Time is the thread's CPU time. The others are loaded by a few lines of C (`codec/others.c`), compiled when this runs;
//! without their headers (`make bench` installs them) only Ringway is measured.

use ringway::codec::g711;
use ringway::codec::g722::{DecodeJob, Decoder, EncodeJob, Encoder, decode_batch, encode_batch};
use ringway::codec::resample::{Downsampler, Upsampler};
use std::array;
use std::hint::black_box;

#[path = "codec/others.rs"]
mod others;

/// Streams that take turns.
const STREAMS: usize = 64;
/// Rounds in which every candidate has its turn.
const ROUNDS: usize = 15;
/// CPU time of a turn, at least, in nanoseconds.
const TURN_NS: u64 = 2_000_000;
/// RTP packets a second of a stream.
const PACKETS: f64 = 50.0;

/// Octets of a packet of 20 ms, in each of the three codecs; also its samples at 8 kHz.
const OCTETS: usize = 160;
/// Its samples at 16 kHz.
const WIDE: usize = 320;

/// One packet's octets.
type Packet = [u8; OCTETS];
/// Codes a packet of every stream.
type Work = Box<dyn FnMut()>;

/// The codecs that Ringway decodes.
#[derive(Clone, Copy, PartialEq)]
enum Codec {
    Ulaw,
    Alaw,
    G722,
}

impl Codec {
    fn name(self) -> &'static str {
        match self {
            Codec::Ulaw => "PCMU",
            Codec::Alaw => "PCMA",
            Codec::G722 => "G.722",
        }
    }
}

/// How streams are taken.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Batch,
    OneByOne,
}

/// 20 ms of something like speech for a stream: a buzz with formants that move, and a little noise, well below overload.
fn speech(stream: usize) -> [i16; WIDE] {
    let mut noise = stream as u32;
    array::from_fn(|n| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let time = (n + 97 * stream) as f64 / 16_000.0;
        let tone = |hz: f64, level: f64| level * (std::f64::consts::TAU * hz * time).sin();
        let buzz =
            tone(120.0 + stream as f64, 3_000.0) + tone(720.0, 1_800.0) + tone(2_400.0, 600.0);
        buzz as i16 + (noise >> 16) as i16 / 128
    })
}

/// The packets of all streams in a codec.
fn packets(codec: Codec) -> Vec<Packet> {
    let packet = |stream| {
        let wide = speech(stream);
        let narrow: [i16; OCTETS] = array::from_fn(|n| wide[2 * n]);
        let mut codes = [0; OCTETS];
        match codec {
            Codec::Ulaw => g711::encode_ulaw(&narrow, &mut codes),
            Codec::Alaw => g711::encode_alaw(&narrow, &mut codes),
            Codec::G722 => Encoder::default().encode(&wide, &mut codes),
        }
        codes
    };
    (0..STREAMS).map(packet).collect()
}

fn decode_g711(codec: Codec, codes: &[u8], pcm: &mut [i16]) {
    match codec {
        Codec::Alaw => g711::decode_alaw(codes, pcm),
        _ => g711::decode_ulaw(codes, pcm),
    }
}

fn encode_g711(codec: Codec, pcm: &[i16], codes: &mut [u8]) {
    match codec {
        Codec::Alaw => g711::encode_alaw(pcm, codes),
        _ => g711::encode_ulaw(pcm, codes),
    }
}

fn encode_all(order: Order, states: &mut [Encoder], pcm: &[[i16; 160]], codes: &mut [[u8; 80]]) {
    let mut streams = states.iter_mut().zip(pcm).zip(codes);
    if order == Order::OneByOne {
        return streams.for_each(|((state, pcm), codes)| state.encode(pcm, codes));
    }
    for _ in 0..STREAMS / 8 {
        let mut jobs: [EncodeJob; 8] = array::from_fn(|_| {
            let ((state, pcm), codes) = streams.next().expect("a multiple of eight streams");
            EncodeJob { state, pcm, codes }
        });
        encode_batch(&mut jobs);
    }
}

fn decode_all(order: Order, states: &mut [Decoder], codes: &[&[u8]], pcm: &mut [[i16; 160]]) {
    let mut streams = states.iter_mut().zip(codes).zip(pcm);
    if order == Order::OneByOne {
        return streams.for_each(|((state, codes), pcm)| state.decode(codes, pcm));
    }
    for _ in 0..STREAMS / 8 {
        let mut jobs: [DecodeJob; 8] = array::from_fn(|_| {
            let ((state, codes), pcm) = streams.next().expect("a multiple of eight streams");
            DecodeJob { state, codes, pcm }
        });
        decode_batch(&mut jobs);
    }
}

/// Ringway's way from one codec to another: two blocks of 10 ms for each packet, all streams step by step.
fn ours(from: Codec, to: Codec, order: Order) -> Work {
    let input = packets(from);
    let mut decoders = vec![Decoder::default(); STREAMS];
    let mut encoders = vec![Encoder::default(); STREAMS];
    let mut up = vec![Upsampler::default(); STREAMS];
    let mut down = vec![Downsampler::default(); STREAMS];
    let mut wide = vec![[0; 160]; STREAMS];
    let mut narrow = [0; 80];
    let mut output = vec![[0; 80]; STREAMS];
    Box::new(move || {
        for block in 0..2 {
            let codes: [&[u8]; STREAMS] = array::from_fn(|i| &input[i][80 * block..][..80]);
            match from {
                Codec::G722 => decode_all(order, &mut decoders, &codes, &mut wide),
                _ => {
                    for ((codes, up), wide) in codes.iter().zip(&mut up).zip(&mut wide) {
                        decode_g711(from, codes, &mut narrow);
                        up.run(&narrow, wide);
                    }
                }
            }
            match to {
                Codec::G722 => encode_all(order, &mut encoders, &wide, &mut output),
                _ => {
                    for ((wide, down), codes) in wide.iter().zip(&mut down).zip(&mut output) {
                        down.run(wide, &mut narrow);
                        encode_g711(to, &narrow, codes);
                    }
                }
            }
            black_box(&output);
        }
    })
}

/// Ringway's way between the two laws.
fn ours_between_laws(from: Codec) -> Work {
    let mut packets = packets(from);
    Box::new(move || {
        for codes in &mut packets {
            match from {
                Codec::Alaw => g711::alaw_to_ulaw(codes),
                _ => g711::ulaw_to_alaw(codes),
            }
        }
        black_box(&packets);
    })
}

/// Ringway's encoder alone.
fn our_encoder(codec: Codec, order: Order) -> Work {
    let wide: Vec<[i16; 160]> = (0..STREAMS)
        .map(|i| *speech(i).first_chunk().expect("320 samples"))
        .collect();
    let mut encoders = vec![Encoder::default(); STREAMS];
    let mut output = vec![[0; 80]; STREAMS];
    Box::new(move || {
        for _block in 0..2 {
            match codec {
                Codec::G722 => encode_all(order, &mut encoders, &wide, &mut output),
                _ => {
                    let streams = wide.iter().zip(&mut output);
                    streams.for_each(|(pcm, codes)| encode_g711(codec, pcm, codes));
                }
            }
            black_box(&output);
        }
    })
}

/// Ringway's decoder alone.
fn our_decoder(codec: Codec, order: Order) -> Work {
    let input = packets(codec);
    let mut decoders = vec![Decoder::default(); STREAMS];
    let mut wide = vec![[0; 160]; STREAMS];
    Box::new(move || {
        for block in 0..2 {
            let codes: [&[u8]; STREAMS] = array::from_fn(|i| &input[i][80 * block..][..80]);
            match codec {
                Codec::G722 => decode_all(order, &mut decoders, &codes, &mut wide),
                _ => {
                    let streams = codes.iter().zip(&mut wide);
                    streams.for_each(|(codes, pcm)| decode_g711(codec, codes, pcm));
                }
            }
            black_box(&wide);
        }
    })
}

/// What is measured, and by whom: Ringway in batches, Ringway one by one, libspandsp, FFmpeg.
struct Row {
    name: String,
    work: [Option<Work>; 4],
    /// Nanoseconds a packet, by candidate, a value a round.
    ns: [Vec<f64>; 4],
}

impl Row {
    fn new(name: String, work: [Option<Work>; 4]) -> Row {
        let ns = [const { Vec::new() }; 4];
        Row { name, work, ns }
    }

    /// Gives every candidate its turn.
    fn round(&mut self) {
        for (work, ns) in self.work.iter_mut().zip(&mut self.ns) {
            let Some(work) = work else {
                continue;
            };
            work();
            let (begin, mut times) = (cpu_ns(), 0);
            let taken = loop {
                work();
                times += 1;
                let taken = cpu_ns() - begin;
                if taken >= TURN_NS {
                    break taken;
                }
            };
            ns.push(taken as f64 / f64::from(times) / STREAMS as f64);
        }
    }

    fn print(&self) {
        print!("{:<16}", self.name);
        for ns in &self.ns {
            match spread(ns.clone()) {
                Some([low, middle, high]) => {
                    let streams = 1e9 / PACKETS / middle;
                    let figures = format!("{middle:.0} ({low:.0}-{high:.0})");
                    print!(" | {figures:>24} {streams:>9.0}");
                }
                None => print!(" | {:>24} {:>9}", "-", "-"),
            }
        }
        for others in &self.ns[2..] {
            // Of one round, since both met the same machine then.
            let ratios = others
                .iter()
                .zip(&self.ns[0])
                .map(|(theirs, ours)| theirs / ours);
            match spread(ratios.collect()) {
                Some([low, middle, high]) => {
                    let figures = format!("{middle:.1} ({low:.1}-{high:.1})");
                    print!(" | {figures:>18}");
                }
                None => print!(" | {:>18}", "-"),
            }
        }
        println!();
    }
}

/// Least, median and most.
fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    Some([*values.first()?, values[values.len() / 2], *values.last()?])
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID);
    let time = time.expect("Linux has the clock");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn rows(others: Option<&'static others::Others>) -> Vec<Row> {
    use Codec::{Alaw, G722, Ulaw};
    let mut rows = Vec::new();
    for codec in [G722, Ulaw, Alaw] {
        let one_by_one =
            |work: fn(Codec, Order) -> Work| (codec == G722).then(|| work(codec, Order::OneByOne));
        let encode = [
            Some(our_encoder(codec, Order::Batch)),
            one_by_one(our_encoder),
            others.map(|others| others.spandsp_encoder(codec)),
            others.map(|others| others.av_encoder(codec)),
        ];
        rows.push(Row::new(format!("{} encode", codec.name()), encode));
        let decode = [
            Some(our_decoder(codec, Order::Batch)),
            one_by_one(our_decoder),
            others.map(|others| others.spandsp_decoder(codec)),
            others.map(|others| others.av_decoder(codec)),
        ];
        rows.push(Row::new(format!("{} decode", codec.name()), decode));
    }
    for (from, to) in [
        (Ulaw, Alaw),
        (Alaw, Ulaw),
        (Ulaw, G722),
        (G722, Ulaw),
        (Alaw, G722),
        (G722, Alaw),
        (G722, G722),
    ] {
        let between_laws = from != G722 && to != G722;
        let ours_by = |order| match between_laws {
            true => ours_between_laws(from),
            false => ours(from, to, order),
        };
        let work = [
            Some(ours_by(Order::Batch)),
            (!between_laws).then(|| ours_by(Order::OneByOne)),
            others.map(|others| others.spandsp(from, to)),
            others.map(|others| others.av(from, to)),
        ];
        rows.push(Row::new(format!("{} > {}", from.name(), to.name()), work));
    }
    rows
}

fn main() {
    let others = others::Others::load();
    let mut rows = match others {
        Ok(others) => {
            others.check();
            rows(Some(others))
        }
        Err(error) => {
            println!("Ringway alone: {error}");
            rows(None)
        }
    };
    for _ in 0..ROUNDS {
        rows.iter_mut().for_each(Row::round);
    }
    println!(
        "CPU ns for a packet of 20 ms: median (range) of {ROUNDS} rounds, then streams that fill a core; ratios: the others' time to ours in batches"
    );
    print!("{:<16}", "");
    for candidate in ["in batches of 8", "one by one", "libspandsp", "FFmpeg"] {
        print!(" | {candidate:>24} {:>9}", "a core");
    }
    println!(" | {:>18} | {:>18}", "libspandsp", "FFmpeg");
    for row in &rows {
        row.print();
    }
    if let Some([_, ns, _]) = rows
        .iter()
        .find(|row| row.name == "PCMU > PCMA")
        .and_then(|row| spread(row.ns[0].clone()))
    {
        println!("PCMU > PCMA: {:.1} GB/s", OCTETS as f64 / ns);
    }
}
