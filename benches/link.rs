//! The queue between the planes: a command through it, alone and in batches, and across two threads.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ringway::link::ring::{Bell, Limits, queue};
use ringway::link::{Command, LegId, RtpPort};
use std::hint::black_box;
use std::thread;

struct Silent;

impl Bell for Silent {
    fn ring(&self) {}
}

const LIMITS: Limits = Limits {
    queue_max: 1_024,
    backlog_max: 1_024,
};

fn command() -> Command {
    Command::Close {
        leg: LegId {
            port: RtpPort::new(20_000).expect("even"),
            generation: 1,
        },
    }
}

fn one_thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("link");
    for batch in [1, 64, 1_024] {
        let (mut sender, mut receiver) = queue(LIMITS, Silent);
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("push and pop/{batch}"), |bencher| {
            bencher.iter(|| {
                for _ in 0..batch {
                    assert!(sender.send(black_box(command())).is_ok());
                }
                for _ in 0..batch {
                    assert!(black_box(receiver.receive()).is_some());
                }
            });
        });
    }
    group.finish();
}

fn two_threads(criterion: &mut Criterion) {
    const COMMANDS: u64 = 100_000;
    let mut group = criterion.benchmark_group("link");
    group.throughput(Throughput::Elements(COMMANDS));
    group.sample_size(20);
    group.bench_function("across threads", |bencher| {
        bencher.iter(|| {
            let (mut sender, mut receiver) = queue(LIMITS, Silent);
            let sending = thread::spawn(move || {
                for _ in 0..COMMANDS {
                    assert!(sender.send(command()).is_ok());
                    while sender.backlog() > 0 && !sender.flush() {
                        thread::yield_now();
                    }
                }
            });
            let mut received = 0;
            while received < COMMANDS {
                match receiver.receive() {
                    Some(_) => received += 1,
                    None => thread::yield_now(),
                }
            }
            sending.join().expect("it ends");
        });
    });
    group.finish();
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
