//! Whole configurations: what is refused and how it is told, what is accepted, and the defaults.

use super::settings::{
    CallerId, DtmfMode, IdentifyBy, MediaEncryption, MusicClass, MusicSort, MusicSource, Rel100,
    Timers,
};
use super::*;
use crate::codec::Codec;
use crate::sip::auth::Algorithm;
use proptest::prelude::*;
use std::time::Duration;

/// Makes any snippet a configuration that could start.
const BASE: &str = "\n[transport.lo]\nbind = \"127.0.0.1\"\n";

/// Everything found in `snippet`, one finding a line, without the file name.
fn findings(snippet: &str) -> String {
    let text = format!("{snippet}{BASE}");
    let diagnostics = match parse("", &text, &NoLookup) {
        Ok(loaded) => loaded.warnings,
        Err(LoadError::Invalid { diagnostics, .. }) => diagnostics,
        Err(LoadError::Read { .. }) => unreachable!("nothing is read"),
    };
    lines("", &diagnostics)
        .replace("\n:", "\n")
        .trim_start_matches(':')
        .to_owned()
}

fn assert_findings(snippet: &str, expected: &[&str]) {
    let found = findings(snippet);
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected, "in:\n{snippet}");
}

fn settings(snippet: &str) -> Settings {
    match parse("test.toml", &format!("{snippet}{BASE}"), &NoLookup) {
        Ok(loaded) => loaded.settings,
        Err(error) => panic!("{error}\nin:\n{snippet}"),
    }
}

#[test]
fn unknown_names_are_told_with_the_names_that_are_known() {
    assert_findings(
        "[globl]\nx = 1",
        &[
            "1:2: error: globl: unknown section; did you mean \"global\"? accepted sections: global, rtp, admin, bans, \
           transport, acl, auth, aor, endpoint, template, identify, registration, trunk_group, sounds, \
           musiconhold, recording, globals, context, queue, voicemail",
        ],
    );
    assert_findings(
        "[rtp]\n  port = \"20000-20999\"\nrtpstart = 1\n",
        &[
            "2:3: error: rtp.port: unknown key; did you mean \"ports\"? accepted: ports, workers, cores, timeout, dscp, \
           batch_wait_us, rtcp",
            "3:1: error: rtp.rtpstart: unknown key; write ports = \"FIRST-LAST\"; accepted: ports, workers, cores, \
           timeout, dscp, batch_wait_us, rtcp",
        ],
    );
    assert_findings(
        "user_agent = \"x\"",
        &[
            "1:1: error: user_agent: unknown key outside a section; accepted sections: global, rtp, admin, bans, transport, \
           acl, auth, aor, endpoint, template, identify, registration, trunk_group, sounds, musiconhold, recording, globals, \
           context, queue, voicemail",
        ],
    );
    assert_findings(
        "[context.a]\n600 = [\"Echo()\"]\nincl = []\nexten = { 1 = [\"Hangup()\"] }",
        &[
            "2:1: error: context.a.600: unknown key; extensions stand under [context.a.exten]; accepted: include, hint, \
           exten",
            "3:1: error: context.a.incl: unknown key; extensions stand under [context.a.exten]; accepted: include, hint, \
           exten",
        ],
    );
    assert_findings(
        "[acl]\ndeny = []",
        &["2:1: error: acl.deny: unknown key; sections of this kind have a name: [acl.NAME]"],
    );
}

#[test]
fn wrong_values_are_told_with_what_is_accepted() {
    let cases = [
        (
            "[global]\nmax_calls = 0",
            "2:13: error: global.max_calls: found 0, expected an integer, 1 to 4294967295",
        ),
        (
            "[global]\nuser_agent = 5",
            "2:14: error: global.user_agent: found an integer, expected a string: write it in quotes",
        ),
        (
            "[global]\nendpoint_identifier_order = [\"ip\", \"user\"]",
            "2:36: error: global.endpoint_identifier_order: found \"user\", expected one of \"ip\", \"username\", \"auth_username\", \"header\", \"request_uri\", \"anonymous\"",
        ),
        (
            "[global]\nendpoint_identifier_order = [\"ip\", \"ip\"]",
            "2:36: error: global.endpoint_identifier_order: \"ip\" stands twice; name each once",
        ),
        (
            "[rtp]\nports = \"20001-20002\"",
            "2:9: error: rtp.ports: found \"20001-20002\", expected FIRST-LAST, ports from 1 to 65535: \"20000-20999\"; there is no even port with the next one in the range, so no room for RTP and RTCP",
        ),
        (
            "[rtp]\nports = \"20999-20000\"",
            "2:9: error: rtp.ports: found \"20999-20000\", expected FIRST-LAST, ports from 1 to 65535: \"20000-20999\"",
        ),
        (
            "[rtp]\nports = \"20000-20003\"\nworkers = 3",
            "3:11: error: rtp.workers: 3 workers share 2 port pairs of 20000-20003; expected at least one pair a worker",
        ),
        (
            "[rtp]\nworkers = \"all\"",
            "2:11: error: rtp.workers: found \"all\", expected \"auto\" or 1 to 256",
        ),
        (
            "[rtp]\nworkers = 2\ncores = [1]",
            "3:9: error: rtp.cores: 1 cores for 2 workers; expected one a worker",
        ),
        (
            "[rtp]\ncores = [1, 1]",
            "2:13: error: rtp.cores: core 1 stands twice; name each once",
        ),
        (
            "[rtp]\ntimeout = -1",
            "2:11: error: rtp.timeout: found -1, expected a number of seconds, 0 or more",
        ),
        (
            "[rtp]\ntimeout = nan",
            "2:11: error: rtp.timeout: found NaN, expected a number of seconds, 0 or more",
        ),
        (
            "[rtp]\ndscp = 64",
            "2:8: error: rtp.dscp: found 64, expected an integer, 0 to 63",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:8088\"",
            "2:10: error: admin.listen: 0.0.0.0:8088 is not a loopback address, so everybody who reaches it could end calls; expected a token as well: token = \"${env:RINGWAY_TOKEN}\", or a loopback address",
        ),
        (
            "[admin]\nlisten = \"localhost\"",
            "2:10: error: admin.listen: found \"localhost\", expected an IP address and a port: \"127.0.0.1:8088\"",
        ),
        (
            "[transport.b]\nprotocol = \"tcp\"",
            "1:12: error: transport.b: bind is missing, it must be set",
        ),
        (
            "[transport.b]\nprotocol = \"tls\"\nbind=\"127.0.0.1\"",
            "1:12: error: transport.b.cert_file: not set; a TLS transport needs its certificate: cert_file = \"FILE.pem\", the server's own first, then the intermediate ones",
        ),
        (
            "[transport.b]\nbind = \"127.0.0.1:5070\"\nverify_client = \"yes\"",
            "3:17: error: transport.b.verify_client: found \"yes\", expected true (no quotes)",
        ),
        (
            "[acl.a]\ndeny = [\"0.0.0.0/0\", \"10.0.0.0/33\"]",
            "2:22: error: acl.a.deny: found \"10.0.0.0/33\", expected an address or a network: \"192.0.2.1\", \"192.0.2.0/24\", \"2001:db8::/32\"",
        ),
        (
            "[acl.a]\ndeny = \"0.0.0.0/0\"",
            "2:8: error: acl.a.deny: found \"0.0.0.0/0\", expected an array of strings: [\"a\", \"b\"]",
        ),
        (
            "[auth.a]\nusername = \"a\"\npassword = 1234",
            "3:12: error: auth.a.password: found an integer, expected a string: write it in quotes",
        ),
        (
            "[auth.a]\nusername = \"a\"\npassword = \"\"",
            "3:12: error: auth.a.password: it is empty, expected a string that is not",
        ),
        (
            "[auth.a]\npassword = \"p\"",
            "1:7: error: auth.a: username is missing, it must be set",
        ),
        (
            "[endpoint.a]\nallow = [\"alaw\", \"g711\"]",
            "2:18: error: endpoint.a.allow: found \"g711\", expected one of \"ulaw\", \"alaw\", \"g722\", \"g729\", \"gsm\", \"opus\", \"ilbc\", \"g723\", \"g726\", \"g726aal2\", \"adpcm\", \"lpc10\", \"speex\", \"speex16\", \"speex32\", \"siren7\", \"siren14\", \"g719\", \"silk8\", \"silk12\", \"silk16\", \"silk24\", \"amr\", \"amrwb\", \"evs\", \"codec2\", \"slin\", \"slin16\", \"slin48\", \"g728\"; did you mean \"g719\"?",
        ),
        (
            "[endpoint.a]\nallow = [\"g72\"]",
            "2:10: error: endpoint.a.allow: found \"g72\", expected one of \"ulaw\", \"alaw\", \"g722\", \"g729\", \"gsm\", \"opus\", \"ilbc\", \"g723\", \"g726\", \"g726aal2\", \"adpcm\", \"lpc10\", \"speex\", \"speex16\", \"speex32\", \"siren7\", \"siren14\", \"g719\", \"silk8\", \"silk12\", \"silk16\", \"silk24\", \"amr\", \"amrwb\", \"evs\", \"codec2\", \"slin\", \"slin16\", \"slin48\", \"g728\"; did you mean \"g722\"?",
        ),
        (
            "[endpoint.a]\nallow = []",
            "2:9: error: endpoint.a.allow: found an array, expected at least one of \"ulaw\", \"alaw\", \"g722\", \"g729\", \"gsm\", \"opus\", \"ilbc\", \"g723\", \"g726\", \"g726aal2\", \"adpcm\", \"lpc10\", \"speex\", \"speex16\", \"speex32\", \"siren7\", \"siren14\", \"g719\", \"silk8\", \"silk12\", \"silk16\", \"silk24\", \"amr\", \"amrwb\", \"evs\", \"codec2\", \"slin\", \"slin16\", \"slin48\", \"g728\"",
        ),
        (
            "[endpoint.a]\nallow = [\"AMR-WB/fast\"]",
            "2:10: error: endpoint.a.allow: found \"AMR-WB/fast\", expected an rtpmap's name, clock rate and channels: \"AMR-WB/16000\"",
        ),
        (
            "[endpoint.a]\nallow = [\"amrwb\", \"amr-wb/16000/1\"]",
            "2:19: error: endpoint.a.allow: \"amrwb\" stands twice; name each once",
        ),
        (
            "[endpoint.a]\nallow = [\"!all\"]",
            "2:10: error: endpoint.a.allow: the list is taken as it stands, so \"!\" and \"all\" have no place in it",
        ),
        (
            "[endpoint.a]\nrtp_symmetric = \"yes\"",
            "2:17: error: endpoint.a.rtp_symmetric: found \"yes\", expected true (no quotes)",
        ),
        (
            "[endpoint.a]\nmax_calls = 0",
            "2:13: error: endpoint.a.max_calls: found 0, expected an integer, 1 to 4294967295",
        ),
        (
            "[endpoint.a]\ncps = 0",
            "2:7: error: endpoint.a.cps: found 0, expected a number above 0",
        ),
        (
            "[endpoint.a]\ncontext = \"\"",
            "2:11: error: endpoint.a.context: there is no section [context.\"\"]; no [context.*] is there",
        ),
        (
            "[endpoint.a]\nmedia_encryption = \"dtls\"",
            "2:20: error: endpoint.a.media_encryption: found \"dtls\", expected one of \"no\", \"sdes\"",
        ),
        (
            "[endpoint.\"a b\"]\nauth = { username = \"a\", password = \"p\" }",
            "1:11: error: endpoint.\"a b\": this name cannot be dialled; expected one without / @ & , ( ) < > quotes, $ and spaces",
        ),
        (
            "[context.a.exten]\n600 = []",
            "2:7: error: context.a.exten.600: has no steps; expected at least one: [\"Hangup()\"]",
        ),
        (
            "[context.a.exten]\n600 = \"Echo()\"",
            "2:7: error: context.a.exten.600: found a string, expected an array of strings: [\"a\", \"b\"]",
        ),
        (
            "[globals]\nA = 5",
            "2:5: error: globals.A: found an integer, expected a string: write it in quotes",
        ),
        (
            "[trunk_group.g]\nmembers = []",
            "2:11: error: trunk_group.g.members: it is empty; expected at least one { endpoint = \"NAME\" }",
        ),
        (
            "[rtp]\ndscp = 1\ndscp = 2",
            "3:1: error: toml: duplicate key",
        ),
    ];
    for (snippet, expected) in cases {
        let found = findings(snippet);
        let first = found.lines().next().unwrap_or("");
        assert_eq!(first, expected, "in:\n{snippet}\nall:\n{found}");
    }
}

#[test]
fn dangling_references_are_told() {
    let cases = [
        (
            "[endpoint.a]\ntransport = \"udp\"",
            "2:13: error: endpoint.a.transport: there is no section [transport.udp]; there are: lo",
        ),
        (
            "[endpoint.a]\ncontext = \"demos\"\n[context.demo]",
            "2:11: error: endpoint.a.context: there is no section [context.demos]; did you mean \"demo\"? there are: demo",
        ),
        (
            "[endpoint.a]\nauth = \"b\"",
            "2:8: error: endpoint.a.auth: there is no section [auth.b]; no [auth.*] is there",
        ),
        (
            "[endpoint.a]\noutbound_auth = \"b\"",
            "2:17: error: endpoint.a.outbound_auth: there is no section [auth.b]; no [auth.*] is there",
        ),
        (
            "[endpoint.a]\naors = [\"b\"]",
            "2:9: error: endpoint.a.aors: there is no section [aor.b]; no [aor.*] is there",
        ),
        (
            "[endpoint.a]\nacl = [\"b\"]",
            "2:8: error: endpoint.a.acl: there is no section [acl.b]; no [acl.*] is there",
        ),
        (
            "[endpoint.a]\nuse = \"b\"",
            "2:7: error: endpoint.a.use: there is no section [template.b]; no [template.*] is there",
        ),
        (
            "[identify.a]\nendpoint = \"b\"\nmatch = [\"10.0.0.1\"]",
            "2:12: error: identify.a.endpoint: there is no section [endpoint.b]; no [endpoint.*] is there",
        ),
        (
            "[trunk_group.g]\nmembers = [{ endpoint = \"b\" }]",
            "2:25: error: trunk_group.g.members.endpoint: there is no section [endpoint.b]; no [endpoint.*] is there",
        ),
        (
            "[context.a]\ninclude = [\"b\"]",
            "2:12: error: context.a.include: there is no section [context.b]; there are: a",
        ),
        (
            "[registration.r]\ntransport = \"x\"\nserver_uri = 1\nclient_uri = 1",
            "2:13: error: registration.r.transport: there is no section [transport.x]; there are: lo",
        ),
        (
            "[endpoint.a]\nuse = [\"t\"]\n[template.t]\ncontext = \"x\"",
            "4:11: error: template.t.context: there is no section [context.x]; no [context.*] is there",
        ),
        (
            "[endpoint.a]\nuse = \"t\"\n[template.t]\nuse = \"t\"",
            "4:7: error: template.t.use: template t uses itself: t",
        ),
    ];
    for (snippet, expected) in cases {
        let found = findings(snippet);
        let found: Vec<&str> = found
            .lines()
            .filter(|line| line.contains("error"))
            .collect();
        assert!(
            found.contains(&expected),
            "in:\n{snippet}\nfound: {found:#?}"
        );
    }
}

#[test]
fn every_error_is_told_not_only_the_first() {
    let found = findings(
        "[rtp]\ndscp = 99\nx = 1\n[endpoint.a]\nallow = [\"a\", \"b\"]\nauth = { user = 1 }",
    );
    let places: Vec<&str> = found
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        places,
        ["2:8:", "3:1:", "5:10:", "5:15:", "6:8:", "6:8:", "6:10:"],
        "{found}"
    );
}

#[test]
fn transports_that_cannot_both_be_bound() {
    let second = |bind: &str, protocol: &str| {
        findings(&format!(
            "[acl.a]\ndeny = [\"0.0.0.0/0\"]\n[transport.a]\nbind = \"0.0.0.0:5062\"\n\
             [transport.b]\nprotocol = \"{protocol}\"\nbind = \"{bind}\""
        ))
    };
    assert_eq!(
        second("127.0.0.1:5062", "udp"),
        "7:8: error: transport.b.bind: udp 127.0.0.1:5062 is taken by [transport.a]; expected another address or port"
    );
    assert_eq!(second("127.0.0.1:5062", "tcp"), "");
    assert_eq!(second("127.0.0.1:5063", "udp"), "");
    assert_eq!(second("[::1]:5062", "udp"), "");
}

#[test]
fn no_transport_is_an_error() {
    let error = parse("f", "", &NoLookup)
        .expect_err("nothing to listen on")
        .to_string();
    assert!(
        error.starts_with("f:1:1: error: transport: no transport"),
        "{error}"
    );
}

#[test]
fn one_source_cannot_be_two_endpoints() {
    let endpoints =
        "[endpoint.a]\n[endpoint.b]\n[context.default]\nexten = { 1 = [\"Hangup()\"] }\n";
    let identify = |a: &str, b: &str| {
        findings(&format!(
            "{endpoints}[identify.a]\nendpoint = \"a\"\nmatch = [{a}]\n[identify.b]\nendpoint = \"b\"\nmatch = [{b}]"
        ))
    };
    assert_eq!(
        identify("\"10.0.0.0/8\"", "\"11.0.0.0/8\", \"sip.example.com\""),
        ""
    );
    assert_eq!(
        identify("\"10.0.0.0/8\"", "\"10.0.0.0/255.0.0.0\""),
        "10:10: error: identify.b.match: 10.0.0.0/8 is claimed by [identify.a] for endpoint a (line 7) and here for b; \
         a source can be only one"
    );
    assert_eq!(
        identify("\"10.0.0.0/8\"", "\"10.1.0.0/16\", \"10.2.0.1\""),
        "7:10: warning: identify.a.match: also covers 10.1.0.0/16 of endpoint b (line 10) and 1 more; \
         the longest prefix wins"
    );
    assert_eq!(
        identify("\"10.0.0.0/8\", \"10.0.0.1/8\"", "\"2001:db8::1\""),
        "7:24: warning: identify.a.match: \"10.0.0.1/8\" has bits beyond its length; taken as 10.0.0.0/8\n\
         7:24: warning: identify.a.match: 10.0.0.0/8 stands twice, first on line 7"
    );
    assert!(
        identify("\"a.example\"", "\"A.example\"")
            .starts_with("10:10: error: identify.b.match: a.example is claimed")
    );
}

#[test]
fn the_same_source_on_two_transports_can_be_two_endpoints() {
    let endpoints = "[transport.udp]\nbind = \"127.0.0.2\"\n[endpoint.a]\ntransport = \"lo\"\n[endpoint.b]\n\
                     [context.default]\nexten = { 1 = [\"Hangup()\"] }\n";
    let identify = |a: &str, b: &str| {
        findings(&format!(
            "{endpoints}[identify.a]\nendpoint = \"a\"\nmatch = [\"10.0.0.0/8\"]\n{a}\n[identify.b]\nendpoint = \"b\"\n\
             match = [\"10.0.0.0/8\"]\n{b}"
        ))
    };
    assert_eq!(identify("", ""), "");
    assert_eq!(identify("", "transport = \"udp\""), "");
    let clash = identify("transport = \"lo\"", "transport = \"lo\"");
    assert!(
        clash.starts_with("14:10: error: identify.b.match: 10.0.0.0/8 is claimed"),
        "{clash}"
    );
    assert_eq!(
        identify("transport = \"udp\"", ""),
        "11:13: error: identify.a.transport: [endpoint.a] has another transport, so this would never count; expected \
         the same one, or none in one of the two"
    );
}

#[test]
fn rules_by_text_are_checked_for_what_can_be_told() {
    let identify = |a: &str, b: &str| {
        findings(&format!(
            "[endpoint.a]\nacl = [\"x\"]\n[endpoint.b]\nacl = [\"x\"]\n[acl.x]\ndeny = [\"0.0.0.0/0\"]\n\
             [context.default]\nexten = {{ 1 = [\"Hangup()\"] }}\n[identify.a]\nendpoint = \"a\"\n{a}\n\
             [identify.b]\nendpoint = \"b\"\n{b}"
        ))
    };
    let header = |value: &str| format!("match_header = \"{value}\"");
    assert_eq!(identify(&header("X-T: a"), &header("X-T: b")), "");
    assert_eq!(identify(&header("X-T: a"), "match_request_uri = \"a\""), "");
    assert_eq!(
        identify(&header("X-T: a"), &header("x-t:a")),
        "14:16: error: identify.b.match_header: a is claimed by [identify.a] for endpoint a (line 11) and here for b; a \
         request can be only one's"
    );
    assert_eq!(
        identify(&header("X-T: /^a/"), &header("X-T: abc")),
        "14:16: warning: identify.b.match_header: abc is matched by [identify.a] for endpoint a first (line 11), so \
         this never counts; expected it before that one"
    );
    assert_eq!(
        identify("match = []", "match_request_uri = \"/(/\""),
        "11:9: error: identify.a.match: it is empty, so it matches nobody; expected addresses, networks or host names\n\
         14:21: error: identify.b.match_request_uri: found \"/(/\", expected a string: \"sip:100@example.com\", or \
         \"/regex/\"; error: unclosed group"
    );
    assert_eq!(
        identify("", &header("no colon")),
        "9:11: error: identify.a: match is missing, it must be set, or match_header or match_request_uri\n\
         14:16: error: identify.b.match_header: found \"no colon\", expected a header and its value: \"X-Trunk: blue\", \
         \"X-Trunk: /^blue/\""
    );
}

#[test]
fn rules_by_text_are_few() {
    let rules = |count: usize| {
        let rules = (0..count).map(|n| {
            format!("[identify.i{n}]\nendpoint = \"a\"\nmatch_request_uri = \"sip:{n}@x\"\n")
        });
        let auth = "auth = { username = \"a\", password = \"p\" }";
        findings(&format!(
            "[endpoint.a]\n{auth}\ncontext = \"c\"\n[context.c.exten]\n1 = [\"Hangup()\"]\n{}",
            rules.collect::<String>()
        ))
    };
    assert_eq!(rules(64), "");
    let found = rules(65);
    assert!(found.contains("identify.i64.match_request_uri: one match_header or match_request_uri too many; expected 64"), "{found}");
}

#[test]
fn what_a_text_proves_is_told() {
    let rule = "[identify.a]\nendpoint = \"a\"\nmatch_header = \"X-T: a\"\n[context.default.exten]\n1 = [\"Hangup()\"]\n";
    let open = findings(&format!("[endpoint.a]\n{rule}"));
    assert_eq!(
        open,
        "4:1: warning: identify.a.match_header: whoever writes that is taken as endpoint a; expected an acl or auth in \
         [endpoint.a]"
    );
    let order = "[global]\nendpoint_identifier_order = [\"ip\"]\n";
    assert!(findings(&format!("{order}[endpoint.a]\n{rule}")).contains("order has no \"header\""));
    let order = "[global]\nendpoint_identifier_order = [\"username\"]\n";
    let address = rule.replace("match_header = \"X-T: a\"", "match = [\"10.0.0.1\"]");
    assert!(findings(&format!("{order}[endpoint.a]\n{address}")).contains("order has no \"ip\""));
}

#[test]
fn keys_that_would_never_be_told_are() {
    let endpoint = "[endpoint.a]\nauth = { username = \"a\", password = \"p\" }\nmedia_encryption = \"sdes\"\n";
    let told = findings(endpoint);
    assert!(told.starts_with("3:"), "{told}");
    assert!(told.contains("so all its calls are refused"), "{told}");
    let optimistic = format!("{endpoint}media_encryption_optimistic = true\n");
    assert!(findings(&optimistic).contains("so its calls are not encrypted"));
    let safe = format!("{endpoint}media_encryption_over_insecure_signalling = true\n");
    assert_findings(&safe, &[]);
    let tls = "[transport.t]\nprotocol = \"tls\"\nbind = \"127.0.0.1\"\ncert_file = \"f.pem\"\n";
    assert_findings(&format!("{endpoint}{tls}"), &[]);
    let other = format!("{endpoint}transport = \"lo\"\n{tls}");
    assert!(findings(&other).contains("so all its calls are refused"));
}

#[test]
fn what_has_no_effect_yet_is_told_once_a_key() {
    assert_findings(
        "[endpoint.a]\nauth = { username = \"a\", password = \"p\" }\nmailboxes = [\"1@default\"]\ndirect_media = false\n\
         timers = \"no\"\naor = { max_contacts = 1, qualify_frequency = 0 }\n[endpoint.b]\n\
         auth = { username = \"b\", password = \"p\" }\nmailboxes = []\ntimers = false\naor = { max_contacts = 2 }\n\
         [context.default]\nhint = { 1 = \"PJSIP/a\" }\nexten = { 1 = [\"Hangup()\"] }\n\
         [queue.q]\nstrategy = \"ringall\"\n[queue.r]\ntimeout = 1.5\n[voicemail]\nminpassword = 4\n\
         [voicemail.box.\"6000@default\"]\npassword = \"1\"",
        &[
            "3:1: warning: endpoint.a.mailboxes: accepted, no effect in this version (nor does it in 1 more place)",
            "13:1: warning: context.default.hint: accepted, no effect in this version",
            "15:2: warning: queue: accepted, no effect in this version",
            "19:2: warning: voicemail: accepted, no effect in this version",
        ],
    );
}

#[test]
fn what_is_valid_but_not_safe_is_told() {
    let who = "[endpoint.a]\nauth = { username = \"a\", password = \"p\" }\ncontext = \"c\"\n[context.c]\nexten = { 1 = [\"Hangup()\"] }\n";
    let lint = |snippet: &str| findings(&format!("{who}{snippet}"));
    assert_eq!(lint(""), "");
    assert!(
        lint("[transport.x]\nbind = \"0.0.0.0:5070\"")
            .starts_with("7:1: warning: transport.x.bind: 0.0.0.0:5070 can be reached")
    );
    assert_eq!(
        lint("[transport.x]\nbind = \"0.0.0.0:5070\"\n[acl.a]\ndeny = [\"0.0.0.0/0\"]"),
        ""
    );
    assert!(
        lint("[transport.x]\nbind = \"[::]:5070\"\n[acl.a]\ndeny = [\"0.0.0.0/0\"]")
            .contains("not of IPv6")
    );
    assert!(
        lint("[acl.a]\npermit = [\"10.0.0.0/8\"]")
            .starts_with("6:6: warning: acl.a: denies nobody")
    );
    assert!(
        lint("[global]\nendpoint_identifier_order = [\"ip\", \"anonymous\"]")
            .contains("no effect without an [endpoint.anonymous]")
    );
    assert!(
        lint("[rtp]\nports = \"5000-6000\"")
            .starts_with("7:1: warning: rtp.ports: 5000-6000 holds port 5060 of [transport.lo]")
    );
    assert!(
        lint("[endpoint.z]").starts_with("6:11: warning: endpoint.z: nobody can call in as it")
    );
    assert!(
        lint("[endpoint.z]\nauth = { username = \"a\", password = \"q\" }\ncontext = \"c\"")
            .contains("has the username of endpoint a")
    );
    assert!(lint("[context.empty]").starts_with("6:10: warning: context.empty: has no extension"));
    assert!(
        lint("[endpoint.z]\naor = { max_contacts = 1 }")
            .contains("only what an [identify.*] of it matches")
    );
    assert!(
        lint("[endpoint.z]\n[identify.z]\nendpoint = \"z\"\nmatch = [\"10.0.0.1\"]")
            .contains("its calls have nowhere to go")
    );
}

#[test]
fn a_secret_is_never_shown() {
    struct Leaky;
    impl Lookup for Leaky {
        fn env(&self, _: &str) -> Option<String> {
            Some(String::from("hunter2"))
        }
        fn file_first_line(&self, _: &str) -> Result<String, String> {
            Ok(String::from("hunter2"))
        }
    }
    // Put where it is wrong, in every kind of value.
    let secret = "\"${env:X}${file:y}\"";
    let text = format!(
        "[global]\nendpoint_identifier_order = [{secret}]\n[rtp]\nports = {secret}\nworkers = {secret}\ntimeout = {secret}\n\
         [admin]\nlisten = {secret}\n[acl.a]\ndeny = [{secret}]\n[endpoint.a]\nallow = [{secret}]\ncontext = {secret}\n\
         rtp_symmetric = {secret}\nauth = {{ username = \"a\", password = \"hunter2\", realm = {secret} }}\n\
         [context.c]\ninclude = [{secret}]\n"
    );
    let error = parse("f", &text, &Leaky)
        .expect_err("all wrong")
        .to_string();
    assert!(error.lines().count() >= 9, "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let auth = settings("[endpoint.a]\nauth = { username = \"a\", password = \"hunter2\" }");
    assert!(!format!("{auth:?}").contains("hunter2"));
}

#[test]
fn the_defaults_are_asterisks() {
    let settings = settings("[endpoint.a]\n");
    let endpoint = &settings.endpoints[0];
    assert_eq!(endpoint.context, "default");
    assert!(
        settings
            .dialplan
            .contexts
            .iter()
            .any(|c| c.name == "default"),
        "the reference holds"
    );
    assert_eq!(endpoint.allow, [Codec::Ulaw, Codec::Alaw]);
    assert!(endpoint.force_rport && !endpoint.rtp_symmetric && !endpoint.rewrite_contact);
    assert_eq!(endpoint.dtmf_mode, DtmfMode::Rfc4733);
    assert_eq!(endpoint.rel100, Rel100::Yes);
    assert_eq!(endpoint.timers, Timers::Yes);
    assert_eq!(
        (endpoint.timers_min_se, endpoint.timers_sess_expires),
        (90, 1800)
    );
    assert_eq!((endpoint.max_calls, endpoint.cps), (None, None));
    assert_eq!(settings.rtp.ports, (10_000, 20_000));
    assert_eq!(settings.rtp.timeout, Duration::from_secs(60));
    assert_eq!(
        settings.global.identifier_order,
        [
            IdentifyBy::Ip,
            IdentifyBy::Username,
            IdentifyBy::AuthUsername,
            IdentifyBy::Header,
            IdentifyBy::RequestUri,
        ]
    );
    assert_eq!(settings.transports[0].bind.to_string(), "127.0.0.1:5060");
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:8088");
}

#[test]
fn every_endpoint_key_that_acts_is_read() {
    let settings = settings(
        "[transport.udp]\nbind = \"127.0.0.1:5066\"\n[context.c]\n[acl.x]\ndeny = []\n\
         [auth.in]\nusername = \"u\"\npassword = \"p\"\nrealm = \"r\"\n\
         [endpoint.a]\ntransport = \"udp\"\ncontext = \"c\"\nallow = [\"G722\", \"gsm\"]\nauth = \"in\"\n\
         outbound_auth = { username = \"o\", password = \"q\" }\nacl = [\"x\"]\ncallerid = \"Al <1>\"\nfrom_user = \"fu\"\n\
         from_domain = \"fd\"\nrtp_symmetric = true\nforce_rport = false\nrewrite_contact = true\ndtmf_mode = \"info\"\n\
         100rel = \"peer_supported\"\ntimers = \"forced\"\ntimers_min_se = 120\ntimers_sess_expires = 100\nmax_calls = 7\ncps = 2.5\n\
         media_encryption = \"sdes\"\nmedia_encryption_optimistic = true\nmedia_encryption_over_insecure_signalling = true\n",
    );
    let a = &settings.endpoints[0];
    assert_eq!(a.transport.map(|t| t.0), Some(0));
    assert_eq!(
        (a.context.as_str(), a.acl.as_slice()),
        ("c", ["x".to_owned()].as_slice())
    );
    assert_eq!(a.allow, [Codec::G722, Codec::Gsm]);
    let auth = a.auth.as_ref().expect("auth");
    assert_eq!(
        (
            auth.username.as_str(),
            auth.password.0.as_str(),
            auth.realm.as_deref()
        ),
        ("u", "p", Some("r"))
    );
    assert_eq!(
        a.outbound_auth.as_ref().map(|o| o.username.as_str()),
        Some("o")
    );
    assert_eq!(
        a.callerid,
        Some(CallerId {
            name: "Al".into(),
            number: "1".into()
        })
    );
    assert_eq!(
        (a.from_user.as_deref(), a.from_domain.as_deref()),
        (Some("fu"), Some("fd"))
    );
    assert!(a.rtp_symmetric && !a.force_rport && a.rewrite_contact);
    assert_eq!(a.dtmf_mode, DtmfMode::Info);
    assert_eq!(a.rel100, Rel100::PeerSupported);
    assert_eq!(a.timers, Timers::Always);
    assert_eq!((a.timers_min_se, a.timers_sess_expires), (120, 120));
    assert_eq!((a.max_calls, a.cps), (Some(7), Some(2.5)));
    let encryption = MediaEncryption {
        optimistic: true,
        over_insecure_signalling: true,
    };
    assert_eq!(a.media_encryption, Some(encryption));
}

#[test]
fn own_keys_win_over_templates_and_later_templates_over_earlier() {
    let settings = settings(
        "[template.base]\nfrom_user = \"base\"\nfrom_domain = \"base\"\ncallerid = \"base\"\n\
         [template.mid]\nuse = \"base\"\nfrom_domain = \"mid\"\n\
         [template.last]\ncallerid = \"last\"\n\
         [endpoint.a]\nuse = [\"mid\", \"last\"]\ndtmf_mode = \"inband\"\n\
         [endpoint.b]\nuse = [\"last\", \"mid\"]\nfrom_user = \"own\"\n",
    );
    let of = |place: usize| {
        let e = &settings.endpoints[place];
        let number = e.callerid.as_ref().map(|c| c.number.clone());
        [e.from_user.clone(), e.from_domain.clone(), number].map(Option::unwrap_or_default)
    };
    assert_eq!(of(0), ["base", "mid", "last"]);
    assert_eq!(of(1), ["own", "mid", "base"]);
}

#[test]
fn steps_carry_their_own_places() {
    let settings = settings(
        "[context.c.exten]\n\"_X.\" = [\"Answer()\",\n   \"Echo()\"]\n1 = [ \"Hangup()\" ]\n",
    );
    let context = &settings.dialplan.contexts[0];
    assert_eq!(
        (context.name.as_str(), context.location),
        (
            "c",
            Location {
                line: 1,
                column: 10
            }
        )
    );
    let first = &context.extensions[0];
    assert_eq!(
        (first.pattern.as_str(), first.location),
        ("_X.", Location { line: 2, column: 1 })
    );
    assert_eq!(
        first.steps[0],
        (
            "Answer()".into(),
            Location {
                line: 2,
                column: 10
            }
        )
    );
    assert_eq!(
        first.steps[1],
        ("Echo()".into(), Location { line: 3, column: 4 })
    );
    assert_eq!(
        context.extensions[1].steps[0].1,
        Location { line: 4, column: 7 }
    );
}

proptest! {
    #[test]
    fn any_text_gives_settings_or_findings(text in ".{0,200}") {
        let _ = parse("f", &text, &NoLookup);
    }

    /// Valid TOML with the names of the catalogue in wrong places, so that the checks behind the parser are met.
    #[test]
    fn any_toml_gives_settings_or_findings(text in toml_text()) {
        if let Err(LoadError::Invalid { diagnostics, .. }) = parse("f", &text, &NoLookup) {
            prop_assert!(diagnostics.iter().any(|d| d.severity == Severity::Error));
            let lines = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
            prop_assert!(diagnostics.iter().all(|d| (1..=lines.max(1)).contains(&d.location.line)));
        }
    }
}

fn toml_text() -> impl Strategy<Value = String> {
    let sections: Vec<String> = catalogue::SECTIONS
        .iter()
        .flat_map(|s| {
            [
                format!("[{s}]"),
                format!("[{s}.a]"),
                format!("[{s}.b]"),
                format!("[{s}.a.exten]"),
            ]
        })
        .collect();
    let rows = [
        catalogue::GLOBAL,
        catalogue::RTP,
        catalogue::ADMIN,
        catalogue::TRANSPORT,
        catalogue::ACL,
        catalogue::AUTH,
        catalogue::AOR,
        catalogue::ENDPOINT,
        catalogue::IDENTIFY,
        catalogue::REGISTRATION,
        catalogue::TRUNK_GROUP,
        catalogue::QUEUE,
        catalogue::VOICEMAIL,
        catalogue::VOICEMAIL_BOX,
    ];
    let keys: Vec<&str> = rows
        .concat()
        .iter()
        .map(|row| row.key)
        .chain(["include", "hint", "_X."])
        .collect();
    let values = [
        "1",
        "0",
        "-1",
        "0.5",
        "inf",
        "true",
        "\"a\"",
        "\"b\"",
        "\"\"",
        "[]",
        "[\"a\"]",
        "[\"a\", \"a\", 1]",
        "\"127.0.0.1:5060\"",
        "[\"10.0.0.0/8\", \"::/0\"]",
        "\"1-9\"",
        "{ a = 1 }",
        "{ username = \"a\", password = \"b\" }",
        "[{ endpoint = \"a\" }, { endpoint = \"a\", weight = 9 }]",
        "\"Name <1>\"",
        "[\"ulaw\"]",
        "1979-05-27",
        "{ contact = [\"sip:a@b\"] }",
        "\"sip:a@b\"",
        "[486, 503]",
        "\"${env:A}\"",
        "\"udp\"",
    ];
    let entry = (
        proptest::sample::select(keys),
        proptest::sample::select(values.to_vec()),
    );
    let body = proptest::collection::vec(entry, 0..4);
    let section = (proptest::sample::select(sections), body);
    proptest::collection::vec(section, 0..8).prop_map(|sections| {
        let mut text = String::new();
        for (header, body) in sections {
            let _ = writeln!(text, "{header}");
            for (key, value) in body {
                let _ = writeln!(text, "{key:?} = {value}");
            }
        }
        text
    })
}

#[test]
fn the_default_configuration_is_valid_and_has_nothing_to_warn_of() {
    let loaded = load_default().expect("the embedded configuration is valid");
    assert_eq!(lines(DEFAULT_NAME, &loaded.warnings), "");
    let settings = loaded.settings;
    let names: Vec<&str> = settings.endpoints.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["6001", "6002", "demo"]);
    assert_eq!(settings.rtp.ports, (20_000, 20_999));
    assert!(
        settings
            .transports
            .iter()
            .all(|t| t.bind.to_string() == "127.0.0.1:5060")
    );
    assert!(settings.admin.listen.ip().is_loopback());
}

#[test]
fn an_address_of_record_stands_alone_or_in_its_endpoint() {
    let text = "[endpoint.a]\nauth = { username = \"a\", password = \"p\" }\naors = [\"shared\"]\n\
                aor = { max_contacts = 2, remove_existing = true, default_expiration = 120 }\n\
                [aor.shared]\ncontact = [\"sip:192.0.2.1\"]\nminimum_expiration = 29.5\n[context.default]\n";
    let settings = settings(text);
    assert_eq!(settings.endpoints[0].aors, ["shared", "a"]);
    let names: Vec<&str> = settings.aors.iter().map(|aor| aor.name.as_str()).collect();
    assert_eq!(names, ["a", "shared"]);
    let [own, shared] = &settings.aors[..] else {
        panic!("two of them");
    };
    assert_eq!((own.max_contacts, own.remove_existing), (2, true));
    assert_eq!(
        (
            own.minimum_expiration,
            own.maximum_expiration,
            own.default_expiration
        ),
        (60, 7200, 120)
    );
    assert_eq!(
        (
            shared.max_contacts,
            shared.minimum_expiration,
            shared.default_expiration
        ),
        (0, 30, 3600)
    );
}

#[test]
fn an_address_of_record_that_nobody_could_register_as_is_an_error() {
    let who = "[endpoint.a]\nauth = { username = \"a\", password = \"p\" }\ncontext = \"c\"\n[context.c]\nexten = { 1 = [\"Hangup()\"] }\n";
    let lint = |snippet: &str| findings(&format!("{who}{snippet}"));
    assert!(
        lint("[aor.x]\nminimum_expiration = 100\nmaximum_expiration = 99")
            .contains("no registration could last")
    );
    let two = lint(
        "[endpoint.b]\nauth = { username = \"b\", password = \"p\" }\ncontext = \"c\"\naor = { max_contacts = 1 }\n[aor.b]\nmax_contacts = 1",
    );
    assert!(
        two.contains("error: endpoint.b.aor: there is an [aor.b] too"),
        "{two}"
    );
}

#[test]
fn challenges_are_by_md5_alone_unless_said_otherwise() {
    let algorithms = |snippet| settings(snippet).global.challenge_algorithms;
    assert_eq!(algorithms(""), [Algorithm::Md5]);
    let both = "[global]\ndefault_auth_algorithms_uas = [\"SHA-256\", \"MD5\"]";
    assert_eq!(algorithms(both), [Algorithm::Sha256, Algorithm::Md5]);
    assert_findings(
        "[global]\ndefault_auth_algorithms_uas = []",
        &[
            "2:31: error: global.default_auth_algorithms_uas: it is empty, so nobody could show credentials; expected at \
             least one of \"MD5\", \"SHA-256\"",
        ],
    );
    assert_findings(
        "[global]\ndefault_auth_algorithms_uas = [\"sha-256\"]",
        &[
            "2:32: error: global.default_auth_algorithms_uas: found \"sha-256\", expected one of \"MD5\", \"SHA-256\"; \
             did you mean \"SHA-256\"?",
        ],
    );
}

#[test]
fn sounds_have_the_defaults_of_debian_and_endpoints_take_them_over() {
    let settings = settings(
        "[sounds]\nlanguage = \"de\"\ntone_zone = \"de\"\n\
         [musiconhold.default]\ndirectory = \"/music\"\nsort = \"random\"\n\
         [musiconhold.jazz]\nmode = \"files\"\nfiles = [\"jazz/one\"]\n\
         [endpoint.a]\ncontext = \"c\"\nlanguage = \"fr\"\nmoh_suggest = \"jazz\"\n\
         [endpoint.b]\ncontext = \"c\"\n[context.c]\n",
    );
    let sounds = &settings.sounds;
    assert_eq!(
        sounds.directory.to_str(),
        Some("/usr/share/asterisk/sounds")
    );
    assert_eq!(sounds.cache_mib, 128);
    let random = MusicClass {
        location: sounds.music["default"].location,
        source: MusicSource::Directory("/music".into()),
        sort: MusicSort::Random,
    };
    assert_eq!(sounds.music["default"], random);
    let files = MusicSource::Files(vec!["jazz/one".into()]);
    assert_eq!(sounds.music["jazz"].source, files);
    let [a, b] = &settings.endpoints[..] else {
        panic!("two endpoints");
    };
    assert_eq!((&a.language[..], &a.tone_zone[..]), ("fr", "de"));
    assert_eq!((&b.language[..], &b.moh_suggest[..]), ("de", "default"));
}

#[test]
fn a_music_class_has_one_source() {
    for keys in ["", "files = []", "directory = \"/a\"\nfiles = [\"b\"]"] {
        assert_findings(
            &format!("[musiconhold.a]\n{keys}"),
            &["1:14: error: musiconhold.a: expected either directory = \"…\" or files = [\"…\"]"],
        );
    }
}
