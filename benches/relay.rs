//! The worker, no sockets: nanoseconds a packet relayed, for one call and for a thousand in random order, each packet in
//! a receive buffer of its own as the ring has them; a packet transcoded; and what a stranger's packet costs.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ringway::codec::{Codec, Payload};
use ringway::link::{
    Command, FormatList, LegFormats, LegId, PayloadMap, PortRange, Remote, RtpPort, WireFormat,
    WorkerId,
};
use ringway::media::{Component, LegSlot, Nanos, Verdict, Worker};
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};

/// µ-law, 20 ms.
const PACKET_LEN: usize = 172;
const BUFFER_LEN: usize = 2_048;
const FIRST_PORT: u16 = 10_000;

/// Bridged calls, the packets of their legs and the order that they come in.
struct Bed {
    worker: Worker,
    now: Nanos,
    /// One receive buffer a leg.
    buffers: Vec<u8>,
    sources: Vec<SocketAddr>,
    order: Vec<u16>,
    sequence: u16,
}

impl Bed {
    /// Calls between peers of two codecs, which have none in common.
    fn transcoding(calls: u16, codecs: [Codec; 2]) -> Bed {
        let mut bed = Bed::new(calls);
        let nothing = PayloadMap::new(&[]).expect("a map");
        for call in 0..calls {
            let [a, b] = [leg(call * 2), leg(call * 2 + 1)];
            for (leg, slot, codec) in [(a, call * 2, codecs[0]), (b, call * 2 + 1, codecs[1])] {
                let payload_type = codec.static_payload_type().expect("a static one");
                let list = FormatList::new([WireFormat {
                    payload_type,
                    payload: Payload::Codec(codec),
                }]);
                let formats = Box::new(LegFormats {
                    receive: list,
                    send: list,
                    ptime_ms: 20,
                });
                bed.worker
                    .handle_command(bed.now, Command::SetFormats { leg, formats });
                bed.buffers[usize::from(slot) * BUFFER_LEN + 1] = payload_type;
            }
            let bridge = Command::Bridge {
                a,
                b,
                a_to_b: nothing,
                b_to_a: nothing,
            };
            bed.worker.handle_command(bed.now, bridge);
        }
        for _ in 0..50 {
            bed.transcoding_round();
        }
        bed
    }

    /// One packet of each leg, and the 20 ms after it; how many packets were made.
    fn transcoding_round(&mut self) -> usize {
        self.round();
        let mut made = 0;
        while let Some(due) = self.worker.next_audio().filter(|due| *due <= self.now) {
            self.worker.handle_audio(due);
            while let Some(transmit) = self.worker.poll_transmit() {
                made += usize::from(black_box(transmit).packet.len() == PACKET_LEN);
            }
        }
        made
    }

    fn new(calls: u16) -> Bed {
        let legs = calls * 2;
        let range = PortRange::new(FIRST_PORT, FIRST_PORT + legs * 2 - 1, 1).expect("a range");
        let mut order: Vec<u16> = (0..legs).collect();
        fastrand::Rng::with_seed(7).shuffle(&mut order);
        let mut bed = Bed {
            worker: Worker::new(WorkerId(0), range, 1),
            now: Nanos(1),
            buffers: vec![0x55; usize::from(legs) * BUFFER_LEN],
            sources: (0..legs).map(source).collect(),
            order,
            sequence: 0,
        };
        let map = PayloadMap::new(&[(0, 0), (101, 101)]).expect("a map");
        for slot in 0..legs {
            bed.open(slot);
        }
        for call in 0..calls {
            bed.worker.handle_command(
                bed.now,
                Command::Bridge {
                    a: leg(call * 2),
                    b: leg(call * 2 + 1),
                    a_to_b: map,
                    b_to_a: map,
                },
            );
        }
        for slot in 0..legs {
            let at = usize::from(slot) * BUFFER_LEN;
            bed.buffers[at..at + 12].copy_from_slice(&[0x80; 12]);
            bed.buffers[at + 1] = 0;
            bed.buffers[at + 8..at + 12].copy_from_slice(&u32::from(slot).to_be_bytes());
        }
        // Latches all of them.
        assert_eq!(bed.round(), usize::from(legs));
        while bed.worker.poll_event().is_some() {}
        while bed.worker.poll_socket().is_some() {}
        bed
    }

    fn open(&mut self, slot: u16) {
        let rtp = source(slot);
        let leg = leg(slot);
        let remote = Remote {
            rtp,
            rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1),
            signalling: rtp.ip(),
            carries: ringway::link::Carries::Rtp,
            symmetric: true,
            send: true,
            receive: true,
            timeout_s: 60,
        };
        let bind = Ipv4Addr::LOCALHOST.into();
        self.worker
            .handle_command(self.now, Command::Open { leg, bind });
        self.worker
            .handle_command(self.now, Command::SetRemote { leg, remote });
    }

    /// One packet of each leg, 20 ms later; how many were sent on.
    fn round(&mut self) -> usize {
        self.sequence = self.sequence.wrapping_add(1);
        self.now.0 += 20_000_000;
        let timestamp = u32::from(self.sequence) * 160;
        let mut sent = 0;
        for slot in &self.order {
            let at = usize::from(*slot) * BUFFER_LEN;
            let packet = &mut self.buffers[at..at + BUFFER_LEN];
            packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
            let verdict = self.worker.handle_packet(
                self.now,
                LegSlot(*slot),
                Component::Rtp,
                self.sources[usize::from(*slot)],
                packet,
                PACKET_LEN,
            );
            sent += usize::from(matches!(black_box(verdict), Verdict::Send { .. }));
        }
        sent
    }
}

fn leg(slot: u16) -> LegId {
    LegId {
        port: RtpPort::new(FIRST_PORT + slot * 2).expect("even"),
        generation: 1,
    }
}

fn source(slot: u16) -> SocketAddr {
    let [high, low] = slot.to_be_bytes();
    SocketAddr::new(Ipv4Addr::new(10, 0, high, low).into(), 4_000)
}

fn relay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("relay");
    for calls in [1, 100, 1_000, 4_000] {
        let mut bed = Bed::new(calls);
        let packets = bed.order.len();
        group.throughput(Throughput::Elements(packets as u64));
        group.bench_function(BenchmarkId::new("calls", calls), |bencher| {
            bencher.iter(|| assert_eq!(bed.round(), packets));
        });
    }
    group.finish();
}

fn transcode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transcode");
    for (name, codecs) in [
        ("ulaw to alaw", [Codec::Ulaw, Codec::Alaw]),
        ("ulaw to g722", [Codec::Ulaw, Codec::G722]),
    ] {
        let mut bed = None;
        group.throughput(Throughput::Elements(1_000));
        group.bench_function(BenchmarkId::new(name, 500), |bencher| {
            let bed = bed.get_or_insert_with(|| Bed::transcoding(500, codecs));
            bencher.iter(|| assert_eq!(bed.transcoding_round(), 1_000));
        });
    }
    group.finish();
}

fn stranger(criterion: &mut Criterion) {
    let mut bed = Bed::new(1);
    let from = SocketAddr::new(Ipv4Addr::new(203, 0, 113, 66).into(), 4_000);
    let mut group = criterion.benchmark_group("stranger");
    group.throughput(Throughput::Elements(1));
    group.bench_function("dropped", |bencher| {
        bencher.iter(|| {
            let packet = &mut bed.buffers[..BUFFER_LEN];
            let slot = LegSlot(0);
            bed.worker
                .handle_packet(bed.now, slot, Component::Rtp, from, packet, PACKET_LEN)
        });
    });
    group.finish();
}

fn tick(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tick");
    group.throughput(Throughput::Elements(2_000));
    group.bench_function("1000 calls", |bencher| {
        bencher.iter_batched_ref(
            || Bed::new(1_000),
            |bed| bed.worker.handle_tick(bed.now),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, relay, transcode, stranger, tick);
criterion_main!(benches);
