//! Faxes by T.38: the way there, the way back, and where one side takes none. RTCP by the port of RTP.

use super::world::*;
use crate::link::{Carries, Command};
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SDP: &str = "application/sdp";

fn fax(address: &str, port: u16, version: u64) -> String {
    format!(
        "v=0\r\no=- 77 {version} IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n\
         m=image {port} udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n\
         a=T38FaxUdpEC:t38UDPRedundancy\r\na=label:x\r\n"
    )
}

pub(super) fn alices_fax(version: u64) -> String {
    fax("198.51.100.10", 4010, version)
}

pub(super) fn bobs_fax(version: u64) -> String {
    fax("203.0.113.20", 6010, version).replace("14400", "9600")
}

fn alices_audio(version: u64) -> String {
    sdp("198.51.100.10", 4000, version, "8 0 101", "sendrecv")
}

fn bobs_audio(version: u64) -> String {
    sdp("203.0.113.20", 6000, version, "8 0 101", "sendrecv")
}

/// A call of two that may both fax, or only these.
fn talking(alice: bool, bob: bool) -> World {
    let config = CONFIG
        .replace(
            "[endpoint.alice]\n",
            &format!("[endpoint.alice]\nt38_udptl = {alice}\n"),
        )
        .replace(
            "[endpoint.bob]\n",
            &format!("[endpoint.bob]\nt38_udptl = {bob}\n"),
        );
    let mut world = World::with_config(&config);
    world.talk("100");
    world
}

fn media_lines(message: &str) -> Vec<&str> {
    let lines = message.lines();
    lines.filter(|line| line.starts_with("m=")).collect()
}

/// Bob's machine has heard the other one's tone, and asks for T.38.
fn go_over(world: &mut World) {
    world.request(BOB, Method::Invite, Some((SDP, &bobs_fax(2))));
    world.run(50 * MS);
    let to_alice = world.last_to(ALICE, "INVITE");
    let ours = media_lines(&to_alice);
    assert!(
        ours.len() == 1 && ours[0].starts_with("m=image 20") && ours[0].ends_with(" udptl t38"),
        "{to_alice}"
    );
    assert!(to_alice.contains("a=T38MaxBitRate:9600\r\n"), "{to_alice}");
    assert!(!to_alice.contains("label"), "{to_alice}");
    world.answer(ALICE, 200, Some(&alices_fax(2)));
    world.run(50 * MS);
    let to_bob = world.last_to(BOB, "200 INVITE");
    assert!(
        media_lines(&to_bob)[0].starts_with("m=image 20"),
        "{to_bob}"
    );
    assert!(to_bob.contains("a=T38MaxBitRate:14400\r\n"), "{to_bob}");
    world.ack(BOB, None);
    world.run(50 * MS);
}

#[test]
fn a_fax_passes_between_two_that_may_and_ends_with_audio() {
    let mut world = talking(true, true);
    let ports = world.gateway.calls(world.now)[0].rtp_ports.clone();
    go_over(&mut world);
    let remotes_now = world.remotes();
    let places: Vec<String> = remotes_now.iter().map(|r| r.rtp.to_string()).collect();
    assert_eq!(places, ["198.51.100.10:4010", "203.0.113.20:6010"]);
    for remote in remotes_now {
        assert_eq!(remote.carries, Carries::Datagrams);
        assert!(remote.send && remote.receive);
        assert_eq!(remote.timeout_s, 0, "between pages nobody sends");
    }
    let Some(Command::Bridge { a_to_b, b_to_a, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert!(a_to_b.pairs().is_empty() && b_to_a.pairs().is_empty());
    assert_eq!(world.gateway.calls(world.now)[0].rtp_ports, ports);
    // Nobody is asked anything by itself, and a refresh is answered alone.
    world.run(Duration::from_secs(5));
    let asked = world.distinct_to(BOB, "INVITE");
    world.request(ALICE, Method::Invite, Some((SDP, &alices_fax(2))));
    world.run(50 * MS);
    assert!(media_lines(&world.last_to(ALICE, "200 INVITE"))[0].starts_with("m=image 20"));
    world.ack(ALICE, None);
    world.run(50 * MS);
    assert_eq!(world.distinct_to(BOB, "INVITE"), asked);
    // The last page is through.
    world.request(ALICE, Method::Invite, Some((SDP, &alices_audio(3))));
    world.run(50 * MS);
    let to_bob = world.last_to(BOB, "INVITE");
    assert_eq!(media_lines(&to_bob).len(), 1, "{to_bob}");
    assert!(
        media_lines(&to_bob)[0].starts_with("m=audio 20"),
        "{to_bob}"
    );
    world.answer(BOB, 200, Some(&bobs_audio(3)));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    for remote in world.remotes() {
        assert_eq!(remote.carries, Carries::Rtp);
        assert!(remote.timeout_s > 0);
    }
    let Some(Command::Bridge { a_to_b, .. }) = world.last_bridge() else {
        panic!("not bridged");
    };
    assert_eq!(a_to_b.pairs(), [(8, 8), (0, 0), (101, 101)]);
    end(world);
}

#[test]
fn where_either_may_not_it_is_488_and_the_call_goes_on() {
    for (alice, bob) in [(false, true), (true, false), (false, false)] {
        let mut world = talking(alice, bob);
        let commands = world.commands.len();
        world.request(BOB, Method::Invite, Some((SDP, &bobs_fax(2))));
        world.run(50 * MS);
        assert_eq!(world.phone(BOB).final_status(), Some(488));
        assert_eq!(world.count_to(ALICE, "INVITE"), 0);
        assert_eq!(world.commands.len(), commands);
        assert_eq!(world.gateway.calls(world.now)[0].state, "up");
        end(world);
    }
}

#[test]
fn a_far_side_that_refuses_leaves_audio_on_both() {
    let mut world = talking(true, true);
    let commands = world.commands.len();
    world.request(BOB, Method::Invite, Some((SDP, &bobs_fax(2))));
    world.run(50 * MS);
    world.answer(ALICE, 488, None);
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(488));
    assert_eq!(world.commands.len(), commands);
    end(world);
}

#[test]
fn a_far_side_that_takes_the_offer_but_no_fax_is_asked_back_to_audio() {
    let mut world = talking(true, true);
    world.request(BOB, Method::Invite, Some((SDP, &bobs_fax(2))));
    world.run(50 * MS);
    let none = alices_fax(2).replace("m=image 4010", "m=image 0");
    world.answer(ALICE, 200, Some(&none));
    world.run(50 * MS);
    assert_eq!(world.phone(BOB).final_status(), Some(488));
    let back = world.last_to(ALICE, "INVITE");
    assert!(media_lines(&back)[0].starts_with("m=audio 20"), "{back}");
    world.answer(ALICE, 200, Some(&alices_audio(3)));
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    end(world);
}

#[test]
fn an_offer_of_audio_and_a_fax_is_one_of_a_fax_where_both_may() {
    for may in [true, false] {
        let mut world = talking(true, may);
        let image = bobs_fax(2);
        let line = image.split("t=0 0\r\n").nth(1).expect("a line");
        let both = format!("{}{line}", bobs_audio(2));
        world.request(BOB, Method::Invite, Some((SDP, &both)));
        world.run(50 * MS);
        let to_alice = world.last_to(ALICE, "INVITE");
        let expected = if may { "m=image 20" } else { "m=audio 20" };
        assert!(
            media_lines(&to_alice)[0].starts_with(expected),
            "{to_alice}"
        );
        let answer = if may { alices_fax(2) } else { alices_audio(2) };
        world.answer(ALICE, 200, Some(&answer));
        world.run(50 * MS);
        let to_bob = world.last_to(BOB, "200 INVITE");
        let lines = media_lines(&to_bob);
        assert_eq!(lines.len(), 2, "{to_bob}");
        assert_eq!(lines[0].starts_with("m=audio 0 "), may, "{to_bob}");
        assert_eq!(lines[1].starts_with("m=image 0 "), !may, "{to_bob}");
        world.ack(BOB, None);
        world.run(50 * MS);
        end(world);
    }
}

#[test]
fn a_fax_ends_with_the_call() {
    let mut world = talking(true, true);
    go_over(&mut world);
    end(world);
}

#[test]
fn a_call_that_begins_as_a_fax_is_488() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alices_fax(1)));
    world.run(50 * MS);
    assert_eq!(world.phone(ALICE).final_status(), Some(488));
    world.assert_nothing_left();
}

#[test]
fn rtcp_by_the_port_of_rtp_is_answered_and_offered_only_where_the_endpoint_says_so() {
    let muxed = |body: String| body.replace("a=sendrecv", "a=rtcp-mux\r\na=sendrecv");
    let by_key = CONFIG.replace("[endpoint.bob]\n", "[endpoint.bob]\nrtcp_mux = true\n");
    for (config, offers, answers, ports) in [
        (CONFIG, false, false, [4001, 6001]),
        (CONFIG, true, false, [4000, 6001]),
        // An answer has nothing that was not offered; nor does it count.
        (CONFIG, false, true, [4001, 6001]),
        (by_key.as_str(), false, true, [4001, 6000]),
        (by_key.as_str(), false, false, [4001, 6001]),
    ] {
        let what = format!("{offers} {answers} {ports:?}");
        let mut world = World::with_config(config);
        let offer = alices_audio(1);
        let offer = if offers { muxed(offer) } else { offer };
        world.invite(ALICE, "100", Some(&offer));
        world.run(50 * MS);
        let is_offered = world.last_to(BOB, "INVITE").contains("a=rtcp-mux\r\n");
        assert_eq!(is_offered, config != CONFIG, "{what}");
        let answer = bobs_audio(1);
        let answer = if answers { muxed(answer) } else { answer };
        world.answer(BOB, 200, Some(&answer));
        world.run(50 * MS);
        let is_answered = world
            .last_to(ALICE, "200 INVITE")
            .contains("a=rtcp-mux\r\n");
        assert_eq!(is_answered, offers, "{what}");
        world.ack(ALICE, None);
        world.run(50 * MS);
        let rtcp: Vec<u16> = world.remotes().iter().map(|r| r.rtcp.port()).collect();
        assert_eq!(rtcp, ports, "{what}");
        end(world);
    }
}
