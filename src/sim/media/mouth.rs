//! What a peer says: a sine in its codec, a packet each packet time, with pauses and digits.

use crate::codec::dtmf::Digit;
use crate::codec::{Codec, g711, g722};
use crate::rtp::packet::{FIRST_PLAIN, HEADER_LEN, Header};
use crate::rtp::telephone_event::{EventSender, Sending};
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

/// How loud the sine is.
pub(super) const AMPLITUDE: f64 = 8_000.0;
/// The payload type of events from any peer.
pub(super) const EVENTS: u8 = 101;
/// RTP clock units of a millisecond.
const UNITS_MS: u32 = 8;

enum State {
    Talking,
    Pausing { until: Instant, noise_told: bool },
    Pressing(EventSender),
}

/// See the module's comment.
pub(super) struct Mouth {
    pub(super) codec: Codec,
    ptime_ms: u8,
    hertz: f64,
    encoder: g722::Encoder,
    /// Samples at 16 kHz so far.
    said: u64,
    pub(super) ssrc: u32,
    sequence: u16,
    timestamp: u32,
    state: State,
    marker: bool,
    /// When its next packet is due.
    pub(super) next: Instant,
    knows_noise: bool,
}

impl Mouth {
    pub(super) fn new(now: Instant, plan: &super::PeerPlan, random: &mut fastrand::Rng) -> Mouth {
        Mouth {
            codec: plan.codec,
            ptime_ms: plan.ptime_ms,
            hertz: plan.hertz,
            encoder: g722::Encoder::default(),
            said: 0,
            ssrc: random.u32(..),
            // Where the rollover counter can be told (RFC 4568 §6.4); some wrap soon.
            sequence: random.u16(..0x7fff),
            timestamp: u32::MAX - random.u32(..40_000),
            state: State::Talking,
            marker: true,
            // At no tick's time, or the order of the two would be an accident.
            next: now + Duration::from_micros(random.u64(100..9_900)),
            knows_noise: plan.noise,
        }
    }

    pub(super) fn pause(&mut self, until: Instant) {
        self.state = State::Pausing {
            until,
            noise_told: false,
        };
    }

    /// Presses a digit, if it is not at another.
    pub(super) fn press(&mut self, digit: Digit, duration_ms: u16) -> bool {
        if matches!(self.state, State::Pressing(_)) {
            return false;
        }
        self.state = State::Pressing(EventSender::new(&Sending {
            code: digit.event(),
            volume: 10,
            timestamp: self.timestamp,
            clock_rate: 8_000,
            packet_ms: self.ptime_ms.into(),
            duration_ms: duration_ms.into(),
        }));
        true
    }

    pub(super) fn speak(&mut self, codec: Codec) {
        self.codec = codec;
        self.encoder = g722::Encoder::default();
    }

    pub(super) fn change_source(&mut self, random: &mut fastrand::Rng) {
        self.ssrc = random.u32(..);
        self.sequence = random.u16(..0x7fff);
        self.timestamp = random.u32(..);
        // An event of the source before is not gone on with.
        self.state = State::Talking;
    }

    /// The packet that is due, in the clear. None in a pause.
    pub(super) fn say(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next = now + Duration::from_millis(self.ptime_ms.into());
        let timestamp = self.timestamp;
        let units = u32::from(self.ptime_ms) * UNITS_MS;
        self.timestamp = timestamp.wrapping_add(units);
        if let State::Pausing { until, noise_told } = &mut self.state {
            if now < *until {
                let is_due = self.knows_noise && !std::mem::replace(noise_told, true);
                return is_due.then(|| self.packet(13, timestamp, false, &[60]));
            }
            self.state = State::Talking;
            self.marker = true;
        }
        if let State::Pressing(sender) = &mut self.state {
            if let Some(event) = sender.step() {
                return Some(self.packet(EVENTS, event.timestamp, event.marker, &event.payload));
            }
            self.state = State::Talking;
            self.marker = true;
        }
        let payload = self.audio();
        let payload_type = self.codec.static_payload_type().expect("a static one");
        let marker = std::mem::take(&mut self.marker);
        Some(self.packet(payload_type, timestamp, marker, &payload))
    }

    fn packet(
        &mut self,
        payload_type: u8,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Vec<u8> {
        let header = Header {
            marker,
            payload_type,
            sequence: self.sequence,
            timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = vec![0; HEADER_LEN];
        bytes[0] = FIRST_PLAIN;
        header.write(&mut bytes);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn audio(&mut self) -> Vec<u8> {
        let wide = u64::from(self.ptime_ms) * 16;
        let pcm: Vec<i16> = (self.said..self.said + wide)
            .map(|at| ((at as f64 * TAU * self.hertz / 16_000.0).sin() * AMPLITUDE) as i16)
            .collect();
        self.said += wide;
        let narrow = || pcm.iter().step_by(2).copied().collect::<Vec<i16>>();
        let mut codes = vec![0; pcm.len() / 2];
        match self.codec {
            Codec::Ulaw => g711::encode_ulaw(&narrow(), &mut codes),
            Codec::Alaw => g711::encode_alaw(&narrow(), &mut codes),
            Codec::G722 => self.encoder.encode(&pcm, &mut codes),
            // Ten octets each 10 ms, that nobody here can read.
            _ => codes.truncate(usize::from(self.ptime_ms)),
        }
        codes
    }
}
