//! What control tells a worker.

use super::clip::{ClipHandle, PlayId, PlayMode};
use super::formats::LegFormats;
use super::ids::LegId;
use super::recording::{RecordId, RecordingSink};
pub use crate::codec::dtmf::Digit;
use crate::rtp::srtp::MasterKey;
use std::net::{IpAddr, SocketAddr};

/// One command. Commands for one leg are obeyed in their order; one for a leg that is closed, or of an older
/// generation, is ignored.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Bind the leg's two sockets and receive. Nothing passes before [`Command::SetRemote`].
    Open {
        /// The leg.
        leg: LegId,
        /// The local address to bind, the one that the SDP tells (or its inside, behind a NAT).
        bind: IpAddr,
    },
    /// Tells, or changes, where the leg's peer is. A change of address begins a new latch; our own port stays.
    SetRemote {
        /// The leg.
        leg: LegId,
        /// The peer.
        remote: Remote,
    },
    /// Tells, or changes, what the leg's peer may send and what it hears. Told before a bridge that depends on it.
    SetFormats {
        /// The leg.
        leg: LegId,
        /// Its formats: a box, since they would make every command a kilobyte.
        formats: Box<LegFormats>,
    },
    /// Seals what is sent to the leg's peer and opens what it sends (SRTP), or no longer. Other keys than before are
    /// those of a new exchange: what is on its way under the old ones is still taken.
    SetCrypto {
        /// The leg.
        leg: LegId,
        /// Both directions' keys; None for plain RTP.
        crypto: Option<LegCrypto>,
    },
    /// Joins two legs of one worker: what comes in on one goes out on the other. Payload types that a map has pass as
    /// they are; audio of others is transcoded into the first codec that the far leg hears and we can code, if its
    /// formats were told. Replaces whatever either was doing before.
    Bridge {
        /// One leg.
        a: LegId,
        /// The other.
        b: LegId,
        /// Payload types of packets from `a` to `b`.
        a_to_b: PayloadMap,
        /// Payload types of packets from `b` to `a`.
        b_to_a: PayloadMap,
    },
    /// Sends what the leg's peer sends back to it (the Echo application).
    Echo {
        /// The leg.
        leg: LegId,
    },
    /// Plays a clip to the leg's peer, in place of what it would hear. Replaces what is played already, which is told
    /// by its own [`super::Event::Played`]. Needs formats with a codec that we can code, else it is over at once.
    Play {
        /// The leg.
        leg: LegId,
        /// Names this playing.
        play: PlayId,
        /// What.
        clip: ClipHandle,
        /// How often, from where.
        mode: PlayMode,
    },
    /// Stops what [`Command::Play`] began; the peer hears again what it would.
    StopPlay {
        /// The leg.
        leg: LegId,
    },
    /// Sends a digit to the leg's peer, after those that are still to be sent: as telephone events if it hears any,
    /// else as a tone in its audio. Beyond 32 that wait it is dropped.
    SendDigit {
        /// The leg.
        leg: LegId,
        /// Which.
        digit: Digit,
        /// How long, in milliseconds; 40 to 6,000.
        duration_ms: u16,
    },
    /// Whether digits of the leg's peer are told by [`super::Event::Digit`].
    Listen {
        /// The leg.
        leg: LegId,
        /// Which.
        listening: Listening,
    },
    /// Records the leg, beside all else that is done with it, until [`Command::StopRecord`] or its end. Replaces its
    /// recording of that number; beyond [`RECORDINGS_MAX`](super::recording::RECORDINGS_MAX) it ends at once.
    Record {
        /// The leg.
        leg: LegId,
        /// Which of its recordings.
        record: RecordId,
        /// Where the audio goes.
        sink: RecordingSink,
        /// Milliseconds of silence of the peer after which [`super::Event::Hushed`] is told, once; 0 for never.
        silence_ms: u32,
    },
    /// Ends a recording of the leg.
    StopRecord {
        /// The leg.
        leg: LegId,
        /// Which.
        record: RecordId,
    },
    /// Puts the leg into a room, where all hear all but themselves. A bridge that it was in ends for both. Rooms begin
    /// with their first leg and end with their last. In a room of [`RoomId::LEGS_MAX`] it is not taken in, and stands alone.
    Join {
        /// The leg.
        leg: LegId,
        /// The room, of the leg's worker.
        room: RoomId,
        /// The others hear it.
        talks: bool,
        /// It hears the others.
        hears: bool,
    },
    /// The leg stands alone: what comes is counted and goes nowhere. A bridge that it was in ends for both.
    Detach {
        /// The leg.
        leg: LegId,
    },
    /// Close the sockets, free everything, answer with [`super::Event::Closed`].
    Close {
        /// The leg.
        leg: LegId,
    },
    /// Close all legs and end the worker's thread.
    Stop,
}

impl Command {
    /// The leg that it is about; None for [`Command::Stop`]. A bridge is about its first.
    pub fn leg(&self) -> Option<LegId> {
        match self {
            Command::Open { leg, .. }
            | Command::SetRemote { leg, .. }
            | Command::SetFormats { leg, .. }
            | Command::SetCrypto { leg, .. }
            | Command::Bridge { a: leg, .. }
            | Command::Echo { leg }
            | Command::Play { leg, .. }
            | Command::StopPlay { leg }
            | Command::SendDigit { leg, .. }
            | Command::Listen { leg, .. }
            | Command::Record { leg, .. }
            | Command::StopRecord { leg, .. }
            | Command::Join { leg, .. }
            | Command::Detach { leg }
            | Command::Close { leg } => Some(*leg),
            Command::Stop => None,
        }
    }
}

/// The keys of a leg with SRTP, as the two descriptions gave them (RFC 4568). Printed, they show their suites alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegCrypto {
    /// What the peer seals with.
    pub receive: MasterKey,
    /// What we seal with.
    pub send: MasterKey,
}

/// A room of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomId(pub u32);

impl RoomId {
    /// Most legs of a room.
    pub const LEGS_MAX: usize = 64;
}

/// Which digits of a leg's peer are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// None.
    Off,
    /// Telephone events (RFC 4733). They pass as well, where the far side hears any.
    Events,
    /// Tones in the audio. From its detection on a tone does not pass.
    Tones,
}

/// What passes between a leg and its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// RTP and RTCP.
    Rtp,
    /// Datagrams that are not ours to read (a fax by T.38 over UDPTL): a bridge passes them as they are to a far leg that
    /// carries such, too, and drops them otherwise.
    Datagrams,
}

/// The far side of a leg, as its SDP and its signalling tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where the SDP wants RTP.
    pub rtp: SocketAddr,
    /// Where it wants RTCP: the next port, what a=rtcp says (RFC 3605), or where it wants RTP (a=rtcp-mux, RFC 5761).
    pub rtcp: SocketAddr,
    /// What it sends and hears.
    pub carries: Carries,
    /// Where the leg's SIP came from: besides the SDP's, the only address that may begin a stream.
    pub signalling: IpAddr,
    /// Send to where the peer's packets come from, not to where its SDP says (`rtp_symmetric`).
    pub symmetric: bool,
    /// We may send to it (its direction is sendrecv or recvonly, and its address is not 0.0.0.0).
    pub send: bool,
    /// It may send to us. False on hold; then no silence is held against it.
    pub receive: bool,
    /// Seconds without RTP from the peer before [`super::Event::Silent`]; 0 for never.
    pub timeout_s: u16,
}

/// Payload types that pass, and what they become. The two sides may number one codec differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadMap {
    pairs: [(u8, u8); PayloadMap::PAIRS_MAX],
    len: u8,
}

impl PayloadMap {
    /// Most payload types of one leg that pass: every codec we know and the telephone events beside them.
    pub const PAIRS_MAX: usize = 12;

    /// The map of these (from, to) pairs. None if there are too many, or one is above 127.
    pub fn new(pairs: &[(u8, u8)]) -> Option<PayloadMap> {
        if pairs.len() > Self::PAIRS_MAX || pairs.iter().any(|(from, to)| *from > 127 || *to > 127)
        {
            return None;
        }
        let mut map = PayloadMap {
            pairs: [(0, 0); Self::PAIRS_MAX],
            len: pairs.len() as u8,
        };
        map.pairs[..pairs.len()].copy_from_slice(pairs);
        Some(map)
    }

    /// What a payload type becomes; None if it does not pass.
    #[inline]
    pub fn get(&self, from: u8) -> Option<u8> {
        let pair = self.pairs().iter().find(|pair| pair.0 == from)?;
        Some(pair.1)
    }

    /// The pairs.
    pub fn pairs(&self) -> &[(u8, u8)] {
        &self.pairs[..usize::from(self.len)]
    }
}
