use super::*;
use crate::codec::testing::{amplitude, db, rms, sine, vowel};
use crate::codec::tests::prompts;
use std::path::Path;
use std::process::Command;

/// A WAV file of one `fmt ` and one `data` chunk.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let mut fmt = Vec::new();
    let block = channels * bits / 8;
    fmt.extend(tag.to_le_bytes());
    fmt.extend(channels.to_le_bytes());
    fmt.extend(rate.to_le_bytes());
    fmt.extend((rate * u32::from(block)).to_le_bytes());
    fmt.extend(block.to_le_bytes());
    fmt.extend(bits.to_le_bytes());
    riff(&[(b"fmt ", &fmt), (b"data", data)])
}

fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
    for (name, body) in chunks {
        file.extend(*name);
        file.extend((body.len() as u32).to_le_bytes());
        file.extend(*body);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    file
}

fn octets(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

fn read(bytes: &[u8], rate: Rate) -> Vec<i16> {
    decode(bytes, Format::Wav, rate, 3600).expect("a file")
}

#[test]
fn every_coding_of_a_wav_file_is_read() {
    let samples = [0, 1000, -1000, 32000, -32000, 256, -256, 512];
    let float32 = samples
        .map(|s| (f32::from(s) / 32768.0).to_le_bytes())
        .concat();
    let float64 = samples
        .map(|s| (f64::from(s) / 32768.0).to_le_bytes())
        .concat();
    let bits24 = samples
        .map(|s| (i32::from(s) << 8).to_le_bytes()[..3].to_vec())
        .concat();
    let bits32 = samples.map(|s| (i32::from(s) << 16).to_le_bytes()).concat();
    for (tag, bits, data) in [
        (1, 16, octets(&samples)),
        (1, 24, bits24),
        (1, 32, bits32),
        (3, 32, float32),
        (3, 64, float64),
    ] {
        let file = wav(tag, 1, 8000, bits, &data);
        assert_eq!(read(&file, Rate::Narrow), samples, "tag {tag}, {bits} bits");
    }
    let bits8 = wav(1, 1, 8000, 8, &[0, 128, 255]);
    assert_eq!(read(&bits8, Rate::Narrow), [-32768, 0, 32512]);
    assert_eq!(
        read(&wav(7, 1, 8000, 8, &[0x80, 0xFF]), Rate::Narrow),
        [32124, 0]
    );
    assert_eq!(
        read(&wav(6, 1, 8000, 8, &[0xAA, 0xD5]), Rate::Narrow),
        [32256, 8]
    );
    let wild = [f32::NAN, f32::INFINITY, -1e30, 2.0]
        .map(f32::to_le_bytes)
        .concat();
    assert_eq!(
        read(&wav(3, 1, 8000, 32, &wild), Rate::Narrow),
        [0, 32767, -32768, 32767]
    );
}

#[test]
fn channels_are_mixed_and_rates_converted() {
    let tone = sine(1000.0, 8000.0, 44_100, 44_100);
    let stereo: Vec<i16> = tone.iter().flat_map(|sample| [*sample, 0]).collect();
    let heard = read(&wav(1, 2, 44_100, 16, &octets(&stereo)), Rate::Wide);
    assert_eq!(heard.len(), 16_000);
    assert!(db(amplitude(&heard, 1000.0, 16_000) / 4000.0).abs() < 0.1);
}

#[test]
fn other_chunks_are_passed_over_and_extensible_formats_understood() {
    let mut fmt = vec![0xFE, 0xFF, 1, 0];
    fmt.extend(8000_u32.to_le_bytes());
    fmt.extend(16000_u32.to_le_bytes());
    fmt.extend([2, 0, 16, 0, 22, 0, 16, 0, 4, 0, 0, 0, 1, 0]);
    fmt.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71]);
    let data = octets(&[7, -7]);
    let file = riff(&[
        (b"LIST", b"odd"),
        (b"fmt ", &fmt),
        (b"fact", &[0; 4]),
        (b"data", &data),
    ]);
    assert_eq!(read(&file, Rate::Narrow), [7, -7]);
}

#[test]
fn a_file_that_grows_is_read_as_far_as_it_is() {
    let file = wav(1, 1, 8000, 16, &octets(&[5; 100]));
    for length in [0, u32::MAX, 0x7FFF_F000] {
        let mut file = file.clone();
        file[40..44].copy_from_slice(&length.to_le_bytes());
        assert_eq!(read(&file, Rate::Narrow), [5; 100], "{length}");
        // The last sample is only half there.
        file.pop();
        assert_eq!(read(&file, Rate::Narrow), [5; 99]);
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let refused = |bytes: &[u8]| decode(bytes, Format::Wav, Rate::Narrow, 10).expect_err("refused");
    assert_eq!(refused(b""), SoundError::NotWav);
    assert_eq!(refused(b"ID3 and so on, an MP3 file"), SoundError::NotWav);
    assert_eq!(
        refused(b"RF64\0\0\0\0WAVE"),
        SoundError::Unsupported("RF64 and RIFX files")
    );
    assert_eq!(refused(&riff(&[])), SoundError::Missing("fmt "));
    assert_eq!(
        refused(&riff(&[(b"data", &[0; 8])])),
        SoundError::Missing("fmt ")
    );
    assert_eq!(
        refused(&riff(&[(b"fmt ", &[1; 15])])),
        SoundError::Missing("fmt ")
    );
    let whole = wav(1, 1, 8000, 16, &[0; 4]);
    assert_eq!(refused(&whole[..36]), SoundError::Missing("data"));
    assert_eq!(refused(&wav(1, 0, 8000, 16, &[])), SoundError::Channels(0));
    assert_eq!(refused(&wav(1, 9, 8000, 16, &[])), SoundError::Channels(9));
    assert_eq!(
        refused(&wav(0x31, 2, 8000, 0, &[])),
        SoundError::Channels(2)
    );
    assert_eq!(
        refused(&wav(1, 1, 0, 16, &[0; 4])),
        RateUnsupported(0).into()
    );
    let mp3 = refused(&wav(0x55, 1, 8000, 0, &[]));
    assert_eq!(mp3, SoundError::Coding { tag: 0x55, bits: 0 });
    assert!(mp3.to_string().contains("0x55"), "{mp3}");
    let gsm = [[0xD0; 33], [0x0D; 33]].concat();
    let error = decode(&gsm, Format::Gsm, Rate::Narrow, 10);
    assert_eq!(error, Err(SoundError::GsmFrame(33)));
}

#[test]
fn only_the_seconds_asked_for_are_decoded() {
    let long = vec![0; 200_000];
    for (format, rate, bytes) in [
        (Format::Wav, Rate::Narrow, wav(1, 1, 8000, 16, &long)),
        (Format::Wav, Rate::Narrow, wav(0x31, 1, 8000, 0, &long)),
        (Format::Wav, Rate::Wide, wav(1, 2, 11_025, 8, &long)),
        (Format::Linear(8000), Rate::Narrow, long.clone()),
        (Format::Ulaw, Rate::Wide, long.clone()),
        (Format::G722, Rate::Wide, long.clone()),
        (Format::Gsm, Rate::Narrow, [0xD0; 33].repeat(6000)),
    ] {
        let sound = decode(&bytes, format, rate, 2).expect("a file");
        assert_eq!(sound.len(), 2 * rate.hz() as usize, "{format:?}");
    }
}

#[test]
fn no_file_makes_it_panic() {
    let mut random = fastrand::Rng::with_seed(2);
    let whole = wav(1, 2, 8000, 16, &[1; 64]);
    for _ in 0..20_000 {
        let mut file = whole.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..file.len());
            file[at] = random.u8(..);
        }
        file.truncate(random.usize(..=whole.len()));
        let _ = decode(&file, Format::Wav, Rate::Narrow, 1);
    }
}

#[test]
fn endings_mean_formats() {
    assert_eq!(Format::of_ending("sln16"), Some(Format::Linear(16_000)));
    assert_eq!(Format::of_ending("ul"), Some(Format::Ulaw));
    assert_eq!(Format::of_ending("mp3"), None);
}

/// What ffmpeg makes of a file, at a rate; none, with a word, if it is not there.
fn ffmpeg(input: &Path, options: &[&str], output: &Path) -> bool {
    let run = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-i"])
        .arg(input)
        .args(options)
        .arg(output)
        .status();
    match run {
        Ok(status) => status.success(),
        Err(_) => {
            eprintln!("ffmpeg is not installed: nothing to compare with");
            false
        }
    }
}

/// GSM is integer arithmetic: ffmpeg, which has libgsm, must give the same bits, from either kind of file.
#[test]
fn gsm_is_decoded_to_the_bits_of_libgsm() {
    let folder = tempfile::tempdir().expect("a folder");
    let [source, plain] = ["source.wav", "plain.sln"].map(|name| folder.path().join(name));
    let speech: Vec<i16> = [110.0, 190.0, 250.0]
        .iter()
        .flat_map(|pitch| vowel(*pitch, 8000, 8000))
        .collect();
    std::fs::write(&source, wav(1, 1, 8000, 16, &octets(&speech))).expect("written");
    for (name, coder, format) in [
        ("a.gsm", "libgsm", Format::Gsm),
        ("a.wav", "libgsm_ms", Format::Wav),
    ] {
        let coded = folder.path().join(name);
        let raw = ["-f", "s16le", "-ac", "1", "-ar", "8000"];
        if !ffmpeg(&source, &["-c:a", coder], &coded) || !ffmpeg(&coded, &raw, &plain) {
            return;
        }
        let bytes = std::fs::read(&coded).expect("a file");
        let ours = decode(&bytes, format, Rate::Narrow, 60).expect("a sound");
        let theirs = linear(&std::fs::read(&plain).expect("a file"));
        assert!(ours.len() >= 24_000 - 320 && rms(&ours) > 1000.0);
        assert_eq!(
            ours[..theirs.len().min(ours.len())],
            theirs[..theirs.len().min(ours.len())],
            "{name}"
        );
    }
}

/// Each prompt of Debian's packages in its three formats: all are read, and are as long and as loud as each other.
#[test]
fn the_prompts_of_debian_are_read() {
    let mut compared = 0;
    for path in prompts("wav") {
        let read = |ending: &str, rate| {
            let path = path.with_extension(ending);
            let bytes = std::fs::read(&path).ok()?;
            let format = Format::of_ending(ending).expect("a known ending");
            let sound = decode(&bytes, format, rate, 3600);
            Some(sound.unwrap_or_else(|error| panic!("{path:?}: {error}")))
        };
        let plain = read("wav", Rate::Narrow).expect("the file of the list");
        // The wide-band ones were made from louder recordings.
        for (ending, rate, off) in [("gsm", Rate::Narrow, 1.5), ("g722", Rate::Wide, 5.0)] {
            let Some(coded) = read(ending, rate) else {
                continue;
            };
            let length = (coded.len() * 80 / rate.block()).abs_diff(plain.len());
            assert!(length <= 400, "{path:?} {ending}: {length} samples");
            let level = db(rms(&coded) / rms(&plain));
            assert!(
                level.abs() < off || rms(&plain) < 20.0,
                "{path:?} {ending}: {level} dB"
            );
            compared += 1;
        }
    }
    eprintln!("{compared} prompts in gsm and g722 compared with wav");
}
