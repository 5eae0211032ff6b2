//! What stands before every SIP message: the ACLs and the endpoint of the source address, with 10, 1,000 and 100,000
//! networks. The figures must not grow noticeably with their number. Each turn asks for another address of a random
//! list, half of them strangers.
//!
//! `cargo bench --bench identify`

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ringway::config::settings::{Acl, Settings};
use ringway::config::{NoLookup, parse};
use ringway::control::admission::identify::Identifier;
use ringway::control::gate::acl::AccessControl;
use ringway::sip::TransportId;
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

const SIZES: [u32; 3] = [10, 1_000, 100_000];
const ASKED: u32 = 1_024;

/// The network of that place: every fourth is an address, the others /24 to /28, all apart.
fn network(place: u32) -> (Ipv4Addr, u8) {
    let address = Ipv4Addr::from(0x0b00_0000 + place * 256);
    let length = match place % 4 {
        0 => 32,
        1 => 24,
        2 => 26,
        _ => 28,
    };
    (address, length)
}

/// Addresses to ask for: the even ones lie in a network, the odd ones in none.
fn sources(size: u32) -> Vec<IpAddr> {
    let mut random = fastrand::Rng::with_seed(7);
    let sources = (0..ASKED).map(|turn| {
        let known = network(random.u32(0..size)).0;
        let stranger = Ipv4Addr::from(0xc000_0000 | random.u32(0..0x1000_0000));
        IpAddr::from(if turn % 2 == 0 { known } else { stranger })
    });
    sources.collect()
}

fn settings(size: u32) -> Settings {
    let mut text = String::from(
        "[transport.udp]\nbind = \"127.0.0.1\"\n[context.default.exten]\n1 = [\"Hangup()\"]\n[endpoint.trunk]\n\
         [identify.trunk]\nendpoint = \"trunk\"\nmatch = [",
    );
    for place in 0..size {
        let (address, length) = network(place);
        let _ = write!(text, "\"{address}/{length}\",");
    }
    text.push_str("]\n");
    match parse("bench", &text, &NoLookup) {
        Ok(loaded) => loaded.settings,
        Err(error) => panic!("{error}"),
    }
}

fn each_size<Ask: Fn(IpAddr) -> bool>(
    criterion: &mut Criterion,
    name: &str,
    make: impl Fn(&Settings) -> Ask,
) {
    let mut group = criterion.benchmark_group(name);
    for size in SIZES {
        let (ask, sources) = (make(&settings(size)), sources(size));
        let known = sources.iter().filter(|source| ask(**source)).count();
        assert_eq!(
            known,
            sources.len() / 2,
            "those of the networks, nobody else"
        );
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let mut turn = 0;
            bencher.iter(|| {
                turn = (turn + 1) % sources.len();
                ask(black_box(sources[turn]))
            });
        });
    }
    group.finish();
}

fn acl(criterion: &mut Criterion) {
    each_size(criterion, "acl permits", |settings| {
        let acl = Acl {
            deny: vec!["0.0.0.0/0".parse().expect("a network")],
            permit: settings.identifies[0].networks.clone(),
        };
        let control = AccessControl::new(&[(String::from("sip"), acl)].into());
        move |source| control.permits(source)
    });
}

fn identify(criterion: &mut Criterion) {
    each_size(criterion, "identify by address", |settings| {
        let identifier = Identifier::new(settings);
        move |source| identifier.by_address(source, TransportId(0)).is_some()
    });
}

criterion_group!(benches, acl, identify);
criterion_main!(benches);
