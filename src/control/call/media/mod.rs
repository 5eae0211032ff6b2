//! One leg's media: its port, what we told its peer, what the peer told us.
//!
//! The peer numbers payloads by *our* description when it sends to us, and we by *its* when we send to it
//! (RFC 3264 §5.1), so both lists are kept, and a bridge maps one leg's `ours` to the other's `theirs`.
//!
//! | file | concept |
//! |---|---|
//! | `agreed` | the outcome of an exchange |
//! | `telling` | what the leg's worker is told of it |
//! | `negotiation` | which codecs, telephone events and comfort noise each side is offered and answered |
//! | `renewal` | whether it is to be offered anew, to another far side |
//! | `encryption` | SRTP and its keys |

mod agreed;
pub mod encryption;
pub(super) mod negotiation;
mod renewal;
mod telling;

pub use agreed::{AudioTerms, Offered, renumbered};
pub use telling::RemoteTerms;

use agreed::Agreed;
use encryption::{Keys, Secrecy};

use super::application::player::Player;
use super::application::recording::Monitored;
use super::{CallKey, LegNo};
use crate::codec::{Codec, Payload};
use crate::config::settings::{Endpoint, Secret};
use crate::control::context::Context;
use crate::control::locate::path::Path;
use crate::control::ports::NoPorts;
use crate::link::{
    Command, LegCrypto, LegFormats, LegId, LegReport, Listening, Rate, Remote, WorkerId,
};
use crate::sdp::{
    Description, Direction, Fax, Format, LocalMedia, OurKeys, OurOffer, answer, answered_formats,
};
use renewal::Renewal;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Both sides' descriptions have no codec in common, or no way to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no common codec")]
pub struct NotAcceptable;

/// See the module's comment.
#[derive(Debug)]
pub struct LegMedia {
    /// The port pair's lease.
    pub leg: LegId,
    /// `rtcp_mux` of its endpoint: offered, and not only answered.
    offers_mux: bool,
    /// `use_ptime` of its endpoint: the peer gets the packet time that it asks for, also where packets could pass as they are.
    wants_ptime: bool,
    worker: WorkerId,
    local: LocalMedia,
    agreed: Option<Agreed>,
    /// Our last offer. It may have keys in it.
    offered: Secret,
    /// Where it says that the peer is to send: None for our port.
    offered_aim: Option<SocketAddr>,
    /// Where our next description says so.
    aim: Option<SocketAddr>,
    pub(super) told: Option<Remote>,
    pub(super) told_formats: Option<LegFormats>,
    /// Which digits of the peer the worker tells.
    pub(super) told_listening: Listening,
    pub(super) told_crypto: Option<LegCrypto>,
    keys: Keys,
    pub(super) renewal: Renewal,
    /// Where the peer's media comes from, once it has come.
    pub latched: Option<SocketAddr>,
    /// What its worker reported last.
    pub reported: LegReport,
    /// What the peer is played of our own.
    pub(super) player: Player,
    /// What MixMonitor records of it.
    pub(super) monitored: Vec<Monitored>,
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
        (path, endpoint): (&Path, &Endpoint),
    ) -> Result<LegMedia, NoPorts> {
        let leg = ctx.ports.lease(now, worker)?;
        ctx.media_owners.insert(leg, owner);
        let bind = path.media_bind;
        ctx.command(worker, Command::Open { leg, bind });
        Ok(LegMedia {
            leg,
            offers_mux: endpoint.rtcp_mux,
            wants_ptime: endpoint.use_ptime,
            worker,
            local: LocalMedia {
                // Below 2^62, as many peers read it into a signed number (RFC 8866 §5.2 wants digits only).
                session_id: ctx.rng.u64(1..1 << 62),
                version: 0,
                address: path.media_address,
                port: leg.port.rtp(),
                keys: OurKeys::default(),
            },
            keys: Keys::new(ctx, Secrecy::of(endpoint, path)),
            agreed: None,
            offered: Secret(String::new()),
            offered_aim: None,
            aim: None,
            told: None,
            told_formats: None,
            told_listening: Listening::Off,
            told_crypto: None,
            renewal: Renewal::Settled,
            latched: None,
            reported: LegReport::default(),
            player: Player::default(),
            monitored: Vec::new(),
        })
    }

    /// The worker that has the leg.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// True if the peer has a codec that we code.
    pub fn is_coded(&self) -> bool {
        self.coded().is_some()
    }

    /// True if the peer knows of no port of ours.
    pub fn is_untold(&self) -> bool {
        self.agreed.is_none() && self.offered.0.is_empty()
    }

    /// The rate of what we code for the peer.
    pub fn rate(&self) -> Rate {
        match self.coded() {
            Some(Codec::G722) => Rate::Wide,
            _ => Rate::Narrow,
        }
    }

    fn coded(&self) -> Option<Codec> {
        let mut formats = self.formats().iter();
        formats.find_map(|format| match format.payload {
            Payload::Codec(codec) if codec.is_transcoded() => Some(codec),
            _ => None,
        })
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
        self.agreed.as_ref()?.audio()?.ptime_ms
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

    /// True if the peer may send a fax, which nothing encrypts.
    pub fn may_fax(&self) -> bool {
        self.keys.secrecy().takes_plain()
    }

    /// Writes an offer. It holds only when [`LegMedia::accept_answer`] has taken the answer.
    pub fn offer(&mut self, offered: &Offered) -> String {
        self.local.version += 1;
        self.local.keys = match &self.agreed {
            Some(agreed) => self.keys.later_offer(agreed.crypto),
            None => self.keys.first_offer(),
        };
        let local = self.described();
        let remote = self.agreed.as_ref().map(|agreed| &agreed.remote);
        self.offered = Secret(match (offered, remote) {
            (Offered::Audio(terms), None) => local.offer(&self.in_words(terms)),
            (Offered::Audio(terms), Some(remote)) => {
                local.offer_like(remote, &self.in_words(terms))
            }
            // A call begins with audio, so there is a session.
            (Offered::Fax(attributes), remote) => {
                let nothing = Description::default();
                local.offer_fax_like(remote.unwrap_or(&nothing), attributes)
            }
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
        let (ours, theirs, crypto) = match offered {
            Offered::Audio(terms) => {
                let audio = answer.audio().ok_or(NotAcceptable)?;
                self.check_family(audio.rtp.ip())?;
                let ours = answered_formats(&terms.formats, &audio.formats);
                let theirs = answered_formats(&audio.formats, &ours);
                if theirs.is_empty() {
                    return Err(NotAcceptable);
                }
                let crypto = self.keys.accept_answer(audio)?;
                let terms = AudioTerms {
                    formats: ours,
                    ..*terms
                };
                (Offered::Audio(terms), theirs, crypto)
            }
            Offered::Fax(_) => {
                let fax = answer.fax().ok_or(NotAcceptable)?;
                self.check_family(fax.address.ip())?;
                (offered.clone(), Vec::new(), self.crypto())
            }
        };
        let offers_mux = self.offered_mux();
        self.renewal = Renewal::Settled;
        self.agreed = Some(Agreed {
            rtcp_mux: offers_mux && answer.audio().is_some_and(|audio| audio.rtcp_mux),
            remote: answer,
            ours,
            theirs,
            crypto,
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
        match terms {
            Offered::Audio(terms) => self.answer_audio(offer, terms),
            Offered::Fax(attributes) => self.answer_fax(offer, attributes),
        }
    }

    fn answer_audio(
        &mut self,
        offer: &Description,
        terms: AudioTerms,
    ) -> Result<String, NotAcceptable> {
        let audio = offer.audio().ok_or(NotAcceptable)?;
        self.check_family(audio.rtp.ip())?;
        if terms.formats.is_empty() {
            return Err(NotAcceptable);
        }
        let in_use = self.crypto();
        let (keys, crypto) = self.keys.answer(audio, in_use)?;
        self.local.keys = keys;
        let terms = AudioTerms {
            direction: audio.direction.reversed().and(terms.direction),
            ..terms
        };
        self.local.version += 1;
        let ours = OurOffer {
            rtcp_mux: true,
            ..self.in_words(&terms)
        };
        self.renewal.port_told();
        let body = answer(&self.described(), offer, &ours);
        self.agreed = Some(Agreed {
            remote: offer.clone(),
            theirs: terms.formats.clone(),
            rtcp_mux: audio.rtcp_mux,
            ours: Offered::Audio(terms),
            crypto,
            said: Secret(body.clone()),
            is_answer: true,
            aim: self.aim,
        });
        Ok(body)
    }

    fn answer_fax(
        &mut self,
        offer: &Description,
        attributes: Vec<String>,
    ) -> Result<String, NotAcceptable> {
        let fax = offer.fax().ok_or(NotAcceptable)?;
        self.check_family(fax.address.ip())?;
        self.local.version += 1;
        let body = self.described().answer_fax(offer, &attributes);
        self.agreed = Some(Agreed {
            remote: offer.clone(),
            theirs: Vec::new(),
            rtcp_mux: false,
            ours: Offered::Fax(attributes),
            crypto: self.crypto(),
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
        Some(self.agreed.as_ref()?.ours.clone())
    }

    /// The keys of the audio. A fax leaves them as they are: it is not encrypted, and audio goes on with them behind it, where
    /// their packets had been counted to (RFC 3711 §3.3.1).
    fn crypto(&self) -> Option<LegCrypto> {
        self.agreed.as_ref()?.crypto
    }

    /// Our next offer lets RTCP go by the port of RTP.
    fn offered_mux(&self) -> bool {
        let agreed = self.agreed.as_ref();
        self.offers_mux || agreed.is_some_and(|agreed| agreed.rtcp_mux)
    }

    fn in_words<'t>(&self, terms: &'t AudioTerms) -> OurOffer<'t> {
        OurOffer {
            formats: &terms.formats,
            direction: terms.direction,
            ptime_ms: terms.ptime_ms,
            rtcp_mux: self.offered_mux(),
        }
    }

    /// The fax that the peer described, if it is what was agreed.
    pub fn fax(&self) -> Option<&Fax> {
        self.agreed.as_ref()?.fax()
    }

    /// The formats agreed, with our numbers. Empty before the first exchange is over.
    pub(super) fn ours(&self) -> &[Format] {
        self.agreed.as_ref().map_or(&[], Agreed::ours)
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
        match (&agreed.ours, agreed.audio(), agreed.fax()) {
            (Offered::Audio(terms), Some(audio), _) => {
                audio.direction.and(terms.direction.reversed())
            }
            (Offered::Fax(_), _, Some(fax)) => fax.direction,
            _ => Direction::Inactive,
        }
    }

    /// The far side has gone: where it had put the peer on hold, or exchanged a fax with it, that no longer holds.
    pub fn part(&mut self) {
        let is_talking = |agreed: &Agreed| match &agreed.ours {
            Offered::Audio(terms) => terms.direction == Direction::SendRecv,
            Offered::Fax(_) => false,
        };
        if !self.agreed.as_ref().is_none_or(is_talking) || self.is_direct() {
            self.renew();
        }
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
        let audio = agreed.audio()?;
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
        negotiation::is_spoken(of_a.ours(), &of_b.theirs)
            && negotiation::is_spoken(of_b.ours(), &of_a.theirs)
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

    /// The direction that the peer is to be offered to the far side with: both ways, if nothing holds yet.
    pub fn wanted_direction(&self) -> Direction {
        if self.must_renew() {
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
        self.told_listening = Listening::Off;
        self.told_crypto = None;
        if let Some(agreed) = &mut self.agreed {
            self.keys.change(ctx, &mut agreed.crypto);
        }
        if !self.is_untold() {
            self.renewal = Renewal::Lost;
        }
        Ok(())
    }
}
