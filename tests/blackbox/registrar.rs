//! A phone that registers, between a real one's SIP stack and the binary.

use crate::gateway::{Gateway, Options};
use crate::scenario::{AUDIO, Role, Scenario};
use std::net::SocketAddrV4;

const PHONE: &str = "[endpoint.6001]\ncontext = \"from-called\"\nallow = [\"ulaw\"]\n\
    auth = { username = \"6001\", password = \"s3cret\" }\naor = { max_contacts = 1 }\n";

const OPTIONS: Options = Options {
    global: "",
    caller: "",
    called: "",
    steps: "\"Dial(PJSIP/6001,20)\", \"Hangup()\"",
    rtp: "",
    sections: PHONE,
};

fn register(cseq: u32, more: &str) -> String {
    format!(
        "<send retrans=\"500\"><![CDATA[\nREGISTER sip:[remote_ip] SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\nFrom: <sip:6001@[remote_ip]>;tag=[pid]r\n\
         To: <sip:6001@[remote_ip]>\nCall-ID: [call_id]\nCSeq: {cseq} REGISTER\n\
         Contact: <sip:6001@[local_ip]:5062>\nExpires: 120\nMax-Forwards: 70\nUser-Agent: SIPp phone\n{more}\
         Content-Length: 0\n\n]]></send>\n"
    )
}

/// The caller's call to the phone, answered by it.
fn call(gateway: &Gateway, name: &'static str) {
    let host = gateway.network.host(6);
    let phone = Role {
        address: SocketAddrV4::new(host, 5062),
        ..Role::at(name, host, false)
    };
    let answers = Scenario::new()
        .expect_offer()
        .respond("180 Ringing", None)
        .respond("200 OK", Some(AUDIO))
        .expect_request("ACK")
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let phone = phone.start(gateway, &answers);
    let calls = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .perhaps(180)
        .expect_audio(200)
        .request("ACK", None)
        .pause_ms(200)
        .request("BYE", None)
        .expect(200);
    Role::caller(gateway).start(gateway, &calls).finish();
    let received = phone.finish();
    let first = received.first().expect("an INVITE");
    assert!(
        first.starts_with(&format!("INVITE sip:6001@{host}:5062 SIP/2.0")),
        "{first}"
    );
}

fn contacts(gateway: &Gateway) -> Vec<(String, String, String)> {
    let rows = gateway.rows("contacts");
    let rows = rows.as_array().expect("a list").iter();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or("").to_owned();
    rows.filter(|row| row["aor"] == "6001")
        .map(|row| {
            (
                text(row, "uri"),
                text(row, "source"),
                text(row, "user_agent"),
            )
        })
        .collect()
}

#[test]
fn a_phone_registers_is_called_and_is_known_after_a_restart() {
    let gateway = Gateway::start(&OPTIONS);
    let network = gateway.network;
    let host = network.host(6);
    let registers = Scenario::new()
        .raw(&register(1, ""))
        .raw("<recv response=\"401\" auth=\"true\"/>\n")
        .raw(&register(
            2,
            "[authentication username=6001 password=s3cret]\n",
        ))
        .expect(200);
    Role::at("phone", host, true)
        .start(&gateway, &registers)
        .finish();
    let expected = [(
        format!("sip:6001@{host}:5062"),
        format!("{host}:5060"),
        "SIPp phone".to_owned(),
    )];
    assert_eq!(contacts(&gateway), expected);
    assert_eq!(gateway.metric("ringway_contacts{aor=\"6001\"}"), 1.0);
    call(&gateway, "called-before");
    let folder = gateway.stop_and_keep_folder();

    let gateway = Gateway::start_at(network, folder, &OPTIONS);
    assert_eq!(contacts(&gateway), expected);
    call(&gateway, "called-after");
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.stop();
}

#[test]
fn a_phone_with_a_wrong_password_is_not_registered() {
    let gateway = Gateway::start(&OPTIONS);
    let registers = Scenario::new()
        .raw(&register(1, ""))
        .raw("<recv response=\"401\" auth=\"true\"/>\n")
        .raw(&register(
            2,
            "[authentication username=6001 password=guess]\n",
        ))
        .expect(401);
    let host = gateway.network.host(6);
    Role::at("phone", host, true)
        .start(&gateway, &registers)
        .finish();
    assert!(contacts(&gateway).is_empty());
    assert!(gateway.metric("ringway_sip_rejected_total{reason=\"auth\"}") >= 1.0);
    gateway.stop();
}
