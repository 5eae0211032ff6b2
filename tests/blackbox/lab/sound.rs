//! Sounds, and the programs that make and convert them.

use std::path::Path;
use std::process::Command;

/// Highest sample of speech: 6 dB below what fits.
const PEAK: f64 = 16_384.0;

/// A codec of 64 kbit/s: an octet for each tick of an RTP clock of 8 kHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Ulaw,
    Alaw,
    G722,
}

impl Codec {
    /// Its name in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Codec::Ulaw => "ulaw",
            Codec::Alaw => "alaw",
            Codec::G722 => "g722",
        }
    }

    /// Its static payload type (RFC 3551 table 4), as text for an m= line.
    pub fn format(self) -> &'static str {
        match self {
            Codec::Ulaw => "0",
            Codec::Alaw => "8",
            Codec::G722 => "9",
        }
    }

    /// The same as a number.
    pub fn payload_type(self) -> u8 {
        self.format().parse().expect("a number")
    }

    /// Samples a second.
    pub fn rate(self) -> u32 {
        match self {
            Codec::G722 => 16_000,
            Codec::Ulaw | Codec::Alaw => 8_000,
        }
    }

    fn ffmpeg(self) -> &'static str {
        match self {
            Codec::Ulaw => "mulaw",
            Codec::Alaw => "alaw",
            Codec::G722 => "g722",
        }
    }

    /// Encodes a sound of any rate.
    pub fn encode(self, sound: &Sound) -> Vec<u8> {
        let rate = self.rate().to_string();
        sound.through(&["-f", self.ffmpeg(), "-ar", &rate])
    }

    /// What these octets say, at the codec's rate.
    pub fn decode(self, octets: &[u8]) -> Sound {
        let (rate, name) = (self.rate().to_string(), self.ffmpeg());
        // ffmpeg's reader of G.722 knows its rate and takes none.
        let input: &[&str] = match self {
            Codec::G722 => &["-f", name],
            _ => &["-f", name, "-ar", &rate],
        };
        let raw = convert(input, octets, &["-f", "s16le", "-ar", &rate]);
        Sound::from_raw(self.rate(), &raw)
    }
}

/// One channel of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    pub rate: u32,
    pub samples: Vec<i16>,
}

impl Sound {
    /// This text, said by espeak-ng, at 16 kHz and at the level of a telephone.
    pub fn speech(text: &str) -> Sound {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("speech.wav");
        let mut command = Command::new("espeak-ng");
        command.args(["-v", "en", "-s", "170", "-w"]).arg(&file);
        run(command.arg(text));
        let mut sound = Sound::read(&file, 16_000);
        let highest = sound.samples.iter().map(|sample| sample.unsigned_abs());
        let gain = PEAK / f64::from(highest.max().unwrap_or(1).max(1));
        for sample in &mut sound.samples {
            *sample = (f64::from(*sample) * gain) as i16;
        }
        sound
    }

    /// A file that ffmpeg knows, as one channel at this rate.
    pub fn read(file: &Path, rate: u32) -> Sound {
        Sound::read_with(file, rate, &["-ac", "1"])
    }

    /// The left channel of one of two.
    pub fn left(file: &Path, rate: u32) -> Sound {
        Sound::read_with(file, rate, &["-af", "pan=mono|c0=c0"])
    }

    fn read_with(file: &Path, rate: u32, channels: &[&str]) -> Sound {
        let bytes =
            std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // What has no header is known by its ending alone.
        let ending = file.extension().and_then(|ending| ending.to_str());
        let input: &[&str] = match ending {
            Some("gsm") => &["-f", "gsm"],
            Some("g722") => &["-f", "g722"],
            _ => &[],
        };
        let rate_text = rate.to_string();
        let mut output = vec!["-f", "s16le", "-ar", &rate_text];
        output.extend(channels);
        Sound::from_raw(rate, &convert(input, &bytes, &output))
    }

    /// Writes it as a WAV file.
    pub fn write(&self, file: &Path) {
        std::fs::write(file, self.through(&["-f", "wav"])).expect("the file is written");
    }

    /// The same at another rate.
    pub fn at(&self, rate: u32) -> Sound {
        if rate == self.rate {
            return self.clone();
        }
        let text = rate.to_string();
        Sound::from_raw(rate, &self.through(&["-f", "s16le", "-ar", &text]))
    }

    /// Sent by one codec and on by another: what ffmpeg makes of it.
    pub fn transcoded(&self, from: Codec, to: Codec) -> Sound {
        to.decode(&to.encode(&from.decode(&from.encode(self))))
    }

    fn from_raw(rate: u32, raw: &[u8]) -> Sound {
        let pairs = raw.chunks_exact(2);
        Sound {
            rate,
            samples: pairs
                .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
        }
    }

    fn through(&self, output: &[&str]) -> Vec<u8> {
        let raw: Vec<u8> = self
            .samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let rate = self.rate.to_string();
        convert(&["-f", "s16le", "-ar", &rate, "-ac", "1"], &raw, output)
    }
}

/// ffmpeg's conversion of bytes to bytes.
fn convert(input: &[&str], bytes: &[u8], output: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::write(&from, bytes).expect("the file is written");
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"]);
    command
        .args(input)
        .arg("-i")
        .arg(&from)
        .args(output)
        .arg(&to);
    run(&mut command);
    std::fs::read(&to).expect("ffmpeg has written it")
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (`make test` installs it)"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
