//! SRTP: who is offered and answered which keys, what is refused, and what the workers are told.

use super::fax::{alices_fax, bobs_fax};
use super::world::*;
use crate::link::{Command, LegCrypto, LegId};
use crate::rtp::srtp::{MasterKey, Suite};
use crate::sdp::{Audio, Crypto, Description};
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SDP: &str = "application/sdp";
/// Encrypted or no call, though SIP is on UDP here.
const SDES: &str =
    "media_encryption = \"sdes\"\nmedia_encryption_over_insecure_signalling = true\n";
/// May go over to T.38.
const T38: &str = "t38_udptl = true\n";
/// Encrypted if the peer can.
const OPTIMISTIC: &str = "media_encryption = \"sdes\"\nmedia_encryption_optimistic = true\n\
    media_encryption_over_insecure_signalling = true\n";

fn world(alice: &str, bob: &str) -> World {
    let config = CONFIG
        .replace("[endpoint.alice]\n", &format!("[endpoint.alice]\n{alice}"))
        .replace("[endpoint.bob]\n", &format!("[endpoint.bob]\n{bob}"));
    World::with_config(&config)
}

fn line(tag: u32, suite: Suite, byte: u8) -> Crypto {
    let key = MasterKey::new(suite, &vec![byte; suite.material_len()]).expect("a key");
    Crypto { tag, key }
}

/// A description with these keys in its audio line.
fn with_keys(plain: &str, protocol: &str, keys: &[Crypto]) -> String {
    let mut body = plain.replace("RTP/AVP", protocol);
    keys.iter().for_each(|key| key.write(&mut body));
    body
}

fn alice(version: u64, protocol: &str, keys: &[Crypto]) -> String {
    let plain = sdp("198.51.100.10", 4000, version, "8 0 101", "sendrecv");
    with_keys(&plain, protocol, keys)
}

fn bob(protocol: &str, keys: &[Crypto]) -> String {
    let plain = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    with_keys(&plain, protocol, keys)
}

fn ring(world: &mut World, offer: &str) {
    world.invite(ALICE, "100", Some(offer));
    world.run(50 * MS);
}

fn answer(world: &mut World, answer: &str) {
    world.answer(BOB, 200, Some(answer));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
}

/// The audio of our last message of that name.
fn told(world: &World, phone: &str, name: &str) -> Audio {
    let message = world.last_to(phone, name);
    let (_, body) = message.split_once("\r\n\r\n").expect("a body");
    let description = Description::parse(body.as_bytes()).expect("a description");
    description.audio().expect("has audio").clone()
}

/// The legs, Alice's first.
fn legs(world: &World) -> (LegId, LegId) {
    let opened = world
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::Open { leg, .. } => Some(*leg),
            _ => None,
        });
    let opened: Vec<LegId> = opened.collect();
    (opened[0], opened[1])
}

/// What the worker was told of a leg's keys, in order.
fn keys_of(world: &World, wanted: LegId) -> Vec<Option<LegCrypto>> {
    let told = world
        .commands
        .iter()
        .filter_map(|(_, command)| match command {
            Command::SetCrypto { leg, crypto } if *leg == wanted => Some(*crypto),
            _ => None,
        });
    told.collect()
}

#[test]
fn a_caller_is_encrypted_and_its_callee_is_not() {
    let mut world = world(SDES, "");
    let offered = [
        line(1, Suite::AesCm128HmacSha1_32, 1),
        line(7, Suite::AesCm128HmacSha1_80, 2),
    ];
    ring(&mut world, &alice(1, "RTP/SAVP", &offered));
    let to_bob = told(&world, BOB, "INVITE");
    assert_eq!(
        (to_bob.protocol.as_str(), &to_bob.crypto[..]),
        ("RTP/AVP", &[][..])
    );
    answer(&mut world, &bob("RTP/AVP", &[]));
    let to_alice = told(&world, ALICE, "200 INVITE");
    assert_eq!(to_alice.protocol, "RTP/SAVP");
    let [ours] = to_alice.crypto[..] else {
        panic!("one key: {to_alice:?}");
    };
    // Her first, with her tag and a key of our own.
    assert_eq!(
        (ours.tag, ours.key.suite()),
        (1, Suite::AesCm128HmacSha1_32)
    );
    assert_ne!(ours.key, offered[0].key);
    let (of_alice, of_bob) = legs(&world);
    let keys = LegCrypto {
        receive: offered[0].key,
        send: ours.key,
    };
    assert_eq!(keys_of(&world, of_alice), [Some(keys)]);
    assert_eq!(keys_of(&world, of_bob), []);
    end(world);
}

#[test]
fn the_worker_has_the_keys_before_it_knows_where_to_send() {
    let mut world = world(SDES, "");
    ring(
        &mut world,
        &alice(1, "RTP/SAVP", &[line(1, Suite::AeadAes128Gcm, 1)]),
    );
    answer(&mut world, &bob("RTP/AVP", &[]));
    let (of_alice, _) = legs(&world);
    let about_alice = world
        .commands
        .iter()
        .filter(|(_, command)| command.leg() == Some(of_alice));
    let first = about_alice.map(|(_, command)| command).find(|command| {
        matches!(
            command,
            Command::SetCrypto { .. } | Command::SetRemote { .. }
        )
    });
    assert!(
        matches!(first, Some(Command::SetCrypto { .. })),
        "{first:?}"
    );
    end(world);
}

#[test]
fn a_callee_is_offered_a_key_for_each_suite_and_takes_one() {
    let mut world = world("", SDES);
    ring(&mut world, &alice(1, "RTP/AVP", &[]));
    let offer = told(&world, BOB, "INVITE");
    assert_eq!(offer.protocol, "RTP/SAVP");
    let suites: Vec<Suite> = offer.crypto.iter().map(|line| line.key.suite()).collect();
    assert_eq!(suites[0], Suite::AeadAes256Gcm);
    assert!(Suite::ALL.iter().all(|suite| suites.contains(suite)));
    for (at, line) in offer.crypto.iter().enumerate() {
        let later = &offer.crypto[at + 1..];
        let is_repeated = |other: &Crypto| {
            other.tag == line.tag || other.key.key_and_salt()[..12] == line.key.key_and_salt()[..12]
        };
        assert!(!later.iter().any(is_repeated), "{at}");
    }
    let ours = offer.crypto[3];
    let theirs = line(ours.tag, ours.key.suite(), 9);
    answer(&mut world, &bob("RTP/SAVP", &[theirs]));
    let (of_alice, of_bob) = legs(&world);
    let keys = LegCrypto {
        receive: theirs.key,
        send: ours.key,
    };
    assert_eq!(keys_of(&world, of_bob), [Some(keys)]);
    assert_eq!(keys_of(&world, of_alice), []);
    assert_eq!(told(&world, ALICE, "200 INVITE").protocol, "RTP/AVP");
    end(world);
}

#[test]
fn a_callee_that_takes_no_key_is_not_talked_to() {
    for protocol in ["RTP/AVP", "RTP/SAVP"] {
        let mut world = world("", SDES);
        ring(&mut world, &alice(1, "RTP/AVP", &[]));
        world.answer(BOB, 200, Some(&bob(protocol, &[])));
        world.run(50 * MS);
        assert_eq!(world.distinct_to(BOB, "BYE"), 1, "{protocol}");
        assert_eq!(world.distinct_to(ALICE, "200 INVITE"), 0);
        let (_, of_bob) = legs(&world);
        assert_eq!(keys_of(&world, of_bob), []);
    }
}

#[test]
fn an_optimistic_callee_may_take_a_key_or_none() {
    for takes in [true, false] {
        let mut world = world("", OPTIMISTIC);
        ring(&mut world, &alice(1, "RTP/AVP", &[]));
        let offer = told(&world, BOB, "INVITE");
        assert_eq!(offer.protocol, "RTP/AVP");
        assert_eq!(offer.crypto.len(), Suite::ALL.len());
        let theirs = line(offer.crypto[1].tag, offer.crypto[1].key.suite(), 9);
        let taken = if takes { &[theirs][..] } else { &[] };
        answer(&mut world, &bob("RTP/AVP", taken));
        let (_, of_bob) = legs(&world);
        assert_eq!(keys_of(&world, of_bob).len(), usize::from(takes));
        end(world);
    }
}

#[test]
fn what_an_endpoint_may_offer() {
    let insecure = "media_encryption = \"sdes\"\n";
    let careless = "media_encryption = \"sdes\"\nmedia_encryption_optimistic = true\n";
    let keys = [line(1, Suite::AesCm128HmacSha1_80, 1)];
    let (savp, avp, beside) = (
        alice(1, "RTP/SAVP", &keys),
        alice(1, "RTP/AVP", &[]),
        alice(1, "RTP/AVP", &keys),
    );
    let keyless = alice(1, "RTP/SAVP", &[]);
    // Whether it may, and if so, encrypted or not.
    for (settings, offer, expected) in [
        ("", &avp, Some(false)),
        ("", &beside, Some(false)),
        ("", &savp, None),
        (SDES, &avp, None),
        (SDES, &beside, Some(true)),
        (SDES, &savp, Some(true)),
        (SDES, &keyless, None),
        (OPTIMISTIC, &avp, Some(false)),
        (OPTIMISTIC, &beside, Some(true)),
        (OPTIMISTIC, &savp, Some(true)),
        (OPTIMISTIC, &keyless, None),
        // Keys that everybody on the way has read.
        (insecure, &avp, None),
        (insecure, &savp, None),
        (careless, &avp, Some(false)),
        (careless, &beside, Some(false)),
        (careless, &savp, None),
    ] {
        let mut world = world(settings, "");
        ring(&mut world, offer);
        let Some(is_encrypted) = expected else {
            assert_eq!(
                world.phone(ALICE).final_status(),
                Some(488),
                "{settings}{offer}"
            );
            assert_eq!(world.count_to(BOB, "INVITE"), 0);
            continue;
        };
        answer(&mut world, &bob("RTP/AVP", &[]));
        let (of_alice, _) = legs(&world);
        let is_told = !keys_of(&world, of_alice).is_empty();
        assert_eq!(is_told, is_encrypted, "{settings}{offer}");
        let said = told(&world, ALICE, "200 INVITE").crypto.len();
        assert_eq!(said, usize::from(is_encrypted));
        end(world);
    }
}

#[test]
fn nobody_is_called_whose_keys_everybody_could_read() {
    let mut world = world("", "media_encryption = \"sdes\"\n");
    ring(&mut world, &alice(1, "RTP/AVP", &[]));
    assert_eq!(world.count_to(BOB, "INVITE"), 0);
    assert!(
        world
            .phone(ALICE)
            .final_status()
            .is_some_and(|status| status >= 400)
    );
    world.assert_nothing_left();
}

#[test]
fn of_two_audio_lines_the_one_that_may_be_is_taken() {
    let second = |protocol: &str| format!("m=audio 4002 {protocol} 8\r\n");
    let keys = [line(1, Suite::AesCm128HmacSha1_80, 1)];
    let offer = alice(1, "RTP/SAVP", &keys) + &second("RTP/AVP");
    let mut world = world("", "");
    ring(&mut world, &offer);
    answer(&mut world, &bob("RTP/AVP", &[]));
    let said = world.last_to(ALICE, "200 INVITE");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(lines[0].starts_with("m=audio 0 RTP/SAVP "), "{lines:?}");
    assert!(lines[1].ends_with(" RTP/AVP 8"), "{lines:?}");
    end(world);
}

/// Alice, encrypted with `keys`, talks to Bob, who is not.
fn talking(settings: &str, keys: &[Crypto]) -> World {
    let mut world = world(settings, "");
    ring(&mut world, &alice(1, "RTP/SAVP", keys));
    answer(&mut world, &bob("RTP/AVP", &[]));
    world
}

fn reinvite(world: &mut World, offer: &str) {
    world.request(ALICE, Method::Invite, Some((SDP, offer)));
    world.run(50 * MS);
    if world.distinct_to(BOB, "INVITE") > 1 {
        world.answer(BOB, 200, Some(&bob("RTP/AVP", &[])));
        world.run(50 * MS);
    }
    if world.phone(ALICE).final_status() == Some(200) {
        world.ack(ALICE, None);
        world.run(50 * MS);
    }
}

#[test]
fn a_new_key_of_the_peer_is_told_and_ours_stays() {
    let first = line(1, Suite::AesCm128HmacSha1_80, 1);
    let mut world = talking(SDES, &[first]);
    let (of_alice, _) = legs(&world);
    let ours = told(&world, ALICE, "200 INVITE").crypto;
    // The same again is no new key.
    reinvite(&mut world, &alice(2, "RTP/SAVP", &[first]));
    assert_eq!(keys_of(&world, of_alice).len(), 1);
    assert_eq!(told(&world, ALICE, "200 INVITE").crypto, ours);
    // Nor does a suite that she prefers now put out the one in use.
    let better = line(1, Suite::AeadAes256Gcm, 3);
    let second = line(2, Suite::AesCm128HmacSha1_80, 2);
    reinvite(&mut world, &alice(3, "RTP/SAVP", &[better, second]));
    let said = told(&world, ALICE, "200 INVITE").crypto;
    assert_eq!((said[0].tag, said[0].key), (2, ours[0].key));
    let told_last = keys_of(&world, of_alice).pop().flatten().expect("told");
    assert_eq!(
        (told_last.receive, told_last.send),
        (second.key, ours[0].key)
    );
    // Another suite is another key of ours.
    reinvite(&mut world, &alice(4, "RTP/SAVP", &[better]));
    let said = told(&world, ALICE, "200 INVITE").crypto;
    assert_eq!(said[0].key.suite(), Suite::AeadAes256Gcm);
    let told_last = keys_of(&world, of_alice).pop().flatten().expect("told");
    assert_eq!(
        (told_last.receive, told_last.send),
        (better.key, said[0].key)
    );
    assert_eq!(keys_of(&world, of_alice).len(), 3);
    end(world);
}

#[test]
fn a_re_offer_without_keys_is_refused_or_ends_the_encryption() {
    let first = line(1, Suite::AesCm128HmacSha1_80, 1);
    for (settings, is_refused) in [(SDES, true), (OPTIMISTIC, false)] {
        let mut world = talking(settings, &[first]);
        let (of_alice, _) = legs(&world);
        reinvite(&mut world, &alice(2, "RTP/AVP", &[]));
        let keys = keys_of(&world, of_alice);
        if is_refused {
            assert_eq!(world.phone(ALICE).final_status(), Some(488));
            assert_eq!(keys.len(), 1);
        } else {
            assert_eq!(keys.last(), Some(&None));
        }
        end(world);
    }
}

#[test]
fn our_own_re_offer_has_the_key_in_use() {
    let mut world = world("", SDES);
    ring(&mut world, &alice(1, "RTP/AVP", &[]));
    let ours = told(&world, BOB, "INVITE").crypto[2];
    let theirs = line(ours.tag, ours.key.suite(), 9);
    answer(&mut world, &bob("RTP/SAVP", &[theirs]));
    let hold = alice(2, "RTP/AVP", &[]).replace("sendrecv", "sendonly");
    world.request(ALICE, Method::Invite, Some((SDP, &hold)));
    world.run(50 * MS);
    let offer = told(&world, BOB, "INVITE");
    assert_eq!(offer.protocol, "RTP/SAVP");
    assert_eq!(offer.crypto, [ours]);
    let held = bob("RTP/SAVP", &[theirs]).replace("sendrecv", "recvonly");
    world.answer(BOB, 200, Some(&held));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let (_, of_bob) = legs(&world);
    assert_eq!(keys_of(&world, of_bob).len(), 1);
    end(world);
}

#[test]
fn encrypted_media_stays_on_the_relay() {
    let direct = "direct_media = true\n";
    let mut world = world(&format!("{direct}{SDES}"), direct);
    let keys = [line(1, Suite::AesCm128HmacSha1_80, 1)];
    ring(&mut world, &alice(1, "RTP/SAVP", &keys));
    answer(&mut world, &bob("RTP/AVP", &[]));
    world.run(Duration::from_secs(2));
    assert_eq!(world.distinct_to(ALICE, "INVITE"), 0);
    assert_eq!(world.distinct_to(BOB, "INVITE"), 1);
    end(world);
}

#[test]
fn what_has_to_be_encrypted_takes_no_fax() {
    for (alice_is, bob_is) in [(SDES, ""), ("", SDES)] {
        let mut world = world(&format!("{alice_is}{T38}"), &format!("{bob_is}{T38}"));
        let has_keys = |is: &str| match is {
            SDES => ("RTP/SAVP", vec![line(1, Suite::AeadAes128Gcm, 1)]),
            _ => ("RTP/AVP", Vec::new()),
        };
        let (protocol, keys) = has_keys(alice_is);
        ring(&mut world, &alice(1, protocol, &keys));
        let (protocol, keys) = has_keys(bob_is);
        answer(&mut world, &bob(protocol, &keys));
        let commands = world.commands.len();
        world.request(BOB, Method::Invite, Some((SDP, &bobs_fax(2))));
        world.run(50 * MS);
        assert_eq!(world.phone(BOB).final_status(), Some(488));
        assert_eq!(world.count_to(ALICE, "INVITE"), 0);
        assert_eq!(world.commands.len(), commands);
        end(world);
    }
}

#[test]
fn audio_goes_on_with_its_keys_behind_a_fax() {
    let mut world = world(&format!("{OPTIMISTIC}{T38}"), T38);
    let hers = line(1, Suite::AeadAes128Gcm, 1);
    ring(&mut world, &alice(1, "RTP/SAVP", &[hers]));
    answer(&mut world, &bob("RTP/AVP", &[]));
    let (of_alice, of_bob) = legs(&world);
    let keys = keys_of(&world, of_alice);
    assert!(matches!(keys[..], [Some(_)]), "{keys:?}");
    world.request(BOB, Method::Invite, Some((SDP, &bobs_fax(2))));
    world.run(50 * MS);
    let to_alice = world.last_to(ALICE, "INVITE");
    assert!(to_alice.contains(" udptl t38\r\n"), "{to_alice}");
    assert!(!to_alice.contains("crypto"), "{to_alice}");
    world.answer(ALICE, 200, Some(&alices_fax(2)));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    let audio = sdp("203.0.113.20", 6000, 3, "8 0 101", "sendrecv");
    world.request(BOB, Method::Invite, Some((SDP, &audio)));
    world.run(50 * MS);
    let ours = told(&world, ALICE, "INVITE").crypto;
    let again = keys[0].map(|keys| keys.send);
    assert_eq!(
        ours.iter().map(|line| Some(line.key)).collect::<Vec<_>>(),
        [again]
    );
    world.answer(ALICE, 200, Some(&alice(3, "RTP/AVP", &[hers])));
    world.run(50 * MS);
    world.ack(BOB, None);
    world.run(50 * MS);
    assert_eq!(keys_of(&world, of_alice), keys);
    assert_eq!(keys_of(&world, of_bob), []);
    end(world);
}

#[test]
fn the_log_says_why_a_description_is_refused() {
    const PLAIN_OVER_UDP: &str =
        "media_encryption = \"sdes\"\nmedia_encryption_optimistic = true\n";
    let key = [line(1, Suite::AesCm128HmacSha1_80, 1)];
    for (settings, protocol, keys, why) in [
        ("", "RTP/SAVP", &key[..], "media_encryption is \\\"no\\\""),
        (PLAIN_OVER_UDP, "RTP/SAVP", &key, "without TLS"),
        (OPTIMISTIC, "RTP/SAVP", &[], "no key that can be kept to"),
        (SDES, "RTP/AVP", &[], "offers no SRTP"),
        (
            "media_encryption = \"sdes\"\n",
            "RTP/SAVP",
            &key,
            "not on TLS",
        ),
    ] {
        let text = logged(|| {
            let mut world = world(settings, "");
            ring(&mut world, &alice(1, protocol, keys));
            world.assert_nothing_left();
        });
        let line = text.lines().find(|line| line.contains(" 488: "));
        assert!(line.is_some_and(|line| line.contains(why)), "{why}: {text}");
    }
}

#[test]
fn the_log_says_why_an_answer_is_refused() {
    for (settings, formats, why) in [
        (SDES, "8 0 101", "not encrypted as media_encryption asks"),
        ("", "18", "it has no codec that was offered"),
    ] {
        let text = logged(|| {
            let mut world = world("", settings);
            ring(&mut world, &alice(1, "RTP/AVP", &[]));
            world.phones_answer = true;
            let body = sdp("203.0.113.20", 6000, 1, formats, "sendrecv");
            world.answer(BOB, 200, Some(&body));
            world.run(50 * MS);
            world.assert_nothing_left();
        });
        let line = text
            .lines()
            .find(|line| line.contains("answer of a callee"));
        assert!(line.is_some_and(|line| line.contains(why)), "{why}: {text}");
    }
}
