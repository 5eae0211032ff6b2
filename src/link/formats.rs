//! What the peer of a leg may send and what it hears, as its session description and ours say, in the few bytes that a
//! worker needs of it.

use crate::codec::{Codec, Payload};

/// Shortest packet time that is sent or expected, in milliseconds: the block of all audio work.
pub const PTIME_MIN_MS: u8 = 10;
/// Longest packet time that is sent, in milliseconds.
pub const PTIME_MAX_MS: u8 = 60;
/// Packet time where the peer wishes none (RFC 3551 §4.2).
pub const PTIME_DEFAULT_MS: u8 = 20;

/// A payload type of one direction of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireFormat {
    /// 0 to 127.
    pub payload_type: u8,
    /// What it carries.
    pub payload: Payload,
}

/// The payload types of one direction of a leg, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatList {
    formats: [WireFormat; FormatList::FORMATS_MAX],
    len: u8,
}

impl Default for FormatList {
    fn default() -> FormatList {
        FormatList::new([])
    }
}

impl FormatList {
    /// Most payload types of one direction: as many as a [`super::PayloadMap`] passes.
    pub const FORMATS_MAX: usize = super::PayloadMap::PAIRS_MAX;

    /// The list of these formats; what is over [`FormatList::FORMATS_MAX`], or has a payload type above 127, is left out.
    pub fn new(formats: impl IntoIterator<Item = WireFormat>) -> FormatList {
        let unused = WireFormat {
            payload_type: 0,
            payload: Payload::ComfortNoise,
        };
        let mut list = FormatList {
            formats: [unused; FormatList::FORMATS_MAX],
            len: 0,
        };
        let valid = formats
            .into_iter()
            .filter(|format| format.payload_type < 128);
        for (place, format) in list.formats.iter_mut().zip(valid) {
            *place = format;
            list.len += 1;
        }
        list
    }

    /// The formats, in order.
    pub fn formats(&self) -> &[WireFormat] {
        &self.formats[..usize::from(self.len)]
    }

    /// What a payload type carries; None if it was not agreed.
    #[inline]
    pub fn payload(&self, payload_type: u8) -> Option<Payload> {
        let found = self.formats().iter();
        let found = found.copied().find(|f| f.payload_type == payload_type);
        Some(found?.payload)
    }

    /// The first codec that audio of our own can be coded in, with its payload type.
    pub fn encodable(&self) -> Option<(u8, Codec)> {
        self.formats()
            .iter()
            .find_map(|format| match format.payload {
                Payload::Codec(codec) if codec.is_transcoded() => {
                    Some((format.payload_type, codec))
                }
                _ => None,
            })
    }

    /// The payload type of telephone events that go with 8 kHz codecs, else of any.
    pub fn telephone_event(&self) -> Option<(u8, u32)> {
        let events = self.formats().iter().filter_map(|f| match f.payload {
            Payload::TelephoneEvent { clock_rate } => Some((f.payload_type, clock_rate)),
            _ => None,
        });
        events.min_by_key(|(_, clock_rate)| *clock_rate != 8000)
    }

    /// The payload type of comfort noise.
    pub fn comfort_noise(&self) -> Option<u8> {
        let noise = |format: &&WireFormat| format.payload == Payload::ComfortNoise;
        Some(self.formats().iter().find(noise)?.payload_type)
    }
}

/// Both directions of a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegFormats {
    /// What the peer may send, by the numbers that we gave it (RFC 3264 §5.1).
    pub receive: FormatList,
    /// What the peer hears, by the numbers that it gave us. Audio of our own goes out in the first that we can code.
    pub send: FormatList,
    /// Milliseconds of audio in a packet of our own to the peer: 10 to 60, in tens. Other values are
    /// brought to these; 0 is 20.
    pub ptime_ms: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(formats: &[(u8, Payload)]) -> FormatList {
        FormatList::new(formats.iter().map(|(payload_type, payload)| WireFormat {
            payload_type: *payload_type,
            payload: *payload,
        }))
    }

    #[test]
    fn the_first_that_we_can_code_is_sent() {
        let formats = list(&[
            (18, Payload::Codec(Codec::G729)),
            (9, Payload::Codec(Codec::G722)),
            (0, Payload::Codec(Codec::Ulaw)),
        ]);
        assert_eq!(formats.encodable(), Some((9, Codec::G722)));
        assert_eq!(formats.payload(18), Some(Payload::Codec(Codec::G729)));
        assert_eq!(formats.payload(8), None);
        assert_eq!(list(&[(18, Payload::Codec(Codec::G729))]).encodable(), None);
    }

    #[test]
    fn events_of_the_8_khz_clock_come_first() {
        let event = |clock_rate| Payload::TelephoneEvent { clock_rate };
        let formats = list(&[
            (96, event(48_000)),
            (101, event(8_000)),
            (13, Payload::ComfortNoise),
        ]);
        assert_eq!(formats.telephone_event(), Some((101, 8_000)));
        assert_eq!(formats.comfort_noise(), Some(13));
        assert_eq!(
            list(&[(96, event(48_000))]).telephone_event(),
            Some((96, 48_000))
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out() {
        let many = (0..200).map(|number| WireFormat {
            payload_type: number,
            payload: Payload::ComfortNoise,
        });
        assert_eq!(
            FormatList::new(many).formats().len(),
            FormatList::FORMATS_MAX
        );
        assert_eq!(list(&[(128, Payload::ComfortNoise)]).formats().len(), 0);
    }
}
