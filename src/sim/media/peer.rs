//! A peer and its leg, as both are known outside the worker.

use super::ear::Ear;
use super::history::PeerPlan;
use super::mouth::{EVENTS, Mouth};
use super::watch::Watch;
use crate::codec::{Codec, Payload};
use crate::link::{
    Carries, FormatList, LegCrypto, LegFormats, LegId, PortRange, Remote, RtpPort, WireFormat,
};
use crate::rtp::srtp::{MasterKey, OVERHEAD_MAX, Opener, Sealer, Suite};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

/// What a leg is in at the moment, as control knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Alone,
    Echo,
    Room,
    Bridged(usize),
}

/// The keys of a leg, and both ends of its peer.
pub(super) struct Keys {
    pub(super) sealer: Sealer,
    /// Of the peer, behind the network.
    opener: Opener,
    /// Where packets are sent.
    tap: Opener,
}

/// A leg from its opening to its closing.
pub(super) struct Lease {
    pub(super) id: LegId,
    pub(super) formats: LegFormats,
    pub(super) send: bool,
    pub(super) receive: bool,
    pub(super) place: Place,
    pub(super) keys: Option<Keys>,
    pub(super) mouth: Mouth,
    pub(super) watch: Watch,
    pub(super) ear: Ear,
    pub(super) address: IpAddr,
    /// Digits that were sent to it, that it pressed, and that were told.
    pub(super) digits_sent: usize,
    pub(super) pressed: usize,
    pub(super) told: usize,
    /// Packets of it that came to the worker: the first's number, the highest, and how many.
    pub(super) delivered: Option<(u16, u16, u64)>,
    /// Their numbers.
    pub(super) numbers: HashSet<u16>,
    /// It was held, or heard other formats: digits may have been lost for it.
    pub(super) is_disturbed: bool,
}

/// See the module's comment.
pub(super) struct Peer {
    pub(super) plan: PeerPlan,
    pub(super) number: usize,
    pub(super) port: RtpPort,
    generation: u32,
    pub(super) lease: Option<Lease>,
    rekeyed_at: Option<Instant>,
}

impl Peer {
    pub(super) fn new(number: usize, plan: &PeerPlan, port: RtpPort) -> Peer {
        Peer {
            plan: plan.clone(),
            number,
            port,
            generation: 0,
            lease: None,
            rekeyed_at: None,
        }
    }

    /// The port of a peer in a range whose workers have two pairs each, or one all four.
    pub(super) fn port_of(range: &PortRange, number: usize) -> RtpPort {
        let first = range.ports_of(crate::link::WorkerId(0)).next();
        let first = first.expect("a range has ports").rtp();
        RtpPort::new(first + number as u16 * 2).expect("even")
    }

    /// A new lease of its port, with a host of its own, so that what is on its way to the last one is told apart.
    /// Returns its keys.
    pub(super) fn open(&mut self, now: Instant, random: &mut fastrand::Rng) -> Option<LegCrypto> {
        self.generation += 1;
        let host = Ipv4Addr::new(198, 51, 100 + self.number as u8, self.generation as u8);
        let formats = formats(&self.plan, self.plan.codec, self.plan.ptime_ms);
        let crypto = self.plan.suite.map(|suite| crypto(suite, random));
        let watch = Watch::new(formats.ptime_ms);
        self.lease = Some(Lease {
            id: LegId {
                port: self.port,
                generation: self.generation,
            },
            formats,
            send: true,
            receive: true,
            place: Place::Alone,
            keys: crypto.as_ref().map(Keys::new),
            mouth: Mouth::new(now, &self.plan, random),
            watch,
            ear: Ear::default(),
            address: host.into(),
            digits_sent: 0,
            pressed: 0,
            told: 0,
            delivered: None,
            numbers: HashSet::new(),
            is_disturbed: false,
        });
        self.rekeyed_at = Some(now);
        crypto
    }

    /// New keys, if it has any and the last exchange is long enough ago that nothing is on its way under older ones.
    pub(super) fn rekey(&mut self, now: Instant, random: &mut fastrand::Rng) -> Option<LegCrypto> {
        let is_early = |at: Instant| now - at < std::time::Duration::from_secs(1);
        if self.rekeyed_at.is_some_and(is_early) {
            return None;
        }
        let crypto = crypto(self.plan.suite?, random);
        self.lease.as_mut()?.keys.as_mut()?.rekey(&crypto);
        self.rekeyed_at = Some(now);
        Some(crypto)
    }

    pub(super) fn rtp(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.lease.as_ref()?.address, 4_000))
    }

    pub(super) fn rtcp(&self) -> Option<SocketAddr> {
        let port = if self.plan.mux { 4_000 } else { 4_001 };
        Some(SocketAddr::new(self.lease.as_ref()?.address, port))
    }

    pub(super) fn remote(&self) -> Option<Remote> {
        let lease = self.lease.as_ref()?;
        Some(Remote {
            rtp: self.rtp()?,
            rtcp: self.rtcp()?,
            signalling: Ipv4Addr::new(192, 0, 2, 200).into(),
            symmetric: true,
            send: lease.send,
            receive: lease.receive,
            timeout_s: 60,
            carries: Carries::Rtp,
        })
    }

    /// It hears what it says by the numbers that it says it by, so that it can be echoed.
    pub(super) fn hears_itself(&self) -> bool {
        let Some(lease) = &self.lease else {
            return false;
        };
        let codec = Some(Payload::Codec(lease.mouth.codec));
        let payload_type = lease.mouth.codec.static_payload_type();
        let heard = payload_type.and_then(|number| lease.formats.send.payload(number));
        self.plan.events != Some(97) && heard == codec
    }
}

impl Keys {
    fn new(crypto: &LegCrypto) -> Keys {
        Keys {
            sealer: Sealer::new(&crypto.receive),
            opener: Opener::new(&crypto.send),
            tap: Opener::new(&crypto.send),
        }
    }

    fn rekey(&mut self, crypto: &LegCrypto) {
        self.sealer.rekey(&crypto.receive);
        self.opener.rekey(&crypto.send);
        self.tap.rekey(&crypto.send);
    }
}

impl Lease {
    /// Seals what the peer says, if it is sealed.
    pub(super) fn seal(&mut self, mut plain: Vec<u8>, is_rtcp: bool) -> Vec<u8> {
        let Some(keys) = &mut self.keys else {
            return plain;
        };
        let len = plain.len();
        plain.resize(len + OVERHEAD_MAX, 0);
        let sealed = match is_rtcp {
            true => keys.sealer.seal_rtcp(&mut plain, len),
            false => keys.sealer.seal(&mut plain, len),
        };
        plain.truncate(sealed.expect("numbers of its own go on"));
        plain
    }

    /// What a packet says that is sent to the peer.
    pub(super) fn tap(&mut self, bytes: &[u8], is_rtcp: bool) -> Result<Vec<u8>, String> {
        open(self.keys.as_mut().map(|keys| &mut keys.tap), bytes, is_rtcp)
    }

    /// What the peer hears of a packet that has come to it.
    pub(super) fn open(&mut self, bytes: &[u8], is_rtcp: bool) -> Result<Vec<u8>, String> {
        let opener = self.keys.as_mut().map(|keys| &mut keys.opener);
        open(opener, bytes, is_rtcp)
    }
}

fn open(opener: Option<&mut Opener>, bytes: &[u8], is_rtcp: bool) -> Result<Vec<u8>, String> {
    let mut bytes = bytes.to_vec();
    if let Some(opener) = opener {
        let len = match is_rtcp {
            true => opener.open_rtcp(&mut bytes),
            false => opener.open(&mut bytes),
        };
        bytes.truncate(len.map_err(|error| format!("does not open: {error}"))?);
    }
    Ok(bytes)
}

fn crypto(suite: Suite, random: &mut fastrand::Rng) -> LegCrypto {
    let mut key = || {
        let material: Vec<u8> = (0..suite.material_len()).map(|_| random.u8(..)).collect();
        MasterKey::new(suite, &material).expect("of its length")
    };
    LegCrypto {
        receive: key(),
        send: key(),
    }
}

/// What a peer and its leg have agreed: it may send whatever we can decode, and hears what its plan says.
pub(super) fn formats(plan: &PeerPlan, codec: Codec, ptime_ms: u8) -> LegFormats {
    let wire = |payload_type, payload| WireFormat {
        payload_type,
        payload,
    };
    let audio = |codec: Codec| {
        let payload_type = codec.static_payload_type().expect("a static one");
        wire(payload_type, Payload::Codec(codec))
    };
    let event = Payload::TelephoneEvent { clock_rate: 8_000 };
    let noise = plan.noise.then(|| wire(13, Payload::ComfortNoise));
    let ours = [Codec::Ulaw, Codec::Alaw, Codec::G722];
    let all = || {
        [codec]
            .into_iter()
            .chain(ours.into_iter().filter(move |other| *other != codec))
    };
    let heard = all().take(if plan.hears_all { 4 } else { 1 });
    let said =
        all().chain((codec != plan.codec && plan.codec == Codec::G729).then_some(Codec::G729));
    LegFormats {
        receive: FormatList::new(
            said.map(audio)
                .chain(noise)
                .chain(plan.events.map(|_| wire(EVENTS, event))),
        ),
        send: FormatList::new(
            heard
                .map(audio)
                .chain(noise)
                .chain(plan.events.map(|number| wire(number, event))),
        ),
        ptime_ms,
    }
}
