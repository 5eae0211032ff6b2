//! A reload that does something to transports.

use super::world::*;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

const UDP: &str = "[transport.udp]\nprotocol = \"udp\"\nbind = \"192.0.2.1:5060\"\n";
const TCP: &str = "[transport.tcp]\nprotocol = \"tcp\"\nbind = \"192.0.2.1:5060\"\n";

/// The configuration with these transports, Bob's by the name of `udp`, as is the rule that tells Alice.
fn config(transports: &[&str]) -> String {
    let rest = CONFIG.split_once("[rtp]").expect("it is there").1;
    let rest = rest.replace("aors = [\"bob\"]", "aors = [\"bob\"]\ntransport = \"udp\"");
    let rest = rest.replace(
        "match = [\"198.51.100.0/24\"]",
        "match = [\"198.51.100.0/24\"]\ntransport = \"udp\"",
    );
    format!("{}[rtp]{rest}", transports.concat())
}

/// A call from Alice to Bob, as the wire shows it: over which transport each was taken and made.
fn assert_call_goes(world: &mut World) {
    world.talk("100");
    let invite = world.last_to(BOB, "INVITE");
    assert!(
        invite.contains("Via: SIP/2.0/UDP 192.0.2.1:5060;"),
        "{invite}"
    );
    let families = world.gateway.metrics().registry().gather();
    let text = crate::metrics::Format::Text.encode(&families);
    for direction in ["in", "out"] {
        let line = format!("{{direction=\"{direction}\",method=\"INVITE\",transport=\"udp\"}}");
        assert!(text.contains(&line), "{line} in {text}");
    }
}

fn reload(world: &mut World, transports: &[&str]) -> (Vec<String>, Vec<String>) {
    let setup = World::setup(&config(transports));
    let report = world.gateway.reload(world.now, setup);
    (report.changed, report.needs_restart)
}

const NOTHING: [&str; 0] = [];

#[test]
fn transports_in_another_order_are_the_same_ones() {
    let mut world = World::with_config(&config(&[UDP, TCP]));
    let (changed, needs_restart) = reload(&mut world, &[TCP, UDP]);
    assert_eq!(changed, NOTHING);
    assert_eq!(needs_restart, NOTHING);
    assert_call_goes(&mut world);
    end(world);
}

#[test]
fn transports_that_come_go_or_move_wait_for_a_restart() {
    let new = "[transport.new]\nbind = \"192.0.2.1:5070\"\n";
    let moved = UDP.replace(":5060", ":5062");
    let mut world = World::with_config(&config(&[UDP, TCP]));
    let (changed, needs_restart) = reload(&mut world, &[new, &moved]);
    assert_eq!(changed, NOTHING);
    assert_eq!(
        needs_restart,
        [
            "transport.udp: bind changed",
            "transport.tcp: removed",
            "transport.new: added"
        ]
    );
    // It is said again as long as it is so.
    let (_, needs_restart) = reload(&mut world, &[new, UDP]);
    assert_eq!(
        needs_restart,
        ["transport.tcp: removed", "transport.new: added"]
    );
    assert_call_goes(&mut world);
    end(world);
}

#[test]
fn a_transport_that_begins_to_listen_comes_behind_the_others() {
    let new = "[transport.new]\nbind = \"192.0.2.1:5070\"\n";
    let mut world = World::with_config(&config(&[UDP, TCP]));
    let setup = World::setup(&config(&[new, UDP, TCP]));
    let added = world.gateway.new_transports(&setup);
    assert_eq!(added.len(), 1);
    assert_eq!(world.gateway.next_transport(), crate::sip::TransportId(2));
    world.gateway.listens(added[0].clone());
    let report = world.gateway.reload(world.now, setup);
    assert_eq!((report.changed.len(), report.needs_restart.len()), (0, 0));
    let setup = world.gateway.setup();
    assert_eq!(setup.settings().transports[2].name, "new");
    assert!(world.gateway.new_transports(setup).is_empty());
    assert_call_goes(&mut world);
    end(world);
}

#[test]
fn what_holds_at_once_is_told_by_name() {
    let local = format!("{UDP}external_signaling_address = \"192.0.2.99\"\n");
    let mut world = World::with_config(&config(&[UDP, TCP]));
    let (changed, needs_restart) = reload(&mut world, &[TCP, &local]);
    assert_eq!(changed, ["transport.udp: changed"]);
    assert_eq!(needs_restart, NOTHING);
    world.invite(
        ALICE,
        "100",
        Some(&sdp("198.51.100.10", 4000, 1, "8", "sendrecv")),
    );
    world.run(50 * MS);
    let invite = world.last_to(BOB, "INVITE");
    assert!(
        invite.contains("Via: SIP/2.0/UDP 192.0.2.99:5060;"),
        "{invite}"
    );
}
