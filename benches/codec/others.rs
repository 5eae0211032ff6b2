//! libspandsp's and FFmpeg's codecs, loaded at run time.

use super::{Codec, OCTETS, Packet, STREAMS, WIDE, Work, packets, speech};
use ringway::codec::g722::{Decoder, Encoder};
use std::ffi::{CString, c_char, c_int, c_void};
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

/// A stream of theirs, never closed.
type Stream = *mut c_void;
type Encode = unsafe extern "C" fn(Stream, *const i16, c_int, *mut u8) -> c_int;
type Decode = unsafe extern "C" fn(Stream, *const u8, c_int, *mut i16) -> c_int;

macro_rules! functions {
    ($($name:ident: $signature:ty,)*) => {
        /// The functions of `others.c`.
        pub struct Others {
            $($name: $signature,)*
        }

        impl Others {
            fn find(library: *mut c_void) -> Result<Others, String> {
                // SAFETY: the functions have these signatures in `others.c`, and the library is never unloaded.
                $(let $name = unsafe {
                    std::mem::transmute::<*mut c_void, $signature>(symbol(library, stringify!($name))?)
                };)*
                Ok(Others { $($name,)* })
            }
        }
    };
}

functions! {
    spandsp_g722_encoder: unsafe extern "C" fn(c_int) -> Stream,
    spandsp_g722_decoder: unsafe extern "C" fn(c_int) -> Stream,
    spandsp_g711: unsafe extern "C" fn(c_int) -> Stream,
    spandsp_g722_encode: Encode,
    spandsp_g722_decode: Decode,
    spandsp_g711_encode: Encode,
    spandsp_g711_decode: Decode,
    spandsp_g711_transcode: unsafe extern "C" fn(Stream, *const u8, c_int, *mut u8) -> c_int,
    av_encoder: unsafe extern "C" fn(*const c_char, c_int, c_int) -> Stream,
    av_decoder: unsafe extern "C" fn(*const c_char, c_int, c_int) -> Stream,
    av_encode: Encode,
    av_decode: Decode,
    swr_stream: unsafe extern "C" fn(c_int, c_int) -> Stream,
    swr_run: unsafe extern "C" fn(Stream, *const i16, c_int, *mut i16, c_int) -> c_int,
}

fn symbol(library: *mut c_void, name: &str) -> Result<*mut c_void, String> {
    let c_name = CString::new(name).expect("a name without a zero");
    // SAFETY: the library is open, the name ends in a zero.
    let symbol = unsafe { libc::dlsym(library, c_name.as_ptr()) };
    match symbol.is_null() {
        true => Err(format!("others.c has no {name}")),
        false => Ok(symbol),
    }
}

/// One stream's coder.
type Coder<From, To> = Box<dyn FnMut(&[From], &mut [To])>;

/// Runs a coder for each stream over the same input again and again.
fn each<From: 'static, To: Copy + Default + 'static>(
    inputs: Vec<Vec<From>>,
    room: usize,
    mut coder: impl FnMut() -> Coder<From, To>,
) -> Work {
    let mut streams: Vec<_> = inputs.into_iter().map(|input| (input, coder())).collect();
    let mut output = vec![To::default(); room];
    Box::new(move || {
        for (input, coder) in &mut streams {
            coder(input, &mut output);
            black_box(&output);
        }
    })
}

fn octets(codec: Codec) -> Vec<Vec<u8>> {
    packets(codec)
        .iter()
        .map(|packet: &Packet| packet.to_vec())
        .collect()
}

/// The samples of a packet at that codec's rate.
fn samples(codec: Codec) -> usize {
    match codec {
        Codec::G722 => WIDE,
        _ => OCTETS,
    }
}

fn rate(codec: Codec) -> c_int {
    samples(codec) as c_int * 50
}

fn pcm(codec: Codec) -> Vec<Vec<i16>> {
    let step = WIDE / samples(codec);
    let packet = |stream| speech(stream).iter().copied().step_by(step).collect();
    (0..STREAMS).map(packet).collect()
}

impl Others {
    /// Compiles `others.c` and loads it.
    pub fn load() -> Result<&'static Others, String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/codec/others.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libothers.so");
        let compiler = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .args(["-lspandsp", "-lavcodec", "-lswresample", "-lavutil"])
            .output();
        let compiler = compiler.map_err(|error| format!("no C compiler: {error}"))?;
        if !compiler.status.success() {
            return Err(String::from_utf8_lossy(&compiler.stderr).into_owned());
        }
        let path =
            CString::new(library.as_os_str().as_encoded_bytes()).expect("a path without a zero");
        // SAFETY: a library of ours, whose initializers are those of libspandsp and FFmpeg.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return Err(format!("{path:?} cannot be loaded"));
        }
        Others::find(library).map(|others| &*Box::leak(Box::new(others)))
    }

    /// All three code alike, where nothing is overloaded: else the comparison would be of different things.
    pub fn check(&self) {
        let wide = speech(1);
        let (mut codes, mut heard) = ([0; OCTETS], [0; WIDE]);
        Encoder::default().encode(&wide, &mut codes);
        Decoder::default().decode(&codes, &mut heard);
        for mut encoder in [
            self.spandsp_encode(Codec::G722, WIDE),
            self.av_encode(Codec::G722),
        ] {
            let mut theirs = [0; OCTETS];
            encoder(&wide, &mut theirs);
            assert!(theirs == codes, "an encoder codes otherwise");
        }
        for mut decoder in [
            self.spandsp_decode(Codec::G722, WIDE),
            self.av_decode(Codec::G722),
        ] {
            let mut theirs = [0; WIDE];
            decoder(&codes, &mut theirs);
            assert!(theirs == heard, "a decoder decodes otherwise");
        }
    }

    pub fn spandsp_encoder(&'static self, codec: Codec) -> Work {
        each(pcm(codec), OCTETS, || {
            self.spandsp_encode(codec, samples(codec))
        })
    }

    pub fn spandsp_decoder(&'static self, codec: Codec) -> Work {
        each(octets(codec), WIDE, || {
            self.spandsp_decode(codec, samples(codec))
        })
    }

    pub fn av_encoder(&'static self, codec: Codec) -> Work {
        each(pcm(codec), OCTETS, || self.av_encode(codec))
    }

    pub fn av_decoder(&'static self, codec: Codec) -> Work {
        each(octets(codec), WIDE, || self.av_decode(codec))
    }

    /// From one codec to another by libspandsp. Between G.711 and G.722 it stays at 8 kHz, which spares it the filter bank and
    /// all resampling.
    pub fn spandsp(&'static self, from: Codec, to: Codec) -> Work {
        if from != Codec::G722 && to != Codec::G722 {
            return each(octets(from), OCTETS, || self.spandsp_transcode(from));
        }
        let between = samples(from).min(samples(to));
        each(octets(from), OCTETS, || {
            let mut decode = self.spandsp_decode(from, between);
            let mut encode = self.spandsp_encode(to, between);
            let mut pcm = vec![0; between];
            Box::new(move |input, output| {
                decode(input, &mut pcm);
                encode(&pcm, output);
            })
        })
    }

    /// From one codec to another by FFmpeg.
    pub fn av(&'static self, from: Codec, to: Codec) -> Work {
        each(octets(from), OCTETS, || {
            let mut decode = self.av_decode(from);
            let mut encode = self.av_encode(to);
            let mut resample = (rate(from) != rate(to)).then(|| self.resample(from, to));
            let (mut decoded, mut resampled) = (vec![0; samples(from)], vec![0; samples(to)]);
            Box::new(move |input, output| {
                decode(input, &mut decoded);
                match &mut resample {
                    Some(resample) => {
                        resample(&decoded, &mut resampled);
                        encode(&resampled, output);
                    }
                    None => encode(&decoded, output),
                }
            })
        })
    }

    fn spandsp_encode(&self, codec: Codec, samples: usize) -> Coder<i16, u8> {
        // SAFETY: the functions of `others.c`, with values that they know.
        let (stream, encode) = unsafe {
            match codec {
                Codec::G722 => (
                    (self.spandsp_g722_encoder)(samples as c_int * 50),
                    self.spandsp_g722_encode,
                ),
                law => (
                    (self.spandsp_g711)((law == Codec::Alaw).into()),
                    self.spandsp_g711_encode,
                ),
            }
        };
        encoder(stream, encode)
    }

    fn spandsp_decode(&self, codec: Codec, samples: usize) -> Coder<u8, i16> {
        // SAFETY: the functions of `others.c`, with values that they know.
        let (stream, decode) = unsafe {
            match codec {
                Codec::G722 => (
                    (self.spandsp_g722_decoder)(samples as c_int * 50),
                    self.spandsp_g722_decode,
                ),
                law => (
                    (self.spandsp_g711)((law == Codec::Alaw).into()),
                    self.spandsp_g711_decode,
                ),
            }
        };
        decoder(stream, decode)
    }

    fn spandsp_transcode(&self, from: Codec) -> Coder<u8, u8> {
        let transcode = self.spandsp_g711_transcode;
        // SAFETY: the function of `others.c`.
        let stream = unsafe { (self.spandsp_g711)((from == Codec::Alaw).into()) };
        Box::new(move |input, output| {
            assert!(output.len() >= input.len());
            // SAFETY: as many octets go out as come in, and there is room for them.
            let octets = unsafe {
                transcode(
                    stream,
                    input.as_ptr(),
                    input.len() as c_int,
                    output.as_mut_ptr(),
                )
            };
            assert_eq!(octets, OCTETS as c_int);
        })
    }

    fn av_encode(&self, codec: Codec) -> Coder<i16, u8> {
        let name = av_name(codec);
        // SAFETY: the function of `others.c`, with a name that ends in a zero.
        let stream =
            unsafe { (self.av_encoder)(name.as_ptr(), rate(codec), samples(codec) as c_int) };
        assert!(!stream.is_null(), "FFmpeg has no encoder {name:?}");
        encoder(stream, self.av_encode)
    }

    fn av_decode(&self, codec: Codec) -> Coder<u8, i16> {
        let name = av_name(codec);
        // SAFETY: the function of `others.c`, with a name that ends in a zero.
        let stream = unsafe { (self.av_decoder)(name.as_ptr(), rate(codec), OCTETS as c_int) };
        assert!(!stream.is_null(), "FFmpeg has no decoder {name:?}");
        decoder(stream, self.av_decode)
    }

    fn resample(&self, from: Codec, to: Codec) -> Coder<i16, i16> {
        let run = self.swr_run;
        // SAFETY: the function of `others.c`.
        let stream = unsafe { (self.swr_stream)(rate(from), rate(to)) };
        assert!(!stream.is_null(), "FFmpeg does not resample");
        Box::new(move |input, output| {
            let (samples, room) = (input.len() as c_int, output.len() as c_int);
            // SAFETY: it is told how much there is and how much room.
            let written =
                unsafe { run(stream, input.as_ptr(), samples, output.as_mut_ptr(), room) };
            assert!(written > 0);
        })
    }
}

fn av_name(codec: Codec) -> CString {
    let name = match codec {
        Codec::Ulaw => "pcm_mulaw",
        Codec::Alaw => "pcm_alaw",
        Codec::G722 => "g722",
    };
    CString::new(name).expect("a name without a zero")
}

fn encoder(stream: Stream, encode: Encode) -> Coder<i16, u8> {
    Box::new(move |input, output| {
        assert!(output.len() >= OCTETS && input.len() >= OCTETS);
        // SAFETY: a packet's samples, at 8 or 16 kHz, are an octet each or two, and there is room for them.
        let octets = unsafe {
            encode(
                stream,
                input.as_ptr(),
                input.len() as c_int,
                output.as_mut_ptr(),
            )
        };
        assert_eq!(octets, OCTETS as c_int);
    })
}

fn decoder(stream: Stream, decode: Decode) -> Coder<u8, i16> {
    Box::new(move |input, output| {
        assert!(input.len() == OCTETS && output.len() >= OCTETS);
        // SAFETY: whoever opened the stream knows that the samples of a packet have room.
        let samples = unsafe {
            decode(
                stream,
                input.as_ptr(),
                input.len() as c_int,
                output.as_mut_ptr(),
            )
        };
        assert!(samples > 0);
    })
}
