use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const ALL: &[Protocol] = &[Protocol::Udp, Protocol::Tcp, Protocol::Tls];

/// A name server's table. A name that is not in it does not exist.
#[derive(Default)]
struct Zone(HashMap<Question, Records>);

impl Zone {
    fn naptr(mut self, name: &str, records: &[(u16, u16, &str, &str)]) -> Zone {
        let records = records
            .iter()
            .map(|(order, preference, services, replacement)| Naptr {
                order: *order,
                preference: *preference,
                flags: String::from("s"),
                services: (*services).to_owned(),
                regexp: String::new(),
                replacement: (*replacement).to_owned(),
            });
        let records = Records::Naptr(records.collect());
        self.0.insert(Question::Naptr(name.to_owned()), records);
        self
    }

    fn srv(mut self, name: &str, records: &[(u16, u16, u16, &str)]) -> Zone {
        let records = records.iter().map(|(priority, weight, port, target)| Srv {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: (*target).to_owned(),
        });
        let records = Records::Srv(records.collect());
        self.0.insert(Question::Srv(name.to_owned()), records);
        self
    }

    fn host(mut self, name: &str, addresses: &[&str]) -> Zone {
        let addresses = addresses.iter().map(|text| text.parse().expect("one"));
        let records = Records::Addresses(addresses.collect());
        self.0.insert(Question::Address(name.to_owned()), records);
        self
    }

    /// Resolves, asking this zone until nothing is missing. Gives `protocol address` for each target, and the questions.
    fn resolve(&self, wanted: &Wanted<'_>) -> (Vec<String>, Vec<Question>) {
        let mut known: HashMap<Question, Records> = HashMap::new();
        let mut asked = Vec::new();
        loop {
            let resolved = resolve(wanted, &|question| known.get(question), &mut |n| n - 1);
            match resolved {
                Resolved::Targets(targets) => {
                    let text = |one: &Target| format!("{} {}", one.protocol.name(), one.address);
                    return (targets.iter().map(text).collect(), asked);
                }
                Resolved::Missing(questions) => {
                    assert!(!questions.is_empty());
                    for question in questions {
                        assert!(!asked.contains(&question), "{question:?} is asked twice");
                        let records = self.0.get(&question).cloned();
                        let records = records.unwrap_or_else(|| Records::none(&question));
                        known.insert(question.clone(), records);
                        asked.push(question);
                    }
                }
            }
        }
    }

    fn targets(&self, host: &str, port: Option<u16>, protocol: Option<Protocol>) -> Vec<String> {
        let host = Host::Name(host.to_owned());
        self.resolve(&Wanted {
            host: &host,
            port,
            protocol,
            available: ALL,
        })
        .0
    }
}

fn example() -> Zone {
    Zone::default()
        .naptr(
            "example.com",
            &[
                (50, 50, "SIP+D2U", "_sip._udp.example.com."),
                (20, 50, "SIPS+D2T", "_sips._tcp.Example.com"),
                (20, 10, "SIP+D2T", "_sip._tcp.example.com"),
                (10, 10, "E2U+sip", "nobody.example.com"),
            ],
        )
        .srv("_sips._tcp.example.com", &[(0, 0, 5081, "a.example.com")])
        .srv("_sip._tcp.example.com", &[(0, 0, 5070, "b.example.com")])
        .srv(
            "_sip._udp.example.com",
            &[
                (2, 0, 5060, "b.example.com"),
                (1, 0, 5062, "A.example.com."),
            ],
        )
        .host("a.example.com", &["192.0.2.1", "2001:db8::1"])
        .host("b.example.com", &["192.0.2.2"])
        .host("example.com", &["192.0.2.9"])
}

#[test]
fn naptr_tells_the_protocol_and_srv_the_host() {
    let expected = [
        "tcp 192.0.2.2:5070",
        "tls 192.0.2.1:5081",
        "tls [2001:db8::1]:5081",
        "udp 192.0.2.1:5062",
        "udp [2001:db8::1]:5062",
        "udp 192.0.2.2:5060",
    ];
    assert_eq!(example().targets("EXAMPLE.com.", None, None), expected);
}

#[test]
fn only_protocols_that_we_have_are_chosen() {
    let host = Host::Name(String::from("example.com"));
    let mut wanted = Wanted {
        host: &host,
        port: None,
        protocol: None,
        available: &[Protocol::Udp],
    };
    let (targets, asked) = example().resolve(&wanted);
    assert_eq!(
        targets,
        [
            "udp 192.0.2.1:5062",
            "udp [2001:db8::1]:5062",
            "udp 192.0.2.2:5060"
        ]
    );
    assert!(!asked.contains(&Question::Srv(String::from("_sip._tcp.example.com"))));
    wanted.protocol = Some(Protocol::Tls);
    assert!(example().resolve(&wanted).0.is_empty());
}

#[test]
fn a_protocol_or_a_port_in_the_uri_shortens_the_way() {
    let zone = example();
    let tls = Some(Protocol::Tls);
    assert_eq!(
        zone.targets("example.com", None, tls),
        ["tls 192.0.2.1:5081", "tls [2001:db8::1]:5081"]
    );
    // RFC 3263 §4.2: a port that is given, with no SRV.
    let host = Host::Name(String::from("example.com"));
    let (targets, asked) = zone.resolve(&Wanted {
        host: &host,
        port: Some(5080),
        protocol: None,
        available: ALL,
    });
    assert_eq!(targets, ["udp 192.0.2.9:5080"]);
    assert_eq!(asked, [Question::address("example.com")]);
    let (targets, asked) = zone.resolve(&Wanted {
        host: &Host::V4([192, 0, 2, 7].into()),
        port: None,
        protocol: tls,
        available: ALL,
    });
    assert_eq!(
        (&targets[..], asked.len()),
        (&["tls 192.0.2.7:5061".to_owned()][..], 0)
    );
}

#[test]
fn without_naptr_the_srv_records_of_each_protocol_count_and_without_any_the_address() {
    let zone = Zone::default()
        .srv("_sip._tcp.example.net", &[(0, 0, 5070, "a.example.net")])
        .host("a.example.net", &["192.0.2.1"])
        .host("example.net", &["192.0.2.9"])
        .host("plain.example.net", &["192.0.2.3"]);
    assert_eq!(
        zone.targets("example.net", None, None),
        ["tcp 192.0.2.1:5070"]
    );
    assert_eq!(
        zone.targets("plain.example.net", None, None),
        ["udp 192.0.2.3:5060"]
    );
    assert_eq!(
        zone.targets("plain.example.net", None, Some(Protocol::Tls)),
        ["tls 192.0.2.3:5061"]
    );
    assert!(zone.targets("nobody.example.net", None, None).is_empty());
}

#[test]
fn a_service_that_is_decidedly_not_there_has_no_target() {
    let zone = Zone::default()
        .srv("_sip._udp.example.org", &[(0, 0, 0, ".")])
        .host("example.org", &["192.0.2.9"]);
    assert!(
        zone.targets("example.org", None, Some(Protocol::Udp))
            .is_empty()
    );
}

#[test]
fn weights_share_out_one_priority() {
    let record = |priority, weight| Srv {
        priority,
        weight,
        port: 5060,
        target: String::from("a"),
    };
    let records = [record(1, 0), record(0, 30), record(0, 70), record(0, 0)];
    let mut rng = fastrand::Rng::with_seed(1);
    let mut first = HashMap::new();
    for _ in 0..10_000 {
        let ordered = by_weight(records.iter().collect(), &mut |n| rng.u32(0..n));
        assert_eq!((ordered.len(), ordered[3].priority), (4, 1));
        *first.entry(ordered[0].weight).or_insert(0) += 1;
    }
    assert!((6500..7500).contains(&first[&70]), "{first:?}");
    assert!((2500..3500).contains(&first[&30]), "{first:?}");
    assert!(first[&0] < 300, "{first:?}");
}

#[test]
fn records_in_a_ring_or_without_end_are_bounded() {
    let many: Vec<(u16, u16, u16, String)> = (0..500)
        .map(|n| (n, 0, 5060, format!("h{n}.example.com")))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(p, w, o, t)| (*p, *w, *o, t.as_str()))
        .collect();
    let zone = Zone::default()
        .naptr("example.com", &[(0, 0, "SIP+D2U", "example.com")])
        .srv("example.com", &many);
    assert!(zone.targets("example.com", None, None).is_empty());
    let addresses: Vec<String> = (0..250).map(|n| format!("192.0.2.{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let zone = zone.host("h0.example.com", &addresses);
    assert_eq!(zone.targets("example.com", None, None).len(), TARGETS_MAX);
}

proptest! {
    #[test]
    fn whatever_the_dns_says_it_ends_with_few_targets(
        orders in proptest::collection::vec((0u16..3, 0u16..3, 0usize..5), 0..20),
        records in proptest::collection::vec((0u16..3, 0u16..3, any::<u16>(), 0usize..5), 0..40),
    ) {
        let names = ["example.com", "", ".", "_sip._udp.example.com", "a..b"];
        let naptr: Vec<_> = orders.iter().map(|(o, p, n)| (*o, *p, "SIP+D2U", names[*n])).collect();
        let srv: Vec<_> = records.iter().map(|(p, w, o, n)| (*p, *w, *o, names[*n])).collect();
        let zone = Zone::default()
            .naptr("example.com", &naptr)
            .srv("_sip._udp.example.com", &srv)
            .srv("example.com", &srv)
            .host("example.com", &["192.0.2.1"]);
        prop_assert!(zone.targets("example.com", None, None).len() <= TARGETS_MAX);
    }
}
