use super::digest::{Inputs, Protection, response};
use super::*;
use crate::sip::message::{Message, Method, RequestDraft};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// RFC 7616 §3.9.1, whose request is an HTTP GET.
#[test]
fn the_examples_of_rfc_7616() {
    let get = Method::parse("GET").unwrap();
    for (algorithm, expected) in [
        (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
        (
            Algorithm::Sha256,
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
    ] {
        let inputs = Inputs {
            algorithm,
            username: "Mufasa",
            realm: "http-auth@example.org",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            protection: Some(Protection {
                qop: Qop::Auth,
                nc: "00000001",
            }),
            method: &get,
            uri: "/dir/index.html",
            body: b"",
        };
        assert_eq!(response(&inputs, Password("Circle of Life")), expected);
    }
}

/// RFC 2617 §3.5, read and checked as credentials.
#[test]
fn the_example_of_rfc_2617() {
    let credentials = Credentials::parse(
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
         uri=\"/dir/index.html\", qop=auth, nc=00000001, cnonce=\"0a4f113b\", \
         response=\"6629fae49393a05397450978507c4ef1\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    )
    .unwrap();
    let get = Method::parse("GET").unwrap();
    assert!(credentials.matches(&get, b"", Password("Circle Of Life")));
    assert!(!credentials.matches(&get, b"", Password("Circle of Life")));
    assert!(!credentials.matches(&Method::Invite, b"", Password("Circle Of Life")));
}

#[test]
fn challenges_are_read_whatever_stands_beside_them() {
    let value = "Basic realm=\"x\", Digest realm=\"a, \\\"b\\\"\", nonce = \"n=1,2\", algorithm=SHA-512, qop=\"auth\", \
                 DIGEST nonce=\"m\",realm=\"r\",qop=\"token,auth-int,auth\",opaque=\"\", stale=TRUE, unknown=1";
    let challenge = Challenge::parse(value).unwrap();
    assert_eq!(
        challenge,
        Challenge {
            realm: "r".into(),
            nonce: "m".into(),
            opaque: Some(String::new()),
            algorithm: Algorithm::Md5,
            qop: vec![Qop::AuthInt, Qop::Auth],
            stale: true,
        }
    );
    let escaped = Challenge::parse(r#"Digest realm="a, \"b\"", nonce="n=1,2""#).unwrap();
    assert_eq!(
        (escaped.realm.as_str(), escaped.nonce.as_str()),
        (r#"a, \"b\""#, "n=1,2")
    );
    for broken in [
        "",
        "Digest",
        "Digest realm=\"r\"",
        "Digest realm=\"r, nonce=\"n\"",
        "Digest realm=\"r\", realm=\"s\", nonce=\"n\"",
        "Digest realm=\"r\", nonce=\"n\", qop=\"new\"",
        "Digest realm=\"r\", nonce=\"n\\\"",
    ] {
        assert_eq!(Challenge::parse(broken), None, "{broken}");
    }
}

fn authenticator(now: Instant, key: u8) -> Authenticator {
    let settings = AuthSettings {
        realm: "ring \"way\"".into(),
        algorithms: vec![
            Algorithm::Sha256,
            Algorithm::Sha256Sess,
            Algorithm::Md5,
            Algorithm::Md5Sess,
        ],
        nonce_lifetime: Duration::from_secs(30),
    };
    Authenticator::new(settings, [key; 32], now)
}

fn answer<'a>(password: &'a str, body: &'a [u8]) -> Answer<'a> {
    Answer {
        username: "o\"brien",
        password: Password(password),
        method: &Method::Invite,
        uri: "sip:100@example.com",
        body,
        cnonce: "0a4f",
        nonce_count: 1,
    }
}

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

#[test]
fn what_we_ask_for_is_answered_and_taken() {
    let start = Instant::now();
    let mut server = authenticator(start, 7);
    for asked in server.challenge(start, PEER, false) {
        for qop in [
            vec![],
            vec![Qop::Auth],
            vec![Qop::AuthInt],
            vec![Qop::AuthInt, Qop::Auth],
        ] {
            let challenge = Challenge {
                qop,
                ..Challenge::parse(&asked.to_string()).unwrap()
            };
            let credentials =
                Credentials::parse(&challenge.answer(&answer("s3cret", b"body"))).unwrap();
            assert_eq!(credentials.username(), "o\"brien");
            let verdict = |after, peer, body, password| {
                let now = start + Duration::from_secs(after);
                // Each time as if it were the first.
                server.clone().verify(
                    now,
                    peer,
                    &credentials,
                    &Method::Invite,
                    body,
                    Some(("o\"brien", Password(password))),
                )
            };
            let other: IpAddr = "192.0.2.10".parse().unwrap();
            assert_eq!(verdict(29, PEER, b"body", "s3cret"), Verdict::Valid);
            assert_eq!(verdict(30, PEER, b"body", "s3cret"), Verdict::Stale);
            assert_eq!(verdict(1, other, b"body", "s3cret"), Verdict::Stale);
            assert_eq!(verdict(1, PEER, b"body", "S3cret"), Verdict::Invalid);
            let changed = if challenge.qop == [Qop::AuthInt] {
                Verdict::Invalid
            } else {
                Verdict::Valid
            };
            assert_eq!(verdict(1, PEER, b"Body", "s3cret"), changed);
        }
    }
}

#[test]
fn a_nonce_that_we_did_not_make_is_stale_at_best() {
    let now = Instant::now();
    let mut server = authenticator(now, 7);
    let good = server.challenge(now, PEER, false).remove(0);
    let foreign = authenticator(now, 8)
        .challenge(now, PEER, false)
        .remove(0)
        .nonce;
    let later = format!("{:016x}{}", 1, &good.nonce[16..]);
    let another = format!("{}{:016x}{}", &good.nonce[..16], 2, &good.nonce[32..]);
    for nonce in [
        "",
        "x",
        "ffffffffffffffff",
        "ünïcödé-ünïcödé-ünïcödé",
        &foreign,
        &later,
        &another,
    ] {
        let challenge = Challenge {
            nonce: nonce.into(),
            ..good.clone()
        };
        let credentials = Credentials::parse(&challenge.answer(&answer("s3cret", b""))).unwrap();
        let verdict = server.verify(
            now,
            PEER,
            &credentials,
            &Method::Invite,
            b"",
            Some(("o\"brien", Password("s3cret"))),
        );
        assert_eq!(verdict, Verdict::Stale, "{nonce}");
    }
    assert!(
        server.challenge(now, PEER, true)[0]
            .to_string()
            .ends_with(", stale=true")
    );
}

#[test]
fn an_algorithm_or_realm_that_was_not_asked_for_is_refused() {
    let now = Instant::now();
    let mut server = authenticator(now, 7);
    let good = server.challenge(now, PEER, false).remove(2);
    assert_eq!(good.algorithm, Algorithm::Md5);
    server.settings.algorithms = vec![Algorithm::Sha256];
    let elsewhere = Challenge {
        realm: "elsewhere".into(),
        algorithm: Algorithm::Sha256,
        ..good.clone()
    };
    for challenge in [good, elsewhere] {
        let credentials = Credentials::parse(&challenge.answer(&answer("s3cret", b""))).unwrap();
        let verdict = server.verify(
            now,
            PEER,
            &credentials,
            &Method::Invite,
            b"",
            Some(("o\"brien", Password("s3cret"))),
        );
        assert_eq!(verdict, Verdict::Invalid);
    }
}

#[test]
fn headers_of_both_askers_are_found_line_by_line() {
    let draft = RequestDraft::new(Method::Invite, "sip:100@example.com")
        .header("From", "<sip:a@example.com>;tag=1")
        .header("To", "<sip:100@example.com>")
        .header("Call-ID", "x")
        .header("CSeq", "1 INVITE")
        .header("Authorization", "NoOneKnows user=1")
        .header(
            "authorization",
            "Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"sip:x\",response=\"00\"",
        )
        .header(
            "Proxy-Authorization",
            "Digest username=\"p\",realm=\"r\",nonce=\"n\",uri=\"sip:x\",response=\"00\"",
        )
        .header("WWW-Authenticate", "Digest realm=\"one\",nonce=\"n\"")
        .header("WWW-Authenticate", "Digest realm=\"two\",nonce=\"n\"");
    let Ok(Message::Request(request)) =
        Message::parse(draft.write("SIP/2.0/UDP a.example.com;branch=z9hG4bK1"))
    else {
        panic!("our own request does not parse");
    };
    let names = |asker| {
        Credentials::all(request.headers(), asker)
            .iter()
            .map(Credentials::username)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (names(Asker::User), names(Asker::Proxy)),
        (vec!["u".to_owned()], vec!["p".to_owned()])
    );
    let realms: Vec<_> = challenges(request.headers(), Asker::User)
        .into_iter()
        .map(|asked| asked.realm)
        .collect();
    assert_eq!(realms, ["one", "two"]);
    assert_eq!(
        Asker::of_status(407).map(Asker::credentials_header),
        Some("Proxy-Authorization")
    );
}

#[test]
fn an_answer_is_taken_once() {
    let now = Instant::now();
    let mut server = authenticator(now, 7);
    let asked = server.challenge(now, PEER, false).remove(0);
    let mut verdict = |challenge: &Challenge, nonce_count| {
        let answer = Answer {
            nonce_count,
            ..answer("s3cret", b"")
        };
        let credentials = Credentials::parse(&challenge.answer(&answer)).unwrap();
        let user = Some(("o\"brien", Password("s3cret")));
        server.verify(now, PEER, &credentials, &Method::Invite, b"", user)
    };
    let counts = [1, 1, 2, 4, 3, 4].map(|count| verdict(&asked, count));
    let (taken, again) = (Verdict::Valid, Verdict::Stale);
    assert_eq!(counts, [taken, again, taken, taken, taken, again]);
    let mut plain = server.challenge(now, PEER, false).remove(0);
    plain.qop = vec![];
    let mut verdict = |challenge: &Challenge| {
        let credentials = Credentials::parse(&challenge.answer(&answer("s3cret", b""))).unwrap();
        let user = Some(("o\"brien", Password("s3cret")));
        server.verify(now, PEER, &credentials, &Method::Invite, b"", user)
    };
    assert_eq!(
        [verdict(&plain), verdict(&plain)],
        [taken, again],
        "without a count, once"
    );
}

#[test]
fn the_user_must_be_the_one_that_is_meant() {
    let now = Instant::now();
    let mut server = authenticator(now, 7);
    let asked = server.challenge(now, PEER, false).remove(0);
    let credentials = |password| Credentials::parse(&asked.answer(&answer(password, b""))).unwrap();
    let mut verdict = |credentials: &Credentials, user: Option<(&str, &str)>| {
        let user = user.map(|(name, password)| (name, Password(password)));
        server.verify(now, PEER, credentials, &Method::Invite, b"", user)
    };
    assert_eq!(
        verdict(&credentials("s3cret"), Some(("other", "s3cret"))),
        Verdict::Invalid
    );
    assert_eq!(verdict(&credentials(""), None), Verdict::Invalid);
    assert_eq!(
        verdict(&credentials("s3cret"), Some(("o\"brien", "s3cret"))),
        Verdict::Valid
    );
}
