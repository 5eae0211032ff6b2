//! Registrations on the wire: what a registrar is sent, and when, on virtual time.

use super::*;
use crate::control::call::tests::world::World;
use crate::control::tests::bench::{Bench, invite, udp};
use crate::sip::auth::{
    Algorithm, Asker, AuthSettings, Authenticator, Challenge, Credentials, Password, Qop, Verdict,
};
use crate::sip::flow::Protocol;
use crate::sip::message::{Method, ResponseDraft};
use crate::sip::resolve::Question;
use std::collections::BTreeMap;
use std::net::IpAddr;

const SECOND: Duration = Duration::from_secs(1);
const REGISTRAR: &str = "203.0.113.20:5060";
const SPARE: &str = "203.0.113.21:5060";

/// One registration with these keys besides the usual ones.
fn config(keys: &str) -> String {
    format!(
        r#"
[global]
endpoint_identifier_order = ["username"]
[transport.udp]
bind = "192.0.2.1:5060"
[transport.tcp]
protocol = "tcp"
bind = "192.0.2.1:5060"
[auth.provider]
username = "030123456"
password = "a:b@c"
[endpoint.trunk]
context = "in"
[context.in.exten]
"_X." = ["Busy()"]
[registration.provider]
outbound_auth = "provider"
server_uri = "sip:203.0.113.20"
client_uri = "sip:+4930123456@tel.example.com;user=phone"
contact_user = "030123456"
{keys}
"#
    )
}

fn challenge(nonce: &str, stale: bool) -> ResponseDraft {
    let challenge = Challenge {
        realm: String::from("tel.example.com"),
        nonce: nonce.to_owned(),
        opaque: None,
        algorithm: Algorithm::Md5,
        qop: vec![Qop::Auth],
        stale,
    };
    ResponseDraft::new(401).header("WWW-Authenticate", challenge)
}

fn begin(keys: &str) -> Bench {
    Bench::with(&config(keys))
}

#[test]
fn a_register_says_who_where_and_for_how_long() {
    let mut bench =
        begin("expiration = 480\nsupport_path = true\ncontact_header_params = \"q=0.5\"");
    let asked = bench.next();
    assert_eq!(asked.flow, udp(REGISTRAR));
    assert_eq!(asked.request.method(), &Method::Register);
    assert_eq!(asked.request.uri(), "sip:203.0.113.20");
    assert!(
        asked
            .header("From")
            .starts_with("<sip:+4930123456@tel.example.com;user=phone>;tag=")
    );
    assert_eq!(
        asked.header("To"),
        "<sip:+4930123456@tel.example.com;user=phone>"
    );
    assert_eq!(
        asked.header("Contact"),
        "<sip:030123456@192.0.2.1:5060>;q=0.5"
    );
    assert_eq!(asked.header("Expires"), "480");
    assert_eq!(asked.header("Supported"), "path");
    assert_eq!(
        (asked.header("CSeq"), bench.state().as_str()),
        ("1 REGISTER", "registering")
    );
    assert_eq!(bench.gauge(), 0.0);
    bench.answer(&asked, asked.granted(480));
    assert_eq!((bench.state().as_str(), bench.gauge()), ("registered", 1.0));
    let row = &bench.gateway.registrations(bench.now)[0];
    assert_eq!(
        (row.expires_in_s, row.registrar.as_deref()),
        (Some(480), Some(REGISTRAR))
    );
}

#[test]
fn it_is_refreshed_before_it_ends_with_the_same_call_id_and_the_next_cseq() {
    let mut bench = begin("");
    let first = bench.answers(|asked| asked.granted(480));
    bench.run(Duration::from_secs(420));
    assert_eq!(
        bench.asked.len(),
        0,
        "not before nine tenths of the time have passed"
    );
    bench.until_asked(Duration::from_secs(50));
    let second = bench.answers(|asked| asked.granted(480));
    assert_eq!(second.header("Call-ID"), first.header("Call-ID"));
    assert_eq!(second.header("From"), first.header("From"));
    assert_eq!((first.cseq(), second.cseq()), (1, 2));
    // For a day, and there is never a gap.
    for _ in 0..200 {
        bench.until_asked(Duration::from_secs(470));
        bench.answers(|asked| asked.granted(480));
        assert_eq!(bench.state(), "registered");
    }
}

#[test]
fn the_time_is_that_of_our_contact_or_of_expires_or_what_we_asked_for() {
    let cases: [(&str, Option<&str>, u64); 5] = [
        (
            "<sip:030123456@192.0.2.1:5060>;expires=100",
            Some("900"),
            100,
        ),
        (
            "<sip:x@192.0.2.9>;expires=50, <sip:030123456@192.0.2.1:5060>;expires=70",
            None,
            70,
        ),
        (
            "<sip:030123456@198.51.100.7:1024>;expires=80",
            Some("900"),
            80,
        ),
        ("<sip:x@192.0.2.9>;expires=50", Some("90"), 90),
        ("<sip:x@192.0.2.9>;expires=50", None, 600),
    ];
    for (contacts, expires, granted) in cases {
        let mut bench = begin("expiration = 600");
        bench.answers(|_| {
            let response = ResponseDraft::new(200).header("Contact", contacts);
            match expires {
                Some(expires) => response.header("Expires", expires),
                None => response,
            }
        });
        let row = &bench.gateway.registrations(bench.now)[0];
        assert_eq!(row.expires_in_s, Some(granted), "{contacts} {expires:?}");
    }
}

#[test]
fn a_short_time_is_refreshed_in_its_second_half_and_none_at_all_is_a_failure() {
    let mut bench = begin("retry_interval = 60");
    bench.answers(|asked| asked.granted(1));
    bench.run(Duration::from_millis(499));
    assert_eq!(bench.asked.len(), 0);
    bench.run(Duration::from_millis(2));
    bench.answers(|asked| asked.granted(0));
    assert_eq!(bench.state(), "rejected");
    bench.run(Duration::from_secs(59));
    assert_eq!(bench.asked.len(), 0);
    bench.run(2 * SECOND);
    assert_eq!(bench.asked.len(), 1);
}

#[test]
fn a_challenge_is_answered_once_and_its_nonce_used_for_the_refresh() {
    let mut bench = begin("");
    let first = bench.answers(|_| challenge("n1", false));
    assert!(first.request.headers().get("Authorization").is_none());
    let second = bench.answers(|asked| asked.granted(480));
    let shown = second.header("Authorization").to_owned();
    for part in [
        r#"username="030123456""#,
        r#"realm="tel.example.com""#,
        r#"nonce="n1""#,
        "nc=00000001",
        r#"uri="sip:203.0.113.20""#,
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("a:b@c"));
    assert_eq!((first.cseq(), second.cseq()), (1, 2));
    bench.until_asked(Duration::from_secs(470));
    let refresh = bench.answers(|asked| asked.granted(480));
    assert!(
        refresh.header("Authorization").contains("nc=00000002"),
        "no second round trip"
    );
    assert_eq!(refresh.cseq(), 3);
    // Its nonce is too old by now, with and without the word for it.
    for stale in [true, false] {
        bench.until_asked(Duration::from_secs(470));
        bench.answers(|_| challenge(if stale { "n2" } else { "n3" }, stale));
        let again = bench.answers(|asked| asked.granted(480));
        assert!(again.header("Authorization").contains("nc=00000001"));
        assert_eq!(bench.state(), "registered");
    }
}

/// The server side checks the hash itself: MD5 and SHA-256, `auth` and `auth-int`.
#[test]
fn the_answer_to_each_kind_of_challenge_is_right() {
    for (algorithm, password, good) in [
        (Algorithm::Md5, "a:b@c", true),
        (Algorithm::Sha256, "a:b@c", true),
        (Algorithm::Sha256, "a:b@d", false),
    ] {
        let mut bench = begin("");
        let settings = AuthSettings {
            realm: String::from("tel.example.com"),
            algorithms: vec![algorithm],
            nonce_lifetime: Duration::from_secs(60),
        };
        let source = IpAddr::from([192, 0, 2, 1]);
        let mut server = Authenticator::new(settings, [1; 32], bench.now);
        let challenges = server.challenge(bench.now, source, false);
        bench.answers(|_| ResponseDraft::new(401).header("WWW-Authenticate", &challenges[0]));
        let asked = bench.next();
        let shown = Credentials::all(asked.request.headers(), Asker::User);
        let (method, body) = (asked.request.method(), asked.request.body());
        let verdict = server.verify(
            bench.now,
            source,
            &shown[0],
            method,
            &body,
            Some((&shown[0].username(), Password(password))),
        );
        assert_eq!(verdict == Verdict::Valid, good);
    }
    let mut bench = begin("");
    bench.answers(|_| {
        ResponseDraft::new(407).header(
            "Proxy-Authenticate",
            r#"Digest realm="p", nonce="n", qop="auth-int""#,
        )
    });
    let asked = bench.answers(|_| challenge("n1", false));
    assert!(asked.header("Proxy-Authorization").contains("qop=auth-int"));
    let asked = bench.next();
    assert!(
        asked.request.headers().get("Proxy-Authorization").is_some(),
        "a proxy's and the registrar's"
    );
    assert!(asked.header("Authorization").contains(r#"nonce="n1""#));
}

#[test]
fn a_registrar_with_a_new_nonce_each_time_is_believed_once_a_request() {
    let mut bench = begin("auth_rejection_permanent = false\nretry_interval = 60");
    bench.answers(|_| challenge("n1", false));
    bench.answers(|_| challenge("n2", false));
    assert_eq!((bench.asked.len(), bench.state().as_str()), (0, "rejected"));
    bench.run(Duration::from_secs(61));
    // "stale" again and again has an end too.
    for number in 0..20 {
        if bench.asked.is_empty() {
            assert!((3..8).contains(&number), "{number} answers");
            return;
        }
        bench.answers(|_| challenge(&format!("m{number}"), true));
    }
    panic!("no end");
}

#[test]
fn a_wrong_password_is_permanent_only_by_configuration() {
    for (keys, state, attempts_later) in [
        ("", "stopped", 0),
        (
            "auth_rejection_permanent = false\nretry_interval = 30",
            "rejected",
            1,
        ),
    ] {
        let mut bench = begin(keys);
        bench.answers(|_| challenge("n1", false));
        bench.answers(|_| challenge("n2", false));
        assert_eq!(bench.state(), state);
        bench.run(Duration::from_secs(31));
        assert_eq!(bench.asked.len(), attempts_later);
    }
}

#[test]
fn refusals_wait_as_configured_or_stop() {
    let retries = "retry_interval = 20\nforbidden_retry_interval = 30\nfatal_retry_interval = 40";
    let cases: [(u16, &str, Option<u64>); 12] = [
        (403, "", None),
        (403, retries, Some(30)),
        (403, "fatal_retry_interval = 40", Some(40)),
        (404, "", None),
        (404, retries, Some(40)),
        (408, "", Some(60)),
        (500, retries, Some(20)),
        (503, retries, Some(20)),
        (501, retries, Some(40)),
        (504, "retry_interval = 0", None),
        (600, retries, Some(20)),
        (302, retries, Some(40)),
    ];
    for (status, keys, wait) in cases {
        let mut bench = begin(keys);
        bench.answers(|_| ResponseDraft::new(status));
        let row = &bench.gateway.registrations(bench.now)[0];
        assert_eq!(row.retry_in_s, wait, "{status} {keys}");
        assert!(
            row.last_error
                .as_ref()
                .is_some_and(|e| e.starts_with(&status.to_string()))
        );
        bench.run(Duration::from_secs(wait.unwrap_or(10_000)));
        assert_eq!(
            bench.asked.len(),
            usize::from(wait.is_some()),
            "{status} {keys}"
        );
    }
}

#[test]
fn retry_after_is_honoured_within_bounds() {
    for (value, wait) in [
        ("7", 7),
        ("0", 1),
        ("90000", 3600),
        ("18 (overload);duration=60", 18),
    ] {
        let mut bench = begin("");
        bench.answers(|_| ResponseDraft::new(503).header("Retry-After", value));
        let row = &bench.gateway.registrations(bench.now)[0];
        assert_eq!(row.retry_in_s, Some(wait), "{value}");
    }
}

#[test]
fn a_refused_interval_is_replaced_by_the_registrars_own() {
    let mut bench = begin("expiration = 60");
    bench.answers(|_| ResponseDraft::new(423).header("Min-Expires", "480"));
    let again = bench.answers(|asked| asked.granted(480));
    assert_eq!((again.header("Expires"), again.cseq()), ("480", 2));
    bench.until_asked(Duration::from_secs(470));
    let refresh = bench.next();
    assert_eq!(refresh.header("Expires"), "480", "remembered");
    // A registrar that is never content is not asked in a loop.
    bench.answer(
        &refresh,
        ResponseDraft::new(423).header("Min-Expires", "481"),
    );
    assert_eq!((bench.asked.len(), bench.state().as_str()), (0, "rejected"));
}

#[test]
fn a_dead_registrar_is_tried_again_and_given_up_after_max_retries() {
    let mut bench = begin("retry_interval = 10\nmax_retries = 3");
    bench.run(Duration::from_secs(31));
    assert_eq!(bench.state(), "registering");
    bench.run(Duration::from_secs(1000));
    let times: Vec<f64> = bench
        .asked
        .iter()
        .map(|asked| bench.since_begin(asked))
        .collect();
    assert_eq!(times.len(), 3, "{times:?}");
    for pair in times.windows(2) {
        assert!(
            (pair[1] - pair[0] - 42.0).abs() < 0.1,
            "timer F and retry_interval: {times:?}"
        );
    }
    assert_eq!(bench.state(), "stopped");

    for never in ["0", "4294967295"] {
        let mut bench = begin(&format!("retry_interval = 10\nmax_retries = {never}"));
        bench.run(Duration::from_secs(42 * 200));
        assert!(bench.asked.len() > 190);
    }
}

#[test]
fn one_success_forgets_the_failures_before() {
    let mut bench = begin("retry_interval = 10\nmax_retries = 2");
    for _ in 0..5 {
        bench.answers(|_| ResponseDraft::new(500));
        bench.run(Duration::from_secs(10));
        bench.answers(|asked| asked.granted(100));
        bench.until_asked(Duration::from_secs(90));
    }
    assert_eq!(bench.state(), "registered");
}

#[test]
fn a_slow_registrar_is_never_asked_twice_at_once() {
    let mut bench = begin("");
    bench.run(Duration::from_secs(20));
    let asked = bench.next();
    bench.answer(&asked, ResponseDraft::new(100));
    bench.run(Duration::from_secs(10));
    assert_eq!(bench.asked.len(), 0);
    bench.answer(&asked, asked.granted(480));
    assert_eq!(bench.state(), "registered");
}

#[test]
fn an_unreachable_registrar_is_noticed_at_once() {
    let mut bench = begin("retry_interval = 10");
    let asked = bench.next();
    bench.gateway.handle_flow_failed(bench.now, asked.flow);
    assert_eq!(bench.state(), "rejected");
    bench.run(Duration::from_secs(10));
    bench.answers(|asked| asked.granted(480));
    bench.run(Duration::from_secs(100));
    // While it stands: asked again at once, then as ever.
    bench.gateway.handle_flow_failed(bench.now, asked.flow);
    assert_eq!((bench.state().as_str(), bench.gauge()), ("rejected", 0.0));
    bench.run(SECOND);
    bench.answers(|asked| asked.granted(480));
    assert_eq!((bench.state().as_str(), bench.gauge()), ("registered", 1.0));
    // One that fails as soon as it stands is not asked in a loop.
    bench.gateway.handle_flow_failed(bench.now, asked.flow);
    bench.run(Duration::from_secs(29));
    assert_eq!(bench.asked.len(), 0);
    bench.run(SECOND);
    assert_eq!(bench.asked.len(), 1);
}

#[test]
fn a_name_is_looked_up_and_its_next_address_tried_when_the_first_is_dead() {
    let named = config("").replace(
        "server_uri = \"sip:203.0.113.20\"",
        "server_uri = \"sip:tel.example.com\"",
    );
    let mut bench = Bench::with(&named);
    let is_its = |question: &Question| question.name().ends_with("tel.example.com");
    assert!(!bench.looked_up.is_empty() && bench.looked_up.iter().all(is_its));
    bench.resolve(&[REGISTRAR, SPARE].map(|text| udp(text).peer.ip()));
    let first = bench.next();
    assert_eq!(
        (first.flow, first.request.uri()),
        (udp(REGISTRAR), "sip:tel.example.com")
    );
    bench.run(Duration::from_secs(33));
    let second = bench.answers(|_| ResponseDraft::new(503));
    assert_eq!((second.flow, second.cseq()), (udp(SPARE), 2));
    assert_eq!(bench.state(), "rejected");
    // Nothing is known of a name: as if it did not answer.
    let mut bench = Bench::with(&named);
    bench.resolve(&[]);
    assert_eq!(bench.state(), "rejected");
    bench.run(Duration::from_secs(60));
    assert!(!bench.looked_up.is_empty());
}

#[test]
fn over_tcp_the_connection_is_kept_open_and_its_end_noticed() {
    let mut bench = begin("transport = \"tcp\"");
    let asked = bench.answers(|asked| asked.granted(3600));
    assert_eq!(asked.flow.protocol, Protocol::Tcp);
    assert_eq!(
        asked.header("Contact"),
        "<sip:030123456@192.0.2.1:5060;transport=tcp>"
    );
    bench.run(Duration::from_secs(300));
    let times: Vec<u64> = bench
        .pings
        .iter()
        .map(|(at, _)| (*at - bench.begin).as_secs())
        .collect();
    assert_eq!(times, [90, 180, 270]);
    assert!(bench.pings.iter().all(|(_, flow)| *flow == asked.flow));
    bench.gateway.handle_flow_failed(bench.now, asked.flow);
    bench.run(SECOND);
    bench.answers(|asked| asked.granted(3600));
    assert_eq!(bench.state(), "registered");
}

#[test]
fn keep_alives_are_as_configured() {
    for (keys, expected) in [
        ("", 0),
        ("[global]\nkeep_alive_interval = 30\n", 10),
        ("[global]\nkeep_alive_interval = 0\n", 0),
    ] {
        let text = config("").replace(
            "[global]\n",
            if keys.is_empty() { "[global]\n" } else { keys },
        );
        let mut bench = Bench::with(&text);
        bench.answers(|asked| asked.granted(3600));
        bench.run(Duration::from_secs(301));
        assert_eq!(bench.pings.len(), expected, "{keys}");
    }
}

#[test]
fn an_outbound_proxy_is_a_loose_route_and_where_it_goes() {
    let mut bench = begin("outbound_proxy = \"sip:203.0.113.21:5060\"");
    let asked = bench.next();
    assert_eq!(asked.flow, udp(SPARE));
    assert_eq!(asked.header("Route"), "<sip:203.0.113.21:5060;lr>");
    assert_eq!(asked.request.uri(), "sip:203.0.113.20");
}

#[test]
fn many_begin_one_after_the_other_and_refresh_spread_out() {
    let mut text = config("");
    for number in 0..200 {
        text += &format!(
            "[registration.r{number}]\nserver_uri = \"sip:203.0.113.20\"\nclient_uri = \"sip:{number}@example.com\"\n"
        );
    }
    let mut bench = Bench::with(&text);
    assert_eq!(bench.asked.len(), 1);
    bench.run(SECOND);
    assert_eq!(bench.asked.len(), 51, "one each 20 ms");
    bench.run(4 * SECOND);
    for asked in std::mem::take(&mut bench.asked) {
        bench.answer(&asked, asked.granted(600));
    }
    bench.run(Duration::from_secs(600));
    let mut seconds = BTreeMap::new();
    for asked in &bench.asked {
        *seconds.entry(bench.since_begin(asked) as u64).or_insert(0) += 1;
    }
    assert_eq!(bench.asked.len(), 201);
    assert!(
        seconds.len() > 40 && seconds.values().all(|count| *count < 15),
        "{seconds:?}"
    );
}

#[test]
fn calls_from_the_registrar_to_the_contact_user_are_of_the_registrations_endpoint() {
    let mut bench = begin("endpoint = \"trunk\"");
    let called = "sip:030123456@192.0.2.1";
    assert_eq!(
        invite(&mut bench, REGISTRAR, called),
        Some(401),
        "not yet registered"
    );
    bench.answers(|asked| asked.granted(480));
    assert_eq!(
        invite(&mut bench, REGISTRAR, called),
        Some(486),
        "the dialplan's Busy"
    );
    assert_eq!(
        invite(&mut bench, SPARE, called),
        Some(401),
        "from elsewhere"
    );
    assert_eq!(
        invite(&mut bench, REGISTRAR, "sip:0301@192.0.2.1"),
        Some(401),
        "another number"
    );
    let mut bench = begin("");
    bench.answers(|asked| asked.granted(480));
    assert_eq!(
        invite(&mut bench, REGISTRAR, called),
        Some(401),
        "no endpoint is named"
    );
}

#[test]
fn calls_with_our_line_are_of_the_registrations_endpoint_wherever_they_come_from() {
    let mut bench = begin("endpoint = \"trunk\"\nline = true");
    let asked = bench.answers(|asked| asked.granted(480));
    let contact = asked.header("Contact").trim_matches(['<', '>']).to_owned();
    let line = contact.rsplit_once(";line=").expect("a line").1;
    assert_eq!(line.len(), 16);
    assert_eq!(invite(&mut bench, SPARE, &contact), Some(486));
    let guess = contact.replace(line, "0123456789abcdef");
    assert_eq!(invite(&mut bench, SPARE, &guess), Some(401));
    // The line outlives a reload.
    let text = config("endpoint = \"trunk\"\nline = true").replace("Busy()", "Congestion()");
    bench.gateway.reload(bench.now, World::setup(&text));
    assert_eq!(invite(&mut bench, SPARE, &contact), Some(503));
}

#[test]
fn a_reload_leaves_alone_what_it_does_not_change() {
    let mut bench = begin("");
    bench.answers(|asked| asked.granted(480));
    let before = bench.gateway.registrations(bench.now);
    bench.gateway.reload(
        bench.now,
        World::setup(&config("").replace("Busy()", "Congestion()")),
    );
    bench.run(SECOND);
    assert_eq!(bench.asked.len(), 0);
    assert_eq!(before[0].expires_in_s, Some(480));
    assert_eq!(bench.state(), "registered");
}

#[test]
fn a_reload_asks_again_with_new_settings_in_the_same_registration() {
    let mut bench = begin("");
    bench.answers(|_| challenge("n1", false));
    let first = bench.answers(|_| challenge("n2", false));
    assert_eq!(bench.state(), "stopped");
    let text = config("expiration = 900").replace("a:b@c", "better");
    bench.gateway.reload(bench.now, World::setup(&text));
    bench.collect();
    let asked = bench.answers(|asked| asked.granted(900));
    assert_eq!((asked.header("Expires"), asked.cseq()), ("900", 3));
    assert_eq!(asked.header("Call-ID"), first.header("Call-ID"));
    assert_eq!(bench.state(), "registered");
    // While one is outstanding, the next one waits for its answer.
    bench.until_asked(Duration::from_secs(890));
    let outstanding = bench.next();
    bench
        .gateway
        .reload(bench.now, World::setup(&config("expiration = 700")));
    bench.collect();
    assert_eq!(bench.asked.len(), 0);
    bench.answer(&outstanding, outstanding.granted(900));
    assert_eq!(bench.next().header("Expires"), "700");
}

#[test]
fn a_registration_that_a_reload_removes_is_ended_at_the_registrar() {
    let mut bench = begin("");
    let first = bench.answers(|asked| asked.granted(480));
    let text = config("");
    let without = &text[..text.find("[registration").expect("there")];
    bench.gateway.reload(bench.now, World::setup(without));
    bench.collect();
    let end = bench.next();
    assert_eq!((end.header("Expires"), end.cseq()), ("0", 2));
    assert_eq!(end.header("Contact"), first.header("Contact"));
    assert!(bench.gateway.registrations(bench.now).is_empty());
    // A challenge is answered here too.
    bench.answer(&end, challenge("n1", false));
    bench.answers(|asked| asked.granted(0));
    bench.run(Duration::from_secs(1000));
    assert_eq!(bench.asked.len(), 0);
    assert_eq!(bench.gauge(), -1.0);
    assert_eq!(bench.gateway.leftovers(), Default::default());
}

#[test]
fn one_removed_while_its_register_is_outstanding_is_ended_after_it() {
    let mut bench = begin("");
    let outstanding = bench.next();
    let text = config("");
    let without = &text[..text.find("[registration").expect("there")];
    bench.gateway.reload(bench.now, World::setup(without));
    bench.collect();
    assert_eq!(bench.asked.len(), 0, "never two at once");
    bench.answer(&outstanding, outstanding.granted(480));
    assert_eq!(
        bench.answers(|asked| asked.granted(0)).header("Expires"),
        "0"
    );
    bench.run(Duration::from_secs(100));
    assert_eq!(bench.gateway.leftovers(), Default::default());
}

#[test]
fn the_end_waits_for_the_registrar_but_not_for_long() {
    for answers in [true, false] {
        let mut bench = begin("");
        bench.answers(|asked| asked.granted(480));
        bench.gateway.drain(bench.now);
        bench.collect();
        let end = bench.next();
        assert_eq!((end.header("Expires"), bench.drained), ("0", false));
        if answers {
            bench.answer(&end, end.granted(0));
        } else {
            bench.run(4 * SECOND);
        }
        assert!(bench.drained);
    }
    let mut bench = begin("");
    bench.answers(|_| ResponseDraft::new(403));
    bench.gateway.drain(bench.now);
    bench.collect();
    assert!(bench.drained, "nothing to end");
}

#[test]
fn calls_out_take_the_route_that_the_registrar_wants() {
    let trunk = "[endpoint.trunk]\noutbound_auth = \"provider\"\naor = { contact = [\"sip:203.0.113.20\"] }\n";
    let text = config("")
        .replace("[endpoint.trunk]\n", trunk)
        .replace("\"username\"", "\"ip\"")
        + "[endpoint.alice]\ncontext = \"out\"\n[identify.alice]\nendpoint = \"alice\"\nmatch = [\"198.51.100.10\"]\n\
           [context.out.exten]\n\"_X.\" = [\"Dial(PJSIP/${EXTEN}@trunk)\"]\n";
    let mut bench = Bench::with(&text);
    let alice = "198.51.100.10:5060";
    for route in [
        None,
        Some("<sip:203.0.113.21:5060;lr>, <sip:core.example.com;lr>"),
    ] {
        if bench.state() == "registering" {
            bench.answers(|asked| asked.granted(480));
        } else {
            bench.until_asked(Duration::from_secs(480));
            bench.answers(|asked| {
                let response = asked.granted(480);
                route.map_or(response.clone(), |route| {
                    response.header("Service-Route", route)
                })
            });
        }
        invite(&mut bench, alice, "sip:110@192.0.2.1");
        let asked = bench.next();
        assert_eq!(asked.request.uri(), "sip:110@203.0.113.20");
        let routes: Vec<&str> = asked.request.headers().lines("Route").collect();
        match route {
            None => assert_eq!((asked.flow, routes.len()), (udp(REGISTRAR), 0)),
            Some(_) => {
                assert_eq!(
                    routes,
                    ["<sip:203.0.113.21:5060;lr>", "<sip:core.example.com;lr>"]
                );
                assert_eq!(asked.flow, udp(SPARE), "the first route");
            }
        }
    }
}
