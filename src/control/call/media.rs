//! One leg's media: its port, what we told its peer, what the peer told us.
//!
//! The peer numbers payloads by *our* description when it sends to us, and we by *its* when we send to it
//! (RFC 3264 §5.1), so both lists are kept, and a bridge maps one leg's `ours` to the other's `theirs`.

use super::encryption::{Keys, Secrecy};
use super::negotiation;
use super::player::Player;
use super::{CallKey, LegNo};
use crate::codec::{Codec, Payload};
use crate::config::settings::Secret;
use crate::control::context::Context;
use crate::control::path::Path;
use crate::control::ports::NoPorts;
use crate::link::formats::{PTIME_DEFAULT_MS, PTIME_MAX_MS, PTIME_MIN_MS};
use crate::link::{
    Command, FormatList, LegCrypto, LegFormats, LegId, LegReport, PayloadMap, Rate, Remote,
    WireFormat, WorkerId,
};
use crate::sdp::{
    Audio, Description, Direction, Format, LocalMedia, OurKeys, OurOffer, answer, answered_formats,
    payload_pairs,
};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Both sides' descriptions have no codec in common, or no way to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no common codec")]
pub struct NotAcceptable;

/// See the module's comment.
#[derive(Debug)]
pub struct LegMedia {
    /// The port pair's lease.
    pub leg: LegId,
    worker: WorkerId,
    local: LocalMedia,
    agreed: Option<Agreed>,
    /// Our last offer. It may have keys in it.
    offered: Secret,
    /// Where it says that the peer is to send: None for our port.
    offered_aim: Option<SocketAddr>,
    /// Where our next description says so.
    aim: Option<SocketAddr>,
    told: Option<Remote>,
    told_formats: Option<LegFormats>,
    told_crypto: Option<LegCrypto>,
    keys: Keys,
    /// What was agreed was agreed for another far side: it is to be offered anew.
    must_renew: bool,
    /// Where the peer's media comes from, once it has come.
    pub latched: Option<SocketAddr>,
    /// What its worker reported last.
    pub reported: LegReport,
    /// What the peer is played of our own.
    pub(super) player: Player,
}

/// The outcome of the last exchange.
#[derive(Debug)]
struct Agreed {
    remote: Description,
    ours: Vec<Format>,
    theirs: Vec<Format>,
    direction: Direction,
    /// None for plain RTP.
    crypto: Option<LegCrypto>,
    /// The packet time that we asked for.
    asked_ptime_ms: Option<u32>,
    /// Our words. They may have keys in them.
    said: Secret,
    /// They were an answer: a 200 repeats what its 183 said.
    is_answer: bool,
    /// Where they send the peer's media: None for our port.
    aim: Option<SocketAddr>,
}

/// What we offer or answer.
#[derive(Clone, Debug)]
pub struct Offered {
    /// Its formats.
    pub formats: Vec<Format>,
    /// Its direction.
    pub direction: Direction,
    /// The packet time that we ask for, in milliseconds: the one that the far side asks for, as packets that are relayed pass
    /// as they are.
    pub ptime_ms: Option<u32>,
}

/// What a leg's Remote needs besides its session description.
#[derive(Clone, Copy, Debug)]
pub struct RemoteTerms {
    /// Where the leg's SIP comes from.
    pub signalling: IpAddr,
    /// `rtp_symmetric` of its endpoint.
    pub symmetric: bool,
    /// Silence that ends the call; zero for never.
    pub timeout: Duration,
}

impl LegMedia {
    /// Leases a port pair of this worker and opens it.
    ///
    /// # Errors
    /// [`NoPorts`] if none is free.
    pub fn open(
        ctx: &mut Context,
        now: Instant,
        worker: WorkerId,
        owner: (CallKey, LegNo),
        path: &Path,
        secrecy: Secrecy,
    ) -> Result<LegMedia, NoPorts> {
        let leg = ctx.ports.lease(now, worker)?;
        ctx.media_owners.insert(leg, owner);
        let bind = path.media_bind;
        ctx.command(worker, Command::Open { leg, bind });
        Ok(LegMedia {
            leg,
            worker,
            local: LocalMedia {
                // Below 2^62, as many peers read it into a signed number (RFC 8866 §5.2 wants digits only).
                session_id: ctx.rng.u64(1..1 << 62),
                version: 0,
                address: path.media_address,
                port: leg.port.rtp(),
                keys: OurKeys::default(),
            },
            keys: Keys::new(ctx, secrecy),
            agreed: None,
            offered: Secret(String::new()),
            offered_aim: None,
            aim: None,
            told: None,
            told_formats: None,
            told_crypto: None,
            must_renew: false,
            latched: None,
            reported: LegReport::default(),
            player: Player::default(),
        })
    }

    /// The worker that has the leg.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// The rate of what we code for the peer.
    pub fn rate(&self) -> Rate {
        let coded = self
            .formats()
            .iter()
            .find_map(|format| match format.payload {
                Payload::Codec(codec) if codec.is_transcoded() => Some(codec),
                _ => None,
            });
        match coded {
            Some(Codec::G722) => Rate::Wide,
            _ => Rate::Narrow,
        }
    }

    /// True once both sides have described themselves.
    pub fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// What the peer described last. None before the first exchange is over.
    pub fn remote(&self) -> Option<&Description> {
        self.agreed.as_ref().map(|agreed| &agreed.remote)
    }

    /// The packet time that the peer would like to receive, in milliseconds, if it says so.
    pub fn ptime_ms(&self) -> Option<u32> {
        self.remote()?.audio()?.ptime_ms
    }

    /// The formats agreed, with the peer's numbers. Empty before the first exchange is over.
    pub fn formats(&self) -> &[Format] {
        self.agreed.as_ref().map_or(&[], |agreed| &agreed.theirs)
    }

    /// Refuses the lines of the peer's offer that may not be agreed on, encrypted or not as they are.
    pub fn keep_audio_of(&self, offer: &mut Description) {
        let secrecy = self.keys.secrecy();
        offer.keep_audio(|audio| secrecy.takes(audio));
    }

    /// Writes an offer. It holds only when [`LegMedia::accept_answer`] has taken the answer.
    pub fn offer(&mut self, offered: &Offered) -> String {
        self.local.version += 1;
        let offer = OurOffer {
            formats: &offered.formats,
            direction: offered.direction,
            ptime_ms: offered.ptime_ms,
        };
        self.local.keys = match &self.agreed {
            Some(agreed) => self.keys.later_offer(agreed.crypto),
            None => self.keys.first_offer(),
        };
        let local = self.described();
        self.offered = Secret(match &self.agreed {
            Some(agreed) => local.offer_like(&agreed.remote, &offer),
            None => local.offer(&offer),
        });
        self.offered_aim = self.aim;
        self.offered.0.clone()
    }

    /// Takes the peer's answer to an offer of ours.
    ///
    /// # Errors
    /// It accepts no codec or no key, or gives an address of the other family; what was agreed before stands.
    pub fn accept_answer(
        &mut self,
        offered: &Offered,
        answer: Description,
    ) -> Result<(), NotAcceptable> {
        let audio = answer.audio().ok_or(NotAcceptable)?;
        self.check_family(audio.rtp.ip())?;
        let ours = answered_formats(&offered.formats, &audio.formats);
        let theirs = answered_formats(&audio.formats, &ours);
        if ours.is_empty() {
            return Err(NotAcceptable);
        }
        let crypto = self.keys.accept_answer(audio)?;
        self.must_renew = false;
        self.agreed = Some(Agreed {
            remote: answer,
            ours,
            theirs,
            direction: offered.direction,
            crypto,
            asked_ptime_ms: offered.ptime_ms,
            said: self.offered.clone(),
            is_answer: false,
            aim: self.offered_aim,
        });
        Ok(())
    }

    /// Writes the answer to the peer's offer, with the offer's numbers.
    ///
    /// # Errors
    /// There is no format, its keys are none that may be used, or its address is of the other family; what was agreed
    /// before stands.
    pub fn answer(&mut self, offer: &Description, terms: Offered) -> Result<String, NotAcceptable> {
        let audio = offer.audio().ok_or(NotAcceptable)?;
        self.check_family(audio.rtp.ip())?;
        let Offered {
            formats,
            direction,
            ptime_ms,
        } = terms;
        if formats.is_empty() {
            return Err(NotAcceptable);
        }
        let in_use = self.agreed.as_ref().and_then(|agreed| agreed.crypto);
        let (keys, crypto) = self.keys.answer(audio, in_use)?;
        self.local.keys = keys;
        let direction = audio.direction.reversed().and(direction);
        self.local.version += 1;
        let ours = OurOffer {
            formats: &formats,
            direction,
            ptime_ms,
        };
        let body = answer(&self.described(), offer, &ours);
        self.agreed = Some(Agreed {
            remote: offer.clone(),
            theirs: formats.clone(),
            ours: formats,
            direction,
            crypto,
            asked_ptime_ms: ptime_ms,
            said: Secret(body.clone()),
            is_answer: true,
            aim: self.aim,
        });
        Ok(body)
    }

    /// The answer that stands, to be said again.
    pub fn standing_answer(&self) -> Option<&str> {
        let agreed = self.agreed.as_ref().filter(|agreed| agreed.is_answer)?;
        Some(&agreed.said.0)
    }

    /// What we said last, word for word, to be said again as an offer: the same version, since nothing has changed
    /// (RFC 3264 §8). None before the first exchange is over.
    pub fn offer_again(&mut self) -> Option<(String, Offered)> {
        let terms = self.our_terms()?;
        let agreed = self.agreed.as_ref()?;
        self.offered.clone_from(&agreed.said);
        self.offered_aim = agreed.aim;
        Some((self.offered.0.clone(), terms))
    }

    /// What we are bound to by the last exchange. None before the first is over.
    pub fn our_terms(&self) -> Option<Offered> {
        let agreed = self.agreed.as_ref()?;
        Some(Offered {
            formats: agreed.ours.clone(),
            direction: agreed.direction,
            ptime_ms: agreed.asked_ptime_ms,
        })
    }

    fn check_family(&self, peer: IpAddr) -> Result<(), NotAcceptable> {
        if peer.is_ipv4() == self.local.address.is_ipv4() {
            Ok(())
        } else {
            Err(NotAcceptable)
        }
    }

    /// The direction that the peer is in: what it said, as far as we said so too, from its view.
    pub fn peer_direction(&self) -> Direction {
        let Some(agreed) = &self.agreed else {
            return Direction::SendRecv;
        };
        let stated = agreed.remote.audio().map(|audio| audio.direction);
        stated
            .unwrap_or(Direction::Inactive)
            .and(agreed.direction.reversed())
    }

    /// The far side has gone: where it had put the peer on hold, that no longer holds.
    pub fn part(&mut self) {
        let direction = self.agreed.as_ref().map(|agreed| agreed.direction);
        let was_held = direction.is_some_and(|direction| direction != Direction::SendRecv);
        self.must_renew |= was_held || self.is_direct();
        self.aim = None;
    }

    /// The next description tells the peer to send its media there; None for our port.
    pub fn aim(&mut self, at: Option<SocketAddr>) {
        self.aim = at;
    }

    /// The next description sends the peer's media where the last one did.
    pub fn keep_aim(&mut self) {
        self.aim = self.agreed.as_ref().and_then(|agreed| agreed.aim);
    }

    /// True if the peer sends its media where it is to.
    pub fn is_aimed(&self) -> bool {
        self.agreed
            .as_ref()
            .is_none_or(|agreed| agreed.aim == self.aim)
    }

    /// True if the peer sends its media past us.
    pub fn is_direct(&self) -> bool {
        self.agreed
            .as_ref()
            .is_some_and(|agreed| agreed.aim.is_some())
    }

    /// Where the peer hears, if anybody may send there: it is not on hold, has its RTCP beside its RTP (we can say no
    /// other), its own media, if it came, came from there, and nobody needs our keys to understand it.
    pub fn open_address(&self) -> Option<SocketAddr> {
        let agreed = self.agreed.as_ref()?;
        let audio = agreed.remote.audio()?;
        let port = audio.rtp.port();
        let is_open = agreed.crypto.is_none()
            && self.peer_direction() == Direction::SendRecv
            && !audio.rtp.ip().is_unspecified()
            && audio.rtcp.ip() == audio.rtp.ip()
            && Some(audio.rtcp.port()) == port.checked_add(1)
            && self.latched.is_none_or(|source| source == audio.rtp);
        is_open.then_some(audio.rtp)
    }

    /// True if the two peers may send to each other, by the numbers that they send to us: codecs that one of them does not
    /// have are left out of what they are offered then.
    pub fn speak_alike(a: &LegMedia, b: &LegMedia) -> bool {
        let (Some(of_a), Some(of_b)) = (&a.agreed, &b.agreed) else {
            return false;
        };
        negotiation::is_spoken(&of_a.ours, &of_b.theirs)
            && negotiation::is_spoken(&of_b.ours, &of_a.theirs)
    }

    /// What we say of our media, with the address that the peer is to send to.
    fn described(&self) -> LocalMedia {
        let at = self.aim.map(|at| (at.ip(), at.port()));
        let (address, port) = at.unwrap_or((self.local.address, self.local.port));
        LocalMedia {
            address,
            port,
            ..self.local.clone()
        }
    }

    /// There is a far side that the peer knows nothing of.
    pub fn renew(&mut self) {
        self.must_renew = true;
    }

    /// True until the peer has answered an offer for its new far side.
    pub fn must_renew(&self) -> bool {
        self.must_renew
    }

    /// The direction that the peer is to be offered to the far side with: both ways, if nothing holds yet.
    pub fn wanted_direction(&self) -> Direction {
        if self.must_renew {
            Direction::SendRecv
        } else {
            self.peer_direction()
        }
    }

    /// Leaves its port for one of another worker; the next offer tells it.
    ///
    /// # Errors
    /// [`NoPorts`] if none is free; the old one is kept.
    pub fn move_to(
        &mut self,
        ctx: &mut Context,
        now: Instant,
        worker: WorkerId,
        owner: (CallKey, LegNo),
        path: &Path,
    ) -> Result<(), NoPorts> {
        let leg = ctx.ports.lease(now, worker)?;
        // Nobody waits for the old one to be closed.
        ctx.media_owners.remove(&self.leg);
        self.close(ctx);
        ctx.media_owners.insert(leg, owner);
        let bind = path.media_bind;
        ctx.command(worker, Command::Open { leg, bind });
        (self.leg, self.worker) = (leg, worker);
        self.local.port = leg.port.rtp();
        self.player = Player::default();
        (self.told, self.told_formats, self.latched) = (None, None, None);
        self.told_crypto = None;
        if let Some(agreed) = &mut self.agreed {
            self.keys.change(ctx, &mut agreed.crypto);
        }
        self.must_renew = true;
        Ok(())
    }

    /// Tells the worker where the peer is and what it speaks, as far as that has changed.
    pub fn tell(&mut self, ctx: &mut Context, terms: RemoteTerms) {
        self.tell_crypto(ctx);
        self.tell_remote(ctx, terms);
        let formats = self.agreed.as_ref().map(Agreed::wire_formats);
        if let Some(formats) = formats
            && self.told_formats.replace(formats) != Some(formats)
        {
            let leg = self.leg;
            ctx.command(self.worker, Command::SetFormats { leg, formats });
        }
    }

    /// Before the worker learns where to send, so that nothing goes there in the clear.
    fn tell_crypto(&mut self, ctx: &mut Context) {
        let crypto = self.agreed.as_ref().and_then(|agreed| agreed.crypto);
        if self.told_crypto != crypto {
            self.told_crypto = crypto;
            let leg = self.leg;
            ctx.command(self.worker, Command::SetCrypto { leg, crypto });
        }
    }

    fn tell_remote(&mut self, ctx: &mut Context, terms: RemoteTerms) {
        let Some(audio) = self
            .agreed
            .as_ref()
            .and_then(|agreed| agreed.remote.audio())
        else {
            return;
        };
        let peer = self.peer_direction();
        let timeout_s = u16::try_from(terms.timeout.as_secs()).unwrap_or(u16::MAX);
        let remote = Remote {
            rtp: audio.rtp,
            rtcp: audio.rtcp,
            signalling: terms.signalling,
            symmetric: terms.symmetric,
            send: peer.receives() && !audio.rtp.ip().is_unspecified(),
            receive: peer.sends(),
            // On hold the held side may send music or nothing, so no silence is held against either.
            // Nor if it sends past us.
            timeout_s: if peer == Direction::SendRecv && !self.is_direct() {
                timeout_s
            } else {
                0
            },
        };
        if self.told.replace(remote) != Some(remote) {
            let leg = self.leg;
            ctx.command(self.worker, Command::SetRemote { leg, remote });
        }
    }

    /// The command that joins two legs. None before both have agreed with their peers.
    pub fn bridge(a: &LegMedia, b: &LegMedia) -> Option<Command> {
        let (of_a, of_b) = (a.agreed.as_ref()?, b.agreed.as_ref()?);
        Some(Command::Bridge {
            a: a.leg,
            b: b.leg,
            a_to_b: payload_map(&of_a.ours, &of_b.theirs),
            b_to_a: payload_map(&of_b.ours, &of_a.theirs),
        })
    }

    /// Gives the port pair back.
    pub fn close(&self, ctx: &mut Context) {
        ctx.command(self.worker, Command::Close { leg: self.leg });
    }
}

impl Agreed {
    fn wire_formats(&self) -> LegFormats {
        let list = |formats: &[Format]| {
            FormatList::new(formats.iter().map(|format| WireFormat {
                payload_type: format.payload_type,
                payload: format.payload,
            }))
        };
        LegFormats {
            receive: list(&self.ours),
            send: list(&self.theirs),
            ptime_ms: self.remote.audio().map_or(PTIME_DEFAULT_MS, packet_time_ms),
        }
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

fn payload_map(from: &[Format], to: &[Format]) -> PayloadMap {
    let mut pairs = payload_pairs(from, to);
    pairs.truncate(PayloadMap::PAIRS_MAX);
    PayloadMap::new(&pairs).expect("at most PAIRS_MAX pairs, of payload types below 128")
}

/// The formats with the numbers that the leg's session has for them already: within a session a number keeps its
/// meaning (RFC 3264 §8.3.2). One that is new keeps its own number, or gets a free one if that is taken.
pub fn renumbered(formats: Vec<Format>, media: &LegMedia) -> Vec<Format> {
    let known = media.agreed.as_ref().map_or(&[][..], |agreed| &agreed.ours);
    let mut renumbered: Vec<Format> = Vec::with_capacity(formats.len());
    for format in formats {
        let own = known.iter().find(|own| own.payload == format.payload);
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
