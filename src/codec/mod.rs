//! The codecs that Ringway knows by name, and the arithmetic of audio: coding, resampling, concealment, tones.

pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod gsm;
pub mod noise;
pub mod plc;
pub mod relayed;
pub mod resample;
pub mod sound;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod tone;

use relayed::RelayedCodec;

/// A sampling rate that audio has inside Ringway, one channel of 16-bit samples. Audio is worked on in blocks of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rate {
    /// 8 kHz: the audio of G.711.
    Narrow,
    /// 16 kHz: the audio of G.722.
    Wide,
}

impl Rate {
    /// Samples a second.
    pub const fn hz(self) -> u32 {
        match self {
            Rate::Narrow => 8_000,
            Rate::Wide => 16_000,
        }
    }

    /// Samples of a block of 10 ms.
    pub const fn block(self) -> usize {
        match self {
            Rate::Narrow => 80,
            Rate::Wide => 160,
        }
    }
}

/// The nearest sample to a value; what is beyond the range is clipped.
pub(crate) fn to_sample(value: f32) -> i16 {
    // A cast to an integer saturates, and costs less than `round`.
    (value + 0.5_f32.copysign(value)) as i16
}

/// A codec as `allow` names it, with its RTP payload format (RFC 3551 and the format's own RFC).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law, PCMU/8000.
    Ulaw,
    /// G.711 A-law, PCMA/8000.
    Alaw,
    /// G.722; 16 kHz audio with an RTP clock of 8000 (RFC 3551 §4.5.2).
    G722,
    /// G.729; relayed only.
    G729,
    /// GSM full rate; relayed only.
    Gsm,
    /// Opus (RFC 7587), opus/48000/2; relayed only.
    Opus,
    /// iLBC (RFC 3952); relayed only.
    Ilbc,
    /// Any other; relayed only.
    Relayed(RelayedCodec),
}

impl Codec {
    /// Every codec but [`Codec::Relayed`].
    pub const ALL: [Codec; 7] = [
        Codec::Ulaw,
        Codec::Alaw,
        Codec::G722,
        Codec::G729,
        Codec::Gsm,
        Codec::Opus,
        Codec::Ilbc,
    ];

    /// Every name that a configuration may have for a codec; besides them, it may have any rtpmap (`AMR-WB/16000`).
    pub fn names() -> impl Iterator<Item = &'static str> {
        let own = Codec::ALL.into_iter().map(Codec::known_name);
        own.chain(RelayedCodec::names())
    }

    /// The name in a configuration (Asterisk's), or else the rtpmap.
    pub fn name(self) -> String {
        match self {
            Codec::Relayed(codec) => codec.to_string(),
            known => known.known_name().to_owned(),
        }
    }

    fn known_name(self) -> &'static str {
        match self {
            Codec::Relayed(_) => "",
            Codec::Ulaw => "ulaw",
            Codec::Alaw => "alaw",
            Codec::G722 => "g722",
            Codec::G729 => "g729",
            Codec::Gsm => "gsm",
            Codec::Opus => "opus",
            Codec::Ilbc => "ilbc",
        }
    }

    /// The codec with that configuration name.
    pub fn from_name(name: &str) -> Option<Codec> {
        let mut known = Codec::ALL.into_iter();
        let known = known.find(|codec| codec.known_name().eq_ignore_ascii_case(name));
        known.or_else(|| match name.split_once('/') {
            Some((encoding, numbers)) => {
                let (clock_rate, channels) = numbers.split_once('/').unwrap_or((numbers, "1"));
                Codec::from_rtpmap(encoding, clock_rate.parse().ok()?, channels.parse().ok()?)
            }
            None => RelayedCodec::from_name(name).map(Codec::Relayed),
        })
    }

    /// The codec of an rtpmap. None if it is none (see [`RelayedCodec::new`]).
    pub fn from_rtpmap(encoding: &str, clock_rate: u32, channels: u8) -> Option<Codec> {
        let is_its = |codec: &Codec| {
            codec.encoding_name().eq_ignore_ascii_case(encoding) && codec.clock_rate() == clock_rate
        };
        let other = || RelayedCodec::new(encoding, clock_rate, channels).map(Codec::Relayed);
        Codec::ALL.into_iter().find(is_its).or_else(other)
    }

    /// The codec of a static payload type (RFC 3551 table 4).
    pub fn from_static(payload_type: u8) -> Option<Codec> {
        let is_its = |codec: &Codec| codec.static_payload_type() == Some(payload_type);
        let other = || RelayedCodec::from_static(payload_type).map(Codec::Relayed);
        Codec::ALL.into_iter().find(is_its).or_else(other)
    }

    /// The encoding name in an rtpmap.
    pub fn encoding_name(&self) -> &str {
        match self {
            Codec::Relayed(codec) => codec.encoding_name(),
            Codec::Ulaw => "PCMU",
            Codec::Alaw => "PCMA",
            Codec::G722 => "G722",
            Codec::G729 => "G729",
            Codec::Gsm => "GSM",
            Codec::Opus => "opus",
            Codec::Ilbc => "iLBC",
        }
    }

    /// The RTP clock rate in Hz.
    pub fn clock_rate(self) -> u32 {
        match self {
            Codec::Opus => 48_000,
            Codec::Relayed(codec) => codec.clock_rate(),
            _ => 8_000,
        }
    }

    /// Ringway can decode and encode it, so that it joins peers that have no codec in common. The others are relayed.
    pub fn is_transcoded(self) -> bool {
        matches!(self, Codec::Ulaw | Codec::Alaw | Codec::G722)
    }

    /// The channel count of the rtpmap, where it is not 1.
    pub fn channels(self) -> u8 {
        match self {
            Codec::Opus => 2,
            Codec::Relayed(codec) => codec.channels(),
            _ => 1,
        }
    }

    /// The static payload type of RFC 3551 table 4, if it has one.
    pub fn static_payload_type(self) -> Option<u8> {
        match self {
            Codec::Ulaw => Some(0),
            Codec::Gsm => Some(3),
            Codec::Alaw => Some(8),
            Codec::G722 => Some(9),
            Codec::G729 => Some(18),
            Codec::Opus | Codec::Ilbc => None,
            Codec::Relayed(codec) => codec.static_payload_type(),
        }
    }
}

/// What an RTP payload type carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Audio.
    Codec(Codec),
    /// Telephone events at this clock rate (RFC 4733).
    TelephoneEvent {
        /// In Hz.
        clock_rate: u32,
    },
    /// Comfort noise at 8 kHz (RFC 3389).
    ComfortNoise,
}
