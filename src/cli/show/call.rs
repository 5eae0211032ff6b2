//! `ringway show call ID`: the call, then each leg.

use super::{NONE, duration};
use crate::link::query::{CallDetail, LegMediaRow, LegRow};

/// The whole text.
pub fn text(detail: CallDetail) -> String {
    let call = &detail.call;
    let mut lines = vec![
        ("call", call.id.clone()),
        ("state", format!("{}: {}", call.state, detail.doing)),
        ("from", format!("{} ({})", call.caller, call.from_endpoint)),
        (
            "to",
            format!("{} ({})", call.called, or_none(call.to_endpoint.clone())),
        ),
        ("context", call.context.clone()),
        ("age", duration(call.age_s)),
        ("up", or_none(call.up_s.map(duration))),
    ];
    lines.extend(detail.room.map(|room| ("room", room)));
    for leg in &detail.legs {
        lines.push(("", String::new()));
        lines.extend(leg_lines(leg));
    }
    lines.push(("", String::new()));
    lines.extend(detail.steps.into_iter().map(|step| ("step", step)));
    let lines = lines.into_iter();
    lines
        .map(|(name, value)| format!("{name:<11}{value}").trim_end().to_owned() + "\n")
        .collect()
}

fn leg_lines(leg: &LegRow) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("leg", format!("{} {}", leg.side, leg.endpoint)),
        ("sip", format!("{}, {}", leg.sip, meaning(&leg.state))),
    ];
    match &leg.media {
        Some(media) => lines.extend(media_lines(media)),
        None => lines.push(("audio", String::from("no port"))),
    }
    lines
}

/// A state that is no good to stay in says what is waited for.
fn meaning(state: &str) -> &str {
    match state {
        "asked" => "asked: it has no final answer of ours",
        "unacked" => "unacked: the ACK of our 200 has not come",
        "calling" => "calling: it has not answered our INVITE",
        "cancelled" => "cancelled: our CANCEL has no answer",
        "leaving" => "leaving: our BYE has no answer",
        other => other,
    }
}

fn media_lines(media: &LegMediaRow) -> Vec<(&'static str, String)> {
    let counts = &media.counts;
    let sealed = if media.encrypted { "SRTP" } else { "RTP" };
    let from = match &counts.source {
        Some(source) => source.clone(),
        None => String::from("nothing has come yet"),
    };
    let mut lines = vec![
        (
            "port",
            format!("{} {sealed}, {}", media.port, media.direction),
        ),
        ("sdp", or_none(media.sdp.clone())),
        ("source", from),
        ("formats", media.formats.join(", ")),
        (
            "in",
            format!(
                "{} packets, {} lost, jitter {:.1} ms, MOS {}",
                counts.packets_in,
                counts.lost_in,
                counts.jitter_ms,
                or_none(counts.mos.map(|mos| format!("{mos:.1}"))),
            ),
        ),
        (
            "out",
            format!(
                "{} packets, {} lost, round trip {}",
                counts.packets_out,
                or_none(counts.lost_out.map(|lost| lost.to_string())),
                or_none(counts.round_trip_ms.map(|ms| format!("{ms} ms"))),
            ),
        ),
    ];
    let dropped = [
        (media.strangers, "from strangers"),
        (media.unauthentic, "that SRTP does not open"),
        (media.not_agreed, "of a payload type that was not agreed"),
    ];
    let dropped = dropped.into_iter().filter(|(count, _)| *count > 0);
    lines.extend(dropped.map(|(count, what)| ("dropped", format!("{count} {what}"))));
    lines.extend(
        media
            .recordings
            .iter()
            .map(|file| ("recording", file.clone())),
    );
    lines
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| NONE.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::query::{CallRow, MediaRow};

    #[test]
    fn a_call_and_its_legs_are_told_line_by_line() {
        let call = CallRow {
            id: "c1".into(),
            state: "up".into(),
            from_endpoint: "trunk".into(),
            to_endpoint: Some("6001".into()),
            caller: "100".into(),
            called: "200".into(),
            context: "in".into(),
            age_s: 65,
            up_s: Some(60),
            rtp_ports: vec![20000],
            rtp_sources: Vec::new(),
            media: Vec::new(),
        };
        let media = LegMediaRow {
            port: 20000,
            sdp: Some("192.0.2.1:4000".into()),
            direction: "sendrecv".into(),
            encrypted: true,
            formats: vec!["0 ulaw".into(), "101 telephone-event".into()],
            recordings: vec!["/spool/a.wav".into()],
            strangers: 0,
            unauthentic: 9,
            not_agreed: 0,
            counts: MediaRow::default(),
        };
        let leg = |side: &str, media| LegRow {
            endpoint: "trunk".into(),
            side: side.into(),
            state: "up".into(),
            sip: "192.0.2.1:5060".into(),
            media,
        };
        let detail = CallDetail {
            call,
            doing: "the two sides talk".into(),
            room: Some("kitchen".into()),
            steps: vec!["in,200,1 Dial(PJSIP/6001)".into()],
            legs: vec![
                leg("caller", Some(media)),
                LegRow {
                    state: "leaving".into(),
                    ..leg("callee", None)
                },
            ],
        };
        let text = text(detail);
        for line in [
            "call       c1",
            "state      up: the two sides talk",
            "from       100 (trunk)",
            "to         200 (6001)",
            "age        1:05",
            "room       kitchen",
            "leg        caller trunk",
            "sip        192.0.2.1:5060, up",
            "sip        192.0.2.1:5060, leaving: our BYE has no answer",
            "port       20000 SRTP, sendrecv",
            "source     nothing has come yet",
            "formats    0 ulaw, 101 telephone-event",
            "dropped    9 that SRTP does not open",
            "recording  /spool/a.wav",
            "audio      no port",
            "step       in,200,1 Dial(PJSIP/6001)",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}:\n{text}");
        }
        assert!(!text.contains("strangers"), "{text}");
    }
}
