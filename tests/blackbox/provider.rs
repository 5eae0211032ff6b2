//! The gateway registers at Kamailio, whose nonces are short-lived, and is called and forgotten by it.

use crate::gateway::{Gateway, Network, Options};
use crate::kamailio::Kamailio;

const SECTIONS: &str = r#"
[auth.good]
username = "030123456"
password = "a:b@c"

[auth.bad]
username = "030123456"
password = "abc"

[endpoint.provider]
context = "from-called"

[registration.udp]
server_uri = "sip:HOST4"
client_uri = "sip:+49301@tel.example.com"
contact_user = "49301"
outbound_auth = "good"
expiration = 4
endpoint = "provider"

[registration.tcp]
server_uri = "sip:HOST4;transport=tcp"
client_uri = "sip:+49302@tel.example.com"
outbound_auth = "good"
endpoint = "provider"
line = true

[registration.wrong]
server_uri = "sip:HOST4"
client_uri = "sip:+49303@tel.example.com"
outbound_auth = "bad"

[registration.barred]
server_uri = "sip:HOST4"
client_uri = "sip:barred@tel.example.com"
outbound_auth = "good"
forbidden_retry_interval = 1
max_retries = 4294967295
"#;

/// State and last error of a registration.
fn state(gateway: &Gateway, name: &str) -> (String, String) {
    let rows = gateway.rows("registrations");
    let rows = rows.as_array().expect("rows");
    let row = rows
        .iter()
        .find(|row| row["name"] == name)
        .expect("its row");
    let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("last_error"))
}

fn is_registered(gateway: &Gateway, name: &str) -> bool {
    state(gateway, name).0 == "registered"
}

#[test]
fn registers_at_kamailio_is_called_by_it_and_unregisters() {
    let network = Network::new();
    let kamailio = Kamailio::start(network.host(4), network.host(6));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options {
        sections: SECTIONS.into(),
        ..Options::default()
    };
    let gateway = Gateway::start_at(network, folder, &options);
    for name in ["udp", "tcp"] {
        gateway.eventually("registered", |gateway| is_registered(gateway, name));
    }
    gateway.eventually("a wrong password is refused", |gateway| {
        let (state, error) = state(gateway, "wrong");
        state == "stopped" && error.starts_with("401 ")
    });
    gateway.eventually("a barred number is tried again", |gateway| {
        let (state, error) = state(gateway, "barred");
        let attempts = gateway.log().matches("registration=\"barred\"").count();
        state == "rejected" && error == "403 Forbidden" && attempts >= 2
    });
    // Whoever calls is told by the registration: its endpoint has no [identify.*], and a stranger would get 401.
    for user in ["+49301", "+49302"] {
        assert_eq!(
            kamailio.options(user),
            Some(200),
            "{user}\n{}",
            gateway.log()
        );
    }
    // The nonce lives 3 s, the binding 4: some refreshes get by with it, others are challenged again.
    let registers =
        "ringway_sip_requests_total{direction=\"out\",method=\"REGISTER\",transport=\"udp\"";
    let before = gateway.metric(registers);
    gateway.eventually("refreshed", |gateway| {
        gateway.metric(registers) > before + 10.0
    });
    assert!(is_registered(&gateway, "udp"), "{}", gateway.log());
    assert!(!gateway.log().contains("a:b@c"), "a password in the log");
    gateway.stop();
    for user in ["+49301", "+49302"] {
        assert_eq!(
            kamailio.options(user),
            Some(404),
            "{user} is still registered"
        );
    }
}
