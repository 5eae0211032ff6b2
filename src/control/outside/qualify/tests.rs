//! OPTIONS on the wire, and what becomes of calls, on virtual time.

use super::*;
use crate::control::call::tests::world::World;
use crate::control::tests::bench::{Asked, Bench, invite, udp};
use crate::sip::message::ResponseDraft;
use std::collections::BTreeSet;

const SECOND: Duration = Duration::from_secs(1);
const ALICE: &str = "198.51.100.10:5060";
const NEAR: &str = "203.0.113.20:5060";
const FAR: &str = "203.0.113.21:5060";

/// Alice calls by a trunk of two contacts, asked each `qualify_frequency` seconds.
fn config(qualify: &str) -> String {
    format!(
        r#"
[transport.udp]
bind = "192.0.2.1:5060"
[aor.trunk]
contact = ["sip:203.0.113.20", "sip:203.0.113.21"]
{qualify}
[endpoint.trunk]
aors = ["trunk"]
context = "out"
[endpoint.alice]
context = "out"
[identify.alice]
endpoint = "alice"
match = ["198.51.100.10"]
[context.out.exten]
"_X." = ["Dial(PJSIP/${{EXTEN}}@trunk)", "Set(S=${{DIALSTATUS}})", "GotoIf($[\"${{S}}\" = \"CHANUNAVAIL\"]?gone)", "Hangup(17)", "gone: Hangup(3)"]
"#
    )
}

fn ok(bench: &mut Bench) {
    for asked in std::mem::take(&mut bench.asked) {
        bench.answer(&asked, ResponseDraft::new(200));
    }
}

/// Status of a contact, and its round trip in milliseconds.
fn status(bench: &Bench, place: usize) -> (String, Option<f64>) {
    let row = &bench.gateway.contacts(bench.now)[place];
    (row.status.clone(), row.rtt_ms)
}

fn metric(bench: &Bench, name: &str) -> Option<f64> {
    let families = bench.gateway.metrics().registry().gather();
    let family = families.iter().find(|family| family.name() == name)?;
    Some(family.get_metric().first()?.get_gauge().get_value())
}

/// Lets time pass in which the far contact goes on answering.
fn pass(bench: &mut Bench, time: Duration) {
    let end = bench.now + time;
    while bench.now < end {
        let step = (end - bench.now).min(Duration::from_millis(10));
        bench.run(step);
        for asked in std::mem::take(&mut bench.asked) {
            if asked.flow == udp(FAR) {
                bench.answer(&asked, ResponseDraft::new(200));
            } else {
                bench.asked.push(asked);
            }
        }
    }
}

/// The next OPTIONS to the near contact, within this time; the far one goes on answering.
fn near(bench: &mut Bench, within: Duration) -> Asked {
    loop {
        bench.until_asked(within);
        let asked = bench.next();
        assert_eq!(asked.request.method(), &Method::Options);
        if asked.flow == udp(NEAR) {
            return asked;
        }
        bench.answer(&asked, ResponseDraft::new(200));
    }
}

/// Everybody's first OPTIONS has been answered.
fn all_known(qualify: &str) -> Bench {
    let mut bench = Bench::with(&config(qualify));
    for _ in 0..2 {
        bench.until_asked(Duration::from_secs(60));
        ok(&mut bench);
    }
    bench
}

#[test]
fn each_contact_is_asked_once_an_interval_and_not_all_at_once() {
    let mut bench = Bench::with(&config("qualify_frequency = 30"));
    assert_eq!(status(&bench, 0), (String::from("unknown"), None));
    let mut times = [Vec::new(), Vec::new()];
    while bench.now - bench.begin < Duration::from_secs(300) {
        bench.until_asked(Duration::from_secs(31));
        let asked = bench.next();
        assert_eq!(asked.request.method(), &Method::Options);
        let place = usize::from(asked.flow == udp(FAR));
        times[place].push(bench.since_begin(&asked));
        bench.run(Duration::from_millis(40));
        bench.answer(&asked, ResponseDraft::new(200));
        assert_eq!(
            status(&bench, place),
            (String::from("reachable"), Some(40.0))
        );
    }
    for times in &times {
        assert!(times[0] < 30.0, "{times:?}");
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            gaps.map(|gap| (gap - 30.0).abs()).all(|off| off < 0.1),
            "{times:?}"
        );
    }
    assert!((times[0][0] - times[1][0]).abs() > 0.5, "{times:?}");
}

#[test]
fn the_options_says_where_it_goes_and_any_answer_will_do() {
    let mut bench = Bench::with(&config("qualify_frequency = 30"));
    for status_code in [404, 503] {
        bench.until_asked(Duration::from_secs(30));
        let asked = bench.next();
        let host = asked.flow.peer.ip();
        assert_eq!(asked.request.uri(), format!("sip:{host}"));
        assert_eq!(asked.header("To"), format!("<sip:{host}>"));
        assert!(
            asked
                .header("From")
                .starts_with("<sip:ringway@192.0.2.1>;tag=")
        );
        assert_eq!(asked.header("Contact"), "<sip:ringway@192.0.2.1:5060>");
        bench.answer(&asked, ResponseDraft::new(status_code));
    }
    assert_eq!(metric(&bench, "ringway_contact_reachable"), Some(2.0));
    assert_eq!(metric(&bench, "ringway_contact_rtt_seconds"), Some(0.0));
}

#[test]
fn a_contact_that_does_not_answer_in_time_is_not_dialled_until_it_does() {
    let mut bench = all_known("qualify_frequency = 30\nqualify_timeout = 2.5");
    // The near one falls silent.
    let silent = near(&mut bench, Duration::from_secs(31));
    pass(&mut bench, Duration::from_millis(2499));
    assert_eq!(status(&bench, 0).0, "reachable");
    pass(&mut bench, Duration::from_millis(1));
    assert_eq!(status(&bench, 0), (String::from("unreachable"), None));
    assert_eq!(metric(&bench, "ringway_contact_reachable"), Some(1.0));
    bench.asked.clear();
    invite(&mut bench, ALICE, "sip:110@192.0.2.1");
    assert_eq!(bench.next().flow, udp(FAR), "the other one, at once");
    // An answer that comes late does not count, but the next OPTIONS comes soon.
    bench.answer(&silent, ResponseDraft::new(200));
    assert_eq!(status(&bench, 0).0, "unreachable");
    let soon = near(&mut bench, SECOND);
    bench.answer(&soon, ResponseDraft::new(200));
    assert_eq!(status(&bench, 0).0, "reachable");
    invite(&mut bench, ALICE, "sip:110@192.0.2.1");
    assert_eq!(bench.next().flow, udp(NEAR));
}

#[test]
fn an_icmp_error_says_at_once_that_nobody_is_there_and_a_dead_contact_is_asked_on() {
    let mut bench = all_known("qualify_frequency = 5");
    for _ in 0..20 {
        bench.until_asked(Duration::from_secs(5));
        let asked = bench.asked.remove(0);
        bench.gateway.handle_flow_failed(bench.now, asked.flow);
    }
    assert_eq!(
        (status(&bench, 0).0, status(&bench, 1).0),
        ("unreachable".into(), "unreachable".into())
    );
    // Nobody to dial: the dialplan goes on with CHANUNAVAIL.
    bench.asked.clear();
    assert_eq!(invite(&mut bench, ALICE, "sip:110@192.0.2.1"), Some(404));
    assert_eq!(bench.asked.len(), 0);
    assert_eq!(metric(&bench, "ringway_contact_reachable"), Some(0.0));
    assert_eq!(metric(&bench, "ringway_contact_rtt_seconds"), None);
}

#[test]
fn one_of_which_nothing_is_known_is_dialled() {
    for qualify in ["", "qualify_frequency = 0", "qualify_frequency = 60"] {
        let mut bench = Bench::with(&config(qualify));
        invite(&mut bench, ALICE, "sip:110@192.0.2.1");
        assert_eq!(bench.next().flow, udp(NEAR), "{qualify}");
    }
    let mut bench = Bench::with(&config(""));
    bench.run(Duration::from_secs(1000));
    assert_eq!(bench.asked.len(), 0);
}

#[test]
fn a_target_that_says_retry_after_is_left_alone_for_that_long() {
    for (retry_after, rest) in [("20", 20), ("86400", 60)] {
        let mut bench = Bench::with(&config(""));
        let refused = |bench: &mut Bench| {
            let asked = bench.next();
            assert_eq!(asked.flow, udp(NEAR));
            bench.answer(
                &asked,
                ResponseDraft::new(503).header("Retry-After", retry_after),
            );
        };
        invite(&mut bench, ALICE, "sip:110@192.0.2.1");
        refused(&mut bench);
        bench.asked.clear();
        bench.run(Duration::from_secs(rest - 1));
        invite(&mut bench, ALICE, "sip:112@192.0.2.1");
        assert_eq!(bench.next().flow, udp(FAR), "whatever the number");
        bench.run(SECOND);
        bench.asked.clear();
        invite(&mut bench, ALICE, "sip:112@192.0.2.1");
        refused(&mut bench);
    }
    // 503 alone says nothing of the next call.
    let mut bench = Bench::with(&config(""));
    invite(&mut bench, ALICE, "sip:110@192.0.2.1");
    let asked = bench.next();
    bench.answer(&asked, ResponseDraft::new(503));
    bench.asked.clear();
    invite(&mut bench, ALICE, "sip:110@192.0.2.1");
    assert_eq!(bench.next().flow, udp(NEAR));
}

#[test]
fn a_reload_takes_contacts_and_lets_go_of_them() {
    let mut bench = all_known("qualify_frequency = 30");
    bench
        .gateway
        .reload(bench.now, World::setup(&config("qualify_frequency = 30")));
    assert_eq!(status(&bench, 0).0, "reachable", "nothing has changed");
    let text = config("qualify_frequency = 30").replace(", \"sip:203.0.113.21\"", "");
    bench.gateway.reload(bench.now, World::setup(&text));
    let mut peers = BTreeSet::new();
    for _ in 0..4 {
        bench.until_asked(Duration::from_secs(31));
        peers.insert(bench.asked[0].flow);
        ok(&mut bench);
    }
    assert_eq!(peers, [udp(NEAR)].into());
    assert_eq!(metric(&bench, "ringway_contact_reachable"), Some(1.0));
    bench.gateway.reload(bench.now, World::setup(&config("")));
    bench.run(Duration::from_secs(100));
    assert_eq!(
        (bench.asked.len(), status(&bench, 0).0.as_str()),
        (0, "static")
    );
    assert_eq!(metric(&bench, "ringway_contact_reachable"), None);
    assert_eq!(bench.gateway.leftovers(), Default::default());
}

#[test]
fn a_phone_is_asked_by_the_flow_that_it_registered_over_and_its_path() {
    let mut bench = Bench::with(&config(""));
    let uri = Uri::parse("sip:6001@10.0.0.5:5060").expect("a URI");
    let key = ContactKey::fixed("6001", &uri);
    let watch = Watch {
        aor: String::from("6001"),
        uri,
        flow: Some(udp("198.51.100.7:40000")),
        transport: None,
        path: vec![String::from("<sip:edge.example.com;lr>")],
        frequency: Duration::from_secs(10),
        timeout: Duration::from_secs(3),
    };
    bench
        .gateway
        .ctx
        .watch(bench.now, key.clone(), watch.clone());
    bench.until_asked(Duration::from_secs(10));
    let asked = bench.next();
    assert_eq!(
        (asked.flow, asked.request.uri()),
        (udp("198.51.100.7:40000"), "sip:6001@10.0.0.5:5060")
    );
    assert_eq!(asked.header("Route"), "<sip:edge.example.com;lr>");
    bench.answer(&asked, ResponseDraft::new(200));
    assert!(matches!(
        bench.gateway.ctx.qualify.reach(&key),
        Some(Reach::Reachable { .. })
    ));
    // It registers again from the same place, then from another.
    bench
        .gateway
        .ctx
        .watch(bench.now, key.clone(), watch.clone());
    assert!(matches!(
        bench.gateway.ctx.qualify.reach(&key),
        Some(Reach::Reachable { .. })
    ));
    let flow = Some(udp("198.51.100.7:40001"));
    bench
        .gateway
        .ctx
        .watch(bench.now, key.clone(), Watch { flow, ..watch });
    assert_eq!(bench.gateway.ctx.qualify.reach(&key), Some(Reach::Unknown));
    bench.until_asked(Duration::from_secs(10));
    let outstanding = bench.next();
    assert_eq!(outstanding.flow, udp("198.51.100.7:40001"));
    bench.gateway.ctx.unwatch(&key);
    bench.answer(&outstanding, ResponseDraft::new(200));
    bench.run(Duration::from_secs(100));
    assert_eq!(
        (bench.asked.len(), bench.gateway.leftovers()),
        (0, Default::default())
    );
}

#[test]
fn a_registered_phone_is_asked_until_it_is_gone() {
    let text = config("")
        + "[endpoint.6001]\naor = { max_contacts = 1, qualify_frequency = 10 }\n\
           [identify.phone]\nendpoint = \"6001\"\nmatch = [\"198.51.100.7\"]\n";
    let mut bench = Bench::with(&text);
    let register = |bench: &mut Bench, cseq: u32, expires: u32| {
        let request = RequestDraft::new(Method::Register, "sip:192.0.2.1")
            .header("From", "<sip:6001@192.0.2.1>;tag=x")
            .header("To", "<sip:6001@192.0.2.1>")
            .header("Call-ID", "phone")
            .header("CSeq", format_args!("{cseq} REGISTER"))
            .header("Contact", "<sip:6001@198.51.100.7:5062>")
            .header("Expires", expires);
        let via = format!("SIP/2.0/UDP 198.51.100.7:5062;branch=z9hG4bK{cseq}");
        let flow = udp("198.51.100.7:5062");
        bench
            .gateway
            .handle_datagram(bench.now, flow, request.write(&via));
        bench.collect();
        assert_eq!(bench.responses.last(), Some(&200));
    };
    register(&mut bench, 1, 600);
    assert_eq!(status(&bench, 0).0, "unknown");
    bench.until_asked(Duration::from_secs(10));
    let asked = bench.next();
    assert_eq!(
        (asked.flow, asked.request.uri()),
        (udp("198.51.100.7:5062"), "sip:6001@198.51.100.7:5062")
    );
    bench.answer(&asked, ResponseDraft::new(200));
    assert_eq!(status(&bench, 0).0, "reachable");
    register(&mut bench, 2, 600);
    assert_eq!(status(&bench, 0).0, "reachable", "it is the same");
    register(&mut bench, 3, 0);
    bench.run(Duration::from_secs(60));
    assert_eq!(
        (bench.asked.len(), bench.gateway.leftovers()),
        (0, Default::default())
    );
}
