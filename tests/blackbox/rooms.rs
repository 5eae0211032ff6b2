//! Telephones that are paged, and that meet in a conference: who hears whom, each told by its tone.

use crate::baresip::{Phone, Way, tone_seconds, tone_share};
use crate::gateway::{Gateway, Network};
use crate::phones::{PHONES, TONES, finish, heard_at_last, refers_to, speak};

/// Two workers, so that those who meet come from both.
fn gateway() -> Gateway {
    let network = Network::new();
    let address = network.gateway();
    let phones = PHONES.replace(
        "[context.house.exten]",
        r#"[context.intercom.exten]
"s" = ["Set(PJSIP_HEADER(add,Alert-Info)=<http://intercom>;info=${ARG1})", "Return()"]

[context.house.exten]
"801" = ["Page(PJSIP/6001&PJSIP/6002&PJSIP/6003,qb(intercom^s^1(page)),20)", "Hangup()"]
"802" = ["Page(PJSIP/6002&PJSIP/6003,qd,20)", "Hangup()"]
"810" = ["ConfBridge(team)", "Hangup()"]
"811" = ["Answer()", "MixMonitor(${CALLERID(num)}.wav)", "ConfBridge(team)", "Hangup()"]
"820" = ["Record(message.wav,0,0,qk)"]"#,
    );
    let configuration = format!(
        "[rtp]\nports = \"20000-20999\"\nworkers = 2\n\n[admin]\nlisten = \"{address}:8088\"\n\n\
         [transport.udp]\nprotocol = \"udp\"\nbind = \"{address}:5060\"\n{phones}"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    Gateway::run(network, folder, &configuration)
}

/// The three telephones, registered.
fn three(gateway: &Gateway) -> [Phone; 3] {
    [(0, "6001", "one"), (1, "6002", "two"), (2, "6003", "three")].map(|(at, user, password)| {
        let mut phone = Phone::start(&gateway.network, 11 + at, Way::Udp, TONES[usize::from(at)]);
        phone.register(user, password);
        phone
    })
}

/// Which of the three tones it heard in its last call.
fn heard(phone: &Phone) -> [bool; 3] {
    let samples = phone.heard();
    let shares = TONES.map(|tone_hz| tone_share(&samples, tone_hz));
    assert!(samples.len() > 1000, "{} samples", samples.len());
    shares.map(|share| {
        // Present for a good part of the call, or not at all.
        assert!(!(0.02..0.1).contains(&share), "{shares:.3?}");
        share >= 0.1
    })
}

/// The first one dials that number, and the others answer.
fn page(phones: &mut [Phone; 3], number: &str) {
    let [caller, others @ ..] = phones;
    caller.command("dial", number);
    caller.expect("CALL_ESTABLISHED");
    for phone in &mut *others {
        phone.answer();
    }
    let [first, second] = others;
    speak(&mut [caller, first, second]);
}

#[test]
fn those_who_are_paged_hear_the_caller_and_are_not_heard_and_go_when_it_hangs_up() {
    let gateway = gateway();
    let mut phones = three(&gateway);
    page(&mut phones, "801");
    for phone in &phones[1..] {
        let invite = &phone.receives(1, "INVITE")[0];
        assert!(invite.contains("Alert-Info: <http://intercom>;info=page\n"));
    }
    let rows = gateway.rows("calls");
    assert_eq!(rows.as_array().map(Vec::len), Some(3), "{rows}");
    phones[0].hang_up();
    for phone in &mut phones[1..] {
        phone.expect("CALL_CLOSED");
        assert_eq!(heard(phone), [true, false, false]);
    }
    assert!(phones[0].received("INVITE").is_empty(), "not paged itself");
    // Nobody of those who only hear is decoded, so there is silence.
    let samples = phones[0].heard();
    assert!(TONES.iter().all(|tone| tone_share(&samples, *tone) < 0.02));
    finish(gateway);
}

#[test]
fn in_a_page_of_both_ways_each_hears_all_others_and_the_last_to_leave_ends_it() {
    let gateway = gateway();
    let mut phones = three(&gateway);
    page(&mut phones, "802");
    phones[1].hang_up();
    assert!(!phones[0].has("CALL_CLOSED") && !phones[2].has("CALL_CLOSED"));
    phones[2].hang_up();
    phones[0].expect("CALL_CLOSED");
    assert_eq!(heard(&phones[0]), [false, true, true]);
    assert_eq!(heard(&phones[1]), [true, false, true]);
    assert_eq!(heard(&phones[2]), [true, true, false]);
    finish(gateway);
}

#[test]
fn those_who_meet_in_a_conference_hear_all_but_themselves_whatever_worker_they_come_from() {
    let gateway = gateway();
    let mut phones = three(&gateway);
    for (phone, number) in phones.iter_mut().zip(["810", "811", "811"]) {
        phone.command("dial", number);
        phone.expect("CALL_ESTABLISHED");
    }
    // The others had a port already, of the worker with fewer legs, and are told another one.
    for phone in &phones[1..] {
        let told = &phone.receives(1, "INVITE")[0];
        assert!(told.contains("\nm=audio "), "{told}");
        gateway.eventually("the new port is heard on", |gateway| {
            let rows = gateway.rows("calls");
            let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
            rows.len() == 3 && rows.iter().all(|row| row["rtp_sources"][0].is_string())
        });
    }
    let [first, second, third] = &mut phones;
    speak(&mut [first, second, third]);
    phones[1].hang_up();
    phones[0].hang_up();
    phones[2].hang_up();
    assert_eq!(heard(&phones[0]), [false, true, true]);
    assert_eq!(heard(&phones[1]), [true, false, true]);
    assert_eq!(heard(&phones[2]), [true, true, false]);
    let folder = gateway.folder.path().join("monitor");
    let files = || {
        let files = std::fs::read_dir(&folder).expect("recordings").flatten();
        let mut names: Vec<_> = files
            .map(|file| file.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    gateway.eventually("what was recorded goes on in a second file", |_| {
        files() == ["6002-2.wav", "6002.wav", "6003-2.wav", "6003.wav"]
    });
    finish(gateway);
}

/// The first one talks to the second, and to the third in the conference: in this order, or the conference first. Then it
/// leaves them to each other.
fn transfers_to_the_conference(conference_first: bool) {
    let gateway = gateway();
    let [mut first, mut second, mut third] = three(&gateway);
    third.command("dial", "810");
    third.expect("CALL_ESTABLISHED");
    let numbers = match conference_first {
        true => ["810", "6002"],
        false => ["6002", "810"],
    };
    let calls = numbers.map(|number| {
        first.command("dial", number);
        if number == "6002" {
            second.answer();
        }
        let call = first.expect("CALL_ESTABLISHED");
        if number == numbers[0] {
            first.command("hold", "");
            let held = |row: &serde_json::Value| row["state"] == "held";
            gateway.eventually("it is on hold", |gateway| {
                let rows = gateway.rows("calls");
                conference_first || rows.as_array().is_some_and(|rows| rows.iter().any(held))
            });
        }
        call
    });
    first.command("transfer", &refers_to(&gateway, &first, &calls[0]));
    first.expect("CALL_CLOSED");
    first.expect("CALL_CLOSED");
    gateway.eventually("the second is in the conference", |gateway| {
        let rows = gateway.rows("calls");
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        rows.len() == 2 && rows.iter().all(|row| row["rtp_sources"][0].is_string())
    });
    speak(&mut [&mut second, &mut third]);
    third.hang_up();
    second.hang_up();
    heard_at_last(&third, TONES[1], TONES[0]);
    // baresip plays nothing any more once it was on hold.
    if conference_first {
        let heard_s = tone_seconds(&second.heard(), TONES[2]);
        assert!(heard_s > 0.1, "{heard_s} s of the conference");
    }
    finish(gateway);
}

#[test]
fn who_is_on_hold_and_transferred_to_a_conference_is_heard_there() {
    transfers_to_the_conference(false);
}

#[test]
fn who_is_transferred_to_a_conference_that_is_on_hold_hears_it_and_is_heard() {
    transfers_to_the_conference(true);
}

#[test]
fn a_message_has_the_voices_of_the_transferer_and_then_of_whom_it_has_transferred() {
    let gateway = gateway();
    let [mut first, mut second, _] = three(&gateway);
    first.command("dial", "6002");
    second.answer();
    let with_second = first.expect("CALL_ESTABLISHED");
    first.command("dial", "820");
    first.expect("CALL_ESTABLISHED");
    speak(&mut [&mut first]);
    first.command("transfer", &refers_to(&gateway, &first, &with_second));
    first.expect("CALL_CLOSED");
    first.expect("CALL_CLOSED");
    gateway.eventually("the second speaks", |gateway| {
        let rows = gateway.rows("calls");
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        rows.len() == 1 && rows[0]["rtp_sources"][0].is_string()
    });
    speak(&mut [&mut second]);
    second.hang_up();
    let file = gateway.folder.path().join("monitor/message.wav");
    gateway.eventually("the message is complete", |_| file.exists());
    let bytes = std::fs::read(&file).expect("it is read");
    let samples: Vec<i16> = bytes[44..]
        .chunks_exact(2)
        .map(|sample| i16::from_le_bytes([sample[0], sample[1]]))
        .collect();
    for tone in [TONES[0], TONES[1]] {
        let heard_s = tone_seconds(&samples, tone);
        assert!(heard_s > 0.1, "{heard_s} s of {tone} Hz");
    }
    finish(gateway);
}
