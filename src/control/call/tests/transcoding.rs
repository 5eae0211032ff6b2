//! Sides that have no codec in common, or prefer another: who is offered and answered what, who is asked again and who is
//! transcoded, and what the workers are told.

use super::world::*;
use crate::codec::{Codec, Payload};
use crate::link::{Command, LegFormats, LegId};
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SDP: &str = "application/sdp";

fn alice(version: u64, formats: &str) -> String {
    sdp("198.51.100.10", 4000, version, formats, "sendrecv")
}

fn bob(version: u64, formats: &str) -> String {
    sdp("203.0.113.20", 6000, version, formats, "sendrecv")
}

/// Alice, who may use A-law, µ-law and G.722, calls Bob, who may use the first two.
fn call(world: &mut World, offer: &str, answer: &str) {
    world.invite(ALICE, "100", Some(&alice(1, offer)));
    world.run(50 * MS);
    world.answer(BOB, 200, Some(&bob(1, answer)));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
}

/// The formats of the audio line of the last message of that name.
fn formats(world: &World, phone: &str, name: &str) -> String {
    let message = world.last_to(phone, name);
    let line = message
        .lines()
        .find_map(|line| line.strip_prefix("m=audio "));
    let line = line.unwrap_or_else(|| panic!("no audio: {message}"));
    line.splitn(3, ' ').nth(2).expect("formats").to_owned()
}

/// What the worker knows last of a leg's formats.
fn told(world: &World, wanted: LegId) -> LegFormats {
    let mut commands = world.commands.iter().rev();
    let told = commands.find_map(|(_, command)| match command {
        Command::SetFormats { leg, formats } if *leg == wanted => Some(**formats),
        _ => None,
    });
    told.expect("formats are told")
}

/// Payload types that pass, and what they become.
type Pairs = Vec<(u8, u8)>;

/// What joins the two: Alice's leg, Bob's, and what passes each way.
fn bridge(world: &World) -> (LegId, LegId, Pairs, Pairs) {
    match world.last_bridge() {
        Some(Command::Bridge {
            a,
            b,
            a_to_b,
            b_to_a,
        }) => (a, b, a_to_b.pairs().to_vec(), b_to_a.pairs().to_vec()),
        other => panic!("not bridged: {other:?}"),
    }
}

fn codecs(list: &crate::link::FormatList) -> Vec<(u8, Codec)> {
    let formats = list.formats().iter();
    let codec = |payload| match payload {
        Payload::Codec(codec) => Some(codec),
        _ => None,
    };
    formats
        .filter_map(|format| Some((format.payload_type, codec(format.payload)?)))
        .collect()
}

#[test]
fn a_common_codec_comes_first_and_is_the_only_one_answered() {
    let mut world = World::new();
    call(&mut world, "9 8 101", "8 0 101");
    assert_eq!(formats(&world, BOB, "INVITE"), "8 0 101");
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "8 101");
    assert_eq!(world.distinct_to(BOB, "INVITE"), 1, "nobody is asked again");
    let (a, b, a_to_b, b_to_a) = bridge(&world);
    assert_eq!(a_to_b, [(8, 8), (101, 101)]);
    assert_eq!(b_to_a, [(8, 8), (101, 101)]);
    assert_eq!(codecs(&told(&world, a).receive), [(8, Codec::Alaw)]);
    // Should Bob send µ-law, which he may, it is transcoded.
    let of_bob = [(8, Codec::Alaw), (0, Codec::Ulaw)];
    assert_eq!(codecs(&told(&world, b).receive), of_bob);
    end(world);
}

#[test]
fn without_a_common_codec_both_keep_theirs() {
    let mut world = World::new();
    call(&mut world, "9 101", "0 101");
    assert_eq!(formats(&world, BOB, "INVITE"), "0 8 101");
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "9 101");
    let (a, b, a_to_b, b_to_a) = bridge(&world);
    assert_eq!(a_to_b, [(101, 101)]);
    assert_eq!(b_to_a, [(101, 101)]);
    assert_eq!(codecs(&told(&world, a).send), [(9, Codec::G722)]);
    assert_eq!(codecs(&told(&world, b).send), [(0, Codec::Ulaw)]);
    assert_eq!(invites(&world), (0, 1));
    end(world);
}

fn invites(world: &World) -> (usize, usize) {
    (
        world.distinct_to(ALICE, "INVITE"),
        world.distinct_to(BOB, "INVITE"),
    )
}

#[test]
fn the_worker_knows_the_formats_before_the_bridge() {
    let mut world = World::new();
    call(&mut world, "9", "0");
    let place = |wanted: fn(&Command) -> bool| {
        let found = world
            .commands
            .iter()
            .position(|(_, command)| wanted(command));
        found.expect("told")
    };
    let formats = place(|command| matches!(command, Command::SetFormats { .. }));
    let bridge = place(|command| matches!(command, Command::Bridge { .. }));
    assert!(formats < bridge);
    let legs = world.commands.iter();
    let told = legs.filter(|(_, command)| matches!(command, Command::SetFormats { .. }));
    assert_eq!(told.count(), 2, "once a leg");
    end(world);
}

#[test]
fn a_callee_that_prefers_another_codec_is_asked_for_the_common_one_once() {
    for is_refused in [false, true] {
        let mut world = World::new();
        call(&mut world, "9 8 101", "0 8 101");
        assert_eq!(formats(&world, ALICE, "200 INVITE"), "8 101");
        assert_eq!(invites(&world), (0, 2));
        assert_eq!(formats(&world, BOB, "INVITE"), "8 101");
        match is_refused {
            false => world.answer(BOB, 200, Some(&bob(2, "8 101"))),
            true => world.answer(BOB, 488, None),
        }
        world.run(Duration::from_secs(10));
        assert_eq!(invites(&world), (0, 2), "and not again");
        let (_, b, ..) = bridge(&world);
        let heard = codecs(&told(&world, b).send);
        match is_refused {
            false => assert_eq!(heard, [(8, Codec::Alaw)]),
            true => assert_eq!(heard, [(0, Codec::Ulaw), (8, Codec::Alaw)]),
        }
        end(world);
    }
}

#[test]
fn early_media_may_be_transcoded_and_stands_in_the_answer() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alice(1, "9")));
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob(1, "0")));
    world.run(50 * MS);
    assert_eq!(formats(&world, ALICE, "183 INVITE"), "9");
    let (a, b, ..) = bridge(&world);
    assert_eq!(codecs(&told(&world, a).send), [(9, Codec::G722)]);
    assert_eq!(codecs(&told(&world, b).send), [(0, Codec::Ulaw)]);
    // Another fork answers, with another codec.
    world.answer(BOB, 200, Some(&bob(2, "8")));
    world.run(50 * MS);
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "9");
    assert_eq!(codecs(&told(&world, b).send), [(8, Codec::Alaw)]);
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert_eq!(invites(&world), (0, 1));
    end(world);
}

#[test]
fn a_caller_without_an_offer_may_choose_what_is_transcoded() {
    let mut world = World::new();
    world.invite(ALICE, "100", None);
    world.run(50 * MS);
    assert_eq!(formats(&world, BOB, "INVITE"), "8 0 101");
    world.answer(BOB, 200, Some(&bob(1, "0 101")));
    world.run(50 * MS);
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "0 8 9 101");
    world.ack(ALICE, Some(&alice(1, "9 101")));
    world.run(50 * MS);
    let (a, b, a_to_b, _) = bridge(&world);
    assert_eq!(a_to_b, [(101, 101)]);
    assert_eq!(codecs(&told(&world, a).send), [(9, Codec::G722)]);
    assert_eq!(codecs(&told(&world, b).send), [(0, Codec::Ulaw)]);
    assert_eq!(invites(&world), (0, 1));
    end(world);
}

#[test]
fn a_codec_that_the_far_side_may_not_use_does_not_disturb_it() {
    for method in [Method::Invite, Method::Update] {
        let mut world = World::new();
        world.talk("100");
        let change = alice(2, "9 101");
        world.request(ALICE, method.clone(), Some((SDP, &change)));
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(200), "{method}");
        let answer = format!("200 {method}");
        assert_eq!(formats(&world, ALICE, &answer), "9 101");
        if method == Method::Invite {
            world.ack(ALICE, None);
        }
        world.run(50 * MS);
        assert_eq!(invites(&world), (0, 1), "{method}");
        let (a, b, a_to_b, _) = bridge(&world);
        assert_eq!(a_to_b, [(101, 101)]);
        assert_eq!(codecs(&told(&world, a).send), [(9, Codec::G722)]);
        let of_bob = [(8, Codec::Alaw), (0, Codec::Ulaw)];
        assert_eq!(codecs(&told(&world, b).send), of_bob);
        // And back, with which Bob has nothing to do either, but he hears of a common codec.
        world.request(ALICE, Method::Invite, Some((SDP, &alice(3, "8 101"))));
        world.run(50 * MS);
        assert_eq!(formats(&world, BOB, "INVITE"), "8 101");
        world.answer(BOB, 200, Some(&bob(2, "8 101")));
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(50 * MS);
        let (_, _, a_to_b, _) = bridge(&world);
        assert_eq!(a_to_b, [(8, 8), (101, 101)]);
        end(world);
    }
}

#[test]
fn a_codec_that_the_far_side_refuses_is_transcoded_but_a_refused_hold_is_not() {
    let mut world = World::new();
    call(&mut world, "8 101", "8 101");
    world.request(ALICE, Method::Invite, Some((SDP, &alice(2, "0 101"))));
    world.run(50 * MS);
    world.answer(BOB, 488, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(200));
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "0 101");
    world.ack(ALICE, None);
    world.run(50 * MS);
    let (a, b, a_to_b, _) = bridge(&world);
    assert_eq!(a_to_b, [(101, 101)]);
    assert_eq!(codecs(&told(&world, a).send), [(0, Codec::Ulaw)]);
    assert_eq!(codecs(&told(&world, b).send), [(8, Codec::Alaw)]);
    let hold = sdp("198.51.100.10", 4000, 3, "0 101", "sendonly");
    world.request(ALICE, Method::Invite, Some((SDP, &hold)));
    world.run(50 * MS);
    world.answer(BOB, 488, None);
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(488));
    end(world);
}

#[test]
fn hold_reaches_a_side_that_is_transcoded() {
    let mut world = World::new();
    call(&mut world, "9 101", "0 101");
    for (version, asked, answered, state) in [
        (2, "sendonly", "recvonly", "held"),
        (3, "sendrecv", "sendrecv", "up"),
    ] {
        let change = sdp("198.51.100.10", 4000, version, "9 101", asked);
        world.request(ALICE, Method::Invite, Some((SDP, &change)));
        world.run(50 * MS);
        let passed = world.last_to(BOB, "INVITE");
        assert!(passed.contains(&format!("a={asked}\r\n")), "{passed}");
        let answer = sdp("203.0.113.20", 6000, version, "0 101", answered);
        world.answer(BOB, 200, Some(&answer));
        world.run(50 * MS);
        let told = world.last_to(ALICE, "200 INVITE");
        assert!(told.contains(&format!("a={answered}\r\n")), "{told}");
        assert_eq!(formats(&world, ALICE, "200 INVITE"), "9 101");
        world.ack(ALICE, None);
        world.run(50 * MS);
        assert_eq!(world.gateway.calls(world.now)[0].state, state);
    }
    end(world);
}

#[test]
fn a_late_answer_to_a_re_invite_without_an_offer_may_be_transcoded() {
    let mut world = World::new();
    call(&mut world, "9 8 101", "8 101");
    world.request(BOB, Method::Invite, None);
    world.run(50 * MS);
    assert_eq!(formats(&world, BOB, "200 INVITE"), "8 101");
    world.ack(BOB, Some(&bob(2, "8 101")));
    world.run(50 * MS);
    assert_eq!(invites(&world), (0, 1));
    end(world);
}

#[test]
fn each_side_has_telephone_events_as_its_own_endpoint_says() {
    // The caller has none: Bob is offered them all the same.
    let mut world = World::new();
    call(&mut world, "8", "8 101");
    assert_eq!(formats(&world, BOB, "INVITE"), "8 0 101");
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "8");
    end(world);
    // Bob has DTMF by INFO: he is offered none, Alice keeps hers.
    let info = CONFIG.replace("aors = [\"bob\"]", "aors = [\"bob\"]\ndtmf_mode = \"info\"");
    let mut world = World::with_config(&info);
    call(&mut world, "8 101", "8");
    assert_eq!(formats(&world, BOB, "INVITE"), "8 0");
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "8 101");
    let (_, _, a_to_b, _) = bridge(&world);
    assert_eq!(a_to_b, [(8, 8)]);
    end(world);
    // Bob's endpoint wants them, he does not.
    let mut world = World::new();
    call(&mut world, "8 101", "8");
    assert_eq!(formats(&world, BOB, "INVITE"), "8 0 101");
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "8 101");
    end(world);
}

#[test]
fn a_number_that_the_caller_uses_otherwise_is_left_to_it() {
    let opus = "v=0\r\no=- 77 1 IN IP4 198.51.100.10\r\ns=-\r\nc=IN IP4 198.51.100.10\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 101 8\r\na=rtpmap:101 opus/48000/2\r\n";
    let allows_opus = CONFIG.replace("\"g722\"]", "\"g722\", \"opus\"]");
    let mut world = World::with_config(&allows_opus);
    world.invite(ALICE, "100", Some(opus));
    world.run(50 * MS);
    assert_eq!(formats(&world, BOB, "INVITE"), "8 0 96");
    assert!(
        world
            .last_to(BOB, "INVITE")
            .contains("a=rtpmap:96 telephone-event/8000\r\n")
    );
    world.answer(BOB, 486, None);
    world.run(50 * MS);
    world.assert_nothing_left();
}

#[test]
fn comfort_noise_passes_where_both_have_it_or_the_endpoint_says_so() {
    let noisy = CONFIG.replace("aors = [\"bob\"]", "aors = [\"bob\"]\ncomfort_noise = true");
    for (config, offer, offered, answer, answered) in [
        (CONFIG, "8 13", "8 0 101 13", "8 13", "8 13"),
        (CONFIG, "8 13", "8 0 101 13", "8", "8"),
        (CONFIG, "8", "8 0 101", "8", "8"),
        (noisy.as_str(), "8", "8 0 101 13", "8 13", "8"),
    ] {
        let mut world = World::with_config(config);
        call(&mut world, offer, answer);
        assert_eq!(formats(&world, BOB, "INVITE"), offered);
        assert_eq!(formats(&world, ALICE, "200 INVITE"), answered);
        end(world);
    }
}

/// A description with this packet time in it.
fn with_ptime(body: &str, line: &str) -> String {
    format!("{body}{line}\r\n")
}

#[test]
fn each_side_is_told_the_packet_time_of_the_other_and_gets_its_own() {
    let mut world = World::new();
    let offer = with_ptime(&alice(1, "9"), "a=ptime:30");
    world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    assert!(world.last_to(BOB, "INVITE").contains("a=ptime:30\r\n"));
    let answer = with_ptime(&bob(1, "0"), "a=ptime:60\r\na=maxptime:45");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    assert!(
        world
            .last_to(ALICE, "200 INVITE")
            .contains("a=ptime:60\r\n")
    );
    world.ack(ALICE, None);
    world.run(50 * MS);
    let (a, b, ..) = bridge(&world);
    assert_eq!(told(&world, a).ptime_ms, 30);
    assert_eq!(
        told(&world, b).ptime_ms,
        40,
        "no more than it takes, in tens"
    );
    end(world);
}

#[test]
fn packet_times_that_make_no_sense_are_bounded() {
    for (line, ptime_ms) in [
        ("a=ptime:0", 20),
        ("a=ptime:5", 10),
        ("a=ptime:4000000000", 60),
        ("a=ptime:99999999999999", 20),
        ("a=ptime:27.5", 20),
        ("a=maxptime:1", 10),
        ("a=maxptime:240", 20),
    ] {
        let mut world = World::new();
        let offer = with_ptime(&alice(1, "9"), line);
        world.invite(ALICE, "100", Some(&offer));
        world.run(50 * MS);
        world.answer(BOB, 200, Some(&bob(1, "0")));
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(50 * MS);
        let (a, ..) = bridge(&world);
        assert_eq!(told(&world, a).ptime_ms, ptime_ms, "{line}");
        end(world);
    }
}

#[test]
fn codecs_that_we_know_by_name_alone_pass_with_their_parameters() {
    let wideband = CONFIG
        .replace("\"alaw\", \"ulaw\", \"g722\"]", "\"amrwb\", \"alaw\"]")
        .replacen(
            "allow = [\"ulaw\", \"alaw\"]",
            "allow = [\"AMR-WB/16000\", \"ulaw\"]",
            1,
        );
    let body = |address: &str, port: u16, number: u8, fmtp: &str| {
        format!(
            "v=0\r\no=- 77 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP {number} 99 18\r\na=rtpmap:{number} amr-wb/16000\r\n\
             a=fmtp:{number} {fmtp}\r\na=rtpmap:99 x-unknown/8000\r\n"
        )
    };
    let mut world = World::with_config(&wideband);
    let offer = body("198.51.100.10", 4000, 96, "mode-set=0,1,2; octet-align=1");
    world.invite(ALICE, "100", Some(&offer));
    world.run(50 * MS);
    let invite = world.last_to(BOB, "INVITE");
    assert_eq!(formats(&world, BOB, "INVITE"), "96");
    assert!(invite.contains("a=rtpmap:96 amr-wb/16000\r\n"), "{invite}");
    assert!(
        invite.contains("a=fmtp:96 mode-set=0,1,2; octet-align=1\r\n"),
        "{invite}"
    );
    let answer = body("203.0.113.20", 6000, 104, "mode-set=2; octet-align=1");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    let ok = world.last_to(ALICE, "200 INVITE");
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "96");
    assert!(
        ok.contains("a=fmtp:96 mode-set=2; octet-align=1\r\n"),
        "{ok}"
    );
    world.ack(ALICE, None);
    world.run(50 * MS);
    let (a, _, a_to_b, b_to_a) = bridge(&world);
    assert_eq!(a_to_b, [(96, 104)]);
    assert_eq!(b_to_a, [(96, 96)]);
    let heard = codecs(&told(&world, a).send);
    assert_eq!(heard, [(96, Codec::from_name("amrwb").expect("known"))]);
    assert_eq!(heard[0].1.clock_rate(), 16_000);
    end(world);
}

#[test]
fn an_offer_of_our_own_names_the_codecs_of_the_configuration() {
    let config = CONFIG.replace(
        "\"alaw\", \"ulaw\", \"g722\"]",
        "\"g723\", \"EVS/16000\", \"alaw\"]",
    );
    let mut world = World::with_config(&config);
    world.invite(ALICE, "100", None);
    world.run(50 * MS);
    world.answer(BOB, 200, Some(&bob(1, "8")));
    world.run(50 * MS);
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "8 101");
    world.ack(ALICE, Some(&alice(1, "8")));
    world.run(50 * MS);
    end(world);
    let mut world = World::with_config(&config);
    world.invite(ALICE, "105", None);
    world.run(50 * MS);
    assert_eq!(formats(&world, ALICE, "200 INVITE"), "4 96 8 101");
    assert!(
        world
            .last_to(ALICE, "200 INVITE")
            .contains("a=rtpmap:96 EVS/16000\r\n")
    );
    world.ack(ALICE, Some(&alice(1, "8")));
    world.run(50 * MS);
    world.request(ALICE, Method::Bye, None);
    world.assert_nothing_left();
}

#[test]
fn packets_of_another_time_pass_as_they_are_unless_the_endpoint_wants_its_own() {
    let wants = CONFIG.replace("[endpoint.bob]\n", "[endpoint.bob]\nuse_ptime = true\n");
    for (config, bobs, a_to_b) in [
        (CONFIG, "a=ptime:60", vec![(8, 8), (101, 101)]),
        (wants.as_str(), "a=ptime:60", vec![(101, 101)]),
        (wants.as_str(), "a=ptime:20", vec![(8, 8), (101, 101)]),
    ] {
        let mut world = World::with_config(config);
        world.invite(ALICE, "100", Some(&alice(1, "8 101")));
        world.run(50 * MS);
        let answer = with_ptime(&bob(1, "8 101"), bobs);
        world.answer(BOB, 200, Some(&answer));
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(50 * MS);
        let (_, b, told_a_to_b, told_b_to_a) = bridge(&world);
        assert_eq!(told_a_to_b, a_to_b, "{bobs}");
        assert_eq!(told_b_to_a, [(8, 8), (101, 101)], "{bobs}");
        let expected = bobs.rsplit(':').next().expect("a time");
        assert_eq!(told(&world, b).ptime_ms.to_string(), expected);
        end(world);
    }
}
