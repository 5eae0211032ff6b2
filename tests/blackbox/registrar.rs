//! A phone that registers with the binary, and is called: SIPp calls, and SIPp answers at the phone.

use crate::gateway::{Gateway, Options, PATIENCE};
use crate::scenario::{AUDIO, Role, Scenario};
use bytes::Bytes;
use ringway::sip::auth::{Answer, Asker, Password, challenges};
use ringway::sip::message::{Message, Method, RequestDraft};
use std::borrow::Cow;
use std::net::{SocketAddrV4, UdpSocket};

const PHONE: &str = "[endpoint.6001]\ncontext = \"from-called\"\nallow = [\"ulaw\"]\n\
    auth = { username = \"6001\", password = \"s3cret\" }\naor = { max_contacts = 1 }\n";

const OPTIONS: Options = Options {
    global: "",
    codecs: ["", ""],
    caller: "",
    called: "",
    steps: "\"Dial(PJSIP/6001,20)\", \"Hangup()\"",
    rtp: "",
    sections: Cow::Borrowed(PHONE),
};

/// Registers from port 5060 of the phone's host, and gives the status of the last response.
fn register(gateway: &Gateway, password: &str) -> u16 {
    let host = gateway.network.host(6);
    let server = gateway.network.gateway();
    let socket = UdpSocket::bind((host, 5060)).expect("a free address");
    socket
        .set_read_timeout(Some(PATIENCE))
        .expect("a time-out is set");
    let uri = format!("sip:{server}");
    let draft = RequestDraft::new(Method::Register, &*uri)
        .header("From", format_args!("<sip:6001@{server}>;tag=r"))
        .header("To", format_args!("<sip:6001@{server}>"))
        .header("Call-ID", "a-phone")
        .header("CSeq", "1 REGISTER")
        .header("Contact", format_args!("<sip:6001@{host}:5062>"))
        .header("Expires", "120")
        .header("User-Agent", "test phone");
    let ask = |draft: &RequestDraft, branch: u32| {
        let request = draft.write(&format!("SIP/2.0/UDP {host}:5060;branch=z9hG4bK{branch}"));
        socket
            .send_to(&request, (server, 5060))
            .expect("loopback takes it");
        let mut answer = [0; 4096];
        let length = socket.recv(&mut answer).expect("an answer comes");
        match Message::parse(Bytes::copy_from_slice(&answer[..length])) {
            Ok(Message::Response(response)) => response,
            other => panic!("no response: {other:?}"),
        }
    };
    let asked = ask(&draft, 1);
    assert_eq!(asked.status(), 401);
    let all = challenges(asked.headers(), Asker::User);
    let answer = all[0].answer(&Answer {
        username: "6001",
        password: Password(password),
        method: &Method::Register,
        uri: &uri,
        body: &[],
        cnonce: "abc",
        nonce_count: 1,
    });
    let draft = draft
        .set_header("CSeq", "2 REGISTER")
        .header("Authorization", answer);
    ask(&draft, 2).status()
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
    assert_eq!(register(&gateway, "s3cret"), 200);
    let expected = [(
        format!("sip:6001@{host}:5062"),
        format!("{host}:5060"),
        "test phone".to_owned(),
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
    assert_eq!(register(&gateway, "guess"), 401);
    assert!(contacts(&gateway).is_empty());
    assert!(gateway.metric("ringway_sip_rejected_total{reason=\"auth\"}") >= 1.0);
    gateway.stop();
}

/// SIPp 3.6 knows MD5 alone, as older telephones do, and gives up at a challenge by anything else.
#[test]
fn a_phone_that_knows_md5_alone_registers() {
    let gateway = Gateway::start(&OPTIONS);
    let register = |cseq: u32, credentials: &str| {
        format!(
            "<send retrans=\"500\"><![CDATA[\nREGISTER sip:[remote_ip] SIP/2.0\n\
             Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
             From: <sip:6001@[remote_ip]>;tag=[pid]r\nTo: <sip:6001@[remote_ip]>\nCall-ID: [call_id]\n\
             CSeq: {cseq} REGISTER\nMax-Forwards: 70\nContact: <sip:6001@[local_ip]:[local_port]>\n\
             Expires: 120\n{credentials}Content-Length: 0\n\n]]></send>\n"
        )
    };
    let scenario = Scenario::new()
        .raw(&register(1, ""))
        .raw("<recv response=\"401\" auth=\"true\"/>\n")
        .raw(&register(
            2,
            "[authentication username=6001 password=s3cret]\n",
        ))
        .expect(200);
    let host = gateway.network.host(6);
    Role::at("phone", host, true)
        .start(&gateway, &scenario)
        .finish();
    assert_eq!(contacts(&gateway).len(), 1);
    gateway.stop();
}
