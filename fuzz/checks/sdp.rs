//! Any bytes as an SDP body. What is read can be answered, and offered again in its shape; both read back, with as many
//! media lines as the peer's and our address and port only.

use ringway::codec::Codec;
use ringway::sdp::{Description, Direction, LocalMedia, OurKeys, OurOffer, answer, common_formats};
use std::net::{IpAddr, Ipv4Addr};

const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const PORT: u16 = 20_000;

fn local() -> LocalMedia {
    LocalMedia {
        session_id: 1,
        version: 1,
        address: OURS,
        port: PORT,
        keys: OurKeys::default(),
    }
}

fn check(ours: &str, theirs: &Description) {
    let read = Description::parse(ours.as_bytes()).expect("our own words are read");
    assert_eq!(read.media.len(), theirs.media.len());
    let audio = read.audio().expect("it has our audio");
    assert_eq!(audio.rtp.ip(), OURS);
    assert_eq!(audio.rtp.port(), PORT);
    let their_audio = theirs.audio().expect("it is answered");
    assert_eq!(
        audio.crypto, their_audio.crypto,
        "keys are written as they were read"
    );
}

/// Checks one input.
pub fn sdp(body: &[u8]) {
    let Ok(theirs) = Description::parse(body) else {
        return;
    };
    if let Some(fax) = theirs.fax() {
        let answered = local().answer_fax(&theirs, &fax.attributes);
        let read = Description::parse(answered.as_bytes()).expect("our own words are read");
        assert_eq!(read.media.len(), theirs.media.len());
        let ours = read.fax().expect("it has our fax");
        assert_eq!(ours.address, (OURS, PORT).into());
        assert_eq!(ours.attributes, fax.attributes);
    }
    let Some(audio) = theirs.audio() else {
        return;
    };
    let formats = common_formats(
        &audio.formats,
        &[Codec::Ulaw, Codec::Alaw, Codec::G722],
        true,
    );
    if formats.is_empty() {
        return;
    }
    let local = LocalMedia {
        keys: OurKeys {
            lines: audio.crypto.clone(),
            is_optional: false,
        },
        ..local()
    };
    let ours = |direction| OurOffer {
        formats: &formats,
        direction,
        ptime_ms: Some(20),
        rtcp_mux: true,
    };
    let answered = answer(&local, &theirs, &ours(Direction::SendRecv));
    check(&answered, &theirs);
    let offered = local.offer_like(&theirs, &ours(Direction::SendOnly));
    check(&offered, &theirs);
}
