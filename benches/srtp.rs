//! Sealing and opening a packet of 20 ms of G.711 (172 bytes) under each suite, beside libsrtp where it is installed.

#[path = "../tests/srtp/libsrtp.rs"]
#[expect(dead_code, reason = "the tests seal RTCP with it too")]
mod libsrtp;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use libsrtp::{Direction, Session};
use ringway::rtp::srtp::{MasterKey, OVERHEAD_MAX, Opener, Sealer, Suite};
use std::hint::black_box;

/// RTP header and 160 samples.
const PACKET_LEN: usize = 172;
/// Room behind a packet: what libsrtp asks for is the larger.
const BUFFER_LEN: usize = PACKET_LEN + 160;

/// Packets of one source, each with the next sequence number.
struct Packets {
    sequence: u16,
}

impl Packets {
    fn write_next(&mut self, buffer: &mut [u8; BUFFER_LEN]) {
        self.sequence = self.sequence.wrapping_add(1);
        buffer[..2].copy_from_slice(&[0x80, 8]);
        buffer[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        buffer[4..12].copy_from_slice(&[1; 8]);
    }
}

fn seal(criterion: &mut Criterion, suite: Suite, master: &MasterKey) {
    let mut group = criterion.benchmark_group(format!("srtp seal/{}", suite.name()));
    let mut buffer = [0xd5; BUFFER_LEN];
    let mut packets = Packets { sequence: 0 };
    let mut sealer = Sealer::new(master);
    group.bench_function("ringway", |bencher| {
        bencher.iter(|| {
            packets.write_next(&mut buffer);
            let room = &mut buffer[..PACKET_LEN + OVERHEAD_MAX];
            black_box(sealer.seal(black_box(room), PACKET_LEN)).expect("seals")
        });
    });
    if let Some(mut theirs) = Session::new(master, Direction::Outbound) {
        let mut packets = Packets { sequence: 0 };
        group.bench_function("libsrtp", |bencher| {
            bencher.iter(|| {
                packets.write_next(&mut buffer);
                black_box(theirs.seal(black_box(&mut buffer), PACKET_LEN)).expect("seals")
            });
        });
    }
    group.finish();
}

/// Opening needs packets that were sealed before; making them is not measured.
fn open(criterion: &mut Criterion, suite: Suite, master: &MasterKey) {
    let mut group = criterion.benchmark_group(format!("srtp open/{}", suite.name()));
    let sealed_by = |sealer: &mut Sealer, packets: &mut Packets| {
        let mut buffer = [0xd5; BUFFER_LEN];
        packets.write_next(&mut buffer);
        let len = sealer.seal(&mut buffer, PACKET_LEN).expect("seals");
        (buffer, len)
    };
    let (mut sealer, mut packets) = (Sealer::new(master), Packets { sequence: 0 });
    let mut opener = Opener::new(master);
    group.bench_function("ringway", |bencher| {
        bencher.iter_batched_ref(
            || sealed_by(&mut sealer, &mut packets),
            |(buffer, len)| black_box(opener.open(&mut buffer[..*len])).expect("opens"),
            BatchSize::SmallInput,
        );
    });
    if let Some(mut theirs) = Session::new(master, Direction::Inbound) {
        let (mut sealer, mut packets) = (Sealer::new(master), Packets { sequence: 0 });
        group.bench_function("libsrtp", |bencher| {
            bencher.iter_batched_ref(
                || sealed_by(&mut sealer, &mut packets),
                |(buffer, len)| black_box(theirs.open(&mut buffer[..*len])).expect("opens"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn every_suite(criterion: &mut Criterion) {
    for suite in Suite::ALL {
        let master = MasterKey::new(suite, &vec![7; suite.material_len()]).expect("a key");
        seal(criterion, suite, &master);
        open(criterion, suite, &master);
    }
}

criterion_group!(benches, every_suite);
criterion_main!(benches);
