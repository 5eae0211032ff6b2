//! Speech as RTP in real time, over a network that may lose, double, reorder and delay, and what came of it.

use super::digits::{EVENT_TYPE, EVENT_VOLUME, event_of};
use super::{Codec, Sound};
use crate::media::Peer;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

const HEADER: usize = 12;
/// RTP clock ticks, and octets, of a millisecond.
const TICKS_PER_MS: usize = 8;
/// The source of every talk.
const SSRC: u32 = 0x05ee_c400;
/// Packets before the sequence number begins at nought again.
const BEFORE_ROLL_OVER: u16 = 20;
/// Nothing more comes after so long a silence.
const SILENCE: Duration = Duration::from_millis(700);
/// How often the sockets are looked at.
const TICK: Duration = Duration::from_millis(2);

/// A stream that is to be sent: each packet and when.
#[derive(Clone, Debug)]
pub struct Talk {
    packets: Vec<(Duration, Vec<u8>)>,
    ptime: Duration,
    chance: fastrand::Rng,
}

impl Talk {
    /// A sound in packets of so many milliseconds; the last one is full.
    pub fn new(codec: Codec, sound: &Sound, ptime_ms: usize) -> Talk {
        Talk::of(codec, &codec.encode(sound), ptime_ms)
    }

    /// The same of what is encoded already.
    pub fn of(codec: Codec, octets: &[u8], ptime_ms: usize) -> Talk {
        let chance = fastrand::Rng::with_seed(octets.len() as u64);
        let mut talk = Talk {
            packets: Vec::new(),
            ptime: Duration::from_millis(ptime_ms as u64),
            chance,
        };
        talk.go_on(codec, octets);
        talk
    }

    /// Another sound after it, in the same stream, by another codec.
    pub fn then(mut self, codec: Codec, sound: &Sound) -> Talk {
        self.go_on(codec, &codec.encode(sound));
        self
    }

    fn go_on(&mut self, codec: Codec, octets: &[u8]) {
        let size = self.ptime.as_millis() as usize * TICKS_PER_MS;
        for payload in octets.chunks_exact(size) {
            let number = self.packets.len();
            let mut packet = vec![0x80, codec.payload_type()];
            // Near both ends of their ranges, so that both roll over.
            packet.extend((number as u16).wrapping_sub(BEFORE_ROLL_OVER).to_be_bytes());
            packet.extend(((number * size) as u32).wrapping_sub(4_000).to_be_bytes());
            packet.extend(SSRC.to_be_bytes());
            packet.extend(payload);
            self.packets.push((self.ptime * number as u32, packet));
        }
    }

    /// A key is pressed: telephone events (RFC 4733) stand in place of the audio from a time on, a packet each 20 ms and the
    /// last one three times.
    pub fn press(mut self, at_ms: usize, key: char, ms: usize) -> Talk {
        let ptime_ms = self.ptime.as_millis() as usize;
        assert_eq!(ptime_ms, 20);
        let (first, count) = (at_ms / ptime_ms, ms / ptime_ms);
        let stamp = self.packets[first].1[4..8].to_vec();
        for place in 0..count + 2 {
            let packet = &mut self.packets[first + place].1;
            let duration = (place + 1).min(count) * ptime_ms * TICKS_PER_MS;
            let end = if place + 1 >= count { 0x80 } else { 0 };
            let marker = if place == 0 { 0x80 } else { 0 };
            packet.truncate(HEADER);
            packet[1] = EVENT_TYPE | marker;
            packet[4..8].copy_from_slice(&stamp);
            packet.extend([event_of(key), end | EVENT_VOLUME]);
            packet.extend((duration as u16).to_be_bytes());
        }
        self
    }

    /// Which packets of a whole talk are not in this one, by number.
    pub fn lost_of(&self, whole: &Talk) -> Vec<usize> {
        let number = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
        let there: std::collections::BTreeSet<u16> = self
            .packets
            .iter()
            .map(|(_, packet)| number(packet))
            .collect();
        let all = whole.packets.iter().enumerate();
        all.filter(|(_, (_, packet))| !there.contains(&number(packet)))
            .map(|(place, _)| place)
            .collect()
    }

    /// Loses this part of the packets; never the first ten, by which a peer is known.
    pub fn lose(mut self, part: f64) -> Talk {
        let mut number = 0;
        let chance = &mut self.chance;
        self.packets.retain(|_| {
            number += 1;
            number <= 10 || chance.f64() >= part
        });
        self
    }

    /// Sends this part of the packets twice.
    pub fn double(mut self, part: f64) -> Talk {
        let twice = self.packets.clone().into_iter();
        let chance = &mut self.chance;
        let doubles = twice.filter(|_| chance.f64() < part);
        let doubles: Vec<_> = doubles
            .map(|(at, packet)| (at + self.ptime / 4, packet))
            .collect();
        self.packets.extend(doubles);
        self.in_order()
    }

    /// Sends this part of the packets after the next one.
    pub fn reorder(mut self, part: f64) -> Talk {
        for (at, _) in &mut self.packets {
            if self.chance.f64() < part {
                *at += self.ptime * 3 / 2;
            }
        }
        self.in_order()
    }

    /// Delays each packet by up to so many milliseconds.
    pub fn jitter(mut self, ms: u64) -> Talk {
        for (at, _) in &mut self.packets {
            *at += Duration::from_micros(self.chance.u64(0..=ms * 1_000));
        }
        self.in_order()
    }

    fn in_order(mut self) -> Talk {
        self.packets.sort_by_key(|(at, _)| *at);
        self
    }

    /// Its synchronisation source.
    pub fn ssrc(&self) -> u32 {
        SSRC
    }

    /// The sequence number of its first packet.
    pub fn first_sequence(&self) -> u32 {
        u32::from(0u16.wrapping_sub(BEFORE_ROLL_OVER))
    }

    /// How many packets are sent.
    pub fn count(&self) -> usize {
        self.packets.len()
    }
}

/// What a peer has got.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Whole RTP packets, in the order that they came.
    pub packets: Vec<Vec<u8>>,
}

/// All talk at once, each to its address; what each has heard until nothing more came.
pub fn exchange<const N: usize>(sides: [(&Peer, SocketAddrV4, &Talk); N]) -> [Recording; N] {
    let mut recordings = std::array::from_fn(|_| Recording::default());
    let mut next = [0; N];
    let start = Instant::now();
    let mut last = start;
    loop {
        for (side, (peer, to, talk)) in sides.iter().enumerate() {
            while let Some((at, packet)) = talk.packets.get(next[side])
                && *at <= start.elapsed()
            {
                peer.send(*to, packet);
                next[side] += 1;
                last = Instant::now();
            }
            let came = peer.pending();
            if !came.is_empty() {
                last = Instant::now();
                recordings[side].packets.extend(came);
            }
        }
        let is_said = sides
            .iter()
            .zip(next)
            .all(|((_, _, talk), next)| next == talk.count());
        if is_said && last.elapsed() > SILENCE {
            return recordings;
        }
        std::thread::park_timeout(TICK);
    }
}

impl Recording {
    /// The packets of a payload type as sequence number, time stamp and payload, in the order of the time stamps, each
    /// once.
    pub fn of(&self, payload_type: u8) -> Vec<(u16, u32, &[u8])> {
        let theirs = self
            .packets
            .iter()
            .filter(|packet| packet[1] & 0x7f == payload_type);
        let mut parts: Vec<(u16, u32, &[u8])> = theirs
            .map(|packet| {
                let sequence = u16::from_be_bytes([packet[2], packet[3]]);
                let stamp = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
                (sequence, stamp, &packet[HEADER..])
            })
            .collect();
        if let Some((_, first, _)) = parts.first().copied() {
            parts.sort_by_key(|(_, stamp, _)| stamp.wrapping_sub(first) as i32);
            parts.dedup_by_key(|(_, stamp, _)| *stamp);
        }
        parts
    }

    /// What was said by a codec, each packet where its time stamp puts it. Holes are silence in G.711; in G.722, whose
    /// decoder must not lose its place, the packet before again.
    pub fn sound(&self, codec: Codec) -> Sound {
        let parts = self.of(codec.payload_type());
        let mut octets: Vec<u8> = Vec::new();
        let first = parts.first().map_or(0, |(_, stamp, _)| *stamp);
        for (_, stamp, payload) in parts {
            let place = stamp.wrapping_sub(first) as usize;
            assert!(place < 8_000 * 120, "time stamps jump by {place}");
            while octets.len() < place {
                octets.push(match codec {
                    Codec::Ulaw => 0xff,
                    Codec::Alaw => 0xd5,
                    Codec::G722 => octets
                        .get(octets.len().wrapping_sub(payload.len()))
                        .copied()
                        .unwrap_or(0),
                });
            }
            octets.truncate(place);
            octets.extend(payload);
        }
        codec.decode(&octets)
    }

    /// How many packets are missing between the first and the last, by sequence number.
    pub fn holes(&self, codec: Codec) -> usize {
        let parts = self.of(codec.payload_type());
        let pairs = parts.windows(2);
        pairs
            .map(|pair| usize::from(pair[1].0.wrapping_sub(pair[0].0)).saturating_sub(1))
            .sum()
    }

    /// Checks that the stream is one stream: one SSRC, time stamps that go on with the sequence numbers, packets of so
    /// many milliseconds, none twice.
    #[track_caller]
    pub fn assert_sound_stream(&self, codec: Codec, ptime_ms: usize) {
        let parts = self.of(codec.payload_type());
        let theirs = self
            .packets
            .iter()
            .filter(|packet| packet[1] & 0x7f == codec.payload_type());
        let (count, mut sources) = (
            theirs.clone().count(),
            theirs.map(|packet| packet[8..12].to_vec()),
        );
        let first = sources
            .next()
            .unwrap_or_else(|| panic!("nothing came in {codec:?}"));
        assert!(sources.all(|source| source == first), "one SSRC");
        assert_eq!(count, parts.len(), "no packet comes twice");
        let size = ptime_ms * TICKS_PER_MS;
        for pair in parts.windows(2) {
            let ((before, earlier, _), (after, later, payload)) = (pair[0], pair[1]);
            let packets = u32::from(after.wrapping_sub(before));
            let ticks = later.wrapping_sub(earlier);
            assert_eq!(
                ticks,
                packets * size as u32,
                "time stamps at sequence number {after}"
            );
            assert_eq!(payload.len(), size, "packets of {ptime_ms} ms");
        }
    }
}
