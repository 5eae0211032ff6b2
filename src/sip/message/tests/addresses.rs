//! URIs, addresses, Via.

use crate::sip::message::*;
use proptest::prelude::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|| panic!("{text} is a URI"))
}

#[test]
fn uris_are_taken_apart_and_written_back() {
    let full =
        uri("SIPS:+49-30%231;npdi:se%20cret@[2001:DB8::9]:5061;transport=tls;lr?Subject=a%20b&X=");
    assert_eq!(full.scheme, Scheme::Sips);
    assert_eq!(full.user.as_deref(), Some("+49-30%231;npdi"));
    assert_eq!(full.user_decoded().as_deref(), Some("+4930#1"));
    assert_eq!(full.password.as_deref(), Some("se%20cret"));
    assert_eq!(full.host, Some(Host::V6("2001:db8::9".parse().unwrap())));
    assert_eq!(full.port, Some(5061));
    assert_eq!(
        (full.param("LR"), full.param("transport"), full.param("x")),
        (Some(""), Some("tls"), None)
    );
    assert_eq!(
        full.to_string(),
        "sips:+49-30%231;npdi:se%20cret@[2001:db8::9]:5061;transport=tls;lr?Subject=a%20b&X="
    );
    assert_eq!(
        uri("tel:+1-201-555-0123;phone-context=example.com")
            .user_decoded()
            .as_deref(),
        Some("+12015550123")
    );
    assert_eq!(
        uri("sip:100-200@x;user=phone").user_decoded().as_deref(),
        Some("100200")
    );
    assert_eq!(
        uri("sip:john.doe-1@x").user_decoded().as_deref(),
        Some("john.doe-1")
    );
    assert_eq!(uri("sip:*98#@PBX_1").host, Some(Host::Name("pbx_1".into())));
    assert_eq!(
        uri("soap.beep://192.0.2.103:3002").scheme,
        Scheme::Other("soap.beep".into())
    );
    assert_eq!(uri("urn:service:sos").to_string(), "urn:service:sos");
    assert_eq!(
        uri("sip:1.2.3.999").host,
        Some(Host::Name("1.2.3.999".into()))
    );
}

#[test]
fn what_is_no_uri_is_refused() {
    for text in [
        "",
        "sip:",
        "sip:@host",
        "100",
        "sip:a@",
        "sip:a b@host",
        "sip:a@host:",
        "sip:a@host:70000",
        "sip:a@host:+5",
        "sip:a@[::1",
        "sip:a@::1",
        "sip:a@host;",
        "sip:a@host;;lr",
        "sip:a@host?",
        "sip:a@b@host",
        "sip:50%@host",
        "sip:%zz@h",
        "<sip:a@host>",
        " sip:a@host",
        "sip:a@host ",
        "sip:a\"@host",
        "tel:",
        "tel:+1;",
        "x y:z",
        "sip:ü@host",
        "sip:a@ho st",
    ] {
        assert_eq!(Uri::parse(text), None, "{text}");
    }
}

#[test]
fn no_field_of_a_uri_adds_a_part() {
    let mut evil = Uri::sip(
        Some("a@b>\r\nX: y <"),
        Host::Name("host>;x".into()),
        Some(5060),
    );
    evil.password = Some("p:@".into());
    evil.params = "lr?x> y".into();
    assert_eq!(
        evil.to_string(),
        "sip:a%40b%3E%0D%0AX%3A%20y%20%3C:p%3A%40@host%3E%3Bx:5060;lr%3Fx%3E%20y"
    );
    let unknown = Uri {
        scheme: Scheme::Other("urn".into()),
        user: Some("ü >".into()),
        ..uri("tel:1")
    };
    assert_eq!(unknown.to_string(), "urn:%C3%BC%20%3E");
}

/// The examples of RFC 3261 §19.1.4 and RFC 3966 §4.
#[test]
fn uris_are_compared_as_the_rfc_says() {
    for (one, other) in [
        (
            "sip:%61lice@atlanta.com;transport=TCP",
            "sip:alice@AtlanTa.CoM;Transport=tcp",
        ),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;newparam=5",
        ),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1-201-555-0123", "TEL:+1(201)5550123"),
        (
            "tel:7042;a=b;phone-context=x",
            "tel:7042;phone-context=X;A=b",
        ),
    ] {
        assert!(
            uri(one).is_equivalent(&uri(other)) && uri(other).is_equivalent(&uri(one)),
            "{one} = {other}"
        );
    }
    for (one, other) in [
        (
            "SIP:ALICE@AtLanTa.CoM;Transport=udp",
            "sip:alice@AtlanTa.CoM;Transport=UDP",
        ),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        (
            "sip:bob@biloxi.com",
            "sip:bob@biloxi.com:6000;transport=tcp",
        ),
        (
            "sip:carol@chicago.com",
            "sip:carol@chicago.com?Subject=next%20meeting",
        ),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:a@b", "sips:a@b"),
        ("sip:a%2Fb@c", "sip:a/b@c"),
        (
            "sip:carol@chicago.com;security=on",
            "sip:carol@chicago.com;security=off",
        ),
        ("tel:7042", "tel:7042;phone-context=x"),
        ("urn:a", "urn:b"),
    ] {
        assert!(
            !uri(one).is_equivalent(&uri(other)) && !uri(other).is_equivalent(&uri(one)),
            "{one} ≠ {other}"
        );
    }
}

#[test]
fn addresses_of_all_shapes() {
    let parse = |text| NameAddr::parse(text).unwrap_or_else(|| panic!("{text} is an address"));
    let quoted = parse("\"A, \\\"B\\\" <c;d>\" <sip:a@b;lr>;tag=1 ; x = \"y;z\"");
    assert_eq!(quoted.display_name.as_deref(), Some("A, \"B\" <c;d>"));
    assert_eq!(
        (quoted.tag(), quoted.params.get("X")),
        (Some("1"), Some("y;z"))
    );
    assert_eq!(
        quoted.params.iter().collect::<Vec<_>>(),
        [("tag", "1"), ("x", "y;z")]
    );
    assert_eq!(
        quoted.to_string(),
        "\"A, \\\"B\\\" <c;d>\" <sip:a@b;lr>;tag=1 ; x = \"y;z\""
    );
    let bare = parse("sip:a@b;tag=x;lr");
    assert_eq!(
        (bare.tag(), bare.uri.params.as_str(), bare.uri.param("lr")),
        (Some("x"), "", None)
    );
    assert_eq!(bare.to_string(), "<sip:a@b>;tag=x;lr");
    assert_eq!(
        parse("Jürgen (Büro)<sip:a@b>").display_name.as_deref(),
        Some("Jürgen (Büro)")
    );
    assert_eq!(parse("<tel:+49-30>").display_name, None);
    for text in [
        "",
        "*",
        "<>",
        "sip:a@b?x=y",
        "<sip:a@b",
        "\"A <sip:a@b>",
        "A, B <sip:a@b>",
        "< sip:a@b >",
        "<sip:a@b>;;",
        "<sip:a@b>;",
        "<sip:a@b>;=x",
        "<sip:a@b>;tag=",
        "<sip:a@b> x",
        "<sip:a@b>;tag=\"x",
        "<sip:a@b>;tag=a,b",
        "\"x\"sip:a@b",
        "a\\ <sip:a@b>",
    ] {
        assert_eq!(NameAddr::parse(text), None, "{text}");
    }
}

#[test]
fn via_values_of_all_shapes() {
    let via = Via::parse(
        "SIP / 2.0 / TLS  [2001:db8::1] : 5061 ; branch = z9hG4bKa ;rport;received=192.0.2.1",
    )
    .unwrap();
    assert_eq!(
        (via.protocol, via.port, via.branch()),
        ("TLS", Some(5061), Some("z9hG4bKa"))
    );
    assert_eq!(via.host, Host::V6("2001:db8::1".parse().unwrap()));
    assert_eq!(
        (via.param("RPORT"), via.param("received"), via.param("ttl")),
        (Some(""), Some("192.0.2.1"), None)
    );
    for text in [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0 host",
        "HTTP/2.0/UDP host",
        "SIP/2.0/UDP host;;",
        "SIP/2.0/UDP host:x",
        "SIP/2.0/UDP a b",
    ] {
        assert_eq!(Via::parse(text), None, "{text}");
    }
}

#[test]
fn methods_by_name() {
    for name in ["INVITE", "ACK", "PUBLISH", "invite", "X-y!"] {
        assert_eq!(name.parse::<Method>().unwrap().to_string(), name);
    }
    assert_eq!("INVITE".parse(), Ok(Method::Invite));
    assert_ne!("invite".parse(), Ok(Method::Invite));
    assert_eq!("A B".parse::<Method>(), Err(NotAMethod));
    assert_eq!(Method::parse(""), None);
}

/// The pieces that URIs and addresses are made of, valid and not.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-z0-9]{1,4}",
        6 => prop::sample::select(vec![
            "sip:", "sips:", "tel:", "urn:", "@", ":", ";", "?", "&", "=", "<", ">", "\"", "\\", "%41", "%", "[::1]", "192.0.2.1", " ", "\t",
            ",", "+49", "-", ";lr", ";tag=", "5060", "#", "ü", "*", "SIP/2.0/UDP ", "SIP / 2.0 / TCP ", ";branch=z9hG4bK",
        ])
        .prop_map(str::to_owned),
    ];
    let wild = prop::collection::vec(piece, 1..10).prop_map(|pieces| pieces.concat());
    let plausible = (
        "(\"[ -~ü]{0,6}\" ?|[a-z .]{0,5}|)",
        "(sips?:([a-zA-Z0-9.+%#;?=&-]{1,8}(:[a-z0-9]{0,3})?@)?([a-zA-Z0-9.-]{1,8}|\\[2001:DB8::[0-9]\\])(:[0-9]{1,5})?|tel:[+0-9.()-]{1,9}|urn:[a-z:]{1,5})(;[a-z]{1,3}(=[a-z0-9%]{1,3})?){0,2}(\\?[a-z]{1,3}=[a-z%]{0,3})?",
        "( ?; ?[a-z]{1,3}( ?= ?([a-z0-9]{1,3}|\"[ -~]{0,5}\"))?){0,2}",
    )
        .prop_map(|(name, uri, params)| format!("{name}<{uri}>{params}"));
    prop_oneof![wild, plausible]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_parses_is_written_back_as_it_was(text in pieces()) {
        if let Some(address) = NameAddr::parse(&text) {
            prop_assert_eq!(NameAddr::parse(&address.to_string()), Some(address.clone()));
            prop_assert_eq!(Uri::parse(&address.uri.to_string()), Some(address.uri.clone()));
            prop_assert!(address.uri.is_equivalent(&address.uri));
        }
        if let Some(via) = Via::parse(&text) {
            prop_assert_eq!(Host::parse(&via.host.to_string()), Some(via.host));
        }
    }

    #[test]
    fn equivalence_has_no_sides(one in pieces(), other in pieces()) {
        if let (Some(one), Some(other)) = (NameAddr::parse(&one), NameAddr::parse(&other)) {
            prop_assert_eq!(one.uri.is_equivalent(&other.uri), other.uri.is_equivalent(&one.uri));
        }
    }
}
