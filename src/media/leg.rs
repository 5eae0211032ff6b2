//! One leg: its latch, the stream in, the stream out, and what it is watched for.

use super::audio::AudioIndex;
use super::crypto::Crypto;
use super::events::Events;
use super::flood::{Change, Flood};
use super::in_stream::{Counted, InStream};
use super::latch::{Admission, Latch};
use super::out_stream::{Feed, OutStream};
use super::peer::Peer;
use super::reports::Reports;
use super::rtcp_latch::RtcpLatch;
use super::seam::{Component, DropReason, LegSlot, Nanos, SocketOrder, Verdict};
use super::unusable::Watch;
use super::worker::{Halt, Judged};
use crate::codec::{Codec, Payload};
use crate::link::{Carries, Event, LegCrypto, LegFormats, LegId, LegReport, PayloadMap, Remote};
use crate::rtp::packet::Header;
use crate::rtp::quality::{self, Coding, Conditions};
use crate::rtp::rtcp::{ReportedMap, SenderMap, Translation};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// A connected socket hears nobody new: after this silence it is disconnected, so that a moved phone is heard before
/// its move is believed (`latch::MOVE_SILENCE`).
pub(super) const DISCONNECT_SILENCE: Nanos = Nanos::from_millis(250);
/// How long a locked source must have been steady before its socket is connected.
pub(super) const CONNECT_AFTER: Nanos = Nanos::from_millis(1_000);
/// What a packet holds, nearly always: it has to be spoken before it is sent.
const PACKET_NS: u64 = 20_000_000;
/// Between two interim reports of a leg.
pub(super) const REPORT_INTERVAL: Nanos = Nanos::from_millis(5_000);

/// What becomes of a leg's packets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// They are counted and go nowhere.
    Alone,
    /// They go back.
    Echo,
    /// They are heard by a room.
    Room,
    /// They go out on another leg, which is bridged to this one.
    Bridged {
        /// The other leg.
        to: LegSlot,
        /// The payload types that pass.
        map: PayloadMap,
    },
}

/// Whether the RTP socket is connected, as far as this plane ordered it.
#[derive(Clone, Copy, Debug)]
enum Wire {
    /// It hears everybody. The source has been steady since then.
    Open { steady_since: Option<Nanos> },
    /// It hears the locked source alone.
    Connected,
}

/// Whether silence ends the call.
#[derive(Clone, Copy, Debug)]
enum Silence {
    Unwatched,
    Watched { limit: Nanos },
    Told,
}

/// See the module's comment. In the order of use: a packet touches the first lines only.
#[repr(C)]
pub(super) struct Leg {
    pub(super) latch: Latch,
    pub(super) role: Role,
    /// What the peer sends is passed on: it may send, and does not flood.
    pub(super) receive: bool,
    /// We may send to the peer.
    pub(super) send: bool,
    /// What passes is no RTP.
    pub(super) carries_datagrams: bool,
    /// The peer hears what is made here, and nothing that comes for it from its bridge.
    pub(super) taken: bool,
    /// Its audio, if any is decoded or made here.
    pub(super) audio: Option<AudioIndex>,
    /// Its keys, if it has SRTP.
    pub(super) crypto: Option<Box<Crypto>>,
    pub(super) id: LegId,
    heard_at: Nanos,
    pub(super) input: InStream,
    pub(super) output: OutStream,
    pub(super) counts: LegReport,
    pub(super) rtcp: RtcpLatch,
    silence: Silence,
    wire: Wire,
    /// [`Event::Latched`] found the queue full and is still to be told.
    latch_untold: bool,
    /// The peer may send to us.
    may_send: bool,
    flood: Flood,
    watch: Watch,
    stranger_told: bool,
    report_due: Nanos,
    /// Its place in the worker's list of open legs.
    pub(super) place: usize,
    /// Our CNAME towards the peer: random, one for the leg's life (RFC 7022 §4.1).
    pub(super) cname: u64,
    formats: LegFormats,
    pub(super) reports: Reports,
    /// What its jitter buffer, if it has one, adds and has found too late, as of the last tick.
    pub(super) playout: Playout,
}

/// What a jitter buffer does to a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Playout {
    pub(super) delay: Nanos,
    /// Packets that came too late to be heard.
    pub(super) late: u64,
}

impl Leg {
    /// A leg that waits for its remote.
    pub(super) fn new(now: Nanos, id: LegId, slot: LegSlot, place: usize, cname: u64) -> Leg {
        // Spread over the interval, so that calls set up together do not report together.
        let spread = REPORT_INTERVAL.0 / 64 * u64::from(slot.0 % 64);
        Leg {
            latch: Latch::new(),
            role: Role::Alone,
            receive: false,
            send: false,
            carries_datagrams: false,
            taken: false,
            audio: None,
            crypto: None,
            formats: LegFormats::default(),
            id,
            heard_at: now,
            input: InStream::default(),
            output: OutStream::default(),
            counts: LegReport::default(),
            rtcp: RtcpLatch::default(),
            silence: Silence::Unwatched,
            wire: Wire::Open { steady_since: None },
            latch_untold: false,
            may_send: false,
            flood: Flood::default(),
            watch: Watch::default(),
            stranger_told: false,
            report_due: Nanos(now.0 + REPORT_INTERVAL.0 + spread),
            place,
            cname,
            reports: Reports::default(),
            playout: Playout::default(),
        }
    }

    /// Takes where the peer is and which directions are open.
    pub(super) fn set_remote(&mut self, now: Nanos, remote: &Remote) {
        if self.latch.set_remote(now, remote) {
            self.rtcp.forget();
            self.stranger_told = false;
            self.latch_untold = false;
        }
        self.rtcp.set_remote(remote);
        if remote.send && !self.send {
            // What was held back left a gap.
            self.output.interrupt();
        }
        self.send = remote.send;
        self.may_send = remote.receive;
        self.settle_receive();
        self.carries_datagrams = remote.carries == Carries::Datagrams;
        self.heard_at = now;
        self.silence = match remote.timeout_s {
            0 => Silence::Unwatched,
            _ if !remote.receive => Silence::Unwatched,
            seconds => Silence::Watched {
                limit: Nanos::from_millis(u64::from(seconds) * 1_000),
            },
        };
    }

    /// Takes what the peer may send and what it hears.
    pub(super) fn set_formats(&mut self, formats: LegFormats) {
        self.formats = formats;
        self.watch.has_formats(&self.counts);
    }

    /// Takes the keys of an exchange, or that there are none.
    pub(super) fn set_crypto(&mut self, keys: Option<LegCrypto>) {
        if keys.is_some() {
            self.output.begin_low();
        }
        self.watch.has_keys(&self.counts);
        match (&mut self.crypto, keys) {
            (Some(crypto), Some(keys)) => crypto.rekey(&keys),
            (None, Some(keys)) => self.crypto = Some(Box::new(Crypto::new(&keys))),
            (_, None) => self.crypto = None,
        }
    }

    /// Counts a packet of the peer's in its stream. None if it is late or far off, and must not pass.
    #[inline]
    pub(super) fn take(&mut self, now: Nanos, header: &Header) -> Option<Counted> {
        self.input.receive(now, header, &self.formats.receive)
    }

    /// Makes a header that of the next packet to the peer. False if the packet must not pass.
    #[inline]
    pub(super) fn forward(
        &mut self,
        now: Nanos,
        feed: Feed,
        counted: Counted,
        header: &mut Header,
    ) -> bool {
        let heard = &self.formats.send;
        self.output.forward(now, feed, counted, header, heard)
    }

    /// What the peer says in this payload type it hears in the same, so that it can be echoed.
    pub(super) fn hears_as_said(&self, payload_type: u8) -> bool {
        let said = self.formats.receive.payload(payload_type);
        said.is_some() && said == self.formats.send.payload(payload_type)
    }

    /// What the peer may send and what it hears: nothing before it was told.
    pub(super) fn formats(&self) -> &LegFormats {
        &self.formats
    }

    /// Judges who sent an RTP packet, and tells what control is to know of it.
    // Called for each packet, and once more for a datagram of T.38: the compiler would rather call it.
    #[inline(always)]
    pub(super) fn admit(
        &mut self,
        now: Nanos,
        source: SocketAddr,
        header: &Header,
        events: &mut Events,
    ) -> Result<(), DropReason> {
        match self.latch.admit(now, source, header) {
            Admission::Pass => {}
            Admission::Latched => self.latched(source, events),
            Admission::Unset => return Err(DropReason::Unlatched),
            Admission::Refused => return Err(self.refused()),
            Admission::Stranger => return Err(self.stranger(source, events)),
        }
        self.heard_at = now;
        Ok(())
    }

    #[cold]
    fn latched(&mut self, source: SocketAddr, events: &mut Events) {
        self.rtcp.forget();
        self.stranger_told = false;
        self.wire = Wire::Open { steady_since: None };
        let leg = self.id;
        self.latch_untold = !events.tell(Event::Latched { leg, source });
    }

    fn refused(&mut self) -> DropReason {
        self.counts.strangers += 1;
        DropReason::WrongSource
    }

    #[cold]
    fn stranger(&mut self, source: SocketAddr, events: &mut Events) -> DropReason {
        if !self.stranger_told {
            let leg = self.id;
            self.stranger_told = events.tell(Event::Stranger { leg, source });
        }
        self.refused()
    }

    fn settle_receive(&mut self) {
        self.receive = self.may_send && !self.flood.is_on();
    }

    /// Why a packet of the peer's is not passed on while [`Leg::receive`] is false.
    #[cold]
    pub(super) fn unheard(&self) -> DropReason {
        match self.may_send && self.flood.is_on() {
            true => DropReason::Flood,
            false => DropReason::Unheard,
        }
    }

    /// Why a packet on the RTP port that is no RTP is dropped.
    pub(super) fn reject(&mut self, source: SocketAddr, events: &mut Events) -> DropReason {
        let peer = Peer::from(source);
        if self.latch.is_unset() {
            DropReason::Unlatched
        } else if self.latch.is_from_peer(peer) {
            DropReason::Malformed
        } else if self.latch.is_peer_ip(peer.ip) {
            self.refused()
        } else {
            self.stranger(source, events)
        }
    }

    /// Counts a packet on the RTP port that SRTP has not opened, and tells a stranger's: why it is dropped.
    #[cold]
    pub(super) fn unopened(
        &mut self,
        reason: DropReason,
        source: SocketAddr,
        events: &mut Events,
    ) -> DropReason {
        if reason == DropReason::Unauthentic && !self.latch.is_unset() {
            if self.latch.is_peer_ip(Peer::from(source).ip) {
                self.counts.unauthentic += 1;
                self.watch.unauthentic(source);
            } else {
                self.stranger(source, events);
            }
        }
        reason
    }

    /// Counts a packet of the peer's with a payload type that was not agreed: why it is dropped.
    #[cold]
    pub(super) fn not_agreed(&mut self, payload_type: u8) -> DropReason {
        self.counts.not_agreed += 1;
        self.watch.not_agreed(payload_type);
        DropReason::PayloadType
    }

    /// Judges who sent an RTCP packet; `valid` if it is one.
    pub(super) fn admit_rtcp(
        &mut self,
        now: Nanos,
        component: Component,
        source: SocketAddr,
        valid: bool,
    ) -> Result<(), DropReason> {
        let peer = Peer::from(source);
        let heard = match component {
            Component::Rtp => self.latch.is_from_peer(peer),
            Component::Rtcp => self.rtcp.hears(now, peer, &self.latch),
        };
        if self.latch.is_unset() {
            Err(DropReason::Unlatched)
        } else if !heard {
            Err(self.refused())
        } else if !valid {
            Err(DropReason::Malformed)
        } else {
            if component == Component::Rtcp {
                self.rtcp.learn(now, source);
            }
            Ok(())
        }
    }

    /// Where RTP to the peer goes; None if none may.
    #[inline]
    pub(super) fn rtp_destination(&self) -> Option<SocketAddr> {
        self.latch.destination().filter(|_| self.send)
    }

    /// Where RTCP to the peer goes; None if none may.
    pub(super) fn rtcp_destination(&self) -> Option<SocketAddr> {
        let destination = self.rtcp.destination();
        destination.filter(|_| self.send && !self.carries_datagrams)
    }

    /// A packet to the peer is ready, but for its seal.
    #[inline]
    pub(super) fn sent(
        &self,
        leg: LegSlot,
        component: Component,
        destination: SocketAddr,
        len: usize,
    ) -> Judged {
        match self.crypto {
            None => Ok(Verdict::Send {
                leg,
                component,
                destination,
                len,
            }),
            Some(_) => Err(Halt::Seal {
                leg,
                component,
                destination,
                len,
            }),
        }
    }

    /// The source that the peer sends at the moment, as a feed of another leg's stream.
    pub(super) fn feed(&self, slot: LegSlot) -> Option<(u32, Feed)> {
        let (ssrc, epoch) = self.input.source()?;
        Some((ssrc, self.feed_of(slot, epoch)))
    }

    /// One of the peer's sources, as a feed of another leg's stream.
    #[inline]
    pub(super) fn feed_of(&self, slot: LegSlot, epoch: u32) -> Feed {
        Feed {
            leg: slot,
            generation: self.id.generation,
            epoch,
        }
    }

    /// How RTCP of this leg's peer is translated for the peer of `far`. None if it is about a source that `far` does
    /// not send.
    pub(super) fn translation(&self, slot: LegSlot, far: &Leg, to: LegSlot) -> Option<Translation> {
        let sender = match self.feed(slot) {
            None => None,
            Some((from, feed)) => {
                let shift = far.output.shift_of(feed)?;
                Some(SenderMap {
                    from,
                    to: shift.ssrc,
                    timestamp_offset: shift.timestamp_offset,
                })
            }
        };
        let reported = far.feed(to).and_then(|(ssrc, feed)| {
            let shift = self.output.shift_of(feed)?;
            Some(ReportedMap {
                from: shift.ssrc,
                to: ssrc,
                sequence_offset: shift.sequence_offset,
                highest: far.input.highest(),
            })
        });
        Some(Translation {
            sender,
            reported,
            cname: far.cname,
        })
    }

    /// What is due: what could not be told, silence, a flood, the socket's connection, a report.
    pub(super) fn tick(
        &mut self,
        now: Nanos,
        slot: LegSlot,
        events: &mut Events,
        orders: &mut VecDeque<SocketOrder>,
    ) {
        let leg = self.id;
        if self.latch_untold
            && let Some(source) = self.latch.locked()
        {
            self.latch_untold = !events.tell(Event::Latched { leg, source });
        }
        if let Silence::Watched { limit } = self.silence
            && now.since(self.heard_at) >= limit
            && events.tell(Event::Silent { leg })
        {
            self.silence = Silence::Told;
        }
        if let Some(change) = self.flood.look(now, self.counts.packets_in) {
            self.settle_receive();
            if change == Change::Begins {
                // Untold it is counted all the same.
                events.tell(Event::Flooded { leg });
            }
        }
        self.watch.look(now, &self.counts, |cause| {
            events.tell(Event::Unusable { leg, cause })
        });
        self.rewire(now, slot, orders);
        if now >= self.report_due {
            self.report_due = Nanos(now.0 + REPORT_INTERVAL.0);
            let report = self.report();
            events.tell_report(Event::Report { leg, report });
        }
    }

    /// Connects the RTP socket of a steady leg, disconnects that of a silent one.
    fn rewire(&mut self, now: Nanos, slot: LegSlot, orders: &mut VecDeque<SocketOrder>) {
        // Connected, it could send nowhere else.
        let peer = self
            .latch
            .locked()
            .filter(|peer| self.latch.destination() == Some(*peer));
        let silent = now.since(self.heard_at) >= DISCONNECT_SILENCE;
        self.wire = match (self.wire, peer) {
            (Wire::Open { steady_since }, Some(peer)) if !silent => {
                let since = steady_since.unwrap_or(now);
                if now.since(since) < CONNECT_AFTER {
                    Wire::Open {
                        steady_since: Some(since),
                    }
                } else {
                    orders.push_back(SocketOrder::Connect {
                        leg: slot,
                        component: Component::Rtp,
                        peer,
                    });
                    Wire::Connected
                }
            }
            (Wire::Connected, Some(_)) if !silent => Wire::Connected,
            (wire, _) => {
                if matches!(wire, Wire::Connected) {
                    orders.push_back(SocketOrder::Disconnect {
                        leg: slot,
                        component: Component::Rtp,
                    });
                }
                Wire::Open { steady_since: None }
            }
        };
    }

    /// The leg's address changed, or is told again: see that its socket hears it.
    pub(super) fn unwire(&mut self, slot: LegSlot, orders: &mut VecDeque<SocketOrder>) {
        if matches!(self.wire, Wire::Connected) {
            orders.push_back(SocketOrder::Disconnect {
                leg: slot,
                component: Component::Rtp,
            });
        }
        self.wire = Wire::Open { steady_since: None };
    }

    /// Its counts so far.
    pub(super) fn report(&self) -> LegReport {
        let about_us = self.reports.heard.about_us();
        let round_trip_ns = self.reports.heard.round_trip_ns();
        LegReport {
            lost_in: self.input.lost(),
            jitter_us: self.input.jitter_us(),
            round_trip_ms: round_trip_ns.map(|ns| (ns / 1_000_000) as u32),
            lost_out: about_us.map(|block| block.lost),
            jitter_out_us: about_us.map(|block| self.output.micros(block.jitter)),
            mos: self.mos(),
            ..self.counts
        }
    }

    /// How good what the peer says is, as it comes to us and, where we decode it, out of our buffer.
    fn mos(&self) -> Option<f32> {
        let coding = self.formats.receive.formats().iter();
        let coding = coding.copied().find_map(|format| match format.payload {
            Payload::Codec(Codec::Ulaw | Codec::Alaw) => Some(Coding::G711),
            Payload::Codec(Codec::G722) => Some(Coding::G722),
            Payload::Codec(Codec::G729) => Some(Coding::G729),
            _ => None,
        })?;
        let (expected, lost, gaps) = self.input.losses()?;
        let late = u32::try_from(self.playout.late).unwrap_or(u32::MAX);
        let lost = lost.saturating_add(late).min(expected);
        let round_trip_ns = self.reports.heard.round_trip_ns();
        Some(quality::mos(&Conditions {
            coding,
            loss: f64::from(lost) / f64::from(expected.max(1)),
            burst_ratio: quality::burst_ratio(expected, lost, gaps),
            delay_ms: quality::delay_ms(round_trip_ns, self.playout.delay.0, PACKET_NS),
        }))
    }
}
