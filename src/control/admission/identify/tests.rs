//! Identification, from configurations and requests as they are written.

use super::*;
use crate::config::{NoLookup, parse};
use crate::sip::flow::Protocol;
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

/// Over the transport of that place.
fn over(transport: u16, source: &str) -> Flow {
    Flow {
        transport: TransportId(transport),
        protocol: Protocol::Udp,
        peer: (ip(source), 5060).into(),
        domain: None,
    }
}

fn came(source: &str) -> Flow {
    over(0, source)
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
        let found = identifier.identify(came(source), &request("sip:6001@a.example", ""));
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
        let found = identifier.identify(came("192.0.2.1"), &request(from, ""));
        assert_eq!(who(&settings, found), expected, "{from}");
    }
}

#[test]
fn credentials_name_an_endpoint() {
    let settings = settings("\"auth_username\"");
    let identifier = Identifier::new(&settings);
    let by = |user: &str| {
        let found = identifier.identify(
            came("192.0.2.1"),
            &request("sip:x@a.example", &credentials(user)),
        );
        who(&settings, found)
    };
    assert_eq!(by("user6001"), "6001: auth_username");
    assert_eq!(by("6001"), "6002: auth_username");
    assert_eq!(by("6002"), "6002: auth_username");
    assert_eq!(by("carrier"), "-");
    let none = identifier.identify(came("192.0.2.1"), &request("sip:6001@a.example", ""));
    assert_eq!(who(&settings, none), "-");
}

#[test]
fn the_order_decides_and_anonymous_takes_the_rest() {
    let from_6001 = request("sip:6001@a.example", "");
    let stranger = request("sip:x@a.example", "");
    let first_by_name = settings("\"username\", \"ip\", \"anonymous\"");
    let identifier = Identifier::new(&first_by_name);
    let found = identifier.identify(came("203.0.113.7"), &from_6001);
    assert_eq!(who(&first_by_name, found), "6001: username");
    let found = identifier.identify(came("203.0.113.7"), &stranger);
    assert_eq!(who(&first_by_name, found), "carrier: ip 203.0.113.7/32");
    let found = identifier.identify(came("192.0.2.1"), &stranger);
    assert_eq!(who(&first_by_name, found), "anonymous: anonymous");

    let first_by_address = settings("\"ip\", \"username\"");
    let identifier = Identifier::new(&first_by_address);
    let found = identifier.identify(came("203.0.113.7"), &from_6001);
    assert_eq!(who(&first_by_address, found), "carrier: ip 203.0.113.7/32");
    assert_eq!(
        who(
            &first_by_address,
            identifier.identify(came("192.0.2.1"), &stranger)
        ),
        "-"
    );
}

#[test]
fn host_names_follow_what_they_resolve_to() {
    let settings = settings("\"ip\"");
    let mut identifier = Identifier::new(&settings);
    let now = Instant::now();
    assert_eq!(
        identifier.take_due_hosts(now),
        ["branch.example", "sip.carrier.example"]
    );
    let by = |identifier: &Identifier, source: &str| {
        who(&settings, identifier.by_address(ip(source), TransportId(0)))
    };
    let set = |identifier: &mut Identifier, host: &str, addresses: &[&str]| {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
        identifier.set_host_addresses(now, host, &addresses, Duration::from_secs(60))
    };
    assert_eq!(by(&identifier, "192.0.2.10"), "-");

    // Both names give 192.0.2.10: the one that comes first in the file wins.
    set(
        &mut identifier,
        "branch.example",
        &["192.0.2.10", "2001:db8:ffff::1"],
    );
    assert_eq!(
        by(&identifier, "192.0.2.10"),
        "branch: ip 192.0.2.10 of a host name"
    );
    let carriers = ["192.0.2.10", "::ffff:192.0.2.11"];
    let change = set(&mut identifier, "SIP.carrier.example", &carriers);
    assert_eq!(change, HostChange::Moved);
    assert_eq!(
        by(&identifier, "192.0.2.10"),
        "carrier: ip 192.0.2.10 of a host name"
    );
    assert_eq!(
        by(&identifier, "192.0.2.11"),
        "carrier: ip 192.0.2.11 of a host name"
    );
    let change = set(&mut identifier, "sip.carrier.example", &carriers);
    assert_eq!(change, HostChange::None);
    // A resolved address beats a network.
    assert_eq!(
        by(&identifier, "2001:db8:ffff::1"),
        "branch: ip 2001:db8:ffff::1 of a host name"
    );

    // The name moves: its old addresses are nobody's.
    set(&mut identifier, "sip.carrier.example", &["192.0.2.12"]);
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

#[test]
fn the_last_addresses_of_a_name_hold_for_a_day_without_dns() {
    let settings = settings("\"ip\"");
    let mut identifier = Identifier::new(&settings);
    let (start, minute) = (Instant::now(), Duration::from_secs(60));
    let mut answer = |after: Duration, addresses: &[IpAddr]| {
        let now = start + after;
        let change = identifier.set_host_addresses(now, "branch.example", addresses, minute);
        let found = identifier.by_address(ip("192.0.2.10"), TransportId(0));
        (change, found.is_some())
    };
    let known = [ip("192.0.2.10")];
    assert_eq!(answer(Duration::ZERO, &[]), (HostChange::Failing, false));
    assert_eq!(answer(minute, &known), (HostChange::Moved, true));
    assert_eq!(answer(2 * minute, &[]), (HostChange::Failing, true));
    assert_eq!(answer(KEPT, &[]), (HostChange::None, true), "told once");
    assert_eq!(answer(KEPT + minute, &[]), (HostChange::Lost, false));
    assert_eq!(answer(KEPT + 2 * minute, &[]), (HostChange::None, false));
    assert_eq!(answer(KEPT + 3 * minute, &known), (HostChange::Moved, true));
}

#[test]
fn each_host_name_is_asked_for_in_its_own_time() {
    let settings = settings("\"ip\"");
    let mut identifier = Identifier::new(&settings);
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    assert_eq!(identifier.hosts_due(start), Some(start));
    assert_eq!(identifier.take_due_hosts(start).len(), 2);
    assert_eq!(identifier.take_due_hosts(start), [""; 0]);
    identifier.set_host_addresses(start, "branch.example", &[], 10 * second);
    assert_eq!(identifier.hosts_due(start), Some(start + 10 * second));
    assert_eq!(
        identifier.take_due_hosts(start + 10 * second),
        ["branch.example"]
    );
    assert_eq!(
        Identifier::new(&self::settings("")).hosts_due(start),
        Some(start)
    );
}

const TEXTS: &str = r#"
[transport.udp]
bind = "127.0.0.1"
[transport.tcp]
protocol = "tcp"
bind = "127.0.0.1"
[context.default.exten]
1 = ["Hangup()"]
[endpoint.blue]
[endpoint.red]
[endpoint.rest]
[endpoint.secured]
transport = "tcp"
[endpoint.named]
auth = { username = "named", password = "p" }
[identify.blue]
endpoint = "blue"
match_header = "X-Trunk: blue"
[identify.red]
endpoint = "red"
match_header = "x-trunk: /^re+d$/"
match_request_uri = "sip:1@127.0.0.1"
[identify.rest]
endpoint = "rest"
match_request_uri = "/@127/"
transport = "tcp"
[identify.secured]
endpoint = "secured"
match = ["192.0.2.0/24"]
[identify.everywhere]
endpoint = "rest"
match = ["192.0.2.0/25", "192.0.0.0/16"]
"#;

#[test]
fn headers_and_request_uris_tell_in_their_turn_and_on_their_transport() {
    let with = |order: &str| {
        let text = format!("[global]\nendpoint_identifier_order = [{order}]\n{TEXTS}");
        parse("test", &text, &NoLookup).expect("valid").settings
    };
    let settings = with("\"username\", \"header\", \"request_uri\"");
    let identifier = Identifier::new(&settings);
    let by = |transport: u16, from: &str, extra: &str| {
        let found = identifier.identify(over(transport, "192.0.2.1"), &request(from, extra));
        who(&settings, found)
    };
    let stranger = "sip:x@a.example";
    assert_eq!(by(0, stranger, "X-Trunk: blue\r\n"), "blue: header");
    assert_eq!(by(0, stranger, "X-TRUNK:   reeed\r\n"), "red: header");
    assert_eq!(
        by(0, stranger, "X-Trunk: no\r\nX-Trunk: blue\r\n"),
        "blue: header"
    );
    assert_eq!(
        by(0, "sip:named@a.example", "X-Trunk: blue\r\n"),
        "named: username"
    );
    assert_eq!(by(0, stranger, "X-Trunk: reds\r\n"), "red: request_uri");
    let other_first = with("\"request_uri\", \"header\"");
    let identifier = Identifier::new(&other_first);
    let found = identifier.identify(
        over(1, "192.0.2.1"),
        &request(stranger, "X-Trunk: blue\r\n"),
    );
    assert_eq!(who(&other_first, found), "red: request_uri");
    // A REGISTER is told by its user first whatever the order says.
    let named = request("sip:named@a.example", "X-Trunk: blue\r\n");
    let all = with("\"header\", \"anonymous\", \"username\"");
    let identifier = Identifier::new(&all);
    let found = identifier.identify_registrant(came("192.0.2.1"), &named);
    assert_eq!(who(&all, found), "named: username");
    let found =
        identifier.identify_registrant(came("192.0.2.1"), &request(stranger, "X-Trunk: blue\r\n"));
    assert_eq!(who(&all, found), "blue: header");
}

#[test]
fn rules_of_a_transport_count_on_that_one_only() {
    let text = TEXTS.replace("sip:1@127.0.0.1", "sip:other@127.0.0.1");
    let settings = parse("test", &text, &NoLookup).expect("valid").settings;
    let identifier = Identifier::new(&settings);
    let by = |transport: u16, source: &str| {
        let found = identifier.identify(over(transport, source), &request("sip:x@a.example", ""));
        who(&settings, found)
    };
    // Of the endpoint.
    assert_eq!(by(1, "192.0.2.200"), "secured: ip 192.0.2.0/24");
    assert_eq!(by(0, "192.0.2.200"), "rest: ip 192.0.0.0/16");
    // The longer prefix goes before the transport.
    assert_eq!(by(1, "192.0.2.1"), "rest: ip 192.0.2.0/25");
    // Of the rule.
    assert_eq!(by(1, "203.0.113.1"), "rest: request_uri");
    assert_eq!(by(0, "203.0.113.1"), "-");
    let at = |address, transport| identifier.by_address(ip(address), TransportId(transport));
    assert!(at("192.0.2.200", 7).is_some(), "the rule for all");
    assert!(identifier.has_address(ip("192.0.2.200")) && !identifier.has_address(ip("192.1.0.1")));
}

#[test]
fn neighbours_are_those_next_to_configured_and_resolved_addresses() {
    let settings = settings("\"ip\"");
    let mut identifier = Identifier::new(&settings);
    let section = |identifier: &Identifier, source: &str| {
        let place = identifier.neighbour(ip(source))?;
        Some(settings.identifies[place].name.clone())
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(section(&identifier, "203.0.113.200"), named("carrier"));
    assert_eq!(
        section(&identifier, "::ffff:203.0.113.200"),
        named("carrier")
    );
    assert_eq!(section(&identifier, "192.0.2.200"), None);
    let (now, hour) = (Instant::now(), Duration::from_secs(3600));
    identifier.set_host_addresses(now, "branch.example", &[ip("192.0.2.10")], hour);
    assert_eq!(section(&identifier, "192.0.2.200"), named("branch"));
    identifier.set_host_addresses(now, "branch.example", &[ip("192.0.3.10")], hour);
    assert_eq!(section(&identifier, "192.0.2.200"), None);
}
