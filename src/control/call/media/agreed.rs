//! What a leg and its peer have agreed: the outcome of an exchange, and what a worker has to know of it.

use super::LegMedia;
use crate::config::settings::Secret;
use crate::link::formats::{PTIME_DEFAULT_MS, PTIME_MAX_MS, PTIME_MIN_MS};
use crate::link::{Carries, FormatList, LegCrypto, LegFormats, PayloadMap, WireFormat};
use crate::sdp::{Audio, Description, Direction, Fax, Format, partner, payload_pairs};
use std::net::SocketAddr;

/// The outcome of the last exchange.
#[derive(Debug)]
pub(super) struct Agreed {
    /// What the peer described.
    pub(super) remote: Description,
    /// What we offered or answered; of the formats those that are left, with our numbers.
    pub(super) ours: Offered,
    /// The formats, with the peer's numbers. None of a fax.
    pub(super) theirs: Vec<Format>,
    /// RTCP goes by the port of RTP.
    pub(super) rtcp_mux: bool,
    /// The keys of the audio, also while a fax interrupts it. None for plain RTP.
    pub(super) crypto: Option<LegCrypto>,
    /// Our words. They may have keys in them.
    pub(super) said: Secret,
    /// They were an answer: a 200 repeats what its 183 said.
    pub(super) is_answer: bool,
    /// Where they send the peer's media: None for our port.
    pub(super) aim: Option<SocketAddr>,
}

/// What we offer or answer.
#[derive(Clone, Debug)]
pub enum Offered {
    /// Audio.
    Audio(AudioTerms),
    /// A fax by T.38, with these attributes: those of the far side, as the two ends agree them with each other.
    Fax(Vec<String>),
}

/// What we offer or answer of audio.
#[derive(Clone, Debug)]
pub struct AudioTerms {
    /// Its formats.
    pub formats: Vec<Format>,
    /// Its direction.
    pub direction: Direction,
    /// The packet time that we ask for, in milliseconds: the one that the far side asks for, as packets that are relayed pass
    /// as they are.
    pub ptime_ms: Option<u32>,
}

impl Offered {
    /// Audio.
    pub fn audio(formats: Vec<Format>, direction: Direction, ptime_ms: Option<u32>) -> Offered {
        Offered::Audio(AudioTerms {
            formats,
            direction,
            ptime_ms,
        })
    }
}

impl Agreed {
    /// The peer's audio, if it is what was agreed.
    pub(super) fn audio(&self) -> Option<&Audio> {
        match self.ours {
            Offered::Audio(_) => self.remote.audio(),
            Offered::Fax(_) => None,
        }
    }

    /// The peer's fax, if it is what was agreed.
    pub(super) fn fax(&self) -> Option<&Fax> {
        match self.ours {
            Offered::Audio(_) => None,
            Offered::Fax(_) => self.remote.fax(),
        }
    }

    /// Where the peer is: for its media, for its RTCP, and what it sends.
    pub(super) fn places(&self) -> Option<(SocketAddr, SocketAddr, Carries)> {
        if let Some(fax) = self.fax() {
            return Some((fax.address, fax.address, Carries::Datagrams));
        }
        let audio = self.audio()?;
        let rtcp = if self.rtcp_mux { audio.rtp } else { audio.rtcp };
        Some((audio.rtp, rtcp, Carries::Rtp))
    }

    /// The formats, with our numbers. None of a fax.
    pub(super) fn ours(&self) -> &[Format] {
        match &self.ours {
            Offered::Audio(terms) => &terms.formats,
            Offered::Fax(_) => &[],
        }
    }

    /// What a worker has to know of the formats.
    pub(super) fn wire_formats(&self) -> LegFormats {
        let list = |formats: &[Format]| {
            FormatList::new(formats.iter().map(|format| WireFormat {
                payload_type: format.payload_type,
                payload: format.payload,
            }))
        };
        LegFormats {
            receive: list(self.ours()),
            send: list(&self.theirs),
            ptime_ms: self.ptime_ms(),
        }
    }

    /// How much audio our own packets to the peer have.
    pub(super) fn ptime_ms(&self) -> u8 {
        self.audio().map_or(PTIME_DEFAULT_MS, packet_time_ms)
    }
}

/// How much audio our own packets to the peer have: what it would like to receive, as far as we send such packets, and no
/// more than it takes (RFC 8866 §6.4, §6.5).
fn packet_time_ms(audio: &Audio) -> u8 {
    let wanted = audio.ptime_ms.unwrap_or(PTIME_DEFAULT_MS.into());
    let most = audio.maxptime_ms.unwrap_or(PTIME_MAX_MS.into());
    let fits = wanted
        .min(most)
        .clamp(PTIME_MIN_MS.into(), PTIME_MAX_MS.into());
    // A packet has whole blocks of 10 ms.
    (fits / u32::from(PTIME_MIN_MS) * u32::from(PTIME_MIN_MS)) as u8
}

/// What passes from a peer that sends by the one list to one that hears by the other.
pub(super) fn payload_map(from: &[Format], to: &[Format]) -> PayloadMap {
    let mut pairs = payload_pairs(from, to);
    pairs.truncate(PayloadMap::PAIRS_MAX);
    PayloadMap::new(&pairs).expect("at most PAIRS_MAX pairs, of payload types below 128")
}

/// The formats with the numbers that the leg's session has for them already: within a session a number keeps its
/// meaning (RFC 3264 §8.3.2). One that is new keeps its own number, or gets a free one if that is taken.
pub fn renumbered(formats: Vec<Format>, media: &LegMedia) -> Vec<Format> {
    let known = media.ours();
    let mut renumbered: Vec<Format> = Vec::with_capacity(formats.len());
    for format in formats.iter().cloned() {
        let own = partner(&format, &formats, known);
        let is_taken = |number: u8| {
            let means_else =
                |other: &Format| other.payload_type == number && other.payload != format.payload;
            known.iter().any(means_else) || renumbered.iter().any(means_else)
        };
        let number = match own {
            Some(own) => Some(own.payload_type),
            None if !is_taken(format.payload_type) => Some(format.payload_type),
            None => (96..=127).find(|number| !is_taken(*number)),
        };
        if let Some(payload_type) = number {
            renumbered.push(Format {
                payload_type,
                ..format
            });
        }
    }
    renumbered
}
