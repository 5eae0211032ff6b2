//! Telephone events: any packets start and end events in turn; and events that are sent, lost in part, doubled and passed
//! on to other clock rates are told once each.

use ringway::rtp::telephone_event::{
    Change, EventReceiver, EventSender, Retiming, Sending, TelephoneEvent,
};

const RATES: [u32; 3] = [8000, 16_000, 48_000];

/// Checks that events start and end in turn, and lists those that start.
#[derive(Default)]
struct Told {
    active: Option<u8>,
    started: Vec<u8>,
}

impl Told {
    fn take(&mut self, change: Change) {
        match change {
            Change::Started { code } => {
                assert_eq!(self.active.replace(code), None);
                self.started.push(code);
            }
            Change::Ended { code, .. } => assert_eq!(self.active.take(), Some(code)),
        }
    }
}

fn anything(data: &[u8]) {
    let mut receiver = EventReceiver::default();
    let mut retiming = Retiming::new(8000, 48_000);
    let mut told = Told::default();
    let mut now = 0;
    for step in data.as_chunks::<8>().0 {
        let [wait, sequence, high, low, event @ ..] = *step;
        now += u64::from(wait) * 1_000_000;
        let time = (u32::from(high) << 12 | u32::from(low), event[1] & 0x40 != 0);
        receiver.receive(now, u32::from(sequence), time, &event, |change| {
            told.take(change)
        });
        assert_eq!(receiver.is_active(), told.active.is_some());
        for event in TelephoneEvent::parse(&event) {
            let (_, passed) = retiming.translate(time, event, 7);
            assert_eq!((passed.code, passed.volume), (event.code, event.volume));
        }
        if wait & 1 != 0
            && let Some(change) = receiver.expire(now)
        {
            told.take(change);
        }
    }
    if let Some(change) = receiver.reset() {
        told.take(change);
    }
    assert_eq!(told.active, None);
}

/// Four bytes an event: code, duration, and which packets are lost or come twice.
fn sent(data: &[u8]) {
    let (from, to) = match data.first() {
        Some(byte) => (
            RATES[usize::from(*byte) % 3],
            RATES[usize::from(*byte >> 4) % 3],
        ),
        None => return,
    };
    let mut retiming = Retiming::new(from, to);
    let mut receiver = EventReceiver::default();
    let mut told = Told::default();
    let (mut expected, mut extended) = (Vec::new(), 0x10000);
    let (mut timestamp, mut mapped) = (0xffff_f000u32, 7u32);
    for &[code, duration, lost, doubled] in data[1..].as_chunks::<4>().0 {
        // Most are short, some up to 12 s, which is several segments at 48 kHz.
        let duration_ms = match code & 0x80 {
            0 => u32::from(duration) + 40,
            _ => u32::from(duration) * 47 + 40,
        };
        let sending = Sending {
            code: code & 0x0f,
            volume: 10,
            timestamp,
            clock_rate: from,
            packet_ms: [20, 10, 40, 60][usize::from(code >> 4) % 4],
            duration_ms,
        };
        let mut sender = EventSender::new(&sending);
        let (mut heard, mut turn) = (false, 0);
        while let Some(packet) = sender.step() {
            extended += 1;
            turn += 1;
            let event = TelephoneEvent::parse(&packet.payload)
                .next()
                .expect("one is sent");
            let time = (packet.timestamp, packet.marker);
            let (passed_at, passed) = retiming.translate(time, event, mapped);
            if lost >> (turn % 8) & 1 == 0 {
                heard = true;
                for _ in 0..=(doubled >> (turn % 8) & 1) {
                    let time = (passed_at, packet.marker);
                    let now = u64::from(extended) * 20_000_000;
                    receiver.receive(now, extended, time, &passed.write(), |change| {
                        told.take(change)
                    });
                }
            }
        }
        if heard {
            expected.push(sending.code);
        }
        let units = u64::from(duration_ms + 60) * u64::from(from) / 1000;
        timestamp = timestamp.wrapping_add(units as u32);
        mapped = mapped.wrapping_add((units * u64::from(to) / u64::from(from)) as u32);
    }
    if let Some(change) = receiver.reset() {
        told.take(change);
    }
    assert_eq!(told.active, None);
    assert_eq!(told.started, expected);
}

/// Checks one input.
pub fn telephone_event(data: &[u8]) {
    match data.split_first() {
        Some((0..128, rest)) => anything(rest),
        Some((_, rest)) => sent(rest),
        None => {}
    }
}
