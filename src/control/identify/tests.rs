//! Identification, from configurations and requests as they are written.

use super::*;
use crate::config::{NoLookup, parse};
use crate::sip::message::Message;
use bytes::Bytes;

const BASE: &str = r#"
[transport.udp]
bind = "127.0.0.1"
[context.default.exten]
1 = ["Hangup()"]
[endpoint.carrier]
[endpoint.branch]
[endpoint.named]
[endpoint.6001]
auth = { username = "user6001", password = "p" }
[endpoint.6002]
auth = { username = "6001", password = "p" }
[endpoint.anonymous]
[identify.carrier]
endpoint = "carrier"
match = ["198.51.100.0/24", "203.0.113.7", "2001:db8::/32", "sip.carrier.example"]
[identify.branch]
endpoint = "branch"
match = ["198.51.100.128/25", "2001:db8:1::/48", "branch.example"]
"#;

fn settings(order: &str) -> Settings {
    let text = format!("[global]\nendpoint_identifier_order = [{order}]\n{BASE}");
    match parse("test", &text, &NoLookup) {
        Ok(loaded) => loaded.settings,
        Err(error) => panic!("{error}"),
    }
}

fn request(from: &str, extra: &str) -> Request {
    let text = format!(
        "INVITE sip:1@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <{from}>;tag=1\r\nTo: <sip:1@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n{extra}Content-Length: 0\r\n\r\n"
    );
    match Message::parse(Bytes::from(text)) {
        Ok(Message::Request(request)) => request,
        other => panic!("a request, not {other:?}"),
    }
}

fn credentials(user: &str) -> String {
    format!(
        "Authorization: Digest username=\"{user}\", realm=\"ringway\", nonce=\"n\", uri=\"sip:1@127.0.0.1\", \
         response=\"00000000000000000000000000000000\"\r\n"
    )
}

/// Endpoint and evidence, as `name: evidence`; `-` for a stranger.
fn who(settings: &Settings, found: Option<Identified>) -> String {
    found.map_or_else(
        || String::from("-"),
        |found| {
            let endpoint = &settings.endpoints[found.endpoint.0 as usize];
            format!("{}: {}", endpoint.name, found.by)
        },
    )
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn the_longest_prefix_tells_who_it_is() {
    let settings = settings("\"ip\"");
    let identifier = Identifier::new(&settings);
    let cases = [
        ("198.51.100.1", "carrier: ip 198.51.100.0/24"),
        ("198.51.100.129", "branch: ip 198.51.100.128/25"),
        ("203.0.113.7", "carrier: ip 203.0.113.7/32"),
        ("::ffff:203.0.113.7", "carrier: ip 203.0.113.7/32"),
        ("203.0.113.8", "-"),
        ("2001:db8::1", "carrier: ip 2001:db8::/32"),
        ("2001:db8:1::1", "branch: ip 2001:db8:1::/48"),
        ("2001:db9::1", "-"),
    ];
    for (source, expected) in cases {
        let found = identifier.identify(ip(source), &request("sip:6001@a.example", ""));
        assert_eq!(who(&settings, found), expected, "{source}");
    }
}

#[test]
fn names_identify_only_endpoints_that_will_be_challenged() {
    let settings = settings("\"username\"");
    let identifier = Identifier::new(&settings);
    let cases = [
        ("sip:user6001@a.example", "6001: username"),
        // The endpoint of that name goes before the one whose auth has that username.
        ("sip:6001@a.example", "6001: username"),
        ("sip:%36001@a.example", "6001: username"),
        ("sip:named@a.example", "-"),
        ("sip:carrier@a.example", "-"),
        ("sip:anonymous@a.example", "-"),
        ("sip:USER6001@a.example", "-"),
        ("sip:a.example", "-"),
    ];
    for (from, expected) in cases {
        let found = identifier.identify(ip("192.0.2.1"), &request(from, ""));
        assert_eq!(who(&settings, found), expected, "{from}");
    }
}

#[test]
fn credentials_name_an_endpoint() {
    let settings = settings("\"auth_username\"");
    let identifier = Identifier::new(&settings);
    let by = |user: &str| {
        let found = identifier.identify(
            ip("192.0.2.1"),
            &request("sip:x@a.example", &credentials(user)),
        );
        who(&settings, found)
    };
    assert_eq!(by("user6001"), "6001: auth_username");
    assert_eq!(by("6001"), "6002: auth_username");
    assert_eq!(by("6002"), "6002: auth_username");
    assert_eq!(by("carrier"), "-");
    let none = identifier.identify(ip("192.0.2.1"), &request("sip:6001@a.example", ""));
    assert_eq!(who(&settings, none), "-");
}

#[test]
fn the_order_decides_and_anonymous_takes_the_rest() {
    let from_6001 = request("sip:6001@a.example", "");
    let stranger = request("sip:x@a.example", "");
    let first_by_name = settings("\"username\", \"ip\", \"anonymous\"");
    let identifier = Identifier::new(&first_by_name);
    let found = identifier.identify(ip("203.0.113.7"), &from_6001);
    assert_eq!(who(&first_by_name, found), "6001: username");
    let found = identifier.identify(ip("203.0.113.7"), &stranger);
    assert_eq!(who(&first_by_name, found), "carrier: ip 203.0.113.7/32");
    let found = identifier.identify(ip("192.0.2.1"), &stranger);
    assert_eq!(who(&first_by_name, found), "anonymous: anonymous");

    let first_by_address = settings("\"ip\", \"username\"");
    let identifier = Identifier::new(&first_by_address);
    let found = identifier.identify(ip("203.0.113.7"), &from_6001);
    assert_eq!(who(&first_by_address, found), "carrier: ip 203.0.113.7/32");
    assert_eq!(
        who(
            &first_by_address,
            identifier.identify(ip("192.0.2.1"), &stranger)
        ),
        "-"
    );
}

#[test]
fn host_names_follow_what_they_resolve_to() {
    let settings = settings("\"ip\"");
    let mut identifier = Identifier::new(&settings);
    let names: Vec<&str> = identifier.hosts().collect();
    assert_eq!(names, ["sip.carrier.example", "branch.example"]);
    let by =
        |identifier: &Identifier, source: &str| who(&settings, identifier.by_address(ip(source)));
    assert_eq!(by(&identifier, "192.0.2.10"), "-");

    // Both names give 192.0.2.10: the one that comes first in the file wins.
    identifier.set_host_addresses(
        "branch.example",
        &[ip("192.0.2.10"), ip("2001:db8:ffff::1")],
    );
    assert_eq!(
        by(&identifier, "192.0.2.10"),
        "branch: ip 192.0.2.10 of a host name"
    );
    identifier.set_host_addresses(
        "SIP.carrier.example",
        &[ip("192.0.2.10"), ip("::ffff:192.0.2.11")],
    );
    assert_eq!(
        by(&identifier, "192.0.2.10"),
        "carrier: ip 192.0.2.10 of a host name"
    );
    assert_eq!(
        by(&identifier, "192.0.2.11"),
        "carrier: ip 192.0.2.11 of a host name"
    );
    // A resolved address beats a network.
    assert_eq!(
        by(&identifier, "2001:db8:ffff::1"),
        "branch: ip 2001:db8:ffff::1 of a host name"
    );

    // The name moves, and DNS fails.
    identifier.set_host_addresses("sip.carrier.example", &[ip("192.0.2.12")]);
    identifier.set_host_addresses("sip.carrier.example", &[]);
    assert_eq!(
        by(&identifier, "192.0.2.12"),
        "carrier: ip 192.0.2.12 of a host name"
    );
    assert_eq!(by(&identifier, "192.0.2.11"), "-");
    assert_eq!(
        by(&identifier, "192.0.2.10"),
        "branch: ip 192.0.2.10 of a host name"
    );

    let mut reloaded = Identifier::new(&settings);
    reloaded.keep_addresses_of(&identifier);
    assert_eq!(
        by(&reloaded, "192.0.2.12"),
        "carrier: ip 192.0.2.12 of a host name"
    );
}
