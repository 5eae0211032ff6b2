//! Random histories of commands, packets and time against what must always hold. What the worker is asked is kept here in
//! plain sets and maps, so that the judge shares no rule with the judged.

use super::super::testing::*;
use super::*;
use crate::codec::Codec;
use proptest::prelude::*;
use std::collections::HashMap;

const LEGS: u16 = 4;
/// The SDP tells one of these, or none.
const PHONES: [&str; 4] = [
    "192.0.2.1:4000",
    "192.0.2.1:4002",
    "192.0.2.2:4000",
    "0.0.0.0:4000",
];
/// Ports of allowed hosts that no SDP told.
const NATS: [&str; 3] = ["192.0.2.1:31000", "192.0.2.2:31000", "192.0.2.200:31000"];
/// Where phones move to.
const AWAY: [&str; 2] = ["198.51.100.77:5000", "198.51.100.78:5000"];
/// They know ports and payload types, not the streams.
const INTRUDERS: [&str; 3] = ["203.0.113.66:4000", "203.0.113.66:9999", "192.0.2.3:4000"];

#[derive(Clone, Debug)]
enum Step {
    Open(u16),
    Remote {
        leg: u16,
        phone: usize,
        symmetric: bool,
        send: bool,
        receive: bool,
    },
    Bridge(u16, u16),
    Echo(u16),
    Detach(u16),
    Close(u16),
    /// So many packets of one of the leg's own streams, in order, 20 ms apart.
    Talk {
        leg: u16,
        from: &'static str,
        ssrc: u32,
        packets: u8,
    },
    Intrude {
        leg: u16,
        from: &'static str,
        sequence: u16,
        rtcp: bool,
    },
    Pass {
        ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leg = 0..LEGS;
    let sources: Vec<&'static str> = [&PHONES[..3], &NATS[..], &AWAY[..]].concat();
    let remote = (leg.clone(), 0..PHONES.len(), any::<[bool; 3]>());
    let talk = (
        leg.clone(),
        proptest::sample::select(sources),
        0..2u32,
        1..8u8,
    );
    let intrude = (
        leg.clone(),
        proptest::sample::select(&INTRUDERS[..]),
        any::<u16>(),
        any::<bool>(),
    );
    let step = prop_oneof![
        3 => leg.clone().prop_map(Step::Open),
        4 => remote.prop_map(|(leg, phone, [symmetric, hold_out, hold_in])| Step::Remote {
            leg,
            phone,
            symmetric,
            send: !hold_out,
            receive: !hold_in,
        }),
        3 => (leg.clone(), leg.clone()).prop_map(|(a, b)| Step::Bridge(a, b)),
        1 => leg.clone().prop_map(Step::Echo),
        1 => leg.clone().prop_map(Step::Detach),
        1 => leg.clone().prop_map(Step::Close),
        20 => talk.prop_map(|(leg, from, ssrc, packets)| Step::Talk { leg, from, ssrc, packets }),
        6 => intrude.prop_map(|(leg, from, sequence, rtcp)| Step::Intrude {
            leg,
            from,
            sequence,
            rtcp,
        }),
        4 => (1..3_000u64).prop_map(|ms| Step::Pass { ms }),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What the commands so far amount to.
#[derive(Clone, Debug)]
struct Known {
    send: bool,
    receive: bool,
    /// The last SDP address that told one, and the source last latched since.
    told: Option<SocketAddr>,
    latched: Option<SocketAddr>,
    /// What it is to hear: the leg itself in the echo.
    partner: Option<u16>,
    heard: Option<Heard>,
}

/// The last packet sent to a leg.
#[derive(Clone, Debug)]
struct Heard {
    ssrc: u32,
    sequence: u16,
    /// Which leg, lease and SSRC it came from.
    source: (u16, u32, u32),
    /// Its number there.
    source_sequence: u16,
}

struct Judge {
    bed: Bed,
    generations: [u32; LEGS as usize],
    known: HashMap<u16, Known>,
    streams: HashMap<(u16, u32), Packet>,
}

impl Judge {
    fn id(&self, leg: u16) -> LegId {
        leg_id(20_000 + leg * 2, self.generations[usize::from(leg)])
    }

    fn part(&mut self, leg: u16) {
        let partner = self
            .known
            .get_mut(&leg)
            .and_then(|known| known.partner.take());
        if let Some(far) = partner.and_then(|partner| self.known.get_mut(&partner)) {
            far.partner = None;
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open(leg) => self.open(leg),
            Step::Remote {
                leg,
                phone,
                symmetric,
                send,
                receive,
            } => {
                let told = addr(PHONES[phone]);
                let remote = Remote {
                    symmetric,
                    send,
                    receive,
                    ..remote(PHONES[phone])
                };
                let leg_name = self.id(leg);
                if let Some(known) = self.known.get_mut(&leg) {
                    (known.send, known.receive) = (send, receive);
                    if !told.ip().is_unspecified() && known.told != Some(told) {
                        known.told = Some(told);
                        known.latched = None;
                    }
                }
                let leg = leg_name;
                self.bed.command(Command::SetRemote { leg, remote });
            }
            Step::Bridge(a, b) => {
                if a != b && self.known.contains_key(&a) && self.known.contains_key(&b) {
                    self.part(a);
                    self.part(b);
                    for (leg, far) in [(a, b), (b, a)] {
                        self.known.get_mut(&leg).expect("open").partner = Some(far);
                    }
                }
                self.bed.bridge(self.id(a), self.id(b));
            }
            Step::Echo(leg) => {
                self.part(leg);
                if let Some(known) = self.known.get_mut(&leg) {
                    known.partner = Some(leg);
                }
                let leg = self.id(leg);
                self.bed.formats(leg, says_and_hears(0, Codec::Ulaw));
                self.bed.command(Command::Echo { leg });
            }
            Step::Detach(leg) => {
                self.part(leg);
                let leg = self.id(leg);
                self.bed.command(Command::Detach { leg });
            }
            Step::Close(leg) => {
                self.part(leg);
                let was_open = self.known.remove(&leg).is_some();
                self.drain();
                let leg = self.id(leg);
                self.bed.command(Command::Close { leg });
                let events = self.bed.events();
                let closed = matches!(events[..], [Event::Closed { leg: it, .. }] if it == leg);
                assert_eq!(closed, was_open, "{events:?}");
            }
            Step::Talk {
                leg,
                from,
                ssrc,
                packets,
            } => (0..packets).for_each(|_| self.talk(leg, from, ssrc)),
            Step::Intrude {
                leg,
                from,
                sequence,
                rtcp,
            } => self.intrude(leg, from, sequence, rtcp),
            Step::Pass { ms } => self.bed.pass_ms(ms),
        }
        self.bed.tick();
        self.bed.orders();
        self.drain();
        assert_eq!(self.bed.worker.open_legs(), self.known.len());
    }

    fn open(&mut self, leg: u16) {
        if !self.known.contains_key(&leg) {
            self.generations[usize::from(leg)] += 1;
            self.known.insert(
                leg,
                Known {
                    send: false,
                    receive: false,
                    told: None,
                    latched: None,
                    partner: None,
                    heard: None,
                },
            );
        }
        let bind = addr("203.0.113.1:0").ip();
        let leg = self.id(leg);
        self.bed.command(Command::Open { leg, bind });
    }

    fn talk(&mut self, leg: u16, from: &'static str, ssrc: u32) {
        let key = (leg, ssrc);
        let packet = *self.streams.entry(key).or_insert(Packet {
            sequence: 65_500,
            ..stream(0x1000 + u32::from(leg) * 16 + ssrc)
        });
        self.streams.insert(key, packet.next());
        let result = self.bed.packet(self.id(leg), from, packet);
        self.drain();
        self.bed.pass_ms(20);
        let Ok(sent) = result else { return };

        let generation = self.generations[usize::from(leg)];
        let near = &self.known[&leg];
        assert!(near.receive);
        let to = near.partner.expect("somebody hears it");
        assert_eq!(sent.leg, LegSlot(to));
        let far = self.known.get_mut(&to).expect("open");
        assert!(far.send);
        assert!(
            [far.told, far.latched].contains(&Some(sent.to)),
            "{sent:?} {far:?}"
        );
        let source = (leg, generation, packet.ssrc);
        if let Some(last) = &far.heard {
            assert_eq!(sent.ssrc(), last.ssrc);
            let step = sent.sequence().wrapping_sub(last.sequence);
            let went = packet.sequence.wrapping_sub(last.source_sequence);
            let same = source == last.source;
            assert!(step == 1 || same && step == went, "{step} {went} {same}");
        } else {
            assert_eq!(sent.bytes, packet.bytes());
        }
        far.heard = Some(Heard {
            ssrc: sent.ssrc(),
            sequence: sent.sequence(),
            source,
            source_sequence: packet.sequence,
        });
    }

    fn intrude(&mut self, leg: u16, from: &'static str, sequence: u16, rtcp: bool) {
        let id = self.id(leg);
        let packet = Packet {
            sequence,
            ..stream(0xbad)
        };
        let result = match rtcp {
            false => self.bed.packet(id, from, packet),
            true => {
                let mut bytes = vec![0x80, 201, 0, 1];
                bytes.extend((0x1000 + u32::from(leg) * 16).to_be_bytes());
                self.bed.bytes(id, Component::Rtcp, from, bytes)
            }
        };
        assert!(result.is_err(), "{result:?}");
    }

    /// Takes the events; who was latched was allowed to be, or proved to be the phone.
    fn drain(&mut self) {
        for event in self.bed.events() {
            let Event::Latched { leg, source } = event else {
                continue;
            };
            assert!(!INTRUDERS.map(addr).contains(&source));
            let known = self.known.get_mut(&slot_of(leg).0).expect("open");
            known.latched = Some(source);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_history_lets_an_intruder_in_or_breaks_a_stream(steps in steps()) {
        let mut judge = Judge {
            bed: Bed::new(),
            generations: [0; LEGS as usize],
            known: HashMap::new(),
            streams: HashMap::new(),
        };
        for step in steps {
            judge.step(step);
        }
        let open = judge.known.len();
        judge.bed.command(Command::Stop);
        let closed = judge.bed.events();
        prop_assert_eq!(closed.len(), open);
        let all_closed = closed.iter().all(|event| matches!(event, Event::Closed { .. }));
        prop_assert!(all_closed);
    }
}
