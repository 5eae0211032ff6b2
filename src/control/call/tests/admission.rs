//! Who is let in, and what is answered to the rest.

use super::world::*;
use crate::control::locate::names;
use crate::metrics::RejectReason;
use crate::sip::auth::{Algorithm, Answer, Asker, Password, challenges};
use crate::sip::message::{Method, RequestDraft, Response};
use crate::sip::resolve::{Question, Records};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn request(phone: &str, method: Method, user: &str) -> RequestDraft {
    let cseq = format!("1 {method}");
    let call_id = format!("{phone}-{method}-{user}");
    RequestDraft::new(method, "sip:100@192.0.2.1")
        .header("From", format_args!("<sip:{user}@{phone}>;tag=t1"))
        .header("To", "<sip:100@192.0.2.1>")
        .header("Call-ID", call_id)
        .header("CSeq", cseq)
        .header("Contact", format_args!("<sip:{user}@{phone}>"))
}

fn offered(draft: RequestDraft) -> RequestDraft {
    draft.body(
        "application/sdp",
        sdp("203.0.113.30", 7000, 1, "0", "sendrecv"),
    )
}

/// The final response to this request.
fn ask(world: &mut World, phone: &str, request: RequestDraft) -> Option<Response> {
    world.send(phone, request);
    world.run(100 * MS);
    let phone = world.phone(phone);
    let status = phone.final_status()?;
    phone.response(status).map(|(_, response)| response)
}

fn rejected(world: &World, reason: RejectReason) -> u64 {
    let mut all = world.gateway.metrics().rejections();
    all.find(|(other, _)| *other == reason)
        .map_or(0, |(_, count)| count)
}

#[test]
fn a_stranger_learns_nothing_from_its_401() {
    let shape = |user: &str| {
        let mut world = World::new();
        let response = ask(
            &mut world,
            CAROL,
            offered(request(CAROL, Method::Invite, user)),
        );
        let response = response.expect("an answer");
        assert_eq!(response.status(), 401);
        let names: Vec<String> = response
            .headers()
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect();
        let algorithms: Vec<_> = challenges(response.headers(), Asker::User)
            .iter()
            .map(|challenge| (challenge.algorithm, challenge.realm.clone()))
            .collect();
        assert_eq!(
            algorithms.len(),
            1,
            "MD5 alone: not every phone stands more"
        );
        world.assert_nothing_left();
        (names, algorithms)
    };
    assert_eq!(shape("phone"), shape("nobody"));
    assert_eq!(
        shape("alice"),
        shape("nobody"),
        "known by its address alone"
    );
}

/// The algorithms that `user` is asked for, in their order.
fn asked_for(world: &mut World, user: &str) -> Vec<Algorithm> {
    let response = ask(world, CAROL, request(CAROL, Method::Options, user)).expect("an answer");
    let all = challenges(response.headers(), Asker::User);
    all.iter().map(|challenge| challenge.algorithm).collect()
}

#[test]
fn everybody_is_challenged_as_the_configuration_says_and_a_reload_changes_it() {
    let with =
        |names: &str| format!("{CONFIG}\n[global]\ndefault_auth_algorithms_uas = [{names}]\n");
    let mut world = World::with_config(CONFIG);
    assert_eq!(asked_for(&mut world, "phone"), [Algorithm::Md5]);
    for (names, algorithms) in [
        (
            "\"SHA-256\", \"MD5\"",
            vec![Algorithm::Sha256, Algorithm::Md5],
        ),
        (
            "\"MD5\", \"SHA-256\"",
            vec![Algorithm::Md5, Algorithm::Sha256],
        ),
        ("\"SHA-256\"", vec![Algorithm::Sha256]),
    ] {
        let report = world.gateway.reload(world.now, World::setup(&with(names)));
        assert_eq!(report.changed, ["global: changed"]);
        for user in ["phone", "nobody"] {
            // As a transaction of its own.
            world.run(Duration::from_secs(40));
            assert_eq!(asked_for(&mut world, user), algorithms, "{user} {names}");
        }
    }
}

#[test]
fn responses_are_counted_as_they_come_each_once() {
    let mut world = World::new();
    // What Bob answers comes twice.
    world.network = Box::new(|_, sent| match sent.from == address(BOB) {
        true => Fate::Twice,
        false => Fate::Deliver,
    });
    world.talk("100");
    world.run(Duration::from_secs(2));
    let families = world.gateway.metrics().registry().gather();
    let text = crate::metrics::Format::Text.encode(&families);
    let lines = text.lines();
    let lines =
        lines.filter(|line| line.contains("direction=\"in\"") && line.contains("responses"));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "ringway_sip_responses_total{code=\"180\",direction=\"in\",transport=\"udp\"} 1",
            "ringway_sip_responses_total{code=\"200\",direction=\"in\",transport=\"udp\"} 1",
        ]
    );
    end(world);
}

#[test]
fn strangers_are_counted() {
    let mut world = World::new();
    ask(
        &mut world,
        CAROL,
        offered(request(CAROL, Method::Invite, "nobody")),
    );
    ask(&mut world, CAROL, request(CAROL, Method::Options, "nobody"));
    // Carol's address is next to Bob's.
    assert_eq!(rejected(&world, RejectReason::Neighbour), 2);
    world.assert_nothing_left();
}

#[test]
fn credentials_open_the_door_to_their_owner_only() {
    for (user, password, status) in [
        ("phone", "s3cret", 486),
        ("phone", "guess", 401),
        ("nobody", "s3cret", 401),
    ] {
        let mut world = World::new();
        let draft = offered(request(CAROL, Method::Invite, user));
        let response = ask(&mut world, CAROL, draft.clone()).expect("an answer");
        let challenge = challenges(response.headers(), Asker::User).remove(0);
        let answer = challenge.answer(&Answer {
            username: user,
            password: Password(password),
            method: &Method::Invite,
            uri: "sip:100@192.0.2.1",
            body: &[],
            cnonce: "abcdef",
            nonce_count: 1,
        });
        world.phone(CAROL).events.clear();
        world.send(
            CAROL,
            draft
                .set_header("CSeq", "2 INVITE")
                .header("Authorization", answer),
        );
        world.run(100 * MS);
        if status == 486 {
            world.answer(BOB, 486, None);
            world.run(100 * MS);
        }
        assert_eq!(
            world.phone(CAROL).final_status(),
            Some(status),
            "{user} {password}"
        );
        world.assert_nothing_left();
    }
}

#[test]
fn an_acl_lets_nothing_be_answered() {
    let acl = "[acl.sip]\ndeny = [\"0.0.0.0/0\"]\npermit = [\"198.51.100.0/24\"]\n";
    let mut world = World::with_config(&format!("{CONFIG}{acl}"));
    world.send(CAROL, request(CAROL, Method::Options, "x"));
    world.run(Duration::from_secs(40));
    assert_eq!(world.to(CAROL).len(), 0);
    assert!(rejected(&world, RejectReason::Acl) > 0);
    let response = ask(&mut world, ALICE, request(ALICE, Method::Options, "x"));
    assert_eq!(response.map(|response| response.status()), Some(200));
}

#[test]
fn what_is_not_served_is_said_so() {
    let invite =
        |draft: fn(RequestDraft) -> RequestDraft| draft(request(ALICE, Method::Invite, "a"));
    for (draft, status, header) in [
        (request(ALICE, Method::Options, "a"), 200, "Allow"),
        (request(ALICE, Method::Register, "a"), 404, "Server"),
        (request(ALICE, Method::Message, "a"), 405, "Allow"),
        (
            request(ALICE, Method::Other("JUMP".into()), "a"),
            501,
            "Server",
        ),
        (
            invite(|d| d.header("Require", "precondition, 100rel")),
            420,
            "Unsupported",
        ),
        (invite(|d| d.body("text/plain", "hello")), 415, "Accept"),
        (
            invite(|d| d.body("application/sdp", "hello")),
            400,
            "Server",
        ),
        (invite(|d| d.header("Max-Forwards", "0")), 483, "Server"),
        (
            invite(|d| d.header("Replaces", "x;to-tag=1;from-tag=2")),
            481,
            "Server",
        ),
        (invite(|d| d.remove_header("Contact")), 400, "Server"),
        (
            invite(|d| d.set_header("To", "<sip:100@192.0.2.1>;tag=0.0.gone")),
            481,
            "Server",
        ),
        (request(ALICE, Method::Bye, "a"), 481, "Server"),
    ] {
        let mut world = World::new();
        let response = ask(&mut world, ALICE, draft).expect("an answer");
        assert_eq!(response.status(), status);
        assert!(
            response.headers().get(header).is_some(),
            "{header} in {status}"
        );
        world.assert_nothing_left();
    }
}

#[test]
fn limits_refuse_with_503_and_a_time() {
    let config = format!("{CONFIG}\n[global]\nmax_calls = 1\n");
    let mut world = World::with_config(&config);
    world.talk("100");
    let second = offered(request(ALICE, Method::Invite, "second"));
    let response = ask(&mut world, ALICE, second).expect("an answer");
    assert_eq!(response.status(), 503);
    assert!(response.headers().get("Retry-After").is_some());
    assert_eq!(rejected(&world, RejectReason::Limit), 1);
}

#[test]
fn a_rate_is_held_by_the_second() {
    let config = CONFIG.replace(
        "context = \"from-alice\"\nallow = [\"alaw\"",
        "context = \"from-alice\"\ncps = 2\nallow = [\"alaw\"",
    );
    let mut world = World::with_config(&config);
    let mut statuses = Vec::new();
    for number in 0..5 {
        let draft = request(ALICE, Method::Invite, &format!("u{number}"));
        let mut draft = offered(draft);
        draft.uri = String::from("sip:106@192.0.2.1");
        statuses.push(ask(&mut world, ALICE, draft).map(|response| response.status()));
        if number == 3 {
            world.run(Duration::from_secs(1));
        }
    }
    assert_eq!(statuses, [486, 486, 503, 503, 486].map(Some));
    assert_eq!(rejected(&world, RejectReason::Rate), 2);
    world.assert_nothing_left();
}

#[test]
fn draining_takes_no_call_and_waits_for_those_that_run() {
    let mut world = World::new();
    world.talk("100");
    world.gateway.drain(world.now);
    let second = offered(request(ALICE, Method::Invite, "second"));
    let response = ask(&mut world, ALICE, second).expect("an answer");
    assert_eq!(response.status(), 503);
    assert!(!world.drained);
    let id = world.gateway.calls(world.now)[0].id.clone();
    assert!(!world.gateway.hangup(world.now, "nothing"));
    assert!(world.gateway.hangup(world.now, &id));
    world.run(50 * MS);
    world.confirm(ALICE, 200);
    world.confirm(BOB, 200);
    world.run(Duration::from_secs(1));
    assert!(world.drained);
}

#[test]
fn stopping_ends_every_call_in_each_state() {
    for answered in [false, true] {
        let mut world = World::new();
        if answered {
            world.talk("100");
        } else {
            world.invite(
                ALICE,
                "100",
                Some(&sdp("198.51.100.10", 4000, 1, "8", "sendrecv")),
            );
            world.run(50 * MS);
            world.answer(BOB, 180, None);
            world.run(50 * MS);
        }
        world.gateway.stop(world.now);
        world.run(50 * MS);
        if answered {
            world.confirm(ALICE, 200);
            world.confirm(BOB, 200);
        } else {
            assert_eq!(world.phone(ALICE).final_status(), Some(503));
            world.answer(BOB, 487, None);
        }
        world.run(Duration::from_secs(1));
        assert!(world.drained);
        world.assert_nothing_left();
    }
}

#[test]
fn a_reload_says_what_changed_and_running_calls_go_on() {
    let mut world = World::new();
    world.talk("100");
    let changed = CONFIG
        .replace("\"106\" = [\"Busy()\"]", "\"106\" = [\"Congestion()\"]")
        .replace(
            "[rtp]\nports = \"20000-20099\"",
            "[rtp]\nports = \"20000-20199\"",
        )
        .replace(
            "[endpoint.nobody-there]",
            "[endpoint.nobody-there]\ncps = 3",
        );
    let report = world.gateway.reload(world.now, World::setup(&changed));
    assert_eq!(
        report.changed,
        [
            "context.from-alice: changed",
            "endpoint.nobody-there: changed"
        ]
    );
    assert_eq!(report.needs_restart, ["rtp: changed"]);
    assert_eq!(world.gateway.calls(world.now)[0].state, "up");
    world.request(ALICE, Method::Bye, None);
    world.run(50 * MS);
    world.confirm(BOB, 200);
    world.assert_nothing_left();
}

#[test]
fn a_name_is_looked_up_before_it_is_called() {
    let mut world = World::new();
    world.invite(
        ALICE,
        "109",
        Some(&sdp("198.51.100.10", 4000, 1, "0", "sendrecv")),
    );
    world.run(50 * MS);
    let question = Question::address("pbx.example.com");
    assert_eq!(world.resolves, std::slice::from_ref(&question));
    let address = BOB
        .parse::<std::net::SocketAddr>()
        .expect("an address")
        .ip();
    let answer = names::Answer::Records {
        records: Records::Addresses(vec![address]),
        ttl: None,
    };
    world.gateway.handle_resolved(world.now, &question, answer);
    world.run(50 * MS);
    assert!(
        world
            .last_to(BOB, "INVITE")
            .starts_with("INVITE sip:pbx.example.com:5070 ")
    );
    world.answer(BOB, 486, None);
    world.assert_nothing_left();
}

#[test]
fn a_trunk_that_challenges_is_answered() {
    let config = format!("{CONFIG}\n[auth.bob]\nusername = \"us\"\npassword = \"pw\"\n").replace(
        "aors = [\"bob\"]",
        "aors = [\"bob\"]\noutbound_auth = \"bob\"",
    );
    let mut world = World::with_config(&config);
    world.invite(
        ALICE,
        "100",
        Some(&sdp("198.51.100.10", 4000, 1, "0", "sendrecv")),
    );
    world.run(50 * MS);
    for _ in 0..2 {
        let now = world.now;
        let phone = world.phone(BOB);
        let (tx, _) = phone.invite.clone().expect("an INVITE came");
        let challenge = "Digest realm=\"bob\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
        let response = crate::sip::message::ResponseDraft::new(401)
            .to_tag("b")
            .header("WWW-Authenticate", challenge);
        phone.sip.respond(now, tx, response);
        world.collect();
        world.run(50 * MS);
    }
    let second = world.last_to(BOB, "INVITE");
    assert!(
        second.contains("CSeq: 2 INVITE\r\n")
            && second.contains("Authorization: Digest username=\"us\""),
        "{second}"
    );
    assert_eq!(
        world
            .to(BOB)
            .iter()
            .filter(|name| *name == "INVITE")
            .count(),
        2,
        "a wrong password is not tried for ever"
    );
    assert_eq!(world.phone(ALICE).final_status(), Some(403));
    world.assert_nothing_left();
}
