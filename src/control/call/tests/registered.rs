//! Calls to phones that have registered.

use super::world::*;
use crate::sip::auth::{Answer, Asker, Password, challenges};
use crate::sip::message::{Method, RequestDraft};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn world() -> World {
    let endpoints = "[endpoint.house]\ncontext = \"from-bob\"\nallow = [\"alaw\", \"ulaw\"]\n\
         auth = { username = \"house\", password = \"s3cret\" }\naor = { max_contacts = 3 }\n\
         [endpoint.nat]\nuse = \"nat\"\nauth = { username = \"nat\", password = \"s3cret\" }\naor = { max_contacts = 1 }\n\
         [template.nat]\ncontext = \"from-bob\"\nrewrite_contact = true\n";
    let check = "$[\\\"${DIALSTATUS}\\\" = \\\"CHANUNAVAIL\\\" & ${HANGUPCAUSE} = 20]";
    let extensions = format!(
        "\"200\" = [\"Dial(PJSIP/house,20)\"]\n\"201\" = [\"Dial(PJSIP/4711@house,20)\"]\n\
         \"202\" = [\"Dial(PJSIP/nat,20)\"]\n\
         \"203\" = [\"Dial(PJSIP/house)\", \"GotoIf({check}?absent)\", \"Hangup(17)\", \"absent: Hangup(21)\"]\n\
         \"204\" = [\"Dial(PJSIP/house/sip:x@203.0.113.30:5080,20)\"]\n\"_8X.\" ="
    );
    let config = CONFIG.replace("\"_8X.\" =", &extensions);
    World::with_config(&format!("{config}{endpoints}"))
}

fn register(world: &mut World, phone: &str, user: &str, headers: &[(&str, &str)]) {
    let uri = "sip:192.0.2.1";
    let mut draft = RequestDraft::new(Method::Register, uri)
        .header("From", format_args!("<sip:{user}@{phone}>;tag=r"))
        .header("To", format_args!("<sip:{user}@192.0.2.1>"))
        .header("Call-ID", format_args!("{user}-{phone}"))
        .header("CSeq", "1 REGISTER");
    for (name, value) in headers {
        draft = draft.header(name, value);
    }
    world.send(phone, draft.clone());
    world.run(100 * MS);
    let (_, asked) = world.phone(phone).response(401).expect("a challenge");
    let challenge = challenges(asked.headers(), Asker::User).remove(0);
    let answer = challenge.answer(&Answer {
        username: user,
        password: Password("s3cret"),
        method: &Method::Register,
        uri,
        body: &[],
        cnonce: "abc",
        nonce_count: 1,
    });
    let draft = draft
        .set_header("CSeq", "2 REGISTER")
        .header("Authorization", answer);
    world.send(phone, draft);
    world.run(100 * MS);
    assert_eq!(world.phone(phone).final_status(), Some(200));
}

fn call(world: &mut World, extension: &str) {
    let body = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite(ALICE, extension, Some(&body));
    world.run(100 * MS);
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or("")
}

const BOB_CONTACT: (&str, &str) = ("Contact", "<sip:bob@203.0.113.20:5070>");
const CAROL_CONTACT: (&str, &str) = ("Contact", "<sip:carol@203.0.113.30:5080>");

#[test]
fn all_phones_of_one_user_ring_and_the_first_that_answers_has_the_call() {
    let mut world = world();
    register(&mut world, BOB, "house", &[BOB_CONTACT]);
    register(&mut world, CAROL, "house", &[CAROL_CONTACT]);
    call(&mut world, "200");
    assert_eq!(
        first_line(&world.last_to(BOB, "INVITE")),
        "INVITE sip:bob@203.0.113.20:5070 SIP/2.0"
    );
    assert_eq!(
        first_line(&world.last_to(CAROL, "INVITE")),
        "INVITE sip:carol@203.0.113.30:5080 SIP/2.0"
    );
    world.answer(BOB, 180, None);
    world.run(100 * MS);
    world.answer(
        CAROL,
        200,
        Some(&sdp("203.0.113.30", 6000, 1, "8 0 101", "sendrecv")),
    );
    world.run(100 * MS);
    world.ack(ALICE, None);
    world.run(100 * MS);
    assert!(world.to(BOB).contains(&String::from("CANCEL")));
    assert!(!world.to(CAROL).contains(&String::from("CANCEL")));
    assert!(world.last_bridge().is_some());
}

#[test]
fn one_phone_that_is_busy_does_not_stop_the_others() {
    let mut world = world();
    register(&mut world, BOB, "house", &[BOB_CONTACT]);
    register(&mut world, CAROL, "house", &[CAROL_CONTACT]);
    call(&mut world, "200");
    world.answer(BOB, 486, None);
    world.run(100 * MS);
    assert_eq!(world.phone(ALICE).final_status(), None);
    world.answer(CAROL, 480, None);
    world.run(100 * MS);
    assert_eq!(
        world.phone(ALICE).final_status(),
        Some(486),
        "busy says more than absent"
    );
}

#[test]
fn nobody_registered_is_chanunavail_and_subscriber_absent() {
    let mut world = world();
    call(&mut world, "203");
    assert_eq!(
        world.phone(ALICE).final_status(),
        Some(403),
        "cause 21, from its own branch"
    );
    register(&mut world, BOB, "house", &[BOB_CONTACT, ("Expires", "60")]);
    world.run(Duration::from_secs(61));
    call(&mut world, "200");
    assert!(
        !world.to(BOB).contains(&String::from("INVITE")),
        "its registration is over"
    );
    world.assert_nothing_left();
}

#[test]
fn a_number_or_a_uri_at_a_registered_endpoint() {
    let mut world = world();
    register(&mut world, BOB, "house", &[BOB_CONTACT]);
    call(&mut world, "201");
    assert_eq!(
        first_line(&world.last_to(BOB, "INVITE")),
        "INVITE sip:4711@203.0.113.20:5070 SIP/2.0"
    );
    let mut world = self::world();
    register(&mut world, BOB, "house", &[BOB_CONTACT]);
    call(&mut world, "204");
    assert_eq!(
        first_line(&world.last_to(CAROL, "INVITE")),
        "INVITE sip:x@203.0.113.30:5080 SIP/2.0"
    );
    assert!(
        !world.to(BOB).contains(&String::from("INVITE")),
        "the URI alone is dialled"
    );
}

#[test]
fn a_call_goes_along_the_path_that_the_registration_took() {
    let mut world = world();
    let path = ("Path", "<sip:edge@203.0.113.30:5080;lr>");
    register(&mut world, BOB, "house", &[BOB_CONTACT, path]);
    call(&mut world, "200");
    let invite = world.last_to(CAROL, "INVITE");
    assert_eq!(
        first_line(&invite),
        "INVITE sip:bob@203.0.113.20:5070 SIP/2.0"
    );
    assert!(
        invite.contains("\r\nRoute: <sip:edge@203.0.113.30:5080;lr>\r\n"),
        "{invite}"
    );
    assert!(!world.to(BOB).contains(&String::from("INVITE")));
}

#[test]
fn a_phone_behind_a_nat_is_called_where_it_registered_from() {
    let mut world = world();
    register(
        &mut world,
        BOB,
        "nat",
        &[("Contact", "<sip:bob@192.168.1.10:5060>")],
    );
    call(&mut world, "202");
    assert_eq!(
        first_line(&world.last_to(BOB, "INVITE")),
        "INVITE sip:bob@192.168.1.10:5060 SIP/2.0"
    );
}

#[test]
fn a_phone_that_is_transferred_calls_by_its_name_and_not_by_what_it_has_registered_as() {
    let mut world = world();
    let contact = ("Contact", "<sip:house-0x564f13cfe290@203.0.113.20:5070>");
    register(&mut world, BOB, "house", &[contact]);
    call(&mut world, "200");
    let answer = sdp("203.0.113.20", 6000, 1, "8 0 101", "sendrecv");
    world.answer(BOB, 200, Some(&answer));
    world.run(50 * MS);
    world.ack(ALICE, None);
    world.run(50 * MS);
    let target = [("Refer-To", "<sip:204@192.0.2.1>")];
    world.request_with(ALICE, Method::Refer, None, &target);
    world.run(50 * MS);
    let invite = world.last_to(CAROL, "INVITE");
    assert!(invite.contains("From: <sip:house@192.0.2.1>"), "{invite}");
}
