//! Thousands of random call histories under a virtual clock, with all that must hold checked after each.
//!
//! A failure names its seed; `RINGWAY_SEED=… cargo test --test simulator` runs that one alone, and
//! `RINGWAY_HISTORIES=…` sets how many are run.

use ringway::sim::media::Combination;
use ringway::sim::{Faults, History, MediaHistory, MediaOutcome, MediaWorld, Phones, World};
use std::collections::HashSet;
use std::time::Instant;

/// How many histories a plain run plays.
const HISTORIES: u64 = 5_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// Plays the histories asked for, a plain run's `count` if none are; `play` says what was violated. Shows those that
/// failed, and returns how many were played.
fn each_seed(count: u64, mut play: impl FnMut(u64) -> Option<String>) -> u64 {
    let seeds = match number("RINGWAY_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RINGWAY_HISTORIES").unwrap_or(count),
    };
    let count = seeds.end - seeds.start;
    let failures: Vec<String> = seeds
        .filter_map(|seed| Some(format!("seed {seed}: {}", play(seed)?)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {count} histories failed\n{}",
        failures.len(),
        failures[..failures.len().min(5)].join("\n")
    );
    count
}

#[test]
fn every_random_history_ends_with_nothing_left() {
    let (mut came_up, mut heard) = (0, 0);
    let count = each_seed(HISTORIES, |seed| {
        let history = History::random(seed);
        let outcome = World::new(Instant::now(), &history)
            .expect("the world begins")
            .run();
        came_up += u64::from(outcome.came_up);
        heard += outcome.heard;
        let failed = !outcome.violations.is_empty();
        failed.then(|| format!("{:?}\n{history:#?}", outcome.violations))
    });
    assert!(
        count < 100 || (came_up > count && heard > count),
        "the calls are real: {came_up} up, {heard} packets"
    );
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        let history = History::random(seed);
        let run = || {
            World::new(Instant::now(), &history)
                .expect("the world begins")
                .run()
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn on_a_perfect_network_audio_gets_through() {
    for seed in 0..50 {
        let mut history = History::random(seed);
        history.faults = Faults::NONE;
        history.calls.truncate(1);
        let plan = &mut history.calls[0];
        plan.route = ringway::sim::history::Route::Dial;
        plan.caller.cancels_after = None;
        plan.caller.codecs = vec![ringway::codec::Codec::Ulaw];
        plan.called.codecs = vec![ringway::codec::Codec::Ulaw];
        plan.called.answers = Some((std::time::Duration::from_millis(300), 200));
        for within in [&mut plan.caller.within, &mut plan.called.within] {
            *within = ringway::sim::history::WithinPlan::default();
        }
        plan.caller.within.hangs_up_after = Some(std::time::Duration::from_secs(6));
        let outcome = World::new(Instant::now(), &history)
            .expect("the world begins")
            .run();
        assert_eq!(outcome.violations, Vec::<String>::new());
        assert_eq!(outcome.came_up, 2);
        // 150 packets each way; the first of a side may come before the other's description has.
        assert!(
            outcome.heard >= 280,
            "seed {seed}: {} packets heard",
            outcome.heard
        );
    }
}

/// How many histories of telephones a plain run plays.
const PHONE_HISTORIES: u64 = 1_500;

#[test]
fn telephones_that_do_what_they_like_leave_nothing() {
    each_seed(PHONE_HISTORIES, |seed| {
        let phones = Phones::new(Instant::now(), seed).expect("the world begins");
        let outcome = phones.run();
        let failed = !outcome.violations.is_empty();
        failed.then(|| format!("{:?}", outcome.violations))
    });
}

/// Plays histories of the media plane alone. How many, and what they came to in all.
fn play(count: u64, make: fn(u64) -> MediaHistory) -> (u64, MediaOutcome) {
    let mut all = MediaOutcome::default();
    let count = each_seed(count, |seed| {
        let outcome = MediaWorld::new(Instant::now(), make(seed)).run();
        all.relayed += outcome.relayed;
        all.made += outcome.made;
        all.taken += outcome.taken;
        all.digits += outcome.digits;
        all.recorded += outcome.recorded;
        all.rekeyed += outcome.rekeyed;
        let failed = !outcome.violations.is_empty();
        failed.then(|| format!("{:#?}", outcome.violations))
    });
    (count, all)
}

#[test]
fn every_pair_of_codecs_talks_at_every_packet_time_sealed_or_not_whatever_the_network_does() {
    let (count, all) = play(Combination::COUNT, MediaHistory::conversation);
    let tried: HashSet<Combination> = (0..count).map(Combination::of).collect();
    assert_eq!(tried.len() as u64, count.min(Combination::COUNT));
    let is_real = all.relayed > 20 * count && all.made > 50 * count && all.digits > count / 4;
    assert!(count < Combination::COUNT || is_real, "{all:?}");
}

#[test]
fn no_history_of_media_commands_breaks_a_stream_or_loses_count() {
    let (count, all) = play(Combination::COUNT, MediaHistory::random);
    let is_real = [all.relayed, all.made, all.taken, all.recorded]
        .iter()
        .all(|many| *many > 10 * count);
    let is_real = is_real && all.rekeyed > count / 20 && all.digits > count / 50;
    assert!(count < Combination::COUNT || is_real, "{all:?}");
}

#[test]
fn the_same_seed_gives_the_same_media() {
    for seed in 0..10 {
        let run = || MediaWorld::new(Instant::now(), MediaHistory::random(seed)).run();
        assert_eq!(run(), run(), "seed {seed}");
    }
}
