use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const FIRST: u32 = 0xffff_f000;
const TAG: u8 = 8;
/// What playout allows for beyond what it has seen.
const RESERVE: u64 = 5 * MS;

/// The octet of a time stamp, so that what comes out can be told by what it is.
fn octet(timestamp: u32) -> u8 {
    (timestamp.wrapping_mul(0x9e37_79b1) >> 24) as u8
}

fn octets(timestamp: u32, len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|i| octet(timestamp.wrapping_add(i)))
        .collect()
}

/// A buffer, its clock, and all that came out of it.
struct Listener {
    buffer: JitterBuffer,
    next_tick: u64,
    heard: Vec<(Pulled, Option<u32>)>,
    quiet: bool,
    most_delay: u64,
    /// Times that audio was left out.
    blocks_left_out: u64,
}

impl Listener {
    /// Ticks at this phase of 10 ms.
    fn new(phase: u64) -> Self {
        Listener {
            buffer: JitterBuffer::new(),
            next_tick: phase,
            heard: Vec::new(),
            quiet: false,
            most_delay: 0,
            blocks_left_out: 0,
        }
    }

    /// Pulls up to now; what is audio must be what was pushed.
    fn run(&mut self, now: u64) {
        while self.next_tick < now {
            let mut block = [0; BLOCK];
            let pulled = self.buffer.pull(self.next_tick, self.quiet, &mut block);
            let timestamp = self.buffer.timestamp();
            if let Pulled::Audio { .. } = pulled {
                let first = timestamp.expect("audio has a time stamp");
                assert_eq!(block.to_vec(), octets(first, BLOCK));
                self.most_delay = self.most_delay.max(self.buffer.delay_ns());
            }
            self.see_left_out(pulled, timestamp);
            self.heard.push((pulled, timestamp));
            self.next_tick += 10 * MS;
        }
    }

    /// What was left out is audio as it was pushed, follows what was pulled before, and is followed by what is pulled now.
    fn see_left_out(&mut self, pulled: Pulled, timestamp: Option<u32>) {
        let Some(left_out) = self.buffer.take_left_out() else {
            return;
        };
        assert_eq!(left_out.block.to_vec(), octets(left_out.timestamp, BLOCK));
        let is_audio = pulled == Pulled::Audio { tag: TAG };
        if let Some(timestamp) = timestamp.filter(|_| is_audio) {
            assert!(timestamp.wrapping_sub(left_out.timestamp) as i32 >= BLOCK as i32);
        }
        if let Some((Pulled::Audio { .. }, Some(before))) = self.heard.last() {
            assert_eq!(left_out.timestamp, before.wrapping_add(BLOCK as u32));
        }
        self.blocks_left_out += 1;
    }

    fn push(&mut self, now: u64, extended: u32, timestamp: u32, len: usize) -> Pushed {
        self.push_marked(now, extended, timestamp, len, false)
    }

    fn push_marked(
        &mut self,
        now: u64,
        extended: u32,
        timestamp: u32,
        len: usize,
        marker: bool,
    ) -> Pushed {
        self.run(now);
        self.buffer.push(
            now,
            Arriving {
                extended,
                timestamp,
                tag: TAG,
                marker,
                payload: &octets(timestamp, len),
            },
        )
    }

    /// What was heard from the first audio on, and forgets it.
    fn take(&mut self) -> Vec<(Pulled, Option<u32>)> {
        std::mem::take(&mut self.heard)
            .into_iter()
            .skip_while(|(pulled, _)| *pulled == Pulled::Silent)
            .collect()
    }

    /// The time stamps of audio that was heard.
    fn audio(&self) -> Vec<u32> {
        let audio = self.heard.iter();
        audio
            .filter(|(pulled, _)| *pulled == Pulled::Audio { tag: TAG })
            .map(|(_, timestamp)| timestamp.expect("audio has one").wrapping_sub(FIRST))
            .collect()
    }

    fn count(&self, what: Pulled) -> usize {
        self.heard
            .iter()
            .filter(|(pulled, _)| *pulled == what)
            .count()
    }
}

/// The packet `n` of a stream of packets of `len` octets.
fn at(n: u32, len: usize) -> u32 {
    FIRST.wrapping_add(n * len as u32)
}

fn packet_ns(len: usize) -> u64 {
    len as u64 * UNIT_NS as u64
}

/// Packets of `len` octets that come in time, but those that `lost` names.
fn steady(listener: &mut Listener, len: usize, packets: u32, lost: impl Fn(u32) -> bool) {
    for n in 0..packets {
        if !lost(n) {
            let now = 100 * MS + u64::from(n) * packet_ns(len);
            listener.push(now, 70_000 + n, at(n, len), len);
        }
    }
    listener.run(100 * MS + u64::from(packets) * packet_ns(len) + RESERVE);
}

#[test]
fn a_steady_stream_leaves_with_the_next_tick_but_five_milliseconds() {
    for len in [80, 160, 240, 320, 400, 480, 40, 120, 100] {
        for phase in [0, 1, 5, 9] {
            let mut listener = Listener::new(phase * MS + 1);
            steady(&mut listener, len, 500, |_| false);
            let counts = *listener.buffer.counts();
            assert_eq!((counts.lost, counts.late, counts.dropped), (0, 0, 0));
            // Packets that are no whole blocks make it wait once or twice, at the start.
            let allowed = if len % BLOCK == 0 { 0 } else { 2 };
            assert!(counts.starved <= allowed, "{len} {phase}: {counts:?}");
            let most = RESERVE + if len % BLOCK == 0 { 10 * MS } else { 25 * MS };
            assert!(listener.most_delay < most, "{len}: {}", listener.most_delay);
            let audio = listener.audio();
            assert!(audio.iter().zip(0..).all(|(at, n)| *at == n * 80), "{len}");
            assert!(
                audio.len() >= 500 * len / BLOCK - 4,
                "{len}: {}",
                audio.len()
            );
        }
    }
}

#[test]
fn what_is_lost_is_concealed_for_as_long_as_it_was() {
    // One of them; three in a row; the last before the end.
    let lost = |n| [5, 20, 21, 22, 47].contains(&n);
    let mut listener = Listener::new(3 * MS);
    steady(&mut listener, 160, 49, lost);
    let counts = *listener.buffer.counts();
    let here: Vec<u32> = (0..49 * 2)
        .filter(|block| !lost(block / 2))
        .map(|block| block * 80)
        .collect();
    assert_eq!(listener.audio(), here);
    assert_eq!(counts.lost, 10);
    let heard = listener.take();
    assert_eq!(heard.len(), 98, "neither longer nor shorter");
}

#[test]
fn a_lost_packet_is_said_where_later_ones_are_here() {
    let mut listener = Listener::new(0);
    for n in [0, 1, 3, 4] {
        listener.push(MS, 70_000 + n, at(n, 160), 160);
    }
    listener.run(101 * MS);
    let audio = |n| (Pulled::Audio { tag: TAG }, Some(at(n, 80)));
    let lost = |n| (Pulled::Lost, Some(at(n, 80)));
    let expected: Vec<_> = [
        audio(0),
        audio(1),
        audio(2),
        audio(3),
        lost(4),
        lost(5),
        audio(6),
        audio(7),
        audio(8),
        audio(9),
    ]
    .to_vec();
    assert_eq!(listener.take(), expected);
}

#[test]
fn duplicates_and_late_packets_are_told() {
    let mut listener = Listener::new(0);
    for (n, expected) in [
        (0, Pushed::Kept),
        (2, Pushed::Kept),
        (2, Pushed::Duplicate),
        (0, Pushed::Duplicate),
        (1, Pushed::Kept),
        (4, Pushed::Kept),
    ] {
        assert_eq!(listener.push(MS, 70_000 + n, at(n, 160), 160), expected);
    }
    let late = listener.push(95 * MS, 70_003, at(3, 160), 160);
    assert_eq!(late, Pushed::Late);
    let counts = listener.buffer.counts();
    assert_eq!((counts.late, counts.duplicates, counts.kept), (1, 2, 4));
}

#[test]
fn what_is_late_in_part_is_played_in_part() {
    let mut listener = Listener::new(0);
    listener.push(MS, 1, at(0, 320), 320);
    listener.push(MS, 3, at(2, 320), 320);
    // The first block of it was given up already.
    listener.run(51 * MS);
    assert_eq!(listener.heard.last().map(|last| last.0), Some(Pulled::Lost));
    assert_eq!(listener.push(51 * MS, 2, at(1, 320), 320), Pushed::Kept);
    listener.run(121 * MS);
    assert_eq!(
        listener.audio(),
        [0, 80, 160, 240, 400, 480, 560, 640, 720, 800, 880]
    );
}

/// Sends packets of 20 ms, each delayed by what `delay` says, and hears them.
fn delayed(
    listener: &mut Listener,
    from: u32,
    packets: u32,
    ppm: i64,
    mut delay: impl FnMut(u32) -> u64,
) {
    let mut arrivals: Vec<(u64, u32)> = (from..from + packets)
        .map(|n| {
            let sent = i64::from(n) * 20 * MS as i64;
            (
                100 * MS + (sent + sent / 1_000_000 * ppm) as u64 + delay(n),
                n,
            )
        })
        .collect();
    arrivals.sort_unstable();
    for (now, n) in arrivals {
        listener.push(now, 70_000 + n, at(n, 160), 160);
    }
}

#[test]
fn an_hour_of_clock_drift_is_followed_block_by_block() {
    for ppm in [500, -500, 0] {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut listener = Listener::new(2 * MS);
        listener.quiet = true;
        delayed(&mut listener, 0, 180_000, ppm, |_| rng.u64(0..2 * MS));
        let counts = *listener.buffer.counts();
        // 500 ppm of an hour are 1.8 s, 180 blocks.
        let (starved, dropped) = match ppm {
            500 => (170..=200, 0..=15),
            -500 => (0..=15, 170..=200),
            _ => (0..=4, 0..=4),
        };
        assert!(starved.contains(&counts.starved), "{ppm}: {counts:?}");
        assert!(dropped.contains(&counts.dropped), "{ppm}: {counts:?}");
        assert_eq!(listener.blocks_left_out, counts.dropped, "each is told");
        assert_eq!((counts.late, counts.lost, counts.restarts), (0, 0, 0));
        assert!(listener.most_delay < 30 * MS, "{}", listener.most_delay);
    }
}

#[test]
fn wild_delays_are_outwaited_and_forgotten() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut listener = Listener::new(0);
    // Mostly little, sometimes much, so that packets overtake each other.
    delayed(&mut listener, 0, 3000, 0, |_| {
        let x = rng.f64();
        (x * x * x * 150.0 * MS as f64) as u64
    });
    let learnt = *listener.buffer.counts();
    assert!(learnt.starved < 60, "{learnt:?}");
    assert!(learnt.late < 30, "of 3,000: {learnt:?}");
    assert!(listener.most_delay < 190 * MS, "{}", listener.most_delay);
    assert!(listener.buffer.delay_ns() > 80 * MS);
    // The network calms down. Within 8 s that is known, and each second one block goes.
    delayed(&mut listener, 3000, 1800, 0, |_| 0);
    assert!(
        listener.buffer.delay_ns() < 13 * MS,
        "{}",
        listener.buffer.delay_ns()
    );
    let calm = *listener.buffer.counts();
    assert!(
        (8..=20).contains(&(calm.dropped - learnt.dropped)),
        "{calm:?}"
    );
    assert_eq!(calm.lost, learnt.lost);
    assert!(calm.starved - learnt.starved <= 1, "{learnt:?} {calm:?}");
}

#[test]
fn a_stall_is_concealed_and_its_delay_worked_off() {
    for (stall, quiet) in [(100, true), (300, false), (300, true), (2000, true)] {
        let mut listener = Listener::new(MS);
        listener.quiet = quiet;
        delayed(&mut listener, 0, 2000, 0, |n| {
            let stalled = 1000..1000 + stall / 20;
            u64::from(stalled.end - n.clamp(stalled.start, stalled.end))
                * 20
                * MS
                * u64::from(stalled.contains(&n))
        });
        let counts = *listener.buffer.counts();
        assert!(counts.starved <= 20, "{stall}: {counts:?}");
        assert_eq!((counts.restarts, counts.lost), (0, 0), "{stall}");
        assert!(
            listener.most_delay <= 240 * MS,
            "{stall}: {}",
            listener.most_delay
        );
        let delay = listener.buffer.delay_ns();
        let left = if quiet || stall < 200 { 13 } else { 100 };
        assert!(delay < left * MS, "{stall}: {delay}");
    }
}

#[test]
fn a_burst_keeps_its_newest_part() {
    let mut listener = Listener::new(0);
    for n in 0..100 {
        assert_eq!(listener.push(MS, 70_000 + n, at(n, 160), 160), Pushed::Kept);
    }
    listener.run(1000 * MS);
    let audio = listener.audio();
    assert_eq!(audio.last(), Some(&(100 * 160 - 80)));
    assert_eq!(audio.len(), 24, "200 ms, two blocks, and a packet");
}

#[test]
fn what_is_left_out_behind_a_gap_is_not_told() {
    let mut listener = Listener::new(0);
    steady(&mut listener, 160, 10, |_| false);
    listener.run(400 * MS);
    let heard = listener.audio().len();
    // What was heard ends at a gap. A burst behind it first drops the gap and more, then some of what is left.
    for n in 20..50 {
        listener.push(401 * MS, 70_000 + n, at(n, 160), 160);
    }
    listener.run(420 * MS);
    assert!(listener.buffer.counts().dropped > 20);
    assert!(listener.audio().len() > heard, "it goes on");
    assert_eq!(
        listener.blocks_left_out, 0,
        "nothing of it follows what was heard"
    );
}

#[test]
fn a_pause_without_missing_numbers_is_no_loss() {
    for gap_ms in [20, 40, 100, 200, 500, 3000, 60_000] {
        for phase in [0, 4, 9] {
            let mut listener = Listener::new(phase * MS);
            let gap = gap_ms * 8;
            // Three talkspurts of five packets of 20 ms.
            for n in 0..15u32 {
                let timestamp = FIRST.wrapping_add(n * 160 + n / 5 * gap);
                let now = MS + u64::from(n) * 20 * MS + u64::from(n / 5 * gap_ms) * MS;
                let pushed = listener.push_marked(now, n, timestamp, 160, n % 5 == 0);
                assert_eq!(pushed, Pushed::Kept, "{gap_ms} {n}");
            }
            listener.run(listener.next_tick + 100 * MS);
            let counts = listener.buffer.counts();
            assert_eq!(counts.lost, 0, "{gap_ms}");
            let all: Vec<u32> = (0..30).map(|block| block * 80 + block / 10 * gap).collect();
            assert_eq!(listener.audio(), all, "{gap_ms} {phase}");
        }
    }
}

#[test]
fn comfort_noise_lasts_until_audio_comes() {
    for late in [0, 15, 60] {
        let mut listener = Listener::new(5 * MS);
        steady(&mut listener, 160, 10, |_| false);
        listener.run(100 * MS + 10 * 20 * MS);
        let begins = at(10, 160);
        listener.buffer.push_noise(300 * MS, 70_010, begins);
        listener.run(2300 * MS);
        assert_eq!(listener.buffer.counts().starved, 0);
        let noise = listener.count(Pulled::Noise);
        assert!((199..=200).contains(&noise), "{noise}");
        // 2 s of noise, then audio again, perhaps late, not at a whole block.
        let again = begins.wrapping_add(16_000 + 24);
        for n in 0..10 {
            let now = (2303 + late + u64::from(n) * 20) * MS;
            let pushed =
                listener.push_marked(now, 70_011 + n, again.wrapping_add(n * 160), 160, n == 0);
            assert_eq!(pushed, Pushed::Kept);
        }
        listener.run(2600 * MS);
        let counts = *listener.buffer.counts();
        assert_eq!(
            (counts.lost, counts.late, counts.restarts),
            (0, 0, 0),
            "{counts:?}"
        );
        let audio = listener.audio();
        assert_eq!(audio.len(), 40);
        assert_eq!(audio[20], 10 * 160 + 16_024);
    }
}

#[test]
fn a_source_may_begin_with_noise() {
    for jump in [false, true] {
        let mut listener = Listener::new(5 * MS);
        let mut first = FIRST;
        if jump {
            steady(&mut listener, 160, 10, |_| false);
            first = FIRST.wrapping_add(0x4000_0000);
        }
        let from = listener.next_tick - 2 * MS;
        let pushed = listener.buffer.push_noise(from, 70_010, first);
        let anew = if jump { Pushed::TooFar } else { Pushed::Kept };
        assert_eq!(pushed, anew);
        listener.heard.clear();
        listener.run(from + 500 * MS);
        assert_eq!(listener.count(Pulled::Noise), 50);
        for n in 0..5 {
            let now = from + (500 + u64::from(n) * 20) * MS;
            let timestamp = first.wrapping_add(4000 + n * 160);
            listener.push_marked(now, 70_011 + n, timestamp, 160, n == 0);
        }
        listener.run(from + 600 * MS);
        assert_eq!(listener.count(Pulled::Audio { tag: TAG }), 10);
    }
}

#[test]
fn a_longer_way_is_not_played_too_early_again() {
    for (quiet, longer) in [(true, 90), (false, 90), (true, 150)] {
        let mut listener = Listener::new(4 * MS);
        listener.quiet = quiet;
        delayed(&mut listener, 0, 1500, 0, |n| {
            if n < 500 { 0 } else { longer * MS }
        });
        let counts = *listener.buffer.counts();
        assert!(counts.starved <= longer / 10 + 1, "{counts:?}");
        assert_eq!((counts.dropped, counts.lost), (0, 0), "{counts:?}");
    }
}

#[test]
fn noise_and_its_end_may_be_here_before_they_are_played() {
    use Pulled::{Lost, Noise};
    // 60 ms less the one packet that is missing: without a marker it was the talkspurt's first; with one the noise's own.
    for (marker, pause) in [
        (false, [Noise, Noise, Noise, Noise, Lost, Lost]),
        (true, [Lost, Lost, Noise, Noise, Noise, Noise]),
    ] {
        let mut listener = Listener::new(5 * MS);
        listener.push(MS, 1, at(0, 160), 160);
        listener.buffer.push_noise(MS, 2, at(1, 160));
        listener.push_marked(MS, 4, at(4, 160), 160, marker);
        listener.run(115 * MS);
        let audio = Pulled::Audio { tag: TAG };
        let said = [&[audio; 2], &pause[..], &[audio; 2]].concat();
        let expected: Vec<_> = said
            .into_iter()
            .zip((0..).map(|n| Some(at(n, 80))))
            .collect();
        assert_eq!(listener.take(), expected);
    }
}

#[test]
fn a_packet_that_is_no_audio_is_not_missing() {
    let mut listener = Listener::new(0);
    steady(&mut listener, 160, 10, |_| false);
    // An event of 100 ms, whose packets have numbers and audio has none.
    for n in 0..8 {
        listener.buffer.skip(70_010 + n);
    }
    listener.run(400 * MS);
    assert_eq!(
        listener.heard.last().map(|last| last.0),
        Some(Pulled::Silent)
    );
    for n in 0..5 {
        let now = 400 * MS + u64::from(n) * 20 * MS;
        listener.push_marked(now, 70_018 + n, at(15 + n, 160), 160, n == 0);
    }
    listener.run(500 * MS + RESERVE);
    let counts = listener.buffer.counts();
    assert_eq!((counts.lost, counts.starved, counts.late), (0, 0, 0));
    assert_eq!(listener.audio().len(), 30);
}

#[test]
fn time_stamps_that_jump_begin_anew() {
    for jump in [
        0x4000_0000,
        0x8000_0000u32,
        0xf000_0000,
        100_000,
        3200,
        -3200i32 as u32,
    ] {
        let mut listener = Listener::new(5 * MS);
        let mut restarts = 0;
        for n in 0..100u32 {
            let timestamp = at(n, 160).wrapping_add(if n < 50 { 0 } else { jump });
            let pushed = listener.push(MS + u64::from(n) * 20 * MS, n, timestamp, 160);
            restarts += u32::from(pushed == Pushed::TooFar);
            assert!(
                matches!(pushed, Pushed::Kept | Pushed::TooFar),
                "{jump:#x} {n}"
            );
        }
        listener.run(2010 * MS);
        assert_eq!(restarts, 1, "{jump:#x}");
        assert!(listener.audio().len() >= 199, "{jump:#x}");
        assert_eq!(listener.buffer.counts().lost, 0);
        assert!(listener.buffer.delay_ns() < RESERVE + 10 * MS);
    }
}

#[test]
fn a_codec_changes_between_two_packets() {
    let mut buffer = JitterBuffer::new();
    for n in 0..4 {
        let packet = Arriving {
            extended: n,
            timestamp: n * 160,
            tag: if n < 2 { 0 } else { 9 },
            marker: false,
            payload: &[n as u8; 160],
        };
        assert_eq!(buffer.push(0, packet), Pushed::Kept);
    }
    let mut block = [0; BLOCK];
    for n in 0..8 {
        let tag = if n < 4 { 0 } else { 9 };
        assert_eq!(
            buffer.pull(RESERVE + n * 10 * MS, false, &mut block),
            Pulled::Audio { tag }
        );
        assert_eq!(block, [(n / 2) as u8; BLOCK]);
    }
}

#[test]
fn a_reset_forgets_all_but_the_counts() {
    let mut listener = Listener::new(0);
    steady(&mut listener, 160, 10, |_| false);
    listener.buffer.reset();
    let mut block = [0; BLOCK];
    assert_eq!(
        listener.buffer.pull(300 * MS, false, &mut block),
        Pulled::Silent
    );
    assert_eq!(listener.buffer.counts().kept, 10);
    assert_eq!(listener.push(301 * MS, 3, 77, 160), Pushed::Kept);
    let pulled = listener.buffer.pull(301 * MS + RESERVE, false, &mut block);
    assert_eq!(pulled, Pulled::Audio { tag: TAG });
}

proptest! {
    // What is rare in such histories is one in a thousand of them.
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_octet_comes_out_once_in_order(
        len in prop::sample::select(vec![40usize, 80, 160, 240, 333]),
        seed in any::<u64>(),
    ) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut listener = Listener::new(0);
        let per_batch = 1600 / len as u32;
        let batch_ns = u64::from(per_batch) * packet_ns(len);
        for batch in 0..20 {
            let mut packets: Vec<u32> = (batch * per_batch..(batch + 1) * per_batch).collect();
            let again = packets.clone();
            packets.extend(again.into_iter().filter(|_| rng.bool()));
            rng.shuffle(&mut packets);
            for n in packets {
                let pushed = listener.push(u64::from(batch) * batch_ns + 1, n, at(n, len), len);
                prop_assert!(matches!(pushed, Pushed::Kept | Pushed::Duplicate));
            }
        }
        listener.run(21 * batch_ns);
        let audio = listener.audio();
        let blocks = (20 * per_batch as usize * len / BLOCK) as u32;
        prop_assert_eq!(audio, (0..blocks).map(|n| n * 80).collect::<Vec<_>>());
        prop_assert_eq!(listener.buffer.counts().lost, 0);
    }

    #[test]
    fn lost_is_what_was_lost(seed in any::<u64>(), share in 0.0..0.5f64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let lost: Vec<bool> = (0..300).map(|n| n > 0 && rng.f64() < share).collect();
        let mut listener = Listener::new(rng.u64(0..10 * MS));
        // More than 200 ms without a packet would be a pause, and no longer a loss.
        let mut run = 0;
        let lost: Vec<bool> = lost
            .into_iter()
            .map(|lost| {
                run = if lost && run < 9 { run + 1 } else { 0 };
                run > 0
            })
            .collect();
        steady(&mut listener, 160, 300, |n| lost[n as usize]);
        let last = lost.iter().rposition(|lost| !lost).expect("the first is here");
        let here: Vec<u32> = (0..600).filter(|n| !lost[*n as usize / 2]).map(|n| n * 80).collect();
        let count = lost[..last].iter().filter(|lost| **lost).count() as u64 * 2;
        prop_assert_eq!(listener.audio(), here);
        prop_assert_eq!(listener.buffer.counts().lost, count);
    }

    #[test]
    fn nothing_upsets_it(steps in prop::collection::vec(
        (0..4u8, any::<u8>(), -9000..9000i32, 0..600usize, 0..40u64), 1..300,
    )) {
        let mut listener = Listener::new(0);
        let (mut now, mut timestamp) = (0, FIRST);
        for (what, extended, jump, len, wait) in steps {
            now += wait * MS;
            let extended = 1000 + u32::from(extended);
            if what == 1 {
                timestamp = timestamp.wrapping_add_signed(jump);
            }
            match what {
                0 | 1 => {
                    listener.push(now, extended, timestamp, len);
                    timestamp = timestamp.wrapping_add(len as u32);
                }
                2 => {
                    listener.run(now);
                    listener.buffer.push_noise(now, extended, timestamp);
                }
                _ => listener.buffer.skip(extended),
            }
        }
        listener.run(now + 1000 * MS);
    }
}
