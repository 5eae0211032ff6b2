use super::*;

#[test]
fn some_histories_leave_nothing() {
    let first = std::env::var("RINGWAY_SEED").ok();
    let first = first.and_then(|seed| seed.parse().ok());
    let seeds: std::ops::Range<u64> = match first {
        Some(seed) => seed..seed + 1,
        None => 0..300,
    };
    let mut failures = Vec::new();
    for seed in seeds {
        let phones = Phones::new(Instant::now(), seed).expect("the world begins");
        let outcome = phones.run();
        if !outcome.violations.is_empty() {
            failures.push(format!("seed {seed}: {:?}", outcome.violations));
        }
    }
    assert!(
        failures.is_empty(),
        "{} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        let run = || Phones::new(Instant::now(), seed).expect("it begins").run();
        assert_eq!(run(), run(), "seed {seed}");
    }
}
