//! Offer and answer (RFC 3264): which formats both sides have, and our side's words.

use super::body::{Audio, Description, Direction, Format, Media, Payload};
use super::crypto::OurKeys;
use crate::codec::Codec;
use std::fmt::Write;
use std::net::IpAddr;

/// Our side of a leg's session: what stands in every description that we write on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalMedia {
    /// Session id of our `o=` line; the same for the leg's life.
    pub session_id: u64,
    /// Session version: one more whenever what we describe changes (RFC 3264 §8).
    pub version: u64,
    /// The address that the peer is to see.
    pub address: IpAddr,
    /// Our RTP port; RTCP is on the next.
    pub port: u16,
    /// Our keys for SRTP.
    pub keys: OurKeys,
}

/// What we offer, or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurOffer<'a> {
    /// Formats in order of preference.
    pub formats: &'a [Format],
    /// What we would do.
    pub direction: Direction,
    /// Packet time in milliseconds, if it is to be said.
    pub ptime_ms: Option<u32>,
    /// RTCP by the port of RTP (RFC 5761). In an answer only where the offer has it.
    pub rtcp_mux: bool,
}

/// What our line is.
#[derive(Clone, Copy)]
enum Line<'a> {
    /// Audio by this RTP profile.
    Audio(&'a str, &'a OurOffer<'a>),
    /// A fax with these attributes.
    Fax(&'a [String]),
}

/// Clock rate of the telephone events that go with 8 kHz codecs.
const EVENTS_RATE: u32 = 8000;
/// Payload type of the telephone events that we offer on our own (101 by long custom).
const EVENTS_PAYLOAD_TYPE: u8 = 101;

/// Formats for an offer that starts from nothing but an endpoint's `allow`: static payload types where RFC 3551 has
/// them, dynamic ones from 96 up elsewhere.
pub fn formats_for(allow: &[Codec], events: bool) -> Vec<Format> {
    let mut dynamic = 96..=127u8;
    let mut formats: Vec<Format> = Vec::with_capacity(allow.len() + 1);
    for codec in allow {
        let free = || {
            dynamic
                .by_ref()
                .find(|number| *number != EVENTS_PAYLOAD_TYPE)
        };
        let Some(payload_type) = codec.static_payload_type().or_else(free) else {
            continue;
        };
        formats.push(Format {
            payload_type,
            payload: Payload::Codec(*codec),
            fmtp: None,
        });
    }
    if events {
        let payload = Payload::TelephoneEvent {
            clock_rate: EVENTS_RATE,
        };
        formats.push(Format {
            payload_type: EVENTS_PAYLOAD_TYPE,
            payload,
            fmtp: Some("0-16".to_owned()),
        });
    }
    formats
}

/// What is left of `formats` if only these codecs are allowed, in the order of `formats`, with telephone events and
/// comfort noise kept where a codec is left. Empty if no codec is: that is a 488.
pub fn common_formats(formats: &[Format], allow: &[Codec], events: bool) -> Vec<Format> {
    let allowed = |format: &&Format| match format.payload {
        Payload::Codec(codec) => allow.contains(&codec),
        Payload::TelephoneEvent { .. } => events,
        Payload::ComfortNoise => true,
    };
    let kept: Vec<Format> = formats.iter().filter(allowed).cloned().collect();
    if kept
        .iter()
        .any(|format| matches!(format.payload, Payload::Codec(_)))
    {
        kept
    } else {
        Vec::new()
    }
}

/// What the answer leaves of the offer, with the offer's numbers: the formats of `offered` that `answered` has too,
/// in the order of `offered`. Empty if no codec is left.
pub fn answered_formats(offered: &[Format], answered: &[Format]) -> Vec<Format> {
    let is_answered = |format: &&Format| partner(format, offered, answered).is_some();
    let kept: Vec<Format> = offered.iter().filter(is_answered).cloned().collect();
    if kept
        .iter()
        .any(|format| matches!(format.payload, Payload::Codec(_)))
    {
        kept
    } else {
        Vec::new()
    }
}

/// Payload types that pass from a peer that uses `from` to one that uses `to`, and what they become. The sender of a
/// packet uses the numbers of the description that its receiver, we, gave it: `from` is what we told the one side,
/// `to` what the other side told us (RFC 3264 §5.1).
pub fn payload_pairs(from: &[Format], to: &[Format]) -> Vec<(u8, u8)> {
    from.iter()
        .filter_map(|format| Some((format.payload_type, partner(format, from, to)?.payload_type)))
        .collect()
}

/// The format of `others` that is the same as this one of `own`. What has one payload may stand there several times with other
/// parameters (AMR in either packing): then the number tells, as an answer repeats the offer's (RFC 3264 §6.1).
pub fn partner<'o>(format: &Format, own: &[Format], others: &'o [Format]) -> Option<&'o Format> {
    let same = |list: &'o [Format]| list.iter().filter(|other| other.payload == format.payload);
    let is_its = |other: &&Format| other.payload_type == format.payload_type;
    if let Some(other) = same(others).find(is_its) {
        return Some(other);
    }
    let is_anothers = |other: &&Format| {
        let mut own = own.iter().filter(|own| own.payload == format.payload);
        own.any(|own| own.payload_type == other.payload_type)
    };
    same(others).find(|other| !is_anothers(other))
}

impl LocalMedia {
    /// The body of an offer with one audio line.
    pub fn offer(&self, offer: &OurOffer<'_>) -> String {
        let mut body = self.session_lines();
        self.write(&mut body, Line::Audio(self.keys.protocol(), offer));
        body
    }

    /// The body of an offer with the media lines of an earlier exchange: an offer never has fewer lines than the
    /// session had, and they keep their places (RFC 3264 §8). Audio may take the place of a fax.
    pub fn offer_like(&self, session: &Description, offer: &OurOffer<'_>) -> String {
        let place = session.media.iter().position(is_in_use);
        let protocol = session.audio().map(|audio| audio.protocol.as_str());
        let protocol = protocol.unwrap_or_else(|| self.keys.protocol());
        self.lines_like(session, place, Line::Audio(protocol, offer))
    }

    /// The body of an offer to go over to a fax with these attributes, in the place of the audio (T.38 §D.2.2.4).
    pub fn offer_fax_like(&self, session: &Description, attributes: &[String]) -> String {
        let place = session.media.iter().position(is_in_use);
        self.lines_like(session, place, Line::Fax(attributes))
    }

    /// The body of an answer that takes the first fax of an offer, and refuses all else.
    pub fn answer_fax(&self, offer: &Description, attributes: &[String]) -> String {
        let is_fax = |media: &Media| matches!(media, Media::Fax(_));
        let place = offer.media.iter().position(is_fax);
        self.lines_like(offer, place, Line::Fax(attributes))
    }

    /// The session lines, then a line for each of the other's: ours in its place, or behind them, the rest refused with
    /// port 0.
    fn lines_like(&self, other: &Description, ours_at: Option<usize>, ours: Line<'_>) -> String {
        let mut body = self.session_lines();
        for (place, media) in other.media.iter().enumerate() {
            if Some(place) == ours_at {
                self.write(&mut body, ours);
                continue;
            }
            // Writing into a String cannot fail, so each result is dropped.
            let _ = match media {
                Media::Audio(audio) => {
                    let first = audio.formats.first();
                    let first = first.map_or(0, |format| format.payload_type);
                    write!(body, "m=audio 0 {} {first}\r\n", audio.protocol)
                }
                Media::Fax(_) => write!(body, "m=image 0 udptl t38\r\n"),
                Media::Other {
                    kind,
                    protocol,
                    formats,
                } => write!(body, "m={kind} 0 {protocol} {formats}\r\n"),
            };
        }
        if ours_at.is_none() {
            self.write(&mut body, ours);
        }
        body
    }

    fn write(&self, body: &mut String, line: Line<'_>) {
        match line {
            Line::Audio(protocol, offer) => self.audio_lines(body, protocol, offer),
            Line::Fax(attributes) => {
                let _ = write!(body, "m=image {} udptl t38\r\n", self.port);
                for attribute in attributes {
                    let _ = write!(body, "a={attribute}\r\n");
                }
            }
        }
    }

    fn session_lines(&self) -> String {
        let family = if self.address.is_ipv4() { "IP4" } else { "IP6" };
        let (id, version, address) = (self.session_id, self.version, self.address);
        format!(
            "v=0\r\no=- {id} {version} IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n"
        )
    }

    fn audio_lines(&self, body: &mut String, protocol: &str, offer: &OurOffer<'_>) {
        let formats = offer.formats;
        let _ = write!(body, "m=audio {} {protocol}", self.port);
        for format in formats {
            let _ = write!(body, " {}", format.payload_type);
        }
        body.push_str("\r\n");
        for format in formats {
            let _ = write!(
                body,
                "a=rtpmap:{} {}\r\n",
                format.payload_type,
                rtpmap(format.payload)
            );
            if let Some(fmtp) = &format.fmtp {
                let _ = write!(body, "a=fmtp:{} {fmtp}\r\n", format.payload_type);
            }
        }
        for key in &self.keys.lines {
            key.write(body);
        }
        if let Some(ptime_ms) = offer.ptime_ms {
            let _ = write!(body, "a=ptime:{ptime_ms}\r\n");
        }
        if offer.rtcp_mux {
            body.push_str("a=rtcp-mux\r\n");
        }
        let _ = write!(body, "a={}\r\n", offer.direction.name());
    }
}

/// The body of an answer: our audio with these formats (from [`common_formats`] of the offer, so with the offer's
/// numbers) on its first audio line, every other line refused (RFC 3264 §6). The direction is what the offer leaves
/// of ours (§6.1).
pub fn answer(local: &LocalMedia, offer: &Description, ours: &OurOffer<'_>) -> String {
    let is_audio = |media: &Media| matches!(media, Media::Audio(_));
    let place = offer.media.iter().position(is_audio);
    let audio = offer.audio();
    let offered = audio.map_or(Direction::SendRecv, |audio: &Audio| audio.direction);
    let ours = OurOffer {
        direction: offered.reversed().and(ours.direction),
        // RFC 5761 §5.1.1: never in an answer to an offer without.
        rtcp_mux: ours.rtcp_mux && audio.is_some_and(|audio| audio.rtcp_mux),
        ..ours.clone()
    };
    let protocol = audio.map(|audio| audio.protocol.as_str());
    let protocol = protocol.unwrap_or_else(|| local.keys.protocol());
    local.lines_like(offer, place, Line::Audio(protocol, &ours))
}

/// True if the line is the one that a session's media goes by.
fn is_in_use(media: &Media) -> bool {
    matches!(media, Media::Audio(_) | Media::Fax(_))
}

/// `PCMU/8000` or, with more than one channel, `opus/48000/2`.
fn rtpmap(payload: Payload) -> String {
    match payload {
        Payload::Codec(codec) if codec.channels() > 1 => {
            format!(
                "{}/{}/{}",
                codec.encoding_name(),
                codec.clock_rate(),
                codec.channels()
            )
        }
        Payload::Codec(codec) => format!("{}/{}", codec.encoding_name(), codec.clock_rate()),
        Payload::TelephoneEvent { clock_rate } => format!("telephone-event/{clock_rate}"),
        Payload::ComfortNoise => "CN/8000".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local() -> LocalMedia {
        LocalMedia {
            session_id: 42,
            version: 1,
            address: IpAddr::from([192, 0, 2, 1]),
            port: 20000,
            keys: OurKeys::default(),
        }
    }

    fn read(body: &str) -> Description {
        Description::parse(body.as_bytes()).expect("our own words parse")
    }

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        m=video 4000 RTP/AVP 31\r\nm=audio 49170 RTP/AVP 9 0 8 97\r\na=rtpmap:97 telephone-event/8000\r\n\
        a=fmtp:97 0-15\r\na=sendonly\r\nm=audio 49180 RTP/AVP 0\r\n";

    #[test]
    fn what_we_offer_reads_back() {
        let formats = formats_for(&[Codec::G722, Codec::Opus, Codec::Ulaw, Codec::Ilbc], true);
        let offer = OurOffer {
            formats: &formats,
            direction: Direction::SendRecv,
            ptime_ms: Some(20),
            rtcp_mux: true,
        };
        let description = read(&local().offer(&offer));
        let audio = description.audio().expect("has audio");
        assert_eq!(audio.formats, formats);
        assert_eq!(audio.rtp.to_string(), "192.0.2.1:20000");
        assert_eq!(audio.ptime_ms, Some(20));
        assert!(audio.rtcp_mux);
        let mut numbers: Vec<u8> = formats.iter().map(|format| format.payload_type).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), formats.len(), "no number twice");
    }

    #[test]
    fn an_answer_has_the_offers_lines_numbers_and_order() {
        let offer = read(OFFER);
        let audio = offer.audio().expect("has audio");
        let formats = common_formats(&audio.formats, &[Codec::Alaw, Codec::Ulaw], true);
        let ours = OurOffer {
            formats: &formats,
            direction: Direction::SendRecv,
            ptime_ms: Some(30),
            rtcp_mux: true,
        };
        let body = answer(&local(), &offer, &ours);
        assert!(body.contains("a=ptime:30\r\n"), "{body}");
        assert!(!body.contains("rtcp-mux"), "not offered: {body}");
        let lines: Vec<&str> = body.lines().filter(|line| line.starts_with("m=")).collect();
        assert_eq!(
            lines,
            [
                "m=video 0 RTP/AVP 31",
                "m=audio 20000 RTP/AVP 0 8 97",
                "m=audio 0 RTP/AVP 0"
            ]
        );
        assert!(body.contains("a=recvonly\r\n"), "{body}");
        assert!(body.contains("a=fmtp:97 0-15\r\n"), "{body}");
    }

    #[test]
    fn no_common_codec_leaves_nothing_even_with_common_events() {
        let offer = read(OFFER);
        let formats = &offer.audio().expect("has audio").formats;
        assert_eq!(common_formats(formats, &[Codec::G729], true), Vec::new());
        let events: Vec<Format> = formats_for(&[], true);
        assert_eq!(answered_formats(formats, &events), Vec::new());
    }

    #[test]
    fn payload_types_are_matched_by_what_they_carry() {
        let ours = formats_for(&[Codec::Ulaw, Codec::Alaw], true);
        let theirs = read(OFFER).audio().expect("has audio").formats.clone();
        assert_eq!(payload_pairs(&ours, &theirs), [(0, 0), (8, 8), (101, 97)]);
        assert_eq!(payload_pairs(&theirs, &ours), [(0, 0), (8, 8), (97, 101)]);
    }

    #[test]
    fn formats_that_differ_in_their_parameters_are_told_apart_by_their_numbers() {
        let amr = |payload_type, fmtp: &str| Format {
            payload_type,
            payload: Payload::Codec(Codec::from_name("amr").expect("known")),
            fmtp: Some(fmtp.to_owned()),
        };
        let offered = [amr(96, "octet-align=1"), amr(97, "mode-set=7")];
        assert_eq!(answered_formats(&offered, &offered[1..]), offered[1..]);
        assert_eq!(payload_pairs(&offered, &offered[1..]), [(97, 97)]);
        // A peer with numbers of its own.
        let own = [amr(104, "octet-align=1")];
        assert_eq!(payload_pairs(&own, &offered), [(104, 96)]);
    }

    #[test]
    fn directions_answer_each_other() {
        let all = [
            Direction::SendRecv,
            Direction::SendOnly,
            Direction::RecvOnly,
            Direction::Inactive,
        ];
        for offered in all {
            for ours in all {
                let answered = offered.reversed().and(ours);
                assert!(!answered.sends() || offered.receives());
                assert!(!answered.receives() || offered.sends());
            }
        }
    }

    #[test]
    fn a_re_offer_keeps_the_lines_of_the_session() {
        let session = read(OFFER);
        let formats = formats_for(&[Codec::Alaw], false);
        let offer = OurOffer {
            formats: &formats,
            direction: Direction::Inactive,
            ptime_ms: None,
            rtcp_mux: false,
        };
        let body = local().offer_like(&session, &offer);
        assert_eq!(
            body.lines().filter(|line| line.starts_with("m=")).count(),
            3
        );
        assert!(body.contains("a=inactive\r\n"));
    }

    fn media_lines(body: &str) -> Vec<&str> {
        body.lines().filter(|line| line.starts_with("m=")).collect()
    }

    #[test]
    fn a_fax_takes_the_place_of_the_audio_and_gives_it_back() {
        let session = read(OFFER);
        let attributes = [String::from("T38FaxVersion:0")];
        let fax = local().offer_fax_like(&session, &attributes);
        assert_eq!(
            media_lines(&fax),
            [
                "m=video 0 RTP/AVP 31",
                "m=image 20000 udptl t38",
                "m=audio 0 RTP/AVP 0"
            ]
        );
        let session = read(&fax);
        let read_back = session.fax().expect("has a fax");
        assert_eq!(read_back.attributes, attributes);
        assert_eq!(read_back.address.to_string(), "192.0.2.1:20000");
        let formats = formats_for(&[Codec::Alaw], false);
        let ours = OurOffer {
            formats: &formats,
            direction: Direction::SendRecv,
            ptime_ms: None,
            rtcp_mux: false,
        };
        let body = local().offer_like(&session, &ours);
        assert_eq!(
            media_lines(&body),
            [
                "m=video 0 RTP/AVP 31",
                "m=audio 20000 RTP/AVP 8",
                "m=audio 0 RTP/AVP 0"
            ]
        );
    }

    #[test]
    fn an_offer_of_audio_and_fax_is_answered_with_either() {
        let both = format!("{OFFER}m=image 6004 udptl t38\r\n");
        let offer = read(&both);
        let fax = local().answer_fax(&offer, &[]);
        let lines = media_lines(&fax);
        assert_eq!(lines[1], "m=audio 0 RTP/AVP 9");
        assert_eq!(lines[3], "m=image 20000 udptl t38");
        let ours = OurOffer {
            formats: &formats_for(&[Codec::Ulaw], false),
            direction: Direction::SendRecv,
            ptime_ms: None,
            rtcp_mux: false,
        };
        let audio = answer(&local(), &offer, &ours);
        let lines = media_lines(&audio);
        assert_eq!(lines[1], "m=audio 20000 RTP/AVP 0");
        assert_eq!(lines[3], "m=image 0 udptl t38");
    }

    #[test]
    fn keys_are_offered_and_one_is_answered() {
        use crate::rtp::srtp::{MasterKey, Suite};
        use crate::sdp::Crypto;
        let line = |(tag, suite): (u32, Suite)| Crypto {
            tag,
            key: MasterKey::new(suite, &vec![tag as u8; suite.material_len()]).expect("a key"),
        };
        let lines: Vec<Crypto> = (1..).zip(Suite::ALL).map(line).collect();
        let ours = |formats| OurOffer {
            formats,
            direction: Direction::SendRecv,
            ptime_ms: None,
            rtcp_mux: false,
        };
        let formats = formats_for(&[Codec::Ulaw], false);
        for (is_optional, protocol) in [(false, "RTP/SAVP"), (true, "RTP/AVP")] {
            let mut local = local();
            local.keys = OurKeys {
                lines: lines.clone(),
                is_optional,
            };
            let offer = read(&local.offer(&ours(&formats)));
            let audio = offer.audio().expect("has audio");
            assert_eq!(audio.protocol, protocol);
            assert_eq!(audio.crypto, lines);
            local.keys.lines = vec![lines[3]];
            let answer = read(&answer(&local, &offer, &ours(&formats)));
            let audio = answer.audio().expect("has audio");
            assert_eq!(audio.protocol, protocol);
            assert_eq!(audio.crypto, [lines[3]]);
        }
    }
}
