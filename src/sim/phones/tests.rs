use super::*;

/// What the gateway has sent in a fair number of histories.
const TRIED: [&str; 26] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "NOTIFY",
    "PRACK",
    "REFER",
    "UPDATE",
    "180 INVITE",
    "183 INVITE",
    "200 INFO",
    "200 INVITE",
    "200 PRACK",
    "200 REGISTER",
    "200 UPDATE",
    "202 REFER",
    "302 INVITE",
    "401 INVITE",
    "401 REGISTER",
    "422 INVITE",
    "481 INVITE",
    "486 INVITE",
    "487 INVITE",
    "488 INVITE",
    "491 INVITE",
];

#[test]
fn some_histories_leave_nothing_and_try_everything() {
    let one = std::env::var("RINGWAY_SEED").ok();
    let one = one.and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..160, |seed| seed..seed + 1);
    let mut failures = Vec::new();
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in seeds {
        let phones = Phones::new(Instant::now(), seed).expect("the world begins");
        let outcome = phones.run();
        if !outcome.violations.is_empty() {
            failures.push(format!("seed {seed}: {:?}", outcome.violations));
        }
        for (name, times) in outcome.seen {
            *seen.entry(name).or_default() += times;
        }
    }
    assert!(
        failures.is_empty(),
        "{} failed\n{}",
        failures.len(),
        failures.join("\n")
    );
    let is_missing = |name: &&str| !seen.contains_key(*name);
    let missing: Vec<&str> = TRIED.into_iter().filter(|name| is_missing(name)).collect();
    assert!(
        one.is_some() || missing.is_empty(),
        "never sent: {missing:?}; sent: {seen:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..5 {
        let run = || Phones::new(Instant::now(), seed).expect("it begins").run();
        assert_eq!(run(), run(), "seed {seed}");
    }
}
