//! Replays every seed of the fuzz corpora, and what fuzzing once found, on each run of the tests; then damages them
//! a little.

#[path = "../fuzz/checks/controller.rs"]
mod controller;
#[path = "../fuzz/checks/jitter.rs"]
mod jitter;
#[path = "../fuzz/checks/rtcp.rs"]
mod rtcp;
#[path = "../fuzz/checks/rtp.rs"]
mod rtp;
#[path = "../fuzz/checks/sdp.rs"]
mod sdp;
#[path = "../fuzz/checks/sip_message.rs"]
mod sip;
#[path = "../fuzz/checks/srtp.rs"]
mod srtp;
#[path = "../fuzz/checks/telephone_event.rs"]
mod telephone_event;

use proptest::prelude::*;
use std::path::Path;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&folder).expect("the corpus is part of the repository");
    let mut paths: Vec<_> = files
        .map(|file| file.expect("the corpus can be listed").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} has no seeds", folder.display());
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a seed can be read"))
        .collect()
}

fn replay(target: &str, check: fn(&[u8])) {
    for seed in seeds(target) {
        check(&seed);
    }
}

#[test]
fn controller_seeds() {
    replay("controller", controller::controller);
}

#[test]
fn rtp_seeds() {
    replay("rtp", rtp::rtp);
}

#[test]
fn jitter_seeds() {
    replay("jitter", jitter::jitter);
}

#[test]
fn telephone_event_seeds() {
    replay("telephone_event", telephone_event::telephone_event);
}

#[test]
fn rtcp_seeds() {
    replay("rtcp", rtcp::rtcp);
}

#[test]
fn sdp_seeds() {
    replay("sdp", sdp::sdp);
}

#[test]
fn sip_message_seeds() {
    replay("sip_message", sip::sip_message);
}

#[test]
fn srtp_seeds() {
    replay("srtp", srtp::srtp);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_sip_message_seeds(
        seed in prop::sample::select(seeds("sip_message")),
        other in prop::sample::select(seeds("sip_message")),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, "[\\PC\r\n\t \"<>;,:@%\\\\\0]{0,4}"), 0..6),
        splice in prop::option::of(any::<(prop::sample::Index, prop::sample::Index)>()),
    ) {
        let mut message = seed;
        if let Some((head, tail)) = splice {
            message.truncate(head.index(message.len() + 1));
            message.extend_from_slice(&other[tail.index(other.len())..]);
        }
        for (at, length, insert) in cuts {
            let start = at.index(message.len() + 1);
            let end = (start + length).min(message.len());
            message.splice(start..end, insert.bytes());
        }
        sip::sip_message(&message);
    }

    #[test]
    fn damaged_srtp_seeds(
        seed in prop::sample::select(seeds("srtp")),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..40),
    ) {
        let mut steps = seed;
        for (at, byte) in changes {
            let at = at.index(steps.len());
            steps[at] = byte;
        }
        srtp::srtp(&steps);
    }
}
