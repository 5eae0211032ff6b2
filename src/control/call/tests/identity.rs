//! Who is said to call, whom, and on whose behalf: headers that come in and headers that go out.

use super::world::*;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// A world whose endpoints `alice` and `bob` have these further keys, and whose extension 200 runs these steps.
fn world(alice: &str, bob: &str, steps: &str) -> World {
    let text = CONFIG
        .replace(
            "[endpoint.alice]\n",
            &format!("[endpoint.alice]\n{alice}\n"),
        )
        .replace("[endpoint.bob]\n", &format!("[endpoint.bob]\n{bob}\n"))
        .replace("\"106\" =", &format!("\"200\" = [{steps}]\n\"106\" ="));
    World::with_config(&text)
}

const DIAL: &str = r#""Dial(PJSIP/bob)""#;

/// The INVITE that Bob gets of Alice's with these headers, Alice's call refused after it.
fn bobs_invite(mut world: World, headers: &[(&str, &str)]) -> String {
    let offer = sdp("198.51.100.10", 4000, 1, "8 0 101", "sendrecv");
    world.invite_with(ALICE, "200", Some(&offer), headers);
    world.run(100 * MS);
    let invite = world.last_to(BOB, "INVITE");
    world.answer(BOB, 486, None);
    world.assert_nothing_left();
    invite
}

#[track_caller]
fn assert_has(invite: &str, lines: &[&str]) {
    for line in lines {
        assert!(invite.contains(&format!("\r\n{line}")), "{line}\n{invite}");
    }
}

#[track_caller]
fn assert_lacks(invite: &str, words: &[&str]) {
    for word in words {
        assert!(!invite.contains(word), "{word}\n{invite}");
    }
}

const PAI: (&str, &str) = ("P-Asserted-Identity", "\"Real\" <sip:4711@inside.example>");

#[test]
fn an_asserted_identity_is_taken_only_where_it_is_trusted() {
    let trusted = bobs_invite(
        world("trust_id_inbound = true", "send_pai = true", DIAL),
        &[PAI],
    );
    assert_has(
        &trusted,
        &[
            "From: \"Real\" <sip:4711@192.0.2.1>;tag=",
            "P-Asserted-Identity: \"Real\" <sip:4711@192.0.2.1>\r\n",
        ],
    );
    assert_lacks(&trusted, &["inside.example", "Privacy"]);
    let not = bobs_invite(world("", "send_pai = true", DIAL), &[PAI]);
    assert_has(
        &not,
        &["P-Asserted-Identity: \"Alice A\" <sip:6001@192.0.2.1>\r\n"],
    );
    assert_lacks(&not, &["4711"]);
    let unasked = bobs_invite(world("trust_id_inbound = true", "", DIAL), &[PAI]);
    assert_lacks(&unasked, &["P-Asserted-Identity", "Remote-Party-ID"]);
}

#[test]
fn a_remote_party_is_read_and_written() {
    let rpid = (
        "Remote-Party-ID",
        "<sip:9@x>;party=called, \"Real\" <sip:4711@x>;party=calling;screen=yes;privacy=off",
    );
    let invite = bobs_invite(
        world("trust_id_inbound = true", "send_rpid = true", DIAL),
        &[rpid],
    );
    assert_has(
        &invite,
        &[
            "Remote-Party-ID: \"Real\" <sip:4711@192.0.2.1>;party=calling;privacy=off;screen=yes\r\n",
        ],
    );
}

#[test]
fn a_private_caller_stays_so_but_to_the_trusted() {
    let private = [PAI, ("Privacy", "id;critical")];
    let alice = "trust_id_inbound = true";
    let hidden = bobs_invite(
        world(alice, "send_pai = true\nsend_rpid = true", DIAL),
        &private,
    );
    assert_has(
        &hidden,
        &["From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="],
    );
    assert_lacks(&hidden, &["4711", "Real", "Privacy", "P-Asserted-Identity"]);

    let trusted = "trust_id_outbound = true\nsend_pai = true";
    let told = bobs_invite(world(alice, trusted, DIAL), &private);
    assert_has(
        &told,
        &[
            "From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=",
            "P-Asserted-Identity: \"Real\" <sip:4711@192.0.2.1>\r\n",
            "Privacy: id\r\n",
        ],
    );
    let trunk = "from_user = \"account\"\nfrom_domain = \"provider.example\"";
    let known = bobs_invite(world(alice, trunk, DIAL), &private);
    assert_has(
        &known,
        &["From: \"Anonymous\" <sip:account@provider.example>;tag="],
    );
    assert_lacks(&known, &["4711", "Real"]);
}

#[test]
fn a_caller_without_trust_may_ask_for_privacy_too() {
    for headers in [
        [("Privacy", "user"), ("X-Any", "x")],
        [
            ("From", "<sip:anonymous@anonymous.invalid>;tag=a"),
            ("X-Any", "x"),
        ],
    ] {
        let invite = bobs_invite(world("", "send_pai = true", DIAL), &headers);
        assert_has(
            &invite,
            &["From: \"Anonymous\" <sip:anonymous@anonymous.invalid>;tag="],
        );
        assert_lacks(&invite, &["6001", "Alice A", "P-Asserted-Identity"]);
    }
}

#[test]
fn a_configured_caller_id_has_its_privacy() {
    let alice = "callerid = \"Reception <100>\"\ncallerid_privacy = \"prohib\"";
    let steps = r#""Set(CALLERID(pres)=allowed)", "Dial(PJSIP/bob)""#;
    assert_lacks(&bobs_invite(world(alice, "", DIAL), &[]), &["Reception"]);
    assert_has(
        &bobs_invite(world(alice, "", steps), &[]),
        &["From: \"Reception\" <sip:100@192.0.2.1>"],
    );
}

#[test]
fn a_forwarded_call_says_who_forwarded_it() {
    let diverted = (
        "Diversion",
        "\"Bo\" <sip:300@inside.example>;reason=no-answer, <sip:400@inside.example>;privacy=full",
    );
    let invite = bobs_invite(world("", "", DIAL), &[diverted]);
    assert_has(
        &invite,
        &["Diversion: \"Bo\" <sip:300@192.0.2.1>;reason=no-answer;privacy=off\r\n"],
    );
    assert_lacks(&invite, &["inside.example", "400", "History-Info"]);
    let history = "send_diversion = false\nsend_history_info = true\ntrust_id_outbound = true";
    let invite = bobs_invite(world("", history, DIAL), &[diverted]);
    assert_has(
        &invite,
        &[
            "History-Info: <sip:400@192.0.2.1?Reason=SIP%3Bcause%3D404&Privacy=history>;index=1, \
           <sip:300@192.0.2.1?Reason=SIP%3Bcause%3D408>;index=1.1;mp=1, \
           <sip:bob@192.0.2.1>;index=1.1.1;mp=1.1\r\n",
        ],
    );
    assert_lacks(&invite, &["Diversion"]);
}

#[test]
fn the_dialplan_reads_who_calls_and_what_came() {
    let steps = r#""Set(X=${CALLERID(ani)}/${CALLERID(dnid)}/${CALLERID(rdnis)}/${PJSIP_HEADER(read,X-Tenant,1)}/${PJSIP_HEADER(read,X-None)})",
        "Set(CALLERID(all)=\"Sales\" <77>)", "Set(PJSIP_HEADER(add,X-Told)=${X})",
        "Set(PJSIP_HEADER(add,Alert-Info)=<http://auto>;info=alert-autoanswer)",
        "Set(PJSIP_HEADER(add,Route)=<sip:evil>)", "Set(PJSIP_HEADER(add,X-Gone)=1)", "Set(PJSIP_HEADER(remove,X-G*)=)",
        "Dial(PJSIP/bob)""#;
    let headers = [("X-Tenant", "blue"), ("Diversion", "<sip:300@x>")];
    let invite = bobs_invite(world("", "contact_user = \"gw\"", steps), &headers);
    assert_has(
        &invite,
        &[
            "X-Told: 6001/200/300/blue/\r\n",
            "Alert-Info: <http://auto>;info=alert-autoanswer\r\n",
            "From: \"Sales\" <sip:77@192.0.2.1>;tag=",
            "Contact: <sip:gw@192.0.2.1:5060>\r\n",
        ],
    );
    assert_lacks(&invite, &["evil", "X-Gone", "X-Tenant"]);
}

#[test]
fn the_number_dialled_stands_where_the_endpoint_says() {
    let headers = [
        ("To", "<sip:101@provider.example>"),
        ("P-Called-Party-ID", "<sip:+49-30-1@provider.example>"),
    ];
    let steps = r#""Set(PJSIP_HEADER(add,X-Dialled)=${EXTEN})", "Dial(PJSIP/bob)""#;
    for (alice, dialled) in [
        ("", "200"),
        ("called_party = [\"to\"]", "101"),
        ("called_party = [\"p_called_party_id\", \"to\"]", "+49301"),
    ] {
        let text = CONFIG
            .replace(
                "[endpoint.alice]\n",
                &format!("[endpoint.alice]\n{alice}\n"),
            )
            .replace("\"101\" = [\"Dial(PJSIP/bob,20)\", \"Hangup()\"]", "")
            .replace("\"106\" =", &format!("\"_[+12]X.\" = [{steps}]\n\"106\" ="));
        let invite = bobs_invite(World::with_config(&text), &headers);
        assert_has(&invite, &[&format!("X-Dialled: {dialled}\r\n")]);
    }
    // A header that is not there leaves it to the next place.
    let fallback = world("called_party = [\"p_called_party_id\"]", "", DIAL);
    bobs_invite(fallback, &[]);
}
