//! Audio through a worker: sines in one codec, what comes out in another, second by second on a clock of the test's.

use crate::codec::{Codec, Payload, Rate, g711, g722};
use crate::link::clip::{Clip, ClipHandle, PlayId, PlayMode};
use crate::link::recording::{RECORDINGS_MAX, recording};
use crate::link::{
    Carries, Channels, Command, Digit, Event, FormatList, LegFormats, LegId, Listening, RecordId,
    RecordingSource, Remote, RoomId, WireFormat,
};
use crate::media::Component;
use crate::media::seam::DropReason;
use crate::media::testing::{A, B, Bed, C, Sent, remote, slot_of};
use std::f64::consts::TAU;
use std::sync::Arc;

const CODECS: [(Codec, u8); 3] = [(Codec::Ulaw, 0), (Codec::Alaw, 8), (Codec::G722, 9)];
const AMPLITUDE: f64 = 8_000.0;

fn formats(codec: Codec, ptime_ms: u8) -> LegFormats {
    let payload_type = codec.static_payload_type().expect("a static one");
    let event = Payload::TelephoneEvent { clock_rate: 8_000 };
    let list = FormatList::new([
        WireFormat {
            payload_type,
            payload: Payload::Codec(codec),
        },
        WireFormat {
            payload_type: 101,
            payload: event,
        },
    ]);
    LegFormats {
        receive: list,
        send: list,
        ptime_ms,
    }
}

/// A peer that says a sine.
struct Speaker {
    leg: LegId,
    from: &'static str,
    codec: Codec,
    payload_type: u8,
    hertz: f64,
    ptime_ms: u64,
    encoder: g722::Encoder,
    /// Samples of 16 kHz so far.
    said: u64,
    sequence: u16,
    timestamp: u32,
}

impl Speaker {
    fn new(leg: LegId, from: &'static str, codec: Codec, hertz: f64) -> Speaker {
        Speaker {
            leg,
            from,
            codec,
            payload_type: codec.static_payload_type().expect("a static one"),
            hertz,
            ptime_ms: 20,
            encoder: g722::Encoder::default(),
            said: 0,
            sequence: 65_500,
            timestamp: u32::MAX - 4_000,
        }
    }

    fn packet(&mut self) -> Vec<u8> {
        let wide = (self.ptime_ms * 16) as usize;
        let sine = |at: u64| ((at as f64) * TAU * self.hertz / 16_000.0).sin() * AMPLITUDE;
        let pcm: Vec<i16> = (0..wide as u64)
            .map(|i| sine(self.said + i) as i16)
            .collect();
        self.said += wide as u64;
        let narrow: Vec<i16> = pcm.iter().step_by(2).copied().collect();
        let mut codes = vec![0; wide / 2];
        match self.codec {
            Codec::Ulaw => g711::encode_ulaw(&narrow, &mut codes),
            Codec::Alaw => g711::encode_alaw(&narrow, &mut codes),
            _ => self.encoder.encode(&pcm, &mut codes),
        }
        let bytes = self.rtp(self.payload_type, self.timestamp, &codes);
        self.timestamp = self.timestamp.wrapping_add(codes.len() as u32);
        bytes
    }

    /// The next RTP packet, with what follows its first octet.
    fn rtp(&mut self, second_octet: u8, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, second_octet];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(0x5151_0000_u32.to_be_bytes());
        bytes.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        bytes
    }

    /// Says a packet; what the worker sent because of it, or sends in its time.
    fn say(&mut self, bed: &mut Bed) -> Vec<Sent> {
        let packet = self.packet();
        let mut sent: Vec<Sent> = bed
            .bytes(self.leg, Component::Rtp, self.from, packet)
            .into_iter()
            .collect();
        sent.extend(bed.audio_ms(self.ptime_ms));
        sent
    }

    fn talk(&mut self, bed: &mut Bed, millis: u64) -> Vec<Sent> {
        (0..millis / self.ptime_ms)
            .flat_map(|_| self.say(bed))
            .collect()
    }
}

/// What a leg's peer hears: samples, at their places in time.
fn heard(sent: &[Sent], leg: LegId, codec: Codec) -> Vec<i16> {
    let mut decoder = g722::Decoder::default();
    let mut pcm = Vec::new();
    let mut due = None;
    for packet in sent.iter().filter(|sent| sent.leg == slot_of(leg)) {
        let codes = &packet.bytes[12..];
        if let Some(due) = due {
            let gap: u32 = packet.timestamp().wrapping_sub(due);
            assert!(gap < 80_000, "time stamps go on");
            let samples = if codec == Codec::G722 { gap * 2 } else { gap };
            pcm.resize(pcm.len() + samples as usize, 0);
        }
        due = Some(packet.timestamp().wrapping_add(codes.len() as u32));
        let mut block = vec![0; codes.len() * if codec == Codec::G722 { 2 } else { 1 }];
        match codec {
            Codec::Ulaw => g711::decode_ulaw(codes, &mut block),
            Codec::Alaw => g711::decode_alaw(codes, &mut block),
            _ => decoder.decode(codes, &mut block),
        }
        pcm.extend(block);
    }
    pcm
}

/// Amplitude of a sine in it, and the rest's, both RMS.
fn sine_and_rest(pcm: &[i16], codec: Codec, hertz: f64) -> (f64, f64) {
    let rate = if codec == Codec::G722 {
        16_000.0
    } else {
        8_000.0
    };
    let (mut re, mut im, mut all) = (0.0, 0.0, 0.0);
    for (at, sample) in pcm.iter().enumerate() {
        let phase = TAU * hertz * at as f64 / rate;
        re += f64::from(*sample) * phase.cos();
        im += f64::from(*sample) * phase.sin();
        all += f64::from(*sample).powi(2);
    }
    let n = pcm.len() as f64;
    let sine = (re.powi(2) + im.powi(2)) * 2.0 / n / n;
    (sine.sqrt(), (all / n - sine).max(0.0).sqrt())
}

/// A and B, each with its codec, bridged; nothing passes as it is.
fn transcoding(a: Codec, b: Codec, ptimes: (u8, u8)) -> Bed {
    let mut bed = Bed::new();
    for (leg, rtp, codec, ptime_ms) in [
        (A, "192.0.2.1:4000", a, ptimes.0),
        (B, "198.51.100.1:6000", b, ptimes.1),
    ] {
        bed.open(leg, remote(rtp));
        let formats = formats(codec, ptime_ms);
        bed.formats(leg, formats);
    }
    bed.bridge_passing(A, B, 101);
    bed
}

fn from_a(codec: Codec) -> Speaker {
    Speaker::new(A, "192.0.2.1:4000", codec, 1_004.0)
}

/// From each packet to the next: the number goes on by one, and the time stamp by what is given here.
fn steps(packets: &[&Sent]) -> Vec<u32> {
    let pairs = packets.windows(2).map(|pair| {
        let due = pair[0].sequence().wrapping_add(1);
        assert_eq!(pair[1].sequence(), due, "the numbers go on");
        pair[1].timestamp().wrapping_sub(pair[0].timestamp())
    });
    pairs.collect()
}

fn to_b(sent: &[Sent]) -> Vec<&Sent> {
    sent.iter().filter(|sent| sent.leg == slot_of(B)).collect()
}

#[test]
fn a_sine_in_each_codec_comes_out_in_each_other_at_its_level() {
    for (from, _) in CODECS {
        for (to, payload_type) in CODECS.into_iter().filter(|(to, _)| *to != from) {
            let mut bed = transcoding(from, to, (20, 20));
            let sent = from_a(from).talk(&mut bed, 2_000);
            let packets = to_b(&sent);
            assert!(packets.len() >= 97, "{from:?} to {to:?}: {}", packets.len());
            assert!(steps(&packets).iter().all(|step| *step == 160));
            for (place, packet) in packets.iter().enumerate() {
                assert_eq!(packet.bytes.len(), 172);
                assert_eq!(packet.bytes[1] & 0x7f, payload_type);
                assert_eq!(packet.marker(), place == 0, "a talkspurt begins once");
            }
            let pcm = heard(&sent, B, to);
            let (sine, rest) = sine_and_rest(&pcm[pcm.len() / 4..], to, 1_004.0);
            let expected = AMPLITUDE / 2_f64.sqrt();
            let decibels = 20.0 * (sine / expected).log10();
            assert!(decibels.abs() < 0.3, "{from:?} to {to:?}: {decibels} dB");
            let snr = 20.0 * (sine / rest).log10();
            assert!(snr > 30.0, "{from:?} to {to:?}: {snr} dB");
        }
    }
}

#[test]
fn packet_times_are_each_sides_own() {
    for (says, hears) in [(10, 60), (20, 30), (60, 20), (30, 10), (40, 20)] {
        let mut bed = transcoding(Codec::Ulaw, Codec::G722, (20, hears));
        let mut speaker = from_a(Codec::Ulaw);
        speaker.ptime_ms = says;
        let sent = speaker.talk(&mut bed, 1_200);
        let packets = to_b(&sent);
        let octets = u32::from(hears) * 8;
        assert!(steps(&packets).iter().all(|step| *step == octets));
        for packet in &packets {
            assert_eq!(
                packet.bytes.len(),
                12 + octets as usize,
                "{says} to {hears} ms"
            );
        }
        let expected = 1_200 / usize::from(hears);
        assert!(
            (expected - 4..=expected).contains(&packets.len()),
            "{says} to {hears} ms"
        );
        let pcm = heard(&sent, B, Codec::G722);
        let (sine, rest) = sine_and_rest(&pcm[3_200..], Codec::G722, 1_004.0);
        assert!(sine / rest > 30.0, "{says} to {hears} ms: {sine} {rest}");
    }
}

#[test]
fn a_lost_packet_leaves_its_gap_and_nothing_clicks() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Alaw, (20, 20));
    let mut speaker = from_a(Codec::Ulaw);
    let mut sent = speaker.talk(&mut bed, 500);
    let _lost = speaker.packet();
    sent.extend(bed.audio_ms(20));
    sent.extend(speaker.talk(&mut bed, 500));
    let packets = to_b(&sent);
    let steps: Vec<(u16, u32)> = packets
        .windows(2)
        .map(|pair| {
            let sequence = pair[1].sequence().wrapping_sub(pair[0].sequence());
            (
                sequence,
                pair[1].timestamp().wrapping_sub(pair[0].timestamp()),
            )
        })
        .filter(|step| *step != (1, 160))
        .collect();
    assert_eq!(steps, [(2, 320)], "one gap, as long in time as in numbers");
}

#[test]
fn a_lost_packet_leaves_its_gap_whatever_the_phase_of_the_packets() {
    for says in [20, 40, 60] {
        let mut bed = transcoding(Codec::Ulaw, Codec::Alaw, (20, 20));
        let mut speaker = from_a(Codec::Ulaw);
        // One packet of 10 ms puts what follows out of step.
        speaker.ptime_ms = 10;
        let mut sent = speaker.talk(&mut bed, 10);
        speaker.ptime_ms = says;
        sent.extend(speaker.talk(&mut bed, 600));
        let _lost = speaker.packet();
        sent.extend(bed.audio_ms(says));
        sent.extend(speaker.talk(&mut bed, 600));
        let packets = to_b(&sent);
        let gaps = packets
            .windows(2)
            .map(|pair| pair[1].sequence().wrapping_sub(pair[0].sequence()) - 1);
        assert_eq!(u64::from(gaps.sum::<u16>()), says / 20, "{says} ms");
    }
}

#[test]
fn what_comes_twice_or_out_of_order_is_heard_once_and_in_order() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Alaw, (20, 20));
    let mut speaker = from_a(Codec::Ulaw);
    let mut sent = Vec::new();
    for _ in 0..50 {
        let (first, second) = (speaker.packet(), speaker.packet());
        for packet in [second.clone(), first.clone(), second, first] {
            let _ = bed.bytes(A, Component::Rtp, speaker.from, packet);
        }
        sent.extend(bed.audio_ms(40));
    }
    let pcm = heard(&sent, B, Codec::Alaw);
    let (sine, rest) = sine_and_rest(&pcm[2_400..], Codec::Alaw, 1_004.0);
    assert!(sine / rest > 30.0, "{sine} {rest}");
}

#[test]
fn a_codec_that_changes_mid_stream_goes_on_at_the_far_side() {
    let mut bed = transcoding(Codec::Ulaw, Codec::G722, (20, 20));
    let both = FormatList::new(CODECS.iter().map(|(codec, payload_type)| WireFormat {
        payload_type: *payload_type,
        payload: Payload::Codec(*codec),
    }));
    let told = LegFormats {
        receive: both,
        ..formats(Codec::Ulaw, 20)
    };
    bed.formats(A, told);
    bed.bridge_passing(A, B, 9);
    let mut speaker = from_a(Codec::Ulaw);
    let mut sent = speaker.talk(&mut bed, 500);
    for (codec, payload_type) in [(Codec::Alaw, 8), (Codec::G722, 9), (Codec::Ulaw, 0)] {
        (speaker.codec, speaker.payload_type) = (codec, payload_type);
        sent.extend(speaker.talk(&mut bed, 500));
    }
    let packets = to_b(&sent);
    assert!(packets.len() > 90);
    let steps = steps(&packets);
    assert!(
        steps.iter().all(|step| (80..=800).contains(step)),
        "{steps:?}"
    );
    assert!(packets.iter().all(|packet| packet.bytes[1] & 0x7f == 9));
    assert_eq!(bed.taken, 75, "G.722 passed as it was");
}

fn clip(rate: Rate, hertz: f64, millis: u32) -> ClipHandle {
    let samples = (0..rate.hz() * millis / 1_000)
        .map(|at| ((f64::from(at) * TAU * hertz / f64::from(rate.hz())).sin() * AMPLITUDE) as i16);
    ClipHandle(Arc::new(Clip {
        rate,
        samples: samples.collect(),
    }))
}

#[test]
fn a_prompt_is_heard_in_place_of_the_relay_and_told_when_it_ends() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Ulaw, (20, 20));
    bed.bridge(A, B);
    let mut speaker = from_a(Codec::Ulaw);
    let mut sent = speaker.talk(&mut bed, 200);
    assert_eq!(to_b(&sent).len(), 10, "relayed");
    bed.events();
    bed.command(Command::Play {
        leg: B,
        play: PlayId(7),
        clip: clip(Rate::Wide, 500.0, 400),
        mode: PlayMode::Once,
    });
    let prompt = speaker.talk(&mut bed, 400);
    assert_eq!(to_b(&prompt).len(), 20);
    let pcm = heard(&prompt, B, Codec::Ulaw);
    let (sine, rest) = sine_and_rest(&pcm[160..], Codec::Ulaw, 500.0);
    assert!(sine / rest > 25.0, "the prompt alone: {sine} {rest}");
    sent.extend(prompt);
    sent.extend(speaker.talk(&mut bed, 200));
    assert_eq!(
        bed.events(),
        [Event::Played {
            leg: B,
            play: PlayId(7)
        }]
    );
    let packets = to_b(&sent);
    assert!(packets.len() >= 38, "the relay is back: {}", packets.len());
    steps(&packets);
    assert_eq!(bed.worker.audio_legs(), 0, "nothing is left of it");
}

#[test]
fn a_prompt_to_a_peer_that_hears_no_codec_of_ours_is_over_at_once() {
    let mut bed = Bed::new();
    bed.open(A, remote("192.0.2.1:4000"));
    let play = PlayId(1);
    bed.command(Command::Play {
        leg: A,
        play,
        clip: clip(Rate::Narrow, 500.0, 100),
        mode: PlayMode::Loop,
    });
    assert_eq!(bed.events(), [Event::Played { leg: A, play }]);
    assert_eq!(bed.worker.next_audio(), None);
}

#[test]
fn a_fax_machine_is_sent_no_audio() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Ulaw, (20, 20));
    let play = |number| Command::Play {
        leg: A,
        play: PlayId(number),
        clip: clip(Rate::Narrow, 440.0, 100),
        mode: PlayMode::Loop,
    };
    bed.command(play(1));
    assert!(!bed.audio_ms(100).is_empty(), "audio, while it is none");
    // Its place is told before its formats are.
    bed.command(Command::SetRemote {
        leg: A,
        remote: Remote {
            carries: Carries::Datagrams,
            ..remote("192.0.2.1:4000")
        },
    });
    send_digit(&mut bed, A, '5');
    assert_eq!(bed.audio_ms(500), []);
    bed.command(Command::StopPlay { leg: A });
    bed.command(play(2));
    assert_eq!(bed.audio_ms(100), []);
    let told = bed.events();
    for play in [PlayId(1), PlayId(2)] {
        assert!(told.contains(&Event::Played { leg: A, play }), "{told:?}");
    }
}

#[test]
fn recordings_of_a_leg_run_side_by_side_and_end_one_by_one() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Alaw, (20, 20));
    bed.bridge(A, B);
    let mut a = from_a(Codec::Ulaw);
    let mut sources = Vec::new();
    let mut record = |bed: &mut Bed, number, channels| {
        let (sink, source) = recording(Rate::Narrow, channels);
        sources.push(source);
        bed.command(Command::Record {
            leg: A,
            record: RecordId(number),
            sink,
            silence_ms: 0,
        });
        sources.len() - 1
    };
    let heard = record(&mut bed, 1, Channels::Heard);
    let both = record(&mut bed, 2, Channels::Stereo);
    a.talk(&mut bed, 200);
    bed.command(Command::StopRecord {
        leg: A,
        record: RecordId(1),
    });
    a.talk(&mut bed, 200);
    let replaced = both;
    let replacing = record(&mut bed, 2, Channels::Mixed);
    a.talk(&mut bed, 100);
    for number in 3..=RECORDINGS_MAX as u32 + 1 {
        record(&mut bed, number, Channels::Heard);
    }
    let one_too_many = record(&mut bed, 99, Channels::Heard);
    a.talk(&mut bed, 100);
    let blocks = |place: usize| {
        let source: &RecordingSource = &sources[place];
        std::iter::from_fn(|| source.pop()).count()
    };
    assert_eq!(
        [heard, replaced, replacing, one_too_many].map(blocks),
        [20, 40, 20, 0]
    );
    assert!(sources[heard].is_over() && sources[replaced].is_over());
    assert!(!sources[replacing].is_over() && sources[one_too_many].is_over());
}

#[test]
fn a_relayed_call_is_recorded_with_a_channel_for_each_side() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Ulaw, (20, 20));
    bed.bridge(A, B);
    let (mut a, mut b) = (
        from_a(Codec::Ulaw),
        Speaker::new(B, "198.51.100.1:6000", Codec::Ulaw, 440.0),
    );
    let (sink, source) = recording(Rate::Narrow, Channels::Stereo);
    bed.command(Command::Record {
        leg: A,
        record: RecordId(7),
        sink,
        silence_ms: 0,
    });
    let mut relayed = 0;
    for _ in 0..100 {
        let packet = a.packet();
        relayed += usize::from(bed.bytes(A, Component::Rtp, a.from, packet).is_ok());
        relayed += b.say(&mut bed).len();
    }
    assert_eq!(relayed, 200, "the relay does not suffer");
    bed.command(Command::StopRecord {
        leg: A,
        record: RecordId(7),
    });
    let samples: Vec<i16> = std::iter::from_fn(|| source.pop())
        .flat_map(|block| block.samples().to_vec())
        .collect();
    assert!(source.is_over());
    let side = |side: usize| -> Vec<i16> {
        samples[side..]
            .iter()
            .step_by(2)
            .copied()
            .skip(800)
            .collect()
    };
    let (sine, rest) = sine_and_rest(&side(0), Codec::Ulaw, 1_004.0);
    assert!(sine / rest > 20.0, "A on the left: {sine} {rest}");
    let (sine, rest) = sine_and_rest(&side(1), Codec::Ulaw, 440.0);
    assert!(sine / rest > 20.0, "B on the right: {sine} {rest}");
}

#[test]
fn in_a_room_each_hears_the_others() {
    let mut bed = Bed::new();
    let mut speakers = Vec::new();
    for (leg, from, codec, hertz) in [
        (A, "192.0.2.1:4000", Codec::Ulaw, 400.0),
        (B, "198.51.100.1:6000", Codec::G722, 1_004.0),
        (C, "198.51.100.3:6000", Codec::Alaw, 1_700.0),
    ] {
        bed.open(leg, remote(from));
        let formats = formats(codec, 20);
        bed.formats(leg, formats);
        bed.command(Command::Join {
            leg,
            room: RoomId(1),
            talks: true,
            hears: true,
        });
        speakers.push(Speaker::new(leg, from, codec, hertz));
    }
    let mut sent = Vec::new();
    for _ in 0..100 {
        for speaker in &mut speakers {
            let packet = speaker.packet();
            let _ = bed.bytes(speaker.leg, Component::Rtp, speaker.from, packet);
        }
        sent.extend(bed.audio_ms(20));
    }
    for speaker in &speakers {
        let pcm = heard(&sent, speaker.leg, speaker.codec);
        let pcm = &pcm[pcm.len() / 4..];
        for other in &speakers {
            let (sine, _) = sine_and_rest(pcm, speaker.codec, other.hertz);
            let decibels = 20.0 * (sine / (AMPLITUDE / 2_f64.sqrt())).log10();
            match other.leg == speaker.leg {
                true => assert!(decibels < -30.0, "itself: {decibels} dB"),
                false => assert!(decibels.abs() < 0.5, "another: {decibels} dB"),
            }
        }
    }
    for leg in [A, B, C] {
        bed.command(Command::Close { leg });
    }
    assert_eq!(bed.worker.audio_legs(), 0);
    assert_eq!(bed.worker.next_audio(), None);
}

fn digit(symbol: char) -> Digit {
    Digit::from_char(symbol).expect("a digit")
}

fn send_digit(bed: &mut Bed, leg: LegId, symbol: char) {
    bed.command(Command::SendDigit {
        leg,
        digit: digit(symbol),
        duration_ms: 100,
    });
}

fn digits(events: Vec<Event>) -> Vec<(LegId, char)> {
    let told = events.into_iter().filter_map(|event| match event {
        Event::Digit { leg, digit, .. } => Some((leg, digit.symbol())),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_digit_is_sent_as_an_event_with_one_time_stamp_and_heard_once() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Ulaw, (20, 20));
    bed.bridge(A, B);
    let mut speaker = from_a(Codec::Ulaw);
    speaker.talk(&mut bed, 100);
    send_digit(&mut bed, B, '5');
    send_digit(&mut bed, B, '#');
    let sent = speaker.talk(&mut bed, 600);
    let events: Vec<&Sent> = to_b(&sent)
        .into_iter()
        .filter(|sent| sent.bytes[1] & 0x7f == 101)
        .collect();
    let mut stamps: Vec<(u32, u8)> = events
        .iter()
        .map(|sent| (sent.timestamp(), sent.bytes[12]))
        .collect();
    stamps.dedup();
    assert_eq!(stamps.len(), 2, "one time stamp a digit: {stamps:?}");
    assert_eq!((stamps[0].1, stamps[1].1), (5, 11));
    let ends = events
        .iter()
        .filter(|sent| sent.bytes[13] & 0x80 != 0)
        .count();
    assert_eq!(ends, 6, "three ends each");
    let audio = to_b(&sent)
        .iter()
        .filter(|sent| sent.bytes[1] & 0x7f == 0)
        .count();
    assert!(audio > 5, "the relay goes on after them: {audio}");

    // Back in at B, they are two digits.
    bed.events();
    let listening = Listening::Events;
    bed.command(Command::Listen { leg: B, listening });
    for packet in events {
        let judged = bed.bytes(B, Component::Rtp, "198.51.100.1:6000", packet.bytes.clone());
        assert_eq!(judged, Err(DropReason::Unheard), "taken, not dropped");
        bed.audio_ms(20);
    }
    bed.audio_ms(500);
    assert_eq!(digits(bed.events()), [(B, '5'), (B, '#')]);
}

#[test]
fn a_digit_is_a_tone_to_a_peer_without_events_and_is_heard_in_the_audio() {
    let mut bed = Bed::new();
    for (leg, from) in [(A, "192.0.2.1:4000"), (B, "198.51.100.1:6000")] {
        bed.open(leg, remote(from));
        let list = FormatList::new([WireFormat {
            payload_type: 9,
            payload: Payload::Codec(Codec::G722),
        }]);
        let formats = LegFormats {
            receive: list,
            send: list,
            ptime_ms: 20,
        };
        bed.formats(leg, formats);
    }
    bed.bridge_passing(A, B, 9);
    for symbol in "159D*".chars() {
        send_digit(&mut bed, B, symbol);
    }
    let tones: Vec<Vec<u8>> = bed
        .audio_ms(1_500)
        .into_iter()
        .map(|sent| sent.bytes)
        .collect();
    assert!(tones.len() >= 25, "{}", tones.len());
    bed.events();
    let listening = Listening::Tones;
    bed.command(Command::Listen { leg: B, listening });
    let mut passed = Vec::new();
    for packet in tones {
        let _ = bed.bytes(B, Component::Rtp, "198.51.100.1:6000", packet);
        passed.extend(bed.audio_ms(20));
    }
    passed.extend(bed.audio_ms(300));
    let expected: Vec<(LegId, char)> = "159D*".chars().map(|symbol| (B, symbol)).collect();
    assert_eq!(digits(bed.events()), expected);
    // What is heard of a tone before it is known to be one is shorter than any digit.
    let pcm = heard(&passed, A, Codec::G722);
    let loud = pcm
        .chunks(160)
        .filter(|block| block.iter().any(|s| s.unsigned_abs() > 1_000))
        .count();
    assert!(loud <= 5 * 4, "{loud} blocks of 10 ms");
}

#[test]
fn an_event_passes_into_a_transcoded_stream_in_that_streams_time() {
    let mut bed = transcoding(Codec::Ulaw, Codec::G722, (20, 20));
    let mut speaker = from_a(Codec::Ulaw);
    let mut sent = speaker.talk(&mut bed, 400);
    let timestamp = speaker.timestamp;
    for number in 1..=8_u32 {
        let marker = if number == 1 { 0x80 } else { 0 };
        let [high, low] = ((number.min(6) * 160) as u16).to_be_bytes();
        let event = [7, if number >= 6 { 0x8a } else { 0x0a }, high, low];
        let bytes = speaker.rtp(101 | marker, timestamp, &event);
        speaker.timestamp = speaker.timestamp.wrapping_add(160);
        speaker.said += 320;
        sent.extend(bed.bytes(A, Component::Rtp, speaker.from, bytes));
        sent.extend(bed.audio_ms(20));
    }
    sent.extend(speaker.talk(&mut bed, 400));
    let packets = to_b(&sent);
    steps(&packets);
    assert!(
        packets
            .iter()
            .all(|packet| packet.ssrc() == packets[0].ssrc())
    );
    let events: Vec<&&Sent> = packets
        .iter()
        .filter(|sent| sent.bytes[1] & 0x7f == 101)
        .collect();
    assert_eq!(events.len(), 8);
    assert!(events[0].marker());
    assert!(
        events
            .iter()
            .all(|event| event.timestamp() == events[0].timestamp())
    );
    let place = packets
        .iter()
        .position(|sent| sent.bytes[1] & 0x7f == 101)
        .expect("there is");
    let before = packets[place - 1].timestamp();
    let ahead = events[0].timestamp().wrapping_sub(before);
    assert!(
        (80..=480).contains(&ahead),
        "in the stream's own time: {ahead}"
    );
    let last = packets.last().expect("there is").timestamp();
    assert!(last.wrapping_sub(events[0].timestamp()) < 80_000);
}

#[test]
fn comfort_noise_becomes_noise_of_its_level_where_the_far_side_knows_none() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Alaw, (20, 20));
    let list = FormatList::new([
        WireFormat {
            payload_type: 0,
            payload: Payload::Codec(Codec::Ulaw),
        },
        WireFormat {
            payload_type: 13,
            payload: Payload::ComfortNoise,
        },
    ]);
    let formats = LegFormats {
        receive: list,
        send: list,
        ptime_ms: 20,
    };
    bed.formats(A, formats);
    let mut speaker = from_a(Codec::Ulaw);
    speaker.talk(&mut bed, 400);
    let bytes = speaker.rtp(13, speaker.timestamp, &[40]);
    let _ = bed.bytes(A, Component::Rtp, speaker.from, bytes);
    bed.audio_ms(200);
    let pcm = heard(&bed.audio_ms(1_000), B, Codec::Alaw);
    assert!(
        pcm.len() >= 7_800,
        "it goes on without a packet: {}",
        pcm.len()
    );
    let power: f64 = pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64;
    let dbov = 10.0 * (power / 32_768_f64.powi(2)).log10();
    assert!((-43.0..=-37.0).contains(&dbov), "{dbov} dBov");
}

#[test]
fn a_digit_lasts_as_long_as_was_asked_and_the_next_waits() {
    let mut bed = transcoding(Codec::Ulaw, Codec::Alaw, (20, 20));
    send_digit(&mut bed, B, '1');
    send_digit(&mut bed, B, '2');
    let began = bed.now;
    let mut at = Vec::new();
    for _ in 0..60 {
        let events = bed.audio_ms(10);
        let time = bed.now.since(began).0 / 1_000_000;
        at.extend(events.iter().map(|sent| (time, sent.bytes[12])));
    }
    let (first, second): (Vec<_>, Vec<_>) = at.iter().copied().partition(|(_, code)| *code == 1);
    assert_eq!(
        (first.len(), second.len()),
        (7, 7),
        "five, and two more ends"
    );
    for packets in [&first, &second] {
        let mut steps = packets.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(steps.all(|step| step == 20), "{at:?}");
    }
    let pause = second[0].0 - first[4].0;
    assert!((100..=140).contains(&pause), "{pause} ms after its end");
}
