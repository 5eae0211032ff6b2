//! A peer's session description, as far as a media gateway needs it.
//!
//! [`super::lines`] has the grammar; here are the meanings: addresses, directions, payload formats, and which media
//! lines are audio that we could carry.

use super::crypto::Crypto;
use super::lines::{Lines, MediaLine, Section};
use crate::codec::Codec;
pub use crate::codec::Payload;
use std::net::{IpAddr, SocketAddr};

/// Longest body that is read, in bytes. An offer of a browser with dozens of codecs has under 8 KiB.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Most media lines of a body.
pub const MEDIA_MAX: usize = 16;
/// Most payload formats of a media line that are looked at; the rest is as if it were not there.
pub const FORMATS_MAX: usize = 64;
/// Most attributes of a fax that are looked at; T.38 has ten. The rest is as if it were not there.
pub const FAX_ATTRIBUTES_MAX: usize = 16;

/// The protocols of plain RTP, without and with early feedback (RFC 3551, RFC 4585).
const PLAIN: [&str; 2] = ["RTP/AVP", "RTP/AVPF"];
/// The same of SRTP (RFC 3711, RFC 5124).
const SECURE: [&str; 2] = ["RTP/SAVP", "RTP/SAVPF"];

/// What a peer described.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Session id and version of its `o=` line: the same version means that nothing changed (RFC 3264 §8).
    pub session: (String, u64),
    /// Its media lines, in order. An answer has one line for each (RFC 3264 §6).
    pub media: Vec<Media>,
}

/// One media line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// Audio over RTP or SRTP that is not switched off.
    Audio(Audio),
    /// A fax by T.38 over UDPTL that is not switched off.
    Fax(Fax),
    /// Anything else, or one of these with port 0: kept as it has to stand in the answer that refuses it.
    Other {
        /// `video`, `image`, `application` … or `audio`.
        kind: String,
        /// `RTP/AVP`, `udptl`, `UDP/TLS/RTP/SAVPF` …
        protocol: String,
        /// The formats, as written.
        formats: String,
    },
}

/// An audio line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// `RTP/AVP`, `RTP/AVPF`, or with keys `RTP/SAVP` or `RTP/SAVPF`; an answer repeats it.
    pub protocol: String,
    /// Its keys for SRTP, in order of its preference. Beside `RTP/AVP` they say that it could, as some phones write it.
    pub crypto: Vec<Crypto>,
    /// Where it wants RTP.
    pub rtp: SocketAddr,
    /// Where it wants RTCP: what `a=rtcp` says (RFC 3605), else the next port.
    pub rtcp: SocketAddr,
    /// What it may do. `c=0.0.0.0`, the hold of RFC 2543, counts as [`Direction::SendOnly`] of the peer.
    pub direction: Direction,
    /// Payload formats that we know, in order of its preference.
    pub formats: Vec<Format>,
    /// Packet time in milliseconds that it would like to receive.
    pub ptime_ms: Option<u32>,
    /// Most milliseconds of audio that it takes in a packet (RFC 8866 §6.5).
    pub maxptime_ms: Option<u32>,
    /// Its RTCP may come and go by the port of its RTP (`a=rtcp-mux`, RFC 5761 §5.1.1).
    pub rtcp_mux: bool,
}

/// A fax line: `m=image 6004 udptl t38` (ITU-T T.38 annex D).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fax {
    /// Where it wants the fax.
    pub address: SocketAddr,
    /// What it may do.
    pub direction: Direction,
    /// The attributes that the two ends of the fax agree by, as written (`T38FaxVersion:0`).
    pub attributes: Vec<String>,
}

/// A payload type and what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// 0 to 127.
    pub payload_type: u8,
    /// What it carries.
    pub payload: Payload,
    /// The format's parameters (`a=fmtp`), as written.
    pub fmtp: Option<String>,
}

/// The direction attribute (RFC 8866 §6.7), from the view of who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Sends and receives.
    SendRecv,
    /// Sends only: it has put us on hold.
    SendOnly,
    /// Receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From what the writer sends and receives.
    pub fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// The writer sends.
    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// The writer receives.
    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same from the other side's view.
    pub fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    /// What both allow.
    pub fn and(self, other: Direction) -> Direction {
        Direction::new(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }

    /// The attribute's name.
    pub fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    fn of(section: Section) -> Option<Direction> {
        section.attributes().find_map(|(name, _)| match name {
            "sendrecv" => Some(Direction::SendRecv),
            "sendonly" => Some(Direction::SendOnly),
            "recvonly" => Some(Direction::RecvOnly),
            "inactive" => Some(Direction::Inactive),
            _ => None,
        })
    }
}

/// Why a body cannot be used: the peer's fault, answered 400 or 488.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Over [`BODY_BYTES_MAX`] or [`MEDIA_MAX`].
    #[error("session description too large")]
    TooLarge,
    /// Not SDP.
    #[error("session description: {0}")]
    Syntax(&'static str),
    /// An audio line whose address is missing, a host name, multicast or of no use.
    #[error("audio without an IP address to send to")]
    Address,
}

impl Description {
    /// Reads a body.
    ///
    /// # Errors
    /// See [`SdpError`].
    pub fn parse(body: &[u8]) -> Result<Description, SdpError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(SdpError::TooLarge);
        }
        // A session's name may be in any character set, and nobody reads it.
        let text = String::from_utf8_lossy(body);
        let lines = Lines::read(&text).map_err(SdpError::Syntax)?;
        let session = lines.session();
        let (id, version) = session.origin().ok_or(SdpError::Syntax("its o= line"))?;
        if lines.media().count() > MEDIA_MAX {
            return Err(SdpError::TooLarge);
        }
        let media = lines
            .media()
            .map(|section| Media::read(session, section))
            .collect::<Result<_, _>>()?;
        Ok(Description {
            session: (id.to_owned(), version),
            media,
        })
    }

    /// Makes audio lines that are not wanted such as are refused.
    pub fn keep_audio(&mut self, is_wanted: impl Fn(&Audio) -> bool) {
        for media in &mut self.media {
            let Media::Audio(audio) = media else {
                continue;
            };
            if is_wanted(audio) {
                continue;
            }
            let numbers = audio.formats.iter().map(|format| format.payload_type);
            *media = Media::Other {
                kind: "audio".to_owned(),
                protocol: audio.protocol.clone(),
                formats: numbers.max().unwrap_or(0).to_string(),
            };
        }
    }

    /// The first audio line that could be carried.
    pub fn audio(&self) -> Option<&Audio> {
        self.media.iter().find_map(|media| match media {
            Media::Audio(audio) => Some(audio),
            _ => None,
        })
    }

    /// The first fax line.
    pub fn fax(&self) -> Option<&Fax> {
        self.media.iter().find_map(|media| match media {
            Media::Fax(fax) => Some(fax),
            _ => None,
        })
    }
}

impl Audio {
    /// True if it may be SRTP alone (RFC 3711 §12).
    pub fn is_secure(&self) -> bool {
        SECURE.iter().any(|name| is_named(&self.protocol, name))
    }
}

fn is_named(protocol: &str, name: &str) -> bool {
    protocol.eq_ignore_ascii_case(name)
}

impl Media {
    fn read(session: Section, section: Section) -> Result<Media, SdpError> {
        let line = section.media_line().ok_or(SdpError::Syntax("an m= line"))?;
        let mut rtp = PLAIN.iter().chain(&SECURE);
        let is_rtp = rtp.any(|name| is_named(line.protocol, name));
        let is_audio = line.kind.eq_ignore_ascii_case("audio") && is_rtp;
        if !(is_audio || line.is_fax()) || line.port == 0 {
            return Ok(Media::Other {
                kind: line.kind.to_owned(),
                protocol: line.protocol.to_owned(),
                formats: line.formats.to_owned(),
            });
        }
        // RFC 8866 §5.7: a media line's own c= is stronger than the session's.
        let connection = section
            .value('c')
            .or(session.value('c'))
            .ok_or(SdpError::Address)?;
        let address = unicast_address(connection)?;
        let rtp = SocketAddr::new(address, line.port);
        let stated = Direction::of(section).or_else(|| Direction::of(session));
        let direction = stated.unwrap_or(Direction::SendRecv);
        if line.is_fax() {
            return Ok(Media::Fax(Fax {
                address: rtp,
                direction,
                attributes: fax_attributes(section),
            }));
        }
        Ok(Media::Audio(Audio {
            protocol: line.protocol.to_owned(),
            crypto: Crypto::read_all(section),
            rtp,
            rtcp: rtcp_address(section, rtp),
            // RFC 3264 §8.4: an unspecified address means that nothing is to be sent there.
            direction: if address.is_unspecified() {
                Direction::new(direction.sends(), false)
            } else {
                direction
            },
            formats: read_formats(line, section),
            ptime_ms: milliseconds(section, "ptime"),
            maxptime_ms: milliseconds(section, "maxptime"),
            rtcp_mux: section.has("rtcp-mux"),
        }))
    }
}

impl MediaLine<'_> {
    fn is_fax(&self) -> bool {
        self.kind.eq_ignore_ascii_case("image")
            && self.protocol.eq_ignore_ascii_case("udptl")
            && self.formats.trim().eq_ignore_ascii_case("t38")
    }
}

/// `T38FaxVersion:0`, `T38MaxBitRate:14400` … in order (ITU-T T.38 table D.1).
fn fax_attributes(section: Section) -> Vec<String> {
    let is_its = |name: &str| {
        name.get(..3)
            .is_some_and(|start| start.eq_ignore_ascii_case("T38"))
    };
    let written = |(name, value): (&str, Option<&str>)| match value {
        Some(value) => format!("{name}:{value}"),
        None => name.to_owned(),
    };
    let attributes = section.attributes().filter(|(name, _)| is_its(name));
    attributes.map(written).take(FAX_ATTRIBUTES_MAX).collect()
}

/// The value of an attribute that tells a packet time. None if it is missing, or is no time (zero, a fraction).
fn milliseconds(section: Section, name: &str) -> Option<u32> {
    let time = section.attribute(name)?.trim().parse().ok()?;
    (time > 0).then_some(time)
}

/// The address of a c= line. A host name is refused: looking up a name that a stranger wrote, for each call, is a tool
/// for others, and no trunk sends one.
fn unicast_address(connection: &str) -> Result<IpAddr, SdpError> {
    let mut words = connection.split_ascii_whitespace();
    let address = match (words.next(), words.next(), words.next()) {
        (Some("IN"), Some("IP4" | "IP6"), Some(address)) => address,
        _ => return Err(SdpError::Address),
    };
    // A multicast address may carry its TTL behind a slash.
    match address.split('/').next().map(str::parse::<IpAddr>) {
        Some(Ok(address)) if !address.is_multicast() => Ok(address.to_canonical()),
        _ => Err(SdpError::Address),
    }
}

/// `a=rtcp:port [IN IP4 address]` (RFC 3605 §2.1); without it, or where it makes no sense, the next port.
fn rtcp_address(section: Section, rtp: SocketAddr) -> SocketAddr {
    let next = SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1));
    let Some(text) = section.attribute("rtcp") else {
        return next;
    };
    let mut words = text.split_ascii_whitespace();
    let Some(port) = words
        .next()
        .and_then(|word| word.parse::<u16>().ok())
        .filter(|port| *port != 0)
    else {
        return next;
    };
    let address = words.nth(2).and_then(|word| word.parse::<IpAddr>().ok());
    SocketAddr::new(
        address.filter(|ip| !ip.is_multicast()).unwrap_or(rtp.ip()),
        port,
    )
}

/// The formats of an m= line that we know, in its order.
fn read_formats(line: MediaLine, section: Section) -> Vec<Format> {
    let mut formats: Vec<Format> = Vec::new();
    for word in line.formats.split_ascii_whitespace().take(FORMATS_MAX) {
        let Some(payload_type) = word.parse::<u8>().ok().filter(|number| *number < 128) else {
            continue;
        };
        if formats
            .iter()
            .any(|format| format.payload_type == payload_type)
        {
            continue;
        }
        if let Some(payload) = payload_of(section, payload_type) {
            let fmtp = numbered(section, "fmtp", payload_type).map(str::to_owned);
            formats.push(Format {
                payload_type,
                payload,
                fmtp,
            });
        }
    }
    formats
}

/// What a payload type carries: its rtpmap's word, else the static table of RFC 3551 §6.
fn payload_of(section: Section, payload_type: u8) -> Option<Payload> {
    let Some(rtpmap) = numbered(section, "rtpmap", payload_type) else {
        return static_payload(payload_type);
    };
    let mut parts = rtpmap.trim().split('/');
    let name = parts.next()?;
    let clock_rate: u32 = parts.next()?.trim().parse().ok()?;
    if name.eq_ignore_ascii_case("telephone-event") {
        return Some(Payload::TelephoneEvent { clock_rate });
    }
    if name.eq_ignore_ascii_case("CN") {
        return (clock_rate == 8000).then_some(Payload::ComfortNoise);
    }
    let channels = parts
        .next()
        .map_or(Some(1), |text| text.trim().parse().ok())?;
    Codec::from_rtpmap(name, clock_rate, channels).map(Payload::Codec)
}

fn static_payload(payload_type: u8) -> Option<Payload> {
    if payload_type == 13 {
        return Some(Payload::ComfortNoise);
    }
    Codec::from_static(payload_type).map(Payload::Codec)
}

/// The rest of `a=NAME:PT rest`.
fn numbered<'a>(section: Section<'a>, name: &str, payload_type: u8) -> Option<&'a str> {
    section
        .attributes()
        .filter(|(found, _)| found.eq_ignore_ascii_case(name))
        .find_map(|(_, value)| {
            let (number, rest) = value?.trim().split_once(' ')?;
            (number.parse() == Ok(payload_type)).then(|| rest.trim())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TRUNK: &str = "v=0\r\no=- 3848 7 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        m=audio 49170 RTP/AVP 8 0 18 101 13\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-16\r\na=fmtp:18 annexb=no\r\na=ptime:20\r\na=rtcp:50001\r\n";

    fn audio(body: &str) -> Audio {
        Description::parse(body.as_bytes())
            .expect("parses")
            .audio()
            .expect("has audio")
            .clone()
    }

    #[test]
    fn a_trunks_offer_is_understood() {
        let audio = audio(TRUNK);
        assert_eq!(audio.rtp, "198.51.100.7:49170".parse().expect("address"));
        assert_eq!(audio.rtcp, "198.51.100.7:50001".parse().expect("address"));
        assert_eq!(audio.direction, Direction::SendRecv);
        assert_eq!(audio.ptime_ms, Some(20));
        let seen: Vec<_> = audio
            .formats
            .iter()
            .map(|format| (format.payload_type, format.payload))
            .collect();
        let expected = [
            (8, Payload::Codec(Codec::Alaw)),
            (0, Payload::Codec(Codec::Ulaw)),
            (18, Payload::Codec(Codec::G729)),
            (101, Payload::TelephoneEvent { clock_rate: 8000 }),
            (13, Payload::ComfortNoise),
        ];
        assert_eq!(seen, expected);
        assert_eq!(audio.formats[2].fmtp.as_deref(), Some("annexb=no"));
    }

    #[test]
    fn hold_in_each_of_its_forms() {
        for (body, direction) in [
            (
                TRUNK.replace("a=ptime:20", "a=sendonly"),
                Direction::SendOnly,
            ),
            (
                TRUNK.replace("a=ptime:20", "a=inactive"),
                Direction::Inactive,
            ),
            (
                TRUNK.replace("s=-", "s=-\r\na=recvonly"),
                Direction::RecvOnly,
            ),
            (
                TRUNK.replace("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0"),
                Direction::SendOnly,
            ),
        ] {
            assert_eq!(audio(&body).direction, direction, "{body}");
        }
    }

    #[test]
    fn a_media_lines_own_address_wins_and_a_bad_one_is_refused() {
        let own = TRUNK.replace("a=ptime:20", "c=IN IP4 198.51.100.9");
        assert_eq!(
            audio(&own).rtp.ip(),
            "198.51.100.9".parse::<IpAddr>().expect("address")
        );
        for bad in ["c=IN IP4 media.example.com", "c=IN IP4 224.2.1.1/127"] {
            let body = TRUNK.replace("c=IN IP4 198.51.100.7", bad);
            assert_eq!(
                Description::parse(body.as_bytes()),
                Err(SdpError::Address),
                "{bad}"
            );
        }
        let none = TRUNK.replace("c=IN IP4 198.51.100.7\r\n", "");
        assert_eq!(Description::parse(none.as_bytes()), Err(SdpError::Address));
    }

    #[test]
    fn what_is_not_plain_audio_is_kept_for_its_refusal() {
        let body = format!(
            "{TRUNK}m=video 5000 RTP/AVP 31\r\nm=audio 0 RTP/AVP 0\r\nm=audio 7000 UDP/TLS/RTP/SAVPF 0\r\n"
        );
        let description = Description::parse(body.as_bytes()).expect("parses");
        assert_eq!(description.media.len(), 4);
        let refused = description
            .media
            .iter()
            .filter(|media| matches!(media, Media::Other { .. }))
            .count();
        assert_eq!(refused, 3);
    }

    #[test]
    fn a_fax_is_understood_with_its_own_attributes() {
        let fax = "m=image 6004 udptl t38\r\nc=IN IP4 198.51.100.8\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n\
            a=T38FaxTranscodingMMR\r\na=sendrecv\r\na=label:1\r\n";
        let description = Description::parse(format!("{TRUNK}{fax}").as_bytes()).expect("parses");
        assert!(description.audio().is_some());
        let read = description.fax().expect("has a fax");
        assert_eq!(read.address, "198.51.100.8:6004".parse().expect("address"));
        assert_eq!(
            read.attributes,
            [
                "T38FaxVersion:0",
                "T38MaxBitRate:14400",
                "T38FaxTranscodingMMR"
            ]
        );
        for other in [
            fax.replace("6004", "0"),
            fax.replace("udptl", "tcptl"),
            fax.replace("t38", "jpeg"),
        ] {
            let body = format!("{TRUNK}{other}");
            let description = Description::parse(body.as_bytes()).expect("parses");
            assert_eq!(description.fax(), None, "{other}");
        }
    }

    #[test]
    fn secure_audio_has_the_keys_that_can_be_used() {
        let key = "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20";
        let body = format!(
            "{TRUNK}a=crypto:1 AES_CM_128_HMAC_SHA1_80 {key}|1:4\r\na=crypto:2 F8_128_HMAC_SHA1_80 {key}\r\n\
             a=crypto:3 AES_CM_128_HMAC_SHA1_32 {key}\r\n"
        );
        let tags = |audio: &Audio| Vec::from_iter(audio.crypto.iter().map(|crypto| crypto.tag));
        let plain = audio(&body);
        assert_eq!((plain.is_secure(), tags(&plain)), (false, vec![3]));
        for protocol in ["RTP/SAVP", "rtp/savpf"] {
            let secure = audio(&body.replace("RTP/AVP", protocol));
            assert_eq!((secure.is_secure(), tags(&secure)), (true, vec![3]));
        }
    }

    #[test]
    fn one_port_for_both_is_understood() {
        assert!(!audio(TRUNK).rtcp_mux);
        assert!(audio(&TRUNK.replace("a=rtcp:50001", "a=rtcp-mux")).rtcp_mux);
    }

    #[test]
    fn audio_that_is_not_wanted_is_refused_in_its_place() {
        let body = format!(
            "{}m=audio 7000 RTP/AVP 0\r\n",
            TRUNK.replace("RTP/AVP", "RTP/SAVP")
        );
        let mut description = Description::parse(body.as_bytes()).expect("parses");
        description.keep_audio(|audio| !audio.is_secure());
        assert_eq!(description.media.len(), 2);
        assert_eq!(
            description.audio().map(|audio| audio.rtp.port()),
            Some(7000)
        );
        assert!(
            matches!(&description.media[0], Media::Other { kind, protocol, .. } if kind == "audio" && protocol == "RTP/SAVP")
        );
    }

    #[test]
    fn limits_hold() {
        let long = format!("{TRUNK}a={}\r\n", "x".repeat(BODY_BYTES_MAX));
        assert_eq!(Description::parse(long.as_bytes()), Err(SdpError::TooLarge));
        let many = TRUNK.to_owned() + &"m=audio 1 RTP/AVP 0\r\n".repeat(MEDIA_MAX);
        assert_eq!(Description::parse(many.as_bytes()), Err(SdpError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_body_panics(mut body in Just(TRUNK.as_bytes().to_vec()), at in 0..300usize, byte: u8, cut in 0..300usize) {
            let length = body.len();
            body[at % length] = byte;
            body.truncate(length - cut % length);
            let _ = Description::parse(&body);
        }

        /// Where another reader understands a body too, both see the same.
        #[test]
        fn another_reader_agrees(mut body in Just(TRUNK.as_bytes().to_vec()), at in 0..300usize, byte in 32..127u8) {
            let length = body.len();
            body[at % length] = byte;
            if let (Ok(ours), Ok(theirs)) = (Description::parse(&body), sdp_types::Session::parse(&body)) {
                prop_assert_eq!(&ours.session.0, &theirs.origin.sess_id);
                prop_assert_eq!(ours.session.1, theirs.origin.sess_version);
                prop_assert_eq!(ours.media.len(), theirs.medias.len());
                if let Some(audio) = ours.audio() {
                    prop_assert_eq!(audio.rtp.port(), theirs.medias[0].port);
                    prop_assert_eq!(&audio.protocol, &theirs.medias[0].proto);
                }
            }
        }
    }
}
