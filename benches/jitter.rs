//! What a leg whose audio is decoded pays for its jitter buffer: 20 ms of a stream, a packet pushed and two blocks pulled,
//! in so many legs in turn as a worker has; and what a report's score costs.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringway::rtp::jitter::{Arriving, BLOCK, JitterBuffer, Pulled};
use ringway::rtp::quality::{Coding, Conditions, mos};
use std::hint::black_box;

const TICK_NS: u64 = 10_000_000;
const PACKET_LEN: u32 = 2 * BLOCK as u32;

struct Leg {
    buffer: Box<JitterBuffer>,
    packets: u32,
}

impl Leg {
    fn packet(&mut self, payload: &[u8]) {
        let packet = Arriving {
            extended: 0x10000 + self.packets,
            timestamp: self.packets.wrapping_mul(PACKET_LEN),
            tag: 0,
            marker: false,
            payload,
        };
        let now = u64::from(self.packets) * 2 * TICK_NS;
        black_box(self.buffer.push(now, packet));
        self.packets += 1;
    }

    fn block(&mut self, tick: u64) -> Pulled {
        let now = u64::from(self.packets) * 2 * TICK_NS + tick * TICK_NS + 1;
        let mut block = [0; BLOCK];
        let pulled = self.buffer.pull(now, false, &mut block);
        black_box(block);
        pulled
    }
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("jitter");
    let payload = [0x55; PACKET_LEN as usize];
    for (name, lost_of) in [("all come", u32::MAX), ("one of ten lost", 10)] {
        for legs in [1u64, 100, 1000] {
            let mut list: Vec<Leg> = (0..legs)
                .map(|_| Leg {
                    buffer: Box::new(JitterBuffer::new()),
                    packets: 0,
                })
                .collect();
            group.throughput(Throughput::Elements(legs));
            group.bench_function(format!("packet and two blocks, {name}/{legs}"), |bencher| {
                bencher.iter(|| {
                    for leg in &mut list {
                        match leg.packets % lost_of == lost_of - 1 {
                            true => leg.packets += 1,
                            false => leg.packet(&payload),
                        }
                    }
                    for tick in 0..2 {
                        for leg in &mut list {
                            black_box(leg.block(tick));
                        }
                    }
                });
            });
        }
    }
    group.finish();
}

fn score(criterion: &mut Criterion) {
    let conditions = Conditions {
        coding: Coding::G711,
        loss: 0.02,
        burst_ratio: 1.5,
        delay_ms: 180.0,
    };
    criterion.bench_function("quality/mos", |bencher| {
        bencher.iter(|| mos(black_box(&conditions)));
    });
}

criterion_group!(benches, streams, score);
criterion_main!(benches);
