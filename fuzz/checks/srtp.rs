//! A sealer and an opener with a hostile network between them: packets lost, late, repeated, damaged, and junk, under
//! keys that change. Nothing forged is opened, nothing twice, and nothing genuine is refused that is within the window.

use ringway::rtp::srtp::{MasterKey, OVERHEAD_MAX, Opener, Sealer, Suite};
use std::collections::HashSet;

/// The replay window, and how far ahead a sequence number can be told.
const BEHIND_MAX: u64 = 127;
const AHEAD_MAX: u64 = (1 << 15) - 1;
/// Packets that the network can still deliver.
const IN_FLIGHT_MAX: usize = 64;
const SSRC: u32 = 0x5eed_cafe;

/// A packet on the network.
struct Sent {
    epoch: u8,
    index: u64,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

struct Scene {
    suite: Suite,
    sealer: Sealer,
    opener: Opener,
    epoch: u8,
    /// Index of the next packet.
    next: u64,
    sent: Vec<Sent>,
    opened: HashSet<(u8, u64)>,
    /// The highest index that was opened, and under the key of which epoch.
    highest: Option<(u8, u64)>,
}

fn key(suite: Suite, epoch: u8) -> MasterKey {
    MasterKey::new(suite, &vec![epoch; suite.material_len()]).expect("the right length")
}

fn rtp(index: u64, payload: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend((index as u16).to_be_bytes());
    packet.extend((index as u32).to_be_bytes());
    packet.extend(SSRC.to_be_bytes());
    packet.resize(12 + usize::from(payload), payload);
    packet
}

fn rtcp(payload: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(SSRC.to_be_bytes());
    packet.resize(8 + usize::from(payload) * 4, payload);
    packet
}

impl Scene {
    fn new(seed: u8) -> Scene {
        let suite = Suite::ALL[usize::from(seed) % Suite::ALL.len()];
        Scene {
            suite,
            sealer: Sealer::new(&key(suite, 0)),
            opener: Opener::new(&key(suite, 0)),
            epoch: 0,
            next: u64::from(seed) << 8,
            sent: Vec::new(),
            opened: HashSet::new(),
            highest: None,
        }
    }

    fn send(&mut self, step: u64, payload: u8) {
        let plain = rtp(self.next, payload);
        let mut sealed = plain.clone();
        sealed.resize(plain.len() + OVERHEAD_MAX, 0);
        let len = self
            .sealer
            .seal(&mut sealed, plain.len())
            .expect("a new number is sealed");
        sealed.truncate(len);
        self.sent.push(Sent {
            epoch: self.epoch,
            index: self.next,
            plain,
            sealed,
        });
        if self.sent.len() > IN_FLIGHT_MAX {
            self.sent.remove(0);
        }
        self.next += 1 + step;
    }

    /// True if the opener has to take a packet that it has not had.
    fn must_open(&self, sent: &Sent) -> bool {
        match self.highest {
            // Of a new source it tries the first two rollover counters.
            None => sent.epoch == self.epoch && sent.index < 3 << 15,
            // Under a key that is newer by one, or the same: it knows where the numbers are.
            Some((epoch, highest)) => {
                let is_near =
                    sent.index + BEHIND_MAX >= highest && sent.index <= highest + AHEAD_MAX;
                let is_in_use = sent.epoch == self.epoch && self.epoch - epoch <= 1;
                is_in_use && is_near
            }
        }
    }

    fn deliver(&mut self, which: usize) {
        let Some(sent) = self.sent.get(which % self.sent.len().max(1)) else {
            return;
        };
        let mut packet = sent.sealed.clone();
        let is_new = !self.opened.contains(&(sent.epoch, sent.index));
        match self.opener.open(&mut packet) {
            Ok(len) => {
                assert!(is_new, "opened twice");
                assert_eq!(packet[..len], sent.plain);
                self.opened.insert((sent.epoch, sent.index));
                let highest = self.highest.map_or(0, |(_, highest)| highest);
                let epoch = self.highest.map_or(0, |(epoch, _)| epoch);
                self.highest = Some((epoch.max(sent.epoch), highest.max(sent.index)));
            }
            Err(error) => assert!(!is_new || !self.must_open(sent), "refused: {error}"),
        }
    }

    fn damage(&mut self, which: usize, bit: usize) {
        let Some(sent) = self.sent.get(which % self.sent.len().max(1)) else {
            return;
        };
        let mut packet = sent.sealed.clone();
        let bit = bit % (packet.len() * 8);
        packet[bit / 8] ^= 1 << (bit % 8);
        assert!(self.opener.open(&mut packet).is_err(), "forged");
    }

    fn report(&mut self, payload: u8, bit: usize) {
        let plain = rtcp(payload);
        let mut sealed = plain.clone();
        sealed.resize(plain.len() + OVERHEAD_MAX, 0);
        let len = self
            .sealer
            .seal_rtcp(&mut sealed, plain.len())
            .expect("a report is sealed");
        sealed.truncate(len);
        let mut damaged = sealed.clone();
        let bit = bit % (len * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(self.opener.open_rtcp(&mut damaged).is_err(), "forged");
        let mut packet = sealed.clone();
        let len = self.opener.open_rtcp(&mut packet).expect("genuine");
        assert_eq!(packet[..len], plain);
        assert!(self.opener.open_rtcp(&mut sealed).is_err(), "opened twice");
    }

    fn rekey(&mut self) {
        self.epoch = self.epoch.saturating_add(1);
        let key = key(self.suite, self.epoch);
        self.opener.rekey(&key);
        self.sealer.rekey(&key);
    }

    fn junk(&mut self, bytes: &[u8]) {
        assert!(self.opener.open(&mut bytes.to_vec()).is_err());
        assert!(self.opener.open_rtcp(&mut bytes.to_vec()).is_err());
        let mut bytes = bytes.to_vec();
        let len = bytes.len();
        bytes.resize(len + OVERHEAD_MAX, 0);
        let _ = Sealer::new(&key(self.suite, 0)).seal(&mut bytes, len);
    }
}

/// Checks one input: the first byte chooses the suite and where the numbers begin; then four bytes a step.
pub fn srtp(data: &[u8]) {
    let Some((&seed, mut rest)) = data.split_first() else {
        return;
    };
    let mut scene = Scene::new(seed);
    while let Some((&[what, a, b, c], after)) = rest.split_first_chunk::<4>() {
        rest = after;
        let (which, wide) = (usize::from(a), usize::from(u16::from_be_bytes([b, c])));
        match what % 8 {
            0 | 1 => scene.send(0, a),
            2 => scene.send(wide as u64 % AHEAD_MAX, a),
            3 | 4 => scene.deliver(which),
            5 => scene.damage(which, wide),
            6 if a == 0 => scene.rekey(),
            6 => scene.report(b, usize::from(c)),
            _ => {
                let (junk, after) = rest.split_at(which.min(rest.len()));
                rest = after;
                scene.junk(junk);
            }
        }
    }
}
