//! A telephone with G.722 and one with G.711, both baresip: each hears the other's tone through the gateway.

use crate::baresip::{Phone, Way, tone_seconds, tone_share};
use crate::gateway::{Gateway, Options, PATIENCE, POLL};
use std::time::Instant;

const PHONES: &str = r#"
[endpoint.6001]
context = "house"
allow = ["g722"]
auth = { username = "6001", password = "one" }
aor = { max_contacts = 1 }

[endpoint.6002]
context = "house"
allow = ["ulaw"]
auth = { username = "6002", password = "two" }
aor = { max_contacts = 1 }

[context.house.exten]
"_6XXX" = ["Dial(PJSIP/${EXTEN},20)", "Hangup()"]
"#;

const WIDE_HZ: u32 = 440;
const NARROW_HZ: u32 = 700;
/// Packets of 20 ms that make two seconds.
const PACKETS: u64 = 100;

#[test]
fn a_telephone_with_g722_and_one_with_g711_hear_each_other() {
    let gateway = Gateway::start(&Options {
        sections: PHONES.into(),
        ..Options::default()
    });
    let mut wide = Phone::start_wide(&gateway.network, 11, WIDE_HZ);
    let mut narrow = Phone::start(&gateway.network, 12, Way::Udp, NARROW_HZ);
    wide.register("6001", "one");
    narrow.register("6002", "two");
    wide.command("dial", "6002");
    narrow.answer();
    wide.expect("CALL_ESTABLISHED");
    let start = Instant::now();
    for phone in [&mut wide, &mut narrow] {
        while phone.packets_sent() < PACKETS {
            assert!(start.elapsed() < PATIENCE, "silence\n{}", phone.trace());
            std::thread::park_timeout(POLL);
        }
    }
    wide.hang_up();
    narrow.expect("CALL_CLOSED");
    // The wide one's samples are twice as dense, so a tone looks half as high in them, and lasts twice as long.
    for (phone, density, other_hz, own_hz) in [
        (&wide, 2, NARROW_HZ / 2, WIDE_HZ / 2),
        (&narrow, 1, WIDE_HZ, NARROW_HZ),
    ] {
        let samples = phone.heard();
        let (other, own) = (tone_share(&samples, other_hz), tone_share(&samples, own_hz));
        assert!(
            other > 0.8 && own < 0.05,
            "{other:.2} of the other, {own:.2} of its own"
        );
        // Two were sent; half of them may go by before a slow machine's phone has its audio up.
        let seconds = tone_seconds(&samples, other_hz) / f64::from(density);
        assert!(seconds > 1.0, "{seconds:.2} s of the other");
    }
    wide.quit();
    narrow.quit();
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.stop();
}
