//! Speech in every codec of the load test. espeak-ng says it, ffmpeg encodes what we send and decodes what we hear, so
//! that no code of the gateway judges itself.

use crate::packet::PAYLOAD;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is said. Its pauses are short: silence tells nothing.
const TEXT: &str = "Good morning, this is the gateway between your telephones and the world. The quick brown fox jumps \
    over the lazy dog, while she sells sea shells by the sea shore. Please call me back on four nine three zero, one two \
    three four five six seven, before a quarter past nine this evening.";
/// Highest sample of the speech: 6 dB below what fits, as telephones are set.
const PEAK: f64 = 16_384.0;
/// Samples of 20 ms at 16 kHz.
const FRAME_WIDE: usize = 320;

/// A codec of 64 kbit/s, 160 octets for 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// PCMU.
    Ulaw,
    /// PCMA.
    Alaw,
    /// G.722 at 64 kbit/s.
    G722,
}

impl Codec {
    /// By its name in a configuration.
    pub fn named(name: &str) -> Result<Codec> {
        match name {
            "ulaw" => Ok(Codec::Ulaw),
            "alaw" => Ok(Codec::Alaw),
            "g722" => Ok(Codec::G722),
            other => bail!("CODECS: {other} is none of ulaw, alaw, g722"),
        }
    }

    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Ulaw => "ulaw",
            Codec::Alaw => "alaw",
            Codec::G722 => "g722",
        }
    }

    /// Its static payload type (RFC 3551 table 4).
    pub fn payload_type(self) -> u8 {
        match self {
            Codec::Ulaw => 0,
            Codec::Alaw => 8,
            Codec::G722 => 9,
        }
    }

    /// Its name in SDP (RFC 3551 §6).
    pub fn encoding(self) -> &'static str {
        match self {
            Codec::Ulaw => "PCMU",
            Codec::Alaw => "PCMA",
            Codec::G722 => "G722",
        }
    }

    /// ffmpeg's name of its bare octets.
    fn ffmpeg(self) -> &'static str {
        match self {
            Codec::Ulaw => "mulaw",
            Codec::Alaw => "alaw",
            Codec::G722 => "g722",
        }
    }
}

/// The speech as samples at 8 kHz, and encoded; after its end it begins again.
pub struct Speech {
    /// At 8 kHz.
    pub samples: Vec<i16>,
    encoded: [(Codec, Vec<u8>); 2],
    folder: PathBuf,
}

impl Speech {
    /// Has it said and encoded; files go to the folder, which must outlive it.
    pub fn make(folder: &Path, codecs: [Codec; 2]) -> Result<Speech> {
        let wave = folder.join("speech.wav");
        let (wide, narrow) = (folder.join("speech.s16"), folder.join("speech.s8"));
        run(Command::new("espeak-ng")
            .args(["-v", "en", "-s", "190", "-w"])
            .arg(&wave)
            .arg(TEXT))?;
        convert(
            &[],
            &wave,
            &["-f", "s16le", "-ar", "16000", "-ac", "1"],
            &wide,
        )?;
        let mut samples = samples_of(&std::fs::read(&wide)?);
        samples.truncate(samples.len() / FRAME_WIDE * FRAME_WIDE);
        std::fs::write(&wide, bytes_of(&to_peak(&samples)))?;
        let raw = ["-f", "s16le", "-ar", "16000", "-ac", "1"];
        convert(&raw, &wide, &["-f", "s16le", "-ar", "8000"], &narrow)?;
        let encode = |codec: Codec| -> Result<(Codec, Vec<u8>)> {
            let file = folder.join(codec.name());
            let rate = if codec == Codec::G722 {
                "16000"
            } else {
                "8000"
            };
            // Three times over: in the second, an encoder that remembers comes from the end to the beginning.
            let mut input = vec!["-stream_loop", "2"];
            input.extend(raw);
            convert(&input, &wide, &["-f", codec.ffmpeg(), "-ar", rate], &file)?;
            let octets = std::fs::read(&file)?;
            let once = samples.len() / 2;
            let second = octets.get(once..2 * once).context("ffmpeg encoded less")?;
            Ok((codec, second.to_vec()))
        };
        let mut narrow = samples_of(&std::fs::read(&narrow)?);
        narrow.resize(samples.len() / 2, 0);
        Ok(Speech {
            samples: narrow,
            encoded: [encode(codecs[0])?, encode(codecs[1])?],
            folder: folder.to_owned(),
        })
    }

    /// Frames of 20 ms until it begins again.
    pub fn frames(&self) -> usize {
        self.samples.len() / PAYLOAD
    }

    /// One frame in this codec; numbers go on for ever.
    pub fn frame(&self, codec: Codec, number: usize) -> &[u8] {
        let encoded = self.encoded.iter().find(|(of, _)| *of == codec);
        let (_, octets) = encoded.expect("legs speak the two codecs that the speech was made for");
        let start = number % self.frames() * PAYLOAD;
        &octets[start..start + PAYLOAD]
    }

    /// What these octets say, at 8 kHz: one sample for each octet.
    pub fn decode(&self, codec: Codec, octets: &[u8]) -> Result<Vec<i16>> {
        let (file, out) = (self.folder.join("heard"), self.folder.join("heard.s8"));
        std::fs::write(&file, octets)?;
        // ffmpeg's reader of G.722 knows its rate.
        let input = ["-f", codec.ffmpeg(), "-ar", "8000"];
        let given = if codec == Codec::G722 { 2 } else { 4 };
        convert(
            &input[..given],
            &file,
            &["-f", "s16le", "-ar", "8000"],
            &out,
        )?;
        let mut samples = samples_of(&std::fs::read(&out)?);
        samples.resize(octets.len(), 0);
        Ok(samples)
    }
}

/// At the level that [`PEAK`] says.
fn to_peak(samples: &[i16]) -> Vec<i16> {
    let highest = samples.iter().map(|sample| sample.unsigned_abs()).max();
    let gain = PEAK / f64::from(highest.unwrap_or(1).max(1));
    let scaled = samples.iter().map(|sample| f64::from(*sample) * gain);
    scaled.map(|sample| sample as i16).collect()
}

fn samples_of(bytes: &[u8]) -> Vec<i16> {
    let pairs = bytes.chunks_exact(2);
    pairs
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples
        .iter()
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

fn convert(input: &[&str], from: &Path, output: &[&str], to: &Path) -> Result<()> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]);
    command.args(input).arg("-i").arg(from);
    run(command.args(output).arg(to))
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| {
        format!("{name} (a Debian package of this name; `make loadtest` installs it)")
    })?;
    if !output.status.success() {
        bail!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_decodes_to_what_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let codecs = [Codec::Alaw, Codec::G722];
        let speech = Speech::make(folder.path(), codecs).expect("espeak-ng and ffmpeg");
        assert!(speech.frames() > 400, "{} frames", speech.frames());
        for codec in codecs {
            let octets: Vec<u8> = (0..100)
                .flat_map(|number| speech.frame(codec, number))
                .copied()
                .collect();
            let heard = speech.decode(codec, &octets).expect("it decodes");
            assert_eq!(heard.len(), octets.len());
            let (energy, said): (f64, f64) = (power(&heard), power(&speech.samples[..heard.len()]));
            // As near as an ear asks of what it hears; G.722's filters take some of the band's upper end.
            let level_db = 10.0 * (energy / said).log10();
            assert!(level_db.abs() < 1.0, "{codec:?}: {level_db} dB");
        }
    }

    fn power(samples: &[i16]) -> f64 {
        samples
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum()
    }
}
