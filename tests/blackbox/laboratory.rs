//! The audio laboratory itself: with no gateway between, it hears what was said, and it notices what is wrong.

use crate::gateway::Network;
use crate::lab::{Codec, Recording, Sound, Talk, exchange, high_band_db, report};
use crate::media::Peer;
use std::net::SocketAddrV4;
use std::panic::{AssertUnwindSafe, catch_unwind};

const TEXT: &str =
    "The birch canoe slid on the smooth planks, and four hours of steady work faced us.";

/// Straight from one socket to the other; what the second heard.
fn straight(talk: &Talk) -> Recording {
    let network = Network::new();
    let [a, b] = [1, 2].map(|host| SocketAddrV4::new(network.host(host), 6000));
    let (speaker, ear) = (Peer::bind(a), Peer::bind(b));
    let nothing = Talk::of(Codec::Ulaw, &[], 20);
    let [_, heard] = exchange([(&speaker, b, talk), (&ear, a, &nothing)]);
    heard
}

#[test]
fn what_is_sent_by_each_codec_is_heard() {
    let speech = Sound::speech(TEXT);
    for (codec, ptime_ms) in [(Codec::Ulaw, 10), (Codec::Alaw, 60), (Codec::G722, 30)] {
        let heard = straight(&Talk::new(codec, &speech, ptime_ms));
        heard.assert_sound_stream(codec, ptime_ms);
        let chain = report(&speech, &codec.decode(&codec.encode(&speech)), 0.1);
        let ours = report(&speech, &heard.sound(codec), 1.0);
        ours.assert_as_good_as(&chain, codec.name());
        assert_eq!(heard.holes(codec), 0);
    }
}

#[test]
fn a_network_loses_doubles_and_reorders_and_time_stamps_put_all_in_its_place() {
    let speech = Sound::speech(TEXT);
    let whole = Talk::new(Codec::Alaw, &speech, 20);
    let talk = whole.clone().lose(0.05).reorder(0.05).jitter(15);
    assert!(talk.count() < whole.count());
    let heard = straight(&talk);
    assert_eq!(heard.holes(Codec::Alaw), whole.count() - talk.count());
    let heard = report(&speech, &heard.sound(Codec::Alaw), 1.0);
    assert!(
        heard.part(|piece| piece.lag == heard.pieces[0].lag) > 0.99,
        "{heard}"
    );
    let doubled = straight(&Talk::new(Codec::Alaw, &speech, 20).double(0.1));
    assert!(doubled.packets.len() > whole.count());
    assert_eq!(doubled.of(8).len(), whole.count());
    let is_seen = catch_unwind(AssertUnwindSafe(|| {
        doubled.assert_sound_stream(Codec::Alaw, 20)
    }));
    assert!(is_seen.is_err());
}

#[test]
fn worse_audio_than_the_reference_is_noticed() {
    let speech = Sound::speech(TEXT);
    let chain = report(&speech, &speech.transcoded(Codec::Ulaw, Codec::G722), 0.1);
    let notices = |what: &str, change: &mut dyn FnMut(usize, i16) -> i16| {
        let mut sound = speech.transcoded(Codec::Ulaw, Codec::G722);
        for (place, sample) in sound.samples.iter_mut().enumerate() {
            *sample = change(place, *sample);
        }
        let ours = report(&speech, &sound, 0.1);
        catch_unwind(AssertUnwindSafe(|| ours.assert_as_good_as(&chain, what))).is_err()
    };
    assert!(!notices("nothing", &mut |_, sample| sample));
    assert!(notices(
        "1 dB down",
        &mut |_, sample| (f64::from(sample) * 0.89) as i16
    ));
    assert!(notices("fewer bits", &mut |_, sample| sample & !0x1ff));
    assert!(notices("clipped", &mut |_, sample| sample.clamp(-3_000, 3_000)));
    assert!(notices("silence", &mut |_, _| 0));
    assert!(notices("clicks", &mut |place, sample| if place % 320 < 4 {
        12_000
    } else {
        sample
    }));
    let mut seed = fastrand::Rng::with_seed(1);
    assert!(notices("noise", &mut |_, sample| sample
        .saturating_add(seed.i16(-600..600))));
}

#[test]
fn images_above_the_narrow_band_are_noticed() {
    let narrow = Sound::speech(TEXT).at(8_000);
    let good = high_band_db(&narrow.at(16_000));
    let twice = Sound {
        rate: 16_000,
        samples: narrow
            .samples
            .iter()
            .flat_map(|sample| [*sample; 2])
            .collect(),
    };
    let bad = high_band_db(&twice);
    assert!(good < bad - 10.0, "{good:.1} dB against {bad:.1} dB");
}
