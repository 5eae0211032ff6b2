//! Codecs that pass where both sides of a call have them, and that nothing else is known of.

use std::fmt;
use std::hash::{Hash, Hasher};

/// Longest encoding name, in bytes. The longest of an audio codec that IANA has is `AAL2-G726-40`.
pub const NAME_MAX: usize = 16;
/// Highest clock rate, in Hz.
pub const CLOCK_RATE_MAX: u32 = 384_000;

/// A codec by what an rtpmap says of it (RFC 8866 §6.6): encoding name, clock rate, channels. Two are the same if they differ in
/// the case of their names only (RFC 4855 §3).
#[derive(Clone, Copy)]
pub struct RelayedCodec {
    /// As written, then zeros.
    name: [u8; NAME_MAX],
    clock_rate: u32,
    channels: u8,
}

/// A codec that Asterisk has a name for, its rtpmap, and its static payload type (RFC 3551 table 4).
struct Known {
    name: &'static str,
    encoding: &'static str,
    clock_rate: u32,
    payload_type: Option<u8>,
}

const fn known(
    name: &'static str,
    encoding: &'static str,
    clock_rate: u32,
    payload_type: Option<u8>,
) -> Known {
    Known {
        name,
        encoding,
        clock_rate,
        payload_type,
    }
}

const KNOWN: [Known; 23] = [
    known("g723", "G723", 8_000, Some(4)),
    known("g726", "G726-32", 8_000, None),
    known("g726aal2", "AAL2-G726-32", 8_000, None),
    known("adpcm", "DVI4", 8_000, Some(5)),
    known("lpc10", "LPC", 8_000, Some(7)),
    known("speex", "speex", 8_000, None),
    known("speex16", "speex", 16_000, None),
    known("speex32", "speex", 32_000, None),
    known("siren7", "G7221", 16_000, None),
    known("siren14", "G7221", 32_000, None),
    known("g719", "G719", 48_000, None),
    known("silk8", "SILK", 8_000, None),
    known("silk12", "SILK", 12_000, None),
    known("silk16", "SILK", 16_000, None),
    known("silk24", "SILK", 24_000, None),
    known("amr", "AMR", 8_000, None),
    known("amrwb", "AMR-WB", 16_000, None),
    known("evs", "EVS", 16_000, None),
    known("codec2", "CODEC2", 8_000, None),
    known("slin", "L16", 8_000, None),
    known("slin16", "L16", 16_000, None),
    known("slin48", "L16", 48_000, None),
    known("g728", "G728", 8_000, Some(15)),
];

impl RelayedCodec {
    /// The names that a configuration may have for such a codec, besides its rtpmap.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|known| known.name)
    }

    /// The codec of an rtpmap. None if its name is too long or has what no name may have (RFC 8866 §9, `token`), or its numbers
    /// are out of range.
    pub fn new(name: &str, clock_rate: u32, channels: u8) -> Option<RelayedCodec> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
        let is_name = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_token);
        if !is_name || !(1..=CLOCK_RATE_MAX).contains(&clock_rate) || channels == 0 {
            return None;
        }
        let mut bytes = [0; NAME_MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Some(RelayedCodec {
            name: bytes,
            clock_rate,
            channels,
        })
    }

    /// The codec that Asterisk names so.
    pub fn from_name(name: &str) -> Option<RelayedCodec> {
        let known = KNOWN
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name));
        known?.codec()
    }

    /// The codec of a static payload type without an rtpmap.
    pub fn from_static(payload_type: u8) -> Option<RelayedCodec> {
        let known = KNOWN
            .iter()
            .find(|known| known.payload_type == Some(payload_type))?;
        known.codec()
    }

    /// The encoding name, as it was written.
    pub fn encoding_name(&self) -> &str {
        let len = self.name.iter().position(|byte| *byte == 0);
        let name = &self.name[..len.unwrap_or(NAME_MAX)];
        std::str::from_utf8(name).unwrap_or_default()
    }

    /// The RTP clock rate in Hz.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// How many channels it has.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Its static payload type, if it has one.
    pub fn static_payload_type(&self) -> Option<u8> {
        self.known()?.payload_type
    }

    fn known(&self) -> Option<&'static Known> {
        KNOWN
            .iter()
            .find(|known| known.codec().as_ref() == Some(self))
    }
}

impl Known {
    fn codec(&self) -> Option<RelayedCodec> {
        RelayedCodec::new(self.encoding, self.clock_rate, 1)
    }
}

/// Asterisk's name, or else the rtpmap.
impl fmt::Display for RelayedCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.known(), self.channels) {
            (Some(known), _) => f.write_str(known.name),
            (None, 1) => write!(f, "{}/{}", self.encoding_name(), self.clock_rate),
            (None, channels) => {
                write!(f, "{}/{}/{channels}", self.encoding_name(), self.clock_rate)
            }
        }
    }
}

impl fmt::Debug for RelayedCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for RelayedCodec {
    fn eq(&self, other: &RelayedCodec) -> bool {
        self.clock_rate == other.clock_rate
            && self.channels == other.channels
            && self.name.eq_ignore_ascii_case(&other.name)
    }
}

impl Eq for RelayedCodec {}

impl Hash for RelayedCodec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.to_ascii_uppercase().hash(state);
        (self.clock_rate, self.channels).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_either_kind_are_one_codec() {
        let by_name = RelayedCodec::from_name("amrwb").expect("known");
        assert_eq!(Some(by_name), RelayedCodec::new("amr-wb", 16_000, 1));
        assert_eq!(Some(by_name), RelayedCodec::new("AMR-WB", 16_000, 1));
        assert_eq!(by_name.to_string(), "amrwb");
        assert_ne!(Some(by_name), RelayedCodec::new("AMR-WB", 16_000, 2));
        let own = RelayedCodec::new("vorbis", 44_100, 2).expect("an rtpmap");
        assert_eq!(own.to_string(), "vorbis/44100/2");
        assert_eq!((own.clock_rate(), own.channels()), (44_100, 2));
        assert_eq!(
            RelayedCodec::from_static(4),
            RelayedCodec::from_name("g723")
        );
        assert_eq!(RelayedCodec::from_static(0), None, "coded here");
    }

    #[test]
    fn every_known_name_is_itself() {
        for name in RelayedCodec::names() {
            let codec = RelayedCodec::from_name(name).expect(name);
            assert_eq!(codec.to_string(), name);
        }
    }

    #[test]
    fn what_is_no_rtpmap_is_refused() {
        for (name, clock_rate, channels) in [
            ("", 8_000, 1),
            ("AMR", 0, 1),
            ("AMR", 8_000, 0),
            ("AMR", 999_999, 1),
            ("A B", 8_000, 1),
            ("A/B", 8_000, 1),
            ("seventeen-letters", 8_000, 1),
        ] {
            assert!(
                RelayedCodec::new(name, clock_rate, channels).is_none(),
                "{name}"
            );
        }
        assert!(RelayedCodec::new("sixteen-letters-", 8_000, 1).is_some());
    }
}
