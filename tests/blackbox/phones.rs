//! Telephones of people: baresip registers, calls, is called, holds, transfers and sends digits.

use crate::baresip::{Phone, Way, tone_share};
use crate::gateway::{Gateway, Network, Options, PATIENCE, POLL};
use crate::scenario::{AUDIO, Role, Scenario};
use serde_json::Value;
use std::path::Path;
use std::time::Instant;

/// Three telephones that call one another, one that takes digits by INFO, one behind a NAT.
pub const PHONES: &str = r#"
[template.phone]
context = "house"
allow = ["ulaw"]

[endpoint.6001]
use = "phone"
auth = { username = "6001", password = "one" }
aor = { max_contacts = 1 }

[endpoint.6002]
use = "phone"
auth = { username = "6002", password = "two" }
aor = { max_contacts = 1 }

[endpoint.6003]
use = "phone"
auth = { username = "6003", password = "three" }
aor = { max_contacts = 1 }

[endpoint.6004]
use = "phone"
dtmf_mode = "info"
auth = { username = "6004", password = "four" }
aor = { max_contacts = 1 }

[endpoint.6005]
use = "phone"
rtp_symmetric = true
rewrite_contact = true
auth = { username = "6005", password = "five" }
aor = { max_contacts = 1 }

[context.house.exten]
"_6XXX" = ["Dial(PJSIP/${EXTEN},20)", "Hangup()"]
"#;

const TLS: &str = r#"
[transport.tls]
protocol = "tls"
bind = "HOST1"
cert_file = "own.pem"
priv_key_file = "own.key"
"#;

/// Tones of the three telephones, none a harmonic of another.
pub const TONES: [u32; 3] = [440, 700, 1100];

/// Packets of 20 ms that make half a second.
const HALF_A_SECOND: u64 = 25;

fn gateway() -> Gateway {
    Gateway::start(&Options {
        sections: PHONES.into(),
        ..Options::default()
    })
}

/// A certificate for an address and its key, vouched for by itself.
fn certify(folder: &Path, address: impl ToString, names: [&str; 2]) {
    let made = rcgen::generate_simple_self_signed([address.to_string()]).expect("a certificate");
    let texts = [made.cert.pem(), made.signing_key.serialize_pem()];
    for (name, text) in names.into_iter().zip(texts) {
        std::fs::write(folder.join(name), text).expect("written");
    }
}

/// A gateway with a TLS transport as well.
fn gateway_with_tls(more: &str) -> Gateway {
    let network = Network::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    certify(folder.path(), network.gateway(), ["own.pem", "own.key"]);
    let options = Options {
        sections: format!("{PHONES}{TLS}{more}").into(),
        ..Options::default()
    };
    Gateway::start_at(network, folder, &options)
}

/// The first two telephones, registered over UDP.
fn pair(gateway: &Gateway) -> (Phone, Phone) {
    let mut first = Phone::start(&gateway.network, 11, Way::Udp, TONES[0]);
    let mut second = Phone::start(&gateway.network, 12, Way::Udp, TONES[1]);
    first.register("6001", "one");
    second.register("6002", "two");
    (first, second)
}

fn third(gateway: &Gateway) -> Phone {
    let mut phone = Phone::start(&gateway.network, 13, Way::Udp, TONES[2]);
    phone.register("6003", "three");
    phone
}

/// Lets the telephones speak for half a second more.
pub fn speak(phones: &mut [&mut Phone]) {
    let start = Instant::now();
    for phone in phones {
        let until = phone.packets_sent() + HALF_A_SECOND;
        while phone.packets_sent() < until {
            assert!(start.elapsed() < PATIENCE, "silence\n{}", phone.trace());
            std::thread::park_timeout(POLL);
        }
    }
}

/// What it heard in its last call was the first tone, and nothing of the second.
#[track_caller]
fn heard(phone: &Phone, tone_hz: u32, never_hz: u32) {
    sounds_of(&phone.heard(), tone_hz, never_hz);
}

/// The same of the end of that call, before which it talked to somebody else: of the half second that was spoken last
/// (`speak`), the later half.
#[track_caller]
pub fn heard_at_last(phone: &Phone, tone_hz: u32, never_hz: u32) {
    const QUARTER_OF_A_SECOND: usize = 2000;
    let samples = phone.heard();
    let before = samples.len().saturating_sub(QUARTER_OF_A_SECOND);
    sounds_of(&samples[before..], tone_hz, never_hz);
}

#[track_caller]
fn sounds_of(samples: &[i16], tone_hz: u32, never_hz: u32) {
    let shares = [tone_hz, never_hz].map(|hz| tone_share(samples, hz));
    assert!(
        samples.len() > 1000 && shares[0] > 0.5 && shares[1] < 0.05,
        "{} samples, {:.3} of them {tone_hz} Hz, {:.3} {never_hz} Hz",
        samples.len(),
        shares[0],
        shares[1]
    );
}

fn contacts(gateway: &Gateway, user: &str) -> usize {
    let rows = gateway.rows("contacts");
    let rows = rows.as_array().expect("rows").iter();
    rows.filter(|row| row["aor"] == user).count()
}

/// No audio was lost within the gateway, and nothing is left of any call. (Drops that are right: what is sent before the
/// other side is known or after the end, and the RTCP APP packets by which baresip opens the way.)
pub fn finish(gateway: Gateway) {
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    for reason in ["wrong_source", "no_buffer", "socket_overflow"] {
        let dropped = format!("ringway_rtp_dropped_total{{worker=\"0\",reason=\"{reason}\"}}");
        assert_eq!(gateway.metric(&dropped), 0.0, "{reason}\n{}", gateway.log());
    }
    gateway.stop();
}

/// Every packet that came in on a call was sent on, but for the first and the last of a leg, which may cross with the
/// answer or the BYE on their way.
fn nothing_is_lost(gateway: &Gateway) {
    const CROSSING_MAX: u64 = 4;
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    let packets = |direction: &str| {
        let packets = gateway.rows("workers")[0][direction].as_u64();
        packets.expect("a number")
    };
    let (came, went) = (packets("packets_in"), packets("packets_out"));
    assert!(
        went > 0 && (went..=went + CROSSING_MAX).contains(&came),
        "{came} came, {went} went"
    );
}

/// Registers, calls, is called and un-registers; the other telephone is always the second one.
fn calls_and_is_called(gateway: Gateway, user: &str, password: &str, mut phone: Phone) {
    let mut other = Phone::start(&gateway.network, 12, Way::Udp, TONES[1]);
    phone.register(user, password);
    other.register("6002", "two");

    phone.command("dial", "6002");
    other.answer();
    phone.expect("CALL_ESTABLISHED");
    speak(&mut [&mut phone, &mut other]);
    other.hang_up();
    phone.expect("CALL_CLOSED");
    heard(&phone, TONES[1], TONES[0]);
    heard(&other, TONES[0], TONES[1]);

    other.command("dial", user);
    phone.answer();
    other.expect("CALL_ESTABLISHED");
    speak(&mut [&mut phone, &mut other]);
    phone.hang_up();
    other.expect("CALL_CLOSED");
    heard(&phone, TONES[1], TONES[0]);
    heard(&other, TONES[0], TONES[1]);

    assert_eq!(contacts(&gateway, user), 1);
    phone.quit();
    gateway.eventually("un-registered", |gateway| contacts(gateway, user) == 0);
    nothing_is_lost(&gateway);
    finish(gateway);
}

#[test]
fn a_phone_calls_and_is_called_over_udp() {
    let gateway = gateway();
    let phone = Phone::start(&gateway.network, 11, Way::Udp, TONES[0]);
    calls_and_is_called(gateway, "6001", "one", phone);
}

#[test]
fn a_phone_calls_and_is_called_over_tcp() {
    let gateway = gateway();
    let phone = Phone::start(&gateway.network, 11, Way::Tcp, TONES[0]);
    calls_and_is_called(gateway, "6001", "one", phone);
}

#[test]
fn a_phone_calls_and_is_called_over_tls() {
    let gateway = gateway_with_tls("");
    let phone = Phone::start(&gateway.network, 11, Way::Tls, TONES[0]);
    calls_and_is_called(gateway, "6001", "one", phone);
}

/// A telephone that is encrypted or does not speak at all.
const ENCRYPTED: &str = r#"
[endpoint.6006]
use = "phone"
transport = "tls"
media_encryption = "sdes"
auth = { username = "6006", password = "six" }
aor = { max_contacts = 1 }
"#;

#[test]
fn an_encrypted_phone_calls_and_is_called_by_one_that_is_not() {
    let gateway = gateway_with_tls(ENCRYPTED);
    let phone = Phone::start(&gateway.network, 11, Way::Encrypted, TONES[0]);
    calls_and_is_called(gateway, "6006", "six", phone);
}

#[test]
fn an_encrypted_phone_holds_and_is_held() {
    let gateway = gateway_with_tls(ENCRYPTED);
    let mut first = Phone::start(&gateway.network, 11, Way::Encrypted, TONES[0]);
    let mut second = Phone::start(&gateway.network, 12, Way::Udp, TONES[1]);
    first.register("6006", "six");
    second.register("6002", "two");
    hold_and_resume(&mut first, &mut second);
    assert!(first.trace().contains("RTP/SAVP"), "{}", first.trace());
    assert!(!second.trace().contains("a=crypto"), "{}", second.trace());
    nothing_is_lost(&gateway);
    finish(gateway);
}

#[test]
fn a_phone_behind_nat_calls_and_is_called() {
    let gateway = gateway();
    let phone = Phone::start(&gateway.network, 11, Way::Nat, TONES[0]);
    calls_and_is_called(gateway, "6005", "five", phone);
}

/// The first block of the documentation in that language, with the addresses of a test.
fn documented(language: &str, network: &Network) -> String {
    let page = include_str!("../../docs/phones.md");
    let begin = format!("```{language}\n");
    let (_, block) = page.split_once(&begin).expect("it is there");
    let (block, _) = block.split_once("```").expect("it ends");
    let host = network.gateway().to_string();
    block
        .replace("192.168.1.10", &host)
        .replace("\"0.0.0.0:", &format!("\"{host}:"))
}

#[test]
fn phones_work_as_the_documentation_sets_them_up() {
    let network = Network::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = ["fullchain.pem", "privkey.pem"];
    certify(folder.path(), network.gateway(), files);
    let admin = format!("[admin]\nlisten = \"{}:8088\"\n", network.gateway());
    let gateway = Gateway::run(network, folder, &(admin + &documented("toml", &network)));
    let accounts = documented("text", &network);
    assert_eq!(accounts.lines().count(), 3);
    for (account, host) in accounts.lines().zip(11..) {
        // One at a time: the newest takes the place of the one before.
        let mut phone = Phone::start(&network, host, Way::Udp, TONES[0]);
        phone.command("uanew", account);
        phone.expect("REGISTER_OK");
        assert_eq!(contacts(&gateway, "6001"), 1);
        phone.command("dial", "600");
        phone.expect("CALL_ESTABLISHED");
        speak(&mut [&mut phone]);
        phone.hang_up();
        heard(&phone, TONES[0], TONES[1]);
        phone.quit();
    }
    finish(gateway);
}

#[test]
fn a_phone_shows_its_certificate_where_one_is_asked_for() {
    let gateway = gateway_with_tls("verify_client = true\nca_list_file = \"own.pem\"\n");
    // A self-signed certificate vouches for itself, the gateway's own is the only one that it trusts.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let own = |name: &str| {
        std::fs::read_to_string(gateway.folder.path().join(name)).expect("it has been made")
    };
    let bundle = format!("{}{}", own("own.key"), own("own.pem"));
    std::fs::write(folder.path().join("phone.pem"), bundle).expect("written");
    let mut with = Phone::start_in(folder, &gateway.network, 11, Way::Tls, TONES[0]);
    with.register("6001", "one");
    let mut without = Phone::start(&gateway.network, 12, Way::Tls, TONES[1]);
    without.add_account("6002", "two", "regint=60");
    gateway.eventually("one without is turned away", |gateway| {
        gateway.log().contains("peer sent no certificates")
    });
    assert_eq!(
        (contacts(&gateway, "6001"), contacts(&gateway, "6002")),
        (1, 0)
    );
}

#[test]
fn a_phone_with_a_wrong_password_is_told_so() {
    let gateway = gateway();
    let mut phone = Phone::start(&gateway.network, 11, Way::Udp, TONES[0]);
    phone.add_account("6001", "guess", "regint=60");
    phone.expect("REGISTER_FAIL");
    assert_eq!(contacts(&gateway, "6001"), 0);
}

#[test]
fn a_call_that_is_rejected_or_given_up_ends_for_the_other_too() {
    let gateway = gateway();
    let (mut first, mut second) = pair(&gateway);
    first.command("dial", "6002");
    second.expect("CALL_INCOMING");
    second.command("hangup", "");
    assert_eq!(first.expect("CALL_CLOSED")["param"], "486 Busy Here");
    second.expect("CALL_CLOSED");

    first.command("dial", "6002");
    second.expect("CALL_INCOMING");
    first.expect("CALL_RINGING");
    first.hang_up();
    second.expect("CALL_CLOSED");
    assert_eq!(second.received("CANCEL").len(), 1, "{}", second.trace());

    first.command("dial", "6003");
    let why = first.expect("CALL_CLOSED");
    assert_eq!(why["param"], "480 Temporarily Unavailable");
    finish(gateway);
}

#[test]
fn a_phone_whose_connection_breaks_is_gone_at_once() {
    let gateway = gateway();
    let mut first = Phone::start(&gateway.network, 11, Way::Tcp, TONES[0]);
    let mut second = Phone::start(&gateway.network, 12, Way::Udp, TONES[1]);
    first.register("6005", "five");
    second.register("6002", "two");
    // Its process is killed, so nothing is un-registered, but only by that connection could it be reached.
    drop(first);
    gateway.eventually("gone", |gateway| contacts(gateway, "6005") == 0);
    gateway.eventually("the log says why", |gateway| {
        gateway.log().contains("why=FlowLost")
    });
    second.command("dial", "6005");
    let why = second.expect("CALL_CLOSED");
    assert_eq!(why["param"], "480 Temporarily Unavailable");
    finish(gateway);
}

/// The direction attribute of an offer or answer.
fn direction(message: &str) -> &str {
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    let found = directions
        .into_iter()
        .find(|direction| message.contains(&format!("a={direction}\n")));
    found.unwrap_or_else(|| panic!("no direction:\n{message}"))
}

#[test]
fn hold_and_resume_show_on_the_far_leg() {
    let gateway = gateway();
    let (mut first, mut second) = pair(&gateway);
    hold_and_resume(&mut first, &mut second);
    nothing_is_lost(&gateway);
    finish(gateway);
}

/// The first calls the second, each holds the other, and they hear each other again.
fn hold_and_resume(first: &mut Phone, second: &mut Phone) {
    first.command("dial", "6002");
    second.answer();
    first.expect("CALL_ESTABLISHED");
    speak(&mut [first, second]);
    for round in 0..2 {
        // The caller holds first, then the called one; each takes two offers of the other.
        let (holder, held) = match round {
            0 => (&mut *first, &mut *second),
            _ => (&mut *second, &mut *first),
        };
        let (offers, acks) = (held.received("INVITE").len(), held.received("ACK").len());
        let answers = holder.received("SIP/2.0 200").len();
        holder.command("hold", "");
        let offer = held.receives(offers + 1, "INVITE").pop().expect("one");
        assert_eq!(direction(&offer), "sendonly", "{offer}");
        let answer = holder
            .receives(answers + 1, "SIP/2.0 200")
            .pop()
            .expect("one");
        assert_eq!(direction(&answer), "recvonly", "{answer}");
        held.receives(acks + 1, "ACK");
        holder.command("resume", "");
        let offer = held.receives(offers + 2, "INVITE").pop().expect("one");
        assert_eq!(direction(&offer), "sendrecv", "{offer}");
        let answer = holder
            .receives(answers + 2, "SIP/2.0 200")
            .pop()
            .expect("one");
        assert_eq!(direction(&answer), "sendrecv", "{answer}");
        speak(&mut [holder, held]);
    }
    first.hang_up();
    second.expect("CALL_CLOSED");
    heard(first, TONES[1], TONES[0]);
    heard(second, TONES[0], TONES[1]);
}

#[test]
fn a_called_phone_sends_its_caller_to_a_third() {
    let gateway = gateway();
    let (mut first, mut second) = pair(&gateway);
    let mut third = third(&gateway);
    first.command("dial", "6002");
    second.answer();
    first.expect("CALL_ESTABLISHED");
    speak(&mut [&mut first, &mut second]);
    second.command("transfer", "6003");
    third.answer();
    // It has been told by NOTIFY that the transfer has worked.
    let closed = second.expect("CALL_CLOSED");
    assert_eq!(closed["param"], "Call transfered", "{}", second.trace());
    speak(&mut [&mut first, &mut third]);
    first.hang_up();
    third.expect("CALL_CLOSED");
    heard(&third, TONES[0], TONES[1]);
    finish(gateway);
}

#[test]
fn a_calling_phone_sends_the_called_to_a_third() {
    let gateway = gateway();
    let (mut first, mut second) = pair(&gateway);
    let mut third = third(&gateway);
    first.command("dial", "6002");
    second.answer();
    first.expect("CALL_ESTABLISHED");
    speak(&mut [&mut first, &mut second]);
    first.command("transfer", "6003");
    third.answer();
    let closed = first.expect("CALL_CLOSED");
    assert_eq!(closed["param"], "Call transfered", "{}", first.trace());
    speak(&mut [&mut second, &mut third]);
    third.hang_up();
    second.expect("CALL_CLOSED");
    heard(&third, TONES[1], TONES[0]);
    finish(gateway);
}

#[test]
fn a_transfer_to_a_number_that_is_not_there_is_refused() {
    let gateway = gateway();
    let (mut first, mut second) = pair(&gateway);
    first.command("dial", "6002");
    second.answer();
    first.expect("CALL_ESTABLISHED");
    second.command("transfer", "7999");
    second.expect("TRANSFER_FAILED");
    let refusals = second.received("SIP/2.0 404").len();
    assert_eq!(refusals, 1, "{}", second.trace());
    // baresip gives a call up that it could not transfer; the gateway does not.
    first.expect("CALL_CLOSED");
    assert_eq!(second.received("BYE").len(), 0, "{}", second.trace());
    finish(gateway);
}

/// The value of a header, and the tag in it if it has one.
fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name}:\n{message}"))
}

fn tag<'a>(message: &'a str, name: &str) -> &'a str {
    let value = header(message, name);
    value.split(";tag=").nth(1).expect("it has a tag")
}

/// What a telephone that has made this call transfers somebody to, who is to talk to whom it has called.
pub fn refers_to(gateway: &Gateway, phone: &Phone, established: &Value) -> String {
    let id = established["id"].as_str().expect("an id");
    let answers = phone.received("SIP/2.0 200");
    let answer = answers
        .iter()
        .find(|answer| header(answer, "Call-ID") == id && answer.contains("INVITE"));
    let answer = answer.expect("the answer of the call");
    // To whom it is sent, the gateway, the to-tag is its own (RFC 3891 §3).
    format!(
        "<sip:asked@{}?Replaces={id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>",
        gateway.network.gateway(),
        tag(answer, "To"),
        tag(answer, "From")
    )
}

#[test]
fn a_phone_joins_the_two_whom_it_talks_to() {
    let gateway = gateway();
    let (mut first, mut second) = pair(&gateway);
    let mut third = third(&gateway);
    // The first has the second on hold, asks the third, and leaves the two to each other (RFC 5589 §7).
    first.command("dial", "6002");
    second.answer();
    let with_second = first.expect("CALL_ESTABLISHED");
    first.command("hold", "");
    second.receives(2, "INVITE");
    first.command("dial", "6003");
    third.answer();
    first.expect("CALL_ESTABLISHED");
    let replaces = refers_to(&gateway, &first, &with_second);
    first.command("transfer", &replaces);
    first.expect("CALL_CLOSED");
    first.expect("CALL_CLOSED");
    speak(&mut [&mut second, &mut third]);
    third.hang_up();
    second.expect("CALL_CLOSED");
    // It was talking to the first until then, for as long as the machine took.
    heard_at_last(&third, TONES[1], TONES[0]);
    finish(gateway);
}

#[test]
fn digits_in_the_audio_reach_the_other_phone() {
    let gateway = gateway();
    let (mut first, mut second) = pair(&gateway);
    first.command("dial", "6002");
    second.answer();
    first.expect("CALL_ESTABLISHED");
    speak(&mut [&mut first, &mut second]);
    first.command("sndcode", "17*#");
    for digit in ["1", "7", "*", "#"] {
        assert_eq!(second.expect("CALL_DTMF_START")["param"], digit);
        second.expect("CALL_DTMF_END");
    }
    second.command("sndcode", "0");
    assert_eq!(first.expect("CALL_DTMF_START")["param"], "0");
    first.hang_up();
    second.expect("CALL_CLOSED");
    nothing_is_lost(&gateway);
    finish(gateway);
}

#[test]
fn digits_by_info_reach_a_phone_that_takes_them() {
    let gateway = Gateway::start(&Options {
        sections: PHONES.into(),
        caller: "dtmf_mode = \"info\"",
        steps: "\"Dial(PJSIP/6004,20)\", \"Hangup()\"",
        ..Options::default()
    });
    let mut phone = Phone::start(&gateway.network, 14, Way::Udp, TONES[0]);
    phone.register("6004", "four");
    let info = "<send retrans=\"500\"><![CDATA[\nINFO [next_url] SIP/2.0\n\
        Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
        From: <sip:4930555@[local_ip]:[local_port]>;tag=[pid]x[call_number]\n\
        To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]\nCall-ID: [call_id]\nCSeq: 2 INFO\n\
        Max-Forwards: 70\nContent-Type: application/dtmf-relay\nContent-Length: [len]\n\n\
        Signal=5\nDuration=160\n]]></send>\n";
    let calls = Scenario::new()
        .invite(Some(AUDIO))
        .perhaps(100)
        .perhaps(180)
        .expect_audio(200)
        .request("ACK", None)
        .raw(info)
        .expect(200)
        .expect_request("BYE")
        .respond_in_dialog("200 OK", None);
    let caller = Role::caller(&gateway).start(&gateway, &calls);
    phone.answer();
    assert_eq!(phone.expect("CALL_DTMF_START")["param"], "5");
    phone.expect("CALL_DTMF_END");
    phone.hang_up();
    caller.finish();
    gateway.eventually("every call and port comes home", Gateway::is_empty);
    gateway.stop();
}
