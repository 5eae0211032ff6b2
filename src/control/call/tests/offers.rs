//! Who may offer what and when (RFC 6337), early media, and hold in each of its forms.

use super::world::*;
use crate::sip::message::Method;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SDP: &str = "application/sdp";

fn alice(version: u64, direction: &str) -> String {
    sdp("198.51.100.10", 4000, version, "8 0", direction)
}

fn bob(version: u64, direction: &str) -> String {
    sdp("203.0.113.20", 6000, version, "8 0", direction)
}

#[test]
fn hold_in_each_of_its_forms_reaches_the_other_side_and_ends() {
    let nowhere = sdp("0.0.0.0", 4000, 2, "8 0", "sendrecv");
    for (asked, passed, answered, told) in [
        (alice(2, "sendonly"), "sendonly", "recvonly", "recvonly"),
        // Music is sent to who is held.
        (alice(2, "inactive"), "sendonly", "recvonly", "inactive"),
        (nowhere, "sendonly", "recvonly", "recvonly"),
    ] {
        let mut world = World::new();
        world.talk("100");
        world.request(ALICE, Method::Invite, Some((SDP, &asked)));
        world.run(50 * MS);
        let to_bob = world.last_to(BOB, "INVITE");
        assert!(to_bob.contains(&format!("a={passed}\r\n")), "{to_bob}");
        world.answer(BOB, 200, Some(&bob(2, answered)));
        world.run(50 * MS);
        let to_alice = world.last_to(ALICE, "200 INVITE");
        assert!(to_alice.contains(&format!("a={told}\r\n")), "{to_alice}");
        world.ack(ALICE, None);
        world.run(50 * MS);
        assert_eq!(world.gateway.calls(world.now)[0].state, "held");
        world.request(ALICE, Method::Invite, Some((SDP, &alice(3, "sendrecv"))));
        world.run(50 * MS);
        assert!(world.last_to(BOB, "INVITE").contains("a=sendrecv\r\n"));
        world.answer(BOB, 200, Some(&bob(3, "sendrecv")));
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(50 * MS);
        assert_eq!(world.gateway.calls(world.now)[0].state, "up");
        end(world);
    }
}

#[test]
fn a_side_on_hold_may_hold_too() {
    let mut world = World::new();
    world.talk("100");
    world.request(ALICE, Method::Invite, Some((SDP, &alice(2, "sendonly"))));
    world.run(50 * MS);
    world.answer(BOB, 200, Some(&bob(2, "recvonly")));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    world.request(BOB, Method::Invite, Some((SDP, &bob(3, "inactive"))));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "INVITE").contains("a=sendonly\r\n"));
    world.answer(ALICE, 200, Some(&alice(3, "inactive")));
    world.run(50 * MS);
    assert!(world.last_to(BOB, "200 INVITE").contains("a=inactive\r\n"));
    world.ack(BOB, None);
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "held");
    end(world);
}

#[test]
fn the_callee_may_ask_without_an_offer_too() {
    let mut world = World::new();
    world.talk("100");
    world.request(BOB, Method::Invite, None);
    world.run(50 * MS);
    assert!(world.last_to(BOB, "200 INVITE").contains("m=audio "));
    world.ack(BOB, Some(&bob(2, "sendonly")));
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "INVITE").contains("a=sendonly\r\n"));
    world.answer(ALICE, 200, Some(&alice(2, "recvonly")));
    world.run(50 * MS);
    assert_eq!(world.gateway.calls(world.now)[0].state, "held");
    end(world);
}

#[test]
fn ringing_after_early_media_leaves_the_answer_as_it_was() {
    let mut world = World::new();
    world.invite(ALICE, "100", Some(&alice(1, "sendrecv")));
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob(1, "sendrecv")));
    world.run(50 * MS);
    let early = world.last_to(ALICE, "183 INVITE");
    world.answer(BOB, 180, None);
    world.run(50 * MS);
    assert!(!world.last_to(ALICE, "180 INVITE").contains("m=audio"));
    world.answer(BOB, 200, Some(&bob(1, "sendrecv")));
    world.run(50 * MS);
    let body = |text: &str| text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    assert_eq!(body(&world.last_to(ALICE, "200 INVITE")), body(&early));
    world.ack(ALICE, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn early_media_of_one_of_several_that_ring_is_not_heard() {
    let mut world = World::new();
    world.invite(ALICE, "103", Some(&alice(1, "sendrecv")));
    world.run(50 * MS);
    world.answer(BOB, 183, Some(&bob(1, "sendrecv")));
    world.run(50 * MS);
    assert_eq!(world.count_to(ALICE, "183 INVITE"), 0);
    assert_eq!(world.count_to(ALICE, "180 INVITE"), 1);
    assert!(world.last_bridge().is_none());
    world.answer(BOB, 200, None);
    world.run(50 * MS);
    assert!(world.last_to(ALICE, "200 INVITE").contains("m=audio "));
    assert_eq!(
        world.count_to(CAROL, "CANCEL") + world.count_to(CAROL, "INVITE"),
        1
    );
    world.answer(CAROL, 180, None);
    world.run(50 * MS);
    assert_eq!(world.count_to(CAROL, "CANCEL"), 1);
    world.answer(CAROL, 487, None);
    world.ack(ALICE, None);
    world.run(50 * MS);
    end(world);
}

#[test]
fn dtmf_by_info_goes_where_it_is_taken() {
    let dtmf = ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n");
    let by_info = CONFIG.replace("aors = [\"bob\"]", "aors = [\"bob\"]\ndtmf_mode = \"info\"");
    for (config, allow, passed) in [
        (CONFIG, "INVITE, ACK, BYE, INFO", 1),
        (CONFIG, "INVITE, ACK, BYE", 0),
        (by_info.as_str(), "INVITE, ACK, BYE", 1),
    ] {
        let mut world = World::with_config(config);
        world.invite(ALICE, "100", Some(&alice(1, "sendrecv")));
        world.run(50 * MS);
        world.answer_with(BOB, 200, Some(&bob(1, "sendrecv")), &[("Allow", allow)]);
        world.run(50 * MS);
        world.ack(ALICE, None);
        world.run(50 * MS);
        world.request(ALICE, Method::Info, Some(dtmf));
        world.run(50 * MS);
        assert_eq!(world.count_to(BOB, "INFO"), passed, "{allow}");
        world.confirm(BOB, 200);
        world.run(50 * MS);
        assert_eq!(world.phone(ALICE).final_status(), Some(200));
        end(world);
    }
}
