//! A gateway that reads its configuration again and again under load, and drops nothing.

use crate::baresip::{Phone, Way, tone_share};
use crate::gateway::{Gateway, Network, Options};
use crate::kamailio::Kamailio;
use crate::media::{self, Peer};
use crate::scenario::{AUDIO, Role, Scenario, Sipp};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Calls of the load, twenty a second.
const CALLS: u32 = 320;

/// Packets that the caller of each sends within a second; the call lasts longer than that by far.
const PACKETS: u16 = 50;

/// New calls between one reload and the next: two seconds of the load.
const CALLS_BETWEEN: u64 = 40;

/// What no reload changes: two telephones that refresh their registrations all the time, and one of ours.
const STAYS: &str = r#"
[template.phone]
context = "house"
allow = ["ulaw"]

[endpoint.6001]
use = "phone"
auth = { username = "6001", password = "one" }
aor = { max_contacts = 1, minimum_expiration = 2 }

[endpoint.6002]
use = "phone"
auth = { username = "6002", password = "two" }
aor = { max_contacts = 1, minimum_expiration = 2 }

[context.house.exten]
"_6XXX" = ["Dial(PJSIP/${EXTEN},20)", "Hangup()"]
"600" = ["Answer()", "Echo()"]

[auth.provider]
username = "030123456"
password = "a:b@c"

[registration.provider]
server_uri = "sip:HOST4"
client_uri = "sip:+49301@tel.example.com"
outbound_auth = "provider"
expiration = 4
endpoint = "provider"

[endpoint.provider]
context = "house"
"#;

/// A telephone and a trunk that are taken away while they have calls.
const LEAVES: &str = r#"
[endpoint.6003]
use = "phone"
auth = { username = "6003", password = "three" }
aor = { max_contacts = 1 }

[endpoint.leaving]
context = "house"
allow = ["ulaw"]

[identify.leaving]
endpoint = "leaving"
match = ["HOST8"]
"#;

/// A trunk that is new.
const COMES: &str = r#"
[endpoint.coming]
context = "house"
allow = ["ulaw"]

[identify.coming]
endpoint = "coming"
match = ["HOST7"]
"#;

fn options(sections: &[&str]) -> Options {
    Options {
        sections: sections.concat().into(),
        ..Options::default()
    }
}

/// The configurations in the order in which they are read, each with a word of what `ringway reload` says of it.
fn configurations() -> [(Options, &'static str); 4] {
    let other_dialplan = Options {
        steps: r#""Set(CALLERID(num)=2222)", "Dial(PJSIP/${EXTEN}@called,30)", "Hangup()""#,
        ..options(&[STAYS, LEAVES])
    };
    let other_endpoint = Options {
        called: "from_domain = \"changed.example\"",
        ..other_dialplan.clone()
    };
    let one_more = Options {
        sections: [STAYS, LEAVES, COMES].concat().into(),
        ..other_endpoint.clone()
    };
    let two_less = Options {
        sections: [STAYS, COMES].concat().into(),
        ..other_endpoint.clone()
    };
    [
        (other_dialplan, "context.from-caller"),
        (other_endpoint, "endpoint.called"),
        (one_more, "endpoint.coming"),
        (two_less, "endpoint.leaving"),
    ]
}

/// A call that is up.
fn calls() -> Scenario {
    Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .perhaps(180)
        .expect_audio(200)
        .request("ACK", None)
}

/// The load between the trunks, and who hears its audio.
struct Load {
    caller: Sipp,
    called: Sipp,
    ear: std::thread::JoinHandle<(u64, Peer)>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    fn start(gateway: &Gateway) -> Load {
        let packets: Vec<Vec<u8>> = (0..PACKETS)
            .map(|number| media::packet(0xfeed, number))
            .collect();
        media::write_capture(&gateway.folder.path().join("speech.pcap"), &packets);
        let called = Role::called(gateway).calls(CALLS);
        let ear = Peer::bind(called.rtp);
        let is_over = Arc::new(AtomicBool::new(false));
        let told = is_over.clone();
        let ear = std::thread::spawn(move || (ear.echo(&told), ear));
        let answers = Scenario::new()
            .expect_offer()
            .respond("180 Ringing", None)
            .respond("200 OK", Some(AUDIO))
            .expect_request("ACK")
            .expect_request("BYE")
            .respond_in_dialog("200 OK", None);
        let called = called.start(gateway, &answers);
        let mut caller = Role::caller(gateway).calls(CALLS).with(&["-r", "20"]);
        // SIPp sends a capture from its own media port.
        caller.rtp.set_port(7000);
        let speaks = "<nop><action><exec play_pcap_audio=\"speech.pcap\"/></action></nop>\n";
        let calls = calls().raw(speaks).pause_ms(2500);
        let calls = calls.request("BYE", None).expect(200);
        let caller = caller.start(gateway, &calls);
        Load {
            caller,
            called,
            ear,
            is_over,
        }
    }

    /// Waits for the last call; every call has been answered and ended well. Gives the INVITEs that went out.
    fn finish(self, gateway: &Gateway) -> Vec<String> {
        self.caller.finish();
        let messages = self.called.finish().into_iter();
        self.is_over.store(true, Ordering::Release);
        let (heard, ear) = self.ear.join().expect("it hears to the end");
        assert_eq!(ear.overflowed(), 0, "this test was too slow to hear");
        gateway.eventually("every call of the load has ended", |gateway| {
            reports(gateway).len() == CALLS as usize
        });
        let mut all = 0;
        for (caller, callee) in reports(gateway) {
            assert_eq!((caller.came, caller.went), (callee.went, callee.came));
            assert_eq!(caller.came, callee.came, "what is heard is sent back");
            all += caller.came;
        }
        assert_eq!(all, heard, "what came in was heard");
        let sent = u64::from(CALLS) * u64::from(PACKETS);
        assert!(heard > sent * 9 / 10, "only {heard} of {sent} were sent");
        messages
            .filter(|message| message.starts_with("INVITE "))
            .collect()
    }
}

/// RTP packets of one leg.
#[derive(Debug)]
struct Leg {
    came: u64,
    went: u64,
}

/// Both legs of each call of the load that has ended, as the log tells them.
fn reports(gateway: &Gateway) -> Vec<(Leg, Leg)> {
    let number = |text: &str, before: &str| {
        let rest = text.split_once(before).expect("it is told").1;
        let digits = rest.split([' ', '"']).next();
        digits.and_then(|digits| digits.parse().ok())
    };
    let leg = |line: &str, name: &str| {
        let told = line.split_once(name).expect("it is told").1;
        Leg {
            came: number(told, "in ").expect("a number"),
            went: number(told, " out ").expect("a number"),
        }
    };
    let log = gateway.log();
    let ended = log
        .lines()
        .filter(|line| line.contains(": call ended ") && line.contains(" from=\"caller\" "));
    ended
        .map(|line| (leg(line, "caller_media=\""), leg(line, "callee_media=\"")))
        .collect()
}

fn answered(gateway: &Gateway) -> u64 {
    let calls = "ringway_calls_total{direction=\"out\",endpoint=\"called\",result=\"answered\"}";
    gateway.metric(calls) as u64
}

/// Waits until the load has had two seconds more; then it runs still.
fn let_calls_pass(gateway: &Gateway) {
    let until = answered(gateway) + CALLS_BETWEEN;
    gateway.eventually("the load goes on", |gateway| answered(gateway) >= until);
    let active = gateway.rows("status")["calls_active"].as_u64();
    assert!(active > Some(20), "{active:?} calls at once are no load");
}

/// The status that a call to 600 gets from a host of the network.
fn call_from(gateway: &Gateway, name: &'static str, host: u8, status: u16) {
    let calls = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .expect(status);
    let calls = match status {
        200 => calls.request("ACK", None).request("BYE", None).expect(200),
        _ => calls.ack_failure(),
    };
    let caller = Role {
        number: "600",
        ..Role::at(name, gateway.network.host(host), true)
    };
    caller.start(gateway, &calls).finish();
}

/// The telephone, registered for so short that it refreshes all the time.
fn phone(gateway: &Gateway, host: u8, user: &str, password: &str, tone_hz: u32) -> Phone {
    let mut phone = Phone::start(&gateway.network, host, Way::Udp, tone_hz);
    phone.add_account(user, password, "regint=3");
    phone.expect("REGISTER_OK");
    phone
}

/// Name, and what it is known by, of every endpoint.
fn endpoints(gateway: &Gateway) -> Vec<(String, String)> {
    let rows = gateway.rows("endpoints");
    let rows = rows.as_array().expect("rows").iter();
    rows.map(|row| (row["name"].to_string(), row["identified_by"].to_string()))
        .collect()
}

/// A configuration with an error is refused as a whole, and a good one is taken after it.
fn refuses_what_is_wrong(gateway: &Gateway, current: &Options) {
    let good = "ringway_config_last_reload_success";
    let before = endpoints(gateway);
    let wrong = Options {
        sections: STAYS.into(),
        called: "contxt = \"nowhere\"",
        ..current.clone()
    };
    let output = gateway.reload(&wrong);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("endpoint.called.contxt"), "{said}");
    assert_eq!(gateway.metric(good), 0.0);
    assert_eq!(endpoints(gateway), before);
    let output = gateway.reload(current);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "nothing changed");
    assert_eq!(gateway.metric(good), 1.0);
}

#[test]
fn reloads_under_load_drop_nothing() {
    let network = Network::new();
    let provider = Kamailio::start(network.host(4), network.host(6));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let gateway = Gateway::start_at(network, folder, &options(&[STAYS, LEAVES]));
    let mut first = phone(&gateway, 11, "6001", "one", 440);
    let mut second = phone(&gateway, 12, "6002", "two", 700);
    let mut leaving = phone(&gateway, 13, "6003", "three", 1100);
    first.command("dial", "6002");
    second.answer();
    first.expect("CALL_ESTABLISHED");
    leaving.command("dial", "600");
    leaving.expect("CALL_ESTABLISHED");
    gateway.eventually("registered", |gateway| {
        gateway.rows("registrations")[0]["state"] == "registered"
    });

    let load = Load::start(&gateway);
    call_from(&gateway, "leaving-before", 8, 200);
    call_from(&gateway, "coming-before", 7, 401);
    for (configuration, word) in configurations() {
        let_calls_pass(&gateway);
        let output = gateway.reload(&configuration);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(word), "{output:?}");
    }
    let_calls_pass(&gateway);
    let [.., (current, _)] = configurations();
    refuses_what_is_wrong(&gateway, &current);
    call_from(&gateway, "leaving-after", 8, 401);
    call_from(&gateway, "coming-after", 7, 200);
    let invites = load.finish(&gateway);
    let (oldest, newest) = (&invites[0], &invites[invites.len() - 1]);
    assert!(oldest.contains("<sip:4930555@") && !oldest.contains("changed.example"));
    assert!(newest.contains("<sip:2222@changed.example>"), "{newest}");

    registrations_stand(&gateway, &provider, [&mut first, &mut second]);
    leaving.hang_up();
    first.hang_up();
    second.expect("CALL_CLOSED");
    for (phone, tone_hz) in [(&first, 700), (&second, 440), (&leaving, 1100)] {
        let share = tone_share(&phone.heard(), tone_hz);
        assert!(share > 0.5, "{share} of what was heard is {tone_hz} Hz");
    }
    for reason in [
        "wrong_source",
        "no_buffer",
        "socket_overflow",
        "send_failed",
    ] {
        let dropped = format!("ringway_rtp_dropped_total{{worker=\"0\",reason=\"{reason}\"}}");
        assert_eq!(gateway.metric(&dropped), 0.0, "{reason}");
    }
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.stop();
}

/// Ours at the provider and those of the telephones that stay were refreshed, and never lost.
fn registrations_stand(gateway: &Gateway, provider: &Kamailio, phones: [&mut Phone; 2]) {
    for phone in phones {
        for _ in 0..4 {
            phone.expect("REGISTER_OK");
        }
        assert!(!phone.has("REGISTER_FAIL"), "{}", phone.trace());
    }
    let log = gateway.log();
    let gone: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(": contact gone "))
        .collect();
    assert!(
        gone.len() == 1 && gone[0].contains("aor=\"6003\""),
        "{gone:?}"
    );
    assert!(!log.contains("registration lost"), "{log}");
    assert_eq!(gateway.rows("registrations")[0]["state"], "registered");
    assert_eq!(provider.options("+49301"), Some(200));
}
