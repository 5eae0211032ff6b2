//! Recordings on a disk.

use super::*;
use crate::control::sounds::Asker;
use crate::link::recording::RecordingBlock;
use crate::link::{Channels, LegId, Rate, RecordingSink, RtpPort};
use std::fs;
use std::path::PathBuf;

fn order(path: PathBuf, channels: Channels, bytes_max: u64) -> (RecordingSink, RecordingOrder) {
    let port = RtpPort::new(20_000).expect("even");
    let asker = Asker {
        leg: LegId {
            port,
            generation: 1,
        },
        number: 1,
    };
    let file = (String::from("c"), path);
    RecordingOrder::new(asker, file, (Rate::Narrow, channels), bytes_max)
}

/// Writes these orders to their end; the answers.
fn run(orders: Vec<RecordingOrder>) -> (Vec<Recorded>, Arc<ControlMetrics>) {
    let metrics = Arc::new(ControlMetrics::new());
    let writer = Writer {
        running: Vec::new(),
        metrics: Arc::clone(&metrics),
    };
    let (queue, waiting) = sync_channel(QUEUE_MAX);
    orders
        .into_iter()
        .for_each(|order| queue.send(order).expect("there is room"));
    drop(queue);
    let mut answers = Vec::new();
    writer.run(&waiting, |recorded| answers.push(recorded));
    (answers, metrics)
}

/// Channels, rate and samples of a file, as another reader has them.
fn read(path: &std::path::Path) -> (u16, u32, Vec<i16>) {
    let bytes = fs::read(path).expect("a file");
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four"));
    assert_eq!(word(4) as usize, bytes.len() - 8);
    assert_eq!(word(40) as usize, bytes.len() - 44);
    let samples = bytes[44..].chunks_exact(2);
    let samples = samples.map(|two| i16::from_le_bytes([two[0], two[1]]));
    (
        u16::from_le_bytes([bytes[22], bytes[23]]),
        word(24),
        samples.collect(),
    )
}

#[test]
fn what_was_dropped_is_silence_and_time_stays_right() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("2026/a.wav");
    let (sink, order) = order(path.clone(), Channels::Stereo, 1 << 20);
    order.keep.keep();
    for number in [0, 1, 4] {
        sink.push(RecordingBlock::new(number, &[number as i16 + 1; 160]));
    }
    drop(sink);
    let (answers, _) = run(vec![order]);
    assert_eq!(answers[0].path.as_ref(), Some(&path));
    let (channels, rate, samples) = read(&path);
    assert_eq!((channels, rate, samples.len()), (2, 8_000, 5 * 160));
    let first_of_each: Vec<i16> = samples.chunks(160).map(|block| block[0]).collect();
    assert_eq!(first_of_each, [1, 2, 0, 0, 5]);
    assert!(!root.path().join("2026/a.wav.part").exists());
}

#[test]
fn one_that_is_not_kept_goes() {
    let root = tempfile::tempdir().expect("a directory");
    let (sink, order) = order(root.path().join("a.wav"), Channels::Heard, 1 << 20);
    sink.push(RecordingBlock::new(0, &[1; 80]));
    drop(sink);
    let (answers, metrics) = run(vec![order]);
    assert_eq!(answers[0].path, None);
    assert_eq!(fs::read_dir(root.path()).expect("a directory").count(), 0);
    assert_eq!(metrics.recordings.total_failed(), 0);
}

#[test]
fn numbers_go_on_where_they_are_taken() {
    let root = tempfile::tempdir().expect("a directory");
    let orders = (0..3).map(|_| {
        let (_, order) = order(root.path().join("a-%d.wav"), Channels::Heard, 1 << 20);
        order.keep.keep();
        order
    });
    let (answers, _) = run(orders.collect());
    let mut names: Vec<String> = answers
        .iter()
        .filter_map(|answer| {
            answer
                .path
                .as_ref()?
                .file_name()?
                .to_str()
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    assert_eq!(names, ["a-0.wav", "a-1.wav", "a-2.wav"]);
}

#[test]
fn a_full_one_ends_with_what_it_has() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("a.wav");
    let (sink, order) = order(path.clone(), Channels::Heard, 44 + 1000);
    order.keep.keep();
    (0..100).for_each(|number| sink.push(RecordingBlock::new(number, &[7; 80])));
    let (answers, metrics) = run(vec![order]);
    assert_eq!(answers[0].path.as_ref(), Some(&path));
    assert_eq!(read(&path).2, [7; 500]);
    assert_eq!(metrics.recordings.total_failed(), 1);
}

#[test]
fn a_disk_that_cannot_be_written_is_told_once_and_counted() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (_sink, order) = order(file.path().join("below.wav"), Channels::Heard, 1 << 20);
    let (answers, metrics) = run(vec![order]);
    assert_eq!(answers[0].path, None);
    assert_eq!(metrics.recordings.total_failed(), 1);
}

#[test]
fn a_recording_that_runs_can_be_read_after_a_crash() {
    let root = tempfile::tempdir().expect("a directory");
    let (sink, order) = order(root.path().join("a.wav"), Channels::Heard, 1 << 20);
    let mut running = Running {
        file: WavFile::create(&order).expect("it can be written"),
        order,
        turns: TURNS_BETWEEN_HEADERS - 1,
    };
    sink.push(RecordingBlock::new(0, &[3; 80]));
    assert!(matches!(running.turn(), Turn::GoesOn));
    assert_eq!(read(&root.path().join("a.wav.part")).2, [3; 80]);
}

#[test]
fn a_file_that_is_taken_away_is_told_while_it_is_written_and_counted_once() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("a.wav");
    let (sink, order) = order(path.clone(), Channels::Heard, 1 << 20);
    order.keep.keep();
    let metrics = Arc::new(ControlMetrics::new());
    let mut writer = Writer {
        running: Vec::new(),
        metrics: Arc::clone(&metrics),
    };
    let mut answers = Vec::new();
    writer.begin(order, &mut |recorded| answers.push(recorded));
    sink.push(RecordingBlock::new(0, &[1; 80]));
    fs::remove_file(root.path().join("a.wav.part")).expect("it is there");
    for _ in 0..TURNS_BETWEEN_HEADERS {
        writer.turn(&mut |recorded| answers.push(recorded));
    }
    assert_eq!(answers.len(), 1, "the call goes on, the recording does not");
    assert_eq!(answers[0].path, None);
    assert_eq!(metrics.recordings.total_failed(), 1);
}

#[test]
fn a_full_disk_keeps_no_empty_file() {
    // Every write to it finds it full.
    let root = tempfile::tempdir().expect("a directory");
    let part = root.path().join("a.wav.part");
    std::os::unix::fs::symlink("/dev/full", &part).expect("a link");
    let (_sink, order) = order(root.path().join("a.wav"), Channels::Heard, 1 << 20);
    let (answers, metrics) = run(vec![order]);
    assert_eq!(answers[0].path, None);
    assert_eq!(metrics.recordings.total_failed(), 1);
    assert!(part.symlink_metadata().is_err(), "it is gone");
}
