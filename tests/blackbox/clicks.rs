//! No clicks where packets are lost: the steps of what is concealed, beside those of libspandsp's concealment (another work
//! from the same idea, ITU-T G.711 Appendix I) of the same packets.

use crate::gateway::Options;
use crate::lab::{Call, Codec, Report, Side, Sound, Talk, report};
use std::ffi::{c_int, c_void};

const CODEC: Codec = Codec::Ulaw;
const SAYS: &str = "The birch canoe slid on the smooth planks, and four hours of steady work faced us. \
    Glue the sheet to the dark blue background; it is easy to tell the depth of a well. \
    These days a chicken leg is a rare dish, and rice is often served in round bowls.";
/// Samples of a packet of 20 ms at 8 kHz.
const PACKET: usize = 160;
/// Samples before and behind the end of a loss that are looked at.
const AROUND: usize = 4;

/// libspandsp's concealment of packets that were lost.
fn concealed(decoded: &[i16], lost: &[usize]) -> Vec<i16> {
    type New = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
    type Block = unsafe extern "C" fn(*mut c_void, *mut i16, c_int) -> c_int;
    // SAFETY: libspandsp's initializers need nothing, and its plc.h declares these three so.
    let (init, rx, fill_in) = unsafe {
        let library = libc::dlopen(c"libspandsp.so.2".as_ptr(), libc::RTLD_NOW);
        assert!(!library.is_null(), "libspandsp (`make test` installs it)");
        let symbol = |name: &std::ffi::CStr| {
            let symbol = libc::dlsym(library, name.as_ptr());
            assert!(!symbol.is_null(), "{name:?}");
            symbol
        };
        (
            std::mem::transmute::<*mut c_void, New>(symbol(c"plc_init")),
            std::mem::transmute::<*mut c_void, Block>(symbol(c"plc_rx")),
            std::mem::transmute::<*mut c_void, Block>(symbol(c"plc_fillin")),
        )
    };
    let mut out = decoded[..decoded.len() / PACKET * PACKET].to_vec();
    // SAFETY: with no state given it makes one, which is never freed; each block is as long as it says.
    unsafe {
        let state = init(std::ptr::null_mut());
        for (number, block) in out.chunks_exact_mut(PACKET).enumerate() {
            let work = if lost.contains(&number) { fill_in } else { rx };
            work(state, block.as_mut_ptr(), PACKET as c_int);
        }
    }
    out
}

/// What a recording has of a talk that loses packets, what was to be said, and which packets were lost.
fn recorded(said: &Sound, part: f64) -> (Sound, Vec<usize>) {
    let whole = Talk::new(CODEC, said, 20);
    let talk = whole.clone().lose(part);
    let nothing = Talk::of(CODEC, &[], 20);
    let options = Options {
        steps: r#""MixMonitor(call.wav,D)", "Dial(PJSIP/${EXTEN}@called,30)", "Hangup()""#,
        ..Options::default()
    };
    let sides = [Side::of(CODEC, 20), Side::of(Codec::Alaw, 20)];
    let call = Call::set_up(sides, &options, |caller, called| (caller, called));
    call.talk([&talk, &nothing]);
    let (_, folder) = call.end_and_keep_folder();
    let file = folder.path().join("monitor/call.wav");
    (Sound::left(&file, 8_000), talk.lost_of(&whole))
}

/// The lost packets as runs: the first sample and the one behind the last.
fn runs(lost: &[usize]) -> Vec<(usize, usize)> {
    let runs = lost.chunk_by(|a, b| a + 1 == *b);
    let ends = runs.map(|run| (run[0] * PACKET, (run[run.len() - 1] + 1) * PACKET));
    ends.collect()
}

/// How sharply it bends, sample by sample: a step in a wave bends it more than the wave itself ever does.
fn bends(samples: &[i16]) -> impl Iterator<Item = f64> {
    samples.windows(3).map(|three| {
        let [a, b, c] = [three[0], three[1], three[2]].map(f64::from);
        (a - 2.0 * b + c).abs()
    })
}

/// For each loss: the sharpest bend at its two ends, beside what is usual in the speech around it.
fn seams(original: &[i16], heard: &[i16], lost: &[usize], lag: impl Fn(usize) -> i64) -> Vec<f64> {
    let ratios = runs(lost).into_iter().filter_map(|(start, end)| {
        let around = original.get(start.checked_sub(2 * PACKET)?..end + 2 * PACKET)?;
        let count = around.len() as f64 - 2.0;
        let usual = (bends(around).map(|bend| bend * bend).sum::<f64>() / count).sqrt();
        let sharpest = [start, end].map(|place| {
            let place = usize::try_from(place as i64 + lag(start)).ok()?;
            let there = heard.get(place - AROUND..place + AROUND)?;
            Some(bends(there).fold(0.0, f64::max))
        });
        // Where nothing is said there is nothing to click.
        Some(sharpest[0]?.max(sharpest[1]?) / usual.max(50.0))
    });
    ratios.collect()
}

fn lag_at(report: &Report, place: usize) -> i64 {
    let near = |piece: &&crate::lab::Piece| piece.at.abs_diff(place);
    report.pieces.iter().min_by_key(near).expect("pieces").lag
}

/// The mean, and the worst.
fn summary(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().copied().fold(0.0, f64::max))
}

fn no_louder_than_the_reference(part: f64) {
    let said = Sound::speech(SAYS);
    let original = CODEC.decode(&CODEC.encode(&said));
    let (heard, lost) = recorded(&said, part);
    let report = report(&said, &heard, 2.0);
    let ours = seams(&original.samples, &heard.samples, &lost, |place| {
        lag_at(&report, place)
    });
    let theirs = seams(
        &original.samples,
        &concealed(&original.samples, &lost),
        &lost,
        |_| 0,
    );
    let hole = |place: usize, sample: i16| {
        if lost.contains(&(place / PACKET)) {
            0
        } else {
            sample
        }
    };
    let samples = original.samples.iter().enumerate();
    let holes: Vec<i16> = samples
        .map(|(place, sample)| hole(place, *sample))
        .collect();
    let holes = summary(&seams(&original.samples, &holes, &lost, |_| 0));
    let own = summary(&seams(&original.samples, &original.samples, &lost, |_| 0));
    let (ours, theirs) = (summary(&ours), summary(&theirs));
    let what = format!(
        "{} losses, bends at the seams, mean and worst: ours {ours:.2?}, libspandsp's {theirs:.2?}, of the speech \
         itself {own:.2?}, of silence instead {holes:.2?}",
        lost.len()
    );
    println!("{what}");
    assert!(lost.len() as f64 > part * 200.0, "{what}");
    assert!(ours.0 <= theirs.0.max(own.0) * 1.25, "{what}");
    assert!(ours.1 <= theirs.1.max(own.1) * 1.25, "{what}");
    // A click would be noticed.
    assert!(part < 0.05 || holes.1 > ours.1 * 2.0, "{what}");
}

#[test]
fn of_speech_where_one_packet_in_a_hundred_is_lost() {
    no_louder_than_the_reference(0.01);
}

#[test]
fn of_speech_where_one_packet_in_twenty_is_lost() {
    no_louder_than_the_reference(0.05);
}

const HERTZ: f64 = 440.0;
const AMPLITUDE: f64 = 8_000.0;

/// What a sine of this frequency does not explain: two samples tell the next. A click is as large as its step.
fn surprises(samples: &[i16]) -> f64 {
    let turn = 2.0 * (std::f64::consts::TAU * HERTZ / 8_000.0).cos();
    let rest = samples.windows(3).map(|three| {
        let [a, b, c] = [three[0], three[1], three[2]].map(f64::from);
        (c - turn * b + a).abs()
    });
    rest.fold(0.0, f64::max)
}

#[test]
fn of_a_tone() {
    let samples = (0..8_000 * 10).map(|place| {
        let phase = std::f64::consts::TAU * HERTZ * f64::from(place) / 8_000.0;
        (AMPLITUDE * phase.sin()) as i16
    });
    let said = Sound {
        rate: 8_000,
        samples: samples.collect(),
    };
    for part in [0.01, 0.05] {
        let original = CODEC.decode(&CODEC.encode(&said));
        let (heard, lost) = recorded(&said, part);
        assert!(!lost.is_empty());
        let first = heard
            .samples
            .iter()
            .position(|sample| *sample != 0)
            .expect("a tone");
        let last = heard
            .samples
            .iter()
            .rposition(|sample| *sample != 0)
            .expect("a tone");
        let ours = surprises(&heard.samples[first + PACKET..last - 10 * PACKET]);
        let theirs = surprises(&concealed(&original.samples, &lost)[PACKET..]);
        let least = surprises(&original.samples[PACKET..]);
        println!(
            "{} losses: largest surprise ours {ours:.0}, libspandsp {theirs:.0}, without loss {least:.0}",
            lost.len()
        );
        assert!(
            ours <= theirs.max(least * 2.0) * 1.1,
            "{ours:.0}, {theirs:.0}"
        );
    }
}
