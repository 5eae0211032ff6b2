//! Speech that comes in by one codec and goes out by another: through the gateway's binary, between peers whose codecs
//! are ffmpeg's.

use crate::lab::{Call, Codec, Piece, Recording, Report, Side, Sound, Talk, high_band_db, report};

const CALLER_SAYS: &str =
    "The birch canoe slid on the smooth planks, and four hours of steady work faced us.";
const CALLED_SAYS: &str =
    "Glue the sheet to the dark blue background; it is easy to tell the depth of a well.";
/// Seconds by which audio may be late, jitter buffer and all.
const LATE_S: f64 = 0.5;

/// What ffmpeg makes of the same speech.
fn chain(speech: &Sound, from: Codec, to: Codec) -> Report {
    report(speech, &speech.transcoded(from, to), 0.1)
}

/// What came of speech that was sent by one codec and heard by another.
#[track_caller]
fn assert_heard(speech: &Sound, from: Codec, to: Codec, heard: &Recording, ptime_ms: usize) {
    let what = format!("{} to {}", from.name(), to.name());
    heard.assert_sound_stream(to, ptime_ms);
    let sound = heard.sound(to);
    report(speech, &sound, LATE_S).assert_as_good_as(&chain(speech, from, to), &what);
    if to == Codec::G722 {
        let (ours, theirs) = (
            high_band_db(&sound),
            high_band_db(&speech.transcoded(from, to)),
        );
        // Where a codec changes, or a tick comes late, there is a seam; an image of the speech would be far above it.
        assert!(
            ours < (theirs + 3.0).max(-34.0),
            "{what}: {ours:.1} dB above the narrow band, the reference {theirs:.1}"
        );
    }
}

/// Speech in both directions of one call, in packets as each side wants them.
#[track_caller]
fn converse(codecs: [Codec; 2], ptimes_ms: [usize; 2]) {
    let says = [CALLER_SAYS, CALLED_SAYS].map(Sound::speech);
    let [a, b] = codecs;
    let call = Call::between([Side::of(a, ptimes_ms[0]), Side::of(b, ptimes_ms[1])]);
    let talks = [
        Talk::new(a, &says[0], ptimes_ms[0]),
        Talk::new(b, &says[1], ptimes_ms[1]),
    ];
    let [by_caller, by_called] = call.talk([&talks[0], &talks[1]]);
    assert_heard(&says[0], a, b, &by_called, ptimes_ms[1]);
    assert_heard(&says[1], b, a, &by_caller, ptimes_ms[0]);
    call.end();
}

#[test]
fn ulaw_and_alaw() {
    converse([Codec::Ulaw, Codec::Alaw], [20, 20]);
}

#[test]
fn ulaw_and_g722() {
    converse([Codec::Ulaw, Codec::G722], [20, 20]);
}

#[test]
fn g722_and_alaw() {
    converse([Codec::G722, Codec::Alaw], [20, 20]);
}

#[test]
fn packets_of_10_ms_and_of_60_ms() {
    converse([Codec::Ulaw, Codec::G722], [10, 60]);
}

#[test]
fn packets_of_30_ms_and_of_20_ms() {
    converse([Codec::G722, Codec::Alaw], [30, 20]);
}

/// Packets that are lost leave no more than holes in what goes out; all else stays in its place and as loud as it was.
fn loses(codecs: [Codec; 2], part: f64) {
    let says = [CALLER_SAYS, CALLED_SAYS].map(Sound::speech);
    let [a, b] = codecs;
    let call = Call::between([Side::of(a, 20), Side::of(b, 20)]);
    let whole = [Talk::new(a, &says[0], 20), Talk::new(b, &says[1], 20)];
    let talks = whole.clone().map(|talk| talk.lose(part));
    let heard = call.talk([&talks[0], &talks[1]]);
    for (side, (from, to)) in [(0, (a, b)), (1, (b, a))] {
        let (recording, lost) = (&heard[1 - side], whole[side].count() - talks[side].count());
        recording.assert_sound_stream(to, 20);
        let holes = recording.holes(to);
        assert!(
            (lost * 3 / 4..=lost + 4).contains(&holes),
            "{holes} holes for {lost} lost packets"
        );
        let report = report(&says[side], &recording.sound(to), LATE_S);
        let what = format!("{} to {}: {report}", from.name(), to.name());
        // What is lost is missing: two of a piece's 25 packets, if they were its loudest, are a third of its energy.
        let is_whole = |piece: &Piece| piece.correlation > 0.75;
        assert!(report.part_but_for_moves(is_whole) > 0.85, "{what}");
        assert!(report.part(is_whole) > 0.4, "{what}");
        let level = report.median(|piece| piece.level_db);
        assert!(level.abs() < 1.0, "{what}");
    }
    call.end();
}

#[test]
fn one_packet_in_a_hundred_is_lost() {
    loses([Codec::Alaw, Codec::G722], 0.01);
}

#[test]
fn one_packet_in_twenty_is_lost() {
    loses([Codec::G722, Codec::Ulaw], 0.05);
}

#[test]
fn packets_out_of_order_and_twice_are_heard_once_and_in_order() {
    let says = [CALLER_SAYS, CALLED_SAYS].map(Sound::speech);
    let (a, b) = (Codec::G722, Codec::Ulaw);
    let call = Call::between([Side::of(a, 20), Side::of(b, 20)]);
    let talks = [
        Talk::new(a, &says[0], 20).jitter(20).double(0.05),
        Talk::new(b, &says[1], 20).reorder(0.05).double(0.02),
    ];
    let heard = call.talk([&talks[0], &talks[1]]);
    for (side, (from, to)) in [(0, (a, b)), (1, (b, a))] {
        heard[1 - side].assert_sound_stream(to, 20);
        let report = report(&says[side], &heard[1 - side].sound(to), LATE_S);
        // A buffer that learns of the disorder moves the speech once or twice, in the middle of a piece.
        report.assert_nearly(&chain(&says[side], from, to), from.name(), 2.0, 0.6);
    }
    call.end();
}

#[test]
fn a_codec_may_change_in_the_middle_of_a_stream() {
    let says = [CALLER_SAYS, CALLED_SAYS].map(Sound::speech);
    let both = Side::of_both_g711(20);
    let call = Call::between([both, Side::of(Codec::G722, 20)]);
    let changes = Talk::new(Codec::Ulaw, &says[0], 20).then(Codec::Alaw, &says[1]);
    let answers = Talk::new(Codec::G722, &says[1], 20);
    let [by_caller, by_called] = call.talk([&changes, &answers]);
    assert_heard(&says[1], Codec::G722, Codec::Ulaw, &by_caller, 20);
    by_called.assert_sound_stream(Codec::G722, 20);
    let mut whole = says[0].clone();
    // The first part ends with its last full packet.
    whole.samples.truncate(whole.samples.len() / 320 * 320);
    whole.samples.extend(&says[1].samples);
    assert_heard(&whole, Codec::Alaw, Codec::G722, &by_called, 20);
    call.end();
}
