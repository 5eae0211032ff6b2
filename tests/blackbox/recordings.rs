//! Recordings on the disk, beside what was said: by Record and by MixMonitor, relayed and transcoded, of calls that end
//! well and of a gateway that does not.

use crate::gateway::{Gateway, Options};
use crate::lab::{Call, Codec, Report, Side, Solo, Sound, Talk, exchange, report};
use std::path::{Path, PathBuf};

const CALLER_SAYS: &str =
    "The birch canoe slid on the smooth planks, and four hours of steady work faced us.";
const CALLED_SAYS: &str =
    "Glue the sheet to the dark blue background; it is easy to tell the depth of a well.";
/// A packet, in samples at 8 kHz.
const PACKET: i64 = 160;

/// A WAV file as its header tells it, read by this test's own eyes.
struct Wav {
    rate: u32,
    channels: usize,
    samples: Vec<i16>,
    /// Bytes of samples that the header tells of, and those that are there.
    told: usize,
    there: usize,
}

fn wav(file: &Path) -> Wav {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let short = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"));
    assert_eq!(
        [&bytes[..4], &bytes[8..16], &bytes[36..40]],
        [&b"RIFF"[..], b"WAVEfmt ", b"data"]
    );
    assert_eq!(
        (number(16), short(20), short(34)),
        (16, 1, 16),
        "PCM of 16 bits"
    );
    let (rate, channels, told) = (number(24), usize::from(short(22)), number(40) as usize);
    assert_eq!(number(4) as usize, told + 36);
    let samples = bytes[44..].chunks_exact(2);
    let samples = samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    Wav {
        rate,
        channels,
        samples: samples.take(told / 2).collect(),
        told,
        there: bytes.len() - 44,
    }
}

impl Wav {
    fn channel(&self, channel: usize) -> Sound {
        let samples = self.samples[channel..].iter().step_by(self.channels);
        Sound {
            rate: self.rate,
            samples: samples.copied().collect(),
        }
    }

    fn seconds(&self) -> f64 {
        self.samples.len() as f64 / self.channels as f64 / f64::from(self.rate)
    }

    /// It is complete.
    #[track_caller]
    fn assert_whole(&self) {
        assert_eq!(self.told, self.there);
    }
}

fn folder(gateway: &Gateway) -> PathBuf {
    gateway.folder.path().join("monitor")
}

/// What was recorded is what was said, through its codec, in its place all along.
#[track_caller]
fn assert_recorded(
    said: &Sound,
    codec: Codec,
    recorded: &Sound,
    late_s: f64,
    what: &str,
) -> Report {
    let chain = report(said, &codec.decode(&codec.encode(said)), 0.1);
    let ours = report(said, recorded, late_s);
    ours.assert_as_good_as(&chain, what);
    let lags = ours.pieces.iter().map(|piece| piece.lag);
    let spread = lags.clone().max().expect("pieces") - lags.min().expect("pieces");
    assert!(
        spread <= 2 * PACKET,
        "{what}: it drifts by {spread} samples\n{ours}"
    );
    ours
}

fn padded(before_ms: usize, speech: &Sound, after_ms: usize) -> Sound {
    let per_ms = speech.rate as usize / 1_000;
    let mut samples = vec![0; before_ms * per_ms];
    samples.extend(&speech.samples);
    samples.resize(samples.len() + after_ms * per_ms, 0);
    Sound {
        rate: speech.rate,
        samples,
    }
}

fn answered(codec: Codec, steps: &'static str) -> Gateway {
    let codecs = match codec {
        Codec::G722 => "\"g722\"",
        _ => "\"ulaw\"",
    };
    Gateway::start(&Options {
        codecs: [codecs, codecs],
        steps,
        ..Options::default()
    })
}

#[test]
fn a_message_ends_with_silence_and_is_what_was_said() {
    for codec in [Codec::Ulaw, Codec::G722] {
        let gateway = answered(
            codec,
            r#""Answer()", "Record(message,2,30,q)", "GotoIf($[\"${RECORD_STATUS}\" = \"SILENCE\"]?ok)", "Wait(30)", "ok: Hangup()""#,
        );
        let said = Sound::speech(CALLER_SAYS);
        let talk = Talk::new(codec, &padded(500, &said, 3_000), 20);
        let caller = Solo::call(&gateway, "100", Side::of(codec, 20));
        caller.talk(&talk);
        caller.end();
        let file = wav(&folder(&gateway).join("message.wav"));
        file.assert_whole();
        assert_eq!((file.channels, file.rate), (1, codec.rate()));
        let recorded = file.channel(0);
        assert_recorded(&said, codec, &recorded, 2.0, codec.name());
        // Silence is what is below a mean of 128: the file ends two seconds after the last block above it.
        let block = codec.rate() as usize / 100;
        let is_loud = |block: &[i16]| {
            let sum: u64 = block
                .iter()
                .map(|sample| u64::from(sample.unsigned_abs()))
                .sum();
            sum >= 128 * block.len() as u64
        };
        let blocks: Vec<&[i16]> = recorded.samples.chunks(block).collect();
        let last = blocks
            .iter()
            .rposition(|block| is_loud(block))
            .expect("speech");
        let silent_ms = (blocks.len() - 1 - last) * 10;
        assert!(
            (1_980..=2_060).contains(&silent_ms),
            "{silent_ms} ms of silence"
        );
        gateway.stop();
    }
}

#[test]
fn a_message_ends_with_a_key_or_its_time() {
    for (steps, least_s, most_s) in [
        (
            r##""Answer()", "Record(message.wav,0,30,q)", "Hangup()""##,
            1.8,
            2.4,
        ),
        (
            r##""Answer()", "Record(message.wav,0,3,q)", "Hangup()""##,
            2.9,
            3.1,
        ),
    ] {
        let gateway = answered(Codec::Ulaw, steps);
        let said = padded(0, &Sound::speech(CALLER_SAYS), 0);
        let talk = Talk::new(Codec::Ulaw, &said, 20);
        let talk = if least_s < 2.0 {
            talk.press(2_000, '#', 100)
        } else {
            talk
        };
        let caller = Solo::call(&gateway, "100", Side::with_events(Codec::Ulaw));
        caller.talk(&talk);
        caller.end();
        let file = wav(&folder(&gateway).join("message.wav"));
        file.assert_whole();
        let seconds = file.seconds();
        assert!((least_s..most_s).contains(&seconds), "{seconds:.2} s");
        gateway.stop();
    }
}

const STEREO: &str = r#""MixMonitor(call.wav,D)", "Dial(PJSIP/${EXTEN}@called,30)", "Hangup()""#;
const MIXED: &str = r#""MixMonitor(call.wav)", "Dial(PJSIP/${EXTEN}@called,30)", "Hangup()""#;

fn recorded_call(codecs: [Codec; 2], steps: &'static str) -> Call {
    let options = Options {
        steps,
        ..Options::default()
    };
    let sides = codecs.map(|codec| Side::of(codec, 20));
    Call::set_up(sides, &options, |caller, called| (caller, called))
}

fn each_side_on_its_channel(codecs: [Codec; 2]) {
    let says = [CALLER_SAYS, CALLED_SAYS].map(Sound::speech);
    let [a, b] = codecs;
    let whole = says.clone().map(|said| padded(0, &said, 500));
    let talks = [Talk::new(a, &whole[0], 20), Talk::new(b, &whole[1], 20)];
    let call = recorded_call(codecs, STEREO);
    call.talk([&talks[0], &talks[1]]);
    let (_, folder) = call.end_and_keep_folder();
    let file = wav(&folder.path().join("monitor/call.wav"));
    file.assert_whole();
    assert_eq!((file.channels, file.rate), (2, a.rate()));
    let what = |side: &str| format!("{} and {}, {side}", a.name(), b.name());
    let left = assert_recorded(&says[0], a, &file.channel(0), 2.0, &what("the caller"));
    let right = assert_recorded(&says[1], b, &file.channel(1), 2.0, &what("the called"));
    // Both began to talk at once: what they said lies side by side.
    let apart = left.pieces[0].lag - right.pieces[0].lag;
    assert!(apart.abs() <= 4 * PACKET, "{apart} samples between the two");
}

#[test]
fn a_relayed_call_has_each_side_on_its_channel() {
    each_side_on_its_channel([Codec::Ulaw, Codec::Ulaw]);
}

#[test]
fn a_transcoded_call_has_each_side_on_its_channel() {
    each_side_on_its_channel([Codec::Ulaw, Codec::G722]);
    each_side_on_its_channel([Codec::G722, Codec::Alaw]);
}

#[test]
fn a_mixed_recording_has_both_one_after_the_other_and_at_once() {
    let says = [CALLER_SAYS, CALLED_SAYS].map(Sound::speech);
    let first_ms = says[0].samples.len() / 16 + 300;
    let talks = [padded(0, &says[0], 500), padded(first_ms, &says[1], 500)];
    let talks = talks.map(|sound| Talk::new(Codec::Alaw, &sound, 20));
    let both = says.clone().map(|said| Talk::new(Codec::Alaw, &said, 20));
    let call = recorded_call([Codec::Alaw, Codec::Alaw], MIXED);
    call.talk([&talks[0], &talks[1]]);
    // And both at once, louder than either.
    call.talk([&both[0], &both[1]]);
    let (_, folder) = call.end_and_keep_folder();
    let file = wav(&folder.path().join("monitor/call.wav"));
    file.assert_whole();
    assert_eq!((file.channels, file.rate), (1, 8_000));
    let recorded = file.channel(0);
    assert_recorded(&says[0], Codec::Alaw, &recorded, 2.0, "who speaks first");
    let late_s = first_ms as f64 / 1_000.0 + 2.0;
    let second = assert_recorded(&says[1], Codec::Alaw, &recorded, late_s, "who speaks then");
    let power = |sound: &[i16]| -> f64 {
        sound
            .iter()
            .map(|sample| f64::from(*sample).powi(2))
            .sum::<f64>()
    };
    let end = second.pieces[0].lag as usize + says[1].samples.len() / 2;
    let together = power(&recorded.samples[end.min(recorded.samples.len())..]);
    let each: f64 = says.iter().map(|said| power(&said.at(8_000).samples)).sum();
    let db = 10.0 * (together / each).log10();
    assert!(db.abs() < 0.6, "the sum of both is {db:+.2} dB off");
}

#[test]
fn a_conversation_is_recorded_without_what_comes_before_it() {
    let says = Sound::speech(CALLER_SAYS);
    let talks = [500, 500].map(|ms| Talk::new(Codec::Ulaw, &padded(0, &says, ms), 20));
    let call = recorded_call(
        [Codec::Ulaw, Codec::Ulaw],
        r#""Answer()", "MixMonitor(all.wav,D)", "MixMonitor(talk.wav,Db)", "Wait(2)", "Dial(PJSIP/${EXTEN}@called,30)", "Hangup()""#,
    );
    call.talk([&talks[0], &talks[1]]);
    let (_, folder) = call.end_and_keep_folder();
    let [all, talk] =
        ["all.wav", "talk.wav"].map(|name| wav(&folder.path().join("monitor").join(name)));
    talk.assert_whole();
    assert_recorded(&says, Codec::Ulaw, &talk.channel(0), 2.0, "the caller");
    let before = all.seconds() - talk.seconds();
    assert!((1.9..2.5).contains(&before), "{before:.2} s before it");
}

#[test]
fn a_call_is_recorded_twice_and_a_message_beside_it() {
    let gateway = answered(
        Codec::Ulaw,
        r#""Answer()", "MixMonitor(mixed.wav)", "MixMonitor(both.wav,D)", "Record(message.wav,2,30,q)", "Hangup()""#,
    );
    let said = Sound::speech(CALLER_SAYS);
    let talk = Talk::new(Codec::Ulaw, &padded(200, &said, 3_000), 20);
    let caller = Solo::call(&gateway, "100", Side::of(Codec::Ulaw, 20));
    caller.talk(&talk);
    caller.end();
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    let folder = gateway.stop_and_keep_folder();
    for (name, channels) in [("mixed.wav", 1), ("both.wav", 2), ("message.wav", 1)] {
        let file = wav(&folder.path().join("monitor").join(name));
        file.assert_whole();
        assert_eq!(file.channels, channels, "{name}");
        assert_recorded(&said, Codec::Ulaw, &file.channel(0), 2.0, name);
    }
}

#[test]
fn a_file_that_is_being_written_is_not_written_by_another() {
    let gateway = answered(
        Codec::Ulaw,
        r#""Answer()", "MixMonitor(same.wav)", "MixMonitor(same.wav)", "Wait(2)", "Hangup()""#,
    );
    let talk = Talk::new(Codec::Ulaw, &Sound::speech(CALLER_SAYS), 20);
    let caller = Solo::call(&gateway, "100", Side::of(Codec::Ulaw, 20));
    caller.talk(&talk);
    caller.end();
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.eventually("it is told", |gateway| {
        gateway
            .log()
            .contains("another recording goes into this file")
    });
    let failed = gateway.metric("ringway_recordings_failed_total");
    assert_eq!(failed, 1.0);
    let folder = gateway.stop_and_keep_folder();
    let file = wav(&folder.path().join("monitor/same.wav"));
    file.assert_whole();
    assert!(
        (1.8..2.3).contains(&file.seconds()),
        "{:.2} s",
        file.seconds()
    );
}

#[test]
fn a_file_at_the_limit_of_the_process_ends_and_the_call_goes_on() {
    let steps = r#""Answer()", "MixMonitor(large.wav)", "Echo()""#;
    let gateway = answered(Codec::Ulaw, steps);
    gateway.limit_files(100_001);
    let caller = Solo::call(&gateway, "100", Side::of(Codec::Ulaw, 20));
    gateway.eventually("the file is full", |gateway| {
        gateway.metric("ringway_recordings_failed_total") > 0.0
    });
    assert!(
        gateway.log().contains("File too large"),
        "{}",
        gateway.log()
    );
    assert_eq!(gateway.rows("status")["recordings_lost"][0], 1);
    assert_eq!(gateway.rows("calls").as_array().map(Vec::len), Some(1));
    gateway.hang_up();
    caller.end();
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    let folder = gateway.stop_and_keep_folder();
    let file = wav(&folder.path().join("monitor/large.wav"));
    file.assert_whole();
    assert!(file.seconds() > 5.0, "{:.2} s", file.seconds());
}

#[test]
fn sigterm_in_the_middle_of_a_call_leaves_a_whole_file() {
    let says = [CALLER_SAYS, CALLED_SAYS].map(Sound::speech);
    let talks = [
        Talk::new(Codec::Ulaw, &says[0], 20),
        Talk::new(Codec::Alaw, &says[1], 20),
    ];
    let call = recorded_call([Codec::Ulaw, Codec::Alaw], STEREO);
    call.talk([&talks[0], &talks[1]]);
    let folder = call.terminate();
    let file = wav(&folder.path().join("monitor/call.wav"));
    file.assert_whole();
    assert_recorded(&says[0], Codec::Ulaw, &file.channel(0), 2.0, "the caller");
    assert_recorded(&says[1], Codec::Alaw, &file.channel(1), 2.0, "the called");
    assert!(!folder.path().join("monitor/call.wav.part").exists());
}

#[test]
fn sigkill_in_the_middle_of_a_call_leaves_all_but_the_last_second() {
    let said = Sound::speech(CALLER_SAYS);
    let nothing = Talk::of(Codec::Ulaw, &[], 20);
    let talk = Talk::new(Codec::Ulaw, &said, 20);
    let call = recorded_call([Codec::Ulaw, Codec::Ulaw], STEREO);
    let [a, b] = &call.peers;
    exchange([(a, call.to[0], &talk), (b, call.to[1], &nothing)]);
    let folder = call.kill();
    let part = folder.path().join("monitor/call.wav.part");
    let file = wav(&part);
    let missing = file.there - file.told;
    assert!(
        missing <= 2 * 2 * 8_000 * 3 / 2,
        "{missing} bytes that the header does not tell of"
    );
    let heard = report(&said, &file.channel(0), 2.0);
    let whole = said.samples.len() / 8_000;
    assert!(heard.pieces.len() + 4 >= whole, "{heard}");
    assert!(heard.median(|piece| piece.correlation) > 0.98, "{heard}");
    // What plays it knows nothing of us.
    assert!(Sound::read(&part, 8_000).samples.len() >= file.samples.len() / 2);
}
